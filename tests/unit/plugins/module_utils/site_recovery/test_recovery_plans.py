# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import recovery_plans

VAULT = "/Subscriptions/s/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu"
GROUP = "/subscriptions/s/resourceGroups/rg-shop-weu"
PRIMARY, RECOVERY = (f"{VAULT}/replicationFabrics/{region}/replicationProtectionContainers/c" for region in ("neu", "weu"))


def item(name: str, container: str = PRIMARY, **properties: Any) -> dict[str, Any]:
    return {
        "id": f"{container}/replicationProtectedItems/item-{name}",
        "name": f"item-{name}",
        "properties": {
            "friendlyName": name,
            "activeLocation": "Primary",
            "testFailoverState": "None",
            "allowedOperations": [],
            "protectionState": "Protected",
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "tfoAzureVMName": f"{name}-test",
                "recoveryAzureVMName": name,
                "recoveryAzureResourceGroupId": GROUP,
            },
        }
        | properties,
    }


def plan(*members: dict[str, Any], name: str = "shop") -> dict[str, Any]:
    boot = [{"groupType": "Boot", "replicationProtectedItems": [{"id": member["id"].lower()}]} for member in members]
    return {
        "id": f"{VAULT}/replicationRecoveryPlans/{name}",
        "name": name,
        "properties": {
            "replicationProviders": ["A2A"],
            "allowedOperations": ["TestFailover"],
            "currentScenario": None,
            "groups": [{"groupType": "Shutdown", "replicationProtectedItems": []}, {"groupType": "Failover"}, *boot],
        },
    }


class FakeVault:
    id, name = VAULT.replace("/Subscriptions/", "/subscriptions/"), "rsv-dr-weu"

    def __init__(self, plans: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
        self.plans, self.items = plans, items

    async def recovery_plan_names(self, azure: Any) -> list[str]:
        return sorted(plan["name"] for plan in self.plans)

    async def recovery_plan(self, azure: Any, name: str) -> dict[str, Any] | None:
        return next((plan for plan in self.plans if plan["name"].lower() == name.lower()), None)

    async def replicated_items(self, azure: Any) -> list[dict[str, Any]]:
        return self.items


def read(vault: FakeVault, wanted: str | None) -> recovery_plans.RecoveryPlan:
    return asyncio.run(recovery_plans.plan(None, vault, wanted))  # type: ignore[arg-type]


def test_the_only_plan_needs_no_name() -> None:
    web, db = item("web"), item("db")
    found = read(FakeVault([plan(db, web)], [web, db]), None)
    assert found.name == "shop"
    assert [(group.name, [one.friendly_name for one in group.items]) for group in found.groups] == [
        ("Shutdown", []),
        ("Failover", []),
        ("Group 1", ["db"]),
        ("Group 2", ["web"]),
    ]


@pytest.mark.parametrize("wanted", ["shop", "SHOP", f"{VAULT}/replicationRecoveryPlans/shop"])
def test_a_plan_is_found_by_name_and_id(wanted: str) -> None:
    assert read(FakeVault([plan(), plan(name="bank")], []), wanted).name == "shop"


def test_several_plans_are_named_when_none_was() -> None:
    with pytest.raises(AzureDRError, match="2 recovery plans: bank, shop"):
        read(FakeVault([plan(), plan(name="bank")], []), None)


def test_a_plan_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(AzureDRError, match=r"no recovery plan shob .* There are: shop"):
        read(FakeVault([plan()], []), "shob")


def test_an_id_of_another_vault_or_of_no_plan_is_refused() -> None:
    with pytest.raises(AzureDRError, match="is not in the vault"):
        read(FakeVault([plan()], []), f"{VAULT}-2/replicationRecoveryPlans/shop")
    with pytest.raises(InputError):
        read(FakeVault([plan()], []), VAULT)


def test_an_item_that_a_reprotect_moved_is_found_by_its_name() -> None:
    found = read(FakeVault([plan(item("web"))], [item("web", RECOVERY)]), "shop")
    assert [one.fabric for one in found.items] == ["weu"]


def test_an_item_that_is_gone_is_told() -> None:
    with pytest.raises(AzureDRError, match="not in the vault any more"):
        read(FakeVault([plan(item("web"))], []), "shop")


def test_machines_are_those_that_stand_failed_over_or_under_test() -> None:
    listed = [
        item("idle"),
        item("cleaned", testFailoverState="MarkedForDeletion"),
        item("tested", testFailoverState="WaitingForCompletion"),
        item("moved", activeLocation="Recovery"),
        item("home", RECOVERY),
    ]
    vault = FakeVault([plan(*listed)], listed)
    found = asyncio.run(recovery_plans.failed_over_machines(None, vault, read(vault, None)))  # type: ignore[arg-type]
    assert [(machine.name, machine.test, machine.id) for machine in found] == [
        ("tested", True, f"{GROUP}/providers/Microsoft.Compute/virtualMachines/tested-test"),
        ("moved", False, f"{GROUP}/providers/Microsoft.Compute/virtualMachines/moved"),
    ]
