"""How much privacy a noisy training spends: epsilon from noise, noise from epsilon, and what epsilon promises.

Everything here is for the Gaussian mechanism repeated ``steps`` times, each time on a Poisson sample of the patients
(every patient is in a batch with probability ``sample_rate``), for tables that differ by one patient added or removed.
No answer is ever below the truth: full batches (``sample_rate`` 1) use the exact formula, rounded up, and sampled
batches take the smallest of three upper bounds (dp-accounting's privacy loss distributions and Renyi divergences, and
the full batch: being left out of some batches cannot make a patient more visible). A parameter outside its range is
refused with a `PrivacyParameterError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq
from scipy.special import expit, log_ndtr, ndtr

from ppml_helpers import checks
from ppml_helpers.errors import PrivacyParameterError

DELTA = 1e-5
"""The course's delta: below one in the number of patients, as is usual."""

_ROUND_UP = 1 + 1e-9  # the exact formula is computed in floating point: err on the safe side
_SLACK = 4e-16  # what one floating-point operation may lose, generously
_NOISE_RANGE = (1e-2, 1e7)  # noise multipliers that are ever searched
_LEAST_NOISE_FOR_PLD = 0.2  # below it the privacy loss spreads so widely that its grid would not fit into memory
_LEAST_RENYI_SIGNAL = 3e-5  # sample rate over noise, below which Renyi divergences are lost in rounding
# Whole orders only: the series for fractional ones does not always converge, and complains on stderr.
_RENYI_ORDERS = (*range(2, 33), *range(36, 65, 4), 80, 96, 128, 192, 256, 384, 512, 1024)


class SampledGaussian(NamedTuple):
    """The part of a training that costs privacy: so many steps of the sampled Gaussian mechanism."""

    noise_multiplier: float
    sample_rate: float
    steps: int


def epsilon(noise_multiplier: float, sample_rate: float, steps: int, delta: float = DELTA) -> float:
    """Return an epsilon such that the training is (epsilon, delta)-differentially private.

    Parameters
    ----------
    noise_multiplier : float
        Standard deviation of the noise in units of the clipping norm. 0 gives infinity: no noise, no promise.
    sample_rate : float
        Probability, in (0, 1], that a given patient is in a given batch; 1 means full batches.
    steps : int
        Number of noisy steps, at least 1.
    delta : float
        In (0, 1).

    Returns
    -------
    float
        At least the true epsilon. For full batches it is exact up to one part in 10^9.

    References
    ----------
    Full batches: Balle and Wang (2018), Theorem 8; Dong, Roth and Su (2022), Corollary 1 (T steps of noise sigma are
    one of mu = sqrt(T)/sigma). Sampled batches: Koskela et al. (2020) and Doroshenko et al. (2022) for privacy loss
    distributions; Mironov, Talwar and Zhang (2019) for Renyi divergences.
    """
    check_training(noise_multiplier=noise_multiplier, sample_rate=sample_rate, steps=steps, delta=delta)
    if noise_multiplier == 0:
        return math.inf
    return _epsilon(float(noise_multiplier), float(sample_rate), int(steps), float(delta))


def noise_multiplier(target_epsilon: float, sample_rate: float, steps: int, delta: float = DELTA) -> float:
    """Return the least noise multiplier found for which ``epsilon(...)`` is at most ``target_epsilon``.

    Parameters
    ----------
    target_epsilon : float
        Above 0. Infinity gives 0: no promise, no noise.
    sample_rate, steps, delta
        As in `epsilon`.

    Returns
    -------
    float
        Never below the least one that `epsilon` accepts, and for targets of 0.01 or more at most 0.2 % above it.

    Raises
    ------
    PrivacyParameterError
        If the target cannot be met by any noise up to a multiplier of 10^7.

    Notes
    -----
    The settings of the course's explorers come from a table made by `build_noise_table`, because one search takes
    about a second for sampled batches; every other setting is searched once and remembered.
    """
    check_training(sample_rate=sample_rate, steps=steps, delta=delta)
    check_target(target_epsilon)
    if math.isinf(target_epsilon):
        return 0.0
    setting = (float(target_epsilon), float(sample_rate), int(steps), float(delta))
    return _noise_table().get(_key(*setting)) or _noise_multiplier(*setting)


