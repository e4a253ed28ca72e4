# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The checks of what a machine loses and of what it needs where it comes up."""

from __future__ import annotations

from typing import Any

import estates
import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions, readiness
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.extensions import Secrets, Wanted
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.readiness import Account, Listed, Place
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.restoring import Wishes

Body = dict[str, Any]
AMA, SCRIPT = "Microsoft.Azure.Monitor.AzureMonitorLinuxAgent", "Microsoft.Azure.Extensions.CustomScript"
DEPENDENCY, BACKUP = "Microsoft.Azure.Monitoring.DependencyAgent.DependencyAgentLinux", "Microsoft.Azure.RecoveryServices.VMSnapshotLinux"
FORBIDDEN = AzureError("look", None, status=403, code="AuthorizationFailed", message="Not yours", accepted=False)
GONE = AzureError("look", None, status=404, code="ResourceNotFound", message="Not there", accepted=False)


def record(*kinds: str) -> Body:
    """A machine with extensions that are called as their types."""
    asked = {"type_handler_version": "1.0", "auto_upgrade_minor_version": True, "enable_automatic_upgrade": False, "settings": {}}
    found = [dict(zip(("publisher", "type"), kind.rsplit(".", 1), strict=True)) for kind in kinds]
    return {"os_type": "linux", "extensions": [one | asked | {"name": one["type"], "tags": {}} for one in found]}


def wishes(*others: str, **more: Any) -> Wishes:
    return Wishes(extensions.agents("present"), [Wanted(*kind.rsplit(".", 1)) for kind in others], **more)


@pytest.mark.parametrize(
    ("had", "wished", "status", "why"),
    [
        ((), wishes(), "pass", "none to lose"),
        ((AMA,), wishes(), "pass", "AzureMonitorLinuxAgent will be brought back"),
        ((AMA, DEPENDENCY), wishes(), "fail", "DependencyAgentLinux"),
        ((DEPENDENCY,), wishes(DEPENDENCY), "pass", "DependencyAgentLinux"),
        ((AMA, BACKUP), wishes(), "pass", "VMSnapshotLinux stays away: belongs to Azure Backup"),
    ],
)
def test_without_a_restore_only_what_is_asked_for_comes_back(had: tuple[str, ...], wished: Wishes, status: str, why: str) -> None:
    check = readiness.lost(record(*had), None, wished, restored=False)
    assert check.status == status and why in check.reason and bool(check.remedy) == (status == "fail")


@pytest.mark.parametrize(
    ("had", "now", "wished", "status", "why"),
    [
        ((AMA, DEPENDENCY), None, wishes(), "pass", "AzureMonitorLinuxAgent, DependencyAgentLinux will be brought back"),
        ((AMA, SCRIPT), None, wishes(), "fail", "protected_settings"),
        ((AMA, SCRIPT), None, wishes(secrets=Secrets({SCRIPT: {}})), "pass", "CustomScript will be brought back"),
        ((AMA, SCRIPT), None, wishes(leave_out=["CustomScript"]), "pass", "CustomScript stays away: was asked to be left out"),
        ((AMA,), (AMA, DEPENDENCY), wishes(), "fail", "DependencyAgentLinux is not in the baseline"),
        ((), (AMA,), wishes(), "fail", "AzureMonitorLinuxAgent is not in the baseline"),
        ((AMA,), (AMA, DEPENDENCY), wishes(DEPENDENCY), "pass", "brought back"),
        ((AMA,), (AMA, BACKUP), wishes(), "pass", "brought back"),
        ((AMA, DEPENDENCY), (AMA,), wishes(), "warn", "DependencyAgentLinux is in the baseline, but not on the machine"),
        ((), None, wishes(), "pass", "none to lose"),
    ],
)
def test_with_a_baseline_what_it_does_not_know_is_lost(
    had: tuple[str, ...], now: tuple[str, ...] | None, wished: Wishes, status: str, why: str
) -> None:
    check = readiness.lost(record(*had), record(*now) if now is not None else None, wished, restored=True)
    assert (check.status, why in check.reason) == (status, True), check


def test_what_is_not_recorded_fails_and_what_cannot_be_read_is_unknown() -> None:
    assert readiness.lost(readiness.NotRecorded("No record."), None, wishes(), restored=True).status == "fail"
    for record_of, now in ((FORBIDDEN, None), (AzureDRError("Too late."), None), (record(AMA), FORBIDDEN)):
        check = readiness.lost(record_of, now, wishes(), restored=True)
        assert check.status == "unknown" and check.remedy


