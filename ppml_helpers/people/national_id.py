"""A national id with a check digit, as in the NHS number, in a range that is reserved for tests.

Ten digits: nine digits and one check digit. The digits are weighted 10, 9, ... 2 and the check digit 1; the sum is a
multiple of 11. That detects every single wrong digit and every swap of two neighbours. Ids of the kit begin with 999,
which the NHS keeps for tests: no person has one. (NHS Data Dictionary, NHS NUMBER, "Modulus 11 algorithm".)
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from ppml_helpers import checks
from ppml_helpers.errors import IdentityError

PREFIX = 999  # kept for tests
_WEIGHTS = tuple(range(10, 1, -1))
_GAP = "[ \u00a0\u202f-]?"  # a blank, also one that does not break, or a hyphen
_GROUPED = re.compile(f"[0-9]{{3}}{_GAP}[0-9]{{3}}{_GAP}[0-9]{{4}}")


def check_digit(nine_digits: str) -> int | None:
    """Return the check digit that belongs to nine digits.

    Examples
    --------
    >>> check_digit("943476591")
    9
    """
    if not isinstance(nine_digits, str) or not re.fullmatch("[0-9]{9}", nine_digits):
        raise IdentityError(
            f"nine_digits={nine_digits!r} has no check digit, it must be a text of exactly nine digits: "
            f"leave out blanks and the tenth digit."
        )
    digit = -sum(weight * int(character) for weight, character in zip(_WEIGHTS, nine_digits, strict=True)) % 11
    return None if digit == 10 else digit


def valid_national_id(text: str) -> bool:
    """Tell whether a text is ten digits, alone or grouped 3-3-4, with the right check digit.

    Parameters
    ----------
    text : str
        For example "9990000018", "999 000 0018" or "999-000-0018". Any prefix counts, not only 999.
    """
    if not isinstance(text, str):
        raise IdentityError(
            f"A national id is a {type(text).__name__}, it must be a text (a number has lost its leading zeros): put "
            f"it in quotes, and give one at a time."
        )
    if not _GROUPED.fullmatch(text):
        return False
    digits = re.sub("[^0-9]", "", text)
    return check_digit(digits[:9]) == int(digits[9])


def national_ids(first: int = 0, count: int | None = None) -> np.ndarray:
    """Return valid national ids of the test range in ascending order.

    Parameters
    ----------
    first : int
        Position of the first one to return; 0 is the smallest id.
    count : int, optional
        How many to return; all from `first` on by default (909,091 in the whole range).

    Returns
    -------
    ndarray of str, shape (count,)
        Ten digits each, without blanks.
    """
    numbers = valid_numbers()
    start = checks.whole(first, "first", 0, error=IdentityError)
    stop = len(numbers) if count is None else start + checks.whole(count, "count", 0, error=IdentityError)
    if max(start, stop) > len(numbers):
        raise IdentityError(
            f"first={first}, count={count} goes beyond the {len(numbers):,} valid national ids of the test range: "
            f"ask for fewer."
        )
    return numbers[start:stop].astype("U10")


@lru_cache(maxsize=1)
def valid_numbers() -> np.ndarray:
    """Return every valid id of the test range as a number, ascending, read-only (shape (909091,), int64)."""
    nine = PREFIX * 1_000_000 + np.arange(1_000_000)
    total = np.zeros_like(nine)
    rest = nine.copy()
    for weight in reversed(_WEIGHTS):
        rest, digit = np.divmod(rest, 10)
        total += weight * digit
    check = -total % 11
    numbers = (nine * 10 + check)[check < 10]
    numbers.flags.writeable = False  # cached: nobody may change what others get
    return numbers
