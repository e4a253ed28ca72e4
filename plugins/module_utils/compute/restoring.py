# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine has of extensions, as it is recorded, and what of that another machine that stands in for it gets.

A record is what users see in a baseline file: the extensions in their order, each with all that Azure tells of how it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extensions import Secrets, Wanted
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Extension, Machine, Machines
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View

# What is kept of an extension (extensions.KEPT), by its name in a record.
KEPT = {
    "force_update_tag": "forceUpdateTag",
    "suppress_failures": "suppressFailures",
    "protected_settings_from_key_vault": "protectedSettingsFromKeyVault",
    "provision_after_extensions": "provisionAfterExtensions",
}

MOBILITY = "Site Recovery's own Mobility service: Site Recovery installs it where it replicates a machine"
BACKUP = "belongs to Azure Backup, which installs it when it backs the machine up"
ENCRYPTION = "disk encryption: the disks come encrypted from the failover, and encrypting them again with the source's keys can lock them"
PATCHES = "belongs to Azure Update Manager, which installs it when it assesses or patches the machine"
ONCE = "does something once, which was done, and the disks have it: it would do it again"
DEFENDER = "belongs to Defender for Cloud, which installs it with settings for this very machine"

# Extensions that are not copied from one machine to another: publisher, type (None for all of the publisher's), why. Publishers and types
# as in Microsoft Learn's pages on each service's extension; the Mobility service's as in recorded traffic.
LEFT_OUT: tuple[tuple[str, str | None, str], ...] = (
    ("Microsoft.Azure.RecoveryServices.SiteRecovery", None, MOBILITY),
    ("Microsoft.Azure.RecoveryServices.SiteRecovery2", None, MOBILITY),
    ("Microsoft.Azure.SiteRecovery", None, MOBILITY),
    ("Microsoft.Azure.RecoveryServices", "VMSnapshot", BACKUP),
    ("Microsoft.Azure.RecoveryServices", "VMSnapshotLinux", BACKUP),
    ("Microsoft.Azure.RecoveryServices.WorkloadBackup", None, BACKUP),
    ("Microsoft.Azure.Security", "AzureDiskEncryption", ENCRYPTION),
    ("Microsoft.Azure.Security", "AzureDiskEncryptionForLinux", ENCRYPTION),
    ("Microsoft.CPlat.Core", "WindowsPatchExtension", PATCHES),
    ("Microsoft.CPlat.Core", "LinuxPatchExtension", PATCHES),
    ("Microsoft.SoftwareUpdateManagement", None, PATCHES),
    ("Microsoft.CPlat.Core", "RunCommandWindows", ONCE),
    ("Microsoft.CPlat.Core", "RunCommandLinux", ONCE),
    ("Microsoft.CPlat.Core", "RunCommandHandlerWindows", ONCE),
    ("Microsoft.CPlat.Core", "RunCommandHandlerLinux", ONCE),
    ("Microsoft.Compute", "VMAccessAgent", ONCE),
    ("Microsoft.OSTCExtensions", "VMAccessForLinux", ONCE),
    ("Microsoft.Compute", "JsonADDomainExtension", ONCE),
    ("Microsoft.Azure.AzureDefenderForServers", None, DEFENDER),
    (
        "Microsoft.SqlServer.Management",
        "SqlIaaSAgent",
        "belongs to the SQL virtual machine resource, which installs it when the machine is registered",
    ),
    (extensions.LEGACY_PUBLISHER, None, "a Log Analytics agent, which was retired"),
)

Settings = Mapping[str, Any]


def _always(settings: Settings) -> bool:
    return True


def _without_command(settings: Settings) -> bool:
    """A command stands either in the public or in the protected settings; for a file from a storage account its key may be needed too."""
    return not any(settings.get(name) for name in ("commandToExecute", "script")) or bool(settings.get("fileUris"))


def _behind_proxy(settings: Settings) -> bool:
    return str((settings.get("proxy") or {}).get("auth", "")).lower() == "true"


# Extensions that have protected settings, and when, as far as their public ones tell (Microsoft Learn's page on each of them). Azure never
# tells whether an extension has any.
PROTECTED: tuple[tuple[str, str, Callable[[Settings], bool]], ...] = (
    ("Microsoft.Compute", "CustomScriptExtension", _without_command),
    ("Microsoft.Azure.Extensions", "CustomScript", _without_command),
    ("Microsoft.OSTCExtensions", "CustomScriptForLinux", _without_command),
    ("Microsoft.Azure.Diagnostics", "IaaSDiagnostics", _always),
    ("Microsoft.Azure.Diagnostics", "LinuxDiagnostic", _always),
    ("Microsoft.OSTCExtensions", "LinuxDiagnostic", _always),
    ("Microsoft.Powershell", "DSC", _always),
    ("Microsoft.OSTCExtensions", "DSCForLinux", _always),
    *((extensions.AGENT_PUBLISHER, agent, _behind_proxy) for agent in extensions.AGENTS.values()),
)


