"""`table`: the published table loads as it is; a damaged file or an impossible value is named with its mend."""

from __future__ import annotations

import gzip
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.errors import DataError


def test_the_published_table_with_its_oddities(patients: pd.DataFrame) -> None:
    assert patients.shape == (9105, 48)
    assert list(patients.columns) == list(cohort.COLUMNS)
    assert patients["hospdead"].sum() == 2360
    assert patients["dzgroup"].value_counts()["ARF/MOSF w/Sepsis"] == 3515
    assert patients["meanbp"].min() == 0
    assert patients["alb"].max() > 28
    assert patients["totmcst"].min() < 0


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz", "mine.txt"])
def test_another_table_of_the_same_schema(patients: pd.DataFrame, tmp_path, name: str) -> None:
    text = patients.head(50).to_csv(index=False).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    other = cohort.load_patients(tmp_path / name)
    assert len(other) == 50
    assert len(cohort.features(other)[0]) == 50


# ------------------------------------------------------------------------- the kit's own data file, and other people's


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


def _one_changed_value(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(b"62.84998", b"62.84999", 1))


def _one_flipped_bit(content: bytes, share: float) -> bytes:
    at = int(share * len(content))
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        *[(lambda content, keep=keep: content[:keep], "damaged|SHA-256") for keep in (0, 1, 18, 400_000, -1)],
        *[(partial(_one_flipped_bit, share=share), "damaged|SHA-256") for share in (0.0, 0.35, 0.85, 0.999999)],
        (lambda content: content + b"rubbish", "damaged"),
        (lambda content: b"<html>not found</html>", "damaged"),
        (_one_changed_value, "SHA-256"),
    ],
)
def test_a_damaged_file(own, damage, words) -> None:
    own.write_bytes(damage(own.read_bytes()))
    _assert_refused(words)
    if words == "SHA-256":
        _assert_refused(words, own)  # its own path is held to the checksum too


def test_a_table_of_ones_own_is_sent_to_features_with_a_schema(tmp_path) -> None:
    pd.DataFrame({"age": [60, 70], "creatinine": [1.0, None], "death": [0, 1]}).to_csv(tmp_path / "flchain.csv")
    words = r"flchain\.csv lacks the column 'sno' \(46 of SUPPORT2's 48 .*your own.*cohort\.features\(table, schema="
    _assert_refused(words, tmp_path / "flchain.csv")


def test_a_lost_file_or_a_folder_in_its_place(own) -> None:
    own.unlink()
    _assert_refused(r"does not exist: restore it with `git checkout -- data/support2\.csv\.gz`, or with network run")
    own.mkdir()
    _assert_refused("cannot be read")


@pytest.mark.parametrize("content", [None, "", "0123  another.csv\n", "\x00\xff"])
def test_a_list_of_checksums_that_is_lost(own, content) -> None:
    sums = own.with_name("SHA256SUMS")
    sums.unlink()
    if content is not None:
        sums.write_bytes(content.encode("latin-1"))
    _assert_refused("gives no SHA-256 for support2.csv: restore it with `git checkout")


@pytest.fixture
def few(patients) -> pd.DataFrame:
    return patients.head(30)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("age", 230, r"age = 230.* in row 4 .*between 18 and 120 years"),
        ("age", "old", "age = 'old' in row 4 .*must be a number in years"),
        ("age", np.nan, "age = nan in row 4 .*must have a value"),
        ("hospdead", 2, "hospdead = 2 in row 4 .*must be 0 or 1"),
        ("sex", "unknown", "sex = 'unknown' in row 4 .*must be one of"),
        ("dzgroup", None, "dzgroup = nan|dzgroup = None"),
        ("temp", 98.6, "temp = 98.6 in row 4 .*between 20 and 46 degrees C"),
        ("sno", 1, "sno=1 is given to two patients"),
    ],
)
def test_an_impossible_value(few, tmp_path, column, value, words) -> None:
    table = few.astype({column: object})
    table.loc[3, column] = value
    table.to_csv(tmp_path / "mine.csv", index=False)
    _assert_refused(words, tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda few: pd.concat([few, few[["age"]]], axis=1), "two columns named 'age'"),
        (lambda few: pd.concat({"age": few}, axis=1), "lacks the column 'sno'"),
        (lambda few: few["age"], "of type Series, it must be a pandas DataFrame"),
        (lambda few: few.assign(sno=["1", 1.0, *range(3, 31)]), "sno=1 is given to two patients"),
        (lambda few: few.assign(race=[["white"]] * 30), "race = .'white'. in row 1 .*must be one of"),
        (lambda few: few.assign(age=pd.array([None, *[60] * 29], "Int64")), "age = <NA> in row 1 .*must have a value"),
    ],
)
def test_a_table_that_is_none_of_patients(few, change, words) -> None:
    with pytest.raises(DataError, match=words):
        cohort.check_patients(change(few))


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
        (f"{','.join(cohort.COLUMNS)},age\n".encode(), "two columns named 'age'"),
        (",".join(cohort.COLUMNS).encode(), "holds no patient"),
    ],
)
def test_a_file_that_is_no_table_or_lacks_columns_or_patients(tmp_path, content, words) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    _assert_refused(words, tmp_path / "mine.csv")
