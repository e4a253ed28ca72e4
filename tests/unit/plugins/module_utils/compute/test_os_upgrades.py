# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""os_upgrades: what a policy sends, what upgrades look like, and races that the rehearsal cloud cannot be made to run."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import os_upgrades, scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.os_upgrades import Look, Policy

Body = dict[str, Any]

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/web"
SWITCH = "enableAutomaticOSUpgrade"


def model(policy: Body | None = None, windows: Body | None = None) -> Body:
    profile: Body = {"osProfile": {"windowsConfiguration": windows}} if windows is not None else {}
    return {
        "id": ID,
        "name": "web",
        "location": "westeurope",
        "properties": {"upgradePolicy": policy or {}, "virtualMachineProfile": profile},
    }


def instance(number: int, version: str | None, power: str = "running", **properties: Any) -> Body:
    image = {"exactVersion": version} if version else {}
    view = {"statuses": [{"code": f"PowerState/{power}"}]}
    given = {"storageProfile": {"imageReference": image}, "instanceView": view, **properties}
    return {"id": f"{ID}/virtualMachines/{number}", "name": f"web_{number}", "instanceId": str(number), "properties": given}


def upgrade(code: str, **properties: Any) -> Body:
    return {"properties": {"runningStatus": {"code": code, "startTime": "2026-01-01T00:00:00Z"}, **properties}}


def look(
    *instances: Body, newest: str | None = "2.0.0", latest: Body | None = None, history: tuple[Body, ...] = (), findings: Any = ()
) -> Look:
    return Look(scale_sets.parse(model(), instances), tuple(findings), newest, latest, history)


ON, OFF = ({"automaticOSUpgradePolicy": {SWITCH: value}} for value in (True, False))


@pytest.mark.parametrize(
    ("policy", "present", "sent"),
    [
        (Policy(True), {}, {"upgradePolicy": ON}),
        (Policy(True), ON, {}),
        (Policy(False), {}, {}),
        (Policy(False), OFF, {}),
        (Policy(False), ON, {"upgradePolicy": OFF}),
        (Policy(True, {"disableAutomaticRollback": False}), ON, {}),
        (
            Policy(True, {"disableAutomaticRollback": True}),
            ON,
            {"upgradePolicy": {"automaticOSUpgradePolicy": {SWITCH: True, "disableAutomaticRollback": True}}},
        ),
        (
            Policy(True, rolling={"maxBatchInstancePercent": 30}),
            ON,
            {"upgradePolicy": {"rollingUpgradePolicy": {"maxBatchInstancePercent": 30}}},
        ),
        (
            Policy(True, rolling={"maxBatchInstancePercent": 30}),
            {**ON, "rollingUpgradePolicy": {"maxBatchInstancePercent": 30, "maxSurge": True}},
            {},
        ),
        (
            Policy(True, rolling={"pauseTimeBetweenBatches": "PT1M"}),
            {**ON, "rollingUpgradePolicy": {"pauseTimeBetweenBatches": "PT60S"}},
            {},
        ),
    ],
)
def test_a_policy_sends_what_is_asked_for_where_it_differs(policy: Policy, present: Body, sent: Body) -> None:
    assert policy.properties(model(present)) == sent


def test_windows_update_is_switched_off_where_that_is_asked_for_alone() -> None:
    at_work = model(ON, {"enableAutomaticUpdates": True})
    off = {"virtualMachineProfile": {"osProfile": {"windowsConfiguration": {"enableAutomaticUpdates": False}}}}
    assert Policy(True, fix=True).properties(at_work) == off
    assert Policy(True).properties(at_work) == Policy(False, fix=True).properties(model(OFF, {"enableAutomaticUpdates": True})) == {}
    assert Policy(True, fix=True).properties(model(ON, {"enableAutomaticUpdates": False})) == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT0S", 0), ("PT5M", 300), ("pt1h30m", 5400), ("P1DT2S", 86402), ("PT1.5S", 1.5), ("5m", None), ("PT", None), ("P", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert os_upgrades.seconds_of(text) == seconds


def test_what_is_behind_and_what_an_upgrade_reaches() -> None:
    protected = {"protectionPolicy": {"protectFromScaleSetActions": True}}
    seen = look(
        instance(0, "1.9.0"),
        instance(1, "2.0.0"),
        instance(2, "1.9.0", "deallocated"),
        instance(3, "1.9.0", **protected),
        instance(4, None),
    )
    assert [one.name for one in seen.behind] == ["web_0", "web_2", "web_3"]
    assert [one.name for one in seen.upgradable] == ["web_0", "web_4"]
    assert [one.name for one in look(instance(0, "1.0.0"), newest=None).upgradable] == ["web_0"]


