"""Exercises of chapter 06: attack and audit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong

TITLE = "Attack and audit"

_CASE = "overfitted network"  # of 06.1 to 06.3

_LIST, _MEMBERS = 20_000, 1_000  # of 06.2: people on the list, and how many of them are members

# 06.3: shares of members whose income is guessed right, as the chapter's own cells find them: its solution cell would
# show a drift.
_INCOME = MappingProxyType({"commonest": 0.318, "imputation": 0.401, "attack": 0.499})

_DIAGNOSIS_GAIN = 0.067  # what the chapter's cell finds before 06.3

_PROMISE = 3.0  # of 06.4

_BROKEN = "Cleo"  # of 06.5


# What is said to answers ---------------------------------------------------------------------------------------------


@cache
def _study() -> Any:
    from ppml_helpers.attack_and_audit import study

    return study.load()


def _found_at(result: Any, alarms: float) -> float:
    """Return the share of members found at a share of false alarms."""
    return float(result.tpr[result.fpr <= alarms + 1e-9][-1])


def _judge_1(answer: object) -> Reply:
    value, attacks = as_number(answer), _study()[_CASE].attacks
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
    if close(value, 1000 * _found_at(_thirty(), 0.1), 6):
        return wrong("That is your own attack with 30 shadow models. The task is about 126: take it from `kept`.")
    if close(value, 1000 * _found_at(_study()["forest"].attacks["LiRA online"], 0.1), 6):
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


def _thirty() -> Any:
    """Return the attack with the chapter's 30 shadow models."""
    return _study().fewer[32]["LiRA online"]


def _right_accusations(found: float, alarms: float, share: float) -> float:
    return found * share / (found * share + alarms * (1 - share))


def _judge_2(answer: object) -> Reply:
    value, attacks = as_number(answer), _study()[_CASE].attacks
    online, share = attacks["LiRA online"], _MEMBERS / _LIST
    found = online.at_1_in_1000.tpr
    truth = _right_accusations(found, 0.001, share)
    if close(value, truth, 0.006):
        hits, errors = _MEMBERS * found, (_LIST - _MEMBERS) * 0.001
        plain = _right_accusations(attacks["loss threshold"].at_1_in_1000.tpr, 0.001, share)
        return right(
            f"{hits:.0f} members and {errors:.0f} others are accused: {100 * truth:.0f} % rightly. With the hospital's "
            f"attack it would be {100 * plain:.0f} %, hardly more than the 5 % that are members anyway."
        )
    if close(value, 100 * truth, 0.6):
        return wrong("That is in percent. Give the share as a number from 0 to 1.")
    if close(value, 1 - truth, 0.006):
        return wrong("That is the share of accusations that are wrong. Give the share that are right.")
    if close(value, found, 0.003):
        return wrong("That is the share of members who are found, not the share of the accused who are members.")
    if close(value, _right_accusations(found, 0.001, 0.5), 0.003):
        return wrong("That is for a list of which half are members. Here 1,000 of 20,000 are.")
    if close(value, 0.999, 0.0006):
        return wrong("That is the share of non-members who are left alone. Of 19,000, how many are accused?")
    if close(value, share, 0.001):
        return wrong("That is the share of members on the list. Among the accused there are more.")
    if close(value, _right_accusations(online.at_1_in_100.tpr, 0.01, share), 0.006):
        return wrong("That is at 1 % false alarms. The attacker is stricter: 0.1 %.")
    if close(value, _right_accusations(_thirty().at_1_in_1000.tpr, 0.001, share), 0.006):
        return wrong("That is the attack with 30 shadow models. The attacker of 06.1 has 126: take it from the file.")
    if close(value, _MEMBERS * found + (_LIST - _MEMBERS) * 0.001, 2):
        return wrong("That is how many people are accused. Which share of them are members?")
    if not 0 <= value <= 1:
        return wrong("A share lies between 0 and 1.")
    return wrong("Count the members found, 1,000 times the TPR, and the others accused, 19,000 times 0.001.")


def _judge_3(answer: object) -> Reply:
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


