# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether an estate is ready to be failed over: every check of every machine and recovery plan, put together.

Like a module, it stands above the domain folders: what is read of one serves the checks of another. All is read by lists, but for the
machines of which lists do not tell enough.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeAlias

from ansible_collections.cloudops.azure_dr.plugins.module_utils import baseline, checks, fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.checks import PASS, UNKNOWN, WARN, Check
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions, machines, restoring
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import readiness as compute
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import associations
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import readiness as monitor
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import resolved
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, mappings, picture, recovery_plans
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import readiness as site_recovery
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import vault as vaults
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import ReplicatedItem

Wire = dict[str, Any]
Record: TypeAlias = "baseline.Record | AzureDRError"

SOURCE = "source"  # restore_from: ask the source machines
# The checks of a machine, in their order; `members` is that of a recovery plan.
CHECKS = (
    "replication_health",
    "failover_health",
    "rpo",
    "protection",
    "test_failover",
    "mobility_service",
    "auto_update",
    "extensions",
    "data_collection_rules",
    "data_collection_endpoint",
    "target_network",
    "quota",
    "recovery_plan",
)
PLAN_CHECKS = ("members",)
STATUSES = (checks.PASS, checks.WARN, checks.FAIL, checks.UNKNOWN)


def check_input(params: dict[str, Any]) -> None:
    """Refuse what is wrong before any request. Raises InputError."""
    vaults.check_input(params)
    for name in ("rpo_objective", "test_failover_max_age_days", "expiry_days"):
        if params[name] < 0:
            raise InputError(name, params[name], "0 or more")
    for rule in params["data_collection_rule_ids"]:
        ids.require("data_collection_rule_ids", rule, associations.RULE)
    associations.endpoints(params["data_collection_endpoint_ids"])
    wishes(params)
    if params["restore_from"] not in (None, SOURCE):
        baseline.read("restore_from", resolved(params["restore_from"]))


def wishes(params: Mapping[str, Any]) -> restoring.Wishes:
    """What is brought back beside a record; of protected settings only whose are known. Raises InputError."""
    others = []
    for text in params["extensions"]:
        publisher, _dot, kind = text.rpartition(".")
        if not publisher or not kind:
            raise InputError("extensions", text, "an extension as Publisher.Type, such as Microsoft.Azure.Extensions.CustomScript")
        others.append(extensions.Wanted(publisher, kind))
    secrets = extensions.Secrets({name: {} for name in params["protected_settings_for"]})
    return restoring.Wishes(extensions.agents("present"), others, secrets, params["leave_out"])


@dataclass(frozen=True)
class Estate:
    """What was read of the vault. mappings, plans: the error where they cannot be read. planned: see readiness.plans_by_item."""

    items: list[ReplicatedItem]
    wires: dict[str, Wire]
    mappings: list[mappings.Mapping] | AzureError
    plans: list[Wire] | AzureError
    planned: Mapping[str, list[str]]

    def plans_of(self, item: ReplicatedItem) -> list[str]:
        return self.planned.get(item.name.lower(), [])


async def look(azure: Any, params: Mapping[str, Any], now: datetime) -> Wire:
    """The module's result. Raises AzureError when the vault or its replicated items cannot be read, AzureDRError where there is nothing to
    look at."""
    vault = await vaults.find(azure, params)
    estate = await _estate(azure, vault)
    filters = picture.Filters(replicated_items=params["replicated_items"], recovery_plan=params["recovery_plan"])
    if isinstance(estate.plans, AzureError) and params["recovery_plan"]:
        raise estate.plans
    plans = [] if isinstance(estate.plans, AzureError) else picture.named_plans(estate.plans, params["recovery_plan"])
    chosen = sorted(picture.chosen(estate.items, filters, plans), key=lambda item: (item.friendly_name.lower(), item.id))
    if not chosen:
        raise AzureDRError(f"There is no replicated machine to look at in the vault {vault.name}: nothing of it could be failed over.")
    policy = site_recovery.Policy(params["rpo_objective"], params["test_failover_max_age_days"], params["expiry_days"])
    elsewhere = await _elsewhere(azure, params, estate, chosen)
    rows = []
    for item in chosen:
        found = [*site_recovery.of_item(item, policy, now), *_around(item, estate), *elsewhere[item.id]]
        found.sort(key=lambda check: CHECKS.index(check.name))
        rows.append(_machine(item, estate, checks.tolerant(found, params["tolerate"])))
    every = {item.name.lower(): item for item in estate.items}
    plan_rows = [_plan(plan, checks.tolerant(site_recovery.of_plan(plan, every), params["tolerate"])) for plan in plans]
    return {
        "changed": False,
        "vault": asdict(vault),
        "verdict": _worst([row["verdict"] for row in (*rows, *plan_rows)]),
        "machines": rows,
        "recovery_plans": plan_rows,
        "summary": summary(rows, plan_rows),
    }


