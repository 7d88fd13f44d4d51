"""Public levels of the columns: a table to codes and back.

A generator counts cells, so every column is cut into few levels. The cuts come from public knowledge
(`cohort.SUPPORT2`, the list of postcodes), never from the patients: an edge at the table's largest value gives it away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.cohort import COLUMNS, SUPPORT2, Category, Schema
from ppml_helpers.cohort.schema import Number
from ppml_helpers.cohort.table import refuse_values
from ppml_helpers.errors import DataError

Codes = NDArray[np.int64]

ORDER = (
    *("dzgroup", "hday", "scoma", "age", "pafi", "bili", "temp", "hrt", "resp", "bun", "crea", "sex", "diabetes"),
    *("num.co", "ph", "wblc", "edu", "income", "dementia", "meanbp", "glucose", "ca", "race", "urine", "sod", "alb"),
)
"""The columns that a model may see, most useful first. Found by forward selection on a half of the course's training
patients, before any test patient was looked at (sex was moved up); a hospital takes such an order from a paper."""

KEPT = 12
"""How many of them the chapter keeps."""

BINS = 5
"""Bins of a numeric column."""

_WHOLE = {"0/1", "count", "day", "score", "years", "US school years"}  # units counted in whole numbers here


@dataclass(frozen=True)
class Axis:
    """The public levels of one column.

    Parameters
    ----------
    name : str
    labels : tuple of str
        One a level.
    edges : tuple of float
        For numbers: level k lies between edges k and k + 1. Empty for names, whose labels are their values.
    whole : bool
        Whether there are whole numbers only.
    missing : bool
        Whether the last level means "missing".
    """

    name: str
    labels: tuple[str, ...]
    edges: tuple[float, ...] = ()
    whole: bool = False
    missing: bool = False

    @property
    def size(self) -> int:
        """Number of levels."""
        return len(self.labels)

    def encode(self, values: pd.Series) -> Codes:
        """Return the level of each value; a number beyond the outer edges belongs to the outer level."""
        given = values.notna().to_numpy()
        if not self.missing:
            refuse_values(values, ~given, "every row must have a value here")
        if not self.edges:
            codes = pd.Index(self.labels[: self.size - self.missing]).get_indexer(values.where(given, None))
            refuse_values(values, given & (codes < 0), f"it is none of the {self.size} public levels")
        else:
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
            refuse_values(values, given & ~np.isfinite(numbers), "must be a finite number")
            codes = np.digitize(numbers, self.edges[1:-1])
        return np.where(given, codes, self.size - 1).astype(np.int64)

    def decode(self, codes: Codes, rng: np.random.Generator) -> pd.Series:
        """Return a value for each level; a number is drawn evenly from its bin."""
        if not self.edges:
            names = np.array([*self.labels[: self.size - self.missing], *[None] * self.missing], dtype=object)
            return pd.Series(names[codes], name=self.name)
        edges = np.array(self.edges)
        low = np.minimum(codes, len(edges) - 2)
        numbers = edges[low] + np.diff(edges)[low] * rng.random(len(codes))
        numbers = np.rint(numbers) if self.whole else numbers
        return pd.Series(np.where(codes > len(edges) - 2, np.nan, numbers), name=self.name)


@dataclass(frozen=True)
class Domain:
    """Columns with public levels; the last one is the label, 0 or 1.

    Parameters
    ----------
    axes : tuple of Axis
    """

    axes: tuple[Axis, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns, the label last."""
        return [axis.name for axis in self.axes]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Levels of each column, the label's two last."""
        return tuple(axis.size for axis in self.axes)

    def encode(self, table: pd.DataFrame) -> Codes:
        """Return the table as levels.

        Parameters
        ----------
        table : DataFrame
            With the domain's columns, one row a person.

        Returns
        -------
        ndarray of int, shape (rows, columns)

        Raises
        ------
        DataError
            If a column lacks, or holds a value that is no public level. (Such a refusal says something about one
            person: it is for the table's holder, not for release.)
        """
        checks.table(table, "table", self.names, error=DataError)
        return np.stack([axis.encode(table[axis.name]) for axis in self.axes], axis=1)

    def decode(self, codes: Codes, rng: np.random.Generator) -> pd.DataFrame:
        """Return levels as a table of values like those that were encoded."""
        table = pd.DataFrame({axis.name: axis.decode(codes[:, k], rng) for k, axis in enumerate(self.axes)})
        return table.astype({self.names[-1]: np.int64})


def public_domain(
    columns: Iterable[str] = ORDER[:KEPT],
    bins: int = BINS,
    also: Iterable[Axis] = (),
    schema: Schema = SUPPORT2,
) -> Domain:
    """Return the public levels of columns of the course's patients.

    Parameters
    ----------
    columns : iterable of str
        Columns of the schema.
    bins : int
        Bins of a numeric column, 2 to 50. Whole numbers get at most one bin each; a share has one for 0 alone.
    also : iterable of Axis
        Further columns, such as a postcode.
    schema : Schema
        Bounds and names; SUPPORT2 by default. A column that may be empty in `cohort.COLUMNS` has a level for it.

    Returns
    -------
    Domain

    Raises
    ------
    DataError
        If a column is unknown, or given twice, or `bins` is out of range.
    """
    chosen, bins = list(columns), checks.whole(bins, "bins", 2, 50, error=DataError)
    axes = [_axis(checks.choice(name, "column", schema.columns, error=DataError), bins, schema) for name in chosen]
    axes += [*also, Axis(schema.label, ("0", "1"), (-0.5, 0.5, 1.5), whole=True)]
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names) or len(names) < 2:
        raise DataError(f"The columns {names[:-1]} must be one or more, each once: name them so.")
    return Domain(tuple(axes))


def _axis(name: str, bins: int, schema: Schema) -> Axis:
    role: Any = schema.columns[name]
    missing = name not in COLUMNS or not COLUMNS[name].required
    empty = ("missing",) if missing else ()
    if isinstance(role, Category):
        return Axis(name, (*role.levels, *empty), missing=missing)
    whole = role.unit in _WHOLE
    edges = _edges(role, bins, whole)
    ends = [(low + whole / 2, high - whole / 2) for low, high in pairwise(edges)]
    labels = [f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in ends]
    return Axis(name, (*labels, *empty), tuple(map(float, edges)), whole, missing)


def _edges(role: Number, bins: int, whole: bool) -> NDArray[np.float64]:
    """Cut a number's public range: evenly, evenly in the logarithm, or around its normal range."""
    low, high = role.low, role.high + whole
    if role.shape == "sides" and role.normal:
        below, above = role.normal
        outside = np.linspace(low, below, bins // 2 + 1), np.linspace(above, high, bins - bins // 2)
        return np.concatenate(outside)
    cut = np.geomspace if role.shape == "log" else np.linspace
    if whole and role.shape == "share":  # 0 means none, and is a level of its own
        return np.unique(np.r_[0, np.rint(cut(1, high, bins))]) - 0.5
    return np.unique(np.rint(cut(low, high, bins + 1))) - 0.5 if whole else cut(low, high, bins + 1)
