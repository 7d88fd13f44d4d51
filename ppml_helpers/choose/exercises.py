"""The exercises of chapter 11 and their judges."""

from __future__ import annotations

from functools import lru_cache

from ppml_helpers import cohort
from ppml_helpers.choose.counting import alone
from ppml_helpers.exercises.frame import Exercise, Reply, as_choice, as_number, close, right, wrong
from ppml_helpers.words import percent

TITLE = "Choose"


@lru_cache
def _alone(years: int) -> float:
    return alone(cohort.load_patients(), years)


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, _alone(5), 0.0005):
        return right(f"{percent(_alone(5), 1)} stand alone, against {percent(_alone(1), 1)} with whole years.")
    if close(value, 100 * _alone(5), 0.05):
        return wrong("That is the percentage: give the share, a number between 0 and 1.")
    if close(value, _alone(1), 0.0005):
        return wrong("That is the share with whole years: group them by fives first.")
    return wrong("Count the patients whose age band, sex and diagnosis occur once, and divide by all patients.")


def _judge_2(answer: object) -> Reply:
    value = as_number(answer)
    fits = [years for years in (1, 2, 5, 10, 20, 40) if _alone(years) < 0.002]
    if value == fits[0]:
        return right(f"Bands of {fits[0]} years leave {percent(_alone(fits[0]), 2)} alone.")
    if value in fits:
        return wrong("That keeps the promise; a narrower band keeps it too.")
    return wrong("More than 2 in 1,000 patients stand alone then: turn the knob further.")


def _judge_3(answer: object) -> Reply:
    if as_choice(answer, ("yes", "no")) == "no":
        return right("Other columns, or a second table, can single a person out again.")
    return wrong("What of the columns that you did not look at?")


EXERCISES = (
    Exercise(
        name="11.1",
        expects="a share, a number between 0 and 1",
        hints=("An age band is `age // 5`.", "`groupby([...]).transform('size')` tells how many share a row's values."),
        judge=_judge_1,
    ),
    Exercise(
        name="11.2",
        expects="one of the widths of the explorer, in years",
        hints=("`explorer.set(years=10)` moves the knob.", "The sentence under the picture gives the share."),
        judge=_judge_2,
    ),
    Exercise(
        name="11.3",
        expects="'yes' or 'no'",
        hints=("Which columns does the explorer look at?", "Which others might a neighbour know?"),
        judge=_judge_3,
    ),
)
