# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A run of a recovery plan: its job goes step by step, one child job a machine.

A failover shuts the sources down (when asked to), fails all machines over at once, then starts them group by group: those of a group
together, a group after the one before. Actions of a group come before and after it; a manual action holds the job until it is resumed.
Every other action is one step for all machines. The form of the tasks is recorded traffic; the split of the time is chosen.

A fault that names items ({"item": NAME or [NAMES], "code": ..., "message": ...}) fails those machines alone: their child jobs
fail, the others go on, and the run ends PartiallySucceeded (inferred; Failed when no machine is left). With {"machine": ...} they do not
fail, but come up missing or silent.
"""

from __future__ import annotations

from typing import Any

from ...clock import asr_time
from ...cloud import Cloud, Request, Response
from ...operations import SUCCESS, outcome_error
from ...paths import key
from ...resource_types import Body
from ...timeline import effect
from . import replication
from .base import current_scenario, entity_guid
from .failovers import ACTIONS, afflict, job_details, shut_down, tell_job, warn_of_source
from .operations import begin
from .scenarios import DESCRIPTIONS, SCENARIOS, Scenario, all_tasks, begin_task, create, end, end_task, job_error, task

CHECK_SECONDS = 5
SHUTDOWN_SECONDS = 30
SCRIPT_SECONDS = 30
FAILOVER_SHARE = 0.6
NAMELESS = {"code": "FaultInjected", "message": "The machine was made to fail by a fault rule."}
FAILOVERS = ("testfailover", "unplannedfailover", "plannedfailover")


def members(cloud: Cloud, plan: Body) -> list[Body]:
    """The items of a plan that exist, group by group."""
    found = (
        cloud.store.get(member["id"])
        for group in plan["properties"].get("groups") or []
        for member in group.get("replicationProtectedItems") or []
    )
    return [item for item in found if item is not None]


def start(cloud: Cloud, request: Request, plan: Body, word: str, options: Body) -> Response:
    """Begin a run: 202."""
    action = ACTIONS[word]
    scenario = SCENARIOS[action.scenario]
    items = members(cloud, plan)
    tasks, steps = lay_out(cloud, plan, word, options)
    outcome = request.outcome or {}
    named = outcome.get("item") or []
    named = [str(name).lower() for name in ([named] if isinstance(named, str) else named)]
    affliction = outcome.get("machine")
    if named:
        request.outcome = None
    details = {**(job_details(cloud, word, options, items) or {}), "affectedObjectDetails": {}}
    whole = Scenario(scenario.name, scenario.friendly_name, "RecoveryPlan", 0, (), scenario.details)
    answer = begin(
        cloud,
        request,
        plan["id"],
        whole,
        "site_recovery.plan.done",
        otherwise="site_recovery.plan.done",
        timed=False,
        target_name=plan["name"],
        details=details,
        plan=plan["id"],
    )
    job = answer.headers["x-ms-request-id"]
    cloud.store.get(job)["properties"]["tasks"] = tasks  # type: ignore[index]
    ready = [item["id"] for item in items if action.verb in item["properties"]["allowedOperations"]]
    left = {key(item["id"]): not_ready(item, action.verb) for item in items if item["id"] not in ready}
    cloud.store.private(job).update(
        plan=plan["id"],
        word=word,
        options=options,
        steps=steps,
        at=0,
        items=ready,
        children={},
        failed=left if word in FAILOVERS else {},
        faults={} if affliction else {name: outcome_error(outcome) or NAMELESS for name in named},
        affliction=affliction,
        afflicted=named,
        headers={name: value for name, value in request.headers.items() if name.startswith("x-ms-")},
    )
    for item in items:
        if item["id"] in ready:
            replication.occupy(cloud, item, scenario.name, job)
    plan["properties"].update(
        currentScenario=current_scenario(plan["id"], scenario.name, job, asr_time(cloud.clock.now)),
        currentScenarioStatus="InProgress",
        currentScenarioStatusDescription="InProgress",
    )
    _begin(cloud, job)
    return answer


def not_ready(item: Body, verb: str) -> Body:
    return {
        "code": "OperationNotAllowed",
        "message": f"The operation {verb} is not allowed on '{item['properties']['friendlyName']}'.",
        "possibleCauses": f"The item is in the state {item['properties']['protectionState']}.",
        "recommendedAction": "Wait until the item allows the operation and fail it over on its own.",
    }


def lay_out(cloud: Cloud, plan: Body, word: str, options: Body) -> tuple[list[Body], list[Body]]:
    """The tasks of a run, and its steps in order.

    A step: {"seconds", "tasks" (ids of what it begins and ends), "phase" (what is done to its items at its end), "items", "manual"}.
    """
    scenario = SCENARIOS[ACTIONS[word].scenario]
    groups: list[Body] = list(plan["properties"].get("groups") or [])
    boot = [group for group in groups if group["groupType"] == "Boot"]
    tasks = [task("PrerequisitesCheckTask", "Prerequisites check for the recovery plan")]
    steps: list[Body] = [step(CHECK_SECONDS, ["PrerequisitesCheckTask"])]
    everyone = _items(cloud, boot)
    if word not in FAILOVERS:
        rows = [
            _group(f"Group{number}", f"Group {number}", "BootGroup", _machines(cloud, group, f"Group{number}"))
            for number, group in enumerate(boot, 1)
        ]
        tasks += rows
        steps.append(step(scenario.seconds, [one["taskId"] for row in rows for one in _children(row)], "apply", everyone))
    else:
        for number, group in enumerate([*(g for g in groups if g["groupType"] != "Boot"), *boot]):
            kind, place = group["groupType"], number + 1 - (len(groups) - len(boot))
            _actions(group, "startGroupActions", f"{kind}{number}Start", word, options, tasks, steps)
            if kind == "Shutdown":
                if word == "plannedfailover" or options.get("sourceSiteOperations") == "Required":
                    rows = [
                        _group(f"ShutdownGroup{n}", f"Group {n}", "BootGroup", _machines(cloud, one, f"ShutdownGroup{n}"))
                        for n, one in enumerate(boot, 1)
                    ]
                    tasks.append(
                        _group(
                            "ShutdownAllActionGroup", "All groups shutdown", "ShutdownGroup", rows, "RecoveryPlanShutdownGroupTaskDetails"
                        )
                    )
                    steps.append(step(SHUTDOWN_SECONDS, [one["taskId"] for row in rows for one in _children(row)], "shutdown", everyone))
            elif kind == "Failover":
                row = _group(
                    "FailoverAllActionGroup",
                    "All groups failover",
                    "RpFailoverTask",
                    [one for n, group in enumerate(boot, 1) for one in _machines(cloud, group, f"FailoverGroup{n}")],
                )
                tasks.append(row)
                steps.append(step(scenario.seconds * FAILOVER_SHARE, [one["taskId"] for one in _children(row)], "failover", everyone))
            else:
                found = _items(cloud, [group])
                row = _group(f"Group{place}", f"Group {place}: Start ({len(found)})", "BootGroup", _machines(cloud, group, f"Group{place}"))
                tasks.append(row)
                steps.append(step(scenario.seconds * (1 - FAILOVER_SHARE), [one["taskId"] for one in _children(row)], "apply", found))
            _actions(group, "endGroupActions", f"{kind}{number}End", word, options, tasks, steps)
    tasks.append(task("FinalizeTask", "Finalizing the recovery plan"))
    steps.append(step(1, ["FinalizeTask"]))
    return tasks, steps


def step(seconds: float, tasks: list[str], phase: str = "", items: list[str] | None = None, manual: bool = False) -> Body:
    return {"seconds": seconds, "tasks": tasks, "phase": phase, "items": items or [], "manual": manual}


def _items(cloud: Cloud, groups: list[Body]) -> list[str]:
    """The ids of the items that exist, in the letter case of the items: a plan may write them otherwise."""
    found = (cloud.store.get(member["id"]) for group in groups for member in group.get("replicationProtectedItems") or [])
    return [item["id"] for item in found if item is not None]


def _children(group: Body) -> list[Body]:
    return list(group["groupTaskCustomDetails"]["childTasks"])


def _machines(cloud: Cloud, group: Body, prefix: str) -> list[Body]:
    """The tasks of a group's machines; each points at the machine's child job once that runs."""
    made = []
    for identifier in _items(cloud, [group]):
        item = cloud.store.get(identifier)
        one = task(
            "VirtualMachineTask",
            item["properties"]["friendlyName"] if item else "",
            "VirtualMachineTaskDetails",
            {"instanceType": "VirtualMachineTaskDetails", "jobTask": None, "skippedReason": None, "skippedReasonString": None},
        )
        made.append({**one, "taskId": f"{prefix}.{entity_guid(identifier)}"})
    return made


def _group(name: str, friendly_name: str, kind: str, children: list[Body], details: str = "RecoveryPlanGroupTaskDetails") -> Body:
    return {
        **task(name, friendly_name, details, {}),
        "customDetails": None,
        "groupTaskCustomDetails": {
            "instanceType": details,
            "name": friendly_name,
            "groupId": name,
            "rpGroupType": kind,
            "childTasks": children,
        },
    }


def _actions(group: Body, place: str, prefix: str, word: str, options: Body, tasks: list[Body], steps: list[Body]) -> None:
    """The manual actions and scripts of a group that this kind of failover and this direction run."""
    scenario = SCENARIOS[ACTIONS[word].scenario].name
    direction = options.get("failoverDirection") or "PrimaryToRecovery"
    for number, action in enumerate(group.get(place) or []):
        kinds, directions = action.get("failoverTypes") or [scenario], action.get("failoverDirections") or [direction]
        if scenario not in kinds or direction not in directions:
            continue
        given = action.get("customDetails") or {}
        manual = given.get("instanceType") == "ManualActionDetails"
        details = (
            {
                "instanceType": "ManualActionTaskDetails",
                "name": action.get("actionName"),
                "instructions": given.get("description"),
                "observation": None,
            }
            if manual
            else {
                "instanceType": "ScriptActionTaskDetails",
                "name": action.get("actionName"),
                "path": given.get("path") or given.get("runbookId"),
                "output": None,
                "isPrimarySideScript": given.get("fabricLocation") == "Primary",
            }
        )
        one = {**task("ActionTask", str(action.get("actionName")), str(details["instanceType"]), details), "taskId": f"{prefix}.{number}"}
        tasks.append(one)
        steps.append(step(SCRIPT_SECONDS, [one["taskId"]], manual=manual))


def _begin(cloud: Cloud, job: str) -> None:
    """Begin the step that the run is at; a manual action waits to be resumed."""
    run, body = cloud.store.private(job), cloud.store.get(job)
    if body is None:
        return
    now, current = cloud.clock.now, run["steps"][run["at"]]
    if current["phase"]:
        of_machine = _by_machine(body)
        for identifier in current["items"]:
            _child(cloud, run, identifier, of_machine.get(entity_guid(identifier), []))
    for one in all_tasks(body["properties"]["tasks"]):
        if one["taskId"] in current["tasks"] and one["state"] == "NotStarted":
            begin_task(one, now)
            if current["manual"]:
                one.update(state="Suspended", stateDescription="WaitingForManualAction", allowedActions=["Resume"])
    _roll_up(body["properties"]["tasks"], now)
    if current["manual"]:
        body["properties"].update(state="Suspended", stateDescription="WaitingForManualAction", allowedActions=["Cancel", "Resume"])
    else:
        cloud.timeline.put(now + current["seconds"], "site_recovery.plan.step", job=job, at=run["at"])


@effect("site_recovery.plan.resume")
def _resume(cloud: Cloud, job: str, comments: str) -> None:
    run, body = cloud.store.private(job), cloud.store.get(job)
    if body is None or body["properties"]["state"] != "Suspended":
        return
    for one in body["properties"]["tasks"]:
        if one["state"] == "Suspended":
            one["customDetails"]["observation"] = comments
    body["properties"].update(state="InProgress", stateDescription="InProgress", allowedActions=["Cancel"])
    _step(cloud, job, run["at"])


@effect("site_recovery.plan.step")
def _step(cloud: Cloud, job: str, at: int) -> None:
    """A step ends: what it does to its machines happens, the next begins."""
    run, body = cloud.store.private(job), cloud.store.get(job)
    operation = cloud.operations.get(job.rsplit("/", 1)[-1])
    if body is None or operation is None or operation.ended is not None or run.get("at") != at:
        return
    current = run["steps"][at]
    if current["phase"]:
        for identifier in current["items"]:
            _carry_out(cloud, job, run, identifier, current["phase"])
    tasks = body["properties"]["tasks"]
    for one in all_tasks(tasks):
        if one["taskId"] in current["tasks"]:
            end_task(one, cloud.clock.now)
    _roll_up(tasks, cloud.clock.now)
    if operation.never_ends:
        return
    wanted = (operation.outcome or {}).get("status", "Failed" if (operation.outcome or {}).get("code") else "Succeeded")
    if at + 1 == len(run["steps"]) or wanted not in SUCCESS:
        cloud.operations.finish(cloud, operation, *_verdict(run))
        return
    run["at"] = at + 1
    _begin(cloud, job)


def _verdict(run: Body) -> tuple[str, Body | None]:
    """How the run ends: status, and the error that stands beside it when no machine came through."""
    failed = run["failed"]
    if not failed:
        return "Succeeded", None
    if any(key(item) not in failed for item in run["items"]):
        return "PartiallySucceeded", None
    return "Failed", next(iter(failed.values()))


def _by_machine(job: Body) -> dict[str, list[Body]]:
    """The tasks of a run's job by the GUID of the machine that they are of."""
    found: dict[str, list[Body]] = {}
    for one in all_tasks(job["properties"]["tasks"]):
        if one["taskType"] == "VirtualMachineTaskDetails":
            found.setdefault(one["taskId"].rpartition(".")[2], []).append(one)
    return found


