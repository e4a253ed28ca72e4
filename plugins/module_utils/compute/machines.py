# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Virtual machines as extensions see them: one read tells power, VM agent, operating system, identities, extensions and their health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Step, Target, View

TYPE = "Microsoft.Compute/virtualMachines"
BUSY = {"creating", "updating", "deleting", "migrating"}
# Power states from which a machine comes up by itself; in all others somebody has to start it (Microsoft Learn, states and billing).
COMING_UP = {"running", "starting", "unknown"}
FIRST_LOOK, LONGEST_LOOK = 2.0, 30.0  # seconds between two looks at a machine that is not ready
# One write to a machine at a time: another writer's is refused or breaks ours off (azure-rest-api-specs issue 22434,
# terraform-provider-azurerm issue 19558). All other conflicts are real refusals.
IN_THE_WAY = {"conflict", "operationpreempted", "anotheroperationinprogress"}
FIRST_TRY, LONGEST_TRY = 2.0, 60.0  # seconds until a write is tried again that another one was in the way of

Wire = Mapping[str, Any]


@dataclass(frozen=True)
class Extension:
    """An extension of a machine, and how it does.

    version: the one asked for; installed: the one that runs. status: what the instance view displays ("Ready", "Not Ready", ...), None
    where it says nothing. trouble: why it is not healthy, in Azure's words; None for a healthy one and for one that is busy.
    failed: it will not get healthy by itself. resource: as Azure gives it, protected settings never among it.
    """

    id: str
    name: str
    publisher: str
    type: str
    version: str | None
    installed: str | None
    provisioning_state: str
    status: str | None
    trouble: str | None
    failed: bool
    resource: Wire = field(repr=False)

    @property
    def properties(self) -> Wire:
        return self.resource.get("properties") or {}

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.properties.get("settings") or {})

    @property
    def busy(self) -> bool:
        """Somebody is installing, changing or removing it."""
        return self.provisioning_state.lower() in BUSY

    def kind_of(self, publisher: str, type: str) -> bool:
        """Whether this is that extension, whatever it is called: publisher and type make it."""
        return (self.publisher.lower(), self.type.lower()) == (publisher.lower(), type.lower())

    def view(self) -> View:
        return {
            "name": self.name,
            "publisher": self.publisher,
            "type": self.type,
            "type_handler_version": self.version,
            "installed_version": self.installed,
            "auto_upgrade_minor_version": bool(self.properties.get("autoUpgradeMinorVersion")),
            "enable_automatic_upgrade": bool(self.properties.get("enableAutomaticUpgrade")),
            "settings": self.settings,
            "provisioning_state": self.provisioning_state,
            "status": self.status,
            "message": self.trouble,
        }


@dataclass(frozen=True)
class Lost:
    """An extension, as it was, that a run took away to install it again, and did not. by: that run, for messages."""

    extension: Extension
    by: str


@dataclass(frozen=True)
class Machine:
    """A virtual machine as one read with its instance view tells it.

    os_type: "windows" or "linux". power: "running", "starting", "deallocated", ..., "unknown" where Azure says nothing.
    agent: what the VM agent displays ("Ready", "Not Ready"), None before its first report. identity_type: "None", "SystemAssigned",
    "UserAssigned" or "SystemAssigned, UserAssigned"; identities: the ids of the user-assigned ones.
    vm_id: tells it from another machine that had its id before. lost: what runs took away and did not put back, the oldest first; that is
    not Azure's knowledge, but the journal's.
    """

    id: str
    name: str
    location: str
    os_type: str | None
    power: str
    agent: str | None
    agent_message: str | None
    identity_type: str
    identities: tuple[str, ...]
    extensions: tuple[Extension, ...]
    vm_id: str = ""
    lost: tuple[Lost, ...] = ()

    @property
    def ready(self) -> bool:
        return self.power == "running" and (self.agent or "").lower() == "ready"

    @property
    def comes_up(self) -> bool:
        return self.power in COMING_UP

    @property
    def has_identity(self) -> bool:
        return self.identity_type.lower() != "none"

    def identified_by(self, identity: str) -> bool:
        return any(ids.same(identity, own) for own in self.identities)

    def find(self, publisher: str, type: str) -> Extension | None:
        return next((extension for extension in self.extensions if extension.kind_of(publisher, type)), None)

    def find_lost(self, publisher: str, type: str) -> Lost | None:
        """The extension as the last run had found it that took it away; None when it is there."""
        if self.find(publisher, type):
            return None
        return next((lost for lost in reversed(self.lost) if lost.extension.kind_of(publisher, type)), None)

    def named(self, name: str) -> Extension | None:
        return next((extension for extension in self.extensions if extension.name.lower() == name.lower()), None)

    def condition(self) -> str:
        """The machine's state in words, for messages."""
        agent = f"the VM agent reports '{self.agent}'" if self.agent else "the VM agent has not reported"
        return f"power state {self.power}, {agent}" + (f" ({self.agent_message})" if self.agent_message else "")


