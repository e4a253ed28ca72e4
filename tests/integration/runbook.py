# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The playbooks run as a user runs them, against a rehearsal cloud; and the estate of a shop whose machines are to be monitored."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estates

ROOT = Path(__file__).resolve().parents[2]
Body = dict[str, Any]

WEB, SQL = "shop-web-01", "shop-sql-01"
MONITOR = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.Insights"
RULES = {system: f"{MONITOR}/dataCollectionRules/dcr-shop-{system.lower()}" for system in ("Linux", "Windows")}
ENDPOINT = f"{MONITOR}/dataCollectionEndpoints/dce-weu"
WORKSPACE = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.OperationalInsights/workspaces/log-shop"
VARIABLES: Body = {
    "restore_monitoring_data_collection_rules": [{"id": identifier} for identifier in RULES.values()],
    "restore_monitoring_data_collection_endpoint_ids": [ENDPOINT],
    "failover_confirm": "shop",
    "evidence_rto_objective": 60,
}


def shop(*more: Body) -> list[Body]:
    """A Linux and a Windows machine in two groups of the plan `shop`, rules for both that send to a workspace, and an endpoint; and `more`,
    as in estates.estate."""
    sql = [*estates.machine(SQL, "Windows"), estates.item(SQL, system="Windows")]
    monitor = [estates.resource(identifier, location=estates.RECOVERY) for identifier in (ENDPOINT, WORKSPACE)]
    rules = [rule(identifier, system, WORKSPACE) for system, identifier in RULES.items()]
    return estates.estate([WEB], {"shop": [[SQL], [WEB]]}, *sql, *monitor, *rules, *more)


def rule(identifier: str, system: str, *workspaces: str) -> Body:
    """A data collection rule for machines of a system that sends to the workspaces."""
    destinations = [{"name": one.rpartition("/")[2], "workspaceResourceId": one} for one in workspaces]
    properties = {"dataFlows": [], "destinations": {"logAnalytics": destinations}}
    return estates.resource(identifier, properties, location=estates.RECOVERY, kind=system)


@dataclass(frozen=True)
class Played:
    """A playbook run that has ended: its exit status, all that it said, and the records that it left, the oldest first."""

    status: int
    output: str
    records: list[Path]

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        return sum(map(int, re.findall(r"changed=(\d+)", self.output)))

    @property
    def record(self) -> Body:
        """The newest record."""
        return json.loads(self.records[-1].read_text())

    def step(self, name: str) -> Body:
        return next(step for step in self.record["steps"] if step["name"] == name)


def command(playbook: str, variables: Body, *arguments: str) -> list[str]:
    found = str(Path(sys.executable).with_name("ansible-playbook"))
    return [found, str(ROOT / "playbooks" / f"{playbook}.yml"), "-e", json.dumps(variables), *arguments]


def environment(cloud: Any, home: Path) -> dict[str, str]:
    """What a run needs, and nothing of the caller's."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PWD": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(Path(sys.prefix) / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_REMOTE_TEMP": str(home / ".ansible" / "tmp"),
        "ANSIBLE_INJECT_INVOCATION": "1",  # newer cores leave out by default where a secret would show
        "AZURE_DR_PACING_FILE": str(home / "pacing"),
        **cloud.environment,
    }


def play(cloud: Any, home: Path, playbook: str, variables: Body | None = None, *arguments: str) -> Played:
    """Run a playbook of the collection in the directory `home`, where the record is left; `variables` go over VARIABLES."""
    ended = subprocess.run(
        command(playbook, VARIABLES | (variables or {}), *arguments),
        env=environment(cloud, home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    records = sorted((home / "evidence").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return Played(ended.returncode, ended.stdout + ended.stderr, records)
