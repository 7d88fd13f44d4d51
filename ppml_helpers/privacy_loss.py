"""The bounds behind `accounting`: what noisy trainings cost one person, never below the truth.

Full batches have an exact formula, rounded up. Sampled batches take the least of several upper bounds: privacy loss
distributions and Renyi divergences (both by dp-accounting), adding up, and the full batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import pld_pmf
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType, MixtureGaussianPrivacyLoss
from dp_accounting.rdp import RdpAccountant
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, logsumexp
from scipy.stats import binom

_ROUND_UP = 1 + 1e-9  # the exact formula is computed in floating point: err on the safe side
_SLACK = 4e-16  # what one floating-point operation may lose, generously
_MOST_STEPS_FOR_PLD = 10**6  # composing more takes minutes, and each step's rounding up adds to the answer
_LEAST_RENYI_SIGNAL = 3e-5  # sample rate over noise, below which Renyi divergences are lost in rounding
# Whole orders only: the series for fractional ones does not always converge, and complains on stderr.
_RENYI_ORDERS = (*range(2, 33), *range(36, 65, 4), 80, 96, 128, 192, 256, 384, 512, 1024)


class Part(NamedTuple):
    """What one setting costs a person of so many rows."""

    noise_multiplier: float
    sample_rate: float
    rows: int
    steps: int


Parts = tuple[Part, ...]


def signal(parts: Parts) -> float:
    """Return mu of these trainings on full batches: how many standard deviations a person moves what is released."""
    return math.sqrt(sum(part.steps * (part.rows / part.noise_multiplier) ** 2 for part in parts))


@lru_cache(maxsize=4096)
def composed(parts: Parts, delta: float, cells: int = 10_000) -> float:
    """Return the least of the upper bounds; more cells are slower and a little tighter."""
    if any(part.noise_multiplier == 0 for part in parts):
        return math.inf
    if not parts:
        return 0.0
    bounds = [exact_epsilon(signal(parts), delta)]
    if all(part.sample_rate == 1 for part in parts):
        return bounds[0]
    if len(parts) > 1:
        bounds.append(sum(composed((part,), delta / len(parts), cells) for part in parts))
    if all(part.rows == 1 or part.sample_rate == 1 for part in parts):
        bounds.append(_renyi_epsilon(parts, delta))
    # A grid made for a rough answer may be too wide for the true one: go on as long as that helps.
    while (rough := min(bounds)) > 0 and len(bounds) < 9:
        bounds.append(_pld_epsilon(parts, delta, _grid(rough, parts, cells)))
        if bounds[-1] > 0.8 * rough:
            break
    return min(bounds)


def exact_epsilon(mu: float, delta: float) -> float:
    """Invert delta(epsilon) = Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu)."""

    def excess(candidate: float) -> float:
        return float(gaussian_delta(candidate, mu)) - delta

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return brentq(excess, 0.0, high, xtol=1e-15, rtol=1e-14) * _ROUND_UP + 1e-14


def gaussian_delta(epsilon: float | NDArray[np.float64], mu: float) -> NDArray[np.float64]:
    """Return delta(epsilon) of the Gaussian mechanism, rounded up, from logarithms so that no term overflows."""
    first, second = log_ndtr(mu / 2 - epsilon / mu), epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    lost = _SLACK * (4 + np.abs(epsilon))  # the two terms nearly cancel when mu is tiny
    return np.exp(first) * (lost - np.expm1(np.minimum(second - first, 0.0)))


def loss_curve(parts: Parts) -> Callable[[float], float]:
    """Return epsilon -> delta(epsilon), also below 0: the most that right accusations exceed e^epsilon wrong ones."""
    if not parts:
        return lambda epsilon: max(0.0, -math.expm1(min(epsilon, 0.0)))
    if any(part.noise_multiplier == 0 for part in parts):
        return lambda _: 1.0
    mu = signal(parts)
    loss, lost = None, 0.0
    if any(part.sample_rate < 1 for part in parts):
        loss, lost = _loss(parts, _grid(composed(parts, 1e-5), parts, 10_000)), _lost(parts)

    def missing(epsilon: float) -> float:
        most = float(gaussian_delta(abs(epsilon), mu))
        if loss is not None:
            most = min(most, float(loss.get_delta_for_epsilon(abs(epsilon))) + lost)
        # With and without may change places: an attack on one is an attack on the other.
        return most if epsilon >= 0 else 1 - math.exp(epsilon) * (1 - most)

    return missing


def _pld_epsilon(parts: Parts, delta: float, grid: float) -> float:
    loss = _loss(parts, grid) if delta > _lost(parts) else None
    return math.inf if loss is None else float(loss.get_epsilon_for_delta(delta - _lost(parts)))


def _lost(parts: Parts) -> float:
    """Return a probability that may go missing: composing by Fourier transform rounds."""
    return max(1e-12, 4e-16 * sum(part.steps for part in parts))


@lru_cache(maxsize=64)
def _loss(parts: Parts, grid: float) -> pld.PrivacyLossDistribution | None:
    """Return an upper bound of the privacy loss on a grid, or None where that would take minutes."""
    if max(part.steps for part in parts) > _MOST_STEPS_FOR_PLD:
        return None
    return reduce(lambda so_far, one: so_far.compose(one), (_loss_of(part, grid) for part in parts))


def _loss_of(part: Part, grid: float) -> pld.PrivacyLossDistribution:
    sigma, q, rows, steps = part
    on_grid = {"value_discretization_interval": grid, "use_connect_dots": True}
    if q == 1:
        return pld.from_gaussian_mechanism(sigma / (rows * math.sqrt(steps)), **on_grid)
    if rows == 1:
        return pld.from_gaussian_mechanism(sigma, sampling_prob=q, **on_grid).self_compose(steps)
    both = (_mixture(sigma, q, rows, adjacency, grid) for adjacency in (AdjacencyType.REMOVE, AdjacencyType.ADD))
    return pld.PrivacyLossDistribution(*both).self_compose(steps)


def _mixture(sigma: float, q: float, rows: int, adjacency: AdjacencyType, grid: float) -> pld_pmf.PLDPmf:
    """Return one step's losses of a person of several rows, as ``pld.from_mixture_gaussian_mechanism`` in a 30th."""
    many = np.arange(rows + 1)  # so many of the person's rows are in the batch
    step = _Mixture(sigma, many, binom.pmf(many, rows, q), adjacency_type=adjacency)
    ends = step.connect_dots_bounds()
    low, high = math.floor(ends.epsilon_lower / grid), math.ceil(ends.epsilon_upper / grid)
    deltas = step.get_delta_for_epsilon(np.arange(low, high + 1) * grid)
    return pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(grid, low, high, deltas)


