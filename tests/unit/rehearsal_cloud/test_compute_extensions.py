# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Extensions of virtual machines, as a client sees them."""

from __future__ import annotations

import json

import pytest
from rehearsal_cloud.cloud import Request

GROUP = "/subscriptions/s1/resourceGroups/Web"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web01"
AMA = f"{VM}/extensions/AMA"
DAY = 86400


def machine(system="Linux", **properties):
    disk = {"osType": system, "name": "web01-os"}
    return {"id": VM, "location": "westus", "properties": {"storageProfile": {"osDisk": disk}, **properties}}


def extension(kind="AzureMonitorLinuxAgent", publisher="Microsoft.Azure.Monitor", **properties):
    return {"location": "westus", "properties": {"publisher": publisher, "type": kind, "typeHandlerVersion": "1.0", **properties}}


def status_of(inside, name="AMA"):
    view = inside.body(f"{VM}/instanceView")
    return next((entry for entry in view.get("extensions", []) if entry["name"] == name), None)


def test_an_installation_is_followed_to_its_end(inside):
    inside.cloud.seed([machine()])
    answer = inside.send("PUT", AMA, extension(settings={"a": 1}, protectedSettings={"key": "hush"}))
    assert answer.status == 201
    assert answer.body["properties"]["provisioningState"] == "Creating"
    assert "location" not in answer.headers
    assert inside.operation(answer)["status"] == "InProgress"
    assert status_of(inside) == {"name": "AMA"}

    inside.later(DAY)
    ended = inside.operation(answer)
    assert ended["status"] == "Succeeded"
    assert ended["endTime"] > ended["startTime"]
    assert "error" not in ended
    assert inside.body(AMA)["properties"] == {
        "provisioningState": "Succeeded",
        "autoUpgradeMinorVersion": False,
        "publisher": "Microsoft.Azure.Monitor",
        "type": "AzureMonitorLinuxAgent",
        "typeHandlerVersion": "1.0",
        "settings": {"a": 1},
    }
    assert status_of(inside)["statuses"][0]["displayStatus"] == "Provisioning succeeded"
    assert inside.body(f"{VM}/instanceView")["vmAgent"]["extensionHandlers"][0]["type"] == "Microsoft.Azure.Monitor.AzureMonitorLinuxAgent"
    assert [one["name"] for one in inside.body(VM)["resources"]] == ["AMA"]
    assert [one["name"] for one in inside.body(f"{VM}/extensions")["value"]] == ["AMA"]


def test_writes_can_take_a_time_from_a_range(inside):
    inside.cloud.extension_seconds = (20.0, 90.0)
    identifiers = [VM.replace("web01", f"web{number:02}") for number in range(20)]
    inside.cloud.seed([machine() | {"id": identifier, "name": identifier[-5:]} for identifier in identifiers])
    begun = [inside.send("PUT", f"{identifier}/extensions/AMA", extension()) for identifier in identifiers]
    inside.later(19)
    assert {inside.operation(answer)["status"] for answer in begun} == {"InProgress"}
    inside.later(36)
    assert {inside.operation(answer)["status"] for answer in begun} == {"InProgress", "Succeeded"}
    inside.later(36)
    assert {inside.operation(answer)["status"] for answer in begun} == {"Succeeded"}


def test_protected_settings_are_nowhere(inside):
    inside.cloud.seed([machine()])
    inside.send("PUT", AMA, extension(protectedSettings={"key": "hush"}))
    inside.later(DAY)
    inside.send("PATCH", AMA, {"properties": {"protectedSettings": {"key": "hush"}}})
    assert "hush" not in json.dumps(inside.cloud.dump())


def test_automatic_upgrade_is_on_by_default_in_new_versions_only(inside):
    inside.cloud.seed([machine()])
    for version, expected in (("2024-11-01", None), ("2025-04-01", True)):
        inside.send("PUT", AMA, extension(), version=version)
        inside.later(DAY)
        assert inside.body(AMA)["properties"].get("enableAutomaticUpgrade") is expected
    inside.send("PUT", AMA, extension(enableAutomaticUpgrade=False), version="2025-04-01")
    assert inside.body(AMA)["properties"]["enableAutomaticUpgrade"] is False


def test_an_update_and_a_patch_answer_200_and_take_their_time(inside):
    inside.cloud.seed([machine()])
    inside.send("PUT", AMA, extension())
    inside.later(DAY)
    for method, body in (("PUT", extension()), ("PATCH", {"properties": {"enableAutomaticUpgrade": True}})):
        answer = inside.send(method, AMA, body)
        assert answer.status == 200
        assert answer.body["properties"]["provisioningState"] == "Updating"
        inside.later(DAY)
        assert inside.operation(answer)["status"] == "Succeeded"
    assert inside.body(AMA)["properties"]["enableAutomaticUpgrade"] is True


def test_a_deletion_is_an_operation_and_a_second_one_finds_nothing(inside):
    inside.cloud.seed([machine()])
    inside.send("PUT", AMA, extension())
    inside.later(DAY)
    answer = inside.send("DELETE", AMA)
    assert answer.status == 202
    assert answer.body is None
    assert "monitor=true" in answer.headers["location"]
    assert inside.body(AMA)["properties"]["provisioningState"] == "Deleting"
    inside.later(DAY)
    assert inside.operation(answer)["status"] == "Succeeded"
    assert inside.send("GET", AMA).status == 404
    assert inside.send("DELETE", AMA).status == 204
    assert status_of(inside) is None


