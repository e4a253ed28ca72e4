# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""fleet: steps on many targets at once, each target with an outcome of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, OperationFailed, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.permissions import Need, PermissionMissing
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Report, Skip, Step, Target
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import FILE


class FakeAzure:
    """No waiting; a request needs two seconds by the limits."""

    throttled_requests = 3

    def __init__(self) -> None:
        self.paused: list[float] = []

    @property
    def pacer(self) -> FakeAzure:
        return self

    def minimum_duration(self, requests: Sequence[tuple[str, str]]) -> float:
        return 2.0 * len(requests)

    async def require(self, requests: Sequence[tuple[str, str]], needs: Sequence[tuple[str, str]]) -> None:
        """Everything is permitted."""

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        await asyncio.sleep(0)


class Switch(Step[bool]):
    """A switch per target that is wanted on. `log` has what happened: (step, what, target)."""

    def __init__(
        self,
        name: str = "switch",
        log: list[tuple[str, str, str]] | None = None,
        *,
        on: Sequence[str] = (),
        late: int = 0,
        wait: bool = False,
    ) -> None:
        """on: the targets that are on already; late: how many looks it takes until a change shows; wait: it comes on by waiting."""
        self.name, self.log, self.late, self.wait = name, [] if log is None else log, late, wait
        self.on = set(on)
        self.trouble: Callable[[str, str], None] = lambda what, target: None
        self.unseen: dict[str, int] = {}

    async def observe(self, target: Target) -> bool:
        self._note("observe", target)
        if self.unseen.get(target.name, 0) > 0:
            self.unseen[target.name] -= 1
            return False
        return target.name in self.on

    def plan(self, target: Target, observed: bool) -> list[Action]:
        requests = () if self.wait else (("PUT", f"{target.id}/{self.name}"),)
        return [] if observed else [Action(f"turn {self.name} on", requests)]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        self._note("apply", target)
        self.on.add(target.name)
        self.unseen[target.name] = self.late

    def view(self, observed: bool) -> dict[str, Any]:
        return {self.name: observed}

    def wanted(self, target: Target, observed: bool) -> dict[str, Any]:
        return {self.name: True}

    def _note(self, what: str, target: Target) -> None:
        self.log.append((self.name, what, target.name))
        self.trouble(what, target.name)


def run(
    steps: Sequence[Step[Any]], names: str = "a", *, check: bool = False, timeout: float = 60, azure: FakeAzure | None = None
) -> Report:
    targets = [Target(f"/t/{name}", name) for name in names]
    return asyncio.run(fleet.run(azure or FakeAzure(), targets, steps, check=check, timeout=timeout, noun="machines"))


def states(report: Report) -> dict[str, str]:
    return {outcome.target.name: outcome.state for outcome in report.outcomes}


def raising(error: Exception, what: str, *names: str) -> Callable[[str, str], None]:
    def trouble(doing: str, target: str) -> None:
        if doing == what and target in names:
            raise error

    return trouble


class Partial(Switch):
    """A switch of which a part cannot be turned on, on the target b."""

    def refused(self, target: Target, observed: bool) -> str | None:
        return "The part has no power." if target.name == "b" else None


@pytest.mark.parametrize("check", [False, True])
def test_what_is_refused_fails_the_target_once_all_else_is_done(check: bool) -> None:
    switch = Partial()
    report = run([switch, Switch("lamp", on="abc")], "abc", check=check)
    assert states(report) == {"a": "changed", "b": "failed", "c": "changed"}
    assert report.outcomes[1].reason == "The part has no power." and report.outcomes[1].after["switch"] is True
    assert switch.on == (set() if check else {"a", "b", "c"})
    assert states(run([Partial(on="ab")], "ab")) == {"a": "unchanged", "b": "failed"}


class Bulbs(Switch):
    """Two bulbs on each target, each by itself; those that Azure refuses or breaks are told in the end."""

    def __init__(self, error: AzureError) -> None:
        super().__init__()
        self.error, self.lit, self.failed = error, set[str](), dict[str, str]()

    def plan(self, target: Target, observed: bool) -> list[Action]:
        bulbs = [f"{target.id}/{number}" for number in (1, 2)]
        return [Action(f"light {one}", (("PUT", one),), one) for one in bulbs if one not in {*self.lit, *self.failed}]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        if action.data == "/t/b/1":
            raise self.error
        self.lit.add(action.data)

    def goes_on(self, target: Target, action: Action, error: AzureError) -> bool:
        self.failed[action.data] = error.message
        return True

    def refused(self, target: Target, observed: bool) -> str | None:
        return " ".join(text for one, text in self.failed.items() if one.startswith(target.id)) or None


