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
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from ppml_helpers import checks
from ppml_helpers.attack_and_audit import lira
from ppml_helpers.attack_and_audit.lira import finite
from ppml_helpers.errors import AttackError
from ppml_helpers.membership import Interval

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Records = tuple[pd.DataFrame, ArrayLike]

MOST_VALUES = 50
"""An attribute with more values is a measurement, and hardly ever guessed to the last digit."""

_RESAMPLES, _TAILS = 1000, (0.025, 0.975)  # of the bootstrap, and what its 95 % intervals leave out
_LEAST_PROBABILITY = 1e-6  # of an imputation that answers 0, so that the model may still object
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
    gain : float
        ``attack - imputation``: what the model adds.
    gain_interval : Interval
        Percentile bootstrap over records, 95 %; both guesses are about the same ones.
    truth, imputed, guessed : ndarray of int, shape (n,)
        For each record the true value, the imputed one and the attack's, as positions in the result's `values`.
    """

    commonest: float
    imputation: float
    attack: float
    gain: float
    gain_interval: Interval
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
        Percentile bootstrap over records, 95 %, for these weights.
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
    *,
    shadow: tuple[Any, Records, Records] | None = None,
    seed: int = 0,
) -> AttributeResult:
    """Guess an attribute of members and of non-members, with the model and without it.

    Parameters
    ----------
    model : object
        Whatever `lira.scores_of` takes.
    members, nonmembers : tuple of (X, y)
        Records that trained the model, and records that did not, as DataFrame and labels 0 and 1. Their attribute is
        looked at only to count right guesses.
    own : tuple of (X, y)
        The attacker's records, of other people, from which the attribute is imputed, by logistic regression on all
        other columns and the outcome. They hold every value that the attribute can have.
    columns : str or sequence of str
        The attribute: one column, or the columns that together encode it.
    shadow : tuple of (model, (X, y), (X, y)), optional
        A model of the same kind that the attacker trained, the records it was trained on, and some it was not trained
        on, again of other people. On them the attacker knows the answers and learns how much to trust such a model
        about its members and about others. Without it, the model's confidence counts as in Bayes' rule (Fredrikson et
        al. 2014), with weight 1.
    seed : int
        Of the bootstrap.

    Returns
    -------
    AttributeResult

    Notes
    -----
    The guess is the value v with the largest log P(v | rest, outcome) + w log p(outcome | rest, v): imputation, and w
    times the logarithm of the probability that the model gives to what really happened. A learnt weight w >= 0 is the
    one that makes the true values of the shadow model's members, or non-members, likeliest. Learning two weights keeps
    the comparison fair: with that of members, a model that is sure of its own patients misleads about others, and the
    difference would count what an attacker loses by the mistake as if it were what members lose.
    """
    sides = {"members": members, "nonmembers": nonmembers, "own": own}
    if shadow is not None:
        shadow_model, *parts = _tuple("shadow", shadow, ("model", "(X, y)", "(X, y)"))
        sides |= dict(zip(_SHADOW_SIDES, parts, strict=True))
    tables = _tables(sides)
    names = _names(columns, tables["own"].X)
    candidates = _candidates(tables["own"].X, names)
    codes = {name: _codes(name, table.X, candidates) for name, table in tables.items()}
    impute = _imputation(tables["own"], codes["own"], candidates)

    def evidence(name: str, asked: Any) -> tuple[Floats, Floats]:
        X, y = tables[name]
        # The probability of what really happened, on a log scale: log p = -log(1 + exp(-log-odds)).
        return impute(tables[name]), -np.logaddexp(0, -candidate_scores(asked, X, y, candidates))

    weights = [1.0, 1.0]
    if shadow is not None:
        weights = [_best_weight(*evidence(name, shadow_model), codes[name]) for name in _SHADOW_SIDES]
    commonest = int(np.bincount(codes["own"]).argmax())
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=AttackError))
    answers = {name: evidence(name, model) for name in ("members", "nonmembers")}
    found, gains = [], []
    for name, weight in (("members", weights[0]), ("nonmembers", weights[1]), ("nonmembers", weights[0])):
        imputed, asked = answers[name]
        together = imputed + weight * asked
        gains.append(_resampled_gain(imputed, together, codes[name], rng))
        found.append(_guesses(imputed, together, codes[name], commonest, gains[-1]))
    leak = found[0].gain - found[1].gain
    return AttributeResult(candidates, *weights, *found, leak, _percentiles(gains[0] - gains[1]))


def candidate_scores(model: Any, X: pd.DataFrame, y: ArrayLike, candidates: pd.DataFrame) -> Floats:
    """Ask the model about each record, completed with each value that the attribute could have."""
    answers = np.empty((len(X), len(candidates)))
    for number, value in enumerate(candidates.to_numpy()):
        completed = X.copy()
        completed[list(candidates.columns)] = value
        answers[:, number] = lira.scores_of(model, completed, y)
    return answers


def _imputation(own: _Table, codes: Codes, candidates: pd.DataFrame) -> Callable[[_Table], Floats]:
    """Learn from the attacker's records; return (records) -> log-probability of each value, one row each."""
    from sklearn.linear_model import LogisticRegression  # slow to load, and no other attack needs it

    fitted = LogisticRegression(max_iter=2000).fit(_rest(own, candidates), codes)

    def impute(records: _Table) -> Floats:
        return np.log(np.maximum(fitted.predict_proba(_rest(records, candidates)), _LEAST_PROBABILITY))

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


