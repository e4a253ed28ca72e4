# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The situations that an estate can be in, and what each module finds to do there, in each value of its state or action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documented
import estates
import runbook
from conftest import RunningCloud

Body = dict[str, Any]

AGENT, PUBLISHER = "AzureMonitorLinuxAgent", "Microsoft.Azure.Monitor"
HEALTHY, ABSENT, BROKEN = (estates.machine_id(name, estates.RECOVERY) for name in ("healthy", "absent", "broken"))
MONITORING: Body = {"data_collection_rules": [{"id": runbook.RULES["Linux"]}], "data_collection_endpoint_ids": [runbook.ENDPOINT]}
RECORDED = Path(__file__).with_name("baseline.json")  # of HEALTHY
FROZEN = Path(__file__).with_name("freeze.json")  # of ABSENT, and of BROKEN as if its agent had had no automatic upgrade
THAWED = Path(__file__).with_name("thawed.json")
HEALTH = "ApplicationHealthLinux"
SCALE_SET = estates.scale_set_id("vmss-shop", estates.RECOVERY)
BEHIND, CURRENT, WINDOWS = (estates.scale_set_id(f"vmss-{name}", estates.RECOVERY) for name in ("behind", "current", "windows"))
UPGRADE: Body = {"scale_set_ids": [BEHIND], "timeout": 0.1, "max_failures": 1}  # its batches are so far apart that it runs on then
ACCOUNT = {"automation_account_id": estates.ACCOUNT_ID}
ON = {
    "agentAutoUpdateStatus": "Enabled",
    "automationAccountArmId": estates.ACCOUNT_ID,
    "automationAccountAuthenticationType": "SystemAssignedIdentity",
}
OUTDATED = {"agentVersion": "9.63.7187.1", "isReplicationAgentUpdateRequired": True}
REINSTALL = OUTDATED | {"isAgentUpgradeable": False, "isAgentReinstallRequired": True}
# Items of machines whose Mobility service is to be updated, and to be reinstalled.
AGED = (estates.item(runbook.WEB, details=OUTDATED), estates.item(runbook.SQL, system="Windows", details=REINSTALL))
SICK = estates.health_error("151083", "The account cannot be used.", "It has no rights.", "Grant them.")


@dataclass(frozen=True)
class Case:
    """A module with a value of its state or action, and what check mode shall say: changes, nothing or refuses (in the words of `why`).

    others: what becomes of targets that are not treated like the others.
    """

    module: str
    value: str | None
    says: str
    args: Body = field(default_factory=dict)
    why: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    def run(self, cloud: RunningCloud) -> Body:
        """The module's result in check mode, with the diff."""
        option, _values = documented.chooser(self.module)
        given = {option: self.value} if option else {}
        return cloud.run_module(self.module, given | self.args, check=True, diff=True)


def extension(machine_id: str, **properties: Any) -> Body:
    return estates.resource(
        f"{machine_id}/extensions/{AGENT}",
        {
            "publisher": PUBLISHER,
            "type": AGENT,
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "enableAutomaticUpgrade": True,
            "provisioningState": "Succeeded",
        }
        | properties,
        location=estates.RECOVERY,
    )


def scale_set() -> Body:
    """A scale set of the recovery region with the upgrade mode Manual, whose agent has no automatic upgrade."""
    agent = {"name": AGENT, "publisher": PUBLISHER, "type": AGENT, "enableAutomaticUpgrade": False}
    health = {"name": HEALTH, "publisher": "Microsoft.ManagedServices", "type": HEALTH, "enableAutomaticUpgrade": True}
    return estates.scale_set("vmss-shop", 3, agent, health, region=estates.RECOVERY)


def standing_machines() -> list[Body]:
    """Machines of the recovery region: one with all its monitoring, one with none, one whose agent has failed; and a scale set."""
    associations = f"{HEALTHY}/providers/Microsoft.Insights/dataCollectionRuleAssociations"
    return [
        *(body for one in (HEALTHY, ABSENT, BROKEN) for body in estates.machine(one.rpartition("/")[2], region=estates.RECOVERY)),
        extension(HEALTHY),
        extension(BROKEN, provisioningState="Failed"),
        scale_set(),
        estates.resource(f"{associations}/dcra", {"dataCollectionRuleId": runbook.RULES["Linux"]}),
        estates.resource(f"{associations}/configurationAccessEndpoint", {"dataCollectionEndpointId": runbook.ENDPOINT}),
    ]


def scale_sets_with_images() -> list[Body]:
    """A scale set whose image is behind, with days between batches; one with automatic upgrades that has the newest image; and one in
    which Windows Update is at work."""
    slow = {"rollingUpgradePolicy": {"pauseTimeBetweenBatches": "PT2400H"}}
    automatic = {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}}
    windows = estates.imaged_scale_set("vmss-windows", 1, estates.IMAGES[1], region=estates.RECOVERY)
    patching = {"enableAutomaticUpdates": True, "patchSettings": {"patchMode": "AutomaticByOS"}}
    windows[0]["properties"]["virtualMachineProfile"]["osProfile"] = {"adminUsername": "shopadmin", "windowsConfiguration": patching}
    return [
        *windows,
        *estates.published_images(estates.RECOVERY),
        *estates.imaged_scale_set("vmss-behind", 3, estates.IMAGES[0], slow, estates.RECOVERY),
        *estates.imaged_scale_set("vmss-current", 2, estates.IMAGES[1], automatic, estates.RECOVERY),
    ]


@dataclass(frozen=True)
class Situation:
    """How an estate stands: resources beside those of runbook.shop, the failover actions that were run on it, the cases for it, and what
    else was run before."""

    more: tuple[Body, ...]
    actions: tuple[str, ...]
    cases: tuple[Case, ...]
    before: tuple[Case, ...] = ()


