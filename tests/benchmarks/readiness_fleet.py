# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long asr_readiness_info takes for N replicated machines beside reading alone.

The machines stand in groups of 100, each with three extensions and a rule, and are in recovery plans of 100; a baseline holds what they
have. The rehearsal cloud throttles as Azure does.

With --source no baseline is given: each machine is read, and its associations, which takes two requests each.

The floor is what the reads take by themselves: the greater of the throttle's shortest time for them, and of the time of a program that
loads the same libraries, signs in, reads the same, all at once, and does nothing with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = Path(sys.prefix) / "collections"
sys.path[:0] = [str(COLLECTIONS), str(ROOT / "tests" / "integration")]

import estates
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.pacing import Pacer
from conftest import RunningCloud

Body = dict[str, Any]
TOGETHER = 100  # machines of a resource group, and of a recovery plan: Site Recovery's limit (Microsoft Learn, recovery plans)
INSIGHTS = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.Insights"
RULE, ENDPOINT = f"{INSIGHTS}/dataCollectionRules/dcr-linux", f"{INSIGHTS}/dataCollectionEndpoints/dce-weu"
KINDS = (
    "Microsoft.Azure.Monitor.AzureMonitorLinuxAgent",
    "Microsoft.Azure.NetworkWatcher.NetworkWatcherAgentLinux",
    "Microsoft.Azure.Monitoring.DependencyAgent.DependencyAgentLinux",
)
ON = {
    "agentAutoUpdateStatus": "Enabled",
    "automationAccountArmId": estates.ACCOUNT_ID,
    "automationAccountAuthenticationType": "SystemAssignedIdentity",
}


def machine_id(name: str, number: int) -> str:
    group = f"{estates.SUBSCRIPTION}/resourceGroups/rg-shop-neu-{number // TOGETHER:02}"
    return f"{group}/providers/Microsoft.Compute/virtualMachines/{name}"


def machine(number: int) -> list[Body]:
    """A machine with its extensions, and its item."""
    name = f"vm-{number:05}"
    found = estates.machine(name)[-1] | {"id": machine_id(name, number)}
    extensions = []
    for kind in KINDS:
        publisher, _dot, type_name = kind.rpartition(".")
        asked = {"publisher": publisher, "type": type_name, "typeHandlerVersion": "1.0", "provisioningState": "Succeeded"}
        extensions.append(estates.resource(f"{found['id']}/extensions/{type_name}", asked, location=estates.PRIMARY))
    tested = datetime.now(UTC).isoformat()
    return [found, *extensions, estates.item(name, details={"fabricObjectId": found["id"].lower()}, lastSuccessfulTestFailoverTime=tested)]


def record(body: Body) -> Body:
    """The machine in a baseline."""
    flags = {"auto_upgrade_minor_version": False, "enable_automatic_upgrade": False, "settings": {}, "tags": {}}
    kinds = [kind.rpartition(".") for kind in KINDS]
    return {
        "id": body["id"],
        "name": body["name"],
        "region": estates.PRIMARY,
        "os_type": "linux",
        "identity": {"type": "None", "user_assigned": []},
        "extensions": [
            {"name": name, "publisher": publisher, "type": name, "type_handler_version": "1.0"} | flags for publisher, _dot, name in kinds
        ],
        "associations": [{"name": "logs", "data_collection_rule_id": RULE, "data_collection_endpoint_id": None, "description": None}],
    }


def estate(number: int) -> list[Body]:
    machines = [body for one in range(number) for body in machine(one)]
    names = [f"vm-{one:05}" for one in range(number)]
    plans = {f"plan-{one // TOGETHER:02}": [names[one : one + TOGETHER]] for one in range(0, number, TOGETHER)}
    usages = f"{estates.SUBSCRIPTION}/providers/Microsoft.Compute/locations/{estates.RECOVERY}/usages"
    return estates.estate(
        [],
        plans,
        *machines,
        *(estates.mapping(region, details=ON) for region in (estates.PRIMARY, estates.RECOVERY)),
        estates.resource(RULE, {"dataFlows": []}, location=estates.RECOVERY, kind="Linux"),
        estates.resource(ENDPOINT, location=estates.RECOVERY),
        *({"id": f"{usages}/{name}", "properties": {"limit": 10 * number + 10}} for name in ("cores", "standardDSv5Family")),
    )


