# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The states of a replicated item, and how replication walks through them as time passes."""

from __future__ import annotations

from typing import Any

from ...clock import asr_time
from ...cloud import Cloud
from ...paths import key
from ...resource_types import Body
from ...timeline import effect
from .a2a import GIB, is_a2a, nics
from .base import current_scenario, entity_guid, instance_type, last

# Chosen, so that nobody waits long for a rehearsal: 127 GiB take less than a minute. Recorded were 20 for them.
COPY_SECONDS_PER_GIB = 0.25
FIRST_POINT_SECONDS = 8
# The validator that misses a test failover reports minutes after the item is protected (recorded traffic; the delay is chosen).
VALIDATOR_SECONDS = 300

READY = {"A2A": ["UnplannedFailover", "DisableProtection", "TestFailover"]}
READY_ON_PREMISES = ["PlannedFailover", "UnplannedFailover", "DisableProtection", "TestFailover"]

# protectionState and its description: recorded traffic; after a failover: API examples.
COPYING = ("InitialReplicationInProgress", "Initial replication is in progress")
FIRST_POINT = ("InitialReplicationRecoveryCompletionPending", "Waiting for first recovery point")
PROTECTED = ("Protected", "Protected")
FAILED_OVER = ("UnplannedFailoverCommitPendingStatesBegin", "Failover completed")
COMMITTED = ("UnplannedFailoverCommitted", "Failover committed")


def set_state(item: Body, state: tuple[str, str], allowed: list[str]) -> None:
    item["properties"].update(protectionState=state[0], protectionStateDescription=state[1], allowedOperations=list(allowed))


def ready(item: Body) -> list[str]:
    """What a protected item allows (recorded traffic)."""
    return READY.get(instance_type(item["properties"].get("providerSpecificDetails")), READY_ON_PREMISES)


def is_idle(item: Body) -> bool:
    return (item["properties"].get("currentScenario") or {}).get("scenarioName", "None") == "None"


def occupy(cloud: Cloud, item: Body, name: str, job: str) -> None:
    """An operation begins on the item: nothing else is allowed meanwhile."""
    properties = item["properties"]
    cloud.store.private(item["id"])["allowed"] = properties["allowedOperations"]
    properties.update(currentScenario=current_scenario(item["id"], name, job, asr_time(cloud.clock.now)), allowedOperations=[])


def release(cloud: Cloud, item_id: str) -> Body | None:
    """The operation on the item has ended: what was allowed before is again, until its effect says otherwise."""
    item = cloud.store.get(item_id)
    if item is not None and not is_idle(item):
        allowed = cloud.store.private(item["id"]).pop("allowed", [])
        item["properties"].update(currentScenario=current_scenario(item["id"]), allowedOperations=allowed)
    return item


@effect("site_recovery.release")
def _release(cloud: Cloud, job: str, item: str, **others: Any) -> None:
    release(cloud, item)


def start(cloud: Cloud, item: Body) -> None:
    """Initial replication begins, the first and the one after a reprotect alike (recorded traffic: both took as long)."""
    set_state(item, COPYING, ["DisableProtection"])
    disks = (item["properties"].get("providerSpecificDetails") or {}).get("protectedManagedDisks") or []
    size = sum(int(disk.get("diskCapacityInBytes") or 0) for disk in disks) / GIB
    seconds = size * COPY_SECONDS_PER_GIB
    copied = cloud.clock.now + seconds
    drop(cloud, item["id"])
    for moment, stage in (
        (copied - seconds / 2, "copying"),
        (copied, "copied"),
        (copied + FIRST_POINT_SECONDS, "protected"),
        (copied + FIRST_POINT_SECONDS + VALIDATOR_SECONDS, "validated"),
    ):
        cloud.timeline.put(moment, "site_recovery.replication", item=key(item["id"]), stage=stage)


def drop(cloud: Cloud, item_id: str) -> None:
    """Forget what was to come of an item's replication."""
    cloud.timeline.drop("site_recovery.replication", item=key(item_id))


def go_on(cloud: Cloud, item: Body) -> None:
    """The healthy machines of an estate have been replicating until the cloud begins: RPO and heartbeat are of now, not of the day on which
    the estate was written."""
    properties = item["properties"]
    details = properties.get("providerSpecificDetails") or {}
    if (
        properties.get("protectionState") == PROTECTED[0]
        and properties.get("replicationHealth") == "Normal"
        and details.get("rpoInSeconds")
    ):
        details.update(lastHeartbeat=asr_time(cloud.clock.now), lastRpoCalculatedTime=asr_time(cloud.clock.now - details["rpoInSeconds"]))


