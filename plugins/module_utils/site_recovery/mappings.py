# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Container mappings and the setting that they carry: whether Azure keeps the Mobility service of their machines up to date.

A mapping leads from one protection container to another; a vault that replicates in both directions has one for each. Only mappings that
replicate from Azure to Azure (A2A) and are Paired have the setting. A mapping that has it but reports health errors is set again, which
repairs what the update needs in the automation account (Microsoft Learn, "Automatic update of the Mobility service").
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError, OperationFailed
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import jobs
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import vault as vaults
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery.items import health_error

Wire = dict[str, Any]

ACCOUNT_TYPE = "Microsoft.Automation/automationAccounts"
ACCOUNT_API_VERSION = "2023-11-01"  # Azure API document, Automation accounts
# The option's words and Azure's.
AUTHENTICATION = {"system_assigned_identity": "SystemAssignedIdentity", "run_as_account": "RunAsAccount"}
RUN_AS_RETIRED = (
    "Run As accounts were retired on 2023-09-30: updates of the Mobility service fail with run_as_account. Give the "
    "automation account a system-assigned identity, and use system_assigned_identity."
)
LOOKS = 10  # looks at a mapping that was set again, about a minute, before what it still reports counts


@dataclass(frozen=True)
class Mapping:
    """One container mapping. `provider` is empty where Azure tells none (VMM and VMware mappings), states are Site Recovery's own words."""

    id: str
    name: str
    source: str
    target: str
    policy: str | None
    state: str
    provider: str
    auto_update: str | None
    account_id: str | None
    authentication_type: str | None
    schedule: str | None
    health: str | None
    health_errors: tuple[Wire, ...]

    @property
    def has_update(self) -> bool:
        """Whether there is automatic update for it at all."""
        return self.provider.lower() == "a2a" and self.state.lower() == "paired"

    def view(self) -> fleet.View:
        """The mapping as users are shown it."""
        return {
            "source": self.source,
            "target": self.target,
            "policy": self.policy,
            "state": self.state,
            "provider": self.provider or None,
            "auto_update": self.auto_update,
            "automation_account_id": self.account_id,
            "automation_account_authentication_type": self.authentication_type,
            "schedule": self.schedule,
            "health": self.health,
            "health_errors": list(self.health_errors),
        }


def parse(wire: Wire) -> Mapping:
    """The mapping of an element of the list of container mappings, or of its own GET."""
    properties = wire.get("properties") or {}
    details = properties.get("providerSpecificDetails") or {}  # null for VMM and VMware (recorded traffic)
    return Mapping(
        id=wire["id"],
        name=wire["name"],
        source=_place(properties, "source"),
        target=_place(properties, "target"),
        policy=properties.get("policyFriendlyName"),
        state=properties.get("state") or "",
        provider=details.get("instanceType") or "",
        auto_update=details.get("agentAutoUpdateStatus"),
        account_id=details.get("automationAccountArmId") or None,
        authentication_type=details.get("automationAccountAuthenticationType"),
        schedule=details.get("scheduleName") or None,
        health=properties.get("health"),
        health_errors=tuple(health_error(error) for error in properties.get("healthErrorDetails") or ()),
    )


async def read(azure: Any, mapping_id: str) -> Mapping:
    """Ask Azure for one mapping. Raises AzureError, also for one that is not there."""
    get = azure.site_recovery.replication_protection_container_mappings.get(**_names(mapping_id))
    return parse(await azure.read("read the container mapping", mapping_id, get))


@dataclass(frozen=True)
class Wanted:
    """Automatic update on, with an automation account and a type of AUTHENTICATION's values; or off, with neither."""

    enabled: bool
    account_id: str | None = None
    authentication_type: str | None = None

    @property
    def status(self) -> str:
        return "Enabled" if self.enabled else "Disabled"

    def set_on(self, mapping: Mapping) -> bool:
        """Whether the mapping carries the setting, healthy or not."""
        if _word(mapping.auto_update) != _word(self.status):
            return False
        account = ids.same(mapping.account_id, self.account_id)
        return not self.enabled or (account and _word(mapping.authentication_type) == _word(self.authentication_type))

    def body(self) -> Wire:
        """The PATCH of a mapping (Azure API document, ReplicationProtectionContainerMappings_Update)."""
        setting: Wire = {"instanceType": "A2A", "agentAutoUpdateStatus": self.status}
        if self.enabled:
            setting |= {"automationAccountArmId": self.account_id}
        if self.enabled and self.authentication_type:
            setting |= {"automationAccountAuthenticationType": self.authentication_type}
        return {"properties": {"providerSpecificInput": setting}}


def check_input(params: MutableMapping[str, Any]) -> None:
    """Refuse wrong options of asr_autoupdate before any request; pure but for what vault.check_input settles. Raises InputError."""
    vaults.check_input(params)
    for wanted in params.get("mappings") or ():
        if wanted.startswith("/"):
            ids.require(
                "mappings",
                wanted,
                f"{vaults.TYPE}/replicationFabrics/replicationProtectionContainers/replicationProtectionContainerMappings",
            )
    if params.get("automation_account_id"):
        ids.require("automation_account_id", params["automation_account_id"], ACCOUNT_TYPE)
        if params.get("subscription_id"):
            check_subscription(params["automation_account_id"], params["subscription_id"])


