# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a machine would come up in the other region with all that it has: its extensions, and a size, cores and a network for it there.

All is read by lists, a few for all machines. Two tiers of cores are limited, those of the region and those of a size's family, and neither
may be exceeded (Microsoft Learn, vCPU quotas).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.checks import FAIL, PASS, UNKNOWN, WARN, Check, untold, worst
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import TYPE
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.restoring import Wishes
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import View

Wire = dict[str, Any]
Read = TypeVar("Read")

API_VERSION = "2024-07-01"  # Azure API document, virtual machines
NETWORK_API_VERSION = "2024-05-01"  # Azure API document, virtual networks
CORES, MACHINES = "cores", "virtualMachines"  # the names of the usages that every size counts for
READER = "Give the sign-in the role Reader there, or look at it yourself."


class NotRecorded(AzureDRError):
    """The baseline, which is to be restored from, holds nothing of a machine."""


async def known(reading: Awaitable[Read]) -> Read | AzureError:
    """What is read; the error in its place where it cannot be."""
    try:
        return await reading
    except AzureError as error:
        return error


@dataclass(frozen=True)
class Listed:
    """A machine as lists tell it."""

    size: str | None
    extensions: tuple[str, ...]


async def listed(azure: Any, machine_ids: Iterable[str]) -> dict[str, Listed | AzureError]:
    """The machines, by ids.key: a list for each of their resource groups. A machine that is not there is not among them; one whose group
    cannot be listed has the error.

    Read without the typed client, whose models of a thousand machines take longer to make than Azure's answer to come.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for machine_id in machine_ids:
        parsed = ids.parse(machine_id)
        groups.setdefault((parsed.subscription.lower(), parsed.resource_group.lower()), []).append(ids.key(machine_id))

    async def of_group(subscription: str, group: str) -> list[Wire] | AzureError:
        path = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{TYPE}"
        return await known(azure.list("list the virtual machines", path, API_VERSION))

    found: dict[str, Listed | AzureError] = {}
    for wires, keys in zip(await asyncio.gather(*(of_group(*group) for group in groups)), groups.values(), strict=True):
        if isinstance(wires, AzureError):
            found |= dict.fromkeys(keys, wires)
        else:
            there = {ids.key(wire["id"]): wire for wire in wires}
            found |= {key: _listed(there[key]) for key in keys if key in there}
    return found


def _listed(wire: Wire) -> Listed:
    """A list gives the ids of a machine's extensions, and nothing else of them."""
    names = (ids.parse(resource["id"]) for resource in wire.get("resources") or ())
    size = ((wire.get("properties") or {}).get("hardwareProfile") or {}).get("vmSize")
    return Listed(size, tuple(one.name for one in names if one.type.lower().endswith("/extensions")))


def explained(found: Listed, record: View) -> bool:
    """Whether a machine has the extensions of its record, as far as names tell."""
    return {name.lower() for name in found.extensions} == {one["name"].lower() for one in record["extensions"]}


def kind(one: View) -> str:
    return f"{one['publisher']}.{one['type']}".lower()


def lost(record: View | AzureDRError, now: View | AzureDRError | None, wishes: Wishes, restored: bool) -> Check:
    """Whether all extensions that a failover loses are brought back.

    record: what is brought back, when `restored`; else what the machine has, of which only what is asked for comes back. now: what the
    machine has, where that differs from the record; None where it does not.
    """
    name = "extensions"
    if isinstance(record, NotRecorded):
        return Check(name, FAIL, str(record), "Write a baseline of it with the playbook baseline.")
    if isinstance(record, AzureDRError):
        return untold(name, record, "See that the machine can be read, or restore from a baseline.")
    if isinstance(now, AzureDRError):
        return untold(name, now, "See that the machine can be read.")
    plan = wishes.restored(record["extensions"], record["os_type"])
    # What is asked for of the agent goes over a record, and adds it to none (restoring.Wishes).
    asked = {wanted.kind.lower() for wanted in (*(() if restored else wishes.agents), *wishes.others) if wanted.state == "present"}
    if restored:
        parts = [
            Check(name, FAIL, f"{wanted.name or wanted.type} {wanted.refusal}".rstrip("."), None)
            for wanted in plan.wanted
            if wanted.refusal
        ] + _drift(record, now, wishes, asked)
    else:
        left_out = {one["name"] for one, _why in plan.left_out}
        parts = _unrestored([one for one in record["extensions"] if one["name"] not in left_out and kind(one) not in asked])
    back = [
        wanted.name or wanted.type for wanted in plan.wanted if wanted.state == "present" and (restored or wanted.kind.lower() in asked)
    ]
    told = f"{', '.join(back) or 'None'} will be brought back." if back or plan.left_out else "There is none to lose."
    told += "".join(f" {one['name']} stays away: {why}." for one, why in plan.left_out)
    return worst(name, parts, told)


