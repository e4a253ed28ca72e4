# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations


class ModuleDocFragment:
    # Signing in, and the connection to Azure; the options that module_utils/arm/credentials.py gives every module.
    DOCUMENTATION = r"""
options:
  auth_source:
    description:
      - Where the sign-in comes from. The names, meanings and environment variables of all these options are those of the collection
        C(azure.azcollection), so credentials that work there work here.
      - V(auto) takes the first of these that is there - module options, environment variables, the profile V(default) of
        C(~/.azure/credentials), the Azure CLI.
      - V(env) takes environment variables, V(credential_file) a profile of C(~/.azure/credentials), V(cli) the account that is logged
        in with C(az login).
      - V(msi) takes the managed identity of the machine that runs the module; O(client_id) chooses a user-assigned one.
      - Can also be set with the environment variable E(ANSIBLE_AZURE_AUTH_SOURCE).
    type: str
    choices: [auto, cli, credential_file, env, msi]
    default: auto
  profile:
    description:
      - The profile of C(~/.azure/credentials) to sign in with. The file is an ini file; its keys are the names of these options.
      - Can also be set with the environment variable E(AZURE_PROFILE).
    type: str
  subscription_id:
    description:
      - The id of the subscription to work in.
      - When it is not given, it is taken from the environment variable E(AZURE_SUBSCRIPTION_ID), the profile of the sign-in, or the
        Azure CLI's default subscription; a managed identity takes the first subscription that it may see.
    type: str
  tenant:
    description:
      - The id of the tenant of a service principal or user.
      - Can also be set with the environment variables E(AZURE_TENANT) or E(AZURE_TENANT_ID).
    type: str
  client_id:
    description:
      - The client id of a service principal, or of a user-assigned managed identity.
      - Can also be set with the environment variable E(AZURE_CLIENT_ID).
    type: str
  secret:
    description:
      - The client secret of a service principal.
      - Can also be set with the environment variable E(AZURE_SECRET).
    type: str
  x509_certificate_path:
    description:
      - The file with the certificate and the private key of a service principal, in PEM form.
      - Can also be set with the environment variable E(AZURE_X509_CERTIFICATE_PATH).
    type: path
  thumbprint:
    description:
      - The thumbprint of the certificate. It is accepted for the sake of existing playbooks; the certificate itself tells it.
      - Can also be set with the environment variable E(AZURE_THUMBPRINT).
    type: str
  oidc_token:
    description:
      - A federated token (OpenID Connect) that stands in for the secret of a service principal, for workload identity.
      - Can also be set with the environment variable E(AZURE_FEDERATED_TOKEN).
    type: str
  oidc_token_file_path:
    description:
      - A file that holds such a token. It is read anew for each sign-in, since its issuer renews it.
      - Can also be set with the environment variable E(AZURE_FEDERATED_TOKEN_FILE).
    type: path
  ad_user:
    description:
      - The name of a user to sign in with, instead of a service principal. Azure refuses it where it asks for a second factor.
      - Can also be set with the environment variable E(AZURE_AD_USER).
    type: str
  password:
    description:
      - The password of that user.
      - Can also be set with the environment variable E(AZURE_PASSWORD).
    type: str
  cloud_environment:
    description:
      - The cloud to work in - V(AzureCloud), V(AzureChinaCloud), V(AzureUSGovernment), or the URL of the metadata document of another
        one. Of a URL without a path, V(/metadata/endpoints) is read.
      - Can also be set with the environment variable E(AZURE_CLOUD_ENVIRONMENT) or in the profile; the Azure CLI brings its active
        cloud. Else it is V(AzureCloud).
    type: str
  adfs_authority_url:
    description:
      - The address to sign in at, when it is another than the cloud's own.
      - Can also be set with the environment variable E(AZURE_ADFS_AUTHORITY_URL).
    type: str
  cert_validation_mode:
    description:
      - Whether the certificates of Azure's services are checked. Authorities beside the system's are taken from the files that the
        environment variables E(REQUESTS_CA_BUNDLE), E(CURL_CA_BUNDLE) and E(SSL_CERT_FILE) name, all that are set.
      - Can also be set with the environment variable E(AZURE_CERT_VALIDATION_MODE). Else it is V(validate).
    type: str
    choices: [validate, ignore]
  disable_instance_discovery:
    description:
      - Do not ask the public cloud whether it knows the address to sign in at. It is never asked about clouds other than its own.
      - Can also be set with the environment variable E(AZURE_DISABLE_INSTANCE_DISCOVERY).
    type: bool
  throttle_limits:
    description:
      - Azure refuses requests that come too fast. The module asks no faster than Azure's documented limits allow, together with
        all that runs on the same controller; this option changes a limit where a subscription has another.
      - A dictionary with any of the keys V(subscription_reads), V(subscription_writes), V(subscription_deletes), V(compute_writes),
        V(machine_writes), V(vault_writes) and V(log_queries); each value is a dictionary with C(burst), the requests that may
        come at once, and C(per_minute), how many may follow each minute.
      - Can also be set, as JSON, with the environment variable E(AZURE_DR_THROTTLE_LIMITS).
      - The processes of a controller count together in the file that the environment variable E(AZURE_DR_PACING_FILE) names, by
        default one in C(~/.cache/cloudops.azure_dr).
    type: dict
requirements:
  - python >= 3.11
  - aiohttp
  - azure-core >= 1.38.0
  - azure-identity >= 1.25.2
  - azure-mgmt-core
  - azure-mgmt-compute >= 33.0.0
  - azure-mgmt-monitor >= 6.0.2
  - azure-mgmt-recoveryservicessiterecovery >= 2.0.0
"""
