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

import math
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from scipy.optimize import minimize_scalar
from scipy.special import expit, ndtr, ndtri

from ppml_helpers import checks, noise_search
from ppml_helpers.errors import PrivacyParameterError
from ppml_helpers.privacy_loss import Part, Parts, composed, loss_curve, signal

DELTA = 1e-5
"""The course's delta: below one in the number of patients, as is usual."""


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
    The settings of the course's explorers come from a table (see `noise_search`), because one search takes about a
    second for sampled batches; every other setting is searched once and remembered.
    """
    check_training(sample_rate=sample_rate, steps=steps, delta=delta, rows=rows)
    check_target(target_epsilon)
    if math.isinf(target_epsilon):
        return 0.0
    setting = (float(target_epsilon), float(sample_rate), int(steps), float(delta))
    known = noise_search.known(*setting) if rows == 1 else None
    return known or noise_search.least_noise(*setting, int(rows))


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
    return composed(_checked(trainings, rows), float(delta))


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
    curve = loss_curve(_checked(trainings, rows))
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
    mu = signal(parts)
    gaussian = float(ndtr(ndtri(false_positive_rate) + mu))
    if all(part.sample_rate == 1 for part in parts):
        return gaussian
    curve, reach = loss_curve(parts), max(1e-6, composed(parts, 1e-9))
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
    return tuple(Part(*setting, count) for setting, count in sorted(steps.items()))


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
