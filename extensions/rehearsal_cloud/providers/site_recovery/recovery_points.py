# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Recovery points of a replicated item: they follow from the clock."""

from __future__ import annotations

from collections.abc import Iterator

from ...clock import asr_time
from ...cloud import Cloud, Request, Response
from ...paths import Path
from ...resource_types import Body
from . import replication
from .base import RECOVERY_POINT, Bodies, SiteRecoveryType, ancestor, entity_guid, no_such_resource

POINT_SECONDS = 300


def recovery_points(cloud: Cloud, item: Body) -> Iterator[Body]:
    """The recovery points of an item, newest first: every five minutes a crash-consistent one, and app-consistent ones as its policy says.

    They follow from the clock, so that reading makes none. At most a day of them, and none from before the item was protected.
    """
    properties = item["properties"]
    if properties["protectionState"] not in (replication.PROTECTED[0], replication.FAILED_OVER[0]):
        return
    policy = (cloud.store.get(str(properties.get("policyId") or "")) or {}).get("properties", {}).get("providerSpecificDetails") or {}
    history = min(int(policy.get("recoveryPointHistory") or 1440), 1440) * 60
    every = int(policy.get("appConsistentFrequencyInMinutes") or 0) * 60
    private = cloud.store.private(item["id"])
    newest = int(private.get("failed_over", cloud.clock.now) // POINT_SECONDS) * POINT_SECONDS
    oldest = int(max(newest - history, private.get("protected", 0)))
    for moment in range(newest, oldest, -POINT_SECONDS):
        yield _point(item, moment, "AppConsistent" if every and moment % every < POINT_SECONDS else "CrashConsistent")
    if newest <= oldest:
        yield _point(item, oldest, "CrashConsistent")


def _point(item: Body, moment: int, kind: str) -> Body:
    name = entity_guid(item["id"], str(moment))
    disks = [one["diskName"] for one in item["properties"]["providerSpecificDetails"].get("protectedManagedDisks") or []]
    return {
        "name": name,
        "type": RECOVERY_POINT,
        "id": f"{item['id']}/recoveryPoints/{name}",
        "properties": {
            "recoveryPointTime": asr_time(moment),
            "recoveryPointType": kind,
            "providerSpecificDetails": {"instanceType": "A2A", "recoveryPointSyncType": "PerVmRecoveryPoint", "disks": disks},
        },
    }


class RecoveryPoints(SiteRecoveryType):
    """recoveryPoints of an item: those of the estate, or those that follow from the clock."""

    name = RECOVERY_POINT
    kind = RECOVERY_POINT

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        item = cloud.store.get(path.resource_id)
        if item is None:
            raise self.missing(cloud, path)
        return super().found(cloud, request, path) or list(recovery_points(cloud, item))

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        item = cloud.store.get(ancestor(path.resource_id, 1))
        if item is None:
            raise self.missing(cloud, path)
        seeded = list(cloud.store.of_type(self.kind, item["id"]))
        for point in seeded or recovery_points(cloud, item):
            if point["name"].lower() == path.name.lower():
                return cloud.answer(200, point)
        raise no_such_resource(path.name)
