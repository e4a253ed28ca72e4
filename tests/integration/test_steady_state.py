# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The playbook steady_state on the estate of calm days: an audit with --check, then the four steps, then nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import estates
import runbook
from conftest import RunningCloud

Body = dict[str, Any]

STEPS = [
    "Automatic update of the Mobility service",
    "Updates of the Mobility service",
    "Automatic upgrade of extensions",
    "Automatic upgrade of OS images",
]
VARIABLES: Body = {
    "failover_vault_name": "rsv-dr-weu",
    "mobility_autoupdate_automation_account_id": estates.ACCOUNT_ID,
    "extension_autoupgrade_resource_group": "rg-shop-neu",
    "scale_set_os_upgrade_resource_group": "rg-shop-neu",
    "scale_set_os_upgrade_fix": True,
}


def outcomes(played: runbook.Played) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in played.record["steps"]}


def failed(played: runbook.Played) -> set[str]:
    return {one["machine"] for one in played.record["failures"]}


def test_an_audit_then_the_steps_then_nothing_is_left_to_do(cloud: Callable[..., RunningCloud], tmp_path: Path) -> None:
    running = cloud(estates.fleet(), speed=3000)
    audit = runbook.play(running, tmp_path / "home", "steady_state", VARIABLES, "--check", "--diff")
    assert running.writes() == [] and audit.status == 2 and audit.record["about"]["check_mode"], audit.output
    # What nobody but its owner can put right is in the way of one machine and of one scale set; the others are done.
    expected = dict(zip(STEPS, ("succeeded", "failed", "succeeded", "failed"), strict=True))
    assert outcomes(audit) == expected and failed(audit) == {"fleet-db-03", "vmss-legacy"}, audit.output
    assert "Failed: Updates of the Mobility service, Automatic upgrade of OS images. The record tells why" in audit.output
    readable = audit.records[-1].with_suffix(".md").read_text()
    assert "enable automatic OS upgrade" in readable and "stshopboot.blob.core.windows.net/boot/node.sh" in readable

    first = runbook.play(running, tmp_path / "home", "steady_state", VARIABLES)
    assert (first.status, outcomes(first), failed(first)) == (2, expected, failed(audit)), first.output
    foreseen = {step["name"]: step["summary"]["changed"] for step in audit.record["steps"]}
    assert {step["name"]: step["summary"]["changed"] for step in first.record["steps"]} == foreseen and all(foreseen.values())

    written = len(running.writes())
    second = runbook.play(running, tmp_path / "home", "steady_state", VARIABLES)
    assert (second.changed, len(running.writes()), failed(second)) == (0, written, failed(audit)), second.output
    assert all(step["summary"]["changed"] == 0 for step in second.record["steps"])


def test_a_step_that_fails_stops_no_other(cloud: Callable[..., RunningCloud], tmp_path: Path) -> None:
    refused = {"match": {"path": "*/replicationProtectionContainerMappings*"}, "do": {"status": 403}}
    running = cloud(estates.fleet(), faults=[refused], speed=3000)
    variables = VARIABLES | {"scale_set_os_upgrade_max_failures": 1, "mobility_update_max_failures": 1}
    played = runbook.play(running, tmp_path / "home", "steady_state", variables, "--check")
    assert played.status == 2 and "Failed: Automatic update of the Mobility service. The record" in played.output, played.output
    assert outcomes(played) == dict(zip(STEPS, ("failed", "succeeded", "succeeded", "succeeded"), strict=True))


def test_steps_can_be_left_out_and_machines_of_the_vault_are_what_is_kept_current(
    cloud: Callable[..., RunningCloud], tmp_path: Path
) -> None:
    running = cloud(estates.estate(), speed=3000)
    played = runbook.play(running, tmp_path / "home", "steady_state", {}, "--skip-tags", "mobility_autoupdate")
    assert played.status == 0 and outcomes(played) == dict(zip(STEPS, ("not run", "succeeded", "succeeded", "not run"), strict=True))
    machines = {machine["name"] for machine in played.step(STEPS[2])["machines"]}
    assert machines == {"shop-web-01", "shop-web-02"}
