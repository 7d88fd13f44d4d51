"""The checks of arguments, once: each refuses in one sentence that names the value, the rule and the mend.

Every check takes the value, what to call it, and the kit's own error to raise; it returns the value in its plain form
(`int`, `float` ...), so that nothing behind it has to know NumPy's scalars. Where the rule needs a reason, or the mend
more than "choose one", the caller gives it as `mend`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ppml_helpers.errors import KitError


def whole(
    value: Any,
    name: str,
    least: int,
    most: int | None = None,
    *,
    error: type[KitError] = KitError,
    mend: str = "choose one",
) -> int:
    """Return a whole number from `least` to `most`; True, 2.0, "2" and NaN are none."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        rule = f"from {least:,} to {most:,}" if most is not None else f"of at least {least:,}"
        raise error(f"{name} = {shown(value)} must be a whole number {rule}: {mend}.")
    return number


def number(
    value: Any,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    error: type[KitError] = KitError,
    mend: str = "choose one",
) -> float:
    """Return a finite number from `low` to `high`; with `above` or `below`, that end itself is refused too."""
    try:
        given = float(value) if isinstance(value, Real) and not isinstance(value, bool | np.bool_) else math.nan
    except OverflowError:  # 10**400 is an int that no float can hold
        given = math.inf
    low_enough = math.isfinite(given) and (given > low if above else given >= low)
    if not (low_enough and (given < high if below else given <= high)):
        raise error(f"{name} = {shown(value)} must be a finite number{_range(low, high, above, below)}: {mend}.")
    return given


def floats(value: Any, name: str, *, error: type[KitError] = KitError, mend: str = "convert it") -> np.ndarray:
    """Return numbers as an array of float64; what a mask hides is missing (NaN), and not what lies behind the mask."""
    try:
        if isinstance(value, np.ma.MaskedArray):
            return value.astype(float).filled(np.nan)
        return np.array(value, dtype=float)
    except (TypeError, ValueError, RuntimeError):  # the last from a tensor that takes part in a training
        raise error(f"{name} holds something that is no number: {mend}.") from None


def shown(value: Any) -> str:
    """Return a value as a person would type it, in one short line."""
    try:
        line = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    except ValueError:  # Python writes no int of more than 4,300 digits
        line = f"a number of {value.bit_length():,} bits"
    return line if len(line) <= 100 else f"{line[:97]}..."


def _range(low: float, high: float, above: bool, below: bool) -> str:
    """Return a range in words, with a space in front; nothing for the whole line."""
    least, most = (f"{end:,.10g}" for end in (low, high))
    ends = [f"above {least}" if above else f"of at least {least}"] if low > -math.inf else []
    ends += [f"below {most}" if below else f"of at most {most}"] if high < math.inf else []
    if len(ends) == 2 and not above and not below:
        return f" from {least} to {most}"
    return " " + " and ".join(ends) if ends else ""


def share(value: Any, name: str, *, error: type[KitError] = KitError, mend: str = "choose one") -> float:
    """Return a share, from 0 to 1 with both ends."""
    return number(value, name, 0, 1, error=error, mend=mend)


def choice(value: Any, name: str, options: Iterable[Any], *, error: type[KitError] = KitError) -> Any:
    """Return a value that is one of the options; True is not 1, and 1.0 is not 1."""
    offered = list(options)
    given = value.item() if isinstance(value, np.generic) else value
    if not any(type(given) is type(option) and given == option for option in offered):
        raise error(f"{name} = {shown(value)} is not on offer: choose one of {', '.join(map(repr, offered))}.")
    return given


def table(
    value: Any,
    name: str,
    columns: Iterable[Hashable] = (),
    *,
    error: type[KitError] = KitError,
    mend: str = "load or make one",
) -> pd.DataFrame:
    """Return a DataFrame with at least one row, no column name twice, and all of `columns`."""
    if not isinstance(value, pd.DataFrame):
        raise error(f"{name} is of type {type(value).__name__}, it must be a pandas DataFrame: {mend}.")
    repeated = value.columns[value.columns.duplicated()]
    if len(repeated):
        raise error(f"{name} has two columns named {repeated[0]!r}, names must be unique: rename one.")
    there = list(value.columns)  # a list compares, where an Index would hash: ["age"] is no name of a column
    missing = [column for column in columns if column not in there]
    if missing:
        some = ", ".join(map(str, there[:12])) or "none"
        raise error(f"{name} lacks the column {missing[0]!r}: add it, or name one of those that are there ({some}).")
    if not len(value):
        raise error(f"{name} has no rows, at least one is needed: {mend}.")
    return value
