# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Signing in: the token endpoints of Entra ID, App Service and IMDS, and the document that tells clients where they are.

Any tenant, client and secret is let in (but the secret "wrong"): what matters to a rehearsal is who asks, not whether it is true.
Requests and answers as azure-identity sends and reads them (measured); error texts as Entra ID words them (public documentation).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from .cloud import Request, Response
from .refusals import Refusal

LIFETIME = 3600  # seconds on the wall's clock, unless a fault rule says otherwise: clients renew their tokens by it
WRONG = "wrong"
_TOKEN = re.compile(r"/([^/]+)/oauth2(?:/v2\.0)?/token", re.I)
_OPENID = re.compile(r"/([^/]+)(?:/v2\.0)?/\.well-known/openid-configuration", re.I)
_PRINCIPALS = uuid.uuid5(uuid.NAMESPACE_URL, "rehearsal:principals")


@dataclass(frozen=True)
class Principal:
    """Who sends a request: the client (application) id, the object id, and a user's name."""

    client_id: str
    object_id: str
    user: str = ""


def principal(request: Request) -> Principal:
    """Who sends a request to ARM. Raises Refusal: ARM's 401 for a token that is missing, none, or too old."""
    scheme, _space, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized(request, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
    claims, now = _claims(token.strip()), time.time()
    try:
        expires = float(claims["exp"])
        who = Principal(str(claims.get("appid") or claims.get("azp") or ""), str(claims["oid"]), str(claims.get("upn") or ""))
    except (KeyError, TypeError, ValueError) as problem:
        raise _unauthorized(request, "InvalidAuthenticationToken", "The access token is invalid.") from problem
    if expires <= now:
        raise expired(request, expires)
    return who


def expired(request: Request, moment: float) -> Refusal:
    """ARM's 401 for a token that expired at that moment."""
    message = f"The access token expiry UTC time '{_utc(moment)}' is earlier than current UTC time '{_utc(time.time())}'."
    return _unauthorized(request, "ExpiredAuthenticationToken", message)


def audience(request: Request) -> str:
    """What the request's token was asked for, "" where it does not say."""
    return str(_claims(request.headers.get("authorization", "").partition(" ")[2].strip()).get("aud") or "")


def answer(request: Request) -> Response | None:
    """The answer to a request for a token, or for what leads to one; None for any other request. The body is the form's fields."""
    if request.path.lower().startswith("/subscriptions"):
        return None
    if found := _TOKEN.fullmatch(request.path):
        return _token(request, found[1]) if request.method == "POST" else None
    if found := _OPENID.fullmatch(request.path):
        return Response(200, _openid(request.base_url, found[1]))
    path = request.path.lower().rstrip("/")
    if path == "/msi/token":
        return _app_service(request)
    if path == "/metadata/identity/oauth2/token":
        return imds(request)
    if path == "/metadata/endpoints":
        return Response(200, _endpoints(request))
    return None


def imds(request: Request) -> Response:
    """The token that the instance metadata service of a VM gives out."""
    if request.headers.get("metadata", "").lower() != "true":
        return Response(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
    return _managed_identity(request.query, _lifetime(request))


def _app_service(request: Request) -> Response:
    """App Service's form (header X-IDENTITY-HEADER), Azure ML's (header secret) and Cloud Shell's (a POST with Metadata: true)."""
    allowed = (
        request.headers.get("x-identity-header")
        or request.headers.get("secret")
        or (request.method == "POST" and request.headers.get("metadata", "").lower() == "true")
    )
    if not allowed:
        return Response(401, {"statusCode": 401, "message": "The header X-IDENTITY-HEADER is missing."})
    return _managed_identity({**request.query, **_form(request)}, _lifetime(request))


def _form(request: Request) -> dict[str, str]:
    return request.body if isinstance(request.body, dict) else {}


def _lifetime(request: Request) -> int:
    return LIFETIME if request.lifetime is None else int(request.lifetime)


def _managed_identity(asked: Any, lifetime: int) -> Response:
    resource = asked.get("resource")
    if not resource:
        return Response(400, {"error": "invalid_request", "error_description": "Required query variable 'resource' is missing"})
    names = ("client_id", "clientid", "object_id", "principal_id", "mi_res_id", "msi_res_id")
    identity = next((asked[name] for name in names if asked.get(name)), "system-assigned")
    token, expires = _issue(identity, _object_id("home"), resource, lifetime)
    return Response(
        200,
        {
            "access_token": token,
            "client_id": identity,
            "resource": resource,
            "token_type": "Bearer",
            "expires_on": str(expires),
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "not_before": str(expires - lifetime),
        },
    )


def _token(request: Request, tenant: str) -> Response:
    form = _form(request)
    grant, client = form.get("grant_type", ""), form.get("client_id", "")
    if not client:
        return _refused(400, "invalid_request", "AADSTS900144: The request body must contain the following parameter: 'client_id'.")
    user = ""
    if grant == "client_credentials":
        if not (form.get("client_secret") or form.get("client_assertion")):
            return _refused(
                401,
                "invalid_client",
                "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )
        if WRONG in (form.get("client_secret"), form.get("client_assertion")):
            return _refused(
                401,
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
                f"request is the client secret value, not the client secret ID, for a secret added to app '{client}'.",
            )
    elif grant == "password":
        user = form.get("username", "")
        if not user or form.get("password", WRONG) == WRONG:
            return _refused(400, "invalid_grant", "AADSTS50126: Error validating credentials due to invalid username or password.")
    elif grant == "refresh_token":
        user = str(_claims(form.get("refresh_token", "")).get("upn", ""))
        if not user:
            return _refused(400, "invalid_grant", "AADSTS9002313: Invalid request. Request is malformed or invalid.")
    else:
        return _refused(400, "unsupported_grant_type", f"AADSTS70003: The app requested an unsupported grant type '{grant}'.")
    audience = form.get("resource") or form.get("scope", "").split(" ")[0].removesuffix("/.default")
    lifetime = _lifetime(request)
    token, _expires = _issue(client, tenant, audience, lifetime, user)
    body: dict[str, Any] = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
    if user:
        body |= _signed_in_user(client, tenant, user, form.get("scope", ""), request.base_url)
    return Response(200, body)


def _signed_in_user(client: str, tenant: str, user: str, scope: str, base_url: str) -> dict[str, Any]:
    now, person = int(time.time()), _object_id(user)
    return {
        "scope": scope,
        "refresh_token": _jwt({"upn": user, "appid": client}),
        "id_token": _jwt(
            {
                "aud": client,
                "iss": f"{base_url}/{tenant}/v2.0",
                "iat": now,
                "nbf": now,
                "exp": now + LIFETIME,
                "oid": person,
                "sub": person,
                "tid": tenant,
                "preferred_username": user,
                "ver": "2.0",
            }
        ),
        "client_info": _encode({"uid": person, "utid": tenant}),
    }


def _issue(client: str, tenant: str, audience: str, lifetime: int, user: str = "") -> tuple[str, int]:
    """An access token, unsigned, and when it expires (seconds since 1970)."""
    now = int(time.time())
    person = _object_id(user or client)
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "appid": client,
        "oid": person,
        "sub": person,
        "tid": tenant,
        "idtyp": "user" if user else "app",
        "ver": "1.0",
    }
    return _jwt(claims | ({"upn": user} if user else {})), now + lifetime


def _object_id(name: str) -> str:
    """The object id of a principal: the same for the same client id or user name, always."""
    return str(uuid.uuid5(_PRINCIPALS, name.lower()))


def _encode(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _jwt(claims: dict[str, Any]) -> str:
    return f"{_encode({'typ': 'JWT', 'alg': 'none'})}.{_encode(claims)}."


@lru_cache(maxsize=1024)
def _claims(token: str) -> dict[str, Any]:
    """What a token says, {} when it is none; the signature is not looked at."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) if len(parts) == 3 else {}
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _refused(status: int, error: str, text: str) -> Response:
    """An error as Entra ID gives it; error_codes holds the digits of AADSTS...."""
    return Response(
        status,
        {
            "error": error,
            "error_description": text,
            "error_codes": [int(text[6:].partition(":")[0])],
            "timestamp": _utc(time.time()),
            "trace_id": str(uuid.uuid4()),
            "correlation_id": str(uuid.uuid4()),
        },
    )


def _unauthorized(request: Request, code: str, message: str) -> Refusal:
    challenge = f'Bearer authorization_uri="{request.base_url}/common", error="invalid_token", error_description="{message}"'
    return Refusal(401, {"error": {"code": code, "message": message}}, {"WWW-Authenticate": challenge})


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _openid(base_url: str, tenant: str) -> dict[str, Any]:
    home = f"{base_url}/{quote(tenant)}"
    return {
        "issuer": f"{home}/v2.0",
        "authorization_endpoint": f"{home}/oauth2/v2.0/authorize",
        "token_endpoint": f"{home}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{home}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{home}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["none"],
        "tenant_region_scope": None,
        "cloud_instance_name": "localhost",
    }


def _endpoints(request: Request) -> Any:
    """ARM's metadata document: the cloud itself from api-version 2022-09-01 on, a list of clouds before."""
    base = request.base_url
    cloud = {
        "name": "RehearsalCloud",
        "portal": base,
        "authentication": {"loginEndpoint": base, "audiences": [f"{base}/", base], "tenant": "common", "identityProvider": "AAD"},
        "resourceManager": f"{base}/",
        "graph": f"{base}/",
        "graphAudience": f"{base}/",
        "microsoftGraphResourceId": f"{base}/",
        "media": base,
        "gallery": base,
        "batch": f"{base}/",
        "sqlManagement": f"{base}/",
        "vmImageAliasDoc": f"{base}/",
        "activeDirectoryDataLake": f"{base}/",
        "appInsightsResourceId": base,
        "appInsightsTelemetryChannelResourceId": base,
        "attestationResourceId": base,
        "synapseAnalyticsResourceId": base,
        "logAnalyticsResourceId": base,
        "ossrDbmsResourceId": base,
        "suffixes": {
            "storage": "storage.localhost",
            "keyVaultDns": "vault.localhost",
            "sqlServerHostname": "database.localhost",
            "acrLoginServer": "registry.localhost",
            "azureDataLakeStoreFileSystem": "datalake.localhost",
            "azureDataLakeAnalyticsCatalogAndJob": "analytics.localhost",
            "mhsmDns": "managedhsm.localhost",
        },
    }
    return cloud if request.api_version >= "2022-09-01" else [cloud]
