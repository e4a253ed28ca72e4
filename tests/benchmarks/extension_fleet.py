# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long vm_extension_autoupgrade takes for N machines with four extensions each and M scale sets with two, beside what Azure's request
limits allow.

None has automatic upgrade, all get it: a PATCH for each extension, which takes 30 s on a machine. The rehearsal cloud throttles as Azure
does.

    floor = max over Azure's limits of (requests that the limit counts - burst) / refill  +  the longest operation

The last change can't be sent before the first part is over, and then it takes its time. Other than in restore_fleet, the path of one
machine is not in it, though its four changes come one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(sys.prefix) / "collections"), str(ROOT / "tests" / "integration")]

import estates
from conftest import RunningCloud
from restore_fleet import Controller, arm, sped_up, throttle_seconds

Body = dict[str, Any]
EXTENSIONS = {
    "AzureMonitorLinuxAgent": "Microsoft.Azure.Monitor",
    "DependencyAgentLinux": "Microsoft.Azure.Monitoring.DependencyAgent",
    "ConfigurationForLinux": "Microsoft.GuestConfiguration",
    "NetworkWatcherAgentLinux": "Microsoft.Azure.NetworkWatcher",
}
RUNNING = {
    "vmAgent": {"vmAgentVersion": "2.7", "statuses": [{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready"}]},
    "statuses": [{"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"}],
}


def machine(number: int) -> list[Body]:
    """A machine that runs, with extensions of which none has automatic upgrade."""
    found = estates.machine(f"vm-{number:05}")[-1]
    found["properties"]["instanceView"] = RUNNING
    return [found, *(extension(found["id"], name) for name in EXTENSIONS)]


def extension(machine_id: str, name: str) -> Body:
    return estates.resource(
        f"{machine_id}/extensions/{name}", properties(name) | {"provisioningState": "Succeeded"}, location=estates.PRIMARY
    )


def properties(name: str) -> Body:
    return {
        "publisher": EXTENSIONS[name],
        "type": name,
        "typeHandlerVersion": "1.0",
        "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": False,
    }


def scale_set(number: int) -> Body:
    """A scale set with five instances; every other one has the upgrade mode Manual."""
    model = [{"name": name} | properties(name) for name in list(EXTENSIONS)[:2]]
    return estates.scale_set(f"vmss-{number:03}", 5, *model, mode="Automatic" if number % 2 else "Manual")


def longest_operation(traffic: Sequence[Body]) -> float:
    """The seconds that the longest of Azure's operations took."""
    ended = [one["response"] for one in arm(traffic) if "/operations/" in one["path"] and (one["response"] or {}).get("endTime")]
    return max((datetime.fromisoformat(one["endTime"]) - datetime.fromisoformat(one["startTime"])).total_seconds() for one in ended)


def measure(machines: int, scale_sets: int, speed: float) -> Body:
    with tempfile.TemporaryDirectory() as folder:
        resources = [*estates.groups(), *(body for one in range(machines) for body in machine(one)), *map(scale_set, range(scale_sets))]
        cloud = RunningCloud(Path(folder) / "cloud", resources, throttle="azure", speed=speed)
        try:
            arguments = {"resource_group": "rg-shop-neu", "all_supported": True, "throttle_limits": sped_up(speed)}
            began = time.perf_counter()
            cpu, memory = Controller(cloud.environment, Path(folder), 0, arguments, "vm_extension_autoupgrade").wait()
            wall = time.perf_counter() - began
            traffic = cloud.traffic()
        finally:
            cloud.stop()
    throttle, operation = throttle_seconds(traffic) / speed, longest_operation(traffic) / speed
    return {
        "wall_s": round(wall, 2),
        "throttle_s": round(throttle, 2),
        "floor_s": round(throttle + operation, 2),
        "ratio": round(wall / (throttle + operation), 3),
        "throttled": sum(one["status"] == 429 for one in traffic),
        "changes": sum(one["method"] == "PATCH" for one in traffic),
        "requests": len(traffic),
        "cpu_s": round(cpu, 1),
        "peak_memory_mb": round(memory),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure vm_extension_autoupgrade on machines and scale sets.", allow_abbrev=False)
    parser.add_argument("machines", type=int, metavar="N", help="how many machines")
    parser.add_argument("scale_sets", type=int, metavar="M", help="how many scale sets")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast as Azure's the time passes (1)")
    options = parser.parse_args()
    if options.machines < 0 or options.scale_sets < 0 or not options.machines + options.scale_sets or options.speed <= 0:
        parser.error("N and M are whole numbers, one of them over 0; --speed is over 0")
    found = measure(options.machines, options.scale_sets, options.speed)
    print(f"{options.machines} machines, {options.scale_sets} scale sets, speed {options.speed:g}")
    for text, value in (
        ("wall time", f"{found['wall_s']} s"),
        ("throttle", f"{found['throttle_s']} s"),
        ("floor", f"{found['floor_s']} s"),
        ("ratio", found["ratio"]),
        ("429 answered by the cloud", found["throttled"]),
        ("changes", found["changes"]),
        ("requests", found["requests"]),
        ("CPU of the module", f"{found['cpu_s']} s"),
        ("its peak memory", f"{found['peak_memory_mb']} MB"),
    ):
        print(f"  {text:<28}{value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
