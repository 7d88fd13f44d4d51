"""The keys of a federation on this machine, made at run time: one server certificate and a key pair for each hospital.

Two things are proved when a hospital connects. The server shows a certificate that the hospital's copy of the
authority's certificate vouches for (TLS), and the hospital signs its requests with a key that the server has on its
list (Flower's node authentication). Nobody shows a client certificate: this is not mutual TLS.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADDRESS = "127.0.0.1"
_LIFETIME = datetime.timedelta(days=2)  # long enough for a workshop, of little use to a thief


class Keys(NamedTuple):
    """Where the keys of one federation lie."""

    authority: Path  # what everybody trusts
    certificate: Path  # what the server shows
    server_key: Path
    hospitals: tuple[Path, ...]  # a private key each; the public one lies beside it under the name with `.pub`


def make_keys(folder: Path, hospitals: int) -> Keys:
    """Make every key of one federation, readable by nobody but the owner of this process.

    The authority's own private key is never written: it signs one certificate and is forgotten.
    """
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    server_key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server_certificate(server_key, authority, authority_key)
    return Keys(
        write_secret(folder / "authority.crt", _pem(authority)),
        write_secret(folder / "server.crt", _pem(certificate)),
        write_secret(folder / "server.key", _private(server_key, serialization.PrivateFormat.PKCS8)),
        tuple(make_hospital_key(folder / f"hospital-{number}") for number in range(hospitals)),
    )


def make_hospital_key(path: Path) -> Path:
    """Write a new key pair for one hospital at `path` and `path`.pub.

    Flower takes the elliptic curves of NIST only, in the format of OpenSSH; Ed25519 is refused.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_secret(path.with_name(f"{path.name}.pub"), public)
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


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Make the certificate of an authority that signs itself and may sign servers, no further authorities."""
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Federation of simulated hospitals")])
    return (
        _certificate(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ADDRESS))]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _certificate(subject, authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # a clock may be a little behind
        .not_valid_after(now + _LIFETIME)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
