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
from ppml_helpers.errors import AttackError

_KINDS = {
    "text": ("string",),
    "numbers": ("integer", "floating", "mixed-integer-float", "decimal", "boolean"),
    "dates": ("datetime64", "datetime", "date"),
}


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
        How many registered people have the row's values; 0 where the row lacks one of them.
    person : Series
        The register's label of the only candidate, missing where there are none or several; indexed like the table.
    """

    on: tuple[Hashable, ...]
    candidates: NDArray[np.int64]
    person: pd.Series
    _position: NDArray[np.int64] = field(repr=False)  # of the only candidate in the register, -1 if none
    _keys: NDArray[np.int64] = field(repr=False)  # see `_numbered`
    _register_keys: NDArray[np.int64] = field(repr=False)
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

    def _mean_of_guesses(self, right: NDArray[np.int64] | int) -> float:
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
        who, whose = _numbered([(row, true_row, "the table's labels", "the truth")])
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

    def _expected(self, who: NDArray[np.int64], whose: NDArray[np.int64]) -> float:
        """Average over rows of (candidates who are the row's own person) / candidates."""
        pairs = pd.MultiIndex.from_arrays([self._register_keys, whose]).value_counts()
        own = pairs.reindex(pd.MultiIndex.from_arrays([self._keys, who]), fill_value=0).to_numpy()
        return self._mean_of_guesses(own)


def link(table: pd.DataFrame, register: pd.DataFrame, on: Sequence[Hashable] | str) -> Linkage:
    """Find, for each row of a table, the people of a register who have the same values.

    Values must be equal: 63 and 63.0 are, "QA7 3" and "qa7 3" are not. A missing value equals nothing, not even
    another missing value.

    Parameters
    ----------
    table : DataFrame
        The rows without names; any index.
    register : DataFrame
        The people with names, one a row; any index.
    on : sequence of column names
        What the attacker compares; columns of both.

    Returns
    -------
    Linkage
    """
    names = _columns(table, register, on)
    keys, register_keys = _numbered(
        (table[name], register[name], f"{name!r} of the table", f"{name!r} of the register") for name in names
    )
    people = pd.Series(np.arange(len(register)), index=register_keys)
    only = people[~people.index.duplicated(keep=False)]
    position = only.reindex(keys, fill_value=-1).to_numpy()
    return Linkage(
        on=names,
        candidates=people.groupby(level=0).size().reindex(keys, fill_value=0).to_numpy(),
        person=_named(position, table.index, register.index),
        _position=position,
        _keys=keys,
        _register_keys=register_keys,
        _register_index=register.index,
    )


def _columns(table: pd.DataFrame, register: pd.DataFrame, on: Sequence[Hashable] | str) -> tuple[Hashable, ...]:
    """Return the columns to compare, or say what is wrong with the input."""
    names = (on,) if isinstance(on, str) else tuple(on)
    if not names:
        raise AttackError("on is empty; name at least one column that both tables have.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AttackError(f"on names {twice!r} twice; name each column once.")
    checks.table(table, "table", names, error=AttackError, mend="give at least one person")
    checks.table(register, "register", names, error=AttackError, mend="give at least one person")
    return names


def _numbered(pairs: Iterable[tuple[pd.Series, pd.Series, str, str]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Replace the values of each row by one number that equal rows of both sides share.

    A row with a missing value equals none: it is -1 on the first side and -2 on the second.
    """
    codes = {}
    for place, (first, second, first_name, second_name) in enumerate(pairs):
        (first, kind), (second, other) = _plain(first, first_name), _plain(second, second_name)
        if kind and other and kind != other:
            raise AttackError(
                f"{first_name} holds {kind}, but {second_name} {other}: these never match; convert one of them first."
            )
        codes[place] = pd.factorize(pd.concat([first, second], ignore_index=True))[0]
    rows = pd.DataFrame(codes)
    keys = rows.groupby(list(rows), sort=False).ngroup().where((rows >= 0).all(axis=1), -1).to_numpy()
    return keys[: len(first)], np.where(keys[len(first) :] < 0, -2, keys[len(first) :])


def _plain(values: pd.Series, name: str) -> tuple[pd.Series, str]:
    """Return a column in the plainest type of its kind, and the kind: "" if all its values are missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if values.isna().all():
        return values.astype(object), ""
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found == "mixed" and values.dropna().map(type).eq(tuple).all():  # the labels of a MultiIndex
        return values, "tuples"
    kind = next((kind for kind, types in _KINDS.items() if found in types), None)
    if kind is None:
        raise AttackError(f"{name} holds values of the kind {found!r}; make them all text, numbers or dates first.")
    if kind == "text":
        return values.astype("str"), kind
    if kind == "dates":
        moments = pd.to_datetime(values)
        return moments, kind if moments.dt.tz is None else "dates with a time zone"
    return pd.to_numeric(values.astype("boolean").astype("Int64") if found == "boolean" else values), kind


def _named(position: NDArray[np.int64], rows: pd.Index, people: pd.Index) -> pd.Series:
    """Return the register's label for each row that has one candidate."""
    labels = pd.Series(people.to_flat_index().take(np.maximum(position, 0)), index=rows, name="person")
    if pd.api.types.is_integer_dtype(labels.dtype):
        labels = labels.astype("Int64")  # whole numbers stay whole beside a missing one
    return labels.mask(position < 0)
