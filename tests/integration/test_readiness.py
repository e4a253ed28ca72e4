# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Readiness: the module finds what is wrong with each machine, the role and the playbook fail for it and leave a report."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import estates
import pytest
import runbook
from conftest import RunningCloud
from runbook import Body, play

Start = Callable[..., RunningCloud]

TESTED = (datetime.now(UTC) - timedelta(days=10)).isoformat()
AMA, DEPENDENCY = "Microsoft.Azure.Monitor.AzureMonitorLinuxAgent", "Microsoft.Azure.Monitoring.DependencyAgent.DependencyAgentLinux"
COMPUTE = f"{estates.SUBSCRIPTION}/providers/Microsoft.Compute"
ON = {
    "agentAutoUpdateStatus": "Enabled",
    "automationAccountArmId": estates.ACCOUNT_ID,
    "automationAccountAuthenticationType": "SystemAssignedIdentity",
}
ASKED = {"data_collection_endpoint_ids": [runbook.ENDPOINT], "rpo_objective": 15, "test_failover_max_age_days": 90}
# What is wrong with each machine: of its item (`details` go into the providerSpecificDetails), and the check that has to find it.
SICK: dict[str, tuple[Body, Body, str]] = {
    "critical": ({"replicationHealth": "Critical"}, {"lastRpoCalculatedTime": "2026-01-01T00:00:00Z"}, "replication_health"),
    "slow": ({}, {"rpoInSeconds": 3600}, "rpo"),
    "stuck": ({"allowedOperations": ["DisableProtection"]}, {}, "protection"),
    "untested": ({"lastSuccessfulTestFailoverTime": None}, {}, "test_failover"),
    "expired": ({}, {"agentExpiryDate": "2026-01-01T00:00:00Z"}, "mobility_service"),
    "changed": ({}, {}, "extensions"),
    "unrecorded": ({}, {}, "extensions"),
    "nowhere": (
        {},
        {"vmNics": [{"recoveryVMNetworkId": estates.network_id(estates.RECOVERY) + "-gone", "ipConfigs": []}]},
        "target_network",
    ),
    "huge": ({}, {"recoveryAzureVMSize": "Standard_E32s_v5"}, "quota"),
    "barred": ({}, {"recoveryAzureVMSize": "Standard_F2s_v2"}, "quota"),
}
NAMES = ("ready", *SICK)


def machine(name: str) -> Iterator[Body]:
    """A machine with an agent, a rule and an endpoint of its region."""
    properties, details, _check = SICK.get(name, ({}, {}, ""))
    vm = estates.machine_id(name)
    yield from estates.machine(name)
    yield estates.item(name, details=details, **{"lastSuccessfulTestFailoverTime": TESTED} | properties)
    for kind in (AMA, DEPENDENCY) if name == "changed" else (AMA,):
        publisher, _dot, type_name = kind.rpartition(".")
        asked = {"publisher": publisher, "type": type_name, "typeHandlerVersion": "1.0", "provisioningState": "Succeeded"}
        yield estates.resource(f"{vm}/extensions/{type_name}", asked, location=estates.PRIMARY)
    for association, link, linked in (
        ("logs", "dataCollectionRuleId", runbook.RULES["Linux"]),
        ("configurationAccessEndpoint", "dataCollectionEndpointId", f"{runbook.MONITOR}/dataCollectionEndpoints/dce-neu"),
    ):
        yield estates.resource(f"{vm}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{association}", {link: linked})


def estate(names: tuple[str, ...], *more: Body) -> list[Body]:
    """Machines, all but the last in a plan; a second plan names one that is gone."""
    barred = [{"type": "Location", "values": [estates.RECOVERY], "reasonCode": "NotAvailableForSubscription"}]
    return estates.estate(
        [],
        {"shop": [names[:-1] or names], "drifted": [["ready"], ["forgotten"]]},
        *(body for name in names for body in machine(name)),
        *(estates.mapping(region, details=ON) for region in (estates.PRIMARY, estates.RECOVERY)),
        *(runbook.rule(rule, system) for system, rule in runbook.RULES.items()),
        estates.resource(runbook.ENDPOINT, location=estates.RECOVERY),
        {"id": f"{COMPUTE}/locations/{estates.RECOVERY}/usages/standardESv5Family", "properties": {"limit": 16}},
        {"id": f"{COMPUTE}/skus/Standard_F2s_v2", "restrictions": barred},
        *more,
    )


def baseline(cloud: RunningCloud, folder: Path, names: tuple[str, ...]) -> Path:
    """A baseline of the machines, in which `changed` has its agent only."""
    path = folder / "baseline.json"
    args = {"path": str(path), "machine_ids": [estates.machine_id(name) for name in names if name != "unrecorded"]}
    assert not cloud.run_module("extension_baseline", args).get("failed")
    content = json.loads(path.read_text())
    for record in content["machines"]:
        record["extensions"] = record["extensions"][:1]
    path.write_text(json.dumps(content))
    return path


def statuses(result: Body, wanted: str = "") -> dict[str, dict[str, str]]:
    """Of each machine the checks that did not pass, with their statuses."""
    assert not result.get("failed"), result["msg"]
    return {
        row["name"]: {check["name"]: check["status"] for check in row["checks"] if check["status"] != "pass" and wanted in check["name"]}
        for row in result["machines"]
    }


