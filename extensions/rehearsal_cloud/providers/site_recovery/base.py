# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What all resource types of Site Recovery share: ids, lists, error answers."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from ... import refusals
from ...cloud import Cloud, Request, Response
from ...paths import Path, parse
from ...resource_types import Body, ResourceType

VAULT = "Microsoft.RecoveryServices/vaults"
FABRIC = f"{VAULT}/replicationFabrics"
CONTAINER = f"{FABRIC}/replicationProtectionContainers"
CONTAINER_MAPPING = f"{CONTAINER}/replicationProtectionContainerMappings"
PROTECTABLE_ITEM = f"{CONTAINER}/replicationProtectableItems"
ITEM = f"{CONTAINER}/replicationProtectedItems"
RECOVERY_POINT = f"{ITEM}/recoveryPoints"
NETWORK = f"{FABRIC}/replicationNetworks"
NETWORK_MAPPING = f"{NETWORK}/replicationNetworkMappings"
PROVIDER = f"{FABRIC}/replicationRecoveryServicesProviders"
POLICY = f"{VAULT}/replicationPolicies"
PLAN = f"{VAULT}/replicationRecoveryPlans"
JOB = f"{VAULT}/replicationJobs"

Bodies = list[Body]

AZURE = "Microsoft Azure"  # stands for Azure's own fabric and container where the source is on-premises (recorded traffic)


def asr_id(identifier: str) -> str:
    """An id as Site Recovery writes it: "/Subscriptions/..." (recorded traffic)."""
    return "/Subscriptions/" + identifier[15:] if identifier[:15].lower() == "/subscriptions/" else identifier


def vault_of(identifier: str) -> str:
    """The id of the vault that an id lies in."""
    return "/".join(identifier.split("/")[:9])


def ancestor(identifier: str, levels: int) -> str:
    """The id so many resources further up."""
    return "/".join(identifier.split("/")[: -2 * levels])


def last(identifier: str) -> str:
    return identifier.rstrip("/").rsplit("/", 1)[-1]


