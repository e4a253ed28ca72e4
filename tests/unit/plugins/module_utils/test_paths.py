# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import STARTED, resolved


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("record.json", "/started/here/record.json"),
        ("/elsewhere/record.json", "/elsewhere/record.json"),
        ("~/record.json", "/home/ops/record.json"),
    ],
)
def test_a_relative_path_begins_where_the_command_was_started(given: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/started/here")
    monkeypatch.setenv("HOME", "/home/ops")
    monkeypatch.delenv(STARTED, raising=False)
    assert resolved(given) == Path(meant)
    monkeypatch.setenv("PWD", "/collection/playbooks")  # as the shell has it that runs a module
    monkeypatch.setenv(STARTED, "/started/here")
    assert resolved(given) == Path(meant)


def test_without_the_shells_folder_it_is_the_present_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PWD", raising=False)
    monkeypatch.delenv(STARTED, raising=False)
    assert resolved("record.json") == Path("record.json")
