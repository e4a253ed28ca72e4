# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import failover, failover_jobs, items, jobs
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.failover import ITEM, PLAN, Followed, Standing, Wish

VAULT = "/Subscriptions/s/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu"
CONTAINER = f"{VAULT}/replicationFabrics/neu/replicationProtectionContainers/c"
NETWORKS = "/subscriptions/s/resourceGroups/rg-shop-weu/providers/Microsoft.Network/virtualNetworks"
NETWORK, DRILL = f"{NETWORKS}/vnet-shop-weu", f"{NETWORKS}/vnet-drill-weu"
UNSET = "0001-01-01T00:00:00"
READY = ("UnplannedFailover", "TestFailover", "DisableProtection")


def item(name: str = "shop-web-01", allowed: tuple[str, ...] = READY, **properties: Any) -> items.ReplicatedItem:
    return items.parse(
        {
            "id": f"{CONTAINER}/replicationProtectedItems/item-{name}",
            "name": f"item-{name}",
            "properties": {
                "friendlyName": name,
                "activeLocation": "Primary",
                "testFailoverState": "None",
                "allowedOperations": list(allowed),
                "protectionState": "Protected",
                "providerSpecificDetails": {"instanceType": "A2A"},
            }
            | properties,
        }
    )


def under_test(name: str = "shop-web-01") -> items.ReplicatedItem:
    return item(name, ("TestFailoverCleanup",), testFailoverState="WaitingForCompletion")


def recovered(name: str = "shop-web-01", allowed: tuple[str, ...] = ("Commit",)) -> items.ReplicatedItem:
    state = "UnplannedFailoverCommitPending" if "Commit" in allowed else "Committed"
    return item(name, allowed, activeLocation="Recovery", protectionState=state)


def job(scenario: str = "TestFailover", state: str = "InProgress", name: str = "3f9d", **properties: Any) -> jobs.Job:
    return jobs.parse(
        {
            "id": f"{VAULT}/replicationJobs/{name}",
            "name": name,
            "properties": {
                "scenarioName": scenario,
                "friendlyName": scenario,
                "state": state,
                "targetObjectName": "shop",
                "targetInstanceType": "RecoveryPlan",
                "startTime": "2026-11-02T03:00:00.5000000Z",
            }
            | properties,
        }
    )


def standing(*members: items.ReplicatedItem, running: tuple[jobs.Job, ...] = (), **more: Any) -> Standing:
    members = members or (item(),)
    offered = tuple(dict.fromkeys(word for one in members for word in one.allowed_operations))
    return Standing(
        PLAN,
        f"{VAULT}/replicationRecoveryPlans/shop",
        "shop",
        ("A2A",),
        offered,
        members,
        running,
        **{"recovery_networks": (NETWORK,)} | more,
    )


def planned(action: str, seen: Standing, followed: Followed | None = None, **options: Any) -> list[str]:
    return [one.text for one in failover.plan(Wish(action, **options), seen, followed)]


# -- what is done, adopted, started, refused


@pytest.mark.parametrize(("tested", "again"), [("2026-11-02T03:00:00.5Z", False), ("2026-11-01T02:59:59Z", True), (None, True)])
def test_a_test_failover_that_counts_still_is_not_repeated(tested: str | None, again: bool) -> None:
    member = item(lastSuccessfulTestFailoverTime=tested)
    since = datetime(2026, 11, 1, 3, tzinfo=UTC)
    assert bool(planned("test", standing(member), tested_since=since)) is again
    assert planned("test", standing(member)), "without max_test_age it is repeated whenever it is asked for"


def test_one_machine_without_a_test_failover_brings_the_whole_plan_to_test() -> None:
    members = item(lastSuccessfulTestFailoverTime="2026-11-02T03:00:00Z"), item("shop-web-02")
    assert planned("test", standing(*members), tested_since=datetime(2026, 11, 1, tzinfo=UTC))


def test_a_failover_is_not_kept_from_by_a_test() -> None:
    member = item(lastSuccessfulTestFailoverTime="2026-11-02T03:00:00Z")
    assert planned("unplanned", standing(member), tested_since=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("action", "member", "text"),
    [
        ("test", item(), "run the test failover of recovery plan shop"),
        ("test_cleanup", under_test(), "clean up the test failover of recovery plan shop"),
        ("unplanned", item(), "run the unplanned failover of recovery plan shop"),
        ("commit", recovered(), "commit the failover of recovery plan shop"),
        ("cancel", recovered(allowed=("Commit", "CancelFailover")), "cancel the failover of recovery plan shop"),
    ],
)
def test_what_is_offered_and_not_done_is_started(action: str, member: items.ReplicatedItem, text: str) -> None:
    assert planned(action, standing(member)) == [text]


