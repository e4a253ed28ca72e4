# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Rolling upgrades, and what the platform upgrades by itself: in batches, with health, with rollback, and only what is enrolled."""

from __future__ import annotations

import json

import pytest
from rehearsal_cloud.cloud import Request

from .test_compute_scale_sets import DAY, GROUP, SET, UBUNTU, extension, instances, scale_set

GALLERY = f"{GROUP}/providers/Microsoft.Compute/galleries/g/images/base"
VMS = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"
AMA = {"publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorLinuxAgent"}
LATEST = f"{SET}/rollingUpgrades/latest"
HISTORY = f"{SET}/osUpgradeHistory"


def automatic(mode="Manual", capacity=5, policy=None, **more):
    body = scale_set(mode, capacity, **more)
    body["properties"]["upgradePolicy"]["automaticOSUpgradePolicy"] = {"enableAutomaticOSUpgrade": True}
    if policy:
        body["properties"]["upgradePolicy"]["rollingUpgradePolicy"] = policy
        body["properties"]["upgradePolicy"]["automaticOSUpgradePolicy"]["useRollingUpgradePolicy"] = True
    return body


def publish(inside, **what):
    answer = inside.send("POST", "/rehearsal/publish", what)
    assert answer.status == 200, answer
    return answer.body["published"]


def publish_image(inside, version):
    return publish(inside, image={**UBUNTU, "version": version})


def ill(inside, *machines, when="now", state="Unhealthy"):
    answer = inside.send("POST", "/rehearsal/health", {"machines": list(machines), "state": state, "when": when})
    assert answer.status == 200, answer


def images(inside):
    return [one["properties"]["storageProfile"]["imageReference"]["exactVersion"] for one in instances(inside)]


def latest(inside):
    return inside.body(LATEST)["properties"]


def counts(inside):
    return list(latest(inside)["progress"].values())


def handler(inside, machine, kind="AzureMonitorLinuxAgent"):
    found = inside.body(f"{machine}/instanceView")["vmAgent"]["extensionHandlers"]
    return next(one["typeHandlerVersion"] for one in found if one["type"].endswith(kind))


def vm(name, region="westus", enrolled=True):
    body = {"id": f"{VMS}/{name}", "location": region, "properties": {"storageProfile": {"osDisk": {"osType": "Linux"}}}}
    flags = {} if enrolled is None else {"enableAutomaticUpgrade": enrolled}
    agent = {"id": f"{VMS}/{name}/extensions/AMA", "location": region, "properties": {**extension(**flags)["properties"]}}
    return [body, agent]


def test_a_user_upgrades_the_image_in_batches(inside):
    inside.cloud.seed([scale_set("Manual", 5)])
    publish_image(inside, "1.1.0")
    assert inside.send("POST", f"{SET}/rollingUpgrades/cancel").status == 409
    assert inside.send("GET", LATEST).status == 404
    answer = inside.send("POST", f"{SET}/osRollingUpgrade")
    assert answer.status == 202
    seen = set()
    for _step in range(40):
        inside.later(10)
        seen.add(tuple(counts(inside)))
        assert latest(inside)["progress"]["inProgressInstanceCount"] <= 1
    assert {(0, 0, 1, 4), (2, 0, 1, 2), (5, 0, 0, 0)} <= seen
    assert images(inside) == ["1.1.0"] * 5
    assert latest(inside)["runningStatus"]["code"] == "Completed"
    assert set(latest(inside)["policy"]) == {
        "maxBatchInstancePercent",
        "maxUnhealthyInstancePercent",
        "maxUnhealthyUpgradedInstancePercent",
        "pauseTimeBetweenBatches",
    }
    assert inside.operation(answer)["status"] == "Succeeded"
    entry = inside.body(HISTORY)["value"][0]["properties"]
    assert (entry["startedBy"], entry["runningStatus"]["code"]) == ("User", "Completed")
    assert entry["targetImageReference"]["exactVersion"] == "1.1.0"
    assert entry["runningStatus"]["endTime"] > entry["runningStatus"]["startTime"]


