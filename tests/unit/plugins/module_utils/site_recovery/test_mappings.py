# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Automatic update of the Mobility service: which mappings are changed, how, and what is told of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import mappings

S = "/subscriptions/11111111-2222-3333-4444-555555555555"
VAULT_ID = f"{S}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
CONTAINER = f"{VAULT_ID}/replicationFabrics/neu/replicationProtectionContainers/neu-container"
ACCOUNT = f"{S}/resourceGroups/rg/providers/Microsoft.Automation/automationAccounts/aa"
WANTED = mappings.Wanted(True, ACCOUNT, "SystemAssignedIdentity")
OFF = mappings.Wanted(False)
ERROR = {
    "errorCode": "151083",
    "errorMessage": "The account cannot be used.",
    "possibleCauses": "No rights.",
    "recommendedAction": "Grant them.",
}


def wire(name: str = "m", details: Any = "A2A", state: str = "Paired", errors: tuple = (), **setting: Any) -> dict[str, Any]:
    a2a = {
        "instanceType": "A2A",
        "agentAutoUpdateStatus": "Disabled",
        "automationAccountAuthenticationType": "RunAsAccount",
        "automationAccountArmId": None,
        "scheduleName": None,
        "jobScheduleName": None,
    } | setting
    return {
        "id": f"{CONTAINER}/replicationProtectionContainerMappings/{name}",
        "name": name,
        "properties": {
            "providerSpecificDetails": a2a if details == "A2A" else details,
            "state": state,
            "healthErrorDetails": list(errors),
            "sourceFabricFriendlyName": "North Europe",
            "sourceProtectionContainerFriendlyName": "neu-container",
            "targetFabricFriendlyName": "Microsoft Azure",
            "targetProtectionContainerFriendlyName": "Microsoft Azure",
        },
    }


def enabled(name: str = "m", **more: Any) -> dict[str, Any]:
    return wire(
        name,
        **{
            "agentAutoUpdateStatus": "Enabled",
            "automationAccountArmId": ACCOUNT.upper(),
            "automationAccountAuthenticationType": "SystemAssignedIdentity",
        }
        | more,
    )


NOTHING_OPEN: Any = SimpleNamespace(unfinished=lambda target_id: [])


def planned(observed: dict[str, Any], wanted: mappings.Wanted) -> list[str]:
    step = mappings.AutoUpdate(None, lambda _target: wanted, NOTHING_OPEN)
    return [action.text for action in step.plan(fleet.Target(observed["id"], "m"), mappings.parse(observed))]


def test_what_is_missing():
    assert planned(wire(), WANTED) == ["enable automatic update"]
    assert planned(enabled(), WANTED) == []
    assert planned(enabled(), OFF) == ["disable automatic update"]
    assert planned(wire(), OFF) == []


def test_another_account_or_another_sign_in_is_set_anew():
    assert planned(enabled(automationAccountArmId=f"{ACCOUNT}2"), WANTED) == ["enable automatic update"]
    assert planned(enabled(automationAccountAuthenticationType="RunAsAccount"), WANTED) == ["enable automatic update"]


def test_letter_case_makes_no_difference():
    told = wire(
        agentAutoUpdateStatus="enabled",
        automationAccountArmId=ACCOUNT.upper(),
        automationAccountAuthenticationType="systemassignedidentity",
    )
    assert WANTED.set_on(mappings.parse(told))
    assert not OFF.set_on(mappings.parse(told))


def test_what_is_set_but_not_healthy_is_repaired_when_it_is_to_be_on():
    assert planned(enabled(errors=(ERROR,)), WANTED) == ["repair automatic update"]
    assert planned(wire(errors=(ERROR,)), OFF) == []


@pytest.mark.parametrize(
    ("observed", "why"),
    [
        (wire(details=None), "another provider"),
        (wire(details={"instanceType": "HyperVReplicaAzure"}), "HyperVReplicaAzure"),
        (wire(state="PairingInProgress"), "PairingInProgress"),
        (wire(state=""), "no known state"),
    ],
)
def test_mappings_without_automatic_update_are_skipped_with_the_reason(observed, why):
    with pytest.raises(fleet.Skip, match=why):
        planned(observed, WANTED)


def test_the_requests_in_azures_words():
    assert WANTED.body() == {
        "properties": {
            "providerSpecificInput": {
                "instanceType": "A2A",
                "agentAutoUpdateStatus": "Enabled",
                "automationAccountArmId": ACCOUNT,
                "automationAccountAuthenticationType": "SystemAssignedIdentity",
            }
        }
    }
    assert OFF.body() == {"properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}}}


def test_mappings_are_chosen_by_name_or_id_and_all_without_a_choice():
    every = [mappings.parse(wire("a")), mappings.parse(wire("b"))]
    assert mappings.choose(every, None) == every
    assert [one.name for one in mappings.choose(every, ["B", every[1].id.lower()])] == ["b"]
    with pytest.raises(AzureDRError, match=r"no container mapping typo in the vault. There are: a, b"):
        mappings.choose(every, ["a", "typo"])


def test_the_account_is_the_given_one_or_the_one_that_the_vault_has():
    one, other = mappings.parse(enabled("a")), mappings.parse(enabled("b", automationAccountArmId=f"{ACCOUNT}2"))
    assert mappings.account_for([one, other], ACCOUNT) == ACCOUNT
    assert mappings.account_for([one, mappings.parse(wire())], None) == ACCOUNT.upper()
    with pytest.raises(AzureDRError, match="has an automation account yet"):
        mappings.account_for([mappings.parse(wire())], None)
    with pytest.raises(AzureDRError, match="different automation accounts"):
        mappings.account_for([one, other], None)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("automation_account_id", VAULT_ID),
        ("automation_account_id", "aa-dr-weu"),
        ("mappings", [f"{CONTAINER}/replicationProtectedItems/x"]),
        ("vault_id", f"{S}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults"),
        ("automation_account_id", ACCOUNT.replace("11111111", "99999999")),
    ],
)
def test_wrong_input_is_refused(option, value):
    with pytest.raises(InputError) as caught:
        mappings.check_input({"vault_id": VAULT_ID, option: value})
    assert option in str(caught.value)


