"""`accounting`, the price list: no answer below the truth, and close above it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.special import ndtr
from scipy.stats import binom, norm

from ppml_helpers import accounting
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.errors import PrivacyParameterError
from ppml_helpers.private_training import explorer as widget
from ppml_helpers.private_training.engine import RECIPES

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
    assert accounting.noise_multiplier(math.inf, 0.1, 10) == 0
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


# ---------------------------------------------------------------------------------------------------- the inverse


@settings(max_examples=100, deadline=None)
@given(target=st.floats(1e-3, 100), rate=st.just(1.0), steps=st.integers(1, 1000), delta=deltas)
@example(target=0.05, rate=0.1, steps=200, delta=1e-5)
@example(target=1.7, rate=0.2, steps=60, delta=1e-6)
@example(target=0.0221, rate=1.752e-4, steps=3030, delta=8.5e-9)  # a coarse grid is a fifth off here
@example(target=1e4, rate=1.0, steps=1, delta=1e-5)
def test_the_noise_is_enough_and_not_more(target: float, rate: float, steps: int, delta: float) -> None:
    noise = accounting.noise_multiplier(target, rate, steps, delta)
    assert accounting.epsilon(noise, rate, steps, delta) <= target
    assert accounting.epsilon(noise * 0.998, rate, steps, delta) > target


# ---------------------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize(
    ("setting", "noise"), accounting._noise_table().items(), ids=lambda value: str(value).split()[0][:5]
)
def test_every_entry_keeps_its_promise(setting: str, noise: float) -> None:
    target, q, steps, delta = (float(number) for number in setting.split())
    spent = by_pld(noise, q, int(steps), delta, min(1e-4, target / 5_000), use_connect_dots=True)
    # A key is rounded to 9 digits: its entry must also do for a target that is a little smaller.
    assert target * 0.995 < spent <= target * (1 - 1e-8)


def test_the_table_is_what_the_search_gives() -> None:
    recipe = RECIPES["MLP"]
    rebuilt = accounting.build_noise_table([1.0], [(recipe.sample_rate, recipe.steps)])
    key = accounting._key(1.0, recipe.sample_rate, recipe.steps, accounting.DELTA)
    assert list(rebuilt) == [key]
    assert rebuilt[key] == pytest.approx(accounting._noise_table()[key], rel=1e-3)


def test_the_slider_never_waits_for_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*_: float) -> float:
        raise AssertionError("searched at run time")

    monkeypatch.setattr(accounting, "_noise_multiplier", search)
    recipe = RECIPES["MLP"]
    noises = [accounting.noise_multiplier(e, recipe.sample_rate, recipe.steps) for e in widget.SLIDER]
    assert len(noises) == 31
    assert noises == sorted(noises, reverse=True)


# ---------------------------------------------------------------------------------------------------- composition


@pytest.mark.parametrize(
    "training", [SampledGaussian(5.0, 1, 10), SampledGaussian(12.0, 0.1, 20), SampledGaussian(30.0, 0.2, 60)]
)
def test_equal_trainings_are_one_long_training_and_none_costs_nothing(training: SampledGaussian) -> None:
    sigma, q, steps = training
    assert accounting.compose([]) == 0
    assert accounting.compose([training]) == accounting.epsilon(sigma, q, steps)
    assert accounting.compose([training] * 5) == accounting.epsilon(sigma, q, 5 * steps)


def test_different_full_batch_trainings_add_their_squares() -> None:
    trainings = [SampledGaussian(10.0, 1, 20), SampledGaussian(25.0, 1.0, 7), SampledGaussian(60.0, 1, 300)]
    mu = math.sqrt(sum(t.steps / t.noise_multiplier**2 for t in trainings))
    assert accounting.compose(trainings) == pytest.approx(accounting.epsilon(1 / mu, 1, 1), rel=1e-9)
    assert accounting.compose(trainings[::-1]) == accounting.compose(trainings)


def test_sampled_composition_against_dp_accounting() -> None:
    trainings = [SampledGaussian(2.0, 0.1, 50), SampledGaussian(5.0, 0.2, 60), SampledGaussian(20.0, 1, 10)]
    accountant = PLDAccountant()
    for sigma, q, steps in trainings:
        event = dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(sigma))
        accountant.compose(event, steps)
    assert accounting.compose(trainings, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), rel=2e-3)


@pytest.mark.parametrize(
    "trainings",
    [
        [SampledGaussian(1.0, 0.01, 1000), SampledGaussian(1e4, 0.01, 1)],  # the second costs nothing
        [SampledGaussian(1.0, 0.01, 1000), SampledGaussian(1.0001, 0.01, 1000)],
        [SampledGaussian(2000.0, 0.1, 20), SampledGaussian(2001.0, 0.1, 20)],
        [SampledGaussian(0.3, 0.001, 100), SampledGaussian(0.31, 0.001, np.int64(100))],
    ],
)
def test_composition_never_costs_more_than_adding_up(trainings: list[SampledGaussian]) -> None:
    added = sum(accounting.epsilon(*part[:3], 1e-5 / 2) for part in trainings)
    dearest = max(accounting.epsilon(*part[:3]) for part in trainings)
    assert dearest <= accounting.compose(trainings) * 1.001 <= added * 1.001


# ---------------------------------------------------------------------------------------------------- what it promises


def test_the_attackers_best_in_closed_form() -> None:
    assert accounting.membership_accuracy(0, 0.2) == pytest.approx(0.6)
    assert accounting.membership_accuracy(1, 1e-5) == pytest.approx(0.7310612, abs=1e-6)
    assert accounting.membership_power(3, 1e-5, 0.001) == pytest.approx(0.001 * math.e**3 + 1e-5)
    assert accounting.membership_power(1, 0, 0.5) == pytest.approx(1 - 0.5 / math.e)
    assert accounting.membership_power(800, 1e-5, 0.0) == pytest.approx(1e-5)
    assert accounting.membership_power(math.inf, 1e-5, 0.01) == accounting.membership_power(2, 0, 1.0) == 1


@given(epsilon=st.floats(0, 20), delta=st.floats(0, 0.5))
def test_the_best_guess_is_the_best_point_of_the_power_curve(epsilon: float, delta: float) -> None:
    corner = (1 - delta) / (1 + math.exp(epsilon))
    rates = np.append(np.linspace(0, 1, 201), corner)
    best = max((1 + accounting.membership_power(epsilon, delta, rate) - rate) / 2 for rate in rates)
    assert best == pytest.approx(accounting.membership_accuracy(epsilon, delta), abs=1e-12)


def test_randomized_response_attains_the_bounds() -> None:
    """Answering truly with probability e^eps / (1 + e^eps) is eps-DP, and no attack on anything eps-DP does better."""
    epsilon, trials = 1.2, 400_000
    rng = np.random.default_rng(7)
    member = rng.random(trials) < 0.5
    truthful = rng.random(trials) < math.exp(epsilon) / (1 + math.exp(epsilon))
    answer = member == truthful
    error = 4 * math.sqrt(0.25 / trials)
    assert (answer == member).mean() == pytest.approx(accounting.membership_accuracy(epsilon, 0), abs=error)
    alarms, found = answer[~member].mean(), answer[member].mean()
    assert found == pytest.approx(accounting.membership_power(epsilon, 0, alarms), abs=4 * error)


@pytest.mark.parametrize(
    ("sigma", "steps", "trials"), [(0.7, 1, 400_000), (2.0, 1, 400_000), (8.0, 1, 400_000), (30.0, 100, 20_000)]
)
def test_the_gaussian_mechanism_stays_below_the_bounds(sigma: float, steps: int, trials: int) -> None:
    """The likelihood-ratio attack on noisy counts is the best there is; its success is known and never exceeded."""
    delta = 1e-5
    epsilon = accounting.epsilon(sigma, 1, steps, delta)
    rng = np.random.default_rng(11)
    # The attacker averages what the steps show: each is 0 or 1 plus noise.
    others, members = (rng.normal(truth, sigma, (trials, steps)).mean(axis=1) for truth in (0, 1))
    accuracy = ((members > 0.5).mean() + (others <= 0.5).mean()) / 2
    error = 4 * math.sqrt(0.25 / trials)
    expected = accounting.exact_accuracy([SampledGaussian(sigma, 1, steps)])
    assert accuracy == pytest.approx(expected, abs=error)
    assert expected < accounting.membership_accuracy(epsilon, delta)
    for rate in (0.001, 0.01, 0.1, 0.5):
        found = (members > np.quantile(others, 1 - rate)).mean()
        exact = accounting.exact_power([SampledGaussian(sigma, 1, steps)], rate)
        assert found == pytest.approx(exact, abs=4 * error + (0.003 if steps > 1 else 0))
        assert exact <= accounting.membership_power(epsilon, delta, rate) + 1e-12


def one_sampled_step(sigma: float, q: float) -> tuple[np.ndarray, np.ndarray]:
    """Return false alarms and members named over all thresholds on one sampled Gaussian: its exact trade-off."""
    x = np.linspace(-8 * sigma, 1 + 8 * sigma, 40_001)
    alarms = ndtr(-x / sigma)
    return alarms, (1 - q) * alarms + q * ndtr((1 - x) / sigma)


@pytest.mark.parametrize(("sigma", "q"), [(0.8, 0.2), (2.0, 0.5), (0.3, 0.05)])
def test_the_bound_of_sampled_training_is_its_exact_trade_off(sigma: float, q: float) -> None:
    alarms, named = one_sampled_step(sigma, q)
    once = [SampledGaussian(sigma, q, 1)]
    for prior in (0.1, 0.5, 0.9):
        truth = max((prior * named + (1 - prior) * (1 - alarms)).max(), prior)
        # Whoever accuses a member of being none gains as much: the worse of both directions bounds the attack.
        other = max((prior * (1 - alarms) + (1 - prior) * named).max(), 1 - prior)
        assert accounting.exact_accuracy(once, prior) == pytest.approx(max(truth, other), abs=1e-3)
    for rate in (0.01, 0.1, 0.5):
        forwards = np.interp(rate, alarms[::-1], named[::-1])
        # The bound allows either direction, and their mixtures, so it lies a little above the one that is played.
        assert forwards <= accounting.exact_power(once, rate) <= forwards + 0.05


def test_the_power_against_sampled_training_is_the_least_of_all_its_promises() -> None:
    setting = (1.3, 0.2, 30)
    promises = [(accounting.epsilon(*setting, delta), delta) for delta in np.logspace(-7, -0.3, 16)]
    for rate in (0.001, 0.1, 0.5, 0.9, 0.99):
        least = min(accounting.membership_power(*promise, rate) for promise in promises)
        exact = accounting.exact_power([SampledGaussian(*setting)], rate)
        assert exact - 1e-4 <= least <= exact + 0.01


@pytest.mark.parametrize("prior", [0.02, 0.5, 0.7])
def test_the_prior_counts(prior: float) -> None:
    """The best guess is the best point of the power curve, and without any training it is the prior's own."""
    rates = np.append(np.linspace(0, 1, 401), 1 / (1 + math.e))
    share = [prior * accounting.membership_power(1.0, 0, f) + (1 - prior) * (1 - f) for f in rates]
    assert accounting.membership_accuracy(1.0, 0, prior) == pytest.approx(max(share), abs=1e-9)
    assert accounting.exact_accuracy([], prior) == pytest.approx(max(prior, 1 - prior))
    full = [SampledGaussian(2.0, 1, 3)]
    best = max(prior * accounting.exact_power(full, f) + (1 - prior) * (1 - f) for f in np.linspace(0, 1, 2_001))
    assert accounting.exact_accuracy(full, prior) == pytest.approx(best, abs=1e-4)