def _unrestored(gone: Sequence[View]) -> list[Check]:
    remedy = "Write a baseline and restore from it (restore_from), or ask for it with extensions."
    return [
        Check("extensions", FAIL, f"{one['name']} ({one['publisher']}.{one['type']}) is lost, and nothing brings it back.", remedy)
        for one in gone
    ]


def _drift(record: View, now: View | None, wishes: Wishes, asked: set[str]) -> list[Check]:
    """What the machine has and the record lacks, and the other way round."""
    if now is None:
        return []
    recorded, present = ({kind(one): one for one in view["extensions"]} for view in (record, now))
    left_out = {kind(one) for one, _why in wishes.restored(now["extensions"], now["os_type"]).left_out}
    remedy = "Write the baseline anew with the playbook baseline."
    missing = [one["name"] for key, one in present.items() if key not in recorded and key not in left_out and key not in asked]
    gone = [one["name"] for key, one in recorded.items() if key not in present]
    return [Check("extensions", FAIL, f"{one} is not in the baseline, and so is lost.", remedy) for one in missing] + [
        Check("extensions", WARN, f"{one} is in the baseline, but not on the machine any more: it would come back.", remedy) for one in gone
    ]


@dataclass(frozen=True)
class Place:
    """What a machine needs where a failover brings it up. group_id: its resource group there; size: None for that of its source; networks:
    (virtual network, subnet) of each of its network interfaces; up: it runs there already."""

    group_id: str | None
    region: str | None
    size: str | None
    networks: tuple[tuple[str, str | None], ...]
    up: bool = False

    @property
    def account(self) -> tuple[str, str] | None:
        """The subscription and the region whose cores it needs."""
        return (ids.parse(self.group_id).subscription.lower(), self.region) if self.group_id and self.region else None


def place(wire: Wire, source: Listed | AzureError | None) -> Place:
    """The place of a replicated item's machine, of the item's answer (A2A; recorded traffic). source: gives the size where none is set."""
    properties = wire["properties"]
    details = properties.get("providerSpecificDetails") or {}
    networks: dict[tuple[str, str | None], None] = {}
    for nic in details.get("vmNics") or ():
        network = nic.get("recoveryVMNetworkId") or details.get("selectedRecoveryAzureNetworkId")
        subnets = [config.get("recoverySubnetName") for config in nic.get("ipConfigs") or ()] or [None]
        networks |= {(network, subnet): None for subnet in subnets if network}
    chosen = details.get("selectedRecoveryAzureNetworkId")
    region = (details.get("recoveryFabricLocation") or "").replace(" ", "").lower()
    return Place(
        details.get("recoveryAzureResourceGroupId"),
        region or None,
        details.get("recoveryAzureVMSize") or (source.size if isinstance(source, Listed) else None),
        tuple(networks) or (((chosen, None),) if chosen else ()),
        (properties.get("activeLocation") or "").lower() == "recovery",
    )


async def networks(azure: Any, places: Iterable[Place]) -> dict[str, Wire | AzureError]:
    """The virtual networks of the places, each read once, by ids.key."""
    wanted = {ids.key(network): network for one in places for network, _subnet in one.networks}
    read = await asyncio.gather(*(known(azure.get("read the virtual network", one, NETWORK_API_VERSION)) for one in wanted.values()))
    return dict(zip(wanted, read, strict=True))


def network(place: Place, found: Mapping[str, Wire | AzureError]) -> Check:
    """Whether the networks that the machine comes up in are there, in its region, with their subnets."""
    name, remedy = "target_network", "Choose another network for the machine in the vault."
    if not place.networks:
        return Check(name, FAIL, "No network is chosen for it: it would come up without one.", remedy)
    parts = []
    for network_id, subnet in place.networks:
        wire, called = found[ids.key(network_id)], ids.parse(network_id).name
        if isinstance(wire, AzureError):
            parts.append(
                Check(name, FAIL, f"The virtual network {called} is not there.", remedy) if wire.absent else untold(name, wire, READER)
            )
            continue
        region = str(wire.get("location", "")).replace(" ", "").lower()
        subnets = [one.get("name", "") for one in (wire.get("properties") or {}).get("subnets") or ()]
        if place.region and region != place.region:
            parts.append(Check(name, FAIL, f"The virtual network {called} is in {region}, not in {place.region}.", remedy))
        elif subnet and subnet.lower() not in map(str.lower, subnets):
            there = ", ".join(subnets) or "none"
            parts.append(Check(name, FAIL, f"The virtual network {called} has no subnet {subnet}; it has: {there}.", remedy))
    told = ", ".join(dict.fromkeys(ids.parse(one).name + (f"/{subnet}" if subnet else "") for one, subnet in place.networks))
    return worst(name, parts, f"{told} is there.")


