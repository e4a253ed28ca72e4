# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Permissions: what role definitions grant, and ARM's 403 for the rest."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from . import files
from .cloud import Cloud, Request
from .paths import GROUP, SUBSCRIPTION, key, parse
from .refusals import refuse
from .sign_in import Principal

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
# ARM files the groups under the subscriptions when it names actions (Microsoft Learn, resource provider operations).
RENAMED = {GROUP.lower(): "Microsoft.Resources/subscriptions/resourceGroups"}
OPEN = {"/subscriptions", "/tenants"}  # lists that show what one may see, and so are open to all
# Who follows an operation of Compute needs the permission in the resource group, though the address does not name it (Microsoft Learn,
# track asynchronous Azure operations).
FOLLOWED = "microsoft.compute/locations/operations"
# What a write links to in its body, and what one must be allowed there (words of LinkedAuthorizationFailed in public issue threads).
LINKED = {
    "dataCollectionRuleId": "Microsoft.Insights/dataCollectionRules/read",
    "dataCollectionEndpointId": "Microsoft.Insights/dataCollectionEndpoints/read",
}
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"


@dataclass(frozen=True)
class Role:
    """What a role definition allows, and where: patterns of actions, and the ids at and below which it holds."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    scopes: tuple[str, ...]

    def holds(self, scope: str) -> bool:
        return any(not top or key(scope) == top or key(scope).startswith(top + "/") for top in self.scopes)

    def grants(self, action: str, scope: str) -> bool:
        given, taken = self._patterns
        return self.holds(scope) and bool(given.fullmatch(action)) and not taken.fullmatch(action)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        return _pattern(self.actions), _pattern(self.not_actions)


EVERYTHING = Role(("*",), (), ("",))


class Permissions:
    """The roles of each principal (client id, object id or user name); those not named have the default's, or none at all."""

    def __init__(self, principals: Mapping[str, list[Role]], default: list[Role]) -> None:
        self._principals = {name.lower(): roles for name, roles in principals.items()}
        self._default = default

    def roles(self, who: Principal) -> list[Role]:
        names = (name.lower() for name in (who.client_id, who.object_id, who.user) if name)
        return next((self._principals[name] for name in names if name in self._principals), self._default)

    def require(self, cloud: Cloud, request: Request, who: Principal) -> None:
        """Raises Refusal (403, AuthorizationFailed or LinkedAuthorizationFailed) when no role of the principal grants what is asked."""
        if key(request.path) in OPEN:
            return
        action, scope = action_of(request), parse(request.path).resource_id
        client = f"The client '{who.user or who.client_id}' with object id '{who.object_id}'"
        if not any(role.grants(action, place) for role in self.roles(who) for place in _places(cloud, request, scope)):
            raise refuse(
                403,
                "AuthorizationFailed",
                f"{client} does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. "
                "If access was recently granted, please refresh your credentials.",
            )
        for linked, there in _linked(request):
            if not any(role.grants(linked, there) for role in self.roles(who)):
                raise refuse(
                    403,
                    "LinkedAuthorizationFailed",
                    f"{client} has permission to perform action '{action}' on scope '{scope}'; however, it does not have permission to "
                    f"perform action(s) '{linked}' on the linked scope(s) '{there}' (respectively) or the linked scope(s) are invalid.",
                )


def _places(cloud: Cloud, request: Request, scope: str) -> list[str]:
    """The scopes in any of which the action may be granted."""
    path = parse(request.path)
    operation = cloud.operations.get(path.name) if path.type.lower() == FOLLOWED else None
    return [scope] + (["/".join(operation.resource_id.split("/")[:5])] if operation else [])


def _linked(request: Request) -> Iterator[tuple[str, str]]:
    """The actions that a request needs on the resources that its body links to."""
    body = request.body if isinstance(request.body, dict) else {}
    if parse(request.path).type.lower().endswith("/datacollectionruleassociations"):
        properties = body.get("properties") or {}
        yield from ((action, properties[name]) for name, action in LINKED.items() if properties.get(name))
    for identity in (body.get("identity") or {}).get("userAssignedIdentities") or ():
        yield ASSIGN, identity


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
    return Role(tuple(actions), tuple(not_actions), tuple(key(scope) for scope in parts.get("assignablescopes") or ["/"]))


def _pattern(actions: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(action) for action in actions) or r"(?!)", re.IGNORECASE)
