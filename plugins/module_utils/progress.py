# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a run tells while it runs: lines in a file, which the action plugin in front of the module shows as they come."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

FILE = "AZURE_DR_PROGRESS_FILE"  # the environment variable by which the action plugin names the file


class Progress:
    """Appends lines to the progress file ({"time": ..., "text": ...} each); says nothing when there is no such file.

    `say` is for what must be seen; `now` notes what each target is at, and `tick` sums that up in one line when it changed.
    """

    def __init__(self, total: int = 0, noun: str = "targets", file: str | None = None) -> None:
        name = os.environ.get(FILE) if file is None else file
        self._file = Path(name) if name else None
        self._total, self._noun = total, noun
        self._at: dict[str, str] = {}
        self._ended: Counter[str] = Counter()
        self._last = ""

    def say(self, text: str) -> None:
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps({"time": time.time(), "text": text}) + "\n")

    def now(self, target: str, text: str) -> None:
        """Target (its id) is at `text`, an activity: "install extension AzureMonitorLinuxAgent"."""
        self._at[target] = text

    def end(self, target: str, state: str) -> None:
        """Target (its id) ended in `state`."""
        self._at.pop(target, None)
        self._ended[state] += 1

    def tick(self) -> None:
        """One line about all targets, when it differs from the last one."""
        done = sum(self._ended.values())
        parts = [f"{done} of {self._total} {self._noun} done"]
        parts += [f"{count} {state}" for state, count in sorted(self._ended.items()) if state in ("failed", "timed_out")]
        parts += [f"{count}: {text}" for text, count in Counter(self._at.values()).most_common(4)]
        line = "; ".join(parts)
        if line != self._last:
            self._last = line
            self.say(line)
