"""Attribute disclosure: what a released table tells about a person whose class is known, without naming a row.

A **class** is the set of rows that share the values of the quasi-identifiers. The attacker knows a person's class, not
their row (k-anonymity sees to that), and reads the sensitive column of the class. The attacks are those that
l-diversity (Machanavajjhala et al. 2007) and t-closeness (Li et al. 2007) answer.

Conventions of all functions: a missing quasi-identifier is a value of its own. A missing sensitive value is
unknown: a class that holds one leaves the attacker in doubt, and nobody can be said to have guessed it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers.errors import AttackError


@dataclass(frozen=True)
class BestGuess:
    """How often the likeliest value is right.

    Attributes
    ----------
    accuracy : float
        Share of right guesses when each row is guessed by its class's most frequent value.
    base_rate : float
        The same when all rows are guessed by the table's most frequent value: no attack at all.
    """

    accuracy: float
    base_rate: float

    @property
    def lift(self) -> float:
        """Accuracy divided by the base rate: 1 if the classes tell nothing."""
        return self.accuracy / self.base_rate


@dataclass(frozen=True, eq=False)
class Skew:
    """How much likelier a value is in some classes than in the table.

    Attributes
    ----------
    base_rate : float
        Share of the value in the table.
    factors : ndarray of float, shape (rows,)
        Share of the value in the row's class, divided by the base rate; 1 where the class has no known value.
    """

    base_rate: float
    factors: NDArray[np.float64]

    @property
    def factor(self) -> float:
        """The largest factor of any class."""
        return float(self.factors.max())

    @property
    def rows(self) -> int:
        """Rows in the class, or classes, with the largest factor."""
        return self.rows_at_least(self.factor)

    def rows_at_least(self, factor: float) -> int:
        """Count the rows in classes where the value is at least `factor` times as frequent as in the table."""
        return int((self.factors >= factor * (1 - 1e-12)).sum())


@dataclass(frozen=True, eq=False)
class _Counts:
    """Rows of each class by sensitive value, one entry for each pair that occurs."""

    pair_class: NDArray[np.int64]
    pair_value: NDArray[np.int64]
    pair_rows: NDArray[np.int64]
    unknown: NDArray[np.int64]  # (classes,), rows whose value is missing
    row_class: NDArray[np.int64]  # (rows,)
    row_value: NDArray[np.int64]  # (rows,), -1 where missing
    values: pd.Index

    def by_class(self, of_pairs: NDArray[Any]) -> NDArray[Any]:
        """Sum a number of each pair over the values of a class."""
        return np.bincount(self.pair_class, weights=of_pairs, minlength=len(self.unknown))


def homogeneity(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable, value: Any = None) -> float:
    """Share of rows whose class has one sensitive value: whoever knows the class knows the value.

    An all-"no" class discloses as well as an all-"yes" one, and counts; but for a rare attribute it says little that
    was not to be expected, and the all-"yes" classes, which harm, drown among the others. So ask twice: once as it is,
    and once with `value` for the people who have what harms.

    Parameters
    ----------
    table : DataFrame
        As released.
    qi : sequence of column names
        The quasi-identifiers.
    sensitive : column name
    value : optional
        Count only rows with this value, and give their share *of the rows that have it*: of the patients with
        dementia, how many are known for certain to have it.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    AttackError
        If the table is empty, columns are unknown or repeated, or nobody has `value`.
    """
    return _certain(_counted(table, qi, sensitive), 1, value, sensitive)


def background_knowledge(
    table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable, excluded: int = 1, value: Any = None
) -> float:
    """Share of rows whose value is certain to an attacker who can rule out so many other values.

    The attacker is the worst one: those they can rule out are the right ones ("she has no cancer, I would know").
    So a row is certain if its class has at most ``excluded + 1`` values. For an attribute of two values, ruling out
    one is knowing the other: the share is 1 then, except where values are missing.

    Parameters
    ----------
    table, qi, sensitive, value
        As for `homogeneity`.
    excluded : int
        Number of values that the attacker can rule out, at least 0; 0 is `homogeneity`.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    AttackError
        As for `homogeneity`, or if `excluded` is no whole number of at least 0.
    """
    if isinstance(excluded, bool) or not isinstance(excluded, int | np.integer) or excluded < 0:
        raise AttackError(f"excluded is {excluded!r}; give a whole number of values, at least 0.")
    return _certain(_counted(table, qi, sensitive), 1 + int(excluded), value, sensitive)


def best_guess(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable) -> BestGuess:
    """Guess each person's sensitive value by the most frequent one of their class.

    Rows with a missing value are left out. For a rare attribute the base rate is near 1 and hides what the attack
    finds: read `skew` as well.
    """
    found = _counted(table, qi, sensitive)
    most = np.zeros(len(found.unknown), dtype=np.int64)
    np.maximum.at(most, found.pair_class, found.pair_rows)
    known = found.row_value[found.row_value >= 0]
    return BestGuess(float(most.sum() / len(known)), float(np.bincount(known).max() / len(known)))


def skew(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable, value: Any) -> Skew:
    """Compare the share of a value in each class with its share in the table.

    A class need not be homogeneous to harm: if 2 % of the table have dementia and 40 % of a class, everyone in it is
    20 times as suspect. Shares are of the rows whose sensitive value is known.

    Parameters
    ----------
    table, qi, sensitive
        As for `homogeneity`.
    value
        The sensitive value that harms.

    Returns
    -------
    Skew

    Raises
    ------
    AttackError
        As for `homogeneity`.
    """
    found = _counted(table, qi, sensitive)
    having = found.by_class(found.pair_rows * (found.pair_value == _place(found, value, sensitive)))
    known = found.by_class(found.pair_rows)
    base_rate = float(having.sum() / known.sum())
    share = np.divide(having, known, out=np.full(len(known), base_rate), where=known > 0)
    return Skew(base_rate, (share / base_rate)[found.row_class])


def _certain(found: _Counts, most: int, value: Any, sensitive: Hashable) -> float:
    """Share of rows in classes of at most so many values, none of them missing."""
    distinct = np.bincount(found.pair_class, minlength=len(found.unknown))
    certain = ((distinct <= most) & (found.unknown == 0))[found.row_class]
    if value is None:
        return float(certain.mean())
    return float(certain[found.row_value == _place(found, value, sensitive)].mean())


def _place(found: _Counts, value: Any, sensitive: Hashable) -> int:
    places = np.flatnonzero(found.values == value)
    if len(places) == 0:
        some = ", ".join(map(repr, found.values[:8].tolist()))
        raise AttackError(f"No row has {value!r} in {sensitive!r}; choose one of the values that occur: {some}.")
    return int(places[0])


def _counted(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable) -> _Counts:
    """Check the input, and count the rows of each class by sensitive value."""
    names = _checked(table, qi, sensitive)
    try:
        row_class = table.groupby(names, dropna=False, sort=False, observed=True).ngroup().to_numpy()
        row_value, values = pd.factorize(table[sensitive])
    except TypeError:
        raise AttackError("A column holds lists or other values that cannot be compared; make them text.") from None
    if len(values) == 0:
        raise AttackError(f"All values of {sensitive!r} are missing: there is nothing to disclose.")
    known = row_value >= 0
    pairs, pair_rows = np.unique(row_class[known] * len(values) + row_value[known], return_counts=True)
    unknown = np.bincount(row_class[~known], minlength=int(row_class.max()) + 1)
    return _Counts(*np.divmod(pairs, len(values)), pair_rows, unknown, row_class, row_value, pd.Index(values))


def _checked(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable) -> list[Hashable]:
    if not isinstance(table, pd.DataFrame):
        raise AttackError(f"The table must be a DataFrame; this is a {type(table).__name__}.")
    if len(table) == 0:
        raise AttackError("The table has no rows; give a table of at least one.")
    names = [qi] if isinstance(qi, str) else list(qi)
    if not names:
        raise AttackError("qi is empty; name at least one quasi-identifier.")
    if sensitive in names:
        raise AttackError(f"{sensitive!r} is sensitive and among the quasi-identifiers; it can be only one of them.")
    for name in [*names, sensitive]:
        if names.count(name) > 1:
            raise AttackError(f"qi names {name!r} twice; name each column once.")
        if (times := int((table.columns == name).sum())) != 1:
            has = f"has {times} columns {name!r}" if times else f"has no column {name!r}"
            raise AttackError(f"The table {has}; its columns begin {', '.join(map(str, table.columns[:8]))}.")
    return names