def test_an_upgrade_with_nothing_to_do_completes_all_the_same(inside):
    inside.cloud.seed([scale_set("Manual", 2)])
    inside.send("POST", f"{SET}/osRollingUpgrade")
    assert latest(inside)["runningStatus"]["code"] == "RollingForward"
    inside.later(DAY)
    assert (latest(inside)["runningStatus"]["code"], counts(inside)) == ("Completed", [2, 0, 0, 0])


def test_a_manual_start_stops_at_an_instance_that_stays_unhealthy_and_takes_nothing_back(inside):
    inside.cloud.seed([scale_set("Manual", 5)])
    publish_image(inside, "1.1.0")
    ill(inside, "web_0", when="changed")
    answer = inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(200)
    assert latest(inside)["runningStatus"]["code"] == "RollingForward"  # it has five minutes
    inside.later(DAY)
    stopped = latest(inside)
    assert stopped["runningStatus"]["code"] == "Faulted"
    assert stopped["error"]["code"] == "MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade"
    assert "First failed instance ID is: 0." in stopped["error"]["message"]
    assert counts(inside) == [0, 1, 0, 4]
    assert images(inside) == ["1.1.0"] + ["1.0.0"] * 4
    ended = inside.operation(answer)
    assert (ended["status"], ended["error"]) == ("Failed", stopped["error"])
    entry = inside.body(HISTORY)["value"][0]["properties"]
    assert entry["error"] == stopped["error"]
    assert "rollbackInfo" not in entry


def test_an_instance_that_recovers_in_time_does_not_stop_it(inside):
    inside.cloud.seed([scale_set("Manual", 3)])
    publish_image(inside, "1.1.0")
    ill(inside, "web_*", when="changed")
    inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(200)
    assert counts(inside) == [0, 0, 1, 2]
    ill(inside, "*", state="Healthy")
    inside.later(DAY)
    assert counts(inside) == [3, 0, 0, 0]


def test_too_many_unhealthy_before_it_begins(inside):
    inside.cloud.seed([scale_set("Manual", 5)])
    publish_image(inside, "1.1.0")
    ill(inside, "web_3", "web_4")
    inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(DAY)
    error = latest(inside)["error"]
    assert error["code"] == "MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade"
    assert "40% of instances are in an unhealthy state, more than the threshold of 20%" in error["message"]
    assert images(inside) == ["1.0.0"] * 5


def test_too_many_unhealthy_on_the_way(inside):
    inside.cloud.seed([scale_set("Manual", 5)])
    publish_image(inside, "1.1.0")
    inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(70)
    ill(inside, "web_3", "web_4")
    inside.later(DAY)
    assert latest(inside)["error"]["code"] == "MaxUnhealthyInstancePercentExceededInRollingUpgrade"
    assert images(inside) == ["1.1.0"] * 2 + ["1.0.0"] * 3


def test_automatic_upgrade_rolls_back_the_instance_that_turns_unhealthy(inside):
    inside.cloud.seed([automatic()])
    instances(inside)
    ill(inside, "web_1", when="changed")
    publish_image(inside, "1.1.0")
    inside.later(DAY)
    stopped = latest(inside)
    assert stopped["runningStatus"]["code"] == "Faulted"
    assert images(inside) == ["1.1.0"] + ["1.0.0"] * 4
    entry = inside.body(HISTORY)["value"][0]["properties"]
    assert entry["startedBy"] == "Platform"
    assert entry["rollbackInfo"] == {"successfullyRolledbackInstanceCount": 1, "failedRolledbackInstanceCount": 0}
    view = inside.body(f"{SET}/virtualMachines/1/instanceView")
    assert view["vmHealth"]["status"]["code"] == "HealthState/healthy"

    ill(inside, "*", state="Healthy")
    inside.later(DAY)
    assert images(inside)[1] == "1.0.0"  # given up until there is something newer
    publish_image(inside, "1.2.0")
    inside.later(DAY)
    assert images(inside) == ["1.2.0"] * 5


