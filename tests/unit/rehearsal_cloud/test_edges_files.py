# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Estate files, the traffic log, and the state that outlives the process."""

from __future__ import annotations

import json
import re
import stat
import time
from pathlib import Path

import pytest
from rehearsal_cloud import estate, faults, permissions, snapshots
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud
from rehearsal_cloud.files import FileProblem
from rehearsal_cloud.snapshots import Snapshots
from rehearsal_cloud.traffic import Traffic, masked

GROUP = "/subscriptions/s/resourceGroups/g"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("estate.json", json.dumps({"resources": [{"id": VM, "properties": {"timeCreated": "2024-01-01T00:00:00Z"}}]})),
        ("estate.yml", f"resources:\n- id: {VM}\n  properties:\n    timeCreated: 2024-01-01T00:00:00Z\n"),
    ],
)
def test_an_estate_is_json_or_yaml(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    cloud = Cloud()
    estate.seed(cloud, tmp_path / name)
    assert cloud.store.get(VM)["properties"] == {"timeCreated": "2024-01-01T00:00:00Z"}
    assert cloud.store.get(GROUP)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "an estate is"),
        ("{]", "neither JSON nor YAML"),
        (json.dumps({"resources": [{"id": VM}, {"name": "x"}]}), "resource 2: its id is None"),
        ('{"resources": [{"id": "/nothing"}]}', "resource 1: its id is '/nothing'"),
        ('{"resources": ["x"]}', "resource 1: its id is None"),
    ],
)
def test_a_wrong_estate_is_explained(tmp_path, text, said):
    (tmp_path / "estate.json").write_text(text)
    with pytest.raises(FileProblem) as problem:
        estate.seed(Cloud(), tmp_path / "estate.json")
    assert str(problem.value).startswith(f"{tmp_path / 'estate.json'}: ")
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_traffic_is_one_line_an_exchange_and_private(serve, tmp_path):
    edge = serve(traffic=Traffic(tmp_path / "traffic.jsonl"))
    edge.arm("PUT", VM, {"location": "westeurope"}, query="api-version=2024-01-01&$expand=a,b")
    signed, put = lines(tmp_path / "traffic.jsonl")
    assert signed["path"] == "/contoso/oauth2/v2.0/token"
    assert (put["method"], put["path"], put["query"], put["status"]) == ("PUT", VM, "api-version=2024-01-01&$expand=a,b", 201)
    assert put["request"] == {"location": "westeurope"}
    assert put["response"]["id"] == VM
    assert set(put) >= {"time", "headers", "ms"}
    assert stat.S_IMODE((tmp_path / "traffic.jsonl").stat().st_mode) == 0o600


def test_traffic_names_the_fault_that_fired(serve, tmp_path):
    (tmp_path / "faults.json").write_text(
        json.dumps(
            [{"match": {"method": "GET"}, "count": 1, "do": {"status": 500}}, {"match": {"method": "DELETE"}, "do": {"drop": "before"}}]
        )
    )
    edge = serve(traffic=Traffic(tmp_path / "traffic.jsonl"), rules=faults.load(tmp_path / "faults.json", 0))
    edge.arm("GET", VM)
    with pytest.raises(OSError):
        edge.arm("DELETE", VM)
    edge.arm("GET", VM)
    assert [(line["status"], line.get("fault")) for line in lines(tmp_path / "traffic.jsonl")[1:]] == [(500, 1), (0, 2), (404, None)]


def test_no_secret_reaches_the_traffic_file(serve, tmp_path):
    edge = serve(traffic=Traffic(tmp_path / "traffic.jsonl"))
    body = {
        "location": "westeurope",
        "properties": {
            "protectedSettings": {"key": "hunter2"},
            "osProfile": {"adminPassword": "hunter2"},
            "list": [{"protected_settings": "hunter2", "client_secret": ["hunter2"]}],
        },
    }
    edge.arm("PUT", f"{GROUP}/providers/Contoso.Test/things/thing", body)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    edge.send("POST", "/t/oauth2/v2.0/token", "grant_type=password&client_id=c&username=u&password=hunter2&client_assertion=hunter2", form)
    edge.arm("PUT", VM, '{"protectedSettings": "hunter2"')
    text = (tmp_path / "traffic.jsonl").read_text()
    assert "hunter2" not in text
    assert edge.token() not in text
    assert edge.token().split(".")[1] not in text
    assert lines(tmp_path / "traffic.jsonl")[1]["request"]["properties"]["protectedSettings"] == {"***": "***"}


def test_masking_keeps_json_types_and_the_original():
    given = {
        "secret": "x",
        "password": ["x"],
        "protectedSettings": {"a": "x"},
        "refreshToken": None,
        "plain": [{"accessToken": "x", "n": 1}],
    }
    assert masked(given) == {
        "secret": "***",
        "password": ["***"],
        "protectedSettings": {"***": "***"},
        "refreshToken": None,
        "plain": [{"accessToken": "***", "n": 1}],
    }
    assert given["secret"] == "x"


def test_the_state_is_written_soon_after_a_change_and_loaded_again(serve, tmp_path):
    file = tmp_path / "state.json"
    cloud = Cloud(Clock(start=1000), seed=7)
    edge = serve(cloud, snapshots=Snapshots(cloud, file))
    edge.arm("GET", VM)
    edge.arm("PUT", VM, {"location": "westeurope"})
    end = time.monotonic() + 5
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.02)
    again = Cloud(seed=8)
    snapshots.load(again, file)
    assert again.store.get(VM) == cloud.store.get(VM)
    assert again.clock.now >= 1000
    assert again.guid() == cloud.guid()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".*"))


def test_the_state_is_written_at_the_end(serve, tmp_path):
    cloud = Cloud()
    edge = serve(cloud, snapshots=Snapshots(cloud, tmp_path / "state.json"))
    edge.arm("PUT", VM, {})
    edge._call(edge.server.stop())
    assert VM.lower() in json.loads((tmp_path / "state.json").read_text())["store"]["bodies"]


def test_what_is_no_state_is_explained(tmp_path):
    for text in ("", "{}", '{"now": 1'):
        (tmp_path / "state.json").write_text(text)
        with pytest.raises(FileProblem, match="not a state that the rehearsal cloud wrote"):
            snapshots.load(Cloud(), tmp_path / "state.json")


def test_the_examples_of_the_readme_are_right(tmp_path):
    text = Path(estate.__file__).with_name("README.md").read_text()
    for name, example in re.findall(r"```yaml\n# (\w+\.yml)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(example)
    estate.seed(Cloud(), tmp_path / "estate.yml")
    assert len(faults.load(tmp_path / "faults.yml", 0)) == 5
    permissions.load(tmp_path / "permissions.yml")
