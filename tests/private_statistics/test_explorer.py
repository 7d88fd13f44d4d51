"""The explorer of chapter 04: its numbers against direct calculation and simulation, and shares that always add up."""

from __future__ import annotations

import math
import re
import time

import numpy as np
import opendp.prelude as dp
import pandas as pd
import pytest
from readable import assert_readable

from ppml_helpers import accounting, cohort
from ppml_helpers.errors import ExplorerError
from ppml_helpers.private_statistics import explorer as widget
from ppml_helpers.private_statistics.explorer import COMPARISONS, LEAST, MOST, PATIENTS, SHARES, BudgetExplorer

DRAWS = 100_000
START = {"epsilon": 1.0, "patients": 1000, "count": 0.4, "mean": 0.2, "comparison": 0.4, "groups": "women and men"}


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


@pytest.fixture(scope="module")
def explorer(patients: pd.DataFrame) -> BudgetExplorer:
    """One explorer for the module; each test says all the knobs that it depends on."""
    return BudgetExplorer(patients)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing where a test is about numbers or refusals: it takes nearly all of the time."""
    monkeypatch.setattr(BudgetExplorer, "redraw", lambda self: b"")


def drawn(patients: pd.DataFrame, n: int) -> pd.DataFrame:
    return patients.iloc[np.random.default_rng(0).permutation(len(patients))[:n]]


def noise(generator: np.random.Generator, epsilon: float, size: int = DRAWS) -> np.ndarray:
    """Discrete Laplace noise made in another way than the explorer reckons it: the difference of two geometrics."""
    first, second = generator.geometric(-math.expm1(-epsilon), (2, size))
    return first - second


def percents(explorer: BudgetExplorer) -> dict[str, int]:
    shown = {name: explorer.values[name] for name in SHARES}
    for share in shown.values():
        assert 100 * share == pytest.approx(round(100 * share), abs=1e-9)
    whole = {name: round(100 * share) for name, share in shown.items()}
    assert sum(whole.values()) == 100
    assert all(LEAST <= percent <= MOST for percent in whole.values())
    return whole


# ---------------------------------------------------------------------------------------------------- the noise


@pytest.mark.parametrize("epsilon", [0.003, 0.1, 1.0, 2.9, 9.0])
def test_the_noise_is_the_discrete_laplace_one(epsilon: float) -> None:
    values = np.arange(-6000, 6001)
    a = math.exp(-epsilon)
    directly = np.cumsum((1 - a) / (1 + a) * a ** np.abs(values.astype(float)))
    np.testing.assert_allclose(
        widget.noise_cdf(values, epsilon) - widget.noise_cdf(-6001, epsilon), directly, atol=1e-9
    )
    assert widget.noise_cdf(0.7, epsilon) == widget.noise_cdf(0, epsilon)
    assert widget.noise_cdf(-0.1, epsilon) == widget.noise_cdf(-1, epsilon)


@pytest.mark.parametrize("epsilon", [0.0005, 0.05, 0.4, 1.0, 3.0, 3.7, 9.0])
def test_the_margin_is_the_least_that_holds_95_percent(epsilon: float) -> None:
    def within(m: int) -> float:
        return float(widget.noise_cdf(m, epsilon) - widget.noise_cdf(-m - 1, epsilon))

    margin = widget.noise_margin(epsilon)
    assert within(margin) >= 0.95
    assert margin == 0 or within(margin - 1) < 0.95


def test_opendps_mechanism_draws_the_same_noise() -> None:
    """The library that the chapter uses, on 100,000 counts of 0 (each is a draw)."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    found = np.array(dp.m.make_laplace(*space, scale=1 / 0.4)([0] * DRAWS))
    for value in (-20, -7, -2, -1, 0, 1, 7, 20):
        expected = float(widget.noise_cdf(value, 0.4))
        assert np.mean(found <= value) == pytest.approx(expected, abs=6 * math.sqrt(expected * (1 - expected) / DRAWS))


