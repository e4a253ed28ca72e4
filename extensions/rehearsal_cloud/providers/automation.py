# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Automation: the accounts that Site Recovery's automatic update runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..paths import Path
from ..resource_types import ResourceType, merge
from .resources import identify, location_required

if TYPE_CHECKING:
    from ..cloud import Cloud, Request, Response


class AutomationAccount(ResourceType):
    """Accounts, mostly seeded. A system-assigned identity that is asked for gets its principal (Azure API document, automationAccounts)."""

    name = "Microsoft.Automation/automationAccounts"

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        if not self.content(request).get("location"):
            raise location_required()
        known = cloud.store.get(path.resource_id)
        sent = self.content(request)
        properties = {"state": "Ok", "publicNetworkAccess": True, **(sent.get("properties") or {})}
        body = {
            "name": path.name,
            "id": known["id"] if known else path.resource_id,
            "type": self.name,
            "location": sent["location"],
            "tags": sent.get("tags", {}),
            "properties": properties,
        }
        if sent.get("identity"):
            body["identity"] = dict(sent["identity"])
        identify(cloud, body, known)
        cloud.store.put(path.resource_id, body)
        return cloud.answer(200 if known else 201, body)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        merge(body, self.content(request))
        identify(cloud, body)
        return self.get(cloud, request, path)


def types() -> list[ResourceType]:
    return [AutomationAccount()]
