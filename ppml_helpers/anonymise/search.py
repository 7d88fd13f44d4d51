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
from numpy.typing import NDArray

from ppml_helpers.anonymise.frequencies import Frequencies, Node, Whole

Real = NDArray[np.float64]
Progress = Callable[[float, str], object]

#: Losses that agree to so many decimals are a tie, so that rounding errors do not choose the node.
DECIMALS = 12
SLACK = 10.0**-DECIMALS
_TRY_AT = 0.9  # of the way up the bounds; of 0.3 to 0.99 the quickest at 8,000 and at 100,000 rows


class Found(NamedTuple):
    """A node and its loss. Tuples compare as ties are broken: smaller loss, then sum of levels, then levels."""

    loss: float
    height: int
    node: Node
    suppressed: int


def loss_of(kept_spread: Whole, suppressed: Whole | int, scale: Real, rows: int) -> Real:
    """Return the loss: mean over all rows of the weighted penalty of a kept row, or 1 for a suppressed one."""
    total = np.asarray(suppressed, dtype=np.float64)
    for column, factor in enumerate(scale):  # one by one: the same additions whatever the shape, hence the same ties
        total = total + kept_spread[..., column] * factor
    return np.round(total / rows, DECIMALS)


class Search:
    """A search for one k, limit and set of weights, without anything computed beforehand.

    Parameters
    ----------
    frequencies : Frequencies
        The rows.
    k : int
        Rows a class must have.
    most : int
        Rows that may be suppressed.
    scale : ndarray of float
        As for `loss_of`.
    """

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

    def best(self) -> Found | None:
        """Return the feasible node of least loss, or None if no node is feasible.

        While some node's feasibility is unknown, one from the upper part of the bounds is tried: it rules out all
        below it, or vouches for all above it and brings down the best loss. Nodes up there are also the cheapest to
        look at, since their classes are few. Then the feasible ones are tried from the lowest bound on.
        """
        best: Found | None = None
        places = self.order
        while True:
            places = places[self.open.ravel()[places]]
            if not len(places):
                return best
            unknown = places[~self.feasible.ravel()[places]]
            tried = self._try(unknown[int(len(unknown) * _TRY_AT)] if len(unknown) else places[0])
            if tried is not None and (best is None or tried < best):
                best = tried
                places = places[: np.searchsorted(self.bound[places], best.loss + SLACK, "right")]

    def rising(self) -> Iterator[Found]:
        """Yield the feasible nodes from the least loss on."""
        self.best()  # settles the cheap half of the lattice in few steps
        ready = list(self.found)
        heapq.heapify(ready)
        for place, bound in zip(self.order, self.bound[self.order], strict=True):
            while ready and ready[0].loss <= bound:
                yield heapq.heappop(ready)
            if self.open.flat[place]:
                tried = self._try(place)
                if tried is not None:
                    heapq.heappush(ready, tried)
        while ready:
            yield heapq.heappop(ready)

    def _try(self, place: int) -> Found | None:
        node = tuple(int(level) for level in np.unravel_index(place, self.shape))
        keys, sizes = self.frequencies.small(node, self.k)
        suppressed = int(sizes.sum())
        self.open[node] = False
        if suppressed > self.most:
            self.open[tuple(slice(level + 1) for level in node)] = False
            return None
        self.feasible[tuple(slice(level, None) for level in node)] = True
        kept = self.frequencies.total(node) - sizes @ self.frequencies.spread(node, keys)
        found = Found(float(loss_of(kept, suppressed, self.scale, self.frequencies.rows)), sum(node), node, suppressed)
        self.found.append(found)
        return found


class Profiles:
    """For every node that can be of use, what each k up to `k_max` would suppress.

    A k, a limit and weights are then a matter of one matrix and one minimum.
    """

    def __init__(self, frequencies: Frequencies, k_max: int, most: int, progress: Progress | None = None) -> None:
        self.k_max, self.most, self.rows = k_max, most, frequencies.rows
        shape = tuple(height + 1 for height in frequencies.heights)
        open_ = np.ones(shape, dtype=bool)
        # From the top down, so that a node which suppresses too much even for k = 2 rules out the costly ones below it.
        nodes = sorted(itertools.product(*map(range, shape)), key=lambda node: (-sum(node), node))
        dtype = np.int32 if self.rows * max(1, *frequencies.width) < 2**31 else np.int64
        kept, rows, spread = [], [], []
        for number, node in enumerate(nodes):
            if progress is not None and number % 64 == 0:
                progress(number / len(nodes), f"{number:,} of {len(nodes):,} nodes")
            if not open_[node]:
                continue
            small_rows, small_spread = _profile(frequencies, node, k_max)
            if small_rows[2] > most:
                open_[tuple(slice(level + 1) for level in node)] = False
                continue
            kept.append(node)
            rows.append(small_rows.astype(dtype))
            spread.append(small_spread.astype(dtype))
        order = sorted(range(len(kept)), key=lambda i: (sum(kept[i]), kept[i]))
        self.nodes = [kept[i] for i in order]
        self._rows = np.array([rows[i] for i in order]).reshape(len(order), k_max + 1).T
        self._spread = np.array([spread[i] for i in order]).reshape(len(order), k_max + 1, len(shape)).swapaxes(0, 1)
        self._total = np.array([frequencies.total(node) for node in self.nodes]).reshape(len(order), len(shape))
        if progress is not None:
            progress(1.0, f"{len(nodes):,} of {len(nodes):,} nodes")

    def losses(self, k: int, most: int, scale: Real) -> tuple[Real, Whole]:
        """Return each node's loss (infinite if it suppresses more than `most` rows) and the rows it suppresses."""
        suppressed = self._rows[k]
        loss = loss_of(self._total - self._spread[k], suppressed, scale, self.rows)
        return np.where(suppressed <= most, loss, np.inf), suppressed

    def best(self, k: int, most: int, scale: Real) -> Found | None:
        """Return the feasible node of least loss, or None."""
        return next(self.rising(k, most, scale), None)

    def rising(self, k: int, most: int, scale: Real) -> Iterator[Found]:
        """Yield the feasible nodes from the least loss on."""
        loss, suppressed = self.losses(k, most, scale)
        # Nodes are sorted as ties are broken, and both the minimum and the stable sort keep that order.
        if len(loss):
            yield from self._found(loss, suppressed, [int(loss.argmin())])
            yield from self._found(loss, suppressed, np.argsort(loss, kind="stable")[1:].tolist())

    def _found(self, loss: Real, suppressed: Whole, places: list[int]) -> Iterator[Found]:
        for place in places:
            if np.isfinite(loss[place]):
                node = self.nodes[place]
                yield Found(float(loss[place]), sum(node), node, int(suppressed[place]))


def _profile(frequencies: Frequencies, node: Node, k_max: int) -> tuple[Whole, Whole]:
    """Return, for k = 0 to `k_max`, the rows in classes of fewer than k rows, and the spread of those rows."""
    keys, sizes = frequencies.small(node, k_max)
    order = np.argsort(sizes, kind="stable")
    keys, sizes = keys[order], sizes[order]
    before = np.searchsorted(sizes, np.arange(k_max + 1))
    rows = np.concatenate(([0], np.cumsum(sizes)))[before]
    spread = np.zeros((len(sizes) + 1, len(node)), dtype=np.int64)
    np.cumsum(sizes[:, None] * frequencies.spread(node, keys), axis=0, out=spread[1:])
    return rows, spread[before]
