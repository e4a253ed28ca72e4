# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Scale sets: read, changed, and upgraded image by image (recorded traffic)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from ... import refusals
from ...clock import compute_time
from ...paths import Path
from ...resource_types import Body, Handler, ResourceType, merge
from ...timeline import effect
from ..resources import identify, location_required
from .operations import announce

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets"
CHANGE_SECONDS = 20.0
"""Recorded traffic: a PUT of the policy took 20.6 s."""
UPGRADE_SECONDS = 120.0
"""Recorded traffic: the upgrade of two instances took 121 s."""
POLICY = {
    "maxBatchInstancePercent": 20,
    "maxUnhealthyInstancePercent": 20,
    "maxUnhealthyUpgradedInstancePercent": 20,
    "pauseTimeBetweenBatches": "PT0S",
}
"""What a rolling upgrade goes by when the scale set names nothing (recorded traffic)."""


class ScaleSet(ResourceType):
    """Scale sets: a PUT keeps the parts that it does not send, and every change is an operation (recorded traffic)."""

    name = SCALE_SET

    def __init__(self) -> None:
        super().__init__()
        self.views = {"instanceview": self.instance_view}
        upgrades = ("osrollingupgrade", "extensionrollingupgrade")
        plain = ("manualupgrade", "start", "restart", "redeploy", "deallocate", "poweroff", "reimage", "reimageall", "delete", "reapply")
        self.actions = {word: _action(word in upgrades) for word in (*upgrades, *plain)}

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        sent = _without_secrets(copy.deepcopy(self.content(request)))
        if not sent.get("location"):
            raise location_required()
        known = cloud.store.get(path.resource_id)
        body: Body = known or {
            "name": path.name,
            "id": path.resource_id,
            "type": self.name,
            "location": sent["location"],
            "properties": {
                "singlePlacementGroup": True,
                "overprovision": True,
                "doNotRunExtensionsOnOverprovisionedVMs": False,
                "uniqueId": cloud.guid(),
            },
        }
        return self._change(cloud, request, body, sent, 200 if known else 201)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        return self._change(cloud, request, self.require(cloud, path), _without_secrets(copy.deepcopy(self.content(request))), 200)

    def _change(self, cloud: Cloud, request: Request, body: Body, sent: Body, status: int) -> Response:
        identify(cloud, sent, body)
        merge(body, {name: value for name, value in sent.items() if name not in ("id", "name", "type")})
        policy = body["properties"].setdefault("upgradePolicy", {"mode": "Manual"})
        if policy.get("mode") == "Rolling":
            policy["rollingUpgradePolicy"] = {**POLICY, **(policy.get("rollingUpgradePolicy") or {})}
        body["properties"]["provisioningState"] = "Updating" if status == 200 else "Creating"
        cloud.store.put(body["id"], body)
        operation = cloud.operations.start(
            cloud,
            request,
            body["id"],
            CHANGE_SECONDS,
            then="compute.scale_set.settled",
            otherwise="compute.scale_set.failed",
            identifier=body["id"],
        )
        return announce(cloud, request, operation, body, status, body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.store.get(path.resource_id)
        if body is None:
            return cloud.answer(204)
        body["properties"]["provisioningState"] = "Deleting"
        operation = cloud.operations.start(
            cloud,
            request,
            body["id"],
            CHANGE_SECONDS,
            then="compute.scale_set.deleted",
            otherwise="compute.scale_set.failed",
            identifier=body["id"],
        )
        return announce(cloud, request, operation, body, 202)

    def instance_view(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        return cloud.answer(
            200,
            {
                "virtualMachine": {"statusesSummary": [{"code": "ProvisioningState/succeeded", "count": _capacity(body)}]},
                "statuses": [{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}],
            },
        )


class RollingUpgrades(ResourceType):
    """GET rollingUpgrades/latest and POST rollingUpgrades/cancel."""

    name = "Microsoft.Compute/virtualMachineScaleSets/rollingUpgrades"

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"cancel": self.cancel}

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        cloud.types.find(SCALE_SET).require(cloud, _owner(path))
        latest = cloud.store.private(path.parent_id).get("upgrade")
        if path.name.lower() != "latest" or latest is None:
            raise refusals.refuse(404, "NotFound", "The entity was not found in this Azure location.")
        return cloud.answer(200, latest)

    def cancel(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.types.find(SCALE_SET).require(cloud, _owner(path))
        running = [operation for operation in cloud.operations.running(body["id"]) if operation.then == "compute.scale_set.upgraded"]
        if not running:
            raise refusals.refuse(409, "OperationNotAllowed", "There is no ongoing Rolling Upgrade to cancel.")
        for upgrade in running:
            cloud.operations.finish(cloud, upgrade, "Canceled")
            _progress(cloud, body, "Cancelled", "Cancel", done=False)
        operation = cloud.operations.start(cloud, request, body["id"], CHANGE_SECONDS)
        return announce(cloud, request, operation, body, 202)


def _owner(path: Path) -> Path:
    return Path(path.parent_id, SCALE_SET, path.parent_id.rsplit("/", 1)[-1], None, path.scope)


def _action(upgrade: bool) -> Handler:
    def act(cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.types.find(SCALE_SET).require(cloud, path)
        if upgrade:
            _progress(cloud, body, "RollingForward", "Start", done=False)
        then = "compute.scale_set.upgraded" if upgrade else "compute.scale_set.settled"
        seconds = UPGRADE_SECONDS if upgrade else CHANGE_SECONDS
        operation = cloud.operations.start(cloud, request, body["id"], seconds, then=then, identifier=body["id"])
        return announce(cloud, request, operation, body, 202)

    return act


def _progress(cloud: Cloud, body: Body, code: str, action: str, done: bool) -> None:
    private = cloud.store.private(body["id"])
    now = compute_time(cloud.clock.now)
    before = private.get("upgrade", {}).get("properties", {}).get("runningStatus", {})
    started = before.get("startTime", now) if action != "Start" or done else now
    acted = before.get("lastActionTime", now) if done else now
    count = _capacity(body)
    policy = body["properties"].get("upgradePolicy", {}).get("rollingUpgradePolicy", {})
    private["upgrade"] = {
        "type": RollingUpgrades.name,
        "location": body["location"],
        "properties": {
            "policy": {**POLICY, **policy},
            "runningStatus": {"lastAction": action, "lastActionTime": acted, "code": code, "startTime": started},
            "progress": {
                "successfulInstanceCount": count if done else 0,
                "failedInstanceCount": 0,
                "inProgressInstanceCount": 0,
                "pendingInstanceCount": 0 if done else count,
            },
        },
    }


def _capacity(body: Body) -> int:
    return int((body.get("sku") or {}).get("capacity") or 0)


def _without_secrets(body: Body) -> Body:
    """The model as it may be kept: no passwords, no protected settings of extensions."""
    profile = (body.get("properties") or {}).get("virtualMachineProfile") or {}
    for name in ("adminPassword", "customData"):
        (profile.get("osProfile") or {}).pop(name, None)
    for extension in (profile.get("extensionProfile") or {}).get("extensions") or []:
        (extension.get("properties") or {}).pop("protectedSettings", None)
    return body


def _settle(cloud: Cloud, identifier: str, state: str) -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        body["properties"]["provisioningState"] = state


@effect("compute.scale_set.settled")
def _settled(cloud: Cloud, operation: str, identifier: str) -> None:
    _settle(cloud, identifier, "Succeeded")


@effect("compute.scale_set.failed")
def _failed(cloud: Cloud, operation: str, identifier: str) -> None:
    _settle(cloud, identifier, "Failed")


@effect("compute.scale_set.deleted")
def _deleted(cloud: Cloud, operation: str, identifier: str) -> None:
    cloud.store.delete(identifier)


@effect("compute.scale_set.upgraded")
def _upgraded(cloud: Cloud, operation: str, identifier: str) -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        _progress(cloud, body, "Completed", "Start", done=True)
