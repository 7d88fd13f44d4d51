"""Data minimisation: what a task loses when columns are left out, and the columns in words that a picture can hold."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from ppml_helpers import cohort

PARTS = ("design", "study")
"""Where columns are chosen, and where the choice is reported: a quarter of the patients, and the others."""

IN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "age": "age",
        "sex": "sex",
        "race": "race",
        "edu": "education",
        "income": "income",
        "dzgroup": "diagnosis",
        "num.co": "other illnesses",
        "scoma": "depth of coma",
        "diabetes": "diabetes",
        "dementia": "dementia",
        "ca": "cancer",
        "hday": "day in hospital",
        "meanbp": "blood pressure",
        "wblc": "white cells",
        "hrt": "heart rate",
        "resp": "breathing rate",
        "temp": "temperature",
        "pafi": "blood oxygen",
        "alb": "albumin",
        "bili": "bilirubin",
        "crea": "creatinine",
        "sod": "sodium",
        "ph": "blood pH",
        "glucose": "glucose",
        "bun": "urea nitrogen",
        "urine": "urine",
    }
)
"""The columns of the task; `data/DATA_CARD.md` has the exact meaning and the unit of each."""


@cache
def auc_of(columns: tuple[str, ...], part: str) -> float:
    """Return the mean 5-fold AUC of logistic regression on these columns, within one of `PARTS`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    patients = cohort.load_patients()
    parts = cohort.split(*cohort.features(patients), seed=0)
    chosen = patients.loc[{"design": parts.X_test, "study": parts.X_train}[part].index]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    X, y = cohort.features(chosen, columns=columns)
    model = LogisticRegression(max_iter=1000, tol=1e-6)
    return float(cross_val_score(model, X, y, cv=folds, scoring="roc_auc").mean())


def cost_of(columns: tuple[str, ...], part: str) -> float:
    """Return how much AUC is lost against all columns, within one of `PARTS`."""
    return auc_of(tuple(cohort.SUPPORT2.columns), part) - auc_of(columns, part)
