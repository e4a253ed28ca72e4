# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings the instances of scale sets with the upgrade mode Manual to the latest model, as careful as the platform is with the others.

The platform's own rules hold (Microsoft Learn, automatic extension upgrade and automatic OS image upgrades): batches of at most 20 percent
of the instances and at least one; five minutes for each batch to be healthy; an end when more than 20 percent are unhealthy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, OperationFailed, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import machines
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.scale_sets import Instance, ScaleSet, ScaleSets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import Progress

SHARE = 20  # percent of the instances: the most in a batch, and the most that may be unhealthy
PATIENCE = 300.0  # seconds for the instances of a batch to be healthy again
SENDS = 3  # times that an instance is named in a request whose answer is lost
# Seconds between two looks. Azure lists the instances of a scale set 10 times a minute, 30 at once (Microsoft Learn, Compute throttling
# limits).
FIRST_LOOK, LONGEST_LOOK = 2.0, 15.0
TOLD = 10  # instances that a message names


def batch_size(total: int) -> int:
    """How many of so many instances are brought to the latest model at once."""
    return max(1, total * SHARE // 100)


def too_many(unhealthy: int, total: int) -> bool:
    return unhealthy * 100 > total * SHARE


def behind(scale_set: ScaleSet, changes: bool = False) -> list[Instance]:
    """The instances that this step brings to the latest model. changes: the model is about to be changed, so that all will lag."""
    lagging = scale_set.instances if changes else scale_set.lagging
    return [one for one in lagging if not one.protected] if scale_set.manual else []


class Rollout(Step[ScaleSet]):
    """Brings what lags behind the model to it, batch by batch. It does nothing to a scale set with another mode, where the platform does.

    patience: seconds that the instances of a batch have to be healthy again. changes: whether an earlier step is about to change the model.
    shown: what users see of a scale set when its instances have been brought there, beside them.
    """

    sees_to_lost_answers = True

    def __init__(
        self,
        azure: Any,
        scale_sets: ScaleSets,
        patience: float = PATIENCE,
        changes: Callable[[ScaleSet], bool] = lambda scale_set: False,
        shown: Callable[[ScaleSet], View] = lambda scale_set: {},
    ) -> None:
        self._azure, self._scale_sets, self._patience, self._changes, self._shown = azure, scale_sets, patience, changes, shown
        self._progress = Progress()

    async def observe(self, target: Target) -> ScaleSet:
        return await self._scale_sets.read(target.id)

    def plan(self, target: Target, observed: ScaleSet) -> list[Action]:
        number, total = len(behind(observed, self._changes(observed))), len(observed.instances)
        if not number:
            return []
        batches = -(-number // batch_size(total))
        return [Action(f"bring {number} of {total} instances to the latest model", (("POST", f"{observed.id}/manualupgrade"),) * batches)]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        end, sent, failures = clock() + seconds, Counter[str](), list[str]()
        batch: list[str] = []
        while True:
            scale_set = await self._settled(target, batch, end)
            ill = [one for one in scale_set.instances if one.trouble or one.busy]
            left = behind(scale_set)
            if left and too_many(len(ill), len(scale_set.instances)):
                raise AzureDRError(_stopped(scale_set, ill, left, failures))
            ready = [one.instance_id for one in left if not one.busy and sent[one.instance_id] < SENDS]
            batch = ready[: batch_size(len(scale_set.instances))]
            if not batch:
                break
            self._progress.say(f"{target.name}: bringing {_names(scale_set, batch)} to the latest model, {len(left)} instances lag")
            try:
                answered = await self._send(target, action.text, batch, end - clock())
            except OperationFailed as error:
                failures.append(error.message.rstrip("."))
                answered = True
            sent.update(dict.fromkeys(batch, SENDS if answered else 1))
        if failures or left:
            raise AzureDRError(_unfinished(scale_set, left, failures))

    async def _send(self, target: Target, asked: str, batch: Sequence[str], seconds: float) -> bool:
        """Send a batch and follow it to its end; False when the answer was lost. To name an instance twice does no harm."""
        parsed = ids.parse(target.id)
        operations, body = self._azure.compute(parsed.subscription).virtual_machine_scale_sets, {"instanceIds": list(batch)}
        try:
            await machines.write(
                self._azure,
                asked,
                target.id,
                lambda polling: operations.begin_update_instances(parsed.resource_group, parsed.name, body, polling=polling),
                seconds,
            )
        except AzureError as error:
            if error.accepted is not None:
                raise
            return False
        return True

    async def _settled(self, target: Target, batch: Sequence[str], end: float) -> ScaleSet:
        """The scale set when nobody changes an instance any more and those of the batch are healthy, or when the patience with them is
        over. Raises TimedOut."""
        clock = asyncio.get_running_loop().time
        patient, interval = clock() + self._patience, FIRST_LOOK
        while True:
            scale_set = await self._scale_sets.read(target.id)
            waiting = [one for one in scale_set.instances if one.busy or (one.instance_id in batch and one.trouble)]
            if not waiting or clock() >= patient:
                return scale_set
            if clock() >= end:
                raise TimedOut("wait for the health of the instances", target.id, round(self._patience / 60, 1), _told(waiting))
            await self._azure.pause(min(interval, max(min(patient, end) - clock(), 0.1)))
            interval = min(interval * 1.5, LONGEST_LOOK)

    def view(self, observed: ScaleSet) -> View:
        return self._shown(observed) | {"instances": observed.instances_view()}

    def wanted(self, target: Target, observed: ScaleSet) -> View:
        changes = observed.manual and self._changes(observed)
        brought = {one.id for one in behind(observed, changes)}
        lagging = [one.name for one in observed.instances if one.id not in brought and (changes or not one.latest)]
        return {"instances": observed.instances_view() | {"lagging": sorted(lagging)}}


def _names(scale_set: ScaleSet, instance_ids: Iterable[str]) -> str:
    wanted = set(instance_ids)
    return _listed([one.name for one in scale_set.instances if one.instance_id in wanted])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(names[:TOLD]) + more


def _told(instances: Sequence[Instance]) -> str:
    return _listed([f"{one.name} ({one.trouble or f'its provisioning state is {one.state}'})" for one in instances])


def _failed(failures: Sequence[str]) -> str:
    return f" Azure says: {'; '.join(dict.fromkeys(failures))}." if failures else ""


def _stopped(scale_set: ScaleSet, ill: Sequence[Instance], left: Sequence[Instance], failures: Sequence[str]) -> str:
    return (
        f"Stopped, since {len(ill)} of {len(scale_set.instances)} instances are unhealthy, more than {SHARE} %: {_told(ill)}."
        f"{_failed(failures)} These lag behind the latest model: {_listed([one.name for one in left])}. See to those that are unhealthy, "
        "then run this again: it goes on with those that lag."
    )


def _unfinished(scale_set: ScaleSet, left: Sequence[Instance], failures: Sequence[str]) -> str:
    ill = f" Unhealthy are: {_told(scale_set.unhealthy)}." if scale_set.unhealthy else ""
    lag = f" These lag behind it: {_listed([one.name for one in left])}." if left else ""
    return f"Not all instances came well to the latest model.{_failed(failures)}{ill}{lag}"
