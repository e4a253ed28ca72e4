# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Extensions of virtual machines: every write is an operation, one at a time per machine, carried out by the VM agent."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from ... import refusals
from ...operations import Operation
from ...paths import Path, key, parse
from ...resource_types import Body, ResourceType, merge
from ...timeline import effect
from ..resources import location_required
from . import instance_view, published
from .instance_view import EXTENSION, handler_type
from .operations import announce

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

INSTALL_SECONDS = {"microsoft.azure.monitor": 90.0}
"""How long an installation takes, by publisher: chosen for the monitoring agent (Microsoft publishes no figure)."""
INSTALL_SECONDS_ELSE = 19.0
"""Recorded traffic: VMAccessForLinux took 18.5 and 19.7 s."""
UPDATE_SECONDS = 30.0
"""Chosen: recorded between an installation and a deletion."""
DELETE_SECONDS = 77.0
"""Recorded traffic: 14, 77 and 113 s."""
AGENT_PATIENCE = 60.0
"""How long the platform waits for a VM agent that does not report. Chosen: Azure gives up after 25 minutes (public issue threads)."""
AUTOMATIC_UPGRADE_BY_DEFAULT = "2025-04-01"
"""From this api-version on, enableAutomaticUpgrade is true when it is not sent (Microsoft Learn, automatic extension upgrade)."""
WRONG_SYSTEM = {"microsoft.azure.monitor.azuremonitorwindowsagent": "Linux", "microsoft.azure.monitor.azuremonitorlinuxagent": "Windows"}
"""Extensions that cannot run on one of the operating systems (Microsoft Learn, Azure Monitor Agent supported systems)."""

NOT_UPGRADED = (
    "microsoft.compute.customscriptextension",
    "microsoft.azure.extensions.customscript",
    "microsoft.azure.security.iaasantimalware",
    "microsoft.azure.security.azurediskencryption*",
    "microsoft.azure.activedirectory.aad*login*",
    "microsoft.azure.recoveryservices.*",
)
"""Extensions without automatic upgrade."""

_KEPT = (
    "autoUpgradeMinorVersion",
    "forceUpdateTag",
    "enableAutomaticUpgrade",
    "publisher",
    "type",
    "typeHandlerVersion",
    "settings",
    "suppressFailures",
    "protectedSettingsFromKeyVault",
    "provisionAfterExtensions",
)


class Extension(ResourceType):
    """Extensions. Protected settings are dropped at the door; any publisher and type is taken."""

    name = EXTENSION
    has_location: ClassVar[bool] = True

    def seed(self, cloud: Cloud, body: Body) -> None:
        properties = body.setdefault("properties", {})
        properties.pop("protectedSettings", None)
        view = properties.pop("instanceView", None)
        if view:
            cloud.store.private(body["id"])["view"] = {"name": body["name"], **view}
        properties.setdefault("provisioningState", "Succeeded")
        super().seed(cloud, body)

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        if "instanceview" not in request.query.get("$expand", "").lower():
            return body
        return {**body, "properties": {**body["properties"], "instanceView": instance_view.extension_view(cloud, body)}}

    def get(self, cloud: Cloud, request: Request, path: Path) -> Response:
        _machine(cloud, path.parent_id, "read")
        return super().get(cloud, request, path)

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        _machine(cloud, path.resource_id, "read")
        return super().list(cloud, request, path)

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        machine = _machine(cloud, path.parent_id, "write")
        known = cloud.store.get(path.resource_id)
        body = self._wanted(request, path, machine, known)
        writable(cloud, machine)
        _one_per_handler(cloud, machine, body)
        seconds = INSTALL_SECONDS.get(str(body["properties"]["publisher"]).lower(), INSTALL_SECONDS_ELSE)
        body["properties"]["provisioningState"] = "Updating" if known else "Creating"
        cloud.store.put(path.resource_id, body)
        operation = _begin(cloud, request, machine, body, seconds, "compute.extension.installed")
        return announce(cloud, request, operation, body, 200 if known else 201, body)

    def patch(self, cloud: Cloud, request: Request, path: Path) -> Response:
        machine = _machine(cloud, path.parent_id, "write")
        body = self.require(cloud, path)
        sent = self.content(request)
        writable(cloud, machine)
        given = cleaned(sent.get("properties") or {})
        if "enableAutomaticUpgrade" in given:
            refuse_automatic_upgrade({**body["properties"], **given})
        merge(body["properties"], given)
        if "tags" in sent:
            body["tags"] = dict(sent["tags"] or {})
        body["properties"]["provisioningState"] = "Updating"
        operation = _begin(cloud, request, machine, body, UPDATE_SECONDS, "compute.extension.installed")
        return announce(cloud, request, operation, body, 200, body)

    def delete(self, cloud: Cloud, request: Request, path: Path) -> Response:
        body = cloud.store.get(path.resource_id)
        if body is None:
            return cloud.answer(204)
        machine = _machine(cloud, path.parent_id, "delete")
        writable(cloud, machine)
        body["properties"]["provisioningState"] = "Deleting"
        cloud.changed(machine["id"])
        operation = _begin(cloud, request, machine, body, DELETE_SECONDS, "compute.extension.deleted")
        return announce(cloud, request, operation, machine, 202)

    def _wanted(self, request: Request, path: Path, machine: Body, known: Body | None) -> Body:
        """The extension that a PUT asks for; raises Refusal (400) for what is missing, (409) for what cannot change."""
        sent = self.content(request)
        if not sent.get("location") and self.has_location:
            raise location_required()
        properties = {"autoUpgradeMinorVersion": False, **cleaned(sent.get("properties") or {})}
        refuse_automatic_upgrade(properties)
        for name in ("publisher", "type", "typeHandlerVersion"):
            if not properties.get(name):
                raise refusals.refuse(400, "InvalidParameter", f"Required parameter '{name}' is missing (null).", target=name)
            before = (known or {}).get("properties", {}).get(name, properties[name])
            if name != "typeHandlerVersion" and str(before).lower() != str(properties[name]).lower():
                raise refusals.refuse(409, "PropertyChangeNotAllowed", f"Changing property '{name}' is not allowed.", target=name)
        if request.api_version >= AUTOMATIC_UPGRADE_BY_DEFAULT:
            properties.setdefault("enableAutomaticUpgrade", True)
        body: Body = {
            "name": known["name"] if known else path.name,
            "id": known["id"] if known else path.resource_id,
            "type": self.name,
        } | ({"location": sent["location"]} if sent.get("location") else {})
        if "tags" in sent:
            body["tags"] = dict(sent["tags"] or {})
        return {**body, "properties": {"provisioningState": "Creating", **properties}}


