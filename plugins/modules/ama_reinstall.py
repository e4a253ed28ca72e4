#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the Azure Monitor Agent, its associations and other extensions back to virtual machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ama_reinstall
short_description: Bring the Azure Monitor Agent, its data collection rules and other extensions back to virtual machines
version_added: 1.0.0
description:
  - A virtual machine that Azure Site Recovery has failed over is a new resource. It comes up without extensions, and
    nothing is associated with it, so it collects nothing and raises no alert. This module gives it back the Azure
    Monitor Agent, the associations with data collection rules and with the data collection endpoint of its region, and
    any other extension.
  - It works on all machines at once, each in its own order - it waits until the VM agent is ready, brings the
    extensions to their state one after the other, then associates the rules and the endpoint, and reads each of them
    back.
  - The agent is known by its publisher and type, whatever the extension is called, and its name is kept. One that is
    missing is installed. One that failed, or that does not respond, is removed and installed. One that is healthy is
    left alone, and updated only where it differs from what is asked. One that somebody is installing is waited for, and
    judged then.
  - Windows machines get C(AzureMonitorWindowsAgent), Linux machines C(AzureMonitorLinuxAgent). The one for the other
    operating system is removed where it is found, since it can never run.
  - The older Log Analytics agents (C(MicrosoftMonitoringAgent), C(OmsAgentForLinux)) are reported and left alone.
  - With O(restore_from) a machine gets back what the machine that it stands in for had - the extensions in their order, with public
    settings, version and upgrade flags, and the associations under their names. RV(targets[].restored) tells of each what was before,
    what is there after, and what is missing.
  - What fails on one machine is told with the machine's name and Azure's words, and does not keep the other machines
    from being done.
