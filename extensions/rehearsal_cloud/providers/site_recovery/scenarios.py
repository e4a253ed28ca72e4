# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Scenarios: the kinds of jobs with their tasks and durations; and how a job is made and ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...clock import asr_time
from ...cloud import Cloud, Request
from ...resource_types import Body
from ...timeline import effect
from .base import JOB, asr_id, entity_guid, vault_of

UNSET = "0001-01-01T00:00:00"
DESCRIPTIONS = {"Succeeded": "Completed"}  # every other state describes itself (recorded traffic)
DONE = frozenset({"Succeeded", "PartiallySucceeded", "CompletedWithInformation", "Failed", "Cancelled"})


@dataclass(frozen=True)
class Scenario:
    """A kind of job. seconds: how long it takes; tasks: (name, friendly name) in order; details: customDetails.instanceType."""

    name: str
    friendly_name: str
    target_type: str
    seconds: float
    tasks: tuple[tuple[str, str], ...] = ()
    details: str = "AsrJobDetails"


def _one(name: str, friendly: str, target: str, seconds: float, task: str = "") -> Scenario:
    return Scenario(name, friendly, target, seconds, ((task or f"{name}Task", friendly),))


# Names and durations (seconds) from recorded traffic where it shows them: policy, plan, container 1; fabric 65 to 85, its removal 2;
# container mapping 64 to 166, its removal 1 to 3; network mapping 2 to 4; enable 310, reprotect 414, failover 139 to 172, commit 1 to 38,
# removal of an item 111 to 205; test failover 80 and its clean-up 67 (a Hyper-V machine), planned failover 360 to 688 (Hyper-V).
# Chosen: the names of removals and updates; updates 5, Mobility service 300 and anew 600, cancel and resynchronization 60,
# another recovery point 100.
SCENARIOS = {
    "fabric": _one("CreateSite", "Create a site", "Server", 70),
    "fabric.remove": _one("DeleteSite", "Delete a site", "Server", 2),
    "container": _one("CreateCloud", "Create protection container", "ProtectionContainer", 1),
    "container.remove": _one("DeleteCloud", "Delete protection container", "ProtectionContainer", 1),
    "policy": _one("AddProtectionProfile", "Create replication policy", "ProtectionProfile", 1),
    "policy.update": _one("UpdateProtectionProfile", "Update replication policy", "ProtectionProfile", 1),
    "policy.remove": _one("DeleteProtectionProfile", "Delete replication policy", "ProtectionProfile", 1),
    "mapping": _one("AssociateProtectionProfile", "Associate replication policy", "ProtectionProfile", 66),
    "mapping.update": _one("UpdateProtectionContainerMapping", "Update protection container mapping", "ProtectionContainer", 5),
    "mapping.remove": _one("DissociateProtectionProfile", "Dissociate replication policy", "ProtectionProfile", 2),
    "network": _one("NetworkPairing", "Map Networks", "Network", 2),
    "network.remove": _one("NetworkUnpairing", "Unmap Networks", "Network", 2),
    "plan": _one("CreateRecoveryPlan", "Create a recovery plan", "RecoveryPlan", 1),
    "plan.update": _one("UpdateRecoveryPlan", "Update a recovery plan", "RecoveryPlan", 1),
    "plan.remove": _one("DeleteRecoveryPlan", "Delete a recovery plan", "RecoveryPlan", 1, "DeleteRecoveryPlanTask"),
    "health": Scenario(
        "RefreshVaultHealth", "Refresh vault health", "Vault", 1, (("RefreshFailoverHealthTask", "Refreshing failover health"),)
    ),
    "export": _one("ExportJobs", "Export jobs", "Vault", 2),
    "item": Scenario(
        "EnableDr",
        "Enable replication",
        "ProtectionEntity",
        310,
        (
            ("EnableProtectionPrerequisitesCheckTask", "Prerequisites check for enabling protection"),
            ("InstallMobilityServiceTask", "Installing Mobility Service and preparing target"),
            ("EnableReplicationTask", "Enable replication"),
            ("StartInitialReplicationTask", "Starting initial replication"),
        ),
    ),
    "item.update": _one("UpdateVmProperties", "Update the virtual machine", "ProtectionEntity", 5),
    "item.remove": _one("DisableDr", "Disable replication", "ProtectionEntity", 111),
    "updateMobilityService": Scenario(
        "UpdateMobilityService",
        "Update Mobility Service",
        "ProtectionEntity",
        300,
        (("UpdateMobilityServiceTask", "Updating Mobility Service"),),
    ),
    "reinstallMobilityService": _one("ReinstallMobilityService", "Reinstall Mobility Service", "ProtectionEntity", 600),
    "repairReplication": _one("RepairVMReplication", "Resynchronize the virtual machine", "ProtectionEntity", 60),
    "testFailover": Scenario(
        "TestFailover",
        "Test failover",
        "ProtectionEntity",
        80,
        (
            ("TestFailoverPreflightChecksTask", "Prerequisites check for test failover"),
            ("BeginTestFailoverTask", "Create test environment"),
            ("PrepareTestProtectedEntitiesTask", "Create test virtual machine"),
            ("StartTestVirtualMachineTask", "Start the virtual machine"),
        ),
        "TestFailoverJobDetails",
    ),
    "testFailoverCleanup": Scenario(
        "TestFailoverCleanup",
        "Test failover cleanup",
        "ProtectionEntity",
        67,
        (
            ("TestFailoverCleanupPreflightChecksTask", "Prerequisites check for test failover cleanup"),
            ("EndTestFailoverTask", "Clean up the test environment"),
            ("CleanupTestProtectedEntitiesTask", "Clean up the test virtual machine"),
        ),
    ),
    "unplannedFailover": Scenario(
        "UnplannedFailover",
        "Failover",
        "ProtectionEntity",
        139,
        (
            ("UnplannedFailoverPreflightChecksTask", "Prerequisites check for failover"),
            ("ShutdownVmOnPrimary", "Shut down the virtual machine"),
            ("PrepareForFailoverTask", "Preparing for failover"),
            ("FailoverTask", "Start failover"),
            ("StartVmOnSecondary", "Start the virtual machine"),
        ),
        "FailoverJobDetails",
    ),
    "plannedFailover": Scenario(
        "PlannedFailover",
        "Planned failover",
        "ProtectionEntity",
        688,
        (
            ("PlannedFailoverPreflightChecksTask", "Prerequisites check for planned failover"),
            ("ShutdownVmOnPrimary", "Shut down the virtual machine"),
            ("PrepareForFailoverTask", "Preparing for failover"),
            ("FailoverTask", "Start failover"),
            ("StartVmOnSecondary", "Start the virtual machine"),
        ),
        "FailoverJobDetails",
    ),
    "failoverCommit": _one("CommitFailover", "Commit", "ProtectionEntity", 8),
    "failoverCancel": _one("CancelFailover", "Cancel failover", "ProtectionEntity", 60),
    "applyRecoveryPoint": _one("ChangePit", "Change recovery point", "ProtectionEntity", 100),
    "reProtect": Scenario(
        "SwitchReplicationGroupProtection",
        "Reprotect",
        "ProtectionEntity",
        414,
        (
            ("ReprotectPreflightChecksTask", "Prerequisites check for reprotect"),
            ("SwitchProtectionTask", "Switching protection"),
            ("StartInitialReplicationTask", "Starting replication"),
        ),
    ),
}


