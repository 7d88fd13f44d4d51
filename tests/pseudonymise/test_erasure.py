"""Who comes back from the backups: the count by dates is held to a store with real backups of every night."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers.errors import ExplorerError
from ppml_helpers.people.identifiers import new_key
from ppml_helpers.pseudonymise import vault
from ppml_helpers.pseudonymise.erasure import DELETE, MASTER, SHRED, come_back, days_since

TODAY = pd.Timestamp("1998-07-01")


@pytest.mark.parametrize(("data_kept", "keys_kept"), [(5, 2), (2, 5), (3, 0), (0, 3)])
def test_the_dates_say_what_real_backups_do(tmp_path: Path, data_kept: int, keys_kept: int) -> None:
    """Patient 3 is erased on day 3, before that night's backup; on day 6 every backup that is kept is tried."""
    store = vault.ShredStore(tmp_path / "live", master := new_key())
    store.put_many(dict.fromkeys(range(6), "record"))
    for night in range(6):
        store.erase(night)
        (tmp_path / f"{night}").mkdir()
        for file in (store.data_file, store.keys_file):
            shutil.copy(file, tmp_path / f"{night}")
    back = set()
    for data in range(5, 5 - data_kept, -1):
        for keys in range(5, 5 - keys_kept, -1):
            (there := tmp_path / f"{data} with {keys}").mkdir()
            shutil.copy(tmp_path / f"{data}" / store.data_file.name, there)
            shutil.copy(tmp_path / f"{keys}" / store.keys_file.name, there)
            back |= {int(patient) for patient in vault.ShredStore(there, master).patients()}
    days = days_since(pd.Series([TODAY - pd.Timedelta(6 - night, "D") for night in range(6)]), TODAY)
    result = come_back(days, SHRED, data_kept, keys_kept)
    assert set(np.flatnonzero(result.readable)) == back


def test_a_deleted_row_waits_for_the_data_alone_and_a_changed_master_key_for_nothing() -> None:
    days = np.arange(100)
    assert come_back(days, DELETE, 30, 0).readable.sum() == 30
    assert come_back(days, SHRED, 30, 7).readable.sum() == come_back(days, SHRED, 7, 30).readable.sum() == 7
    assert come_back(days, MASTER, 365, 365).readable.sum() == 0


def test_bad_input_is_one_sentence() -> None:
    for erased in (pd.Series([TODAY + pd.Timedelta(1, "D")]), pd.Series([TODAY, pd.NaT])):
        with pytest.raises(ExplorerError, match="missing or after today"):
            days_since(erased, TODAY)
    for erased in (pd.Series([1]), pd.Series([], dtype="datetime64[us]"), [TODAY]):
        with pytest.raises(ExplorerError, match="one column of dates"):
            days_since(erased, TODAY)
    with pytest.raises(ExplorerError, match="erase = 'burn'"):
        come_back(np.arange(3), "burn", 1, 1)
    with pytest.raises(ExplorerError, match="data_kept = -1"):
        come_back(np.arange(3), SHRED, -1, 1)
