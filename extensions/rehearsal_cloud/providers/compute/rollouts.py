# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Rollouts: an image, a model or versions of extensions, batch by batch over the instances of a scale set or the VMs of a region.

The rules are those of Microsoft Learn (automatic OS image upgrades; automatic extension upgrade; rolling upgrade policy): before each batch
not more than the allowed share may be unhealthy; a batch is at most 20 percent, or what the policy says, and at least one machine; each
machine has five minutes to be healthy again, and what the platform began is taken back on one that is not; the rollout stops when
more than the allowed share of the machines upgraded so far are unhealthy. Codes and words of the errors are those of public issue threads.

A rollout is plain data in the private part of its id: <scale set>/rollingUpgrades/latest, or a place below the region for VMs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...operations import outcome_error
from ...resource_types import Body
from ...timeline import effect
from . import health, instance_view, instances, published

if TYPE_CHECKING:
    from ...cloud import Cloud
    from ...operations import Operation

POLICY = {
    "maxBatchInstancePercent": 20,
    "maxUnhealthyInstancePercent": 20,
    "maxUnhealthyUpgradedInstancePercent": 20,
    "pauseTimeBetweenBatches": "PT0S",
}
"""What a rolling upgrade goes by when the scale set names nothing (recorded traffic)."""
BATCH_SECONDS = {"image": 60.0, "model": 60.0, "extensions": 30.0}
"""How long the machines of a batch take. Recorded traffic: two instances, one after the other, had their image in 121 s. Else chosen."""
PATIENCE = 300.0
"""How long a machine may take to be healthy after its change (Microsoft Learn)."""
LOOK_SECONDS = 30.0
"""How long between two looks at the health of a batch. Chosen."""
NOTHING_TO_DO_SECONDS = 120.0
"""Recorded traffic: an upgrade to the image that the instances had took 121 s."""
HISTORY = 5
"""How many upgrades of the image are told, of the last two months (Microsoft Learn)."""

_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.I)
RUNNING = "RollingForward"

Rollout = dict[str, Any]


def place_of(scale_set: Body) -> str:
    return f"{scale_set['id']}/rollingUpgrades/latest"


def of(cloud: Cloud, scale_set: Body) -> Rollout | None:
    """The latest rollout on a scale set, running or not."""
    return cloud.store.private(place_of(scale_set)).get("rollout")


def runs(cloud: Cloud, scale_set: Body) -> bool:
    return (of(cloud, scale_set) or {}).get("code") == RUNNING


def seconds(duration: str) -> float:
    """An ISO 8601 duration without days, in seconds; what is none counts as 0."""
    found = _DURATION.fullmatch(duration)
    hours, minutes, rest = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    return hours * 3600 + minutes * 60 + rest


def start_on(cloud: Cloud, scale_set: Body, kind: str, operation: Operation | None = None) -> None:
    """Begin a rollout on a scale set that a user asked for: kind "image", "model" or "extensions"."""
    _begin_on(cloud, scale_set, _planned(cloud, scale_set, kind, "User") | {"operation": operation.name if operation else None})


def start_if_due(cloud: Cloud, scale_set: Body, kind: str) -> bool:
    """Begin the platform's rollout on a scale set, if there is something to do that it has not given up; whether there was."""
    rollout = _planned(cloud, scale_set, kind, "Platform")
    wanting = [one for one in instances.members(cloud, scale_set) if _wants(cloud, scale_set, one, rollout)]
    due = bool(wanting) and cloud.store.private(place_of(scale_set)).get("given_up") != target_of(cloud, rollout, wanting)
    if due:
        _begin_on(cloud, scale_set, rollout)
    return due


def _planned(cloud: Cloud, scale_set: Body, kind: str, by: str) -> Rollout:
    """What a rollout on a scale set would be. A manual start has no rollback (Microsoft Learn)."""
    upgrade = scale_set["properties"].get("upgradePolicy") or {}
    automatic = upgrade.get("automaticOSUpgradePolicy") or {}
    own = upgrade.get("rollingUpgradePolicy") or {}
    if kind == "image" and by == "Platform" and upgrade.get("mode") != "Rolling" and not automatic.get("useRollingUpgradePolicy"):
        own = {}
    return {
        "scale_set": scale_set["id"],
        "kind": kind,
        "by": by,
        "image": _image_target(cloud, scale_set),
        "policy": {**POLICY, **own},
        "rollback": by == "Platform" and not (kind == "image" and automatic.get("disableAutomaticRollback")),
    }


