# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What an A2A item looks like: its details when it is new, its disks and network interfaces, and the same item on the other side."""

from __future__ import annotations

import copy

from ...cloud import Cloud
from ...paths import Path, key, parse
from ...resource_types import Body
from .base import CONTAINER, ancestor, asr_id, bad_request, current_scenario, entity_guid, friendly, instance_type, last, stored_id
from .fabrics import location_of, provider_id

AGENT_VERSION = "9.55.6808.1"  # recorded traffic
GIB = 1 << 30


def is_a2a(item: Body) -> bool:
    return instance_type(item["properties"].get("providerSpecificDetails")) == "A2A"


def source_machine(item: Body) -> str:
    return str(item["properties"]["providerSpecificDetails"].get("fabricObjectId") or "")


def source_facts(item: Body) -> Body:
    """What the item says of its source machine, in a VM's form: for an estate that holds the item and not the machine."""
    details = item["properties"]["providerSpecificDetails"]
    disks = details.get("protectedManagedDisks") or [{}]
    system = next((one for one in disks if one.get("diskType") == "OperatingSystem"), disks[0])
    facts = {"osType": details.get("osType"), "name": system.get("diskName"), "diskSizeGB": (system.get("diskCapacityInBytes") or 0) // GIB}
    return {
        "tags": (details.get("vmSyncedConfigDetails") or {}).get("tags") or {},
        "properties": {
            "hardwareProfile": {"vmSize": details.get("recoveryAzureVMSize") or "Standard_DS1_v2"},
            "storageProfile": {"osDisk": {name: value for name, value in facts.items() if value}},
        },
    }


def recovered_machine(item: Body, test: bool = False) -> str:
    """The id of the VM that a failover of the item makes ("" when the item does not say where)."""
    details = item["properties"]["providerSpecificDetails"]
    name = details.get("recoveryAzureVMName") or details.get("recoveryAzureVmName") or item["properties"]["friendlyName"]
    if test:
        name = details.get("tfoAzureVMName") or f"{name}-test"
    group = details.get("recoveryAzureResourceGroupId")
    return f"{group}/providers/Microsoft.Compute/virtualMachines/{name}" if group else ""


def recovery_container(cloud: Cloud, item: Body) -> str | None:
    """The id of the container that an item fails over to: as it says, else the first of its recovery fabric."""
    properties = item["properties"]
    said = cloud.store.get(str(properties.get("recoveryContainerId") or ""))
    found = said or next(cloud.store.of_type(CONTAINER, str(properties.get("recoveryFabricId") or "none")), None)
    return str(found["id"]) if found else None


def details_of(cloud: Cloud, path: Path, sent: Body) -> Body:
    """providerSpecificDetails of a new A2A item: what was asked for, and what its source machine says (form: recorded traffic)."""
    source = str(sent.get("fabricObjectId") or "")
    if parse(source).type.lower() != "microsoft.compute/virtualmachines":
        raise bad_request(
            "InvalidParameter",
            f"fabricObjectId '{source}' is not the id of a virtual machine.",
            "The request names no virtual machine.",
            "Name the virtual machine by its resource id.",
        )
    machine = (cloud.store.get(source) or {}).get("properties", {})
    storage = machine.get("storageProfile") or {}
    primary = location_of(cloud, ancestor(path.resource_id, 2))
    recovery = location_of(cloud, ancestor(str(sent["recoveryContainerId"]), 1))
    group = sent.get("recoveryResourceGroupId")
    name = last(source)
    own = [storage.get("osDisk") or {}, *(storage.get("dataDisks") or [])]
    disks = sent.get("vmManagedDisks") or [{"diskId": one["managedDisk"]["id"]} for one in own if one.get("managedDisk")]
    return {
        "instanceType": "A2A",
        "fabricObjectId": source.lower(),
        "initialPrimaryZone": "",
        "initialPrimaryFabricLocation": primary,
        "initialRecoveryZone": "",
        "initialPrimaryExtendedLocation": None,
        "initialRecoveryExtendedLocation": None,
        "initialRecoveryFabricLocation": recovery,
        "multiVmGroupId": sent.get("multiVmGroupId") or cloud.guid(),
        "multiVmGroupName": sent.get("multiVmGroupName") or "",
        "multiVmGroupCreateOption": "UserSpecified" if sent.get("multiVmGroupName") else "AutoCreated",
        "managementId": cloud.guid(),
        "protectedDisks": None,
        "unprotectedDisks": None,
        "protectedManagedDisks": [disk(storage, one, group) for one in disks],
        "recoveryBootDiagStorageAccountId": sent.get("recoveryBootDiagStorageAccountId"),
        "primaryFabricLocation": primary,
        "recoveryFabricLocation": recovery,
        "osType": (storage.get("osDisk") or {}).get("osType", "Windows"),
        "recoveryAzureVMSize": (machine.get("hardwareProfile") or {}).get("vmSize", "Standard_DS1_v2"),
        "recoveryAzureVMName": name,
        "recoveryAzureResourceGroupId": group,
        "recoveryCloudService": sent.get("recoveryCloudServiceId"),
        "recoveryAvailabilitySet": sent.get("recoveryAvailabilitySetId"),
        "selectedRecoveryAzureNetworkId": None,
        "selectedTfoAzureNetworkId": None,
        "vmNics": [],
        "vmSyncedConfigDetails": {"tags": {}, "inputEndpoints": []},
        "monitoringPercentageCompletion": None,
        "monitoringJobType": None,
        "lastHeartbeat": None,
        "agentVersion": AGENT_VERSION,
        "agentExpiryDate": "9999-12-31T23:59:59.9999999",
        "isReplicationAgentUpdateRequired": False,
        "isReplicationAgentCertificateUpdateRequired": False,
        "recoveryFabricObjectId": None,
        "vmProtectionState": "UnprotectedStatesBegin",
        "vmProtectionStateDescription": "Enabling protection",
        "lifecycleId": None,
        "testFailoverRecoveryFabricObjectId": None,
        "rpoInSeconds": None,
        "lastRpoCalculatedTime": None,
        "rtoInSeconds": None,
        "primaryAvailabilityZone": None,
        "recoveryAvailabilityZone": sent.get("recoveryAvailabilityZone"),
        "primaryExtendedLocation": None,
        "recoveryExtendedLocation": None,
        "vmEncryptionType": "NotEncrypted",
        "tfoAzureVMName": f"{name}-test",
        "recoveryAzureGeneration": "V1",
        "recoveryProximityPlacementGroupId": sent.get("recoveryProximityPlacementGroupId"),
        "autoProtectionOfDataDisk": sent.get("autoProtectionOfDataDisk") or "Disabled",
        "recoveryVirtualMachineScaleSetId": sent.get("recoveryVirtualMachineScaleSetId"),
        "recoveryCapacityReservationGroupId": sent.get("recoveryCapacityReservationGroupId"),
    }


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
        "diskId": identifier.lower(),
        "recoveryResourceGroupId": target_group,
        "recoveryTargetDiskId": None,
        "recoveryReplicaDiskId": f"{target_group}/providers/Microsoft.Compute/disks/{name}-ASRReplica",
        "recoveryOrignalTargetDiskId": None,
        "recoveryReplicaDiskAccountType": sent.get("recoveryReplicaDiskAccountType") or kind,
        "recoveryTargetDiskAccountType": sent.get("recoveryTargetDiskAccountType") or kind,
        "recoveryDiskEncryptionSetId": sent.get("recoveryDiskEncryptionSetId"),
        "primaryDiskEncryptionSetId": None,
        "diskName": name,
        "diskCapacityInBytes": (entry.get("diskSizeGB") or 127) * GIB + (2 << 20),
        "primaryStagingAzureStorageAccountId": sent.get("primaryStagingAzureStorageAccountId"),
        "diskType": "OperatingSystem" if not entry or entry is system else "Data",
        "resyncRequired": False,
        "monitoringPercentageCompletion": None,
        "monitoringJobType": None,
        "dataPendingInStagingStorageAccountInMB": 0.0,
        "dataPendingAtSourceAgentInMB": 0.0,
        "diskState": "Unavailable",
        "allowedDiskLevelOperation": [],
        "isDiskEncrypted": False,
        "secretIdentifier": None,
        "dekKeyVaultArmId": None,
        "isDiskKeyEncrypted": False,
        "keyIdentifier": None,
        "kekKeyVaultArmId": None,
        "failoverDiskName": name,
        "tfoDiskName": f"{name}-ASRtest",
    }


