# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Playbooks that are killed at any moment and run again, or run twice at once: the cloud ends as it does when nothing disturbs them.

The moments are chosen at random, of a seed that is printed. AZURE_DR_KILLS says how many (2; from 3 on, a drill meets a drill, too),
AZURE_DR_KILLS_SEED repeats them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import estates
import pytest
import runbook
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure
from conftest import RunningCloud
from runbook import SQL, WEB, Body, Played, play

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the processes of a run can be found on Linux only")

Start = Callable[..., Any]
KILLS = int(os.environ.get("AZURE_DR_KILLS", "2"))
SEED = int(os.environ.get("AZURE_DR_KILLS_SEED") or random.randrange(10**6))
VARIABLES: Body = {
    "restore_monitoring_settings": {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": "/none"}}},
    "restore_monitoring_extensions": [
        {"publisher": "Contoso.Inventory", "type": "Inventory", "name": "inventory", "type_handler_version": "1.0", "settings": {"site": 7}}
    ],
}
ASR, COMPUTE, ASSOCIATIONS = "2025-08-01", "2024-07-01", "2023-03-11"


def picture(cloud: Any) -> Body:
    """What the cloud holds in the end, without ids and times that differ from run to run."""

    async def read() -> Body:
        async with Azure({}, cloud.environment) as azure:

            async def listed(path: str, api_version: str) -> list[Body]:
                return await azure.list("read for a test", path, api_version)

            machines = await listed(f"{estates.SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines", COMPUTE)
            found: Body = {"machines": {}}
            for machine in machines:
                extensions = await listed(f"{machine['id']}/extensions", COMPUTE)
                links = await listed(f"{machine['id']}/providers/Microsoft.Insights/dataCollectionRuleAssociations", ASSOCIATIONS)
                found["machines"][machine["id"].lower()] = {
                    "extensions": {one["name"]: {"tags": one.get("tags"), **one["properties"]} for one in extensions},
                    "associations": {one["name"]: one["properties"] for one in links},
                }
            items = await listed(f"{estates.VAULT_ID}/replicationProtectedItems", ASR)
            states = ("activeLocation", "protectionState", "testFailoverState", "allowedOperations")
            found["items"] = {one["name"]: {name: one["properties"][name] for name in states} for one in items}
            jobs = [one["properties"] for one in await listed(f"{estates.VAULT_ID}/replicationJobs", ASR)]
            found["jobs"] = Counter((one["scenarioName"], one["targetObjectName"], one["state"]) for one in jobs)
            return found

    return asyncio.run(read())


def offspring(process: int) -> list[int]:
    """A process and all below it; ansible's workers are in sessions of their own, so no process group holds them all."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = entry.parent.name, entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(name)] = int(rest[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def killed(cloud: Any, home: Path, playbook: str, when: Callable[[float], bool], variables: Body | None = None) -> bool:
    """Run a playbook until `when`, given the seconds since its start, says so; then kill it and all its children at once (SIGKILL).

    False where it had ended before.
    """
    with subprocess.Popen(
        runbook.command(playbook, runbook.VARIABLES | VARIABLES | (variables or {})),
        env=runbook.environment(cloud, home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        began = time.monotonic()
        while run.poll() is None and not when(time.monotonic() - began):
            assert time.monotonic() < began + 120, "the run does not come to the moment at which it is to be killed"
            time.sleep(0.02)
        if run.poll() is not None:
            return False
        for process in reversed(offspring(run.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    return True


def posts(cloud: Any) -> list[str]:
    """The last word of every POST that the cloud has taken, in order."""
    return [one["path"].rpartition("/")[2] for one in cloud.writes() if one["method"] == "POST" and one["status"] == 202]


def exchanges(cloud: Any) -> int:
    return len(cloud.traffic())


@dataclass(frozen=True)
class Undisturbed:
    """What a run of failover.yml that nothing disturbed came to: its time, its exchanges with the cloud, what the cloud held then."""

    seconds: float
    exchanges: int
    picture: Body


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    running = RunningCloud(folder / "cloud", runbook.shop(), speed=1000)
    try:
        began = time.monotonic()
        ended = play(running, folder, "failover", VARIABLES)
        seconds, count = time.monotonic() - began, exchanges(running)
        assert ended.status == 0, ended.output
        return Undisturbed(seconds, count, picture(running))
    finally:
        running.stop()


def moments(chance: random.Random, seconds: float, last: int) -> Iterator[tuple[str, float]]:
    """Where to kill: after so many exchanges with the cloud, or so many seconds, in turn."""
    while True:
        yield "exchanges", chance.randint(1, last)
        yield "seconds", chance.uniform(0.5, seconds)


def moment(cloud: Any, kind: str, value: float) -> Callable[[float], bool]:
    before = exchanges(cloud)
    return {"exchanges": lambda _now: exchanges(cloud) >= before + value, "seconds": lambda now: now >= value}[kind]


def test_killed_at_random_moments_and_run_again_it_ends_as_an_undisturbed_run(
    cloud: Start, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """Every other one is killed a second time, in the run that goes on."""
    print(f"seed {SEED}")
    expected = undisturbed.picture
    chosen = moments(random.Random(SEED), undisturbed.seconds, undisturbed.exchanges)
    plans = [list(islice(chosen, 2 if number % 2 else 1)) for number in range(KILLS)]

    clouds = [cloud(runbook.shop(), speed=1000) for _plan in plans]

    def trial(number: int) -> str | None:
        running, home, told = clouds[number], tmp_path / f"run-{number}", []
        for kind, value in plans[number]:
            done = killed(running, home, "failover", moment(running, kind, value))
            told.append(f"{value:.1f} {kind}{'' if done else ' (it had ended)'}")
        again = play(running, home, "failover", VARIABLES)
        seen = picture(running)
        wrong = [f"{name}: {seen[name]} is not {expected[name]}" for name in expected if seen[name] != expected[name]]
        if again.status:
            wrong.append(again.output)
        return f"seed {SEED}, killed after {', '.join(told)}: " + "\n".join(wrong) if wrong else None

    with ThreadPoolExecutor(2) as pool:
        troubles = [trouble for trouble in pool.map(trial, range(KILLS)) if trouble]
    assert not troubles, "\n\n".join(troubles)


def test_killed_in_one_step_after_the_other_it_goes_on_from_there(cloud: Start, tmp_path: Path) -> None:
    """Killed while machines fail over, then while they are restored; the third run ends it, and its record has the recovery time."""
    running = cloud(runbook.shop(), speed=150)
    assert killed(running, tmp_path, "failover", lambda _now: "unplannedFailover" in posts(running))
    assert killed(running, tmp_path, "failover", lambda _now: any(one["method"] == "PUT" for one in running.writes()))
    again = play(running, tmp_path, "failover", VARIABLES)
    assert again.status == 0, again.output
    assert posts(running) == ["unplannedFailover", "failoverCommit"]
    assert again.record["outcome"] == "succeeded" and again.step("Failover")["changed"] is False
    assert again.record["rto"]["measured_seconds"] > 60 and again.record["rto"]["met"] is True
    assert all("by the job Failover (" in one["reason"] and one["rto_seconds"] > 60 for one in again.step("Failover")["machines"])


def test_killed_between_the_removal_of_an_extension_and_its_installation_nothing_is_lost(cloud: Start, tmp_path: Path) -> None:
    """The settings stand nowhere but in Azure: the playbook's variables do not say them any more."""
    broken = {"operation": {"code": "VMExtensionProvisioningError", "message": "The disk was full."}}
    running = cloud(
        runbook.shop(), speed=200, faults=[{"match": {"method": "PUT", "path": f"*/{WEB}/extensions/inventory"}, "count": 1, "do": broken}]
    )
    assert "The disk was full" in play(running, tmp_path, "failover", VARIABLES).output
    forgotten = {"restore_monitoring_extensions": [{**VARIABLES["restore_monitoring_extensions"][0], "settings": None, "name": None}]}
    assert killed(running, tmp_path, "failover", lambda _now: "DELETE" in [one["method"] for one in running.writes()], forgotten)
    again = play(running, tmp_path, "failover", VARIABLES | forgotten)
    assert again.status == 0, again.output
    for name in (WEB, SQL):
        kept = picture(running)["machines"][estates.machine_id(name, estates.RECOVERY).lower()]["extensions"]["inventory"]
        assert (kept["settings"], kept["provisioningState"]) == ({"site": 7}, "Succeeded")
    assert posts(running) == ["unplannedFailover", "failoverCommit"]


def test_a_drill_that_was_killed_is_cleaned_up_by_the_next_one(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(), speed=300)
    before = picture(running)
    assert killed(running, tmp_path, "drill", lambda _now: any(one["method"] == "PUT" for one in running.writes()))
    refused = running.run_module("asr_failover", {"action": "unplanned", "confirm": "shop"})
    assert refused["failed"] and "A test failover stands: run the action test_cleanup first" in refused["msg"]
    again = play(running, tmp_path, "drill", VARIABLES)
    assert again.status == 0, again.output
    assert posts(running) == ["testFailover", "testFailoverCleanup"] and again.record["rto"]["measured_seconds"] > 0
    after = picture(running)
    assert after["machines"] == before["machines"]
    assert {state["activeLocation"] for state in after["items"].values()} == {"Primary"}


def at_once(cloud: Any, home: Path, *playbooks: str) -> list[Played]:
    with ThreadPoolExecutor(len(playbooks)) as pool:
        return list(pool.map(lambda playbook: play(cloud, home, playbook, VARIABLES), playbooks))


def test_two_failovers_at_once_end_as_one(cloud: Start, tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Each first request for a job, and for an extension of a machine, is held up until the other run has sent its own."""
    words = ("*/unplannedFailover", "*/failoverCommit", f"*/{WEB}/extensions/*", f"*/{SQL}/extensions/*")
    held = [{"match": {"method": ["POST", "PUT"], "path": path}, "do": {"delay": 90}, "count": 1} for path in words]
    shared = cloud(runbook.shop(), speed=100, faults=held)
    both = at_once(shared, tmp_path, "failover", "failover")
    assert [one.status for one in both] == [0, 0], "\n".join(one.output for one in both)
    assert picture(shared) == undisturbed.picture
    assert len(list((tmp_path / "evidence").glob("*.json"))) == 2, "a record of each run"


def test_two_runs_that_make_the_same_extensions_anew_do_it_once(cloud: Start) -> None:
    """One is broken, one healthy and made anew all the same. Both runs see that; the first deletion of each is held up until the other
    run's has been taken."""
    broken, healthy = (estates.machine_id(name, estates.RECOVERY) for name in (WEB, SQL))
    view = {
        "statuses": [{"code": "ProvisioningState/failed/1", "level": "Error", "displayStatus": "Provisioning failed", "message": "No."}]
    }
    body = {"publisher": "Contoso.Inventory", "type": "Inventory", "typeHandlerVersion": "1.0", "settings": {"site": 7}}
    flags = {"autoUpgradeMinorVersion": True, "enableAutomaticUpgrade": False}
    machines = [estates.machine(name, system, estates.RECOVERY)[-1] for name, system in ((WEB, "Linux"), (SQL, "Windows"))]
    seeded = [
        estates.resource(f"{machine}/extensions/inventory", body | flags | more, location=estates.RECOVERY, tags={"owner": "ops"})
        for machine, more in ((broken, {"provisioningState": "Failed", "instanceView": view}), (healthy, {}))
    ] + [
        estates.resource(
            f"{machine}/extensions/{agent}",
            flags | {"publisher": "Microsoft.Azure.Monitor", "type": agent, "typeHandlerVersion": "1.0"},
            location=estates.RECOVERY,
        )
        for machine, agent in ((broken, "AzureMonitorLinuxAgent"), (healthy, "AzureMonitorWindowsAgent"))
    ]
    held = [{"match": {"method": "DELETE", "path": f"{one}/extensions/*"}, "do": {"delay": 45}, "count": 1} for one in (broken, healthy)]
    running = cloud([*estates.groups(), *machines, *seeded], speed=30, faults=held)
    asked = {"publisher": "Contoso.Inventory", "type": "Inventory", "type_handler_version": "1.0"}
    wanted = [asked | {"os_type": "linux"}, asked | {"os_type": "windows", "reinstall": "always"}]
    given = {"machine_ids": [broken, healthy], "state": "present", "extensions": wanted, "enable_automatic_upgrade": False}

    def inventory(machine: str) -> list[Body]:
        return [one for one in running.list(f"{machine}/extensions", COMPUTE) if one["name"] == "inventory"]

    [before] = inventory(healthy)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda args: running.run_module("ama_reinstall", args), [given] * 2))
    assert not any(one.get("failed") for one in both), [one.get("msg") for one in both]
    for machine in (broken, healthy):
        taken = [one["method"] for one in running.writes() if one["path"].startswith(f"{machine}/extensions/inv") and one["status"] < 300]
        assert taken == ["DELETE", "PUT"], taken
        [after] = inventory(machine)
        assert (after["tags"], after["properties"]) == (before["tags"], before["properties"])


@pytest.mark.parametrize("other", ["failover", "drill"][: max(1, KILLS - 1)])
def test_a_drill_beside_another_run_is_refused_clearly_or_goes_well(cloud: Start, tmp_path: Path, other: str) -> None:
    running = cloud(runbook.shop(), speed=300)
    both = at_once(running, tmp_path, "drill", other)
    assert 0 in [one.status for one in both], "\n".join(one.output for one in both)
    records = [json.loads(one.read_text()) for one in (tmp_path / "evidence").glob("*.json")]
    told = [failure["reason"] for record in records for failure in record["failures"]]
    assert len(records) == 2
    # The other one runs, its test failover stands, or it has cleaned up while this one restored: each is said clearly.
    clear = ("Wait for it to end", "run the action test_cleanup first", "ResourceNotFound")
    assert all(any(words in reason for words in clear) for reason in told), told
    seen = picture(running)
    assert not [machine for machine in seen["machines"] if machine.endswith("-test")]
    assert len({str(state) for state in seen["items"].values()}) == 1, seen["items"]
    assert all(state == "Succeeded" for _scenario, _name, state in seen["jobs"])
