# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Replicated items: what Site Recovery says of one protected machine, and the choice of items by what users call them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError

Wire = dict[str, Any]


@dataclass(frozen=True)
class CurrentJob:
    """The job that runs on an item. `scenario` is a word of the item's own ("EnableProtection" where the job says "EnableDr")."""

    name: str
    id: str
    scenario: str
    started: str | None


@dataclass(frozen=True)
class Agent:
    """The Mobility service of an item. Dates are ISO 8601; None is what Azure does not tell (a key that its API version lacks included).

    `distro` is the operating system that the machine has, `installed_for` the one that it had when the service was installed."""

    version: str | None
    expires: str | None
    update_required: bool | None
    certificate_expires: str | None
    certificate_update_required: bool | None
    upgradeable: bool | None
    upgrade_in_progress: bool | None
    upgrade_retries: int | None
    upgrade_retries_exhausted: bool | None
    reinstall_required: bool | None
    reinstall_blocked_by: tuple[Wire, ...]
    distro: str | None
    installed_for: str | None


@dataclass(frozen=True)
class ReplicatedItem:
    """One replicated item. States, health and operations are Site Recovery's own words; `friendly_name` is the machine's name.

    `source_vm_id` is the machine that is replicated, `recovery_vm_id` the one that a failover makes, `test_vm_id` the one that a test
    failover makes; whether those exist at present is not said. Azure's ids come in any letter case: compare them with ids.same.
    """

    id: str
    name: str
    friendly_name: str
    provider: str
    fabric: str
    container: str
    policy: str | None
    primary_location: str | None
    recovery_location: str | None
    os_type: str | None
    source_vm_id: str | None
    recovery_vm_id: str | None
    test_vm_id: str | None
    protection_state: str
    active_location: str | None
    test_failover_state: str | None
    allowed_operations: tuple[str, ...]
    replication_health: str | None
    failover_health: str | None
    health_errors: tuple[Wire, ...]
    current_job: CurrentJob | None
    rpo_seconds: int | None
    rpo_calculated: str | None
    last_test_failover: str | None
    last_failover: str | None
    agent: Agent | None

    def allows(self, operation: str) -> bool:
        """Whether Site Recovery offers the operation now; being Protected does not say so (recorded traffic)."""
        return operation.lower() in (allowed.lower() for allowed in self.allowed_operations)

    def called(self, text: str) -> bool:
        """Whether `text` is the item's name or id, the machine's name, or the id of one of its machines."""
        if text.startswith("/"):
            return any(ids.same(text, known) for known in (self.id, self.source_vm_id, self.recovery_vm_id, self.test_vm_id))
        return text.lower() in (self.name.lower(), self.friendly_name.lower())


def parse(wire: Wire) -> ReplicatedItem:
    """The item of one element of the list of replicated items, or of its own GET; they are the same (recorded traffic)."""
    properties = wire["properties"]
    details = properties.get("providerSpecificDetails") or {}
    parsed = ids.parse(wire["id"])
    group = details.get("recoveryAzureResourceGroupId")
    recovery_name = details.get("recoveryAzureVMName") or details.get("recoveryAzureVmName")  # A2A and Hyper-V spell it differently
    is_a2a = (details.get("instanceType") or "").lower() == "a2a"
    return ReplicatedItem(
        id=wire["id"],
        name=wire["name"],
        friendly_name=properties.get("friendlyName") or wire["name"],
        provider=details.get("instanceType") or "",
        fabric=parsed.names[1],
        container=parsed.names[2],
        policy=properties.get("policyFriendlyName"),
        primary_location=details.get("primaryFabricLocation") or properties.get("primaryFabricFriendlyName"),
        recovery_location=details.get("recoveryFabricLocation") or properties.get("recoveryFabricFriendlyName"),
        os_type=details.get("osType") or (details.get("oSDetails") or {}).get("osType"),
        source_vm_id=details.get("fabricObjectId") if is_a2a else None,
        recovery_vm_id=details.get("recoveryFabricObjectId") or _machine(group, recovery_name),
        test_vm_id=details.get("testFailoverRecoveryFabricObjectId") or _machine(group, details.get("tfoAzureVMName")),
        protection_state=properties.get("protectionState") or "",
        active_location=properties.get("activeLocation"),
        test_failover_state=properties.get("testFailoverState"),
        allowed_operations=tuple(properties.get("allowedOperations") or ()),
        replication_health=properties.get("replicationHealth"),
        failover_health=properties.get("failoverHealth"),
        health_errors=tuple(health_error(error) for error in properties.get("healthErrors") or ()),
        current_job=_current_job(properties.get("currentScenario")),
        rpo_seconds=details.get("rpoInSeconds"),
        rpo_calculated=_date(details.get("lastRpoCalculatedTime")),
        last_test_failover=_date(properties.get("lastSuccessfulTestFailoverTime")),
        last_failover=_date(properties.get("lastSuccessfulFailoverTime")),
        agent=_agent(details) if is_a2a else None,
    )