def nics(cloud: Cloud, item: Body) -> list[Body]:
    """The network interfaces of an A2A item, from its source machine's."""
    details = item["properties"]["providerSpecificDetails"]
    private = cloud.store.private(item["id"])
    machine = cloud.store.get(details["fabricObjectId"]) or {}
    found = (machine.get("properties", {}).get("networkProfile") or {}).get("networkInterfaces") or []
    made = [nic(cloud, str(one["id"]), private.get("network"), private.get("subnet")) for one in found]
    for one, before in zip(made, details.get("vmNics") or [], strict=False):
        one["recoveryNetworkSecurityGroupId"] = before.get("recoveryNetworkSecurityGroupId")
        for config, earlier in zip(one["ipConfigs"], before.get("ipConfigs") or [], strict=False):
            config.update({name: earlier.get(name) for name in ("recoveryPublicIPAddressId", "recoveryLBBackendAddressPoolIds")})
    return made or details.get("vmNics") or []


def nic(cloud: Cloud, identifier: str, network: str | None, subnet: str | None) -> Body:
    """One network interface of an item (form: recorded traffic)."""
    source = cloud.store.get(identifier) or {"id": identifier}
    shown = []
    source_network = None
    for number, config in enumerate(source.get("properties", {}).get("ipConfigurations") or [{}]):
        properties = config.get("properties") or {}
        source_subnet = (properties.get("subnet") or {}).get("id") or ""
        source_network = source_subnet.rpartition("/subnets/")[0] or source_network
        shown.append(
            {
                "name": config.get("name"),
                "isPrimary": properties.get("primary", number == 0),
                "subnetName": last(source_subnet) or None,
                "staticIPAddress": properties.get("privateIPAddress"),
                "ipAddressType": properties.get("privateIPAllocationMethod", "Dynamic"),
                "isSeletedForFailover": True,
                "recoverySubnetName": subnet or last(source_subnet) or None,
                "recoveryStaticIPAddress": "",
                "recoveryIPAddressType": "Dynamic",
                "recoveryPublicIPAddressId": None,
                "recoveryLBBackendAddressPoolIds": None,
                "tfoSubnetName": None,
                "tfoStaticIPAddress": None,
                "tfoPublicIPAddressId": None,
                "tfoLBBackendAddressPoolIds": None,
            }
        )
    return {
        "nicId": entity_guid(source["id"]),
        "replicaNicId": None,
        "sourceNicArmId": source["id"],
        "vMNetworkName": source_network,
        "recoveryVMNetworkId": network,
        "ipConfigs": shown,
        "selectionType": "SelectedByUserOverride",
        "recoveryNetworkSecurityGroupId": None,
        "enableAcceleratedNetworkingOnRecovery": False,
        "tfoVMNetworkId": None,
        "tfoNetworkSecurityGroupId": None,
        "enableAcceleratedNetworkingOnTfo": None,
        "recoveryNicName": None,
        "recoveryNicResourceGroupName": None,
        "reuseExistingNic": False,
        "tfoRecoveryNicName": None,
        "tfoRecoveryNicResourceGroupName": None,
        "tfoReuseExistingNic": False,
        "targetNicName": None,
    }