def _child(cloud: Cloud, run: Body, identifier: str, tasks: list[Body]) -> None:
    """The child job of a machine, made when its first task begins; every task of the machine points at it."""
    item = cloud.store.get(identifier)
    known = run["children"].get(key(identifier))
    if known is None and item is not None and (identifier in run["items"] or key(identifier) in run["failed"]):
        word, options = run["word"], run["options"]
        given = options.get("providerSpecificDetails")
        own = {**options, "providerSpecificDetails": (given[0] if given else {}) if isinstance(given, list) else given or {}}
        scenario = SCENARIOS[ACTIONS[word].scenario]
        request = Request("POST", f"{identifier}/{ACTIONS[word].scenario}", headers=run["headers"], body={"properties": own})
        child = create(
            cloud,
            request,
            cloud.guid(),
            identifier,
            scenario,
            item["properties"]["friendlyName"].lower(),
            job_details(cloud, word, options, [item]),
        )
        known = run["children"][key(identifier)] = child["id"]
        if key(identifier) in run["failed"]:
            end(cloud, child, "Failed", run["failed"][key(identifier)])
    child_job = cloud.store.get(known) if known else None
    for one in tasks:
        if child_job is not None:
            shown = child_job["properties"]
            one["customDetails"]["jobTask"] = {
                "jobId": child_job["id"],
                "jobFriendlyName": shown["friendlyName"],
                "targetObjectId": shown["targetObjectId"],
                "targetObjectName": shown["targetObjectName"],
                "targetInstanceType": shown["targetInstanceType"],
                "jobScenarioName": shown["scenarioName"],
            }
        if key(identifier) in run["failed"]:
            _give_up(one, cloud.clock.now)
        elif known is None:
            _skip(one, "The machine is not in a state that needs this action.")


