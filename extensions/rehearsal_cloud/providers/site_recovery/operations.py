# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Long-running operations of Site Recovery: 202 with two headers, a job of the same name, polls that always answer 200."""

from __future__ import annotations

from typing import Any

from ...clock import asr_time
from ...cloud import Cloud, Request, Response
from ...operations import Operation
from ...paths import Path, parse
from ...timeline import EFFECTS, effect
from .base import SiteRecoveryType, ancestor, asr_id, busy, friendly, missing, no_such_resource, vault_of
from .scenarios import SCENARIOS, Scenario, create, end

RETRY_AFTER = "30"  # recorded traffic


def begin(
    cloud: Cloud,
    request: Request,
    target: str,
    scenario: Scenario | str,
    then: str | None = None,
    *,
    target_name: str = "",
    otherwise: str | None = None,
    at: str = "",
    details: dict[str, Any] | None = None,
    timed: bool = True,
    **arguments: Any,
) -> Response:
    """Accept a change: start its operation and its job, answer 202.

    then / otherwise: effects carried out when it ends well / badly, with `job` (the job's id) and these arguments.
    at: the resource that Location names, the target unless said. timed: False when the provider ends the operation itself.
    Raises Refusal (409) while another operation runs on the target.
    """
    scenario = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
    running = cloud.operations.running(target)
    if running:
        raise busy(friendly(cloud, target), (job_of(cloud, running[0]) or {}).get("properties", {}).get("scenarioName", "unknown"))
    operation = cloud.operations.start(
        cloud,
        request,
        target,
        scenario.seconds if timed else None,
        then="site_recovery.ended",
        otherwise="site_recovery.ended",
        following=then,
        failing=otherwise,
        arguments=arguments,
    )
    job = create(cloud, request, operation.name, target, scenario, target_name or friendly(cloud, target), details)
    return accepted(request, operation, job["id"], at or target)


def accept(cloud: Cloud, request: Request, target: str) -> Operation:
    """An operation without a job of its own, done after a second (what a job's actions answer with)."""
    return cloud.operations.start(cloud, request, target, 1)


def accepted(request: Request, operation: Operation, job: str, at: str = "") -> Response:
    """The 202 of every change (recorded traffic): no body, where to poll, and the job's id as the request's."""
    query = f"?api-version={request.api_version}"
    vault = asr_id(vault_of(operation.resource_id))
    return Response(
        202,
        None,
        {
            "Azure-AsyncOperation": f"{request.base_url}{vault}/replicationOperationStatus/{operation.name}{query}",
            "Location": f"{request.base_url}{asr_id(at or operation.resource_id)}/operationresults/{operation.name}{query}",
            "Retry-After": RETRY_AFTER,
            "x-ms-request-id": job,
        },
    )


def job_of(cloud: Cloud, operation: Operation) -> dict[str, Any] | None:
    return cloud.store.get(f"{vault_of(operation.resource_id)}/replicationJobs/{operation.name}")


@effect("site_recovery.ended")
def _ended(cloud: Cloud, operation: str, following: str | None, failing: str | None, arguments: dict[str, Any]) -> None:
    done = cloud.operations.get(operation)
    job = job_of(cloud, done) if done is not None else None
    if done is None or job is None:
        return
    end(cloud, job, done.status, done.error)
    name = following if done.succeeded else failing
    if name:
        EFFECTS[name](cloud, job=job["id"], **arguments)


class OperationStatus(SiteRecoveryType):
    """replicationOperationStatus: always 200 (recorded traffic)."""

    name = "*/replicationOperationStatus"

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        operation = cloud.operations.get(path.name)
        if operation is None or cloud.store.get(vault_of(path.resource_id)) is None:
            raise missing(cloud, path)
        error = {"code": operation.error["code"], "message": operation.error["message"], "details": None} if operation.error else None
        return cloud.answer(
            200,
            {
                "error": error,
                "id": None,
                "name": operation.name,
                "properties": None,
                "status": operation.status,
                "startTime": asr_time(operation.started),
                "endTime": asr_time(int(operation.ended)) if operation.ended else None,
                "percentComplete": None,
            },
        )


class OperationResults(SiteRecoveryType):
    """operationresults below any resource: 202 while it runs, then the resource, or 204 when that is gone (inferred)."""

    name = "*/operationresults"

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        operation = cloud.operations.get(path.name)
        if operation is None:
            raise no_such_resource(path.name)
        if operation.ended is None:
            return Response(
                202, None, {"Location": f"{request.base_url}{request.path}?api-version={request.api_version}", "Retry-After": RETRY_AFTER}
            )
        target = parse(ancestor(path.resource_id, 1))
        owner = cloud.types.find(target.type)
        body = owner.result(cloud, request, target, job_of(cloud, operation)) if isinstance(owner, SiteRecoveryType) else None
        return cloud.answer(204) if body is None else cloud.answer(200, owner.show(cloud, request, body))