options:
  state:
    description:
      - V(present) brings the agent, the associations and the extensions back.
      - V(absent) removes the agent, all O(extensions), and the associations with the given rules and endpoints, by
        whatever name.
    type: str
    choices: [present, absent]
    default: present
  machine_ids:
    description:
      - The resource ids of the virtual machines to work on, of any subscription that the sign-in may write to.
      - Choose machines with this option, with O(resource_group), or with O(recovery_plan). When none of them is given,
        the machines are those that the only recovery plan of the only vault has failed over.
    type: list
    elements: str
  resource_group:
    description:
      - Work on the virtual machines of this resource group that have the O(tags).
      - Together with O(vault_name) it is the resource group of the vault instead, and machines are chosen by recovery
        plan.
    type: str
  tags:
    description:
      - Only the machines of the O(resource_group) that have all of these tags, as in the modules of
        C(azure.azcollection) that end in C(_info).
      - Each is V(name), for a tag with any value, or V(name:value).
    type: list
    elements: str
  recovery_plan:
    description:
      - The name or resource id of a recovery plan. Work on the machines that it has failed over, and that its test
        failover has made until that is cleaned up.
      - Needs to be given only when the vault has more than one.
    type: str
  restore_from:
    description:
      - Where to learn what each machine is to get back. V(source) asks the machines that they stand in for; anything else is the path of a
        file that M(cloudops.azure_dr.extension_baseline) wrote, on the host that runs the module. Write such a file on a calm day, since
        nobody knows whether the machines of a region that failed can still be asked.
      - When it is not given, machines get what the other options ask for, and nothing else.
      - Restored are the extensions in their order and the associations. What the agent's options and O(extensions) ask for goes over what
        was recorded, or is added to it. The agent is restored where the source had one.
      - An association with a rule keeps its rule, its name and its description. An endpoint has to be one of the machine's own region, so
        it is taken from O(data_collection_endpoint_ids); where there is none for the region, all else is restored and the machine fails.
      - With O(assign_identity) the user-assigned identities of the source are assigned, too.
      - Some extensions are not copied, since Azure installs them itself or they would do harm - the Mobility service, disk
        encryption, the snapshots of Azure Backup, and others. RV(targets[].restored[].left_out) names them with the reason.
        To have one anyway, ask for it in O(extensions).
    type: str
  sources:
    description:
      - For O(restore_from), which machine each one stands in for; keys and values are resource ids of virtual machines.
      - It need not be given for machines that are chosen by O(recovery_plan), since Site Recovery tells it, nor for machines that are
        themselves in the baseline file. It goes over both.
    type: dict
    default: {}
  leave_out:
    description: For O(restore_from), extensions that are not restored, each as V(Publisher.Type) or by the name that it had.
    type: list
    elements: str
    default: []
  name:
    description:
      - The name of the agent's extension where it is installed and was not there before.
      - When it is not given, the name is the agent's type.
    type: str
  type_handler_version:
    description:
      - The version of the agent, as V(major.minor).
      - When it is not given, an agent that is there keeps the version that it was asked for in, and a new one gets
        C(1.0), which O(auto_upgrade_minor_version) turns into the newest.
    type: str
  auto_upgrade_minor_version:
    description:
      - Whether the newest minor version is taken whenever the agent is installed or updated.
      - When it is not given, V(true); with O(restore_from), what the source had.
    type: bool
  enable_automatic_upgrade:
    description:
      - Whether Azure keeps the agent up to date by itself.
      - It is always sent, so that the outcome does not depend on Azure's default, which changed from V(false) to
        V(true) with Compute API 2025-04-01.
      - When it is not given, V(true); with O(restore_from), what the source had.
    type: bool
  settings:
    description:
      - The public settings of the agent, all of them.
      - When they are not given, the settings of the agent that is there, also of one that is removed and installed
        again, are kept.
    type: dict
  protected_settings:
    description:
      - The protected settings of extensions, such as the credentials of the agent's proxy. The keys are extensions, as V(Publisher.Type)
        (V(Microsoft.Azure.Monitor.AzureMonitorLinuxAgent)) or by the name that they have on a machine. They appear in no result, log,
        difference or journal.
      - Azure never gives them back, so they cannot be compared, and a difference in them alone changes nothing. They are sent whenever the
        extension is installed or updated; O(reinstall=always) sends them for certain.
      - Nor does Azure tell which extensions have any. With O(restore_from), those that usually do are not restored without them, and the
        machine fails once all else is done. V({}) says that an extension has none, and restores it so.
      - V(null), as from a lookup that found nothing, says that an extension has some, which are not known; it is not installed then.
    type: dict
    default: {}
  user_assigned_identity_id:
    description:
      - The resource id of the user-assigned managed identity that the agent signs in with. It is put into its settings.
      - A machine to which it is not assigned is not touched and reported as failed, unless O(assign_identity) has it assigned.
      - When it is not given, the agent takes the identity of the machine. The agent needs one; machines that have none
        are named in a warning.
    type: str
  assign_identity:
    description:
      - Whether O(user_assigned_identity_id) is assigned to machines that do not have it; where that is not given, machines
        without any identity get a system-assigned one. Other identities of a machine stay.
      - A failover does not take the identities of a machine along, and without one its agent sends nothing.
      - Needs the role Managed Identity Operator on the identity.
    type: bool
    default: false
  reinstall:
    description:
      - V(when_unhealthy) removes and installs only an agent that failed or does not respond.
      - V(always) does so with a healthy one too, in every run.
    type: str
    choices: [when_unhealthy, always]
    default: when_unhealthy
  extensions:
    description:
      - Other extensions to bring back, such as the Dependency agent, an antimalware agent or a custom script. They are
        treated as the agent is.
    type: list
    elements: dict
    default: []
    suboptions:
      publisher:
        description: The publisher of the extension.
        type: str
        required: true
      type:
        description:
          - The type of the extension. With the publisher it says which extension is meant, whatever it is called on a
            machine.
        type: str
        required: true
      name:
        description: The name to install it under. The type by default.
        type: str
      type_handler_version:
        description:
          - The version, as V('major.minor'). Needed unless the extension is to be absent.
          - Put it in quotes; without them YAML reads V(9.10) as the number 9.1.
        type: str
      os_type:
        description: The operating system of the machines that it is for.
        type: str
        choices: [windows, linux, any]
        default: any
      state:
        description: Whether it is to be there. O(state=absent) makes all of them absent.
        type: str
        choices: [present, absent]
        default: present
      auto_upgrade_minor_version:
        description:
          - As for the agent. When it is not given, an extension that is there keeps what it has, and a new one gets
            V(true).
        type: bool
      enable_automatic_upgrade:
        description:
          - As for the agent. Publishers have to support it.
          - When it is not given, an extension that is there keeps what it has, and a new one gets V(false).
        type: bool
      settings:
        description: The public settings, all of them. When they are not given, those that are there are kept.
        type: dict
      reinstall:
        description: As for the agent. V(always) runs a custom script again in every run.
        type: str
        choices: [when_unhealthy, always]
        default: when_unhealthy
  data_collection_rules:
    description:
      - The data collection rules to associate the machines with. All of them have to exist, otherwise nothing is
        changed anywhere.
      - A machine that is associated with a rule already is left as it is, whatever the association is called.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: The resource id of the rule.
        type: str
        required: true
      os_type:
        description:
          - The operating system of the machines that it is for.
          - When it is not given, a rule of kind Windows or Linux is for machines of that system, and one without a kind
            for all.
        type: str
        choices: [windows, linux, any]
      association_name:
        description:
          - The name of this rule's associations, with the placeholders of O(association_name), which is the default.
        type: str
  association_name:
    description:
      - The name of new associations with rules. C({rule}), C({rule_resource_group}), C({machine}) and C({os_type})
        stand for the rule's name and resource group, and the machine's name and operating system.
      - An association of this name with another rule is pointed at the new one; its description is kept.
    type: str
    default: dcra-{rule}
  data_collection_endpoint_ids:
    description:
      - The resource ids of data collection endpoints, at most one a region. Each machine is associated with the one of
        its own region, since an agent can take its configuration only from there. So the same list serves both sides of
        a failover.
      - A machine in a region for which there is none is not touched and reported as failed.
      - Endpoints are needed only with private links, and for some kinds of data.
    type: list
    elements: str
    default: []
  prove:
    description:
      - Wait until the data of each machine arrives in a Log Analytics workspace, which a heartbeat of its agent proves. A
        machine whose data does not arrive is reported as failed, with what is known of it.
      - On a machine on which this run restores something, the heartbeat has to be sent after that. One on which nothing is
        missing has to have sent one lately.
      - The workspace is asked once before anything is changed. One that is not there, or that may not be asked, stops the
        run; one that cannot answer just then does not.
      - With O(state=absent) nothing is proven. In check mode the workspace is asked once, and nothing is waited for.
      - Needs the role Log Analytics Reader on the workspace.
    type: dict
    suboptions:
      workspace_id:
        description: The resource id of the workspace that the data collection rules send to.
        type: str
        required: true
      timeout:
        description:
          - How many minutes the data of a machine may take to arrive, from its restore on. The first data usually comes
            within eight minutes. O(timeout) bounds this wait, too.
        type: float
        default: 15
      max_age:
        description:
          - How many minutes ago the last heartbeat of a machine on which nothing is missing may have been sent. Agents send
            one a minute, which can be read up to three minutes later.
        type: float
        default: 5
  agent_timeout:
    description:
      - How many minutes the VM agent of a machine may take to become ready. After a failover it usually takes a few.
    type: float
    default: 20
  timeout:
    description:
      - How many minutes the whole run may take. A machine that is not done by then is reported as timed out; what Azure
        has begun goes on there.
    type: float
    default: 120
  max_failures:
    description: How many machines may fail or time out without the task failing.
    type: int
    default: 0
