"""Linkage: name the people of a table without names by a register that has names.

The attack of Sweeney (2000): two lists share columns (age, sex, postcode). Where exactly one person of the register has
a row's values, the attacker puts that person's name to the row.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers.errors import AttackError

_KINDS = {
    "text": ("string",),
    "numbers": ("integer", "floating", "mixed-integer-float", "decimal", "boolean"),
    "dates": ("datetime64", "datetime", "date"),
}
_LARGEST_KEY = 2**62  # keys of all columns together must fit in 64 bits


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
    _keys: NDArray[np.int64] = field(repr=False)  # the row's values as one number, -1 if one is missing
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
        return float(np.divide(1.0, self.candidates, out=np.zeros(len(self.candidates)), where=self._found).mean())

    @property
    def _found(self) -> NDArray[np.bool_]:
        return self.candidates > 0

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

        Raises
        ------
        AttackError
            If `truth` does not cover the register, or labels are of another number or kind than the rows.
        """
        true_row = self._aligned(truth)
        row = pd.Series(self.person.index.to_flat_index() if labels is None else pd.Index(labels).to_flat_index())
        if len(row) != len(self.candidates):
            raise AttackError(f"There are {len(row)} labels for {len(self.candidates)} rows; give one for each row.")
        who, whose, _ = _codes(row, true_row, "the table's labels", "the truth")
        named = self.candidates == 1
        # `who` is -1 where missing, and so is an unlisted person's `whose`: only a label can be right.
        right = named & (who >= 0) & (whose[self._position] == who)
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
        if truth.index.equals(self._register_index):
            return truth.reset_index(drop=True)
        lacking = ~self._register_index.isin(truth.index)
        if lacking.any():
            raise AttackError(
                f"truth lacks {int(lacking.sum())} people of the register such as "
                f"{self._register_index[lacking.argmax()]!r}; give the truth that belongs to this register."
            )
        if not truth.index.is_unique:
            raise AttackError("truth holds a person twice; give each person one label, in the register's order.")
        return truth.reindex(self._register_index).reset_index(drop=True)

    def _expected(self, who: NDArray[np.int64], whose: NDArray[np.int64]) -> float:
        """Average over rows of (candidates who are the row's own person) / candidates."""
        listed = (whose >= 0) & (self._register_keys >= 0)
        pairs = pd.MultiIndex.from_arrays([self._register_keys[listed], whose[listed]]).value_counts()
        own = pairs.reindex(pd.MultiIndex.from_arrays([self._keys, who]), fill_value=0).to_numpy()
        return float(np.divide(own, self.candidates, out=np.zeros(len(own)), where=self._found).mean())


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

    Raises
    ------
    AttackError
        If a table is empty, `on` is empty, repeated or unknown, or a column is of another kind in the two tables.
    """
    columns = _columns(table, register, on)
    keys = np.zeros(len(table), dtype=np.int64)
    register_keys = np.zeros(len(register), dtype=np.int64)
    size = 1
    for name in columns:
        mine, theirs, count = _codes(table[name], register[name], f"{name!r} of the table", f"{name!r} of the register")
        if size * count > _LARGEST_KEY:
            keys, register_keys, size = _renumbered(keys, register_keys)
        keys, register_keys = _extended(keys, mine, count), _extended(register_keys, theirs, count)
        size *= count
    candidates, position = _matched(keys, register_keys)
    return Linkage(
        on=columns,
        candidates=candidates,
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
    for what, frame in (("table", table), ("register", register)):
        if not isinstance(frame, pd.DataFrame):
            raise AttackError(f"The {what} must be a DataFrame; this is a {type(frame).__name__}.")
        if frame.empty:
            raise AttackError(f"The {what} has no rows or no columns; give at least one person.")
        for name in names:
            if (times := int((frame.columns == name).sum())) != 1:
                has = f"has {times} columns {name!r}" if times else f"has no column {name!r}"
                some = ", ".join(map(str, frame.columns[:8]))
                raise AttackError(f"The {what} {has}; its columns begin {some}. Name one that it has once.")
    return names


def _codes(
    first: pd.Series, second: pd.Series, first_name: str, second_name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Replace the values of two columns by common numbers, -1 for a missing one; also return how many there are."""
    (first, kind), (second, other) = _plain(first, first_name), _plain(second, second_name)
    if kind and other and kind != other:
        raise AttackError(
            f"{first_name} holds {kind}, but {second_name} {other}: these never match; convert one of them first."
        )
    if not (kind and other):  # a column of missing values alone matches nothing, whatever the other one holds
        return np.full(len(first), -1), np.full(len(second), -1), 1
    codes, values = pd.factorize(pd.concat([first, second], ignore_index=True))
    return codes[: len(first)], codes[len(first) :], len(values)


def _plain(values: pd.Series, name: str) -> tuple[pd.Series, str]:
    """Return a column in the plainest type of its kind, and the kind: "" if all its values are missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if values.isna().all():
        return values, ""
    found = pd.api.types.infer_dtype(values, skipna=True)
    kind = next((kind for kind, types in _KINDS.items() if found in types), None)
    if found == "mixed" and values.dropna().map(type).eq(tuple).all():  # the labels of a MultiIndex
        return values, "tuples"
    if kind is None:
        raise AttackError(f"{name} holds values of the kind {found!r}; make them all text, numbers or dates first.")
    if kind == "text":
        return values.astype("str"), kind
    if kind == "numbers":
        return pd.to_numeric(values.astype("boolean").astype("Int64") if found == "boolean" else values), kind
    moments = pd.to_datetime(values)
    return moments, kind if moments.dt.tz is None else "dates with a time zone"


def _extended(keys: NDArray[np.int64], codes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Append one column's codes to the keys, as digits to a number; -1 stays where anything is missing."""
    return np.where((keys < 0) | (codes < 0), -1, keys * count + codes)


def _renumbered(
    keys: NDArray[np.int64], register_keys: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Replace the keys by numbers from 0, so that more columns fit in 64 bits."""
    both = np.concatenate([keys, register_keys])
    codes, values = pd.factorize(both)
    codes = np.where(both < 0, -1, codes)
    return codes[: len(keys)], codes[len(keys) :], len(values)


def _matched(keys: NDArray[np.int64], register_keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count for each key the equal ones of the register, and find the position of the only one (else -1)."""
    order = np.argsort(register_keys, kind="stable")
    ranked = register_keys[order]
    first, past = (np.searchsorted(ranked, keys, side) for side in ("left", "right"))
    candidates = np.where(keys < 0, 0, past - first)
    position = np.where(candidates == 1, order[np.minimum(first, len(order) - 1)], -1)
    return candidates, position


def _named(position: NDArray[np.int64], rows: pd.Index, people: pd.Index) -> pd.Series:
    """Return the register's label for each row that has one candidate."""
    labels = pd.Series(people.to_flat_index().take(np.maximum(position, 0)), index=rows, name="person")
    if pd.api.types.is_integer_dtype(labels.dtype):
        labels = labels.astype("Int64")  # whole numbers stay whole beside a missing one
    return labels.mask(position < 0)