@pytest.mark.parametrize(("count", "epsilon"), [(0, 1.0), (3, 0.3), (500, 2.0), (40, 0.01), (6, 0.0005), (9000, 0.02)])
def test_the_outcomes_of_a_count_have_its_distribution(count: int, epsilon: float) -> None:
    values, probabilities = widget.outcomes(count, epsilon)
    assert probabilities.sum() == pytest.approx(1.0)
    assert len(values) <= widget.STEPS + 1
    assert np.all(np.diff(values) > 0)
    released = np.maximum(count + noise(np.random.default_rng(1), epsilon), 0)
    assert probabilities @ values == pytest.approx(released.mean(), abs=5 * released.std() / math.sqrt(DRAWS) + 1e-6)
    if values[0] == 0:
        assert probabilities[0] == pytest.approx(float(widget.noise_cdf(-count, epsilon)))


# ---------------------------------------------------------------------------------------------------- the answers


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("n", [300, 1000, 9105])
def test_the_truth_is_that_of_the_real_table(explorer: BudgetExplorer, patients: pd.DataFrame, n: int) -> None:
    result, table = explorer.set(**START | {"patients": n}).result, drawn(patients, n)
    died = table[table.hospdead == 1]
    assert list(result.deaths.index) == list(cohort.DIAGNOSES)
    for diagnosis, row in result.deaths.iterrows():
        assert row.true == (died.dzgroup == diagnosis).sum()
        assert (row.low, row.high) == (max(row.true - result.margin, 0), row.true + result.margin)
    assert result.deaths.true.sum() == len(died)
    assert result.age.true == pytest.approx(table.age.clip(18, 98).round().mean(), abs=1e-9)
    assert result.age.true == pytest.approx(table.age.mean(), abs=0.05)
    for answer, sex in zip(result.rates, ("female", "male"), strict=True):
        assert answer.true == pytest.approx(table.hospdead[table.sex == sex].mean())
        assert answer.low <= answer.true <= answer.high
    assert result.patients == n


def simulated(table: pd.DataFrame, result: widget.BudgetResult, seed: int) -> dict:
    """Release everything 100,000 times, as the explorer's description says, and look at what comes out."""
    generator, parts = np.random.default_rng(seed), result.epsilons
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


SETTINGS = [
    {},
    {"epsilon": 0.1},
    {"epsilon": 0.01, "groups": "COPD and CHF"},
    {"epsilon": 0.1, "patients": 300, "groups": "Asian and white"},
    {"epsilon": 0.3, "patients": 9105, "groups": "Asian and white"},
    {"epsilon": 0.03, "patients": 9105, "count": 0.05, "mean": 0.9, "comparison": 0.05},
    {"epsilon": 10.0, "patients": 300, "groups": "black and white"},
]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("turned", SETTINGS)
def test_bands_and_flips_are_those_of_simulated_releases(
    explorer: BudgetExplorer, patients: pd.DataFrame, turned: dict
) -> None:
    result = explorer.set(**START | turned).result
    seen = simulated(drawn(patients, result.patients), result, seed=2)
    noisy = math.sqrt(0.95 * 0.05 / DRAWS)
    assert np.mean(np.abs(seen["count"]) <= result.margin) > 0.95 - 5 * noisy
    for answer, released in ((result.age, seen["age"]), *zip(result.rates, seen["rates"], strict=True)):
        inside = (released >= answer.low - 1e-6) & (released <= answer.high + 1e-6)
        assert inside.mean() > 0.95 - 5 * noisy - 0.005  # neighbouring values may be taken together
        tight = answer.high - answer.low
        shrunk = (released >= answer.low + 0.03 * tight) & (released <= answer.high - 0.03 * tight)
        assert shrunk.mean() < 0.95 + 5 * noisy or tight == 0 or answer.low in (0, 18) or answer.high in (1, 98)
    flips = seen["flips"].mean()
    error = 5 * math.sqrt(flips * (1 - flips) / DRAWS) + 1e-4
    assert result.flips == pytest.approx(flips, abs=error + (0.001 if result.epsilons["comparison"] < 0.14 else 0))


