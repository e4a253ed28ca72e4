# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""change_freeze on the rehearsal cloud: what was turned off is after the thaw byte for byte as it was, whatever happened in between."""

from __future__ import annotations

import asyncio
import json
import random
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import estates
import pytest
import runbook
import situations
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure
from conftest import RunningCloud
from runbook import Body

Start = Callable[..., RunningCloud]
COMPUTE, ASR = "2024-07-01", "2025-08-01"
PROVIDERS = f"{estates.SUBSCRIPTION}/providers/Microsoft.Compute"
GROUPS = {"vault_name": "rsv-dr-weu", "resource_groups": ["rg-shop-neu"]}
MAPPINGS = "replicationProtectionContainerMappings"
ON = {"agentAutoUpdateStatus": "Enabled", "automationAccountAuthenticationType": "SystemAssignedIdentity"}
SEED = random.randrange(10**6)


def fleet() -> list[Body]:
    """The sample estate of calm days, in which one mapping is on, the other off, and one policy has a key that few have."""
    found = estates.fleet()
    account = next(one["id"] for one in found if one.get("type") == "Microsoft.Automation/automationAccounts")
    for one in found:
        if one["name"] == "northeurope-westeurope-24-hour-retention-policy":
            one["properties"]["providerSpecificDetails"] |= ON | {"automationAccountArmId": account}
        if one["name"] == "vmss-app":
            one["properties"]["upgradePolicy"]["automaticOSUpgradePolicy"]["disableAutomaticRollback"] = True
    return found


def picture(cloud: RunningCloud) -> Body:
    """All that a freeze could change, as Azure shows it, but for the names of schedules, which Azure makes anew."""

    async def read() -> Body:
        async with Azure({}, cloud.environment) as azure:

            async def listed(path: str, api_version: str) -> list[Body]:
                return await azure.list("read for a test", path, api_version)

            machines, sets = (
                await listed(f"{PROVIDERS}/virtualMachines", COMPUTE),
                await listed(f"{PROVIDERS}/virtualMachineScaleSets", COMPUTE),
            )
            maps = await listed(f"{estates.VAULT_ID}/{MAPPINGS}", ASR)
            found = {one["id"]: one["properties"] for one in sets}
            for machine in machines:
                found |= {one["id"]: [one["properties"], one.get("tags")] for one in await listed(f"{machine['id']}/extensions", COMPUTE)}
            for one in maps:
                details = one["properties"].get("providerSpecificDetails") or {}
                found[one["id"]] = one["properties"] | {
                    "providerSpecificDetails": {name: value for name, value in details.items() if "chedule" not in name}
                }
            return found

    return json.loads(json.dumps(asyncio.run(read()), sort_keys=True).replace('"Updating"', '"Succeeded"'))


def on(value: Any) -> int:
    """How much is upgraded by itself, anywhere in the picture."""
    if isinstance(value, dict):
        keys = ("enableAutomaticUpgrade", "enableAutomaticOSUpgrade")
        return (
            sum(value.get(key) is True for key in keys) + (value.get("agentAutoUpdateStatus") == "Enabled") + sum(map(on, value.values()))
        )
    return sum(map(on, value)) if isinstance(value, list) else 0


def freeze(cloud: RunningCloud, path: Path, **args: Any) -> Body:
    return cloud.run_module("change_freeze", {"path": str(path)} | (GROUPS if "machine_ids" not in args else {}) | args)


def thaw(cloud: RunningCloud, path: Path, **args: Any) -> Body:
    return cloud.run_module("change_freeze", {"path": str(path), "state": "thawed"}, **args)


def row(result: Body, name: str) -> Body:
    return next(target for target in result["targets"] if target["name"] == name)


def patches(cloud: RunningCloud) -> list[Body]:
    return [one for one in cloud.writes() if one["method"] == "PATCH"]


