# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Automatic upgrade of extensions, on virtual machines and in the models of scale sets: which support it, which have it, and who wants it.

An extension has two settings for this, which are independent of each other (Microsoft Learn, automatic extension upgrade).
enableAutomaticUpgrade: the platform brings newer versions to machines that run. autoUpgradeMinorVersion: where an extension is installed or
changed, the newest minor version is taken. Neither ever moves a major version; typeHandlerVersion does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Extension, Machine, Machines, write
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.scale_sets import ScaleSet, ScaleSets, is_scale_set
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View

Holder: TypeAlias = "Machine | ScaleSet"

ENABLED, DISABLED, NOT_SUPPORTED = "enabled", "disabled", "not_supported"  # as Azure's portal has them
STATUSES = (ENABLED, DISABLED, NOT_SUPPORTED)
TOLD = 10  # machines and scale sets that a warning names

# What supports automatic upgrade: publisher and types. Microsoft Learn, "Automatic Extension Upgrade for virtual machines and scale sets in
# Azure", Supported extensions; as read on 2026-11-21. The page says that it lists popular ones and that more are added.
SUPPORTED: dict[str, tuple[str, ...]] = {
    "Microsoft.Azure.Automation.HybridWorker": ("HybridWorkerForLinux", "HybridWorkerForWindows"),
    "Microsoft.Azure.AzureDefenderForSQL": ("AdvancedThreatProtection.Windows", "VulnerabilityAssessment.Windows"),
    "Microsoft.Azure.AzureDefenderForServers": ("MDE.Linux", "MDE.Windows"),
    "Microsoft.Azure.ChangeTrackingAndInventory": ("ChangeTracking-Linux", "ChangeTracking-Windows"),
    "Microsoft.Azure.Diagnostics": ("LinuxDiagnostic",),
    "Microsoft.Azure.Extensions.Edp": ("LinuxHibernateTestExtension", "WindowsHibernateTestExtension"),
    "Microsoft.Azure.FleetDiagnostics": ("FleetDiagnosticsForWindows",),
    "Microsoft.Azure.Geneva": ("GenevaMonitoring",),
    "Microsoft.Azure.KeyVault": ("KeyVaultForLinux", "KeyVaultForWindows"),
    "Microsoft.Azure.Labservices": ("Agent.Linux", "Agent.Windows"),
    "Microsoft.Azure.Monitor": ("AzureMonitorLinuxAgent", "AzureMonitorWindowsAgent"),
    "Microsoft.Azure.Monitoring.DependencyAgent": ("DependencyAgentLinux", "DependencyAgentWindows"),
    "Microsoft.Azure.Monitoring.DependencyAgent.EDP": ("DependencyAgentLinux", "DependencyAgentWindows"),
    "Microsoft.Azure.NetworkWatcher": ("NetworkWatcherAgentLinux", "NetworkWatcherAgentWindows"),
    "Microsoft.Azure.Networking.DNS": ("DNSClientCache",),
    "Microsoft.Azure.SCOMMI": ("GatewayServer", "WindowsAgent"),
    "Microsoft.Azure.Security.AntimalwareSignature": ("AntimalwareConfiguration",),
    "Microsoft.Azure.Security.Dsms": ("DSMSForWindows",),
    "Microsoft.Azure.Security.LinuxAttestation": ("GuestAttestation",),
    "Microsoft.Azure.Security.Monitoring": ("AzureSecurityLinuxAgent", "AzureSecurityWindowsAgent"),
    "Microsoft.Azure.Security.WindowsAttestation": ("GuestAttestation",),
    "Microsoft.Azure.Security.WindowsCodeIntegrity": ("CodeIntegrityAgent",),
    "Microsoft.Azure.ServiceFabric": ("ServiceFabricLinuxNode",),
    "Microsoft.Azure.Watson": ("WatsonLinuxAgent",),
    "Microsoft.Azure.Workloads": ("MonitoringExtensionLinux", "MonitoringExtensionWindows"),
    "Microsoft.CPlat.Core": ("LinuxHibernateExtension", "WindowsHibernateExtension"),
    "Microsoft.CPlat.ProxyAgent": ("ProxyAgentLinux", "ProxyAgentWindows"),
    "Microsoft.EnterpriseCloud.Monitoring": ("MicrosoftMonitoringAgent", "OmsAgentForLinux"),
    "Microsoft.GuestConfiguration": ("ConfigurationForLinux", "ConfigurationForWindows"),
    "Microsoft.ManagedServices": ("ApplicationHealthLinux", "ApplicationHealthWindows"),
    "Microsoft.OSTCExtensions": ("DSCForLinux",),
    "Microsoft.Sentinel.AzureMonitorAgentExtensions": ("MicrosoftDnsAgent",),
    "Microsoft.SqlServer.Management": ("SqlIaaSAgent", "SqlIaaSAgentLinux"),
}
_KINDS = frozenset(f"{publisher}/{type}".lower() for publisher, types in SUPPORTED.items() for type in types)


