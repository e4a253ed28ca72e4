# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Instances of Uniform scale sets as resources, and the extensions of one instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ... import refusals
from ...paths import Path, parse
from ...resource_types import Body, Handler, ResourceType
from . import health, instances
from . import scale_set_actions as actions
from .extensions import Extension
from .instances import INSTANCE, INSTANCE_EXTENSION, SCALE_SET

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response


class Instance(ResourceType):
    """Instances of Uniform scale sets (API documents)."""

    name = INSTANCE

    def __init__(self) -> None:
        super().__init__()
        self.views = {"instanceview": self.instance_view}
        self.actions = {word: _action(word) for word in actions.SECONDS if word != "delete"}

    def seed(self, cloud: Cloud, body: Body) -> None:
        """Take an instance as a GET gave it: what the cloud itself knows is kept aside."""
        properties = body.setdefault("properties", {})
        view = properties.pop("instanceView", None)
        body.pop("resources", None)
        body.setdefault("instanceId", parse(body["id"]).name)
        body["type"] = self.name
        if view:
            cloud.store.private(body["id"])["view"] = view
        if properties.pop("latestModelApplied", True) is False:
            cloud.store.private(body["id"])["model"] = "an earlier one"
        super().seed(cloud, body)

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        return instances.shown(cloud, request, body)

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """The instances of a scale set, those of a Flexible one as the machines that they are (inferred)."""
        owner = cloud.types.find(SCALE_SET).require(cloud, path)
        return cloud.page(request, [instances.shown(cloud, request, one) for one in instances.members(cloud, owner)], self.page)

    def require(self, cloud: Cloud, path: Path) -> Body:
        owner = cloud.store.get(path.parent_id)
        if owner is not None:
            instances.members(cloud, owner)
        body = cloud.store.get(path.resource_id)
        if body is None:
            raise refusals.not_found(cloud, path) if owner is None else instances.not_active(path.name)
        return body

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        owner = cloud.store.get(path.parent_id)
        if owner is not None:
            instances.members(cloud, owner)
        body = cloud.store.get(path.resource_id)
        if owner is None or body is None:
            return cloud.answer(204)
        return actions.act(cloud, request, owner, [body], "delete")

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        raise refusals.refuse(405, "MethodNotAllowed", f"The request method '{request.method}' is not supported by this rehearsal.")

    patch = put

    def instance_view(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        return cloud.answer(200, health.machine_view(cloud, body, instances.extensions_of(cloud, body)))


class InstanceExtension(Extension):
    """The extensions of one instance: those of VMs, without a location (API documents)."""

    name = INSTANCE_EXTENSION
    has_location: ClassVar[bool] = False


def _action(word: str) -> Handler:
    def handler(cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.types.find(INSTANCE).require(cloud, path)
        return actions.act(cloud, request, cloud.store.get(path.parent_id) or {}, [body], word)

    return handler
