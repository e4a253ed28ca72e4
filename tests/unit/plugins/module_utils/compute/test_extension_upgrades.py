# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""extension_upgrades: what supports automatic upgrade, which extensions are meant, and what is sent for them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extension_upgrades
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extension_upgrades import (
    SUPPORTED,
    Change,
    Selection,
    Wish,
    in_order,
    moves,
    status,
    supported,
    warnings,
    wishes,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.machines import Extension, Machine, of_resource, parse

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web"
OFF, ON = {"enableAutomaticUpgrade": False}, {"enableAutomaticUpgrade": True}
ROWS = [(publisher, type) for publisher, types in SUPPORTED.items() for type in types]


def extension(
    name: str = "agent", publisher: str = "Microsoft.Azure.Monitor", type: str = "AzureMonitorLinuxAgent", **more: Any
) -> Extension:
    properties = {"publisher": publisher, "type": type, "typeHandlerVersion": "1.0", "autoUpgradeMinorVersion": True} | more
    return of_resource({"id": f"{ID}/extensions/{name}", "name": name, "properties": properties})


def script(**more: Any) -> Extension:
    return extension("script", "Microsoft.Azure.Extensions", "CustomScript", **more)


def machine(*found: Extension) -> Machine:
    return parse({"id": ID, "name": "web", "resources": [one.resource for one in found]})


def asked(**options: Any) -> extension_upgrades.Wishes:
    defaults = {"extensions": [], "all_supported": False, "state": "enabled", "auto_upgrade_minor_version": None, "force": False}
    return wishes(defaults | options)


def selection(**given: str) -> dict[str, Any]:
    return {"name": None, "publisher": None, "type": None, "type_handler_version": None} | given


class TestSupported:
    @pytest.mark.parametrize(("publisher", "type"), ROWS)
    def test_each_row_in_any_letter_case_and_nothing_beside_it(self, publisher: str, type: str) -> None:
        assert supported(publisher, type) and supported(publisher.lower(), type.upper())
        assert not supported(publisher, f"{type}2") and not supported(f"{publisher}.Other", type)
        assert not supported(publisher=type, type=publisher)

    def test_a_row_is_one_extension_not_a_pattern(self) -> None:
        assert not supported("Microsoft.Azure.Monitor", "AzureMonitor*Agent")
        assert len(ROWS) == len({f"{publisher}/{type}".lower() for publisher, type in ROWS})

    @pytest.mark.parametrize(
        ("publisher", "type"),
        [
            ("Microsoft.Azure.Extensions", "CustomScript"),
            ("Microsoft.Compute", "CustomScriptExtension"),
            ("Microsoft.Azure.Security", "IaaSAntimalware"),
            ("Microsoft.Azure.Security", "AzureDiskEncryption"),
            ("Microsoft.Azure.RecoveryServices.SiteRecovery", "Windows"),
        ],
    )
    def test_unlisted(self, publisher: str, type: str) -> None:
        assert not supported(publisher, type)

    def test_the_three_states(self) -> None:
        assert status(extension(**ON)) == "enabled"
        assert status(extension(**OFF)) == status(extension()) == "disabled"
        assert status(script()) == status(script(**OFF)) == "not_supported"
        assert status(script(**ON)) == "enabled", "Azure knows better than the list"


class TestSelection:
    @pytest.mark.parametrize(
        "given",
        [
            {"name": "agent"},
            {"name": "AGENT"},
            {"name": "a*"},
            {"type": "azuremonitor*agent"},
            {"type": "AzureMonitor?inuxAgent"},
            {"publisher": "microsoft.azure.*", "type": "AzureMonitorLinuxAgent"},
            {"publisher": "*", "name": "agent"},
        ],
    )
    def test_fits(self, given: dict[str, str]) -> None:
        assert Selection(**given).means(extension())

    @pytest.mark.parametrize(
        "given",
        [
            {"name": "agen"},
            {"type": "AzureMonitor"},
            {"publisher": "Microsoft.Azure.Monitor.*"},
            {"publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorWindowsAgent"},
            {"name": "agent", "publisher": "Contoso"},
        ],
    )
    def test_does_not_fit(self, given: dict[str, str]) -> None:
        assert not Selection(**given).means(extension())

    def test_the_first_one_that_fits_counts(self) -> None:
        wished = asked(extensions=[selection(name="agent", type_handler_version="2.0"), selection(name="*")])
        assert wished(machine(), extension()) == Wish(True, None, "2.0")
        assert wished(machine(), script()) == Wish(True)
        assert wished.unused == []

    def test_what_fits_nothing_is_known(self) -> None:
        wished = asked(extensions=[selection(name="agent"), selection(publisher="Contoso", type="T*")])
        assert wished(machine(), extension()) and wished(machine(), script()) is None
        assert wished.unused == ["publisher Contoso, type T*"]

    def test_all_supported_shows_the_others_and_asks_nothing_of_them(self) -> None:
        wished = asked(all_supported=True, auto_upgrade_minor_version=False)
        assert wished(machine(), extension()) == Wish(True, False)
        assert wished(machine(), script()) == Wish()
        assert Wish().changes(script()) == {}

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({}, "extensions"),
            ({"extensions": [selection()]}, "extensions"),
            ({"extensions": [selection(name="a", type_handler_version="2")]}, "extensions.type_handler_version"),
            ({"extensions": [selection(name="a", type_handler_version="latest")]}, "extensions.type_handler_version"),
            ({"all_supported": True, "force": True}, "force"),
        ],
    )
    def test_wrong_input(self, options: dict[str, Any], named: str) -> None:
        with pytest.raises(InputError) as refused:
            asked(**options)
        assert refused.value.option == named