def test_flips_are_exact_where_nothing_is_taken_together() -> None:
    """Every quadruple of noises that matters, for small groups and much epsilon, without the explorer's layout."""
    epsilon, cells = 1.5, ((3, 4), (2, 5))  # died, survived
    z = np.arange(-14, 15)
    p = np.exp(-epsilon * np.abs(z)) * math.tanh(epsilon / 2)
    rates, weights = [], []
    for died, survived in cells:
        d, s = np.maximum(died + z, 0)[:, None], np.maximum(survived + z, 0)[None, :]
        rates.append((d / np.maximum(d + s, 1)).ravel())
        weights.append(np.outer(p, p).ravel())
    directly = weights[0] @ (rates[0][:, None] <= rates[1]) @ weights[1]
    first, second = (widget._noisy_rate(*cell, epsilon) for cell in cells)
    assert 1 - first.above(second) == pytest.approx(directly, abs=1e-6)
    assert directly > 0.1


@pytest.mark.parametrize("age", [58, 90])
def test_the_mean_pays_for_the_sum_and_for_the_number(age: int) -> None:
    """The noise of the number moves a mean far from 58, and hardly one of 58."""
    answer, generator = widget._mean_age(pd.Series([float(age)] * 300), 0.5), np.random.default_rng(5)
    number = np.maximum(300 + noise(generator, 0.25), 1)
    released = np.clip(58 + (300 * (age - 58) + noise(generator, 0.25 / 40)) / number, 18, 98)
    low, high = np.quantile(released, (0.025, 0.975))
    assert answer.true == age
    assert answer.low == pytest.approx(low, abs=0.03 * (high - low))
    assert answer.high == pytest.approx(high, abs=0.03 * (high - low))


# ---------------------------------------------------------------------------------------------------- risk and budget


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("epsilon", [0.01, 1.0, 10.0])
def test_the_parts_add_up_to_the_budget_and_each_has_its_risk(explorer: BudgetExplorer, epsilon: float) -> None:
    result = explorer.set(**START | {"epsilon": epsilon}).result
    assert sum(result.epsilons.values()) == pytest.approx(epsilon)
    for name, part in (*result.epsilons.items(), ("all", epsilon)):
        assert result.guesses[name] == pytest.approx(math.exp(part) / (1 + math.exp(part)))
    assert max(result.guesses[name] for name in SHARES) < result.guesses["all"]


@pytest.mark.usefixtures("undrawn")
def test_the_best_attacker_on_a_count_reaches_the_promise_and_does_not_pass_it(explorer: BudgetExplorer) -> None:
    result = explorer.set(**START | {"epsilon": 3.0}).result
    generator = np.random.default_rng(3)
    inside, outside = (10 + one + noise(generator, result.epsilons["count"]) for one in (1, 0))
    right = (np.mean(inside >= 11) + np.mean(outside < 11)) / 2
    assert right == pytest.approx(result.guesses["count"], abs=0.006)
    assert result.guesses["count"] == accounting.membership_accuracy(result.epsilons["count"], 0.0)


@pytest.mark.usefixtures("undrawn")
def test_more_budget_more_patients_or_a_larger_share_is_never_less_exact(explorer: BudgetExplorer) -> None:
    def width(answer: widget.Answer) -> float:
        return answer.high - answer.low

    def exactness(result: widget.BudgetResult) -> list[float]:
        return [result.margin, width(result.age), *map(width, result.rates)]

    few, many = (explorer.set(**START | {"epsilon": epsilon}).result for epsilon in (0.1, 1.0))
    assert all(a > b for a, b in zip(exactness(few), exactness(many), strict=True))
    assert few.flips > many.flips
    small, large = (explorer.set(**START | {"epsilon": 0.1, "patients": n}).result for n in (300, 9105))
    assert all(a > b for a, b in zip(exactness(small)[1:], exactness(large)[1:], strict=True))
    less, more = (explorer.set(**START | {"epsilon": 0.1}).set(mean=share).result for share in (0.1, 0.6))
    assert width(less.age) > 3 * width(more.age)
    assert less.margin < more.margin


# ---------------------------------------------------------------------------------------------------- shares


def wait(explorer: BudgetExplorer) -> None:
    deadline = time.monotonic() + 60
    while explorer._worker is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert explorer._worker is None


