# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Recovery plans with the replicated items that they order, and the machines that a plan has failed over.

A plan is always read by itself: the list of plans leaves out the groups (recorded traffic). Its items are joined from the list of
the whole vault, since a plan may name an item by the place where it was before a reprotect moved it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import ReplicatedItem
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.vault import Vault

Wire = dict[str, Any]

TYPE = "Microsoft.RecoveryServices/vaults/replicationRecoveryPlans"
# Words of testFailoverState that say that no test failover stands: it stays MarkedForDeletion after a clean-up (recorded traffic).
CLEAN = frozenset({"", "none", "markedfordeletion"})


@dataclass(frozen=True)
class Group:
    """A group of a plan, of type Shutdown, Failover or Boot; Boot groups start one after the other, and are what users call groups."""

    name: str
    type: str
    items: tuple[ReplicatedItem, ...]


@dataclass(frozen=True)
class RecoveryPlan:
    """One recovery plan. `current_job` is the id of the last job that ran on it, whether or not it runs still; `wires` are its items as
    Azure sent them, in the order of `items`."""

    id: str
    name: str
    friendly_name: str
    providers: tuple[str, ...]
    allowed_operations: tuple[str, ...]
    current_job: str | None
    groups: tuple[Group, ...]
    wires: tuple[Wire, ...]

    @property
    def items(self) -> tuple[ReplicatedItem, ...]:
        return tuple(item for group in self.groups for item in group.items)


@dataclass(frozen=True)
class Machine:
    """A machine that a failover made. `id` is its resource id, `source_id` that of the machine that it stands in for.

    `item` is the name of the replicated item, `name` the machine's as users know it; `test`: a test failover made it.
    """

    item: str
    name: str
    source_id: str | None
    id: str
    test: bool


async def plan(azure: Any, vault: Vault, wanted: str | None) -> RecoveryPlan:
    """The plan that is called `wanted` (its name or id), with its items; None means the only one of the vault.

    Raises AzureError, and AzureDRError that names the plans that there are.
    """
    name = await _name(azure, vault, wanted)
    wire, listed = await asyncio.gather(vault.recovery_plan(azure, name), vault.replicated_items(azure))
    if wire is None:
        known = await _known(azure, vault)
        raise AzureDRError(f"There is no recovery plan {wanted or name} in the vault {vault.name}. There are: {known}.")
    return parse(wire, listed)


def parse(wire: Wire, listed: Sequence[Wire]) -> RecoveryPlan:
    """The plan of its GET answer, joined with the list of the vault's replicated items. Raises AzureDRError when one is missing there."""
    properties = wire["properties"]
    groups, wires = [], []
    for name, kind, group in numbered(wire):
        members = [_member(wire["name"], entry["id"], listed) for entry in group.get("replicationProtectedItems") or ()]
        wires += members
        groups.append(Group(name, kind, tuple(items.parse(member) for member in members)))
    return RecoveryPlan(
        id=wire["id"],
        name=wire["name"],
        friendly_name=properties.get("friendlyName") or wire["name"],
        providers=tuple(properties.get("replicationProviders") or ()),
        allowed_operations=tuple(properties.get("allowedOperations") or ()),
        current_job=(properties.get("currentScenario") or {}).get("jobId"),
        groups=tuple(groups),
        wires=tuple(wires),
    )


def numbered(wire: Wire) -> Iterator[tuple[str, str, Wire]]:
    """The groups of a plan's GET answer with the name that users know each by ("Group 2" is the second Boot group) and its type."""
    boot = 0
    for group in wire["properties"].get("groups") or ():
        kind = group.get("groupType") or "Boot"
        boot += kind == "Boot"
        yield f"Group {boot}" if kind == "Boot" else kind, kind, group


async def failed_over_machines(azure: Any, vault: Vault, plan: RecoveryPlan) -> list[Machine]:
    """The machines that the plan has failed over, by what Site Recovery says of its items now; see `machines`. Raises AzureError."""
    listed = await vault.replicated_items(azure)
    return machines([items.parse(_member(plan.name, item.id, listed)) for item in plan.items])


def machines(chosen: Sequence[ReplicatedItem]) -> list[Machine]:
    """The machines that failovers of the items have made and that stand now: test machines until they are cleaned up, and recovery machines
    while the item's active location is Recovery.

    An item that was reprotected is on its other side with the active location Primary: its machine is the source again and not listed here.
    """
    found = []
    for item in chosen:
        test = test_stands(item)
        vm_id = item.test_vm_id if test else item.recovery_vm_id
        if vm_id and (test or failed_over(item)):
            found.append(Machine(item.name, item.friendly_name, item.source_vm_id, vm_id, test))
    return found


def failed_over(item: ReplicatedItem) -> bool:
    """Whether the machine runs on the recovery side, committed or not."""
    return (item.active_location or "").lower() == "recovery"


def test_stands(item: ReplicatedItem) -> bool:
    """Whether a test failover of the item waits for its clean-up."""
    return (item.test_failover_state or "").lower() not in CLEAN


async def _name(azure: Any, vault: Vault, wanted: str | None) -> str:
    if wanted and wanted.startswith("/"):
        named = ids.require("recovery_plan", wanted, TYPE)
        if not ids.same(named.parent_id, vault.id):
            raise AzureDRError(f"The recovery plan {wanted} is not in the vault {vault.id}.")
        return named.name
    if wanted:
        return wanted
    names = await vault.recovery_plan_names(azure)
    if len(names) != 1:
        known = ", ".join(names) or "none"
        raise AzureDRError(f"The vault {vault.name} has {len(names)} recovery plans: {known}. Say which one with recovery_plan.")
    return names[0]


async def _known(azure: Any, vault: Vault) -> str:
    return ", ".join(await vault.recovery_plan_names(azure)) or "none"


def _member(plan_name: str, item_id: str, listed: Sequence[Wire]) -> Wire:
    """The item that a plan names: by its id, else by its name, which it keeps when a reprotect moves it to another container."""
    name = item_id.rpartition("/")[2]
    there = [wire for wire in listed if ids.same(wire["id"], item_id)] or [wire for wire in listed if ids.same(wire["name"], name)]
    if len(there) != 1:
        raise AzureDRError(f"The recovery plan {plan_name} names the replicated item {item_id}, which is not in the vault any more.")
    return there[0]