class OneAccount:
    """Stands for azure: one automation account."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def get(self, asked: str, path: str, api_version: str) -> dict[str, Any]:
        if isinstance(self.answer, AzureError):
            raise self.answer
        return {"id": path, "identity": self.answer}


@pytest.mark.parametrize("identity", [{"type": "SystemAssigned"}, {"type": "SystemAssigned, UserAssigned"}])
def test_an_account_with_its_own_identity_will_do(identity):
    asyncio.run(mappings.check_account(OneAccount(identity), ACCOUNT, "SystemAssignedIdentity"))


@pytest.mark.parametrize("identity", [None, {"type": "UserAssigned"}, {"type": "None"}])
def test_an_account_without_one_is_refused_unless_it_is_to_sign_in_otherwise(identity):
    asyncio.run(mappings.check_account(OneAccount(identity), ACCOUNT, "RunAsAccount"))
    with pytest.raises(AzureDRError, match="no system-assigned identity"):
        asyncio.run(mappings.check_account(OneAccount(identity), ACCOUNT, "SystemAssignedIdentity"))


def test_an_account_that_is_not_there_is_told_from_one_that_may_not_be_read():
    with pytest.raises(AzureDRError, match="There is no automation account"):
        asyncio.run(mappings.check_account(OneAccount(AzureError("read", ACCOUNT, status=404)), ACCOUNT, "RunAsAccount"))
    with pytest.raises(AzureError) as caught:
        asyncio.run(mappings.check_account(OneAccount(AzureError("read", ACCOUNT, status=403)), ACCOUNT, "RunAsAccount"))
    assert caught.value.status == 403


class OneMapping:
    """Stands for azure: one mapping, whose health errors stay whatever is sent."""

    def __init__(self) -> None:
        self.pacer = SimpleNamespace(throttled_requests=0, minimum_duration=lambda requests: 0.0)
        self.site_recovery = SimpleNamespace(replication_protection_container_mappings=SimpleNamespace(get=lambda **names: names))
        self.sent = 0

    async def read(self, asked: str, resource_id: str, awaitable: Any) -> dict[str, Any]:
        assert awaitable == {
            "resource_group_name": "rg",
            "resource_name": "v",
            "fabric_name": "neu",
            "protection_container_name": "neu-container",
            "mapping_name": "m",
        }
        return enabled(errors=(ERROR,))

    async def run(self, asked: str, resource_id: str, begin: Any, timeout: float) -> Any:
        self.sent += 1
        return SimpleNamespace(status="Succeeded", warning="something beside success")

    async def require(self, requests: Any, needs: Any) -> None:
        """Everything is permitted."""

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)


def run(azure: Any, check: bool) -> tuple[fleet.Report, mappings.AutoUpdate]:
    step = mappings.AutoUpdate(azure, lambda _target: WANTED, NOTHING_OPEN)
    observed = mappings.parse(wire())
    return asyncio.run(fleet.run(azure, [fleet.Target(observed.id, "m")], [step], check=check, timeout=60)), step


def test_a_repair_that_does_not_help_fails_with_cause_and_action():
    azure = OneMapping()
    report, step = run(azure, check=False)
    assert azure.sent == 1 and report.outcomes[0].state == "failed"
    for told in ("still not healthy", "151083: The account cannot be used.", "causes: No rights.", "action: Grant them."):
        assert told in (report.outcomes[0].reason or "")
    assert mappings.counts(report) == {"succeeded": 0, "failed": 1, "failed_to_start": 0, "timed_out": 0, "skipped": 0}
    assert step.warnings == ["m: repair automatic update ended Succeeded, with: something beside success"]


def test_check_mode_foresees_the_repair_and_says_why():
    azure = OneMapping()
    report, _step = run(azure, check=True)
    mappings.explain_repairs(report)
    outcome = report.outcomes[0]
    assert (azure.sent, outcome.state, outcome.after["health_errors"]) == (0, "changed", [])
    assert outcome.before["health_errors"][0]["recommended_action"] == "Grant them."
    assert "It was not healthy: 151083" in (outcome.reason or "")


def test_the_sides_of_a_mapping_are_named_once():
    found = mappings.parse(wire())
    assert (found.source, found.target) == ("North Europe / neu-container", "Microsoft Azure")
