# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Small estates for tests: a vault that replicates machines from North Europe to West Europe, in the form in which Azure returns them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Body = dict[str, Any]

SUBSCRIPTION_ID = "11111111-2222-3333-4444-555555555555"
SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
PRIMARY, RECOVERY = "northeurope", "westeurope"
FRIENDLY = {PRIMARY: "North Europe", RECOVERY: "West Europe"}
GROUPS = {"rg-shop-neu": PRIMARY, "rg-shop-weu": RECOVERY, "rg-dr-weu": RECOVERY}
VAULT_ID = f"{SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu"
ACCOUNT_ID = f"{SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.Automation/automationAccounts/aa-dr-weu"
ASR = VAULT_ID.replace("/subscriptions/", "/Subscriptions/")  # as Site Recovery writes its own ids
POLICY = f"{ASR}/replicationPolicies/24-hour-retention-policy"
NETWORKS = {PRIMARY: ("rg-shop-neu", "vnet-shop-neu"), RECOVERY: ("rg-shop-weu", "vnet-shop-weu")}


def estate(
    machines: Iterable[str] = ("shop-web-01", "shop-web-02"), plans: Mapping[str, Sequence[Sequence[str]]] | None = None, *more: Body
) -> list[Body]:
    """A vault with both directions set up, `machines` (Linux) with their items, `plans` ({name: Boot groups of machines}), and `more`.

    A resource in `more` takes the place of one with the same id.
    """
    found = [*groups(), *map(network, NETWORKS), vault(), account(), policy()]
    found += [make(region) for region in (PRIMARY, RECOVERY) for make in (fabric, container, mapping, network_mapping)]
    found += [body for name in machines for body in (*machine(name), item(name))]
    found += [plan(name, members) for name, members in (plans or {}).items()]
    return list({body["id"].lower(): body for body in [*found, *more]}.values())


def shop() -> list[Body]:
    """The sample estate."""
    file = Path(__file__).parents[2] / "extensions" / "rehearsal_cloud" / "estates" / "shop.json"
    return json.loads(file.read_text())["resources"]


def fleet() -> list[Body]:
    """The sample estate of calm days, with scale sets."""
    file = Path(__file__).parents[2] / "extensions" / "rehearsal_cloud" / "estates" / "fleet.json"
    return json.loads(file.read_text())["resources"]


def guid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{text}.test.example"))


def resource(identifier: str, properties: Body | None = None, **more: Any) -> Body:
    """A resource of that id; its type and name are read from it."""
    namespace, *rest = identifier.rpartition("/providers/")[2].split("/")
    return {"id": identifier, "name": rest[-1], "type": "/".join([namespace, *rest[0::2]]), **more, "properties": properties or {}}


def in_group(group: str, path: str, properties: Body | None = None, **more: Any) -> Body:
    """A resource of that path ("Microsoft.Compute/disks/d") in a group of GROUPS, in that group's region."""
    return resource(
        f"{SUBSCRIPTION}/resourceGroups/{group}/providers/{path}",
        {"provisioningState": "Succeeded"} | (properties or {}),
        location=GROUPS[group],
        **more,
    )


def groups() -> list[Body]:
    return [
        {
            "id": f"{SUBSCRIPTION}/resourceGroups/{name}",
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": region,
            "properties": {"provisioningState": "Succeeded"},
        }
        for name, region in GROUPS.items()
    ]


def network_id(region: str) -> str:
    group, name = NETWORKS[region]
    return f"{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{name}"


def network(region: str) -> Body:
    group, name = NETWORKS[region]
    subnet = {"id": f"{network_id(region)}/subnets/app", "name": "app", "properties": {"addressPrefix": "10.0.1.0/24"}}
    return in_group(
        group, f"Microsoft.Network/virtualNetworks/{name}", {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet]}
    )


def vault(name: str = "rsv-dr-weu") -> Body:
    return in_group("rg-dr-weu", f"Microsoft.RecoveryServices/vaults/{name}", sku={"name": "Standard"})


