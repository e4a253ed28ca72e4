# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the job of a failover tells: where it is, what each machine went through in it and when, and why a machine failed.

All of it is pure. A plan's job has tasks for its groups, and in them one for each machine, which points at the machine's own job; the job
of a single item has tasks of that machine only (recorded traffic). All times are the service's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, jobs
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import ReplicatedItem
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.jobs import Job, Task

Wire = dict[str, Any]


def called(job: Job) -> str:
    return f"{job.label or job.scenario} ({job.name})"


def waits_for_cleanup(job: Job) -> bool:
    """Whether a test failover's job is over but for the clean-up, which older vaults have in the same job (API example, Suspended)."""
    return job.scenario == "TestFailover" and job.state.lower() == "suspended" and "Resume" not in job.allowed_actions


def where(name: str, wire: Wire) -> str:
    """Where a running job is, in one line: its tasks in progress, of a group how many machines are through, and what waits for a person."""
    job = jobs.parse(wire)
    parts = []
    for task in job.tasks:
        if task.state.lower() in ("inprogress", "suspended"):
            through = sum(child.state.lower() == "succeeded" for child in task.children)
            parts.append(task.label + (f": {through} of {len(task.children)} machines" if task.children else ""))
    tasks = wire["properties"].get("tasks") or ()
    waiting = [f"waits for a manual action: {told}. Do it, then resume the job {job.name}" for told in _manual(tasks)]
    return f"{name}: {'; '.join(parts + waiting) or f'job {job.name} is {job.state}'}"


def _manual(tasks: Iterable[Wire]) -> list[str]:
    found = []
    for task in tasks:
        details = task.get("customDetails") or {}
        running = (task.get("state") or "").lower() in ("inprogress", "suspended") or "Resume" in (task.get("allowedActions") or ())
        if details.get("instanceType") == "ManualActionTaskDetails" and running and "name" in details:
            found.append(f"{details['name']}: {details.get('instructions') or 'no instructions'}")
        found += _manual((task.get("groupTaskCustomDetails") or {}).get("childTasks") or ())
    return found


def of_plan(job: Job) -> bool:
    return (job.target_type or "").lower() == "recoveryplan"


def left_out(job: Job, machines: Iterable[ReplicatedItem]) -> list[str]:
    """The machines for which nothing was done in a plan's job: no task of theirs came to an end there, while tasks of others did."""
    worked = {(task.target or "").lower() for task in job.every_task() if task.state.lower() == "succeeded"} - {""}
    return [item.friendly_name for item in machines if of_plan(job) and worked and item.friendly_name.lower() not in worked]


def behind(scenario: str, whole: Sequence[Job], parts: Sequence[Job]) -> Job | None:
    """The last job of the scenario on a unit, where it succeeded and nothing else came after it; None else.

    whole: the jobs of the unit that exclude each other, parts: those of its machines.
    """
    last = max((job for job in whole if job.started), key=lambda job: items.when(job.started or ""), default=None)
    if last is None or last.scenario != scenario or not (last.succeeded or waits_for_cleanup(last)):
        return None
    end = last.ended or last.started or ""
    later = [job for job in parts if job.started and items.when(job.started) > items.when(end) and job.name != last.name]
    return None if later else last


def covers(job: Job, machines: Sequence[ReplicatedItem]) -> bool:
    """Whether a job that was read by itself is about all the machines: by its details, where it tells them, and its tasks."""
    named = {str(one.get("name")).lower() for one in job.details.get("protectedItemDetails") or ()}
    return (not named or named >= {item.name.lower() for item in machines}) and not left_out(job, machines)


def tasks_of(job: Job, item: ReplicatedItem) -> list[Task]:
    """The tasks of a job that are about one machine: of a plan's job those that name it (in any letter case), else all."""
    if not of_plan(job):
        return list(job.every_task())
    return [task for task in job.every_task() if (task.target or "").lower() == item.friendly_name.lower()]


def times(job: Job, item: ReplicatedItem) -> tuple[str | None, str | None]:
    """When the work on a machine began and ended, by the service's own clock."""
    found = tasks_of(job, item)
    begun, ended = [task.started for task in found if task.started], [task.ended for task in found if task.ended]
    return min(begun, key=items.when, default=job.started), max(ended, key=items.when, default=job.ended)


def recovered_at(job: Job, item: ReplicatedItem) -> str | None:
    """When the machine was up on the recovery side: in a plan's job the end of its last task, in its own that of the start task."""
    found = [task for task in tasks_of(job, item) if task.ended]
    starting = [task for task in found if not task.job and task.name.lower().startswith("start")]
    return max((task.ended for task in starting or found if task.ended), key=items.when, default=job.ended)


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Seconds with one decimal. The end of a job is cut to whole seconds (recorded traffic), so it may be before a short one's start."""
    return round(max(0.0, (items.when(end) - items.when(begin)).total_seconds()), 1) if begin and end else None


def flat(tasks: Iterable[Task], group: str | None = None) -> list[Wire]:
    """A job's tasks as one list, groups before what is in them."""
    rows = []
    for task in tasks:
        rows.append(
            {
                "name": task.label,
                "state": task.state,
                "group": group,
                "machine": task.target,
                "started": task.started,
                "ended": task.ended,
                "errors": [asdict(error) for error in task.errors],
            }
        )
        rows += flat(task.children, task.label)
    return rows


def view(job: Job) -> Wire:
    return {
        "name": job.name,
        "id": job.id,
        "scenario": job.scenario,
        "state": job.state,
        "started": job.started,
        "ended": job.ended,
        "tasks": flat(job.tasks),
        "errors": [asdict(error) for error in job.errors],
    }


def trouble(job: Job) -> str:
    """What a job says of its failure: its errors with causes and actions, each once; those of its tasks where it has none itself."""
    errors = job.errors or [error for task in job.every_task() for error in task.errors]
    return " ".join(dict.fromkeys(map(str, errors))) or f"the job {called(job)} ended as {job.state} and says no more"
