# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writes shop.json, the sample estate: a shop of thirteen machines in North Europe, replicated to West Europe.

    python extensions/rehearsal_cloud/estates/make_shop.py > extensions/rehearsal_cloud/estates/shop.json

Everything in it has the form in which Azure Resource Manager returns it, so it also shows what an estate of one's own needs.
"""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any

Body = dict[str, Any]

SUBSCRIPTION = "/subscriptions/11111111-2222-3333-4444-555555555555"
PRIMARY, RECOVERY = "northeurope", "westeurope"
FRIENDLY = {PRIMARY: "North Europe", RECOVERY: "West Europe"}
SHORT = {PRIMARY: "neu", RECOVERY: "weu"}
VAULT = f"/Subscriptions/{SUBSCRIPTION.rpartition('/')[2]}/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu"
POLICY = f"{VAULT}/replicationPolicies/24-hour-retention-policy"
MONITOR = "Microsoft.Azure.Monitor"
SEEN = "2026-11-02T05:12:44.1873320Z"

# name, OS, size, recovery group
MACHINES = [
    ("shop-sql-01", "Windows", "Standard_E8ds_v5", 1),
    ("shop-sql-02", "Windows", "Standard_E8ds_v5", 1),
    ("shop-pg-01", "Linux", "Standard_E4ds_v5", 1),
    ("shop-app-01", "Linux", "Standard_D4s_v5", 2),
    ("shop-app-02", "Linux", "Standard_D4s_v5", 2),
    ("shop-app-03", "Windows", "Standard_D4s_v5", 2),
    ("shop-app-04", "Windows", "Standard_D4s_v5", 2),
    ("shop-queue-01", "Linux", "Standard_D2s_v5", 2),
    ("shop-web-01", "Linux", "Standard_D2s_v5", 3),
    ("shop-web-02", "Linux", "Standard_D2s_v5", 3),
    ("shop-web-03", "Linux", "Standard_D2s_v5", 3),
    ("shop-web-04", "Linux", "Standard_D2s_v5", 3),
    ("shop-admin-01", "Windows", "Standard_D2s_v5", 3),
]
IMAGES = {
    "Windows": {
        "publisher": "MicrosoftWindowsServer",
        "offer": "WindowsServer",
        "sku": "2022-datacenter-azure-edition",
        "version": "latest",
    },
    "Linux": {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts-gen2", "version": "latest"},
}


def guid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{text}.shop.example"))


def resource(group: str, of_type: str, name: str, location: str | None = None, properties: Body | None = None, **more: Any) -> Body:
    """A resource with the id that its group, type and name make."""
    namespace, *types = of_type.split("/")
    path = "/".join(f"{one}/{part}" for one, part in zip(types, name.split("/"), strict=True))
    body: Body = {"id": f"{SUBSCRIPTION}/resourceGroups/{group}/providers/{namespace}/{path}", "name": name.split("/")[-1], "type": of_type}
    return body | ({"location": location} if location else {}) | more | {"properties": properties or {"provisioningState": "Succeeded"}}


def groups() -> list[Body]:
    where = {"rg-shop-neu": PRIMARY, "rg-shop-weu": RECOVERY, "rg-monitor-neu": PRIMARY, "rg-monitor-weu": RECOVERY, "rg-dr-weu": RECOVERY}
    return [
        {
            "id": f"{SUBSCRIPTION}/resourceGroups/{name}",
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": location,
            "tags": {"application": "shop"},
            "properties": {"provisioningState": "Succeeded"},
        }
        for name, location in where.items()
    ]


def network(name: str, region: str, prefix: str) -> Body:
    body = resource(f"rg-shop-{SHORT[region]}", "Microsoft.Network/virtualNetworks", name, region)
    subnets = [
        {
            "name": tier,
            "id": f"{body['id']}/subnets/{tier}",
            "type": "Microsoft.Network/virtualNetworks/subnets",
            "properties": {"provisioningState": "Succeeded", "addressPrefix": f"{prefix}.{number}.0/24"},
        }
        for number, tier in ((1, "data"), (2, "app"), (3, "web"))
    ]
    body["properties"] = {"provisioningState": "Succeeded", "addressSpace": {"addressPrefixes": [f"{prefix}.0.0/16"]}, "subnets": subnets}
    return body


NETWORK = network("vnet-shop-neu", PRIMARY, "10.10")
RECOVERY_NETWORK = network("vnet-shop-weu", RECOVERY, "10.20")
DRILL_NETWORK = network("vnet-shop-drill-weu", RECOVERY, "10.99")
CACHE = resource(
    "rg-shop-neu", "Microsoft.Storage/storageAccounts", "stshopcacheneu", PRIMARY, sku={"name": "Standard_LRS"}, kind="StorageV2"
)
CACHE_BACK = resource(
    "rg-shop-weu", "Microsoft.Storage/storageAccounts", "stshopcacheweu", RECOVERY, sku={"name": "Standard_LRS"}, kind="StorageV2"
)
IDENTITY = resource(
    "rg-monitor-weu",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "id-shop-monitoring",
    RECOVERY,
    {"principalId": guid("principal"), "clientId": guid("client")},
)

WORKSPACE = resource(
    "rg-monitor-weu",
    "Microsoft.OperationalInsights/workspaces",
    "log-shop",
    RECOVERY,
    {
        "customerId": guid("workspace"),
        "provisioningState": "Succeeded",
        "sku": {"name": "PerGB2018"},
        "retentionInDays": 30,
        "publicNetworkAccessForIngestion": "Enabled",
        "publicNetworkAccessForQuery": "Enabled",
    },
)


def monitoring(region: str) -> dict[str, Body]:
    """The workspace's rules and the endpoint of one region, by what they are for."""
    group, suffix = f"rg-monitor-{SHORT[region]}", "" if region == RECOVERY else "-neu"
    workspace = {"name": "log-shop", "workspaceResourceId": WORKSPACE["id"], "workspaceId": WORKSPACE["properties"]["customerId"]}
    endpoint = resource(
        group,
        "Microsoft.Insights/dataCollectionEndpoints",
        f"dce-{SHORT[region]}",
        region,
        {
            "provisioningState": "Succeeded",
            "networkAcls": {"publicNetworkAccess": "Enabled"},
            "configurationAccess": {"endpoint": f"https://dce-{SHORT[region]}-1abc.{region}-1.handler.control.monitor.azure.com"},
            "logsIngestion": {"endpoint": f"https://dce-{SHORT[region]}-1abc.{region}-1.ingest.monitor.azure.com"},
        },
    )
    sources = {
        "Windows": {
            "windowsEventLogs": [{"name": "system", "streams": ["Microsoft-Event"], "xPathQueries": ["System!*[System[(Level<=3)]]"]}]
        },
        "Linux": {"syslog": [{"name": "syslog", "streams": ["Microsoft-Syslog"], "facilityNames": ["daemon"], "logLevels": ["Warning"]}]},
    }
    rules = {
        system: resource(
            group,
            "Microsoft.Insights/dataCollectionRules",
            f"dcr-shop-{system.lower()}{suffix}",
            region,
            {
                "provisioningState": "Succeeded",
                "immutableId": f"dcr-{guid(system + region).replace('-', '')}",
                "dataSources": source,
                "destinations": {"logAnalytics": [workspace]},
                "dataFlows": [{"streams": [next(iter(source.values()))[0]["streams"][0]], "destinations": ["log-shop"]}],
            },
            kind=system,
        )
        for system, source in sources.items()
    }
    return {"endpoint": endpoint, **rules}


