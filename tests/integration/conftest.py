# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The rehearsal cloud as a process of its own, and the modules run against it as Ansible runs them."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure
from forks import Forks

ROOT = Path(__file__).resolve().parents[2]
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"


class RunningCloud:
    """A rehearsal cloud that runs. `environment` is what a module needs to find it and to sign in."""

    def __init__(self, folder: Path, resources: list[dict[str, Any]], **options: Any) -> None:
        """options are those of the command line; faults and permissions are given as their content."""
        folder.mkdir()
        self._traffic = folder / "traffic.jsonl"
        files = {"estate": {"resources": resources}} | {name: options.pop(name) for name in ("faults", "permissions") if name in options}
        arguments = {"speed": 600, "traffic": self._traffic} | options
        for name, content in files.items():
            arguments[name] = folder / f"{name}.json"
            arguments[name].write_text(json.dumps(content))
        command = [sys.executable, str(ROOT / "extensions" / "rehearsal_cloud")]
        command += [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        said = self._process.stdout.readline()
        assert said, "the rehearsal cloud did not start"
        self.told = json.loads(said)
        self.environment = {
            "AZURE_CLOUD_ENVIRONMENT": self.told["metadata"],
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "AZURE_TENANT": "99999999-8888-7777-6666-555555555555",
            "AZURE_CLIENT_ID": "operator",
            "AZURE_SECRET": "sentinel-secret",
            "REQUESTS_CA_BUNDLE": self.told["ca_file"],
            "SSL_CERT_FILE": self.told["ca_file"],
        }

    def run_module(self, name: str, args: dict[str, Any], *, check: bool = False, diff: bool = False) -> dict[str, Any]:
        """The result of the module, run as a process as Ansible does."""
        script, environment, given = self._module(name, args, check=check, diff=diff)
        said, complained = forks().run(script, environment, given, timeout=120)
        assert said.strip().startswith("{"), said + complained
        return json.loads(said)

    def start_module(self, name: str, args: dict[str, Any], *, check: bool = False, diff: bool = False) -> subprocess.Popen[str]:
        """The process of the module, which has been given its arguments."""
        script, environment, given = self._module(name, args, check=check, diff=diff)
        process = subprocess.Popen(
            [sys.executable, str(script)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin
        process.stdin.write(given)
        process.stdin.close()
        process.stdin = None  # communicate would close it again
        return process

    def _module(self, name: str, args: dict[str, Any], *, check: bool, diff: bool) -> tuple[Path, dict[str, str], str]:
        """The script of a module, its environment, and what it is given on standard input."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TMPDIR": str(self.home),
            **self.environment,
        }
        given = {**args, "_ansible_check_mode": check, "_ansible_diff": diff}
        return ROOT / "plugins" / "modules" / f"{name}.py", environment, json.dumps({"ANSIBLE_MODULE_ARGS": given})

    def run_playbook(self, tasks: list[dict[str, Any]], *arguments: str) -> str:
        """What ansible-playbook says when it runs the tasks on localhost."""
        folder = self._traffic.parent
        playbook = folder / "playbook.yml"
        playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook), *arguments]
        collections = next(part for part in sys.path if (Path(part) / "ansible_collections").is_dir())
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_REMOTE_TEMP": str(folder / ".ansible" / "tmp"),
            "ANSIBLE_INJECT_INVOCATION": "1",  # newer cores leave out by default where a secret would show
        }
        ended = subprocess.run(
            command, env=environment | self.environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
        return ended.stdout + ended.stderr

    def traffic(self) -> list[dict[str, Any]]:
        """Every exchange until now, sign-in included: method, path, query, request, status, response."""
        lines = self._traffic.read_text().splitlines(keepends=True) if self._traffic.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be half written

    def writes(self) -> list[dict[str, Any]]:
        """The exchanges that asked for a change."""
        return [one for one in self.traffic() if one["method"] != "GET" and one["path"].lower().startswith("/subscriptions/")]

    @property
    def home(self) -> Path:
        """The home directory of the modules."""
        return self._traffic.parent

    def list(self, path: str, api_version: str) -> list[dict[str, Any]]:
        """The resources of a list, read without any module."""

        async def read() -> list[dict[str, Any]]:
            async with Azure({}, self.environment) as azure:
                return await azure.list("read for a test", path, api_version)

        return asyncio.run(read())

    def control(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask something of the rehearsal itself: "publish", "health"."""
        request = urllib.request.Request(
            f"{self.told['resource_manager']}/rehearsal/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.told["ca_file"]), timeout=20) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)


@cache
def forks() -> Forks:
    started = Forks()
    atexit.register(started.stop)
    return started


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Callable[..., RunningCloud]]:
    """Starts rehearsal clouds: `cloud(resources, speed=..., throttle=..., faults=[...], permissions=...)`."""
    started: list[RunningCloud] = []

    def start(resources: list[dict[str, Any]], **options: Any) -> RunningCloud:
        started.append(RunningCloud(tmp_path / f"cloud-{len(started)}", resources, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
