# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writes fleet.json, the sample estate of calm days: what has to be kept current, and what keeps it from being so.

    cd extensions && python -m rehearsal_cloud.estates.make_fleet > rehearsal_cloud/estates/fleet.json

Scale sets of each kind and upgrade mode, machines with extensions of each kind, agents of the Mobility service in each state, and what is
published of images and extensions. It has the networks, monitoring and vault of the shop.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from .make_shop import (
    CACHE,
    CACHE_BACK,
    DRILL_NETWORK,
    IDENTITY,
    IMAGES,
    MONITOR,
    MONITORING,
    NETWORK,
    PRIMARY,
    RECOVERY,
    RECOVERY_NETWORK,
    SUBSCRIPTION,
    Body,
    agent,
    extension,
    groups,
    guid,
    infrastructure,
    item,
    machine,
    resource,
)

GROUP = "rg-shop-neu"
COMPUTE = f"{SUBSCRIPTION}/providers/Microsoft.Compute/locations/{PRIMARY}"
GALLERY = f"{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/galshop/images/batch-node"

PUBLISHED_IMAGES = {"Linux": ("22.04.202609100", "22.04.202610080"), "Windows": ("20348.4052.250905", "20348.4297.251003")}
PUBLISHED_EXTENSIONS = {
    (MONITOR, "AzureMonitorLinuxAgent"): ("1.33.1", "1.35.4"),
    (MONITOR, "AzureMonitorWindowsAgent"): ("1.34.0", "1.38.1"),
    ("Microsoft.Azure.Monitoring.DependencyAgent", "DependencyAgentWindows"): ("9.10.18.4770",),
    ("Microsoft.Azure.KeyVault", "KeyVaultForWindows"): ("3.5.3336.70",),
    ("Microsoft.ManagedServices", "ApplicationHealthLinux"): ("1.0.2", "2.0.13"),
    ("Microsoft.ManagedServices", "ApplicationHealthWindows"): ("1.0.2", "2.0.13"),
    ("Microsoft.Compute", "CustomScriptExtension"): ("1.10.17",),
    ("Microsoft.Azure.Security", "IaaSAntimalware"): ("1.7.0.10",),
}

# name, system, what its extensions are, what its replicated item tells of the agent (None: not replicated)
MACHINES: list[tuple[str, str, str, Body | None]] = [
    ("fleet-api-01", "Linux", "enrolled", {}),
    ("fleet-api-02", "Linux", "not enrolled", {"isReplicationAgentUpdateRequired": True, "agentVersion": "9.63.7187.1"}),
    (
        "fleet-api-03",
        "Linux",
        "never said",
        {"isReplicationAgentUpdateRequired": True, "agentVersion": "9.62.7110.1", "agentExpiryDate": "2026-12-04T00:00:00Z"},
    ),
    (
        "fleet-db-01",
        "Windows",
        "vendors",
        {
            "isReplicationAgentUpdateRequired": True,
            "agentVersion": "9.63.7187.1",
            "autoAgentUpgradeRetryCount": 5,
            "isAgentUpgradeRetryThresholdExhausted": True,
        },
    ),
    (
        "fleet-db-02",
        "Windows",
        "failed",
        {
            "isReplicationAgentUpdateRequired": True,
            "agentVersion": "9.61.7016.1",
            "isAgentUpgradeable": False,
            "isAgentReinstallRequired": True,
            "distroName": "Windows Server 2022",
            "distroNameForWhichAgentIsInstalled": "Windows Server 2019",
        },
    ),
    (
        "fleet-db-03",
        "Windows",
        "enrolled",
        {
            "isReplicationAgentUpdateRequired": True,
            "agentVersion": "9.61.7016.1",
            "isAgentUpgradeable": False,
            "isAgentReinstallRequired": True,
            "reasonsBlockingReinstallDetails": [
                {
                    "errorCode": "151095",
                    "errorMessage": "The Mobility service cannot be reinstalled, the machine does not answer.",
                    "possibleCauses": "The VM agent is not running or its connection is blocked.",
                    "recommendedAction": "Bring the VM agent back, then reinstall the Mobility service.",
                    "errorMessageParameters": {},
                    "errorTags": {},
                }
            ],
        },
    ),
    ("fleet-web-01", "Linux", "probed", {}),
    ("fleet-night-01", "Linux", "off", None),
]


