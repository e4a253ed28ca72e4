# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the platform upgrades by itself once something newer is published, and the control that publishes.

POST /rehearsal/publish {"extension": {"publisher", "type", "version"}} or {"image": {"publisher", "offer", "sku", "version"}}, with
"locations": [...] where not everywhere. A gallery's image version is published as on Azure, by a PUT.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ...controls import control
from ...paths import SUBSCRIPTION, key
from ...resource_types import Body
from ...timeline import effect
from . import health, instance_view, instances, published, rollouts
from .instance_view import EXTENSION, MACHINE
from .instances import SCALE_SET

if TYPE_CHECKING:
    from ...cloud import Cloud

PARTS = {"extension": ("publisher", "type", "version"), "image": ("publisher", "offer", "sku", "version")}


@control("publish")
def _publish(cloud: Cloud, body: dict[str, Any]) -> dict[str, Any]:
    """Publish a version in every subscription; the answer tells the ids."""
    kinds = [kind for kind in PARTS if kind in body]
    if len(kinds) != 1:
        raise ValueError("a control to publish takes one of extension and image")
    kind, given = kinds[0], body[kinds[0]]
    if not isinstance(given, dict) or not all(isinstance(given.get(part), str) and given[part] for part in PARTS[kind]):
        raise ValueError(f"{kind} is {given!r}, not an object with {', '.join(PARTS[kind])}")
    if not re.fullmatch(r"\d+(\.\d+)*", given["version"]):
        raise ValueError(f"version is {given['version']!r}, not numbers with dots between them, such as 1.31.0")
    regions = body.get("locations")
    if regions is not None and not (isinstance(regions, list) and regions and all(isinstance(one, str) for one in regions)):
        raise ValueError(f"locations is {regions!r}, not a list of regions")
    for scale_set in cloud.store.of_type(SCALE_SET):
        instances.members(cloud, scale_set)  # those that are made at first sight have what was the newest until now
    owners = [*cloud.store.of_type(MACHINE), *cloud.store.of_type(SCALE_SET)]
    regions = regions or sorted({published.region_of(str(one.get("location", ""))) for one in owners})
    made = []
    for subscription in cloud.store.of_type(SUBSCRIPTION):
        name = subscription["id"].split("/")[2]
        for region in regions:
            if kind == "extension":
                identifier = published.extension_id(name, region, given["publisher"], given["type"], given["version"])
                level = published.EXTENSION_VERSION
            else:
                identifier = published.image_id(name, region, given, given["version"])
                level = published.IMAGE_VERSION
            cloud.store.put(identifier, {"id": identifier, "name": given["version"], "type": level, "properties": {}})
            made.append(identifier)
    published.look_later(cloud)
    return {"published": made}


@effect("compute.rollouts.consider")
def _consider(cloud: Cloud) -> None:
    """Begin what is due: on a scale set its image first, then its extensions; the extensions of single machines region by region."""
    cloud.store.private("/rehearsal/rollouts")["due"] = False
    for scale_set in cloud.store.of_type(SCALE_SET):
        if not rollouts.runs(cloud, scale_set):
            _consider_scale_set(cloud, scale_set)
    for (place, handler), members in _enrolled(cloud).items():
        rollout = cloud.store.private(place).get("rollout")
        if not (rollout and rollout["code"] == rollouts.RUNNING):
            wanting = [one for one in members if rollouts.outdated(cloud, one, True, handler)]
            target = rollouts.target_of(cloud, {"kind": "extensions", "by": "Platform", "handler": handler}, wanting)
            if wanting and cloud.store.private(place).get("given_up") != target:
                rollouts.start_on_machines(cloud, place, handler, members, wanting)


def _consider_scale_set(cloud: Cloud, scale_set: Body) -> None:
    policy = (scale_set["properties"].get("upgradePolicy") or {}).get("automaticOSUpgradePolicy") or {}
    reference = (instances.profile(scale_set).get("storageProfile") or {}).get("imageReference") or {}
    follows = policy.get("enableAutomaticOSUpgrade") is True and published.follows_latest(reference)
    if not (follows and rollouts.start_if_due(cloud, scale_set, "image")):
        rollouts.start_if_due(cloud, scale_set, "extensions")


def _enrolled(cloud: Cloud) -> dict[tuple[str, str], list[Body]]:
    """The single machines that can be upgraded now, by the place of their rollout and their extension's publisher and type."""
    found: defaultdict[tuple[str, str], list[Body]] = defaultdict(list)
    machines = {
        key(one["id"]): one
        for one in cloud.store.of_type(MACHINE)
        if not health.scale_set_of(one) and instance_view.agent_ready(cloud, one["id"])
    }
    for extension in cloud.store.of_type(EXTENSION):
        machine = machines.get(key(extension["id"]).rpartition("/extensions/")[0])
        if machine is not None and extension["properties"].get("enableAutomaticUpgrade") is True:
            handler, region = instance_view.handler_type(extension).lower(), published.region_of(machine["location"])
            place = f"/subscriptions/{published.subscription_of(machine)}/providers/Microsoft.Compute/locations/{region}/rollouts/{handler}"
            found[place, handler].append(machine)
    return found
