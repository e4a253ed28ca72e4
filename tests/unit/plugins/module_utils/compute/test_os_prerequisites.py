# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""os_prerequisites: models that may have automatic upgrades of their image, and for each rule those that may not."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import os_prerequisites as prerequisites
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.os_prerequisites import Surroundings

Body = dict[str, Any]
Change = Callable[[Body], object]

GROUP = "/subscriptions/s/resourceGroups/g/providers"
PROBE = f"{GROUP}/Microsoft.Network/loadBalancers/lb/probes/health"
IMAGE = f"{GROUP}/Microsoft.Compute/galleries/gal/images/node"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
UBUNTU = {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts-gen2", "version": "latest"}
WINDOWS = {"publisher": "MicrosoftWindowsServer", "offer": "WindowsServer", "sku": "2022-datacenter-g2", "version": "latest"}


def model() -> Body:
    """A Linux scale set that lacks nothing."""
    return {
        "id": f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/web",
        "name": "web",
        "location": "West Europe",
        "properties": {
            "singlePlacementGroup": True,
            "virtualMachineProfile": {
                "storageProfile": {"osDisk": {"osType": "Linux"}, "imageReference": dict(UBUNTU)},
                "osProfile": {"linuxConfiguration": {"patchSettings": {"patchMode": "ImageDefault"}}},
                "networkProfile": {"healthProbe": {"id": PROBE}},
                "extensionProfile": {"extensions": []},
            },
        },
    }


def profile(body: Body) -> Body:
    return body["properties"]["virtualMachineProfile"]


def extension(publisher: str, kind: str, **given: Any) -> Body:
    return {"name": kind, "properties": {"publisher": publisher, "type": kind, "typeHandlerVersion": "1.1", **given}}


def adds(publisher: str, kind: str, **given: Any) -> Change:
    return lambda body: profile(body)["extensionProfile"]["extensions"].append(extension(publisher, kind, **given))


def health_extension(body: Body) -> None:
    profile(body)["networkProfile"].pop("healthProbe")
    adds("microsoft.managedServices", "ApplicationHealthLinux")(body)


def no_health(body: Body) -> None:
    profile(body)["networkProfile"].pop("healthProbe")


def refers(**reference: Any) -> Change:
    return lambda body: profile(body)["storageProfile"].update(imageReference=reference)


def several_groups(body: Body) -> None:
    body["properties"]["singlePlacementGroup"] = False


def windows(**configuration: Any) -> Change:
    def change(body: Body) -> None:
        profile(body)["storageProfile"] = {"osDisk": {"osType": "Windows"}, "imageReference": dict(WINDOWS)}
        profile(body)["osProfile"] = {"windowsConfiguration": configuration}

    return change


def fabric(version: str = "1.1", **settings: Any) -> Change:
    """A node of Service Fabric, without the probe, which it needs not."""
    given = {"clusterEndpoint": "https://sf", "nodeTypeRef": "front", **settings}

    def change(body: Body) -> None:
        no_health(body)
        adds("Microsoft.Azure.ServiceFabric", "ServiceFabricNode", typeHandlerVersion=version, settings=given)(body)

    return change


def with_probe(change: Change) -> Change:
    def both(body: Body) -> None:
        change(body)
        profile(body)["networkProfile"]["healthProbe"] = {"id": PROBE}

    return both


def both(*changes: Change) -> Change:
    def change(body: Body) -> None:
        for one in changes:
            one(body)

    return change


def script(end: str, **other: Any) -> Change:
    url = f"https://st.blob.core.windows.net/boot/node.sh?sv=2024-11-04&se={end}&sr=b&sig=sentinel%3D"
    return adds("Microsoft.Azure.Extensions", "CustomScript", settings={"fileUris": [url], **other})


def balancer(sku: str = "Standard", probe: str = "health") -> Body:
    return {"sku": {"name": sku}, "properties": {"probes": [{"name": probe}]}}


def version(
    name: str, region: str = "westeurope", *, excluded: bool = False, excluded_here: bool = False, state: str = "Succeeded"
) -> Body:
    target = {"name": region, "excludeFromLatest": excluded_here}
    return {
        "name": name,
        "properties": {"provisioningState": state, "publishingProfile": {"targetRegions": [target], "excludeFromLatest": excluded}},
    }


def as_it_is(body: Body) -> None:
    del body


AROUND = Surroundings(NOW, balancer=balancer())
SILVER, GOLD = ({"name": "front", "durabilityLevel": level} for level in ("Silver", "Gold"))
STATELESS = {"name": "front", "durabilityLevel": "Bronze", "isStateless": True}

# rule, what is changed in the model that lacks nothing, what stands around it otherwise
PASSING: list[tuple[str, Change, Body]] = [
    ("image_version", as_it_is, {}),
    ("image_version", refers(**{**UBUNTU, "version": "Latest"}), {}),
    ("image_version", refers(id=IMAGE), {"versions": [version("1.0.0")]}),
    ("image_version", refers(id=f"{IMAGE}/versions/latest"), {"versions": [version("1.0.0")]}),
    ("platform_image", refers(**{**UBUNTU, "publisher": "CANONICAL", "sku": "22_04-LTS"}), {}),
    ("platform_image", refers(id=IMAGE), {"versions": [version("1.0.0")]}),
    ("gallery_versions", refers(id=IMAGE), {"versions": [version("1.0.0", "West Europe"), version("0.9.0", "northeurope")]}),
    ("health", as_it_is, {}),
    ("health", health_extension, {"balancer": None}),
    ("health", fabric(durabilityLevel="Silver"), {"balancer": None, "node_type": SILVER}),
    ("health", with_probe(fabric(durabilityLevel="Bronze")), {"node_type": STATELESS}),
    ("probe_balancer", several_groups, {}),
    ("probe_balancer", as_it_is, {"balancer": balancer("Basic")}),
    ("probe_balancer", as_it_is, {"balancer": None}),
    ("service_fabric", fabric(durabilityLevel="gold"), {"balancer": None, "node_type": GOLD}),
    ("service_fabric", fabric("2.0", durabilityLevel="Silver"), {"balancer": None, "node_type": SILVER}),
    ("service_fabric", with_probe(fabric()), {"node_type": STATELESS}),
    ("windows_updates", windows(enableAutomaticUpdates=False), {}),
    ("windows_updates", as_it_is, {}),
    ("patch_mode", windows(enableAutomaticUpdates=False, patchSettings={"patchMode": "Manual"}), {}),
    ("credentials", script("2026-07-02T00%3A00%3A00Z"), {}),
    ("credentials", script("2026-06-03"), {"valid_for": 1.0}),
    ("credentials", adds("P", "T", settings={"url": "https://st/boot/node.sh?se=2020-01-01&page=2"}), {}),
]

# the same, and: the level of the finding, and a part of what it says
FAILING: list[tuple[str, Change, Body, str, str]] = [
    ("image_version", refers(**{**UBUNTU, "version": "22.04.202609100"}), {}, "error", "22.04.202609100"),
    ("image_version", refers(id=f"{IMAGE}/versions/1.0.0"), {"versions": [version("1.0.0")]}, "error", "version of its image is 1.0.0"),
    ("image_version", refers(sharedGalleryImageId="/SharedGalleries/g/Images/i/Versions/2.1.0"), {}, "error", "is 2.1.0"),
    ("image_version", refers(id=f"{GROUP}/Microsoft.Compute/images/golden"), {}, "error", "neither a platform image"),
    ("image_version", refers(), {}, "error", "neither a platform image"),
    ("platform_image", refers(**{**UBUNTU, "offer": "ubuntu-24_04-lts", "sku": "server"}), {}, "warning", "ubuntu-24_04-lts server"),
    ("gallery_versions", refers(id=IMAGE), {"versions": [version("1.0.0", "northeurope")]}, "error", "1.0.0 is not in westeurope"),
    ("gallery_versions", refers(id=IMAGE), {"versions": [version("1.0.0", excluded=True)]}, "error", "1.0.0 is excluded"),
    ("gallery_versions", refers(id=IMAGE), {"versions": [version("1.0.0", excluded_here=True)]}, "error", "1.0.0 is excluded"),
    ("gallery_versions", refers(id=IMAGE), {"versions": [version("1.0.0", state="Creating")]}, "error", "1.0.0 is Creating"),
    ("gallery_versions", refers(id=IMAGE), {"versions": []}, "error", "there is none"),
    ("gallery_versions", refers(id=IMAGE), {"versions": [version("9.0.0"), version("10.0.0", "x")]}, "warning", "stays at 9.0.0: 10.0.0"),
    ("gallery_versions", refers(id=IMAGE), {}, "warning", "could not be seen"),
    ("health", no_health, {}, "error", "Nothing tells the health"),
    ("health", adds("Microsoft.ManagedServices", "ApplicationHealthWindows"), {}, "error", "Both a health probe"),
    ("health", fabric(durabilityLevel="Bronze"), {"node_type": STATELESS}, "error", "Nothing tells the health"),
    ("probe_balancer", several_groups, {"balancer": balancer("Basic")}, "error", "a Basic load balancer"),
    ("probe_balancer", several_groups, {"balancer": None}, "warning", "could not be seen"),
    ("probe_balancer", as_it_is, {"balancer": {}}, "error", "is not there"),
    ("probe_balancer", as_it_is, {"balancer": balancer(probe="other")}, "error", "is not there"),
    ("service_fabric", fabric("1.0", durabilityLevel="Silver"), {"node_type": SILVER}, "error", "extension is 1.0"),
    ("service_fabric", with_probe(fabric()), {"node_type": {**STATELESS, "isStateless": False}}, "error", "durability is Bronze"),
    ("service_fabric", with_probe(fabric()), {}, "error", "Whether it is one could not be seen"),
    ("service_fabric", fabric(durabilityLevel="Silver"), {"node_type": GOLD}, "error", "Gold in the Service Fabric cluster and Silver"),
    ("service_fabric", fabric(durabilityLevel="Silver"), {}, "warning", "was not compared"),
    ("windows_updates", windows(enableAutomaticUpdates=True), {}, "error", "enableAutomaticUpdates is not false"),
    ("windows_updates", windows(), {}, "error", "enableAutomaticUpdates is not false"),
    (
        "patch_mode",
        windows(enableAutomaticUpdates=False, patchSettings={"patchMode": "AutomaticByPlatform"}),
        {},
        "error",
        "AutomaticByPlatform",
    ),
    (
        "patch_mode",
        lambda body: profile(body)["osProfile"]["linuxConfiguration"]["patchSettings"].update(patchMode="automaticByPlatform"),
        {},
        "error",
        "linuxConfiguration",
    ),
    ("credentials", script("2026-05-31T23%3A59%3A59Z"), {}, "error", "st.blob.core.windows.net/boot/node.sh"),
    ("credentials", script("2026-05-31T23%3A59%3A59Z"), {"valid_for": 0.0}, "error", "has expired"),
    ("credentials", script("2026-06-20"), {}, "error", "expires soon (2026-06-20 00:00 UTC)"),
    (
        "credentials",
        adds("P", "T", protectedSettings={"run": {"commandToExecute": "curl 'https://st/x?sig=sentinel&se=2020-01-01T00:00Z' | sh"}}),
        {},
        "error",
        "for st/x in the settings of extension T has expired",
    ),
]


def findings(change: Change, around: Body) -> list[prerequisites.Finding]:
    body = model()
    change(body)
    before = copy.deepcopy(body)
    found = prerequisites.check(body, dataclasses.replace(AROUND, **around))
    assert body == before
    return found


def test_every_rule_is_tried_both_ways() -> None:
    names = {rule.__name__ for rule in prerequisites.RULES}
    assert {row[0] for row in PASSING} == names and {row[0] for row in FAILING} == names


@pytest.mark.parametrize(("rule", "change", "around"), PASSING)
def test_a_model_passes(rule: str, change: Change, around: Body) -> None:
    assert [str(one) for one in findings(change, around)] == [], rule


@pytest.mark.parametrize(("rule", "change", "around", "level", "words"), FAILING)
def test_a_model_fails(rule: str, change: Change, around: Body, level: str, words: str) -> None:
    body = model()
    change(body)
    function = next(one for one in prerequisites.RULES if one.__name__ == rule)
    found = [one for one in function(body, dataclasses.replace(AROUND, **around)) if words in str(one)]
    assert [one.level for one in found] == [level], findings(change, around)
    assert found[0].remedy and found[0] in findings(change, around) and "sentinel" not in str(found)


def test_all_that_is_wrong_is_told_at_once_and_what_forbids_first() -> None:
    wrong = both(
        no_health,
        windows(patchSettings={"patchMode": "AutomaticByPlatform"}),
        refers(**{**UBUNTU, "sku": "mine", "version": "1"}),
        script("2020-01-01"),
    )
    found = findings(wrong, {})
    assert [one.level for one in found] == ["error"] * 5 + ["warning"]
    assert {one.rule for one in found} == {"image_version", "health", "windows_updates", "patch_mode", "credentials", "platform_image"}
    assert [one.rule for one in found if one.fixable] == ["windows_updates"]


def test_the_fix_of_windows_keeps_what_it_need_not_change() -> None:
    body = model()
    windows(enableAutomaticUpdates=True, patchSettings={"patchMode": "AutomaticByOS"})(body)
    wanted = {"enableAutomaticUpdates": False, "patchSettings": {"patchMode": "Manual"}}
    assert prerequisites.windows_fix(body) == {"virtualMachineProfile": {"osProfile": {"windowsConfiguration": wanted}}}
    windows(enableAutomaticUpdates=True, patchSettings={"patchMode": "Manual"})(body)
    assert prerequisites.windows_fix(body)["virtualMachineProfile"]["osProfile"]["windowsConfiguration"] == {
        "enableAutomaticUpdates": False
    }


def test_the_node_type_is_that_of_the_cluster_and_of_the_name_in_the_extension() -> None:
    body = model()
    fabric()(body)
    mine = {"properties": {"clusterEndpoint": "HTTPS://SF", "nodeTypes": [{"name": "back"}, {"name": "Front", "durabilityLevel": "Gold"}]}}
    other = {"properties": {"clusterEndpoint": "https://other", "nodeTypes": [{"name": "front"}]}}
    assert prerequisites.node_type(body, [other, mine]) == {"name": "Front", "durabilityLevel": "Gold"}
    assert prerequisites.node_type(body, [other]) == {} and prerequisites.node_type(model(), [mine]) == {}


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ({"id": IMAGE}, IMAGE),
        ({"id": f"{IMAGE}/versions/1.0.0"}, IMAGE),
        (UBUNTU, None),
        ({"id": f"{GROUP}/Microsoft.Compute/images/x"}, None),
    ],
)
def test_the_gallery_image_of_a_model(reference: Body, image: str | None) -> None:
    body = model()
    refers(**reference)(body)
    assert prerequisites.gallery_image(body) == image


def test_the_newest_version_is_that_of_the_highest_numbers() -> None:
    assert prerequisites.newest(["9.0.1", "10.0.0", "9.12.0"]) == "10.0.0" and prerequisites.newest([]) is None
