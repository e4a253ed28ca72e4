# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The actions that requests need, and what is made of what Azure says that the sign-in has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.permissions import Need, PermissionMissing, Permissions, needs_of

GROUP = "/subscriptions/s/resourceGroups/rg"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v"
FOLLOW = Need("Microsoft.Compute/locations/operations/read", GROUP)
FOLLOW_JOB = Need("Microsoft.RecoveryServices/vaults/replicationOperationStatus/read", VAULT)
WRITE = "Microsoft.Compute/virtualMachines/extensions/write"


def machine(number: int = 1) -> str:
    return f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm{number}"


def writes(count: int) -> list[Need]:
    return [Need(WRITE, f"{machine(number)}/extensions/e") for number in range(count)]


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("PUT", f"{machine()}/extensions/e", [Need(WRITE, f"{machine()}/extensions/e"), FOLLOW]),
        (
            "DELETE",
            f"{machine()}/extensions/e",
            [Need("Microsoft.Compute/virtualMachines/extensions/delete", f"{machine()}/extensions/e"), FOLLOW],
        ),
        ("PATCH", machine(), [Need("Microsoft.Compute/virtualMachines/write", machine()), FOLLOW]),
        ("GET", machine(), [Need("Microsoft.Compute/virtualMachines/read", machine())]),
        (
            "PUT",
            f"{machine()}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a",
            [
                Need(
                    "Microsoft.Insights/dataCollectionRuleAssociations/write",
                    f"{machine()}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a",
                )
            ],
        ),
        (
            "POST",
            f"{VAULT}/replicationRecoveryPlans/p/testFailover",
            [
                Need(
                    "Microsoft.RecoveryServices/vaults/replicationRecoveryPlans/testFailover/action", f"{VAULT}/replicationRecoveryPlans/p"
                ),
                FOLLOW_JOB,
            ],
        ),
    ],
)
def test_actions_are_named_as_role_definitions_name_them(method: str, path: str, needed: list[Need]) -> None:
    assert needs_of([(method, path)]) == needed


class Told:
    """What Azure says of each scope: blocks of permissions, or an error; `asked` are the scopes in order."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[str]()
        self.permissions = Permissions(self.read)

    async def read(self, asked: str, path: str, api_version: str) -> list[dict[str, Any]]:
        scope = path.removesuffix("/providers/Microsoft.Authorization/permissions")
        self.asked.append(scope)
        answer = self.answers.get(scope, AzureError(asked, scope, status=403, code="AuthorizationFailed"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def missing(self, needs: Iterable[Need]) -> list[Need]:
        return asyncio.run(self.permissions.missing(needs))


def block(*actions: str, besides: Iterable[str] = ()) -> dict[str, Any]:
    return {"actions": list(actions), "notActions": list(besides)}


@pytest.mark.parametrize(
    ("blocks", "permitted"),
    [
        ([block("*")], True),
        ([block("Microsoft.Compute/virtualMachines/*")], True),
        ([block("microsoft.compute/virtualmachines/EXTENSIONS/write")], True),
        ([block("*/read"), block("Microsoft.Compute/*/write")], True),
        ([block("*/read")], False),
        ([], False),
        ([block("Microsoft.Compute/virtualMachines/write")], False),
        ([block("MicrosoftXCompute/virtualMachines/extensions/write")], False),
        ([block("*", besides=["Microsoft.Compute/*/write"])], False),
        ([block("*", besides=["Microsoft.Compute/*/write"]), block(WRITE)], True),
    ],
)
def test_the_roles_of_the_sign_in_count_together(blocks: list[dict[str, Any]], permitted: bool) -> None:
    told = Told({GROUP: blocks, machine(0): blocks})
    assert told.missing(writes(1)) == ([] if permitted else writes(1))


def test_a_group_is_asked_once_for_all_that_is_in_it() -> None:
    told = Told({GROUP: [block("*")]})
    assert told.missing([*writes(1000), FOLLOW, FOLLOW_JOB]) == [] and told.asked == [GROUP]


def test_a_role_on_a_single_machine_counts() -> None:
    told = Told({GROUP: [block("*/read")], machine(0): [block("*")], machine(1): [block("*/read")]})
    assert told.missing([*writes(2), FOLLOW]) == writes(2)[1:] and sorted(told.asked) == [GROUP, machine(0), machine(1)]


def test_a_vault_tells_where_its_group_does_not() -> None:
    needs = needs_of([("POST", f"{VAULT}/replicationRecoveryPlans/p/testFailover")])
    told = Told({VAULT: [block("*/read")]})
    assert told.missing(needs) == needs[:1] and told.asked == [GROUP, VAULT]


@pytest.mark.parametrize("error", [AzureError("list", None, status=403), AzureError("list", None, status=500, accepted=None)])
def test_what_azure_does_not_tell_stands_in_nobodys_way(error: AzureError) -> None:
    told = Told({GROUP: error, machine(0): error})
    assert told.missing([*writes(1000), FOLLOW]) == [] and told.asked == [GROUP, machine(0)]
    assert asyncio.run(Told({}).permissions.granted(FOLLOW)) is None


def test_the_message_names_every_action_and_scope_and_the_way_on() -> None:
    said = str(PermissionMissing([FOLLOW, *writes(1)]))
    assert all(part in said for part in (FOLLOW.action, f"on {GROUP};", WRITE, f"on {machine(0)}/extensions/e", "docs/permissions.md"))
