# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The cloud as a process: started from anywhere, ended by a signal, killed, and started again."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import rehearsal_cloud

FOLDER = Path(rehearsal_cloud.__file__).parent
GROUP = "/subscriptions/s/resourceGroups/g"
RULE = f"{GROUP}/providers/Contoso.Test/things/thing"


class Process:
    """A running cloud."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(FOLDER), *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.ready = json.loads(line)
        self.context = ssl.create_default_context(cafile=self.ready["ca_file"])
        form = b"grant_type=client_credentials&client_id=c&client_secret=s&scope=x"
        self.token = ""
        self.token = self.send("POST", "/t/oauth2/v2.0/token", form)["access_token"]

    def send(self, method: str, target: str, body: bytes | None = None):
        kind = "application/x-www-form-urlencoded" if "oauth2" in target else "application/json"
        request = urllib.request.Request(
            self.ready["resource_manager"] + target,
            body,
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=15)
        return self.process.returncode


@pytest.fixture
def start(tmp_path):
    (tmp_path / "estate.json").write_text(json.dumps({"resources": [{"id": RULE, "location": "westeurope"}]}))
    started = []

    def run(*options):
        started.append(Process(tmp_path, *options))
        return started[-1]

    yield run
    for process in started:
        process.process.kill()
        process.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_serves_the_estate_and_ends_on_a_signal(start, number):
    cloud = start("--estate", "estate.json")
    assert set(cloud.ready) == {"resource_manager", "authority", "ca_file", "metadata", "imds"}
    assert cloud.ready["metadata"] == f"{cloud.ready['resource_manager']}/metadata/endpoints?api-version=2022-09-01"
    assert cloud.send("GET", f"{RULE}?api-version=2024-01-01")["location"] == "westeurope"
    assert cloud.end(number) == 0
    assert not Path(cloud.ready["ca_file"]).exists()


def test_a_killed_cloud_starts_again_as_it_was(start, tmp_path):
    cloud = start("--estate", "estate.json", "--state", "state.json")
    cloud.send("PUT", f"{RULE}2?api-version=2024-01-01", b'{"location": "northeurope"}')
    end = time.monotonic() + 5
    while "thing2" not in ((tmp_path / "state.json").read_text() if (tmp_path / "state.json").exists() else "") and time.monotonic() < end:
        time.sleep(0.02)
    cloud.end(signal.SIGKILL)
    authority = Path(cloud.ready["ca_file"]).read_text()
    again = start("--state", "state.json", "--port", cloud.ready["resource_manager"].rpartition(":")[2])
    assert again.ready["resource_manager"] == cloud.ready["resource_manager"]
    assert Path(again.ready["ca_file"]).read_text() == authority
    again.token, again.context = cloud.token, cloud.context
    assert again.send("GET", f"{RULE}2?api-version=2024-01-01")["location"] == "northeurope"
    assert again.end() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--estate FILE is needed"),
        (["--estate", "missing.json"], "missing.json: No such file or directory"),
        (["--estate", "estate.json", "--speed", "0"], "'0' is not a number over 0"),
        (["--estate", "estate.json", "--extension-seconds", "90-20"], "'90-20' is not a range of seconds"),
        (["--estate", "estate.json", "--extension-seconds", "slow"], "'slow' is not a range of seconds"),
        (["--estate", "estate.json", "--port", "http"], "'http' is not a port"),
        (["--estate", "estate.json", "--colour"], "--colour"),
        (["--estate", "estate.json", "--faults", "estate.json"], "the faults are a list of rules"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path, options, said):
    (tmp_path / "estate.json").write_text('{"resources": []}')
    ended = subprocess.run([sys.executable, str(FOLDER), *options], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