def account(identity: str = "SystemAssigned") -> Body:
    return in_group(
        "rg-dr-weu",
        "Microsoft.Automation/automationAccounts/aa-dr-weu",
        {"state": "Ok", "sku": {"name": "Basic"}},
        identity={"type": identity},
    )


def policy() -> Body:
    return resource(
        POLICY,
        {
            "friendlyName": "24-hour-retention-policy",
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "recoveryPointThresholdInMinutes": 180,
                "recoveryPointHistory": 1440,
                "appConsistentFrequencyInMinutes": 240,
                "multiVmSyncStatus": "Enabled",
                "crashConsistentFrequencyInMinutes": 5,
            },
        },
    )


def fabric_id(region: str) -> str:
    return f"{ASR}/replicationFabrics/asr-a2a-default-{region}"


def container_id(region: str) -> str:
    return f"{fabric_id(region)}/replicationProtectionContainers/asr-a2a-default-{region}-container"


def other(region: str) -> str:
    return RECOVERY if region == PRIMARY else PRIMARY


def fabric(region: str) -> Body:
    kek = {"kekState": "None", "kekCertThumbprint": None}
    return resource(
        fabric_id(region),
        {
            "friendlyName": FRIENDLY[region],
            "encryptionDetails": kek,
            "rolloverEncryptionDetails": kek,
            "internalIdentifier": guid(region),
            "bcdrState": "Valid",
            "customDetails": {"instanceType": "Azure", "location": region, "containerIds": [], "zones": []},
            "healthErrorDetails": [],
            "health": "Normal",
        },
    )


def container(region: str) -> Body:
    return resource(
        container_id(region),
        {
            "fabricFriendlyName": FRIENDLY[region],
            "friendlyName": container_id(region).rpartition("/")[2],
            "fabricType": "Azure",
            "protectedItemCount": 0,
            "pairingStatus": "Paired",
            "role": "",
            "fabricSpecificDetails": None,
        },
    )


def mapping_id(region: str) -> str:
    return f"{container_id(region)}/replicationProtectionContainerMappings/{region}-{other(region)}-24-hour-retention-policy"


def mapping(region: str, *, details: Body | None = None, **properties: Any) -> Body:
    """The container mapping from a region to the other; `details` go over its providerSpecificDetails, `properties` over the rest."""
    far = other(region)
    return resource(
        mapping_id(region),
        {
            "targetProtectionContainerId": container_id(far),
            "targetProtectionContainerFriendlyName": container_id(far).rpartition("/")[2],
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "agentAutoUpdateStatus": "Disabled",
                "automationAccountAuthenticationType": "RunAsAccount",
                "automationAccountArmId": None,
                "scheduleName": None,
                "jobScheduleName": None,
            }
            | (details or {}),
            "health": "Normal",
            "healthErrorDetails": [],
            "policyId": POLICY,
            "state": "Paired",
            "sourceProtectionContainerFriendlyName": container_id(region).rpartition("/")[2],
            "sourceFabricFriendlyName": FRIENDLY[region],
            "targetFabricFriendlyName": FRIENDLY[far],
            "policyFriendlyName": "24-hour-retention-policy",
        }
        | properties,
    )


def network_mapping(region: str) -> Body:
    far = other(region)
    return resource(
        f"{fabric_id(region)}/replicationNetworks/azureNetwork/replicationNetworkMappings/{region}-{far}",
        {
            "state": "Paired",
            "primaryNetworkFriendlyName": NETWORKS[region][1],
            "primaryNetworkId": network_id(region).lower(),
            "primaryFabricFriendlyName": FRIENDLY[region],
            "recoveryNetworkFriendlyName": NETWORKS[far][1],
            "recoveryNetworkId": network_id(far).lower(),
            "recoveryFabricArmId": fabric_id(far),
            "recoveryFabricFriendlyName": FRIENDLY[far],
            "fabricSpecificSettings": {"instanceType": "AzureToAzure", "primaryFabricLocation": region, "recoveryFabricLocation": far},
        },
    )