MONITORING = {region: monitoring(region) for region in (PRIMARY, RECOVERY)}


def extension(machine: Body, name: str, publisher: str, kind: str, version: str, **properties: Any) -> Body:
    return {
        "id": f"{machine['id']}/extensions/{name}",
        "name": name,
        "type": "Microsoft.Compute/virtualMachines/extensions",
        "location": machine["location"],
        "properties": {
            "autoUpgradeMinorVersion": True,
            "provisioningState": "Succeeded",
            **properties,
            "publisher": publisher,
            "type": kind,
            "typeHandlerVersion": version,
        },
    }


def agent(machine: Body, system: str, name: str | None = None) -> Body:
    kind = f"AzureMonitor{system}Agent"
    return extension(machine, name or kind, MONITOR, kind, "1.0", enableAutomaticUpgrade=True)


def association(machine: Body, name: str, **properties: str) -> Body:
    return {
        "id": f"{machine['id']}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{name}",
        "name": name,
        "type": "Microsoft.Insights/dataCollectionRuleAssociations",
        "properties": properties,
    }


def machine(name: str, system: str, size: str, tier: str, region: str, address: str) -> list[Body]:
    """A virtual machine with its disk and network interface."""
    group, net = f"rg-shop-{SHORT[region]}", NETWORK if region == PRIMARY else RECOVERY_NETWORK
    disk = resource(
        group,
        "Microsoft.Compute/disks",
        f"{name}_OsDisk_1",
        region,
        {"provisioningState": "Succeeded", "osType": system, "diskSizeGB": 127 if system == "Windows" else 64, "diskState": "Attached"},
        sku={"name": "Premium_LRS"},
    )
    nic = resource(
        group,
        "Microsoft.Network/networkInterfaces",
        f"{name}-nic",
        region,
        {
            "provisioningState": "Succeeded",
            "primary": True,
            "ipConfigurations": [
                {
                    "name": "ipconfig1",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAddress": address,
                        "privateIPAllocationMethod": "Dynamic",
                        "primary": True,
                        "subnet": {"id": f"{net['id']}/subnets/{tier}"},
                    },
                }
            ],
        },
    )
    settings: Body = (
        {"windowsConfiguration": {"provisionVMAgent": True, "enableAutomaticUpdates": True}}
        if system == "Windows"
        else {"linuxConfiguration": {"disablePasswordAuthentication": True, "provisionVMAgent": True}}
    )
    body = resource(
        group,
        "Microsoft.Compute/virtualMachines",
        name,
        region,
        {
            "vmId": guid(name),
            "provisioningState": "Succeeded",
            "hardwareProfile": {"vmSize": size},
            "storageProfile": {
                "imageReference": IMAGES[system],
                "dataDisks": [],
                "osDisk": {
                    "osType": system,
                    "name": disk["name"],
                    "createOption": "FromImage",
                    "caching": "ReadWrite",
                    "deleteOption": "Detach",
                    "diskSizeGB": disk["properties"]["diskSizeGB"],
                    "managedDisk": {"storageAccountType": "Premium_LRS", "id": disk["id"]},
                },
            },
            "osProfile": {"computerName": name, "adminUsername": "shopadmin", "secrets": [], "allowExtensionOperations": True, **settings},
            "networkProfile": {"networkInterfaces": [{"id": nic["id"], "properties": {"primary": True}}]},
            "timeCreated": "2025-03-18T09:31:02.8037980+00:00",
        },
        tags={"application": "shop", "tier": tier, "environment": "production"},
        identity={
            "type": "UserAssigned",
            "userAssignedIdentities": {
                IDENTITY["id"]: {"principalId": IDENTITY["properties"]["principalId"], "clientId": IDENTITY["properties"]["clientId"]}
            },
        },
    )
    return [disk, nic, body]


