"""How much privacy a noisy training spends: epsilon from noise, noise from epsilon, and what an attacker can do.

Everything here is for the Gaussian mechanism repeated ``steps`` times, each time on a Poisson sample of the rows
(every row is in a batch with probability ``sample_rate``), for tables that differ by one person added or removed. A
person has one row, or up to ``rows`` of them, each clipped by itself.
No answer is ever below the truth: full batches (``sample_rate`` 1) use the exact formula, rounded up, and sampled
batches take the smallest of several upper bounds (dp-accounting's privacy loss distributions and Renyi divergences,
and the full batch: being left out of some batches cannot make a person more visible). A parameter outside its range
is refused with a `PrivacyParameterError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial, reduce
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import RdpAccountant
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, log_ndtr, ndtr, ndtri
from scipy.stats import binom

from ppml_helpers import checks
from ppml_helpers.errors import PrivacyParameterError

DELTA = 1e-5
"""The course's delta: below one in the number of patients, as is usual."""

_ROUND_UP = 1 + 1e-9  # the exact formula is computed in floating point: err on the safe side
_SLACK = 4e-16  # what one floating-point operation may lose, generously
_NOISE_RANGE = (1e-4, 1e7)  # noise multipliers that are ever searched
_MOST_STEPS_FOR_PLD = 10**6  # composing more takes minutes, and each step's rounding up adds to the answer
_LEAST_RENYI_SIGNAL = 3e-5  # sample rate over noise, below which Renyi divergences are lost in rounding
# Whole orders only: the series for fractional ones does not always converge, and complains on stderr.
_RENYI_ORDERS = (*range(2, 33), *range(36, 65, 4), 80, 96, 128, 192, 256, 384, 512, 1024)


class SampledGaussian(NamedTuple):
    """The part of a training that costs privacy: so many steps of the sampled Gaussian mechanism."""

    noise_multiplier: float
    sample_rate: float
    steps: int


def epsilon(noise_multiplier: float, sample_rate: float, steps: int, delta: float = DELTA, rows: int = 1) -> float:
    """Return an epsilon such that the training is (epsilon, delta)-differentially private.

    Parameters
    ----------
    noise_multiplier : float
        Standard deviation of the noise in units of the clipping norm. 0 gives infinity: no noise, no promise.
    sample_rate : float
        Probability, in (0, 1], that a given row is in a given batch; 1 means full batches.
    steps : int
        Number of noisy steps, at least 1.
    delta : float
        In (0, 1).
    rows : int
        Most rows that one person has. The promise is made to the person, for all of their rows together.

    Returns
    -------
    float
        At least the true epsilon. For full batches it is exact up to one part in 10^9.

    References
    ----------
    Full batches: Balle and Wang (2018), Theorem 8; Dong, Roth and Su (2022), Corollary 1 (T steps of noise sigma are
    one of mu = sqrt(T)/sigma) and Theorem 2.14 (k rows: k times mu). Sampled batches: Koskela et al. (2020) and
    Doroshenko et al. (2022) for privacy loss distributions; Mironov, Talwar and Zhang (2019) for Renyi divergences;
    Ganesh (2024), "Tight group-level DP guarantees for DP-SGD with sampling via mixture of Gaussians mechanisms".
    """
    return compose([SampledGaussian(noise_multiplier, sample_rate, steps)], delta, rows)


def noise_multiplier(
    target_epsilon: float, sample_rate: float, steps: int, delta: float = DELTA, rows: int = 1
) -> float:
    """Return the least noise multiplier found for which ``epsilon(...)`` is at most ``target_epsilon``.

    Parameters
    ----------
    target_epsilon : float
        Above 0. Infinity gives 0: no promise, no noise.
    sample_rate, steps, delta, rows
        As in `epsilon`.

    Returns
    -------
    float
        Never below the least one that `epsilon` accepts, and at most 0.2 % above it, for targets from 0.01 to 10,000;
        sampled batches never get less than 0.01.

    Raises
    ------
    PrivacyParameterError
        If the target cannot be met by any noise up to a multiplier of 10^7.

    Notes
    -----
    The settings of the course's explorers come from a table made by `build_noise_table`, because one search takes
    about a second for sampled batches; every other setting is searched once and remembered.
    """
    check_training(sample_rate=sample_rate, steps=steps, delta=delta, rows=rows)
    check_target(target_epsilon)
    if math.isinf(target_epsilon):
        return 0.0
    setting = (float(target_epsilon), float(sample_rate), int(steps), float(delta))
    known = _noise_table().get(_key(*setting)) if rows == 1 else None
    return known or _noise_multiplier(*setting, int(rows))


