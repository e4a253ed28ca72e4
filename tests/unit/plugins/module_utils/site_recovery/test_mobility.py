# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Mobility service of replicated machines: what is said of it, what is done about it, and what is told of what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError, OperationFailed
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.operations import End
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, mobility
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.vault import Vault

S = "/subscriptions/11111111-2222-3333-4444-555555555555"
VAULT_ID = f"{S}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
ITEM = f"{VAULT_ID}/replicationFabrics/neu/replicationProtectionContainers/neu-container/replicationProtectedItems/i"
VAULT = Vault(VAULT_ID, "v", "rg", S.split("/")[2], "westeurope")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OUTDATED = {"agentVersion": "9.62.7110.1", "isReplicationAgentUpdateRequired": True}
REINSTALL = OUTDATED | {"isAgentReinstallRequired": True, "isAgentUpgradeable": False}
RUNNING = {"isAgentUpgradeInProgress": True}
BLOCKS = {"errorCode": "151095", "errorMessage": "It does not answer.", "possibleCauses": "It is off.", "recommendedAction": "Start it."}
JOB = "9b1c2f8e-7a1d-4c35-9d58-1f0b7a6c4e21"

Wire = dict[str, Any]


def wire(state: str = "Protected", scenario: str = "", provider: str = "A2A", errors: tuple[Wire, ...] = (), **details: Any) -> Wire:
    """An item as Azure sends it; its Mobility service is in order but for `details`."""
    healthy = {"agentVersion": "9.65.7498.1", "agentExpiryDate": "9999-12-31T23:59:59.9999999", "isReplicationAgentUpdateRequired": False}
    return {
        "id": ITEM,
        "name": "i",
        "properties": {
            "friendlyName": "web",
            "protectionState": state,
            "healthErrors": list(errors),
            "currentScenario": {"scenarioName": scenario, "jobId": f"{VAULT_ID}/replicationJobs/{JOB if scenario else 'None'}"},
            "providerSpecificDetails": {"instanceType": provider, **healthy, **details},
        },
    }


def judged(days: int = 60, **given: Any) -> list[mobility.Finding]:
    return list(mobility.judge(items.parse(wire(**given)), NOW, days))


def said(**details: Any) -> dict[str, str]:
    return {one.kind: f"{one.reason} {one.advice}" for one in judged(**details)}


@pytest.mark.parametrize(
    ("details", "kinds", "action"),
    [
        ({}, [], None),
        (OUTDATED, ["outdated"], mobility.UPDATE),
        (OUTDATED | {"agentExpiryDate": "2026-12-04T00:00:00Z"}, ["expiring", "outdated"], mobility.UPDATE),
        (OUTDATED | {"agentExpiryDate": "2026-11-01T00:00:00"}, ["expired", "outdated"], mobility.UPDATE),
        ({"agentExpiryDate": "2027-01-21T00:00:00Z"}, [], None),
        ({"agentExpiryDate": "2026-12-04T00:00:00Z"}, ["expiring"], None),
        (OUTDATED | {"isAgentUpgradeRetryThresholdExhausted": True}, ["retries_exhausted", "outdated"], mobility.UPDATE),
        (OUTDATED | {"isAgentUpgradeable": True}, ["outdated"], mobility.UPDATE),
        (OUTDATED | {"isAgentUpgradeable": False}, ["blocked", "outdated"], None),
        ({"isAgentUpgradeable": False}, [], None),
        (REINSTALL, ["reinstall_required", "outdated"], mobility.REINSTALL),
        (REINSTALL | {"reasonsBlockingReinstallDetails": [BLOCKS]}, ["blocked", "reinstall_required", "outdated"], None),
        (OUTDATED | RUNNING, ["outdated", "updating"], mobility.WAIT),
        (OUTDATED | {"isAgentUpgradeable": False} | RUNNING, ["outdated", "updating"], mobility.WAIT),
        (OUTDATED | {"scenario": "UpdateMobilityService"}, ["outdated", "updating"], mobility.WAIT),
        (OUTDATED | {"scenario": "TestFailover"}, ["outdated"], mobility.UPDATE),
    ],
)
def test_what_is_said_and_what_is_done(details: Wire, kinds: list[str], action: str | None) -> None:
    assert [one.kind for one in judged(**details)] == kinds
    assert all(one.reason and one.advice for one in judged(**details))
    assert mobility.missing(items.parse(wire(**details))) == action


