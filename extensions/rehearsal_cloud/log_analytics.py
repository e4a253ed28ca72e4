# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The query API of Log Analytics: a service of its own beside ARM, without api-versions, with its own errors and limits.

POST (or GET) /v1/workspaces/{customer id}/query asks one workspace, POST /v1/{resource id}/query asks about a resource, which may be the
workspace itself (Microsoft Learn, Azure Monitor Log Analytics API; errors: the same, and public issue threads).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from . import kusto
from .cloud import Cloud, Request, Response
from .paths import key, parse
from .providers import operational_insights
from .refusals import Refusal
from .resource_types import Body
from .sign_in import Principal, audience

_PATH = re.compile(r"/v1(?:/workspaces/([^/]+)|(/subscriptions/.+))/query/?", re.I)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.I)
TABLE = "Heartbeat"
# What it takes to ask a workspace for a table (Microsoft Learn, manage access to Log Analytics workspaces).
ACTIONS = ("Microsoft.OperationalInsights/workspaces/query/read", f"Microsoft.OperationalInsights/workspaces/query/{TABLE}/read")

Row = dict[str, Any]


def asked(request: Request) -> bool:
    """Whether a request is for this service."""
    return request.path.lower().startswith("/v1/")


def answer(cloud: Cloud, request: Request, who: Principal) -> Response:
    """The answer, after all that was due has happened; raises Refusal."""
    cloud.advance()
    if key(audience(request)) not in (key(request.base_url), ""):
        raise _refuse(403, "InvalidTokenError", "The provided authentication is not valid for this resource")
    found = _PATH.fullmatch(request.path)
    if found is None or request.method not in ("GET", "POST"):
        raise _refuse(404, "PathNotFoundError", "The requested path does not exist")
    sources = _workspace(cloud, found[1]) if found[1] else _of_resource(cloud, found[2])
    sources = [(workspace, chosen) for workspace, chosen in sources if _may(cloud, who, workspace["id"])]
    if not sources:
        raise _refuse(
            403, "InsufficientAccessError", "The provided credentials have insufficient access to perform the requested operation"
        )
    given = request.body if request.method == "POST" else dict(request.query)
    if not isinstance(given, dict) or not isinstance(given.get("query"), str) or not given["query"].strip():
        raise _bad_argument({"code": "ParameterInvalidError", "message": "The query parameter is missing or empty"})
    now = datetime.fromtimestamp(cloud.clock.now, UTC)

    def rows(since: datetime | None = None) -> Iterable[Row]:
        found = (row for workspace, chosen in sources for row in operational_insights.rows(cloud, workspace, since) if chosen(row))
        return _within(found, given.get("timespan"), now)

    table = kusto.Table(dict(operational_insights.COLUMNS), rows(), since=rows)
    try:
        columns, values = kusto.run(given["query"], {TABLE: table}, now).shown()
    except kusto.Refused as refused:
        raise _bad_argument(refused.error) from refused
    return Response(200, {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": values}]})


def _workspace(cloud: Cloud, customer_id: str) -> list[tuple[Body, Callable[[Row], bool]]]:
    """The one workspace, all of its rows. A name in the place of the customer id is a path that does not exist (public issue threads)."""
    try:
        uuid.UUID(customer_id)
    except ValueError:
        raise _refuse(404, "PathNotFoundError", "The requested path does not exist") from None
    found = operational_insights.by_customer_id(cloud, customer_id)
    if found is None:
        raise _refuse(404, "WorkspaceNotFoundError", "The workspace could not be found")
    return [(found, lambda row: True)]


def _of_resource(cloud: Cloud, identifier: str) -> list[tuple[Body, Callable[[Row], bool]]]:
    """The workspace that is named itself; for any other resource all workspaces, and their rows about it."""
    body = cloud.store.get(identifier)
    if body is None:
        raise _refuse(404, "ResourceNotFoundError", f"The resource {identifier} was not found")
    if parse(identifier).type.lower() == operational_insights.WORKSPACE.lower():
        return [(body, lambda row: True)]
    about = operational_insights.about(identifier)
    return [(workspace, about) for workspace in cloud.store.of_type(operational_insights.WORKSPACE)]


def _may(cloud: Cloud, who: Principal, workspace: str) -> bool:
    """Whether the caller may ask the workspace for the table: one role may grant the one action and another role the other."""
    roles = None if cloud.permissions is None else cloud.permissions.roles(who)
    return roles is None or all(any(role.grants(action, workspace) for role in roles) for action in ACTIONS)


def _within(rows: Iterable[Row], timespan: Any, now: datetime) -> Iterable[Row]:
    """The rows of a timespan: an ISO 8601 duration up to now, or two moments with a slash between (Microsoft Learn, request format)."""
    if not timespan:
        return rows
    begin, _slash, end = str(timespan).partition("/")
    try:
        first, last = (_moment(begin, now), _moment(end, now)) if end else (_moment(begin, now), now)
    except ValueError:
        raise _bad_argument({"code": "ParameterInvalidError", "message": f"The timespan '{timespan}' is invalid"}) from None
    return (row for row in rows if first <= row["TimeGenerated"] <= last)


def _moment(text: str, now: datetime) -> datetime:
    found = _DURATION.fullmatch(text)
    if found and text.upper() not in ("P", "PT"):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _refuse(status: int, code: str, message: str, **more: Any) -> Refusal:
    return Refusal(status, {"error": {"message": message, "code": code, "correlationId": str(uuid.uuid4()), **more}})


def _bad_argument(inner: Body) -> Refusal:
    return _refuse(400, "BadArgumentError", "The request had some invalid properties", innererror=inner)


def throttled(wait: int) -> Refusal:
    """429 with Retry-After (Microsoft Learn, the API's limits; the words are chosen)."""
    refusal = _refuse(429, "ThrottledError", "The rate of requests is above the limit of 200 in 30 seconds")
    refusal.headers = {"Retry-After": str(wait)}
    return refusal
