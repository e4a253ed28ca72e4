# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A change freeze: what Azure would upgrade by itself is written down, then turned off, and later put back as it was.

Like a module, it stands above the domain folders and puts them together. A setting is known by its name: "mobility" (automatic update of
the Mobility service, of a container mapping), "images" (the automatic OS upgrade policy of a scale set), "extension <name>"
(enableAutomaticUpgrade of an extension of a machine or scale set). Its value is what Azure shows of it, None where it shows nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils import choice, files, fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extension_upgrades, machines, scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extension_upgrades import Wish
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Extension, Machine
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.os_upgrades import SWITCH, Policy
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.scale_sets import ScaleSet, is_scale_set
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import resolved
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import mappings, recovery_plans, vault

VERSION = 1
FROZEN, THAWED = "frozen", "thawed"
MOBILITY, EXTENSIONS, IMAGES = "mobility", "extensions", "images"
INCLUDES = (MOBILITY, EXTENSIONS, IMAGES)
EXTENSION = "extension "  # and its name
PATIENCE = 120.0  # seconds for the VM agent of a machine whose extensions are to be changed
TOO_MANY_LOOKS = 10  # at a policy that Azure says it has changed
FORM = "the record of a freeze, as the module change_freeze writes it"

Settings = dict[str, Any]


def on(value: Any) -> bool:
    """Whether something is upgraded by itself where a setting has this value."""
    if isinstance(value, Mapping):
        return value.get(SWITCH) is True or str(value.get("agentAutoUpdateStatus") or "").lower() == "enabled"
    return value is True


# -- the record


@dataclass(frozen=True)
class Entry:
    """What a machine, scale set or container mapping had. frozen: when all of it was seen to be off; None while that is not known. thawed:
    when it got back what it had, or was seen to be gone."""

    id: str
    name: str
    settings: Settings = field(default_factory=dict)
    frozen: str | None = None
    thawed: str | None = None


@dataclass(frozen=True)
class Record:
    """The record of one freeze. begun: when it was; thawed: when the last of its entries was."""

    begun: str
    thawed: str | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)  # by ids.key

    def of(self, target: Target) -> Entry:
        """The entry of a target that is not thawed yet; an empty one where there is none."""
        entry = self.entries.get(ids.key(target.id))
        return entry if entry and not entry.thawed else Entry(target.id, target.name)

    @property
    def open(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if not entry.thawed]

    def with_settings(self, target: Target, found: Settings) -> Record:
        """The record with what was found on a target. What it holds already stays as it is: that was before the freeze."""
        known = self.of(target)
        frozen = None if any(on(found[name]) for name in found.keys() - known.settings.keys()) else known.frozen
        return self._with(replace(known, settings=found | known.settings, frozen=frozen))

    def with_frozen(self, target: Target, when: str) -> Record:
        entry = self.of(target)
        return self._with(replace(entry, frozen=entry.frozen or when))

    def with_thawed(self, target: Target, when: str) -> Record:
        after = self._with(replace(self.of(target), thawed=when))
        return after if after.open else replace(after, thawed=when)

    def without(self, target: Target) -> Record:
        return replace(self, entries={key: one for key, one in self.entries.items() if key != ids.key(target.id)})

    def _with(self, entry: Entry) -> Record:
        return replace(self, entries={**self.entries, ids.key(entry.id): entry})

    def write(self, path: Path) -> None:
        """Have it on disk. Raises AzureDRError."""
        entries = [asdict(self.entries[key]) for key in sorted(self.entries)]
        try:
            files.write(path, {"version": VERSION, "begun": self.begun, "thawed": self.thawed, "targets": entries})
        except OSError as exc:
            raise AzureDRError(f"The record of the freeze could not be written to {path} ({exc.strerror}).") from exc


def read(path: Path) -> Record | None:
    """The record in a file; None where there is no file. Raises InputError for one that is no record: it is not written over."""
    try:
        content = files.read("path", path, FORM)
    except FileNotFoundError:
        return None
    entries = content.get("targets")
    if content.get("version") != VERSION or not isinstance(entries, list) or not all(_is_entry(one) for one in entries):
        raise InputError("path", str(path), f"{FORM}, of version {VERSION}")
    return Record(str(content.get("begun")), content.get("thawed"), {ids.key(one["id"]): Entry(**one) for one in entries})


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == _KEYS and isinstance(value["settings"], dict)