def extensions_of(vm: Body, system: str, which: str) -> list[Body]:
    """The extensions of a machine, by the case that it stands for."""
    monitoring = agent(vm, system)
    if which in ("not enrolled", "off"):
        monitoring["properties"]["enableAutomaticUpgrade"] = which == "off"
    elif which == "never said":
        del monitoring["properties"]["enableAutomaticUpgrade"]
    monitoring["properties"]["instanceView"] = running(monitoring["properties"])
    more = {
        "vendors": [
            extension(
                vm,
                "DependencyAgentWindows",
                "Microsoft.Azure.Monitoring.DependencyAgent",
                "DependencyAgentWindows",
                "9.10",
                enableAutomaticUpgrade=False,
                settings={"enableAMA": "true"},
            ),
            extension(vm, "IaaSAntimalware", "Microsoft.Azure.Security", "IaaSAntimalware", "1.3", settings={"AntimalwareEnabled": "true"}),
            extension(
                vm,
                "hardening",
                "Microsoft.Compute",
                "CustomScriptExtension",
                "1.10",
                settings={"commandToExecute": "powershell -File C:\\shop\\harden.ps1"},
            ),
        ],
        "failed": [
            extension(
                vm,
                "certificates",
                "Microsoft.Azure.KeyVault",
                "KeyVaultForWindows",
                "3.0",
                provisioningState="Failed",
                enableAutomaticUpgrade=False,
                settings={"secretsManagementSettings": {"pollingIntervalInS": "3600"}},
            )
        ],
        "probed": [health(vm, system)],
    }
    return [monitoring, *more.get(which, [])]


def health(vm: Body, system: str) -> Body:
    kind = f"ApplicationHealth{system}"
    settings = {"protocol": "http", "port": 8080, "requestPath": "/health"}
    body = extension(vm, kind, "Microsoft.ManagedServices", kind, "1.0", enableAutomaticUpgrade=True, settings=settings)
    body["properties"]["instanceView"] = running(body["properties"])
    return body


def running(properties: Body) -> Body:
    """The instance view of an extension that runs in the oldest version of those published."""
    publisher, kind = properties["publisher"], properties["type"]
    version = PUBLISHED_EXTENSIONS.get((publisher, kind), (f"{properties['typeHandlerVersion']}.0.0",))[0]
    status = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}
    return {"type": f"{publisher}.{kind}", "typeHandlerVersion": version, "statuses": [status]}


def machines() -> list[Body]:
    found: list[Body] = []
    for number, (name, system, which, told) in enumerate(MACHINES):
        disk, nic, vm = machine(name, system, "Standard_D4s_v5", "app", PRIMARY, f"10.10.2.{50 + number}")
        if which == "off":
            status = {"code": "PowerState/deallocated", "level": "Info", "displayStatus": "VM deallocated"}
            vm["properties"]["instanceView"] = {"statuses": [status]}
        found += [disk, nic, vm, *extensions_of(vm, system, which)]
        if told is not None:
            replicated = item(vm, disk, nic, "app")
            replicated["properties"]["providerSpecificDetails"] |= {"isReplicationAgentUpdateRequired": False, **told}
            found.append(replicated)
    return found


