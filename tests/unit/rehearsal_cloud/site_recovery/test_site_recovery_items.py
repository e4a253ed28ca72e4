# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Replicated items: enabling, the walk of their states, actions on one of them."""

from __future__ import annotations

import copy

import pytest


def state(world, path):
    properties = world.properties(path)
    return properties["protectionState"], properties["allowedOperations"]


def enable(world, kit, name="new"):
    world.cloud.seed([kit.virtual_machine(name)])
    return world.send(
        "PUT",
        kit.item(name),
        {
            "policyId": f"{kit.vault}/replicationPolicies/daily",
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "fabricObjectId": f"{kit.east}/providers/Microsoft.Compute/virtualMachines/{name}",
                "recoveryContainerId": kit.vault + kit.containers["west"],
                "recoveryResourceGroupId": kit.west,
                "recoveryAzureNetworkId": f"{kit.west}/providers/Microsoft.Network/virtualNetworks/west",
                "recoverySubnetName": "apps",
            },
        },
    )


def test_an_item_is_enabled_and_walks_to_protected_as_time_passes(world, kit):
    answer = enable(world, kit)
    assert answer.status == 202
    world.later(311)
    assert world.operation(answer)["status"] == "Succeeded"
    item = kit.item("new")
    assert state(world, item) == ("InitialReplicationInProgress", ["DisableProtection"])
    assert world.refused("POST", f"{item}/unplannedFailover", {}) == (400, "OperationNotAllowed")
    seen = []
    for _second in range(60):
        world.later(1)
        seen.append(state(world, item)[0])
    assert list(dict.fromkeys(seen)) == ["InitialReplicationInProgress", "InitialReplicationRecoveryCompletionPending", "Protected"]
    properties = world.properties(item)
    assert properties["allowedOperations"] == ["UnplannedFailover", "DisableProtection", "TestFailover"]
    assert properties["providerSpecificDetails"]["vmNics"][0]["ipConfigs"][0]["recoverySubnetName"] == "apps"
    world.later(3600)
    assert [error["errorCode"] for error in world.properties(item)["healthErrors"]] == ["161011"]


def test_reading_changes_nothing(world, kit):
    before = copy.deepcopy(world.cloud.dump()["store"])
    for path in (kit.item("web"), f"{kit.item('web')}/recoveryPoints", "/replicationProtectedItems", "/replicationVaultHealth"):
        assert world.get(path) == world.get(path)
    assert world.cloud.dump()["store"]["bodies"] == before["bodies"]


def test_enabling_twice_succeeds_and_says_so(world, kit):
    assert enable(world, kit, "web").status == 202
    world.later(5)
    answer = enable(world, kit, "web")
    world.later(5)
    operation = world.operation(answer)
    assert (operation["status"], operation["error"]["code"]) == ("Succeeded", "45031")


def test_long_lists_come_in_pages(world, kit):
    world.cloud.seed([kit.replicated(f"m{number}") for number in range(147)])
    first = world.get("/replicationProtectedItems")
    assert len(first["value"]) == 100
    second = world.send("GET", "/replicationProtectedItems", query={"skipToken": first["nextLink"].rsplit("=", 1)[-1]}).body
    assert (len(second["value"]), second["nextLink"]) == (50, None)


def test_recovery_points_reach_back_from_now(world, kit):
    points = world.get(f"{kit.item('web')}/recoveryPoints")["value"]
    times = [point["properties"]["recoveryPointTime"] for point in points]
    assert times == sorted(times, reverse=True)
    assert {point["properties"]["recoveryPointType"] for point in points} == {"CrashConsistent", "AppConsistent"}
    assert world.get(points[3]["id"]) == points[3]


def test_a_missing_item_is_told_as_recorded(world, kit):
    assert world.refused("DELETE", kit.item("none")) == (404, "ArmResourceDoesNotExist")


