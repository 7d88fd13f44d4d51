"""The keys of a federation on this machine, made at run time: certificates, a key pair for each hospital, one token.

Three things are proved. The server shows a certificate that the hospital's copy of the authority's certificate vouches
for (TLS). The hospital signs its requests with a key that the server has on its list (Flower's node authentication).
Whoever submits runs sends the token. Nobody shows a client certificate: this is not mutual TLS.
"""

from __future__ import annotations

import datetime
import secrets
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ppml_helpers.certificates import Pair
from ppml_helpers.errors import FederationError
from ppml_helpers.files import write_secret

_AUTHORITY = "Federation of simulated hospitals"


class Keys(NamedTuple):
    """Where the keys of one federation lie."""

    authority: Path  # what everybody trusts
    certificate: Path  # what the server shows
    server_key: Path
    token: Path  # of those who may submit runs
    hospitals: tuple[Path, ...]  # a private key each; `.pub`, `.crt` and `.tls` beside it


def make_keys(folder: Path, hospitals: int) -> Keys:
    """Make every key of one federation, readable by nobody but the owner of this process.

    The authority's own private key is never written: it signs one certificate and is forgotten.
    """
    authority = Pair(_AUTHORITY, signs=True)
    server = Pair("localhost", authority, serves=True)
    return Keys(
        write_secret(folder / "authority.crt", authority.certificate),
        write_secret(folder / "server.crt", server.certificate),
        write_secret(folder / "server.key", server.key),
        write_secret(folder / "submit.token", secrets.token_hex(32).encode()),
        tuple(make_hospital_key(folder / f"hospital-{number}") for number in range(hospitals)),
    )


def make_hospital_key(path: Path) -> Path:
    """Write a new key pair for one hospital at `path` and `path`.pub, and a certificate for its own port.

    Flower takes the elliptic curves of NIST only, in the format of OpenSSH; Ed25519 is refused. The certificate `.crt`
    with its key `.tls` is signed by itself: only the hospital's own helpers trust it.
    """
    key, own, ssh = ec.generate_private_key(ec.SECP384R1()), Pair("localhost", serves=True), serialization.PublicFormat
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, ssh.OpenSSH)
    form = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    for ending, content in ((".pub", public), (".crt", own.certificate), (".tls", own.key)):
        write_secret(path.with_name(f"{path.name}{ending}"), content)
    return write_secret(path, key.private_bytes(serialization.Encoding.PEM, *form))


def make_strange_authority(path: Path) -> Path:
    """Write the certificate of an authority that has signed nobody, to see it refused."""
    return write_secret(path, Pair(_AUTHORITY, signs=True).certificate)


def check_time(certificate: Path) -> None:
    """Refuse a certificate that has run out, or that by this machine's clock is still to come.

    Raises
    ------
    FederationError
        With the clock's time, the days from which and until which the certificate holds, and what to do.
    """
    holds = x509.load_pem_x509_certificate(certificate.read_bytes())
    now, since, until = datetime.datetime.now(datetime.UTC), holds.not_valid_before_utc, holds.not_valid_after_utc
    if not since <= now <= until:
        raise FederationError(
            f"This machine's clock says {now:%d %B %Y, %H:%M} UTC, and this deployment's certificates hold from "
            f"{since:%d %B %Y, %H:%M} to {until:%d %B %Y, %H:%M}: set the clock if it is wrong, then start a new "
            f"deployment, which makes new ones."
        )
