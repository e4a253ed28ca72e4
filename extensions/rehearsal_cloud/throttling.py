# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Throttling: the platform's request limits, as token buckets on the cloud's clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from . import log_analytics
from .cloud import Cloud, Request
from .paths import parse
from .refusals import Refusal, refuse
from .sign_in import Principal

ARM = "Microsoft Learn, Azure Resource Manager request limits and throttling"
COMPUTE = "Microsoft Learn, Compute throttling limits"
LOGS = "Microsoft Learn, Azure Monitor service limits, log queries: 200 requests in 30 seconds of one user"
ASR = "Microsoft Learn, automatic update of the Mobility service (comment in its script)"


@dataclass(frozen=True)
class Limit:
    """One limit: a bucket that holds `burst` requests and refills by `per_minute`; each value of `by` has a bucket of its own.

    name: as the answer's header names it. The remaining counts of recorded traffic (LowCostGetResource;32 and
    LowCostGetSubscriptionMaximum;23992) fit 36 and 24,000 as bursts; the names for other kinds of request are built alike (inferred).
    """

    name: str
    burst: int
    per_minute: float
    by: tuple[str, ...]
    source: str


def _arm(kind: str, burst: int, per_second: int) -> tuple[Limit, ...]:
    """Of one principal, and fifteen times that for all principals together."""
    return (
        Limit(kind, burst, per_second * 60, ("subscription", "principal"), ARM),
        Limit(f"global-{kind}", burst * 15, per_second * 60 * 15, ("subscription",), ARM),
    )


def _compute(name: str, resource: tuple[int, int] | None, total: tuple[int, int], *by: str) -> tuple[Limit, ...]:
    """Of one resource, and of a subscription (or a subscription's region); each (per minute, burst) as the page has them."""
    whole = Limit(f"Microsoft.Compute/{name}SubscriptionMaximum", total[1], total[0], ("subscription", *by), COMPUTE)
    single = (Limit(f"Microsoft.Compute/{name}Resource", resource[1], resource[0], ("resource",), COMPUTE),) if resource else ()
    return (whole, *single)


LIMITS: dict[str, tuple[Limit, ...]] = {
    "reads": _arm("reads", 250, 25),
    "writes": _arm("writes", 200, 10),
    "deletes": _arm("deletes", 200, 10),
    "put vm": _compute("PutVM", (4, 12), (500, 1500), "region"),
    "update vm": _compute("UpdateVM", (4, 12), (500, 1500), "region"),
    "delete vm": _compute("DeleteVM", (4, 12), (500, 1500), "region"),
    "get vm": _compute("LowCostGet", (12, 36), (8000, 24000)),
    "list vms": _compute("HighCostGet", None, (300, 900)),
    "get operation": _compute("GetOperation", (15, 45), (5000, 15000)),
    "put scale set": _compute("PutVMScaleSet", (4, 12), (125, 375), "region"),
    "update scale set": _compute("UpdateVMScaleSet", (4, 12), (500, 1500), "region"),
    "delete scale set": _compute("DeleteVMScaleSet", (4, 12), (175, 525), "region"),
    "get scale set": _compute("GetVMScaleSet", (12, 36), (800, 2400)),
    "list scale sets": _compute("HighCostGetVMScaleSet", (10, 30), (360, 1080)),
    "update scale set vm": _compute("UpdateVMScaleSetVM", (4, 12), (500, 1500), "region"),
    "set site recovery": (Limit("Microsoft.RecoveryServices/Set", 200, 200, ("resource",), ASR),),
    "log queries": (Limit("Microsoft.OperationalInsights/Query", 200, 400, ("principal",), LOGS),),
    "get site recovery": (Limit("Microsoft.RecoveryServices/Get", 10000, 10000 / 60, ("resource",), ASR),),
}
KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}  # any other method is a write
VM, SCALE_SET = "microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets"
VAULT_PARTS = "microsoft.recoveryservices/vaults/replication"