class TestChanges:
    @pytest.mark.parametrize(
        ("wish", "found", "sent"),
        [
            (Wish(True), extension(**ON), {}),
            (Wish(True), extension(**OFF), ON),
            (Wish(True), extension(), ON),
            (Wish(False), extension(), {}),
            (Wish(False), extension(**ON), OFF),
            (Wish(None), extension(**ON), {}),
            (Wish(True, minor=True), extension(**ON), {}),
            (Wish(True, minor=False), extension(**ON), ON | {"autoUpgradeMinorVersion": False}),
            (Wish(None, minor=False), extension(), OFF | {"autoUpgradeMinorVersion": False}),
            (Wish(True, version="2.0"), extension(**OFF), ON | {"typeHandlerVersion": "2.0"}),
            (Wish(False, version="2.0"), extension(), OFF | {"typeHandlerVersion": "2.0"}),
            (Wish(True), script(), {}),
            (Wish(True, minor=False), script(), OFF | {"autoUpgradeMinorVersion": False}),
            (Wish(True, force=True), script(), ON),
            (Wish(False), script(**ON), OFF),
            (Wish(True), script(**ON), {}),
        ],
    )
    def test_only_what_differs_and_always_the_flag(self, wish: Wish, found: Extension, sent: dict[str, Any]) -> None:
        assert wish.changes(found) == sent

    @pytest.mark.parametrize(
        ("present", "wanted", "moved"),
        [
            ("1.0", "2.0", True),
            ("2.1", "1.9", True),
            ("1.9", "1.10", True),
            ("1.10", "1.9", False),
            ("1.10.17", "1.10", False),
            ("2", "2.0", True),  # once; Azure then shows 2.0
            ("latest", "2.0", True),
            (None, "1.0", True),
        ],
    )
    def test_versions(self, present: str | None, wanted: str, moved: bool) -> None:
        assert moves(present, wanted) is moved

    @pytest.mark.parametrize(
        ("properties", "text"),
        [
            (ON, "enable automatic upgrade of extension agent"),
            (OFF | {"autoUpgradeMinorVersion": False}, "set auto_upgrade_minor_version of extension agent to false"),
            (OFF | {"typeHandlerVersion": "2.0"}, "move extension agent to version 2.0"),
            (ON | {"typeHandlerVersion": "2.0"}, "enable automatic upgrade of extension agent, move it to version 2.0"),
        ],
    )
    def test_in_words(self, properties: dict[str, Any], text: str) -> None:
        assert Change(extension(), properties).text == text


class TestOrder:
    def test_behind_those_that_it_waits_for(self) -> None:
        found = [
            extension("c", provisionAfterExtensions=["B"]),
            extension("b", provisionAfterExtensions=["a", "not there"]),
            extension("a"),
            extension("d"),
        ]
        assert [one.name for one in in_order(found)] == ["a", "b", "c", "d"]

    def test_a_ring_does_no_harm(self) -> None:
        found = [extension("a", provisionAfterExtensions=["b"]), extension("b", provisionAfterExtensions=["a"]), extension("c")]
        assert sorted(one.name for one in in_order(found)) == ["a", "b", "c"]


def row(name: str, *found: dict[str, Any], lagging: list[str] | None = None) -> dict[str, Any]:
    return {"name": name, "after": {"extensions": list(found), "instances": {"lagging": lagging or []}}}


def shown(name: str, status: str, state: str = "Succeeded") -> dict[str, Any]:
    return {"name": name, "status": status, "provisioning_state": state}


class TestWarnings:
    def test_what_is_left_to_users(self) -> None:
        wished = asked(extensions=[selection(name="nothing")])
        rows = [
            row("web", shown("script", "not_supported"), shown("agent", "enabled", "Failed")),
            row("vmss", lagging=["vmss_0", "vmss_1"]),
        ]
        told = warnings(rows, wished, propagate=False)
        assert [next(word for word in ("name nothing", "web: script", "web: agent", "vmss (2)") if word in one) for one in told]
        assert len(told) == 4 and "propagate" in told[3] and "force" in told[1]

    def test_nothing_where_all_is_well(self) -> None:
        assert warnings([row("web", shown("agent", "enabled"), shown("x", "not_supported"))], asked(all_supported=True), False) == []

    def test_long_lists_stay_readable(self) -> None:
        rows = [row(f"vm-{number}", shown("agent", "enabled", "Failed")) for number in range(50)]
        assert "; and 40 more" in warnings(rows, asked(all_supported=True), False)[0]
