"""A column of a table as plain values, whatever type pandas keeps it in, so that equal values are found equal.

63, 63.0 and a database's decimal 63.00 are one value, a day is its midnight, and no whole number passes through a float
on the way (2**53 and 2**53 + 1 stay two).
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers.errors import KitError

#: What a released table writes for a missing entry: alone, or after the other values of a box ("60-67|missing").
MISSING = "missing"


def numbered(column: pd.Series, name: str, error: type[KitError]) -> tuple[NDArray[np.int64], pd.Index]:
    """Return the number of each row's value (-1 where missing) and the distinct values, in order of appearance.

    Raises
    ------
    KitError
        Of the given class, if the values cannot be compared, such as lists.
    """
    try:
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes, used = pd.factorize(column.cat.codes.to_numpy())
            found = [None if place < 0 else column.cat.categories[place] for place in used]
        else:
            codes, found = pd.factorize(simple(column).array)
        if isinstance(found, np.ndarray) and found.dtype != object:
            return codes.astype(np.int64), pd.Index(found)
        number: dict[Any, int] = {}
        each = [-1 if (value := plain(one)) is None else number.setdefault(value, len(number)) for one in found]
    except TypeError:
        raise error(
            f"The column {name} holds values that cannot be compared, such as lists: give it text, numbers or dates."
        ) from None
    values = pd.Index(list(number), dtype=object, tupleize_cols=False)
    narrow = values.infer_objects()
    if not (pd.api.types.is_float_dtype(narrow) and any(type(value) is int for value in number)):
        values = narrow
    return np.append(each, -1)[codes].astype(np.int64), values


def simple(column: pd.Series) -> pd.Series:
    """Return a column in a type that pandas can count: objects for Arrow's dictionaries, lists, decimals and views."""
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype) and not _has_scalar(dtype):
        found = column.array.__arrow_array__().to_pylist()
        return pd.Series(found, index=column.index, name=column.name, dtype=object)
    if dtype == np.float16:
        return column.astype(np.float32)
    if isinstance(dtype, pd.SparseDtype):
        return column.sparse.to_dense()
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind == "O":
        return pd.Series(list(column), index=column.index, name=column.name, dtype=object)
    return column


def _has_scalar(dtype: pd.ArrowDtype) -> bool:
    """Tell whether pandas can take one value out of such a column; out of views and spans of months it cannot."""
    try:
        return dtype.type is not None
    except RuntimeError:  # of the kind that pandas raises for a type that it has not finished
        return False


def plain(value: Any) -> Any:
    """Return a value as Python's text, number, or pandas' moment that equals it; None if it is missing."""
    if isinstance(value, str):
        return str(value)
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, np.datetime64 | datetime.date):
        return pd.Timestamp(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == int(value) else float(value)
    return value


def kind(value: Any) -> str:
    """Return what a plain value is, for sentences: values of two kinds are never equal."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "numbers"
    if isinstance(value, pd.Timestamp):
        return "dates" if value.tzinfo is None else "dates with a time zone"
    return f"values of the type {type(value).__name__}"


def as_objects(values: pd.Series) -> np.ndarray:
    """Return a column as Python's own objects, None where a value is missing, whatever pandas type holds it."""
    values = simple(values)
    return values.astype(object).where(values.notna().to_numpy(), None).to_numpy()


def is_one_of(values: pd.Series, levels: Iterable[Any]) -> np.ndarray:
    """Tell of each value whether it is one of the levels; a missing one is none, and so is a list."""
    known = set(levels)
    return np.array([isinstance(value, Hashable) and value in known for value in as_objects(values)], dtype=bool)


def as_numbers(values: pd.Series, text: bool = True) -> np.ndarray:
    """Return a column as floats, whatever pandas type holds it: NaN where it is missing or no number.

    Text that reads as a number is one, unless `text` is False. A date is none, although pandas would count its
    nanoseconds.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iufb":
        return values.to_numpy(dtype=float)
    return np.array([_as_number(value, text) for value in as_objects(values)], dtype=float)


def _as_number(value: Any, text: bool) -> float:
    if isinstance(value, str) and (not text or "_" in value):
        return np.nan
    if not isinstance(value, str | Real | Decimal | np.bool_):
        return np.nan
    try:
        return float(value)
    except ValueError:  # text that is no number
        return np.nan
    except OverflowError:  # 10**400 is an int that no float can hold
        return np.inf
