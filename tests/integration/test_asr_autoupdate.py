# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""asr_autoupdate against the rehearsal cloud."""

from __future__ import annotations

import estates
import pytest
from estates import ACCOUNT_ID, PRIMARY, RECOVERY

MAPPINGS = "*/replicationProtectionContainerMappings/*"
ON = {
    "agentAutoUpdateStatus": "Enabled",
    "automationAccountArmId": ACCOUNT_ID,
    "scheduleName": "schedule",
    "automationAccountAuthenticationType": "SystemAssignedIdentity",
    "jobScheduleName": "job-schedule",
}
SICK = estates.health_error("151083", "The account cannot be used.", "It has no rights.", "Grant them.")


def states(result: dict) -> list[str]:
    return [target["state"] for target in result["targets"]]


def test_both_directions_are_enabled_and_a_second_run_changes_nothing(cloud):
    running = cloud(estates.estate([]))
    first = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID}, diff=True)
    assert (first["changed"], states(first), first["counts"]["succeeded"]) == (True, ["changed", "changed"], 2)
    assert {target["after"]["auto_update"] for target in first["targets"]} == {"Enabled"}
    assert {target["after"]["automation_account_authentication_type"] for target in first["targets"]} == {"SystemAssignedIdentity"}
    assert [(one["before"]["auto_update"], one["after"]["auto_update"]) for one in first["diff"]] == [("Disabled", "Enabled")] * 2
    assert [one["request"] for one in running.writes()] == [
        {
            "properties": {
                "providerSpecificInput": {
                    "instanceType": "A2A",
                    "agentAutoUpdateStatus": "Enabled",
                    "automationAccountArmId": ACCOUNT_ID,
                    "automationAccountAuthenticationType": "SystemAssignedIdentity",
                }
            }
        }
    ] * 2
    second = running.run_module("asr_autoupdate", {}, diff=True)
    assert (second["changed"], states(second), second["diff"]) == (False, ["unchanged", "unchanged"], [])
    assert len(running.writes()) == 2


def test_it_is_disabled_and_a_second_run_changes_nothing(cloud):
    running = cloud(estates.estate([], None, estates.mapping(PRIMARY, details=ON)))
    first = running.run_module("asr_autoupdate", {"state": "disabled"})
    assert sorted(states(first)) == ["changed", "unchanged"]
    assert running.writes()[0]["request"] == {
        "properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}}
    }
    assert states(running.run_module("asr_autoupdate", {"state": "disabled"})) == ["unchanged", "unchanged"]


def test_check_mode_tells_the_same_and_sends_only_reads(cloud):
    running = cloud(estates.estate([]))
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID}, check=True, diff=True)
    assert (result["changed"], states(result)) == (True, ["changed", "changed"])
    assert result["diff"][0]["after"]["automation_account_id"] == ACCOUNT_ID
    assert result["targets"][0]["actions"] == ["enable automatic update"]
    assert not running.writes()


def test_other_mappings_are_skipped_with_the_reason(cloud):
    vmm = estates.mapping(RECOVERY)
    vmm["properties"]["providerSpecificDetails"] = None
    unpaired = estates.mapping(PRIMARY, state="PairingFailed")
    running = cloud(estates.estate([], None, vmm, unpaired))
    result = running.run_module("asr_autoupdate", {})
    assert (result["changed"], result["counts"]["skipped"]) == (False, 2)
    reasons = " ".join(target["reason"] for target in result["targets"])
    assert "only A2A mappings" in reasons and "PairingFailed" in reasons


def test_an_unhealthy_mapping_is_set_again_and_its_errors_are_told(cloud):
    sick = estates.mapping(PRIMARY, details=ON, health="Critical", healthErrorDetails=[SICK])
    running = cloud(estates.estate([], None, sick, estates.mapping(RECOVERY, details=ON)))
    foreseen = running.run_module("asr_autoupdate", {}, check=True)
    assert sorted(states(foreseen)) == ["changed", "unchanged"] and not running.writes()
    result = running.run_module("asr_autoupdate", {})
    repaired = next(target for target in result["targets"] if target["before"]["health_errors"])
    assert (repaired["state"], repaired["actions"]) == ("changed", ["repair automatic update"])
    assert repaired["before"]["health_errors"][0]["recommended_action"] == "Grant them."
    assert "It has no rights." in repaired["reason"] and "Grant them." in repaired["reason"]
    assert repaired["after"]["health_errors"] == []
    assert len(running.writes()) == 1


