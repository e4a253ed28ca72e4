# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long ama_reinstall takes for N machines beside what Azure's request limits allow.

Each machine, every other one with Windows, has an agent that does not respond: it is removed and installed again, which takes 20 to 90 s
each, and the machine is associated with its rule and the endpoint. The rehearsal cloud throttles as Azure does.

The floor is the throttle's shortest time for all requests that change something, plus the longest path of one machine:

    floor = max over Azure's limits of (requests that the limit counts - burst) / refill  +  max over machines of (removal + installation)

The first part is what the pacer tells before a run, for what was really sent; the second is what the cloud's operations took. Both happen
at the same time in part, so that a ratio under 1 can be reached.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = Path(sys.prefix) / "collections"
sys.path[:0] = [str(COLLECTIONS), str(ROOT / "tests" / "integration")]

import estates
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.pacing import LIMITS, Pacer
from conftest import RunningCloud

Body = dict[str, Any]
EXTENSION_SECONDS = "20-90"
INSIGHTS = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.Insights"
RULES = {system: f"{INSIGHTS}/dataCollectionRules/dcr-{system.lower()}" for system in ("Linux", "Windows")}
ENDPOINT = f"{INSIGHTS}/dataCollectionEndpoints/dce-weu"
NO_RESPONSE = {"code": "ProvisioningState/Unresponsive", "level": "Warning", "displayStatus": "Not Ready", "message": "No status."}
READY = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready"}


def machine(number: int) -> list[Body]:
    """A machine that runs, and its agent that does not respond."""
    system = "Windows" if number % 2 else "Linux"
    kind = f"AzureMonitor{system}Agent"
    found = estates.machine(f"vm-{number:05}", system, estates.RECOVERY)[-1]
    handler = {"type": f"Microsoft.Azure.Monitor.{kind}", "typeHandlerVersion": "1.9.0.0", "status": NO_RESPONSE}
    found["properties"]["instanceView"] = {
        "vmAgent": {"vmAgentVersion": "2.7", "statuses": [READY], "extensionHandlers": [handler]},
        "statuses": [{"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"}],
    }
    agent = {
        "publisher": "Microsoft.Azure.Monitor",
        "type": kind,
        "typeHandlerVersion": "1.9",
        "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": True,
        "provisioningState": "Succeeded",
    }
    return [
        found | {"identity": {"type": "SystemAssigned"}},
        estates.resource(f"{found['id']}/extensions/{kind}", agent, location=estates.RECOVERY),
    ]


def estate(number: int) -> list[Body]:
    rules = [
        estates.resource(identifier, {"dataFlows": []}, location=estates.RECOVERY, kind=system) for system, identifier in RULES.items()
    ]
    endpoint = estates.resource(ENDPOINT, location=estates.RECOVERY)
    return [*estates.groups(), *rules, endpoint, *(body for one in range(number) for body in machine(one))]


def sped_up(speed: float) -> Body:
    """Azure's limits, filled up `speed` times as fast."""
    return {limit.name: {"per_minute": limit.per_minute * speed} for limit in LIMITS}


class Controller:
    """One process that runs the module, as Ansible starts it."""

    def __init__(self, environment: dict[str, str], home: Path, number: int, arguments: Body, module: str = "ama_reinstall") -> None:
        self._answer, self._trouble = home / f"answer-{number}.json", home / f"trouble-{number}.txt"
        self._given = home / f"given-{number}.json"
        self._given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        own = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(COLLECTIONS), "LC_ALL": "C.UTF-8"}
        command = [sys.executable, str(ROOT / "plugins" / "modules" / f"{module}.py")]
        with self._given.open() as given, self._answer.open("w") as answer, self._trouble.open("w") as trouble:
            self._process = subprocess.Popen(command, stdin=given, stdout=answer, stderr=trouble, env=own | environment)

    def wait(self) -> tuple[float, float]:
        """CPU seconds and the peak of memory in MB when it has ended. Raises SystemExit when it did not change every target."""
        _pid, _status, used = os.wait4(self._process.pid, 0)
        said = self._answer.read_text().strip()
        if not said.startswith("{"):
            raise SystemExit(f"The module broke: {said}{self._trouble.read_text()}")
        answer = json.loads(said)
        wrong = [one["name"] for one in answer.get("targets", []) if one["state"] != "changed"]
        if answer.get("failed") or wrong or not answer.get("targets"):
            raise SystemExit(f"The module did not change every target: {answer.get('msg')} {' '.join(wrong[:20])}")
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def parts(found: Sequence[str], number: int) -> list[Sequence[str]]:
    return [found[one::number] for one in range(number)]


