# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Long-running operations: started by a request, ended by the timeline, polled by the client."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .timeline import EFFECTS, effect

if TYPE_CHECKING:
    from .cloud import Cloud, Request

SUCCESS = frozenset({"Succeeded", "PartiallySucceeded", "CompletedWithInformation"})
NEVER_ENDS = "InProgress"  # the status in a fault rule of an operation that goes on for ever


@dataclass
class Operation:
    """One operation: its end state is Succeeded unless a fault rule of the request that began it says otherwise.

    then / otherwise: effects (name, arguments) carried out when it ends well / badly. error: {"code", "message"}, shown beside
    any status, since Azure shows it beside success too (recorded traffic).
    """

    name: str
    resource_id: str
    started: float
    ended: float | None = None
    status: str = "InProgress"
    error: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    then: str | None = None
    otherwise: str | None = None
    arguments: dict[str, Any] | None = None

    @property
    def never_ends(self) -> bool:
        return (self.outcome or {}).get("status") == NEVER_ENDS

    @property
    def succeeded(self) -> bool:
        return self.status in SUCCESS


class Operations:
    """The operations by name (a GUID)."""

    def __init__(self) -> None:
        self._known: dict[str, Operation] = {}

    def get(self, name: str) -> Operation | None:
        return self._known.get(name.lower())

    def running(self, resource_id: str) -> list[Operation]:
        """The operations that run on a resource (its id in any letter case)."""
        return [o for o in self._known.values() if o.ended is None and o.resource_id.lower() == resource_id.lower()]

    def start(
        self,
        cloud: Cloud,
        request: Request,
        resource_id: str,
        seconds: float | None,
        *,
        then: str | None = None,
        otherwise: str | None = None,
        **arguments: Any,
    ) -> Operation:
        """Begin an operation that ends by itself after `seconds` of simulated time (None: `finish` is called by its provider)."""
        operation = Operation(
            cloud.guid(), resource_id, cloud.clock.now, outcome=request.outcome, then=then, otherwise=otherwise, arguments=arguments
        )
        self._known[operation.name] = operation
        if seconds is not None:
            cloud.timeline.put(cloud.clock.now + seconds, "operation.end", name=operation.name)
        return operation

    def finish(self, cloud: Cloud, operation: Operation, status: str = "Succeeded", error: dict[str, Any] | None = None) -> None:
        """End an operation now, in `status` unless a fault says otherwise, and do what follows from it; one that never ends goes on."""
        if operation.ended is not None or operation.never_ends:
            return
        outcome = operation.outcome or {}
        operation.ended = cloud.clock.now
        operation.status = outcome.get("status", "Failed" if outcome.get("code") else status)
        operation.error = outcome_error(outcome) or error or operation.error
        following = operation.then if operation.succeeded else operation.otherwise
        if following:
            EFFECTS[following](cloud, operation=operation.name, **(operation.arguments or {}))

    def dump(self) -> list[dict[str, Any]]:
        return [asdict(operation) for operation in self._known.values()]

    def load(self, saved: list[dict[str, Any]]) -> None:
        self._known = {entry["name"]: Operation(**entry) for entry in saved}


def outcome_error(outcome: dict[str, Any]) -> dict[str, Any] | None:
    """The error that a fault rule gives an operation: {"code", "message", ...} or None."""
    return (
        {
            "message": "The operation was made to fail by a fault rule.",
            **{k: v for k, v in outcome.items() if k not in ("status", "item", "machine")},
            "code": str(outcome["code"]),
        }
        if outcome.get("code")
        else None
    )


@effect("operation.end")
def _end(cloud: Cloud, name: str) -> None:
    operation = cloud.operations.get(name)
    if operation is not None:
        cloud.operations.finish(cloud, operation)
