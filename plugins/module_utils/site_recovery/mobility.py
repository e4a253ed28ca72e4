# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Mobility service of replicated machines: what is wrong with one, in words, and its update.

Site Recovery says of each machine that replicates from Azure to Azure whether its Mobility service is outdated, and whether it can be
updated or has to be reinstalled (Azure API 2025-08-01). Only what it asks for is done.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError, OperationFailed, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.operations import End
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import items, jobs, recovery_plans
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import vault as vaults
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import Agent, ReplicatedItem
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.jobs import Job
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.mappings import told

Wire = dict[str, Any]

# What can be said of a Mobility service, the worst first.
KINDS = ("blocked", "reinstall_required", "expired", "retries_exhausted", "expiring", "outdated", "updating")
# Jobs that change it, lower-cased (recorded traffic; the reinstallation's is named like its request, inferred).
SCENARIOS = frozenset({"updatemobilityservice", "reinstallmobilityservice"})
UPDATE, REINSTALL, WAIT = "update the Mobility service", "reinstall the Mobility service", "follow the update that runs"
REQUESTS = {UPDATE: "updateMobilityService", REINSTALL: "reinstallMobilityService"}
# Categories of an item's health errors that are about it (Azure API document, HealthErrorCategory).
CATEGORIES = ("agentautoupdate", "versionexpiry")
# The machine has to be restarted when its version is more than this ahead of the one that it was last restarted with; else a restart is
# recommended only (Microsoft Learn, Service updates in Site Recovery).
RELEASES_WITHOUT_RESTART = 4
LOOKS = 20  # looks at a machine after its update, some four minutes, before what it still says counts
BLOCKED = (
    "See that the machine runs and its VM agent is ready, and that the newest Mobility service supports its operating system and kernel."
)


@dataclass(frozen=True)
class Finding:
    """One thing that is to be said of a machine's Mobility service: a word of KINDS, why, and what to do."""

    kind: str
    reason: str
    advice: str


def judge(item: ReplicatedItem, now: datetime, days: int) -> tuple[Finding, ...]:
    """What is to be said of a machine's Mobility service, the worst first; nothing of one that is current, or of a machine without.

    days: how many days before its end of support it counts as expiring.
    """
    agent = item.agent
    if agent is None:
        return ()
    found = [*([] if updating(item) else _hindrances(item, agent)), *_age(agent, now, days)]
    if agent.upgrade_retries_exhausted:
        tried = f"{agent.upgrade_retries} times" if agent.upgrade_retries else "several times"
        reason = f"Automatic update failed {tried} and does not try again."
        found.append(Finding("retries_exhausted", reason, "Update it with asr_mobility_update; where that fails, its job tells why."))
    if agent.update_required:
        found.append(Finding("outdated", f"Its version {agent.version} is not the newest.", "Update it."))
    if updating(item):
        found.append(Finding("updating", "It is being updated.", "Wait until that has ended; asr_mobility_update follows it."))
    return tuple(sorted(found, key=lambda one: KINDS.index(one.kind)))


def _hindrances(item: ReplicatedItem, agent: Agent) -> Iterable[Finding]:
    """What keeps it from a plain update."""
    if agent.reinstall_required:
        moved = agent.installed_for and agent.distro and agent.installed_for != agent.distro
        why = f" It was installed for {agent.installed_for}, and the machine has {agent.distro} now." if moved else ""
        yield Finding(
            "reinstall_required", f"It cannot be updated and has to be reinstalled.{why}", "Reinstall it with asr_mobility_update."
        )
        if agent.reinstall_blocked_by:
            advice = " ".join(dict.fromkeys(str(one["recommended_action"] or BLOCKED) for one in agent.reinstall_blocked_by))
            causes = told({**one, "recommended_action": None} for one in agent.reinstall_blocked_by)
            yield Finding("blocked", f"Site Recovery cannot reinstall it. {causes}", advice)
    elif agent.update_required and agent.upgradeable is False:
        errors = [one for one in item.health_errors if (one["category"] or "").lower().startswith(CATEGORIES)]
        reason = "Site Recovery cannot update it on the machine as it is."
        yield Finding("blocked", f"{reason} {told(errors)}".rstrip(), BLOCKED)


