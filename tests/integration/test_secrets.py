# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Client secrets and protected settings go to Azure and nowhere else: not into what is said at the highest verbosity, not into any file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documented
import estates
import pytest
import runbook
from conftest import RunningCloud
from situations import BROKEN, SITUATIONS

Body = dict[str, Any]
SENTINEL = "sentinel"  # the beginning of every secret here
PUBLISHER, AGENTS = "Microsoft.Azure.Monitor", ("AzureMonitorLinuxAgent", "AzureMonitorWindowsAgent")
SCRIPT = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "type_handler_version": "2.1", "os_type": "linux"}
# The options that take secrets, filled, by module.
GIVEN: dict[str, Body] = {
    "ama_reinstall": {
        "protected_settings": {
            **{f"{PUBLISHER}.{agent}": {"proxy": {"password": f"{SENTINEL}-of-the-agent"}} for agent in AGENTS},
            "CustomScript": {"commandToExecute": f"{SENTINEL}-of-an-extension"},
        },
        "extensions": [SCRIPT],
    }
}
FAILS = {
    "match": {"method": "PUT", "path": "*/extensions/CustomScript"},
    "count": 1,
    "do": {"operation": {"code": "VMExtensionProvisioningError", "message": "The script failed."}},
}


def leaks(folder: Path, *but: Path) -> list[str]:
    """The files below a folder that hold a sentinel."""
    files = [file for file in folder.rglob("*") if file.is_file() and file not in but]
    return [str(file.relative_to(folder)) for file in files if SENTINEL.encode() in file.read_bytes()]


def sent_masked(cloud: RunningCloud) -> set[str]:
    """The types of the extensions that were sent with protected settings."""
    return {
        one["request"]["properties"]["type"]
        for one in cloud.writes()
        if one["method"] in ("PUT", "PATCH") and ((one["request"] or {}).get("properties") or {}).get("protectedSettings")
    }


def test_every_option_that_takes_a_secret_is_given_here() -> None:
    for module in documented.MODULES:
        missing = [
            path
            for path in documented.secrets(documented.read(module, "DOCUMENTATION").get("options") or {})
            if path.partition(".")[0] not in GIVEN.get(module, {})
        ]
        assert missing == [], f"GIVEN lacks secrets for {module}"


def test_a_playbook_tells_no_secret_even_where_it_fails(cloud: Callable[..., RunningCloud], tmp_path: Path) -> None:
    running = cloud(runbook.shop(), faults=[FAILS], state=tmp_path / "state.json")
    assert SENTINEL in running.environment["AZURE_SECRET"]
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps({f"restore_monitoring_{name}": value for name, value in GIVEN["ama_reinstall"].items()}))
    played = runbook.play(running, tmp_path / "home", "drill", None, "-e", f"@{variables}", "-vvv", "--diff")
    assert SENTINEL not in played.output and "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in played.output
    assert "The script failed" in str(played.record["failures"]) and played.step("Clean up")["outcome"] == "succeeded", played.output
    assert sent_masked(running) == {"AzureMonitorLinuxAgent", "AzureMonitorWindowsAgent", "CustomScript"}
    assert leaks(tmp_path, variables) == []
    assert (tmp_path / "home" / "pacing").exists() and (tmp_path / "state.json").exists()


# Every playbook, in an order in which each has something to do; `rehearse` runs the drill and the failover.
PLAYBOOKS = ("baseline", "readiness", "steady_state", "change_freeze", "thaw", "rehearse")


