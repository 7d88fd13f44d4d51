"""Audit a promise: measure from one training run how large epsilon must at least be.

Accounting bounds epsilon from above, by proof. A wrong line of code breaks the proof and not the program, so this
module bounds epsilon from below, by experiment: put canaries (made-up records) into the training table, each by the
toss of a fair coin, guess from the finished model which ones are in, and ask how likely so many right guesses are if
the promise holds. A lower bound above the promise is a proof of a bug, up to the chosen confidence. A lower bound
below it proves nothing: a stronger attack may exist.

One run is enough because the canaries are many: the audit of Steinke, Nasr and Jagielski (2023).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, expit, gammaln, log_expit
from sklearn.metrics import roc_auc_score

from ppml_helpers import accounting, checks
from ppml_helpers.errors import AuditError
from ppml_helpers.private_training.engine import Labels, Models, Progress, Recipe, Table, no_progress, train

Floats = NDArray[np.float64]

SHARES = (0.5, 0.25, 0.1, 1.0)
"""Shares of the canaries that `epsilon_lower_bound` guesses, unless told; fixed before any score is seen."""

_CONFIDENCE = 0.95
_TIES = 0xD2C5_0B0E_6F1A_4C37_9E88_71A3_5B20_F64D  # seeds the shuffle of ties alone: nobody tosses coins by it
_CODE = (
    24.0  # value of a canary's own column: its gradient is six times as long as the recipes clip, to see who forgets
)
_MOST_CELLS = 50_000_000  # of the audited table, which takes about 30 bytes a cell while it is trained on
_MOST_CANARIES = 1_000_000  # for ten times as many, the bound itself would take about a minute
_STEP = 0.25  # in which the search for a bound walks up
_HALVINGS = 24


@dataclass(frozen=True)
class AuditResult:
    """What the guesses show.

    Attributes
    ----------
    epsilon_lower : float
        Epsilon is at least this, at this confidence; 0 shows nothing.
    confidence : float
        Chance, before the coins are tossed, that the bound will hold.
    delta : float
        The delta that the epsilon goes with.
    canaries : int
        Records whose presence a coin decided.
    guesses, correct : int
        Canaries that the bound's guesses are about (the rest are abstained on), and how many guesses were right.
    """

    epsilon_lower: float
    confidence: float
    delta: float
    canaries: int
    guesses: int
    correct: int

    def __str__(self) -> str:
        """Say it in one sentence."""
        rounded_down = math.floor(100 * self.epsilon_lower) / 100
        shown = f"epsilon is at least {rounded_down:.2f}" if self.epsilon_lower > 0 else "no epsilon is shown"
        return (
            f"{shown} ({100 * self.confidence:g} % confidence, delta {self.delta:g}): "
            f"{self.correct:,} of {self.guesses:,} guesses about {self.canaries:,} canaries were right"
        )


class Canaries(NamedTuple):
    """Made-up records whose presence can be looked for.

    Attributes
    ----------
    features : ndarray, shape (m, d)
        In the patients' columns; further columns are ones in which every patient has 0.
    labels : ndarray, shape (m,)
        0 or 1.
    """

    features: np.ndarray
    labels: np.ndarray


Trainer = Callable[..., Any]
"""``trainer(X, y, recipe, noise_multipliers, seeds, progress=...)``, as `private_training.train`; returns one model."""


@dataclass(frozen=True, eq=False)
class TrainingAudit:
    """A promise and what one training run shows of it.

    Attributes
    ----------
    promised : float
        Epsilon by accounting, of the noise that was asked for.
    actual : float
        Epsilon by accounting, of the noise that the trainer was told to add: the promise, unless a bug was planted
        here. What a trainer of somebody else's does with it is not known.
    measured : AuditResult
    best_possible : float
        Lower bound if every guess had been right: what so many canaries can show at all.
    scores : ndarray, shape (m,)
        One a canary; the higher, the more likely it was in.
    included : ndarray of bool, shape (m,)
        How the coins fell.
    models : Models
        What the trainer returned: the audited model.
    columns, codes : int
        Of the audited table: columns of the patients, and further ones that only canaries use.
    """

    promised: float
    actual: float
    measured: AuditResult
    best_possible: float
    scores: Floats
    included: NDArray[np.bool_]
    models: Any
    columns: int
    codes: int

    @property
    def caught(self) -> bool:
        """Whether the promise is refuted, at the confidence of `measured`."""
        return self.measured.epsilon_lower > self.promised

    def auc(self, X: Table, y: Labels) -> float:
        """Return the audited model's area under the ROC curve for patients, who have none of the canaries' codes."""
        patients, labels = _checked_records("patients", X, y)
        if patients.shape[1] != self.columns:
            raise AuditError(
                f"the patients have {patients.shape[1]} columns; the audited model was trained on {self.columns}: give "
                "the same ones."
            )
        if set(np.unique(labels)) != {0, 1}:
            raise AuditError("labels of patients hold something else than both 0 and 1; give patients of both kinds.")
        return float(roc_auc_score(labels, _log_odds(self.models, np.pad(patients, ((0, 0), (0, self.codes))))))


# The bound -------------------------------------------------------------------------------------------------------


def epsilon_lower_bound(
    scores: ArrayLike,
    included: ArrayLike,
    delta: float,
    confidence: float = _CONFIDENCE,
    *,
    guesses: int | None = None,
) -> AuditResult:
    """Return how large epsilon must at least be for the scores to tell so well which canaries were in.

    The guess is "in" for the highest scores and "out" for equally many of the lowest; on the rest the audit abstains.

    Parameters
    ----------
    scores : array_like, shape (m,)
        One a canary, made from the output of the audited computation without a look at `included`; the higher, the
        more likely the canary was in.
    included : array_like, shape (m,)
        0 or 1: whether the canary was in, by independent tosses of a fair coin.
    delta : float
        In [0, 1).
    confidence : float
        In (0, 1).
    guesses : int, optional
        How many canaries to guess. It must be chosen before the scores are seen.

    Returns
    -------
    AuditResult

    Notes
    -----
    The best number of guesses depends on the scores, and choosing it by them would invalidate the confidence.
    Without `guesses`, the numbers are tried that are the shares `SHARES` of the canaries (rounded down to even ones).
    They depend on m alone, and each gets an equal part of the allowed error (Bonferroni), so that the largest of the
    bounds is valid. Ties in the scores are broken by a shuffle that knows neither the coins nor the canaries' order,
    from a stream of its own: coins that somebody tossed by a small seed have nothing in common with it.
    """
    confidence, delta = _level(confidence, delta)
    score, coin = _checked_scores(scores, included)
    plan = _planned(len(score), guesses)
    _refuse_too_few(len(score), confidence, delta, plan)
    order = np.lexsort((np.random.default_rng(_TIES).random(len(score)), score))
    results = []
    for number in plan:
        low, high = order[: number - number // 2], order[len(order) - number // 2 :]
        correct = int((~coin[low]).sum() + coin[high].sum())
        bound = _lower_bound(len(score), number, correct, delta, (1 - confidence) / len(plan))
        results.append(AuditResult(bound, confidence, delta, len(score), number, correct))
    return max(results, key=lambda result: result.epsilon_lower)


def best_possible(m: int, confidence: float = _CONFIDENCE, delta: float = accounting.DELTA) -> float:
    """Return the largest lower bound that m canaries could ever show, all guesses right; 0 if they show nothing."""
    confidence, delta = _level(confidence, delta)
    canaries = checks.whole(m, "m", 1, _MOST_CANARIES, error=AuditError)
    return _best(canaries, confidence, delta, _planned(canaries, None))


# One training run ------------------------------------------------------------------------------------------------


def audit_training(
    X: Table,
    y: Labels,
    recipe: Recipe,
    epsilon: float = 1.0,
    *,
    canaries: int | Canaries = 1000,
    noise_divisor: float = 1.0,
    delta: float = accounting.DELTA,
    seed: int = 0,
    trainer: Trainer = train,
    progress: Progress = no_progress,
) -> TrainingAudit:
    """Train once with canaries among the patients and compare what shows with what was promised.

    Parameters
    ----------
    X : DataFrame or ndarray, shape (n, d)
        The patients, as in `private_training.train`.
    y : Series or ndarray, shape (n,)
    recipe : Recipe
    epsilon : float
        The promise, above 0. Infinity adds no noise.
    canaries : int or Canaries
        How many `rare_code_canaries` to make, or records of your own.
    noise_divisor : float
        Above 0. The planted bug: accounting believes in its noise multiplier, the trainer is given this fraction of
        it. 1 plants none.
    delta : float
        Of the promise, and of what is measured.
    seed : int
        At least 0; of the coins, the canaries' labels and the noise.
    trainer : callable
        The program under audit, called once as ``trainer(X, y, recipe, [noise_multiplier], [seed], progress=...)``
        with features and labels as arrays. It returns one model with ``logits`` or ``decision_function``. It is a
        black box: what it does with its arguments is what the audit measures.
    progress : callable
        As in `private_training.train`; may raise to stop.

    Returns
    -------
    TrainingAudit

    Notes
    -----
    The trainer is run as it is; the table alone is longer and, with rare codes, wider. The batch size that it divides
    by counts the included canaries and is taken as public. A repeated audit repeats its chance of a false alarm:
    of twenty audits of a sound program at 95 % confidence, up to one accuses it on average.
    """
    trial = _tossed(X, y, canaries, delta, seed)
    sigma, used = _noise(recipe, epsilon, noise_divisor, trial.delta)
    models = _called(trainer, trial.table, trial.labels, recipe, [used], [int(seed)], progress=progress)
    return _judged(trial, models, alignment(models, *trial.records), recipe, sigma, used)


def audit_sweep(
    X: Table,
    y: Labels,
    recipe: Recipe,
    settings: Sequence[tuple[float, float]],
    *,
    canaries: int | Canaries = 1000,
    delta: float = accounting.DELTA,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[TrainingAudit]:
    """Audit `private_training.train` at several settings on the same coins, for little more than the price of one.

    Notes
    -----
    Each bound is valid at its confidence. All of them together are not: they share coins, and each model's noise is
    its own.
    """
    pairs = _checked_settings(settings)
    trial = _tossed(X, y, canaries, delta, seed)
    noises = [_noise(recipe, epsilon, divisor, trial.delta) for epsilon, divisor in pairs]
    used = [noise for _, noise in noises]
    models = train(trial.table, trial.labels, recipe, used, [int(seed)] * len(used), progress=progress)
    each = [Models(tuple(w[k : k + 1] for w in models.weights), models.hidden) for k in range(len(used))]
    scores = [_aligned(logits, trial.records.labels) for logits in models.logits(trial.records.features)]
    return [_judged(trial, one, score, recipe, *noise) for one, score, noise in zip(each, scores, noises, strict=True)]


def rare_code_canaries(columns: int, m: int, rng: np.random.Generator) -> Canaries:
    """Make m records that each hold one code that nobody else has, with random labels.

    Parameters
    ----------
    columns : int
        Of the patients' table. The canaries are 0 there; each has a further column of its own.
    m : int
        Number of canaries.
    rng : numpy.random.Generator
        Of the labels.

    Returns
    -------
    Canaries
        `features` has shape (m, columns + m).

    Notes
    -----
    Records that share columns hide each other: a thousand of them in forty columns are each other's noise, and even
    a planted bug stays unseen. A code of its own gives every canary a gradient at right angles to all others, but for
    the intercept.
    """
    features = np.zeros((m, columns + m))
    features[np.arange(m), columns + np.arange(m)] = _CODE
    return Canaries(features, rng.integers(0, 2, m))


def alignment(models: Models, features: np.ndarray, labels: np.ndarray) -> Floats:
    """Score canaries by how far one model has moved the way that each one's loss gradient pushes.

    For logistic regression, one record pushes the weights along (2 y - 1) (x, 1). The score is the dot product of
    that direction and the weights, less the part that all canaries share (their mean features and the intercept),
    which says nothing about any one of them.
    """
    return _aligned(_log_odds(models, features), labels)


# The computation behind it ---------------------------------------------------------------------------------------


class _Trial(NamedTuple):
    """Canaries whose coins have fallen, among the patients."""

    records: Canaries
    included: NDArray[np.bool_]
    table: Floats
    labels: Floats
    columns: int  # of the patients
    best: float
    delta: float


def _tossed(X: Table, y: Labels, canaries: int | Canaries, delta: float, seed: int) -> _Trial:
    confidence, delta = _level(_CONFIDENCE, delta)
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, 2**62, error=AuditError))
    patients, labels = _checked_records("patients", X, y)
    records = _checked_canaries(canaries, *patients.shape, rng)
    best = _refuse_too_few(len(records.labels), confidence, delta, _planned(len(records.labels), None))
    included = rng.random(len(records.labels)) < 0.5
    table = _with_canaries(patients, records.features[included])
    outcomes = np.concatenate([labels, records.labels[included]])
    return _Trial(records, included, table, outcomes, patients.shape[1], best, delta)


def _noise(recipe: Recipe, epsilon: float, noise_divisor: float, delta: float) -> tuple[float, float]:
    """Return the noise multiplier that accounting believes in, and the one that the trainer is given."""
    checks.number(noise_divisor, "noise_divisor", 0, above=True, error=AuditError, mend="1 plants no bug")
    sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps, delta)
    return sigma, sigma / noise_divisor


def _aligned(logits: np.ndarray, labels: np.ndarray) -> Floats:
    logits = logits.astype(np.float64)
    return (2 * np.asarray(labels) - 1) * (logits - logits.mean())


def _judged(trial: _Trial, models: Any, scores: ArrayLike, recipe: Recipe, sigma: float, used: float) -> TrainingAudit:
    """Bound epsilon by the scores that a trained model gives the canaries."""
    return TrainingAudit(
        promised=accounting.epsilon(sigma, recipe.sample_rate, recipe.steps, trial.delta),
        actual=accounting.epsilon(used, recipe.sample_rate, recipe.steps, trial.delta),
        measured=epsilon_lower_bound(scores, trial.included, trial.delta, _CONFIDENCE),
        best_possible=trial.best,
        scores=np.asarray(scores, dtype=np.float64),
        included=trial.included,
        models=models,
        columns=trial.columns,
        codes=trial.records.features.shape[1] - trial.columns,
    )


def _called(trainer: Trainer, *arguments: Any, progress: Progress) -> Any:
    """Call somebody's trainer, or say why it cannot be called."""
    how = "trainer(X, y, recipe, noise_multipliers, seeds, progress=...)"
    if not callable(trainer):
        raise AuditError(f"the trainer is of type {type(trainer).__name__}, not a function: give one called as {how}.")
    try:
        inspect.signature(trainer).bind(*arguments, progress=progress)
    except TypeError as error:
        raise AuditError(f"the trainer cannot be called as {how} ({error}); give it these parameters.") from error
    return trainer(*arguments, progress=progress)


