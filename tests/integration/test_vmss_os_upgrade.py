# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""vmss_os_upgrade against the rehearsal cloud, on the estate of calm days: scale sets of each kind and upgrade mode."""

from __future__ import annotations

import json
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import estates
import pytest
from conftest import ROOT, RunningCloud

Body = dict[str, Any]

GROUP = "rg-shop-neu"
WEB, APP, BATCH, WIN, LEGACY, FLEX = (estates.scale_set_id(f"vmss-{name}") for name in ("web", "app", "batch", "win", "legacy", "flex"))
OLD, NEW, NEWEST = "22.04.202609100", "22.04.202610080", "22.04.202611120"
COMPUTE_API = "2024-07-01"
START = {"method": "POST", "path": "*/osRollingUpgrade"}


def run(running: RunningCloud, state: str, *scale_set_ids: str, check: bool = False, **args: Any) -> Body:
    return running.run_module("vmss_os_upgrade", {"state": state, "scale_set_ids": list(scale_set_ids), **args}, check=check, diff=True)


def start(running: RunningCloud, scale_set_id: str) -> Any:
    """The process of a module that has started an upgrade, and follows it."""
    process = running.start_module("vmss_os_upgrade", {"state": "started", "scale_set_ids": [scale_set_id]})
    wait(lambda: any(one["path"].endswith("/osRollingUpgrade") for one in running.writes()))
    return process


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.05)


def control(running: RunningCloud, word: str, body: Body) -> None:
    """A request to the rehearsal itself."""
    request = urllib.request.Request(
        f"{running.told['resource_manager']}/rehearsal/{word}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=running.told["ca_file"])) as answer:
        assert answer.status == 200


def publish(running: RunningCloud, version: str) -> None:
    image = {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts-gen2", "version": version}
    control(running, "publish", {"image": image})


def ill(running: RunningCloud, machines: str, when: str = "changed") -> None:
    control(running, "health", {"machines": machines, "state": "Unhealthy", "when": when})


def targets(result: Body) -> dict[str, Body]:
    assert "targets" in result, result
    return {one["name"]: one for one in result["targets"]}


def states(result: Body) -> dict[str, str]:
    return {name: one["state"] for name, one in targets(result).items()}


def the(result: Body) -> Body:
    (found,) = targets(result).values()
    return found


def sent(running: RunningCloud) -> list[tuple[str, str, Any]]:
    """What was asked to be changed: method, the path behind the scale sets, body."""
    return [(one["method"], one["path"].partition("/virtualMachineScaleSets/")[2], one["request"]) for one in running.writes()]


def images(running: RunningCloud, scale_set_id: str) -> list[str]:
    listed = running.list(f"{scale_set_id}/virtualMachines", COMPUTE_API)
    return [one["properties"]["storageProfile"]["imageReference"]["exactVersion"] for one in listed]


def changed(resources: list[Body], scale_set_id: str, change: Callable[[Body], object]) -> list[Body]:
    """The estate with a change in the properties of a scale set."""
    for one in resources:
        if one["id"].lower() == scale_set_id.lower():
            change(one["properties"])
    return resources


def test_check_mode_tells_all_that_is_in_the_way_and_changes_nothing(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=3000)
    result = running.run_module("vmss_os_upgrade", {"resource_group": GROUP, "max_failures": 2}, check=True, diff=True)
    assert running.writes() == [] and not result.get("failed") and result["changed"]
    assert states(result) == {
        "vmss-web": "changed",
        "vmss-app": "unchanged",
        "vmss-batch": "changed",
        "vmss-win": "failed",
        "vmss-legacy": "failed",
        "vmss-flex": "changed",
    }
    found = targets(result)
    rules = {name: [(one["level"], one["rule"]) for one in row["prerequisites"]] for name, row in found.items()}
    assert rules["vmss-legacy"] == [("error", "image_version"), ("error", "health"), ("error", "credentials")]
    assert rules["vmss-win"] == [("error", "windows_updates")] and rules["vmss-batch"] == [("warning", "gallery_versions")]
    assert rules["vmss-web"] == rules["vmss-app"] == rules["vmss-flex"] == []
    reason = found["vmss-legacy"]["reason"]
    assert all(part in reason for part in ("(1)", "(2)", "(3)", OLD, "stshopboot.blob.core.windows.net/boot/node.sh", "2026-03-31"))
    assert "sig=" not in json.dumps(result)
    assert found["vmss-web"]["actions"] == ["enable automatic OS upgrade", "bring 6 of 6 instances to the latest model"]
    assert found["vmss-web"]["before"]["behind"] == {f"vmss-web_{number}": OLD for number in range(6)}
    assert {name: one["before"]["latest_image_version"] for name, one in found.items() if name in ("vmss-web", "vmss-batch")} == {
        "vmss-web": NEW,
        "vmss-batch": "1.5.0",
    }
    after = found["vmss-web"]["after"]
    assert after["automatic_os_upgrade_policy"]["enable_automatic_os_upgrade"] and after["instances"]["lagging"] == []


def test_what_is_asked_for_is_set_and_all_else_keeps_its_value(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=3000)
    asked: Body = {"use_rolling_upgrade_policy": True, "rolling_upgrade_policy": {"pause_time_between_batches": "PT2M"}}
    result = run(running, "enabled", WIN, BATCH, FLEX, fix=True, **asked)
    assert states(result) == {"vmss-win": "changed", "vmss-batch": "changed", "vmss-flex": "changed"}, result
    policies = {
        "automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True, "useRollingUpgradePolicy": True},
        "rollingUpgradePolicy": {"pauseTimeBetweenBatches": "PT2M"},
    }
    windows = {"windowsConfiguration": {"enableAutomaticUpdates": False, "patchSettings": {"patchMode": "Manual"}}}
    bodies = {name: body["properties"] for method, name, body in sent(running) if method == "PATCH"}
    assert bodies == {
        "vmss-batch": {"upgradePolicy": policies},
        "vmss-flex": {"upgradePolicy": policies},
        "vmss-win": {"upgradePolicy": policies, "virtualMachineProfile": {"osProfile": windows}},
    }
    batch = targets(result)["vmss-batch"]
    assert batch["after"]["rolling_upgrade_policy"] == batch["before"]["rolling_upgrade_policy"] | {"pause_time_between_batches": "PT2M"}
    assert batch["after"]["rolling_upgrade_policy"]["max_batch_instance_percent"] == 25
    assert targets(result)["vmss-win"]["after"]["windows_automatic_updates"] is False
    assert targets(result)["vmss-win"]["after"]["instances"]["lagging"] == []
    brought = [body["instanceIds"] for method, name, body in sent(running) if name == "vmss-win/manualupgrade"]
    assert sorted(brought) == [["0"], ["1"], ["2"], ["3"]]

    before = len(running.writes())
    asked["rolling_upgrade_policy"] = {"pause_time_between_batches": "PT120S"}
    assert set(states(run(running, "enabled", WIN, BATCH, FLEX, fix=True, **asked)).values()) == {"unchanged"}
    assert set(states(run(running, "disabled", WIN, FLEX)).values()) == {"changed"}
    assert set(states(run(running, "disabled", WIN, FLEX)).values()) == {"unchanged"}
    off = {"properties": {"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": False}}}}
    assert sorted(sent(running)[before:]) == [("PATCH", "vmss-flex", off), ("PATCH", "vmss-win", off)]