def test_an_older_api_version_tells_enough_to_update() -> None:
    assert mobility.missing(items.parse(wire(**OUTDATED))) == mobility.UPDATE


def test_how_many_days_before_its_end_it_is_expiring_is_asked_for() -> None:
    assert [one.kind for one in judged(days=12, agentExpiryDate="2026-12-04T00:00:00Z")] == []
    assert [one.kind for one in judged(days=13, agentExpiryDate="2026-12-04T00:00:00Z")] == ["expiring"]


def test_the_words() -> None:
    assert "9.62.7110.1 is not the newest" in said(**OUTDATED)["outdated"]
    assert "until 2026-12-04" in said(agentExpiryDate="2026-12-04T00:00:00Z")["expiring"]
    assert "no newer version" in said(agentExpiryDate="2026-12-04T00:00:00Z")["expiring"]
    assert "since 2026-11-01" in said(agentExpiryDate="2026-11-01T00:00:00Z")["expired"]
    assert "failed 5 times" in said(isAgentUpgradeRetryThresholdExhausted=True, autoAgentUpgradeRetryCount=5)["retries_exhausted"]
    moved = {"distroName": "Windows Server 2022", "distroNameForWhichAgentIsInstalled": "Windows Server 2019"}
    assert (
        "installed for Windows Server 2019, and the machine has Windows Server 2022 now" in said(**REINSTALL, **moved)["reinstall_required"]
    )
    blocked = said(**REINSTALL, reasonsBlockingReinstallDetails=[BLOCKS])["blocked"]
    assert "151095: It does not answer. Possible causes: It is off." in blocked and blocked.endswith("Start it.")


def test_why_it_cannot_be_updated_is_taken_from_the_health_of_the_machine() -> None:
    about = BLOCKS | {"errorCategory": "AgentAutoUpdateArtifactDeleted"}
    other = BLOCKS | {"errorCategory": "Replication", "errorMessage": "It is slow."}
    blocked = said(**OUTDATED, isAgentUpgradeable=False, errors=(about, other))["blocked"]
    assert "It does not answer." in blocked and "It is slow." not in blocked


@pytest.mark.parametrize(
    ("before", "after", "needed"),
    [
        ("9.61.7016.1", "9.65.7498.1", "recommended"),
        ("9.60.6956.1", "9.65.7498.1", "mandatory"),
        ("9.65.7400.1", "9.65.7498.1", "recommended"),
        ("9.65.7498.1", "9.65.7498.1", None),
        (None, "9.65.7498.1", None),
        ("9.65.7498.1", None, None),
        ("9.65", "10.1", "recommended"),
        ("unknown", "9.65.7498.1", "recommended"),
    ],
)
def test_when_a_machine_is_to_be_restarted(before: str | None, after: str | None, needed: str | None) -> None:
    assert mobility.restart(before, after) == needed


@pytest.mark.parametrize(
    ("observed", "why"),
    [
        (wire(provider="HyperVReplicaAzure"), "replicates with HyperVReplicaAzure"),
        (wire(provider=""), "another provider"),
        (wire("UnplannedFailoverCommitPending", **OUTDATED), "It is UnplannedFailoverCommitPending"),
        (wire("", **OUTDATED), "no known state"),
    ],
)
def test_machines_that_cannot_be_updated_from_here_are_skipped_with_the_reason(observed: Wire, why: str) -> None:
    step = mobility.MobilityUpdate(None, VAULT, NOW, 60)
    with pytest.raises(fleet.Skip, match=why):
        step.plan(fleet.Target(ITEM, "web"), items.parse(observed))


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="expiry_days"):
        mobility.check_input({"vault_id": None, "expiry_days": -1})


