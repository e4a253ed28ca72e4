# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Request paths of Azure Resource Manager, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

GROUP = "Microsoft.Resources/resourceGroups"
SUBSCRIPTION = "Microsoft.Resources/subscriptions"


def key(identifier: str) -> str:
    """An id as the store's key: lower case, no trailing slash."""
    return identifier.rstrip("/").lower()


@dataclass(frozen=True)
class Path:
    """What a request path names.

    resource_id, type, name: the resource that the path names, or the one that `word` hangs on ("" for the root)
    word:                    None when the path ends at a resource; else the last segment: a collection below the resource
                             ("extensions"), one of its views ("instanceView") or actions ("testFailover")
    scope:                   what stands before the last "/providers/" (for a list: the group or subscription to look in)
    """

    resource_id: str
    type: str
    name: str
    word: str | None
    scope: str

    @property
    def collection_type(self) -> str:
        """The type of the resources that `word` would list."""
        word = self.word or ""
        if "." in word.partition("/")[0]:
            return word
        if self.type in (GROUP, SUBSCRIPTION, ""):
            return {"resourcegroups": GROUP, "subscriptions": SUBSCRIPTION}.get(word.lower(), word)
        return f"{self.type}/{word}"

    @property
    def parent_id(self) -> str:
        """The id of the resource that this one is a part of, or the scope of a top-level one."""
        parts = self.resource_id.split("/")
        return self.scope if parts[-4:-3] == ["providers"] or len(parts) < 5 else "/".join(parts[:-2])

    @property
    def subscription(self) -> str:
        parts = self.resource_id.strip("/").split("/")
        return parts[1] if len(parts) > 1 and parts[0].lower() == "subscriptions" else ""


@lru_cache(maxsize=65536)
def parse(path: str) -> Path:
    """The Path of a request path such as /subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/V/extensions.

    A list of a provider's top-level type has the group's or subscription's id as resource_id and "Namespace/type" as word.
    """
    parts = [part for part in path.split("/") if part]
    lowered = [part.lower() for part in parts]
    if "providers" not in lowered:
        return _plain(parts)
    at = len(lowered) - 1 - lowered[::-1].index("providers")
    scope = "/" + "/".join(parts[:at]) if at else ""
    rest = parts[at + 2 :]
    namespace = parts[at + 1] if at + 1 < len(parts) else ""
    if len(rest) == 0:
        return Path(scope, "", "", f"providers/{namespace}", scope)
    if len(rest) == 1:
        owner = parse(scope) if scope else Path("", "", "", None, "")
        return Path(scope, owner.type, owner.name, f"{namespace}/{rest[0]}", scope)
    whole = len(rest) - len(rest) % 2
    identifier = "/" + "/".join(parts[: at + 2 + whole])
    kind = "/".join([namespace, *rest[0:whole:2]])
    return Path(identifier, kind, rest[whole - 1], rest[whole] if len(rest) > whole else None, scope)


def _plain(parts: list[str]) -> Path:
    """A path without a provider: subscriptions, resource groups, and words under them."""
    whole = min(len(parts) - len(parts) % 2, 4)
    identifier = "/" + "/".join(parts[:whole]) if whole else ""
    kind = {0: "", 2: SUBSCRIPTION, 4: GROUP}[whole]
    word = "/".join(parts[whole:]) or None
    scope = "/" + "/".join(parts[:2])
    return Path(identifier, kind, parts[whole - 1] if whole else "", word, scope)
