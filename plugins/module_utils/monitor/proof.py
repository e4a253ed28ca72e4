# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof that a machine's data arrives: a heartbeat of its Azure Monitor Agent that can be read in a Log Analytics workspace.

One query tells of all machines. Times are compared on Azure's clock alone: a machine that was restored has to send a heartbeat after the
moment that Azure told when the workspace was first asked behind its restore.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import associations

WORKSPACE = "Microsoft.OperationalInsights/workspaces"
API_VERSION = "2023-09-01"  # of workspaces (Microsoft Learn, REST API of Log Analytics)
# What it takes to ask a workspace for heartbeats (Microsoft Learn, manage access to Log Analytics workspaces).
ACTIONS = (f"{WORKSPACE}/query/read", f"{WORKSPACE}/query/Heartbeat/read")
ROLE = f"Give the sign-in the role Log Analytics Reader on the workspace, or one with the actions {' and '.join(ACTIONS)}."
# The agent sends a heartbeat a minute, and it can be read 20 s to 3 minutes later (Microsoft Learn, log data ingestion time).
QUERY = """Heartbeat
| where TimeGenerated > ago({hours}h) and Category == "Azure Monitor Agent" and _ResourceId in~ ({machines})
| summarize last = max(TimeGenerated) by _ResourceId"""
SPACING = 1.0  # seconds at least between two queries, whoever asks
FIRST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between two looks of one machine
STALE = 60.0  # seconds: what the workspace told before says nothing of now
TEXT = "wait for its data to arrive"


@dataclass(frozen=True)
class Wanted:
    """The option `prove`. timeout: minutes from a machine's restore on; max_age: minutes that the last heartbeat of a machine may be old
    that this run had nothing to restore on."""

    workspace_id: str
    timeout: float
    max_age: float


def argument_spec() -> dict[str, Any]:
    """The option `prove` of a module."""
    options = {
        "workspace_id": {"type": "str", "required": True},
        "timeout": {"type": "float", "default": 15},
        "max_age": {"type": "float", "default": 5},
    }
    return {"prove": {"type": "dict", "options": options}}


def wanted(given: Mapping[str, Any]) -> Wanted:
    """What the option `prove` asks for. Raises InputError."""
    for name in ("timeout", "max_age"):
        if not given[name] > 0:
            raise InputError(f"prove.{name}", given[name], "a number of minutes above zero")
    return Wanted(ids.require("prove.workspace_id", given["workspace_id"], WORKSPACE).id, given["timeout"], given["max_age"])


@dataclass(frozen=True)
class Reading:
    """What a query told. at: Azure's time of the answer, None where no query was answered. last: the newest heartbeat by machine.
    trouble: why the workspace could not be asked this time; `last` is then what was known before."""

    began: float
    at: datetime | None = None
    last: Mapping[str, datetime] = field(default_factory=dict)
    trouble: AzureError | None = None


class Heartbeats:
    """The newest heartbeats of the machines in a workspace. Whoever asks while a query is under way shares the next one."""

    def __init__(self, azure: Any, asked: Wanted, customer_id: str, machine_ids: Sequence[str]) -> None:
        self._azure, self._workspace_id, self._customer_id = azure, asked.workspace_id, customer_id
        hours = 1 + int(max(asked.timeout, asked.max_age)) // 60
        self._query = QUERY.format(hours=hours, machines=", ".join(json.dumps(ids.key(one)) for one in machine_ids))
        self._one = asyncio.Lock()
        self._latest: Reading | None = None

    async def read(self, not_before: float | None = None) -> Reading:
        """A reading that began at `not_before` (the loop's time) or later; any that there is when none is given."""
        clock = asyncio.get_running_loop().time
        async with self._one:
            if self._latest is None or (not_before is not None and self._latest.began < not_before):
                if self._latest:
                    await asyncio.sleep(max(0.0, self._latest.began + SPACING - clock()))
                self._latest = await self._ask(clock(), self._latest)
            return self._latest

    async def _ask(self, began: float, before: Reading | None) -> Reading:
        known = dict(before.last) if before else {}
        try:
            rows, at = await self._azure.query("ask the workspace for heartbeats", self._workspace_id, self._customer_id, self._query)
        except AzureError as error:
            return Reading(began, None, known, explained(error))
        known |= {ids.key(row["_ResourceId"]): datetime.fromisoformat(row["last"]) for row in rows}
        return Reading(began, at, known)


def explained(error: AzureError) -> AzureError:
    """A refusal for want of a permission tells which; Log Analytics itself does not."""
    if error.status != 403:
        return error
    return AzureError(
        error.asked,
        error.resource_id,
        status=error.status,
        code=error.code,
        message=error.message,
        recommended_action=ROLE,
        request_id=error.request_id,
        details=error.details,
    )


async def connect(azure: Any, asked: Wanted, targets: Sequence[Target]) -> Heartbeats:
    """Ask the workspace once, before anything is changed. Raises AzureDRError where it is not there, or may not be asked; one that cannot
    answer just now does not keep machines from being restored."""
    try:
        found = await azure.get("read the Log Analytics workspace", asked.workspace_id, API_VERSION)
    except AzureError as error:
        if error.absent:
            raise AzureDRError(f"There is no Log Analytics workspace {asked.workspace_id}. Nothing was changed.") from error
        raise
    await azure.require([], [(action, asked.workspace_id) for action in ACTIONS])
    heartbeats = Heartbeats(azure, asked, found["properties"]["customerId"], [target.id for target in targets])
    trouble = (await heartbeats.read()).trouble
    if trouble and trouble.status in (400, 401, 403, 404):
        raise trouble
    return heartbeats


