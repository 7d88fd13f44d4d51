"""Somebody's own table: what is read, what is refused in one sentence, and what several rows of a person become."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_tables import mixed, roles_of

from ppml_helpers.choose.proposal import Roles
from ppml_helpers.choose.table import Table, read_frame, roles_path
from ppml_helpers.errors import TableError

FRAME = mixed(80)
ROLES = roles_of(FRAME)
BAD_FILES = {
    "a.csv": (b"", "is empty"),
    "b.csv": (b"a,b\n1,2,3\n1,2,3\n", "more or fewer fields"),
    "c.csv": ("Größe,b\n1,2\n".encode("latin-1"), "not in UTF-8"),
    "d.csv": (b"a,a\n1,2\n", "two columns named 'a'"),
    "e.csv": (b"a;b\n1;2\n", "another separator"),
    "f.csv": (b"a,b\n", "0 rows"),
    "g.xlsx": (b"PK", "neither .csv"),
    "h.parquet": (b"PAR1 no more", "cannot be read"),
    "i.csv.gz": (gzip.compress(b"a,b\n1,2\n")[:-9], "cut short"),
}


def refused(frame: pd.DataFrame, roles: Roles) -> str:
    with pytest.raises(TableError) as caught:
        Table.read(frame, roles)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    content, word = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=re.escape(word)):
        read_frame(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere\.csv cannot be read"):
        Table.read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("end", [".csv", ".csv.gz", ".parquet"])
def test_every_kind_of_file_holds_the_same_table(end: str, tmp_path: Path) -> None:
    path = tmp_path / f"heart{end}"
    FRAME.to_parquet(path) if end == ".parquet" else FRAME.to_csv(path, index=False)
    assert roles_path(path).name == "heart.roles.toml"
    ROLES.save(roles_path(path))
    table = Table.read(path)  # finds the roles beside it
    pd.testing.assert_frame_equal(table.people, Table.read(FRAME, ROLES).people)


def test_a_table_does_not_show_its_rows() -> None:
    table = Table.read(FRAME, ROLES)
    assert repr(table) == "<Table the table: 80 rows, 8 columns>"
    with pytest.raises(TableError, match=r"Nobody has said yet what the columns .* mean"):
        Table.read(FRAME).split()


CHANGES = {
    "no target": (lambda f: f, lambda r: replace(r, columns={**r.columns, "died": r.columns["always"]}), "None|target"),
    "a new column": (lambda f: f.assign(more=1), lambda r: r, "say nothing of the column 'more'"),
    "a column gone": (lambda f: f.drop(columns="stay"), lambda r: r, "lacks the column 'stay'"),
    "text among numbers": (lambda f: f.assign(age=f["age"].astype(object).where(f.index != 5, "Mrs Miller")),
                           lambda r: r, "'age' is no finite number in data row 6"),
    "infinite": (lambda f: f.assign(dose=np.where(f.index == 3, np.inf, f["dose"])), lambda r: r, "data row 4"),
    "an unknown name": (lambda f: f.assign(ward=f["ward"].where(f.index != 2, "Mrs Miller")),
                        lambda r: r, "'ward' is none of its levels in data row 3"),
    "no outcome": (lambda f: f.assign(died=f["died"].where(f.index != 1)), lambda r: r, "missing in 1 rows"),
    "one outcome": (lambda f: f, lambda r: replace(r, positive="yes"), "never, or always, 'yes'"),
    "too few": (lambda f: f.iloc[::4], lambda r: r, "has 20 people"),
    "no number of people": (lambda f: f.assign(ward=f["ward"]), lambda r: replace(r, person="ward"), "has gaps"),
    "bounds in the wrong order": (
        lambda f: f,
        lambda r: replace(r, columns={**r.columns, "age": replace(r.columns["age"], low=90.0, high=10.0)}),
        "The column 'age': low, high and fill must be numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_does_not_fit_is_refused_with_the_column_and_never_the_value(what: str) -> None:
    frame, roles, word = CHANGES[what]
    sentence = refused(frame(FRAME), roles(ROLES))
    assert re.search(word, sentence), sentence
    assert "Miller" not in sentence


def test_codes_of_missing_values_are_missing() -> None:
    frame = FRAME.assign(age=FRAME["age"].where(FRAME.index > 4, -9), ward=FRAME["ward"].where(FRAME.index > 2, "?"))
    columns = dict(ROLES.columns)
    columns["age"] = replace(columns["age"], missing=(-9,))
    columns["ward"] = replace(columns["ward"], missing=("?",))
    people = Table.read(frame, replace(ROLES, columns=columns)).people
    assert people["age"].isna().sum() == 5
    assert people["ward"][:3].isna().all()


def test_several_rows_become_one_a_person_and_nobody_is_in_both_parts() -> None:
    twice = pd.concat([FRAME, FRAME.assign(age=FRAME["age"] + 2, died=1)]).assign(person=[*range(80), *range(80)])
    columns = dict(ROLES.columns) | {"person": replace(ROLES.columns["always"], name="person", use="identifier")}
    roles = replace(ROLES, columns=columns, person="person")
    drawn = Table.read(twice, roles)
    assert len(drawn.people) == 80
    assert "160 rows of 80 people; where somebody has several, one of them was drawn" in drawn.unit
    both = Table.read(twice.assign(died=[*FRAME["died"]] * 2), replace(roles, several="averaged"))
    assert both.people["age"].to_numpy() == pytest.approx(FRAME["age"].to_numpy() + 1)
    assert both.people["target"].tolist() == FRAME["died"].tolist()
    split = both.split(0)
    assert not set(split.X_train.index) & set(split.X_test.index)
    assert len(split.X_train) + len(split.X_test) == 80