def _begin_on(cloud: Cloud, scale_set: Body, rollout: Rollout) -> None:
    members = instances.members(cloud, scale_set)
    _begin(cloud, place_of(scale_set), rollout, members, [one["id"] for one in members if _wants(cloud, scale_set, one, rollout)])


def start_on_machines(cloud: Cloud, place: str, handler: str, members: list[Body], wanting: list[Body]) -> None:
    """Begin the platform's upgrade of one extension ("publisher.type", lower case) on the virtual machines of a region."""
    rollout: Rollout = {"kind": "extensions", "by": "Platform", "handler": handler, "policy": dict(POLICY), "rollback": True}
    _begin(cloud, place, rollout, members, [one["id"] for one in wanting])


def cancel(cloud: Cloud, scale_set: Body) -> None:
    """Stop the rollout that runs on a scale set; the batch that is being changed stays as it was (inferred)."""
    rollout = of(cloud, scale_set)
    if rollout is not None and rollout["code"] == RUNNING:
        rollout.update(action="Cancel", acted=cloud.clock.now, pending=[*rollout["current"], *rollout["pending"]])
        for new, old in rollout["surged"].items():
            cloud.store.delete(new)
            rollout["pending"] = [old if one == new else one for one in rollout["pending"]]
        for machine in _bodies(cloud, rollout["current"]):
            machine["properties"]["provisioningState"] = "Succeeded"
        rollout["current"] = []
        _end(cloud, place_of(scale_set), rollout, "Cancelled")


def _begin(cloud: Cloud, place: str, given: Rollout, members: list[Body], wanting: list[str]) -> None:
    """Make the rollout and put its first batch on the timeline. Its operation's fault: of the named instances, or of the whole."""
    operation = cloud.operations.get(given.get("operation") or "")
    outcome = (operation.outcome if operation else None) or {}
    named = outcome.get("item") or []
    if operation is not None and outcome.get("code"):
        operation.outcome = None
    rollout: Rollout = {
        **given,
        "code": RUNNING,
        "action": "Start",
        "started": cloud.clock.now,
        "acted": cloud.clock.now,
        "turn": cloud.guid(),
        "target": target_of(cloud, given, _bodies(cloud, wanting)),
        "members": [one["id"] for one in members],
        "pending": wanting,
        "current": [],
        "done": [one["id"] for one in members if one["id"] not in wanting],
        "failed": [],
        "upgraded": 0,
        "before": {},
        "surged": {},
        "reasons": {},
        "error": None,
        "rolled_back": 0,
        "not_rolled_back": 0,
        "fault": outcome_error(outcome),
        "faulty": [str(name).lower() for name in ([named] if isinstance(named, str) else named)],
    }
    cloud.store.private(place)["rollout"] = rollout
    delay = 0.0 if wanting else NOTHING_TO_DO_SECONDS
    cloud.timeline.put(cloud.clock.now + delay, "compute.rollout.batch", place=place, turn=rollout["turn"])


def target_of(cloud: Cloud, rollout: Rollout, wanting: list[Body]) -> str:
    """What a rollout leads to, in words: by it the platform knows what it gave up."""
    if rollout["kind"] != "extensions":
        return str(rollout["image"])
    handler = rollout.get("handler", "")
    found = {
        f"{instance_view.handler_type(extension).lower()} {newest}"
        for machine in wanting
        for extension, newest in outdated(cloud, machine, rollout["by"] == "Platform", handler)
    }
    return ", ".join(sorted(found))


def _current(cloud: Cloud, place: str, turn: str) -> Rollout | None:
    """The rollout of a place while it runs and is still the one that was meant."""
    rollout: Rollout | None = cloud.store.private(place).get("rollout")
    return rollout if rollout and rollout["turn"] == turn and rollout["code"] == RUNNING else None


def _bodies(cloud: Cloud, identifiers: list[str]) -> list[Body]:
    return [body for body in map(cloud.store.get, identifiers) if body is not None]


