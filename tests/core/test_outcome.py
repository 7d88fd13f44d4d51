"""The scoreboard's rows: what they may hold, how they are kept and shown."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers import outcome
from ppml_helpers.errors import OutcomeError
from ppml_helpers.outcome import Outcome

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
def test_what_was_saved_is_loaded(row, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("results")
    file = outcome.save(row, folder)
    assert file.parent == folder
    assert file.name.isascii()
    assert outcome.load(folder) == [row]


def test_one_file_a_technique_the_newest_wins(tmp_path) -> None:
    outcome.save(ROW, tmp_path)
    outcome.save(replace(ROW, utility=0.7), tmp_path)
    assert [row.utility for row in outcome.load(tmp_path)] == [0.7]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "names",
    [("DP-SGD", "DP SGD"), ("差分隱私", "同態加密"), ("naïve", "naive"), ("a/b", "a\\b"), ("x" * 300, "x" * 301)],
)
def test_similar_names_get_different_files(tmp_path, names) -> None:
    for name in names:
        outcome.save(replace(ROW, technique=name), tmp_path)
    assert [row.technique for row in outcome.load(tmp_path)] == sorted(names)


@pytest.mark.parametrize("name", ["../../etc/passwd", "CON", "a:b*c?", ".hidden", "\0"])
def test_no_name_leaves_the_folder(tmp_path, name) -> None:
    file = outcome.save(replace(ROW, technique=name), tmp_path / "results")
    assert file.resolve().parent == (tmp_path / "results").resolve()
    assert not file.name.startswith(".")
    assert [row.technique for row in outcome.load(tmp_path / "results")] == [name]


def test_the_environment_names_the_folder_at_call_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path / "one"))
    outcome.save(ROW)
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path / "two"))
    assert outcome.load() == []
    assert outcome.load(tmp_path / "one") == [ROW]
    monkeypatch.delenv("PPML_RESULTS")
    assert outcome._folder(None) == outcome.DEFAULT_FOLDER
    assert outcome.DEFAULT_FOLDER.name == ".results"


def test_numpy_numbers_become_plain_ones(tmp_path) -> None:
    row = Outcome("x", np.float32(0.5), np.float64(0.25), None, np.float64(2), np.int64(3))
    assert (type(row.utility), type(row.leak), type(row.seconds), type(row.bytes_sent)) == (float, float, float, int)
    outcome.save(row, tmp_path)
    assert outcome.load(tmp_path) == [row]


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ROW.utility = 1.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("technique", ""),
        ("technique", "  "),
        ("technique", None),
        ("utility", -0.01),
        ("utility", 1.01),
        ("utility", np.nan),
        ("utility", None),
        ("utility", "0.8"),
        ("utility", True),
        ("leak", -0.1),
        ("leak", 1.1),
        ("leak", np.nan),
        ("leak", "none"),
        ("guarantee", ""),
        ("guarantee", 1.0),
        ("seconds", -1),
        ("seconds", np.inf),
        ("seconds", np.nan),
        ("bytes_sent", -1),
        ("bytes_sent", 1.5),
        ("bytes_sent", None),
        ("bytes_sent", False),
        ("note", None),
    ],
)
def test_impossible_values_are_refused(field, value) -> None:
    with pytest.raises(OutcomeError, match=f"{field} = "):
        replace(ROW, **{field: value})


@pytest.mark.parametrize("value", [None, {"technique": "x"}, "DP-SGD"])
def test_only_an_outcome_can_be_saved(tmp_path, value) -> None:
    with pytest.raises(OutcomeError, match="no Outcome"):
        outcome.save(value, tmp_path)


def test_the_table_says_what_was_not_measured() -> None:
    shown = outcome.table([ROW, replace(ROW, technique="none", leak=None, guarantee=None, seconds=0.01234)])
    assert list(shown.index) == ["DP-SGD", "none"]
    assert list(shown.columns) == ["AUC", "leak", "guarantee", "seconds", "bytes sent", "note"]
    assert list(shown["leak"]) == ["0.020", "not measured"]
    assert list(shown["guarantee"]) == ["epsilon 1, delta 1e-5", "none"]
    assert list(shown["seconds"]) == [1.5, 0.012]
    assert outcome.table([]).empty
    assert list(outcome.table([]).columns) == list(shown.columns)


def test_a_file_is_readable_json(tmp_path) -> None:
    content = json.loads(outcome.save(ROW, tmp_path).read_text(encoding="utf-8"))
    assert content["technique"] == "DP-SGD"
    assert content["leak"] == 0.02