def _log_odds(model: Any, features: np.ndarray) -> Floats:
    """Return the log-odds that one model gives each record, or say why it does not."""
    predict = getattr(model, "logits", None) or getattr(model, "decision_function", None)
    if not callable(predict):
        raise AuditError(
            f"the trainer returned an object of type {type(model).__name__}, which has neither logits nor "
            "decision_function: return a model that has."
        )
    found = np.asarray(predict(features), dtype=np.float64)
    if found.shape not in ((1, len(features)), (len(features),)):
        raise AuditError(
            f"the trained model gives log-odds of shape {found.shape} for {len(features)} records; the trainer must "
            "return one model, which gives one number a record."
        )
    return found.reshape(-1)


def _planned(m: int, guesses: int | None) -> tuple[int, ...]:
    """Return the numbers of guesses to try, from m alone: as many "in" as "out"."""
    if guesses is None:
        return tuple(dict.fromkeys(number for share in SHARES if (number := 2 * int(share * m / 2)) > 0))
    return (checks.whole(guesses, "guesses", 1, m, error=AuditError, mend="guess at most all canaries"),)


def _best(m: int, confidence: float, delta: float, plan: tuple[int, ...]) -> float:
    return max((_lower_bound(m, number, number, delta, (1 - confidence) / len(plan)) for number in plan), default=0.0)


