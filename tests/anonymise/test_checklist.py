"""`checklist`: what is counted, what must be answered, and what a later chapter reads."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest

from ppml_helpers import outcome
from ppml_helpers.anonymise import Checklist, Hierarchy, Lattice
from ppml_helpers.anonymise.checklist import QUESTIONS
from ppml_helpers.errors import AnonymityError

ANSWERS = dict.fromkeys(QUESTIONS, "Because of the contract.") | {"decision": "ask first", "date": "2026-11-28"}


@pytest.fixture
def page(small: pd.DataFrame, ladders: dict[str, Hierarchy]) -> Checklist:
    """The six patients with an extra column; the woman of 71 is suppressed."""
    table = small.assign(pulse=range(6))
    lattice = Lattice(table, ["age", "sex"], ladders, sensitive="dx")
    released = lattice.apply(lattice.solve(2, 0.2))
    return Checklist.measure("Six patients", released, table, "dx", ["sex"], {"test AUC": 0.78049})


def test_what_is_counted_is_counted(page: Checklist) -> None:
    assert page.measured == {
        "rows": 5,
        "columns": "age, sex, dx and pulse",
        "declared quasi-identifiers": "age and sex",
        "columns not declared": "pulse",
        "k": 2,
        "secret": "dx",
        "l": 2,
        "t": 0.2,
        "secret certain, share of patients": 0.0,
        "patients left out": 1,
        "left out most": "sex f: 25 % of them",
        "test AUC": 0.78,
    }


def test_a_page_with_a_gap_is_not_complete_and_is_not_saved(page: Checklist, tmp_path: Path) -> None:
    for question in QUESTIONS:
        gap = page.answer(**{name: text for name, text in ANSWERS.items() if name != question})
        assert (gap.complete, gap.missing) == (False, [question])
        with pytest.raises(AnonymityError, match=rf"1 answer missing \({question}\)"):
            gap.save(tmp_path)
    assert Checklist.load(tmp_path) == []
    assert "12 answers missing" in repr(page)
    assert page.answer(**ANSWERS).complete
    assert not page.answers  # the page itself did not change


def test_what_was_saved_is_loaded_and_the_scoreboard_does_not_mind(page: Checklist, tmp_path: Path) -> None:
    full = page.answer(**ANSWERS)
    file = full.save(tmp_path)
    assert json.loads(file.read_text("utf-8"))["answers"]["decision"] == "ask first"
    assert Checklist.load(tmp_path) == [full]
    later = full.answer(decision="release")
    other = dataclasses.replace(full, title="Another-1")
    for one in (later, other):
        one.save(tmp_path)
    assert Checklist.load(tmp_path) == [other, later]
    assert outcome.load(tmp_path) == []
    whole = file.read_text("utf-8")
    for damaged in ("{", "[]", '{"title": "x"}', whole.replace('"release"', '"maybe"')):
        file.write_text(damaged, "utf-8")
        with pytest.raises(AnonymityError, match="is damaged or cannot be read"):
            Checklist.load(tmp_path)


def test_the_page_shows_every_entry_and_nothing_that_a_browser_would_run(page: Checklist) -> None:
    shown = page.answer(purpose="<script>alert(1)</script>")
    for text in (repr(shown), shown._repr_html_()):
        assert all(str(value) in text for value in page.measured.values())
        assert all(question in text for question in QUESTIONS.values())
        assert "11 answers missing" in text
    assert "<script>" not in shown._repr_html_()
    assert len(repr(shown).splitlines()) <= 40


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"purpose": "..."}, "must be a text that answers 'What is the table for"),
        ({"name": 5}, "name = 5 must be a text"),
        ({"decision": "yes"}, "'release', 'do not release', 'ask first'"),
        ({"date": "28.11.2026"}, "such as '2026-11-28'"),
        ({"colour": "blue"}, "The question = 'colour' is not on offer"),
    ],
)
def test_an_answer_that_is_none_is_refused(page: Checklist, answer: dict, words: str) -> None:
    with pytest.raises(AnonymityError, match=words):
        page.answer(**answer)


@pytest.mark.parametrize("title", ["", "../x", "a/b", " a", "a.b", "x" * 61, None])
def test_a_title_names_a_file_of_the_folder(page: Checklist, title: str) -> None:
    with pytest.raises(AnonymityError, match="letters and digits"):
        dataclasses.replace(page, title=title)


def test_a_release_of_another_table_is_refused(small: pd.DataFrame, ladders: dict[str, Hierarchy]) -> None:
    lattice = Lattice(small, ["age", "sex"], ladders)
    released = lattice.apply(lattice.solve(2, 0.2))
    with pytest.raises(AnonymityError, match="made from 6 rows, the original has 5"):
        Checklist.measure("x", released, small.head(5), "dx")
    with pytest.raises(AnonymityError, match="not a Released"):
        Checklist.measure("x", small, small, "dx")
