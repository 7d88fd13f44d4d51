"""The columns of a cohort: checked, and encrypted with the secret key.

Whoever holds both the patients and the secret key need not encrypt by the public key, as TenSEAL does all the same:
SEAL's own classes, which TenSEAL ships, do it by the secret key, in half the time and half the bytes. Half of such a
ciphertext is random numbers that need not be secret: SEAL writes the seed in their place, and whoever loads the
ciphertext makes them again. It writes to a file only, so a ciphertext passes through a private temporary folder (it is
encrypted already), and is wrapped as TenSEAL wraps its own: a protocol buffer with the number of values, the ciphertext
and the scale.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tenseal as ts
import tenseal.sealapi as seal

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError

MEMORY = "/dev/shm"
_ROOM = 2**25  # bytes; the largest ciphertext of one column is a few million
_SIZES, _CIPHERTEXT, _SCALE = b"\x0a", b"\x12", b"\x19"  # fields 1 and 2 (with a length), field 3 (a double)


def checked(cohort: Any, limit: float | Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Return a cohort as float64, each value within its column's range, or all within one limit either way.

    CKKS overflows silently, so what is beyond its range is refused here; NaN is within none.
    """
    ranges = limit if isinstance(limit, Mapping) else None
    checks.table(cohort, "the cohort", ranges or (), error=EncryptionError, mend="give patients by columns")
    ranges = ranges or dict.fromkeys(cohort.columns, (-limit, limit))
    names = list(ranges)
    if not names or not all(isinstance(name, str) for name in names):
        raise EncryptionError(f"The columns of the cohort are {names!r}: give each a name, a text.")
    values = cohort[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    for (name, (low, high)), column in zip(ranges.items(), values.T, strict=True):
        wrong = ~((column >= low) & (column <= high))
        if wrong.any():
            # Not the value itself: it is a patient's, and errors end up in logs.
            raise EncryptionError(
                f"The value of column {name!r} in row {wrong.argmax()} is no number from {low:g} to {high:g}, and CKKS "
                "overflows silently: fill it in, scale it, or state a wider range."
            )
    return pd.DataFrame(values, columns=names)


def encrypted_columns(context: ts.Context, columns: Iterable[np.ndarray]) -> Iterator[bytes]:
    """Encrypt columns one after another."""
    inside = context.seal_context().data
    encoder, encryptor = seal.CKKSEncoder(inside), seal.Encryptor(inside, context.secret_key().data)
    with tempfile.TemporaryDirectory(prefix="columns-", dir=_in_memory()) as folder:
        file = Path(folder) / "ciphertext"
        for column in columns:
            plain = seal.Plaintext()
            encoder.encode(column.tolist(), context.global_scale, plain)
            encryptor.encrypt_symmetric(plain).save(str(file))
            yield _wrapped(file.read_bytes(), len(column), context.global_scale)


def _in_memory() -> str | None:
    """Return the folder that Linux keeps in memory, if there is room: on a disk it takes twice as long."""
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > _ROOM
    return MEMORY if usable else None


def _wrapped(ciphertext: bytes, size: int, scale: float) -> bytes:
    sizes = _varint(size)
    parts = [_SIZES, _varint(len(sizes)), sizes, _CIPHERTEXT, _varint(len(ciphertext)), ciphertext]
    return b"".join([*parts, _SCALE, struct.pack("<d", scale)])


def _varint(number: int) -> bytes:
    """Return a whole number as protocol buffers write it: 7 bits a byte, the lowest first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
