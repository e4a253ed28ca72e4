#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: asr_mobility_update
version_added: "1.0.0"
short_description: Update the Mobility service of replicated machines now
description:
  - Finds the machines of a Recovery Services vault whose Mobility service, the agent that replicates a virtual machine, is outdated, near
    the end of its support, given up by automatic update, or blocked; says of each why, and what to do; and updates them, all at once.
  - Where Site Recovery says that the Mobility service cannot be updated but has to be reinstalled, such as after an upgrade of the
    machine's operating system, it is reinstalled. Only what Site Recovery asks for is done.
  - In check mode it changes nothing, and its result is the list of what is to be said of each machine.
  - Follows each job to its end, also one that automatic update or an earlier run has begun, and reads the machine again. It only reports
    what it has seen. What a job said beside success, and which machines are to be restarted, is in the result.
  - A machine that Site Recovery cannot update or reinstall as it is fails with the reason and what to do; nothing is sent to it.
  - Machines that do not replicate from Azure to Azure (A2A), and those that are not Protected now, are skipped, and the result says why.
options:
  replicated_items:
    description:
      - The machines, each by its name, the name or id of its replicated item, or the id of the virtual machine.
      - With neither O(replicated_items) nor O(recovery_plan), all machines of the vault are meant.
      - One that is not in the vault is an error; nothing is changed then.
    type: list
    elements: str
  recovery_plan:
    description:
      - The recovery plan whose machines are meant, by name or resource id.
    type: str
  expiry_days:
    description:
      - How many days before the end of its support a Mobility service is called V(expiring). Site Recovery itself begins to write mails 60
        days before.
      - This is for what is said only. It is updated as soon as Site Recovery has a newer version for the machine.
    type: int
    default: 60
  timeout:
    description:
      - How many minutes the module waits for all updates together. What Azure has begun by then goes on there; the module run again
        follows it.
    type: float
    default: 120
  max_failures:
    description:
      - How many machines may fail or time out without failing the task.
    type: int
    default: 0
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
notes:
  - A job that is followed counts as a change, since it ends during this task.
  - Replication goes on during an update, and the machine is not restarted by it. Microsoft recommends to restart a machine after each
    update, and calls it mandatory where its Mobility service is more than four versions ahead of the one that it was last restarted with.
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.asr_autoupdate
    description: Lets Azure update the Mobility service by itself.
  - module: cloudops.azure_dr.asr_vault_info
    description: Shows all that Site Recovery tells of a machine.
"""

EXAMPLES = r"""
- name: See which machines have a Mobility service that is not in order, why, and what to do
  cloudops.azure_dr.asr_mobility_update:
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
  check_mode: true
  register: mobility

- name: Show it
  ansible.builtin.debug:
    msg: "{{ mobility.agents }}"

- name: Update the Mobility service of all machines that need it
  cloudops.azure_dr.asr_mobility_update:
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu

- name: Update the machines of a recovery plan before its drill, and list those to restart
  cloudops.azure_dr.asr_mobility_update:
    recovery_plan: shop
    timeout: 90
  register: updated

- name: Show the machines to restart
  ansible.builtin.debug:
    msg: "{{ updated.targets | selectattr('restart') | map(attribute='name') }}"

- name: Update two machines
  cloudops.azure_dr.asr_mobility_update:
    vault_id: >-
      /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu
    replicated_items: [shop-web-01, shop-web-02]
    max_failures: 1
"""

RETURN = r"""
vault_id:
  description: The resource id of the vault.
  returned: when the vault was found
  type: str
  sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
    rsv-dr-weu"
agents:
  description:
    - The names of the machines by what is to be said of their Mobility service, after the updates; in check mode as they are now. A machine
      can be in several lists, a machine that is in none is in order.
  returned: when the replicated items were read
  type: dict
  contains:
    blocked:
      description: Site Recovery cannot update or reinstall it as the machine is.
      type: list
      elements: str
      sample: [shop-sql-02]
    reinstall_required:
      description: It cannot be updated and has to be reinstalled.
      type: list
      elements: str
      sample: [shop-sql-02]
    expired:
      description: Its version is out of support.
      type: list
      elements: str
      sample: []
    retries_exhausted:
      description: Automatic update failed too often and does not try again.
      type: list
      elements: str
      sample: []
    expiring:
      description: Its version is out of support within O(expiry_days) days.
      type: list
      elements: str
      sample: []
    outdated:
      description: Its version is not the newest.
      type: list
      elements: str
      sample: [shop-sql-02]
    updating:
      description: It is being updated.
      type: list
      elements: str
      sample: []