@effect("site_recovery.replication")
def _advance(cloud: Cloud, item: str, stage: str) -> None:
    body = cloud.store.get(item)
    if body is None:
        return
    if stage == "validated":
        validate(cloud, body)
        return
    details = body["properties"]["providerSpecificDetails"]
    now = asr_time(cloud.clock.now)
    if stage == "copying":
        _progress(details, "InitialReplicationPending", "InitialReplication", 50)
        details["lastHeartbeat"] = now
    elif stage == "copied":
        set_state(body, FIRST_POINT, ["DisableProtection"])
        details["lastHeartbeat"] = now
    elif body["properties"]["protectionState"] == FIRST_POINT[0]:
        _protected(cloud, body, details)


def _progress(details: Body, state: str, job: str | None, percentage: int | None) -> None:
    details.update(monitoringJobType=job, monitoringPercentageCompletion=percentage)
    for disk in details.get("protectedManagedDisks") or []:
        disk.update(diskState=state, monitoringJobType=job, monitoringPercentageCompletion=percentage)


def _protected(cloud: Cloud, item: Body, details: Body) -> None:
    now = cloud.clock.now
    set_state(item, PROTECTED, ready(item))
    private = cloud.store.private(item["id"])
    private["protected"] = now
    if not is_a2a(item):
        return
    _progress(details, "Protected", None, None)
    for disk in details.get("protectedManagedDisks") or []:
        disk["recoveryOrignalTargetDiskId"] = "" if disk.get("recoveryOrignalTargetDiskId") else None
    details.update(
        monitoringJobType="InitialReplication",
        monitoringPercentageCompletion=0,  # not reset (recorded traffic)
        vmProtectionState="Protected",
        vmProtectionStateDescription="Protected",
        lastHeartbeat=asr_time(now),
        lifecycleId=private.setdefault("lifecycle", cloud.guid()),
        rpoInSeconds=95,
        lastRpoCalculatedTime=asr_time(now - 95),
        selectedRecoveryAzureNetworkId=private.get("network"),
        vmNics=nics(cloud, item),
        agentCertificateExpiryDate=asr_time(now + 3 * 365 * 86400)[:19] + "Z",
    )


def validate(cloud: Cloud, item: Body) -> None:
    """The validator's warning 161011, which stays until a test failover was cleaned up (recorded traffic)."""
    properties = item["properties"]
    known = [error for error in properties.get("healthErrors") or [] if error.get("errorCode") == "161011"]
    if known or properties.get("lastSuccessfulTestFailoverTime") or properties["protectionState"] != PROTECTED[0]:
        return
    properties.setdefault("healthErrors", []).append(
        {
            "innerHealthErrors": [],
            "errorSource": "ReplicationUnitFailoverValidatorError",
            "errorType": "8010",
            "errorLevel": "Warning",
            "errorCategory": "TestFailover",
            "errorCode": "161011",
            "summaryMessage": "",
            "errorMessage": f"No successful test failover has been done on the virtual machine '{properties['friendlyName']}'.",
            "possibleCauses": "No successful test failover has been done on the virtual machine after it was replicated.",
            "recommendedAction": "Do a test failover on the virtual machine.",
            "creationTimeUtc": asr_time(cloud.clock.now),
            "recoveryProviderErrorMessage": None,
            "entityId": machine_guid(item),
            "errorId": "6:8010",
            "customerResolvability": "NotAllowed",
        }
    )
    properties["failoverHealth"] = "Warning"


def forgive(item: Body) -> None:
    """Take the validator's warning away."""
    properties = item["properties"]
    left = [error for error in properties.get("healthErrors") or [] if error.get("errorCode") != "161011"]
    properties["healthErrors"] = left
    if not any(error.get("errorCategory") in ("TestFailover", "FabricInfrastructure", "Configuration") for error in left):
        properties["failoverHealth"] = "Normal"


def machine_guid(item: Body) -> str:
    """The GUID of an item's machine: healthErrors[].entityId, and virtualMachineId in recovery plans (recorded traffic)."""
    properties = item["properties"]
    for error in properties.get("healthErrors") or []:
        if error.get("entityId"):
            return str(error["entityId"])
    if properties.get("protectableItemId"):
        return last(str(properties["protectableItemId"]))
    details = properties.get("providerSpecificDetails") or {}
    return entity_guid(item["id"], str(details.get("fabricObjectId") or ""))
