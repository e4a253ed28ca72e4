# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import asyncio

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import main
from azure.core.rest import HttpRequest

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


def test_a_call_that_answers_nothing_gives_nothing(place, talk):
    association = f"{MACHINE}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a"
    place.cloud.on("DELETE", association, Answer(204))

    async def work(azure):
        associations = azure.monitor().data_collection_rule_associations
        return await azure.read("remove association", association, associations.delete(resource_uri=MACHINE, association_name="a"))

    assert talk(work) == {}


def test_calls_side_by_side_each_get_their_own_answer(place, talk):
    names = [f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm{number}" for number in range(20)]
    for name in names:
        place.cloud.on("GET", name, Answer(body={"id": name}))

    async def one(azure, number):
        machines = azure.compute().virtual_machines
        return (await azure.read("read", names[number], machines.get(resource_group_name="rg", vm_name=f"vm{number}")))["id"]

    async def work(azure):
        return await asyncio.gather(*(one(azure, number) for number in range(20)))

    assert talk(work) == names


def test_another_subscription_has_its_own_client(place, talk):
    place.cloud.on("GET", EXTENSION.replace(SUBSCRIPTION, "other"), Answer(body={"name": "other"}))

    async def work(azure):
        return await azure.read("read", None, azure.compute("other").virtual_machine_extensions.get(**READ_EXTENSION))

    assert talk(work) == {"name": "other"}


def test_a_missing_resource_provider_is_never_registered_behind_the_users_back(place, talk):
    place.cloud.on("GET", EXTENSION, Answer(409, {"error": {"code": "MissingSubscriptionRegistration", "message": "Not registered."}}))

    async def work(azure):
        await azure.read("read", None, azure.compute().virtual_machine_extensions.get(**READ_EXTENSION))

    with pytest.raises(AzureError, match="Not registered"):
        talk(work)
    assert [seen.path for seen in place.cloud.seen if seen.method != "GET"] == [f"/{place.environ['AZURE_TENANT']}/oauth2/v2.0/token"]


def test_a_token_that_azure_refuses_is_renewed_once(place, talk):
    expired = Answer(401, {"error": {"code": "ExpiredAuthenticationToken", "message": "Too late."}})
    place.cloud.on("GET", GROUP, expired, Answer(body={"name": "rg"}), expired)

    async def work(azure):
        first = await azure.get("read the group", GROUP, "2022-09-01")
        with pytest.raises(AzureError, match=r"docs/sign-in\.md") as caught:
            await azure.get("read the group", GROUP, "2022-09-01")
        return first, caught.value.status

    assert talk(work) == ({"name": "rg"}, 401)
    assert len(place.cloud.asked("GET", GROUP)) == 4


@pytest.mark.parametrize(("method", "sent"), [("POST", 1), ("GET", 2)])
def test_after_a_5xx_only_what_does_no_harm_twice_is_sent_again(place, talk, method, sent):
    failing = Answer(500, {"error": {"code": "InternalServerError", "message": "No."}}, {"x-ms-retry-after-ms": "1"})
    place.cloud.on(method, f"{GROUP}/thing", failing, Answer(body={}))

    async def work(azure):
        await azure._untyped.send_request(HttpRequest(method, azure._untyped.format_url(f"{GROUP}/thing")))

    talk(work)
    assert len(place.cloud.asked(method, f"{GROUP}/thing")) == sent


def test_who_asks_to_wait_too_long_is_told_of(place, talk):
    place.cloud.on("GET", GROUP, Answer(429, {"error": {"code": "TooManyRequests", "message": "No."}}, {"Retry-After": "3600"}))

    async def work(azure):
        await azure.get("read the group", GROUP, "2022-09-01")

    with pytest.raises(AzureError, match="TooManyRequests"):
        talk(work)


class Module:
    """What ``main`` needs of an AnsibleModule."""

    def __init__(self, **params):
        self.params, self.warnings, self.ended, self._diff = params, [], None, False

    def warn(self, text):
        self.warnings.append(text)

    def exit_json(self, **result):
        self.ended = ("ok", result)

    def fail_json(self, **result):
        self.ended = ("failed", result)


@pytest.fixture
def environ(place, monkeypatch):
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)


def test_a_module_ends_with_what_the_work_gives(place, environ, tmp_path):
    async def work(azure):
        return {"changed": False, "subscription": azure.subscription_id}

    module = Module()
    main(module, work)
    assert module.ended == ("ok", {"changed": False, "subscription": SUBSCRIPTION})
    assert module.warnings == []


def test_a_module_warns_where_it_paces_alone(environ, monkeypatch):
    monkeypatch.setenv("AZURE_DR_PACING_FILE", "/dev/null/x")

    async def work(azure):
        return {}

    module = Module()
    main(module, work)
    assert "paced by this process alone" in module.warnings[0]


def test_a_module_fails_in_one_shape(place, environ):
    async def work(azure):
        return await azure.get("read the group", GROUP, "2022-09-01")

    module = Module()
    main(module, work)
    state, result = module.ended
    assert (state, result["error"]["code"], result["error"]["asked"]) == ("failed", "ResourceNotFound", "read the group")
    assert result["msg"].startswith("Could not read the group (/subscriptions/")
    assert "s3cret-value" not in str(result)


def test_wrong_input_is_refused_before_any_request(place, environ):
    async def work(azure):
        raise AssertionError

    module = Module(throttle_limits={"nope": {}})
    main(module, work)
    assert module.ended[1]["msg"].startswith("The option throttle_limits is 'nope'")
    assert place.cloud.seen == []


@pytest.mark.parametrize(
    ("package", "library"),
    [
        ("azure.mgmt.compute.aio", "(azure-mgmt-compute)"),
        ("azure.core.exceptions", "(azure-core)"),
        ("azure", "(azure-core)"),
        ("aiohttp", "(aiohttp)"),
    ],
)
def test_a_missing_library_is_named(environ, package, library):
    async def work(azure):
        raise ModuleNotFoundError(name=package)

    module = Module()
    main(module, work)
    assert library in module.ended[1]["msg"]