class OneMachine:
    """Stands for azure: one machine, the answers to looks at it (the last one stays), what an update does, and the vault's jobs."""

    def __init__(self, *looks: Wire, update: Callable[[], Any] | None = None, jobs: tuple[Wire, ...] = ()) -> None:
        self.pacer = SimpleNamespace(throttled_requests=0, minimum_duration=lambda requests: 0.0)
        operations = SimpleNamespace(get=lambda **names: "item", begin_update_mobility_service=self.send)
        listed = SimpleNamespace(list=lambda **names: jobs, get=lambda job_name, **names: job_name)
        self.site_recovery = SimpleNamespace(replication_protected_items=operations, replication_jobs=listed)
        self.looks, self.update, self.jobs, self.sent = list(looks), update, jobs, 0

    async def send(self, *, update_mobility_service_request: Wire, polling: Any, **place: str) -> None:
        assert (update_mobility_service_request, place["replicated_protected_item_name"]) == ({"properties": {}}, "i")
        self.sent += 1

    async def read(self, asked: str, resource_id: str, awaitable: Any) -> Wire:
        if awaitable == "item":
            return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return next(job for job in self.jobs if job["name"] == awaitable)

    async def collect(self, asked: str, resource_id: str, pager: Any) -> list[Wire]:
        return [job | {"properties": job["properties"] | {"state": "InProgress"}} for job in pager]

    async def run(self, asked: str, resource_id: str, begin: Callable[..., Awaitable[Any]], timeout: float) -> Any:
        await begin(polling=SimpleNamespace(operation_id=JOB))
        return self.update() if self.update else End("Succeeded", None, JOB, "", None)

    async def require(self, requests: Any, needs: Any) -> None:
        """Everything is permitted."""

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)


def job(state: str, message: str = "", name: str = "web") -> Wire:
    errors = [{"serviceErrorDetails": {"code": "539", "message": message, "recommendedAction": "Look there."}}] if message else []
    scenario = {"scenarioName": "UpdateMobilityService", "targetObjectName": name, "state": state, "errors": errors}
    return {"id": f"{VAULT_ID}/replicationJobs/{JOB}", "name": JOB, "properties": scenario}


def run(azure: OneMachine, first: Wire, check: bool = False) -> tuple[Wire, Wire, list[str]]:
    """The row of the machine, the whole result, and the warnings."""
    step = mobility.MobilityUpdate(azure, VAULT, NOW, 60)
    item = items.parse(first)
    report = asyncio.run(fleet.run(azure, [fleet.Target(item.id, "web", item)], [step], check=check, timeout=60))
    result = mobility.results(step, report, check, 0)
    return result["targets"][0], result, mobility.warnings(step, result["targets"])


def failing(**error: Any) -> Callable[[], Any]:
    def update() -> Any:
        raise AzureError("update the Mobility service", ITEM, **error)

    return update


def test_what_a_job_says_beside_success_is_told_and_a_mandatory_restart_warned_of() -> None:
    azure = OneMachine(
        wire(),
        update=lambda: End("CompletedWithInformation", None, JOB, "", None),
        jobs=(job("CompletedWithInformation", "Restart the machine."),),
    )
    row, _result, warnings = run(azure, wire(**OUTDATED | {"agentVersion": "9.59.1.1"}))
    assert (row["state"], row["restart"]) == ("changed", "mandatory")
    assert "ended as CompletedWithInformation: 539: Restart the machine." in row["reason"] and "not the newest" in row["reason"]
    assert "Restart the machine" in warnings[0] and warnings[1].startswith("To be restarted") and "web" in warnings[1]


def test_an_update_after_which_azure_still_wants_one_fails() -> None:
    row, result, _warnings = run(OneMachine(wire(**OUTDATED)), wire(**OUTDATED))
    assert (row["state"], result["agents"]["outdated"]) == ("failed", ["web"])
    assert "still asks to update the Mobility service" in row["reason"]