@pytest.mark.parametrize(
    ("names", "settled"), [(["AZUREMONITORLINUXAGENT"], True), ([], False), (["AzureMonitorLinuxAgent", "x"], False), (["x"], False)]
)
def test_names_tell_whether_a_machine_is_as_its_record(names: list[str], settled: bool) -> None:
    assert readiness.explained(Listed(None, tuple(names)), record(AMA)) is settled


NETWORK = estates.network_id(estates.RECOVERY)
KEY = ids.key(NETWORK)


def place(details: Body | None = None, source: Listed | None = None, **properties: Any) -> Place:
    return readiness.place(estates.item("web", details=details, **properties), source)


def test_the_place_of_a_machine() -> None:
    found = place()
    assert (found.region, found.size, found.networks, found.up) == ("westeurope", "Standard_D2s_v5", ((NETWORK, "app"),), False)
    assert found.account == (estates.SUBSCRIPTION_ID, "westeurope")
    assert place({"recoveryAzureVMSize": None}, Listed("Standard_B2s", ())).size == "Standard_B2s"
    assert place({"vmNics": []}).networks == ((NETWORK, None),) and place(activeLocation="Recovery").up


@pytest.mark.parametrize(
    ("details", "network", "status", "why"),
    [
        ({}, estates.network(estates.RECOVERY), "pass", "vnet-shop-weu/app is there"),
        ({}, GONE, "fail", "vnet-shop-weu is not there"),
        ({}, FORBIDDEN, "unknown", "Not yours"),
        ({}, estates.network(estates.RECOVERY) | {"location": "North Europe"}, "fail", "is in northeurope, not in westeurope"),
        ({}, estates.network(estates.RECOVERY) | {"properties": {"subnets": [{"name": "web"}]}}, "fail", "no subnet app; it has: web"),
        ({"vmNics": [], "selectedRecoveryAzureNetworkId": None}, None, "fail", "No network is chosen"),
    ],
)
def test_the_target_network(details: Body, network: Any, status: str, why: str) -> None:
    check = readiness.network(place(details), {KEY: network})
    assert check.status == status and why in check.reason and bool(check.remedy) == (status != "pass")


def sku(size: str = "Standard_D2s_v5", cores: int = 2, **more: Any) -> Body:
    return {
        "name": size,
        "family": "standardDSv5Family",
        "capabilities": [{"name": "vCPUs", "value": str(cores)}],
        "restrictions": [],
    } | more


def usage(name: str, used: int, limit: int) -> Body:
    return {"currentValue": used, "limit": limit, "name": {"value": name, "localizedValue": f"all {name}"}}


def account(cores: int = 10, family: int = 10, machines: int = 10, **more: Any) -> Account:
    limits = {"cores": cores, "standardDSv5Family": family, "virtualMachines": machines}
    return Account({"standard_d2s_v5": sku(**more)}, {name.lower(): usage(name, 4, limit) for name, limit in limits.items()})


BARRED = [{"type": "Location", "values": ["westeurope"], "reasonCode": "NotAvailableForSubscription"}]


@pytest.mark.parametrize(
    ("found", "status", "why"),
    [
        (account(), "pass", "quota for all machines at once"),
        (account(cores=9), "fail", "need 6 all cores in westeurope, and 5 of 9 are free"),
        (account(family=3), "fail", "need 6 all standardDSv5Family in westeurope, and 0 of 3 are free"),
        (account(machines=6), "fail", "need 3 all virtualMachines"),
        (account(restrictions=BARRED), "fail", "NotAvailableForSubscription"),
        (account(restrictions=[BARRED[0] | {"type": "Zone"}]), "pass", "quota"),
        (Account({}, {}), "fail", "no size Standard_D2s_v5"),
        (Account(FORBIDDEN, {}), "unknown", "Not yours"),
        (Account({"standard_d2s_v5": sku()}, FORBIDDEN), "unknown", "Not yours"),
        (Account({"standard_d2s_v5": sku()}, {}), "unknown", "no limit"),
    ],
)
def test_size_and_cores_for_all_machines_at_once(found: Account, status: str, why: str) -> None:
    places = {name: place() for name in ("a", "b", "c")} | {"up": place(activeLocation="Recovery")}
    checks = readiness.quotas(places, {(estates.SUBSCRIPTION_ID, "westeurope"): found})
    assert checks["up"].status == "pass"
    for name in ("a", "b", "c"):
        assert checks[name].status == status and why in checks[name].reason and bool(checks[name].remedy) == (status != "pass")


def test_a_machine_whose_place_is_not_told_is_unknown() -> None:
    places = {"size": place({"recoveryAzureVMSize": None}), "group": place({"recoveryAzureResourceGroupId": None})}
    found = readiness.quotas(places, {(estates.SUBSCRIPTION_ID, "westeurope"): account()})
    assert {name: check.status for name, check in found.items()} == {"size": "unknown", "group": "unknown"}
