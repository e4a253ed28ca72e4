# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""asr_failover against the rehearsal cloud, as Ansible runs it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import estates
import pytest
from conftest import ROOT, RunningCloud

MACHINES = ("shop-db-01", "shop-web-01", "shop-web-02")
GROUPS = [["shop-db-01"], ["shop-web-01", "shop-web-02"]]
PLAN = f"{estates.VAULT_ID}/replicationRecoveryPlans/shop"
FAULT = {
    "code": "28040",
    "message": "The machine could not be started.",
    "possibleCauses": "The region has no capacity.",
    "recommendedAction": "Choose another size.",
}

Start = Callable[..., RunningCloud]


def shop(start: Start, *more: dict[str, Any], **options: Any) -> RunningCloud:
    return start(estates.estate(MACHINES, {"shop": GROUPS}, *more), **options)


def run(cloud: RunningCloud, action: str, *, check: bool = False, **args: Any) -> dict[str, Any]:
    return cloud.run_module("asr_failover", {"action": action, **args}, check=check, diff=True)


def states(result: dict[str, Any]) -> dict[str, str]:
    return {target["name"]: target["state"] for target in result["targets"]}


def posts(cloud: RunningCloud) -> list[str]:
    return [one["path"].rsplit("/", 1)[-1] for one in cloud.writes()]


