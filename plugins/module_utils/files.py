# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON files that keep what Azure cannot tell later: written whole or not at all, for their owner only, on disk before anybody goes on."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import InputError


def read(option: str, path: Path, form: str) -> dict[str, Any]:
    """The object in a file. Raises FileNotFoundError, and InputError that names the option, and the form that is expected of it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise InputError(option, str(path), f"{form}, that can be read here ({exc.strerror})") from exc
    except ValueError as exc:
        raise InputError(option, str(path), f"{form} (it is no JSON: {exc})") from exc
    if not isinstance(content, dict):
        raise InputError(option, str(path), form)
    return content


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Put a file in the place of the old one. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # only its owner can read it
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(content, handle, indent=2)
            handle.write("\n")
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