_KEYS = {one.name for one in fields(Entry)}


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other runs from the record meanwhile; the system lets go of it whatever becomes of this one. Raises AzureDRError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise InputError("path", str(path), f"a file that this user can write ({exc.strerror}); nothing was sent") from exc
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AzureDRError(f"Another run is at work with the record {path}. Run this again when it has ended.") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


# -- what there is


def of_machine(holder: Machine | ScaleSet) -> Settings:
    return {f"{EXTENSION}{one.name}": one.properties.get("enableAutomaticUpgrade") for one in holder.extensions}


def of_scale_set(scale_set: ScaleSet) -> Settings:
    policy = scale_set.upgrade_policy.get("automaticOSUpgradePolicy")
    return {IMAGES: dict(policy) if policy else None} | of_machine(scale_set)


def of_mapping(mapping: mappings.Mapping) -> Settings:
    return {
        MOBILITY: {
            "agentAutoUpdateStatus": mapping.auto_update,
            "automationAccountArmId": mapping.account_id,
            "automationAccountAuthenticationType": mapping.authentication_type,
        }
    }


def is_mapping(target: Target) -> bool:
    return ids.parse(target.id).type.lower().startswith(vault.TYPE.lower())


def is_machine(target: Target) -> bool:
    return not is_mapping(target) and not is_scale_set(target)


def included(settings: Settings, include: Sequence[str]) -> Settings:
    return {name: value for name, value in settings.items() if (EXTENSIONS if name.startswith(EXTENSION) else name) in include}


async def chosen(azure: Any, params: Mapping[str, Any]) -> list[Target]:
    """The container mappings, machines and scale sets that the options name, each once. Raises AzureDRError when there is none."""
    include, found = params["include"], list[Target]()
    by_vault = any(params[name] for name in ("vault_id", "vault_name", "resource_group", "recovery_plan"))
    nobody: dict[str, Any] = dict.fromkeys(choice.BOTH_ARGUMENTS)
    if by_vault or not any(params[name] for name in ("machine_ids", "scale_set_ids", "resource_groups")):
        meant = await vault.find(azure, params)
        if MOBILITY in include:
            every = [mappings.parse(wire) for wire in await meant.container_mappings(azure)]
            found += [Target(one.id, one.name) for one in every if one.has_update]
        if EXTENSIONS in include:
            by_plan = nobody | {"vault_id": meant.id, "recovery_plan": params["recovery_plan"]}
            found += (await choice.standing(azure, by_plan)).targets
    groups = [nobody | {"resource_group": group, "tags": params["tags"]} for group in params["resource_groups"] or ()]
    named = nobody | {name: params[name] for name in ("machine_ids", "scale_set_ids") if params[name]}
    if any(named.values()):
        groups.append(named)
    for part in await asyncio.gather(*(choice.standing(azure, group) for group in groups)):
        found += [target for target in part.targets if EXTENSIONS in include or (IMAGES in include and is_scale_set(target))]
    if not found:
        raise AzureDRError(f"There is nothing to freeze: nothing that was chosen has {', '.join(include)}.")
    return list({ids.key(target.id): target for target in found}.values())


# -- the steps


class Reading(Step[Settings]):
    """What was read of each target before anything was done: that is what the record holds, or what is compared with it."""

    def __init__(self, azure: Any, thawing: bool) -> None:
        self.machines, self.sets = machines.Machines(azure), scale_sets.ScaleSets(azure)
        self.found: dict[str, Settings] = {}
        self._azure, self._thawing = azure, thawing
        self._trouble: dict[str, AzureError] = {}

    async def all(self, targets: Sequence[Target]) -> None:
        """Read them; what cannot be read fails when the run looks at it."""
        await asyncio.gather(*map(self._one, targets))

    async def _one(self, target: Target) -> None:
        try:
            self.found[ids.key(target.id)] = await self._read(target)
        except AzureError as error:
            self._trouble[ids.key(target.id)] = error

    async def _read(self, target: Target) -> Settings:
        if is_scale_set(target):
            return of_scale_set(await self.sets.model(target.id))
        if is_machine(target):
            return of_machine(await self.machines.read(target.id))
        return of_mapping(await mappings.read(self._azure, target.id))

    def gone(self, target: Target) -> bool:
        trouble = self._trouble.get(ids.key(target.id))
        return trouble is not None and trouble.absent

    async def observe(self, target: Target) -> Settings:
        if self._thawing and self.gone(target):
            raise fleet.Skip("It was frozen, and is not there any more.")
        if ids.key(target.id) in self._trouble:
            raise self._trouble[ids.key(target.id)]
        return self.found[ids.key(target.id)]

    def plan(self, target: Target, observed: Settings) -> list[Action]:
        return []

    def view(self, observed: Settings) -> View:
        return {}

    def wanted(self, target: Target, observed: Settings) -> View:
        return {}


