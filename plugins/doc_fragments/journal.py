# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The option that says where the journal is, of modules that change something; module_utils/journal.py gives it to them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  journal_dir:
    description:
      - The folder of the journals, on the host that runs the module. Each run that changes something writes there what it is about to send,
        before it sends it, and what a removal takes away. A run that was killed is finished by running it again, from what is there.
      - All runs that work on the same machines or plans should share it, and it should outlast them. In a container it is a mounted volume.
      - It is readable only by the user that runs the module, and holds no secrets. Where it cannot be written, nothing is sent.
      - Can also be set with the environment variable E(AZURE_DR_JOURNAL_DIR).
    type: path
    default: ~/.local/state/cloudops.azure_dr/journal
"""
