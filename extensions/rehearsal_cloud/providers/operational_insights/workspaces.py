# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Log Analytics workspaces, as Azure Resource Manager has them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ...clock import asr_time
from ...paths import Path, key
from ...resource_types import Body, ResourceType
from ..resources import location_required
from . import heartbeats
from .heartbeats import WORKSPACE

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response


class Workspace(ResourceType):
    """Workspaces. Each has a customer id, by which the query service knows it (Microsoft Learn, workspaces REST API)."""

    name = WORKSPACE

    def seed(self, cloud: Cloud, body: Body) -> None:
        """Take it into the store; the agents of the estate have been sending when the cloud begins."""
        super().seed(cloud, _complete(body))
        heartbeats.begin(cloud)

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        if not self.content(request).get("location"):
            raise location_required()
        answer = super().put(cloud, request, path)
        body = _complete(self.require(cloud, path))
        body["properties"].setdefault("createdDate", asr_time(cloud.clock.now))
        heartbeats.look_at_all(cloud)
        return cloud.answer(answer.status, body)


def by_customer_id(cloud: Cloud, customer_id: str) -> Body | None:
    """The workspace of that customer id (any letter case), None where there is none."""
    return next((body for body in cloud.store.of_type(WORKSPACE) if key(body["properties"]["customerId"]) == key(customer_id)), None)


def _complete(body: Body) -> Body:
    """Add what Azure adds."""
    properties = body.setdefault("properties", {})
    properties.setdefault("customerId", str(uuid.uuid5(uuid.NAMESPACE_URL, key(body["id"]))))
    properties.setdefault("provisioningState", "Succeeded")
    properties.setdefault("sku", {"name": "PerGB2018"})
    properties.setdefault("retentionInDays", 30)
    return body
