# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Heartbeats: which machines' agents send them, since when, to which workspaces, and when they can be read there.

An agent sends while its machine runs and the VM agent reports, its extension is healthy, the machine has the managed identity that the
agent signs in with, and a data collection rule that the machine is associated with names the workspace as a destination. A workspace keeps
in its private part, under `heartbeats`, what came from each machine: {machine: {"of": the columns that stay the same, "spans": [[the time
of the first heartbeat, the end or None], ...]}}. The heartbeats themselves are made when they are asked for.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...paths import key, parse
from ...resource_types import Body
from ...timeline import effect
from ..compute import instance_view
from ..compute.extensions import system
from ..compute.instance_view import EXTENSION, MACHINE

if TYPE_CHECKING:
    from ...cloud import Cloud

WORKSPACE = "Microsoft.OperationalInsights/workspaces"
ASSOCIATION = "Microsoft.Insights/dataCollectionRuleAssociations"
AGENTS = {"linux": "microsoft.azure.monitor.azuremonitorlinuxagent", "windows": "microsoft.azure.monitor.azuremonitorwindowsagent"}
INTERVAL = 60.0
"""Agents send one heartbeat a minute (Microsoft Learn, queries for the Heartbeat table)."""
FIRST = (60, 300)
"""Seconds from the moment that nothing is missing to the first heartbeat, by the machine's id. Data may take up to 5 minutes after a rule
was set up (Microsoft Learn, collect data with the Azure Monitor Agent); the lower end is chosen."""
INGESTION = (20, 180)
"""Seconds until a heartbeat can be read, by machine and time (Microsoft Learn, log data ingestion time: 20 seconds to 3 minutes)."""
BEFORE = 3600.0
"""For how long the estate's own agents have been sending when the cloud begins. Chosen."""

COLUMNS = {
    "TenantId": "string",
    "SourceSystem": "string",
    "TimeGenerated": "datetime",
    "MG": "string",
    "ManagementGroupName": "string",
    "SourceComputerId": "string",
    "ComputerIP": "string",
    "Computer": "string",
    "Category": "string",
    "OSType": "string",
    "OSName": "string",
    "OSMajorVersion": "string",
    "OSMinorVersion": "string",
    "Version": "string",
    "SCAgentChannel": "string",
    "IsGatewayInstalled": "bool",
    "RemoteIPLongitude": "real",
    "RemoteIPLatitude": "real",
    "RemoteIPCountry": "string",
    "SubscriptionId": "string",
    "ResourceGroup": "string",
    "ResourceProvider": "string",
    "Resource": "string",
    "ResourceId": "string",
    "ResourceType": "string",
    "ComputerEnvironment": "string",
    "Solutions": "string",
    "VMUUID": "string",
    "ComputerPrivateIPs": "string",
    "Type": "string",
    "_ResourceId": "string",
    "_SubscriptionId": "string",
}
"""The columns of the table Heartbeat (Microsoft Learn, table reference)."""


def begin(cloud: Cloud) -> None:
    """Put down that the agents of the estate are looked at as soon as all of it is there."""
    cloud.timeline.drop("heartbeats.begin")
    cloud.timeline.put(cloud.clock.now, "heartbeats.begin")


@effect("heartbeats.begin")
def _begin(cloud: Cloud) -> None:
    for body in cloud.store.of_type(MACHINE):
        _judge(cloud, body["id"], lambda now, machine: now - BEFORE)


def look_at_all(cloud: Cloud) -> None:
    """Judge every machine anew."""
    for body in cloud.store.of_type(MACHINE):
        _look(cloud, body["id"])


@effect("heartbeats.look")
def _look(cloud: Cloud, identifier: str) -> None:
    """Judge a machine anew after it, or what hangs on it, changed."""
    _judge(cloud, identifier, lambda now, machine: now + _spread(machine, FIRST))


def _judge(cloud: Cloud, identifier: str, first: Callable[[float, str], float]) -> None:
    """Begin and end the spans of a machine's heartbeats, as it stands now. first: (now, machine) -> when a new span begins."""
    workspaces = list(cloud.store.of_type(WORKSPACE))
    if not workspaces or parse(identifier).type.lower() != MACHINE.lower():
        return
    now, machine = cloud.clock.now, key(identifier)
    body = cloud.store.get(identifier)
    wanted = _destinations(cloud, body) if body is not None and _sends(cloud, body) else set()
    for workspace in workspaces:
        kept = cloud.store.private(workspace["id"]).setdefault("heartbeats", {})
        sent = kept.get(machine, {"spans": []})
        going = bool(sent["spans"]) and sent["spans"][-1][1] is None
        if going and key(workspace["id"]) not in wanted:
            sent["spans"][-1][1] = now
        elif body is not None and key(workspace["id"]) in wanted and not going:
            kept[machine] = {"of": _constant(cloud, body, workspace), "spans": [*sent["spans"], [first(now, machine), None]]}


