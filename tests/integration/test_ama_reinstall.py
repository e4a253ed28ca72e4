# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""ama_reinstall: machines get the agent, their associations and other extensions back."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import estates
import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure

Body = dict[str, Any]
WINDOWS_AGENT, LINUX_AGENT = "AzureMonitorWindowsAgent", "AzureMonitorLinuxAgent"
INSIGHTS = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.Insights"
WINDOWS_RULE, LINUX_RULE = f"{INSIGHTS}/dataCollectionRules/dcr-windows", f"{INSIGHTS}/dataCollectionRules/dcr-linux"
ENDPOINT = f"{INSIGHTS}/dataCollectionEndpoints/dce-weu"
IDENTITY = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-monitor"
WEB, SQL = estates.machine_id("web", estates.RECOVERY), estates.machine_id("sql", estates.RECOVERY)
SENTINEL = "sentinel-protected-setting"
MONITORING: Body = {"data_collection_rules": [{"id": WINDOWS_RULE}, {"id": LINUX_RULE}], "data_collection_endpoint_ids": [ENDPOINT]}
COLLECTIONS = Path(fleet.__file__).parents[5]
READY = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready"}


def machine(name: str, system: str = "Linux", region: str = estates.RECOVERY, **more: Any) -> Body:
    return estates.machine(name, system, region)[-1] | {"identity": {"type": "SystemAssigned"}} | more


def extension(machine_id: str, name: str, kind: str, publisher: str = "Microsoft.Azure.Monitor", **properties: Any) -> Body:
    return estates.resource(
        f"{machine_id}/extensions/{name}",
        {
            "publisher": publisher,
            "type": kind,
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "enableAutomaticUpgrade": True,
            "provisioningState": "Succeeded",
        }
        | properties,
        location=estates.RECOVERY,
    )


def unresponsive(name: str, agent: str) -> Body:
    """An instance view in which the VM agent is ready and the extension's handler is not."""
    status = {
        "code": "ProvisioningState/Unresponsive",
        "level": "Warning",
        "displayStatus": "Not Ready",
        "message": "No status since Monday.",
    }
    return {
        "vmAgent": {
            "vmAgentVersion": "2.7",
            "statuses": [READY],
            "extensionHandlers": [{"type": f"Microsoft.Azure.Monitor.{agent}", "typeHandlerVersion": "1.9.0.0", "status": status}],
        },
        "statuses": [{"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"}],
    }


def resources(*more: Body) -> list[Body]:
    """Two machines in West Europe, `web` (Linux) and `sql` (Windows), rules for both, an endpoint; and `more`.

    A resource in `more` takes the place of one with the same id.
    """
    found = [
        *estates.groups(),
        machine("web"),
        machine("sql", "Windows"),
        estates.resource(WINDOWS_RULE, {"dataFlows": []}, location=estates.RECOVERY, kind="Windows"),
        estates.resource(LINUX_RULE, {"dataFlows": []}, location=estates.RECOVERY, kind="Linux"),
        estates.resource(ENDPOINT, location=estates.RECOVERY),
    ]
    return list({body["id"].lower(): body for body in [*found, *more]}.values())


def targets(result: Body) -> dict[str, Body]:
    return {target["name"]: target for target in result["targets"]}


def sent(cloud: Any) -> list[tuple[str, str]]:
    """What was written: method, and the path from the machine on."""
    return [(one["method"], one["path"].partition("/virtualMachines/")[2]) for one in cloud.writes()]


def start(cloud: Any, machine_id: str) -> None:
    """Start a machine as an operator would."""

    async def work() -> None:
        async with Azure({}, cloud.environment) as azure:
            group, name = machine_id.split("/")[4], machine_id.split("/")[-1]
            machines = azure.compute().virtual_machines
            await azure.run("start", machine_id, lambda polling: machines.begin_start(group, name, polling=polling), 60)

    asyncio.run(work())


Start = Callable[..., Any]