@dataclass(frozen=True)
class Seen:
    """A machine's last heartbeat, the time that it has to be newer than (None as long as Azure told no time), and why the workspace could
    not be asked. restored: by this run."""

    last: datetime | None
    since: datetime | None
    trouble: AzureError | None = None
    restored: bool = False

    @property
    def proven(self) -> bool:
        return self.last is not None and self.since is not None and self.last > self.since


class Proof(Step[Seen]):
    """Waits until the data of each machine arrives, and says what is known of one whose data does not.

    known: what the caller knows of a machine that sends nothing, in words.
    """

    def __init__(self, azure: Any, asked: Wanted, heartbeats: Heartbeats, known: Callable[[Target], Sequence[str]]) -> None:
        self._azure, self._asked, self._heartbeats, self._known = azure, asked, heartbeats, known
        self._looked: set[str] = set()
        self._waited: set[str] = set()
        self._restored: dict[str, datetime | None] = {}

    async def observe(self, target: Target) -> Seen:
        """The machine as the workspace shows it. The fleet looks again only after something was done to a machine, which has to be heard of
        anew then."""
        machine = ids.key(target.id)
        if machine in self._waited or machine not in self._looked:
            self._looked.add(machine)
            return self._seen(machine, await self._heartbeats.read())
        self._restored.setdefault(machine, None)
        return self._seen(machine, await self._heartbeats.read(asyncio.get_running_loop().time()))

    def _seen(self, machine: str, reading: Reading) -> Seen:
        restored = machine in self._restored
        if restored and self._restored[machine] is None:
            self._restored[machine] = reading.at
        since = self._restored[machine] if restored else reading.at and reading.at - timedelta(minutes=self._asked.max_age)
        return Seen(reading.last.get(machine), since, reading.trouble, restored)

    def plan(self, target: Target, observed: Seen) -> list[Action]:
        return [] if observed.proven else [Action(TEXT)]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        machine, clock = ids.key(target.id), asyncio.get_running_loop().time
        begun, patience, interval = clock(), min(seconds, self._asked.timeout * 60), FIRST_LOOK
        reading = await self._heartbeats.read()
        try:
            async with asyncio.timeout(patience):
                while not self._seen(machine, reading).proven:
                    await asyncio.sleep(interval)
                    interval = min(interval * 1.5, LONGEST_LOOK)
                    reading = await self._heartbeats.read(clock())
        except TimeoutError:
            seen, minutes = self._seen(machine, reading), round((clock() - begun) / 60, 1)
            if seen.trouble or clock() - reading.began > STALE:
                raise AzureDRError(self._unknown(seen, minutes)) from None
            raise AzureDRError(f"{self._missing(seen, minutes)} What is known: {await self._about(target)}.") from None
        self._waited.add(machine)

    def _unknown(self, seen: Seen, minutes: float) -> str:
        why = str(seen.trouble) if seen.trouble else "It does not answer."
        workspace = ids.parse(self._asked.workspace_id).name
        return f"Whether its data arrives is not known after {minutes:g} minutes, since the workspace {workspace} could not be asked. {why}"

    def _missing(self, seen: Seen, minutes: float) -> str:
        workspace = ids.parse(self._asked.workspace_id).name
        last = f"the last one was sent at {_time(seen.last)}" if seen.last else "none was sent in the last hour"
        needed = (
            f"after its restore ({_time(seen.since)})" if seen.restored and seen.since else f"in the last {self._asked.max_age:g} minutes"
        )
        waited = f"in {minutes:g} minutes no heartbeat came that was sent {needed}"
        return f"Its data does not arrive in the workspace {workspace}: {waited}; {last}."

    async def _about(self, target: Target) -> str:
        return "; ".join([*self._known(target), await self._destinations(target)])

    async def _destinations(self, target: Target) -> str:
        """The machine's rules, and whether any of them sends to the workspace."""
        monitor = self._azure.monitor(ids.parse(target.id).subscription)
        try:
            pager = monitor.data_collection_rule_associations.list_by_resource(target.id.lstrip("/"))
            listed = await self._azure.collect("list the data collection rule associations", target.id, pager)
            rules = [rule for wire in listed if (rule := associations.parse(wire).rule_id)]
            sending = [ids.parse(rule).name for rule in rules if await self._sends(rule)]
        except AzureError as error:
            return f"its rules are not known ({error})"
        if not rules:
            return "it is associated with no data collection rule, and without one its agent sends nothing"
        names = ", ".join(ids.parse(rule).name for rule in rules)
        if not sending:
            return f"none of its data collection rules ({names}) sends to this workspace"
        return f"it is associated with {names}, of which {', '.join(sending)} sends to this workspace"

    async def _sends(self, rule_id: str) -> bool:
        """Whether a rule names the workspace as a destination."""
        parsed = ids.parse(rule_id)
        get = self._azure.monitor(parsed.subscription).data_collection_rules.get(parsed.resource_group, parsed.name)
        rule = await self._azure.read_or_none("read the data collection rule", rule_id, get)
        destinations = ((rule or {}).get("properties", {}).get("destinations") or {}).get("logAnalytics") or []
        return any(ids.same(one.get("workspaceResourceId"), self._asked.workspace_id) for one in destinations)

    def view(self, observed: Seen) -> View:
        proven = None if observed.trouble and not observed.proven else observed.proven
        return {"proof": {"last_heartbeat": _time(observed.last) if observed.last else None, "proven": proven}}

    def wanted(self, target: Target, observed: Seen) -> View:
        return {"proof": self.view(observed)["proof"] | {"proven": True}}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
