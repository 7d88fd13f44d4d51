"""The Kaplan-Meier curve of all hospitals' patients, from masked sums: nobody holds the patients, or one's counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ppml_helpers import checks
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning.masked_sums import secure_sum


class Curve(NamedTuple):
    """Counts on a grid of days, and the survival that they give (Kaplan and Meier 1958).

    Attributes
    ----------
    days : ndarray of int64, shape (n,)
        The grid: the interval of a day begins after the day before it in the grid, the first one at 0.
    at_risk : ndarray of int64, shape (n,)
        Patients who are followed and alive when the interval begins.
    deaths : ndarray of int64, shape (n,)
        How many of them die within it.
    """

    days: NDArray[np.int64]
    at_risk: NDArray[np.int64]
    deaths: NDArray[np.int64]

    @property
    def survival(self) -> NDArray[np.float64]:
        """The estimated share of patients who are alive after each day, of shape (n,); 0/0 counts as nobody dying."""
        return np.cumprod(1 - self.deaths / np.maximum(self.at_risk, 1))

    @property
    def left(self) -> NDArray[np.int64]:
        """Patients whose follow-up ends alive within each interval, of shape (n,); the last has all who remain."""
        return self.at_risk - self.deaths - np.append(self.at_risk[1:], 0)

    def small_cells(self, smallest: int = 5) -> int:
        """Count the published numbers of deaths and of ends of follow-up from 1 to below `smallest`."""
        cells = np.concatenate([self.deaths, self.left[:-1]])
        return int(((cells > 0) & (cells < smallest)).sum())


def kaplan_meier(patients: pd.DataFrame, days: ArrayLike) -> Curve:
    """Count the patients of one table on a grid of days.

    Parameters
    ----------
    patients : DataFrame
        With `d.time`, the days of follow-up, and `death`, 1 for who died at its end and 0 for who was alive.
    days : array_like of int, shape (n,)
        The grid, rising, from 1. With every day of a study that counts in days the curve is the exact one. Choose it
        without a look at the patients: it is public.

    Raises
    ------
    FederationError
        If a column is missing, a time is negative or no number, `death` is not 0 or 1, or the days do not rise.
    """
    grid = _grid(days)
    if missing := [name for name in ("d.time", "death") if name not in getattr(patients, "columns", ())]:
        raise FederationError(f"The patients have no column {missing[0]!r}: give a table with 'd.time' and 'death'.")
    time, death = (pd.to_numeric(patients[name], errors="coerce").to_numpy(float) for name in ("d.time", "death"))
    for name, values, good in (
        ("d.time", time, np.isfinite(time) & (time >= 0)),
        ("death", death, np.isin(death, (0, 1))),
    ):
        if not good.all():
            rule = "a number of days from 0" if name == "d.time" else "0 or 1"
            raise FederationError(f"{name} holds {values[~good][0]:g}, it must be {rule}: mend or leave out the row.")
    before = np.concatenate([[-1], grid[:-1]])
    at_risk = len(time) - np.searchsorted(np.sort(time), before, side="right")
    died = np.searchsorted(np.sort(time[death == 1]), np.append(before, grid[-1]), side="right")
    return Curve(grid, at_risk.astype(np.int64), np.diff(died).astype(np.int64))


def federated(hospitals: Mapping[str, pd.DataFrame], days: ArrayLike) -> Curve:
    """Count the patients of all hospitals on a grid of days; only the masked sum of their counts leaves them.

    Parameters
    ----------
    hospitals : mapping of str to DataFrame
        At least two tables as `kaplan_meier` takes them, such as `cohort.hospitals` gives.
    days : array_like of int, shape (n,)
        The grid, the same for all.

    Returns
    -------
    Curve
        Exactly the one of the pooled table.

    Raises
    ------
    FederationError
        If there are fewer than two hospitals, or the table of one cannot be counted; it is named.
    """
    checks.whole(len(hospitals), "the number of hospitals", 2, error=FederationError, mend="add hospitals")
    grid, vectors = _grid(days), []
    for name, patients in hospitals.items():
        try:
            own = kaplan_meier(patients, grid)
        except FederationError as error:
            raise FederationError(f"{name} cannot take part: {error}") from None
        vectors.append(np.concatenate([own.at_risk, own.deaths]))
    total = np.rint(secure_sum(vectors).total).astype(np.int64)
    return Curve(grid, *np.split(total, 2))


def _grid(days: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(days)
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu" or given[0] < 1 or (np.diff(given) <= 0).any():
        raise FederationError(
            f"The days {str(given.tolist())[:60]} are no grid: give whole numbers from 1 that rise, such as "
            f"range(1, 2030)."
        )
    return given.astype(np.int64)