def check_subscription(account_id: str, subscription: str) -> None:
    """Refuse an automation account of another subscription than the vault's, which Site Recovery cannot use. Raises InputError."""
    if ids.parse(account_id).subscription.lower() != subscription.lower():
        raise InputError("automation_account_id", account_id, f"an automation account in the vault's subscription, {subscription}")


def choose(mappings: Sequence[Mapping], wanted: Iterable[str] | None) -> list[Mapping]:
    """The mappings of those names or ids, all when none is wanted. A name stands for every mapping that has it.

    Raises AzureDRError that names what is not there, and the mappings that are.
    """
    if wanted is None:
        return list(mappings)
    chosen: dict[str, Mapping] = {}
    missing = []
    for text in wanted:
        found = [mapping for mapping in mappings if ids.same(mapping.id, text) or mapping.name.lower() == text.lower()]
        if not found:
            missing.append(text)
        chosen |= {ids.key(mapping.id): mapping for mapping in found}
    if missing:
        known = ", ".join(sorted(mapping.name for mapping in mappings)) or "none"
        raise AzureDRError(f"There is no container mapping {', '.join(missing)} in the vault. There are: {known}.")
    return list(chosen.values())


def account_for(mappings: Iterable[Mapping], given: str | None) -> str:
    """The automation account to use: the given one, else the one that the vault's mappings have.

    Raises AzureDRError when there is none, or when they have different ones: Site Recovery uses one for a whole vault (Microsoft Learn).
    """
    if given:
        return given
    known = {ids.key(mapping.account_id): mapping.account_id for mapping in mappings if mapping.account_id}
    if len(known) == 1:
        return next(iter(known.values()))
    if known:
        raise AzureDRError(
            "The container mappings of the vault have different automation accounts, and a vault has one. Say which with "
            f"automation_account_id: {', '.join(sorted(known.values()))}."
        )
    raise AzureDRError(
        "No container mapping of the vault has an automation account yet. Say which one is to update the machines with "
        "automation_account_id."
    )


async def check_account(azure: Any, account_id: str, authentication_type: str) -> None:
    """Refuse an automation account that is not there, or that has no system-assigned identity where that is to sign in.

    Raises AzureDRError, AzureError when the account cannot be read.
    """
    try:
        account = await azure.get("read the automation account", account_id, ACCOUNT_API_VERSION)
    except AzureError as error:
        if error.absent:
            raise AzureDRError(f"There is no automation account {account_id}.") from error
        raise
    identity = (account.get("identity") or {}).get("type") or "None"
    if authentication_type == AUTHENTICATION["system_assigned_identity"] and "systemassigned" not in identity.lower():
        raise AzureDRError(
            f"The automation account {account_id} has no system-assigned identity (its identity type is {identity}), and so "
            "cannot update the Mobility service. Switch the identity on, and grant it the Contributor role on the vault."
        )


async def settle(azure: Any, vault: vaults.Vault, every: Sequence[Mapping], chosen: Sequence[Mapping], params: dict[str, Any]) -> Wanted:
    """What asr_autoupdate's options ask for of the `chosen` among `every` mapping of the vault, with the automation account checked.

    No account is needed where no chosen mapping has automatic update. Raises AzureDRError.
    """
    if params["state"] == "disabled":
        return Wanted(False)
    given = params["automation_account_id"]
    if not given and not any(mapping.has_update for mapping in chosen):
        return Wanted(True)
    account_id = account_for(every, given)
    check_subscription(account_id, vault.subscription)
    authentication_type = AUTHENTICATION[params["automation_account_authentication_type"]]
    await check_account(azure, account_id, authentication_type)
    return Wanted(True, account_id, authentication_type)


