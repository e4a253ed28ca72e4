#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: asr_readiness_info
version_added: "1.0.0"
short_description: Whether the machines of a Site Recovery vault are ready to be failed over
description:
  - Checks each replicated machine and each recovery plan on a calm day for what a failover would fail of, and tells of each check what it
    came to, why, and what to do.
  - A check comes to V(pass), V(warn), V(fail) or V(unknown). What could not be looked at, such as a quota that the sign-in may not read, is
    V(unknown), and never a pass.
  - It tells, and judges no run - it fails only when the vault cannot be read. The role P(cloudops.azure_dr.readiness#role) fails when a
    machine does, and writes a report.
  - The checks of a machine are V(replication_health) and V(failover_health) as Site Recovery judges them; V(rpo), against O(rpo_objective);
    V(protection), whether Site Recovery would fail it over now; V(test_failover), the age of the last one; V(mobility_service), its
    version and until when that is supported; V(auto_update), whether Azure keeps it current; V(extensions), whether those that a failover
    loses are brought back; V(data_collection_rules) and V(data_collection_endpoint), whether they are there for the region in which
    it comes up; V(target_network), whether its network and subnet are there; V(quota), whether its size can be had there, and cores for
    all machines at once; V(recovery_plan), whether it is in one.
  - The check of a recovery plan is V(members), whether the machines that it orders are in the vault.
options:
  recovery_plan:
    description:
      - Looks only at this recovery plan, by name or resource id, and at its machines. One that is not in the vault is an error.
    type: str
  replicated_items:
    description:
      - Looks only at these replicated items, each by its name, its resource id, the name of its machine, or the id of its machine. One that
        is not in the vault is an error.
    type: list
    elements: str
  rpo_objective:
    description:
      - The recovery point objective in minutes. An RPO that Site Recovery calculated more than an hour ago is V(unknown).
    type: float
    default: 60
  test_failover_max_age_days:
    description:
      - After how many days the next test failover of a machine is due. Microsoft advises one at least every six months.
    type: int
    default: 180
  expiry_days:
    description:
      - How many days before its end of support a Mobility service warns.
    type: int
    default: 30
  restore_from:
    description:
      - What the machines will be restored from after the failover, as in
        O(cloudops.azure_dr.ama_reinstall#module:restore_from) - the path of a baseline that M(cloudops.azure_dr.extension_baseline)
        wrote, or V(source) for what the source machines have. A relative path begins where the command was started.
      - With a baseline, machines are read one by one only where the names of their extensions differ from those in it. Otherwise each
        machine is read, which takes two requests each.
      - Left out, only the monitoring agent and what O(extensions) and O(data_collection_rule_ids) name is brought back.
    type: str
  leave_out:
    description:
      - The extensions that are not to be brought back, each by its name or as V(Publisher.Type).
    type: list
    elements: str
    default: []
  extensions:
    description:
      - The extensions that are asked for beside the monitoring agent and O(restore_from), each as V(Publisher.Type).
    type: list
    elements: str
    default: []
  protected_settings_for:
    description:
      - The extensions for which protected settings will be given when they are restored, each by its name or as V(Publisher.Type). The
        settings themselves are not needed here.
    type: list
    elements: str
    default: []
  data_collection_rule_ids:
    description:
      - The data collection rules that the machines are to be associated with, by resource id. A rule whose kind is an operating system
        is for machines with that one.
    type: list
    elements: str
    default: []
  data_collection_endpoint_ids:
    description:
      - The data collection endpoints to choose from, by resource id.
    type: list
    elements: str
    default: []
  tolerate:
    description:
      - The checks that may fail. They are told as V(warn).
    type: list
    elements: str
    choices:
      - replication_health
      - failover_health
      - rpo
      - protection
      - test_failover
      - mobility_service
      - auto_update
      - extensions
      - data_collection_rules
      - data_collection_endpoint
      - target_network
      - quota
      - recovery_plan
      - members
    default: []
  timeout:
    description: How many minutes reading single machines may take. One that was not read by then is V(unknown).
    type: int
    default: 30
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.attributes.info
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.asr_vault_info
    description: Shows what Site Recovery itself says.
  - module: cloudops.azure_dr.asr_mobility_update
    description: Updates what the check of the Mobility service finds.
  - module: cloudops.azure_dr.extension_baseline
    description: Writes what machines are restored from.
"""

EXAMPLES = r"""
- name: What would a failover of any machine of the only vault fail of
  cloudops.azure_dr.asr_readiness_info:
  register: readiness

- name: Tell the machines that are not ready
  ansible.builtin.debug:
    msg: "{{ readiness.machines | selectattr('verdict', 'eq', 'fail') | map(attribute='name') }}"

- name: Is a recovery plan ready, whose machines may lose 15 minutes and are drilled every quarter
  cloudops.azure_dr.asr_readiness_info:
    vault_name: rsv-dr-weu
    recovery_plan: shop
    rpo_objective: 15
    test_failover_max_age_days: 92
    restore_from: source
    data_collection_endpoint_ids:
      - "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers/Microsoft.Insights/\
        dataCollectionEndpoints/dce-weu"
    tolerate: [auto_update]
"""

RETURN = r"""
vault:
  description: The vault, with its C(id), C(name), C(resource_group), C(subscription) and C(location).
  returned: success
  type: dict
verdict:
  description: V(fail) when a machine or a recovery plan fails, V(warn) when one warns, else V(pass).
  returned: success
  type: str
  sample: warn
machines:
  description: The machines, by name.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the replicated item.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/asr-a2a-default-northeurope-container/\
        replicationProtectedItems/22382f9f-69dc-515c-9d91-55009645e3fd"
    name:
      description: The name of the machine.
      type: str
      sample: shop-sql-01
    verdict:
      description: V(fail) when a check fails, V(warn) when one warns or is unknown, else V(pass).
      type: str
      sample: warn
    source_vm_id:
      description: The machine that is replicated, by resource id; V(none) for one that is not in Azure.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg-shop-neu/providers/microsoft.compute/virtualmachines/\
        shop-sql-01"
    primary_location:
      description: The region that it is replicated from.
      type: str
      sample: northeurope
    recovery_location:
      description: The region that it comes up in.
      type: str
      sample: westeurope
    recovery_plans:
      description: The recovery plans that it is in.
      type: list
      elements: str
      sample: [shop]
    checks: &checks
      description: The checks, in the order of the description.
      type: list
      elements: dict
      contains:
        name:
          description: What was checked.
          type: str
          sample: auto_update
        status:
          description: V(pass), V(warn), V(fail), or V(unknown) where there was no telling.
          type: str
          sample: warn
        reason:
          description: What was found.
          type: str
          sample: Automatic update of the Mobility service is off in the container mapping northeurope-westeurope-24-hour-retention-policy.
        remedy:
          description: What to do; V(none) where nothing is to be done.
          type: str
          sample: Switch it on with asr_autoupdate. While it is off, update with asr_mobility_update.
recovery_plans:
  description: The recovery plans; empty where they cannot be read, which the check V(recovery_plan) of each machine tells.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the plan.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationRecoveryPlans/shop"
    name:
      description: The name of the plan.
      type: str
      sample: shop
    verdict:
      description: V(pass), V(warn) or V(fail).
      type: str
      sample: pass
    checks: *checks
summary:
  description: All of it in figures.
  returned: success
  type: dict
  contains:
    machines:
      description: How many machines pass, warn and fail.
      type: dict
      sample: {pass: 12, warn: 1, fail: 0}
    recovery_plans_failed:
      description: The names of the recovery plans that fail.
      type: list
      elements: str
      sample: []
    checks:
      description: Of each check, how many pass, warn, fail and are unknown.
      type: dict
      sample: {rpo: {pass: 13, warn: 0, fail: 0, unknown: 0}}
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
      sample: null
    status:
      description: The HTTP status of the answer.
      type: raw
      sample: 403
    code:
      description: The code that Azure gives.
      type: str
      sample: AuthorizationFailed
    message:
      description: What Azure says, or what is wrong with the options.
      type: str
      sample: There is no recovery plan shop in the vault. There are - none.
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
      sample: null
"""

from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import readiness
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import vault


def main() -> None:
    names: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | {
            "recovery_plan": {"type": "str"},
            "replicated_items": {"type": "list", "elements": "str"},
            "rpo_objective": {"type": "float", "default": 60},
            "test_failover_max_age_days": {"type": "int", "default": 180},
            "expiry_days": {"type": "int", "default": 30},
            "restore_from": {"type": "str"},
            "leave_out": names,
            "extensions": names,
            "protected_settings_for": names,
            "data_collection_rule_ids": names,
            "data_collection_endpoint_ids": names,
            "tolerate": names | {"choices": [*readiness.CHECKS, *readiness.PLAN_CHECKS]},
            "timeout": {"type": "int", "default": 30},
        },
        mutually_exclusive=[("recovery_plan", "replicated_items")],
        supports_check_mode=True,
    )

    async def work(azure: session.Azure) -> dict[str, Any]:
        return await readiness.look(azure, module.params, datetime.now(UTC))

    session.main(module, work, readiness.check_input)


if __name__ == "__main__":
    main()
