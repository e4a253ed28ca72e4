# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The paths that users name."""

from __future__ import annotations

import os
from pathlib import Path

STARTED = "AZURE_DR_STARTED_IN"  # the environment variable by which the action plugin tells it


def resolved(path: str | Path) -> Path:
    """The path as it is meant: ~ is the home directory, and a relative one begins where the command was started.

    Ansible runs a module on the controller in the folder of its playbook, which for a playbook of a collection is the collection's, and by
    a shell that sets PWD to it. The action plugin in front of the module tells where the command was started.
    """
    return Path(os.environ.get(STARTED) or os.environ.get("PWD") or ".") / Path(path).expanduser()
