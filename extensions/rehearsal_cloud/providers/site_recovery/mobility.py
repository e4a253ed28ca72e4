# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Mobility service of replicated machines (A2A): what their items tell of it, its update and its reinstallation.

The fields are those of API version 2025-08-01. Inferred, for none was recorded: what an update of a blocked agent ends with, that a
success clears the counters, the name of the reinstallation's job. Job and states of an update: recorded traffic.
"""

from __future__ import annotations

from typing import Any

from ...cloud import Cloud, Request, Response
from ...resource_types import Body
from ...timeline import effect
from .a2a import AGENT_VERSION, is_a2a
from .base import ITEM, vault_of
from .operations import begin

SINCE = "2025-08-01"
SHOWN: Body = {
    "isAgentUpgradeable": True,
    "isAgentUpgradeInProgress": False,
    "autoAgentUpgradeRetryCount": 0,
    "isAgentUpgradeRetryThresholdExhausted": False,
    "isAgentReinstallRequired": False,
    "reasonsBlockingReInstall": None,
    "reasonsBlockingReinstallDetails": [],
    "agentReinstallAttemptToVersion": None,
    "osFamilyName": None,
    "distroName": None,
    "distroNameForWhichAgentIsInstalled": None,
}
"""What version 2025-08-01 adds to an item's details, and its value for a healthy agent."""


def show(request: Request, item: Body) -> Body:
    """An item as the api-version of the request tells of its agent."""
    if not is_a2a(item):
        return item
    details = item["properties"]["providerSpecificDetails"]
    if request.api_version >= SINCE:
        details = {**SHOWN, **details}
    else:
        details = {name: value for name, value in details.items() if name not in SHOWN}
    return {**item, "properties": {**item["properties"], "providerSpecificDetails": details}}


def start(cloud: Cloud, request: Request, item: Body, scenario: str) -> Response:
    """Begin "updateMobilityService" or "reinstallMobilityService"; one that cannot end well has its end already."""
    details = item["properties"]["providerSpecificDetails"]
    request.outcome = request.outcome or _obstacle(details, scenario)
    response = begin(
        cloud, request, item["id"], scenario, "site_recovery.mobility.updated", otherwise="site_recovery.mobility.failed", item=item["id"]
    )
    details["isAgentUpgradeInProgress"] = True
    if scenario == "reinstallMobilityService":
        details["agentReinstallAttemptToVersion"] = newest(cloud, item["id"])
    return response


def newest(cloud: Cloud, item: str) -> str:
    """The newest version of the agent: that of the most current machine of the vault."""
    others = (other["properties"].get("providerSpecificDetails") or {} for other in cloud.store.of_type(ITEM, vault_of(item)))
    versions = [AGENT_VERSION, *(str(details.get("agentVersion") or "") for details in others)]
    return max(versions, key=lambda text: [int(part) for part in text.split(".") if part.isdigit()])


def _obstacle(details: Body, scenario: str) -> dict[str, Any] | None:
    blocking = details.get("reasonsBlockingReinstallDetails") or []
    if scenario == "reinstallMobilityService":
        return _failure(blocking[0]) if blocking else None
    if details.get("isAgentReinstallRequired"):
        return {
            "status": "Failed",
            "code": "151217",
            "message": "The Mobility service cannot be updated, it has to be reinstalled.",
            "possibleCauses": "The operating system was upgraded after the Mobility service had been installed.",
            "recommendedAction": "Reinstall the Mobility service.",
        }
    if details.get("isAgentUpgradeable") is False:
        return {
            "status": "Failed",
            "code": "151213",
            "message": "The Mobility service of this version cannot be updated on the machine as it is.",
            "possibleCauses": "The newest Mobility service does not support the machine's operating system or kernel.",
            "recommendedAction": "Bring the machine to a supported operating system or kernel, then update the Mobility service.",
        }
    return None


def _failure(reason: Body) -> dict[str, Any]:
    """A reason of an item as the end of an operation."""
    return {
        "status": "Failed",
        "code": str(reason.get("errorCode")),
        "message": str(reason.get("errorMessage")),
        "possibleCauses": str(reason.get("possibleCauses") or ""),
        "recommendedAction": str(reason.get("recommendedAction") or ""),
    }


@effect("site_recovery.mobility.updated")
def _updated(cloud: Cloud, job: str, item: str) -> None:
    body = cloud.store.get(item)
    if body is None:
        return
    details = body["properties"]["providerSpecificDetails"]
    details.update(agentVersion=newest(cloud, item), isReplicationAgentUpdateRequired=False, agentExpiryDate="9999-12-31T23:59:59.9999999")
    details.update({name: SHOWN[name] for name in SHOWN if name in details and SHOWN[name] is not None})


@effect("site_recovery.mobility.failed")
def _failed(cloud: Cloud, job: str, item: str) -> None:
    body = cloud.store.get(item)
    if body is not None:
        body["properties"]["providerSpecificDetails"]["isAgentUpgradeInProgress"] = False