def monitored(vm: Body, system: str, region: str) -> list[Body]:
    """The agent of a machine and its associations, as they are before a failover."""
    rule, endpoint = MONITORING[region][system], MONITORING[region]["endpoint"]
    return [
        agent(vm, system, "MonitoringAgent" if vm["name"] == "shop-app-03" else None),
        association(vm, f"dcra-{rule['name']}", dataCollectionRuleId=rule["id"]),
        association(vm, "configurationAccessEndpoint", dataCollectionEndpointId=endpoint["id"]),
    ]


def others(vm: Body) -> list[Body]:
    """The extensions of shop-admin-01 but the agent; the first is Site Recovery's own, as all replicated machines have it."""
    return [
        extension(
            vm,
            "SiteRecovery-Windows",
            "Microsoft.Azure.RecoveryServices.SiteRecovery",
            "Windows",
            "1.0",
            settings={"commandToExecute": "InstallAndConfigure", "module": "a2a"},
        ),
        extension(
            vm,
            "DependencyAgentWindows",
            "Microsoft.Azure.Monitoring.DependencyAgent",
            "DependencyAgentWindows",
            "9.10",
            enableAutomaticUpgrade=True,
            settings={"enableAMA": "true"},
        ),
        extension(
            vm,
            "IaaSAntimalware",
            "Microsoft.Azure.Security",
            "IaaSAntimalware",
            "1.3",
            settings={"AntimalwareEnabled": "true", "RealtimeProtectionEnabled": "true"},
        ),
        extension(
            vm,
            "shop-hardening",
            "Microsoft.Compute",
            "CustomScriptExtension",
            "1.10",
            settings={"commandToExecute": "powershell -File C:\\shop\\harden.ps1"},
        ),
    ]


