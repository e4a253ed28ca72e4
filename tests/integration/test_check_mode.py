# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Check mode of every module, in every value of its state or action: it foresees what a run would do, and needs no more than to read.

The modules sign in as one who may only read, so that a request for anything else would also fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documented
import estates
import pytest
from conftest import RunningCloud

import playbooks

Body = dict[str, Any]

ROLES = {"principals": {"operator": [{"actions": ["*"]}], "reader": [{"actions": ["*/read"]}]}}
AGENT, PUBLISHER = "AzureMonitorLinuxAgent", "Microsoft.Azure.Monitor"
HEALTHY, ABSENT, BROKEN = (estates.machine_id(name, estates.RECOVERY) for name in ("healthy", "absent", "broken"))
MONITORING: Body = {"data_collection_rules": [{"id": playbooks.RULES["Linux"]}], "data_collection_endpoint_ids": [playbooks.ENDPOINT]}
ACCOUNT = {"automation_account_id": estates.ACCOUNT_ID}
ON = {"agentAutoUpdateStatus": "Enabled", "automationAccountArmId": estates.ACCOUNT_ID,
      "automationAccountAuthenticationType": "SystemAssignedIdentity"}
SICK = estates.health_error("151083", "The account cannot be used.", "It has no rights.", "Grant them.")


@dataclass(frozen=True)
class Case:
    """A module with a value of its state or action, and what check mode shall say: changes, nothing or refuses (in the words of `why`).

    others: what becomes of targets that are not treated like the others.
    """

    module: str
    value: str | None
    says: str
    args: Body = field(default_factory=dict)
    why: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    def run(self, cloud: RunningCloud) -> Body:
        option, _values = documented.chooser(self.module)
        given = {option: self.value} if option else {}
        return cloud.run_module(self.module, given | self.args, check=True, diff=True)


def extension(machine_id: str, **properties: Any) -> Body:
    return estates.resource(f"{machine_id}/extensions/{AGENT}", {
        "publisher": PUBLISHER, "type": AGENT, "typeHandlerVersion": "1.0", "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": True, "provisioningState": "Succeeded"} | properties, location=estates.RECOVERY)


def standing_machines() -> list[Body]:
    """Machines of the recovery region: one with all its monitoring, one with none, one whose agent has failed."""
    associations = f"{HEALTHY}/providers/Microsoft.Insights/dataCollectionRuleAssociations"
    return [
        *(body for one in (HEALTHY, ABSENT, BROKEN) for body in estates.machine(one.rpartition("/")[2], region=estates.RECOVERY)),
        extension(HEALTHY), extension(BROKEN, provisioningState="Failed"),
        estates.resource(f"{associations}/dcra", {"dataCollectionRuleId": playbooks.RULES["Linux"]}),
        estates.resource(f"{associations}/configurationAccessEndpoint", {"dataCollectionEndpointId": playbooks.ENDPOINT})]


@dataclass(frozen=True)
class Situation:
    """How an estate stands: resources beside those of playbooks.shop, the failover actions that were run on it, and the cases for it."""

    more: tuple[Body, ...]
    actions: tuple[str, ...]
    cases: tuple[Case, ...]


def failover(value: str, says: str, why: str = "", **args: Any) -> Case:
    return Case("asr_failover", value, says, args, why)


def reinstall(value: str, says: str, *machine_ids: str, others: Mapping[str, str] | None = None) -> Case:
    return Case("ama_reinstall", value, says, MONITORING | ({"machine_ids": list(machine_ids)} if machine_ids else {}),
                others=others or {})