@pytest.mark.parametrize(
    ("action", "member"),
    [
        ("test", under_test()),
        ("test_cleanup", item()),
        ("test_cleanup", item(testFailoverState="MarkedForDeletion")),
        ("unplanned", recovered()),
        ("unplanned", recovered(allowed=("ReverseReplicate",))),
        ("commit", recovered(allowed=("ReverseReplicate",))),
        ("cancel", item()),
    ],
)
def test_what_is_done_is_left_alone(action: str, member: items.ReplicatedItem) -> None:
    assert planned(action, standing(member)) == []


@pytest.mark.parametrize(
    ("action", "member", "way_on"),
    [
        ("test", item(allowed=("DisableProtection",)), "asr_vault_info"),
        ("unplanned", under_test(), "run the action test_cleanup first"),
        ("test", recovered(), "commit the failover first"),
        ("test", recovered(allowed=("ReverseReplicate",)), "reprotect it"),
        ("cancel", recovered(allowed=("ReverseReplicate",)), "cannot be taken back"),
        ("commit", recovered(allowed=()), "It offers: nothing"),
        ("commit", item(), "nothing to commit"),
        ("test", item(allowed=("TestFailoverCleanup",), testFailoverState="TestFailoverFailed"), "run the action test_cleanup first"),
    ],
)
def test_what_is_not_offered_is_refused_with_the_way_on(action: str, member: items.ReplicatedItem, way_on: str) -> None:
    with pytest.raises(AzureDRError, match=way_on) as refused:
        planned(action, standing(member))
    assert failover.ACTIONS[action].operation in str(refused.value)


def test_a_plan_with_one_machine_through_goes_on_with_the_rest() -> None:
    assert planned("unplanned", standing(recovered("shop-db-01"), item("shop-web-01")))


def test_a_plan_is_committed_also_where_one_machine_has_not_failed_over() -> None:
    seen = standing(recovered("shop-db-01"), item("shop-web-01"))
    assert planned("commit", seen)
    done = Followed(job("CommitFailover", "Succeeded"), adopted=False)
    assert planned("commit", standing(recovered("shop-db-01", allowed=("ReverseReplicate",)), item("shop-web-01")), done) == []


def test_a_running_job_of_the_same_action_is_followed() -> None:
    seen = standing(item(allowed=()), running=(job("UnplannedFailover"),))
    (action,) = failover.plan(Wish("unplanned"), seen, None)
    assert action.requests == () and "follow the running job 3f9d" in action.text


def test_another_failover_that_runs_is_named_and_refused() -> None:
    with pytest.raises(AzureDRError, match="TestFailover \\(3f9d\\) runs on it since 2026-11-02"):
        planned("unplanned", standing(running=(job("TestFailover"),)))


def test_an_agent_update_does_not_keep_from_a_failover_that_is_offered() -> None:
    update = job("UpdateMobilityService")
    assert planned("unplanned", standing(running=(update,)))
    with pytest.raises(AzureDRError, match="UpdateMobilityService"):
        planned("unplanned", standing(item(allowed=()), running=(update,)))


def test_cancel_stops_a_failover_that_runs() -> None:
    (action,) = failover.plan(Wish("cancel"), standing(item(allowed=()), running=(job("UnplannedFailover"),)), None)
    assert action.requests == (("POST", f"{VAULT}/replicationJobs/3f9d/cancel"),)


def test_a_test_failover_job_that_only_waits_for_its_cleanup_is_over() -> None:
    assert failover_jobs.waits_for_cleanup(job("TestFailover", "Suspended"))
    assert not failover_jobs.waits_for_cleanup(job("TestFailover", "Suspended", allowedActions=["Resume"]))


def test_after_the_job_nothing_is_missing_only_when_every_machine_says_so() -> None:
    done = Followed(job("UnplannedFailover", "Succeeded"), adopted=False)
    assert planned("unplanned", standing(item()), done)
    assert planned("unplanned", standing(recovered()), done) == []
    assert planned("unplanned", standing(recovered()), replace(done, troubles={"shop-web-01": job(state="Failed")}))


