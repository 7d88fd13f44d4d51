"""`privacy_loss`, the bounds: no answer below the truth, and close above it."""

from __future__ import annotations

import itertools
import math

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.stats import binom, norm

from ppml_helpers import accounting, privacy_loss
from ppml_helpers.accounting import SampledGaussian

SAMPLED = [
    # noise, sample rate, steps, delta
    (1.1, 256 / 60_000, 15 * 234, 1e-5),  # the setting of the MNIST tutorials
    (1.0, 0.0427, 240, 1e-5),
    (4.0, 0.2, 100, 1e-6),
    (0.8, 0.02, 50, 1e-5),
    (50.0, 0.3, 60, 1e-4),
]


def gaussian_delta(epsilon: float, mu: mpmath.mpf) -> mpmath.mpf:
    """Balle and Wang (2018), Theorem 8, to 60 digits."""
    epsilon = mpmath.mpf(epsilon)
    return mpmath.ncdf(mu / 2 - epsilon / mu) - mpmath.exp(epsilon) * mpmath.ncdf(-mu / 2 - epsilon / mu)


def by_pld(sigma: float, q: float, steps: int, delta: float, grid: float = 1e-4, **how: bool) -> float:
    """Return epsilon by dp-accounting's privacy loss distributions."""
    loss = privacy_loss_distribution.from_gaussian_mechanism(
        sigma, sampling_prob=q, value_discretization_interval=grid, **how
    )
    return loss.self_compose(steps).get_epsilon_for_delta(delta)


# ---------------------------------------------------------------------------------------------------- full batches


@settings(max_examples=100, deadline=None)
@given(
    log_sigma=st.floats(-2, 9),
    steps=st.sampled_from([1, 3, 50, 100, 10_000]),
    log_delta=st.floats(-14, -0.05),
)
def test_the_exact_epsilon_is_never_below_the_truth(log_sigma: float, steps: int, log_delta: float) -> None:
    sigma, delta = 10**log_sigma, 10**log_delta
    epsilon = accounting.epsilon(sigma, 1, steps, delta)
    with mpmath.workdps(60):
        mu = mpmath.sqrt(steps) / mpmath.mpf(sigma)
        assert gaussian_delta(epsilon, mu) <= mpmath.mpf(delta)


@pytest.mark.parametrize("sigma", [0.3, 7.0, 120.0])
@pytest.mark.parametrize("steps", [1, 100])
@pytest.mark.parametrize("delta", [1e-3, 1e-10])
def test_the_exact_epsilon_is_close_above_the_truth(sigma: float, steps: int, delta: float) -> None:
    epsilon = accounting.epsilon(sigma, 1, steps, delta)
    with mpmath.workdps(60):
        mu = mpmath.sqrt(steps) / mpmath.mpf(sigma)
        truth = mpmath.findroot(lambda e: mpmath.log(gaussian_delta(e, mu) / delta), epsilon)
        assert 0 <= epsilon - truth <= 1e-6 * max(1, truth)


@pytest.mark.parametrize(("sigma", "steps"), [(20.0, 50), (2.0, 3), (100.0, 100)])
def test_the_exact_epsilon_against_an_independent_library(sigma: float, steps: int) -> None:
    event = dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(sigma), steps)
    assert accounting.epsilon(sigma, 1, steps) == pytest.approx(PLDAccountant().compose(event).get_epsilon(1e-5), 2e-4)


def test_the_exact_epsilon_is_zero_only_when_delta_alone_covers_the_noise() -> None:
    sigma, delta = 1e4, 1e-4  # total variation 2 Phi(mu / 2) - 1 = 4e-5
    assert accounting.epsilon(sigma, 1, 1, delta) == 0
    assert accounting.epsilon(sigma, 1, 1, 3e-5) > 0


# ---------------------------------------------------------------------------------------------------- sampled batches


@pytest.mark.parametrize("setting", SAMPLED)
def test_sampled_epsilon_between_certain_bounds(setting: tuple[float, float, int, float]) -> None:
    """dp-accounting's roundings enclose the truth."""
    low, high = (by_pld(*setting, pessimistic_estimate=up, use_connect_dots=False) for up in (False, True))
    assert low <= accounting.epsilon(*setting) <= high * 1.001


@pytest.mark.parametrize("setting", SAMPLED[1::3])
def test_sampled_epsilon_against_a_finer_grid(setting: tuple[float, float, int, float]) -> None:
    epsilon = accounting.epsilon(*setting)
    assert epsilon == pytest.approx(by_pld(*setting, grid=min(1e-4, epsilon / 30_000), use_connect_dots=True), rel=2e-3)


