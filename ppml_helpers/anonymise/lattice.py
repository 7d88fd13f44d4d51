"""Optimal full-domain anonymisation: the node of the lattice that costs least and keeps k, l and t.

Every quasi-identifier is generalised to one level of its hierarchy; the choices of levels form a lattice. Rows in
classes that stay too small or too telling are suppressed, up to a limit. Of all nodes within the limit the one of least
information loss is taken, exactly: not the first that a heuristic meets.

Sources: Sweeney 2002 and Samarati 2001 (k-anonymity by generalisation and suppression); LeFevre et al. 2005
("Incognito") and Kohlmayer et al. 2012 ("Flash"), searches of the lattice; Machanavajjhala et al. 2007 (l-diversity);
Li et al. 2007 (t-closeness); Xu et al. 2006 (normalised certainty penalty).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.anonymise.demand import Demand, checked_demand, checked_weights, most_rows
from ppml_helpers.anonymise.frequencies import Frequencies, Lost, Node, Secret
from ppml_helpers.anonymise.hierarchy import Hierarchy
from ppml_helpers.anonymise.models import (
    Distance,
    Diversity,
    Real,
    Whole,
    checked_columns,
    holdings,
    k_anonymity,
    l_diversity,
    sensitive_codes,
    t_closeness,
)
from ppml_helpers.anonymise.released import Released, release
from ppml_helpers.anonymise.search import Progress, Search
from ppml_helpers.anonymise.suppression import kept_classes
from ppml_helpers.errors import AnonymityError

MOST_NODES = 2_000_000


@dataclass(frozen=True)
class Solution:
    """The node of least loss for some demands."""

    node: dict[str, int]
    k: int
    l: float  # noqa: E741 - the field's name for it
    t: float
    suppressed: int
    loss: float
    diversity: Diversity = "distinct"


class Lattice:
    """All full-domain generalisations of a table.

    Parameters
    ----------
    df : DataFrame
        One row a person, any index. It is not changed, and must not be changed while the lattice is in use.
    qi : iterable of column names
        The quasi-identifiers.
    hierarchies : mapping of column name to Hierarchy or dict of levels
        At least one for each quasi-identifier.
    sensitive : column name, optional
        The attribute that nobody should learn; needed for l and t.
    distance : {"equal", "ordered"}
        How t-closeness measures (see `models.t_closeness`).

    Raises
    ------
    AnonymityError
        If a column is unknown, a hierarchy is absent, not nested or lacks a value, or the lattice is too large.
    """

    def __init__(
        self,
        df: pd.DataFrame,
        qi: Iterable[Hashable],
        hierarchies: Mapping[Any, Hierarchy | Mapping[int, Iterable[Any]]],
        sensitive: Hashable | None = None,
        distance: Distance = "equal",
    ) -> None:
        names = checked_columns(df, qi, sensitive)
        checks.choice(distance, "distance", get_args(Distance), error=AnonymityError)
        self.qi, self.sensitive, self.distance = tuple(names), sensitive, distance
        self._df = df
        found = {name: _hierarchy(df[name], hierarchies) for name in names}
        self._hierarchies = {name: hierarchy for name, (hierarchy, _) in found.items()}
        nodes = math.prod(hierarchy.height + 1 for hierarchy in self._hierarchies.values())
        if nodes > MOST_NODES:
            raise AnonymityError(
                f"The hierarchies span {nodes:,} nodes, at most {MOST_NODES:,} can be searched: take fewer "
                f"quasi-identifiers, or leave levels out of the longest hierarchies."
            )
        self.nodes = nodes
        self._secret = None if sensitive is None else Secret(*sensitive_codes(df[sensitive], distance), distance)
        self._frequencies = Frequencies(found.values(), self._secret)
        #: What was counted stays, so that a search which is stopped and begun again goes on.
        self._counted: dict[Demand, dict[Node, Lost]] = {}
        self._profiles: dict[Node, Real] = {}  # for every k up to some

    def __repr__(self) -> str:
        """Show rows, quasi-identifiers and nodes."""
        return f"<Lattice of {self.nodes:,} nodes: {len(self._df):,} rows, {', '.join(map(str, self.qi))}>"

    # ------------------------------------------------------------------------------------------------------ solving

    def precompute(self, k_max: int = 100, limit_max: float = 0.2, progress: Progress | None = None) -> Lattice:
        """Count every node once, so that `solve` is quick for any k, limit and weights.

        Parameters
        ----------
        k_max : int
            Largest k to be quick for.
        limit_max : float
            Largest suppression limit to be quick for, 0 to 1.
        progress : callable, optional
            ``progress(fraction, what)`` is called now and then. An exception from it stops the work; what was counted
            stays, and another call goes on from there.

        Returns
        -------
        Lattice
            Itself. Beyond `k_max` and `limit_max`, `solve` is as right but slower.
        """
        rows = len(self._df)
        k_max = max(2, min(checks.whole(k_max, "k_max", 1, error=AnonymityError), rows))
        most = most_rows(limit_max, "limit_max", rows)
        open_ = np.ones([height + 1 for height in self._frequencies.heights], dtype=bool)
        # From the top down, so that a node which suppresses too much even for k = 2 rules out the costly ones below it.
        nodes = itertools.product(*(range(height, -1, -1) for height in self._frequencies.heights))
        for number, node in enumerate(nodes):
            if progress is not None and number % 64 == 0:
                progress(number / self.nodes, f"{number:,} of {self.nodes:,} nodes")
            if not open_[node]:
                continue
            if node not in self._profiles or self._profiles[node].shape[1] <= k_max:
                self._profiles[node] = self._frequencies.profile(node, k_max)
            if self._profiles[node][0, 2] > most:
                open_[tuple(slice(level + 1) for level in node)] = False
        if progress is not None:
            progress(1.0, f"{self.nodes:,} of {self.nodes:,} nodes")
        return self

    def solve(
        self,
        k: int,
        suppression_limit: float = 0.05,
        l: float = 1,  # noqa: E741
        t: float = 1.0,
        diversity: Diversity = "distinct",
        weights: Mapping[Any, float] | None = None,
        progress: Progress | None = None,
    ) -> Solution:
        """Return the node of least loss that keeps k, l and t with no more rows suppressed than the limit allows.

        Rows are suppressed by whole classes until nothing changes: drop the classes that have fewer than k rows,
        fewer than l values, or are farther than t from the distribution of the rows kept so far (all rows at first).

        Parameters
        ----------
        k : int
            Rows a class must have, at least 1.
        suppression_limit : float
            Share of rows that may be left out, 0 to 1. All rows left out is no solution.
        l : int or float
            Known values of the sensitive attribute a class must hold (a missing entry is none); a whole number if
            `diversity` is "distinct".
        t : float
            How far a class's distribution may be from that of the released rows, 0 to 1.
        diversity : {"distinct", "entropy"}
            How l is counted (see `models.l_diversity`).
        weights : mapping of column name to float, optional
            Importance of each quasi-identifier for the loss; those not named weigh 1.
        progress : callable, optional
            ``progress(fraction, what)`` is called now and then. An exception from it (or Ctrl-C) stops the search;
            what was counted stays, and another call goes on from there.

        Returns
        -------
        Solution
            Of nodes with equal loss (to 12 decimals), the one with the smallest sum of levels, then the smallest
            levels in the order of `qi`.

        Raises
        ------
        AnonymityError
            If a demand is out of range, or no node satisfies them all.
        """
        demand = self._demand(k, l, t, diversity)
        most = most_rows(suppression_limit, "suppression_limit", len(self._df))
        scale = checked_weights(weights, self.qi) / np.maximum(self._frequencies.width, 1)
        count = partial(self._lost, most)
        found = Search(self._frequencies, demand, most, scale, count).best(progress)
        if found is None:
            wishes = f"k = {demand.k}" + (f", l = {demand.l:g}, t = {demand.t:g}" if demand.beyond_k else "")
            raise AnonymityError(
                f"No generalisation reaches {wishes} with at most {most} of {len(self._df)} rows suppressed: raise the "
                f"suppression limit, ask for less, or end each hierarchy in one '*'."
            )
        node = dict(zip(self.qi, found.node, strict=True))
        return Solution(node, *demand[:3], found.suppressed, found.loss, demand.diversity)

    def _lost(self, most: int, node: Node, demand: Demand) -> Lost:
        """Return what a demand costs at a node, as it was counted before if that will do."""
        profile = self._profiles.get(node)
        if profile is not None and not demand.beyond_k and demand.k < profile.shape[1]:
            return Lost(int(profile[0, demand.k]), profile[1:, demand.k])
        counted = self._counted.setdefault(demand, {})
        lost = counted.get(node)
        if lost is None or (lost.spread is None and lost.rows <= most):
            lost = counted[node] = self._frequencies.lost(node, demand, most)
        return lost

    # ----------------------------------------------------------------------------------------------------- releasing

    def apply(self, solution: Solution) -> Released:
        """Generalise and suppress the table as a solution says, and check the outcome again by counting.

        Returns
        -------
        Released
            Quasi-identifiers as text labels; other columns as they were; order and index say nothing of the original.

        Raises
        ------
        AnonymityError
            If the solution is not one of this table, or the outcome does not keep its k, l and t.
        """
        node = self._checked_node(solution)
        demand = self._demand(solution.k, solution.l, solution.t, solution.diversity)
        kept = self._kept_rows(node, demand)
        lost = len(self._df) if kept is None else int((~kept).sum())
        if lost != solution.suppressed or kept is None:
            raise AnonymityError(
                f"The solution suppresses {solution.suppressed} rows, but with this table it would be {lost}: solve it "
                f"anew with this lattice, and leave the table unchanged meanwhile."
            )
        kept = np.flatnonzero(kept)
        table, ncp = self._generalised(node, kept)
        levels = {name: (self._hierarchies[name], level) for name, level in zip(self.qi, node, strict=True)}
        released = release(table, self.qi, kept, len(self._df), ncp, dict(solution.node), _Recoder(levels))
        self._check_again(released, demand)
        return released

    def _kept_rows(self, node: Node, demand: Demand) -> NDArray[np.bool_] | None:
        """Return which rows stay at a node; None if none does."""
        group, sizes = np.unique(self._frequencies.keys(node), return_inverse=True, return_counts=True)[1:]
        if not demand.beyond_k:
            kept = sizes >= demand.k
            return kept[group] if kept.any() else None
        values, known, distance = self._secret
        kept = kept_classes(holdings(group, values), demand, known, distance, len(self._df))
        return None if kept is None else kept[group]

    def _generalised(self, node: Node, kept: Whole) -> tuple[pd.DataFrame, Real]:
        """Return the kept rows with labels, and the penalty of each quasi-identifier."""
        table = self._df.drop(columns=list(self.qi)).iloc[kept].reset_index(drop=True)
        ncp = np.zeros((len(kept), len(self.qi)))
        places = [self._df.columns.get_loc(name) for name in self.qi]
        for column in sorted(range(len(places)), key=places.__getitem__):  # so that each is inserted where it was
            name, level = self.qi[column], node[column]
            labels = pd.array(self._hierarchies[name].labels(level), dtype="str")
            table.insert(places[column], name, labels.take(self._frequencies.row_codes(column, level)[kept]))
            spread = self._frequencies.row_spread(column, level)[kept]
            ncp[:, column] = spread / max(1, self._frequencies.width[column])
        return table, ncp

    def _check_again(self, released: Released, demand: Demand) -> None:
        """Measure the released table afresh: a mistake above must not leave the house."""
        table, qi = released.table, list(released.qi)
        reached: dict[str, tuple[float, bool]] = {"k": (k := k_anonymity(table, qi), k >= demand.k)}
        if demand.l > 1:
            reached["l"] = (l := l_diversity(table, qi, self.sensitive, demand.diversity), l >= demand.l - 1e-9)  # noqa: E741
        if demand.t < 1:
            reached["t"] = (t := t_closeness(table, qi, self.sensitive, self.distance), t <= demand.t + 1e-9)
        for name, (value, held) in reached.items():
            if not held:
                raise AnonymityError(
                    f"The released table has {name} = {value:g} where {getattr(demand, name):g} was asked for: do not "
                    f"release it, and report this as a fault of the kit."
                )

    def _demand(self, k: Any, l: Any, t: Any, diversity: Any) -> Demand:  # noqa: E741
        return checked_demand(
            k, l, t, diversity, len(self._df), self.sensitive, None if self._secret is None else self._secret.known
        )

    def _checked_node(self, solution: Solution) -> Node:
        if not isinstance(solution, Solution):
            raise AnonymityError(f"{solution!r} is no Solution: pass what solve returned.")
        heights = dict(zip(self.qi, self._frequencies.heights, strict=True))
        node = solution.node
        if set(node) != set(heights) or any(node[name] not in range(heights[name] + 1) for name in node):
            raise AnonymityError(f"The node {node} is none of this lattice, whose highest is {heights}: solve it anew.")
        return tuple(node[name] for name in self.qi)


@dataclass(frozen=True)
class _Recoder:
    """Generalises the columns of another table to the levels of a release."""

    levels: dict[Hashable, tuple[Hierarchy, int]]

    def __call__(self, other: pd.DataFrame) -> pd.DataFrame:
        recoded = other.copy()
        for name, (hierarchy, level) in self.levels.items():
            if name in recoded.columns:
                recoded[name] = hierarchy.generalise(recoded[name], level)
        return recoded


def _hierarchy(column: pd.Series, hierarchies: Mapping[Any, Any]) -> tuple[Hierarchy, Whole]:
    """Return the hierarchy of a column, with a place for missing values where it has some, and each row's place."""
    if column.name not in hierarchies:
        raise AnonymityError(
            f"There is no hierarchy for {column.name!r}: add one to `hierarchies`, at least Hierarchy.suppression."
        )
    hierarchy = Hierarchy.of(hierarchies[column.name], column.name)
    leaf = hierarchy.find(column)
    if (leaf < 0).any():
        hierarchy = hierarchy.with_missing()
        leaf = hierarchy.find(column)
    return hierarchy, leaf