def test_a_clean_up_that_runs_is_waited_for_by_what_comes_after_it() -> None:
    cleanup = standing(under_test(), running=(job("TestFailoverCleanup"),))
    for action in ("test", "unplanned"):
        (text,) = planned(action, cleanup)
        assert text.startswith("wait for the running job TestFailoverCleanup (3f9d), then run the")


def test_a_running_job_that_leaves_in_place_what_is_done_is_no_hindrance() -> None:
    commit = (job("CommitFailover"),)
    assert planned("unplanned", standing(recovered(allowed=()), running=commit)) == []
    assert planned("test_cleanup", standing(running=(job("UnplannedFailover"),))) == []
    with pytest.raises(AzureDRError, match="CommitFailover"):
        planned("unplanned", standing(recovered("shop-db-01", allowed=()), item("shop-web-01"), running=commit))
    with pytest.raises(AzureDRError, match="CancelFailover"):
        planned("unplanned", standing(recovered(allowed=()), running=(job("CancelFailover"),)))


def ended(scenario: str, start: str, end: str, state: str = "Succeeded", **properties: Any) -> jobs.Job:
    return job(scenario, state, f"{scenario}-{start}", startTime=f"2026-11-02T{start}:00Z", endTime=f"2026-11-02T{end}:00Z", **properties)


def test_the_job_behind_a_failover_is_the_last_one_and_nothing_came_after_it() -> None:
    drill, cleanup = ended("TestFailover", "01:00", "01:10"), ended("TestFailoverCleanup", "01:20", "01:25")
    over, part = ended("UnplannedFailover", "03:00", "03:20"), ended("UnplannedFailover", "03:01", "03:19", targetObjectName="shop-web-01")
    whole = [cleanup, over, drill]
    assert failover_jobs.behind("UnplannedFailover", whole, [part]) == over
    assert failover_jobs.behind("TestFailover", whole, [part]) is None
    assert failover_jobs.behind("UnplannedFailover", [*whole, ended("UnplannedFailover", "04:00", "04:10", "Failed")], []) is None
    assert failover_jobs.behind("UnplannedFailover", [*whole, job("UnplannedFailover", startTime="2026-11-02T05:00:00Z")], []) is None
    assert failover_jobs.behind("UnplannedFailover", whole, [part, ended("CancelFailover", "03:30", "03:31")]) is None
    assert failover_jobs.behind("UnplannedFailover", [], [part]) is None


def test_a_job_is_behind_all_machines_or_none() -> None:
    one, two = item("shop-web-01"), item("shop-web-02")
    details = {"protectedItemDetails": [{"name": one.name}]}
    assert failover_jobs.covers(job(customDetails=details), [one]) and not failover_jobs.covers(job(customDetails=details), [one, two])
    assert failover_jobs.covers(job(), [one, two]), "a job that tells no machines"


# -- confirm and input


@pytest.mark.parametrize("action", ["unplanned", "commit", "cancel"])
def test_what_does_not_come_back_wants_the_exact_name(action: str) -> None:
    for wrong in (None, "", "Shop", "yes"):
        with pytest.raises(InputError, match="'shop'"):
            failover.check_confirm(Wish(action), wrong, "shop", check=False)
    assert failover.check_confirm(Wish(action), "shop", "shop", check=False) is None


def test_check_mode_lets_a_missing_confirm_pass_with_a_warning_and_a_wrong_one_not() -> None:
    assert "confirm set to shop" in str(failover.check_confirm(Wish("unplanned"), None, "shop", check=True))
    with pytest.raises(InputError):
        failover.check_confirm(Wish("unplanned"), "bank", "shop", check=True)


@pytest.mark.parametrize("action", ["test", "test_cleanup"])
def test_a_drill_wants_no_confirm(action: str) -> None:
    assert failover.check_confirm(Wish(action), None, "shop", check=False) is None


