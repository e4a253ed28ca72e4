# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Faults: rules that make the cloud misbehave."""

from __future__ import annotations

import fnmatch
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from . import files, sign_in
from .cloud import Request, Response
from .operations import NEVER_ENDS
from .permissions import action_of
from .refusals import refuse

METHODS = {"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"}
MATCH = {"method", "path", "query", "body"}
WHEN = {"after", "count", "probability"}
DO = {"delay", "status", "body", "headers", "drop", "operation", "lifetime"}
ENDS = ("Succeeded", "PartiallySucceeded", "CompletedWithInformation", "Failed", "Cancelled", "Canceled", NEVER_ENDS)
MACHINES = ("silent", "missing")


@dataclass
class Rule:
    """One rule. Globs (`*`, `?`, `[...]`) compare in any letter case and as a whole; `*` reaches over slashes.

    methods, path:  which requests (no methods: all)
    query, body:    what must be in them: {name: glob or value}, nested for the body
    after:          how many matching requests pass before it fires; count: how often it fires (None: for ever)
    probability:    how likely it fires, each time
    do:             what happens, see README
    """

    number: int
    methods: frozenset[str]
    path: re.Pattern[str]
    query: Mapping[str, Any]
    body: Any
    after: int
    count: int | None
    probability: float
    do: Mapping[str, Any]
    dice: random.Random
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def fires(self, request: Request) -> bool:
        """Whether this request meets the rule's fault; counts it."""
        if not self._matches(request):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.count is not None and self.fired >= self.count) or self.dice.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def _matches(self, request: Request) -> bool:
        return (
            (not self.methods or request.method in self.methods)
            and self.path.fullmatch(request.path) is not None
            and _holds({name.lower(): value for name, value in request.query.items()}, self.query)
            and (self.body is None or _holds(request.body, self.body))
        )

    @property
    def delay(self) -> float:
        """Simulated seconds to wait first."""
        return float(self.do.get("delay", 0))

    @property
    def drop(self) -> str | None:
        """ "before" or "after" the request takes effect, the connection is dropped."""
        return self.do.get("drop")

    @property
    def operation(self) -> dict[str, Any] | None:
        """How the operation that the request begins shall end."""
        return self.do.get("operation")

    @property
    def lifetime(self) -> float | None:
        """Seconds that the token lives which the request is for."""
        return self.do.get("lifetime")

    def response(self, request: Request) -> Response | None:
        """The answer that stands in for the cloud's own. Where the rule gives no body, 401 and 403 are worded as Resource Manager's for a
        token that has expired and for a permission that is missing."""
        if "status" not in self.do:
            return None
        status = HTTPStatus(self.do["status"])
        refusal = refuse(status, status.phrase.title().replace(" ", ""), "A fault rule of the rehearsal answered.")
        if request.path.lower().startswith("/subscriptions"):
            if status == HTTPStatus.UNAUTHORIZED:
                refusal = sign_in.expired(request, time.time() - 60)
            elif status == HTTPStatus.FORBIDDEN:
                action = f"perform action '{action_of(request)}' over scope '{request.path}'"
                refusal = refuse(status, "AuthorizationFailed", f"The client does not have authorization to {action}.")
        headers = {name.lower(): str(value) for name, value in self.do.get("headers", {}).items()}
        body = self.do.get("body", refusal.body)
        return Response(status.value, body, {name.lower(): value for name, value in refusal.headers.items()} | headers)


def load(file: Path, seed: int) -> list[Rule]:
    """The rules of a faults file, a list. Raises FileProblem with the rule's number."""
    rules = files.read(file)
    if not isinstance(rules, list):
        raise files.FileProblem(f"{file}: the faults are a list of rules")
    found = []
    for number, rule in enumerate(rules, 1):
        try:
            found.append(_rule(number, rule, seed))
        except (ValueError, TypeError, AttributeError) as problem:
            raise files.FileProblem(f"{file}: rule {number}: {problem}") from problem
    return found


def first(rules: list[Rule], request: Request) -> Rule | None:
    """The first rule that fires; those after it do not see the request."""
    return next((rule for rule in rules if rule.fires(request)), None)