def choose(items: Sequence[ReplicatedItem], wanted: Iterable[str]) -> list[ReplicatedItem]:
    """The items that are called as wanted (see ReplicatedItem.called), each once, in the order of `wanted`.

    Raises AzureDRError that names what is not there, with the items that are, or what is the name of several items.
    """
    chosen: dict[str, ReplicatedItem] = {}
    missing: list[str] = []
    for text in wanted:
        found = [item for item in items if item.called(text)]
        if not found:
            missing.append(text)
        if len(found) > 1:
            listed = ", ".join(item.id for item in found)
            raise AzureDRError(f"{text} is the name of {len(found)} replicated items: {listed}. Name one by its id.")
        chosen |= {ids.key(item.id): item for item in found}
    if missing:
        known = ", ".join(sorted(item.friendly_name for item in items)) or "none"
        raise AzureDRError(f"There is no replicated item {', '.join(missing)} in the vault. There are: {known}.")
    return list(chosen.values())


def health_error(wire: Wire) -> Wire:
    """A health error as users are shown it: category, code, level, message, possible_causes, recommended_action, created."""
    keys = {
        "category": "errorCategory",
        "code": "errorCode",
        "level": "errorLevel",
        "message": "errorMessage",
        "possible_causes": "possibleCauses",
        "recommended_action": "recommendedAction",
    }
    return {shown: wire.get(key) or None for shown, key in keys.items()} | {"created": _date(wire.get("creationTimeUtc"))}


def when(text: str) -> datetime:
    """The moment of a date as Site Recovery writes it: with up to seven digits of a second, with Z, an offset or no zone at all (UTC)."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _machine(group: str | None, name: str | None) -> str | None:
    return f"{group}/providers/Microsoft.Compute/virtualMachines/{name}" if group and name else None


def _current_job(scenario: Wire | None) -> CurrentJob | None:
    """Site Recovery says "nothing runs" with a job that is called None and started in 1753 (recorded traffic)."""
    job_id = (scenario or {}).get("jobId") or ""
    name = job_id.rpartition("/")[2]
    if not scenario or name in ("", "None"):
        return None
    return CurrentJob(name, job_id, scenario.get("scenarioName") or "", _date(scenario.get("startTime")))


def _date(text: str | None) -> str | None:
    """A date, or None for the years by which Site Recovery says "none": 0001, 1753 and 9999 (recorded traffic)."""
    return None if not text or text[:4] in ("0001", "1753", "9999") else text


def _agent(details: Wire) -> Agent:
    """Keys as in the Site Recovery client 2.0.0 (API 2025-08-01), an older one lacks the last eight."""
    return Agent(
        version=details.get("agentVersion"),
        expires=_date(details.get("agentExpiryDate")),
        update_required=details.get("isReplicationAgentUpdateRequired"),
        certificate_expires=_date(details.get("agentCertificateExpiryDate")),
        certificate_update_required=details.get("isReplicationAgentCertificateUpdateRequired"),
        upgradeable=details.get("isAgentUpgradeable"),
        upgrade_in_progress=details.get("isAgentUpgradeInProgress"),
        upgrade_retries=details.get("autoAgentUpgradeRetryCount"),
        upgrade_retries_exhausted=details.get("isAgentUpgradeRetryThresholdExhausted"),
        reinstall_required=details.get("isAgentReinstallRequired"),
        reinstall_blocked_by=tuple(health_error(reason) for reason in details.get("reasonsBlockingReinstallDetails") or ()),
        distro=details.get("distroName") or None,
        installed_for=details.get("distroNameForWhichAgentIsInstalled") or None,
    )
