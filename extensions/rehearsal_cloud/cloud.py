# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The cloud: one store, one clock, one table of types; one request in, one answer out. It knows nothing of HTTP servers."""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from . import controls, refusals
from .clock import Clock
from .operations import Operations
from .paths import GROUP, SUBSCRIPTION, Path, parse
from .resource_types import Types
from .store import Store
from .timeline import Timeline

if TYPE_CHECKING:
    from .permissions import Permissions


@dataclass
class Request:
    """One request: path as sent (no host, no query), query and headers (lower-case names), the parsed JSON body or None.

    base_url: where the client found us, for links in answers. outcome: how the operation that this request begins shall end,
    when a fault rule says so ({"status", "code", "message", "item", "machine"}); None = well. lifetime: seconds that the token lives
    which it asks for, when a fault rule says so.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    base_url: str = "https://localhost"
    outcome: dict[str, Any] | None = None
    lifetime: float | None = None

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")


@dataclass
class Response:
    """One answer: body is what JSON is made of, or None for an empty one."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Cloud:
    """Azure, small: `handle` answers one request; time passes between requests only.

    extension_seconds: how long writes of extensions take, at least and at most; None: as long as they were seen to take.
    """

    def __init__(self, clock: Clock | None = None, seed: int = 0, extension_seconds: tuple[float, float] | None = None) -> None:
        self.clock = clock or Clock()
        self.extension_seconds = extension_seconds
        self.store = Store()
        self.timeline = Timeline()
        self.operations = Operations()
        self.types = Types()
        self.permissions: Permissions | None = None  # None: everybody may do everything
        self._seed, self._guids = seed, 0

    def guid(self) -> str:
        """A new GUID; the same seed gives the same row of them."""
        self._guids += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"rehearsal:{self._seed}:{self._guids}"))

    def chance(self, *about: str) -> float:
        """A number from 0 to 1 that looks drawn at random; the same seed gives the same one about the same thing."""
        return random.Random(":".join([str(self._seed), *about])).random()

    def seed(self, resources: Iterable[dict[str, Any]]) -> None:
        """Fill the store with the resources of an estate file. Raises ValueError for one without an id."""
        for resource in resources:
            identifier = resource.get("id")
            if not isinstance(identifier, str) or not identifier.startswith("/"):
                raise ValueError(f"a resource of the estate has no id: {str(resource)[:200]}")
            path = parse(identifier)
            body = {"name": path.name, "type": path.type, **copy.deepcopy(resource)}
            self.types.find(path.type).seed(self, body)
            self._seed_scope(identifier, resource.get("location"))

    def _seed_scope(self, identifier: str, location: str | None) -> None:
        """The subscription and the resource group of a resource exist when it does, named in the estate or not."""
        parts = identifier.split("/")
        for length in (3, 5):
            scope = "/".join(parts[:length])
            path = parse(scope)
            if path.type in (SUBSCRIPTION, GROUP) and self.store.get(scope) is None:
                extra = (
                    {"location": location or "eastus"}
                    if path.type == GROUP
                    else {"subscriptionId": path.name, "state": "Enabled", "displayName": path.name}
                )
                self.store.put(
                    scope, {"id": scope, "name": path.name, "type": path.type, **extra, "properties": {"provisioningState": "Succeeded"}}
                )

    def handle(self, request: Request) -> Response:
        """The answer to one request, after all that was due has happened."""
        self.advance()
        try:
            return self.route(request)
        except refusals.Refusal as refusal:
            return Response(refusal.status, refusal.body, dict(refusal.headers))

    def advance(self) -> None:
        """Let all happen that is due by now."""
        moment = self.clock.read()
        self.timeline.run(self, moment)
        self.clock.set(moment)

    def route(self, request: Request) -> Response:
        """The answer to a request at the present moment; raises Refusal.

        A POST to a resource names an action of its collection (jobs/export).
        """
        if controls.meant(request):
            return controls.answer(self, request)
        path = parse(request.path)
        owner = self.types.find(path.type)
        word = (path.word or "").lower()
        if request.method == "POST":
            action = owner.actions.get(word or path.name.lower())
            if action is None:
                raise refusals.refuse(405, "MethodNotAllowed", f"The request method 'POST' is not supported for '{request.path}'.")
            return action(self, request, path)
        if path.word is None:
            if not path.type:
                raise refusals.no_such_path(request.path)
            method = {"GET": owner.get, "HEAD": owner.head, "PUT": owner.put, "PATCH": owner.patch, "DELETE": owner.delete}.get(
                request.method
            )
            if method is None:
                raise refusals.refuse(405, "MethodNotAllowed", f"The request method '{request.method}' is not supported.")
            return method(self, request, path)
        if request.method != "GET":
            raise refusals.refuse(405, "MethodNotAllowed", f"The request method '{request.method}' is not supported for '{request.path}'.")
        view = owner.views.get(word)
        if view is not None:
            return view(self, request, path)
        return self.types.find(path.collection_type).list(self, request, path)

    def changed(self, machine: str) -> None:
        """Say that a machine, or what hangs on it, changed: whether its agent sends data is judged anew, before the next request."""
        self.timeline.put(self.clock.now, "heartbeats.look", identifier=machine)

    def answer(self, status: int, body: Any = None, **headers: str) -> Response:
        """A response whose body is a copy, so that nothing outside changes the store. Header names: underscores for dashes."""
        return Response(status, copy.deepcopy(body), {name.replace("_", "-"): value for name, value in headers.items()})

    def page(self, request: Request, found: list[dict[str, Any]], size: int, last_link: bool = False) -> Response:
        """One page of a list: {"value", "nextLink"}; the last page has no nextLink, or null where `last_link` (as the provider does)."""
        token = request.query.get("$skiptoken") or request.query.get("$skipToken") or request.query.get("skipToken") or "0"
        start = int(token) if token.isdigit() else 0
        body: dict[str, Any] = {"value": found[start : start + size]}
        if start + size < len(found):
            others = {k: v for k, v in request.query.items() if k.lower().lstrip("$") != "skiptoken"}
            body["nextLink"] = f"{request.base_url}{quote(request.path)}?{urlencode(others, safe='$')}&$skipToken={start + size}"
        elif last_link:
            body["nextLink"] = None
        return self.answer(200, body)

    def dump(self) -> dict[str, Any]:
        """All that the cloud is, as JSON."""
        return {
            "now": self.clock.now,
            "guids": self._guids,
            "seed": self._seed,
            "store": self.store.dump(),
            "timeline": self.timeline.dump(),
            "operations": self.operations.dump(),
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Become the cloud that `dump` wrote; its time goes on from there."""
        self.clock = Clock(self.clock.speed, saved["now"])
        self._seed, self._guids = saved["seed"], saved["guids"]
        self.store.load(saved["store"])
        self.timeline.load(saved["timeline"])
        self.operations.load(saved["operations"])


__all__ = ["Cloud", "Path", "Request", "Response"]
