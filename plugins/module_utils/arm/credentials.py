# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signing in: the options, environment variables and profile file that azure.azcollection has, with the same names and meaning.

The order of ``auth_source: auto`` is azure.azcollection's too: module options, environment, profile file, Azure CLI.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import env_fallback
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.clouds import NAMED, Cloud
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError

# Option, and the environment variables that stand for it, in their order.
ENVIRONMENT = {
    "profile": ("AZURE_PROFILE",),
    "subscription_id": ("AZURE_SUBSCRIPTION_ID",),
    "client_id": ("AZURE_CLIENT_ID",),
    "secret": ("AZURE_SECRET",),
    "tenant": ("AZURE_TENANT", "AZURE_TENANT_ID"),
    "ad_user": ("AZURE_AD_USER",),
    "password": ("AZURE_PASSWORD",),
    "cloud_environment": ("AZURE_CLOUD_ENVIRONMENT",),
    "cert_validation_mode": ("AZURE_CERT_VALIDATION_MODE",),
    "adfs_authority_url": ("AZURE_ADFS_AUTHORITY_URL",),
    "x509_certificate_path": ("AZURE_X509_CERTIFICATE_PATH",),
    "thumbprint": ("AZURE_THUMBPRINT",),
    "disable_instance_discovery": ("AZURE_DISABLE_INSTANCE_DISCOVERY",),
    "oidc_token": ("AZURE_FEDERATED_TOKEN",),
    "oidc_token_file_path": ("AZURE_FEDERATED_TOKEN_FILE",),
}
# Settings that are no part of a sign-in: each may come from another place than the sign-in itself.
_SHARED = ("subscription_id", "cloud_environment", "cert_validation_mode", "adfs_authority_url", "disable_instance_discovery")
# The Azure CLI's own application, which signs users in that bring no client_id.
_CLI_APPLICATION = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
_FORMS = (
    "client_id, tenant and secret; client_id, tenant and x509_certificate_path; client_id, tenant and oidc_token or oidc_token_file_path; "
    "or ad_user and password"
)


def argument_spec() -> dict[str, dict[str, Any]]:
    """The options for signing in and for the connection; every module has them."""
    return {
        "auth_source": {
            "type": "str",
            "choices": ["auto", "cli", "credential_file", "env", "msi"],
            "default": "auto",
            "fallback": (env_fallback, ["ANSIBLE_AZURE_AUTH_SOURCE"]),
        },
        "profile": {"type": "str"},
        "subscription_id": {"type": "str"},
        "tenant": {"type": "str"},
        "client_id": {"type": "str"},
        "secret": {"type": "str", "no_log": True},
        "x509_certificate_path": {"type": "path"},
        "thumbprint": {"type": "str"},
        "oidc_token": {"type": "str", "no_log": True},
        "oidc_token_file_path": {"type": "path", "no_log": False},
        "ad_user": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "cloud_environment": {"type": "str"},
        "adfs_authority_url": {"type": "str"},
        "cert_validation_mode": {"type": "str", "choices": ["validate", "ignore"]},
        "disable_instance_discovery": {"type": "bool"},
        "throttle_limits": {"type": "dict", "fallback": (env_fallback, ["AZURE_DR_THROTTLE_LIMITS"])},
    }


@dataclass(frozen=True)
class Settings:
    """How to sign in, and where. ``source`` is the place that it came from: options, env, credential_file, cli or msi."""

    source: str
    profile: str | None = None
    subscription_id: str | None = None
    tenant: str | None = None
    client_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    x509_certificate_path: str | None = None
    thumbprint: str | None = None
    oidc_token: str | None = field(default=None, repr=False)
    oidc_token_file_path: str | None = None
    ad_user: str | None = None
    password: str | None = field(default=None, repr=False)
    cloud_environment: str | None = None
    adfs_authority_url: str | None = None
    cert_validation_mode: str = "validate"
    disable_instance_discovery: bool = False

    @property
    def principal(self) -> str:
        """Who signs in, as far as is known before: throttle limits of the resource manager count per principal."""
        return "/".join((self.tenant or "", self.client_id or self.ad_user or self.source)).lower()


