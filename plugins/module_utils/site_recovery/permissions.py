# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a runbook needs the sign-in to be permitted, on the vault, on the groups that a failover brings machines up in, and elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.permissions import Need
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, recovery_plans
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import vault as vaults

GROUP = "Microsoft.Resources/resourceGroups"
ON_VAULT = (f"{vaults.TYPE}/".lower(),)
# What is done to machines, and so is needed in their groups; the associations are theirs, too.
ON_MACHINES = ("microsoft.compute/", "microsoft.insights/datacollectionruleassociations/")
# All that is ever done to the machines that are replicated: looking at what they have.
ON_SOURCES = ("microsoft.compute/virtualmachines/read", "microsoft.insights/datacollectionruleassociations/read")
SIDES = ("source", "recovery")

Wire = dict[str, Any]


def check_input(params: dict[str, Any]) -> None:
    """Refuse, before any request, actions and ids that are none. Raises InputError."""
    vaults.check_input(params)
    for action in params["actions"]:
        if action.count("/") < 2 or "*" in action:
            raise InputError("actions", action, "an action without wildcards, such as Microsoft.Compute/virtualMachines/read")
    for group in params["machine_groups"] or ():
        ids.require("machine_groups", group, GROUP)
    for resource_id in params["resource_ids"]:
        try:
            ids.parse(resource_id)
        except ValueError as exc:
            raise InputError("resource_ids", resource_id, f"the id of a resource: {exc}") from exc


def needs(actions: Iterable[str], vault_id: str | None, groups: Sequence[str], resource_ids: Sequence[str]) -> list[Need]:
    """The actions, each where it is needed: on the vault, in the groups that machines come up in, or on those resources that are of its
    type."""
    found = []
    for action in actions:
        if action.lower().startswith(ON_VAULT):
            places: Sequence[str] = [vault_id] if vault_id else []
        elif action.lower().startswith(ON_MACHINES):
            places = groups
        else:
            places = [one for one in resource_ids if action.lower().startswith(f"{ids.parse(one).type}/".lower())]
        found += [Need(action, place) for place in places]
    return found


async def look(azure: Any, params: Mapping[str, Any]) -> Wire:
    """The module's result: which of the actions the sign-in lacks, and where; and of which Azure does not tell.

    Raises AzureError and AzureDRError when the vault or the machines cannot be found, unless a permission that is lacking explains it.
    """
    actions = params["actions"]
    by_plan = params["machine_groups"] is None and any(action.lower().startswith(ON_MACHINES) for action in actions)
    vault_id = None
    if by_plan or any(action.lower().startswith(ON_VAULT) for action in actions):
        vault_id = vaults.named(azure, params) or (await vaults.find(azure, params)).id
    groups = list(params["machine_groups"] or ())
    known = await _answers(azure, needs(actions, vault_id, groups, params["resource_ids"]))
    if by_plan:
        try:
            sides = await _groups(azure, params)
        except AzureError as error:
            if error.status != 403 or False not in known.values():
                raise
            sides = {}
        known |= await _answers(azure, needs(actions, None, sides.get("recovery", ()), ()))
        looks = [action for action in actions if action.lower() in ON_SOURCES]
        known |= await _answers(azure, needs(looks, None, sides.get("source", ()), ()))
        groups = list({ids.key(group): group for side in sides.values() for group in side}.values())
    return {
        "vault_id": vault_id,
        "machine_groups": groups,
        "permitted": False not in known.values(),
        "missing": [_view(need) for need in sorted(known) if known[need] is False],
        "unknown": [_view(need) for need in sorted(known) if known[need] is None],
    }


async def _answers(azure: Any, wanted: Sequence[Need]) -> dict[Need, bool | None]:
    return dict(zip(wanted, await asyncio.gather(*map(azure.permissions.granted, wanted)), strict=True))


def _view(need: Need) -> Wire:
    return {"action": need.action, "scope": need.scope}


async def _groups(azure: Any, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """The resource groups of the machines of the plan, or of the items, on each of the sides that are asked for."""
    vault = await vaults.find(azure, params)
    if params["replicated_items"]:
        chosen = items.choose([items.parse(wire) for wire in await vault.replicated_items(azure)], params["replicated_items"])
    else:
        chosen = list((await recovery_plans.plan(azure, vault, params["recovery_plan"])).items)
    machines = {"source": [item.source_vm_id for item in chosen], "recovery": [item.recovery_vm_id for item in chosen]}
    return {side: _distinct(machine for machine in machines[side] if machine) for side in params["sides"]}


def _distinct(machine_ids: Iterable[str]) -> list[str]:
    """The resource groups of machines, each once."""
    machines = [ids.parse(machine_id) for machine_id in machine_ids]
    found = [f"/subscriptions/{machine.subscription}/resourceGroups/{machine.resource_group}" for machine in machines]
    return list({ids.key(group): group for group in found}.values())
