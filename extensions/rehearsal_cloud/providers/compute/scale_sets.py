# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Scale sets: their model, read and changed (recorded traffic), and how a change of the model comes to the instances."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...paths import Path
from ...resource_types import Body, ResourceType, merge
from ...timeline import effect
from ..resources import identify, location_required
from . import instances, published, rolling_upgrades, rollouts, scale_set_actions, scale_set_rules
from .extensions import AUTOMATIC_UPGRADE_BY_DEFAULT, cleaned
from .instances import SCALE_SET
from .machines import Locations
from .operations import announce

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response
    from ...operations import Operation

CHANGE_SECONDS = 20.0
"""Recorded traffic: a PUT of the policy took 20.6 s."""


class ScaleSet(ResourceType):
    """Scale sets: a PUT keeps the parts that it does not send, and every change is an operation (recorded traffic)."""

    name = SCALE_SET

    def __init__(self) -> None:
        super().__init__()
        self.views = {"instanceview": self.instance_view, "osupgradehistory": rolling_upgrades.list_history}
        self.actions = {word: scale_set_actions.handler(word) for word in scale_set_actions.SECONDS}
        self.actions["osrollingupgrade"] = rolling_upgrades.starter("image")
        self.actions["extensionrollingupgrade"] = rolling_upgrades.starter("extensions")

    def seed(self, cloud: Cloud, body: Body) -> None:
        body.setdefault("properties", {}).setdefault("provisioningState", "Succeeded")
        super().seed(cloud, without_secrets(body))

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """By group, subscription or region."""
        region = path.name.lower() if path.type.lower() == Locations.name.lower() else ""
        under = f"/subscriptions/{path.subscription}" if region else path.resource_id
        found = [one for one in cloud.store.of_type(SCALE_SET, under) if not region or published.region_of(one["location"]) == region]
        return cloud.page(request, found, self.page)

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        sent = without_secrets(copy.deepcopy(self.content(request)))
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
        return self._change(cloud, request, body, sent, known)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        known = self.require(cloud, path)
        return self._change(cloud, request, known, without_secrets(copy.deepcopy(self.content(request))), known)

    def _change(self, cloud: Cloud, request: Request, body: Body, sent: Body, known: Body | None) -> Response:
        """Merge what is sent into the scale set, if Azure takes it, and begin the operation that brings it about."""
        wanted = copy.deepcopy(body)
        identify(cloud, sent, body)
        merge(wanted, {name: value for name, value in sent.items() if name not in ("id", "name", "type")})
        policy = wanted["properties"].setdefault("upgradePolicy", {"mode": "Manual"})
        if policy.get("mode") == "Rolling":
            policy["rollingUpgradePolicy"] = {**rollouts.POLICY, **(policy.get("rollingUpgradePolicy") or {})}
        complete_extensions(request, wanted, known)
        scale_set_rules.check(wanted, known)
        changed = adopt(cloud, wanted, known)
        wanted["properties"]["provisioningState"] = "Updating" if known else "Creating"
        resized = known is None or instances.capacity(known) != instances.capacity(wanted)
        operation = begin(cloud, request, wanted, CHANGE_SECONDS, changed, resized)
        return announce(cloud, request, operation, wanted, 200 if known else 201, wanted)

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
        """How many instances and extensions are in which state; what an instance has not yet is being created (recorded traffic)."""
        body = self.require(cloud, path)
        members = instances.members(cloud, body)
        states = [str(one["properties"].get("provisioningState", "Succeeded")) for one in members]
        view: Body = {"virtualMachine": {"statusesSummary": _summary(states)}}
        extensions = [
            {"name": one["name"], "statusesSummary": _summary(instances.extension_states(cloud, body, one["name"]))}
            for one in instances.extensions_of_model(body)
        ]
        if extensions:
            view["extensions"] = extensions
        view["statuses"] = [{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}]
        return cloud.answer(200, view)


def adopt(cloud: Cloud, wanted: Body, known: Body | None) -> bool:
    """Make this the scale set's body; whether its instances have to be changed for it. That automatic upgrade of the image is on or off
    reaches the instances by itself, unless the upgrade mode is Manual."""
    members = instances.members(cloud, known) if known else []
    before = {one["id"]: instances.lags(cloud, known, one) for one in members} if known else {}
    same = known is not None and _of_instances(known) == _of_instances(wanted)
    cloud.store.put(wanted["id"], wanted)
    if same and mode(wanted) != "Manual":
        for one in members:
            if not before[one["id"]]:
                cloud.store.private(one["id"])["model"] = instances.model(wanted)
    return known is not None and not same


