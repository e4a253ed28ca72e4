# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The HTTPS server: what stands between a client and the cloud. Thin: it reads a request, asks its neighbours, writes the answer."""

from __future__ import annotations

import asyncio
import json
import math
import re
import ssl
import sys
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from . import controls, faults, log_analytics, sign_in
from .clock import Clock, http_date
from .cloud import Cloud, Request, Response
from .permissions import Permissions
from .refusals import Refusal, refuse
from .snapshots import Snapshots
from .throttling import Throttle
from .traffic import Traffic

LOOPBACK = "127.0.0.1"
_API_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-[a-z.\d]+)?", re.I)


@dataclass
class Received(Request):
    """A request as it came over the network; unreadable: why its body is no JSON ("" when it is)."""

    unreadable: str = ""


class Server:
    """The cloud on the network: ARM and sign-in over HTTPS, the instance metadata service over plain HTTP; loopback only."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        throttle: Throttle | None = None,
        rules: list[faults.Rule] | None = None,
        permissions: Permissions | None = None,
        traffic: Traffic | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.cloud, self.throttle, self.rules = cloud, throttle or Throttle(), rules or []
        self.traffic, self.snapshots = traffic, snapshots
        cloud.permissions = permissions
        self._runners: list[web.ServerRunner] = []

    async def start(self, context: ssl.SSLContext, port: int = 0) -> tuple[int, int]:
        """Listen; the ports of HTTPS and of the instance metadata service. Raises OSError when the port is taken."""
        return await self._listen(self._secure, port, context), await self._listen(self._plain, 0, None)

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self.snapshots is not None:
            self.snapshots.save()

    async def _listen(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], port: int, context: ssl.SSLContext | None
    ) -> int:
        runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.5)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, port, ssl_context=context).start()
        return int(runner.addresses[0][1])

    async def _secure(self, http: web.BaseRequest) -> web.StreamResponse:
        return await self._exchange(http, f"https://{http.host}", self._answer)

    async def _plain(self, http: web.BaseRequest) -> web.StreamResponse:
        return await self._exchange(http, f"http://{http.host}", _instance_metadata)

    async def _exchange(self, http: web.BaseRequest, base_url: str, answer: Callable[[Received], Response]) -> web.StreamResponse:
        """One request and its answer, with the faults that the rules have for it."""
        began = time.perf_counter()
        request = _received(http, await http.read(), base_url)
        rule = None if controls.meant(request) else faults.first(self.rules, request)
        if rule is not None and rule.delay:
            await asyncio.sleep(self.cloud.clock.wall_seconds(rule.delay))
        request.outcome, request.lifetime = (rule.operation, rule.lifetime) if rule else (None, None)
        response = None if rule and rule.drop == "before" else (rule and rule.response(request)) or self._guarded(answer, request)
        if response is not None:
            self._finish(response)
        dropped = rule is not None and rule.drop is not None
        if self.traffic is not None:
            self.traffic.write(request, None if dropped else response, time.perf_counter() - began, rule.number if rule else None)
        if response is None or dropped:
            if http.transport is not None:
                http.transport.abort()
            return web.Response()
        content = b"" if response.body is None else json.dumps(response.body, separators=(",", ":")).encode()
        return web.Response(status=response.status, body=content, headers=response.headers)

    def _guarded(self, answer: Callable[[Received], Response], request: Received) -> Response:
        """The answer; a bug of ours becomes ARM's 500, and its traceback goes to standard error."""
        try:
            return answer(request)
        except Refusal as refusal:
            return Response(refusal.status, refusal.body, dict(refusal.headers))
        except Exception:  # noqa: BLE001 (shown in full, not swallowed)
            traceback.print_exc(file=sys.stderr)
            message = "The rehearsal cloud failed; its standard error says why."
            return Response(500, {"error": {"code": "InternalServerError", "message": message}})

    def _answer(self, request: Received) -> Response:
        """Sign-in, or ARM: who asks, is there an api-version, is it too much, may they, and then the cloud; or the query of logs."""
        signed = sign_in.answer(request)
        if signed is not None:
            return signed
        if controls.meant(request):
            response = self.cloud.handle(request)
            if self.snapshots is not None:
                self.snapshots.changed()
            return response
        who, logs = sign_in.principal(request), log_analytics.asked(request)
        if not logs:
            _require_api_version(request)
        remaining = self.throttle.admit(self.cloud, request, who)
        if request.unreadable:
            raise refuse(
                400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{request.unreadable}'."
            )
        if self.cloud.permissions is not None and not logs:
            self.cloud.permissions.require(self.cloud, request, who)
        effects = self.cloud.timeline.done
        response = log_analytics.answer(self.cloud, request, who) if logs else self.cloud.handle(request)
        if self.snapshots is not None and (request.method != "GET" or self.cloud.timeline.done != effects):
            self.snapshots.changed()
        response.headers = remaining | response.headers
        return response

    def _finish(self, response: Response) -> None:
        """The headers that every answer has; the provider's own win. Retry-After goes out in the client's seconds."""
        number = str(uuid.uuid4())
        given = {name.lower(): value for name, value in response.headers.items()}
        response.headers = {
            "content-type": "application/json; charset=utf-8",
            "date": http_date(self.cloud.clock.read()),
            "cache-control": "no-cache",
            "x-ms-request-id": number,
            "x-ms-correlation-request-id": number,
            "x-ms-routing-request-id": f"REHEARSAL:{number}",
            **given,
        }
        if "retry-after" in given:
            name, value = retry_after(self.cloud.clock, given["retry-after"])
            del response.headers["retry-after"]
            response.headers[name] = value


def retry_after(clock: Clock, seconds: str) -> tuple[str, str]:
    """The header that tells a client to wait `seconds` of simulated time: whole seconds of its own, or milliseconds under one."""
    wall = clock.wall_seconds(float(seconds))
    return ("retry-after", str(math.ceil(wall))) if wall >= 1 else ("x-ms-retry-after-ms", str(max(1, math.ceil(wall * 1000))))


def _instance_metadata(request: Request) -> Response:
    if request.path.lower().rstrip("/") == "/metadata/identity/oauth2/token":
        return sign_in.imds(request)
    return Response(404, {"error": "Not found"})


def _require_api_version(request: Request) -> None:
    """Raises Refusal: ARM's 400 for an api-version that is missing or none."""
    version = request.api_version
    if not version:
        raise refuse(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
    if not _API_VERSION.fullmatch(version):
        raise refuse(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. An api-version is a date (YYYY-MM-DD), with -preview after it where it is one.",
        )


def _received(http: web.BaseRequest, content: bytes, base_url: str) -> Received:
    headers = {name.lower(): value for name, value in http.headers.items()}
    request = Received(http.method, http.path, dict(http.query), headers, base_url=base_url)
    if content:
        try:
            form = http.content_type == "application/x-www-form-urlencoded"
            request.body = dict(parse_qsl(content.decode())) if form else json.loads(content)
        except ValueError as problem:
            request.unreadable = str(problem)
    return request
