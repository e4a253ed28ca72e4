# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""ama_reinstall killed at any moment and run again: the machine ends as one on which nothing disturbed it, by what the journal keeps."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import estates
import pytest
import runbook
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal
from conftest import RunningCloud
from runbook import Body

COMPUTE, ASSOCIATIONS = "2024-07-01", "2023-03-11"
AGENT, PUBLISHER = "AzureMonitorLinuxAgent", "Microsoft.Azure.Monitor"
SEED = random.randrange(10**6)
BUSY = {"status": 503, "headers": {"Retry-After": "60000"}}  # not taken on, and to be sent again in a minute of the cloud that runs fast


@dataclass(frozen=True)
class Moment:
    """When a run is killed: at the exchange of this method, with a path that has `part` in it, and this status. refusals: how many such
    requests the cloud refuses, so that the run waits there, and is killed as often. left: how the actions begin that are open then."""

    method: str
    part: str
    status: int
    left: tuple[str, ...]
    refusals: int = 0

    @property
    def kills(self) -> int:
        return self.refusals or 1


MOMENTS = {
    "before-removal": Moment("DELETE", "/extensions/", 503, ("remove extension AMA",), 1),
    "at-removal": Moment("DELETE", "/extensions/", 202, ("remove extension AMA",)),
    "between-twice": Moment("PUT", "/extensions/", 503, ("remove extension AMA", "install extension AMA", "install extension AMA"), 2),
    "at-installation": Moment("PUT", "/extensions/", 201, ("remove extension AMA", "install extension AMA")),
    "before-association": Moment("PUT", "/dataCollectionRuleAssociations/", 503, ("remove extension AMA", "associate"), 1),
}
RANDOM = ("random-1", "random-2")


def machine_id(name: str) -> str:
    return estates.machine_id(name, estates.RECOVERY)


def machine(name: str) -> list[Body]:
    """A machine whose agent has failed, under a name and with all else that a plain installation would not give it."""
    left = estates.resource(
        f"{machine_id(name)}/extensions/AMA",
        {
            "publisher": PUBLISHER,
            "type": AGENT,
            "typeHandlerVersion": "1.33",
            "autoUpgradeMinorVersion": False,
            "enableAutomaticUpgrade": False,
            "suppressFailures": True,
            "forceUpdateTag": "again",
            "settings": {"genevaConfiguration": {"enable": True}},
            "provisioningState": "Failed",
        },
        location=estates.RECOVERY,
        tags={"owner": "operations"},
    )
    return [*estates.machine(name, region=estates.RECOVERY), left]


def wish(*names: str) -> Body:
    return {
        "machine_ids": [machine_id(name) for name in names],
        "data_collection_rules": [{"id": runbook.RULES["Linux"]}],
        "auto_upgrade_minor_version": False,
        "enable_automatic_upgrade": False,
    }


def picture(cloud: RunningCloud, name: str) -> Body:
    """What a machine has in the end."""

    async def read() -> list[list[Body]]:
        async with Azure({}, cloud.environment) as azure:
            links = f"{machine_id(name)}/providers/Microsoft.Insights/dataCollectionRuleAssociations"
            lists = ((f"{machine_id(name)}/extensions", COMPUTE), (links, ASSOCIATIONS))
            return [await azure.list("read for a test", path, version) for path, version in lists]

    extensions, links = asyncio.run(read())
    return {
        "extensions": {one["name"]: {"tags": one.get("tags"), **one["properties"]} for one in extensions},
        "associations": {one["name"]: one["properties"] for one in links},
    }


def seen(cloud: RunningCloud, name: str, moment: Moment) -> int:
    """How often the moment has come for a machine."""
    part = f"/{name}/"
    return sum(
        one["method"] == moment.method and one["status"] == moment.status and part in one["path"] and moment.part in one["path"]
        for one in cloud.traffic()
    )


def open_on(cloud: RunningCloud, target: str) -> list[str]:
    """What the journals in the modules' home directory have open on a target."""
    journal = Journal.open(cloud.home / ".local/state/cloudops.azure_dr/journal", "test", cloud.told["resource_manager"])
    return [entry.text for entry in journal.unfinished(target)]