def test_a_thaw_puts_back_what_the_freeze_turned_off_and_nothing_else(cloud: Start, tmp_path: Path) -> None:
    running, path = cloud(fleet(), speed=3000), tmp_path / "dr" / "freeze.json"
    before = picture(running)
    foreseen = running.run_module("change_freeze", {"path": str(path)} | GROUPS, check=True, diff=True)
    assert foreseen["changed"] and foreseen["diff"] and not path.exists() and running.writes() == []
    frozen = freeze(running, path)
    assert frozen["changed"] and not frozen.get("failed"), frozen
    assert [one["actions"] for one in foreseen["targets"]] == [one["actions"] for one in frozen["targets"]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    off = picture(running)
    assert on(before) > 10 and {target["name"] for target in frozen["targets"] if target["state"] == "skipped"} == {"fleet-night-01"}
    assert on(off) == 1, "but for the machine that does not run, which keeps its setting"
    assert "does not run" in row(frozen, "fleet-night-01")["reason"] and "fleet-night-01" in str(frozen["warnings"])
    assert all("fleet-night-01" not in one for one in frozen["frozen"])
    sent = [one["request"]["properties"] for one in patches(running)]
    assert {json.dumps(body) for body in sent if "providerSpecificInput" not in body} == {
        '{"enableAutomaticUpgrade": false}',
        '{"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": false}}}',
    }

    recorded, count = path.read_bytes(), len(patches(running))
    again = freeze(running, path)
    assert not again["changed"] and path.read_bytes() == recorded and len(patches(running)) == count

    assert thaw(running, path, check=True, diff=True)["diff"] and path.read_bytes() == recorded
    thawed = thaw(running, path)
    assert thawed["changed"] and not thawed.get("failed") and thawed["frozen"] == [] and thawed["thawed"], thawed
    assert picture(running) == before
    assert len(patches(running)) == 2 * count, "what was off was never touched"
    assert not thaw(running, path)["changed"] and picture(running) == before


def test_what_others_change_meanwhile_is_told(cloud: Start, tmp_path: Path) -> None:
    names = ("fleet-api-01", "fleet-api-02", "fleet-db-03", "fleet-web-01")
    ids = {name: estates.machine_id(name) for name in names}
    running, path = cloud(fleet(), speed=3000), tmp_path / "freeze.json"
    before, all_of_it = picture(running), {"machine_ids": list(ids.values())}
    assert not freeze(running, path, **all_of_it).get("failed")
    for name in ("fleet-api-01", "fleet-api-02"):  # the one was on before, the other off
        args = {"machine_ids": [ids[name]], "all_supported": True, "state": "enabled"}
        assert running.run_module("vm_extension_autoupgrade", args)["changed"]
    again = freeze(running, path, **all_of_it)
    assert {one["name"] for one in again["targets"] if one["changed"]} == {"fleet-api-01", "fleet-api-02"}
    assert all("Turned on by somebody" in row(again, name)["reason"] and name in str(again["warnings"]) for name in names[:2])
    running.run_module("vm_extension_autoupgrade", {"machine_ids": [ids["fleet-api-02"]], "all_supported": True})

    removed = {"state": "absent", "machine_ids": [ids["fleet-db-03"]]}
    assert running.run_module("ama_reinstall", removed)["changed"]
    thawed = thaw(running, path)
    assert not thawed.get("failed"), thawed
    assert "Turned on by somebody" in row(thawed, "fleet-api-02")["reason"]
    assert "not there any more: extension AzureMonitorWindowsAgent" in row(thawed, "fleet-db-03")["reason"]
    gone = f"{ids['fleet-db-03']}/extensions/"
    assert picture(running) == {key: value for key, value in before.items() if not key.startswith(gone)}


def test_a_freeze_that_failed_in_part_is_finished_or_thawed_and_keeps_its_record(cloud: Start, tmp_path: Path) -> None:
    ids, path = [estates.machine_id(name) for name in ("fleet-api-01", "fleet-web-01")], tmp_path / "freeze.json"
    refused = {"match": {"method": "PATCH", "path": "*/fleet-web-01/extensions/*"}, "count": 1, "do": {"status": 400}}
    hidden = {"match": {"method": "GET", "path": "*/virtualMachines/fleet-api-03"}, "do": {"status": 403}}
    running = cloud(fleet(), speed=3000, faults=[refused, hidden])
    before = picture(running)
    half = freeze(running, path, machine_ids=[*ids, estates.machine_id("fleet-api-03")])
    assert half["failed"] and {one["name"] for one in half["targets"] if one["state"] == "failed"} == {"fleet-web-01", "fleet-api-03"}
    held = {target["name"] for target in json.loads(path.read_text())["targets"]}
    assert held == {"fleet-api-01", "fleet-web-01"}, "the one that could not be read is not in it, the one half done is"
    whole = freeze(running, path, machine_ids=ids)
    assert not whole.get("failed") and {one["name"] for one in whole["targets"] if one["changed"]} == {"fleet-web-01"}, whole
    assert not thaw(running, path).get("failed") and picture(running) == before


def test_a_thaw_is_refused_without_a_record_and_where_all_is_gone(cloud: Start, tmp_path: Path) -> None:
    running, path = cloud(fleet(), speed=3000), tmp_path / "freeze.json"
    refused = thaw(running, path)
    assert refused["failed"] and "The option path is" in refused["msg"] and running.traffic() == []
    path.write_text('{"version": 1, "machines": []}')
    for state in ("frozen", "thawed"):
        other = running.run_module("change_freeze", {"path": str(path), "state": state})
        assert other["failed"] and "The option path is" in other["msg"] and "machines" in path.read_text()
    entry = {"id": estates.machine_id("nobody"), "name": "nobody", "settings": {"extension x": True}, "frozen": None, "thawed": None}
    record = {"version": 1, "begun": "2026-11-02T05:12:44Z", "thawed": None, "targets": [entry]}
    path.write_text(json.dumps(record))
    gone = thaw(running, path)
    assert gone["failed"] and "Nothing that the record" in gone["msg"] and json.loads(path.read_text()) == record
    record["targets"].append(entry | {"id": estates.machine_id("fleet-api-01"), "name": "fleet-api-01", "settings": {}})
    path.write_text(json.dumps(record))
    rest = thaw(running, path)
    assert not rest.get("failed") and row(rest, "nobody")["state"] == "skipped" and "not there any more" in str(rest["warnings"]), rest
    assert json.loads(path.read_text())["thawed"] and running.writes() == []


def held_up(value: bool, chance: random.Random) -> Body:
    """A fault: two changes to this value, of which chance has it, are refused for now, so that a run waits there to be killed."""
    match = {"method": "PATCH", "body": {"properties": {"enableAutomaticUpgrade": value}}}
    busy = {"status": 503, "headers": {"Retry-After": "60000"}}
    return {"match": match, "after": chance.randint(0, 3), "count": 2, "do": busy}


@pytest.mark.parametrize(("states", "again"), [(("frozen",), False), (("frozen", "thawed"), True)], ids=["a freeze", "both"])
def test_killed_at_any_moment_it_is_finished_or_thawed(cloud: Start, tmp_path: Path, states: tuple[str, ...], again: bool) -> None:
    """Killed when some changes were taken, some were not and some are on their way. again: the freeze is run once more, to its end."""
    chance, path = random.Random(f"{SEED} {again}"), tmp_path / "freeze.json"
    running = cloud(fleet(), speed=1000, faults=[held_up(state == "thawed", chance) for state in states])
    before = picture(running)
    for number, state in enumerate(states, 1):
        process = running.start_module("change_freeze", {"path": str(path), "state": state} | (GROUPS if state == "frozen" else {}))
        while sum(one["status"] == 503 for one in patches(running)) < 2 * number:
            assert process.poll() is None, f"seed {SEED}: it ended, with {process.communicate()}"
            time.sleep(0.01)
        process.kill()
        process.communicate()
        record = json.loads(path.read_text())
        assert record["targets"] and record["thawed"] is None, f"seed {SEED}"
        if again and state == "frozen":
            assert on(picture(running)) > 1, f"seed {SEED}: it was killed half-way"
            assert not freeze(running, path).get("failed")
            assert on(picture(running)) == 1, f"seed {SEED}: all is off, but for the machine that does not run"
    assert picture(running) != before, f"seed {SEED}: it was killed half-way"
    ended = thaw(running, path)
    assert not ended.get("failed") and ended["frozen"] == [], ended
    assert picture(running) == before, f"seed {SEED}"


def test_a_change_of_a_mapping_that_a_kill_left_on_its_way_does_not_outlast_the_thaw(cloud: Start, tmp_path: Path) -> None:
    """Site Recovery shows the old setting until its job has ended, some seconds after the thaw has looked."""
    running, path = cloud(runbook.shop(estates.mapping(estates.PRIMARY, details=situations.ON)), speed=10), tmp_path / "freeze.json"
    before = picture(running)
    process = running.start_module("change_freeze", {"path": str(path), "include": ["mobility"]})
    while not any(one["status"] == 202 for one in patches(running)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert picture(running) == before, "it still shows the setting that is on its way out"
    ended = thaw(running, path)
    assert not ended.get("failed") and picture(running) == before, ended
    assert [one["status"] for one in patches(running)].count(202) == 2


def test_the_playbooks_freeze_thaw_and_are_part_of_a_failover(cloud: Start, tmp_path: Path) -> None:
    agent = situations.extension(estates.machine_id(runbook.WEB)) | {"location": estates.PRIMARY}
    running = cloud(runbook.shop(agent, estates.mapping(estates.PRIMARY, details=situations.ON)), speed=3000)
    before, path = picture(running), tmp_path / "freeze.json"
    variables = {"change_freeze_path": "freeze.json"}
    frozen = runbook.play(running, tmp_path, "change_freeze", variables)
    assert frozen.status == 0 and frozen.changed == 1 and on(picture(running)) == 0, frozen.output
    thawed = runbook.play(running, tmp_path, "thaw", variables)
    assert thawed.status == 0 and thawed.changed == 1 and picture(running) == before, thawed.output
    assert len(thawed.step("Thaw")["machines"]) == 4 and thawed.record["outcome"] == "succeeded"

    copied = {"runbook_freeze": True, "restore_monitoring_restore_from": "source"}
    source = runbook.play(running, tmp_path, "failover", variables | copied)
    assert source.status != 0 and "Restore from a baseline" in source.output and not source.changed
    failover = runbook.play(running, tmp_path, "failover", variables | {"runbook_freeze": True})
    assert failover.status == 0 and failover.step("Freeze")["outcome"] == "succeeded", failover.output
    assert json.loads(path.read_text())["thawed"] is None, "the thaw is for another day"
    freezes = [number for number, one in enumerate(running.writes()) if one["method"] == "PATCH"]
    begun = next(number for number, one in enumerate(running.writes()) if one["path"].endswith("/unplannedFailover"))
    assert max(freezes) < begun, "frozen before the failover begins"