def test_installs_and_associates_by_operating_system_and_then_changes_nothing(cloud: Start) -> None:
    running = cloud(resources())
    first = running.run_module("ama_reinstall", {"machine_ids": [WEB, SQL], **MONITORING})
    assert first["changed"] and not first.get("failed"), first
    found = targets(first)
    assert (found["web"]["after"]["agent"]["name"], found["sql"]["after"]["agent"]["name"]) == (LINUX_AGENT, WINDOWS_AGENT)
    assert found["web"]["actions"] == [f"install extension {LINUX_AGENT}", "associate dcr-linux", "associate dce-weu"]
    assert [one["name"] for one in found["sql"]["after"]["associations"]] == ["configurationAccessEndpoint", "dcra-dcr-windows"]
    assert found["web"]["after"]["agent"]["status"] == "Ready"
    bodies = [one["request"]["properties"] for one in running.writes() if "/extensions/" in one["path"]]
    assert all(body["enableAutomaticUpgrade"] is True and body["autoUpgradeMinorVersion"] is True for body in bodies)

    written = len(running.writes())
    again = running.run_module("ama_reinstall", {"machine_ids": [WEB, SQL.upper()], **MONITORING}, diff=True)
    assert not again["changed"] and {target["state"] for target in again["targets"]} == {"unchanged"}
    assert again["diff"] == [] and len(running.writes()) == written


def test_an_unresponsive_agent_is_taken_down_removed_and_installed_under_its_name(cloud: Start, tmp_path: Path) -> None:
    sql = machine("sql", "Windows")
    sql["properties"]["instanceView"] = unresponsive("AMA", WINDOWS_AGENT)
    left = extension(SQL, "AMA", WINDOWS_AGENT, settings={"authentication": {"kept": "yes"}})
    running = cloud(resources(sql, left))
    result = running.run_module("ama_reinstall", {"machine_ids": [SQL], "journal_dir": str(tmp_path / "journal")})
    target = targets(result)["sql"]
    assert target["state"] == "changed", target
    assert target["actions"] == ["remove extension AMA (Not Ready: No status since Monday.)", "install extension AMA"]
    assert sent(running) == [("DELETE", "sql/extensions/AMA"), ("PUT", "sql/extensions/AMA")]
    assert target["after"]["agent"]["settings"] == {"authentication": {"kept": "yes"}}
    file = Path(result["journal"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    [lost] = [line["lost"]["extension"] for line in map(json.loads, file.read_text().splitlines()) if "lost" in line]
    assert lost["properties"]["settings"] == left["properties"]["settings"] and lost["id"].lower() == left["id"].lower()


def test_without_a_journal_nothing_is_removed(cloud: Start, tmp_path: Path) -> None:
    running = cloud(resources(extension(WEB, LINUX_AGENT, LINUX_AGENT, provisioningState="Failed")))
    (tmp_path / "file").write_text("")
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB], "journal_dir": str(tmp_path / "file" / "journal")})
    assert result["failed"] and "journal_dir" in result["msg"] and running.writes() == []


def test_a_healthy_agent_under_another_name_is_left_and_reinstalled_only_when_asked(cloud: Start) -> None:
    running = cloud(resources(extension(WEB, "monitoring", LINUX_AGENT)))
    assert not running.run_module("ama_reinstall", {"machine_ids": [WEB]})["changed"]
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB], "reinstall": "always"})
    assert targets(result)["web"]["actions"] == ["remove extension monitoring", "install extension monitoring"]


