# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import InputError

from .conftest import EXTENSION, GROUP, MACHINE, SUBSCRIPTION, VAULT

ASSOCIATION = f"{MACHINE}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a"


@pytest.mark.parametrize(
    ("text", "type", "name", "parent"),
    [
        (f"/subscriptions/{SUBSCRIPTION}", "Microsoft.Resources/subscriptions", SUBSCRIPTION, ""),
        (GROUP, "Microsoft.Resources/resourceGroups", "rg", f"/subscriptions/{SUBSCRIPTION}"),
        (MACHINE, "Microsoft.Compute/virtualMachines", "vm1", GROUP),
        (EXTENSION, "Microsoft.Compute/virtualMachines/extensions", "agent", MACHINE),
        (ASSOCIATION, "Microsoft.Insights/dataCollectionRuleAssociations", "a", MACHINE),
        (f"{VAULT}/", "Microsoft.RecoveryServices/vaults", "vault1", GROUP),
        (f"/subscriptions/{SUBSCRIPTION}/providers/A.B/c/d", "A.B/c", "d", f"/subscriptions/{SUBSCRIPTION}"),
    ],
)
def test_an_id_is_taken_apart(text, type, name, parent):
    found = ids.parse(text)
    assert (found.type, found.name, found.parent_id, found.subscription) == (type, name, parent, SUBSCRIPTION)


def test_an_id_keeps_its_letter_case():
    found = ids.parse(VAULT.replace("/subscriptions", "/Subscriptions").replace("vault1", "Vault1"))
    assert (found.name, found.resource_group, found.id[:15]) == ("Vault1", "rg", "/Subscriptions/")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "starts with /subscriptions"),
        ("vault1", "starts with /subscriptions"),
        ("/resourceGroups/rg", "not with /resourceGroups"),
        ("/subscriptions//resourceGroups/rg", "the segment after 'subscriptions' is empty"),
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups", "the name of the resource group is missing"),
        (f"{GROUP}/Microsoft.Compute/virtualMachines/vm1", "'providers' is expected in the place of 'Microsoft.Compute'"),
        (f"{GROUP}/providers", "namespace is missing"),
        (f"{GROUP}/providers/Microsoft.Compute", "the resource type and its name are missing"),
        (f"{MACHINE}/extensions", "the name is missing after 'extensions'"),
        (f"{MACHINE}/providers/Microsoft.Insights/associations", "the name is missing after 'associations'"),
    ],
)
def test_a_wrong_id_is_told_by_its_segment(text, told):
    with pytest.raises(ValueError, match=told):
        ids.parse(text)


def test_ids_are_the_same_whatever_their_letter_case():
    assert ids.same(VAULT, VAULT.upper() + "/")
    assert ids.same(None, None)
    assert ids.same(None, "")
    assert not ids.same(VAULT, None)
    assert not ids.same(VAULT, MACHINE)
    assert ids.key(VAULT.upper()) == ids.key(VAULT)


@pytest.mark.parametrize("value", ["/subscriptions/s/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults", MACHINE])
def test_an_option_that_is_no_id_of_the_wanted_type_is_told_with_the_right_form(value):
    with pytest.raises(InputError) as caught:
        ids.require("vault", value, "Microsoft.RecoveryServices/vaults")
    assert (caught.value.option, caught.value.value) == ("vault", value)
    form = "/subscriptions/<subscription>/resourceGroups/<resource group>/providers/Microsoft.RecoveryServices/vaults/<name>"
    assert form in str(caught.value)


def test_an_option_that_is_right_is_taken_apart():
    assert ids.require("vault", VAULT.lower(), "Microsoft.RecoveryServices/vaults").name == "vault1"
