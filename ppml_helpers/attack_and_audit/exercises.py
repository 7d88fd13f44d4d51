"""Exercises of chapter 06, attack and audit; those of 06b stand in `exposure_exercises`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ppml_helpers.attack_and_audit import exposure_exercises
from ppml_helpers.attack_and_audit.exposure_exercises import kept_study, thirty
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong

TITLE = {"06": "Attack and audit", "06b": exposure_exercises.TITLE}

_CASE = "overfitted network"  # of 06.1
_LIST, _MEMBERS = 20_000, 1_000  # of 06.1: people on the list, and how many of them are members
_PROMISE = 3.0  # of 06.2
_BROKEN = "Cleo"  # of 06.3
_PATIENTS = 40  # of 06.4: what a training divides by
_KEPT_RULE, _BROKEN_RULE = (
    "sound",
    ("clipped after averaging", "divided by the true batch", "deaths put in three times", "scaled by its own spread"),
)


# What is said to answers ---------------------------------------------------------------------------------------------


def _right_accusations(found: float, alarms: float, share: float) -> float:
    return found * share / (found * share + alarms * (1 - share))


def _judge_1(answer: object) -> Reply:
    value, attacks = as_number(answer), kept_study()[_CASE].attacks
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
    if close(value, _right_accusations(thirty().at_1_in_1000.tpr, 0.001, share), 0.006):
        return wrong(
            "That is the attack with 30 shadow models. The attacker of the task has 126: take it from the file."
        )
    if close(value, _MEMBERS * found + (_LIST - _MEMBERS) * 0.001, 2):
        return wrong("That is how many people are accused. Which share of them are members?")
    if not 0 <= value <= 1:
        return wrong("A share lies between 0 and 1.")
    return wrong("Count the members found, 1,000 times the TPR, and the others accused, 19,000 times 0.001.")


def _judge_2(answer: object) -> Reply:
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


def _judge_3(answer: object) -> Reply:
    from ppml_helpers.attack_and_audit.audit import TrainingAudit
    from ppml_helpers.attack_and_audit.colleagues import COLLEAGUES

    names = tuple(COLLEAGUES)
    if not isinstance(answer, Mapping) or set(answer) != set(names):
        raise NotAnAnswer(f"its keys are {', '.join(repr(name) for name in names)}")
    odd = next((answer[name] for name in names if not isinstance(answer[name], TrainingAudit)), None)
    if odd is not None:
        return wrong(
            f"{odd!r} is not an audit, and a number by itself shows nothing: give what audit_training returned, whole."
        )
    runs: dict[str, TrainingAudit] = {name: answer[name] for name in names}
    spoilt = _spoilt(list(runs.values()))
    if spoilt:
        return wrong(spoilt)
    if not any(run.caught for run in runs.values()):
        return wrong("None of them is refuted yet. Take 1,000 canaries, the default: fewer show less.")
    if not runs[_BROKEN].caught:
        return wrong("Look at the calls again: is each audit beside the name of the colleague whose trainer it had?")
    accused = [name for name in names if name != _BROKEN and runs[name].caught]
    said = (
        f"{_BROKEN}'s promise of 1 is refuted: epsilon is at least {runs[_BROKEN].measured.epsilon_lower:.1f}. That "
        "program takes the standard deviation that it is asked for as a variance, so its noise is several times too "
        "small. "
    )
    if accused:
        return right(
            f"{said}{accused[0]} is accused as well, though that program is sound: up to 5 of 100 audits do so. "
            "Report it so, and read the program; a second audit until it pleases would be worth nothing."
        )
    return right(f"{said}The others are not refuted, which is no proof that they are sound.")


def _spoilt(runs: Sequence[Any]) -> str:
    """Say what makes these audits no audits of three colleagues who promise epsilon 1, or nothing."""
    if len({run.scores.tobytes() for run in runs}) < len(runs):
        return "One model more than once: without trainer=..., audit_training audits the kit's own training each time."
    if any(run.promised != run.actual for run in runs):
        return "You planted a bug yourself. Leave noise_divisor out: the bug, if there is one, is the colleague's."
    if any(abs(run.promised - 1) > 0.01 for run in runs):
        return "The promise that you audited is not theirs: give epsilon=1.0."
    return ""


def _judge_4(answer: object) -> Reply:
    if not callable(answer):
        raise NotAnAnswer("it is a function of a training")
    sound = _tried(answer, _KEPT_RULE)
    if sound > 1 + 1e-6:
        return wrong(
            f"The sound training moves by 1 at most, and you say {sound:.3g}: compare two tables that differ in one "
            "patient, and multiply by the 40 that it divides by, not by the patients of the table."
        )
    if sound < 0.2:
        return wrong(f"You say {sound:.3g} of the sound training. Does the patient whom you add pull at all? Times 40?")
    for name in _BROKEN_RULE:
        moved = _tried(answer, name)
        if moved <= 1 + 1e-6:
            return wrong(f"The training that is {name} passes: you say {moved:.3g}. {_WHOM[name]}")
    return right(
        "Four broken trainings are found, and the sound one passes. On other tables a patient may still "
        "move a model farther: such a test refutes, and proves nothing."
    )


_WHOM = {
    "clipped after averaging": "Whose gradient is long? That of a patient with large values.",
    "divided by the true batch": "Nearly all patients must pull one way, and the one whom you add the other way.",
    "deaths put in three times": "It treats those with label 1 otherwise: add one of them, too.",
    "scaled by its own spread": "Its columns are divided by their spread: add somebody who changes that.",
}


def _tried(answer: Callable[..., Any], name: str) -> float:
    """Return what a learner's test says of one training of the gallery."""
    from ppml_helpers.attack_and_audit import gallery

    training = gallery.BUGS.get(name, gallery.Training)(_PATIENTS)
    return as_number(answer(lambda *arguments, **named: training(*arguments, **named)))  # whose name nobody can read


EXERCISES = (
    Exercise(
        name="06.1",
        expects="a share from 0 to 1",
        hints=(
            "How many of the 1,000 members are found? How many of the 19,000 others are accused in error?",
            "right_accusations(members, point) of the chapter does it; members is a share.",
            "The attack is online['overfitted network'].at_1_in_1000.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="06.2",
        expects="a whole number of canaries",
        hints=(
            "audit.best_possible(m) is what m canaries show if every guess is right.",
            "Which is the first m for which that is above 3? A loop finds it.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="06.3",
        expects="a dict of three audits, by the colleagues' names",
        hints=(
            "shown['Ada'] = audit.audit_training(*patients, recipe, epsilon=1.0, trainer=COLLEAGUES['Ada'])",
            "Loop over COLLEAGUES.items(). shown['Ada'].measured is what the audit shows.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="06.4",
        expects="a function of a training that returns a number",
        hints=(
            "Train on a table of 40 patients, and on the same table with one more; the models differ by a vector.",
            "Its length, np.linalg.norm, times 40 is how far that patient moves the sum, in clipping norms.",
            "Try several patients: with large values, with both labels, and one who pulls against all others.",
        ),
        judge=_judge_4,
        takes=("ppml_helpers.private_training.engine.Recipe",),
    ),
    *exposure_exercises.EXERCISES,
)
