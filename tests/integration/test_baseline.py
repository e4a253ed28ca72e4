# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Machines that were failed over get back exactly what their source machines had: by asking these, or by a file written before."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import estates
import pytest
import runbook
from runbook import SQL, WEB, Body, play

Start = Callable[..., Any]
MACHINES = {name: estates.machine_id(name) for name in (WEB, SQL)}
FAR = f"{runbook.MONITOR}/dataCollectionEndpoints/dce-neu"
ENDPOINTS = {"data_collection_endpoint_ids": [FAR, runbook.ENDPOINT]}
SCRIPT = "Microsoft.Azure.Extensions.CustomScript"
SENTINEL = "sentinel-protected-setting"
DEPENDENCY = {"enableAMA": "true", "nested": {"list": [1, "zwei", None, True]}}


def extension(machine: str, name: str, kind: str, tags: Body | None = None, **properties: Any) -> Body:
    publisher, _dot, type_name = kind.rpartition(".")
    body = estates.resource(
        f"{MACHINES[machine]}/extensions/{name}",
        {"publisher": publisher, "type": type_name, "typeHandlerVersion": "1.0", "provisioningState": "Succeeded"} | properties,
        location=estates.PRIMARY,
    )
    return body | ({"tags": tags} if tags else {})


def association(machine: str, name: str, **properties: Any) -> Body:
    return estates.resource(f"{MACHINES[machine]}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{name}", properties)


def shop(*more: Body) -> list[Body]:
    """The shop, whose web server has six extensions and two associations, and whose database server has its agent and a rule."""
    agent = "Microsoft.Azure.Monitor.AzureMonitor{}Agent"
    return runbook.shop(
        estates.resource(FAR, location=estates.PRIMARY),
        extension(
            WEB, "a-last", "Microsoft.Azure.NetworkWatcher.NetworkWatcherAgentLinux", provisionAfterExtensions=["MonitoringAgent", "dep"]
        ),
        extension(
            WEB, "MonitoringAgent", agent.format("Linux"), {"owner": "ops"}, autoUpgradeMinorVersion=True, enableAutomaticUpgrade=False
        ),
        extension(
            WEB,
            "dep",
            "Microsoft.Azure.Monitoring.DependencyAgent.DependencyAgentLinux",
            typeHandlerVersion="9.10",
            settings=DEPENDENCY,
            forceUpdateTag="7",
            enableAutomaticUpgrade=True,
        ),
        extension(WEB, "hardening", SCRIPT, typeHandlerVersion="2.1", settings={"commandToExecute": "/opt/harden"}, suppressFailures=True),
        extension(WEB, "SiteRecovery-Linux", "Microsoft.Azure.RecoveryServices.SiteRecovery.Linux", provisioningState="Failed"),
        extension(WEB, "VMSnapshotLinux", "Microsoft.Azure.RecoveryServices.VMSnapshotLinux"),
        association(WEB, "web-logs", dataCollectionRuleId=runbook.RULES["Linux"], description="By hand."),
        association(WEB, "configurationAccessEndpoint", dataCollectionEndpointId=FAR),
        extension(SQL, "AzureMonitorWindowsAgent", agent.format("Windows"), enableAutomaticUpgrade=True, autoUpgradeMinorVersion=False),
        association(SQL, "sql-logs", dataCollectionRuleId=runbook.RULES["Windows"]),
        *more,
    )


def had(cloud: Any, machine_id: str, leave_out: tuple[str, ...] = ()) -> Body:
    """The extensions of a machine as the cloud has them, without what is not asked for; and its associations."""
    extensions = {one["name"]: one for one in cloud.list(f"{machine_id}/extensions", "2024-07-01") if one["name"] not in leave_out}
    associations = cloud.list(f"{machine_id}/providers/Microsoft.Insights/dataCollectionRuleAssociations", "2023-03-11")
    return {
        name: (one["properties"] | {"provisioningState": "", "settings": one["properties"].get("settings", {})}, one.get("tags", {}))
        for name, one in extensions.items()
    } | {f"association {one['name']}": one["properties"].get("dataCollectionRuleId") for one in associations}


