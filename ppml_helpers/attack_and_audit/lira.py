"""The likelihood-ratio attack (LiRA) of Carlini et al. (2022), and the confidences that it compares.

A record that every model finds easy gets a high confidence whether it was trained on or not, so one threshold for all
records finds hardly anybody at few false alarms. LiRA asks for each record apart: is the target's confidence more like
that of models which saw *this* record, or of models which did not? Such models, the shadow models, come from
`shadow`; the functions here take scores, so that any model of any library can be attacked.

References
----------
Carlini, Chien, Nasr, Song, Terzis and Tramèr (2022), "Membership inference attacks from first principles".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppml_helpers import checks
from ppml_helpers.errors import AttackError
from ppml_helpers.membership import Scores

Members = NDArray[np.bool_]

FEW_SHADOWS = 64
"""With fewer shadow models, a variance for each record is worse than one for all (Carlini et al. 2022, section VI)."""

_LARGEST = 1e100  # log-odds whose squares add up to a finite number, however many
_LEAST_VARIANCE = 1e-6  # a record that all shadow models score alike would otherwise be told apart with certainty


# Confidences -----------------------------------------------------------------------------------------------------


def logit_confidence(logits: ArrayLike, y: ArrayLike) -> Scores:
    """Turn log-odds of label 1, shape (..., n), into log-odds of what really happened: log(p / (1 - p)) of its label.

    On this scale confidences are roughly normal, which LiRA relies on. No probability is computed, so that nothing is
    rounded to 0 or 1, however sure the model is.
    """
    labels = finite("y", y, 1)
    if not np.isin(labels, (0, 1)).all():
        odd = labels[~np.isin(labels, (0, 1))][0]
        raise AttackError(f"y holds {odd:g}, but labels are 0 or 1; recode the outcome first.")
    given = finite("the model's scores", logits)
    if given.shape[-1:] != labels.shape:
        raise AttackError(
            f"The model's scores have shape {given.shape} for {len(labels)} records; it must return one log-odds a "
            "record."
        )
    return given * np.where(labels == 1, 1.0, -1.0)


def scores_of(model: Any, X: Any, y: ArrayLike, smallest: float = 1e-6) -> Scores:
    """Score records by a model's logit-scaled confidence in what really happened.

    Parameters
    ----------
    model : object with ``predict_proba``, or callable
        A fitted two-class classifier of scikit-learn's kind with classes 0 and 1; or a function that returns the
        log-odds of label 1, one a record.
    X : array_like of shape (n, n_features)
    y : array_like of shape (n,)
        Labels 0 and 1.
    smallest : float
        Probabilities below it count as this one, in (0, 0.5). It matters for models that answer 0 or 1 sharp, such
        as forests.

    Returns
    -------
    ndarray of shape (n,)
    """
    if hasattr(model, "predict_proba"):
        return logit_confidence(_log_odds(model, X, smallest), y)
    if callable(model):
        return logit_confidence(model(X), y)
    raise AttackError(
        f"{type(model).__name__} has no predict_proba and cannot be called; give a classifier, or a function that "
        "returns log-odds."
    )


def _log_odds(model: Any, X: Any, smallest: float) -> NDArray[np.float64]:
    classes = list(getattr(model, "classes_", []))
    if classes != [0, 1]:
        raise AttackError(f"{type(model).__name__} has classes {classes}, not [0, 1]; fit it on labels 0 and 1 first.")
    checks.number(smallest, "smallest", 0, 0.5, above=True, below=True, error=AttackError, mend="1e-6 is usual")
    chances = finite("the model's probabilities", model.predict_proba(X), 2)
    # Both columns are used: 1 - p would lose a small probability of the other label to rounding.
    logs = np.log(np.maximum(chances, smallest))
    return logs[:, 1] - logs[:, 0]


# The attack ------------------------------------------------------------------------------------------------------


class _Normal(NamedTuple):
    """Mean and variance of each record's confidence, in models that saw it or in models that did not."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def online(
    target_scores: ArrayLike,
    shadow_scores: ArrayLike,
    shadow_member: ArrayLike,
    *,
    fixed_variance: bool | None = None,
) -> Scores:
    """Score records by the likelihood ratio of "trained on" to "not trained on" (Algorithm 1).

    Each record needs shadow models that were trained on it and ones that were not, so the attacker trains after
    having chosen whom to look for.

    Parameters
    ----------
    target_scores : array_like of shape (n,)
        The attacked model's logit-scaled confidences, see `scores_of`.
    shadow_scores : array_like of shape (models, n)
        The shadow models' confidences in the same records.
    shadow_member : array_like of bool, shape (models, n)
        Which model was trained on which record.
    fixed_variance : bool, optional
        Whether all records share one variance within "in" and one within "out". By default with fewer than 64
        shadow models, as the paper recommends. It is pooled within records, around each record's own mean.

    Returns
    -------
    ndarray of shape (n,)
        Logarithm of the ratio; above 0 means "more likely a member".
    """
    target, scores, member = _checked(target_scores, shadow_scores, shadow_member)
    fixed = len(scores) < FEW_SHADOWS if fixed_variance is None else fixed_variance
    seen, unseen = _fit(scores, member, fixed, "trained on"), _fit(scores, ~member, fixed, "not trained on")
    return _log_density(target, seen) - _log_density(target, unseen)