SITUATIONS: dict[str, Situation] = {
    "ready": Situation(tuple(standing_machines()), (), (
        failover("test", "changes"), failover("test", "changes", replicated_items=[playbooks.WEB]),
        failover("test_cleanup", "nothing"), failover("unplanned", "changes"),
        failover("commit", "nothing"), failover("cancel", "nothing"),
        Case("asr_autoupdate", "enabled", "changes", ACCOUNT), Case("asr_autoupdate", "disabled", "nothing"),
        reinstall("present", "changes", HEALTHY, ABSENT, BROKEN, others={"healthy": "unchanged"}),
        reinstall("present", "nothing", HEALTHY),
        reinstall("absent", "changes", HEALTHY, ABSENT, BROKEN, others={"absent": "unchanged"}),
        reinstall("absent", "nothing", ABSENT),
        Case("asr_vault_info", None, "nothing"))),
    "a test failover stands": Situation((estates.mapping(estates.PRIMARY, details=ON), estates.mapping(estates.RECOVERY, details=ON)),
                                        ("test",), (
        failover("test", "nothing"), failover("test_cleanup", "changes"), failover("unplanned", "refuses", "test_cleanup"),
        failover("commit", "nothing"), failover("cancel", "nothing"),
        Case("asr_autoupdate", "enabled", "nothing"), Case("asr_autoupdate", "disabled", "changes"),
        reinstall("present", "changes"), reinstall("absent", "nothing"), Case("asr_vault_info", None, "nothing"))),
    "failed over": Situation((estates.mapping(estates.PRIMARY, details=ON, health="Critical", healthErrorDetails=[SICK]),
                              estates.mapping(estates.RECOVERY, details=ON)), ("unplanned",), (
        failover("test", "refuses", "commit"), failover("test_cleanup", "nothing"), failover("unplanned", "nothing"),
        failover("commit", "changes"), failover("cancel", "changes"),
        Case("asr_autoupdate", "enabled", "changes", others={estates.mapping_id(estates.RECOVERY).rpartition("/")[2]: "unchanged"}),
        reinstall("present", "changes"), Case("asr_vault_info", None, "nothing"))),
    "committed": Situation((), ("unplanned", "commit"), (
        failover("test", "refuses", "eprotect"), failover("unplanned", "nothing"), failover("commit", "nothing"),
        Case("asr_vault_info", None, "nothing"))),
}


def test_every_module_is_tried_in_every_state() -> None:
    tried = {(case.module, case.value, case.says) for situation in SITUATIONS.values() for case in situation.cases}
    missing = [f"{module} {value or ''}: no case that says {says}" for module in documented.MODULES
               for value in documented.chooser(module)[1] for says in (("nothing",) if module.endswith("_info") else ("changes", "nothing"))
               if (module, value, says) not in tried]
    assert missing == [], "SITUATIONS lacks the arguments for: " + "; ".join(missing)


@pytest.mark.parametrize("name", SITUATIONS)
def test_check_mode_foresees_what_there_is_to_do_and_only_reads(cloud: Callable[..., RunningCloud], name: str, tmp_path: Path) -> None:
    situation = SITUATIONS[name]
    running = cloud(playbooks.shop(*situation.more), permissions=ROLES, speed=3000)
    for action in situation.actions:
        prepared = running.run_module("asr_failover", {"action": action, "confirm": "shop"})
        assert prepared["changed"] and not prepared.get("failed"), prepared
    before = len(running.writes())
    running.environment["AZURE_CLIENT_ID"] = "reader"
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: case.run(running), situation.cases))
        changing = [(case, result) for case, result in zip(situation.cases, results, strict=True) if case.says == "changes"]
        second = list(pool.map(lambda pair: pair[0].run(running), changing))
    assert [(one["method"], one["path"]) for one in running.writes()[before:]] == []
    for case, result in zip(situation.cases, results, strict=True):
        check(case, result)
    assert [essence(result) for result in second] == [essence(result) for _case, result in changing]
    assert not list(tmp_path.rglob("*/.local/state/*")), "check mode wrote a backup"


def check(case: Case, result: Body) -> None:
    """What one check mode run said is what the case expects."""
    result.pop("invocation", None)
    told = f"{case.module} {case.value} {case.args}: {result}"
    assert "AuthorizationFailed" not in str(result), told
    if case.says == "refuses":
        assert result.get("failed") and case.why in result["msg"], told
        return
    assert not result.get("failed") and result["changed"] is (case.says == "changes"), told
    if case.says == "changes":
        assert result["diff"] and all(one["before"] != one["after"] for one in result["diff"]), told
        expected = {target["name"]: case.others.get(target["name"], "changed") for target in result["targets"]}
        assert {target["name"]: target["state"] for target in result["targets"]} == expected, told
    else:
        assert not result.get("diff"), told


def essence(result: Body) -> Body:
    """What two runs in the same state have in common: all but how long they took."""
    return {key: value for key, value in result.items() if key not in ("summary", "invocation")}
