# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a replicated item could be failed over now, by what Site Recovery says of it: pure checks of an item, and of a recovery plan."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.checks import FAIL, PASS, UNKNOWN, WARN, Check, worst
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import failover, items, mobility, recovery_plans
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import ReplicatedItem
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.mappings import AUTHENTICATION, RUN_AS_RETIRED, Mapping, told

Wire = dict[str, Any]

HEALTH = {"normal": PASS, "warning": WARN, "critical": FAIL}
# What is said of a Mobility service (mobility.KINDS): one that replicates still, but will not for ever, warns.
MOBILITY = {"blocked": FAIL, "reinstall_required": FAIL, "expired": FAIL}
# Site Recovery calculates the RPO every few minutes; one that is older tells nothing of now. Chosen.
STALE = timedelta(hours=1)


@dataclass(frozen=True)
class Policy:
    """What a machine is held against: the recovery point objective in minutes, after how many days a test failover is due again, and how
    many days before its end of support a Mobility service warns."""

    rpo_minutes: float
    test_failover_days: int
    expiry_days: int


def of_item(item: ReplicatedItem, policy: Policy, now: datetime) -> list[Check]:
    """The checks of an item by itself."""
    return [
        health("replication_health", item.replication_health, item),
        health("failover_health", item.failover_health, item),
        rpo(item, policy.rpo_minutes, now),
        protection(item),
        test_failover(item, policy.test_failover_days, now),
        mobility_service(item, policy.expiry_days, now),
    ]


def health(name: str, word: str | None, item: ReplicatedItem) -> Check:
    """A health as Site Recovery judges it, with the errors behind it."""
    status = HEALTH.get((word or "").lower(), UNKNOWN)
    if status == PASS:
        return Check(name, PASS, "Normal.")
    if not word or word.lower() == "none":
        return Check(name, UNKNOWN, "Site Recovery tells none.", "See in the vault whether the machine replicates.")
    said = [error for error in item.health_errors if error["message"]]
    if name == "failover_health" and said and all((error["category"] or "").lower() == "testfailover" for error in said):
        return Check(name, PASS, f"{word}, for want of a test failover alone, which has a check of its own.")
    reason = " ".join(f"{error['message']}" for error in said)
    remedy = " ".join(dict.fromkeys(error["recommended_action"] for error in said if error["recommended_action"]))
    return Check(name, status, f"{word}{f': {reason}' if reason else '; no error is told.'}", remedy or "See its health in the vault.")


def rpo(item: ReplicatedItem, minutes: float, now: datetime) -> Check:
    """How much would be lost, against the objective; a figure of long ago counts for nothing."""
    if item.rpo_seconds is None:
        return Check("rpo", UNKNOWN, "Site Recovery tells no RPO.", "See whether it is protected and replicates.")
    told = f"{_span(item.rpo_seconds)}, the objective is {_span(minutes * 60)}"
    if item.rpo_seconds > minutes * 60:
        return Check("rpo", FAIL, f"The RPO is {told}.", "See what keeps replication behind: churn, bandwidth, the cache storage account.")
    age = now - items.when(item.rpo_calculated) if item.rpo_calculated else None
    if age is None or age > STALE:
        since = f"{_span(age.total_seconds())} ago" if age else "at a time that is not told"
        return Check("rpo", UNKNOWN, f"The RPO was {told}, but that was calculated {since}.", "See whether the machine replicates still.")
    return Check("rpo", PASS, f"The RPO is {told}.")


def protection(item: ReplicatedItem) -> Check:
    """Whether Site Recovery would fail it over now; being Protected does not say so (recorded traffic)."""
    verb = failover.ACTIONS["unplanned"]
    if item.allows(verb.operation):
        return Check("protection", PASS, f"It is {item.protection_state}, and may be failed over.")
    job = f" The job {item.current_job.scenario} runs on it." if item.current_job else ""
    reason = f"Site Recovery does not offer {verb.operation}: it is {item.protection_state}, active location {item.active_location}.{job}"
    return Check("protection", FAIL, reason, "Wait for the job." if job else failover.way_on(verb, [item]))


def test_failover(item: ReplicatedItem, days: int, now: datetime) -> Check:
    """Whether it came up in a test failover lately."""
    remedy = "Drill it: the playbook drill, or asr_failover with the action test."
    if not item.last_test_failover:
        return Check("test_failover", FAIL, "It was never failed over in a test with success.", remedy)
    age = (now - items.when(item.last_test_failover)).days
    told = f"Its last successful test failover is {age} days old, {days} are allowed."
    return Check("test_failover", FAIL, told, remedy) if age > days else Check("test_failover", PASS, told)


