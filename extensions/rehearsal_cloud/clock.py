# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The cloud's clock: Azure's time, run faster than the wall's."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Simulated time in seconds since 1970 (UTC), `speed` times as fast as the wall's.

    `now` stands still while one request, or one entry of the timeline, is carried out: `read` says how late it is,
    `set` moves `now` there. All times that the cloud shows come from `now`.
    """

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self.speed = speed
        self._origin = time.time() if start is None else start
        self._wall = time.monotonic()
        self.now = self._origin

    def read(self) -> float:
        """The simulated time at this moment, never before `now`."""
        return max(self.now, self._origin + (time.monotonic() - self._wall) * self.speed)

    def set(self, moment: float) -> None:
        self.now = moment

    def wall_seconds(self, seconds: float) -> float:
        """How long a client has to wait, on its own clock, for `seconds` of simulated time."""
        return seconds / self.speed


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def asr_time(seconds: float) -> str:
    """As Site Recovery writes times: seven digits and Z (recorded traffic)."""
    return _moment(seconds).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def compute_time(seconds: float) -> str:
    """As Compute writes times: seven digits and an offset (recorded traffic)."""
    return _moment(seconds).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"


def http_date(seconds: float) -> str:
    """As the Date header of HTTP."""
    return _moment(seconds).strftime("%a, %d %b %Y %H:%M:%S GMT")
