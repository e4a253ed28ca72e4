# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Extensions of virtual machines: which are wanted, which are missing or unhealthy, and how they are removed, installed and updated.

The Azure Monitor Agent is one of them; nothing here treats it otherwise than the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import (
    Extension,
    Lost,
    Machine,
    Machines,
    of_resource,
    write,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal

# Publisher and types of the Azure Monitor Agent (Microsoft Learn, Azure Monitor Agent requirements).
AGENT_PUBLISHER = "Microsoft.Azure.Monitor"
AGENTS = {"windows": "AzureMonitorWindowsAgent", "linux": "AzureMonitorLinuxAgent"}
# The agents before it, retired in August 2024 (Microsoft Learn, Log Analytics agent overview): reported, never touched.
LEGACY_PUBLISHER = "Microsoft.EnterpriseCloud.Monitoring"
LEGACY_AGENTS = ("MicrosoftMonitoringAgent", "OmsAgentForLinux")
# What is kept of an extension that is removed and installed again, beside what the user can ask for.
KEPT = ("forceUpdateTag", "suppressFailures", "protectedSettingsFromKeyVault", "provisionAfterExtensions")


@dataclass(frozen=True)
class Wanted:
    """An extension as the user wants it on machines of `os_type` (None: on all). None for what was not asked: kept as it is.

    identity: the id of the user-assigned identity that the agent signs in with; it goes into the settings.
    protected_settings are only ever sent: Azure never gives them back, so they are no part of a comparison.
    kept and tags: what is sent of KEPT and as tags; what is not in there is kept as it is.
    refusal: why it may be neither installed nor changed; it matters only where something is missing.
    """

    publisher: str
    type: str
    name: str | None = None
    state: str = "present"
    os_type: str | None = None
    type_handler_version: str | None = None
    auto_upgrade_minor_version: bool | None = None
    enable_automatic_upgrade: bool | None = None
    settings: dict[str, Any] | None = None
    protected_settings: dict[str, Any] | None = field(default=None, repr=False)
    identity: str | None = None
    reinstall: str = "when_unhealthy"
    kept: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    refusal: str | None = None

    @property
    def kind(self) -> str:
        return f"{self.publisher}.{self.type}"

    def called(self, text: str, name: str) -> bool:
        """Whether `text`, in whatever letter case, means this extension: by its publisher and type, or by the name that it has."""
        return text.lower() in (self.kind.lower(), name.lower())

    def of(self, machine: Machine) -> Extension | None:
        return machine.find(self.publisher, self.type)

    def was(self, machine: Machine) -> Extension | None:
        """The extension as it is, or as it was before a run took it away that did not get to install it again."""
        lost = machine.find_lost(self.publisher, self.type)
        return lost.extension if lost else self.of(machine)

    def asked_settings(self, found: Extension | None) -> dict[str, Any]:
        """The settings asked for; where none were, those that are there; with the identity in either."""
        settings = self.settings if self.settings is not None else (found.settings if found else {})
        if not self.identity:
            return settings
        present = (settings.get("authentication") or {}).get("managedIdentity") or {}
        if present.get("identifier-name") == "mi_res_id" and ids.same(present.get("identifier-value"), self.identity):
            return settings
        return settings | {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": self.identity}}}

    def properties(self, found: Extension | None) -> dict[str, Any]:
        """The properties that a PUT sends; both upgrade flags among them, since their defaults differ between API versions."""
        present = found.properties if found else {}
        settings, kept = self.asked_settings(found), {name: present[name] for name in KEPT if name in present} | dict(self.kept)
        if self.protected_settings:  # an extension has the one or the other (Azure API document, virtual machine extensions)
            kept.pop("protectedSettingsFromKeyVault", None)
        return {
            "publisher": self.publisher,
            "type": self.type,
            "typeHandlerVersion": self.type_handler_version or present.get("typeHandlerVersion") or "1.0",
            "autoUpgradeMinorVersion": _first_set(self.auto_upgrade_minor_version, present.get("autoUpgradeMinorVersion"), True),
            "enableAutomaticUpgrade": _first_set(self.enable_automatic_upgrade, present.get("enableAutomaticUpgrade"), False),
            **({"settings": settings} if settings or self.settings is not None else {}),
            **kept,
        }

    def drift(self, found: Extension) -> dict[str, Any]:
        """The properties asked for that differ from those found, {} for none."""
        wished, present = self.properties(found), found.properties
        differing = {
            name
            for name in ("typeHandlerVersion", "autoUpgradeMinorVersion", "enableAutomaticUpgrade")
            if wished[name] != present.get(name, False)
        }
        if wished.get("settings", {}) != found.settings:
            differing.add("settings")
        return {name: wished[name] for name in wished if name in differing}


def _first_set(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def agents(state: str, **asked: Any) -> list[Wanted]:
    """The Azure Monitor Agent in `state` as `asked`: on each machine the one for its operating system, and never the other one."""
    wrong = [Wanted(AGENT_PUBLISHER, AGENTS[other], state="absent", os_type=own) for own in AGENTS for other in AGENTS if other != own]
    return wrong + [Wanted(AGENT_PUBLISHER, name, state=state, os_type=own, **asked) for own, name in AGENTS.items()]


def legacy_agents(machine: Machine) -> list[str]:
    """The names of the Log Analytics agents on a machine."""
    return [found.name for name in LEGACY_AGENTS if (found := machine.find(LEGACY_PUBLISHER, name))]


def others(given: Sequence[dict[str, Any]], state: str) -> list[Wanted]:
    """The extensions in the option `extensions`; state "absent" removes all of them. Raises InputError for one that is there twice, or that
    is the monitoring agent, which has options of its own."""
    found: list[Wanted] = []
    for one in given:
        asked = {name: value for name, value in one.items() if value is not None}
        os_type = asked.pop("os_type", "any")
        if state == "absent":
            asked["state"] = state
        wanted = Wanted(os_type=None if os_type == "any" else os_type, **asked)
        if wanted.kind.lower() in {f"{AGENT_PUBLISHER}.{name}".lower() for name in AGENTS.values()}:
            raise InputError("extensions", wanted.kind, "any extension but the monitoring agent, which has options of its own")
        if any(
            wanted.kind.lower() == other.kind.lower() and (None in (wanted.os_type, other.os_type) or wanted.os_type == other.os_type)
            for other in found
        ):
            raise InputError("extensions", wanted.kind, "each publisher and type only once: a machine takes one extension of a type")
        found.append(wanted)
    return found


@dataclass(frozen=True)
class Secrets:
    """The option protected_settings: what each extension gets, by "Publisher.Type" or by the name that it has on a machine, in whatever
    letter case. {} says that the extension has none; None that it has some, which are not given."""

    given: Mapping[str, dict[str, Any] | None] = field(default_factory=dict, repr=False)
    _used: set[str] = field(default_factory=set, repr=False)

    @property
    def unused(self) -> list[str]:
        """What is given for extensions that no machine is to have."""
        return sorted(set(self.given) - self._used)

    def tells(self, wanted: Wanted, name: str) -> bool:
        """Whether anything is said about the extension, which has that name on its machine."""
        return self._key(wanted, name) is not None

    def into(self, wanted: Wanted, machine: Machine) -> Wanted:
        """The wish with its protected settings; refused where they are said to be not given."""
        found = wanted.was(machine)
        key = self._key(wanted, found.name if found else wanted.name or wanted.type)
        if wanted.state != "present" or key is None:
            return wanted
        self._used.add(key)
        if self.given[key] is None:
            return replace(wanted, refusal=f"was not touched: protected_settings has no value for {key}.")
        return replace(wanted, protected_settings=self.given[key] or None, refusal=None)

    def _key(self, wanted: Wanted, name: str) -> str | None:
        return next((key for key in self.given if wanted.called(key, name)), None)


def secrets(given: Mapping[str, Any] | None) -> Secrets:
    """What the option protected_settings says. Raises InputError, which shows no value."""
    for key, value in (given or {}).items():
        if value is not None and not isinstance(value, dict):
            raise InputError(f"protected_settings.{key}", f"a {type(value).__name__}", "a dictionary of the extension's protected settings")
    return Secrets(given or {})


def by_system(wanted: Sequence[Wanted], secrets: Secrets | None = None) -> Callable[[Machine], list[Wanted]]:
    """The wishes for each machine out of those for all: the ones for its operating system. The callable raises AzureDRError."""
    given = secrets or Secrets()

    def of(machine: Machine) -> list[Wanted]:
        if machine.os_type is None:
            raise AzureDRError("The virtual machine does not tell its operating system (storageProfile.osDisk.osType).")
        return [given.into(one, machine) for one in wanted if one.os_type in (None, machine.os_type)]

    return of


@dataclass(frozen=True)
class Change:
    """What is done to one extension: verb "remove", "install", "update" or "wait for". found: the extension as it is, or was. lost: it was
    there until a run took it away."""

    verb: str
    wanted: Wanted
    name: str
    found: Extension | None = None
    why: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    lost: bool = False

    @property
    def text(self) -> str:
        return f"{self.verb} extension {self.name}" + (f" ({self.why})" if self.why else "")


def changes(wanted: Wanted, machine: Machine, written: bool) -> list[Change]:
    """What is missing for one wanted extension of one machine. written: this run has changed it already, so that it is neither
    removed nor installed a second time, only waited for. What a run took away and did not put back is installed as it was. Raises
    AzureDRError where it can't be had."""
    found = wanted.of(machine)
    if wanted.state == "absent":
        return [Change("remove", wanted, found.name, found)] if found else []
    if found is None:
        return [_install(wanted, machine)]
    name = found.name
    install = Change("install", wanted, name, found, properties=wanted.properties(found))
    if found.busy:
        return [Change("wait for", wanted, name, found, found.provisioning_state)]
    if written and found.trouble:
        return [Change("wait for", wanted, name, found, found.trouble)]
    if not written and (found.trouble or wanted.reinstall == "always"):
        return [Change("remove", wanted, name, found, found.trouble), install]
    drift = wanted.drift(found)
    return [Change("update", wanted, name, found, ", ".join(drift), drift)] if drift else []


def _install(wanted: Wanted, machine: Machine) -> Change:
    """The installation of an extension that is not there: under the name, and with all else, that it had if a run took it away."""
    lost = machine.find_lost(wanted.publisher, wanted.type)
    if lost and not machine.named(lost.extension.name):
        found = lost.extension
        why = f"as it was before {lost.by} removed it"
        return Change("install", wanted, found.name, found, why, wanted.properties(found), lost=True)
    name = wanted.name or wanted.type
    taken = machine.named(name)
    if taken:
        raise AzureDRError(
            f"The name {name} is taken on {machine.name} by the extension {taken.publisher}.{taken.type}, so {wanted.kind} "
            "cannot be installed under it. Ask for another name."
        )
    return Change("install", wanted, name, properties=wanted.properties(None))


@dataclass(frozen=True)
class Seen:
    """A machine, and the kinds of extensions that this run has changed on it."""

    machine: Machine
    written: frozenset[str]


class Extensions(Step[Seen]):
    """Brings the wanted extensions of each machine to their state, one after the other.

    wanted: tells what one machine shall have, in order; may raise AzureDRError, which is that machine's failure.
    What is removed to be installed again is given to the journal first, and what another run left removed is taken from there.
    given_back: the names of such extensions that were installed without protected settings, by machine.
    """

    def __init__(self, azure: Any, machines: Machines, wanted: Callable[[Machine], Sequence[Wanted]], journal: Journal) -> None:
        self._azure, self._machines, self._wanted, self._journal = azure, machines, wanted, journal
        self._written: dict[str, frozenset[str]] = {}
        self._made_anew: dict[str, set[str]] = {}  # by another writer, who was in the way: neither removed nor installed again
        self.given_back: dict[str, list[str]] = {}

    def chosen(self, machine: Machine) -> list[Extension] | None:
        """The machine's extensions that this step is about; None when it has nothing to do there."""
        wanted = self._wanted(machine)
        found = [extension for one in wanted if (extension := one.of(machine))]
        return found if found or any(one.state == "present" for one in wanted) else None

    async def observe(self, target: Target) -> Seen:
        machine = await self._machines.look(target.id, "extensions")
        # Read after the look: what was seen to be gone is in the journal of who removed it, also if that was just now.
        lost = tuple(Lost(owed, str(run)) for run, lost in self._journal.taken_away(target.id) if (owed := _owed(machine, lost)))
        return Seen(replace(machine, lost=lost) if lost else machine, self._written.get(ids.key(target.id), frozenset()))

    def plan(self, target: Target, observed: Seen) -> list[Action]:
        machine = observed.machine
        return [
            Action(change.text, _requests(machine, change), change, lost=_taken_away(machine, change))
            for wanted in self._wanted(machine)
            for change in self._changes(wanted, observed)
            if change.verb == "wait for" or not wanted.refusal
        ]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        change: Change = action.data
        if change.verb == "wait for":
            return
        machine = self._machines.known[ids.key(target.id)]
        if change.verb != "install" or change.wanted.kind not in self._made_anew.get(ids.key(target.id), ()):
            await self._write(machine, change, seconds)
        if change.lost and change.wanted.protected_settings is None:
            self.given_back.setdefault(machine.name, []).append(change.name)
        self._written[ids.key(target.id)] = self._written.get(ids.key(target.id), frozenset()) | {change.wanted.kind}

    def view(self, observed: Seen) -> View:
        return self._view(
            observed.machine,
            {wanted.kind: found.view() for wanted in self._wanted(observed.machine) if (found := wanted.of(observed.machine))},
        )

    def wanted(self, target: Target, observed: Seen) -> View:
        views = {}
        for wanted in self._wanted(observed.machine):
            found = wanted.of(observed.machine)
            if wanted.refusal and found is None:
                continue
            missing = [] if wanted.refusal else self._changes(wanted, observed)
            if wanted.state == "present":
                views[wanted.kind] = _foreseen(wanted, wanted.was(observed.machine), missing)
        return self._view(observed.machine, views)

    def failure(self, target: Target, observed: Seen) -> str | None:
        for wanted in self._wanted(observed.machine):
            found = wanted.of(observed.machine)
            if wanted.state == "present" and found and found.failed:
                return f"extension {found.name}: {found.trouble}"
        return None

    def made_good(self, target: Target, observed: Seen, lost: View) -> bool:
        owed = _owed(observed.machine, lost)
        return owed is None or any(
            one.state == "absent" and owed.kind_of(one.publisher, one.type) for one in self._wanted(observed.machine)
        )

    def refused(self, target: Target, observed: Seen) -> str | None:
        told = [
            f"Extension {missing[-1].name} {wanted.refusal}"
            for wanted in self._wanted(observed.machine)
            if wanted.refusal and (missing := self._changes(wanted, observed))
        ]
        return " ".join(told) or None

    def _changes(self, wanted: Wanted, observed: Seen) -> list[Change]:
        return changes(wanted, observed.machine, wanted.kind in observed.written)

    def _view(self, machine: Machine, views: dict[str, View]) -> View:
        agent = f"{AGENT_PUBLISHER}.{AGENTS[str(machine.os_type)]}"
        return {
            "agent": views.get(agent),
            "extensions": [view for kind, view in views.items() if kind != agent],
            "legacy_agents": legacy_agents(machine),
        }

    def _overtaken(self, machine: Machine, change: Change) -> Callable[[], Awaitable[bool | None]]:
        """Tells of a change whether another writer, who is in its way, has done what it is for; None while that writer is at it.

        A healthy extension is removed only to be made anew: it is left alone where the other writer was seen to do just that.
        """
        anew = bool(change.found and change.found.trouble)

        async def overtaken() -> bool | None:
            nonlocal anew
            present = await self._machines.look(machine.id, "extensions")
            found = change.wanted.of(present)
            if found is None:
                return change.verb == "remove"
            if found.busy:
                anew = anew or found.provisioning_state.lower() in ("creating", "deleting")
                return None
            mine = (change.verb == "remove" and not anew) or change.wanted.state == "absent" or change.wanted.protected_settings is not None
            if mine or changes(change.wanted, present, written=True):
                return False
            self._made_anew.setdefault(ids.key(machine.id), set()).add(change.wanted.kind)
            return True

        return overtaken

    async def _write(self, machine: Machine, change: Change, seconds: float) -> None:
        parsed = ids.parse(machine.id)
        operations = self._azure.compute(parsed.subscription).virtual_machine_extensions
        place = (parsed.resource_group, parsed.name, change.name)
        calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "remove": lambda polling: operations.begin_delete(*place, polling=polling),
            "install": lambda polling: operations.begin_create_or_update(*place, _resource(machine, change), polling=polling),
            "update": lambda polling: operations.begin_update(*place, _update(change), polling=polling),
        }
        asked = f"{change.verb} extension {change.name}"
        await write(self._azure, asked, machine.id, calls[change.verb], seconds, self._overtaken(machine, change))


def _requests(machine: Machine, change: Change) -> tuple[tuple[str, str], ...]:
    method = {"remove": "DELETE", "install": "PUT", "update": "PATCH"}.get(change.verb)
    return ((method, f"{machine.id}/extensions/{change.name}"),) if method else ()


def _taken_away(machine: Machine, change: Change) -> View | None:
    """For the journal: the extension that a removal takes away, on which machine, and whether it is to be installed again."""
    if change.verb != "remove" or change.found is None:
        return None
    return {"machine": machine.vm_id, "again": change.wanted.state == "present", "extension": change.found.resource}


def _owed(machine: Machine, lost: View | None) -> Extension | None:
    """The extension in what a journal keeps as lost, as long as it is missing and was to be installed again on this very machine."""
    if not lost or not lost.get("again") or lost.get("machine") != machine.vm_id:
        return None
    extension = of_resource(lost["extension"])
    return None if machine.find(extension.publisher, extension.type) else extension


def _secrets(wanted: Wanted) -> dict[str, Any]:
    return {} if wanted.protected_settings is None else {"protectedSettings": wanted.protected_settings}


def _resource(machine: Machine, change: Change) -> dict[str, Any]:
    found = (change.found.resource.get("tags") if change.found else None) or {}
    tags = found if change.wanted.tags is None else dict(change.wanted.tags)
    return {"location": machine.location, **({"tags": tags} if tags else {}), "properties": change.properties | _secrets(change.wanted)}


def _update(change: Change) -> dict[str, Any]:
    whole = change.wanted.properties(change.found)
    flags = {name: whole[name] for name in ("autoUpgradeMinorVersion", "enableAutomaticUpgrade")}
    return {"properties": flags | change.properties | _secrets(change.wanted)}


def _foreseen(wanted: Wanted, found: Extension | None, missing: Sequence[Change]) -> View:
    """The view of a wanted extension once what is missing is done."""
    if found and not missing:
        return found.view()
    properties = wanted.properties(found)
    return {
        "name": missing[-1].name,
        "publisher": wanted.publisher,
        "type": wanted.type,
        "type_handler_version": properties["typeHandlerVersion"],
        "installed_version": found.installed if found else None,
        "auto_upgrade_minor_version": properties["autoUpgradeMinorVersion"],
        "enable_automatic_upgrade": properties["enableAutomaticUpgrade"],
        "settings": properties.get("settings", {}),
        "provisioning_state": "Succeeded",
        "status": "Ready",
        "message": None,
    }
