# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Permissions: what role definitions grant, and ARM's 403 for the rest."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import files
from .cloud import Request
from .paths import GROUP, SUBSCRIPTION, key, parse
from .refusals import refuse
from .sign_in import Principal

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
# ARM files the groups under the subscriptions when it names actions (Microsoft Learn, resource provider operations).
RENAMED = {GROUP.lower(): "Microsoft.Resources/subscriptions/resourceGroups"}
OPEN = {"/subscriptions", "/tenants"}  # lists that show what one may see, and so are open to all


@dataclass(frozen=True)
class Role:
    """What a role definition allows, and where: patterns of actions, and the ids at and below which it holds."""

    actions: re.Pattern[str]
    not_actions: re.Pattern[str]
    scopes: tuple[str, ...]

    def grants(self, action: str, scope: str) -> bool:
        holds = any(not top or scope == top or scope.startswith(top + "/") for top in self.scopes)
        return holds and bool(self.actions.fullmatch(action)) and not self.not_actions.fullmatch(action)


class Permissions:
    """The roles of each principal (client id, object id or user name); those not named have the default's, or none at all."""

    def __init__(self, principals: Mapping[str, list[Role]], default: list[Role]) -> None:
        self._principals = {name.lower(): roles for name, roles in principals.items()}
        self._default = default

    def require(self, request: Request, who: Principal) -> None:
        """Raises Refusal (403, AuthorizationFailed) when no role of the principal grants what is asked."""
        if key(request.path) in OPEN:
            return
        names = (name.lower() for name in (who.client_id, who.object_id, who.user) if name)
        roles = next((self._principals[name] for name in names if name in self._principals), self._default)
        action, scope = action_of(request), parse(request.path).resource_id
        if not any(role.grants(action, key(scope)) for role in roles):
            raise refuse(
                403,
                "AuthorizationFailed",
                f"The client '{who.user or who.client_id}' with object id '{who.object_id}' does not have authorization to "
                f"perform action '{action}' over scope '{scope}' or the scope is invalid. "
                "If access was recently granted, please refresh your credentials.",
            )


def action_of(request: Request) -> str:
    """The action that a request performs, as role definitions name it: Microsoft.Compute/virtualMachines/extensions/write."""
    path = parse(request.path)
    kind = path.type if path.word is None or request.method == "POST" else path.collection_type
    kind = RENAMED.get(kind.lower(), kind)
    if request.method == "POST":
        return f"{kind}/{path.word}/action"
    if path.type == SUBSCRIPTION and "/" not in kind:
        kind = f"{SUBSCRIPTION}/{kind}"
    return f"{kind}/{VERBS.get(request.method, 'read')}"


def load(file: Path) -> Permissions:
    """The permissions of a file: {"principals": {id: role or roles}, "default": role or roles}. Raises FileProblem, naming the entry."""
    content = files.read(file)
    if not isinstance(content, dict) or not content or set(content) - {"principals", "default"}:
        raise files.FileProblem(f"{file}: the permissions are an object with principals, default or both")
    principals = content.get("principals") or {}
    if not isinstance(principals, dict):
        raise files.FileProblem(f"{file}: principals is not an object: client id, object id or user name to role definitions")
    return Permissions(
        {str(name): _roles(file, f"principal {name}", roles) for name, roles in principals.items()},
        _roles(file, "default", content.get("default") or []),
    )


def _roles(file: Path, whose: str, given: Any) -> list[Role]:
    roles = given if isinstance(given, list) else [given]
    try:
        return [_role(role) for role in roles]
    except ValueError as problem:
        raise files.FileProblem(f"{file}: {whose}: {problem}") from problem


def _role(definition: Any) -> Role:
    """A role definition, in any of the forms that Azure writes: of the REST API, of `az role definition list`, of a custom role's file."""
    if not isinstance(definition, dict):
        raise ValueError(f"{definition!r} is not a role definition")
    parts = {str(name).lower(): value for name, value in {**definition, **(definition.get("properties") or {})}.items()}
    blocks = parts.get("permissions") or [parts]
    actions: list[str] = []
    not_actions: list[str] = []
    for block in blocks:
        lowered = {str(name).lower(): value for name, value in block.items()}
        actions += lowered.get("actions") or []
        not_actions += lowered.get("notactions") or []
    if not all(isinstance(name, str) for name in actions + not_actions) or not actions:
        raise ValueError("a role definition has actions, a list such as [Microsoft.Compute/*/read]; and notActions and assignableScopes")
    return Role(_pattern(actions), _pattern(not_actions), tuple(key(scope) for scope in parts.get("assignablescopes") or ["/"]))


def _pattern(actions: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(action) for action in actions) or r"(?!)", re.IGNORECASE)
