# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Replicated items: enable, read, update, remove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...cloud import Cloud, Request, Response
from ...paths import Path, key
from ...resource_types import Body, Handler, merge
from ...timeline import effect
from . import mobility, replication
from .a2a import details_of, is_a2a, nic, source_machine
from .base import (
    AZURE,
    ITEM,
    NETWORK_MAPPING,
    PLAN,
    Bodies,
    SiteRecoveryType,
    ancestor,
    asr_id,
    busy,
    current_scenario,
    friendly,
    instance_type,
    last,
    no_such_resource,
    vault_of,
)
from .fabrics import provider_id
from .jobs import job_filter
from .mappings import AZURE_CONTAINER
from .operations import begin
from .scenarios import SCENARIOS

ENABLE_AGAIN = replace(SCENARIOS["item"], seconds=1)


class Items(SiteRecoveryType):
    """replicationProtectedItems."""

    name = "*/replicationProtectedItems"
    kind = ITEM

    def __init__(self) -> None:
        super().__init__()
        self.actions = {
            "remove": self.delete,
            "updatemobilityservice": self._mobility("updateMobilityService"),
            "reinstallmobilityservice": self._mobility("reinstallMobilityService"),
            "repairreplication": self._work("repairReplication"),
            "resolvehealtherrors": self._work("item.update"),
        }

    def seed(self, cloud: Cloud, body: Body) -> None:
        super().seed(cloud, body)
        item = cloud.store.get(body["id"]) or body
        fill(cloud, item)
        nics = (item["properties"]["providerSpecificDetails"] or {}).get("vmNics") or []
        subnet = next((config.get("recoverySubnetName") for one in nics for config in one.get("ipConfigs") or []), None)
        network = item["properties"]["providerSpecificDetails"].get("selectedRecoveryAzureNetworkId")
        network = network or next((one.get("recoveryVMNetworkId") for one in nics), None)
        cloud.store.private(item["id"]).update(network=network, subnet=subnet)
        if item["properties"]["protectionState"] in (replication.COPYING[0], replication.FIRST_POINT[0]):
            replication.start(cloud, item)
        replication.go_on(cloud, item)

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        wanted = job_filter(request.query.get("$filter", ""))
        return [item for item in super().found(cloud, request, path) if _matches(item, wanted)]

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Enable replication. An item that is there already stays as it is, and an error says so beside success (recorded traffic)."""
        container = cloud.store.get(ancestor(path.resource_id, 1))
        if container is None:
            raise self.missing(cloud, path)
        sent = self.properties(request)
        known = cloud.store.get(path.resource_id)
        if known is not None:
            return begin(cloud, request, known["id"], ENABLE_AGAIN, "site_recovery.item.again")
        policy = str(sent.get("policyId") or "")
        if cloud.store.get(policy) is None:
            raise no_such_resource(last(policy))
        body = {**self.identity(cloud, path), "properties": _new(cloud, path, sent)}
        name = body["properties"]["friendlyName"]
        return begin(
            cloud,
            request,
            body["id"],
            "item",
            "site_recovery.item.enable",
            target_name=name,
            body=body,
            placement=_placement(cloud, body, sent),
        )

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        item = self.require(cloud, path)
        refuse_busy(cloud, item)
        return begin(cloud, request, item["id"], "item.update", "site_recovery.item.update", item=item["id"], sent=self.properties(request))

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Disable (POST remove) or purge (DELETE): both at any time (recorded traffic)."""
        item = self.require(cloud, path)
        refuse_busy(cloud, item)
        return begin(cloud, request, item["id"], "item.remove", "site_recovery.item.remove", item=item["id"])

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        return mobility.show(request, body)

    def _mobility(self, scenario: str) -> Handler:
        def handler(cloud: Cloud, request: Request, path: Path) -> Response:
            item = self.require(cloud, path)
            refuse_busy(cloud, item)
            return mobility.start(cloud, request, item, scenario)

        return handler

    def _work(self, scenario: str) -> Any:
        def handler(cloud: Cloud, request: Request, path: Path) -> Response:
            item = self.require(cloud, path)
            refuse_busy(cloud, item)
            return begin(cloud, request, item["id"], scenario, f"site_recovery.{scenario}", item=item["id"])

        return handler


