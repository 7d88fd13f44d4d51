"""Finding the node of least loss: searches over the lattice of generalisations.

Two facts carry everything here. First, a row that a class of fewer than k rows costs at one node is also lost at every
more specific node: suppression for k falls along the lattice, so one node that suppresses too much rules out all below
it (Samarati 2001; the binary choice of nodes follows Kohlmayer et al. 2012, "Flash"). Second, a suppressed row costs 1
and a kept one at most 1, so

    mean penalty of all rows <= exact loss,

and what more must be suppressed for l-diversity or t-closeness can only raise the loss. Nodes are therefore looked at
in the order of such lower bounds, until the bound passes the best loss found. Neither fact is assumed of t-closeness
with suppression, which is not monotone (Li et al. 2007 prove it without suppression only).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ppml_helpers.anonymise.frequencies import Frequencies, Node
from ppml_helpers.anonymise.models import Real, Whole

Progress = Callable[[float, str], object]

#: Losses that agree to so many decimals are a tie, so that rounding errors do not choose the node.
DECIMALS = 12
SLACK = 10.0**-DECIMALS


class Found(NamedTuple):
    """A node and its loss. Tuples compare as ties are broken: smaller loss, then sum of levels, then levels."""

    loss: float
    height: int
    node: Node
    suppressed: int


def loss_of(kept_spread: Whole | Real, suppressed: Whole | Real | int, scale: Real, rows: int) -> Real:
    """Return the loss: mean over all rows of the weighted penalty of a kept row, or 1 for a suppressed one."""
    total = np.asarray(suppressed, dtype=np.float64)
    for column, factor in enumerate(scale):  # one by one: the same additions whatever the shape, hence the same ties
        total = total + kept_spread[..., column] * factor
    return np.round(total / rows, DECIMALS)


class Search:
    """A search for one k, one number of rows that may be suppressed, and one scale of the spreads (see `loss_of`)."""

    def __init__(self, frequencies: Frequencies, k: int, most: int, scale: Real) -> None:
        self.frequencies, self.k, self.most, self.scale = frequencies, k, most, scale
        self.shape = tuple(height + 1 for height in frequencies.heights)
        bound = np.zeros(self.shape)
        for totals, factor, grid in zip(frequencies.totals, scale, np.ix_(*map(range, self.shape)), strict=True):
            bound += (totals * factor / frequencies.rows)[grid]
        self.bound = bound.ravel()
        self.order = np.argsort(self.bound, kind="stable")
        self.open = np.ones(self.shape, dtype=bool)  # may be feasible, and its loss is unknown
        self.feasible = np.zeros(self.shape, dtype=bool)  # a node below it was
        self.found: list[Found] = []

    def rising(self) -> Iterator[Found]:
        """Yield the feasible nodes from the least loss on."""
        self._settle()
        ready = list(self.found)
        heapq.heapify(ready)
        for place in self.order:
            while ready and ready[0].loss + SLACK < self.bound[place]:
                yield heapq.heappop(ready)
            if self.open.flat[place] and (tried := self._try(place)) is not None:
                heapq.heappush(ready, tried)
        while ready:
            yield heapq.heappop(ready)

    def _settle(self) -> None:
        """Look at as few nodes as will do to know the one of least loss.

        While some node's feasibility is unknown, one of them is tried: it rules out all below it, or vouches for all
        above it and brings down the best loss. The one nine tenths of the way up the bounds: half way up, the course's
        lattice took one and a half to three times as many tries, and a limit of 0 at a million rows four times as many
        (other limits there a little over half). Then the feasible ones are tried from the lowest bound on.
        """
        best, places = np.inf, self.order
        while len(places := places[self.open.ravel()[places]]):
            unknown = places[~self.feasible.ravel()[places]]
            tried = self._try(unknown[len(unknown) * 9 // 10] if len(unknown) else places[0])
            if tried is not None and tried.loss < best:
                best = tried.loss
                places = places[: np.searchsorted(self.bound[places], best + SLACK, "right")]

    def _try(self, place: int) -> Found | None:
        node = tuple(int(level) for level in np.unravel_index(place, self.shape))
        self.open[node] = False
        lost = self.frequencies.lost(node, self.k, self.most)
        if lost is None:
            self.open[tuple(slice(level + 1) for level in node)] = False
            return None
        self.feasible[tuple(slice(level, None) for level in node)] = True
        suppressed, spread = lost
        kept = self.frequencies.total(node) - spread
        loss = float(loss_of(kept, suppressed, self.scale, self.frequencies.rows))
        found = Found(loss, sum(node), node, suppressed)
        self.found.append(found)
        return found


class Profiles:
    """For every node that can be of use, what each k up to `k_max` would suppress.

    A k, a limit and weights are then a matter of one sum and one sort.
    """

    def __init__(self, frequencies: Frequencies, k_max: int, most: int, progress: Progress | None = None) -> None:
        self.k_max, self.most, self.rows = k_max, most, frequencies.rows
        open_ = np.ones([height + 1 for height in frequencies.heights], dtype=bool)
        found = {}
        # From the top down, so that a node which suppresses too much even for k = 2 rules out the costly ones below it.
        nodes = itertools.product(*(range(height, -1, -1) for height in frequencies.heights))
        for number, node in enumerate(nodes):
            if progress is not None and number % 64 == 0:
                progress(number / open_.size, f"{number:,} of {open_.size:,} nodes")
            if not open_[node]:
                continue
            profile = frequencies.profile(node, k_max)
            if profile[0, 2] > most:
                open_[tuple(slice(level + 1) for level in node)] = False
            else:
                found[node] = profile
        self.nodes = sorted(found, key=lambda node: (sum(node), node))  # as ties are broken
        self._profiles = np.array([found[node] for node in self.nodes]).reshape(-1, len(open_.shape) + 1, k_max + 1)
        self._total = np.array([frequencies.total(node) for node in self.nodes]).reshape(-1, len(open_.shape))
        if progress is not None:
            progress(1.0, f"{open_.size:,} of {open_.size:,} nodes")

    def rising(self, k: int, most: int, scale: Real) -> Iterator[Found]:
        """Yield the feasible nodes from the least loss on."""
        suppressed, lost = self._profiles[:, 0, k], self._profiles[:, 1:, k]
        loss = np.where(suppressed <= most, loss_of(self._total - lost, suppressed, scale, self.rows), np.inf)
        for place in np.argsort(loss, kind="stable"):  # stable, so that the order of ties stays
            if np.isfinite(loss[place]):
                node = self.nodes[place]
                yield Found(float(loss[place]), sum(node), node, int(suppressed[place]))
