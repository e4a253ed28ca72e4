# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Fault rules, from the file to what a client meets."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
import yaml
from rehearsal_cloud import faults
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud, Request
from rehearsal_cloud.files import FileProblem
from rehearsal_cloud.resource_types import ResourceType

GROUP = "/subscriptions/s/resourceGroups/g"
THING = f"{GROUP}/providers/Contoso.Test/things/thing"
SLOW = f"{GROUP}/providers/Contoso.Test/slow/one"


class Slow(ResourceType):
    """A PUT begins an operation of no length; a GET tells how it ended."""

    name = "Contoso.Test/slow"

    def put(self, cloud, request, path):
        return cloud.answer(202, name=cloud.operations.start(cloud, request, path.resource_id, 0).name)

    def get(self, cloud, request, path):
        operation = cloud.operations.running(path.resource_id) or list(cloud.operations._known.values())
        return cloud.answer(200, {"status": operation[0].status, "error": operation[0].error})


@pytest.fixture
def edge(serve, tmp_path):
    def start(*rules, seed=0, speed=1.0):
        (tmp_path / "faults.yml").write_text(yaml.safe_dump(list(rules)))
        cloud = Cloud(Clock(speed))
        cloud.types.add(Slow())
        cloud.seed([{"id": THING}])
        return serve(cloud, rules=faults.load(tmp_path / "faults.yml", seed))

    return start


def test_a_status_stands_in_for_the_answer(edge):
    served = edge({"match": {"method": "GET", "path": "*/things/*"}, "do": {"status": 503, "headers": {"Retry-After": 7}}})
    answer = served.arm("GET", THING.upper())
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert answer.body["error"]["code"] == "ServiceUnavailable"
    assert served.arm("PUT", THING, {}).status == 200


def test_a_body_can_be_given(edge):
    error = {"error": {"code": "Conflict", "message": "Another operation is running."}}
    answer = edge({"match": {"path": "*/things/*"}, "do": {"status": 409, "body": error}}).arm("GET", THING)
    assert (answer.status, answer.body) == (409, error)


def test_after_and_count_choose_the_requests(edge):
    served = edge({"match": {"path": "*/things/*"}, "after": 1, "count": 2, "do": {"status": 500}})
    assert [served.arm("GET", THING).status for _number in range(5)] == [200, 500, 500, 200, 200]


def test_chance_is_the_same_for_the_same_seed(tmp_path):
    (tmp_path / "faults.json").write_text('[{"match": {}, "probability": 0.5, "do": {"status": 500}}]')

    def fired(seed):
        rules = faults.load(tmp_path / "faults.json", seed)
        return [faults.first(rules, Request("GET", "/x")) is not None for _number in range(64)]

    assert fired(1) == fired(1) != fired(2)
    assert 8 < sum(fired(1)) < 56


def test_the_first_rule_that_fires_wins(edge):
    served = edge(
        {"match": {"path": "*/things/*"}, "count": 1, "do": {"status": 500}},
        {"match": {"path": "*"}, "do": {"delay": 0}},
        {"match": {"path": "*/things/*"}, "do": {"status": 503}},
    )
    assert [served.arm("GET", THING).status for _number in range(2)] == [500, 200]


def test_query_and_body_are_matched_in_part(edge):
    match = {"method": ["PUT", "PATCH"], "query": {"api-version": "2024-*"}, "body": {"properties": {"type": "azuremonitor*"}}}
    served = edge({"match": match, "do": {"status": 400}})
    assert served.arm("PUT", THING, {"properties": {"type": "AzureMonitorLinuxAgent", "more": 1}}).status == 400
    assert served.arm("PUT", THING, {"properties": {"type": "Other"}}).status == 200
    assert served.arm("PUT", THING, {"properties": {"type": "AzureMonitorLinuxAgent"}}, query="api-version=2023-01-01").status == 200


@pytest.mark.parametrize(("when", "kept"), [("before", 404), ("after", 200)])
def test_a_connection_is_dropped_before_or_after_the_request_takes_effect(edge, when, kept):
    served = edge({"match": {"method": "PUT", "path": "*/things/*"}, "do": {"drop": when}})
    served.token()
    with pytest.raises((ConnectionError, http.client.HTTPException, OSError)):
        served.arm("PUT", f"{GROUP}/providers/Contoso.Test/things/new", {})
    assert served.arm("GET", f"{GROUP}/providers/Contoso.Test/things/new").status == kept


