# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""asr_mobility_update against the rehearsal cloud, on the estate that has a Mobility service in each state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import estates
import pytest
import runbook
from conftest import RunningCloud
from situations import OUTDATED

Body = dict[str, Any]

UPDATED = ["fleet-api-02", "fleet-api-03", "fleet-db-01", "fleet-db-02"]
BLOCKED = "fleet-db-03"
UPDATES = {"method": "POST", "path": "*/updateMobilityService"}


def outdated(*names: str) -> list[Body]:
    """An estate of machines whose Mobility service is outdated."""
    return estates.estate(names, None, *(estates.item(name, details=OUTDATED) for name in names))


def rows(result: Body) -> dict[str, Body]:
    return {row["name"]: row for row in result["targets"]}


def states(result: Body) -> dict[str, str]:
    return {name: row["state"] for name, row in rows(result).items()}


def verbs(running: RunningCloud) -> list[str]:
    return sorted(one["path"].rpartition("/")[2] for one in running.writes())


def test_each_state_is_listed_updated_and_then_left_alone(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=2000)
    foreseen = running.run_module("asr_mobility_update", {}, check=True, diff=True)
    assert foreseen["agents"] == {
        "blocked": [BLOCKED],
        "reinstall_required": ["fleet-db-02", BLOCKED],
        "expired": [],
        "retries_exhausted": ["fleet-db-01"],
        "expiring": ["fleet-api-03"],
        "outdated": [*UPDATED, BLOCKED],
        "updating": [],
    }
    assert not running.writes() and {one["before_header"] for one in foreseen["diff"]} == set(UPDATED)
    result = running.run_module("asr_mobility_update", {"max_failures": 1}, diff=True)
    assert states(result) == states(foreseen)
    assert not result.get("failed") and sorted(name for name, state in states(result).items() if state == "changed") == UPDATED
    assert verbs(running) == ["reinstallMobilityService", *["updateMobilityService"] * 3]
    assert all(one["request"] == {"properties": {}} for one in running.writes())
    found = rows(result)
    assert {found[name]["after"]["version"] for name in UPDATED} == {"9.65.7498.1"}
    assert {found[name]["restart"] for name in UPDATED} == {"recommended"} and found["fleet-api-01"]["restart"] is None
    assert "Windows Server 2019" in found["fleet-db-02"]["reason"] and "2026-12-04" in found["fleet-api-03"]["reason"]
    assert "does not answer" in found[BLOCKED]["reason"] and "Bring the VM agent back" in found[BLOCKED]["reason"]
    assert result["agents"]["outdated"] == [BLOCKED] and result["agents"]["retries_exhausted"] == []
    second = running.run_module("asr_mobility_update", {}, diff=True)
    assert second["failed"] and not second["changed"] and second["diff"] == [] and BLOCKED in second["msg"]
    assert len(running.writes()) == 4


@pytest.mark.parametrize(
    ("args", "chosen"),
    [
        ({"replicated_items": ["SHOP-WEB-02"]}, ["shop-web-02"]),
        ({"replicated_items": [estates.item_id("shop-web-01"), "shop-web-02"]}, ["shop-web-01", "shop-web-02"]),
        ({"recovery_plan": "web"}, ["shop-web-01"]),
    ],
)
def test_only_the_machines_that_are_named(cloud: Callable[..., RunningCloud], args: Body, chosen: list[str]) -> None:
    names = ("shop-web-01", "shop-web-02", "shop-web-03")
    items = [estates.item(name, details=OUTDATED) for name in names]
    running = cloud(estates.estate(names, {"web": [["shop-web-01"]]}, *items), speed=2000)
    assert states(running.run_module("asr_mobility_update", args)) == dict.fromkeys(chosen, "changed")
    assert len(running.writes()) == len(chosen)


