# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError, TimedOut

from .conftest import VAULT, Answer

FABRIC = f"{VAULT}/replicationFabrics/f"
KEYS = {"asked", "resource_id", "status", "code", "message", "possible_causes", "recommended_action", "request_id"}


def site_recovery_error(outer: str, inner: str) -> dict:
    details = {
        "activityId": "activity",
        "clientRequestId": "client",
        "code": inner,
        "message": "The fabric could not be located.",
        "possibleCauses": "It was removed.",
        "recommendedAction": "Create it.",
    }
    return {"error": {"code": outer, "message": "Outer words.", "details": [details]}}


def read_fabric(azure):
    client = azure.site_recovery.replication_fabrics
    return azure.read("read the fabric", FABRIC, client.get(resource_group_name="rg", resource_name="vault1", fabric_name="f"))


def fabric_or_none(azure):
    client = azure.site_recovery.replication_fabrics
    return azure.read_or_none("read the fabric", FABRIC, client.get(resource_group_name="rg", resource_name="vault1", fabric_name="f"))


def test_site_recoverys_own_words_reach_the_user(place, talk):
    answer = Answer(404, site_recovery_error("NotFound", "FabricArmEntityMissing"), {"x-ms-request-id": "the-request"})
    place.cloud.on("GET", FABRIC, answer)
    with pytest.raises(AzureError) as caught:
        talk(read_fabric)
    assert caught.value.as_dict() == {
        "asked": "read the fabric",
        "resource_id": FABRIC,
        "status": 404,
        "code": "FabricArmEntityMissing",
        "message": "The fabric could not be located.",
        "possible_causes": "It was removed.",
        "recommended_action": "Create it.",
        "request_id": "the-request",
    }
    assert str(caught.value) == (
        f"Could not read the fabric ({FABRIC}): The fabric could not be located (404, FabricArmEntityMissing). "
        "Possible causes: It was removed. Recommended action: Create it. Request id: the-request."
    )


@pytest.mark.parametrize("answer", [Answer(404), Answer(400, site_recovery_error("BadRequest", "SubscriptionIdNotRegisteredWithSrs"))])
def test_what_is_not_there_is_absent(place, talk, answer):
    place.cloud.on("GET", FABRIC, answer)
    assert talk(fabric_or_none) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, site_recovery_error("BadRequest", "Other")),
        (401, None),
        (403, {"error": {"code": "AuthorizationFailed", "message": "No."}}),
        (409, {"error": {"code": "Conflict", "message": "Busy."}}),
        (403, {"error": {"code": "X", "message": "m", "details": None}}),
        (403, {"error": {"code": "X", "message": "m", "details": {"code": "Y"}}}),
        (403, {"error": "denied"}),
        (403, ["nonsense"]),
    ],
)
def test_nothing_else_is_read_as_absent(place, talk, status, body):
    place.cloud.on("GET", FABRIC, Answer(status, body))
    with pytest.raises(AzureError) as caught:
        talk(fabric_or_none)
    assert (caught.value.status, caught.value.absent, set(caught.value.as_dict())) == (status, False, KEYS)


def test_other_errors_have_the_same_form():
    timed_out = TimedOut("fail over", VAULT, 1.5, "InProgress")
    told = f"Waiting for 'fail over' ({VAULT}) took longer than 1.5 minutes. The last that was seen: InProgress. "
    assert str(timed_out) == told + TimedOut.recommended_action
    wrong = InputError("vault", "x", "an id")
    assert str(wrong) == "The option vault is 'x'; expected is an id."
    for error in (timed_out, wrong):
        assert set(error.as_dict()) == KEYS
        assert error.as_dict()["message"] == str(error)
