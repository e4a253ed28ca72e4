# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How long a call of each module takes that has nothing to do, beside `ansible localhost -m ping`.

The estate is small and in the wanted state, and stands in the rehearsal cloud. Ping and the modules take turns, so that all meet the same
disturbances; the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = Path(sys.prefix) / "collections"
sys.path[:0] = [str(COLLECTIONS), str(ROOT / "tests" / "integration")]

import documented
import runbook
from conftest import RunningCloud
from situations import SITUATIONS, Case, Situation

PING = "ping"


def idle(module: str) -> tuple[Situation, Case]:
    """A situation in which the module has nothing to do, one that need not be prepared where there is one, and how it is called there."""
    found = [(one, case) for one in SITUATIONS.values() for case in one.cases if (case.module, case.says) == (module, "nothing")]
    return min(found, key=lambda pair: len(pair[0].actions))


class Place:
    """A situation in a rehearsal cloud of its own, and a home for Ansible."""

    def __init__(self, folder: Path, situation: Situation) -> None:
        self._home = folder / "home"
        self._cloud = RunningCloud(folder / "cloud", runbook.shop(*situation.more), speed=3000)
        for action in situation.actions:
            prepared = self._cloud.run_module("asr_failover", {"action": action, "confirm": "shop"})
            if prepared.get("failed"):
                raise SystemExit(f"The situation could not be prepared: {prepared['msg']}")

    def time(self, case: Case | None) -> float:
        """The seconds that one call takes, of ping when there is no case. Raises SystemExit when it fails or has something to do."""
        arguments: dict[str, Any] = {}
        if case:
            option, _values = documented.chooser(case.module)
            arguments = ({option: case.value} if option else {}) | case.args
        command = [str(Path(sys.executable).with_name("ansible")), "localhost", "-m", f"cloudops.azure_dr.{case.module}" if case else PING]
        command += ["-a", json.dumps(arguments)] if arguments else []
        began = time.perf_counter()
        ended = subprocess.run(
            command,
            env=runbook.environment(self._cloud, self._home),
            cwd=self._home.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
        if ended.returncode or "localhost | SUCCESS" not in ended.stdout:
            raise SystemExit(f"{command[3]} failed, or had something to do: {ended.stdout}{ended.stderr}")
        return took

    def stop(self) -> None:
        self._cloud.stop()


def measure(modules: list[str], runs: int) -> dict[str, float]:
    """The median seconds of a call of ping and of each module."""
    calls = {module: idle(module) for module in modules}
    took: dict[str, list[float]] = {name: [] for name in (PING, *modules)}
    with tempfile.TemporaryDirectory() as folder:
        places: dict[int, Place] = {}
        try:
            for situation, _case in calls.values():
                if id(situation) not in places:
                    (Path(folder) / str(len(places))).mkdir()
                    places[id(situation)] = Place(Path(folder) / str(len(places)), situation)
            for run in range(runs + 1):
                timed = {PING: next(iter(places.values())).time(None)}
                timed |= {module: places[id(situation)].time(case) for module, (situation, case) in calls.items()}
                if run:  # the first fills Python's and Ansible's caches
                    for name, seconds in timed.items():
                        took[name].append(seconds)
        finally:
            for place in places.values():
                place.stop()
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure calls that change nothing.", allow_abbrev=False)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="the modules to measure (all)")
    parser.add_argument("--runs", type=int, default=7, help="how many calls of each count (7)")
    options = parser.parse_args()
    if options.runs < 1 or not set(options.modules) <= set(documented.MODULES):
        parser.error(f"--runs is a number from 1 on, the modules are {', '.join(documented.MODULES)}")
    found = measure(options.modules or documented.MODULES, options.runs)
    for name, seconds in found.items():
        print(f"  {name:<28}{seconds:.2f} s" + ("" if name == PING else f"  {seconds - found[PING]:+.2f} s"))
    print(json.dumps({"ping_s": round(found[PING], 3), "more_s": {n: round(s - found[PING], 3) for n, s in found.items() if n != PING}}))


if __name__ == "__main__":
    main()
