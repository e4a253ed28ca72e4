# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""vm_extension_autoupgrade on the rehearsal cloud: machines, scale sets of each kind, and what the platform does with what is enrolled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import estates
import pytest
import runbook
from conftest import RunningCloud
from situations import AGENT, HEALTH, PUBLISHER, extension

Body = dict[str, Any]
MODULE = "vm_extension_autoupgrade"
GROUP = "rg-shop-neu"
ENROL = {"all_supported": True}
SOON = {"health_timeout": 0.02}
SERVICES = "Microsoft.ManagedServices"


def machine(name: str, **properties: Any) -> list[Body]:
    """A machine with the agent, enrolled unless `properties` say otherwise."""
    bodies = estates.machine(name)
    bodies[-1]["location"] = estates.PRIMARY
    agent = extension(estates.machine_id(name), **properties) | {"location": estates.PRIMARY}
    return [*bodies, agent]


def members(scale_set: Body) -> list[Body]:
    """The virtual machines of a Flexible scale set."""
    found = [machine(f"vmss_{number}", enableAutomaticUpgrade=False) for number in range(scale_set["sku"]["capacity"])]
    for bodies in found:
        bodies[2]["properties"]["virtualMachineScaleSet"] = {"id": scale_set["id"]}
    return [body for bodies in found for body in bodies]


def of_model(name: str, **properties: Any) -> Body:
    publisher = SERVICES if name == HEALTH else PUBLISHER
    return {"name": name, "publisher": publisher, "type": name, "enableAutomaticUpgrade": False} | properties


def row(result: Body, name: str) -> Body:
    return next(target for target in result["targets"] if target["name"] == name)


def statuses(result: Body, name: str, when: str = "after") -> dict[str, str]:
    return {one["name"]: one["status"] for one in row(result, name)[when]["extensions"]}


def changed_paths(cloud: RunningCloud) -> list[tuple[str, str]]:
    return [(one["method"], "/".join(one["path"].split("/")[8:])) for one in cloud.writes()]


def until(condition: Callable[[], bool], what: str) -> None:
    for _time in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: it did not come to that")


def test_the_sample_estate_is_enrolled_and_stays_so(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=2000)
    args = ENROL | {"resource_group": GROUP, "propagate": True}
    foreseen = running.run_module(MODULE, args, check=True, diff=True)
    assert running.writes() == []
    done = running.run_module(MODULE, args, diff=True)
    assert done["changed"] and not done.get("failed"), done
    assert [one["actions"] for one in foreseen["targets"]] == [one["actions"] for one in done["targets"]]
    assert {one["name"]: statuses(foreseen, one["name"]) for one in done["targets"]} == {
        one["name"]: statuses(done, one["name"]) for one in done["targets"]
    }
    assert done["statuses"] == {"enabled": 18, "disabled": 0, "not_supported": 3}
    assert statuses(done, "fleet-db-01") == {
        "AzureMonitorWindowsAgent": "enabled",
        "DependencyAgentWindows": "enabled",
        "IaaSAntimalware": "not_supported",
        "hardening": "not_supported",
    }
    assert statuses(done, "fleet-api-03", "before") == {AGENT: "disabled"}, "never said means off"
    assert all(one["after"].get("instances", {}).get("lagging", []) == [] for one in done["targets"])
    assert [one["name"] for one in done["targets"] if one["name"].startswith("vmss-flex_")] == [], "reached by their scale set"
    bodies = [one["request"]["properties"] for one in running.writes() if one["method"] == "PATCH"]
    assert len(bodies) == 7 and all(body == {"enableAutomaticUpgrade": True} for body in bodies)
    again = running.run_module(MODULE, args)
    assert not again["changed"] and not again.get("failed") and again["journal"] is None, again


