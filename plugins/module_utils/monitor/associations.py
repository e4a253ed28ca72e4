# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Associations of a machine with data collection rules, and with the data collection endpoint of its region."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View

RULE = "Microsoft.Insights/dataCollectionRules"
ENDPOINT = "Microsoft.Insights/dataCollectionEndpoints"
ENDPOINT_ASSOCIATION = "configurationAccessEndpoint"  # the only name it can have (Azure API document, data collection rule associations)
PATTERN = "dcra-{rule}"
# From so many machines on, looking at each takes longer than the burst of the read limit lasts (arm/pacing.py: 250, two a machine).
MANY = 100
PLACEHOLDERS = ("rule", "rule_resource_group", "machine", "os_type")


@dataclass(frozen=True)
class Rule:
    """A data collection rule for machines of `os_type` ("windows", "linux", "any"; None as long as the rule's kind is not known), and the
    pattern of its associations' names."""

    id: str
    os_type: str | None = None
    pattern: str = PATTERN

    def name_on(self, machine: str, os_type: str | None) -> str:
        parsed = ids.parse(self.id)
        return self.pattern.format(rule=parsed.name, rule_resource_group=parsed.resource_group, machine=machine, os_type=os_type or "")


@dataclass(frozen=True)
class Endpoint:
    """A data collection endpoint; region as "westeurope", "" before it was read."""

    id: str
    region: str = ""


@dataclass(frozen=True)
class Association:
    id: str
    name: str
    rule_id: str | None
    endpoint_id: str | None
    description: str | None

    def view(self) -> View:
        return {"name": self.name, "data_collection_rule_id": self.rule_id, "data_collection_endpoint_id": self.endpoint_id}


@dataclass(frozen=True)
class Source:
    """The associations that a machine is to get back, and the region of the machine that had them."""

    region: str
    associations: tuple[Association, ...]

    @property
    def endpoint_id(self) -> str | None:
        return next((one.endpoint_id for one in self.associations if one.endpoint_id), None)


@dataclass(frozen=True)
class Place:
    """What decides about a machine's associations: where it is, its operating system ("windows" or "linux"), and what it is to get back
    (None: only what is asked for; else the endpoints asked for are only those to choose from)."""

    region: str
    os_type: str | None
    source: Source | None = None


@dataclass(frozen=True)
class Seen:
    associations: tuple[Association, ...]
    place: Place

    def with_rule(self, rule_id: str) -> bool:
        return any(ids.same(one.rule_id, rule_id) for one in self.associations)


def rules(given: Sequence[dict[str, Any]], pattern: str) -> list[Rule]:
    """The rules in the option data_collection_rules. Raises InputError for a wrong id, a wrong pattern, a rule that is given twice."""
    found: list[Rule] = []
    for one in given:
        rule_id = ids.require("data_collection_rules.id", one["id"], RULE).id
        option, text = (
            ("data_collection_rules.association_name", one["association_name"])
            if one.get("association_name")
            else ("association_name", pattern)
        )
        rule = Rule(rule_id, one.get("os_type"), text)
        try:
            name = rule.name_on("machine", "os")
        except (KeyError, IndexError, ValueError, AttributeError):
            name = ""
        if not name or name.lower() == ENDPOINT_ASSOCIATION.lower() or "/" in name:
            placeholders = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise InputError(option, text, f"the name of an association, in which {placeholders} can stand, and not {ENDPOINT_ASSOCIATION}")
        if any(ids.same(rule.id, other.id) for other in found):
            raise InputError("data_collection_rules.id", one["id"], "a rule that is not in the list twice")
        found.append(rule)
    return found


def endpoints(given: Sequence[str]) -> list[Endpoint]:
    """The endpoints in the option data_collection_endpoint_ids. Raises InputError for a wrong id."""
    return [Endpoint(ids.require("data_collection_endpoint_ids", one, ENDPOINT).id) for one in given]


