# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Upgrades of the OS image of scale sets: the policy by which the platform does them, and those that are started, followed or cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import (
    AzureDRError,
    AzureError,
    InputError,
    OperationFailed,
    TimedOut,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import os_prerequisites as prerequisites
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import write
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.os_prerequisites import FORBIDS, Finding, Surroundings
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.scale_sets import TYPE, Instance, ScaleSet, ScaleSets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Outcome, Report, Step, Target, View
from ansible_collections.cloudops.azure_dr.plugins.module_utils.progress import Progress

Wire = Mapping[str, Any]

# The options' words and Azure's (Azure API document, AutomaticOSUpgradePolicy and RollingUpgradePolicy).
SWITCH = "enableAutomaticOSUpgrade"
AUTOMATIC = {
    "disable_automatic_rollback": "disableAutomaticRollback",
    "use_rolling_upgrade_policy": "useRollingUpgradePolicy",
    "os_rolling_upgrade_deferral": "osRollingUpgradeDeferral",
}
ROLLING = {
    "max_batch_instance_percent": "maxBatchInstancePercent",
    "max_unhealthy_instance_percent": "maxUnhealthyInstancePercent",
    "max_unhealthy_upgraded_instance_percent": "maxUnhealthyUpgradedInstancePercent",
    "pause_time_between_batches": "pauseTimeBetweenBatches",
    "enable_cross_zone_upgrade": "enableCrossZoneUpgrade",
    "prioritize_unhealthy_instances": "prioritizeUnhealthyInstances",
    "rollback_failed_instances_on_policy_breach": "rollbackFailedInstancesOnPolicyBreach",
    "max_surge": "maxSurge",
}
LEAST = {"max_batch_instance_percent": 5, "max_unhealthy_instance_percent": 5, "max_unhealthy_upgraded_instance_percent": 0}
PAUSE = "pause_time_between_batches"
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)

BALANCER_API_VERSION = "2024-05-01"  # Azure API document, load balancers
CLUSTER_API_VERSION = "2021-06-01"  # Azure API document, Service Fabric clusters
GOING_ON = {"rollingforward", "rollingback"}  # codes of an upgrade that runs
FIRST_LOOK, LONGEST_LOOK = 2.0, 15.0  # seconds between two looks at an upgrade that runs
TOO_MANY_LOOKS = 10  # at a policy that Azure says it has changed
NO_ROLLBACK = "An upgrade that is started has no automatic rollback: an instance that is unhealthy on the new image keeps it."
# What a refused sign-in of an extension reads like; the words are those of storage accounts and of public issue threads.
_CREDENTIALS = re.compile(r"\b40[13]\b|authenticat|authoriz|credential|expired|signature|forbidden", re.IGNORECASE)
# The steps are those of Microsoft Learn, automatic OS image upgrades, "Keep credentials up to date".
RECOVERY = (
    "Make the token, key or certificate anew with which the extension gets at what it needs.",
    "See that the credentials which are used inside the machines are still valid.",
    "Give the extension in the scale set's model the new ones.",
    "Bring all instances to that model, those that failed included; the next image is then rolled out, or start it with state=started.",
)