attributes:
  idempotent:
    support: partial
    description:
      - When run again with the same options, changes nothing; with O(reinstall=always) it reinstalls in every run.
notes:
  - A machine that is not running is reported as failed, since its extensions can be neither judged nor changed.
  - Another writer on the same machine, such as Azure Policy, is waited out. The wait counts towards O(timeout).
  - Azure lets one extension be written at a time on a machine, and a subscription change 10 resources a second after a
    start of 200. The result's RV(summary.minimum_duration) tells what that means for the machines chosen.
  - The sign-in needs the roles Virtual Machine Contributor on the machines and Monitoring Contributor on machines,
    rules and endpoints; in addition Reader on the vault for O(recovery_plan).
seealso:
  - module: cloudops.azure_dr.asr_failover
  - name: Azure Monitor Agent requirements
    description: What the agent needs of a machine.
    link: https://learn.microsoft.com/en-us/azure/azure-monitor/agents/azure-monitor-agent-requirements
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
"""

EXAMPLES = r"""
- name: Monitor what the recovery plan has failed over, in a drill and in earnest
  cloudops.azure_dr.ama_reinstall:
    vault_name: rsv-dr-weu
    resource_group: rg-dr-weu
    recovery_plan: shop
    data_collection_rules:
      - id: "{{ insights }}/dataCollectionRules/dcr-shop-windows"
      - id: "{{ insights }}/dataCollectionRules/dcr-shop-linux"
    data_collection_endpoint_ids:
      - "{{ insights }}/dataCollectionEndpoints/dce-weu"
  vars:
    insights: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers/Microsoft.Insights