def mobility_service(item: ReplicatedItem, days: int, now: datetime) -> Check:
    """Whether its Mobility service is current and supported."""
    name = "mobility_service"
    if item.agent is None:
        return Check(name, PASS, f"It replicates with {item.provider or 'another provider'}, without one that has to be kept current.")
    if not item.agent.version:
        return Check(name, UNKNOWN, "Site Recovery tells no version.", "See whether it is protected and replicates.")
    parts = [Check(name, MOBILITY.get(one.kind, WARN), one.reason, one.advice) for one in mobility.judge(item, now, days)]
    return worst(name, parts, f"Its version {item.agent.version} is current.")


def auto_update(item: ReplicatedItem, mappings: Sequence[Mapping]) -> Check:
    """Whether Azure keeps its Mobility service current, by the container mapping that it replicates with."""
    name, switch = "auto_update", "Switch it on with asr_autoupdate."
    if item.provider.lower() != "a2a":
        return Check(name, PASS, f"It replicates with {item.provider or 'another provider'}, which has no automatic update.")
    own = [one for one in mappings if ids.same(ids.parse(one.id).parent_id, ids.parse(item.id).parent_id)]
    found = [one for one in own if one.policy == item.policy] or own
    if not found:
        return Check(name, UNKNOWN, "No container mapping leads from its protection container.", "Look at the mappings in the vault.")
    mapping = next((one for one in found if one.has_update), found[0])
    if not mapping.has_update:
        return Check(name, FAIL, f"Its container mapping {mapping.name} is {mapping.state or 'in no known state'}.", "Pair it again.")
    if (mapping.auto_update or "").lower() != "enabled":
        reason = f"Automatic update of the Mobility service is off in the container mapping {mapping.name}."
        return Check(name, WARN, reason, f"{switch} While it is off, update with asr_mobility_update.")
    if (mapping.authentication_type or "").lower() == AUTHENTICATION["run_as_account"].lower():
        return Check(name, FAIL, f"It is on in {mapping.name}, but cannot work: it signs in with a Run As account.", RUN_AS_RETIRED)
    if mapping.health_errors:
        reason = f"It is on in {mapping.name}, but not healthy: {told(mapping.health_errors)}"
        return Check(name, FAIL, reason, "Repair it with asr_autoupdate.")
    return Check(name, PASS, f"It is on and healthy in {mapping.name}.")


def plans_by_item(plans: Sequence[Wire]) -> dict[str, list[str]]:
    """The names of the recovery plans that each item is in, by the item's name in lower case: a plan may know an item by the place where it
    was before a reprotect."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        for name in members(plan):
            found.setdefault(name, []).append(plan["name"])
    return found


def in_a_plan(names: Sequence[str]) -> Check:
    """Whether any plan would fail it over."""
    if names:
        return Check("recovery_plan", PASS, f"It is in {', '.join(names)}.")
    remedy = "Add it to a recovery plan; a machine that is to stay without one can be failed over by itself."
    return Check("recovery_plan", WARN, "It is in no recovery plan, so no failover of a plan brings it up.", remedy)


def members(plan: Wire) -> dict[str, str]:
    """The items that a plan orders: their names in lower case, with the ids by which it knows them."""
    entries = [entry for _name, _kind, group in recovery_plans.numbered(plan) for entry in group.get("replicationProtectedItems") or ()]
    return {ids.key(entry["id"]).rpartition("/")[2]: entry["id"] for entry in entries}


def of_plan(plan: Wire, every: Dict[str, ReplicatedItem]) -> list[Check]:
    """The checks of a recovery plan. every: all items of the vault by their names in lower case."""
    ordered = members(plan)
    gone = [identifier for name, identifier in ordered.items() if name not in every]
    if not ordered:
        return [Check("members", WARN, "It orders no machine.", "Add the machines that it is to fail over, or remove it.")]
    if gone:
        reason = f"It names replicated items that are not in the vault any more: {', '.join(gone)}."
        return [Check("members", FAIL, reason, "Remove them from the plan: it cannot be failed over as it is.")]
    return [Check("members", PASS, f"All of its {len(ordered)} machines are in the vault.")]


def _span(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length, 1):g} {unit}"
    return f"{round(seconds)} seconds"
