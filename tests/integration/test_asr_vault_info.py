# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""asr_vault_info against the rehearsal cloud."""

from __future__ import annotations

import estates
import pytest

ITEMS = "*/replicationProtectedItems"


def job(name: str, state: str, ended: str | None) -> dict:
    error = {
        "serviceErrorDetails": {
            "code": "150097",
            "message": "It failed.",
            "possibleCauses": "The quota is used up.",
            "recommendedAction": "Ask for more.",
        },
        "providerErrorDetails": None,
        "taskId": "t1",
    }
    return estates.resource(
        f"{estates.ASR}/replicationJobs/{name}",
        {
            "scenarioName": "TestFailover",
            "friendlyName": "Test failover",
            "state": state,
            "stateDescription": state,
            "tasks": [],
            "errors": [error] if state == "Failed" else [],
            "startTime": "2026-01-01T08:00:00.1234567Z",
            "allowedActions": [],
            "targetObjectId": "x",
            "targetObjectName": "shop-web-01",
            "targetInstanceType": "ProtectionEntity",
            "customDetails": None,
        }
        | ({"endTime": ended} if ended else {}),
    )


def test_the_whole_picture_of_the_only_vault(cloud):
    running = cloud(estates.estate(plans={"shop": [["shop-web-01"], ["shop-web-02"]]}))
    result = running.run_module("asr_vault_info", {})
    assert not result.get("failed"), result["msg"]
    assert result["changed"] is False
    assert (result["vault"]["name"], result["vault"]["location"]) == ("rsv-dr-weu", "westeurope")
    sizes = {"fabrics": 2, "containers": 2, "container_mappings": 2, "policies": 1, "network_mappings": 2, "jobs": 0}
    assert {part: len(result[part]) for part in sizes} == sizes
    web = next(item for item in result["replicated_items"] if item["friendly_name"] == "shop-web-01")
    assert (web["protection_state"], web["rpo_seconds"], web["current_job"]) == ("Protected", 95, None)
    assert "TestFailover" in web["allowed_operations"]
    assert web["recovery_vm_id"] == estates.machine_id("shop-web-01", estates.RECOVERY)
    groups = {
        group["name"]: [item["friendly_name"] for item in group["replicated_items"]] for group in result["recovery_plans"][0]["groups"]
    }
    assert groups == {"Shutdown": [], "Failover": [], "Group 1": ["shop-web-01"], "Group 2": ["shop-web-02"]}
    assert result["summary"]["test_failovers_due"] == ["shop-web-01", "shop-web-02"]
    assert not running.writes()


def test_only_what_is_asked_for_is_read(cloud):
    running = cloud(estates.estate())
    result = running.run_module("asr_vault_info", {"include": ["policies"], "vault_id": estates.VAULT_ID})
    assert set(result) & {"fabrics", "jobs", "replicated_items", "policies"} == {"policies"}
    assert sum("/replication" in one["path"] for one in running.traffic()) == 1


def test_the_vault_of_another_subscription_than_the_sign_ins(cloud):
    running = cloud(estates.estate())
    result = running.run_module("asr_vault_info", {"vault_id": estates.VAULT_ID, "subscription_id": "99999999-0000-0000-0000-000000000000"})
    assert len(result["replicated_items"]) == 2


def test_a_list_that_is_throttled_on_its_second_page_is_waited_for_and_whole(cloud):
    many = [estates.item(f"vm-{number:03}") for number in range(250)]
    fault = {
        "match": {"method": "GET", "path": ITEMS, "query": {"$skipToken": "*"}},
        "count": 1,
        "do": {"status": 429, "headers": {"Retry-After": "1"}},
    }
    running = cloud(estates.estate([], None, *many), faults=[fault])
    result = running.run_module("asr_vault_info", {"include": ["replicated_items"]})
    assert result["summary"]["replicated_items"] == len(result["replicated_items"]) == 250
    assert [one["status"] for one in running.traffic() if "replicationProtectedItems" in one["path"]].count(429) == 1