@pytest.mark.usefixtures("undrawn")
def test_moving_one_share_by_hand_rescales_the_others(explorer: BudgetExplorer) -> None:
    explorer.set(**START | {"count": 0.5, "mean": 0.2, "comparison": 0.3})
    for moved, share, expected in (
        ("count", 0.75, {"count": 75, "mean": 10, "comparison": 15}),
        ("count", 0.9, {"count": 90, "mean": 5, "comparison": 5}),
        ("count", 0.5, {"count": 50, "mean": 20, "comparison": 30}),  # back, as if nothing had been rounded
        ("mean", 0.6, {"count": 25, "mean": 60, "comparison": 15}),
        ("comparison", 0.05, {"count": 28, "mean": 67, "comparison": 5}),
    ):
        explorer._controls[moved].value = share  # as in the browser
        assert percents(explorer) == expected
        wait(explorer)
        assert explorer._result.shares == expected
        assert explorer._sentence.count(f"{expected['count']} %, {expected['mean']} % and") == 1


@pytest.mark.usefixtures("undrawn")
def test_they_add_up_after_any_walk(explorer: BudgetExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.set(**START)
    moves: list[tuple] = []
    monkeypatch.setattr(widget.Explorer, "_on_knob", lambda self, change: moves.append(self._by_hand))
    generator = np.random.default_rng(4)
    for step in range(300):
        name, percent = generator.choice(SHARES), int(generator.integers(LEAST, MOST + 1))
        before = len(moves)
        explorer._controls[name].value = percent / 100
        assert percents(explorer)[name] == percent, step
        assert moves[before:].count(True) <= 1  # one wish for one move: the sliders that follow make none
        assert len(moves) - before <= 3


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"count": 0.5}, (50, 17, 33)),
        ({"mean": 0.9}, (5, 90, 5)),
        ({"comparison": 0.05}, (63, 32, 5)),
        ({"count": 0.29, "mean": 0.58}, (29, 58, 13)),
        ({"count": 0.1, "mean": 0.3, "comparison": 0.6}, (10, 30, 60)),
        ({"mean": 1 / 3 + 0.01 - 1 / 3 + 0.24}, (38, 25, 37)),  # 0.25, but for rounding
    ],
)
def test_set_works_out_the_shares_that_are_not_named(explorer: BudgetExplorer, named: dict, expected: tuple) -> None:
    explorer.set(**START)
    assert tuple(explorer.set(**named).result.shares.values()) == expected
    assert tuple(percents(explorer).values()) == expected


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (
            {"count": 0.9, "mean": 0.08},
            r"count 90 % \+ mean 8 % cannot add up: comparison would get 2 %, not 5 to 90 %",
        ),
        ({"count": 0.9, "mean": 0.9}, "comparison would get -80 %"),
        ({"count": 0.5, "mean": 0.3, "comparison": 0.3}, "together they must be 100 %; name one share"),
        ({"count": 0.123}, r"count = 0.123 is not a whole number of percent: choose for example 0.12 \(12 %\)"),
        ({"count": 0.95}, r"count = 0.95 is not a share from 0.05 to 0.9 \(5 to 90 % of the budget\)"),
        ({"count": 0}, "count = 0 is not a share from 0.05 to 0.9"),
        ({"count": 50}, "count = 50 is not a share"),
        ({"mean": math.nan}, "mean = nan is not a share"),
        ({"mean": "0.2"}, "is not a share"),
        ({"mean": True}, "is not a share"),
        ({"mean": None, "count": 0.5}, "is not a share"),
        ({"epsilon": 0.0}, "epsilon = 0.0 is not a number from 0.01 to 10"),
        ({"epsilon": math.inf}, "epsilon = inf"),
        ({"patients": 500}, "patients = 500 is not on offer; choose one of 300, 1000, 3000, 9105"),
        ({"groups": "young and old"}, "is not on offer"),
        ({"delta": 1e-5}, "no knob 'delta'; it has epsilon, patients, count, mean, comparison, groups"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(explorer: BudgetExplorer, knobs: dict, words: str) -> None:
    before = explorer.set(**START).values
    with pytest.raises(ExplorerError, match=words) as no:
        explorer.set(**knobs)
    assert "\n" not in str(no.value)
    assert explorer.values == before
    assert tuple(explorer.set(count=0.5).result.shares.values()) == (50, 17, 33)  # and nothing was remembered


def test_a_value_without_a_name_is_refused(explorer: BudgetExplorer) -> None:
    with pytest.raises(ExplorerError, match="without the name of a knob"):
        explorer.set(0.5)


def test_unfit_tables_and_seeds_are_refused_in_one_sentence(patients: pd.DataFrame) -> None:
    few = patients.iloc[:400]
    for table, words in (
        ("patients.csv", "of type str, not a table"),
        (few.drop(columns="sex"), "lacks the column 'sex'"),
        (few.assign(age=few.age.mask(few.index == 3)), "has missing values in the column 'age'"),
        (few.assign(hospdead=few.hospdead * 2), "'hospdead' holds more than 0 and 1"),
        (few.assign(dzgroup="flu"), "not on the public list"),
        (few.iloc[:299], "has 299 patients; the explorer needs 300"),
    ):
        with pytest.raises(ExplorerError, match=words) as no:
            BudgetExplorer(table)
        assert "\n" not in str(no.value)
    for seed in (-1, 1.5, True, "0"):
        with pytest.raises(ExplorerError, match="is not a whole number of at least 0"):
            BudgetExplorer(few, seed=seed)


def test_a_group_of_nobody_is_said(patients: pd.DataFrame) -> None:
    explorer = BudgetExplorer(patients[patients.race != "asian"].iloc[:400])
    before = explorer.set(epsilon=1.0)._image.value
    with pytest.raises(ExplorerError, match="none of these 400 patients is one of the Asian patients"):
        explorer.set(groups="Asian and white")
    explorer.set(groups="women and men")
    explorer._controls["groups"].value = "Asian and white"  # as in the browser
    wait(explorer)
    assert "This setting cannot be shown: none of these 400 patients" in explorer._status.value
    assert explorer._image.value == before


def test_equal_rates_leave_no_conclusion_to_flip(patients: pd.DataFrame) -> None:
    women, men = (patients[patients.sex == sex].iloc[:200].assign(hospdead=[0, 1] * 100) for sex in ("female", "male"))
    explorer = BudgetExplorer(pd.concat([women, men])).set(groups="women and men")
    assert math.isnan(explorer.result.flips)
    assert explorer.result.higher is None
    assert explorer.sentence.endswith("died, so that there is no conclusion to flip.")
    assert_readable(explorer, least_texts=26)


# ---------------------------------------------------------------------------------------------------- words, picture


def test_the_sentence_says_the_numbers(explorer: BudgetExplorer) -> None:
    result = explorer.set(**START | {"epsilon": 0.3, "groups": "COPD and CHF"}).result
    sentence = explorer.sentence
    assert sentence.startswith("With epsilon 0.3 for 1,000 patients, shared 40 %, 20 % and 40 % among deaths by ")
    assert f"within {result.margin} of the truth" in sentence
    assert f"{result.age.low:.1f} to {result.age.high:.1f} years (truth {result.age.true:.1f})" in sentence
    assert "A coin" not in sentence
    assert "at most 53, 51 and 53 times in 100 from one answer alone and 57 from all three (a coin: 50)" in sentence
    assert "a larger share of the patients with COPD died than of the patients with CHF (6.9 against 5.6 %)" in sentence
    assert f"which flips or ties in {100 * result.flips:.0f} of 100 releases." in sentence
    assert sentence.count(".") - len(re.findall(r"\d\.\d", sentence)) == 1  # one sentence


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "fewer than 1 of 1,000 releases"),
        (9e-4, "fewer than 1 of 1,000 releases"),
        (0.0034, "0.3 of 100 releases"),
        (0.0312, "3.1 of 100 releases"),
        (0.47, "47 of 100 releases"),
    ],
)
def test_flips_are_said_with_the_digits_that_are_known(share: float, said: str) -> None:
    assert widget._of_releases(share) == said