def test_what_differs_from_what_is_asked_is_updated(cloud: Start) -> None:
    web = machine("web", identity={"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}})
    running = cloud(resources(web, extension(WEB, "monitoring", LINUX_AGENT, enableAutomaticUpgrade=False)))
    args = {"machine_ids": [WEB], "user_assigned_identity_id": IDENTITY}
    result = running.run_module("ama_reinstall", args)
    assert targets(result)["web"]["actions"] == ["update extension monitoring (enableAutomaticUpgrade, settings)"]
    assert targets(result)["web"]["after"]["agent"]["settings"]["authentication"]["managedIdentity"]["identifier-value"] == IDENTITY
    assert sent(running) == [("PATCH", "web/extensions/monitoring")]
    assert not running.run_module("ama_reinstall", args)["changed"]


def test_a_machine_without_the_identity_asked_for_is_not_touched(cloud: Start) -> None:
    running = cloud(resources())
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB], "user_assigned_identity_id": IDENTITY})
    assert result["failed"] and IDENTITY in result["msg"] and running.writes() == []


def test_a_missing_identity_is_assigned_when_asked(cloud: Start) -> None:
    running = cloud(resources())
    args = {"machine_ids": [WEB], "user_assigned_identity_id": IDENTITY, "assign_identity": True}
    foreseen = running.run_module("ama_reinstall", args, check=True)
    result = running.run_module("ama_reinstall", args)
    assert targets(result)["web"]["actions"] == ["assign identity id-monitor", f"install extension {LINUX_AGENT}"]
    both = {"type": "SystemAssigned, UserAssigned", "user_assigned": [IDENTITY]}
    assert targets(result)["web"]["after"]["identity"] == targets(foreseen)["web"]["after"]["identity"] == both
    assert not running.run_module("ama_reinstall", args)["changed"]


def test_a_machine_without_any_identity_is_named_in_a_warning(cloud: Start) -> None:
    result = cloud(resources(machine("web", identity=None))).run_module("ama_reinstall", {"machine_ids": [WEB, SQL]})
    warning = json.dumps(result["warnings"])
    assert not result.get("failed") and "no managed identity" in warning and ": web." in warning


def test_one_failing_install_is_named_with_azures_words_and_the_others_are_done(cloud: Start) -> None:
    rule = {
        "match": {"method": "PUT", "path": "*/virtualMachines/web/extensions/*"},
        "do": {"operation": {"code": "VMExtensionProvisioningError", "message": "The disk of web is full."}},
    }
    running = cloud(resources(), faults=[rule])
    args = {"machine_ids": [WEB, SQL], **MONITORING}
    result = running.run_module("ama_reinstall", args)
    found = targets(result)
    assert result["failed"] and "1 of 2 failed: web:" in result["msg"]
    assert found["web"]["state"] == "failed" and "The disk of web is full" in found["web"]["reason"] and found["web"]["changed"]
    assert found["web"]["error"]["code"] == "VMExtensionProvisioningError"
    assert found["web"]["after"]["agent"]["provisioning_state"] == "Failed"
    assert found["sql"]["state"] == "changed" and len(found["sql"]["after"]["associations"]) == 2
    assert not running.run_module("ama_reinstall", args | {"max_failures": 1}).get("failed")


def test_a_conflict_and_a_preempted_operation_are_waited_out(cloud: Start) -> None:
    path = "*/virtualMachines/web/extensions/*"
    conflict = {
        "match": {"method": "PUT", "path": path},
        "count": 1,
        "do": {
            "status": 409,
            "body": {"error": {"code": "Conflict", "message": "The request failed due to conflict with a concurrent request."}},
        },
    }
    preempted = {
        "match": {"method": "PUT", "path": path},
        "after": 0,
        "count": 1,
        "do": {"operation": {"status": "Failed", "code": "OperationPreempted", "message": "A newer operation took its place."}},
    }
    result = cloud(resources(), faults=[conflict, preempted]).run_module("ama_reinstall", {"machine_ids": [WEB]})
    assert targets(result)["web"]["state"] == "changed", result


def test_waits_for_the_vm_agent_of_a_machine_that_comes_up(cloud: Start) -> None:
    web = machine("web")
    web["properties"]["instanceView"] = {"statuses": [{"code": "PowerState/deallocated"}]}
    running = cloud(resources(web), speed=60)
    stopped = running.run_module("ama_reinstall", {"machine_ids": [WEB]})
    assert stopped["failed"] and "not running" in stopped["msg"] and "Start it" in stopped["msg"]
    start(running, WEB)
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB]})
    assert targets(result)["web"]["actions"] == ["wait for the VM agent", f"install extension {LINUX_AGENT}"], result


