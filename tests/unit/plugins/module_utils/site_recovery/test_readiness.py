# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The checks of a replicated item, of its mapping and of its plans: each passing, and each way in which it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import estates
import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, mappings, readiness

NOW = datetime(2026, 11, 2, 5, 30, tzinfo=UTC)
POLICY = readiness.Policy(rpo_minutes=15, test_failover_days=90, expiry_days=30)
ON = {
    "agentAutoUpdateStatus": "Enabled",
    "automationAccountArmId": estates.ACCOUNT_ID,
    "automationAccountAuthenticationType": "SystemAssignedIdentity",
}
READY = {"lastSuccessfulTestFailoverTime": "2026-10-01T00:00:00Z"}


def item(details: dict[str, Any] | None = None, **properties: Any) -> items.ReplicatedItem:
    return items.parse(estates.item("web", details=details, **READY | properties))


def told(of: items.ReplicatedItem, name: str) -> tuple[str, str, str]:
    """Status, reason and remedy of one of the checks of an item by itself."""
    check = next(check for check in readiness.of_item(of, POLICY, NOW) if check.name == name)
    return check.status, check.reason, check.remedy or ""


def test_a_healthy_machine_passes_all() -> None:
    assert {check.status for check in readiness.of_item(item(), POLICY, NOW)} == {"pass"}


BROKEN = estates.health_error("153006", "No recovery point for an hour.", "The agent is silent.", "Restart the agent.")


@pytest.mark.parametrize("name", ["replication_health", "failover_health"])
@pytest.mark.parametrize(
    ("word", "status"), [("Warning", "warn"), ("Critical", "fail"), ("None", "unknown"), (None, "unknown"), ("Odd", "unknown")]
)
def test_health(name: str, word: str | None, status: str) -> None:
    key = {"replication_health": "replicationHealth", "failover_health": "failoverHealth"}[name]
    found = told(item(**{key: word, "healthErrors": [BROKEN]}), name)
    assert found[0] == status and found[2]
    if status in ("warn", "fail"):
        assert "No recovery point for an hour." in found[1] and found[2] == "Restart the agent."


def test_a_test_failover_that_is_missing_is_told_once() -> None:
    error = BROKEN | {"errorCategory": "TestFailover"}
    assert told(item(failoverHealth="Warning", healthErrors=[error]), "failover_health")[0] == "pass"
    assert told(item(failoverHealth="Warning", healthErrors=[error, BROKEN]), "failover_health")[0] == "warn"


@pytest.mark.parametrize(
    ("details", "status", "why"),
    [
        ({"rpoInSeconds": 900}, "pass", "15 minutes, the objective is 15 minutes"),
        ({"rpoInSeconds": 901}, "fail", "the objective is 15 minutes"),
        ({"rpoInSeconds": None}, "unknown", "no RPO"),
        ({"lastRpoCalculatedTime": "2026-11-01T05:00:00Z"}, "unknown", "24.5 hours ago"),
        ({"lastRpoCalculatedTime": None}, "unknown", "not told"),
        ({"rpoInSeconds": 90000, "lastRpoCalculatedTime": None}, "fail", "25 hours"),
    ],
)
def test_rpo(details: dict[str, Any], status: str, why: str) -> None:
    found = told(item(details), "rpo")
    assert found[0] == status and why in found[1]


RUNNING = {"scenarioName": "UpdateMobilityService", "jobId": f"{estates.ASR}/replicationJobs/j1", "startTime": "2026-11-02T05:00:00Z"}


@pytest.mark.parametrize(
    ("properties", "reason", "remedy"),
    [
        ({"allowedOperations": ["DisableProtection"]}, "does not offer UnplannedFailover: it is Protected", "asr_vault_info"),
        ({"allowedOperations": [], "currentScenario": RUNNING}, "The job UpdateMobilityService runs", "Wait for the job"),
        ({"allowedOperations": ["TestFailoverCleanup"], "testFailoverState": "WaitingForCompletion"}, "Protected", "test_cleanup"),
        (
            {"allowedOperations": ["Commit"], "activeLocation": "Recovery", "protectionState": "UnplannedFailoverCommitPending"},
            "active location Recovery",
            "commit the failover",
        ),
    ],
)
def test_what_site_recovery_does_not_offer_fails_and_tells_the_way_on(properties: dict[str, Any], reason: str, remedy: str) -> None:
    found = told(item(**properties), "protection")
    assert found[0] == "fail" and reason in found[1] and remedy in found[2]


