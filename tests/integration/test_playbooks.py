# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The runbook as a user runs it: drill.yml and failover.yml through ansible-playbook. What came of it is read from the cloud."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import estates
import runbook
from runbook import SQL, WEB, Body, play

Start = Callable[..., Any]
READER = {"default": {"actions": ["*/read"]}}
AGENTS = {WEB: "AzureMonitorLinuxAgent", SQL: "AzureMonitorWindowsAgent"}


def full(test_of: str) -> Body:
    return {
        "match": {"method": "PUT", "path": f"*/virtualMachines/{test_of}/extensions/*"},
        "do": {"operation": {"code": "VMExtensionProvisioningError", "message": f"The disk of {test_of} is full."}},
    }


def monitored(cloud: Any, names: Iterable[str] = (WEB, SQL)) -> dict[str, list[str]]:
    """What the cloud holds of each machine in the recovery region: its extensions (with their state) and its associations."""
    found = {}
    for name in names:
        vm = estates.machine_id(name, estates.RECOVERY)
        extensions = cloud.list(f"{vm}/extensions", "2024-07-01")
        associations = cloud.list(f"{vm}/providers/Microsoft.Insights/dataCollectionRuleAssociations", "2023-03-11")
        found[name] = [f"{one['name']} {one['properties']['provisioningState']}" for one in extensions] + sorted(
            one["name"] for one in associations
        )
    return found


def whole(names: Iterable[str] = (WEB, SQL)) -> dict[str, list[str]]:
    """What `monitored` gives when nothing is missing."""
    return {
        name: [f"{AGENTS[name]} Succeeded", "configurationAccessEndpoint", f"dcra-dcr-shop-{'linux' if name == WEB else 'windows'}"]
        for name in names
    }


def sent(cloud: Any) -> list[str]:
    """The last word of every POST that reached the cloud, in order."""
    return [one["path"].rpartition("/")[2] for one in cloud.writes() if one["method"] == "POST"]


def states(cloud: Any) -> set[tuple[str, str]]:
    items = cloud.list(f"{estates.VAULT_ID}/replicationProtectedItems", "2025-08-01")
    return {(one["properties"]["activeLocation"], one["properties"]["protectionState"]) for one in items}


def test_drill_and_failover_and_again(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop())
    drill = play(running, tmp_path, "drill")
    assert drill.status == 0, drill.output
    assert sent(running) == ["testFailover", "testFailoverCleanup"]
    assert states(running) == {("Primary", "Protected")}
    tested = [one["path"] for one in running.writes() if one["method"] == "PUT"]
    assert len(tested) == 6 and all("-test/" in path for path in tested)
    machines = running.list(f"{estates.SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines", "2024-07-01")
    assert not [one["name"] for one in machines if one["name"].endswith("-test")], "the clean-up left test machines"

    failover = play(running, tmp_path, "failover")
    assert failover.status == 0, failover.output
    assert sent(running)[2:] == ["unplannedFailover", "failoverCommit"]
    assert states(running) == {("Recovery", "UnplannedFailoverCommitted")}
    assert monitored(running) == whole()
    written = len(running.writes())
    for playbook in ("drill", "failover"):
        again = play(running, tmp_path, playbook)
        assert (again.status, again.changed) == (0, 0), again.output
    assert len(running.writes()) == written
    check_records(drill, failover)


def check_records(drill: runbook.Played, failover: runbook.Played) -> None:
    """The records of a run that went well: who, what, when, each step and machine; for their owner only."""
    for played, name, steps in (
        (drill, "drill", ["Permissions", "Test failover", "Restore monitoring", "Verify", "Clean up"]),
        (failover, "failover", ["Permissions", "Failover", "Restore monitoring", "Verify", "Commit"]),
    ):
        record = played.record
        assert record["outcome"] == "succeeded" and record["failures"] == []
        assert [(step["name"], step["outcome"]) for step in record["steps"]] == [(step, "succeeded") for step in steps]
        assert all(len(step["machines"]) == 2 for step in record["steps"][1:])
        about = record["about"]
        assert about["name"] == name and about["client_id"] == "operator" and about["user"] and about["controller"] and about["written"]
        assert record["rto"]["measured_seconds"] > 0 and record["rto"]["met"] is True
        text = played.records[-1].with_suffix(".md")
        assert WEB in text.read_text() and SQL in text.read_text()
        assert {stat.S_IMODE(file.stat().st_mode) for file in (text, played.records[-1])} == {0o600}
    [web] = [one for one in failover.step("Failover")["machines"] if one["name"] == WEB]
    assert web["state"] == "changed" and web["started"] < web["ended"] and web["rto_seconds"] > 0
    assert web["target_id"].lower() == estates.machine_id(WEB, estates.RECOVERY).lower()


def test_a_drill_whose_restore_fails_is_cleaned_up_and_told(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(), faults=[full(f"{WEB}-test")])
    drill = play(running, tmp_path, "drill")
    assert drill.status != 0
    assert sent(running) == ["testFailover", "testFailoverCleanup"] and states(running) == {("Primary", "Protected")}
    assert drill.record["outcome"] == "failed"
    assert [(one["step"], one["machine"]) for one in drill.record["failures"]] == [("Restore monitoring", f"{WEB}-test")]
    assert f"The disk of {WEB}-test is full" in drill.record["failures"][0]["reason"]
    assert drill.step("Clean up")["outcome"] == "succeeded" and drill.step("Verify")["outcome"] == "not run"


