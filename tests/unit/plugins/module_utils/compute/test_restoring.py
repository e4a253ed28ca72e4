# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""restoring: what is recorded of a machine's extensions, and what another machine gets of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions, restoring
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extensions import Secrets, Wanted
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Machine, parse
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.restoring import Restoring, Wishes, ordered, record

Body = dict[str, Any]
GROUP = "/subscriptions/s/resourceGroups/g/providers"
ID, IDENTITY = f"{GROUP}/Microsoft.Compute/virtualMachines/web", f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/id"
AMA, SCRIPT = "Microsoft.Azure.Monitor.AzureMonitorLinuxAgent", "Microsoft.Azure.Extensions.CustomScript"


def machine(*resources: Body) -> Machine:
    return parse(
        {
            "id": ID,
            "name": "web",
            "location": "westeurope",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
            "resources": list(resources),
            "properties": {"storageProfile": {"osDisk": {"osType": "Linux"}}},
        }
    )


def resource(name: str, kind: str, tags: Body | None = None, **properties: Any) -> Body:
    publisher, _dot, type_name = kind.rpartition(".")
    properties = {"publisher": publisher, "type": type_name, "typeHandlerVersion": "1.0", "provisioningState": "Succeeded"} | properties
    return {"id": f"{ID}/extensions/{name}", "name": name, "properties": properties} | ({"tags": tags} if tags else {})


def recorded(name: str, kind: str, settings: Body | None = None, **more: Any) -> Body:
    publisher, _dot, type_name = kind.rpartition(".")
    asked = {"type_handler_version": "1.0", "auto_upgrade_minor_version": True, "enable_automatic_upgrade": False, "tags": {}}
    return {"name": name, "publisher": publisher, "type": type_name, "settings": settings or {}} | asked | more


def restored(*found: Body, os_type: str = "linux", **wishes: Any) -> restoring.Restored:
    return Wishes(**wishes).restored(found, os_type)


def test_a_record_holds_all_that_azure_tells_of_how_an_extension_was_asked_for() -> None:
    kept = {
        "forceUpdateTag": "2",
        "suppressFailures": True,
        "provisionAfterExtensions": ["b"],
        "protectedSettingsFromKeyVault": {"secretUrl": "u"},
    }
    found = record(machine(resource("a", "P.T", {"owner": "me"}, settings={"z": {"y": [1, "2"]}}, enableAutomaticUpgrade=True, **kept)))
    assert found["extensions"] == [
        {
            "name": "a",
            "publisher": "P",
            "type": "T",
            "type_handler_version": "1.0",
            "auto_upgrade_minor_version": False,
            "enable_automatic_upgrade": True,
            "settings": {"z": {"y": [1, "2"]}},
            "force_update_tag": "2",
            "suppress_failures": True,
            "provision_after_extensions": ["b"],
            "protected_settings_from_key_vault": {"secretUrl": "u"},
            "tags": {"owner": "me"},
        }
    ]
    assert (found["region"], found["os_type"], found["identity"]["user_assigned"]) == ("westeurope", "linux", [IDENTITY])
    [wanted] = restored(*found["extensions"]).wanted
    assert wanted.properties(None) == {
        "publisher": "P",
        "type": "T",
        "typeHandlerVersion": "1.0",
        "autoUpgradeMinorVersion": False,
        "enableAutomaticUpgrade": True,
        "settings": {"z": {"y": [1, "2"]}},
    } | kept | {"provisionAfterExtensions": ["b"]}
    assert (wanted.name, wanted.tags) == ("a", {"owner": "me"})


