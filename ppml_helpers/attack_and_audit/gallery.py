"""A gallery of bugs: private training with one rule broken each, and a test of each rule.

`Training` is DP-SGD for logistic regression in plain NumPy, with a method for each rule of the proof, so that a bug is
one method. The attacks on the rules know nothing of that: they call a training as a black box, on tables of their own
choosing, and look at the weights that come back.

References
----------
Abadi et al. (2016), "Deep learning with differential privacy": the rules. Dong, Roth and Su (2022), "Gaussian
differential privacy"; Gopi, Lee and Wutschitz (2021), "Numerical composition of differential privacy": why the limit
of the former is no bound when patients are sampled.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit

from ppml_helpers import accounting
from ppml_helpers.attack_and_audit import audit
from ppml_helpers.private_training.engine import RECIPES, Labels, Progress, Recipe, Table, no_progress

Floats = NDArray[np.float64]

FULL = RECIPES["logistic regression"]
SAMPLED = Recipe(steps=300, learning_rate=FULL.learning_rate, clipping_norm=FULL.clipping_norm, sample_rate=0.02)
"""The recipes of the gallery: all patients in every step, and two in a hundred."""

_RUNS = 400  # trainings behind a spread: it is then known to one part in 28
_PATIENTS, _COLUMNS = 40, 3  # of the tables on which rules are tested
_TINY_STEP = 1e-6  # a learning rate at which the weights, and so the gradients, stay what they were


class Linear(NamedTuple):
    """A logistic regression.

    Attributes
    ----------
    slopes : ndarray, shape (d,)
    intercept : float
    """

    slopes: Floats
    intercept: float

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return the log-odds of label 1, shape (n,)."""
        return np.asarray(X) @ self.slopes + self.intercept

    def vector(self) -> Floats:
        """Return all that is published, the intercept last."""
        return np.append(self.slopes, self.intercept)


# The training, and what may be wrong with it ---------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """Private logistic regression that keeps its promise.

    Parameters
    ----------
    divisor : float
        The number of patients by which sums are divided: public, and the same whoever takes part.
    """

    divisor: float

    name = "sound"
    why = "a bound below the promise is what a sound training shows"
    recipe = FULL
    replaces = False  # whether its promise is about a patient who is changed, not about one who is added or removed

    def __call__(
        self,
        X: Table,
        y: Labels,
        recipe: Recipe,
        noise_multipliers: Sequence[float],
        seeds: Sequence[int],
        progress: Progress = no_progress,
    ) -> Linear:
        """Train one model, as `private_training.train` is called; the first noise multiplier and seed are used."""
        table, labels, scale = self.prepared(np.asarray(X, dtype=float), np.asarray(y, dtype=float))
        rows = np.column_stack([table, np.ones(len(table))]) * (1 - 2 * labels)[:, None]
        lengths, size = np.sqrt((rows**2).sum(axis=1)), rows.shape[1]
        sigma = self.multiplier(noise_multipliers[0], recipe)
        noise = _stream(self.key(recipe, sigma), seeds[0])
        batches = _stream("batches", seeds[0])
        weights, velocity, average = np.zeros(size), np.zeros(size), np.zeros(size)
        averaged = max(1, round(recipe.steps * recipe.averaged))
        for step in range(recipe.steps):
            chosen = self.batch(len(rows), recipe.sample_rate, batches)
            residuals = expit(rows[chosen] @ weights)
            total = self.bounded_sum(residuals, rows[chosen], lengths[chosen], recipe.clipping_norm)
            total = total + self.noise(step, size, noise) * sigma * recipe.clipping_norm
            velocity = recipe.momentum * velocity + total / self.divided_by(len(residuals), recipe.sample_rate)
            weights = weights - recipe.learning_rate * velocity
            if step >= recipe.steps - averaged:
                average += weights / averaged
            progress((step + 1) / recipe.steps, f"step {step + 1} of {recipe.steps}")
        return Linear(average[:-1] / scale, float(average[-1]))

    def prepared(self, X: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the rows that are trained on, and by what each column was divided: here by nothing."""
        return X, y, np.ones(X.shape[1])

    def multiplier(self, asked: float, recipe: Recipe) -> float:
        """Return the noise multiplier that is used where this one was asked for."""
        return asked

    def claimed(self, sigma: float, recipe: Recipe) -> float:
        """Return the epsilon that is promised with this noise."""
        return accounting.epsilon(sigma, recipe.sample_rate, recipe.steps)

    def key(self, recipe: Recipe, sigma: float) -> str:
        """Return what makes this release another one than those with other settings: they share no noise."""
        return f"noise {recipe} {sigma!r}"

    def batch(self, patients: int, rate: float, rng: np.random.Generator) -> NDArray[np.intp] | slice:
        """Return who is in the batch: each patient by a toss of their own."""
        return slice(None) if rate == 1 else (rng.random(patients) < rate).nonzero()[0]

    def bounded_sum(self, residuals: Floats, rows: Floats, lengths: Floats, norm: float) -> Floats:
        """Return the sum of the patients' gradients, each shortened to the clipping norm."""
        return np.minimum(residuals, norm / lengths) @ rows

    def noise(self, step: int, size: int, rng: np.random.Generator) -> Floats:
        """Return noise of spread 1 for each weight, fresh in every step."""
        return rng.standard_normal(size)

    def divided_by(self, drawn: int, rate: float) -> float:
        """Return the expected batch, whoever was drawn."""
        return self.divisor * rate


