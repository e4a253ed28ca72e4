# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a check of readiness comes to: it passed, warns or failed, each with its reason and what to do; or there was no telling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"
WORST = (FAIL, UNKNOWN, WARN, PASS)  # of several parts of one check


@dataclass(frozen=True)
class Check:
    """One check of one thing. status: one of WORST; remedy: what to do, None where nothing is to be done."""

    name: str
    status: str
    reason: str
    remedy: str | None = None

    def view(self) -> dict[str, Any]:
        return {"name": self.name, "status": self.status, "reason": self.reason, "remedy": self.remedy}


def untold(name: str, error: AzureDRError, needed: str) -> Check:
    """What could not be looked at: never a pass. needed: what makes it possible to look."""
    return Check(name, UNKNOWN, f"It could not be looked at: {str(error).rstrip('.')}.", needed)


def worst(name: str, parts: Sequence[Check], otherwise: str) -> Check:
    """One check of its parts: the worst status, told by all parts that have it or another one that is no pass; `otherwise` for no part."""
    troubles = [part for status in WORST[:-1] for part in parts if part.status == status]
    told = list(dict.fromkeys(part.reason for part in troubles or parts))
    remedies = list(dict.fromkeys(part.remedy for part in troubles if part.remedy))
    status = troubles[0].status if troubles else PASS
    return Check(name, status, " ".join(told) or otherwise, " ".join(remedies) or None)


def tolerant(checks: Iterable[Check], tolerated: Sequence[str]) -> list[Check]:
    """The checks, in which those that are tolerated warn in the place of failing."""
    return [replace(check, status=WARN) if check.status == FAIL and check.name in tolerated else check for check in checks]


def verdict(checks: Iterable[Check]) -> str:
    """pass, warn or fail for a thing with these checks; what is not known warns."""
    found = {check.status for check in checks}
    return FAIL if FAIL in found else WARN if found - {PASS} else PASS