def _guesses(imputed: Floats, together: Floats, truth: Codes, commonest: int, gains: Floats) -> Guesses:
    without, guessed = imputed.argmax(axis=1), together.argmax(axis=1)
    right, right_without = int((guessed == truth).sum()), int((without == truth).sum())
    return Guesses(
        commonest=float((truth == commonest).mean()),
        imputation=right_without / len(truth),
        attack=right / len(truth),
        gain=(right - right_without) / len(truth),
        gain_interval=_percentiles(gains),
        truth=truth,
        imputed=without,
        guessed=guessed,
    )


def _resampled_gain(imputed: Floats, together: Floats, truth: Codes, rng: np.random.Generator) -> Floats:
    """Return the gain in each bootstrap resample of the records.

    A record adds -1, 0 or 1, so a resample is a draw of how many records of each kind it holds.
    """
    change = (together.argmax(axis=1) == truth).astype(int) - (imputed.argmax(axis=1) == truth)
    shares = np.bincount(change + 1, minlength=3) / len(truth)
    lost, _, won = rng.multinomial(len(truth), shares, size=_RESAMPLES).T
    return (won - lost) / len(truth)


def _percentiles(resampled: Floats) -> Interval:
    return Interval(*(float(end) for end in np.quantile(resampled, _TAILS)))


# What is refused -------------------------------------------------------------------------------------------------


def _tuple(name: str, given: Any, parts: tuple[str, ...]) -> tuple[Any, ...]:
    if not isinstance(given, tuple) or len(given) != len(parts):
        raise AttackError(f"{name} is a {type(given).__name__}; give the tuple ({', '.join(parts)}).")
    return given


def _tables(sides: dict[str, Any]) -> dict[str, _Table]:
    """Return the records of each side, checked: same columns, finite numbers, nobody on two sides."""
    tables = {}
    for name, given in sides.items():
        X, y = _tuple(name, given, ("X", "y"))
        checks.table(X, f"the X of {name}", error=AttackError, mend="its columns need names")
        if list(X.columns) != list(sides["own"][0].columns):
            raise AttackError(f"The columns of {name} are not those of own; give the same ones, in the same order.")
        finite(f"X of {name}", X, 2)
        labels = finite(f"y of {name}", y, 1)
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
    rows = set(_rows(other))
    common = [row for row in _rows(X) if row in rows]
    if common:
        raise AttackError(
            f"{len(common)} records are in {first} and in {second}, such as the one {common[0][0]!r}; each of them "
            "must be in one set only."
        )


def _rows(X: pd.DataFrame) -> list[tuple[Hashable, bytes]]:
    """Return label and content of each row: two people with the same values are two people."""
    values = X.to_numpy(dtype=float) + 0.0  # so that -0.0 is 0.0
    return list(zip(X.index, (row.tobytes() for row in values), strict=True))


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


def _candidates(own: pd.DataFrame, names: list[Hashable]) -> pd.DataFrame:
    """Return the values that the attribute can have, one a row."""
    candidates = own[names].drop_duplicates().sort_values(names, ignore_index=True)
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
            f"The record {odd.name!r} of {name} has the value {odd.to_dict()}, which none of the attacker's own has: "
            "leave such records out, or give more of the attacker's own."
        )
    return codes
