"""Exercises of chapter 05: private training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong

if TYPE_CHECKING:
    from ppml_helpers.cohort import Split

TITLE = "Private training"

_OFFERED = (0.1, 0.3, 1.0, 3.0, 10.0)  # the epsilons of 05.4
_MOST = 0.50  # the test log loss that 05.4 allows
_PATIENTS = 1000
_BY_RDP = {"05.2": 2.65, "05.3": 2.803}  # what Opacus' looser accountant says: bounds that hold, too


def _judge_1(answer: object) -> Reply:
    from ppml_helpers import accounting

    value, truth = as_number(answer), 100 * accounting.membership_accuracy(2.0, 1e-5)
    if close(value, truth, 0.6):
        return right(f"At most {truth:.0f} times in 100, if both were equally likely before; a coin gives 50.")
    if close(value, truth / 100, 0.006):
        return wrong("That is the probability, and the task asks for times in 100.")
    if close(value, 100 * (math.e**2 - 1) / (math.e**2 + 1), 1.0):
        return wrong(
            "That is the membership advantage, the gain over guessing. The share of right guesses starts from 50."
        )
    if close(value, 100 * accounting.membership_accuracy(1.0, 1e-5), 0.6):
        return wrong("That is epsilon 1. This colleague promises epsilon 2, which allows more.")
    if close(value, math.e**2, 0.01):
        return wrong(
            "That is how many times likelier a release can be with you than without: odds. Even odds become "
            "e^2 to 1, which is e^2 / (1 + e^2) as a probability."
        )
    if close(value, 50, 0.5):
        return wrong("50 in 100 would be a promise of epsilon 0: the model would not depend on anybody.")
    if value >= 99:
        return wrong("Epsilon 2 leaves more doubt than that. Ask accounting.membership_accuracy.")
    return wrong("The function is accounting.membership_accuracy(epsilon, delta); it gives a probability.")


def _judge_2(answer: object) -> Reply:
    from ppml_helpers import accounting

    value = as_number(answer)
    sigma = accounting.noise_multiplier(1.0, 1.0, 100)
    truth = accounting.epsilon(sigma, 1.0, 500)
    if close(value, truth, 0.03):
        return right(f"Epsilon {truth:.2f}: more than one year's promise, less than five times as much.")
    if close(value, _BY_RDP["05.2"], 0.006):
        return right(f"Epsilon {value:.2f} is a valid bound, if a loose one; exact accounting gives {truth:.2f}.")
    if close(value, 5.0, 0.01):
        return wrong(
            "That is basic composition: safe, but its delta is five times 1e-5 too, and you can promise less. The "
            "noise of five full-batch trainings composes like that of one training with five times the steps."
        )
    if close(value, 1.0, 0.01):
        return wrong(
            "Each model used the same patients: what leaks adds up. Epsilon is spent per patient, not per model."
        )
    if close(value, math.sqrt(5), 0.01):
        return wrong(
            "Close to how Gaussian noise composes, but epsilon is not the noise: compute it from the noise multiplier "
            "and all steps."
        )
    if close(value, sigma, 0.05):
        return wrong("That is the noise multiplier of one year. Put it into accounting.epsilon with the steps of five.")
    if value > 5:
        return wrong("Adding the five promises up is always safe and gives 5, so a bound above 5 says too little.")
    if value > truth:
        return wrong("That bound holds, and it is loose: give accounting.epsilon the noise of one year and all steps.")
    return wrong("Find the noise multiplier of one year's training first, then the epsilon of five years' steps.")


def _judge_3(answer: object) -> Reply:
    from ppml_helpers import accounting

    value = as_number(answer)
    truth = accounting.noise_multiplier(2.0, 0.05, 600)
    if truth * 0.998 <= value <= truth * 1.006:  # Opacus' prv says 2.617
        return right(f"A noise multiplier of {truth:.2f}: 30 epochs of 20 batches are 600 steps at q = 0.05.")
    if close(value, _BY_RDP["05.3"], 0.006):
        return right(f"That is what Opacus' rdp asks for, with noise to spare; by its prv {truth:.2f} is enough.")
    if value in (30, 600):
        return wrong(f"{value:g} counts epochs or steps. How much noise do 600 steps need, for epsilon 2?")
    if close(value, accounting.noise_multiplier(2.0, 0.05, 30), 0.02):
        return wrong("You counted 30 steps. An epoch has as many steps as batches, and there are 20 batches of 5 %.")
    if close(value, accounting.noise_multiplier(2.0, 1.0, 30), 0.1):
        return wrong("That is for full batches. A batch of 5 % means sample_rate=0.05, and 20 steps an epoch.")
    if close(value, accounting.noise_multiplier(2.0, 1.0, 600), 0.5):
        return wrong("You count all 600 steps but let every patient take part in each: use sample_rate=0.05.")
    if value < truth:
        return wrong("With so little noise epsilon is above 2. Count the steps: epochs divided by the sample rate.")
    return wrong("That keeps the promise but blurs more than it must. Check sample_rate and steps.")


def _judge_4(answer: object) -> Reply:
    value = as_number(answer)
    if not any(close(value, offered, 1e-6) for offered in _OFFERED):
        return wrong(f"Choose one of {', '.join(f'{offered:g}' for offered in _OFFERED)}.")
    reached = _useful()
    truth = min(offered for offered, (loss, _) in reached.items() if loss <= _MOST)
    loss, auc = reached[min(_OFFERED, key=lambda offered: abs(offered - value))]
    if close(value, truth, 1e-6):
        return right(
            f"Epsilon {truth:g} gives a log loss of {loss:.2f}. On records that are not public this search alone would "
            "have spent far more than that: five epsilons, five trainings each, all on the same patients."
        )
    if value < truth:
        ranks = f" It ranks well (AUC {auc:.2f}), but its risks cannot be taken at their word." if auc > 0.75 else ""
        return wrong(
            f"Epsilon {value:g} gives a log loss of {loss:.2f} with {_PATIENTS:,} patients; it must be at most "
            f"{_MOST:.2f}.{ranks}"
        )
    return wrong(f"Epsilon {value:g} gives {loss:.2f}, which is enough, but a smaller one on the list is enough too.")


@cache
def _useful() -> dict[float, tuple[float, float]]:
    """Train as the chapter's explorer does; return each epsilon's mean test log loss and AUC."""
    from ppml_helpers.private_training.curve import Bench, Judge
    from ppml_helpers.private_training.engine import RECIPES, no_progress

    split, model = _split(), "logistic regression"
    bench = Bench(split, _PATIENTS, model, RECIPES[model], 1e-5)
    y = split.y_test.to_numpy()
    judges = [Judge(measure, y, np.ones(len(y), bool)) for measure in ("log loss", "AUC")]
    logits = bench.logits(_OFFERED, bench.seeds, no_progress)
    return {epsilon: tuple(float(judge(rows).mean()) for judge in judges) for epsilon, rows in logits.items()}


def _split() -> Split:
    from ppml_helpers import cohort

    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


def _judge_5(answer: object) -> Reply:
    if not callable(answer):
        return wrong("Give the function `both` itself, not what it wins: it is tried on games of its own.")
    games = _careless_games()
    made = []
    for a, b in games.sides:
        try:
            made.append(np.asarray(answer(a.copy(), b.copy()), dtype=float))
        except Exception as error:
            return wrong(f"Given two arrays of models, one a row, both ends in: {type(error).__name__}: {error}.")
        if made[-1].shape != a.shape or not np.isfinite(made[-1]).all():
            return wrong(f"Given two arrays of shape {a.shape}, both must return such an array of finite numbers.")
    won = games.share(made)
    if won >= games.share([games.combined(*side) for side in games.sides]) - 0.02:
        return right(
            f"{100 * won:.0f} of 100 right, where two models with noise of their own would allow "
            f"{100 * games.allowed:.0f}. Each promise was kept, and together they give the model without noise away: "
            "what is published twice needs its noise twice."
        )
    a, b = games.sides[0]
    for usual, words in (
        (a, "That is the model for everybody alone. The attacker holds the other one too."),
        (b, "That is the model for partners alone. The attacker holds the other one too."),
        ((a + b) / 2, "The mean of both still has the noise in it. Weigh them so that the noise cancels."),
        (a - b, "In a plain difference the model cancels, and the noise is what is left."),
        (b - a, "In a plain difference the model cancels, and the noise is what is left."),
        (
            games.combined(a, b) * (games.high - games.low),
            "The noise cancels. Now divide by high - low, or the result is not of a model's size, and the attacker "
            "compares it with models.",
        ),
    ):
        if np.allclose(made[0], usual, rtol=1e-3, atol=1e-3 * np.abs(usual).max()):
            return wrong(words)
    return wrong(
        f"That wins {100 * won:.0f} of 100 games: some noise is left. With a = w + 5 e and b = w + 3 e, 5 b - 3 a is "
        "2 w, without e: do so with high and low."
    )


class _Games(NamedTuple):
    """Games of 05.5: the models for everybody and for partners, with the patient and without, one a row."""

    sides: tuple[tuple[np.ndarray, np.ndarray], ...]
    own: tuple[np.ndarray, np.ndarray]  # the attacker's own models without noise
    low: float
    high: float
    allowed: float  # share of right guesses, were the noise of the two independent

    def combined(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the two without their noise."""
        return (self.high * b - self.low * a) / (self.high - self.low)

    def share(self, made: Sequence[np.ndarray]) -> float:
        """Return the share of right guesses from what an attacker made of the models of each side."""
        step, middle = self.own[0] - self.own[1], (self.own[0] + self.own[1]) / 2
        inside, outside = ((models - middle) @ step for models in made)
        return float(((inside > 0).mean() + (outside < 0).mean()) / 2)


