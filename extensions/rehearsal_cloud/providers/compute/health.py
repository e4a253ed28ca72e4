# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Health of machines, as a probe or the Application Health extension tells it: what their estate says, well when it says nothing, and
what a control says from then on.

POST /rehearsal/health {"machines": glob or list of them, "state": "Unhealthy", "when": "changed"}. A glob with a slash is for the whole
id, one without for the name, in any letter case; the last control that fits a machine counts. `when` is "now", the default, or
"changed": only machines that an upgrade changes from here on, for as long as the change is not taken back.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

from ...controls import control
from ...paths import key, parse
from ...resource_types import Body
from . import instance_view

if TYPE_CHECKING:
    from ...cloud import Cloud

STATES = ("Healthy", "Unhealthy", "Unknown")
WHEN = ("now", "changed")
HEALTH_EXTENSIONS = ("microsoft.managedservices.applicationhealthlinux", "microsoft.managedservices.applicationhealthwindows")

_RULES = "/rehearsal/health"
_LEVELS = {"Healthy": "Info", "Unhealthy": "Error", "Unknown": "Warning"}


def state(cloud: Cloud, machine: Body) -> str:
    """ "Healthy", "Unhealthy" or "Unknown"."""
    changed = cloud.store.private(machine["id"]).get("changed", -1.0)
    for rule in reversed(cloud.store.private(_RULES).get("rules", [])):
        if (rule["when"] == "now" or changed >= rule["since"]) and _fits(rule["machines"], machine):
            return str(rule["state"])
    told = cloud.store.private(machine["id"]).get("view", {}).get("vmHealth") or {}
    code = str((told.get("status") or {}).get("code", "")).partition("/")[2].capitalize()
    return code if code in STATES else "Healthy"


def is_ill(cloud: Cloud, machine: Body) -> bool:
    """Whether an upgrade counts a machine as unhealthy: one that does not tell is (Microsoft Learn, Application Health extension)."""
    return instance_view.power(cloud, machine["id"]) == "running" and state(cloud, machine) != "Healthy"


def of_profile(profile: Body) -> set[str]:
    """What tells a scale set the health of its instances: "probe", "extension", both or nothing."""
    sources = {"probe"} if ((profile.get("networkProfile") or {}).get("healthProbe") or {}).get("id") else set()
    extensions = (profile.get("extensionProfile") or {}).get("extensions") or []
    return sources | ({"extension"} if any(instance_view.handler_type(one).lower() in HEALTH_EXTENSIONS for one in extensions) else set())


def view(cloud: Cloud, machine: Body, extensions: list[Body]) -> Body | None:
    """vmHealth of the instance view, None where nothing tells it. The codes are those that public code compares with."""
    owner = cloud.store.get(scale_set_of(machine))
    probed = owner is not None and "probe" in of_profile(owner["properties"].get("virtualMachineProfile") or {})
    if not probed and not any(instance_view.handler_type(one).lower() in HEALTH_EXTENSIONS for one in extensions):
        return None
    told = state(cloud, machine)
    display = f"The VM is reporting itself as {told.lower()}"
    return {"status": {"code": f"HealthState/{told.lower()}", "level": _LEVELS[told], "displayStatus": display}}


def machine_view(cloud: Cloud, machine: Body, extensions: list[Body]) -> Body:
    """The instance view of a machine or of an instance, with its health where something tells it."""
    told = view(cloud, machine, extensions)
    return instance_view.machine_view(cloud, machine, extensions) | ({"vmHealth": told} if told else {})


def scale_set_of(machine: Body) -> str:
    """The id of the scale set that a machine belongs to, "" for one that stands alone."""
    if machine["type"].lower() != instance_view.MACHINE.lower():
        return parse(machine["id"]).parent_id
    return str((machine["properties"].get("virtualMachineScaleSet") or {}).get("id") or "")


def _fits(globs: list[str], machine: Body) -> bool:
    return any(fnmatch.fnmatchcase(key(machine["id"]) if "/" in glob else machine["name"].lower(), glob.lower()) for glob in globs)


@control("health")
def _control(cloud: Cloud, body: dict[str, Any]) -> dict[str, Any]:
    machines, told, when = body.get("machines"), body.get("state"), body.get("when", "now")
    globs = [machines] if isinstance(machines, str) else machines
    if not isinstance(globs, list) or not globs or not all(isinstance(glob, str) and glob for glob in globs):
        raise ValueError(f"machines is {machines!r}, not a glob for names or ids, such as web_*, or a list of them")
    if told not in STATES:
        raise ValueError(f"state is {told!r}, none of {', '.join(STATES)}")
    if when not in WHEN:
        raise ValueError(f"when is {when!r}, neither now nor changed")
    rules = cloud.store.private(_RULES).setdefault("rules", [])
    rules.append({"machines": globs, "state": told, "when": when, "since": cloud.clock.now})
    return {"rules": len(rules)}
