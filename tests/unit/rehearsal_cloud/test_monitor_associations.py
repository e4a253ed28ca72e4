# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Data collection rules, endpoints and associations."""

from __future__ import annotations

import pytest

GROUP = "/subscriptions/s1/resourceGroups/Watch"
RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/Metrics"
ENDPOINT = f"{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/East"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web01"
ON_VM = f"{VM}/providers/Microsoft.Insights/dataCollectionRuleAssociations"


@pytest.fixture
def watched(inside):
    inside.cloud.seed([{"id": VM, "location": "eastus", "properties": {}}])
    inside.send(
        "PUT",
        RULE,
        {
            "location": "eastus",
            "properties": {
                "destinations": {
                    "logAnalytics": [{"name": "w", "workspaceResourceId": f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/w"}]
                }
            },
        },
    )
    inside.send("PUT", ENDPOINT, {"location": "eastus", "properties": {}})
    return inside


def link(rule=RULE, **more):
    return {"properties": {"dataCollectionRuleId": rule, **more}}


def test_a_rule_keeps_its_immutable_id_and_changes_its_etag(watched):
    first = watched.body(RULE)
    assert first["properties"]["immutableId"].startswith("dcr-")
    assert first["properties"]["destinations"]["logAnalytics"][0]["workspaceId"]
    watched.later(60)
    answer = watched.send("PUT", RULE, {"location": "eastus", "tags": {"a": "b"}, "properties": {"description": "new"}})
    second = answer.body
    assert answer.status == 200
    assert second["properties"]["immutableId"] == first["properties"]["immutableId"]
    assert "destinations" not in second["properties"]
    assert second["etag"] != first["etag"]
    assert second["systemData"]["createdAt"] == first["systemData"]["createdAt"] < second["systemData"]["lastModifiedAt"]
    assert watched.send("PATCH", RULE, {"tags": {"c": "d"}}).body["tags"] == {"c": "d"}


def test_an_endpoint_has_addresses(watched):
    properties = watched.body(ENDPOINT)["properties"]
    assert properties["immutableId"].startswith("dce-")
    assert properties["configurationAccess"]["endpoint"].startswith("https://east-")


def test_lists_end_with_a_null_link(watched):
    for scope in (GROUP, "/subscriptions/s1"):
        listed = watched.body(f"{scope}/providers/Microsoft.Insights/dataCollectionRules")
        assert [one["name"] for one in listed["value"]] == ["Metrics"]
        assert listed["nextLink"] is None


def test_an_association_is_replaced_by_every_put(watched):
    first = watched.send("PUT", f"{ON_VM}/Mine", link(description="old"))
    watched.later(60)
    second = watched.send("PUT", f"{ON_VM}/Mine", link())
    assert (first.status, second.status) == (200, 200)
    assert watched.body(f"{ON_VM}/Mine")["properties"] == {"dataCollectionRuleId": RULE}
    assert first.body["etag"] != second.body["etag"]
    assert first.body["systemData"]["createdAt"] < second.body["systemData"]["createdAt"]


def test_associations_are_listed_by_resource_by_rule_and_by_endpoint(watched):
    watched.send("PUT", f"{ON_VM}/Mine", link())
    watched.send("PUT", f"{ON_VM}/configurationAccessEndpoint", {"properties": {"dataCollectionEndpointId": ENDPOINT}})
    by_resource = watched.body(ON_VM)
    assert [one["name"] for one in by_resource["value"]] == ["Mine", "configurationAccessEndpoint"]
    assert by_resource["nextLink"] is None
    by_rule = watched.body(f"{RULE}/associations")["value"]
    assert by_rule == [
        {
            "properties": {"dataCollectionRuleId": RULE.lower()},
            "id": f"{ON_VM}/Mine".lower(),
            "name": "mine",
            "type": "Microsoft.Insights/dataCollectionRuleAssociations",
        }
    ]
    by_endpoint = watched.body(f"{ENDPOINT}/associations")["value"]
    assert [one["name"] for one in by_endpoint] == ["configurationAccessEndpoint"]


def test_an_association_goes_with_its_machine_and_can_be_deleted_once(watched):
    watched.send("PUT", f"{ON_VM}/Mine", link())
    assert [watched.send("DELETE", f"{ON_VM}/Mine").status for attempt in range(2)] == [200, 204]
    assert watched.send("GET", f"{ON_VM}/Mine").status == 404
    watched.send("PUT", f"{ON_VM}/Mine", link())
    watched.send("DELETE", VM)
    watched.later(86400)
    assert watched.body(f"{RULE}/associations")["value"] == []


@pytest.mark.parametrize(
    ("name", "properties", "status"),
    [
        ("Mine", {"dataCollectionRuleId": f"{RULE}-that-is-not-there"}, 404),
        ("Mine", {"dataCollectionEndpointId": ENDPOINT}, 400),
        ("Mine", {}, 400),
        ("configurationAccessEndpoint", {"dataCollectionRuleId": RULE}, 400),
        ("configurationAccessEndpoint", {"dataCollectionEndpointId": f"{ENDPOINT}-that-is-not-there"}, 404),
    ],
)
def test_what_cannot_be_associated(watched, name, properties, status):
    assert watched.send("PUT", f"{ON_VM}/{name}", {"properties": properties}).status == status
    assert watched.send("GET", f"{ON_VM}/{name}").status == 404


def test_no_association_on_a_machine_that_is_gone(watched):
    answer = watched.send("PUT", f"{ON_VM.replace('web01', 'web02')}/Mine", link())
    assert (answer.status, answer.body["error"]["code"]) == (404, "ResourceNotFound")


def test_a_rule_with_associations_stays_unless_they_go_too(watched):
    watched.send("PUT", f"{ON_VM}/Mine", link())
    assert watched.send("DELETE", RULE, deleteAssociations="false").status == 409
    assert watched.send("DELETE", RULE, deleteAssociations="true").status == 200
    assert watched.body(ON_VM)["value"] == []
    assert watched.send("DELETE", RULE).status == 204


def test_an_endpoint_is_deleted_as_it_is(watched):
    watched.send("PUT", f"{ON_VM}/configurationAccessEndpoint", {"properties": {"dataCollectionEndpointId": ENDPOINT}})
    assert watched.send("DELETE", ENDPOINT).status == 200
    assert watched.body(f"{ON_VM}/configurationAccessEndpoint")["properties"] == {"dataCollectionEndpointId": ENDPOINT}
    assert watched.send("DELETE", ENDPOINT).status == 204


def test_a_rule_needs_a_location(watched):
    assert watched.send("PUT", RULE, {"properties": {}}).status == 400
