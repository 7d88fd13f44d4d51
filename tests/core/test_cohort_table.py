"""`table`: the published table loads as it is; a damaged file or an impossible value is named with its mend."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.errors import DataError


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


def test_the_published_table(patients: pd.DataFrame) -> None:
    assert patients.shape == (9105, 48)
    assert list(patients.columns) == list(cohort.COLUMNS)
    assert patients["hospdead"].sum() == 2360
    assert patients["dzgroup"].value_counts()["ARF/MOSF w/Sepsis"] == 3515


def test_published_oddities_are_kept(patients: pd.DataFrame) -> None:
    assert patients["meanbp"].min() == 0
    assert patients["alb"].max() > 28
    assert patients["edu"].max() == 31
    assert patients["totmcst"].min() < 0
    assert patients["dnrday"].min() < 0


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz", "mine.txt"])
def test_another_table_of_the_same_schema(patients: pd.DataFrame, tmp_path, name: str) -> None:
    text = patients.head(50).to_csv(index=False).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    other = cohort.load_patients(tmp_path / name)
    assert len(other) == 50
    assert len(cohort.features(other)[0]) == 50


# ------------------------------------------------------------------------------------- the kit's own data file


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """Return a copy of the kit's own data file that `load_patients()` reads, free to be damaged."""
    for name in (cohort.DATA_FILE, "SHA256SUMS"):
        shutil.copy(cohort.DATA_FOLDER / name, tmp_path / name)
    monkeypatch.setattr(cohort.table, "DATA_FOLDER", tmp_path)
    return tmp_path / cohort.DATA_FILE


def _assert_refused(words: str, path: Path | None = None) -> None:
    with pytest.raises(DataError, match=words) as caught:
        cohort.load_patients(path)
    message = str(caught.value)
    assert cohort.table.REBUILD in message or "SHA256SUMS" in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert len(message) < 600


# ------------------------------------------------------------------------------------- the kit's own data file


def test_a_whole_copy_loads(own) -> None:
    assert len(cohort.load_patients()) == 9105


def test_a_deleted_file(own) -> None:
    own.unlink()
    _assert_refused(r"does not exist: restore it with `git checkout -- data/support2\.csv\.gz`, or with network run")


def test_a_folder_in_its_place(own) -> None:
    own.unlink()
    own.mkdir()
    _assert_refused("cannot be read")


@pytest.mark.parametrize("keep", [0, 1, 18, 400_000, -1])
def test_a_truncated_file(own, keep) -> None:
    own.write_bytes(own.read_bytes()[:keep])
    _assert_refused("damaged|SHA-256")


@pytest.mark.parametrize("share", [0.0, 0.35, 0.85, 0.999999])
def test_one_flipped_bit(own, share) -> None:
    content = bytearray(own.read_bytes())
    content[int(share * len(content))] ^= 0x10
    own.write_bytes(content)
    _assert_refused("damaged|SHA-256")


def test_rubbish_behind_the_end_or_no_gzip_at_all(own) -> None:
    for content in (own.read_bytes() + b"rubbish", b"<html>not found</html>"):
        own.write_bytes(content)
        _assert_refused("damaged")


def test_one_changed_value_with_a_whole_gzip(own) -> None:
    content = gzip.decompress(own.read_bytes())
    own.write_bytes(gzip.compress(content.replace(b"62.84998", b"62.84999", 1)))
    _assert_refused("SHA-256")


def test_its_own_path_is_held_to_the_checksum_too(own) -> None:
    own.write_bytes(gzip.compress(gzip.decompress(own.read_bytes()) + b"\n"))
    _assert_refused("SHA-256", own)


@pytest.mark.parametrize("content", [None, "", "0123  another.csv\n", "\x00\xff"])
def test_a_list_of_checksums_that_is_lost(own, content) -> None:
    sums = own.with_name("SHA256SUMS")
    sums.unlink()
    if content is not None:
        sums.write_bytes(content.encode("latin-1"))
    _assert_refused("gives no SHA-256 for support2.csv: restore it with `git checkout")


# ---------------------------------------------------------------------------------------- other people's tables


@pytest.fixture
def few(patients) -> pd.DataFrame:
    return patients.head(30)


def test_a_missing_column(few, tmp_path) -> None:
    few.drop(columns="sfdm2").to_csv(tmp_path / "mine.csv", index=False)
    _assert_refused("lacks the column 'sfdm2'", tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("age", 230, r"age = 230.* in row 4 .*between 18 and 120 years"),
        ("age", "old", "age = old in row 4 .*must be a number in years"),
        ("age", np.nan, "age = nan in row 4 .*must have a value"),
        ("hospdead", 2, "hospdead = 2 in row 4 .*must be 0 or 1"),
        ("hospdead", 0.5, "hospdead = 0.5 in row 4 .*must be 0 or 1"),
        ("sex", "unknown", "sex = unknown in row 4 .*must be one of"),
        ("dzgroup", None, "dzgroup = nan|dzgroup = None"),
        ("slos", -3, "slos = -3"),
        ("temp", 98.6, "temp = 98.6 in row 4 .*between 20 and 46 degrees C"),
        ("sno", 1, "sno=1 is given to two patients"),
    ],
)
def test_an_impossible_value(few, tmp_path, column, value, words) -> None:
    table = few.astype({column: object})
    table.loc[3, column] = value
    table.to_csv(tmp_path / "mine.csv", index=False)
    _assert_refused(words, tmp_path / "mine.csv")


def test_every_number_has_bounds_that_belong_to_its_range(few) -> None:
    for column, rule in cohort.COLUMNS.items():
        if rule.levels:
            continue
        for bound, beyond in ((rule.low, rule.low - 1), (rule.high, rule.high + 1)):
            assert np.isfinite(bound)
            table = few.astype({column: float})
            table.loc[0, column] = bound
            cohort.check_patients(table)
            table.loc[0, column] = beyond
            with pytest.raises(DataError, match=f"{column} = "):
                cohort.check_patients(table)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as a CSV table"),
        (b"\xff\xfe\x00", "cannot be read as a CSV table|lacks the column"),
        (b"a,b\n1,2,3,4\n1\n1,2,3,4,5,6\n", "cannot be read as a CSV table"),
        (b"hello\n", "lacks the column 'sno'"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, words) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    _assert_refused(words, tmp_path / "mine.csv")


def test_a_table_without_patients(few, tmp_path) -> None:
    few.head(0).to_csv(tmp_path / "mine.csv", index=False)
    _assert_refused("holds no patient", tmp_path / "mine.csv")
