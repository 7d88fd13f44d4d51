"""What the explorer of chapter 11 computes, as plain functions that exercises and tests use too."""

from __future__ import annotations

import pandas as pd

from ppml_helpers import checks
from ppml_helpers.errors import DataError


def alone(patients: pd.DataFrame, years: int) -> float:
    """Return the share of patients whose age band, sex and diagnosis nobody else has.

    Parameters
    ----------
    patients : DataFrame
        With the columns `age` (years), `sex` and `dzgroup`.
    years : int
        Width of an age band, from 1 to 100.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    DataError
        If a column is missing or `years` is out of range.
    """
    checks.table(patients, "patients", ["age", "sex", "dzgroup"], error=DataError)
    years = checks.whole(years, "years", 1, 100, error=DataError)
    band = patients.age // years
    sharing = patients.age.groupby([band, patients.sex, patients.dzgroup]).transform("size")
    return float((sharing == 1).mean())
