"""Membership inference: tell from a model whose records trained it.

The attack of Yeom et al. (2018): a model is more confident of the true label on records it was trained on, so
guess "member" where that confidence is high. The functions work on scores, one a record, so that any model can be
attacked, whatever library made it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from ppml_helpers import checks
from ppml_helpers.errors import AttackError

Scores = NDArray[np.float64]

_FEWEST = 10  # scores a side: with fewer, halves of five would choose a threshold


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class OperatingPoint:
    """An attack at one threshold: "member" is the guess for every score at or above it.

    Attributes
    ----------
    target : float
        The share of false alarms that was allowed.
    threshold : float
        Lowest score that keeps to it; infinite if even the highest score is shared by too many non-members.
    fpr, tpr : float
        Share of non-members (false alarms) and of members (found) at or above the threshold. `tpr` is NaN where
        ``target * n_nonmembers < 1``: so few non-members cannot show so small a share.
    fpr_interval, tpr_interval : Interval
        Exact binomial (Clopper-Pearson) intervals. The one of `fpr` says how well the threshold is known to keep to
        its target on other non-members.
    """

    target: float
    threshold: float
    fpr: float
    fpr_interval: Interval
    tpr: float
    tpr_interval: Interval


@dataclass(frozen=True, eq=False)
class AttackResult:
    """How well an attack tells members from non-members.

    Attributes
    ----------
    auc : float
        Chance that a random member scores above a random non-member, ties counted half; 0.5 is guessing.
    auc_interval : Interval
        Percentile bootstrap over members and non-members.
    advantage : float
        Membership advantage TPR - FPR (Yeom et al. 2018, definition 4). The threshold is the best one of a random
        half, the advantage that of the other half: the best threshold and its advantage from the same scores would
        flatter the attack.
    advantage_interval : Interval
        Newcombe's interval for a difference of two proportions, for that threshold.
    at_1_in_1000, at_1_in_100 : OperatingPoint
        The attack at 0.1 % and 1 % false alarms (Carlini et al. 2022: a leak that harms shows here first).
    fpr, tpr : ndarray of shape (n_thresholds + 1,)
        The ROC, from (0, 0) to (1, 1); one step a distinct score, so ties are never split to the attack's favour.
    n_members, n_nonmembers : int
        Scores the figures are based on.
    """

    auc: float
    auc_interval: Interval
    advantage: float
    advantage_interval: Interval
    at_1_in_1000: OperatingPoint
    at_1_in_100: OperatingPoint
    fpr: Scores
    tpr: Scores
    n_members: int
    n_nonmembers: int

    @property
    def accuracy(self) -> float:
        """Share of right guesses when members and non-members are equally many: (1 + advantage) / 2."""
        return (1 + self.advantage) / 2


def true_class_confidence(probabilities: ArrayLike, y: ArrayLike) -> Scores:
    """Probability that a model gave to what really happened.

    The cross-entropy loss of a record is minus the logarithm of this, so thresholding either is the same attack.

    Parameters
    ----------
    probabilities : array_like of shape (n,) or (n, 2)
        Probability of label 1, or of labels 0 and 1.
    y : array_like of shape (n,)
        True labels, 0 or 1.

    Returns
    -------
    ndarray of shape (n,)
    """
    labels = _numbers("y", y)
    if not np.isin(labels, (0, 1)).all():
        odd = labels[~np.isin(labels, (0, 1))][0]
        raise AttackError(f"y holds {odd:g}, but labels are 0 or 1; recode the outcome first.")
    chance = np.asarray(probabilities)
    if chance.ndim == 2 and chance.shape[1] == 2:
        chance = chance[:, 1]
    chance = _numbers("probabilities", chance)
    if len(chance) != len(labels):
        raise AttackError(f"There are {len(chance)} probabilities for {len(labels)} labels; give one for each record.")
    if chance.min() < 0 or chance.max() > 1:
        odd = chance[(chance < 0) | (chance > 1)][0]
        raise AttackError(f"A probability is {odd:g}, but must lie in [0, 1]; apply the sigmoid to logits first.")
    return np.where(labels == 1, chance, 1 - chance)


def scores(model: Any, X: Any, y: ArrayLike) -> Scores:
    """Score records for a membership attack on a fitted classifier: its confidence in the true label.

    Parameters
    ----------
    model : object with ``predict_proba``
        A fitted two-class classifier of scikit-learn's kind whose classes are 0 and 1.
    X : array_like of shape (n, n_features)
        The records.
    y : array_like of shape (n,)
        What really happened: the attacker is taken to know it.

    Returns
    -------
    ndarray of shape (n,)
    """
    if not hasattr(model, "predict_proba"):
        raise AttackError(
            f"{type(model).__name__} has no predict_proba; use true_class_confidence on the probabilities it gives."
        )
    classes = np.asarray(getattr(model, "classes_", [])).tolist()
    if classes != [0, 1]:
        raise AttackError(f"{type(model).__name__} has classes {classes}, not [0, 1]; fit it on labels 0 and 1 first.")
    try:
        chance = model.predict_proba(X)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise AttackError(
            f"{type(model).__name__} cannot score these records ({reason}): give them as it was trained, a table with "
            "the same columns."
        ) from None
    return true_class_confidence(chance, y)


def membership_attack(
    member_scores: ArrayLike,
    nonmember_scores: ArrayLike,
    *,
    equal_sizes: bool = False,
    seed: int = 0,
    resamples: int = 500,
    confidence: float = 0.95,
) -> AttackResult:
    """Measure a membership attack from the scores of records that were, and were not, trained on.

    Parameters
    ----------
    member_scores, nonmember_scores : array_like of shape (n,)
        Higher means "more likely a member". At least 10 of each.
    equal_sizes : bool
        Whether to keep only a random part of the larger side, so that both are equally many as when the membership
        game is played by tossing a coin. TPR and FPR are shares of each side, so every figure of the result is about
        equal odds either way; keeping all scores narrows the intervals.
    seed : int
        Draws the part kept, the halves of the advantage, and the bootstrap.
    resamples : int
        Bootstrap resamples for the AUC's interval, at least 100.
    confidence : float
        Of all intervals, in (0, 1).

    Returns
    -------
    AttackResult
    """
    members, others = _numbers("member_scores", member_scores), _numbers("nonmember_scores", nonmember_scores)
    for name, given in (("member_scores", members), ("nonmember_scores", others)):
        if len(given) < _FEWEST:
            raise AttackError(f"{name} holds {len(given)} scores; an attack is measured on at least {_FEWEST} a side.")
    _checked_confidence(confidence)
    checks.whole(resamples, "resamples", 100, error=AttackError, mend="an interval needs as many")
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=AttackError))
    if equal_sizes:
        size = min(len(members), len(others))
        members, others = (rng.permutation(given)[:size] for given in (members, others))
    found, alarms = _counts(members, others)
    advantage, advantage_interval = _held_out_advantage(members, others, rng, confidence)
    return AttackResult(
        auc=_auc(found, alarms),
        auc_interval=_bootstrap_auc(members, others, rng, resamples, confidence),
        advantage=advantage,
        advantage_interval=advantage_interval,
        at_1_in_1000=operating_point(members, others, 0.001, confidence),
        at_1_in_100=operating_point(members, others, 0.01, confidence),
        fpr=np.concatenate([[0.0], np.cumsum(alarms[::-1]) / len(others)]),
        tpr=np.concatenate([[0.0], np.cumsum(found[::-1]) / len(members)]),
        n_members=len(members),
        n_nonmembers=len(others),
    )


def operating_point(
    member_scores: ArrayLike, nonmember_scores: ArrayLike, fpr: float, confidence: float = 0.95
) -> OperatingPoint:
    """Find how many members an attack finds when it may raise so many false alarms.

    The threshold is chosen on the non-members alone, so the share of members found is no best case. Scores tied with
    the threshold count on both sides.

    Parameters
    ----------
    member_scores, nonmember_scores : array_like of shape (n,)
        Higher means "more likely a member".
    fpr : float
        Share of false alarms allowed, in (0, 1).
    confidence : float
        Of the two intervals.

    Returns
    -------
    OperatingPoint
    """
    members, others = _numbers("member_scores", member_scores), _numbers("nonmember_scores", nonmember_scores)
    fpr = checks.number(fpr, "fpr", 0, 1, above=True, below=True, error=AttackError, mend="0.01 is usual")
    allowed = math.floor(fpr * len(others) + 1e-9)
    # The lowest score with at most `allowed` non-members at or above it lies just above the next non-member.
    bar = np.sort(others)[-(allowed + 1)]
    above = np.concatenate([members[members > bar], others[others > bar]])
    threshold = float(above.min()) if len(above) else math.inf
    found, alarms = int((members >= threshold).sum()), int((others >= threshold).sum())
    measured = allowed >= 1
    return OperatingPoint(
        target=fpr,
        threshold=threshold,
        fpr=alarms / len(others),
        fpr_interval=exact_interval(alarms, len(others), confidence),
        tpr=found / len(members) if measured else math.nan,
        tpr_interval=exact_interval(found, len(members), confidence) if measured else Interval(math.nan, math.nan),
    )


def exact_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact (Clopper-Pearson) interval for a proportion.

    Parameters
    ----------
    successes, trials : int
        Such as members found, and members.
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
    """
    _checked_confidence(confidence)
    trials = checks.whole(trials, "trials", 1, error=AttackError)
    successes = checks.whole(successes, "successes", 0, trials, error=AttackError)
    ends = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return Interval(float(ends.low), float(ends.high))