async def existing(azure: Any, rules: Sequence[Rule], endpoints: Sequence[Endpoint]) -> tuple[list[Rule], list[Endpoint]]:
    """The rules with the operating system that they are for, the endpoints with their region: each read once.

    A rule's kind ("Windows" or "Linux") is taken where no os_type was given. Raises AzureDRError that names what is not there.
    """

    async def read(kind: str, type_name: str, resource_id: str) -> dict[str, Any]:
        parsed = ids.parse(resource_id)
        operations = getattr(azure.monitor(parsed.subscription), type_name)
        try:
            return await azure.read(f"read the data collection {kind}", resource_id, operations.get(parsed.resource_group, parsed.name))
        except AzureError as error:
            if error.absent:
                raise AzureDRError(f"There is no data collection {kind} {resource_id}. Nothing was changed.") from error
            raise

    read_rules, read_endpoints = await asyncio.gather(
        asyncio.gather(*(read("rule", "data_collection_rules", rule.id) for rule in rules)),
        asyncio.gather(*(read("endpoint", "data_collection_endpoints", endpoint.id) for endpoint in endpoints)),
    )
    kinds = [str(wire.get("kind") or "").lower() for wire in read_rules]
    return (
        [
            replace(rule, os_type=rule.os_type or (kind if kind in ("windows", "linux") else "any"))
            for rule, kind in zip(rules, kinds, strict=True)
        ],
        [replace(endpoint, region=_region(wire["location"])) for endpoint, wire in zip(endpoints, read_endpoints, strict=True)],
    )


def _region(location: str) -> str:
    return location.replace(" ", "").lower()


def parse(wire: dict[str, Any]) -> Association:
    properties = wire.get("properties") or {}
    return Association(
        wire["id"],
        wire["name"],
        properties.get("dataCollectionRuleId"),
        properties.get("dataCollectionEndpointId"),
        properties.get("description"),
    )


def recorded(association: Association) -> View:
    """What is recorded of an association."""
    return association.view() | {"description": association.description}


def source(record: View) -> Source:
    """What is to be brought back of a recorded machine."""
    return Source(
        record["region"],
        tuple(
            Association("", one["name"], one["data_collection_rule_id"], one["data_collection_endpoint_id"], one.get("description"))
            for one in record["associations"]
        ),
    )


class Recorded(Step[tuple[Association, ...]]):
    """Reads the associations of a machine as they are recorded; changes nothing."""

    def __init__(self, azure: Any) -> None:
        self._azure = azure

    async def observe(self, target: Target) -> tuple[Association, ...]:
        return await _listed(self._azure, target)

    def plan(self, target: Target, observed: tuple[Association, ...]) -> list[Action]:
        return []

    def view(self, observed: tuple[Association, ...]) -> View:
        return {"associations": sorted(map(recorded, observed), key=lambda view: view["name"].lower())}

    def wanted(self, target: Target, observed: tuple[Association, ...]) -> View:
        return self.view(observed)


def _row(before: Association, place: Place, found: Sequence[View], near: Sequence[str]) -> View:
    key, wished = ("data_collection_rule_id", [before.rule_id]) if before.rule_id else ("data_collection_endpoint_id", near)
    after = next((one for one in found if any(one[key] and ids.same(one[key], wished_id) for wished_id in wished)), None)
    lacking = "there is no data collection endpoint for its region" if not wished else "it is not there"
    return {
        "what": "association",
        "name": after["name"] if after else before.name,
        "before": before.rule_id or before.endpoint_id,
        "after": after[key] if after else None,
        "missing": None if after else lacking,
        "left_out": None,
    }