def switched(cloud: Cloud, item: Body, given: Body) -> Body:
    """The item as it is on the other side."""
    container = str(recovery_container(cloud, item))
    fabric, home = ancestor(container, 1), ancestor(item["id"], 1)
    moved = copy.deepcopy(item)
    properties, details = moved["properties"], moved["properties"]["providerSpecificDetails"]
    identifier = f"{container}/replicationProtectedItems/{item['name']}"
    source = recovered_machine(item)
    machine = cloud.store.get(source) or {"properties": {}}
    group = given.get("recoveryResourceGroupId") or stored_id(cloud, source_machine(item)).partition("/providers/")[0]
    storage = machine["properties"].get("storageProfile") or {}
    recovered_group = source.partition("/providers/")[0]
    kept = details.get("protectedManagedDisks") or []
    names = [one.get("failoverDiskName") or one["diskName"] for one in kept]
    sent = given.get("vmManagedDisks") or [{"diskId": f"{recovered_group}/providers/Microsoft.Compute/disks/{name}"} for name in names]
    disks = [disk(storage, one, group) for one in sent]
    for one, before in zip(disks, kept, strict=False):
        one.update(
            diskCapacityInBytes=before.get("diskCapacityInBytes"),
            diskType=before.get("diskType"),
            recoveryOrignalTargetDiskId=f"{group}/providers/Microsoft.Compute/disks/{before['diskName']}",
        )
    details.pop("agentCertificateExpiryDate", None)
    details.update(
        fabricObjectId=source.lower(),
        managementId=cloud.guid(),
        protectedManagedDisks=disks,
        recoveryAzureResourceGroupId=group,
        primaryFabricLocation=location_of(cloud, fabric),
        recoveryFabricLocation=location_of(cloud, ancestor(home, 1)),
        selectedRecoveryAzureNetworkId=None,
        monitoringPercentageCompletion=None,
        monitoringJobType=None,
        lastHeartbeat=None,
        recoveryFabricObjectId=None,
        vmProtectionState="UnprotectedStatesBegin",
        vmProtectionStateDescription="Enabling protection",
        lifecycleId=None,
        rpoInSeconds=None,
        lastRpoCalculatedTime=None,
        vmNics=[_switched_nic(cloud, one, machine) for one in details.get("vmNics") or []],
    )
    properties.update(
        recoveryServicesProviderId=provider_id(fabric),
        primaryFabricFriendlyName=friendly(cloud, fabric),
        recoveryFabricFriendlyName=friendly(cloud, ancestor(home, 1)),
        recoveryFabricId=ancestor(home, 1),
        primaryProtectionContainerFriendlyName=friendly(cloud, container),
        recoveryProtectionContainerFriendlyName=friendly(cloud, home),
        activeLocation="Primary",
        testFailoverState="None",
        testFailoverStateDescription="None",
        failoverHealth="Normal",
        healthErrors=[],
        failoverRecoveryPointId=None,
        currentScenario=current_scenario(identifier),
        recoveryContainerId=home,
        eventCorrelationId=cloud.guid(),
    )
    properties.pop("lastSuccessfulTestFailoverTime", None)
    if given.get("policyId"):
        properties.update(policyId=asr_id(given["policyId"]), policyFriendlyName=friendly(cloud, given["policyId"]))
    return {**moved, "id": identifier}


def _switched_nic(cloud: Cloud, one: Body, machine: Body) -> Body:
    """A network interface while the item replicates back: the source side is not known yet (recorded traffic)."""
    before = cloud.store.get(str(one.get("sourceNicArmId"))) or {}
    configs = before.get("properties", {}).get("ipConfigurations") or []
    address = (configs[0].get("properties", {}).get("publicIPAddress") or {}).get("id") if configs else None
    found = (machine["properties"].get("networkProfile") or {}).get("networkInterfaces") or []
    return {
        **one,
        "sourceNicArmId": str(found[0]["id"] if found else one.get("sourceNicArmId")).lower(),
        "vMNetworkName": None,
        "recoveryVMNetworkId": one.get("vMNetworkName"),
        "selectionType": "NotSelected",
        "recoveryNetworkSecurityGroupId": (before.get("properties", {}).get("networkSecurityGroup") or {}).get("id"),
        "ipConfigs": [
            {
                **config,
                "name": None,
                "subnetName": None,
                "staticIPAddress": None,
                "recoveryPublicIPAddressId": address,
                "recoverySubnetName": config.get("subnetName"),
                "recoveryLBBackendAddressPoolIds": [],
            }
            for config in one.get("ipConfigs") or []
        ],
    }