def test_an_operation_ends_as_the_rule_says(edge):
    error = {"code": "150", "message": "No.", "possibleCauses": "One."}
    served = edge({"match": {"method": "PUT"}, "do": {"operation": {"status": "Failed", **error}}})
    assert served.arm("PUT", SLOW, {}).status == 202
    assert served.arm("GET", SLOW).body == {"status": "Failed", "error": error}


def test_an_operation_can_end_well_in_another_state(edge):
    served = edge({"match": {"method": "PUT"}, "do": {"operation": {"status": "CompletedWithInformation"}}})
    served.arm("PUT", SLOW, {})
    assert served.arm("GET", SLOW).body == {"status": "CompletedWithInformation", "error": None}


def test_sign_in_can_fail_too(edge):
    served = edge({"match": {"path": "*/oauth2/v2.0/token"}, "do": {"status": 500}})
    assert served.send("POST", "/t/oauth2/v2.0/token", "grant_type=x", {"Content-Type": "application/x-www-form-urlencoded"}).status == 500


def test_an_operation_can_go_on_for_ever(edge):
    served = edge({"match": {"method": "PUT"}, "do": {"operation": {"status": "InProgress"}}})
    served.arm("PUT", SLOW, {})
    assert served.arm("GET", SLOW).body == {"status": "InProgress", "error": None}


def test_401_and_403_are_worded_as_resource_managers(edge):
    served = edge(
        {"match": {"path": "/subscriptions/*"}, "count": 1, "do": {"status": 401}},
        {"match": {"path": "/subscriptions/*"}, "do": {"status": 403}},
    )
    expired, forbidden = served.arm("GET", THING), served.arm("GET", THING)
    assert expired.body["error"]["code"] == "ExpiredAuthenticationToken"
    assert expired.headers["www-authenticate"].startswith("Bearer authorization_uri=")
    assert forbidden.body["error"]["code"] == "AuthorizationFailed" and "Contoso.Test/things/read" in forbidden.body["error"]["message"]


def test_a_token_can_live_shorter(edge):
    served = edge({"match": {"path": "*/oauth2/v2.0/token"}, "do": {"lifetime": 0}})
    assert served.arm("GET", THING).body["error"]["code"] == "ExpiredAuthenticationToken"


def test_names_in_a_query_match_in_any_letter_case(edge):
    served = edge({"match": {"query": {"$skiptoken": "*"}}, "do": {"status": 500}})
    assert served.arm("GET", THING, query="api-version=2024-01-01&$skipToken=2").status == 500
    assert served.arm("GET", THING).status == 200


def test_each_example_of_the_readme_is_a_rule(tmp_path):
    text = (Path(faults.__file__).parent / "README.md").read_text()
    examples = [block.partition("```")[0] for block in text.split("```yaml\n")[1:] if "do: {" in block]
    assert len(examples) == 2
    for example in examples:
        (tmp_path / "faults.yml").write_text(example)
        assert len(faults.load(tmp_path / "faults.yml", 0)) > 4


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"match": {"verb": "GET"}, "do": {"status": 500}}, "match has no verb"),
        ({"do": {"status": 500, "drop": "before"}}, "one of status, drop, operation and lifetime"),
        ({"do": {"drop": "sometimes"}}, "neither before nor after"),
        ({"do": {"status": 999}}, "999"),
        ({"do": {"status": 429, "headers": {"Retry-After": "soon"}}}, "Retry-After is 'soon'"),
        ({"match": {"method": "FETCH"}, "do": {"status": 500}}, "method is FETCH"),
        ({"match": {"query": "x"}, "do": {"status": 500}}, "query is 'x'"),
        ({"do": {"operation": {}}}, "operation is an object with a status or a code"),
        ({"do": {"operation": {"status": "Broken"}}}, "status is 'Broken', none of Succeeded"),
        ({"do": {"operation": {"machine": "gone"}}}, "machine is 'gone', none of silent, missing"),
        ({"do": {"operation": {"code": "1", "item": [1]}}}, "item is [1], not a name"),
        ({"do": {"delay": -1}}, "not simulated seconds"),
        ({"do": {"lifetime": "short"}}, "not seconds on the wall's clock"),
        ({"count": 0, "do": {"status": 500}}, "count is 0"),
        ({"probability": 2, "do": {"status": 500}}, "probability is 2"),
        ({"match": {}}, "do is None"),
        ("drop everything", "not an object"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path, rule, said):
    (tmp_path / "faults.yml").write_text(yaml.safe_dump([{"do": {"status": 500}}, rule]))
    with pytest.raises(FileProblem, match=r"faults\.yml: rule 2: ") as problem:
        faults.load(tmp_path / "faults.yml", 0)
    assert said in str(problem.value)