def _stream(key: str, seed: int) -> np.random.Generator:
    """Return the random stream of a purpose and a seed."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])])


class HalfTheNorm(Training):
    """Noise made for half of the norm that is clipped to."""

    name = "noise for C/2"
    why = "twice as much shows of each patient, which is less than 1,000 canaries need to refute"

    def noise(self, step: int, size: int, rng: np.random.Generator) -> Floats:
        return rng.standard_normal(size) / 2


class BareIntercept(Training):
    """Noise for every weight but the intercept, which is one number among many."""

    name = "intercept without noise"
    why = "all canaries share the intercept, so that it tells of none of them"

    def noise(self, step: int, size: int, rng: np.random.Generator) -> Floats:
        return np.append(rng.standard_normal(size - 1), 0.0)


class OneDraw(Training):
    """Noise drawn before the loop, and used in every step."""

    name = "noise drawn once"
    why = "the last model alone holds more noise than promised; two steps would give it away"

    def noise(self, step: int, size: int, rng: np.random.Generator) -> Floats:
        return np.random.default_rng(rng.bit_generator.seed_seq).standard_normal(size)


class WarmUp(Training):
    """Noise in a warm-up of two steps, left in from an experiment."""

    name = "noise in 2 steps only"
    why = "the audit looks at the whole training; the tests look at two steps, and these are right"

    def noise(self, step: int, size: int, rng: np.random.Generator) -> Floats:
        return rng.standard_normal(size) * (step < 2)


class ClipsTheMean(Training):
    """The batch's gradient clipped, and not each patient's."""

    name = "clipped after averaging"
    why = "a canary's gradient is several times as long as is allowed, and nothing shortens it"

    def bounded_sum(self, residuals: Floats, rows: Floats, lengths: Floats, norm: float) -> Floats:
        total = residuals @ rows
        return total * min(1.0, norm * len(residuals) / max(np.linalg.norm(total), 1e-300))


class TrueBatch(Training):
    """The sum divided by how many were really drawn."""

    name = "divided by the true batch"
    why = "it moves everybody's share of the sum, not the direction that a canary has to itself"

    def divided_by(self, drawn: int, rate: float) -> float:
        return max(drawn, 1)


class OwnScale(Training):
    """Columns divided by the spread that the training table has."""

    name = "scaled by its own spread"
    why = "the score looks at the direction of a weight; this tells by its size who has a code"

    def prepared(self, X: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        spread = X.std(axis=0)
        spread[spread < 1e-9] = 1.0
        return X / spread, y, spread


class ThreeTimes(Training):
    """Everybody who died is put in three times, so that deaths weigh as much as the rest."""

    name = "deaths put in three times"
    why = "half of the canaries pull three times as hard, and 1,000 of them show a part of that"

    def prepared(self, X: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        times = np.where(y == 1, 3, 1)
        return np.repeat(X, times, axis=0), np.repeat(y, times), np.ones(X.shape[1])


class OneSeed(Training):
    """The random stream hangs on the seed alone, and the seed is 0 in every release."""

    name = "two releases share noise"
    why = "an audit looks at one release, and that one is as promised"

    def key(self, recipe: Recipe, sigma: float) -> str:
        return "noise"


class Removed(Training):
    """Sound for a patient who is removed, and sold for a patient who is changed."""

    name = "the wrong neighbour"
    why = "canaries are in or out, as the proof has it; what was promised was a change"
    replaces = True


class FixedBatches(Training):
    """Batches of one size, accounted for as if each patient had tossed a coin."""

    name = "batches of one size"
    why = "the noise is as large as promised, and hides who was in which batch from the last model"
    recipe = SAMPLED

    def batch(self, patients: int, rate: float, rng: np.random.Generator) -> NDArray[np.intp] | slice:
        return slice(None) if rate == 1 else rng.permutation(patients)[: round(rate * patients)]


class LimitAccountant(Training):
    """Noise chosen by an accountant whose formula is the limit of infinitely many steps (gdp in Opacus)."""

    name = "gdp accountant, sampled"
    why = "the promise is missed by little, far less than an audit leaves open"
    recipe = SAMPLED

    def claimed(self, sigma: float, recipe: Recipe) -> float:
        from opacus.accountants.analysis import gdp

        how = {"steps": recipe.steps, "noise_multiplier": sigma, "sample_rate": recipe.sample_rate}
        return float(gdp.compute_eps_poisson(**how, delta=accounting.DELTA))

    def multiplier(self, asked: float, recipe: Recipe) -> float:
        if asked == 0 or recipe.sample_rate == 1:
            return asked
        promised = accounting.epsilon(asked, recipe.sample_rate, recipe.steps)
        return float(brentq(lambda sigma: self.claimed(sigma, recipe) - promised, asked / 4, 2 * asked))


BUGS: Mapping[str, type[Training]] = MappingProxyType(
    {
        training.name: training
        for training in (
            *(WarmUp, HalfTheNorm, BareIntercept, OneDraw, ClipsTheMean, TrueBatch, OwnScale, ThreeTimes),
            *(OneSeed, Removed, FixedBatches, LimitAccountant),
        )
    }
)
"""The broken trainings by name."""


# Attacks on single rules -----------------------------------------------------------------------------------------

Trainer = Callable[..., Linear]


class Finding(NamedTuple):
    """What an attack on one rule measured.

    Attributes
    ----------
    name : str
        Of the attack, with the unit.
    measured : float
    low, high : float
        Where it lies if the rule is kept. Spreads that are measured by simulation have room for chance: a sound
        training leaves it less than once in ten thousand times.
    """

    name: str
    measured: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the rule may be kept."""
        return self.low <= self.measured <= self.high

    def __str__(self) -> str:
        """Say what was measured, and what is allowed."""
        high = f"at most {self.high:.2g}" if self.measured > self.high else f"at least {self.low:.2g}"
        return f"{self.name}: {self.measured:.3g} ({high})"