def failover(value: str, says: str, why: str = "", **args: Any) -> Case:
    return Case("asr_failover", value, says, args, why)


def autoupgrade(value: str, says: str, **args: Any) -> Case:
    return Case("vm_extension_autoupgrade", value, says, {"all_supported": True} | args)


def upgrade(value: str, says: str, scale_set_id: str, **args: Any) -> Case:
    return Case("vmss_os_upgrade", value, says, {"scale_set_ids": [scale_set_id]} | args)


def freeze(value: str, says: str, path: str | Path, **args: Any) -> Case:
    return Case("change_freeze", value, says, {"path": str(path)} | args)


def reinstall(value: str, says: str, *machine_ids: str, others: Mapping[str, str] | None = None) -> Case:
    return Case("ama_reinstall", value, says, MONITORING | ({"machine_ids": list(machine_ids)} if machine_ids else {}), others=others or {})


SITUATIONS: dict[str, Situation] = {
    "ready": Situation(
        (*standing_machines(), *AGED, *scale_sets_with_images()),
        (),
        (
            failover("test", "changes"),
            failover("test", "changes", replicated_items=[runbook.WEB]),
            failover("test_cleanup", "nothing"),
            failover("unplanned", "changes"),
            failover("commit", "refuses", "nothing to commit"),
            failover("cancel", "nothing"),
            Case("asr_autoupdate", "enabled", "changes", ACCOUNT),
            Case("asr_autoupdate", "disabled", "nothing"),
            reinstall("present", "changes", HEALTHY, ABSENT, BROKEN, others={"healthy": "unchanged"}),
            reinstall("present", "nothing", HEALTHY),
            reinstall("absent", "changes", HEALTHY, ABSENT, BROKEN, others={"absent": "unchanged"}),
            reinstall("absent", "nothing", ABSENT),
            Case("asr_vault_info", None, "nothing"),
            Case("asr_permissions_info", None, "nothing", {"actions": ["Microsoft.Compute/virtualMachines/read"]}),
            Case("asr_readiness_info", None, "nothing"),
            Case("extension_baseline", None, "changes", {"path": "~/baseline.json", "machine_ids": [HEALTHY, ABSENT]}),
            Case("extension_baseline", None, "nothing", {"path": str(RECORDED), "machine_ids": [HEALTHY]}),
            Case("asr_mobility_update", None, "changes"),
            autoupgrade("enabled", "changes", scale_set_ids=[SCALE_SET], propagate=True),
            autoupgrade("enabled", "nothing", machine_ids=[HEALTHY, ABSENT, BROKEN]),
            autoupgrade("disabled", "changes", machine_ids=[HEALTHY], scale_set_ids=[SCALE_SET]),
            autoupgrade("disabled", "nothing"),
            freeze("frozen", "changes", "~/freeze.json", machine_ids=[HEALTHY], scale_set_ids=[SCALE_SET]),
            freeze("frozen", "nothing", FROZEN, machine_ids=[ABSENT]),
            freeze("thawed", "nothing", THAWED),
            Case("change_freeze", "thawed", "changes", {"path": str(FROZEN)}, others={"absent": "unchanged"}),
            upgrade("enabled", "changes", BEHIND),
            upgrade("enabled", "nothing", CURRENT),
            upgrade("disabled", "changes", CURRENT),
            upgrade("disabled", "nothing", BEHIND),
            upgrade("started", "changes", BEHIND, timeout=0.1),
            upgrade("started", "nothing", CURRENT),
            upgrade("cancelled", "nothing", BEHIND),
        ),
    ),
    "an image is being rolled out": Situation(
        tuple(scale_sets_with_images()),
        (),
        (upgrade("cancelled", "changes", BEHIND), upgrade("cancelled", "nothing", CURRENT), upgrade("started", "nothing", BEHIND)),
        (Case("vmss_os_upgrade", "started", "changes", UPGRADE),),
    ),
    "a test failover stands": Situation(
        (estates.mapping(estates.PRIMARY, details=ON), estates.mapping(estates.RECOVERY, details=ON)),
        ("test",),
        (
            failover("test", "nothing"),
            failover("test_cleanup", "changes"),
            failover("unplanned", "refuses", "test_cleanup"),
            failover("commit", "refuses", "test_cleanup"),
            failover("cancel", "nothing"),
            Case("asr_autoupdate", "enabled", "nothing"),
            Case("asr_autoupdate", "disabled", "changes"),
            Case("asr_mobility_update", None, "nothing"),
            reinstall("present", "changes"),
            reinstall("absent", "nothing"),
            Case("asr_vault_info", None, "nothing"),
        ),
    ),
    "failed over": Situation(
        (
            estates.mapping(estates.PRIMARY, details=ON, health="Critical", healthErrorDetails=[SICK]),
            estates.mapping(estates.RECOVERY, details=ON),
        ),
        ("unplanned",),
        (
            failover("test", "refuses", "commit"),
            failover("test_cleanup", "nothing"),
            failover("unplanned", "nothing"),
            failover("commit", "changes"),
            failover("cancel", "changes"),
            Case("asr_autoupdate", "enabled", "changes", others={estates.mapping_id(estates.RECOVERY).rpartition("/")[2]: "unchanged"}),
            reinstall("present", "changes"),
            Case("asr_vault_info", None, "nothing"),
            Case("asr_readiness_info", None, "nothing", {"restore_from": "source"}),
        ),
    ),
    "committed": Situation(
        (),
        ("unplanned", "commit"),
        (
            failover("test", "refuses", "eprotect"),
            failover("unplanned", "nothing"),
            failover("commit", "nothing"),
            Case("asr_vault_info", None, "nothing"),
        ),
    ),
}
