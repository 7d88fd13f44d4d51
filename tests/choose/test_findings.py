"""The own-table road on tables of every kind: it ends with a report, and no row of the table is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_tables import HOSTILE, hostile, mixed, numeric, roles_of, told_values

from ppml_helpers import cohort
from ppml_helpers.choose import findings as own
from ppml_helpers.choose.report import Section, as_html, as_markdown
from ppml_helpers.choose.table import Table

KINDS: dict[str, Callable[[], pd.DataFrame]] = {
    "numbers only": numeric,
    "names, gaps, a level of one person": lambda: mixed(800),
    "300 rows, hostile names": hostile,
    "100,000 rows, 1 % with the outcome": lambda: mixed(100_000, rare=0.01),
}


@cache
def made(kind: str) -> tuple[pd.DataFrame, list[Section]]:
    """A table and what was found, once for all tests."""
    frame = KINDS[kind]()
    return frame, own.findings(Table.read(frame, roles_of(frame)))


def text_of(sections: list[Section]) -> str:
    """Both reports without the bytes of their pictures."""
    both = as_html("own", sections) + as_markdown("own", sections)
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "", both)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_ends_with_a_report(kind: str) -> None:
    frame, sections = made(kind)
    assert len(sections) == 6
    assert all(section.tables for section in sections[:5] if section.title != "An anonymised release, and its price")
    assert [len(section.pictures) for section in sections] == [0, 0, 0, 0, 1, 1]
    assert f"{len(frame):,} rows" in sections[0].sentences[0]
    assert not re.search(r"\bnan\b", text_of(sections))


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_of_the_table_is_in_the_report(kind: str) -> None:
    """The attack: look for every name, every number of many digits and every rare level."""
    frame, sections = made(kind)
    report = text_of(sections)
    values = told_values(frame)
    assert len(values) > 2 * len(frame)
    words = set(re.findall(r"[\w.\-]+", report))
    assert [value for value in values if (value in words if " " not in value else value in report)] == []


def test_bounds_that_came_from_the_table_are_neither_shown_nor_promised_with() -> None:
    frame = mixed(400)
    sections = own.findings(Table.read(frame, roles_of(frame, public=False)))
    report = text_of(sections)
    ends = [str(end) for name in ("age", "dose", "stay") for end in (frame[name].min(), frame[name].max())]
    assert [end for end in ends if end in report] == []
    assert "only Mr Quispe" not in report
    assert report.count("No epsilon is promised: the bounds or names of") == 2 * 4
    assert "epsilon 1," not in report


def test_names_of_columns_are_shown_as_text() -> None:
    html = as_html("own", made("300 rows, hostile names")[1])
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert HOSTILE["stay"] not in html
    assert not re.search(r">\s*=1\+cmd", html)


def test_what_singles_out_is_what_counting_finds() -> None:
    frame = mixed(800)
    told = own.singled_out(Table.read(frame, roles_of(frame))).sentences[1]
    alone = (frame.groupby(["age", "sex"]).transform("size") == 1).sum()
    assert f"{alone} of 800 people" in told
    assert told.endswith("so k = 1.")


def test_a_release_keeps_its_k_and_says_what_it_leaves_out() -> None:
    frame = mixed(800)
    table = Table.read(frame, roles_of(frame))
    rows = own.anonymised(table).tables[0][1]
    assert list(rows.index) == list(own.KS)
    assert (rows["rows left out"] <= 0.05 * 600).all()
    assert (rows["AUC"].astype(float)[[2, 5, 11]] > 0.7).all()


def test_a_level_that_only_a_tested_person_has_is_no_obstacle_nor_one_that_only_a_trained_one_has() -> None:
    frame = mixed(300)
    table = Table.read(frame, roles_of(frame))
    tested = {seed: 7 in table.split(seed).X_test.index for seed in range(12)}
    assert set(tested.values()) == {True, False}
    for seed in (min(seed for seed, there in tested.items() if there == wanted) for wanted in (True, False)):
        assert own.anonymised(table, seed).tables
        assert own.attacked(table, seed).tables


def test_without_quasi_identifiers_there_is_a_sentence_in_place_of_a_release() -> None:
    frame = numeric(100).drop(columns="age")
    table = Table.read(frame, roles_of(frame))
    assert own.anonymised(table).sentences == own.singled_out(table).sentences[-1:] == [own._NO_QUASI]


def test_a_table_of_too_few_with_the_outcome_gets_a_sentence_in_place_of_a_model() -> None:
    frame = mixed(300, rare=0.01)
    table = Table.read(frame, roles_of(frame))
    for part in (own.attacked, own.priced, own.anonymised):
        assert "No model is trained: the rarer outcome of 'died' has 3 people" in part(table).sentences[0]


def test_a_column_known_only_afterwards_is_pointed_at() -> None:
    frame = mixed(300)
    frame["bill"] = frame["died"] * 100 + np.random.default_rng(0).normal(0, 5, 300)
    assert any(
        "'bill' alone nearly tells" in one for one in own.described(Table.read(frame, roles_of(frame))).sentences
    )


def test_the_bundled_table_shows_the_overfitted_model_leaking_and_the_private_one_not() -> None:
    rows = own.attacked(Table.read(cohort.DATA_FOLDER / "actg175.csv.gz")).tables[0][1]
    advantage = rows["advantage of the attack"].str.split().str[0].astype(float)
    assert advantage["no protection: overfitted forest"] > 0.3
    assert (advantage.drop("no protection: overfitted forest").abs() < 0.15).all()
    assert rows.loc["private training, epsilon 1", "promise"] == "epsilon 1, delta 1e-05"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (12, 80), (-3.5, 1e6), (0, 1e-7), (1990, 2000)])
def test_a_grid_covers_its_bounds_with_few_round_bins(low: float, high: float) -> None:
    width, count = own._grid(low, high)
    assert 1 <= count <= 64
    assert low + width * count >= high * (1 - 1e-12)
    assert f"{width:.0e}"[0] in "125"


def test_work_that_is_stopped_stops() -> None:
    def stop(fraction: float, what: str) -> None:
        if what == "private statistics":
            raise KeyboardInterrupt

    table = Table.read(Path(cohort.DATA_FOLDER) / "actg175.csv.gz")
    with pytest.raises(KeyboardInterrupt):
        own.findings(table, progress=stop)