- name: See what that would change, the vault and the plan being the only ones
  cloudops.azure_dr.ama_reinstall:
  check_mode: true
  diff: true

- name: Give what the plan has failed over back what the source machines have
  cloudops.azure_dr.ama_reinstall:
    recovery_plan: shop
    restore_from: source
    assign_identity: true
    data_collection_endpoint_ids:
      - "{{ insights }}/dataCollectionEndpoints/dce-weu"
    protected_settings:
      Microsoft.Compute.CustomScriptExtension: {} # it has none
  vars:
    insights: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers/Microsoft.Insights

- name: Give the web servers of a resource group the agent, signing in with a user-assigned identity, and see their data arrive
  cloudops.azure_dr.ama_reinstall:
    resource_group: rg-shop-neu
    tags:
      - application:shop
      - tier:web
    user_assigned_identity_id: "{{ monitoring }}/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop-monitoring"
    prove:
      workspace_id: "{{ monitoring }}/Microsoft.OperationalInsights/workspaces/log-shop"
  vars:
    monitoring: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers

- name: Bring back the Dependency agent and run a script as well
  cloudops.azure_dr.ama_reinstall:
    machine_ids:
      - "{{ compute }}/virtualMachines/shop-web-01"
    extensions:
      - publisher: Microsoft.Azure.Monitoring.DependencyAgent
        type: DependencyAgentLinux
        type_handler_version: "9.10"
        os_type: linux
        enable_automatic_upgrade: true
        settings:
          enableAMA: "true"
      - name: shop-settings
        publisher: Microsoft.Azure.Extensions
        type: CustomScript
        type_handler_version: "2.1"
        os_type: linux
    protected_settings:
      shop-settings:
        commandToExecute: "/opt/shop/bin/configure --key {{ lookup('ansible.builtin.env', 'SHOP_KEY') }}"
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: Install the agent anew even where it is healthy, and keep the journal, with what was removed, beside the evidence
  cloudops.azure_dr.ama_reinstall:
    resource_group: rg-shop-weu
    reinstall: always
    journal_dir: evidence/journal

- name: Take the agent and its rule off again
  cloudops.azure_dr.ama_reinstall:
    state: absent
    resource_group: rg-shop-weu
    data_collection_rules:
      - id: "{{ insights }}/dataCollectionRules/dcr-shop-windows"
  vars:
    insights: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers/Microsoft.Insights
