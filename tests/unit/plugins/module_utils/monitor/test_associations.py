# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""associations: which rules and endpoint a machine is to be associated with, and what is missing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import associations
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor.associations import Associations, Endpoint, Place, Rule, Seen, parse

GROUP = "/subscriptions/s/resourceGroups/g/providers"
WEB = Target(f"{GROUP}/Microsoft.Compute/virtualMachines/web", "web")
RULE, OTHER = f"{GROUP}/Microsoft.Insights/dataCollectionRules/rule", f"{GROUP}/Microsoft.Insights/dataCollectionRules/other"
NEAR, FAR = f"{GROUP}/Microsoft.Insights/dataCollectionEndpoints/near", f"{GROUP}/Microsoft.Insights/dataCollectionEndpoints/far"
LINUX = Place("westeurope", "linux")
ENDPOINTS = [Endpoint(FAR, "northeurope"), Endpoint(NEAR, "westeurope")]


def association(name: str, rule: str | None = None, endpoint: str | None = None, description: str | None = None) -> Any:
    links = {"dataCollectionRuleId": rule, "dataCollectionEndpointId": endpoint, "description": description}
    return parse(
        {
            "id": f"{WEB.id}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{name}",
            "name": name,
            "properties": {name: value for name, value in links.items() if value},
        }
    )


def step(rules: list[Rule], endpoints: list[Endpoint] | None = None, state: str = "present") -> Associations:
    return Associations(None, state, rules, endpoints or [], lambda target: LINUX)


def sent(plan: list[Any]) -> list[tuple[str, str, Any]]:
    return [(action.requests[0][0], action.data[0], (action.data[1] or {}).get("properties")) for action in plan]


def test_missing_associations_are_put_under_the_names_of_the_pattern() -> None:
    rules = [Rule(RULE), Rule(OTHER, "linux", "{machine}.{rule_resource_group}.{os_type}")]
    assert sent(step(rules, ENDPOINTS).plan(WEB, Seen((), LINUX))) == [
        ("PUT", "dcra-rule", {"dataCollectionRuleId": RULE}),
        ("PUT", "web.g.linux", {"dataCollectionRuleId": OTHER}),
        ("PUT", "configurationAccessEndpoint", {"dataCollectionEndpointId": NEAR}),
    ]


def test_rules_for_the_other_system_are_left_out() -> None:
    assert step([Rule(RULE, "windows")]).plan(WEB, Seen((), LINUX)) == []


def test_one_that_is_there_counts_whatever_its_name_and_letter_case() -> None:
    seen = Seen((association("mine", RULE.lower()), association("configurationAccessEndpoint", endpoint=NEAR.upper())), LINUX)
    assert step([Rule(RULE)], ENDPOINTS).plan(WEB, seen) == []


def test_an_endpoint_of_the_old_region_is_replaced_and_a_description_kept() -> None:
    seen = Seen((association("ConfigurationAccessEndpoint", endpoint=FAR, description="By hand."),), LINUX)
    [action] = step([], ENDPOINTS).plan(WEB, seen)
    assert action.text == "associate near in the place of far"
    assert sent([action]) == [("PUT", "ConfigurationAccessEndpoint", {"dataCollectionEndpointId": NEAR, "description": "By hand."})]


def test_a_region_without_an_endpoint_is_told() -> None:
    with pytest.raises(AzureDRError, match=r"westeurope.*northeurope"):
        step([], ENDPOINTS[:1]).plan(WEB, Seen((), LINUX))


def test_two_rules_of_one_name_need_names_of_their_own() -> None:
    twin = RULE.replace("/g/", "/h/")
    with pytest.raises(AzureDRError, match="association_name"):
        step([Rule(RULE), Rule(twin)]).plan(WEB, Seen((), LINUX))
    assert len(step([Rule(RULE), Rule(twin, pattern="{rule_resource_group}-{rule}")]).plan(WEB, Seen((), LINUX))) == 2


def test_absent_takes_away_the_given_ones_only() -> None:
    endpoint = association("configurationAccessEndpoint", endpoint=FAR)
    seen = Seen((association("mine", RULE), association("theirs", OTHER), endpoint), LINUX)
    absent = step([Rule(RULE)], ENDPOINTS, "absent")
    assert sent(absent.plan(WEB, seen)) == [("DELETE", "mine", None), ("DELETE", "configurationAccessEndpoint", None)]
    assert [one["name"] for one in absent.wanted(WEB, seen)["associations"]] == ["theirs"]
    assert absent.plan(WEB, Seen((association("theirs", OTHER),), LINUX)) == []


