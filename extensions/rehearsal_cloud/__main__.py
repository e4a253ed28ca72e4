# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the rehearsal cloud: `python extensions/rehearsal_cloud --estate FILE`."""

from __future__ import annotations

import sys

if not __package__:
    # Run as a folder, that folder is where Python looks first: a file of ours could shadow one of the standard library.
    del sys.path[0]
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rehearsal_cloud.command_line import main

if __name__ == "__main__":
    sys.exit(main())