def ask(cloud: RunningCloud, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Another client than the module: one request, signed in."""
    trust = ssl.create_default_context(cafile=cloud.told["ca_file"])
    form = {
        "grant_type": "client_credentials",
        "client_id": "portal",
        "client_secret": "s",
        "scope": f"{cloud.told['resource_manager']}/.default",
    }
    sign_in = f"{cloud.told['authority']}/{cloud.environment['AZURE_TENANT']}/oauth2/v2.0/token"
    signed = urlopen(sign_in, urlencode(form).encode(), context=trust)
    headers = {"Authorization": f"Bearer {json.load(signed)['access_token']}", "Content-Type": "application/json"}
    url = f"{cloud.told['resource_manager']}{path}?api-version=2025-08-01"
    text = urlopen(Request(url, json.dumps(body).encode() if body else None, headers, method=method), context=trust).read()
    return json.loads(text) if text.strip() else {}


def unplanned(cloud: RunningCloud) -> None:
    ask(
        cloud,
        "POST",
        f"{PLAN}/unplannedFailover",
        {
            "properties": {
                "failoverDirection": "PrimaryToRecovery",
                "sourceSiteOperations": "NotRequired",
                "providerSpecificDetails": [{"instanceType": "A2A"}],
            }
        },
    )


def begin(cloud: RunningCloud, progress: Path, **args: Any) -> subprocess.Popen[str]:
    """The module, left running."""
    given = progress.with_suffix(".json")
    given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": args}))
    environment = {
        **os.environ,
        **cloud.environment,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "AZURE_DR_PROGRESS_FILE": str(progress),
        "HOME": str(progress.parent),
    }
    return subprocess.Popen(
        [sys.executable, str(ROOT / "plugins" / "modules" / "asr_failover.py")],
        stdin=given.open(),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)


def test_a_drill_of_a_plan_and_again(cloud: Start) -> None:
    azure = shop(cloud)
    first = run(azure, "test", recovery_plan="shop")
    assert set(states(first).values()) == {"changed"} and first["changed"]
    assert [target["target_id"].rsplit("/", 1)[-1] for target in first["targets"]] == [f"{name}-test" for name in MACHINES]
    assert first["job"]["state"] == "Succeeded" and "Group 2: Start (2)" in [task["name"] for task in first["job"]["tasks"]]
    seconds = {target["name"]: target["rto_seconds"] for target in first["targets"]}
    assert 0 < seconds["shop-db-01"] < seconds["shop-web-01"] == first["rto_seconds"]
    assert "Set test_network_id" in str(first["warnings"])  # these machines have only the network of a real failover

    again = run(azure, "test")
    assert not again["changed"] and all(row["reason"].startswith("a test failover stands already, by the job") for row in again["targets"])
    assert (again["rto_seconds"], again["job"]["name"]) == (first["rto_seconds"], first["job"]["name"])
    cleaned = run(azure, "test_cleanup", comments="All services answered.")
    assert cleaned["changed"] and not any(target["after"]["test_failover"] for target in cleaned["targets"])
    assert not run(azure, "test_cleanup")["changed"]
    assert posts(azure) == ["testFailover", "testFailoverCleanup"]


def test_a_plan_without_machines_is_no_drill_that_went_well(cloud: Start) -> None:
    result = run(cloud(estates.estate(MACHINES, {"shop": []})), "test")
    assert result["failed"]
    assert "has no machines" in result["msg"]


@pytest.mark.parametrize("confirm", [{}, {"confirm": "Shop"}, {"confirm": "yes"}])
def test_a_real_failover_without_the_name_sends_nothing(cloud: Start, confirm: dict[str, str]) -> None:
    azure = shop(cloud)
    result = run(azure, "unplanned", **confirm)
    assert result["failed"] and "'shop'" in result["msg"]
    assert posts(azure) == []


def test_failover_and_commit_and_again(cloud: Start) -> None:
    azure = shop(cloud)
    result = run(azure, "unplanned", confirm="shop", shutdown_source=False, recovery_point="latest_processed")
    assert set(states(result).values()) == {"changed"} and result["rto_seconds"] > 0
    assert all(target["after"]["active_location"] == "Recovery" and target["after"]["commit_pending"] for target in result["targets"])
    (sent,) = [one["request"]["properties"] for one in azure.writes()]
    assert sent["sourceSiteOperations"] == "NotRequired"
    assert sent["providerSpecificDetails"] == [{"instanceType": "A2A", "recoveryPointType": "LatestProcessed"}]
    assert not run(azure, "unplanned", confirm="shop")["changed"]
    committed = run(azure, "commit", confirm="shop")
    assert committed["changed"] and not any(target["after"]["commit_pending"] for target in committed["targets"])
    assert not run(azure, "commit", confirm="shop")["changed"]
    assert posts(azure) == ["unplannedFailover", "failoverCommit"]


def test_chosen_items_fail_over_all_at_once_and_the_vault_confirms(cloud: Start) -> None:
    azure = shop(cloud)
    chosen = {"replicated_items": ["shop-web-01", estates.machine_id("shop-web-02")]}
    assert "rsv-dr-weu" in run(azure, "unplanned", **chosen, confirm="shop")["msg"]
    result = run(azure, "unplanned", **chosen, confirm="rsv-dr-weu", recovery_point="latest_processed")
    assert states(result) == {"shop-web-01": "changed", "shop-web-02": "changed"}
    assert len({target["job"] for target in result["targets"]}) == 2 and result["rto_seconds"] > 0
    again = run(azure, "unplanned", **chosen, confirm="rsv-dr-weu", recovery_point="latest_processed")
    assert not again["changed"] and set(states(again).values()) == {"unchanged"}
    rest = run(azure, "unplanned", confirm="shop")
    assert states(rest) == {"shop-db-01": "changed", "shop-web-01": "unchanged", "shop-web-02": "unchanged"}


def test_check_mode_only_reads_and_shows_what_would_be(cloud: Start) -> None:
    azure = shop(cloud)
    result = run(azure, "unplanned", check=True)
    assert result["changed"] and {target["after"]["active_location"] for target in result["targets"]} == {"Recovery"}
    assert result["diff"] and "confirm set to shop" in str(result["warnings"])
    assert posts(azure) == []


def test_a_state_that_does_not_allow_it_is_refused_with_the_way_on(cloud: Start) -> None:
    azure = shop(cloud)
    run(azure, "test")
    result = run(azure, "unplanned", confirm="shop")
    assert result["failed"] and "It offers: TestFailoverCleanup" in result["msg"] and "run the action test_cleanup first" in result["msg"]
    assert posts(azure) == ["testFailover"]


def test_a_failover_that_somebody_else_began_is_followed(cloud: Start) -> None:
    azure = shop(cloud, speed=60)
    unplanned(azure)
    begun = posts(azure)
    assert "runs on it" in run(azure, "test")["msg"]
    result = run(azure, "unplanned", confirm="shop")
    assert set(states(result).values()) == {"changed"} and result["changed"] and result["job"]["state"] == "Succeeded"
    assert posts(azure) == begun


def test_a_machine_that_fails_is_named_and_the_others_are_done(cloud: Start) -> None:
    fault = {"match": {"method": "POST", "path": "*/unplannedFailover"}, "do": {"operation": {"item": "shop-web-02", **FAULT}}}
    azure = shop(cloud, faults=[fault])
    result = run(azure, "unplanned", confirm="shop")
    assert states(result) == {"shop-db-01": "changed", "shop-web-01": "changed", "shop-web-02": "failed"}
    assert result["failed"] and result["rto_seconds"] is None
    for word in ("shop-web-02", *FAULT.values()):
        assert word in result["msg"]
    failed = next(target for target in result["targets"] if target["state"] == "failed")
    assert failed["error"]["code"] == FAULT["code"] and failed["after"]["active_location"] == "Primary"
    allowed = run(azure, "unplanned", confirm="shop", max_failures=1)
    assert "failed" not in allowed or not allowed["failed"]


def test_a_job_that_fails_as_a_whole_says_why(cloud: Start) -> None:
    fault = {"match": {"method": "POST", "path": "*/testFailover"}, "do": {"operation": FAULT}}
    result = run(shop(cloud, faults=[fault]), "test")
    assert result["failed"] and "28040: The machine could not be started." in result["msg"]
    assert set(states(result).values()) == {"failed"} and not result["changed"]


def test_a_running_failover_can_be_cancelled(cloud: Start) -> None:
    azure = shop(cloud, speed=30)
    unplanned(azure)
    result = run(azure, "cancel", confirm="shop")
    assert "failed" not in result and result["job"]["state"] == "Cancelled"
    assert posts(azure)[-1] == "cancel"


def test_time_that_is_up_is_told_and_the_next_run_follows(cloud: Start) -> None:
    azure = shop(cloud, speed=60)
    result = run(azure, "unplanned", confirm="shop", timeout=0.03)
    assert result["failed"] and set(states(result).values()) == {"timed_out"}
    assert set(states(run(azure, "unplanned", confirm="shop")).values()) == {"changed"}
    assert posts(azure) == ["unplannedFailover"]


def test_a_module_that_was_killed_is_simply_run_again(cloud: Start, tmp_path: Path) -> None:
    azure = shop(cloud, speed=60)
    process = begin(azure, tmp_path / "progress", action="unplanned", confirm="shop")
    wait_for(lambda: posts(azure))
    process.kill()
    process.communicate()
    result = run(azure, "unplanned", confirm="shop")
    assert "failed" not in result and all(target["after"]["active_location"] == "Recovery" for target in result["targets"])
    assert posts(azure) == ["unplannedFailover"]


def test_a_recovery_point_by_its_id_is_one_of_the_machine(cloud: Start) -> None:
    azure = shop(cloud)
    chosen = {"replicated_items": ["shop-web-01"], "confirm": "shop-web-01"}
    own, other = (ask(azure, "GET", f"{estates.item_id(name)}/recoveryPoints")["value"][-1]["id"] for name in ("shop-web-01", MACHINES[2]))
    assert "a recovery point of shop-web-01" in run(azure, "unplanned", **chosen, recovery_point=other)["msg"]
    assert run(azure, "unplanned", **chosen, recovery_point=own)["changed"]
    (sent,) = [one["request"]["properties"] for one in azure.writes()]
    assert sent["providerSpecificDetails"] == {"instanceType": "A2A", "recoveryPointId": own}


def test_a_request_whose_answer_was_lost_is_not_sent_twice(cloud: Start) -> None:
    fault = {"match": {"method": "POST", "path": "*/unplannedFailover"}, "do": {"drop": "after"}, "count": 1}
    azure = shop(cloud, speed=60, faults=[fault])
    result = run(azure, "unplanned", confirm="shop")
    assert set(states(result).values()) == {"changed"} and result["job"]["state"] == "Succeeded"


def test_a_request_that_never_arrived_is_sent_again(cloud: Start) -> None:
    azure = shop(cloud, faults=[{"match": {"method": "POST", "path": "*/unplannedFailover"}, "do": {"drop": "before"}, "count": 1}])
    result = run(azure, "unplanned", confirm="shop")
    assert set(states(result).values()) == {"changed"} and result["rto_seconds"] > 0
    assert [one["status"] for one in azure.writes()] == [0, 202]


def test_two_runs_that_begin_the_same_at_once_share_one_job(cloud: Start) -> None:
    """Both find that it is to be done; the request of one is held up until that of the other has been taken. By then the other's job runs
    (the failovers) or is over (the shorter ones)."""
    words = ("testFailover", "testFailoverCleanup", "unplannedFailover", "failoverCommit")
    held = [{"match": {"method": "POST", "path": f"*/{word}"}, "do": {"delay": 60}, "count": 1} for word in words]
    azure = shop(cloud, faults=held, speed=60)
    for action in ("test", "test_cleanup", "unplanned", "commit"):
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda action: run(azure, action, confirm="shop"), [action] * 2))
        assert all(set(states(one).values()) == {"changed"} for one in both), both
        assert both[0]["job"] == both[1]["job"] and both[0]["rto_seconds"] == both[1]["rto_seconds"]
    assert [one["path"].rpartition("/")[2] for one in azure.writes() if one["status"] == 202] == list(words)


def test_a_failover_that_waits_for_its_commit_is_told_with_its_recovery_time(cloud: Start) -> None:
    """As after a run that was killed when the job had ended, and its result was not taken."""
    azure = shop(cloud)
    first = run(azure, "unplanned", confirm="shop")
    again = run(azure, "unplanned", confirm="shop")
    assert not again["changed"] and set(states(again).values()) == {"unchanged"}
    assert (again["job"], again["rto_seconds"]) == (first["job"], first["rto_seconds"])
    for before, after in zip(first["targets"], again["targets"], strict=True):
        assert [before[key] for key in ("job", "started", "ended", "rto_seconds")] == [
            after[key] for key in ("job", "started", "ended", "rto_seconds")
        ]
    run(azure, "commit", confirm="shop")
    committed = run(azure, "unplanned", confirm="shop")
    assert committed["rto_seconds"] is None and committed["job"] is None, "what is over is no recovery of this run"


def test_a_clean_up_that_runs_is_waited_for_before_a_failover(cloud: Start) -> None:
    azure = shop(cloud, speed=60)
    run(azure, "test")
    ask(azure, "POST", f"{PLAN}/testFailoverCleanup", {"properties": {"comments": ""}})
    result = run(azure, "unplanned", confirm="shop")
    assert set(states(result).values()) == {"changed"} and result["job"]["scenario"] == "UnplannedFailover", result
    assert posts(azure) == ["testFailover", "testFailoverCleanup", "unplannedFailover"]


def test_a_refused_request_leaves_the_machines_as_they_are(cloud: Start) -> None:
    refusal = {"error": {"code": "AuthorizationFailed", "message": "The client may not fail over."}}
    azure = shop(cloud, faults=[{"match": {"method": "POST", "path": "*/testFailover"}, "do": {"status": 403, "body": refusal}}])
    result = run(azure, "test")
    assert result["failed"] and "Could not run the test failover of recovery plan shop" in result["msg"] and not result["changed"]
    assert set(states(result).values()) == {"failed"}


def test_a_manual_action_is_waited_for_and_told(cloud: Start, tmp_path: Path) -> None:
    plan, progress = estates.plan("shop", GROUPS), tmp_path / "progress"
    plan["properties"]["groups"][-1]["endGroupActions"] = [
        {
            "actionName": "Check DNS",
            "failoverTypes": ["UnplannedFailover"],
            "failoverDirections": ["PrimaryToRecovery"],
            "customDetails": {"instanceType": "ManualActionDetails", "description": "Point shop.example to West Europe."},
        }
    ]
    azure = shop(cloud, plan)
    process = begin(azure, progress, action="unplanned", confirm="shop")
    wait_for(lambda: progress.exists() and "Point shop.example to West Europe" in progress.read_text())
    listed = ask(azure, "GET", f"{estates.VAULT_ID}/replicationJobs")["value"]
    (waiting,) = [job["name"] for job in listed if "Resume" in job["properties"]["allowedActions"]]
    ask(azure, "POST", f"{estates.VAULT_ID}/replicationJobs/{waiting}/resume", {"properties": {"comments": "Done."}})
    result = json.loads(process.communicate()[0])
    assert set(states(result).values()) == {"changed"} and result["job"]["state"] == "Succeeded"


def test_a_plan_that_is_not_there_is_told_with_those_that_are(cloud: Start) -> None:
    result = run(shop(cloud), "test", recovery_plan="shob")
    assert result["failed"] and "There are: shop" in result["msg"]
