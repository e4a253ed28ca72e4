# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, OperationFailed, TimedOut
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.operations import retry_after

from .conftest import EXTENSION, GROUP, VAULT, Answer

SOON = {"x-ms-retry-after-ms": "5"}
JOB = "6eebb0ab-6d39-4ef3-b0ee-2e3c5bf4ee0a"
STATUS = f"{VAULT.replace('/subscriptions', '/Subscriptions')}/replicationOperationStatus/{JOB}"
COMPUTE_STATUS = "/subscriptions/s/providers/Microsoft.Compute/locations/westeurope/operations/op1"
MAPPING = f"{VAULT}/replicationFabrics/f/replicationProtectionContainers/c/replicationProtectionContainerMappings/m"
PLAN = f"{VAULT}/replicationRecoveryPlans/p"
MAPPING_NAMES = {
    "resource_group_name": "rg",
    "resource_name": "vault1",
    "fabric_name": "f",
    "protection_container_name": "c",
    "mapping_name": "m",
}
EXTENSION_NAMES = {"resource_group_name": "rg", "vm_name": "vm1", "vm_extension_name": "agent"}
ACCEPTED = Answer(202, None, {"Azure-AsyncOperation": "{url}" + STATUS + "?api-version=1", "Location": "{url}/elsewhere", **SOON})


def state(word: str, error: dict | None = None) -> Answer:
    body = {"error": error, "id": None, "name": JOB, "properties": None, "status": word, "startTime": "2026-01-01T00:00:00.1234567Z"}
    return Answer(200, body, SOON)


def update_mapping(azure, timeout=20.0):
    body = {"properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Enabled"}}}
    mappings = azure.site_recovery.replication_protection_container_mappings
    return azure.run(
        "update container mapping",
        MAPPING,
        lambda polling: mappings.begin_update(**MAPPING_NAMES, update_input=body, polling=polling),
        timeout,
    )


def put_extension(azure, timeout=20.0):
    body = {"location": "westeurope", "properties": {"publisher": "P", "type": "T", "typeHandlerVersion": "1.0"}}
    extensions = azure.compute().virtual_machine_extensions
    return azure.run(
        "install extension",
        EXTENSION,
        lambda polling: extensions.begin_create_or_update(**EXTENSION_NAMES, extension_parameters=body, polling=polling),
        timeout,
    )


def delete_extension(azure, timeout=20.0):
    extensions = azure.compute().virtual_machine_extensions
    return azure.run("remove extension", EXTENSION, lambda polling: extensions.begin_delete(**EXTENSION_NAMES, polling=polling), timeout)


@pytest.mark.parametrize("word", ["Succeeded", "PartiallySucceeded", "CompletedWithInformation"])
def test_site_recovery_ends_well_in_three_states(place, talk, word):
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, state("NotStarted"), state("InProgress"), state(word))
    end = talk(update_mapping)
    assert (end.status, end.warning, end.operation_id, end.result) == (word, None, JOB, None)
    assert datetime.fromisoformat(end.started).tzinfo
    assert [seen.path for seen in place.cloud.asked("GET", VAULT)] == [STATUS] * 3, "nothing but the operation is asked for"


def test_an_error_beside_success_is_a_warning(place, talk):
    error = {"code": "28175", "message": "The virtual machine was renamed.", "details": None}
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, state("InProgress", error), state("Succeeded", error))
    end = talk(update_mapping)
    assert end.status == "Succeeded"
    assert (end.warning.code, end.warning.message) == ("28175", "The virtual machine was renamed.")


def test_a_failed_operation_says_why(place, talk):
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, state("Failed", {"code": "559", "message": "The operation could not be completed.", "details": None}))
    with pytest.raises(OperationFailed) as caught:
        talk(update_mapping)
    assert (caught.value.accepted, caught.value.status, caught.value.code) == (True, "Failed", "559")
    assert str(caught.value) == f"Could not update container mapping ({MAPPING}): The operation could not be completed (Failed, 559)."


def test_compute_is_followed_past_its_first_answer(place, talk):
    body = {"name": "agent", "properties": {"provisioningState": "Creating"}}
    place.cloud.on("PUT", EXTENSION, Answer(201, body, {"azure-asyncoperation": "{url}" + COMPUTE_STATUS, **SOON}))
    going = {"startTime": "2026-01-01T00:00:00+00:00", "status": "InProgress", "name": "op1"}
    place.cloud.on("GET", COMPUTE_STATUS, Answer(200, going, SOON), Answer(200, going | {"status": "Succeeded"}))
    assert talk(put_extension).status == "Succeeded"
    assert len(place.cloud.asked("GET", COMPUTE_STATUS)) == 2


def test_compute_without_an_operation_is_followed_by_the_resource(place, talk):
    going, done = ({"name": "agent", "properties": {"provisioningState": word}} for word in ("Creating", "Succeeded"))
    place.cloud.on("PUT", EXTENSION, Answer(201, going, SOON))
    place.cloud.on("GET", EXTENSION, Answer(200, going, SOON), Answer(200, done))
    assert talk(put_extension).result == done


