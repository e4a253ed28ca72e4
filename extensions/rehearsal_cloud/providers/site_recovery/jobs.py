# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Jobs: what Site Recovery does and did; read, filtered, cancelled, restarted, resumed, exported."""

from __future__ import annotations

import re

from ...cloud import Cloud, Request, Response
from ...paths import Path
from ...resource_types import Body
from ...timeline import EFFECTS
from .base import JOB, Bodies, SiteRecoveryType, ancestor, bad_request, last, no_such_resource
from .operations import accept, accepted, begin
from .scenarios import SCENARIOS, end, task


class Jobs(SiteRecoveryType):
    """replicationJobs: newest first; a list shows no tasks, no details and no errors (recorded traffic)."""

    name = "*/replicationJobs"
    kind = JOB

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"cancel": self._cancel, "restart": self._restart, "resume": self._resume, "export": self._export}

    def seed(self, cloud: Cloud, body: Body) -> None:
        """A job of an estate; one that came out of a list gets back the details that lists leave out, as its scenario has them."""
        super().seed(cloud, body)
        properties = (cloud.store.get(body["id"]) or body)["properties"]
        scenario = next((one for one in SCENARIOS.values() if one.name == properties.get("scenarioName")), None)
        if properties.get("customDetails") is None:
            properties["customDetails"] = {"instanceType": scenario.details if scenario else "AsrJobDetails", "affectedObjectDetails": {}}
        if properties.get("activityId") is None:
            properties["activityId"] = f"{cloud.guid()} ActivityId: {cloud.guid()}"
        if not properties.get("tasks") and scenario:
            shown = {name: properties.get(name) for name in ("startTime", "endTime", "state", "stateDescription")}
            properties["tasks"] = [{**task(*one), **shown} for one in scenario.tasks]

    def result(self, cloud: Cloud, request: Request, path: Path, job: Body | None) -> Body | None:
        return cloud.store.get(path.resource_id) or job

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        jobs = sorted(super().found(cloud, request, path), key=lambda job: str(job["properties"].get("startTime", "")), reverse=True)
        wanted = job_filter(request.query.get("$filter", ""))
        return [job for job in jobs if matches(cloud, job, wanted)]

    def show_in_list(self, cloud: Cloud, request: Request, body: Body) -> Body:
        return {**body, "properties": {**body["properties"], "activityId": None, "tasks": [], "errors": [], "customDetails": None}}

    def _act(self, cloud: Cloud, path: Path, action: str) -> Body:
        job = self.require(cloud, path)
        if action not in job["properties"]["allowedActions"]:
            raise bad_request(
                "JobActionNotAllowed",
                f"The action {action} is not allowed on the job '{path.name}'.",
                f"The job is in the state {job['properties']['state']}.",
                "Look at the job's allowed actions.",
            )
        return job

    def _cancel(self, cloud: Cloud, request: Request, path: Path) -> Response:
        job = self._act(cloud, path, "Cancel")
        end(cloud, job, "Cancelled")
        operation = cloud.operations.get(path.name)
        if operation is not None:
            operation.outcome = None
            cloud.operations.finish(cloud, operation, "Cancelled")
        return accepted(request, accept(cloud, request, job["id"]), job["id"])

    def _restart(self, cloud: Cloud, request: Request, path: Path) -> Response:
        job = self._act(cloud, path, "Restart")
        origin = cloud.store.private(job["id"])
        if not origin.get("path"):
            raise no_such_resource(path.name)
        answer = cloud.route(
            Request(origin["method"], origin["path"], request.query, request.headers, origin["body"], request.base_url, request.outcome)
        )
        job["properties"]["allowedActions"] = []
        return answer

    def _resume(self, cloud: Cloud, request: Request, path: Path) -> Response:
        job = self._act(cloud, path, "Resume")
        EFFECTS["site_recovery.plan.resume"](cloud, job=job["id"], comments=self.properties(request).get("comments") or "")
        return accepted(request, accept(cloud, request, job["id"]), job["id"])

    def _export(self, cloud: Cloud, request: Request, path: Path) -> Response:
        return begin(cloud, request, ancestor(path.resource_id, 1), "export", at=path.resource_id)


_CLAUSE = re.compile(r"(\w+)\s+(eq|ge|le|gt|lt)\s+'?([^']*?)'?\s*(?:\band\b|$)", re.I)


def job_filter(text: str) -> dict[str, str]:
    """The clauses of a job list's $filter (API document, JobQueryParameter): startTime, endTime, fabricId, affectedObjectTypes,
    jobStatus, jobName; joined by "and", values in quotes or not, several values of one clause separated by commas.
    """
    return {name.lower(): value.strip() for name, _word, value in _CLAUSE.findall(text.replace(" AND ", " and "))}


def matches(cloud: Cloud, job: Body, wanted: dict[str, str]) -> bool:
    """Whether a job is one of those that a filter wants."""
    properties = job["properties"]
    values = {
        "jobstatus": properties["state"],
        "jobname": properties["scenarioName"],
        "affectedobjecttypes": properties["targetInstanceType"],
    }
    for name, value in values.items():
        if name in wanted and value.lower() not in [entry.strip().lower() for entry in wanted[name].split(",")]:
            return False
    target = str(cloud.store.private(job["id"]).get("target", "")).lower()
    if "fabricid" in wanted and f"/replicationfabrics/{last(wanted['fabricid']).lower()}/" not in f"{target}/":
        return False
    started = str(properties.get("startTime", ""))[:19]
    begin_time, end_time = (wanted.get(name, "")[:19].replace(" ", "T") for name in ("starttime", "endtime"))
    return started >= begin_time and (not end_time or started <= end_time)
