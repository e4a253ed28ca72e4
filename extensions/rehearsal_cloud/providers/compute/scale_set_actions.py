# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is done to instances of a scale set on request: brought to the latest model, switched, reimaged, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import refusals
from ...operations import Operation, outcome_error
from ...paths import Path
from ...resource_types import Body, Handler
from ...timeline import effect
from . import instance_view, instances, published
from .instances import SCALE_SET
from .operations import announce

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

SECONDS = {
    "manualupgrade": 60.0,
    "start": 20.0,
    "restart": 15.0,
    "redeploy": 120.0,
    "reapply": 20.0,
    "reimage": 120.0,
    "reimageall": 120.0,
    "deallocate": 40.0,
    "poweroff": 20.0,
    "performmaintenance": 120.0,
    "delete": 60.0,
}
"""How long the actions take. Chosen, but for the upgrade: the half of a rolling upgrade of two instances (recorded traffic)."""
POWER_AFTER = {
    "start": "running",
    "restart": "running",
    "redeploy": "running",
    "reimage": "running",
    "reimageall": "running",
    "deallocate": "deallocated",
    "poweroff": "stopped",
}
MUST_NAME = ("manualupgrade", "delete")
"""What takes no empty list of instances (API documents)."""


def handler(word: str) -> Handler:
    """POST <scale set>/<word>, for the instances that the body names, else for all."""

    def post(cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = cloud.types.find(SCALE_SET).require(cloud, path)
        named = (request.body or {}).get("instanceIds") if isinstance(request.body, dict) else None
        if word in MUST_NAME and not named:
            raise refusals.refuse(400, "InvalidParameter", "Required parameter 'instanceIds' is missing (null).", target="instanceIds")
        return act(cloud, request, scale_set, instances.chosen(cloud, scale_set, named), word)

    return post


def act(cloud: Cloud, request: Request, scale_set: Body, machines: list[Body], word: str) -> Response:
    """Begin an action on instances; its operation is the scale set's."""
    operation = cloud.operations.start(
        cloud,
        request,
        scale_set["id"],
        SECONDS[word],
        then="compute.scale_set.acted",
        otherwise="compute.scale_set.gave_up",
        identifier=scale_set["id"],
        machines=[one["id"] for one in machines],
        word=word,
    )
    (operation.arguments or {}).update(faults_of(operation))
    for machine in machines:
        machine["properties"]["provisioningState"] = "Deleting" if word == "delete" else "Updating"
    return announce(cloud, request, operation, scale_set, 202)


def faults_of(operation: Operation) -> dict[str, Any]:
    """The fault of an operation that names instances: theirs alone from here on, not the operation's."""
    outcome = operation.outcome or {}
    named = outcome.get("item")
    if not named:
        return {"fault": None, "faulty": []}
    operation.outcome = None
    fault = outcome_error(outcome) or {"code": "VMExtensionProvisioningError", "message": "A fault rule of the rehearsal made it fail."}
    return {"fault": fault, "faulty": [str(name).lower() for name in ([named] if isinstance(named, str) else named)]}


def bring(
    cloud: Cloud,
    scale_set: Body,
    machines: list[Body],
    operation: str,
    fault: dict[str, Any] | None = None,
    faulty: list[str] | None = None,
) -> None:
    """Bring instances to the latest model; the operation that did so has failed when one of them did."""
    problems = {}
    for machine in machines:
        meant = {machine["name"].lower(), str(machine.get("instanceId", "")).lower()} & set(faulty or [])
        problem = instances.bring(cloud, scale_set, machine, fault if meant else None)
        if problem:
            problems[machine["name"]] = problem
    ended = cloud.operations.get(operation)
    if problems and ended is not None:
        name, message = next(iter(problems.items()))
        ended.status = "Failed"
        ended.error = {"code": (fault or {}).get("code", "VMExtensionProvisioningError"), "message": f"{name}: {message}"}


@effect("compute.scale_set.acted")
def _acted(
    cloud: Cloud, operation: str, identifier: str, machines: list[str], word: str, fault: dict[str, Any] | None, faulty: list[str]
) -> None:
    scale_set = cloud.store.get(identifier)
    found = [one for one in map(cloud.store.get, machines) if one is not None]
    if scale_set is None:
        return
    if word == "delete":
        for machine in found:
            cloud.store.delete(machine["id"])
        if scale_set.get("sku"):
            scale_set["sku"]["capacity"] = max(0, instances.capacity(scale_set) - len(found))
        return
    for machine in found:
        machine["properties"]["provisioningState"] = "Succeeded"
        if word in POWER_AFTER:
            instance_view.set_power(cloud, machine["id"], POWER_AFTER[word])
    if word in ("manualupgrade", "reimage", "reimageall"):
        bring(cloud, scale_set, found, operation, fault, faulty)
    if word.startswith("reimage"):
        for machine in found:
            instances.set_image(machine, published.newest_image(cloud, scale_set, instances.image_of(machine)))
    published.look_later(cloud)


@effect("compute.scale_set.gave_up")
def _gave_up(cloud: Cloud, operation: str, identifier: str, machines: list[str], **arguments: object) -> None:
    for machine in filter(None, map(cloud.store.get, machines)):
        machine["properties"]["provisioningState"] = "Failed"