def parse(wire: Wire) -> Machine:
    """The Machine in the answer of GET virtualMachines with $expand=instanceView (recorded traffic)."""
    properties = wire.get("properties") or {}
    view = properties.get("instanceView") or {}
    agent = view.get("vmAgent") or {}
    report = _first(agent.get("statuses"))
    entries = {str(entry.get("name", "")).lower(): entry for entry in view.get("extensions") or []}
    handlers = {str(entry.get("type", "")).lower(): entry for entry in agent.get("extensionHandlers") or []}
    identity = wire.get("identity") or {}
    return Machine(
        id=wire["id"],
        name=wire.get("name") or ids.parse(wire["id"]).name,
        location=str(wire.get("location", "")).replace(" ", "").lower(),
        os_type=str(((properties.get("storageProfile") or {}).get("osDisk") or {}).get("osType") or "").lower() or None,
        power=_power(view),
        agent=report.get("displayStatus"),
        agent_message=None if str(report.get("displayStatus", "")).lower() == "ready" else report.get("message"),
        identity_type=str(identity.get("type") or "None"),
        identities=tuple(identity.get("userAssignedIdentities") or ()),
        extensions=tuple(
            _extension(resource, entries, handlers)
            for resource in wire.get("resources") or []
            if (resource.get("properties") or {}).get("publisher")
        ),
        vm_id=str(properties.get("vmId") or ""),
    )


def of_resource(resource: Wire) -> Extension:
    """An extension by its resource alone, which does not tell how it does."""
    return _extension(resource, {}, {})


def _first(statuses: Sequence[Wire] | None) -> Wire:
    return statuses[0] if statuses else {}


def _power(view: Wire) -> str:
    codes = (str(status.get("code", "")) for status in view.get("statuses") or [])
    return next((code.partition("/")[2].lower() for code in codes if code.lower().startswith("powerstate/")), "unknown")


def _extension(resource: Wire, entries: Mapping[str, Wire], handlers: Mapping[str, Wire]) -> Extension:
    properties = resource["properties"]
    name = resource.get("name") or resource["id"].rsplit("/", 1)[-1]
    entry = entries.get(name.lower(), {})
    handler = handlers.get(f"{properties['publisher']}.{properties.get('type')}".lower(), {})
    state = str(properties.get("provisioningState") or "Succeeded")
    report, handled = _first(entry.get("statuses")), handler.get("status") or {}
    trouble = None if state.lower() in BUSY else _trouble(state, report, handled)
    return Extension(
        id=resource["id"],
        name=name,
        publisher=properties["publisher"],
        type=str(properties.get("type") or ""),
        version=properties.get("typeHandlerVersion"),
        installed=handler.get("typeHandlerVersion") or entry.get("typeHandlerVersion"),
        provisioning_state=state,
        status=handled.get("displayStatus") or report.get("displayStatus"),
        trouble=trouble,
        failed=bool(trouble) and (_error(report) or state.lower() in ("failed", "canceled")),
        resource=resource,
    )


def _trouble(state: str, report: Wire, handled: Wire) -> str | None:
    """Why the extension is not healthy: its own status first, it says most; then its handler's; then the resource's."""
    if _error(report):
        return _told(report)
    if handled and str(handled.get("displayStatus", "")).lower() != "ready":
        return _told(handled)
    if state.lower() != "succeeded":
        return f"its provisioning state is {state}"
    return None if report or handled else "the VM agent does not report it"


def _error(report: Wire) -> bool:
    return str(report.get("level", "")).lower() == "error" or "/failed" in str(report.get("code", "")).lower()


def _told(status: Wire) -> str:
    words = status.get("displayStatus") or status.get("code")
    return f"{words}: {status['message']}" if status.get("message") else f"{words}"