def _skip(one: Body, reason: str) -> None:
    if one["state"] == "NotStarted":
        one.update(state="Skipped", stateDescription="Skipped")
        one["customDetails"].update(skippedReason="NotApplicable", skippedReasonString=reason)


def _give_up(one: Body, now: float) -> None:
    """A machine's task after its machine failed: the running one fails, later ones are skipped."""
    if one["state"] == "InProgress":
        end_task(one, now, "Failed")
    _skip(one, "The machine failed in an earlier step.")


def _carry_out(cloud: Cloud, job: str, run: Body, identifier: str, phase: str) -> None:
    """What a step's end does to one machine."""
    item, child = cloud.store.get(identifier), cloud.store.get(run["children"].get(key(identifier), ""))
    if item is None or child is None or key(identifier) in run["failed"] or identifier not in run["items"]:
        return
    names = (item["name"].lower(), item["properties"]["friendlyName"].lower(), key(identifier))
    fault = next((error for name, error in run["faults"].items() if name in names), None)
    if phase == "shutdown":
        if not shut_down(cloud, item):
            warn_of_source(cloud, child["id"], item)
    elif fault:
        _fail(cloud, job, run, item, child, fault)
    elif phase == "apply":
        replication.release(cloud, identifier)
        ACTIONS[run["word"]].apply(cloud, item, run["options"])
        if not run.get("afflicted") or any(name in names for name in run["afflicted"]):
            afflict(cloud, item, run["word"], run.get("affliction"))
        tell_job(cloud, child["id"])
        end(cloud, child, "Succeeded")