def published() -> list[Body]:
    """What is published of images and extensions in the region of the fleet, and the gallery with its image."""
    found: list[Body] = []
    for system, versions in PUBLISHED_IMAGES.items():
        image = IMAGES[system]
        skus = f"{COMPUTE}/publishers/{image['publisher']}/artifacttypes/vmimage/offers/{image['offer']}/skus/{image['sku']}"
        found += [{"id": f"{skus}/versions/{version}", "name": version, "location": PRIMARY, "properties": {}} for version in versions]
    for (publisher, kind), builds in PUBLISHED_EXTENSIONS.items():
        types = f"{COMPUTE}/publishers/{publisher}/artifacttypes/vmextension/types/{kind}"
        found += [{"id": f"{types}/versions/{version}", "name": version, "location": PRIMARY, "properties": {}} for version in builds]
    identifier = {"publisher": "Shop", "offer": "batch", "sku": "node"}
    found += [
        resource(GROUP, "Microsoft.Compute/galleries", "galshop", PRIMARY),
        resource(
            GROUP,
            "Microsoft.Compute/galleries/images",
            "galshop/batch-node",
            PRIMARY,
            {
                "provisioningState": "Succeeded",
                "osType": "Linux",
                "osState": "Generalized",
                "hyperVGeneration": "V2",
                "identifier": identifier,
            },
        ),
    ]
    for version, excluded, regions in (("1.4.0", False, [PRIMARY, RECOVERY]), ("1.5.0", False, [PRIMARY]), ("1.6.0", True, [PRIMARY])):
        targets = [{"name": region, "regionalReplicaCount": 1} for region in regions]
        profile = {"targetRegions": targets, "excludeFromLatest": excluded}
        properties = {"provisioningState": "Succeeded", "publishingProfile": profile}
        found.append(resource(GROUP, "Microsoft.Compute/galleries/images/versions", f"galshop/batch-node/{version}", PRIMARY, properties))
    return found


def balancer(name: str, sku: str) -> Body:
    """A load balancer with a probe that asks for /health."""
    body = resource(GROUP, "Microsoft.Network/loadBalancers", name, PRIMARY, sku={"name": sku})
    probe = {
        "name": "health",
        "id": f"{body['id']}/probes/health",
        "type": "Microsoft.Network/loadBalancers/probes",
        "properties": {
            "provisioningState": "Succeeded",
            "protocol": "Http",
            "port": 80,
            "requestPath": "/health",
            "intervalInSeconds": 15,
            "numberOfProbes": 2,
        },
    }
    pool = {"name": "pool", "id": f"{body['id']}/backendAddressPools/pool", "properties": {"provisioningState": "Succeeded"}}
    body["properties"] = {"provisioningState": "Succeeded", "backendAddressPools": [pool], "probes": [probe]}
    return body


BALANCERS = [balancer("lb-web", "Standard"), balancer("lb-win", "Standard")]


def of_model(name: str, publisher: str, kind: str, version: str, **properties: Any) -> Body:
    """An extension in the model of a scale set."""
    given = {"autoUpgradeMinorVersion": True, **properties, "publisher": publisher, "type": kind, "typeHandlerVersion": version}
    return {"name": name, "properties": given}


def monitored(system: str, **properties: Any) -> Body:
    return of_model(f"AzureMonitor{system}Agent", MONITOR, f"AzureMonitor{system}Agent", "1.0", **properties)


def watched(system: str) -> Body:
    kind = f"ApplicationHealth{system}"
    settings = {"protocol": "http", "port": 8080, "requestPath": "/health"}
    return of_model(kind, "Microsoft.ManagedServices", kind, "1.0", enableAutomaticUpgrade=True, settings=settings)