def compose(trainings: Iterable[SampledGaussian], delta: float = DELTA, rows: int = 1) -> float:
    """Return the epsilon of publishing all these trainings on the same patients, each with noise of its own.

    Parameters
    ----------
    trainings : iterable of SampledGaussian
        Each with its noise multiplier, sample rate and steps. None at all costs 0.
    delta : float
        In (0, 1), for all of them together.
    rows : int
        As in `epsilon`.

    Returns
    -------
    float
        An upper bound: exact (rounded up) if all use full batches; else the least of what privacy loss distributions,
        Renyi divergences and adding up give. It holds for independent noise only: models that share noise do not
        compose at all.
    """
    check_training(delta=delta)
    return _composed(_checked(trainings, rows), float(delta))


def exact_accuracy(trainings: Iterable[SampledGaussian], prior: float = 0.5, rows: int = 1) -> float:
    """Return how often, at best, a guess "was in the data" or "was not" is right against these very trainings.

    One pair (epsilon, delta) is a summary of a mechanism. The mechanism's whole curve is tighter at the attacker's
    best point.

    Parameters
    ----------
    trainings : iterable of SampledGaussian
        All that is published.
    prior : float
        How likely membership was before, in [0, 1].
    rows : int
        As in `epsilon`.

    Returns
    -------
    float
        From the larger of `prior` and its rest (nothing learnt) to 1. Exact for full batches, an upper bound else.

    References
    ----------
    Dong, Roth and Su (2022), equation 6 and Proposition 3: the most that (right accusations) - e^epsilon (wrong ones)
    can be is delta(epsilon).
    """
    _number(prior, "prior", 0, 1, mend="0.5 is as likely as not")
    curve = _curve(_checked(trainings, rows))
    if prior in (0, 1):
        return 1.0
    return min(1.0, (1 - prior) + prior * curve(math.log1p(-prior) - math.log(prior)))


def exact_power(trainings: Iterable[SampledGaussian], false_positive_rate: float, rows: int = 1) -> float:
    """Return the largest share of members that an attacker on these trainings can name at this rate of false alarms.

    Parameters
    ----------
    trainings : iterable of SampledGaussian
        All that is published.
    false_positive_rate : float
        Share of non-members wrongly named members, in [0, 1].
    rows : int
        As in `epsilon`.

    Returns
    -------
    float
        Exact for full batches, an upper bound else.

    References
    ----------
    Dong, Roth and Su (2022), equation 6 (full batches) and Proposition 3 (from all pairs of epsilon and delta).
    """
    _number(false_positive_rate, "false_positive_rate", 0, 1, mend="0.01 is 1 % false alarms")
    parts = _checked(trainings, rows)
    if any(part.noise_multiplier == 0 for part in parts) or false_positive_rate == 1:
        return 1.0
    mu = _signal(parts)
    gaussian = float(ndtr(ndtri(false_positive_rate) + mu))
    if all(part.sample_rate == 1 for part in parts):
        return gaussian
    curve, reach = _curve(parts), max(1e-6, _composed(parts, 1e-9))
    says_nothing = -math.log(max(false_positive_rate, 1e-300))  # from this epsilon on the bound below is above 1
    best = minimize_scalar(
        lambda epsilon: math.exp(epsilon) * false_positive_rate + curve(epsilon),
        bounds=(max(-reach, -40.0), min(reach, says_nothing)),
        method="bounded",  # each epsilon gives a bound, convex in e^epsilon
        options={"xatol": 1e-4 * min(reach, 40.0)},
    )
    return min(gaussian, float(best.fun))


