# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asking Azure no faster than it allows: one token bucket per limit of the platform, shared by all processes of the controller.

Azure refuses with 429 what comes faster, and a fleet that runs into that loses machines; so requests wait here for their turn instead.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import InputError

READS, WRITES, DELETES = frozenset({"GET", "HEAD"}), frozenset({"PUT", "PATCH", "POST"}), frozenset({"DELETE"})
# The share of a bucket that is left alone: the platform's count and ours differ by what is on its way.
HEADROOM = 0.05


@dataclass(frozen=True)
class Limit:
    """``burst`` requests at once, then ``per_minute``, for each scope: what the groups of the pattern ``path`` match.

    ``header`` names how an answer tells what is left: an ARM header, or the ending of a policy name in x-ms-ratelimit-remaining-resource.
    """

    name: str
    methods: frozenset[str]
    path: str
    burst: float
    per_minute: float
    header: str
    per_principal: bool
    source: str

    def scope(self, method: str, path: str) -> str | None:
        """The scope of a request that this limit counts, lower-cased; None where it counts it not."""
        found = re.match(self.path, path, re.IGNORECASE) if method in self.methods else None
        return "/".join(found.groups()).lower() if found else None


_ARM = "Microsoft Learn, Azure Resource Manager, Understand how Azure Resource Manager throttles requests (token buckets)"
_COMPUTE = "Microsoft Learn, Virtual machines, Compute throttling limits: Update VM, Update VMSS"
_ASR = (
    "Comment in Microsoft's runbook of 'Automatic update of the Mobility service in Azure-to-Azure replication': 200 set calls in 1 minute"
)
_REMAINING = "x-ms-ratelimit-remaining-subscription-"
_SUBSCRIPTION = r"/subscriptions/([^/]+)"
# Not what other providers have behind a machine's id, such as associations: no requests to Compute.
_MACHINES = r"(?!.*/providers/.*/providers/)" + _SUBSCRIPTION + r"/resourceGroups/{}/providers/Microsoft\.Compute/(?:{})/{}"
_KINDS = "virtualMachines|virtualMachineScaleSets"
_LOGS = "Microsoft Learn, Azure Monitor service limits, log queries: 200 requests in 30 seconds of one user"
_VAULT = _SUBSCRIPTION + r"/resourceGroups/([^/]+)/providers/Microsoft\.RecoveryServices/vaults/([^/]+)/replication"

# From the widest to the narrowest. Compute counts per subscription and region, but a machine's id does not tell its region, so all
# regions of a subscription share one bucket here: never too fast, and only in a fleet of more than 1,500 writes in two regions slower
# than it could be.
LIMITS: tuple[Limit, ...] = (
    Limit("subscription_reads", READS, _SUBSCRIPTION, 250, 25 * 60, _REMAINING + "reads", True, _ARM),
    Limit("subscription_writes", WRITES, _SUBSCRIPTION, 200, 10 * 60, _REMAINING + "writes", True, _ARM),
    Limit("subscription_deletes", DELETES, _SUBSCRIPTION, 200, 10 * 60, _REMAINING + "deletes", True, _ARM),
    Limit(
        "compute_writes", WRITES | DELETES, _MACHINES.format("[^/]+", _KINDS, "[^/]+"), 1500, 500, "SubscriptionMaximum", False, _COMPUTE
    ),
    Limit("machine_writes", WRITES | DELETES, _MACHINES.format("([^/]+)", _KINDS, "([^/]+)"), 12, 4, "Resource", False, _COMPUTE),
    Limit("vault_writes", WRITES | DELETES, _VAULT, 200, 200, "", False, _ASR),
    Limit("log_queries", frozenset({"POST"}), r".*/v1/workspaces/[^/]+/query$", 200, 400, "", True, _LOGS),
)


def limits(changes: Mapping[str, Any] | None) -> tuple[Limit, ...]:
    """The table with the changes of the option ``throttle_limits``: ``{name: {burst: number, per_minute: number}}``.

    Raises InputError for a name or a value that is none.
    """
    changes = changes or {}
    names = [limit.name for limit in LIMITS]
    for name, change in changes.items():
        if name not in names:
            raise InputError("throttle_limits", name, f"one of {', '.join(names)}")
        if not isinstance(change, Mapping) or not set(change) <= {"burst", "per_minute"} or not all(map(_positive, change.values())):
            raise InputError(f"throttle_limits.{name}", change, "burst and per_minute, each a number above zero")
    return tuple(_changed(limit, changes.get(limit.name, {})) for limit in LIMITS)


