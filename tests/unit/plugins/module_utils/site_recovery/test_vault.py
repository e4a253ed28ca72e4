# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which vault is meant, and that a list of it is whole or an error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import vault as vaults

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr-weu"
VAULT_ID = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu"


def wire(identifier: str) -> dict[str, Any]:
    return {"id": identifier, "name": identifier.rpartition("/")[2], "location": "westeurope"}


class Pages:
    """Stands for azure.site_recovery and its operations: every list is the pages, or the error, that it was given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Pages:
        return self

    def list(self, **arguments: Any) -> Any:
        self.asked = arguments
        return self.answer


class FakeAzure:
    subscription_id = SUBSCRIPTION

    def __init__(self, vaults_there: list[str] = (), pages: Any = None) -> None:
        self.there = vaults_there
        self.site_recovery = Pages(pages)
        self.paths: list[str] = []

    async def get(self, asked: str, path: str, api_version: str) -> dict[str, Any]:
        self.paths.append(path)
        for identifier in self.there:
            if identifier.lower() == path.lower():
                return wire(identifier)
        raise AzureError(asked, path, status=404, code="ResourceNotFound", message="not there")

    async def list(self, asked: str, path: str, api_version: str) -> list[dict[str, Any]]:
        self.paths.append(path)
        scope = path.partition("/providers/")[0].lower()
        return [wire(identifier) for identifier in self.there if identifier.lower().startswith(scope)]

    async def collect(self, asked: str, resource_id: str, pager: Any) -> list[dict[str, Any]]:
        if isinstance(pager, AzureError):
            raise pager
        return [one for page in pager for one in page]


def find(there: list[str], **params: Any) -> vaults.Vault:
    return asyncio.run(vaults.find(FakeAzure(there), params))


def sibling(name: str, group: str = "rg-dr-weu") -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.RecoveryServices/vaults/{name}"


def test_a_vault_is_found_by_id_by_name_and_group_by_name_and_as_the_only_one():
    for params in (
        {"vault_id": VAULT_ID},
        {"vault_name": "RSV-DR-WEU", "resource_group": "rg-dr-weu"},
        {"vault_name": "rsv-dr-weu"},
        {"resource_group": "rg-dr-weu"},
        {},
    ):
        found = find([VAULT_ID], **params)
        assert (found.id, found.name, found.resource_group, found.location) == (VAULT_ID, "rsv-dr-weu", "rg-dr-weu", "westeurope")
        assert found.subscription == SUBSCRIPTION


def test_several_vaults_are_named_rather_than_one_taken():
    with pytest.raises(AzureDRError, match=r"2 vaults.*other \(resource group rg-dr-weu\), rsv-dr-weu"):
        find([VAULT_ID, sibling("other")])
    with pytest.raises(AzureDRError, match=r"2 vaults named rsv-dr-weu.*rg-dr-weu.*rg-other"):
        find([VAULT_ID, sibling("rsv-dr-weu", "rg-other")], vault_name="rsv-dr-weu")


def test_a_vault_that_is_not_there_is_an_error_that_names_those_that_are():
    with pytest.raises(AzureDRError, match=r"no vault named typo.*rsv-dr-weu"):
        find([VAULT_ID], vault_name="typo")
    with pytest.raises(AzureDRError, match="none at all"):
        find([])
    with pytest.raises(AzureError) as caught:
        find([], vault_id=VAULT_ID)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "wrong",
    [
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults",
        f"{GROUP}/providers/Microsoft.RecoveryServices/vaults",
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/providers/Microsoft.RecoveryServices/vaults/rsv-dr-weu",
        "rsv-dr-weu",
        f"{GROUP}/providers/Microsoft.Compute/virtualMachines/rsv-dr-weu",
    ],
)
def test_a_wrong_vault_id_is_refused_and_the_right_form_told(wrong):
    with pytest.raises(InputError) as caught:
        vaults.check_input({"vault_id": wrong})
    assert "vault_id" in str(caught.value) and "Microsoft.RecoveryServices/vaults/<" in str(caught.value)


def test_a_vault_name_or_group_that_contradicts_the_vault_id_is_refused():
    vaults.check_input({"vault_id": VAULT_ID, "vault_name": "RSV-dr-weu", "resource_group": "RG-dr-weu"})
    for other in ({"vault_name": "other"}, {"resource_group": "other"}):
        with pytest.raises(InputError):
            vaults.check_input({"vault_id": VAULT_ID, **other})


def test_the_subscription_of_the_vault_id_is_the_one_that_is_used():
    params = {"vault_id": VAULT_ID, "subscription_id": "99999999-0000-0000-0000-000000000000"}
    vaults.check_input(params)
    assert params["subscription_id"] == SUBSCRIPTION


def vault() -> vaults.Vault:
    return vaults.Vault(VAULT_ID, "rsv-dr-weu", "rg-dr-weu", SUBSCRIPTION, "westeurope")


def test_every_page_is_read():
    azure = FakeAzure(pages=[[{"name": "a"}], [], [{"name": "b"}]])
    assert asyncio.run(vault().container_mappings(azure)) == [{"name": "a"}, {"name": "b"}]
    assert azure.site_recovery.asked == {"resource_group_name": "rg-dr-weu", "resource_name": "rsv-dr-weu"}


def test_a_vault_in_which_site_recovery_was_never_used_is_empty():
    never = AzureError("list", VAULT_ID, status=400, code="BadRequest", details=[{"code": "SubscriptionIdNotRegisteredWithSrs"}])
    assert asyncio.run(vault().fabrics(FakeAzure(pages=never))) == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 503])
def test_a_list_that_fails_is_an_error_and_no_short_list(status):
    with pytest.raises(AzureError):
        asyncio.run(vault().jobs(FakeAzure(pages=AzureError("list", VAULT_ID, status=status))))
