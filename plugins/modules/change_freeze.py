#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turn off what Azure upgrades by itself, for the time of a failover, and put it back as it was."""

from __future__ import annotations

DOCUMENTATION = r"""
module: change_freeze
short_description: Turn off what Azure upgrades by itself for the time of a failover, and put it back as it was
version_added: 1.0.0
description:
  - A failover is no time for Azure to upgrade agents, extensions and images by itself. This module writes down which of these automatic
    upgrades are on, then turns them off (O(state=frozen)), and later puts back exactly what was written down (O(state=thawed)), which is
    not the same as everything on.
  - It is about three settings - automatic update of the Mobility service, of the container mappings of a vault; automatic upgrade of
    extensions (C(enableAutomaticUpgrade)), of virtual machines and of the models of scale sets; and automatic OS upgrade
    (C(enableAutomaticOSUpgrade)), of scale sets. Nothing else of them is changed, and what is off already, or was never said, is not
    touched.
  - The record is on disk before anything is turned off, so that a freeze that was interrupted, or a thaw, is finished by running it again,
    and a freeze that was interrupted can also be thawed. A second freeze adds what is new to the record, and never writes over what it
    holds.
  - What others have changed during the freeze is told as RV(targets[].reason) and as a warning, and so is what is gone.
options:
  state:
    description:
      - V(frozen) turns off, among what is chosen, what Azure upgrades by itself. An upgrade that runs already is not stopped.
      - V(thawed) puts back all that the record in O(path) holds; the options that choose, and O(include), are of no account to it. Without
        a record it is refused. What was thawed is not thawed again, so that a second run changes nothing.
    type: str
    choices: [frozen, thawed]
    default: frozen
  path:
    description:
      - The file of the record, on the host that runs the module. It is put in the place of an older one whole or not at all, and is
        readable by its owner only. A relative path begins where the command was started.
      - It has to be the same for a freeze and its thaw, and to outlast the time between them. In a container it is on a mounted volume.
      - After the thaw the file stays, and says that it is thawed. The next freeze begins a new record in its place.
    type: path
    required: true
  include:
    description:
      - What to freeze - V(mobility) (automatic update of the Mobility service), V(extensions), V(images) (automatic OS upgrade of scale
        sets).
    type: list
    elements: str
    choices: [mobility, extensions, images]
    default: [mobility, extensions, images]
  vault_id:
    description:
      - The resource id of a Recovery Services vault. Its container mappings are frozen, and the machines that it replicates.
      - The options that choose add up. When nothing is chosen, the only vault of the subscription is meant.
    type: str
  vault_name:
    description: The name of the vault. Needs no O(resource_group) where only one vault in the subscription has this name.
    type: str
  resource_group:
    description: The resource group of the vault. The groups of machines and scale sets are O(resource_groups).
    type: str
  recovery_plan:
    description:
      - The name or resource id of a recovery plan in the vault. Of the machines that the vault replicates, only those in the plan are
        meant; the container mappings are those of the whole vault.
      - Of each replicated item the machine that serves now is meant - the one that it was failed over to, else its source.
    type: str
  machine_ids:
    description: The resource ids of virtual machines.
    type: list
    elements: str
  scale_set_ids:
    description: The resource ids of scale sets.
    type: list
    elements: str
  resource_groups:
    description:
      - The names of resource groups, of which all virtual machines and scale sets are meant. The virtual machines of a Flexible scale set
        are reached by their scale set.
    type: list
    elements: str
  tags:
    description:
      - Of the O(resource_groups), only the machines and scale sets that have all of these tags, each as V(name), for a tag with any
        value, or V(name:value).
    type: list
    elements: str
  timeout:
    description: How many minutes to wait for all changes together. What is not done by then is reported as timed out.
    type: float
    default: 60
  max_failures:
    description: How many machines, scale sets and mappings may fail without the task failing.
    type: int
    default: 0
notes:
  - A machine that does not run is left alone by a freeze, with a warning - nothing upgrades it, and Azure takes no change of its
    extensions. One that was frozen and does not run when it is thawed fails, and stays in the record; start it and thaw again.
  - In a scale set the model is changed, and it is the model that Azure goes by. With the upgrade modes Automatic and Rolling the platform
    brings the change to the instances, in batches with Rolling, and the module waits for that; with Manual they lag behind the model until
    it is thawed.
  - An extension whose provisioning has failed is run again by Azure when its setting is changed.
  - The schedule of an automation account is made by Azure anew, under another name, when automatic update of the Mobility service is put
    back.
seealso:
  - module: cloudops.azure_dr.asr_autoupdate
  - module: cloudops.azure_dr.vm_extension_autoupgrade
  - module: cloudops.azure_dr.vmss_os_upgrade
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
"""

EXAMPLES = r"""
- name: See what would be turned off, of the only vault and the machines that it replicates
  cloudops.azure_dr.change_freeze:
    path: shop-freeze.json
  check_mode: true
  diff: true

- name: Freeze the vault, the machines of a recovery plan, and a resource group
  cloudops.azure_dr.change_freeze:
    path: shop-freeze.json
    vault_name: rsv-dr-weu
    recovery_plan: shop
    resource_groups:
      - rg-shop-weu

- name: Put everything back as it was
  cloudops.azure_dr.change_freeze:
    state: thawed
    path: shop-freeze.json
"""

