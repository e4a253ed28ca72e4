# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Scale sets as a client sees them: model and instances, extensions of the model, what Azure refuses."""

from __future__ import annotations

import copy
import json

import pytest
from rehearsal_cloud.cloud import Request

GROUP = "/subscriptions/s1/resourceGroups/Web"
SET = f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/web"
PROBE = f"{GROUP}/providers/Microsoft.Network/loadBalancers/lb/probes/p"
UBUNTU = {"publisher": "Canonical", "offer": "jammy", "sku": "22_04-lts", "version": "latest"}
DAY = 86400


def scale_set(mode="Manual", capacity=5, extensions=(), probe=True, orchestration=None, **properties):
    profile = {
        "osProfile": {"computerNamePrefix": "web", "linuxConfiguration": {"provisionVMAgent": True}},
        "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "FromImage"}, "imageReference": dict(UBUNTU)},
        "networkProfile": {"healthProbe": {"id": PROBE}} if probe else {},
    }
    if extensions:
        profile["extensionProfile"] = {"extensions": [copy.deepcopy(one) for one in extensions]}
    return {
        "id": SET,
        "location": "westus",
        "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": capacity},
        "properties": {
            "upgradePolicy": {"mode": mode},
            "virtualMachineProfile": profile,
            **({"orchestrationMode": orchestration} if orchestration else {}),
            **properties,
        },
    }


def extension(name="AMA", kind="AzureMonitorLinuxAgent", publisher="Microsoft.Azure.Monitor", **properties):
    given = {"publisher": publisher, "type": kind, "typeHandlerVersion": "1.0", "autoUpgradeMinorVersion": True, **properties}
    return {"name": name, "properties": given}


def instances(inside, **query):
    return inside.body(f"{SET}/virtualMachines", **query)["value"]


def lagging(inside):
    return [one["instanceId"] for one in instances(inside) if not one["properties"]["latestModelApplied"]]


def names(found):
    return [one["name"] for one in found]


def test_an_estate_that_lists_no_instances_has_as_many_as_the_capacity(inside):
    inside.cloud.seed([scale_set(capacity=3)])
    found = instances(inside)
    assert [one["instanceId"] for one in found] == ["0", "1", "2"]
    assert names(found) == ["web_0", "web_1", "web_2"]
    assert {one["properties"]["latestModelApplied"] for one in found} == {True}
    assert found[0]["properties"]["storageProfile"]["imageReference"] == {**UBUNTU, "exactVersion": "1.0.0"}
    assert inside.body(f"{SET}/virtualMachines/1")["id"] == f"{SET}/virtualMachines/1"
    view = inside.body(f"{SET}/virtualMachines/1/instanceView")
    assert view["vmHealth"]["status"]["code"] == "HealthState/healthy"
    assert view["statuses"][1]["code"] == "PowerState/running"


def test_instances_of_an_estate_are_kept_with_what_it_says_of_them(inside):
    old = {"id": f"{SET}/virtualMachines/4", "name": "web_4", "location": "westus", "properties": {"latestModelApplied": False}}
    inside.cloud.seed([scale_set(capacity=1), old])
    assert lagging(inside) == ["4"]


def test_the_estate_can_tell_of_health(inside):
    told = {"vmHealth": {"status": {"code": "HealthState/unhealthy"}}}
    ill = {"id": f"{SET}/virtualMachines/0", "location": "westus", "properties": {"instanceView": told}}
    inside.cloud.seed([scale_set(capacity=1), ill])
    assert inside.body(f"{SET}/virtualMachines/0/instanceView")["vmHealth"]["status"] == {
        "code": "HealthState/unhealthy",
        "level": "Error",
        "displayStatus": "The VM is reporting itself as unhealthy",
    }
    inside.send("POST", "/rehearsal/health", {"machines": "*", "state": "Healthy"})
    assert inside.body(f"{SET}/virtualMachines/0/instanceView")["vmHealth"]["status"]["code"] == "HealthState/healthy"


