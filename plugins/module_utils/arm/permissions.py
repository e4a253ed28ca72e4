# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the sign-in may do, known before anything is sent: the actions that requests need, and those that Azure says it has.

Azure lists the actions that the caller has in a scope (Azure API document, permissions), its roles taken together. What it does not tell,
or tells in no time, stands in nobody's way: then Azure itself decides on each request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError

TYPE = "Microsoft.Authorization/permissions"
API_VERSION = "2022-04-01"  # Azure API document, permissions
PATIENCE = 60.0  # seconds for one answer
PAGE = "docs/permissions.md"
VERBS = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}

Request = tuple[str, str]
Grants = Callable[[str], bool]


@dataclass(frozen=True, order=True)
class Need:
    """An action, as role definitions name it, on a scope: the id of a resource or of a resource group."""

    action: str
    scope: str

    def __str__(self) -> str:
        return f"{self.action} on {self.scope}"


class PermissionMissing(AzureDRError):
    """The sign-in lacks actions, and that was known before anything was sent."""

    code = "AuthorizationFailed"
    recommended_action = f"Assign the sign-in a role that has them ({PAGE}), then run this again."

    def __init__(self, missing: Sequence[Need]) -> None:
        self.missing = tuple(missing)
        super().__init__(f"Not begun, since the sign-in lacks {'; '.join(map(str, missing))}. {self.recommended_action}")


class Permissions:
    """What the sign-in may do. ``read`` lists a type: (asked, path, API version) -> items, as arm.session.Azure.list; each scope is asked
    once."""

    def __init__(self, read: Callable[[str, str, str], Awaitable[list[dict[str, Any]]]]) -> None:
        self._read = read
        self._asked: dict[str, asyncio.Future[Grants | None]] = {}
        self._silent: dict[str, asyncio.Lock] = {}
        self._given_up: set[str] = set()

    async def missing(self, needs: Iterable[Need]) -> list[Need]:
        """Those of the needs that the sign-in is known to lack, sorted."""
        wanted = sorted(set(needs))
        found = await asyncio.gather(*(self.granted(need) for need in wanted))
        return [need for need, granted in zip(wanted, found, strict=True) if granted is False]

    async def granted(self, need: Need) -> bool | None:
        """Whether the sign-in has the action there; None where Azure does not tell.

        The group is asked first, once for all that is in it. Only where it does not grant the action the resource is asked, since a role
        can be assigned there alone.
        """
        group, resource = _places(need.scope)
        grants = await self._grants(group) if group else None
        if group and resource and grants is None:
            grants = await self._grants_in_silence(ids.key(group), resource)
        elif resource and grants is not None and not grants(need.action):
            grants = await self._grants(resource)
        return None if grants is None else grants(need.action)

    async def _grants_in_silence(self, group: str, resource: str) -> Grants | None:
        """What a resource of a group that does not tell grants. They are asked one by one, and no more once one does not tell either."""
        async with self._silent.setdefault(group, asyncio.Lock()):
            if group in self._given_up and ids.key(resource) not in self._asked:
                return None
            grants = await self._grants(resource)
            if grants is None:
                self._given_up.add(group)
            return grants

    async def _grants(self, scope: str) -> Grants | None:
        key = ids.key(scope)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(scope))
        return await self._asked[key]

    async def _ask(self, scope: str) -> Grants | None:
        try:
            async with asyncio.timeout(PATIENCE):
                blocks = await self._read("list the permissions of the sign-in", f"{scope}/providers/{TYPE}", API_VERSION)
        except (AzureError, TimeoutError):
            return None
        each = [(_pattern(block.get("actions")), _pattern(block.get("notActions"))) for block in blocks]
        return lambda action: any(given.fullmatch(action) and not taken.fullmatch(action) for given, taken in each)


def needs_of(requests: Iterable[Request]) -> list[Need]:
    """The actions that requests (method, path) need, with those for following the operations that they begin."""
    return [need for method, path in requests for need in _needs(method, path)]


def _needs(method: str, path: str) -> list[Need]:
    scope, word = path, VERBS.get(method, "")
    if method == "POST":
        scope, _slash, action = path.rpartition("/")
        word = f"{action}/action"
    try:
        parsed = ids.parse(scope)
    except ValueError:
        return []
    found = [Need(f"{parsed.type}/{word}", scope)]
    follow = FOLLOWING.get(parsed.namespace.lower()) if word != "read" else None
    return found + ([follow(parsed)] if follow else [])


def _group(resource: ids.ResourceId) -> str:
    return f"/subscriptions/{resource.subscription}/resourceGroups/{resource.resource_group}"


# Where a long-running operation is followed. Of Compute's, ARM wants the permission in the resource group (Microsoft Learn, track
# asynchronous Azure operations); Site Recovery's are in the vault (recorded traffic).
FOLLOWING: Mapping[str, Callable[[ids.ResourceId], Need]] = {
    "microsoft.compute": lambda resource: Need("Microsoft.Compute/locations/operations/read", _group(resource)),
    "microsoft.recoveryservices": lambda resource: Need(
        "Microsoft.RecoveryServices/vaults/replicationOperationStatus/read",
        f"{_group(resource)}/providers/Microsoft.RecoveryServices/vaults/{resource.names[0]}",
    ),
}


def _places(scope: str) -> tuple[str | None, str | None]:
    """The resource group of a scope, and the resource in it that roles can be assigned on; None for what it does not have."""
    found = re.match(r"(/subscriptions/[^/]+/resourcegroups/[^/]+)(/providers/[^/]+/[^/]+/[^/]+)?", scope, re.IGNORECASE)
    if not found:
        return None, None
    return found[1], (found[1] + found[2] if found[2] else None)


def _pattern(actions: Iterable[str] | None) -> re.Pattern[str]:
    """What a list of actions matches; * stands for anything, slashes too (Microsoft Learn, role definitions)."""
    each = (re.escape(action).replace(r"\*", ".*") for action in actions or ())
    return re.compile("|".join(each) or r"(?!)", re.IGNORECASE)
