"""What people do without a promise: draw each column from a decision tree on the columns before it.

The method of synthpop (Nowok, Raab and Dibben 2016), by sequential regression trees (Reiter 2005). Small leaves look
best and copy most: a leaf with one patient in it hands out that patient's value.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from ppml_helpers import checks
from ppml_helpers.errors import DataError


def sequential_trees(table: pd.DataFrame, seed: int, leaf: int = 5, rows: int | None = None) -> pd.DataFrame:
    """Draw a synthetic table, one column after the other, without noise.

    Parameters
    ----------
    table : DataFrame
        Any columns; the first is drawn by itself, each further one from a tree on those before it.
    seed : int
    leaf : int
        Patients in a leaf at least; 5 is synthpop's default.
    rows : int, optional
        As many as the table by default.

    Returns
    -------
    DataFrame
        Values of the table, in new combinations or in old ones.

    Raises
    ------
    DataError
        If the table is empty, or `leaf` or `rows` is out of range.
    """
    checks.table(table, "table", error=DataError)
    leaf = checks.whole(leaf, "leaf", 1, len(table), error=DataError)
    n = len(table) if rows is None else checks.whole(rows, "rows", 1, error=DataError)
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=DataError))
    codes = np.stack([pd.factorize(values, sort=True)[0] for _, values in table.items()], axis=1)
    donors = np.zeros((n, codes.shape[1]), dtype=np.int64)  # whose value each made-up row takes, by column
    made = np.zeros((n, codes.shape[1]), dtype=np.int64)
    donors[:, 0] = rng.integers(len(table), size=n)
    made[:, 0] = codes[donors[:, 0], 0]
    for column in range(1, codes.shape[1]):
        tree = DecisionTreeRegressor(min_samples_leaf=leaf, random_state=0)
        tree.fit(codes[:, :column], codes[:, column])
        leaves = tree.apply(codes[:, :column])
        donors[:, column] = _drawn(leaves, tree.apply(made[:, :column]), rng)
        made[:, column] = codes[donors[:, column], column]
    columns = {name: values.to_numpy()[donors[:, place]] for place, (name, values) in enumerate(table.items())}
    return pd.DataFrame(columns)


def _drawn(leaves: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each wanted leaf one of the rows that lie in it."""
    order = np.argsort(leaves, kind="stable")
    first = np.searchsorted(leaves[order], wanted, side="left")
    beyond = np.searchsorted(leaves[order], wanted, side="right")
    return order[first + (rng.random(len(wanted)) * (beyond - first)).astype(np.int64)]