def writable(cloud: Cloud, machine: Body) -> None:
    """Refuse a change of a machine that is being changed, or that cannot take extensions now.

    The conflict's words come from public issue threads; what Azure does to overlapping extension writes varies: sometimes the
    later one preempts the earlier. The other two are Microsoft Learn's (virtual machine error messages) and public threads'.
    """
    busy(cloud, machine)
    if instance_view.power(cloud, machine["id"]) != "running":
        raise refusals.refuse(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.")
    if (machine["properties"].get("osProfile") or {}).get("allowExtensionOperations") is False:
        raise refusals.refuse(
            409,
            "OperationNotAllowed",
            "This operation cannot be performed when extension operations are disallowed. "
            "To allow, please ensure VM Agent is installed on the VM and the osProfile.allowExtensionOperations property "
            "is true.",
        )


def refuse_automatic_upgrade(properties: dict[str, Any]) -> None:
    """Refuse (400) automatic upgrade of an extension that has none (words of public issue threads; which ones: by absence from the list of
    Microsoft Learn, automatic extension upgrade)."""
    kind = handler_type({"properties": properties})
    if properties.get("enableAutomaticUpgrade") is True and any(fnmatch.fnmatchcase(kind.lower(), one) for one in NOT_UPGRADED):
        raise refusals.refuse(
            400,
            "BadRequest",
            f"VM Extension with publisher '{properties['publisher']}' and type '{properties['type']}' does not support setting "
            "enableAutomaticUpgrade property to true on this subscription.",
        )


def busy(cloud: Cloud, machine: Body) -> None:
    """Refuse (409) while another operation changes the machine."""
    operation = cloud.operations.get(cloud.store.private(machine["id"]).get("operation", ""))
    if operation is not None and operation.ended is None:
        raise refusals.refuse(
            409,
            "Conflict",
            "The request failed due to conflict with a concurrent request. To resolve it, please refer "
            "to https://aka.ms/activitylog to get more details on the conflicting requests.",
        )


def system(machine: Body) -> str:
    """ "Windows" or "Linux"; "" when the body does not say."""
    return str(((machine["properties"].get("storageProfile") or {}).get("osDisk") or {}).get("osType") or "")


def _machine(cloud: Cloud, identifier: str, verb: str) -> Body:
    machine, kind = cloud.store.get(identifier), parse(identifier).type.partition("/")[2]
    if machine is None:
        raise refusals.refuse(
            404,
            "ParentResourceNotFound",
            f"Failed to perform '{verb}' on resource(s) of type '{kind}/extensions', because the parent resource '{identifier}' "
            "could not be found.",
        )
    return machine


def cleaned(properties: dict[str, Any]) -> dict[str, Any]:
    """The properties that are kept: no protected settings, nothing that only answers have."""
    return {name: copy.deepcopy(value) for name, value in properties.items() if name in _KEPT and value is not None}


def _one_per_handler(cloud: Cloud, machine: Body, body: Body) -> None:
    """A VM takes one extension of a publisher and type (Microsoft Learn, virtual machine error messages)."""
    for other in cloud.store.parts(EXTENSION, machine["id"]):
        if other["name"].lower() != body["name"].lower() and handler_type(other).lower() == handler_type(body).lower():
            raise refusals.refuse(
                400,
                "BadRequest",
                f"Multiple VMExtensions per handler not supported for OS type '{system(machine)}'. "
                f"VMExtension '{other['name']}' with handler '{handler_type(body)}' already added or specified in input.",
            )


def _begin(cloud: Cloud, request: Request, machine: Body, body: Body, seconds: float, then: str) -> Operation:
    """Start the operation; it is bound to fail when the VM agent does not report as it begins, or the system is the wrong one.

    Azure lets an operation succeed whose agent comes in time. This cloud does not, so that a runbook that does not wait is found out.
    """
    instance_view.forget(cloud, machine["id"], body)
    ready = instance_view.agent_ready(cloud, machine["id"])
    if cloud.extension_seconds is not None:
        least, most = cloud.extension_seconds
        seconds = least + (most - least) * cloud.chance(request.method, key(body["id"]))
    operation = cloud.operations.start(
        cloud,
        request,
        body["id"],
        seconds if ready else AGENT_PATIENCE,
        then=then,
        otherwise="compute.extension.failed",
        identifier=body["id"],
    )
    cloud.store.private(machine["id"])["operation"] = operation.name
    if operation.outcome is None:
        operation.outcome = _obstacle(cloud, machine, body, ready, installing=then == "compute.extension.installed")
    return operation


def _obstacle(cloud: Cloud, machine: Body, body: Body, ready: bool, installing: bool) -> dict[str, Any] | None:
    """How an operation will end that cannot end well. The silent agent's words are Microsoft Learn's (virtual machine error messages);
    for the wrong system the code is known from public threads, that Azure ends with it is inferred."""
    if not ready:
        return {
            "status": "Failed",
            "code": "VMAgentStatusCommunicationError",
            "message": f"VM '{machine['name']}' has not reported status for VM agent or extensions. Please verify the VM has a running "
            "VM agent, and can establish outbound connections to Azure storage.",
        }
    return hindrance(cloud, machine, body) if installing else None


def hindrance(cloud: Cloud, machine: Body, body: Body) -> dict[str, Any] | None:
    """How the run of an extension ends that is for another system, or whose access to a file has expired; None for one that runs."""
    reason = ""
    if WRONG_SYSTEM.get(handler_type(body).lower()) == system(machine).capitalize():
        reason = f"The extension does not support {system(machine)}."
    elif any(moment < cloud.clock.now for moment in _expiries(body["properties"].get("settings"))):
        reason = "403 Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly."
    if not reason:
        return None
    return {
        "status": "Failed",
        "code": "VMExtensionProvisioningError",
        "message": f"VM has reported a failure when processing extension '{body['name']}' (publisher "
        f"'{body['properties']['publisher']}' and type '{body['properties']['type']}'). Error message: '{reason}'",
    }


def _expiries(settings: Any) -> Iterator[float]:
    """When the shared access signatures in settings end (se=, Microsoft Learn), in seconds since 1970."""
    if isinstance(settings, dict | list):
        for part in settings.values() if isinstance(settings, dict) else settings:
            yield from _expiries(part)
    elif isinstance(settings, str) and "sig=" in settings:
        for text in parse_qs(urlsplit(settings).query).get("se", []):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                continue
            yield (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@effect("compute.extension.installed")
def _installed(cloud: Cloud, operation: str, identifier: str) -> None:
    body, machine = cloud.store.get(identifier), cloud.store.get(parse(identifier).parent_id)
    if body is not None and machine is not None:
        cloud.store.private(identifier)["version"] = instance_view.version_to_install(cloud, machine, body)
    _ended(cloud, identifier, "Succeeded")
    published.look_later(cloud)


@effect("compute.extension.failed")
def _failed(cloud: Cloud, operation: str, identifier: str) -> None:
    ended = cloud.operations.get(operation)
    _ended(cloud, identifier, "Failed", ((ended.error if ended else None) or {}).get("message", ""))


@effect("compute.extension.deleted")
def _deleted(cloud: Cloud, operation: str, identifier: str) -> None:
    cloud.store.delete(identifier)
    cloud.changed(parse(identifier).parent_id)


def _ended(cloud: Cloud, identifier: str, state: str, message: str = "") -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        body["properties"]["provisioningState"] = state
        cloud.store.private(identifier).update(ended=cloud.clock.now, message=message)
        cloud.changed(parse(identifier).parent_id)