@effect("compute.rollout.batch")
def _batch(cloud: Cloud, place: str, turn: str) -> None:
    """The next batch, or the end."""
    rollout = _current(cloud, place, turn)
    if rollout is None:
        return
    rollout["pending"] = [one["id"] for one in _bodies(cloud, rollout["pending"]) if _still_wants(cloud, rollout, one)]
    if not rollout["pending"]:
        _end(cloud, place, rollout, "Completed")
        return
    members = _bodies(cloud, rollout["members"])
    ill = [one for one in members if health.is_ill(cloud, one)]
    if len(ill) * 100 > rollout["policy"]["maxUnhealthyInstancePercent"] * len(members):
        _stop(cloud, place, rollout, **_too_many_ill(rollout, members, ill))
        return
    chosen = _next(cloud, rollout, members)
    rollout["current"] = [one["id"] for one in chosen]
    rollout["pending"] = [identifier for identifier in rollout["pending"] if identifier not in rollout["current"]]
    for machine in chosen:
        machine["properties"]["provisioningState"] = "Updating"
    cloud.timeline.put(cloud.clock.now + BATCH_SECONDS[rollout["kind"]], "compute.rollout.changed", place=place, turn=turn)


def _too_many_ill(rollout: Rollout, members: list[Body], ill: list[Body]) -> dict[str, str]:
    """The error of a rollout that may not go on to its next batch, or not begin at all."""
    percent, allowed = 100 * len(ill) // len(members), rollout["policy"]["maxUnhealthyInstancePercent"]
    limit = f"more than the threshold of {allowed}% configured in the RollingUpgradePolicy"
    worst = "The most impactful error is: Instance found to be unhealthy or unreachable."
    if not rollout["upgraded"]:
        return {
            "code": "MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade",
            "message": "Rolling Upgrade failed due to exceeding the MaxUnhealthyInstancePercent value (defined in the RollingUpgradePolicy)"
            f" before any batch was attempted. {percent}% of instances are in an unhealthy state, {limit}. {worst} "
            "For details on rolling upgrades, use http://aka.ms/AzureVMSSRollingUpgrade",
        }
    return {
        "code": "MaxUnhealthyInstancePercentExceededInRollingUpgrade",
        "message": "Rolling Upgrade failed after exceeding the MaxUnhealthyInstancePercent value defined in the RollingUpgradePolicy. "
        f"{percent}% of instances are in an unhealthy state after being upgraded - {limit}. {worst} "
        f"First failed instance ID is: {short(ill[0])}.",
    }


def _still_wants(cloud: Cloud, rollout: Rollout, machine: Body) -> bool:
    """Whether a machine is still to be upgraded: automatic upgrade of its extensions may have been turned off meanwhile."""
    enrolled = rollout["kind"] == "extensions" and rollout["by"] == "Platform"
    return not enrolled or bool(outdated(cloud, machine, True, rollout.get("handler", "")))