class Machines:
    """Reads machines, and remembers the last reading of each.

    A reading is good for one look by each who looks: a step that looks at a machine right behind another one need not ask Azure again.
    """

    def __init__(self, azure: Any) -> None:
        self._azure = azure
        self._looked: dict[str, set[str]] = {}
        self.known: dict[str, Machine] = {}

    async def read(self, machine_id: str) -> Machine:
        """Ask Azure. Raises AzureError, also for a machine that is not there."""
        parsed = ids.parse(machine_id)
        get = self._azure.compute(parsed.subscription).virtual_machines.get(parsed.resource_group, parsed.name, expand="instanceView")
        return self.keep(machine_id, parse(await self._azure.read("read the virtual machine", machine_id, get)))

    def keep(self, machine_id: str, machine: Machine) -> Machine:
        """Remember a new reading."""
        self.known[ids.key(machine_id)] = machine
        self._looked[ids.key(machine_id)] = set()
        return machine

    async def look(self, machine_id: str, who: str) -> Machine:
        """The last reading, when `who` has not looked at it yet; else ask Azure."""
        machine = ids.key(machine_id)
        if who in self._looked.get(machine, {who}):
            await self.read(machine_id)
        self._looked[machine].add(who)
        return self.known[machine]


class ReadyForExtensions(Step[Machine]):
    """Waits until extensions can be judged and written: machine up, VM agent ready, nobody else at work on the chosen extensions.

    chosen: the extensions of a machine that are not to be busy, None when the machine need not be ready at all.
    patience: seconds that the VM agent has to become ready.
    """

    def __init__(self, azure: Any, machines: Machines, chosen: Callable[[Machine], Iterable[Extension] | None], patience: float) -> None:
        self._azure, self._machines, self._chosen, self._patience = azure, machines, chosen, patience

    async def observe(self, target: Target) -> Machine:
        return await self._machines.read(target.id)

    def plan(self, target: Target, observed: Machine) -> list[Action]:
        chosen = self._chosen(observed)
        if chosen is None:
            return []
        if not observed.comes_up:
            raise AzureDRError(
                f"The virtual machine is not running (power state {observed.power}), so its extensions can be neither "
                "judged nor changed. Start it and run this again, or leave it out."
            )
        waits = [] if observed.ready else [Action("wait for the VM agent")]
        return waits + [
            Action(f"wait for extension {extension.name} ({extension.provisioning_state})", data=extension.name)
            for extension in chosen
            if extension.busy
        ]

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        limit = seconds if action.data else min(seconds, self._patience)
        end, interval = clock() + limit, FIRST_LOOK
        while True:
            machine = await self._machines.read(target.id)
            if not self._waits(target, machine, action):
                return
            if clock() >= end:
                raise TimedOut(action.text, target.id, minutes=round(limit / 60, 1), last=machine.condition())
            await self._azure.pause(min(interval, max(end - clock(), 0.1)))
            interval = min(interval * 1.5, LONGEST_LOOK)

    def _waits(self, target: Target, machine: Machine, action: Action) -> bool:
        return any(missing.data == action.data for missing in self.plan(target, machine))

    def view(self, observed: Machine) -> View:
        return {"power_state": observed.power, "vm_agent": observed.agent}

    def wanted(self, target: Target, observed: Machine) -> View:
        return self.view(observed)