def resolve(params: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Find the sign-in in the options, the environment, the profile file, or leave it to the Azure CLI.

    Raises InputError when the chosen source has none, or has only a part of one.
    """
    options = {name: params.get(name) for name in ENVIRONMENT if params.get(name) not in (None, "")}
    env = _from_environment(environ)
    source, found = _sign_in(params.get("auth_source") or "auto", options, env, environ)
    for name in _SHARED:
        value = options.get(name, found.get(name, env.get(name)))
        if value is not None:
            found[name] = value
    found["disable_instance_discovery"] = str(found.get("disable_instance_discovery", "")).lower() in ("true", "yes", "1")
    settings = Settings(source, **found)
    if settings.cert_validation_mode not in ("validate", "ignore"):
        raise InputError("cert_validation_mode", settings.cert_validation_mode, "validate or ignore")
    if source not in ("cli", "msi"):
        _check_complete(settings)
    return settings


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: environ[variable]
        for name, variables in ENVIRONMENT.items()
        if (variable := next((candidate for candidate in variables if environ.get(candidate)), None))
    }


def _sign_in(source: str, options: dict[str, Any], env: dict[str, Any], environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The place of the sign-in, and what stands there."""
    usable_env = "client_id" in env or "ad_user" in env
    profile = options.get("profile") or env.get("profile")
    if source == "auto":
        if "profile" in options:
            source = "credential_file"
        elif "client_id" in options or "ad_user" in options:
            return "options", dict(options)
        elif "profile" in env:
            source = "credential_file"
        elif usable_env:
            source = "env"
        else:
            source = "credential_file" if _profiles(environ).has_section("default") else "cli"
    if source == "env" and "profile" in env:
        source, profile = "credential_file", env["profile"]
    if source == "env":
        if not usable_env:
            raise InputError("auth_source", "env", "an environment with AZURE_CLIENT_ID or AZURE_AD_USER, or with AZURE_PROFILE")
        return source, {name: value for name, value in env.items() if name != "profile"}
    if source == "credential_file":
        return source, _from_profile(profile or "default", environ)
    client_id = options.get("client_id", env.get("client_id"))
    return source, {"client_id": client_id} if source == "msi" and client_id else {}


def _profiles(environ: Mapping[str, str]) -> configparser.ConfigParser:
    path = _profile_path(environ)
    profiles = configparser.ConfigParser(interpolation=None)
    try:
        profiles.read(path, encoding="utf-8")
    except (OSError, configparser.Error) as exc:
        # The library's own message shows the line, which may hold a secret.
        raise InputError("profile", str(path), f"a readable ini file ({type(exc).__name__})") from None
    return profiles


def _profile_path(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home()) / ".azure" / "credentials"


def _from_profile(profile: str, environ: Mapping[str, str]) -> dict[str, Any]:
    profiles = _profiles(environ)
    if not profiles.has_section(profile):
        raise InputError("profile", profile, f"a section of {_profile_path(environ)}, which has {', '.join(profiles.sections()) or 'none'}")
    values = {name: value for name, value in profiles[profile].items() if name in ENVIRONMENT and value}
    return values | {"profile": profile}


def _check_complete(settings: Settings) -> None:
    application = settings.client_id and settings.tenant
    proof = settings.secret or settings.x509_certificate_path or settings.oidc_token or settings.oidc_token_file_path
    if not (application and proof) and not (settings.ad_user and settings.password):
        given = [name for name in ENVIRONMENT if name not in _SHARED and getattr(settings, name)]
        place = "the options" if settings.source == "options" else f"auth_source {settings.source}"
        raise InputError(
            given[0] if given else "auth_source",
            None if given else settings.source,
            f"a whole sign-in in {place} ({_FORMS}); only {', '.join(given) or 'nothing'} was found there",
        )
    for option in ("x509_certificate_path", "oidc_token_file_path"):
        path = getattr(settings, option)
        if path and not Path(path).expanduser().is_file():
            raise InputError(option, path, "an existing file")


def credential(settings: Settings, cloud: Cloud, transport: Any, ca_file: str | bool) -> Any:
    """The async credential of azure-identity for the settings; it speaks through ``transport``.

    ``ca_file`` is what a credential that exists only in a blocking form trusts: a file, True for the defaults, False for anything.
    """
    from azure.identity import aio

    if settings.source == "cli":
        return aio.AzureCliCredential()
    if settings.source == "msi":
        return aio.ManagedIdentityCredential(client_id=settings.client_id, transport=transport)
    common: dict[str, Any] = {
        "authority": settings.adfs_authority_url or cloud.authority,
        # The public cloud can vouch for the authorities of the named clouds only.
        "disable_instance_discovery": settings.disable_instance_discovery or cloud.name not in NAMED,
    }
    if settings.client_id and settings.tenant:
        application = common | {"tenant_id": settings.tenant, "client_id": settings.client_id, "transport": transport}
        if settings.oidc_token or settings.oidc_token_file_path:
            return aio.ClientAssertionCredential(func=lambda: _assertion(settings), **application)
        if settings.secret:
            return aio.ClientSecretCredential(client_secret=settings.secret, **application)
        if settings.x509_certificate_path:
            return aio.CertificateCredential(certificate_path=str(Path(settings.x509_certificate_path).expanduser()), **application)
    return _UserCredential(settings, common | {"connection_verify": ca_file})


class Renewable:
    """A credential that can be made anew: the token that the libraries keep is thrown away with the old one. `make` gives a credential of
    azure-identity."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made = [make()]
        self._given: set[str] = set()

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        credential = self._made[-1]
        token = await credential.get_token(*scopes, **options)
        if credential is self._made[-1]:
            self._given.add(token.token)
        return token

    def renew(self, refused: str) -> None:
        """Sign in anew for the next token, unless that was done since the one in the refused Authorization header was given out."""
        if refused.removeprefix("Bearer ") in self._given:
            self._made.append(self._make())
            self._given = set()

    async def close(self) -> None:
        for credential in self._made:
            await credential.close()


def _assertion(settings: Settings) -> str:
    """The federated token, read anew each time: its issuer renews the file."""
    if settings.oidc_token:
        return settings.oidc_token
    return Path(str(settings.oidc_token_file_path)).expanduser().read_text(encoding="utf-8").strip()


class _UserCredential:
    """A user's name and password; azure-identity has only a blocking credential for them, so it works in a thread."""

    def __init__(self, settings: Settings, options: dict[str, Any]) -> None:
        from azure.identity import UsernamePasswordCredential

        self._credential = UsernamePasswordCredential(
            client_id=settings.client_id or _CLI_APPLICATION,
            username=settings.ad_user or "",
            password=settings.password or "",
            tenant_id=settings.tenant or "organizations",
            **options,
        )

    async def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self._credential.get_token, *scopes, **kwargs)

    async def close(self) -> None:
        await asyncio.to_thread(self._credential.close)


