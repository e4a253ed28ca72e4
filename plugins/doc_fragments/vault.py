# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The options that say which Recovery Services vault is meant."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  vault_id:
    description:
      - The resource id of the Recovery Services vault.
      - The vault may be in another subscription than O(subscription_id); the subscription in the id is the one that is used.
      - With neither O(vault_id) nor O(vault_name), the only vault of the subscription (or of O(resource_group)) is meant; where there are
        several, the module fails and names them.
    type: str
  vault_name:
    description:
      - The name of the Recovery Services vault.
      - Needs no O(resource_group) where only one vault in the subscription has this name.
    type: str
  resource_group:
    description:
      - The resource group of the Recovery Services vault.
    type: str
"""