class Freezable(machines.ReadyForExtensions):
    """As ReadyForExtensions, but a machine that does not run is left alone: nothing upgrades it, and Azure takes no change of it."""

    def plan(self, target: Target, observed: Machine) -> list[Action]:
        if self._chosen(observed) is not None and not observed.comes_up:
            raise fleet.Skip(
                f"It does not run (power state {observed.power}): Azure neither upgrades its extensions nor takes changes of them. "
                "Freeze again after it was started."
            )
        return super().plan(target, observed)


class Images(Step[ScaleSet]):
    """Gives scale sets the automatic OS upgrade policy that is wanted of them; None for what is left as it is."""

    def __init__(self, azure: Any, sets: scale_sets.ScaleSets, wanted: Callable[[Target], Policy | None]) -> None:
        self._azure, self._sets, self._wanted = azure, sets, wanted
        self._looks: dict[str, int] = {}

    async def observe(self, target: Target) -> ScaleSet:
        return await self._sets.model(target.id)

    def plan(self, target: Target, observed: ScaleSet) -> list[Action]:
        wanted = self._wanted(target)
        missing = wanted.properties(observed.resource) if wanted else {}
        if not wanted or not missing:
            return []
        text = "restore the automatic OS upgrade policy"
        if wanted.enabled != on(of_scale_set(observed)[IMAGES]):
            text = f"{'enable' if wanted.enabled else 'disable'} automatic OS upgrade"
        return [Action(text, (("PATCH", observed.id),), missing)]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        parsed, body = ids.parse(target.id), {"properties": action.data}
        operations = self._azure.compute(parsed.subscription).virtual_machine_scale_sets
        place = (parsed.resource_group, parsed.name)
        await machines.write(
            self._azure, action.text, target.id, lambda polling: operations.begin_update(*place, body, polling=polling), seconds
        )

    def view(self, observed: ScaleSet) -> View:
        return {"automatic_os_upgrade": on(of_scale_set(observed)[IMAGES])}

    def wanted(self, target: Target, observed: ScaleSet) -> View:
        wanted = self._wanted(target)
        return {"automatic_os_upgrade": wanted.enabled} if wanted else self.view(observed)

    def failure(self, target: Target, observed: ScaleSet) -> str | None:
        self._looks[target.id] = self._looks.get(target.id, 0) + 1
        if self._looks[target.id] < TOO_MANY_LOOKS:
            return None
        return "Azure reported success, but the automatic OS upgrade policy is not as it was asked to be."


# -- what a freeze and a thaw want


class Freeze:
    """All that the record holds turned off: what it does not hold could not be put back."""

    ready: type[machines.ReadyForExtensions] = Freezable

    def __init__(self, record: Record) -> None:
        self._record = record

    def _settings(self, target: Target) -> Settings:
        return self._record.of(target).settings

    def extension(self, holder: Machine | ScaleSet, extension: Extension) -> Wish | None:
        return Wish(False, force=True) if f"{EXTENSION}{extension.name}" in self._settings(Target(holder.id, holder.name)) else None

    def mapping(self, target: Target) -> mappings.Wanted:
        return mappings.Wanted(False)

    def images(self, target: Target) -> Policy | None:
        return Policy(False) if IMAGES in self._settings(target) else None