def test_what_is_done_at_once_is_not_asked_for(place, talk):
    place.cloud.on("PUT", EXTENSION, Answer(200, {"properties": {"provisioningState": "Succeeded"}}))
    assert talk(put_extension).status == "Succeeded"
    place.cloud.on("DELETE", EXTENSION, Answer(204))
    assert talk(delete_extension).status == "Succeeded"
    assert not place.cloud.asked("GET", GROUP)


def test_a_location_is_followed_while_it_answers_202(place, talk):
    place.cloud.on("DELETE", EXTENSION, Answer(202, None, {"Location": "{url}/results", **SOON}))
    place.cloud.on("GET", "/results", Answer(202, None, SOON), Answer(204))
    assert talk(delete_extension).status == "Succeeded"


def test_a_deletion_that_names_no_operation_is_followed_until_the_resource_is_absent(place, talk):
    place.cloud.on("DELETE", EXTENSION, Answer(202, None, SOON))
    there = Answer(200, {"properties": {"provisioningState": "Succeeded"}}, SOON)
    place.cloud.on("GET", EXTENSION, there, there, Answer(404, {"error": {"code": "ResourceNotFound"}}))
    assert talk(delete_extension).status == "Succeeded"
    assert len(place.cloud.asked("GET", EXTENSION)) == 3


@pytest.mark.parametrize(
    "trouble",
    [
        [Answer(drop=True)] * 2,
        [Answer(429, {"error": {"code": "TooManyRequests"}}, SOON)] * 2,
        [Answer(503, {"error": {"code": "Busy"}}, SOON)] * 12,
        [Answer(500, None, SOON)] * 12,
    ],
    ids=["dropped", "429", "503", "500"],
)
def test_trouble_while_looking_does_not_end_an_operation(place, talk, trouble):
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, state("InProgress"), *trouble, state("Succeeded"))
    assert talk(update_mapping).status == "Succeeded"


def test_being_refused_while_looking_tells_that_the_work_goes_on(place, talk):
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, Answer(403, {"error": {"code": "AuthorizationFailed", "message": "No."}}))
    with pytest.raises(AzureError) as caught:
        talk(update_mapping)
    assert (caught.value.status, caught.value.accepted) == (403, True)


def test_a_refused_request_was_not_accepted(place, talk):
    place.cloud.on("PUT", EXTENSION, Answer(409, {"error": {"code": "OperationNotAllowed", "message": "Busy."}}))
    with pytest.raises(AzureError) as caught:
        talk(put_extension)
    assert (caught.value.status, caught.value.code, caught.value.accepted) == (409, "OperationNotAllowed", False)


@pytest.mark.parametrize("answer", [Answer(drop=True), Answer(500), Answer(504)], ids=["dropped", "500", "504"])
def test_a_request_that_may_have_been_taken_on_is_not_sent_again_blindly(place, talk, answer):
    place.cloud.on("PATCH", MAPPING, answer)
    with pytest.raises(AzureError) as caught:
        talk(update_mapping)
    assert caught.value.accepted is None
    assert len(place.cloud.asked("PATCH")) == 1


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_request_that_azure_wants_later_is_sent_again(place, talk, status):
    place.cloud.on("PATCH", MAPPING, Answer(status, {"error": {"code": "Busy"}}, SOON), ACCEPTED)
    place.cloud.on("GET", STATUS, state("Succeeded"))
    assert talk(update_mapping).status == "Succeeded"


def test_a_time_limit_tells_what_was_last_seen(place, talk):
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, state("InProgress"))
    with pytest.raises(TimedOut) as caught:
        talk(lambda azure: update_mapping(azure, timeout=0.5))
    assert caught.value.last == "InProgress"
    assert caught.value.as_dict()["resource_id"] == MAPPING


def test_an_unknown_word_is_a_running_state(place, talk):
    place.cloud.on("PATCH", MAPPING, ACCEPTED)
    place.cloud.on("GET", STATUS, state("Cancelling"), state("Suspended"), state("Succeeded"))
    assert talk(update_mapping).status == "Succeeded"


def test_an_action_of_a_plan_without_a_body(place, talk):
    place.cloud.on("POST", f"{PLAN}/failoverCommit", ACCEPTED)
    place.cloud.on("GET", STATUS, state("Succeeded"))

    async def work(azure):
        plans = azure.site_recovery.replication_recovery_plans
        names = {"resource_group_name": "rg", "resource_name": "vault1", "recovery_plan_name": "p"}
        return await azure.run("commit failover", PLAN, lambda polling: plans.begin_failover_commit(**names, polling=polling), 20)

    assert talk(work).operation_id == JOB


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "30", "x-ms-retry-after-ms": "250"}, 0.25),
        ({"retry-after": "nonsense"}, None),
    ],
)
def test_the_interval_that_an_answer_asks_for(headers, seconds):
    assert retry_after(headers) == seconds


def test_an_interval_may_be_a_date():
    at = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < retry_after({"retry-after": at.strftime("%a, %d %b %Y %H:%M:%S GMT")}) <= 60


def test_the_group_is_a_resource_too(place, talk):
    place.cloud.on("GET", GROUP, Answer(200, {"name": "rg"}))
    assert talk(lambda azure: azure.get("read the group", GROUP, "2022-09-01")) == {"name": "rg"}