def test_a_drill_leaves_a_test_machine_until_it_is_cleaned_up(world, kit):
    item = kit.item("web")
    world.cloud.store.get(kit.vault + item)["properties"].update(
        failoverHealth="Warning", healthErrors=[{"errorCode": "161011", "errorCategory": "TestFailover"}]
    )
    job = world.begin("POST", f"{item}/testFailover", {"networkType": "NoNetworkAttachAsInput"})
    properties = world.properties(item)
    assert properties["currentScenario"]["jobId"] == job
    assert properties["allowedOperations"] == []
    world.later(200)
    details = world.properties(job)["customDetails"]
    assert (details["instanceType"], details["protectedItemDetails"][0]["testVmName"]) == ("TestFailoverJobDetails", "web-test")
    properties = world.properties(item)
    assert (properties["testFailoverState"], properties["allowedOperations"]) == ("WaitingForCompletion", ["TestFailoverCleanup"])
    assert (world.machine("web-test").status, world.machine("web").status) == (200, 404)
    assert world.done("POST", f"{item}/testFailoverCleanup", {"comments": "fine"})["state"] == "Succeeded"
    properties = world.properties(item)
    assert (properties["testFailoverState"], properties["failoverHealth"]) == ("MarkedForDeletion", "Normal")
    assert properties["lastSuccessfulTestFailoverTime"]
    assert "TestFailover" in properties["allowedOperations"]
    assert world.machine("web-test").status == 404


def test_failover_commit_and_reprotect_move_the_item(world, kit):
    item = kit.item("web")
    job = world.done("POST", f"{item}/unplannedFailover", {"sourceSiteOperations": "NotRequired"})
    assert [task["state"] for task in job["tasks"]] == ["Succeeded"] * 5
    assert world.properties(item)["activeLocation"] == "Recovery"
    assert state(world, item)[0] == "UnplannedFailoverCommitPendingStatesBegin"
    machine = world.machine("web").body
    assert (machine["location"], "osProfile" in machine["properties"]) == ("westus3", False)
    assert world.refused("POST", f"{item}/unplannedFailover", {}) == (400, "OperationNotAllowed")
    world.done("POST", f"{item}/failoverCommit")
    assert state(world, item)[0] == "UnplannedFailoverCommitted"
    job = world.done(
        "POST",
        f"{kit.containers['east']}/switchprotection",
        {
            "replicationProtectedItemName": "web",
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "recoveryContainerId": kit.vault + kit.containers["east"],
                "recoveryResourceGroupId": kit.east,
            },
        },
    )
    assert job["scenarioName"] == "SwitchReplicationGroupProtection"
    assert world.send("GET", item).status == 404
    moved = world.properties(kit.item("web", "west"))
    assert (moved["activeLocation"], moved["protectionState"]) == ("Primary", "Protected")
    assert moved["providerSpecificDetails"]["fabricObjectId"] == f"{kit.west}/providers/microsoft.compute/virtualmachines/web".lower()
    assert moved["recoveryFabricFriendlyName"] == "East US"


def test_cancelling_a_failover_goes_back(world, kit):
    item = kit.item("web")
    world.done("POST", f"{item}/unplannedFailover", {"sourceSiteOperations": "Required"})
    assert "PowerState/deallocated" in world.power("web", kit.east)
    world.done("POST", f"{item}/failoverCancel")
    assert state(world, item)[0] == "Protected"
    assert world.machine("web").status == 404
    assert "PowerState/running" in world.power("web", kit.east)


def test_another_recovery_point_can_be_applied_before_the_commit(world, kit):
    item = kit.item("web")
    world.done("POST", f"{item}/unplannedFailover", {})
    before = world.machine("web").body["properties"]["vmId"]
    point = world.get(f"{item}/recoveryPoints")["value"][5]["id"]
    world.done("POST", f"{item}/applyRecoveryPoint", {"recoveryPointId": point, "providerSpecificDetails": {"instanceType": "A2A"}})
    assert world.properties(item)["failoverRecoveryPointId"] == point
    assert world.machine("web").body["properties"]["vmId"] != before


