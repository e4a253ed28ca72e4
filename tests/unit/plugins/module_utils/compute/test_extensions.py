# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""extensions: what is missing for a wanted extension, what is sent for it, and what is kept before it is removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extensions import Change, Extensions, Seen, Wanted, changes
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Machine, Machines, parse
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target, View
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal

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


def journal(folder: Path | str) -> Journal:
    return Journal.open(folder, "ama_reinstall", "https://cloud")


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
    step = Extensions(None, Machines(None), extensions.by_system(extensions.agents("present")), journal("/nowhere"))
    target = Target(ID, "web")
    wrong = machine(agent(), os_type="Windows")
    assert [action.text for action in step.plan(target, Seen(wrong, frozenset()))] == [
        "remove extension AMA",
        "install extension AzureMonitorWindowsAgent",
    ]
    assert step.plan(target, Seen(machine(agent()), frozenset())) == []


def test_absent_has_nothing_to_do_on_a_machine_without_any_of_them() -> None:
    step = Extensions(None, Machines(None), extensions.by_system(extensions.agents("absent")), journal("/nowhere"))
    assert step.chosen(machine()) is None and step.chosen(machine(agent()))
    assert step.plan(Target(ID, "web"), Seen(machine(), frozenset())) == []


def test_the_view_names_legacy_agents() -> None:
    step = Extensions(None, Machines(None), extensions.by_system(extensions.agents("present")), journal("/nowhere"))
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
    step = Extensions(None, Machines(None), extensions.by_system([wanted]), journal("/nowhere"))
    [action] = step.plan(Target(ID, "web"), Seen(machine(), frozenset()))
    assert "sentinel" not in repr(action) + repr(step.wanted(Target(ID, "web"), Seen(machine(), frozenset())))


class FakeAzure:
    """Takes writes; answers them with the troubles given, one after the other."""

    def __init__(self, *troubles: AzureError | None) -> None:
        self.troubles, self.sent, self.paused = list(troubles), list[Any](), list[float]()

    def compute(self, subscription: str) -> FakeAzure:
        return self

    @property
    def virtual_machine_extensions(self) -> FakeAzure:
        return self

    @property
    def virtual_machines(self) -> FakeAzure:
        return self

    def get(self, *args: Any, expand: str) -> None:
        return None

    async def read(self, asked: str, resource_id: str, get: Any) -> View:
        return {"id": resource_id, "name": "web", "properties": {"storageProfile": {"osDisk": {"osType": "Linux"}}}}

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
    step = Extensions(azure, known, extensions.by_system([wanted]), journal(folder))
    for action in step.plan(Target(ID, "web"), Seen(where, frozenset())):
        asyncio.run(step.apply(Target(ID, "web"), action, seconds))
    return step


def test_what_is_sent(tmp_path: Path) -> None:
    azure = FakeAzure()
    wanted = Wanted(AGENT.publisher, AGENT.type, protected_settings=SECRET, enable_automatic_upgrade=True)
    apply(azure, wanted, machine(agent(**FAILED)), tmp_path)
    place = ("g", "web", "AMA")
    assert azure.sent[0] == ("DELETE", *place) and azure.sent[1][:4] == ("PUT", *place)
    assert azure.sent[1][4] == {"location": "westeurope", "properties": wanted.properties(None) | {"protectedSettings": SECRET}}
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


def left_removed(folder: Path, found: Machine, wanted: Wanted = AGENT) -> View:
    """What the journal keeps of a run that removed the extension and was killed then."""

    async def run() -> View:
        killed = journal(folder)
        step = Extensions(None, Machines(None), extensions.by_system([wanted]), killed)
        remove = step.plan(Target(ID, "web"), Seen(found, frozenset()))[0]
        async with killed.sent(ID, remove.text, remove.requests, remove.lost):
            pass
        await killed.close()
        return remove.lost or {}

    return asyncio.run(run())


def seen_now(folder: Path, where: Machine, wanted: Wanted = AGENT) -> tuple[Extensions, Seen]:
    known = Machines(None)
    known.keep(ID, where)
    step = Extensions(None, known, extensions.by_system([wanted]), journal(folder))
    return step, asyncio.run(step.observe(Target(ID, "web")))