class Throttle:
    """The buckets. `enforce` False: nothing is refused or counted, and the headers tell of full buckets."""

    def __init__(self, enforce: bool = True) -> None:
        self._enforce = enforce
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}

    def admit(self, cloud: Cloud, request: Request, who: Principal) -> dict[str, str]:
        """Take what the request costs; the headers that tell what remains. Raises Refusal (429) with a Retry-After in simulated seconds.

        ARM counts first; what it lets through counts even if the provider then refuses it.
        """
        now = cloud.clock.read()
        if log_analytics.asked(request):
            self._take(LIMITS["log queries"], {"principal": who.object_id}, now, lambda limit, wait: log_analytics.throttled(wait))
            return {}
        names = _names(cloud, request, who)
        kind = KINDS.get(request.method, "writes")
        remaining = self._take(LIMITS[kind], names, now, lambda limit, wait: _arm_refusal(kind, names, wait))
        scope = "subscription" if names["subscription"] else "tenant"
        headers = {f"x-ms-ratelimit-remaining-{scope}-{limit.name}": str(left) for limit, left in remaining}
        group = group_of(request)
        if group is not None:
            remaining = self._take(LIMITS[group], names, now, _provider_refusal)
            if "site recovery" not in group:
                headers["x-ms-ratelimit-remaining-resource"] = ",".join(f"{limit.name};{left}" for limit, left in remaining)
        return headers

    def _take(
        self, limits: tuple[Limit, ...], names: dict[str, str], now: float, refusal: Callable[[Limit, int], Refusal]
    ) -> list[tuple[Limit, int]]:
        """One token from the bucket of each limit, or none from any; what is left in each."""
        buckets = [((limit.name, *(names[word] for word in limit.by)), limit) for limit in limits]
        if not self._enforce:
            return [(limit, limit.burst - 1) for limit in limits]
        levels = []
        for bucket, limit in buckets:
            tokens, seen = self._buckets.get(bucket, (float(limit.burst), now))
            levels.append(min(limit.burst, tokens + max(0.0, now - seen) * limit.per_minute / 60))
        for (_bucket, limit), level in zip(buckets, levels, strict=True):
            if level < 1:
                raise refusal(limit, math.ceil((1 - level) * 60 / limit.per_minute))
        for (bucket, _limit), level in zip(buckets, levels, strict=True):
            self._buckets[bucket] = (level - 1, now)
        return [(limit, int(level - 1)) for limit, level in zip(limits, levels, strict=True)]


def group_of(request: Request) -> str | None:
    """The provider's own limits that a request falls under (a name of LIMITS), None for none."""
    path = parse(request.path)
    kind = (path.type if path.word is None else path.collection_type).lower()
    method, whole = request.method, path.word is None
    reads = method in ("GET", "HEAD")
    if kind.startswith(VAULT_PARTS):
        return "get site recovery" if reads else "set site recovery"
    if kind.startswith("microsoft.compute/locations/operations"):
        return "get operation"
    if kind.startswith(SCALE_SET):
        if reads:
            return "list scale sets" if path.type.lower() != SCALE_SET or kind == f"{SCALE_SET}/instanceview" else "get scale set"
        if kind.startswith(f"{SCALE_SET}/virtualmachines/"):
            return "update scale set vm"
        return f"{_verb(method, kind == SCALE_SET and whole, kind)} scale set"
    if kind == VM or kind.startswith(f"{VM}/"):
        if reads:
            return "get vm" if path.type.lower().startswith(VM) else "list vms"
        return f"{_verb(method, kind == VM and whole, kind)} vm"
    return None


def _verb(method: str, itself: bool, kind: str) -> str:
    if kind.endswith("/deallocate") or (itself and method == "DELETE"):
        return "delete"
    return "put" if itself and method == "PUT" else "update"


def _names(cloud: Cloud, request: Request, who: Principal) -> dict[str, str]:
    """Whose buckets a request draws from: the words of Limit.by."""
    path = parse(request.path)
    owner = path.resource_id
    if path.type.lower().endswith("/locations/operations"):
        operation = cloud.operations.get(path.name)
        owner = operation.resource_id if operation else owner
    resource = "/".join(owner.lower().split("/")[:9])  # of a part (an extension, a replicated item): the VM, the scale set, the vault
    body = cloud.store.get(resource) or request.body
    region = body.get("location") if isinstance(body, dict) else None
    return {
        "subscription": path.subscription.lower(),
        "principal": who.object_id,
        "resource": resource,
        "region": str(region or "").lower().replace(" ", ""),
    }


def _arm_refusal(kind: str, names: dict[str, str], wait: int) -> Refusal:
    refusal = refuse(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{kind.removesuffix('s')}' requests for subscription '{names['subscription']}' actor "
        f"'{names['principal']}' exceeded. Please try again after '{wait}' seconds after additional tokens are available. "
        "Refer to https://aka.ms/arm-throttling for additional information.",
    )
    refusal.headers = {"Retry-After": str(wait)}
    return refusal


def _provider_refusal(limit: Limit, wait: int) -> Refusal:
    provider, _slash, name = limit.name.partition("/")
    if provider == "Microsoft.RecoveryServices":
        refusal = refuse(429, "TooManyRequests", f"Too many requests have been sent to the vault. Please try again after {wait} seconds.")
    else:
        refusal = refuse(
            429,
            "OperationNotAllowed",
            "The server rejected the request because too many requests have been received for this subscription.",
            details=[{"code": "TooManyRequests", "target": name, "message": f'{{"operationGroup":"{name}"}}'}],
            innererror={"internalErrorCode": "TooManyRequestsReceived"},
        )
        refusal.headers["x-ms-ratelimit-remaining-resource"] = f"{limit.name};0"
    refusal.headers["Retry-After"] = str(wait)
    return refusal
