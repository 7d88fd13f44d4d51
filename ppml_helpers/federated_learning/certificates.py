"""The keys of a federation on this machine, made at run time: certificates, a key pair for each hospital, one token.

Three things are proved. The server shows a certificate that the hospital's copy of the authority's certificate vouches
for (TLS). The hospital signs its requests with a key that the server has on its list (Flower's node authentication).
Whoever submits runs sends the token. Nobody shows a client certificate: this is not mutual TLS.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ppml_helpers.errors import FederationError

ADDRESS = "127.0.0.1"
_LIFETIME = datetime.timedelta(days=2)  # long enough for a workshop, of little use to a thief


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
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _authority(authority_key)
    certificate = _server(server_key, authority.subject, authority_key)
    return Keys(
        write_secret(folder / "authority.crt", _pem(authority)),
        write_secret(folder / "server.crt", _pem(certificate)),
        write_secret(folder / "server.key", _private(server_key, serialization.PrivateFormat.PKCS8)),
        write_secret(folder / "submit.token", secrets.token_hex(32).encode()),
        tuple(make_hospital_key(folder / f"hospital-{number}") for number in range(hospitals)),
    )


def make_hospital_key(path: Path) -> Path:
    """Write a new key pair for one hospital at `path` and `path`.pub, and a certificate for its own port.

    Flower takes the elliptic curves of NIST only, in the format of OpenSSH; Ed25519 is refused. The certificate `.crt`
    with its key `.tls` is signed by itself: only the hospital's own helpers trust it.
    """
    key, own = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_secret(path.with_name(f"{path.name}.pub"), public)
    write_secret(path.with_name(f"{path.name}.crt"), _pem(_server(own, _name("localhost"), own)))
    write_secret(path.with_name(f"{path.name}.tls"), _private(own, serialization.PrivateFormat.PKCS8))
    return write_secret(path, _private(key, serialization.PrivateFormat.OpenSSH))


def make_strange_authority(path: Path) -> Path:
    """Write the certificate of an authority that has signed nobody, to see it refused."""
    return write_secret(path, _pem(_authority(ec.generate_private_key(ec.SECP256R1()))))


def write_secret(path: Path, content: bytes) -> Path:
    """Write a new file that only its owner may read, from the first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    return path


def check_time(certificate: Path, now: datetime.datetime | None = None) -> None:
    """Refuse a certificate that has run out, or that by this machine's clock is still to come.

    Raises
    ------
    FederationError
        With the clock's time, the days from which and until which the certificate holds, and what to do.
    """
    holds = x509.load_pem_x509_certificate(certificate.read_bytes())
    now = datetime.datetime.now(datetime.UTC) if now is None else now
    since, until = holds.not_valid_before_utc, holds.not_valid_after_utc
    if not since <= now <= until:
        raise FederationError(
            f"This machine's clock says {now:%d %B %Y, %H:%M} UTC, and this deployment's certificates hold from "
            f"{since:%d %B %Y, %H:%M} to {until:%d %B %Y, %H:%M}: set the clock if it is wrong, then start a new "
            f"deployment, which makes new ones."
        )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Make the certificate of an authority that signs itself and may sign servers, no further authorities."""
    others = "digital_signature content_commitment key_encipherment data_encipherment key_agreement encipher_only"
    usage = dict.fromkeys([*others.split(), "decipher_only"], False) | {"key_cert_sign": True, "crl_sign": True}
    critical = x509.BasicConstraints(ca=True, path_length=0), x509.KeyUsage(**usage)
    more = [x509.SubjectKeyIdentifier.from_public_key(key.public_key())]
    name = _name("Federation of simulated hospitals")
    return _certificate(name, key, name, key, critical, more)


def _server(
    key: ec.EllipticCurvePrivateKey, issuer: x509.Name, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ADDRESS))])
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    more = [names, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), signed_by]
    critical = [x509.BasicConstraints(ca=False, path_length=None)]
    return _certificate(_name("localhost"), key, issuer, issuer_key, critical, more)


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    critical: Sequence[x509.ExtensionType],
    more: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    # A clock may be a little behind.
    made = made.not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + _LIFETIME)
    for extension in (*critical, *more):
        made = made.add_extension(extension, critical=extension in critical)
    return made.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
