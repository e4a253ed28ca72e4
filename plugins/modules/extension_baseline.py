#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write down which extensions and associations virtual machines have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: extension_baseline
short_description: Write down which extensions and associations virtual machines have, to restore them from
version_added: 1.0.0
description:
  - A failover takes no extension along, and on the day on which a region fails its machines may not answer what they had. This
    module writes that down on a calm day - for each machine its extensions in their order, with public settings, version, upgrade
    flags and tags, its associations with data collection rules and with an endpoint, and its identities. M(cloudops.azure_dr.ama_reinstall)
    restores from the file with O(cloudops.azure_dr.ama_reinstall#module:restore_from).
  - It only reads in Azure. The file changes only when something that it holds has changed.
  - Protected settings are not in it, since Azure never gives them back. Public settings are; the file is readable by its owner only,
    for the case that somebody put a secret among them.
options:
  path:
    description:
      - The file, on the host that runs the module. It is put in the place of an older one whole or not at all.
      - A relative path begins where the command was started.
      - It holds the machines that were chosen, and no others. A machine that could not be read keeps the record that the file had of it.
    type: path
    required: true
  machine_ids:
    description:
      - The resource ids of the virtual machines to write down.
      - Choose machines with this option, with O(resource_group), or with O(recovery_plan). When none of them is given, the machines are
        those that the only recovery plan of the only vault protects.
    type: list
    elements: str
  resource_group:
    description:
      - Write down the virtual machines of this resource group that have the O(tags).
      - Together with O(vault_name) it is the resource group of the vault instead, and machines are chosen by recovery plan.
    type: str
  tags:
    description:
      - Only the machines of the O(resource_group) that have all of these tags, each as V(name), for a tag with any value, or V(name:value).
    type: list
    elements: str
  recovery_plan:
    description:
      - The name or resource id of a recovery plan. Write down the machines that it protects, which are those of the source region.
      - Needs to be given only when the vault has more than one.
    type: str
  timeout:
    description: How many minutes reading may take. A machine that was not read by then is reported as timed out.
    type: int
    default: 30
  max_failures:
    description: How many machines may fail to be read without the task failing.
    type: int
    default: 0
notes:
  - Run it on a schedule, and keep the file where the failed region does not matter, such as a repository or a mounted volume.
  - The sign-in needs the role Reader on the machines, and on the vault for O(recovery_plan).
seealso:
  - module: cloudops.azure_dr.ama_reinstall
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
"""

EXAMPLES = r"""
- name: Write down what the machines of the only recovery plan have
  cloudops.azure_dr.extension_baseline:
    path: shop-baseline.json

- name: See what has changed since, and leave the file as it is
  cloudops.azure_dr.extension_baseline:
    path: shop-baseline.json
    vault_name: rsv-dr-weu
    recovery_plan: shop
  check_mode: true
  diff: true

- name: Write down the web servers of a resource group
  cloudops.azure_dr.extension_baseline:
    path: web-baseline.json
    resource_group: rg-shop-neu
    tags:
      - tier:web
"""

RETURN = r"""
path:
  description: The file.
  returned: when the machines could be chosen
  type: str
  sample: shop-baseline.json
targets:
  description: The machines, and what was found of each.
  returned: when the machines could be chosen
  type: list
  elements: dict
  contains:
    id:
      description: The machine's resource id.
      type: str
      returned: always
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute/\
        virtualMachines/shop-web-01"
    name:
      description: The machine's name.
      type: str
      returned: always
      sample: shop-web-01
    changed:
      description: Whether its record has changed, or would in check mode.
      type: bool
      returned: always
    state:
      description: V(unchanged), V(changed), V(failed) or V(timed_out).
      type: str
      returned: always
      sample: changed
    reason:
      description: Why it could not be read.
      type: str
      returned: always
      sample: null
    actions:
      description: What was done, or would be done in check mode.
      type: list
      elements: str
      returned: always
      sample:
        - record 2 extensions and 2 associations
    before:
      description: The record that the file had; empty for none.
      type: dict
      returned: always
      contains: &record
        id:
          description: The machine's resource id.
          type: str
          returned: when there is a record
        name:
          description: The machine's name.
          type: str
          returned: when there is a record
        region:
          description: Its region.
          type: str
          returned: when there is a record
          sample: northeurope
        os_type:
          description: V(windows) or V(linux).
          type: str
          returned: when there is a record
          sample: linux
        identity:
          description: Its managed identities, with the keys C(type) and C(user_assigned).
          type: dict
          returned: when there is a record
        extensions:
          description:
            - Its extensions, in Azure's order, each with C(name), C(publisher), C(type), C(type_handler_version),
              C(auto_upgrade_minor_version), C(enable_automatic_upgrade), C(settings) and C(tags); and where they are set,
              C(force_update_tag), C(suppress_failures), C(protected_settings_from_key_vault) and C(provision_after_extensions).
          type: list
          elements: dict
          returned: when there is a record
        associations:
          description:
            - Its associations, each with C(name), C(data_collection_rule_id), C(data_collection_endpoint_id) and C(description).
          type: list
          elements: dict
          returned: when there is a record
    after:
      description: The record as it is now.
      type: dict
      returned: always
      contains: *record
    started:
      description: Always V(none), for what is recorded takes no time in Azure.
      type: str
      returned: always
      sample: null
    ended:
      description: Always V(none).
      type: str
      returned: always
      sample: null
    resumed:
      description: Always empty.
      type: list
      elements: dict
      returned: always
      sample: []
    error:
      description: Azure's error - what was asked, of which resource, HTTP status, code, message and request id.
      type: dict
      returned: when it could not be read
removed:
  description: The ids of the machines that were in the file and are not among those that were chosen.
  returned: when the machines could be chosen
  type: list
  elements: str
  sample: []
summary:
  description: The machines counted by state, and how long it took, in seconds.
  returned: when the machines could be chosen
  type: dict
  contains:
    unchanged:
      description: How many records are as they were.
      type: int
      returned: always
    changed:
      description: How many records have changed.
      type: int
      returned: always
      sample: 13
    failed:
      description: How many machines could not be read.
      type: int
      returned: always
    skipped:
      description: Always 0.
      type: int
      returned: always
    timed_out:
      description: How many machines were not read in time.
      type: int
      returned: always
    minimum_duration:
      description: Always 0, since nothing is changed in Azure.
      type: float
      returned: always
    duration:
      description: How long it took.
      type: float
      returned: always
      sample: 2.1
    throttled_requests:
      description: How many requests Azure has throttled.
      type: int
      returned: always
      sample: 0
error:
  description: The error, where no machine could be chosen or the file could not be written. Its keys are those of RV(targets[].error).
  returned: when the machines could not be chosen or the file could not be written
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import baseline, choice, fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, ids, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import machines, restoring
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import associations
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import resolved


def argument_spec() -> dict[str, Any]:
    return (
        credentials.argument_spec()
        | choice.ARGUMENTS
        | {
            "path": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 30},
            "max_failures": {"type": "int", "default": 0},
        }
    )


