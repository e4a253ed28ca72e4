# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs the checks of the collection: `python tests/checks [NAME ...]`, all of them when none is named.

Some run at a time. What a check prints comes out in one piece when it has ended; the summary at the end says of each
whether it passed, how many seconds it took, and what was left out and why. Exit status 1 when any failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = Path("ansible_collections/cloudops/azure_dr")
VENV = ROOT / ".venv"
AT_ONCE = 3  # they wait a lot
LIMIT_SECONDS = 18 * 60

NEVER_RUN = (
    "ansible-test --docker and --remote: they need a container engine or a service; sanity runs in virtual environments instead",
    "ansible-test units and integration: plain pytest runs the same tests, quicker",
    "scenarios on the lowest libraries: .venv-lowest/bin/python -m pytest tests/integration runs them",
    "Pythons, versions of ansible-core and of the Azure libraries between the ends of what is supported",
)

# Lines by which tools say what they did not do: this project's own, pytest's and ansible-test's.
LEFT_OUT = re.compile(r"^(?:LEFT OUT: |SKIPPED |WARNING: (?=Skipping|Required program))(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """Commands that run one after the other, in the environment `venv`, from the folder `cwd`."""

    commands: tuple[tuple[str, ...], ...]
    venv: Path = VENV
    cwd: Path = ROOT


@dataclass(frozen=True)
class Outcome:
    name: str
    passed: bool
    seconds: float
    output: str


def pytest(*folders: str) -> tuple[str, ...]:
    return ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders)


VERSIONS = ("python", "tests/checks/versions.py")
# Integration tests that are made of many runs of the playbooks, or of many modules: a check of their own, on the newest libraries.
SCENARIOS = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "baseline",
        "benchmarks",
        "change_freeze",
        "check_mode",
        "faults",
        "kills",
        "permissions",
        "proof",
        "readiness",
        "secrets",
        "steady_state",
    )
)
MODULES = ("tests/integration", *(f"--ignore={file}" for file in SCENARIOS))
# What depends most on the versions beneath it: all that is sent.
CROSSED = "tests/integration/test_request_bodies.py"

# In the order of starting: the long ones first.
CHECKS = {
    "integration": Check((VERSIONS, pytest(*MODULES))),
    "scenarios": Check((VERSIONS, pytest(*SCENARIOS))),
    "lowest": Check((VERSIONS, pytest("tests/unit", *MODULES)), venv=ROOT / ".venv-lowest"),
    "sanity": Check((("python", "tests/checks/sanity.py"),)),
    "lowest-core": Check((VERSIONS, pytest(CROSSED)), venv=ROOT / ".venv-lowest-core"),
    "lowest-sdk": Check((VERSIONS, pytest(CROSSED)), venv=ROOT / ".venv-lowest-sdk"),
    "molecule": Check((("molecule", "test", "--all"),), cwd=ROOT / "extensions"),
    "unit": Check((pytest("tests/unit"),)),
    "lint": Check((("ruff", "check", "."), ("ruff", "format", "--check", "--quiet", "."), ("ansible-lint", "--offline", "--strict"))),
    "types": Check((("mypy", str(VENV / "collections" / COLLECTION / "plugins/module_utils"), "extensions/rehearsal_cloud"),)),
    "docs": Check(
        (
            ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=all", "."),
            ("antsibull-changelog", "lint"),
            ("antsibull-changelog", "lint-changelog-yaml", "--strict", "changelogs/changelog.yaml"),
        )
    ),
}


def environment(venv: Path) -> dict[str, str]:
    """The environment of a check: the tools of `venv` first, this collection only, no colours, nothing of the user's Ansible settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AZURE_"))}
    return inherited | {
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": str(venv / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }


def run(name: str) -> Outcome:
    check = CHECKS[name]
    began = time.monotonic()
    output, passed = "", True
    for command in check.commands:
        output += f"$ {' '.join(command)}\n"
        try:
            done = subprocess.run(
                command,
                cwd=check.cwd,
                env=environment(check.venv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=LIMIT_SECONDS,
                check=False,
            )
            output += done.stdout
            passed = passed and done.returncode == 0
        except subprocess.TimeoutExpired as expired:
            output += f"{(expired.stdout or b'').decode(errors='replace')}\nstopped after {LIMIT_SECONDS} seconds\n"
            passed = False
        except OSError as error:
            output, passed = f"{output}{error}\n", False
    return Outcome(name, passed, time.monotonic() - began, output)


def summary(outcomes: list[Outcome]) -> str:
    lines = ["", "Summary"]
    lines += [f"  {each.name:<12} {'passed' if each.passed else 'FAILED'} {each.seconds:6.0f} s" for each in outcomes]
    lines += ["", "Left out"]
    lines += [f"  {each.name}: {what}" for each in outcomes for what in dict.fromkeys(LEFT_OUT.findall(each.output))]
    lines += [f"  {what}" for what in NEVER_RUN]
    return "\n".join(lines)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    chosen = [name for name in CHECKS if name in names or not names]
    outcomes = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in as_completed([pool.submit(run, name) for name in chosen]):
            outcome = future.result()
            outcomes.append(outcome)
            print(f"\n===== {outcome.name}: {'passed' if outcome.passed else 'FAILED'}\n{outcome.output}", flush=True)
    outcomes.sort(key=lambda outcome: chosen.index(outcome.name))
    print(summary(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
