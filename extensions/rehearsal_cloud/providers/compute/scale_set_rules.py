# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What Azure refuses of a scale set's model. Codes and words are those of public issue threads, where not said otherwise."""

from __future__ import annotations

from typing import Any

from ... import refusals
from ...resource_types import Body
from . import health, instance_view, instances, published
from .extensions import refuse_automatic_upgrade

PERCENTS = {"maxBatchInstancePercent": 5, "maxUnhealthyInstancePercent": 5, "maxUnhealthyUpgradedInstancePercent": 0}
"""The least value of each percentage; the greatest is 100 (Microsoft Learn, rolling upgrade policy)."""
SERVICE_FABRIC = ("microsoft.azure.servicefabric.servicefabricnode", "microsoft.azure.servicefabric.servicefabriclinuxnode")
"""Extensions whose scale sets have their health from the cluster (Microsoft Learn, automatic OS image upgrades)."""


def check(wanted: Body, before: Body | None) -> None:
    """Refuse (400) a scale set that Azure would not take; set what Azure sets itself."""
    upgrade = wanted["properties"].get("upgradePolicy") or {}
    _check_percents(upgrade.get("rollingUpgradePolicy") or {})
    _check_extensions(instances.extensions_of_model(wanted))
    sources = health.of_profile(instances.profile(wanted))
    if upgrade.get("mode") == "Rolling" and not sources:
        raise _refused(
            "Rolling Upgrade mode is not supported for this Virtual Machine Scale Set because a health probe or health "
            "extension was not provided."
        )
    if (upgrade.get("automaticOSUpgradePolicy") or {}).get("enableAutomaticOSUpgrade") is True:
        _check_automatic(wanted, sources, _is_automatic(before))


def _check_automatic(wanted: Body, sources: set[str], already: bool) -> None:
    fabric = any(instance_view.handler_type(one).lower() in SERVICE_FABRIC for one in instances.extensions_of_model(wanted))
    start = "Automatic OS Upgrade is not supported for this Virtual Machine Scale Set because "
    if not sources and not fabric:
        raise _refused(f"{start}a health probe or health extension was not specified.")
    if len(sources) > 1:
        raise _refused(
            f"{start}both a health probe and a health extension were provided. Remove the health probe or health extension prior to "
            "enabling automatic OS upgrade."
        )
    profile = instances.profile(wanted)
    if not published.follows_latest((profile.get("storageProfile") or {}).get("imageReference") or {}):
        raise _refused(f"{start}the version of its image reference is not 'latest'.")  # inferred: that it is refused, and the words
    windows = (profile.get("osProfile") or {}).get("windowsConfiguration")
    linux = (profile.get("osProfile") or {}).get("linuxConfiguration") or {}
    for system in (windows or {}, linux):
        if (system.get("patchSettings") or {}).get("patchMode") == "AutomaticByPlatform":
            raise _refused(f"{start}its patch mode is 'AutomaticByPlatform'.")  # inferred: that it is refused, and the words
    if windows is None:
        return
    if already and windows.get("enableAutomaticUpdates") is True:
        raise _refused(
            "windowsConfiguration.enableAutomaticUpdates cannot be set to true if "
            "upgradePolicy.automaticOSUpgradePolicy.enableAutomaticOSUpgrade is already true, starting from API version 2019-03-01"
        )
    windows["enableAutomaticUpdates"] = False  # as the API document says: it is set with the policy


def _is_automatic(scale_set: Body | None) -> bool:
    upgrade = ((scale_set or {}).get("properties") or {}).get("upgradePolicy") or {}
    return (upgrade.get("automaticOSUpgradePolicy") or {}).get("enableAutomaticOSUpgrade") is True


def _check_percents(policy: dict[str, Any]) -> None:
    for name, least in PERCENTS.items():
        value = policy.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 100:
            target = f"rollingUpgradePolicy.{name}"
            raise refusals.refuse(400, "InvalidParameter", f"The value of parameter {target} is invalid.", target=target)


def _check_extensions(extensions: list[Body]) -> None:
    """One extension of a name, and of a publisher and type; what one waits for is there, and no ring (that rings are refused: inferred)."""
    names = {one["name"].lower() for one in extensions}
    for number, one in enumerate(extensions):
        refuse_automatic_upgrade(one["properties"])
        for other in extensions[:number]:
            if instance_view.handler_type(other).lower() == instance_view.handler_type(one).lower():
                raise _refused(
                    f"Multiple VMExtensions per handler not supported for OS type. VMExtension '{other['name']}' with handler "
                    f"'{instance_view.handler_type(one)}' already added or specified in input."
                )
        unknown = instances.waits_for(one) - names
        if unknown:
            raise _refused(f"VM extension '{one['name']}' is to be provisioned after '{sorted(unknown)[0]}', which is not in the model.")
    done: set[str] = set()
    while len(done) < len(names):
        ready = {one["name"].lower() for one in extensions if instances.waits_for(one) <= done}
        if ready <= done:
            raise _refused(f"VM extensions wait for each other: {', '.join(sorted(names - done))}.")
        done |= ready


def _refused(message: str) -> refusals.Refusal:
    return refusals.refuse(400, "BadRequest", message)
