# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small stand-in for Azure, spoken to by the real client libraries over TLS: sign-in, and the answers that a test scripts."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme
from aiohttp import web

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm1"
EXTENSION = f"{MACHINE}/extensions/agent"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/vault1"


@dataclass
class Answer:
    """``drop`` breaks the connection instead; ``raw`` sends the body as it is; ``{url}`` in a header or a body stands for the stand-in's
    address."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    raw: bool = False


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    query: dict[str, str]


def _base64(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


class StandIn:
    """Answers what was scripted with ``on``: each answer once, the last one for ever. ``seen`` are all requests, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self._script: dict[tuple[str, str], list[Answer]] = defaultdict(list)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self._script[method, path.lower()] = list(answers)

    def asked(self, method: str, path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and path.lower() in seen.path.lower()]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        form = request.content_type == "application/x-www-form-urlencoded"
        body = {name: values[0] for name, values in parse_qs(text).items()} if form else json.loads(text) if text else None
        self.seen.append(Seen(request.method, request.path, dict(request.headers), body, dict(request.query)))
        answer = self._answer(request, body or {})
        if answer.drop:
            assert request.transport
            request.transport.abort()
            raise web.HTTPInternalServerError
        headers = {name: value.replace("{url}", self.url) for name, value in answer.headers.items()}
        body = answer.body if answer.raw else "" if answer.body is None else json.dumps(answer.body)
        content = body.replace("{url}", self.url)
        return web.Response(status=answer.status, text=content, content_type="application/json", headers=headers)

    def _answer(self, request: web.Request, form: dict[str, str]) -> Answer:
        path, token = request.path, {"token_type": "Bearer", "expires_in": 3600, "access_token": "the-token"}
        if path.endswith("/.well-known/openid-configuration"):
            base = f"{self.url}/{TENANT}/oauth2/v2.0"
            names = ("authorization", "token", "device_authorization")
            return Answer(body={f"{name}_endpoint": f"{base}/{name}" for name in names} | {"issuer": base, "jwks_uri": f"{base}/keys"})
        if path.endswith("/oauth2/v2.0/token"):
            refused = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
            who = {"aud": form.get("client_id"), "sub": "me", "iss": f"{self.url}/adfs", "upn": "me", "exp": 4102444800, "iat": 0}
            identity = {"id_token": ".".join((_base64({"alg": "none"}), _base64(who), ""))} if "password" in form else {}
            return Answer(401, refused) if form.get("client_secret") == "wrong" else Answer(body=token | identity)
        if path == "/msi/token":
            return Answer(body=token | {"expires_on": "4102444800", "resource": self.url})
        if path == "/metadata/endpoints":
            sign_in = {"loginEndpoint": "{url}/", "audiences": ["{url}"], "tenant": "common"}
            cloud = {"name": "StandIn", "resourceManager": "{url}/", "authentication": sign_in, "logAnalyticsResourceId": "{url}/logs"}
            return Answer(body=[{"name": "Other", "resourceManager": "https://other.example"}, cloud])
        script = self._script.get((request.method, path.lower()))
        if not script:
            return Answer(404, {"error": {"code": "ResourceNotFound", "message": f"The Resource '{path}' was not found."}})
        return script.pop(0) if len(script) > 1 else script[0]


@dataclass(frozen=True)
class Place:
    """A running stand-in, the file of its authority, and the environment of a service principal that may sign in there."""

    cloud: StandIn
    ca_file: Path
    environ: dict[str, str]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path, context


@pytest.fixture
def place(certificates: tuple[Path, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The stand-in runs in a thread of its own, so that a test may be blocking or asynchronous."""
    cloud, loop = StandIn(), asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", cloud.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificates[1])
        await site.start()
        cloud.url = f"https://localhost:{runner.addresses[0][1]}"
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    environ = {
        "HOME": str(tmp_path),
        "SSL_CERT_FILE": str(certificates[0]),
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AZURE_TENANT": TENANT,
        "AZURE_CLIENT_ID": "app",
        "AZURE_SECRET": "s3cret-value",
        "AZURE_CLOUD_ENVIRONMENT": cloud.url,
    }
    monkeypatch.setenv("HOME", str(tmp_path))
    yield Place(cloud, certificates[0], environ)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def talk(place: Place) -> Callable[..., Any]:
    """``talk(work)`` signs in with the service principal and gives what ``work(azure)`` gives."""
    from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure

    def run(work: Callable[[Azure], Any], params: dict[str, Any] | None = None) -> Any:
        async def signed_in() -> Any:
            async with Azure(params or {}, place.environ) as azure:
                return await work(azure)

        return asyncio.run(signed_in())

    return run