def test_no_playbook_tells_a_secret(cloud: Callable[..., RunningCloud], tmp_path: Path) -> None:
    running = cloud(runbook.shop(*SITUATIONS["ready"].more), state=tmp_path / "state.json", speed=3000)
    variables, given = tmp_path / "variables.json", GIVEN["ama_reinstall"]
    groups = ["rg-shop-neu", "rg-shop-weu"]
    variables.write_text(
        json.dumps(
            {f"restore_monitoring_{name}": value for name, value in given.items()}
            | {"baseline_path": "baseline.json"}
            | {"mobility_autoupdate_automation_account_id": estates.ACCOUNT_ID, "extension_autoupgrade_resource_group": groups[0]}
            | {"change_freeze_path": "freeze.json", "change_freeze_resource_groups": groups}
        )
    )
    home = tmp_path / "home"
    said = [runbook.play(running, home, name, {"failover_confirm": "shop"}, "-e", f"@{variables}", "-vvv", "--diff") for name in PLAYBOOKS]
    for name, played in zip(PLAYBOOKS, said, strict=True):
        assert SENTINEL not in played.output and "TASK [" in played.output, name
    assert {record.stem.partition("-")[2] for record in said[-1].records} >= {"drill", "failover", "steady-state", "change-freeze", "thaw"}
    assert sent_masked(running) == {"AzureMonitorLinuxAgent", "AzureMonitorWindowsAgent", "CustomScript"}
    assert '"sending"' in "".join(file.read_text() for file in home.rglob("journal/*.jsonl")) and (home / "freeze.json").exists()
    assert leaks(tmp_path, variables) == []


def test_every_playbook_is_run_here() -> None:
    assert {file.stem for file in (runbook.ROOT / "playbooks").glob("*.yml")} == {*PLAYBOOKS, "drill", "failover"}


def test_no_module_tells_a_secret(cloud: Callable[..., RunningCloud], tmp_path: Path) -> None:
    running = cloud(runbook.shop(*SITUATIONS["ready"].more), state=tmp_path / "state.json", speed=3000)
    sign_in = {"tenant": running.environment["AZURE_TENANT"], "client_id": "operator", "secret": f"{SENTINEL}-given-as-an-option"}
    tasks = [
        {
            "name": f"{case.module} {case.value}",
            "ignore_errors": True,
            f"cloudops.azure_dr.{case.module}": {
                **({documented.chooser(case.module)[0]: case.value} if case.value else {}),
                **case.args,
                **GIVEN.get(case.module, {}),
                **sign_in,
            },
        }
        for case in {(case.module, case.value): case for case in reversed(SITUATIONS["ready"].cases)}.values()
    ]
    said = running.run_playbook(tasks, "-vvv", "--diff")
    assert SENTINEL not in said and "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in said
    assert [task["name"] for task in tasks if f"TASK [{task['name']}]" not in said] == []
    assert {module for module in documented.MODULES if f'"cloudops.azure_dr.{module}"' not in json.dumps(tasks)} == set()
    assert sent_masked(running) == {"AzureMonitorLinuxAgent", "CustomScript"}
    journals = "".join(file.read_text() for file in tmp_path.rglob(".local/state/cloudops.azure_dr/journal/*.jsonl"))
    assert '"lost"' in journals and leaks(tmp_path, tmp_path / "cloud-0" / "playbook.yml") == []


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [{"match": {"method": "PUT", "path": "*/extensions/*"}, "count": 1, "do": {"drop": "after"}}],
        [{"match": {"path": "*/oauth2/v2.0/token"}, "do": {"status": 401}}],
    ],
    ids=["all is well", "a connection breaks", "sign-in is refused"],
)
def test_the_progress_and_the_result_hold_no_secret(cloud: Callable[..., RunningCloud], tmp_path: Path, faults: list[Body]) -> None:
    running = cloud(runbook.shop(*SITUATIONS["ready"].more), faults=faults, speed=3000)
    progress = tmp_path / "progress"
    running.environment["AZURE_DR_PROGRESS_FILE"] = str(progress)
    result = running.run_module("ama_reinstall", {"machine_ids": [BROKEN], "timeout": 1, **GIVEN["ama_reinstall"]}, diff=True)
    assert SENTINEL not in json.dumps(result) and leaks(tmp_path) == []
    refused = any(fault["do"].get("status") for fault in faults)
    assert bool(result.get("failed")) is refused and progress.exists() is not refused, result
