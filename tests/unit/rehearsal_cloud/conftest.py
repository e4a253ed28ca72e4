# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A cloud served over real HTTPS from a thread of the test process."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rehearsal_cloud import certificates
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud, Request, Response
from rehearsal_cloud.server import Server


@dataclass
class Answer:
    """An answer as the client sees it; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: Any


class Edge:
    """A served cloud, and a plain client for it."""

    def __init__(self, folder: Path, cloud: Cloud, **parts: Any) -> None:
        self.cloud = cloud
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = self._call(self._make(cloud, parts))
        self.ca_file, context = certificates.prepare(folder)
        self.port, self.imds_port = self._call(self.server.start(context))
        self.base = f"https://localhost:{self.port}"
        self._client = ssl.create_default_context(cafile=str(self.ca_file))
        self._tokens: dict[str, str] = {}

    async def _make(self, cloud: Cloud, parts: dict[str, Any]) -> Server:
        return Server(cloud, **parts)

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def stop(self) -> None:
        self._call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def send(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None, host: str = "localhost") -> Answer:
        """One request over a connection of its own; a body that is text goes out as it is. ConnectionError when it is dropped."""
        connection = http.client.HTTPSConnection(host, self.port, context=self._client, timeout=10)
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            connection.request(method, target, content, {"Content-Type": "application/json", **(headers or {})})
            got = connection.getresponse()
            text = got.read()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, json.loads(text) if text else None)
        finally:
            connection.close()

    def token(self, client: str = "app", tenant: str = "contoso") -> str:
        if client not in self._tokens:
            form = f"grant_type=client_credentials&client_id={client}&client_secret=s3cret&scope=https%3A%2F%2Farm%2F.default"
            answer = self.send("POST", f"/{tenant}/oauth2/v2.0/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
            self._tokens[client] = answer.body["access_token"]
        return self._tokens[client]

    def arm(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        client: str = "app",
        query: str = "api-version=2024-01-01",
        host: str = "localhost",
    ) -> Answer:
        """A request to ARM, signed in."""
        return self.send(method, f"{path}?{query}", body, {"Authorization": f"Bearer {self.token(client)}"}, host)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """serve(cloud, **parts of Server) -> Edge; stopped when the test ends."""
    served: list[Edge] = []

    def start(cloud: Cloud | None = None, **parts: Any) -> Edge:
        served.append(Edge(tmp_path, cloud or Cloud(), **parts))
        return served[-1]

    yield start
    for edge in served:
        edge.stop()


class Inside:
    """A cloud without its edges, and a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.cloud = Cloud(Clock(speed=0, start=1_700_000_000))
        for name in ("resources", "compute", "monitor", "automation"):
            self.cloud.types.add(*import_module(f"rehearsal_cloud.providers.{name}").types())

    def later(self, seconds: float) -> None:
        moment = self.cloud.clock.now + seconds
        self.cloud.timeline.run(self.cloud, moment)
        self.cloud.clock.set(moment)

    def send(self, method: str, path: str, body: Any = None, *, version: str = "2024-07-01", **query: str) -> Response:
        return self.cloud.handle(Request(method, path, {"api-version": version, **query}, {}, body))

    def body(self, path: str, **query: str) -> Any:
        """What a GET answers; an assertion when it is no 200."""
        answer = self.send("GET", path, **query)
        assert answer.status == 200, answer
        return answer.body

    def operation(self, answer: Response) -> Any:
        """The body of the operation that an answer began."""
        return self.body(urlsplit(answer.headers["azure-asyncoperation"]).path)


@pytest.fixture
def inside() -> Inside:
    return Inside()
