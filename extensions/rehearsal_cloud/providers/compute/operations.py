# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Compute's long-running operations: how they are announced and how they are polled (recorded traffic)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import refusals
from ...clock import compute_time
from ...operations import Operation
from ...paths import Path, parse
from ...resource_types import Body, ResourceType

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response


RETRY_AFTER = "10"
"""Simulated seconds to the next poll. Chosen: the recorders leave this header out."""


class OperationStatus(ResourceType):
    """GET .../locations/{region}/operations/{guid}; with monitor=true the Location form: 202 until the end, then no body."""

    name = "Microsoft.Compute/locations/operations"

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        operation = cloud.operations.get(path.name)
        if operation is None:
            raise refusals.refuse(404, "NotFound", f"The operation '{path.name}' could not be found.")
        if request.query.get("monitor", "").lower() == "true":
            return self._monitor(cloud, request, operation)
        body = {"startTime": compute_time(operation.started)}
        if operation.ended is not None:
            body["endTime"] = compute_time(operation.ended)
        body["status"] = operation.status
        error = {"error": operation.error} if operation.error else {}
        headers = {"retry_after": RETRY_AFTER} if operation.ended is None else {}
        return cloud.answer(200, {**body, **error, "name": operation.name}, **headers)

    def _monitor(self, cloud: Cloud, request: Request, operation: Operation) -> Response:
        if operation.ended is None:
            url = f"{request.base_url}{request.path}?monitor=true&api-version={request.api_version}"
            return cloud.answer(202, None, location=url, retry_after=RETRY_AFTER)
        if not operation.succeeded:
            return cloud.answer(409, {"error": operation.error or {"code": operation.status, "message": "The operation did not succeed."}})
        return cloud.answer(200 if cloud.store.get(operation.resource_id) else 204)


def announce(cloud: Cloud, request: Request, operation: Operation, owner: Body, status: int, body: Body | None = None) -> Response:
    """The answer that begins an operation in its owner's region: a body with 200 or 201, or nothing with 202, which has a Location too."""
    region = str(owner.get("location") or "global").replace(" ", "").lower()
    subscription = parse(operation.resource_id).subscription
    url = f"{request.base_url}/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{region}/operations/{operation.name}"
    headers = {
        "azure_asyncoperation": f"{url}?api-version={request.api_version}",
        "azure_asyncnotification": "Enabled",
        "retry_after": RETRY_AFTER,
    }
    if status == 202:
        headers["location"] = f"{url}?monitor=true&api-version={request.api_version}"
    return cloud.answer(status, body, **headers)
