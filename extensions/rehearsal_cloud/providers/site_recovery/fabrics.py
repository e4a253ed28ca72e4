# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Fabrics (an Azure region, a Hyper-V site, a VMM server) and their protection containers."""

from __future__ import annotations

import copy

from ...cloud import Cloud, Request, Response
from ...paths import Path
from ...resource_types import Body
from ...timeline import effect
from .base import CONTAINER, FABRIC, ITEM, Bodies, SiteRecoveryType, ancestor, asr_id, bad_request, entity_guid, friendly, instance_type
from .operations import begin

# Azure's own display names where they are not the name with a capital ("centralindia" -> "Central India"): Azure's list of regions.
REGIONS = {
    name.replace(" ", "").lower(): name
    for name in (
        "East US",
        "East US 2",
        "West US",
        "West US 2",
        "West US 3",
        "Central US",
        "North Central US",
        "South Central US",
        "West Central US",
        "Canada Central",
        "Canada East",
        "Brazil South",
        "Brazil Southeast",
        "Mexico Central",
        "Chile Central",
        "North Europe",
        "West Europe",
        "UK South",
        "UK West",
        "France Central",
        "France South",
        "Germany West Central",
        "Germany North",
        "Norway East",
        "Norway West",
        "Sweden Central",
        "Sweden South",
        "Switzerland North",
        "Switzerland West",
        "Italy North",
        "Poland Central",
        "Spain Central",
        "Austria East",
        "Belgium Central",
        "Denmark East",
        "Israel Central",
        "Qatar Central",
        "UAE North",
        "UAE Central",
        "South Africa North",
        "South Africa West",
        "Central India",
        "South India",
        "West India",
        "Jio India West",
        "Jio India Central",
        "Southeast Asia",
        "East Asia",
        "Japan East",
        "Japan West",
        "Korea Central",
        "Korea South",
        "Australia East",
        "Australia Southeast",
        "Australia Central",
        "Australia Central 2",
        "New Zealand North",
        "Malaysia West",
        "Indonesia Central",
        "China East",
        "China East 2",
        "China East 3",
        "China North",
        "China North 2",
        "China North 3",
        "USGov Virginia",
        "USGov Arizona",
        "USGov Texas",
        "East US 2 EUAP",
        "Central US EUAP",
    )
}


def region_name(location: str) -> str:
    """eastus2 -> East US 2."""
    return REGIONS.get(location.replace(" ", "").lower(), location)


def location_of(cloud: Cloud, fabric_id: str) -> str:
    """The region of an Azure fabric, e.g. eastus2 ("" for any other)."""
    body = cloud.store.get(fabric_id)
    details = (body or {}).get("properties", {}).get("customDetails") or {}
    return str(details.get("location") or "").replace(" ", "").lower()


def is_container_in_use(cloud: Cloud, container: str) -> bool:
    """Whether a container is a source or a target of a mapping."""
    mappings = cloud.store.of_type(f"{CONTAINER}/replicationProtectionContainerMappings", ancestor(container, 2))
    return any(
        container.lower() in (ancestor(m["id"], 1).lower(), str(m["properties"]["targetProtectionContainerId"]).lower()) for m in mappings
    )