def begin(cloud: Cloud, request: Request, scale_set: Body, seconds: float, changed: bool, resized: bool = False) -> Operation:
    """The operation of a change: done after `seconds`; with upgrade mode Rolling, when the instances have been changed batch by batch.

    A rolling upgrade that runs gives way to that of the newer model (inferred).
    """
    rolling = mode(scale_set) == "Rolling" and (changed or _lags_at_rest(cloud, scale_set))
    operation = cloud.operations.start(
        cloud,
        request,
        scale_set["id"],
        None if rolling else seconds,
        then="compute.scale_set.settled",
        otherwise="compute.scale_set.failed",
        identifier=scale_set["id"],
        resized=resized,
    )
    if rolling:
        state = scale_set["properties"].get("provisioningState")
        rollouts.cancel(cloud, scale_set)
        scale_set["properties"]["provisioningState"] = state
        rollouts.start_on(cloud, scale_set, "model", operation)
    else:
        (operation.arguments or {}).update(scale_set_actions.faults_of(operation))
    return operation


def _lags_at_rest(cloud: Cloud, scale_set: Body) -> bool:
    """Whether instances lag behind the model, and no rollout runs that would bring them there."""
    members = instances.members(cloud, scale_set)
    return not rollouts.runs(cloud, scale_set) and any(instances.lags(cloud, scale_set, one) for one in members)


def mode(scale_set: Body) -> str:
    return str((scale_set["properties"].get("upgradePolicy") or {}).get("mode") or "Manual")


def complete_extensions(request: Request, wanted: Body, known: Body | None) -> None:
    """The model's extensions as they are kept, with the default that the api-version has for automatic upgrade."""
    before = {one["name"].lower() for one in instances.extensions_of_model(known)} if known else set()
    for one in instances.extensions_of_model(wanted):
        one["properties"] = cleaned(one.get("properties") or {})
        if request.api_version >= AUTOMATIC_UPGRADE_BY_DEFAULT and one["name"].lower() not in before:
            one["properties"].setdefault("enableAutomaticUpgrade", True)


def without_secrets(body: Body) -> Body:
    """The model as it may be kept: no passwords, no protected settings of extensions."""
    profile = (body.get("properties") or {}).get("virtualMachineProfile") or {}
    for name in ("adminPassword", "customData"):
        (profile.get("osProfile") or {}).pop(name, None)
    profile.pop("userData", None)
    for extension in (profile.get("extensionProfile") or {}).get("extensions") or []:
        (extension.get("properties") or {}).pop("protectedSettings", None)
    return body


def _of_instances(scale_set: Body) -> list[Any]:
    return [instances.profile(scale_set), (scale_set.get("sku") or {}).get("name")]


def _summary(states: list[str]) -> list[Body]:
    return [{"code": f"ProvisioningState/{state}", "count": count} for state, count in sorted(Counter(map(str.lower, states)).items())]


@effect("compute.scale_set.settled")
def _settled(
    cloud: Cloud, operation: str, identifier: str, resized: bool, fault: dict[str, Any] | None = None, faulty: list[str] | None = None
) -> None:
    """The change is done: as many instances as wanted, and with upgrade mode Automatic all of the latest model."""
    body = cloud.store.get(identifier)
    if body is None:
        return
    body["properties"]["provisioningState"] = "Succeeded"
    if mode(body) == "Automatic":
        lagging = [one for one in instances.members(cloud, body) if instances.lags(cloud, body, one)]
        scale_set_actions.bring(cloud, body, lagging, operation, fault, faulty)
        ended = cloud.operations.get(operation)
        body["properties"]["provisioningState"] = "Succeeded" if ended is None or ended.succeeded else "Failed"
    if resized:
        instances.resize(cloud, body)
    published.look_later(cloud)


@effect("compute.scale_set.failed")
def _failed(cloud: Cloud, operation: str, identifier: str, **arguments: object) -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        body["properties"]["provisioningState"] = "Failed"


@effect("compute.scale_set.deleted")
def _deleted(cloud: Cloud, operation: str, identifier: str) -> None:
    body = cloud.store.get(identifier)
    for machine in instances.members(cloud, body) if body else []:
        cloud.store.delete(machine["id"])
    cloud.store.delete(identifier)
