# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the record of a run says of its steps."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.cloudops.azure_dr.plugins.filter.evidence_record import FilterModule

record = FilterModule().filters()["evidence_record"]

ERROR = {"code": "28040", "recommended_action": "Choose another size.", "request_id": "r1"}


def step(name: str = "Failover", **result: Any) -> dict[str, Any]:
    return {"name": name, "result": result}


def target(name: str, state: str = "changed", **more: Any) -> dict[str, Any]:
    return {"name": name, "id": f"/{name}", "state": state, "changed": state == "changed", **more}


def test_a_run_without_failures_succeeded() -> None:
    found = record([step(changed=True, vault_id="/v", targets=[target("web-01", actions=["install"])])], {"user": "ann"})
    assert (found["outcome"], found["failures"], found["about"], found["vault_id"]) == ("succeeded", [], {"user": "ann"}, "/v")
    assert found["steps"][0]["machines"] == [
        {"name": "web-01", "id": "/web-01", "state": "changed", "changed": True, "actions": ["install"]}
    ]


def test_it_tells_which_earlier_runs_it_went_on_with() -> None:
    left = [{"action": action, "time": "t", "run": "r1", "module": "ama_reinstall", "host": "node-7"} for action in ("remove", "install")]
    found = record([step(targets=[target("web-01", resumed=left), target("web-02", resumed=left[:1]), target("web-03", resumed=[])])])
    assert found["steps"][0]["resumed"] == [{"run": "r1", "module": "ama_reinstall", "host": "node-7", "machines": ["web-01", "web-02"]}]


def test_a_run_with_nothing_to_do_is_no_success() -> None:
    assert (
        record([step(changed=False, targets=[target("web-01", "unchanged")]), {"name": "Commit", "result": {}}])["outcome"] == "unchanged"
    )


def test_each_failed_machine_is_named_with_what_to_do() -> None:
    targets = [
        target("web-01", "failed", reason="no capacity", error=ERROR),
        target("web-02", "timed_out", reason="late"),
        target("web-03"),
    ]
    found = record([step(failed=True, msg="2 of 3 failed", targets=targets)])
    assert found["outcome"] == "failed"
    assert [(failure["machine"], failure["reason"], failure["recommended_action"]) for failure in found["failures"]] == [
        ("web-01", "no capacity", "Choose another size."),
        ("web-02", "late", None),
    ]


def test_a_tolerated_failure_still_fails_the_record() -> None:
    assert record([step(targets=[target("web-01", "failed", reason="late")])])["outcome"] == "failed"


def test_a_step_that_failed_as_a_whole_says_why() -> None:
    found = record([step(failed=True, msg="Could not sign in.", error=ERROR)])
    assert [(failure["step"], failure["machine"], failure["reason"]) for failure in found["failures"]] == [
        ("Failover", None, "Could not sign in.")
    ]


@pytest.mark.parametrize("result", [{}, None, {"skipped": True, "changed": False}])
def test_what_was_not_run_is_no_success_and_no_failure(result: Any) -> None:
    found = record([{"name": "Commit", "result": result}])
    assert found["steps"][0]["outcome"] == "not run"
    assert found["failures"] == []


@pytest.mark.parametrize(("objective", "met"), [(5, True), (2, False), (None, None)])
def test_the_recovery_time_is_held_against_its_objective(objective: float | None, met: bool | None) -> None:
    found = record([step(rto_seconds=290.5), step("Commit", rto_seconds=None)], rto_objective=objective)
    assert found["rto"] == {"objective_minutes": objective, "measured_seconds": 290.5, "met": met}


def test_without_a_measured_time_nothing_is_met() -> None:
    assert record([step()], rto_objective=60)["rto"] == {"objective_minutes": 60, "measured_seconds": None, "met": None}


def test_a_step_takes_as_long_as_its_job_or_its_machines() -> None:
    machines = [target("web-01", started="T2", ended="T4"), target("web-02", started="T1", ended="T3"), target("web-03")]
    spans = [
        (one["started"], one["ended"]) for one in record([step(job={"started": "T0", "ended": "T9"}), step(targets=machines)])["steps"]
    ]
    assert spans == [("T0", "T9"), ("T1", "T4")]


def test_what_was_restored_is_told_as_the_last_step_saw_it() -> None:
    row = {"what": "extension", "name": "AMA", "before": {"settings": {}}, "after": None, "missing": "it is not there", "left_out": None}
    late, other = row | {"after": {"settings": {}}, "missing": None}, row | {"name": "Script"}
    first = step("Restore", targets=[target("web-01", restored=[row]), target("web-02", restored=[other]), target("web-03")])
    found = record([step(targets=[target("web-01")]), first, step("Verify", targets=[target("web-01", restored=[late])])])
    assert found["restored"] == [{"machine": "web-01"} | late, {"machine": "web-02"} | other]


@pytest.mark.parametrize("steps", ["Failover", [{"result": {}}], [1]])
def test_steps_that_are_none_are_refused(steps: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="list of steps"):
        record(steps)


def test_whether_the_data_of_a_machine_arrives_is_kept() -> None:
    proof = {"last_heartbeat": "2026-11-02T05:21:07Z", "proven": True}
    targets = [target("web-01", after={"proof": proof}), target("web-02", after={"agent": None}), target("web-03", "failed", reason="late")]
    machines = record([step(targets=targets)])["steps"][0]["machines"]
    assert [machine.get("proof") for machine in machines] == [proof, None, None]
