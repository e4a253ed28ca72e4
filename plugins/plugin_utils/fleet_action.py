# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a module of this collection that acts on many targets, and shows its progress while it runs.

An action plugin of such a module's name (plugins/action) puts it in front. It changes nothing about them: it names a
file for their progress and prints each new line of it, at most one a second, and tells them where the command was
started. Where the module runs on another host than the controller, or with `async`, it simply runs.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import STARTED
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import FILE

display = Display()


class ActionModule(ActionBase):
    """The module of the task's name, with its progress shown."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        wrapped = self._task.async_val
        if wrapped or self._connection.transport != "local":
            return result | self._execute_module(task_vars=task_vars, wrap_async=wrapped)
        handle, name = tempfile.mkstemp(prefix="azure_dr_progress_")
        os.close(handle)
        self._task.environment = [*(self._task.environment or []), {FILE: name, STARTED: os.environ.get("PWD") or str(Path.cwd())}]
        done = threading.Event()
        teller = threading.Thread(target=_tell, args=(Path(name), self._task.action.rsplit(".", 1)[-1], done), daemon=True)
        teller.start()
        try:
            return result | self._execute_module(task_vars=task_vars)
        finally:
            done.set()
            teller.join(5)
            Path(name).unlink(missing_ok=True)


def _tell(file: Path, name: str, done: threading.Event) -> None:
    """Print what is new in the progress file until `done`: one line a second, with the last few things that were said in it."""
    position = 0
    while True:
        last = done.wait(1)
        with file.open(encoding="utf-8") as handle:
            handle.seek(position)
            lines = handle.readlines()
            if lines and not lines[-1].endswith("\n"):
                lines.pop()
            position += sum(len(line.encode()) for line in lines)
        texts = [json.loads(line)["text"] for line in lines]
        if texts:
            display.display(f"{name}: " + " | ".join(texts[-4:]))
        if last:
            return
