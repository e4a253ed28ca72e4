# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Resource types: what each does with a request. The base class is any type at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from . import refusals
from .paths import Path

if TYPE_CHECKING:
    from .cloud import Cloud, Request, Response

Body = dict[str, Any]
Handler = Callable[["Cloud", "Request", Path], "Response"]


class ResourceType:
    """A type of resource and its behaviour; this base keeps what it is given and answers at once, as any simple type does.

    name:    the type, e.g. "Microsoft.Compute/virtualMachines"; a first segment "*" matches any parent ("*/operationresults")
    views:   GET <resource>/<word> -> handler, by lower-case word ("instanceview"); before a collection of that name is listed
    actions: POST <resource>/<word> -> handler, by lower-case word ("testfailover")
    page:    how many resources a page of a list holds
    """

    name: ClassVar[str] = "*"
    page: ClassVar[int] = 100

    def __init__(self) -> None:
        self.views: dict[str, Handler] = {}
        self.actions: dict[str, Handler] = {}

    def seed(self, cloud: Cloud, body: Body) -> None:
        """Take a resource of an estate file into the store (override to keep parts of it elsewhere)."""
        cloud.store.put(body["id"], body)

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        """A resource as a GET answers it."""
        return body

    def show_in_list(self, cloud: Cloud, request: Request, body: Body) -> Body:
        """A resource as an element of a list."""
        return self.show(cloud, request, body)

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        return cloud.answer(200, self.show(cloud, request, self.require(cloud, path)))

    def head(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Is it there? 204 or 404, both empty (Azure API document, resource groups)."""
        return cloud.answer(404 if cloud.store.get(path.resource_id) is None else 204)

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        found = cloud.store.of_type(path.collection_type, path.resource_id)
        return cloud.page(request, [self.show_in_list(cloud, request, body) for body in found], self.page)

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        known = cloud.store.get(path.resource_id)
        body = {**self.content(request), "id": known["id"] if known else path.resource_id, "name": path.name, "type": path.type}
        body.setdefault("properties", {})["provisioningState"] = "Succeeded"
        cloud.store.put(path.resource_id, body)
        return cloud.answer(200 if known else 201, self.show(cloud, request, body))

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        merge(self.require(cloud, path), self.content(request))
        return self.get(cloud, request, path)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        known = cloud.store.get(path.resource_id)
        cloud.store.delete(path.resource_id)
        return cloud.answer(200 if known else 204)

    def require(self, cloud: Cloud, path: Path) -> Body:
        """The resource that the path names; raises Refusal (404, as this provider words it) when there is none."""
        body = cloud.store.get(path.resource_id)
        if body is None:
            raise self.missing(cloud, path)
        return body

    def missing(self, cloud: Cloud, path: Path) -> refusals.Refusal:
        return refusals.not_found(cloud, path)

    def content(self, request: Request) -> Body:
        """The request's body, an object; raises Refusal (400) when it is something else."""
        if not isinstance(request.body, dict):
            raise refusals.refuse(400, "InvalidRequestContent", "The request content was invalid and could not be deserialized.")
        return request.body


def merge(into: Body, changes: Body) -> None:
    """A merge patch: objects key by key, everything else replaced."""
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


class Types:
    """The table of resource types."""

    def __init__(self) -> None:
        self._exact: dict[str, ResourceType] = {}
        self._ending: dict[str, ResourceType] = {}
        self._any = ResourceType()

    def add(self, *types: ResourceType) -> None:
        for one in types:
            first, _slash, rest = one.name.lower().partition("/")
            if first == "*":
                self._ending[rest] = one
            else:
                self._exact[one.name.lower()] = one

    def find(self, kind: str) -> ResourceType:
        kind = kind.lower()
        return self._exact.get(kind) or self._ending.get(kind.rsplit("/", 1)[-1]) or self._any
