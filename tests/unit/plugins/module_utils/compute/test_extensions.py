# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""extensions: what is missing for a wanted extension, what is sent for it, and what is kept before it is removed."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extensions import Change, Extensions, Seen, Wanted, changes
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Machine, Machines, parse
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
SECRET = {"key": "sentinel-protected"}
AGENT = Wanted(
    "Microsoft.Azure.Monitor", "AzureMonitorLinuxAgent", os_type="linux", auto_upgrade_minor_version=True, enable_automatic_upgrade=True
)


def machine(*found: dict[str, Any], os_type: str = "Linux", identities: tuple[str, ...] = ()) -> Machine:
    """A machine with the extensions given as {name, type, ...properties}; healthy unless their status says otherwise."""
    resources, entries = [], []
    for one in found:
        properties = {
            "publisher": "Microsoft.Azure.Monitor",
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "enableAutomaticUpgrade": True,
            "provisioningState": "Succeeded",
        } | one
        name, status = properties.pop("name"), properties.pop("status", {"code": "ProvisioningState/succeeded", "displayStatus": "Ready"})
        resources.append({"id": f"{ID}/extensions/{name}", "name": name, "properties": properties})
        entries.append({"name": name, "statuses": [status]})
    return parse(
        {
            "id": ID,
            "name": "web",
            "location": "westeurope",
            "resources": resources,
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {one: {} for one in identities}},
            "properties": {
                "storageProfile": {"osDisk": {"osType": os_type}},
                "instanceView": {
                    "vmAgent": {"statuses": [{"displayStatus": "Ready"}]},
                    "extensions": entries,
                    "statuses": [{"code": "PowerState/running"}],
                },
            },
        }
    )


def agent(name: str = "AMA", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "AzureMonitorLinuxAgent"} | more


FAILED = {"status": {"code": "ProvisioningState/failed/1", "level": "Error", "displayStatus": "Provisioning failed"}}


def planned(wanted: Wanted, where: Machine, written: bool = False) -> list[str]:
    return [change.text for change in changes(wanted, where, written)]


@pytest.mark.parametrize(
    ("found", "wanted", "texts"),
    [
        ([], AGENT, ["install extension AzureMonitorLinuxAgent"]),
        ([], Wanted(AGENT.publisher, AGENT.type, "mine"), ["install extension mine"]),
        ([agent()], AGENT, []),
        ([agent(publisher="MICROSOFT.AZURE.MONITOR", type="azuremonitorlinuxagent")], AGENT, []),
        ([agent(**FAILED)], AGENT, ["remove extension AMA (Provisioning failed)", "install extension AMA"]),
        ([agent(provisioningState="Failed")], AGENT, ["remove extension AMA (its provisioning state is Failed)", "install extension AMA"]),
        ([agent(provisioningState="Updating")], AGENT, ["wait for extension AMA (Updating)"]),
        ([agent()], Wanted(AGENT.publisher, AGENT.type, reinstall="always"), ["remove extension AMA", "install extension AMA"]),
        ([agent(enableAutomaticUpgrade=False)], AGENT, ["update extension AMA (enableAutomaticUpgrade)"]),
        ([agent(typeHandlerVersion="1.5")], AGENT, []),
        (
            [agent(typeHandlerVersion="1.5")],
            Wanted(AGENT.publisher, AGENT.type, type_handler_version="1.6"),
            ["update extension AMA (typeHandlerVersion)"],
        ),
        ([agent(settings={"a": 1})], AGENT, []),
        ([agent(settings={"a": 1})], Wanted(AGENT.publisher, AGENT.type, settings={}), ["update extension AMA (settings)"]),
        ([agent()], Wanted(AGENT.publisher, AGENT.type, protected_settings=SECRET), []),
        ([agent()], Wanted(AGENT.publisher, AGENT.type, state="absent"), ["remove extension AMA"]),
        ([], Wanted(AGENT.publisher, AGENT.type, state="absent"), []),
    ],
)
def test_what_is_missing(found: list[dict[str, Any]], wanted: Wanted, texts: list[str]) -> None:
    assert planned(wanted, machine(*found)) == texts


