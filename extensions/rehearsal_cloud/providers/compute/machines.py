# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Virtual machines."""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from ...clock import compute_time
from ...operations import Operation
from ...paths import Path, key, parse
from ...resource_types import Body, Handler, ResourceType, merge
from ...timeline import effect
from ..resources import identify, location_required
from . import health, instance_view, published, quotas
from .extensions import busy
from .instance_view import EXTENSION, MACHINE
from .operations import announce

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

SECONDS = {"put": 60.0, "patch": 10.0, "delete": 60.0}
ACTION_SECONDS = {
    "start": 20.0,
    "restart": 15.0,
    "redeploy": 120.0,
    "reapply": 20.0,
    "reimage": 120.0,
    "deallocate": 40.0,
    "poweroff": 20.0,
    "performmaintenance": 120.0,
    "assesspatches": 60.0,
    "installpatches": 600.0,
}
"""How long the operations take. Chosen: none of them was recorded."""
POWER_AFTER = {
    "start": "running",
    "restart": "running",
    "redeploy": "running",
    "reimage": "running",
    "deallocate": "deallocated",
    "poweroff": "stopped",
}
_SCALE_SET = re.compile(r"'?virtualMachineScaleSet/id'?\s+eq\s+'?([^'\s]+)", re.I)
_WRITE_ONLY = {"osProfile": ("adminPassword", "customData")}