OLD = {"settings": {"proxy": 1}, "typeHandlerVersion": "1.9", "suppressFailures": True, "enableAutomaticUpgrade": False}


def test_what_a_killed_run_took_away_is_given_back_as_it_was(tmp_path: Path) -> None:
    left_removed(tmp_path, machine(agent(**OLD, **FAILED)), Wanted(AGENT.publisher, AGENT.type))
    step, seen = seen_now(tmp_path, machine(), Wanted(AGENT.publisher, AGENT.type, "mine"))
    [install] = step.plan(Target(ID, "web"), seen)
    assert install.text.startswith("install extension AMA (as it was before run ") and install.requests[0][1].endswith("/AMA")
    assert {name: install.data.properties[name] for name in OLD} == OLD
    assert step.wanted(Target(ID, "web"), seen)["agent"]["settings"] == {"proxy": 1}


def test_a_run_knows_what_it_has_removed_itself(tmp_path: Path) -> None:
    async def run() -> list[str]:
        known, own = Machines(None), journal(tmp_path)
        step = Extensions(None, known, extensions.by_system([AGENT]), own)
        remove = step.plan(Target(ID, "web"), Seen(machine(agent(**FAILED)), frozenset()))[0]
        async with own.sent(ID, remove.text, remove.requests, remove.lost):
            known.keep(ID, machine())
        planned = step.plan(Target(ID, "web"), await step.observe(Target(ID, "web")))
        await own.close()
        return [path for action in planned for _method, path in action.requests]

    assert asyncio.run(run()) == [f"{ID}/extensions/AMA"]


def test_what_the_user_asks_for_goes_before_what_was_there(tmp_path: Path) -> None:
    left_removed(tmp_path, machine(agent(**OLD, **FAILED)))
    wish = Wanted(AGENT.publisher, AGENT.type, type_handler_version="1.10", settings={"new": 1}, enable_automatic_upgrade=True)
    step, seen = seen_now(tmp_path, machine(), wish)
    properties = step.plan(Target(ID, "web"), seen)[0].data.properties
    assert (properties["typeHandlerVersion"], properties["settings"], properties["enableAutomaticUpgrade"]) == ("1.10", {"new": 1}, True)
    assert properties["suppressFailures"] is True


@pytest.mark.parametrize(
    ("where", "wanted", "texts"),
    [
        (machine(agent("by hand")), AGENT, []),
        (replace(machine(), vm_id="another machine"), AGENT, ["install extension AzureMonitorLinuxAgent"]),
        (machine({"name": "AMA", "type": "Other"}), AGENT, ["install extension AzureMonitorLinuxAgent"]),
        (machine(), replace(AGENT, state="absent"), []),
    ],
    ids=["somebody installed it", "the machine is another one", "its name was taken", "nobody wants it"],
)
def test_the_latest_facts_go_before_the_journal(tmp_path: Path, where: Machine, wanted: Wanted, texts: list[str]) -> None:
    lost = left_removed(tmp_path, machine(agent(**FAILED)))
    step, seen = seen_now(tmp_path, where, wanted)
    assert [action.text for action in step.plan(Target(ID, "web"), seen)] == texts
    assert step.made_good(Target(ID, "web"), seen, lost) is (where.named("AMA") is None)


def test_what_was_to_go_is_not_brought_back(tmp_path: Path) -> None:
    lost = left_removed(tmp_path, machine(agent()), replace(AGENT, state="absent"))
    step, seen = seen_now(tmp_path, machine())
    assert [action.text for action in step.plan(Target(ID, "web"), seen)] == ["install extension AzureMonitorLinuxAgent"]
    assert lost["extension"]["name"] == "AMA" and step.made_good(Target(ID, "web"), seen, lost)


def test_what_is_still_gone_and_wanted_stays_open(tmp_path: Path) -> None:
    lost = left_removed(tmp_path, machine(agent(**FAILED)))
    other = Wanted("P", "T")
    step, seen = seen_now(tmp_path, machine({"name": "t", "publisher": "P", "type": "T"}), other)
    assert step.plan(Target(ID, "web"), seen) == [] and not step.made_good(Target(ID, "web"), seen, lost)