def test_what_will_be_is_what_is_with_the_missing() -> None:
    seen = Seen((association("theirs", OTHER),), LINUX)
    assert step([Rule(RULE)]).wanted(WEB, seen) == {
        "associations": [
            {"name": "dcra-rule", "data_collection_rule_id": RULE, "data_collection_endpoint_id": None},
            {"name": "theirs", "data_collection_rule_id": OTHER, "data_collection_endpoint_id": None},
        ]
    }


@pytest.mark.parametrize(
    ("given", "pattern", "names"),
    [
        ([{"id": NEAR}], "{rule}", "data_collection_rules.id"),
        ([{"id": RULE}, {"id": RULE.upper()}], "{rule}", "twice"),
        ([{"id": RULE}], "{vm}", "association_name"),
        ([{"id": RULE}], "{rule", "association_name"),
        ([{"id": RULE}], "{rule.id}", "association_name"),
        ([{"id": RULE}], "{}", "association_name"),
        ([{"id": RULE}], "", "association_name"),
        ([{"id": RULE}], "configurationaccessendpoint", "association_name"),
        ([{"id": RULE, "association_name": "a/b"}], "{rule}", "data_collection_rules.association_name"),
    ],
)
def test_wrong_rules_are_refused(given: list[dict[str, Any]], pattern: str, names: str) -> None:
    with pytest.raises(InputError, match=names):
        associations.rules(given, pattern)


class FakeAzure:
    """Rules and endpoints by id."""

    def __init__(self, **found: Any) -> None:
        self.found, self.reads = found, 0

    def monitor(self, subscription: str) -> FakeAzure:
        return self

    @property
    def data_collection_rules(self) -> FakeAzure:
        return self

    data_collection_endpoints = data_collection_rules

    def get(self, group: str, name: str) -> str:
        return name

    async def read(self, asked: str, resource_id: str, name: str) -> Any:
        self.reads += 1
        if isinstance(self.found.get(name), int) or name not in self.found:
            raise AzureError(asked, resource_id, status=self.found.get(name, 404))
        return self.found[name]


def test_kind_and_region_are_read_once_for_each() -> None:
    azure = FakeAzure(rule={"kind": "Windows"}, other={}, near={"location": "West Europe"})
    rules, endpoints = asyncio.run(associations.existing(azure, [Rule(RULE), Rule(OTHER)], [Endpoint(NEAR)]))
    assert [rule.os_type for rule in rules] == ["windows", "any"] and endpoints == [Endpoint(NEAR, "westeurope")] and azure.reads == 3
    [rule], none = asyncio.run(associations.existing(azure, [Rule(RULE, "linux")], []))
    assert rule.os_type == "linux" and none == []


def test_a_rule_that_is_not_there_is_named_and_one_that_cannot_be_read_is_no_absent_one() -> None:
    with pytest.raises(AzureDRError, match=f"There is no data collection rule {RULE}"):
        asyncio.run(associations.existing(FakeAzure(), [Rule(RULE)], []))
    with pytest.raises(AzureError, match="403"):
        asyncio.run(associations.existing(FakeAzure(rule=403), [Rule(RULE)], []))


class Lists:
    """The associations of rules and endpoints by name, in the form in which Azure lists them; a status in their place refuses the list."""

    def __init__(self, **found: Any) -> None:
        self.found, self.reads = found, 0

    def monitor(self, subscription: str) -> Lists:
        return self

    @property
    def data_collection_rule_associations(self) -> Lists:
        return self

    def list_by_rule(self, group: str, name: str) -> str:
        return name

    list_by_data_collection_endpoint = list_by_rule

    async def collect(self, asked: str, resource_id: str, name: str) -> list[Any]:
        self.reads += 1
        if isinstance(self.found[name], int):
            raise AzureError(asked, resource_id, status=self.found[name])
        return self.found[name]


def listed(link: str, linked: str) -> list[Any]:
    name = "configurationAccessEndpoint" if link == "dataCollectionEndpointId" else "mine"
    return [
        {"id": f"{WEB.id}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{name}", "name": name, "properties": {link: linked}}
    ]


def foretold(azure: Lists, number: int = associations.MANY, place: Place = LINUX) -> tuple[Associations, Seen | None]:
    step = Associations(azure, "present", [Rule(RULE)], ENDPOINTS, lambda target: place)
    asyncio.run(step.prepare([WEB] * number))
    return step, step.foretell(Target(WEB.id.upper(), "web"))


