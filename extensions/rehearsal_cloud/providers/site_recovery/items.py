# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Replicated items: enable, read, update, remove; and their recovery points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...clock import asr_time
from ...cloud import Cloud, Request, Response
from ...paths import Path, key, parse
from ...resource_types import Body, merge
from ...timeline import effect
from . import replication
from .base import (
    AZURE,
    ITEM,
    NETWORK_MAPPING,
    PLAN,
    RECOVERY_POINT,
    Bodies,
    SiteRecoveryType,
    ancestor,
    asr_id,
    bad_request,
    busy,
    entity_guid,
    friendly,
    instance_type,
    last,
    no_such_resource,
    vault_of,
)
from .fabrics import location_of, provider_id
from .jobs import job_filter
from .mappings import AZURE_CONTAINER
from .operations import begin
from .scenarios import SCENARIOS

AGENT_VERSION = "9.55.6808.1"  # recorded traffic
POINT_SECONDS = 300
ENABLE_AGAIN = replace(SCENARIOS["item"], seconds=1)


class Items(SiteRecoveryType):
    """replicationProtectedItems."""

    name = "*/replicationProtectedItems"
    kind = ITEM

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"remove": self.delete, "updatemobilityservice": self._work("updateMobilityService"),
                        "reinstallmobilityservice": self._work("updateMobilityService"),
                        "repairreplication": self._work("repairReplication"),
                        "resolvehealtherrors": self._work("item.update")}

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
        return begin(cloud, request, body["id"], "item", "site_recovery.item.enable", target_name=name, body=body,
                     placement=_placement(cloud, body, sent))

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        item = self.require(cloud, path)
        refuse_busy(cloud, item)
        return begin(cloud, request, item["id"], "item.update", "site_recovery.item.update", item=item["id"], sent=self.properties(request))

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Disable (POST remove) or purge (DELETE): both at any time (recorded traffic)."""
        item = self.require(cloud, path)
        refuse_busy(cloud, item)
        return begin(cloud, request, item["id"], "item.remove", "site_recovery.item.remove", item=item["id"])

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
    values = {"sourcefabricname": item["id"].split("/")[10], "sourcefabriclocation": str(details.get("primaryFabricLocation") or ""),
              "recoveryfabricname": last(str(properties.get("recoveryFabricId") or "")), "instancetype": instance_type(details)}
    return all(values[name].lower() == value.lower() for name, value in wanted.items() if name in values)


def fill(cloud: Cloud, item: Body) -> None:
    """What an item of an estate must have for its states to be shown and walked."""
    properties = item.setdefault("properties", {})
    defaults: Body = {
        "friendlyName": item["name"], "protectionState": "Protected", "protectionStateDescription": "Protected",
        "activeLocation": "Primary", "testFailoverState": "None", "testFailoverStateDescription": "None",
        "replicationHealth": "Normal", "failoverHealth": "Normal", "healthErrors": [],
        "currentScenario": replication.scenario(item["id"]), "providerSpecificDetails": {}}
    for name, value in defaults.items():
        if properties.get(name) is None:
            properties[name] = value
    if properties.get("allowedOperations") is None:
        properties["allowedOperations"] = list(replication.ready(item))


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
        recovery = {"recoveryFabricFriendlyName": friendly(cloud, recovery_fabric), "recoveryFabricId": recovery_fabric,
                    "recoveryProtectionContainerFriendlyName": friendly(cloud, target["id"])}
        container_id = target["id"]
        specific = _a2a(cloud, path, details)
        name = last(str(details.get("fabricObjectId") or path.name))
    else:
        recovery = {"recoveryFabricFriendlyName": AZURE, "recoveryFabricId": AZURE, "recoveryProtectionContainerFriendlyName": AZURE}
        container_id = f"{asr_id(vault_of(path.resource_id))}/replicationFabrics/{AZURE_CONTAINER}"
        specific = dict(details)
        name = friendly(cloud, str(sent.get("protectableItemId") or path.name))
    return {
        "friendlyName": name, "protectedItemType": "" if kind == "A2A" else "HyperVVirtualMachine",
        "protectableItemId": sent.get("protectableItemId"), "recoveryServicesProviderId": provider_id(fabric),
        "primaryFabricFriendlyName": friendly(cloud, fabric), "primaryFabricProvider": "AzureFabric" if kind == "A2A" else "VmmFabric",
        **recovery, "primaryProtectionContainerFriendlyName": friendly(cloud, container), "protectionState": "",
        "activeLocation": "Primary",
        "testFailoverState": "None", "testFailoverStateDescription": "None", "switchProviderState": "None",
        "switchProviderStateDescription": None, "allowedOperations": [], "replicationHealth": "Normal", "failoverHealth": "Normal",
        "healthErrors": [], "policyId": asr_id(policy), "policyFriendlyName": friendly(cloud, policy),
        "currentScenario": replication.scenario(asr_id(path.resource_id)), "failoverRecoveryPointId": None,
        "providerSpecificDetails": specific, "recoveryContainerId": container_id, "eventCorrelationId": cloud.guid()}


def _a2a(cloud: Cloud, path: Path, sent: Body) -> Body:
    """providerSpecificDetails of a new A2A item: what was asked for, and what its source machine says (form: recorded traffic)."""
    source = str(sent.get("fabricObjectId") or "")
    if parse(source).type.lower() != "microsoft.compute/virtualmachines":
        raise bad_request("InvalidParameter", f"fabricObjectId '{source}' is not the id of a virtual machine.",
                          "The request names no virtual machine.", "Name the virtual machine by its resource id.")
    machine = (cloud.store.get(source) or {}).get("properties", {})
    storage = machine.get("storageProfile") or {}
    primary = location_of(cloud, ancestor(path.resource_id, 2))
    recovery = location_of(cloud, ancestor(str(sent["recoveryContainerId"]), 1))
    group = sent.get("recoveryResourceGroupId")
    name = last(source)
    own = [storage.get("osDisk") or {}, *(storage.get("dataDisks") or [])]
    disks = sent.get("vmManagedDisks") or [{"diskId": one["managedDisk"]["id"]} for one in own if one.get("managedDisk")]
    return {
        "instanceType": "A2A", "fabricObjectId": source.lower(), "initialPrimaryZone": "", "initialPrimaryFabricLocation": primary,
        "initialRecoveryZone": "", "initialPrimaryExtendedLocation": None, "initialRecoveryExtendedLocation": None,
        "initialRecoveryFabricLocation": recovery, "multiVmGroupId": sent.get("multiVmGroupId") or cloud.guid(),
        "multiVmGroupName": sent.get("multiVmGroupName") or "",
        "multiVmGroupCreateOption": "UserSpecified" if sent.get("multiVmGroupName") else "AutoCreated", "managementId": cloud.guid(),
        "protectedDisks": None, "unprotectedDisks": None, "protectedManagedDisks": [disk(storage, one, group) for one in disks],
        "recoveryBootDiagStorageAccountId": sent.get("recoveryBootDiagStorageAccountId"), "primaryFabricLocation": primary,
        "recoveryFabricLocation": recovery, "osType": (storage.get("osDisk") or {}).get("osType", "Windows"),
        "recoveryAzureVMSize": (machine.get("hardwareProfile") or {}).get("vmSize", "Standard_DS1_v2"), "recoveryAzureVMName": name,
        "recoveryAzureResourceGroupId": group, "recoveryCloudService": sent.get("recoveryCloudServiceId"),
        "recoveryAvailabilitySet": sent.get("recoveryAvailabilitySetId"), "selectedRecoveryAzureNetworkId": None,
        "selectedTfoAzureNetworkId": None, "vmNics": [], "vmSyncedConfigDetails": {"tags": {}, "inputEndpoints": []},
        "monitoringPercentageCompletion": None, "monitoringJobType": None, "lastHeartbeat": None, "agentVersion": AGENT_VERSION,
        "agentExpiryDate": "9999-12-31T23:59:59.9999999", "isReplicationAgentUpdateRequired": False,
        "isReplicationAgentCertificateUpdateRequired": False, "recoveryFabricObjectId": None, "vmProtectionState": "UnprotectedStatesBegin",
        "vmProtectionStateDescription": "Enabling protection", "lifecycleId": None, "testFailoverRecoveryFabricObjectId": None,
        "rpoInSeconds": None, "lastRpoCalculatedTime": None, "rtoInSeconds": None, "primaryAvailabilityZone": None,
        "recoveryAvailabilityZone": sent.get("recoveryAvailabilityZone"), "primaryExtendedLocation": None, "recoveryExtendedLocation": None,
        "vmEncryptionType": "NotEncrypted", "tfoAzureVMName": f"{name}-test", "recoveryAzureGeneration": "V1",
        "recoveryProximityPlacementGroupId": sent.get("recoveryProximityPlacementGroupId"),
        "autoProtectionOfDataDisk": sent.get("autoProtectionOfDataDisk") or "Disabled",
        "recoveryVirtualMachineScaleSetId": sent.get("recoveryVirtualMachineScaleSetId"),
        "recoveryCapacityReservationGroupId": sent.get("recoveryCapacityReservationGroupId")}


def disk(storage: Body, sent: Body, group: str | None) -> Body:
    """One protected disk of an A2A item; its size from the machine's storage profile, 127 GiB where that says nothing."""
    identifier = str(sent.get("diskId") or "")
    name = last(identifier)
    system = storage.get("osDisk") or {}
    entries = [system, *(storage.get("dataDisks") or [])]
    entry: Body = next((d for d in entries if key(str((d.get("managedDisk") or {}).get("id", ""))) == key(identifier)), {})
    kind = (entry.get("managedDisk") or {}).get("storageAccountType") or "Premium_LRS"
    target_group = sent.get("recoveryResourceGroupId") or group
    return {
        "diskId": identifier.lower(), "recoveryResourceGroupId": target_group, "recoveryTargetDiskId": None,
        "recoveryReplicaDiskId": f"{target_group}/providers/Microsoft.Compute/disks/{name}-ASRReplica", "recoveryOrignalTargetDiskId": None,
        "recoveryReplicaDiskAccountType": sent.get("recoveryReplicaDiskAccountType") or kind,
        "recoveryTargetDiskAccountType": sent.get("recoveryTargetDiskAccountType") or kind,
        "recoveryDiskEncryptionSetId": sent.get("recoveryDiskEncryptionSetId"), "primaryDiskEncryptionSetId": None, "diskName": name,
        "diskCapacityInBytes": (entry.get("diskSizeGB") or 127) * replication.GIB + (2 << 20),
        "primaryStagingAzureStorageAccountId": sent.get("primaryStagingAzureStorageAccountId"),
        "diskType": "OperatingSystem" if not entry or entry is system else "Data", "resyncRequired": False,
        "monitoringPercentageCompletion": None, "monitoringJobType": None, "dataPendingInStagingStorageAccountInMB": 0.0,
        "dataPendingAtSourceAgentInMB": 0.0, "diskState": "Unavailable", "allowedDiskLevelOperation": [], "isDiskEncrypted": False,
        "secretIdentifier": None, "dekKeyVaultArmId": None, "isDiskKeyEncrypted": False, "keyIdentifier": None, "kekKeyVaultArmId": None,
        "failoverDiskName": name, "tfoDiskName": f"{name}-ASRtest"}


