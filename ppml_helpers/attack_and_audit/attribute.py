"""Attribute inference: guess a value that the attacker does not know from a model trained on the record.

The attacker knows all of a record but one attribute, and what happened to the person, and may ask the model. For each
value that the attribute could have, the record is completed with it and the model asked; a model that learnt the
record by heart is surest of what really happened at the true value (Fredrikson et al. 2014; Yeom et al. 2018,
section 4).

Most of what such an attacker guesses right, they would have guessed right without the model: attributes go together.
So the attack is measured against *imputation*, the attacker's best guess from their own records alone (Jayaraman and
Evans 2022). And what a model tells about everybody, trained on or not, is what it was made to learn; the leak is what
it tells about its own patients only. So the gain is measured on members and on non-members.

References
----------
Fredrikson, Lantz, Jha, Lin, Page and Ristenpart (2014), "Privacy in pharmacogenetics".
Yeom, Giacomelli, Fredrikson and Jha (2018), "Privacy risk in machine learning".
Jayaraman and Evans (2022), "Are attribute inference attacks just imputation?"
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata

from ppml_helpers.attack_and_audit import lira
from ppml_helpers.errors import AttackError
from ppml_helpers.membership import Interval, _check_confidence, exact_interval

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Records = tuple[pd.DataFrame, ArrayLike]
Scorer = Callable[[Any, Any, ArrayLike], ArrayLike]

MOST_VALUES = 50
"""An attribute with more values is a measurement, and hardly ever guessed to the last digit."""

_LEAST_PROBABILITY = 1e-6  # of an imputer that answers 0, so that the model may still object
_LARGEST_WEIGHT = 1000.0  # then the model decides and imputation breaks its ties
_LEAST_GAIN = 1e-9  # in log-likelihood a record: less is rounding, and any weight would do as well
_SHADOW_SIDES = ("the shadow model's members", "the shadow model's non-members")


class _Table(NamedTuple):
    X: pd.DataFrame
    y: Codes


@dataclass(frozen=True, eq=False)
class Guesses:
    """How often the attribute is guessed right on one side, members or non-members.

    Attributes
    ----------
    commonest : float
        Share of right guesses when everybody is guessed to have the value most frequent among the attacker's records.
    imputation : float
        Share of right guesses from the attacker's records alone: the baseline.
    attack : float
        Share of right guesses with the model as well.
    imputation_interval, attack_interval : Interval
        Exact binomial (Clopper-Pearson).
    gain : float
        ``attack - imputation``: what the model adds.
    gain_interval : Interval
        Percentile bootstrap over records; both guesses are about the same ones.
    imputation_auc, attack_auc : float
        Chance that a record with a value is thought likelier to have it than one without, mean over the values. How
        frequent a value is does not move it. NaN if all have one value.
    truth, imputed, guessed : ndarray of int, shape (n,)
        For each record the true value, the imputed one and the attack's, as positions in the result's `values`.
    """

    commonest: float
    imputation: float
    imputation_interval: Interval
    attack: float
    attack_interval: Interval
    gain: float
    gain_interval: Interval
    imputation_auc: float
    attack_auc: float
    truth: Codes
    imputed: Codes
    guessed: Codes


@dataclass(frozen=True, eq=False)
class AttributeResult:
    """What a model gives away about an attribute.

    Attributes
    ----------
    values : DataFrame
        The candidate values, one a row.
    member_weight, nonmember_weight : float
        How much the model's confidence counted against imputation; 0 ignores the model.
    members : Guesses
        By an attacker who knows that these people are members.
    nonmembers : Guesses
        By one who knows that these are not: what the model teaches about anybody.
    mistaken : Guesses
        About the non-members, by an attacker who takes them for members. The same as `nonmembers` without a shadow
        model.
    leak : float
        ``members.gain - nonmembers.gain``: what the model adds about its own patients beyond what it adds about
        anybody.
    leak_interval : Interval
        Percentile bootstrap over records, for these weights.
    """

    values: pd.DataFrame
    member_weight: float
    nonmember_weight: float
    members: Guesses
    nonmembers: Guesses
    mistaken: Guesses
    leak: float
    leak_interval: Interval


# The attack ------------------------------------------------------------------------------------------------------


def attribute_inference(
    model: Any,
    members: Records,
    nonmembers: Records,
    own: Records,
    columns: Hashable | Sequence[Hashable],
    values: ArrayLike | None = None,
    *,
    shadow: tuple[Any, Records, Records] | None = None,
    imputer: Any = None,
    scorer: Scorer = lira.scores_of,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> AttributeResult:
    """Guess an attribute of members and of non-members, with the model and without it.

    Parameters
    ----------
    model : object
        Whatever `scorer` takes.
    members, nonmembers : tuple of (X, y)
        Records that trained the model, and records that did not, as DataFrame and labels 0 and 1. Their attribute is
        looked at only to count right guesses.
    own : tuple of (X, y)
        The attacker's records, of other people, from which the attribute is imputed.
    columns : str or sequence of str
        The attribute: one column, or the columns that together encode it.
    values : array_like, shape (n_values,) or (n_values, n_columns), optional
        What the attribute can be. By default the values that occur in `own`, in sorted order.
    shadow : tuple of (model, (X, y), (X, y)), optional
        A model of the same kind that the attacker trained, the records it was trained on, and some it was not trained
        on, again of other people. On them the attacker knows the answers and learns how much to trust such a model
        about its members and about others. Without it, the model's confidence counts as in Bayes' rule (Fredrikson et
        al. 2014), with weight 1.
    imputer : scikit-learn classifier, optional
        Not yet fitted, with ``predict_proba``. It sees all other columns, and the outcome as the last one. Logistic
        regression by default. A weak imputer flatters the attack.
    scorer : callable
        ``scorer(model, X, y)`` gives the log-odds of what really happened, one a record.
    confidence : float
        Of the intervals, in (0, 1).
    resamples : int
        Of the bootstrap, at least 100.
    seed : int
        Of the bootstrap.

    Returns
    -------
    AttributeResult

    Raises
    ------
    AttackError
        If two of the sets share a record, columns or values are not there, or a score is missing or not finite.

    Notes
    -----
    The guess is the value v with the largest log P(v | rest, outcome) + w log p(outcome | rest, v): imputation, and w
    times the logarithm of the probability that the model gives to what really happened. A learnt weight w >= 0 is the
    one that makes the true values of the shadow model's members, or non-members, likeliest. Learning two weights keeps
    the comparison fair: with that of members, a model that is sure of its own patients misleads about others, and the
    difference would count what an attacker loses by the mistake as if it were what members lose.
    """
    _check_settings(confidence, resamples, seed)
    sides = {"members": members, "nonmembers": nonmembers, "own": own}
    if shadow is not None:
        shadow_model, *parts = _tuple("shadow", shadow, ("model", "(X, y)", "(X, y)"))
        sides |= dict(zip(_SHADOW_SIDES, parts, strict=True))
    tables = _tables(sides)
    names = _names(columns, tables["own"].X)
    candidates = _candidates(tables["own"].X, names, values)
    codes = {name: _codes(name, table.X, candidates) for name, table in tables.items()}
    impute = _fitted(imputer, tables["own"], codes["own"], candidates)

    def evidence(name: str, asked: Any) -> tuple[Floats, Floats]:
        X, y = tables[name]
        # The probability of what really happened, on a log scale: log p = -log(1 + exp(-log-odds)).
        return impute(tables[name]), -np.logaddexp(0, -candidate_scores(asked, X, y, candidates, scorer))

    weights = [1.0, 1.0]
    if shadow is not None:
        weights = [_best_weight(*evidence(name, shadow_model), codes[name]) for name in _SHADOW_SIDES]
    commonest = int(np.bincount(codes["own"]).argmax())
    rng = np.random.default_rng(seed)
    answers = {name: evidence(name, model) for name in ("members", "nonmembers")}
    found, gains = [], []
    for name, weight in (("members", weights[0]), ("nonmembers", weights[1]), ("nonmembers", weights[0])):
        imputed, asked = answers[name]
        together = imputed + weight * asked
        gains.append(_resampled_gain(imputed, together, codes[name], rng, resamples))
        found.append(_guesses(imputed, together, codes[name], commonest, gains[-1], confidence))
    leak = found[0].gain - found[1].gain
    return AttributeResult(candidates, *weights, *found, leak, _percentiles(gains[0] - gains[1], confidence))


def candidate_scores(
    model: Any, X: pd.DataFrame, y: ArrayLike, candidates: pd.DataFrame, scorer: Scorer = lira.scores_of
) -> Floats:
    """Ask the model about each record, completed with each value that the attribute could have."""
    names = _names(list(candidates.columns), X)
    answers = np.empty((len(X), len(candidates)))
    for number, value in enumerate(candidates.to_numpy()):
        completed = X.copy()
        completed[names] = value
        given = lira._array("the model's scores", scorer(model, completed, y))
        if given.shape != (len(X),):
            raise AttackError(
                f"The scorer gave scores of shape {given.shape} for {len(X)} records; it must give one a record."
            )
        answers[:, number] = given
    return answers


def _fitted(imputer: Any, own: _Table, codes: Codes, candidates: pd.DataFrame) -> Callable[[_Table], Floats]:
    """Fit the imputer to the attacker's records; return (records) -> log-probability of each value, one row each."""
    from sklearn.base import clone  # slow to load, and no other attack needs it
    from sklearn.linear_model import LogisticRegression

    known = np.bincount(codes, minlength=len(candidates))
    if known.min() == 0:
        absent = candidates.iloc[int(known.argmin())].to_dict()
        raise AttackError(
            f"No record of the attacker's own has the value {absent}, so that nothing is known of it; leave it out or "
            "give more records."
        )
    if imputer is not None and not (hasattr(imputer, "predict_proba") and hasattr(imputer, "get_params")):
        raise AttackError(
            f"The imputer is a {type(imputer).__name__}; give a scikit-learn classifier with predict_proba."
        )
    chosen = LogisticRegression(max_iter=2000) if imputer is None else clone(imputer)
    chosen.fit(_rest(own, candidates), codes)

    def impute(records: _Table) -> Floats:
        chances = lira._array("the imputer's probabilities", chosen.predict_proba(_rest(records, candidates)), 2)
        wrong = chances.shape != (len(records.X), len(candidates)) or chances.min() < 0
        if wrong or abs(chances.sum(axis=1) - 1).max() > 1e-6:
            raise AttackError(
                f"The imputer's probabilities have shape {chances.shape} and add up to {chances[0].sum():g} for the "
                f"first record; it must give {len(candidates)} a record that add up to 1."
            )
        return np.log(np.maximum(chances, _LEAST_PROBABILITY))

    return impute