def record(machine: Machine) -> View:
    """What is recorded of a machine and its extensions."""
    return {
        "id": machine.id,
        "name": machine.name,
        "region": machine.location,
        "os_type": machine.os_type,
        "identity": {"type": machine.identity_type, "user_assigned": sorted(machine.identities)},
        "extensions": [_record(extension) for extension in machine.extensions],
    }


def _record(extension: Extension) -> View:
    view, properties = extension.view(), extension.properties
    asked = ("name", "publisher", "type", "type_handler_version", "auto_upgrade_minor_version", "enable_automatic_upgrade", "settings")
    return (
        {name: view[name] for name in asked}
        | {name: properties[key] for name, key in KEPT.items() if key in properties}
        | {"tags": dict(extension.resource.get("tags") or {})}
    )


class Recorded(Step[Machine]):
    """Reads a machine as it is recorded; changes nothing."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    async def observe(self, target: Target) -> Machine:
        return await self._machines.read(target.id)

    def plan(self, target: Target, observed: Machine) -> list[Action]:
        return []

    def view(self, observed: Machine) -> View:
        return record(observed)

    def wanted(self, target: Target, observed: Machine) -> View:
        return self.view(observed)


@dataclass(frozen=True)
class Restored:
    """What one machine gets of the extensions of another. left_out: (recorded extension, why) of each that is not copied."""

    wanted: tuple[Wanted, ...]
    left_out: tuple[tuple[View, str], ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What the user asks for beside a record: `agents` and `others` as in extensions.py, where what is set goes over what is recorded;
    the protected settings; and what to leave out, by "Publisher.Type" or name."""

    agents: Sequence[Wanted] = ()
    others: Sequence[Wanted] = ()
    secrets: Secrets = field(default_factory=Secrets)
    leave_out: Sequence[str] = ()

    def restored(self, recorded: Sequence[View], os_type: str | None) -> Restored:
        """What a machine of that operating system gets of the recorded extensions, in their order, and what is asked for beside them."""
        asked = [one for one in (*self.agents, *self.others) if one.os_type in (None, os_type)]
        copied, left_out = [], []
        for one in ordered(recorded):
            wanted = _wanted(one)
            wish = next((wish for wish in asked if wish.kind.lower() == wanted.kind.lower()), None)
            reason = self._why_not(wanted, one, wish)
            if reason:
                left_out.append((one, reason))
            else:
                copied.append(self._with_secrets(_over(wanted, wish), one))
        gone, there = {one["name"].lower() for one, _reason in left_out}, {wanted.kind.lower() for wanted in copied}
        removed = [wish for wish in asked if wish.state == "absent"]
        added = [wish for wish in self.others if wish in asked and wish.state == "present" and wish.kind.lower() not in there]
        return Restored((*removed, *(_after_none_of(one, gone) for one in copied), *added), tuple(left_out))

    def _why_not(self, wanted: Wanted, one: View, wish: Wanted | None) -> str | None:
        if any(wanted.called(text, one["name"]) for text in self.leave_out):
            return "was asked to be left out"
        if wish is not None and wish.state == "absent":
            return "is for another operating system" if wish in self.agents else "is asked to be absent"
        if wish is not None:
            return None
        return next(
            (
                reason
                for publisher, kind, reason in LEFT_OUT
                if wanted.publisher.lower() == publisher.lower() and (kind is None or wanted.type.lower() == kind.lower())
            ),
            None,
        )

    def _with_secrets(self, wanted: Wanted, one: View) -> Wanted:
        if self.secrets.tells(wanted, one["name"]) or "protected_settings_from_key_vault" in one:
            return wanted
        needed = any(
            wanted.kind.lower() == f"{publisher}.{kind}".lower() and need(wanted.settings or {}) for publisher, kind, need in PROTECTED
        )
        if not needed:
            return wanted
        return replace(
            wanted,
            refusal=f"can't be restored without its protected settings, which Azure never gives back: give them as "
            f"protected_settings['{wanted.kind}']; {{}} restores it without them, and leave_out leaves it out.",
        )


def ordered(recorded: Sequence[View]) -> list[View]:
    """The recorded extensions in the order in which they are installed: as recorded, and none before those that it is to come after."""
    waiting, found = list(recorded), []
    while waiting:
        names = {one["name"].lower() for one in waiting}
        ready = next(
            (one for one in waiting if not {str(name).lower() for name in one.get("provision_after_extensions") or ()} & names),
            waiting[0],  # they wait for one another: Azure's order is as good as any
        )
        waiting.remove(ready)
        found.append(ready)
    return found