def _placement(cloud: Cloud, item: Body, sent: Body) -> Body:
    """Network and subnet of the recovered machine: as asked for, else by the network mapping of the source's network."""
    details = sent.get("providerSpecificDetails") or {}
    network = details.get("recoveryAzureNetworkId")
    subnet = last(str(details.get("recoverySubnetName") or "")) or None
    if not network and instance_type(details) == "A2A":
        machine = cloud.store.get(str(details.get("fabricObjectId"))) or {}
        interfaces = (machine.get("properties", {}).get("networkProfile") or {}).get("networkInterfaces") or []
        sources = {key(str(replication.nic(cloud, str(one["id"]), None, None)["vMNetworkName"] or "")) for one in interfaces}
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


@effect("site_recovery.updateMobilityService")
def _update_mobility(cloud: Cloud, job: str, item: str) -> None:
    body = cloud.store.get(item)
    details = body["properties"]["providerSpecificDetails"] if body else {}
    if details.get("isReplicationAgentUpdateRequired"):
        versions = [str(other["properties"]["providerSpecificDetails"].get("agentVersion") or "")
                    for other in cloud.store.of_type(ITEM, vault_of(item))]
        newest = max([AGENT_VERSION, *versions], key=lambda text: [int(part) for part in text.split(".") if part.isdigit()])
        details.update(isReplicationAgentUpdateRequired=False, agentVersion=newest)


