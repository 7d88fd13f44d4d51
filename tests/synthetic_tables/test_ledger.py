"""The ledger's promise, attacked on neighbouring tables: it holds, and broken twins of it are caught."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ppml_helpers.errors import BudgetError
from ppml_helpers.synthetic_tables import Ledger, epsilon_of, ledger, measure, public_domain, rho_of
from ppml_helpers.synthetic_tables.ledger import discrete_gaussian

RHO = 0.125
WITHOUT = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 3)
WITH = np.vstack([WITHOUT, [[1, 1]]])  # one row more: a neighbour
Release = Callable[[np.ndarray, int | None], float]


def breaks_promise(release: Release, draws: int = 1000) -> bool:
    """Whether some threshold tells neighbours apart by more than rho allows, at a confidence of one in a million.

    rho bounds the divergence of Kullback and Leibler, so no event's probability differs by more than sqrt(rho / 2)
    (Pinsker). Both empirical distributions lie within `off` of the true ones (Dvoretzky, Kiefer and Wolfowitz).
    """
    one, other = ([release(table, 2 * k + side) for k in range(draws)] for side, table in enumerate([WITHOUT, WITH]))
    off = math.sqrt(math.log(4e6) / (2 * draws))
    return ks_2samp(one, other, method="asymp").statistic > math.sqrt(RHO / 2) + 2 * off


def count(table: np.ndarray, seed: int | None) -> float:
    return float(Ledger(table, RHO, seed).count([0, 1], [2, 2], RHO, "cells")[1, 1])


def choice(table: np.ndarray, seed: int | None, unit: int = 1) -> float:
    def scores(codes: np.ndarray) -> list[int]:  # equal without the row, which moves them apart as far as it may
        extra = unit * (len(codes) - len(WITHOUT))
        return [10 + extra, 10 - extra]

    return float(Ledger(table, RHO, seed).choose(scores, 2, RHO, "pair"))


def rows(table: np.ndarray, seed: int | None) -> float:
    """The number of rows that the whole generator publishes, of a table with one column beside the label."""
    domain = public_domain(["diabetes"])
    return measure(domain.decode(table, np.random.default_rng(0)), domain, epsilon_of(RHO), seed=seed).rows


@pytest.mark.parametrize(("release", "draws"), [(count, 1000), (choice, 1000), (rows, 150)])
def test_neighbours_cannot_be_told_apart_beyond_the_promise(release: Release, draws: int) -> None:
    assert not breaks_promise(release, draws)
    assert not breaks_promise(lambda table, _: release(table, None), draws // 5)  # the same with OpenDP's noise


def a_quarter_of_the_noise(monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setattr(ledger, "discrete_gaussian", lambda scale, size, rng: discrete_gaussian(scale / 4, size, rng))
    return count


@pytest.mark.parametrize(
    "broken",
    [
        a_quarter_of_the_noise,
        lambda _: lambda table, seed: choice(table, seed, unit=4),  # scores that one row moves by 4
        lambda _: lambda table, seed: choice(table, seed, unit=10**6),  # as good as exact scores
        lambda _: lambda table, _: len(table),  # the exact number of rows
    ],
)
def test_a_broken_twin_is_caught(broken: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert breaks_promise(broken(monkeypatch))


def test_both_noises_are_the_discrete_gaussian() -> None:
    scale, cells = 3.0, 40_000
    values = np.arange(-12, 13)
    theory = np.exp(-(values**2) / (2 * scale**2))
    theory /= np.exp(-(np.arange(-60, 61) ** 2) / (2 * scale**2)).sum()
    for seed in (0, None):
        noise = Ledger(np.empty((0, 1), dtype=int), 1.0, seed).count([0], [cells], 1 / (2 * scale**2), "nobody")
        found = np.array([(noise == value).mean() for value in values])
        assert np.abs(found - theory).max() < 0.012


@pytest.mark.parametrize("seed", [0, None])
def test_two_tables_of_one_seed_do_not_share_their_noise(seed: int | None) -> None:
    """Noise of one stream in two sizes could be taken off by whoever holds both tables."""
    rhos = 0.02, 0.08
    first, second = (Ledger(np.empty((0, 1), dtype=int), rho, seed).count([0], [4_000], rho, "cells") for rho in rhos)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


@pytest.mark.parametrize("seed", [0, None])
def test_the_ledger_adds_up_and_refuses_one_more(seed: int | None) -> None:
    book = Ledger(WITHOUT, 0.02, seed)
    for what in ("first", "second"):
        book.count([0], [2], 0.01 * (1 - 1e-9), what)
    assert 0.02 * (1 - 1e-6) < book.spent == math.fsum(entry.rho for entry in book.entries) <= 0.02
    with pytest.raises(BudgetError, match=r"'third' costs rho 0.0001, but .* is left: ask for less"):
        book.count([0], [2], 0.0001, "third")
    with pytest.raises(BudgetError, match="costs rho inf"):
        book.count([0], [2], math.inf, "exactly")
    assert len(book.entries) == 2


def test_a_closed_ledger_has_no_table_to_ask() -> None:
    book = Ledger(WITHOUT, 1.0)
    book.close()
    with pytest.raises(BudgetError, match="'too late' comes after this ledger was closed"):
        book.count([0], [2], 0.1, "too late")


def test_behind_the_ledger_opendp_refuses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "_pay", lambda self, entry: None)
    with pytest.raises(Exception, match="would exceed privacy budget"):
        Ledger(WITHOUT, 0.01).count([0], [2], 0.02, "too much")


@pytest.mark.parametrize(("epsilon", "delta"), [(0.05, 1e-5), (1.0, 1e-5), (1.0, 1e-9), (8.0, 1e-5)])
def test_rho_of_an_epsilon_keeps_it_and_wastes_little(epsilon: float, delta: float) -> None:
    rho = rho_of(epsilon, delta)
    assert 0.9999 * epsilon < epsilon_of(rho, delta) <= epsilon
    # Bun and Steinke (2016), Proposition 1.3: the simple conversion never promises less.
    assert epsilon <= rho + 2 * math.sqrt(rho * math.log(1 / delta)) + 1e-9