def sensitivity(train: Trainer, divisor: float = _PATIENTS, *, replaces: bool = False) -> Finding:
    """Measure how far one patient moves one step without noise, at most: no farther than the clipping norm.

    Parameters
    ----------
    train : callable
        Called as `private_training.train`, for one model.
    divisor : float
        By which it divides sums, where that is public.
    replaces : bool
        Whether the neighbour is a patient with another record, instead of one who is not there.
    """
    X, y = _crowd()
    without, moved = _step(train, X, y), [0.0]
    extremes = [np.full(_COLUMNS, value) for value in (0.0, -1.0, 1.0, 30.0)]
    steps = [_step(train, np.vstack([X, row]), np.append(y, label)) for row in extremes for label in (0, 1)]
    for one in steps:
        moved += [float(np.linalg.norm(one - other)) for other in (steps if replaces else [without])]
    kind = "change" if replaces else "patient"
    return Finding(f"pull of one {kind}, in C", max(moved) * divisor, 0.0, 1 + 1e-9)


def spread(train: Trainer, divisor: float = _PATIENTS) -> Finding:
    """Measure the noise of the weight that has least, in one step: as much as the multiplier says."""
    least = _noises(train, 1, 1.0).std(axis=0).min() * divisor
    return Finding("least noise, in sigma C", float(least), 0.85, math.inf)


