"""Exercises of chapter 04: private statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from numbers import Integral

import numpy as np
import pandas as pd

from ppml_helpers.cohort import DIAGNOSES
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong
from ppml_helpers.private_statistics.budget import Budget, Entry
from ppml_helpers.private_statistics.noise import noise_margin
from ppml_helpers.words import listed

TITLE = "Private statistics"

_SENSITIVITY, _SCALE = 30.0, 60.0  # of 04.1, in days

_PRICES = {None: 0.2, "dzgroup": 0.4, "sex": 0.3}  # of 04.2, by the column of the part
_PARTS = Counter([None, *(("dzgroup", name) for name in DIAGNOSES), ("sex", "female"), ("sex", "male")])

_PATIENTS, _LONGEST = 9105, 60  # of 04.3: patients, and days that a stay is clamped to
_SLACK = 1e-9

_TARGETS, _ROWS, _MOST_QUESTIONS = 40, 2000, 3000  # of 04.4


def _judge_1(answer: object) -> Reply:
    value, truth = as_number(answer), _SENSITIVITY / _SCALE
    if close(value, truth, 1e-6):
        return right("30 / 60: one patient moves the sum by at most 30 days, and the noise is twice as wide.")
    if close(value, 1 / truth, 1e-6):
        return wrong("That is the scale over the sensitivity. More noise must make epsilon smaller: turn it round.")
    if close(value, 1 / _SCALE, 1e-4):
        return wrong("That is right for a count, which one patient moves by 1. This is a sum of days.")
    if close(value, _SENSITIVITY, 1e-6):
        return wrong("That is the sensitivity, in days. Epsilon compares it with the noise.")
    if close(value, _SCALE, 1e-6):
        return wrong("That is the scale of the noise, in days. Epsilon compares it with what one patient can do.")
    if close(value, 1.0, 1e-6):
        return wrong("Epsilon 1 needs noise as wide as the sensitivity. Here it is wider than that.")
    if value <= 0:
        return wrong("An epsilon is above 0.")
    return wrong("Epsilon is the sensitivity over the scale. By how many days can one patient change the sum?")


def _judge_2(answer: object) -> Reply:
    if not isinstance(answer, Budget):
        raise NotAnAnswer(f"this is of type {type(answer).__name__}: give the Budget itself, after paying")
    entries, spent = answer.entries, answer.spent.epsilon
    if not entries:
        return wrong("Nothing is paid yet: call ledger.spend(...) for each question.")
    if not close(answer.total.epsilon, 1.0, 1e-9):
        return wrong(
            f"This budget holds {answer.total.epsilon:g}, and the hospital promised 1. A promise is not raised because "
            "the questions are many: some of them look at disjoint patients."
        )
    if len(entries) != 11:
        more = " Pay for each with its part, so that it can be seen who was asked about." if len(entries) < 11 else ""
        return wrong(f"{len(entries)} questions are paid for, and 11 are asked: 1 + 8 diagnoses + 2 sexes.{more}")
    parts = [entry.part for entry in entries]
    columns = {part[0] for part in parts if part}
    if close(spent, 0.6, 1e-9) and len(columns) == 1:
        return wrong(
            "You put diagnoses and sexes into one column. Every patient has one of each, so they are asked about in "
            "both: the two columns add up."
        )
    if odd := columns - set(_PRICES):
        return wrong(
            f"The table has no column {min(odd)!r}. The ledger cannot know that, and takes your word: name those of "
            "the task, 'dzgroup' and 'sex'."
        )
    if Counter(parts) != _PARTS:
        return wrong(f"Look at whom the ledger shows as asked about: {_amiss(Counter(parts))}.")
    if odd := next((entry for entry in entries if not close(entry.epsilon, _PRICES[_column(entry)], 1e-9)), None):
        whom = "all patients" if odd.part is None else f"{odd.part[0]} = {odd.part[1]}"
        return wrong(
            f"Check the price of each question: {odd.epsilon:g} is paid for the one about {whom}. A right sum is no "
            "help to those whose question was paid too little for."
        )
    return right("0.2 + 0.4 + 0.3 = 0.9: each patient has one diagnosis and one sex, and is in one part of each.")


def _column(entry: Entry) -> str | None:
    return entry.part[0] if entry.part else None


def _amiss(parts: Counter[tuple[str, Hashable] | None]) -> str:
    """Say which part is there too often, and which is not there."""
    names = [
        listed(["everybody" if part is None else f"{part[0]} = {part[1]}" for part in some])
        for some in (parts - _PARTS, _PARTS - parts)
    ]
    return f"one question too many about {names[0]}, and none about {names[1]}"


def _judge_3(answer: object) -> Reply:
    names = tuple(_needs())
    if isinstance(answer, pd.Series):
        answer = answer.to_dict()
    if not isinstance(answer, Mapping) or set(answer) != set(names):
        raise NotAnAnswer(f"its keys are {', '.join(repr(name) for name in names)}")
    split = {name: as_number(answer[name]) for name in names}
    if min(split.values()) <= 0:
        return wrong("Each question needs an epsilon above 0: without one it cannot be asked.")
    wanted, error = _needs()["diagnoses"]
    disjoint = "A patient has one diagnosis, so the eight counts cost together what one of them costs."
    if sum(split.values()) > 1 + _SLACK:
        eightfold = f" {disjoint}" if error(split["diagnoses"] / len(DIAGNOSES)) <= wanted else ""
        return wrong(f"That spends {sum(split.values()):.3g}, and 1 is all there is.{eightfold}")
    errors = {name: error(split[name]) for name, (_, error) in _needs().items()}
    missed = [name for name, (wanted, _) in _needs().items() if errors[name] > wanted]
    if not missed:
        told = ", ".join(f"{name} within {errors[name]:.2g}" for name in names)
        rest = 1 - sum(split.values())
        end = f" Epsilon {rest:.2g} is left for another question." if rest > 0.01 else ""
        return right(f"{told}, each in 95 of 100 cases.{end}")
    equal = max(split.values()) - min(split.values()) < 0.01
    told = ", ".join(f"{name} only within {errors[name]:.3g}, wanted {_needs()[name][0]:g}" for name in missed)
    why = (
        "An equal split treats questions of different needs alike."
        if equal
        else "Work back from each wanted error to its epsilon."
    )
    if missed == ["diagnoses"] and split["diagnoses"] < 0.05:  # shared out among the eight
        why = disjoint
    return wrong(f"{told}. {why}")


def _needs() -> dict[str, tuple[float, Callable[[float], float]]]:
    """Return, for each question of 04.3, the error it may have in 95 of 100 cases and the error at an epsilon.

    The noise of whole numbers is whole: OpenDP's accuracy is the next number, which 95 of 100 stay below.
    """

    def of_stay(epsilon: float) -> float:
        return noise_margin(epsilon / _LONGEST) / _PATIENTS

    return {"deaths": (13.0, noise_margin), "stay": (0.05, of_stay), "diagnoses": (16.0, noise_margin)}


class _TooManyQuestions(Exception):
    """The desk closes."""


def _judge_4(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("give the function itself, without calling it")
    said, truth, refused, asked = _play(answer)
    if isinstance(said, str):
        return wrong(said)
    hits = sum(a == b for a, b in zip(said, truth, strict=True))
    if hits == _TARGETS and asked <= 2:
        return right(
            f"All {_TARGETS} found out, with {asked} question{'s' * (asked > 1)} each: yours lets one person decide "
            "for many rows, so that a person moves the count by more than 1. A desk must say what one can change, "
            "as OpenDP's pieces do. (A question that judges each row by itself works too: walk up to an edge of the "
            "rounding.)"
        )
    if hits == _TARGETS:
        return right(
            f"All {_TARGETS} found out. Rounding moves the edges, and an attacker who may ask often walks up to one. "
            "What stops this is noise with a ledger."
        )
    if hits == 0:
        return wrong("Wrong about every single person, which takes the right attack and the answer upside down.")
    if len(set(said)) == 1:
        return wrong(f"It says {said[0]} about everybody, and half of them have the other answer.")
    extra = " The desk refused some of its questions." if refused else ""
    return wrong(
        f"Right for {hits} of {_TARGETS} people, and a coin gives {_TARGETS // 2}. The desk rounds, so one person more "
        f"changes its answer only where the true count stands at an edge: go and find such a count first.{extra}"
    )


def _play(attack: Callable[..., object]) -> tuple[list[bool] | str, list[bool], bool, int]:
    """Run the attack on made-up tables; half of the targets have the secret. A sentence says why it could not be.

    With it come the truth, whether a question was refused, and the most questions about one person.
    """
    said, truth, refused, asked = [], [], False, 0
    for game in range(_TARGETS):
        rng = np.random.default_rng(game)
        person = int(rng.integers(_ROWS))
        table = pd.DataFrame({"person": range(_ROWS), "dementia": (rng.random(_ROWS) < 0.2).astype(int)})
        table.loc[person, "dementia"] = game % 2
        desk = _Desk(table)
        try:
            found = attack(desk.count, lambda rows, person=person: rows["person"] == person)
        except _TooManyQuestions:
            return (
                f"The desk closed after {_MOST_QUESTIONS:,} questions about one person. Where should it stop?",
                [],
                False,
                desk.asked,
            )
        except TypeError:
            if desk.refused:
                return (
                    "The desk refused a question about fewer than 10 people and gave None: ask about more.",
                    [],
                    True,
                    asked,
                )
            raise
        refused, asked = refused | desk.refused, max(asked, desk.asked)
        if not isinstance(found, np.bool_ | Integral) or found not in (0, 1):
            return f"It must give True or False, and for one person it gave {str(found)[:40]!r}.", [], refused, asked
        said.append(bool(found))
        truth.append(bool(game % 2))
    return said, truth, refused, asked


class _Desk:
    """Counts rows of a table, rounded to 5, and refuses counts under 10: the desk of the notebook."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        self.asked = 0
        self.refused = False

    def count(self, predicate: Callable[[pd.DataFrame], pd.Series]) -> int | None:
        self.asked += 1
        if self.asked > _MOST_QUESTIONS:
            raise _TooManyQuestions
        rows = int(np.asarray(predicate(self._table.copy()), dtype=bool).sum())
        if rows < 10:
            self.refused = True
            return None
        return 5 * round(rows / 5)


