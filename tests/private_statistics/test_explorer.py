"""The explorer of chapter 04: shares that always add up, what it refuses, its words and its picture."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable

from ppml_helpers import cohort
from ppml_helpers.cohort import Category, Number, Schema
from ppml_helpers.errors import ExplorerError
from ppml_helpers.private_statistics import explorer as widget
from ppml_helpers.private_statistics.explorer import LEAST, MOST, SHARES, BudgetExplorer
from ppml_helpers.private_statistics.noise import COMPARISONS

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


def percents(explorer: BudgetExplorer) -> dict[str, int]:
    shown = {name: explorer.values[name] for name in SHARES}
    for share in shown.values():
        assert 100 * share == pytest.approx(round(100 * share), abs=1e-9)
    whole = {name: round(100 * share) for name, share in shown.items()}
    assert sum(whole.values()) == 100
    assert all(LEAST <= percent <= MOST for percent in whole.values())
    return whole


# ---------------------------------------------------------------------------------------------------- shares


def wait(explorer: BudgetExplorer) -> None:
    if worker := explorer._worker:  # the thread that follows a move by hand
        worker.join(600)
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
        ({"comparison": 0.05}, (63, 32, 5)),
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
        ({"count": 0.9, "mean": 0.08}, r"count 90 % \+ mean 8 % cannot add up: comparison would get 2 %, not 5 to"),
        ({"count": 0.5, "mean": 0.3, "comparison": 0.3}, "together they must be 100 %; name one share"),
        ({"count": 0.123}, r"not a whole number of percent from 5 to 90: choose for example 0.12 \(12 %\)"),
        ({"count": 0.95}, r"choose for example 0.9 \(90 %\)"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(explorer: BudgetExplorer, knobs: dict, words: str) -> None:
    before = explorer.set(**START).values
    with pytest.raises(ExplorerError, match=words):
        explorer.set(**knobs)
    assert explorer.values == before
    assert tuple(explorer.set(count=0.5).result.shares.values()) == (50, 17, 33)  # and nothing was remembered


@pytest.mark.usefixtures("undrawn")
def test_unfit_tables_and_a_group_of_nobody_are_refused(patients: pd.DataFrame) -> None:
    few = patients.iloc[:400]
    for table, words in (
        (few.assign(age=few.age.mask(few.index == 3)), r"has age = nan, it must be a finite number: .*value \(60\)"),
        (few.assign(age=few.age.astype(str)), "has age = '.*', it must be a finite number"),
        (few.assign(hospdead="yes"), "has hospdead = 'yes', it must be 0 or 1"),
        (few.assign(dzgroup="flu"), "has dzgroup = 'flu', it must be one of 'ARF"),
        (few.drop(columns="race"), "lacks the column 'race'"),
        (few.iloc[:99], "patients = 99 must be a whole number of at least 100"),
    ):
        with pytest.raises(ExplorerError, match=words):
            BudgetExplorer(table)
    explorer = BudgetExplorer(patients[patients.race != "asian"].iloc[:400])
    with pytest.raises(ExplorerError, match="none of these 400 patients is one of the Asian patients"):
        explorer.set(groups="Asian and white")


def test_a_table_of_ones_own_is_shown_in_its_own_words() -> None:
    """Counts by a column of eleven long names, a mean in small steps; and a mistake is told of this very table."""
    wards = tuple(f"ward {place} of the old building" for place in range(11))
    roles = {"ward": Category(wards, "the house"), "albumin in blood": Number("g/dL", 1.5, 4.5, 3.5, "bedside")}
    schema = Schema(roles, label="back", outcome="a second stay within thirty days")
    rng = np.random.default_rng(6)
    columns = {"ward": rng.choice(wards, 150), "albumin in blood": rng.normal(3.2, 0.5, 150)}
    own = pd.DataFrame({**columns, "back": rng.random(150) < 0.4})
    explorer = BudgetExplorer(own, schema=schema)
    result, sentence = explorer.result, explorer.sentence
    assert list(result.deaths["true"]) == [own.back[own.ward == ward].sum() for ward in wards]
    assert result.mean.true == pytest.approx(own["albumin in blood"].clip(1.5, 4.5).mean(), abs=0.002)
    assert f"mean of {result.mean.low:.1f} to {result.mean.high:.1f} g/dL" in sentence
    assert "among a second stay within thirty days by ward, mean albumin in blood and a comparison" in sentence
    assert "of the patients with ward = ward 0 of the old building" in sentence
    assert "died" not in sentence
    assert "deaths" not in sentence
    assert_readable(explorer, least_texts=26)
    with pytest.raises(ExplorerError, match="has ward = 'attic', it must be one of 'ward 0"):
        BudgetExplorer(own.assign(ward="attic"), schema=schema)


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
    mean = result.mean
    assert f"a mean of {mean.low:.1f} to {mean.high:.1f} years (truth {mean.true:.1f})" in sentence
    assert "right at most 53, 51 and 53 times in 100 from one answer and 57 from all (a coin: 50)" in sentence
    assert "a larger share of the patients with COPD died than of the patients with CHF (6.9 against 5.6 %)" in sentence
    assert f"which flips or ties in {100 * result.flips:.0f} of 100 releases." in sentence
    said = [widget._of_releases(share) for share in (9e-4, 0.0034)]
    assert said == ["fewer than 1 of 1,000 releases", "0.3 of 100 releases"]
    assert explorer.set(**START | {"epsilon": 10.0}).result.margin == 0
    assert "have a count exactly right" in explorer.sentence


def test_picture_and_sentence_follow_every_knob(explorer: BudgetExplorer) -> None:
    seen = []
    for turned in ({}, {"epsilon": 0.1}, {"patients": 300}, {"groups": "COPD and CHF"}):
        explorer.set(**START | turned)
        seen.append((explorer.sentence, explorer._png))
    explorer.set(**START).set(mean=0.6)
    seen.append((explorer.sentence, explorer._png))
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == len(seen)


@pytest.mark.usefixtures("undrawn")
def test_a_seed_draws_other_patients(patients: pd.DataFrame) -> None:
    first, again, other = (BudgetExplorer(patients, seed=seed).set(**START) for seed in (0, 0, 1))
    assert first.sentence == again.sentence != other.sentence
    assert first.set(patients=9105).sentence == other.set(patients=9105).sentence


def test_the_picture_shows_bands_truth_and_promise(explorer: BudgetExplorer) -> None:
    result = explorer.set(**START).result
    deaths, mean, risk, rates = explorer._figure.axes
    answers = [widget.Answer(*row) for row in result.deaths.itertuples(index=False)]
    for axis, shown in ((deaths, answers), (mean, [result.mean]), (rates, list(result.rates))):
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


@pytest.mark.parametrize(
    ("groups", "epsilon", "n"),
    list(zip(COMPARISONS, (0.01, 1.0, 10.0, 0.01), (300, 1000, 9105, 300), strict=True)),
)
def test_no_text_is_small_cut_off_or_overlapped(explorer: BudgetExplorer, groups: str, epsilon: float, n: int) -> None:
    small = {"count": 0.05, "mean": 0.05, "comparison": 0.9} if epsilon < 0.1 else {}
    shown = explorer.set(**START | {"groups": groups, "epsilon": epsilon, "patients": n} | small)
    assert_readable(shown, least_texts=26)


@pytest.mark.usefixtures("undrawn")
def test_the_usual_patients_are_those_of_the_course(monkeypatch: pytest.MonkeyPatch, patients: pd.DataFrame) -> None:
    monkeypatch.setattr(widget, "load_patients", lambda: patients.iloc[:500])
    explorer = BudgetExplorer()
    assert explorer.result.patients == 500
    assert [value for _, value in explorer._controls["patients"].options] == [300, 500]
