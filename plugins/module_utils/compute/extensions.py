# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Extensions of virtual machines: which are wanted, which are missing or unhealthy, and how they are removed, installed and updated.

The Azure Monitor Agent is one of them; nothing here treats it otherwise than the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Extension, Machine, Machines, write
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View

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

    @property
    def kind(self) -> str:
        return f"{self.publisher}.{self.type}"

    def of(self, machine: Machine) -> Extension | None:
        return machine.find(self.publisher, self.type)

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
        settings = self.asked_settings(found)
        return {
            "publisher": self.publisher,
            "type": self.type,
            "typeHandlerVersion": self.type_handler_version or present.get("typeHandlerVersion") or "1.0",
            "autoUpgradeMinorVersion": _first_set(self.auto_upgrade_minor_version, present.get("autoUpgradeMinorVersion"), True),
            "enableAutomaticUpgrade": _first_set(self.enable_automatic_upgrade, present.get("enableAutomaticUpgrade"), False),
            **({"settings": settings} if settings or self.settings is not None else {}),
            **{name: present[name] for name in KEPT if name in present},
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


def by_system(wanted: Sequence[Wanted]) -> Callable[[Machine], list[Wanted]]:
    """The wishes for each machine out of those for all: the ones for its operating system. The callable raises AzureDRError."""

    def of(machine: Machine) -> list[Wanted]:
        if machine.os_type is None:
            raise AzureDRError("The virtual machine does not tell its operating system (storageProfile.osDisk.osType).")
        return [one for one in wanted if one.os_type in (None, machine.os_type)]

    return of


@dataclass(frozen=True)
class Change:
    """What is done to one extension: verb "remove", "install", "update" or "wait for". found: the extension as it is, or was."""

    verb: str
    wanted: Wanted
    name: str
    found: Extension | None = None
    why: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"{self.verb} extension {self.name}" + (f" ({self.why})" if self.why else "")


def changes(wanted: Wanted, machine: Machine, written: bool) -> list[Change]:
    """What is missing for one wanted extension of one machine. written: this run has changed it already, so that it is neither
    removed nor installed a second time, only waited for. Raises AzureDRError where it can't be had."""
    found = wanted.of(machine)
    if wanted.state == "absent":
        return [Change("remove", wanted, found.name, found)] if found else []
    name = found.name if found else wanted.name or wanted.type
    install = Change("install", wanted, name, found, properties=wanted.properties(found))
    if found is None:
        _check_name(wanted, machine, name)
        return [install]
    if found.busy:
        return [Change("wait for", wanted, name, found, found.provisioning_state)]
    if written and found.trouble:
        return [Change("wait for", wanted, name, found, found.trouble)]
    if not written and (found.trouble or wanted.reinstall == "always"):
        return [Change("remove", wanted, name, found, found.trouble), install]
    drift = wanted.drift(found)
    return [Change("update", wanted, name, found, ", ".join(drift), drift)] if drift else []


def _check_name(wanted: Wanted, machine: Machine, name: str) -> None:
    taken = machine.named(name)
    if taken:
        raise AzureDRError(
            f"The name {name} is taken on {machine.name} by the extension {taken.publisher}.{taken.type}, so {wanted.kind} "
            "cannot be installed under it. Ask for another name."
        )


@dataclass(frozen=True)
class Seen:
    """A machine, and the kinds of extensions that this run has changed on it."""

    machine: Machine
    written: frozenset[str]


class Extensions(Step[Seen]):
    """Brings the wanted extensions of each machine to their state, one after the other.

    wanted: tells what one machine shall have, in order; may raise AzureDRError, which is that machine's failure.
    Before an extension is removed, its resource is written to backup_dir. backups: what was written there, [{id, file}].
    """

    def __init__(self, azure: Any, machines: Machines, wanted: Callable[[Machine], Sequence[Wanted]], backup_dir: str) -> None:
        self._azure, self._machines, self._wanted, self._backup_dir = azure, machines, wanted, Path(backup_dir)
        self._written: dict[str, frozenset[str]] = {}
        self.backups: list[dict[str, str]] = []

    def chosen(self, machine: Machine) -> list[Extension] | None:
        """The machine's extensions that this step is about; None when it has nothing to do there."""
        wanted = self._wanted(machine)
        found = [extension for one in wanted if (extension := one.of(machine))]
        return found if found or any(one.state == "present" for one in wanted) else None

    async def observe(self, target: Target) -> Seen:
        return Seen(await self._machines.look(target.id, "extensions"), self._written.get(ids.key(target.id), frozenset()))

    def plan(self, target: Target, observed: Seen) -> list[Action]:
        machine = observed.machine
        return [
            Action(change.text, _requests(machine, change), change)
            for wanted in self._wanted(machine)
            for change in changes(wanted, machine, wanted.kind in observed.written)
        ]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        change: Change = action.data
        if change.verb == "wait for":
            return
        machine = self._machines.known[ids.key(target.id)]
        if change.verb == "remove" and change.found:
            self.backups.append({"id": change.found.id, "file": str(back_up(change.found, self._backup_dir))})
        await self._write(machine, change, seconds)
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
            missing = changes(wanted, observed.machine, wanted.kind in observed.written)
            if wanted.state == "present":
                views[wanted.kind] = _foreseen(wanted, found, missing)
        return self._view(observed.machine, views)

    def failure(self, target: Target, observed: Seen) -> str | None:
        for wanted in self._wanted(observed.machine):
            found = wanted.of(observed.machine)
            if wanted.state == "present" and found and found.failed:
                return f"extension {found.name}: {found.trouble}"
        return None

    def _for(self, machine: Machine) -> Sequence[Wanted]:
        return self._wanted(machine)

    def _view(self, machine: Machine, views: dict[str, View]) -> View:
        agent = f"{AGENT_PUBLISHER}.{AGENTS[str(machine.os_type)]}"
        return {
            "agent": views.get(agent),
            "extensions": [view for kind, view in views.items() if kind != agent],
            "legacy_agents": legacy_agents(machine),
        }

    async def _write(self, machine: Machine, change: Change, seconds: float) -> None:
        parsed = ids.parse(machine.id)
        operations = self._azure.compute(parsed.subscription).virtual_machine_extensions
        place = (parsed.resource_group, parsed.name, change.name)
        calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "remove": lambda polling: operations.begin_delete(*place, polling=polling),
            "install": lambda polling: operations.begin_create_or_update(*place, _resource(machine, change), polling=polling),
            "update": lambda polling: operations.begin_update(*place, _update(change), polling=polling),
        }
        await write(self._azure, f"{change.verb} extension {change.name}", machine.id, calls[change.verb], seconds)


def _requests(machine: Machine, change: Change) -> tuple[tuple[str, str], ...]:
    method = {"remove": "DELETE", "install": "PUT", "update": "PATCH"}.get(change.verb)
    return ((method, f"{machine.id}/extensions/{change.name}"),) if method else ()


def _secrets(wanted: Wanted) -> dict[str, Any]:
    return {} if wanted.protected_settings is None else {"protectedSettings": wanted.protected_settings}


def _resource(machine: Machine, change: Change) -> dict[str, Any]:
    tags = (change.found.resource.get("tags") if change.found else None) or {}
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


def back_up(extension: Extension, directory: Path) -> Path:
    """Write an extension's resource, as Azure gives it, to a new file that only its owner can read. Raises AzureDRError."""
    parsed = ids.parse(extension.id)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    place = directory.expanduser()
    file = place / f"{parsed.resource_group}.{'.'.join(parsed.names)}.{stamp}.json"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
            json.dump(extension.resource, handle, indent=2)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as exc:
        raise AzureDRError(f"Extension {extension.name} was not removed: it could not be backed up to {file} ({exc.strerror}).") from exc
    return file
