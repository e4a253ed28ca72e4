# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scale sets: the model, and the instances with what each has of it. Uniform and Flexible ones are read in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import machines
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Extension, Machine
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target, View

TYPE = "Microsoft.Compute/virtualMachineScaleSets"
HEALTHY = "healthy"

Wire = Mapping[str, Any]


@dataclass(frozen=True)
class Instance:
    """An instance of a scale set.

    instance_id: what requests name it by; in a Flexible scale set its name (Microsoft Learn, manual upgrades).
    machine: the same as a virtual machine, with extensions and VM agent. latest: it has the scale set's latest model.
    state: its provisioning state. health: "healthy", "unhealthy" or "unknown", as the probe or the Application Health extension tells it;
    None where neither does. protected: what the scale set does to its instances passes it by (instance protection).
    """

    instance_id: str
    machine: Machine
    latest: bool
    state: str
    health: str | None
    protected: bool
    resource: Wire = field(repr=False)

    @property
    def id(self) -> str:
        return self.machine.id

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def busy(self) -> bool:
        """Somebody is changing it."""
        return self.state.lower() in machines.BUSY

    @property
    def trouble(self) -> str | None:
        """Why it counts as unhealthy; None for one that is well, is being changed, or does not run."""
        if self.state.lower() == "failed":
            return "its provisioning failed"
        if self.busy or self.machine.power != "running" or self.health in (None, HEALTHY):
            return None
        return f"it reports itself as {self.health}"

    @property
    def image_version(self) -> str | None:
        """The exact version of the image that it runs."""
        storage = (self.resource.get("properties") or {}).get("storageProfile") or {}
        return (storage.get("imageReference") or {}).get("exactVersion")


@dataclass(frozen=True)
class ScaleSet:
    """A scale set. mode: the upgrade mode, "Manual", "Automatic" or "Rolling"; orchestration: "Uniform" or "Flexible".

    extensions: those of the model; what is wrong with one is what its instances tell of it. resource: the model as Azure gives it.
    """

    id: str
    name: str
    location: str
    os_type: str | None
    mode: str
    orchestration: str
    state: str
    extensions: tuple[Extension, ...]
    instances: tuple[Instance, ...]
    resource: Wire = field(repr=False)

    @property
    def properties(self) -> Wire:
        return self.resource.get("properties") or {}

    @property
    def profile(self) -> Wire:
        """The model of its instances."""
        return self.properties.get("virtualMachineProfile") or {}

    @property
    def upgrade_policy(self) -> Wire:
        return self.properties.get("upgradePolicy") or {}

    @property
    def manual(self) -> bool:
        """Somebody has to bring its instances to the latest model; in the other modes the platform does."""
        return self.mode.lower() == "manual"

    @property
    def lagging(self) -> tuple[Instance, ...]:
        """The instances that do not have the latest model."""
        return tuple(one for one in self.instances if not one.latest)

    @property
    def unhealthy(self) -> tuple[Instance, ...]:
        return tuple(one for one in self.instances if one.trouble)

    def instances_view(self) -> View:
        """The instances as users see them: counted, and those by name with which something is the matter."""
        return {
            "total": len(self.instances),
            "lagging": sorted(one.name for one in self.lagging),
            "protected": sorted(one.name for one in self.instances if one.protected),
            "unhealthy": {one.name: str(one.trouble) for one in sorted(self.unhealthy, key=lambda one: one.name)},
        }


def parse(wire: Wire, instances: Sequence[Wire]) -> ScaleSet:
    """The ScaleSet of GET virtualMachineScaleSets and of the list of its instances with $expand=instanceView (recorded traffic; of
    Flexible ones and of latestModelApplied: Azure API documents)."""
    properties = wire.get("properties") or {}
    profile = properties.get("virtualMachineProfile") or {}
    found = tuple(_instance(one) for one in instances)
    return ScaleSet(
        id=wire["id"],
        name=wire.get("name") or ids.parse(wire["id"]).name,
        location=str(wire.get("location", "")).replace(" ", "").lower(),
        os_type=_system(profile),
        mode=str((properties.get("upgradePolicy") or {}).get("mode") or "Manual"),
        orchestration=str(properties.get("orchestrationMode") or "Uniform"),
        state=str(properties.get("provisioningState") or "Succeeded"),
        extensions=tuple(
            _extension(wire["id"], one, found)
            for one in (profile.get("extensionProfile") or {}).get("extensions") or []
            if one.get("properties")
        ),
        instances=found,
        resource=wire,
    )