def _fail(cloud: Cloud, job: str, run: Body, item: Body, child: Body, error: Body) -> None:
    run["failed"][key(item["id"])] = error
    replication.release(cloud, item["id"])
    end(cloud, child, "Failed", error)
    body: Any = cloud.store.get(job)
    for one in _by_machine(body).get(entity_guid(item["id"]), []):
        if one["state"] == "InProgress":
            one["errors"].append(job_error(error, cloud.clock.now, body["properties"]["activityId"], one["taskId"]))
        _give_up(one, cloud.clock.now)


def _roll_up(tasks: list[Body], now: float) -> None:
    """A group of tasks runs when one of its tasks has begun, and is done when all are; a failed one among them makes it Failed."""
    for one in tasks:
        children = (one["groupTaskCustomDetails"] or {}).get("childTasks")
        if children is None:
            continue
        _roll_up(children, now)
        states = {child["state"] for child in children}
        if one["state"] == "NotStarted" and states - {"NotStarted", "Skipped"}:
            begin_task(one, now)
        if not states & {"NotStarted", "InProgress", "Suspended"}:
            end_task(one, now, "Failed" if "Failed" in states else "Succeeded")


@effect("site_recovery.plan.done")
def _done(cloud: Cloud, job: str, plan: str) -> None:
    """The run has ended, well or not: no item is occupied any more, the plan says how it went."""
    run, body, known = cloud.store.private(job), cloud.store.get(job), cloud.store.get(plan)
    for identifier in run["items"]:
        item = cloud.store.get(identifier)
        if item is not None and (item["properties"].get("currentScenario") or {}).get("jobId") == job:
            replication.release(cloud, identifier)
    for child in run["children"].values():
        unfinished = cloud.store.get(child)
        if unfinished is not None and body is not None:
            end(cloud, unfinished, body["properties"]["state"])
    tell_job(cloud, job)
    if known is None or body is None:
        return
    properties, state = known["properties"], body["properties"]["state"]
    properties.update(currentScenarioStatus=state, currentScenarioStatusDescription=DESCRIPTIONS.get(state, state))
    last_time = {
        "testfailover": "lastTestFailoverTime",
        "unplannedfailover": "lastUnplannedFailoverTime",
        "plannedfailover": "lastPlannedFailoverTime",
    }.get(run["word"])
    if last_time and state in SUCCESS:
        properties[last_time] = asr_time(cloud.clock.now)
