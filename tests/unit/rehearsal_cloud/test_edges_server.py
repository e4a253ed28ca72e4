# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What every answer looks like on the wire, and what is refused before the cloud sees it."""

from __future__ import annotations

import uuid

import pytest
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud
from rehearsal_cloud.resource_types import ResourceType
from rehearsal_cloud.server import retry_after

GROUP = "/subscriptions/s/resourceGroups/g"
THINGS = f"{GROUP}/providers/Contoso.Test/things"


class Slow(ResourceType):
    """A thing that takes 30 simulated seconds, and brings headers of its own."""

    name = "Contoso.Test/slow"

    def get(self, cloud, request, path):
        return cloud.answer(202, Retry_After="30", x_ms_request_id="mine")


class Broken(ResourceType):
    name = "Contoso.Test/broken"

    def get(self, cloud, request, path):
        raise KeyError("a bug")


def cloud(speed: float = 1, things: int = 1) -> Cloud:
    made = Cloud(Clock(speed, start=1_700_000_000))
    made.types.add(Slow(), Broken())
    made.seed({"id": f"{THINGS}/thing{number}", "location": "westeurope"} for number in range(things))
    return made


def test_every_answer_carries_arms_headers(serve):
    edge = serve(cloud())
    for path, status in ((f"{THINGS}/thing0", 200), (f"{THINGS}/other", 404)):
        answer = edge.arm("GET", path)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["date"].startswith("Tue, 14 Nov 2023 22:13:")
        for name in ("x-ms-request-id", "x-ms-correlation-request-id"):
            assert uuid.UUID(answer.headers[name])
        assert answer.headers["x-ms-routing-request-id"]


def test_the_remaining_reads_writes_and_deletes_are_told(serve):
    edge = serve(cloud())
    edge.arm("GET", f"{THINGS}/thing0")
    assert edge.arm("GET", f"{THINGS}/thing0").headers["x-ms-ratelimit-remaining-subscription-reads"] == "248"
    assert edge.arm("PUT", f"{THINGS}/new", {}).headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    assert edge.arm("DELETE", f"{THINGS}/new").headers["x-ms-ratelimit-remaining-subscription-deletes"] == "199"


def test_a_providers_own_headers_win(serve):
    assert serve(cloud()).arm("GET", f"{GROUP}/providers/Contoso.Test/slow/one").headers["x-ms-request-id"] == "mine"


@pytest.mark.parametrize(
    ("speed", "header", "value"),
    [(1, "retry-after", "30"), (20, "retry-after", "2"), (60, "x-ms-retry-after-ms", "500"), (1e6, "x-ms-retry-after-ms", "1")],
)
def test_waits_are_told_in_the_clients_own_time(serve, speed, header, value):
    headers = serve(cloud(speed)).arm("GET", f"{GROUP}/providers/Contoso.Test/slow/one").headers
    assert headers[header] == value
    assert len({"retry-after", "x-ms-retry-after-ms"} & set(headers)) == 1
    assert retry_after(Clock(speed), "30") == (header, value)


def test_links_lead_back_to_the_host_that_was_asked(serve):
    edge = serve(cloud(things=101))
    for host in ("localhost", "127.0.0.1"):
        link = edge.arm("GET", THINGS, host=host).body["nextLink"]
        assert link.startswith(f"https://{host}:{edge.port}{THINGS}?")
        path, _mark, query = link.removeprefix(f"https://{host}:{edge.port}").partition("?")
        rest = edge.arm("GET", path, query=query, host=host).body
        assert [thing["name"] for thing in rest["value"]] == ["thing100"]


def test_an_api_version_is_needed_and_is_a_date(serve):
    edge = serve(cloud())
    for query, code in (("", "MissingApiVersionParameter"), ("api-version=latest", "InvalidApiVersionParameter")):
        answer = edge.arm("GET", f"{THINGS}/thing0", query=query)
        assert (answer.status, answer.body["error"]["code"]) == (400, code)
    assert edge.arm("GET", f"{THINGS}/thing0", query="api-version=2024-01-01-preview").status == 200


def test_a_body_that_is_no_json_is_refused(serve):
    answer = serve(cloud()).arm("PUT", f"{THINGS}/new", "{not json")
    assert (answer.status, answer.body["error"]["code"]) == (400, "InvalidRequestContent")


def test_a_bug_is_a_500_and_the_cloud_goes_on(serve):
    edge = serve(cloud())
    answer = edge.arm("GET", f"{GROUP}/providers/Contoso.Test/broken/one")
    assert (answer.status, answer.body["error"]["code"]) == (500, "InternalServerError")
    assert edge.arm("GET", f"{THINGS}/thing0").status == 200