def test_what_this_run_has_installed_is_only_waited_for() -> None:
    always = Wanted(AGENT.publisher, AGENT.type, reinstall="always")
    assert planned(always, machine(agent()), written=True) == []
    lagging = machine(agent(status={"displayStatus": "Not Ready", "level": "Error"}))
    assert planned(AGENT, lagging, written=True) == ["wait for extension AMA (Not Ready)"]


def test_a_name_that_another_extension_has_is_refused() -> None:
    with pytest.raises(AzureDRError, match="taken"):
        planned(Wanted(AGENT.publisher, AGENT.type, "ama"), machine({"name": "AMA", "type": "Other"}))


def test_a_put_always_says_both_upgrade_flags_and_keeps_what_was_not_asked() -> None:
    new = Wanted("P", "T").properties(None)
    assert new == {
        "publisher": "P",
        "type": "T",
        "typeHandlerVersion": "1.0",
        "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": False,
    }
    [found] = machine(agent(typeHandlerVersion="1.9", settings={"a": 1}, suppressFailures=True)).extensions
    kept = Wanted(AGENT.publisher, AGENT.type).properties(found)
    assert kept | {"publisher": "", "type": ""} == {
        "publisher": "",
        "type": "",
        "typeHandlerVersion": "1.9",
        "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": True,
        "settings": {"a": 1},
        "suppressFailures": True,
    }


def test_the_identity_goes_into_the_settings_beside_what_is_there() -> None:
    wanted = Wanted(AGENT.publisher, AGENT.type, identity=IDENTITY)
    authentication = {"managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": IDENTITY}}
    [found] = machine(agent(settings={"proxy": 1})).extensions
    assert wanted.asked_settings(found) == {"proxy": 1, "authentication": authentication}
    lower = {"managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": IDENTITY.lower()}}
    assert planned(wanted, machine(agent(settings={"authentication": lower}), identities=(IDENTITY,))) == []


def test_the_agent_of_the_other_operating_system_is_never_wanted() -> None:
    step = Extensions(None, Machines(None), extensions.by_system(extensions.agents("present")), "/nowhere")
    target = Target(ID, "web")
    wrong = machine(agent(), os_type="Windows")
    assert [action.text for action in step.plan(target, Seen(wrong, frozenset()))] == [
        "remove extension AMA",
        "install extension AzureMonitorWindowsAgent",
    ]
    assert step.plan(target, Seen(machine(agent()), frozenset())) == []


def test_absent_has_nothing_to_do_on_a_machine_without_any_of_them() -> None:
    step = Extensions(None, Machines(None), extensions.by_system(extensions.agents("absent")), "/nowhere")
    assert step.chosen(machine()) is None and step.chosen(machine(agent()))
    assert step.plan(Target(ID, "web"), Seen(machine(), frozenset())) == []


def test_the_view_names_legacy_agents() -> None:
    step = Extensions(None, Machines(None), extensions.by_system(extensions.agents("present")), "/nowhere")
    legacy = {"name": "oms", "publisher": "Microsoft.EnterpriseCloud.Monitoring", "type": "OmsAgentForLinux"}
    view = step.view(Seen(machine(legacy), frozenset()))
    assert view == {"agent": None, "extensions": [], "legacy_agents": ["oms"]}


def option(**more: Any) -> dict[str, Any]:
    names = ("name", "type_handler_version", "auto_upgrade_minor_version", "enable_automatic_upgrade", "settings", "protected_settings")
    given = {"publisher": "P", "type": "T", "os_type": "any", "state": "present", "reinstall": "when_unhealthy"}
    return dict.fromkeys(names) | given | more


def test_the_option_extensions() -> None:
    [one] = extensions.others([option(os_type="linux", settings={"a": 1})], "present")
    assert one == Wanted("P", "T", os_type="linux", settings={"a": 1})
    assert [each.state for each in extensions.others([option()], "absent")] == ["absent"]
    assert len(extensions.others([option(os_type="linux"), option(os_type="windows")], "present")) == 2
    agent_too = option(publisher="microsoft.azure.monitor", type="AzureMonitorLinuxAgent")
    for wrong in ([option(), option(os_type="linux", type="t")], [agent_too]):
        with pytest.raises(InputError):
            extensions.others(wrong, "present")


