# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from contextlib import ExitStack, nullcontext

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import pacing
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.pacing import Pacer, limits, share_path

from .conftest import EXTENSION, GROUP, MACHINE, SUBSCRIPTION, VAULT, Answer

WRITES_LEFT = "x-ms-ratelimit-remaining-subscription-writes"


def machine(number: int) -> str:
    return f"{MACHINE}{number}"


def writes(machines: int, each: int = 1) -> list[tuple[str, str]]:
    return [("PUT", f"{machine(number)}/extensions/e{extension}") for number in range(machines) for extension in range(each)]


@pytest.mark.parametrize(
    ("requests", "seconds"),
    [
        (writes(200), 0),
        (writes(1000), 80),  # (1000 - 200) / 10, resource manager
        (writes(1000, 3), 280),  # (3000 - 200) / 10, resource manager
        (writes(5000, 3), 1620),  # (15000 - 1500) / (500 / 60), Compute
        (writes(1, 15), 45),  # (15 - 12) / (4 / 60), one machine
        ([("GET", machine(number)) for number in range(1000)], 30),  # (1000 - 250) / 25
        ([("DELETE", f"{GROUP}/providers/Microsoft.Insights/rules/{number}") for number in range(300)], 10),
        (
            [("PATCH", f"{VAULT}/replicationFabrics/f/replicationProtectedItems/{number}") for number in range(1000)],
            240,
        ),  # 800 / (200 / 60)
        ([("PUT", f"{machine(0)}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{n}") for n in range(15)], 0),  # not Compute's
        ([("GET", "/subscriptions")] * 1000, 0),
        ([], 0),
    ],
)
def test_the_shortest_time_is_that_of_the_tightest_limit(requests, seconds):
    assert Pacer().minimum_duration(requests) == pytest.approx(seconds)


def test_the_shortest_time_counts_what_is_used_already():
    async def use(pacer):
        for number in range(150):
            await pacer.admit("PUT", f"{machine(number)}/extensions/e")
            pacer.answered("PUT", f"{machine(number)}/extensions/e", 200, {})

    pacer = Pacer()
    asyncio.run(use(pacer))
    assert pacer.minimum_duration(writes(200)) == pytest.approx(15, abs=1)


