# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Failover of a replicated item: test, clean-up, failover, commit, cancel, change of the recovery point, reprotect.

What a failover leaves behind (states, allowed operations) follows the API's examples; reprotect follows recorded traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...clock import asr_time
from ...cloud import Cloud, Request, Response
from ...paths import Path, key
from ...resource_types import Body
from ...timeline import effect
from .. import compute
from . import replication
from .a2a import is_a2a, recovered_machine, recovery_container, source_facts, source_machine, switched
from .base import ITEM, PLAN, ancestor, bad_request, entity_guid, last, no_such_resource, vault_of
from .fabrics import location_of
from .items import Items, refuse_busy
from .operations import begin
from .recovery_points import recovery_points
from .scenarios import SCENARIOS, job_error

NETWORK_TYPES = ("VmNetworkAsInput", "NoNetworkAttachAsInput")
# Chosen: CancelFailover is offered with the commit; the rest is the API's example without what belongs to migrations.
AFTER_FAILOVER = ["Commit", "CancelFailover", "ChangePit", "DisableProtection"]
AFTER_COMMIT = ["ReverseReplicate", "DisableProtection"]
AFTER_COMMIT_ON_PREMISES = ["PlannedFailover", "DisableProtection"]


def recovery_location(cloud: Cloud, item: Body) -> str:
    properties = item["properties"]
    vault = cloud.store.get(vault_of(item["id"])) or {}
    return location_of(cloud, str(properties.get("recoveryFabricId"))) or str(
        properties["providerSpecificDetails"].get("recoveryFabricLocation") or vault.get("location")
    )


def wanted_point(cloud: Cloud, item: Body, options: Body) -> Body | None:
    """The recovery point that a failover is to use: by id, or the newest of the type asked for."""
    given = options.get("providerSpecificDetails") or {}
    details = (given[0] if given else {}) if isinstance(given, list) else given
    points = recovery_points(cloud, item)
    wanted = options.get("recoveryPointId") or details.get("recoveryPointId")
    if wanted:
        return next((point for point in points if point["name"].lower() == last(str(wanted)).lower()), None)
    newest = next(points, None)
    if details.get("recoveryPointType") != "LatestApplicationConsistent":
        return newest
    return next((point for point in recovery_points(cloud, item) if point["properties"]["recoveryPointType"] == "AppConsistent"), newest)


def _bring_up(cloud: Cloud, item: Body, machine: str, network: str | None, subnet: str | None) -> None:
    """The machine appears in the recovery region; nothing does for an item that does not say where."""
    if machine:
        compute.recover(
            cloud,
            source_machine(item),
            machine,
            location=recovery_location(cloud, item),
            network_id=network,
            subnet_name=subnet,
            known=source_facts(item),
        )


# What each action does to an item when it ends well: function(cloud, item, options); options are the properties of the request.


def test_fail_over(cloud: Cloud, item: Body, options: Body) -> None:
    properties, machine = item["properties"], recovered_machine(item, test=True)
    network = options.get("networkId") if options.get("networkType") != "NoNetworkAttachAsInput" else None
    _bring_up(cloud, item, machine, network, test_subnet(cloud, item, network))
    properties["providerSpecificDetails"]["testFailoverRecoveryFabricObjectId"] = machine or None
    properties.update(
        testFailoverState="WaitingForCompletion",
        testFailoverStateDescription="Waiting for user input",
        protectionStateDescription="Cleanup test failover pending",
        allowedOperations=["TestFailoverCleanup"],
    )


def test_subnet(cloud: Cloud, item: Body, network: str | None) -> str | None:
    """The subnet of the test network that has the name of the recovery subnet, else its first."""
    subnets = [one["name"] for one in (cloud.store.get(network or "") or {}).get("properties", {}).get("subnets") or [] if "name" in one]
    wanted = cloud.store.private(item["id"]).get("subnet")
    return wanted if wanted in subnets or not subnets else subnets[0]


def clean_up(cloud: Cloud, item: Body, options: Body) -> None:
    properties = item["properties"]
    machine = properties["providerSpecificDetails"].get("testFailoverRecoveryFabricObjectId") or recovered_machine(item, test=True)
    if machine:
        compute.remove(cloud, machine)
    properties["providerSpecificDetails"]["testFailoverRecoveryFabricObjectId"] = None
    replication.set_state(item, replication.PROTECTED, replication.ready(item))
    properties.update(
        testFailoverState="MarkedForDeletion",
        testFailoverStateDescription="Cleaning up test environment",
        lastSuccessfulTestFailoverTime=asr_time(cloud.clock.now),
    )
    replication.forgive(item)


