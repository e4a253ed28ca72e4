# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Mobility service of replicated machines: what items tell of it, and what updating and reinstalling it lead to."""

from __future__ import annotations

import pytest

BLOCKED = {
    "errorCode": "539",
    "errorMessage": "The machine has no network.",
    "possibleCauses": "A firewall.",
    "recommendedAction": "Open port 443.",
}
ADDED = {
    "isAgentUpgradeable",
    "isAgentUpgradeInProgress",
    "autoAgentUpgradeRetryCount",
    "isAgentUpgradeRetryThresholdExhausted",
    "isAgentReinstallRequired",
    "reasonsBlockingReinstallDetails",
}


def details(world, kit, **more):
    """What the item web tells of its agent; `more` is put there first."""
    if more:
        world.cloud.store.get(kit.vault + kit.item("web"))["properties"]["providerSpecificDetails"].update(more)
    return world.properties(kit.item("web"))["providerSpecificDetails"]


def outdated(world, kit, **more):
    return details(world, kit, agentVersion="9.50.0.0", isReplicationAgentUpdateRequired=True, **more)


def test_the_fields_are_those_of_the_api_version(world, kit):
    assert set(details(world, kit)) >= ADDED
    for path in (kit.item("web"), "/replicationProtectedItems"):
        body = world.send("GET", path, query={"api-version": "2025-01-01"}).body
        shown = body["value"][0] if "value" in body else body
        assert not ADDED & set(shown["properties"]["providerSpecificDetails"])


def test_an_update_ends_what_kept_the_agent_back(world, kit):
    outdated(world, kit, agentExpiryDate="2026-12-01T00:00:00Z", autoAgentUpgradeRetryCount=3, isAgentUpgradeRetryThresholdExhausted=True)
    job = world.begin("POST", f"{kit.item('web')}/updateMobilityService", {})
    assert details(world, kit)["isAgentUpgradeInProgress"] is True
    assert world.send("POST", f"{kit.item('web')}/updateMobilityService", {}).status == 409
    world.later(1000)
    assert world.properties(job)["state"] == "Succeeded"
    found = details(world, kit)
    assert (found["agentVersion"], found["isReplicationAgentUpdateRequired"]) == ("9.60.0.1", False)
    assert (found["autoAgentUpgradeRetryCount"], found["isAgentUpgradeRetryThresholdExhausted"]) == (0, False)
    assert (found["isAgentUpgradeInProgress"], found["agentExpiryDate"][:4]) == (False, "9999")


@pytest.mark.parametrize(
    ("state", "updated"),
    [("Succeeded", True), ("CompletedWithInformation", True), ("PartiallySucceeded", True), ("Failed", False), ("Cancelled", False)],
)
@pytest.mark.parametrize("word", ["updateMobilityService", "reinstallMobilityService"])
def test_every_end_state(world, kit, word, state, updated):
    outdated(world, kit)
    outcome = {"status": state, "code": "1", "message": "The machine has to be started again."}
    job = world.done("POST", f"{kit.item('web')}/{word}", {}, outcome=outcome)
    assert (job["state"], job["errors"][0]["serviceErrorDetails"]["message"]) == (state, outcome["message"])
    found = details(world, kit)
    assert found["agentVersion"] == ("9.60.0.1" if updated else "9.50.0.0")
    assert found["isAgentUpgradeInProgress"] is False


def test_an_agent_that_has_to_be_reinstalled_is_not_updated(world, kit):
    outdated(world, kit, isAgentReinstallRequired=True)
    job = world.done("POST", f"{kit.item('web')}/updateMobilityService", {})
    assert job["state"] == "Failed"
    assert job["errors"][0]["serviceErrorDetails"]["recommendedAction"] == "Reinstall the Mobility service."
    job = world.done("POST", f"{kit.item('web')}/reinstallMobilityService", {})
    assert (job["state"], job["scenarioName"]) == ("Succeeded", "ReinstallMobilityService")
    found = details(world, kit)
    assert (found["isAgentReinstallRequired"], found["agentVersion"], found["agentReinstallAttemptToVersion"]) == (
        False,
        "9.60.0.1",
        "9.60.0.1",
    )


def test_what_blocks_is_what_the_job_tells(world, kit):
    outdated(world, kit, isAgentUpgradeable=False)
    job = world.done("POST", f"{kit.item('web')}/updateMobilityService", {})
    assert job["state"] == "Failed"
    details(world, kit, isAgentReinstallRequired=True, reasonsBlockingReinstallDetails=[BLOCKED])
    job = world.done("POST", f"{kit.item('web')}/reinstallMobilityService", {})
    told = job["errors"][0]["serviceErrorDetails"]
    assert (job["state"], told["code"], told["recommendedAction"]) == ("Failed", "539", "Open port 443.")
    assert details(world, kit)["agentVersion"] == "9.50.0.0"
