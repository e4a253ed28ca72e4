# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Log Analytics: workspaces, and the heartbeats that monitoring agents send to them."""

from __future__ import annotations

from ...resource_types import ResourceType
from .heartbeats import COLUMNS, WORKSPACE, about, rows
from .workspaces import Workspace, by_customer_id


def types() -> list[ResourceType]:
    return [Workspace()]


__all__ = ["COLUMNS", "WORKSPACE", "about", "by_customer_id", "rows", "types"]
