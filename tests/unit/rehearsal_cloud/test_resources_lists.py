# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Subscriptions, resource groups, lists of resources, and types that nobody described."""

from __future__ import annotations

import pytest

GROUP = "/subscriptions/s1/resourceGroups/Web"
ACCOUNT = f"{GROUP}/providers/Microsoft.Automation/automationAccounts/auto"
RESOURCES = [
    {"id": f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web01", "location": "westus", "tags": {"App": "Shop"}, "properties": {}},
    {"id": f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net", "location": "westus", "properties": {"x": 1}},
    {
        "id": "/subscriptions/s1/resourceGroups/Db/providers/Microsoft.Compute/virtualMachines/db01",
        "location": "eastus",
        "tags": {"app": "other"},
        "properties": {},
    },
]


@pytest.fixture
def stocked(inside):
    inside.cloud.seed(RESOURCES)
    return inside


def names(answer):
    return [one["name"] for one in answer["value"]]


def test_subscriptions_groups_and_tenants(stocked):
    assert [one["subscriptionId"] for one in stocked.body("/subscriptions")["value"]] == ["s1"]
    assert stocked.body("/subscriptions/s1")["state"] == "Enabled"
    assert stocked.send("GET", "/subscriptions/s2").body["error"]["code"] == "SubscriptionNotFound"
    assert names(stocked.body("/subscriptions/s1/resourcegroups")) == ["Web", "Db"]
    assert stocked.body("/subscriptions/s1/resourcegroups/web")["location"] == "westus"
    assert stocked.body("/tenants")["value"][0]["tenantId"]


def test_a_group_is_made_and_takes_all_with_it(stocked):
    assert stocked.send("PUT", "/subscriptions/s1/resourcegroups/new", {"location": "westus"}).status == 201
    assert stocked.send("PUT", "/subscriptions/s1/resourcegroups/new", {"location": "westus"}).status == 200
    assert stocked.send("PUT", "/subscriptions/s1/resourcegroups/other", {}).status == 400
    assert [stocked.send("HEAD", f"{GROUP}{end}").status for end in ("", "2")] == [204, 404]
    assert stocked.send("DELETE", GROUP).status == 200
    assert stocked.send("GET", RESOURCES[0]["id"]).body["error"]["code"] == "ResourceGroupNotFound"
    assert stocked.send("DELETE", GROUP).status == 404


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("", ["web01", "net", "db01"]),
        ("resourceType eq 'microsoft.compute/virtualmachines'", ["web01", "db01"]),
        ("tagName eq 'app' and tagValue eq 'shop'", ["web01"]),
        ("tagName eq 'app'", ["web01", "db01"]),
        ("resourceType eq 'Microsoft.Compute/virtualMachines' and location eq 'eastus'", ["db01"]),
        ("name eq 'net' or name eq 'db01'", ["net", "db01"]),
    ],
)
def test_resources_are_listed_by_filter(stocked, filter_, expected):
    listed = stocked.body("/subscriptions/s1/resources", **{"$filter": filter_})
    assert names(listed) == expected
    assert all("properties" not in one for one in listed["value"])


def test_resources_of_a_group_page_by_page(stocked):
    first = stocked.body(f"{GROUP}/resources", **{"$top": "1"})
    assert names(first) == ["web01"]
    assert "skipToken" in first["nextLink"]
    assert names(stocked.body(f"{GROUP}/resources")) == ["web01", "net"]


def test_a_filter_that_is_not_understood_is_refused(stocked):
    assert stocked.send("GET", "/subscriptions/s1/resources", **{"$filter": "substringof('a', name)"}).status == 400


def test_any_type_can_be_read_and_written(stocked):
    thing = f"{GROUP}/providers/Contoso.Things/things/one"
    assert stocked.send("PUT", thing, {"properties": {"a": 1}}).status == 201
    assert stocked.body(thing)["properties"]["a"] == 1
    assert names(stocked.body(f"{GROUP}/providers/contoso.things/THINGS")) == ["one"]
    assert stocked.send("DELETE", thing).status == 200
    assert stocked.send("GET", thing).status == 404


def test_an_automation_account_gets_its_identity(stocked):
    body = {"location": "westus", "identity": {"type": "SystemAssigned"}, "properties": {"sku": {"name": "Basic"}}}
    assert stocked.send("PUT", ACCOUNT, body).status == 201
    assert stocked.body(ACCOUNT)["identity"]["principalId"]
    assert names(stocked.body(f"{GROUP}/providers/Microsoft.Automation/automationAccounts")) == ["auto"]
