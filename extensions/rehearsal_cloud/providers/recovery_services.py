# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Recovery Services vaults: created and changed by operations of their own form (recorded traffic)."""

from __future__ import annotations

import base64
import copy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ..cloud import Cloud, Request, Response
from ..operations import Operation
from ..paths import Path
from ..refusals import not_found, refuse
from ..resource_types import Body, ResourceType, merge
from ..timeline import effect

VAULT = "Microsoft.RecoveryServices/vaults"
PROVISIONING_SECONDS = 1  # recorded traffic: etags 0.7 s apart

DEFAULTS: Body = {
    "privateEndpointStateForBackup": "None",
    "privateEndpointStateForSiteRecovery": "None",
    "monitoringSettings": {
        "azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"},
        "classicAlertSettings": {"alertsForCriticalOperations": "Enabled"},
    },
    "publicNetworkAccess": "Enabled",
    "restoreSettings": {"crossSubscriptionRestoreSettings": {"crossSubscriptionRestoreState": "Enabled"}},
}

PROVISIONED: Body = {
    "backupStorageVersion": "Unassigned",
    "securitySettings": {
        "immutabilitySettings": None,
        "multiUserAuthorization": "Disabled",
        "softDeleteSettings": {"softDeleteRetentionPeriodInDays": 14, "softDeleteState": "Enabled"},
    },
}


def _etag(now: float) -> str:
    return "W/\"datetime'{}'\"".format(quote(datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"))


def _operation_name(operation: Operation) -> str:
    """The vault's name for an operation: base64 of "2047;<guid>" (recorded traffic)."""
    return base64.b64encode(f"2047;{operation.name}".encode()).decode()


class Vaults(ResourceType):
    """Microsoft.RecoveryServices/vaults: PUT creates with 201 and an operation; an unchanged PUT answers 200 (recorded traffic)."""

    name = VAULT

    def seed(self, cloud: Cloud, body: Body) -> None:
        merged: Body = {
            "sku": {"name": "Standard"},
            **body,
            "properties": {
                **copy.deepcopy(DEFAULTS),
                **copy.deepcopy(PROVISIONED),
                "provisioningState": "Succeeded",
                **body.get("properties", {}),
            },
        }
        super().seed(cloud, {"etag": _etag(cloud.clock.now), **merged})

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        sent = copy.deepcopy(self.content(request))
        known = cloud.store.get(path.resource_id)
        if known is not None:
            merge(known, {name: sent[name] for name in ("tags", "sku", "identity", "properties") if name in sent})
            known["etag"] = _etag(cloud.clock.now)
            return self.get(cloud, request, path)
        self._require_group(cloud, path)
        if not sent.get("location"):
            raise refuse(400, "LocationRequired", "The location property is required for this definition.")
        properties = {"provisioningState": "Provisioning", **copy.deepcopy(DEFAULTS)}
        merge(properties, sent.get("properties") or {})
        body = {
            "location": sent["location"],
            "name": path.name,
            "etag": _etag(cloud.clock.now),
            "properties": properties,
            "id": path.resource_id,
            "type": VAULT,
            "sku": sent.get("sku") or {"name": "Standard"},
        }
        body.update({name: sent[name] for name in ("tags", "identity") if name in sent})
        cloud.store.put(path.resource_id, body)
        operation = cloud.operations.start(
            cloud, request, path.resource_id, PROVISIONING_SECONDS, then="vault.provisioned", vault=path.resource_id
        )
        return cloud.answer(201, body, **{"Azure-AsyncOperation": self._link(request, path, operation, "operationStatus")})

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        sent = self.content(request)
        merge(body, {name: copy.deepcopy(sent[name]) for name in ("tags", "sku", "identity", "properties") if name in sent})
        body["etag"] = _etag(cloud.clock.now)
        return self.get(cloud, request, path)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.store.get(path.resource_id)
        if body is None:
            return cloud.answer(204)
        held = [one["name"] for one in cloud.store.all(body["id"]) if one["type"].lower().endswith("/replicationfabrics")]
        if held:
            raise refuse(
                409,
                "ServiceResourceNotEmptyWithBackendMessage",
                f"The Recovery Services vault '{path.name}' cannot be deleted: Site Recovery fabrics exist in it ({', '.join(held)}).",
            )
        return super().delete(cloud, request, path)

    def _require_group(self, cloud: Cloud, path: Path) -> None:
        if cloud.store.get(path.scope) is None:
            raise not_found(cloud, path)

    def _link(self, request: Request, path: Path, operation: Operation, word: str) -> str:
        return f"{request.base_url}{path.resource_id}/{word}/{_operation_name(operation)}?api-version={request.api_version}"


@effect("vault.provisioned")
def _provisioned(cloud: Cloud, operation: str, vault: str) -> None:
    body = cloud.store.get(vault)
    if body is not None:
        properties: Any = body["properties"]
        properties.update({**copy.deepcopy(PROVISIONED), "provisioningState": "Succeeded"})
        body["etag"] = _etag(cloud.clock.now)


class VaultOperationStatus(ResourceType):
    """vaults/operationStatus: {"id", "name", "status"} (recorded traffic)."""

    name = f"{VAULT}/operationStatus"

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        operation = self.operation(cloud, path)
        headers = {}
        if operation.ended is None:
            where = f"{request.base_url}{request.path}?api-version={request.api_version}"
            headers = {"Azure-AsyncOperation": where, "Location": where.replace("/operationStatus/", "/operationResults/")}
        return cloud.answer(200, {"id": path.resource_id, "name": path.name, "status": operation.status}, **headers)

    def operation(self, cloud: Cloud, path: Path) -> Operation:
        try:
            name = base64.b64decode(path.name).decode().partition(";")[2]
        except ValueError:
            name = ""
        operation = cloud.operations.get(name)
        if operation is None:
            raise not_found(cloud, path)
        return operation


class VaultOperationResults(VaultOperationStatus):
    """vaults/operationResults: 202 while it runs, then the vault (inferred)."""

    name = f"{VAULT}/operationResults"

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        operation = self.operation(cloud, path)
        body = cloud.store.get(operation.resource_id)
        return cloud.answer(202) if operation.ended is None else cloud.answer(200 if body else 204, body)


def types() -> list[ResourceType]:
    return [Vaults(), VaultOperationStatus(), VaultOperationResults()]
