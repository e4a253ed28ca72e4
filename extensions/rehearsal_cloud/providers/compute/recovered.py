# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The virtual machines that Site Recovery makes in the target region, and takes away again."""

from __future__ import annotations

import copy
import ipaddress
from typing import TYPE_CHECKING, Any

from ...clock import compute_time
from ...paths import GROUP, key, parse
from ...resource_types import Body
from . import instance_view
from .instance_view import MACHINE

if TYPE_CHECKING:
    from ...cloud import Cloud

DISK = "Microsoft.Compute/disks"
INTERFACE = "Microsoft.Network/networkInterfaces"


def machine(cloud: Cloud, identifier: str) -> Body | None:
    """The body of a VM, or None."""
    return cloud.store.get(identifier)


def power(cloud: Cloud, identifier: str, running: bool) -> None:
    """Switch a VM on, or off and deallocated, at once. Nothing happens to one that is not there or is so already."""
    state = "running" if running else "deallocated"
    if cloud.store.get(identifier) is not None and instance_view.power(cloud, identifier) != state:
        instance_view.set_power(cloud, identifier, state)


def remove(cloud: Cloud, identifier: str) -> None:
    """Take a VM away, with the disks and the network interface that `recover` made for it."""
    for made in [*cloud.store.private(identifier).get("made", []), identifier]:
        cloud.store.delete(made)
    cloud.changed(identifier)


def recover(
    cloud: Cloud,
    source_id: str,
    target_id: str,
    *,
    location: str,
    network_id: str | None = None,
    subnet_name: str | None = None,
    known: Body | None = None,
) -> None:
    """Make the VM that a failover makes (recorded traffic): another id and vmId in the target region; size, tags and system of the source;
    disks of the same names attached, no osProfile, no image, no extensions; running, its agent not ready yet.

    Disks and interface are resources in the target group, which is made when it is missing. A machine with another name than its
    source (a test machine) hands the difference on to them. `known` stands in for a source that is not there.
    """
    target = parse(target_id)
    source: Body = cloud.store.get(source_id) or known or {"properties": {}}
    group = target_id.split("/providers/")[0]
    if cloud.store.get(group) is None:
        cloud.store.put(
            group,
            {"id": group, "name": parse(group).name, "type": GROUP, "location": location, "properties": {"provisioningState": "Succeeded"}},
        )
    name = parse(source_id).name
    suffix = target.name[len(name) :] if target.name.lower().startswith(name.lower()) else f"-{target.name}"
    storage, disks = _storage(cloud, source, group, location, suffix)
    interface = _interface(cloud, source, group, location, suffix, target_id, network_id, subnet_name)
    kept = {part: copy.deepcopy(source["properties"][part]) for part in ("hardwareProfile", "licenseType") if part in source["properties"]}
    body = {
        "name": target.name,
        "id": target_id,
        "type": MACHINE,
        "location": location,
        "tags": copy.deepcopy(source.get("tags") or {}),
        "properties": {
            "vmId": cloud.guid(),
            "hardwareProfile": {"vmSize": "Standard_DS1_v2"},
            **kept,
            "storageProfile": storage,
            "networkProfile": {"networkInterfaces": [{"id": interface, "properties": {"primary": True}}]},
            "provisioningState": "Succeeded",
            "timeCreated": compute_time(cloud.clock.now),
        },
    }
    cloud.store.put(target_id, body)
    view = cloud.store.private(source_id).get("view", {})
    cloud.store.private(target_id).update(
        made=[*disks, interface],
        view={part: view[part] for part in ("computerName", "osName", "osVersion", "hyperVGeneration") if part in view},
    )
    instance_view.set_power(cloud, target_id, "running")


