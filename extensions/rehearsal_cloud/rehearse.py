# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rehearses the runbook: starts the rehearsal cloud on an estate, runs playbooks/rehearse.yml on it, stops the cloud.

    python extensions/rehearsal_cloud/rehearse.py [--estate FILE] [--vars FILE] [--traffic FILE] [--speed N] [ansible-playbook options]

Nothing outside this machine is reached: the playbook signs in to the rehearsal cloud, with made-up credentials; the AZURE_* variables of
the caller are left behind. The record of the run is left in the directory `evidence`.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMPLE = HERE / "estates" / "shop.json"
PLAYBOOK = HERE.parents[1] / "playbooks" / "rehearse.yml"


def arguments(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and those that are left for ansible-playbook."""
    parser = argparse.ArgumentParser(prog="rehearse.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--estate", type=Path, default=SAMPLE, help="the estate to rehearse on (default: the sample estate)")
    parser.add_argument("--vars", type=Path, help="variables of the runbook (default: ESTATE with the ending .vars.yml, if there is one)")
    parser.add_argument("--traffic", type=Path, help="write every exchange with the cloud to this file")
    parser.add_argument("--faults", type=Path, help="rules for what goes wrong")
    parser.add_argument("--speed", type=float, default=60.0, help="how many times faster than Azure (default: %(default)g)")
    return parser.parse_known_args(given)


def cloud_command(options: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(HERE), "--estate", str(options.estate), "--speed", str(options.speed)]
    for name in ("traffic", "faults"):
        if getattr(options, name):
            command += [f"--{name}", str(getattr(options, name))]
    return command


def environment(ready: dict[str, str], home: str, estate: Path) -> dict[str, str]:
    """The caller's environment, turned to the rehearsal cloud: no sign-in to anywhere else is left in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "ANSIBLE_AZURE_", "ARM_"))}
    return kept | {
        "AZURE_CLOUD_ENVIRONMENT": ready["metadata"],
        "AZURE_TENANT": "rehearsal",
        "AZURE_CLIENT_ID": "rehearsal",
        "AZURE_SECRET": secrets.token_urlsafe(16),
        "AZURE_SUBSCRIPTION_ID": subscription(estate),
        "SSL_CERT_FILE": ready["ca_file"],
        "REQUESTS_CA_BUNDLE": ready["ca_file"],
        "AZURE_DR_PACING_FILE": f"{home}/pacing",
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(filter(None, [collections(home), os.environ.get("ANSIBLE_COLLECTIONS_PATH")])),
    }


def collections(home: str) -> str:
    """A folder in which Ansible finds this very collection, wherever it lies."""
    place = Path(home, "collections", "ansible_collections", "cloudops")
    place.mkdir(parents=True)
    (place / "azure_dr").symlink_to(HERE.parents[1])
    return str(Path(home, "collections"))


def subscription(estate: Path) -> str:
    """The subscription of the estate's vault."""
    from rehearsal_cloud import files

    resources = files.read(estate)["resources"]
    vaults = [one["id"] for one in resources if str(one.get("type", "")).lower() == "microsoft.recoveryservices/vaults"]
    if not vaults:
        raise SystemExit(f"rehearse.py: {estate} holds no Recovery Services vault, so there is nothing to rehearse")
    return str(vaults[0]).split("/")[2]


def main(given: list[str]) -> int:
    """The exit status of ansible-playbook, or 2 when the cloud does not start."""
    options, rest = arguments(given)
    variables = options.vars or options.estate.with_suffix(".vars.yml")
    found = shutil.which("ansible-playbook", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise SystemExit("rehearse.py: ansible-playbook is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="rehearsal_") as home,
        subprocess.Popen(cloud_command(options), stdout=subprocess.PIPE, text=True) as cloud,
    ):
        line = cloud.stdout.readline() if cloud.stdout else ""
        if not line.strip():
            return 2
        try:
            command = [found, str(PLAYBOOK), *(["-e", f"@{variables}"] if options.vars or variables.exists() else []), *rest]
            return subprocess.run(command, env=environment(json.loads(line), home, options.estate), check=False).returncode
        finally:
            cloud.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)
    sys.exit(main(sys.argv[1:]))
