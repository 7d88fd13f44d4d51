"""What a synthetic table is good for: train on it, test on real patients, and look at those who are few.

`explored` does all of it for one setting of the explorer's knobs, and attacks the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ppml_helpers import checks, cohort
from ppml_helpers.accounting import DELTA
from ppml_helpers.errors import TrainingDataError
from ppml_helpers.synthetic_tables.attacks import clinical, members_by_distance
from ppml_helpers.synthetic_tables.domain import ORDER, public_domain
from ppml_helpers.synthetic_tables.generator import Model, measure

_LABEL = cohort.SUPPORT2.label
_ASKED = 2_000  # patients a side whom the explorer's attack judges: more take seconds


class Usefulness(NamedTuple):
    """A model trained on one table, tested on patients who are in none.

    Attributes
    ----------
    auc : float
        Area under the ROC curve.
    log_loss : float
        Mean minus logarithm of the probability that was given to what happened; guessing the real death rate for all
        gives about 0.57 on the course's patients.
    expected : float
        Deaths that the model expects for each one that happened: 1 is calibrated in the large.
    """

    auc: float
    log_loss: float
    expected: float


def train_and_test(table: pd.DataFrame, test: pd.DataFrame) -> Usefulness:
    """Train logistic regression on the clinical columns of a table, real or synthetic; test on real patients.

    Parameters
    ----------
    table : DataFrame
        With the label and at least one clinical column.
    test : DataFrame
        Patients with the same columns.

    Returns
    -------
    Usefulness
        Of guessing one probability for all if the table holds one outcome only.

    Raises
    ------
    TrainingDataError
        If the table has no clinical column.
    """
    names = clinical(table)
    if not names:
        raise TrainingDataError("The table has no column of the patients' schema: give one that has, such as age.")
    X, y = cohort.features(table, names)
    X_test, y_test = cohort.features(test, names)
    if y.nunique() == 1:
        predicted = np.full(len(y_test), (y.sum() + 1) / (len(y) + 2))
    else:
        predicted = LogisticRegression(max_iter=1000).fit(X, y).predict_proba(X_test)[:, 1]
    auc, loss = float(roc_auc_score(y_test, predicted)), float(log_loss(y_test, predicted, labels=[0, 1]))
    return Usefulness(auc, loss, float(predicted.sum() / y_test.sum()))


class Group(NamedTuple):
    """A group of patients: its share of a table, and the share of it that died (NaN if nobody is in it)."""

    share: float
    died: float


def group(table: pd.DataFrame, column: str, level: str) -> Group:
    """Return how large a group is in a table, and how many of it died."""
    checks.table(table, "table", [column, _LABEL], error=TrainingDataError)
    inside = table[column] == level
    return Group(float(inside.mean()), float(table[_LABEL][inside].mean()))


def rarest(table: pd.DataFrame, column: str = "dzgroup") -> str:
    """Return the level of a column that the fewest rows have."""
    return str(table[column].value_counts().index[-1])


class Explored(NamedTuple):
    """One synthetic table: what made it, what it is good for, and what it leaks."""

    model: Model
    table: pd.DataFrame
    use: Usefulness
    real: Usefulness  # of the same columns of the patients themselves
    advantage: float  # of the attack by the nearest row, on patients in the table and patients like them


def explored(
    train: pd.DataFrame,
    test: pd.DataFrame,
    epsilon: float,
    columns: int,
    rows: int,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> Explored:
    """Make a synthetic table of the first columns of `ORDER`, use it, and attack it.

    Parameters
    ----------
    train, test : DataFrame
        Patients to make it from, and patients to test and to attack with.
    epsilon : float
        The promise, at the course's delta; infinity is none.
    columns, rows : int
        Columns kept, and rows made.
    seed : int
        Of noise, rows and attack: seeded for display.
    progress : callable

    Returns
    -------
    Explored
    """
    kept = ORDER[: checks.whole(columns, "columns", 1, len(ORDER), error=TrainingDataError)]
    own = [*kept, _LABEL]
    progress(0.1, "measuring")
    model = measure(train, public_domain(kept), epsilon, DELTA, seed)
    table = model.sample(seed, rows)
    progress(0.4, "training")
    use, real = train_and_test(table, test), train_and_test(train[own], test)
    progress(0.6, "attacking")
    asked = min(_ASKED, len(train), len(test))
    sides = (people[own].sample(asked, random_state=seed) for people in (train, test))
    return Explored(model, table, use, real, members_by_distance(table, *sides, seed).advantage)