def test_a_blocked_machine_fails_with_reason_and_advice_and_nothing_is_sent() -> None:
    first = wire(**REINSTALL, reasonsBlockingReinstallDetails=[BLOCKS])
    for check in (True, False):
        azure = OneMachine(first)
        row, result, _warnings = run(azure, first, check)
        assert (row["state"], azure.sent, result["agents"]["blocked"]) == ("failed", 0, ["web"])
        assert "It is off" in row["reason"] and "Start it." in row["reason"]


def test_check_mode_lists_what_there_is_now() -> None:
    azure = OneMachine(wire(**OUTDATED))
    row, result, _warnings = run(azure, wire(**OUTDATED), check=True)
    assert (row["state"], row["restart"], azure.sent) == ("changed", None, 0)
    assert (row["before"]["version"], row["after"]["version"], row["after"]["findings"]) == ("9.62.7110.1", None, [])
    assert result["agents"]["outdated"] == ["web"]


@pytest.mark.parametrize("first", [OUTDATED | RUNNING, OUTDATED | {"scenario": "UpdateMobilityService"}])
def test_an_update_that_runs_is_followed_and_counts_as_a_change(first: Wire) -> None:
    azure = OneMachine(wire(), jobs=(job("Succeeded"),))
    row, _result, _warnings = run(azure, wire(**first))
    assert (row["state"], row["changed"], azure.sent, row["actions"]) == ("changed", True, 0, [mobility.WAIT])
    foreseen, _result, _warnings = run(azure, wire(**first), check=True)
    assert (foreseen["state"], foreseen["after"]["findings"]) == ("changed", [])


def test_an_update_that_runs_and_fails_is_told_in_the_words_of_its_job() -> None:
    azure = OneMachine(wire(**OUTDATED), jobs=(job("Failed", "No heartbeat."),))
    row, _result, _warnings = run(azure, wire(**OUTDATED, **RUNNING))
    assert (row["state"], azure.sent) == ("failed", 0)
    assert "No heartbeat" in row["reason"] and row["error"]["recommended_action"] == "Look there."


def test_an_update_of_which_no_job_is_known_is_waited_for_by_looking_at_the_machine() -> None:
    azure = OneMachine(wire(**OUTDATED, **RUNNING), wire(**OUTDATED, **RUNNING), wire(), jobs=(job("Failed", name="another"),))
    row, _result, _warnings = run(azure, wire(**OUTDATED, **RUNNING))
    assert (row["state"], row["reason"], azure.sent) == ("unchanged", None, 0)


@pytest.mark.parametrize("error", [{"status": 409, "accepted": False}, {"status": 502, "accepted": None}])
def test_an_update_that_is_in_the_way_is_followed(error: Wire) -> None:
    azure = OneMachine(wire(), update=failing(**error), jobs=(job("Succeeded"),))
    row, _result, _warnings = run(azure, wire(**OUTDATED))
    assert (row["state"], azure.sent) == ("changed", 1)


def test_another_job_that_is_in_the_way_is_told() -> None:
    azure = OneMachine(wire(**OUTDATED), update=failing(status=409, message="A test failover runs.", accepted=False))
    row, _result, _warnings = run(azure, wire(**OUTDATED))
    assert row["state"] == "failed" and "A test failover runs" in row["reason"] and not row["changed"]


def test_a_failed_update_is_told_in_the_words_of_its_job() -> None:
    def update() -> Any:
        raise OperationFailed("update the Mobility service", ITEM, status="Failed", message="It failed.", accepted=True)

    azure = OneMachine(wire(**OUTDATED), update=update, jobs=(job("Failed", "No heartbeat."),))
    row, _result, _warnings = run(azure, wire(**OUTDATED))
    assert row["state"] == "failed" and "No heartbeat" in row["reason"] and row["changed"]
    assert (row["error"]["code"], row["error"]["recommended_action"]) == ("539", "Look there.")