def odds(prior: float, power: float, false_positive_rate: float) -> float:
    """Return how likely somebody whom an attacker names a member was one.

    Parameters
    ----------
    prior : float
        Share of members among those whom the attacker considers, in [0, 1].
    power : float
        Share of members whom the attacker names, in [0, 1].
    false_positive_rate : float
        Share of the others whom the attacker names too, in [0, 1].

    Returns
    -------
    float
        In [0, 1]; the prior itself if nobody is ever named. (Bayes' rule.)
    """
    for value, name in ((prior, "prior"), (power, "power"), (false_positive_rate, "false_positive_rate")):
        _number(value, name, 0, 1, mend="it is a share")
    named = prior * power + (1 - prior) * false_positive_rate
    return prior * power / named if named > 0 else float(prior)


def membership_accuracy(epsilon: float, delta: float = DELTA, prior: float = 0.5) -> float:
    """Return how often, at best, a guess "was in the data" or "was not" can be right under a promise.

    Parameters
    ----------
    epsilon : float
        At least 0; infinity is no promise.
    delta : float
        In [0, 1).
    prior : float
        How likely membership was before, in [0, 1]; by default both answers are equally likely.

    Returns
    -------
    float
        A probability, for every attacker whatever else they know; for the default prior from 0.5 (coin) to 1.

    References
    ----------
    Kairouz, Oh and Viswanath (2015), Theorem 2.1: for equal priors the least error is (1 - delta) / (1 + e^epsilon).
    """
    _check_promise(epsilon, delta)
    _number(prior, "prior", 0, 1, mend="0.5 is as likely as not")
    corner = (1.0 - delta) * float(expit(-epsilon))  # here the two lines of the region meet
    # Right guesses are linear in the attack, so the best one is a corner: accuse nobody, everybody, or this one.
    ends = prior * delta + (1 - prior), prior + (1 - prior) * delta
    return max(*ends, 1.0 - corner)


def membership_power(epsilon: float, delta: float, false_positive_rate: float) -> float:
    """Return the largest share of members that an attacker can name at this rate of false alarms.

    Parameters
    ----------
    epsilon : float
        At least 0; infinity is no promise.
    delta : float
        In [0, 1).
    false_positive_rate : float
        Share of non-members wrongly named members, in [0, 1].

    Returns
    -------
    float

    References
    ----------
    Kairouz, Oh and Viswanath (2015), Theorem 2.1; Dong, Roth and Su (2022), Proposition 3.
    """
    _check_promise(epsilon, delta)
    _number(false_positive_rate, "false_positive_rate", 0, 1, mend="0.01 is 1 % false alarms")
    if math.isinf(epsilon):
        return 1.0
    # e^epsilon * false_positive_rate, at most 1, without the overflow of e^epsilon
    multiplied = math.exp(min(0.0, epsilon + math.log(false_positive_rate))) if false_positive_rate > 0 else 0.0
    many_alarms = 1 - math.exp(-epsilon) * (1 - delta - false_positive_rate)
    return max(0.0, min(1.0, multiplied + delta, many_alarms))


def build_noise_table(
    epsilons: Iterable[float], sample_rates_and_steps: Iterable[tuple[float, int]], delta: float = DELTA
) -> dict[str, float]:
    """Search the noise multipliers that ``noise_table.json`` of this package holds."""
    epsilons = list(epsilons)
    settings = [(float(e), float(q), int(t), float(delta)) for q, t in sample_rates_and_steps for e in epsilons]
    return {_key(*setting): _noise_multiplier(*setting) for setting in settings}


# The computation behind it ---------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """What one setting costs a person of so many rows."""

    noise_multiplier: float
    sample_rate: float
    rows: int
    steps: int


Parts = tuple[_Part, ...]


def _checked(trainings: Iterable[SampledGaussian], rows: int) -> Parts:
    """Return the trainings in plain numbers, equal ones as one with all their steps, in one order."""
    try:
        given = [SampledGaussian(*training) for training in trainings]
    except TypeError as error:
        raise PrivacyParameterError(
            f"trainings = {trainings!r:.100} must be a list of SampledGaussian(noise_multiplier, sample_rate, steps): "
            "give one for each release."
        ) from error
    check_training(rows=rows)
    steps: dict[tuple[float, float, int], int] = {}
    for training in given:
        check_training(**training._asdict())
        setting = float(training.noise_multiplier), float(training.sample_rate), int(rows)
        steps[setting] = steps.get(setting, 0) + int(training.steps)
    return tuple(_Part(*setting, count) for setting, count in sorted(steps.items()))


