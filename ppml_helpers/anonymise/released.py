"""What leaves the hospital: a released table without any thread back to the rows it came from.

The order of rows and the index of a table are data. A table that keeps them tells anyone who holds a list in the same
order (by admission, by record number) which row is whose, and which rows were suppressed. `release` therefore sorts
the rows by their own values and numbers them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.columns import simple
from ppml_helpers.errors import AnonymityError

Recoder = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class Released:
    """An anonymised table, and what its holder knows about it.

    Only `table` is meant to be given away.

    Parameters
    ----------
    table : DataFrame
        The released rows with a RangeIndex, in an order that depends on the table alone; quasi-identifiers as labels.
    qi : tuple of str
        The quasi-identifiers.
    kept : ndarray of int, shape (rows,)
        Position in the original of each released row. It names patients: it stays with the holder.
    n : int
        Rows of the original.
    ncp : ndarray of float, shape (rows, len(qi))
        Normalised certainty penalty of each released value: 0 exact, 1 nothing known (Xu et al. 2006).
    node : dict of str to int, or None
        Level of each quasi-identifier, if one level holds for the whole column.
    recoder : callable
        Generalises another table in the same way.
    """

    table: pd.DataFrame
    qi: tuple[str, ...]
    kept: np.ndarray
    n: int
    ncp: np.ndarray
    node: dict[str, int] | None
    recoder: Recoder = field(repr=False)

    @property
    def suppressed(self) -> int:
        """Number of rows that were left out."""
        return self.n - len(self.table)

    def recode(self, other: pd.DataFrame) -> pd.DataFrame:
        """Generalise whichever quasi-identifiers another table has, the same way as in this release.

        Parameters
        ----------
        other : DataFrame
            A register, or patients to test a model on, with original values.

        Returns
        -------
        DataFrame
            A copy with the labels of this release; other columns, rows and index as they were.

        Raises
        ------
        AnonymityError
            If a value is unknown to the release.
        """
        return self.recoder(checks.table(other, "The table to recode", error=AnonymityError))


def check_released(released: Released, some: bool = False) -> None:
    """Refuse what is no release or, with `some`, one without rows."""
    if not isinstance(released, Released):
        raise AnonymityError(
            f"The release is a {type(released).__name__}, not a Released: pass what `Lattice.apply` or `mondrian` gave."
        )
    if some and released.table.empty:
        raise AnonymityError(
            f"All {released.n} rows were suppressed, so nothing is left to use: choose a smaller k or l, or a larger t."
        )


def release(
    table: pd.DataFrame,
    qi: Sequence[str],
    kept: np.ndarray,
    n: int,
    ncp: np.ndarray,
    node: dict[str, int] | None,
    recoder: Recoder,
) -> Released:
    """Cut every thread between anonymised rows and the rows they came from.

    The arguments are the fields of `Released`; row i of `table`, its quasi-identifiers already generalised, came from
    position ``kept[i]``. The rows are sorted by their own values, quasi-identifiers first; no category and no entry of
    an Arrow dictionary stays that no row has, and only texts stay in ``attrs`` (an attribute could hold positions).
    """
    columns = [*qi, *(column for column in table.columns if column not in qi)]
    order = order_of(len(table), (ranks_of(table[column]) for column in columns))
    clean = {}
    for column in table.columns:
        values = table[column].array.take(order)
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.remove_unused_categories()
        elif isinstance(values.dtype, pd.ArrowDtype) and hasattr(values.dtype.pyarrow_dtype, "value_type"):
            values = pd.array(list(values), dtype=values.dtype)  # a dictionary, or lists of them, built anew
        clean[column] = pd.Series(values, dtype=values.dtype)  # or pandas would guess anew
    # The table's own class, so that a table that shows itself as fictional goes on doing so.
    sorted_table = table._constructor(clean, columns=table.columns, index=pd.RangeIndex(len(table)))
    sorted_table.attrs = {key: text for key, text in table.attrs.items() if isinstance(text, str)}
    return Released(sorted_table, tuple(qi), np.asarray(kept)[order], n, np.asarray(ncp)[order], node, recoder)


def ranks_of(column: pd.Series) -> np.ndarray:
    """Return the rank of each value among the distinct values of a column; equal values share a rank, missing is last.

    Two values compare the same way whatever else the column holds: numbers before text, text before anything else
    (which is ordered as text). An order that changed with a suppressed row's value would tell of that row.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, ranks = column.cat.codes.to_numpy(), ranks_of(pd.Series(column.cat.categories))
        return np.append(ranks, len(ranks))[codes]
    column = simple(column)
    if column.dtype == object:  # 1, 1.0 and True are equal but do not look so: the type counts too
        keys = [(*_sort_key(value), type(value).__name__) for value in column]
        number = {key: rank for rank, key in enumerate(sorted(set(keys)))}
        return np.array([number[key] for key in keys], dtype=np.int64)
    codes, uniques = pd.factorize(column.array)
    if isinstance(uniques, np.ndarray):
        order = np.argsort(uniques)
    else:
        keys = [_sort_key(value) for value in uniques.tolist()]
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = len(order)
    return rank[codes]


def _sort_key(value: Any) -> tuple[int, Any]:
    if isinstance(value, str):
        return 1, value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return 3, ""
    if isinstance(value, int | float | np.integer | np.floating | np.bool_):
        return 0, value
    return 2, f"{type(value).__name__} {value}"


def order_of(rows: int, ranks: Iterable[np.ndarray]) -> np.ndarray:
    """Return the order that sorts rows by the first rank, then the second, ...; it stops when no tie is left."""
    key, size = np.zeros(rows, dtype=np.int64), 1
    for rank in ranks:
        card = int(rank.max(initial=0)) + 1
        if size * card > 2**62:
            distinct, key = np.unique(key, return_inverse=True)
            size = len(distinct)
            if size == rows:
                break
        key, size = key * card + rank, size * card
    return np.argsort(key.astype(np.uint16) if size <= 2**16 else key, kind="stable")  # the short kind sorts faster