@dataclass(frozen=True)
class Account:
    """What a subscription may have in a region: sizes by lower-case name, usages by lower-case name; the error where that is not told."""

    sizes: Mapping[str, Wire] | AzureError
    usages: Mapping[str, Wire] | AzureError


async def accounts(azure: Any, places: Iterable[Place]) -> dict[tuple[str, str], Account]:
    """The sizes and the quotas of each subscription and region that machines are to come up in."""

    async def read(subscription: str, region: str) -> Account:
        client, scope = azure.compute(subscription), f"/subscriptions/{subscription}"
        sizes = azure.collect("list the sizes of virtual machines", scope, client.resource_skus.list(filter=f"location eq '{region}'"))
        usages = azure.collect("list the quotas of Compute", scope, client.usage.list(region))
        skus, used = await asyncio.gather(known(sizes), known(usages))
        return Account(
            skus if isinstance(skus, AzureError) else {one["name"].lower(): one for one in skus if one.get("resourceType") == MACHINES},
            used if isinstance(used, AzureError) else {one["name"]["value"].lower(): one for one in used},
        )

    wanted = sorted({one.account for one in places if one.account})
    return dict(zip(wanted, await asyncio.gather(*(read(*one) for one in wanted)), strict=True))


def quotas(places: Mapping[str, Place], found: Mapping[tuple[str, str], Account]) -> dict[str, Check]:
    """Whether the sizes of the machines can be had, and enough cores for all of them at once; by the keys of `places`."""
    needed: dict[tuple[str, str], Counter[str]] = {}
    for one in places.values():
        sku = _sku(one, found)
        if one.account and sku and not one.up:
            needs = needed.setdefault(one.account, Counter())
            needs[str(sku.get("family", "")).lower()] += _cores(sku)
            needs[CORES] += _cores(sku)
            needs[MACHINES.lower()] += 1
    return {key: _quota(one, found, needed) for key, one in places.items()}


def _quota(place: Place, found: Mapping[tuple[str, str], Account], needed: Mapping[tuple[str, str], Counter[str]]) -> Check:
    name = "quota"
    if place.up:
        return Check(name, PASS, f"It runs in {place.region} already.")
    if not place.account or not place.size:
        what = "size" if place.account else "resource group and region"
        return Check(name, UNKNOWN, f"Site Recovery tells no {what} for it.", "See the machine's settings in the vault.")
    account = found[place.account]
    if isinstance(account.sizes, AzureError):
        return untold(name, account.sizes, READER)
    sku, region = _sku(place, found), place.region
    if sku is None:
        return Check(name, FAIL, f"There is no size {place.size} in {region}.", "Choose another size for the machine in the vault.")
    barred = [one for one in sku.get("restrictions") or () if (one.get("type") or "").lower() == "location"]
    if barred:
        reason = f"The subscription may not have the size {place.size} in {region} ({barred[0].get('reasonCode')})."
        return Check(name, FAIL, reason, "Choose another size for the machine in the vault, or ask Microsoft for this one.")
    if isinstance(account.usages, AzureError):
        return untold(name, account.usages, READER)
    parts = []
    for usage, need in needed[place.account].items():
        if usage not in (CORES, MACHINES.lower(), str(sku.get("family", "")).lower()):
            continue
        told = account.usages.get(usage)
        if told is None:
            parts.append(Check(name, UNKNOWN, f"Azure tells no limit of {sku.get('family')} in {region}.", READER))
        elif told["limit"] - told["currentValue"] < need:
            reason = (
                f"All machines at once need {need} {told['name'].get('localizedValue') or usage} in {region}, and "
                f"{max(told['limit'] - told['currentValue'], 0)} of {told['limit']} are free."
            )
            parts.append(Check(name, FAIL, reason, "Ask for more quota, or free some."))
    return worst(name, parts, f"{place.size} can be had in {region}, and there is quota for all machines at once.")


def _sku(place: Place, found: Mapping[tuple[str, str], Account]) -> Wire | None:
    account = found.get(place.account) if place.account else None
    sizes = account.sizes if account else None
    return sizes.get((place.size or "").lower()) if isinstance(sizes, Mapping) else None


def _cores(sku: Wire) -> int:
    """The cores that a size counts for; 0 where it is not told."""
    return next((int(one["value"]) for one in sku.get("capabilities") or () if one["name"].lower() == "vcpus"), 0)
