# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The sample estate: what its maker writes is what is shipped, and it is the application that the documentation speaks of."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rehearsal_cloud.estates import make_shop

SHIPPED = Path(make_shop.__file__).with_name("shop.json")


def test_the_file_is_what_its_maker_writes() -> None:
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == {"resources": make_shop.estate()}


def test_it_is_a_two_region_application() -> None:
    resources = make_shop.estate()
    kinds = Counter(one["type"].rpartition("/")[2] for one in resources)
    assert (kinds["replicationProtectedItems"], kinds["virtualMachines"], kinds["replicationFabrics"]) == (13, 14, 2)
    assert len({one["id"].lower() for one in resources}) == len(resources)
    plan = next(one for one in resources if one["type"].endswith("/replicationRecoveryPlans"))
    assert [len(group["replicationProtectedItems"]) for group in plan["properties"]["groups"]] == [0, 0, 3, 5, 5]