@lru_cache(maxsize=65536)
def _lower_bound(m: int, guesses: int, correct: int, delta: float, level: float) -> float:
    """Return the end of the epsilons, from 0 on, that the guesses refute at this level (rounded down)."""

    def refuted(epsilon: float) -> bool:
        return _p_value(m, guesses, correct, epsilon, delta) <= level

    if not refuted(0.0):
        return 0.0
    # Walking up instead of doubling finds the first epsilon that is not refuted, whatever the p-value does beyond.
    low = 0.0
    while refuted(low + _STEP):
        low += _STEP
    high = low + _STEP
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def _p_value(m: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Bound the chance of so many right guesses if the audited computation keeps its promise.

    With W binomial (`guesses` tries, each right with probability e^epsilon / (1 + e^epsilon)), the bound is
    P[W >= v] + 2 m delta max_i P[v - i <= W < v] / i: at best, a promise broken with probability delta for each of
    m canaries buys 2 m delta more right guesses on average, and they do most where they lift W by i to v
    (Steinke, Nasr and Jagielski 2023, Appendix D).
    """
    if correct == 0:
        return 1.0
    tail = float(betainc(correct, guesses - correct + 1, expit(epsilon)))  # P[W >= correct]
    if delta == 0 or tail >= 1:
        return min(tail, 1.0)
    below = np.arange(correct - 1, -1, -1)
    log_choose = gammaln(guesses + 1) - gammaln(below + 1) - gammaln(guesses - below + 1)
    masses = np.exp(log_choose + below * log_expit(epsilon) + (guesses - below) * log_expit(-epsilon))
    lifted = np.cumsum(masses) / np.arange(1, correct + 1)
    return min(1.0, tail + 2 * m * delta * float(lifted.max()))


def _with_canaries(patients: Floats, canaries: np.ndarray) -> Floats:
    """Return the patients, with 0 in every column that only canaries use, and the canaries below them."""
    table = np.zeros((len(patients) + len(canaries), canaries.shape[1]))
    table[: len(patients), : patients.shape[1]] = patients
    table[len(patients) :] = canaries
    return table


# What is refused -------------------------------------------------------------------------------------------------


def _level(confidence: float, delta: float) -> tuple[float, float]:
    return (
        checks.number(confidence, "confidence", 0, 1, above=True, below=True, error=AuditError),
        checks.number(delta, "delta", 0, 1, below=True, error=AuditError),
    )


def _checked_settings(settings: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return pairs of epsilon and noise divisor."""
    given = list(settings) if isinstance(settings, Sequence) and not isinstance(settings, str) else [settings]
    if not given:
        raise AuditError("settings is empty; give at least one pair of epsilon and noise divisor.")
    for pair in given:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise AuditError(
                f"settings holds {checks.shown(pair)}, which is no pair of epsilon and noise divisor: give a list such "
                "as [(1.0, 1.0), (1.0, 8.0)]."
            )
    return given


def _checked_scores(scores: ArrayLike, included: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return scores and coins as arrays, or say why they cannot be audited."""
    try:
        score, coin = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise AuditError(f"scores and included must be numbers ({error}); give one of each a canary.") from error
    if score.ndim != 1 or score.shape != coin.shape:
        raise AuditError(
            f"scores have shape {score.shape} and included {coin.shape}; give one score and one coin a canary."
        )
    if np.isnan(score).any():
        raise AuditError(f"the score of canary {int(np.isnan(score).argmax())} is NaN; every canary needs a score.")
    if not np.isin(coin, (0, 1)).all():
        raise AuditError(
            f"included holds {coin[~np.isin(coin, (0, 1))][0]:g}; it is 1 for in and 0 for out: recode it."
        )
    heads, tosses = int(coin.sum()), len(coin)
    if heads in (0, tosses) or abs(heads - tosses / 2) > 3 * math.sqrt(tosses):  # six standard deviations
        raise AuditError(
            f"{heads:,} of {tosses:,} canaries were in, which no fair coin gives; toss one for each canary."
        )
    return score, coin.astype(bool)


def _refuse_too_few(m: int, confidence: float, delta: float, plan: tuple[int, ...]) -> float:
    """Return what could be shown at best, if that is anything."""
    best = _best(m, confidence, delta, plan)
    if best == 0:
        enough = [few for few in (10, 20, 50, 100) if _best(few, confidence, delta, _planned(few, None)) > 0]
        mend = f"take {enough[0]} canaries or more, and guess as many" if enough else "lower the confidence or delta"
        raise AuditError(
            f"{max(plan, default=0)} guesses about {m} canaries cannot show anything at {100 * confidence:g} % "
            f"confidence and delta {delta:g}, even at best, with every guess right: {mend}."
        )
    return best


def _checked_records(who: str, X: Table, y: Labels) -> tuple[Floats, Floats]:
    try:
        table, labels = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise AuditError(
            f"features and labels of {who} must be numbers ({error}); encode text columns first."
        ) from error
    if table.ndim != 2 or labels.shape != (len(table),):
        raise AuditError(
            f"features of {who} have shape {table.shape} and labels {labels.shape}; give (records, columns) and "
            "(records,)."
        )
    return table, labels


def _checked_canaries(canaries: int | Canaries, rows: int, columns: int, rng: np.random.Generator) -> Canaries:
    """Return canaries that can be trained on among patients of so many rows and columns."""
    if not isinstance(canaries, Canaries):
        m = checks.whole(canaries, "canaries", 1, _MOST_CANARIES, error=AuditError)
        _refuse_too_large(rows + m, columns + m)
        return rare_code_canaries(columns, m, rng)
    features, labels = _checked_records("canaries", *canaries)
    if features.shape[1] < columns:
        raise AuditError(f"canaries have {features.shape[1]} columns; give the patients' {columns} columns first.")
    if not np.isfinite(features).all() or not np.isin(labels, (0, 1)).all():
        raise AuditError("canaries hold a feature that is NaN or infinite, or a label other than 0 and 1: mend them.")
    _refuse_too_large(rows + len(labels), features.shape[1])
    return Canaries(features, labels)


def _refuse_too_large(rows: int, columns: int) -> None:
    if rows * columns > _MOST_CELLS:
        raise AuditError(
            f"the audited table would have {rows:,} rows and {columns:,} columns, more than {_MOST_CELLS:,} cells; "
            "use fewer canaries."
        )