def _system(profile: Wire) -> str | None:
    told = ((profile.get("storageProfile") or {}).get("osDisk") or {}).get("osType")
    if told:
        return str(told).lower()
    settings = profile.get("osProfile") or {}
    return next((system for system in ("windows", "linux") if settings.get(f"{system}Configuration")), None)


def _instance(wire: Wire) -> Instance:
    properties = wire.get("properties") or {}
    code = str((((properties.get("instanceView") or {}).get("vmHealth") or {}).get("status") or {}).get("code") or "")
    return Instance(
        instance_id=str(wire.get("instanceId") or wire["name"]),
        machine=machines.parse(wire),
        latest=properties.get("latestModelApplied") is not False,
        state=str(properties.get("provisioningState") or "Succeeded"),
        health=code.partition("/")[2].lower() or None,
        protected=(properties.get("protectionPolicy") or {}).get("protectFromScaleSetActions") is True,
        resource=wire,
    )


def _extension(scale_set_id: str, wire: Wire, instances: Sequence[Instance]) -> Extension:
    """An extension of the model, with what the instances tell of it."""
    name = wire["name"]
    known = machines.of_resource({**wire, "id": f"{scale_set_id}/extensions/{name}"})
    copies = [(one.name, found) for one in instances if (found := one.machine.find(known.publisher, known.type))]
    failed = {instance: str(found.trouble) for instance, found in copies if found.failed}
    trouble = "; ".join(f"{instance}: {why}" for instance, why in sorted(failed.items())[:3])
    more = f"; and on {len(failed) - 3} more instances" if len(failed) > 3 else ""
    return replace(
        known,
        installed=", ".join(sorted({found.installed for _name, found in copies if found.installed})) or None,
        provisioning_state="Failed" if failed else known.provisioning_state,
        trouble=trouble + more or None,
        failed=bool(failed),
    )


class ScaleSets:
    """Reads scale sets with their instances, and remembers the last reading of each."""

    def __init__(self, azure: Any) -> None:
        self._azure = azure
        self.known: dict[str, ScaleSet] = {}

    async def read(self, scale_set_id: str) -> ScaleSet:
        """Ask Azure. Raises AzureError, also for a scale set that is not there."""
        parsed = ids.parse(scale_set_id)
        client, place = self._azure.compute(parsed.subscription), (parsed.resource_group, parsed.name)
        model, instances = await asyncio.gather(
            self._azure.read("read the scale set", scale_set_id, client.virtual_machine_scale_sets.get(*place)),
            self._azure.collect(
                "list the instances of the scale set",
                scale_set_id,
                client.virtual_machine_scale_set_vms.list(*place, expand="instanceView"),
            ),
        )
        self.known[ids.key(scale_set_id)] = found = parse(model, instances)
        return found

    async def model(self, scale_set_id: str) -> ScaleSet:
        """Ask Azure for the scale set without its instances. Raises AzureError."""
        parsed = ids.parse(scale_set_id)
        get = self._azure.compute(parsed.subscription).virtual_machine_scale_sets.get(parsed.resource_group, parsed.name)
        return parse(await self._azure.read("read the scale set", scale_set_id, get), ())


async def of_group(azure: Any, resource_group: str, tags: Sequence[str]) -> list[Target]:
    """The scale sets of a resource group that have the tags. Raises AzureError."""
    scope = f"/subscriptions/{azure.subscription_id}/resourceGroups/{resource_group}"
    listed = await azure.collect("list the scale sets", scope, azure.compute().virtual_machine_scale_sets.list(resource_group))
    return [Target(wire["id"], wire["name"]) for wire in listed if machines.tagged(wire.get("tags"), tags)]


def of_ids(scale_set_ids: Iterable[str]) -> list[Target]:
    """The scale sets with these ids, each once. Raises InputError."""
    found = {ids.key(one): ids.require("scale_set_ids", one, TYPE) for one in scale_set_ids}
    return [Target(parsed.id, parsed.name) for parsed in found.values()]


def is_scale_set(target: Target) -> bool:
    return ids.parse(target.id).type.lower() == TYPE.lower()