def _signal(parts: Parts) -> float:
    """Return mu of these trainings on full batches: how many standard deviations a person moves what is released."""
    return math.sqrt(sum(part.steps * (part.rows / part.noise_multiplier) ** 2 for part in parts))


@lru_cache(maxsize=4096)
def _composed(parts: Parts, delta: float, cells: int = 10_000) -> float:
    """Return the least of the upper bounds; more cells are slower and a little tighter."""
    if any(part.noise_multiplier == 0 for part in parts):
        return math.inf
    if not parts:
        return 0.0
    bounds = [_exact_epsilon(_signal(parts), delta)]
    if all(part.sample_rate == 1 for part in parts):
        return bounds[0]
    if len(parts) > 1:
        bounds.append(sum(_composed((part,), delta / len(parts), cells) for part in parts))
    if all(part.rows == 1 or part.sample_rate == 1 for part in parts):
        bounds.append(_renyi_epsilon(parts, delta))
    # A grid made for a rough answer may be too wide for the true one: go on as long as that helps.
    while (rough := min(bounds)) > 0 and len(bounds) < 9:
        bounds.append(_pld_epsilon(parts, delta, _grid(rough, parts, cells)))
        if bounds[-1] > 0.8 * rough:
            break
    return min(bounds)


def _exact_epsilon(mu: float, delta: float) -> float:
    """Invert delta(epsilon) = Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu)."""

    def excess(candidate: float) -> float:
        return float(_gaussian_delta(candidate, mu)) - delta

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return brentq(excess, 0.0, high, xtol=1e-15, rtol=1e-14) * _ROUND_UP + 1e-14


def _gaussian_delta(epsilon: float | NDArray[np.float64], mu: float) -> NDArray[np.float64]:
    """Return delta(epsilon) of the Gaussian mechanism, rounded up, from logarithms so that no term overflows."""
    first, second = log_ndtr(mu / 2 - epsilon / mu), epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    lost = _SLACK * (4 + np.abs(epsilon))  # the two terms nearly cancel when mu is tiny
    return np.exp(first) * (lost - np.expm1(np.minimum(second - first, 0.0)))


def _curve(parts: Parts) -> Callable[[float], float]:
    """Return epsilon -> delta(epsilon), also below 0: the most that right accusations exceed e^epsilon wrong ones."""
    if not parts:
        return lambda epsilon: max(0.0, -math.expm1(min(epsilon, 0.0)))
    if any(part.noise_multiplier == 0 for part in parts):
        return lambda _: 1.0
    mu = _signal(parts)
    loss, lost = None, 0.0
    if any(part.sample_rate < 1 for part in parts):
        loss, lost = _loss(parts, _grid(_composed(parts, 1e-5), parts, 10_000)), _lost(parts)

    def missing(epsilon: float) -> float:
        most = float(_gaussian_delta(abs(epsilon), mu))
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


def _loss_of(part: _Part, grid: float) -> pld.PrivacyLossDistribution:
    sigma, q, rows, steps = part
    on_grid = {"value_discretization_interval": grid, "use_connect_dots": True}
    if q == 1:
        return pld.from_gaussian_mechanism(sigma / (rows * math.sqrt(steps)), **on_grid)
    if rows == 1:
        return pld.from_gaussian_mechanism(sigma, sampling_prob=q, **on_grid).self_compose(steps)
    many = np.arange(rows + 1)  # so many of the person's rows are in the batch
    mixture = pld.from_mixture_gaussian_mechanism(sigma, many, binom.pmf(many, rows, q), **on_grid)
    return mixture.self_compose(steps)


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
    if any(part.rows > 1 and part.sample_rate < 1 for part in parts):
        # A mixture's losses are inverted point by point: fewer points, at widths that recur, so that they are kept.
        cells, fits_in_memory = cells // 4, 12 * fits_in_memory
        return 2.0 ** round(math.log2(min(max(rough_epsilon / cells, fits_in_memory), max(1e-3, fits_in_memory))))
    return min(max(rough_epsilon / cells, fits_in_memory), max(1e-3, fits_in_memory))


