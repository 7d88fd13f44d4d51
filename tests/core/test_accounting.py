"""`accounting`, the price list: no answer below the truth, and close above it."""

from __future__ import annotations

import math
from collections.abc import Callable

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from ppml_helpers import accounting
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.errors import PrivacyParameterError

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


def test_sampled_composition_against_dp_accounting() -> None:
    trainings = [SampledGaussian(2.0, 0.1, 50), SampledGaussian(5.0, 0.2, 60), SampledGaussian(20.0, 1, 10)]
    accountant = PLDAccountant()
    for sigma, q, steps in trainings:
        event = dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(sigma))
        accountant.compose(event, steps)
    assert accounting.compose(trainings, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), rel=2e-3)


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
