"""Usefulness over epsilon, as the explorer of chapter 05 shows it: real trainings, what they allow, and their cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ppml_helpers import accounting
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.cohort import Split
from ppml_helpers.private_training.engine import RECIPES, Progress, Recipe, Sweep, train

CURVE = tuple(10 ** (k / 10) for k in (-20, -15, -10, -7, -5, -3, 0, 5, 10))
"""The epsilons at which logistic regression is trained for the curve."""

SEEDS = tuple(range(5))

_NETWORK_CURVE = tuple(10 ** (k / 10) for k in (-20, -10, -5, 0, 5, 10))  # a network takes ten times as long
_BOOTSTRAP = 200  # draws of the test patients
_FEW = 20  # test patients of each outcome that a subgroup needs to be shown

Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Patients to train on and their labels, patients to test on and theirs."""


# Usefulness ------------------------------------------------------------------------------------------------------


class Measure(NamedTuple):
    """One way to say how useful risks are."""

    words: str
    of: Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]], NDArray[np.float64]]
    nothing: Callable[[NDArray[np.bool_]], float]  # what telling everybody the same risk reaches
    up: bool = True  # whether more is better


def auc(logits: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted area under the ROC curve, ties counted half.

    Parameters
    ----------
    logits : ndarray, shape (n,)
    y : ndarray of bool, shape (n,)
    weights : ndarray, shape (draws, n)
        How often each patient is in each draw.

    Returns
    -------
    ndarray, shape (draws,)
    """
    order = np.argsort(logits, kind="stable")
    starts = np.flatnonzero(np.diff(logits[order], prepend=-np.inf))  # where a new value begins
    ranked = weights[:, order]
    positive, negative = (np.add.reduceat(ranked * side[order], starts, axis=1) for side in (y, ~y))
    below = np.cumsum(negative, axis=1) - negative / 2
    return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def log_loss(logits: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted mean log loss in nats; parameters as for `auc`."""
    return weights @ np.logaddexp(0, np.where(y, -logits, logits)) / weights.sum(axis=1)


def found(logits: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of label 1 is in the fifth with the highest risks; parameters as for `auc`."""
    order = np.argsort(-logits, kind="stable")
    ranked = weights[:, order]
    flagged = np.clip(0.2 * ranked.sum(axis=1, keepdims=True) - (np.cumsum(ranked, axis=1) - ranked), 0, ranked)
    return (flagged * y[order]).sum(axis=1) / (ranked * y[order]).sum(axis=1)


def _entropy(y: NDArray[np.bool_]) -> float:
    rate = y.mean()
    return float(-rate * math.log(rate) - (1 - rate) * math.log(1 - rate))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "AUC": Measure("test AUC", auc, lambda _: 0.5),
        "log loss": Measure("test log loss", log_loss, _entropy, up=False),
        "found in the flagged fifth": Measure("share found among the fifth flagged", found, lambda _: 0.2),
    }
)
"""Name -> measure. AUC asks for the order of the risks only, the log loss also whether they can be believed."""


class Judge:
    """Measure logits on the test patients, or on a subgroup of them.

    Parameters
    ----------
    measure : str
        One of `MEASURES`.
    y : ndarray, shape (n,)
        Labels 0 and 1.
    among : ndarray of bool, shape (n,)
        Who counts.
    """

    def __init__(self, measure: str, y: NDArray[np.int64], among: NDArray[np.bool_]) -> None:
        self.measure, self._among = MEASURES[measure], among
        self._y = y[among].astype(bool)
        many = len(self._y)
        self._all = np.ones((1, many))
        self._draws = np.random.default_rng(0).multinomial(many, np.full(many, 1 / many), _BOOTSTRAP).astype(float)
        self.nothing = self.measure.nothing(self._y)

    def __call__(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the measure of each model; logits have shape (models, n)."""
        return np.array([self.measure.of(row[self._among], self._y, self._all)[0] for row in logits.astype(float)])

    def interval(self, logits: NDArray[np.float64]) -> tuple[float, float]:
        """Return the 95 % bootstrap interval, over test patients, of the models' mean."""
        rows = [self.measure.of(row[self._among], self._y, self._draws) for row in logits.astype(float)]
        low, high = np.nanpercentile(np.mean(rows, axis=0), [2.5, 97.5])
        return float(low), float(high)


def subgroups(split: Split) -> dict[str, NDArray[np.bool_]]:
    """Return name -> who of the test patients belongs to it: everybody, and each yes-or-no column with enough of both.

    Of SUPPORT2 these are diagnoses (dzgroup), sex, race, cancer, diabetes, dementia.
    """
    y = split.y_test.to_numpy().astype(bool)
    groups = {"all test patients": np.ones(len(y), dtype=bool)}
    for name in split.X_test.columns:
        values = split.X_test[name].to_numpy(float)
        if len(np.unique(values)) == 2:
            among = values == values.max()
            if min(y[among].sum(), (~y[among]).sum()) >= _FEW:
                groups[str(name).removeprefix("dzgroup: ")] = among
    return groups


# Trainings -------------------------------------------------------------------------------------------------------


def drawn(split: Split, patients: int) -> Callable[[int], Tables]:
    """Return seed -> that seed's draw of so many training patients; everybody is one table, the same for each seed."""

    @cache
    def of(seed: int | None) -> Tables:
        rows = np.arange(patients) if seed is None else np.random.default_rng(seed).permutation(len(split.X_train))
        return (
            split.X_train.to_numpy("float32")[rows[:patients]],
            split.y_train.to_numpy()[rows[:patients]],
            split.X_test.to_numpy("float32"),
            split.y_test.to_numpy(),
        )

    everybody = patients == len(split.X_train)
    return lambda seed: of(None if everybody else seed)


class Bench:
    """Every model of one number of patients and one recipe, trained when asked for and kept.

    Parameters
    ----------
    split : Split
    patients : int
        To train on.
    model : str
        One of `RECIPES`.
    recipe : Recipe
        Its recipe, perhaps with another clipping norm.
    delta : float
    """

    def __init__(self, split: Split, patients: int, model: str, recipe: Recipe, delta: float) -> None:
        self.recipe, self.delta, self.model = recipe, delta, model
        network = recipe.hidden > 0
        self.epsilons = _NETWORK_CURVE if network else CURVE
        # Tables of different size must not share noise either: each has seeds of its own.
        self.seeds = tuple(patients * 1_000 + k for k in SEEDS[: 3 if network else 5])
        self.data = drawn(split, patients)
        self._X_test = split.X_test.to_numpy("float32")
        self._sweep = Sweep(recipe, self.data, delta)
        self._logits: dict[tuple[float, int], np.ndarray] = {}
        self._plain: np.ndarray | None = None

    def logits(self, epsilons: Sequence[float], seeds: Sequence[int], progress: Progress) -> Mapping[float, np.ndarray]:
        """Return each epsilon's log-odds of the test patients, shape (seeds, n); infinity clips without noise."""
        self._sweep.run(epsilons, seeds, progress)
        for key in ((epsilon, seed) for epsilon in epsilons for seed in seeds):
            if key not in self._logits:
                self._logits[key] = self._sweep.models[key].logits(self._X_test)[0]
        return {epsilon: np.stack([self._logits[epsilon, seed] for seed in seeds]) for epsilon in epsilons}

    @property
    def plain(self) -> np.ndarray:
        """Log-odds of ordinary training on the same draws, shape (draws, n)."""
        if self._plain is None:
            tables = {id(self.data(seed)): (seed, *self.data(seed)) for seed in self.seeds}
            self._plain = np.stack([self._ordinary(*table) for table in tables.values()])
        return self._plain

    def _ordinary(self, seed: int, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, _: np.ndarray) -> np.ndarray:
        if self.recipe.hidden == 0:
            return LogisticRegression(max_iter=1000).fit(X, y).decision_function(X_test)
        recipe = dataclasses.replace(RECIPES[self.model], clipping_norm=math.inf)
        return train(X, y, recipe, [0.0], [seed]).logits(X_test)[0]

    def released(self, epsilon: float, releases: int = 1) -> SampledGaussian:
        """Return so many models of this epsilon as one training."""
        sigma = accounting.noise_multiplier(epsilon, self.recipe.sample_rate, self.recipe.steps, self.delta)
        return SampledGaussian(sigma, self.recipe.sample_rate, self.recipe.steps * releases)


def cost(bench: Bench, models: Mapping[float, int]) -> float:
    """Return the epsilon of publishing so many models of each epsilon, of patients with one row."""
    return accounting.compose([bench.released(epsilon, many) for epsilon, many in models.items()], bench.delta)


class Allowed(NamedTuple):
    """What one setting allows the strongest attacker; guesses are between two equally likely answers."""

    total: float  # epsilon of all releases, for all of a person's rows
    exact: float  # most right guesses against these very trainings
    promise: float  # most right guesses against any mechanism with that epsilon and delta


@cache
def allowed(training: SampledGaussian, delta: float, rows: int = 1) -> Allowed:
    """Return what publishing this training allows against a patient of so many rows."""
    total = accounting.compose([training], delta, rows)
    promise = accounting.membership_accuracy(total, delta)
    return Allowed(total, min(accounting.exact_accuracy([training], rows=rows), promise), promise)


def curve_of(
    bench: Bench, scores: Mapping[float, np.ndarray], releases: int, rows: int, progress: Progress
) -> pd.DataFrame:
    """Return per epsilon: mean, low and high usefulness over trainings, and the attacker's exact and promised limit."""
    made, epsilons = [], sorted(epsilon for epsilon in scores if epsilon < math.inf)
    for place, epsilon in enumerate(epsilons):
        progress(place / len(epsilons), f"what epsilon {epsilon:.2g} allows")  # seconds each, for sampled batches
        reached, limits = scores[epsilon], allowed(bench.released(epsilon, releases), bench.delta, rows)
        made.append([epsilon, reached.mean(), reached.min(), reached.max(), limits.exact, limits.promise])
    return pd.DataFrame(made, columns=["epsilon", "mean", "low", "high", "exact", "promise"]).set_index("epsilon")


def extreme(logits: np.ndarray) -> float:
    """Return the share of risks below 1 or above 99 %: few deaths are that certain."""
    return float((np.abs(logits) > math.log(99)).mean())
