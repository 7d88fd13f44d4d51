"""An invented country: five areas, 600 postcodes, people spread unevenly. It is on no map."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np

DISTRICTS = 12
SECTORS = 10

#: The areas and their made-up towns. No British postcode begins with Q.
AREAS: Mapping[str, str] = MappingProxyType(
    {"QA": "Quarrowby", "QB": "Quillmere", "QC": "Quenholt", "QD": "Quorstead", "QE": "Quessington"}
)

#: The 600 postcodes: area, district 1-12, sector 0-9, for example "QA7 3".
REGIONS: tuple[str, ...] = tuple(
    f"{area}{district} {sector}" for area in AREAS for district in range(1, DISTRICTS + 1) for sector in range(SECTORS)
)


@lru_cache(maxsize=1)
def region_weights() -> np.ndarray:
    """Return the share of the population in each of `REGIONS` (shape (600,), sums to 1, read-only).

    Made up: as in real countries a few districts hold many people and most hold few (the district of rank r has a
    weight of r to the power -0.6), and sectors within a district differ by a factor of up to three.
    """
    rng = np.random.default_rng(600)  # fixed: the country is the same whatever the learner's seed
    districts = rng.permutation(np.arange(1, len(AREAS) * DISTRICTS + 1) ** -0.6)
    weights = np.repeat(districts, SECTORS) * rng.uniform(0.5, 1.5, len(REGIONS))
    weights /= weights.sum()
    weights.flags.writeable = False  # cached: nobody may change what others get
    return weights


def draw_postcodes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n postcodes drawn by `region_weights` (ndarray of str objects)."""
    return rng.choice(np.array(REGIONS, dtype=object), n, p=region_weights())
