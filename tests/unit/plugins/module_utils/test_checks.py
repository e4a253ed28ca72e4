# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What checks come to when they are put together."""

from __future__ import annotations

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import checks
from ansible_collections.cloudops.azure_dr.plugins.module_utils.checks import Check


def found(*statuses: str) -> list[Check]:
    return [Check(f"check-{number}", status, f"It is {status}.", f"See to {status}.") for number, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        (["pass", "pass"], "pass"),
        (["pass", "warn"], "warn"),
        (["pass", "unknown"], "warn"),  # what is not known is no pass
        (["warn", "fail", "unknown"], "fail"),
        ([], "pass"),
    ],
)
def test_the_worst_check_decides(statuses: list[str], verdict: str) -> None:
    assert checks.verdict(found(*statuses)) == verdict


def test_only_what_is_tolerated_warns_in_the_place_of_failing() -> None:
    assert [check.status for check in checks.tolerant(found("fail", "fail", "unknown"), ["check-0", "check-2"])] == [
        "warn",
        "fail",
        "unknown",
    ]


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        ([], Check("all", "pass", "Nothing to see.")),
        (["pass", "pass"], Check("all", "pass", "It is pass.")),
        (["warn", "pass", "fail"], Check("all", "fail", "It is fail. It is warn.", "See to fail. See to warn.")),
        (["warn", "unknown"], Check("all", "unknown", "It is unknown. It is warn.", "See to unknown. See to warn.")),
    ],
)
def test_a_check_of_several_parts_tells_all_that_is_no_pass_the_worst_first(statuses: list[str], whole: Check) -> None:
    assert checks.worst("all", found(*statuses), "Nothing to see.") == whole
