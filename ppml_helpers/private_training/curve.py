"""Accuracy over epsilon, as the explorer of chapter 05 shows it: real trainings, their promise and their cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import accounting
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.cohort import Split
from ppml_helpers.private_training.engine import RECIPES, Recipe, train

CURVE = tuple(10 ** (k / 10) for k in (-20, -15, -10, -7, -5, -3, 0, 5, 10))
"""The epsilons at which the curve is trained."""

SEEDS = tuple(range(5))

Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Patients to train on and their labels, patients to test on and theirs."""


class EpsilonResult(NamedTuple):
    """What one setting of the knobs gives; AUCs are on the test patients."""

    epsilon: float
    patients: int
    model: str
    aucs: pd.DataFrame  # epsilon (rows: the curve, the present one, infinity for clipping alone) x seed
    non_private: float
    promise: tuple[float, float, float]  # best guess; members found at 1 % and at 0.1 % false alarms
    cost: float  # epsilon of publishing every noisy model of the curve

    @property
    def present(self) -> pd.Series:
        """Test AUC of each seed at the present epsilon."""
        return self.aucs.loc[self.epsilon]

    @property
    def control(self) -> float:
        """Mean test AUC of clipping without noise."""
        return float(self.aucs.loc[math.inf].mean())


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


def without_privacy(model: str, data: Callable[[int], Tables]) -> float:
    """Return the mean test AUC of ordinary training on the same draws of patients."""
    tables = {id(data(seed)): (seed, *data(seed)) for seed in SEEDS}
    return float(np.mean([_ordinary_auc(model, *table) for table in tables.values()]))


def _ordinary_auc(
    model: str, seed: int, X_train: np.ndarray, y_train: np.ndarray, X_test: np.ndarray, y_test: np.ndarray
) -> float:
    if RECIPES[model].hidden == 0:
        fitted = LogisticRegression(max_iter=1000).fit(X_train, y_train)
        return roc_auc_score(y_test, fitted.decision_function(X_test))
    recipe = dataclasses.replace(RECIPES[model], clipping_norm=math.inf)
    return float(train(X_train, y_train, recipe, [0.0], [seed]).auc(X_test, y_test)[0])


def promise(epsilon: float, delta: float) -> tuple[float, float, float]:
    """Return the most that an attacker can do: guesses right, members found at 1 % and at 0.1 % false alarms."""
    found = (accounting.membership_power(epsilon, delta, alarms) for alarms in (0.01, 0.001))
    return accounting.membership_accuracy(epsilon, delta), *found


def cost(recipe: Recipe, epsilons: Sequence[float], delta: float) -> float:
    """Return the epsilon of publishing a model of each epsilon and seed."""
    sigmas = [accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps, delta) for epsilon in epsilons]
    steps = recipe.steps * len(SEEDS)
    return accounting.compose([SampledGaussian(sigma, recipe.sample_rate, steps) for sigma in sigmas], delta)
