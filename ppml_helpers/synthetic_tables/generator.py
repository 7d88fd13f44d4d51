"""A synthetic table with a promise: select, measure, generate, on a tree.

The idea of MST (McKenna, Miklau and Sheldon 2021): measure small tables of counts with noise, choose by noisy scores
which pairs of columns belong together, and draw rows that agree with what was measured. The task is public (predict
the label), so every column is measured together with the label, and the pairs too: given the label, each column
hangs on one other column at most (a tree-augmented naive Bayes model: Friedman, Geiger and Goldszmidt 1997).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.accounting import DELTA
from ppml_helpers.errors import PrivacyParameterError
from ppml_helpers.synthetic_tables.domain import Codes, Domain
from ppml_helpers.synthetic_tables.ledger import Ledger, epsilon_of, rho_of, share_of

Counts = NDArray[np.float64]
Edge = tuple[int, int]

SHARES = (0.5, 0.1, 0.4)
"""Of the budget: every column with the label; choosing pairs; the chosen pairs with the label. Tried with the number of
bins on one half of the training patients, judged on the other."""

MOST_CELLS = 500
"""Pairs whose table (with the label) is larger are no candidates: a public rule, so that a postcode of 600 levels does
not drown the counts in noise."""

_FITTED = 50  # rounds of fitting a pair's table to its columns'
_LEAST = 1e-3  # rows: no cell is ruled out by noise


@dataclass(frozen=True)
class Model:
    """What was measured, and what rows are drawn from. All of it may be published: the table is not behind it any more.

    Attributes
    ----------
    domain : Domain
    labels : ndarray, shape (2,)
        Estimated rows by label; their sum stands for the number of rows, which is secret too.
    columns : tuple of ndarray
        One a column, shape (2, levels): estimated rows by label and level.
    pairs : dict
        From a chosen pair of columns to estimated rows, shape (2, levels, levels).
    noisy : dict
        From columns (positions, the label first) to the counts as they were released.
    ledger : Ledger
    delta : float
    """

    domain: Domain
    labels: Counts
    columns: tuple[Counts, ...]
    pairs: dict[Edge, Counts]
    noisy: dict[tuple[int, ...], NDArray[np.int64]]
    ledger: Ledger
    delta: float

    @property
    def epsilon(self) -> float:
        """What the ledger's entries promise together, at `delta`."""
        return epsilon_of(self.ledger.spent, self.delta)

    @property
    def rows(self) -> int:
        """The estimated number of rows."""
        return max(1, round(float(self.labels.sum())))

    @property
    def tree(self) -> list[tuple[str, str]]:
        """The chosen pairs by name."""
        names = self.domain.names
        return [(names[one], names[other]) for one, other in self.pairs]

    def sample(self, seed: int, rows: int | None = None) -> pd.DataFrame:
        """Draw a synthetic table; the patients are not asked again, so any number of tables costs nothing.

        Parameters
        ----------
        seed : int
        rows : int, optional
            The estimated number of rows by default.

        Returns
        -------
        DataFrame
            Columns of the domain.
        """
        rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=PrivacyParameterError))
        n = self.rows if rows is None else checks.whole(rows, "rows", 1, 10**7, error=PrivacyParameterError)
        codes = np.zeros((n, len(self.domain.axes)), dtype=np.int64)
        codes[:, -1] = rng.random(n) < self.labels[1] / self.labels.sum()
        for column, parent in self._order():
            table = self.columns[column][:, None] if parent is None else self._pair(parent, column)
            given = np.zeros(n, dtype=np.int64) if parent is None else codes[:, parent]
            up_to = np.cumsum(table, axis=-1)[codes[:, -1], given]
            codes[:, column] = (rng.random(n)[:, None] * up_to[:, -1:] >= up_to[:, :-1]).sum(axis=1)
        return self.domain.decode(codes, rng)

    def _pair(self, one: int, other: int) -> Counts:
        return self.pairs[one, other] if (one, other) in self.pairs else self.pairs[other, one].swapaxes(1, 2)

    def _order(self) -> list[tuple[int, int | None]]:
        """Return the columns so that each comes after the one that it hangs on."""
        order: list[tuple[int, int | None]] = []
        seen: set[int] = set()
        for root in range(len(self.columns)):
            waiting: list[tuple[int, int | None]] = [] if root in seen else [(root, None)]
            while waiting:
                column, parent = waiting.pop()
                seen.add(column)
                order.append((column, parent))
                near = sorted({end for edge in self.pairs if column in edge for end in edge} - seen)
                waiting += [(other, column) for other in near]
        return order


