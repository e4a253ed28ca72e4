# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The vault as one picture: everything in it as users are shown it, with what they would have to work out by themselves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, jobs, mappings
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import ReplicatedItem
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.recovery_plans import numbered
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.vault import Vault

Wire = dict[str, Any]
View = dict[str, Any]

PARTS = ("fabrics", "containers", "container_mappings", "policies", "network_mappings", "replicated_items", "recovery_plans", "jobs")


@dataclass(frozen=True)
class Filters:
    """What of the vault is wanted. None of a filter means everything; states and healths are Site Recovery's words in any letter case.

    replicated_items: what items are called; recovery_plan: the name of one; newer_than: leaves out jobs that ended before that.
    """

    replicated_items: Sequence[str] | None = None
    health: Sequence[str] | None = None
    protection_state: Sequence[str] | None = None
    recovery_plan: str | None = None
    job_states: Sequence[str] = ("running", "failed")
    newer_than: timedelta | None = None


async def read(azure: Any, vault: Vault, parts: Iterable[str], filters: Filters) -> dict[str, list[Wire]]:
    """The wanted parts as they are on the wire, all read at once.

    A filter by recovery plan reads the plans too. Raises AzureError when any of them cannot be read to its end.
    """
    wanted = set(parts) | ({"recovery_plans"} if filters.recovery_plan else set())
    names = [part for part in PARTS if part in wanted]
    found = await asyncio.gather(*(getattr(vault, name)(azure) for name in names))
    return dict(zip(names, found, strict=True))


async def read_jobs(azure: Any, vault: Vault, listed: Iterable[Wire], filters: Filters, now: datetime) -> list[jobs.Job]:
    """The wanted jobs, newest first; those that run or failed each read by itself, for the list leaves out their tasks and errors."""
    chosen = jobs.select(map(jobs.parse, listed), filters.job_states, filters.newer_than, now)

    async def whole(job: jobs.Job) -> jobs.Job:
        return job if job.succeeded else jobs.parse(await vault.job(azure, job.name))

    return list(await asyncio.gather(*map(whole, chosen)))


def show(wires: Mapping[str, list[Wire]], filters: Filters, now: datetime, max_age_days: int) -> View:
    """The picture but for the jobs: each part that was read, as a list. Raises AzureDRError for an item or plan that is not there."""
    shown: View = {name: [make(wire) for wire in wires[name]] for name, make in _SIMPLE.items() if name in wires}
    plans = named_plans(wires.get("recovery_plans", ()), filters.recovery_plan)
    if "replicated_items" in wires:
        every = [items.parse(wire) for wire in wires["replicated_items"]]
        shown["replicated_items"] = [item_view(item, now, max_age_days) for item in chosen(every, filters, plans)]
        names = {item.name.lower(): item.friendly_name for item in every}
    else:
        names = {}
    if "recovery_plans" in wires:
        shown["recovery_plans"] = [_plan(plan, names) for plan in plans]
    return shown


def item_view(item: ReplicatedItem, now: datetime, max_age_days: int) -> View:
    """A replicated item with the age of its last test failover in whole days (None: never tested), and whether the next one is due."""
    days = (now - items.when(item.last_test_failover)).days if item.last_test_failover else None
    return asdict(item) | {"days_since_test_failover": days, "test_failover_due": days is None or days >= max_age_days}


def summary(picture: View) -> View:
    """The picture in figures, for the parts that were read."""
    shown: View = {}
    if "replicated_items" in picture:
        found = picture["replicated_items"]
        shown |= {
            "replicated_items": len(found),
            "protection_states": dict(Counter(item["protection_state"] for item in found)),
            "replication_health": dict(Counter(item["replication_health"] or "None" for item in found)),
            "max_rpo_seconds": max((item["rpo_seconds"] for item in found if item["rpo_seconds"] is not None), default=None),
            "agent_updates_required": _named(found, lambda item: item["agent"] and item["agent"]["update_required"]),
            "test_failovers_due": _named(found, lambda item: item["test_failover_due"]),
        }
    if "jobs" in picture:
        shown["jobs"] = dict(Counter(job["state"] for job in picture["jobs"]))
    return shown


def _named(found: list[View], meant: Any) -> list[str]:
    return sorted(item["friendly_name"] for item in found if meant(item))


