"""What counts as the same identifier, and what counts as a key: one rule for pseudonyms and vaults.

Two ways of typing one name must become one pseudonym, so identifiers are brought to one form first: Unicode NFC
("é" as one character, however it was typed) and no blanks around, those without width among them (a file's byte order
mark). Nothing else is changed: upper and lower case, inner blanks and leading zeros may tell two people apart. Two
texts that merely look alike, and the text that a missing value became, are refused.
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

#: What Python and pandas make of a missing value when it is turned into text: everybody without a number would be one.
MISSING = frozenset({"nan", "NaN", "None", "<NA>", "NaT"})

# Characters that nobody sees and that come along when text is copied or a file is read: soft hyphen, zero-width space,
# marks of direction, word joiner, byte order mark. The two joiners of Persian and Indian names are none of them.
_UNSEEN = "".join(
    map(chr, [0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF])
)


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
    if len(set(key)) < SHORTEST_KEY // 2:
        raise error(f"{name} repeats the same few bytes, a key must be random: {mend}.")
    if _is_text(key):
        raise error(f"{name} is text, as a password is, and can be guessed; a key must be random bytes: {mend}.")
    return key


def _is_text(key: bytes) -> bool:
    """Tell whether somebody typed the key, in any encoding, filled up with zeros or not.

    Of random keys of 32 bytes fewer than one in 10**10 look like that, of 16 bytes fewer than one in 100,000.
    """
    filled = key.replace(b"\0", b"")
    typed = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in filled)
    try:
        return len(filled) - typed <= len(key) // 16 or filled.decode().strip("\ufeff\t\r\n").isprintable()
    except UnicodeDecodeError:
        return False


def normalise(text: str) -> str:
    """Return the one form of an identifier: Unicode NFC, no blanks around."""
    around = len(text)
    while len(text := text.strip().strip(_UNSEEN)) < around:
        around = len(text)
    return unicodedata.normalize("NFC", text)


def checked(ids: Iterable[str], what: str, error: type[KitError]) -> list[str]:
    """Return identifiers in their one form, or say which of them is none.

    The errors give position and type of a wrong value but not the value: messages end up in logs, and an
    identifier there would undo what the pseudonym is for.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise error(f"{what} is one {type(ids).__name__}, it must be a Series, array or list of texts: write [{what}].")
    if isinstance(ids, dict | set | frozenset | pd.DataFrame) or getattr(ids, "ndim", 1) != 1:
        raise error(f"{what} is a {type(ids).__name__}, it must be one column of texts: pass a Series, array or list.")
    return [checked_text(value, f"{what}[{position}]", error) for position, value in enumerate(ids)]


def checked_text(value: Any, where: str, error: type[KitError]) -> str:
    """Return one text in its one form, or say why it is none."""
    if not isinstance(value, str):
        if pd.api.types.is_scalar(value) and pd.isna(value):
            raise error(f"{where} is missing, it must be text with something in it: drop or complete what has none.")
        raise error(
            f"{where} is of type {type(value).__name__}, it must be text (a number has lost its leading zeros, a date "
            f"its form): turn it into text first."
        )
    text = normalise(value)
    if not text:
        raise error(f"{where} is empty, it must be text with something in it: drop or complete what has none.")
    if text in MISSING:
        raise error(
            f"{where} is the text {text!r}, which is what a missing value becomes as text: drop or complete what has "
            f"none before that."
        )
    if hidden := sorted(set(text) & set(_UNSEEN)):
        raise error(
            f"{where} holds a character that cannot be seen (U+{ord(hidden[0]):04X}), so that two texts would look the "
            f"same: remove it."
        )
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
