"""The public part of an encryption context: what a server may hold, and the proof that it holds no more.

`make_context_public()` is not enough: the context then says that it is public, and its decryptor still lives in the
same process. Only bytes that were written without the secret key, and read back, are clean.
"""

from __future__ import annotations

import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import parameters as sets

_MEND = "send what public_bytes() returns"


def public_part(context: ts.Context, relin: bool = False, public_key: bool = False, galois: bool = False) -> bytes:
    """Return a context as bytes without the secret key, and with no other key that was not asked for."""
    data = context.serialize(
        save_public_key=public_key, save_secret_key=False, save_galois_keys=galois, save_relin_keys=relin
    )
    load_public(data)
    return data


def load_public(data: bytes) -> ts.Context:
    """Read a context and refuse one that can decrypt or is weaker than 128 bits."""
    if not isinstance(data, bytes):
        raise EncryptionError(f"The public context is a {type(data).__name__}, not bytes: {_MEND}.")
    try:
        context = ts.context_from(data, n_threads=1)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise EncryptionError(f"The public context cannot be read ({error}): {_MEND}.") from None
    check_public(context)
    top = context.seal_context().data.key_context_data()
    sets.check_bits(top.parms().poly_modulus_degree(), top.total_coeff_modulus_bit_count())
    return context


def check_public(context: ts.Context) -> None:
    """Refuse a context that can decrypt."""
    if context.has_secret_key() or context.is_private():
        raise EncryptionError(f"The context holds a secret key, with which a server could read everything: {_MEND}.")
    try:
        context.decryptor()
    except ValueError:
        return
    raise EncryptionError(
        "The context says that it is public, but its decryptor still lives in this process (make_context_public leaves "
        f"it): {_MEND}."
    )
