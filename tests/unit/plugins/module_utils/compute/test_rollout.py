# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""scale_sets and rollout: what is read of a scale set, and how its instances are brought to the latest model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError, OperationFailed
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import rollout, scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.rollout import Rollout, batch_size, too_many
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute.scale_sets import ScaleSet, parse
from ansible_collections.cloudops.azure_dr.plugins.module_utils.fleet import Action, Target

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/web"
TARGET = Target(ID, "web")
AGENT = {"publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorLinuxAgent", "typeHandlerVersion": "1.0"}


def instance(
    number: int, latest: bool = True, state: str = "Succeeded", health: str = "", power: str = "running", **more: Any
) -> dict[str, Any]:
    view: dict[str, Any] = {"statuses": [{"code": f"PowerState/{power}"}]}
    if health:
        view["vmHealth"] = {"status": {"code": f"HealthState/{health}"}}
    return {
        "id": f"{ID}/virtualMachines/{number}",
        "name": f"web_{number}",
        "instanceId": str(number),
        "properties": {"latestModelApplied": latest, "provisioningState": state, "instanceView": view} | more,
    }


def scale_set(*instances: dict[str, Any], mode: str | None = "Manual", **properties: Any) -> ScaleSet:
    policy = {"upgradePolicy": {"mode": mode}} if mode else {}
    model = {"extensionProfile": {"extensions": [{"name": "agent", "properties": AGENT}]}}
    wire = {"id": ID, "name": "web", "location": "westeurope", "properties": policy | {"virtualMachineProfile": model} | properties}
    return parse(wire, instances)


class TestReading:
    def test_what_azure_leaves_out(self) -> None:
        found = parse({"id": ID}, [])
        assert (found.name, found.mode, found.orchestration, found.state) == ("web", "Manual", "Uniform", "Succeeded")
        assert found.extensions == () and found.instances == () and found.manual

    def test_an_instance(self) -> None:
        found = scale_set(instance(3, latest=False, health="unhealthy", protectionPolicy={"protectFromScaleSetActions": True})).instances[0]
        assert (found.instance_id, found.name, found.latest, found.health, found.protected) == ("3", "web_3", False, "unhealthy", True)
        assert found.trouble == "it reports itself as unhealthy"

    @pytest.mark.parametrize(
        ("given", "ill"),
        [
            ({}, False),
            ({"health": "healthy"}, False),
            ({"health": "unhealthy"}, True),
            ({"health": "unknown"}, True),
            ({"health": "unhealthy", "power": "deallocated"}, False),
            ({"health": "unhealthy", "state": "Updating"}, False),
            ({"state": "Failed"}, True),
            ({"state": "Failed", "health": "healthy"}, True),
        ],
    )
    def test_who_is_unhealthy(self, given: dict[str, str], ill: bool) -> None:
        assert bool(scale_set(instance(0, **given)).unhealthy) is ill

    def test_a_flexible_instance_is_named_by_its_name(self) -> None:
        one = instance(0)
        del one["instanceId"]
        found = scale_set(one, orchestrationMode="Flexible")
        assert found.orchestration == "Flexible" and found.instances[0].instance_id == "web_0"

    def test_an_extension_that_failed_on_an_instance_has_failed(self) -> None:
        failed = instance(
            1, instanceView={"extensions": [{"name": "agent", "statuses": [{"code": "ProvisioningState/failed", "message": "No."}]}]}
        )
        failed["resources"] = [
            {"id": f"{failed['id']}/extensions/agent", "name": "agent", "properties": AGENT | {"provisioningState": "Failed"}}
        ]
        extension = scale_set(instance(0), failed).extensions[0]
        assert extension.failed and extension.provisioning_state == "Failed" and "web_1" in str(extension.trouble)

    def test_wrong_ids(self) -> None:
        with pytest.raises(InputError) as refused:
            scale_sets.of_ids([ID.replace("ScaleSets", "s")])
        assert refused.value.option == "scale_set_ids"
        assert scale_sets.of_ids([ID, ID.upper()])[0].name.lower() == "web"