class Associations(Step[Seen]):
    """Associates each machine with the rules for its operating system and with the endpoint of its region; or takes those away.

    place: tells a target's Place; asked after the machine was read.
    """

    independent = True

    def __init__(self, azure: Any, state: str, rules: Sequence[Rule], endpoints: Sequence[Endpoint], place: Any) -> None:
        self._azure, self._state, self._rules, self._endpoints, self._place = azure, state, rules, endpoints, place
        self._linked: dict[str, list[Association]] | None = None

    async def prepare(self, targets: Sequence[Target]) -> None:
        """Lists the associations of the rules and endpoints asked for, where that is quicker than looking at each machine.

        They do not tell what else a machine is associated with. A sign-in that may not read them has to look at each machine.
        """
        if len(targets) < MANY or not (self._rules or self._endpoints):
            return
        linked = [rule.id for rule in self._rules] + [endpoint.id for endpoint in self._endpoints]
        try:
            listed = await asyncio.gather(*(self._of(ids.parse(one)) for one in linked))
        except AzureError:
            return
        self._linked = defaultdict(list)
        for one in (association for found in listed for association in found):
            self._linked[ids.key(one.id).rpartition("/providers/")[0]].append(one)

    async def _of(self, linked: ids.ResourceId) -> list[Association]:
        """The associations with a rule or an endpoint; of a rule's, ids and names are in lower case (recorded traffic)."""
        operations = self._azure.monitor(linked.subscription).data_collection_rule_associations
        by_rule = linked.type.lower() == RULE.lower()
        pager = (operations.list_by_rule if by_rule else operations.list_by_data_collection_endpoint)(linked.resource_group, linked.name)
        return [parse(wire) for wire in await self._azure.collect(f"list the associations of {linked.name}", linked.id, pager)]

    def foretell(self, target: Target) -> Seen | None:
        place = self._place(target)
        if self._linked is None or place.source is not None:
            return None
        return Seen(tuple(self._linked.get(ids.key(target.id), ())), place)

    async def observe(self, target: Target) -> Seen:
        place = self._place(target)
        if not self._rules and not self._endpoints and place.source is None:
            return Seen((), place)
        return Seen(await _listed(self._azure, target), place)

    def plan(self, target: Target, observed: Seen) -> list[Action]:
        if self._state == "absent":
            return [
                Action(f"remove association {one.name}", (("DELETE", one.id),), (one.name, None), lost={"association": recorded(one)})
                for one in observed.associations
                if self._ours(one)
            ]
        wished = self._restored(target, observed)
        back = [action.data[1]["properties"]["dataCollectionRuleId"] for action in wished]
        rules = [rule for rule in self._rules_for(observed.place) if not any(ids.same(rule.id, one) for one in back)]
        wished += [action for rule in rules if (action := self._missing(target, observed, rule))]
        names = [action.data[0].lower() for action in wished]
        if len(set(names)) < len(names):
            raise AzureDRError(
                f"Two data collection rules would get associations of the same name on {target.name}: "
                f"{', '.join(sorted(names))}. Give them different names with association_name."
            )
        return wished + self._endpoint_missing(target, observed)

    def _rules_for(self, place: Place) -> list[Rule]:
        return [rule for rule in self._rules if rule.os_type in (None, "any", place.os_type)]

    def _restored(self, target: Target, observed: Seen) -> list[Action]:
        """The associations with rules that the source had, under their names, unless there are any with the rules."""
        return [
            _put(target, observed, one.name, "dataCollectionRuleId", one.rule_id, one.description)
            for one in (observed.place.source.associations if observed.place.source else ())
            if one.rule_id and not observed.with_rule(one.rule_id)
        ]

    def _missing(self, target: Target, observed: Seen, rule: Rule) -> Action | None:
        """The association with a rule, when there is none under whatever name."""
        if observed.with_rule(rule.id):
            return None
        name = rule.name_on(target.name, observed.place.os_type)
        return _put(target, observed, name, "dataCollectionRuleId", rule.id)

    def _endpoint_missing(self, target: Target, observed: Seen) -> list[Action]:
        near = self._near(observed.place)
        if not near:
            return []
        there = [one for one in observed.associations if one.endpoint_id]
        if any(ids.same(one.endpoint_id, endpoint) for one in there for endpoint in near):
            return []
        source = observed.place.source
        description = next((one.description for one in (source.associations if source else ()) if one.endpoint_id), None)
        return [_put(target, observed, ENDPOINT_ASSOCIATION, "dataCollectionEndpointId", near[0], description)]

    def _near(self, place: Place) -> list[str]:
        """The ids of the endpoints that a machine may have. Raises AzureDRError where it is to have one and can't."""
        near = [endpoint.id for endpoint in self._endpoints if endpoint.region == place.region]
        if place.source is not None:
            if not place.source.endpoint_id:
                return []
            return near or ([place.source.endpoint_id] if place.source.region == place.region else [])
        if self._endpoints and not near:
            raise AzureDRError(
                f"It is in {place.region}, the data collection endpoints given are in {self._regions()}: a "
                "machine can take its configuration only from an endpoint of its own region. Add one to "
                "data_collection_endpoint_ids."
            )
        return near

    def _regions(self) -> str:
        return ", ".join(sorted({endpoint.region for endpoint in self._endpoints}))

    def table(self, target: Target, found: Sequence[View]) -> list[View]:
        """Before, after and what is missing of each association that the source had. found: the views of those seen at the end."""
        place = self._place(target)
        return [_row(one, place, found, self._near(place)) for one in (place.source.associations if place.source else ())]

    def refused(self, target: Target, observed: Seen) -> str | None:
        source = observed.place.source
        if source is None or not source.endpoint_id or self._near(observed.place):
            return None
        return (
            f"Its source takes its configuration from the data collection endpoint {ids.parse(source.endpoint_id).name} in "
            f"{source.region}, and it is in {observed.place.region}, for which there is none: add one of {observed.place.region} to "
            f"data_collection_endpoint_ids{f' (those given are in {self._regions()})' if self._endpoints else ''}."
        )

    def _ours(self, association: Association) -> bool:
        return any(ids.same(association.rule_id, rule.id) for rule in self._rules) or any(
            ids.same(association.endpoint_id, endpoint.id) for endpoint in self._endpoints
        )

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        name, body = action.data
        operations = self._operations(target)
        where = (target.id.lstrip("/"), name)
        call = operations.create(*where, body) if body else operations.delete(*where)
        try:
            async with asyncio.timeout(seconds):
                await self._azure.read(action.text, target.id, call)
        except TimeoutError:
            raise TimedOut(action.text, target.id, minutes=round(seconds / 60, 1), last=None) from None

    def view(self, observed: Seen) -> View:
        return {"associations": sorted((one.view() for one in observed.associations), key=lambda view: view["name"].lower())}

    def wanted(self, target: Target, observed: Seen) -> View:
        after = {one.name.lower(): one for one in observed.associations}
        for action in self.plan(target, observed):
            name, body = action.data
            after.pop(name.lower(), None)
            if body:
                after[name.lower()] = parse({"id": action.requests[0][1], "name": name, **body})
        return self.view(Seen(tuple(after.values()), observed.place))

    def _operations(self, target: Target) -> Any:
        return _operations(self._azure, target)