def test_a_new_image_comes_to_what_is_enabled_and_to_nothing_else(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=3000)
    assert states(run(running, "enabled", WEB)) == {"vmss-web": "changed"}
    assert states(run(running, "disabled", APP, FLEX)) == {"vmss-app": "changed", "vmss-flex": "unchanged"}
    app = images(running, APP)
    publish(running, NEWEST)
    wait(lambda: images(running, WEB) == [NEWEST] * 6)
    row = the(run(running, "enabled", WEB, check=True))
    assert row["state"] == "unchanged" and row["before"]["latest_image_version"] == NEWEST and row["before"]["behind"] == {}
    assert row["history"][0] | {"started": "", "ended": ""} == {
        "code": "Completed",
        "started": "",
        "ended": "",
        "started_by": "Platform",
        "image_version": NEWEST,
        "successful": 6,
        "failed": 0,
        "in_progress": 0,
        "pending": 0,
        "rolled_back": 0,
        "not_rolled_back": 0,
        "error": None,
    }
    assert images(running, APP) == app and images(running, FLEX) == [OLD] * 3


def test_started_upgrades_what_is_behind_and_tells_of_each_instance(cloud: Callable[..., RunningCloud], tmp_path: Path) -> None:
    running = cloud(estates.fleet(), speed=120)
    progress = tmp_path / "progress"
    running.environment["AZURE_DR_PROGRESS_FILE"] = str(progress)
    foreseen = run(running, "started", WEB, APP, check=True)
    assert targets(foreseen)["vmss-web"]["actions"] == [f"upgrade 6 of 6 instances to image {NEW}"] and running.writes() == []
    result = run(running, "started", WEB, APP)
    assert states(result) == {"vmss-web": "changed", "vmss-app": "unchanged"}
    assert "no automatic rollback" in json.dumps(result["warnings"])
    assert [(one["image_version_before"], one["image_version"], one["upgraded"]) for one in targets(result)["vmss-web"]["instances"]] == [
        (OLD, NEW, True)
    ] * 6
    assert targets(result)["vmss-web"]["after"]["behind"] == {} and targets(result)["vmss-web"]["history"][0]["started_by"] == "User"
    said = [json.loads(line)["text"] for line in progress.read_text().splitlines()]
    assert any(text.startswith("vmss-web: ") and "of 6 instances upgraded" in text for text in said), said
    assert states(run(running, "started", WEB)) == {"vmss-web": "unchanged"}
    assert sent(running) == [("POST", "vmss-web/osRollingUpgrade", None)]


