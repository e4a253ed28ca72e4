# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Queries of Log Analytics: the address and the sign-in are its own, the rows come by column, and no answer but a whole one counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError

from .conftest import GROUP, Answer

WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
PATH = "/logs/v1/workspaces/42/query"
TABLE = {"name": "PrimaryResult", "columns": [{"name": "a", "type": "string"}, {"name": "b", "type": "long"}], "rows": [["x", 1], ["y", 2]]}


def ask(azure):
    return azure.query("ask the workspace", WORKSPACE, "42", "Heartbeat")


def test_rows_come_by_column_with_azures_time(place, talk):
    place.cloud.on("POST", PATH, Answer(body={"tables": [TABLE]}, headers={"Date": "Mon, 02 Nov 2026 05:12:44 GMT"}))
    rows, at = talk(ask)
    assert rows == [{"a": "x", "b": 1}, {"a": "y", "b": 2}] and at == datetime(2026, 11, 2, 5, 12, 44, tzinfo=UTC)
    [asked] = place.cloud.asked("POST", PATH)
    assert asked.body == {"query": "Heartbeat"} and "api-version" not in asked.query
    scopes = [token.body["scope"] for token in place.cloud.asked("POST", "/oauth2/v2.0/token")]
    assert scopes == [f"{place.cloud.url}/.default", f"{place.cloud.url}/logs/.default"]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(403, {"error": {"code": "InsufficientAccessError", "message": "No."}}), 403, "InsufficientAccessError"),
        (Answer(200, {"tables": [TABLE], "error": {"code": "PartialError", "message": "Not all."}}), 200, "PartialError"),
        (Answer(500, {"error": {"code": "Oops", "message": "No."}}), 500, "Oops"),
        (Answer(200, "<html>", raw=True), 200, None),
        (Answer(200), 200, None),
    ],
)
def test_no_answer_but_a_whole_one_counts(place, talk, answer, status, code):
    place.cloud.on("POST", PATH, answer)
    with pytest.raises(AzureError, match="ask the workspace") as refused:
        talk(ask)
    assert (refused.value.status, refused.value.code, refused.value.resource_id) == (status, code, WORKSPACE)


def test_a_cloud_without_log_analytics_is_told(talk):
    async def work(azure):
        azure.cloud = replace(azure.cloud, log_analytics=None)
        await ask(azure)

    with pytest.raises(AzureDRError, match="StandIn tells no address of Log Analytics"):
        talk(work)
