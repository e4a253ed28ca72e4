# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a subscription may have of virtual machines in a region: the sizes that it can choose from, and how many cores of each family.

There are two tiers of cores, of the region and of each family, and cores of machines that are deallocated count as well (Microsoft Learn,
vCPU quotas).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ...paths import Path
from ...resource_types import Body, ResourceType
from .instance_view import MACHINE
from .published import region_of

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

INSTANCE = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"
USAGE = "Microsoft.Compute/locations/usages"
SKU = "Microsoft.Compute/skus"
CORES, MACHINES = "cores", "virtualMachines"
DEFAULT_LIMITS = {MACHINES: 25000}
"""Machines of a subscription in a region (Microsoft Learn, subscription limits)."""
DEFAULT_CORES = 1000
"""The limit of each tier of cores where the estate tells none. Chosen; Azure's depends on the subscription."""
SIZES = [
    f"Standard_{family.replace('#', str(cores))}"
    for family in ("D#s_v5", "D#ds_v5", "D#as_v5", "E#s_v5", "E#ds_v5", "E#as_v5", "F#s_v2")
    for cores in (2, 4, 8, 16, 32)
] + ["Standard_B1s", "Standard_B2s", "Standard_B2ms", "Standard_B4ms"]
"""Sizes that there are in every region, beside those that the estate's machines have: some of Azure's."""

_SIZE = re.compile(r"(?:Standard|Basic)_([A-Z]+)(\d+)(?:-\d+)?([a-z]*)(?:_(v\d+))?$")
_LOCATION = re.compile(r"location\s+eq\s+'([^']*)'", re.I)


def cores_of(size: str) -> int:
    """The cores that a size has by its name (Microsoft Learn, size naming conventions); 1 for a name of another form."""
    named = _SIZE.match(size)
    return int(named[2]) if named else 1


def family_of(size: str) -> str:
    """The family in which a size's cores are counted, as Azure names most of them: Standard_D2s_v5 is of standardDSv5Family."""
    named = _SIZE.match(size)
    if named is None:
        return "standardFamily"
    series, _cores, features, version = named.groups()
    features = "S" if series == "B" and not version else features.upper()
    return f"standard{series}{features}{version or ''}Family"


def usages(cloud: Cloud, request: Request, path: Path) -> Response:
    """GET .../locations/{region}/usages: limits as the estate tells them (a resource below it, named as the usage, with a `limit`)."""
    region, subscription = region_of(path.name), f"/subscriptions/{path.subscription}"
    limits = {body["name"]: body["properties"].get("limit") for body in cloud.store.of_type(USAGE, path.resource_id)}
    used: Counter[str] = Counter()
    for size in _sizes(cloud, subscription, region):
        used[family_of(size)] += cores_of(size)
        used[CORES] += cores_of(size)
        used[MACHINES] += 1
    names = [CORES, MACHINES, *sorted({family_of(size) for size in SIZES} | set(used) | set(limits) - {CORES, MACHINES})]
    given = {name.lower(): limit for name, limit in limits.items()}
    return cloud.answer(
        200,
        {
            "value": [
                {
                    "limit": given.get(name.lower(), DEFAULT_LIMITS.get(name, DEFAULT_CORES)),
                    "unit": "Count",
                    "currentValue": used[name],
                    "name": {"value": name, "localizedValue": _words(name)},
                }
                for name in dict.fromkeys(names)
            ]
        },
    )


class Skus(ResourceType):
    """The sizes of virtual machines; restricted where the estate says so (a resource named as the size, with `restrictions`)."""

    name = SKU
    page = 1000

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        """Of one region with $filter=location eq '...', the only filter that there is; else of all that the estate has machines in."""
        asked = _LOCATION.search(request.query.get("$filter", ""))
        subscription = f"/subscriptions/{path.subscription}"
        regions = (
            [region_of(asked[1])] if asked else sorted({region_of(body["location"]) for body in cloud.store.of_type(MACHINE, subscription)})
        )
        restricted = {body["name"].lower(): body.get("restrictions", []) for body in cloud.store.of_type(SKU, subscription)}
        sizes = sorted({*SIZES, *_sizes(cloud, subscription, None)})
        found = [_sku(size, region, restricted.get(size.lower(), [])) for region in regions for size in sizes]
        return cloud.page(request, found, self.page)


def _sizes(cloud: Cloud, subscription: str, region: str | None) -> list[str]:
    """The size of each machine of the subscription, in a region or in all."""
    found = []
    for body in [*cloud.store.of_type(MACHINE, subscription), *cloud.store.of_type(INSTANCE, subscription)]:
        size = ((body.get("properties") or {}).get("hardwareProfile") or {}).get("vmSize") or (body.get("sku") or {}).get("name")
        if size and region in (None, region_of(str(body.get("location", "")))):
            found.append(size)
    return found


def _sku(size: str, region: str, restrictions: list[Body]) -> Body:
    tier, _underscore, short = size.partition("_")
    return {
        "resourceType": "virtualMachines",
        "name": size,
        "tier": tier,
        "size": short,
        "family": family_of(size),
        "locations": [region],
        "locationInfo": [{"location": region, "zones": ["1", "2", "3"], "zoneDetails": []}],
        "capabilities": [{"name": "vCPUs", "value": str(cores_of(size))}],
        "restrictions": [one for one in restrictions if region in map(region_of, one.get("values") or [region])],
    }


def _words(name: str) -> str:
    known = {CORES: "Total Regional vCPUs", MACHINES: "Virtual Machines"}
    return known.get(name, f"Standard {name.removeprefix('standard').removesuffix('Family')} Family vCPUs")