def _judge_4(answer: object) -> Reply:
    from ppml_helpers.attack_and_audit import audit

    value = as_number(answer)
    if value != int(value) or value < 1:
        return wrong("A number of canaries is a whole number, 1 or more.")
    if value > 100_000:
        return wrong("Far fewer are enough. Try audit.best_possible(100).")
    many = int(value)
    best, truth = audit.best_possible(many), _least(_PROMISE)
    if many == truth:
        return right(
            f"With {truth} canaries, all guessed right, the audit shows {best:.2f}, just above 3; with {truth - 1} it "
            f"shows {audit.best_possible(truth - 1):.2f}. Real guesses err: take several times as many."
        )
    if many == _least(_PROMISE, confidence=0.99):
        return wrong("That is for 99 % confidence. The task asks for 95 %.")
    if best > _PROMISE:
        return wrong(f"{many} canaries are enough: they can show {best:.2f}. Fewer are enough, too.")
    if many in (62, 63):
        return wrong(
            "That would do for a single number of guesses, fixed beforehand, and delta 0. The audit tries four numbers "
            f"of guesses and pays for each: {many} canaries show {best:.2f} at best."
        )
    for easier in (1.0, 2.0):
        if many == _least(easier):
            return wrong(f"That is enough to refute a promise of {easier:g}. The colleague promised 3.")
    return wrong(f"{many} canaries show {best:.2f} at best, if every guess is right: no refutation of 3.")


def _least(promise: float, **settings: float) -> int:
    """Return the smallest number of canaries that can refute a promise."""
    from ppml_helpers.attack_and_audit import audit

    return next(many for many in range(1, 10_000) if audit.best_possible(many, **settings) > promise)


def _judge_5(answer: object) -> Reply:
    from ppml_helpers.attack_and_audit.colleagues import COLLEAGUES

    names = tuple(COLLEAGUES)
    if not isinstance(answer, Mapping) or set(answer) != set(names):
        raise NotAnAnswer(f"its keys are {', '.join(repr(name) for name in names)}")
    shown = {name: as_number(answer[name]) for name in names}
    sound = [name for name in names if name != _BROKEN]
    if min(shown.values()) < 0:
        return wrong("A lower bound on epsilon is 0 or more: take run.measured.epsilon_lower.")
    if all(0.7 < bound < 0.9 for bound in shown.values()):
        return wrong("These look like test AUCs, and the AUC shows nothing here. Take run.measured.epsilon_lower.")
    if len(set(shown.values())) == 1 and shown[_BROKEN] > 0:
        return wrong(
            "Three times the same number: without trainer=..., audit_training audits the kit's own training each time."
        )
    if shown[_BROKEN] > 1 and max(shown[name] for name in sound) <= 1:
        return right(
            f"{_BROKEN}'s promise of 1 is refuted: epsilon is at least {shown[_BROKEN]:.1f}. That program never clips, "
            "so one canary pulls the model several times further than the noise was made for; its AUC is the best of "
            "the three. Ada's and Ben's are not refuted, which is no proof that they are sound."
        )
    if min(shown.values()) > 1:
        return wrong("All three above 1: was the promise that you audited epsilon=1.0, and is there no noise_divisor?")
    accused = [name for name in sound if shown[name] > 1]
    if accused:
        return wrong(
            f"{accused[0]}'s shows more than 1 here, and should not. One audit in twenty errs: check the call, then "
            "try another seed for all three."
        )
    return wrong(
        "None of them shows more than 1, so nothing is refuted yet. Give epsilon=1.0, trainer=... and 1,000 canaries: "
        "fewer show less."
    )


EXERCISES = (
    Exercise(
        name="06.1",
        expects="a number of members, from 0 to 1,000",
        hints=(
            "100 of 1,000 others accused is a false positive rate of 0.1.",
            "fpr and tpr are arrays of the same length, in rising order: curve.tpr[curve.fpr <= 0.1] is a part of one.",
            "Its last entry is a share; there are 1,000 members.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="06.2",
        expects="a share from 0 to 1",
        hints=(
            "How many of the 1,000 members are found? How many of the 19,000 others are accused in error?",
            "right_accusations(members, point) of the chapter does it; members is a share.",
            "The attack is online['overfitted network'].at_1_in_1000.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="06.3",
        expects="a difference of two shares, such as 0.05",
        hints=(
            "infer takes one column or a list of columns: infer('income', shadow.OVERFITTED, adam=True).",
            "Its result has members and nonmembers, and each of them imputation, attack and gain.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="06.4",
        expects="a whole number of canaries",
        hints=(
            "audit.best_possible(m) is what m canaries show if every guess is right.",
            "Which is the first m for which that is above 3? A loop finds it.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="06.5",
        expects="a dict of three lower bounds on epsilon",
        hints=(
            "run = audit.audit_training(*patients, recipe, epsilon=1.0, trainer=COLLEAGUES['Ada'])",
            "run.measured.epsilon_lower is the bound. Loop over COLLEAGUES.items().",
        ),
        judge=_judge_5,
    ),
)
