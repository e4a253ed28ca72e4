# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Whether a machine would get data collection rules and an endpoint in the region in which it comes up. Each of them is read once.

An agent takes its configuration only from an endpoint of the machine's own region, and a rule is kept in its region (Microsoft Learn, data
collection endpoints and rules).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.checks import FAIL, PASS, WARN, Check, untold, worst
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor.associations import ENDPOINT, RULE, Source

Wire = dict[str, Any]
Found = Mapping[str, Any]  # of each id the answer, or the AzureError in its place

TYPES = {RULE.lower(): "data_collection_rules", ENDPOINT.lower(): "data_collection_endpoints"}
READER = "Give the sign-in the role Reader there, or look at it yourself."


async def existing(azure: Any, resource_ids: Iterable[str]) -> dict[str, Wire | AzureError]:
    """The rules and endpoints, by ids.key; the error in the place of one that cannot be read, also for one that is not there."""

    async def read(resource_id: str) -> Wire | AzureError:
        parsed = ids.parse(resource_id)
        operations = getattr(azure.monitor(parsed.subscription), TYPES[parsed.type.lower()])
        get = operations.get(parsed.resource_group, parsed.name)
        try:
            found: Wire = await azure.read(f"read {parsed.name}", resource_id, get)
        except AzureError as error:
            return error
        return found

    wanted = {ids.key(one): one for one in resource_ids}
    return dict(zip(wanted, await asyncio.gather(*map(read, wanted.values())), strict=True))


@dataclass(frozen=True)
class Move:
    """Where a machine goes: its operating system ("windows", "linux" or None), and the regions that it leaves and comes up in."""

    os_type: str | None
    leaves: str | None
    region: str | None


def rules(move: Move, source: Source, asked: Sequence[str], found: Found, restored: bool) -> Check:
    """Whether the rules that the machine gets are there, and not in the region that fails.

    source: what it has; restored: it gets all of that back; asked: the ids of the rules that it gets in any case. Where those are asked
    for without a restore, they stand for what it had: regions may have rules of their own.
    """
    name = "data_collection_rules"
    own = [one.rule_id for one in source.associations if one.rule_id]
    gets = list({ids.key(one): one for one in [*(own if restored else ()), *(one for one in asked if _for(move, found, one))]}.values())
    parts = [_rule(name, one, move, found) for one in gets]
    if not gets:
        remedy = "Restore from a baseline (restore_from), or ask for a rule with data_collection_rule_ids."
        parts = [
            Check(name, FAIL, f"The association with {ids.parse(one).name} is lost, and nothing brings it back.", remedy) for one in own
        ]
    return worst(name, parts, "It has none, and is to have none.")


def _for(move: Move, found: Found, rule: str) -> bool:
    """Whether a rule is for machines of its operating system, as far as its kind tells."""
    wire = found[ids.key(rule)]
    kind = "" if isinstance(wire, AzureError) else str(wire.get("kind") or "").lower()
    return kind not in ("windows", "linux") or move.os_type in (None, kind)


def _rule(name: str, rule: str, move: Move, found: Found) -> Check:
    wire, called = found[ids.key(rule)], ids.parse(rule).name
    if isinstance(wire, AzureError):
        gone = f"The data collection rule {called} is not there."
        return Check(name, FAIL, gone, "Make it again, or ask for another one.") if wire.absent else untold(name, wire, READER)
    region = _region(wire)
    if region == move.leaves and region != move.region:
        reason = f"The data collection rule {called} is kept in {region}, the region that fails: it may not be to be had then."
        return Check(name, WARN, reason, f"Have a rule like it in {move.region}, and ask for that one.")
    return Check(name, PASS, f"{called} in {region}.")


def endpoint(move: Move, source: Source, asked: Sequence[str], found: Found, restored: bool) -> Check:
    """Whether there is an endpoint of the region in which the machine comes up, where it needs one. Parameters as of `rules`."""
    name = "data_collection_endpoint"
    had = source.endpoint_id
    if not had and (restored or not asked):
        return Check(name, PASS, "It has none, and is to have none.")
    if not move.region:
        return Check(name, WARN, "Site Recovery tells no region in which it comes up.", "See the machine's settings in the vault.")
    remedy = f"Add one of {move.region} to data_collection_endpoint_ids."
    parts, regions = [], []
    for one in asked:
        wire, called = found[ids.key(one)], ids.parse(one).name
        if isinstance(wire, AzureError):
            gone = f"The data collection endpoint {called} is not there."
            parts.append(Check(name, FAIL, gone, remedy) if wire.absent else untold(name, wire, READER))
        elif _region(wire) == move.region:
            return Check(name, PASS, f"{called} in {move.region}.")
        else:
            regions.append(_region(wire))
    if parts:
        return worst(name, parts, "")
    given = f"those given are in {', '.join(sorted(set(regions)))}" if regions else "none is given"
    return Check(name, FAIL, f"It needs a data collection endpoint of {move.region}, and {given}.", remedy)


def _region(wire: Wire) -> str:
    return str(wire.get("location") or "").replace(" ", "").lower()
