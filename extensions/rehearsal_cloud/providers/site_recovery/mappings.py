# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Container mappings (agent auto-update lives here) and network mappings."""

from __future__ import annotations

import copy
from typing import Any

from ...cloud import Cloud, Request, Response
from ...paths import Path, key
from ...resource_types import Body
from ...timeline import effect
from .base import (
    AZURE,
    CONTAINER_MAPPING,
    ITEM,
    NETWORK_MAPPING,
    POLICY,
    Bodies,
    SiteRecoveryType,
    ancestor,
    asr_id,
    bad_request,
    friendly,
    instance_type,
    last,
    no_such_resource,
    vault_of,
)
from .fabrics import location_of
from .operations import begin

AUTO_UPDATE = ("agentAutoUpdateStatus", "automationAccountAuthenticationType", "automationAccountArmId")


def auto_update(cloud: Cloud, mapping: str, before: Body, sent: Body) -> Body:
    """The A2A details of a mapping after a change. Enabled: a schedule and a job schedule of the automation account appear.

    Names of the schedules: API example; "RunAsAccount" as the type when none is said: recorded traffic.
    """
    details = {
        "instanceType": "A2A",
        "agentAutoUpdateStatus": "Disabled",
        "automationAccountAuthenticationType": "RunAsAccount",
        "automationAccountArmId": None,
        "scheduleName": None,
        "jobScheduleName": None,
        **before,
    }
    details.update({name: sent[name] for name in AUTO_UPDATE if sent.get(name) is not None})
    if details["agentAutoUpdateStatus"] != "Enabled":
        details.update(scheduleName=None, jobScheduleName=None)
    elif not details["scheduleName"] or details["automationAccountArmId"] != before.get("automationAccountArmId"):
        details.update(scheduleName=f"{last(mapping)}_{cloud.guid()}", jobScheduleName=cloud.guid())
    return details


def check_auto_update(sent: Body, before: Body) -> None:
    """Refuse (400) to enable auto-update without an automation account (inferred)."""
    wanted = {**before, **{name: value for name, value in sent.items() if value is not None}}
    if wanted.get("agentAutoUpdateStatus") not in (None, "Enabled", "Disabled"):
        raise bad_request(
            "InvalidParameter",
            f"agentAutoUpdateStatus '{wanted['agentAutoUpdateStatus']}' is not known.",
            "The value is neither Enabled nor Disabled.",
            "Send Enabled or Disabled.",
        )
    if wanted.get("agentAutoUpdateStatus") == "Enabled" and not wanted.get("automationAccountArmId"):
        raise bad_request(
            "AutomationAccountMissing",
            "Automatic update of the agent needs an automation account.",
            "The request names no automation account.",
            "Name an automation account.",
        )


class ContainerMappings(SiteRecoveryType):
    """replicationProtectionContainerMappings: a container's list shows those that lead to it, too (recorded traffic)."""

    name = "*/replicationProtectionContainerMappings"
    kind = CONTAINER_MAPPING

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"remove": self.delete}

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        scope = key(path.resource_id)
        return [
            m
            for m in cloud.store.of_type(self.kind, vault_of(path.resource_id))
            if key(m["id"]).startswith(f"{scope}/") or key(str(m["properties"].get("targetProtectionContainerId") or "")) == scope
        ]

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        source = cloud.store.get(ancestor(path.resource_id, 1))
        if source is None:
            raise self.missing(cloud, path)
        sent = self.properties(request)
        policy = cloud.store.get(str(sent.get("policyId") or ""))
        if policy is None:
            raise no_such_resource(last(str(sent.get("policyId") or POLICY)))
        target = str(sent.get("targetProtectionContainerId") or "")
        if target != AZURE and cloud.store.get(target) is None:
            raise no_such_resource(last(target))
        given = sent.get("providerSpecificInput") or {}
        details: Body | None = None
        if instance_type(given) == "A2A":
            check_auto_update(given, {})
            details = auto_update(cloud, path.resource_id, {}, given)
        target_fabric = AZURE if target == AZURE else friendly(cloud, ancestor(target, 1))
        body = {
            **self.identity(cloud, path),
            "properties": {
                "targetProtectionContainerId": target if target == AZURE else cloud.store.get(target)["id"],  # type: ignore[index]
                "targetProtectionContainerFriendlyName": friendly(cloud, target),
                "providerSpecificDetails": details,
                "health": "Normal",
                "healthErrorDetails": [],
                "policyId": policy["id"],
                "state": "Paired",
                "sourceProtectionContainerFriendlyName": friendly(cloud, source["id"]),
                "sourceFabricFriendlyName": friendly(cloud, ancestor(source["id"], 1)),
                "targetFabricFriendlyName": target_fabric,
                "policyFriendlyName": friendly(cloud, policy["id"]),
            },
        }
        return begin(cloud, request, body["id"], "mapping", "site_recovery.put", target_name=friendly(cloud, policy["id"]), body=body)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        mapping = self.require(cloud, path)
        sent = self.properties(request).get("providerSpecificInput") or {}
        before = mapping["properties"].get("providerSpecificDetails")
        if instance_type(sent) != "A2A" or instance_type(before) != "A2A":
            raise bad_request(
                "ProviderNotSupported",
                f"The container mapping '{path.name}' has nothing that this provider can update.",
                "Only mappings between Azure regions (A2A) can be updated.",
                "Name a mapping of the A2A provider.",
            )
        check_auto_update(sent, before)
        return begin(cloud, request, mapping["id"], "mapping.update", "site_recovery.mapping.update", mapping=mapping["id"], sent=sent)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        mapping = self.require(cloud, path)
        target = str(mapping["properties"].get("targetProtectionContainerId"))
        used = [
            item["name"]
            for item in cloud.store.of_type(ITEM, ancestor(mapping["id"], 1))
            if key(str(item["properties"].get("recoveryContainerId"))) == key(target)
        ]
        if used:
            raise bad_request(
                "ProtectionContainerMappingInUse",
                f"The container mapping '{path.name}' is in use.",
                f"Replicated items use it: {', '.join(used)}.",
                "Disable their replication first.",
            )
        return begin(cloud, request, mapping["id"], "mapping.remove", "site_recovery.delete", resource=mapping["id"])


