# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What runs inside a virtual machine: power, the VM agent, extensions; and the instance view that shows it (recorded traffic).

A VM keeps this in its private part:
  view            the instance view that its estate gave; what the cloud itself knows is newer and shown instead
  power           "running", "stopped" or "deallocated"
  agent_ready_at  when the VM agent reports for the first time since the last start; absent when only the estate knows
An extension keeps there: view (given by the estate), version (what the cloud installed), ended (time of its last installation),
message (why it failed).
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...clock import compute_time
from ...paths import key, parse
from ...resource_types import Body
from . import published

if TYPE_CHECKING:
    from ...cloud import Cloud

MACHINE = "Microsoft.Compute/virtualMachines"
EXTENSION = "Microsoft.Compute/virtualMachines/extensions"
POWER = {"running": "VM running", "stopped": "VM stopped", "deallocated": "VM deallocated"}
READY = "ProvisioningState/succeeded"
NEVER = 1e10  # seconds, some centuries
NEWEST = {"microsoft.ostcextensions.vmaccessforlinux": "1.5.11"}
"""The newest build of a handler, where one is known (recorded traffic): what autoUpgradeMinorVersion installs."""


def agent_start(identifier: str) -> float:
    """Seconds from a start to the VM agent's first report: 90 to 240, by the machine's id. Chosen: Microsoft publishes no figure."""
    return 90 + zlib.crc32(key(identifier).encode()) % 151


def power(cloud: Cloud, machine: str) -> str:
    """ "running", "stopped" or "deallocated"."""
    private = cloud.store.private(machine)
    if "power" not in private:
        codes = [status.get("code", "") for status in private.get("view", {}).get("statuses", [])]
        private["power"] = next((code.partition("/")[2] for code in codes if code.startswith("PowerState/")), "running")
    return str(private["power"])


def set_power(cloud: Cloud, machine: str, state: str) -> None:
    """Change the power state; a machine that starts has its agent ready only `agent_start` seconds later."""
    private = cloud.store.private(machine)
    private["power"] = state
    if state == "running":
        private["agent_ready_at"] = cloud.clock.now + agent_start(machine)
    cloud.changed(machine)


def silence(cloud: Cloud, machine: str) -> None:
    """The VM agent does not report any more, until the machine is started anew."""
    cloud.store.private(machine)["agent_ready_at"] = cloud.clock.now + NEVER
    cloud.changed(machine)


def agent_ready(cloud: Cloud, machine: str) -> bool:
    """Whether the VM agent reports: known to the cloud, or else as the estate says, or else yes."""
    private = cloud.store.private(machine)
    if power(cloud, machine) != "running":
        return False
    if "agent_ready_at" in private:
        return bool(private["agent_ready_at"] <= cloud.clock.now)
    statuses = (private.get("view", {}).get("vmAgent") or {}).get("statuses") or [{"code": READY}]
    return str(statuses[0].get("code", "")).lower() == READY.lower()


def handler_type(extension: Body) -> str:
    """ "Publisher.Type" of an extension resource."""
    properties = extension.get("properties", {})
    return f"{properties.get('publisher', '')}.{properties.get('type', '')}"


def forget(cloud: Cloud, machine: str, extension: Body) -> None:
    """Drop what the estate said about an extension's status, now that the cloud itself changes it."""
    cloud.store.private(extension["id"]).pop("view", None)
    view = cloud.store.private(machine).get("view", {})
    name, kind = extension["name"].lower(), handler_type(extension).lower()
    if "extensions" in view:
        view["extensions"] = [entry for entry in view["extensions"] if str(entry.get("name", "")).lower() != name]
    agent = view.get("vmAgent") or {}
    if "extensionHandlers" in agent:
        agent["extensionHandlers"] = [entry for entry in agent["extensionHandlers"] if str(entry.get("type", "")).lower() != kind]


def extension_view(cloud: Cloud, extension: Body) -> Body:
    """An extension's entry in the instance view: only its name while it is being installed (recorded traffic)."""
    private = cloud.store.private(extension["id"])
    if "view" in private:
        return copy.deepcopy(private["view"])
    state = extension["properties"].get("provisioningState", "Succeeded")
    entry: Body = {"name": extension["name"]}
    if state == "Creating":
        return entry
    failed = state == "Failed"
    status = _status("ProvisioningState/failed/1", "Provisioning failed", "Error") if failed else _status(READY, "Provisioning succeeded")
    status["message"] = private.get("message", "") if failed else "Enable succeeded."
    if "ended" in private:
        status["time"] = compute_time(private["ended"])
    return {**entry, "type": handler_type(extension), "typeHandlerVersion": installed(cloud, extension), "statuses": [status]}


