# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The role definitions that the collection ships are enough for what they are for, and hold nothing that is not needed: with one action
less, the run says which one is missing and where, and has changed nothing.

A definition is assigned where docs/permissions.md says, and nowhere else. Each sign-in is a principal of the same cloud.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import estates
import pytest
import runbook
import yaml
from conftest import ROOT, RunningCloud
from situations import (
    ABSENT,
    ACCOUNT,
    AGED,
    BEHIND,
    BROKEN,
    HEALTHY,
    MONITORING,
    SCALE_SET,
    extension,
    scale_sets_with_images,
    standing_machines,
)

Body = dict[str, Any]
Run = tuple[str, Body]

FILES = ROOT / "roles" / "permissions" / "files"
DEFINITIONS = {file.stem: json.loads(file.read_text()) for file in sorted(FILES.glob("*.json"))}
LOOK = "Microsoft.Authorization/permissions/read"
VAULTS = "Microsoft.RecoveryServices/vaults"
ITEMS = f"{VAULTS}/replicationFabrics/replicationProtectionContainers/replicationProtectedItems"
TARGETS, SOURCES = (f"{estates.SUBSCRIPTION}/resourceGroups/rg-shop-{region}" for region in ("weu", "neu"))
IDENTITY = f"{estates.SUBSCRIPTION}/resourceGroups/rg-dr-weu/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-monitor"
RESOURCES = [*runbook.RULES.values(), runbook.ENDPOINT, IDENTITY, estates.ACCOUNT_ID, runbook.WORKSPACE]
VAULT = {"vault_id": estates.VAULT_ID}
IMAGES = estates.scale_set_id("vmss-images", estates.RECOVERY)  # a scale set with automatic OS upgrade
AUTOMATIC: Body = {"mode": "Automatic", "automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}}

# What is run as a sign-in of each definition, for the actions that it alone has. The plan and the machine stand as `stands` says.
PLAN: Body = VAULT | {"confirm": "shop"}
ITEM: Body = VAULT | {"replicated_items": [runbook.WEB], "confirm": runbook.WEB, "recovery_point": "latest_processed"}
RESTORE: Run = ("ama_reinstall", MONITORING | {"machine_ids": [BROKEN]})
RUNS: dict[str, Run] = {
    "restore_monitoring": RESTORE,
    "assign_identity": ("ama_reinstall", {"machine_ids": [HEALTHY], "user_assigned_identity_id": IDENTITY, "assign_identity": True}),
    "prove": ("ama_reinstall", {"machine_ids": [HEALTHY], "prove": {"workspace_id": runbook.WORKSPACE}}),
    "baseline": ("extension_baseline", VAULT | {"path": "/nowhere/baseline.json"}),
    "mobility_autoupdate": ("asr_autoupdate", VAULT | ACCOUNT | {"state": "enabled"}),
    "mobility_update": ("asr_mobility_update", VAULT | {"replicated_items": [runbook.WEB]}),
    "change_freeze": ("change_freeze", {"scale_set_ids": [IMAGES], "path": "~/freeze.json"}),
    "scale_set_os_upgrade": ("vmss_os_upgrade", {"scale_set_ids": [BEHIND]}),
    "extension_autoupgrade": ("vm_extension_autoupgrade", {"scale_set_ids": [SCALE_SET], "all_supported": True, "propagate": True}),
}
# Of a definition that needs another run for some of its actions.
OTHERS: dict[str, Run] = {
    "replicationRecoveryPlans/read": ("asr_mobility_update", VAULT | {"recovery_plan": "shop"}),
    "osRollingUpgrade/action": ("vmss_os_upgrade", {"scale_set_ids": [BEHIND], "state": "started"}),
    "reinstallMobilityService/action": ("asr_mobility_update", VAULT | {"replicated_items": [runbook.SQL]}),
}
# The actions of Site Recovery that come late in a runbook: what has to be done before, so that they are next.
LATE = {"testFailoverCleanup": "test", "failoverCommit": "unplanned"}
VERBS = {"testFailover": "test", "testFailoverCleanup": "test_cleanup", "unplannedFailover": "unplanned", "failoverCommit": "commit"}


def places(name: str) -> list[str]:
    """Where docs/permissions.md says that a definition is assigned."""
    return {
        "baseline": [estates.VAULT_ID, SOURCES],
        "mobility_autoupdate": [estates.VAULT_ID, estates.ACCOUNT_ID],
        "mobility_update": [estates.VAULT_ID],
        "change_freeze": [estates.VAULT_ID, TARGETS],
        "extension_autoupgrade": [estates.VAULT_ID, TARGETS],
        "scale_set_os_upgrade": [TARGETS],
        "assign_identity": [TARGETS, IDENTITY],
        "restore_monitoring": [TARGETS, *RESOURCES],
        "prove": [runbook.WORKSPACE],
    }.get(name, [estates.VAULT_ID, TARGETS, *RESOURCES])


def role(name: str, *without: str) -> Body:
    """A definition as assigned, without some of its actions."""
    definition = DEFINITIONS[name]
    actions = [action for action in definition["Actions"] if action not in without]
    return definition | {"Actions": actions, "AssignableScopes": places(name)}


def own_actions() -> Iterator[tuple[str, str]]:
    """Every action of every definition but LOOK, each once: under the smallest definition that has it."""
    seen: set[str] = {LOOK}
    for name in sorted(DEFINITIONS, key=lambda name: len(DEFINITIONS[name]["Actions"])):
        for action in DEFINITIONS[name]["Actions"]:
            if action not in seen:
                seen.add(action)
                yield name, action


def run_for(name: str, action: str) -> Run:
    """The module call that needs the action."""
    if name in RUNS:
        several = name in ("mobility_update", "scale_set_os_upgrade")
        return OTHERS.get("/".join(action.split("/")[-2:]), RUNS[name]) if several else RUNS[name]
    verb = action.split("/")[-2]
    args = ITEM if action.startswith(f"{ITEMS}/") else PLAN
    return ("asr_failover", args | {"action": VERBS.get(verb, "test" if name == "drill" else "unplanned")})


def sign_in(running: RunningCloud, principal: str) -> RunningCloud:
    """The same cloud, with another sign-in."""
    other = object.__new__(RunningCloud)
    vars(other).update(vars(running))
    other.environment = running.environment | {"AZURE_CLIENT_ID": principal}
    return other


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningCloud]]:
    """Starts a cloud of the shop with machines that stand, an identity, and the principals; the operator may do everything."""
    started: list[RunningCloud] = []

    def begin(principals: Body) -> RunningCloud:
        images = estates.scale_set("vmss-images", 1, region=estates.RECOVERY, upgradePolicy=AUTOMATIC)
        web = extension(estates.machine_id(runbook.WEB))
        resources = runbook.shop(*standing_machines(), *AGED, estates.resource(IDENTITY), web, images, *scale_sets_with_images())
        folder = tmp_path_factory.mktemp("permissions") / "cloud"
        started.append(
            RunningCloud(folder, resources, speed=3000, permissions={"principals": {"operator": {"actions": ["*"]}} | principals})
        )
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def test_each_definition_is_described_and_can_be_chosen() -> None:
    page = (ROOT / "docs" / "permissions.md").read_text()
    options = yaml.safe_load((ROOT / "roles" / "permissions" / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"][
        "options"
    ]
    assert sorted(options["permissions_for"]["choices"]) == sorted(DEFINITIONS)
    assert all(f"`{name}.json`" in page for name in DEFINITIONS)
    last = {"/".join(action.split("/")[-2:]) for definition in DEFINITIONS.values() for action in definition["Actions"]}
    assert [one for one in sorted(last) if one not in page and f"`/{one.rpartition('/')[2]}`" not in page] == []
    assert len({definition["Name"] for definition in DEFINITIONS.values()}) == len(DEFINITIONS)


IDENTIFIED: Body = {
    "restore_monitoring_assign_identity": True,
    "restore_monitoring_prove": {"workspace_id": runbook.WORKSPACE, "max_age": 600, "timeout": 1},
}


@pytest.mark.parametrize(
    ("name", "roles", "variables"),
    [
        ("drill", ["drill", "assign_identity", "prove"], IDENTIFIED),
        ("failover", ["failover", "baseline"], {"restore_monitoring_restore_from": "source"}),
        ("baseline", ["baseline"], {"baseline_path": "{{ lookup('ansible.builtin.env', 'HOME') }}/baseline.json"}),
    ],
)
def test_a_playbook_needs_no_more_than_its_roles(
    start: Callable[..., RunningCloud], tmp_path: Path, name: str, roles: list[str], variables: Body
) -> None:
    running = sign_in(start({name: [role(one) for one in roles]}), name)
    played = runbook.play(running, tmp_path / "home", name, variables | {"failover_vault_id": estates.VAULT_ID})
    assert played.status == 0 and played.changed, played.output
    assert all(json.loads(record.read_text())["outcome"] == "succeeded" for record in played.records)
    refused = {one["path"].rpartition("/providers/")[2] for one in running.traffic() if one["status"] == 403}
    assert refused <= {"Microsoft.Authorization/permissions"}, "only looking at what is permitted may be refused, of a group"


def test_with_one_action_less_the_run_names_it_and_changes_nothing(start: Callable[..., RunningCloud]) -> None:
    lacking = {f"{name} without {action}": (name, action) for name, action in own_actions()}
    clouds: dict[str, RunningCloud] = {}
    for before in ("", *LATE.values()):
        clouds[before] = start({principal: role(name, action) for principal, (name, action) in lacking.items()})
        if before:
            prepared = clouds[before].run_module("asr_failover", PLAN | {"action": before})
            assert prepared["changed"] and not prepared.get("failed"), prepared
    sent = {before: len(running.writes()) for before, running in clouds.items()}

    def run(principal: str) -> tuple[Body, Body]:
        name, action = lacking[principal]
        as_principal = sign_in(clouds[LATE.get(action.split("/")[-2], "")], principal)
        looked = VAULT | {"actions": DEFINITIONS[name]["Actions"], "resource_ids": RESOURCES} | restored(name)
        module, args = run_for(name, action)
        return as_principal.run_module("asr_permissions_info", looked), as_principal.run_module(module, args)

    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(lacking, pool.map(run, lacking), strict=True))
    for principal, (looked, result) in results.items():
        _name, action = lacking[principal]
        assert not looked.get("failed") and {one["action"] for one in looked["missing"]} == {action}, (principal, looked)
        assert not looked["permitted"] and all(one["scope"].startswith("/") for one in looked["missing"])
        assert result.get("failed") and not result.get("changed"), (principal, result)
        assert action.lower() in result["msg"].lower() and "/subscriptions/" in result["msg"].lower(), (principal, result["msg"])
    assert {before: len(running.writes()) for before, running in clouds.items()} == sent