def test_without_all_machines_restored_nothing_is_committed_and_the_next_run_goes_on(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(), faults=[full(WEB) | {"count": 1}])
    failed = play(running, tmp_path, "failover")
    assert failed.status != 0 and sent(running) == ["unplannedFailover"]
    assert monitored(running, [SQL]) == whole([SQL])
    assert [(one["step"], one["machine"]) for one in failed.record["failures"]] == [("Restore monitoring", WEB)]
    assert f"The disk of {WEB} is full" in failed.record["failures"][0]["reason"]
    assert failed.step("Commit")["outcome"] == "not run"

    again = play(running, tmp_path, "failover")
    assert again.status == 0, again.output
    assert sent(running) == ["unplannedFailover", "failoverCommit"] and monitored(running) == whole()


def test_a_machine_that_does_not_come_up_is_named_and_the_others_are_restored(cloud: Start, tmp_path: Path) -> None:
    fault = {
        "match": {"method": "POST", "path": "*/unplannedFailover"},
        "do": {"operation": {"item": WEB, "status": "Failed", "code": "28040", "message": "The region has no room for it."}},
    }
    running = cloud(runbook.shop(), faults=[fault])
    failover = play(running, tmp_path, "failover")
    assert failover.status != 0 and sent(running) == ["unplannedFailover"]
    assert monitored(running, [SQL]) == whole([SQL])
    [failure] = failover.record["failures"]
    assert (failure["step"], failure["machine"], failure["code"]) == ("Failover", WEB, "28040")
    assert "The region has no room for it." in failure["reason"]


def test_check_mode_sends_only_reads(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(), permissions=READER)
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(
                lambda playbook: play(running, tmp_path / playbook, playbook, {"failover_confirm": ""}, "--check", "--diff"),
                ("drill", "failover"),
            )
        )
    for played in both:
        assert played.status == 0 and played.changed > 0, played.output
        assert played.record["about"]["check_mode"] is True
    assert running.writes() == []


def test_it_does_nothing_while_it_is_not_clear_to_what(cloud: Start, tmp_path: Path) -> None:
    running = cloud(runbook.shop(estates.vault("rsv-other-weu"), estates.plan("other", [[WEB]])))
    vault = {"failover_vault_name": "rsv-dr-weu", "failover_resource_group": "rg-dr-weu"}
    plan = vault | {"failover_recovery_plan": "shop"}
    with ThreadPoolExecutor(2) as pool:
        vaults, plans, wrong, missing = pool.map(
            lambda given: play(running, tmp_path / given[0], "failover", given[1]),
            [
                ("vaults", {}),
                ("plans", vault),
                ("wrong", plan | {"failover_confirm": "Shop"}),
                ("missing", plan | {"failover_confirm": ""}),
            ],
        )
    for refused, words in (
        (vaults, ["rsv-dr-weu", "rsv-other-weu"]),
        (plans, ["shop", "other"]),
        (wrong, ["confirm", "'shop'"]),
        (missing, ["confirm", "'shop'"]),
    ):
        assert refused.status != 0 and all(word in refused.record["failures"][0]["reason"] for word in words), refused.output
    assert running.writes() == []


def test_the_rehearsal_runs_on_an_estate_in_azures_letter_case(tmp_path: Path) -> None:
    """Site Recovery puts the ids of machines and networks into small letters, its own begin with /Subscriptions/, and machines are called
    as their makers liked (recorded traffic)."""
    machine = "Shop-WEB-01"
    resources = estates.estate([machine], {"Shop-Plan": [[machine]]})
    for body in resources:
        if body["type"].endswith("virtualMachines"):
            body["id"] = body["id"].replace("/resourceGroups/rg-shop-neu/", "/resourceGroups/RG-SHOP-NEU/")
        if body["type"].endswith("replicationRecoveryPlans"):
            member = body["properties"]["groups"][-1]["replicationProtectedItems"][0]
            member["id"] = member["id"].replace("/Subscriptions/", "/subscriptions/").replace("/rsv-dr-weu/", "/RSV-DR-WEU/")
    estate, traffic = tmp_path / "estate.json", tmp_path / "traffic.jsonl"
    estate.write_text(json.dumps({"resources": resources}))
    home = tmp_path / "home"
    ready = {
        "HOME": str(home),
        "PWD": str(home),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(Path(sys.prefix) / "collections"),
        "AZURE_SECRET": "of-the-real-azure",
    }
    home.mkdir()
    ended = subprocess.run(
        [
            sys.executable,
            str(runbook.ROOT / "extensions/rehearsal_cloud/rehearse.py"),
            "--estate",
            str(estate),
            "--traffic",
            str(traffic),
            "--speed",
            "600",
        ],
        env=ready,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    exchanges = [json.loads(line) for line in traffic.read_text().splitlines()]
    posts = [one["path"].rpartition("/")[2] for one in exchanges if one["method"] == "POST" and "/replicationRecoveryPlans/" in one["path"]]
    assert posts == ["testFailover", "testFailoverCleanup", "unplannedFailover", "failoverCommit"]
    installed = [one["path"] for one in exchanges if one["method"] == "PUT" and "/extensions/" in one["path"]]
    assert [path.split("/virtualMachines/")[1] for path in installed] == [
        f"{machine}-test/extensions/AzureMonitorLinuxAgent",
        f"{machine}/extensions/AzureMonitorLinuxAgent",
    ]
    assert len(list((home / "evidence").glob("*.json"))) == 2
