# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Jobs: what they say, which of them are shown. Answers in the form of recorded traffic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import jobs

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


def wire(
    name: str, state: str, started: str | None = "2026-11-02T08:00:00.1234567Z", ended: str | None = None, **more: Any
) -> dict[str, Any]:
    times = {key: value for key, value in (("startTime", started), ("endTime", ended)) if value}
    return {"id": f"/x/replicationJobs/{name}", "name": name, "properties": {"state": state, "tasks": [], "errors": [], **times, **more}}


FAILED_TASK = {
    "taskId": "t1",
    "name": "FailoverTask",
    "friendlyName": "Failing over",
    "state": "InProgress",
    "startTime": "2026-11-02T08:00:00Z",
    "endTime": "0001-01-01T00:00:00",
    "customDetails": None,
    "errors": [],
}
ERROR = {
    "serviceErrorDetails": {"code": "559", "message": "It failed.", "possibleCauses": "The quota.", "recommendedAction": "Ask for more."},
    "providerErrorDetails": {"errorCode": 0, "errorMessage": ""},
    "taskId": "t1",
}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("NotStarted", "running"),
        ("InProgress", "running"),
        ("Suspended", "running"),
        ("Succeeded", "succeeded"),
        ("PartiallySucceeded", "succeeded"),
        ("CompletedWithInformation", "succeeded"),
        ("Failed", "failed"),
        ("Cancelled", "failed"),
    ],
)
def test_the_state_of_the_job_says_how_it_went(state, kind):
    job = jobs.parse(wire("j", state))
    assert [name for name in ("running", "succeeded", "failed") if getattr(job, name)] == [kind]


def test_a_failed_job_tells_why_though_its_task_still_says_in_progress():
    job = jobs.parse(wire("j", "Failed", tasks=[FAILED_TASK], errors=[ERROR]))
    assert job.failed and job.tasks[0].state == "InProgress" and job.tasks[0].ended is None
    assert str(job.errors[0]) == "559: It failed. Possible causes: The quota. Recommended action: Ask for more."


def test_the_provider_speaks_where_the_service_is_silent():
    job = jobs.parse(wire("j", "Failed", errors=[{"providerErrorDetails": {"errorCode": 95, "errorMessage": "No agent."}, "taskId": None}]))
    assert (job.errors[0].code, job.errors[0].message) == ("95", "No agent.")


def test_the_machines_of_a_recovery_plan_are_found_in_its_groups():
    machine = {
        "taskId": "vm",
        "name": "FailoverTask",
        "state": "Succeeded",
        "errors": [],
        "customDetails": {
            "instanceType": "VirtualMachineTaskDetails",
            "jobTask": {"jobId": "/x/replicationJobs/child", "targetObjectName": "web-01"},
        },
    }
    group = {
        "taskId": "g",
        "name": "Group1",
        "state": "Succeeded",
        "customDetails": None,
        "groupTaskCustomDetails": {"childTasks": [machine]},
    }
    job = jobs.parse(wire("plan", "Succeeded", tasks=[group]))
    tasks = [(task.name, task.job, task.target) for task in job.every_task()]
    assert tasks == [("Group1", None, None), ("FailoverTask", "child", "web-01")]


def test_by_default_what_runs_and_what_failed_lately_newest_first():
    listed = [
        jobs.parse(one)
        for one in (
            wire("old-failure", "Failed", "2026-10-20T08:00:00Z", "2026-10-20T09:00:00Z"),
            wire("failure", "Failed", "2026-11-02T06:00:00Z", "2026-11-02T07:00:00Z"),
            wire("success", "Succeeded", "2026-11-02T06:00:00Z", "2026-11-02T07:00:00Z"),
            wire("old-but-runs", "InProgress", "2026-10-01T06:00:00Z"),
            wire("just-asked", "NotStarted", None),
        )
    ]
    found = jobs.select(listed, ["running", "failed"], timedelta(hours=24), NOW)
    assert [job.name for job in found] == ["just-asked", "failure", "old-but-runs"]


def test_jobs_of_a_state_in_site_recoverys_words_and_of_any_age():
    listed = [jobs.parse(wire("a", "CompletedWithInformation", ended="2020-01-01T00:00:00Z")), jobs.parse(wire("b", "Succeeded"))]
    assert [job.name for job in jobs.select(listed, ["completedwithinformation"], None, NOW)] == ["a"]