def test_each_machine_fails_of_what_is_wrong_with_it_and_of_nothing_else(cloud: Start, tmp_path: Path) -> None:
    running = cloud(estate(NAMES), speed=1000)
    file = baseline(running, tmp_path, NAMES)
    before = len(running.traffic())
    result = running.run_module("asr_readiness_info", ASKED | {"restore_from": str(file)})
    assert not result["changed"] and not running.writes()
    found = statuses(result)
    expected: dict[str, dict[str, str]] = {name: {check: "fail"} for name, (_item, _details, check) in SICK.items()} | {"ready": {}}
    expected["critical"] |= {"rpo": "unknown"}
    # What is not recorded is not known of rules and endpoint either; the last machine is in no plan.
    expected["unrecorded"] |= {"data_collection_rules": "unknown", "data_collection_endpoint": "unknown"}
    expected[NAMES[-1]] |= {"recovery_plan": "warn"}
    assert found == expected
    for row in result["machines"]:
        assert all(check["reason"] and bool(check["remedy"]) == (check["status"] != "pass") for check in row["checks"])
    assert {plan["name"]: plan["verdict"] for plan in result["recovery_plans"]} == {"shop": "pass", "drifted": "fail"}
    assert result["verdict"] == "fail" and result["summary"]["machines"] == {"pass": 1, "warn": 0, "fail": len(SICK)}
    assert result["summary"]["recovery_plans_failed"] == ["drifted"]
    read = [one["path"].rpartition("/")[2] for one in running.traffic()[before:] if "/virtualMachines/" in one["path"]]
    assert read == ["changed"], "lists tell all of the machines that are as their baseline has them"

    quick = {"recovery_plan": "shop", "restore_from": str(file), "tolerate": [check for _item, _details, check in SICK.values()]}
    tolerated = running.run_module("asr_readiness_info", ASKED | quick)
    assert tolerated["verdict"] == "warn" and [plan["name"] for plan in tolerated["recovery_plans"]] == ["shop"]


def test_without_a_baseline_what_is_lost_is_asked_of_the_machines(cloud: Start) -> None:
    running = cloud(estate(("ready", "changed")), speed=1000)
    chosen = {"replicated_items": ["ready", "changed"]}
    found = statuses(running.run_module("asr_readiness_info", ASKED | chosen))
    assert found["ready"] == {"data_collection_rules": "fail"} and found["changed"]["extensions"] == "fail"
    asked = {"extensions": [DEPENDENCY], "data_collection_rule_ids": [runbook.RULES["Linux"]]}
    assert statuses(running.run_module("asr_readiness_info", ASKED | chosen | asked)) == {"ready": {}, "changed": {"recovery_plan": "warn"}}
    found = statuses(running.run_module("asr_readiness_info", chosen | {"restore_from": "source"}))
    assert found["ready"] == {"extensions": "warn", "data_collection_endpoint": "fail"}, "the region that is asked may not answer"


def test_what_may_not_be_read_is_unknown_and_no_pass(cloud: Start) -> None:
    items = ["Microsoft.RecoveryServices/vaults/read", "Microsoft.RecoveryServices/vaults/replicationProtectedItems/read"]
    running = cloud(estate(("ready",)), speed=1000, permissions={"default": {"actions": items}})
    result = running.run_module("asr_readiness_info", ASKED | {"restore_from": "source"})
    outside = ("auto_update", "extensions", "data_collection_rules", "data_collection_endpoint", "target_network", "quota", "recovery_plan")
    assert statuses(result) == {"ready": dict.fromkeys(outside, "unknown")}
    assert (result["verdict"], result["machines"][0]["verdict"], result["recovery_plans"]) == ("warn", "warn", [])
    assert all(
        "does not have authorization" in check["reason"] for check in result["machines"][0]["checks"] if check["status"] == "unknown"
    )


def test_an_estate_with_nothing_to_fail_over_is_no_ready_one(cloud: Start) -> None:
    running = cloud(estates.estate([]), speed=1000)
    result = running.run_module("asr_readiness_info", {})
    assert result["failed"] and "no replicated machine" in result["msg"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rpo_objective": -1}, "rpo_objective"),
        ({"extensions": ["CustomScript"]}, "extensions"),
        ({"data_collection_rule_ids": [runbook.ENDPOINT]}, "data_collection_rule_ids"),
        ({"restore_from": "/nowhere/baseline.json"}, "restore_from"),
    ],
)
def test_wrong_options_are_refused_before_any_request(cloud: Start, options: Body, named: str) -> None:
    running = cloud([])
    result = running.run_module("asr_readiness_info", options)
    assert result["failed"] and named in result["msg"] and running.traffic() == []


SECRET = "sentinel-protected-setting"


def test_the_playbook_reports_and_fails_until_all_is_ready(cloud: Start, tmp_path: Path) -> None:
    running, home = cloud(estate(("ready", "untested")), speed=1000), tmp_path / "home"
    variables = {
        "failover_recovery_plan": "shop",
        "failover_replicated_items": [],
        "restore_monitoring_restore_from": "source",
        "restore_monitoring_protected_settings": {DEPENDENCY: {"key": SECRET}},
        "readiness_test_failover_max_age_days": 90,
    }
    whole = play(running, home, "readiness", variables | {"failover_recovery_plan": ""}, "--check")
    assert whole.status != 0 and whole.changed == 0, whole.output
    assert "1 warn, 1 fail" in whole.output and "untested: It was never failed over in a test with success." in whole.output
    assert "Not ready: untested, drifted." in whole.output and "-readiness.md" in whole.output
    assert (whole.record["verdict"], whole.record["about"]["name"]) == ("fail", "readiness")
    text = whole.records[-1].with_suffix(".md").read_text()
    assert "| untested | fail | none | test_failover |" in text and "What to do: Drill it" in text and "drifted" in text
    for file in (home / "evidence").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and SECRET not in file.read_text()

    ready = play(running, home, "readiness", variables)
    assert ready.status == 0 and ready.record["summary"]["machines"] == {"pass": 0, "warn": 1, "fail": 0}, ready.output
    assert SECRET not in whole.output + ready.output and running.writes() == []