def test_an_upgrade_that_a_killed_run_has_started_is_followed_by_the_next(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=150)
    killed = start(running, WEB)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    result = run(running, "started", WEB)
    row = the(result)
    assert (row["state"], row["actions"]) == ("unchanged", ["follow the upgrade that runs"]), result
    assert row["before"]["rolling_upgrade"]["code"] == "RollingForward" and row["after"]["rolling_upgrade"] is None
    assert row["after"]["behind"] == {} and [one["action"] for one in row["resumed"]] == [f"upgrade 6 of 6 instances to image {NEW}"]
    assert len(sent(running)) == 1
    assert the(run(running, "started", WEB))["resumed"] == []


def test_cancelled_stops_the_upgrade_and_who_follows_it_is_told(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=150)
    process = start(running, WEB)
    result = run(running, "cancelled", WEB, APP)
    assert states(result) == {"vmss-web": "changed", "vmss-app": "unchanged"}, result
    row = targets(result)["vmss-web"]
    assert row["before"]["rolling_upgrade"] and row["after"]["rolling_upgrade"] is None
    assert row["history"][0]["code"] == "Cancelled" and row["after"]["behind"] and row["last_failure"] is None
    followed = json.loads(process.communicate(timeout=60)[0])
    assert followed["failed"] and "cancelled it" in the(followed)["reason"]
    assert states(run(running, "cancelled", WEB)) == {"vmss-web": "unchanged"}
    assert [path for _method, path, _body in sent(running)] == ["vmss-web/osRollingUpgrade", "vmss-web/rollingUpgrades/cancel"]


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"drop": "before"}, {"status": 500}], ids=["taken on", "not taken on", "a 500"])
def test_a_start_that_got_no_answer_is_followed_or_sent_again(cloud: Callable[..., RunningCloud], fault: Body) -> None:
    running = cloud(estates.fleet(), speed=400, faults=[{"match": START, "count": 1, "do": fault}])
    result = run(running, "started", WEB)
    assert states(result) == {"vmss-web": "changed"} and images(running, WEB) == [NEW] * 6, result
    assert len(running.writes()) == (1 if fault == {"drop": "after"} else 2)


def test_a_start_that_got_no_answer_and_did_not_end_well_is_failed(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=60, faults=[{"match": START, "count": 1, "do": {"drop": "after"}}])
    ill(running, "vmss-web_0")
    row = the(run(running, "started", WEB))
    assert row["state"] == "failed" and row["changed"] and "First failed instance ID is: 0" in row["reason"], row


def test_an_upgrade_that_stops_is_failed_with_the_reason_and_the_way_on(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=3000)
    ill(running, "vmss-web_1")
    result = run(running, "started", WEB)
    row = the(result)
    assert result["failed"] and row["changed"] and "MaxUnhealthyUpgradedInstancePercentExceeded" in row["reason"]
    assert "no automatic rollback" in row["error"]["recommended_action"]
    assert row["last_failure"]["instances"] == {"vmss-web_1": "it reports itself as unhealthy"} and row["last_failure"]["recovery"] == []
    assert row["history"][0]["code"] == "Faulted" and row["history"][0]["error"]["code"] == row["last_failure"]["code"]
    assert [one["upgraded"] for one in row["instances"]] == [True, True, False, False, False, False]
    assert sorted(row["after"]["behind"]) == [f"vmss-web_{number}" for number in range(2, 6)]