def restored(name: str) -> Body:
    """The machines that a look is about: those of the plan where the definition reads it, else those of the group."""
    if name == "baseline":
        return {"sides": ["source"]}
    return {} if any(action.startswith(VAULTS) for action in DEFINITIONS[name]["Actions"]) else {"machine_groups": [TARGETS]}


def test_what_the_restore_lacks_is_known_before_the_failover(start: Callable[..., RunningCloud], tmp_path: Path) -> None:
    lost = ["Microsoft.Compute/virtualMachines/extensions/write", "Microsoft.Insights/dataCollectionRules/read"]
    running = sign_in(start({"operator of nights": role("failover", *lost)}), "operator of nights")
    for arguments in ([], ["--check"]):
        played = runbook.play(running, tmp_path / "home", "failover", {"failover_vault_id": estates.VAULT_ID}, *arguments)
        if arguments:
            assert played.status == 0 and lost[0] in str(played.step("Permissions")["warnings"])
        else:
            assert played.status != 0 and not played.changed and lost[0] in played.record["failures"][0]["reason"]
            assert [step["name"] for step in played.record["steps"] if step["outcome"] != "not run"] == ["Permissions"]
        assert f"{lost[0]} on {TARGETS}" in played.output
        assert all(f"{lost[1]} on {rule}" in played.output for rule in runbook.RULES.values())
    assert running.writes() == []
    played = runbook.play(running, tmp_path / "home", "failover", {"failover_vault_id": estates.VAULT_ID}, "--skip-tags", "permissions")
    assert played.status != 0 and lost[1] in played.output
    assert [one["path"].rpartition("/")[2] for one in running.writes()] == ["unplannedFailover"]
    assert [step["name"] for step in played.record["steps"] if step["outcome"] == "succeeded"] == ["Failover"]


