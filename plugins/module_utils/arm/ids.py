# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Resource ids of Azure Resource Manager: taken apart, and compared whatever their letter case.

Site Recovery answers with other letter case than it was asked with (recorded traffic), so ids are compared and used as keys only
through ``same`` and ``key``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import InputError

_RESOURCES = "Microsoft.Resources"


@dataclass(frozen=True)
class ResourceId:
    """An id taken apart; ``types`` and ``names`` are those below the last provider, outermost first."""

    id: str
    subscription: str
    resource_group: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]
    parent_id: str

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def type(self) -> str:
        """The full type, for example ``Microsoft.Compute/virtualMachines/extensions``."""
        return "/".join((self.namespace, *self.types))


def key(text: str) -> str:
    """The id in the one form that is fit for comparing and for dictionary keys."""
    return text.rstrip("/").lower()


def same(a: str | None, b: str | None) -> bool:
    """Whether two ids name the same resource; an absent id is the same as nothing but another absent one."""
    if not a or not b:
        return not a and not b
    return key(a) == key(b)


def parse(text: str) -> ResourceId:
    """Take a resource id apart.

    Subscriptions and resource groups have the types ``Microsoft.Resources/subscriptions`` and ``Microsoft.Resources/resourceGroups``.
    The parent of an extension resource (``.../providers/Microsoft.Insights/...`` behind another resource's id) is that resource.

    Raises ValueError that says which segment is missing or wrong.
    """
    resource_id = text.rstrip("/")
    segments = resource_id.split("/")
    if segments[0] or len(segments) < 3:
        raise ValueError("an id starts with /subscriptions/<subscription>")
    segments = segments[1:]
    if "" in segments:
        raise ValueError(f"the segment after '{segments[segments.index('') - 1]}' is empty")
    if segments[0].lower() != "subscriptions":
        raise ValueError(f"an id starts with /subscriptions/<subscription>, not with /{segments[0]}")
    subscription, rest, group, parent = segments[1], segments[2:], "", ""
    if not rest:
        return ResourceId(resource_id, subscription, "", _RESOURCES, ("subscriptions",), (subscription,), "")
    scope = f"/{segments[0]}/{subscription}"
    if rest[0].lower() == "resourcegroups":
        if len(rest) < 2:
            raise ValueError("the name of the resource group is missing")
        group, parent, rest = rest[1], scope, rest[2:]
        scope += f"/{segments[2]}/{group}"
        if not rest:
            return ResourceId(resource_id, subscription, group, _RESOURCES, ("resourceGroups",), (group,), parent)
    return _below_provider(resource_id, subscription, group, scope, rest)


def _below_provider(resource_id: str, subscription: str, group: str, scope: str, rest: list[str]) -> ResourceId:
    """The last ``providers/<namespace>/<type>/<name>...`` of ``rest``, which stands below ``scope``."""
    if rest[0].lower() != "providers":
        raise ValueError(f"'providers' is expected in the place of '{rest[0]}'")
    last = max(position for position, segment in enumerate(rest) if segment.lower() == "providers" and position % 2 == 0)
    if last:
        scope = "/".join((scope, *rest[:last]))
    if len(rest) < last + 2:
        raise ValueError("the provider's namespace is missing after 'providers'")
    namespace, pairs = rest[last + 1], rest[last + 2 :]
    if not pairs:
        raise ValueError(f"the resource type and its name are missing after '{namespace}'")
    if len(pairs) % 2:
        raise ValueError(f"the name is missing after '{pairs[-1]}'")
    types, names = tuple(pairs[0::2]), tuple(pairs[1::2])
    parent = resource_id.rsplit("/", 2)[0] if len(types) > 1 else scope
    return ResourceId(resource_id, subscription, group, namespace, types, names, parent)


def form(type: str) -> str:
    """How an id of the type looks, for messages: ``/subscriptions/<subscription>/resourceGroups/<resource group>/providers/...``."""
    namespace, *types = type.split("/")
    group = "/subscriptions/<subscription>/resourceGroups/<resource group>"
    if namespace.lower() == _RESOURCES.lower():
        return group if types[-1].lower() == "resourcegroups" else "/subscriptions/<subscription>"
    return "/".join((group, "providers", namespace, *(f"{part}/<name>" for part in types)))


def require(option: str, value: str, type: str) -> ResourceId:
    """The id taken apart, when it is one of the wanted type.

    Raises InputError that names the option, the value, and the right form of such an id.
    """
    try:
        found = parse(value)
    except ValueError as exc:
        raise InputError(option, value, f"an id of the form {form(type)}: {exc}") from exc
    if found.type.lower() != type.lower():
        raise InputError(option, value, f"an id of the form {form(type)}: this one is of the type {found.type}")
    if "/resourceGroups/" in form(type) and not found.resource_group:
        raise InputError(option, value, f"an id of the form {form(type)}: the resource group is missing")
    return found
