# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Recovery plans: how they are kept, and the actions on them. How an action runs is in plan_runs.py."""

from __future__ import annotations

import copy
from collections.abc import Callable

from ...cloud import Cloud, Request, Response
from ...paths import Path
from ...resource_types import Body
from . import plan_runs
from .base import AZURE, PLAN, SiteRecoveryType, asr_id, bad_request, busy, friendly, instance_type, last, no_such_resource
from .failovers import ACTIONS, check, refuse_not_allowed
from .items import refuse_busy
from .operations import begin
from .replication import is_idle, machine_guid

VERBS = ("PlannedFailover", "UnplannedFailover", "TestFailover", "TestFailoverCleanup", "Commit", "CancelFailover", "ReverseReplicate")
PLAN_ACTIONS = tuple(word for word in ACTIONS if word != "applyrecoverypoint")


class Plans(SiteRecoveryType):
    """replicationRecoveryPlans: the service adds two groups to what is sent; a list shows no groups at all (recorded traffic)."""

    name = "*/replicationRecoveryPlans"
    kind = PLAN

    def __init__(self) -> None:
        super().__init__()
        self.actions = {word: self._action(word) for word in PLAN_ACTIONS}

    def seed(self, cloud: Cloud, body: Body) -> None:
        super().seed(cloud, body)
        properties = cloud.store.get(body["id"])["properties"]  # type: ignore[index]
        properties["groups"] = complete(properties.get("groups") or [])
        for name in ("currentScenario", "currentScenarioStatus", "currentScenarioStatusDescription"):
            properties.setdefault(name, None)

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        return {**body, "properties": {**body["properties"], "allowedOperations": allowed(cloud, body)}}

    def show_in_list(self, cloud: Cloud, request: Request, body: Body) -> Body:
        shown = self.show(cloud, request, body)
        return {**shown, "properties": {**shown["properties"], "groups": []}}

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_vault(cloud, path)
        sent = self.properties(request)
        for name in ("primaryFabricId", "recoveryFabricId"):
            if sent.get(name) != AZURE and cloud.store.get(str(sent.get(name) or "")) is None:
                raise no_such_resource(last(str(sent.get(name) or name)))
        groups = complete(self._groups(cloud, sent))
        found = [cloud.store.get(member["id"]) for group in groups for member in group["replicationProtectedItems"]]
        kinds = sorted({instance_type(item["properties"].get("providerSpecificDetails")) for item in found if item} - {""})
        body = {
            **self.identity(cloud, path),
            "properties": {
                "friendlyName": path.name,
                "primaryFabricId": asr_id(sent["primaryFabricId"]),
                "primaryFabricFriendlyName": friendly(cloud, sent["primaryFabricId"]),
                "recoveryFabricId": asr_id(sent["recoveryFabricId"]),
                "recoveryFabricFriendlyName": friendly(cloud, sent["recoveryFabricId"]),
                "failoverDeploymentModel": sent.get("failoverDeploymentModel") or "ResourceManager",
                "replicationProviders": kinds,
                "allowedOperations": [],
                "currentScenario": None,
                "currentScenarioStatus": None,
                "currentScenarioStatusDescription": None,
                "groups": groups,
                "providerSpecificDetails": sent.get("providerSpecificInput") or [],
            },
        }
        return begin(cloud, request, body["id"], "plan", "site_recovery.put", target_name=path.name, body=body)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = copy.deepcopy(self.require(cloud, path))
        sent = self.properties(request)
        if "groups" in sent:
            body["properties"]["groups"] = complete(self._groups(cloud, sent))
        return begin(cloud, request, body["id"], "plan.update", "site_recovery.put", target_name=path.name, body=body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = self.require(cloud, path)
        return begin(cloud, request, body["id"], "plan.remove", "site_recovery.delete", target_name=path.name, resource=body["id"])

    def _groups(self, cloud: Cloud, sent: Body) -> list[Body]:
        """The groups that were sent, their members by the ids and GUIDs that Site Recovery knows them by."""
        groups = sent.get("groups") or []
        if not any(group.get("groupType") == "Boot" for group in groups):
            raise bad_request(
                "InvalidParameter",
                "The recovery plan has no group that starts machines.",
                "No group has the type Boot.",
                "Add a group of the type Boot.",
            )
        made = []
        for group in groups:
            members = []
            for member in group.get("replicationProtectedItems") or []:
                item = cloud.store.get(str(member.get("id") or ""))
                if item is None:
                    raise no_such_resource(last(str(member.get("id") or "")))
                members.append({"id": item["id"], "virtualMachineId": machine_guid(item)})
            made.append(
                {
                    "groupType": group.get("groupType"),
                    "replicationProtectedItems": members,
                    "startGroupActions": group.get("startGroupActions") or [],
                    "endGroupActions": group.get("endGroupActions") or [],
                }
            )
        return made

    def _action(self, word: str) -> Callable[[Cloud, Request, Path], Response]:
        def handler(cloud: Cloud, request: Request, path: Path) -> Response:
            plan = self.require(cloud, path)
            options = self.properties(request)
            refuse_running(cloud, plan)
            state = str(plan["properties"].get("currentScenarioStatus") or "None")
            refuse_not_allowed(path.name, ACTIONS[word].verb, allowed(cloud, plan), state)
            check(cloud, word, options)
            return plan_runs.start(cloud, request, plan, word, options)

        return handler


def complete(groups: list[Body]) -> list[Body]:
    """The groups with the two that every plan has: Shutdown and Failover first (recorded traffic)."""
    kept = {str(group.get("groupType")): group for group in groups if group.get("groupType") in ("Shutdown", "Failover")}
    empty: Body = {"replicationProtectedItems": [], "startGroupActions": [], "endGroupActions": []}
    return [{"groupType": kind, **copy.deepcopy(empty), **kept.get(kind, {})} for kind in ("Shutdown", "Failover")] + [
        group for group in groups if group.get("groupType") not in kept
    ]


def allowed(cloud: Cloud, plan: Body) -> list[str]:
    """What a plan allows: what any of its items allows. While they allow nothing, as at the end of the initial replication, the plan
    offers what its provider knows all the same (recorded traffic); while an action runs, nothing.
    """
    items = plan_runs.members(cloud, plan)
    if any(not is_idle(item) for item in items):
        return []
    offered = {verb for item in items for verb in item["properties"].get("allowedOperations") or []}
    if not offered & set(VERBS) and all(item["properties"].get("activeLocation") == "Primary" for item in items):
        offered = {"UnplannedFailover", "TestFailover"}
        if "A2A" not in (plan["properties"].get("replicationProviders") or ["A2A"]):
            offered.add("PlannedFailover")
    return [verb for verb in VERBS if verb in offered]


def refuse_running(cloud: Cloud, plan: Body) -> None:
    """Refuse (409) while an action runs on the plan or on one of its items."""
    if cloud.operations.running(plan["id"]):
        raise busy(plan["name"], str((plan["properties"].get("currentScenario") or {}).get("scenarioName")))
    for item in plan_runs.members(cloud, plan):
        refuse_busy(cloud, item)
