"""Date shifting: all dates of a person are moved by the same number of days, which only a key tells.

What lies between two dates of one person stays, which is what most analyses need; the day itself, its weekday and its
season go. It is a pseudonym for dates and no more: one date that somebody knows (a newspaper names the day of an
accident) gives the shift of that person and so all other dates. What depends on the calendar (an epidemic, a weekend)
cannot be studied any more, and a birth date that is shifted still tells the age.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.errors import PseudonymError
from ppml_helpers.people import identifiers
from ppml_helpers.people.fictional import plain_dates

LONGEST = 36_525  # days: a century

# A `Pseudonymiser` puts the length of its domain into the first four bytes of what it hashes, and no domain is 1.7 GB
# long: so the same key may serve both, and no pseudonym gives a shift away.
_CONTEXT = b"date shift of person "


def shift_dates(dates: pd.Series, ids: Iterable[str], key: bytes, most: int = 182) -> pd.Series:
    """Move each date by its person's own number of days, from `most` days back to `most` days ahead.

    The number is ``HMAC-SHA-256(key, "date shift of person " || identifier)`` modulo (2 most + 1), less `most`: every
    shift is equally likely, none at all among them, so that nobody can rule a day out.

    Parameters
    ----------
    dates : Series of datetime64
        Any number of dates a person; a missing one stays missing. Of a date with a time zone its clock is moved.
    ids : iterable of str
        Whose date each is, in the same order (and with the same index, if it is a Series).
    key : bytes
        Secret, random, at least 16 bytes (`new_key`). With the same key, tables that are shifted apart fit together.
    most : int
        Longest shift in days, at least 1.

    Returns
    -------
    Series of datetime64
        Index and name of `dates`.

    Raises
    ------
    PseudonymError
        If a date, an identifier or the key is none, or the two do not belong together.
    """
    identifiers.check_key(key, "key", PseudonymError)
    most = checks.whole(most, "most", 1, LONGEST, error=PseudonymError)
    if not isinstance(dates, pd.Series) or not pd.api.types.is_datetime64_any_dtype(dates.dtype):
        raise PseudonymError("dates must be one column of dates (datetime64): pass a Series, made with pd.to_datetime.")
    texts = identifiers.checked(ids, "ids", PseudonymError)
    if len(texts) != len(dates) or (isinstance(ids, pd.Series) and not ids.index.equals(dates.index)):
        raise PseudonymError(
            f"There are {len(texts)} ids for {len(dates)} dates, each date needs its person's, in the same order and "
            f"with the same index: take both from one table."
        )
    shift = {text: _shift(text, key, most) for text in set(texts)}
    days = np.array([shift[text] for text in texts], dtype="timedelta64[D]")
    return plain_dates(dates) + days


def _shift(text: str, key: bytes, most: int) -> int:
    """Return a person's shift in days; 256 bits leave no shift more likely than another."""
    return int.from_bytes(hmac.digest(key, _CONTEXT + text.encode(), "sha256")) % (2 * most + 1) - most