@dataclass(frozen=True)
class Policy:
    """What is asked of a scale set: automatic upgrades on or off, and the keys of the two policies that are to have a value, by Azure's
    names. fix: Windows Update goes off, where it is in the way."""

    enabled: bool
    automatic: Wire = field(default_factory=dict)
    rolling: Wire = field(default_factory=dict)
    fix: bool = False

    @classmethod
    def asked(cls, params: Mapping[str, Any]) -> Policy:
        """What the options of vmss_os_upgrade ask for."""
        automatic = {wire: params[name] for name, wire in AUTOMATIC.items() if params.get(name) is not None}
        given = params.get("rolling_upgrade_policy") or {}
        rolling = {wire: given[name] for name, wire in ROLLING.items() if given.get(name) is not None}
        return cls(params["state"] == "enabled", automatic, rolling, bool(params.get("fix")))

    def properties(self, model: Wire) -> dict[str, Any]:
        """What a PATCH sends, {} when all is as asked: of each policy in which something differs the keys that are asked for."""
        present = (model.get("properties") or {}).get("upgradePolicy") or {}
        asked = {"automaticOSUpgradePolicy": {SWITCH: self.enabled, **self.automatic}, "rollingUpgradePolicy": dict(self.rolling)}
        policies = {name: wanted for name, wanted in asked.items() if not _holds(wanted, present.get(name) or {})}
        found: dict[str, Any] = {"upgradePolicy": policies} if policies else {}
        if self.enabled and self.fix and any(prerequisites.windows_updates(model, Surroundings(datetime.now(UTC)))):
            found |= prerequisites.windows_fix(model)
        return found

    def pending(self, scale_set: ScaleSet) -> bool:
        """Whether the policy of a scale set is to be changed."""
        return bool(self.properties(scale_set.resource))

    def forbids(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that are in the way of it."""
        return [one for one in findings if self.enabled and one.level == FORBIDS and not (self.fix and one.fixable)]


def _holds(wanted: Wire, present: Wire) -> bool:
    """Whether a policy has the wanted keys; a switch that Azure does not show is off (Azure API document)."""
    return all(_equal(value, present.get(name)) for name, value in wanted.items())


def _equal(wanted: Any, present: Any) -> bool:
    if isinstance(wanted, bool):
        return bool(present) is wanted
    if isinstance(wanted, str):
        return isinstance(present, str) and seconds_of(wanted) == seconds_of(present)
    return bool(wanted == present)


def seconds_of(duration: str) -> float | None:
    """An ISO 8601 duration, such as PT5M, in seconds; None for what is none."""
    found = _DURATION.fullmatch(duration)
    if not found or not any(found.groups()):
        return None
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def check_input(params: Mapping[str, Any]) -> None:
    """Refuse wrong options of vmss_os_upgrade before any request. Raises InputError."""
    if params["scale_set_ids"]:
        scale_sets.of_ids(params["scale_set_ids"])
    if params["tags"] and not params["resource_group"]:
        raise InputError("tags", params["tags"], "to be given with resource_group, whose scale sets they choose from")
    of_policy = [name for name in (*AUTOMATIC, "rolling_upgrade_policy") if params[name] is not None]
    if params["state"] in ("started", "cancelled") and of_policy:
        raise InputError(of_policy[0], params[of_policy[0]], "to be given with state enabled or disabled, which change the policy")
    if params["fix"] and params["state"] != "enabled":
        raise InputError("fix", True, "to be given with state enabled")
    if params["credentials_valid_for"] < 0:
        raise InputError("credentials_valid_for", params["credentials_valid_for"], "a number of days, 0 or more")
    given = params["rolling_upgrade_policy"] or {}
    for name, least in LEAST.items():
        if given.get(name) is not None and not least <= given[name] <= 100:
            raise InputError(f"rolling_upgrade_policy.{name}", given[name], f"a percentage from {least} to 100")
    if given.get(PAUSE) is not None and seconds_of(given[PAUSE]) is None:
        raise InputError(f"rolling_upgrade_policy.{PAUSE}", given[PAUSE], "an ISO 8601 duration, such as PT5M for five minutes")


@dataclass(frozen=True)
class Look:
    """A scale set with its upgrades. findings: what is in the way of them. newest: the newest version of its image in its region, None
    where that cannot be seen. latest: its latest rolling upgrade of any kind; history: those of the image, the newest first."""

    scale_set: ScaleSet
    findings: tuple[Finding, ...]
    newest: str | None
    latest: Wire | None
    history: tuple[Wire, ...]

    @property
    def running(self) -> bool:
        return goes_on(self.latest)

    @property
    def running_image(self) -> bool:
        """The upgrade that runs is one of the image, which is in the history from its beginning (Microsoft Learn)."""
        return self.running and any(goes_on(one) for one in self.history)

    @property
    def behind(self) -> tuple[Instance, ...]:
        """The instances that are seen to run an older image than the newest."""
        return tuple(one for one in self.scale_set.instances if self.newest and older(one.image_version, self.newest))

    @property
    def upgradable(self) -> list[Instance]:
        """The instances that an upgrade has something to do on, or may have: they run, and nothing says that their image is the newest."""
        unknown = [one for one in self.scale_set.instances if not (self.newest and one.image_version)]
        return [one for one in (*self.behind, *unknown) if one.machine.comes_up and not one.protected]

    @property
    def failure(self) -> View | None:
        """Why the last upgrade of the image failed, with the way back where it was credentials; None when it did not."""
        last = upgrade_view(self.history[0]) if self.history else None
        if last is None or last["code"] != "Faulted":
            return None
        found = last["error"] or {"code": None, "message": "Azure gives no reason."}
        told = {one.name: why for one in self.scale_set.instances if (why := _trouble(one))}
        steps = list(RECOVERY) if is_about_credentials([found["message"], *told.values()], self.findings) else []
        return {**found, "started": last["started"], "image_version": last["image_version"], "instances": told, "recovery": steps}

    def view(self, properties: Wire | None = None) -> View:
        """The policy, the upgrade that runs and what is behind, with `properties` changed in the model."""
        model = _merged(self.scale_set.properties, properties or {})
        policy = model.get("upgradePolicy") or {}
        automatic, rolling = policy.get("automaticOSUpgradePolicy") or {}, policy.get("rollingUpgradePolicy")
        windows = ((model.get("virtualMachineProfile") or {}).get("osProfile") or {}).get("windowsConfiguration")
        return {
            "upgrade_mode": self.scale_set.mode,
            "automatic_os_upgrade_policy": {
                "enable_automatic_os_upgrade": bool(automatic.get(SWITCH)),
                **{name: bool(automatic.get(wire)) for name, wire in AUTOMATIC.items()},
            },
            "rolling_upgrade_policy": {name: rolling[wire] for name, wire in ROLLING.items() if wire in rolling} if rolling else None,
            "windows_automatic_updates": None if windows is None else windows.get("enableAutomaticUpdates"),
            "rolling_upgrade": upgrade_view(self.latest) if self.latest and self.running else None,
            "latest_image_version": self.newest,
            "behind": {one.name: one.image_version for one in self.behind},
        }

    def told(self) -> View:
        """What a result says of a scale set beside before and after."""
        return {
            "prerequisites": [one.view() for one in self.findings],
            "latest_rolling_upgrade": upgrade_view(self.latest) if self.latest else None,
            "history": [upgrade_view(one) for one in self.history],
            "last_failure": self.failure,
        }


def goes_on(upgrade: Wire | None) -> bool:
    """Whether an upgrade, as Azure shows it, runs."""
    return bool(upgrade) and str(_status(upgrade or {}).get("code") or "").lower() in GOING_ON


def older(version: str | None, newest: str) -> bool:
    return version is not None and prerequisites.number(version) < prerequisites.number(newest)


def is_about_credentials(texts: Iterable[str], findings: Iterable[Finding]) -> bool:
    """Whether an upgrade failed of credentials: Azure says so, or some were found that have expired."""
    return any(_CREDENTIALS.search(text) for text in texts) or any(one.rule == prerequisites.credentials.__name__ for one in findings)


def upgrade_view(wire: Wire) -> View:
    """A rolling upgrade of `rollingUpgrades/latest` or of the history; older answers call the end completedTime (Microsoft Learn)."""
    properties, status = wire.get("properties") or {}, _status(wire)
    progress, back = properties.get("progress") or {}, properties.get("rollbackInfo") or {}
    error, image = properties.get("error") or {}, properties.get("targetImageReference") or {}
    return {
        "code": status.get("code"),
        "started": status.get("startTime"),
        "ended": status.get("endTime") or status.get("completedTime"),
        "started_by": properties.get("startedBy"),
        "image_version": image.get("exactVersion") or image.get("version"),
        **{name: progress.get(f"{word}InstanceCount", 0) for name, word in _COUNTS.items()},
        "rolled_back": back.get("successfullyRolledbackInstanceCount", 0),
        "not_rolled_back": back.get("failedRolledbackInstanceCount", 0),
        "error": {"code": error.get("code"), "message": error.get("message") or ""} if error else None,
    }


_COUNTS = {"successful": "successful", "failed": "failed", "in_progress": "inProgress", "pending": "pending"}


def _status(wire: Wire) -> Wire:
    return (wire.get("properties") or {}).get("runningStatus") or {}


def _trouble(instance: Instance) -> str | None:
    """Why an instance is not well: what its extensions say tells most."""
    failed = [f"extension {one.name}: {one.trouble}" for one in instance.machine.extensions if one.failed]
    return "; ".join(failed) or instance.trouble


def _merged(body: Wire, change: Wire) -> dict[str, Any]:
    """The body with the change in it, as a PATCH merges objects."""
    found = dict(body)
    for name, value in change.items():
        found[name] = _merged(found.get(name) or {}, value) if isinstance(value, Mapping) else value
    return found


class Reader:
    """Reads scale sets with their upgrades and what stands around them, each surrounding once; `known` has the first and the last look at
    each, by ids.key."""

    def __init__(self, azure: Any, scale_sets: ScaleSets, valid_for: float = prerequisites.VALID_FOR) -> None:
        self.known: dict[str, tuple[Look, Look]] = {}
        self._azure, self._scale_sets, self._valid_for = azure, scale_sets, valid_for
        self._once: dict[str, asyncio.Future[Any]] = {}

    async def look(self, scale_set_id: str) -> Look:
        """Ask Azure. Raises AzureError, also for a scale set that is not there."""
        scale_set, latest, history = await asyncio.gather(
            self._scale_sets.read(scale_set_id), self.upgrade(scale_set_id), self._history(scale_set_id)
        )
        model = scale_set.resource
        balancer, versions, node_type, newest = await asyncio.gather(
            self._balancer(model), self._versions(model), self._node_type(scale_set), self._newest(scale_set)
        )
        around = Surroundings(datetime.now(UTC), balancer, versions, node_type, self._valid_for)
        found = Look(scale_set, tuple(prerequisites.check(model, around)), newest, latest, tuple(history))
        first, _last = self.known.get(ids.key(scale_set_id), (found, found))
        self.known[ids.key(scale_set_id)] = (first, found)
        return found

    async def upgrade(self, scale_set_id: str) -> Wire | None:
        """The latest rolling upgrade; None where there was none, of which Azure says 404, or 409 (public code that calls it)."""
        parsed = ids.parse(scale_set_id)
        operations = self._azure.compute(parsed.subscription).virtual_machine_scale_set_rolling_upgrades
        try:
            found: Wire | None = await self._azure.read_or_none(
                "read the latest rolling upgrade", scale_set_id, operations.get_latest(parsed.resource_group, parsed.name)
            )
        except AzureError as error:
            if error.status != 409:
                raise
            return None
        return found

    async def _history(self, scale_set_id: str) -> list[Wire]:
        parsed = ids.parse(scale_set_id)
        operations = self._azure.compute(parsed.subscription).virtual_machine_scale_sets
        listed = operations.get_os_upgrade_history(parsed.resource_group, parsed.name)
        found = await self._azure.collect("read the history of upgrades", scale_set_id, listed)
        return sorted(found, key=lambda one: str(_status(one).get("startTime") or ""), reverse=True)

    async def _balancer(self, model: Wire) -> Wire | None:
        place = prerequisites.balancer(model)
        if not place:
            return None
        return await self._seen(place, lambda: self._azure.get("read the load balancer", place, BALANCER_API_VERSION), {})

    async def _versions(self, model: Wire) -> list[Wire] | None:
        image = prerequisites.gallery_image(model)
        if not image:
            return None
        parsed = ids.parse(image)
        operations = self._azure.compute(parsed.subscription).gallery_image_versions
        asked = "list the versions of the gallery image"
        return await self._seen(
            image, lambda: self._azure.collect(asked, image, operations.list_by_gallery_image(parsed.resource_group, *parsed.names)), []
        )

    async def _node_type(self, scale_set: ScaleSet) -> Wire | None:
        if prerequisites.fabric(scale_set.resource) is None:
            return None
        place = f"/subscriptions/{ids.parse(scale_set.id).subscription}/providers/{prerequisites.CLUSTER}"
        clusters = await self._seen(place, lambda: self._azure.list("list the Service Fabric clusters", place, CLUSTER_API_VERSION), [])
        return None if clusters is None else prerequisites.node_type(scale_set.resource, clusters)

    async def _newest(self, scale_set: ScaleSet) -> str | None:
        model = scale_set.resource
        if prerequisites.gallery_image(model):
            return prerequisites.newest(prerequisites.offered(await self._versions(model) or [], scale_set.location))
        publisher, offer, sku = (str(prerequisites.image(model).get(part) or "") for part in ("publisher", "offer", "sku"))
        if not publisher:
            return None
        subscription = ids.parse(scale_set.id).subscription
        skus = f"artifacttypes/vmimage/offers/{offer}/skus/{sku}"
        place = f"/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{scale_set.location}/publishers/{publisher}/{skus}"
        operations = self._azure.compute(subscription).virtual_machine_images
        listed = await self._seen(
            place,
            lambda: self._azure.read("list the versions of the image", place, operations.list(scale_set.location, publisher, offer, sku)),
            [],
        )
        return prerequisites.newest([str(one["name"]) for one in listed or []])

    async def _seen(self, place: str, read: Callable[[], Awaitable[Any]], absent: Any) -> Any:
        """What is read there, once; `absent` where nothing is, None where the sign-in may not look. Raises AzureError."""
        if place.lower() not in self._once:
            self._once[place.lower()] = asyncio.ensure_future(read())
        try:
            return await asyncio.shield(self._once[place.lower()])
        except AzureError as error:
            if error.absent:
                return absent
            if error.status == 403:
                return None
            raise


class _Upgrades(Step[Look]):
    """What all steps here have in common: how they look."""

    def __init__(self, azure: Any, reader: Reader) -> None:
        self._azure, self._reader = azure, reader

    async def observe(self, target: Target) -> Look:
        return await self._reader.look(target.id)

    def view(self, observed: Look) -> View:
        return observed.view()

    def wanted(self, target: Target, observed: Look) -> View:
        return observed.view()

    def _place(self, target: Target) -> tuple[Any, tuple[str, str]]:
        """The client of Compute, and the resource group and name of a scale set."""
        parsed = ids.parse(target.id)
        return self._azure.compute(parsed.subscription), (parsed.resource_group, parsed.name)


class SetPolicy(_Upgrades):
    """Brings the upgrade policy to what is asked, where nothing forbids it."""

    def __init__(self, azure: Any, reader: Reader, policy: Policy) -> None:
        super().__init__(azure, reader)
        self._policy = policy
        self._looks: Counter[str] = Counter()

    def plan(self, target: Target, observed: Look) -> list[Action]:
        forbidden = self._policy.forbids(observed.findings)
        if forbidden:
            raise AzureDRError(refusal(forbidden))
        properties = self._policy.properties(observed.scale_set.resource)
        return [Action(self._text(observed, properties), (("PATCH", target.id),), properties)] if properties else []

    def _text(self, observed: Look, properties: Wire) -> str:
        before, policies = observed.view()["automatic_os_upgrade_policy"], properties.get("upgradePolicy") or {}
        told = []
        if before["enable_automatic_os_upgrade"] != self._policy.enabled:
            told.append(f"{'enable' if self._policy.enabled else 'disable'} automatic OS upgrade")
        elif "automaticOSUpgradePolicy" in policies:
            told.append("change the automatic OS upgrade policy")
        told += ["change the rolling upgrade policy"] if "rollingUpgradePolicy" in policies else []
        told += ["switch Windows Update off"] if "virtualMachineProfile" in properties else []
        return ", ".join(told)

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        client, place = self._place(target)
        body = {"properties": action.data}
        operations = client.virtual_machine_scale_sets
        await write(self._azure, action.text, target.id, lambda polling: operations.begin_update(*place, body, polling=polling), seconds)

    def wanted(self, target: Target, observed: Look) -> View:
        return observed.view(self._policy.properties(observed.scale_set.resource))

    def failure(self, target: Target, observed: Look) -> str | None:
        self._looks[ids.key(target.id)] += 1
        if self._looks[ids.key(target.id)] < TOO_MANY_LOOKS:
            return None
        left = json.dumps(self._policy.properties(observed.scale_set.resource))
        return f"Azure reported success, but the scale set does not have what it was asked to have: {left}."


class Start(_Upgrades):
    """Upgrades the image of the instances that are behind: starts an upgrade, or follows the one that runs, to its end."""

    FOLLOW, WAIT, START = "follow", "wait", "start"

    def __init__(self, azure: Any, reader: Reader) -> None:
        super().__init__(azure, reader)
        self._progress = Progress()
        self._told: dict[str, str] = {}
        self._over: set[str] = set()  # targets whose upgrade this run has seen the end of

    def plan(self, target: Target, observed: Look) -> list[Action]:
        if ids.key(target.id) in self._over:
            return []
        if observed.running_image:
            return [Action("follow the upgrade that runs", data=self.FOLLOW)]
        number = len(observed.upgradable)
        if not number:
            return []
        forbidden = [one for one in observed.findings if one.level == FORBIDS]
        if forbidden:
            raise AzureDRError(refusal(forbidden))
        image = f"image {observed.newest}" if observed.newest else "the latest image, whose version cannot be seen"
        start = Action(
            f"upgrade {number} of {len(observed.scale_set.instances)} instances to {image}",
            (("POST", f"{target.id}/osRollingUpgrade"),),
            self.START,
        )
        return [Action("wait for the end of another rolling upgrade", data=self.WAIT), start] if observed.running else [start]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        if action.data == self.START:
            await self._start(target, action.text, end)
        else:
            upgrade = await self._follow(target, action.text, end)
            if action.data == self.WAIT:
                return
            self._judge(target, action.text, upgrade)
        self._over.add(ids.key(target.id))

    def goes_on(self, target: Target, action: Action, error: AzureError) -> bool:
        """Azure refused to start a second upgrade, and the one that ran was followed to its end."""
        return ids.key(target.id) in self._over

    def wanted(self, target: Target, observed: Look) -> View:
        view, reached = observed.view(), {one.name for one in observed.upgradable}
        behind = {name: version for name, version in view["behind"].items() if name not in reached}
        return view | {"behind": behind, "rolling_upgrade": None}

    def failure(self, target: Target, observed: Look) -> str | None:
        """How an upgrade ended that was started although no answer said so."""
        trouble = None if observed.running else self._ended(target, "upgrade the image", observed.latest)
        return str(trouble) if trouble else None

    def refused(self, target: Target, observed: Look) -> str | None:
        """An upgrade goes well as a whole when few enough instances fail: those are told."""
        failed = upgrade_view(observed.latest or {})["failed"] if ids.key(target.id) in self._over else 0
        told = ", ".join(f"{one.name} ({why})" for one in observed.scale_set.instances if (why := _trouble(one)))
        return (
            f"The upgrade ended, but {failed} of its instances failed. Not well are: {told or 'none by now'}. {NO_ROLLBACK}"
            if failed
            else None
        )

    async def _start(self, target: Target, asked: str, end: float) -> None:
        client, place = self._place(target)
        operations = client.virtual_machine_scale_set_rolling_upgrades
        teller = asyncio.create_task(self._tell(target))
        try:
            left = end - asyncio.get_running_loop().time()
            await write(self._azure, asked, target.id, lambda polling: operations.begin_start_os_upgrade(*place, polling=polling), left)
        except OperationFailed as error:
            raise self._explained(target, asked, error.status, error.code, error.message) from error
        except AzureError as error:
            if error.status != 409 or not goes_on(await self._reader.upgrade(target.id)):
                raise
            self._judge(target, asked, await self._follow(target, asked, end))  # somebody else was first
            self._over.add(ids.key(target.id))
            raise
        finally:
            teller.cancel()

    async def _follow(self, target: Target, asked: str, end: float) -> Wire | None:
        """Look at the upgrade that runs until it has ended. Raises TimedOut."""
        clock = asyncio.get_running_loop().time
        begin, interval = clock(), FIRST_LOOK
        while True:
            upgrade = await self._reader.upgrade(target.id)
            if not goes_on(upgrade):
                return upgrade
            told = self._say(target, upgrade or {})
            if clock() >= end:
                raise TimedOut(asked, target.id, round((end - begin) / 60, 1), told)
            await self._azure.pause(min(interval, max(end - clock(), 0.1)))
            interval = min(interval * 1.5, LONGEST_LOOK)

    async def _tell(self, target: Target) -> None:
        """Tell how the upgrade that was started goes on, until cancelled."""
        interval = FIRST_LOOK
        while True:
            await self._azure.pause(interval)
            interval = min(interval * 1.5, LONGEST_LOOK)
            with contextlib.suppress(AzureDRError):
                upgrade = await self._reader.upgrade(target.id)
                if upgrade and goes_on(upgrade):
                    self._say(target, upgrade)

    def _say(self, target: Target, upgrade: Wire) -> str:
        view = upgrade_view(upgrade)
        total = sum(view[name] for name in _COUNTS)
        told = f"{view['successful']} of {total} instances upgraded, {view['in_progress']} at work, {view['failed']} failed"
        if self._told.get(target.id) != told:
            self._told[target.id] = told
            self._progress.say(f"{target.name}: {told}")
        return told

    def _judge(self, target: Target, asked: str, upgrade: Wire | None) -> None:
        """Raises OperationFailed for an upgrade that did not end well."""
        trouble = self._ended(target, asked, upgrade)
        if trouble:
            raise trouble

    def _ended(self, target: Target, asked: str, upgrade: Wire | None) -> OperationFailed | None:
        """Why an upgrade that has ended is no success."""
        view = upgrade_view(upgrade or {})
        if view["code"] == "Completed":
            return None
        error = view["error"] or {"code": None, "message": f"The upgrade ended as {view['code']}"}
        return self._explained(target, asked, view["code"], error["code"], error["message"])

    def _explained(self, target: Target, asked: str, status: Any, code: str | None, message: str) -> OperationFailed:
        """The error with the way on."""
        _first, last = self._reader.known[ids.key(target.id)]
        if str(status).lower().startswith("cancel"):
            way_on = "Somebody has cancelled it. Run this again for the instances that are behind."
        elif is_about_credentials([message], last.findings):
            way_on = "It failed of credentials. " + " ".join(f"({number}) {step}" for number, step in enumerate(RECOVERY, 1))
        else:
            way_on = f"{NO_ROLLBACK} See to the instances that are unhealthy, then run this again for those that are behind."
        return OperationFailed(asked, target.id, status=status, code=code, message=message, recommended_action=way_on, accepted=True)


class Cancel(_Upgrades):
    """Cancels the rolling upgrade that runs, of whatever kind; what it has upgraded by then stays so."""

    def __init__(self, azure: Any, reader: Reader) -> None:
        super().__init__(azure, reader)
        self._over: set[str] = set()

    def plan(self, target: Target, observed: Look) -> list[Action]:
        return [Action("cancel the rolling upgrade", (("POST", f"{target.id}/rollingUpgrades/cancel"),))] if observed.running else []

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        client, place = self._place(target)
        operations = client.virtual_machine_scale_set_rolling_upgrades
        try:
            await self._azure.run(action.text, target.id, lambda polling: operations.begin_cancel(*place, polling=polling), seconds)
        except AzureError as error:
            if error.status == 409 and not goes_on(await self._reader.upgrade(target.id)):
                self._over.add(ids.key(target.id))
            raise

    def goes_on(self, target: Target, action: Action, error: AzureError) -> bool:
        """It had ended by then."""
        return ids.key(target.id) in self._over

    def wanted(self, target: Target, observed: Look) -> View:
        return observed.view() | {"rolling_upgrade": None}


async def chosen(azure: Any, params: Mapping[str, Any]) -> list[Target]:
    """The scale sets that the options name, at least one. Raises AzureDRError."""
    if params["scale_set_ids"] is not None:
        found, place = scale_sets.of_ids(params["scale_set_ids"]), "scale_set_ids"
    else:
        found = await scale_sets.of_group(azure, params["resource_group"], params["tags"] or [])
        place = f"resource group {params['resource_group']}" + (f" with the tags {', '.join(params['tags'])}" if params["tags"] else "")
    if not found:
        raise AzureDRError(f"There is no scale set to work on in {place}.")
    return found


def instances_of(first: Look, last: Look) -> list[View]:
    """Each instance, with what an upgrade has made of it."""
    before = {one.id.lower(): one.image_version for one in first.scale_set.instances}
    return [
        {
            "name": one.name,
            "image_version_before": before.get(one.id.lower()),
            "image_version": one.image_version,
            "upgraded": one.image_version != before.get(one.id.lower()),
            "behind": bool(last.newest and older(one.image_version, last.newest)),
            "provisioning_state": one.state,
            "health": one.health,
            "message": _trouble(one),
        }
        for one in last.scale_set.instances
    ]


def refusal(findings: Sequence[Finding]) -> str:
    """All that forbids upgrades, in one paragraph."""
    if len(findings) == 1:
        return f"What automatic upgrades of the image need is not there: {findings[0]}"
    return "What automatic upgrades of the image need is not there: " + " ".join(
        f"({number}) {one}" for number, one in enumerate(findings, 1)
    )


def lint(params: Mapping[str, Any], now: datetime) -> tuple[Report, dict[str, list[Finding]]]:
    """What is in the way of automatic upgrades of the scale sets in a file, without asking Azure: a report in which those that have errors
    are failed, and the findings by target id. Raises InputError."""
    resources = read_file(params["model_file"])
    wanted = Policy(True, fix=params["fix"])
    found: dict[str, list[Finding]] = {}
    outcomes = []
    for model in resources:
        if not _is_scale_set(model):
            continue
        target = Target(str(model.get("id") or model.get("name") or "scale set"), str(model.get("name") or model.get("id") or "scale set"))
        around = prerequisites.around(model, resources, now, params["credentials_valid_for"])
        found[target.id] = prerequisites.check(model, around)
        forbidden = wanted.forbids(found[target.id])
        outcomes.append(Outcome(target, "failed" if forbidden else "unchanged", refusal(forbidden) if forbidden else None))
    if not outcomes:
        raise InputError("model_file", params["model_file"], "a file with a scale set, and there is none in it")
    return Report(outcomes, 0.0, 0.0, 0), found


def _is_scale_set(resource: Wire) -> bool:
    """By its type, or by what it has where nobody says a type."""
    kind = str(resource.get("type") or "").lower()
    return kind == TYPE.lower() or (not kind and bool(prerequisites.profile(resource)))


def read_file(name: str) -> list[dict[str, Any]]:
    """The resources in a JSON file: one, a list of them, or an object with the list in `resources`. Raises InputError."""
    form = 'a JSON file with a scale set as Azure shows it (az resource show --ids ID), a list of resources, or {"resources": [...]}'
    try:
        content = json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("model_file", name, f"{form} ({error.strerror})") from error
    except ValueError as error:
        raise InputError("model_file", name, f"{form} ({error})") from error
    found = content.get("resources", [content]) if isinstance(content, dict) else content
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("model_file", name, form)
    if any("virtualMachineProfile" in one for one in found):
        raise InputError("model_file", name, f"{form}; az vmss show leaves out a level of the model")
    return found