def offline(
    target_scores: ArrayLike,
    shadow_scores: ArrayLike,
    shadow_member: ArrayLike,
    *,
    fixed_variance: bool | None = None,
) -> Scores:
    """Score records by how surprising the target's confidence is for a model that was not trained on them.

    Needs only models that never saw the record, so the attacker trains them once, before knowing whom to look for.
    Weaker than `online`.

    Parameters
    ----------
    target_scores, shadow_scores, shadow_member, fixed_variance
        As in `online`; where `shadow_member` is true the shadow score is not used.

    Returns
    -------
    ndarray of shape (n,)
        Standard deviations above the mean of models that were not trained on the record. The paper's one-sided
        test, 1 - P(Z > score), grows with it, so both are the same attack.
    """
    target, scores, member = _checked(target_scores, shadow_scores, shadow_member)
    fixed = len(scores) < FEW_SHADOWS if fixed_variance is None else fixed_variance
    unseen = _fit(scores, ~member, fixed, "not trained on")
    return (target - unseen.mean) / np.sqrt(unseen.variance)


def _fit(scores: Scores, chosen: Members, fixed: bool, what: str) -> _Normal:
    """Fit a normal distribution to each record's chosen scores."""
    count = chosen.sum(axis=0)
    needed = 1 if fixed else 2
    if count.min() < needed:
        few = int(count.argmin())
        raise AttackError(
            f"Record {few} has {count[few]} shadow models that were {what} it, but {needed} are needed; train more "
            "shadow models, each on a random half."
        )
    mean = np.where(chosen, scores, 0).sum(axis=0) / count
    squares = (np.where(chosen, scores - mean, 0) ** 2).sum(axis=0)
    if not fixed:
        return _Normal(mean, np.maximum(squares / (count - 1), _LEAST_VARIANCE))
    freedom = (count - 1).sum()
    if freedom == 0:
        raise AttackError(
            f"Every record has a single shadow model that was {what} it, which shows no spread; train more of them."
        )
    return _Normal(mean, np.full(len(mean), max(squares.sum() / freedom, _LEAST_VARIANCE)))


def _log_density(scores: Scores, normal: _Normal) -> Scores:
    """Return the logarithm of the normal density, without the constant that cancels."""
    return -((scores - normal.mean) ** 2) / (2 * normal.variance) - 0.5 * np.log(normal.variance)


# What is refused -------------------------------------------------------------------------------------------------


def _checked(
    target_scores: ArrayLike, shadow_scores: ArrayLike, shadow_member: ArrayLike
) -> tuple[Scores, Scores, Members]:
    target, scores = finite("target_scores", target_scores, 1), finite("shadow_scores", shadow_scores, 2)
    for name, values in (("target_scores", target), ("shadow_scores", scores)):
        if abs(values).max() > _LARGEST:
            raise AttackError(
                f"{name} holds {values.flat[abs(values).argmax()]:g}; log-odds beyond {_LARGEST:g} cannot be squared: "
                "give scores of a model that is less sure, or clip them."
            )
    member = checked_members(shadow_member)
    if scores.shape[1] != len(target):
        raise AttackError(
            f"There are {len(target)} target scores, but shadow scores of {scores.shape[1]} records; score the same "
            "records in the same order."
        )
    if member.shape != scores.shape:
        raise AttackError(
            f"shadow_member has shape {member.shape} and shadow_scores {scores.shape}; both are (models, records)."
        )
    return target, scores, member


def checked_members(member: ArrayLike) -> Members:
    """Return which model was trained on which record as truth values."""
    given = np.asarray(member)
    if given.ndim != 2 or given.size == 0 or given.dtype.kind not in "biuf" or not np.isin(given, (0, 1)).all():
        raise AttackError(
            f"Members have shape {given.shape} and type {given.dtype}; give true or false for each model and record."
        )
    return given.astype(bool)


def finite(name: str, values: ArrayLike, dimensions: int | None = None) -> NDArray[np.float64]:
    """Return finite numbers, or say what is wrong with them."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise AttackError(f"{name} must hold numbers, one a record; this is a {type(values).__name__}.") from None
    if array.size == 0 or array.ndim == 0 or dimensions not in (None, array.ndim):
        wanted = {1: "one number a record", 2: "one row a model, one column a record"}.get(dimensions, "some numbers")
        raise AttackError(f"{name} has shape {array.shape}; give {wanted}.")
    if not np.isfinite(array).all():
        odd = array[~np.isfinite(array)]
        raise AttackError(f"{name} holds {len(odd)} values such as {odd[0]}; every record needs a finite number.")
    return array