def throttle_seconds(traffic: Sequence[Body]) -> float:
    """The shortest time in which Azure takes the changes that were asked for, refused ones left out."""
    return Pacer().minimum_duration(
        [(one["method"], one["path"]) for one in arm(traffic) if one["method"] != "GET" and one["status"] != 429]
    )


def longest_path(traffic: Sequence[Body]) -> float:
    """The seconds of the operations of one machine, of the machine where they took longest."""
    owners: dict[str, str] = {}
    paths: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for one in arm(traffic):
        name = one["path"].rpartition("/")[2]
        link = one["headers"].get("azure-asyncoperation")
        if one["method"] != "GET" and link:
            owners[link.partition("?")[0].rpartition("/")[2]] = one["path"].partition("/extensions/")[0].lower()
        elif name in owners and (one["response"] or {}).get("endTime"):
            began, ended = (datetime.fromisoformat(one["response"][key]) for key in ("startTime", "endTime"))
            paths[owners[name]][name] = (ended - began).total_seconds()
    return max(sum(operations.values()) for operations in paths.values())


def arm(traffic: Sequence[Body]) -> list[Body]:
    return [one for one in traffic if one["path"].lower().startswith("/subscriptions/")]


def measure(number: int, processes: int, speed: float) -> Body:
    with tempfile.TemporaryDirectory() as folder:
        options = {"throttle": "azure", "speed": speed, "extension-seconds": EXTENSION_SECONDS}
        resources = estate(number)
        cloud = RunningCloud(Path(folder) / "cloud", resources, **options)
        try:
            ids = [body["id"] for body in resources if body["type"] == "Microsoft.Compute/virtualMachines"]
            common = {
                "data_collection_rules": [{"id": identifier} for identifier in RULES.values()],
                "data_collection_endpoint_ids": [ENDPOINT],
                "throttle_limits": sped_up(speed),
            }
            began = time.perf_counter()
            controllers = [
                Controller(cloud.environment, Path(folder), place, common | {"machine_ids": chosen})
                for place, chosen in enumerate(parts(ids, processes))
            ]
            used = [controller.wait() for controller in controllers]
            wall = time.perf_counter() - began
            traffic = cloud.traffic()
        finally:
            cloud.stop()
    floor = (throttle_seconds(traffic) + longest_path(traffic)) / speed
    return {
        "wall_s": round(wall, 1),
        "floor_s": round(floor, 1),
        "ratio": round(wall / floor, 3),
        "throttled": sum(one["status"] == 429 for one in traffic),
        "requests": len(traffic),
        "cpu_s": round(sum(cpu for cpu, _memory in used), 1),
        "peak_memory_mb": round(max(memory for _cpu, memory in used)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ama_reinstall on a fleet of machines.", allow_abbrev=False)
    parser.add_argument("machines", type=int, metavar="N", help="how many machines")
    parser.add_argument("--processes", type=int, default=1, help="how many modules share the work, at once on one controller (1)")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast as Azure's the time passes (1)")
    options = parser.parse_args()
    if not 1 <= options.processes <= options.machines or options.speed <= 0:
        parser.error("N and --processes are whole numbers from 1 on, no more processes than machines; --speed is over 0")
    found = measure(options.machines, options.processes, options.speed)
    print(f"{options.machines} machines, {options.processes} process(es), speed {options.speed:g}")
    for text, value in (
        ("wall time", f"{found['wall_s']} s"),
        ("floor", f"{found['floor_s']} s"),
        ("ratio", found["ratio"]),
        ("429 answered by the cloud", found["throttled"]),
        ("requests", found["requests"]),
        ("CPU of the module", f"{found['cpu_s']} s"),
        ("its peak memory", f"{found['peak_memory_mb']} MB"),
    ):
        print(f"  {text:<28}{value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
