"""Roles: what is proposed and says so, what a file may say, and what it is refused for."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_tables import mixed, roles_of

from ppml_helpers.choose.proposal import READ, Column, Roles, propose, read_roles, to_toml
from ppml_helpers.errors import TableError

FRAME = mixed(80)


def test_a_proposal_guesses_nothing_in_silence() -> None:
    roles = propose(FRAME)
    assert {name: one.use for name, one in roles.columns.items()} == {
        "Üłgi-Name": "identifier", "always": "unused", "died": "predictor",
        **dict.fromkeys(("age", "sex", "dose", "stay", "ward"), "predictor"),
    }  # fmt: skip
    assert roles.target == ""  # sex, too, has two values
    assert roles.quasi_identifiers == ["age", "sex"]
    assert roles.unconfirmed == roles.predictors
    assert {roles.columns[name].source for name in roles.predictors} == {READ}
    assert propose(FRAME.drop(columns="sex")).target == "died"


def test_what_was_read_from_the_table_is_not_shown_until_somebody_says_it_is_public() -> None:
    smallest = str(FRAME["age"].min())
    assert smallest in to_toml(propose(FRAME))  # the file says so in its head
    assert smallest not in propose(FRAME).shown().to_string()
    assert roles_of(FRAME).shown().loc["age", "public bounds or names"].endswith("(a rule)")
    assert roles_of(FRAME).unconfirmed == []


@given(
    name=st.text(min_size=1),
    levels=st.lists(st.text(), max_size=3),
    source=st.text(),
    low=st.floats(allow_nan=False, allow_infinity=False),
    missing=st.lists(st.integers(-(2**60), 2**60) | st.text() | st.floats(allow_nan=False, allow_infinity=False)),
)
@settings(max_examples=60, deadline=None)
def test_a_file_gives_back_what_was_saved(tmp_path_factory, name, levels, source, low, missing) -> None:
    one = Column(name, "predictor", True, False, "number", low, low, low, tuple(levels), tuple(missing), source)
    roles = Roles({name: one}, outcome=source, positive=name)
    path = tmp_path_factory.getbasetemp() / "roles.toml"
    assert read_roles(roles.save(path)) == roles


BAD = {
    "": "target 'x' is none",
    "[[column": "no TOML",
    "[[column]]\nuse = 'unused'": "has no name",
    "[[column]]\nname = 'x'\nuse = 'feature'": "'x' has use = 'feature'",
    "[[column]]\nname = 'x'\nlow = 'a'": "'x' has low = 'a'",
    "[[column]]\nname = 'x'\nquasi_identifier = 1": "'x' has quasi_identifier = 1",
    "[[column]]\nname = 'x'\nlevels = 'ab'": "'x' has levels = 'ab'",
    "[[column]]\nname = 'x'\ncolour = 1": "'x' has the unknown key 'colour'",
    "[[column]]\nname = 'x'\n[[column]]\nname = 'x'": "'x' is there twice",
    "sevral = 'x'": "'sevral' is not understood",
    "positive = 1": "'positive' is not understood",
    "column = 3": "'column' is not understood",
    "several = 'all'": "several = 'all' is not on offer",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_says_something_else_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f"target = 'x'\n{text}", encoding="utf-8")
    with pytest.raises(TableError) as caught:
        read_roles(path)
    assert BAD[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_roles(tmp_path / "no.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TableError, match="no TOML"):
        read_roles(tmp_path / "b.toml")
    with pytest.raises(TableError, match="cannot be written"):
        propose(FRAME).save(tmp_path / "no" / "such" / "folder.toml")


def test_an_old_file_is_whole_if_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    path = propose(FRAME).save(tmp_path / "r.toml")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ppml_helpers.files.os.replace", full)
    with pytest.raises(TableError, match="No space left"):
        replace(propose(FRAME), outcome="x").save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["r.toml"]


@pytest.mark.parametrize(
    ("values", "use", "words"),
    [
        ([None] * 50, "unused", "empty"),
        (["x"] * 50, "unused", "the same"),
        ([*range(50)], "identifier", ""),
        ([f"town {n % 40}" for n in range(80)], "unused", "40 names"),
        (pd.date_range("2020-01-01", periods=50), "unused", "a date"),
        ([[1, 2], [3]] * 25, "unused", "lists"),
        (["a\x00", "b"] * 25, "predictor", READ),
        ([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)] * 25, "predictor", READ),
        ([1, "a"] * 25, "predictor", READ),
        (pd.Categorical(["a", "b"] * 25), "predictor", READ),
        ([True, False] * 25, "predictor", READ),
        ([0, 1] * 25, "predictor", READ),
    ],
)
def test_a_column_is_proposed_by_what_it_holds(values: object, use: str, words: str) -> None:
    one = propose(pd.DataFrame({"x": values, "y": [*range(len(values) // 2)] * 2})).columns["x"]
    assert (one.use in (use, "target")) if words == READ else (one.use == use and words in one.source)


@pytest.mark.parametrize(("low", "high", "fill"), [(0, 1e300, 0), (5, 5, 5), (9, 1, 5), (None, 1, 1), (12, 70, 80)])
def test_bounds_that_cannot_be_used_are_refused_without_repeating_them(low, high, fill) -> None:
    with pytest.raises(TableError, match="The column 'age': ") as caught:
        Column("age", "predictor", kind="number", low=low, high=high, fill=fill).role()
    assert not {"12", "70", "80", "1e+300"} & set(str(caught.value).replace(",", " ").replace(":", " ").split())