def chosen(every: Sequence[ReplicatedItem], filters: Filters, plans: Sequence[Wire]) -> list[ReplicatedItem]:
    found = list(every) if filters.replicated_items is None else items.choose(every, filters.replicated_items)
    if filters.recovery_plan:
        # By name: a plan may know an item by the container that it was in before a reprotect moved it.
        members = {_last(member["id"]).lower() for plan in plans for member in _members(plan)}
        found = [item for item in found if item.name.lower() in members]
    return [
        item
        for item in found
        if _among(filters.health, item.replication_health) and _among(filters.protection_state, item.protection_state)
    ]


def _among(wanted: Sequence[str] | None, actual: str | None) -> bool:
    return wanted is None or (actual or "").lower() in (word.lower() for word in wanted)


def named_plans(wires: Sequence[Wire], wanted: str | None) -> list[Wire]:
    if wanted is None:
        return list(wires)
    found = [wire for wire in wires if wanted.lower() in (wire["name"].lower(), wire["id"].lower())]
    if not found:
        known = ", ".join(sorted(wire["name"] for wire in wires)) or "none"
        raise AzureDRError(f"There is no recovery plan {wanted} in the vault. There are: {known}.")
    return found


def _members(plan: Wire) -> list[Wire]:
    return [member for group in plan["properties"].get("groups") or () for member in group.get("replicationProtectedItems") or ()]


def _plan(wire: Wire, names: Mapping[str, str]) -> View:
    properties = wire["properties"]
    groups = []
    for name, kind, group in numbered(wire):
        groups.append(
            {
                "name": name,
                "type": kind,
                "replicated_items": [
                    {"id": member["id"], "name": _last(member["id"]), "friendly_name": names.get(_last(member["id"]).lower())}
                    for member in group.get("replicationProtectedItems") or ()
                ],
                "start_actions": [action.get("actionName") for action in group.get("startGroupActions") or ()],
                "end_actions": [action.get("actionName") for action in group.get("endGroupActions") or ()],
            }
        )
    return {
        "id": wire["id"],
        "name": wire["name"],
        "friendly_name": properties.get("friendlyName"),
        "primary_fabric": properties.get("primaryFabricFriendlyName"),
        "recovery_fabric": properties.get("recoveryFabricFriendlyName"),
        "providers": properties.get("replicationProviders") or [],
        "allowed_operations": properties.get("allowedOperations") or [],
        "current_scenario": (properties.get("currentScenario") or {}).get("scenarioName"),
        "current_scenario_status": properties.get("currentScenarioStatus"),
        "groups": groups,
    }


def _fabric(wire: Wire) -> View:
    properties = wire["properties"]
    details = properties.get("customDetails") or {}
    return {
        "id": wire["id"],
        "name": wire["name"],
        "friendly_name": properties.get("friendlyName"),
        "type": details.get("instanceType"),
        "location": details.get("location"),
        "state": properties.get("bcdrState"),
        "health": properties.get("health"),
        "health_errors": [items.health_error(error) for error in properties.get("healthErrorDetails") or ()],
    }


def _container(wire: Wire) -> View:
    properties = wire["properties"]
    return {
        "id": wire["id"],
        "name": wire["name"],
        "friendly_name": properties.get("friendlyName"),
        "fabric": properties.get("fabricFriendlyName"),
        "type": properties.get("fabricType"),
        "protected_item_count": properties.get("protectedItemCount"),
        "pairing_status": properties.get("pairingStatus"),
        "role": properties.get("role") or None,
    }


def _mapping(wire: Wire) -> View:
    mapping = mappings.parse(wire)
    return {"id": mapping.id, "name": mapping.name, **mapping.view()}


def _policy(wire: Wire) -> View:
    details = wire["properties"].get("providerSpecificDetails") or {}
    return {
        "id": wire["id"],
        "name": wire["name"],
        "friendly_name": wire["properties"].get("friendlyName"),
        "provider": details.get("instanceType"),
        "settings": camel_dict_to_snake_dict({name: value for name, value in details.items() if name != "instanceType"}),
    }


def _network_mapping(wire: Wire) -> View:
    properties = wire["properties"]
    return {
        "id": wire["id"],
        "name": wire["name"],
        "state": properties.get("state"),
        "primary_fabric": properties.get("primaryFabricFriendlyName"),
        "primary_network_id": properties.get("primaryNetworkId"),
        "recovery_fabric": properties.get("recoveryFabricFriendlyName"),
        "recovery_network_id": properties.get("recoveryNetworkId"),
    }


def _last(identifier: str) -> str:
    return identifier.rpartition("/")[2]


_SIMPLE = {
    "fabrics": _fabric,
    "containers": _container,
    "container_mappings": _mapping,
    "policies": _policy,
    "network_mappings": _network_mapping,
}