def test_odds_are_bayes_rule() -> None:
    rng = np.random.default_rng(3)
    member = rng.random(400_000) < 0.2
    named = rng.random(400_000) < np.where(member, 0.3, 0.1)
    assert accounting.odds(0.2, 0.3, 0.1) == pytest.approx(member[named].mean(), abs=0.005)
    assert accounting.odds(0.2, 0.0, 0.0) == 0.2


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


@pytest.mark.parametrize("rows", [2, 5])
def test_sampled_rows_of_many_steps_are_one_computation_and_close_to_dp_accounting(rows: int) -> None:
    """A mixture takes seconds, so its epsilon and its accuracy come from one."""
    sigma, q, steps = 7.6, 0.2, 100
    many = np.arange(rows + 1)
    fine = privacy_loss_distribution.from_mixture_gaussian_mechanism(
        sigma, many, binom.pmf(many, rows, q), value_discretization_interval=3e-4, use_connect_dots=True
    ).self_compose(steps)
    accounting._loss.cache_clear()
    epsilon = accounting.epsilon(sigma, q, steps, rows=rows)
    accuracy = accounting.exact_accuracy([SampledGaussian(sigma, q, steps)], rows=rows)
    assert accounting._loss.cache_info().misses == 1
    assert epsilon == pytest.approx(fine.get_epsilon_for_delta(1e-5), rel=1e-3)
    assert accuracy == pytest.approx((1 + fine.get_delta_for_epsilon(0)) / 2, abs=1e-3)