def test_an_instance_that_is_not_there(inside):
    inside.cloud.seed([scale_set(capacity=1)])
    for answer in (
        inside.send("GET", f"{SET}/virtualMachines/9"),
        inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": ["0", "9"]}),
    ):
        assert (answer.status, answer.body["error"]["code"]) == (400, "InvalidParameter")
        assert "instanceId 9 is not an active" in answer.body["error"]["message"]


def test_a_manual_scale_set_lags_until_its_instances_are_brought(inside):
    inside.cloud.seed([scale_set("Manual", 4)])
    answer = inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]})
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (201, "Succeeded")
    inside.later(DAY)
    assert inside.operation(answer)["status"] == "Succeeded"
    assert lagging(inside) == ["0", "1", "2", "3"]
    assert inside.body(f"{SET}/extensions/AMA")["properties"]["provisioningState"] == "Creating"
    summary = inside.body(f"{SET}/instanceView")["extensions"]
    assert summary == [{"name": "AMA", "statusesSummary": [{"code": "ProvisioningState/creating", "count": 4}]}]

    answer = inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": ["1", "2"]})
    assert answer.status == 202
    assert instances(inside)[1]["properties"]["provisioningState"] == "Updating"
    inside.later(DAY)
    assert lagging(inside) == ["0", "3"]
    assert names(inside.body(f"{SET}/virtualMachines/1/extensions")["value"]) == ["AMA"]
    assert inside.body(f"{SET}/instanceView")["extensions"][0]["statusesSummary"] == [
        {"code": "ProvisioningState/creating", "count": 2},
        {"code": "ProvisioningState/succeeded", "count": 2},
    ]
    inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": ["*"]})
    inside.later(DAY)
    assert lagging(inside) == []
    assert inside.body(f"{SET}/extensions/AMA")["properties"]["provisioningState"] == "Succeeded"


def test_an_automatic_scale_set_carries_the_change_itself(inside):
    inside.cloud.seed([scale_set("Automatic", 3, [extension()])])
    answer = inside.send("PATCH", f"{SET}/extensions/AMA", {"properties": {"enableAutomaticUpgrade": True}})
    assert answer.status == 201
    assert not {"publisher", "type"} & set(answer.body["properties"])
    inside.later(DAY)
    assert lagging(inside) == []
    assert inside.body(f"{SET}/virtualMachines/2/extensions/AMA")["properties"]["enableAutomaticUpgrade"] is True
    assert inside.body(SET)["properties"]["virtualMachineProfile"]["extensionProfile"]["extensions"][0]["properties"][
        "enableAutomaticUpgrade"
    ]

    assert inside.send("DELETE", f"{SET}/extensions/AMA").status == 202
    inside.later(DAY)
    assert inside.body(f"{SET}/virtualMachines/2/extensions")["value"] == []
    assert inside.send("GET", f"{SET}/extensions/AMA").status == 404
    assert inside.send("DELETE", f"{SET}/extensions/AMA").status == 204


def test_a_rolling_scale_set_changes_batch_by_batch_and_the_operation_lasts_as_long(inside):
    inside.cloud.seed([scale_set("Rolling", 5)])
    answer = inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]})
    inside.later(70)
    latest = inside.body(f"{SET}/rollingUpgrades/latest")["properties"]
    assert latest["progress"] == {
        "successfulInstanceCount": 1,
        "failedInstanceCount": 0,
        "inProgressInstanceCount": 1,
        "pendingInstanceCount": 3,
    }
    assert inside.operation(answer)["status"] == "InProgress"
    assert len(lagging(inside)) == 4
    inside.later(DAY)
    assert inside.operation(answer)["status"] == "Succeeded"
    assert lagging(inside) == []


def test_a_newer_model_takes_the_place_of_a_rolling_upgrade(inside):
    inside.cloud.seed([scale_set("Rolling", 4)])
    first = inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]})
    inside.later(70)
    second = inside.send("PATCH", f"{SET}/extensions/AMA", {"properties": {"enableAutomaticUpgrade": True}})
    inside.later(DAY)
    assert (inside.operation(first)["status"], inside.operation(second)["status"]) == ("Canceled", "Succeeded")
    assert lagging(inside) == []