targets:
  description: The machines, each with what became of it.
  returned: when the replicated items were read
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the replicated item.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/asr-a2a-default-northeurope-container/\
        replicationProtectedItems/0e5b6cb6-2d0c-5a0b-8a3c-9f1c6f3a7f10"
    name:
      description: The name of the machine.
      type: str
      sample: shop-web-01
    changed:
      description: Whether its Mobility service was updated or reinstalled, or would be in check mode.
      type: bool
      sample: true
    state:
      description:
        - V(unchanged), V(changed), V(failed), V(skipped) or V(timed_out).
      type: str
      sample: changed
    reason:
      description: Why it was updated, skipped, failed or timed out, and what its job said beside success. C(null) when all is in order.
      type: str
      sample: Its version 9.63.7187.1 is not the newest.
    restart:
      description:
        - Whether the machine is to be restarted after its update - V(mandatory), or V(recommended). With which version a machine was last
          restarted is not known, so that a restart can be mandatory where it says V(recommended). C(null) where nothing was updated.
      type: str
      sample: recommended
    actions:
      description: What was done, or would be done in check mode.
      type: list
      elements: str
      sample: [update the Mobility service]
    resumed:
      description:
        - What earlier runs had begun on it and not seen the end of, by their journals, with C(action), C(time), C(run), C(module) and
          C(host). This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      sample: []
    before:
      description: The Mobility service as it was.
      type: dict
      contains: &agent
        protection_state:
          description: The state of the replicated item, in the words of Site Recovery.
          type: str
          sample: Protected
        version:
          description: Its version. In check mode C(null) in RV(targets[].after) of a machine that would be updated.
          type: str
          sample: 9.63.7187.1
        expires:
          description: Until when it is supported, in UTC; C(null) where Site Recovery does not tell.
          type: str
          sample: null
        update_required:
          description: Whether Site Recovery has a newer version for the machine.
          type: bool
          sample: true
        reinstall_required:
          description: Whether it must be installed anew.
          type: bool
          sample: false
        findings:
          description: What is to be said of it, the worst first.
          type: list
          elements: dict
          contains:
            kind:
              description: The list of RV(agents) that the machine is in for this.
              type: str
              sample: outdated
            reason:
              description: Why.
              type: str
              sample: Its version 9.63.7187.1 is not the newest.
            advice:
              description: What to do.
              type: str
              sample: Update it.
    after:
      description: The Mobility service as it was read at the end, or as it would be in check mode.
      type: dict
      contains: *agent
    started:
      description: When the module began to change the machine, in UTC.
      type: str
      sample: "2026-11-02T06:00:01Z"
    ended:
      description: When the module had seen the end of it, in UTC.
      type: str
      sample: "2026-11-02T06:06:14Z"
    error:
      description: The error, in the form of RV(error).
      returned: when the machine failed or timed out
      type: dict
journal:
  description: The file in O(journal_dir) that tells what was sent, on the host that ran the module. C(null) when nothing was.
  returned: when the replicated items were read
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-asr_mobility_update-3fa9c1.jsonl
summary:
  description: Counts by RV(targets[].state), and how long it took.
  returned: when the replicated items were read
  type: dict
  contains:
    unchanged:
      description: How many machines were as wanted.
      type: int
      sample: 0
    changed:
      description: How many machines were changed, or would be in check mode.
      type: int
      sample: 2
    failed:
      description: How many machines failed.
      type: int
      sample: 0
    skipped:
      description: How many machines were skipped.
      type: int
      sample: 0
    timed_out:
      description: How many machines timed out.
      type: int
      sample: 0
    minimum_duration:
      description: The seconds that the changes take at least by the request limits of Azure alone.
      type: float
      sample: 0.0
    duration:
      description: The seconds that it took.
      type: float
      sample: 412.7
    throttled_requests:
      description: How many requests Azure turned down for being too many; they were sent again.
      type: int
      sample: 0
error:
  description: The error that ended the module before it looked at any machine.
  returned: when the module could not begin
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
      description: The HTTP status of the answer, or the end state of the operation.
      type: raw
      sample: 403
    code:
      description: The code that Azure gives.
      type: str
      sample: AuthorizationFailed
    message:
      description: What Azure says.
      type: str
      sample: The client does not have authorization to perform action.
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

from datetime import UTC, datetime
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import mobility, vault


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    params = module.params
    found = await vault.find(azure, params)
    step = mobility.MobilityUpdate(azure, found, datetime.now(UTC), params["expiry_days"])
    journal = Journal.open(params["journal_dir"], "asr_mobility_update", azure.cloud.resource_manager)
    report = await fleet.run(
        azure,
        await mobility.targets(azure, found, params),
        [step],
        check=module.check_mode,
        timeout=params["timeout"] * 60,
        noun="machines",
        journal=journal,
    )
    result = mobility.results(step, report, module.check_mode, params["max_failures"])
    for warning in [*mobility.warnings(step, result["targets"]), *journal.warnings]:
        module.warn(warning)
    return {"vault_id": found.id, "journal": journal.name} | result


def main() -> None:
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | JOURNAL_ARGUMENTS
        | {
            "replicated_items": {"type": "list", "elements": "str"},
            "recovery_plan": {"type": "str"},
            "expiry_days": {"type": "int", "default": 60},
            "timeout": {"type": "float", "default": 120},
            "max_failures": {"type": "int", "default": 0},
        },
        mutually_exclusive=[("replicated_items", "recovery_plan")],
        supports_check_mode=True,
    )
    session.main(module, partial(work, module), mobility.check_input)


if __name__ == "__main__":
    main()
