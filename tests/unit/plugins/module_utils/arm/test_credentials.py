# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import asyncio
import datetime
import os
from pathlib import Path

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.credentials import argument_spec, resolve
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.session import Azure
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from .conftest import GROUP, SUBSCRIPTION, TENANT, Answer

SECRET = "s3cret-value"
PRINCIPAL = {"client_id": "app", "tenant": TENANT, "subscription_id": SUBSCRIPTION}


def sign_in(place, params=None, drop=("AZURE_CLIENT_ID", "AZURE_SECRET", "AZURE_TENANT"), extra=None):
    """Sign in, read a resource with the token, and give the subscription and the requests for tokens."""
    environ = {name: value for name, value in place.environ.items() if name not in drop} | (extra or {})
    place.cloud.on("GET", GROUP, Answer(body={"name": "rg"}))

    async def work():
        async with Azure(params or {}, environ) as azure:
            assert await azure.get("read", GROUP, "2022-09-01") == {"name": "rg"}
            return azure.subscription_id

    subscription = asyncio.run(work())
    assert place.cloud.asked("GET", GROUP)[-1].headers["Authorization"] == "Bearer the-token"
    return subscription, place.cloud.asked("POST", "/oauth2/v2.0/token")


def profile_file(place, text):
    path = Path(place.environ["HOME"], ".azure", "credentials")
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")


def test_a_secret_in_the_options(place):
    subscription, tokens = sign_in(place, PRINCIPAL | {"secret": SECRET})
    assert (subscription, tokens[0].body["client_secret"]) == (SUBSCRIPTION, SECRET)
    assert len(tokens) == 1, "one token serves all"


@pytest.mark.parametrize("tenant", ["AZURE_TENANT", "AZURE_TENANT_ID"])
@pytest.mark.parametrize("source", ["auto", "env"])
def test_a_secret_in_the_environment(place, source, tenant):
    extra = {"AZURE_CLIENT_ID": "app", "AZURE_SECRET": SECRET, tenant: TENANT}
    assert sign_in(place, {"auth_source": source}, extra=extra)[1][0].body["client_secret"] == SECRET


@pytest.mark.parametrize(
    ("params", "extra"),
    [
        ({}, {}),
        ({"auth_source": "credential_file"}, {}),
        ({"profile": "other"}, {}),
        ({"auth_source": "credential_file", "profile": "other"}, {}),
        ({}, {"AZURE_PROFILE": "other"}),
        ({"auth_source": "env"}, {"AZURE_PROFILE": "other"}),
    ],
)
def test_a_secret_in_the_profile_file(place, params, extra):
    section = "[{}]\nsubscription_id={}\nclient_id={}\nsecret=100%secret\ntenant={}\n"
    profile_file(place, section.format("default", "sub-default", "app", TENANT) + section.format("other", "sub-other", "app2", TENANT))
    wanted = ("sub-other", "app2") if "profile" in params or extra else ("sub-default", "app")
    drop = ("AZURE_CLIENT_ID", "AZURE_SECRET", "AZURE_TENANT", "AZURE_SUBSCRIPTION_ID")
    subscription, tokens = sign_in(place, params, drop, extra)
    assert (subscription, tokens[0].body["client_id"], tokens[0].body["client_secret"]) == (*wanted, "100%secret")