def test_others_and_other_settings_keep_their_values(cloud: Callable[..., RunningCloud]) -> None:
    settings = {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id"}}}
    web = machine("web", enableAutomaticUpgrade=False, settings=settings, forceUpdateTag="7", suppressFailures=True)
    other = extension(estates.machine_id("web"), publisher=SERVICES, type=HEALTH, enableAutomaticUpgrade=False)
    other |= {"id": other["id"].replace(AGENT, HEALTH), "name": HEALTH, "location": estates.PRIMARY}
    running = cloud([*estates.groups(), *web, other], speed=2000)
    before = {one["name"]: one for one in running.list(f"{estates.machine_id('web')}/extensions", "2024-07-01")}
    result = running.run_module(
        MODULE, {"machine_ids": [estates.machine_id("web")], "extensions": [{"publisher": "microsoft.azure.*", "type": "azuremonitor*"}]}
    )
    assert statuses(result, "web") == {AGENT: "enabled"}
    after = {one["name"]: one for one in running.list(f"{estates.machine_id('web')}/extensions", "2024-07-01")}
    before[AGENT]["properties"]["enableAutomaticUpgrade"] = True
    assert after == before


def test_a_major_version_is_moved_on_purpose_only(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud([*estates.groups(), *machine("web", enableAutomaticUpgrade=False)], speed=2000)
    chosen = {"machine_ids": [estates.machine_id("web")]}
    running.run_module(MODULE, chosen | ENROL | {"auto_upgrade_minor_version": True})
    move = chosen | {"extensions": [{"name": AGENT, "type_handler_version": "2.0"}]}
    moved = running.run_module(MODULE, move)
    assert row(moved, "web")["before"]["extensions"][0]["type_handler_version"] == "1.0"
    assert row(moved, "web")["after"]["extensions"][0]["type_handler_version"] == "2.0"
    assert running.writes()[-1]["request"] == {"properties": {"enableAutomaticUpgrade": True, "typeHandlerVersion": "2.0"}}
    assert not running.run_module(MODULE, move)["changed"]


def test_unlisted_extensions_are_left_alone_unless_forced(cloud: Callable[..., RunningCloud]) -> None:
    script = {"name": "script", "publisher": "Microsoft.Azure.Extensions", "type": "CustomScript"}
    rare = {"name": "rare", "publisher": "Contoso.Agents", "type": "RareAgent"}
    running = cloud([*estates.groups(), estates.scale_set("vmss", 2, script, rare, of_model(AGENT))], speed=2000)
    chosen = {"scale_set_ids": [estates.scale_set_id("vmss")], "extensions": [{"name": "*"}]}
    asked = running.run_module(MODULE, chosen)
    assert statuses(asked, "vmss") == {"script": "not_supported", "rare": "not_supported", AGENT: "enabled"}
    assert "vmss: script; vmss: rare" in str(asked["warnings"])
    forced = running.run_module(MODULE, chosen | {"force": True})
    assert forced["failed"] and "extension script" in forced["msg"] and "does not support" in forced["msg"], forced
    assert statuses(forced, "vmss") == {"script": "not_supported", "rare": "enabled", AGENT: "enabled"}
    again = running.run_module(MODULE, chosen | {"force": True})
    assert again["failed"] and not again["changed"], "what was refused is no change"


def test_a_failure_of_one_extension_or_machine_leaves_the_others_done(cloud: Callable[..., RunningCloud]) -> None:
    web, off = machine("web", enableAutomaticUpgrade=False, provisioningState="Failed"), machine("off", enableAutomaticUpgrade=False)
    health = extension(estates.machine_id("web"), publisher=SERVICES, type=HEALTH, enableAutomaticUpgrade=False)
    health |= {"id": health["id"].replace(AGENT, HEALTH), "name": HEALTH, "location": estates.PRIMARY}
    off[2]["properties"]["instanceView"] = {"statuses": [{"code": "PowerState/deallocated", "displayStatus": "VM deallocated"}]}
    fails = {
        "match": {"method": "PATCH", "path": f"*/web/extensions/{AGENT}"},
        "count": 1,
        "do": {"operation": {"code": "VMExtensionProvisioningError", "message": "The agent does not start."}},
    }
    running = cloud([*estates.groups(), *web, health, *off], speed=2000, faults=[fails])
    args = ENROL | {"machine_ids": [estates.machine_id(name) for name in ("web", "off")]}
    result = running.run_module(MODULE, args)
    assert result["failed"] and {one["name"]: one["state"] for one in result["targets"]} == {"web": "failed", "off": "failed"}
    assert "The agent does not start" in row(result, "web")["reason"] and row(result, "web")["changed"]
    assert statuses(result, "web") == {AGENT: "enabled", HEALTH: "enabled"}, "read back, also where its provisioning failed"
    assert "not running" in row(result, "off")["reason"] and not row(result, "off")["changed"]
    assert "web: AzureMonitorLinuxAgent" in str(result["warnings"]), "its provisioning has failed"
    again = running.run_module(MODULE, args | {"machine_ids": [estates.machine_id("web")]})
    assert not again["changed"] and not again.get("failed") and "provisioning has failed" in str(again["warnings"]), again


def test_extensions_that_wait_for_others_come_behind_them_and_keep_that(cloud: Callable[..., RunningCloud]) -> None:
    first, then = of_model(HEALTH), of_model(AGENT, provisionAfterExtensions=[HEALTH])
    running = cloud([*estates.groups(), estates.scale_set("vmss", 2, then, first)], speed=2000)
    result = running.run_module(MODULE, ENROL | {"scale_set_ids": [estates.scale_set_id("vmss")], "propagate": True})
    assert [path for _method, path in changed_paths(running)][:2] == [f"vmss/extensions/{HEALTH}", f"vmss/extensions/{AGENT}"]
    shown = {one["name"]: one["provision_after"] for one in row(result, "vmss")["after"]["extensions"]}
    assert shown == {AGENT: [HEALTH], HEALTH: []} and not result.get("failed")


@pytest.mark.parametrize("orchestration", ["Uniform", "Flexible"])
@pytest.mark.parametrize("mode", ["Manual", "Automatic", "Rolling"])
def test_scale_sets_of_each_kind(cloud: Callable[..., RunningCloud], orchestration: str, mode: str) -> None:
    more = {"orchestrationMode": "Flexible"} if orchestration == "Flexible" else {}
    vmss = estates.scale_set("vmss", 5, of_model(AGENT), of_model(HEALTH, enableAutomaticUpgrade=True), mode=mode, **more)
    running = cloud([*estates.groups(), vmss, *(members(vmss) if more else [])], speed=2000)
    chosen = ENROL | {"scale_set_ids": [estates.scale_set_id("vmss")]}
    result = running.run_module(MODULE, chosen)
    after = row(result, "vmss")["after"]
    assert (after["orchestration_mode"], after["upgrade_mode"]) == (orchestration, mode) and statuses(result, "vmss")[AGENT] == "enabled"
    assert changed_paths(running) == [("PATCH", f"vmss/extensions/{AGENT}")]
    if mode != "Manual":
        assert after["instances"]["lagging"] == [], "the platform has brought the change to them"
        return
    assert len(after["instances"]["lagging"]) == 5 and "vmss (5)" in str(result["warnings"])
    brought = running.run_module(MODULE, chosen | {"propagate": True})
    assert brought["changed"] and row(brought, "vmss")["after"]["instances"]["lagging"] == [], brought
    assert changed_paths(running)[1:] == [("POST", "vmss/manualupgrade")] * 5, "20 percent of five at a time"
    assert not running.run_module(MODULE, chosen | {"propagate": True})["changed"]


def test_a_rollout_stops_when_instances_get_unhealthy_and_goes_on_later(cloud: Callable[..., RunningCloud]) -> None:
    vmss = estates.scale_set("vmss", 10, of_model(AGENT), of_model(HEALTH, enableAutomaticUpgrade=True))
    running = cloud([*estates.groups(), vmss], speed=2000)
    running.control("health", {"machines": ["vmss_2", "vmss_3", "vmss_4"], "state": "Unhealthy", "when": "changed"})
    chosen = ENROL | SOON | {"scale_set_ids": [estates.scale_set_id("vmss")], "propagate": True}
    stopped = running.run_module(MODULE, chosen)
    reason = row(stopped, "vmss")["reason"]
    assert (
        stopped["failed"]
        and "3 of 10 instances are unhealthy, more than 20 %" in reason
        and "vmss_4 (it reports itself as unhealthy)" in reason
    )
    after = row(stopped, "vmss")["after"]["instances"]
    assert after["lagging"] == [f"vmss_{number}" for number in range(6, 10)] and sorted(after["unhealthy"]) == [
        "vmss_2",
        "vmss_3",
        "vmss_4",
    ]
    running.control("health", {"machines": "vmss_*", "state": "Healthy"})
    assert not running.run_module(MODULE, chosen).get("failed")
    batches = [one["request"]["instanceIds"] for one in running.writes() if one["path"].endswith("/manualupgrade")]
    assert batches == [[str(number), str(number + 1)] for number in range(0, 10, 2)], "each once"


def test_an_instance_that_fails_is_named(cloud: Callable[..., RunningCloud]) -> None:
    fails = {
        "match": {"method": "POST", "path": "*/manualupgrade"},
        "count": 1,
        "do": {"operation": {"item": "vmss_0", "code": "VMExtensionProvisioningError", "message": "The agent does not start."}},
    }
    running = cloud([*estates.groups(), estates.scale_set("vmss", 6, of_model(AGENT))], speed=2000, faults=[fails])
    result = running.run_module(MODULE, ENROL | SOON | {"scale_set_ids": [estates.scale_set_id("vmss")], "propagate": True})
    assert result["failed"] and "vmss_0: The agent does not start" in result["msg"], result
    failed = row(result, "vmss")["after"]
    assert list(failed["instances"]["unhealthy"]) == ["vmss_0"] and failed["instances"]["lagging"] == []
    assert failed["extensions"][0]["provisioning_state"] == "Failed" and "vmss_0" in failed["extensions"][0]["message"]


def test_what_is_published_reaches_what_is_enrolled_and_nothing_else(cloud: Callable[..., RunningCloud]) -> None:
    """What the module enables works, and what it disables stays."""
    names = ("enrolled", "left")
    resources = [*estates.groups(), *(body for name in names for body in machine(name, enableAutomaticUpgrade=name == "left"))]
    resources += [estates.scale_set(f"vmss-{name}", 5, of_model(AGENT, enableAutomaticUpgrade=name == "left")) for name in names]
    running = cloud(resources, speed=3000)

    def chosen(name: str) -> Body:
        return {"machine_ids": [estates.machine_id(name)], "scale_set_ids": [estates.scale_set_id(f"vmss-{name}")], "propagate": True}

    def installed(name: str) -> list[str]:
        seen = running.run_module(MODULE, chosen(name) | ENROL | {"state": states[name]}, check=True)
        assert not seen["changed"], seen
        return [one["installed_version"] for target in seen["targets"] for one in target["after"]["extensions"]]

    states = {"enrolled": "enabled", "left": "disabled"}
    for name in names:
        assert running.run_module(MODULE, chosen(name) | ENROL | {"state": states[name]})["changed"]
    for version in ("1.9.0", "2.4.0"):  # the latter is another major version
        running.control("publish", {"extension": {"publisher": PUBLISHER, "type": AGENT, "version": version}})
    until(lambda: installed("enrolled") == ["1.9.0", "1.9.0"], "the enrolled ones have the newest minor version")
    assert "1.9.0" not in installed("left") and "2.4.0" not in installed("left")


def test_machines_are_chosen_by_group_tags_vault_and_plan(cloud: Callable[..., RunningCloud]) -> None:
    tagged = estates.scale_set("vmss", 1, of_model(AGENT)) | {"tags": {"application": "shop"}}
    running = cloud(runbook.shop(tagged, estates.scale_set("other", 1, of_model(AGENT)), *machine("alone")), speed=3000)

    def chosen(**options: Any) -> list[str]:
        result = running.run_module(MODULE, ENROL | options, check=True)
        assert not result.get("failed"), result
        return sorted(target["name"] for target in result["targets"])

    replicated = sorted([runbook.WEB, runbook.SQL])
    assert chosen(resource_group=GROUP) == sorted(["alone", "other", "vmss", *replicated])
    assert chosen(resource_group=GROUP, tags=["application:shop"]) == sorted(["alone", "vmss", *replicated])
    assert chosen() == chosen(vault_id=estates.VAULT_ID) == chosen(recovery_plan="shop") == replicated
    failed_over = running.run_module("asr_failover", {"action": "unplanned", "replicated_items": [runbook.WEB], "confirm": runbook.WEB})
    assert not failed_over.get("failed"), failed_over
    serving = running.run_module(MODULE, ENROL | {"recovery_plan": "shop"}, check=True)
    assert {target["name"]: target["id"].split("/")[4].lower() for target in serving["targets"]} == {
        runbook.WEB: "rg-shop-weu",
        runbook.SQL: GROUP,
    }


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_answer_changes_nothing_of_the_outcome(cloud: Callable[..., RunningCloud], drop: str) -> None:
    faults = [
        {"match": {"method": method, "path": path}, "count": 1, "do": {"drop": drop}}
        for method, path in (("PATCH", "*/virtualMachines/*"), ("PATCH", "*/virtualMachineScaleSets/*"), ("POST", "*/manualupgrade"))
    ]
    vmss = estates.scale_set("vmss", 3, of_model(AGENT))
    running = cloud([*estates.groups(), vmss, *machine("web", enableAutomaticUpgrade=False)], speed=3000, faults=faults)
    args = ENROL | {"machine_ids": [estates.machine_id("web")], "scale_set_ids": [vmss["id"]], "propagate": True}
    result = running.run_module(MODULE, args)
    assert not result.get("failed") and result["statuses"]["enabled"] == 2, result
    assert row(result, "vmss")["after"]["instances"]["lagging"] == []
    assert len([one for one in running.traffic() if one["status"] == 0]) == 3
    assert not running.run_module(MODULE, args)["changed"]


def test_a_run_that_was_killed_is_finished_by_the_next(cloud: Callable[..., RunningCloud]) -> None:
    vmss = estates.scale_set("vmss", 8, of_model(AGENT))
    running = cloud([*estates.groups(), vmss], speed=300)
    args = ENROL | {"scale_set_ids": [vmss["id"]], "propagate": True}
    process = running.start_module(MODULE, args)
    until(lambda: len(changed_paths(running)) >= 3, "two batches are sent")
    process.kill()
    process.communicate()
    sent = len(changed_paths(running))
    result = running.run_module(MODULE, args)
    assert not result.get("failed") and row(result, "vmss")["after"]["instances"]["lagging"] == [], result
    assert [one["action"] for one in row(result, "vmss")["resumed"]] == ["bring 8 of 8 instances to the latest model"]
    assert sent < len(changed_paths(running)) == 1 + 8, "no instance a second time"


def test_the_role_enrols_what_supports_it(cloud: Callable[..., RunningCloud]) -> None:
    vmss = estates.scale_set("vmss", 2, of_model(AGENT))
    running = cloud([*estates.groups(), vmss, *machine("web", enableAutomaticUpgrade=False)], speed=3000)
    variables = {"extension_autoupgrade_resource_group": GROUP, "extension_autoupgrade_propagate": True}
    role = {"name": "Keep", "ansible.builtin.include_role": {"name": "cloudops.azure_dr.extension_autoupgrade"}, "vars": variables}
    told = {"name": "Tell", "ansible.builtin.debug": {"msg": "{{ extension_autoupgrade_result.statuses }}"}}
    assert "changed=1" in running.run_playbook([role])
    said = running.run_playbook([role, told])
    assert "changed=0" in said and "failed=0" in said and "'enabled': 2" in said.replace('"', "'"), said
    narrowed = role | {
        "vars": variables | {"extension_autoupgrade_state": "disabled", "extension_autoupgrade_extensions": [{"name": "nix"}]}
    }
    assert "changed=0" in running.run_playbook([narrowed]), "only what is named"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, "extensions"),
        ({"extensions": [{}]}, "a name, a publisher or a type"),
        ({"all_supported": True, "force": True}, "force"),
        ({"all_supported": True, "scale_set_ids": ["/subscriptions/s"]}, "scale_set_ids"),
        ({"all_supported": True, "tags": ["a"]}, "resource_group"),
        ({"extensions": [{"name": "a", "type_handler_version": "two"}]}, "type_handler_version"),
        ({"all_supported": True, "scale_set_ids": [], "resource_group": "g"}, "mutually exclusive"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_sent(cloud: Callable[..., RunningCloud], args: Body, said: str) -> None:
    running = cloud([])
    result = running.run_module(MODULE, args)
    assert result["failed"] and said in result["msg"] and running.traffic() == [], result


def test_there_has_to_be_something_to_work_on(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.groups())
    assert "no scale set to work on in resource group rg-shop-neu" in running.run_module(MODULE, ENROL | {"resource_group": GROUP})["msg"]
    gone = running.run_module(MODULE, ENROL | {"scale_set_ids": [estates.scale_set_id("gone")]})
    assert gone["failed"] and "gone" in gone["msg"] and "404" in gone["msg"]