def task(name: str, friendly_name: str, kind: str = "TaskDetails", details: Body | None = None) -> Body:
    """A task that has not begun."""
    return {
        "taskId": name,
        "name": name,
        "startTime": UNSET,
        "endTime": UNSET,
        "allowedActions": [],
        "friendlyName": friendly_name,
        "state": "NotStarted",
        "stateDescription": "NotStarted",
        "taskType": kind,
        "customDetails": details if details is not None else {"instanceType": kind},
        "groupTaskCustomDetails": None,
        "errors": [],
    }


def begin_task(one: Body, now: float) -> None:
    one.update(startTime=asr_time(now), state="InProgress", stateDescription="InProgress")


def end_task(one: Body, now: float, state: str = "Succeeded") -> None:
    if one["state"] in ("NotStarted", "InProgress", "Suspended"):
        one.update(endTime=asr_time(now), state=state, stateDescription=DESCRIPTIONS.get(state, state), allowedActions=[])
        if one["startTime"] == UNSET:
            one["startTime"] = one["endTime"]


def all_tasks(tasks: list[Body]) -> Iterator[Body]:
    """The tasks of a job with those of its groups, from the top."""
    for one in tasks:
        yield one
        yield from all_tasks((one["groupTaskCustomDetails"] or {}).get("childTasks", []))