RETURN = r"""
record:
  description: The file of the record.
  returned: when the targets could be chosen
  type: str
  sample: /home/ops/shop-freeze.json
begun:
  description: When the freeze in the record began, in UTC. C(null) in check mode where there is no record of one yet.
  returned: when the targets could be chosen
  type: str
  sample: "2026-11-02T05:12:44Z"
thawed:
  description: When all that the record holds was thawed, in UTC; C(null) while something is left.
  returned: when the targets could be chosen
  type: str
  sample: null
frozen:
  description: The ids of what the record holds and is not thawed.
  returned: when the targets could be chosen
  type: list
  elements: str
  sample: []
targets:
  description: The container mappings, virtual machines and scale sets, and what became of each.
  returned: when the targets could be chosen
  type: list
  elements: dict
  contains:
    id:
      description: The resource id.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute/\
        virtualMachines/shop-web-01"
    name:
      description: The name.
      type: str
      sample: shop-web-01
    changed:
      description: Whether a setting was changed, or would be in check mode.
      type: bool
      sample: true
    state:
      description: V(unchanged), V(changed), V(failed), V(skipped) or V(timed_out).
      type: str
      sample: changed
    reason:
      description: Why it was skipped, failed or timed out; and what others have changed on it during the freeze.
      type: str
      sample: null
    actions:
      description: What was done, or would be done in check mode.
      type: list
      elements: str
      sample: ["extension AzureMonitorLinuxAgent: disable automatic upgrade"]
    resumed:
      description:
        - What earlier runs had begun on it and not seen the end of, by their journals, with C(action), C(time), C(run), C(module) and
          C(host). This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      sample: []
    before:
      description:
        - The settings as they were. A container mapping is shown as M(cloudops.azure_dr.asr_autoupdate) shows it; of a machine or scale set
          the extensions that the record holds as M(cloudops.azure_dr.vm_extension_autoupgrade) shows them.
      type: dict
      contains: &settings
        auto_update:
          description: V(Enabled) or V(Disabled).
          type: str
          returned: for a container mapping
          sample: Enabled
        automatic_os_upgrade:
          description: Whether automatic OS upgrade is on.
          type: bool
          returned: for a scale set
          sample: true
        extensions:
          description: The extensions, each with its C(status), V(enabled), V(disabled) or V(not_supported).
          type: list
          elements: dict
          returned: for a machine or scale set
          sample: []
    after:
      description: The settings as they were read at the end, or as they would be in check mode.
      type: dict
      contains: *settings
    started:
      description: When the module began to change it, in UTC.
      type: str
      sample: "2026-11-02T06:00:01Z"
    ended:
      description: When the module had seen the end of it, in UTC.
      type: str
      sample: "2026-11-02T06:01:09Z"
    error:
      description: The error, in the form of RV(error).
      returned: when it failed or timed out
      type: dict
journal:
  description: The file in O(journal_dir) that tells what was sent, on the host that ran the module. C(null) when nothing was.
  returned: when the targets could be chosen
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-change_freeze-3fa9c1.jsonl
summary:
  description: Counts by RV(targets[].state), and how long it took.
  returned: when the targets could be chosen
  type: dict
  contains:
    unchanged:
      description: How many were as wanted.
      type: int
      sample: 0
    changed:
      description: How many were changed, or would be in check mode.
      type: int
      sample: 2
    failed:
      description: How many failed.
      type: int
      sample: 0
    skipped:
      description: How many were left alone.
      type: int
      sample: 0
    timed_out:
      description: How many timed out.
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
  description: The error that ended the module before it changed anything.
  returned: when the module could not begin
  type: dict
  contains:
    asked:
      description: What was asked of Azure.
      type: str
      sample: read the vault
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
      sample: The client does not have authorization to perform action 'Microsoft.RecoveryServices/vaults/read'.
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
from ansible_collections.cloudops.azure_dr.plugins.module_utils import choice, freezing
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import resolved


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    params = module.params
    journal = Journal.open(params["journal_dir"], "change_freeze", azure.cloud.resource_manager)
    ended = await freezing.work(azure, params, journal, module.check_mode)
    for warning in [*ended.warnings, *journal.warnings]:
        module.warn(warning)
    seen = ended.before if module.check_mode else ended.after
    told = {
        "record": str(resolved(params["path"])),
        "begun": seen and seen.begun,
        "thawed": seen and seen.thawed,
        "frozen": [entry.id for entry in seen.open] if seen else [],
        "journal": journal.name,
    }
    result = ended.report.result(params["max_failures"])
    return told | result | {"changed": result["changed"] or ended.after != ended.before}


def main() -> None:
    lists = {name: {"type": "list", "elements": "str"} for name in ("machine_ids", "scale_set_ids", "resource_groups", "tags")}
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | {name: choice.ARGUMENTS[name] for name in ("vault_id", "vault_name", "resource_group", "recovery_plan")}
        | JOURNAL_ARGUMENTS
        | lists
        | {
            "state": {"type": "str", "choices": [freezing.FROZEN, freezing.THAWED], "default": freezing.FROZEN},
            "path": {"type": "path", "required": True},
            "include": {"type": "list", "elements": "str", "choices": list(freezing.INCLUDES), "default": list(freezing.INCLUDES)},
            "timeout": {"type": "float", "default": 60},
            "max_failures": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    session.main(module, partial(work, module), freezing.check_input)


if __name__ == "__main__":
    main()