def test_a_step_can_go_on_behind_an_action_that_failed() -> None:
    bulbs, lamp = Bulbs(AzureError("light", None, status=400, message="Broken.")), Switch("lamp")
    report = run([bulbs, lamp], "ab")
    assert states(report) == {"a": "changed", "b": "failed"} and bulbs.lit == {"/t/a/1", "/t/a/2", "/t/b/2"}
    assert report.outcomes[1].reason == "Broken." and report.outcomes[1].after["lamp"] is True


@pytest.mark.parametrize(("accepted", "changed"), [(False, False), (True, True)])
def test_what_was_refused_alone_is_no_change(accepted: bool, changed: bool) -> None:
    bulbs = Bulbs(AzureError("light", None, status=400, message="Broken.", accepted=accepted))
    bulbs.lit = {"/t/b/2"}
    assert run([bulbs], "b").outcomes[0].changed is changed


def test_a_step_for_some_targets_leaves_the_others_alone() -> None:
    switch, lamp = Partial(), Switch("lamp")
    part = fleet.Part(switch, lambda target: target.name != "a")
    report = run([part, lamp], "abc")
    assert states(report) == {"a": "changed", "b": "failed", "c": "changed"} and switch.on == {"b", "c"}
    assert [outcome.after for outcome in report.outcomes] == [
        {"lamp": True},
        {"switch": True, "lamp": True},
        {"switch": True, "lamp": True},
    ]
    assert {name for _step, _what, name in switch.log} == {"b", "c"}
    assert run([part], "abc", check=True).outcomes[0].state == "unchanged"


def test_what_is_missing_is_done_and_read_back_and_what_is_right_left_alone() -> None:
    switch = Switch(on="b")
    report = run([switch], "ab")
    assert states(report) == {"a": "changed", "b": "unchanged"}
    result = report.result()
    changed, unchanged = result["targets"]
    assert (changed["before"], changed["after"], changed["actions"]) == ({"switch": False}, {"switch": True}, ["turn switch on"])
    assert changed["started"] and changed["ended"] and unchanged["started"] is None
    assert result["changed"] and "failed" not in result and [one["after_header"] for one in result["diff"]] == ["a"]
    assert result["summary"]["minimum_duration"] == 2.0 and result["summary"]["throttled_requests"] == 3
    assert not run([switch], "ab").result()["changed"]


def test_check_mode_applies_nothing_and_tells_what_would_be() -> None:
    switch = Switch(on="b")
    report = run([switch], "ab", check=True)
    assert states(report) == {"a": "changed", "b": "unchanged"} and "a" not in switch.on
    result = report.result()
    assert result["changed"] and result["targets"][0]["after"] == {"switch": True} and result["summary"]["minimum_duration"] == 2.0


def test_check_mode_calls_a_mere_wait_no_change() -> None:
    assert states(run([Switch(wait=True)], check=True)) == {"a": "unchanged"}


def test_a_wait_is_no_change() -> None:
    report = run([Switch(wait=True)])
    assert states(report) == {"a": "unchanged"} and report.result()["targets"][0]["actions"] == ["turn switch on"]


def test_the_steps_of_a_target_go_in_order_and_look_again_behind_one_that_acted() -> None:
    log: list[tuple[str, str, str]] = []
    run([Switch("one", log, wait=True), Switch("two", log)])
    assert [(name, what) for name, what, target in log] == [
        ("one", "observe"),
        ("two", "observe"),
        ("one", "apply"),
        ("one", "observe"),
        ("two", "observe"),
        ("two", "apply"),
        ("two", "observe"),
    ]


def test_an_independent_step_does_not_look_again_behind_another() -> None:
    log: list[tuple[str, str, str]] = []
    second = Switch("two", log)
    second.independent = True
    run([Switch("one", log), second])
    assert [what for name, what, target in log if name == "two"] == ["observe", "apply", "observe"]


class Told(Switch):
    """A switch of which a list tells beforehand where it is on."""

    def __init__(self, log: list[tuple[str, str, str]], told: str, *, on: str = "") -> None:
        super().__init__("told", log, on=on)
        self.told = told

    async def prepare(self, targets: Sequence[Target]) -> None:
        self.log.append(("told", "prepare", "".join(target.name for target in targets)))

    def foretell(self, target: Target) -> bool | None:
        return None if ("told", "prepare", "abc") not in self.log else target.name in self.told


def test_what_a_list_foretells_is_looked_at_when_its_turn_comes_and_only_that_is_done_and_told() -> None:
    log: list[tuple[str, str, str]] = []
    report = run([Switch("one", log, on="ac"), Told(log, "ab", on="bc")], "abc")  # wrong about a and c
    assert [(name, what) for name, what, target in log if target == "b"][1:] == [("one", "apply"), ("one", "observe"), ("told", "observe")]
    assert log.index(("told", "observe", "a")) > log.index(("one", "observe", "c")), "no look at it before there was one at all"
    assert states(report) == {"a": "changed", "b": "changed", "c": "unchanged"}
    assert [(one.before["told"], one.after["told"]) for one in report.outcomes] == [(False, True), (True, True), (True, True)]
    assert [one.actions for one in report.outcomes] == [["turn told on"], ["turn one on"], []]
    assert report.minimum_duration == 4.0, "what was foretold: one on, on b, and told on, on c"


