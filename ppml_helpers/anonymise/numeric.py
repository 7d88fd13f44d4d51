"""Local treatment: change values where they identify, in place of coarsening whole columns or leaving rows out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.anonymise.demand import checked_k
from ppml_helpers.anonymise.models import Real, Whole, checked_columns, class_numbers
from ppml_helpers.errors import AnonymityError


def rounded(values: pd.Series, step: float) -> pd.Series:
    """Round numbers to the nearest multiple of a step; halves go to the even multiple, missing values stay."""
    step = checks.number(step, "step", 0, above=True, error=AnonymityError)
    digits = max(0, -Decimal(str(step)).as_tuple().exponent)  # or 3 steps of 0.1 would be 0.30000000000000004
    return ((_numbers(values) / step).round() * step).round(digits)


def top_coded(values: pd.Series, most: float) -> pd.Series:
    """Replace every number above `most` by it: the few extremes look like the many at the end of the scale."""
    most = checks.number(most, "most", error=AnonymityError)
    return _numbers(values).clip(upper=most)


def _numbers(values: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        raise AnonymityError(f"Column {values.name!r} ({values.dtype}) holds no numbers: take a numeric column.")
    return values


def microaggregate(df: pd.DataFrame, columns: Iterable[Hashable], k: int) -> pd.DataFrame:
    """Replace numbers by the means of groups of at least k rows that are alike: k-anonymous, and no column is coarser.

    MDAV: Domingo-Ferrer and Mateo-Sanz (2002), "Practical data-oriented microaggregation for statistical disclosure
    control", IEEE Transactions on Knowledge and Data Engineering 14: 189-201. The row farthest from the middle takes
    its k - 1 nearest with it, then the row farthest from that one does, until fewer than 2k are left, who are the last
    group. Columns are compared in standard deviations. A mean is exact to the patients of its group only.

    Parameters
    ----------
    df : DataFrame
        One row a person; not changed.
    columns : iterable of column names
        Numeric, without missing values.
    k : int
        Fewest rows of a group.

    Returns
    -------
    DataFrame
        A copy with the means in `columns`; each group has k to 2k - 1 rows, and each column keeps its sum.

    Raises
    ------
    AnonymityError
        If a column is unknown, holds no numbers or misses some, or k is more than the table has rows.
    """
    names = checked_columns(df, columns)
    k = checked_k(k, len(df))
    numbers = np.column_stack([_numbers(df[name]).to_numpy(dtype=float, na_value=np.nan) for name in names])
    if not np.isfinite(numbers).all():
        name = names[int(np.flatnonzero(~np.isfinite(numbers).all(axis=0))[0])]
        raise AnonymityError(f"Column {name!r} lacks numbers, and a gap has no nearest row: fill or drop it first.")
    spread = numbers.std(axis=0)
    group = _mdav((numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1), k)
    size = np.bincount(group)
    table = df.copy()
    for name, values in zip(names, numbers.T, strict=True):
        table[name] = (np.bincount(group, values) / size)[group]
    return table


def _mdav(points: Real, k: int) -> Whole:
    """Return the group of each row; of rows that are equally far the first is taken."""
    group, left, number = np.zeros(len(points), dtype=np.int64), np.arange(len(points)), 0

    def distances(point: Real) -> Real:
        return ((points[left] - point) ** 2).sum(axis=1)

    while len(left) >= 2 * k:
        start = points[left].mean(axis=0)
        for _ in range(2 if len(left) >= 3 * k else 1):
            end = points[left[distances(start).argmax()]]
            nearest = np.argsort(distances(end), kind="stable")[:k]
            group[left[nearest]] = number
            left, start, number = np.delete(left, nearest), end, number + 1
    group[left] = number
    return group


class CellsSuppressed(NamedTuple):
    """A table with entries taken out.

    Attributes
    ----------
    table : DataFrame
        The rows that stay, with their index; an entry taken out is missing.
    blank : DataFrame of bool
        For every row of the original and each quasi-identifier, whether the entry is gone.
    """

    table: pd.DataFrame
    blank: pd.DataFrame


def suppress_cells(df: pd.DataFrame, qi: Iterable[Hashable], k: int) -> CellsSuppressed:
    """Take out entries, in place of rows, until every class has k rows.

    Whoever is in a class of fewer than k rows loses the first column of `qi`; whoever still is loses the second, and so
    on. So name first what is missed least. A missing entry is a value of its own: rows that lack the same are alike.
    The last ones, without any entry left, are one class; if they are fewer than k, they go.

    Parameters
    ----------
    df : DataFrame
        One row a person; not changed.
    qi : iterable of column names
        The quasi-identifiers, the one to give up first in front.
    k : int
        Fewest rows of a class.

    Returns
    -------
    CellsSuppressed
        At most k - 1 rows are left out. Sort the table before it leaves: its index says whose row is whose.

    Raises
    ------
    AnonymityError
        If a column is unknown, or k is more than the table has rows.
    """
    names = checked_columns(df, qi)
    k = checked_k(k, len(df))
    table = df.astype({name: "object" for name in names if not pd.api.types.is_float_dtype(df[name].dtype)})
    blank = pd.DataFrame(False, index=df.index, columns=names)
    small = _in_small_classes(table, names, k)
    for name in names:
        table[name] = table[name].mask(small)
        blank[name] |= small
        small = _in_small_classes(table, names, k)
    blank.loc[small] = True
    return CellsSuppressed(table[~small], blank)


def _in_small_classes(table: pd.DataFrame, names: list[Hashable], k: int) -> np.ndarray:
    group = class_numbers(table[name] for name in names)
    return np.bincount(group)[group] < k
