# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Azure Monitor: data collection rules, data collection endpoints, and their associations with any resource.

All of it is synchronous; a PUT answers 200 even when it creates (recorded traffic).
"""

from __future__ import annotations

import copy
import uuid
import zlib
from typing import TYPE_CHECKING, Any

from .. import refusals
from ..clock import asr_time
from ..paths import Path, key, parse
from ..resource_types import Body, ResourceType
from .resources import location_required

if TYPE_CHECKING:
    from ..cloud import Cloud, Request, Response

RULE = "Microsoft.Insights/dataCollectionRules"
ENDPOINT = "Microsoft.Insights/dataCollectionEndpoints"
ASSOCIATION = "Microsoft.Insights/dataCollectionRuleAssociations"
ENDPOINT_ASSOCIATION = "configurationAccessEndpoint"
"""The one name that the association with an endpoint can have (Microsoft Learn, data collection endpoints)."""


class _Stamped(ResourceType):
    """What the three types share: an etag that every write changes, and systemData."""

    keeps_creation = True

    def stamp(self, cloud: Cloud, body: Body, known: Body | None) -> Body:
        """Finish a body that was written: etag (its quotes are part of it) and systemData (recorded traffic)."""
        now = {"By": "rehearsal", "ByType": "Application", "At": asr_time(cloud.clock.now)}
        created = {f"created{name}": value for name, value in now.items()}
        if known and self.keeps_creation:
            created = {name: value for name, value in known.get("systemData", {}).items() if name in created} or created
        body["etag"] = '"{}"'.format(cloud.guid()[:23] + f"-{int(cloud.clock.now):08x}0000")
        body["systemData"] = {**created, **{f"lastModified{name}": value for name, value in now.items()}}
        return body

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        found = list(cloud.store.of_type(self.name, path.resource_id))
        return cloud.page(request, found, self.page, last_link=bool(found))


class _Collection(_Stamped):
    """Rules and endpoints: tracked resources with an immutable id, and the list of their associations."""

    prefix = ""
    link = ""

    def __init__(self) -> None:
        super().__init__()
        self.views = {"associations": self.associations}

    def complete(self, cloud: Cloud, body: Body) -> None:
        """Add what Azure adds to the properties."""

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        sent = copy.deepcopy(self.content(request))
        if not sent.get("location"):
            raise location_required()
        known = cloud.store.get(path.resource_id)
        immutable = known["properties"].get("immutableId") if known else None
        properties = {
            **(sent.get("properties") or {}),
            "provisioningState": "Succeeded",
            "immutableId": immutable or self.prefix + cloud.guid().replace("-", ""),
        }
        body: Body = {
            "properties": properties,
            **{name: sent[name] for name in ("location", "tags", "kind", "identity") if name in sent},
            "id": known["id"] if known else path.resource_id,
            "name": known["name"] if known else path.name,
            "type": self.name,
        }
        self.complete(cloud, body)
        cloud.store.put(path.resource_id, self.stamp(cloud, body, known))
        for association in self.linked(cloud, path):
            cloud.changed(parse(association["id"]).scope)
        return cloud.answer(200, body)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Tags and identity can be changed, as wholes (Azure API document, ResourceForUpdate)."""
        body = self.require(cloud, path)
        body.update({name: copy.deepcopy(value) for name, value in self.content(request).items() if name in ("tags", "identity")})
        self.stamp(cloud, body, body)
        return cloud.answer(200, body)

    def associations(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """The associations with this resource."""
        self.require(cloud, path)
        return cloud.page(request, [self.listed(body) for body in self.linked(cloud, path)], self.page, last_link=True)

    def listed(self, body: Body) -> Body:
        """An association in that list: whole (Azure API document, list by endpoint)."""
        return body

    def linked(self, cloud: Cloud, path: Path) -> list[Body]:
        """The associations whose link is this resource."""
        return [
            body
            for body in cloud.store.of_type(ASSOCIATION)
            if key(body.get("properties", {}).get(self.link) or "") == key(path.resource_id)
        ]


class Rule(_Collection):
    """Data collection rules. A Log Analytics destination gets its workspace's id (recorded traffic)."""

    name, prefix, link = RULE, "dcr-", "dataCollectionRuleId"

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """A rule with associations stays, unless deleteAssociations=true (Azure API document; the refusal itself is inferred)."""
        linked = self.linked(cloud, path)
        if linked and request.query.get("deleteAssociations", "").lower() != "true":
            raise refusals.refuse(
                409,
                "Conflict",
                f"'{path.resource_id}' has {len(linked)} associations. Delete them first, or set 'deleteAssociations' to true.",
            )
        for association in linked:
            cloud.store.delete(association["id"])
            cloud.changed(parse(association["id"]).scope)
        return super().delete(cloud, request, path)

    def listed(self, body: Body) -> Body:
        """Ids and names in lower case, no etag, no systemData (recorded traffic)."""
        return {
            "properties": {**body["properties"], self.link: body["properties"][self.link].lower()},
            "id": body["id"].lower(),
            "name": body["name"].lower(),
            "type": ASSOCIATION,
        }

    def complete(self, cloud: Cloud, body: Body) -> None:
        for destination in (body["properties"].get("destinations") or {}).get("logAnalytics") or []:
            workspace = destination.get("workspaceResourceId") or ""
            known = cloud.store.get(workspace) or {}
            customer = known.get("properties", {}).get("customerId")
            destination["workspaceId"] = customer or str(uuid.uuid5(uuid.NAMESPACE_URL, key(workspace)))


class Endpoint(_Collection):
    """Data collection endpoints, with the addresses that agents speak to (Azure API document, dataCollectionEndpoints)."""

    name, prefix, link = ENDPOINT, "dce-", "dataCollectionEndpointId"

    def complete(self, cloud: Cloud, body: Body) -> None:
        host = f"{body['name'].lower()}-{zlib.crc32(key(body['id']).encode()) % 36**4:04x}.{body['location'].lower()}-1"
        domains = {"configurationAccess": "handler.control", "logsIngestion": "ingest", "metricsIngestion": "metrics.ingest"}
        for name, domain in domains.items():
            body["properties"][name] = {"endpoint": f"https://{host}.{domain}.monitor.azure.com"}
        body["properties"].setdefault("networkAcls", {"publicNetworkAccess": "Enabled"})


class Association(_Stamped):
    """Associations, on any resource: an extension resource. A PUT replaces, and even createdAt is new (recorded traffic)."""

    name = ASSOCIATION
    keeps_creation = False

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        properties = self.content(request).get("properties") or {}
        self._check(cloud, path, properties)
        known = cloud.store.get(path.resource_id)
        body = {
            "properties": copy.deepcopy(properties),
            "id": known["id"] if known else path.resource_id,
            "name": known["name"] if known else path.name,
            "type": self.name,
        }
        cloud.store.put(path.resource_id, self.stamp(cloud, body, known))
        cloud.changed(path.scope)
        return cloud.answer(200, body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        cloud.changed(path.scope)
        return super().delete(cloud, request, path)

    def _check(self, cloud: Cloud, path: Path, properties: dict[str, Any]) -> None:
        """Refuse what can't be: a VM, rule or endpoint that is not there, or a link that the name does not go with.

        The wrong name's code and words come from public issue threads; the others are chosen after ARM's form.
        """
        owner = parse(path.scope)
        if owner.type.lower() == "microsoft.compute/virtualmachines" and cloud.store.get(path.scope) is None:
            raise refusals.not_found(cloud, owner)
        rule, endpoint = properties.get(Rule.link), properties.get(Endpoint.link)
        for_endpoint = path.name.lower() == ENDPOINT_ASSOCIATION.lower()
        if endpoint and not for_endpoint:
            raise refusals.refuse(
                400, "InvalidEndpointAssociationName", f"An association of data collection endpoint must be named '{ENDPOINT_ASSOCIATION}'."
            )
        if for_endpoint and (rule or not endpoint):
            raise refusals.refuse(
                400, "InvalidPayload", f"An association named '{ENDPOINT_ASSOCIATION}' carries a dataCollectionEndpointId only."
            )
        linked = endpoint or rule
        if not linked:
            raise refusals.refuse(400, "InvalidPayload", "An association needs a dataCollectionRuleId.")
        if cloud.store.get(linked) is None:
            raise refusals.not_found(cloud, parse(linked))


def types() -> list[ResourceType]:
    return [Rule(), Endpoint(), Association()]
