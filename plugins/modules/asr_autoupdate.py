#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: asr_autoupdate
version_added: "1.0.0"
short_description: Automatic update of the Mobility service, on or off for a whole vault
description:
  - Switches automatic update of the Mobility service, the agent that replicates a virtual machine, on or off for the machines of a
    Recovery Services vault. Azure keeps this setting on each container mapping; the module sets it on all of them at once, in both
    directions of replication.
  - Container mappings that do not replicate from Azure to Azure (A2A), and those that are not Paired, have no such setting; they are
    skipped, and the result says why.
  - A container mapping that is set as wanted but reports health errors is set again, which repairs what the update needs in the automation
    account. The errors, with their causes and recommended actions, are in the result.
  - The module follows each change to its end and reads the mapping back. It only reports what it has seen.
options:
  state:
    description:
      - V(enabled) lets Azure update the Mobility service, with a runbook in an automation account that runs once a day.
      - V(disabled) leaves updates to you, for example while a recovery plan is being failed over.
    type: str
    choices: [enabled, disabled]
    default: enabled
  automation_account_id:
    description:
      - The resource id of the automation account that updates the machines. It must be in the subscription of the vault; any resource group
        will do. Site Recovery uses one automation account for a whole vault.
      - When it is not given, the account that the container mappings of the vault have already is kept. It is needed the first time, and
        where they have different ones.
      - The account is read before anything is changed; one that is not there is refused.
    type: str
  automation_account_authentication_type:
    description:
      - How the automation account signs in to the vault.
      - With V(system_assigned_identity) the account must have a system-assigned identity, and the identity needs rights on the vault (the
        role Contributor). An account without such an identity is refused; the rights are not checked.
      - V(run_as_account) gives a warning. Run As accounts were retired on 2023-09-30, so updates fail with them.
    type: str
    choices: [system_assigned_identity, run_as_account]
    default: system_assigned_identity
  mappings:
    description:
      - The container mappings to set, by name or resource id. A name stands for every mapping of the vault that has it.
      - When it is not given, all container mappings of the vault are set.
      - A mapping that is named here and is not in the vault is an error; nothing is changed then.
    type: list
    elements: str
  timeout:
    description:
      - How many minutes the module waits for all changes together. What Azure has begun by then goes on there.
    type: float
    default: 160
  max_failures:
    description:
      - How many container mappings may fail or time out without failing the task.
    type: int
    default: 0
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.asr_vault_info
    description: Shows the container mappings, and which machines need an update of their Mobility service.
"""

EXAMPLES = r"""
- name: Let Azure keep the Mobility service of all machines up to date
  cloudops.azure_dr.asr_autoupdate:
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    automation_account_id: >-
      /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.Automation/automationAccounts/aa-dr-weu

- name: See what would be repaired, with the account that the vault has already
  cloudops.azure_dr.asr_autoupdate:
    vault_id: >-
      /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu
  check_mode: true
  diff: true

- name: No updates from North Europe while the failover runs
  cloudops.azure_dr.asr_autoupdate:
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    mappings:
      - northeurope-westeurope-24-hour-retention-policy
    state: disabled
"""

RETURN = r"""
vault_id:
  description: The resource id of the vault.
  returned: when the vault was found
  type: str
  sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
    rsv-dr-weu"
targets:
  description: The container mappings, each with what became of it.
  returned: when the container mappings were read
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
    changed:
      description: Whether the mapping was changed, or would be in check mode.
      type: bool
      sample: true
    state:
      description:
        - V(unchanged), V(changed), V(failed), V(skipped) or V(timed_out).
      type: str
      sample: changed
    reason:
      description: Why it was skipped, failed, timed out, or repaired; for health errors with their causes and recommended actions.
      type: str
      sample: null
    actions:
      description: What was done, or would be done in check mode.
      type: list
      elements: str
      sample: [enable automatic update]
    resumed:
      description:
        - What earlier runs had begun on it and not seen the end of, by their journals, with C(action), C(time), C(run), C(module) and
          C(host). This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      sample: []
    before:
      description: The mapping as it was.
      type: dict
      contains: &mapping
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
          description: The state of the mapping, in the words of Site Recovery.
          type: str
          sample: Paired
        provider:
          description: What replicates; automatic update is for V(A2A).
          type: str
          sample: A2A
        auto_update:
          description: V(Enabled) or V(Disabled).
          type: str
          sample: Disabled
        automation_account_id:
          description: The resource id of the automation account.
          type: str
          sample: null
        automation_account_authentication_type:
          description: V(SystemAssignedIdentity) or V(RunAsAccount). Site Recovery shows the latter also where there is no account.
          type: str
          sample: RunAsAccount
        schedule:
          description: The name of the schedule of the update in the automation account.
          type: str
          sample: null
        health:
          description: The health of the mapping, in the words of Site Recovery.
          type: str
          sample: Normal
        health_errors:
          description: What is wrong with the mapping.
          type: list
          elements: dict
          sample: []
          contains:
            category:
              description: What the error is about.
              type: str
              sample: AgentAutoUpdateInfra
            code:
              description: The code of the error.
              type: str
              sample: "151083"
            level:
              description: How bad it is.
              type: str
              sample: Error
            message:
              description: What is wrong.
              type: str
              sample: The automation account of the automatic update cannot be used.
            possible_causes:
              description: Why that may be.
              type: str
              sample: The identity of the account has no rights on the vault.
            recommended_action:
              description: What to do.
              type: str
              sample: Grant the identity the role Contributor on the vault.
            created:
              description: Since when it is so, in UTC.
              type: str
              sample: "2026-11-02T05:12:44.1873320Z"
    after:
      description: The mapping as it was read at the end, or as it would be in check mode.
      type: dict
      contains: *mapping
    started:
      description: When the module began to change the mapping, in UTC.
      type: str
      sample: "2026-11-02T06:00:01Z"
    ended:
      description: When the module had seen the end of it, in UTC.
      type: str
      sample: "2026-11-02T06:01:09Z"
    error:
      description: The error, in the form of RV(error).
      returned: when the mapping failed or timed out
      type: dict