def scale_set(
    name: str,
    capacity: int,
    upgrade: Body,
    *extensions: Body,
    system: str = "Linux",
    image: Body | None = None,
    probe: str = "",
    patching: Body | None = None,
    zones: list[str] | None = None,
    **properties: Any,
) -> Body:
    """A scale set of the fleet; without orchestrationMode a Uniform one."""
    windows = {"windowsConfiguration": {"provisionVMAgent": True, "enableAutomaticUpdates": False, **(patching or {})}}
    linux = {"linuxConfiguration": {"disablePasswordAuthentication": True, "provisionVMAgent": True}}
    interface = {
        "name": f"{name}-nic",
        "properties": {
            "primary": True,
            "ipConfigurations": [{"name": "ipconfig1", "properties": {"subnet": {"id": f"{NETWORK['id']}/subnets/web"}}}],
        },
    }
    profile: Body = {
        "osProfile": {
            "computerNamePrefix": name.removeprefix("vmss-")[:9],
            "adminUsername": "shopadmin",
            "secrets": [],
            "allowExtensionOperations": True,
            **(windows if system == "Windows" else linux),
        },
        "storageProfile": {
            "osDisk": {
                "osType": system,
                "createOption": "FromImage",
                "caching": "ReadWrite",
                "managedDisk": {"storageAccountType": "Premium_LRS"},
                "diskSizeGB": 127 if system == "Windows" else 64,
            },
            "imageReference": dict(image or IMAGES[system]),
        },
        "networkProfile": {"networkInterfaceConfigurations": [interface]},
    }
    if probe:
        profile["networkProfile"]["healthProbe"] = {"id": probe}
    if extensions:
        profile["extensionProfile"] = {"extensions": list(extensions)}
    body = resource(
        GROUP,
        "Microsoft.Compute/virtualMachineScaleSets",
        name,
        PRIMARY,
        {
            "singlePlacementGroup": "orchestrationMode" not in properties,
            "upgradePolicy": upgrade,
            "virtualMachineProfile": profile,
            "provisioningState": "Succeeded",
            "overprovision": False,
            "doNotRunExtensionsOnOverprovisionedVMs": False,
            "uniqueId": guid(name),
            "timeCreated": "2025-03-18T09:31:02.8037980+00:00",
            **properties,
        },
        sku={"name": "Standard_D4s_v5", "tier": "Standard", "capacity": capacity},
        tags={"application": "shop", "environment": "production"},
    )
    return body | ({"zones": zones} if zones else {})


def instance(owner: Body, number: int, version: str, latest: bool = True) -> Body:
    """An instance of a Uniform scale set with a version of its image."""
    profile = owner["properties"]["virtualMachineProfile"]
    reference = {**profile["storageProfile"]["imageReference"], "exactVersion": version}
    disk = {**profile["storageProfile"]["osDisk"], "name": f"{owner['name']}_{number}_OsDisk_1"}
    body: Body = {
        "id": f"{owner['id']}/virtualMachines/{number}",
        "name": f"{owner['name']}_{number}",
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "location": owner["location"],
        "instanceId": str(number),
        "sku": {"name": owner["sku"]["name"], "tier": "Standard"},
        "properties": {
            "latestModelApplied": latest,
            "vmId": guid(f"{owner['name']} {number}"),
            "provisioningState": "Succeeded",
            "hardwareProfile": {"vmSize": owner["sku"]["name"]},
            "storageProfile": {"imageReference": reference, "osDisk": disk},
            "osProfile": {"computerName": f"{profile['osProfile']['computerNamePrefix']}{number:06}", "adminUsername": "shopadmin"},
        },
    }
    if owner.get("zones"):
        body["zones"] = [owner["zones"][number % len(owner["zones"])]]
    return body


def with_instances(owner: Body, version: str, lagging: tuple[int, ...] = ()) -> list[Body]:
    """A Uniform scale set with its instances, each with the model's extensions."""
    found = [owner]
    for number in range(owner["sku"]["capacity"]):
        one = instance(owner, number, version, number not in lagging)
        found.append(one)
        for given in owner["properties"]["virtualMachineProfile"].get("extensionProfile", {}).get("extensions", []):
            found.append(
                {
                    "id": f"{one['id']}/extensions/{given['name']}",
                    "name": given["name"],
                    "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/extensions",
                    "properties": {"provisioningState": "Succeeded", **given["properties"], "instanceView": running(given["properties"])},
                }
            )
    return found