def measure(
    table: pd.DataFrame,
    domain: Domain,
    epsilon: float,
    delta: float = DELTA,
    seed: int | None = None,
    shares: tuple[float, float, float] = SHARES,
) -> Model:
    """Select and measure: everything that is ever asked of the patients.

    Parameters
    ----------
    table : DataFrame
        With the domain's columns, one row a person.
    domain : Domain
    epsilon : float
        The promise, above 0, for tables that differ by one row more or less. Infinity measures exactly and promises
        nothing: the control.
    delta : float
        In (0, 1).
    seed : int, optional
        For display only, see `Ledger`.
    shares : (float, float, float)
        See `SHARES`; they add up to 1.

    Returns
    -------
    Model

    Raises
    ------
    PrivacyParameterError
        If a share is no share, they do not add up to 1, or the promise is out of range.
    DataError
        If the table holds a value that is no public level.
    """
    for share in shares:
        checks.share(share, "a share of the budget", error=PrivacyParameterError)
    if abs(sum(shares) - 1) > 1e-9:
        raise PrivacyParameterError(
            f"The shares {shares} add up to {sum(shares):.6g}, they must add up to 1: mend them."
        )
    ledger = Ledger(domain.encode(table), rho_of(epsilon, delta), seed)
    single, choosing, pairwise = (share_of(ledger.rho, share) for share in shares)
    last, sizes, names = len(domain.axes) - 1, domain.sizes, domain.names
    noisy: dict[tuple[int, ...], NDArray[np.int64]] = {}

    def count(columns: tuple[int, ...], rho: float) -> None:
        at = (last, *columns)
        what = " by ".join(names[place] for place in (*columns, last))
        noisy[at] = ledger.count(at, [sizes[place] for place in at], rho, what)

    for column in range(last):
        count((column,), single / last)
    labels, columns = _estimated([noisy[last, column] for column in range(last)])
    edges = _number_of_edges(sizes)
    chosen: list[Edge] = []
    for _ in range(edges):
        chosen.append(_chosen(ledger, domain, labels, columns, chosen, choosing / edges))
    for edge in chosen:
        count(edge, pairwise / edges)
    ledger.close()
    pairs = {edge: _fitted(noisy[last, *edge], labels, *(columns[end] for end in edge)) for edge in chosen}
    return Model(domain, labels, columns, pairs, noisy, ledger, delta)


# Select ----------------------------------------------------------------------------------------------------------


def _allowed(sizes: tuple[int, ...]) -> list[Edge]:
    """Return the pairs of columns whose table with the label is small enough."""
    places = range(len(sizes) - 1)
    return [edge for edge in combinations(places, 2) if math.prod(sizes[end] for end in edge) * 2 <= MOST_CELLS]


def _parts(edges: list[Edge], columns: int) -> list[int]:
    """Return for each column the part of the forest in which it lies."""
    part = list(range(columns))
    for one, other in edges:
        old, new = part[other], part[one]
        part = [new if place == old else place for place in part]
    return part


def _number_of_edges(sizes: tuple[int, ...]) -> int:
    """Return how many edges a forest can have: it follows from the public levels alone."""
    columns = len(sizes) - 1
    return columns - len(set(_parts(_allowed(sizes), columns)))


def _chosen(
    ledger: Ledger, domain: Domain, labels: Counts, columns: tuple[Counts, ...], before: list[Edge], rho: float
) -> Edge:
    """Choose one more edge: the pair whose true table is farthest from independence given the label."""
    part = _parts(before, len(columns))
    candidates = [edge for edge in _allowed(domain.sizes) if part[edge[0]] != part[edge[1]]]
    expected = [np.rint(_independent(labels, columns[one], columns[other])) for one, other in candidates]

    def gaps(codes: Codes) -> list[int]:
        """Sum |true - expected|: what is expected was released before, so one row moves one cell, and a gap by 1."""
        found = []
        for (one, other), table in zip(candidates, expected, strict=True):
            cells = np.ravel_multi_index((codes[:, -1], codes[:, one], codes[:, other]), table.shape)
            true = np.bincount(cells, minlength=table.size)
            found.append(int(np.abs(true - table.ravel()).sum()))
        return found

    return candidates[ledger.choose(gaps, len(candidates), rho, "which pair next")]


def _independent(labels: Counts, one: Counts, other: Counts) -> Counts:
    """Return the rows to expect in each cell if two columns were independent given the label."""
    return one[:, :, None] * other[:, None, :] / labels[:, None, None]


# Estimate: post-processing, free of charge -----------------------------------------------------------------------


def _estimated(noisy: list[NDArray[np.int64]]) -> tuple[Counts, tuple[Counts, ...]]:
    """Return rows by label, and each column's counts made to agree with them, none below zero.

    Each table gives the rows by label once more, with the noise of as many cells as a label has there.
    """
    weights = np.array([1 / table.shape[1] for table in noisy])
    sums = np.array([table.sum(axis=1) for table in noisy])
    labels = np.maximum(weights @ sums / weights.sum(), 1.0)
    return labels, tuple(_projected(table, labels) for table in noisy)


def _projected(table: NDArray[np.int64], labels: Counts) -> Counts:
    """Return the nearest table without negative cells that has so many rows of each label."""
    flat = table.reshape(len(labels), -1).astype(float)
    ordered = -np.sort(-flat, axis=1)
    excess = (np.cumsum(ordered, axis=1) - labels[:, None]) / np.arange(1, flat.shape[1] + 1)
    kept = (ordered > excess).sum(axis=1)
    shifted = flat - np.take_along_axis(excess, kept[:, None] - 1, axis=1)
    return (np.maximum(shifted, 0) + _LEAST).reshape(table.shape)


def _fitted(noisy: NDArray[np.int64], labels: Counts, one: Counts, other: Counts) -> Counts:
    """Scale a pair's table to its two columns', which have less noise (iterative proportional fitting)."""
    table = _projected(noisy, labels)
    for _ in range(_FITTED):
        table *= (one / table.sum(axis=2))[:, :, None]
        table *= (other / table.sum(axis=1))[:, None, :]
    return table