def machine_id(name: str, region: str = PRIMARY) -> str:
    return f"{SUBSCRIPTION}/resourceGroups/{NETWORKS[region][0]}/providers/Microsoft.Compute/virtualMachines/{name}"


def machine(name: str, system: str = "Linux", region: str = PRIMARY) -> list[Body]:
    """A virtual machine with its disk and network interface."""
    group = NETWORKS[region][0]
    disk = in_group(
        group,
        f"Microsoft.Compute/disks/{name}_OsDisk_1",
        {"osType": system, "diskSizeGB": 64, "diskState": "Attached"},
        sku={"name": "Premium_LRS"},
    )
    nic = in_group(
        group,
        f"Microsoft.Network/networkInterfaces/{name}-nic",
        {
            "primary": True,
            "ipConfigurations": [
                {
                    "name": "ipconfig1",
                    "properties": {
                        "privateIPAddress": "10.0.1.4",
                        "privateIPAllocationMethod": "Dynamic",
                        "primary": True,
                        "subnet": {"id": f"{network_id(region)}/subnets/app"},
                    },
                }
            ],
        },
    )
    settings = {f"{system.lower()}Configuration": {"provisionVMAgent": True}}
    return [
        disk,
        nic,
        in_group(
            group,
            f"Microsoft.Compute/virtualMachines/{name}",
            {
                "vmId": guid(name),
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "storageProfile": {
                    "dataDisks": [],
                    "osDisk": {"osType": system, "name": disk["name"], "createOption": "FromImage", "managedDisk": {"id": disk["id"]}},
                },
                "osProfile": {"computerName": name, "adminUsername": "shopadmin", "allowExtensionOperations": True, **settings},
                "networkProfile": {"networkInterfaces": [{"id": nic["id"], "properties": {"primary": True}}]},
            },
            tags={"application": "shop"},
        ),
    ]


def scale_set_id(name: str, region: str = PRIMARY) -> str:
    return f"{SUBSCRIPTION}/resourceGroups/{NETWORKS[region][0]}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"


def scale_set(name: str, capacity: int, *extensions: Body, mode: str = "Manual", region: str = PRIMARY, **properties: Any) -> Body:
    """A Linux scale set whose model has the extensions, each {name, publisher, type, ...}; the cloud makes its instances. `properties` go
    over the rest."""
    model = [
        {
            "name": one["name"],
            "properties": {"typeHandlerVersion": "1.0", "autoUpgradeMinorVersion": True}
            | {key: value for key, value in one.items() if key != "name"},
        }
        for one in extensions
    ]
    return in_group(
        NETWORKS[region][0],
        f"Microsoft.Compute/virtualMachineScaleSets/{name}",
        {
            "upgradePolicy": {"mode": mode},
            "virtualMachineProfile": {
                "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "FromImage"}},
                "osProfile": {
                    "computerNamePrefix": name[:9],
                    "adminUsername": "shopadmin",
                    "linuxConfiguration": {"provisionVMAgent": True},
                },
                "extensionProfile": {"extensions": model},
            },
        }
        | properties,
        sku={"name": "Standard_D2s_v5", "tier": "Standard", "capacity": capacity},
    )


