# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Controls: requests to the rehearsal itself, of which Azure knows nothing. POST /rehearsal/<word> makes something happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .refusals import refuse

if TYPE_CHECKING:
    from .cloud import Cloud, Request, Response

PREFIX = "/rehearsal/"
CONTROLS: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {}


def control(word: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Registers function(cloud, body) -> answer as what POST /rehearsal/<word> does; its ValueErrors say what is wrong with the body."""

    def register(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        CONTROLS[word] = function
        return function

    return register


def meant(request: Request) -> bool:
    """Whether a request is to the rehearsal and not to Azure: it needs no sign-in and no permission, and meets no limit and no fault."""
    return request.path.lower().startswith(PREFIX)


def answer(cloud: Cloud, request: Request) -> Response:
    """Do what a control asks. Raises Refusal (404, 405, 400)."""
    word = request.path[len(PREFIX) :].strip("/").lower()
    if word not in CONTROLS:
        raise refuse(404, "NotFound", f"The rehearsal has no control '{word}'; it has {', '.join(sorted(CONTROLS))}.")
    if request.method != "POST":
        raise refuse(405, "MethodNotAllowed", f"The request method '{request.method}' is not supported for '{request.path}'.")
    if not isinstance(request.body, dict):
        raise refuse(400, "BadRequest", "A control takes an object of JSON.")
    try:
        return cloud.answer(200, CONTROLS[word](cloud, request.body))
    except ValueError as problem:
        raise refuse(400, "BadRequest", str(problem)) from problem
