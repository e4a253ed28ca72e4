# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The estate: the resources that the cloud begins with."""

from __future__ import annotations

from pathlib import Path

from . import files
from .cloud import Cloud
from .paths import parse
from .refusals import Refusal


def seed(cloud: Cloud, file: Path) -> None:
    """Fill the cloud from an estate file: {"resources": [...]}, each as ARM returns it. Raises FileProblem, naming the entry."""
    estate = files.read(file)
    resources = estate.get("resources") if isinstance(estate, dict) else None
    if not isinstance(resources, list):
        raise files.FileProblem(f'{file}: an estate is {{"resources": [...]}}, a list of resources as Azure Resource Manager returns them')
    for number, resource in enumerate(resources, 1):
        identifier = resource.get("id") if isinstance(resource, dict) else None
        if not isinstance(identifier, str) or not _names_a_resource(identifier):
            raise files.FileProblem(f"{file}: resource {number}: its id is {identifier!r}, not the id of a resource (/subscriptions/...)")
        try:
            cloud.seed([resource])
        except (Refusal, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise files.FileProblem(f"{file}: resource {number}, {identifier}: {type(problem).__name__}: {problem}") from problem


def _names_a_resource(identifier: str) -> bool:
    path = parse(identifier)
    return identifier.startswith("/") and bool(path.type) and path.word is None
