# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import freezing
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Target
from ansible_collections.cloudops.azure_dr.plugins.module_utils.freezing import FROZEN, THAWED, Entry, Freeze, Record, Thaw

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg/providers"
VM = Target(f"{GROUP}/Microsoft.Compute/virtualMachines/web", "web")
SET = Target(f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/app", "app")
MAPPING = Target(f"{GROUP}/Microsoft.RecoveryServices/vaults/v/replicationFabrics/f/replicationProtectionContainers/c/x/m", "m")
POLICY = {"enableAutomaticOSUpgrade": True, "disableAutomaticRollback": True}
UPDATE = {"agentAutoUpdateStatus": "Enabled", "automationAccountArmId": "/a", "automationAccountAuthenticationType": "RunAsAccount"}
NEW = Record("2026-11-02T05:12:44Z")


@pytest.mark.parametrize(
    ("value", "is_on"),
    [(True, True), (False, False), (None, False), (POLICY, True), ({"enableAutomaticOSUpgrade": False}, False), (UPDATE, True)]
    + [(UPDATE | {"agentAutoUpdateStatus": status}, status == "enabled") for status in ("Disabled", "enabled", None)],
)
def test_what_is_on(value: Any, is_on: bool) -> None:
    assert freezing.on(value) is is_on


def test_a_second_freeze_adds_to_the_record_and_takes_nothing_from_it() -> None:
    first = NEW.with_settings(VM, {"extension a": True, "extension b": None}).with_frozen(VM, "soon")
    again = first.with_settings(Target(VM.id.upper(), "web"), {"extension a": False, "extension b": False})
    assert again == first, "what is off by now was on before the freeze"
    more = again.with_settings(VM, {"extension a": False, "extension c": True})
    assert more.of(VM).settings == {"extension a": True, "extension b": None, "extension c": True} and more.of(VM).frozen is None
    assert more.without(VM) == NEW


def test_what_was_thawed_is_written_down_anew() -> None:
    both = NEW.with_settings(VM, {"extension a": True}).with_settings(SET, {"images": POLICY})
    half = both.with_thawed(VM, "then")
    assert half.thawed is None and [entry.name for entry in half.open] == ["app"] and half.of(VM).settings == {}
    assert half.with_thawed(SET, "later").thawed == "later"
    assert half.with_settings(VM, {"extension a": False}).of(VM).settings == {"extension a": False}


@pytest.mark.parametrize(
    ("state", "before", "frozen", "found", "told"),
    [
        (FROZEN, {"extension a": True}, None, {"extension a": True}, []),  # not turned off yet
        (FROZEN, {"extension a": True}, "then", {"extension a": True}, ["Turned on by somebody during the freeze, and off again now: e"]),
        (FROZEN, {"extension a": None}, None, {"extension a": True}, ["Turned on by somebody"]),
        (FROZEN, {"extension a": True}, "then", {"extension a": False, "extension b": True}, []),  # it is recorded now
        (THAWED, {"extension a": True}, "then", {"extension a": False}, []),
        (THAWED, {"extension a": True}, "then", {"extension a": True}, ["Turned on by somebody during the freeze, and as recorded again"]),
        (THAWED, {"extension a": False}, None, {"extension a": True}, ["Turned on by somebody"]),
        (THAWED, {}, "then", {"extension b": True}, ["On, and not in the record, so it was left alone: extension b."]),
        (THAWED, {"extension a": True}, "then", {}, ["Was on when the freeze began, and is not there any more: extension a."]),
        (THAWED, {"mobility": UPDATE}, None, {"mobility": UPDATE | {"automationAccountArmId": "/b"}}, ["Changed by somebody"]),
        (THAWED, {"images": POLICY}, None, {"images": POLICY | {"more": 1}}, []),
    ],
)
def test_what_others_changed_is_told(state: str, before: Any, frozen: str | None, found: Any, told: list[str]) -> None:
    said = freezing.notes(state, Entry(VM.id, "web", before, frozen), found)
    assert len(said) == len(told) and all(text in one for text, one in zip(told, said, strict=True)), said


def test_a_thaw_wants_what_was_recorded_and_a_freeze_all_of_it_off() -> None:
    held = NEW.with_settings(SET, {"images": POLICY | {"osRollingUpgradeDeferral": None}}).with_settings(MAPPING, {"mobility": UPDATE})
    model = {
        "properties": {"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": False, "disableAutomaticRollback": True}}}
    }
    thaw, freeze = Thaw(held), Freeze(held)
    wanted, off = thaw.images(SET), freeze.images(SET)
    assert wanted and wanted.properties(model) == {"upgradePolicy": {"automaticOSUpgradePolicy": POLICY}}
    assert off and off.properties(model) == {} and freeze.images(VM) is None
    assert thaw.mapping(MAPPING).body()["properties"]["providerSpecificInput"] == {"instanceType": "A2A"} | UPDATE
    assert not freeze.mapping(MAPPING).enabled
    never = Thaw(NEW.with_settings(SET, {"images": None})).images(SET)
    assert never and never.properties({"properties": {"upgradePolicy": {"mode": "Manual"}}}) == {}, "what was never said stays unsaid"


def test_the_record_is_on_disk_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "dr" / "freeze.json"
    assert freezing.read(path) is None
    held = NEW.with_settings(VM, {"extension a": True, "extension b": None}).with_frozen(VM, "then")
    held.write(path)
    assert freezing.read(path) == held and stat.S_IMODE(path.stat().st_mode) == 0o600 and len(list(path.parent.iterdir())) == 1
    with pytest.raises(AzureDRError, match="could not be written"):
        held.write(path / "below")


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 2, "targets": []}', '{"version": 1, "targets": [{"id": "/x"}]}'])
def test_what_is_no_record_is_refused_by_freeze_and_thaw(tmp_path: Path, content: str) -> None:
    path = tmp_path / "freeze.json"
    path.write_text(content)
    with pytest.raises(InputError, match="The option path is"):
        freezing.read(path)


def test_one_run_at_a_time_works_with_a_record(tmp_path: Path) -> None:
    path = tmp_path / "freeze.json"
    with freezing.held(path), pytest.raises(AzureDRError, match="Another run is at work"), freezing.held(path):
        pass
    with freezing.held(path):
        pass


def test_mappings_of_two_subscriptions_need_two_records(tmp_path: Path) -> None:
    other = Target(MAPPING.id.replace("1111-", "9999-", 1).replace("11111111", "99999999"), "m")
    held = NEW.with_settings(MAPPING, {"mobility": UPDATE}).with_settings(other, {"mobility": UPDATE})
    with pytest.raises(InputError, match="another file"):
        freezing._check_vaults(tmp_path / "freeze.json", held)
    path = tmp_path / "freeze.json"
    NEW.with_settings(MAPPING, {"mobility": UPDATE}).write(path)
    params: dict[str, Any] = {"path": str(path), "state": THAWED, "include": ["mobility"], "subscription_id": "another"}
    freezing.check_input(params)
    assert params["subscription_id"] == "11111111-2222-3333-4444-555555555555" and json.loads(path.read_text())["version"] == 1
