# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Vaults, fabrics, containers, policies, mappings: what replication stands on."""

from __future__ import annotations

import pytest
from rehearsal_cloud.cloud import Request

OPS = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/ops"
AUTOMATION = f"{OPS}/providers/Microsoft.Automation/automationAccounts/updates"


def test_a_vault_is_made_by_an_operation_of_its_own_form(empty):
    path = empty.cloud.store.get("/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/recovery")["id"]
    path += "/providers/Microsoft.RecoveryServices/vaults/second"
    answer = empty.cloud.handle(
        Request(
            "PUT",
            path,
            {"api-version": "2024-04-01"},
            {},
            {"location": "eastus", "sku": {"name": "Standard"}, "properties": {"publicNetworkAccess": "Enabled"}},
        )
    )
    assert answer.status == 201
    assert answer.body["properties"]["provisioningState"] == "Provisioning"
    assert empty.operation(answer)["status"] == "InProgress"
    empty.later(5)
    assert empty.operation(answer)["status"] == "Succeeded"
    assert empty.properties(path)["provisioningState"] == "Succeeded"
    assert empty.get(path)["etag"].startswith("W/")


def test_a_missing_fabric_is_told_by_the_detail(world):
    assert world.refused("GET", "/replicationFabrics/nowhere") == (404, "FabricArmEntityMissing")


def test_below_a_fabric_an_unused_vault_answers_400(empty):
    assert empty.refused("GET", "/replicationFabrics/east") == (400, "SubscriptionIdNotRegisteredWithSrs")
    assert empty.get("/replicationProtectedItems") == {"value": [], "nextLink": None}


def test_a_missing_vault_is_missing_as_arm_says_it(empty, kit):
    answer = empty.send("GET", kit.vault.replace("shield", "other") + "/replicationFabrics")
    assert (answer.status, answer.body["error"]["code"]) == (404, "ResourceNotFound")


def test_every_change_is_accepted_with_two_headers_and_a_job(empty):
    answer = empty.send("PUT", "/replicationFabrics/north", {"customDetails": {"instanceType": "Azure", "location": "eastus2"}})
    assert (answer.status, answer.body, answer.headers["Retry-After"]) == (202, None, "30")
    name = answer.headers["x-ms-request-id"].rsplit("/", 1)[-1]
    assert f"/replicationOperationStatus/{name}?" in answer.headers["Azure-AsyncOperation"]
    assert f"/replicationFabrics/north/operationresults/{name}?" in answer.headers["Location"]
    assert empty.operation(answer)["status"] == "InProgress"
    assert empty.send("GET", "/replicationFabrics/north").status == 404
    empty.later(100)
    assert empty.operation(answer)["status"] == "Succeeded"
    assert empty.properties("/replicationFabrics/north")["friendlyName"] == "East US 2"
    job = empty.properties(answer.headers["x-ms-request-id"])
    assert (job["scenarioName"], job["state"], job["stateDescription"]) == ("CreateSite", "Succeeded", "Completed")


def test_ids_are_found_in_any_letter_case_and_answered_in_one(world, kit):
    body = world.get(f"{kit.vault.upper()}/REPLICATIONFABRICS/EAST".replace("/SUBSCRIPTIONS", "/subscriptions"))
    assert body["id"] == kit.vault.replace("/subscriptions", "/Subscriptions") + "/replicationFabrics/east"
    assert all(one["id"].startswith("/Subscriptions/") for one in world.get("/replicationProtectionContainers")["value"])


def test_a_policy_answers_other_names_than_it_is_sent(world):
    world.done(
        "PUT",
        "/replicationPolicies/hv",
        {"providerSpecificInput": {"instanceType": "HyperVReplicaAzure", "recoveryPointHistoryDuration": 2, "replicationInterval": 300}},
    )
    assert world.properties("/replicationPolicies/hv")["providerSpecificDetails"]["recoveryPointHistoryDurationInHours"] == 2
    world.done("PUT", "/replicationPolicies/a2a", {"providerSpecificInput": {"instanceType": "A2A", "multiVmSyncStatus": "Enable"}})
    assert world.properties("/replicationPolicies/a2a")["providerSpecificDetails"]["multiVmSyncStatus"] == "Enabled"
    world.done("PATCH", "/replicationPolicies/a2a", {"replicationProviderSettings": {"instanceType": "A2A", "recoveryPointHistory": 60}})
    assert world.properties("/replicationPolicies/a2a")["providerSpecificDetails"]["recoveryPointHistory"] == 60


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("DELETE", "/replicationPolicies/daily", "PolicyInUse"),
        ("DELETE", "/replicationFabrics/east", "FabricInUse"),
        ("POST", "/replicationFabrics/east/replicationProtectionContainers/east-c/remove", "ProtectionContainerInUse"),
    ],
)
def test_what_is_in_use_is_not_removed(world, method, path, code):
    assert world.refused(method, path) == (400, code)