IMAGE = {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts-gen2", "version": "latest"}
IMAGES = ("22.04.202609100", "22.04.202610080")  # what is published of it, the oldest first


def published_images(region: str = PRIMARY) -> list[Body]:
    """The versions of IMAGE in a region."""
    offer = f"publishers/{IMAGE['publisher']}/artifacttypes/vmimage/offers/{IMAGE['offer']}/skus/{IMAGE['sku']}/versions"
    place = f"{SUBSCRIPTION}/providers/Microsoft.Compute/locations/{region}/{offer}"
    return [{"id": f"{place}/{version}", "name": version, "location": region, "properties": {}} for version in IMAGES]


def imaged_scale_set(name: str, capacity: int, version: str, upgrade: Body | None = None, region: str = PRIMARY) -> list[Body]:
    """A scale set that lacks nothing for upgrades of its image, with its instances, which run a version of IMAGE. `upgrade` goes into its
    upgrade policy."""
    kind = "ApplicationHealthLinux"
    body = scale_set(name, capacity, {"name": kind, "publisher": "Microsoft.ManagedServices", "type": kind}, region=region)
    body["properties"]["upgradePolicy"] |= upgrade or {}
    body["properties"]["virtualMachineProfile"]["storageProfile"]["imageReference"] = dict(IMAGE)
    profile = {"imageReference": {**IMAGE, "exactVersion": version}, "osDisk": {"osType": "Linux", "createOption": "FromImage"}}
    instances = [
        {
            **resource(f"{body['id']}/virtualMachines/{number}", {"provisioningState": "Succeeded", "storageProfile": profile}),
            "name": f"{name}_{number}",
            "location": region,
            "instanceId": str(number),
        }
        for number in range(capacity)
    ]
    return [body, *instances]


def item_id(name: str) -> str:
    return f"{container_id(PRIMARY)}/replicationProtectedItems/{guid(f'item {name}')}"


def item(name: str, *, system: str = "Linux", details: Body | None = None, **properties: Any) -> Body:
    """The replicated item of a machine, healthy and tested; `details` go over its providerSpecificDetails, `properties` over the rest."""
    group, disk = f"{SUBSCRIPTION}/resourceGroups/rg-shop-weu", f"{name}_OsDisk_1"
    disk_id = f"{SUBSCRIPTION}/resourceGroups/rg-shop-neu/providers/Microsoft.Compute/disks/{disk}"
    nic_id = f"{SUBSCRIPTION}/resourceGroups/rg-shop-neu/providers/Microsoft.Network/networkInterfaces/{name}-nic"
    return resource(
        item_id(name),
        {
            "friendlyName": name,
            "protectedItemType": "",
            "protectableItemId": None,
            "primaryFabricFriendlyName": FRIENDLY[PRIMARY],
            "primaryFabricProvider": "AzureFabric",
            "recoveryFabricFriendlyName": FRIENDLY[RECOVERY],
            "recoveryFabricId": fabric_id(RECOVERY),
            "primaryProtectionContainerFriendlyName": container_id(PRIMARY).rpartition("/")[2],
            "recoveryProtectionContainerFriendlyName": container_id(RECOVERY).rpartition("/")[2],
            "protectionState": "Protected",
            "protectionStateDescription": "Protected",
            "activeLocation": "Primary",
            "testFailoverState": "None",
            "testFailoverStateDescription": "None",
            "switchProviderState": "None",
            "allowedOperations": ["UnplannedFailover", "DisableProtection", "TestFailover"],
            "replicationHealth": "Normal",
            "failoverHealth": "Normal",
            "healthErrors": [],
            "policyId": POLICY,
            "policyFriendlyName": "24-hour-retention-policy",
            "currentScenario": {"scenarioName": "None", "jobId": f"{ASR}/replicationJobs/None", "startTime": "1753-01-01T01:01:01Z"},
            "failoverRecoveryPointId": None,
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "fabricObjectId": machine_id(name).lower(),
                "multiVmGroupId": guid(f"group {name}"),
                "multiVmGroupName": "",
                "multiVmGroupCreateOption": "AutoCreated",
                "managementId": guid(f"management {name}"),
                "protectedManagedDisks": [
                    {
                        "diskId": disk_id.lower(),
                        "recoveryResourceGroupId": group,
                        "recoveryTargetDiskId": None,
                        "diskName": disk,
                        "recoveryReplicaDiskId": f"{group}/providers/Microsoft.Compute/disks/{disk}-ASRReplica",
                        "recoveryReplicaDiskAccountType": "Premium_LRS",
                        "recoveryTargetDiskAccountType": "Premium_LRS",
                        "diskType": "OperatingSystem",
                        "diskState": "Protected",
                        "failoverDiskName": disk,
                        "tfoDiskName": f"{disk}-ASRtest",
                    }
                ],
                "primaryFabricLocation": PRIMARY,
                "recoveryFabricLocation": RECOVERY,
                "osType": system,
                "recoveryAzureVMSize": "Standard_D2s_v5",
                "recoveryAzureVMName": name,
                "recoveryAzureResourceGroupId": group,
                "selectedRecoveryAzureNetworkId": network_id(RECOVERY),
                "selectedTfoAzureNetworkId": None,
                "vmNics": [
                    {
                        "nicId": guid(f"nic {name}"),
                        "sourceNicArmId": nic_id,
                        "recoveryVMNetworkId": network_id(RECOVERY),
                        "ipConfigs": [{"name": "ipconfig1", "isPrimary": True, "subnetName": "app", "recoverySubnetName": "app"}],
                    }
                ],
                "vmSyncedConfigDetails": {"tags": {"application": "shop"}, "inputEndpoints": []},
                "lastHeartbeat": "2026-11-02T05:12:44.1873320Z",
                "agentVersion": "9.65.7498.1",
                "agentExpiryDate": "9999-12-31T23:59:59.9999999",
                "isReplicationAgentUpdateRequired": False,
                "isReplicationAgentCertificateUpdateRequired": False,
                "recoveryFabricObjectId": None,
                "vmProtectionState": "Protected",
                "vmProtectionStateDescription": "Protected",
                "lifecycleId": guid(f"lifecycle {name}"),
                "testFailoverRecoveryFabricObjectId": None,
                "rpoInSeconds": 95,
                "lastRpoCalculatedTime": "2026-11-02T05:12:44.1873320Z",
                "vmEncryptionType": "NotEncrypted",
                "tfoAzureVMName": f"{name}-test",
                "recoveryAzureGeneration": "V2",
                "autoProtectionOfDataDisk": "Disabled",
            }
            | (details or {}),
            "recoveryContainerId": container_id(RECOVERY),
            "eventCorrelationId": guid(f"correlation {name}"),
        }
        | properties,
    )


