"""What a release is still good for: loss of information, sizes of classes, and a model trained on it.

The first three measures are cheap and look at labels and classes only. They need not agree with the fourth, and it is
the fourth that a user feels: a lower information loss is no better model if the detail that was kept is of no use.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ppml_helpers import checks, cohort
from ppml_helpers.anonymise.demand import checked_weights
from ppml_helpers.anonymise.hierarchy import MISSING, Hierarchy
from ppml_helpers.anonymise.models import Real, Whole, class_numbers, value_codes
from ppml_helpers.anonymise.multidimensional import Boxes, numbers_of
from ppml_helpers.anonymise.released import Released, check_released
from ppml_helpers.errors import AnonymityError

_TENTHS = 10  # groups of patients in which forecasts are compared with what happened
_MOST_NAMES = 32  # on an axis with more, a box is known by its place in their order


def ncp(released: Released, weights: Mapping[Hashable, float] | None = None) -> float:
    """Return the information loss of a release: the normalised certainty penalty (Xu et al. 2006).

    A value costs (base values under its label - 1) / (base values - 1): 0 if it is exact, 1 if it says nothing. A row
    costs the mean of its quasi-identifiers, and a suppressed row 1. Compare it within one method: what counts as a
    base value is up to the hierarchies.

    Parameters
    ----------
    released : Released
        From `Lattice.apply` or `mondrian`.
    weights : mapping of column name to float, optional
        Importance of each quasi-identifier, 0 or more; 1 where not given.

    Returns
    -------
    float
        Mean over all rows of the original, from 0 to 1.

    Raises
    ------
    AnonymityError
        If a weight is negative, all are 0, or one is given to a column that is no quasi-identifier.
    """
    check_released(released)
    share = checked_weights(weights, released.qi)
    return float(((released.ncp @ share).sum() + released.suppressed) / released.n)


def discernibility(released: Released) -> int:
    """Return the discernibility metric (Bayardo and Agrawal 2005): how many rows each row cannot be told from, summed.

    A row of a class of f rows costs f, a suppressed row costs n, the rows of the original.

    Returns
    -------
    int
        From n (every row alone) to n squared.
    """
    check_released(released)
    sizes = np.bincount(class_numbers(released.table[name] for name in released.qi))
    return int((sizes**2).sum()) + released.suppressed * released.n


class Quality(NamedTuple):
    """How well forecasts fit what happened.

    Attributes
    ----------
    auc : float
        Area under the ROC curve; 0.5 is guessing.
    log_loss : float
        Mean of -log of the probability given to what really happened, in nats; 0 is perfect.
    calibration : float
        Test patients in tenths by their forecast: mean gap between the mean forecast and the share of deaths, from 0
        (a forecast of 30 % is right 30 times in 100) to 1.
    """

    auc: float
    log_loss: float
    calibration: float


def quality(deaths: Iterable[int], forecast: Iterable[float]) -> Quality:
    """Compare forecasts with what happened.

    Parameters
    ----------
    deaths : array_like of int, shape (patients,)
        0 or 1, both of them.
    forecast : array_like of float, shape (patients,)
        Probability of death.

    Returns
    -------
    Quality
    """
    deaths, forecast = np.asarray(deaths, dtype=float), np.asarray(forecast, dtype=float)
    tenths = np.array_split(np.argsort(forecast, kind="stable"), min(_TENTHS, len(deaths)))
    gaps = [abs(forecast[part].mean() - deaths[part].mean()) * len(part) for part in tenths]
    return Quality(
        float(roc_auc_score(deaths, forecast)), float(log_loss(deaths, forecast)), float(sum(gaps) / len(deaths))
    )


def model_auc(
    released: Released,
    extract_train: pd.DataFrame,
    extract_test: pd.DataFrame,
    columns: Iterable[str] | None = None,
) -> float:
    """Return the AUC of the model of `model_quality`, with its arguments and errors."""
    return model_quality(released, extract_train, extract_test, columns).auc


def model_quality(
    released: Released,
    extract_train: pd.DataFrame,
    extract_test: pd.DataFrame,
    columns: Iterable[str] | None = None,
) -> Quality:
    """Train a model of death in hospital on a release, and test it on patients who were not in it.

    Logistic regression (scikit-learn's, penalty C = 1), which has no random part. It is trained on the released rows,
    with the quasi-identifiers as labels; suppressed rows are gone. It is tested on real patients whose
    quasi-identifiers are recoded by the same rule, for Mondrian too (where testing on raw values is common, and
    kinder). All test patients count, also those whose class would have been suppressed.

    Features of a label: for numbers and dates the mean of the base values under it, on a scale from -1 to 1, and 0 for
    "missing"; for names one feature for each label. Features of a Mondrian box: the middle of numbers and dates,
    prepared as `cohort.features` prepares a value where it knows the column; for names the share of each, or their
    place in the order if there are more than 32. Other columns become those of `cohort.features`.

    Parameters
    ----------
    released : Released
        A release of `extract_train`.
    extract_train, extract_test : DataFrame
        Patients with `hospdead`, the quasi-identifiers and `columns`.
    columns : iterable of str, optional
        What the model may see: quasi-identifiers of the release (by default all, and nothing else) and columns of
        `cohort.SUPPORT2`.

    Returns
    -------
    Quality
        On `extract_test`.

    Raises
    ------
    AnonymityError
        If nothing or only one outcome was released, the tables do not belong together, or a column is unknown.
    """
    risks = model_risks(released, extract_train, extract_test, columns)
    return quality(_deaths(extract_test, "the test patients"), risks)


def model_risks(
    released: Released,
    extract_train: pd.DataFrame,
    extract_test: pd.DataFrame,
    columns: Iterable[str] | None = None,
) -> Real:
    """Return the risk that the model of `model_quality` tells each row of `extract_test`, with its errors."""
    check_released(released, some=True)
    own, clinical = _checked_columns(released, extract_train, extract_test, columns)
    train = extract_train.iloc[released.kept]
    y = _deaths(train, "the released rows")
    blocks = _label_features(released, own, extract_test)
    if clinical:
        blocks.append((cohort.features(train, clinical)[0], cohort.features(extract_test, clinical)[0]))
    X, X_test = (np.hstack(sides) for sides in zip(*blocks, strict=True))
    weight = np.ones(len(y))
    if not clinical:
        # Rows of one class look alike: count them instead of repeating them. The fit is the same and much faster.
        group = class_numbers(released.table[name] for name in own) * 2 + y
        _, row, count = np.unique(group, return_index=True, return_counts=True)
        X, y, weight = X[row], y[row], count.astype(float)
    model = LogisticRegression(max_iter=1000).fit(X, y, sample_weight=weight)
    return model.predict_proba(X_test)[:, 1]


# --------------------------------------------------------------------------------------------------------------
# Features of labels
# --------------------------------------------------------------------------------------------------------------


def _label_features(released: Released, own: list[str], extract_test: pd.DataFrame) -> list[tuple[Real, Real]]:
    """Return the features of each quasi-identifier in `own`: of the released rows, and of the test patients."""
    if isinstance(released.recoder, Boxes):
        boxes = released.recoder
        here, there = boxes.box[released.kept], boxes.find(extract_test)
        return [(block[here], block[there]) for block in (_box_features(boxes, name) for name in own)]
    recoded = released.recode(extract_test[own])
    pairs = []
    for name in own:
        codes, labels = value_codes(pd.concat([released.table[name], recoded[name]], ignore_index=True))
        number = _label_numbers(*released.recoder.levels[name])
        if number is None:
            known = np.unique(codes[: len(released.table)])  # a label of no released row is none of them
            block = np.eye(len(labels) + 1)[:, known]
        else:
            block = np.array([number.get(str(label), 0.0) for label in [*labels, MISSING]])[:, None]
        pairs.append((block[codes[: len(released.table)]], block[codes[len(released.table) :]]))
    return pairs


def _label_numbers(hierarchy: Hierarchy, level: int) -> dict[str, float] | None:
    """Return the mean of the base values under each label, from -1 to 1; None if they are names.

    "missing" is not among them: whoever looks it up takes 0, the middle of the scale.
    """
    there = ~hierarchy.values.isna()
    numbers = numbers_of(hierarchy.values[there])
    if numbers is None:
        return None
    codes = hierarchy.codes(level)[there]
    labels = hierarchy.labels(level)
    count = np.bincount(codes, minlength=len(labels))
    total = np.bincount(codes, _scaled(numbers, numbers), minlength=len(labels))
    return {str(labels[code]): float(total[code] / count[code]) for code in np.flatnonzero(count)}


def _box_features(boxes: Boxes, name: Hashable) -> Real:
    """Return the features of each box on one axis: the middle of numbers, the share of each name."""
    place = [axis.name for axis in boxes.axes].index(name)
    axis, low, high = boxes.axes[place], boxes.low[:, place], boxes.high[:, place]
    if axis.numbers is not None:
        final = len(axis.numbers) - 1  # a missing value has the code after it, and no number
        middle = axis.numbers[np.minimum(np.column_stack([low, high]), final)].mean(axis=1)
        if isinstance(cohort.SUPPORT2.columns.get(name), cohort.Number):
            values = pd.DataFrame({name: np.where(low > final, np.nan, middle), cohort.SUPPORT2.label: 0})
            return cohort.features(values, [name])[0].to_numpy()
        return np.where(low > final, 0.0, _scaled(middle, axis.numbers))[:, None]
    if axis.last >= _MOST_NAMES:
        return ((low + high) / axis.last - 1)[:, None]
    code = np.arange(axis.last + 1)
    inside = (code >= low[:, None]) & (code <= high[:, None])
    return inside / inside.sum(axis=1, keepdims=True)


def _scaled(numbers: Real, base: Real) -> Real:
    """Return numbers on the scale from -1 (least of the base values) to 1 (greatest)."""
    return 2 * (numbers - base.min()) / max(np.ptp(base), np.finfo(float).tiny) - 1


# --------------------------------------------------------------------------------------------------------------
# Checks
# --------------------------------------------------------------------------------------------------------------


def _checked_columns(
    released: Released, train: pd.DataFrame, test: pd.DataFrame, columns: Iterable[str] | None
) -> tuple[list[str], list[str]]:
    """Return the quasi-identifiers and the other columns that the model may see."""
    chosen = list(released.qi if columns is None else columns)
    if not chosen:
        raise AnonymityError("No column was chosen for the model: name at least one, or leave `columns` out.")
    for name in chosen:
        checks.choice(name, "A column", [*released.qi, *cohort.SUPPORT2.columns], error=AnonymityError)
    own = [name for name in chosen if name in released.qi]
    clinical = [name for name in chosen if name not in released.qi]
    checks.table(train, "extract_train", [*clinical, cohort.SUPPORT2.label], error=AnonymityError)
    checks.table(test, "extract_test", [*chosen, cohort.SUPPORT2.label], error=AnonymityError)
    if len(train) != released.n:
        raise AnonymityError(
            f"The release was made from {released.n} rows, but extract_train has {len(train)}: pass the table that was "
            f"anonymised."
        )
    return own, clinical


def _deaths(patients: pd.DataFrame, who: str) -> Whole:
    """Return the outcome of each patient, 0 or 1; both must occur."""
    label = cohort.SUPPORT2.label
    values = patients[label].to_numpy()
    if set(values) != {0, 1}:
        held = ", ".join(sorted(map(str, set(values))))
        raise AnonymityError(f"{label} of {who} holds {held}, a model needs both 0 and 1: take other rows.")
    return values.astype(np.int64)
