# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Processes that are forked off one which has imported the Azure libraries: importing them takes most of the time of a module's call.

What is forked is a process like any other, with its own environment, arguments and standard files, and is killed like any other.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

IMPORTED = (
    "aiohttp",
    "ansible.module_utils.basic",
    "azure.core.pipeline.policies",
    "azure.core.pipeline.transport",
    "azure.identity.aio",
    "azure.mgmt.compute.aio",
    "azure.mgmt.core",
    "azure.mgmt.monitor.aio",
    "azure.mgmt.recoveryservicessiterecovery.aio",
)
LARGEST = 1 << 16  # bytes of a request


class Forks:
    """Starts scripts. The process that they are forked off lives as long as this object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(there.fileno())],
            pass_fds=[there.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        there.close()

    def run(self, script: Path, environment: dict[str, str], given: str, timeout: float) -> tuple[str, str]:
        """What the script wrote to standard output and standard error, given that on standard input. Raises TimeoutExpired."""
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as complaints:
            source.write(given.encode())
            source.seek(0)
            read, write = os.pipe()
            request = json.dumps({"script": str(script), "environment": environment}).encode()
            with self._lock:
                socket.send_fds(self._here, [request], [source.fileno(), write, complaints.fileno()])
                pid = int(self._here.recv(LARGEST))
            os.close(write)
            said = _read(read, pid, timeout)
            complaints.seek(0)
            return said, complaints.read().decode()

    def stop(self) -> None:
        self._here.close()
        self._server.wait(20)


def _read(handle: int, pid: int, timeout: float) -> str:
    """All that a process writes until it ends; one that takes too long is killed."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(timeout, kill)
    timer.start()
    try:
        with os.fdopen(handle) as stream:
            said = stream.read()
    finally:
        timer.cancel()
    if late.is_set():
        raise subprocess.TimeoutExpired(str(pid), timeout, said)
    return said


def _serve(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in IMPORTED:
        importlib.import_module(name)
    while True:
        content, handles, _flags, _address = socket.recv_fds(connection, LARGEST, 3)
        if not content:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(json.loads(content), handles)
        for handle in handles:
            os.close(handle)
        connection.send(str(pid).encode())


def _become(request: dict[str, Any], handles: list[int]) -> None:
    """Be the script, in the process that was forked for it."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
            os.close(handle)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = [request["script"]]
        runpy.run_path(request["script"], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (as the interpreter does it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
