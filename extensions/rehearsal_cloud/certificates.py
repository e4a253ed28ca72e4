# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The cloud's certificate, for localhost and 127.0.0.1, from a certificate authority of its own."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from . import files

CA_NAME, SERVER_NAME = "ca.pem", "server.pem"


def prepare(folder: Path, prefix: str = "") -> tuple[Path, ssl.SSLContext]:
    """The CA's certificate file and the server's TLS context; made in `folder` unless they are there already.

    The authority's private key is kept nowhere: the CA file can vouch for this one server only.
    """
    ca_file, server_file = folder / f"{prefix}{CA_NAME}", folder / f"{prefix}{SERVER_NAME}"
    if not (ca_file.exists() and server_file.exists()):
        authority = trustme.CA(organization_name="rehearsal cloud")
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        files.write_privately(server_file, certificate.private_key_and_cert_chain_pem.bytes().decode())
        files.write_privately(ca_file, authority.cert_pem.bytes().decode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(server_file)
    except (OSError, ssl.SSLError) as problem:
        raise files.FileProblem(f"{server_file}: not the server's certificate and key: {problem}") from problem
    return ca_file, context
