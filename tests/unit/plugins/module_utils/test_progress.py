# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""progress: the lines that a run tells while it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import FILE, Progress


def told(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text().splitlines()]


def test_says_nothing_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE, raising=False)
    progress = Progress(2)
    progress.say("hello")
    progress.tick()


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "lines"))
    Progress().say("looking at 2 machines")
    assert told(tmp_path / "lines") == ["looking at 2 machines"]


def test_one_line_sums_up_all_targets_and_only_when_it_differs(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    progress = Progress(4, "machines", str(file))
    for name in "abc":
        progress.now(name, "install")
    progress.now("c", "verify")
    progress.tick()
    progress.tick()
    progress.end("a", "changed")
    progress.end("b", "failed")
    progress.tick()
    assert told(file) == ["0 of 4 machines done; 2: install; 1: verify", "2 of 4 machines done; 1 failed; 1: verify"]
