"""The budget ledger, the bounds, and a black-box check that OpenDP's mechanisms keep what they promise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import opendp.prelude as dp
import pandas as pd
import polars as pl
import pytest
from opendp.mod import OpenDPException

from ppml_helpers.errors import BudgetError, PrivacyParameterError
from ppml_helpers.private_statistics.budget import Budget, Cost, checked_bounds

dp.enable_features("contrib")

# The ledger ------------------------------------------------------------------------------------------------------


def test_costs_add_up_and_an_overspent_budget_says_what_is_left_and_spends_nothing() -> None:
    budget = Budget(1.0, 1e-5)
    assert budget.spend(0.2, what="patients") == 0.2
    budget.spend(0.5, 4e-6, what="deaths")
    with pytest.raises(BudgetError, match=r"'stay' costs epsilon 0\.4, but 0\.3 of 1 is left"):
        budget.spend(0.4, what="stay")
    assert budget.spent == Cost(0.7, 4e-6)
    assert budget.left == Cost(pytest.approx(0.3), pytest.approx(6e-6))
    assert [entry.what for entry in budget.entries] == ["patients", "deaths"]
    budget.spend(0.3)  # what is left can still be spent
    with pytest.raises(BudgetError, match=r"costs delta 1e-06, but 0 of 0 is left"):
        Budget(1.0).spend(0.1, delta=1e-6)


@pytest.mark.parametrize("share", [0.1, 1 / 49])
def test_a_budget_can_be_spent_in_equal_shares_to_the_end(share: float) -> None:
    budget = Budget(1.0)
    for _ in range(round(1 / share)):
        budget.spend(share)
    assert budget.left.epsilon == pytest.approx(0, abs=1e-15)
    with pytest.raises(BudgetError, match="is left"):
        budget.spend(1e-9)


def test_parts_of_one_column_cost_the_dearest_and_different_columns_and_the_whole_add_up() -> None:
    budget = Budget(1.0, 1e-5)
    for diagnosis, delta in (("Coma", 1e-6), ("CHF", 3e-6), ("COPD", 0.0)):
        budget.spend(0.3, delta, what="age", part=("dzgroup", diagnosis))
    assert budget.spent == Cost(0.3, 3e-6)
    budget.spend(0.1, what="stay", part=("dzgroup", "Coma"))  # Coma has paid 0.4 now
    budget.spend(0.1, what="stay", part=("dzgroup", "CHF"))
    assert budget.spent.epsilon == pytest.approx(0.4)
    budget.spend(0.3, part=("sex", "female"))
    budget.spend(0.2)
    assert budget.spent.epsilon == pytest.approx(0.9)
    with pytest.raises(BudgetError, match=r"costs epsilon 0\.6, 0\.5 more than its column has paid already, but 0\.1 "):
        budget.spend(0.6, what="age", part=("dzgroup", "COPD"))
    budget.spend(0.2, part=("dzgroup", "COPD"))


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 0.0), (math.inf, 0.0), (0.5, 1)])
def test_what_is_no_promise_is_refused_and_spends_nothing(epsilon: Any, delta: Any) -> None:
    budget = Budget(1.0, 0.5)
    for refused in (lambda: Budget(epsilon, delta), lambda: budget.spend(epsilon, delta)):
        with pytest.raises(PrivacyParameterError, match=r"epsilon = |delta = "):
            refused()
    assert budget.entries == ()


def test_after_the_end_not_even_a_crumb_is_paid_however_small() -> None:
    """A hundred answers at 1e-20 each change no sum in floating point, and each is an answer."""
    budget = Budget(1.0)
    budget.spend(0.6)
    budget.spend(0.4, part=("sex", "female"))
    for part in (None, ("sex", "female"), ("dzgroup", "Coma")):
        with pytest.raises(BudgetError, match=r"costs epsilon 1e-20.*, but 0 of 1 is left"):
            budget.spend(1e-20, part=part)
    budget.spend(0.4, part=("sex", "male"))  # costs nothing more
    assert budget.left == Cost(0, 0)


def test_a_refusal_shows_as_many_digits_as_tell_the_price_from_what_is_left() -> None:
    budget, tenth = Budget(1.0), np.float32(0.1)  # a little more than 0.1
    for _ in range(9):
        budget.spend(tenth)
    with pytest.raises(BudgetError, match=r"costs epsilon 0\.1, but 0\.09999999 of 1 is left"):
        budget.spend(tenth)


PARTS = {
    "no pair": ("Coma", "a part is a column and one of its values"),
    "a list": (("dzgroup", ["Coma"]), "cannot be told from others"),
    "a pair of values": (("dzgroup", (math.nan, "Coma")), "cannot be told from others"),
    "text for a number": (("dnr", "1"), "of another kind than 1, which was paid for"),
    "overlapping": (("age", pd.Interval(60, 98)), r"overlaps \(18, 65\], which was paid for: cut the column once"),
    "a number in an interval": (("age", 63), "of another kind than Interval.*numbers, intervals of numbers"),
    "intervals of dates": (
        ("age", pd.Interval(*pd.to_datetime(["1990", "1991"]))),
        "intervals of dates, intervals of num",
    ),
    **{str(type(gap)): (("income", gap), "name it 'missing'") for gap in (math.nan, np.float64("nan"), pd.NA, None)},
}


@pytest.mark.parametrize(("part", "words"), PARTS.values(), ids=PARTS)
def test_a_part_that_would_not_be_counted_right_is_refused(part: Any, words: str) -> None:
    """Each NaN, for one, would be a part of its own: asked again and again, it would cost nothing more."""
    budget = Budget(1.0)
    for paid in (("dnr", 1), ("age", pd.Interval(18, 65))):
        budget.spend(0.3, part=paid)
    with pytest.raises(BudgetError, match=words):
        budget.spend(0.3, part=part)
    assert len(budget.entries) == 2


def test_one_value_written_in_two_types_is_one_part_and_intervals_that_meet_are_two() -> None:
    budget = Budget(1.0)
    for value in (1, np.int64(1), True, 1.0):
        budget.spend(0.2, part=("dnr", value))
    assert budget.spent.epsilon == pytest.approx(0.8)
    for ends in ((18, 65), (65, 98)):
        budget.spend(0.2, part=("age", pd.Interval(*ends)))
    assert budget.spent.epsilon == pytest.approx(1.0)


def test_the_ledger_is_shown_as_text_and_as_a_table_and_a_long_one_short() -> None:
    budget = Budget(1.0)
    assert "nothing spent" in repr(budget)
    budget.spend(0.25, what="age < 40", part=("sex", "female"))
    assert "sex = female" in repr(budget)
    assert "epsilon 0.25 of 1 is spent, 0.75 is left" in repr(budget)
    assert "age &lt; 40" in budget._repr_html_()
    assert budget._repr_html_().count("<tr>") == 4
    long = Budget(10.0)
    for _ in range(1000):
        long.spend(0.01)
    assert "992 earlier questions" in repr(long)
    assert "9.92" in repr(long)
    assert long._repr_html_().count("<tr>") == 12


# Bounds ----------------------------------------------------------------------------------------------------------


def test_public_bounds_come_back_without_a_word_and_others_with_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checked_bounds(18, 98, [20, 30.5, math.nan]) == (18.0, 98.0)
        assert checked_bounds(0, 1, []) == checked_bounds(0, 1) == (0.0, 1.0)
        assert checked_bounds(0, 1, pd.Series([0.5, pd.NA, None], dtype=object)) == (0.0, 1.0)
    for bounds, word in (
        ((20, 98), "low = 20 is the smallest value of"),
        ((18, 30.5), "high = 30.5 is the largest value of"),
        ((20, 30.5), "low = 20 is the smallest value and high"),
    ):
        with pytest.warns(UserWarning, match=word):
            assert checked_bounds(*bounds, iter([30.5, 20, 25])) == bounds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((98, 18), "not in order"),
        ((18, math.inf), "high = inf"),
        ((0, 1, ["a"]), "hold 'a', and only numbers can be clamped"),
        ((0, 1, pd.Series(["0.5"])), "hold '0.5', and only numbers"),
        ((0, 1, pd.Series(pd.to_datetime(["2020-01-01"]))), "hold Timestamp.*, and only numbers"),
    ],
)
def test_what_cannot_bound_is_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(PrivacyParameterError, match=words):
        checked_bounds(*arguments)


# What the mechanisms of the chapter promise, seen from outside ---------------------------------------------------

DRAWS = 25_000  # for each of two neighbouring tables: 50,000 a mechanism
FEW = 6_000  # enough to find a mechanism with half the noise: those that OpenDP draws one by one are drawn as often
SLACK = 5.0  # standard deviations: with a few hundred sets a check, a false alarm in about one run in 10,000

AGES, NAMES = [40, 60, 70, 98], ["CHF", "Coma", "CHF", "CHF"]


def rows_of(kind: type) -> tuple[dp.Domain, dp.Metric]:
    return dp.vector_domain(dp.atom_domain(T=kind)), dp.symmetric_distance()


def by_name(metric: Any) -> Any:
    return dp.t.then_count_by_categories(categories=["CHF", "Coma"], null_category=False, MO=metric)


COUNT = rows_of(str) >> dp.t.then_count()
HISTOGRAM = rows_of(str) >> by_name(dp.L1Distance[int])
HISTOGRAM_L2 = rows_of(str) >> by_name(dp.L2Distance[float])
SUM = rows_of(int) >> dp.t.then_clamp((18, 98)) >> dp.t.then_sum()


def noisy(numbers: Any, scale: float, gauss: bool) -> np.ndarray:
    """Let OpenDP add noise to whole numbers: to many in one call, which is faster than one by one."""
    metric = dp.l2_distance(T=float) if gauss else dp.l1_distance(T=int)
    space = dp.vector_domain(dp.atom_domain(T=int)), metric
    add = space >> (dp.m.then_gaussian(scale=scale) if gauss else dp.m.then_laplace(scale=scale))
    return np.array(add([int(number) for number in numbers]))


def answers(question: dp.Transformation, data: list, scale: float, number: int, gauss: bool = False) -> np.ndarray:
    """Ask a table the same noisy question many times; of a histogram, the first count is looked at."""
    truth = question(data)
    return noisy([np.atleast_1d(truth)[0]] * number, scale, gauss)


def median(scale: float) -> dp.Measurement:
    candidates = [20, 45, 65, 95]
    return dp.m.make_private_quantile(*rows_of(int), dp.max_divergence(), candidates, alpha=0.5, scale=scale)


def draws(measurement: dp.Measurement, data: Any, number: int) -> np.ndarray:
    """Ask a measurement many times, in one call."""
    return np.array(dp.c.make_composition([measurement] * number)(data))


def assert_error(drawn: np.ndarray, truth: int | list, theory: float) -> None:
    """Demand answers around the truth, as far from it as theory says."""
    error = drawn - np.atleast_1d(truth)[0]
    assert error.std() == pytest.approx(theory, rel=0.05)
    assert error.mean() == pytest.approx(0, abs=6 * theory / math.sqrt(len(drawn)))


def breaks(first: np.ndarray, second: np.ndarray, epsilon: float, delta: float = 0.0) -> bool:
    """Whether answers on two neighbouring tables differ more than (epsilon, delta) allows, beyond chance.

    A promise bounds the probability of every set of answers. The sets looked at: each single value, and each tail.
    """
    values = np.unique(np.concatenate([first, second]))
    edges = values[:: max(1, len(values) // 50)]  # sums take many values: 50 intervals of them will do
    one, two = (
        np.bincount(np.searchsorted(edges, side, "right"), minlength=len(edges) + 1) for side in (first, second)
    )
    for a, b in ((one, two), (two, one)):
        for x, y in ((a, b), (a.cumsum(), b.cumsum()), (a[::-1].cumsum(), b[::-1].cumsum())):
            excess = x - math.exp(epsilon) * y - delta * len(first)
            spread = np.sqrt(x + math.exp(2 * epsilon) * y + 25)
            if (excess > SLACK * spread).any():
                return True
    return False


@pytest.mark.parametrize(
    ("question", "data", "sensitivity"),
    [(COUNT, NAMES, 1), (HISTOGRAM, NAMES, 1), (SUM, AGES, 98)],
    ids=["count", "histogram", "bounded sum"],
)
def test_laplace_keeps_its_promise_with_the_error_of_theory_and_half_the_noise_does_not(
    question: dp.Transformation, data: list, sensitivity: int
) -> None:
    tables = data, data[:-1]  # without the last row, which is in the first count and has the largest value
    assert (question >> dp.m.then_laplace(scale=float(sensitivity))).map(1) == pytest.approx(1.0)
    kept = [answers(question, table, sensitivity, DRAWS) for table in tables]
    assert not breaks(*kept, epsilon=1.0)
    ratio = math.exp(-1 / sensitivity)  # of the two-sided geometric distribution
    assert_error(kept[0], question(data), math.sqrt(2 * ratio) / (1 - ratio))
    broken = [answers(question, table, sensitivity / 2, FEW) for table in tables]
    assert breaks(*broken, epsilon=1.0)


def test_the_measurement_answers_as_its_parts_do() -> None:
    """The checks above ask for the truth and then for the noise; a measurement does both in one."""
    whole = draws(HISTOGRAM >> dp.m.then_laplace(scale=1.0), NAMES, 5_000)[:, 0]
    parts = answers(HISTOGRAM, NAMES, 1.0, 5_000)
    assert not breaks(whole, parts, epsilon=0.1)


def test_the_median_keeps_its_promise_and_half_the_noise_does_not() -> None:
    data = [*AGES, 20, 30, 97]
    assert median(1.0).map(1) == pytest.approx(1.0)
    assert not breaks(*(draws(median(1.0), table, FEW) for table in (data, data[:-1])), epsilon=1.0)
    assert breaks(*(draws(median(0.5), table, FEW) for table in (data, data[:-1])), epsilon=1.0)


def test_the_discrete_gaussian_keeps_its_promise_with_the_error_of_theory_and_half_the_noise_does_not() -> None:
    delta = 0.02  # far larger than in use, so that 50,000 draws can tell
    zcdp = HISTOGRAM_L2 >> dp.m.then_gaussian(scale=1.0)
    epsilon, _ = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(zcdp), delta).map(1)
    tables = NAMES, NAMES[:-1]
    kept = [answers(HISTOGRAM_L2, table, 1.0, DRAWS, gauss=True) for table in tables]
    assert not breaks(*kept, epsilon=epsilon, delta=delta)
    assert_error(kept[0], HISTOGRAM_L2(NAMES), 1.0)
    assert breaks(*kept, epsilon=0.5)  # without delta a much smaller epsilon is not kept
    broken = [answers(HISTOGRAM_L2, table, 0.5, FEW, gauss=True) for table in tables]
    assert breaks(*broken, epsilon=epsilon, delta=delta)


def first_of_each(stays: pd.DataFrame, most: int) -> pd.DataFrame:
    """Truncate as the notebook does."""
    return stays.groupby("patient").head(most)


def test_truncation_looks_at_nobody_elses_rows_and_a_seeded_shuffle_does() -> None:
    rng = np.random.default_rng(8)
    stays = pd.DataFrame({"patient": rng.integers(0, 40, 300), "days": rng.integers(1, 60, 300)})

    def changed(keep: Callable[[pd.DataFrame], pd.DataFrame], who: int) -> int:
        """Count the kept rows that come or go with one person."""
        with_, without = keep(stays).index, keep(stays[stays.patient != who]).index
        return len(with_.symmetric_difference(without))

    assert max(changed(lambda rows: first_of_each(rows, 3), who) for who in range(40)) == 3
    assert changed(lambda rows: first_of_each(rows.sample(frac=1, random_state=0), 3), 0) > 30


def stays_of(table: pd.DataFrame, epsilon: float) -> dp.Context:
    """Open the chapter's Context: the promise is to a patient, whatever rows they have."""
    return dp.Context.compositor(
        data=pl.LazyFrame(table.to_dict("list")),
        privacy_unit=dp.unit_of(contributions=1, identifier="patient"),
        privacy_loss=dp.loss_of(epsilon=epsilon),
        split_evenly_over=2,
        margins=[dp.polars.Margin(max_length=100)],
    )


