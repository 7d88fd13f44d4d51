"""Who holds which key: the one who can decrypt, and everyone who only computes or sends.

A key holder makes the keys and sends one public message. Whoever builds a :class:`Party` from that message can encrypt
(if the message holds the public key) and compute, but never decrypt. Beside it both sides need the message key, which
proves that a message is genuine and travels on a way of its own: whoever carries the ciphertexts must not have it.
"""

from __future__ import annotations

import operator
import secrets
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.keys import load_public, public_part
from ppml_helpers.homomorphic_encryption.messages import Letter, Mailbox, new_message_key

Progress = Callable[[float, str], Any]


class _Purpose:
    """What the keys are for: the keys of one computation are refused by the parties of another."""

    purpose: ClassVar[str]

    @classmethod
    def _kind(cls) -> str:
        return f"public keys for {cls.purpose}"


class KeyHolder(_Purpose):
    """The one party that can decrypt."""

    def __init__(
        self,
        context: ts.Context,
        fingerprint: str,
        facts: dict[str, Any],
        relin: bool = False,
        public_key: bool = False,
        galois: bool = False,
    ) -> None:
        self.message_key = new_message_key()
        self._context = context
        self._mailbox = Mailbox(self.message_key, secrets.token_hex(8), fingerprint, "key holder")
        keys = public_part(context, relin=relin, public_key=public_key, galois=galois)
        self._public = self._mailbox.seal(self._kind(), [keys], 0, **facts)

    def public_bytes(self) -> bytes:
        """Return the message from which every other party is built; it holds no secret key."""
        return self._public


class Party(_Purpose):
    """A party that computes or sends, built from bytes only; it cannot decrypt.

    Parameters
    ----------
    public_bytes : bytes
        The key holder's public message.
    message_key : bytes
        The key that authenticates messages.
    name : str
        The name under which this party sends.

    Raises
    ------
    EncryptionError
        If the message is not genuine or holds a secret key.
    """

    def __init__(self, public_bytes: bytes, message_key: bytes, name: str) -> None:
        self._mailbox = Mailbox.answering(public_bytes, message_key, name)
        letter = self._mailbox.open(public_bytes, self._kind(), sender="key holder")
        self._context = load_public(letter.parts[0])
        self._facts = letter.facts

    def _open_all(self, messages: Sequence[bytes], kind: str) -> list[Letter]:
        """Open one message each of several senders."""
        if isinstance(messages, bytes | str) or not len(messages):
            raise EncryptionError("No message was given, at least one is needed: pass a list of messages.")
        letters = [self._mailbox.open(message, kind) for message in messages]
        senders = [letter.sender for letter in letters]
        twice = next((name for name in senders if senders.count(name) > 1), None)
        if twice is not None:
            raise EncryptionError(f"{twice!r} sent two messages, one a party may be counted: drop the older one.")
        return letters


class ComputingParty(Party):
    """The party that computes on what others encrypted: made as every `Party`, and sends under the name "server"."""

    def __init__(self, public_bytes: bytes, message_key: bytes) -> None:
        super().__init__(public_bytes, message_key, "server")


def load(context: ts.Context, part: bytes) -> ts.CKKSVector:
    """Return the CKKS ciphertext of an authenticated part.

    Raises
    ------
    EncryptionError
        If the part is no CKKS ciphertext of these parameters.
    """
    try:
        return ts.ckks_vector_from(context, part)
    except (ValueError, RuntimeError, MemoryError):
        raise EncryptionError(
            "A part of an authenticated message is no ciphertext of these parameters: let its sender make it anew."
        ) from None


def chunks(values: np.ndarray, slots: int) -> list[np.ndarray]:
    """Cut a column into pieces of `slots` values, the last filled up with zeros.

    A full piece means that every slot is known to be data or zero, so a sum over all slots is a sum over patients.
    """
    pieces = -(-len(values) // slots)
    return list(np.pad(values, (0, pieces * slots - len(values))).reshape(pieces, slots))


def checked_table(table: Any) -> pd.DataFrame:
    """Return a table of finite numbers with unique column names, as float64."""
    table = table if isinstance(table, pd.DataFrame) else _framed(table)
    if table.empty:
        raise EncryptionError(
            f"The cohort has {table.shape[0]} patients and {table.shape[1]} columns, at least one of each is needed: "
            "check how it was selected."
        )
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise EncryptionError(f"Two columns are named {repeated[0]!r}, names must be unique: rename one.")
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        row, column = wrong[0]
        raise EncryptionError(
            f"Column {table.columns[column]!r} holds {table.iat[row, column]!s}, every value must be a finite number: "
            "fill or drop it before you encrypt."
        )
    return pd.DataFrame(numbers, index=table.index, columns=table.columns.map(str))


def _framed(table: Any) -> pd.DataFrame:
    try:
        values = np.asarray(table)
        if values.ndim == 2:
            return pd.DataFrame(values, columns=[f"x{number}" for number in range(values.shape[1])])
    except ValueError:  # columns of unequal length
        pass
    raise EncryptionError(
        "The cohort is no table of patients by columns: pass a DataFrame, or an array with two dimensions whose "
        "columns are equally long."
    )


def check_range(table: pd.DataFrame, ranges: dict[str, tuple[float, float]]) -> None:
    """Refuse values beyond the stated range: in CKKS an overflow is silent."""
    for name, (low, high) in ranges.items():
        values = table[name].to_numpy()
        outside = (values < low) | (values > high)
        if outside.any():
            raise EncryptionError(
                f"Column {name!r} holds {values[outside][0]:g}, beyond its stated range [{low:g}, {high:g}]: state a "
                "wider range or correct the value (an overflow of encrypted numbers would go unnoticed)."
            )


def whole(value: Any, name: str, least: int, most: int) -> int:
    """Return a whole number in a range.

    Raises
    ------
    EncryptionError
        If it is anything else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not least <= number <= most:
        raise EncryptionError(f"{name} = {value!r} must be a whole number from {least:,} to {most:,}: choose one.")
    return number


def positive(value: Any, name: str, most: float = np.inf) -> float:
    """Return a finite number above 0.

    Raises
    ------
    EncryptionError
        If it is anything else.
    """
    number = value if isinstance(value, int | float | np.number) and not isinstance(value, bool) else np.nan
    if not (0 < number <= most and np.isfinite(number)):
        limit = f"above 0 and at most {most:g}" if np.isfinite(most) else "finite and above 0"
        raise EncryptionError(f"{name} = {value!r} must be a number {limit}: choose one.")
    return float(number)
