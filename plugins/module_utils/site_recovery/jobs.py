# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Jobs: Site Recovery's record of everything that it was asked to do.

Only the state of the job itself says how it went: its tasks were recorded as still in progress in a job that had failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, OperationFailed
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import FIRST_LOOK, LONGEST_LOOK
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import when
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.vault import Vault

Wire = dict[str, Any]

# End states, lower-cased (recorded traffic, and the job states of the Azure API document).
SUCCEEDED = frozenset({"succeeded", "partiallysucceeded", "completedwithinformation"})
FAILED = frozenset({"failed", "cancelled", "canceled"})


@dataclass(frozen=True)
class JobError:
    """One error of a job or of a task of it."""

    code: str | None
    message: str | None
    possible_causes: str | None
    recommended_action: str | None
    task_id: str | None

    def __str__(self) -> str:
        told = [f"{self.code}: {self.message}" if self.code else self.message]
        told += [self.possible_causes and f"Possible causes: {self.possible_causes}"]
        told += [self.recommended_action and f"Recommended action: {self.recommended_action}"]
        return " ".join(part for part in told if part)


@dataclass(frozen=True)
class Task:
    """One task of a job. `job` names the child job that does it (a machine of a recovery plan), `children` are the tasks of a group."""

    id: str
    name: str
    label: str
    state: str
    started: str | None
    ended: str | None
    job: str | None
    target: str | None
    errors: tuple[JobError, ...]
    children: tuple[Task, ...]


@dataclass(frozen=True)
class Job:
    """One job. `scenario` is what it does ("TestFailover"), `label` how the portal calls that; tasks, errors and details are known only of
    a job that was read by itself. Times are ISO 8601, None while there is none."""

    id: str
    name: str
    scenario: str | None
    label: str | None
    state: str
    target_id: str | None
    target_name: str | None
    target_type: str | None
    started: str | None
    ended: str | None
    allowed_actions: tuple[str, ...]
    errors: tuple[JobError, ...]
    tasks: tuple[Task, ...]
    details: Wire

    @property
    def succeeded(self) -> bool:
        return self.state.lower() in SUCCEEDED

    @property
    def failed(self) -> bool:
        return self.state.lower() in FAILED

    @property
    def running(self) -> bool:
        """In any other state than an end state: a job right after the request is NotStarted (recorded traffic)."""
        return not self.succeeded and not self.failed

    def every_task(self) -> Iterator[Task]:
        """All tasks, those of groups included, from the outside in."""
        return _walk(self.tasks)

    def view(self) -> Wire:
        """The job as users are shown it."""
        shown = asdict(self)
        del shown["details"]
        return shown


def parse(wire: Wire) -> Job:
    """The job of its own GET or of an element of the list of jobs."""
    properties = wire.get("properties") or {}
    return Job(
        id=wire["id"],
        name=wire["name"],
        scenario=properties.get("scenarioName"),
        label=properties.get("friendlyName"),
        state=properties.get("state") or "NotStarted",
        target_id=properties.get("targetObjectId"),
        target_name=properties.get("targetObjectName"),
        target_type=properties.get("targetInstanceType"),
        started=_time(properties.get("startTime")),
        ended=_time(properties.get("endTime")),
        allowed_actions=tuple(properties.get("allowedActions") or ()),
        errors=_errors(properties),
        tasks=_tasks(properties.get("tasks")),
        details=properties.get("customDetails") or {},
    )


def select(jobs: Iterable[Job], states: Iterable[str], newer_than: timedelta | None, now: datetime) -> list[Job]:
    """The jobs in one of the states, newest first: `running`, `failed`, `succeeded`, or a state in Site Recovery's words.

    newer_than: leaves out jobs that ended longer ago than that. What runs still is never left out by its age.
    """
    wanted = {state.lower() for state in states}

    def meant(job: Job) -> bool:
        kinds = {job.state.lower()} | {kind for kind in ("running", "failed", "succeeded") if getattr(job, kind)}
        last = job.ended or job.started
        old = not job.running and newer_than is not None and last is not None and when(last) < now - newer_than
        return bool(kinds & wanted) and not old

    return sorted(filter(meant, jobs), key=lambda job: job.started or "9999", reverse=True)


async def glance(azure: Any, vault: Vault, name: str) -> Wire | None:
    """The job, or None when it could not be read just now: a disturbed look does not end what goes on in Azure. Raises AzureError."""
    try:
        return await vault.job(azure, name)
    except AzureError as error:
        if error.status is None or error.status == 429 or int(error.status) >= 500:
            return None
        raise


async def followed(azure: Any, vault: Vault, name: str) -> Job:
    """The job when it has ended, looked at until then. Raises AzureError."""
    interval = FIRST_LOOK
    while True:
        wire = await glance(azure, vault, name)
        if wire is not None and not (job := parse(wire)).running:
            return job
        await azure.pause(interval)
        interval = min(interval * 1.5, LONGEST_LOOK)


async def explained(azure: Any, vault: Vault, name: str, error: OperationFailed) -> OperationFailed:
    """The failure of an operation in the words of its job, which alone tells causes and actions; `error` where that tells none."""
    try:
        job = parse(await vault.job(azure, name))
    except AzureError:
        return error
    if not job.errors:
        return error
    told = job.errors[0]
    return OperationFailed(
        error.asked,
        error.resource_id,
        status=error.status,
        code=told.code or error.code,
        message=told.message or error.message,
        possible_causes=told.possible_causes,
        recommended_action=told.recommended_action,
        request_id=error.request_id,
        details=error.details,
        accepted=True,
    )


def _walk(tasks: Iterable[Task]) -> Iterator[Task]:
    for task in tasks:
        yield task
        yield from _walk(task.children)


def _tasks(wires: list[Wire] | None) -> tuple[Task, ...]:
    return tuple(_task(wire) for wire in wires or ())


def _task(wire: Wire) -> Task:
    child = (wire.get("customDetails") or {}).get("jobTask") or {}
    return Task(
        id=wire.get("taskId") or "",
        name=wire.get("name") or "",
        label=wire.get("friendlyName") or wire.get("name") or "",
        state=wire.get("state") or "",
        started=_time(wire.get("startTime")),
        ended=_time(wire.get("endTime")),
        job=(child.get("jobId") or "").rpartition("/")[2] or None,
        target=child.get("targetObjectName"),
        errors=_errors(wire),
        children=_tasks((wire.get("groupTaskCustomDetails") or {}).get("childTasks")),
    )


def _errors(wire: Wire) -> tuple[JobError, ...]:
    return tuple(_error(error) for error in wire.get("errors") or ())


def _error(wire: Wire) -> JobError:
    """The service's words; the provider's (the machine's side) where the service has none."""
    service, provider = wire.get("serviceErrorDetails") or {}, wire.get("providerErrorDetails") or {}
    code = service.get("code") or provider.get("errorCode")
    return JobError(
        code=str(code) if code else None,
        message=service.get("message") or provider.get("errorMessage"),
        possible_causes=service.get("possibleCauses") or provider.get("possibleCauses"),
        recommended_action=service.get("recommendedAction") or provider.get("recommendedAction"),
        task_id=wire.get("taskId"),
    )


def _time(text: str | None) -> str | None:
    """Site Recovery writes the year 1 for a time that has not come (recorded traffic)."""
    return None if not text or text.startswith("0001") else text