def _sends(cloud: Cloud, body: Body) -> bool:
    """Whether the machine's agent can send at all; one whose VM agent is still to report is looked at again when it does."""
    ready_at = cloud.store.private(body["id"]).get("agent_ready_at", 0)
    if instance_view.power(cloud, body["id"]) == "running" and ready_at > cloud.clock.now:
        cloud.timeline.put(ready_at, "heartbeats.look", identifier=body["id"])
    if not instance_view.agent_ready(cloud, body["id"]):
        return False
    kind = AGENTS.get(system(body).lower())
    agents = [one for one in cloud.store.of_type(EXTENSION, body["id"]) if instance_view.handler_type(one).lower() == kind]
    return any(_healthy(cloud, body, agent) and _identified(body, agent) for agent in agents)


def _healthy(cloud: Cloud, body: Body, extension: Body) -> bool:
    """Whether the extension is installed, and no report of the instance view says that it does not run."""
    if extension["properties"].get("provisioningState") not in ("Succeeded", "Updating"):
        return False
    view = instance_view.machine_view(cloud, body, [extension])
    name, kind = extension["name"].lower(), instance_view.handler_type(extension).lower()
    entries = [entry.get("statuses") or [{}] for entry in view.get("extensions", []) if str(entry.get("name", "")).lower() == name]
    handlers = (view.get("vmAgent") or {}).get("extensionHandlers", [])
    reports = [statuses[0] for statuses in entries] + [
        handler.get("status") or {} for handler in handlers if str(handler.get("type", "")).lower() == kind
    ]
    return all(str(report.get("code", instance_view.READY)).lower() == instance_view.READY.lower() for report in reports)


def _identified(body: Body, extension: Body) -> bool:
    """Whether the machine has the identity that the agent's settings name, or any where they name none (Microsoft Learn, requirements)."""
    identity = body.get("identity") or {}
    settings = extension["properties"].get("settings") or {}
    asked = ((settings.get("authentication") or {}).get("managedIdentity") or {}).get("identifier-value")
    if not asked:
        return str(identity.get("type") or "None").lower() != "none"
    users = identity.get("userAssignedIdentities") or {}
    return any(key(asked) in (key(name), (user or {}).get("clientId"), (user or {}).get("principalId")) for name, user in users.items())


def _destinations(cloud: Cloud, body: Body) -> set[str]:
    """The keys of the workspaces that the machine's rules send to."""
    found = set()
    for association in cloud.store.of_type(ASSOCIATION, body["id"]):
        rule = cloud.store.get(association.get("properties", {}).get("dataCollectionRuleId") or "")
        destinations = ((rule or {}).get("properties", {}).get("destinations") or {}).get("logAnalytics") or []
        found |= {key(one.get("workspaceResourceId") or "") for one in destinations}
    return found


def _constant(cloud: Cloud, body: Body, workspace: Body) -> Body:
    """The columns that are the same in all heartbeats of a machine; ids in small letters where Azure has them so (public examples)."""
    view, parts = instance_view.machine_view(cloud, body, []), body["id"].strip("/").split("/")
    version = str(view.get("osVersion") or "")
    return {
        "TenantId": workspace["properties"]["customerId"],
        "SourceSystem": "Linux" if system(body) == "Linux" else "OpsManager",
        "SourceComputerId": body["properties"].get("vmId", ""),
        "Computer": view.get("computerName") or body["name"],
        "Category": "Azure Monitor Agent",
        "OSType": system(body),
        "OSName": view.get("osName", ""),
        "OSMajorVersion": version.partition(".")[0],
        "OSMinorVersion": version.partition(".")[2].partition(".")[0],
        "Version": "1.0.0.0",
        "IsGatewayInstalled": False,
        "SubscriptionId": parts[1],
        "ResourceGroup": parts[3],
        "ResourceProvider": "Microsoft.Compute",
        "Resource": body["name"],
        "ResourceId": body["id"],
        "ResourceType": "virtualMachines",
        "ComputerEnvironment": "Azure",
        "VMUUID": body["properties"].get("vmId", ""),
        "Type": "Heartbeat",
        "_ResourceId": key(body["id"]),
        "_SubscriptionId": parts[1].lower(),
    }


def _spread(text: str, between: tuple[int, int]) -> float:
    """A number of seconds between the two, the same for the same text."""
    return between[0] + zlib.crc32(text.encode()) % (between[1] - between[0] + 1)


def rows(cloud: Cloud, workspace: Body, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The rows of the workspace's table Heartbeat that can be read by now; those from before `since` may be left out."""
    now = cloud.clock.now
    oldest = now - workspace["properties"]["retentionInDays"] * 86400
    earliest = max(oldest, since.timestamp()) if since else oldest
    for machine, sent in cloud.store.private(workspace["id"]).get("heartbeats", {}).items():
        for first, end in sent["spans"]:
            moment = first + max(0, math.ceil((earliest - first) / INTERVAL)) * INTERVAL
            while moment < (now if end is None else end):
                if moment + _spread(f"{machine} {moment:.0f}", INGESTION) <= now:
                    generated = datetime.fromtimestamp(moment, UTC)
                    yield {**sent["of"], "TimeGenerated": generated}
                moment += INTERVAL


def about(identifier: str) -> Callable[[dict[str, Any]], bool]:
    """A test of rows: whether they are about a resource or what is below it."""
    top = key(identifier)
    return lambda row: (str(row["_ResourceId"]) + "/").startswith(top + "/")