@pytest.mark.parametrize(
    ("after", "order"),
    [({}, "abc"), ({"a": ["c"]}, "bca"), ({"a": ["B"], "b": ["c"]}, "cba"), ({"a": ["gone"]}, "abc"), ({"a": ["b"], "b": ["a"]}, "cab")],
)
def test_extensions_come_in_azures_order_and_none_before_those_it_is_to_come_after(after: Body, order: str) -> None:
    found = ordered([recorded(name, f"P.{name}", provision_after_extensions=after.get(name)) for name in "abc"])
    assert "".join(one["name"] for one in found) == order


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("Microsoft.Azure.RecoveryServices.SiteRecovery.Linux", "Mobility"),
        ("microsoft.azure.recoveryservices.VMSNAPSHOTLINUX", "Backup"),
        ("Microsoft.Azure.Security.AzureDiskEncryption", "encrypt"),
        ("Microsoft.CPlat.Core.LinuxPatchExtension", "Update Manager"),
        ("Microsoft.EnterpriseCloud.Monitoring.OmsAgentForLinux", "retired"),
    ],
)
def test_what_must_not_be_copied_is_left_out_with_the_reason_unless_it_is_asked_for(kind: str, why: str) -> None:
    found = restored(recorded("x", kind), recorded("y", "P.T", provision_after_extensions=["X", "z"]))
    assert [one.name for one in found.wanted] == ["y"] and found.wanted[0].kept == {"provisionAfterExtensions": ["z"]}
    assert [(one["name"], why in reason) for one, reason in found.left_out] == [("x", True)]
    publisher, _dot, type_name = kind.rpartition(".")
    forced = restored(recorded("x", kind), others=[Wanted(publisher, type_name, type_handler_version="2.0")])
    assert [(one.name, one.type_handler_version) for one in forced.wanted] == [("x", "2.0")] and not forced.left_out


@pytest.mark.parametrize("text", ["p.t", "NAME"])
def test_what_the_user_leaves_out_is_left_out(text: str) -> None:
    found = restored(recorded("name", "P.T"), leave_out=[text])
    assert not found.wanted and "asked to be left out" in found.left_out[0][1]


def test_what_is_asked_for_goes_over_what_is_recorded_or_is_added() -> None:
    agents = extensions.agents("present", enable_automatic_upgrade=True)
    more = [Wanted("P", "T", settings={"b": 2}), Wanted("P", "New", type_handler_version="1.0"), Wanted("P", "Off", state="absent")]
    found = restored(recorded("mine", AMA, {"a": 1}), recorded("t", "P.T", {"a": 1}), recorded("off", "P.Off"), agents=agents, others=more)
    assert [(one.type, one.state) for one in found.wanted] == [
        ("AzureMonitorWindowsAgent", "absent"),
        ("Off", "absent"),
        ("AzureMonitorLinuxAgent", "present"),
        ("T", "present"),
        ("New", "present"),
    ]
    agent, changed = found.wanted[2:4]
    assert (agent.name, agent.settings, agent.enable_automatic_upgrade) == ("mine", {"a": 1}, True)
    assert (changed.name, changed.settings, changed.enable_automatic_upgrade) == ("t", {"b": 2}, False)
    assert [one["name"] for one, _reason in found.left_out] == ["off"]


def test_a_machine_gets_no_agent_that_its_source_had_not() -> None:
    assert {one.state for one in restored(agents=extensions.agents("present")).wanted} == {"absent"}


@pytest.mark.parametrize(
    ("kind", "settings", "refused"),
    [
        (SCRIPT, {"timestamp": 1}, True),
        (SCRIPT, {"commandToExecute": "true"}, False),
        (SCRIPT, {"script": "dHJ1ZQ=="}, False),
        (SCRIPT, {"commandToExecute": "true", "fileUris": ["https://a"]}, True),
        ("Microsoft.Azure.Diagnostics.IaaSDiagnostics", {"StorageAccount": "a"}, True),
        (AMA, {}, False),
        (AMA, {"proxy": {"mode": "application", "auth": "true"}}, True),
        ("Contoso.Agent", {}, False),
    ],
)
def test_what_normally_has_protected_settings_is_refused_without_them(kind: str, settings: Body, refused: bool) -> None:
    def refusal(given: Any) -> str | None:
        wishes = Wishes(secrets=extensions.secrets(given))
        [wanted] = Restoring({ID.lower(): record(machine()) | {"extensions": [recorded("x", kind, settings)]}}, wishes)(machine())
        return wanted.refusal

    told = refusal({})
    assert bool(told) is refused and (not told or f"protected_settings['{kind}']" in told)
    assert refusal({kind.upper(): {"key": "k"}}) is None and refusal({"X": {}}) is None
    assert "no value" in str(refusal({"x": None}))
    key_vault = recorded("x", kind, settings, protected_settings_from_key_vault={"secretUrl": "u"})
    assert restored(key_vault).wanted[0].refusal is None