def run(command: Sequence[str], given: str, environment: dict[str, str]) -> tuple[float, str]:
    """The seconds of a process from its start to its end, and what it said."""
    began = time.perf_counter()
    ended = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode:
        raise SystemExit(f"{command[-1]} broke: {ended.stdout}{ended.stderr}")
    return took, ended.stdout


def reads(traffic: Sequence[Body]) -> list[list[str]]:
    """The path and the API version of each list and resource of Resource Manager that was read, however many pages it has."""
    found = [one for one in traffic if one["method"] == "GET" and one["path"].lower().startswith("/subscriptions/")]
    return [list(one) for one in dict.fromkeys((one["path"], parse_qs(one["query"])["api-version"][0]) for one in found)]


def read_alone() -> None:
    """The program that only reads, told what on its standard input."""
    from ansible_collections.cloudops.azure_dr.plugins.module_utils import readiness as _libraries  # noqa: F401
    from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure

    async def all_at_once() -> None:
        async with Azure({}, os.environ) as azure:
            azure.site_recovery, azure.compute(), azure.monitor()  # the typed clients, which take their time to load
            await asyncio.gather(*(azure.list("read", path, version) for path, version in json.load(sys.stdin)))

    asyncio.run(all_at_once())


def measure(number: int, source: bool, runs: int) -> Body:
    """The medians of the runs, in which the module and the program that only reads take turns."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        resources = estate(number)
        cloud = RunningCloud(home / "cloud", resources, throttle="azure", speed=1)
        machines = [record(body) for body in resources if body.get("type") == "Microsoft.Compute/virtualMachines"]
        file = home / "baseline.json"
        file.write_text(json.dumps({"version": 1, "written": "2026-11-02T05:12:44Z", "machines": machines}))
        own = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "PYTHONPATH": str(COLLECTIONS), "LC_ALL": "C.UTF-8"}
        args = {"restore_from": "source" if source else str(file), "data_collection_endpoint_ids": [ENDPOINT]}
        given, module = json.dumps({"ANSIBLE_MODULE_ARGS": args}), str(ROOT / "plugins" / "modules" / "asr_readiness_info.py")
        walls, floors = [], []
        try:
            for _number in range(runs):
                before = len(cloud.traffic())
                wall, said = run([sys.executable, module], given, own | cloud.environment)
                traffic = [one for one in cloud.traffic()[before:] if one["path"].lower().startswith("/subscriptions/")]
                floor = Pacer().minimum_duration([(one["method"], one["path"]) for one in traffic])
                if not source:  # machine by machine, the throttle's time is by far the longer
                    reading = [sys.executable, __file__, "--read-alone"]
                    floor = max(floor, run(reading, json.dumps(reads(traffic)), own | cloud.environment)[0])
                walls.append(wall)
                floors.append(floor)
                if json.loads(said)["summary"]["machines"]["fail"]:  # with --source, each warns that its region may not answer
                    raise SystemExit(f"Machines fail that are ready: {json.loads(said)['summary']}")
            throttled = sum(one["status"] == 429 for one in cloud.traffic())
        finally:
            cloud.stop()
    wall, floor = median(walls), median(floors)
    return {
        "wall_s": round(wall, 2),
        "floor_s": round(floor, 2),
        "ratio": round(wall / floor, 3),
        "throttled": throttled,
        "requests": len(traffic),
    }


def main() -> None:
    if sys.argv[1:] == ["--read-alone"]:
        read_alone()
        return
    parser = argparse.ArgumentParser(description="Measure asr_readiness_info on a fleet of machines.", allow_abbrev=False)
    parser.add_argument("machines", type=int, metavar="N", help="how many machines")
    parser.add_argument("--source", action="store_true", help="without a baseline")
    parser.add_argument(
        "--runs", type=int, default=5, help="how many times (5); with --source it is once, for the limits would not have filled up"
    )
    options = parser.parse_args()
    if options.machines < 1 or options.runs < 1:
        parser.error("N and --runs are whole numbers from 1 on")
    found = measure(options.machines, options.source, 1 if options.source else options.runs)
    print(f"{options.machines} machines{', without a baseline' if options.source else ''}")
    for text, value in (
        ("wall time", f"{found['wall_s']} s"),
        ("floor", f"{found['floor_s']} s"),
        ("ratio", found["ratio"]),
        ("429 answered by the cloud", found["throttled"]),
        ("requests", found["requests"]),
    ):
        print(f"  {text:<28}{value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