@lru_cache(maxsize=4096)
def _noise_multiplier(target: float, sample_rate: float, steps: int, delta: float, rows: int = 1) -> float:
    """Search the least noise; the answer is checked by the fine grid itself, so it cannot promise too much."""

    def cost(sigma: float, cells: int = 10_000) -> float:
        return _composed((_Part(sigma, sample_rate, rows, steps),), delta, cells)

    if sample_rate == 1:
        return _least_noise(lambda sigma: _exact_epsilon(math.sqrt(steps) * rows / sigma, delta), target, *_NOISE_RANGE)
    enough = _noise_multiplier(target, 1.0, steps, delta, rows)  # sampling only helps
    sigma = _least_noise(lambda sigma: cost(sigma, cells=1_000), target, min(1e-2, enough), enough, 1e-4)
    while cost(sigma) > target:
        sigma *= 1 + 1e-4
    # The coarse grid can be far off at tiny epsilons: halve again on the fine one where it is.
    return sigma if cost(sigma * 0.999) > target else _least_noise(cost, target, sigma / 2, sigma, 1e-3)


def _least_noise(
    cost: Callable[[float], float], target: float, low: float, high: float, precision: float = 1e-9
) -> float:
    """Halve [low, high] on a log scale; return its upper end, which always meets the target."""
    if cost(high) > target:
        if high >= _NOISE_RANGE[1]:
            raise PrivacyParameterError(
                f"target_epsilon is {target:g}: no noise multiplier up to {_NOISE_RANGE[1]:g} is enough; "
                "ask for a larger epsilon, fewer steps or a larger delta."
            )
        return high
    while high / low > 1 + precision:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cost(middle) <= target else (middle, high)
    return high


@lru_cache(maxsize=1)
def _noise_table() -> Mapping[str, float]:
    text = resources.files("ppml_helpers").joinpath("noise_table.json").read_text(encoding="utf-8")
    return MappingProxyType(json.loads(text))


def _key(target: float, sample_rate: float, steps: int, delta: float) -> str:
    return f"{target:.9g} {sample_rate:.9g} {steps} {delta:.9g}"


# What is refused -------------------------------------------------------------------------------------------------

_number = partial(checks.number, error=PrivacyParameterError)


def check_training(
    noise_multiplier: float = 1.0, sample_rate: float = 1.0, steps: int = 1, rows: int = 1, *, delta: float = DELTA
) -> None:
    """Refuse parameters of a training that mean nothing, or are so extreme that no bound could be trusted."""
    noise = _number(noise_multiplier, "noise_multiplier", 0, 1e12, mend="it counts clipping norms of noise")
    if noise > 0:
        _number(noise, "noise_multiplier", 1e-6, mend="less is too little to compute with, and 0 is none")
    _number(sample_rate, "sample_rate", 1e-9, 1, mend="it is the chance to be in a batch")
    checks.whole(steps, "steps", 1, 10**9, error=PrivacyParameterError, mend="it counts noisy steps")
    checks.whole(rows, "rows", 1, 1_000, error=PrivacyParameterError, mend="it counts the rows of one person")
    _number(delta, "delta", 1e-100, 1, below=True, mend="stay below one in the number of patients, such as 1e-5")


def check_delta(delta: float, patients: int) -> None:
    """Refuse a delta of one in the number of patients or more: publishing somebody's record at random would keep it.

    Raises
    ------
    PrivacyParameterError
        For such a delta, with the largest power of ten that would do.
    """
    check_training(delta=delta)
    if delta * patients >= 1:
        raise PrivacyParameterError(
            f"delta = {delta:g} is one in {1 / delta:,.0f} and there are {patients:,} patients: publishing one record "
            f"at random would keep such a promise, so choose {10 ** (math.ceil(-math.log10(patients)) - 1):g} or less."
        )


def check_target(target_epsilon: float) -> None:
    """Refuse an epsilon that nobody can aim for; infinity means no promise."""
    if not (isinstance(target_epsilon, float) and target_epsilon == math.inf):
        _number(target_epsilon, "epsilon", 0, above=True, mend="aim for such a number, or infinity for no promise")


def _check_promise(epsilon: float, delta: float) -> None:
    if not (isinstance(epsilon, float) and epsilon == math.inf):
        _number(epsilon, "epsilon", 0, mend="a promise has such an epsilon, or infinity for none")
    _number(delta, "delta", 0, 1, below=True, mend="stay below one in the number of patients, such as 1e-5")
