"""The exercises of chapter 00: what each answer is told."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers import reply

from ppml_helpers import cohort, course
from ppml_helpers.start_here.limits import promise

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
HERE = NOTEBOOKS / "00_start_here.ipynb"
CHAPTER = course.read(HERE)


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


def test_the_share_of_deaths_among_coma_patients_is_right(patients: pd.DataFrame) -> None:
    share = patients[patients.dzgroup == "Coma"].hospdead.mean()
    for answer in (share, round(share, 2), np.float64(share), np.array([share]), 362 / 596):
        assert reply("00.1", answer) == ""


@pytest.mark.parametrize("answer", [["alb", "scoma"], {"scoma", "alb"}, pd.Index(["alb", "scoma"])])
def test_the_columns_of_the_third_day_are_right(answer: object) -> None:
    assert reply("00.2", answer) == ""


def test_the_columns_of_the_task_are_those_that_the_data_card_uses_or_leaves_out() -> None:
    assert {"alb", "scoma"} <= set(cohort.SUPPORT2.columns)
    assert not {"charges", "sfdm2", "avtisst", "slos"} & set(cohort.SUPPORT2.columns)


def test_the_largest_position_of_the_slider_is_right_and_its_neighbours_are_not() -> None:
    positions = [10 ** (k / 10) for k in range(-20, 11)]
    kept = [position for position in positions if promise(position).belief <= 0.20]
    place = positions.index(max(kept))
    assert reply("00.3", positions[place]) == ""
    for right in (0.79, 0.8, 0.81, 0.8105):  # as the slider shows it, and up to the exact 0.81049
        assert reply("00.3", right) == ""
    assert "above the board's 20" in reply("00.3", positions[place + 1])
    assert "a larger epsilon" in reply("00.3", positions[place - 1])


def test_a_wrong_answer_gets_its_own_sentence(patients: pd.DataFrame) -> None:
    coma, died = patients.dzgroup == "Coma", patients.hospdead == 1
    wrong = [
        ("00.1", 100 * died[coma].mean(), "percent"),
        ("00.1", died[coma].sum(), "how many"),
        ("00.1", 1 - died[coma].mean(), "left hospital alive"),
        ("00.1", coma[died].mean(), "wrong way round"),
        ("00.1", died.mean(), "among all patients"),
        ("00.1", coma.mean(), "who came with coma. What share"),
        ("00.1", patients.death[coma].mean(), "end of the follow-up"),
        ("00.1", 0.6, "two digits"),
        ("00.1", 60, "two digits"),
        ("00.1", 0.05, "dzgroup is 'Coma'"),
        ("00.2", ["alb", "scoma", "charges"], "bill for the whole stay"),
        ("00.2", ["alb", "scoma", "sfdm2"], "two months later"),
        ("00.2", ["alb", "scoma", "avtisst"], "days 3 to 25"),
        ("00.2", ["alb", "scoma", "slos"], "known at discharge"),
        ("00.2", ["scoma"], "often missing"),
        ("00.2", ["alb"], "coma is grave"),
        ("00.2", [], "often missing"),
        ("00.2", "alb", "square brackets"),
        ("00.2", 2, "square brackets"),
        ("00.2", ["albumin", "scoma"], "'albumin' is not among the six"),
        ("00.2", ["alb", "scoma", "alb"], "'alb' stands in it more than once"),
        ("00.3", 1.0, "may rise to 23.2"),
        ("00.3", 0.8109, "to 20.00"),  # the logarithm alone, without delta
        ("00.3", 10.0, "above the board's 20"),
        ("00.3", 0.01, "a larger epsilon"),
        ("00.3", 0.2, "the belief that the board allows"),
        ("00.3", 2.25, "its logarithm"),
        ("00.3", 0.693, "not twice the odds"),
        ("00.3", 0.0, "epsilon is above 0"),
        ("00.3", "0.79", "not a number"),
        ("00.3", float("nan"), "went missing"),
    ]
    for name, answer, part in wrong:
        assert part in reply(name, answer), (name, answer)


def test_every_link_of_the_chapter_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(cell.source for cell in CHAPTER.cells))
    assert links
    assert [link for link in links if not (NOTEBOOKS / link).is_file()] == []