def test_the_tutorials_setting_by_a_second_library() -> None:
    """q = 256/60000, sigma 1.1, 15 epochs, delta 1e-5: Opacus' own two accountants enclose our number."""
    sigma, q, steps, delta = SAMPLED[0]
    ours = accounting.epsilon(sigma, q, steps, delta)
    prv, rdp = PRVAccountant(), RDPAccountant()
    prv.history = rdp.history = [(sigma, q, steps)]
    # PRV promises at most eps_error above the truth, so this much below it is a certain lower bound.
    upper = prv.get_epsilon(delta, eps_error=0.01)
    assert upper - 0.02 <= ours <= upper
    assert ours < rdp.get_epsilon(delta)
    assert ours == pytest.approx(1.13, abs=0.01)


def test_the_full_batch_bounds_sampled_batches() -> None:
    for sigma, steps in [(0.1, 1), (0.15, 10), (3.0, 20)]:
        assert accounting.epsilon(sigma, 0.99, steps) <= accounting.epsilon(sigma, 1, steps)


def test_tiny_losses_do_not_round_to_no_loss() -> None:
    """Renyi divergences of 1e-15 come out as 0 or below in floating point; the true epsilon is above 0 here."""
    for sigma, q, steps, delta in [(1e7, 0.1, 100, 1e-12), (1e5, 0.1, 100, 1e-9)]:
        mu = q * math.sqrt(steps) / sigma
        assert 2 * mpmath.ncdf(mu / 2) - 1 > delta  # even epsilon 0 needs more than this delta
        assert accounting.epsilon(sigma, q, steps, delta) > 0


def test_rarely_used_corners_answer_soon(capfd: pytest.CaptureFixture[str]) -> None:
    assert accounting.epsilon(0.5, 1e-6, 1) == 0  # at most one patient in a million batches: delta covers it
    assert 0 < accounting.epsilon(0.5, 3e-5, 30) < 0.05
    assert math.isfinite(accounting.epsilon(0.01, 0.2, 60))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("q", "steps"), [(0.01, 1000), (0.2, 100), (0.001, 8665)])
def test_little_noise_is_no_cliff(q: float, steps: int) -> None:
    little, less = accounting.epsilon(0.2, q, steps), accounting.epsilon(0.19999, q, steps)
    assert little <= less <= 1.001 * little
    assert less >= by_pld(0.19999, q, steps, 1e-5, 1e-3, pessimistic_estimate=False)


@pytest.mark.parametrize(("sigma", "q", "steps"), [(10.0, 1e-3, 10**7), (10.0, 1e-5, 10**8), (10.0, 1e-5, 10**9)])
def test_very_many_steps_get_an_answer_soon(sigma: float, q: float, steps: int) -> None:
    """The central limit is below the truth here, so an answer below it would be wrong; PLDs would take minutes."""
    limit = accounting.epsilon(1 / (q * math.sqrt(steps * math.expm1(sigma**-2))), 1, 1)
    assert 0.98 * limit <= accounting.epsilon(sigma, q, steps) < math.inf


def test_no_noise_is_no_promise() -> None:
    assert accounting.epsilon(0, 0.1, 10) == accounting.epsilon(0, 1, 10) == math.inf
    assert accounting.compose([SampledGaussian(10.0, 0.1, 20), SampledGaussian(0, 1, 5)]) == math.inf
    nothing_added = [SampledGaussian(0, 0.1, 5)]
    assert accounting.exact_accuracy(nothing_added) == accounting.membership_accuracy(math.inf) == 1
    assert accounting.exact_power(nothing_added, 0.0) == 1


# ---------------------------------------------------------------------------------------------------- monotone

deltas = st.floats(-9, -2).map(lambda exponent: 10**exponent)
ROUNDING = 1 + 2e-3  # the grid of the sampled answer is chosen anew for each setting


@pytest.mark.parametrize("knob", ["noise", "rate", "steps", "delta"])
@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    noise=st.floats(0.3, 300),
    rate=st.sampled_from([0.01, 0.05, 0.2, 0.7, 1.0]),
    steps=st.integers(1, 100),
    delta=deltas,
    factor=st.floats(1.05, 10),
)
def test_less_noise_larger_batches_more_steps_or_a_smaller_delta_never_cost_less(
    knob: str, noise: float, rate: float, steps: int, delta: float, factor: float
) -> None:
    asked = {"noise_multiplier": noise, "sample_rate": rate, "steps": steps, "delta": delta}
    milder = {
        "noise": {"noise_multiplier": noise * factor},
        "rate": {"sample_rate": rate / factor},
        "steps": {"steps": max(1, int(steps / factor))},
        "delta": {"delta": delta * factor},
    }[knob]
    assert accounting.epsilon(**asked | milder) <= accounting.epsilon(**asked) * ROUNDING