class TestRules:
    @pytest.mark.parametrize(("total", "size"), [(1, 1), (4, 1), (5, 1), (9, 1), (10, 2), (100, 20), (999, 199)])
    def test_batches_of_at_most_a_fifth_and_at_least_one(self, total: int, size: int) -> None:
        assert batch_size(total) == size

    @pytest.mark.parametrize(
        ("ill", "total", "stops"), [(0, 1, False), (1, 1, True), (1, 4, True), (1, 5, False), (2, 9, True), (2, 10, False)]
    )
    def test_more_than_a_fifth(self, ill: int, total: int, stops: bool) -> None:
        assert too_many(ill, total) is stops


class FakeAzure:
    """Scale sets whose instances get the latest model when they are named; `ends` tells, by instance id, how they are then."""

    def __init__(self, *instances: dict[str, Any], mode: str = "Manual", ends: dict[str, dict[str, Any]] | None = None) -> None:
        self.instances, self.mode, self.ends = list(instances), mode, ends or {}
        self.batches: list[list[str]] = []
        self.raises: list[AzureError] = []
        self.pauses: list[float] = []
        self.known: dict[str, ScaleSet] = {}

    async def read(self, scale_set_id: str) -> ScaleSet:
        return scale_set(*self.instances, mode=self.mode)

    def compute(self, subscription: str) -> Any:
        return self

    @property
    def virtual_machine_scale_sets(self) -> Any:
        return self

    async def begin_update_instances(self, group: str, name: str, body: dict[str, Any], polling: Any) -> None:
        self.batches.append(body["instanceIds"])

    async def run(self, asked: str, resource_id: str, begin: Any, timeout: float) -> None:
        await begin(polling=None)
        trouble = self.raises.pop(0) if self.raises else None
        if trouble is None or isinstance(trouble, OperationFailed):
            for place, one in enumerate(self.instances):
                if one["instanceId"] in self.batches[-1]:
                    self.instances[place] = instance(int(one["instanceId"])) | self.ends.get(one["instanceId"], {})
        if trouble:
            raise trouble

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


def carry_out(azure: FakeAzure, patience: float = 0.0) -> None:
    step = Rollout(azure, azure, patience)  # type: ignore[arg-type]
    action = step.plan(TARGET, scale_set(*azure.instances, mode=azure.mode))[0]
    asyncio.run(step.apply(TARGET, action, 60))


def lag(*numbers: int, of: int) -> list[dict[str, Any]]:
    return [instance(number, latest=number not in numbers) for number in range(of)]