@pytest.mark.parametrize(
    "options",
    [
        {"recovery_point": "newest"},
        {"recovery_point": f"{CONTAINER}/replicationProtectedItems/i/recoveryPoints/p"},
        {"recovery_point": "newest", "replicated_items": ["shop-web-01"]},
        {"test_network_id": "vnet-drill"},
        {"max_test_age": -1},
        {"vault_id": "rsv-dr-weu"},
    ],
)
def test_options_that_are_wrong_are_refused(options: dict[str, Any]) -> None:
    params = {
        "action": "test",
        "recovery_point": "latest",
        "test_network_id": None,
        "shutdown_source": True,
        "max_test_age": 0,
        "comments": "",
        "replicated_items": None,
        "vault_id": None,
    }
    with pytest.raises(InputError):
        failover.check_input(params | options)


# -- what is sent


def test_the_body_of_a_plans_test_failover() -> None:
    assert failover.ACTIONS["test"].body(Wish("test", "latest_processed", DRILL), standing()) == {  # type: ignore[misc]
        "failoverDirection": "PrimaryToRecovery",
        "networkType": "VmNetworkAsInput",
        "networkId": DRILL,
        "providerSpecificDetails": [{"instanceType": "A2A", "recoveryPointType": "LatestProcessed"}],
    }


def test_the_body_of_an_items_test_failover_to_one_recovery_point() -> None:
    one = item()
    seen = Standing(ITEM, one.id, one.friendly_name, ("A2A",), READY, (one,), point="/point")
    assert failover.ACTIONS["test"].body(Wish("test", test_network_id="none"), seen) == {  # type: ignore[misc]
        "failoverDirection": "PrimaryToRecovery",
        "networkType": "NoNetworkAttachAsInput",
        "providerSpecificDetails": {"instanceType": "A2A", "recoveryPointId": "/point"},
    }


@pytest.mark.parametrize(("shutdown", "word"), [(True, "Required"), (False, "NotRequired")])
def test_the_source_is_shut_down_or_not(shutdown: bool, word: str) -> None:
    body = failover.ACTIONS["unplanned"].body(Wish("unplanned", shutdown_source=shutdown), standing())  # type: ignore[misc]
    assert body["sourceSiteOperations"] == word


def test_a_recovery_point_that_the_provider_has_not_is_refused_before_anything_is_sent() -> None:
    seen = replace(standing(), providers=("HyperVReplicaAzure",))
    assert planned("unplanned", seen, recovery_point="latest_processed")
    with pytest.raises(InputError, match="HyperVReplicaAzure"):
        planned("unplanned", seen, recovery_point="latest_crash_consistent")


def test_a_test_goes_into_the_machines_own_test_network_before_their_recovery_network() -> None:
    assert failover.test_network(Wish("test"), standing(test_networks=(DRILL,))) == DRILL
    assert failover.test_network(Wish("test"), standing()) == NETWORK
    assert failover.in_production_network(Wish("test"), standing())
    assert not failover.in_production_network(Wish("test"), standing(test_networks=(DRILL,)))
    assert not failover.in_production_network(Wish("test", test_network_id="none"), standing())


@pytest.mark.parametrize("networks", [(), (NETWORK, DRILL)])
def test_a_test_without_one_network_is_refused(networks: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="test_network_id"):
        planned("test", standing(recovery_networks=networks))


# -- what a job tells


def vm_task(machine: str, start: str, end: str, state: str = "Succeeded") -> dict[str, Any]:
    return {
        "name": machine,
        "friendlyName": machine,
        "state": state,
        "startTime": start,
        "endTime": end,
        "customDetails": {
            "instanceType": "VirtualMachineTaskDetails",
            "jobTask": {"jobId": f"{VAULT}/replicationJobs/child-{machine}", "targetObjectName": machine.upper()},
        },
    }


def group_task(label: str, *children: dict[str, Any], state: str = "Succeeded") -> dict[str, Any]:
    return {
        "name": label.split(":")[0],
        "friendlyName": label,
        "state": state,
        "startTime": UNSET,
        "endTime": UNSET,
        "customDetails": None,
        "groupTaskCustomDetails": {"instanceType": "RecoveryPlanGroupTaskDetails", "childTasks": list(children)},
    }


TASKS = [
    group_task(
        "All groups failover",
        vm_task("shop-db-01", "2026-11-02T03:00:01Z", "2026-11-02T03:02:00Z"),
        vm_task("shop-web-01", "2026-11-02T03:00:01Z", "2026-11-02T03:03:00Z"),
    ),
    group_task("Group 1: Start (1)", vm_task("shop-db-01", "2026-11-02T03:03:00Z", "2026-11-02T03:04:00.7500000Z")),
    group_task("Group 2: Start (1)", vm_task("shop-web-01", "2026-11-02T03:04:01Z", "2026-11-02T03:05:00.5Z")),
]