def create(
    cloud: Cloud, request: Request, name: str, target: str, scenario: Scenario, target_name: str = "", details: Body | None = None
) -> Body:
    """Store a running job of this name and give it back. target: the id of what it works on (in a vault, or the vault)."""
    vault = vault_of(target)
    activity = "{} ActivityId: {}".format(
        request.headers.get("x-ms-client-request-id") or cloud.guid(), request.headers.get("x-ms-correlation-request-id") or cloud.guid()
    )
    properties = {
        "activityId": activity,
        "scenarioName": scenario.name,
        "friendlyName": scenario.friendly_name,
        "state": "InProgress",
        "stateDescription": "InProgress",
        "tasks": [task(*one) for one in scenario.tasks],
        "errors": [],
        "startTime": asr_time(cloud.clock.now),
        "allowedActions": ["Cancel"],
        "targetObjectId": entity_guid(target),
        "targetObjectName": target_name,
        "targetInstanceType": scenario.target_type,
        "customDetails": {"instanceType": scenario.details, "affectedObjectDetails": {}, **(details or {})},
    }
    job: Body = {"id": f"{asr_id(vault)}/replicationJobs/{name}", "name": name, "type": JOB, "properties": properties}
    cloud.store.put(job["id"], job)
    cloud.store.private(job["id"]).update(target=target, method=request.method, path=request.path, body=request.body)
    for number in range(len(scenario.tasks)):
        cloud.timeline.put(
            cloud.clock.now + scenario.seconds * number / len(scenario.tasks), "site_recovery.job.task", job=job["id"], number=number
        )
    return job


@effect("site_recovery.job.task")
def _next_task(cloud: Cloud, job: str, number: int) -> None:
    body = cloud.store.get(job)
    if body is not None and body["properties"]["state"] == "InProgress":
        tasks = body["properties"]["tasks"]
        if number:
            end_task(tasks[number - 1], cloud.clock.now)
        begin_task(tasks[number], cloud.clock.now)


def end(cloud: Cloud, job: Body, state: str, error: Body | None = None) -> None:
    """End a job and the tasks that it has begun; an error stands in the job and in the task where it happened."""
    properties = job["properties"]
    if properties["state"] in DONE:
        return
    now = cloud.clock.now
    failed = state in ("Failed", "Cancelled")
    stopped = next((one for one in properties["tasks"] if one["state"] in ("InProgress", "Suspended")), None)
    if error:
        entry = job_error(error, now, properties["activityId"], stopped["taskId"] if stopped else "")
        properties["errors"].append(entry)
        if stopped:
            stopped["errors"].append(entry)
    for one in all_tasks(properties["tasks"]):
        if not failed or one["state"] in ("InProgress", "Suspended"):
            end_task(one, now, state if failed else "Succeeded")
    properties.update(
        state=state,
        stateDescription=DESCRIPTIONS.get(state, state),
        endTime=asr_time(int(now))[:19] + "Z",
        allowedActions=["Restart"] if state == "Failed" else [],
    )


def job_error(error: Body, now: float, activity: str, task_id: str) -> Body:
    """An error as a job tells it. error: {"code", "message"[, "possibleCauses", "recommendedAction"]}."""
    return {
        "serviceErrorDetails": {
            "code": error["code"],
            "message": error["message"],
            "possibleCauses": error.get("possibleCauses", ""),
            "recommendedAction": error.get("recommendedAction", "Resolve the issue and restart the job."),
            "activityId": activity.rpartition(" ")[2],
        },
        "providerErrorDetails": None,
        "errorLevel": "Error",
        "creationTime": asr_time(now),
        "taskId": task_id,
    }