@cache
def _careless_games() -> _Games:
    """Publish the models of 05.5 as the chapter does, from seeds of their own."""
    from sklearn.linear_model import LogisticRegression

    from ppml_helpers import accounting
    from ppml_helpers.private_training.careless import careless_train
    from ppml_helpers.private_training.engine import RECIPES, train

    X, _, y, _ = _split()
    recipe, games = RECIPES["logistic regression"], 200
    risk = LogisticRegression(max_iter=1000).fit(X, y).predict_proba(X)[:, 1]
    patient = X.index[np.argmin(np.where(y == 1, risk, 1 - risk))]
    tables = (X, y), (X.drop(index=patient), y.drop(index=patient))
    own = tuple(train(*table, recipe, [0.0], [0], divisor=6_800).vectors()[0] for table in tables)
    low, high = (accounting.noise_multiplier(epsilon, 1.0, recipe.steps) for epsilon in (3.0, 1.0))
    sides = []
    for table, first in zip(tables, (20_000, 30_000), strict=True):
        seeds = range(first, first + games)
        sides.append(tuple(careless_train(*table, recipe, [s] * games, seeds, 6_800).vectors() for s in (high, low)))
    releases = [(sigma, 1.0, recipe.steps) for sigma in (low, high)]
    return _Games(tuple(sides), own, low, high, accounting.exact_accuracy(releases))