def plan(name: str, members: Sequence[Sequence[str]]) -> Body:
    """A recovery plan; `members` are its Boot groups, each a list of machines."""

    def group(kind: str, machines: Sequence[str]) -> Body:
        return {
            "groupType": kind,
            "startGroupActions": [],
            "endGroupActions": [],
            "replicationProtectedItems": [{"id": item_id(one), "virtualMachineId": guid(f"entity {one}")} for one in machines],
        }

    return resource(
        f"{ASR}/replicationRecoveryPlans/{name}",
        {
            "friendlyName": name,
            "primaryFabricId": fabric_id(PRIMARY),
            "primaryFabricFriendlyName": FRIENDLY[PRIMARY],
            "recoveryFabricId": fabric_id(RECOVERY),
            "recoveryFabricFriendlyName": FRIENDLY[RECOVERY],
            "failoverDeploymentModel": "ResourceManager",
            "replicationProviders": ["A2A"],
            "allowedOperations": ["UnplannedFailover", "TestFailover"],
            "currentScenario": None,
            "currentScenarioStatus": None,
            "currentScenarioStatusDescription": None,
            "providerSpecificDetails": [],
            "groups": [group("Shutdown", []), group("Failover", []), *(group("Boot", machines) for machines in members)],
        },
    )


def health_error(code: str, message: str, cause: str, action: str) -> Body:
    return {
        "innerHealthErrors": [],
        "errorSource": "",
        "errorType": "",
        "errorLevel": "Error",
        "errorCategory": "AgentAutoUpdateInfra",
        "errorCode": code,
        "summaryMessage": "",
        "errorMessage": message,
        "possibleCauses": cause,
        "recommendedAction": action,
        "creationTimeUtc": "2026-11-02T05:12:44.1873320Z",
        "recoveryProviderErrorMessage": None,
        "entityId": guid(code),
        "errorId": code,
        "customerResolvability": "NotAllowed",
    }