def test_instances_that_failed_in_an_upgrade_that_went_on_are_told(cloud: Callable[..., RunningCloud]) -> None:
    running = cloud(estates.fleet(), speed=3000)
    policy = {"max_unhealthy_instance_percent": 100, "max_unhealthy_upgraded_instance_percent": 100}
    assert states(run(running, "disabled", WEB, rolling_upgrade_policy=policy)) == {"vmss-web": "changed"}
    ill(running, "vmss-web_1")
    row = the(run(running, "started", WEB))
    assert row["state"] == "failed" and "1 of its instances failed" in row["reason"] and "vmss-web_1 (it reports" in row["reason"]
    assert row["after"]["behind"] == {} and row["history"][0]["code"] == "Completed"


def test_expired_credentials_are_named_as_the_cause_with_the_way_back(cloud: Callable[..., RunningCloud]) -> None:
    script = {
        "name": "bootstrap",
        "properties": {
            "publisher": "Microsoft.Azure.Extensions",
            "type": "CustomScript",
            "typeHandlerVersion": "2.1",
            "settings": {"fileUris": ["https://stshopboot.blob.core.windows.net/boot/node.sh?se=2026-03-31T00%3A00%3A00Z&sig=sentinel"]},
        },
    }

    def change(properties: Body) -> None:
        properties["upgradePolicy"]["automaticOSUpgradePolicy"] = {"enableAutomaticOSUpgrade": True}
        properties["virtualMachineProfile"]["extensionProfile"]["extensions"].append(script)

    running = cloud(changed(estates.fleet(), WEB, change), speed=3000)
    publish(running, NEWEST)
    wait(
        lambda: any(one["properties"]["runningStatus"]["code"] == "Faulted" for one in running.list(f"{WEB}/osUpgradeHistory", COMPUTE_API))
    )
    result = run(running, "enabled", WEB, check=True)
    row = the(result)
    assert row["state"] == "failed" and "has expired" in row["reason"]
    assert row["last_failure"]["image_version"] == NEWEST and len(row["last_failure"]["recovery"]) == 4
    assert "authenticate" in row["last_failure"]["message"] and "sentinel" not in json.dumps(result)
    assert states(run(running, "started", WEB)) == {"vmss-web": "failed"} and running.writes() == []


def test_what_may_not_be_seen_is_a_warning_and_what_is_not_there_fails_alone(cloud: Callable[..., RunningCloud]) -> None:
    faults = [{"match": {"path": path}, "do": {"status": 403}} for path in ("*/loadBalancers/*", "*/galleries/*/versions")]
    running = cloud(changed(estates.fleet(), WEB, lambda one: one.update(singlePlacementGroup=False)), faults=faults, speed=3000)
    missing = estates.scale_set_id("vmss-gone")
    result = run(running, "enabled", WEB, BATCH, missing, check=True)
    assert states(result) == {"vmss-web": "changed", "vmss-batch": "changed", "vmss-gone": "failed"}
    assert "404" in targets(result)["vmss-gone"]["reason"]
    told = {name: [(one["level"], one["rule"]) for one in row.get("prerequisites", [])] for name, row in targets(result).items()}
    assert told == {"vmss-web": [("warning", "health_probe")], "vmss-batch": [("warning", "gallery_versions")], "vmss-gone": []}
    assert targets(result)["vmss-batch"]["before"]["latest_image_version"] is None
    assert "could not be seen, nor which instances are behind: vmss-batch" in json.dumps(result["warnings"])


def test_a_basic_load_balancer_and_a_probe_that_is_gone_are_found(cloud: Callable[..., RunningCloud]) -> None:
    resources = changed(estates.fleet(), WEB, lambda one: one.update(singlePlacementGroup=False))
    for one in resources:
        if one["id"].endswith("/loadBalancers/lb-web"):
            one["sku"]["name"] = "Basic"
    running = cloud([one for one in resources if not one["id"].endswith("/loadBalancers/lb-win")], speed=3000)
    result = run(running, "enabled", WEB, WIN, fix=True)
    assert states(result) == {"vmss-web": "failed", "vmss-win": "failed"} and running.writes() == []
    assert "Basic load balancer" in targets(result)["vmss-web"]["reason"] and "is not there" in targets(result)["vmss-win"]["reason"]