def _operations(azure: Any, target: Target) -> Any:
    return azure.monitor(ids.parse(target.id).subscription).data_collection_rule_associations


async def _listed(azure: Any, target: Target) -> tuple[Association, ...]:
    pager = _operations(azure, target).list_by_resource(target.id.lstrip("/"))
    return tuple(parse(wire) for wire in await azure.collect("list the data collection rule associations", target.id, pager))


def _put(target: Target, observed: Seen, name: str, link: str, linked: str, description: str | None = None) -> Action:
    """The PUT of an association. It replaces all of one that has the name already, so its description is sent again (recorded traffic)."""
    there = next((one for one in observed.associations if one.name.lower() == name.lower()), None)
    old = (there.rule_id or there.endpoint_id) if there else None
    text = f"associate {ids.parse(linked).name}" + (f" in the place of {ids.parse(old).name}" if old else "")
    described = description or (there.description if there else None)
    path = f"{target.id}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{name}"
    # What is linked to must be readable, or the PUT is refused as LinkedAuthorizationFailed (Azure Landing Zones issue 2616); the
    # association, to see that it is there.
    needs = ((f"{ids.parse(linked).type}/read", linked), ("Microsoft.Insights/dataCollectionRuleAssociations/read", target.id))
    return Action(
        text,
        (("PUT", path),),
        (there.name if there else name, {"properties": {link: linked, **({"description": described} if described else {})}}),
        needs,
        {"association": recorded(there)} if there else None,
    )
