# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    # Modules that change things; a module's own documentation says where it falls short of this.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing anything; sends nothing but reads.
  diff_mode:
    support: full
    description: Shows what changes, or would change in check mode.
  idempotent:
    support: full
    description: When run again with the same options, changes nothing.
  action_group:
    support: full
    description: Takes the defaults that a play sets with C(module_defaults) for the group C(group/cloudops.azure_dr.azure_dr).
    membership:
      - cloudops.azure_dr.azure_dr
"""

    # Modules that only look.
    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode; sends nothing but reads.
  diff_mode:
    support: N/A
    description: Changes nothing, so there is no difference to show.
  idempotent:
    support: full
    description: Changes nothing however often it runs.
  action_group:
    support: full
    description: Takes the defaults that a play sets with C(module_defaults) for the group C(group/cloudops.azure_dr.azure_dr).
    membership:
      - cloudops.azure_dr.azure_dr
"""
