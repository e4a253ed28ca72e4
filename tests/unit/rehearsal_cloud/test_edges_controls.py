# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Controls over the network: open to all, beside Azure's rules, and in the traffic log."""

from __future__ import annotations

import json
import time

from rehearsal_cloud import faults, permissions
from rehearsal_cloud.cloud import Cloud
from rehearsal_cloud.providers import install
from rehearsal_cloud.snapshots import Snapshots
from rehearsal_cloud.traffic import Traffic

HEALTH = {"machines": "web_*", "state": "Unhealthy"}


def test_no_sign_in_no_permission_no_fault_and_a_line_in_the_log(serve, tmp_path):
    rules = tmp_path / "faults.json"
    rules.write_text(json.dumps([{"do": {"status": 503}}]), encoding="utf-8")
    cloud = install(Cloud())
    log = tmp_path / "traffic.jsonl"
    parts = {"rules": faults.load(rules, 0), "traffic": Traffic(log), "snapshots": Snapshots(cloud, tmp_path / "state.json")}
    cloud.permissions = permissions.Permissions({}, [])
    edge = serve(cloud, **parts)
    assert edge.send("POST", "/rehearsal/health", HEALTH).body == {"rules": 1}
    assert edge.send("POST", "/rehearsal/health", "{").status == 400
    assert edge.send("GET", "/rehearsal/health").status == 405
    assert edge.send("GET", "/subscriptions?api-version=2024-01-01").status == 503
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert (lines[0]["path"], lines[0]["request"], lines[0]["status"]) == ("/rehearsal/health", HEALTH, 200)
    deadline = time.monotonic() + 10
    while not (tmp_path / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "web_*" in (tmp_path / "state.json").read_text(encoding="utf-8")
