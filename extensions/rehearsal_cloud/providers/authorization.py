# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Authorization: the list of what the caller may do in a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import sign_in
from ..paths import Path
from ..permissions import EVERYTHING
from ..resource_types import ResourceType

if TYPE_CHECKING:
    from ..cloud import Cloud, Request, Response


class PermissionList(ResourceType):
    """The permissions of the caller in a scope: a block for each role that holds there (Azure API document, permissions)."""

    name = "Microsoft.Authorization/permissions"

    def list(self, cloud: Cloud, request: Request, path: Path) -> Response:
        roles = [EVERYTHING] if cloud.permissions is None else cloud.permissions.roles(sign_in.principal(request))
        blocks = [
            {"actions": [*role.actions], "notActions": [*role.not_actions], "dataActions": [], "notDataActions": []}
            for role in roles
            if role.holds(path.scope)
        ]
        return cloud.page(request, blocks, self.page)


def types() -> list[ResourceType]:
    return [PermissionList()]
