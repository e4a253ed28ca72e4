# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One connection to Azure for a module's run: sign-in, clients, pacing and errors.

Answers are given as they came over the wire: a policy of the pipeline keeps the last answer of each call, so no version of a client
library loses or reformats a key. Request bodies are plain dictionaries in wire form, arguments go by keyword, and API versions are the
libraries' own.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import clouds, credentials, pacing, permissions
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import (
    UNSURE,
    AzureDRError,
    AzureError,
    InputError,
    TimedOut,
    from_body,
    from_exception,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.operations import AsyncPollingMethod, End, retry_after

USER_AGENT = "cloudops.azure_dr"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
# Given in full: the retry policy caps the total by each kind. A PATCH or POST that got no answer is never sent again by it, since it may
# have been taken on; a PUT, DELETE or GET is, four times in all. aiohttp sends these once more by itself where a connection that was kept
# open turns out to be closed, so that Azure can see up to eight.
_RETRIES = {"retry_total": 10, "retry_status": 10, "retry_connect": 3, "retry_read": 3, "retry_backoff_max": 15}
LAST_WORDS = 120.0  # seconds for a last look at what was acted on
QUERY_RETRIES = 3  # of a query of logs: who waits for an answer asks again anyway
LONGEST_WAIT = 900.0  # seconds that an answer may ask to wait for; where it asks for more, it is told instead
# Seconds; the library's own five minutes make an address that nobody answers at look like a module that hangs.
_TIMEOUTS = {"connection_timeout": 20, "read_timeout": 120}

Items = list[dict[str, Any]]
_answers: ContextVar[list[Any] | None] = ContextVar("answers", default=None)


class Azure:
    """``async with Azure(module.params) as azure``: signed in, with one token fetched, on one shared HTTP session.

    ``subscription_id`` is the subscription of the sign-in, ``cloud`` where its services are, ``pacer`` what all requests wait for.

    Entering raises InputError for a sign-in that is incomplete, AzureError for one that Azure refuses.
    """

    subscription_id: str
    cloud: clouds.Cloud
    pacer: pacing.Pacer

    def __init__(self, params: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._environ = environ
        self._settings = credentials.resolve(params, environ)
        self._limits = pacing.limits(params.get("throttle_limits"))
        self._clients: dict[tuple[str, str], Any] = {}

    async def __aenter__(self) -> Azure:
        import aiohttp
        from azure.core.pipeline.transport import AioHttpTransport

        verify = self._settings.cert_validation_mode == "validate"
        self._session = aiohttp.ClientSession(
            # Azure's limits allow 45 requests a second; each connection takes a third of a megabyte.
            connector=aiohttp.TCPConnector(ssl=trust(self._environ, verify), limit=100),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=any(self._environ.get(name) for name in _PROXIES),
        )
        self._transport = AioHttpTransport(session=self._session, session_owner=False, **_TIMEOUTS)
        self._credential: Any = None
        try:
            await self._sign_in()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._credential:
            await self._credential.close()
        if "pacer" in vars(self):
            self.pacer.close()
        await self._session.close()

    async def _sign_in(self) -> None:
        settings, cloud = self._settings, None
        if settings.source == "cli":
            settings, cloud = await credentials.from_cli(settings)
        self.cloud = cloud or await clouds.find(settings.cloud_environment or "AzureCloud", self._fetch)
        share = pacing.share_path(self.cloud.resource_manager, self._environ)
        self.pacer = pacing.Pacer(self._limits, share, settings.principal, self.cloud.resource_manager)
        bundle = next((self._environ[name] for name in _BUNDLES if self._environ.get(name)), True)
        with _told("sign in", None):
            trusted = bundle if settings.cert_validation_mode == "validate" else False
            try:
                self._credential = credentials.Renewable(lambda: credentials.credential(settings, self.cloud, self._transport, trusted))
            except ValueError as exc:
                # A certificate, tenant or authority in a form that azure-identity does not take.
                raise AzureError("sign in", None, code=type(exc).__name__, message=str(exc)) from exc
            # Once, before anything fans out: else each waiting request would fetch its own.
            await self._credential.get_token(self.cloud.scope)
        if not settings.subscription_id and settings.source == "msi":
            found = await self.list("find the subscription", "/subscriptions", "2022-12-01")
            settings = replace(settings, subscription_id=next((item["subscriptionId"] for item in found), None))
        if not settings.subscription_id:
            looked = "the option, AZURE_SUBSCRIPTION_ID, and the profile of the sign-in were looked at"
            raise InputError("subscription_id", None, f"the id of a subscription: {looked}")
        self._settings, self.subscription_id = settings, settings.subscription_id

    async def _fetch(self, url: str) -> Any:
        """The cloud's metadata document, which anyone may read."""
        from azure.core import AsyncPipelineClient
        from azure.core.pipeline.policies import UserAgentPolicy

        client: Any = AsyncPipelineClient(url, policies=[UserAgentPolicy(USER_AGENT), _retry_policy()], transport=self._transport)
        return await _answer_of(client, "read the cloud's metadata document", url, url)

    @property
    def site_recovery(self) -> Any:
        """The typed client of Site Recovery (SiteRecoveryManagementClient) for the subscription of the sign-in."""
        from azure.mgmt.recoveryservicessiterecovery.aio import SiteRecoveryManagementClient

        return self._client(SiteRecoveryManagementClient, None)

    def compute(self, subscription_id: str | None = None) -> Any:
        """The typed client of Compute (ComputeManagementClient) for a subscription, by default that of the sign-in."""
        from azure.mgmt.compute.aio import ComputeManagementClient

        return self._client(ComputeManagementClient, subscription_id)

    def monitor(self, subscription_id: str | None = None) -> Any:
        """The typed client of Monitor (MonitorManagementClient) for a subscription, by default that of the sign-in."""
        from azure.mgmt.monitor.aio import MonitorManagementClient

        return self._client(MonitorManagementClient, subscription_id)

    def _client(self, kind: Callable[..., Any], subscription_id: str | None) -> Any:
        subscription_id = subscription_id or self.subscription_id
        name = (kind.__name__, subscription_id.lower())
        if name not in self._clients:
            self._clients[name] = kind(
                credential=self._credential, subscription_id=subscription_id, base_url=self.cloud.resource_manager, **self._pipeline()
            )
        return self._clients[name]

    @cached_property
    def _untyped(self) -> Any:
        from azure.mgmt.core import AsyncARMPipelineClient

        return AsyncARMPipelineClient(self.cloud.resource_manager, **self._pipeline())

    @cached_property
    def _logs(self) -> Any:
        from azure.mgmt.core import AsyncARMPipelineClient

        place = self.cloud.log_analytics
        if not place:
            raise AzureDRError(f"The cloud {self.cloud.name} tells no address of Log Analytics, so no workspace can be asked.")
        return AsyncARMPipelineClient(place, **self._pipeline(f"{place}/.default"))

    def _pipeline(self, scope: str | None = None) -> dict[str, Any]:
        """The pipeline of a client: each has its own policies, all share transport, sign-in and pacer. scope: what tokens are asked for, by
        default the resource manager.

        The libraries' own policy that registers a missing resource provider is left out: a read, or a check, must write nothing.
        """
        from azure.core.pipeline import policies
        from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

        scope = scope or self.cloud.scope
        return {
            "credential_scopes": [scope],
            "transport": self._transport,
            "policies": [
                policies.RequestIdPolicy(),
                policies.UserAgentPolicy(USER_AGENT),
                policies.ContentDecodePolicy(),
                _KeepAnswer(),
                policies.AsyncRedirectPolicy(),
                _retry_policy(),
                _RenewToken(self._credential),
                pacing.AsyncPacingPolicy(self.pacer),
                AsyncARMChallengeAuthenticationPolicy(self._credential, scope),
                policies.SensitiveHeaderCleanupPolicy(),
            ],
        }

    async def read(self, asked: str, resource_id: str | None, awaitable: Awaitable[Any]) -> dict[str, Any]:
        """Await a typed client's call and give the answer as it came over the wire, ``{}`` for an empty one. Raises AzureError."""
        with _told(asked, resource_id), _kept() as answers:
            await awaitable
            return _wire(answers[-1])

    async def read_or_none(self, asked: str, resource_id: str | None, awaitable: Awaitable[Any]) -> dict[str, Any] | None:
        """Like ``read``; None where the resource is absent, and for nothing else."""
        try:
            return await self.read(asked, resource_id, awaitable)
        except AzureError as exc:
            if exc.absent:
                return None
            raise

    async def collect(self, asked: str, resource_id: str | None, pager: Any) -> Items:
        """All items of all pages of a typed client's list, as they came over the wire.

        Raises AzureError when any page fails: never a short answer.
        """
        items: Items = []
        with _told(asked, resource_id), _kept() as answers:
            async for page in pager.by_page():
                del page
                items += _wire(answers[-1]).get("value") or []
        return items

    async def get(self, asked: str, path: str, api_version: str) -> dict[str, Any]:
        """Read a resource of a type for which there is no client here, by its id. Raises AzureError."""
        return await self._get(asked, path, f"{path}?{urlencode({'api-version': api_version})}")

    async def list(self, asked: str, path: str, api_version: str) -> Items:
        """All items of all pages of a list of such a type. Raises AzureError when any page fails."""
        items: Items = []
        url: str | None = f"{path}?{urlencode({'api-version': api_version})}"
        while url:
            page = await self._get(asked, path, url)
            items += page.get("value") or []
            url = page.get("nextLink")
        return items

    async def _get(self, asked: str, resource_id: str, url: str) -> dict[str, Any]:
        return await _answer_of(self._untyped, asked, resource_id, self._untyped.format_url(url))

    async def query(self, asked: str, workspace_id: str, customer_id: str, text: str) -> tuple[Items, datetime]:
        """The rows with which a Log Analytics workspace answers a query, each as {column: value}, and Azure's time of the answer.

        Raises AzureError, also for an answer that is not whole.
        """
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        request = HttpRequest("POST", self._logs.format_url(f"/v1/workspaces/{customer_id}/query"), json={"query": text})
        with _told(asked, workspace_id):
            answer = await self._logs.send_request(request, retry_total=QUERY_RETRIES)
            if answer.status_code != 200:
                raise HttpResponseError(response=answer)
            body = _wire(answer)
        if body.get("error") or not body.get("tables"):
            raise from_body(asked, workspace_id, answer.status_code, body, fallback="the answer holds no table")
        table = body["tables"][0]
        names, date = [column["name"] for column in table["columns"]], answer.headers.get("Date")
        rows = [dict(zip(names, row, strict=True)) for row in table["rows"]]
        return rows, parsedate_to_datetime(date) if date else datetime.now(UTC)

    async def run(self, asked: str, resource_id: str | None, begin: Callable[..., Awaitable[Any]], timeout: float) -> End:
        """Start a long-running operation and follow it to its end.

        ``begin`` is called with ``polling`` and gives the awaitable of a typed client's ``begin_*`` call; ``timeout`` is in seconds, of
        the whole.

        Raises AzureError when Azure refuses (``accepted`` is False; None when the connection broke before the answer), OperationFailed
        when it fails later, TimedOut when it takes too long; what Azure accepted goes on there.
        """
        polling = AsyncPollingMethod(asked, resource_id, self.pacer)
        try:
            with _told(asked, resource_id):
                async with asyncio.timeout(timeout):
                    return await (await begin(polling=polling))
        except TimeoutError:
            raise TimedOut(asked, resource_id, timeout / 60, polling.last) from None

    @cached_property
    def permissions(self) -> permissions.Permissions:
        """What the sign-in may do."""
        return permissions.Permissions(self.list)

    async def require(self, requests: Iterable[tuple[str, str]], needs: Iterable[tuple[str, str]] = ()) -> None:
        """Raises PermissionMissing when the sign-in is known to lack what the requests (method, path) need, or one of `needs` (action,
        scope)."""
        wanted = permissions.needs_of(requests) + [permissions.Need(*need) for need in needs]
        missing = await self.permissions.missing(wanted)
        if missing:
            raise permissions.PermissionMissing(missing)

    async def pause(self, seconds: float) -> None:
        """Wait between two looks at something; with many waiting it takes longer, since all share the read limit."""
        with self.pacer.following():
            await asyncio.sleep(self.pacer.poll_interval(seconds))


def _retry_policy() -> Any:
    from azure.core.pipeline.policies import AsyncRetryPolicy

    class RetryPolicy(AsyncRetryPolicy):
        """Sends again what Azure refused for now, and what does no harm twice.

        The library's own policy leaves out what Azure asks for by x-ms-retry-after-ms, and sends a POST or PATCH again after a 5xx. By then
        it may have been taken on: a second one would be refused, and what runs be called failed. Who sent it looks first.
        """

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            answer = response.http_response
            status, asked = answer.status_code, retry_after(answer.headers)
            if status < 400 or (asked or 0) > LONGEST_WAIT:
                return False
            if response.http_request.method in ("POST", "PATCH") and status in UNSURE:
                return status == 503 and asked is not None  # so it was refused for now
            return status == 429 or asked is not None or bool(super().is_retry(settings, response))

        def get_backoff_time(self, settings: dict[str, Any]) -> float:
            """Where no answer asks for a time: one that doubles, drawn at random, so that not all that failed together come together."""
            longest = min(self.backoff_max, self.backoff_factor * 2 ** max(len(settings["history"]) - 1, 0))
            return random.uniform(longest / 2, longest)

    return RetryPolicy(**_RETRIES)


class _RenewToken:
    """A policy of azure-core's pipeline that signs in anew where Azure refuses the token, and sends once more what got a 401: that was
    refused before anything was done. Tokens end early where a clock is wrong or somebody takes them back."""

    next: Any = None

    def __init__(self, credential: credentials.Renewable) -> None:
        self._credential = credential

    async def send(self, request: Any) -> Any:
        response = await self.next.send(request)
        if response.http_response.status_code == 401:
            self._credential.renew(request.http_request.headers.get("Authorization", ""))
            response = await self.next.send(request)
        return response


class _KeepAnswer:
    """A policy of azure-core's pipeline that keeps each call's final answer for who awaits the call."""

    next: Any = None

    async def send(self, request: Any) -> Any:
        response = await self.next.send(request)
        answers = _answers.get()
        if answers is not None:
            answers.append(response.http_response)
        return response


@contextmanager
def _kept() -> Iterator[list[Any]]:
    answers: list[Any] = []
    token = _answers.set(answers)
    try:
        yield answers
    finally:
        _answers.reset(token)


@contextmanager
def _told(asked: str, resource_id: str | None) -> Iterator[None]:
    """Turn what azure-core raises into an AzureError that says what was asked of which resource."""
    from azure.core.exceptions import AzureError as LibraryError

    try:
        yield
    except LibraryError as exc:
        raise from_exception(exc, asked, resource_id) from exc


async def _answer_of(client: Any, asked: str, resource_id: str, url: str) -> Any:
    """The JSON that a GET of the URL gives; raises AzureError for anything but 200."""
    from azure.core.exceptions import HttpResponseError
    from azure.core.rest import HttpRequest

    with _told(asked, resource_id):
        answer = await client.send_request(HttpRequest("GET", url, headers={"Accept": "application/json"}))
        if answer.status_code != 200:
            raise HttpResponseError(response=answer)
        return _wire(answer)


def _wire(answer: Any) -> Any:
    """The answer's JSON; raises the library's DecodeError when it is none, such as a proxy's page."""
    from azure.core.exceptions import DecodeError

    text = answer.text()
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError as exc:
        raise DecodeError(f"The answer is no JSON: {text[:200]}", response=answer, error=exc) from exc


def trust(environ: Mapping[str, str], verify: bool) -> ssl.SSLContext:
    """What every connection trusts, the sign-in's too: the system's authorities, and the file or directory in each of REQUESTS_CA_BUNDLE,
    CURL_CA_BUNDLE and SSL_CERT_FILE that is set; with ``verify`` off, anybody.

    Raises InputError for a variable that names no certificates.
    """
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    for name in _BUNDLES:
        place = environ.get(name)
        if place:
            try:
                context.load_verify_locations(**{"capath" if Path(place).is_dir() else "cafile": place})
            except (OSError, ssl.SSLError) as exc:
                raise InputError(name, place, f"a file of certificates ({exc.strerror or exc})") from exc
    return context


def main(
    module: AnsibleModule, work: Callable[[Azure], Awaitable[dict[str, Any]]], check: Callable[[dict[str, Any]], None] | None = None
) -> None:
    """Run ``work`` with a signed-in Azure and end the module with the dict that it gives, or with the error, as ``msg`` and ``error``.

    ``check`` is given the module's parameters before any request is made: it raises InputError for wrong ones.
    """
    try:
        if check:
            check(module.params)
        result = asyncio.run(_worked(module, work))
    except AzureDRError as exc:
        way_on = " Run this again when the cause is removed." if isinstance(exc, AzureError) and not exc.recommended_action else ""
        module.fail_json(msg=f"{exc}{way_on}", error=exc.as_dict())
    except ImportError as exc:
        if (exc.name or "").partition(".")[0] not in ("azure", "aiohttp"):
            raise
        module.fail_json(msg=missing_required_lib(_library(str(exc.name))), exception=traceback.format_exc())
    else:
        if not module._diff:
            result.pop("diff", None)
        module.exit_json(**result)


def _library(package: str) -> str:
    """The library that a Python package comes in."""
    parts = {"azure": "azure.core", "azure.mgmt": "azure.mgmt.core"}.get(package, package).split(".")
    return "-".join(parts[: 3 if "mgmt" in parts else 2])


async def _worked(module: AnsibleModule, work: Callable[[Azure], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    async with Azure(module.params) as azure:
        for warning in azure.pacer.warnings:
            module.warn(warning)
        minutes = module.params.get("timeout")
        try:
            # Who acts on targets has its own limit, and tells of each. What is read before that can take as long at most.
            async with asyncio.timeout(2 * 60 * minutes + LAST_WORDS if minutes else None):
                return await work(azure)
        except TimeoutError:
            raise TimedOut(f"the work of {module._name}", None, 2 * minutes, None) from None