def test_a_context_truncates_and_keeps_its_promise_to_a_person_of_nine_rows() -> None:
    """The chapter's calls: what is kept sets the noise. That of one row promises nothing to somebody of three."""
    table, kept = pd.DataFrame({"patient": [0] * 9 + [1, 2], "days": 7}), []
    for rows in (table, table[table.patient != 0]):
        context, exact = stays_of(rows, 1.0), stays_of(rows, 1e6)
        count = context.query().truncate_per_group(3).select(dp.len(signed=True))
        days = context.query().truncate_per_group(3).select(pl.col.days.fill_null(0).dp.sum((0, 60)))
        scales = [query.summarize()["scale"].item() for query in (count, days)]
        assert scales == [3 / 0.5, 60 * 3 / 0.5]
        for query in (count, days):
            query.release()
        with pytest.raises(ValueError, match="allowance has been exhausted"):
            context.query().truncate_per_group(3).select(dp.len(signed=True)).release()
        found = exact.query().truncate_per_group(3).select(dp.len(signed=True)).release().collect().item()
        assert found == len(first_of_each(rows, 3))
        kept.append(found)
    for scale, broken in ((scales[0], False), (scales[0] / 3, True)):
        counted = [noisy([number] * FEW, scale, gauss=False) for number in kept]
        assert breaks(*counted, epsilon=0.5) is broken