def standby() -> list[Body]:
    """shop-jump-01 stands in the recovery region all the time; its agent has stopped answering."""
    disk, nic, vm = machine("shop-jump-01", "Windows", "Standard_B2ms", "app", RECOVERY, "10.20.2.10")
    ready = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "GuestAgent is running and processing the extensions.",
        "time": "2026-11-02T05:11:31+00:00",
    }
    silent = {
        "code": "ProvisioningState/Unresponsive",
        "level": "Error",
        "displayStatus": "Not Ready",
        "message": "The handler has not reported status since 2026-10-19.",
    }
    handler = f"{MONITOR}.AzureMonitorWindowsAgent"
    vm["tags"] |= {"tier": "standby"}
    vm["properties"]["instanceView"] = {
        "computerName": vm["name"],
        "osName": "Windows Server 2022 Datacenter Azure Edition",
        "osVersion": "10.0.20348.2762",
        "vmAgent": {
            "vmAgentVersion": "2.7.41491.1176",
            "statuses": [ready],
            "extensionHandlers": [{"type": handler, "typeHandlerVersion": "1.30.0.0", "status": silent}],
        },
        "extensions": [
            {
                "name": "AMA",
                "type": handler,
                "typeHandlerVersion": "1.30.0.0",
                "statuses": [
                    {
                        "code": "ProvisioningState/failed/1",
                        "level": "Error",
                        "displayStatus": "Provisioning failed",
                        "message": silent["message"],
                    }
                ],
            }
        ],
        "hyperVGeneration": "V2",
        "statuses": [
            {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
            {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"},
        ],
    }
    return [
        disk,
        nic,
        vm,
        agent(vm, "Windows", "AMA"),
        association(vm, "old-rule", dataCollectionRuleId=MONITORING[RECOVERY]["Windows"]["id"]),
    ]


def fabric(region: str) -> str:
    return f"{VAULT}/replicationFabrics/asr-a2a-default-{region}"


def container(region: str) -> str:
    return f"{fabric(region)}/replicationProtectionContainers/asr-a2a-default-{region}-container"


def asr(identifier: str, properties: Body) -> Body:
    """A Site Recovery resource: its type is its id without the names."""
    parts = identifier.split("/providers/")[1].split("/")
    return {"id": identifier, "name": parts[-1], "type": "/".join([parts[0], *parts[1::2]]), "properties": properties}


def infrastructure() -> list[Body]:
    """The vault and what pairs the two regions in it."""
    vault = resource(
        "rg-dr-weu",
        "Microsoft.RecoveryServices/vaults",
        "rsv-dr-weu",
        RECOVERY,
        {
            "provisioningState": "Succeeded",
            "privateEndpointStateForBackup": "None",
            "privateEndpointStateForSiteRecovery": "None",
            "publicNetworkAccess": "Enabled",
        },
        sku={"name": "Standard"},
    )
    account = resource(
        "rg-dr-weu",
        "Microsoft.Automation/automationAccounts",
        "aa-dr-weu",
        RECOVERY,
        {"sku": {"name": "Basic"}, "state": "Ok", "creationTime": "2025-03-18T08:00:00+00:00", "publicNetworkAccess": True},
        identity={"type": "SystemAssigned", "principalId": guid("automation"), "tenantId": guid("tenant")},
    )
    policy = asr(
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
    return [vault, account, policy, *(side for region in (PRIMARY, RECOVERY) for side in region_side(region))]


def region_side(region: str) -> list[Body]:
    """The fabric of one region, its container, and the mappings from it to the other."""
    other = RECOVERY if region == PRIMARY else PRIMARY
    networks = {PRIMARY: NETWORK, RECOVERY: RECOVERY_NETWORK}
    kek = {"kekState": "None", "kekCertThumbprint": None}
    mapping = f"{container(region)}/replicationProtectionContainerMappings/{region}-{other}-24-hour-retention-policy"
    network_mapping = f"{fabric(region)}/replicationNetworks/azureNetwork/replicationNetworkMappings/{region}-{other}"
    return [
        asr(
            fabric(region),
            {
                "friendlyName": FRIENDLY[region],
                "encryptionDetails": kek,
                "rolloverEncryptionDetails": kek,
                "internalIdentifier": guid(region),
                "bcdrState": "Valid",
                "healthErrorDetails": [],
                "health": "Normal",
                "customDetails": {
                    "instanceType": "Azure",
                    "location": region,
                    "containerIds": [f"{fabric(region)}/replicationProtectionContainers/{guid(region)}"],
                },
            },
        ),
        asr(
            container(region),
            {
                "fabricFriendlyName": FRIENDLY[region],
                "friendlyName": f"asr-a2a-default-{region}-container",
                "fabricType": "Azure",
                "protectedItemCount": len(MACHINES) if region == PRIMARY else 0,
                "pairingStatus": "Paired",
                "role": "Primary" if region == PRIMARY else "",
                "fabricSpecificDetails": None,
            },
        ),
        asr(
            mapping,
            {
                "targetProtectionContainerId": container(other),
                "targetProtectionContainerFriendlyName": f"asr-a2a-default-{other}-container",
                "providerSpecificDetails": {
                    "instanceType": "A2A",
                    "agentAutoUpdateStatus": "Disabled",
                    "automationAccountArmId": None,
                    "automationAccountAuthenticationType": "RunAsAccount",
                    "scheduleName": None,
                    "jobScheduleName": None,
                },
                "health": "Normal",
                "healthErrorDetails": [],
                "policyId": POLICY,
                "state": "Paired",
                "sourceProtectionContainerFriendlyName": f"asr-a2a-default-{region}-container",
                "sourceFabricFriendlyName": FRIENDLY[region],
                "targetFabricFriendlyName": FRIENDLY[other],
                "policyFriendlyName": "24-hour-retention-policy",
            },
        ),
        asr(
            network_mapping,
            {
                "state": "Paired",
                "primaryNetworkFriendlyName": networks[region]["name"],
                "primaryNetworkId": networks[region]["id"].lower(),
                "primaryFabricFriendlyName": FRIENDLY[region],
                "recoveryNetworkFriendlyName": networks[other]["name"],
                "recoveryNetworkId": networks[other]["id"].lower(),
                "recoveryFabricArmId": fabric(other),
                "recoveryFabricFriendlyName": FRIENDLY[other],
                "fabricSpecificSettings": {
                    "instanceType": "AzureToAzure",
                    "primaryFabricLocation": region,
                    "recoveryFabricLocation": other,
                },
            },
        ),
    ]


def item(vm: Body, disk: Body, nic: Body, tier: str) -> Body:
    """The replicated item of a machine: healthy, and never tested."""
    name, recovery_group = vm["name"], f"{SUBSCRIPTION}/resourceGroups/rg-shop-weu"
    address = nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]
    untested: Body = {
        "innerHealthErrors": [],
        "errorSource": "ReplicationUnitFailoverValidatorError",
        "errorType": "8010",
        "errorLevel": "Warning",
        "errorCategory": "TestFailover",
        "errorCode": "161011",
        "summaryMessage": "",
        "errorMessage": f"No successful test failover has been done on the virtual machine '{name}'.",
        "possibleCauses": "A test failover has not been done since replication was enabled.",
        "recommendedAction": "Do a test failover on the virtual machine.",
        "creationTimeUtc": SEEN,
        "recoveryProviderErrorMessage": None,
        "entityId": guid(f"entity {name}"),
        "errorId": "6:8010",
        "customerResolvability": "NotAllowed",
    }
    details: Body = {
        "instanceType": "A2A",
        "fabricObjectId": vm["id"].lower(),
        "initialPrimaryFabricLocation": PRIMARY,
        "initialPrimaryZone": "",
        "initialRecoveryFabricLocation": RECOVERY,
        "initialRecoveryZone": "",
        "multiVmGroupId": guid(f"group {name}"),
        "multiVmGroupName": "",
        "multiVmGroupCreateOption": "AutoCreated",
        "managementId": guid(f"management {name}"),
        "protectedDisks": None,
        "unprotectedDisks": None,
        "protectedManagedDisks": [protected_disk(disk, recovery_group)],
        "primaryFabricLocation": PRIMARY,
        "recoveryFabricLocation": RECOVERY,
        "osType": vm["properties"]["storageProfile"]["osDisk"]["osType"],
        "recoveryAzureVMSize": vm["properties"]["hardwareProfile"]["vmSize"],
        "recoveryAzureVMName": name,
        "recoveryAzureResourceGroupId": recovery_group,
        "recoveryCloudService": None,
        "recoveryAvailabilitySet": None,
        "selectedRecoveryAzureNetworkId": RECOVERY_NETWORK["id"],
        "selectedTfoAzureNetworkId": DRILL_NETWORK["id"],
        "vmNics": [
            {
                "nicId": guid(f"nic {name}"),
                "replicaNicId": None,
                "sourceNicArmId": nic["id"],
                "vMNetworkName": NETWORK["id"],
                "recoveryVMNetworkId": RECOVERY_NETWORK["id"],
                "selectionType": "SelectedByDefault",
                "reuseExistingNic": False,
                "tfoVMNetworkId": DRILL_NETWORK["id"],
                "ipConfigs": [
                    {
                        "name": "ipconfig1",
                        "isPrimary": True,
                        "subnetName": tier,
                        "staticIPAddress": address,
                        "ipAddressType": "Dynamic",
                        "isSeletedForFailover": True,
                        "recoverySubnetName": tier,
                        "recoveryStaticIPAddress": "",
                        "recoveryIPAddressType": "Dynamic",
                        "tfoSubnetName": tier,
                    }
                ],
            }
        ],
        "vmSyncedConfigDetails": {"tags": vm["tags"], "inputEndpoints": []},
        "monitoringPercentageCompletion": 0,
        "monitoringJobType": "InitialReplication",
        "lastHeartbeat": SEEN,
        "agentVersion": "9.65.7498.1",
        "agentExpiryDate": "9999-12-31T23:59:59.9999999",
        "isReplicationAgentUpdateRequired": name == "shop-queue-01",
        "agentCertificateExpiryDate": "2028-03-18T09:40:00Z",
        "isReplicationAgentCertificateUpdateRequired": False,
        "recoveryFabricObjectId": None,
        "vmProtectionState": "Protected",
        "vmProtectionStateDescription": "Protected",
        "lifecycleId": guid(f"lifecycle {name}"),
        "testFailoverRecoveryFabricObjectId": None,
        "rpoInSeconds": 1940 if name == "shop-queue-01" else 60 + len(name) * 7,
        "lastRpoCalculatedTime": SEEN,
        "rtoInSeconds": None,
        "vmEncryptionType": "NotEncrypted",
        "tfoAzureVMName": f"{name}-test",
        "recoveryAzureGeneration": "V2",
        "autoProtectionOfDataDisk": "Disabled",
    }
    return asr(
        f"{container(PRIMARY)}/replicationProtectedItems/{guid(f'item {name}')}",
        {
            "friendlyName": name,
            "protectedItemType": "",
            "protectableItemId": None,
            "recoveryServicesProviderId": f"{fabric(PRIMARY)}/replicationRecoveryServicesProviders/{guid('provider')}",
            "primaryFabricFriendlyName": FRIENDLY[PRIMARY],
            "primaryFabricProvider": "AzureFabric",
            "recoveryFabricFriendlyName": FRIENDLY[RECOVERY],
            "recoveryFabricId": fabric(RECOVERY),
            "primaryProtectionContainerFriendlyName": container(PRIMARY).rpartition("/")[2],
            "recoveryProtectionContainerFriendlyName": container(RECOVERY).rpartition("/")[2],
            "protectionState": "Protected",
            "protectionStateDescription": "Protected",
            "activeLocation": "Primary",
            "testFailoverState": "None",
            "testFailoverStateDescription": "None",
            "switchProviderState": "None",
            "switchProviderStateDescription": None,
            "allowedOperations": ["UnplannedFailover", "DisableProtection", "TestFailover"],
            "replicationHealth": "Normal",
            "failoverHealth": "Warning",
            "healthErrors": [untested],
            "policyId": POLICY,
            "policyFriendlyName": "24-hour-retention-policy",
            "currentScenario": {"scenarioName": "None", "jobId": f"{VAULT}/replicationJobs/None", "startTime": "1753-01-01T01:01:01Z"},
            "failoverRecoveryPointId": None,
            "providerSpecificDetails": details,
            "recoveryContainerId": container(RECOVERY),
            "eventCorrelationId": guid(f"correlation {name}"),
        },
    )


def protected_disk(disk: Body, recovery_group: str) -> Body:
    name = disk["name"]
    return {
        "diskId": disk["id"].lower(),
        "recoveryResourceGroupId": recovery_group,
        "recoveryTargetDiskId": None,
        "recoveryReplicaDiskId": f"{recovery_group}/providers/Microsoft.Compute/disks/{name}-ASRReplica",
        "recoveryOrignalTargetDiskId": None,
        "recoveryReplicaDiskAccountType": "Premium_LRS",
        "recoveryTargetDiskAccountType": "Premium_LRS",
        "diskName": name,
        "diskCapacityInBytes": disk["properties"]["diskSizeGB"] * 1024**3,
        "primaryStagingAzureStorageAccountId": CACHE["id"],
        "diskType": "OperatingSystem",
        "resyncRequired": False,
        "dataPendingInStagingStorageAccountInMB": 0.0,
        "dataPendingAtSourceAgentInMB": 1.75,
        "diskState": "Protected",
        "allowedDiskLevelOperation": [],
        "isDiskEncrypted": False,
        "isDiskKeyEncrypted": False,
        "failoverDiskName": name,
        "tfoDiskName": f"{name}-ASRtest",
    }


def plan(items: dict[str, Body]) -> Body:
    def group(kind: str, members: list[str]) -> Body:
        return {
            "groupType": kind,
            "startGroupActions": [],
            "endGroupActions": [],
            "replicationProtectedItems": [{"id": items[name]["id"], "virtualMachineId": guid(f"entity {name}")} for name in members],
        }

    boots = [group("Boot", [name for name, _system, _size, number in MACHINES if number == wanted]) for wanted in (1, 2, 3)]
    return asr(
        f"{VAULT}/replicationRecoveryPlans/shop",
        {
            "friendlyName": "shop",
            "primaryFabricId": fabric(PRIMARY),
            "primaryFabricFriendlyName": FRIENDLY[PRIMARY],
            "recoveryFabricId": fabric(RECOVERY),
            "recoveryFabricFriendlyName": FRIENDLY[RECOVERY],
            "failoverDeploymentModel": "ResourceManager",
            "replicationProviders": ["A2A"],
            "allowedOperations": ["UnplannedFailover", "TestFailover"],
            "currentScenario": None,
            "currentScenarioStatus": None,
            "currentScenarioStatusDescription": None,
            "providerSpecificDetails": [],
            "groups": [group("Shutdown", []), group("Failover", []), *boots],
        },
    )


def estate() -> list[Body]:
    found = [*groups(), NETWORK, RECOVERY_NETWORK, DRILL_NETWORK, CACHE, CACHE_BACK, IDENTITY, WORKSPACE]
    found += [body for region in (PRIMARY, RECOVERY) for body in MONITORING[region].values()]
    found += infrastructure()
    items: dict[str, Body] = {}
    for number, (name, system, size, tier_number) in enumerate(MACHINES):
        tier = {1: "data", 2: "app", 3: "web"}[tier_number]
        disk, nic, vm = machine(name, system, size, tier, PRIMARY, f"10.10.{tier_number}.{10 + number}")
        items[name] = item(vm, disk, nic, tier)
        found += [disk, nic, vm, *monitored(vm, system, PRIMARY), *(others(vm) if name == "shop-admin-01" else [])]
    return [*found, *standby(), *items.values(), plan(items)]


if __name__ == "__main__":
    json.dump({"resources": estate()}, sys.stdout, indent=1)
    sys.stdout.write("\n")