def test_instances_that_lag_are_brought_when_the_mode_becomes_rolling(inside):
    inside.cloud.seed([scale_set("Manual", 2)])
    inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]})
    inside.later(DAY)
    assert lagging(inside) == ["0", "1"]
    answer = inside.send("PATCH", SET, {"properties": {"upgradePolicy": {"mode": "Rolling"}}})
    inside.later(DAY)
    assert (inside.operation(answer)["status"], lagging(inside)) == ("Succeeded", [])


def test_only_a_change_of_the_capacity_makes_machines(inside):
    inside.cloud.seed([scale_set(capacity=3, orchestration="Flexible")])
    inside.send("PATCH", SET, {"tags": {"a": "b"}})
    inside.later(DAY)
    assert instances(inside) == []
    inside.send("PATCH", SET, {"sku": {"capacity": 2}})
    inside.later(DAY)
    assert len(instances(inside)) == 2


def test_a_change_of_the_policy_reaches_instances_by_itself_unless_manual(inside):
    policy = {"properties": {"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}}}}
    for mode, expected in (("Manual", ["0", "1"]), ("Automatic", []), ("Rolling", [])):
        inside.cloud.store.delete(SET)
        inside.cloud.seed([scale_set(mode, 2)])
        instances(inside)
        assert inside.send("PATCH", SET, policy).status == 200
        inside.later(DAY)
        assert lagging(inside) == expected, mode
        assert inside.body(SET)["properties"]["upgradePolicy"]["mode"] == mode


def test_a_policy_patch_leaves_the_rest_as_it_was(inside):
    given = scale_set("Manual", 1)
    given["properties"]["upgradePolicy"]["rollingUpgradePolicy"] = {"maxBatchInstancePercent": 40, "maxSurge": True}
    inside.cloud.seed([given])
    inside.send("PATCH", SET, {"properties": {"upgradePolicy": {"rollingUpgradePolicy": {"maxBatchInstancePercent": 10}}}})
    assert inside.body(SET)["properties"]["upgradePolicy"] == {
        "mode": "Manual",
        "rollingUpgradePolicy": {"maxBatchInstancePercent": 10, "maxSurge": True},
    }


def test_extensions_are_provisioned_in_their_order_and_stop_at_one_that_fails(inside):
    first = extension("first", "AzureMonitorWindowsAgent")
    second = extension("second", "Custom", "Contoso", provisionAfterExtensions=["first"])
    other = extension("other", "Other", "Contoso")
    inside.cloud.seed([scale_set("Automatic", 2)])
    instances(inside)
    profile = {"extensionProfile": {"extensions": [second, other, first]}}
    answer = inside.send("PATCH", SET, {"properties": {"virtualMachineProfile": profile}})
    inside.later(DAY)
    ended = inside.operation(answer)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "VMExtensionProvisioningError")
    assert "does not support Linux" in ended["error"]["message"]
    found = {one["name"]: one["properties"]["provisioningState"] for one in inside.body(f"{SET}/virtualMachines/0/extensions")["value"]}
    assert found == {"first": "Failed", "other": "Succeeded"}
    states = {one["name"]: one["properties"]["provisioningState"] for one in inside.body(f"{SET}/extensions")["value"]}
    assert states == {"second": "Creating", "other": "Succeeded", "first": "Failed"}
    assert inside.body(SET)["properties"]["provisioningState"] == "Failed"


def test_a_fault_can_meet_one_instance(inside):
    inside.cloud.seed([scale_set("Manual", 3)])
    inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]})
    inside.later(DAY)
    outcome = {"code": "VMExtensionProvisioningTimeout", "message": "It took too long.", "item": "1"}
    query = {"api-version": "2024-07-01"}
    answer = inside.cloud.handle(Request("POST", f"{SET}/manualupgrade", query, {}, {"instanceIds": ["*"]}, outcome=outcome))
    inside.later(DAY)
    ended = inside.operation(answer)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "VMExtensionProvisioningTimeout")
    states = {one["instanceId"]: one["properties"]["provisioningState"] for one in instances(inside)}
    assert states == {"0": "Succeeded", "1": "Failed", "2": "Succeeded"}
    assert inside.body(f"{SET}/extensions/AMA")["properties"]["provisioningState"] == "Failed"