def test_a_context_answers_nobody_who_does_not_truncate() -> None:
    with pytest.raises(OpenDPException, match="not recognized"):  # what it says; the answer is what matters: none
        stays_of(pd.DataFrame({"patient": [0, 0, 1], "days": 7}), 1.0).query().select(dp.len(signed=True)).release()


@pytest.mark.parametrize(("truthful", "broken"), [(0.75, False), (0.9, True)])
def test_randomised_response_keeps_its_promise_and_answers_truly_as_often_as_it_says(
    truthful: float, broken: bool
) -> None:
    response = dp.m.make_randomized_response_bool(truthful)
    assert (response.map(1) > math.log(3) * 1.001) is broken
    yes, no = (draws(response, truth, FEW).astype(int) for truth in (True, False))
    assert breaks(yes, no, epsilon=math.log(3)) is broken
    spread = math.sqrt(truthful * (1 - truthful) / FEW)
    assert [yes.mean(), 1 - no.mean()] == pytest.approx([truthful] * 2, abs=6 * spread)


def test_the_check_sees_a_leak_in_the_tail_only() -> None:
    rng = np.random.default_rng(0)
    noise = rng.geometric(0.5, 100_000)
    assert not breaks(noise, noise[::-1], epsilon=0.1)
    assert breaks(noise, np.where(rng.random(100_000) < 0.01, 40, noise), epsilon=0.1)
    assert not breaks(noise, np.where(rng.random(100_000) < 0.01, 40, noise), epsilon=0.1, delta=0.02)


