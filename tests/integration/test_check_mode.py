# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Check mode of every module, in every value of its state or action: it foresees what a run would do, and needs no more than to read.

The modules sign in as one who may only read, so that a request for anything else would also fail; and who may not see what it may do, else
check mode would foresee that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import documented
import pytest
import runbook
from conftest import RunningCloud
from situations import SITUATIONS, Case

Body = dict[str, Any]

ROLES = {"principals": {"operator": [{"actions": ["*"]}], "reader": [{"actions": ["*/read"]}]}}


def test_every_module_is_tried_in_every_state() -> None:
    tried = {(case.module, case.value, case.says) for situation in SITUATIONS.values() for case in situation.cases}
    missing = [
        f"{module} {value or ''}: no case that says {says}"
        for module in documented.MODULES
        for value in documented.chooser(module)[1]
        for says in (("nothing",) if module.endswith("_info") else ("changes", "nothing"))
        if (module, value, says) not in tried
    ]
    assert missing == [], "SITUATIONS lacks the arguments for: " + "; ".join(missing)


@pytest.mark.parametrize("name", SITUATIONS)
def test_check_mode_foresees_what_there_is_to_do_and_only_reads(cloud: Callable[..., RunningCloud], name: str, tmp_path: Path) -> None:
    situation = SITUATIONS[name]
    running = cloud(runbook.shop(*situation.more), permissions=ROLES, speed=3000)
    for action in situation.actions:
        prepared = running.run_module("asr_failover", {"action": action, "confirm": "shop"})
        assert prepared["changed"] and not prepared.get("failed"), prepared
    for case in situation.before:
        prepared = running.run_module(case.module, {"state": case.value} | case.args)
        assert prepared["changed"] and not prepared.get("failed"), prepared
    before, kept = len(running.writes()), sorted(tmp_path.rglob(".local/state/**/*"))
    running.environment["AZURE_CLIENT_ID"] = "reader"
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: case.run(running), situation.cases))
        changing = [(case, result) for case, result in zip(situation.cases, results, strict=True) if case.says == "changes"]
        second = list(pool.map(lambda pair: pair[0].run(running), changing))
    assert [(one["method"], one["path"]) for one in running.writes()[before:]] == []
    for case, result in zip(situation.cases, results, strict=True):
        check(case, result)
    assert [essence(result) for result in second] == [essence(result) for _case, result in changing]
    assert sorted(tmp_path.rglob(".local/state/**/*")) == kept, "check mode wrote a journal"


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
