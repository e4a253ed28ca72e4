# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs `ansible-test sanity` without containers: on a copy of the checkout, with a home folder of its own, all under build/sanity.

ansible-test wants three things that a checkout does not give it:

- a path that ends in ansible_collections/NAMESPACE/NAME: the files that git knows or would add are copied there;
- the script get-pip from a host that may be out of reach: a stand-in in its cache installs the same pip from the package index;
- pip's settings, of which it passes on only those in the home folder: the present ones are written into that of build/sanity.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/sanity"
COPY = BUILD / "ansible_collections/cloudops/azure_dr"
HOME = BUILD / "home"
INTERPRETERS = BUILD / "bin"
PYTHONS = ("3.11", "3.12", "3.13")

GET_PIP = """\
import sys

sys.path.insert(0, {wheel!r})
from pip._internal.cli.main import main

sys.exit(main(["install", "--no-index", "--no-deps", {wheel!r}]))
"""


def output_of(*command: str, **kwargs: object) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **kwargs).stdout  # type: ignore[call-overload]


def copy_checkout() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    for name in output_of("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0"):
        source, copy = ROOT / name, COPY / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)


def write_pip_settings() -> None:
    listed = output_of(sys.executable, "-m", "pip", "config", "list")
    settings = dict(re.findall(r"^(?:global|:env:)\.(\S+)='(.*)'$", listed, re.MULTILINE)) | {"quiet": "2"}
    lines = (f"{name} = {value}".replace(r"\n", "\n    ") for name, value in settings.items())
    file = HOME / ".config/pip/pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("\n".join(["[global]", *lines]) + "\n", encoding="utf-8")


def stand_in_for_get_pip() -> None:
    spec = find_spec("ansible_test")
    assert spec and spec.origin
    source = (Path(spec.origin).parent / "_internal/python_requirements.py").read_text(encoding="utf-8")
    cache = HOME / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in set(re.findall(r"\bpip='([\d.]+)'", source)):
        wheel = cache / f"pip-{version}-py3-none-any.whl"
        if not wheel.exists():
            output_of(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"pip=={version}", "--dest", str(cache))
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP.format(wheel=str(wheel)), encoding="utf-8")


def link_interpreters() -> None:
    """Links the Pythons that really run; of those on PATH, a version manager's stand-ins don't where ansible-test calls them."""
    shutil.rmtree(INTERPRETERS, ignore_errors=True)
    INTERPRETERS.mkdir(parents=True)
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in PYTHONS:
        for python in (f"python{version}", *map(str, managed.glob(f"{version}.*/bin/python{version}"))):
            try:
                real = output_of(python, "-c", "import ensurepip, os, sys; print(os.path.realpath(sys.executable))")
            except (OSError, subprocess.CalledProcessError):
                continue
            (INTERPRETERS / f"python{version}").symlink_to(real.strip())
            break


def main() -> int:
    copy_checkout()
    write_pip_settings()
    stand_in_for_get_pip()
    link_interpreters()
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder).name != "shims"]
    environ = os.environ | {"HOME": str(HOME), "PATH": os.pathsep.join([str(INTERPRETERS), *path])}
    return subprocess.run(["ansible-test", "sanity", "--color", "no", *sys.argv[1:]], cwd=COPY, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
