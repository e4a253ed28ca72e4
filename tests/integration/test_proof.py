# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Proof that data arrives: machines are heard of in their workspace after their restore, or fail with their name and what is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import estates
import pytest
import runbook
from runbook import RULES, WORKSPACE, play
from situations import ABSENT, BROKEN, HEALTHY, MONITORING, standing_machines

Body = dict[str, Any]
Start = Callable[..., Any]

OTHER = f"{WORKSPACE}-other"
QUERY = "/v1/workspaces/*/query"
PROVE: Body = {"workspace_id": WORKSPACE, "timeout": 0.5}
SHORT: Body = PROVE | {"timeout": 0.05}
NAMES = {ABSENT: "absent", BROKEN: "broken", HEALTHY: "healthy"}


def standing(*more: Body) -> list[Body]:
    """The machines that stand in the recovery region, each with an identity; and `more`."""
    machines = [
        body | {"identity": {"type": "SystemAssigned"}} if body["type"].endswith("/virtualMachines") else body
        for body in standing_machines()
    ]
    return runbook.shop(*machines, *more)


def restore(running: Any, *machines: str, check: bool = False, **args: Any) -> Body:
    given = MONITORING | {"machine_ids": list(machines or NAMES), "prove": PROVE} | args
    return running.run_module("ama_reinstall", given, check=check, diff=True)


def proofs(result: Body, when: str = "after") -> Body:
    return {target["name"]: target[when]["proof"]["proven"] for target in result["targets"]}


def queries(running: Any) -> list[Body]:
    return [one for one in running.traffic() if one["path"].startswith("/v1/")]


def test_machines_are_proven_by_one_query_for_all_and_a_second_run_changes_nothing(cloud: Start) -> None:
    running = cloud(standing(), speed=1000)
    first = restore(running)
    assert not first.get("failed"), first
    found = {target["name"]: target for target in first["targets"]}
    assert proofs(first, "before") == {"healthy": True, "absent": False, "broken": False}
    assert proofs(first) == dict.fromkeys(NAMES.values(), True)
    assert found["absent"]["actions"][-1] == "wait for its data to arrive" and found["healthy"]["actions"] == []
    assert found["absent"]["after"]["proof"]["last_heartbeat"] > found["absent"]["ended"], "the cloud's time runs ahead"
    bodies = [one["request"]["query"] for one in queries(running)]
    assert all(body.count("/virtualmachines/") == 3 for body in bodies)

    asked, written = len(bodies), len(running.writes())
    again = restore(running)
    assert not again["changed"] and {target["state"] for target in again["targets"]} == {"unchanged"}
    assert proofs(again) == dict.fromkeys(NAMES.values(), True) and again["diff"] == []
    assert len(running.writes()) == written and len(queries(running)) == asked + 1


def test_check_mode_says_what_would_be_proven_and_waits_for_nothing(cloud: Start) -> None:
    running = cloud(standing(), speed=1000)
    foreseen = restore(running, ABSENT, HEALTHY, check=True)
    [absent, healthy] = foreseen["targets"]
    assert absent["state"] == "changed" and absent["actions"][-1] == "wait for its data to arrive"
    assert absent["after"]["proof"] == {"last_heartbeat": None, "proven": True}
    assert healthy["state"] == "unchanged" and healthy["before"]["proof"]["proven"] is True
    assert running.writes() == [] and len(queries(running)) == 1


def test_a_machine_whose_data_does_not_arrive_fails_with_what_is_known(cloud: Start) -> None:
    nobody = estates.machine("broken", region=estates.RECOVERY)[-1]
    running = cloud(standing(nobody, runbook.rule(RULES["Linux"], "Linux", OTHER)), speed=3000)
    result = restore(running, ABSENT, BROKEN, prove=SHORT)
    assert result["failed"] and "absent:" in result["msg"] and "broken:" in result["msg"]
    for target in result["targets"]:
        assert target["state"] == "failed" and target["changed"] and target["after"]["proof"] == {"last_heartbeat": None, "proven": False}
        assert "log-shop" in target["reason"] and "AzureMonitorLinuxAgent is Ready" in target["reason"]
        assert "none was sent in the last hour" in target["reason"]
        assert "none of its data collection rules (dcr-shop-linux) sends to this workspace" in target["reason"]
        assert ("no managed identity" in target["reason"]) is (target["name"] == "broken")


def test_a_machine_that_is_whole_and_silent_fails_and_is_proven_once_it_is_heard_of(cloud: Start) -> None:
    stranger = estates.resource(
        f"{HEALTHY}/providers/Microsoft.Insights/dataCollectionRuleAssociations/dcra", {"dataCollectionRuleId": f"{RULES['Linux']}-other"}
    )
    running = cloud(standing(stranger, runbook.rule(f"{RULES['Linux']}-other", "Linux", OTHER)), speed=3000)
    result = restore(running, HEALTHY, ABSENT, prove=SHORT, data_collection_rules=[])
    silent, bare = result["targets"]
    assert silent["state"] == "failed" and not silent["changed"] and "in the last 5 minutes" in silent["reason"], silent
    assert bare["state"] == "failed" and "it is associated with no data collection rule" in bare["reason"], bare
    assert not restore(running, HEALTHY, ABSENT).get("failed"), "with the right rule all of it arrives"


