"""What a released table tells without naming a row: a secret of somebody's class, and who is in the table.

A **class** is the set of rows that share the values of the quasi-identifiers. The attacker knows a person's class, not
their row (k-anonymity sees to that), and reads the sensitive column of the class. The attacks are those that
l-diversity (Machanavajjhala et al. 2007) and t-closeness (Li et al. 2007) answer. `listed` asks less: who is in it.

Conventions of all that look at a secret: a missing quasi-identifier is a value of its own. A missing sensitive value is
unknown: a class that holds one leaves the attacker in doubt, and nobody can be said to have guessed it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.anonymise.models import Holdings, Whole, checked_columns, class_numbers, holdings, value_codes
from ppml_helpers.anonymise.multidimensional import Boxes
from ppml_helpers.anonymise.released import Released, check_released
from ppml_helpers.errors import AnonymityError


class Skew(NamedTuple):
    """How much likelier a value is in some class than in the table.

    Attributes
    ----------
    base_rate : float
        Share of the value in the table.
    factor : float
        The largest share of the value in a class, divided by the base rate.
    """

    base_rate: float
    factor: float


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
    AnonymityError
        If the table is empty, columns are unknown or repeated, or nobody has `value`.
    """
    return background_knowledge(table, qi, sensitive, 0, value)


def background_knowledge(
    table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable, excluded: int = 1, value: Any = None
) -> float:
    """Share of rows whose value is certain to an attacker who can rule out so many other values.

    The attacker is the worst one: those they can rule out are the right ones ("she has no cancer, I would know").
    So a row is certain if its class has at most ``excluded + 1`` values. A missing one is no value, as l counts: it
    hides nobody from an attacker who takes everybody in the class for ill. For an attribute of two values, ruling out
    one is knowing the other: the share is 1 then, except in classes of which nothing is known.

    Parameters
    ----------
    table, qi, sensitive, value
        As for `homogeneity`, with its errors.
    excluded : int
        Number of values that the attacker can rule out, at least 0; 0 is `homogeneity`.

    Returns
    -------
    float
        From 0 to 1.
    """
    excluded = checks.whole(excluded, "excluded", 0, error=AnonymityError)
    read = _read(table, qi, sensitive)
    known = read.held.group[read.held.value < len(read.values)]
    values = np.bincount(known, minlength=len(read.held.size))  # in each class
    certain = ((values > 0) & (values <= 1 + excluded))[read.row_class]
    asked = slice(None) if value is None else read.row_value == _place(read, value, sensitive)
    return float(certain[asked].mean())


def skew(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable, value: Any) -> Skew:
    """Compare the share of a value in each class with its share in the table.

    A class need not be homogeneous to harm: if 2 % of the table have dementia and 40 % of a class, everyone in it is
    20 times as suspect. Shares are of the rows whose sensitive value is known.

    Parameters
    ----------
    table, qi, sensitive
        As for `homogeneity`, with its errors.
    value
        The sensitive value that harms.

    Returns
    -------
    Skew
    """
    read = _read(table, qi, sensitive)
    group, values, rows, size = read.held
    having, known = (
        np.bincount(group[of], rows[of], len(size))
        for of in (values == _place(read, value, sensitive), values < len(read.values))
    )
    base_rate = having.sum() / known.sum()
    return Skew(float(base_rate), float((having[known > 0] / known[known > 0]).max() / base_rate))


def listed(released: Released, people: pd.DataFrame) -> NDArray[np.bool_]:
    """Say of each person whether the release has a class that they fit: who fits none is not in it.

    The membership attack on a table. Everybody in the release fits a class; of the others fewer do, the narrower the
    classes are. The attacker reads the labels only.

    Parameters
    ----------
    released : Released
        From `Lattice.apply` or `mondrian`.
    people : DataFrame
        With the original values of all quasi-identifiers.

    Returns
    -------
    ndarray of bool, shape (people,)

    Raises
    ------
    AnonymityError
        If the release has no rows, or the people lack a quasi-identifier or hold a value unknown to it.
    """
    check_released(released, some=True)
    names = checked_columns(people, released.qi, name="The table of people")
    if isinstance(released.recoder, Boxes):
        boxes = released.recoder
        box = boxes.find(people)  # the only one whose labels they can fit
        points = np.column_stack([axis.codes(people[axis.name]) for axis in boxes.axes])
        low, high = boxes.low[box], boxes.high[box]
        anything = high - low == [axis.last for axis in boxes.axes]  # the label "*" rules nobody out
        return (anything | ((low <= points) & (points <= high))).all(axis=1)
    both = [released.table[names], released.recode(people[names])]
    number = class_numbers(pd.concat(both, ignore_index=True)[name] for name in names)
    return np.isin(number[len(both[0]) :], number[: len(both[0])])


class _Read(NamedTuple):
    """What an attacker reads of a table."""

    held: Holdings  # the sensitive values of each class; a missing one has the number after the last of `values`
    row_class: Whole
    row_value: Whole
    values: pd.Index


def _read(table: pd.DataFrame, qi: Sequence[Hashable], sensitive: Hashable) -> _Read:
    row_class = class_numbers(table[name] for name in checked_columns(table, qi, sensitive))
    row_value, values = value_codes(table[sensitive])
    if len(values) == 0:
        raise AnonymityError(f"All values of {sensitive!r} are missing: there is nothing to disclose.")
    return _Read(holdings(row_class, row_value), row_class, row_value, values)


def _place(read: _Read, value: Any, sensitive: Hashable) -> int:
    places = np.flatnonzero(read.values == value)
    if len(places) == 0:
        some = ", ".join(map(repr, read.values[:8].tolist()))
        raise AnonymityError(f"No row has {value!r} in {sensitive!r}; choose one of the values that occur: {some}.")
    return int(places[0])