def test_the_fleet_goes_on_where_it_may(start: Callable[..., RunningCloud]) -> None:
    there = role("restore_monitoring") | {"AssignableScopes": [ABSENT, *RESOURCES]}
    follow = {"actions": ["Microsoft.Compute/locations/operations/read", "Microsoft.Compute/virtualMachines/read", "*/read"]}
    running = sign_in(start({"guest": [there, follow | {"assignableScopes": [TARGETS]}]}), "guest")
    result = running.run_module("ama_reinstall", MONITORING | {"machine_ids": [ABSENT, BROKEN]})
    states = {target["name"]: target["state"] for target in result["targets"]}
    assert result["failed"] and states == {"absent": "changed", "broken": "failed"}, result
    assert "Microsoft.Compute/virtualMachines/extensions/delete on " + BROKEN in result["msg"] and "docs/permissions.md" in result["msg"]
    assert [one["path"] for one in running.writes() if BROKEN.lower() in one["path"].lower()] == []


def test_who_may_not_see_what_it_may_is_told_by_azure(start: Callable[..., RunningCloud]) -> None:
    write = next(action for action in DEFINITIONS["mobility_autoupdate"]["Actions"] if action.endswith("Mappings/write"))
    running = sign_in(start({"blind": role("mobility_autoupdate", LOOK, write)}), "blind")
    result = running.run_module(*RUNS["mobility_autoupdate"])
    assert result["failed"] and not result["changed"]
    assert "AuthorizationFailed" in result["msg"] and write in result["msg"] and estates.mapping_id(estates.PRIMARY) in result["msg"]
    looked = running.run_module("asr_permissions_info", VAULT | {"actions": [write]})
    assert looked["permitted"] and [one["action"] for one in looked["unknown"]] == [write]
