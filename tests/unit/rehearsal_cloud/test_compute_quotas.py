# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sizes and quotas of Compute."""

from __future__ import annotations

import pytest
from rehearsal_cloud.providers.compute import quotas

COMPUTE = "/subscriptions/s1/providers/Microsoft.Compute"
USAGES = f"{COMPUTE}/locations/westus/usages"


def machine(name, size, region="westus"):
    path = f"/subscriptions/s1/resourceGroups/web/providers/Microsoft.Compute/virtualMachines/{name}"
    return {"id": path, "location": region, "properties": {"hardwareProfile": {"vmSize": size}, "storageProfile": {}}}


@pytest.mark.parametrize(
    ("size", "family", "cores"),
    [
        ("Standard_D2s_v5", "standardDSv5Family", 2),
        ("Standard_E8ds_v5", "standardEDSv5Family", 8),
        ("Standard_F16s_v2", "standardFSv2Family", 16),
        ("Standard_DS2_v2", "standardDSv2Family", 2),
        ("Standard_B2ms", "standardBSFamily", 2),
    ],
)
def test_the_family_and_the_cores_of_a_size(size, family, cores):
    assert (quotas.family_of(size), quotas.cores_of(size)) == (family, cores)


def test_cores_count_for_the_region_and_for_the_family_of_the_size(inside):
    limit = {"id": f"{USAGES}/standardDSv5Family", "properties": {"limit": 8}}
    machines = [machine("a", "Standard_D2s_v5"), machine("b", "Standard_E4s_v5"), machine("c", "Standard_D8s_v5", "eastus")]
    inside.cloud.seed([limit, *machines])
    found = {one["name"]["value"]: (one["currentValue"], one["limit"]) for one in inside.body(USAGES)["value"]}
    assert (found["cores"], found["virtualMachines"]) == ((6, quotas.DEFAULT_CORES), (2, 25000))
    assert (found["standardDSv5Family"], found["standardESv5Family"]) == ((2, 8), (4, quotas.DEFAULT_CORES))


def test_sizes_of_a_region_and_one_that_the_subscription_may_not_have(inside):
    barred = {
        "type": "Location",
        "values": ["westus"],
        "restrictionInfo": {"locations": ["westus"]},
        "reasonCode": "NotAvailableForSubscription",
    }
    inside.cloud.seed([{"id": f"{COMPUTE}/skus/Standard_E4s_v5", "restrictions": [barred]}, machine("a", "Standard_M64ms")])
    for region, restrictions in (("westus", [barred]), ("eastus", [])):
        found = {one["name"]: one for one in inside.body(f"{COMPUTE}/skus", **{"$filter": f"location eq '{region}'"})["value"]}
        assert found["Standard_E4s_v5"]["restrictions"] == restrictions
        assert found["Standard_D2s_v5"]["locations"] == [region] and "Standard_M64ms" in found
        assert found["Standard_D2s_v5"]["capabilities"] == [{"name": "vCPUs", "value": "2"}]
