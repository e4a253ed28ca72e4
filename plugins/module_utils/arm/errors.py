# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can go wrong when speaking to Azure, in the words in which users are told.

Everything that is meant for the user is an AzureDRError; ``main`` of session.py turns it into the module's failure.
"""

from __future__ import annotations

import json
from typing import Any

# A vault in which Site Recovery was never used answers reads with 400 and this inner code (terraform-provider-azurerm and
# azure-rest-api-specs issue 12759); nothing is there, so it reads as absent.
NEVER_USED = "SubscriptionIdNotRegisteredWithSrs"
# Behind these a request may have been taken on.
UNSURE = frozenset({500, 502, 503, 504})


class AzureDRError(Exception):
    """Base of all errors that are told to the user; ``str()`` is one readable paragraph."""

    def as_dict(self) -> dict[str, Any]:
        """The error for a module's result, always with the same keys."""
        keys = ("asked", "resource_id", "status", "code", "message", "possible_causes", "recommended_action", "request_id")
        return {name: getattr(self, name, None) for name in keys} | {"message": getattr(self, "message", None) or str(self)}


class InputError(AzureDRError):
    """Wrong input, found before any request was sent."""

    def __init__(self, option: str, value: Any, expected: str) -> None:
        self.option, self.value, self.expected = option, value, expected
        given = "missing" if value is None else repr(value)
        super().__init__(f"The option {option} is {given}; expected is {expected}.")


class AzureError(AzureDRError):
    """A request that Azure refused, or that got no answer.

    ``status`` is the HTTP status (None when no answer came), ``accepted`` whether Azure took the work on: False for a refused
    request, True when it failed later, None when nobody knows, since the connection broke before the answer or a 500, 502, 503 or 504 came.
    ``details`` is the list of inner errors as Azure sent it.
    """

    def __init__(
        self,
        asked: str,
        resource_id: str | None,
        *,
        status: int | str | None = None,
        code: str | None = None,
        message: str = "",
        possible_causes: str | None = None,
        recommended_action: str | None = None,
        request_id: str | None = None,
        details: list[Any] | None = None,
        accepted: bool | None = False,
    ) -> None:
        self.asked, self.resource_id = asked, resource_id
        self.status, self.code, self.message = status, code, message
        self.possible_causes, self.recommended_action = possible_causes, recommended_action or _way_on(status, accepted)
        self.request_id, self.details, self.accepted = request_id, details or [], accepted
        super().__init__(self._paragraph())

    def _paragraph(self) -> str:
        target = f" ({self.resource_id})" if self.resource_id else ""
        facts = ", ".join(str(fact) for fact in (self.status, self.code) if fact)
        parts = [f"Could not {self.asked}{target}: {self.message.rstrip('.') or 'no reason was given'}" + (f" ({facts})" if facts else "")]
        if self.possible_causes:
            parts.append(f"Possible causes: {self.possible_causes}")
        if self.recommended_action:
            parts.append(f"Recommended action: {self.recommended_action}")
        if self.request_id:
            parts.append(f"Request id: {self.request_id}")
        return " ".join(part if part.endswith((".", "!", "?")) else part + "." for part in parts)

    @property
    def absent(self) -> bool:
        """Whether the resource is not there; no other error means that."""
        codes = {self.code, *(inner.get("code") for inner in self.details if isinstance(inner, dict))}
        return self.status == 404 or (self.status == 400 and NEVER_USED in codes)


class OperationFailed(AzureError):
    """A long-running operation that Azure accepted and that failed; ``status`` is its end state, such as ``Failed``."""


class TimedOut(AzureDRError):
    """An operation or a wished-for state that did not arrive in time; what Azure accepted goes on there."""

    recommended_action = "What Azure has accepted goes on there: run this again, or allow it more time."

    def __init__(self, asked: str, resource_id: str | None, minutes: float, last: str | None) -> None:
        self.asked, self.resource_id, self.minutes, self.last = asked, resource_id, minutes, last
        target = f" ({resource_id})" if resource_id else ""
        seen = f" The last that was seen: {last}." if last else ""
        super().__init__(f"Waiting for '{asked}'{target} took longer than {minutes:g} minutes.{seen} {self.recommended_action}")


def from_exception(exc: BaseException, asked: str, resource_id: str | None) -> AzureError:
    """The AzureError for an exception of azure-core.

    A refused request (HttpResponseError) gives Azure's own words; one without an answer (ServiceRequestError, ServiceResponseError) or
    without a sign-in (ClientAuthenticationError before any answer) gives the library's.
    """
    response, message = getattr(exc, "response", None), str(getattr(exc, "message", None) or exc)
    if response is None:
        return AzureError(asked, resource_id, code=type(exc).__name__, message=message, accepted=_accepted_unanswered(exc))
    status = response.status_code
    accepted = None if status in UNSURE else False
    return from_body(asked, resource_id, status, _body(response), _request_id(response), fallback=message, accepted=accepted)


def from_body(
    asked: str,
    resource_id: str | None,
    status: int | str | None,
    body: Any,
    request_id: str | None = None,
    *,
    fallback: str = "",
    kind: type[AzureError] = AzureError,
    accepted: bool | None = False,
) -> AzureError:
    """The error that a JSON body tells: ``{"error": {...}}`` or the inner object itself.

    Site Recovery puts the telling code, causes and action into the first of ``error.details``; they are preferred there.
    """
    error = body.get("error", body) if isinstance(body, dict) else {}
    error = error if isinstance(error, dict) else {"code": error, "message": body.get("error_description")}
    details = error.get("details") or []
    details = details if isinstance(details, list) else [details]
    inner = details[0] if details and isinstance(details[0], dict) else {}
    telling = inner if inner.get("code") and "possibleCauses" in inner else error
    return kind(
        asked,
        resource_id,
        status=status,
        code=_text(telling.get("code") or error.get("code")),
        message=telling.get("message") or error.get("message") or fallback,
        possible_causes=telling.get("possibleCauses"),
        recommended_action=telling.get("recommendedAction"),
        request_id=request_id,
        details=details,
        accepted=accepted,
    )


def _way_on(status: int | str | None, accepted: bool | None) -> str | None:
    """What to do about some errors for which Azure recommends nothing."""
    if status == 401:
        return "See that the sign-in is still good (docs/sign-in.md), then run this again."
    if status == 403:
        return "Assign the sign-in a role that allows it (docs/permissions.md), then run this again."
    if accepted is None:
        return "Run this again when Azure answers: it looks first what has become of it."
    return None


def _text(code: Any) -> str | None:
    return None if code is None else str(code)


def _accepted_unanswered(exc: BaseException) -> bool | None:
    """False when no connection was made, or none was tried; None when it broke with the request perhaps on its way."""
    ancestors = {kind.__name__ for kind in type(getattr(exc, "inner_exception", None)).__mro__}
    tried = {kind.__name__ for kind in type(exc).__mro__} & {"ServiceRequestError", "ServiceResponseError"}
    return None if tried and not ancestors & {"ClientConnectorError", "ConnectionTimeoutError"} else False


def _body(response: Any) -> Any:
    """The answer's JSON, or nothing where it is none (a proxy's page, an empty body)."""
    try:
        return json.loads(response.text())
    except ValueError:
        return {}


def _request_id(response: Any) -> str | None:
    return response.headers.get("x-ms-request-id") or response.headers.get("x-ms-correlation-request-id")
