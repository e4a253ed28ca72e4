#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: asr_vault_info
version_added: "1.0.0"
short_description: A Site Recovery vault as one picture
description:
  - Shows what Azure Site Recovery keeps in a Recovery Services vault - fabrics, protection containers, container mappings, policies,
    network mappings, replicated items, recovery plans with their groups, and jobs.
  - Tells of each replicated item what counts in an emergency - its health and the errors behind it with causes and recommended actions, its
    RPO, what Site Recovery allows to do with it now, the job that runs on it, its Mobility service, and the age of its last test failover.
  - Reads every page of every list. A list that Azure throttles is waited for, one that Azure refuses or breaks off is an error; it is never
    a shorter list.
options:
  include:
    description:
      - The parts of the vault to read. Leave out what you do not need; each part costs a request or more, and recovery plans one each.
    type: list
    elements: str
    choices: [fabrics, containers, container_mappings, policies, network_mappings, replicated_items, recovery_plans, jobs]
    default: [fabrics, containers, container_mappings, policies, network_mappings, replicated_items, recovery_plans, jobs]
  replicated_items:
    description:
      - The replicated items to show, each by its name, its resource id, the name of its machine, or the id of its machine (source, recovery
        or test machine). One that is not in the vault is an error.
    type: list
    elements: str
  health:
    description:
      - Shows only replicated items of these replication healths, in the words of Site Recovery, such as V(Normal), V(Warning) and
        V(Critical).
    type: list
    elements: str
  protection_state:
    description:
      - Shows only replicated items in these protection states, in the words of Site Recovery, such as V(Protected) and
        V(UnplannedFailoverCommitPending).
    type: list
    elements: str
  recovery_plan:
    description:
      - Shows only this recovery plan, by name or resource id, and only its replicated items. One that is not in the vault is an error.
    type: str
  job_state:
    description:
      - Shows only jobs in these states. V(running), V(failed) and V(succeeded) stand for all states of that kind; others are the words of
        Site Recovery, such as V(CompletedWithInformation).
    type: list
    elements: str
    default: [running, failed]
  job_max_age_hours:
    description:
      - Leaves out jobs that ended longer ago than this many hours. Jobs that run are always shown. V(0) leaves out none.
    type: int
    default: 24
  test_failover_max_age_days:
    description:
      - After how many days the next test failover of a replicated item is due. Microsoft advises one at least every six months.
    type: int
    default: 180
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.attributes.info
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.asr_autoupdate
    description: Keeps the Mobility service up to date.
  - module: cloudops.azure_dr.asr_failover
    description: Fails over what this module shows.
"""

EXAMPLES = r"""
- name: Show the only vault of the subscription
  cloudops.azure_dr.asr_vault_info:
  register: vault

- name: Show what a failover of the recovery plan would meet
  cloudops.azure_dr.asr_vault_info:
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    recovery_plan: shop
    include: [replicated_items, recovery_plans]
  register: shop

- name: Fail when a machine of the plan cannot be failed over now
  ansible.builtin.assert:
    that: "'UnplannedFailover' in item.allowed_operations"
    fail_msg: "{{ item.friendly_name }} is {{ item.protection_state }}: {{ item.health_errors }}"
    quiet: true
  loop: "{{ shop.replicated_items }}"
  loop_control:
    label: "{{ item.friendly_name }}"

- name: Which machines were not tested for three months
  cloudops.azure_dr.asr_vault_info:
    vault_id: >-
      /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu
    include: [replicated_items]
    test_failover_max_age_days: 90
  register: drills

- name: What failed in the last week, and why
  cloudops.azure_dr.asr_vault_info:
    vault_name: rsv-dr-weu
    include: [jobs]
    job_state: [failed]
    job_max_age_hours: 168
"""

RETURN = r"""
vault:
  description: The vault.
  returned: success
  type: dict
  contains:
    id:
      description: The resource id of the vault.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu"
    name:
      description: The name of the vault.
      type: str
      sample: rsv-dr-weu
    resource_group:
      description: The resource group of the vault.
      type: str
      sample: rg-dr-weu
    subscription:
      description: The id of the subscription of the vault.
      type: str
      sample: 11111111-2222-3333-4444-555555555555
    location:
      description: The region of the vault.
      type: str
      sample: westeurope
