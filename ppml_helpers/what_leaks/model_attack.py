"""Two attacks on a model of chapter 01, and what the model is good for.

The confidence attack scores a patient by the model's confidence in what really happened. The surprise attack
subtracts the confidence of the attacker's own calm model, trained on half of the patients who were left out; the
other half are the non-members of both attacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import cohort, membership
from ppml_helpers.errors import TrainingDataError

Progress = Callable[[float, str], None]

LEAVES = (1, 2, 5, 10, 20, 50, 100)
"""Least number of patients a leaf that the forest's knob offers."""

_TREES, _STEP = 100, 10  # trees in a forest, and how many are grown between two reports of progress


class AttackedModel(NamedTuple):
    """A model's use and the two attacks on it."""

    model: str
    patients: int
    auc_train: float
    auc_test: float
    confidence: membership.AttackResult
    surprise: membership.AttackResult
    right_members: float  # share of members whose label the model has right
    right_others: float
    confidence_left_out: float  # AUC of the confidence attack against all who were left out, the attacker's included
    right_left_out: float


def halves(split: cohort.Split, seed: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Deal the patients who were left out to the attacker (records of their own) and to the non-members."""
    dealt = cohort.split(split.X_test, split.y_test, seed=seed, test_share=0.5)
    return (dealt.X_train, dealt.y_train), (dealt.X_test, dealt.y_test)


def attacked(
    split: cohort.Split, model: str, leaf: int, patients: int, seed: int = 0, progress: Progress = lambda *_: None
) -> AttackedModel:
    """Train a "forest" or a "logistic" regression on the first so many patients, and attack it twice."""
    X, y = split.X_train.iloc[:patients], split.y_train.iloc[:patients]
    if y.nunique() < 2:
        raise TrainingDataError(
            f"The first {len(y):,} patients all have the label {y.iloc[0]}, but a model needs both: take more."
        )
    if model == "forest":
        fitted, name = _forest(X, y, leaf, seed, progress), f"forest (leaf of {leaf} or more)"
    else:
        fitted, name = LogisticRegression(max_iter=1000).fit(X, y), "logistic regression"
    progress(0.9, "attacking")
    own, others = halves(split, seed)
    calm = LogisticRegression(max_iter=1000).fit(*own)
    member, other = membership.scores(fitted, X, y), membership.scores(fitted, *others)
    left_out = membership.scores(fitted, split.X_test, split.y_test)
    expected, expected_other = membership.scores(calm, X, y), membership.scores(calm, *others)
    return AttackedModel(
        name,
        patients,
        auc_train=roc_auc_score(y, fitted.predict_proba(X)[:, 1]),
        auc_test=roc_auc_score(split.y_test, fitted.predict_proba(split.X_test)[:, 1]),
        confidence=membership.membership_attack(member, other, resamples=200),
        surprise=membership.membership_attack(member - expected, other - expected_other, resamples=200),
        right_members=fitted.score(X, y),
        right_others=fitted.score(*others),
        confidence_left_out=roc_auc_score(np.arange(len(member) + len(left_out)) < len(member), [*member, *left_out]),
        right_left_out=fitted.score(split.X_test, split.y_test),
    )


def _forest(X: Any, y: Any, leaf: int, seed: int, progress: Progress) -> RandomForestClassifier:
    """Grow a forest a few trees at a time: the same forest as in one go, but it can be stopped."""
    forest = RandomForestClassifier(0, min_samples_leaf=leaf, random_state=seed, warm_start=True, n_jobs=2)
    for trees in range(_STEP, _TREES + 1, _STEP):
        progress(0.9 * (trees - _STEP) / _TREES, f"{trees - _STEP} of {_TREES} trees grown")
        forest.set_params(n_estimators=trees).fit(X, y)
    return forest