@effect("site_recovery.repairReplication")
def _repair(cloud: Cloud, job: str, item: str) -> None:
    body = cloud.store.get(item)
    for one in (body["properties"]["providerSpecificDetails"].get("protectedManagedDisks") or []) if body else []:
        one["resyncRequired"] = False


def recovery_points(cloud: Cloud, item: Body) -> list[Body]:
    """The recovery points of an item, newest first: every five minutes a crash-consistent one, and app-consistent ones as its policy says.

    They follow from the clock, so that reading makes none. At most a day of them, and none from before the item was protected.
    """
    properties = item["properties"]
    if properties["protectionState"] not in (replication.PROTECTED[0], replication.FAILED_OVER[0]):
        return []
    policy = (cloud.store.get(str(properties.get("policyId") or "")) or {}).get("properties", {}).get("providerSpecificDetails") or {}
    history = min(int(policy.get("recoveryPointHistory") or 1440), 1440) * 60
    every = int(policy.get("appConsistentFrequencyInMinutes") or 0) * 60
    private = cloud.store.private(item["id"])
    until = private.get("failed_over", cloud.clock.now)
    newest = int(until // POINT_SECONDS) * POINT_SECONDS
    oldest = max(newest - history, private.get("protected", 0))
    points = []
    for moment in range(newest, int(oldest), -POINT_SECONDS):
        name = entity_guid(item["id"], str(moment))
        kind = "AppConsistent" if every and moment % every < POINT_SECONDS else "CrashConsistent"
        points.append({"name": name, "type": RECOVERY_POINT, "id": f"{item['id']}/recoveryPoints/{name}", "properties": {
            "recoveryPointTime": asr_time(moment), "recoveryPointType": kind,
            "providerSpecificDetails": {"instanceType": "A2A", "recoveryPointSyncType": "PerVmRecoveryPoint", "disks": [
                one["diskName"] for one in properties["providerSpecificDetails"].get("protectedManagedDisks") or []]}}})
    return points or [{"name": entity_guid(item["id"], "first"), "type": RECOVERY_POINT,
                       "id": f"{item['id']}/recoveryPoints/{entity_guid(item['id'], 'first')}", "properties": {
                           "recoveryPointTime": asr_time(oldest or newest), "recoveryPointType": "CrashConsistent",
                           "providerSpecificDetails": {"instanceType": "A2A", "recoveryPointSyncType": "PerVmRecoveryPoint", "disks": []}}}]


class RecoveryPoints(SiteRecoveryType):
    """recoveryPoints of an item: those of the estate, or those that follow from the clock."""

    name = RECOVERY_POINT
    kind = RECOVERY_POINT

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        item = cloud.store.get(path.resource_id)
        if item is None:
            raise self.missing(cloud, path)
        return super().found(cloud, request, path) or recovery_points(cloud, item)

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        item = cloud.store.get(ancestor(path.resource_id, 1))
        if item is None:
            raise self.missing(cloud, path)
        points = list(cloud.store.of_type(self.kind, item["id"])) or recovery_points(cloud, item)
        for point in points:
            if point["name"].lower() == path.name.lower():
                return cloud.answer(200, point)
        raise no_such_resource(path.name)