summary:
  description: The picture in figures. A key is there when the part that it counts was read.
  returned: success
  type: dict
  contains:
    replicated_items:
      description: How many replicated items are shown.
      type: int
      sample: 13
    protection_states:
      description: How many of them are in which protection state.
      type: dict
      sample: {Protected: 13}
    replication_health:
      description: How many of them have which replication health.
      type: dict
      sample: {Normal: 13}
    max_rpo_seconds:
      description: The highest RPO among them, in seconds.
      type: int
      sample: 1940
    agent_updates_required:
      description: The machines whose Mobility service must be updated.
      type: list
      elements: str
      sample: [shop-queue-01]
    test_failovers_due:
      description: The machines whose test failover is due, those that were never tested included.
      type: list
      elements: str
      sample: [shop-admin-01, shop-app-01]
    jobs:
      description: How many of the jobs that are shown are in which state.
      type: dict
      sample: {InProgress: 1}
fabrics:
  description: The fabrics.
  returned: when O(include) has V(fabrics)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the fabric.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope"
    name:
      description: The name of the fabric.
      type: str
      sample: asr-a2a-default-northeurope
    friendly_name:
      description: What the fabric is called; of an Azure fabric its region.
      type: str
      sample: North Europe
    type:
      description: The kind of the fabric, such as V(Azure), V(VMM) or V(HyperVSite).
      type: str
      sample: Azure
    location:
      description: The region of an Azure fabric.
      type: str
      sample: northeurope
    state:
      description: The state of the fabric.
      type: str
      sample: Valid
    health:
      description: The health of the fabric.
      type: str
      sample: Normal
    health_errors: &health_errors
      description: What is wrong.
      type: list
      elements: dict
      sample: []
      contains:
        category:
          description: What the error is about.
          type: str
          sample: TestFailover
        code:
          description: The code of the error.
          type: str
          sample: "161011"
        level:
          description: How bad it is.
          type: str
          sample: Warning
        message:
          description: What is wrong.
          type: str
          sample: No successful test failover has been done on the virtual machine 'shop-web-01'.
        possible_causes:
          description: Why that may be.
          type: str
          sample: A test failover has not been done since replication was enabled.
        recommended_action:
          description: What to do.
          type: str
          sample: Do a test failover on the virtual machine.
        created:
          description: Since when it is so, in UTC.
          type: str
          sample: "2026-11-02T05:12:44.1873320Z"
containers:
  description: The protection containers.
  returned: when O(include) has V(containers)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the protection container.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/asr-a2a-default-northeurope-container"
    name:
      description: The name of the protection container.
      type: str
      sample: asr-a2a-default-northeurope-container
    friendly_name:
      description: What the protection container is called.
      type: str
      sample: asr-a2a-default-northeurope-container
    fabric:
      description: What its fabric is called.
      type: str
      sample: North Europe
    type:
      description: The kind of its fabric.
      type: str
      sample: Azure
    protected_item_count:
      description: How many replicated items are in it.
      type: int
      sample: 13
    pairing_status:
      description: Whether a mapping pairs it with another one.
      type: str
      sample: Paired
    role:
      description: The role that Site Recovery gives it.
      type: str
      sample: Primary
