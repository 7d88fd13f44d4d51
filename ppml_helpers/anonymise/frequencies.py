"""Frequency sets: how many rows share each combination of generalised values, at any node of the lattice.

A node gives one level to each quasi-identifier. Its frequency set (LeFevre et al. 2005, "Incognito: efficient
full-domain k-anonymity") is all that k-anonymity needs to know of the rows, and with the sensitive value as one more
column all that l and t need. A combination of labels is one number, its **key**, so that a node costs one
multiplication and one addition a row and column, and one sort (none where the keys are few).

Counts are whole numbers throughout: a certainty penalty is kept as ``leaves - 1`` of each label (its **spread**) and
divided at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppml_helpers.anonymise.demand import Demand
from ppml_helpers.anonymise.hierarchy import Hierarchy
from ppml_helpers.anonymise.models import Distance, Holdings, Real, Whole
from ppml_helpers.anonymise.suppression import kept_classes

Node = tuple[int, ...]

_MOST_KEYS = 2**62  # keys stay below it, or a product would leave 64 bits
_MOST_BYTES = 2 * 10**8  # of keys that are kept


class Lost(NamedTuple):
    """What a demand costs at a node: the rows to be suppressed, and their spread on each quasi-identifier.

    Without a spread the rows are too many, and `rows` says of how many that is known.
    """

    rows: int
    spread: Whole | None


class Secret(NamedTuple):
    """The rows' sensitive values as numbers, how many are known (see `models.sensitive_codes`), and how t measures."""

    values: Whole
    known: int
    distance: Distance