def test_what_somebody_else_is_installing_is_waited_for_and_left(cloud: Start) -> None:
    running = cloud(resources(), speed=60)

    async def install() -> None:
        body = {
            "location": estates.RECOVERY,
            "properties": {
                "publisher": "Microsoft.Azure.Monitor",
                "type": LINUX_AGENT,
                "typeHandlerVersion": "1.0",
                "autoUpgradeMinorVersion": True,
                "enableAutomaticUpgrade": True,
            },
        }
        async with Azure({}, running.environment) as azure:
            operations = azure.compute().virtual_machine_extensions
            await operations.begin_create_or_update("rg-shop-weu", "web", "theirs", body, polling=False)

    asyncio.run(install())
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB]})
    assert targets(result)["web"]["state"] == "unchanged", result
    assert sent(running) == [("PUT", "web/extensions/theirs")]


def test_a_vm_agent_that_stays_away_is_timed_out(cloud: Start) -> None:
    web = machine("web")
    web["properties"]["instanceView"] = {"vmAgent": {"statuses": [{"code": "ProvisioningState/Unavailable", "displayStatus": "Not Ready"}]}}
    running = cloud(resources(web))
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB, SQL], "agent_timeout": 0})
    assert targets(result)["web"]["state"] == "timed_out" and "Not Ready" in targets(result)["web"]["reason"]
    assert targets(result)["sql"]["state"] == "changed" and sent(running) == [("PUT", f"sql/extensions/{WINDOWS_AGENT}")]


def test_other_extensions_come_back_and_protected_settings_are_seen_nowhere(cloud: Start, tmp_path: Path) -> None:
    left = {"provisioningState": "Failed", "enableAutomaticUpgrade": False}
    running = cloud(resources(extension(SQL, "hardening", "CustomScriptExtension", "Microsoft.Compute", **left)))
    script = {
        "publisher": "Microsoft.Compute",
        "type": "CustomScriptExtension",
        "type_handler_version": "1.10",
        "os_type": "windows",
        "settings": {"timestamp": 1},
    }
    args = {
        "machine_ids": [WEB, SQL],
        "extensions": [script],
        "protected_settings": {
            "Microsoft.Compute.CustomScriptExtension": {"commandToExecute": SENTINEL},
            **{f"microsoft.azure.monitor.{agent}": {"proxy": {"password": SENTINEL}} for agent in (LINUX_AGENT, WINDOWS_AGENT)},
        },
        "journal_dir": str(tmp_path / "journal"),
    }
    result = running.run_module("ama_reinstall", args, diff=True)
    [found] = targets(result)["sql"]["after"]["extensions"]
    assert (found["name"], found["status"], found["enable_automatic_upgrade"]) == ("hardening", "Ready", False)
    assert targets(result)["web"]["after"]["extensions"] == []
    assert not running.run_module("ama_reinstall", args)["changed"]
    seen = json.dumps(result) + "".join(file.read_text() for file in tmp_path.rglob("*.json*") if file.name != "estate.json")
    assert SENTINEL not in seen and "hardening" in seen


def test_state_absent_takes_off_the_agent_the_extensions_and_the_given_associations(cloud: Start) -> None:
    dependency = {"publisher": "Microsoft.Azure.Monitoring.DependencyAgent", "type": "DependencyAgentLinux", "type_handler_version": "9.10"}
    other = estates.resource(
        f"{WEB}/providers/Microsoft.Insights/dataCollectionRuleAssociations/other", {"dataCollectionRuleId": WINDOWS_RULE}
    )
    running = cloud(resources(other))
    args = {"machine_ids": [WEB], "extensions": [dependency], **MONITORING, "data_collection_rules": [{"id": LINUX_RULE}]}
    assert len(targets(running.run_module("ama_reinstall", args))["web"]["after"]["extensions"]) == 1
    result = running.run_module("ama_reinstall", args | {"state": "absent"})
    after = targets(result)["web"]["after"]
    assert after["agent"] is None and after["extensions"] == [] and [one["name"] for one in after["associations"]] == ["other"]
    noted = Path(result["journal"]).read_text()
    assert noted.count('"again":false') == 2 and f'"data_collection_rule_id":"{LINUX_RULE}"' in noted
    assert not running.run_module("ama_reinstall", args | {"state": "absent"})["changed"]


