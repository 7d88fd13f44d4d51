"""The epsilon explorer and its `curve`: its numbers are those of training directly, at every end of its ranges."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import accounting, cohort
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.errors import ExplorerError, PrivacyParameterError
from ppml_helpers.private_training import explorer as widget
from ppml_helpers.private_training.engine import RECIPES, train
from ppml_helpers.private_training.explorer import EpsilonExplorer


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
    result = explorer.set(epsilon=0.4, model="logistic regression", patients=6829, clipping_norm=0.3).result
    recipe = RECIPES["logistic regression"]
    for epsilon in (0.4, 10.0, math.inf):
        sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
        models = train(split.X_train, split.y_train, recipe, [sigma] * 5, range(5))
        expected = models.auc(split.X_test, split.y_test)
        np.testing.assert_allclose(result.aucs.loc[epsilon], expected, atol=1e-4)
    plain = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    expected = roc_auc_score(split.y_test, plain.decision_function(split.X_test))
    assert result.non_private == pytest.approx(expected, abs=1e-4)
    assert result.promise[0] == accounting.membership_accuracy(0.4)
    assert result.promise[1] == accounting.membership_power(0.4, 1e-5, 0.01)
    assert result.promise[2] == accounting.membership_power(0.4, 1e-5, 0.001)


def test_curve_and_cost_are_those_of_every_noisy_model_on_show(
    explorer: EpsilonExplorer,
) -> None:
    epsilon = widget.SLIDER[4]
    assert epsilon not in widget.CURVE
    result = explorer.set(epsilon=epsilon, model="logistic regression").result
    assert list(result.aucs.index) == [*sorted({*widget.CURVE, epsilon}), math.inf]
    assert result.present.tolist() == result.aucs.loc[epsilon].tolist()
    assert result.control == pytest.approx(result.aucs.loc[math.inf].mean())
    recipe = RECIPES["logistic regression"]
    trainings = [
        SampledGaussian(
            accounting.noise_multiplier(e, recipe.sample_rate, recipe.steps), recipe.sample_rate, recipe.steps
        )
        for e in result.aucs.index.drop(math.inf)
        for _ in widget.SEEDS
    ]
    assert result.cost == pytest.approx(accounting.compose(trainings), rel=1e-9)
    assert result.cost > 10
    explorer.redraw()
    assert f"Publishing the {len(trainings)} noisy models" in explorer._figure.texts[0].get_text()


def test_each_knob_changes_a_picture_that_can_be_read_and_a_sentence_that_says_its_numbers(
    explorer: EpsilonExplorer,
) -> None:
    knobs = {"epsilon": 1.0, "model": "logistic regression", "patients": 2000, "clipping_norm": 0.3}
    seen = []
    for turned in ({}, {"epsilon": 0.1}, {"model": "MLP"}, {"patients": 300}, {"clipping_norm": 1.0}):
        result = explorer.set(**knobs | turned).result
        seen.append((explorer.sentence, explorer.redraw()))
        assert_readable(explorer)
        for number in (f"{result.present.mean():.2f}", f"{result.non_private:.2f} without privacy"):
            assert number in explorer.sentence
        present = [line for line in explorer._figure.axes[0].lines if line.get_markersize() == 10]
        assert [line.get_xdata()[0] for line in present] == [result.epsilon]
        assert present[0].get_ydata()[0] == pytest.approx(result.present.mean())
    assert "73 times in 100" in seen[0][0]
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == len(seen)


def test_forgetting_trains_anew(explorer: EpsilonExplorer) -> None:
    before = explorer.set(epsilon=3.1, patients=300, model="logistic regression").result
    explorer.forget()
    assert not explorer._sweeps
    after = explorer.set(epsilon=3.1).result
    assert after is not before
    pd.testing.assert_frame_equal(after.aucs, before.aucs)


def test_the_ends_of_every_range(split: cohort.Split) -> None:
    explorer = EpsilonExplorer(cohort.split(*(part[:450] for part in (split.X_train, split.y_train)), seed=0))
    everybody = len(explorer._split.X_train)
    ends = itertools.product(RECIPES, ((300, 0.01, 0.03), (everybody, 10.0, 3.0)))
    for model, (patients, epsilon, norm) in ends:
        result = explorer.set(epsilon=epsilon, model=model, patients=patients, clipping_norm=norm).result
        assert (result.epsilon, result.patients, result.model) == (epsilon, patients, model)
        assert 0 <= result.aucs.to_numpy().min() <= result.aucs.to_numpy().max() <= 1
        assert math.isfinite(result.cost)
        assert 0.5 <= result.promise[0] <= 1
        assert f"epsilon {epsilon:.2g} " in explorer.sentence


def test_other_peoples_tables() -> None:
    explorer = EpsilonExplorer(synthetic(2000, noise=0.05), delta=1e-4).set(epsilon=3.0)
    assert explorer.result.non_private > 0.95
    top = explorer._figure.axes[0].get_ylim()[1]
    assert top > explorer.result.non_private  # the picture makes room
    assert explorer.result.promise[0] == accounting.membership_accuracy(3.0, 1e-4)
    assert EpsilonExplorer(synthetic(400, noise=1.0))._controls["patients"].options[-1] == ("all 300", 300)


def test_what_is_no_table_to_train_on_is_refused(split: cohort.Split) -> None:
    for given, words in (
        (synthetic(399, noise=1.0), "the number of training patients = 299 must be"),
        (split.X_train, "DataFrame, not a Split"),
    ):
        with pytest.raises(ExplorerError, match=words):
            EpsilonExplorer(given)
    with pytest.raises(ExplorerError, match="patients = 2000 is not on offer"):
        EpsilonExplorer(synthetic(1000, noise=1.0)).set(patients=2000)
    with pytest.raises(PrivacyParameterError, match="delta = "):
        EpsilonExplorer(split, delta=1)
