# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Following a long-running operation to its end, by what Azure was recorded to answer.

The libraries' own pollers know fewer end states than Site Recovery has, and poll when it helps nobody; this one takes their place.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, OperationFailed, from_body, from_exception
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.pacing import Pacer

# End states, lower-cased; every other word is a running state. PartiallySucceeded and CompletedWithInformation are Site Recovery's:
# Microsoft's own runbook for the Mobility service's automatic update takes them for success.
SUCCEEDED = frozenset({"succeeded", "partiallysucceeded", "completedwithinformation"})
FAILED = frozenset({"failed", "canceled", "cancelled"})
# Seconds between two looks where Azure asks for no interval: the first, the growth, and the most.
FIRST, GROWTH, MOST = 1.0, 1.5, 15.0


@dataclass(frozen=True)
class End:
    """How an operation ended well.

    ``status`` is the end state in Azure's spelling (``Accepted`` where Azure took a request on and gave nothing to follow), ``warning``
    an error that Azure reported beside success, ``operation_id`` the operation's name (of a Site Recovery operation: its job's name),
    ``started`` the time in UTC at which Azure took the work on, ``result`` the resource where the answer carried it.
    """

    status: str
    warning: AzureError | None
    operation_id: str | None
    started: str
    result: dict[str, Any] | None


class AsyncPollingMethod:
    """The polling method to pass to a typed client's ``begin_*`` call; awaiting its poller gives the End.

    It has the interface of azure-core's AsyncPollingMethod without being one, so that this file needs no Azure library. An operation that
    Azure accepted fails only by Azure's word: what disturbs the looking (a broken connection, a 429, a 5xx) is looked past; the caller
    sets the time limit. ``last`` tells what was last seen, ``operation_id`` the name of what Azure has accepted (the failover follows its
    job by it).

    Raises OperationFailed for an operation that failed, AzureError (accepted) where Azure refuses to tell.
    """

    def __init__(self, asked: str, resource_id: str | None, pacer: Pacer) -> None:
        self.last: str | None = None
        self.operation_id: str | None = None
        self._started = ""
        self._asked, self._resource_id, self._pacer = asked, resource_id, pacer
        self._grown = FIRST
        self._end: End | None = None

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        """Called by the poller with the trigger's answer, which is a success by its HTTP status."""
        self._client, self._request, self._answer = client, initial_response.http_request, initial_response.http_response
        self._started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._operation = self._answer.headers.get("azure-asyncoperation")
        self._url = self._operation or self._answer.headers.get("location")
        self.last = f"HTTP {self._answer.status_code}"
        if self._url:
            self.operation_id = urlsplit(self._url).path.rstrip("/").rsplit("/", 1)[-1]

    async def run(self) -> None:
        if not self._url:
            self._judge_trigger(self._answer.status_code, _json(self._answer))
        with self._pacer.following():
            while not self._end:
                await asyncio.sleep(self._pacer.poll_interval(self._interval()))
                await self._look()

    async def _look(self) -> None:
        """Ask once where the operation stands."""
        from azure.core.exceptions import AzureError as LibraryError
        from azure.core.rest import HttpRequest

        try:
            self._answer = await self._client.send_request(HttpRequest("GET", self._url or self._request.url))
        except LibraryError as exc:
            error = from_exception(exc, self._asked, self._resource_id)
            if error.status in (400, 401, 403):
                error.accepted = True
                raise error from exc
            self._answer, self.last = None, f"no answer ({error.code})"
            return
        status, body = self._answer.status_code, _json(self._answer)
        if status == 429 or status >= 500:
            self.last = f"HTTP {status}"
        elif status == 404 and not self._url and self._request.method == "DELETE":
            self._finish("Succeeded", body, None)
        elif status >= 400:
            raise from_body(self._asked, self._resource_id, status, body, self._answer.headers.get("x-ms-request-id"), accepted=True)
        elif self._operation:
            self._judge(str(body.get("status") or ("Succeeded" if status == 204 else "an answer without a status")), body, None)
        elif self._url:
            self._judge("Accepted" if status == 202 else str(body.get("status") or _state(body) or "Succeeded"), body, body or None)
        elif self._request.method != "DELETE":
            self._judge(_state(body) or "Succeeded", body, body)
        elif (state := _state(body) or "").lower() in FAILED:
            self._judge(state, body, body)

    def _judge_trigger(self, status: int, body: dict[str, Any]) -> None:
        """Without an operation to follow, the trigger's answer tells: the resource's provisioning state, or success where nothing is said
        to go on.

        What goes on is followed by reading the resource, of a deletion until it is absent; an action that answers no more than 202 leaves
        nothing to read.
        """
        method, state = self._request.method, _state(body)
        if method in ("PUT", "PATCH") and state:
            self._judge(state, body, body)
        elif status != 202:
            self._finish("Succeeded", body, body or None)
        elif method == "POST":
            self._finish("Accepted", body, None)

    def _judge(self, state: str, body: dict[str, Any], result: dict[str, Any] | None) -> None:
        self.last = state
        if state.lower() in SUCCEEDED:
            self._finish(state, body, result)
        elif state.lower() in FAILED:
            raise self._error(body, state, OperationFailed)

    def _finish(self, state: str, body: dict[str, Any], result: dict[str, Any] | None) -> None:
        warning = self._error(body, state, AzureError) if body.get("error") else None
        self._end = End(state, warning, self.operation_id, self._started, result)

    def _error(self, body: dict[str, Any], state: str, kind: type[AzureError]) -> AzureError:
        request_id = self._answer.headers.get("x-ms-request-id")
        error = {"error": body.get("error") or (body.get("properties") or {}).get("error") or {}}
        return from_body(
            self._asked, self._resource_id, state, error, request_id, fallback=f"the operation ended as {state}", kind=kind, accepted=True
        )

    def _interval(self) -> float:
        """What the latest answer asks for; else a time that grows with each look."""
        asked = retry_after(self._answer.headers) if self._answer is not None else None
        if asked:
            return asked
        grown, self._grown = self._grown, min(MOST, self._grown * GROWTH)
        return grown

    def status(self) -> str:
        return self._end.status if self._end else "InProgress"

    def finished(self) -> bool:
        return self._end is not None

    def resource(self) -> End | None:
        return self._end


def retry_after(headers: Any) -> float | None:
    """The seconds that an answer asks to wait: x-ms-retry-after-ms, else Retry-After as a number or a date; None where it asks for
    nothing."""
    try:
        if headers.get("x-ms-retry-after-ms"):
            return float(headers["x-ms-retry-after-ms"]) / 1000
        text = headers.get("retry-after")
        if not text or text.strip().isdigit():
            return float(text) if text else None
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _json(answer: Any) -> dict[str, Any]:
    """The answer's JSON object; an empty one for anything else, such as a proxy's page."""
    try:
        body = json.loads(answer.text())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _state(body: dict[str, Any]) -> str | None:
    return (body.get("properties") or {}).get("provisioningState")