container_mappings:
  description: The container mappings, with the automatic update of the Mobility service.
  returned: when O(include) has V(container_mappings)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the container mapping.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/asr-a2a-default-northeurope-container/\
        replicationProtectionContainerMappings/northeurope-westeurope-24-hour-retention-policy"
    name:
      description: The name of the container mapping.
      type: str
      sample: northeurope-westeurope-24-hour-retention-policy
    source:
      description: The fabric and the protection container that is replicated.
      type: str
      sample: North Europe / asr-a2a-default-northeurope-container
    target:
      description: The fabric and the protection container that it is replicated to.
      type: str
      sample: West Europe / asr-a2a-default-westeurope-container
    policy:
      description: The name of the policy.
      type: str
      sample: 24-hour-retention-policy
    state:
      description: The state of the mapping.
      type: str
      sample: Paired
    provider:
      description: What replicates. Azure tells none for mappings of VMM and VMware.
      type: str
      sample: A2A
    auto_update:
      description: Whether Azure updates the Mobility service, V(Enabled) or V(Disabled).
      type: str
      sample: Enabled
    automation_account_id:
      description: The resource id of the automation account that does it.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.Automation/\
        automationAccounts/aa-dr-weu"
    automation_account_authentication_type:
      description: How the automation account signs in.
      type: str
      sample: SystemAssignedIdentity
    schedule:
      description: The name of the schedule in the automation account.
      type: str
      sample: northeurope-westeurope-24-hour-retention-policy_a85ea38f-62a8-471b-93cc-69b74fd9578c
    health:
      description: The health of the mapping.
      type: str
      sample: Normal
    health_errors: *health_errors
policies:
  description: The policies.
  returned: when O(include) has V(policies)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the policy.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationPolicies/24-hour-retention-policy"
    name:
      description: The name of the policy.
      type: str
      sample: 24-hour-retention-policy
    friendly_name:
      description: What the policy is called.
      type: str
      sample: 24-hour-retention-policy
    provider:
      description: What replicates by it.
      type: str
      sample: A2A
    settings:
      description: Its settings; which there are depends on the provider.
      type: dict
      sample:
        app_consistent_frequency_in_minutes: 240
        crash_consistent_frequency_in_minutes: 5
        multi_vm_sync_status: Enabled
        recovery_point_history: 1440
        recovery_point_threshold_in_minutes: 180
network_mappings:
  description: The network mappings.
  returned: when O(include) has V(network_mappings)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the network mapping.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationNetworks/azureNetwork/replicationNetworkMappings/\
        northeurope-westeurope"
    name:
      description: The name of the network mapping.
      type: str
      sample: northeurope-westeurope
    state:
      description: The state of the network mapping.
      type: str
      sample: Paired
    primary_fabric:
      description: What the primary fabric is called.
      type: str
      sample: North Europe
    primary_network_id:
      description: The resource id of the network there. Site Recovery writes it in lower case.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg-shop-neu/providers/microsoft.network/\
        virtualnetworks/vnet-shop-neu"
    recovery_fabric:
      description: What the recovery fabric is called.
      type: str
      sample: West Europe
    recovery_network_id:
      description: The resource id of the network there.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg-shop-weu/providers/microsoft.network/\
        virtualnetworks/vnet-shop-weu"