def _storage(cloud: Cloud, source: Body, group: str, location: str, suffix: str) -> tuple[Body, list[str]]:
    """The storage profile of the new machine and the ids of its disks, which are put into the store."""
    before = source["properties"].get("storageProfile") or {}
    made: list[str] = []

    def attached(disk: dict[str, Any]) -> dict[str, Any]:
        name = disk.get("name", "osdisk") + suffix
        identifier = f"{group}/providers/{DISK}/{name}"
        kind = (disk.get("managedDisk") or {}).get("storageAccountType", "Premium_LRS")
        properties: Body = {part: disk[part] for part in ("osType", "diskSizeGB") if part in disk}
        properties |= {
            "creationData": {"createOption": "Restore"},
            "diskState": "Attached",
            "provisioningState": "Succeeded",
            "timeCreated": compute_time(cloud.clock.now),
        }
        cloud.store.put(
            identifier,
            {"name": name, "id": identifier, "type": DISK, "location": location, "sku": {"name": kind}, "properties": properties},
        )
        made.append(identifier)
        return {
            **{part: disk[part] for part in ("lun", "osType", "caching", "diskSizeGB") if part in disk},
            "name": name,
            "createOption": "Attach",
            "managedDisk": {"storageAccountType": kind, "id": identifier},
            "deleteOption": "Detach",
        }

    system = {"osType": "Windows", "caching": "ReadWrite", "diskSizeGB": 127, **(before.get("osDisk") or {})}
    return {"osDisk": attached(system), "dataDisks": [attached(disk) for disk in before.get("dataDisks") or []]}, made


def _interface(
    cloud: Cloud, source: Body, group: str, location: str, suffix: str, machine_id: str, network_id: str | None, subnet_name: str | None
) -> str:
    """Make the network interface, named and configured as the source's, with an address of the subnet when the network is known; its id."""
    before = (source["properties"].get("networkProfile") or {}).get("networkInterfaces") or [{"id": f"/{parse(machine_id).name}-nic"}]
    name = before[0]["id"].rsplit("/", 1)[-1] + suffix
    own = (cloud.store.get(before[0]["id"]) or {}).get("properties", {}).get("ipConfigurations") or [{"name": "ipconfig1"}]
    identifier = f"{group}/providers/{INTERFACE}/{name}"
    configuration: Body = {
        "provisioningState": "Succeeded",
        "privateIPAllocationMethod": "Dynamic",
        "primary": True,
        "privateIPAddressVersion": "IPv4",
    }
    prefix = "10.0.0.0/24"
    if network_id:
        subnet, prefix = _subnet(cloud, network_id, subnet_name)
        configuration["subnet"] = {"id": subnet}
    configuration["privateIPAddress"] = _free_address(cloud, configuration.get("subnet", {}).get("id"), prefix)
    cloud.store.put(
        identifier,
        {
            "name": name,
            "id": identifier,
            "type": INTERFACE,
            "location": location,
            "properties": {
                "provisioningState": "Succeeded",
                "primary": True,
                "virtualMachine": {"id": machine_id},
                "ipConfigurations": [
                    {
                        "name": own[0]["name"],
                        "id": f"{identifier}/ipConfigurations/{own[0]['name']}",
                        "type": f"{INTERFACE}/ipConfigurations",
                        "properties": configuration,
                    }
                ],
            },
        },
    )
    return identifier


def _subnet(cloud: Cloud, network_id: str, subnet_name: str | None) -> tuple[str, str]:
    """The id and address prefix of the named subnet, else of the network's first one."""
    network = cloud.store.get(network_id) or {"id": network_id, "properties": {}}
    subnets = network["properties"].get("subnets") or []
    chosen = (
        next((one for one in subnets if str(one.get("name", "")).lower() == (subnet_name or "").lower()), None)
        if subnet_name
        else next(iter(subnets), None)
    )
    if chosen is None:
        return f"{network['id']}/subnets/{subnet_name or 'default'}", "10.0.0.0/24"
    properties = chosen.get("properties") or {}
    prefix = properties.get("addressPrefix") or next(iter(properties.get("addressPrefixes") or []), "10.0.0.0/24")
    return chosen.get("id") or f"{network['id']}/subnets/{chosen['name']}", prefix


def _free_address(cloud: Cloud, subnet: str | None, prefix: str) -> str:
    """The first address of the subnet that no interface has; Azure keeps the first four for itself (Microsoft Learn, virtual networks)."""
    taken = set()
    for interface in cloud.store.of_type(INTERFACE):
        for configuration in interface.get("properties", {}).get("ipConfigurations") or []:
            properties = configuration.get("properties") or {}
            if key((properties.get("subnet") or {}).get("id", "")) == key(subnet or ""):
                taken.add(properties.get("privateIPAddress"))
    addresses = ipaddress.ip_network(prefix, strict=False)
    return next((str(address) for number, address in enumerate(addresses) if number > 3 and str(address) not in taken), str(addresses[-2]))
