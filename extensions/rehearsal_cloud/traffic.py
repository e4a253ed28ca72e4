# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The traffic log: every exchange as one line of JSON, without secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .cloud import Request, Response

MASK = "***"
SECRETS = frozenset(
    {
        "accesstoken",
        "adminpassword",
        "assertion",
        "clientassertion",
        "clientinfo",
        "clientsecret",
        "connectionstring",
        "customdata",
        "idtoken",
        "password",
        "primarysharedkey",
        "protectedsettings",
        "refreshtoken",
        "sastoken",
        "secondarysharedkey",
        "secret",
        "storageaccountkey",
        "userdata",
    }
)
HEADERS = ("azure-asyncoperation", "location", "retry-after", "x-ms-retry-after-ms", "x-ms-request-id")


class Traffic:
    """Appends exchanges to a file that only its owner can read."""

    def __init__(self, file: Path) -> None:
        self._file = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8", buffering=1)
        file.chmod(0o600)

    def write(self, request: Request, response: Response | None, seconds: float, fault: int | None = None) -> None:
        """One exchange; response None: the connection was dropped (status 0). seconds: how long it took; fault: the rule that fired."""
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": request.method,
            "path": request.path,
            "query": urlencode(masked(request.query), safe="$,*'()"),
            "request": masked(request.body),
            "status": response.status if response else 0,
            "response": masked(response.body) if response else None,
            "headers": {name: response.headers[name] for name in HEADERS if name in response.headers} if response else {},
            "ms": round(seconds * 1000, 1),
        }
        if fault is not None:
            line["fault"] = fault
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()


def masked(value: Any) -> Any:
    """A copy without secrets: what stands under a secret's name becomes "***", of the JSON type that it had."""
    if isinstance(value, Mapping):
        return {name: _mask(part) if _is_secret(name) else masked(part) for name, part in value.items()}
    if isinstance(value, list):
        return [masked(part) for part in value]
    return value


def _is_secret(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in SECRETS


def _mask(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {MASK: MASK}
    if isinstance(value, list):
        return [MASK]
    return MASK if isinstance(value, str) else None