def test_an_operation_that_fails_is_told_with_cause_and_action_and_leaves_the_others_done(cloud):
    fault = {
        "match": {"method": "PATCH", "path": MAPPINGS},
        "count": 1,
        "do": {
            "operation": {
                "status": "Failed",
                "code": "151083",
                "message": "The account cannot be used.",
                "possibleCauses": "It has no rights.",
                "recommendedAction": "Grant them.",
            }
        },
    }
    running = cloud(estates.estate([]), faults=[fault])
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID})
    assert result["failed"] and sorted(states(result)) == ["changed", "failed"]
    assert result["counts"] == {"succeeded": 1, "failed": 1, "failed_to_start": 0, "timed_out": 0, "skipped": 0}
    failed = next(target for target in result["targets"] if target["state"] == "failed")
    assert (failed["error"]["code"], failed["error"]["recommended_action"]) == ("151083", "Grant them.")
    assert "The account cannot be used" in failed["reason"] and "It has no rights." in failed["reason"]
    assert not running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID}).get("failed")


def test_a_refused_request_failed_to_start_and_may_be_allowed(cloud):
    fault = {
        "match": {"method": "PATCH", "path": f"{MAPPINGS[:-1]}{PRIMARY}*"},
        "do": {"status": 409, "body": {"error": {"code": "Conflict", "message": "Another operation runs."}}},
    }
    running = cloud(estates.estate([]), faults=[fault])
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID})
    assert result["failed"] and result["counts"]["failed_to_start"] == 1 and result["counts"]["failed"] == 0
    assert "Another operation runs" in result["msg"]
    assert not running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID, "max_failures": 1}).get("failed")


@pytest.mark.parametrize("status", ["PartiallySucceeded", "CompletedWithInformation"])
def test_every_success_state_of_site_recovery_is_one(cloud, status):
    running = cloud(estates.estate([]), faults=[{"match": {"method": "PATCH", "path": MAPPINGS}, "do": {"operation": {"status": status}}}])
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID})
    assert states(result) == ["changed", "changed"]


def test_what_takes_too_long_timed_out(cloud):
    running = cloud(estates.estate([]), speed=1)
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID, "timeout": 0.02})
    assert result["failed"] and states(result) == ["timed_out", "timed_out"] and result["counts"]["timed_out"] == 2
    assert result["changed"]


def test_only_the_mappings_that_are_named(cloud):
    running = cloud(estates.estate([]))
    name = estates.mapping_id(PRIMARY).rpartition("/")[2]
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID, "mappings": [name.upper()]})
    assert [target["name"] for target in result["targets"]] == [name] and len(running.writes()) == 1
    result = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID, "mappings": ["typo", name]})
    assert result["failed"] and name in result["msg"] and "typo" in result["msg"]


def test_an_account_that_cannot_do_it_is_refused_before_anything_is_changed(cloud):
    running = cloud(estates.estate([], None, estates.account("UserAssigned")))
    no_identity = running.run_module("asr_autoupdate", {"automation_account_id": ACCOUNT_ID})
    assert no_identity["failed"] and "no system-assigned identity" in no_identity["msg"]
    not_there = running.run_module("asr_autoupdate", {"automation_account_id": f"{ACCOUNT_ID}2"})
    assert not_there["failed"] and "There is no automation account" in not_there["msg"]
    none = running.run_module("asr_autoupdate", {})
    assert none["failed"] and "has an automation account yet" in none["msg"]
    assert not running.writes()


def test_run_as_accounts_are_warned_of(cloud):
    running = cloud(estates.estate([], None, estates.account("None")))
    result = running.run_module(
        "asr_autoupdate", {"automation_account_id": ACCOUNT_ID, "automation_account_authentication_type": "run_as_account"}
    )
    assert "2023-09-30" in " ".join(str(warning) for warning in result["warnings"])
    assert {target["after"]["automation_account_authentication_type"] for target in result["targets"]} == {"RunAsAccount"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"vault_id": estates.VAULT_ID.removesuffix("/rsv-dr-weu")},
        {"automation_account_id": estates.VAULT_ID},
        {"automation_account_id": ACCOUNT_ID.replace("11111111", "99999999"), "vault_id": estates.VAULT_ID},
        {"mappings": [estates.item_id("shop-web-01")]},
    ],
)
def test_wrong_input_is_refused_before_any_request(cloud, wrong):
    running = cloud(estates.estate([]))
    result = running.run_module("asr_autoupdate", wrong)
    assert result["failed"] and next(iter(wrong)) in result["msg"]
    assert running.traffic() == []