def test_instances_of_a_flexible_scale_set_are_virtual_machines(inside):
    alone = {"id": f"{GROUP}/providers/Microsoft.Compute/virtualMachines/alone", "location": "westus", "properties": {}}
    inside.cloud.seed([scale_set("Manual", 0, orchestration="Flexible"), alone])
    inside.send("PATCH", SET, {"sku": {"capacity": 2}})
    inside.later(DAY)
    machines = inside.body(f"{GROUP}/providers/Microsoft.Compute/virtualMachines")["value"][1:]
    assert [one["properties"]["virtualMachineScaleSet"]["id"] for one in machines] == [SET, SET]
    assert [one["id"] for one in instances(inside)] == [one["id"] for one in machines]
    chosen = {"$filter": f"'virtualMachineScaleSet/id' eq '{SET.lower()}'"}
    assert len(inside.body("/subscriptions/s1/providers/Microsoft.Compute/virtualMachines", **chosen)["value"]) == 2

    own = {"location": "westus", "properties": extension("own", "Own", "Contoso")["properties"]}
    inside.send("PUT", f"{machines[0]['id']}/extensions/own", own)
    inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]})
    inside.later(DAY)
    assert lagging(inside) == names(machines)
    inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": [machines[0]["name"]]})
    inside.later(DAY)
    assert lagging(inside) == [machines[1]["name"]]
    assert sorted(names(inside.body(f"{machines[0]['id']}/extensions")["value"])) == ["AMA", "own"]
    inside.send("DELETE", f"{SET}/extensions/AMA")
    inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": ["*"]})
    inside.later(DAY)
    assert names(inside.body(f"{machines[0]['id']}/extensions")["value"]) == ["own"]


def test_an_extension_of_one_instance(inside):
    inside.cloud.seed([scale_set(capacity=1)])
    instances(inside)
    answer = inside.send("PUT", f"{SET}/virtualMachines/0/extensions/AMA", {"properties": extension()["properties"]})
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (201, "Creating")
    inside.later(DAY)
    assert inside.operation(answer)["status"] == "Succeeded"
    assert inside.body(f"{SET}/virtualMachines/0")["resources"][0]["properties"]["provisioningState"] == "Succeeded"
    assert inside.send("PUT", f"{SET}/virtualMachines/7/extensions/AMA", {"properties": {}}).status == 404


def test_capacity_and_actions(inside):
    inside.cloud.seed([scale_set(capacity=2)])
    instances(inside)
    inside.send("PATCH", SET, {"sku": {"capacity": 4}})
    inside.later(DAY)
    assert [one["instanceId"] for one in instances(inside)] == ["0", "1", "2", "3"]
    inside.send("POST", f"{SET}/deallocate", {"instanceIds": ["1"]})
    inside.send("DELETE", f"{SET}/virtualMachines/0")
    inside.later(DAY)
    shown = instances(inside, **{"$expand": "instanceView"})
    assert [one["properties"]["instanceView"]["statuses"][1]["code"] for one in shown] == [
        "PowerState/deallocated",
        "PowerState/running",
        "PowerState/running",
    ]
    assert inside.body(SET)["sku"]["capacity"] == 3
    inside.send("POST", f"{SET}/virtualMachines/1/start")
    inside.later(DAY)
    assert inside.body(f"{SET}/virtualMachines/1/instanceView")["statuses"][1]["code"] == "PowerState/running"
    inside.send("DELETE", SET)
    inside.later(DAY)
    assert inside.send("GET", f"{SET}/virtualMachines").status == 404


def changed(**properties):
    return {"properties": properties}