def shut_down(cloud: Cloud, item: Body) -> bool:
    """Switch the source machine off; False when it can't be reached because it is gone."""
    source = source_machine(item)
    compute.power(cloud, source, False)
    return compute.machine(cloud, source) is not None or not is_a2a(item)


def fail_over(cloud: Cloud, item: Body, options: Body) -> None:
    """The machine appears in the recovery region. One of that name that is there already is replaced (chosen: a machine that was failed
    over from there, or that the estate holds as the result of an earlier failover, has that very name).
    """
    properties, machine, private = item["properties"], recovered_machine(item), cloud.store.private(item["id"])
    if options.get("failoverDirection") == "RecoveryToPrimary" and not is_a2a(item):
        replication.set_state(
            item,
            ("PlannedFailoverCommitPendingStatesBegin", "Planned failover completed"),
            ["Commit", "ReverseReplicate", "DisableProtection"],
        )
        properties["activeLocation"] = "Primary"
        return
    point = wanted_point(cloud, item, options)
    _bring_up(cloud, item, machine, private.get("network"), private.get("subnet"))
    private["failed_over"] = cloud.clock.now
    replication.drop(cloud, item["id"])
    replication.set_state(item, replication.FAILED_OVER, AFTER_FAILOVER)
    properties.update(
        activeLocation="Recovery",
        failoverRecoveryPointId=point["id"] if point else None,
        lastSuccessfulFailoverTime=asr_time(cloud.clock.now),
    )
    if is_a2a(item):
        properties["providerSpecificDetails"]["recoveryFabricObjectId"] = machine


def commit(cloud: Cloud, item: Body, options: Body) -> None:
    replication.set_state(item, replication.COMMITTED, AFTER_COMMIT if is_a2a(item) else AFTER_COMMIT_ON_PREMISES)


def cancel(cloud: Cloud, item: Body, options: Body) -> None:
    """Back to the source: the recovered machine goes, the source runs again (inferred)."""
    remove_recovered(cloud, item)
    compute.power(cloud, source_machine(item), True)
    cloud.store.private(item["id"]).pop("failed_over", None)
    replication.set_state(item, replication.PROTECTED, replication.ready(item))
    item["properties"].update(activeLocation="Primary", failoverRecoveryPointId=None)
    if is_a2a(item):
        item["properties"]["providerSpecificDetails"]["recoveryFabricObjectId"] = None


def change_point(cloud: Cloud, item: Body, options: Body) -> None:
    """The recovered machine is made anew from another recovery point."""
    remove_recovered(cloud, item)
    fail_over(cloud, item, options)


def remove_recovered(cloud: Cloud, item: Body) -> None:
    machine = recovered_machine(item)
    if machine:
        compute.remove(cloud, machine)


def reprotect(cloud: Cloud, item: Body, options: Body) -> None:
    """Replicate the other way: an A2A item moves to the container it was failed over to, under its name (recorded traffic)."""
    if not is_a2a(item):
        replication.start(cloud, item)
        return
    given = options.get("providerSpecificDetails") or {}
    moved = switched(cloud, item, given if isinstance(given, dict) else {})
    nics = item["properties"]["providerSpecificDetails"].get("vmNics") or []
    network = next((one.get("vMNetworkName") for one in nics), None)
    subnet = next((config.get("subnetName") for one in nics for config in one.get("ipConfigs") or []), None)
    replication.drop(cloud, item["id"])
    cloud.store.delete(item["id"])
    cloud.store.put(moved["id"], moved)
    cloud.store.private(moved["id"]).update(
        network=network, subnet=subnet, lifecycle=item["properties"]["providerSpecificDetails"].get("lifecycleId") or cloud.guid()
    )
    replication.start(cloud, moved)
    _follow(cloud, item, moved)


def _follow(cloud: Cloud, before: Body, after: Body) -> None:
    """Recovery plans go on to hold an item that moved, and change direction when all of theirs have (inferred)."""
    for plan in cloud.store.of_type(PLAN, vault_of(before["id"])):
        members = [member for group in plan["properties"].get("groups") or [] for member in group.get("replicationProtectedItems") or []]
        for member in members:
            if key(member["id"]) == key(before["id"]):
                member.update(id=after["id"], virtualMachineId=replication.machine_guid(after))
        recovery = str(plan["properties"].get("recoveryFabricId"))
        if members and all(key(ancestor(member["id"], 2)) == key(recovery) for member in members):
            _turn(plan["properties"])