replicated_items:
  description:
    - The replicated items that pass the filters. States, healths and operations are the words of Site Recovery.
  returned: when O(include) has V(replicated_items)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the item. It changes when a reprotect moves the item to another protection container.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/asr-a2a-default-northeurope-container/\
        replicationProtectedItems/0b1d6b1a-5a0c-5c39-9a83-9f4f5b7b3c11"
    name:
      description: The name of the item. It stays when the item moves.
      type: str
      sample: 0b1d6b1a-5a0c-5c39-9a83-9f4f5b7b3c11
    friendly_name:
      description: The name of the machine.
      type: str
      sample: shop-web-01
    provider:
      description: What replicates, such as V(A2A) or V(HyperVReplicaAzure).
      type: str
      sample: A2A
    fabric:
      description: The name of the fabric that the item is in.
      type: str
      sample: asr-a2a-default-northeurope
    container:
      description: The name of the protection container that the item is in.
      type: str
      sample: asr-a2a-default-northeurope-container
    policy:
      description: The name of its policy.
      type: str
      sample: 24-hour-retention-policy
    primary_location:
      description: Where the machine is replicated from.
      type: str
      sample: northeurope
    recovery_location:
      description: Where the machine is replicated to.
      type: str
      sample: westeurope
    os_type:
      description: The operating system of the machine.
      type: str
      sample: Linux
    source_vm_id:
      description: The resource id of the virtual machine that is replicated. Site Recovery writes it in lower case.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg-shop-neu/providers/microsoft.compute/virtualmachines/\
        shop-web-01"
    recovery_vm_id:
      description: The resource id of the virtual machine that a failover makes, whether it is there at present or not.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu/providers/Microsoft.Compute/virtualMachines/\
        shop-web-01"
    test_vm_id:
      description: The resource id of the virtual machine that a test failover makes, whether it is there at present or not.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu/providers/Microsoft.Compute/virtualMachines/\
        shop-web-01-test"
    protection_state:
      description:
        - The state of the replication. An item that is V(Protected) may still allow nothing;
          RV(replicated_items[].allowed_operations) tells what it allows.
      type: str
      sample: Protected
    active_location:
      description: Where the machine runs, V(Primary) or V(Recovery).
      type: str
      sample: Primary
    test_failover_state:
      description: The state of the test failover. V(None) and V(MarkedForDeletion) both mean that no test machine is left.
      type: str
      sample: None
    allowed_operations:
      description: What Site Recovery allows to do with the item now.
      type: list
      elements: str
      sample: [UnplannedFailover, DisableProtection, TestFailover]
    replication_health:
      description: The health of the replication.
      type: str
      sample: Normal
    failover_health:
      description: Whether a failover is likely to succeed. It is V(Warning) until the first test failover.
      type: str
      sample: Warning
    health_errors: *health_errors
    current_job:
      description: The job that runs on the item; null when none does.
      type: dict
      sample: null
      contains:
        name:
          description: The name of the job.
          type: str
          sample: 58776d0b-3141-48b2-a377-9ad863eb160d
        id:
          description: The resource id of the job.
          type: str
          sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/\
            vaults/rsv-dr-weu/replicationJobs/58776d0b-3141-48b2-a377-9ad863eb160d"
        scenario:
          description: What the job does.
          type: str
          sample: TestFailover
        started:
          description: When it was started, in UTC.
          type: str
          sample: "2026-11-02T05:12:44.1873320Z"
    rpo_seconds:
      description: How many seconds the newest recovery point was behind the machine at RV(replicated_items[].rpo_calculated).
      type: int
      sample: 137
    rpo_calculated:
      description: When the RPO was calculated, in UTC. An old time says that nobody knows the RPO of now.
      type: str
      sample: "2026-11-02T05:12:44.1873320Z"
    last_test_failover:
      description: When a test failover of the item last succeeded, in UTC; null when none did.
      type: str
      sample: "2026-08-14T09:40:12Z"
    days_since_test_failover:
      description: How many whole days ago that was; null when none succeeded.
      type: int
      sample: 80
    test_failover_due:
      description: Whether that is O(test_failover_max_age_days) ago or more, or never was.
      type: bool
      sample: false
    last_failover:
      description: When a failover of the item last succeeded, in UTC.
      type: str
      sample: null
    agent:
      description: The Mobility service of the machine; null for a provider that has none. A key that Azure does not tell is null.
      type: dict
      contains:
        version:
          description: The version that runs.
          type: str
          sample: 9.65.7498.1
        expires:
          description: When the version is no longer supported, in UTC; null when no date is set.
          type: str
          sample: null
        update_required:
          description: Whether it must be updated.
          type: bool
          sample: false
        certificate_expires:
          description: When its certificate expires, in UTC.
          type: str
          sample: "2028-03-18T09:40:00Z"
        certificate_update_required:
          description: Whether its certificate must be renewed.
          type: bool
          sample: false
        upgradeable:
          description: Whether it can be updated now.
          type: bool
          sample: true
        upgrade_in_progress:
          description: Whether it is being updated.
          type: bool
          sample: false
        upgrade_retries:
          description: How often the automatic update was tried again.
          type: int
          sample: 0
        upgrade_retries_exhausted:
          description: Whether the automatic update has given up.
          type: bool
          sample: false
        reinstall_required:
          description: Whether it must be installed anew.
          type: bool
          sample: false
        reinstall_blocked_by:
          description: What stands in the way of that; the keys are those of RV(replicated_items[].health_errors).
          type: list
          elements: dict
          sample: []
        distro:
          description: The operating system that the machine has, as its Mobility service tells.
          type: str
          sample: Ubuntu 22.04
        installed_for:
          description: The operating system that it had when the Mobility service was installed.
          type: str
          sample: Ubuntu 22.04
