"""Privacy models of a table: k-anonymity, l-diversity and t-closeness, measured by counting.

Rows that share all values of the quasi-identifiers form an equivalence class. All three models look at these classes
only. Rows are taken by position, so any index will do. A missing quasi-identifier is a value of its own ("missing"):
rows that lack the same entry are alike to somebody who reads the table. A missing sensitive entry is no value that l
counts, since whoever knows that a person's entry is there reads the others; t counts it as one, since that it is
missing can be news.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks, columns
from ppml_helpers.anonymise.hierarchy import distinct
from ppml_helpers.errors import AnonymityError

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
Diversity = Literal["distinct", "entropy"]
Distance = Literal["equal", "ordered"]
_ORDERED = {"numbers", "dates", "dates with a time zone", "values of the type Timedelta"}


def classes(df: pd.DataFrame, qi: Iterable[Hashable]) -> Whole:
    """Give each row the number of its equivalence class.

    Parameters
    ----------
    df : DataFrame
        One row a person.
    qi : iterable of column names
        The quasi-identifiers.

    Returns
    -------
    ndarray of int64, shape (rows,)
        0, 1, ... in order of first appearance.

    Raises
    ------
    AnonymityError
        If the table is empty, a column is unknown or named twice, or holds values that cannot be compared.
    """
    return class_numbers(df[name] for name in checked_columns(df, qi))


def k_anonymity(df: pd.DataFrame, qi: Iterable[Hashable]) -> int:
    """Return the size of the smallest equivalence class (Samarati and Sweeney 1998).

    Parameters and errors as for `classes`.

    Returns
    -------
    int
        The largest k for which the table is k-anonymous, at least 1.
    """
    return int(np.bincount(classes(df, qi)).min())


def l_diversity(
    df: pd.DataFrame, qi: Iterable[Hashable], sensitive: Hashable, kind: Diversity = "distinct"
) -> int | float:
    """Return how many values of the sensitive attribute the least diverse class holds (Machanavajjhala et al. 2007).

    Only known values count, and their shares for the entropy: five with one value and one missing are l = 1. A class
    whose entries are all missing holds 0.
    """
    checks.choice(kind, "kind", get_args(Diversity), error=AnonymityError)
    qi = checked_columns(df, qi, sensitive)
    values, known = sensitive_codes(df[sensitive], "equal")
    held = holdings(class_numbers(df[name] for name in qi), values)
    least = diversities(held, kind, known).min()
    return int(least) if kind == "distinct" else float(least)


def t_closeness(df: pd.DataFrame, qi: Iterable[Hashable], sensitive: Hashable, distance: Distance = "equal") -> float:
    """Return how far a class's distribution of the sensitive attribute can be from the table's (Li et al. 2007).

    The distance is the earth mover's: the least share of rows that must change their value, times how far they go.
    Here a missing entry counts as a value of its own, though for l it is none. l asks how many values somebody could
    have, and that nothing is recorded is none of them. t asks what a class shows, and that nothing is recorded is
    shown too: it may be as telling as a value. So look at both where many entries are missing.
    """
    checks.choice(distance, "distance", get_args(Distance), error=AnonymityError)
    qi = checked_columns(df, qi, sensitive)
    held = holdings(class_numbers(df[name] for name in qi), sensitive_codes(df[sensitive], distance)[0])
    return float(np.clip(class_distances(held, distance).max(), 0, 1))


# --------------------------------------------------------------------------------------------------------------
# Counting, shared with the rest of the package
# --------------------------------------------------------------------------------------------------------------


class Holdings(NamedTuple):
    """Which sensitive values each class holds; only pairs that occur, sorted by class, then value.

    `count` rows of the class `group` have the `value`; `size` counts the rows of each class.
    """

    group: Whole
    value: Whole
    count: Whole
    size: Whole


def holdings(groups: Whole, values: Whole) -> Holdings:
    """Count the values (numbered 0, 1, ...) in each class (numbered 0, 1, ... without gaps)."""
    width = int(values.max()) + 1
    pairs, count = np.unique(groups * width + values, return_counts=True)
    return Holdings(pairs // width, pairs % width, count, np.bincount(groups))


def diversities(held: Holdings, kind: Diversity, known: int) -> Real:
    """Count the known sensitive values of each class (those below `known`; the one after them is "missing").

    That is the distinct ones, or as many equally frequent ones as have the class's entropy.
    """
    there = held.value < known
    group, count, classes = held.group[there], held.count[there], len(held.size)
    if kind == "distinct":
        return np.bincount(group, minlength=classes).astype(float)
    size = np.bincount(group, count, classes)
    share = count / size[group]
    # A class with one value has an entropy of 0, and rounding must not make it less than one value.
    return np.maximum(np.exp(np.bincount(group, -share * np.log(share), classes)), 1) * (size > 0)


def class_distances(held: Holdings, distance: Distance) -> Real:
    """Return how far each class's distribution is from that of all rows."""
    overall = np.bincount(held.value, held.count) / held.count.sum()
    return _ordered_distance(held, overall) if distance == "ordered" else _equal_distance(held, overall)


