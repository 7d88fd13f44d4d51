"""Pseudonyms: the same person gets the same meaningless text, and only the holder of a key can say whose it is.

A hash without a key is no pseudonym: whoever can list the possible identifiers can hash them all
(`dictionary_attack`). A keyed hash (HMAC-SHA-256, RFC 2104) has no such list without the key. The records
stay personal data all the same (GDPR, recital 26): someone holds the key.

Identifiers are compared in one form (`identifiers`): Unicode NFC, no blanks around, nothing else changed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import NoReturn

import numpy as np
import pandas as pd

from ppml_helpers.errors import PseudonymError
from ppml_helpers.people import identifiers
from ppml_helpers.people.identifiers import new_key

__all__ = ["LENGTH", "Pseudonymiser", "new_key", "rotate"]

LENGTH = 32  #: characters of a pseudonym, 4 bits each


class Pseudonymiser:
    """Turn identifiers into pseudonyms with HMAC-SHA-256.

    A pseudonym is ``HMAC(key, length of domain || domain || identifier)``, the length as four bytes, so that no
    other pair of domain and identifier gives the same message: ("ab", "c") and ("a", "bc") stay apart. The first
    128 of the 256 bits are kept, as 32 hexadecimal characters. Two of n people share a pseudonym with a probability
    below n * n / 2**129: for a million people that is less than one in 10**26.

    Parameters
    ----------
    key : bytes
        Secret, random, at least 16 bytes: make one with `new_key` and keep it away from the pseudonymised records.
    domain : str
        What the pseudonyms are for, for example "research 2026". The same key gives unrelated pseudonyms in
        another domain, so that two recipients cannot join their tables. Not secret.
    """

    __slots__ = ("_key", "_prefix", "domain")

    def __init__(self, key: bytes, domain: str) -> None:
        self._key = identifiers.check_key(key, "key", PseudonymError)
        self.domain = identifiers.checked_text(domain, "domain", PseudonymError)
        encoded = self.domain.encode()
        self._prefix = len(encoded).to_bytes(4, "big") + encoded

    def __repr__(self) -> str:
        """Name the domain and never the key."""
        return f"Pseudonymiser(domain={self.domain!r}, key hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a pickle would hold the key in plain."""
        raise PseudonymError(f"{self!r} cannot be pickled or copied, the key would go with it: make another one.")

    def of(self, ids: Iterable[str]) -> pd.Series | np.ndarray:
        """Return the pseudonym of each identifier, 32 hexadecimal digits; a Series keeps its index, not its name."""
        return identifiers.like(ids, [self._one(text) for text in identifiers.checked(ids, "ids", PseudonymError)])

    def _one(self, text: str) -> str:
        return hmac.digest(self._key, self._prefix + text.encode(), "sha256").hex()[:LENGTH]


def rotate(old: Pseudonymiser, new: Pseudonymiser, ids: Iterable[str]) -> dict[str, str]:
    """Map old pseudonyms to new ones, so that tables can be carried over to a new key or domain.

    The map holds no identifier, and its order (sorted) tells nothing of theirs. It links the old tables to the
    new ones all the same: destroy it when the tables have been carried over.

    Parameters
    ----------
    old, new : Pseudonymiser
        Of the pseudonyms in use, and of those to come.
    ids : iterable of str
        The identifiers; repeats do no harm.

    Returns
    -------
    dict of str to str
        New pseudonym by old pseudonym.
    """
    for name, value in (("old", old), ("new", new)):
        if not isinstance(value, Pseudonymiser):
            raise PseudonymError(f"{name} is of type {type(value).__name__}, it must be a Pseudonymiser(key, domain).")
    if old.of(["x"]) == new.of(["x"]):
        raise PseudonymError("old and new have the same key and domain, nothing would change: give new another key.")
    texts = identifiers.checked(ids, "ids", PseudonymError)
    return dict(sorted(zip(old.of(texts), new.of(texts), strict=True)))
