# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a vault shows beside its replication: alert settings, events, health, supported systems, and lists that A2A leaves empty."""

from __future__ import annotations

from typing import Any

from ...cloud import Cloud, Request, Response
from ...paths import Path
from ...resource_types import Body, ResourceType
from .base import CONTAINER, FABRIC, ITEM, PROTECTABLE_ITEM, VAULT, SiteRecoveryType, asr_id, stored_id, vault_of
from .operations import begin


class Simple(SiteRecoveryType):
    """A type that answers at once and stores what it is given (alert settings, vault settings)."""

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_scope(cloud, path)
        body = cloud.store.put(path.resource_id, {**self.identity(cloud, path), "properties": self.properties(request)})
        return cloud.answer(200, body)


class AlertSettings(Simple):
    name = "*/replicationAlertSettings"
    kind = f"{VAULT}/replicationAlertSettings"


class VaultSettings(Simple):
    name = "*/replicationVaultSettings"
    kind = f"{VAULT}/replicationVaultSettings"


def _count(items: list[Body], name: str, value: str) -> int:
    return sum(1 for item in items if item["properties"].get(name) == value)


class VaultHealth(SiteRecoveryType):
    """replicationVaultHealth: one object where a list would be; counted from the items when it is read."""

    name = "*/replicationVaultHealth"
    kind = f"{VAULT}/replicationVaultHealth"

    def __init__(self) -> None:
        super().__init__()
        self.actions = {"refresh": self._refresh}

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_scope(cloud, path)
        return cloud.answer(200, self.result(cloud, request, path, None))

    def result(self, cloud: Cloud, request: Request, path: Path, job: Body | None) -> Body:
        vault = vault_of(path.resource_id)
        items = list(cloud.store.of_type(ITEM, vault))
        counts = {
            f"protectedItems{name}": _count(items, "replicationHealth", value)
            for name, value in (("CriticalCount", "Critical"), ("WarningCount", "Warning"), ("NeutralCount", "None"))
        }
        counts |= {
            f"protectedItems{area}{level}Count": sum(
                1
                for item in items
                for error in item["properties"].get("healthErrors") or []
                if error.get("errorCategory") == area and error.get("errorLevel") == {"Critical": "Error", "Warning": "Warning"}[level]
            )
            for area in ("TestFailover", "Configuration")
            for level in ("Critical", "Warning")
        }
        counts |= {f"protectedItemsFailoverHealth{level}Count": _count(items, "failoverHealth", level) for level in ("Critical", "Warning")}
        categorized = {
            "testFailoverApplicableProtectedItemsCount": sum(1 for i in items if "TestFailover" in i["properties"]["allowedOperations"]),
            "testFailoverInProgressProtectedItemsCount": sum(
                1 for i in items if (i["properties"].get("currentScenario") or {}).get("scenarioName") == "TestFailover"
            ),
            "testFailoverWaitingProtectedItemsCount": _count(items, "testFailoverState", "WaitingForCompletion"),
            **counts,
        }
        return {
            "name": "Default",
            "type": self.kind,
            "id": f"{asr_id(stored_id(cloud, vault))}/replicationVaultHealth/Default",
            "properties": {
                "vaultErrors": [],
                "protectedItemsHealth": {"resourceCount": len(items), "issues": [], "categorizedResourceCounts": categorized},
                "fabricsHealth": _health(cloud, FABRIC, vault),
                "containersHealth": _health(cloud, CONTAINER, vault),
            },
        }

    def _refresh(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_scope(cloud, path)
        return begin(cloud, request, vault_of(path.resource_id), "health", at=path.resource_id, target_name="")


def _health(cloud: Cloud, kind: str, vault: str) -> dict[str, Any]:
    return {"resourceCount": sum(1 for _one in cloud.store.of_type(kind, vault)), "issues": [], "categorizedResourceCounts": None}


def _versions(*names: str) -> list[dict[str, str]]:
    return [{"version": name} for name in names]


# A part of what the service supports (recorded traffic lists every minor version).
SYSTEMS = [
    ("centos", "linux", ("7.*", "8.*")),
    ("debian", "linux", ("9", "10", "11", "12")),
    ("oracle", "linux", ("7.*", "8.*", "9.1")),
    ("redhat", "linux", ("7.*", "8.*", "9.0", "9.1")),
    ("suse", "linux", ("12",)),
    ("sles", "linux", ("15",)),
    ("ubuntu", "linux", ("16.04", "18.04", "20.04", "22.04")),
    ("Windows Server 2012 R2 Datacenter", "windows", ("6.3",)),
    ("Windows Server 2016 Datacenter", "windows", ("6.3", "10.0")),
    ("Windows Server Datacenter", "windows", ("10.0",)),
    ("Windows 10", "windows", ("10.0",)),
]


class SupportedOperatingSystems(SiteRecoveryType):
    """replicationSupportedOperatingSystems: one object where a list would be."""

    name = "*/replicationSupportedOperatingSystems"
    kind = f"{VAULT}/replicationSupportedOperatingSystems"

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_scope(cloud, path)
        systems = [{"osName": name, "osType": family, "osVersions": _versions(*versions)} for name, family, versions in SYSTEMS]
        return cloud.answer(
            200,
            {
                "id": f"{asr_id(stored_id(cloud, path.resource_id))}/replicationSupportedOperatingSystems/Default",
                "name": "Default",
                "type": self.kind,
                "properties": {"supportedOsList": [{"instanceType": "A2A", "supportedOs": systems}]},
            },
        )


class ProtectableItems(SiteRecoveryType):
    """replicationProtectableItems: the list promises one page more, and that is empty (recorded traffic)."""

    name = "*/replicationProtectableItems"
    kind = PROTECTABLE_ITEM

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        if (request.query.get("$skipToken") or request.query.get("$skiptoken") or "").startswith("ReplicationGroup"):
            return cloud.answer(200, {"value": [], "nextLink": None})
        answer = super().list(cloud, request, path)
        if answer.body["value"] and answer.body["nextLink"] is None:
            answer.body["nextLink"] = (
                f"{request.base_url}{request.path}?api-version={request.api_version}&$skipToken=ReplicationGroup%3ABegin"
            )
        return answer


READ_ONLY = (
    f"{VAULT}/replicationAppliances",
    f"{VAULT}/replicationEvents",
    f"{VAULT}/replicationProtectionIntents",
    f"{FABRIC}/replicationNetworks",
    f"{FABRIC}/replicationLogicalNetworks",
    f"{FABRIC}/replicationRecoveryServicesProviders",
    f"{FABRIC}/replicationvCenters",
    f"{FABRIC}/replicationStorageClassifications",
    f"{FABRIC}/replicationStorageClassifications/replicationStorageClassificationMappings",
    f"{CONTAINER}/replicationMigrationItems",
    f"{CONTAINER}/replicationProtectionClusters",
)


def read_only() -> list[ResourceType]:
    """Types that are only read: what an estate brings, else nothing."""
    made = []
    for kind in READ_ONLY:
        word = kind.rsplit("/", 1)[-1]
        made.append(type(word, (SiteRecoveryType,), {"kind": kind, "name": f"*/{word}"})())
    return made