async def from_cli(settings: Settings) -> tuple[Settings, Cloud | None]:
    """What the Azure CLI knows: its default subscription and its active cloud, where the options do not say other.

    Raises InputError when there is no CLI, and so no sign-in at all; AzureError when nobody is logged in to it.
    """
    if not shutil.which("az"):
        places = "module options, environment, ~/.azure/credentials or the Azure CLI, which is not installed"
        raise InputError("auth_source", settings.source, f"a sign-in in {places} ({_FORMS})")
    cloud = None
    if not settings.cloud_environment:
        endpoints = (active := await _az("cloud", "show"))["endpoints"]
        resource_manager = endpoints["resourceManager"].rstrip("/")
        log_analytics = (endpoints.get("logAnalyticsResourceId") or "").rstrip("/") or None
        cloud = Cloud(active["name"], resource_manager, endpoints["activeDirectory"].rstrip("/"), resource_manager, log_analytics)
    if not settings.subscription_id:
        settings = replace(settings, subscription_id=(await _az("account", "show"))["id"])
    return settings, cloud


async def _az(*command: str) -> dict[str, Any]:
    asked = f"run az {' '.join(command)}"
    process = await asyncio.create_subprocess_exec(
        "az", *command, "--output", "json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise AzureError(asked, None, message=err.decode(errors="replace").strip(), recommended_action="Log in with az login.")
    return json.loads(out)
