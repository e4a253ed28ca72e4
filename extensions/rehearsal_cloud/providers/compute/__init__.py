# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Compute: virtual machines, their extensions, scale sets, and what Site Recovery needs of them (recovered.py)."""

from __future__ import annotations

from ...resource_types import ResourceType
from . import automatic, published  # noqa: F401 (automatic: what it registers)
from .extensions import Extension
from .instance_view import agent_ready, silence
from .machines import Locations, Machine
from .operations import OperationStatus
from .quotas import Skus
from .recovered import machine, power, recover, remove
from .rolling_upgrades import RollingUpgrades
from .scale_set_extensions import ScaleSetExtension
from .scale_set_vms import Instance, InstanceExtension
from .scale_sets import ScaleSet


def types() -> list[ResourceType]:
    scale_sets = [ScaleSet(), ScaleSetExtension(), Instance(), InstanceExtension(), RollingUpgrades()]
    return [Machine(), Extension(), Locations(), OperationStatus(), Skus(), *scale_sets, *published.types()]


__all__ = ["agent_ready", "machine", "power", "recover", "remove", "silence", "types"]
