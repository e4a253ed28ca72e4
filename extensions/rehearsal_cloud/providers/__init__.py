# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The providers: what the resource types of each Azure service do."""

from __future__ import annotations

from importlib import import_module

from ..cloud import Cloud

PROVIDERS = ("resources", "authorization", "compute", "monitor", "operational_insights", "automation", "recovery_services", "site_recovery")


def install(cloud: Cloud) -> Cloud:
    """Put the types of every provider into the cloud's table. Each provider module has `types() -> list[ResourceType]`."""
    for name in PROVIDERS:
        cloud.types.add(*import_module(f"{__name__}.{name}").types())
    return cloud