def test_a_count_without_noise_is_said_to_be_right(explorer: BudgetExplorer) -> None:
    assert explorer.set(**START | {"epsilon": 10.0}).result.margin == 0
    assert "have a count exactly right" in explorer.sentence


def test_the_sentence_is_the_alternative_text_and_follows_every_knob(explorer: BudgetExplorer) -> None:
    seen = []
    for turned in ({}, {"epsilon": 0.1}, {"patients": 300}, {"groups": "COPD and CHF"}):
        data, metadata = explorer.set(**START | turned)._repr_mimebundle_()
        assert data["text/plain"] == metadata["image/png"]["alt"] == explorer.sentence
        assert data["image/png"].startswith(b"\x89PNG")
        assert "application/vnd.jupyter.widget-view+json" in data
        seen.append((data["text/plain"], data["image/png"]))
    explorer.set(**START).set(mean=0.6)
    seen.append((explorer.sentence, explorer.redraw()))
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == len(seen)


def test_the_same_setting_gives_the_same_picture_and_a_seed_other_patients(patients: pd.DataFrame) -> None:
    first, again, other = (BudgetExplorer(patients, seed=seed).set(**START) for seed in (0, 0, 1))
    assert (first.sentence, first._png) == (again.sentence, again._png)
    assert first.sentence != other.sentence
    assert first.set(patients=9105).sentence == other.set(patients=9105).sentence


