# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is published: versions of extensions, of platform images and of a gallery's images, by subscription and region."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from ... import refusals
from ...paths import Path, parse
from ...resource_types import Body, ResourceType
from ...timeline import effect

if TYPE_CHECKING:
    from ...cloud import Cloud, Request, Response

PUBLISHERS = "Microsoft.Compute/locations/publishers"
EXTENSION_VERSION = f"{PUBLISHERS}/artifacttypes/types/versions"
IMAGE_VERSION = f"{PUBLISHERS}/artifacttypes/offers/skus/versions"
GALLERY_VERSION = "Microsoft.Compute/galleries/images/versions"
FIRST_VERSION = "1.0.0"
"""The version of an image of which nothing is published here. Chosen."""
REPLICATION_SECONDS = 300.0
"""How long a gallery's image version takes to reach its regions. Chosen."""

TRIGGER_SECONDS = 300.0
"""How long the platform takes to see that something is to be upgraded. Chosen; Azure rolls out for weeks, and starts within hours."""

_STARTS = re.compile(r"startswith\(\s*name\s*,\s*'([^']*)'\s*\)", re.I)


def number(version: str) -> tuple[int, ...]:
    """A version as what it compares by; a part that is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def region_of(name: str) -> str:
    """A region's name as Azure writes it in ids: "West Europe" is westeurope."""
    return name.replace(" ", "").lower()


def subscription_of(body: Body) -> str:
    return parse(body["id"]).subscription


def extension_id(subscription: str, region: str, publisher: str, kind: str, version: str = "") -> str:
    """Where the versions of an extension are (as recorded elsewhere: capital letters in every second word)."""
    types = f"{_region_id(subscription, region)}/Publishers/{publisher}/ArtifactTypes/VMExtension/Types/{kind}"
    return f"{types}/Versions/{version}" if version else types


def image_id(subscription: str, region: str, reference: Body, version: str = "") -> str:
    """Where the versions of a platform image are."""
    skus = (
        f"{_region_id(subscription, region)}/Publishers/{reference.get('publisher')}/ArtifactTypes/VMImage"
        f"/Offers/{reference.get('offer')}/Skus/{reference.get('sku')}"
    )
    return f"{skus}/Versions/{version}" if version else skus


def newest_extension(cloud: Cloud, machine: Body, properties: Body) -> str | None:
    """The newest version published in a machine's region of an extension's major version, None when nothing is."""
    place = extension_id(subscription_of(machine), machine["location"], properties["publisher"], properties["type"])
    asked = number(str(properties.get("typeHandlerVersion", "1.0")))
    found = [body["name"] for body in cloud.store.of_type(EXTENSION_VERSION, place) if number(body["name"])[:1] == asked[:1]]
    return max(found, key=number, default=None)


def newest_image(cloud: Cloud, owner: Body, reference: Body) -> str | None:
    """The newest version of an image for a scale set or machine, in its region; the one that the reference names, where it names one."""
    wanted = str(reference.get("version") or "latest")
    gallery = str(reference.get("id") or "")
    if gallery:
        path = parse(gallery)
        if path.type.lower() == GALLERY_VERSION.lower() and path.name.lower() != "latest":
            return path.name
        image = path.parent_id if path.type.lower() == GALLERY_VERSION.lower() else gallery
        found = [body["name"] for body in cloud.store.of_type(GALLERY_VERSION, image) if _offered(body, owner["location"])]
    elif wanted.lower() != "latest":
        return wanted
    else:
        place = image_id(subscription_of(owner), owner["location"], reference)
        found = [body["name"] for body in cloud.store.of_type(IMAGE_VERSION, place)]
    return max(found, key=number, default=None)


def follows_latest(reference: Body) -> bool:
    """Whether an image reference moves on when a new version is published."""
    gallery = str(reference.get("id") or "")
    if gallery:
        path = parse(gallery)
        return path.type.lower() == GALLERY_VERSION.rpartition("/")[0].lower() or (
            path.type.lower() == GALLERY_VERSION.lower() and path.name.lower() == "latest"
        )
    return bool(reference.get("publisher")) and str(reference.get("version") or "latest").lower() == "latest"


def look_later(cloud: Cloud) -> None:
    """Have the platform look soon whether automatic upgrades are due; once is enough for all that changes until then."""
    private = cloud.store.private("/rehearsal/rollouts")
    if not private.get("due") and any(
        next(cloud.store.of_type(kind), None) for kind in (EXTENSION_VERSION, IMAGE_VERSION, GALLERY_VERSION)
    ):
        private["due"] = True
        cloud.timeline.put(cloud.clock.now + TRIGGER_SECONDS, "compute.rollouts.consider")


class Versions(ResourceType):
    """What is published in a region: read only, and listed level by level as plain arrays (API documents)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name  # type: ignore[misc]  # one class for six levels

    def seed(self, cloud: Cloud, body: Body) -> None:
        """Kept without its location: it is no resource of the subscription's list."""
        super().seed(cloud, {name: value for name, value in body.items() if name not in ("location", "type")} | {"type": self.name})

    def show(self, cloud: Cloud, request: Request, body: Body) -> Body:
        region = body["id"].split("/")[6]
        return {"location": region, "name": body["name"], "id": body["id"], "properties": body.get("properties", {})}

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        depth = len(path.resource_id.strip("/").split("/"))
        words = [str(path.word), ""]
        found: dict[str, Body] = {}
        for kind in (EXTENSION_VERSION, IMAGE_VERSION):
            for body in cloud.store.of_type(kind, path.resource_id):
                parts = body["id"].strip("/").split("/")
                words = parts[depth : depth + 2]
                identifier = "/" + "/".join(parts[: depth + 2])
                found[words[1].lower()] = {"location": parts[5], "name": words[1], "id": identifier}
        if not found and path.collection_type.lower() != PUBLISHERS.lower():
            raise self.missing(cloud, path)
        return cloud.answer(200, _chosen(request, list(found.values())))

    def missing(self, cloud: Cloud, path: Path) -> refusals.Refusal:
        artifact = "VMExtension" if "/vmextension" in path.resource_id.lower() else "VMImage"
        return refusals.refuse(404, "NotFound", f"Artifact: {artifact} was not found.")

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        raise refusals.refuse(405, "MethodNotAllowed", f"The request method '{request.method}' is not supported.")

    patch = delete = put


class GalleryVersion(ResourceType):
    """Versions of a gallery's images: there at once, for scale sets when they have reached their regions."""

    name = GALLERY_VERSION

    def seed(self, cloud: Cloud, body: Body) -> None:
        body.setdefault("properties", {}).setdefault("provisioningState", "Succeeded")
        super().seed(cloud, body)

    def put(self, cloud: Cloud, request: Request, path: Path) -> Response:
        known = cloud.store.get(path.resource_id)
        body = {**copy.deepcopy(self.content(request)), "id": path.resource_id, "name": path.name, "type": self.name}
        body.setdefault("properties", {})["provisioningState"] = "Updating" if known else "Creating"
        cloud.store.put(path.resource_id, body)
        cloud.timeline.put(cloud.clock.now + REPLICATION_SECONDS, "compute.gallery_version.replicated", identifier=path.resource_id)
        return cloud.answer(200 if known else 201, body)


def _region_id(subscription: str, region: str) -> str:
    return f"/Subscriptions/{subscription}/Providers/Microsoft.Compute/Locations/{region_of(region)}"


def _offered(version: Body, region: str) -> bool:
    """Whether a gallery's image version is in a region and takes part in "latest" there."""
    profile = version["properties"].get("publishingProfile") or {}
    targets: list[dict[str, Any]] = profile.get("targetRegions") or [{"name": version.get("location", "")}]
    here = [target for target in targets if region_of(str(target.get("name", ""))) == region_of(region)]
    ready = version["properties"].get("provisioningState") == "Succeeded"
    return ready and bool(here) and not profile.get("excludeFromLatest") and not any(one.get("excludeFromLatest") for one in here)


def _chosen(request: Request, found: list[Body]) -> list[Body]:
    """What $filter=startswith(name,'...'), $orderby=name desc and $top leave of a list."""
    starts = _STARTS.search(request.query.get("$filter", ""))
    if starts:
        found = [body for body in found if body["name"].lower().startswith(starts[1].lower())]
    found.sort(key=lambda body: (number(body["name"]), body["name"].lower()), reverse="desc" in request.query.get("$orderby", "").lower())
    top = request.query.get("$top", "")
    return found[: int(top)] if top.isdigit() else found


@effect("compute.gallery_version.replicated")
def _replicated(cloud: Cloud, identifier: str) -> None:
    body = cloud.store.get(identifier)
    if body is not None:
        body["properties"]["provisioningState"] = "Succeeded"
        look_later(cloud)


def types() -> list[ResourceType]:
    levels = (f"{PUBLISHERS}/artifacttypes/{rest}" for rest in ("types", "types/versions", "offers", "offers/skus", "offers/skus/versions"))
    return [Versions(PUBLISHERS), *(Versions(level) for level in levels), GalleryVersion()]
