"""What can happen to the files on disk: each fault is named with its mend, and nothing is half written."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort, outcome
from ppml_helpers.errors import DataError, OutcomeError
from ppml_helpers.outcome import Outcome

ROW = Outcome("DP-SGD", 0.804, 0.02, "epsilon 1, delta 1e-5", 1.5, 0, "old")
REPOSITORY = Path(cohort.__file__).resolve().parents[2]


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


@pytest.mark.parametrize("keep", [0, 1, 5, 18, 1000, 400_000, -9, -1])
def test_a_truncated_file(own, keep) -> None:
    own.write_bytes(own.read_bytes()[:keep])
    _assert_refused("damaged|SHA-256")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.6, 0.85, 0.999999])
def test_one_flipped_bit(own, share) -> None:
    content = bytearray(own.read_bytes())
    content[int(share * len(content))] ^= 0x10
    own.write_bytes(content)
    _assert_refused("damaged|SHA-256")


def test_rubbish_behind_the_end(own) -> None:
    own.write_bytes(own.read_bytes() + b"rubbish")
    _assert_refused("damaged")


def test_no_gzip_at_all(own) -> None:
    own.write_bytes(b"<html>not found</html>")
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


@pytest.fixture(scope="module")
def few() -> pd.DataFrame:
    return cohort.load_patients().head(30)


@pytest.mark.parametrize("column", list(cohort.COLUMNS))
def test_a_missing_column(few, tmp_path, column) -> None:
    few.drop(columns=column).to_csv(tmp_path / "mine.csv", index=False)
    _assert_refused(f"lacks the column '{column}'", tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("age", 230, r"age = 230.* in row 4 .*between 18 and 120 years"),
        ("age", -1, "age = -1"),
        ("age", "old", "age = old in row 4 .*must be a number in years"),
        ("age", np.inf, "age = inf"),
        ("age", np.nan, "age = nan in row 4 .*must have a value"),
        ("hospdead", 2, "hospdead = 2 in row 4 .*must be 0 or 1"),
        ("hospdead", 0.5, "hospdead = 0.5 in row 4 .*must be 0 or 1"),
        ("hospdead", np.nan, "hospdead = nan"),
        ("sex", "unknown", "sex = unknown in row 4 .*must be one of"),
        ("dzgroup", "Flu", "dzgroup = Flu"),
        ("dzgroup", None, "dzgroup = nan|dzgroup = None"),
        ("race", "martian", "race = martian"),
        ("slos", -3, "slos = -3"),
        ("wblc", -0.1, "wblc = -0.1"),
        ("temp", 98.6, "temp = 98.6 in row 4 .*between 20 and 46 degrees C"),
        ("ph", 74, "ph = 74"),
        ("surv2m", 1.2, "surv2m = 1.2"),
        ("sno", 1, "sno=1 is given to two patients"),
    ],
)
def test_an_impossible_value(few, tmp_path, column, value, words) -> None:
    table = few.astype({column: object})
    table.loc[3, column] = value
    table.to_csv(tmp_path / "mine.csv", index=False)
    _assert_refused(words, tmp_path / "mine.csv")


@pytest.mark.parametrize("column", [name for name, rule in cohort.COLUMNS.items() if not rule.levels])
@pytest.mark.parametrize("side", ["low", "high"])
def test_every_number_has_bounds(few, column, side) -> None:
    rule = cohort.COLUMNS[column]
    table = few.astype({column: float})
    bound = getattr(rule, side)
    assert np.isfinite(bound)
    table.loc[0, column] = bound
    cohort.check_patients(table)
    table.loc[0, column] = bound + (-1 if side == "low" else 1)
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


# ------------------------------------------------------------------------------------------- the results store


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def _write_on_a_full_disk(file: Path, text: str, **_: object) -> None:
    """The first bytes fit, the rest does not."""
    file.write_bytes(text.encode()[: len(text) // 2])
    _full()


@pytest.mark.parametrize("call", ["replace", "fsync", "write"])
def test_a_full_disk_leaves_the_old_row_whole(tmp_path, monkeypatch, call) -> None:
    outcome.save(ROW, tmp_path)
    if call == "write":
        monkeypatch.setattr(Path, "write_text", _write_on_a_full_disk)
    else:
        monkeypatch.setattr(outcome.os, call, _full)
    with pytest.raises(OutcomeError, match=r"No space left on device.*older row is untouched"):
        outcome.save(replace(ROW, note="new"), tmp_path)
    monkeypatch.undo()
    assert outcome.load(tmp_path) == [ROW]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutcomeError, match="PPML_RESULTS"):
        outcome.save(ROW, tmp_path / "file" / "results")


def test_control_c_in_the_middle_leaves_the_old_row_and_no_litter(tmp_path, monkeypatch) -> None:
    outcome.save(ROW, tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(outcome.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        outcome.save(replace(ROW, note="new"), tmp_path)
    monkeypatch.undo()
    assert outcome.load(tmp_path) == [ROW]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_in_the_middle_leaves_the_old_row(tmp_path, moment) -> None:
    outcome.save(ROW, tmp_path)
    script = f"""
        import os, signal
        from dataclasses import replace
        from ppml_helpers import outcome
        os.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        (row,) = outcome.load({str(tmp_path)!r})
        outcome.save(replace(row, note="new"), {str(tmp_path)!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=REPOSITORY, check=False)
    assert done.returncode == -signal.SIGKILL
    assert outcome.load(tmp_path) == [ROW]
    outcome.save(replace(ROW, note="newer"), tmp_path)
    assert [row.note for row in outcome.load(tmp_path)] == ["newer"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"technique": "x"}', b"[" * 100_000],
)
def test_a_corrupt_row_is_named_with_the_mend(tmp_path, content) -> None:
    file = outcome.save(ROW, tmp_path)
    file.write_bytes(content)
    with pytest.raises(OutcomeError, match=r"dp-sgd.*\.json is damaged.*delete it and run the chapter") as caught:
        outcome.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("field", "value"), [("utility", 7), ("seconds", None), ("bytes_sent", 0.5), ("extra", 1)])
def test_a_row_with_an_impossible_value_is_named(tmp_path, field, value) -> None:
    file = outcome.save(ROW, tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(OutcomeError, match=r"dp-sgd.*\.json is damaged"):
        outcome.load(tmp_path)


def test_a_copied_file_is_named(tmp_path) -> None:
    shutil.copy(outcome.save(ROW, tmp_path), tmp_path / "copy.json")
    with pytest.raises(OutcomeError, match="repeats the technique 'DP-SGD'"):
        outcome.load(tmp_path)
