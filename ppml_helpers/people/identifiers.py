"""What counts as the same identifier, and what counts as a key: one rule for pseudonyms and vaults.

Two ways of typing one name must become one pseudonym, so identifiers are brought to one form first: Unicode NFC
("é" as one character, however it was typed) and no blanks around. Nothing else is changed: upper and lower case,
inner blanks and leading zeros may tell two people apart.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ppml_helpers.errors import KitError

KEY_BYTES = 32
SHORTEST_KEY = 16  # bytes: 128 bits, more than anyone can try


def new_key() -> bytes:
    """Return a new random key of 32 bytes from the operating system's generator."""
    return secrets.token_bytes(KEY_BYTES)


def check_key(key: Any, name: str, error: type[KitError], exactly: int | None = None) -> bytes:
    """Return the key if it can be one, of `exactly` so many bytes if that is given; never show it in the error."""
    mend = "make one with new_key()"
    if not isinstance(key, bytes):
        raise error(f"{name} is a {type(key).__name__}, a key must be bytes: {mend}.")
    if exactly is not None and len(key) != exactly:
        raise error(f"{name} has {len(key)} bytes, it must have exactly {exactly}: {mend}.")
    if len(key) < SHORTEST_KEY:
        raise error(f"{name} has {len(key)} bytes, it must have at least {SHORTEST_KEY}: {mend}.")
    if len(set(key)) == 1:
        raise error(f"{name} repeats one byte, a key must be random: {mend}.")
    return key


def normalise(text: str) -> str:
    """Return the one form of an identifier: Unicode NFC, no blanks around."""
    return unicodedata.normalize("NFC", text).strip()


def checked(ids: Iterable[str], what: str, error: type[KitError]) -> list[str]:
    """Return identifiers in their one form, or say which of them is none.

    The errors give position and type of a wrong value but not the value: messages end up in logs, and an
    identifier there would undo what the pseudonym is for.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise error(f"{what} is one {type(ids).__name__}, it must be a Series, array or list of texts: write [{what}].")
    if isinstance(ids, dict | set | frozenset | pd.DataFrame) or np.ndim(ids) > 1:
        raise error(f"{what} is a {type(ids).__name__}, it must be one column of texts: pass a Series, array or list.")
    return [checked_text(value, f"{what}[{position}]", error) for position, value in enumerate(ids)]


def checked_text(value: Any, where: str, error: type[KitError]) -> str:
    """Return one text in its one form, or say why it is none."""
    if not isinstance(value, str):
        if value is None or value is pd.NaT or value is pd.NA or value != value:
            raise error(f"{where} is missing, it must be text with something in it: drop or complete what has none.")
        raise error(
            f"{where} is of type {type(value).__name__}, it must be text (a number has lost its leading zeros, a date "
            f"its form): turn it into text first."
        )
    text = normalise(value)
    if not text:
        raise error(f"{where} is empty, it must be text with something in it: drop or complete what has none.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise error(f"{where} holds half a character, it is no valid Unicode: read the file as UTF-8 again.") from None
    return text


def like(ids: Iterable[str], values: list[str], name: str | None = None) -> pd.Series | np.ndarray:
    """Return values as what the ids were: a Series with the same index for a Series, otherwise an array."""
    if isinstance(ids, pd.Series):
        return pd.Series(values, index=ids.index, name=name, dtype="str")
    return np.array(values, dtype=object)