"""

RETURN = r"""
targets:
  description: The machines, and what became of each.
  returned: when the machines could be chosen
  type: list
  elements: dict
  contains:
    id:
      description: The machine's resource id.
      type: str
      returned: always
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu/providers/Microsoft.Compute/\
        virtualMachines/shop-web-01"
    name:
      description: The machine's name.
      type: str
      returned: always
      sample: shop-web-01
    changed:
      description: Whether anything was changed on it, or would be in check mode. True as well where a change was begun and then failed.
      type: bool
      returned: always
    state:
      description: V(unchanged), V(changed), V(failed), V(skipped) or V(timed_out).
      type: str
      returned: always
      sample: changed
    reason:
      description: Why it failed or took too long.
      type: str
      returned: always
      sample: null
    actions:
      description: What was done, or would be done in check mode, in order.
      type: list
      elements: str
      returned: always
      sample:
        - wait for the VM agent
        - install extension AzureMonitorLinuxAgent
        - associate dcr-shop-linux
        - associate dce-weu
        - wait for its data to arrive
    resumed:
      description:
        - What earlier runs had begun on it and not seen the end of, by their journals, with C(action), C(time), C(run), C(module) and
          C(host). This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      returned: always
      sample: []
    before:
      description: The machine as it was found.
      type: dict
      returned: always
      contains: &view
        power_state:
          description: The power state, such as V(running) or V(deallocated).
          type: str
          returned: when the machine could be read
          sample: running
        vm_agent:
          description: What the VM agent reports, such as V(Ready); V(none) before its first report.
          type: str
          returned: when the machine could be read
          sample: Ready
        identity:
          description: The machine's managed identities, with the keys C(type) and C(user_assigned).
          type: dict
          returned: when the machine could be read and O(state=present)
          sample:
            type: SystemAssigned
            user_assigned: []
        agent:
          description: The monitoring agent for the machine's operating system, V(none) where there is none.
          type: dict
          returned: when the machine could be read
          sample:
            name: AzureMonitorLinuxAgent
            publisher: Microsoft.Azure.Monitor
            type: AzureMonitorLinuxAgent
            type_handler_version: "1.0"
            installed_version: 1.0.0.0
            auto_upgrade_minor_version: true
            enable_automatic_upgrade: true
            settings: {}
            provisioning_state: Succeeded
            status: Ready
            message: null
        extensions:
          description: The other extensions asked for, each in the same form.
          type: list
          elements: dict
          returned: when the machine could be read
          sample: []
        legacy_agents:
          description: The names of Log Analytics agents on the machine.
          type: list
          elements: str
          returned: when the machine could be read
          sample: []
        associations:
          description: The machine's associations; empty where neither rules nor endpoints were given.
          type: list
          elements: dict
          returned: when the machine could be read
          sample:
            - name: dcra-dcr-shop-linux
              data_collection_rule_id: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/\
                providers/Microsoft.Insights/dataCollectionRules/dcr-shop-linux"
              data_collection_endpoint_id: null
        proof:
          description:
            - Whether its data arrives in the workspace of O(prove). C(last_heartbeat) is when the last heartbeat of the last hour was
              sent, V(none) where there was none; C(proven) is V(none) where the workspace could not be asked.
          type: dict
          returned: when the machine could be read and O(prove) is given
          sample:
            last_heartbeat: "2026-11-02T05:21:07Z"
            proven: true
    after:
      description: The machine as it was read back, or as it would be in check mode.
      type: dict
      returned: always
      contains: *view
    source_id:
      description: The resource id of the machine that it got back the monitoring of.
      type: str
      returned: when O(restore_from) is given and the source is known
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute/\
        virtualMachines/shop-web-01"
    restored:
      description: Each extension and association that the source had or that was asked for, before, after, and what is missing.
      type: list
      elements: dict
      returned: when O(restore_from) is given and the source is known
      contains:
        what:
          description: V(extension) or V(association).
          type: str
          returned: always
          sample: extension
        name:
          description: Its name.
          type: str
          returned: always
          sample: AzureMonitorLinuxAgent
        before:
          description:
            - What the source had; V(none) for what it had not. Of an extension C(type_handler_version), C(auto_upgrade_minor_version),
              C(enable_automatic_upgrade) and C(settings); of an association the id of the rule or endpoint.
          type: raw
          returned: always
          sample:
            type_handler_version: "1.0"
            auto_upgrade_minor_version: true
            enable_automatic_upgrade: true
            settings: {}
        after:
          description: What the machine has now, in the same form; V(none) for what is not there.
          type: raw
          returned: always
          sample:
            type_handler_version: "1.0"
            auto_upgrade_minor_version: true
            enable_automatic_upgrade: true
            settings: {}
        missing:
          description: Why it is not as it should be; V(none) where it is.
          type: str
          returned: always
          sample: null
        left_out:
          description: Why it is not copied; V(none) where it is.
          type: str
          returned: always
          sample: null
    missing:
      description: What of RV(targets[].restored) is missing, each in one sentence. A machine that misses anything has failed.
      type: list
      elements: str
      returned: when O(restore_from) is given and the source is known
      sample: []
    started:
      description: When the work on it began, V(none) where there was nothing to do.
      type: str
      returned: always
      sample: "2026-11-02T05:12:44Z"
    ended:
      description: When the work on it ended.
      type: str
      returned: always
      sample: "2026-11-02T05:16:02Z"
    error:
      description:
        - Azure's error - what was asked, of which resource, HTTP status, code, message, possible causes, recommended action and
          request id.
      type: dict
      returned: when it failed