class Thaw(Freeze):
    """All as the record holds it."""

    ready = machines.ReadyForExtensions

    def extension(self, holder: Machine | ScaleSet, extension: Extension) -> Wish | None:
        name, settings = f"{EXTENSION}{extension.name}", self._settings(Target(holder.id, holder.name))
        return Wish(on(settings[name]), force=True) if name in settings else None

    def mapping(self, target: Target) -> mappings.Wanted:
        value = self._settings(target)[MOBILITY]
        if not on(value):
            return mappings.Wanted(False)
        return mappings.Wanted(True, value["automationAccountArmId"], value["automationAccountAuthenticationType"])

    def images(self, target: Target) -> Policy | None:
        if IMAGES not in self._settings(target):
            return None
        value = self._settings(target)[IMAGES] or {}
        return Policy(on(value), {name: one for name, one in value.items() if name != SWITCH and one is not None})


def notes(state: str, entry: Entry, found: Settings) -> list[str]:
    """What others have changed on a target since it was written down, in sentences."""
    before = entry.settings
    turned = [name for name, value in found.items() if on(value) and name in before and (entry.frozen or not on(before[name]))]
    told = [f"Turned on by somebody during the freeze, and {AGAIN[state]}: {', '.join(turned)}."] if turned else []
    if state == FROZEN:
        return told
    altered = [
        name for name in found.keys() & before.keys() if name not in turned and on(found[name]) and _altered(before[name], found[name])
    ]
    new = [name for name, value in found.items() if on(value) and name not in before]
    lost = [name for name, value in before.items() if on(value) and name not in found]
    told += [f"Changed by somebody during the freeze, and {AGAIN[state]}: {', '.join(sorted(altered))}."] if altered else []
    told += [f"On, and not in the record, so it was left alone: {', '.join(new)}."] if new else []
    told += [f"Was on when the freeze began, and is not there any more: {', '.join(lost)}."] if lost else []
    return told


AGAIN = {FROZEN: "off again now", THAWED: "as recorded again now"}


def _altered(before: Any, found: Any) -> bool:
    """Whether a setting with several keys has another value in one of them."""
    if not isinstance(before, Mapping) or not isinstance(found, Mapping):
        return False
    return any(str(value).lower() != str(found.get(name)).lower() for name, value in before.items())


# -- the work


@dataclass(frozen=True)
class Ended:
    """What a module tells: its result, the record before and afterwards, and warnings."""

    report: fleet.Report
    before: Record | None
    after: Record | None
    warnings: list[str]


def check_input(params: dict[str, Any]) -> None:
    """Refuse wrong options before any request. Raises InputError.

    A thaw signs in to the subscription of the container mappings in its record.
    """
    path, include = resolved(params["path"]), params["include"]
    if not include:
        raise InputError("include", include, f"at least one of {', '.join(INCLUDES)}")
    found = read(path)
    if params["state"] == THAWED:
        if found is None:
            raise InputError("path", str(path), f"{FORM}; a thaw puts back what a freeze has written down, and nothing else")
        for entry in found.entries.values():
            if is_mapping(Target(entry.id, entry.name)):
                params["subscription_id"] = ids.parse(entry.id).subscription
        return
    if params["tags"] and not params["resource_groups"]:
        raise InputError("tags", params["tags"], "to be given with resource_groups, whose machines and scale sets they choose from")
    machines.of_ids(params["machine_ids"] or ())
    scale_sets.of_ids(params["scale_set_ids"] or ())
    vault.check_input(params)
    _check_plan(params)


def _check_plan(params: Mapping[str, Any]) -> None:
    if (params["recovery_plan"] or "").startswith("/"):
        ids.require("recovery_plan", params["recovery_plan"], recovery_plans.TYPE)


async def work(azure: Any, params: Mapping[str, Any], journal: Journal, check: bool) -> Ended:
    """Freeze or thaw, and keep the record. Raises AzureDRError, and then nothing was sent."""
    path = resolved(params["path"])
    known = read(path)
    closed = params["state"] == THAWED and known is not None and known.thawed is not None
    with contextlib.nullcontext() if check or closed else held(path):
        known = read(path)  # nobody else writes it any more
        if params["state"] == FROZEN:
            return await _freeze(azure, params, journal, check, path, known)
        if known is None:
            raise InputError("path", str(path), FORM)
        return await _thaw(azure, params, journal, check, path, known)


