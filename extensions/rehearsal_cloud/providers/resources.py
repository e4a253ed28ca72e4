# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Azure Resource Manager's own types: tenants, subscriptions, resource groups, and the lists of all resources below them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import refusals
from ..paths import GROUP, SUBSCRIPTION, Path
from ..resource_types import Body, ResourceType

if TYPE_CHECKING:
    from ..cloud import Cloud, Request, Response

TENANT = "00000000-0000-0000-0000-000000000000"
"""The tenant of subscriptions whose estate names none."""

_SUBSCRIPTION_KEYS = (
    "id",
    "authorizationSource",
    "managedByTenants",
    "tags",
    "subscriptionId",
    "tenantId",
    "displayName",
    "state",
    "subscriptionPolicies",
)
_RESOURCE_KEYS = ("id", "name", "type", "kind", "managedBy", "location", "sku", "plan", "identity", "zones", "tags")
_TERM = re.compile(r"\s*(\w+)\s+(eq|ne)\s+'((?:[^']|'')*)'\s*", re.I)


class Tenants(ResourceType):
    """GET /tenants."""

    name = "tenants"

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        found = dict.fromkeys(body.get("tenantId", TENANT) for body in cloud.store.of_type(SUBSCRIPTION)) or {TENANT: None}
        return cloud.page(request, [{"id": f"/tenants/{tenant}", "tenantId": tenant} for tenant in found], self.page)


class Subscription(ResourceType):
    """Subscriptions: read only, they come with the estate."""

    name = SUBSCRIPTION

    def __init__(self) -> None:
        super().__init__()
        self.views = {"resources": list_resources}

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        return {key: value for key, value in {"tenantId": TENANT, **body}.items() if key in _SUBSCRIPTION_KEYS}

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        raise refusals.refuse(405, "MethodNotAllowed", f"The request method '{request.method}' is not supported.")

    patch = delete = put

    def missing(self, cloud: Cloud, path: Path) -> refusals.Refusal:
        return refusals.refuse(404, "SubscriptionNotFound", f"The subscription '{path.name}' could not be found.")


class ResourceGroup(ResourceType):
    """Resource groups. Deleting one deletes all that is in it, at once (Azure takes minutes; nothing here waits for that)."""

    name = GROUP

    def __init__(self) -> None:
        super().__init__()
        self.views = {"resources": list_resources}

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        if not self.content(request).get("location"):
            raise location_required()
        return super().put(cloud, request, path)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require(cloud, path)
        return super().delete(cloud, request, path)


def location_required() -> refusals.Refusal:
    """400 for a tracked resource without a location, as ARM's front end words it (public issue threads)."""
    return refusals.refuse(400, "LocationRequired", "The location property is required for this definition.")


def identify(cloud: Cloud, body: Body, before: Body | None = None) -> None:
    """Give the identities that a body asks for their principals, those that `before` had (Azure API documents, managed identity)."""
    identity = body.get("identity") or {}
    if "systemassigned" in identity.get("type", "").lower() and not identity.get("principalId"):
        known = (before or {}).get("identity") or {}
        identity["principalId"] = known.get("principalId") or cloud.guid()
        identity["tenantId"] = known.get("tenantId") or TENANT
    users = identity.get("userAssignedIdentities") or {}
    for name, user in users.items():
        users[name] = user or {"principalId": cloud.guid(), "clientId": cloud.guid()}


def list_resources(cloud: Cloud, request: Request, path: Path) -> Response:
    """GET <subscription or group>/resources: whatever has a location, without its properties, chosen by $filter."""
    wanted = _chosen(request.query.get("$filter", ""))
    found = [
        {key: body[key] for key in _RESOURCE_KEYS if key in body}
        for body in cloud.store.all(path.resource_id)
        if "location" in body and body.get("type") != GROUP and any(_matches(body, terms) for terms in wanted)
    ]
    top = request.query.get("$top", "")
    return cloud.page(request, found, int(top) if top.isdigit() and int(top) else ResourceType.page)


def _chosen(text: str) -> list[list[tuple[str, str, str]]]:
    """A $filter as alternatives of (field, operator, value) terms; raises Refusal (400) for what is not understood."""
    alternatives = []
    for part in re.split(r"\s+or\s+", text, flags=re.I) if text else []:
        terms = [_TERM.fullmatch(term.strip("() ")) for term in re.split(r"\s+and\s+", part, flags=re.I)]
        if not all(terms):
            raise refusals.refuse(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
        alternatives.append([(term[1].lower(), term[2].lower(), term[3].replace("''", "'").lower()) for term in terms if term])
    return alternatives or [[]]


def _matches(body: Body, terms: list[tuple[str, str, str]]) -> bool:
    others = [term for term in terms if term[0] != "tagvalue"]
    return all((value in _values(body, field)) == (operator == "eq") for field, operator, value in others) and _tagged(body, terms)


def _tagged(body: Body, terms: list[tuple[str, str, str]]) -> bool:
    """tagName and tagValue belong together: the value is that of the named tag."""
    tags = {str(key).lower(): str(value).lower() for key, value in (body.get("tags") or {}).items()}
    name = next((value for field, _operator, value in terms if field == "tagname"), None)
    return all(tags.get(name or "") == value for field, _operator, value in terms if field == "tagvalue")


def _values(body: Body, field: str) -> Iterator[str]:
    parts = body["id"].split("/")
    found = {
        "resourcetype": [body.get("type", "")],
        "name": [body.get("name", "")],
        "location": [body.get("location", "")],
        "resourcegroup": parts[4:5],
        "tagname": list(body.get("tags") or {}),
    }.get(field)
    if found is None:
        raise refusals.refuse(400, "InvalidFilterInQueryString", f"The property '{field}' can't be used in $filter.")
    return (str(value).lower() for value in found)


def types() -> list[ResourceType]:
    return [Tenants(), Subscription(), ResourceGroup()]
