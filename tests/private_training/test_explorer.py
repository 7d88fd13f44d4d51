"""The epsilon explorer, its `curve`, `setting`, `drawing` and `choice`: numbers are those of training directly."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable
from scipy.special import ndtr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ppml_helpers import accounting, cohort
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.errors import ExplorerError, OutcomeError, PrivacyParameterError
from ppml_helpers.private_training import curve
from ppml_helpers.private_training import explorer as widget
from ppml_helpers.private_training.choice import DEPLOYED, Choice
from ppml_helpers.private_training.engine import RECIPES, train
from ppml_helpers.private_training.explorer import EpsilonExplorer
from ppml_helpers.private_training.setting import MAP_SEEDS, up

LR = "logistic regression"
START = {
    **{"epsilon": 1.0, "patients": 2000, "model": LR, "view": "curve", "usefulness": "AUC", "games": 100},
    **{"among": "all test patients", "models_a_year": 1, "years": 1, "rows": 1, "prior": 0.5, "wished": 0.9},
}


@pytest.fixture(scope="module")
def split() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.fixture(scope="module")
def explorer(split: cohort.Split) -> EpsilonExplorer:
    return EpsilonExplorer(split)


def synthetic(rows: int, noise: float, seed: int = 0) -> cohort.Split:
    """Somebody else's table: other columns, another label share."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(-1, 1, (rows, 4)), columns=list("abcd"))
    y = pd.Series((X["a"] + noise * rng.normal(size=rows) > 0.3).astype(int), name="relapse")
    return cohort.split(X, y, seed=0)


def test_the_numbers_are_those_of_training_directly(explorer: EpsilonExplorer, split: cohort.Split) -> None:
    result = explorer.set(**START | {"epsilon": 0.4, "patients": 6829}).result
    recipe, seeds = RECIPES[LR], list(result.present.index)
    for epsilon, shown in ((0.4, result.present.to_numpy()), (10.0, None), (math.inf, None)):
        sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
        expected = train(split.X_train, split.y_train, recipe, [sigma] * 5, seeds).auc(split.X_test, split.y_test)
        if shown is not None:
            np.testing.assert_allclose(shown, expected, atol=1e-4)
        mean = result.control if epsilon == math.inf else result.curve.loc[epsilon, "mean"]
        assert mean == pytest.approx(expected.mean(), abs=1e-4)
    plain = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    expected = roc_auc_score(split.y_test, plain.decision_function(split.X_test))
    assert result.non_private == pytest.approx(expected, abs=1e-4)
    low, high = result.test_interval  # of 2,276 test patients: far wider than the band of trainings
    assert low < result.present.mean() < high
    assert 0.02 < high - low < 0.08


def test_what_is_allowed_is_that_of_all_releases_and_rows(explorer: EpsilonExplorer) -> None:
    result = explorer.set(**START | {"models_a_year": 2, "years": 5, "rows": 2, "prior": 0.1}).result
    sigma = accounting.noise_multiplier(1.0, 1.0, 100)
    assert result.released == SampledGaussian(sigma, 1.0, 1_000)
    assert result.allowed.total == pytest.approx(accounting.epsilon(sigma, 1.0, 1_000, rows=2))
    assert result.allowed.exact == pytest.approx(ndtr(2 * math.sqrt(1_000) / sigma / 2), abs=1e-3)
    assert result.allowed.promise == accounting.membership_accuracy(result.allowed.total)
    right = result.allowed.exact
    assert result.named(right) == pytest.approx(0.1 * right / (0.1 * right + 0.9 * (1 - right)))
    assert f"10 models for patients with up to 2 rows: epsilon {up(result.allowed.total)} in all" in explorer.sentence
    assert (up(0.99951), up(14.412), up(0.0), up(1.0)) == ("1", "14.5", "0", "1")