def _age(agent: Agent, now: datetime, days: int) -> Iterable[Finding]:
    if agent.expires is None or items.when(agent.expires) > now + timedelta(days=days):
        return
    day = items.when(agent.expires).date().isoformat()
    offered = agent.update_required or agent.reinstall_required
    advice = "Update it." if offered else "Site Recovery offers no newer version for the machine: see what of it is out of support."
    if items.when(agent.expires) <= now:
        yield Finding("expired", f"Its version {agent.version} is out of support since {day}.", advice)
    else:
        yield Finding("expiring", f"Its version {agent.version} is supported until {day} only.", advice)


def updating(item: ReplicatedItem) -> bool:
    """Whether it is being updated or reinstalled, by whomever."""
    job = item.current_job
    return bool(item.agent and item.agent.upgrade_in_progress) or bool(job and job.scenario.lower() in SCENARIOS)


def missing(item: ReplicatedItem) -> str | None:
    """What is missing to a current Mobility service: UPDATE, REINSTALL or WAIT; None for nothing, or for nothing that can be done."""
    if item.agent is None:
        return None
    if updating(item):
        return WAIT
    if any(one.kind == "blocked" for one in _hindrances(item, item.agent)):
        return None
    if item.agent.reinstall_required:
        return REINSTALL
    return UPDATE if item.agent.update_required else None


def restart(before: str | None, after: str | None) -> str | None:
    """Whether a machine whose version went from `before` to `after` is to be restarted: "mandatory", "recommended", None for no change.

    With which version it was last restarted is not known: "mandatory" is certain, "recommended" is the least.
    """
    if before is None or after is None or before == after:
        return None
    (major, release), (new_major, new_release) = _release(before), _release(after)
    return "mandatory" if major == new_major and new_release - release > RELEASES_WITHOUT_RESTART else "recommended"


def _release(version: str) -> tuple[int, int]:
    """9 and 62 of 9.62.7110.1."""
    parts = [int(part) if part.isdigit() else 0 for part in version.split(".")]
    return parts[0], parts[1] if len(parts) > 1 else 0


def check_input(params: MutableMapping[str, Any]) -> None:
    """Refuse wrong options of asr_mobility_update before any request; pure but for what vault.check_input settles. Raises InputError."""
    vaults.check_input(params)
    if params["expiry_days"] < 0:
        raise InputError("expiry_days", params["expiry_days"], "a number of days, 0 for what is out of support already")