class Machine(ResourceType):
    """Virtual machines, with their extensions in `resources` and their instance view where it is asked for."""

    name = MACHINE

    def __init__(self) -> None:
        super().__init__()
        self.views = {"instanceview": self.instance_view}
        self.actions = {word: _action(word, seconds) for word, seconds in ACTION_SECONDS.items()}

    def seed(self, cloud: Cloud, body: Body) -> None:
        """Take a VM as a GET gave it: its instance view is kept aside, its extensions become resources if they are not there yet."""
        view = body.setdefault("properties", {}).pop("instanceView", None)
        _forget_secrets(body)
        if view:
            cloud.store.private(body["id"])["view"] = view
        for extension in body.pop("resources", None) or []:
            if extension.get("id") and extension.get("properties") and cloud.store.get(extension["id"]) is None:
                path = parse(extension["id"])
                given = {"name": path.name, "type": EXTENSION, "location": body.get("location"), **extension}
                cloud.types.find(EXTENSION).seed(cloud, given)
        super().seed(cloud, body)

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        expand = "instanceview" in request.query.get("$expand", "").lower()
        return _shown(cloud, body, cloud.store.parts(EXTENSION, body["id"]), expand)

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """By group, subscription or region, or of a scale set; statusOnly=true or $expand=instanceView gives the instance views too.

        An element's `resources` have their ids only, as in the CLI's lists.
        """
        region = path.name.lower() if path.type.lower() == Locations.name.lower() else ""
        under = f"/subscriptions/{path.subscription}" if region else path.resource_id
        expand = "instanceview" in request.query.get("$expand", "").lower() or request.query.get("statusOnly", "").lower() == "true"
        extensions: defaultdict[str, list[Body]] = defaultdict(list)
        for extension in cloud.store.of_type(EXTENSION, under):
            extensions[key(parse(extension["id"]).parent_id)].append(extension)
        owner = _SCALE_SET.search(request.query.get("$filter", ""))
        found = []
        for body in cloud.store.of_type(MACHINE, under):
            if owner and key(health.scale_set_of(body)) != key(owner[1]):
                continue
            if not region or str(body.get("location", "")).lower() == region:
                shown = _shown(cloud, body, extensions[key(body["id"])], expand)
                if "resources" in shown:
                    shown["resources"] = [{"id": extension["id"]} for extension in shown["resources"]]
                found.append(shown)
        return cloud.page(request, found, self.page)

    def instance_view(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        return cloud.answer(200, health.machine_view(cloud, body, cloud.store.parts(EXTENSION, body["id"])))

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Create or replace; what Azure adds (vmId, managed disks) is added, secrets are dropped."""
        sent = copy.deepcopy(self.content(request))
        if not sent.get("location"):
            raise location_required()
        known = cloud.store.get(path.resource_id)
        if known:
            busy(cloud, known)
        sent.pop("resources", None)
        (sent.get("properties") or {}).pop("instanceView", None)
        body = {**sent, "name": known["name"] if known else path.name, "id": known["id"] if known else path.resource_id, "type": self.name}
        before = known["properties"] if known else {"vmId": cloud.guid(), "timeCreated": compute_time(cloud.clock.now)}
        body["properties"] = {**before, **(sent.get("properties") or {}), "provisioningState": "Updating" if known else "Creating"}
        _forget_secrets(body)
        _name_disks(body)
        identify(cloud, body, known)
        cloud.store.put(path.resource_id, body)
        operation = _begin(cloud, request, body, SECONDS["put"], "compute.machine.settled", created=known is None)
        return announce(cloud, request, operation, body, 200 if known else 201, self.show(cloud, request, body))

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        busy(cloud, body)
        sent = copy.deepcopy(self.content(request))
        if "tags" in sent:
            body["tags"] = sent.pop("tags") or {}
        merge(body, {name: value for name, value in sent.items() if name in ("properties", "identity", "zones", "plan")})
        _forget_secrets(body)
        identify(cloud, body)
        body["properties"]["provisioningState"] = "Updating"
        operation = _begin(cloud, request, body, SECONDS["patch"], "compute.machine.settled", created=False)
        return announce(cloud, request, operation, body, 200, self.show(cloud, request, body))

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.store.get(path.resource_id)
        if body is None:
            return cloud.answer(204)
        busy(cloud, body)
        body["properties"]["provisioningState"] = "Deleting"
        operation = _begin(cloud, request, body, SECONDS["delete"], "compute.machine.deleted")
        return announce(cloud, request, operation, body, 202)


class Locations(ResourceType):
    """GET .../locations/{region}/virtualMachines, the same for scale sets, and .../usages."""

    name = "Microsoft.Compute/locations"

    def __init__(self) -> None:
        super().__init__()
        self.views = {kind.rpartition("/")[2].lower(): _lister(kind) for kind in (MACHINE, "Microsoft.Compute/virtualMachineScaleSets")}
        self.views["usages"] = quotas.usages


def _lister(kind: str) -> Handler:
    return lambda cloud, request, path: cloud.types.find(kind).list(cloud, request, path)


def _action(word: str, seconds: float) -> Handler:
    def act(cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.types.find(MACHINE).require(cloud, path)
        busy(cloud, body)
        operation = _begin(cloud, request, body, seconds, "compute.machine.powered", None, state=POWER_AFTER.get(word))
        return announce(cloud, request, operation, body, 202)

    return act


def _begin(
    cloud: Cloud,
    request: Request,
    body: Body,
    seconds: float,
    then: str,
    otherwise: str | None = "compute.machine.failed",
    **arguments: object,
) -> Operation:
    operation = cloud.operations.start(
        cloud, request, body["id"], seconds, then=then, otherwise=otherwise, identifier=body["id"], **arguments
    )
    cloud.store.private(body["id"])["operation"] = operation.name
    return operation


def _shown(cloud: Cloud, body: Body, extensions: list[Body], expand: bool) -> Body:
    shown = {**body, "resources": extensions} if extensions else dict(body)
    if expand:
        shown["properties"] = {**body["properties"], "instanceView": health.machine_view(cloud, body, extensions)}
    return shown


def _forget_secrets(body: Body) -> None:
    for part, names in _WRITE_ONLY.items():
        for name in names:
            (body["properties"].get(part) or {}).pop(name, None)
    body["properties"].pop("userData", None)


def _name_disks(body: Body) -> None:
    group = body["id"].split("/providers/")[0]
    storage = body["properties"].get("storageProfile") or {}
    for number, disk in enumerate([storage.get("osDisk") or {}, *(storage.get("dataDisks") or [])], start=1):
        if disk:
            disk.setdefault("name", f"{body['name']}_disk{number}")
            disk.setdefault("managedDisk", {}).setdefault("id", f"{group}/providers/Microsoft.Compute/disks/{disk['name']}")


@effect("compute.machine.settled")
def _settled(cloud: Cloud, operation: str, identifier: str, created: bool) -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        body["properties"]["provisioningState"] = "Succeeded"
    if created:
        cloud.store.private(identifier).update(power="running")
    cloud.changed(identifier)


@effect("compute.machine.failed")
def _failed(cloud: Cloud, operation: str, identifier: str, **arguments: object) -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        body["properties"]["provisioningState"] = "Failed"


@effect("compute.machine.deleted")
def _deleted(cloud: Cloud, operation: str, identifier: str) -> None:
    cloud.store.delete(identifier)
    cloud.changed(identifier)


@effect("compute.machine.powered")
def _powered(cloud: Cloud, operation: str, identifier: str, state: str | None) -> None:
    if state and cloud.store.get(identifier) is not None:
        instance_view.set_power(cloud, identifier, state)
        published.look_later(cloud)
