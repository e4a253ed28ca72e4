# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Failover: test, clean-up, unplanned, commit and cancel, of a recovery plan or of chosen replicated items.

What the actions are is one table, ACTIONS. What is there and what runs is looked at first; then each plan or item (a unit) is left alone,
followed where the same job runs already, refused with the way on, or acted on. Which it is, is decided by Site Recovery's own words:
allowedOperations, activeLocation and testFailoverState; not all words of protectionState were ever recorded.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import (
    AzureDRError,
    AzureError,
    InputError,
    OperationFailed,
    TimedOut,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Outcome, Step, Target
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import Progress
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import failover_jobs, items, jobs, recovery_plans
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import ReplicatedItem
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.jobs import Job
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.recovery_plans import failed_over, test_stands
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.vault import Vault
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.vault import check_input as check_vault

Wire = dict[str, Any]

PLAN, ITEM = "recovery plan", "replicated item"
FIRST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between two looks at a job
SETTLE = 600.0  # seconds that Site Recovery's item may lag behind its job's success
LOOKS = 4  # how often it is looked for what was begun in the place of a request that was refused, or that got no answer
SENDS = 3  # how often a request is sent of which an answer never came, and which began nothing

# The words for a recovery point that a recovery plan takes, by provider (Azure API document, RecoveryPlanA2AFailoverInput and
# RecoveryPlanHyperVReplicaAzureFailoverInput).
PLAN_POINTS = {
    "a2a": {
        "latest": "Latest",
        "latest_processed": "LatestProcessed",
        "latest_crash_consistent": "LatestCrashConsistent",
        "latest_application_consistent": "LatestApplicationConsistent",
    },
    "hypervreplicaazure": {
        "latest": "Latest",
        "latest_processed": "LatestProcessed",
        "latest_application_consistent": "LatestApplicationConsistent",
    },
}
# An item takes the id of one recovery point, none for the latest. How the recoveryPointType of the points begins that are looked through:
# the API document calls them ApplicationConsistent and CrashConsistent, AppConsistent is met too.
ITEM_POINTS = {"latest_processed": "", "latest_crash_consistent": "crash", "latest_application_consistent": "app"}


@dataclass(frozen=True)
class Wish:
    """What the user wants: an action of ACTIONS, and its options. `recovery_point` is a word of PLAN_POINTS or a recovery point's id,
    `test_network_id` a virtual network's id, "none", or None for what the machines are set to; a successful test failover of `tested_since`
    or later need not be repeated."""

    action: str
    recovery_point: str = "latest"
    test_network_id: str | None = None
    shutdown_source: bool = True
    comments: str = ""
    tested_since: datetime | None = None


@dataclass(frozen=True)
class Standing:
    """A unit as it stands: what Site Recovery offers on it, its items, and the jobs that run on it.

    `point` is the id of the recovery point that the wish means, of an item only and None for the latest; the networks are those that the
    machines are set to.
    """

    kind: str
    id: str
    name: str
    providers: tuple[str, ...]
    allowed: tuple[str, ...]
    items: tuple[ReplicatedItem, ...]
    running: tuple[Job, ...] = ()
    point: str | None = None
    test_networks: tuple[str, ...] = ()
    recovery_networks: tuple[str, ...] = ()

    def allows(self, operation: str) -> bool:
        return operation.lower() in (allowed.lower() for allowed in self.allowed)


@dataclass(frozen=True)
class Followed:
    """A job that this run followed, as last seen. `adopted`: it ran already. `stopping`: it was cancelled by this run.

    `troubles` are the jobs of the machines that failed in it, by the machine's name in small letters; `warning` is what Azure reported
    beside success.
    """

    job: Job
    adopted: bool
    stopping: bool = False
    troubles: Mapping[str, Job] = field(default_factory=dict)
    warning: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.job.failed if self.stopping else self.job.succeeded or failover_jobs.waits_for_cleanup(self.job)


def _body_test(wish: Wish, standing: Standing) -> Wire:
    network = test_network(wish, standing)
    kind = {"networkType": "VmNetworkAsInput", "networkId": network} if network else {"networkType": "NoNetworkAttachAsInput"}
    return {"failoverDirection": "PrimaryToRecovery", **kind, "providerSpecificDetails": _provider_details(wish, standing)}


def _body_unplanned(wish: Wish, standing: Standing) -> Wire:
    return {
        "failoverDirection": "PrimaryToRecovery",
        "sourceSiteOperations": "Required" if wish.shutdown_source else "NotRequired",
        "providerSpecificDetails": _provider_details(wish, standing),
    }


def _body_cleanup(wish: Wish, standing: Standing) -> Wire:
    return {"comments": wish.comments}


def _done_test(item: ReplicatedItem) -> str | None:
    broken = "fail" in (item.test_failover_state or "").lower()
    return "a test failover stands already" if test_stands(item) and not broken else None


def _done_cleanup(item: ReplicatedItem) -> str | None:
    return None if test_stands(item) or item.allows("TestFailoverCleanup") else "no test failover stands"


def _done_unplanned(item: ReplicatedItem) -> str | None:
    return "it is failed over already" if failed_over(item) else None


def _waits_for_commit(item: ReplicatedItem) -> bool:
    return commit_pending(item)


def _done_commit(item: ReplicatedItem) -> str | None:
    if commit_pending(item):
        return None
    return "its failover is committed already" if failed_over(item) else "no failover waits for its commit"


def _done_cancel(item: ReplicatedItem) -> str | None:
    return None if failed_over(item) or item.allows("CancelFailover") else "there is no failover to cancel"


@dataclass(frozen=True)
class Verb:
    """One action as data.

    operation: its word in allowedOperations.       scenario: its job's scenarioName.
    text: what to do, before the unit's name.       call, path: the client's operation (without `begin_`), and the same in the URL.
    done: why nothing is left to do for an item, None when something is.
    seen: what the view of an item says when it is done.
    argument: the name of the body in the client's operation on an item (on a plan it is `input`); None: it has no body.
    body: the body's properties.                    confirm: it takes away what does not come back.
    recovers: of what starts machines, and so has a recovery time: whether an item still waits for the step that ends it, so that the
    time is worth telling again.
    stops: the scenarios whose running job it cancels instead.
    waits: the scenarios whose running job leads to the state from which it begins, and is waited for.
    beside: the scenarios whose running job leaves in place what is done already.
    """

    operation: str
    scenario: str
    text: str
    call: str
    path: str
    done: Callable[[ReplicatedItem], str | None]
    seen: Mapping[str, Any]
    argument: str | None = None
    body: Callable[[Wish, Standing], Wire] | None = None
    confirm: bool = False
    recovers: Callable[[ReplicatedItem], bool] | None = None
    stops: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


ACTIONS: Mapping[str, Verb] = {
    "test": Verb(
        "TestFailover",
        "TestFailover",
        "run the test failover of",
        "test_failover",
        "testFailover",
        _done_test,
        {"test_failover": True},
        "testfailover_input",
        _body_test,
        recovers=test_stands,
        waits=("TestFailoverCleanup",),
    ),
    "test_cleanup": Verb(
        "TestFailoverCleanup",
        "TestFailoverCleanup",
        "clean up the test failover of",
        "test_failover_cleanup",
        "testFailoverCleanup",
        _done_cleanup,
        {"test_failover": False},
        "cleanup_input",
        _body_cleanup,
        beside=("UnplannedFailover", "PlannedFailover", "CommitFailover"),
    ),
    "unplanned": Verb(
        "UnplannedFailover",
        "UnplannedFailover",
        "run the unplanned failover of",
        "unplanned_failover",
        "unplannedFailover",
        _done_unplanned,
        {"active_location": "Recovery"},
        "failover_input",
        _body_unplanned,
        confirm=True,
        recovers=_waits_for_commit,
        waits=("TestFailoverCleanup",),
        beside=("CommitFailover",),
    ),
    "commit": Verb(
        "Commit",
        "CommitFailover",
        "commit the failover of",
        "failover_commit",
        "failoverCommit",
        _done_commit,
        {"commit_pending": False},
        confirm=True,
    ),
    "cancel": Verb(
        "CancelFailover",
        "CancelFailover",
        "cancel the failover of",
        "failover_cancel",
        "failoverCancel",
        _done_cancel,
        {"active_location": "Primary"},
        confirm=True,
        stops=("TestFailover", "UnplannedFailover", "PlannedFailover"),
    ),
}
# Jobs that exclude each other; any other job (an agent update, say) only matters where Site Recovery itself refuses the action for it.
EXCLUSIVE = frozenset({verb.scenario for verb in ACTIONS.values()} | {"PlannedFailover", "SwitchReplicationGroupProtection", "ChangePit"})


# -- what is wanted, against what is there: pure


def wish(params: Mapping[str, Any]) -> Wish:
    """The wish of a module's options."""
    hours = params["max_test_age"]
    since = datetime.now(UTC) - timedelta(hours=hours) if hours else None
    return Wish(params["action"], params["recovery_point"], params["test_network_id"], params["shutdown_source"], params["comments"], since)


def check_input(params: MutableMapping[str, Any]) -> None:
    """Refuse, before any request, options that are wrong or do not go together. Raises InputError."""
    check_vault(params)
    wanted, words = wish(params), ", ".join(PLAN_POINTS["a2a"])
    if params["max_test_age"] < 0:
        raise InputError("max_test_age", params["max_test_age"], "a number of hours, 0 to run a test failover whenever it is asked for")
    point = wanted.recovery_point
    if point not in PLAN_POINTS["a2a"]:
        if len(params["replicated_items"] or ()) != 1:
            raise InputError("recovery_point", point, f"one of {words}; the id of a recovery point goes with one replicated item")
        if not point.startswith("/") or "/recoverypoints/" not in point.lower():
            raise InputError("recovery_point", point, f"one of {words}, or the resource id of a recovery point of the item")
    if wanted.test_network_id and wanted.test_network_id.lower() != "none":
        ids.require("test_network_id", wanted.test_network_id, "Microsoft.Network/virtualNetworks")


def check_confirm(wish: Wish, confirm: str | None, name: str, check: bool) -> str | None:
    """Refuse an action that takes away what does not come back, unless `confirm` is the name of what it is done to.

    In check mode a missing one is let pass, and the warning about it is given back. Raises InputError.
    """
    if not ACTIONS[wish.action].confirm or confirm == name:
        return None
    if check and confirm is None:
        return f"Without check mode the action {wish.action} runs only with confirm set to {name}."
    raise InputError("confirm", confirm, f"{name!r}, the name of what the action {wish.action} is done to; nothing was sent")


def plan(wish: Wish, standing: Standing, followed: Followed | None) -> list[Action]:
    """The one action that is missing on a unit, or []. followed: the job of this run, once there is one.

    Raises AzureDRError that says why the action is refused and what the way on is.
    """
    verb = ACTIONS[wish.action]
    text = f"{verb.text} {standing.kind} {standing.name}"
    start = Action(text, (("POST", f"{standing.id}/{verb.path}"),))
    if followed is not None:
        return [] if followed.succeeded and not followed.troubles and (followed.stopping or not _open(verb, standing)) else [start]
    stopped = [job for job in standing.running if job.scenario in verb.stops]
    if stopped:
        stop = f"cancel the running job {failover_jobs.called(stopped[0])} of {standing.kind} {standing.name}"
        return [Action(stop, (("POST", f"{stopped[0].id}/cancel"),), stopped[0])]
    own = [job for job in standing.running if job.scenario == verb.scenario]
    if own:
        return [Action(f"follow the running job {own[0].name}: {text}", (), own[0])]
    before = next((job for job in standing.running if job.scenario in verb.waits), None)
    if before:
        return [Action(f"wait for the running job {failover_jobs.called(before)}, then {text}", start.requests, before)]
    over = not _open(verb, standing)
    other = next((job for job in standing.running if job.scenario in EXCLUSIVE and not (over and job.scenario in verb.beside)), None)
    if other:
        running = f"the job {failover_jobs.called(other)} runs on it since {other.started}"
        way_out = ", or stop it with the action cancel" if other.scenario in ACTIONS["cancel"].stops else ""
        raise AzureDRError(f"Cannot {text} now: {running}. Wait for it to end{way_out}.")
    if wish.action == "commit" and not any(map(failed_over, standing.items)):
        raise AzureDRError(refusal(verb, text, standing))
    if all(tested_lately(wish, item) for item in _open(verb, standing)):
        return []
    if not standing.allows(verb.operation):
        raise AzureDRError(refusal(verb, text, standing))
    if verb.body:
        verb.body(wish, standing)  # what the body cannot be made of is refused before anything is sent
    return [start]


def tested_lately(wish: Wish, item: ReplicatedItem) -> str | None:
    """Why a test failover need not be run on an item again; None when it does, and for any other action."""
    last = item.last_test_failover
    if wish.action != "test" or wish.tested_since is None or last is None or items.when(last) < wish.tested_since:
        return None
    return f"its last successful test failover is of {last}, which max_test_age lets count; 0 tests it again"


def refusal(verb: Verb, text: str, standing: Standing) -> str:
    """Why Site Recovery does not offer an action, and the way on."""
    open_items = _open(verb, standing) or list(standing.items)
    states = Counter(
        f"{item.protection_state}, active location {item.active_location}, test failover state {item.test_failover_state}"
        for item in open_items
    )
    told = "; ".join(f"{state} ({count} machines)" if len(standing.items) > 1 else state for state, count in states.items())
    jobs_told = "".join(f" The job {failover_jobs.called(job)} runs on it." for job in standing.running)
    offered = ", ".join(standing.allowed) or "nothing"
    return (
        f"Cannot {text}: Site Recovery does not offer {verb.operation}. It offers: {offered}. "
        f"State: {told}.{jobs_told} {way_on(verb, open_items)}"
    )


def way_on(verb: Verb, open_items: Sequence[ReplicatedItem]) -> str:
    """What to do about items for which an action is not offered."""
    recovered = [item for item in open_items if failed_over(item)]
    if any(map(test_stands, open_items)) and verb.operation != "TestFailoverCleanup":
        return "A test failover stands: run the action test_cleanup first."
    if any(map(commit_pending, recovered)):
        return "It is failed over and not committed: commit the failover first."
    if recovered:
        return "It is failed over and committed, which cannot be taken back: reprotect it, then it can fail over again, to where it was."
    if verb.operation == "Commit":
        return "It is not failed over, so there is nothing to commit: run the action unplanned first."
    errors = sorted({str(error["message"]) for item in open_items for error in item.health_errors if error["level"] == "Error"})
    return "Look at its health with asr_vault_info" + (f"; it says: {' '.join(errors)}" if errors else ".")


def commit_pending(item: ReplicatedItem) -> bool:
    """Whether the item is failed over and its failover not committed; taken to be so while Site Recovery offers nothing, as it does for a
    while after a job (recorded traffic, there after enabling)."""
    pending = item.allows("Commit") or "commitpending" in item.protection_state.lower()
    return failed_over(item) and (pending or not item.allowed_operations)


def test_network(wish: Wish, standing: Standing) -> str | None:
    """The network of a test failover; None attaches the machines to none. Raises InputError when there is no telling.

    Without the option it is the test network that the machines are set to; where none is, their recovery network.
    """
    if wish.test_network_id:
        return None if wish.test_network_id.lower() == "none" else wish.test_network_id
    found = standing.test_networks or standing.recovery_networks
    if len(found) == 1:
        return found[0]
    told = f"are set to several: {', '.join(found)}" if found else "are set to none"
    raise InputError("test_network_id", None, f"the id of a virtual network, or none, since the machines of {standing.name} {told}")


def in_production_network(wish: Wish, standing: Standing) -> bool:
    """Whether a test failover goes into a network in which the machines would run after a real failover."""
    network = test_network(wish, standing)
    return network is not None and any(ids.same(network, known) for known in standing.recovery_networks)


def _provider_details(wish: Wish, standing: Standing) -> Any:
    """The provider's part of a failover: a list for a plan, an object for an item (recorded traffic, Azure API document)."""
    if standing.kind == PLAN:
        return [{"instanceType": provider} | _plan_point(wish, provider) for provider in standing.providers]
    return {"instanceType": standing.providers[0]} | ({"recoveryPointId": standing.point} if standing.point else {})


def _plan_point(wish: Wish, provider: str) -> Wire:
    words = PLAN_POINTS.get(provider.lower(), {})
    if wish.recovery_point in words:
        return {"recoveryPointType": words[wish.recovery_point]}
    if wish.recovery_point == "latest":
        return {}
    raise InputError("recovery_point", wish.recovery_point, f"one of {', '.join(words) or 'latest'} for machines of {provider}")


def _open(verb: Verb, standing: Standing) -> list[ReplicatedItem]:
    return [item for item in standing.items if verb.done(item) is None]


def view(item: ReplicatedItem) -> Wire:
    """An item as the user sees it before and after."""
    return {
        "active_location": item.active_location,
        "test_failover": test_stands(item),
        "commit_pending": commit_pending(item),
        "protection_state": item.protection_state,
        "test_failover_state": item.test_failover_state,
        "allowed_operations": sorted(item.allowed_operations),
    }


# -- the work


class Failover(Step[Standing]):
    """The step that brings a unit through an action. A target's data is the name of a plan, or a replicated item."""

    sees_to_lost_answers = True

    def __init__(self, azure: Any, vault: Vault, wish: Wish, progress: Progress) -> None:
        self.followed: dict[str, Followed] = {}
        self.before: dict[str, Standing] = {}
        self.earlier: dict[str, Job] = {}  # of units that were left alone: the job that brought them to where they stand
        self._seen: dict[str, Standing] = {}
        self._ended: dict[str, float] = {}
        self._azure, self._vault, self._wish, self._progress = azure, vault, wish, progress
        self._verb = ACTIONS[wish.action]

    async def observe(self, target: Target) -> Standing:
        over = target.id in self.followed  # then what runs beside it is of no interest
        for _look in range(LOOKS):
            seen = await (self._item(target.data) if isinstance(target.data, ReplicatedItem) else self._plan(target.data, over))
            if all(job.scenario for job in seen.running):  # a job does not say at once what it is (recorded traffic)
                break
            await self._azure.pause(FIRST_LOOK)
        self.before.setdefault(target.id, seen)
        self._seen[target.id] = seen
        return seen

    def job_of(self, unit: str) -> Job | None:
        """The job that worked on a unit: the one that this run followed, or the earlier one that is told of."""
        return self.followed[unit].job if unit in self.followed else self.earlier.get(unit)

    def plan(self, target: Target, observed: Standing) -> list[Action]:
        return plan(self._wish, observed, self.followed.get(target.id))

    def view(self, observed: Standing) -> Wire:
        return {item.id: view(item) for item in observed.items}

    def wanted(self, target: Target, observed: Standing) -> Wire:
        return {item.id: view(item) | (dict(self._verb.seen) if self._verb.done(item) is None else {}) for item in observed.items}

    def failure(self, target: Target, observed: Standing) -> str | None:
        followed = self.followed.get(target.id)
        if followed is None:
            return None
        ended = f"The job {failover_jobs.called(followed.job)} ended as {followed.job.state}"
        if followed.troubles and failover_jobs.of_plan(followed.job):
            named = "; ".join(f"{child.target_name}: {failover_jobs.trouble(child)}" for child in followed.troubles.values())
            return f"{ended}. {named}"
        if not followed.succeeded:
            return f"{ended}: {failover_jobs.trouble(followed.job)}"
        missed = failover_jobs.left_out(followed.job, _open(self._verb, observed))
        if missed:
            return f"{ended} and left out {', '.join(missed)}."
        if asyncio.get_running_loop().time() > self._ended[target.id] + SETTLE:
            states = {item.friendly_name: view(item) for item in _open(self._verb, observed)}
            return f"{ended}; {SETTLE / 60:.0f} minutes later the state is {states}"
        return None

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        """Start the job, or take on the one that runs, and follow it to its end. How it went is judged by the machines, seen again."""
        step: Action | None = action
        sent = 0
        try:
            async with asyncio.timeout(seconds):
                while step is not None:
                    sent += step.data is None
                    step = await self._carry_out(target, step, seconds, last=sent >= SENDS)
        except TimeoutError:
            seen = self.followed.get(target.id)
            raise TimedOut(action.text, target.id, seconds / 60, f"job {seen.job.name}: {seen.job.state}" if seen else None) from None
        self._ended[target.id] = asyncio.get_running_loop().time()

    async def _carry_out(self, target: Target, action: Action, seconds: float, *, last: bool) -> Action | None:
        """Carry an action out; gives the one that it then turns out to take, None when a job was followed to its end, or nothing is left.

        last: a request that got no answer is not sent again.
        """
        job: Job | None = action.data
        if job is None:
            return await self._start(target, action, seconds, last=last)
        if job.scenario in self._verb.waits:
            await self._until_over(target, job.name)
            return await self._next(target)
        if action.requests:
            await self._cancel_job(job, seconds)
        await self._follow(target, job.name, adopted=True, stopping=bool(action.requests))
        return None

    async def _start(self, target: Target, action: Action, seconds: float, *, last: bool) -> Action | None:
        standing = self._seen[target.id]
        accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def begin(polling: Any) -> Any:
            poller = await self._call(standing)(polling=polling)
            accepted.set_result(polling.operation_id)  # the operation and its job have the same name (recorded traffic)
            return poller

        operation = asyncio.ensure_future(self._azure.run(action.text, target.id, begin, seconds))
        try:
            await asyncio.wait({operation, accepted}, return_when=asyncio.FIRST_COMPLETED)
            if not accepted.done():
                return await self._instead(target, action, operation, last=last)
            await self._follow(target, accepted.result(), adopted=False)
            end = await operation
            if end.warning is not None:
                self.followed[target.id] = replace(self.followed[target.id], warning=end.warning.message)
        except OperationFailed as error:
            if target.id not in self.followed:
                raise
            self._progress.say(f"{target.name}: {error.message}")
        finally:
            operation.cancel()
        return None

    async def _instead(self, target: Target, action: Action, operation: asyncio.Future[Any], *, last: bool) -> Action | None:
        """What to do when the request failed: a refused one comes too late where another run has begun the same, and one that got no answer
        may have begun it itself. Only one that began nothing is sent again. Raises AzureError.
        """
        try:
            await operation
        except AzureError as error:
            if error.accepted is False and error.status not in (400, 409):
                raise
            reason: AzureDRError = error
            for _look in range(LOOKS):
                try:
                    step = await self._next(target)
                except AzureDRError as trouble:  # what cannot be read, or is not offered, may be in a moment
                    reason = error if isinstance(trouble, AzureError) else trouble
                else:
                    if step is None or step.data is not None:
                        return step
                    reason = error
                await self._azure.pause(FIRST_LOOK)
            if error.accepted is False or last or reason is not error:
                raise reason from error
        return action

    async def _next(self, target: Target) -> Action | None:
        """What is missing on a unit by another look; where that is nothing, the job of another run that did it counts as followed.

        Raises AzureError, and AzureDRError when it is refused.
        """
        standing = await self.observe(target)
        missing = plan(self._wish, standing, None)
        if missing:
            return missing[0]
        job = await self.behind(standing, await self._vault.jobs(self._azure))
        if job:
            self.followed[target.id] = Followed(job, adopted=True)
        return None

    async def behind(self, standing: Standing, listed: Iterable[Wire]) -> Job | None:
        """The ended job, of those that the vault lists, that brought a unit to where it stands; None where that is not certain."""
        own, names = standing.name.lower(), {item.friendly_name.lower() for item in standing.items}
        known = [job for job in map(jobs.parse, listed) if job.scenario in EXCLUSIVE.difference(self._verb.beside)]
        whole = [job for job in known if failover_jobs.of_plan(job) == (standing.kind == PLAN) and (job.target_name or "").lower() == own]
        parts = [job for job in known if not failover_jobs.of_plan(job) and (job.target_name or "").lower() in names]
        found = failover_jobs.behind(self._verb.scenario, whole, parts)
        wire = await jobs.glance(self._azure, self._vault, found.name) if found else None
        job = jobs.parse(wire) if wire else None
        return job if job and failover_jobs.covers(job, standing.items) else None

    def _call(self, standing: Standing) -> Callable[..., Any]:
        """The client's operation with its arguments, `polling` left to be given."""
        client = self._azure.site_recovery
        body = {"properties": self._verb.body(self._wish, standing)} if self._verb.body else None
        if standing.kind == PLAN:
            operations, place, argument = client.replication_recovery_plans, {"recovery_plan_name": standing.name}, "input"
        else:
            operations, place = client.replication_protected_items, _place(standing.items[0])
            argument = self._verb.argument or ""
        arguments = self._vault.scope | place | ({argument: body} if body is not None else {})
        return lambda polling: getattr(operations, f"begin_{self._verb.call}")(**arguments, polling=polling)

    async def _cancel_job(self, job: Job, seconds: float) -> None:
        operations = self._azure.site_recovery.replication_jobs
        await self._azure.run(
            "cancel the job",
            job.id,
            lambda polling: operations.begin_cancel(**self._vault.scope, job_name=job.name, polling=polling),
            seconds,
        )

    async def _follow(self, target: Target, name: str, *, adopted: bool, stopping: bool = False) -> None:
        """Look at the job until it has ended, telling what changes; then read what the machines' own jobs say that did not end well."""

        def note(job: Job) -> None:
            self.followed[target.id] = Followed(job, adopted, stopping)

        job = await self._until_over(target, name, note)
        acted_on = _open(self._verb, self.before[target.id])
        self.followed[target.id] = Followed(job, adopted, stopping, {} if stopping else await self._troubles(job, acted_on))

    async def _until_over(self, target: Target, name: str, note: Callable[[Job], None] | None = None) -> Job:
        """Look at a job until it has ended, telling what changes; `note` hears of each look."""
        interval, told = FIRST_LOOK, ""
        while True:
            wire = await jobs.glance(self._azure, self._vault, name)
            if wire is not None:
                job = jobs.parse(wire)
                if note:
                    note(job)
                if not job.running or failover_jobs.waits_for_cleanup(job):
                    self._progress.say(f"{target.name}: the job {failover_jobs.called(job)} ended as {job.state}")
                    return job
                line = failover_jobs.where(target.name, wire)
                if line != told:
                    self._progress.say(line)
                told = line
            await self._azure.pause(interval)
            interval = min(interval * 1.5, LONGEST_LOOK)

    async def _troubles(self, job: Job, acted_on: Sequence[ReplicatedItem]) -> dict[str, Job]:
        """The jobs of the machines that failed; of a plan's task that did not succeed the state of the machine's own job decides."""
        names = {item.friendly_name.lower(): item.friendly_name for item in acted_on}
        if not failover_jobs.of_plan(job):
            return dict.fromkeys(names, job) if job.failed else {}
        suspects = {
            task.job: names[task.target.lower()]
            for task in job.every_task()
            if task.job
            and (task.target or "").lower() in names
            and task.target
            and task.state.lower() not in ("succeeded", "notstarted", "skipped")
        }
        read = await asyncio.gather(*(self._vault.job(self._azure, name) for name in suspects))
        children = [replace(jobs.parse(wire), target_name=name) for wire, name in zip(read, suspects.values(), strict=True)]
        return {str(child.target_name).lower(): child for child in children if child.failed}

    # -- looking

    async def look_behind(self, unchanged: Sequence[str]) -> None:
        """Find the jobs of units that were left alone and still wait for the step that ends it: what an earlier run began, or somebody."""
        waits = self._verb.recovers
        alone = [unit for unit in unchanged if waits and unit not in self.followed]
        found = {unit: self.before[unit] for unit in alone if waits and any(map(waits, self.before[unit].items))}
        if found:
            listed = await self._vault.jobs(self._azure)
            behind = await asyncio.gather(*(self.behind(standing, listed) for standing in found.values()))
            self.earlier = {unit: job for unit, job in zip(found, behind, strict=True) if job}

    async def _plan(self, name: str, over: bool) -> Standing:
        found = await recovery_plans.plan(self._azure, self._vault, name)
        listed = [] if over else await self._vault.jobs(self._azure)
        active = [job for job in map(jobs.parse, listed) if job.running and not failover_jobs.waits_for_cleanup(job)]
        own = [job for job in active if _is_plans(job, found)]
        current = {item.current_job.name for item in found.items if item.current_job}
        tests, recoveries = _networks(found.wires)
        return Standing(
            PLAN,
            found.id,
            found.name,
            found.providers,
            found.allowed_operations,
            found.items,
            tuple(own or [job for job in active if job.name in current]),
            test_networks=tests,
            recovery_networks=recoveries,
        )

    async def _item(self, item: ReplicatedItem) -> Standing:
        get = self._azure.site_recovery.replication_protected_items.get(**self._vault.scope, **_place(item))
        wire = await self._azure.read("read the replicated item", item.id, get)
        found = items.parse(wire)
        current = [jobs.parse(await self._vault.job(self._azure, found.current_job.name))] if found.current_job else []
        running = tuple(job for job in current if job.running and not failover_jobs.waits_for_cleanup(job))
        tests, recoveries = _networks([wire])
        return Standing(
            ITEM,
            found.id,
            found.friendly_name,
            (found.provider,),
            found.allowed_operations,
            (found,),
            running,
            await self._point(found),
            tests,
            recoveries,
        )

    async def _point(self, item: ReplicatedItem) -> str | None:
        """The recovery point that the wish means for an item; none for the latest, and where no failover is to begin."""
        point = self._wish.recovery_point
        if not self._verb.recovers or point == "latest" or self._verb.done(item) or not item.allows(self._verb.operation):
            return None
        if point not in ITEM_POINTS:
            if not ids.same(ids.parse(point).parent_id, item.id):
                raise InputError("recovery_point", point, f"a recovery point of {item.friendly_name}, whose id begins with {item.id}")
            return point
        pager = self._azure.site_recovery.recovery_points.list_by_replication_protected_items(**self._vault.scope, **_place(item))
        listed = await self._azure.collect("list the recovery points", item.id, pager)
        fit = [wire for wire in listed if (wire["properties"].get("recoveryPointType") or "").lower().startswith(ITEM_POINTS[point])]
        if not fit:
            raise AzureDRError(f"{item.friendly_name} has no recovery point for {point}; it has {len(listed)} recovery points in all.")
        return str(max(fit, key=lambda wire: items.when(wire["properties"]["recoveryPointTime"]))["id"])


def _place(item: ReplicatedItem) -> dict[str, str]:
    return {"fabric_name": item.fabric, "protection_container_name": item.container, "replicated_protected_item_name": item.name}


def _is_plans(job: Job, plan: recovery_plans.RecoveryPlan) -> bool:
    named = (job.target_name or "").lower() in (plan.name.lower(), plan.friendly_name.lower())
    return (job.target_type == "RecoveryPlan" and named) or ids.same(job.id, plan.current_job)


def _networks(wires: Iterable[Wire]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The test networks and the recovery networks that machines are set to; no test networks unless each machine has one."""
    details = [wire["properties"].get("providerSpecificDetails") or {} for wire in wires]
    tests, recoveries = ([one.get(name) for one in details] for name in ("selectedTfoAzureNetworkId", "selectedRecoveryAzureNetworkId"))
    return _distinct(tests) if all(tests) else (), _distinct(recoveries)


def _distinct(known: Iterable[str | None]) -> tuple[str, ...]:
    return tuple({ids.key(one): one for one in known if one}.values())


async def fail_over(azure: Any, vault: Vault, params: Mapping[str, Any], *, check: bool) -> tuple[Wire, list[str]]:
    """Do what the options of the module want, all units at once; the module's result, and warnings.

    Raises InputError before anything is sent that changes, AzureDRError and AzureError when what is meant cannot be found.
    """
    wanted = wish(params)
    targets, name, noun = await _targets(azure, vault, params)
    unconfirmed = check_confirm(wanted, params["confirm"], name, check)
    progress = Progress(len(targets), noun)
    step = Failover(azure, vault, wanted, progress)
    journal = Journal.open(params["journal_dir"], "asr_failover", azure.cloud.resource_manager)
    report = await fleet.run(
        azure, targets, [step], check=check, timeout=params["timeout"] * 60, noun=noun, progress=progress, journal=journal
    )
    await asyncio.gather(*(_last_look(step, outcome) for outcome in report.outcomes if outcome.target.id in step.followed))
    await step.look_behind([outcome.target.id for outcome in report.outcomes if outcome.state == "unchanged"])
    told = [*([unconfirmed] if unconfirmed else []), *journal.warnings, *report.warnings, *warnings(wanted, step, report)]
    return results(wanted, step, report, params["max_failures"]) | {"journal": journal.name}, told


async def _targets(azure: Any, vault: Vault, params: Mapping[str, Any]) -> tuple[list[Target], str, str]:
    """The units, the name that confirms what is done to them, and what they are called."""
    if not params["replicated_items"]:
        plan = await recovery_plans.plan(azure, vault, params["recovery_plan"])
        if not plan.items:
            raise AzureDRError(
                f"The recovery plan {plan.name} of the vault {vault.name} has no machines, so there is nothing to fail over."
            )
        return [Target(plan.id, plan.name, plan.name)], plan.name, "recovery plan"
    chosen = items.choose([items.parse(wire) for wire in await vault.replicated_items(azure)], params["replicated_items"])
    name = chosen[0].friendly_name if len(chosen) == 1 else vault.name
    return [Target(item.id, item.friendly_name, item) for item in chosen], name, "replicated items"


async def _last_look(step: Failover, outcome: Outcome) -> None:
    """See the machines once more: where the job failed or time ran out, some of them are through."""
    if outcome.state in ("failed", "timed_out"):
        try:
            outcome.after = step.view(await step.observe(outcome.target))
        except AzureDRError:
            outcome.after = {}  # nothing was seen, so nothing is told


def warnings(wish: Wish, step: Failover, report: fleet.Report) -> list[str]:
    """What went well and should still be known."""
    told = [followed.warning for followed in step.followed.values() if followed.warning]
    begun = [step.before[outcome.target.id] for outcome in report.outcomes if wish.action == "test" and outcome.actions]
    told += [
        f"The test failover of {seen.name} goes into {test_network(wish, seen)}, the network of a real failover. "
        "Set test_network_id to a network that is isolated from it."
        for seen in begun
        if not seen.running and in_production_network(wish, seen)
    ]
    return told


def results(wish: Wish, step: Failover, report: fleet.Report, max_failures: int) -> Wire:
    """The module's result: targets per machine, job, rto_seconds, summary, diff, and msg where it failed."""
    rows = [row for outcome in report.outcomes for row in _rows(wish, step, outcome)]
    worked = [job for outcome in report.outcomes if (job := step.job_of(outcome.target.id))]
    bad = [row for row in rows if row["state"] in ("failed", "timed_out")]
    troubled = [outcome for outcome in report.outcomes if outcome.state in ("failed", "timed_out")]
    ends = [row["recovered"] for row in rows if row["recovered"]]
    starts = [job.started for job in worked if job.started]
    recovery_time = failover_jobs.seconds_between(min(starts, key=items.when, default=None), max(ends, key=items.when, default=None))
    found: Wire = {
        "changed": any(row["changed"] for row in rows),
        "action": wish.action,
        "targets": [{key: value for key, value in row.items() if key != "recovered"} for row in rows],
        "job": failover_jobs.view(worked[0]) if len(worked) == 1 else None,
        "rto_seconds": None if bad else recovery_time,
        "summary": report.summary(rows),
        "diff": fleet.differences(rows),
    }
    if len(bad) > max_failures or (troubled and not bad):
        found |= {"failed": True, "msg": " ".join([*dict.fromkeys(str(outcome.reason) for outcome in troubled), fleet.WAY_ON])}
    return found


def _rows(wish: Wish, step: Failover, outcome: Outcome) -> list[Wire]:
    """What became of each machine of a unit; of a unit that could not be read, one row for itself."""
    standing = step.before.get(outcome.target.id)
    if standing is None:
        return [{"item": None, "source_id": None, "target_id": None, "job": None, "recovered": None} | outcome.result()]
    followed = step.followed.get(outcome.target.id)
    return [_row(wish, item, outcome, followed, step.earlier.get(outcome.target.id)) for item in standing.items]


def _row(wish: Wish, item: ReplicatedItem, outcome: Outcome, followed: Followed | None, earlier: Job | None) -> Wire:
    verb, before, after = ACTIONS[wish.action], view(item), outcome.after.get(item.id, {})
    state, reason = _fate(wish, item, outcome, followed)
    row: Wire = {
        "id": item.id,
        "name": item.friendly_name,
        "item": item.name,
        "source_id": item.source_vm_id,
        "target_id": item.test_vm_id if verb.operation.startswith("TestFailover") else item.recovery_vm_id,
        "state": state,
        "changed": state == "changed" or (state != "unchanged" and bool(after) and before != after),
        "reason": reason,
        "resumed": outcome.resumed,
        "before": before,
        "after": after,
        "job": None,
        "started": None,
        "ended": None,
        "recovered": None,
    }
    job = earlier or (followed.job if followed and state != "unchanged" else None)
    if job is None:
        return row
    started, ended = failover_jobs.times(job, item)
    row |= {"job": job.name, "started": started, "ended": ended}
    if earlier:
        row["reason"] = f"{reason}, by the job {failover_jobs.called(job)}, which ended at {job.ended}"
    if verb.recovers and (earlier or state == "changed"):
        row["recovered"] = failover_jobs.recovered_at(job, item)
        row["rto_seconds"] = failover_jobs.seconds_between(job.started, row["recovered"])
    failed = followed.troubles.get(item.friendly_name.lower()) if followed else None
    return row | ({"error": asdict(failed.errors[0])} if failed and failed.errors else {})


def _fate(wish: Wish, item: ReplicatedItem, outcome: Outcome, followed: Followed | None) -> tuple[str, str | None]:
    """The state of a machine, and why: its own, where it differs from that of its unit."""
    failed = followed.troubles.get(item.friendly_name.lower()) if followed else None
    if failed is not None:
        return "failed", failover_jobs.trouble(failed)
    verb = ACTIONS[wish.action]
    done = verb.done(item) or (tested_lately(wish, item) if outcome.state == "unchanged" else None)
    if done and not (followed and followed.adopted):
        return "unchanged", done
    after = outcome.after.get(item.id, {})
    if after and all(after.get(key) == value for key, value in verb.seen.items()):
        return "changed", None
    if outcome.state == "changed":  # by a job that was cancelled, which leaves some machines where they were
        return ("changed" if after != view(item) else "unchanged"), None
    return outcome.state, outcome.reason