summary:
  description: The machines counted by state, and how long it took, in seconds.
  returned: when the machines could be chosen
  type: dict
  contains:
    unchanged:
      description: How many were right already.
      type: int
      returned: always
    changed:
      description: How many were changed.
      type: int
      returned: always
      sample: 13
    failed:
      description: How many failed.
      type: int
      returned: always
    skipped:
      description: How many were left alone.
      type: int
      returned: always
    timed_out:
      description: How many were not done in time.
      type: int
      returned: always
    minimum_duration:
      description: The shortest time that the changes can take by Azure's request limits alone.
      type: float
      returned: always
      sample: 0.0
    duration:
      description: How long it took.
      type: float
      returned: always
      sample: 198.4
    throttled_requests:
      description: How many requests Azure has throttled.
      type: int
      returned: always
      sample: 0
journal:
  description: The file in O(journal_dir) that tells what was sent and what was removed, on the host that ran the module.
  returned: when the machines could be chosen; C(null) when there was nothing to send
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-ama_reinstall-3fa9c1.jsonl
error:
  description: The error, where no machine could be worked on. Its keys are those of RV(targets[].error).
  returned: when the machines could not be chosen, or a rule or endpoint is not there
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import baseline, choice, fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, ids, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions, machines, restoring
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import associations, proof
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import resolved

SOURCE = "source"  # restore_from: ask the source machines
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
AGENT_OPTIONS = ("name", "type_handler_version", "auto_upgrade_minor_version", "enable_automatic_upgrade", "settings", "reinstall")


def argument_spec() -> dict[str, Any]:
    reinstall = {"type": "str", "choices": ["when_unhealthy", "always"], "default": "when_unhealthy"}
    state = {"type": "str", "choices": ["present", "absent"], "default": "present"}
    systems = {"type": "str", "choices": ["windows", "linux", "any"]}
    extension = {
        "publisher": {"type": "str", "required": True},
        "type": {"type": "str", "required": True},
        "name": {"type": "str"},
        "type_handler_version": {"type": "str"},
        "os_type": systems | {"default": "any"},
        "state": state,
        "auto_upgrade_minor_version": {"type": "bool"},
        "enable_automatic_upgrade": {"type": "bool"},
        "settings": {"type": "dict"},
        "reinstall": reinstall,
    }
    rule = {"id": {"type": "str", "required": True}, "os_type": systems, "association_name": {"type": "str"}}
    return (
        credentials.argument_spec()
        | choice.ARGUMENTS
        | JOURNAL_ARGUMENTS
        | {
            "state": state,
            "restore_from": {"type": "str"},
            "sources": {"type": "dict", "default": {}},
            "leave_out": {"type": "list", "elements": "str", "default": []},
            "name": {"type": "str"},
            "type_handler_version": {"type": "str"},
            "auto_upgrade_minor_version": {"type": "bool"},
            "enable_automatic_upgrade": {"type": "bool"},
            "settings": {"type": "dict"},
            "protected_settings": {"type": "dict", "default": {}, "no_log": True},
            "user_assigned_identity_id": {"type": "str"},
            "assign_identity": {"type": "bool", "default": False},
            "reinstall": reinstall,
            "extensions": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": extension,
                "required_if": [("state", "present", ["type_handler_version"])],
            },
            "data_collection_rules": {"type": "list", "elements": "dict", "default": [], "options": rule},
            "association_name": {"type": "str", "default": associations.PATTERN},
            "data_collection_endpoint_ids": {"type": "list", "elements": "str", "default": []},
            **proof.argument_spec(),
            "agent_timeout": {"type": "float", "default": 20},
            "timeout": {"type": "float", "default": 120},
            "max_failures": {"type": "int", "default": 0},
        }
    )


