"""Linkage: name the people of a table without names by a register that has names.

The attack of Sweeney (2000): two lists share columns (age, sex, postcode). Where exactly one person of the register has
a row's values, the attacker puts that person's name to the row.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.columns import MISSING, kind, numbered
from ppml_helpers.errors import AttackError

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class LinkageScore:
    """What a linkage attack got right, judged by someone who knows the truth.

    Attributes
    ----------
    n_right, n_wrong, n_not_named : int
        Rows given the right name, a wrong name, and no name (no candidate, or several).
    expected : float
        Share of all rows that an attacker gets right on average who guesses one candidate at random for every row.
        Unlike `Linkage.marketer` it counts nothing for a person whom the register does not hold.
    """

    n_right: int
    n_wrong: int
    n_not_named: int
    expected: float

    @property
    def n(self) -> int:
        """Rows attacked."""
        return self.n_right + self.n_wrong + self.n_not_named

    @property
    def right(self) -> float:
        """Share of rows given the right name: the re-identification rate."""
        return self.n_right / self.n

    @property
    def wrong(self) -> float:
        """Share of rows given a wrong name: somebody else is taken for a patient."""
        return self.n_wrong / self.n

    @property
    def not_named(self) -> float:
        """Share of rows given no name."""
        return self.n_not_named / self.n


@dataclass(frozen=True, eq=False)
class Linkage:
    """The rows of a table, joined to the people of a register.

    Attributes
    ----------
    on : tuple
        The columns that were compared.
    candidates : ndarray of int, shape (rows,)
        How many registered people fit the row.
    person : Series
        The register's label of the only candidate, missing where there are none or several; indexed like the table.
    """

    on: tuple[Hashable, ...]
    candidates: Whole
    person: pd.Series
    _position: Whole = field(repr=False)  # of the only candidate in the register, -1 if none
    _rows: Whole = field(repr=False)  # numbers of the compared values, see `fitting`
    _people: Whole = field(repr=False)
    _register_index: pd.Index = field(repr=False)

    @property
    def unique(self) -> float:
        """Share of rows with exactly one candidate: the attacker puts a name to these, rightly or not."""
        return float((self.candidates == 1).mean())

    @property
    def marketer(self) -> float:
        """Expected share of right names when one candidate is guessed for each row, if everyone is on the register.

        The marketer risk of El Emam (2013): the mean of 1 / candidates, 0 for a row without any. People whom the
        register does not hold make it too high; `score` has the figure that knows them.
        """
        return self._mean_of_guesses(1)

    def _mean_of_guesses(self, right: Whole | int) -> float:
        """Average over rows of right / candidates, 0 for a row without any."""
        found = self.candidates > 0
        return float(np.divide(right, self.candidates, out=np.zeros(len(self.candidates)), where=found).mean())

    def score(self, truth: pd.Series, labels: Sequence[Hashable] | pd.Index | None = None) -> LinkageScore:
        """Judge the names by the truth, which no attacker has.

        Parameters
        ----------
        truth : Series
            For each person of the register (its index) the label of their row in the table, missing for people who
            are not in the table.
        labels : sequence, optional
            The true label of each row where the table's own index does not say it, such as
            ``extract.index[released.kept]`` for a released table.

        Returns
        -------
        LinkageScore
        """
        true_row = self._aligned(truth)
        row = pd.Series(self.person.index.to_flat_index() if labels is None else pd.Index(labels).to_flat_index())
        if len(row) != len(self.candidates):
            raise AttackError(f"There are {len(row)} labels for {len(self.candidates)} rows; give one for each row.")
        who, whose = _numbered(row, true_row, "the table's labels", "the truth")
        whose[whose < 0] = -2  # in nobody's place, and so not the row of no label
        named = self.candidates == 1
        right = named & (whose[self._position] == who)
        return LinkageScore(
            n_right=int(right.sum()),
            n_wrong=int((named & ~right).sum()),
            n_not_named=int((~named).sum()),
            expected=self._expected(who, whose),
        )

    def _aligned(self, truth: pd.Series) -> pd.Series:
        """Return the truth in the register's order."""
        if not isinstance(truth, pd.Series):
            raise AttackError(f"truth must be a Series from person to row label; this is a {type(truth).__name__}.")
        if not truth.index.equals(self._register_index):
            lacking = ~self._register_index.isin(truth.index)
            if lacking.any() or not truth.index.is_unique:
                raise AttackError(
                    f"truth lacks {int(lacking.sum())} people of the register, or holds one twice: give the truth "
                    f"that belongs to this register."
                )
            truth = truth.reindex(self._register_index)
        return truth.reset_index(drop=True)

    def _expected(self, who: Whole, whose: Whole) -> float:
        """Average over rows of (candidates who are the row's own person) / candidates."""
        own, _ = fitting(np.column_stack([self._rows, who + 2]), np.column_stack([self._people, whose + 2]))
        return self._mean_of_guesses(own)


def link(table: pd.DataFrame, register: pd.DataFrame, on: Sequence[Hashable] | Hashable) -> Linkage:
    """Find, for each row of a table, the people of a register who fit it.

    Values must be equal: 63 and 63.0 are, "QA7 3" and "qa7 3" are not. A missing value, of either side, rules nobody
    out, whether it is missing still or written as a released table does ("missing", or "60-67|missing"). To let it
    fit nobody would be easier, and would make the attacker fail wherever an entry is missing: a table with holes
    would look safer than one with a column less. So whoever knows more columns never finds fewer people.

    Parameters
    ----------
    table : DataFrame
        The rows without names; any index.
    register : DataFrame
        The people with names, one a row; any index.
    on : column name, or sequence of them
        What the attacker compares; columns of both.

    Returns
    -------
    Linkage
    """
    names = _columns(table, register, on)
    pairs = [
        _numbered(table[name], register[name], f"{name!r} of the table", f"{name!r} of the register", released=True)
        for name in names
    ]
    rows, people = (np.column_stack(side) for side in zip(*pairs, strict=True))
    candidates, places = fitting(rows, people)
    position = np.where(candidates == 1, places, -1)
    person = _named(position, table.index, register.index)
    return Linkage(names, candidates, person, position, rows, people, register.index)