class TestRollout:
    def test_only_manual_scale_sets_and_only_what_lags(self) -> None:
        step = Rollout(None, None)  # type: ignore[arg-type]
        assert step.plan(TARGET, scale_set(*lag(0, of=3), mode="Rolling")) == step.plan(TARGET, scale_set(*lag(of=3))) == []
        assert step.plan(TARGET, scale_set(*lag(0, 2, of=3))) == [
            Action("bring 2 of 3 instances to the latest model", (("POST", f"{ID}/manualupgrade"),) * 2)
        ]

    def test_a_change_of_the_model_is_foreseen(self) -> None:
        step = Rollout(None, None, changes=lambda one: True)  # type: ignore[arg-type]
        found = scale_set(*lag(of=2), instance(2, protectionPolicy={"protectFromScaleSetActions": True}))
        assert step.plan(TARGET, found)[0].text == "bring 2 of 3 instances to the latest model"
        assert step.wanted(TARGET, found)["instances"]["lagging"] == ["web_2"]
        assert step.wanted(TARGET, scale_set(*lag(1, of=2), mode="Rolling"))["instances"]["lagging"] == ["web_1"]

    def test_batch_by_batch(self) -> None:
        azure = FakeAzure(*lag(*range(0, 10, 2), of=10))
        carry_out(azure)
        assert azure.batches == [["0", "2"], ["4", "6"], ["8"]] and azure.pauses == []

    def test_protected_instances_are_left_alone(self) -> None:
        azure = FakeAzure(*lag(0, of=5), instance(5, latest=False, protectionPolicy={"protectFromScaleSetActions": True}))
        carry_out(azure)
        assert azure.batches == [["0"]]

    def test_it_stops_before_anything_when_too_many_are_unhealthy(self) -> None:
        azure = FakeAzure(*lag(0, 1, of=4), instance(4, health="unhealthy"), instance(5, health="unknown"))
        with pytest.raises(
            AzureDRError, match=r"2 of 6 instances are unhealthy.*web_4 \(it reports itself as unhealthy\).*lag.*web_0, web_1"
        ):
            carry_out(azure)
        assert azure.batches == []

    def test_it_stops_when_a_batch_does_not_get_healthy(self) -> None:
        azure = FakeAzure(*lag(*range(4), of=4), ends={"0": {"properties": instance(0, health="unhealthy")["properties"]}})
        with pytest.raises(AzureDRError, match=r"Stopped.*web_0.*web_1, web_2, web_3"):
            carry_out(azure, patience=0.01)
        assert azure.batches == [["0"]] and azure.pauses

    def test_one_that_stays_unhealthy_among_many_does_not_stop_it(self) -> None:
        azure = FakeAzure(*lag(*range(5), of=5), ends={"1": {"properties": instance(1, health="unhealthy")["properties"]}})
        carry_out(azure)
        assert azure.batches == [["0"], ["1"], ["2"], ["3"], ["4"]]

    def test_what_failed_on_an_instance_is_told_in_the_end(self) -> None:
        azure = FakeAzure(*lag(0, 1, of=6), ends={"0": {"properties": instance(0, state="Failed")["properties"]}})
        azure.raises = [OperationFailed("bring", ID, message="web_0: The extension failed")]
        with pytest.raises(AzureDRError, match=r"web_0: The extension failed.*Unhealthy are: web_0"):
            carry_out(azure)
        assert azure.batches == [["0"], ["1"]]

    def test_an_instance_that_still_lags_is_not_sent_for_ever(self) -> None:
        azure = FakeAzure(*lag(0, of=6), ends={"0": instance(0, latest=False)})
        with pytest.raises(AzureDRError, match="lag behind it: web_0"):
            carry_out(azure)
        assert azure.batches == [["0"]]

    def test_a_lost_answer_is_looked_after_and_sent_again(self) -> None:
        azure = FakeAzure(*lag(0, of=6))
        azure.raises = [AzureError("bring", ID, message="reset", accepted=None)]
        carry_out(azure)
        assert azure.batches == [["0"], ["0"]]

    def test_a_lost_answer_has_its_limits(self) -> None:
        azure = FakeAzure(*lag(0, of=6))
        azure.raises = [AzureError("bring", ID, message="reset", accepted=None) for _time in range(9)]
        with pytest.raises(AzureDRError, match="web_0"):
            carry_out(azure)
        assert azure.batches == [["0"]] * rollout.SENDS

    def test_a_refusal_ends_it(self) -> None:
        azure = FakeAzure(*lag(0, of=6))
        azure.raises = [AzureError("bring", ID, status=403, code="AuthorizationFailed", message="no")]
        with pytest.raises(AzureError, match="AuthorizationFailed"):
            carry_out(azure)

    def test_what_is_being_changed_is_waited_for(self) -> None:
        azure = FakeAzure(*lag(0, of=1), *(instance(number, state="Updating") for number in range(1, 7)))
        with pytest.raises(AzureDRError, match=r"6 of 7 instances are unhealthy.*its provisioning state is Updating"):
            carry_out(azure, patience=0.01)
        assert azure.pauses and azure.batches == []
