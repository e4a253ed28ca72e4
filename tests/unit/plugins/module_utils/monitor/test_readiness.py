# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The checks of the data collection rules and the endpoint that a machine gets where it comes up."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import readiness
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor.associations import ENDPOINT, RULE, Association, Source

GROUP = "/subscriptions/s/resourceGroups/g/providers"
OWN, OTHER, WINDOWS, LOST, SECRET, LATE = (f"{GROUP}/{RULE}/{name}" for name in ("own", "other", "windows", "lost", "secret", "late"))
NEAR, FAR, CLOSED, ABSENT = (f"{GROUP}/{ENDPOINT}/{name}" for name in ("near", "far", "closed", "absent"))
FORBIDDEN = AzureError("look", None, status=403, code="AuthorizationFailed", message="Not yours", accepted=False)
GONE = AzureError("look", None, status=404, code="ResourceNotFound", message="Not there", accepted=False)
FOUND: dict[str, Any] = {
    ids.key(name): wire
    for name, wire in {
        OWN: {"location": "westeurope", "kind": "Linux"},
        OTHER: {"location": "West Europe"},
        WINDOWS: {"location": "westeurope", "kind": "Windows"},
        LATE: {"location": "northeurope", "kind": "Linux"},
        LOST: GONE,
        SECRET: FORBIDDEN,
        NEAR: {"location": "West Europe"},
        FAR: {"location": "northeurope"},
        CLOSED: FORBIDDEN,
        ABSENT: GONE,
    }.items()
}
MOVE = readiness.Move("linux", "northeurope", "westeurope")


def source(*linked: str) -> Source:
    """A machine with associations with those rules and endpoints."""
    return Source(
        "northeurope",
        tuple(Association(f"{name}/a", "a", name if RULE in name else None, name if ENDPOINT in name else None, None) for name in linked),
    )


@pytest.mark.parametrize(
    ("had", "asked", "restored", "status", "why"),
    [
        ([OWN], [], True, "pass", "own in westeurope"),
        ([OWN], [], False, "fail", "own is lost"),
        ([OWN], [OTHER], False, "pass", "other in westeurope"),
        ([OWN], [WINDOWS], False, "fail", "own is lost"),  # not for its operating system
        ([], [WINDOWS], True, "pass", "none"),
        ([], [], False, "pass", "none"),
        ([LOST], [], True, "fail", "lost is not there"),
        ([SECRET], [], True, "unknown", "Not yours"),
        ([LATE], [], True, "warn", "northeurope, the region that fails"),
        ([LATE, LOST], [SECRET], True, "fail", "lost is not there"),
        ([OWN.upper()], [OWN], True, "pass", "westeurope"),
    ],
)
def test_rules(had: list[str], asked: list[str], restored: bool, status: str, why: str) -> None:
    check = readiness.rules(MOVE, source(*had), asked, FOUND, restored)
    assert check.status == status and why.lower() in check.reason.lower() and bool(check.remedy) == (status != "pass"), check


@pytest.mark.parametrize(
    ("had", "asked", "restored", "status", "why"),
    [
        ([FAR], [FAR, NEAR], True, "pass", "near in westeurope"),
        ([FAR], [FAR], True, "fail", "those given are in northeurope"),
        ([FAR], [], True, "fail", "none is given"),
        ([FAR], [], False, "fail", "none is given"),
        ([], [FAR], False, "fail", "those given are in northeurope"),  # all machines are to have one
        ([], [FAR], True, "pass", "none"),
        ([], [], False, "pass", "none"),
        ([FAR], [CLOSED, FAR], True, "unknown", "Not yours"),
        ([FAR], [ABSENT], True, "fail", "absent is not there"),
        ([FAR], [CLOSED, NEAR], True, "pass", "near"),
    ],
)
def test_the_endpoint(had: list[str], asked: list[str], restored: bool, status: str, why: str) -> None:
    check = readiness.endpoint(MOVE, source(*had), asked, FOUND, restored)
    assert check.status == status and why in check.reason and bool(check.remedy) == (status != "pass"), check


def test_a_region_that_is_not_told_is_no_pass() -> None:
    assert readiness.endpoint(readiness.Move("linux", None, None), source(FAR), [NEAR], FOUND, True).status != "pass"
