# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""proof: which heartbeats prove that a machine's data arrives, who asks when, and what is said of a machine that is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import proof
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor.proof import Heartbeats, Proof, Seen, Wanted

GROUP = "/subscriptions/s/resourceGroups/g/providers"
WORKSPACE = f"{GROUP}/Microsoft.OperationalInsights/workspaces/logs"
MACHINES = [Target(f"{GROUP}/Microsoft.Compute/virtualMachines/{name}", name) for name in ("Web", "sql")]
WEB, SQL = MACHINES
ASKED = Wanted(WORKSPACE, 0.01, 5)
NOW = datetime(2026, 11, 2, 5, 0, tzinfo=UTC)


def before(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


class FakeAzure:
    """A workspace that gives its answers in turn, the last one for ever: an error, or (minutes passed, {machine: minutes since NOW}).
    rules: the workspace that each of a machine's rules sends to."""

    def __init__(self, *answers: Any, rules: dict[str, str] | None = None, workspace: Any = None, missing: Exception | None = None) -> None:
        self.answers, self.asked, self.rules = list(answers), [], rules or {}
        self.workspace, self.missing, self.required = workspace or {"properties": {"customerId": "42"}}, missing, []

    async def query(self, asked: str, workspace_id: str, customer_id: str, text: str) -> Any:
        self.asked.append(text)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        passed, sent = answer
        rows = [
            {"_ResourceId": machine.lower(), "last": f"{NOW + timedelta(minutes=at):%Y-%m-%dT%H:%M:%S}.1234567Z"}
            for machine, at in sent.items()
        ]
        return rows, NOW + timedelta(minutes=passed)

    async def get(self, asked: str, path: str, api_version: str) -> Any:
        if isinstance(self.workspace, Exception):
            raise self.workspace
        return self.workspace

    async def require(self, requests: Any, needs: Any) -> None:
        self.required += needs
        if self.missing:
            raise self.missing

    def monitor(self, subscription: str) -> Any:
        associations = SimpleNamespace(list_by_resource=lambda machine: machine)
        rules = SimpleNamespace(get=lambda group, name: name)
        return SimpleNamespace(data_collection_rule_associations=associations, data_collection_rules=rules)

    async def collect(self, asked: str, machine: str, pager: str) -> Any:
        rules = [f"{GROUP}/Microsoft.Insights/dataCollectionRules/{name}" for name in self.rules]
        return [{"id": "a", "name": "a", "properties": {"dataCollectionRuleId": rule}} for rule in rules]

    async def read_or_none(self, asked: str, rule: str, name: str) -> Any:
        return {"properties": {"destinations": {"logAnalytics": [{"workspaceResourceId": self.rules[name].upper()}]}}}


def refused(status: int | None, code: str = "Refused") -> AzureError:
    return AzureError("ask the workspace for heartbeats", WORKSPACE, status=status, code=code, message="It was refused.")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPACING", "FIRST_LOOK", "LONGEST_LOOK"):
        monkeypatch.setattr(proof, name, 0.001)


def heartbeats(azure: FakeAzure) -> Heartbeats:
    return Heartbeats(azure, ASKED, "42", [target.id for target in MACHINES])


def step(azure: FakeAzure, *known: str) -> Proof:
    return Proof(azure, ASKED, heartbeats(azure), lambda target: known)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def begun() -> Any:
        return await work()

    return asyncio.run(begun())


@pytest.mark.parametrize(
    ("last", "since", "proven"),
    [
        (before(1), before(2), True),
        (before(2), before(1), False),
        (before(1), before(1), False),
        (None, before(1), False),
        (NOW, None, False),
    ],
)
def test_only_a_heartbeat_that_is_newer_proves(last: datetime | None, since: datetime | None, proven: bool) -> None:
    seen = Seen(last, since)
    assert seen.proven is proven
    assert [action.requests for action in step(FakeAzure()).plan(WEB, seen)] == ([] if proven else [()])


def test_one_query_tells_of_all_machines_in_any_letter_case() -> None:
    azure = FakeAzure((0, {WEB.id: -1, SQL.id: -9}))
    one = step(azure)
    seen = run(lambda: asyncio.gather(one.observe(WEB), one.observe(SQL)))
    assert [found.proven for found in seen] == [True, False]
    assert one.view(seen[0]) == {"proof": {"last_heartbeat": "2026-11-02T04:59:00Z", "proven": True}}
    [query] = azure.asked
    assert f'"{WEB.id.lower()}", "{SQL.id.lower()}"' in query and "ago(1h)" in query and '"Azure Monitor Agent"' in query


def test_who_asks_while_others_do_shares_the_next_answer() -> None:
    azure = FakeAzure((0, {}))

    async def work() -> None:
        found, clock = heartbeats(azure), asyncio.get_running_loop().time
        await asyncio.gather(*(found.read(clock()) for _number in range(50)))
        assert len(azure.asked) == 1
        await asyncio.gather(*(found.read() for _number in range(50)))
        assert len(azure.asked) == 1
        await asyncio.sleep(0.01)
        await found.read(clock())
        assert len(azure.asked) == 2

    run(work)


def test_after_a_restore_a_heartbeat_from_before_it_proves_nothing() -> None:
    azure = FakeAzure((0, {WEB.id: -1}), (10, {WEB.id: 9}), (11, {WEB.id: 9}), (12, {WEB.id: 10.5}))
    one = step(azure)

    async def work() -> None:
        assert (await one.observe(WEB)).proven
        again = await one.observe(WEB)
        assert not again.proven and again.restored and again.since == NOW + timedelta(minutes=10)
        [action] = one.plan(WEB, again)
        await one.apply(WEB, action, 60)
        proven = await one.observe(WEB)
        assert proven.proven and one.plan(WEB, proven) == []

    run(work)
    assert len(azure.asked) == 4


def test_where_nothing_was_restored_a_late_heartbeat_is_waited_for() -> None:
    azure = FakeAzure((0, {WEB.id: -30}), (1, {WEB.id: -30}), (2, {WEB.id: -2}))
    one = step(azure)

    async def work() -> Seen:
        [action] = one.plan(WEB, await one.observe(WEB))
        await one.apply(WEB, action, 60)
        return await one.observe(WEB)

    seen = run(work)
    assert seen.proven and not seen.restored and len(azure.asked) == 3


def told(azure: FakeAzure, *known: str, restored: bool = True) -> str:
    one = step(azure, *known)

    async def work() -> str:
        seen = await one.observe(WEB)
        if restored:
            seen = await one.observe(WEB)
        with pytest.raises(AzureDRError) as failed:
            await one.apply(WEB, one.plan(WEB, seen)[0], 0.05)
        return str(failed.value)

    return run(work)


def test_a_silent_machine_is_told_with_all_that_is_known() -> None:
    text = told(FakeAzure((0, {}), rules={"one": WORKSPACE, "two": f"{WORKSPACE}-other"}), "its agent AMA is Ready")
    assert "sent after its restore (2026-11-02T05:00:00Z); none was sent in the last hour" in text and "workspace logs" in text
    assert text.endswith("What is known: its agent AMA is Ready; it is associated with one, two, of which one sends to this workspace.")
    text = told(FakeAzure((0, {WEB.id: -30}), rules={"two": f"{WORKSPACE}-other"}), restored=False)
    assert "in the last 5 minutes; the last one was sent at 2026-11-02T04:30:00Z" in text
    assert "none of its data collection rules (two) sends to this workspace" in text
    assert "associated with no data collection rule" in told(FakeAzure((0, {})))


@pytest.mark.parametrize("trouble", [refused(503), refused(429), refused(None, "ServiceResponseError")])
def test_a_workspace_that_cannot_answer_is_no_silent_machine(trouble: AzureError) -> None:
    text = told(FakeAzure((0, {}), trouble))
    assert "is not known" in text and str(trouble) in text and "no heartbeat" not in text
    azure = FakeAzure(trouble)
    one = step(azure)
    seen = run(lambda: one.observe(WEB))
    assert one.view(seen) == {"proof": {"last_heartbeat": None, "proven": None}} and len(one.plan(WEB, seen)) == 1


def test_what_a_workspace_told_stays_known_while_it_cannot_answer() -> None:
    azure = FakeAzure((0, {}), (1, {}), refused(500), (2, {WEB.id: 1.5}), refused(500))
    one = step(azure)

    async def work() -> Seen:
        await one.observe(WEB)
        await one.apply(WEB, one.plan(WEB, await one.observe(WEB))[0], 60)
        await one.observe(SQL)
        return await one.observe(WEB)

    assert run(work).proven


def test_a_restore_while_the_workspace_cannot_answer_counts_from_its_next_answer_on() -> None:
    azure = FakeAzure(refused(500), refused(500), (5, {WEB.id: 4}), (7, {WEB.id: 6}))
    one = step(azure)

    async def work() -> Seen:
        await one.observe(WEB)
        await one.apply(WEB, one.plan(WEB, await one.observe(WEB))[0], 60)
        return await one.observe(WEB)

    assert run(work).since == NOW + timedelta(minutes=5)


def test_before_anything_is_changed_the_workspace_is_asked_once() -> None:
    azure = FakeAzure((0, {WEB.id: -1}))
    found = run(lambda: proof.connect(azure, ASKED, MACHINES))
    assert len(azure.asked) == 1 and isinstance(found, Heartbeats)
    assert azure.required == [(action, WORKSPACE) for action in proof.ACTIONS]


@pytest.mark.parametrize(
    ("azure", "words"),
    [
        (FakeAzure((0, {}), workspace=refused(404)), "There is no Log Analytics workspace"),
        (FakeAzure((0, {}), workspace=refused(403)), "It was refused"),
        (FakeAzure((0, {}), missing=AzureDRError("It lacks an action.")), "lacks an action"),
        (FakeAzure(refused(403)), "Log Analytics Reader"),
        (FakeAzure(refused(400)), "It was refused"),
    ],
)
def test_a_workspace_that_is_not_there_or_may_not_be_asked_stops_the_run(azure: FakeAzure, words: str) -> None:
    with pytest.raises(AzureDRError, match=words):
        run(lambda: proof.connect(azure, ASKED, MACHINES))


@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_one_that_cannot_answer_now_does_not(status: int | None) -> None:
    assert run(lambda: proof.connect(FakeAzure(refused(status)), ASKED, MACHINES))


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"workspace_id": WEB.id, "timeout": 15, "max_age": 5}, "prove.workspace_id"),
        ({"workspace_id": WORKSPACE, "timeout": 0, "max_age": 5}, "prove.timeout"),
        ({"workspace_id": WORKSPACE, "timeout": float("nan"), "max_age": 5}, "prove.timeout"),
        ({"workspace_id": WORKSPACE, "timeout": 15, "max_age": -1}, "prove.max_age"),
    ],
)
def test_wrong_input_is_refused(given: Any, option: str) -> None:
    with pytest.raises(InputError, match=option):
        proof.wanted(given)