def supported(publisher: str, type: str) -> bool:
    """Whether Azure is known to upgrade the extension automatically, in whatever letter case it is written."""
    return f"{publisher}/{type}".lower() in _KINDS


def is_on(extension: Extension) -> bool:
    """Whether Azure has automatic upgrade on; where it says nothing, it is off (recorded traffic)."""
    return bool(extension.properties.get("enableAutomaticUpgrade"))


def status(extension: Extension) -> str:
    """ENABLED, DISABLED or NOT_SUPPORTED. What Azure has on is enabled, whatever the table says."""
    if is_on(extension):
        return ENABLED
    return DISABLED if supported(extension.publisher, extension.type) else NOT_SUPPORTED


@dataclass(frozen=True)
class Wish:
    """What is asked of an extension; None for what keeps its value. force: also where automatic upgrade is not known to be supported."""

    enabled: bool | None = None
    minor: bool | None = None
    version: str | None = None
    force: bool = False

    def refuses(self, extension: Extension) -> bool:
        """Whether automatic upgrade is asked for and the extension is left alone, since it is not known to support it."""
        return self.enabled is True and not self.force and status(extension) == NOT_SUPPORTED

    def changes(self, extension: Extension) -> dict[str, Any]:
        """The properties that a PATCH sends, {} when all is as asked. enableAutomaticUpgrade is always among them: its default differs
        between API versions."""
        present, properties = is_on(extension), extension.properties
        on = present if self.enabled is None or self.refuses(extension) else self.enabled
        found: dict[str, Any] = {} if on == present else {"enableAutomaticUpgrade": on}
        if self.minor is not None and self.minor != bool(properties.get("autoUpgradeMinorVersion")):
            found["autoUpgradeMinorVersion"] = self.minor
        if self.version and moves(extension.version, self.version):
            found["typeHandlerVersion"] = self.version
        return {"enableAutomaticUpgrade": on} | found if found else {}


def moves(present: str | None, asked: str) -> bool:
    """Whether a version is to be changed to the one asked for: to another major one, or forward. A newer minor one is not taken back."""
    if not present or not _VERSION.match(present):
        return True
    before, after = ([int(part) for part in text.split(".")[:2]] for text in (present, asked))
    return before[0] != after[0] or before < after


_VERSION = re.compile(r"\d+(\.\d+)*$")


@dataclass(frozen=True)
class Selection:
    """Extensions by name, publisher and type, each of which may have the wildcards * and ?, in any letter case; None for any."""

    name: str | None = None
    publisher: str | None = None
    type: str | None = None
    type_handler_version: str | None = None

    def means(self, extension: Extension) -> bool:
        given = ((self.name, extension.name), (self.publisher, extension.publisher), (self.type, extension.type))
        return all(pattern is None or fnmatchcase(text.lower(), pattern.lower()) for pattern, text in given)

    def __str__(self) -> str:
        given = (("name", self.name), ("publisher", self.publisher), ("type", self.type))
        return ", ".join(f"{word} {pattern}" for word, pattern in given if pattern)


@dataclass(frozen=True)
class Wishes:
    """What the options ask of the extensions of a machine or scale set: the first selection that means one counts.

    all_supported: of every extension that is known to support automatic upgrade; what is not is shown, and left alone.
    """

    selections: tuple[Selection, ...]
    all_supported: bool = False
    enabled: bool = True
    minor: bool | None = None
    force: bool = False
    _used: set[Selection] = field(default_factory=set, repr=False)

    def __call__(self, holder: Holder, extension: Extension) -> Wish | None:
        for selection in self.selections:
            if selection.means(extension):
                self._used.add(selection)
                return Wish(self.enabled, self.minor, selection.type_handler_version, self.force)
        if not self.all_supported:
            return None
        return Wish() if status(extension) == NOT_SUPPORTED else Wish(self.enabled, self.minor)

    @property
    def unused(self) -> list[str]:
        """The selections that mean no extension anywhere."""
        return [str(one) for one in self.selections if one not in self._used]