def compose(trainings: Iterable[SampledGaussian], delta: float = DELTA) -> float:
    """Return the epsilon of publishing all these trainings on the same patients.

    Parameters
    ----------
    trainings : iterable of SampledGaussian
        Each with its noise multiplier, sample rate and steps. None at all costs 0.
    delta : float
        In (0, 1), for all of them together.

    Returns
    -------
    float
        An upper bound: exact (rounded up) if all use full batches, `epsilon` of all their steps if they differ in
        nothing else, and by Renyi divergences otherwise.
    """
    check_training(delta=delta)
    trainings = [SampledGaussian(*training) for training in trainings]
    for training in trainings:
        check_training(**training._asdict(), delta=delta)
    return _composed(tuple(sorted(trainings)), float(delta)) if trainings else 0.0


def membership_accuracy(epsilon: float, delta: float = DELTA) -> float:
    """Return how often, at best, a guess "was in the data" or "was not" can be right when both are equally likely.

    Parameters
    ----------
    epsilon : float
        At least 0; infinity is no promise.
    delta : float
        In [0, 1).

    Returns
    -------
    float
        A probability from 0.5 (coin) to 1, for every attacker whatever else they know.

    References
    ----------
    Kairouz, Oh and Viswanath (2015), Theorem 2.1: the least error of a test is (1 - delta) / (1 + e^epsilon).
    """
    _check_promise(epsilon, delta)
    return 1.0 - (1.0 - delta) * float(expit(-epsilon))


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


def gaussian_membership_accuracy(noise_multiplier: float, steps: int) -> float:
    """Return the best guess's accuracy against full-batch training itself, which promises more than its epsilon says.

    One pair (epsilon, delta) is a summary of the mechanism. The mechanism's own trade-off curve, known exactly for
    full batches, is tighter at the attacker's best point.

    From 0.5 (nothing to be seen) to 1.0 (no noise); both answers are equally likely beforehand.

    References
    ----------
    Dong, Roth and Su (2022), equation 6: the trade-off of N(0,1) against N(mu,1), with mu = sqrt(T)/sigma.
    """
    check_training(noise_multiplier=noise_multiplier, steps=steps)
    return 1.0 if noise_multiplier == 0 else float(ndtr(math.sqrt(steps) / noise_multiplier / 2))


def build_noise_table(
    epsilons: Iterable[float], sample_rates_and_steps: Iterable[tuple[float, int]], delta: float = DELTA
) -> dict[str, float]:
    """Search the noise multipliers that ``noise_table.json`` of this package holds."""
    epsilons = list(epsilons)
    settings = [(float(e), float(q), int(t), float(delta)) for q, t in sample_rates_and_steps for e in epsilons]
    return {_key(*setting): _noise_multiplier(*setting) for setting in settings}


# The computation behind it ---------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _epsilon(sigma: float, sample_rate: float, steps: int, delta: float) -> float:
    if sample_rate == 1:
        return _exact_epsilon(math.sqrt(steps) / sigma, delta)
    return _sampled_epsilon(sigma, sample_rate, steps, delta, cells=10_000)


@lru_cache(maxsize=256)
def _composed(trainings: tuple[SampledGaussian, ...], delta: float) -> float:
    if any(training.noise_multiplier == 0 for training in trainings):
        return math.inf
    if all(training.sample_rate == 1 for training in trainings):
        mu = math.sqrt(sum(training.steps / training.noise_multiplier**2 for training in trainings))
        return _exact_epsilon(mu, delta)
    if len({training[:2] for training in trainings}) == 1:
        sigma, sample_rate, _ = trainings[0]
        return _epsilon(float(sigma), float(sample_rate), sum(training.steps for training in trainings), delta)
    return _rdp_epsilon(trainings, delta)


def _exact_epsilon(mu: float, delta: float) -> float:
    """Invert delta(epsilon) = Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu)."""

    def excess(candidate: float) -> float:
        return _gaussian_delta(candidate, mu) - delta

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return brentq(excess, 0.0, high, xtol=1e-15, rtol=1e-14) * _ROUND_UP + 1e-14


def _gaussian_delta(epsilon: float, mu: float) -> float:
    """Return delta(epsilon) of the Gaussian mechanism, rounded up, from logarithms so that no term overflows."""
    first, second = log_ndtr(mu / 2 - epsilon / mu), epsilon + log_ndtr(-mu / 2 - epsilon / mu)
    lost = _SLACK * (4 + epsilon)  # the two terms nearly cancel when mu is tiny
    return float(math.exp(first) * (lost - math.expm1(min(second - first, 0.0))))


