# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""machines: what one read of a virtual machine tells, and the wait for its VM agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import machines
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import (
    Identified,
    Machine,
    Machines,
    ReadyForExtensions,
    parse,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web"
READY = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready"}


def wire(
    *,
    power: str | None = "running",
    agent: dict[str, Any] | None = None,
    state: str = "Succeeded",
    status: dict[str, Any] | None = None,
    handler: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A machine with the agent under the name AMA, as Azure answers; status and handler as in the instance view."""
    view: dict[str, Any] = {"vmAgent": {"statuses": [READY if agent is None else agent], "extensionHandlers": []}, "extensions": []}
    if power:
        view["statuses"] = [{"code": "ProvisioningState/updating"}, {"code": f"PowerState/{power}"}]
    if status is not None:
        view["extensions"].append({"name": "ama", "statuses": [status] if status else []})
    if handler is not None:
        view["vmAgent"]["extensionHandlers"].append(
            {"type": "microsoft.azure.monitor.azuremonitorlinuxagent", "typeHandlerVersion": "1.33.1", "status": handler}
        )
    properties = {
        "publisher": "Microsoft.Azure.Monitor",
        "type": "AzureMonitorLinuxAgent",
        "typeHandlerVersion": "1.0",
        "provisioningState": state,
        "autoUpgradeMinorVersion": True,
    }
    return {
        "id": ID,
        "name": "web",
        "location": "West Europe",
        "resources": [{"id": f"{ID}/extensions/AMA", "name": "AMA", "properties": properties}],
        "properties": {"storageProfile": {"osDisk": {"osType": "Linux"}}, "instanceView": view},
    } | more


def test_a_healthy_agent_is_seen_with_its_installed_version() -> None:
    machine = parse(wire(status=READY, handler=READY))
    [agent] = machine.extensions
    assert (machine.location, machine.os_type, machine.ready) == ("westeurope", "linux", True)
    assert (agent.trouble, agent.failed, agent.installed, agent.version) == (None, False, "1.33.1", "1.0")
    assert agent.view()["enable_automatic_upgrade"] is False, "what is absent was never set"
    assert machine.find("microsoft.azure.monitor", "AZUREMONITORLINUXAGENT") is agent and machine.named("ama") is agent


@pytest.mark.parametrize(
    ("given", "trouble", "failed"),
    [
        ({"status": READY}, None, False),
        ({"status": READY, "handler": {"displayStatus": "Not Ready", "message": "Gone."}}, "Not Ready: Gone.", False),
        ({"status": READY, "handler": {"code": "ProvisioningState/Unresponsive", "displayStatus": "Unresponsive"}}, "Unresponsive", False),
        (
            {
                "status": {
                    "code": "ProvisioningState/failed/53",
                    "level": "Error",
                    "displayStatus": "Provisioning failed",
                    "message": "Exit 53.",
                },
                "handler": READY,
            },
            "Provisioning failed: Exit 53.",
            True,
        ),
        ({"status": READY, "handler": READY, "state": "Failed"}, "its provisioning state is Failed", True),
        ({"status": READY, "handler": READY, "state": "Canceled"}, "its provisioning state is Canceled", True),
        ({}, "the VM agent does not report it", False),
        ({"status": {}}, "the VM agent does not report it", False),
        ({"status": {}, "state": "Creating"}, None, False),
        ({"status": {}, "state": "Updating", "handler": {"displayStatus": "Not Ready"}}, None, False),
    ],
)
def test_health(given: dict[str, Any], trouble: str | None, failed: bool) -> None:
    [agent] = parse(wire(**given)).extensions
    assert (agent.trouble, agent.failed) == (trouble, failed)
    assert agent.busy is (given.get("state") in ("Creating", "Updating"))


def test_a_machine_straight_after_a_failover_has_nothing_and_is_still_understood() -> None:
    machine = parse(
        {"id": ID, "name": "web", "location": "westeurope", "properties": {"storageProfile": {"osDisk": {"osType": "Windows"}}}}
    )
    assert (machine.os_type, machine.power, machine.agent, machine.ready, machine.comes_up) == ("windows", "unknown", None, False, True)
    assert machine.extensions == () and not machine.has_identity
    assert "has not reported" in machine.condition()


@pytest.mark.parametrize(
    ("identity", "has", "own"),
    [
        (None, False, ()),
        ({"type": "None"}, False, ()),
        ({"type": "SystemAssigned"}, True, ()),
        ({"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {"/i": {}}}, True, ("/i",)),
    ],
)
def test_identities(identity: Any, has: bool, own: tuple[str, ...]) -> None:
    machine = parse(wire(identity=identity))
    assert (machine.has_identity, machine.identities) == (has, own)


@pytest.mark.parametrize(
    ("tags", "wanted", "match"),
    [
        ({"tier": "web", "app": "shop"}, ["tier:web", "app"], True),
        ({"tier": "web"}, ["tier:db"], False),
        ({"tier": "web"}, ["app"], False),
        ({"Tier": "web"}, ["tier"], True),
        ({"tier": "Web"}, ["tier:web"], False),
        ({"url": "http://x"}, ["url:http://x"], True),
        (None, ["tier"], False),
        (None, [], True),
        ({"tier": ""}, ["tier"], False),
    ],
)
def test_tags(tags: dict[str, str] | None, wanted: list[str], match: bool) -> None:
    assert machines.tagged(tags, wanted) is match


def test_ids_are_checked_and_each_machine_taken_once() -> None:
    assert [target.name for target in machines.of_ids([ID, ID.upper(), ID + "2"])] == ["WEB", "web2"]
    with pytest.raises(InputError, match="machine_ids"):
        machines.of_ids([f"{ID}/extensions/AMA"])


class Reader(Machines):
    """Gives one prepared machine after the other, the last one for ever."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__(None)
        self.answers, self.reads = list(answers), 0

    async def read(self, machine_id: str) -> Machine:
        self.reads += 1
        return self.keep(machine_id, parse(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]))


class NoWait:
    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)


