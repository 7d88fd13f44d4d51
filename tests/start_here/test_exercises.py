"""The exercises of chapter 00: what each answer is told."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort, course
from ppml_helpers.exercises import check
from ppml_helpers.start_here.exercises import EXERCISES
from ppml_helpers.start_here.limits import promise

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
HERE = NOTEBOOKS / "00_start_here.ipynb"
CHAPTER = course.read(HERE)


def reply(name: str, answer: object) -> str:
    """Judge an answer without counting it as anybody's work; wrong ones give their sentence."""
    verdict = check(name, answer, record=False)
    return "" if verdict.right else verdict.text


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


# --- 00.1 ------------------------------------------------------------------------------------------------


def test_the_share_of_deaths_among_coma_patients_is_right(patients: pd.DataFrame) -> None:
    share = patients[patients.dzgroup == "Coma"].hospdead.mean()
    for answer in (share, round(share, 2), np.float64(share), np.array([share]), 362 / 596):
        assert reply("00.1", answer) == ""


def test_wrong_shares_get_their_own_sentence(patients: pd.DataFrame) -> None:
    coma, died = patients.dzgroup == "Coma", patients.hospdead == 1
    answers = {
        100 * died[coma].mean(): "percent",
        died[coma].sum(): "how many",
        1 - died[coma].mean(): "left hospital alive",
        coma[died].mean(): "wrong way round",
        died.mean(): "among all patients",
        patients.death[coma].mean(): "end of the follow-up",
        0.6: "two digits",
        0.05: "dzgroup is 'Coma'",
    }
    said = [reply("00.1", answer) for answer in answers]
    assert all(part in sentence for part, sentence in zip(answers.values(), said, strict=True))
    assert len(set(said)) == len(answers)
    assert reply("00.1", 60) == reply("00.1", 0.6)


# --- 00.2 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [["alb", "scoma"], ("scoma", "alb"), {"alb", "scoma"}, pd.Index(["alb", "scoma"])])
def test_the_columns_of_the_third_day_are_right(answer: object) -> None:
    assert reply("00.2", answer) == ""


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (["alb", "scoma", "charges"], "bill for the whole stay"),
        (["alb", "scoma", "sfdm2"], "two months later"),
        (["alb", "scoma", "avtisst"], "days 3 to 25"),
        (["alb", "scoma", "slos"], "known at discharge"),
        (["scoma"], "often missing"),
        (["alb"], "coma is grave"),
        ([], "often missing"),
        ("alb", "square brackets"),
        (2, "square brackets"),
        (["albumin", "scoma"], "'albumin' is not among the six"),
    ],
)
def test_wrong_columns_get_their_own_sentence(answer: object, part: str) -> None:
    assert part in reply("00.2", answer)


def test_the_columns_of_the_task_are_those_that_the_data_card_uses_or_leaves_out() -> None:
    assert {"alb", "scoma"} <= set(cohort.SUPPORT2.columns)
    assert not {"charges", "sfdm2", "avtisst", "slos"} & set(cohort.SUPPORT2.columns)


# --- 00.3 ------------------------------------------------------------------------------------------------


def test_the_largest_position_of_the_slider_is_right_and_its_neighbours_are_not() -> None:
    positions = [10 ** (k / 10) for k in range(-20, 11)]
    kept = [position for position in positions if promise(position).belief <= 0.20]
    place = positions.index(max(kept))
    assert reply("00.3", positions[place]) == ""
    assert reply("00.3", 0.79) == ""  # as the slider shows it
    assert "above the board's 20" in reply("00.3", positions[place + 1])
    assert "a larger epsilon" in reply("00.3", positions[place - 1])


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (1.0, "23.2 in 100"),
        (10.0, "above the board's 20"),
        (0.01, "a larger epsilon"),
        (0.2, "the belief that the board allows"),
        (2.25, "its logarithm"),
        (0.693, "not twice the odds"),
        (0.0, "epsilon is above 0"),
        (-1, "epsilon is above 0"),
        ("0.79", "not a number"),
        (float("nan"), "went missing"),
    ],
)
def test_wrong_epsilons_get_their_own_sentence(answer: object, part: str) -> None:
    assert part in reply("00.3", answer)


# --- the notebook ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_each_exercise_has_hints_and_stands_in_the_chapter_with_its_solution(exercise) -> None:
    assert exercise.hints
    assert check(exercise.name, ..., record=False).kind == "open"
    sources = "\n".join(cell.source for cell in CHAPTER.cells)
    assert sources.count(f'check("{exercise.name}"') == 2


def test_every_link_of_the_chapter_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(cell.source for cell in CHAPTER.cells))
    assert links
    assert [link for link in links if not (NOTEBOOKS / link).is_file()] == []
