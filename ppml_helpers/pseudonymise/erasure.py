"""Who can be read again after an erasure: a patient comes back while a backup holds what reading them takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.errors import ExplorerError

NIGHTS = (0, 1, 7, 30, 60, 90, 180, 365)  #: how long backups are kept, to choose from
DELETE, SHRED, MASTER = "delete the row", "delete the key", "delete the key, change the master key"
WAYS = (DELETE, SHRED, MASTER)
"""How a patient may be erased. With the last the old master key is destroyed wherever it lay, on the same day."""


class Returned(NamedTuple):
    """Who comes back from the backups that are kept."""

    erase: str  # one of `WAYS`
    data_kept: int  # nights
    keys_kept: int
    days: NDArray[np.int64]  # since the erasure, by patient
    readable: NDArray[np.bool_]  # by patient


def days_since(erased: pd.Series, today: pd.Timestamp) -> NDArray[np.int64]:
    """Return whole days from each patient's erasure to today; nobody is erased tomorrow."""
    if not isinstance(erased, pd.Series) or erased.empty or not pd.api.types.is_datetime64_any_dtype(erased.dtype):
        raise ExplorerError("erased must be one column of dates (datetime64), a day for each erased patient.")
    days = (pd.Timestamp(today) - erased).dt.days
    if days.isna().any() or days.min() < 0:
        raise ExplorerError("erased holds a day that is missing or after today: keep those erased until today.")
    return days.to_numpy(dtype=np.int64)


def come_back(days: NDArray[np.int64], erase: str, data_kept: int, keys_kept: int) -> Returned:
    """Tell which erased patients can be read again by whoever takes every backup that is kept.

    Parameters
    ----------
    days : ndarray of int, shape (patients,)
        Since each erasure. A backup is made every night, so the last that holds a patient is of the night before.
    erase : str
        One of `WAYS`.
    data_kept, keys_kept : int
        Nights that a backup of the records, and one of the key store, is kept.

    Returns
    -------
    Returned
    """
    checks.choice(erase, "erase", WAYS, error=ExplorerError)
    for name, kept in (("data_kept", data_kept), ("keys_kept", keys_kept)):
        checks.whole(kept, name, 0, error=ExplorerError)
    kept = {DELETE: data_kept, SHRED: min(data_kept, keys_kept), MASTER: 0}[erase]
    return Returned(erase, data_kept, keys_kept, days, days < kept)
