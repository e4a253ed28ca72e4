# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The benchmarks run, and end with a line of JSON; how long anything takes is theirs to measure, and no test's to judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *arguments: str) -> dict[str, Any]:
    """The last line of what a benchmark says."""
    ended = subprocess.run(
        [sys.executable, str(FOLDER / f"{script}.py"), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_fleet_is_restored_and_what_it_took_is_told(processes: str) -> None:
    found = run("restore_fleet", "3", "--processes", processes, "--speed", "1000")
    assert list(found) == ["wall_s", "floor_s", "ratio", "throttled", "requests", "cpu_s", "peak_memory_mb"]
    assert found["throttled"] == 0 and found["requests"] > 3 * 4 and min(found["wall_s"], found["cpu_s"], found["peak_memory_mb"]) > 0
    assert 0.04 <= found["floor_s"] <= 0.18, "the longest path of a machine: two writes of 20 to 90 s, at a thousand times Azure's speed"


def test_extensions_of_a_fleet_are_enrolled_and_what_it_took_is_told() -> None:
    found = run("extension_fleet", "2", "1", "--speed", "1000")
    assert list(found) == ["wall_s", "throttle_s", "floor_s", "ratio", "throttled", "changes", "requests", "cpu_s", "peak_memory_mb"]
    assert found["throttled"] == 0 and found["changes"] == 2 * 4 + 2 and found["floor_s"] == 0.03 and found["wall_s"] > 0


def test_calls_with_nothing_to_do_are_compared_with_ping() -> None:
    found = run("start_up", "asr_vault_info", "--runs", "1")
    assert list(found) == ["ping_s", "more_s"] and list(found["more_s"]) == ["asr_vault_info"]


def test_readiness_of_a_fleet_is_looked_at_and_what_it_took_is_told() -> None:
    found = run("readiness_fleet", "3", "--runs", "1")
    assert list(found) == ["wall_s", "floor_s", "ratio", "throttled", "requests"]
    assert found["throttled"] == 0 and found["requests"] < 3 * 5 and min(found["wall_s"], found["floor_s"]) > 0
