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


def test_no_noise_is_no_promise() -> None:
    assert accounting.epsilon(0, 0.1, 10) == accounting.epsilon(0, 1, 10) == math.inf
    assert accounting.noise_multiplier(math.inf, 0.1, 10) == 0
    assert accounting.compose([SampledGaussian(10.0, 0.1, 20), SampledGaussian(0, 1, 5)]) == math.inf
    assert accounting.gaussian_membership_accuracy(0, 5) == accounting.membership_accuracy(math.inf) == 1


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
    tight = accountant.get_epsilon(1e-5)
    assert tight <= accounting.compose(trainings, 1e-5) <= 1.25 * tight


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
    expected = accounting.gaussian_membership_accuracy(sigma, steps)
    assert accuracy == pytest.approx(expected, abs=error)
    assert expected < accounting.membership_accuracy(epsilon, delta)
    for rate in (0.001, 0.01, 0.1, 0.5):
        threshold = np.quantile(others, 1 - rate)
        assert (members > threshold).mean() <= accounting.membership_power(epsilon, delta, rate) + 4 * error


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
        (lambda: accounting.gaussian_membership_accuracy(math.nan, 3), "noise_multiplier = nan"),
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
