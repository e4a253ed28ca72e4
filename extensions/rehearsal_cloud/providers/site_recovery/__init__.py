# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Azure Site Recovery, Azure to Azure (A2A) in depth; what an estate holds of other providers is read back and moves by the same states.

base.py         ids, lists and error answers           operations.py       long-running operations and their polls
scenarios.py    kinds of jobs, and how one looks       jobs.py             the jobs of a vault
fabrics.py      fabrics, containers                    mappings.py         container and network mappings
policies.py     replication policies                   items.py            replicated items
a2a.py          what an A2A item looks like            recovery_points.py  what an item can go back to
replication.py  the states of an item in time          failovers.py        the actions on an item
plans.py        recovery plans                         plan_runs.py        an action on a plan, group by group
vault.py        alerts, health and the rest of a vault's lists
"""

from __future__ import annotations

from ...resource_types import ResourceType
from .fabrics import Containers, Fabrics
from .failovers import item_actions, switch_protection
from .items import Items
from .jobs import Jobs
from .mappings import ContainerMappings, NetworkMappings
from .operations import OperationResults, OperationStatus
from .plans import Plans
from .policies import Policies
from .recovery_points import RecoveryPoints
from .vault import AlertSettings, ProtectableItems, SupportedOperatingSystems, VaultHealth, VaultSettings, read_only


def types() -> list[ResourceType]:
    """The resource types of Site Recovery."""
    containers = Containers()
    containers.actions["switchprotection"] = lambda cloud, request, path: switch_protection(
        cloud, request, path, containers.properties(request)
    )
    return [
        Fabrics(),
        containers,
        ContainerMappings(),
        NetworkMappings(),
        Policies(),
        item_actions(Items()),
        RecoveryPoints(),
        Plans(),
        Jobs(),
        OperationStatus(),
        OperationResults(),
        AlertSettings(),
        VaultSettings(),
        VaultHealth(),
        SupportedOperatingSystems(),
        ProtectableItems(),
        *read_only(),
    ]
