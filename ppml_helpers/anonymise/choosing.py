"""Which columns: those that a task needs, and those by which people stand alone.

The first question is asked before a release is made (data minimisation), the second of every column that is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from ppml_helpers import checks, cohort, words
from ppml_helpers.anonymise.models import checked_columns, value_codes
from ppml_helpers.errors import AnonymityError

_FOLDS = 3


def useful_columns(
    patients: pd.DataFrame,
    count: int,
    columns: Iterable[str] | None = None,
    seed: int = 0,
    schema: cohort.Schema = cohort.SUPPORT2,
) -> list[str]:
    """Choose columns for a model of death in hospital: one at a time, each time the one that helps most.

    Forward selection by the AUC of a logistic regression in three folds. Choose on patients on whom nothing is tested
    later, or the test is flattered.

    Parameters
    ----------
    patients : DataFrame
        With the schema's label and the columns to choose from.
    count : int
        Columns wanted.
    columns : iterable of str, optional
        Where to choose from, columns of the schema; all of them by default.
    seed : int
        Deals the patients to the folds.
    schema : Schema
        Of the patients of the course by default.

    Returns
    -------
    list of str
        In the order in which they were chosen: the first alone helps most.

    Raises
    ------
    AnonymityError
        If more columns are wanted than there are.
    DataError
        If a column is unknown or lacking.
    """
    names = list(schema.columns if columns is None else columns)
    count = checks.whole(count, "count", 1, len(names), error=AnonymityError, mend="there are no more columns")
    features = {name: cohort.features(patients, [name], schema)[0].to_numpy() for name in names}
    deaths = cohort.features(patients, names[:1], schema)[1].to_numpy()
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=checks.whole(seed, "seed", 0, error=AnonymityError))
    model = LogisticRegression(solver="newton-cholesky")

    def auc(chosen: list[str]) -> float:
        X = np.hstack([features[name] for name in chosen])
        return cross_val_score(model, X, deaths, cv=folds, scoring="roc_auc").mean()

    chosen: list[str] = []
    while len(chosen) < count:
        chosen.append(max((name for name in names if name not in chosen), key=lambda name: auc([*chosen, name])))
    return chosen


def singling_out(df: pd.DataFrame, columns: Iterable[Hashable] | None = None, most: int = 3) -> pd.DataFrame:
    """Rank sets of columns by how many rows stand alone in them: candidates for quasi-identifiers.

    A set ranks high because its values differ between people. Whether anybody knows them is another question, which no
    table answers.

    Parameters
    ----------
    df : DataFrame
        One row a person.
    columns : iterable of column names, optional
        All by default.
    most : int
        Columns in the largest sets, 1 or more. All sets are counted: 26 columns have 2,951 of at most three.

    Returns
    -------
    DataFrame
        One row a set, indexed by its columns as text: `size` of the set, rows `alone`, and their `share`. The largest
        share first; of equals the smaller set.

    Raises
    ------
    AnonymityError
        If the table is empty or a column is unknown.
    """
    names = checked_columns(df, df.columns if columns is None else columns)
    most = checks.whole(most, "most", 1, len(names), error=AnonymityError, mend="there are no more columns")
    codes = {name: value_codes(df[name])[0] for name in names}
    groups = {(): np.zeros(len(df), dtype=np.int64)}
    found = []
    for size in range(1, most + 1):
        wider = {}
        for chosen in itertools.combinations(names, size):
            last = codes[chosen[-1]]
            group = pd.factorize(groups[chosen[:-1]] * (int(last.max()) + 1) + last)[0]
            found.append((words.listed(chosen), size, int((np.bincount(group) == 1).sum())))
            if size < most:
                wider[chosen] = group
        groups = wider
    ranked = pd.DataFrame(found, columns=["columns", "size", "alone"]).set_index("columns")
    ranked["share"] = ranked["alone"] / len(df)
    return ranked.sort_values(["alone", "size"], ascending=[False, True], kind="stable")
