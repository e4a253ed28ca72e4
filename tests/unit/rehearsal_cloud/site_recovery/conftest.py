# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A vault with machines of one region that replicate to another, and a clock that the test moves."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud, Request, Response
from rehearsal_cloud.providers import install

SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
EAST, WEST = f"{SUBSCRIPTION}/resourceGroups/app-east", f"{SUBSCRIPTION}/resourceGroups/app-west"
VAULT = f"{SUBSCRIPTION}/resourceGroups/recovery/providers/Microsoft.RecoveryServices/vaults/shield"
CONTAINERS = {
    "east": "/replicationFabrics/east/replicationProtectionContainers/east-c",
    "west": "/replicationFabrics/west/replicationProtectionContainers/west-c",
}
MAPPING = "/replicationProtectionContainerMappings/there"


class StillClock(Clock):
    """Stands until it is moved."""

    def __init__(self) -> None:
        super().__init__(start=1_700_000_000.5)
        self.moment = self.now

    def read(self) -> float:
        return max(self.now, self.moment)


class World:
    """The cloud, and what a client does with it; paths that do not begin with a subscription lie in the vault."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.cloud = install(Cloud(self.clock))

    def later(self, seconds: float) -> None:
        self.clock.moment += seconds

    def send(self, method: str, path: str, properties: Any = None, *, outcome: Any = None, query: Any = None) -> Response:
        path = path if path.lower().startswith("/subscriptions/") else VAULT + path
        body = None if properties is None else {"properties": properties}
        return self.cloud.handle(Request(method, path, {"api-version": "2025-08-01", **(query or {})}, {}, body, outcome=outcome))

    def get(self, path: str, **query: str) -> Any:
        answer = self.send("GET", path, query={f"${name}": value for name, value in query.items()})
        assert answer.status == 200, (path, answer)
        return answer.body

    def properties(self, path: str) -> Any:
        return self.get(path)["properties"]

    def names(self, path: str, **query: str) -> list[str]:
        return [one["name"] for one in self.get(path, **query)["value"]]

    def begin(self, method: str, path: str, properties: Any = None, **more: Any) -> str:
        """Send what is accepted (202) and give back the id of the job."""
        answer = self.send(method, path, properties, **more)
        assert answer.status == 202, (path, answer)
        return answer.headers["x-ms-request-id"]

    def done(self, method: str, path: str, properties: Any = None, *, seconds: float = 1000, **more: Any) -> Any:
        """Send, let time pass, and give back the job's properties."""
        job = self.begin(method, path, properties, **more)
        self.later(seconds)
        return self.properties(job)

    def operation(self, answer: Response) -> Any:
        return self.get(urlsplit(answer.headers["Azure-AsyncOperation"]).path)

    def refused(self, method: str, path: str, properties: Any = None) -> tuple[int, str]:
        """Status and telling code of a refusal of Site Recovery."""
        answer = self.send(method, path, properties)
        detail = answer.body["error"]["details"][0]
        assert detail["possibleCauses"]
        assert detail["recommendedAction"]
        return answer.status, detail["code"]

    def machine(self, name: str, group: str = WEST) -> Response:
        return self.send("GET", f"{group}/providers/Microsoft.Compute/virtualMachines/{name}")

    def power(self, name: str, group: str) -> list[str]:
        body = self.get(f"{group}/providers/Microsoft.Compute/virtualMachines/{name}/instanceView")
        return [one["code"] for one in body["statuses"]]


def item_path(name: str, side: str = "east") -> str:
    return f"{CONTAINERS[side]}/replicationProtectedItems/{name}"


def fabric(name: str, region: str, friendly: str) -> Any:
    return {
        "id": f"{VAULT}/replicationFabrics/{name}",
        "properties": {"friendlyName": friendly, "bcdrState": "Valid", "customDetails": {"instanceType": "Azure", "location": region}},
    }


def virtual_machine(name: str) -> Any:
    disk = {"id": f"{EAST}/providers/Microsoft.Compute/disks/{name}_os", "storageAccountType": "Premium_LRS"}
    return {
        "id": f"{EAST}/providers/Microsoft.Compute/virtualMachines/{name}",
        "location": "eastus",
        "properties": {
            "vmId": f"id-of-{name}",
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "provisioningState": "Succeeded",
            "storageProfile": {"osDisk": {"osType": "Linux", "name": f"{name}_os", "diskSizeGB": 30, "managedDisk": disk}, "dataDisks": []},
            "networkProfile": {"networkInterfaces": [{"id": f"{EAST}/providers/Microsoft.Network/networkInterfaces/{name}-nic"}]},
        },
    }


