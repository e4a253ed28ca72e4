# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The files that users write for the cloud, and those that it writes for itself."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml


class FileProblem(Exception):
    """A file that cannot be used; the text names the file, the entry and what is wrong with it."""


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # an estate of thousands of machines takes the one written in C


class _Loader(_SafeLoader):
    """YAML as JSON has it: a time stays the text that it is in ARM's answers."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Any:
    """What a JSON or YAML file holds (JSON when its name ends in .json). Raises FileProblem."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    except OSError as problem:
        raise FileProblem(f"{path}: {problem.strerror}") from problem
    except (ValueError, yaml.YAMLError) as problem:
        raise FileProblem(f"{path}: neither JSON nor YAML: {' '.join(str(problem).split())}") from problem


def write_privately(path: Path, text: str) -> None:
    """Replace a file at one stroke, readable by its owner only: whoever is killed meanwhile leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise
