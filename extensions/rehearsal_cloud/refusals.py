# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Refusals: the error answers of Azure Resource Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .paths import GROUP, Path, parse

if TYPE_CHECKING:
    from .cloud import Cloud


class Refusal(Exception):
    """An error answer: status and body (and headers), raised from anywhere while a request is handled."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}


def refuse(status: int, code: str, message: str, **more: Any) -> Refusal:
    """A refusal in ARM's form: {"error": {"code", "message", ...}}."""
    return Refusal(status, {"error": {"code": code, "message": message, **more}})


def not_found(cloud: Cloud, path: Path) -> Refusal:
    """404 as ARM's front end words it: the group first, then the resource (recorded traffic)."""
    parts = path.resource_id.strip("/").split("/")
    if len(parts) >= 4 and parts[2].lower() == "resourcegroups":
        group = "/" + "/".join(parts[:4])
        if path.type == GROUP or cloud.store.get(group) is None:
            return refuse(404, "ResourceGroupNotFound", f"Resource group '{parts[3]}' could not be found.")
    names = path.resource_id.rsplit("/providers/", 1)[-1]
    return refuse(
        404,
        "ResourceNotFound",
        f"The Resource '{names}' under resource group '{parts[3] if len(parts) > 3 else '<null>'}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def no_such_path(path: str) -> Refusal:
    """404 for a path that names nothing at all."""
    return refuse(404, "InvalidResourceType", f"The resource type could not be found for the path '{parse(path).resource_id or path}'.")