def test_what_is_not_there_is_refused_and_nothing_is_changed(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(outdated("shop-web-01"))
    result = running.run_module("asr_mobility_update", {"replicated_items": ["shop-web-01", "typo"]})
    assert result["failed"] and "typo" in result["msg"] and not running.writes()


@pytest.mark.parametrize("wrong", [{"expiry_days": -1}, {"vault_id": estates.ACCOUNT_ID}])
def test_wrong_input_is_refused_before_any_request(cloud: Callable[..., RunningCloud], wrong: Body) -> None:
    running = cloud(outdated("shop-web-01"))
    result = running.run_module("asr_mobility_update", wrong)
    assert result["failed"] and next(iter(wrong)) in result["msg"]
    assert running.traffic() == []


@pytest.mark.parametrize("status", ["PartiallySucceeded", "CompletedWithInformation"])
def test_what_a_job_says_beside_success_is_told(cloud: Callable[..., RunningCloud], status: str) -> None:
    told = {"status": status, "code": "95266", "message": "Restart the machine to complete the update."}
    running = cloud(outdated("shop-web-01"), speed=2000, faults=[{"match": UPDATES, "do": {"operation": told}}])
    result = running.run_module("asr_mobility_update", {})
    row = rows(result)["shop-web-01"]
    assert (row["state"], row["after"]["update_required"]) == ("changed", False)
    assert f"ended as {status}: 95266: Restart the machine" in row["reason"] and "Restart the machine" in str(result["warnings"])


def test_a_failure_is_told_with_cause_and_action_and_leaves_the_others_done(cloud: Callable[..., RunningCloud]) -> None:
    why = {"status": "Failed", "code": "539", "message": "No heartbeat.", "possibleCauses": "It is off.", "recommendedAction": "Start it."}
    running = cloud(
        outdated("shop-web-01", "shop-web-02", "shop-web-03"), speed=2000, faults=[{"match": UPDATES, "count": 1, "do": {"operation": why}}]
    )
    result = running.run_module("asr_mobility_update", {})
    assert result["failed"] and sorted(states(result).values()) == ["changed", "changed", "failed"]
    failed = next(row for row in result["targets"] if row["state"] == "failed")
    assert (failed["error"]["code"], failed["error"]["recommended_action"], failed["restart"]) == ("539", "Start it.", None)
    assert "It is off." in failed["reason"] and result["agents"]["outdated"] == [failed["name"]]
    again = running.run_module("asr_mobility_update", {})
    assert sorted(states(again).values()) == ["changed", "unchanged", "unchanged"] and len(running.writes()) == 4


def test_an_update_whose_answer_was_lost_is_followed_and_not_sent_again(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(outdated("shop-web-01"), speed=200, faults=[{"match": UPDATES, "count": 1, "do": {"drop": "after"}}])
    assert states(running.run_module("asr_mobility_update", {})) == {"shop-web-01": "changed"}
    assert len(running.writes()) == 1


def test_a_run_that_was_killed_is_finished_by_the_next_one(cloud: Callable[..., RunningCloud]) -> None:
    names = ("shop-web-01", "shop-web-02")
    running = cloud(outdated(*names), speed=60)
    killed = running.start_module("asr_mobility_update", {})
    while len(running.writes()) < len(names):
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    result = running.run_module("asr_mobility_update", {})
    assert states(result) == dict.fromkeys(names, "changed") and len(running.writes()) == len(names)
    assert all(row["resumed"][0]["action"] == "update the Mobility service" for row in result["targets"])
    settled = running.run_module("asr_mobility_update", {})
    assert states(settled) == dict.fromkeys(names, "unchanged") and not settled["targets"][0]["resumed"]


def test_machines_that_cannot_be_updated_from_here_are_skipped_with_the_reason(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(runbook.shop(estates.item(runbook.WEB, details=OUTDATED)), speed=2000)
    assert running.run_module("asr_failover", {"action": "unplanned", "confirm": "shop"})["changed"]
    before = len(running.writes())
    result = running.run_module("asr_mobility_update", {})
    assert not result["changed"] and rows(result)[runbook.WEB]["state"] == "skipped" and len(running.writes()) == before
    assert "only Protected machines" in rows(result)[runbook.WEB]["reason"]


def test_what_takes_too_long_timed_out_and_goes_on_in_azure(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(outdated("shop-web-01"), speed=100)
    result = running.run_module("asr_mobility_update", {"timeout": 0.02})
    assert result["failed"] and result["changed"] and states(result) == {"shop-web-01": "timed_out"}
    assert states(running.run_module("asr_mobility_update", {})) == {"shop-web-01": "changed"} and len(running.writes()) == 1
