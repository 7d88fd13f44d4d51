"""Finding the node of least loss in the lattice of generalisations, exactly.

A node's loss is its **base**, the mean penalty of all rows if all were kept, and an **extra**: how much more than their
penalty the suppressed rows cost, infinite if they are too many. The base is known of every node without looking at a
row. The extra only falls from a node to those above it: a class that is too small, or holds too few values, is made of
such classes at every more specific node, where its rows' penalty is no higher (Samarati 2001; LeFevre et al. 2005). So
a node that was counted bounds the loss of all nodes below it.

Nodes are taken by rising base until it passes the least loss found. One that may still be best is ruled out by a node
above it: the highest on a path to the top that will do, since that rules out most others too. It is found by bisection
(Kohlmayer et al. 2012, "Flash", bisect such paths for k-anonymity).

Nothing of this is assumed of entropy l-diversity and of t-closeness with suppression (Li et al. 2007 prove the latter
monotone without suppression only). There the bounds come from what the demand implies, `Demand.implied`, and each node
that they leave is counted by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppml_helpers.anonymise.demand import Demand
from ppml_helpers.anonymise.frequencies import Frequencies, Lost, Node
from ppml_helpers.anonymise.models import Real, Whole

Progress = Callable[[float, str], object]
Count = Callable[[Node, Demand], Lost]

#: Losses that agree to so many decimals are a tie, so that rounding errors do not choose the node.
DECIMALS = 12
_ROUNDING = 1e-14  # more than additions of bounds can be wrong by, less than can pass for a decimal
_CHUNK = 1024  # nodes looked at together


class Found(NamedTuple):
    """A node and its loss. Tuples compare as ties are broken: smaller loss, then sum of levels, then levels."""

    loss: float
    height: int
    node: Node
    suppressed: int


class Search:
    """A search for one demand, one number of rows that may be suppressed, and one scale of the spreads.

    `scale` is the weight of each quasi-identifier over its width; `count` says what a demand costs at a node.
    """

    def __init__(self, frequencies: Frequencies, demand: Demand, most: int, scale: Real, count: Count) -> None:
        self.frequencies, self.demand, self.most, self.scale, self.count = frequencies, demand, most, scale, count
        self.shape = tuple(height + 1 for height in frequencies.heights)
        base, heights = np.zeros(self.shape), np.zeros(self.shape, np.int64)
        for totals, factor, grid in zip(frequencies.totals, scale, np.ix_(*map(range, self.shape)), strict=True):
            base += (totals * factor / frequencies.rows)[grid]
            heights += grid
        self.base = base.ravel()
        #: Order of ties: by sum of levels, then by levels.
        self.rank = heights.ravel() * base.size + np.arange(base.size)
        #: What the step up from each level of each column adds to the base.
        self.steps = [
            [*(np.diff(totals) * factor).tolist(), np.inf]
            for totals, factor in zip(frequencies.totals, scale, strict=True)
        ]
        #: What each node's extra is at least; infinite also when its loss is known.
        self.extra = np.zeros(self.shape)
        self.bounds: dict[Node, float] = {}  # extras of counted nodes, for what the demand implies
        self.least: Found | None = None

    def best(self, progress: Progress | None = None) -> Found | None:
        """Return the node of least loss, None if no node will do."""
        order = np.lexsort((self.rank, np.round(self.base, DECIMALS)))
        rising, share = self.base[order], 0.0
        for start in range(0, len(order), _CHUNK):
            chunk = order[start : start + _CHUNK]
            end = start + len(chunk)
            while len(chunk := chunk[self._may_win(self.base[chunk] + self.extra.flat[chunk], chunk)]):
                if progress is not None:
                    most = np.inf if self.least is None else self.least.loss
                    of = max(end, int(np.searchsorted(rising, most, "right")))
                    share = max(share, (end - len(chunk)) / of)
                    progress(share, f"{round(share * len(order)):,} of {len(order):,} nodes")
                self._settle(chunk[0])
        if progress is not None:
            progress(1.0, f"{len(order):,} of {len(order):,} nodes")
        return self.least

    def _may_win(self, bound: Real, places: Whole) -> NDArray[np.bool_]:
        """Return which nodes, whose losses are no less than their bounds, may be better than the best one found."""
        if self.least is None:
            return np.isfinite(bound)
        bound = np.round(bound - _ROUNDING, DECIMALS)
        earlier = self.rank[places] < self.rank[np.ravel_multi_index(self.least.node, self.shape)]
        return (bound < self.least.loss) | ((bound == self.least.loss) & earlier)

    def _settle(self, place: int) -> None:
        """Rule a node out by the highest on a path above it that will do, or learn its loss."""
        path = self._path(place)
        low, high = 0, len(path)
        while low < high:
            middle = (low + high) // 2
            if self._may_win(self.base[place] + self._extra(path[middle]), place):
                high = middle
            else:
                low = middle + 1
        if low == 0:
            self._try(path[0], self.demand)
        else:
            below = self.extra[tuple(slice(level + 1) for level in path[low - 1])]
            np.maximum(below, self.bounds[path[low - 1]], out=below)

    def _path(self, place: int) -> list[Node]:
        """Return a node and nodes above it up to the top; each step is the one that adds least to the base."""
        node = [int(level) for level in np.unravel_index(place, self.shape)]
        path = [tuple(node)]
        costs = [steps[level] for steps, level in zip(self.steps, node, strict=True)]
        for _ in range(sum(self.frequencies.heights) - sum(node)):
            column = costs.index(min(costs))
            node[column] += 1
            costs[column] = self.steps[column][node[column]]
            path.append(tuple(node))
        return path

    def _extra(self, node: Node) -> float:
        """Count what the demand implies at a node, and return the extra."""
        if node not in self.bounds:
            implied = self.demand.implied
            lost = self._try(node, implied) if self.demand.monotone else self.count(node, implied)
            fits = lost.rows <= self.most
            costs = (lost.rows - float(lost.spread @ self.scale)) / self.frequencies.rows if fits else np.inf
            self.bounds[node] = costs
        return self.bounds[node]

    def _try(self, node: Node, demand: Demand) -> Lost:
        """Learn the loss of a node."""
        lost = self.count(node, demand)
        self.extra[node] = np.inf
        if lost.rows <= self.most:
            spread = self.frequencies.total(node) - lost.spread
            loss = float(np.round((spread @ self.scale + lost.rows) / self.frequencies.rows, DECIMALS))
            found = Found(loss, sum(node), node, lost.rows)
            self.least = found if self.least is None else min(self.least, found)
        return lost