def test_check_mode_only_reads_and_foresees_what_a_run_does(cloud: Start) -> None:
    running = cloud(resources(extension(SQL, "AMA", WINDOWS_AGENT, provisioningState="Failed")))
    args = {"machine_ids": [WEB, SQL], **MONITORING}
    foreseen = running.run_module("ama_reinstall", args, check=True, diff=True)
    assert foreseen["changed"] and running.writes() == [] and foreseen["journal"] is None
    done = running.run_module("ama_reinstall", args)
    for name, target in targets(foreseen).items():
        real = targets(done)[name]
        assert target["actions"] == real["actions"] and target["after"]["associations"] == real["after"]["associations"]
        assert target["after"]["agent"] | {"installed_version": None} == real["after"]["agent"] | {"installed_version": None}
    [shown] = [one for one in foreseen["diff"] if one["after_header"] == "sql"]
    assert [shown[when]["agent"]["provisioning_state"] for when in ("before", "after")] == ["Failed", "Succeeded"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"machine_ids": [WEB, "/subscriptions/1/resourceGroups/g/providers/Microsoft.Compute/virtualMachines"]}, "the name is missing"),
        ({"machine_ids": [LINUX_RULE]}, "virtualMachines"),
        ({"machine_ids": [WEB], "data_collection_rules": [{"id": ENDPOINT}]}, "data_collection_rules.id"),
        ({"machine_ids": [WEB], "data_collection_endpoint_ids": [LINUX_RULE]}, "data_collection_endpoint_ids"),
        ({"machine_ids": [WEB], "data_collection_rules": [{"id": LINUX_RULE}], "association_name": "{vm}"}, "{machine}"),
        ({"machine_ids": [WEB], "user_assigned_identity_id": WEB}, "user_assigned_identity_id"),
        ({"machine_ids": [WEB], "tags": ["application"]}, "resource_group"),
        ({"vault_id": "/subscriptions/1/resourceGroups/g"}, "vault_id"),
        ({"machine_ids": [WEB], "extensions": [{"publisher": "P", "type": "T"}]}, "type_handler_version"),
        ({"machine_ids": [WEB], "recovery_plan": "shop"}, "mutually exclusive"),
    ],
)
def test_wrong_input_is_refused_before_any_request(cloud: Start, args: Body, words: str) -> None:
    running = cloud(resources())
    result = running.run_module("ama_reinstall", args)
    assert result["failed"] and words in result["msg"] and running.traffic() == []


def test_a_rule_that_is_not_there_stops_everything(cloud: Start) -> None:
    running = cloud(resources())
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB, SQL], "data_collection_rules": [{"id": f"{LINUX_RULE}-x"}]})
    assert result["failed"] and f"{LINUX_RULE}-x" in result["msg"] and running.writes() == []


def test_machines_by_resource_group_and_tags(cloud: Start) -> None:
    running = cloud(
        resources(machine("web", tags={"Tier": "web", "application": "shop"}), machine("app", region=estates.PRIMARY, tags={"tier": "web"}))
    )
    args = {"resource_group": "rg-shop-weu", "tags": ["tier:web", "application"]}
    assert list(targets(running.run_module("ama_reinstall", args, check=True))) == ["web"]
    assert sorted(targets(running.run_module("ama_reinstall", {"resource_group": "rg-shop-weu"}, check=True))) == ["sql", "web"]
    nobody = running.run_module("ama_reinstall", {"resource_group": "rg-shop-weu", "tags": ["tier:db"]})
    assert nobody["failed"] and "tier:db" in nobody["msg"]