def test_rollback_can_be_disabled(inside):
    body = automatic()
    body["properties"]["upgradePolicy"]["automaticOSUpgradePolicy"]["disableAutomaticRollback"] = True
    inside.cloud.seed([body])
    ill(inside, "web_0", when="changed")
    publish_image(inside, "1.1.0")
    inside.later(DAY)
    assert images(inside)[0] == "1.1.0"
    assert "rollbackInfo" not in inside.body(HISTORY)["value"][0]["properties"]


def test_only_scale_sets_that_are_enrolled_are_upgraded(inside):
    fixed = automatic()
    fixed["properties"]["virtualMachineProfile"]["storageProfile"]["imageReference"]["version"] = "1.0.0"
    for given, expected in ((scale_set(), "1.0.0"), (automatic("Rolling"), "1.1.0"), (fixed, "1.0.0")):
        inside.cloud.store.delete(SET)
        inside.cloud.seed([given])
        publish_image(inside, "1.1.0")
        inside.later(DAY)
        assert set(images(inside)) == {expected}


def test_a_manual_scale_set_whose_instances_lag_is_left_alone(inside):
    inside.cloud.seed([scale_set("Manual", 2)])
    publish_image(inside, "1.1.0")
    instances(inside)
    inside.send("PATCH", SET, {"properties": {"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}}}})
    inside.later(DAY)
    assert images(inside) == ["1.0.0"] * 2
    inside.send("POST", f"{SET}/manualupgrade", {"instanceIds": ["*"]})
    inside.later(DAY)
    assert images(inside) == ["1.1.0"] * 2


def test_the_rolling_policy_counts_where_it_is_to_be_used(inside):
    policy = {"maxBatchInstancePercent": 50, "pauseTimeBetweenBatches": "PT10M"}
    inside.cloud.seed([automatic("Manual", 4, policy)])
    publish_image(inside, "1.1.0")
    inside.later(310)
    assert counts(inside) == [0, 0, 2, 2]
    inside.later(100)
    assert counts(inside) == [2, 0, 0, 2]
    inside.later(540)
    assert counts(inside) == [2, 0, 0, 2]
    inside.later(20)
    assert counts(inside) == [2, 0, 2, 0]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, ["0"]),
        ({"maxBatchInstancePercent": 70}, ["0", "2"]),
        ({"maxBatchInstancePercent": 70, "enableCrossZoneUpgrade": True}, ["0", "1", "2", "3"]),
        ({"prioritizeUnhealthyInstances": True}, ["5"]),
    ],
)
def test_the_first_batch_by_zones_and_health(inside, policy, expected):
    body = scale_set("Manual", 6)
    body["zones"] = ["1", "2"]
    body["properties"]["upgradePolicy"]["rollingUpgradePolicy"] = policy
    inside.cloud.seed([body])
    publish_image(inside, "1.1.0")
    ill(inside, "web_5")
    inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(1)
    assert [one["instanceId"] for one in instances(inside) if one["properties"]["provisioningState"] == "Updating"] == expected


def test_with_surge_new_instances_take_the_place_of_the_old_ones(inside):
    body = scale_set("Manual", 2)
    body["properties"]["upgradePolicy"]["rollingUpgradePolicy"] = {"maxSurge": True}
    inside.cloud.seed([body])
    publish_image(inside, "1.1.0")
    ill(inside, "web_3", when="changed")
    inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(DAY)
    assert [one["instanceId"] for one in instances(inside)] == ["1", "2"]
    assert images(inside) == ["1.0.0", "1.1.0"]
    assert (latest(inside)["runningStatus"]["code"], counts(inside)) == ("Faulted", [1, 1, 0, 0])


