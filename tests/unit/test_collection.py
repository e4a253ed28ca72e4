# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the files of the collection promise of one another, and no linter compares."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py") if path.stem != "__init__")
ROLES = sorted(path.name for path in ROOT.glob("roles/*"))


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def documentation(module: str) -> dict[str, Any]:
    for node in ast.parse((ROOT / f"plugins/modules/{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "DOCUMENTATION":
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no DOCUMENTATION")


def test_the_action_group_holds_every_module() -> None:
    assert sorted(read("meta/runtime.yml")["action_groups"]["azure_dr"]) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_documented_under_its_own_name(module: str) -> None:
    assert documentation(module)["module"] == module


@pytest.mark.parametrize("role", ROLES)
def test_the_arguments_of_a_role_are_its_defaults(role: str) -> None:
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})
    stated = {name: option["default"] for name, option in options.items() if "default" in option}
    defaults = read(f"roles/{role}/defaults/main.yml") or {}
    assert {name: value for name, value in defaults.items() if name in stated} == stated
    assert not set(defaults) - set(options), "a default that is no argument"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_page_of_its_own(role: str) -> None:
    page = (ROOT / f"roles/{role}/README.md").read_text(encoding="utf-8")
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})
    assert [name for name in options if name not in page] == []


@pytest.mark.parametrize("kind", ["requirements.txt", "extensions/rehearsal_cloud/requirements.txt"])
def test_what_users_install_is_never_pinned(kind: str) -> None:
    lines = [line for line in (ROOT / kind).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert all(">=" in line and "==" not in line and "<" not in line for line in lines)


@pytest.mark.parametrize("kind", ["requirements.txt", "extensions/rehearsal_cloud/requirements.txt"])
def test_the_lowest_set_is_what_users_may_install_at_least(kind: str) -> None:
    lowest = (ROOT / "tests/requirements/sdk-lowest.txt").read_text(encoding="utf-8")
    for line in (ROOT / kind).read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or line.replace(">=", "==") in lowest