def test_one_write_at_a_time(inside):
    inside.cloud.seed([machine()])
    inside.send("PUT", AMA, extension())
    other = f"{VM}/extensions/other"
    for method, path, body in (("PUT", other, extension("CustomScript")), ("DELETE", AMA, None), ("POST", f"{VM}/restart", None)):
        answer = inside.send(method, path, body)
        assert (answer.status, answer.body["error"]["code"]) == (409, "Conflict")
        assert "retry-after" not in answer.headers
    inside.later(DAY)
    assert inside.send("DELETE", AMA).status == 202


def test_no_writes_while_the_agent_does_not_report(inside):
    inside.cloud.seed([machine()])
    inside.send("POST", f"{VM}/restart")
    inside.later(16)
    assert inside.body(f"{VM}/instanceView")["vmAgent"]["statuses"][0]["displayStatus"] == "Not Ready"
    answer = inside.send("PUT", AMA, extension())
    inside.later(DAY)
    ended = inside.operation(answer)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "VMAgentStatusCommunicationError")
    assert inside.body(AMA)["properties"]["provisioningState"] == "Failed"
    assert status_of(inside)["statuses"][0]["displayStatus"] == "Provisioning failed"
    assert inside.operation(inside.send("PUT", AMA, extension()))["status"] == "InProgress"
    inside.later(DAY)
    assert inside.body(AMA)["properties"]["provisioningState"] == "Succeeded"


def test_no_writes_on_a_machine_that_is_off(inside):
    inside.cloud.seed([machine(instanceView={"statuses": [{"code": "PowerState/deallocated"}]})])
    answer = inside.send("PUT", AMA, extension())
    assert (answer.status, answer.body["error"]["code"]) == (409, "OperationNotAllowed")
    assert inside.send("GET", AMA).status == 404


def test_the_agent_of_the_other_system_fails(inside):
    inside.cloud.seed([machine()])
    answer = inside.send("PUT", AMA, extension("AzureMonitorWindowsAgent"))
    inside.later(DAY)
    assert inside.operation(answer)["status"] == "Failed"
    assert inside.body(AMA)["properties"]["provisioningState"] == "Failed"


def test_a_handler_has_one_extension(inside):
    inside.cloud.seed([machine()])
    inside.send("PUT", AMA, extension())
    inside.later(DAY)
    answer = inside.send("PUT", f"{VM}/extensions/second", extension())
    assert answer.status == 400
    assert "Multiple VMExtensions per handler" in answer.body["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"publisher": "P", "type": "T", "typeHandlerVersion": "1.0"}},
        {"location": "westus", "properties": {"publisher": "P", "typeHandlerVersion": "1.0"}},
    ],
)
def test_what_is_incomplete_is_refused(inside, body):
    inside.cloud.seed([machine()])
    assert inside.send("PUT", AMA, body).status == 400


def test_without_its_machine_there_is_no_extension(inside):
    assert inside.send("PUT", AMA, extension()).body["error"]["code"] == "ParentResourceNotFound"


def test_an_estate_can_hold_an_unresponsive_agent_that_a_new_installation_heals(inside):
    """The resource says Succeeded, the instance view knows better."""
    kind = "Microsoft.Azure.Monitor.AzureMonitorLinuxAgent"
    ready = {"code": "ProvisioningState/succeeded", "displayStatus": "Ready"}
    view = {
        "vmAgent": {
            "vmAgentVersion": "2.11",
            "statuses": [ready],
            "extensionHandlers": [{"type": kind, "status": {"code": "ProvisioningState/Unavailable", "displayStatus": "Not Ready"}}],
        },
        "extensions": [{"name": "AMA", "type": kind, "statuses": [{"code": "ProvisioningState/failed/1", "level": "Error"}]}],
    }
    old = {"id": AMA, "name": "AMA", "properties": {**extension()["properties"], "provisioningState": "Succeeded"}}
    inside.cloud.seed([{**machine(instanceView=view), "resources": [old]}])

    assert inside.body(AMA)["properties"]["provisioningState"] == "Succeeded"
    assert status_of(inside)["statuses"][0]["level"] == "Error"
    handlers = inside.body(VM, **{"$expand": "instanceView"})["properties"]["instanceView"]["vmAgent"]["extensionHandlers"]
    assert [one["status"]["displayStatus"] for one in handlers] == ["Not Ready"]

    inside.send("DELETE", AMA)
    inside.later(DAY)
    assert inside.body(f"{VM}/instanceView")["vmAgent"]["extensionHandlers"] == []
    inside.send("PUT", AMA, extension())
    inside.later(DAY)
    handlers = inside.body(f"{VM}/instanceView")["vmAgent"]["extensionHandlers"]
    assert [one["status"]["displayStatus"] for one in handlers] == ["Ready"]


def test_an_extension_shows_its_own_instance_view(inside):
    inside.cloud.seed([machine()])
    inside.send("PUT", AMA, extension())
    inside.later(DAY)
    view = inside.body(AMA, **{"$expand": "instanceView"})["properties"]["instanceView"]
    assert view["statuses"][0]["code"] == "ProvisioningState/succeeded"
    assert "instanceView" not in inside.body(AMA)["properties"]


def test_a_fault_rule_ends_the_operation(inside):
    inside.cloud.seed([machine()])
    answer = inside.cloud.handle(Request("PUT", AMA, {"api-version": "2024-07-01"}, {}, extension(), outcome={"code": "Boom"}))
    inside.later(DAY)
    assert inside.operation(answer)["error"]["code"] == "Boom"
    assert inside.body(AMA)["properties"]["provisioningState"] == "Failed"
