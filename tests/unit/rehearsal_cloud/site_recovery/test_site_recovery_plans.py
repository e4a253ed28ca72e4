# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Recovery plans, their runs, and jobs."""

from __future__ import annotations

import json

from rehearsal_cloud.cloud import Cloud, Request
from rehearsal_cloud.providers import install

PLAN = "/replicationRecoveryPlans/all"
PROVIDER = [{"instanceType": "A2A"}]
DRILL = {"failoverDirection": "PrimaryToRecovery", "networkType": "NoNetworkAttachAsInput", "providerSpecificDetails": PROVIDER}
FAILOVER = {"failoverDirection": "PrimaryToRecovery", "sourceSiteOperations": "Required", "providerSpecificDetails": PROVIDER}


def machine_tasks(tasks):
    for task in tasks:
        if task["taskType"] == "VirtualMachineTaskDetails":
            yield task
        yield from machine_tasks((task["groupTaskCustomDetails"] or {}).get("childTasks", []))


def children(world, job):
    """The child jobs of a run, by machine."""
    ids = {task["friendlyName"]: task["customDetails"]["jobTask"]["jobId"] for task in machine_tasks(world.properties(job)["tasks"])}
    return {name: world.properties(child) for name, child in ids.items()}


def test_the_service_adds_groups_and_lists_show_none(planned):
    properties = planned.properties(PLAN)
    assert [group["groupType"] for group in properties["groups"]] == ["Shutdown", "Failover", "Boot", "Boot"]
    member = properties["groups"][2]["replicationProtectedItems"][0]
    assert "/" not in member["virtualMachineId"]
    assert properties["allowedOperations"] == ["UnplannedFailover", "TestFailover"]
    assert properties["replicationProviders"] == ["A2A"]
    assert planned.get("/replicationRecoveryPlans")["value"][0]["properties"]["groups"] == []


def test_a_drill_of_a_plan_starts_group_after_group(planned):
    job = planned.begin("POST", f"{PLAN}/testFailover", DRILL)
    assert planned.properties(PLAN)["currentScenario"]["jobId"] == job
    assert planned.properties(PLAN)["allowedOperations"] == []
    appeared = {}
    for second in range(0, 400, 5):
        planned.later(5)
        for name in ("db", "web", "app"):
            if planned.machine(f"{name}-test").status == 200:
                appeared.setdefault(name, second)
    assert appeared["db"] < appeared["web"] == appeared["app"]
    properties = planned.properties(job)
    assert (properties["state"], properties["targetInstanceType"]) == ("Succeeded", "RecoveryPlan")
    assert [task["friendlyName"] for task in properties["tasks"]] == [
        "Prerequisites check for the recovery plan",
        "All groups failover",
        "Group 1: Start (1)",
        "Group 2: Start (2)",
        "Finalizing the recovery plan",
    ]
    assert {child["state"] for child in children(planned, job).values()} == {"Succeeded"}
    assert planned.properties(PLAN)["allowedOperations"] == ["TestFailoverCleanup"]
    assert planned.done("POST", f"{PLAN}/testFailoverCleanup", {"comments": "done"})["state"] == "Succeeded"
    assert planned.machine("web-test").status == 404
    assert planned.properties(PLAN)["allowedOperations"] == ["UnplannedFailover", "TestFailover"]


def test_a_failover_of_a_plan_shuts_down_fails_over_and_commits(planned, kit):
    job = planned.done("POST", f"{PLAN}/unplannedFailover", FAILOVER)
    assert job["tasks"][1]["taskType"] == "RecoveryPlanShutdownGroupTaskDetails"
    assert {entry["friendlyName"] for entry in job["customDetails"]["protectedItemDetails"]} == {"db", "web", "app"}
    assert "PowerState/deallocated" in planned.power("db", kit.east)
    assert all(planned.machine(name).status == 200 for name in ("db", "web", "app"))
    plan = planned.properties(PLAN)
    assert (plan["currentScenarioStatus"], plan["allowedOperations"]) == ("Succeeded", ["Commit", "CancelFailover"])
    assert plan["lastUnplannedFailoverTime"]
    assert planned.done("POST", f"{PLAN}/failoverCommit")["state"] == "Succeeded"
    assert planned.properties(kit.item("web"))["protectionState"] == "UnplannedFailoverCommitted"
    assert planned.done("POST", f"{PLAN}/reProtect")["state"] == "Succeeded"
    plan = planned.properties(PLAN)
    assert plan["primaryFabricFriendlyName"] == "West US 3"
    assert planned.send("GET", plan["groups"][2]["replicationProtectedItems"][0]["id"]).status == 200