@pytest.mark.parametrize("view", ["curve", "map"])
def test_the_price_is_that_of_every_noisy_model_on_show_and_none_share_noise(
    explorer: EpsilonExplorer, view: str
) -> None:
    epsilon = widget.SLIDER[4]
    assert epsilon not in curve.CURVE
    result = explorer.set(**START | {"epsilon": epsilon, "view": view}).result
    others = MAP_SEEDS * len(explorer._desk.counts[:-1]) if view == "map" else 0
    models = [e for e in curve.CURVE for _ in range(5 + others)] + [epsilon] * 5
    trainings = [SampledGaussian(accounting.noise_multiplier(e, 1.0, 100), 1.0, 100) for e in models]
    assert result.models == len(models)
    assert result.cost == pytest.approx(accounting.compose(trainings), rel=1e-6)
    assert (
        f"these {len(models):,} noisy models would cost epsilon {up(result.cost)}"
        in explorer._figure.texts[0].get_text()
    )
    vectors = [
        bench._sweep.models[key].vectors()[0]
        for bench in explorer._desk._benches.values()
        for key in bench._sweep.models
        if key[0] <= 0.1  # next to nothing but noise
    ]
    alike = np.corrcoef(vectors) - np.eye(len(vectors))
    assert len(vectors) >= 20
    assert np.abs(alike).max() < 0.9


TURNS = (
    {},
    {"epsilon": 0.1},
    {"epsilon": 10.0, "years": 10, "models_a_year": 4, "rows": 10},
    {"patients": 300},
    {"clipping_norm": 0.3},
    {"usefulness": "log loss", "epsilon": 0.05},
    {"usefulness": "found in the flagged fifth", "prior": 0.01},
    {"among": "CHF", "games": 400},
    {"view": "map"},
    {"view": "map", "usefulness": "log loss", "wished": 0.5},
    {"model": "MLP"},
)


def test_each_knob_changes_a_picture_that_can_be_read_and_a_sentence_that_says_its_numbers(
    explorer: EpsilonExplorer,
) -> None:
    seen = []
    for turned in TURNS:
        result = explorer.set(**START | {"clipping_norm": RECIPES[LR].clipping_norm} | turned).result
        seen.append((explorer.sentence, explorer.redraw()))
        assert_readable(explorer)
        assert f"{result.present.mean():.2f} ({result.present.min():.2f} to" in explorer.sentence
        assert f"{result.played.right} of {result.played.games} games" in explorer.sentence
        assert 0.5 <= result.allowed.exact <= result.allowed.promise <= 1
        assert ("of risks beyond 1 or 99 %" in explorer.sentence) == (result.asked.usefulness == "log loss")
        if result.grid is None:
            large = [line for line in explorer._figure.axes[0].lines if line.get_markersize() == 10]
            assert large[-1].get_ydata()[0] == pytest.approx(result.present.mean())
            assert large[-1].get_xdata()[0] == pytest.approx(result.allowed.exact - 0.5)
        else:
            assert result.grid.shape == (len(curve.CURVE), len(explorer._desk.counts))
    assert len({picture for _, picture in seen}) == len(seen)
    assert explorer._figure.get_size_inches().tolist() == [7.0, 3.6]


def test_measures_are_those_of_scikit_learn_and_of_a_count() -> None:
    rng = np.random.default_rng(0)
    logits, y = np.round(rng.normal(size=200), 1), rng.random(200) < 0.4  # with ties
    weights = rng.integers(0, 3, (3, 200)).astype(float)
    for row, area, loss in zip(weights, curve.auc(logits, y, weights), curve.log_loss(logits, y, weights), strict=True):
        assert area == pytest.approx(roc_auc_score(y, logits, sample_weight=row))
        assert loss == pytest.approx(log_loss(y, 1 / (1 + np.exp(-logits)), sample_weight=row))
    distinct = rng.permutation(200).astype(float)
    top = np.argsort(-distinct)[:40]
    assert curve.found(distinct, y, np.ones((1, 200)))[0] == pytest.approx(y[top].sum() / y.sum())
    everybody = curve.Judge("log loss", y.astype(int), np.ones(200, dtype=bool))
    assert everybody.nothing == pytest.approx(log_loss(y, np.full(200, y.mean())))


def test_forgetting_trains_anew(explorer: EpsilonExplorer) -> None:
    before = explorer.set(**START | {"epsilon": 3.1, "patients": 300}).result
    explorer.forget()
    assert not explorer._desk._benches
    after = explorer.set(epsilon=3.1).result
    assert after is not before
    pd.testing.assert_frame_equal(after.curve, before.curve)