def refuse_busy(cloud: Cloud, item: Body) -> None:
    """Refuse (409) while an operation runs on the item."""
    if cloud.operations.running(item["id"]):
        raise busy(item["properties"]["friendlyName"], "an operation on the item")
    if not replication.is_idle(item):
        raise busy(item["properties"]["friendlyName"], item["properties"]["currentScenario"]["scenarioName"])


def _matches(item: Body, wanted: dict[str, str]) -> bool:
    """The item list's $filter, clause by clause (API document, ProtectedItemsQueryParameter), as far as items tell."""
    properties = item["properties"]
    details = properties.get("providerSpecificDetails") or {}
    values = {
        "sourcefabricname": item["id"].split("/")[10],
        "sourcefabriclocation": str(details.get("primaryFabricLocation") or ""),
        "recoveryfabricname": last(str(properties.get("recoveryFabricId") or "")),
        "instancetype": instance_type(details),
    }
    return all(values[name].lower() == value.lower() for name, value in wanted.items() if name in values)


def fill(cloud: Cloud, item: Body) -> None:
    """What an item of an estate must have for its states to be shown and walked."""
    properties = item.setdefault("properties", {})
    defaults: Body = {
        "friendlyName": item["name"],
        "protectionState": "Protected",
        "protectionStateDescription": "Protected",
        "activeLocation": "Primary",
        "testFailoverState": "None",
        "testFailoverStateDescription": "None",
        "replicationHealth": "Normal",
        "failoverHealth": "Normal",
        "healthErrors": [],
        "currentScenario": current_scenario(item["id"]),
        "providerSpecificDetails": {},
    }
    for name, value in defaults.items():
        if properties.get(name) is None:
            properties[name] = value
    if properties.get("allowedOperations") is None:
        properties["allowedOperations"] = list(replication.ready(item))
    details = properties["providerSpecificDetails"]
    if is_a2a(item) and not details.get("recoveryAzureResourceGroupId"):
        home = next((one["recoveryResourceGroupId"] for one in details.get("protectedManagedDisks") or []), None)
        details["recoveryAzureResourceGroupId"] = home or source_machine(item).partition("/providers/")[0] + "-asr"


def _new(cloud: Cloud, path: Path, sent: Body) -> Body:
    """The properties of an item whose replication is being enabled."""
    container = ancestor(path.resource_id, 1)
    fabric = ancestor(container, 1)
    details = sent.get("providerSpecificDetails") or {}
    kind = instance_type(details)
    policy = str(sent["policyId"])
    if kind == "A2A":
        recovery_container = str(details.get("recoveryContainerId") or "")
        target = cloud.store.get(recovery_container)
        if target is None:
            raise no_such_resource(last(recovery_container))
        recovery_fabric = ancestor(target["id"], 1)
        recovery = {
            "recoveryFabricFriendlyName": friendly(cloud, recovery_fabric),
            "recoveryFabricId": recovery_fabric,
            "recoveryProtectionContainerFriendlyName": friendly(cloud, target["id"]),
        }
        container_id = target["id"]
        specific = details_of(cloud, path, details)
        name = last(str(details.get("fabricObjectId") or path.name))
    else:
        recovery = {"recoveryFabricFriendlyName": AZURE, "recoveryFabricId": AZURE, "recoveryProtectionContainerFriendlyName": AZURE}
        container_id = f"{asr_id(vault_of(path.resource_id))}/replicationFabrics/{AZURE_CONTAINER}"
        specific = dict(details)
        name = friendly(cloud, str(sent.get("protectableItemId") or path.name))
    return {
        "friendlyName": name,
        "protectedItemType": "" if kind == "A2A" else "HyperVVirtualMachine",
        "protectableItemId": sent.get("protectableItemId"),
        "recoveryServicesProviderId": provider_id(fabric),
        "primaryFabricFriendlyName": friendly(cloud, fabric),
        "primaryFabricProvider": "AzureFabric" if kind == "A2A" else "VmmFabric",
        **recovery,
        "primaryProtectionContainerFriendlyName": friendly(cloud, container),
        "protectionState": "",
        "activeLocation": "Primary",
        "testFailoverState": "None",
        "testFailoverStateDescription": "None",
        "switchProviderState": "None",
        "switchProviderStateDescription": None,
        "allowedOperations": [],
        "replicationHealth": "Normal",
        "failoverHealth": "Normal",
        "healthErrors": [],
        "policyId": asr_id(policy),
        "policyFriendlyName": friendly(cloud, policy),
        "currentScenario": current_scenario(asr_id(path.resource_id)),
        "failoverRecoveryPointId": None,
        "providerSpecificDetails": specific,
        "recoveryContainerId": container_id,
        "eventCorrelationId": cloud.guid(),
    }