def _rest(records: _Table, candidates: pd.DataFrame) -> Floats:
    return np.column_stack([records.X.drop(columns=candidates.columns).to_numpy(), records.y])


def _best_weight(imputed: Floats, asked: Floats, truth: Codes) -> float:
    """Return the weight of the model's answers that makes the true values likeliest (a concave problem)."""
    rows = np.arange(len(truth))

    def loss(weight: float) -> float:
        together = imputed + weight * asked
        return float((np.logaddexp.reduce(together, axis=1) - together[rows, truth]).mean())

    best = minimize_scalar(loss, bounds=(0, _LARGEST_WEIGHT), method="bounded", options={"xatol": 1e-3})
    return float(best.x) if best.fun < loss(0) - _LEAST_GAIN else 0.0


# Counting right guesses ------------------------------------------------------------------------------------------


def _guesses(
    imputed: Floats, together: Floats, truth: Codes, commonest: int, gains: Floats, confidence: float
) -> Guesses:
    without, guessed = imputed.argmax(axis=1), together.argmax(axis=1)
    right, right_without = int((guessed == truth).sum()), int((without == truth).sum())
    return Guesses(
        commonest=float((truth == commonest).mean()),
        imputation=right_without / len(truth),
        imputation_interval=exact_interval(right_without, len(truth), confidence),
        attack=right / len(truth),
        attack_interval=exact_interval(right, len(truth), confidence),
        gain=(right - right_without) / len(truth),
        gain_interval=_percentiles(gains, confidence),
        imputation_auc=_mean_auc(imputed, truth),
        attack_auc=_mean_auc(together, truth),
        truth=truth,
        imputed=without,
        guessed=guessed,
    )


