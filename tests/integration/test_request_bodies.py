# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What the modules send to change something, kept in bodies.json: `make test` and `make lowest` compare with it, so that the lowest and the
newest set of libraries are seen to send the same."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import documented
import estates
import pytest
import runbook
from conftest import ROOT, RunningCloud
from situations import ACCOUNT, AGENT, BEHIND, BROKEN, CURRENT, HEALTH, HEALTHY, MONITORING, SCALE_SET, SITUATIONS, UPGRADE, WINDOWS

Body = dict[str, Any]
GOLDEN = Path(__file__).with_name("bodies.json")
WIRECHECK = ROOT.parent / "shared" / "tools" / "wirecheck.py"
IDENTITY = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-monitor"
SCRIPT = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "type_handler_version": "2.1", "settings": {"timestamp": 1}}
SECRETS = {"protected_settings": {"Microsoft.Azure.Extensions.CustomScript": {"commandToExecute": "true"}}}
# What is run, in this order, on one cloud: the module, the value of its state or action, and its other options.
RUNS: list[tuple[str, str | None, Body]] = [
    ("asr_vault_info", None, {}),
    ("extension_baseline", None, {"path": "~/baseline.json"}),
    ("asr_permissions_info", None, {"actions": ["Microsoft.Compute/virtualMachines/read"]}),
    ("asr_readiness_info", None, {}),
    ("asr_autoupdate", "enabled", ACCOUNT),
    (
        "change_freeze",
        "frozen",
        {"path": "~/freeze.json", "vault_name": "rsv-dr-weu", "machine_ids": [HEALTHY], "scale_set_ids": [SCALE_SET]},
    ),
    ("change_freeze", "thawed", {"path": "~/freeze.json"}),
    ("asr_autoupdate", "disabled", {}),
    ("asr_mobility_update", None, {}),
    ("asr_failover", "test", {}),
    ("ama_reinstall", "present", MONITORING | {"extensions": [SCRIPT]} | SECRETS),
    ("asr_failover", "test_cleanup", {"comments": "All services answered."}),
    ("asr_failover", "test", {"replicated_items": [runbook.WEB], "test_network_id": "none"}),
    ("asr_failover", "test_cleanup", {"replicated_items": [runbook.WEB]}),
    ("asr_failover", "unplanned", {"recovery_point": "latest_processed", "confirm": "shop"}),
    ("asr_failover", "cancel", {"confirm": "shop"}),
    ("asr_failover", "unplanned", {"shutdown_source": False, "confirm": "shop"}),
    ("ama_reinstall", "present", MONITORING),
    ("asr_failover", "commit", {"confirm": "shop"}),
    ("ama_reinstall", "present", {"machine_ids": [HEALTHY], "enable_automatic_upgrade": False, "settings": {"port": 1}}),
    ("ama_reinstall", "present", {"machine_ids": [BROKEN], "assign_identity": True}),
    ("ama_reinstall", "present", {"machine_ids": [HEALTHY], "assign_identity": True, "user_assigned_identity_id": IDENTITY}),
    (
        "vm_extension_autoupgrade",
        "disabled",
        {"machine_ids": [HEALTHY], "scale_set_ids": [SCALE_SET], "all_supported": True, "auto_upgrade_minor_version": False},
    ),
    (
        "vm_extension_autoupgrade",
        "enabled",
        {
            "machine_ids": [HEALTHY],
            "scale_set_ids": [SCALE_SET],
            "extensions": [{"name": AGENT}, {"name": HEALTH, "type_handler_version": "2.0"}],
            "propagate": True,
        },
    ),
    ("vmss_os_upgrade", "started", UPGRADE),
    ("vmss_os_upgrade", "cancelled", {"scale_set_ids": [BEHIND]}),
    (
        "vmss_os_upgrade",
        "enabled",
        {
            "scale_set_ids": [BEHIND, WINDOWS],
            "fix": True,
            "disable_automatic_rollback": True,
            "use_rolling_upgrade_policy": False,
            "os_rolling_upgrade_deferral": True,
            "rolling_upgrade_policy": {
                "max_batch_instance_percent": 30,
                "max_unhealthy_instance_percent": 30,
                "max_unhealthy_upgraded_instance_percent": 30,
                "pause_time_between_batches": "PT1M",
                "enable_cross_zone_upgrade": True,
                "prioritize_unhealthy_instances": True,
                "rollback_failed_instances_on_policy_breach": True,
                "max_surge": False,
            },
        },
    ),
    ("change_freeze", "frozen", {"path": "~/images.json", "scale_set_ids": [BEHIND], "include": ["images"]}),
    ("change_freeze", "thawed", {"path": "~/images.json"}),
    ("vmss_os_upgrade", "disabled", {"scale_set_ids": [CURRENT]}),
    ("ama_reinstall", "absent", MONITORING | {"machine_ids": [HEALTHY]}),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Body]:
    """The exchanges that asked for a change when all of RUNS were run."""
    resources = runbook.shop(*SITUATIONS["ready"].more, estates.resource(IDENTITY))
    running = RunningCloud(tmp_path_factory.mktemp("bodies") / "cloud", resources, speed=3000)
    try:
        for module, value, args in RUNS:
            option, _values = documented.chooser(module)
            result = running.run_module(module, args | ({option: value} if option else {}))
            assert not result.get("failed") and (result["changed"] or module.endswith("_info")), (module, value, result)
        return running.writes()
    finally:
        running.stop()


def lines(written: list[Body]) -> list[str]:
    """Each kind of request once, as one line of JSON: method, type of the resource (and what is done to it), body."""
    kinds = ({"method": one["method"], "type": kind(one["path"]), "body": one["request"]} for one in written)
    return sorted({json.dumps(one, sort_keys=True) for one in kinds})


def kind(path: str) -> str:
    """The path without names: Microsoft.RecoveryServices/vaults/replicationRecoveryPlans/testFailover."""
    namespace, *rest = path.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *rest[::2]])


def test_every_module_is_run_in_every_state() -> None:
    run = {(module, value) for module, value, _args in RUNS}
    assert [(module, value) for module in documented.MODULES for value in documented.chooser(module)[1] if (module, value) not in run] == []


def test_the_bodies_are_those_that_are_kept(written: list[Body], tmp_path: Path) -> None:
    found, fresh = lines(written), tmp_path / GOLDEN.name
    fresh.write_text("[\n" + ",\n".join(found) + "\n]\n")
    kept = [json.dumps(one, sort_keys=True) for one in json.loads(GOLDEN.read_text())]
    assert found == kept, f"When the difference is meant, copy {fresh} over {GOLDEN}."


@pytest.mark.skipif(not WIRECHECK.exists(), reason="Azure's API documents are not beside the checkout")
def test_the_bodies_fit_azures_api_documents(
    written: list[Body], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    traffic = tmp_path / "traffic.jsonl"
    traffic.write_text("".join(json.dumps(one) + "\n" for one in written))
    monkeypatch.setattr(sys, "argv", [str(WIRECHECK), str(traffic)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(WIRECHECK), run_name="__main__")
    assert not ended.value.code, capsys.readouterr().out