recovery_plans:
  description: The recovery plans, each with its groups.
  returned: when O(include) has V(recovery_plans), or O(recovery_plan) is given
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the recovery plan.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationRecoveryPlans/shop"
    name:
      description: The name of the recovery plan.
      type: str
      sample: shop
    friendly_name:
      description: What the recovery plan is called.
      type: str
      sample: shop
    primary_fabric:
      description: What the fabric is called that the plan fails over from.
      type: str
      sample: North Europe
    recovery_fabric:
      description: What the fabric is called that the plan fails over to.
      type: str
      sample: West Europe
    providers:
      description: What replicates its items.
      type: list
      elements: str
      sample: [A2A]
    allowed_operations:
      description: What Site Recovery allows to do with the plan now. Look at its items too; a plan was seen to offer what an item refused.
      type: list
      elements: str
      sample: [UnplannedFailover, TestFailover]
    current_scenario:
      description: What the last job on the plan does or did.
      type: str
      sample: null
    current_scenario_status:
      description: The state of that job.
      type: str
      sample: null
    groups:
      description: The groups of the plan in their order.
      type: list
      elements: dict
      contains:
        name:
          description: V(Shutdown), V(Failover), or V(Group 1) and so on for the groups that are started one after the other.
          type: str
          sample: Group 1
        type:
          description: V(Shutdown), V(Failover) or V(Boot).
          type: str
          sample: Boot
        replicated_items:
          description: The items of the group.
          type: list
          elements: dict
          contains:
            id:
              description: The resource id of the item as the plan knows it.
              type: str
              sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/\
                vaults/rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/\
                asr-a2a-default-northeurope-container/replicationProtectedItems/0b1d6b1a-5a0c-5c39-9a83-9f4f5b7b3c11"
            name:
              description: The name of the item.
              type: str
              sample: 0b1d6b1a-5a0c-5c39-9a83-9f4f5b7b3c11
            friendly_name:
              description: The name of the machine; null when replicated items were not read, or the item is not in the vault any more.
              type: str
              sample: shop-sql-01
        start_actions:
          description: The names of the scripts and manual steps before the group.
          type: list
          elements: str
          sample: []
        end_actions:
          description: The names of the scripts and manual steps after the group.
          type: list
          elements: str
          sample: []