def _equal_distance(held: Holdings, overall: Real) -> Real:
    """Total variation distance of each class: what it has too much of, which is also what it has too little of."""
    excess = held.count / held.size[held.group] - overall[held.value]
    return np.bincount(held.group, np.maximum(excess, 0))


def _ordered_distance(held: Holdings, overall: Real) -> Real:
    """Earth mover's distance over ranks: the mean gap between the cumulative distributions F (table) and G (class).

    G is a step function with few steps, so the gaps are summed step by step instead of value by value. On a step G is
    constant and F rises: the ranks before `cross` have F < G, those from it on F >= G.
    """
    if len(overall) == 1:
        return np.zeros(len(held.size))
    last = len(overall) - 1  # at the highest rank both are 1
    F = np.cumsum(overall)[:last]
    F_before = np.concatenate(([0.0], np.cumsum(F)))
    first_pair = np.concatenate(([0], np.cumsum(np.bincount(held.group))[:-1]))
    running = np.cumsum(held.count)
    G = (running - (running - held.count)[first_pair][held.group]) / held.size[held.group]
    end = np.append(held.value[1:], last)
    end[first_pair[1:] - 1] = last
    start = np.minimum(held.value, last)
    end = np.minimum(end, last)
    cross = np.clip(np.searchsorted(F, G), start, end)
    below = G * (cross - start) - (F_before[cross] - F_before[start])
    above = (F_before[end] - F_before[cross]) - G * (end - cross)
    before_first_step = F_before[np.minimum(held.value[first_pair], last)]  # G is 0 there
    return (np.bincount(held.group, below + above) + before_first_step) / last


def class_numbers(columns: Iterable[pd.Series]) -> Whole:
    """Give each distinct row of some columns a number, in order of first appearance."""
    first, *others = columns
    groups = value_codes(first)[0]
    for column in others:
        codes, found = value_codes(column)
        # Renumbering after each column keeps the products small enough for 64 bits, however many columns there are.
        groups = pd.factorize(groups * (len(found) + 1) + codes)[0]
    return pd.factorize(groups)[0].astype(np.int64)


def value_codes(values: pd.Series) -> tuple[Whole, pd.Index]:
    """Give each distinct value of a column a number, by first appearance; missing values share the last number."""
    codes, found = distinct(values)
    return np.where(codes < 0, len(found), codes).astype(np.int64), found


def sensitive_codes(values: pd.Series, distance: Distance) -> tuple[Whole, int]:
    """Return the number of each value, and how many are known: a missing one has the number after theirs.

    For the ordered distance the number is the rank among the values that occur.
    """
    codes, found = value_codes(values)
    if distance == "equal":
        return codes, len(found)
    dtype = values.dtype
    ordered = isinstance(dtype, pd.CategoricalDtype) and dtype.ordered
    kinds = {columns.kind(value) for value in found}
    if not ordered and (len(kinds) > 1 or not kinds <= _ORDERED):
        raise AnonymityError(
            f"Column {values.name!r} ({dtype}) has no order, which the ordered distance needs: use numbers, dates or "
            f"an ordered pandas Categorical, or distance='equal'."
        )
    lacking = int((codes == len(found)).sum())
    if lacking:
        raise AnonymityError(
            f"Column {values.name!r} misses {lacking} of {len(values)} entries, and a missing value has no place in an "
            f"order: fill or drop them, or use distance='equal'."
        )
    if ordered:
        return np.unique(values.cat.codes.to_numpy(), return_inverse=True)[1].astype(np.int64), len(found)
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(found, kind="stable")] = np.arange(len(found))
    return rank[codes], len(found)


# --------------------------------------------------------------------------------------------------------------
# Checks, shared with the rest of the room
# --------------------------------------------------------------------------------------------------------------


def checked_columns(
    df: pd.DataFrame, qi: Iterable[Hashable], sensitive: Hashable | None = None, name: str = "The table"
) -> list[Hashable]:
    """Check a table, its quasi-identifiers and its sensitive column; return the quasi-identifiers as a list."""
    try:
        names = [qi] if isinstance(qi, str) or not isinstance(qi, Iterable) else list(qi)
        needed = dict.fromkeys(names if sensitive is None else [*names, sensitive])
    except TypeError:  # no list, or a name that is none, such as a list
        raise AnonymityError(
            f"qi = {qi!r} and sensitive = {sensitive!r} must be a list of column names, and one: name some."
        ) from None
    if not names:
        raise AnonymityError("No quasi-identifier was named: name at least one column that others may know.")
    repeated = [one for place, one in enumerate(names) if one in names[:place]]
    if repeated:
        raise AnonymityError(f"The quasi-identifier {repeated[0]!r} is named twice: name each column once.")
    if sensitive is not None and sensitive in names:
        raise AnonymityError(
            f"Column {sensitive!r} is both sensitive and a quasi-identifier, it can be one of them: if others may know "
            f"it, it is no secret to protect."
        )
    checks.table(df, name, needed, error=AnonymityError, mend="give one row a person (of a Released, its `table`)")
    return names