def test_of_many_machines_the_lists_of_the_rules_and_endpoints_tell_what_is_missing() -> None:
    by_rule = [{**one, "id": one["id"].lower()} for one in listed("dataCollectionRuleId", RULE.lower())]
    azure = Lists(rule=by_rule, near=listed("dataCollectionEndpointId", NEAR), far=[])
    step, seen = foretold(azure)
    assert seen and step.plan(WEB, seen) == [] and azure.reads == 3
    other = step.foretell(Target(f"{WEB.id}2", "web2"))
    assert other and [action.text for action in step.plan(WEB, other)] == ["associate rule", "associate near"]


def test_machines_are_looked_at_where_lists_do_not_tell_or_do_not_pay() -> None:
    assert foretold(Lists(rule=[], near=403, far=[]))[1] is None
    azure = Lists(rule=[], near=[], far=[])
    assert foretold(azure, associations.MANY - 1)[1] is None and azure.reads == 0
    assert foretold(azure, place=Place("westeurope", "linux", associations.Source("northeurope", ())))[1] is None


def restoring(region: str, *had: Any, rules: Any = (), endpoints: Any = ()) -> tuple[Associations, Place]:
    """The step for a machine in West Europe whose source, in `region`, had those associations; and the machine's place."""
    record = {"region": region, "associations": [associations.recorded(one) for one in had]}
    place = Place("westeurope", "linux", associations.source(record))
    return Associations(None, "present", rules, endpoints, lambda target: place), place


def test_what_the_source_had_comes_back_under_its_names_with_the_endpoint_of_the_own_region() -> None:
    had = [association("mine", RULE, description="By hand."), association("configurationAccessEndpoint", endpoint=FAR, description="Ours.")]
    step, place = restoring("northeurope", *had, rules=[Rule(RULE), Rule(OTHER)], endpoints=ENDPOINTS)
    assert sent(step.plan(WEB, Seen((), place))) == [
        ("PUT", "mine", {"dataCollectionRuleId": RULE, "description": "By hand."}),
        ("PUT", "dcra-other", {"dataCollectionRuleId": OTHER}),
        ("PUT", "configurationAccessEndpoint", {"dataCollectionEndpointId": NEAR, "description": "Ours."}),
    ]
    there = (association("other-name", RULE.upper()), association("x", OTHER), association("configurationAccessEndpoint", endpoint=NEAR))
    seen = Seen(there, place)
    assert step.plan(WEB, seen) == [] and step.refused(WEB, seen) is None
    rows = step.table(WEB, step.view(seen)["associations"])
    assert [(row["name"], row["before"], row["after"], row["missing"]) for row in rows] == [
        ("other-name", RULE, RULE.upper(), None),
        ("configurationAccessEndpoint", FAR, NEAR, None),
    ]
    assert [row["missing"] for row in step.table(WEB, [])] == ["it is not there"] * 2


@pytest.mark.parametrize(
    ("region", "endpoints", "had", "associated"),
    [
        ("northeurope", ENDPOINTS, None, None),  # the source had none
        ("westeurope", [], FAR, FAR),  # the source is in the same region
        ("westeurope", ENDPOINTS, FAR, NEAR),
    ],
)
def test_an_endpoint_is_restored_only_where_the_source_had_one(region: str, endpoints: Any, had: Any, associated: Any) -> None:
    step, place = restoring(region, *([association("configurationAccessEndpoint", endpoint=had)] if had else []), endpoints=endpoints)
    plan = sent(step.plan(WEB, Seen((), place)))
    assert [body["dataCollectionEndpointId"] for _method, _name, body in plan] == ([associated] if associated else [])
    assert step.refused(WEB, Seen((), place)) is None


@pytest.mark.parametrize("endpoints", [[], ENDPOINTS[:1]])
def test_without_an_endpoint_for_the_region_all_else_is_restored_and_it_is_said_what_is_missing(endpoints: Any) -> None:
    had = [association("mine", RULE), association("configurationAccessEndpoint", endpoint=FAR)]
    step, place = restoring("northeurope", *had, endpoints=endpoints)
    assert [name for _method, name, _body in sent(step.plan(WEB, Seen((), place)))] == ["mine"]
    told = str(step.refused(WEB, Seen((), place)))
    assert all(word in told for word in ("far", "northeurope", "westeurope", "data_collection_endpoint_ids"))
    assert "no data collection endpoint" in step.table(WEB, [])[1]["missing"]
