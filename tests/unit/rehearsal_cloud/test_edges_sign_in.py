# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Real credentials sign in at the cloud over HTTPS, and it knows who they are."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
import trustme
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.identity.aio import WorkloadIdentityCredential as AsyncWorkloadIdentityCredential

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def edge(serve, monkeypatch):
    served = serve()
    for name in ("MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.ca_file))
    return served


def options(edge) -> dict[str, Any]:
    return {"authority": edge.base, "disable_instance_discovery": True, "connection_verify": str(edge.ca_file)}


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def sign_in(credential, edge) -> dict[str, Any]:
    """The claims of the token that a credential gets, which ARM takes."""

    async def ask() -> str:
        async with credential:
            return (await credential.get_token(f"{edge.base}/.default")).token

    token = asyncio.run(ask()) if hasattr(credential, "__aenter__") else credential.get_token(f"{edge.base}/.default").token
    answer = edge.send("GET", "/subscriptions?api-version=2022-12-01", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200
    return claims(token)


@pytest.mark.parametrize("kind", [ClientSecretCredential, AsyncClientSecretCredential])
def test_a_client_secret_signs_in(edge, kind):
    found = sign_in(kind(TENANT, CLIENT, "secret", **options(edge)), edge)
    assert (found["tid"], found["appid"]) == (TENANT, CLIENT)


@pytest.mark.parametrize("kind", [CertificateCredential, AsyncCertificateCredential])
def test_a_certificate_signs_in(edge, kind):
    certificate = trustme.CA().issue_cert("client", key_type=trustme.KeyType.RSA).private_key_and_cert_chain_pem.bytes()
    assert sign_in(kind(TENANT, CLIENT, certificate_data=certificate, **options(edge)), edge)["appid"] == CLIENT


@pytest.mark.parametrize("kind", [WorkloadIdentityCredential, AsyncWorkloadIdentityCredential])
def test_a_workload_identity_signs_in_with_any_assertion(edge, kind, tmp_path):
    (tmp_path / "assertion").write_text("any text")
    credential = kind(tenant_id=TENANT, client_id=CLIENT, token_file_path=str(tmp_path / "assertion"), **options(edge))
    assert sign_in(credential, edge)["appid"] == CLIENT


@pytest.mark.parametrize("kind", [ClientSecretCredential, AsyncClientSecretCredential])
def test_the_secret_wrong_is_refused(edge, kind):
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        sign_in(kind(TENANT, CLIENT, "wrong", **options(edge)), edge)


def test_a_user_signs_in_and_stays_signed_in(edge):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    first = edge.send(
        "POST",
        f"/{TENANT}/oauth2/v2.0/token",
        f"grant_type=password&client_id={CLIENT}&username=ann@contoso.com&password=p&scope=openid",
        form,
    ).body
    again = edge.send(
        "POST", f"/{TENANT}/oauth2/v2.0/token", f"grant_type=refresh_token&client_id={CLIENT}&refresh_token={first['refresh_token']}", form
    ).body
    assert claims(again["access_token"])["upn"] == "ann@contoso.com"
    assert claims(again["access_token"])["oid"] == claims(first["access_token"])["oid"]


@pytest.mark.parametrize("kind", [ManagedIdentityCredential, AsyncManagedIdentityCredential])
@pytest.mark.parametrize("form", ["app service", "imds", "azure ml", "cloud shell"])
def test_a_managed_identity_signs_in(edge, kind, form, monkeypatch):
    environment = {
        "app service": {"IDENTITY_ENDPOINT": f"{edge.base}/msi/token", "IDENTITY_HEADER": "x"},
        "imds": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://localhost:{edge.imds_port}"},
        "azure ml": {"MSI_ENDPOINT": f"{edge.base}/msi/token", "MSI_SECRET": "x"},
        "cloud shell": {"MSI_ENDPOINT": f"{edge.base}/msi/token"},
    }[form]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    identity = {} if form == "cloud shell" else {"client_id": CLIENT}
    found = sign_in(kind(connection_verify=str(edge.ca_file), **identity), edge)
    assert found["appid"] == (CLIENT if identity else "system-assigned")


def test_a_managed_identity_needs_its_header(edge):
    assert edge.send("GET", "/msi/token?resource=x&api-version=2019-08-01").status == 401
    assert edge.send("GET", "/metadata/identity/oauth2/token?resource=x&api-version=2018-02-01").status == 400


@pytest.mark.parametrize("tenant", [TENANT, "common", "organizations"])
def test_openid_configuration_leads_back_to_the_cloud(edge, tenant):
    body = edge.send("GET", f"/{tenant}/v2.0/.well-known/openid-configuration").body
    assert body["token_endpoint"] == f"{edge.base}/{tenant}/oauth2/v2.0/token"


def test_the_metadata_document_describes_one_cloud_or_as_once_a_list(edge):
    cloud = edge.send("GET", "/metadata/endpoints?api-version=2022-09-01").body
    assert cloud["resourceManager"] == f"{edge.base}/"
    assert cloud["authentication"]["loginEndpoint"] == edge.base
    assert cloud["logAnalyticsResourceId"] == edge.base
    assert edge.send("GET", "/metadata/endpoints?api-version=2019-05-01").body == [cloud]


def test_without_a_token_arm_answers_401(edge):
    answer = edge.send("GET", "/subscriptions?api-version=2022-12-01")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer authorization_uri="{edge.base}/')
    assert answer.body["error"]["code"] == "AuthenticationFailed"


def test_what_is_no_token_or_an_old_one_is_answered_401(edge):
    old = {"oid": "o", "tid": TENANT, "appid": CLIENT, "exp": 1}
    token = f"e30.{base64.urlsafe_b64encode(json.dumps(old).encode()).decode().rstrip('=')}."
    for given, code in (("nonsense", "InvalidAuthenticationToken"), (token, "ExpiredAuthenticationToken")):
        answer = edge.send("GET", "/subscriptions?api-version=2022-12-01", headers={"Authorization": f"Bearer {given}"})
        assert (answer.status, answer.body["error"]["code"]) == (401, code)