def test_an_old_form_of_the_history_is_read() -> None:
    wire = upgrade("Completed", targetImageReference={"version": "2.0.0"}, startedBy="Platform")
    wire["properties"]["runningStatus"]["completedTime"] = "2026-01-02T00:00:00Z"
    view = os_upgrades.upgrade_view(wire)
    assert (view["ended"], view["image_version"], view["successful"], view["error"]) == ("2026-01-02T00:00:00Z", "2.0.0", 0, None)


@pytest.mark.parametrize(
    ("message", "steps"),
    [
        ("403 Server failed to authenticate the request.", 4),
        ("The token has expired.", 4),
        ("Instance found to be unhealthy.", 0),
        (None, 0),
    ],
)
def test_why_the_last_upgrade_failed(message: str | None, steps: int) -> None:
    error = {"error": {"code": "E", "message": message}} if message else {}
    failure = look(instance(0, "1.0.0"), history=(upgrade("Faulted", **error), upgrade("Completed"))).failure
    assert failure and failure["message"] == (message or "Azure gives no reason.") and len(failure["recovery"]) == steps
    assert look(history=(upgrade("Completed"), upgrade("Faulted", **error))).failure is None and look().failure is None


class Compute:
    """A client whose upgrades are refused."""

    def __getattr__(self, name: str) -> Any:
        return self if not name.startswith("begin_") else self.begin

    async def begin(self, *_place: Any, **_kwargs: Any) -> Any:
        raise AssertionError("it is run by the fake")


class Azure:
    """Refuses what is sent with a status; `latest` is what rollingUpgrades/latest shows, the last of them for ever."""

    def __init__(self, status: int, *latest: Body) -> None:
        self.status, self.latest, self.pacer = (
            status,
            list(latest),
            SimpleNamespace(throttled_requests=0, minimum_duration=lambda _all: 0.0),
        )

    def compute(self, _subscription: str | None = None) -> Any:
        return Compute()

    async def run(self, asked: str, resource_id: str, _begin: Any, _seconds: float) -> None:
        raise AzureError(asked, resource_id, status=self.status, code="OperationNotAllowed", message="refused")

    async def require(self, _requests: Any, _needs: Any) -> None: ...

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.001))


class Reader:
    """Looks in which `azure` shows the upgrades."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure
        self.known: dict[str, tuple[Look, Look]] = {}

    async def upgrade(self, _scale_set_id: str) -> Body:
        return self._azure.latest.pop(0) if len(self._azure.latest) > 1 else self._azure.latest[0]

    async def look(self, scale_set_id: str) -> Look:
        latest = await self.upgrade(scale_set_id)
        version = "2.0.0" if latest["properties"]["runningStatus"]["code"] == "Completed" and self.known else "1.0.0"
        found = look(instance(0, version), latest=latest, history=(latest,))
        self.known[scale_set_id.lower()] = (found, found)
        return found


def outcome(step: type[Any], azure: Azure) -> fleet.Outcome:
    reader: Any = Reader(azure)
    report = asyncio.run(fleet.run(azure, [fleet.Target(ID, "web")], [step(azure, reader)], check=False, timeout=5))
    return report.outcomes[0]


def test_an_upgrade_that_ends_before_it_is_cancelled_is_no_failure() -> None:
    ended = outcome(os_upgrades.Cancel, Azure(409, upgrade("RollingForward"), upgrade("Completed")))
    assert (ended.state, ended.changed) == ("unchanged", False), ended.reason


def test_a_cancel_that_is_refused_for_another_reason_is_one() -> None:
    ended = outcome(os_upgrades.Cancel, Azure(409, upgrade("RollingForward")))
    assert ended.state == "failed" and not ended.changed and "refused" in str(ended.reason)


def test_who_is_second_to_start_follows_the_first() -> None:
    azure = Azure(409, upgrade("Completed"), upgrade("RollingForward"), upgrade("RollingForward"), upgrade("Completed"))
    ended = outcome(os_upgrades.Start, azure)
    assert (ended.state, ended.changed) == ("unchanged", False), ended.reason


def test_the_first_may_fail_and_that_is_told() -> None:
    faulted = upgrade("Faulted", error={"code": "MaxUnhealthy", "message": "Too many."})
    azure = Azure(409, upgrade("Completed"), upgrade("RollingForward"), upgrade("RollingForward"), faulted)
    ended = outcome(os_upgrades.Start, azure)
    assert ended.state == "failed" and "Too many" in str(ended.reason) and "no automatic rollback" in str(ended.reason)


def test_a_start_that_is_refused_for_another_reason_is_told() -> None:
    ended = outcome(os_upgrades.Start, Azure(409, upgrade("Completed")))
    assert ended.state == "failed" and "refused" in json.dumps(ended.error)