def entity_guid(*names: str) -> str:
    """The GUID by which Site Recovery knows a thing; the same names give the same one."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(names).lower()))


def friendly(cloud: Cloud, identifier: str | None) -> str:
    """The friendlyName of a stored resource, else its name ("Microsoft Azure" is its own)."""
    body = cloud.store.get(identifier) if identifier else None
    return (body or {}).get("properties", {}).get("friendlyName") or last(identifier or "")


def stored_id(cloud: Cloud, identifier: str) -> str:
    """The id as its resource has it, whatever letter case it was asked in."""
    body = cloud.store.get(identifier)
    return str(body["id"]) if body else identifier


def current_scenario(item_id: str, name: str = "None", job: str = "", started: str = "1753-01-01T01:01:01Z") -> Body:
    """currentScenario: "None" and a job that does not exist while nothing runs (recorded traffic)."""
    return {"scenarioName": name, "jobId": job or f"{asr_id(vault_of(item_id))}/replicationJobs/None", "startTime": started}


def refusal(status: int, code: str, detail_code: str, message: str, causes: str, action: str) -> refusals.Refusal:
    """An error answer of Site Recovery: what tells is in details[0] (recorded traffic)."""
    detail = {
        "code": detail_code,
        "message": message,
        "possibleCauses": causes,
        "recommendedAction": action,
        "clientRequestId": str(uuid.uuid4()),
        "activityId": str(uuid.uuid4()),
    }
    return refusals.refuse(status, code, message, details=[detail])


def bad_request(detail_code: str, message: str, causes: str, action: str) -> refusals.Refusal:
    return refusal(400, "BadRequest", detail_code, message, causes, action)


def no_such_resource(name: str) -> refusals.Refusal:
    """404 for a thing of Site Recovery other than a fabric (recorded traffic)."""
    return refusal(
        404,
        "NotFound",
        "ArmResourceDoesNotExist",
        f"Specified resource with name '{name}' does not exist.",
        "Ensure correct resource name was specified.",
        "Verify ARM resource name details.",
    )


def missing(cloud: Cloud, path: Path) -> refusals.Refusal:
    """404 for what a path names: the vault first, then the fabric, then the first part that is not there.

    A vault that Site Recovery was never used in answers 400 below its fabrics instead (error texts quoted by users of the API).
    """
    vault = vault_of(path.resource_id)
    if cloud.store.get(vault) is None:
        return refusals.not_found(cloud, parse(vault))
    parts = path.resource_id[len(vault) + 1 :].split("/")
    if parts[0].lower() == "replicationfabrics" and len(parts) > 1 and cloud.store.get(f"{vault}/{parts[0]}/{parts[1]}") is None:
        if next(iter(cloud.store.all(vault)), None) is None:
            return bad_request(
                "SubscriptionIdNotRegisteredWithSrs",
                "The subscription is not registered with Azure Site Recovery.",
                "Site Recovery has not been used in this vault.",
                "Create a fabric in the vault first.",
            )
        return refusal(
            404,
            "NotFound",
            "FabricArmEntityMissing",
            f"Fabric with name {parts[1]} could not be located.",
            "The fabric does not exist in the vault.",
            "Verify the fabric's name.",
        )
    for length in range(2, len(parts) + 1, 2):
        if cloud.store.get("/".join([vault, *parts[:length]])) is None:
            return no_such_resource(parts[length - 1])
    return no_such_resource(path.name)


def busy(name: str, running: str) -> refusals.Refusal:
    """409 for a second operation on what is being worked on (inferred: none was recorded)."""
    return refusal(
        409,
        "Conflict",
        "OperationInProgress",
        f"Another operation ({running}) is running on '{name}'.",
        "An operation on the object, or on a recovery plan that holds it, has not ended yet.",
        "Wait until the running job has ended and try again.",
    )


def scrub(value: Any) -> Any:
    """A seeded body with every id of Site Recovery in the service's own letter case."""
    if isinstance(value, dict):
        return {name: scrub(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [scrub(inner) for inner in value]
    if isinstance(value, str) and value[:15].lower() == "/subscriptions/" and "/microsoft.recoveryservices/vaults/" in value.lower():
        return asr_id(value)
    return value


class SiteRecoveryType(ResourceType):
    """A type below a vault. `kind` is its whole type; the last segment alone finds it, so that the vault-wide list
    (vault/replicationProtectedItems) and the one of the parent are the same list with another start.
    """

    kind: ClassVar[str] = ""

    def seed(self, cloud: Cloud, body: Body) -> None:
        clean = {"properties": {}, **scrub(body)}
        cloud.store.put(clean["id"], clean)

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        self.require_scope(cloud, path)
        found = [self.show_in_list(cloud, request, body) for body in self.found(cloud, request, path)]
        return cloud.page(request, found, self.page, last_link=True)

    def found(self, cloud: Cloud, request: Request, path: Path) -> Bodies:
        """The resources of a list, in Azure's order."""
        return list(cloud.store.of_type(self.kind, path.resource_id))

    def require_scope(self, cloud: Cloud, path: Path) -> None:
        """Refuse (404) below a vault or a fabric that does not exist."""
        vault = vault_of(path.resource_id)
        parts = path.resource_id[len(vault) + 1 :].split("/")
        scope = f"{vault}/{parts[0]}/{parts[1]}" if parts[0].lower() == "replicationfabrics" and len(parts) > 1 else vault
        if cloud.store.get(vault) is None or cloud.store.get(scope) is None:
            raise missing(cloud, path)

    def require_vault(self, cloud: Cloud, path: Path) -> None:
        if cloud.store.get(vault_of(path.resource_id)) is None:
            raise missing(cloud, path)

    def missing(self, cloud: Cloud, path: Path) -> refusals.Refusal:
        return missing(cloud, path)

    def identity(self, cloud: Cloud, path: Path) -> Body:
        """id, name and type of the resource that a PUT names, with the letter case of the parents that exist."""
        known = cloud.store.get(path.resource_id)
        if known is not None:
            return {key: known[key] for key in ("id", "name", "type")}
        parent = asr_id(stored_id(cloud, ancestor(path.resource_id, 1)))
        return {"id": f"{parent}/{self.kind.rsplit('/', 1)[-1]}/{path.name}", "name": path.name, "type": self.kind}

    def result(self, cloud: Cloud, request: Request, path: Path, job: Body | None) -> Body | None:
        """What operationresults below a resource answers once its operation is done (None: the resource is gone)."""
        return cloud.store.get(path.resource_id)

    def properties(self, request: Request) -> Body:
        """The properties of a request's body ({} for an empty body); raises Refusal (400) when they are no object."""
        if request.body is None:
            return {}
        properties = self.content(request).get("properties", {})
        if not isinstance(properties, dict):
            raise bad_request("InvalidParameter", "The request's properties are no object.", "The request is malformed.", "Correct it.")
        return properties


def instance_type(details: Any) -> str:
    """The instanceType of provider specific details ("" when there are none), of the first where a list is asked for."""
    if isinstance(details, list):
        details = details[0] if details else None
    return str(details.get("instanceType", "")) if isinstance(details, dict) else ""