@pytest.mark.parametrize("rows", [1, 10])
def test_no_attack_is_right_more_often_than_always(rows: int) -> None:
    for sigma, q in itertools.product([0.1, 1.25], [0.2, 1.0]):
        assert 0.5 < accounting.exact_accuracy([SampledGaussian(sigma, q, 100)], rows=rows) <= 1


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: accounting.epsilon(-1, 0.1, 10), "noise_multiplier = -1 .*: it counts clipping norms of noise"),
        (lambda: accounting.epsilon(1.0, 0, 10), "sample_rate = 0 .*: it is the chance to be in a batch"),
        (lambda: accounting.epsilon(1.0, 0.1, 2.5), "steps = 2.5 .*: it counts noisy steps"),
        (lambda: accounting.epsilon(1.0, 0.1, 10, 1), "delta = 1 .*: stay below one in the number of patients"),
        (lambda: accounting.noise_multiplier(0, 0.1, 10), "epsilon = 0 must be a finite number above 0"),
        (
            lambda: accounting.noise_multiplier(1e-9, 1, 10**6, 1e-12),
            r"target_epsilon is 1e-09: no noise multiplier up to 1e\+07",
        ),
        (lambda: accounting.compose([], delta=2), "delta = 2"),
        (lambda: accounting.compose([SampledGaussian(3.0, 1, 0)]), "steps = 0"),
        (lambda: accounting.membership_accuracy(-0.1), "epsilon = -0.1 .*: a promise has such an epsilon"),
        (lambda: accounting.membership_power(1, 1e-5, "1"), "false_positive_rate = '1' .*: 0.01 is 1 % false alarms"),
        (lambda: accounting.membership_power(1, 1.5, 0.1), "delta = 1.5"),
        (lambda: accounting.exact_accuracy([(math.nan, 1.0, 3)]), "noise_multiplier = nan"),
        (lambda: accounting.exact_accuracy([(1.0, 1.0, 3)], 1.2), "prior = 1.2"),
        (lambda: accounting.exact_power([(1.0, 1.0, 3)], -1), "false_positive_rate = -1"),
        (lambda: accounting.odds(0.5, 2, 0.1), "power = 2"),
        (lambda: accounting.epsilon(1.0, 1.0, 3, rows=0), "rows = 0"),
        (lambda: accounting.compose(SampledGaussian(1.0, 1.0, 1)), "must be a list of SampledGaussian"),
        (lambda: accounting.compose([(1.0, 0.1)]), "must be a list of SampledGaussian"),
        (lambda: accounting.compose(None), "must be a list of SampledGaussian"),
        (lambda: accounting.check_delta(1 / 6829, 6829), "there are 6,829 patients: .* choose 0.0001 or less"),
        (lambda: accounting.check_delta(0.001, 1000), "choose 0.0001 or less"),
        # too extreme to compute with
        (lambda: accounting.epsilon(1e-200, 0.1, 10), "^noise_multiplier = "),
        (lambda: accounting.epsilon(1e300, 1.0, 10), "^noise_multiplier = "),
        (lambda: accounting.epsilon(1.0, 1e-300, 10), "^sample_rate = "),
        (lambda: accounting.epsilon(1.0, 0.1, 10**400), "^steps = "),
        (lambda: accounting.epsilon(1.0, 1.0, 10, 1e-300), "^delta = "),
    ],
)
def test_a_parameter_outside_its_range_is_refused(call: Callable[[], float], sentence: str) -> None:
    with pytest.raises(PrivacyParameterError, match=sentence):
        call()


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
