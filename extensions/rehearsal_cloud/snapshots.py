# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Snapshots: the cloud's state in a file, so that it outlives the process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from . import files
from .cloud import Cloud

DELAY = 0.3  # seconds: changes that come together are written together


def load(cloud: Cloud, file: Path) -> None:
    """Make the cloud what `Snapshots` wrote. Raises FileProblem."""
    try:
        cloud.load(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise files.FileProblem(f"{file}: not a state that the rehearsal cloud wrote: {type(problem).__name__}: {problem}") from problem


class Snapshots:
    """Writes the cloud's state soon after a change, whole or not at all."""

    def __init__(self, cloud: Cloud, file: Path) -> None:
        self._cloud, self._file = cloud, file
        self._due: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Say that something changed; the file follows within half a second."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(DELAY, self.save)

    def save(self) -> None:
        """Write the file now."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        files.write_privately(self._file, json.dumps(self._cloud.dump(), separators=(",", ":")))
