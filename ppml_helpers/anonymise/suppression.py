"""Which classes of a node must be suppressed for k, l and t together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppml_helpers.anonymise.demand import Demand
from ppml_helpers.anonymise.models import Distance, Holdings, class_distances, diversities

#: A class is dropped only when it fails by more than rounding.
TOLERANCE = 1e-9


def kept_classes(held: Holdings, demand: Demand, known: int, distance: Distance, most: int) -> NDArray[np.bool_] | None:
    """Return which classes stay when all that fail k, l or t are dropped, again and again until none fails.

    The distribution that t compares with is that of the rows kept so far: at first all rows. Sensitive values below
    `known` are not missing. None if nothing stays, or more than `most` rows would go.
    """
    fine = held.size >= demand.k
    if demand.l > 1:
        fine &= diversities(held, demand.diversity, known) >= demand.l - TOLERANCE
    kept = np.ones(len(held.size), dtype=bool)
    while True:
        stay = kept & fine
        if demand.t < 1:
            stay[kept] &= _distances(held, kept, distance) <= demand.t + TOLERANCE
        if held.size[~stay].sum() > most or not stay.any():
            return None
        if stay.sum() == kept.sum():
            return kept
        kept = stay


def _distances(held: Holdings, kept: NDArray[np.bool_], distance: Distance) -> NDArray[np.float64]:
    """Return how far each kept class is from all kept rows; values that only others had are left out of the order."""
    mine = kept[held.group]
    number = np.cumsum(kept) - 1
    occurs = np.bincount(held.value[mine], minlength=int(held.value.max()) + 1) > 0
    rank = np.cumsum(occurs) - 1
    part = Holdings(number[held.group[mine]], rank[held.value[mine]], held.count[mine], held.size[kept])
    return class_distances(part, distance)