def _numbers(name: str, values: ArrayLike) -> Scores:
    """Return finite numbers in one dimension, or say what is wrong with them."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise AttackError(f"{name} must hold numbers, one a record; this is a {type(values).__name__}.") from None
    if array.ndim != 1 or array.size == 0:
        raise AttackError(f"{name} has shape {array.shape}; give one number a record, in one dimension.")
    if np.ma.is_masked(values):
        raise AttackError(f"{name} hides values behind a mask; every record needs a number: leave those records out.")
    if not np.isfinite(array).all():
        odd = array[~np.isfinite(array)]
        raise AttackError(f"{name} holds {len(odd)} values such as {odd[0]}; every record needs a finite number.")
    return array


def _checked_confidence(confidence: float) -> None:
    checks.number(confidence, "confidence", 0, 1, above=True, below=True, error=AttackError, mend="0.95 is usual")


def _counts(members: Scores, others: Scores) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count members and non-members at each distinct score, lowest first."""
    values, place = np.unique(np.concatenate([members, others]), return_inverse=True)
    found = np.bincount(place[: len(members)], minlength=len(values))
    return found, np.bincount(place[len(members) :], minlength=len(values))


def _auc(found: NDArray[np.int64], alarms: NDArray[np.int64]) -> float:
    """Mann-Whitney statistic from counts at each distinct score, lowest first."""
    below = np.cumsum(alarms) - alarms
    return float(found @ (below + alarms / 2) / (found.sum() * alarms.sum()))