def fitting(rows: Whole, people: Whole) -> tuple[Whole, Whole]:
    """Return how many people fit each row, and the sum of their places (which is the place of one who is alone).

    Each column holds numbers that are the same for equal values of both sides; a negative one is missing and fits all.
    Rows and people are taken by which of their values are missing, so that each pair of such groups is one join.
    """
    count, places = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    groups, groups_too = groups_of(rows >= 0), groups_of(people >= 0)
    if len(groups) * len(groups_too) > len(rows):
        return _one_by_one(rows, people)
    for known, some in groups:
        for known_too, others in groups_too:
            both = known & known_too
            keys = _distinct_rows(np.concatenate([rows[np.ix_(some, both)], people[np.ix_(others, both)]]))
            mine, theirs, size = keys[: len(some)], keys[len(some) :], int(keys.max()) + 1
            count[some] += np.bincount(theirs, minlength=size)[mine]
            places[some] += np.bincount(theirs, others, size).astype(np.int64)[mine]
    return count, places


def _one_by_one(rows: Whole, people: Whole) -> tuple[Whole, Whole]:
    """Return what `fitting` does where hardly two rows miss the same values."""
    telling = np.argsort(-people.max(axis=0))  # columns of many values first: they leave few people to look at
    found = np.zeros((len(rows), 2), np.int64)
    for number, row in enumerate(rows):
        fits = np.arange(len(people))
        for column in telling[row[telling] >= 0]:
            values = people[fits, column]
            fits = fits[(values == row[column]) | (values < 0)]
        found[number] = len(fits), fits.sum()
    return found[:, 0], found[:, 1]


def groups_of(known: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], Whole]]:
    """Return each pattern of a table of truth values, and the rows that have it."""
    of = _distinct_rows(known.astype(np.int64))
    rows = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    return [(known[some[0]], some) for some in rows]


def _distinct_rows(table: Whole) -> Whole:
    """Give each distinct row of a table of numbers a number of its own."""
    keys, size = np.zeros(len(table), np.int64), 1
    for column in table.T:
        width = int(column.max()) + 1
        if size * width > 2**62:  # number anew those that occur, or a product would leave 64 bits
            keys = pd.factorize(keys)[0]
            size = int(keys.max()) + 1
        keys, size = keys * width + column, size * width
    return pd.factorize(keys)[0]


def _columns(table: pd.DataFrame, register: pd.DataFrame, on: Sequence[Hashable] | Hashable) -> tuple[Hashable, ...]:
    """Return the columns to compare, or say what is wrong with the input."""
    names = (on,) if isinstance(on, str) or not isinstance(on, Iterable) else tuple(on)
    if not names:
        raise AttackError("on is empty; name at least one column that both tables have.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AttackError(f"on names {twice!r} twice; name each column once.")
    checks.table(table, "table", names, error=AttackError, mend="give at least one person")
    checks.table(register, "register", names, error=AttackError, mend="give at least one person")
    return names


def _numbered(
    first: pd.Series, second: pd.Series, first_name: str, second_name: str, released: bool = False
) -> tuple[Whole, Whole]:
    """Give the values of two columns numbers that equal values of both share; a missing one is -1.

    With `released`, the text that a released table writes for a missing entry is one.
    """
    sides = [_values(first, first_name), _values(second, second_name)]
    (kinds, other) = (kind_ for _, _, kind_ in sides)
    if kinds and other and kinds != other:
        raise AttackError(
            f"{first_name} holds {kinds}, but {second_name} {other}: these never match; convert one of them first."
        )
    number: dict[Hashable, int] = {}
    numbers = []
    for codes, values, _ in sides:
        each = [number.setdefault(value, len(number)) for value in values]
        if released:
            unsaid = [isinstance(one, str) and one.rpartition("|")[2] == MISSING for one in values]
            each = np.where(unsaid, -1, each)
        numbers.append(np.append(each, -1).astype(np.int64)[codes])
    return numbers[0], numbers[1]


def _values(column: pd.Series, name: str) -> tuple[Whole, list[Hashable], str]:
    """Return the number of each row's value, the values, and their kind: "" if all are missing."""
    codes, found = numbered(column, name, AttackError)
    values = found.tolist()
    kinds = sorted({kind(value) for value in values})
    if len(kinds) > 1:
        raise AttackError(f"{name} holds values of two kinds, {kinds[0]} and {kinds[1]}: make them all one kind first.")
    return codes, values, "".join(kinds)


def _named(position: NDArray[np.int64], rows: pd.Index, people: pd.Index) -> pd.Series:
    """Return the register's label for each row that has one candidate."""
    labels = pd.Series(people.to_flat_index().take(np.maximum(position, 0)), index=rows, name="person")
    if pd.api.types.is_integer_dtype(labels.dtype):
        # Whole numbers stay whole beside a missing one.
        labels = labels.astype("UInt64" if labels.dtype.kind == "u" else "Int64")
    return labels.mask(position < 0)
