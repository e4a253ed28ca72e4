# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keeps a scale set from automatic upgrades of its OS image: found in its model and in what stands around it, all at once.

Nothing here asks Azure or looks at a clock: `check` is given the model as Azure shows it, or as a file holds it, and what is known of its
surroundings. The rules are those of Microsoft Learn, "Automatic OS image upgrades with Azure Virtual Machine Scale Sets", of 2026-05-19.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids

Wire = Mapping[str, Any]

GALLERY_IMAGE = "Microsoft.Compute/galleries/images"
GALLERY_VERSION = f"{GALLERY_IMAGE}/versions"
BALANCER = "Microsoft.Network/loadBalancers"
CLUSTER = "Microsoft.ServiceFabric/clusters"
FORBIDS, WARNS = "error", "warning"
VALID_FOR = 30.0  # days that credentials have to be good for by default: platform images come once a month (Microsoft Learn)

HEALTH_EXTENSIONS = {"microsoft.managedservices.applicationhealthlinux", "microsoft.managedservices.applicationhealthwindows"}
FABRIC_EXTENSIONS = {"microsoft.azure.servicefabric.servicefabricnode", "microsoft.azure.servicefabric.servicefabriclinuxnode"}

# Platform images that Azure upgrades, by publisher and offer. Source: the page above, as of 2026-05-19; "more are added periodically".
SUPPORTED_AS_OF = "2026-05-19"
SUPPORTED_IMAGES: Mapping[tuple[str, str], Sequence[str]] = {
    ("Canonical", "0001-com-ubuntu-server-focal"): ("20_04-LTS", "20_04-LTS-Gen2", "20_04-LTS-arm64"),
    ("Canonical", "0001-com-ubuntu-server-jammy"): ("22_04-LTS", "22_04-LTS-arm64", "22_04-LTS-Gen2"),
    ("Canonical", "ubuntu-24_04-lts"): ("server-arm64",),
    ("Canonical", "0001-com-ubuntu-pro-microsoft"): ("pro-fips-20_04-Gen2",),
    ("MicrosoftCblMariner", "Cbl-Mariner"): (
        "cbl-mariner-2",
        "cbl-mariner-2-arm64",
        "cbl-mariner-2-Gen2",
        "cbl-mariner-2-fips",
        "cbl-mariner-2-Gen2-fips",
    ),
    ("MicrosoftCblMariner", "Azure-Linux"): ("azure-linux-Gen2", "azure-linux-3", "azure-linux-arm64"),
    ("MicrosoftSqlServer", "SQL2017-ws2019"): ("enterprise",),
    ("MicrosoftSqlServer", "SQL2019-ws2022"): ("enterprise",),
    ("MicrosoftSqlServer", "SQL2022-ws2022"): ("enterprise-Gen2",),
    ("MicrosoftWindowsServer", "WindowsServer"): (
        "2012-R2-Datacenter",
        "2016-Datacenter",
        "2016-Datacenter-gensecond",
        "2016-Datacenter-gs",
        "2016-Datacenter-smalldisk",
        "2016-Datacenter-with-Containers",
        "2016-Datacenter-with-containers-gs",
        "2019-Datacenter",
        "2019-Datacenter-Core",
        "2019-Datacenter-Core-smalldisk",
        "2019-Datacenter-Core-with-Containers",
        "2019-Datacenter-gensecond",
        "2019-Datacenter-gs",
        "2019-Datacenter-smalldisk",
        "2019-Datacenter-with-Containers",
        "2019-Datacenter-with-Containers-gs",
        "2022-Datacenter",
        "2022-Datacenter-smalldisk",
        "2022-Datacenter-azure-edition",
        "2022-Datacenter-azure-edition-core",
        "2022-Datacenter-azure-edition-core-smalldisk",
        "2022-Datacenter-core",
        "2022-Datacenter-core-smalldisk",
        "2022-Datacenter-g2",
        "2022-Datacenter-smalldisk-g2",
        "Datacenter-core-20h2-with-containers-smalldisk-gs",
    ),
}
_SUPPORTED = {(publisher.lower(), offer.lower(), sku.lower()) for (publisher, offer), skus in SUPPORTED_IMAGES.items() for sku in skus}


