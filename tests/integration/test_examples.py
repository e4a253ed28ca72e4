# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Every example of every module runs as it is printed, on the sample estate whose names the examples use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import documented
import estates
import pytest

Body = dict[str, Any]
DRILL = {"name": "A drill stands", "cloudops.azure_dr.asr_failover": {"action": "test", "recovery_plan": "shop"}}

# The modules whose examples are about the sample estate of calm days.
FLEET = {"vm_extension_autoupgrade", "vmss_os_upgrade"}

# The state that an example needs where the examples before it do not leave it: the tasks that bring it about on a new cloud.
ANEW: dict[tuple[str, str], list[Body]] = {
    ("ama_reinstall", "Monitor what the recovery plan has failed over, in a drill and in earnest"): [DRILL]
}


def stretches(module: str) -> list[list[Body]]:
    """The examples of a module in their order, parted where one needs a new cloud."""
    found: list[list[Body]] = [[]]
    for task in documented.read(module, "EXAMPLES"):
        before = ANEW.get((module, task["name"]))
        if before is not None:
            found.append([*before])
        found[-1].append(task)
    return [tasks for tasks in found if tasks]


@pytest.mark.parametrize(
    ("module", "tasks"),
    [(module, tasks) for module in documented.MODULES for tasks in stretches(module)],
    ids=lambda given: given if isinstance(given, str) else given[0]["name"],
)
def test_the_examples_run(cloud: Callable[..., Any], module: str, tasks: list[Body]) -> None:
    estate = estates.fleet() if module in FLEET else estates.shop()
    said = cloud(estate, speed=3000).run_playbook(tasks)
    assert "failed=0" in said, f"{said}\nThe last example fails after those before it. If it needs another state, say so in ANEW."
    assert [task["name"] for task in tasks if f"TASK [{task['name']}]" not in said] == []
    assert "skipping:" not in said, said


def test_the_table_names_examples_that_are_there() -> None:
    assert [key for key in ANEW if key[1] not in [task["name"] for task in documented.read(key[0], "EXAMPLES")]] == []
