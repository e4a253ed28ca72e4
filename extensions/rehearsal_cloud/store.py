# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The store: every resource of the cloud, by id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .paths import key, parse

Body = dict[str, Any]


class Store:
    """Resources as ARM returns them, found by id in any letter case and listed in the order they came.

    `private` keeps what a resource knows and never shows (an agent's readiness, what a seeded VM said of its instance view).
    Neither ever holds a secret: protected settings are dropped at the door.
    """

    def __init__(self) -> None:
        self._bodies: dict[str, Body] = {}
        self._private: dict[str, Body] = {}
        self._by_type: dict[str, dict[str, Body]] = {}
        self._below: dict[tuple[str, str], dict[str, Body]] = {}

    def get(self, identifier: str) -> Body | None:
        return self._bodies.get(key(identifier))

    def put(self, identifier: str, body: Body) -> Body:
        name = key(identifier)
        self._bodies[name] = self._like(name)[name] = self._beside(name)[name] = body
        return body

    def _like(self, name: str) -> dict[str, Body]:
        """The bodies of a key's type."""
        return self._by_type.setdefault(parse(name).type.lower(), {})

    def _beside(self, name: str) -> dict[str, Body]:
        """The bodies of a key's type that are parts of the same resource."""
        return self._below.setdefault((parse(name).type.lower(), name.rsplit("/", 2)[0]), {})

    def private(self, identifier: str) -> Body:
        return self._private.setdefault(key(identifier), {})

    def delete(self, identifier: str) -> None:
        """Remove a resource and all that hangs on it."""
        gone = key(identifier)
        for kept in (self._bodies, self._private):
            for name in [name for name in kept if name == gone or name.startswith(gone + "/")]:
                del kept[name]
                self._like(name).pop(name, None)
                self._beside(name).pop(name, None)

    def of_type(self, kind: str, under: str = "") -> Iterator[Body]:
        """The resources of one type (any letter case) whose id lies below `under`, in the order they came."""
        prefix = key(under) + "/" if under else ""
        yield from (body for name, body in list(self._by_type.get(kind.lower(), {}).items()) if name.startswith(prefix))

    def parts(self, kind: str, owner: str) -> list[Body]:
        """The resources of one type that are parts of a resource, such as the extensions of a machine, in the order they came."""
        return list(self._below.get((kind.lower(), key(owner)), {}).values())

    def all(self, under: str = "") -> Iterator[Body]:
        prefix = key(under) + "/" if under else ""
        yield from (body for name, body in list(self._bodies.items()) if name.startswith(prefix))

    def dump(self) -> Body:
        return {"bodies": self._bodies, "private": self._private}

    def load(self, saved: Body) -> None:
        self._bodies, self._private, self._by_type, self._below = {}, saved["private"], {}, {}
        for name, body in saved["bodies"].items():
            self.put(name, body)
