"""The connections between the parties of MPyC on this machine: ports that are ours already, and a certificate each.

Without certificates whoever reaches a port may speak as a party. So each run makes an authority, which signs one
certificate a party and is forgotten; both sides of every connection show theirs (mutual TLS, MPyC's own ``--ssl``).
"""

from __future__ import annotations

import datetime
import os
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
FOLDER = ".config"  # where MPyC looks for its certificates, in the working folder of a party
_LIFETIME = datetime.timedelta(days=1)


def prepare(folder: Path, parties: int) -> list[socket.socket]:
    """Write the certificates of a run into `folder`, and return a listening socket for each party.

    The sockets are bound before any party starts and are handed over as they are: nobody else can take a port
    between the choice and its use.
    """
    (folder / FOLDER).mkdir(mode=0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("MPyC authority", authority_key, "MPyC authority", authority_key, authority=True)
    _write(folder / FOLDER / "mpyc_ca.crt", authority.public_bytes(serialization.Encoding.PEM))
    for rank in range(parties):
        key = ec.generate_private_key(ec.SECP256R1())
        name = f"MPyC party {rank}"  # the name that MPyC asks a certificate for
        signed = _certificate(name, key, "MPyC authority", authority_key)
        _write(folder / FOLDER / f"party_{rank}.crt", signed.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        _write(folder / FOLDER / f"party_{rank}.key", secret)
    return [_listening() for _ in range(parties)]


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.bind((ADDRESS, 0))
    listener.listen()
    return listener


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    authority: bool = False,
) -> x509.Certificate:
    subject_name, issuer_name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)
    )
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # a clock may be a little behind
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .sign(signer, hashes.SHA256())
    )


def _write(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