def noisy_winner(scores: np.ndarray) -> np.ndarray:
    """Return each candidate's chance to win after exponential noise of scale 1: permute-and-flip, in closed form.

    McKenna and Sheldon (2020), "Permute-and-flip: a new mechanism for differentially private selection"; that noisy
    maximum and permute-and-flip are one is Ding, Kifer et al. (2021).
    """
    t = np.linspace(0, 60, 60_001)
    gaps = t[None, :] + scores[:, None, None] - scores[None, :, None]  # winner's noisy score less each other's score
    below = np.where(gaps > 0, -np.expm1(-np.maximum(gaps, 0)), 0.0)
    below[np.arange(len(scores)), np.arange(len(scores))] = 1.0
    return np.trapezoid(np.exp(-t) * below.prod(axis=1), t, axis=1)


def test_the_error_of_the_median_is_that_of_theory() -> None:
    scale = 2.0
    data, candidates = np.array([*AGES, 20, 30, 97]), np.array([20, 45, 65, 95])
    unbalance = np.array([abs((data < value).sum() - (data > value).sum()) for value in candidates])
    chances = noisy_winner(-unbalance / 2 / scale)
    assert chances.sum() == pytest.approx(1)
    error = np.abs(draws(median(scale), data.tolist(), 5_000) - np.median(data))
    theory = np.abs(candidates - np.median(data))
    assert error.mean() == pytest.approx(chances @ theory, rel=0.07)
    assert math.sqrt((error**2.0).mean()) == pytest.approx(math.sqrt(chances @ theory**2), rel=0.07)