def test_cancel(inside):
    inside.cloud.seed([scale_set("Manual", 5)])
    publish_image(inside, "1.1.0")
    answer = inside.send("POST", f"{SET}/osRollingUpgrade")
    again = inside.send("POST", f"{SET}/osRollingUpgrade")
    assert (again.status, again.body["error"]["code"]) == (409, "OperationNotAllowed")
    inside.later(70)
    assert inside.send("POST", f"{SET}/rollingUpgrades/cancel").status == 202
    inside.later(DAY)
    status = latest(inside)["runningStatus"]
    assert (status["code"], status["lastAction"]) == ("Cancelled", "Cancel")
    assert inside.operation(answer)["status"] == "Canceled"
    assert images(inside) == ["1.1.0"] + ["1.0.0"] * 4
    assert inside.send("POST", f"{SET}/rollingUpgrades/cancel").status == 409


def test_the_history_has_the_last_five(inside):
    inside.cloud.seed([scale_set("Manual", 1)])
    for number in range(7):
        publish_image(inside, f"1.{number + 1}.0")
        inside.send("POST", f"{SET}/osRollingUpgrade")
        inside.later(DAY)
    targets = [one["properties"]["targetImageReference"]["exactVersion"] for one in inside.body(HISTORY)["value"]]
    assert targets == ["1.7.0", "1.6.0", "1.5.0", "1.4.0", "1.3.0"]
    inside.later(61 * DAY)
    assert inside.body(HISTORY)["value"] == []


def test_a_fault_of_the_start_ends_the_upgrade(inside):
    inside.cloud.seed([scale_set("Manual", 3)])
    publish_image(inside, "1.1.0")
    outcome = {"code": "AllocationFailed", "message": "No room."}
    answer = inside.cloud.handle(Request("POST", f"{SET}/osRollingUpgrade", {"api-version": "2024-07-01"}, {}, None, outcome=outcome))
    inside.later(DAY)
    assert latest(inside)["error"] == outcome
    assert inside.operation(answer)["error"] == outcome
    assert images(inside) == ["1.0.0"] * 3


@pytest.mark.parametrize(("by", "expected"), [("User", "1.1.0"), ("Platform", "1.0.0")])
def test_an_expired_signature_leaves_the_first_batch_failed(inside, by, expected):
    uri = "https://boot.example/node.sh?sv=2024-11-04&se=2023-11-20T00%3A00%3A00Z&sig=x"
    script = extension("script", "CustomScript", "Microsoft.Azure.Extensions", settings={"fileUris": [uri]})
    inside.cloud.seed([(scale_set if by == "User" else automatic)("Manual", 5, extensions=[script])])
    instances(inside)
    inside.later(30 * DAY)
    publish_image(inside, "1.1.0")
    if by == "User":
        inside.send("POST", f"{SET}/osRollingUpgrade")
    inside.later(DAY)
    assert latest(inside)["runningStatus"]["code"] == "Faulted"
    assert "'script'" in latest(inside)["error"]["message"]
    assert images(inside) == [expected] + ["1.0.0"] * 4
    state = inside.body(f"{SET}/virtualMachines/0/extensions/script")["properties"]["provisioningState"]
    assert state == ("Failed" if by == "User" else "Succeeded")


def test_extensions_of_a_scale_set(inside):
    inside.cloud.seed([scale_set("Automatic", 2, [extension(enableAutomaticUpgrade=False)])])
    instances(inside)
    first = f"{SET}/virtualMachines/0"
    publish(inside, extension={**AMA, "version": "1.31.0"})
    inside.later(DAY)
    assert handler(inside, first) == "1.0.0.0"  # not enrolled
    inside.send("POST", f"{SET}/extensionRollingUpgrade")
    inside.later(DAY)
    assert handler(inside, first) == "1.31.0"
    assert counts(inside) == [2, 0, 0, 0]
    inside.send("PATCH", f"{SET}/extensions/AMA", {"properties": {"enableAutomaticUpgrade": True}})
    inside.later(DAY)
    publish(inside, extension={**AMA, "version": "1.32.0"})
    publish(inside, extension={**AMA, "version": "2.0.0"})
    inside.later(DAY)
    assert handler(inside, first) == "1.32.0"  # never another major version
    assert inside.body(HISTORY)["value"] == []


