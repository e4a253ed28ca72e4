# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows the progress of the module of this name while it runs."""

from __future__ import annotations

from ansible_collections.cloudops.azure_dr.plugins.plugin_utils.fleet_action import ActionModule

__all__ = ["ActionModule"]
