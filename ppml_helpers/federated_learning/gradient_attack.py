"""Gradient leakage: read patients out of what a hospital sends when it trains with others.

A model's first layer multiplies features by weights. One patient's gradient of those weights is the patient's
features times one number, and the gradient of the intercept is that number: dividing gives the features back (Phong et
al. 2018, section 3). All functions take plain arrays, whatever library made the update: a gradient, or a model after
local steps minus the model before.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ppml_helpers import cohort
from ppml_helpers.errors import AttackError
from ppml_helpers.people.fictional import Fictional

Records = NDArray[np.float64]

_TOLERANCE = 1e-6  # largest difference between numbers that count as equal

_CHART = """
    age=67 sex=female race=white edu=11 income=$11-$25k dzgroup=COPD num.co=3 scoma=0 diabetes=1 dementia=0 ca=no hday=4
    meanbp=62 wblc=14.2 hrt=112 resp=31 temp=38.6 pafi=190 alb=2.4 bili=0.8 crea=2.1 sod=131 ph=7.31 glucose=188 bun=41
    urine=900 hospdead=1
"""


def fictional_patient() -> Fictional:
    """Return one made-up patient to be recovered on the page, where no real patient's chart should be printed."""
    values = dict(entry.split("=") for entry in _CHART.split())
    chart = {name: value if _is_category(name) else float(value) for name, value in values.items()}
    return Fictional([chart], index=["a fictional patient"])


def binary_features() -> NDArray[np.bool_]:
    """Return which features can only be 0 or 1, in the order of `cohort.features`: an attacker knows it too."""
    yes_no = [
        [role.unit == "0/1" if isinstance(role, cohort.Number) else not role.ordered] * _width(role)
        for role in cohort.SUPPORT2.columns.values()
    ]
    return np.concatenate(yes_no)


def from_relu(weights: ArrayLike, biases: ArrayLike, binary: ArrayLike | None = None) -> Records:
    """Read records out of the gradient of a network's first layer of ReLU units.

    A unit that is silent for a patient takes nothing of that patient's gradient. A unit that fired for one patient of
    the batch alone therefore holds that patient's record; one that fired for several, a mixture. Units that fired for
    the same patients hold the same row, which is returned once.

    Parameters
    ----------
    weights : array_like of shape (n_units, n_features)
        Gradient of the first layer's weights.
    biases : array_like of shape (n_units,)
        Gradient of its biases.
    binary : array_like of bool, shape (n_features,), optional
        Which features are known to be 0 or 1. If given, rows that cannot be one patient are left out: a mixture
        rarely has whole numbers there, or stays within [-1, 1] elsewhere.

    Returns
    -------
    ndarray of shape (n_records, n_features)
        Candidates, in an order that depends on their values alone; without `binary`, mixtures included.
    """
    rows, steps = _finite("weights", weights, 2), _finite("biases", biases, 1)
    if len(rows) != len(steps):
        raise AttackError(f"weights has {len(rows)} units and biases {len(steps)}; give both of the same layer.")
    fired = np.abs(steps) > 1e-9 * np.abs(steps).max(initial=0.0)
    records = _distinct(rows[fired] / steps[fired, None])
    if binary is None:
        return records
    known = np.asarray(binary, dtype=bool)
    if known.shape != records.shape[1:]:
        raise AttackError(f"binary has shape {known.shape}, but there are {records.shape[1]} features; say it of each.")
    whole = np.abs(records - np.rint(np.clip(records, 0, 1))) <= _TOLERANCE
    within = np.abs(records) <= 1 + _TOLERANCE
    return records[np.where(known, whole, within).all(axis=1)]


def _distinct(rows: Records) -> Records:
    """Keep the first of the rows that are equal, after sorting them by value."""
    kept: list[Records] = []
    for row in rows[np.lexsort(np.rint(rows.T[::-1] / _TOLERANCE))]:
        if all(np.abs(row - other).max() > _TOLERANCE for other in kept):
            kept.append(row)
    return np.array(kept).reshape(-1, rows.shape[1])


def relative_error(recovered: ArrayLike, true: ArrayLike) -> float:
    """Return the distance of a recovered record from the true one, in lengths of the true one."""
    guess, truth = _finite("recovered", recovered, 1), _finite("true", true, 1)
    if guess.shape != truth.shape:
        raise AttackError(f"The recovered record has {len(guess)} features and the true one {len(truth)}.")
    length = float(np.linalg.norm(truth))
    if length == 0:
        raise AttackError("The true record is all zeros, so that an error relative to it means nothing.")
    return float(np.linalg.norm(guess - truth)) / length