def flexible() -> list[Body]:
    """A Flexible scale set, and the three virtual machines that belong to it."""
    policy = {"maxBatchInstancePercent": 34, "maxUnhealthyInstancePercent": 34, "maxUnhealthyUpgradedInstancePercent": 34}
    rolling = {"mode": "Rolling", "rollingUpgradePolicy": {**policy, "pauseTimeBetweenBatches": "PT30S"}}
    owner = scale_set(
        "vmss-flex",
        3,
        rolling,
        watched("Linux"),
        monitored("Linux", enableAutomaticUpgrade=False),
        orchestrationMode="Flexible",
        platformFaultDomainCount=1,
    )
    found = [owner]
    for number, mark in enumerate(("1f3a9c52", "6be07d14", "c84d20ef")):
        disk, nic, vm = machine(f"vmss-flex_{mark}", "Linux", "Standard_D4s_v5", "web", PRIMARY, f"10.10.3.{80 + number}")
        vm["properties"]["virtualMachineScaleSet"] = {"id": owner["id"]}
        vm["properties"]["storageProfile"]["imageReference"] |= {"exactVersion": PUBLISHED_IMAGES["Linux"][0]}
        monitoring = agent(vm, "Linux")
        monitoring["properties"] |= {"enableAutomaticUpgrade": False, "instanceView": running(monitoring["properties"])}
        found += [disk, nic, vm, health(vm, "Linux"), monitoring]
    return found


def scale_sets() -> list[Body]:
    linux, windows = PUBLISHED_IMAGES["Linux"], PUBLISHED_IMAGES["Windows"]
    probes = [f"{one['id']}/probes/health" for one in BALANCERS]
    automatic = {"enableAutomaticOSUpgrade": True, "disableAutomaticRollback": False, "useRollingUpgradePolicy": True}
    rolling = {
        "maxBatchInstancePercent": 25,
        "maxUnhealthyInstancePercent": 25,
        "maxUnhealthyUpgradedInstancePercent": 25,
        "pauseTimeBetweenBatches": "PT1M",
        "enableCrossZoneUpgrade": False,
        "prioritizeUnhealthyInstances": True,
    }
    scripted = of_model(
        "bootstrap",
        "Microsoft.Azure.Extensions",
        "CustomScript",
        "2.1",
        settings={
            "fileUris": ["https://stshopboot.blob.core.windows.net/boot/node.sh?sv=2024-11-04&se=2026-03-31T00%3A00%3A00Z&sr=b&sig=x"]
        },
    )
    after_health = monitored("Linux", enableAutomaticUpgrade=True, provisionAfterExtensions=["ApplicationHealthLinux"])
    return [
        *with_instances(
            scale_set("vmss-web", 6, {"mode": "Manual"}, monitored("Linux", enableAutomaticUpgrade=False), probe=probes[0]),
            linux[0],
            lagging=(4,),
        ),
        *with_instances(
            scale_set(
                "vmss-app",
                6,
                {"mode": "Automatic", "automaticOSUpgradePolicy": automatic, "rollingUpgradePolicy": rolling},
                watched("Linux"),
                after_health,
                zones=["1", "2", "3"],
            ),
            linux[1],
        ),
        *with_instances(
            scale_set("vmss-batch", 5, {"mode": "Rolling", "rollingUpgradePolicy": rolling}, watched("Linux"), image={"id": GALLERY}),
            "1.4.0",
        ),
        *with_instances(
            scale_set(
                "vmss-win",
                4,
                {"mode": "Manual"},
                monitored("Windows"),
                system="Windows",
                probe=probes[1],
                patching={"enableAutomaticUpdates": True, "patchSettings": {"patchMode": "AutomaticByOS"}},
            ),
            windows[0],
        ),
        *with_instances(
            scale_set("vmss-legacy", 2, {"mode": "Manual"}, scripted, image={**IMAGES["Linux"], "version": linux[0]}), linux[0]
        ),
        *flexible(),
    ]


def estate() -> list[Body]:
    shared = [NETWORK, RECOVERY_NETWORK, DRILL_NETWORK, CACHE, CACHE_BACK, IDENTITY]
    shared += [body for region in (PRIMARY, RECOVERY) for body in MONITORING[region].values()]
    return [*groups(), *shared, *infrastructure(), *BALANCERS, *published(), *machines(), *scale_sets()]


if __name__ == "__main__":
    json.dump({"resources": estate()}, sys.stdout, indent=1)
    sys.stdout.write("\n")
