# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Rolling upgrades of scale sets as they are asked for and shown: start, latest, cancel, history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import refusals
from ...clock import compute_time
from ...paths import Path
from ...resource_types import Body, Handler, ResourceType
from . import instances, rollouts
from .instances import SCALE_SET
from .operations import announce

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

ROLLING_UPGRADE = f"{SCALE_SET}/rollingUpgrades"
CANCEL_SECONDS = 20.0
"""Chosen."""
MONTHS = 60 * 86400
"""How long an upgrade stays in the history: two months (Microsoft Learn)."""


class RollingUpgrades(ResourceType):
    """GET rollingUpgrades/latest and POST rollingUpgrades/cancel."""

    name = ROLLING_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"cancel": self.cancel}

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = _owner(cloud, path)
        rollout = rollouts.of(cloud, scale_set)
        if path.name.lower() != "latest" or rollout is None:
            raise refusals.refuse(404, "NotFound", "The entity was not found in this Azure location.")
        return cloud.answer(200, shown(scale_set, rollout))

    def cancel(self, cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = _owner(cloud, path)
        if not rollouts.runs(cloud, scale_set):
            raise refusals.refuse(409, "OperationNotAllowed", "There is no ongoing Rolling Upgrade to cancel.")
        rollouts.cancel(cloud, scale_set)
        return announce(cloud, request, cloud.operations.start(cloud, request, scale_set["id"], CANCEL_SECONDS), scale_set, 202)


def starter(kind: str) -> Handler:
    """POST osRollingUpgrade ("image"), extensionRollingUpgrade ("extensions"): refused where no image can move, or while another runs."""

    def start(cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = cloud.types.find(SCALE_SET).require(cloud, path)
        reference = (instances.profile(scale_set).get("storageProfile") or {}).get("imageReference") or {}
        gallery = "/galleries/" in str(reference.get("id") or "").lower()
        if kind == "image" and not (reference.get("publisher") or gallery):
            raise refusals.refuse(
                409,
                "OperationNotAllowed",
                "The OS Rolling Upgrade API cannot be used on a VM Scale Set unless the VM Scale Set is using a Platform Image or a Shared "
                "Gallery Image. Select the OS by setting imageReference.",
            )
        if rollouts.runs(cloud, scale_set):
            raise refusals.refuse(409, "OperationNotAllowed", f"A Rolling Upgrade is in progress on '{scale_set['name']}'.")
        operation = cloud.operations.start(cloud, request, scale_set["id"], None)
        rollouts.start_on(cloud, scale_set, kind, operation)
        return announce(cloud, request, operation, scale_set, 202)

    return start


def list_history(cloud: Cloud, request: Request, path: Path) -> Response:
    """GET osUpgradeHistory."""
    return cloud.answer(200, {"value": history(cloud, cloud.types.find(SCALE_SET).require(cloud, path))})


def _owner(cloud: Cloud, path: Path) -> Body:
    owner = Path(path.parent_id, SCALE_SET, path.parent_id.rsplit("/", 1)[-1], None, path.scope)
    return cloud.types.find(SCALE_SET).require(cloud, owner)


def shown(scale_set: Body, rollout: rollouts.Rollout) -> Body:
    """A rollout as rollingUpgrades/latest shows it (recorded traffic): neither id nor name, no end."""
    return {
        "type": ROLLING_UPGRADE,
        "location": scale_set["location"],
        "properties": {
            "policy": rollout["policy"],
            "runningStatus": {
                "lastAction": rollout["action"],
                "lastActionTime": compute_time(rollout["acted"]),
                "code": rollout["code"],
                "startTime": compute_time(rollout["started"]),
            },
            "progress": _progress(rollout),
        }
        | ({"error": rollout["error"]} if rollout["error"] else {}),
    }


def history(cloud: Cloud, scale_set: Body) -> list[Body]:
    """The upgrades of the image, newest first, one that runs included."""
    rollout = rollouts.of(cloud, scale_set)
    running = [rollout] if rollout and rollout["kind"] == "image" and rollout["code"] == rollouts.RUNNING else []
    found = [*running, *cloud.store.private(scale_set["id"]).get("history", [])]
    recent = [one for one in found if one["started"] >= cloud.clock.now - MONTHS]
    return [_history_entry(scale_set, one) for one in recent[: rollouts.HISTORY]]


def _history_entry(scale_set: Body, rollout: rollouts.Rollout) -> Body:
    status = {"code": rollout["code"], "startTime": compute_time(rollout["started"])}
    if "ended" in rollout:
        status["endTime"] = compute_time(rollout["ended"])
    reference = (instances.profile(scale_set).get("storageProfile") or {}).get("imageReference") or {}
    properties: Body = {
        "runningStatus": status,
        "progress": _progress(rollout),
        "startedBy": rollout["by"],
        "targetImageReference": {**reference, "exactVersion": rollout["image"]},
    }
    if rollout["error"]:
        properties["error"] = rollout["error"]
    if rollout["rolled_back"] or rollout["not_rolled_back"]:
        properties["rollbackInfo"] = {
            "successfullyRolledbackInstanceCount": rollout["rolled_back"],
            "failedRolledbackInstanceCount": rollout["not_rolled_back"],
        }
    return {"properties": properties, "type": ROLLING_UPGRADE, "location": scale_set["location"]}


def _progress(rollout: rollouts.Rollout) -> Body:
    return {
        "successfulInstanceCount": len(rollout["done"]),
        "failedInstanceCount": len(rollout["failed"]),
        "inProgressInstanceCount": len(rollout["current"]),
        "pendingInstanceCount": len(rollout["pending"]),
    }