async def _freeze(azure: Any, params: Mapping[str, Any], journal: Journal, check: bool, path: Path, known: Record | None) -> Ended:
    targets, reading = await chosen(azure, params), Reading(azure, thawing=False)
    await reading.all(targets)
    before = known if known and not known.thawed else Record(_clock())
    after, told = before, dict[str, list[str]]()
    for target in targets:
        if (found := reading.found.get(ids.key(target.id))) is not None:
            found = included(found, params["include"])
            told[target.id] = notes(FROZEN, before.of(target), found)
            after = after.with_settings(target, found)
    _check_vaults(path, after)
    _keep(path, known, after, check)
    report = await _run(azure, params, journal, check, reading, targets, Freeze(after))
    ended, now = after, _clock()
    for outcome in report.outcomes:
        if outcome.state in ("changed", "unchanged"):
            ended = ended.with_frozen(outcome.target, now)
        elif not outcome.begun and ids.key(outcome.target.id) not in before.entries:
            ended = ended.without(outcome.target)  # nothing was turned off
    kept = ended if ended.entries else known  # where nothing is frozen there is nothing to thaw
    _keep(path, after, kept, check)
    return Ended(report, known, kept, _told(report, told))


async def _thaw(azure: Any, params: Mapping[str, Any], journal: Journal, check: bool, path: Path, known: Record) -> Ended:
    targets, reading = [Target(entry.id, entry.name) for entry in known.open], Reading(azure, thawing=True)
    await reading.all(targets)
    if targets and all(map(reading.gone, targets)):
        raise AzureDRError(
            f"Nothing that the record {path} holds is there. See that the sign-in is for the same cloud and the same tenant; where all "
            "of it is really gone, remove the record."
        )
    there = [target for target in targets if ids.key(target.id) in reading.found]
    told = {target.id: notes(THAWED, known.of(target), reading.found[ids.key(target.id)]) for target in there}
    report = await _run(azure, params, journal, check, reading, targets, Thaw(known))
    ended, now = known, _clock()
    for outcome in report.outcomes:
        if outcome.state in ("changed", "unchanged") or reading.gone(outcome.target):
            ended = ended.with_thawed(outcome.target, now)
    _keep(path, known, ended, check)
    return Ended(report, known, ended, _told(report, told))


def _keep(path: Path, before: Record | None, after: Record | None, check: bool) -> None:
    if after == before or check:
        return
    if after:
        after.write(path)
    else:
        path.unlink(missing_ok=True)


async def _run(
    azure: Any, params: Mapping[str, Any], journal: Journal, check: bool, reading: Reading, targets: Sequence[Target], wanted: Freeze
) -> fleet.Report:
    extensions = extension_upgrades.AutoUpgrade(azure, reading.machines, reading.sets, wanted.extension)
    steps: list[Step[Any]] = [
        reading,
        fleet.Part(mappings.AutoUpdate(azure, wanted.mapping, journal, repair=False), is_mapping),
        fleet.Part(Images(azure, reading.sets, wanted.images), is_scale_set),
        fleet.Part(wanted.ready(azure, reading.machines, extensions.busy, PATIENCE), is_machine),
        fleet.Part(extensions, lambda target: not is_mapping(target)),
    ]
    return await fleet.run(
        azure, targets, steps, check=check, timeout=params["timeout"] * 60, noun="machines, scale sets and mappings", journal=journal
    )


def _check_vaults(path: Path, wanted: Record) -> None:
    """Refuse container mappings of a second subscription: a thaw could sign in to one only."""
    found = {ids.parse(one.id).subscription.lower() for one in wanted.open if is_mapping(Target(one.id, one.name))}
    if len(found) > 1:
        raise InputError("path", str(path), "another file: the record in this one has container mappings of another subscription")


def _told(report: fleet.Report, told: Mapping[str, list[str]]) -> list[str]:
    """Give each target what others have changed on it as its reason; and all of it as warnings."""
    warnings = []
    for outcome in report.outcomes:
        text = " ".join(told.get(outcome.target.id, ()))
        if text:
            outcome.reason = f"{outcome.reason} {text}" if outcome.reason else text
            warnings.append(f"{outcome.target.name}: {text}")
        elif outcome.state == "skipped":
            warnings.append(f"{outcome.target.name}: {outcome.reason}")
    return warnings


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