@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        (["*/read"], None),
        (["Microsoft.Compute/*", "Microsoft.Insights/*", "Microsoft.OperationalInsights/workspaces/read"], "workspaces/query/read"),
        (
            [
                "Microsoft.Authorization/permissions/read",
                "Microsoft.Insights/*",
                "Microsoft.OperationalInsights/workspaces/read",
                "Microsoft.OperationalInsights/workspaces/query/read",
            ],
            "workspaces/query/Heartbeat/read",
        ),
        (["Microsoft.Compute/*", "Microsoft.Insights/*"], "Microsoft.OperationalInsights/workspaces/read"),
    ],
    ids=["a reader may", "no query", "not this table", "not the workspace"],
)
def test_who_may_not_ask_the_workspace_is_told_before_anything_is_changed(cloud: Start, permissions: list[str], words: str | None) -> None:
    running = cloud(standing(), speed=3000, permissions={"default": {"actions": permissions}})
    result = restore(running, HEALTHY)
    assert running.writes() == []
    if words is None:
        assert not result.get("failed") and proofs(result) == {"healthy": True}, result
    else:
        assert result["failed"] and words in result["msg"] and "log-shop" in result["msg"] and "targets" not in result, result


def test_a_workspace_that_is_not_there_or_no_workspace_is_refused(cloud: Start) -> None:
    running = cloud(standing(), speed=3000)
    missing = restore(running, ABSENT, prove={"workspace_id": OTHER})
    assert missing["failed"] and f"There is no Log Analytics workspace {OTHER}" in missing["msg"]
    for prove, words in (
        ({"workspace_id": ABSENT}, "prove.workspace_id"),
        (PROVE | {"timeout": 0}, "prove.timeout"),
        (PROVE | {"max_age": -1}, "prove.max_age"),
    ):
        refused = restore(running, ABSENT, prove=prove)
        assert refused["failed"] and words in refused["msg"], refused
    assert running.writes() == []


@pytest.mark.parametrize(
    "fault",
    [
        {"do": {"status": 500}, "count": 2},
        {"do": {"status": 429, "headers": {"Retry-After": 60}}, "count": 2},
        {"do": {"drop": "before"}, "count": 2},
        {"do": {"delay": 600}, "count": 1},
    ],
    ids=lambda fault: str(fault["do"]),
)
def test_a_workspace_that_cannot_answer_for_a_while_is_asked_again(cloud: Start, fault: Body) -> None:
    result = restore(cloud(standing(), speed=3000, faults=[{"match": {"path": QUERY}, **fault}]), ABSENT, HEALTHY)
    assert not result.get("failed") and proofs(result) == {"absent": True, "healthy": True}, result


def test_a_workspace_that_never_answers_is_told_as_that_and_all_else_is_restored(cloud: Start) -> None:
    running = cloud(standing(), speed=3000, faults=[{"match": {"path": QUERY}, "do": {"status": 504}}])
    result = restore(running, ABSENT, prove=SHORT)
    [target] = result["targets"]
    assert result["failed"] and target["changed"] and target["after"]["agent"]["status"] == "Ready"
    assert "is not known" in target["reason"] and "504" in target["reason"] and "no heartbeat" not in target["reason"]
    assert target["after"]["proof"]["proven"] is None


def test_an_answer_that_is_not_whole_proves_nothing(cloud: Start) -> None:
    partial = {
        "tables": [{"name": "PrimaryResult", "columns": [], "rows": []}],
        "error": {"code": "PartialError", "message": "Some of it."},
    }
    running = cloud(standing(), speed=3000, faults=[{"match": {"path": QUERY}, "do": {"status": 200, "body": partial}}])
    result = restore(running, HEALTHY, prove=SHORT)
    assert result["failed"] and "Some of it" in result["msg"] and "is not known" in result["msg"]


def variables(**prove: Any) -> Body:
    return {"restore_monitoring_prove": PROVE | prove, "restore_monitoring_assign_identity": True}


def test_a_drill_proves_the_data_and_says_so_in_its_record(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(), speed=1000)
    drill = play(running, tmp_path, "drill", variables())
    assert drill.status == 0, drill.output
    machines = drill.step("Restore monitoring")["machines"]
    assert [machine["proof"]["proven"] for machine in machines] == [True, True]
    text = drill.records[-1].with_suffix(".md").read_text()
    assert all(machine["proof"]["last_heartbeat"] in text for machine in machines)


def test_a_drill_fails_with_the_name_of_the_machine_whose_data_does_not_arrive(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(runbook.rule(RULES["Windows"], "Windows", OTHER)), speed=1000)
    drill = play(running, tmp_path, "drill", variables(timeout=0.1))
    assert drill.status != 0 and drill.record["outcome"] == "failed"
    [failure] = drill.record["failures"]
    assert (failure["step"], failure["machine"]) == ("Restore monitoring", f"{runbook.SQL}-test")
    assert "none of its data collection rules (dcr-shop-windows) sends to this workspace" in failure["reason"]
    assert drill.step("Clean up")["outcome"] == "succeeded"
    text = drill.records[-1].with_suffix(".md").read_text()
    assert failure["reason"] in text and f"| {runbook.SQL}-test | **no** | none |" in text and f"| {runbook.WEB}-test | yes | 20" in text
