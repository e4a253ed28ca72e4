# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError

from .conftest import EXTENSION, GROUP, MACHINE, SUBSCRIPTION, VAULT, Answer

AGENT = {
    "id": EXTENSION,
    "name": "agent",
    "properties": {"type": "Agent", "futureKnob": 1, "provisioningState": "Succeeded", "at": "2026-01-01T00:00:00Z"},
}
READ_EXTENSION = {"resource_group_name": "rg", "vm_name": "vm1", "vm_extension_name": "agent"}


def test_an_answer_comes_as_it_was_on_the_wire(place, talk):
    place.cloud.on("GET", EXTENSION, Answer(body=AGENT))
    association = {"id": f"{MACHINE}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a", "properties": {"futureKnob": [1]}}
    place.cloud.on("GET", association["id"], Answer(body=association))
    item = {
        "id": VAULT.replace("/subs", "/Subs"),
        "properties": {"futureKnob": {"a": None}, "providerSpecificDetails": {"instanceType": "New"}},
    }
    place.cloud.on("GET", f"{VAULT}/replicationFabrics/f", Answer(body=item))

    async def work(azure):
        return [
            await azure.read("read", None, azure.compute().virtual_machine_extensions.get(**READ_EXTENSION)),
            await azure.read(
                "read", None, azure.monitor().data_collection_rule_associations.get(resource_uri=MACHINE, association_name="a")
            ),
            await azure.read(
                "read", None, azure.site_recovery.replication_fabrics.get(resource_group_name="rg", resource_name="vault1", fabric_name="f")
            ),
            await azure.get("read", EXTENSION, "2024-07-01"),
        ]

    assert talk(work) == [AGENT, association, item, AGENT]


def _pages(last: Answer):
    more = {"nextLink": "{url}/more"}
    return [Answer(body={"value": [AGENT], **more}), Answer(body={"value": [], **more}), last]


LISTS = {
    "compute": (
        f"{GROUP}/providers/Microsoft.Compute/virtualMachines",
        lambda azure: azure.compute().virtual_machines.list(resource_group_name="rg"),
    ),
    "site recovery": (
        f"{VAULT}/replicationProtectedItems",
        lambda azure: azure.site_recovery.replication_protected_items.list(resource_group_name="rg", resource_name="vault1"),
    ),
    "monitor": (
        f"{MACHINE}/providers/Microsoft.Insights/dataCollectionRuleAssociations",
        lambda azure: azure.monitor().data_collection_rule_associations.list_by_resource(resource_uri=MACHINE),
    ),
    "untyped": (f"/subscriptions/{SUBSCRIPTION}/vaults", None),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_whole_whatever_its_pages(place, talk, kind):
    path, pager = LISTS[kind]
    first, *more = _pages(Answer(body={"value": [AGENT, AGENT], "nextLink": None}))
    place.cloud.on("GET", path, first)
    place.cloud.on("GET", "/more", more[0], Answer(429, {"error": {"code": "TooManyRequests"}}, {"x-ms-retry-after-ms": "20"}), more[1])

    async def work(azure):
        found = await (azure.collect("list", None, pager(azure)) if pager else azure.list("list", path, "2024-01-01"))
        return found, azure.pacer.throttled_requests

    assert talk(work) == ([AGENT] * 3, 1)


@pytest.mark.parametrize("kind", LISTS)
def test_a_failing_page_is_never_a_short_list(place, talk, kind):
    path, pager = LISTS[kind]
    place.cloud.on("GET", path, _pages(Answer())[0])
    place.cloud.on("GET", "/more", Answer(403, {"error": {"code": "AuthorizationFailed", "message": "No."}}))

    async def work(azure):
        await (azure.collect("list things", "id", pager(azure)) if pager else azure.list("list things", path, "2024-01-01"))

    with pytest.raises(AzureError) as caught:
        talk(work)
    assert (caught.value.status, caught.value.code, caught.value.asked) == (403, "AuthorizationFailed", "list things")