class _Jumping(selectors.SelectSelector):
    """Instead of waiting, the clock jumps."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0
        return super().select(0)


def in_no_time(monkeypatch, work):
    """Run ``work()`` on a clock that jumps; gives its result and the seconds that went by on that clock."""
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    monkeypatch.setattr(loop, "time", lambda: selector.now)
    monkeypatch.setattr(pacing.time, "time", lambda: 1e9 + selector.now)
    try:
        return loop.run_until_complete(work()), selector.now
    finally:
        loop.close()
        monkeypatch.undo()


class Platform:
    """Enforces one bucket as Azure does, on the clock of the running loop."""

    def __init__(self, burst: float, per_second: float, left: float | None = None) -> None:
        self.burst, self.per_second, self.left, self.since = burst, per_second, burst if left is None else left, 0.0
        self.answers: Counter[int] = Counter()

    async def ask(self, pacer: Pacer, method: str, path: str) -> int:
        await pacer.admit(method, path)
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        self.left = min(self.burst, self.left + (now - self.since) * self.per_second)
        self.since = now
        status = 200 if self.left >= 1 else 429
        self.left -= status == 200
        self.answers[status] += 1
        await asyncio.sleep(0.05)
        pacer.answered(method, path, status, {WRITES_LEFT: str(int(self.left))})
        return status


@pytest.mark.parametrize("left", [200, 50, 0])
def test_a_fleet_provokes_no_429_whatever_others_have_used(monkeypatch, left):
    async def work():
        platform, pacer = Platform(200, 10, left), Pacer()
        await asyncio.gather(*(platform.ask(pacer, *request) for request in writes(1000)))
        return platform.answers

    answers, seconds = in_no_time(monkeypatch, work)
    # The few that go first may be refused: nobody can know before.
    assert answers[429] <= (10 if left == 0 else 0)
    assert seconds < (1000 - left) / 10 * 1.05, "pacing costs next to nothing"


def test_processes_share_their_buckets(monkeypatch, tmp_path):
    async def work():
        platform, pacers = Platform(200, 10), [Pacer(share=tmp_path / "pacing.json", principal="me") for dummy in range(3)]
        await asyncio.gather(*(platform.ask(pacers[number % 3], *request) for number, request in enumerate(writes(600))))
        return platform.answers

    assert in_no_time(monkeypatch, work)[0][429] == 0
    assert (tmp_path / "pacing.json").stat().st_mode & 0o777 == 0o600


def test_one_principal_leaves_another_its_share_of_the_resource_manager_but_not_of_compute(tmp_path):
    async def use(pacer):
        for number in range(10):
            await pacer.admit("PUT", f"{machine(1)}/extensions/{number}")
            pacer.answered("PUT", f"{machine(1)}/extensions/{number}", 200, {})

    one, other = (Pacer(share=tmp_path / "pacing.json", principal=name) for name in ("one", "other"))
    asyncio.run(use(one))
    assert other.minimum_duration([("PUT", f"{GROUP}/providers/A.B/c/{number}") for number in range(200)]) == 0
    assert other.minimum_duration([("PUT", f"{machine(1)}/extensions/e")] * 3) == pytest.approx(15, abs=1)


def test_a_refused_request_slows_the_ones_that_follow(monkeypatch):
    async def work():
        pacer = Pacer()
        for status in (429, 200):
            await pacer.admit("PATCH", f"{VAULT}/replicationFabrics/f")
            pacer.answered("PATCH", f"{VAULT}/replicationFabrics/f", status, {})
        return pacer.throttled_requests

    assert in_no_time(monkeypatch, work) == (1, pytest.approx(0.3, abs=0.05))  # 1 / (200 / 60)


def test_a_request_without_an_answer_holds_nobody_up():
    async def work():
        pacer = Pacer()
        await pacer.admit("PUT", EXTENSION)
        pacer.answered("PUT", EXTENSION, None, {})
        await asyncio.wait_for(pacer.admit("PUT", EXTENSION), 5)

    asyncio.run(work())


def test_a_file_that_cannot_be_used_is_told_and_a_broken_one_is_not_used(tmp_path):
    (tmp_path / "file").write_text("{half", encoding="utf-8")
    assert Pacer(share=tmp_path / "file").minimum_duration(writes(200)) == 0
    pacer = Pacer(share=tmp_path / "file" / "below")
    assert "paced by this process alone" in pacer.warnings[0]
    assert pacer.minimum_duration(writes(1000)) == pytest.approx(80)


def test_many_that_follow_look_less_often():
    pacer = Pacer()
    with pacer.following():
        assert pacer.poll_interval(5) == 5
    with ExitStack() as many:
        for follower in [pacer.following() for dummy in range(1000)]:
            many.enter_context(follower)
        assert pacer.poll_interval(5) == pytest.approx(40)  # 1000 / 25


@pytest.mark.parametrize("crowd_follows", [False, True])
def test_neither_who_follows_nor_who_looks_waits_for_a_crowd_of_the_others(monkeypatch, crowd_follows):
    async def work():
        pacer, order = Pacer(), []

        async def read(name, follows):
            with pacer.following() if follows else nullcontext():
                await pacer.admit("GET", machine(1))
            pacer.answered("GET", machine(1), 200, {})
            order.append(name)

        await asyncio.gather(*(read("crowd", crowd_follows) for dummy in range(500)), read("other", not crowd_follows))
        return order.index("other")

    assert in_no_time(monkeypatch, work)[0] <= 15  # the few that go before the first answer, and one


def test_limits_can_be_set():
    table = limits({"subscription_writes": {"burst": "400", "per_minute": 1200}, "vault_writes": {"per_minute": 60}})
    assert Pacer(table).minimum_duration(writes(1000)) == pytest.approx(30)
    for wrong in ({"nope": {}}, {"vault_writes": 5}, {"vault_writes": {"burst": 0}}, {"vault_writes": {"rate": 5}}):
        with pytest.raises(InputError, match="throttle_limits"):
            limits(wrong)


def test_the_shared_file_is_the_named_one_or_one_for_each_cloud(tmp_path):
    assert share_path("https://a", {"AZURE_DR_PACING_FILE": str(tmp_path)}) == tmp_path
    paths = {share_path(url, {"HOME": str(tmp_path)}) for url in ("https://a", "https://A", "https://b")}
    assert len(paths) == 2
    assert all(path.parent == tmp_path / ".cache" / "cloudops.azure_dr" for path in paths)


def test_requests_of_a_session_are_counted(place, talk):
    place.cloud.on("GET", GROUP, Answer(body={}, headers={"x-ms-ratelimit-remaining-subscription-reads": "20"}))

    async def work(azure):
        await azure.get("read", GROUP, "2022-09-01")
        return azure.pacer.minimum_duration([("GET", f"/subscriptions/{SUBSCRIPTION}/x")] * 45)

    assert talk(work) == pytest.approx(1.0, abs=0.2)
