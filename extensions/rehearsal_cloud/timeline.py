# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What will happen later: entries that are data, so that a restarted cloud goes on where it was."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import Cloud

EFFECTS: dict[str, Callable[..., None]] = {}


def effect(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers function(cloud, **arguments) as what the timeline does under `name`."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        EFFECTS[name] = function
        return function

    return register


class Timeline:
    """Named effects with plain arguments (JSON), each at its simulated time; those of the same time in the order they were put.

    done: how many have been carried out by this process.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, str, dict[str, Any]]] = []
        self._count = 0
        self.done = 0

    def put(self, moment: float, name: str, /, **arguments: Any) -> None:
        """At `moment` (simulated seconds), do the effect `name`."""
        heapq.heappush(self._entries, (moment, self._count, name, arguments))
        self._count += 1

    def drop(self, name: str, /, **arguments: Any) -> None:
        """Forget the entries of `name` whose arguments include these."""
        self._entries = [e for e in self._entries if not (e[2] == name and all(e[3].get(k) == v for k, v in arguments.items()))]
        heapq.heapify(self._entries)

    def run(self, cloud: Cloud, until: float) -> None:
        """Carry out what is due, each entry at its own time."""
        while self._entries and self._entries[0][0] <= until:
            moment, _count, name, arguments = heapq.heappop(self._entries)
            cloud.clock.set(max(moment, cloud.clock.now))
            EFFECTS[name](cloud, **arguments)
            self.done += 1

    def dump(self) -> dict[str, Any]:
        return {"entries": self._entries, "count": self._count}

    def load(self, saved: dict[str, Any]) -> None:
        self._entries = [(entry[0], entry[1], entry[2], entry[3]) for entry in saved["entries"]]
        self._count = saved["count"]