def _turn(plan: Body) -> None:
    for name in ("FabricId", "FabricFriendlyName"):
        plan[f"primary{name}"], plan[f"recovery{name}"] = plan.get(f"recovery{name}"), plan.get(f"primary{name}")


@dataclass(frozen=True)
class Action:
    """An action on an item or plan. scenario: its key in SCENARIOS; verb: the allowed operation that it needs; apply: what it does."""

    scenario: str
    verb: str
    apply: Callable[[Cloud, Body, Body], None]


ACTIONS = {
    action.scenario.lower(): action
    for action in (
        Action("testFailover", "TestFailover", test_fail_over),
        Action("testFailoverCleanup", "TestFailoverCleanup", clean_up),
        Action("unplannedFailover", "UnplannedFailover", fail_over),
        Action("plannedFailover", "PlannedFailover", fail_over),
        Action("failoverCommit", "Commit", commit),
        Action("failoverCancel", "CancelFailover", cancel),
        Action("applyRecoveryPoint", "ChangePit", change_point),
        Action("reProtect", "ReverseReplicate", reprotect),
    )
}


def refuse_not_allowed(name: str, verb: str, allowed: list[str], state: str) -> None:
    """Refuse (400) what allowedOperations does not hold (inferred)."""
    if verb not in allowed:
        raise bad_request(
            "OperationNotAllowed",
            f"The operation {verb} is not allowed on '{name}' in its present state ({state}).",
            f"The state of the object does not allow the operation. Allowed operations: {', '.join(allowed) or 'none'}.",
            "Wait until the object allows the operation, or carry out what it allows first.",
        )


def check(cloud: Cloud, word: str, options: Body) -> None:
    """Refuse (400) options that no service could follow."""
    if word == "testfailover":
        kind = options.get("networkType")
        if kind is not None and kind not in NETWORK_TYPES:
            raise bad_request(
                "InvalidParameter",
                f"networkType '{kind}' is not known.",
                f"The value is none of {', '.join(NETWORK_TYPES)}.",
                "Correct the network type.",
            )
        if kind == "VmNetworkAsInput" and not options.get("networkId"):
            raise bad_request(
                "InvalidParameter", "networkId is missing.", "networkType VmNetworkAsInput needs a network.", "Name a network."
            )
    if word.endswith("failover") and options.get("failoverDirection") not in (None, "PrimaryToRecovery", "RecoveryToPrimary"):
        raise bad_request(
            "InvalidParameter",
            f"failoverDirection '{options['failoverDirection']}' is not known.",
            "The value is neither PrimaryToRecovery nor RecoveryToPrimary.",
            "Correct the failover direction.",
        )


def job_details(cloud: Cloud, word: str, options: Body, items: list[Body]) -> Body | None:
    """customDetails of the job of a failover (API document: FailoverJobDetails, TestFailoverJobDetails)."""
    if word not in ("testfailover", "unplannedfailover", "plannedfailover"):
        return {"affectedObjectDetails": affected(items[0])} if len(items) == 1 else None
    test = word == "testfailover"
    network = str(options.get("networkId") or "")
    shown = []
    for item in items:
        point = wanted_point(cloud, item, options)
        machine, private = last(recovered_machine(item, test)), cloud.store.private(item["id"])
        shown.append(
            {
                "name": item["name"],
                "friendlyName": item["properties"]["friendlyName"],
                "testVmName": machine if test else None,
                "testVmFriendlyName": machine if test else None,
                "networkConnectionStatus": "Connected" if network or not test else "NotConnected",
                "networkFriendlyName": last(network if test else str(private.get("network") or "")) or None,
                "subnet": test_subnet(cloud, item, network) if test else private.get("subnet"),
                "recoveryPointId": point["id"] if point else None,
                "recoveryPointTime": point["properties"]["recoveryPointTime"] if point else None,
            }
        )
    details: Body = {"protectedItemDetails": shown, "affectedObjectDetails": affected(items[0]) if len(items) == 1 else {}}
    if test:
        details.update(
            testFailoverStatus="NotStarted",
            comments=None,
            networkName=last(network) or None,
            networkFriendlyName=last(network) or None,
            networkType=options.get("networkType"),
        )
    return details