def check(params: dict[str, Any]) -> None:
    """Refuse what is wrong before any request."""
    choice.check(params)
    if params["user_assigned_identity_id"]:
        ids.require("user_assigned_identity_id", params["user_assigned_identity_id"], IDENTITY)
    extensions.secrets(params["protected_settings"])
    extensions.others(params["extensions"], params["state"])
    associations.rules(params["data_collection_rules"], params["association_name"])
    associations.endpoints(params["data_collection_endpoint_ids"])
    if params["prove"]:
        proof.wanted(params["prove"])
    for machine_id in (one for pair in params["sources"].items() for one in pair if one):
        ids.require("sources", machine_id, machines.TYPE)
    if params["leave_out"] and not params["restore_from"]:
        raise InputError("leave_out", params["leave_out"], "to be given with restore_from, of which it leaves something out")
    if params["restore_from"] and params["state"] == "absent":
        raise InputError("restore_from", params["restore_from"], "to be left out with state=absent, which brings nothing back")
    if params["restore_from"] not in (None, SOURCE):
        baseline.read("restore_from", resolved(params["restore_from"]))


async def restore(azure: session.Azure, module: AnsibleModule) -> dict[str, Any]:
    """The module's work: choose the machines, then bring each to the state asked for."""
    params, state = module.params, module.params["state"]
    chosen = await choice.failed_over(azure, params)
    rules = associations.rules(params["data_collection_rules"], params["association_name"])
    endpoints = associations.endpoints(params["data_collection_endpoint_ids"])
    if state == "present":
        rules, endpoints = await associations.existing(azure, rules, endpoints)
    known, secrets = machines.Machines(azure), extensions.secrets(params["protected_settings"])
    journal = Journal.open(params["journal_dir"], "ama_reinstall", azure.cloud.resource_manager)
    wished = wishes(params, secrets)
    back = restoring.Restoring(await records(azure, params, chosen), wished) if params["restore_from"] else None
    step = extensions.Extensions(azure, known, back or extensions.by_system([*wished.agents, *wished.others], secrets), journal)

    def place(target: fleet.Target) -> associations.Place:
        machine = known.known[ids.key(target.id)]
        return associations.Place(machine.location, machine.os_type, associations.source(back.record(target.id)) if back else None)

    def identities(machine: machines.Machine) -> list[str]:
        named = params["user_assigned_identity_id"]
        return [named] if named else back.identities(machine, params["assign_identity"]) if back else []

    associated = associations.Associations(azure, state, rules, endpoints, place)
    steps: list[fleet.Step[Any]] = [machines.ReadyForExtensions(azure, known, step.chosen, params["agent_timeout"] * 60), step, associated]
    if state == "present":
        steps.insert(1, machines.Identified(azure, known, identities, params["assign_identity"]))
    if state == "present" and params["prove"]:
        asked = proof.wanted(params["prove"])
        heartbeats = await proof.connect(azure, asked, chosen.targets)
        steps.append(proof.Proof(azure, asked, heartbeats, lambda target: condition(known.known[ids.key(target.id)])))
    report = await fleet.run(
        azure, chosen.targets, steps, check=module.check_mode, timeout=params["timeout"] * 60, noun="machines", journal=journal
    )
    for warning in [*journal.warnings, *given_back(step)]:
        module.warn(warning)
    if state == "present":
        warn(module, list(known.known.values()), secrets)
    result = report.result(params["max_failures"]) | {"journal": journal.name}
    if back:
        for row, target in zip(result["targets"], chosen.targets, strict=True):
            row |= table(back, associated, target, row["after"])
    return result


def wishes(params: dict[str, Any], secrets: extensions.Secrets) -> restoring.Wishes:
    """What the options ask for; the agent's upgrade flags are on, unless what they were is restored."""
    asked = {name: params[name] for name in AGENT_OPTIONS}
    if not params["restore_from"]:
        asked |= {name: True for name in ("auto_upgrade_minor_version", "enable_automatic_upgrade") if asked[name] is None}
    agents = extensions.agents(params["state"], identity=params["user_assigned_identity_id"], **asked)
    return restoring.Wishes(agents, extensions.others(params["extensions"], params["state"]), secrets, params["leave_out"])