def ready(reader: Reader, patience: float = 60) -> ReadyForExtensions:
    return ReadyForExtensions(NoWait(), reader, lambda machine: machine.extensions, patience)


def test_a_reading_serves_each_who_looks_once() -> None:
    reader = Reader(wire())

    async def work() -> list[int]:
        await reader.read(ID)
        reads = []
        for number in range(3):
            await reader.look(ID, "one")
            await reader.look(ID, "two")
            reads.append(reader.reads)
            del number
        return reads

    assert asyncio.run(work()) == [1, 2, 3]


def test_the_plan_waits_for_the_vm_agent_and_for_who_is_at_work() -> None:
    starting = parse(wire(agent={"displayStatus": "Not Ready"}, state="Creating"))
    step = ready(Reader(wire()))
    plan = step.plan(Target(ID, "web"), starting)
    assert [action.text for action in plan] == ["wait for the VM agent", "wait for extension AMA (Creating)"]
    assert not any(action.requests for action in plan)
    assert step.plan(Target(ID, "web"), parse(wire(status=READY))) == []


@pytest.mark.parametrize("power", ["deallocated", "stopped", "deallocating"])
def test_a_machine_that_does_not_run_is_refused_with_the_way_on(power: str) -> None:
    with pytest.raises(AzureDRError, match="Start it"):
        ready(Reader(wire())).plan(Target(ID, "web"), parse(wire(power=power)))


def test_a_machine_on_which_there_is_nothing_to_do_may_be_in_any_state() -> None:
    step = ReadyForExtensions(NoWait(), Reader(wire()), lambda machine: None, 60)
    assert step.plan(Target(ID, "web"), parse(wire(power="deallocated"))) == []


IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
SYSTEM, OTHER = {"type": "SystemAssigned"}, {"type": "UserAssigned", "userAssignedIdentities": {"/other": {}}}


@pytest.mark.parametrize(
    ("has", "named", "sent"),
    [
        (None, None, {"type": "SystemAssigned"}),
        (SYSTEM, None, None),
        (OTHER, None, None),
        (None, IDENTITY, {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}),
        (SYSTEM, IDENTITY, {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}),
        (OTHER, IDENTITY, {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}),
        ({"type": "UserAssigned", "userAssignedIdentities": {IDENTITY.upper(): {}}}, IDENTITY, None),
    ],
)
def test_a_missing_identity_is_assigned_beside_those_that_are_there(has: Any, named: str | None, sent: Any) -> None:
    machine, target = parse(wire(identity=has)), Target(ID, "web")

    def step(assign: bool) -> Identified:
        return Identified(None, Reader(wire()), lambda machine: [named] if named else [], assign)

    plan = step(True).plan(target, machine)
    assert [action.data for action in plan] == ([sent] if sent else [])
    foreseen = step(True).wanted(target, machine)["identity"]["user_assigned"]
    assert len(foreseen) == len(machine.identities) + bool(sent and named)
    if sent and named:
        with pytest.raises(AzureDRError, match="not assigned"):
            step(False).plan(target, machine)
    else:
        assert step(False).plan(target, machine) == []


def test_waits_until_the_agent_is_there_or_its_time_is_up() -> None:
    away = wire(power="starting", agent={"displayStatus": "Not Ready", "message": "No blob."})
    reader = Reader(away, away, wire())
    [action] = ready(reader).plan(Target(ID, "web"), parse(away))
    asyncio.run(ready(reader).apply(Target(ID, "web"), action, 60))
    assert reader.reads == 3
    with pytest.raises(TimedOut, match="No blob"):
        asyncio.run(ready(Reader(away), patience=0).apply(Target(ID, "web"), action, 60))
