# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of a runbook: what its steps gave, put together for people and for programs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: evidence_record
short_description: Put the results of a runbook's steps together into one record
version_added: 1.0.0
description:
  - Takes the results of the collection's modules, in the order in which the runbook ran them, and gives one record that says
    what was done, to which machines, when, with what outcome, and how long the recovery took against its objective.
  - The role P(cloudops.azure_dr.evidence#role) writes such a record to disk.
author:
  - the cloudops.azure_dr authors
positional: _input
options:
  _input:
    description:
      - The steps, in their order. Each has RV(ignore:name), what the step is called, and RV(ignore:result), what its module returned;
        an empty or missing result means that the step was not run.
    type: list
    elements: dict
    required: true
  about:
    description: What the record says about the run itself, such as who ran it; taken over as it is.
    type: dict
    default: {}
  rto_objective:
    description: The recovery time objective in minutes. Without one, the recovery time is only measured.
    type: float
"""

EXAMPLES = r"""
- name: See what the drill came to
  ansible.builtin.debug:
    msg: "{{ steps | cloudops.azure_dr.evidence_record(rto_objective=60) }}"
  vars:
    steps:
      - name: Test failover
        result: "{{ failover_results.test }}"
      - name: Restore monitoring
        result: "{{ restore_monitoring_result }}"
"""

RETURN = r"""
_value:
  description: The record.
  type: dict
  contains:
    outcome:
      description: V(failed) when any step or machine failed, V(unchanged) when there was nothing to do, else V(succeeded).
      type: str
    about:
      description: What O(about) held.
      type: dict
    vault_id:
      description: The vault of the first step that names one.
      type: str
    rto:
      description: The objective in minutes, the measured recovery time in seconds, and whether the objective was met (null where unknown).
      type: dict
    steps:
      description: Each step with its outcome (V(succeeded), V(failed) or V(not run)), its times, its summary and its machines.
      type: list
      elements: dict
    restored:
      description:
        - Each extension and association that machines had and were to get back, with RV(ignore:machine), RV(ignore:what), RV(ignore:name),
          RV(ignore:before), RV(ignore:after), RV(ignore:missing) and RV(ignore:left_out), as M(cloudops.azure_dr.ama_reinstall) tells them.
      type: list
      elements: dict
    failures:
      description: Each machine, or whole step, that failed, with the reason and the recommended action.
      type: list
      elements: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError

Body = dict[str, Any]

# What a machine's line in the record keeps of its line in a module's result.
MACHINE = ("name", "id", "state", "changed", "reason", "actions", "source_id", "target_id", "rto_seconds", "started", "ended")
FAILED = ("failed", "timed_out")


def evidence_record(steps: list[Body], about: Body | None = None, rto_objective: float | None = None) -> Body:
    """The record of a run: see DOCUMENTATION. Raises AnsibleFilterError for steps that are no such list."""
    if not isinstance(steps, list) or not all(isinstance(step, dict) and "name" in step for step in steps):
        raise AnsibleFilterError("evidence_record wants a list of steps, each with a name and a result.")
    told = [_step(step["name"], step.get("result") or {}) for step in steps]
    failures = [failure for step in told for failure in step.pop("failures")]
    return {
        "outcome": _outcome(told, failures),
        "about": about or {},
        "vault_id": next((step["result"]["vault_id"] for step in steps if (step.get("result") or {}).get("vault_id")), None),
        "rto": _rto([step.get("result") or {} for step in steps], rto_objective),
        "steps": told,
        "restored": _restored([step.get("result") or {} for step in steps]),
        "failures": failures,
    }


def _restored(results: list[Body]) -> list[Body]:
    """What each machine got back of what its source had, as the last step saw it that looked."""
    seen: dict[str, list[Body]] = {}
    for result in results:
        for target in result.get("targets") or []:
            if target.get("restored"):
                seen[target["id"]] = [{"machine": target["name"]} | row for row in target["restored"]]
    return [row for rows in seen.values() for row in rows]


def _outcome(steps: list[Body], failures: list[Body]) -> str:
    if failures or any(step["outcome"] == "failed" for step in steps):
        return "failed"
    return "succeeded" if any(step["changed"] for step in steps) else "unchanged"


def _step(name: str, result: Body) -> Body:
    ran, failed = bool(result) and not result.get("skipped"), bool(result.get("failed"))
    machines = [_machine(target) for target in result.get("targets") or []]
    failures = [_failure(name, target) for target in result.get("targets") or [] if target.get("state") in FAILED]
    if failed and not failures:
        failures = [_failure(name, {"reason": result.get("msg"), "error": result.get("error")})]
    job = {key: value for key, value in (result.get("job") or {}).items() if key != "tasks"}
    return {
        "name": name,
        "outcome": ("failed" if failed else "succeeded") if ran else "not run",
        "changed": bool(result.get("changed")),
        "reason": result.get("msg"),
        "started": job.get("started") or min((machine["started"] for machine in machines if "started" in machine), default=None),
        "ended": job.get("ended") or max((machine["ended"] for machine in machines if "ended" in machine), default=None),
        "job": job or None,
        "summary": result.get("summary") or {},
        "warnings": result.get("warnings") or [],
        "resumed": _resumed(result.get("targets") or []),
        "machines": machines,
        "failures": failures,
    }


def _resumed(targets: list[Body]) -> list[Body]:
    """The earlier runs that had begun what this step went on with, by their journals, each with the machines."""
    runs: dict[str, Body] = {}
    for target in targets:
        for left in target.get("resumed") or []:
            run = runs.setdefault(left["run"], {"run": left["run"], "module": left["module"], "host": left["host"], "machines": []})
            if target["name"] not in run["machines"]:
                run["machines"].append(target["name"])
    return list(runs.values())


def _machine(target: Body) -> Body:
    """A machine's line; with whether its data arrives, where that was looked at."""
    proof = (target.get("after") or {}).get("proof")
    return {key: target[key] for key in MACHINE if target.get(key) is not None} | ({"proof": proof} if proof else {})


def _failure(step: str, target: Body) -> Body:
    error = target.get("error") or {}
    return {
        "step": step,
        "machine": target.get("name"),
        "state": target.get("state"),
        "reason": target.get("reason") or "no reason was given",
        "code": error.get("code"),
        "recommended_action": error.get("recommended_action"),
        "request_id": error.get("request_id"),
    }


def _rto(results: list[Body], objective: float | None) -> Body:
    """The longest recovery time that a step measured, in seconds, against the objective in minutes."""
    measured = [result["rto_seconds"] for result in results if isinstance(result.get("rto_seconds"), (int, float))]
    longest = max(measured, default=None)
    known = longest is not None and objective is not None
    return {"objective_minutes": objective, "measured_seconds": longest, "met": longest <= objective * 60 if known else None}


class FilterModule:
    """The collection's filters."""

    def filters(self) -> dict[str, Any]:
        return {"evidence_record": evidence_record}
