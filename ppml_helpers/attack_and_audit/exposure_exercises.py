"""Exercises of chapter 06b, who is exposed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong

TITLE = "Who is exposed"

_CASE = "overfitted network"  # of 06b.1

# 06b.2: shares of members whose income is guessed right, as the chapter's own cells find them: its solution cell would
# show a drift.
_INCOME = MappingProxyType({"commonest": 0.318, "imputation": 0.401, "attack": 0.499})

_DIAGNOSIS_GAIN = 0.067  # what the chapter's cell finds before 06b.2

_CALM = "network, clipped, no noise"  # of 06b.3, besides the network that learns by heart
_OFTEN = 0.5  # of 06b.3: who is found in more than this share of the models


@cache
def kept_study() -> Any:
    """Return the attack study, read once."""
    from ppml_helpers.attack_and_audit import study

    return study.load()


def thirty() -> Any:
    """Return the attack with 30 shadow models."""
    return kept_study().fewer[32]["LiRA online"]


# What is said to answers ---------------------------------------------------------------------------------------------


def _found_at(result: Any, alarms: float) -> float:
    """Return the share of members found at a share of false alarms."""
    return float(result.tpr[result.fpr <= alarms + 1e-9][-1])


def _judge_1(answer: object) -> Reply:
    value, attacks = as_number(answer), kept_study()[_CASE].attacks
    online = attacks["LiRA online"]
    truth = 1000 * _found_at(online, 0.1)
    if close(value, truth, 6):
        return right(
            f"About {truth:.0f} of 1,000 at 10 % false alarms. At 0.1 % it was {1000 * online.at_1_in_1000.tpr:.0f}; "
            "here a hundred times as many people are accused in error."
        )
    if close(value, truth / 1000, 0.006):
        return wrong("That is the share of members found. The task asks how many of 1,000.")
    if close(value, truth / 10, 0.6):
        return wrong("That is in percent. The task asks how many of 1,000.")
    if close(value, 1000 * _found_at(online, 0.01), 6):
        return wrong("That is at 1 % false alarms: 10 of 1,000. Here 100 of 1,000 may be accused in error.")
    if close(value, 1000 * _found_at(online, 0.001), 0.5):
        return wrong("That is at 0.1 % false alarms: 1 of 1,000. Here 100 of 1,000 may be accused in error.")
    if close(value, 1000 * _found_at(attacks["LiRA offline"], 0.1), 6):
        return wrong("That is the offline attack. The task is about the one that trains on the person it looks for.")
    if close(value, 1000 * _found_at(thirty(), 0.1), 6):
        return wrong("That is your own attack with 30 shadow models. The task is about 126: take it from `kept`.")
    if close(value, 1000 * _found_at(kept_study()["forest"].attacks["LiRA online"], 0.1), 6):
        return wrong("That is the forest. The task is about the overfitted network.")
    if close(value, 100, 1):
        return wrong("That is how many are accused in error, and how many a guesser would find. LiRA finds more.")
    if close(value, 1000 * _found_at(attacks["loss threshold"], 0.1), 0.6):
        return wrong("That is what the loss threshold finds: guessing, nearly. The task is about LiRA.")
    if close(value, 1000 * online.auc, 6):
        return wrong("That is the AUC, an average over all shares of false alarms. Read the curve at one of them.")
    if value > 1000 or value < 0:
        return wrong("Of 1,000 members it can find 0 to 1,000.")
    return wrong("100 of 1,000 is an fpr of 0.1. Take the last point of the curve whose fpr is not above it.")


def _judge_2(answer: object) -> Reply:
    value = as_number(answer)
    commonest, imputation, attack = _INCOME.values()
    truth = attack - imputation
    if close(value, truth, 0.012):
        return right(
            f"The attack is right for {100 * attack:.0f} of 100 members, imputation alone for {100 * imputation:.0f}: "
            f"the model adds {100 * truth:.0f}. That is the leak, and not the vendor's {100 * attack:.0f}."
        )
    if close(value, 100 * truth, 1.2):
        return wrong("That is in points of 100. Give the difference of the two shares.")
    if close(value, attack, 0.012):
        return wrong(
            "That is the vendor's number: all that is guessed right with the model. Most of it is guessed right "
            "without the model, too."
        )
    if close(value, imputation, 0.012):
        return wrong("That is imputation alone, the baseline. How much does the model add?")
    if close(value, attack - commonest, 0.012):
        return wrong(
            "That is the gain over guessing the commonest income. The honest baseline knows the other columns: "
            "imputation."
        )
    if close(value, _DIAGNOSIS_GAIN, 0.003):
        return wrong("That is the gain for the diagnosis. The vendor guesses the income: call infer once more.")
    if close(value, 0, 0.012):
        return wrong("That is what the model adds for non-members, or what a calm model adds. Look at the members.")
    if not -1 <= value <= 1:
        return wrong("A difference of two shares lies between -1 and 1.")
    return wrong("infer('income', shadow.OVERFITTED, adam=True).members has attack, imputation, and their difference.")


def _judge_3(answer: object) -> Reply:
    names = (_CASE, _CALM)
    if not isinstance(answer, Mapping) or set(answer) != set(names):
        raise NotAnAnswer(f"its keys are {', '.join(repr(name) for name in names)}")
    given = {name: as_number(answer[name]) for name in names}
    by = {name: kept_study()[name].found for name in names}
    truth = {name: int((found > _OFTEN).sum()) for name, found in by.items()}
    if all(given[name] == truth[name] for name in names):
        return right(
            f"{truth[_CASE]} of 2,000 patients are found in more than half of the networks that learnt them by heart, "
            f"and {truth[_CALM]} in the calm ones. That is what the board can decide on; an average of "
            f"{100 * by[_CASE].mean():.0f} % is about nobody."
        )
    if all(close(given[name], float((by[name] > _OFTEN).mean()), 0.0004) for name in names):
        return wrong("Those are shares of the patients. The task asks how many they are.")
    if all(close(given[name], float(by[name].mean()), 0.0006) for name in names):
        return wrong("Those are the averages over patients. How many patients lie above one half?")
    if all(given[name] == int((by[name] >= _OFTEN).sum()) for name in names):
        return wrong("Nearly: exactly one half is not more than half.")
    if given[_CASE] == truth[_CALM] and given[_CALM] == truth[_CASE]:
        return wrong("You have the two kinds of network swapped.")
    if all(given[name] == int((by[name] > 0).sum()) for name in names):
        return wrong("Those are all who are ever found. How many are found in more than half of the models?")
    return wrong("kept[name].found is a share for each patient: compare with 0.5, and count.")


_PATIENTS = 200  # made-up patients of 06b.4


def _bell(value: float, scores: Any, ddof: int = 1) -> float:
    """Return the logarithm of the height of the bell of some scores, at a value."""
    mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=ddof))
    return -((value - mean) ** 2) / (2 * spread**2) - math.log(spread * math.sqrt(2 * math.pi))


def _pooled(value: float, seen: Any, unseen: Any, ddof: int) -> float:
    """Return the log likelihood ratio with one spread for both bells."""
    squares = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in (seen, unseen))
    variance = squares / (len(seen) + len(unseen) - 2 * ddof)
    return ((value - unseen.mean()) ** 2 - (value - seen.mean()) ** 2) / (2 * variance)


_RATIOS: tuple[tuple[str, Callable[..., float]], ...] = (
    ("", lambda v, s, u: _bell(v, s) - _bell(v, u)),
    ("", lambda v, s, u: _bell(v, s, 0) - _bell(v, u, 0)),
    ("", lambda v, s, u: _pooled(v, s, u, 1)),
    ("", lambda v, s, u: _pooled(v, s, u, 0)),
    ("The sign is turned: it must be large where the score looks like those of models that saw the patient.",
     lambda v, s, u: _bell(v, u) - _bell(v, s)),
    ("That is the ratio itself. The task asks for its logarithm, a difference of two logarithms.",
     lambda v, s, u: math.exp(_bell(v, s) - _bell(v, u))),
    ("That asks only how the score looks among models that saw the patient. Compare with those that did not.",
     lambda v, s, u: _bell(v, s)),
    ("That is the offline attack: it asks only the models that never saw the patient. Here you have both.",
     lambda v, s, u: _bell(v, u)),
    ("That is the offline attack: it asks only the models that never saw the patient. Here you have both.",
     lambda v, s, u: -_bell(v, u)),
    ("That measures how far the score is from a middle, and ignores how wide the bells are.",
     lambda v, s, u: v - (s.mean() + u.mean()) / 2),
    ("That measures how far the score is from a middle, and ignores how wide the bells are.",
     lambda v, s, u: v - u.mean()),
    ("The bells got the variance where the standard deviation belongs: take the root.",
     lambda v, s, u: _wide(v, s) - _wide(v, u)),
)  # fmt: skip


def _wide(value: float, scores: Any) -> float:
    """Return the mistaken height whose spread is a variance."""
    mean, spread = float(np.mean(scores)), float(np.var(scores, ddof=1))
    return -((value - mean) ** 2) / (2 * spread**2) - math.log(spread * math.sqrt(2 * math.pi))


def _judge_4(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("give the function itself, without calling it")
    rng, cases = np.random.default_rng(6), []
    for _ in range(_PATIENTS):
        far, wide = rng.uniform(0.5, 3), rng.uniform(0.4, 2, 2)
        seen, unseen = rng.normal(far, wide[0], 15), rng.normal(0, wide[1], 17)
        cases.append((float(rng.normal(far / 2, 1)), seen, unseen))
    given = np.array([as_number(answer(score, seen.copy(), unseen.copy())) for score, seen, unseen in cases])
    for said, ratio in _RATIOS:
        if np.allclose(given, [ratio(*case) for case in cases], rtol=1e-6, atol=1e-9):
            return (
                wrong(said)
                if said
                else right(
                    "One number for one patient: above 0 the score looks like those of models that saw them. "
                    "What it is worth, the false alarms say."
                )
            )
    if np.ptp(given) == 0:
        return wrong("The same number for everybody accuses all or nobody. Let it depend on the three arguments.")
    return wrong(
        "Fit a bell to each side: the mean and the standard deviation of its scores. Then take the logarithm of its "
        "height at `score`, and subtract that of `unseen` from that of `seen`."
    )


EXERCISES = (
    Exercise(
        name="06b.1",
        expects="a number of members, from 0 to 1,000",
        hints=(
            "100 of 1,000 others accused is a false positive rate of 0.1.",
            "fpr and tpr are arrays of the same length, in rising order: curve.tpr[curve.fpr <= 0.1] is a part of one.",
            "Its last entry is a share; there are 1,000 members.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="06b.2",
        expects="a difference of two shares, such as 0.05",
        hints=(
            "infer takes one column or a list of columns: infer('income', shadow.OVERFITTED, adam=True).",
            "Its result has members and nonmembers, and each of them imputation, attack and gain.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="06b.3",
        expects="a dict of two numbers of patients",
        hints=(
            "kept['overfitted network'].found has a share for each of the 2,000 patients.",
            "(found > 0.5) is true or false for each of them; its sum() counts.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="06b.4",
        expects="a function of a score and two arrays of scores that returns a number",
        hints=(
            "norm(mean, spread).logpdf(score) of scipy.stats is the logarithm of a bell's height.",
            "One bell has seen.mean() and seen.std(ddof=1), the other the same of unseen. Subtract the second.",
        ),
        judge=_judge_4,
    ),
)