def test_times_of_a_machine_come_from_its_own_tasks_in_a_plans_job() -> None:
    ended = job(state="Succeeded", tasks=TASKS, endTime="2026-11-02T03:09:00Z")
    assert failover_jobs.times(ended, item("shop-db-01")) == ("2026-11-02T03:00:01Z", "2026-11-02T03:04:00.7500000Z")
    up = failover_jobs.recovered_at(ended, item("shop-web-01"))
    assert failover_jobs.seconds_between(ended.started, up) == 300.0


def test_a_machines_own_job_counts_to_the_end_of_its_start() -> None:
    tasks = [
        {"name": "FailoverTask", "startTime": UNSET, "endTime": "2026-11-02T03:01:00Z"},
        {"name": "StartVmOnSecondary", "startTime": UNSET, "endTime": "2026-11-02T03:02:00.5Z"},
        {"name": "TidyUpTask", "startTime": UNSET, "endTime": "2026-11-02T03:08:00Z"},
    ]
    ended = job(state="Succeeded", tasks=tasks, targetInstanceType="ProtectionEntity")
    assert failover_jobs.seconds_between(ended.started, failover_jobs.recovered_at(ended, item())) == 120.0


def test_a_cut_end_never_gives_a_negative_time() -> None:
    assert failover_jobs.seconds_between("2023-01-16T09:27:31.0648891Z", "2023-01-16T09:27:31.0000000Z") == 0.0
    assert failover_jobs.seconds_between(None, "2023-01-16T09:27:31Z") is None


def test_a_machine_of_which_no_task_was_done_was_left_out() -> None:
    ended = job(state="Succeeded", tasks=TASKS)
    assert failover_jobs.left_out(ended, [item("shop-db-01"), item("shop-app-01")]) == ["shop-app-01"]
    assert failover_jobs.left_out(job(state="Succeeded"), [item()]) == []  # a job that names no machines says nothing of them


def test_progress_tells_the_group_and_how_many_machines_are_through() -> None:
    running = group_task("Group 2: Start (2)", vm_task("a", UNSET, UNSET), vm_task("b", UNSET, UNSET, "InProgress"), state="InProgress")
    wire = {"id": f"{VAULT}/replicationJobs/j", "name": "j", "properties": {"state": "InProgress", "tasks": [TASKS[0], running]}}
    assert failover_jobs.where("shop", wire) == "shop: Group 2: Start (2): 1 of 2 machines"


def test_progress_tells_what_waits_for_a_person() -> None:
    manual = {
        "name": "Check",
        "friendlyName": "Check DNS",
        "state": "Suspended",
        "allowedActions": ["Resume"],
        "customDetails": {
            "instanceType": "ManualActionTaskDetails",
            "name": "Check DNS",
            "instructions": "Point shop.example to West Europe.",
        },
    }
    wire = {"id": f"{VAULT}/replicationJobs/j", "name": "j", "properties": {"state": "Suspended", "tasks": [manual]}}
    assert "Point shop.example to West Europe. Do it, then resume the job j" in failover_jobs.where("shop", wire).replace("..", ".")


def test_a_failure_is_told_with_causes_and_action() -> None:
    error = {
        "serviceErrorDetails": {
            "code": "28040",
            "message": "The machine could not be started.",
            "possibleCauses": "No capacity.",
            "recommendedAction": "Choose another size.",
        }
    }
    told = failover_jobs.trouble(job(state="Failed", tasks=[{"name": "StartVmOnSecondary", "state": "InProgress", "errors": [error]}]))
    assert told == "28040: The machine could not be started. Possible causes: No capacity. Recommended action: Choose another size."


def test_tasks_are_listed_groups_before_their_machines() -> None:
    rows = failover_jobs.flat(job(tasks=TASKS).tasks)
    assert [(row["name"], row["group"], row["machine"]) for row in rows[:3]] == [
        ("All groups failover", None, None),
        ("shop-db-01", "All groups failover", "SHOP-DB-01"),
        ("shop-web-01", "All groups failover", "SHOP-WEB-01"),
    ]
    assert rows[0]["started"] is None