def _changed(limit: Limit, change: Mapping[str, Any]) -> Limit:
    burst, per_minute = (float(change.get(name, getattr(limit, name))) for name in ("burst", "per_minute"))
    return replace(limit, burst=burst, per_minute=per_minute)


def _positive(value: Any) -> bool:
    try:
        return float(value) > 0
    except (TypeError, ValueError):
        return False


def share_path(endpoint: str, environ: Mapping[str, str]) -> Path:
    """The file in which the controller's processes share their buckets for one cloud: AZURE_DR_PACING_FILE, or one in the user's cache."""
    if environ.get("AZURE_DR_PACING_FILE"):
        return Path(environ["AZURE_DR_PACING_FILE"]).expanduser()
    cache = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache")
    return cache / "cloudops.azure_dr" / f"pacing-{_short(endpoint)}.json"


def _short(text: str) -> str:
    return hashlib.blake2b(text.lower().encode(), digest_size=9).hexdigest()


_following: ContextVar[bool] = ContextVar("following", default=False)


class Pacer:
    """The buckets of one principal at one cloud.

    ``share`` is the file that all processes use, None for this process alone; where it cannot be used, ``warnings`` says so and the
    process paces itself. ``throttled_requests`` counts the 429 answers.
    """

    def __init__(self, table: tuple[Limit, ...] = LIMITS, share: Path | None = None, principal: str = "", endpoint: str = "") -> None:
        self.limits = table
        self.throttled_requests = 0
        self.warnings: list[str] = []
        self._who = {True: f"{endpoint}|{principal}", False: endpoint}
        self._buckets = _Buckets(share, self.warnings)
        self._turns: defaultdict[tuple[str, bool | None], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._unanswered: Counter[str] = Counter()
        self._followers = 0
        reads = next(limit for limit in table if limit.methods == READS)
        self._follow_rate = reads.per_minute / 60

    async def admit(self, method: str, path: str) -> None:
        """Wait until the request may be sent, and count it; ``answered`` must follow, whatever happens.

        Before the first answer tells what others have left in a bucket, no more requests are sent than the headroom covers.
        """
        # The narrowest first: who waits for one machine must not hold a place in the queue of all.
        for bucket, limit in reversed(self._counted(method, path)):
            if limit.header.startswith(_REMAINING):
                await self._until_known(bucket, limit)
            # The queues are this process's; the shared bucket promises each process only its next request, so a killed one leaves no debt.
            # Of those who follow an operation and of those who look, the first of each queue take turns: neither has to wait for a
            # thousand of the others.
            async with self._turns[bucket, _following.get()], self._turns[bucket, None]:
                with self._buckets.open() as buckets:
                    wait = buckets.take(bucket, limit)
                await asyncio.sleep(wait)

    async def _until_known(self, bucket: str, limit: Limit) -> None:
        self._unanswered[bucket] += 1
        if self._unanswered[bucket] > HEADROOM * limit.burst:
            await self._known[bucket].wait()

    def answered(self, method: str, path: str, status: int | None, headers: Mapping[str, str]) -> None:
        """Take from an answer what the platform has left, where that is less than is counted here; a 429 leaves nothing.

        ``status`` is None for a request that got no answer.
        """
        self.throttled_requests += status == 429
        counted, left = self._counted(method, path), _remaining(headers)
        for bucket, _limit in counted:
            self._known[bucket].set()
        told = {bucket: (limit, left[limit.header]) for bucket, limit in counted if limit.header in left}
        if status == 429:
            # Whose limit it was is not told; that of one machine concerns this request alone, which has its Retry-After.
            told |= {bucket: (limit, HEADROOM * limit.burst) for bucket, limit in counted if limit.header != "Resource"}
        told = {bucket: (limit, remaining) for bucket, (limit, remaining) in told.items() if remaining < limit.burst}
        if told:
            with self._buckets.open() as buckets:
                for bucket, (limit, remaining) in told.items():
                    buckets.lower(bucket, limit, remaining)

    def minimum_duration(self, requests: Iterable[tuple[str, str]]) -> float:
        """The shortest time, in seconds, in which the platform takes these (method, path) requests, from how full the buckets are now.

        For a fresh bucket that is (requests - burst) / rate, of the tightest limit: 1,000 PUTs in one subscription give 80 s. The
        headroom that the pacer keeps is not in it.
        """
        counts: Counter[tuple[str, Limit]] = Counter()
        for method, path in requests:
            counts.update(self._counted(method, path))
        with self._buckets.open() as buckets:
            waits = [
                (number - buckets.level(bucket, limit) - HEADROOM * limit.burst) / limit.per_minute * 60
                for (bucket, limit), number in counts.items()
            ]
        return max([0.0, *waits])

    def poll_interval(self, wanted: float) -> float:
        """The interval in seconds for one of all that is being followed at present: they share the read limit."""
        return max(wanted, self._followers / self._follow_rate)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Count one operation, or one wait, that asks again and again; what is asked inside goes into the followers' queue."""
        self._followers += 1
        token = _following.set(True)
        try:
            yield
        finally:
            _following.reset(token)
            self._followers -= 1

    def close(self) -> None:
        self._buckets.close()

    def _counted(self, method: str, path: str) -> list[tuple[str, Limit]]:
        """The buckets that count a request, from the widest to the narrowest."""
        found = []
        for limit in self.limits:
            scope = limit.scope(method, path)
            if scope is not None:
                found.append((_short(f"{self._who[limit.per_principal]}|{limit.name}|{scope}"), limit))
        return found


def _remaining(headers: Mapping[str, str]) -> dict[str, float]:
    """What an answer says is left, by the names that ``Limit.header`` uses.

    Compute's header is a list of ``Microsoft.Compute/<policy>;<left>`` (recorded traffic); policies of the older kind count other windows
    and are left out.
    """
    left: dict[str, float] = {}
    for name, value in headers.items():
        name = name.lower()
        if name == "x-ms-ratelimit-remaining-resource":
            for policy, number in re.findall(r"/(\w+);(\d+)", value):
                if policy.startswith(("Update", "Delete", "Put")):
                    left |= {ending: float(number) for ending in ("SubscriptionMaximum", "Resource") if policy.endswith(ending)}
        elif name.startswith(_REMAINING) and value.isdigit():
            left[name] = float(value)
    return left


class _Levels:
    """Buckets as ``{bucket: the time at which it is full again}``; a full one need not be there."""

    def __init__(self, full_at: dict[str, float]) -> None:
        # The wall clock, since the file outlives processes and restarts.
        self._now = time.time()
        self.full_at = {bucket: at for bucket, at in full_at.items() if at > self._now}

    def level(self, bucket: str, limit: Limit) -> float:
        """How many may be sent now; below zero is what has been promised to those who wait."""
        return limit.burst * (1 - HEADROOM) - self._missing(bucket, limit) * limit.per_minute / 60

    def take(self, bucket: str, limit: Limit) -> float:
        """Take one and tell how many seconds to wait for it."""
        self.full_at[bucket] = self._now + self._missing(bucket, limit) + 60 / limit.per_minute
        return max(0.0, -self.level(bucket, limit) / limit.per_minute * 60)

    def lower(self, bucket: str, limit: Limit, remaining: float) -> None:
        """Take out what is more than the platform has left."""
        self.full_at[bucket] = self._now + max(self._missing(bucket, limit), (limit.burst - remaining) / limit.per_minute * 60)

    def _missing(self, bucket: str, limit: Limit) -> float:
        """The seconds until it is full; bounded, since a clock that was set back would else stop everything."""
        return min(self.full_at.get(bucket, self._now) - self._now, 2 * limit.burst / limit.per_minute * 60)


class _Buckets:
    """The buckets in a file that one process at a time opens; or in memory."""

    def __init__(self, share: Path | None, warnings: list[str]) -> None:
        self._memory: dict[str, float] = {}
        self._file: int | None = None
        if share:
            try:
                share.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = os.open(share, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as exc:
                warnings.append(f"Requests are paced by this process alone: {share} cannot be used ({exc.strerror}).")

    @contextmanager
    def open(self) -> Iterator[_Levels]:
        if self._file is None:
            levels = _Levels(self._memory)
            yield levels
            self._memory = levels.full_at
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            before = os.pread(self._file, os.fstat(self._file).st_size, 0)
            levels = _Levels(_decode(before))
            yield levels
            after = json.dumps(levels.full_at).encode()
            if after != before:
                os.ftruncate(self._file, os.pwrite(self._file, after, 0))
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _decode(content: bytes) -> dict[str, float]:
    """The file's buckets; a file that a kill left half written counts as full ones."""
    try:
        return {bucket: float(at) for bucket, at in json.loads(content or b"{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


class AsyncPacingPolicy:
    """A policy of azure-core's pipeline, to stand behind the retry policy so that retries wait for their turn as well.

    It has the interface of AsyncHTTPPolicy without being one, so that this file needs no Azure library.
    """

    next: Any = None

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    async def send(self, request: Any) -> Any:
        method, path = request.http_request.method, urlsplit(request.http_request.url).path
        status, headers = None, {}
        try:
            await self._pacer.admit(method, path)
            response = await self.next.send(request)
            status, headers = response.http_response.status_code, response.http_response.headers
        finally:
            self._pacer.answered(method, path, status, headers)
        return response