def test_check_mode_looks_where_a_list_could_foretell() -> None:
    log: list[tuple[str, str, str]] = []
    assert states(run([Told(log, "abc")], "abc", check=True)) == {"a": "changed", "b": "changed", "c": "changed"}
    assert [what for _name, what, _target in log] == ["observe"] * 3


def test_what_was_foretold_is_looked_at_also_where_an_earlier_step_failed() -> None:
    log: list[tuple[str, str, str]] = []
    first = Switch("one", log)
    first.trouble = raising(AzureDRError("No power."), "apply", *"abc")
    report = run([first, Told(log, "", on="c")], "abc")
    assert [(one.state, one.before["told"], one.after["told"]) for one in report.outcomes] == [
        ("failed", False, False),
        ("failed", False, False),
        ("failed", True, True),
    ]


def test_a_step_that_has_nothing_to_do_costs_no_further_look() -> None:
    log: list[tuple[str, str, str]] = []
    run([Switch("one", log, on="a"), Switch("two", log, on="a")])
    assert len(log) == 2


def test_a_change_that_does_not_show_yet_is_waited_for_with_growing_intervals() -> None:
    azure = FakeAzure()
    assert states(run([Switch(late=3)], azure=azure)) == {"a": "changed"}
    assert len(azure.paused) == 3 and azure.paused == sorted(azure.paused) and azure.paused[0] < azure.paused[-1]


@pytest.mark.parametrize(
    ("error", "changed"),
    [
        (AzureError("switch", "/t/b", status=403, code="AuthorizationFailed", message="No."), False),
        (AzureError("switch", "/t/b", message="The connection broke.", accepted=None), True),
        (OperationFailed("switch", "/t/b", status="Failed", code="Broken", message="No.", accepted=True), True),
    ],
)
def test_one_failure_is_named_and_the_others_are_done(error: AzureError, changed: bool) -> None:
    switch = Switch()
    switch.trouble = raising(error, "apply", "b")
    report = run([switch, Switch("next")], "abc")
    assert states(report) == {"a": "changed", "b": "failed", "c": "changed"}
    result = report.result()
    failed = result["targets"][1]
    assert result["failed"] and result["msg"].startswith("1 of 3 failed: b: ") and failed["error"]["message"] == error.message
    assert failed["changed"] is changed and failed["after"]["next"] is False
    assert "failed" not in report.result(max_failures=1)


def test_the_message_of_a_great_failure_names_all_and_gives_the_reasons_of_some() -> None:
    switch = Switch()
    switch.trouble = raising(AzureDRError("No power."), "apply", *"abcdefghijkl")
    message = run([switch], "abcdefghijkl").result()["msg"]
    assert message.startswith("12 of 12 failed: a: No power; b: ") and message.endswith(f"; and 2 more: k, l. {fleet.WAY_ON}")


def test_after_a_failure_half_way_the_target_is_shown_as_it_is() -> None:
    class Half(Switch):
        def plan(self, target: Target, observed: bool) -> list[Action]:
            return [*super().plan(target, observed), Action("polish", (("PUT", "x"),))]

        async def apply(self, target: Target, action: Action, seconds: float) -> None:
            if action.text == "polish":
                raise AzureError("polish", target.id, status=409)
            await super().apply(target, action, seconds)

    outcome = run([Half()]).outcomes[0]
    assert (outcome.state, outcome.changed, outcome.after) == ("failed", True, {"switch": True})


def test_a_target_that_cannot_be_read_fails_alone_and_one_that_is_not_for_us_is_skipped() -> None:
    switch = Switch()

    def trouble(what: str, target: str) -> None:
        if target == "a":
            raise AzureError("read", "/t/a", status=404)
        if target == "b":
            raise Skip("b is no machine")

    switch.trouble = trouble
    report = run([switch], "abc")
    assert states(report) == {"a": "failed", "b": "skipped", "c": "changed"}
    assert report.result()["targets"][1]["reason"] == "b is no machine" and report.result(max_failures=1)["summary"]["skipped"] == 1


def test_what_will_never_come_is_a_failure_at_once() -> None:
    class Hopeless(Switch):
        def failure(self, target: Target, observed: bool) -> str | None:
            return "it burnt out"

    azure = FakeAzure()
    report = run([Hopeless(late=5)], azure=azure)
    assert states(report) == {"a": "failed"} and report.outcomes[0].reason == "it burnt out" and azure.paused == []


