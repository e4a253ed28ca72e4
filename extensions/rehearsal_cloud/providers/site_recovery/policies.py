# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Replication policies: what is sent under one name comes back under another."""

from __future__ import annotations

from typing import Any

from ...cloud import Cloud, Request, Response
from ...paths import Path
from ...resource_types import Body
from .base import CONTAINER_MAPPING, POLICY, SiteRecoveryType, bad_request, instance_type, vault_of
from .operations import begin

COMMON: dict[str, Any] = {"status": False, "associatedItemsCount": 0, "dataSourceType": "VM"}
# What a policy of a provider answers when nothing was said (recorded traffic).
DEFAULTS: dict[str, dict[str, Any]] = {
    "A2A": {
        "recoveryPointThresholdInMinutes": 0,
        "recoveryPointHistory": 0,
        "appConsistentFrequencyInMinutes": 0,
        "multiVmSyncStatus": "Enabled",
        "crashConsistentFrequencyInMinutes": 5,
        **COMMON,
    },
    "HyperVReplicaAzure": {
        "recoveryPointHistoryDurationInHours": 0,
        "applicationConsistentSnapshotFrequencyInHours": 0,
        "replicationInterval": 300,
        "encryption": "Disabled",
        "activeStorageAccountId": None,
    },
    "InMageRcm": {
        "recoveryPointHistoryInMinutes": 0,
        "appConsistentFrequencyInMinutes": 0,
        "crashConsistentFrequencyInMinutes": 5,
        "enableMultiVmSync": "true",
        **COMMON,
    },
    "InMageRcmFailback": {"appConsistentFrequencyInMinutes": 0, "crashConsistentFrequencyInMinutes": 5, **COMMON},
}
RENAMED = {"recoveryPointHistoryDuration": "recoveryPointHistoryDurationInHours"}


def details(sent: Body, before: Body) -> Body:
    """The provider specific details of a policy after `sent` was asked for."""
    kind = instance_type(sent)
    known = {**DEFAULTS.get(kind, {}), **before}
    for name, value in sent.items():
        name = RENAMED.get(name, name) if kind.startswith("HyperVReplica") else name
        if kind == "HyperVReplicaAzure" and name == "storageAccounts":
            known["activeStorageAccountId"] = value[0] if value else None
        elif name == "multiVmSyncStatus":
            known[name] = {"Enable": "Enabled", "Disable": "Disabled"}.get(str(value), value)
        elif name != "onlineReplicationStartTime":
            known[name] = value
    return {"instanceType": kind, **{name: value for name, value in known.items() if name != "instanceType"}}


class Policies(SiteRecoveryType):
    """replicationPolicies: created with providerSpecificInput, updated with replicationProviderSettings (recorded traffic)."""

    name = "*/replicationPolicies"
    kind = POLICY

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_scope(cloud, path)
        return self._write(cloud, request, path, "policy", self.properties(request).get("providerSpecificInput"), {})

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        before = self.require(cloud, path)["properties"]["providerSpecificDetails"]
        return self._write(cloud, request, path, "policy.update", self.properties(request).get("replicationProviderSettings"), before)

    def _write(self, cloud: Cloud, request: Request, path: Path, scenario: str, sent: Any, before: Body) -> Response:
        if not instance_type(sent):
            raise bad_request(
                "InvalidParameter",
                "The provider specific input of the policy is missing.",
                "The request names no instanceType.",
                "Name the replication provider.",
            )
        body = {**self.identity(cloud, path), "properties": {"friendlyName": path.name, "providerSpecificDetails": details(sent, before)}}
        return begin(cloud, request, body["id"], scenario, "site_recovery.put", target_name=path.name, body=body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        users = [
            m["name"]
            for m in cloud.store.of_type(CONTAINER_MAPPING, vault_of(body["id"]))
            if str(m["properties"].get("policyId", "")).lower() == body["id"].lower()
        ]
        if users:
            raise bad_request(
                "PolicyInUse",
                f"The policy '{path.name}' is associated with protection containers.",
                f"Container mappings that use it: {', '.join(users)}.",
                "Remove the container mappings first.",
            )
        return begin(cloud, request, body["id"], "policy.remove", "site_recovery.delete", resource=body["id"])