def kill(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while process.poll() is None and not when():
        assert time.monotonic() < limit, "the moment does not come"
        time.sleep(0.01)
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    names = [*MOMENTS, *RANDOM, "calm", "live", "both-1", "both-2", "both-3"]
    faults: list[Body] = [{"match": {"method": "PUT", "path": "*/virtualMachines/live/extensions/*"}, "count": 1, "do": BUSY}]
    faults += [
        {"match": {"method": one.method, "path": f"*/virtualMachines/{name}*{one.part}*"}, "count": one.refusals, "do": BUSY}
        for name, one in MOMENTS.items()
        if one.refusals
    ]
    resources = runbook.shop(*(body for name in names for body in machine(name)))
    cloud = RunningCloud(tmp_path_factory.mktemp("journal") / "cloud", resources, faults=faults, speed=1000)
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def calm(running: RunningCloud) -> Body:
    """What a machine has on which nothing disturbed the run."""
    result = running.run_module("ama_reinstall", wish("calm"))
    assert result["targets"][0]["state"] == "changed" and not result["targets"][0]["resumed"], result
    found = picture(running, "calm")
    assert found["extensions"]["AMA"]["suppressFailures"] is True and found["extensions"]["AMA"]["tags"] == {"owner": "operations"}
    return found


@pytest.mark.parametrize("name", MOMENTS)
def test_killed_and_run_again_it_ends_as_an_undisturbed_run(running: RunningCloud, calm: Body, name: str) -> None:
    moment = MOMENTS[name]
    for number in range(moment.kills):
        kill(running.start_module("ama_reinstall", wish(name)), lambda number=number: seen(running, name, moment) > number)
    [target] = running.run_module("ama_reinstall", wish(name))["targets"]
    assert target["state"] in ("changed", "unchanged"), target
    assert len(target["resumed"]) == len(moment.left), target["resumed"]
    assert all(one["action"].startswith(text) for one, text in zip(target["resumed"], moment.left, strict=True)), target["resumed"]
    assert picture(running, name) == calm and open_on(running, machine_id(name)) == []
    if moment.kills > 1:  # both runs were killed behind the removal, which was the first one's
        removal = target["resumed"][0]
        assert target["actions"][0].startswith(f"install extension AMA (as it was before run {removal['run']} (ama_reinstall, process ")


def test_killed_at_random_moments_too(running: RunningCloud, calm: Body) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)

    def trial(name: str) -> Body:
        last = chance.uniform(0.3, 4.0)
        began = time.monotonic()
        kill(running.start_module("ama_reinstall", wish(name)), lambda: time.monotonic() > began + last)
        result = running.run_module("ama_reinstall", wish(name))
        assert not result.get("failed") and open_on(running, machine_id(name)) == [], (last, result)
        return picture(running, name)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(trial, RANDOM)) == [calm, calm]


def test_what_a_run_has_removed_that_still_lives_is_found_and_the_run_named(running: RunningCloud, calm: Body) -> None:
    first = running.start_module("ama_reinstall", wish("live"))
    try:
        limit = time.monotonic() + 60
        while not seen(running, "live", Moment("PUT", "/extensions/", 503, ())):
            assert first.poll() is None and time.monotonic() < limit
            time.sleep(0.01)
        second = running.run_module("ama_reinstall", wish("live"))
    finally:
        first.kill()
        first.communicate()
    [target], warnings = second["targets"], json.dumps(second["warnings"])
    assert target["state"] == "changed" and target["resumed"] == [] and picture(running, "live") == calm
    assert f"process {first.pid} on" in warnings and "is at work on live" in warnings
    left = open_on(running, machine_id("live"))  # a run that lives is not settled by another one, and this one was killed
    assert [text.partition(" (")[0] for text in left] == ["remove extension AMA", "install extension AMA"]


def test_a_failover_that_was_killed_is_told_by_the_run_that_goes_on(running: RunningCloud) -> None:
    wanted = {"action": "test", "recovery_plan": "shop", "test_network_id": "none"}
    kill(running.start_module("asr_failover", wanted), lambda: any(one["method"] == "POST" for one in running.writes()))
    result = running.run_module("asr_failover", wanted)
    assert not result.get("failed") and {target["state"] for target in result["targets"]} <= {"changed", "unchanged"}, result
    assert all(target["resumed"][0]["action"] == "run the test failover of recovery plan shop" for target in result["targets"]), result
    assert open_on(running, f"{estates.ASR}/replicationRecoveryPlans/shop") == []


def test_two_at_once_on_the_same_machines_bring_them_to_the_same_end(running: RunningCloud, calm: Body) -> None:
    names = ("both-1", "both-2", "both-3")
    processes = [running.start_module("ama_reinstall", wish(*names)) for _number in range(2)]
    results = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert not any(result.get("failed") for result in results), results
    assert [picture(running, name) for name in names] == [calm] * 3
    assert Path(results[0]["journal"] or results[1]["journal"]).exists()