def test_what_does_not_come_in_time_is_timed_out() -> None:
    report = run([Switch(late=10**9)], "a", timeout=0.05)
    assert states(report) == {"a": "timed_out"} and report.outcomes[0].changed
    assert "verify: turn switch on" in str(report.outcomes[0].reason)


def test_an_action_that_times_out_has_begun() -> None:
    switch = Switch()
    switch.trouble = raising(TimedOut("switch", "/t/a", 1, None), "apply", "a")
    outcome = run([switch]).outcomes[0]
    assert outcome.state == "timed_out" and outcome.changed


def test_errors_that_are_not_for_the_user_are_not_swallowed() -> None:
    switch = Switch()
    switch.trouble = raising(ZeroDivisionError(), "apply", "a")
    with pytest.raises(ZeroDivisionError):
        run([switch])


def test_all_targets_are_worked_on_at_once() -> None:
    class Together(Switch):
        inside = 0

        async def apply(self, target: Target, action: Action, seconds: float) -> None:
            self.inside += 1
            while self.inside < 50:
                await asyncio.sleep(0)
            await super().apply(target, action, seconds)

    names = "".join(chr(200 + number) for number in range(50))
    assert set(states(run([Together()], names)).values()) == {"changed"}


def test_progress_tells_the_plan_and_each_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "lines"))
    switch = Switch()
    switch.trouble = raising(AzureDRError("No power."), "apply", "b")
    run([switch], "ab")
    lines = [json.loads(line)["text"] for line in (tmp_path / "lines").read_text().splitlines()]
    assert lines == [
        "looking at 2 machines",
        "2 machines, 2 actions: turn switch on (2); at least 4 s by Azure's request limits alone",
        "b failed: No power.",
        "2 of 2 machines done; 1 failed",
    ]


class Lossy(Switch):
    """A switch that is turned on with `method`, and whose first answers are lost: the troubles of the calls, in order; `taken`: whether
    these were taken on all the same."""

    def __init__(self, method: str, *troubles: AzureError, taken: bool = False) -> None:
        super().__init__()
        self.method, self.troubles, self.taken, self.sent = method, list(troubles), taken, 0

    def plan(self, target: Target, observed: bool) -> list[Action]:
        return [] if observed else [Action("turn it on", ((self.method, target.id),))]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        self.sent += 1
        error = self.troubles.pop(0) if self.troubles else None
        if error is None or self.taken:
            self.on.add(target.name)
        if error:
            raise error


LOST, BUSY = AzureError("turn it on", "/t/a", status=500, accepted=None), AzureError("turn it on", "/t/a", status=409)


@pytest.mark.parametrize(
    ("step", "state", "sent"),
    [
        (Lossy("PATCH", LOST), "changed", 2),
        (Lossy("POST", LOST, taken=True), "changed", 1),
        (Lossy("POST", LOST, BUSY, LOST), "failed", 3),
        (Lossy("PATCH", BUSY), "failed", 1),
        (Lossy("PUT", LOST), "failed", 1),
        (Lossy("PUT", LOST, taken=True), "changed", 1),
    ],
)
def test_what_got_no_answer_is_looked_after_before_it_is_sent_again(step: Lossy, state: str, sent: int) -> None:
    assert states(run([step])) == {"a": state}
    assert step.sent == sent


class Guarded(FakeAzure):
    """A cloud in which the sign-in may write to all but one target."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._lack = Need("Some.Type/things/write", f"/t/{target}")

    async def require(self, requests: Sequence[tuple[str, str]], needs: Sequence[tuple[str, str]]) -> None:
        if any(path.startswith(self._lack.scope + "/") for _method, path in requests):
            raise PermissionMissing([self._lack])


def test_a_missing_permission_fails_its_target_before_anything_is_sent_to_it() -> None:
    step = Switch()
    report = run([step], "ab", azure=Guarded("b"))
    assert states(report) == {"a": "changed", "b": "failed"} and step.on == {"a"}
    assert "Some.Type/things/write on /t/b" in report.result()["msg"] and "warnings" not in report.result()


def test_check_mode_tells_of_a_missing_permission_and_shows_what_would_be_done() -> None:
    report = run([Switch()], "ab", azure=Guarded("b"), check=True)
    found = report.result()
    assert states(report) == {"a": "changed", "b": "changed"} and not found.get("failed")
    assert found["warnings"] == ["Without check mode 1 of 2 would fail: the sign-in lacks Some.Type/things/write on /t/b."]
    assert [target["reason"] for target in found["targets"]] == [
        None,
        f"Without check mode it would fail: {found['warnings'][0].partition(': ')[2]}",
    ]