@pytest.mark.parametrize(
    ("tested", "status"),
    [("2026-08-04T05:30:00Z", "pass"), ("2026-08-03T05:29:00Z", "fail"), ("0001-01-01T00:00:00Z", "fail"), (None, "fail")],
)
def test_the_age_of_the_last_test_failover(tested: str | None, status: str) -> None:
    assert told(item(lastSuccessfulTestFailoverTime=tested), "test_failover")[0] == status


@pytest.mark.parametrize(
    ("details", "status", "why"),
    [
        ({"isReplicationAgentUpdateRequired": True, "isAgentUpgradeable": True}, "warn", "not the newest"),
        ({"agentExpiryDate": "2026-11-20T00:00:00Z"}, "warn", "until 2026-11-20"),
        ({"agentExpiryDate": "2026-11-01T00:00:00Z"}, "fail", "out of support since 2026-11-01"),
        ({"isReplicationAgentUpdateRequired": True, "isAgentUpgradeable": False}, "fail", "cannot update it"),
        ({"isReplicationAgentUpdateRequired": True, "isAgentReinstallRequired": True}, "fail", "has to be reinstalled"),
        ({"agentVersion": None}, "unknown", "no version"),
    ],
)
def test_the_mobility_service(details: dict[str, Any], status: str, why: str) -> None:
    found = told(item(details), "mobility_service")
    assert found[0] == status and why in found[1] and found[2]


def mapping(details: dict[str, Any] | None = None, region: str = estates.PRIMARY, **properties: Any) -> mappings.Mapping:
    return mappings.parse(estates.mapping(region, details=ON if details is None else details, **properties))


@pytest.mark.parametrize(
    ("found", "status", "why"),
    [
        ([mapping()], "pass", "on and healthy"),
        ([mapping({})], "warn", "is off"),
        ([mapping(ON | {"automationAccountAuthenticationType": "RunAsAccount"})], "fail", "Run As"),
        ([mapping(healthErrorDetails=[BROKEN])], "fail", "The agent is silent."),
        ([mapping(state="PairingFailed")], "fail", "PairingFailed"),
        ([mapping(region=estates.RECOVERY)], "unknown", "No container mapping"),
        ([], "unknown", "No container mapping"),
        ([mapping({}, policyFriendlyName="other"), mapping()], "pass", "on and healthy"),
    ],
)
def test_automatic_update_by_the_mapping_of_the_machine(found: list[mappings.Mapping], status: str, why: str) -> None:
    check = readiness.auto_update(item(), found)
    assert check.status == status and why in check.reason and (status == "pass" or check.remedy)


def test_a_machine_from_hyper_v_has_neither_mobility_service_nor_automatic_update() -> None:
    other = item({"instanceType": "HyperVReplicaAzure"})
    assert told(other, "mobility_service")[0] == readiness.auto_update(other, []).status == "pass"


def test_plan_drift() -> None:
    web, moved = item(), estates.plan("shop", [["web"], ["gone"]])
    empty = estates.plan("empty", [])
    planned = readiness.plans_by_item([moved, empty])
    assert readiness.in_a_plan(planned[web.name.lower()]).reason == "It is in shop."
    assert readiness.in_a_plan([]).status == "warn"
    every = {web.name.lower(): web}
    (gone,) = readiness.of_plan(moved, every)
    assert gone.status == "fail" and estates.guid("item gone") in gone.reason and estates.guid("item web") not in gone.reason
    assert [check.status for check in readiness.of_plan(empty, every)] == ["warn"]
    assert [check.status for check in readiness.of_plan(estates.plan("shop", [["web"]]), every)] == ["pass"]