def whole(properties: Body) -> Body:
    """Both upgrade flags are said, also where the source left one to Azure."""
    return {"autoUpgradeMinorVersion": False, "enableAutomaticUpgrade": False} | properties


def targets(result: Body) -> dict[str, Body]:
    return {target["name"].removesuffix("-test"): target for target in result["targets"]}


def copy_of(name: str) -> str:
    return estates.machine_id(f"{name}-test", estates.RECOVERY)


@pytest.mark.parametrize("from_file", [True, False], ids=["a file", "the source"])
def test_a_test_machine_gets_exactly_what_its_source_had_in_order(cloud: Start, tmp_path: Path, from_file: bool) -> None:
    running, file = cloud(shop(), speed=3000), tmp_path / "baseline.json"
    if from_file:
        assert running.run_module("extension_baseline", {"path": str(file)})["changed"]
    assert running.run_module("asr_failover", {"action": "test"})["changed"]
    begun = len(running.writes())
    args = {"restore_from": str(file) if from_file else "source", "recovery_plan": "shop"} | ENDPOINTS
    foreseen = running.run_module("ama_reinstall", args, check=True)
    result = running.run_module("ama_reinstall", args)
    assert not result.get("failed"), result
    for name in (WEB, SQL):
        left_out = ("SiteRecovery-Linux", "VMSnapshotLinux")
        source, restored = had(running, MACHINES[name], left_out), had(running, copy_of(name))
        assert restored == {key: (whole(value[0]), value[1]) if isinstance(value, tuple) else value for key, value in source.items()}, (
            restored
        )
    sent = [one["path"] for one in running.writes()[begun:] if f"{WEB}-test" in one["path"]]
    assert [path.rpartition("/")[2] for path in sent] == [
        *("MonitoringAgent", "dep", "a-last", "hardening"),
        *("web-logs", "configurationAccessEndpoint"),
    ]
    [endpoint] = [one["request"]["properties"] for one in running.writes() if one["path"].endswith("/configurationAccessEndpoint")]
    assert endpoint == {"dataCollectionEndpointId": runbook.ENDPOINT}
    web = targets(result)[WEB]
    assert web["missing"] == [] and web["source_id"].lower() == MACHINES[WEB].lower()
    rows = {row["name"]: row for row in web["restored"]}
    assert all(row["before"] == row["after"] for row in rows.values() if not row["left_out"] and row["what"] == "extension")
    assert {name for name, row in rows.items() if row["left_out"]} == {"SiteRecovery-Linux", "VMSnapshotLinux"}
    assert (rows["configurationAccessEndpoint"]["before"], rows["configurationAccessEndpoint"]["after"]) == (FAR, runbook.ENDPOINT)
    assert [one["restored"] for one in foreseen["targets"]] == [one["restored"] for one in result["targets"]]
    again = running.run_module("ama_reinstall", args)
    assert not again["changed"] and {one["state"] for one in again["targets"]} == {"unchanged"}


def test_a_baseline_changes_only_with_what_it_holds(cloud: Start, tmp_path: Path) -> None:
    running, file = cloud(shop(), speed=3000), tmp_path / "dr" / "baseline.json"
    args = {"path": str(file)}
    assert running.run_module("extension_baseline", args, check=True)["changed"] and not file.exists()
    first = running.run_module("extension_baseline", args, diff=True)
    assert first["changed"] and stat.S_IMODE(file.stat().st_mode) == 0o600 and {one["after_header"] for one in first["diff"]} == {WEB, SQL}
    written = file.read_bytes()
    second = running.run_module("extension_baseline", args, diff=True)
    assert not second["changed"] and second["diff"] == [] and file.read_bytes() == written
    assert running.writes() == []

    fewer = running.run_module("extension_baseline", args | {"machine_ids": [MACHINES[WEB].upper()]})
    assert fewer["changed"] and fewer["removed"] == [MACHINES[SQL].lower()]
    assert [one["name"] for one in json.loads(file.read_text())["machines"]] == [WEB]
    refused = running.run_module("extension_baseline", {"path": str(tmp_path / "cloud-0" / "estate.json")})
    assert refused["failed"] and "option path" in refused["msg"]


