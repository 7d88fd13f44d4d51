"""Frequency sets: how many rows share each combination of generalised values, at any node of the lattice.

A node gives one level to each quasi-identifier. Its frequency set (LeFevre et al. 2005, "Incognito: efficient
full-domain k-anonymity") is all that k-anonymity needs to know of the rows. What makes it cheap:

- a value is turned into a small number once, and a level of a hierarchy is a lookup on those numbers;
- a combination of labels is one number. The combinations of one half of the quasi-identifiers are kept, since many
  nodes share them, so that a node costs one multiplication and one addition a row;
- only combinations that occur are looked at after that, and at useful nodes they are far fewer than the rows.

Counts are whole numbers throughout: a certainty penalty is kept as ``leaves - 1`` of each label and divided at the end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers.anonymise.hierarchy import Hierarchy

Node = tuple[int, ...]
Whole = NDArray[np.int64]

_KEPT_BYTES = 256 * 2**20  # of half-node codes; beyond it they are made anew
_DENSE = 2**24  # combinations that may be marked one by one, whether they occur or not
_DENSE_PER_ROW = 8  # combinations a row up to which counting was quicker than sorting, at 8,000 and at 100,000 rows


class Part(NamedTuple):
    """Some quasi-identifiers at some levels: each row's combination of labels as a number below `size`.

    Combinations are numbered in order, the last quasi-identifier fastest; or, if `occur` is given, only those that
    occur are numbered, and `occur` holds their numbers in that order.
    """

    codes: NDArray[np.integer]
    size: int
    occur: Whole | None = None


class Frequencies:
    """The rows of a table as numbers, and the frequency set of any node."""

    def __init__(self, table: pd.DataFrame, hierarchies: dict[str, Hierarchy]) -> None:
        self.rows = len(table)
        self.hierarchies = list(hierarchies.values())
        self.heights: Node = tuple(hierarchy.height for hierarchy in self.hierarchies)
        #: What a fully generalised value adds to the spread: number of base values less one.
        self.width = np.array([len(hierarchy.values) - 1 for hierarchy in self.hierarchies], dtype=np.int64)
        self._leaf = [h.find(table[column], column) for column, h in hierarchies.items()]
        self._units = [[h.leaves(level) - 1 for level in range(h.height + 1)] for h in self.hierarchies]
        #: totals[i][level]: sum over all rows of the leaves under the label less one.
        self.totals: list[Whole] = []
        for hierarchy, leaf, units in zip(self.hierarchies, self._leaf, self._units, strict=True):
            rows = np.bincount(leaf, minlength=len(hierarchy.values))
            self.totals.append(np.array([rows @ units[j][hierarchy.codes(j)] for j in range(len(units))]))
        self._parts: dict[tuple[int, Node], Part] = {}
        self._bytes = 0

    def total(self, node: Node) -> Whole:
        """Return the spread of all rows, one number a quasi-identifier."""
        return np.array([totals[level] for totals, level in zip(self.totals, node, strict=True)])

    def row_codes(self, column: int, level: int) -> NDArray[np.int32]:
        """Return the number of each row's label."""
        return self.hierarchies[column].codes(level).astype(np.int32)[self._leaf[column]]

    def row_spread(self, column: int, level: int) -> Whole:
        """Return the leaves under each row's label, less one."""
        return self._units[column][level][self.hierarchies[column].codes(level)][self._leaf[column]]

    # ------------------------------------------------------------------------------------------------- combinations

    def _part(self, first: int, levels: Node) -> Part:
        part = self._parts.get((first, levels))
        if part is None:
            part = self._leaf_part(first, levels[0]) if len(levels) == 1 else self._joined(first, levels)
            if self._bytes + part.codes.nbytes <= _KEPT_BYTES:
                self._bytes += part.codes.nbytes
                self._parts[first, levels] = part
        return part

    def _leaf_part(self, column: int, level: int) -> Part:
        return Part(self.row_codes(column, level), len(self._units[column][level]))

    def _joined(self, first: int, levels: Node) -> Part:
        codes, size = _join(*self._halves(first, levels))
        if size <= self.rows:
            return Part(codes, size)
        # Number only the combinations that occur, so that numbers stay small however many columns there are.
        codes, occur = _renumbered(codes, size)
        return Part(codes, len(occur), occur)

    def _halves(self, first: int, levels: Node) -> tuple[Part, Part]:
        half = (len(levels) + 1) // 2
        return self._part(first, levels[:half]), self._part(first + half, levels[half:])

    def keys(self, node: Node) -> tuple[NDArray[np.integer], int]:
        """Return a number for each row, the same for rows of one class, and a bound that all numbers are below."""
        if len(node) == 1:
            part = self._part(0, node)
            return part.codes, part.size
        return _join(*self._halves(0, node))

    # ------------------------------------------------------------------------------------------------- frequencies

    def small(self, node: Node, k: int) -> tuple[Whole, Whole]:
        """Return the keys of the node's classes of fewer than k rows, rising, and their sizes in rows."""
        return count_keys(*self.keys(node), below=k)

    def spread(self, node: Node, keys: Whole) -> Whole:
        """Return the leaves under each label less one, one class a row and one quasi-identifier a column."""
        spread = np.empty((len(keys), len(node)), dtype=np.int64)
        self._fill(spread, 0, node, keys)
        return spread

    def _fill(self, spread: Whole, first: int, levels: Node, keys: Whole) -> None:
        if len(levels) == 1:
            spread[:, first] = self._units[first][levels[0]][keys]
            return
        half = (len(levels) + 1) // 2
        left, right = self._halves(first, levels)
        left_keys, right_keys = np.divmod(keys, right.size)
        self._fill(spread, first, levels[:half], left_keys if left.occur is None else left.occur[left_keys])
        self._fill(spread, first + half, levels[half:], right_keys if right.occur is None else right.occur[right_keys])


def count_keys(keys: NDArray[np.integer], size: int, below: int | None = None) -> tuple[Whole, Whole]:
    """Return the distinct keys, rising, and how often each occurs; with `below`, only those that occur less often.

    Counts each possible key if they are not many more than the rows, and sorts the rows else, whichever is quicker.
    """
    if size <= max(_DENSE_PER_ROW * len(keys), 2**12):
        count = np.bincount(keys, minlength=size)
        chosen = count > 0
        if below is not None:
            chosen &= count < below
        found = np.flatnonzero(chosen)
        return found, count[found]
    keys = np.sort(keys)
    start = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    count = np.diff(start, append=len(keys))
    if below is not None:
        start, count = start[count < below], count[count < below]
    return keys[start].astype(np.int64), count


def _join(left: Part, right: Part) -> tuple[NDArray[np.integer], int]:
    size = left.size * right.size
    dtype = np.int32 if size < 2**31 else np.int64
    return left.codes.astype(dtype, copy=False) * dtype(right.size) + right.codes, size


def _renumbered(codes: NDArray[np.integer], size: int) -> tuple[NDArray[np.integer], Whole]:
    """Return new numbers 0, 1, ... and the old number of each."""
    if size <= _DENSE:
        occurs = np.zeros(size, dtype=bool)
        occurs[codes] = True
        old = np.flatnonzero(occurs)
        new = np.empty(size, dtype=np.int32)
        new[old] = np.arange(len(old), dtype=np.int32)
        return new[codes], old
    new, old = pd.factorize(codes)
    return new.astype(np.int32), old.astype(np.int64)