EXERCISES = (
    Exercise(
        name="04.1",
        expects="an epsilon, a number above 0",
        hints=(
            "How much can the sum change, at most, if one patient is added? Clamping decides it.",
            "Epsilon is the sensitivity divided by the scale of the Laplace noise.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="04.2",
        expects="a Budget that has paid for the eleven questions",
        hints=(
            "ledger = Budget(1.0), then ledger.spend(0.2, what='patients').",
            "A question about one diagnosis is ledger.spend(0.4, part=('dzgroup', name)); loop over cohort.DIAGNOSES.",
        ),
        judge=_judge_2,
        takes=tuple(f"ppml_helpers.private_statistics.budget.{kind}" for kind in ("Budget", "Cost", "Entry")),
    ),
    Exercise(
        name="04.3",
        expects="a dict of three epsilons",
        hints=(
            "dp.discrete_laplacian_scale_to_accuracy(scale=..., alpha=0.05) is the error that 95 of 100 keep to.",
            "A count has scale 1 / epsilon. The mean stay is a sum of scale 60 / epsilon, divided by 9,105.",
            "Find the smallest epsilon for each question alone; together they cost less than 1.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="04.4",
        expects="a function of count and is_target that gives True or False",
        hints=(
            "Two questions whose groups differ in the target alone still differ by 0 or 1 before rounding.",
            "Add other people one at a time, without the target, until the rounded count jumps.",
            "Just before the jump the true count stands at an edge: add the target there, and see whether it jumps.",
        ),
        judge=_judge_4,
    ),
)