def test_a_certificate(place, tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")]), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    none = serialization.NoEncryption()
    pem += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
    (tmp_path / "app.pem").write_bytes(pem)
    tokens = sign_in(place, PRINCIPAL | {"x509_certificate_path": str(tmp_path / "app.pem"), "thumbprint": "AB"})[1]
    assert tokens[0].body["client_assertion"].count(".") == 2


def test_a_file_that_holds_no_certificate_is_told(place, tmp_path):
    (tmp_path / "app.pem").write_text("nothing", encoding="utf-8")
    with pytest.raises(AzureError, match="Could not sign in"):
        sign_in(place, PRINCIPAL | {"x509_certificate_path": str(tmp_path / "app.pem")})


@pytest.mark.parametrize("form", ["oidc_token", "oidc_token_file_path", "AZURE_FEDERATED_TOKEN", "AZURE_FEDERATED_TOKEN_FILE"])
def test_a_federated_token(place, tmp_path, form):
    (tmp_path / "token").write_text("the.federated.token\n", encoding="utf-8")
    value = str(tmp_path / "token") if "file" in form.lower() else "the.federated.token"
    if form.islower():
        tokens = sign_in(place, PRINCIPAL | {form: value})[1]
    else:
        tokens = sign_in(place, extra={"AZURE_CLIENT_ID": "app", "AZURE_TENANT": TENANT, form: value})[1]
    assert tokens[0].body["client_assertion"] == "the.federated.token"


def test_a_user(place):
    # An authority of AD FS: to ask Entra for the kind of user, msal leaves out the port of the stand-in.
    user = {"ad_user": "me@example.com", "password": SECRET, "tenant": "adfs", "adfs_authority_url": place.cloud.url}
    form = sign_in(place, user | {"subscription_id": SUBSCRIPTION})[1][0].body
    assert (form["grant_type"], form["username"], form["password"]) == ("password", "me@example.com", SECRET)


@pytest.mark.parametrize("client_id", [None, "user-assigned"])
def test_a_managed_identity(place, monkeypatch, client_id):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{place.cloud.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    subscription, tokens = sign_in(place, {"auth_source": "msi", "client_id": client_id})
    assert (subscription, tokens) == (SUBSCRIPTION, [])
    asked = place.cloud.asked("GET", "/msi/token")[0].query
    assert (asked["resource"], asked.get("client_id")) == (place.cloud.url, client_id)


def test_a_managed_identity_takes_the_first_subscription_that_it_may_see(place, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{place.cloud.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    place.cloud.on("GET", "/subscriptions", Answer(body={"value": [{"subscriptionId": "first"}, {"subscriptionId": "second"}]}))
    drop = ("AZURE_CLIENT_ID", "AZURE_SECRET", "AZURE_TENANT", "AZURE_SUBSCRIPTION_ID")
    assert sign_in(place, {"auth_source": "msi"}, drop)[0] == "first"


@pytest.mark.parametrize("source", ["auto", "cli"])
def test_the_azure_cli(place, tmp_path, monkeypatch, source):
    script = tmp_path / "bin" / "az"
    script.parent.mkdir()
    endpoints = f'{{"resourceManager": "{place.cloud.url}/", "activeDirectory": "{place.cloud.url}"}}'
    script.write_text(
        f"""#!/bin/sh
case "$*" in
*get-access-token*) echo '{{"accessToken": "the-token", "expiresOn": "2100-01-01 00:00:00.000000", "expires_on": 4102444800}}' ;;
*"account show"*) echo '{{"id": "sub-of-the-cli"}}' ;;
*"cloud show"*) echo '{{"name": "Mine", "endpoints": {endpoints}}}' ;;
esac
""",
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    drop = ("AZURE_CLIENT_ID", "AZURE_SECRET", "AZURE_TENANT", "AZURE_SUBSCRIPTION_ID", "AZURE_CLOUD_ENVIRONMENT")
    assert sign_in(place, {"auth_source": source}, drop)[0] == "sub-of-the-cli"


def test_options_go_before_the_environment_and_the_profile(place):
    profile_file(place, "[default]\nclient_id=profile\n")
    settings = resolve({"client_id": "option", "secret": "a", "tenant": "t"}, place.environ)
    assert (settings.source, settings.client_id, settings.secret, settings.subscription_id) == ("options", "option", "a", SUBSCRIPTION)


def test_an_option_for_the_subscription_goes_before_that_of_the_sign_in(place):
    assert resolve({"subscription_id": "mine"}, place.environ).subscription_id == "mine"


@pytest.mark.parametrize(
    ("params", "environ", "told"),
    [
        ({"client_id": "app"}, {}, "client_id was found"),
        ({"auth_source": "env"}, {}, "AZURE_CLIENT_ID or AZURE_AD_USER"),
        ({"profile": "nope"}, {}, "which has none"),
        ({"client_id": "app", "tenant": "t", "oidc_token_file_path": "/nowhere"}, {}, "an existing file"),
        (
            {},
            {"AZURE_CLIENT_ID": "app", "AZURE_TENANT": "t", "AZURE_SECRET": "x", "AZURE_CERT_VALIDATION_MODE": "no"},
            "validate or ignore",
        ),
    ],
)
def test_a_sign_in_that_is_incomplete_is_told_before_any_request(tmp_path, params, environ, told):
    with pytest.raises(InputError, match=told):
        resolve(params, environ | {"HOME": str(tmp_path)})


def test_no_subscription_anywhere_is_told(place):
    with pytest.raises(InputError, match="AZURE_SUBSCRIPTION_ID"):
        sign_in(place, drop=("AZURE_SUBSCRIPTION_ID",))


def test_nothing_anywhere_lists_what_was_looked_at(place, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="the Azure CLI, which is not installed"):
        sign_in(place)


def test_a_refused_sign_in_says_why_and_holds_no_secret(place):
    with pytest.raises(AzureError) as caught:
        sign_in(place, PRINCIPAL | {"secret": "wrong", "cert_validation_mode": "validate"})
    assert (caught.value.asked, caught.value.status, caught.value.code) == ("sign in", 401, "invalid_client")
    assert "AADSTS7000215" in str(caught.value)


def test_secrets_are_in_no_representation_and_marked_no_log():
    words = {name: f"hidden-{name}" for name in ("secret", "password", "oidc_token")}
    shown = repr(resolve({"client_id": "app", "tenant": "t", "ad_user": "me", **words}, {}))
    assert "hidden" not in shown
    assert all(argument_spec()[name]["no_log"] for name in words)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_in_any_of_the_usual_variables_is_trusted(place, name):
    extra = {name: str(place.ca_file)}
    assert sign_in(place, PRINCIPAL | {"secret": SECRET}, ("SSL_CERT_FILE", "AZURE_CLIENT_ID"), extra)[0] == SUBSCRIPTION


def test_an_unknown_authority_is_not_trusted_unless_asked_to(place, monkeypatch):
    monkeypatch.setitem(session._RETRIES, "retry_connect", 0)
    with pytest.raises(AzureError, match="certificate"):
        sign_in(place, PRINCIPAL | {"secret": SECRET}, ("SSL_CERT_FILE",))
    assert sign_in(place, PRINCIPAL | {"secret": SECRET, "cert_validation_mode": "ignore"}, ("SSL_CERT_FILE",))[0] == SUBSCRIPTION


def test_a_bundle_that_holds_no_certificates_is_told(place, tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="SSL_CERT_FILE"):
        sign_in(place, PRINCIPAL | {"secret": SECRET}, extra={"SSL_CERT_FILE": str(tmp_path / "empty")})