class MobilityUpdate(fleet.Step[ReplicatedItem]):
    """Updates or reinstalls the Mobility service of one machine, where Site Recovery asks for it; what runs already is followed.

    The `data` of each target is its item of a list that was just read: it is the first look. `told` keeps what jobs said beside success,
    `adopted` the machines whose job another run had begun, or Azure.
    """

    def __init__(self, azure: Any, vault: vaults.Vault, now: datetime, days: int) -> None:
        self.told: dict[str, str] = {}
        self.adopted: set[str] = set()
        self._azure, self._vault, self._now, self._days = azure, vault, now, days
        self._seen: dict[str, ReplicatedItem] = {}
        self._jobs: list[Job] | None = None
        self._looks: Counter[str] = Counter()

    @property
    def _operations(self) -> Any:
        return self._azure.site_recovery.replication_protected_items

    async def prepare(self, targets: Sequence[fleet.Target]) -> None:
        if any(updating(target.data) for target in targets):
            self._jobs = await self._running()

    async def observe(self, target: fleet.Target) -> ReplicatedItem:
        if target.id in self._seen:
            get = self._operations.get(**self._of(target))
            self._seen[target.id] = items.parse(await self._azure.read("read the replicated item", target.id, get))
        else:
            self._seen[target.id] = target.data
        return self._seen[target.id]

    def plan(self, target: fleet.Target, observed: ReplicatedItem) -> list[fleet.Action]:
        if observed.agent is None:
            provider = observed.provider or "another provider"
            raise fleet.Skip(f"It replicates with {provider}, and this is for machines that replicate from Azure to Azure (A2A).")
        if observed.protection_state.lower() != "protected":
            raise fleet.Skip(f"It is {observed.protection_state or 'in no known state'}, and only Protected machines can be updated.")
        text = missing(observed)
        if text is None:
            return []
        if text not in REQUESTS:
            return [fleet.Action(text)]
        return [fleet.Action(text, (("POST", f"{target.id}/{REQUESTS[text]}"),), needs=self._needs(target))]

    def _needs(self, target: fleet.Target) -> tuple[tuple[str, str], ...]:
        """What it takes to see how the update ends."""
        return (f"{ids.parse(target.id).type}/read", target.id), (f"{vaults.TYPE}/replicationJobs/read", self._vault.id)

    async def apply(self, target: fleet.Target, action: fleet.Action, seconds: float) -> None:
        if not action.requests:
            await self._follow(target, self._jobs, seconds)
            return
        end_of_time, job = asyncio.get_running_loop().time() + seconds, ""

        async def begin(polling: Any) -> Any:
            nonlocal job
            # Azure replicates with an extension of the machine: no account to sign in to it is needed (runAsAccountId, for VMware).
            body: Wire = {"update_mobility_service_request": {"properties": {}}}
            call = self._operations.begin_update_mobility_service
            if action.text == REINSTALL:
                call = self._operations.begin_reinstall_mobility_service
            poller = await call(**self._of(target), **body, polling=polling)
            job = polling.operation_id  # the operation and its job have the same name (recorded traffic)
            return poller

        try:
            end: End = await self._azure.run(action.text, target.id, begin, seconds)
        except OperationFailed as error:
            raise await jobs.explained(self._azure, self._vault, job, error) from error
        except AzureError as error:
            # No answer, or another update in the way: by automatic update, or by the request whose answer was lost.
            if error.accepted is False and error.status != 409:
                raise
            left = end_of_time - asyncio.get_running_loop().time()
            if not await self._follow(target, await self._running(), left):
                raise
        else:
            if end.status.lower() != "succeeded" or end.warning:
                wire = await jobs.glance(self._azure, self._vault, job)
                self._tell(target, end.status, jobs.parse(wire) if wire else None, end.warning)

    def view(self, observed: ReplicatedItem) -> fleet.View:
        agent = observed.agent
        return {
            "protection_state": observed.protection_state,
            "version": agent and agent.version,
            "expires": agent and agent.expires,
            "update_required": agent and agent.update_required,
            "reinstall_required": agent and agent.reinstall_required,
            "findings": [asdict(finding) for finding in judge(observed, self._now, self._days)],
        }

    def wanted(self, target: fleet.Target, observed: ReplicatedItem) -> fleet.View:
        """The newest version, and when it expires, is not told before it is there."""
        return {"version": None, "expires": None, "update_required": False, "reinstall_required": False, "findings": []}

    def failure(self, target: fleet.Target, observed: ReplicatedItem) -> str | None:
        self._looks[target.id] += not updating(observed)
        if self._looks[target.id] < LOOKS:
            return None
        said = self.told.get(target.id)
        return f"Azure reported success, but still asks to {missing(observed)}." + (f" {said}" if said else "")

    def refused(self, target: fleet.Target, observed: ReplicatedItem) -> str | None:
        return next((f"{one.reason} {one.advice}" for one in judge(observed, self._now, self._days) if one.kind == "blocked"), None)

    async def _running(self) -> list[Job]:
        """The jobs that update a Mobility service now."""
        listed = map(jobs.parse, await self._vault.jobs(self._azure))
        return [job for job in listed if job.running and (job.scenario or "").lower() in SCENARIOS]

    async def _follow(self, target: fleet.Target, running: Iterable[Job] | None, seconds: float) -> bool:
        """Follow the job that updates a machine to its end; False where none is known, and looking at the machine has to do.

        Raises OperationFailed when it fails, TimedOut when it takes longer.
        """
        item = self._seen[target.id]
        names = {job.name for job in running or () if (job.target_name or "").lower() == item.friendly_name.lower()}
        if item.current_job and item.current_job.scenario.lower() in SCENARIOS:
            names = {item.current_job.name}
        if len(names) != 1:
            return False
        name = names.pop()
        try:
            async with asyncio.timeout(seconds):
                job = await jobs.followed(self._azure, self._vault, name)
        except TimeoutError:
            raise TimedOut(WAIT, target.id, seconds / 60, f"job {name}") from None
        self.adopted.add(target.id)
        if job.failed:
            error = OperationFailed(WAIT, target.id, status=job.state, message=f"the job {name} ended as {job.state}", accepted=True)
            raise await jobs.explained(self._azure, self._vault, name, error)
        if job.state.lower() != "succeeded":
            self._tell(target, job.state, job)
        return True

    def _tell(self, target: fleet.Target, state: str, job: Job | None, warning: AzureError | None = None) -> None:
        """Keep what a job said beside success."""
        errors = (job.errors or [error for task in job.every_task() for error in task.errors]) if job else []
        text = " ".join(dict.fromkeys(map(str, errors))) or (warning.message if warning else "it says no more.")
        self.told[target.id] = f"Its job ended as {state}: {text}"

    def _of(self, target: fleet.Target) -> dict[str, str]:
        fabric, container, item = ids.parse(target.id).names[1:]
        return {**self._vault.scope, "fabric_name": fabric, "protection_container_name": container, "replicated_protected_item_name": item}


