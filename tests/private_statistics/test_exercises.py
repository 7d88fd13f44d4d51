"""The exercises of chapter 04: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answers import cells, reply

from ppml_helpers.cohort import DIAGNOSES
from ppml_helpers.private_statistics import exercises as chapter_04
from ppml_helpers.private_statistics.budget import Budget

Count = Callable[[Callable[[pd.DataFrame], Any]], int | None]
Rows = Callable[[pd.DataFrame], pd.Series]


def ledger(
    total: float = 1.0,
    patients: float = 0.2,
    deaths: float = 0.4,
    stay: float = 0.3,
    columns: tuple[str, str] = ("dzgroup", "sex"),
    diagnoses: tuple[str, ...] = DIAGNOSES,
) -> Budget:
    budget = Budget(total)
    budget.spend(patients)
    for name in diagnoses:
        budget.spend(deaths, part=(columns[0], name))
    for sex in ("female", "male"):
        budget.spend(stay, part=(columns[1], sex))
    return budget


def reversed_ledger() -> Budget:
    """The same, in another order."""
    budget = Budget(1)
    for entry in reversed(ledger().entries):
        budget.spend(entry.epsilon, part=entry.part)
    return budget


def spent(*costs: float, total: float = 1.0) -> Budget:
    budget = Budget(total)
    for cost in costs:
        budget.spend(cost)
    return budget


# Attacks on the desk that rounds ---------------------------------------------------------------------------------


def ill(rows: pd.DataFrame) -> pd.Series:
    return rows["dementia"] == 1


def walk(count: Count, is_target: Rows, first: int = 500) -> bool:
    """Add people one by one until the rounded count jumps."""

    def asked(last: int, too: bool) -> int | None:
        return count(lambda rows: ill(rows) & ((rows.person < last) & ~is_target(rows) | is_target(rows) & too))

    last = first
    while asked(last + 1, False) == asked(last, False):
        last += 1
    return asked(last, True) > asked(last, False)


def plain_difference(count: Count, is_target: Rows) -> bool:
    return count(ill) > count(lambda rows: ill(rows) & ~is_target(rows))


def direct(count: Count, is_target: Rows) -> bool:
    return count(lambda rows: ill(rows) & is_target(rows)) > 0


def in_one_question(count: Count, is_target: Rows) -> bool:
    """Every row answers for the target."""
    return count(lambda rows: np.full(len(rows), (ill(rows) & is_target(rows)).any())) is not None


def upside_down(count: Count, is_target: Rows) -> bool:
    return not walk(count, is_target)


def for_ever(count: Count, is_target: Rows) -> bool:
    while count(ill) >= 0:
        pass
    return True


def refused_but_guessing(count: Count, is_target: Rows) -> bool:
    return count(is_target) is None and plain_difference(count, is_target)


RIGHT = [
    ("04.1", 0.5),
    ("04.1", np.float32(0.5)),
    ("04.1", Fraction(1, 2)),
    ("04.2", ledger()),
    ("04.2", reversed_ledger()),
    ("04.3", {"deaths": 0.25, "stay": 0.45, "diagnoses": 0.3}),
    ("04.3", {"deaths": 0.222, "stay": 0.4, "diagnoses": 0.19}),
    ("04.3", {"deaths": 0.24, "stay": np.float64(0.4), "diagnoses": 0.2}),
    ("04.3", pd.Series({"deaths": 0.24, "stay": 0.4, "diagnoses": 0.2})),
    ("04.4", lambda count, is_target: np.int64(walk(count, is_target, first=900))),
    ("04.4", lambda count, is_target: np.bool_(walk(count, is_target, first=200))),
    ("04.4", in_one_question),
]

WRONG = [
    ("04.1", 2.0, "turn it round"),
    ("04.1", 1 / 60, "right for a count"),
    ("04.1", 30, "the sensitivity, in days"),
    ("04.1", 60, "the scale of the noise"),
    ("04.1", 1.0, "wider than that"),
    ("04.1", -0.5, "above 0"),
    ("04.1", 0.7, "By how many days"),
    ("04.2", 0.9, "give the Budget itself"),
    ("04.2", Budget(1.0), "Nothing is paid yet"),
    ("04.2", spent(0.2, *[0.4] * 8, 0.3, 0.3, total=4.0), "some of them look at disjoint patients"),
    (
        "04.2",
        spent(0.2, 0.4, 0.3),
        "3 questions are paid for, and 11 are asked: 1 + 8 diagnoses + 2 sexes. Pay",
    ),
    ("04.2", ledger(patients=0.3, stay=0.2), "Check the price of each question: 0.3 is paid for the one about all"),
    ("04.2", ledger(deaths=0.3, stay=0.4), "Check the price of each question: 0.3 is paid for the one about dzgroup"),
    ("04.2", ledger(columns=("diagnosis", "sex")), "The table has no column 'diagnosis'"),
    ("04.2", ledger(columns=("sex", "dzgroup")), "none about dzgroup = ARF"),
    ("04.2", ledger(diagnoses=("Flu", *DIAGNOSES[1:])), "too many about dzgroup = Flu, and none about dzgroup = ARF"),
    ("04.2", ledger(columns=("group", "group")), "the two columns add up"),
    ("04.2", ledger(diagnoses=DIAGNOSES[:7], stay=0.1), "10 questions are paid for"),
    ("04.2", ledger(deaths=0.3), "Check the price"),
    ("04.3", 0.4, "its keys are 'deaths', 'stay', 'diagnoses'"),
    ("04.3", {"deaths": 0.5, "stay": 0.5}, "its keys are"),
    ("04.3", {"deaths": 1 / 3, "stay": 1 / 3, "diagnoses": 1 / 3}, "An equal split"),
    ("04.3", {"deaths": 0.2, "stay": 0.6, "diagnoses": 0.2}, "deaths only within 15, wanted 13. Work back"),
    ("04.3", {"deaths": 0.4, "stay": 0.5, "diagnoses": 0.4}, "1 is all there is"),
    ("04.3", {"deaths": 0.23, "stay": 0.4, "diagnoses": 8 * 0.19}, "cost together what one of them costs"),
    ("04.3", {"deaths": 0.23, "stay": 0.4, "diagnoses": 0.19 / 8}, "cost together what one of them costs"),
    ("04.3", {"deaths": 0.5, "stay": 0.5, "diagnoses": 0}, "above 0"),
    ("04.3", {"deaths": 0.5, "stay": "much", "diagnoses": 0.1}, "not a number"),
    ("04.4", True, "give the function itself"),
    ("04.4", plain_difference, "go and find such a count first."),
    ("04.4", refused_but_guessing, "refused some of its questions"),
    ("04.4", direct, "gave None: ask about more"),
    ("04.4", upside_down, "upside down"),
    ("04.4", lambda count, is_target: False, "says False about everybody"),
    ("04.4", lambda count, is_target: count(ill), "It must give True or False"),
    ("04.4", for_ever, "closed after 3,000 questions"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_the_notebook_asks_with_the_numbers_that_the_judge_knows() -> None:
    source = "\n".join(cell.source for cell in cells("04_private_statistics").values())
    for wanted in ("deaths within 13", "within 0.05 (", "each within 16"):
        assert wanted in source


def test_the_desk_of_the_judge_is_that_of_the_notebook() -> None:
    scope: dict[str, Any] = {"np": np, "pd": pd, "check": lambda *_: None}
    exec(cells("04_private_statistics")["exercise-4"].source, scope)  # the notebook's own cell
    coins = np.random.default_rng(0).random(2000) < 0.2
    table = pd.DataFrame({"person": range(2000), "dementia": coins.astype(int)})
    ours, theirs = chapter_04._Desk(table).count, scope["rounding_desk"](table)
    for last in range(0, 120, 7):
        assert ours(lambda rows, last=last: rows.person < last) == theirs(lambda rows, last=last: rows.person < last)