def test_without_a_wish_the_source_goes_on_running(planned, kit):
    job = planned.done("POST", f"{PLAN}/unplannedFailover", {**FAILOVER, "sourceSiteOperations": "NotRequired"})
    assert "All groups shutdown" not in [task["friendlyName"] for task in job["tasks"]]
    assert "PowerState/running" in planned.power("db", kit.east)


def test_a_source_that_is_gone_is_a_warning(planned, kit):
    planned.cloud.store.delete(f"{kit.east}/providers/Microsoft.Compute/virtualMachines/db")
    job = planned.begin("POST", f"{PLAN}/unplannedFailover", FAILOVER)
    planned.later(1000)
    assert planned.properties(job)["state"] == "Succeeded"
    child = children(planned, job)["db"]
    assert (child["state"], [error["errorLevel"] for error in child["errors"]]) == ("Succeeded", ["Warning"])


def test_a_fault_on_one_machine_leaves_the_others_done(planned, kit):
    job = planned.begin(
        "POST",
        f"{PLAN}/unplannedFailover",
        FAILOVER,
        outcome={"item": "WEB", "status": "Failed", "code": "150", "message": "No quota in the region."},
    )
    planned.later(1000)
    assert planned.properties(job)["state"] == "PartiallySucceeded"
    found = children(planned, job)
    assert {name: child["state"] for name, child in found.items()} == {"db": "Succeeded", "web": "Failed", "app": "Succeeded"}
    assert found["web"]["errors"][0]["serviceErrorDetails"]["message"] == "No quota in the region."
    assert (planned.machine("web").status, planned.machine("app").status) == (404, 200)
    assert planned.properties(kit.item("web"))["protectionState"] == "Protected"
    restarted = planned.done(
        "POST",
        next(
            task["customDetails"]["jobTask"]["jobId"]
            for task in machine_tasks(planned.properties(job)["tasks"])
            if task["friendlyName"] == "web"
        )
        + "/restart",
    )
    assert restarted["state"] == "Succeeded"
    assert planned.machine("web").status == 200


def test_a_run_whose_only_machine_fails_has_failed(world, kit):
    world.done("PUT", PLAN, kit.plan(["web"]))
    job = world.begin("POST", f"{PLAN}/unplannedFailover", FAILOVER, outcome={"item": "web", "code": "150", "message": "No quota."})
    world.later(1000)
    assert world.properties(job)["state"] == "Failed"
    assert world.properties(PLAN)["currentScenarioStatus"] == "Failed"


def test_a_fault_on_the_whole_run_touches_no_machine(planned, kit):
    job = planned.done("POST", f"{PLAN}/unplannedFailover", FAILOVER, outcome={"code": "150", "message": "Region down."})
    assert job["state"] == "Failed"
    assert planned.machine("web").status == 404
    assert "PowerState/running" in planned.power("db", kit.east)
    assert planned.properties(kit.item("web"))["allowedOperations"] == ["UnplannedFailover", "DisableProtection", "TestFailover"]


