"""The membership game of chapter 05, played for real.

Was this patient in the data or not? A coin decides whether the most exposed patient is trained on. Each game has noise
of its own. The attacker knows all else: the other patients, the recipe, the noise multiplier, the starting weights.
They see the finished models and guess, by the statistic of a likelihood ratio test.

Notes
-----
For logistic regression on full batches the finished weights are close to a linear function of all noisy gradients.
Each eigenvector of the loss's second derivative then has a signal (what the patient's gradients add up to) and a
variance (what the noise adds up to), and the likelihood ratio of two Gaussians is linear in the weights. For a network
the attacker looks at the log-odds that it gives the patient's own label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binomtest

from ppml_helpers.private_training.engine import Models, Progress, Recipe, no_progress, train

_SEEDS = 1_000_000_000  # seeds of games begin here: models of a curve have smaller ones
_TOGETHER = 100  # models trained at once


class Played(NamedTuple):
    """How the games of one setting went."""

    with_patient: NDArray[np.float64]  # what the attacker measured, scaled: above 0 they say "was in it"
    without_patient: NDArray[np.float64]
    right: int
    interval: tuple[float, float]  # of the share of right guesses, 95 %, exact (Clopper and Pearson 1934)

    @property
    def games(self) -> int:
        """How many were played."""
        return len(self.with_patient) + len(self.without_patient)

    @property
    def share(self) -> float:
        """Share of right guesses."""
        return self.right / self.games


@dataclass
class Game:
    """The most exposed patient of one setting, and every model trained for the game so far.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Patients to train on, scaled by public bounds.
    y : ndarray, shape (n,)
        Labels 0 and 1.
    recipe : Recipe
    noise_multiplier : float
    rows : int
        How many rows the patient has when they are in the data, all alike: the worst case of so many.
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    recipe: Recipe
    noise_multiplier: float
    rows: int = 1
    scores: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def __post_init__(self) -> None:
        """Find the most exposed patient, and what an attacker will look at."""
        find = _linear_attack if self.recipe.hidden == 0 else _network_attack
        self.patient, self._direction = find(self.X, self.y, self.recipe)
        others = np.delete(np.arange(len(self.y)), self.patient)
        self._rows = {True: np.append(others, [self.patient] * self.rows), False: others}

    def play(self, games: int, releases: int = 1, progress: Progress = no_progress) -> Played:
        """Play so many games, half of them with the patient; in each the attacker sees so many models.

        Models that were trained before are used again, so more games at the same setting train only what is missing.

        Parameters
        ----------
        games : int
            Even, at least 4.
        releases : int
            Models in one game, of the same patients.
        progress : callable

        Returns
        -------
        Played
        """
        half = games // 2
        wanted = half * releases
        together = _TOGETHER if self.recipe.sample_rate == 1 else 1  # sampled models need batches of their own
        due = sum(max(0, wanted - len(scores)) for scores in self.scores.values())
        done = 0
        for inside, scores in self.scores.items():
            while len(scores) < wanted:
                numbers = range(len(scores), min(len(scores) + together, wanted))

                def tell(fraction: float, _: str, done: int = done, many: int = len(numbers)) -> None:
                    progress((done + fraction * many) / due, f"playing: {done:,} of {due:,} models")

                scores.extend(self._train(inside, numbers, tell).tolist())
                done += len(numbers)
        seen = {side: np.reshape(scores[:wanted], (half, releases)).sum(axis=1) for side, scores in self.scores.items()}
        return judged(seen[True], seen[False])

    def _train(self, inside: bool, numbers: Sequence[int], progress: Progress) -> NDArray[np.float64]:
        """Train models of one side and return what the attacker reads off each."""
        chosen = self._rows[inside]
        seeds = [_SEEDS + 2 * number + inside for number in numbers]
        sigmas = [self.noise_multiplier] * len(seeds)
        # The divisor is public: were it the number of rows, it alone would tell whether the patient is in.
        public = {"divisor": len(self.y), "progress": progress}
        return self._measure(train(self.X[chosen], self.y[chosen], self.recipe, sigmas, seeds, **public))

    def _measure(self, models: Models) -> NDArray[np.float64]:
        if self.recipe.hidden == 0:
            return models.vectors().astype(float) @ self._direction
        sign = 2 * self.y[self.patient] - 1
        return sign * models.logits(self.X[[self.patient]])[:, 0].astype(float)