def test_a_choice_is_said_in_full_shown_and_kept(
    explorer: EpsilonExplorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path))
    explorer.set(**START | {"years": 5, "rows": 2, "usefulness": "log loss"})
    choice = explorer.keep()
    assert explorer._statement.value == choice.statement
    for words in ("Promise: epsilon 5.41 at delta 1e-05", "at most 2 rows", "added or removed", "5 models (1 a year"):
        assert words in choice.statement
    for words in (
        "noise multiplier",
        "Accountant: ",
        "Outside the promise: the test figures",
        "Who pays: ",
        "of risks beyond 1",
    ):
        assert words in choice.statement
    explorer.keep()
    assert Choice.load() == [choice]  # the same statement once
    next((tmp_path / "choices").iterdir()).write_text("{}", encoding="utf-8")
    with pytest.raises(OutcomeError, match="damaged"):
        Choice.load()
    monkeypatch.setenv("PPML_RESULTS", str(next((tmp_path / "choices").iterdir())))  # a file, no folder
    explorer._keep_by_hand(None)
    assert "cannot be written" in explorer._status.value
    assert all(len(row) == 3 and all(row) for row in DEPLOYED.values())


def test_two_programs_keeping_choices_at_once_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the statements are the same in both programs, and whoever reads meanwhile reads whole files."""
    code = (
        "import sys; from ppml_helpers.private_training.choice import Choice\n"
        "for k in range(60): Choice('x', float(k), 1e-5, 1, f'{sys.argv[1] if k % 2 else 0} {k} ' * 900).save()"
    )
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path))
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b")]
    while any(writer.poll() is None for writer in writers):
        Choice.load()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(Choice.load()) == 30 + 2 * 30
    assert {path.suffix for path in (tmp_path / "choices").iterdir()} == {".json"}


def test_other_peoples_tables(recwarn: pytest.WarningsRecorder) -> None:
    own = synthetic(2000, noise=0.05)
    explorer = EpsilonExplorer(own, delta=1e-4).set(epsilon=3.0)
    assert explorer.result.non_private > 0.95
    assert explorer.result.allowed.promise == accounting.membership_accuracy(explorer.result.allowed.total, 1e-4)
    assert "predicts relapse" in explorer.sentence
    arrays = cohort.Split(*(part.to_numpy() for part in own))
    turned = own._replace(X_test=own.X_test[own.X_test.columns[::-1]])
    for same in (arrays, turned):
        assert EpsilonExplorer(same, delta=1e-4).set(epsilon=3.0).result.present.equals(explorer.result.present)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="'b' was not scaled"):
        far = EpsilonExplorer(own._replace(X_train=own.X_train.assign(b=900.0 * own.X_train.b)))
    assert "The column 'b' was not scaled" in far.sentence  # the reason, where epsilon would be blamed
    small = EpsilonExplorer(synthetic(303, noise=1.0))
    for model in RECIPES:
        small.set(model=model, epsilon=10.0)
        assert_readable(small)
    assert small._controls["patients"].options == (("113", 113), ("all 227", 227))


def test_what_is_no_table_to_train_on_is_refused(split: cohort.Split) -> None:
    for given, words in (
        (synthetic(60, noise=1.0), "the number of training patients = 45 must be"),
        (split.X_train, "given as a DataFrame, not a Split"),
        (split._replace(X_train=split.X_train.assign(age="old")), "'age'"),
    ):
        with pytest.raises(ExplorerError, match=words):
            EpsilonExplorer(given)
    with pytest.raises(ExplorerError, match="patients = 2000 is not on offer"):
        EpsilonExplorer(synthetic(1000, noise=1.0)).set(patients=2000)
    for delta in (1, 1e-3):
        with pytest.raises(PrivacyParameterError, match="delta = "):
            EpsilonExplorer(split, delta=delta)


def test_the_recipe_of_the_knobs_is_the_one_that_is_trained(explorer: EpsilonExplorer) -> None:
    explorer.set(**START | {"clipping_norm": 0.3, "patients": 300})
    recipe = dataclasses.replace(RECIPES[LR], clipping_norm=0.3)
    assert (300, recipe) in explorer._desk._benches