@dataclass(frozen=True)
class Finding:
    """What keeps the upgrades away ("error"), or may ("warning"): the rule, what was found, what to do, and whether `fix` does that."""

    rule: str
    level: str
    message: str
    remedy: str
    fixable: bool = False

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"

    def view(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Surroundings:
    """What stands around a scale set: the load balancer of its probe, the versions of its gallery image, the node type of its Service
    Fabric cluster, as Azure shows them. None: nobody has looked, or may. An empty one was looked for, and is not there."""

    now: datetime
    balancer: Wire | None = None
    versions: Sequence[Wire] | None = None
    node_type: Wire | None = None
    valid_for: float = VALID_FOR


Rule = Callable[[Wire, Surroundings], Iterator[Finding]]


def check(model: Wire, around: Surroundings) -> list[Finding]:
    """All that keeps a scale set from automatic upgrades of its image, what forbids them first."""
    found = [finding for rule in RULES for finding in rule(model, around)]
    return sorted(found, key=lambda one: one.level != FORBIDS)


# What the model says, and what it leads to.


def profile(model: Wire) -> Wire:
    return _of(model, "properties", "virtualMachineProfile")


def extensions(model: Wire) -> list[Wire]:
    return list(_of(profile(model), "extensionProfile").get("extensions") or [])


def image(model: Wire) -> Wire:
    return _of(profile(model), "storageProfile", "imageReference")


def gallery_image(model: Wire) -> str | None:
    """The id of the Compute Gallery image that the model names, without a version; None where it names none that can be read."""
    reference = str(image(model).get("id") or "")
    try:
        parsed = ids.parse(reference)
    except ValueError:
        return None
    kind = parsed.type.lower()
    if kind == GALLERY_VERSION.lower():
        return parsed.parent_id
    return reference if kind == GALLERY_IMAGE.lower() else None


def balancer(model: Wire) -> str | None:
    """The id of the load balancer whose probe tells the health of the instances."""
    return _probe(model).rpartition("/probes/")[0] or None


def fabric(model: Wire) -> Wire | None:
    """The properties of the Service Fabric extension, None without one."""
    return next((_of(one, "properties") for one in extensions(model) if _handler(one) in FABRIC_EXTENSIONS), None)


def node_type(model: Wire, clusters: Sequence[Wire]) -> Wire:
    """The node type of the Service Fabric cluster that the scale set belongs to; an empty one where none of the clusters is it."""
    settings = _of(fabric(model) or {}, "settings")
    mine = [one for one in clusters if _same(_of(one, "properties").get("clusterEndpoint"), settings.get("clusterEndpoint"))]
    types = [one for cluster in mine for one in _of(cluster, "properties").get("nodeTypes") or []]
    return next((one for one in types if _same(one.get("name"), settings.get("nodeTypeRef"))), {})


def around(model: Wire, resources: Sequence[Wire], now: datetime, valid_for: float) -> Surroundings:
    """What stands around a scale set among resources, such as those of an export. What is not among them counts as not looked for."""
    place, gallery = balancer(model), gallery_image(model)
    clusters = [one for one in resources if _same(one.get("type"), CLUSTER)]
    versions = [
        one
        for one in resources
        if _same(one.get("type"), GALLERY_VERSION) and ids.same(str(one["id"]).rpartition("/versions/")[0], gallery)
    ]
    return Surroundings(
        now,
        balancer=next((one for one in resources if place and ids.same(one.get("id"), place)), None),
        versions=versions or None,
        node_type=node_type(model, clusters) or None,
        valid_for=valid_for,
    )


def is_windows(model: Wire) -> bool:
    system = _of(profile(model), "storageProfile", "osDisk").get("osType")
    return _same(system, "Windows") or bool(_of(profile(model), "osProfile").get("windowsConfiguration"))


def windows_fix(model: Wire) -> dict[str, Any]:
    """The part of a model that switches in-guest updates off. AutomaticByOS goes with enableAutomaticUpdates true alone, and Manual with
    false (Azure API document, patchMode)."""
    windows: dict[str, Any] = {"enableAutomaticUpdates": False}
    if _same(_patch_mode(model, "windowsConfiguration"), "AutomaticByOS"):
        windows["patchSettings"] = {"patchMode": "Manual"}
    return {"virtualMachineProfile": {"osProfile": {"windowsConfiguration": windows}}}


def region(name: Any) -> str:
    """ "West Europe" as ids and lists have it: westeurope."""
    return str(name or "").replace(" ", "").lower()


def number(version: str) -> tuple[int, ...]:
    """What versions compare by; a part that is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def newest(names: Sequence[str]) -> str | None:
    return max(names, key=number, default=None)


def offered(versions: Sequence[Wire], place: str) -> list[str]:
    """The versions of a gallery image that count for `latest` in a region."""
    return [str(one.get("name")) for one in versions if _ready(one) and _counts(one) and _counts_in(one, place)]


# The rules.


def image_version(model: Wire, around: Surroundings) -> Iterator[Finding]:
    reference = image(model)
    if reference.get("publisher"):
        version = str(reference.get("version") or "not given")
    elif gallery_image(model) or _shared(model):
        version = _gallery_version(str(reference.get("id") or _shared(model)))
    else:
        yield Finding(
            "image",
            FORBIDS,
            "Its image is neither a platform image nor one of a Compute Gallery.",
            "Publish the image in a Compute Gallery, and have the model refer to it there without a version.",
        )
        return
    if version.lower() != "latest":
        yield Finding(
            "image_version",
            FORBIDS,
            f"The version of its image is {version}, and only 'latest' moves on.",
            "Set the version of imageReference to latest" + ("." if reference.get("publisher") else ", or take the version out of its id."),
        )


def platform_image(model: Wire, around: Surroundings) -> Iterator[Finding]:
    reference = image(model)
    name = tuple(str(reference.get(part) or "") for part in ("publisher", "offer", "sku"))
    if reference.get("publisher") and tuple(map(str.lower, name)) not in _SUPPORTED:
        yield Finding(
            "platform_image",
            WARNS,
            f"The image {' '.join(name)} is not among those of which Microsoft says that they are upgraded (list of {SUPPORTED_AS_OF}).",
            "See whether Microsoft's list has it by now; where Azure refuses, take an image of the list or one of a Compute Gallery.",
        )


def gallery_versions(model: Wire, around: Surroundings) -> Iterator[Finding]:
    if image(model).get("publisher") or not (gallery_image(model) or _shared(model)):
        return
    if around.versions is None:
        yield Finding(
            "gallery_versions",
            WARNS,
            "The versions of its gallery image could not be seen, so it is not known whether one is in its region.",
            "See that the versions are replicated to the region of the scale set and are not excluded from latest.",
        )
        return
    place = region(model.get("location"))
    here, everywhere = newest(offered(around.versions, place)), newest([str(one.get("name")) for one in around.versions])
    if here is None:
        yield Finding(
            "gallery_versions",
            FORBIDS,
            f"No version of its gallery image is in {place or 'its region'} and takes part in latest: {_told(around.versions, place)}.",
            "Replicate a version to the region of the scale set, and do not exclude it from latest.",
        )
    elif everywhere and number(everywhere) > number(here):
        left = [one for one in around.versions if number(str(one.get("name"))) > number(here)]
        yield Finding(
            "gallery_versions",
            WARNS,
            f"Newer versions of its gallery image do not reach it, which stays at {here}: {_told(left, place)}.",
            "Replicate the newest version to the region of the scale set, and do not exclude it from latest, if that is not meant.",
        )


def health(model: Wire, around: Surroundings) -> Iterator[Finding]:
    probe, extension = bool(_probe(model)), any(_handler(one) in HEALTH_EXTENSIONS for one in extensions(model))
    if probe and extension:
        yield Finding(
            "health",
            FORBIDS,
            "Both a health probe and the Application Health extension tell the health of its instances, and only one may.",
            "Remove the health probe from the network profile, or the extension from the model.",
        )
    elif not probe and not extension and not (fabric(model) and _durability(model) in ("silver", "gold")):
        yield Finding(
            "health",
            FORBIDS,
            "Nothing tells the health of its instances.",
            "Add the Application Health extension to the model, or refer to a load balancer's probe in the network profile.",
        )


def probe_balancer(model: Wire, around: Surroundings) -> Iterator[Finding]:
    probe = _probe(model)
    if not probe:
        return
    rule, several = "health_probe", _of(model, "properties").get("singlePlacementGroup") is False
    if around.balancer is None:
        if several:
            yield Finding(
                rule,
                WARNS,
                "The load balancer of its health probe could not be seen; with several placement groups it has to be a Standard one.",
                "See that the load balancer is a Standard one.",
            )
        return
    probes = _of(around.balancer, "properties").get("probes") or []
    if not any(_same(one.get("name"), probe.rpartition("/")[2]) for one in probes):
        yield Finding(
            rule,
            FORBIDS,
            f"Its health probe {probe} is not there.",
            "Have the network profile refer to a probe that its load balancer has.",
        )
    sku = str(_of(around.balancer, "sku").get("name") or "Basic")
    if around.balancer and several and not _same(sku, "Standard"):
        yield Finding(
            rule,
            FORBIDS,
            f"It has several placement groups, and its health probe is that of a {sku} load balancer.",
            "Use the probe of a Standard load balancer, or the Application Health extension.",
        )


def service_fabric(model: Wire, around: Surroundings) -> Iterator[Finding]:
    extension = fabric(model)
    if extension is None:
        return
    rule, version = "service_fabric", str(extension.get("typeHandlerVersion") or "1.0")
    if number(version) < (1, 1):
        yield Finding(
            rule, FORBIDS, f"The version of its Service Fabric extension is {version}.", "Set its typeHandlerVersion to 1.1 or above."
        )
    durability, cluster = _durability(model), str((around.node_type or {}).get("durabilityLevel") or "Bronze").lower()
    stateless = bool((around.node_type or {}).get("isStateless"))
    if durability not in ("silver", "gold") and not stateless:
        unseen = "" if around.node_type else " Whether it is one could not be seen."
        yield Finding(
            rule,
            FORBIDS,
            f"The Service Fabric durability is {durability.capitalize()}, which will do for stateless node types alone.{unseen}",
            "Raise the durability to Silver or Gold, in the cluster and in the extension.",
        )
    if not around.node_type:
        yield Finding(
            rule,
            WARNS,
            "The node type of its Service Fabric cluster could not be seen, so its durability there was not compared.",
            "See that the cluster and the extension have the same durability.",
        )
    elif cluster != durability:
        yield Finding(
            rule,
            FORBIDS,
            f"The durability is {cluster.capitalize()} in the Service Fabric cluster and {durability.capitalize()} in the extension.",
            "Set both to the same: upgrades fail where they differ.",
        )


def windows_updates(model: Wire, around: Surroundings) -> Iterator[Finding]:
    windows = _of(profile(model), "osProfile", "windowsConfiguration")
    if is_windows(model) and windows.get("enableAutomaticUpdates") is not False:
        yield Finding(
            "windows_updates",
            FORBIDS,
            "Windows Update installs patches in its machines (enableAutomaticUpdates is not false).",
            "Set enableAutomaticUpdates to false in the windowsConfiguration of the model; fix does it.",
            fixable=True,
        )


def patch_mode(model: Wire, around: Surroundings) -> Iterator[Finding]:
    for name in ("windowsConfiguration", "linuxConfiguration"):
        if _same(_patch_mode(model, name), "AutomaticByPlatform"):
            yield Finding(
                "patch_mode",
                FORBIDS,
                "Its patch mode is AutomaticByPlatform, by which Azure patches the machines in place.",
                f"Set patchMode in the {name} of the model to {'Manual' if name.startswith('windows') else 'ImageDefault'}.",
            )


def credentials(model: Wire, around: Surroundings) -> Iterator[Finding]:
    for extension in extensions(model):
        given = _of(extension, "properties")
        for text in _texts([given.get("settings"), given.get("protectedSettings")]):
            for place, end in _signatures(text):
                if end > around.now + timedelta(days=around.valid_for):
                    continue
                when = "has expired" if end <= around.now else "expires soon"
                yield Finding(
                    "credentials",
                    FORBIDS,
                    f"The shared access signature for {place} in the settings of extension {extension.get('name')} {when} "
                    f"({end:%Y-%m-%d %H:%M} UTC): the extension fails on a new image, and leaves the first batch failed.",
                    "Make a new one, and set it in the extension of the model.",
                )


RULES: Sequence[Rule] = (
    image_version,
    platform_image,
    gallery_versions,
    health,
    probe_balancer,
    service_fabric,
    windows_updates,
    patch_mode,
    credentials,
)

_URL = re.compile(r"https?://[^\s\"'<>|;]+", re.IGNORECASE)


def _signatures(text: str) -> Iterator[tuple[str, datetime]]:
    """The shared access signatures in a text that say when they end: what they open, without the signature, and the end."""
    for url in _URL.findall(text):
        parts = urlsplit(url)
        query = {name.lower(): unquote(value) for name, _is, value in (part.partition("=") for part in parts.query.split("&"))}
        if "sig" in query and "se" in query:
            try:
                end = datetime.fromisoformat(query["se"])
            except ValueError:
                continue
            yield f"{parts.hostname}{parts.path}", end if end.tzinfo else end.replace(tzinfo=UTC)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, Sequence):
        for one in value:
            yield from _texts(one)


def _of(body: Wire, *names: str) -> Wire:
    """What is at the end of a path of objects; an empty one where that is not there."""
    for name in names:
        body = body.get(name) or {}
    return body


def _same(a: Any, b: Any) -> bool:
    return bool(a) and str(a).lower() == str(b).lower()


def _handler(extension: Wire) -> str:
    given = _of(extension, "properties")
    return f"{given.get('publisher')}.{given.get('type')}".lower()


def _probe(model: Wire) -> str:
    return str(_of(profile(model), "networkProfile", "healthProbe").get("id") or "")


def _patch_mode(model: Wire, name: str) -> Any:
    return _of(profile(model), "osProfile", name, "patchSettings").get("patchMode")


def _durability(model: Wire) -> str:
    """What the extension says; Bronze where it says nothing (Microsoft Learn, durability characteristics of the cluster)."""
    return str(_of(fabric(model) or {}, "settings").get("durabilityLevel") or "Bronze").lower()


def _shared(model: Wire) -> str:
    """The id of an image that somebody else shares, of which no versions can be listed here."""
    reference = image(model)
    return str(reference.get("sharedGalleryImageId") or reference.get("communityGalleryImageId") or "")


def _gallery_version(reference: str) -> str:
    """The version in the id of an image, of any kind of gallery: latest where there is none."""
    _image, word, version = reference.lower().rpartition("/versions/")
    return version if word else "latest"


def _ready(version: Wire) -> bool:
    return _same(_of(version, "properties").get("provisioningState") or "Succeeded", "Succeeded")


def _counts(version: Wire) -> bool:
    return not _of(version, "properties", "publishingProfile").get("excludeFromLatest")


def _target(version: Wire, place: str) -> Wire | None:
    targets = _of(version, "properties", "publishingProfile").get("targetRegions") or [{"name": version.get("location")}]
    return next((one for one in targets if region(one.get("name")) == place), None)


def _counts_in(version: Wire, place: str) -> bool:
    target = _target(version, place)
    return target is not None and not target.get("excludeFromLatest")


def _told(versions: Sequence[Wire], place: str) -> str:
    """Why versions do not count in a region."""
    told = []
    for one in versions:
        if not _ready(one):
            why = f"is {_of(one, 'properties').get('provisioningState')}"
        else:
            why = f"is not in {place}" if _target(one, place) is None else "is excluded from latest"
        told.append(f"{one.get('name')} {why}")
    return ", ".join(told) or "there is none"
