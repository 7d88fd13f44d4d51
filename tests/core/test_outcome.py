"""`outcome` and `files`: what a row may hold, how rows are shown, and that none is ever half written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppml_helpers import outcome
from ppml_helpers.errors import OutcomeError
from ppml_helpers.outcome import Outcome

REPOSITORY = Path(outcome.__file__).resolve().parents[1]
ROW = Outcome("DP-SGD", 0.804, 0.02, "epsilon 1, delta 1e-5", 1.5, 0, "full batch")

outcomes = st.builds(
    Outcome,
    technique=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    utility=st.floats(0, 1),
    leak=st.none() | st.floats(0, 1),
    guarantee=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    seconds=st.floats(0, 1e9),
    bytes_sent=st.integers(0, 2**70),
    note=st.text(st.characters(exclude_categories=["Cs"])),
)


@settings(max_examples=60, deadline=None)
@given(row=outcomes)
@example(row=replace(ROW, technique="../../etc/passwd"))
@example(row=replace(ROW, technique="CON"))
@example(row=replace(ROW, technique=".hidden"))
@example(row=replace(ROW, technique="a:b*c?\0"))
@example(row=Outcome("numpy's", np.float32(0.5), np.float64(0.25), None, np.float64(2), np.int64(3)))
def test_what_was_saved_is_loaded_and_no_name_leaves_the_folder(row, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("results")
    file = outcome.save(row, folder)
    assert file.resolve().parent == folder.resolve()
    assert file.name.isascii()
    assert not file.name.startswith(".")
    assert json.loads(file.read_text("utf-8"))["technique"] == row.technique
    assert outcome.load(folder) == [row]
    outcome.save(replace(row, utility=0.7), folder)
    assert outcome.load(folder) == [replace(row, utility=0.7)], "one file a technique, the newest wins"


def test_similar_names_get_different_files(tmp_path) -> None:
    names = ["DP-SGD", "DP SGD", "差分隱私", "同態加密", "naïve", "naive", "a/b", "a\\b", "x" * 300, "x" * 301]
    for name in names:
        outcome.save(replace(ROW, technique=name), tmp_path)
    assert [row.technique for row in outcome.load(tmp_path)] == sorted(names)


def test_the_environment_names_the_folder_at_call_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path / "one"))
    outcome.save(ROW)
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path / "two"))
    assert outcome.load() == []
    assert outcome.load(tmp_path / "one") == [ROW]
    monkeypatch.delenv("PPML_RESULTS")
    assert outcome._folder(None) == outcome.DEFAULT_FOLDER
    assert outcome.DEFAULT_FOLDER.name == ".results"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("technique", "  "), ("utility", 1.01), ("leak", np.nan), ("guarantee", "")),
        *(("seconds", np.inf), ("bytes_sent", 1.5), ("note", None)),
    ],
)
def test_impossible_values_are_refused_and_named_in_a_file(tmp_path, field, value) -> None:
    with pytest.raises(OutcomeError, match=f"{field} = "):
        replace(ROW, **{field: value})
    file = outcome.save(ROW, tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(OutcomeError, match=rf"dp-sgd.*\.json is damaged, {field} = "):
        outcome.load(tmp_path)


def test_what_cannot_be_saved_is_refused(tmp_path) -> None:
    with pytest.raises(OutcomeError, match="no Outcome"):
        outcome.save({"technique": "x"}, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutcomeError, match="PPML_RESULTS"):
        outcome.save(ROW, tmp_path / "file" / "results")


def test_the_table_says_what_was_not_measured() -> None:
    shown = outcome.table([ROW, replace(ROW, technique="none", leak=None, guarantee=None, seconds=0.01234)])
    assert list(shown.index) == ["DP-SGD", "none"]
    assert list(shown.columns) == ["AUC", "leak", "guarantee", "seconds", "bytes sent", "note"]
    assert list(shown["leak"]) == ["0.020", "not measured"]
    assert list(shown["guarantee"]) == ["epsilon 1, delta 1e-5", "none"]
    assert list(shown["seconds"]) == [1.5, 0.012]
    assert outcome.table([]).empty
    assert list(outcome.table([]).columns) == list(shown.columns)


# ---------------------------------------------------------------------------------- what can happen to the files


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _write_half(file: Path, text: str, **_: object) -> None:
    """The first bytes fit, the rest does not."""
    file.write_bytes(text.encode()[: len(text) // 2])
    _full()


@pytest.mark.parametrize(
    ("where", "call", "fault"),
    [
        (outcome.os, "replace", _full),
        (outcome.os, "fsync", _full),
        (Path, "write_text", _write_half),
        (outcome.os, "fsync", _interrupt),
    ],
)
def test_a_full_disk_or_control_c_leaves_the_old_row_and_no_litter(tmp_path, monkeypatch, where, call, fault) -> None:
    outcome.save(ROW, tmp_path)
    monkeypatch.setattr(where, call, fault)
    with pytest.raises((OutcomeError, KeyboardInterrupt)) as raised:
        outcome.save(replace(ROW, note="new"), tmp_path)
    monkeypatch.undo()
    if fault is not _interrupt:
        assert re.search(r"No space left on device.*PPML_RESULTS.*older row is untouched", str(raised.value))
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


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"technique": "x"}', b"[" * 100_000])
def test_a_corrupt_or_a_copied_row_is_named_with_the_mend(tmp_path, content) -> None:
    file = outcome.save(ROW, tmp_path)
    copied = shutil.copy(file, tmp_path / "copy.json")
    with pytest.raises(OutcomeError, match="repeats the technique 'DP-SGD'"):
        outcome.load(tmp_path)
    copied.write_bytes(content)
    with pytest.raises(OutcomeError, match=r"copy\.json is damaged.*delete it and run the chapter") as caught:
        outcome.load(tmp_path)
    assert "\n" not in str(caught.value)
