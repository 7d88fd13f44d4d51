"""Mondrian: k-anonymity by cutting the patients into boxes, each as small as k allows.

LeFevre, DeWitt and Ramakrishnan 2006, "Mondrian multidimensional k-anonymity", the strict variant. A lattice coarsens
whole columns; Mondrian coarsens only where patients are few. Think of each quasi-identifier as an axis. Cut the room at
the median of its widest axis, then each half at the median of *its* widest axis, and stop where a cut would leave fewer
than k patients on a side. No row is suppressed. The labels of two patients can overlap ("60-67", "60-79"), which makes
such a table more exact and harder to analyse.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.anonymise.demand import check_values, checked_k, checked_l
from ppml_helpers.anonymise.hierarchy import TOP, Hierarchy, distinct, label_of, same_kind
from ppml_helpers.anonymise.models import Whole, checked_columns, sensitive_codes
from ppml_helpers.anonymise.released import Released, release
from ppml_helpers.columns import MISSING
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people.linkage import groups_of

_NAMES_LISTED = 4  # "asian|black"; more names than this become "first to last"


def mondrian(
    df: pd.DataFrame,
    qi: Iterable[Hashable],
    k: int,
    hierarchies: Mapping[Hashable, Hierarchy | Mapping[int, Iterable[Any]]] | None = None,
    sensitive: Hashable | None = None,
    l: int = 1,  # noqa: E741 - the standard name
) -> Released:
    """Generalise a table into boxes of at least k rows and l distinct sensitive values.

    Numbers and dates are ordered by size; names so that those which a hierarchy joins are neighbours, without one by
    the alphabet. A missing value comes last. The width of a box on an axis is the number of values from its lowest to
    its highest, less one, over the same of the whole axis. The widest axis is tried first, and cut beside its median so
    that the halves differ least; an axis on which that cut is not allowed is not tried again for that box.

    Parameters
    ----------
    df : DataFrame
        One row a person, any index.
    qi : iterable of column names
        The quasi-identifiers.
    k : int
        Fewest rows a box, from 1 to the number of rows.
    hierarchies : mapping of column name to Hierarchy or dict of levels, optional
        Where given, level 0 says which values an axis has, in the table or not, and the levels how names are ordered.
        Without it, the values that occur decide, and the labels then say something about the patients' extremes.
    sensitive : column name, optional
        The attribute whose values `l` counts; needed if ``l > 1``. A missing entry is no value.
    l : int
        Fewest distinct sensitive values a box.

    Returns
    -------
    Released
        ``node`` is None. A label spans the values of the box's own rows, whose extremes it therefore tells: "60-67",
        "1993-01-03/1993-02-07", "asian|black", "QA1 3 to QA2 0"; "*" covers everything. ``ncp`` is the width of the
        box on each axis. ``recode`` drops other people down the same cuts; it needs all quasi-identifiers.

    Raises
    ------
    AnonymityError
        If a column is unknown, k or l is more than the table has, or a hierarchy lacks a value.
    """
    names = checked_columns(df, qi, sensitive)
    k = checked_k(k, len(df))
    secret = _checked_secret(df, sensitive, l)
    axes = [_Axis.of(df[name], (hierarchies or {}).get(name)) for name in names]
    points = np.column_stack([axis.codes(df[axis.name]) for axis in axes]).astype(np.int64)
    cuts, box = _grow(points, np.array([axis.last for axis in axes]), k, secret, l)
    order = np.argsort(box, kind="stable")
    start = np.flatnonzero(np.diff(box[order], prepend=-1))
    low, high = (of.reduceat(points[order], start, axis=0) for of in (np.minimum, np.maximum))
    boxes = Boxes(tuple(axes), cuts, low, high, box)
    table = df.copy()
    for name, labels in boxes.labels(box).items():
        table[name] = pd.Series(labels, index=df.index, dtype="str")
    span = np.array([max(axis.last, 1) for axis in axes])
    return release(table, names, np.arange(len(df)), len(df), ((high - low) / span)[box], None, boxes)


def _checked_secret(df: pd.DataFrame, sensitive: Hashable | None, diversity: int) -> Whole | None:
    if checked_l(diversity) == 1:
        return None
    if sensitive is None:
        raise AnonymityError(f"l = {diversity} needs a sensitive column to count values of: name it with `sensitive`.")
    secret, known = sensitive_codes(df[sensitive], "equal")
    check_values(diversity, known, sensitive)
    return np.where(secret < known, secret, -1)


# --------------------------------------------------------------------------------------------------------------
# Cutting
# --------------------------------------------------------------------------------------------------------------


class Cuts(NamedTuple):
    """The tree of cuts, one entry a node, the root first."""

    axis: Whole  # that the node is cut on, -1 for a box that is not cut
    at: Whole  # codes up to this one go to the first half
    first: Whole  # the first half's node (the second half's is the next one), or the number of the box


def _grow(points: Whole, last: Whole, k: int, secret: Whole | None, diversity: int) -> tuple[Cuts, Whole]:
    """Cut all open boxes of one depth at once; return the tree, and the box of each row.

    `rows` lists the rows of the open boxes, box after box; `size`, `node` and `barred` (axes that failed) say what
    each open box is. A round costs one sort of the open rows instead of one Python call a box.
    """
    n, d = points.shape
    most = 2 * (n // k)  # boxes hold k rows or more, and a binary tree of b boxes has 2b - 1 nodes
    cuts = Cuts(np.full(most, -1), np.zeros(most, np.int64), np.zeros(most, np.int64))
    box = np.empty(n, np.int64)
    rows, size, node, barred = np.arange(n), np.array([n]), np.array([0]), np.zeros((1, d), bool)
    nodes, boxes = 1, 0
    while len(rows):
        start = np.cumsum(size) - size
        part = np.repeat(np.arange(len(size)), size)
        axis, width = _widest_axis(points[rows], start, last, barred)
        value = points[rows, axis[part]]
        order = np.argsort(part * (int(last.max()) + 1) + value, kind="stable")
        rows, value = rows[order], value[order]
        left, at = _beside_the_median(value, start, size, part)
        possible = (width > 0) & (size >= 2 * k)
        good = possible & (left >= k) & (size - left >= k)
        if secret is not None:
            half = 2 * part + (np.arange(len(rows)) - start[part] >= left[part])
            good &= _distinct(half, secret[rows], 2 * len(size)).reshape(-1, 2).min(axis=1) >= diversity
        done = ~possible
        number = boxes + np.cumsum(done) - 1
        halves = nodes + 2 * (np.cumsum(good) - 1)
        cuts.first[node[done]] = number[done]
        box[rows[done[part]]] = number[part[done[part]]]
        cuts.axis[node[good]], cuts.at[node[good]], cuts.first[node[good]] = axis[good], at[good], halves[good]
        boxes, nodes = boxes + int(done.sum()), nodes + 2 * int(good.sum())
        barred[np.arange(len(size)), axis] |= ~good
        # What is done leaves, what was cut becomes two, what could not be cut here tries its next axis.
        rows = rows[~done[part]]
        parent = np.repeat(np.arange(len(size)), np.where(done, 0, np.where(good, 2, 1)))
        cut, second = good[parent], np.diff(parent, prepend=-1) == 0
        size = np.where(cut, np.where(second, (size - left)[parent], left[parent]), size[parent])
        node = np.where(cut, halves[parent] + second, node[parent])
        barred = barred[parent] & ~cut[:, None]
    return Cuts(*(entry[:nodes] for entry in cuts)), box


def _widest_axis(here: Whole, start: Whole, last: Whole, barred: NDArray[np.bool_]) -> tuple[Whole, NDArray]:
    """Return the widest axis of each open box that is not barred, and its width (0 if there is none)."""
    width = np.maximum.reduceat(here, start, axis=0) - np.minimum.reduceat(here, start, axis=0)
    relative = np.where(barred, 0, width / np.maximum(last, 1))
    return relative.argmax(axis=1), relative.max(axis=1)


def _beside_the_median(value: Whole, start: Whole, size: Whole, part: Whole) -> tuple[Whole, Whole]:
    """Cut before or after the rows that share the median; return the size of the first half and its highest code.

    The cut that leaves the more equal halves is taken; of two that are as good, the one before.
    """
    median = value[start + size // 2]
    before = np.add.reduceat(value < median[part], start, dtype=np.int64)
    after = np.add.reduceat(value <= median[part], start, dtype=np.int64)
    take_after = abs(2 * after - size) < abs(2 * before - size)
    return np.where(take_after, after, before), np.where(take_after, median, median - 1)


def _distinct(group: Whole, value: Whole, groups: int) -> Whole:
    """Return how many distinct values each group holds, not counting -1."""
    width = int(value.max()) + 1
    there = value >= 0
    return np.bincount(np.unique(group[there] * width + value[there]) // width, minlength=groups)


# --------------------------------------------------------------------------------------------------------------
# Axes and boxes
# --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Axis:
    """A quasi-identifier as whole numbers 0 to `last`, and the way back to labels."""

    name: Hashable
    values: pd.Index  # in order, without the missing one, which has the code ``len(values)`` if there is any
    texts: list[str]  # label of each code

    @classmethod
    def of(cls, column: pd.Series, hierarchy: Any = None) -> _Axis:
        values, missing = _ordered_values(column) if hierarchy is None else _hierarchy_values(column, hierarchy)
        texts = [label_of(value) for value in values]
        if missing and MISSING in texts:
            raise AnonymityError(
                f"The column {column.name!r} holds the text {MISSING!r} and missing values, which would get the same "
                f"label: rename the text."
            )
        return cls(column.name, values, texts + [MISSING] * missing)

    @property
    def last(self) -> int:
        return len(self.texts) - 1

    @property
    def dated(self) -> bool:
        return pd.api.types.is_datetime64_any_dtype(self.values.dtype)

    @cached_property
    def _place(self) -> dict[Any, int]:
        return {value: place for place, value in enumerate(self.values)}

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The values as numbers, None if they are names."""
        return numbers_of(self.values)

    def codes(self, column: pd.Series) -> NDArray[np.float64]:
        """Return the place of each value on the axis: between two codes for a number or date that is between them.

        A name that the axis does not have, and a missing value where it has none, is NaN.
        """
        number, found = distinct(column, self.name)
        place = np.array([self._place.get(value, np.nan) for value in found], dtype=float)
        strange = np.isnan(place)
        same_kind(found[strange], self.values, self.name, "the release has")
        if strange.any() and self.numbers is not None:
            place[strange] = self.values.searchsorted(found[strange].infer_objects()) - 0.5
        return np.append(place, len(self.values) if self.texts[-1] == MISSING else np.nan)[number]

    def label(self, low: int, high: int) -> str:
        """Return the label of the codes from `low` to `high`."""
        if low == high:
            return self.texts[low]
        if high - low == self.last:
            return TOP
        if high == len(self.values):
            return f"{self.label(low, high - 1)}|{MISSING}"
        first, final = self.texts[low], self.texts[high]
        if self.dated:
            return f"{first}/{final}"  # an interval of ISO 8601
        if self.numbers is not None:
            return f"{first} to {final}" if first.startswith("-") else f"{first}-{final}"
        names = self.texts[low : high + 1]
        return "|".join(names) if len(names) <= _NAMES_LISTED else f"{first} to {final}"