def _placement(cloud: Cloud, item: Body, sent: Body) -> Body:
    """Network and subnet of the recovered machine: as asked for, else by the network mapping of the source's network."""
    details = sent.get("providerSpecificDetails") or {}
    network = details.get("recoveryAzureNetworkId")
    subnet = last(str(details.get("recoverySubnetName") or "")) or None
    if not network and instance_type(details) == "A2A":
        machine = cloud.store.get(str(details.get("fabricObjectId"))) or {}
        interfaces = (machine.get("properties", {}).get("networkProfile") or {}).get("networkInterfaces") or []
        sources = {key(str(nic(cloud, str(one["id"]), None, None)["vMNetworkName"] or "")) for one in interfaces}
        for mapping in cloud.store.of_type(NETWORK_MAPPING, ancestor(item["id"], 2)):
            if key(str(mapping["properties"]["primaryNetworkId"])) in sources:
                network = mapping["properties"]["recoveryNetworkId"]
    return {"network": network, "subnet": subnet}


@effect("site_recovery.item.enable")
def _enable(cloud: Cloud, job: str, body: Body, placement: Body) -> None:
    cloud.store.put(body["id"], body)
    cloud.store.private(body["id"]).update(placement)
    replication.start(cloud, body)


@effect("site_recovery.item.again")
def _again(cloud: Cloud, job: str) -> None:
    operation = cloud.operations.get(last(job))
    if operation is not None:
        operation.error = {"code": "45031", "message": "Protection has already been enabled for the virtual machine."}


@effect("site_recovery.item.update")
def _update(cloud: Cloud, job: str, item: str, sent: Body | None = None) -> None:
    """PATCH: the names of the input are those of the answer, at the top or in the details (API document)."""
    body = cloud.store.get(item)
    if body is None or not sent:
        return
    details = body["properties"]["providerSpecificDetails"]
    given = dict(sent.get("providerSpecificDetails") or {})
    if given.get("recoveryResourceGroupId"):
        given["recoveryAzureResourceGroupId"] = given.pop("recoveryResourceGroupId")
    kept = ("recoveryAzureVMName", "recoveryAzureVMSize", "selectedRecoveryAzureNetworkId", "selectedTfoAzureNetworkId", "licenseType")
    given.update({name: sent[name] for name in kept if sent.get(name) is not None})
    if sent.get("recoveryAvailabilitySetId"):
        given["recoveryAvailabilitySet"] = sent["recoveryAvailabilitySetId"]
    given.pop("managedDiskUpdateDetails", None)
    merge(details, given)
    if sent.get("selectedRecoveryAzureNetworkId"):
        cloud.store.private(item)["network"] = sent["selectedRecoveryAzureNetworkId"]
    for change in sent.get("vmNics") or []:
        for one in details.get("vmNics") or []:
            if one["nicId"] == change.get("nicId"):
                merge(one, change)


@effect("site_recovery.item.remove")
def _remove(cloud: Cloud, job: str, item: str) -> None:
    """The item goes, and with it its place in recovery plans."""
    replication.drop(cloud, item)
    cloud.store.delete(item)
    for plan in cloud.store.of_type(PLAN, vault_of(item)):
        for group in plan["properties"].get("groups") or []:
            held = group.get("replicationProtectedItems") or []
            group["replicationProtectedItems"] = [one for one in held if key(one["id"]) != key(item)]


@effect("site_recovery.repairReplication")
def _repair(cloud: Cloud, job: str, item: str) -> None:
    body = cloud.store.get(item)
    for one in (body["properties"]["providerSpecificDetails"].get("protectedManagedDisks") or []) if body else []:
        one["resyncRequired"] = False