def affected(item: Body) -> Body:
    """affectedObjectDetails of a job on an item, in lower camel case (recorded traffic since 2021)."""
    properties = item["properties"]
    container = str(properties.get("recoveryContainerId") or "")
    return {
        "primaryVmId": replication.machine_guid(item),
        "primaryVmName": properties["friendlyName"],
        "recoveryVmId": "",
        "recoveryVmName": last(recovered_machine(item)),
        "protectionProfileId": entity_guid(str(properties.get("policyId") or "")),
        "primaryCloudId": ancestor(item["id"], 1).rsplit("/", 1)[-1],
        "primaryCloudName": str(properties.get("primaryProtectionContainerFriendlyName") or ""),
        "recoveryCloudId": last(container),
        "recoveryCloudName": str(properties.get("recoveryProtectionContainerFriendlyName") or ""),
    }


def act(cloud: Cloud, request: Request, item: Body, word: str, options: Body, at: str = "") -> Response:
    """Begin an action on one item: 202, or a Refusal (409 while another runs, 400 where the state does not allow it)."""
    action = ACTIONS[word]
    properties = item["properties"]
    refuse_busy(cloud, item)
    refuse_not_allowed(properties["friendlyName"], action.verb, properties["allowedOperations"], properties["protectionState"])
    check(cloud, word, options)
    if word == "reprotect" and is_a2a(item) and recovery_container(cloud, item) is None:
        raise no_such_resource(last(str(properties.get("recoveryContainerId"))))
    answer = begin(
        cloud,
        request,
        item["id"],
        action.scenario,
        "site_recovery.act",
        otherwise="site_recovery.release",
        at=at,
        details=job_details(cloud, word, options, [item]),
        item=item["id"],
        word=word,
        options=options,
    )
    replication.occupy(cloud, item, SCENARIOS[action.scenario].name, answer.headers["x-ms-request-id"])
    return answer


@effect("site_recovery.act")
def _act(cloud: Cloud, job: str, item: str, word: str, options: Body) -> None:
    body = replication.release(cloud, item)
    if body is None:
        return
    if options.get("sourceSiteOperations") == "Required" and not shut_down(cloud, body):
        warn_of_source(cloud, job, body)
    ACTIONS[word].apply(cloud, body, options)
    operation = cloud.operations.get(job.rsplit("/", 1)[-1])
    afflict(cloud, body, word, ((operation and operation.outcome) or {}).get("machine"))
    tell_job(cloud, job)


def afflict(cloud: Cloud, item: Body, word: str, affliction: str | None) -> None:
    """What a fault rule does to the machine that a failover has made: it is missing, or silent, its VM agent never reports."""
    machine = recovered_machine(item, test=word == "testfailover")
    if affliction == "missing":
        compute.remove(cloud, machine)
    elif affliction == "silent":
        compute.silence(cloud, machine)


def tell_job(cloud: Cloud, job: str) -> None:
    """A test failover's job says when the test itself is done."""
    details = (cloud.store.get(job) or {}).get("properties", {}).get("customDetails") or {}
    if "testFailoverStatus" in details:
        details["testFailoverStatus"] = "Completed"


def warn_of_source(cloud: Cloud, job: str, item: Body) -> None:
    """The source machine could not be shut down because it is gone: a warning in the job, no failure (inferred)."""
    properties = (cloud.store.get(job) or {}).get("properties")
    if properties is not None:
        name = item["properties"]["friendlyName"]
        error = {
            "code": "SourceMachineNotFound",
            "message": f"The virtual machine '{name}' could not be shut down.",
            "possibleCauses": "The virtual machine does not exist any more, or its region cannot be reached.",
            "recommendedAction": "Make sure that the source machine does not run any more.",
        }
        properties["errors"].append(
            {**job_error(error, cloud.clock.now, properties["activityId"], "ShutdownVmOnPrimary"), "errorLevel": "Warning"}
        )


def item_actions(items: Items) -> Items:
    """Give the type of replicated items its failover actions."""

    def handler(word: str) -> Callable[[Cloud, Request, Path], Response]:
        return lambda cloud, request, path: act(cloud, request, items.require(cloud, path), word, items.properties(request))

    items.actions.update({word: handler(word) for word in ACTIONS})
    return items


def switch_protection(cloud: Cloud, request: Request, path: Path, options: Body) -> Response:
    """POST switchprotection on a container: reprotect of one of its A2A items (recorded traffic)."""
    name = str(options.get("replicationProtectedItemName") or "")
    item = cloud.store.get(f"{path.resource_id}/replicationProtectedItems/{name}")
    if item is None or item["type"] != ITEM:
        raise no_such_resource(name)
    return act(cloud, request, item, "reprotect", options, at=path.resource_id)
