# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Recovery Services vault: which one is meant, and everything that Site Recovery keeps in it.

The readers give Azure's answers as they are on the wire (dicts, camelCase) and read every page: a list that Azure throttles, refuses or
breaks off is an error and never a shorter list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError

VAULT_ARGUMENTS: dict[str, dict[str, Any]] = {"vault_id": {"type": "str"}, "vault_name": {"type": "str"}, "resource_group": {"type": "str"}}
TYPE = "Microsoft.RecoveryServices/vaults"
API_VERSION = "2024-04-01"  # Azure API document, Recovery Services vaults
ITEMS_API_VERSION = "2025-08-01"  # that of the Site Recovery client 2.0.0

Wire = dict[str, Any]


@dataclass(frozen=True)
class Vault:
    """A vault, and the reader of what is in it."""

    id: str
    name: str
    resource_group: str
    subscription: str
    location: str

    @property
    def scope(self) -> dict[str, str]:
        """The arguments by which every operation of the Site Recovery client is told the vault."""
        return {"resource_group_name": self.resource_group, "resource_name": self.name}

    async def fabrics(self, azure: Any) -> list[Wire]:
        return await self._all(azure, "list the fabrics", azure.site_recovery.replication_fabrics.list(**self.scope))

    async def containers(self, azure: Any) -> list[Wire]:
        operations = azure.site_recovery.replication_protection_containers
        return await self._all(azure, "list the protection containers", operations.list(**self.scope))

    async def container_mappings(self, azure: Any) -> list[Wire]:
        operations = azure.site_recovery.replication_protection_container_mappings
        return await self._all(azure, "list the container mappings", operations.list(**self.scope))

    async def policies(self, azure: Any) -> list[Wire]:
        return await self._all(azure, "list the policies", azure.site_recovery.replication_policies.list(**self.scope))

    async def network_mappings(self, azure: Any) -> list[Wire]:
        operations = azure.site_recovery.replication_network_mappings
        return await self._all(azure, "list the network mappings", operations.list(**self.scope))

    async def replicated_items(self, azure: Any) -> list[Wire]:
        """All replicated items, wherever in the vault they are: one that was reprotected has moved to another container.

        Read without the typed client, whose models of a thousand items take longer to make than Azure's answer to come.
        """
        asked, path = "list the replicated items", f"{self.id}/replicationProtectedItems"
        return await self._there(azure.list(asked, path, ITEMS_API_VERSION))

    async def recovery_plans(self, azure: Any) -> list[Wire]:
        """All recovery plans, each read by itself: the list leaves out their groups (recorded traffic)."""
        read = await asyncio.gather(*(self.recovery_plan(azure, name) for name in await self.recovery_plan_names(azure)))
        return [plan for plan in read if plan is not None]

    async def recovery_plan_names(self, azure: Any) -> list[str]:
        """The names of all recovery plans, sorted."""
        operations = azure.site_recovery.replication_recovery_plans
        return sorted(plan["name"] for plan in await self._all(azure, "list the recovery plans", operations.list(**self.scope)))

    async def recovery_plan(self, azure: Any, name: str) -> Wire | None:
        """One recovery plan with its groups; None when there is none of that name."""
        get = azure.site_recovery.replication_recovery_plans.get(**self.scope, recovery_plan_name=name)
        return await azure.read_or_none("read the recovery plan", f"{self.id}/replicationRecoveryPlans/{name}", get)

    async def jobs(self, azure: Any) -> list[Wire]:
        """The jobs that the vault remembers, without their tasks and errors: those are in `job` only (recorded traffic)."""
        return await self._all(azure, "list the jobs", azure.site_recovery.replication_jobs.list(**self.scope))

    async def job(self, azure: Any, name: str) -> Wire:
        """One job with its tasks and errors. Raises AzureError, also when there is no such job."""
        get = azure.site_recovery.replication_jobs.get(**self.scope, job_name=name)
        return await azure.read("read the job", f"{self.id}/replicationJobs/{name}", get)

    async def _all(self, azure: Any, asked: str, pager: Any) -> list[Wire]:
        return await self._there(azure.collect(asked, self.id, pager))

    async def _there(self, listing: Awaitable[list[Wire]]) -> list[Wire]:
        try:
            return await listing
        except AzureError as error:
            if error.absent and error.status == 400:  # Site Recovery was never used in this vault
                return []
            raise


def check_input(params: MutableMapping[str, Any]) -> None:
    """Refuse a wrong naming of the vault before any request; pure, and called before a session is made.

    A vault_id says by itself in which subscription the vault is: subscription_id is set to that one, whatever it was.
    Raises InputError.
    """
    if not params.get("vault_id"):
        return
    found = ids.require("vault_id", params["vault_id"], TYPE)
    for option, actual in (("vault_name", found.name), ("resource_group", found.resource_group)):
        given = params.get(option)
        if given and given.lower() != actual.lower():
            raise InputError(option, given, f"{actual!r}, as the option vault_id says, or nothing")
    params["subscription_id"] = found.subscription


def named(azure: Any, params: Mapping[str, Any]) -> str | None:
    """The id of the vault where the options tell it without a look; None where they do not. Raises InputError."""
    if params.get("vault_id"):
        return ids.require("vault_id", params["vault_id"], TYPE).id
    name, group = params.get("vault_name"), params.get("resource_group")
    return f"/subscriptions/{azure.subscription_id}/resourceGroups/{group}/providers/{TYPE}/{name}" if name and group else None


async def find(azure: Any, params: Mapping[str, Any]) -> Vault:
    """The vault that the options name, or the only one that there is.

    Raises InputError, AzureError when it cannot be read, and AzureDRError that names the vaults when there is none or more than one.
    """
    vault_id = named(azure, params)
    if vault_id:
        return await _read(azure, vault_id)
    name, group = params.get("vault_name"), params.get("resource_group")
    subscription = f"/subscriptions/{azure.subscription_id}"
    scope = f"{subscription}/resourceGroups/{group}" if group else subscription
    listed = [_vault(wire) for wire in await azure.list("list the vaults", f"{scope}/providers/{TYPE}", API_VERSION)]
    meant = [vault for vault in listed if not name or vault.name.lower() == name.lower()]
    if len(meant) == 1:
        return meant[0]
    place = f"resource group {group}" if group else f"subscription {azure.subscription_id}"
    if meant:
        raise AzureDRError(
            f"There are {len(meant)} vaults{f' named {name}' if name else ''} in {place}: {_named(meant)}. "
            "Say which one with vault_id, or with vault_name and resource_group."
        )
    raise AzureDRError(
        f"There is no vault{f' named {name}' if name else ''} in {place}. "
        + (f"There are: {_named(listed)}." if listed else "It has none at all, or none that this sign-in may see.")
    )


async def _read(azure: Any, vault_id: str) -> Vault:
    return _vault(await azure.get("read the vault", vault_id, API_VERSION))


def _vault(wire: Wire) -> Vault:
    parsed = ids.parse(wire["id"])
    return Vault(parsed.id, wire["name"], parsed.resource_group, parsed.subscription, wire["location"])


def holding(resource_id: str) -> Vault:
    """The vault of a resource in one, by its id, which does not tell the vault's location."""
    parsed = ids.parse(resource_id)
    vault_id = f"/subscriptions/{parsed.subscription}/resourceGroups/{parsed.resource_group}/providers/{TYPE}/{parsed.names[0]}"
    return Vault(vault_id, parsed.names[0], parsed.resource_group, parsed.subscription, "")


def _named(vaults: list[Vault]) -> str:
    return ", ".join(sorted(f"{vault.name} (resource group {vault.resource_group})" for vault in vaults))