@pytest.mark.parametrize("after", [0, 1])
def test_a_list_that_is_refused_is_an_error_on_whatever_page(cloud, after):
    many = [estates.item(f"vm-{number:03}") for number in range(150)]
    running = cloud(
        estates.estate([], None, *many),
        faults=[
            {
                "match": {"path": ITEMS},
                "after": after,
                "do": {"status": 403, "body": {"error": {"code": "AuthorizationFailed", "message": "Not yours"}}},
            }
        ],
    )
    result = running.run_module("asr_vault_info", {})
    assert result["failed"] and "replicated_items" not in result
    assert (result["error"]["asked"], result["error"]["status"]) == ("list the replicated items", 403)
    assert "Not yours" in result["msg"]


def test_a_failed_job_says_why_and_an_old_one_is_left_out_unless_asked_for(cloud):
    more = [job("old", "Failed", "2026-01-01T09:00:00Z"), job("runs", "InProgress", None), job("done", "Succeeded", "2026-01-01T09:00:00Z")]
    running = cloud(estates.estate([], None, *more))
    result = running.run_module("asr_vault_info", {"include": ["jobs"]})
    assert [one["name"] for one in result["jobs"]] == ["runs"]
    result = running.run_module("asr_vault_info", {"include": ["jobs"], "job_state": ["failed"], "job_max_age_hours": 0})
    assert [(one["name"], one["errors"][0]["recommended_action"]) for one in result["jobs"]] == [("old", "Ask for more.")]


def test_filters(cloud):
    critical = estates.item("shop-web-02", replicationHealth="Critical", details={"isReplicationAgentUpdateRequired": True})
    tested = estates.item("shop-web-01", lastSuccessfulTestFailoverTime="2999-01-01T00:00:00Z")
    running = cloud(estates.estate(("shop-web-01", "shop-web-02"), {"shop": [["shop-web-01"]]}, critical, tested))

    def names(**options: object) -> list[str]:
        result = running.run_module("asr_vault_info", {"include": ["replicated_items"], **options})
        return [item["friendly_name"] for item in result["replicated_items"]]

    assert names(health=["Critical"]) == ["shop-web-02"]
    assert names(recovery_plan="shop") == ["shop-web-01"]
    assert names(replicated_items=[estates.machine_id("shop-web-02")]) == ["shop-web-02"]
    summary = running.run_module("asr_vault_info", {"include": ["replicated_items"]})["summary"]
    assert summary["agent_updates_required"] == summary["test_failovers_due"] == ["shop-web-02"]


def test_what_is_not_there_is_named_with_what_is(cloud):
    running = cloud(estates.estate(plans={"shop": [["shop-web-01"]]}))
    assert "There are: shop-web-01, shop-web-02" in running.run_module("asr_vault_info", {"replicated_items": ["typo"]})["msg"]
    assert "There are: shop." in running.run_module("asr_vault_info", {"recovery_plan": "typo"})["msg"]
    assert "rsv-dr-weu" in running.run_module("asr_vault_info", {"vault_name": "typo"})["msg"]


def test_of_several_vaults_none_is_guessed(cloud):
    running = cloud(estates.estate([], None, estates.vault("rsv-other")))
    result = running.run_module("asr_vault_info", {})
    assert result["failed"] and "rsv-dr-weu" in result["msg"] and "rsv-other" in result["msg"]
    assert running.run_module("asr_vault_info", {"vault_name": "rsv-dr-weu"})["vault"]["name"] == "rsv-dr-weu"


def test_a_wrong_vault_id_is_refused_before_any_request(cloud):
    running = cloud(estates.estate([]))
    result = running.run_module("asr_vault_info", {"vault_id": estates.VAULT_ID.removesuffix("/rsv-dr-weu")})
    assert result["failed"] and "vault_id" in result["msg"]
    assert running.traffic() == []
