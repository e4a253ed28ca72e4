# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The baseline file: what machines had on a calm day, for the day on which they can't be asked.

JSON: {"version": 1, "written": when it last changed, "machines": [record]}. A record is what the domain files record of a machine, put
together (compute/restoring.py, monitor/associations.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.cloudops.azure_dr.plugins.module_utils import files
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError

VERSION = 1
FORM = f"a baseline file of version {VERSION}, as the module extension_baseline writes it"
Record = dict[str, Any]
# What restoring takes from a record, and where: a file without it is none of ours.
KEYS = {"id", "name", "region", "os_type", "identity", "extensions", "associations"}
EXTENSION_KEYS = {"name", "publisher", "type", "type_handler_version", "auto_upgrade_minor_version", "enable_automatic_upgrade", "settings"}
ASSOCIATION_KEYS = {"name", "data_collection_rule_id", "data_collection_endpoint_id"}


def read(option: str, path: Path) -> dict[str, Record]:
    """The records in a baseline file, by ids.key of the machine. Raises InputError that names the option."""
    try:
        content = files.read(option, path, FORM)
    except FileNotFoundError as exc:
        raise InputError(option, str(path), f"a baseline file that can be read here ({exc.strerror})") from exc
    if content.get("version") != VERSION or not _are(content.get("machines"), KEYS):
        raise InputError(option, str(path), FORM)
    for record in content["machines"]:
        if not _are(record["extensions"], EXTENSION_KEYS) or not _are(record["associations"], ASSOCIATION_KEYS):
            raise InputError(option, str(path), f"a baseline file in which the record of {record['name']} is whole")
    return {ids.key(record["id"]): record for record in content["machines"]}


def _are(value: Any, keys: set[str]) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) and keys <= set(one) for one in value)


def write(path: Path, records: Iterable[Record]) -> None:
    """Put a file in the place of the old one, whole or not at all, readable by its owner only. Raises AzureDRError."""
    written = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    content = {"version": VERSION, "written": written, "machines": sorted(records, key=lambda record: ids.key(record["id"]))}
    try:
        files.write(path, content)
    except OSError as exc:
        raise AzureDRError(f"The baseline could not be written to {path} ({exc.strerror}).") from exc
