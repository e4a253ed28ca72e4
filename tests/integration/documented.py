# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the modules' own documentation says of them: no test need list modules, states or examples."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "plugins" / "modules"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
CHOOSERS = ("state", "action")


def read(module: str, part: str) -> Any:
    """DOCUMENTATION, EXAMPLES or RETURN of a module."""
    for node in ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == part:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no {part}")


def chooser(module: str) -> tuple[str | None, list[str | None]]:
    """The option that says what a module does and its values; (None, [None]) for a module that does one thing."""
    options = read(module, "DOCUMENTATION").get("options") or {}
    return next(((name, options[name]["choices"]) for name in CHOOSERS if "choices" in options.get(name, {})), (None, [None]))


def secrets(options: dict[str, Any]) -> list[str]:
    """The options that hold secrets, at any depth, by path: protected_settings, extensions.protected_settings."""
    found = []
    for name, option in options.items():
        if name.startswith("protected_") and option.get("type") == "dict":
            found.append(name)
        found += [f"{name}.{below}" for below in secrets(option.get("suboptions") or {})]
    return found