class _Mixture(MixtureGaussianPrivacyLoss):
    """dp-accounting's mixture; all its losses are inverted at once by Newton's method, not searched one by one."""

    def inverse_privacy_losses(
        self, privacy_losses: NDArray[np.float64], precision: float = 1e-6
    ) -> NDArray[np.float64]:
        """Return where the loss has these values; delta is largest there, so an error counts by its square."""
        removed = self.adjacency_type == AdjacencyType.REMOVE
        drawn = self.sensitivities > 0
        rows, chance = self.sensitivities[drawn], self._log_sampling_probs[drawn]
        base = chance - (rows / self._standard_deviation) ** 2 / 2  # of each number of rows, at 0
        # At t = -x / sigma^2 the loss is log(p_0 + sum of exp(base + rows t)): solve for the sum, which is convex in t.
        loss = privacy_losses if removed else -privacy_losses
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = loss + np.log(-np.expm1(np.log1p(-self._sampling_prob) - loss))
        wanted = np.nan_to_num(np.asarray(wanted), nan=-1e3, neginf=-1e3)[:, None]
        t = ((wanted - base) / rows).min(axis=1, keepdims=True)  # from above, where Newton's steps only fall
        for _ in range(50):
            terms = base + rows * t
            reached = logsumexp(terms, axis=1, keepdims=True)
            fall = (reached - wanted) / (np.exp(terms - reached) @ rows)[:, None]
            t -= fall
            if np.abs(fall).max() < 1e-10:
                break
        x = -t[:, 0] * self._variance
        return x if removed else -x


def _renyi_epsilon(parts: Parts, delta: float) -> float:
    accountant = RdpAccountant(_RENYI_ORDERS)
    for sigma, sample_rate, rows, steps in parts:
        # Tiny divergences drown in rounding and come out as 0: those of less noise are computable, and no smaller.
        computable = min(sigma / rows, sample_rate / _LEAST_RENYI_SIGNAL)
        accountant.compose(_event(computable, sample_rate), steps)
    return float(accountant.get_epsilon(delta))


def _event(sigma: float, sample_rate: float) -> GaussianDpEvent | PoissonSampledDpEvent:
    gaussian = GaussianDpEvent(sigma)
    return gaussian if sample_rate == 1 else PoissonSampledDpEvent(sample_rate, gaussian)


def _grid(rough_epsilon: float, parts: Parts, cells: int) -> float:
    """Return the width of the privacy loss grid: a wider one is faster, and never too optimistic."""
    sigma = min(part.noise_multiplier / part.rows for part in parts)
    # The losses of one step spread over some 10/sigma, or 1/sigma^2 where there is little noise: half a million cells.
    fits_in_memory = 4e-5 / min(sigma, 20.0) * max(1.0, 0.2 / sigma)
    return min(max(rough_epsilon / cells, fits_in_memory), max(10 / cells, fits_in_memory))
