"""The exercises of chapter 03b and their judges."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from ppml_helpers import cohort
from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong
from ppml_helpers.synthetic_tables.attacks import Named, copies, name_by_register
from ppml_helpers.synthetic_tables.generator import Model
from ppml_helpers.synthetic_tables.hospital import Hospital, fictional_hospital
from ppml_helpers.synthetic_tables.ledger import discrete_gaussian, epsilon_of, rho_of
from ppml_helpers.synthetic_tables.naive import sequential_trees
from ppml_helpers.words import percent

TITLE = "Synthetic tables"

_WANTED = ("dzgroup", "age", "sex", "hospdead")
_GAMES = 12


@lru_cache
def _hospital() -> Hospital:
    return fictional_hospital()


@lru_cache
def _named(leaf: int) -> tuple[Named, float]:
    hospital = _hospital()
    made = sequential_trees(hospital.train, seed=0, leaf=leaf)
    named = name_by_register(made, hospital.train, hospital.register, hospital.truth, "dzgroup")
    return named, copies(made, hospital.train)


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    named, copied = _named(5)
    share = named.right / named.patients
    if close(value, share, 0.006):  # rounded to two digits, too
        chance = float((_hospital().train.dzgroup.value_counts(normalize=True) ** 2).sum())
        return right(
            f"{percent(copied)} of the rows are copies, and still {percent(share)} are told rightly, where a diagnosis "
            f"drawn at random would be right for {percent(chance)}: no copies is no promise."
        )
    if close(value, 100 * share, 0.6):
        return wrong("That is the percentage: give the share, a number between 0 and 1.")
    if close(value, named.right, 0.5):
        return wrong("That is how many: divide by the patients who were named.")
    if close(value, named.right / named.people, 0.0015):
        return wrong("You divided by all people named; some of them were never in the table: divide by `.patients`.")
    if close(value, named.right / len(_hospital().train), 0.0015):
        return wrong("That is the share of all patients: divide by those who were named, `.patients`.")
    if close(value, copied, 0.0005):
        return wrong("That is the share of copies. The attack needs none: call `name_by_register`.")
    one, _ = _named(1)
    if close(value, one.right / one.patients, 0.0015):
        return wrong("That is with one patient a leaf: make the table with `leaf=5`.")
    return wrong(
        "Make the table with `leaf=5` and `seed=0`, then divide `.right` by `.patients` of `name_by_register`."
    )


def _judge_2(answer: object) -> Reply:
    if not isinstance(answer, Model):
        return wrong("Give what `measure(...)` returns.")
    if answer.ledger.rho == math.inf:
        return wrong("Measured exactly: that promises nothing. Give `measure` an epsilon.")
    names = set(answer.domain.names)
    if names != set(_WANTED):
        return wrong(f"It has the columns {', '.join(sorted(names))}: `public_domain` gets dzgroup, age and sex alone.")
    if abs(answer.rows - len(_hospital().train)) > 500:
        return wrong(f"It was made from about {answer.rows:,} rows: measure `hospital.train`, all of it.")
    if answer.ledger.seeded:
        return wrong("Its noise can be repeated, and so taken off: leave out the seed, and OpenDP draws the noise.")
    if answer.epsilon > 0.5 or answer.delta > 1e-5:
        return wrong(f"It promises epsilon {answer.epsilon:.3g} at delta {answer.delta:g}: more than was allowed.")
    if answer.epsilon < 0.49:
        return wrong(f"It promises epsilon {answer.epsilon:.3g}: 0.5 was allowed, and less budget is more noise.")
    return right(f"{len(answer.ledger.entries)} queries, epsilon {answer.epsilon:.3f} in all.")


def _judge_3(answer: object) -> Reply:
    if not callable(answer):
        return wrong("Give a function `attack(counts, others)`.")
    exact, noisy = (_games(answer, noise) for noise in (False, True))
    if isinstance(exact, Reply):
        return exact
    if exact < _GAMES:
        return wrong(
            f"It found {exact} of {_GAMES} patients: where does the count exceed that of the others? (Some are the "
            "only ones of their diagnosis: then it is missing among the others.)"
        )
    guessed = _GAMES * cohort.load_patients().dzgroup.value_counts(normalize=True).max()
    return right(
        f"It found all {_GAMES} patients in exact counts. In counts with the noise of epsilon 1 it found {noisy}; "
        f"guessing the most frequent diagnosis each time finds {guessed:.0f} on average."
    )


def _games(attack: Any, noise: bool) -> int | Reply:
    """Play against tables of 300 patients of whom one is unknown; return how often the attack was right."""
    rng, found = np.random.default_rng(7), 0
    diagnoses = cohort.load_patients().dzgroup
    for game in range(_GAMES):
        drawn = diagnoses.sample(300, random_state=int(rng.integers(2**31))).reset_index(drop=True)
        if game % 3 == 2 and not noise:  # the unknown one is the only one of that diagnosis
            rare = cohort.DIAGNOSES[int(rng.integers(len(cohort.DIAGNOSES)))]
            drawn = pd.concat([drawn[drawn != rare], pd.Series([rare])], ignore_index=True)
        counts = drawn.value_counts().reindex(cohort.DIAGNOSES, fill_value=0)
        counts = counts + discrete_gaussian(math.sqrt(1 / (2 * rho_of(1.0))), len(counts), rng) * noise
        unknown = int(rng.integers(len(drawn))) if game % 3 < 2 or noise else len(drawn) - 1
        try:
            guess = attack(counts.copy(), pd.DataFrame({"dzgroup": drawn.drop(unknown)}))
        except Exception as error:  # whatever a learner's function does is an answer
            return wrong(f"Your function failed ({type(error).__name__}: {error}).")
        if not isinstance(guess, str) or guess not in cohort.DIAGNOSES:
            what = repr(guess) if guess is None or np.isscalar(guess) else f"a {type(guess).__name__}"
            return wrong(f"It returned {what}: give the name of one diagnosis, such as 'CHF'.")
        found += guess == drawn[unknown]
    return found


def _judge_4(answer: object) -> Reply:
    value = as_number(answer)
    best = epsilon_of(rho_of(1.0) / 2)
    if abs(value - best) < 0.005:
        return right(f"Two releases of rho {rho_of(1.0) / 2:.4f} each: epsilon {best:.3f} alone, 1 together.")
    if abs(value - 0.5) < 1e-3:
        return wrong("Safe, but more than 0.5 can be allowed: add up rho, not epsilon.")
    if value >= 1 - 1e-3:
        return wrong("Then both together cost more than 1: the patients are the same.")
    if abs(value - math.sqrt(0.5)) < 1e-3:
        return wrong("Close to how noise composes, but a rule of thumb is no promise: compute it from rho.")
    if abs(value - rho_of(1.0) / 2) < 1e-4:
        return wrong("That is the rho of each: turn it into an epsilon with `epsilon_of`.")
    if value > best:
        return wrong(f"Two such releases cost epsilon {epsilon_of(2 * rho_of(value)):.3f} together: too much.")
    return wrong("That keeps the promise with room to spare: half of `rho_of(1.0)` is there for each.")


EXERCISES = (
    Exercise(
        name="03b.1",
        expects="a share, a number between 0 and 1",
        hints=(
            "`sequential_trees(hospital.train, seed=0, leaf=5)` makes the table.",
            "`name_by_register` returns `people`, `patients` and `right`: the last two are asked for.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="03b.2",
        expects="a Model, from `measure`",
        hints=(
            "`public_domain([...])` takes the columns; the label comes by itself.",
            "Without a seed the noise is OpenDP's.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="03b.3",
        expects="a function that takes counts and the other patients, and returns a diagnosis",
        hints=(
            "Count the others yourself, by diagnosis.",
            "The published counts are higher in one place. `idxmax` of a difference finds it, also with noise.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="03b.4",
        expects="an epsilon, a number",
        hints=("rho adds up, epsilon does not.", "`rho_of(1.0)` is the rho that both have together."),
        judge=_judge_4,
    ),
)
