"""Certificates for connections between programs of this machine, made at run time.

An authority signs what it is asked to and is forgotten: its own private key is never written. What is written goes into
files that only their owner may read (`files.write_secret`).
"""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADDRESS = "127.0.0.1"
LIFETIME = datetime.timedelta(days=2)  # long enough for a workshop, of little use to a thief


class Pair:
    """A private key and its certificate, signed by an authority or else by itself.

    Parameters
    ----------
    name : str
        Common name of the certificate.
    authority : Pair, optional
        Who signs it, one that was made with `signs`.
    serves : bool
        It is shown by a server of this machine: it holds for `ADDRESS` and "localhost", and for servers only.
    signs : bool
        It may sign others, no further authorities among them.
    """

    def __init__(self, name: str, authority: Pair | None = None, serves: bool = False, signs: bool = False) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = authority or self
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder(signer._name, self._name, self._key.public_key(), x509.random_serial_number())
        # A clock may be behind, or be set back by a day while the certificate is in use.
        made = made.not_valid_before(now - LIFETIME).not_valid_after(now + LIFETIME)
        made = made.add_extension(x509.BasicConstraints(ca=signs, path_length=0 if signs else None), critical=True)
        if signs:
            made = made.add_extension(_FOR_SIGNING, critical=True)
        for extension in self._about(signer, serves):
            made = made.add_extension(extension, critical=False)
        self._certificate = made.sign(signer._key, hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        """The certificate, in PEM: to be shown to everybody."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        """The private key, in PEM: a secret."""
        plain = serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)

    def _about(self, signer: Pair, serves: bool) -> list[x509.ExtensionType]:
        """Say whose key this is, who signed it and, of a server, which addresses it has."""
        keys = x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier
        known = [keys[0].from_public_key(self._key.public_key())]
        known.append(keys[1].from_issuer_public_key(signer._key.public_key()))
        if serves:
            at = x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ADDRESS))
            known += [x509.SubjectAlternativeName(at), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]
        return known


_OTHER_USES = "digital_signature content_commitment key_encipherment data_encipherment key_agreement encipher_only"
_FOR_SIGNING = x509.KeyUsage(
    **dict.fromkeys([*_OTHER_USES.split(), "decipher_only"], False), key_cert_sign=True, crl_sign=True
)