async def targets(azure: Any, vault: vaults.Vault, params: Mapping[str, Any]) -> list[fleet.Target]:
    """The machines that the options name, else all that the vault replicates, each with its item as `data`. Raises AzureDRError."""
    if params["recovery_plan"]:
        chosen: Sequence[ReplicatedItem] = (await recovery_plans.plan(azure, vault, params["recovery_plan"])).items
    else:
        chosen = [items.parse(wire) for wire in await vault.replicated_items(azure)]
        if params["replicated_items"] is not None:
            chosen = items.choose(chosen, params["replicated_items"])
    return [fleet.Target(item.id, item.friendly_name, item) for item in chosen]


def results(step: MobilityUpdate, report: fleet.Report, check: bool, max_failures: int) -> Wire:
    """The module's result: each machine with why, and whether it is to be restarted; and the machines by what is said of them in the end
    (in check mode: now)."""
    for outcome in report.outcomes:
        _explain(step, outcome, check)
    found = report.result(max_failures)
    for row in found["targets"]:
        done = row["state"] == "changed" and not check
        row["restart"] = restart(row["before"].get("version"), row["after"].get("version")) if done else None
    said = [(row["name"], _kinds(row["before"] if check else row["after"])) for row in found["targets"]]
    return found | {"agents": {kind: sorted(name for name, kinds in said if kind in kinds) for kind in KINDS}}


def warnings(step: MobilityUpdate, rows: Sequence[Wire]) -> list[str]:
    """What somebody has to know beside success: what jobs said, and which machines have to be restarted."""
    names = [row["name"] for row in rows if row["restart"] == "mandatory"]
    must = f"To be restarted, since their Mobility service is more than {RELEASES_WITHOUT_RESTART} versions further: {', '.join(names)}."
    return [f"{row['name']}: {step.told[row['id']]}" for row in rows if row["id"] in step.told] + ([must] if names else [])


def _explain(step: MobilityUpdate, outcome: fleet.Outcome, check: bool) -> None:
    """Give a machine that was, or would be, brought to what is wanted its reason; one whose update was followed counts as changed."""
    target = outcome.target
    if outcome.state == "unchanged" and (target.id in step.adopted or (check and outcome.actions)):
        outcome.state = "changed"
        if check:
            outcome.after |= step.wanted(target, target.data)
    if outcome.state in ("unchanged", "changed"):
        findings = outcome.before.get("findings", []) if outcome.state == "changed" else outcome.after.get("findings", [])
        said = [finding["reason"] for finding in findings] + ([step.told[target.id]] if target.id in step.told else [])
        outcome.reason = " ".join(said) or None


def _kinds(view: fleet.View) -> set[str]:
    return {finding["kind"] for finding in view.get("findings", ())}