def replicated(name: str) -> Any:
    return {
        "id": VAULT + item_path(name),
        "properties": {
            "friendlyName": name,
            "policyId": f"{VAULT}/replicationPolicies/daily",
            "recoveryFabricId": f"{VAULT}/replicationFabrics/west",
            "primaryFabricFriendlyName": "East US",
            "recoveryFabricFriendlyName": "West US 3",
            "primaryProtectionContainerFriendlyName": "east-c",
            "recoveryProtectionContainerFriendlyName": "west-c",
            "recoveryContainerId": VAULT + CONTAINERS["west"],
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "fabricObjectId": f"{EAST}/providers/Microsoft.Compute/virtualMachines/{name}".lower(),
                "recoveryAzureVMName": name,
                "recoveryAzureResourceGroupId": WEST,
                "tfoAzureVMName": f"{name}-test",
                "agentVersion": "9.60.0.1",
                "isReplicationAgentUpdateRequired": False,
            },
        },
    }


def plan(*groups: list[str], **actions: Any) -> Any:
    """A recovery plan as it is sent: a Boot group for each list of machines; actions are of the first group."""
    return {
        "primaryFabricId": f"{VAULT}/replicationFabrics/east",
        "recoveryFabricId": f"{VAULT}/replicationFabrics/west",
        "failoverDeploymentModel": "ResourceManager",
        "groups": [
            {
                "groupType": "Boot",
                "replicationProtectedItems": [{"id": VAULT + item_path(name)} for name in names],
                **(actions if number == 0 else {}),
            }
            for number, names in enumerate(groups)
        ],
    }


@pytest.fixture
def empty() -> World:
    """A vault that nobody ever used."""
    world = World()
    world.cloud.seed([{"id": VAULT, "location": "westus3", "properties": {}}])
    return world


@pytest.fixture
def world(empty: World) -> World:
    """The vault with both fabrics, containers, a policy, one mapping, and the items web, app and db."""
    empty.cloud.seed(
        [
            fabric("east", "eastus", "East US"),
            fabric("west", "westus3", "West US 3"),
            *({"id": VAULT + path, "properties": {"friendlyName": path[-6:], "fabricType": "Azure"}} for path in CONTAINERS.values()),
            {
                "id": f"{VAULT}/replicationPolicies/daily",
                "properties": {
                    "friendlyName": "daily",
                    "providerSpecificDetails": {"instanceType": "A2A", "recoveryPointHistory": 1440, "appConsistentFrequencyInMinutes": 60},
                },
            },
            {
                "id": VAULT + CONTAINERS["east"] + MAPPING,
                "properties": {
                    "targetProtectionContainerId": VAULT + CONTAINERS["west"],
                    "policyId": f"{VAULT}/replicationPolicies/daily",
                    "state": "Paired",
                    "health": "Normal",
                    "healthErrorDetails": [],
                    "providerSpecificDetails": {
                        "instanceType": "A2A",
                        "agentAutoUpdateStatus": "Disabled",
                        "automationAccountArmId": None,
                        "scheduleName": None,
                    },
                },
            },
            *(make(name) for name in ("web", "app", "db") for make in (virtual_machine, replicated)),
        ]
    )
    empty.cloud.seed([{"id": WEST, "location": "westus3"}])
    return empty


@pytest.fixture
def planned(world: World) -> World:
    """The plan "all": db first, then web and app."""
    assert world.done("PUT", "/replicationRecoveryPlans/all", plan(["db"], ["web", "app"]), seconds=5)["state"] == "Succeeded"
    return world


@pytest.fixture
def kit() -> Any:
    """Builders for the tests of this folder: kit.item("web"), kit.plan(["db"]), ..."""

    class Kit:
        item = staticmethod(item_path)
        plan = staticmethod(plan)
        replicated = staticmethod(replicated)
        virtual_machine = staticmethod(virtual_machine)
        vault, east, west, containers, mapping = VAULT, EAST, WEST, CONTAINERS, CONTAINERS["east"] + MAPPING

    return Kit