def test_secrets_are_in_no_repr() -> None:
    wanted = Wanted("P", "T", protected_settings=SECRET)
    step = Extensions(None, Machines(None), extensions.by_system([wanted]), "/nowhere")
    [action] = step.plan(Target(ID, "web"), Seen(machine(), frozenset()))
    assert "sentinel" not in repr(action) + repr(step.wanted(Target(ID, "web"), Seen(machine(), frozenset())))


def test_a_backup_is_for_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    [found] = machine(agent(settings={"a": 1})).extensions
    files = {extensions.back_up(found, tmp_path / "new" / "folder") for number in range(3)}
    assert len(files) == 3 and {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert json.loads(files.pop().read_text()) == found.resource


class FakeAzure:
    """Takes writes; answers them with the troubles given, one after the other."""

    def __init__(self, *troubles: AzureError | None) -> None:
        self.troubles, self.sent, self.paused = list(troubles), list[Any](), list[float]()

    def compute(self, subscription: str) -> FakeAzure:
        return self

    @property
    def virtual_machine_extensions(self) -> FakeAzure:
        return self

    def begin_create_or_update(self, *args: Any, polling: Any) -> None:
        self.sent.append(("PUT", *args))

    def begin_update(self, *args: Any, polling: Any) -> None:
        self.sent.append(("PATCH", *args))

    def begin_delete(self, *args: Any, polling: Any) -> None:
        self.sent.append(("DELETE", *args))

    async def run(self, asked: str, resource_id: str, begin: Callable[..., Any], timeout: float) -> None:
        begin(polling=None)
        if self.troubles and (trouble := self.troubles.pop(0)):
            raise trouble

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)


def apply(azure: FakeAzure, wanted: Wanted, where: Machine, folder: Path, seconds: float = 1000) -> Extensions:
    known = Machines(azure)
    known.known[ID.lower()] = where
    step = Extensions(azure, known, extensions.by_system([wanted]), str(folder))
    for action in step.plan(Target(ID, "web"), Seen(where, frozenset())):
        asyncio.run(step.apply(Target(ID, "web"), action, seconds))
    return step


def test_what_is_sent(tmp_path: Path) -> None:
    azure = FakeAzure()
    wanted = Wanted(AGENT.publisher, AGENT.type, protected_settings=SECRET, enable_automatic_upgrade=True)
    step = apply(azure, wanted, machine(agent(**FAILED)), tmp_path)
    place = ("g", "web", "AMA")
    assert azure.sent[0] == ("DELETE", *place) and azure.sent[1][:4] == ("PUT", *place)
    assert azure.sent[1][4] == {"location": "westeurope", "properties": wanted.properties(None) | {"protectedSettings": SECRET}}
    assert [backup["id"] for backup in step.backups] == [f"{ID}/extensions/AMA"]
    azure = FakeAzure()
    apply(azure, wanted, machine(agent(enableAutomaticUpgrade=False)), tmp_path)
    assert azure.sent == [
        ("PATCH", *place, {"properties": {"autoUpgradeMinorVersion": True, "enableAutomaticUpgrade": True, "protectedSettings": SECRET}})
    ]


def test_who_is_in_the_way_is_waited_out_and_a_refusal_is_told(tmp_path: Path) -> None:
    conflict = AzureError("install", ID, status=409, code="Conflict")
    azure = FakeAzure(conflict, AzureError("install", ID, code="OperationPreempted", accepted=True))
    apply(azure, AGENT, machine(), tmp_path)
    assert len(azure.sent) == 3 and azure.paused == sorted(azure.paused)
    with pytest.raises(AzureError, match="Conflict"):
        apply(FakeAzure(*[conflict] * 99), AGENT, machine(), tmp_path, seconds=1)
    refused = FakeAzure(AzureError("install", ID, status=409, code="OperationNotAllowed"))
    with pytest.raises(AzureError, match="OperationNotAllowed"):
        apply(refused, AGENT, machine(), tmp_path)
    assert refused.paused == []


def test_a_change_says_what_and_why() -> None:
    assert Change("remove", AGENT, "AMA", why="Not Ready").text == "remove extension AMA (Not Ready)"