def _sampled_epsilon(sigma: float, sample_rate: float, steps: int, delta: float, cells: int) -> float:
    """Return the smallest of three upper bounds; more cells are slower and a little tighter."""
    rough = min(
        _exact_epsilon(math.sqrt(steps) / sigma, delta),
        _rdp_epsilon([SampledGaussian(sigma, sample_rate, steps)], delta),
    )
    return min(rough, _pld_epsilon(sigma, sample_rate, steps, delta, _grid(rough, sigma, cells))) if rough > 0 else 0.0


def _pld_epsilon(sigma: float, sample_rate: float, steps: int, delta: float, grid: float) -> float:
    if sigma < _LEAST_NOISE_FOR_PLD:
        return math.inf
    lost = max(1e-12, 4e-16 * steps)  # composing by Fourier transform rounds: probability that may go missing
    if delta <= lost:
        return math.inf
    loss = privacy_loss_distribution.from_gaussian_mechanism(
        sigma, sampling_prob=sample_rate, value_discretization_interval=grid, use_connect_dots=True
    )
    return float(loss.self_compose(steps).get_epsilon_for_delta(delta - lost))


def _rdp_epsilon(trainings: Iterable[SampledGaussian], delta: float) -> float:
    accountant = RdpAccountant(_RENYI_ORDERS)
    for sigma, sample_rate, steps in trainings:
        # Tiny divergences drown in rounding and come out as 0: those of less noise are computable, and no smaller.
        computable = min(sigma, sample_rate / _LEAST_RENYI_SIGNAL)
        accountant.compose(_event(computable, sample_rate), steps)
    return float(accountant.get_epsilon(delta))


def _event(sigma: float, sample_rate: float) -> GaussianDpEvent | PoissonSampledDpEvent:
    gaussian = GaussianDpEvent(sigma)
    return gaussian if sample_rate == 1 else PoissonSampledDpEvent(sample_rate, gaussian)


def _grid(rough_epsilon: float, sigma: float, cells: int) -> float:
    """Return the width of the privacy loss grid: a wider one is faster, and never too optimistic."""
    fits_in_memory = 2e-5 / min(sigma, 20.0)  # about a million cells for the losses of one step
    return min(max(rough_epsilon / cells, fits_in_memory), 1e-3)


@lru_cache(maxsize=4096)
def _noise_multiplier(target: float, sample_rate: float, steps: int, delta: float) -> float:
    """Search the least noise; the answer is checked by `_epsilon` itself, so it cannot promise too much."""
    if sample_rate == 1:
        return _least_noise(lambda sigma: _exact_epsilon(math.sqrt(steps) / sigma, delta), target, *_NOISE_RANGE, 1e-9)
    enough = _noise_multiplier(target, 1.0, steps, delta)  # sampling only helps
    sigma = _least_noise(
        lambda sigma: _sampled_epsilon(sigma, sample_rate, steps, delta, cells=1_000), target, 1e-2, enough, 1e-4
    )
    while _epsilon(sigma, sample_rate, steps, delta) > target:
        sigma *= 1 + 1e-4
    return sigma


def _least_noise(cost: Callable[[float], float], target: float, low: float, high: float, precision: float) -> float:
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
    noise_multiplier: float = 1.0, sample_rate: float = 1.0, steps: int = 1, delta: float = DELTA
) -> None:
    """Refuse parameters of a training that mean nothing, or are so extreme that no bound could be trusted."""
    noise = _number(noise_multiplier, "noise_multiplier", 0, 1e12, mend="it counts clipping norms of noise")
    if noise > 0:
        _number(noise, "noise_multiplier", 1e-6, mend="less is too little to compute with, and 0 is none")
    _number(sample_rate, "sample_rate", 1e-9, 1, mend="it is the chance to be in a batch")
    checks.whole(steps, "steps", 1, 10**9, error=PrivacyParameterError, mend="it counts noisy steps")
    _number(delta, "delta", 1e-100, 1, below=True, mend="stay below one in the number of patients, such as 1e-5")


def check_target(target_epsilon: float) -> None:
    """Refuse an epsilon that nobody can aim for; infinity means no promise."""
    if not (isinstance(target_epsilon, float) and target_epsilon == math.inf):
        _number(target_epsilon, "epsilon", 0, above=True, mend="aim for such a number, or infinity for no promise")


def _check_promise(epsilon: float, delta: float) -> None:
    if not (isinstance(epsilon, float) and epsilon == math.inf):
        _number(epsilon, "epsilon", 0, mend="a promise has such an epsilon, or infinity for none")
    _number(delta, "delta", 0, 1, below=True, mend="stay below one in the number of patients, such as 1e-5")