def test_planned_failover_is_not_for_azure_to_azure(world, kit):
    assert world.refused("POST", f"{kit.item('web')}/plannedFailover", {}) == (400, "OperationNotAllowed")


@pytest.mark.parametrize("options", [{"networkType": "VmNetworkAsInput"}, {"networkType": "Other"}, {"failoverDirection": "Sideways"}])
def test_wrong_options_are_refused(world, kit, options):
    assert world.refused("POST", f"{kit.item('web')}/testFailover", options) == (400, "InvalidParameter")


def test_a_failed_failover_leaves_the_item_as_it_was_and_can_be_restarted(world, kit):
    item = kit.item("web")
    job = world.begin("POST", f"{item}/unplannedFailover", {}, outcome={"code": "150", "message": "No quota."})
    world.later(500)
    assert world.properties(job)["state"] == "Failed"
    assert state(world, item) == ("Protected", ["UnplannedFailover", "DisableProtection", "TestFailover"])
    assert world.machine("web").status == 404
    again = world.done("POST", f"{job}/restart")
    assert (again["scenarioName"], again["state"]) == ("UnplannedFailover", "Succeeded")
    assert world.machine("web").status == 200


def test_the_agent_is_brought_up_to_date(world, kit):
    details = world.cloud.store.get(kit.vault + kit.item("web"))["properties"]["providerSpecificDetails"]
    details.update(isReplicationAgentUpdateRequired=True, agentVersion="9.50.0.0")
    job = world.done("POST", f"{kit.item('web')}/updateMobilityService", {}, outcome={"status": "CompletedWithInformation"})
    assert job["state"] == "CompletedWithInformation"
    details = world.properties(kit.item("web"))["providerSpecificDetails"]
    assert (details["isReplicationAgentUpdateRequired"], details["agentVersion"]) == (False, "9.60.0.1")


def test_a_removed_item_leaves_its_plan(planned, kit):
    planned.done("POST", f"{kit.item('web')}/remove", {})
    assert planned.send("GET", kit.item("web")).status == 404
    boot = planned.properties("/replicationRecoveryPlans/all")["groups"][3]
    assert [member["id"].rsplit("/", 1)[-1] for member in boot["replicationProtectedItems"]] == ["app"]


def test_a_sparse_item_of_an_estate_fails_over_and_back(world, kit):
    sparse = {
        "id": kit.vault + kit.item("old"),
        "properties": {
            "recoveryFabricId": f"{kit.vault}/replicationFabrics/west",
            "providerSpecificDetails": {
                "instanceType": "A2A",
                "fabricObjectId": f"{kit.east}/providers/Microsoft.Compute/virtualMachines/old",
            },
        },
    }
    world.cloud.seed([kit.virtual_machine("old"), sparse])
    assert world.done("POST", f"{kit.item('old')}/unplannedFailover", {})["state"] == "Succeeded"
    assert world.machine("old", f"{kit.east}-asr").status == 200
    assert world.done("POST", f"{kit.item('old')}/failoverCommit")["state"] == "Succeeded"
    assert world.done("POST", f"{kit.item('old')}/reProtect", {})["state"] == "Succeeded"
    assert world.properties(kit.item("old", "west"))["protectionState"] == "Protected"


def test_a_machine_that_the_estate_leaves_out_comes_up_as_its_item_says(world, kit):
    item = kit.replicated("ghost")
    item["properties"]["providerSpecificDetails"] |= {"osType": "Linux", "recoveryAzureVMSize": "Standard_D8s_v5"}
    world.cloud.seed([item])
    assert world.done("POST", f"{kit.item('ghost')}/unplannedFailover", {})["state"] == "Succeeded"
    machine = world.machine("ghost").body["properties"]
    assert (machine["storageProfile"]["osDisk"]["osType"], machine["hardwareProfile"]["vmSize"]) == ("Linux", "Standard_D8s_v5")