def _next(cloud: Cloud, rollout: Rollout, members: list[Body]) -> list[Body]:
    """The machines of the next batch: of one zone, unless the policy crosses zones; unhealthy ones first, where it says so."""
    policy, pending = rollout["policy"], _bodies(cloud, rollout["pending"])
    if policy.get("prioritizeUnhealthyInstances"):
        pending.sort(key=lambda one: not health.is_ill(cloud, one))
    if not policy.get("enableCrossZoneUpgrade"):
        zone = pending[0].get("zones")
        pending = [one for one in pending if one.get("zones") == zone]
        members = [one for one in members if one.get("zones") == zone]
    return pending[: max(1, len(members) * policy["maxBatchInstancePercent"] // 100)]


@effect("compute.rollout.changed")
def _changed(cloud: Cloud, place: str, turn: str) -> None:
    """The batch has been changed."""
    rollout = _current(cloud, place, turn)
    if rollout is None:
        return
    if rollout["fault"] and not rollout["faulty"]:
        for machine in _bodies(cloud, rollout["current"]):
            machine["properties"]["provisioningState"] = "Failed"
        rollout.update(error=rollout["fault"], failed=rollout["current"], current=[])
        _end(cloud, place, rollout, "Faulted")
        return
    scale_set = cloud.store.get(rollout.get("scale_set") or "")
    surges = rollout["policy"].get("maxSurge") and rollout["kind"] != "extensions"
    batch = _surge(cloud, scale_set, rollout) if scale_set is not None and surges else _bodies(cloud, rollout["current"])
    for machine in batch:
        rollout["before"][machine["id"]] = instances.snapshot(cloud, machine)
        machine["properties"]["provisioningState"] = "Succeeded"
        faulty = {short(machine).lower(), machine["name"].lower()} & set(rollout["faulty"])
        problem = _change(cloud, scale_set, rollout, machine, rollout["fault"] if faulty else None)
        if problem:
            rollout["reasons"][machine["id"]] = problem
    rollout["since"] = cloud.clock.now
    _checked(cloud, place, turn)


def _surge(cloud: Cloud, scale_set: Body, rollout: Rollout) -> list[Body]:
    """New instances for those of the batch, which go when the new ones are healthy (API document, maxSurge)."""
    old = _bodies(cloud, rollout["current"])
    new = [instances.make(cloud, scale_set) for _machine in old]
    for before in old:
        before["properties"]["provisioningState"] = "Succeeded"
    rollout["surged"] = {one["id"]: before["id"] for one, before in zip(new, old, strict=True)}
    rollout["current"] = [one["id"] for one in new]
    return new


def _change(cloud: Cloud, scale_set: Body | None, rollout: Rollout, machine: Body, fault: dict[str, Any] | None) -> str:
    """Carry the change of one machine out; why it failed, "" when it did not."""
    if rollout["kind"] == "extensions":
        if fault:
            return str(fault["message"])
        for extension, version in outdated(cloud, machine, rollout["by"] == "Platform", rollout.get("handler", "")):
            instances.upgrade_extension(cloud, machine, extension, version)
        return ""
    if scale_set is None:
        return ""
    problem = instances.bring(cloud, scale_set, machine, fault)
    if rollout["kind"] == "image" and not fault:
        instances.set_image(machine, rollout["image"])
        problem = instances.run_again(cloud, machine) or problem
    return problem


@effect("compute.rollout.checked")
def _checked(cloud: Cloud, place: str, turn: str) -> None:
    """Look at the health of the batch; go on when all is well, or when the time is up."""
    rollout = _current(cloud, place, turn)
    if rollout is None:
        return
    current = _bodies(cloud, rollout["current"])
    ill = [one for one in current if health.is_ill(cloud, one) and one["id"] not in rollout["reasons"]]
    if ill and cloud.clock.now - rollout["since"] < PATIENCE:
        cloud.timeline.put(cloud.clock.now + LOOK_SECONDS, "compute.rollout.checked", place=place, turn=turn)
        return
    for machine in current:
        replaced = rollout["surged"].pop(machine["id"], None)
        if machine in ill or machine["id"] in rollout["reasons"]:
            reason = rollout["reasons"].pop(machine["id"], "Instance found to be unhealthy or unreachable.")
            rollout["failed"].append(replaced or machine["id"])
            rollout["reasons"][rollout["failed"][-1]] = reason
            if replaced:
                cloud.store.delete(machine["id"])
            elif rollout["rollback"]:
                _take_back(cloud, rollout, machine)
        else:
            rollout["done"].append(machine["id"])
            rollout["before"].pop(machine["id"], None)
            if replaced:
                cloud.store.delete(replaced)
                rollout["members"] = [machine["id"] if one == replaced else one for one in rollout["members"]]
    rollout["upgraded"] += len(current)
    rollout["current"] = []
    allowed, failed = rollout["policy"]["maxUnhealthyUpgradedInstancePercent"], len(rollout["failed"])
    if failed * 100 > allowed * rollout["upgraded"]:
        first = rollout["failed"][0]
        if rollout["policy"].get("rollbackFailedInstancesOnPolicyBreach"):
            for machine in _bodies(cloud, rollout["failed"]):
                _take_back(cloud, rollout, machine)
        _stop(
            cloud,
            place,
            rollout,
            "MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade",
            "Rolling Upgrade failed after exceeding the MaxUnhealthyUpgradedInstancePercent value defined in the RollingUpgradePolicy. "
            f"{100 * failed // rollout['upgraded']}% of instances are in an unhealthy state after being upgraded - more than the threshold "
            f"of {allowed}%. The most impactful error is: {rollout['reasons'][first]} "
            f"First failed instance ID is: {' '.join(map(short, _bodies(cloud, [first])))}.",
        )
        return
    pause = seconds(str(rollout["policy"].get("pauseTimeBetweenBatches", "PT0S")))
    cloud.timeline.put(cloud.clock.now + (pause if rollout["pending"] else 0), "compute.rollout.batch", place=place, turn=turn)


def _take_back(cloud: Cloud, rollout: Rollout, machine: Body) -> None:
    """Give a machine back what it had before; it counts as not rolled back when it stays unhealthy (inferred)."""
    before = rollout["before"].pop(machine["id"], None)
    if before is not None:
        instances.restore(cloud, machine, before)
        rollout["not_rolled_back" if health.is_ill(cloud, machine) else "rolled_back"] += 1


def _stop(cloud: Cloud, place: str, rollout: Rollout, code: str, message: str) -> None:
    rollout["error"] = {"code": code, "message": message}
    _end(cloud, place, rollout, "Faulted")


def _end(cloud: Cloud, place: str, rollout: Rollout, code: str) -> None:
    """The rollout is over: its operation ends, the history gets it, and the platform looks whether another is due."""
    rollout.update(code=code, ended=cloud.clock.now, before={})
    operation = cloud.operations.get(rollout.get("operation") or "")
    if operation is not None:
        status = {"Completed": "Succeeded", "Cancelled": "Canceled"}.get(code, "Failed")
        cloud.operations.finish(cloud, operation, status, rollout["error"])
    scale_set = cloud.store.get(rollout.get("scale_set") or "")
    if scale_set is not None:
        private = cloud.store.private(scale_set["id"])
        if rollout["kind"] == "image":
            private["history"] = [rollout, *private.get("history", [])][:HISTORY]
    if rollout["by"] == "Platform" and code != "Completed":
        cloud.store.private(place)["given_up"] = rollout["target"]
    published.look_later(cloud)


def short(machine: Body) -> str:
    """A machine's instance id, or the name of a VM."""
    return str(machine.get("instanceId", machine["name"]))


def _image_target(cloud: Cloud, scale_set: Body) -> str:
    """The newest version of a scale set's image; that of its instances when nothing is published."""
    reference = (instances.profile(scale_set).get("storageProfile") or {}).get("imageReference") or {}
    running = [str(instances.image_of(one)["exactVersion"]) for one in instances.members(cloud, scale_set)]
    return published.newest_image(cloud, scale_set, reference) or max(running, key=published.number, default=published.FIRST_VERSION)


def outdated(cloud: Cloud, machine: Body, enrolled: bool, handler: str = "") -> list[tuple[Body, str]]:
    """The extensions of a machine of which a newer version is published, with that version; enrolled: only with automatic upgrade."""
    found = []
    for extension in instances.extensions_of(cloud, machine):
        properties = extension["properties"]
        meant = not handler or instance_view.handler_type(extension).lower() == handler
        if not meant or (enrolled and properties.get("enableAutomaticUpgrade") is not True):
            continue
        newest = published.newest_extension(cloud, machine, properties)
        if newest and published.number(newest) > published.number(instance_view.installed(cloud, extension)):
            found.append((extension, newest))
    return found


def _wants(cloud: Cloud, scale_set: Body, machine: Body, rollout: Rollout) -> bool:
    """Whether a rollout changes an instance. The platform leaves instances alone that lag behind the model of a Manual scale set."""
    if instance_view.power(cloud, machine["id"]) != "running":
        return False
    lags = instances.lags(cloud, scale_set, machine)
    if rollout["kind"] == "model":
        return lags
    if rollout["kind"] == "extensions":
        return bool(outdated(cloud, machine, rollout["by"] == "Platform"))
    manual = (scale_set["properties"].get("upgradePolicy") or {}).get("mode") == "Manual"
    older = published.number(str(instances.image_of(machine)["exactVersion"])) < published.number(rollout["image"])
    return older and not (rollout["by"] == "Platform" and manual and lags)
