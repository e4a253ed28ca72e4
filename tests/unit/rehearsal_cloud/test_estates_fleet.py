# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The sample estate of calm days: what its maker writes is what is shipped, Azure would take it, and the platform works on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal_cloud.estates import make_fleet

SHIPPED = Path(make_fleet.__file__).with_name("fleet.json")
SETS = f"{make_fleet.SUBSCRIPTION}/resourceGroups/{make_fleet.GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets"
DAY = 86400


@pytest.fixture
def fleet(inside):
    inside.cloud.seed(one for one in make_fleet.estate() if "/Microsoft.RecoveryServices/" not in one["id"])
    return inside


def names(found):
    return [one["name"] for one in found]


def running(fleet, name):
    found = fleet.body(f"{SETS}/{name}/virtualMachines")["value"]
    return [one["properties"]["storageProfile"]["imageReference"]["exactVersion"] for one in found]


def test_the_file_is_what_its_maker_writes():
    written = {"resources": make_fleet.estate()}
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == written, "write it again, as make_fleet.py says"


def test_no_two_resources_have_the_same_id():
    found = [one["id"].lower() for one in make_fleet.estate()]
    assert len(set(found)) == len(found)


def test_azure_would_take_every_scale_set(fleet):
    for one in fleet.body(SETS)["value"]:
        assert fleet.send("PATCH", one["id"], {"tags": {"seen": "yes"}}).status == 200, one["name"]


def test_models_against_instances(fleet):
    expected = {"vmss-web": 6, "vmss-app": 6, "vmss-batch": 5, "vmss-win": 4, "vmss-legacy": 2, "vmss-flex": 3}
    assert {name: len(running(fleet, name)) for name in expected} == expected
    lagging = {
        one["name"]
        for name in expected
        for one in fleet.body(f"{SETS}/{name}/virtualMachines")["value"]
        if not one["properties"]["latestModelApplied"]
    }
    assert lagging == {"vmss-web_4"}
    view = fleet.body(f"{SETS}/vmss-app/virtualMachines/0/instanceView")
    assert {one["name"]: one["typeHandlerVersion"] for one in view["extensions"]} == {
        "ApplicationHealthLinux": "1.0.2",
        "AzureMonitorLinuxAgent": "1.33.1",
    }


def test_what_is_published_reaches_what_is_enrolled(fleet):
    before = {name: running(fleet, name) for name in ("vmss-web", "vmss-app", "vmss-win", "vmss-legacy", "vmss-flex")}
    image = {**make_fleet.IMAGES["Linux"], "version": "22.04.202611050"}
    assert fleet.send("POST", "/rehearsal/publish", {"image": image}).status == 200
    agent = {"publisher": make_fleet.MONITOR, "type": "AzureMonitorLinuxAgent", "version": "1.36.0"}
    assert fleet.send("POST", "/rehearsal/publish", {"extension": agent}).status == 200
    fleet.later(DAY)
    assert set(running(fleet, "vmss-app")) == {"22.04.202611050"}
    assert {name: running(fleet, name) for name in before if name != "vmss-app"} == {k: v for k, v in before.items() if k != "vmss-app"}

    def version(identifier):
        found = fleet.body(f"{identifier}/instanceView")["vmAgent"]["extensionHandlers"]
        return next(one["typeHandlerVersion"] for one in found if one["type"].endswith("AzureMonitorLinuxAgent"))

    machines = SETS.rpartition("/")[0] + "/virtualMachines"
    assert version(f"{SETS}/vmss-app/virtualMachines/5") == "1.36.0"
    assert version(f"{SETS}/vmss-web/virtualMachines/5") == "1.33.1"
    assert [version(f"{machines}/fleet-api-0{number}") for number in (1, 2, 3)] == ["1.36.0", "1.33.1", "1.33.1"]


def test_agents_in_every_state():
    found = {
        one["properties"]["friendlyName"]: one["properties"]["providerSpecificDetails"]
        for one in make_fleet.estate()
        if one.get("type", "").endswith("/replicationProtectedItems")
    }
    assert {name for name, told in found.items() if told["isReplicationAgentUpdateRequired"]} == {
        "fleet-api-02",
        "fleet-api-03",
        "fleet-db-01",
        "fleet-db-02",
        "fleet-db-03",
    }
    assert found["fleet-api-03"]["agentExpiryDate"] < "2027"
    assert found["fleet-db-01"]["isAgentUpgradeRetryThresholdExhausted"]
    assert found["fleet-db-02"]["isAgentReinstallRequired"]
    assert found["fleet-db-03"]["reasonsBlockingReinstallDetails"]
