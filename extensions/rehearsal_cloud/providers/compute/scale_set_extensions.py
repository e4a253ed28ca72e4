# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Extensions of a scale set's model: each a part of the model, and a resource. What its instances have of it tells its state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from ... import refusals
from ...paths import Path
from ...resource_types import Body, ResourceType, merge
from . import instances, scale_set_rules
from .extensions import cleaned
from .instances import SCALE_SET
from .operations import announce
from .scale_sets import adopt, begin, complete_extensions

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

Bodies = list[Body]

WRITE_SECONDS = 0.2
"""Recorded traffic: the operation is done at once, the instances follow."""
DELETE_SECONDS = 20.0
"""Chosen."""


class ScaleSetExtension(ResourceType):
    """.../virtualMachineScaleSets/<name>/extensions/<name>."""

    name = f"{SCALE_SET}/extensions"

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = _owner(cloud, path)
        return cloud.answer(200, _shown(cloud, scale_set, _require(cloud, scale_set, path)))

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = cloud.types.find(SCALE_SET).require(cloud, path)
        found = [_shown(cloud, scale_set, one) for one in instances.extensions_of_model(scale_set)]
        return cloud.page(request, found, self.page)

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """201 and Succeeded at once, whatever the instances still have to do (recorded traffic)."""
        scale_set = _owner(cloud, path)
        known = _find(scale_set, path)
        given = cleaned(self.content(request).get("properties") or {})
        for name in ("publisher", "type", "typeHandlerVersion"):
            if not given.get(name):
                raise refusals.refuse(400, "InvalidParameter", f"Required parameter '{name}' is missing (null).", target=name)
        body = {"name": known["name"] if known else path.name, "properties": {"autoUpgradeMinorVersion": False, **given}}
        wanted = [body if one is known else one for one in instances.extensions_of_model(scale_set)] + ([] if known else [body])
        return self._write(cloud, request, scale_set, wanted, body, 200 if known else 201)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """201 with a body that tells neither publisher nor type (recorded traffic)."""
        scale_set = _owner(cloud, path)
        known = _require(cloud, scale_set, path)
        body = copy.deepcopy(known)
        merge(body["properties"], cleaned(self.content(request).get("properties") or {}))
        wanted = [body if one is known else one for one in instances.extensions_of_model(scale_set)]
        response = self._write(cloud, request, scale_set, wanted, body, 201)
        for name in ("publisher", "type"):
            response.body["properties"].pop(name, None)
        return response

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        scale_set = cloud.store.get(path.parent_id)
        known = _find(scale_set, path) if scale_set else None
        if scale_set is None or known is None:
            return cloud.answer(204)
        left = [one for one in instances.extensions_of_model(scale_set) if one is not known]
        after = _with(scale_set, left)
        scale_set_rules.check(after, scale_set)
        operation = begin(cloud, request, after, DELETE_SECONDS, adopt(cloud, after, scale_set))
        return announce(cloud, request, operation, after, 202)

    def _write(self, cloud: Cloud, request: Request, scale_set: Body, wanted: Bodies, body: Body, status: int) -> Response:
        after = _with(scale_set, wanted)
        complete_extensions(request, after, scale_set)
        scale_set_rules.check(after, scale_set)
        operation = begin(cloud, request, after, WRITE_SECONDS, adopt(cloud, after, scale_set))
        kept = next(one for one in instances.extensions_of_model(after) if one["name"] == body["name"])
        shown = {**_identity(after, kept), "properties": {"provisioningState": "Succeeded", **kept["properties"]}}
        return announce(cloud, request, operation, after, status, shown)


def _with(scale_set: Body, extensions: list[Body]) -> Body:
    """The scale set with these extensions in its model."""
    after = copy.deepcopy(scale_set)
    after["properties"].setdefault("virtualMachineProfile", {})["extensionProfile"] = {
        **(instances.profile(scale_set).get("extensionProfile") or {}),
        "extensions": copy.deepcopy(extensions),
    }
    return after


def _owner(cloud: Cloud, path: Path) -> Body:
    scale_set = cloud.store.get(path.parent_id)
    if scale_set is None:
        raise refusals.refuse(
            404,
            "ParentResourceNotFound",
            "Failed to perform the request on resource(s) of type 'virtualMachineScaleSets/extensions', because the parent resource "
            f"'{path.parent_id}' could not be found.",
        )
    return scale_set


def _find(scale_set: Body, path: Path) -> Body | None:
    return next((one for one in instances.extensions_of_model(scale_set) if one["name"].lower() == path.name.lower()), None)


def _require(cloud: Cloud, scale_set: Body, path: Path) -> Body:
    found = _find(scale_set, path)
    if found is None:
        raise refusals.refuse(404, "NotFound", f"The entity '{path.name}' was not found in this Azure location.", target=path.name)
    return found


def _identity(scale_set: Body, extension: Body) -> Body:
    return {"name": extension["name"], "id": f"{scale_set['id']}/extensions/{extension['name']}", "type": ScaleSetExtension.name}


def _shown(cloud: Cloud, scale_set: Body, extension: Body) -> Body:
    states = set(instances.extension_states(cloud, scale_set, extension["name"])) or {"Succeeded"}
    worst = next(state for state in ("Failed", "Creating", "Updating", "Deleting", "Succeeded") if state in states)
    return {**_identity(scale_set, extension), "properties": {"provisioningState": worst, **extension["properties"]}}
