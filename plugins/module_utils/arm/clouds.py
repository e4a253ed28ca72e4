# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Azure clouds: the three that have names, and any other by its metadata document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError

METADATA_PATH = "/metadata/endpoints?api-version=2022-09-01"


@dataclass(frozen=True)
class Cloud:
    """Where a cloud's services are: URLs without a trailing slash.

    ``audience`` is what a token for the resource manager is asked for; ``log_analytics`` is None where the cloud tells none.
    """

    name: str
    resource_manager: str
    authority: str
    audience: str
    log_analytics: str | None

    @property
    def scope(self) -> str:
        return f"{self.audience}/.default"


# Microsoft Learn, "Azure developer guide" of each national cloud; the same values as in the clouds' own metadata documents.
NAMED = {
    "AzureCloud": Cloud(
        "AzureCloud",
        "https://management.azure.com",
        "https://login.microsoftonline.com",
        "https://management.azure.com",
        "https://api.loganalytics.io",
    ),
    "AzureChinaCloud": Cloud(
        "AzureChinaCloud",
        "https://management.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "https://api.loganalytics.azure.cn",
    ),
    "AzureUSGovernment": Cloud(
        "AzureUSGovernment",
        "https://management.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "https://api.loganalytics.us",
    ),
}


async def find(environment: str, fetch: Callable[[str], Awaitable[Any]]) -> Cloud:
    """The cloud of a name or of a metadata URL; a bare base URL gets the path of the metadata document.

    ``fetch`` reads a URL and gives its JSON; it is called for URLs only.

    Raises InputError for an unknown name, AzureError for a document that cannot be read or tells too little.
    """
    for cloud in NAMED.values():
        if environment.lower() == cloud.name.lower():
            return cloud
    url = urlsplit(environment)
    if url.scheme != "https" or not url.netloc:
        raise InputError("cloud_environment", environment, f"one of {', '.join(NAMED)}, or the https URL of a metadata document")
    if url.path in ("", "/"):
        environment = f"https://{url.netloc}{METADATA_PATH}"
    return from_metadata(await fetch(environment), environment)


def from_metadata(document: Any, url: str) -> Cloud:
    """The cloud that a metadata document describes; of a list of clouds, the one that the URL belongs to, else the first.

    Raises AzureError when sign-in address or resource manager are missing.
    """
    host, entries = urlsplit(url).netloc.lower(), document if isinstance(document, list) else [document]
    entries = [entry for entry in entries if isinstance(entry, dict)]
    own = [entry for entry in entries if urlsplit(entry.get("resourceManager") or "").netloc.lower() == host]
    entry = (own or entries or [{}])[0]
    sign_in = entry.get("authentication") or {}
    if not sign_in.get("loginEndpoint"):
        raise AzureError("read the cloud's metadata document", url, message="it names no authentication.loginEndpoint")
    resource_manager = (entry.get("resourceManager") or f"https://{host}").rstrip("/")
    audiences = [audience.rstrip("/") for audience in sign_in.get("audiences") or []]
    return Cloud(
        entry.get("name") or host,
        resource_manager,
        sign_in["loginEndpoint"].rstrip("/"),
        audiences[0] if audiences and resource_manager not in audiences else resource_manager,
        (entry.get("logAnalyticsResourceId") or "").rstrip("/") or None,
    )