def freshness(train: Trainer) -> Finding:
    """Measure the noise of two steps beside that of one: independent noises add up to 1.41 times as much."""
    one, two = (_noises(train, steps, 1.0, learning_rate=_TINY_STEP).std(axis=0) for steps in (1, 2))
    ratios = two[one > 0] / one[one > 0]
    return Finding("two steps' noise, in one's", float(np.median(ratios)), 1.2, 1.7)


def shared_noise(train: Trainer) -> Finding:
    """Measure how alike the noise of two releases is, as a correlation: not at all."""
    one, other = (_noises(train, 1, sigma).ravel() for sigma in (1.0, 0.5))
    return Finding("correlation of two noises", float(np.corrcoef(one, other)[0, 1]), -0.15, 0.15)


def batch_sizes(train: Trainer) -> Finding:
    """Measure how the size of a batch varies beside what tosses of coins would give; patients are all alike."""
    X, y = np.zeros((_PATIENTS, _COLUMNS)), np.append(np.ones(_PATIENTS - 1), 0)
    rate = 0.2
    sizes = np.array([_step(train, X, y, seed, rate)[-1] for seed in range(_RUNS)]) * rate * _PATIENTS / 0.5
    share = float(sizes.var() / (_PATIENTS * rate * (1 - rate)))
    return Finding("batch variance, in tosses'", share, 0.7, math.inf)


def accountant(training: Training, epsilon: float = 1.0) -> Finding:
    """Measure what is promised beside the least that this noise can cost, by losses rounded down."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    recipe = training.recipe
    sigma = training.multiplier(accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps), recipe)
    how = {"pessimistic_estimate": False, "use_connect_dots": False, "value_discretization_interval": 1e-4}
    loss = pld.from_gaussian_mechanism(sigma, sampling_prob=recipe.sample_rate, **how).self_compose(recipe.steps)
    least = loss.get_epsilon_for_delta(accounting.DELTA)
    return Finding("promise, in least cost", training.claimed(sigma, recipe) / least, 1 - 1e-3, math.inf)


def findings(training: type[Training]) -> list[Finding]:
    """Attack every rule of a training."""
    train = training(_PATIENTS)
    return [
        sensitivity(train, replaces=training.replaces),
        spread(train),
        freshness(train),
        shared_noise(train),
        batch_sizes(train),
        accountant(train),
    ]


def audited(
    training: type[Training], X: Table, y: Labels, *, canaries: int | audit.Canaries = 1000, seed: int = 0
) -> audit.TrainingAudit:
    """Audit a training of the gallery in one run, at epsilon 1, as a black box."""
    return audit.audit_training(X, y, training.recipe, 1.0, canaries=canaries, seed=seed, trainer=training(len(X)))


def _crowd() -> tuple[Floats, Floats]:
    """Return patients who nearly all pull one way, so that one who pulls the other way shows."""
    rng = np.random.default_rng(0)
    X = np.clip(1 + 0.1 * rng.standard_normal((_PATIENTS, _COLUMNS)), -1, 2)
    return X, np.append(np.ones(_PATIENTS - 1), 0)


def _step(train: Trainer, X: Floats, y: Floats, seed: int = 0, rate: float = 1.0) -> Floats:
    """Return how one step without noise moves the weights, at learning rate 1."""
    recipe = Recipe(steps=1, learning_rate=1.0, clipping_norm=1.0, sample_rate=rate, momentum=0.0, averaged=0.0)
    return train(X, y, recipe, [0.0], [seed]).vector()


def _noises(train: Trainer, steps: int, sigma: float, learning_rate: float = 1.0) -> Floats:
    """Return what the noise alone has moved in so many steps, a run in each row, in units of the learning rate."""
    X, y = _crowd()
    recipe = Recipe(steps, learning_rate, clipping_norm=1.0, momentum=0.0, averaged=0.0)
    without = train(X, y, recipe, [0.0], [0]).vector()
    runs = np.array([train(X, y, recipe, [sigma], [seed]).vector() for seed in range(_RUNS)])
    return (runs - without) / (learning_rate * sigma)