def _bootstrap_auc(
    members: Scores, others: Scores, rng: np.random.Generator, resamples: int, confidence: float
) -> Interval:
    """Resample members and non-members apart; each resample is a count at each distinct score."""
    values, place = np.unique(np.concatenate([members, others]), return_inverse=True)
    sides = place[: len(members)], place[len(members) :]
    aucs = []
    for _ in range(resamples):
        drawn = (side[rng.integers(len(side), size=len(side))] for side in sides)
        aucs.append(_auc(*(np.bincount(side, minlength=len(values)) for side in drawn)))
    tail = (1 - confidence) / 2
    return Interval(*(float(end) for end in np.quantile(aucs, (tail, 1 - tail))))


def _held_out_advantage(
    members: Scores, others: Scores, rng: np.random.Generator, confidence: float
) -> tuple[float, Interval]:
    """Choose the best threshold on one random half of each side, measure TPR - FPR on the other half."""
    members, others = rng.permutation(members), rng.permutation(others)
    half, half_others = len(members) // 2, len(others) // 2
    found, alarms = _counts(members[:half], others[:half_others])
    gain = np.cumsum(found[::-1]) / half - np.cumsum(alarms[::-1]) / half_others
    values = np.unique(np.concatenate([members[:half], others[:half_others]]))[::-1]
    best = int(np.argmax(gain))
    near = values[best : best + 2]  # their sum may be infinite
    threshold = (near / len(near)).sum()  # halfway to the next score below, as unseen scores lie between
    held, held_others = members[half:], others[half_others:]
    return _difference(
        int((held >= threshold).sum()), len(held), int((held_others >= threshold).sum()), len(held_others), confidence
    )


def _difference(found: int, n: int, alarms: int, n_others: int, confidence: float) -> tuple[float, Interval]:
    """Difference of two proportions, with Newcombe's (1998) hybrid score interval, method 10."""
    tpr, fpr = found / n, alarms / n_others
    low, high = binomtest(found, n).proportion_ci(confidence, method="wilson")
    low_o, high_o = binomtest(alarms, n_others).proportion_ci(confidence, method="wilson")
    down, up = math.hypot(tpr - low, high_o - fpr), math.hypot(high - tpr, fpr - low_o)
    return tpr - fpr, Interval(float(tpr - fpr - down), float(tpr - fpr + up))
