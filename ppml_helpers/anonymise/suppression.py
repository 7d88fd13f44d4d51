"""Which classes of a node must be suppressed for k, l and t together."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ppml_helpers.anonymise.frequencies import Frequencies, Node, Whole, count_keys
from ppml_helpers.anonymise.models import Holdings, equal_distance, ordered_distance

#: A class is dropped only when it fails by more than rounding.
TOLERANCE = 1e-9


class Held(NamedTuple):
    """The classes of a node, in the order of their keys, with the sensitive values that each holds.

    Attributes
    ----------
    group, value, count : ndarray of int, shape (pairs,)
        Class, sensitive value and number of rows of each pair that occurs, by class, then value.
    size : ndarray of int, shape (classes,)
        Rows.
    spread : ndarray of int, shape (classes, quasi-identifiers)
        Leaves under each label, less one.
    """

    group: Whole
    value: Whole
    count: Whole
    size: Whole
    spread: Whole

    @classmethod
    def count_at(cls, frequencies: Frequencies, node: Node, values: Whole) -> Self:
        """Count the sensitive values (numbered from 0) of each class at a node."""
        keys, size = frequencies.keys(node)
        width = int(values.max()) + 1
        pairs, count = count_keys(keys.astype(np.int64) * width + values, size * width)
        key = pairs // width
        new = np.concatenate(([True], key[1:] != key[:-1]))
        group = np.cumsum(new) - 1
        sizes = np.bincount(group, count).astype(np.int64)
        return cls(group, pairs % width, count, sizes, frequencies.spread(node, key[new]))

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return sum(array.nbytes for array in self)


def kept_classes(
    held: Held,
    k: int,
    l: float,  # noqa: E741 - the field's name for it
    t: float,
    diversity: str,
    distance: str,
    most: int,
) -> NDArray[np.bool_] | None:
    """Return which classes stay when all that fail k, l or t are dropped, again and again until none fails.

    The distribution that t compares with is that of the rows kept so far: at first all rows.
    """
    fine = held.size >= k
    if l > 1:
        fine &= _diversity(held, diversity) >= l - TOLERANCE
    kept = np.ones(len(held.size), dtype=bool)
    while True:
        stay = kept & fine
        if t < 1:
            stay[kept] &= _distances(held, kept, distance) <= t + TOLERANCE
        if held.size[~stay].sum() > most or not stay.any():
            return None
        if stay.sum() == kept.sum():
            return kept
        kept = stay


def _diversity(held: Held, diversity: str) -> NDArray[np.float64]:
    if diversity == "distinct":
        return np.bincount(held.group).astype(float)
    share = held.count / held.size[held.group]
    return np.exp(np.bincount(held.group, -share * np.log(share)))


def _distances(held: Held, kept: NDArray[np.bool_], distance: str) -> NDArray[np.float64]:
    """Return how far each kept class is from all kept rows; values that only others had are left out of the order."""
    mine = kept[held.group]
    number = np.cumsum(kept) - 1
    occurs = np.bincount(held.value[mine], minlength=int(held.value.max()) + 1) > 0
    rank = np.cumsum(occurs) - 1
    part = Holdings(number[held.group[mine]], rank[held.value[mine]], held.count[mine], held.size[kept])
    overall = np.bincount(part.value, part.count) / part.count.sum()
    return ordered_distance(part, overall) if distance == "ordered" else equal_distance(part, overall)
