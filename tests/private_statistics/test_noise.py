"""The noise of the three queries and the `noise` module: against direct calculation, OpenDP and simulation."""

from __future__ import annotations

import math

import numpy as np
import opendp.prelude as dp
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.cohort import SUPPORT2, Category, Number, Schema
from ppml_helpers.errors import ExplorerError
from ppml_helpers.private_statistics.noise import (
    COMPARISONS,
    STEPS,
    BudgetResult,
    Grid,
    Questions,
    answered,
    bounded_mean,
    noise_cdf,
    noise_margin,
    noisy_rate,
    outcomes,
)

DRAWS = 40_000
SHARES = {"count": 40, "mean": 20, "comparison": 40}


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


def of(table: pd.DataFrame, n: int = 1000, epsilon: float = 1.0, groups: str = "women and men", **shares: int):
    return answered(table[:n], epsilon, SHARES | shares, COMPARISONS[groups], Questions.of())


def noise(generator: np.random.Generator, epsilon: float, size: int = DRAWS) -> np.ndarray:
    """Discrete Laplace noise made in another way than the module reckons it: the difference of two geometrics."""
    first, second = generator.geometric(-math.expm1(-epsilon), (2, size))
    return first - second


@pytest.mark.parametrize("epsilon", [0.003, 0.1, 1.0, 2.9, 9.0])
def test_the_noise_is_the_discrete_laplace_one(epsilon: float) -> None:
    values = np.arange(-6000, 6001)
    a = math.exp(-epsilon)
    directly = np.cumsum((1 - a) / (1 + a) * a ** np.abs(values.astype(float)))
    np.testing.assert_allclose(noise_cdf(values, epsilon) - noise_cdf(-6001, epsilon), directly, atol=1e-9)
    assert noise_cdf(0.7, epsilon) == noise_cdf(0, epsilon)
    assert noise_cdf(-0.1, epsilon) == noise_cdf(-1, epsilon)


@pytest.mark.parametrize("epsilon", [0.0005, 0.05, 0.4, 1.0, 3.0, 3.7, 9.0])
def test_the_margin_is_the_least_that_holds_95_percent(epsilon: float) -> None:
    def within(m: int) -> float:
        return float(noise_cdf(m, epsilon) - noise_cdf(-m - 1, epsilon))

    margin = noise_margin(epsilon)
    assert within(margin) >= 0.95
    assert margin == 0 or within(margin - 1) < 0.95


def test_opendps_mechanism_draws_the_same_noise() -> None:
    """The library that the chapter uses, on many counts of 0 (each is a draw)."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    found = np.array(dp.m.make_laplace(*space, scale=1 / 0.4)([0] * DRAWS))
    for value in (-20, -7, -2, -1, 0, 1, 7, 20):
        expected = float(noise_cdf(value, 0.4))
        assert np.mean(found <= value) == pytest.approx(expected, abs=6 * math.sqrt(expected * (1 - expected) / DRAWS))


@pytest.mark.parametrize(("count", "epsilon"), [(0, 1.0), (3, 0.3), (500, 2.0), (40, 0.01), (6, 0.0005), (9000, 0.02)])
def test_the_outcomes_of_a_count_have_its_distribution(count: int, epsilon: float) -> None:
    values, probabilities = outcomes(count, epsilon)
    assert probabilities.sum() == pytest.approx(1.0)
    assert len(values) <= STEPS + 1
    assert np.all(np.diff(values) > 0)
    released = np.maximum(count + noise(np.random.default_rng(1), epsilon), 0)
    assert probabilities @ values == pytest.approx(released.mean(), abs=5 * released.std() / math.sqrt(DRAWS) + 1e-6)
    if values[0] == 0:
        assert probabilities[0] == pytest.approx(float(noise_cdf(-count, epsilon)))


def test_flips_are_exact_where_nothing_is_taken_together() -> None:
    """Every quadruple of noises that matters, for small groups and much epsilon, without the module's layout."""
    epsilon, cells = 1.5, ((3, 4), (2, 5))  # died, survived
    z = np.arange(-14, 15)
    p = np.exp(-epsilon * np.abs(z)) * math.tanh(epsilon / 2)
    rates, weights = [], []
    for died, survived in cells:
        d, s = np.maximum(died + z, 0)[:, None], np.maximum(survived + z, 0)[None, :]
        rates.append((d / np.maximum(d + s, 1)).ravel())
        weights.append(np.outer(p, p).ravel())
    directly = weights[0] @ (rates[0][:, None] <= rates[1]) @ weights[1]
    first, second = (noisy_rate(*cell, epsilon) for cell in cells)
    assert 1 - first.above(second) == pytest.approx(directly, abs=1e-6)
    assert directly > 0.1


@pytest.mark.parametrize("age", [58, 90])
def test_the_mean_pays_for_the_sum_and_for_the_number(age: int) -> None:
    """The noise of the number moves a mean far from 58, and hardly one of 58."""
    answer = bounded_mean(pd.Series([float(age)] * 300), SUPPORT2.columns["age"], 0.5)
    generator = np.random.default_rng(5)
    number = np.maximum(300 + noise(generator, 0.25), 1)
    released = np.clip(58 + (300 * (age - 58) + noise(generator, 0.25 / 40)) / number, 18, 98)
    low, high = np.quantile(released, (0.025, 0.975))
    assert answer.true == age
    assert answer.low == pytest.approx(low, abs=0.03 * (high - low))
    assert answer.high == pytest.approx(high, abs=0.03 * (high - low))


