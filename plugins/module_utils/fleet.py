# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One step after the other on many targets at once: outcomes, order, time limits, progress.

A domain file describes what it does to one target as a `Step`: observe, plan, apply, and what its observations look like to
the user. `run` does the rest, the same for all modules: look at every target, say what will be done and how long that takes
at least, do it on all targets at once (the steps of one target in order), look again until the wanted state is there, and
report each target by name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.permissions import Need, PermissionMissing
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import Progress

Observed = TypeVar("Observed")
View = dict[str, Any]

TOLD = 10  # failed targets whose reasons are in a module's msg; the others are only named there
WAY_ON = "Run this again when the causes are removed: it leaves alone what is done."
FIRST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between two looks at a target while it is verified
LAST_LOOK = 60.0  # seconds for the look at a target that failed, or whose time is up
SENDS = 3  # times that a POST or PATCH is sent whose answer is lost
LOOKS = 3  # looks at what became of it, in some seven seconds, before it counts as not taken on


class Pacing(Protocol):
    throttled_requests: int

    def minimum_duration(self, requests: Any) -> float: ...


class Azure(Protocol):
    """What the fleet needs of arm.session.Azure."""

    @property
    def pacer(self) -> Pacing: ...

    async def require(self, requests: Iterable[tuple[str, str]], needs: Iterable[tuple[str, str]]) -> None: ...

    async def pause(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Target:
    """One thing to act on: its resource id, the name that users know it by, and what the domain file wants to remember of it."""

    id: str
    name: str
    data: Any = None


@dataclass(frozen=True)
class Action:
    """One missing action: what it is, in the imperative ("install extension X"), the requests it will send (method, path), and
    what `apply` needs to carry it out. One without requests is a wait: it changes nothing.

    needs: permissions (action, scope) that the requests need beside their own, on the resources that they link to.
    lost: what the requests take away, for the journal; None for nothing."""

    text: str
    requests: tuple[tuple[str, str], ...] = ()
    data: Any = None
    needs: tuple[tuple[str, str], ...] = ()
    lost: View | None = None


class Skip(Exception):
    """Raised by `observe` or `plan`: this target is not for us, for this reason."""


class Step(Generic[Observed]):
    """What is done to one target. observe is the only reader, apply the only writer, all else is pure.

    independent: nothing that an earlier step does changes what this one sees, so it need not look again behind it.
    sees_to_lost_answers: apply itself finds out what became of a request that got no answer.
    """

    independent = False
    sees_to_lost_answers = False

    async def prepare(self, targets: Sequence[Target]) -> None:
        """Read in bulk what `foretell` tells; called once, before the first look of a run that changes."""

    def foretell(self, target: Target) -> Observed | None:
        """What the bulk reading says of a target: enough to say beforehand what will be done. It is looked at when its turn comes, and
        what is done and reported follows that look. None: it has to be looked at now."""
        return None

    async def observe(self, target: Target) -> Observed:
        """The target's present state, as a frozen dataclass. Raises AzureError, Skip."""
        raise NotImplementedError

    def plan(self, target: Target, observed: Observed) -> list[Action]:
        """The actions that are missing, in order; [] when the wanted state is there. Raises Skip, AzureDRError."""
        raise NotImplementedError

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        """Carry out one action to its end, in at most `seconds`. Raises AzureError, TimedOut."""
        raise NotImplementedError

    def view(self, observed: Observed) -> View:
        """The state as the user sees it in `before` and `after`; never a secret."""
        raise NotImplementedError

    def wanted(self, target: Target, observed: Observed) -> View:
        """The view that will hold when the plan is done (check and diff mode)."""
        raise NotImplementedError

    def failure(self, target: Target, observed: Observed) -> str | None:
        """Why waiting longer will not bring the wanted state (asked after apply); None while it may."""
        return None

    def made_good(self, target: Target, observed: Observed, lost: View) -> bool:
        """Whether what an action took away (its `lost`) is there again, or nobody wants it: then the journal closes it."""
        return True

    def goes_on(self, target: Target, action: Action, error: AzureError) -> bool:
        """Whether what comes after an action that failed is done all the same. Who says so plans that action no more, and tells of it in
        `refused`."""
        return False

    def refused(self, target: Target, observed: Observed) -> str | None:
        """What of the wanted state cannot be brought about, and why: the target fails with it once all else is done. None for nothing."""
        return None


class Part(Step[Observed | None]):
    """A step for some of the targets; to the others it does nothing."""

    def __init__(self, step: Step[Observed], meant: Callable[[Target], bool]) -> None:
        self._step, self._meant = step, meant
        self.independent, self.sees_to_lost_answers = step.independent, step.sees_to_lost_answers

    async def prepare(self, targets: Sequence[Target]) -> None:
        await self._step.prepare([target for target in targets if self._meant(target)])

    def foretell(self, target: Target) -> Observed | None:
        return self._step.foretell(target) if self._meant(target) else None

    async def observe(self, target: Target) -> Observed | None:
        return await self._step.observe(target) if self._meant(target) else None

    def plan(self, target: Target, observed: Observed | None) -> list[Action]:
        return [] if observed is None else self._step.plan(target, observed)

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        await self._step.apply(target, action, seconds)

    def view(self, observed: Observed | None) -> View:
        return {} if observed is None else self._step.view(observed)

    def wanted(self, target: Target, observed: Observed | None) -> View:
        return {} if observed is None else self._step.wanted(target, observed)

    def failure(self, target: Target, observed: Observed | None) -> str | None:
        return None if observed is None else self._step.failure(target, observed)

    def made_good(self, target: Target, observed: Observed | None, lost: View) -> bool:
        return observed is None or self._step.made_good(target, observed, lost)

    def goes_on(self, target: Target, action: Action, error: AzureError) -> bool:
        return self._step.goes_on(target, action, error)

    def refused(self, target: Target, observed: Observed | None) -> str | None:
        return None if observed is None else self._step.refused(target, observed)


@dataclass
class Outcome:
    """What became of one target. `begun`: Azure accepted at least one change. resumed: what earlier runs left open, by their journals.
    lacks: the permissions that it would fail for without check mode."""

    target: Target
    state: str = "unchanged"
    reason: str | None = None
    error: View | None = None
    begun: bool = False
    before: View = field(default_factory=dict)
    after: View = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    resumed: list[View] = field(default_factory=list)
    lacks: tuple[Need, ...] = ()
    started: str | None = None
    ended: str | None = None

    @property
    def changed(self) -> bool:
        return self.begun or self.state == "changed"

    def result(self) -> View:
        """The element of `targets` in a module's result."""
        shown = {
            "id": self.target.id,
            "name": self.target.name,
            "changed": self.changed,
            "state": self.state,
            "reason": self.reason,
            "actions": self.actions,
            "resumed": self.resumed,
            "before": self.before,
            "after": self.after,
            "started": self.started,
            "ended": self.ended,
        }
        return shown | ({"error": self.error} if self.error else {})


@dataclass(frozen=True)
class Report:
    """What became of all targets. minimum_duration and duration in seconds."""

    outcomes: list[Outcome]
    minimum_duration: float
    duration: float
    throttled_requests: int

    @property
    def warnings(self) -> list[str]:
        """What check mode has seen that would keep targets from being done, in a sentence."""
        lacking = [outcome for outcome in self.outcomes if outcome.lacks]
        needs = sorted({str(need) for outcome in lacking for need in outcome.lacks})
        if not needs:
            return []
        more = f"; and {len(needs) - TOLD} more" if len(needs) > TOLD else ""
        return [f"Without check mode {len(lacking)} of {len(self.outcomes)} would fail: the sign-in lacks {'; '.join(needs[:TOLD])}{more}."]

    def count(self, *states: str) -> int:
        return sum(outcome.state in states for outcome in self.outcomes)

    def summary(self, rows: Iterable[View]) -> View:
        """How many of the rows are in which state, and how long the run took."""
        counts = Counter(row["state"] for row in rows)
        return {state: counts[state] for state in ("unchanged", "changed", "failed", "skipped", "timed_out")} | {
            "minimum_duration": round(self.minimum_duration, 1),
            "duration": round(self.duration, 1),
            "throttled_requests": self.throttled_requests,
        }

    def result(self, max_failures: int = 0) -> View:
        """A module's result: changed, failed, msg, targets, summary, diff. failed when more than max_failures targets did not succeed."""
        rows = [outcome.result() for outcome in self.outcomes]
        bad = [outcome for outcome in self.outcomes if outcome.state in ("failed", "timed_out")]
        found: View = {
            "changed": any(outcome.changed for outcome in self.outcomes),
            "targets": rows,
            "summary": self.summary(rows),
            "diff": differences(rows),
            **({"warnings": self.warnings} if self.warnings else {}),
        }
        if len(bad) > max_failures:
            told = [f"{outcome.target.name}: {str(outcome.reason).rstrip('.')}" for outcome in bad[:TOLD]]
            if len(bad) > TOLD:
                told.append(f"and {len(bad) - TOLD} more: " + ", ".join(outcome.target.name for outcome in bad[TOLD:]))
            found |= {"failed": True, "msg": f"{len(bad)} of {len(self.outcomes)} failed: {'; '.join(told)}. {WAY_ON}"}
        return found


def differences(rows: Iterable[View]) -> list[View]:
    """Ansible's diff of the rows of a result that have one."""
    return [
        {"before_header": row["name"], "after_header": row["name"], "before": row["before"], "after": row["after"]}
        for row in rows
        if row["before"] != row["after"]
    ]


async def run(
    azure: Azure,
    targets: Sequence[Target],
    steps: Sequence[Step[Any]],
    *,
    check: bool,
    timeout: float,
    noun: str = "targets",
    progress: Progress | None = None,
    journal: Journal | None = None,
) -> Report:
    """Bring every target to the wanted state of every step, in the order of the steps; all targets at once.

    timeout: seconds for the whole run, waiting included; a target that is not there by then is `timed_out` (what Azure has begun goes
    on there). check: look and plan only. noun: what the targets are called in messages. journal: takes down each action before it is sent;
    InputError is raised, and nothing sent, where it cannot be made.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time()
    progress = progress or Progress(len(targets), noun)
    runs = [_Run(azure, target, steps, begin, timeout, progress, journal, check) for target in targets]
    ticker = asyncio.create_task(_ticking(progress))
    try:
        progress.say(f"looking at {_some(len(targets), noun)}")
        if not check:
            await asyncio.gather(*(step.prepare(targets) for step in steps))
        await asyncio.gather(*(one.look() for one in runs))
        plans = [(one.outcome, action) for one in runs for actions in one.plans for action in actions]
        minimum = azure.pacer.minimum_duration([request for _outcome, action in plans for request in action.requests])
        progress.say(_announcement(len(runs), noun, [action for _outcome, action in plans], minimum))
        if journal:
            _look_around(journal, [one.outcome for one in runs], progress)
        if check:
            for one in runs:
                one.foresee()
        else:
            if journal and any(action.requests for _outcome, action in plans):
                journal.begin()
            await asyncio.gather(*(one.act() for one in runs))
    finally:
        ticker.cancel()
        progress.tick()
        if journal and not check:
            await journal.close()
    return Report([one.outcome for one in runs], minimum, loop.time() - begin, azure.pacer.throttled_requests)


def _announcement(total: int, noun: str, actions: Sequence[Action], minimum: float) -> str:
    if not actions:
        return f"{_some(total, noun)}: nothing to do"
    kinds = Counter(action.text for action in actions)
    listed = ", ".join(f"{text} ({count})" if count > 1 else text for text, count in kinds.most_common(6))
    more = f", and {len(kinds) - 6} more" if len(kinds) > 6 else ""
    least = f"; at least {minimum:.0f} s by Azure's request limits alone" if minimum >= 1 else ""
    return f"{_some(total, noun)}, {_some(len(actions), 'actions')}: {listed}{more}{least}"


def _look_around(journal: Journal, outcomes: Sequence[Outcome], progress: Progress) -> None:
    """Say what other runs have left open on the targets, and which are at work on them now."""
    left = Counter((view["run"], view["module"], view["host"]) for outcome in outcomes for view in outcome.resumed)
    for (run, module, host), count in left.items():
        progress.say(f"going on with what run {run} ({module} on {host}) left open: {_some(count, 'actions')}")
    for text in journal.beside(outcome.target.id for outcome in outcomes):
        progress.say(text)


def _some(count: int, noun: str) -> str:
    return f"{count} {noun.removesuffix('s') if count == 1 else noun}"


async def _ticking(progress: Progress) -> None:
    while True:
        await asyncio.sleep(1)
        progress.tick()


class _Run:
    """The run of one target: its outcome as it grows."""

    def __init__(
        self,
        azure: Azure,
        target: Target,
        steps: Sequence[Step[Any]],
        begin: float,
        timeout: float,
        progress: Progress,
        journal: Journal | None,
        check: bool,
    ) -> None:
        self.outcome = Outcome(target)
        self.plans: list[list[Action]] = []
        self._azure, self._target, self._steps, self._progress = azure, target, steps, progress
        self._journal, self._check = journal, check
        self._timeout, self._deadline = timeout, begin + timeout
        self._seen: list[Any] = []
        self._foretold: set[int] = set()  # the steps that have not looked yet
        self._acted = False

    async def look(self) -> None:
        """Observe, or foretell, and plan every step; a target that cannot be read is failed, one that is not for us skipped."""
        try:
            for number, step in enumerate(self._steps):
                observed = step.foretell(self._target)
                if observed is not None:
                    self._foretold.add(number)
                else:
                    observed = await self._observe(step)
                    self.outcome.before |= step.view(observed)
                self._seen.append(observed)
                self.plans.append(step.plan(self._target, observed))
            await self._permitted()
            if self._journal:
                self.outcome.resumed = [entry.view() for entry in self._journal.unfinished(self._target.id) if not entry.live]
        except (Skip, AzureDRError) as trouble:
            self.plans = []
            self._end(trouble)
        self.outcome.after = dict(self.outcome.before)
        self.outcome.actions = [action.text for actions in self.plans for action in actions]

    async def _permitted(self) -> None:
        """Raises PermissionMissing. Check mode only takes it down: who may read may look at what would be done."""
        try:
            await self._require(*self.plans)
        except PermissionMissing as lack:
            if not self._check:
                raise
            self.outcome.lacks = lack.missing
            self.outcome.reason = f"Without check mode it would fail: the sign-in lacks {'; '.join(map(str, lack.missing))}."

    async def _require(self, *plans: list[Action]) -> None:
        """Raises AzureDRError when the sign-in is known to lack a permission: half of a plan can be worse than nothing."""
        actions = [action for plan in plans for action in plan]
        if any(action.requests for action in actions):
            await self._azure.require(
                [request for action in actions for request in action.requests], [need for action in actions for need in action.needs]
            )

    def foresee(self) -> None:
        """Check mode: what the outcome would be."""
        if self.outcome.state != "unchanged":
            return
        if any(action.requests for plan in self.plans for action in plan):
            self.outcome.state = "changed"
            for step, observed in zip(self._steps, self._seen, strict=True):
                self.outcome.after |= step.wanted(self._target, observed)
        refused = self._refused()
        if refused:
            self._end(refused)
            return
        self._progress.end(self._target.id, self.outcome.state)

    async def act(self) -> None:
        """Carry out the plan, step by step, each verified before the next."""
        if self.outcome.state != "unchanged":
            return
        if not any(self.plans) and not await self._looked():
            return
        if not any(self.plans):
            self._end(self._refused())
            return
        self.outcome.started = _clock()
        self.outcome.actions = []
        for number, step in enumerate(self._steps):
            try:
                await self._step(number, step)
            except (Skip, AzureDRError) as trouble:
                await self._look_back(step)
                self._end(trouble)
                return
        self._end(self._refused())

    async def _looked(self) -> bool:
        """Look with the steps that have not looked yet; False when that ended the target."""
        try:
            for number in sorted(self._foretold):
                await self._look_now(number)
        except (Skip, AzureDRError) as trouble:
            self._end(trouble)
            return False
        return True

    async def _look_now(self, number: int) -> None:
        """Look with a step of which only the bulk reading has told until now, and plan anew."""
        step = self._steps[number]
        self._seen[number] = await self._observe(step)
        self._foretold.remove(number)
        self.outcome.before |= step.view(self._seen[number])
        self.outcome.after |= step.view(self._seen[number])
        self.plans[number] = step.plan(self._target, self._seen[number])
        await self._require(self.plans[number])

    def _refused(self) -> AzureDRError | None:
        """The trouble with what no step will bring about."""
        told = [text for step, observed in zip(self._steps, self._seen, strict=True) if (text := step.refused(self._target, observed))]
        return AzureDRError(" ".join(told)) if told else None

    async def _look_back(self, step: Step[Any]) -> None:
        """See what a step that failed half-way has left behind, and what was not looked at yet; what it failed of is told, not this look's
        own trouble."""
        with contextlib.suppress(Skip, AzureDRError):
            for number in sorted(self._foretold):
                await self._look_now(number)
        if self.outcome.begun:
            with contextlib.suppress(Skip, AzureDRError):
                self.outcome.after |= step.view(await self._observe(step, LAST_LOOK))

    async def _step(self, number: int, step: Step[Any]) -> None:
        if number in self._foretold:
            await self._look_now(number)
        elif self._acted and not step.independent:  # by an earlier step, or its wait: what was seen before no longer counts
            self._seen[number] = await self._observe(step)
            self.plans[number] = step.plan(self._target, self._seen[number])
            await self._require(self.plans[number])
        plan = self.plans[number]
        for action in plan:
            self._progress.now(self._target.id, action.text)
            self.outcome.actions.append(action.text)
            self._acted = True
            try:
                async with self._noted(action):
                    await self._send(step, action)
            except AzureError as error:
                self.outcome.begun |= bool(action.requests) and error.accepted is not False
                if not step.goes_on(self._target, action, error):
                    raise
                continue
            except TimedOut:  # what was accepted goes on in Azure
                self.outcome.begun |= bool(action.requests)
                raise
            self.outcome.begun |= bool(action.requests)
        if plan:
            await self._verify(number, step)

    async def _send(self, step: Step[Any], action: Action) -> None:
        """Carry an action out. Where a request got no answer, looking tells whether it was taken on; a POST or PATCH that was not is sent
        again. PUT and DELETE were sent again already, since they do no harm twice."""
        once = not any(method in ("POST", "PATCH") for method, _path in action.requests)
        for number in range(SENDS):
            try:
                await step.apply(self._target, action, self._left(action.text))
                return
            except AzureError as error:
                unsure = error.accepted is None or (number > 0 and error.status == 409)  # it may be the first one that is in the way
                if step.sees_to_lost_answers or not unsure:
                    raise
                if await self._taken_on(step, action):
                    return
                if once or number + 1 == SENDS:
                    raise

    async def _taken_on(self, step: Step[Any], action: Action) -> bool:
        """Whether a request that got no answer was taken on: what it is for is not missing any more."""
        interval = FIRST_LOOK
        for _look in range(LOOKS):
            await self._azure.pause(interval)
            interval *= 2
            with contextlib.suppress(AzureError):
                missing = step.plan(self._target, await self._observe(step))
                if all(one.requests != action.requests for one in missing):
                    return True
        return False

    def _noted(self, action: Action) -> contextlib.AbstractAsyncContextManager[None]:
        """Around an action: in the journal before it is sent. A wait sends nothing."""
        if not self._journal or not action.requests:
            return contextlib.nullcontext()
        return self._journal.sent(self._target.id, action.text, action.requests, action.lost)

    async def _verify(self, number: int, step: Step[Any]) -> None:
        """Look again until nothing is missing: only what was seen is reported."""
        interval = FIRST_LOOK
        while True:
            observed = await self._observe(step)
            self.outcome.after |= step.view(observed)
            missing = step.plan(self._target, observed)
            if not missing:
                self._seen[number] = observed
                return
            reason = step.failure(self._target, observed)
            if reason is not None:
                raise AzureDRError(reason)
            self._progress.now(self._target.id, f"verify: {missing[0].text}")
            self._left(f"verify: {missing[0].text}")
            await self._azure.pause(interval)
            interval = min(interval * 1.5, LONGEST_LOOK)

    async def _observe(self, step: Step[Any], seconds: float = 0.0) -> Any:
        """Look, until the run's time is up, or for so many seconds."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(loop.time() + seconds if seconds else self._deadline):
                return await step.observe(self._target)
        except TimeoutError:
            raise TimedOut("look", self._target.id, minutes=round(seconds / 60 or self._timeout / 60, 1), last=None) from None

    def _settle(self) -> None:
        """The target is as wanted: close what is open on it in the journals, but for what is still gone."""
        if self._journal:
            seen = list(zip(self._steps, self._seen, strict=True))
            self._journal.settle(self._target.id, lambda lost: all(step.made_good(self._target, observed, lost) for step, observed in seen))

    def _left(self, doing: str) -> float:
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise TimedOut(doing, self._target.id, minutes=self._timeout / 60, last=None)
        return left

    def _end(self, trouble: Exception | None) -> None:
        outcome = self.outcome
        if trouble is None:
            outcome.state = "changed" if outcome.begun else "unchanged"
            self._settle()
        else:
            outcome.state = {Skip: "skipped", TimedOut: "timed_out"}.get(type(trouble), "failed")
            outcome.reason = str(trouble)
            outcome.error = trouble.as_dict() if isinstance(trouble, AzureDRError) else None
            if outcome.state != "skipped":
                self._progress.say(f"{self._target.name} {outcome.state}: {outcome.reason}")
        if outcome.started:
            outcome.ended = _clock()
        self._progress.end(self._target.id, outcome.state)


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
