# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Instances of scale sets: resources below a Uniform one, virtual machines that refer to a Flexible one.

Each has a model that was applied to it, which lags behind the scale set's until something brings it there. In its private part:
  model    the fingerprint of the model that was applied
  changed  when an upgrade changed it last
An extension keeps there: version (what is installed), of_model (whether it came with the scale set's model).
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from ... import refusals
from ...clock import compute_time
from ...paths import key
from ...resource_types import Body
from . import health, instance_view, published
from .extensions import hindrance
from .instance_view import MACHINE

if TYPE_CHECKING:
    from ...cloud import Cloud, Request

SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets"
INSTANCE = f"{SCALE_SET}/virtualMachines"
INSTANCE_EXTENSION = f"{INSTANCE}/extensions"


def not_active(instance: str) -> refusals.Refusal:
    """The refusal of an instance that is not there (public issue threads)."""
    message = f"The provided instanceId {instance} is not an active Virtual Machine Scale Set VM instanceId."
    return refusals.refuse(400, "InvalidParameter", message, target="instanceIds")


def shown(cloud: Cloud, request: Request, body: Body) -> Body:
    """An instance as it is answered, a VM of a Flexible scale set too."""
    owner = cloud.store.get(health.scale_set_of(body))
    extensions = extensions_of(cloud, body)
    properties: Body = {**body["properties"], "latestModelApplied": owner is None or not lags(cloud, owner, body)}
    properties["modelDefinitionApplied"] = "VirtualMachineScaleSet"
    properties.pop("virtualMachineScaleSet", None)
    if "instanceview" in request.query.get("$expand", "").lower():
        properties["instanceView"] = health.machine_view(cloud, body, extensions)
    answer = {**body, "instanceId": body.get("instanceId", body["name"]), "properties": properties}
    return {**answer, "resources": extensions} if extensions else answer


def flexible(scale_set: Body) -> bool:
    return str(scale_set["properties"].get("orchestrationMode", "")).lower() == "flexible"


def profile(scale_set: Body) -> Body:
    return scale_set["properties"].get("virtualMachineProfile") or {}


def extensions_of_model(scale_set: Body) -> list[Body]:
    return list((profile(scale_set).get("extensionProfile") or {}).get("extensions") or [])


def extensions_of(cloud: Cloud, machine: Body) -> list[Body]:
    return cloud.store.parts(f"{machine['type']}/extensions", machine["id"])


def extension_states(cloud: Cloud, scale_set: Body, name: str) -> list[str]:
    """The provisioning state of an extension of the model on each instance; "Creating" where it is not yet."""
    found = (cloud.store.get(f"{one['id']}/extensions/{name}") for one in members(cloud, scale_set))
    return [str(one["properties"].get("provisioningState", "Succeeded")) if one else "Creating" for one in found]


def capacity(scale_set: Body) -> int:
    return int((scale_set.get("sku") or {}).get("capacity") or 0)


def model(scale_set: Body) -> str:
    """The fingerprint of what instances have from their scale set. Whether automatic upgrade of the image is on belongs to it: after a
    change of it, too, instances of a Manual scale set have to be brought to the latest model (Microsoft Learn)."""
    automatic = (scale_set["properties"].get("upgradePolicy") or {}).get("automaticOSUpgradePolicy") or {}
    parts = [profile(scale_set), (scale_set.get("sku") or {}).get("name"), bool(automatic.get("enableAutomaticOSUpgrade"))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def members(cloud: Cloud, scale_set: Body) -> list[Body]:
    """The instances, in the order they came; those of an estate's Uniform scale set that lists none are made here, up to its capacity."""
    if flexible(scale_set):
        under = "/".join(scale_set["id"].split("/")[:3])
        found = [one for one in cloud.store.of_type(MACHINE, under) if key(health.scale_set_of(one) or "/") == key(scale_set["id"])]
    else:
        found = cloud.store.parts(INSTANCE, scale_set["id"])
        private = cloud.store.private(scale_set["id"])
        if not found and not private.get("populated"):
            found = [make(cloud, scale_set) for _count in range(capacity(scale_set))]
        private["populated"] = True
    latest = model(scale_set)
    for one in found:
        cloud.store.private(one["id"]).setdefault("model", latest)
    return found


def chosen(cloud: Cloud, scale_set: Body, identifiers: list[str] | None) -> list[Body]:
    """The instances that a request names by their instance ids; all for "*" or for no list. Raises Refusal (400)."""
    found = members(cloud, scale_set)
    if not identifiers or "*" in identifiers:
        return found
    by_name = {str(one.get("instanceId", one["name"])).lower(): one for one in found}
    for identifier in identifiers:
        if str(identifier).lower() not in by_name:
            raise not_active(str(identifier))
    return [by_name[str(identifier).lower()] for identifier in identifiers]


def lags(cloud: Cloud, scale_set: Body, machine: Body) -> bool:
    """Whether an instance has an earlier model than its scale set."""
    latest = model(scale_set)
    return bool(cloud.store.private(machine["id"]).setdefault("model", latest) != latest)


def make(cloud: Cloud, scale_set: Body) -> Body:
    """A new instance with the latest model and the newest image."""
    private = cloud.store.private(scale_set["id"])
    number = private["next"] = private.get("next", -1) + 1
    while cloud.store.get(f"{scale_set['id']}/virtualMachines/{number}") is not None:
        number = private["next"] = number + 1
    given, name = profile(scale_set), f"{scale_set['name']}_{number}"
    disk = copy.deepcopy((given.get("storageProfile") or {}).get("osDisk") or {})
    disk["name"] = f"{name}_OsDisk_1"
    properties: Body = {
        "vmId": cloud.guid(),
        "provisioningState": "Succeeded",
        "timeCreated": compute_time(cloud.clock.now),
        "hardwareProfile": {"vmSize": (scale_set.get("sku") or {}).get("name")},
        "storageProfile": {"osDisk": disk},
        "osProfile": {
            **copy.deepcopy(given.get("osProfile") or {}),
            "computerName": f"{(given.get('osProfile') or {}).get('computerNamePrefix', scale_set['name'])}{number:06}",
        },
    }
    properties["osProfile"].pop("computerNamePrefix", None)
    body: Body = {"name": name, "location": scale_set["location"], "tags": copy.deepcopy(scale_set.get("tags") or {})}
    if scale_set.get("zones"):
        body["zones"] = [scale_set["zones"][number % len(scale_set["zones"])]]
    if flexible(scale_set):
        group = scale_set["id"].split("/providers/")[0]
        body |= {"id": f"{group}/providers/{MACHINE}/{name}", "type": MACHINE}
        properties["virtualMachineScaleSet"] = {"id": scale_set["id"]}
    else:
        body |= {"id": f"{scale_set['id']}/virtualMachines/{number}", "type": INSTANCE, "instanceId": str(number)}
        body["sku"] = {part: value for part, value in (scale_set.get("sku") or {}).items() if part != "capacity"}
    body["properties"] = properties
    cloud.store.put(body["id"], body)
    cloud.store.private(body["id"])["power"] = "running"
    bring(cloud, scale_set, body)
    cloud.store.private(body["id"]).pop("changed", None)
    return body


def resize(cloud: Cloud, scale_set: Body) -> None:
    """As many instances as the capacity says: new ones, or the newest ones go."""
    found = members(cloud, scale_set)
    for one in found[capacity(scale_set) :]:
        cloud.store.delete(one["id"])
    for _count in range(capacity(scale_set) - len(found)):
        make(cloud, scale_set)


def bring(cloud: Cloud, scale_set: Body, machine: Body, fault: dict[str, Any] | None = None) -> str:
    """Apply the latest model to an instance: image, extensions. What failed, in words, "" when all went well.

    fault: the error with which the instance's change is to fail.
    """
    reference = copy.deepcopy((profile(scale_set).get("storageProfile") or {}).get("imageReference") or {})
    storage = machine["properties"].setdefault("storageProfile", {})
    before = {name: value for name, value in (storage.get("imageReference") or {}).items() if name != "exactVersion"}
    if reference and reference != before:
        storage["imageReference"] = reference
        set_image(machine, published.newest_image(cloud, scale_set, reference))
    machine["properties"].setdefault("hardwareProfile", {})["vmSize"] = (scale_set.get("sku") or {}).get("name")
    problem = _bring_extensions(cloud, scale_set, machine, fault)
    machine["properties"]["provisioningState"] = "Failed" if problem else "Succeeded"
    cloud.store.private(machine["id"]).update(model=model(scale_set), changed=cloud.clock.now)
    return problem


def set_image(machine: Body, version: str | None) -> None:
    machine["properties"]["storageProfile"]["imageReference"]["exactVersion"] = version or published.FIRST_VERSION


def run_again(cloud: Cloud, machine: Body) -> str:
    """The extensions of a machine run again, as on a new disk of the system; what failed, "" when all went well."""
    problem = ""
    for one in extensions_of(cloud, machine):
        found = hindrance(cloud, machine, one)
        if found:
            one["properties"]["provisioningState"] = "Failed"
            instance_view.forget(cloud, machine["id"], one)
            cloud.store.private(one["id"]).update(ended=cloud.clock.now, message=found["message"])
            problem = problem or str(found["message"])
    if problem:
        machine["properties"]["provisioningState"] = "Failed"
    return problem


def image_of(machine: Body) -> Body:
    """The image reference of an instance, with the exact version that it runs."""
    reference = (machine["properties"].get("storageProfile") or {}).get("imageReference") or {}
    return {**reference, "exactVersion": reference.get("exactVersion") or published.FIRST_VERSION}


def snapshot(cloud: Cloud, machine: Body) -> Body:
    """What `restore` needs to take a change of an instance back."""
    extensions = extensions_of(cloud, machine)
    return copy.deepcopy(
        {
            "properties": machine["properties"],
            "private": {name: value for name, value in cloud.store.private(machine["id"]).items() if name in ("model", "changed", "view")},
            "extensions": [(one, cloud.store.private(one["id"])) for one in extensions],
        }
    )


def restore(cloud: Cloud, machine: Body, before: Body) -> None:
    """Take a change of an instance back."""
    before = copy.deepcopy(before)
    machine["properties"] = before["properties"] | {"provisioningState": "Succeeded"}
    private = cloud.store.private(machine["id"])
    private.pop("changed", None)
    private.update(before["private"])
    for one in extensions_of(cloud, machine):
        cloud.store.delete(one["id"])
    for one, aside in before["extensions"]:
        cloud.store.put(one["id"], one)
        cloud.store.private(one["id"]).update(aside)


def upgrade_extension(cloud: Cloud, machine: Body, extension: Body, version: str) -> None:
    """Put a newer version of an extension onto a machine."""
    instance_view.forget(cloud, machine["id"], extension)
    extension["properties"]["provisioningState"] = "Succeeded"
    cloud.store.private(extension["id"]).update(version=version, ended=cloud.clock.now)
    cloud.store.private(machine["id"])["changed"] = cloud.clock.now


def in_order(extensions: list[Body]) -> list[Body]:
    """Extensions in the order in which they are provisioned: each after those that it waits for."""
    left, ordered = list(extensions), list[Body]()
    while left:
        done = {one["name"].lower() for one in ordered}
        known = {one["name"].lower() for one in extensions}
        ready = [one for one in left if waits_for(one) & known <= done] or left  # a ring is refused at the door
        ordered.append(ready[0])
        left.remove(ready[0])
    return ordered


def waits_for(extension: Body) -> set[str]:
    return {str(name).lower() for name in extension["properties"].get("provisionAfterExtensions") or []}


def _bring_extensions(cloud: Cloud, scale_set: Body, machine: Body, fault: dict[str, Any] | None) -> str:
    """The extensions of the model onto an instance, in their order; those that wait for one that failed are not provisioned."""
    problem = str(fault.get("message")) if fault else ""
    wanted, failed = in_order(extensions_of_model(scale_set)), set[str]()
    names = {one["name"].lower() for one in wanted}
    for one in extensions_of(cloud, machine):
        if cloud.store.private(one["id"]).get("of_model", machine["type"] != MACHINE) and one["name"].lower() not in names:
            instance_view.forget(cloud, machine["id"], one)
            cloud.store.delete(one["id"])
    for one in wanted:
        identifier = f"{machine['id']}/extensions/{one['name']}"
        known = cloud.store.get(identifier)
        if waits_for(one) & failed:
            failed.add(one["name"].lower())
            continue
        if known is not None and _same(known, one) and known["properties"].get("provisioningState") == "Succeeded":
            cloud.store.private(identifier)["of_model"] = True
            continue
        body = {"name": one["name"], "id": identifier, "type": f"{machine['type']}/extensions", "location": machine["location"]}
        body["properties"] = {"provisioningState": "Succeeded", **copy.deepcopy(one["properties"])}
        obstacle = (fault or {}).get("message") or (hindrance(cloud, machine, body) or {}).get("message")
        if obstacle:
            body["properties"]["provisioningState"] = "Failed"
            failed.add(one["name"].lower())
            problem = problem or str(obstacle)
        cloud.store.put(identifier, body)
        instance_view.forget(cloud, machine["id"], body)
        cloud.store.private(identifier).update(
            of_model=True, ended=cloud.clock.now, message=obstacle or "", version=instance_view.version_to_install(cloud, machine, body)
        )
    return problem


def _same(known: Body, wanted: Body) -> bool:
    return all(
        known["properties"].get(name) == wanted["properties"].get(name)
        for name in {*known["properties"], *wanted["properties"]} - {"provisioningState"}
    )