def test_a_machine_that_cannot_be_read_keeps_its_record(cloud: Start, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    calm = cloud(shop(), speed=3000)
    calm.run_module("extension_baseline", {"path": str(file)})
    kept = json.loads(file.read_text())["machines"]
    hidden = {"match": {"method": "GET", "path": f"*/virtualMachines/{SQL}"}, "do": {"status": 403}}
    running = cloud(shop(association(WEB, "more", dataCollectionRuleId=runbook.RULES["Windows"])), faults=[hidden], speed=3000)
    result = running.run_module("extension_baseline", {"path": str(file)})
    assert result["failed"] and SQL in result["msg"] and result["changed"]
    now = {record["name"]: record for record in json.loads(file.read_text())["machines"]}
    assert now[SQL] in kept and [one["name"] for one in now[WEB]["associations"]] == ["configurationAccessEndpoint", "more", "web-logs"]


def test_protected_settings_are_given_or_the_extension_is_refused_and_all_else_restored(cloud: Start, tmp_path: Path) -> None:
    running = cloud(shop(extension(WEB, "hardening", SCRIPT, settings={"timestamp": 1})), speed=3000, state=tmp_path / "state.json")
    running.run_module("asr_failover", {"action": "test"})
    args = {"restore_from": "source"} | ENDPOINTS
    refused = [running.run_module("ama_reinstall", args | more) for more in ({}, {"protected_settings": {SCRIPT: None}})]
    for result in refused:
        web, sql = targets(result)[WEB], targets(result)[SQL]
        assert result["failed"] and (web["state"], sql["state"] == "failed") == ("failed", False)
        assert "hardening" in web["reason"] and "protected" in web["reason"] and len(web["missing"]) == 1
    assert f"protected_settings['{SCRIPT}']" in refused[0]["msg"]
    assert {"MonitoringAgent", "dep", "a-last", "association web-logs"} <= set(had(running, copy_of(WEB))) - {"hardening"}
    assert not running.run_module("ama_reinstall", args | {"leave_out": ["hardening"]}).get("failed")

    given = running.run_module("ama_reinstall", args | {"protected_settings": {"hardening": {"commandToExecute": SENTINEL}, "x": {}}})
    assert not given.get("failed") and targets(given)[WEB]["actions"] == ["install extension hardening"]
    assert "names extensions that none of these machines is to have: x" in str(given["warnings"])
    assert running.writes()[-1]["request"]["properties"]["settings"] == {"timestamp": 1}
    assert SENTINEL not in json.dumps(given)
    assert not running.run_module("ama_reinstall", args | {"protected_settings": {SCRIPT: {}}})["changed"]


def test_without_an_endpoint_for_the_region_the_machine_fails_once_all_else_is_restored(cloud: Start) -> None:
    running = cloud(shop(), speed=3000)
    running.run_module("asr_failover", {"action": "test"})
    result = running.run_module("ama_reinstall", {"restore_from": "source", "data_collection_endpoint_ids": [FAR]})
    web = targets(result)[WEB]
    assert result["failed"] and web["state"] == "failed" and targets(result)[SQL]["state"] == "changed"
    assert all(word in web["reason"] for word in ("dce-neu", "westeurope", "data_collection_endpoint_ids"))
    assert web["missing"] == ["association configurationAccessEndpoint: there is no data collection endpoint for its region"]
    assert "association web-logs" in had(running, copy_of(WEB))


def test_a_source_that_cannot_be_read_or_is_not_known_is_told_with_the_way_on(cloud: Start, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    calm = cloud(shop(), speed=3000)
    calm.run_module("extension_baseline", {"path": str(file), "machine_ids": [MACHINES[WEB]]})
    down = {"match": {"method": "GET", "path": "*/rg-shop-neu/*/virtualMachines/*"}, "do": {"status": 404}}
    running = cloud(shop(), faults=[down], speed=3000)
    running.run_module("asr_failover", {"action": "test"})
    before = len(running.writes())
    result = running.run_module("ama_reinstall", {"restore_from": "source"})
    assert result["failed"] and {one["state"] for one in result["targets"]} == {"failed"}
    assert all("could not be read" in one["reason"] and "extension_baseline" in one["reason"] for one in result["targets"])
    ids = {"machine_ids": [copy_of(WEB), copy_of(SQL)]}
    for where in ("source", str(file)):
        unknown = running.run_module("ama_reinstall", ids | {"restore_from": where})
        assert all("name that one in sources" in one["reason"] for one in unknown["targets"]), unknown
    assert len(running.writes()) == before

    told = {"sources": {copy_of(name).upper(): machine for name, machine in MACHINES.items()}, "restore_from": str(file)}
    half = running.run_module("ama_reinstall", ids | told | ENDPOINTS)
    assert targets(half)[WEB]["state"] == "changed" and f"holds no record of {SQL}" in targets(half)[SQL]["reason"]


@pytest.mark.parametrize(
    ("args", "option"),
    [
        ({"restore_from": "/nowhere/baseline.json"}, "restore_from"),
        ({"restore_from": "source", "state": "absent"}, "restore_from"),
        ({"leave_out": ["P.T"]}, "leave_out"),
        ({"restore_from": "source", "sources": {"web": "sql"}}, "sources"),
        ({"protected_settings": {"P.T": SENTINEL}}, "protected_settings.P.T"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_sent(cloud: Start, args: Body, option: str) -> None:
    running = cloud(estates.groups())
    result = running.run_module("ama_reinstall", args)
    assert result["failed"] and f"The option {option} is" in result["msg"] and SENTINEL not in json.dumps(result)
    assert running.traffic() == []


def test_the_playbooks_write_the_baseline_and_restore_from_it(cloud: Start, tmp_path: Path) -> None:
    running, file = cloud(shop(), speed=3000), tmp_path / "dr" / "baseline.json"
    written = play(running, tmp_path, "baseline", {"baseline_path": str(file)})
    assert written.status == 0 and written.changed == 1 and file.exists(), written.output
    variables = {
        "restore_monitoring_restore_from": str(file),
        "restore_monitoring_data_collection_rules": [],
        "restore_monitoring_data_collection_endpoint_ids": [FAR, runbook.ENDPOINT],
    }
    drill = play(running, tmp_path, "drill", variables)
    assert drill.status == 0, drill.output
    rows = {(row["machine"], row["name"]): row for row in drill.record["restored"]}
    assert rows[f"{WEB}-test", "dep"]["after"]["settings"] == DEPENDENCY and len(rows) == 10
    page = drill.records[-1].with_suffix(".md").read_text()
    dep = "9.10, automatic upgrade, settings: enableAMA, nested"
    for line in (
        f"| {WEB}-test | dep | {dep} | {dep} | nothing |",
        f"| {WEB}-test | configurationAccessEndpoint | dce-neu | dce-weu | nothing |",
        f"| {WEB}-test | VMSnapshotLinux | 1.0 | left out | belongs to Azure Backup",
    ):
        assert line in page, page

    lacking = play(running, tmp_path, "failover", variables | {"restore_monitoring_data_collection_endpoint_ids": [FAR]})
    assert lacking.status != 0 and lacking.step("Commit")["outcome"] == "not run"
    assert "westeurope" in lacking.record["failures"][0]["reason"]
    assert "**there is no data collection endpoint for its region**" in lacking.records[-1].with_suffix(".md").read_text()
    failover = play(running, tmp_path, "failover", variables)
    assert failover.status == 0 and failover.step("Commit")["outcome"] == "succeeded", failover.output
    assert set(had(running, estates.machine_id(WEB, estates.RECOVERY))) == set(had(running, MACHINES[WEB])) - {
        "SiteRecovery-Linux",
        "VMSnapshotLinux",
    }