class Frequencies:
    """The rows of a table as numbers, and the frequency set of any node."""

    def __init__(self, columns: Iterable[tuple[Hierarchy, Whole]], secret: Secret | None = None) -> None:
        hierarchies, leaves = zip(*columns, strict=True)
        self.rows, self.secret = len(leaves[0]), secret
        levels = [[h.codes(level) for level in range(h.height + 1)] for h in hierarchies]
        self.heights: Node = tuple(hierarchy.height for hierarchy in hierarchies)
        #: What a fully generalised value adds to the spread: number of base values less one.
        self.width = np.array([len(hierarchy.values) - 1 for hierarchy in hierarchies], dtype=np.int64)
        self._codes, self._units, self.totals = [], [], []
        self._parts: dict[tuple[int, Node], Whole] = {}
        for hierarchy, leaf, codes in zip(hierarchies, leaves, levels, strict=True):
            units = [hierarchy.leaves(level) - 1 for level in range(len(codes))]
            self._units.append(units)
            self._codes.append([code.astype(np.int32)[leaf] for code in codes])
            base = np.bincount(leaf, minlength=len(hierarchy.values))
            #: totals[i][level]: spread of all rows.
            self.totals.append(np.array([base @ unit[code] for unit, code in zip(units, codes, strict=True)]))

    def row_codes(self, column: int, level: int) -> NDArray[np.int32]:
        """Return the number of each row's label."""
        return self._codes[column][level]

    def row_spread(self, column: int, level: int) -> Whole:
        """Return the spread of each row's label."""
        return self._units[column][level][self._codes[column][level]]

    def total(self, node: Node) -> Whole:
        """Return the spread of all rows, one number a quasi-identifier."""
        return np.array([totals[level] for totals, level in zip(self.totals, node, strict=True)])

    # ------------------------------------------------------------------------------------------------------- classes

    def keys(self, node: Node) -> Whole:
        """Return a number for each row, the same for rows of one class."""
        return self._numbered(node)[0]

    def lost(self, node: Node, demand: Demand, most: int) -> Lost:
        """Return what a demand costs at a node; no spread if more than `most` rows would go, or all."""
        if demand.beyond_k:
            held, keys, renumbered = self._held(node)
            sizes = held.size
            kept = kept_classes(held, demand, self.secret.known, self.secret.distance, most)
            if kept is None:
                return Lost(most + 1, None)
        else:
            keys, sizes, renumbered = self._classes(node)
            kept = sizes >= demand.k
        rows = self.rows - int(sizes[kept].sum())
        if rows > most:
            return Lost(rows, None)
        gone = np.flatnonzero(~kept & (sizes > 0))
        return Lost(rows, sizes[gone] @ self._spread(node, gone if keys is None else keys[gone], renumbered))

    def profile(self, node: Node, k_max: int) -> Real:
        """Return what `lost` says of each k from 0 to `k_max`, a column each: the rows, below them the spread."""
        keys, sizes, renumbered = self._classes(node)
        small = np.flatnonzero((sizes < k_max) & (sizes > 0))
        keys, sizes = small if keys is None else keys[small], sizes[small]
        profile = np.zeros((1 + len(node), k_max + 1))
        each_row = np.ones(len(keys)), *self._spread(node, keys, renumbered).T
        for line, each in enumerate(each_row):
            profile[line, 1:] = np.bincount(sizes, sizes * each, k_max).cumsum()
        return profile

    def _classes(self, node: Node) -> tuple[Whole | None, Whole, list[Whole | None]]:
        """Return the key and the size of each class, and what `_spread` needs to read the keys.

        Without keys, the sizes are those of the keys 0, 1, ..., some of which no row has.
        """
        keys, size, renumbered = self._numbered(node)
        if size <= 2 * self.rows:
            return None, np.bincount(keys), renumbered
        return *_counted(keys), renumbered

    def _held(self, node: Node) -> tuple[Holdings, Whole, list[Whole | None]]:
        """Return which sensitive values each class holds, and its key as `_classes` does."""
        width = int(self.secret.values.max()) + 1
        pairs, _, renumbered = self._numbered(node, valued=True)
        pairs, count = _counted(pairs)
        keys, value = np.divmod(pairs, width)
        if renumbered[-1] is not None:
            keys = renumbered[-1][keys]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        group = np.repeat(np.arange(len(first)), np.diff(first, append=len(keys)))
        return Holdings(group, value, count, np.add.reduceat(count, first)), keys[first], renumbered[:-1]

    def _numbered(self, node: Node, valued: bool = False) -> tuple[Whole, int, list[Whole | None]]:
        """Return one number a row, which all are below, and how to read it: what was numbered anew at each column.

        Rows of one class share a number; with `valued`, rows of one class and one sensitive value.
        """
        width = int(self.secret.values.max()) + 1 if valued else 1
        labels = [len(self._units[place][level]) for place, level in enumerate(node)]
        size, middle = math.prod(labels) * width, len(node) // 2
        if size > _MOST_KEYS:
            return self._numbered_anew(node, width)
        left, right = self._part(0, node[:middle]), self._part(middle, node[middle:])
        keys = np.multiply(left, math.prod(labels[middle:]), dtype=_kind(size))
        keys += right
        if valued:
            keys *= width
            keys += self.secret.values
        return keys, size, [None] * (len(node) + valued)

    def _part(self, first: int, levels: Node) -> Whole:
        """Return the keys of some neighbouring columns; neighbours in the lattice share them, so the last are kept."""
        keys = self._parts.get((first, levels))
        if keys is None:
            sizes = [len(self._units[first + place][level]) for place, level in enumerate(levels)]
            keys = np.zeros(self.rows, _kind(math.prod(sizes)))
            for place, (level, size) in enumerate(zip(levels, sizes, strict=True)):
                keys *= size
                keys += self._codes[first + place][level]
            while len(self._parts) * keys.nbytes > _MOST_BYTES:
                del self._parts[next(iter(self._parts))]
            self._parts[first, levels] = keys
        return keys

    def _numbered_anew(self, node: Node, width: int) -> tuple[Whole, int, list[Whole | None]]:
        """Return what `_numbered` does where keys would leave 64 bits: only combinations that occur get a number."""
        columns = [(len(self._units[place][level]), self._codes[place][level]) for place, level in enumerate(node)]
        if width > 1:
            columns.append((width, self.secret.values))
        keys, size, renumbered = np.zeros(self.rows, np.int64), 1, []
        for labels, codes in columns:
            occur = None
            if size * labels > _MOST_KEYS:
                occur, keys = np.unique(keys, return_inverse=True)
                size = len(occur)
            renumbered.append(occur)
            keys *= labels
            keys += codes
            size *= labels
        return keys, size, renumbered

    def _spread(self, node: Node, keys: Whole, renumbered: list[Whole | None]) -> Whole:
        """Return the spread of each label, one key a row and one quasi-identifier a column."""
        spread = np.empty((len(keys), len(node)), dtype=np.int64)
        for column in reversed(range(len(node))):
            units = self._units[column][node[column]]
            keys, code = np.divmod(keys, len(units))
            spread[:, column] = units[code]
            if renumbered[column] is not None:
                keys = renumbered[column][keys]
        return spread


def _kind(size: int) -> type[np.integer]:
    """Return the narrowest type for numbers below a size: half as wide is sorted twice as fast."""
    return np.int32 if size < 2**31 else np.int64


def _counted(keys: Whole) -> tuple[Whole, Whole]:
    """Return the distinct keys, rising, and how often each occurs; the keys given are sorted in place."""
    keys.sort()
    start = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[start], np.diff(start, append=len(keys))