def wishes(params: dict[str, Any]) -> Wishes:
    """What the options extensions, all_supported, state, auto_upgrade_minor_version and force ask for. Raises InputError."""
    selections = tuple(Selection(**one) for one in params["extensions"])
    if not selections and not params["all_supported"]:
        raise InputError("extensions", None, "a list of the extensions to work on; or say all_supported=true")
    if params["force"] and not selections:
        raise InputError("force", True, "to be given with extensions, which it is for; all_supported is about the others")
    for one in selections:
        if not (one.name or one.publisher or one.type):
            raise InputError("extensions", one.name, "a name, a publisher or a type in each element; * stands for anything")
        if one.type_handler_version and not re.fullmatch(r"\d+\.\d+", one.type_handler_version):
            raise InputError("extensions.type_handler_version", one.type_handler_version, 'a major and a minor version, such as "2.0"')
    return Wishes(selections, params["all_supported"], params["state"] == ENABLED, params["auto_upgrade_minor_version"], params["force"])


@dataclass(frozen=True)
class Change:
    """An extension that is to be changed, and the properties to send."""

    extension: Extension
    properties: dict[str, Any]

    @property
    def text(self) -> str:
        name, sent, told = f"extension {self.extension.name}", self.properties, list[str]()
        if sent["enableAutomaticUpgrade"] != is_on(self.extension):
            told.append(f"{'enable' if sent['enableAutomaticUpgrade'] else 'disable'} automatic upgrade of {name}")
        if "autoUpgradeMinorVersion" in sent:
            told.append(f"set auto_upgrade_minor_version of {'it' if told else name} to {str(sent['autoUpgradeMinorVersion']).lower()}")
        if "typeHandlerVersion" in sent:
            told.append(f"move {'it' if told else name} to version {sent['typeHandlerVersion']}")
        return ", ".join(told)


@dataclass(frozen=True)
class Seen:
    """A machine or scale set, and which of its extensions this run could not change, with the reason."""

    holder: Holder
    failed: dict[str, str]


class AutoUpgrade(Step[Seen]):
    """Brings the extensions of machines and of the models of scale sets to what is wished of them, each by itself.

    wished: what is asked of an extension; None for one that this is not about.
    """

    def __init__(self, azure: Any, machines: Machines, scale_sets: ScaleSets, wished: Callable[[Holder, Extension], Wish | None]) -> None:
        self._azure, self._machines, self._scale_sets, self._wished = azure, machines, scale_sets, wished
        self._failed: dict[str, dict[str, str]] = {}

    def pending(self, holder: Holder) -> list[Change]:
        """What is missing, each behind those that it is provisioned after."""
        failed = self._failed.get(ids.key(holder.id), {})
        found = [(one, self._wished(holder, one)) for one in in_order(holder.extensions)]
        changes = [Change(one, properties) for one, wish in found if wish and (properties := wish.changes(one))]
        return [change for change in changes if change.extension.name not in failed]

    def busy(self, machine: Machine) -> list[Extension] | None:
        """The extensions of a machine that are to be changed; None for none."""
        return [change.extension for change in self.pending(machine)] or None

    async def observe(self, target: Target) -> Seen:
        holder: Holder
        if is_scale_set(target):
            holder = await self._scale_sets.read(target.id)
        else:
            holder = await self._machines.look(target.id, "automatic upgrade")
        return Seen(holder, dict(self._failed.get(ids.key(target.id), {})))

    def plan(self, target: Target, observed: Seen) -> list[Action]:
        return [
            Action(change.text, (("PATCH", f"{observed.holder.id}/extensions/{change.extension.name}"),), change)
            for change in self.pending(observed.holder)
        ]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        change: Change = action.data
        parsed = ids.parse(target.id)
        client, body = self._azure.compute(parsed.subscription), {"properties": change.properties}
        operations = client.virtual_machine_scale_set_extensions if is_scale_set(target) else client.virtual_machine_extensions
        place = (parsed.resource_group, parsed.name, change.extension.name)

        def begin(polling: Any) -> Awaitable[Any]:
            return operations.begin_update(*place, body, polling=polling)

        await write(self._azure, action.text, target.id, begin, seconds)

    def goes_on(self, target: Target, action: Action, error: AzureError) -> bool:
        """A failure with one extension does not keep the others from being changed (as the platform has it, Microsoft Learn)."""
        self._failed.setdefault(ids.key(target.id), {})[action.data.extension.name] = str(error)
        return True

    def refused(self, target: Target, observed: Seen) -> str | None:
        return " ".join(observed.failed.values()) or None

    def view(self, observed: Seen) -> View:
        return self.shown(observed.holder)

    def shown(self, holder: Holder) -> View:
        """The machine or scale set as users see it."""
        return self._view(holder, {})

    def wanted(self, target: Target, observed: Seen) -> View:
        holder = observed.holder
        changes = {change.extension.name: change.properties for change in self.pending(holder)}
        view = self._view(holder, changes)
        if isinstance(holder, ScaleSet) and holder.manual and changes:
            view["instances"]["lagging"] = sorted(one.name for one in holder.instances)
        return view

    def _view(self, holder: Holder, changes: dict[str, dict[str, Any]]) -> View:
        views = [_view(one, changes.get(one.name, {})) for one in holder.extensions if self._wished(holder, one)]
        if isinstance(holder, Machine):
            return {"kind": "virtual_machine", "extensions": views}
        return {
            "kind": "scale_set",
            "orchestration_mode": holder.orchestration,
            "upgrade_mode": holder.mode,
            "extensions": views,
            "instances": holder.instances_view(),
        }


