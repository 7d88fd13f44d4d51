"""Exercises of chapter 00: the patients, the columns that give the answer away, the dial."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong

TITLE = "Start here"

# The board's rule of 00.3: a belief of 10 in 100 may rise to 20 in 100, at 1 % false alarms.
_AFTER, _ODDS_RISE = 0.20, (0.20 / 0.80) / (0.10 / 0.90)
_LAST_POSITION = 0.785  # just below the slider's largest position that keeps the rule, 10^-0.1
_ROUNDING = 5e-5  # of somebody who gives the exact epsilon with four digits

_KNOWN = ("alb", "scoma")
_TOO_LATE = {
    "charges": "charges is the bill for the whole stay: on the third day nobody has it.",
    "sfdm2": "sfdm2 says how people were two months later, and so who had died by then.",
    "avtisst": "avtisst averages days 3 to 25: it looks three weeks ahead, and predicts suspiciously well.",
    "slos": "slos is known at discharge, and together with d.time it gives every death away.",
}


def _judge_1(answer: object) -> Reply:
    from ppml_helpers import cohort

    value = as_number(answer)
    patients = cohort.load_patients()
    coma = patients.dzgroup == "Coma"
    died = patients.hospdead == 1
    truth = died[coma].mean()
    if close(value, truth, 0.0051):
        return right(f"{died[coma].sum()} of {coma.sum()} patients who came with coma died in hospital: {truth:.1%}.")
    if any(close(value, scale * round(truth, 1), 1e-9) for scale in (1, 100)):
        return wrong("That is rounded too far to tell: give the share of 1 with two digits after the point.")
    if close(value, 100 * truth, 0.51):
        return wrong("The idea is right; give it as a share of 1, not in percent.")
    if close(value, died[coma].sum(), 0.5):
        return wrong("That is how many of them died. The share divides it by all patients with coma.")
    if close(value, 1 - truth, 0.0051):
        return wrong("That is the share who left hospital alive.")
    if close(value, coma[died].mean(), 0.0051):
        return wrong("The wrong way round: that is the share with coma among all who died in hospital.")
    if close(value, coma.mean(), 0.0051):
        return wrong("That is the share of all patients who came with coma. What share of them died?")
    if close(value, died.mean(), 0.0051):
        return wrong("That is the share among all patients. Take those with coma first.")
    if close(value, patients.death[coma].mean(), 0.0051):
        return wrong("That counts deaths up to the end of the follow-up (death). Count those in hospital: hospdead.")
    return wrong("Take the patients whose dzgroup is 'Coma', and of those the share whose hospdead is 1.")


def _judge_2(answer: object) -> Reply:
    chosen = _names(answer)
    for column, reason in _TOO_LATE.items():
        if column in chosen:
            return wrong(reason)
    if "alb" not in chosen:
        return wrong("alb is often missing, but that is no leak: where it was measured, it is known on the third day.")
    if "scoma" not in chosen:
        return wrong("scoma predicts well because coma is grave, not because anybody knew the end: it is of day 3.")
    return right("Both were measured on the third day. The other four know something of what came after it.")


def _names(answer: object) -> set[str]:
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise NotAnAnswer(f"this is of type {type(answer).__name__}: put the names in square brackets")
    listed = [str(name) for name in answer]
    names = set(listed)
    if len(listed) > len(names):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise NotAnAnswer(f"{twice[:40]!r} stands in it more than once")
    unknown = sorted(names - {*_KNOWN, *_TOO_LATE})
    if unknown:
        raise NotAnAnswer(f"{unknown[0][:40]!r} is not among the six")
    return names


def _judge_3(answer: object) -> Reply:
    from ppml_helpers.start_here.limits import promise

    value = as_number(answer)
    if value <= 0:
        raise NotAnAnswer(f"this is {value:g}, and epsilon is above 0")
    if close(value, _AFTER, 1e-9):
        return wrong("0.2 is the belief that the board allows. Find the epsilon that allows no more than it.")
    if close(value, _ODDS_RISE, 0.006):
        return wrong("That is how many fold the odds may rise. Epsilon is its logarithm, less what delta takes.")
    if close(value, math.log(2), 0.004):
        return wrong("Twice the belief is not twice the odds: from 10 to 20 in 100 the odds rise from 1:9 to 1:4.")
    belief = promise(value).belief
    if promise(value - _ROUNDING).belief > _AFTER:
        return wrong(f"At epsilon {value:.4g} the belief may rise to {100 * belief:.6g} in 100: above the board's 20.")
    if value < _LAST_POSITION:
        return wrong(f"That keeps the rule ({100 * belief:.2g} in 100), but the slider has a larger epsilon that does.")
    return right(
        f"At epsilon {value:.3g} the belief rises to {100 * belief:.3g} in 100 at most, whoever attacks and whatever "
        "else they know."
    )


EXERCISES = (
    Exercise(
        name="00.1",
        expects="a number between 0 and 1, such as 0.25",
        hints=(
            'patients[patients.dzgroup == "Coma"] are the patients who came with coma.',
            "hospdead is 1 for those who died in hospital: its mean is their share.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="00.2",
        expects='a list of column names from the six, such as ["alb", "slos"]',
        hints=(
            "Ask of each column: on which day is it known?",
            "A column that predicts too well to be true deserves a second look.",
            "Two of the six were measured on the third day.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="00.3",
        expects="a number above 0, such as a position of the epsilon slider",
        hints=(
            "The right picture shows the belief after being named; false alarms stay at 1 %, delta at 1 in 100,000.",
            "promise(0.5).belief, from ppml_helpers.start_here, gives it without turning the knob by hand.",
            "At epsilon 1 it is 23 in 100: too much. Go down one position at a time.",
        ),
        judge=_judge_3,
    ),
)