def machine_view(cloud: Cloud, machine: Body, extensions: Sequence[Body]) -> Body:
    """The instance view of a VM, its extensions given."""
    private, properties = cloud.store.private(machine["id"]), machine.get("properties", {})
    seeded: Body = copy.deepcopy(private.get("view", {}))
    state = power(cloud, machine["id"])
    view: Body = {}
    if state != "deallocated":
        own = (properties.get("osProfile") or {}).get("computerName") or machine["name"]
        view = {
            "computerName": own,
            **{name: seeded[name] for name in ("computerName", "osName", "osVersion") if name in seeded},
            "vmAgent": _agent(cloud, machine["id"], seeded.get("vmAgent") or {}, extensions),
        }
    view["disks"] = seeded.get("disks") or [
        {"name": disk["name"], "statuses": [_status(READY, "Provisioning succeeded")]} for disk in _disks(properties)
    ]
    entries = seeded.get("extensions", [])
    known = {str(entry.get("name", "")).lower() for entry in entries}
    entries += [extension_view(cloud, extension) for extension in extensions if extension["name"].lower() not in known]
    if entries:
        view["extensions"] = entries
    code = "ProvisioningState/" + str(properties.get("provisioningState", "Succeeded")).lower()
    display = {"succeeded": "Provisioning succeeded", "failed": "Provisioning failed"}.get(code[18:], code[18:].capitalize())
    provisioning = next(
        (status for status in seeded.get("statuses", []) if str(status.get("code", "")).lower() == code.lower()), _status(code, display)
    )
    statuses = [provisioning, _status(f"PowerState/{state}", POWER.get(state, state))]
    return {**view, "hyperVGeneration": seeded.get("hyperVGeneration", "V1"), "statuses": statuses}


def _agent(cloud: Cloud, machine: str, seeded: Body, extensions: Sequence[Body]) -> Body:
    own = "agent_ready_at" in cloud.store.private(machine) or not seeded.get("statuses")
    if not agent_ready(cloud, machine):
        statuses = [
            _status(
                "ProvisioningState/Unavailable",
                "Not Ready",
                "Warning",
                "VM status blob is found but not yet populated.",
                _seconds(cloud.clock.now),
            )
        ]
        return {"vmAgentVersion": "Unknown", "statuses": statuses} if own else seeded
    handlers = list(seeded.get("extensionHandlers", []))
    known = {str(entry.get("type", "")).lower() for entry in handlers}
    handlers += [
        _handler(cloud, extension)
        for extension in extensions
        if handler_type(extension).lower() not in known and extension["properties"].get("provisioningState") != "Creating"
    ]
    statuses = [_status(READY, "Ready", message="Guest Agent is running", time=_seconds(cloud.clock.now))] if own else seeded["statuses"]
    version = seeded.get("vmAgentVersion", "Unknown")
    return {"vmAgentVersion": version if version != "Unknown" else "2.11.1.4", "statuses": statuses, "extensionHandlers": handlers}


def _handler(cloud: Cloud, extension: Body) -> Body:
    failed = extension["properties"].get("provisioningState") == "Failed"
    status = (
        _status("ProvisioningState/failed/1", "Not Ready", "Error", "Plugin failed")
        if failed
        else _status(READY, "Ready", message="Plugin enabled")
    )
    return {"type": handler_type(extension), "typeHandlerVersion": installed(cloud, extension), "status": status}


def installed(cloud: Cloud, extension: Body) -> str:
    """The version of an extension that a machine runs: what the cloud installed, else what the estate says, else the one asked for."""
    private = cloud.store.private(extension["id"])
    told = [private.get("view") or {}, *cloud.store.private(parse(extension["id"]).parent_id).get("view", {}).get("extensions", [])]
    seeded = (one.get("typeHandlerVersion") for one in told if str(one.get("name", "")).lower() == extension["name"].lower())
    return str(private.get("version") or next(filter(None, seeded), None) or _asked(extension))


def version_to_install(cloud: Cloud, machine: Body, extension: Body) -> str:
    """What an installation brings: with autoUpgradeMinorVersion the newest published of the major version, and never an older one."""
    found = [_asked(extension)]
    if "version" in cloud.store.private(extension["id"]):
        found.append(installed(cloud, extension))
    if extension["properties"].get("autoUpgradeMinorVersion"):
        found.append(published.newest_extension(cloud, machine, extension["properties"]) or "")
    major = published.number(_asked(extension))[:1]
    return max((one for one in found if published.number(one)[:1] == major), key=published.number)


def _asked(extension: Body) -> str:
    """The newest build known of the major version that was asked for, else the asked version filled up."""
    asked = str(extension["properties"].get("typeHandlerVersion", "1.0"))
    newest = NEWEST.get(handler_type(extension).lower(), "")
    newer = extension["properties"].get("autoUpgradeMinorVersion") and newest.partition(".")[0] == asked.partition(".")[0]
    return newest if newer else ".".join([*asked.split("."), "0", "0", "0"][:4])


def _disks(properties: dict[str, Any]) -> list[dict[str, Any]]:
    storage = properties.get("storageProfile") or {}
    return [disk for disk in [storage.get("osDisk") or {}, *(storage.get("dataDisks") or [])] if disk.get("name")]


def _status(code: str, display: str, level: str = "Info", message: str = "", time: str = "") -> Body:
    optional = {name: text for name, text in (("message", message), ("time", time)) if text}
    return {"code": code, "level": level, "displayStatus": display, **optional}


def _seconds(moment: float) -> str:
    """The VM agent's times have no fraction (recorded traffic)."""
    return compute_time(moment)[:19] + "+00:00"