def test_protected_settings_are_told_nowhere_and_take_the_place_of_those_in_a_key_vault() -> None:
    found = recorded("x", "P.T", protected_settings_from_key_vault={"secretUrl": "u"})
    secrets = extensions.secrets({"P.T": {"key": "sentinel"}})
    [wanted] = Restoring({ID.lower(): record(machine()) | {"extensions": [found]}}, Wishes(secrets=secrets))(machine())
    assert wanted.protected_settings == {"key": "sentinel"} and "protectedSettingsFromKeyVault" not in wanted.properties(None)
    assert "sentinel" not in repr((wanted, secrets)) and secrets.unused == []
    assert Secrets({"P.Other": {}}).unused == ["P.Other"]
    with pytest.raises(InputError) as refused:
        extensions.secrets({"P.T": "sentinel"})
    assert "sentinel" not in str(refused.value) and "P.T" in str(refused.value)


def test_the_table_tells_before_after_and_what_is_missing() -> None:
    found = [
        recorded("AMA", AMA),
        recorded("t", "P.T", {"a": 1}),
        recorded("gone", "P.Gone"),
        recorded("sr", "Microsoft.Azure.RecoveryServices.SiteRecovery.Linux"),
        recorded("script", SCRIPT),
    ]
    back = Restoring({ID.lower(): record(machine()) | {"extensions": found}}, Wishes(agents=extensions.agents("present")))
    seen = machine(resource("AMA", AMA, autoUpgradeMinorVersion=True), resource("t", "P.T", autoUpgradeMinorVersion=True))
    views = [one.view() | {"message": None} for one in seen.extensions]
    rows = {row["name"]: row for row in back.table(ID, {"agent": views[0], "extensions": views[1:]})}
    assert rows["AMA"]["missing"] is None and rows["AMA"]["before"] == rows["AMA"]["after"]
    assert rows["t"]["missing"] == "it differs in settings" and (rows["t"]["before"] or {})["settings"] == {"a": 1}
    assert rows["gone"]["missing"] == "it is not there" and rows["gone"]["after"] is None
    assert "Mobility" in rows["sr"]["left_out"] and rows["sr"]["missing"] is None
    assert "protected settings" in rows["script"]["missing"]
    assert all(row["missing"] or row["left_out"] for row in back.table(ID, {}))
    trouble = back.table(ID, {"agent": views[0] | {"message": "Not Ready"}, "extensions": []})[0]["missing"]
    assert trouble == "Not Ready"


def test_the_identities_that_a_machine_needs() -> None:
    settings = {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": "/other"}}}
    plain = record(machine())
    agent = plain | {"extensions": [recorded("AMA", AMA, settings)]}
    for of, assign, needed in (
        (plain, False, []),
        (plain, True, [IDENTITY]),
        (agent, False, ["/other"]),
        (agent, True, [IDENTITY, "/other"]),
    ):
        assert Restoring({ID.lower(): of}, Wishes()).identities(machine(), assign) == needed


def test_a_machine_whose_source_is_not_known_fails_with_the_reason() -> None:
    with pytest.raises(AzureDRError, match="not known"):
        Restoring({ID.lower(): AzureDRError("It is not known.")}, Wishes())(machine())