EXERCISES = (
    Exercise(
        name="05.1",
        expects="a number of times in 100",
        hints=(
            "The column 'right: promise' of a Deeper section has the same number for other epsilons.",
            "accounting.membership_accuracy(epsilon, delta) gives it as a probability.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="05.2",
        expects="an epsilon, a number above 0",
        hints=(
            "Epsilons do not just add up, but the noise of all steps does: count the steps of five years.",
            "accounting.noise_multiplier(1.0, sample_rate=1.0, steps=100) is one year's noise.",
            "Put that noise into accounting.epsilon with 500 steps.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="05.3",
        expects="a noise multiplier, a number above 0",
        hints=(
            "accounting.noise_multiplier wants a target epsilon, a sample rate and a number of steps.",
            "Each epoch has 1 / 0.05 = 20 batches.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="05.4",
        expects="one of the epsilons 0.1, 0.3, 1, 3, 10",
        hints=(
            'explorer.set(epsilon=1.0, patients=1000, usefulness="log loss").result.present holds the five log losses.',
            "Loop over the list and keep the epsilons whose mean is at most 0.50.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="05.5",
        expects="a function of two arrays of models",
        hints=(
            "a is w + high * e and b is w + low * e, with the same w and e: solve for w.",
            "high * b - low * a has no e left; divide it by high - low.",
        ),
        judge=_judge_5,
    ),
)