def test_a_mapping_pairs_its_containers_and_both_lists_show_it(world, kit):
    assert world.properties(kit.containers["west"])["pairingStatus"] == "Paired"
    for side in kit.containers.values():
        assert world.names(f"{side}/replicationProtectionContainerMappings") == ["there"]
    assert world.names("/replicationProtectionContainerMappings") == ["there"]


def test_auto_update_brings_schedules_and_repairs_its_own_errors(world, kit):
    world.cloud.store.get(kit.vault + kit.mapping)["properties"].update(
        health="Warning", healthErrorDetails=[{"errorCategory": "AgentAutoUpdateRunAsAccountExpired", "errorCode": "1"}]
    )
    job = world.done(
        "PATCH",
        kit.mapping,
        {
            "providerSpecificInput": {
                "instanceType": "A2A",
                "agentAutoUpdateStatus": "Enabled",
                "automationAccountArmId": AUTOMATION,
                "automationAccountAuthenticationType": "SystemAssignedIdentity",
            }
        },
    )
    assert job["state"] == "Succeeded"
    properties = world.properties(kit.mapping)
    details = properties["providerSpecificDetails"]
    assert details["scheduleName"].startswith("there_")
    assert details["jobScheduleName"]
    assert details["automationAccountAuthenticationType"] == "SystemAssignedIdentity"
    assert (properties["health"], properties["healthErrorDetails"]) == ("Normal", [])
    world.done("PATCH", kit.mapping, {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}})
    assert world.properties(kit.mapping)["providerSpecificDetails"]["scheduleName"] is None


def test_auto_update_without_an_account_is_refused(world, kit):
    assert world.refused("PATCH", kit.mapping, {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Enabled"}}) == (
        400,
        "AutomationAccountMissing",
    )


def test_a_change_that_a_fault_fails_changes_nothing(world, kit):
    job = world.done(
        "PATCH",
        kit.mapping,
        {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Enabled", "automationAccountArmId": AUTOMATION}},
        outcome={"status": "Failed", "code": "539", "message": "No permission on the account."},
    )
    assert (job["state"], job["allowedActions"]) == ("Failed", ["Restart"])
    assert job["errors"][0]["serviceErrorDetails"]["code"] == "539"
    assert world.properties(kit.mapping)["providerSpecificDetails"]["agentAutoUpdateStatus"] == "Disabled"


def test_a_network_mapping_between_regions_comes_back_in_lower_case(world, kit):
    path = "/replicationFabrics/east/replicationNetworks/azureNetwork/replicationNetworkMappings/n"
    network = f"{kit.west}/providers/Microsoft.Network/virtualNetworks/West-Net"
    world.done(
        "PUT",
        path,
        {
            "recoveryFabricName": "west",
            "recoveryNetworkId": network,
            "fabricSpecificDetails": {
                "instanceType": "AzureToAzure",
                "primaryNetworkId": f"{kit.east}/providers/Microsoft.Network/virtualNetworks/East-Net",
            },
        },
    )
    properties = world.properties(path)
    assert properties["recoveryNetworkId"] == network.lower()
    assert properties["fabricSpecificSettings"]["recoveryFabricLocation"] == "westus3"
    assert world.names("/replicationNetworkMappings") == ["n"]


def test_two_writes_at_once_on_one_thing_conflict(world, kit):
    change = {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}}
    world.begin("PATCH", kit.mapping, change)
    assert world.refused("PATCH", kit.mapping, change) == (409, "OperationInProgress")


def test_the_vault_shows_its_health_alerts_and_systems(world):
    assert world.get("/replicationVaultHealth")["properties"]["protectedItemsHealth"]["resourceCount"] == 3
    assert world.send("PUT", "/replicationAlertSettings/defaultAlertSetting", {"sendToOwners": "Send"}).status == 200
    assert world.names("/replicationAlertSettings") == ["defaultAlertSetting"]
    assert world.properties("/replicationSupportedOperatingSystems")["supportedOsList"][0]["instanceType"] == "A2A"
    assert world.done("POST", "/replicationVaultHealth/default/refresh")["scenarioName"] == "RefreshVaultHealth"