def test_automatic_upgrade_reaches_enrolled_machines_only_a_fifth_at_a_time(inside):
    for number in range(10):
        inside.cloud.seed(vm(f"on{number}"))
    inside.cloud.seed([*vm("off", enrolled=False), *vm("unset", enrolled=None), *vm("other", region="eastus")])
    inside.send("POST", f"{VMS}/on9/deallocate")
    inside.later(DAY)
    publish(inside, extension={**AMA, "version": "1.31.0"}, locations=["westus"])
    inside.later(310)
    most = 0
    for _step in range(60):
        changing = [one for one in inside.body(VMS)["value"] if one["properties"].get("provisioningState") == "Updating"]
        most = max(most, len(changing))
        inside.later(5)
    assert most == 1  # a fifth of the nine that run
    assert {handler(inside, f"{VMS}/on{number}") for number in range(9)} == {"1.31.0"}
    assert {handler(inside, f"{VMS}/{name}") for name in ("off", "unset", "other")} == {"1.0.0.0"}
    inside.send("POST", f"{VMS}/on9/start")
    inside.later(DAY)
    assert handler(inside, f"{VMS}/on9") == "1.31.0"  # it was switched off meanwhile


def test_a_machine_that_turns_unhealthy_gets_its_version_back_and_the_rest_is_spared(inside):
    for number in range(5):
        inside.cloud.seed(vm(f"on{number}"))
    ill(inside, "on1", when="changed")
    publish(inside, extension={**AMA, "version": "1.31.0"})
    inside.later(DAY)
    assert [handler(inside, f"{VMS}/on{number}") for number in range(5)] == ["1.31.0"] + ["1.0.0.0"] * 4


def test_what_is_turned_off_during_a_rollout_stays(inside):
    for number in range(5):
        inside.cloud.seed(vm(f"on{number}"))
    publish(inside, extension={**AMA, "version": "1.31.0"})
    inside.later(310)
    for number in range(2, 5):
        inside.send(
            "PATCH", f"{VMS}/on{number}/extensions/AMA", {"properties": {"enableAutomaticUpgrade": False, "autoUpgradeMinorVersion": False}}
        )
    inside.later(DAY)
    assert [handler(inside, f"{VMS}/on{number}") for number in range(5)] == ["1.31.0"] * 2 + ["1.0.0.0"] * 3


def test_an_installation_brings_the_newest_minor_version(inside):
    inside.cloud.seed(vm("a")[:1])
    for version in ("1.9.0", "1.31.0", "2.1.0"):
        publish(inside, extension={**AMA, "version": version})
    for minor, expected in ((False, "1.0.0.0"), (True, "1.31.0")):
        properties = extension(autoUpgradeMinorVersion=minor)["properties"]
        inside.send("PUT", f"{VMS}/a/extensions/AMA", {"location": "westus", "properties": properties})
        inside.later(DAY)
        assert handler(inside, f"{VMS}/a") == expected


def test_a_version_in_a_gallery_counts_when_it_is_in_the_region_and_not_excluded(inside):
    body = automatic()
    body["properties"]["virtualMachineProfile"]["storageProfile"]["imageReference"] = {"id": GALLERY}
    first = {"id": f"{GALLERY}/versions/1.0.0", "location": "westus", "properties": {}}
    inside.cloud.seed([body, first])
    assert set(images(inside)) == {"1.0.0"}
    for version, profile in (
        ("1.1.0", {"targetRegions": [{"name": "East US"}]}),
        ("1.2.0", {"targetRegions": [{"name": "West US"}], "excludeFromLatest": True}),
        ("1.3.0", {"targetRegions": [{"name": "West US", "excludeFromLatest": True}]}),
    ):
        sent = {"location": "westus", "properties": {"publishingProfile": profile}}
        assert inside.send("PUT", f"{GALLERY}/versions/{version}", sent).status == 201
        inside.later(DAY)
        assert set(images(inside)) == {"1.0.0"}
    sent = {"location": "westus", "properties": {"publishingProfile": {"targetRegions": [{"name": "West US"}]}}}
    inside.send("PUT", f"{GALLERY}/versions/1.2.5", sent)
    inside.later(DAY)
    assert set(images(inside)) == {"1.2.5"}


