# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What Site Recovery says of a replicated item, and which item a user means. Answers in the form of recorded traffic."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items

S = "/subscriptions/11111111-2222-3333-4444-555555555555"
CONTAINER = (
    f"/Subscriptions{S.removeprefix('/subscriptions')}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
    "/replicationFabrics/neu/replicationProtectionContainers/neu-container"
)
NONE = {"scenarioName": "None", "jobId": f"{CONTAINER}/replicationJobs/None", "startTime": "1753-01-01T01:01:01Z"}


def wire(name: str = "item-1", friendly: str = "web-01", details: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    a2a = {
        "instanceType": "A2A",
        "fabricObjectId": f"{S}/resourcegroups/rg-neu/providers/microsoft.compute/virtualmachines/{friendly}",
        "recoveryAzureVMName": friendly,
        "recoveryAzureResourceGroupId": f"{S}/resourceGroups/rg-weu",
        "tfoAzureVMName": f"{friendly}-test",
        "agentVersion": "9.65.7498.1",
        "agentExpiryDate": "9999-12-31T23:59:59.9999999",
        "isReplicationAgentUpdateRequired": False,
        "rpoInSeconds": 95,
    }
    return {
        "id": f"{CONTAINER}/replicationProtectedItems/{name}",
        "name": name,
        "properties": {
            "friendlyName": friendly,
            "protectionState": "Protected",
            "allowedOperations": ["TestFailover"],
            "currentScenario": NONE,
            "healthErrors": [],
            "providerSpecificDetails": a2a if details is None else details,
        }
        | properties,
    }


def test_the_machines_of_an_item():
    item = items.parse(wire())
    assert item.source_vm_id and item.source_vm_id.endswith("/virtualmachines/web-01")
    assert item.recovery_vm_id == f"{S}/resourceGroups/rg-weu/providers/Microsoft.Compute/virtualMachines/web-01"
    assert item.test_vm_id == f"{S}/resourceGroups/rg-weu/providers/Microsoft.Compute/virtualMachines/web-01-test"
    assert (item.fabric, item.container) == ("neu", "neu-container")


def test_a_machine_that_azure_names_itself_is_taken_before_the_name_that_it_was_to_have():
    renamed = f"{S}/resourceGroups/rg-weu/providers/Microsoft.Compute/virtualMachines/web-01-2"
    details = wire()["properties"]["providerSpecificDetails"] | {"recoveryFabricObjectId": renamed}
    assert items.parse(wire(details=details)).recovery_vm_id == renamed


def test_nothing_runs_and_nothing_expires_in_site_recoverys_odd_years():
    item = items.parse(wire())
    assert item.current_job is None
    assert item.agent and item.agent.expires is None


def test_a_job_that_runs_is_told():
    scenario = {"scenarioName": "TestFailover", "jobId": f"{CONTAINER}/replicationJobs/abc", "startTime": "2026-11-02T05:12:44.1873320Z"}
    job = items.parse(wire(currentScenario=scenario)).current_job
    assert job and (job.name, job.scenario, job.started) == ("abc", "TestFailover", "2026-11-02T05:12:44.1873320Z")


def test_a_hyper_v_item_has_no_mobility_service_and_its_own_spelling():
    item = items.parse(
        wire(
            details={
                "instanceType": "HyperVReplicaAzure",
                "recoveryAzureVmName": "sql",
                "oSDetails": {"osType": "Windows"},
                "recoveryAzureResourceGroupId": f"{S}/resourceGroups/rg-weu",
            }
        )
    )
    assert (item.agent, item.source_vm_id, item.test_vm_id, item.os_type) == (None, None, None, "Windows")
    assert item.recovery_vm_id == f"{S}/resourceGroups/rg-weu/providers/Microsoft.Compute/virtualMachines/sql"


def test_an_item_without_details_is_read_too():
    assert items.parse(wire(details={}, providerSpecificDetails=None, currentScenario=None)).provider == ""


def test_health_errors_say_cause_and_action():
    error = {
        "errorCode": "161011",
        "errorLevel": "Warning",
        "errorMessage": "No test.",
        "possibleCauses": "Never done.",
        "recommendedAction": "Do one.",
        "creationTimeUtc": "2026-11-02T05:12:44.1873320Z",
        "entityId": "x",
    }
    assert items.parse(wire(healthErrors=[error])).health_errors == (
        {
            "category": None,
            "code": "161011",
            "level": "Warning",
            "message": "No test.",
            "possible_causes": "Never done.",
            "recommended_action": "Do one.",
            "created": "2026-11-02T05:12:44.1873320Z",
        },
    )


def test_what_is_allowed_is_asked_in_any_letter_case():
    item = items.parse(wire())
    assert item.allows("testfailover") and not item.allows("UnplannedFailover")


@pytest.mark.parametrize(
    "text",
    [
        "item-1",
        "WEB-01",
        f"{CONTAINER.lower()}/replicationprotecteditems/ITEM-1",
        f"{S}/resourceGroups/rg-neu/providers/Microsoft.Compute/virtualMachines/web-01",
        f"{S}/resourceGroups/rg-weu/providers/Microsoft.Compute/virtualMachines/web-01-test",
    ],
)
def test_an_item_is_chosen_by_any_of_its_names(text):
    every = [items.parse(wire()), items.parse(wire("item-2", "web-02"))]
    assert [item.name for item in items.choose(every, [text, "item-1"])] == ["item-1"]


def test_an_item_that_is_not_there_is_an_error_that_names_those_that_are():
    with pytest.raises(AzureDRError, match=r"no replicated item typo, other in the vault. There are: web-01, web-02"):
        items.choose([items.parse(wire()), items.parse(wire("item-2", "web-02"))], ["typo", "web-01", "other"])


def test_a_name_that_two_items_have_is_refused():
    with pytest.raises(AzureDRError, match="name of 2 replicated items"):
        items.choose([items.parse(wire()), items.parse(wire("item-2"))], ["web-01"])


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2023-01-16T08:53:49.0442371Z", 8),
        ("2021-03-24T11:11:57Z", 11),
        ("2023-01-16T08:53:49", 8),
        ("2017-09-19T12:12:00.2842185+05:30", 12),
    ],
)
def test_dates_of_every_form_can_be_compared(text, hour):
    assert items.when(text).hour == hour and items.when(text).utcoffset() is not None