def test_the_picture_shows_bands_truth_and_promise(explorer: BudgetExplorer) -> None:
    result = explorer.set(**START).result
    deaths, age, rates, risk = explorer._figure.axes
    answers = [widget.Answer(*row) for row in result.deaths.itertuples(index=False)]
    for axis, shown in ((deaths, answers), (age, [result.age]), (rates, list(result.rates))):
        bands = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches]
        np.testing.assert_allclose(bands, [(answer.low, answer.high) for answer in shown])
        truths = [line.get_xdata()[0] for line in axis.lines if len(line.get_xdata()) == 1]
        assert truths == [answer.true for answer in shown]
    promised, coins = risk.patches[:4], risk.patches[4:]
    assert [bar.get_width() for bar in promised] == list(result.guesses.values())
    assert all(bar.get_linestyle() == "--" for bar in promised)
    assert all(bar.get_width() == 0.5 for bar in coins)
    written = " ".join(text.get_text() for text in explorer._figure.texts)
    assert "the truth, which only the holder sees" in written
    assert "to publish it would break the promise" in written
    assert "95 % of the releases" in written


@pytest.mark.parametrize("groups", COMPARISONS)
@pytest.mark.parametrize(("epsilon", "n"), [(0.01, 300), (1.0, 1000), (10.0, 9105)])
def test_no_text_is_small_cut_off_or_overlapped(explorer: BudgetExplorer, groups: str, epsilon: float, n: int) -> None:
    small = {"count": 0.05, "mean": 0.05, "comparison": 0.9} if epsilon < 0.1 else {}
    shown = explorer.set(**START | {"groups": groups, "epsilon": epsilon, "patients": n} | small)
    assert_readable(shown, least_texts=26)


def test_the_knobs_stand_in_rows_and_each_has_a_label(explorer: BudgetExplorer) -> None:
    knobs = explorer._controls
    assert list(knobs) == ["epsilon", "patients", "count", "mean", "comparison", "groups"]
    first, words, shares, groups = explorer._box.children[1].children
    assert first.children[0].children[0] is knobs["epsilon"]
    assert "100 %" in words.value
    assert list(shares.children) == [knobs[name] for name in SHARES]
    assert groups is knobs["groups"]
    assert all(knob.description for knob in knobs.values())
    assert [value for _, value in knobs["patients"].options] == [*PATIENTS, 9105]


def test_the_usual_patients_are_those_of_the_course(monkeypatch: pytest.MonkeyPatch, patients: pd.DataFrame) -> None:
    monkeypatch.setattr(widget, "load_patients", lambda: patients.iloc[:500])
    explorer = BudgetExplorer()
    assert explorer.result.patients == 500
    assert [value for _, value in explorer._controls["patients"].options] == [300, 500]