class AutoUpdate(fleet.Step[Mapping]):
    """Switches automatic update of the Mobility service on one mapping on or off; set again where it is on but not healthy.

    wanted: tells what a mapping shall have. repair: see to the health of what is on. `warnings`: what Azure reported beside success.
    A mapping on which another run did not see the end of what it sent is set in any case: that may still be on its way.
    """

    def __init__(self, azure: Any, wanted: Callable[[fleet.Target], Wanted], journal: Journal, repair: bool = True) -> None:
        self.warnings: list[str] = []
        self._azure, self._wanted, self._journal, self._repair = azure, wanted, journal, repair
        self._looks: Counter[str] = Counter()
        self._unsure: dict[str, bool] = {}

    async def observe(self, target: fleet.Target) -> Mapping:
        if target.id not in self._unsure:
            self._unsure[target.id] = any(not entry.live for entry in self._journal.unfinished(target.id))
        return await read(self._azure, target.id)

    def plan(self, target: fleet.Target, observed: Mapping) -> list[fleet.Action]:
        if not observed.has_update:
            if observed.provider.lower() == "a2a":
                raise fleet.Skip(f"It is {observed.state or 'in no known state'}, and only Paired mappings can be changed.")
            raise fleet.Skip(f"It replicates with {observed.provider or 'another provider'}, and only A2A mappings have automatic update.")
        wanted = self._wanted(target)
        if not wanted.set_on(observed) or self._unsure.get(target.id):
            text = f"{'enable' if wanted.enabled else 'disable'} automatic update"
        elif self._repair and wanted.enabled and observed.health_errors:
            text = "repair automatic update"
        else:
            return []
        return [fleet.Action(text, (("PATCH", target.id),))]

    async def apply(self, target: fleet.Target, action: fleet.Action, seconds: float) -> None:
        operations, job = self._azure.site_recovery.replication_protection_container_mappings, ""

        async def begin(polling: Any) -> Any:
            nonlocal job
            poller = await operations.begin_update(**_names(target.id), update_input=self._wanted(target).body(), polling=polling)
            job = polling.operation_id  # the operation and its job have the same name (recorded traffic)
            return poller

        clock, interval = asyncio.get_running_loop().time, fleet.FIRST_LOOK
        limit = clock() + seconds
        while True:
            try:
                end = await self._azure.run(action.text, target.id, begin, max(limit - clock(), 1))
                break
            except OperationFailed as error:
                raise await jobs.explained(self._azure, vaults.holding(target.id), job, error) from error
            except AzureError as error:
                if error.status != 409 or not self._unsure.get(target.id) or clock() + interval >= limit:
                    raise
            await self._azure.pause(interval)  # what another run has begun is still at work
            interval = min(interval * 1.5, fleet.LONGEST_LOOK)
        self._unsure[target.id] = False
        if end.warning:
            self.warnings.append(f"{target.name}: {action.text} ended {end.status}, with: {end.warning}")

    def view(self, observed: Mapping) -> fleet.View:
        return observed.view()

    def wanted(self, target: fleet.Target, observed: Mapping) -> fleet.View:
        wanted = self._wanted(target)
        if not wanted.enabled:
            return {"auto_update": wanted.status}
        return {
            "auto_update": wanted.status,
            "automation_account_id": wanted.account_id,
            "automation_account_authentication_type": wanted.authentication_type,
            **({"health_errors": []} if self._repair else {}),
        }

    def failure(self, target: fleet.Target, observed: Mapping) -> str | None:
        self._looks[target.id] += 1
        if self._looks[target.id] < LOOKS:
            return None
        wanted = self._wanted(target)
        if wanted.set_on(observed):
            return f"Automatic update was set, but is still not healthy: {told(observed.health_errors)}"
        return f"Azure reported success, but automatic update is not {wanted.status} as it was asked to be."


def counts(report: fleet.Report) -> dict[str, int]:
    """How many mappings succeeded (are as wanted, changed or not), failed, failed to start (nothing changed), timed out, were skipped."""
    not_begun = sum(outcome.state == "failed" and not outcome.begun for outcome in report.outcomes)
    return {
        "succeeded": report.count("changed", "unchanged"),
        "failed": report.count("failed") - not_begun,
        "failed_to_start": not_begun,
        "timed_out": report.count("timed_out"),
        "skipped": report.count("skipped"),
    }


def explain_repairs(report: fleet.Report) -> None:
    """Give the mappings that were (or would be) changed while they had health errors these errors as their reason."""
    for outcome in report.outcomes:
        errors = outcome.before.get("health_errors")
        if outcome.state == "changed" and outcome.reason is None and errors:
            outcome.reason = f"It was not healthy: {told(errors)}"


def told(health_errors: Iterable[Wire]) -> str:
    """Health errors in one paragraph, with their causes and what to do."""
    parts = []
    for error in health_errors:
        parts.append(f"{error['code']}: {error['message']}" if error["code"] else error["message"] or "an error without a text")
        parts += [f"Possible causes: {error['possible_causes']}"] if error["possible_causes"] else []
        parts += [f"Recommended action: {error['recommended_action']}"] if error["recommended_action"] else []
    return " ".join(parts)


def _names(mapping_id: str) -> dict[str, str]:
    """The arguments by which the Site Recovery client is told a mapping."""
    fabric, container, mapping = ids.parse(mapping_id).names[1:]
    return {**vaults.holding(mapping_id).scope, "fabric_name": fabric, "protection_container_name": container, "mapping_name": mapping}


def _word(text: str | None) -> str:
    """A word of Site Recovery, whose letter case is not to be relied on."""
    return (text or "").lower()


def _place(properties: Wire, side: str) -> str:
    """Where one side of a mapping is: fabric and container, or the one name of a side that is Azure itself."""
    fabric, container = properties.get(f"{side}FabricFriendlyName"), properties.get(f"{side}ProtectionContainerFriendlyName")
    names = dict.fromkeys(name for name in (fabric, container) if name)
    return " / ".join(names)
