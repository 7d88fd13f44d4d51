"""Frequency sets: how many rows share each combination of generalised values, at any node of the lattice.

A node gives one level to each quasi-identifier. Its frequency set (LeFevre et al. 2005, "Incognito: efficient
full-domain k-anonymity") is all that k-anonymity needs to know of the rows. A combination of labels is one number, its
**key**, so that a node costs one multiplication and one addition a row and column, and one sort.

Counts are whole numbers throughout: a certainty penalty is kept as ``leaves - 1`` of each label (its **spread**) and
divided at the end.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers.anonymise.hierarchy import Hierarchy
from ppml_helpers.anonymise.models import Real, Whole

Node = tuple[int, ...]

_MOST_KEYS = 2**62  # keys stay below it, or a product would leave 64 bits


class Frequencies:
    """The rows of a table as numbers, and the frequency set of any node."""

    def __init__(self, table: pd.DataFrame, hierarchies: dict[str, Hierarchy]) -> None:
        self.rows = len(table)
        levels = [[h.codes(level) for level in range(h.height + 1)] for h in hierarchies.values()]
        self.heights: Node = tuple(hierarchy.height for hierarchy in hierarchies.values())
        #: What a fully generalised value adds to the spread: number of base values less one.
        self.width = np.array([len(hierarchy.values) - 1 for hierarchy in hierarchies.values()], dtype=np.int64)
        self._codes, self._units, self.totals = [], [], []
        for (column, hierarchy), codes in zip(hierarchies.items(), levels, strict=True):
            leaf = hierarchy.find(table[column], column)
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

    def keys(self, node: Node) -> tuple[Whole, list[Whole | None]]:
        """Return a number for each row, the same for rows of one class, and what `spread` needs to read it."""
        labels = [len(units[level]) for units, level in zip(self._units, node, strict=True)]
        small = math.prod(labels) < 2**31  # half as wide, sorted twice as fast
        keys, size, renumbered = np.zeros(self.rows, np.int32 if small else np.int64), 1, []
        for column, level in enumerate(node):
            occur = None
            if size * labels[column] > _MOST_KEYS:  # number anew only the combinations that occur
                occur, keys = np.unique(keys, return_inverse=True)
                size = len(occur)
            renumbered.append(occur)
            keys *= labels[column]
            keys += self._codes[column][level]
            size *= labels[column]
        return keys, renumbered

    def spread(self, node: Node, keys: Whole, renumbered: list[Whole | None]) -> Whole:
        """Return the spread of each label, one key a row and one quasi-identifier a column."""
        spread = np.empty((len(keys), len(node)), dtype=np.int64)
        for column in reversed(range(len(node))):
            units = self._units[column][node[column]]
            keys, code = np.divmod(keys, len(units))
            spread[:, column] = units[code]
            if renumbered[column] is not None:
                keys = renumbered[column][keys]
        return spread

    def lost(self, node: Node, k: int, most: int) -> tuple[int, Whole] | None:
        """Return the rows in classes of fewer than k rows, and their spread; None if they are more than `most`."""
        keys, renumbered = self.keys(node)
        keys, sizes = _counted(keys)
        keys, sizes = keys[sizes < k], sizes[sizes < k]
        rows = int(sizes.sum())
        return (rows, sizes @ self.spread(node, keys, renumbered)) if rows <= most else None

    def profile(self, node: Node, k_max: int) -> Real:
        """Return what `lost` says of each k from 0 to `k_max`, a column each: the rows, below them the spread."""
        keys, renumbered = self.keys(node)
        keys, sizes = _counted(keys)
        keys, sizes = keys[sizes < k_max], sizes[sizes < k_max]
        profile = np.zeros((1 + len(node), k_max + 1))
        each_row = np.ones(len(keys)), *self.spread(node, keys, renumbered).T
        for line, each in enumerate(each_row):
            profile[line, 1:] = np.bincount(sizes, sizes * each, k_max).cumsum()
        return profile


def _counted(keys: Whole) -> tuple[Whole, Whole]:
    """Return the distinct keys, rising, and how often each occurs; the keys given are sorted in place."""
    keys.sort()
    start = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[start], np.diff(start, append=len(keys))