@effect("site_recovery.mapping.update")
def _update(cloud: Cloud, job: str, mapping: str, sent: Body) -> None:
    """Apply the change; whatever ailed the auto-update is repaired by it (documented use of the same request)."""
    body = cloud.store.get(mapping)
    if body is None:
        return
    properties = body["properties"]
    properties["providerSpecificDetails"] = auto_update(cloud, mapping, properties["providerSpecificDetails"], sent)
    left = [
        error
        for error in properties.get("healthErrorDetails") or []
        if not str(error.get("errorCategory") or "").startswith("AgentAutoUpdate")
    ]
    properties.update(healthErrorDetails=left, health=properties["health"] if left else "Normal")


def network_id(details: Any) -> str:
    return str((details or {}).get("primaryNetworkId") or "")


class NetworkMappings(SiteRecoveryType):
    """replicationNetworkMappings: between Azure regions, ids and names come back in lower case (recorded traffic)."""

    name = "*/replicationNetworkMappings"
    kind = NETWORK_MAPPING

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        fabric = cloud.store.get(ancestor(path.resource_id, 2))
        if fabric is None:
            raise self.missing(cloud, path)
        sent = self.properties(request)
        details = sent.get("fabricSpecificDetails") or {}
        recovery_network = str(sent.get("recoveryNetworkId") or "")
        properties: Body = {"state": "Paired"}
        if instance_type(details) == "AzureToAzure":
            recovery = cloud.store.get(f"{ancestor(fabric['id'], 1)}/replicationFabrics/{sent.get('recoveryFabricName')}")
            if recovery is None:
                raise no_such_resource(str(sent.get("recoveryFabricName")))
            primary_network = network_id(details).lower()
            properties.update(
                primaryNetworkFriendlyName=last(primary_network),
                primaryNetworkId=primary_network,
                primaryFabricFriendlyName=friendly(cloud, fabric["id"]),
                recoveryNetworkFriendlyName=last(recovery_network.lower()),
                recoveryNetworkId=recovery_network.lower(),
                recoveryFabricArmId=recovery["id"],
                recoveryFabricFriendlyName=friendly(cloud, recovery["id"]),
                fabricSpecificSettings={
                    "instanceType": "AzureToAzure",
                    "primaryFabricLocation": location_of(cloud, fabric["id"]),
                    "recoveryFabricLocation": location_of(cloud, recovery["id"]),
                },
            )
        else:
            network = ancestor(asr_id(path.resource_id), 1)
            properties.update(
                primaryNetworkFriendlyName=friendly(cloud, network),
                primaryNetworkId=network,
                primaryFabricFriendlyName=friendly(cloud, fabric["id"]),
                recoveryNetworkFriendlyName=last(recovery_network),
                recoveryNetworkId=recovery_network,
                recoveryFabricArmId=f"{ancestor(fabric['id'], 1)}/replicationFabrics/{AZURE_FABRIC}",
                recoveryFabricFriendlyName=AZURE,
                fabricSpecificSettings={"instanceType": instance_type(details) or "VmmToAzure"},
            )
        body = {**self.identity(cloud, path), "properties": properties}
        return begin(cloud, request, body["id"], "network", "site_recovery.put", target_name=last(recovery_network), body=body)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = copy.deepcopy(self.require(cloud, path))
        sent = self.properties(request)
        network = sent.get("recoveryNetworkId")
        if network:
            lowered = instance_type(body["properties"].get("fabricSpecificSettings")) == "AzureToAzure"
            network = str(network).lower() if lowered else str(network)
            body["properties"].update(recoveryNetworkId=network, recoveryNetworkFriendlyName=last(network))
        return begin(cloud, request, body["id"], "network", "site_recovery.put", target_name=path.name, body=body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        return begin(cloud, request, body["id"], "network.remove", "site_recovery.delete", target_name=path.name, resource=body["id"])


# The hidden fabric that stands for Azure, the same in every vault (recorded traffic).
AZURE_FABRIC = "d49858f157601230a6ac5862fbbc6e63bf38d23ecd96cf953767945d457fe9d5"
AZURE_CONTAINER = f"{AZURE_FABRIC}/replicationProtectionContainers/d38048d4-b460-4791-8ece-108395ee8478"