def _rule(number: int, rule: Any, seed: int) -> Rule:
    _known(rule, "a rule", {"match", "do"} | WHEN)
    match, do = rule.get("match", {}), rule.get("do")
    _known(match, "match", MATCH)
    _known(do, "do", DO)
    _check_do(do)
    methods, path, query = match.get("method", []), match.get("path", "*"), match.get("query", {})
    methods = frozenset(str(method).upper() for method in ([methods] if isinstance(methods, str) else methods))
    if unknown := methods - METHODS:
        raise ValueError(f"method is {', '.join(sorted(unknown))}, none of {', '.join(sorted(METHODS))}")
    if not isinstance(path, str):
        raise ValueError(f"path is {path!r}, not a glob such as */virtualMachines/*/extensions/*")
    if not isinstance(query, Mapping):
        raise ValueError(f"query is {query!r}, not an object of names and globs")
    after, count, probability = rule.get("after", 0), rule.get("count"), rule.get("probability", 1)
    for name, value, low in (("after", after, 0), ("count", count, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
            raise ValueError(f"{name} is {value!r}, not a whole number from {low} on")
    if isinstance(probability, bool) or not 0 < probability <= 1:
        raise ValueError(f"probability is {probability!r}, not a number over 0 and up to 1")
    return Rule(
        number,
        methods,
        re.compile(fnmatch.translate(path), re.IGNORECASE),
        {str(name).lower(): value for name, value in query.items()},
        match.get("body"),
        after,
        count,
        probability,
        do,
        random.Random(f"{seed}:{number}"),
    )


def _check_do(do: Mapping[str, Any]) -> None:
    kinds = [name for name in ("status", "drop", "operation", "lifetime") if name in do]
    if len(kinds) > 1 or not (kinds or "delay" in do):
        raise ValueError("do takes one of status, drop, operation and lifetime, and a delay beside it or alone")
    if "status" not in do and ("body" in do or "headers" in do):
        raise ValueError("body and headers belong to a status")
    if "status" in do:
        HTTPStatus(do["status"])
        _check_headers(do.get("headers", {}))
    if "drop" in do and do["drop"] not in ("before", "after"):
        raise ValueError(f"drop is {do['drop']!r}, neither before nor after")
    if "operation" in do:
        _check_operation(do["operation"])
    for name, unit in (("delay", "simulated seconds"), ("lifetime", "seconds on the wall's clock")):
        seconds = do.get(name, 0)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise ValueError(f"{name} is {seconds!r}, not {unit}")


def _check_operation(operation: Any) -> None:
    if not isinstance(operation, Mapping) or not (operation.get("status") or operation.get("code") or operation.get("machine")):
        raise ValueError("operation is an object with a status or a code, and a message, or with a machine")
    if operation.get("status", NEVER_ENDS) not in ENDS:
        raise ValueError(f"the operation's status is {operation['status']!r}, none of {', '.join(ENDS)} ({NEVER_ENDS}: it never ends)")
    if operation.get("machine", MACHINES[0]) not in MACHINES:
        raise ValueError(f"the operation's machine is {operation['machine']!r}, none of {', '.join(MACHINES)}")
    names = operation.get("item", [])
    if not all(isinstance(name, str) for name in ([names] if isinstance(names, str) else names)):
        raise ValueError(f"the operation's item is {names!r}, not a name or a list of names")


def _check_headers(headers: Any) -> None:
    if not isinstance(headers, Mapping):
        raise ValueError(f"headers is {headers!r}, not an object of names and values")
    for name, value in headers.items():
        if name.lower() == "retry-after" and not str(value).isdigit():
            raise ValueError(f"Retry-After is {value!r}, not whole simulated seconds")


def _known(given: Any, what: str, names: set[str]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is {given!r}, not an object with {', '.join(sorted(names))}")
    if unknown := set(given) - names:
        raise ValueError(f"{what} has no {', '.join(sorted(map(str, unknown)))}; it has {', '.join(sorted(names))}")


def _holds(found: Any, wanted: Any) -> bool:
    """Whether `wanted` is in `found`: objects name by name, text by glob, anything else as it is."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(name in found and _holds(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, str):
        return isinstance(found, str) and fnmatch.fnmatchcase(found.lower(), wanted.lower())
    return bool(found == wanted)
