# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""baseline: the file that records are kept in."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import baseline
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError

RECORD: dict[str, Any] = {
    "id": "/subscriptions/s/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/Web",
    "name": "Web",
    "region": "northeurope",
    "os_type": "linux",
    "identity": {"type": "None", "user_assigned": []},
    "extensions": [],
    "associations": [],
}


def test_what_is_written_is_read_by_the_id_in_any_letter_case_and_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "baseline.json"
    baseline.write(file, [RECORD])
    baseline.write(file, [RECORD | {"region": "westeurope"}])
    assert baseline.read("path", file) == {RECORD["id"].lower(): RECORD | {"region": "westeurope"}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and list(file.parent.iterdir()) == [file]


def test_a_file_that_cannot_be_written_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    baseline.write(file, [RECORD])
    with pytest.raises(TypeError):
        baseline.write(file, [RECORD | {"region": object()}])
    assert baseline.read("path", file) and list(tmp_path.iterdir()) == [file]
    with pytest.raises(AzureDRError, match="could not be written"):
        baseline.write(file / "below", [RECORD])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("{", "no JSON"),
        ("[]", "version 1"),
        (json.dumps({"version": 2, "machines": []}), "version 1"),
        (json.dumps({"version": 1, "machines": [{"id": "/x"}]}), "version 1"),
        (json.dumps({"version": 1, "machines": [RECORD | {"extensions": [{"name": "AMA"}]}]}), "record of Web"),
    ],
)
def test_what_is_no_baseline_is_refused_by_the_name_of_the_option(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "baseline.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=words) as refused:
        baseline.read("restore_from", file)
    assert refused.value.option == "restore_from" and str(file) in str(refused.value)