def test_the_truth_is_that_of_the_real_table(patients: pd.DataFrame) -> None:
    result, table = of(patients, 300), patients[:300]
    died = table[table.hospdead == 1]
    assert list(result.deaths.index) == list(cohort.DIAGNOSES)
    for diagnosis, row in result.deaths.iterrows():
        assert row.true == (died.dzgroup == diagnosis).sum()
        assert (row.low, row.high) == (max(row.true - result.margin, 0), row.true + result.margin)
    assert result.mean.true == pytest.approx(table.age.clip(18, 98).round().mean(), abs=1e-9)
    for answer, sex in zip(result.rates, ("female", "male"), strict=True):
        assert answer.true == pytest.approx(table.hospdead[table.sex == sex].mean())
        assert answer.low <= answer.true <= answer.high
    assert result.patients == 300


@pytest.mark.parametrize(
    ("low", "high", "grid"), [(18, 98, (58, 1, 40)), (1.5, 4.5, (3.0, 0.01, 150)), (0, 4000, (2000, 10, 200))]
)
def test_no_value_within_the_bounds_is_further_from_the_centre_than_the_grid_says(
    low: float, high: float, grid: tuple
) -> None:
    found = Grid.of(Number("unit", low, high, high, "made up"))
    assert found == pytest.approx(grid)
    assert all(abs(np.rint((end - found.centre) / found.step)) <= found.reach for end in (low, high))


def test_the_questions_come_from_the_schema_alone() -> None:
    roles = {"alb": Number("g/dL", 1.5, 4.5, 3.5, "bedside"), "ward": Category(("north", "south", "hall"), "the house")}
    schema = Schema(roles, label="back", outcome="a second stay")
    asked = Questions.of(schema)
    assert (asked.counted, asked.mean, asked.verb) == ("ward", "alb", "have a second stay")
    assert list(asked.comparisons) == ["ward: north and south", "ward: north and hall"]
    many = Schema({**roles, "bed": Category(tuple(map(str, range(13))), "the house")}, label="back")
    for given, knobs, words in (
        (schema, {"mean": "ward"}, "mean = 'ward' is not on offer: choose one of 'alb'"),
        (many, {"counted": "bed"}, "has 13 names, and 12 fit"),
        (Schema({"ward": roles["ward"]}, label="back"), {}, "has no Number, one is needed for mean"),
    ):
        with pytest.raises(ExplorerError, match=words):
            Questions.of(given, **knobs)


def simulated(table: pd.DataFrame, result: BudgetResult) -> dict:
    """Release everything many times, as the explorer's description says, and look at what comes out."""
    generator, parts = np.random.default_rng(2), result.epsilons
    total, half = (table.age.clip(18, 98).round() - 58).sum(), parts["mean"] / 2
    number = np.maximum(len(table) + noise(generator, half), 1)
    ages = np.clip(58 + (total + noise(generator, half / 40)) / number, 18, 98)
    rates = []
    for value in result.comparison.values:
        group = table.hospdead[table[result.comparison.column] == value]
        died, survived = (
            np.maximum((group == outcome).sum() + noise(generator, parts["comparison"]), 0) for outcome in (1, 0)
        )
        rates.append(died / np.maximum(died + survived, 1))
    higher = rates if result.higher == 0 else rates[::-1]
    return {"count": noise(generator, parts["count"]), "age": ages, "rates": rates, "flips": higher[0] <= higher[1]}


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"epsilon": 0.01, "groups": "COPD and CHF"},
        {"epsilon": 0.1, "n": 300, "groups": "Asian and white"},
        {"epsilon": 0.03, "n": 9105, "count": 5, "mean": 90, "comparison": 5},
        {"epsilon": 10.0, "n": 300, "groups": "black and white"},
    ],
)
def test_bands_and_flips_are_those_of_simulated_releases(patients: pd.DataFrame, setting: dict) -> None:
    result = of(patients, **setting)
    seen = simulated(patients[: result.patients], result)
    noisy = math.sqrt(0.95 * 0.05 / DRAWS)
    assert np.mean(np.abs(seen["count"]) <= result.margin) > 0.95 - 5 * noisy
    for answer, released in ((result.mean, seen["age"]), *zip(result.rates, seen["rates"], strict=True)):
        inside = (released >= answer.low - 1e-6) & (released <= answer.high + 1e-6)
        assert inside.mean() > 0.95 - 5 * noisy - 0.005  # neighbouring values may be taken together
        tight = answer.high - answer.low
        shrunk = (released >= answer.low + 0.03 * tight) & (released <= answer.high - 0.03 * tight)
        assert shrunk.mean() < 0.95 + 5 * noisy or tight == 0 or answer.low in (0, 18) or answer.high in (1, 98)
    flips = seen["flips"].mean()
    error = 5 * math.sqrt(flips * (1 - flips) / DRAWS) + 2e-4
    assert result.flips == pytest.approx(flips, abs=error + (0.001 if result.epsilons["comparison"] < 0.14 else 0))


def test_the_best_attacker_on_a_count_reaches_the_promise_and_does_not_pass_it(patients: pd.DataFrame) -> None:
    result = of(patients, epsilon=3.0)
    for name, part in (("count", 1.2), ("mean", 0.6), ("comparison", 1.2), ("all", 3.0)):
        assert result.guesses[name] == pytest.approx(math.exp(part) / (1 + math.exp(part)))
    generator = np.random.default_rng(3)
    inside, outside = (10 + one + noise(generator, 1.2) for one in (1, 0))
    right = (np.mean(inside >= 11) + np.mean(outside < 11)) / 2
    assert right == pytest.approx(result.guesses["count"], abs=0.01)