def test_the_endpoint_of_the_machines_region_is_taken_and_needed(cloud: Start) -> None:
    far = f"{INSIGHTS}/dataCollectionEndpoints/dce-neu"
    running = cloud(resources(estates.resource(far, location=estates.PRIMARY)))
    result = running.run_module("ama_reinstall", {"machine_ids": [WEB], "data_collection_endpoint_ids": [far, ENDPOINT]})
    assert targets(result)["web"]["after"]["associations"][0]["data_collection_endpoint_id"] == ENDPOINT
    result = running.run_module("ama_reinstall", {"machine_ids": [SQL], "data_collection_endpoint_ids": [far]})
    assert result["failed"] and "westeurope" in result["msg"] and "northeurope" in result["msg"]


def test_an_association_with_the_rule_is_known_by_any_name_and_one_of_the_name_is_pointed_at_it(cloud: Start) -> None:
    base = f"{WEB}/providers/Microsoft.Insights/dataCollectionRuleAssociations"
    running = cloud(resources(estates.resource(f"{base}/mine", {"dataCollectionRuleId": LINUX_RULE.lower()})))
    args = {"machine_ids": [WEB], "data_collection_rules": [{"id": LINUX_RULE}]}
    assert targets(running.run_module("ama_reinstall", args))["web"]["actions"] == [f"install extension {LINUX_AGENT}"]

    taken = estates.resource(f"{base}/web-dcr-linux", {"dataCollectionRuleId": WINDOWS_RULE, "description": "By hand."})
    running = cloud(resources(taken, extension(WEB, LINUX_AGENT, LINUX_AGENT)))
    result = running.run_module("ama_reinstall", args | {"association_name": "{machine}-{rule}"})
    assert targets(result)["web"]["actions"] == ["associate dcr-linux in the place of dcr-windows"]
    [put] = running.writes()
    assert put["request"] == {"properties": {"dataCollectionRuleId": LINUX_RULE, "description": "By hand."}}


@pytest.mark.parametrize("action", ["test", "unplanned"])
def test_the_machines_that_the_only_plan_of_the_only_vault_failed_over(cloud: Start, action: str) -> None:
    running = cloud(estates.estate(("shop-web-01", "shop-web-02"), {"shop": [["shop-web-01"], ["shop-web-02"]]}))
    early = running.run_module("ama_reinstall", {})
    assert early["failed"] and "recovery plan shop" in early["msg"]
    failover = running.run_module(
        "asr_failover",
        {"action": action, "recovery_plan": "shop"}
        | ({"confirm": "shop"} if action == "unplanned" else {"test_network_id": estates.network_id(estates.RECOVERY)}),
    )
    assert not failover.get("failed"), failover
    result = running.run_module("ama_reinstall", {})
    ending = "-test" if action == "test" else ""
    assert not result.get("failed"), result
    assert sorted(targets(result)) == [f"shop-web-01{ending}", f"shop-web-02{ending}"]
    assert all(target["after"]["agent"]["status"] == "Ready" for target in result["targets"])


def test_a_playbook_shows_progress_and_no_secret_even_at_the_highest_verbosity(cloud: Start, tmp_path: Path) -> None:
    script = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "type_handler_version": "2.1"}
    secrets = {"CustomScript": {"commandToExecute": "{{ lookup('ansible.builtin.env', 'SENTINEL') }}"}}
    task = {"cloudops.azure_dr.ama_reinstall": {"machine_ids": [WEB], "extensions": [script], "protected_settings": secrets}}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    running = cloud(resources())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SENTINEL": SENTINEL,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        **running.environment,
    }
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-vvvvv", "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0 and "install extension CustomScript" in output, output
    assert "ama_reinstall: looking at 1 machine" in output and SENTINEL not in output