async def _estate(azure: Any, vault: vaults.Vault) -> Estate:
    wires, listed, plans = await asyncio.gather(
        vault.replicated_items(azure), compute.known(vault.container_mappings(azure)), compute.known(vault.recovery_plans(azure))
    )
    return Estate(
        [items.parse(wire) for wire in wires],
        {wire["id"]: wire for wire in wires},
        listed if isinstance(listed, AzureError) else [mappings.parse(wire) for wire in listed],
        plans,
        {} if isinstance(plans, AzureError) else site_recovery.plans_by_item(plans),
    )


def _around(item: ReplicatedItem, estate: Estate) -> list[Check]:
    """The checks of an item by what else is in the vault."""
    reader = "Give the sign-in the permission to read it in the vault."
    if isinstance(estate.mappings, AzureError):
        update = checks.untold("auto_update", estate.mappings, reader)
    else:
        update = site_recovery.auto_update(item, estate.mappings)
    if isinstance(estate.plans, AzureError):
        return [update, checks.untold("recovery_plan", estate.plans, reader)]
    return [update, site_recovery.in_a_plan(estate.plans_of(item))]


async def _elsewhere(azure: Any, params: Mapping[str, Any], estate: Estate, chosen: Sequence[ReplicatedItem]) -> dict[str, list[Check]]:
    """The checks of each item, by its id, that look outside the vault: at its machine, and at the region in which it comes up."""
    standing = [item for item in chosen if item.source_vm_id and not recovery_plans.failed_over(item)]
    listed = await compute.listed(azure, [item.source_vm_id for item in standing if item.source_vm_id])
    places = {item.id: compute.place(estate.wires[item.id], listed.get(ids.key(item.source_vm_id or ""))) for item in chosen}
    (records, present), networks, accounts = await asyncio.gather(
        _records(azure, params, standing, listed),
        compute.networks(azure, places.values()),
        compute.accounts(azure, [one for one in places.values() if not one.up]),
    )
    asked = [*params["data_collection_rule_ids"], *params["data_collection_endpoint_ids"]]
    had = [
        one["data_collection_rule_id"]
        for record in records.values()
        if not isinstance(record, AzureDRError)
        for one in record["associations"]
    ]
    linked = await monitor.existing(azure, [*asked, *filter(None, had)])
    quotas = compute.quotas(places, accounts)
    restored = _Restored(params, wishes(params), records, present, linked)
    return {
        item.id: [*restored.checks(item, places[item.id]), compute.network(places[item.id], networks), quotas[item.id]] for item in chosen
    }


async def _records(
    azure: Any, params: Mapping[str, Any], standing: Sequence[ReplicatedItem], listed: Mapping[str, compute.Listed | AzureError]
) -> tuple[dict[str, Record], dict[str, Record]]:
    """Of each machine, by ids.key of the source, what is to be brought back; and what it has, where that differs.

    Without a baseline each machine is read for it. With one, those whose names of extensions are others than the baseline's.
    """
    sources = {ids.key(item.source_vm_id): item for item in standing if item.source_vm_id}
    if params["restore_from"] in (None, SOURCE):
        return await _read(azure, params, sources.values()), {}
    file = resolved(params["restore_from"])
    kept = baseline.read("restore_from", file)
    records: dict[str, Record] = {
        key: kept.get(key) or compute.NotRecorded(f"The baseline {file.name} holds no record of it.") for key in sources
    }
    present: dict[str, Record] = {}
    unsettled = []
    for key, item in sources.items():
        found, record = listed.get(key), records[key]
        if isinstance(record, AzureDRError):
            continue
        if found is None:
            present[key] = AzureDRError(f"The machine {item.friendly_name} is not there.")
        elif isinstance(found, AzureError):
            present[key] = found
        elif not compute.explained(found, record):
            unsettled.append(item)
    return records, present | await _read(azure, params, unsettled, associated=False)