async def records(azure: session.Azure, params: dict[str, Any], chosen: choice.Choice) -> dict[str, baseline.Record | AzureDRError]:
    """What each machine is to get back, by ids.key; the error where that is not known."""
    given = {ids.key(machine): source for machine, source in params["sources"].items() if source}
    sources = {key: given.get(key) or chosen.sources.get(key) for key in (ids.key(target.id) for target in chosen.targets)}
    if params["restore_from"] == SOURCE:
        recorded = await asked(azure, [source for source in sources.values() if source], params["timeout"] * 60)
        unknown = "It is not known which machine it stands in for: name that one in sources."
        return {key: recorded[ids.key(source)] if source else AzureDRError(unknown) for key, source in sources.items()}
    file = resolved(params["restore_from"])
    kept = baseline.read("restore_from", file)
    return {
        key: kept.get(ids.key(source or key))
        or AzureDRError(
            f"The baseline {file} holds no record of {ids.parse(source).name}, which it stands in for: write one with extension_baseline."
            if source
            else f"It is not in the baseline {file}, and it is not known which machine it stands in for: name that one in sources."
        )
        for key, source in sources.items()
    }


async def asked(azure: session.Azure, sources: list[str], timeout: float) -> dict[str, baseline.Record | AzureDRError]:
    """What the source machines have now, by ids.key; the error for one that can't be read."""
    steps = [restoring.Recorded(machines.Machines(azure)), associations.Recorded(azure)]
    report = await fleet.run(azure, machines.of_ids(sources), steps, check=True, timeout=timeout, noun="source machines")
    return {
        ids.key(outcome.target.id): outcome.before
        if outcome.state == "unchanged"
        else AzureDRError(
            f"What its source {outcome.target.name} has could not be read: {outcome.reason} When the region cannot be asked, restore from "
            "a file that extension_baseline wrote before: restore_from=FILE."
        )
        for outcome in report.outcomes
    }


def table(back: restoring.Restoring, step: associations.Associations, target: fleet.Target, after: dict[str, Any]) -> dict[str, Any]:
    """Before, after and what is missing, for a machine whose source is known."""
    try:
        record = back.record(target.id)
    except AzureDRError:
        return {}
    rows = back.table(target.id, after) + step.table(target, after.get("associations") or [])
    missing = [f"{row['what']} {row['name']}: {row['missing']}" for row in rows if row["missing"]]
    return {"source_id": record["id"], "restored": rows, "missing": missing}


def given_back(step: extensions.Extensions) -> list[str]:
    """The warning about what may be missing on machines that an interrupted run had left without an extension."""
    named = "; ".join(f"{machine}: {', '.join(names)}" for machine, names in sorted(step.given_back.items()))
    told = (
        "These extensions were installed as they were before an interrupted run removed them, but without protected settings, which Azure "
        f"never gives back. If they had some, give them and install them again with reinstall set to always: {named}."
    )
    return [told] if named else []


def condition(machine: machines.Machine) -> list[str]:
    """What is known of a machine whose data does not arrive."""
    agent = next((found for one in extensions.AGENTS.values() if (found := machine.find(extensions.AGENT_PUBLISHER, one))), None)
    told = "it has no agent"
    if agent:
        told = f"its agent {agent.name} is {agent.status or agent.provisioning_state}" + (f" ({agent.trouble})" if agent.trouble else "")
    return [told] if machine.has_identity else [told, "it has no managed identity, and without one its agent sends nothing"]


def warn(module: AnsibleModule, found: list[machines.Machine], secrets: extensions.Secrets) -> None:
    """Name the machines that monitoring has a problem with that is not for this module to solve."""
    lonely = [machine.name for machine in found if not machine.has_identity]
    if lonely:
        module.warn(
            "These machines have no managed identity, and without one the agent sends nothing (a failover does not take a "
            f"machine's identity along; assign_identity gives them one): {', '.join(sorted(lonely))}."
        )
    if found and secrets.unused:
        module.warn(f"protected_settings names extensions that none of these machines is to have: {', '.join(secrets.unused)}.")
    legacy = [machine.name for machine in found if extensions.legacy_agents(machine)]
    if legacy:
        module.warn(f"These machines have a Log Analytics agent, which was retired: {', '.join(sorted(legacy))}.")


def main() -> None:
    module = AnsibleModule(argument_spec(), supports_check_mode=True, mutually_exclusive=choice.MUTUALLY_EXCLUSIVE)
    session.main(module, lambda azure: restore(azure, module), check)


if __name__ == "__main__":
    main()