AUTOMATIC = {"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}}}
HEALTH = extension("health", "ApplicationHealthLinux", "Microsoft.ManagedServices")
PATCHED = {"osProfile": {"linuxConfiguration": {"patchSettings": {"patchMode": "AutomaticByPlatform"}}}}


@pytest.mark.parametrize(
    ("given", "sent", "reason"),
    [
        (scale_set(probe=False), changed(upgradePolicy={"mode": "Rolling"}), "Rolling Upgrade mode is not supported"),
        (scale_set(probe=False), changed(**AUTOMATIC), "a health probe or health extension was not specified"),
        (scale_set(extensions=[HEALTH]), changed(**AUTOMATIC), "both a health probe and a health extension"),
        (
            scale_set(),
            changed(**AUTOMATIC, virtualMachineProfile={"storageProfile": {"imageReference": {"version": "1.2.3"}}}),
            "not 'latest'",
        ),
        (scale_set(), changed(**AUTOMATIC, virtualMachineProfile=PATCHED), "AutomaticByPlatform"),
        (
            scale_set(),
            changed(upgradePolicy={"rollingUpgradePolicy": {"maxBatchInstancePercent": 4}}),
            "rollingUpgradePolicy.maxBatchInstancePercent is invalid",
        ),
        (
            scale_set(),
            changed(virtualMachineProfile={"extensionProfile": {"extensions": [extension(provisionAfterExtensions=["gone"])]}}),
            "'gone'",
        ),
        (
            scale_set(),
            changed(
                virtualMachineProfile={
                    "extensionProfile": {
                        "extensions": [
                            extension("a", "A", provisionAfterExtensions=["b"]),
                            extension("b", "B", provisionAfterExtensions=["a"]),
                        ]
                    }
                }
            ),
            "wait for each other: a, b",
        ),
        (
            scale_set(),
            changed(
                virtualMachineProfile={
                    "extensionProfile": {
                        "extensions": [extension("c", "CustomScript", "Microsoft.Azure.Extensions", enableAutomaticUpgrade=True)]
                    }
                }
            ),
            "does not support setting enableAutomaticUpgrade",
        ),
    ],
)
def test_what_azure_refuses(inside, given, sent, reason):
    inside.cloud.seed([copy.deepcopy(given)])
    before = inside.body(SET)
    answer = inside.send("PATCH", SET, sent)
    assert answer.status == 400
    assert reason in answer.body["error"]["message"]
    assert inside.body(SET) == before


def test_windows_updates_are_switched_off_with_automatic_upgrade_and_stay_so(inside):
    given = scale_set()
    given["properties"]["virtualMachineProfile"]["osProfile"] = {"windowsConfiguration": {"enableAutomaticUpdates": True}}
    inside.cloud.seed([given])
    assert inside.send("PATCH", SET, changed(**AUTOMATIC)).status == 200
    profile = inside.body(SET)["properties"]["virtualMachineProfile"]["osProfile"]["windowsConfiguration"]
    assert profile["enableAutomaticUpdates"] is False
    back = {"virtualMachineProfile": {"osProfile": {"windowsConfiguration": {"enableAutomaticUpdates": True}}}}
    answer = inside.send("PATCH", SET, changed(**back))
    assert answer.status == 400
    assert "cannot be set to true" in answer.body["error"]["message"]


def test_automatic_upgrade_of_extensions_is_on_by_default_in_new_versions_only(inside):
    for version, expected in (("2024-11-01", None), ("2025-04-01", True)):
        inside.cloud.store.delete(SET)
        inside.cloud.seed([scale_set()])
        inside.send("PUT", f"{SET}/extensions/AMA", {"properties": extension()["properties"]}, version=version)
        assert inside.body(f"{SET}/extensions/AMA")["properties"].get("enableAutomaticUpgrade") is expected


def test_secrets_of_the_model_are_nowhere(inside):
    inside.cloud.seed([scale_set(capacity=1)])
    secret = {**extension()["properties"], "protectedSettings": {"key": "hush"}}
    inside.send("PUT", f"{SET}/extensions/AMA", {"properties": secret})
    profile = {"osProfile": {"adminPassword": "hush"}, "extensionProfile": {"extensions": [{"name": "AMA", "properties": secret}]}}
    inside.send("PATCH", SET, changed(virtualMachineProfile=profile))
    inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": ["*"]})
    inside.later(DAY)
    assert "hush" not in json.dumps(inside.cloud.dump())


def test_scale_sets_of_a_region(inside):
    inside.cloud.seed([scale_set()])
    for region, count in (("westus", 1), ("eastus", 0)):
        path = f"/subscriptions/s1/providers/Microsoft.Compute/locations/{region}/virtualMachineScaleSets"
        assert len(inside.body(path)["value"]) == count