@pytest.mark.parametrize(("durability", "state"), [("Silver", "changed"), ("Gold", "failed")])
def test_the_durability_in_the_cluster_is_compared(cloud: Callable[..., RunningCloud], durability: str, state: str) -> None:
    node = {
        "name": "node",
        "properties": {
            "publisher": "Microsoft.Azure.ServiceFabric",
            "type": "ServiceFabricLinuxNode",
            "typeHandlerVersion": "1.1",
            "settings": {"clusterEndpoint": "https://neu.servicefabric/1", "nodeTypeRef": "front", "durabilityLevel": "Silver"},
        },
    }
    cluster = estates.resource(
        f"{estates.SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ServiceFabric/clusters/sf-shop",
        {"clusterEndpoint": "https://neu.servicefabric/1", "nodeTypes": [{"name": "front", "durabilityLevel": durability}]},
        location=estates.PRIMARY,
    )

    def change(properties: Body) -> None:
        properties["virtualMachineProfile"]["networkProfile"].pop("healthProbe")
        properties["virtualMachineProfile"]["extensionProfile"]["extensions"].append(node)

    running = cloud([*changed(estates.fleet(), WEB, change), cluster], speed=3000)
    row = the(run(running, "enabled", WEB, check=True))
    assert row["state"] == state and (state == "changed" or "Gold in the Service Fabric cluster and Silver" in row["reason"]), row


def test_a_file_is_checked_without_azure(tmp_path: Path, cloud: Callable[..., RunningCloud]) -> None:
    running = cloud([])
    running.environment = {}
    file = ROOT / "extensions" / "rehearsal_cloud" / "estates" / "fleet.json"
    result = running.run_module("vmss_os_upgrade", {"model_file": str(file), "max_failures": 2}, check=True, diff=True)
    assert not result.get("failed") and not result["changed"] and running.traffic() == []
    assert {name for name, state in states(result).items() if state == "failed"} == {"vmss-legacy", "vmss-win"} and len(states(result)) == 6
    assert [one["rule"] for one in targets(result)["vmss-legacy"]["prerequisites"]] == ["image_version", "health", "credentials"]
    assert targets(result)["vmss-batch"]["prerequisites"][0]["level"] == "warning"

    one = tmp_path / "model.json"
    one.write_text(json.dumps(next(body for body in estates.fleet() if body["id"].endswith("/vmss-win"))))
    result = running.run_module("vmss_os_upgrade", {"model_file": str(one)})
    assert result["failed"] and "enableAutomaticUpdates" in result["msg"]
    assert not running.run_module("vmss_os_upgrade", {"model_file": str(one), "fix": True}).get("failed")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "a JSON file"),
        ("[1]", "a JSON file"),
        ("[]", "there is none in it"),
        (json.dumps({"id": "/x", "virtualMachineProfile": {}}), "az vmss show"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, cloud: Callable[..., RunningCloud], content: str | None, words: str) -> None:
    file = tmp_path / "model.json"
    if content is not None:
        file.write_text(content)
    result = cloud([]).run_module("vmss_os_upgrade", {"model_file": str(file)})
    assert result["failed"] and "model_file" in result["msg"] and words in result["msg"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"scale_set_ids": ["/subscriptions/x"]}, "scale_set_ids"),
        ({"scale_set_ids": [WEB], "tags": ["a"]}, "tags"),
        ({"scale_set_ids": [WEB], "state": "started", "use_rolling_upgrade_policy": True}, "use_rolling_upgrade_policy"),
        ({"scale_set_ids": [WEB], "state": "disabled", "fix": True}, "fix"),
        ({"scale_set_ids": [WEB], "credentials_valid_for": -1}, "credentials_valid_for"),
        ({"scale_set_ids": [WEB], "rolling_upgrade_policy": {"max_batch_instance_percent": 4}}, "max_batch_instance_percent"),
        ({"scale_set_ids": [WEB], "rolling_upgrade_policy": {"pause_time_between_batches": "5m"}}, "PT5M"),
        ({}, "one of the following is required"),
        ({"scale_set_ids": [WEB], "resource_group": GROUP}, "mutually exclusive"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(cloud: Callable[..., RunningCloud], args: Body, words: str) -> None:
    running = cloud([])
    result = running.run_module("vmss_os_upgrade", args)
    assert result["failed"] and words in result["msg"] and running.traffic() == []


def test_a_group_without_scale_sets_says_so(cloud: Callable[..., RunningCloud]) -> None:
    result = cloud(estates.estate()).run_module("vmss_os_upgrade", {"resource_group": GROUP, "tags": ["application:shop"]})
    assert result["failed"] and "no scale set to work on in resource group rg-shop-neu with the tags application:shop" in result["msg"]