jobs:
  description: The jobs that pass the filters, the newest first.
  returned: when O(include) has V(jobs)
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the job.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationJobs/58776d0b-3141-48b2-a377-9ad863eb160d"
    name:
      description: The name of the job.
      type: str
      sample: 58776d0b-3141-48b2-a377-9ad863eb160d
    scenario:
      description: What the job does.
      type: str
      sample: TestFailover
    label:
      description: How the Azure portal calls that.
      type: str
      sample: Test failover
    state:
      description: The state of the job.
      type: str
      sample: Failed
    target_id:
      description: What Site Recovery calls the thing that the job works on.
      type: str
      sample: 966c33bb-66e7-4567-9786-f80b0694f5f9
    target_name:
      description: The name of the thing that the job works on.
      type: str
      sample: shop-web-01
    target_type:
      description: The kind of that thing.
      type: str
      sample: ProtectionEntity
    started:
      description: When the job was started, in UTC.
      type: str
      sample: "2026-11-02T05:12:44.1873320Z"
    ended:
      description: When the job ended, in UTC; null while it runs.
      type: str
      sample: "2026-11-02T05:47:10Z"
    allowed_actions:
      description: What can be done with the job now.
      type: list
      elements: str
      sample: [Restart]
    errors:
      description: Why the job failed. Read for jobs that run or failed.
      type: list
      elements: dict
      contains:
        code:
          description: The code of the error.
          type: str
          sample: "150097"
        message:
          description: What went wrong.
          type: str
          sample: The virtual machine couldn't be created.
        possible_causes:
          description: Why that may be.
          type: str
          sample: The quota for cores in the region is used up.
        recommended_action:
          description: What to do.
          type: str
          sample: Ask for more quota, and start the job again.
        task_id:
          description: The RV(jobs[].tasks[].id) of the task that met it.
          type: str
          sample: 763326a2-01c9-4257-b2a1-0aac56465014
    tasks:
      description: The tasks of the job. Read for jobs that run or failed.
      type: list
      elements: dict
      contains:
        id:
          description: The id of the task.
          type: str
          sample: 763326a2-01c9-4257-b2a1-0aac56465014
        name:
          description: The name of the task.
          type: str
          sample: PrepareTestProtectedEntitiesTask
        label:
          description: How the Azure portal calls the task.
          type: str
          sample: Create test virtual machine
        state:
          description: The state of the task. In a job that failed it may still say InProgress; the state of the job counts.
          type: str
          sample: Failed
        started:
          description: When the task was started, in UTC.
          type: str
          sample: "2026-11-02T05:13:02.2150022Z"
        ended:
          description: When the task ended, in UTC.
          type: str
          sample: "2026-11-02T05:47:10Z"
        job:
          description: The name of the job that does the task, where it is another one.
          type: str
          sample: null
        target:
          description: The machine that this other job works on.
          type: str
          sample: null
        errors:
          description: What the task met; the keys are those of RV(jobs[].errors).
          type: list
          elements: dict
          sample: []
        children:
          description: The tasks of a group, with the same keys.
          type: list
          elements: dict
          sample: []
error:
  description: The error that ended the module.
  returned: failure
  type: dict
  contains:
    asked:
      description: What was asked of Azure.
      type: str
      sample: list the replicated items
    resource_id:
      description: Of which resource.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu"
    status:
      description: The HTTP status of the answer.
      type: raw
      sample: 403
    code:
      description: The code that Azure gives.
      type: str
      sample: AuthorizationFailed
    message:
      description: What Azure says.
      type: str
      sample: The client does not have authorization to perform action 'Microsoft.RecoveryServices/vaults/replicationProtectedItems/read'.
    possible_causes:
      description: Why that may be, where Azure tells.
      type: str
      sample: null
    recommended_action:
      description: What to do, where Azure tells.
      type: str
      sample: null
    request_id:
      description: The id by which Microsoft's support finds the request.
      type: str
      sample: 5c1d2f9e-0a4b-4c55-9d39-0f2f7c6a1b2e
"""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import picture, vault


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    params, now = module.params, datetime.now(UTC)
    filters = picture.Filters(
        replicated_items=params["replicated_items"],
        health=params["health"],
        protection_state=params["protection_state"],
        recovery_plan=params["recovery_plan"],
        job_states=params["job_state"],
        newer_than=timedelta(hours=params["job_max_age_hours"]) if params["job_max_age_hours"] else None,
    )
    found = await vault.find(azure, params)
    wires = await picture.read(azure, found, params["include"], filters)
    shown = picture.show(wires, filters, now, params["test_failover_max_age_days"])
    if "jobs" in wires:
        shown["jobs"] = [job.view() for job in await picture.read_jobs(azure, found, wires["jobs"], filters, now)]
    return {"changed": False, "vault": asdict(found), "summary": picture.summary(shown)} | shown


def main() -> None:
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | {
            "include": {"type": "list", "elements": "str", "choices": list(picture.PARTS), "default": list(picture.PARTS)},
            "replicated_items": {"type": "list", "elements": "str"},
            "health": {"type": "list", "elements": "str"},
            "protection_state": {"type": "list", "elements": "str"},
            "recovery_plan": {"type": "str"},
            "job_state": {"type": "list", "elements": "str", "default": ["running", "failed"]},
            "job_max_age_hours": {"type": "int", "default": 24},
            "test_failover_max_age_days": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    session.main(module, partial(work, module), vault.check_input)


if __name__ == "__main__":
    main()