def numbers_of(values: pd.Index) -> NDArray[np.float64] | None:
    """Return values as numbers, dates as days since 1970; None if they are names (truth values are)."""
    values = values.infer_objects()
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values.as_unit("us").asi8 / 86_400e6  # in nanoseconds, 9999-12-31 would leave 64 bits
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return values.to_numpy(dtype=float)
    return None


def _ordered_values(column: pd.Series) -> tuple[pd.Index, bool]:
    """Return the values that occur, in order, and whether any is missing."""
    number, found = distinct(column)
    found = found.infer_objects()
    if isinstance(column.dtype, pd.CategoricalDtype) and numbers_of(found) is None:
        found = column.dtype.categories[column.dtype.categories.isin(found)]
    else:
        try:
            found = found.sort_values()
        except TypeError:
            found = found[np.argsort([label_of(value) for value in found], kind="stable")]
    return found, bool((number < 0).any())


def _hierarchy_values(column: pd.Series, hierarchy: Any) -> tuple[pd.Index, bool]:
    """Return the base values of a hierarchy, numbers and dates by size, names so that siblings are neighbours."""
    hierarchy = Hierarchy.of(hierarchy, column.name)
    missing = bool((hierarchy.find(column, column.name) < 0).any())
    base = hierarchy.values
    order = np.lexsort([hierarchy.codes(level) for level in range(hierarchy.height + 1)])
    values = base[order[~base.isna()[order]]].infer_objects()
    return values if numbers_of(values) is None else values.sort_values(), bool(base.hasnans) or missing


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of a Mondrian release, and the cuts that lead to them. It stays with the holder, like `kept`."""

    axes: tuple[_Axis, ...]
    cuts: Cuts
    low: Whole  # (boxes, axes): smallest code of the patients in each box
    high: Whole  # and largest
    box: Whole  # of each row of the original

    def labels(self, box: Whole) -> dict[Hashable, NDArray[np.object_]]:
        """Return the labels of some boxes, a column a quasi-identifier."""
        found = {}
        for axis, ends in zip(self.axes, np.stack([self.low, self.high], axis=2).swapaxes(0, 1), strict=True):
            ranges, which = np.unique(ends, axis=0, return_inverse=True)
            found[axis.name] = np.array([axis.label(*map(int, pair)) for pair in ranges], dtype=object)[which][box]
        return found

    def __call__(self, other: pd.DataFrame) -> pd.DataFrame:
        """Return another table with the labels of the boxes that its people fall into."""
        recoded = other.copy()
        for name, labels in self.labels(self.find(other)).items():
            recoded[name] = pd.Series(labels, index=other.index, dtype="str")
        return recoded

    def find(self, other: pd.DataFrame) -> Whole:
        """Drop people down the cuts and return the box that each falls into."""
        checks.table(other, "The table to recode", [axis.name for axis in self.axes], error=AnonymityError)
        points = np.column_stack([axis.codes(other[axis.name]) for axis in self.axes])
        for axis, codes in zip(self.axes, points.T, strict=True):
            if np.isnan(codes).any():
                value = label_of(other[axis.name].iloc[int(np.isnan(codes).argmax())])
                raise AnonymityError(
                    f"The value {value!r} of {axis.name!r} does not occur in the released table: give `mondrian` a "
                    f"hierarchy that has it."
                )
        node = np.zeros(len(points), np.int64)
        open_ = self.cuts.axis[node] >= 0
        while open_.any():
            here = node[open_]
            beyond = points[open_, self.cuts.axis[here]] > self.cuts.at[here]
            node[open_] = self.cuts.first[here] + beyond
            open_ = self.cuts.axis[node] >= 0
        return self.cuts.first[node]

    def inside(self, people: pd.DataFrame, on: list[Hashable], box: Whole) -> Whole:
        """Return how many people fit each of some boxes on the axes `on`.

        A missing value, of a person or in a box, rules nobody out. A name that an axis lacks is in no box.
        """
        places = [place for place, axis in enumerate(self.axes) if axis.name in on]
        places.sort(key=lambda place: -self.axes[place].last)  # the first is bisected, so it should tell most
        axes = [self.axes[place] for place in places]
        low, high = (ends[np.ix_(box, places)] for ends in (self.low, self.high))
        said = high != [axis.last if axis.texts[-1] == MISSING else -1 for axis in axes]
        known = np.column_stack([distinct(people[axis.name])[0] >= 0 for axis in axes])
        points = np.column_stack([axis.codes(people[axis.name]) for axis in axes])
        count = np.zeros(len(box), np.int64)
        for known_too, others in groups_of(known):
            for told, some in groups_of(said):
                both = told & known_too
                within = _within(points[np.ix_(others, both)], low[np.ix_(some, both)], high[np.ix_(some, both)])
                count[some] += within
        return count


def _within(points: NDArray[np.float64], low: Whole, high: Whole) -> Whole:
    """Return how many points lie in each box, ends included; those along the first axis are found by bisection."""
    if not points.shape[1]:
        return np.full(len(low), len(points))
    points = points[np.argsort(points[:, 0], kind="stable")]  # NaN last
    first = np.searchsorted(points[:, 0], low[:, 0], side="left")
    final = np.searchsorted(points[:, 0], high[:, 0], side="right")
    count = final - first
    for number, (start, end) in enumerate(zip(first, final, strict=True)):
        within = np.ones(end - start, bool)
        for axis in range(1, points.shape[1]):
            here = points[start:end, axis]
            within &= (here >= low[number, axis]) & (here <= high[number, axis])
        count[number] = np.count_nonzero(within)
    return count