def _resampled_gain(
    imputed: Floats, together: Floats, truth: Codes, rng: np.random.Generator, resamples: int
) -> Floats:
    """Return the gain in each bootstrap resample of the records.

    A record adds -1, 0 or 1, so a resample is a draw of how many records of each kind it holds.
    """
    change = (together.argmax(axis=1) == truth).astype(int) - (imputed.argmax(axis=1) == truth)
    shares = np.bincount(change + 1, minlength=3) / len(truth)
    lost, _, won = rng.multinomial(len(truth), shares, size=resamples).T
    return (won - lost) / len(truth)


def _percentiles(resampled: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    return Interval(*(float(end) for end in np.quantile(resampled, (tail, 1 - tail))))


def _mean_auc(logs: Floats, truth: Codes) -> float:
    """Return the mean, over values that some records have and some have not, of one value's AUC against the rest."""
    aucs = []
    for value in range(logs.shape[1]):
        having = truth == value
        count = int(having.sum())
        if 0 < count < len(truth):
            odds = logs[:, value] - np.logaddexp.reduce(np.delete(logs, value, axis=1), axis=1)
            above = rankdata(odds)[having].sum() - count * (count + 1) / 2
            aucs.append(above / (count * (len(truth) - count)))
    return float(np.mean(aucs)) if aucs else float("nan")


# What is refused -------------------------------------------------------------------------------------------------


def _check_settings(confidence: float, resamples: int, seed: int) -> None:
    _check_confidence(confidence)
    for name, value, least in (("resamples", resamples, 100), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise AttackError(f"{name} is {value!r}; give a whole number, {least} or more.")


def _tuple(name: str, given: Any, parts: tuple[str, ...]) -> tuple[Any, ...]:
    if not isinstance(given, tuple) or len(given) != len(parts):
        raise AttackError(f"{name} is a {type(given).__name__}; give the tuple ({', '.join(parts)}).")
    return given


def _tables(sides: dict[str, Any]) -> dict[str, _Table]:
    """Return the records of each side, checked: same columns, finite numbers, nobody on two sides."""
    tables = {}
    for name, given in sides.items():
        X, y = _tuple(name, given, ("X", "y"))
        if not isinstance(X, pd.DataFrame):
            raise AttackError(f"The X of {name} is a {type(X).__name__}; give a DataFrame, whose columns have names.")
        if not X.columns.is_unique or list(X.columns) != list(sides["own"][0].columns):
            raise AttackError(f"The columns of {name} are not those of own; give the same ones, in the same order.")
        lira._array(f"X of {name}", X, 2)
        labels = lira._array(f"y of {name}", y, 1)
        if len(labels) != len(X) or not np.isin(labels, (0, 1)).all():
            raise AttackError(
                f"{name} has {len(X)} records and {len(labels)} labels from {labels.min():g} to {labels.max():g}; "
                "give one label a record, 0 or 1."
            )
        tables[name] = _Table(X, labels.astype(int))
    for first, second in itertools.combinations(tables, 2):
        _check_apart(first, tables[first].X, second, tables[second].X)
    return tables


def _check_apart(first: str, X: pd.DataFrame, second: str, other: pd.DataFrame) -> None:
    """Refuse a person on two sides: as member and non-member, or as one whose attribute the attacker knows."""
    rows = set(lira._rows(other, labelled=True))
    common = [row for row in lira._rows(X, labelled=True) if row in rows]
    if common:
        raise AttackError(
            f"{len(common)} records are in {first} and in {second}, such as the one {common[0][0]!r}; each of them "
            "must be in one set only."
        )


def _names(columns: Hashable | Sequence[Hashable], X: pd.DataFrame) -> list[Hashable]:
    names = list(columns) if isinstance(columns, list | tuple | pd.Index | np.ndarray) else [columns]
    missing = [name for name in names if name not in X.columns]
    if missing:
        raise AttackError(f"There is no column {missing[0]!r}; choose from {', '.join(map(str, X.columns))}.")
    if not names or len(set(names)) < len(names) or len(names) == X.shape[1]:
        raise AttackError(
            f"The attribute's columns are {names}; give at least one, each once, and leave a column to guess it from."
        )
    return names


def _candidates(own: pd.DataFrame, names: list[Hashable], values: ArrayLike | None) -> pd.DataFrame:
    """Return the values that the attribute can have, one a row."""
    if values is None:
        candidates = own[names].drop_duplicates().sort_values(names, ignore_index=True)
    else:
        given = lira._array("values", values)
        given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2 or given.shape[1] != len(names):
            raise AttackError(f"values has shape {given.shape}; give one row a value, with {len(names)} columns.")
        candidates = pd.DataFrame(given, columns=names)
    if candidates.duplicated().any():
        raise AttackError(
            f"The value {candidates[candidates.duplicated()].iloc[0].to_dict()} is given twice; once is enough."
        )
    if not 2 <= len(candidates) <= MOST_VALUES:
        raise AttackError(
            f"The attribute has {len(candidates)} values, but the attack guesses among 2 to {MOST_VALUES}; choose "
            "another attribute, or sort its values into groups first."
        )
    return candidates


def _codes(name: str, X: pd.DataFrame, candidates: pd.DataFrame) -> Codes:
    """Return the position of each record's value among the candidates."""
    positions = {tuple(value): number for number, value in enumerate(candidates.to_numpy(dtype=float))}
    codes = np.array([positions.get(tuple(row), -1) for row in X[candidates.columns].to_numpy(dtype=float)])
    if (codes < 0).any():
        odd = X[candidates.columns].iloc[int((codes < 0).argmax())]
        raise AttackError(
            f"The record {odd.name!r} of {name} has the value {odd.to_dict()}, which is none of those to guess among; "
            "add it to values, or leave such records out."
        )
    return codes