def _view(extension: Extension, change: dict[str, Any]) -> View:
    """An extension as users see it, with the properties of `change` in place of those that it has."""
    properties = {**extension.properties, **change}
    on = bool(properties.get("enableAutomaticUpgrade"))
    return {
        "name": extension.name,
        "publisher": extension.publisher,
        "type": extension.type,
        "status": ENABLED if on else DISABLED if supported(extension.publisher, extension.type) else NOT_SUPPORTED,
        "auto_upgrade_minor_version": bool(properties.get("autoUpgradeMinorVersion")),
        "type_handler_version": properties.get("typeHandlerVersion"),
        "installed_version": extension.installed,
        "provision_after": list(properties.get("provisionAfterExtensions") or ()),
        "provisioning_state": extension.provisioning_state,
        "message": extension.trouble,
    }


def in_order(extensions: Sequence[Extension]) -> list[Extension]:
    """The extensions in their order, each behind those that it is provisioned after; those of a ring stay where they are."""
    ordered: list[Extension] = []
    left = list(extensions)
    while left:
        waiting = {one.name.lower() for one in left}
        ready = next((one for one in left if not _before(one) & (waiting - {one.name.lower()})), left[0])
        ordered.append(ready)
        left.remove(ready)
    return ordered


def _before(extension: Extension) -> set[str]:
    return {str(name).lower() for name in extension.properties.get("provisionAfterExtensions") or ()}


def warnings(rows: Sequence[View], wished: Wishes, propagate: bool) -> list[str]:
    """What users should know of a result's rows that is not for the module to solve."""
    seen = [(row["name"], one) for row in rows for one in row["after"].get("extensions", ())]
    failed = [f"{name}: {one['name']}" for name, one in seen if one["provisioning_state"] == "Failed"]
    left = [f"{name}: {one['name']}" for name, one in seen if one["status"] == NOT_SUPPORTED]
    lagging = [f"{row['name']} ({len(names)})" for row in rows if (names := row["after"].get("instances", {}).get("lagging"))]
    way_on = "see to those that failed or are protected" if propagate else "propagate brings those of upgrade mode Manual there"
    told = [
        (wished.unused if rows else [], "No extension fits these elements of extensions"),
        (
            left if wished.enabled and not (wished.all_supported or wished.force) else [],
            "Not on the list of what supports automatic upgrade, so that it was left alone (see force)",
        ),
        (failed, "Their provisioning has failed, which automatic upgrade does not repair (ama_reinstall does)"),
        (lagging, f"These scale sets have instances that lag behind the model ({way_on})"),
    ]
    return [f"{text}: {_listed(names)}." for names, text in told if names]


def _listed(names: Sequence[str]) -> str:
    more = f"; and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return "; ".join(names[:TOLD]) + more