async def _read(azure: Any, params: Mapping[str, Any], wanted: Any, associated: bool = True) -> dict[str, Record]:
    """What source machines have now, by ids.key, with their associations if wanted; the error for one that cannot be read."""
    targets = [fleet.Target(item.source_vm_id, item.friendly_name) for item in wanted]
    if not targets:
        return {}
    steps: list[fleet.Step[Any]] = [restoring.Recorded(machines.Machines(azure))]
    if associated:
        steps.append(associations.Recorded(azure))
    report = await fleet.run(azure, targets, steps, check=True, timeout=params["timeout"] * 60, noun="source machines")
    return {
        ids.key(outcome.target.id): outcome.before if outcome.state == "unchanged" else AzureDRError(str(outcome.reason))
        for outcome in report.outcomes
    }


@dataclass(frozen=True)
class _Restored:
    """The checks of what a machine gets back."""

    params: Mapping[str, Any]
    wishes: restoring.Wishes
    records: Mapping[str, Record]
    present: Mapping[str, Record]
    linked: monitor.Found

    def checks(self, item: ReplicatedItem, place: compute.Place) -> list[Check]:
        names = ("extensions", "data_collection_rules", "data_collection_endpoint")
        if not item.source_vm_id:
            return [Check(name, PASS, "It is no Azure machine, and has nothing to lose.") for name in names]
        if place.up:
            text = "It is failed over, and the machine that it was has nothing to tell."
            return [Check(name, UNKNOWN, text, "Reprotect it, then look again.") for name in names]
        key = ids.key(item.source_vm_id)
        record, restored = self.records[key], self.params["restore_from"] is not None
        lost = compute.lost(record, self.present.get(key), self.wishes, restored)
        if isinstance(record, AzureDRError):
            return [lost, *(Check(name, UNKNOWN, lost.reason, lost.remedy) for name in names[1:])]
        source = associations.source(record)
        move = monitor.Move(record["os_type"], (item.primary_location or "").replace(" ", "").lower(), place.region)
        rules, endpoints = self.params["data_collection_rule_ids"], self.params["data_collection_endpoint_ids"]
        return [
            self._dependent(lost, record),
            monitor.rules(move, source, rules, self.linked, restored),
            monitor.endpoint(move, source, endpoints, self.linked, restored),
        ]

    def _dependent(self, lost: Check, record: baseline.Record) -> Check:
        """What is asked of the source when it is restored is known only as long as its region answers."""
        if self.params["restore_from"] != SOURCE or not record["extensions"]:
            return lost
        text = "What it has is asked of it when it is restored, and its region may not answer then."
        return checks.worst("extensions", [lost, Check("extensions", WARN, text, "Restore from a baseline (restore_from).")], "")


def _machine(item: ReplicatedItem, estate: Estate, found: Sequence[Check]) -> Wire:
    return {
        "id": item.id,
        "name": item.friendly_name,
        "verdict": checks.verdict(found),
        "source_vm_id": item.source_vm_id,
        "primary_location": item.primary_location,
        "recovery_location": item.recovery_location,
        "recovery_plans": estate.plans_of(item),
        "checks": [check.view() for check in found],
    }


def _plan(plan: Wire, found: Sequence[Check]) -> Wire:
    return {"id": plan["id"], "name": plan["name"], "verdict": checks.verdict(found), "checks": [check.view() for check in found]}


def _worst(verdicts: Sequence[str]) -> str:
    return next(status for status in (checks.FAIL, checks.WARN, checks.PASS) if status in verdicts)


def summary(rows: Sequence[Wire], plan_rows: Sequence[Wire]) -> Wire:
    """The machines by verdict, the recovery plans that fail, and each check by what it came to."""
    verdicts = Counter(row["verdict"] for row in rows)
    statuses = Counter((check["name"], check["status"]) for row in (*rows, *plan_rows) for check in row["checks"])
    return {
        "machines": {status: verdicts[status] for status in STATUSES[:-1]},
        "recovery_plans_failed": sorted(row["name"] for row in plan_rows if row["verdict"] == checks.FAIL),
        "checks": {name: {status: statuses[name, status] for status in STATUSES} for name in (*CHECKS, *PLAN_CHECKS)},
    }