counts:
  description: How it went, in the classes of the runbook that Microsoft publishes for this job.
  returned: when the container mappings were read
  type: dict
  contains:
    succeeded:
      description: Mappings that are as wanted, changed or not; in check mode also those that would be changed.
      type: int
      sample: 2
    failed:
      description: Mappings whose change Azure began, and which failed.
      type: int
      sample: 0
    failed_to_start:
      description: Mappings that could not be read, or whose change Azure refused.
      type: int
      sample: 0
    timed_out:
      description: Mappings whose change did not end in O(timeout).
      type: int
      sample: 0
    skipped:
      description: Mappings that have no automatic update.
      type: int
      sample: 0
journal:
  description: The file in O(journal_dir) that tells what was sent, on the host that ran the module. C(null) when nothing was.
  returned: when the container mappings were read
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-asr_autoupdate-3fa9c1.jsonl
summary:
  description: Counts by RV(targets[].state), and how long it took.
  returned: when the container mappings were read
  type: dict
  contains:
    unchanged:
      description: How many mappings were as wanted.
      type: int
      sample: 0
    changed:
      description: How many mappings were changed, or would be in check mode.
      type: int
      sample: 2
    failed:
      description: How many mappings failed.
      type: int
      sample: 0
    skipped:
      description: How many mappings were skipped.
      type: int
      sample: 0
    timed_out:
      description: How many mappings timed out.
      type: int
      sample: 0
    minimum_duration:
      description: The seconds that the changes take at least by the request limits of Azure alone.
      type: float
      sample: 0.0
    duration:
      description: The seconds that it took.
      type: float
      sample: 68.4
    throttled_requests:
      description: How many requests Azure turned down for being too many; they were sent again.
      type: int
      sample: 0
error:
  description: The error that ended the module before it looked at any container mapping.
  returned: when the module could not begin
  type: dict
  contains:
    asked:
      description: What was asked of Azure.
      type: str
      sample: read the automation account
    resource_id:
      description: Of which resource.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.Automation/\
        automationAccounts/aa-dr-weu"
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
      sample: The client does not have authorization to perform action 'Microsoft.Automation/automationAccounts/read'.
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

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import mappings, vault


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    params = module.params
    found = await vault.find(azure, params)
    every = [mappings.parse(wire) for wire in await found.container_mappings(azure)]
    chosen = mappings.choose(every, params["mappings"])
    wanted = await mappings.settle(azure, found, every, chosen, params)
    journal = Journal.open(params["journal_dir"], "asr_autoupdate", azure.cloud.resource_manager)
    step = mappings.AutoUpdate(azure, lambda _target: wanted, journal)
    report = await fleet.run(
        azure,
        [fleet.Target(mapping.id, mapping.name) for mapping in chosen],
        [step],
        check=module.check_mode,
        timeout=params["timeout"] * 60,
        noun="container mappings",
        journal=journal,
    )
    mappings.explain_repairs(report)
    for warning in [*step.warnings, *journal.warnings]:
        module.warn(warning)
    told = {"vault_id": found.id, "counts": mappings.counts(report), "journal": journal.name}
    return told | report.result(params["max_failures"])


def main() -> None:
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | JOURNAL_ARGUMENTS
        | {
            "state": {"type": "str", "choices": ["enabled", "disabled"], "default": "enabled"},
            "automation_account_id": {"type": "str"},
            "automation_account_authentication_type": {
                "type": "str",
                "choices": list(mappings.AUTHENTICATION),
                "default": "system_assigned_identity",
            },
            "mappings": {"type": "list", "elements": "str"},
            "timeout": {"type": "float", "default": 160},
            "max_failures": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    if module.params["state"] == "enabled" and module.params["automation_account_authentication_type"] == "run_as_account":
        module.warn(mappings.RUN_AS_RETIRED)
    session.main(module, partial(work, module), mappings.check_input)


if __name__ == "__main__":
    main()
