# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Log Analytics: who sends heartbeats and when they can be read, queries and their errors, who may ask and how often."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rehearsal_cloud import log_analytics, permissions
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud, Request
from rehearsal_cloud.estates import make_shop
from rehearsal_cloud.providers import install
from rehearsal_cloud.refusals import Refusal
from rehearsal_cloud.sign_in import Principal
from rehearsal_cloud.throttling import Throttle

START = 1_700_000_000.0
ME = Principal("me", "me")
WORKSPACE = make_shop.WORKSPACE["id"]
CUSTOMER = make_shop.WORKSPACE["properties"]["customerId"]
WEB, JUMP = (f"{make_shop.SUBSCRIPTION}/resourceGroups/rg-shop-{place}" for place in ("neu", "weu"))
WEB += "/providers/Microsoft.Compute/virtualMachines/shop-web-01"
JUMP += "/providers/Microsoft.Compute/virtualMachines/shop-jump-01"
AGENT = f"{WEB}/extensions/AzureMonitorLinuxAgent"
RULE = f"{WEB}/providers/Microsoft.Insights/dataCollectionRuleAssociations/dcra-dcr-shop-linux-neu"
LAST = "Heartbeat | where _ResourceId =~ '{}' | summarize count(), max(TimeGenerated)"


class Shop:
    """The sample estate on a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.cloud = install(Cloud(Clock(speed=0, start=START)))
        self.cloud.seed(copy.deepcopy(make_shop.estate()))

    def later(self, seconds: float) -> None:
        """Let that time pass, each thing in it at its own time."""
        moment = self.cloud.clock.now + seconds
        self.cloud.timeline.run(self.cloud, moment)
        self.cloud.clock.set(moment)

    def arm(self, method: str, path: str, body: Any = None, version: str = "2024-07-01", **query: str) -> Any:
        answer = self.cloud.handle(Request(method, path, {"api-version": version, **query}, {}, body))
        assert answer.status < 300, answer
        return answer.body

    def ask(self, query: str, path: str = f"/v1/workspaces/{CUSTOMER}/query", who: Principal = ME, **more: Any) -> Any:
        answer = log_analytics.answer(self.cloud, Request("POST", path, body={"query": query, **more}), who)
        return answer.body["tables"][0]

    def refused(self, query: Any, path: str = f"/v1/workspaces/{CUSTOMER}/query", who: Principal = ME, **more: Any) -> tuple[int, Any]:
        with pytest.raises(Refusal) as refusal:
            self.ask(query, path, who, **more)
        return refusal.value.status, refusal.value.body["error"]

    def last(self, machine: str = WEB) -> tuple[int, float | None]:
        """How many heartbeats of a machine can be read, and how old the newest one is."""
        [[count, newest]] = self.ask(LAST.format(machine))["rows"]
        return count, self.cloud.clock.now - datetime.fromisoformat(newest).timestamp() if newest else None

    def silent(self) -> bool:
        """Whether no more heartbeats come from the machine, though they had the time to."""
        before = self.last()[0]
        self.later(900)
        return self.last()[0] - before <= 4


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_the_agents_of_the_estate_send_one_heartbeat_a_minute_that_is_read_later(shop: Shop) -> None:
    count, age = shop.last()
    assert 56 <= count <= 60 and age is not None and age >= 20
    shop.later(3600)
    assert 58 <= shop.last()[0] - count <= 62
    assert shop.last(JUMP) == (0, None), "its agent does not respond"


def test_a_heartbeat_has_the_columns_of_azure(shop: Shop) -> None:
    table = shop.ask("Heartbeat | where Computer == 'shop-web-01' | take 1")
    row = dict(zip([column["name"] for column in table["columns"]], table["rows"][0], strict=True))
    assert (row["Category"], row["OSType"], row["ResourceId"], row["TenantId"]) == ("Azure Monitor Agent", "Linux", WEB, CUSTOMER)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", row["TimeGenerated"]) and not any(name.startswith("_") for name in row)
    [[resource]] = shop.ask("Heartbeat | where Computer == 'shop-web-01' | project _ResourceId | take 1")["rows"]
    assert resource == WEB.lower()


def test_the_first_heartbeat_comes_minutes_after_the_last_thing_that_was_missing(shop: Shop) -> None:
    shop.arm("DELETE", RULE, version="2023-03-11")
    shop.later(3600)
    assert shop.silent()
    rule = {"dataCollectionRuleId": make_shop.MONITORING[make_shop.RECOVERY]["Linux"]["id"]}
    shop.arm("PUT", RULE, {"properties": rule}, version="2023-03-11")
    begun = shop.cloud.clock.now
    shop.later(60)
    assert (shop.last()[1] or 0) > 3600
    shop.later(480)
    assert 0 < (shop.last()[1] or 0) < shop.cloud.clock.now - begun


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", AGENT, None),
        ("POST", f"{WEB}/deallocate", None),
        ("DELETE", WEB, None),
        ("PATCH", WEB, {"identity": {"type": "None", "userAssignedIdentities": None}}),
    ],
    ids=["the agent is removed", "the machine is stopped", "the machine is deleted", "the identity is taken away"],
)
def test_a_machine_falls_silent_and_what_it_sent_stays(shop: Shop, method: str, path: str, body: Any) -> None:
    before = shop.last()[0]
    shop.arm(method, path, body)
    shop.later(300)
    assert shop.silent() and shop.last()[0] >= before


def test_a_machine_that_starts_sends_again_once_its_vm_agent_reports(shop: Shop) -> None:
    shop.arm("POST", f"{WEB}/deallocate")
    shop.later(3600)
    shop.arm("POST", f"{WEB}/start")
    shop.later(60)
    assert (shop.last()[1] or 0) > 3000
    shop.later(900)
    assert (shop.last()[1] or 0) < 300


def test_a_rule_that_sends_elsewhere_brings_nothing(shop: Shop) -> None:
    rule = copy.deepcopy(make_shop.MONITORING[make_shop.PRIMARY]["Linux"])
    rule["properties"]["destinations"] = {"logAnalytics": [{"name": "other", "workspaceResourceId": f"{WORKSPACE}-other"}]}
    shop.arm("PUT", rule["id"], rule, version="2023-03-11")
    assert shop.silent()


def test_an_identity_that_the_machine_lacks_keeps_the_agent_silent(shop: Shop) -> None:
    name = {"identifier-name": "mi_res_id", "identifier-value": f"{make_shop.IDENTITY['id']}-other"}
    shop.arm("PATCH", AGENT, {"properties": {"settings": {"authentication": {"managedIdentity": name}}}})
    shop.later(300)
    assert shop.silent()


def test_a_cloud_that_was_kept_goes_on_with_its_heartbeats(shop: Shop) -> None:
    count = shop.last()[0]
    again = Shop()
    again.cloud.load(copy.deepcopy(shop.cloud.dump()))
    again.cloud.clock.speed = 0
    assert again.last()[0] == count


def test_a_resource_is_asked_about_its_own_data_only(shop: Shop) -> None:
    assert shop.ask("Heartbeat | distinct Computer", f"/v1{WEB}/query")["rows"] == [["shop-web-01"]]
    assert len(shop.ask("Heartbeat | distinct Computer", f"/v1{WORKSPACE}/query")["rows"]) == 13


def test_a_timespan_limits_what_is_asked(shop: Shop) -> None:
    query = "Heartbeat | where Computer == 'shop-web-01' | count"
    [[within]] = shop.ask(query, timespan="PT10M")["rows"]
    until = datetime.fromtimestamp(START - 1800, UTC).isoformat()
    [[between]] = shop.ask(query, timespan=f"PT1H/{until}")["rows"]
    assert 6 <= within <= 10 and 29 <= between <= 31
    assert shop.refused(query, timespan="soon")[1]["code"] == "BadArgumentError"


def test_rows_that_are_not_made_are_none_that_were_asked_for(shop: Shop) -> None:
    """A time in the first condition leaves out the making of older rows, a time that is denied does not."""
    short, long = (
        shop.ask(f"Heartbeat | where {condition} | count")["rows"]
        for condition in ("TimeGenerated >= ago(30m)", "not(TimeGenerated < ago(30m))")
    )
    assert short == long != [[0]]


@pytest.mark.parametrize(
    ("query", "columns", "rows"),
    [
        ("Heartbeat | where OSType == 'Linux' | summarize dcount(Computer)", ["dcount_Computer"], [[8]]),
        ("Heartbeat | distinct Computer | order by Computer asc | take 1", ["Computer"], [["shop-admin-01"]]),
        ("Heartbeat | summarize by OSType | sort by OSType", ["OSType"], [["Windows"], ["Linux"]]),
        ("Heartbeat | summarize N = count() by OSType | top 1 by N | project OSType", ["OSType"], [["Linux"]]),
        ("Heartbeat | where TimeGenerated > ago(30m) and Computer has 'sql' | distinct Computer | count", ["Count"], [[2]]),
        ("Heartbeat | summarize Last = max(TimeGenerated) by Computer | where Last < now() - 10m | count", ["Count"], [[0]]),
        (
            "Heartbeat | summarize arg_max(TimeGenerated, Computer, OSType) by _ResourceId | where OSType != 'Linux' | count",
            ["Count"],
            [[5]],
        ),
        (
            "Heartbeat // all\n| where Computer in~ ('SHOP-WEB-01') or not(Computer startswith 'shop') | distinct Computer",
            ["Computer"],
            [["shop-web-01"]],
        ),
        (
            "Heartbeat | where TimeGenerated > datetime(2099-01-01) | summarize count(), max(TimeGenerated)",
            ["count_", "max_TimeGenerated"],
            [[0, None]],
        ),
        ("Heartbeat | where Computer == 'nobody' | summarize max(TimeGenerated) by Computer", ["Computer", "max_TimeGenerated"], []),
        ("Heartbeat | extend Age = now() - TimeGenerated | where Age < 0s | count", ["Count"], [[0]]),
    ],
)
def test_queries(shop: Shop, query: str, columns: list[str], rows: list[Any]) -> None:
    table = shop.ask(query)
    assert [column["name"] for column in table["columns"]] == columns and table["rows"] == rows


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("Heartbeat | where Nobody == 1", "SEM0100", "'where' operator: Failed to resolve column or scalar expression named 'Nobody'"),
        ("Syslog | count", "SEM0100", "Failed to resolve table or column expression named 'Syslog'"),
        ("Heartbeat | where TimeGenerated > 'now'", "SEM0100", "Cannot compare values of types datetime and string"),
        ("Heartbeat | where strlen(Computer) > 1", "SEM0100", "Unknown function: 'strlen'"),
        ("Heartbeat | join (Syslog) on Computer", "SYN0002", "could not be parsed at 'join' on line [1,12]"),
        ("Heartbeat | where Computer == 'a", "SYN0002", "could not be parsed at"),
        ("Heartbeat |", "SYN0002", "could not be parsed at '' on line [1,11]"),
        ("Heartbeat | take 1 Computer", "SYN0002", "could not be parsed at 'Computer' on line [1,19]"),
    ],
)
def test_what_it_does_not_know_is_refused_in_azures_words(shop: Shop, query: str, code: str, words: str) -> None:
    status, error = shop.refused(query)
    assert (status, error["code"], error["innererror"]["innererror"]["code"]) == (400, "BadArgumentError", code)
    assert words in error["innererror"]["innererror"]["message"]


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        (f"/v1/workspaces/{CUSTOMER[:-4]}0000/query", "Heartbeat", 404, "WorkspaceNotFoundError"),
        ("/v1/workspaces/log-shop/query", "Heartbeat", 404, "PathNotFoundError"),
        (f"/v1/workspaces/{CUSTOMER}/ask", "Heartbeat", 404, "PathNotFoundError"),
        (f"/v1{WEB}-x/query", "Heartbeat", 404, "ResourceNotFoundError"),
        (f"/v1/workspaces/{CUSTOMER}/query", "  ", 400, "BadArgumentError"),
        (f"/v1/workspaces/{CUSTOMER}/query", None, 400, "BadArgumentError"),
    ],
)
def test_what_is_not_there_cannot_be_asked(shop: Shop, path: str, query: Any, status: int, code: str) -> None:
    found, error = shop.refused(query, path)
    assert (found, error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("actions", "may"),
    [
        (["*/read"], True),
        (["Microsoft.OperationalInsights/workspaces/query/*"], True),
        (["Microsoft.OperationalInsights/workspaces/query/read"], False),
        (["Microsoft.OperationalInsights/workspaces/read"], False),
    ],
)
def test_who_may_ask(shop: Shop, actions: list[str], may: bool) -> None:
    shop.cloud.permissions = permissions.Permissions({}, [permissions.Role(tuple(actions), (), (WORKSPACE.lower(),))])
    if may:
        assert shop.ask("Heartbeat | count")["rows"][0][0] > 0
    else:
        assert shop.refused("Heartbeat")[0] == 403 and shop.refused("Heartbeat")[1]["code"] == "InsufficientAccessError"


def test_two_hundred_queries_in_thirty_seconds(shop: Shop) -> None:
    throttle, request = Throttle(), Request("POST", f"/v1/workspaces/{CUSTOMER}/query")
    for _number in range(200):
        throttle.admit(shop.cloud, request, ME)
    with pytest.raises(Refusal) as refusal:
        throttle.admit(shop.cloud, request, ME)
    assert refusal.value.status == 429 and int(refusal.value.headers["Retry-After"]) >= 1
    shop.later(1)
    throttle.admit(shop.cloud, request, ME)


def test_over_the_wire_it_is_a_service_of_its_own(serve: Any) -> None:
    shop = Shop()
    edge = serve(shop.cloud)
    signed = {"Authorization": f"Bearer {edge.token()}"}
    path = f"/v1/workspaces/{CUSTOMER}/query"
    wrong = edge.send("POST", path, {"query": "Heartbeat | count"}, signed)
    assert (wrong.status, wrong.body["error"]["code"]) == (403, "InvalidTokenError"), "the token is for something else"
    form = f"grant_type=client_credentials&client_id=a&client_secret=s&scope=https%3A%2F%2Flocalhost%3A{edge.port}%2F.default"
    token = edge.send("POST", "/contoso/oauth2/v2.0/token", form, {"Content-Type": "application/x-www-form-urlencoded"}).body
    answer = edge.send("POST", path, {"query": "Heartbeat | count"}, {"Authorization": f"Bearer {token['access_token']}"})
    assert answer.status == 200 and answer.body["tables"][0]["rows"][0][0] > 700
    assert edge.send("POST", path, {"query": "Heartbeat"}).status == 401
    read = edge.arm("GET", WORKSPACE)
    assert read.body["properties"]["customerId"] == CUSTOMER
