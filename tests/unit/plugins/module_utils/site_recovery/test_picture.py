# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The picture of a vault: what is worked out, what the filters leave, how it sums up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import picture
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.picture import Filters

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
VAULT = "/Subscriptions/1/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"


def item(
    name: str, fabric: str = "neu", health: str = "Normal", tested: str | None = None, update: bool = False, **more: Any
) -> dict[str, Any]:
    identifier = f"{VAULT}/replicationFabrics/{fabric}/replicationProtectionContainers/c/replicationProtectedItems/{name}"
    return {
        "id": identifier,
        "name": name,
        "properties": {
            "friendlyName": f"vm-{name}",
            "protectionState": "Protected",
            "replicationHealth": health,
            "providerSpecificDetails": {"instanceType": "A2A", "rpoInSeconds": len(name) * 100, "isReplicationAgentUpdateRequired": update},
            **({"lastSuccessfulTestFailoverTime": tested} if tested else {}),
            **more,
        },
    }


def plan(name: str, *members: str) -> dict[str, Any]:
    boot = [
        {
            "groupType": "Boot",
            "replicationProtectedItems": [{"id": item(one)["id"], "virtualMachineId": "x"}],
            "startGroupActions": [{"actionName": "check the database"}],
            "endGroupActions": [],
        }
        for one in members
    ]
    other = [
        {"groupType": kind, "replicationProtectedItems": [], "startGroupActions": [], "endGroupActions": []}
        for kind in ("Shutdown", "Failover")
    ]
    return {"id": f"{VAULT}/replicationRecoveryPlans/{name}", "name": name, "properties": {"friendlyName": name, "groups": other + boot}}


WIRES = {
    "replicated_items": [
        item("a", tested="2026-10-01T12:00:00.1234567Z"),
        item("bb", health="Critical", update=True),
        item("moved", fabric="weu", protectionState="UnplannedFailoverCommitPending"),
    ],
    "recovery_plans": [plan("shop", "bb", "moved"), plan("other", "a")],
}


def shown(max_age_days: int = 180, **filters: Any) -> dict[str, Any]:
    return picture.show(WIRES, Filters(**filters), NOW, max_age_days)


def names(**filters: Any) -> list[str]:
    return [one["name"] for one in shown(**filters)["replicated_items"]]


def test_the_age_of_the_last_test_failover_and_whether_the_next_is_due():
    tested, never, _moved = shown(max_age_days=31)["replicated_items"]
    assert (tested["days_since_test_failover"], tested["test_failover_due"]) == (31, True)
    assert (never["days_since_test_failover"], never["test_failover_due"]) == (None, True)
    assert not shown(max_age_days=32)["replicated_items"][0]["test_failover_due"]


def test_filters():
    assert names() == ["a", "bb", "moved"]
    assert names(health=["critical", "Warning"]) == ["bb"]
    assert names(protection_state=["UnplannedFailoverCommitPending"]) == ["moved"]
    assert names(replicated_items=["vm-a", "BB"], health=["Normal"]) == ["a"]


def test_the_items_of_a_plan_are_found_where_a_reprotect_moved_them():
    assert names(recovery_plan="SHOP") == ["bb", "moved"]
    assert [one["name"] for one in shown(recovery_plan=f"{VAULT}/replicationRecoveryPlans/shop")["recovery_plans"]] == ["shop"]


def test_what_is_named_and_not_there_is_an_error():
    with pytest.raises(AzureDRError, match=r"no recovery plan typo in the vault. There are: other, shop"):
        shown(recovery_plan="typo")
    with pytest.raises(AzureDRError, match="no replicated item typo"):
        shown(replicated_items=["typo"])


def test_the_groups_of_a_plan_are_numbered_as_the_portal_does():
    groups = shown()["recovery_plans"][0]["groups"]
    assert [(group["name"], [one["friendly_name"] for one in group["replicated_items"]]) for group in groups] == [
        ("Shutdown", []),
        ("Failover", []),
        ("Group 1", ["vm-bb"]),
        ("Group 2", ["vm-moved"]),
    ]
    assert groups[2]["start_actions"] == ["check the database"]


def test_the_summary_counts_what_is_shown():
    assert picture.summary(shown() | {"jobs": [{"state": "Failed"}, {"state": "Failed"}]}) == {
        "replicated_items": 3,
        "protection_states": {"Protected": 2, "UnplannedFailoverCommitPending": 1},
        "replication_health": {"Normal": 2, "Critical": 1},
        "max_rpo_seconds": 500,
        "agent_updates_required": ["vm-bb"],
        "test_failovers_due": ["vm-bb", "vm-moved"],
        "jobs": {"Failed": 2},
    }
    assert picture.summary({"fabrics": []}) == {}


def test_a_policy_is_told_in_snake_case_and_a_mapping_of_vmm_without_details_is_too():
    wires = {
        "policies": [
            {
                "id": "/p",
                "name": "p",
                "properties": {"friendlyName": "p", "providerSpecificDetails": {"instanceType": "A2A", "recoveryPointHistory": 1440}},
            }
        ],
        "container_mappings": [{"id": "/m", "name": "m", "properties": {"providerSpecificDetails": None, "state": "Paired"}}],
    }
    found = picture.show(wires, Filters(), NOW, 180)
    assert found["policies"][0]["settings"] == {"recovery_point_history": 1440}
    assert found["container_mappings"][0]["provider"] is None
