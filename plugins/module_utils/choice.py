# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which virtual machines and scale sets a module works on: by id, by resource group and tags, or by what is replicated.

Like a module, it stands above the domain folders and puts them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import machines, scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, recovery_plans, vault

ARGUMENTS: dict[str, dict[str, Any]] = vault.VAULT_ARGUMENTS | {
    "machine_ids": {"type": "list", "elements": "str"},
    "tags": {"type": "list", "elements": "str"},
    "recovery_plan": {"type": "str"},
}
_OTHERS = ("resource_group", "recovery_plan", "vault_id", "vault_name")
MUTUALLY_EXCLUSIVE = [("machine_ids", name) for name in _OTHERS]
# The same for modules that work on scale sets, too.
BOTH_ARGUMENTS: dict[str, dict[str, Any]] = ARGUMENTS | {"scale_set_ids": {"type": "list", "elements": "str"}}
BOTH_MUTUALLY_EXCLUSIVE = [*MUTUALLY_EXCLUSIVE, *(("scale_set_ids", name) for name in _OTHERS)]


@dataclass(frozen=True)
class Choice:
    """The machines, at least one. sources: for those that stand in for others, by ids.key, the ids of these."""

    targets: list[Target]
    sources: Mapping[str, str] = field(default_factory=dict)


def check(params: dict[str, Any]) -> None:
    """Refuse what is wrong before any request. Raises InputError."""
    if params["machine_ids"]:
        machines.of_ids(params["machine_ids"])
    if params.get("scale_set_ids"):
        scale_sets.of_ids(params["scale_set_ids"])
    if params["tags"] and not _by_group(params):
        raise InputError("tags", params["tags"], "to be given with resource_group, whose machines they choose from")
    vault.check_input(params)


async def failed_over(azure: Any, params: Mapping[str, Any]) -> Choice:
    """The machines that the options name; by recovery plan those that it has failed over. Raises AzureDRError when there are none."""
    found = await _named(azure, params)
    if found is not None:
        return found
    chosen = await vault.find(azure, params)
    plan = await recovery_plans.plan(azure, chosen, params["recovery_plan"])
    made = await recovery_plans.failed_over_machines(azure, chosen, plan)
    if not made:
        raise AzureDRError(_nothing(f"recovery plan {plan.name}: none of its machines is failed over"))
    sources = {ids.key(machine.id): machine.source_id for machine in made if machine.source_id}
    return Choice(machines.of_ids(machine.id for machine in made), sources)


async def protected(azure: Any, params: Mapping[str, Any]) -> Choice:
    """The machines that the options name; by recovery plan those that it protects. Raises AzureDRError when there are none."""
    found = await _named(azure, params)
    if found is not None:
        return found
    plan = await recovery_plans.plan(azure, await vault.find(azure, params), params["recovery_plan"])
    targets = [Target(item.source_vm_id, item.friendly_name) for item in plan.items if item.source_vm_id]
    if not targets:
        raise AzureDRError(_nothing(f"recovery plan {plan.name}: it protects none"))
    return Choice(targets)


async def standing(azure: Any, params: Mapping[str, Any]) -> Choice:
    """The machines and scale sets that the options name; by vault or recovery plan the machines that serve now: of each replicated item the
    one that it was failed over to, else its source. Raises AzureDRError when there are none."""
    if params["machine_ids"] is not None or params["scale_set_ids"] is not None:
        found = [*machines.of_ids(params["machine_ids"] or ()), *scale_sets.of_ids(params["scale_set_ids"] or ())]
        place = "machine_ids and scale_set_ids"
    elif _by_group(params):
        group, tags = params["resource_group"], params["tags"] or []
        listed = await asyncio.gather(machines.of_group(azure, group, tags, members=False), scale_sets.of_group(azure, group, tags))
        found, place = [target for part in listed for target in part], _group(params)
    else:
        chosen = await vault.find(azure, params)
        if params["recovery_plan"]:
            plan = await recovery_plans.plan(azure, chosen, params["recovery_plan"])
            replicated, place = plan.items, f"recovery plan {plan.name}"
        else:
            replicated, place = tuple(items.parse(wire) for wire in await chosen.replicated_items(azure)), f"vault {chosen.name}"
        serving = (item.recovery_vm_id if recovery_plans.failed_over(item) else item.source_vm_id for item in replicated)
        found = machines.of_ids(machine for machine in serving if machine)
    if not found:
        raise AzureDRError(f"There is no virtual machine and no scale set to work on in {place}.")
    return Choice(found)


async def _named(azure: Any, params: Mapping[str, Any]) -> Choice | None:
    """The machines by id or by resource group; None when they are chosen by recovery plan."""
    if params["machine_ids"] is not None:
        found, place = machines.of_ids(params["machine_ids"]), "machine_ids"
    elif _by_group(params):
        found = await machines.of_group(azure, params["resource_group"], params["tags"] or [])
        place = _group(params)
    else:
        return None
    if not found:
        raise AzureDRError(_nothing(place))
    return Choice(found)


def _by_group(params: Mapping[str, Any]) -> bool:
    """Whether machines are chosen by resource group; with a vault or a plan that is the vault's group."""
    others = ("machine_ids", "scale_set_ids", "recovery_plan", "vault_id", "vault_name")
    return bool(params["resource_group"]) and not any(params.get(name) for name in others)


def _group(params: Mapping[str, Any]) -> str:
    """The choice by resource group, in words."""
    return f"resource group {params['resource_group']}" + (f" with the tags {', '.join(params['tags'])}" if params["tags"] else "")


def _nothing(place: str) -> str:
    return f"There is no virtual machine to work on in {place}."
