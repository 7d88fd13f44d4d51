"""Exercises of chapter 11b (`own_table_exercises`): right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from answers import cells, reply

from ppml_helpers.choose.own_table_exercises import bundled

TRIO = ["age", "race", "gender"]
AFTER = ["offtrt", "cd420", "cd496", "r", "cd820", "days"]


def sizes(columns: list[str]) -> np.ndarray:
    return bundled().people.groupby(columns).size().to_numpy()


RIGHT = [
    ("11b.1", lambda: (sizes(TRIO) == 1).sum()),
    ("11b.1", lambda: float((sizes(TRIO) == 1).sum())),
    ("11b.1", lambda: bundled().people.drop_duplicates(TRIO, keep=False).shape[0]),
    ("11b.2", lambda: set(AFTER)),
    ("11b.2", lambda: AFTER[::-1]),
    ("11b.2", lambda: np.array(AFTER)),
    ("11b.2", lambda: dict.fromkeys(AFTER)),
    ("11b.3", lambda: 70),
    ("11b.3", lambda: np.float64(70)),
    ("11b.3", lambda: bundled().proposal.columns["age"].high),
    ("11b.4", lambda: 1),
    ("11b.4", lambda: np.float32(1.0)),
]
WRONG = [
    ("11b.1", lambda: (sizes(TRIO) == 1).sum() / 2139, "a share"),
    ("11b.1", lambda: (sizes([*TRIO, "wtkg"]) == 1).sum(), "with the weight"),
    ("11b.1", lambda: len(sizes(TRIO)), "how many groups"),
    ("11b.1", lambda: 2139 - (sizes(TRIO) == 1).sum(), "not alone"),
    ("11b.1", lambda: (sizes(["age", "gender"]) == 1).sum(), "without race"),
    ("11b.1", lambda: 3, "groups of one"),
    ("11b.2", lambda: {*AFTER, "cens"}, "the target"),
    ("11b.2", lambda: {*AFTER, "arms"}, "`arms` is known when"),
    ("11b.2", lambda: {*AFTER, "age"}, "`age` is known when"),
    ("11b.2", lambda: {"cd420", "cd496", "cd820", "r", "offtrt"}, "think of `days`"),
    ("11b.2", lambda: {"cd496", "cd820", "r", "offtrt", "days"}, "`cd420`, measured in which week?"),
    ("11b.2", lambda: {"day"}, "no column 'day'"),
    ("11b.2", lambda: "days", "put several names"),
    ("11b.2", lambda: 6, "put several names"),
    ("11b.3", lambda: 80, "the public bound"),
    ("11b.3", lambda: 12, "the youngest"),
    ("11b.3", lambda: 34, "for missing ages"),
    ("11b.3", lambda: 35.2, "the mean"),
    ("11b.3", lambda: 2139, "how many people"),
    ("11b.3", lambda: 71, "Look at `high`"),
    ("11b.4", lambda: 0.1, "a mean AUC of 0.55: too little"),
    ("11b.4", lambda: 0.3, "a mean AUC of 0.60: too little"),
    ("11b.4", lambda: 3, "gives 0.68, and a smaller one"),
    ("11b.4", lambda: 10.0, "gives 0.68, and a smaller one"),
    ("11b.4", lambda: 0.65, "Which epsilon gives it?"),
    ("11b.4", lambda: 2, "Choose one of"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_are_taken_in_every_form(name: str, answer: Callable[[], object]) -> None:
    assert reply(name, answer()) == ""


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Callable[[], object], words: str) -> None:
    assert words in reply(name, answer())


def test_the_tasks_are_asked_and_solved_in_the_chapter() -> None:
    there = cells("11b_your_own_table")
    for number in (1, 2, 3, 4):
        assert f'check("11b.{number}", ' in there[f"solution-{number}"].source
        assert f"**11b.{number} " in there[f"exercise-{number}-task"].source