class Identified(Step[Machine]):
    """Sees to the managed identities with which agents sign in: the user-assigned ones that are named, or any.

    named: tells the ids of those that a machine needs. assign: assign what is missing; a system-assigned identity where none is named.
    Without it a machine that lacks a named one is refused.
    """

    def __init__(self, azure: Any, machines: Machines, named: Callable[[Machine], Sequence[str]], assign: bool) -> None:
        self._azure, self._machines, self._named, self._assign = azure, machines, named, assign

    async def observe(self, target: Target) -> Machine:
        return await self._machines.look(target.id, "identity")

    def plan(self, target: Target, observed: Machine) -> list[Action]:
        named = self._named(observed)
        missing = [identity for identity in named if not observed.identified_by(identity)]
        if not missing and (named or observed.has_identity):
            return []
        if self._assign:
            what = ", ".join(ids.parse(identity).name for identity in missing) or "the system-assigned one"
            needs = tuple((f"{ids.parse(identity).type}/assign/action", identity) for identity in missing)
            return [Action(f"assign identity {what}", (("PATCH", observed.id),), _identity_block(observed, missing), needs)]
        if missing:
            raise AzureDRError(
                f"The user-assigned identity {', '.join(missing)} is not assigned to {observed.name}, so the agent could not "
                "sign in with it. Have it assigned with assign_identity, or name one that the machine has."
            )
        return []

    async def apply(self, target: Target, action: Action, seconds: float) -> None:
        parsed = ids.parse(target.id)
        operations, body = self._azure.compute(parsed.subscription).virtual_machines, {"identity": action.data}
        await write(
            self._azure,
            action.text,
            target.id,
            lambda polling: operations.begin_update(parsed.resource_group, parsed.name, body, polling=polling),
            seconds,
        )

    def view(self, observed: Machine) -> View:
        return {"identity": {"type": observed.identity_type, "user_assigned": sorted(observed.identities)}}

    def wanted(self, target: Target, observed: Machine) -> View:
        missing = [action.data for action in self.plan(target, observed)]
        if not missing:
            return self.view(observed)
        return {
            "identity": {
                "type": missing[0]["type"],
                "user_assigned": sorted([*observed.identities, *missing[0].get("userAssignedIdentities", ())]),
            }
        }


def _identity_block(machine: Machine, missing: Sequence[str]) -> dict[str, Any]:
    """The identity block of a PATCH, which adds to the identities that are there."""
    if not missing:
        return {"type": "SystemAssigned"}
    system = "systemassigned" in machine.identity_type.lower()
    return {"type": "SystemAssigned, UserAssigned" if system else "UserAssigned", "userAssignedIdentities": {one: {} for one in missing}}


async def write(
    azure: Any,
    asked: str,
    machine_id: str,
    begin: Callable[..., Awaitable[Any]],
    seconds: float,
    overtaken: Callable[[], Awaitable[bool | None]] | None = None,
) -> None:
    """Carry out one write of a machine or its extensions, tried again while another writer is in the way.

    begin: as for arm.session.Azure.run. overtaken: tells whether that other writer has done what this write is for; None while it is at
    it. Raises AzureError, TimedOut.
    """
    clock = asyncio.get_running_loop().time
    end, interval, send = clock() + seconds, FIRST_TRY, True
    trouble: AzureError | None = None
    while True:
        try:
            if send:
                await azure.run(asked, machine_id, begin, max(end - clock(), 1))
                return
        except AzureError as error:
            if (error.code or "").lower() not in IN_THE_WAY:
                raise
            trouble = error
        if trouble and clock() + interval >= end:
            raise trouble
        over = await overtaken() if overtaken else False
        if over:
            return
        send = over is not None
        await azure.pause(interval)
        interval = min(interval * 2, LONGEST_TRY)


def tagged(tags: Mapping[str, str] | None, wanted: Sequence[str]) -> bool:
    """Whether a resource's tags have every wanted one: "name" (with any value that is not empty) or "name:value".

    The meaning of the option `tags` in the *_info modules of azure.azcollection. Names are compared whatever their case, as Azure does.
    """
    present = {name.lower(): value for name, value in (tags or {}).items()}
    pairs = (tag.partition(":")[::2] for tag in wanted)
    return all(present.get(name.lower()) == value if value else present.get(name.lower()) for name, value in pairs)


async def of_group(azure: Any, resource_group: str, tags: Sequence[str], members: bool = True) -> list[Target]:
    """The machines of a resource group that have the tags; without `members` not those of Flexible scale sets. Raises AzureError."""
    scope = f"/subscriptions/{azure.subscription_id}/resourceGroups/{resource_group}"
    listed = await azure.collect("list the virtual machines", scope, azure.compute().virtual_machines.list(resource_group))
    return [
        Target(wire["id"], wire["name"])
        for wire in listed
        if tagged(wire.get("tags"), tags) and (members or not (wire.get("properties") or {}).get("virtualMachineScaleSet"))
    ]


def of_ids(machine_ids: Iterable[str]) -> list[Target]:
    """The machines with these ids, each once. Raises InputError."""
    found = {ids.key(machine_id): ids.require("machine_ids", machine_id, TYPE) for machine_id in machine_ids}
    return [Target(parsed.id, parsed.name) for parsed in found.values()]