def _wanted(one: View) -> Wanted:
    return Wanted(
        one["publisher"],
        one["type"],
        one["name"],
        type_handler_version=one["type_handler_version"],
        auto_upgrade_minor_version=bool(one["auto_upgrade_minor_version"]),
        enable_automatic_upgrade=bool(one["enable_automatic_upgrade"]),
        settings=dict(one["settings"]),
        kept={key: one[name] for name, key in KEPT.items() if name in one},
        tags=one.get("tags") or {},
    )


def _over(wanted: Wanted, wish: Wanted | None) -> Wanted:
    """What is recorded, and over it what is asked for."""
    if wish is None:
        return wanted
    names = ("name", "type_handler_version", "auto_upgrade_minor_version", "enable_automatic_upgrade", "settings", "identity")
    given = {name: value for name in names if (value := getattr(wish, name)) is not None}
    return replace(wanted, **given, reinstall=wish.reinstall)


class Restoring:
    """What each machine gets: a callable for the step Extensions.

    records: by ids.key of a machine, what was recorded of the one that it stands in for; an error where that is not known.
    """

    def __init__(self, records: Mapping[str, View | AzureDRError], wishes: Wishes) -> None:
        self._records, self._wishes = records, wishes

    def record(self, machine_id: str) -> View:
        """Raises AzureDRError where it is not known."""
        found = self._records[ids.key(machine_id)]
        if isinstance(found, AzureDRError):
            raise found
        return found

    def __call__(self, machine: Machine) -> list[Wanted]:
        wanted = self._wishes.restored(self.record(machine.id)["extensions"], machine.os_type).wanted
        return [self._wishes.secrets.into(one, machine) for one in wanted]

    def identities(self, machine: Machine, assign: bool) -> list[str]:
        """The user-assigned identities that the machine needs: the one that its agent signs in with; to `assign`, all of the source's."""
        record = self.record(machine.id)
        needed = list(record["identity"]["user_assigned"]) if assign else []
        agent = next((one for one in self(machine) if one.publisher.lower() == extensions.AGENT_PUBLISHER.lower() and one.settings), None)
        identity = signs_in_with(agent.asked_settings(None)) if agent and agent.state == "present" else None
        return needed + ([identity] if identity and not any(ids.same(identity, one) for one in needed) else [])

    def table(self, machine_id: str, after: View) -> list[View]:
        """Before, after and what is missing of each extension. before: as recorded; after: as seen at the end ({} when it was not)."""
        record = self.record(machine_id)
        restored = self._wishes.restored(record["extensions"], after.get("os_type") or record["os_type"])
        seen = [one for one in (after.get("agent"), *(after.get("extensions") or ())) if one]
        before = {_kind(one): one for one in record["extensions"]}
        rows = [_row(before.get(one.kind.lower()), one, seen) for one in restored.wanted if one.state == "present"]
        return rows + [_entry(one["name"], _short(one), None, left_out=why) for one, why in restored.left_out]


SHORT = ("type_handler_version", "auto_upgrade_minor_version", "enable_automatic_upgrade", "settings")


def _row(before: View | None, wanted: Wanted, seen: Sequence[View]) -> View:
    found = next((one for one in seen if _kind(one) == wanted.kind.lower()), None)
    properties = wanted.properties(None)
    wished = {
        "type_handler_version": properties["typeHandlerVersion"],
        "auto_upgrade_minor_version": properties["autoUpgradeMinorVersion"],
        "enable_automatic_upgrade": properties["enableAutomaticUpgrade"],
        "settings": properties.get("settings", {}),
    }
    missing: str | None = None
    if found is None:
        missing = wanted.refusal or "it is not there"
    elif found["message"] or found["provisioning_state"].lower() != "succeeded":
        missing = found["message"] or f"its provisioning state is {found['provisioning_state']}"
    else:
        differing = [name for name in SHORT if found[name] != wished[name]]
        missing = f"it differs in {', '.join(differing)}" if differing else None
    return _entry(wanted.name or wanted.type, _short(before), _short(found), missing=missing)


def _entry(name: str, before: View | None, after: View | None, missing: str | None = None, left_out: str | None = None) -> View:
    return {"what": "extension", "name": name, "before": before, "after": after, "missing": missing, "left_out": left_out}


def _short(view: View | None) -> View | None:
    return {name: view[name] for name in SHORT} if view else None


def _kind(view: View) -> str:
    return f"{view['publisher']}.{view['type']}".lower()


def signs_in_with(settings: Settings) -> str | None:
    """The id of the user-assigned identity in an agent's settings."""
    identity = (settings.get("authentication") or {}).get("managedIdentity") or {}
    return identity.get("identifier-value") if identity.get("identifier-name") == "mi_res_id" else None


def _after_none_of(wanted: Wanted, names: set[str]) -> Wanted:
    """An extension is not told to come after one that is not there."""
    after = wanted.kept.get("provisionAfterExtensions")
    if not after:
        return wanted
    return replace(wanted, kept=dict(wanted.kept) | {"provisionAfterExtensions": [one for one in after if one.lower() not in names]})
