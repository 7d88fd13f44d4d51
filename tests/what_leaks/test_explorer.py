"""The explorer of chapter 01 without a browser, and the attacks behind it (`model_attack`)."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import cohort, figures, membership
from ppml_helpers.errors import ExplorerError, TrainingDataError
from ppml_helpers.explorer import Stopped
from ppml_helpers.what_leaks.explorer import AttackExplorer, _percent, draw_attacks
from ppml_helpers.what_leaks.model_attack import LEAVES, attacked, halves


@pytest.fixture(scope="module")
def data() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.fixture(scope="module")
def explorer(data) -> AttackExplorer:
    return AttackExplorer(data)


def by_hand(data, model, size):
    """Use and both attacks of a model, without the room's functions."""
    X, y = data.X_train[:size], data.y_train[:size]
    model.fit(X, y)
    own, others = halves(data, 0)
    calm = LogisticRegression(max_iter=1000).fit(*own)
    member, other = membership.scores(model, X, y), membership.scores(model, *others)
    shift, shift_other = membership.scores(calm, X, y), membership.scores(calm, *others)
    plain, sharp = (
        membership.membership_attack(member, other, resamples=100),
        membership.membership_attack(member - shift, other - shift_other, resamples=100),
    )
    return roc_auc_score(data.y_test, model.predict_proba(data.X_test)[:, 1]), plain, sharp


@pytest.mark.parametrize(
    ("knobs", "model"),
    [
        ({"model": "logistic", "leaf": 1, "patients": 300}, LogisticRegression(max_iter=1000)),
        (
            {"model": "forest", "leaf": 10, "patients": 1000},
            RandomForestClassifier(100, min_samples_leaf=10, random_state=0),
        ),
    ],
)
def test_it_shows_what_a_direct_computation_gives(data, knobs, model):
    use, plain, sharp = by_hand(data, model, knobs["patients"])
    result = attacked(data, **knobs)
    assert result.auc_test == pytest.approx(use, abs=1e-12)
    assert result.confidence.auc == pytest.approx(plain.auc, abs=1e-12)
    assert result.surprise.auc == pytest.approx(sharp.auc, abs=1e-12)
    found, expected = result.surprise.at_1_in_100, sharp.at_1_in_100
    assert found.threshold == pytest.approx(expected.threshold, abs=1e-12)  # two threads add up the votes in any order
    assert replace(found, threshold=0.0) == replace(expected, threshold=0.0)
    assert result.right_others == pytest.approx(model.score(*halves(data, 0)[1]))


def test_attacker_members_and_others_share_no_patient(data):
    own, others = halves(data, 0)
    ids = [set(X.index) for X in (data.X_train, own[0], others[0])]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 9105


def test_the_leak_falls_with_larger_leaves_and_the_use_does_not(data):
    grown, pruned = (attacked(data, "forest", leaf, 3000) for leaf in (1, 20))
    calm = attacked(data, "logistic", 1, len(data.y_train)).surprise.advantage_interval
    assert calm.low < 0.02, "logistic regression leaks nothing that the attack can measure"
    assert calm.high < 0.05
    assert grown.surprise.at_1_in_100.tpr > 5 * pruned.surprise.at_1_in_100.tpr
    assert grown.surprise.auc > 0.7 > 0.6 > pruned.surprise.auc
    assert pruned.auc_test > grown.auc_test - 0.01
    assert grown.auc_train == 1


def test_each_knob_changes_picture_and_sentence_which_says_the_numbers_of_the_result(explorer):
    explorer.set(model="logistic", patients=300)
    seen = [(explorer.sentence, explorer._png)]
    for knob in ({"model": "forest"}, {"leaf": 20}, {"patients": 1000}):
        explorer.set(**knob)
        assert f"AUC {explorer.result.auc_test:.2f} for new patients" in explorer.sentence
        at = explorer.result.surprise.at_1_in_100
        for share in (at.tpr, *at.tpr_interval):
            assert _percent(share) in explorer.sentence
        seen.append((explorer.sentence, explorer._png))
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == 4


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.0004, "0.0 %"), (0.0144, "1.4 %"), (0.0949, "9.5 %"), (0.0999, "10 %")]
)
def test_a_small_share_keeps_a_decimal(share, said):
    assert _percent(share) == said


def test_a_forest_can_be_stopped_between_its_trees(explorer):
    seen = []

    def impatient(fraction: float, what: str = "") -> None:
        seen.append((fraction, what))
        if len(seen) == 4:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        explorer.compute(impatient, model="forest", leaf=100, patients=300)
    assert [what for _, what in seen] == [f"{trees} of 100 trees grown" for trees in (0, 10, 20, 30)]
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)


def test_a_small_table_offers_only_the_patients_it_has_and_a_smaller_one_is_refused(data):
    def of(size):
        return AttackExplorer(cohort.split(data.X_train[:size], data.y_train[:size], seed=0))

    small = of(1300)
    assert small.values == {"model": "forest", "leaf": LEAVES[0], "patients": 975}
    with pytest.raises(ExplorerError):
        small.set(patients=1000)
    for size, words in ((130, r"training patients = 9\d .* at least 100"), (600, "test patients = 150 .*test_share")):
        with pytest.raises(ExplorerError, match=words):
            of(size)
    with pytest.raises(ExplorerError, match=r"given as a DataFrame, not a Split: give cohort\.split\("):
        AttackExplorer(data.X_train)


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_a_rare_outcome_that_nobody_of_the_first_patients_had_is_told(data, model):
    rare = data._replace(y_train=pd.Series(0, index=data.y_train.index, name="rare"))
    with pytest.raises(TrainingDataError, match="first 300 patients all have the label 0"):
        attacked(rare, model, 20, 300)


def test_a_small_table_of_somebody_elses_is_attacked_and_its_own_outcome_said():
    rng = np.random.default_rng(0)
    heart = pd.DataFrame({"age": rng.integers(29, 78, 303), "chol": rng.integers(126, 564, 303)})
    ill = pd.Series(rng.random(303) < heart["age"] / 100, name="num").astype(int)
    roles = {"age": cohort.Number("y", 20, 90, 55, "adults"), "chol": cohort.Number("mg/dL", 100, 600, 240, "chart")}
    schema = cohort.Schema(roles, "num", "a narrowed artery")
    data = cohort.split(*cohort.features(heart.assign(num=ill), schema=schema), seed=0, test_share=0.66)
    turned = data._replace(X_test=data.X_test[["chol", "age"]])
    sentences = [AttackExplorer(given).set(model="logistic").sentence for given in (data, turned)]
    assert "predicts a narrowed artery with AUC" in sentences[0]
    assert sentences[0] == sentences[1]  # columns are found by name
    plain = cohort.Split(*(part.to_numpy() for part in data))
    assert "predicts the label 1 with AUC" in AttackExplorer(plain).set(model="logistic").sentence


def test_attacks_that_find_nobody_can_be_drawn_on_logarithmic_axes():
    nothing = membership.membership_attack(np.zeros(200), np.zeros(200), resamples=100)
    some = membership.membership_attack(np.linspace(0, 1, 200), np.linspace(0, 0.8, 200), resamples=100)
    figure, (axis,) = figures.new_figure()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_attacks(axis, {"nothing": nothing, "some": some})
        figures.to_png(figure)
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["nothing: 0 %", f"some: {100 * some.at_1_in_100.tpr:.0f} %", "guessing: 1 %"]