# ---------------------------------------------------------------------------------------------------- rows of a person


def test_rows_of_one_person_count_together() -> None:
    """On full batches k rows move the sum k times as far; delta grows with them, so epsilon grows faster than k."""
    sigma = accounting.noise_multiplier(1.0, 1.0, 100)
    assert [round(accounting.epsilon(sigma, 1.0, 100, rows=k), 1) for k in (2, 5, 10)] == [2.2, 6.2, 14.4]
    assert accounting.epsilon(5 * sigma, 1.0, 100, rows=5) == pytest.approx(accounting.epsilon(sigma, 1.0, 100))
    enough = accounting.noise_multiplier(1.0, 1.0, 100, rows=5)
    assert enough == pytest.approx(5 * sigma, rel=1e-6)


def test_sampled_rows_against_every_way_to_be_drawn() -> None:
    """One step: the sum moves by a binomial number of rows; the hockey stick of that mixture by quadrature."""
    sigma, q, rows, delta = 1.5, 0.3, 3, 1e-3
    x, width = np.linspace(-40, 40, 400_001, retstep=True)
    density = sum(binom.pmf(k, rows, q) * norm.pdf(x, k, sigma) for k in range(rows + 1))
    without = norm.pdf(x, 0, sigma)

    def missing(epsilon: float) -> float:
        pairs = (density, without), (without, density)
        return max(np.maximum(p - math.exp(epsilon) * r, 0).sum() * width for p, r in pairs)

    epsilon = accounting.epsilon(sigma, q, 1, delta, rows=rows)
    assert missing(epsilon * 0.995) > delta
    assert missing(epsilon) <= delta * (1 + 1e-6)


@pytest.mark.parametrize(("sigma", "q", "rows", "steps", "grid"), [(7.6, 0.2, 5, 100, 1e-3), (0.3, 0.9, 3, 2, 1e-2)])
def test_rows_in_sampled_batches_against_dp_accounting(
    sigma: float, q: float, rows: int, steps: int, grid: float
) -> None:
    """Its mixture searches each loss, which takes seconds; ours is the same within rounding."""
    many = np.arange(rows + 1)
    mixture = privacy_loss_distribution.from_mixture_gaussian_mechanism(
        sigma, many, binom.pmf(many, rows, q), value_discretization_interval=grid, use_connect_dots=True
    )
    theirs = mixture.self_compose(steps)
    ours = privacy_loss._loss_of(privacy_loss.Part(sigma, q, rows, steps), grid)
    for delta in (1e-3, 1e-5, 1e-8):
        assert ours.get_epsilon_for_delta(delta) == pytest.approx(theirs.get_epsilon_for_delta(delta), rel=1e-6)
    assert accounting.epsilon(sigma, q, steps, rows=rows) == pytest.approx(theirs.get_epsilon_for_delta(1e-5), rel=2e-3)
    accuracy = accounting.exact_accuracy([SampledGaussian(sigma, q, steps)], rows=rows)
    assert accuracy == pytest.approx((1 + theirs.get_delta_for_epsilon(0)) / 2, abs=1e-3)


@pytest.mark.parametrize("rows", [1, 10])
def test_no_attack_is_right_more_often_than_always(rows: int) -> None:
    for sigma, q in itertools.product([0.1, 1.25], [0.2, 1.0]):
        assert 0.5 < accounting.exact_accuracy([SampledGaussian(sigma, q, 100)], rows=rows) <= 1


# ---------------------------------------------------------------------------------------------------------- extremes


def test_a_tiny_delta_does_not_slip_below_the_truth() -> None:
    """Rounding of the composition is larger than such a delta; the bound must not profit from it."""
    sigma, q, steps, delta = 200.0, 1 - 1e-7, 100_000, 1e-12
    # With probability q^T every batch is full: then the exact formula applies, and it is a lower bound on the whole.
    always_full = steps * math.log(q)
    least = accounting.epsilon(sigma, 1.0, steps, delta / math.exp(always_full)) + always_full
    assert accounting.epsilon(sigma, q, steps, delta) >= least * (1 - 1e-9)


def test_the_ends_of_the_ranges_give_a_number() -> None:
    for sigma, q, steps in itertools.product([1e-6, 1e12], [1e-9, 0.5, 1.0], [1, 10**9]):
        assert accounting.epsilon(sigma, q, steps, 1e-100) >= 0