def test_a_manual_action_holds_the_run_until_it_is_resumed(world, kit):
    manual = {
        "actionName": "Call the bank",
        "failoverTypes": ["UnplannedFailover"],
        "failoverDirections": ["PrimaryToRecovery"],
        "customDetails": {"instanceType": "ManualActionDetails", "description": "Number in the safe."},
    }
    world.done("PUT", PLAN, kit.plan(["db"], ["web"], endGroupActions=[manual]))
    job = world.begin("POST", f"{PLAN}/unplannedFailover", FAILOVER)
    world.later(5000)
    properties = world.properties(job)
    assert (properties["state"], properties["allowedActions"]) == ("Suspended", ["Cancel", "Resume"])
    assert (world.machine("db").status, world.machine("web").status) == (200, 404)
    assert world.send("POST", f"{job}/resume", {"comments": "called"}).status == 202
    world.later(500)
    assert world.properties(job)["state"] == "Succeeded"
    assert world.machine("web").status == 200
    assert world.done("POST", f"{PLAN}/failoverCancel")["state"] == "Succeeded"
    assert world.done("POST", f"{PLAN}/testFailover", DRILL)["state"] == "Succeeded"


def test_a_second_action_waits_its_turn(planned, kit):
    planned.begin("POST", f"{PLAN}/testFailover", DRILL)
    assert planned.refused("POST", f"{PLAN}/unplannedFailover", FAILOVER) == (409, "OperationInProgress")
    assert planned.refused("POST", f"{kit.item('web')}/unplannedFailover", {}) == (409, "OperationInProgress")


def test_an_action_that_no_machine_allows_is_refused(planned):
    assert planned.refused("POST", f"{PLAN}/failoverCommit") == (400, "OperationNotAllowed")


def test_a_cancelled_run_frees_its_machines(planned, kit):
    job = planned.begin("POST", f"{PLAN}/unplannedFailover", FAILOVER)
    planned.later(40)
    assert planned.send("POST", f"{job}/cancel").status == 202
    planned.later(1000)
    assert planned.properties(job)["state"] == "Cancelled"
    assert {child["state"] for child in children(planned, job).values()} == {"Cancelled"}
    assert "UnplannedFailover" in planned.properties(kit.item("web"))["allowedOperations"]
    assert planned.machine("web").status == 404


def test_a_restarted_cloud_finishes_the_run_and_kept_no_token(planned, kit):
    job = planned.cloud.handle(
        Request("POST", kit.vault + PLAN + "/unplannedFailover", {}, {"authorization": "Bearer s3cret"}, {"properties": FAILOVER})
    ).headers["x-ms-request-id"]
    planned.later(60)
    planned.get(PLAN)
    assert "s3cret" not in json.dumps(planned.cloud.dump())
    saved = json.loads(json.dumps(planned.cloud.dump()))
    planned.cloud = install(Cloud())
    planned.cloud.load(saved)
    planned.cloud.clock = planned.clock
    planned.later(1000)
    assert planned.properties(job)["state"] == "Succeeded"
    assert planned.machine("web").status == 200


def test_jobs_are_listed_bare_and_filtered(planned, kit):
    planned.done("POST", f"{kit.item('web')}/unplannedFailover", {}, outcome={"code": "1", "message": "no"})
    planned.begin("POST", f"{kit.item('db')}/unplannedFailover", {})
    newest = planned.get("/replicationJobs")["value"][0]["properties"]
    assert (newest["state"], newest["tasks"], newest["customDetails"], newest["activityId"]) == ("InProgress", [], None, None)
    failed = planned.get("/replicationJobs", filter="jobStatus eq 'Failed' and jobName eq 'UnplannedFailover'")["value"]
    assert [(job["properties"]["targetObjectName"], job["properties"]["errors"]) for job in failed] == [("web", [])]
    assert planned.get("/replicationJobs", filter="startTime ge '2030-01-01T00:00:00Z'")["value"] == []
    assert planned.done("POST", "/replicationJobs/export", {})["state"] == "Succeeded"


def test_an_item_that_is_not_ready_fails_alone(planned, kit):
    planned.cloud.store.get(kit.vault + kit.item("app"))["properties"].update(
        protectionState="InitialReplicationInProgress", allowedOperations=["DisableProtection"]
    )
    job = planned.begin("POST", f"{PLAN}/testFailover", DRILL)
    planned.later(1000)
    assert planned.properties(job)["state"] == "PartiallySucceeded"
    assert children(planned, job)["app"]["state"] == "Failed"
    assert planned.machine("web-test").status == 200
