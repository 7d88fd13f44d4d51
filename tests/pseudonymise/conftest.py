"""What the tests of this room share: sixty made-up people, and the identities of all patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.people import identities


@pytest.fixture
def small() -> pd.DataFrame:
    """Names in more than ASCII, numbers with leading zeros, and whole, decimal and missing values."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "name": [f"Zoë Müller {number % 7}" for number in range(60)],
            "national id": [f"{number:010d}" for number in range(60)],
            "age": rng.normal(60, 9, 60).round(2),
            "crea": rng.integers(0, 9, 60),
            "d.time": np.where(np.arange(60) % 5 == 0, np.nan, 4.5),
        }
    )


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """The invented identities of all patients; tests take copies of it."""
    return identities.identities(cohort.load_patients())