def judged(with_patient: NDArray[np.float64], without_patient: NDArray[np.float64]) -> Played:
    """Count right guesses; the line between both answers is drawn by other games than those that are counted.

    Parameters
    ----------
    with_patient, without_patient : ndarray, shape (games / 2,)
        What the attacker measured. Even games set the line for odd ones, and odd ones for even ones.

    Returns
    -------
    Played
    """
    inside, outside = (np.asarray(part, dtype=float) for part in (with_patient, without_patient))
    right, scaled = 0, [inside.copy(), outside.copy()]
    for part in (0, 1):
        means = inside[1 - part :: 2].mean(), outside[1 - part :: 2].mean()
        line = sum(means) / 2
        right += int((inside[part::2] > line).sum() + (outside[part::2] <= line).sum())
        for side in scaled:
            side[part::2] -= line
    spread = np.concatenate([side - side.mean() for side in scaled]).std() or 1.0
    test = binomtest(right, len(inside) + len(outside)).proportion_ci(0.95, "exact")
    return Played(scaled[0] / spread, scaled[1] / spread, right, (float(test.low), float(test.high)))


def _linear_attack(X: NDArray[np.float32], y: NDArray[np.int64], recipe: Recipe) -> tuple[int, NDArray[np.float64]]:
    """Return the patient whom an attacker tells best, and the direction of the weights that tells most."""
    plain = train(X, y, recipe, [0.0], [0]).vectors()[0].astype(float)
    records = np.hstack([X, np.ones((len(X), 1))]).astype(float) * (1 - 2 * y)[:, None]
    residual, limit = expit(records @ plain), recipe.clipping_norm / np.linalg.norm(records, axis=1)
    gradients = records * np.minimum(residual, limit)[:, None]
    bend = np.where(residual < limit, residual * (1 - residual), 0.0)  # a clipped gradient does not change
    curvature, axes = np.linalg.eigh((records * bend[:, None]).T @ records / len(X))
    signal, variance = _responses(recipe, np.maximum(curvature, 0.0))
    along = gradients @ axes
    patient = int((along**2 @ (signal**2 / variance)).argmax())
    return patient, axes @ (along[patient] * signal / variance)


def _responses(recipe: Recipe, curvature: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far a gradient of 1 in each step moves the averaged weights, and the variance that noise of 1 gives.

    Per eigenvalue of the second derivative, for gradient descent with momentum.
    """
    velocity, place, kicks = np.ones_like(curvature), np.zeros_like(curvature), []
    with np.errstate(over="ignore", invalid="ignore"):  # a learning rate can be too large for some of them
        for _ in range(recipe.steps):  # where a kick in the first step has moved the weights, step by step
            place = place - recipe.learning_rate * velocity
            velocity = recipe.momentum * velocity + curvature * place
            kicks.append(place)
        so_far = np.vstack([np.zeros_like(curvature), np.cumsum(kicks, axis=0)])
        first = min(round(recipe.steps * (1 - recipe.averaged)), recipe.steps - 1)
        steps = np.arange(recipe.steps)
        moved = (so_far[recipe.steps - steps] - so_far[np.maximum(first - steps, 0)]) / (recipe.steps - first)
        signal, variance = moved.sum(axis=0), (moved**2).sum(axis=0)
    steady = np.isfinite(signal) & np.isfinite(variance)
    return np.where(steady, signal, 0.0), np.where(steady, variance, 1.0)


def _network_attack(X: NDArray[np.float32], y: NDArray[np.int64], recipe: Recipe) -> tuple[int, None]:
    """Return the patient whom a network without noise gets most wrong: nobody pulls at it as much."""
    logits = train(X, y, recipe, [0.0], [0]).logits(X)[0]
    return int(np.where(y == 1, -logits, logits).argmax()), None