class Fabrics(SiteRecoveryType):
    """replicationFabrics. The list is the newest first and leaves the containers out (recorded traffic)."""

    name = "*/replicationFabrics"
    kind = FABRIC

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"remove": self.delete, "checkconsistency": self._touch, "renewcertificate": self._touch}

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        return super().found(cloud, request, path)[::-1]

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        shown = copy.deepcopy(body)
        details = shown["properties"].get("customDetails")
        if instance_type(details) == "Azure" and not details.get("containerIds"):
            details["containerIds"] = [
                f"{body['id']}/replicationProtectionContainers/{entity_guid(container['id'])}"
                for container in cloud.store.of_type(CONTAINER, body["id"])
            ]
        return shown

    def show_in_list(self, cloud: Cloud, request: Request, body: Body) -> Body:
        shown = copy.deepcopy(body)
        if instance_type(shown["properties"].get("customDetails")) == "Azure":
            shown["properties"]["customDetails"]["containerIds"] = None
            shown["properties"]["customDetails"].pop("zones", None)
        return shown

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_vault(cloud, path)
        details = self.properties(request).get("customDetails") or {}
        kind = instance_type(details)
        if kind == "Azure" and not details.get("location"):
            raise bad_request(
                "InvalidParameter",
                "The location of the Azure fabric is missing.",
                "customDetails has no location.",
                "Name an Azure region.",
            )
        properties = {
            "friendlyName": region_name(str(details["location"])) if kind == "Azure" else path.name,
            "encryptionDetails": {"kekState": "None", "kekCertThumbprint": None},
            "rolloverEncryptionDetails": {"kekState": "None", "kekCertThumbprint": None},
            "internalIdentifier": entity_guid(path.resource_id),
            "bcdrState": "Valid",
            "customDetails": {
                "instanceType": "Azure",
                "location": str(details.get("location")).replace(" ", "").lower(),
                "containerIds": [],
                "zones": [],
            }
            if kind == "Azure"
            else {"instanceType": kind or "HyperVSite", "hyperVHosts": []},
            "healthErrorDetails": [],
            "health": "Normal",
        }
        body = {**self.identity(cloud, path), "properties": properties}
        return begin(cloud, request, body["id"], "fabric", "site_recovery.put", target_name=path.name, body=body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        if next(cloud.store.of_type(ITEM, body["id"]), None) is not None:
            raise bad_request(
                "FabricInUse",
                f"The fabric '{path.name}' still holds replicated items.",
                "Replication is enabled in one of its containers.",
                "Disable the replication first.",
            )
        return begin(cloud, request, body["id"], "fabric.remove", "site_recovery.delete", resource=body["id"])

    def _touch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        return begin(cloud, request, self.require(cloud, path)["id"], "fabric")


@effect("site_recovery.put")
def put_resource(cloud: Cloud, job: str, body: Body) -> None:
    cloud.store.put(body["id"], body)


@effect("site_recovery.delete")
def delete_resource(cloud: Cloud, job: str, resource: str) -> None:
    cloud.store.delete(resource)


class Containers(SiteRecoveryType):
    """replicationProtectionContainers; how many items one holds and whether it is paired follow from what is there."""

    name = "*/replicationProtectionContainers"
    kind = CONTAINER

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"remove": self._remove}

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        properties = dict(body["properties"])
        if properties.get("fabricType") == "Azure":
            paired = is_container_in_use(cloud, body["id"])
            count = sum(1 for _item in cloud.store.of_type(ITEM, body["id"]))
            properties.update(pairingStatus="Paired" if paired else "NotPaired", protectedItemCount=count)
        return {**body, "properties": properties}

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        fabric = cloud.store.get(ancestor(path.resource_id, 1))
        if fabric is None:
            raise self.missing(cloud, path)
        self.properties(request)
        body = {
            **self.identity(cloud, path),
            "properties": {
                "fabricFriendlyName": friendly(cloud, fabric["id"]),
                "friendlyName": path.name,
                "fabricType": instance_type(fabric["properties"].get("customDetails")),
                "protectedItemCount": 0,
                "pairingStatus": "NotPaired",
                "role": "",
                "fabricSpecificDetails": None,
            },
        }
        return begin(cloud, request, body["id"], "container", "site_recovery.put", target_name=path.name, body=body)

    def _remove(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        if is_container_in_use(cloud, body["id"]) or next(cloud.store.of_type(ITEM, body["id"]), None) is not None:
            raise bad_request(
                "ProtectionContainerInUse",
                f"The protection container '{path.name}' is in use.",
                "It is mapped to another container or holds replicated items.",
                "Remove the mappings and the items first.",
            )
        return begin(cloud, request, body["id"], "container.remove", "site_recovery.delete", resource=body["id"])


def provider_id(fabric_id: str) -> str:
    """The Recovery Services provider of an Azure fabric, which exists by name only (recorded traffic)."""
    return f"{asr_id(fabric_id)}/replicationRecoveryServicesProviders/{entity_guid(fabric_id, 'provider')}"