def check(params: dict[str, Any]) -> None:
    """Refuse what is wrong before any request."""
    choice.check(params)
    kept(params)


def kept(params: dict[str, Any]) -> dict[str, baseline.Record]:
    """What the file holds; nothing where there is none. Raises InputError for one that is no baseline: it is not written over."""
    path = resolved(params["path"])
    return baseline.read("path", path) if path.exists() else {}


async def record(azure: session.Azure, module: AnsibleModule) -> dict[str, Any]:
    """The module's work: read the machines, and write the file where it would change."""
    params, before = module.params, kept(module.params)
    chosen = await choice.protected(azure, params)
    steps: list[fleet.Step[Any]] = [restoring.Recorded(machines.Machines(azure)), associations.Recorded(azure)]
    report = await fleet.run(azure, chosen.targets, steps, check=True, timeout=params["timeout"] * 60, noun="machines")
    for outcome in report.outcomes:
        compare(outcome, before.get(ids.key(outcome.target.id), {}))
    records = [outcome.after for outcome in report.outcomes if outcome.after]
    removed = sorted(set(before) - {ids.key(outcome.target.id) for outcome in report.outcomes})
    result = report.result(params["max_failures"]) | {"path": params["path"], "removed": removed}
    result["diff"] += [
        {"before_header": before[key]["name"], "after_header": before[key]["name"], "before": before[key], "after": {}} for key in removed
    ]
    result["changed"] = result["changed"] or bool(removed)
    if result["changed"] and not module.check_mode:
        baseline.write(resolved(params["path"]), records)
    return result


def compare(outcome: fleet.Outcome, before: baseline.Record) -> None:
    """Make of a look at a machine what became of its record; one that could not be read keeps what it had."""
    outcome.before, outcome.after = before, outcome.before if outcome.state == "unchanged" else before
    if outcome.state == "unchanged" and outcome.after != before:
        outcome.state = "changed"
        counts = f"{len(outcome.after['extensions'])} extensions and {len(outcome.after['associations'])} associations"
        outcome.actions = [f"record {counts}"]


def main() -> None:
    module = AnsibleModule(argument_spec(), supports_check_mode=True, mutually_exclusive=choice.MUTUALLY_EXCLUSIVE)
    session.main(module, lambda azure: record(azure, module), check)


if __name__ == "__main__":
    main()