def closest(recovered: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Return for each true record the relative error of the recovered one that is nearest to it.

    Parameters
    ----------
    recovered : array_like of shape (n_records, n_features)
    true : array_like of shape (n_patients, n_features)

    Returns
    -------
    ndarray of shape (n_patients,)
        Infinite if nothing was recovered. ``(closest(...) < 1e-3).sum()`` patients are known to the third digit.
    """
    guesses, truths = _finite("recovered", recovered, 2), _finite("true", true, 2)
    return np.array([min((relative_error(guess, truth) for guess in guesses), default=math.inf) for truth in truths])


def in_units(record: ArrayLike | pd.Series) -> pd.Series:
    """Write a record of features in the units of the patients' chart: what an attacker has really learned.

    Parameters
    ----------
    record : array_like of shape (n_features,)
        In the order of `cohort.features`.

    Returns
    -------
    Series of object
        One value a column of the chart, indexed by its name: a number in its unit, or a name of a category. Features
        outside [-1, 1] are taken to the nearest bound, so that a record ruined by noise still looks like a patient.
        The normal range of a vital sign comes back as its middle: `cohort.features` keeps no more.
    """
    features = np.clip(_finite("record", record, 1), -1, 1)
    columns = cohort.SUPPORT2.columns
    *ends, width = np.cumsum([_width(role) for role in columns.values()])
    if len(features) != width:
        raise AttackError(f"The record has {len(features)} features, but a chart makes {width}: give all of them.")
    read = {}
    for (name, role), part in zip(columns.items(), np.split(features, ends), strict=True):
        read[name] = _number(part, role) if isinstance(role, cohort.Number) else _category(part, role)
    return pd.Series(read, dtype=object)


def columns_right(read: ArrayLike, true: ArrayLike) -> int:
    """Count the columns of a chart that were read: numbers to within 5 %, categories exactly.

    Parameters
    ----------
    read, true : array_like of shape (n_features,)
        Records of features.

    Returns
    -------
    int
        Of 26 columns.
    """
    pairs = zip(in_units(true), in_units(read), strict=True)
    return sum(bool(np.isclose(b, a, 0.05, 1e-3)) if isinstance(a, float) else a == b for a, b in pairs)


def textbook_guess() -> NDArray[np.float64]:
    """Return the features of an empty chart, which are textbook values: what a guesser writes who saw no message."""
    empty = fictional_patient().astype(object)
    empty.loc[:, list(cohort.SUPPORT2.columns)] = None
    return cohort.features(empty)[0].to_numpy(float)[0]


def _is_category(name: str) -> bool:
    return isinstance(cohort.SUPPORT2.columns.get(name), cohort.Category)


def _width(role: cohort.Number | cohort.Category) -> int:
    if isinstance(role, cohort.Number):
        return 2 if role.shape == "sides" else 1
    return 1 if role.ordered else len(role.levels) - 1


def _number(part: Records, role: cohort.Number) -> float:
    if role.shape == "sides":
        below, above = role.normal
        low, high = part
        if max(low, high) <= 1e-9:
            return (below + above) / 2
        return below - low * (below - role.low) if low > high else above + high * (role.high - above)
    share = max(part[0], 0.0) if role.shape == "share" else (part[0] + 1) / 2
    if role.shape == "log":
        value = math.exp(math.log(role.low) + share * math.log(role.high / role.low))
        return min(max(value, role.low), role.high)  # rounding can overshoot
    return float(role.low + share * (role.high - role.low))


def _category(part: Records, role: cohort.Category) -> str:
    if role.ordered:
        step = np.rint((part[0] + 1) / 2 * (len(role.levels) - 1))
        return role.levels[int(step)]
    return role.levels[int(part.argmax()) + 1] if part.max() > 0.5 else role.levels[0]


def _finite(name: str, values: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise AttackError(f"{name} holds something that is no number; give an array of floats.") from None
    if numbers.ndim != dimensions or not numbers.shape[-1]:
        shape = "a row of numbers" if dimensions == 1 else "a table, one record a row"
        raise AttackError(f"{name} has shape {numbers.shape}; give {shape}.")
    if not np.isfinite(numbers).all():
        raise AttackError(f"{name} holds {numbers[~np.isfinite(numbers)][0]}, but every number must be finite.")
    return numbers
