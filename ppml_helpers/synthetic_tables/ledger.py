"""The one door to a table: every query is priced by OpenDP, entered into a ledger, and refused if it costs too much.

Two tables are neighbours if one has one row more. Prices are rho of zero-concentrated differential privacy (zCDP).
They add up however queries follow from earlier answers (Bun and Steinke 2016; Whitehouse, Ramdas, Rogers, Wu 2023).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import opendp.prelude as dp
import pandas as pd
from numpy.typing import NDArray

from ppml_helpers import checks
from ppml_helpers.accounting import DELTA, check_target
from ppml_helpers.errors import BudgetError, PrivacyParameterError
from ppml_helpers.synthetic_tables.domain import Codes

dp.enable_features("contrib", "honest-but-curious")

_ZCDP = dp.zero_concentrated_divergence()
_TABLES = dp.user_domain("table of codes", lambda table: isinstance(table, np.ndarray)), dp.symmetric_distance()
_WHOLE_NUMBERS = dp.vector_domain(dp.atom_domain(T=int))
_ROUNDING = 1e-9  # relative: a scale that gives a price is a rounded number
_TAIL = 12  # standard deviations of noise that are laid out; beyond lies a probability of 1e-32


class Entry(NamedTuple):
    """One query that was paid for."""

    what: str
    kind: str  # "count" or "choice"
    cells: int  # counted, or candidates to choose from
    rho: float


def _display_noise(seed: int, rho: float) -> np.random.Generator:
    """Return a stream that no ledger of another budget draws from: tables that share noise do not compose."""
    return np.random.default_rng([seed, *struct.unpack("<2I", struct.pack("<d", rho))])


class Ledger:
    """A table behind a budget.

    Parameters
    ----------
    codes : ndarray of int, shape (rows, columns)
        From `Domain.encode`.
    rho : float
        All that may be spent; infinity gives exact answers and no promise.
    seed : int, optional
        Without it the noise is OpenDP's, from a cryptographic generator, behind OpenDP's own privacy filter. With it
        the noise is drawn from the same distributions by NumPy, so that a notebook can show the same table twice: for
        display only, for whoever knows the seed takes the noise off. Prices and refusals are the same.

    Attributes
    ----------
    entries : list of Entry
    rho : float
    seeded : bool
        Whether the noise can be repeated.
    """

    def __init__(self, codes: Codes, rho: float, seed: int | None = None) -> None:
        self.rho = math.inf if rho == math.inf else checks.number(rho, "rho", 0, above=True, error=BudgetError)
        self.entries: list[Entry] = []
        self.seeded = seed is not None
        self._codes: Codes | None = codes
        self._rng = None if seed is None else _display_noise(checks.whole(seed, "seed", 0, error=BudgetError), self.rho)
        self._asked: Callable[[Any], Any] | None = lambda measurement: measurement(codes)
        if self._rng is None and self.rho < math.inf:
            composed = dp.c.make_fully_adaptive_composition(*_TABLES, _ZCDP)
            self._asked = dp.c.make_privacy_filter(composed, d_in=1, d_out=self.rho)(codes)

    @property
    def spent(self) -> float:
        """Sum of all prices."""
        return math.fsum(entry.rho for entry in self.entries)

    def count(self, columns: Sequence[int], sizes: Sequence[int], rho: float, what: str) -> NDArray[np.int64]:
        """Count the rows in each cell of some columns, with discrete Gaussian noise.

        One row more changes one cell by 1, so the sensitivity in the Euclidean norm is 1 and noise of scale
        sqrt(1 / (2 rho)) costs rho (Canonne, Kamath and Steinke 2020).

        Parameters
        ----------
        columns, sizes : sequence of int
            Columns, and the levels of each.
        rho : float
            Price; infinity for an exact count.
        what : str
            For the ledger.

        Returns
        -------
        ndarray of int, shape `sizes`

        Raises
        ------
        BudgetError
            If the ledger cannot pay. Nothing is looked at then.
        """
        cells, scale = math.prod(sizes), _scale(rho)
        measurement = _counted(tuple(columns), tuple(sizes), scale) if scale else None
        self._pay(Entry(what, "count", cells, _price(measurement)))
        if measurement and self._rng is None:
            return np.reshape(self._asked(measurement), sizes)
        exact = np.bincount(_cells(self._codes, columns, sizes), minlength=cells)
        return np.reshape(exact + discrete_gaussian(scale, cells, self._rng) if scale else exact, sizes)

    def choose(self, scores: Callable[[Codes], list[int]], candidates: int, rho: float, what: str) -> int:
        """Choose the candidate with the highest noisy score: the exponential mechanism.

        Parameters
        ----------
        scores : callable
            From the table's codes to one whole number a candidate; one row more changes each by at most 1.
        candidates : int
            How many scores there are.
        rho : float
            Price. Gumbel noise of scale s makes the exponential mechanism with epsilon 2 / s. Its privacy loss has a
            range of epsilon, so it costs epsilon^2 / 8 (bounded range: Durfee and Rogers 2019, Cesar and Rogers 2021;
            OpenDP's map of `make_noisy_max` says the same).
        what : str
            For the ledger.

        Returns
        -------
        int
            Place of the chosen candidate.

        Raises
        ------
        BudgetError
            If the ledger cannot pay. Nothing is looked at then.
        """
        scale = _scale(rho)
        measurement = _chosen(scores, scale) if scale else None
        self._pay(Entry(what, "choice", candidates, _price(measurement)))
        if measurement and self._rng is None:
            return int(self._asked(measurement))
        noise = self._rng.gumbel(scale=scale, size=candidates) if scale else 0
        return int(np.argmax(np.asarray(scores(self._codes)) + noise))

    def close(self) -> None:
        """Forget the table, so that the ledger can be published with what it paid for."""
        self._codes = self._asked = self._rng = None

    def table(self) -> pd.DataFrame:
        """Return the entries by kind: how many queries, and what they cost together."""
        frame = pd.DataFrame(self.entries, columns=Entry._fields)
        return frame.groupby("kind", sort=False).agg(
            queries=("rho", "size"), cells=("cells", "sum"), rho=("rho", "sum")
        )

    def _pay(self, entry: Entry) -> None:
        after = math.fsum([self.spent, entry.rho])
        if after > self.rho:
            raise BudgetError(
                f"{entry.what!r} costs rho {entry.rho:.4g}, but {round(self.rho - self.spent, 9):.4g} of "
                f"{self.rho:.4g} is left: ask for less, or not at all."
            )
        if self._codes is None:
            raise BudgetError(f"{entry.what!r} comes after this ledger was closed: measure the table anew, and pay.")
        self.entries.append(entry)


def share_of(rho: float, share: float) -> float:
    """Return a share of a budget, a hair less: the shares' prices must not exceed it by rounding."""
    return rho * share * (1 - _ROUNDING)


@lru_cache(maxsize=256)
def epsilon_of(rho: float, delta: float = DELTA) -> float:
    """Return the epsilon at this delta that rho of zCDP promises, by OpenDP's conversion.

    Parameters
    ----------
    rho : float
        At least 0; infinity is no promise.
    delta : float
        In (0, 1).

    Returns
    -------
    float
    """
    delta = checks.number(delta, "delta", 0, 1, above=True, below=True, error=PrivacyParameterError)
    if rho in (0, math.inf):
        return float(rho)
    number = dp.atom_domain(T=float, nan=False), dp.absolute_distance(T=float)
    gaussian = number >> dp.m.then_gaussian(scale=_scale(rho))
    return float(dp.c.make_zCDP_to_approxDP(gaussian).map(1.0).epsilon(delta))


@lru_cache(maxsize=256)
def rho_of(epsilon: float, delta: float = DELTA) -> float:
    """Return the largest rho found, to one part in a million, whose `epsilon_of` is at most this epsilon.

    Parameters
    ----------
    epsilon : float
        Above 0; infinity is no promise.
    delta : float
        In (0, 1).

    Returns
    -------
    float
    """
    check_target(epsilon)
    if epsilon == math.inf:
        return math.inf
    low, high = 0.0, max(1.0, 2 * epsilon)  # rho above epsilon promises no such epsilon at a delta below one half
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


def discrete_gaussian(scale: float, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw from the discrete Gaussian, P(z) ~ exp(-z^2 / (2 scale^2)) on whole numbers, by inverting its sum.

    Exact but for rounding in double precision: OpenDP's own sampler is exact in every bit and takes no seed.
    """
    reach = math.ceil(_TAIL * scale) + 1
    values = np.arange(-reach, reach + 1)
    up_to = np.cumsum(np.exp(-(values**2) / (2 * scale**2)))
    return values[np.searchsorted(up_to / up_to[-1], rng.random(size), side="right")]


# OpenDP's measurements -------------------------------------------------------------------------------------------


def _scale(rho: float) -> float:
    """Return the noise that costs rho, for counts (sensitivity 1) and for choices (range 2) alike; 0 is none."""
    return 0.0 if rho == math.inf else math.sqrt(1 / (2 * checks.number(rho, "rho", 0, above=True, error=BudgetError)))


def _price(measurement: Any) -> float:
    return measurement.map(1) if measurement else math.inf


def _cells(codes: Codes, columns: Sequence[int], sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.ravel_multi_index(tuple(codes[:, list(columns)].T), tuple(sizes))


@lru_cache(maxsize=1024)
def _counted(columns: tuple[int, ...], sizes: tuple[int, ...], scale: float) -> Any:
    """Build the query: each row to the number of its cell (ours, row by row), then OpenDP's count and noise."""
    to_cells = dp.t.make_user_transformation(
        *_TABLES,
        _WHOLE_NUMBERS,
        dp.symmetric_distance(),
        lambda codes: _cells(codes, columns, sizes).tolist(),
        lambda rows: rows,
    )
    counted = dp.t.then_count_by_categories(list(range(math.prod(sizes))), null_category=False, MO=dp.L2Distance[float])
    return to_cells >> counted >> dp.m.then_gaussian(scale=scale)


def _chosen(scores: Callable[[Codes], list[int]], scale: float) -> Any:
    """Build the choice: scores that one row moves by at most 1 (ours to show), then OpenDP's noisy maximum."""
    scored = dp.t.make_user_transformation(*_TABLES, _WHOLE_NUMBERS, dp.linf_distance(T=int), scores, lambda rows: rows)
    return scored >> dp.m.then_noisy_max(_ZCDP, scale=scale)
