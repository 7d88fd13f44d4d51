"""What one hospital does with its own patients, in plain numpy: train, train privately, evaluate. No Flower here.

The model is a logistic regression: `weights` holds one weight a feature and, last, the intercept. Sums over patients
are taken by `einsum`, which adds up in the same order whatever the number of threads, so that a run gives the same
bits in a notebook and in the processes of a real network on the same kind of machine.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

PARTS = ("X_train", "y_train", "X_test", "y_test")


class RunError(ValueError):
    """A table, a setting or an answer with which the hospitals cannot go on training together."""


class Table(NamedTuple):
    """One hospital's patients: features (patients, features) and labels 0 or 1, to train on and to test on."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


class Evaluation(NamedTuple):
    """How a model does on a hospital's test patients."""

    auc: float
    loss: float
    patients: int


def load(path: str | Path) -> Table:
    """Read a hospital's table, a file that `numpy.savez` wrote, and refuse one that cannot be trained on.

    The refusal, a `RunError`, goes to the server, so it tells neither the path, nor a patient's value, nor how many
    patients there are.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {name: np.asarray(file[name], dtype=np.float64) for name in PARTS}
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = "it does not exist" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise RunError(
            f"its table cannot be read ({reason}): give the node a `table` written by numpy.savez."
        ) from None
    table = Table(**parts)
    check_table(table)
    return table


def book(table: str | Path) -> Path:
    """Return the folder, beside a hospital's table, of the sums that it helped to unmask: a file for each start."""
    return Path(f"{table}.sums")


def check_table(table: Table) -> None:
    """Refuse a table on which no model can be trained and tested."""
    for X, y, part in ((table.X_train, table.y_train, "train on"), (table.X_test, table.y_test, "test on")):
        if X.ndim != 2 or y.ndim != 1 or len(X) != len(y):
            raise RunError(f"its features and labels to {part} differ in shape: give a row and a label a patient.")
        if not len(y):
            raise RunError(f"it has no patient to {part}: leave it out of the federation or give it patients.")
        if not np.isfinite(X).all():
            raise RunError(f"its table to {part} holds a value that is no finite number: fill it in before training.")
        if not np.isin(y, (0, 1)).all():
            raise RunError(f"its table to {part} has labels other than 0 and 1: recode them.")
        if y.min() == y.max():
            raise RunError(
                f"all its patients to {part} have the label {y[0]:.0f}, both labels are needed: "
                f"leave it out of the federation or give it more patients."
            )
    if table.X_train.shape[1] != table.X_test.shape[1]:
        raise RunError(
            f"its patients to train on have {table.X_train.shape[1]} features and those to test on "
            f"{table.X_test.shape[1]}: use the same features."
        )


def rng_for(seed: int, server_round: int, hospital: int, secret: str = "") -> np.random.Generator:
    """Return the random numbers of one hospital in one round: the same wherever and whenever it trains.

    The seed is known to the server and to every hospital. `secret` is what only this hospital knows: noise for
    differential privacy that came from the public seed alone could be computed and subtracted by anyone who took part.
    """
    text = f"{seed}/{server_round}/{hospital}/{secret}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def probabilities(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return each patient's predicted probability of death, shape (patients,)."""
    return 0.5 * (1 + np.tanh(0.5 * _logits(weights, X)))  # the logistic function, without overflow


def gradient(weights: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mean gradient of the logistic loss over the patients, shape (features + 1,)."""
    errors = probabilities(weights, X) - y
    return np.append(np.einsum("i,ij->j", errors, X), errors.sum()) / len(y)


def train(
    weights: np.ndarray,
    X: np.ndarray,
    y: np.ndarray,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
    proximal_mu: float = 0.0,
) -> np.ndarray:
    """Return the hospital's model, by stochastic gradient descent from the model that the server sent.

    Parameters
    ----------
    weights : ndarray, shape (features + 1,)
        The server's model; not changed.
    X, y : ndarray
        Features (patients, features) and labels 0 or 1.
    epochs, batch_size : int
        How often each patient is seen, and how many at a time.
    learning_rate : float
        Step size.
    rng : Generator
        Shuffles the patients.
    proximal_mu : float
        Strength of FedProx's pull back to the server's model (Li et al. 2020); 0 gives plain descent.
    """
    start, weights = weights, weights.copy()
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for first in range(0, len(y), batch_size):
            batch = order[first : first + batch_size]
            step = gradient(weights, X[batch], y[batch]) + proximal_mu * (weights - start)
            weights -= learning_rate * step
    return weights


def train_privately(
    weights: np.ndarray,
    X: np.ndarray,
    y: np.ndarray,
    steps: int,
    sample_rate: float,
    clipping_norm: float,
    noise_multiplier: float,
    learning_rate: float,
    rng: np.random.Generator,
    proximal_mu: float = 0.0,
    size: int | None = None,
) -> np.ndarray:
    """Train by DP-SGD (Abadi et al. 2016): what leaves the hospital hides whether any one patient was in it.

    In each step every patient is drawn with the same probability on their own (Poisson sampling), each drawn
    patient's gradient is clipped, and Gaussian noise is added to the sum. Floating-point noise from numpy's
    generator is for teaching: a released model needs a generator built for cryptography and exact sampling.

    Parameters
    ----------
    weights, X, y, learning_rate, proximal_mu
        As in `train`. The pull towards the server's model needs no patient and costs no privacy.
    steps : int
        Number of noisy steps.
    sample_rate : float
        Probability, in (0, 1], that a given patient is in a given step.
    clipping_norm : float
        Largest Euclidean length of one patient's gradient.
    noise_multiplier : float
        Standard deviation of the noise in units of the clipping norm. 0: clipping only, no promise.
    rng : Generator
        Draws patients and noise; its seed must be a secret of the hospital.
    size : int, optional
        The number of patients by which sums become means, where it is not to be the exact one.
    """
    start, weights = weights, weights.copy()
    lengths = np.sqrt(np.einsum("ij,ij->i", X, X) + 1)
    expected = sample_rate * (len(y) if size is None else size)
    for _ in range(steps):
        batch = np.flatnonzero(rng.random(len(y)) < sample_rate)
        errors = probabilities(weights, X[batch]) - y[batch]
        # A patient's gradient is error * (features, 1), so its length is known without forming it.
        errors *= np.minimum(1, clipping_norm / np.maximum(np.abs(errors) * lengths[batch], 1e-300))
        total = np.append(np.einsum("i,ij->j", errors, X[batch]), errors.sum())
        total += rng.normal(scale=noise_multiplier * clipping_norm, size=len(weights))
        weights -= learning_rate * (total / expected + proximal_mu * (weights - start))
    return weights


def evaluate(weights: np.ndarray, X: np.ndarray, y: np.ndarray) -> Evaluation:
    """Measure a model on patients with both labels."""
    logits = _logits(weights, X)
    loss = float((np.logaddexp(0, logits) - y * logits).mean())
    return Evaluation(auc(y, logits), loss, len(y))


def rounded_size(patients: int) -> int:
    """Return a number of patients to two digits: what a hospital says of its size beside private training."""
    return int(float(f"{patients:.1e}"))


def auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return how often a patient who died has the higher score than one who lived (ties count half)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    died = y == 1
    pairs = died.sum() * (len(y) - died.sum())
    return float((ranks[died].sum() - died.sum() * (died.sum() + 1) / 2) / pairs)


def _logits(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    return np.einsum("ij,j->i", X, weights[:-1]) + weights[-1]