def test_what_is_published_is_listed_level_by_level(inside):
    inside.cloud.seed([scale_set()])
    for version in ("1.9.0", "1.10.0"):
        publish(inside, extension={**AMA, "version": version})
        publish_image(inside, version)
    home = "/subscriptions/s1/providers/Microsoft.Compute/locations/westus/publishers"
    types = f"{home}/Microsoft.Azure.Monitor/artifacttypes/vmextension/types"
    offers = f"{home}/Canonical/artifacttypes/vmimage/offers"

    def listed(path, **query):
        return [one["name"] for one in inside.body(path, **query)]

    assert listed(home) == ["Canonical", "Microsoft.Azure.Monitor"]
    assert listed(types) == ["AzureMonitorLinuxAgent"]
    assert listed(f"{types}/AzureMonitorLinuxAgent/versions") == ["1.9.0", "1.10.0"]
    assert listed(f"{types}/AzureMonitorLinuxAgent/versions", **{"$orderby": "name desc", "$top": "1"}) == ["1.10.0"]
    assert listed(f"{types}/AzureMonitorLinuxAgent/versions", **{"$filter": "startswith(name,'1.9')"}) == ["1.9.0"]
    assert listed(offers) == ["jammy"]
    assert listed(f"{offers}/jammy/skus") == ["22_04-lts"]
    assert listed(f"{offers}/jammy/skus/22_04-lts/versions") == ["1.9.0", "1.10.0"]
    one = inside.body(f"{offers}/jammy/skus/22_04-lts/versions/1.10.0")
    assert (one["name"], one["location"]) == ("1.10.0", "westus")
    answer = inside.send("GET", f"{offers}/noble/skus/24_04/versions")
    assert (answer.status, answer.body["error"]["message"]) == (404, "Artifact: VMImage was not found.")
    assert not any("Publishers" in one["id"] for one in inside.body("/subscriptions/s1/resources")["value"])


def test_a_rollout_survives_a_restart_of_the_cloud(inside):
    inside.cloud.seed([automatic(capacity=3)])
    publish_image(inside, "1.1.0")
    inside.later(350)
    inside.cloud.load(json.loads(json.dumps(inside.cloud.dump())))
    inside.later(DAY)
    assert images(inside) == ["1.1.0"] * 3
    assert counts(inside) == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("word", "body", "reason"),
    [
        ("nothing", {}, "it has health, publish"),
        ("publish", {}, "one of extension and image"),
        ("publish", {"extension": {"publisher": "A"}}, "publisher, type, version"),
        ("publish", {"extension": {**AMA, "version": "new"}}, "numbers with dots"),
        ("publish", {"extension": {**AMA, "version": "1.1"}, "locations": "westus"}, "not a list of regions"),
        ("health", {"state": "Unhealthy"}, "machines is None"),
        ("health", {"machines": "*", "state": "ill"}, "none of Healthy, Unhealthy, Unknown"),
        ("health", {"machines": "*", "state": "Healthy", "when": "later"}, "neither now nor changed"),
        ("health", [], "an object of JSON"),
    ],
)
def test_a_control_says_what_is_wrong(inside, word, body, reason):
    answer = inside.send("POST", f"/rehearsal/{word}", body)
    assert answer.status in (400, 404)
    assert reason in answer.body["error"]["message"]
