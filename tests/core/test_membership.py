"""`membership`: attacks, against scikit-learn and known answers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from ppml_helpers import membership
from ppml_helpers.errors import AttackError


def normal_scores(shift: float, n: int = 2000, n_others: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, n), rng.normal(0, 1, n_others)


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_auc_and_roc_are_those_of_scikit_learn_with_and_without_ties(decimals):
    members, others = (values.round(decimals) for values in normal_scores(0.7, 700, 500))
    result = membership.membership_attack(members, others)
    truth, scores = np.r_[np.ones(700), np.zeros(500)], np.r_[members, others]
    assert result.auc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(result.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(result.tpr, tpr, atol=1e-12)


def test_a_perfect_leak_is_found_whole():
    leaking, others = np.linspace(0.9, 1, 2000), np.linspace(0, 0.5, 2000)
    result = membership.membership_attack(leaking, others)
    assert result.auc == result.advantage == result.accuracy == result.at_1_in_1000.tpr == 1
    assert result.auc_interval == (1, 1)
    assert result.at_1_in_1000.fpr <= 0.001
    assert membership.membership_attack(others, leaking).auc == 0  # upside down


def test_equal_scores_leak_nothing():
    result = membership.membership_attack(np.full(500, 0.3), np.full(300, 0.3))
    assert result.auc == 0.5
    assert result.advantage == 0
    assert result.at_1_in_100.tpr == 0
    assert math.isinf(result.at_1_in_100.threshold)


@pytest.mark.parametrize("shift", [0, 0.8])
def test_the_intervals_hold_the_truth_as_often_as_they_say(shift):
    truth = norm.cdf(shift / math.sqrt(2)), 2 * norm.cdf(shift / 2) - 1
    held = np.zeros(2)
    for seed in range(60):
        result = membership.membership_attack(*normal_scores(shift, 250, 200, seed), seed=seed, resamples=100)
        found = result.auc_interval, result.advantage_interval
        held += [interval.low <= value <= interval.high for interval, value in zip(found, truth, strict=True)]
    # 95 % of 60 is 57 +- 1.7; four of those is a wide allowance (the advantage is of a threshold near the best).
    assert (held >= 50).all()


def test_the_advantage_is_measured_on_patients_that_did_not_choose_the_threshold():
    fair, flattering = [], []
    for seed in range(64):
        members, others = normal_scores(0, 60, 60, seed)
        result = membership.membership_attack(members, others, seed=seed, resamples=100)
        fair.append(result.advantage)
        flattering.append(np.max(result.tpr - result.fpr))
    assert abs(np.mean(fair)) < 4 * np.std(fair) / 8
    assert np.mean(flattering) > 0.1


def test_scores_at_the_end_of_what_a_float_can_hold_are_scores_like_others():
    members, others = (2 + norm.cdf(scores) for scores in normal_scores(1, 200, 200))  # two of them sum above 4
    plain, vast = (membership.membership_attack(members * by, others * by, resamples=100) for by in (1.0, 2.0**1022))
    assert vast.advantage == plain.advantage > 0.2
    assert vast.auc_interval == plain.auc_interval
    assert vast.at_1_in_100.tpr == plain.at_1_in_100.tpr


def test_the_advantage_approaches_that_of_the_best_threshold():
    result = membership.membership_attack(*normal_scores(1, 40_000, 40_000), resamples=100)
    assert result.advantage == pytest.approx(norm.cdf(0.5) - norm.cdf(-0.5), abs=0.015)


@given(
    st.lists(st.integers(0, 6), min_size=10, max_size=60),
    st.lists(st.integers(0, 6), min_size=10, max_size=60),
    st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.3, 0.5]),
)
@settings(max_examples=80, deadline=None)
def test_ties_never_flatter_the_attack(members, others, fpr):
    point = membership.operating_point(members, others, fpr)
    assert point.fpr <= fpr + 1e-12
    false_alarms, found, _ = roc_curve(np.r_[np.ones(len(members)), np.zeros(len(others))], [*members, *others],
                                       drop_intermediate=False)  # fmt: skip
    if fpr * len(others) < 1 - 1e-9:
        assert math.isnan(point.tpr)
    else:
        assert point.tpr == pytest.approx(found[false_alarms <= fpr + 1e-12].max())


def test_intervals_are_the_published_ones():
    assert membership.exact_interval(0, 100) == pytest.approx((0, 1 - 0.025 ** (1 / 100)))
    assert membership.exact_interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=5e-5)  # a published table's
    # Newcombe (1998), Statistics in Medicine 17: 873-890, table II, method 10, case (a): 56/70 - 48/80
    difference, interval = membership._difference(56, 70, 48, 80, 0.95)
    assert difference == pytest.approx(0.2)
    assert interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_equal_sizes_keep_the_smaller_side_and_change_no_figure_beyond_chance():
    members, others = normal_scores(1, 6000, 2000)
    cut, whole = (membership.membership_attack(members, others, equal_sizes=equal) for equal in (True, False))
    assert (cut.n_members, cut.n_nonmembers) == (2000, 2000)
    assert (whole.n_members, whole.n_nonmembers) == (6000, 2000)
    assert cut.auc == pytest.approx(whole.auc, abs=0.02)


def test_the_same_seed_gives_the_same_result():
    members, others = normal_scores(1, 300, 200)
    first, again, another = (membership.membership_attack(members, others, seed=seed) for seed in (3, 3, 4))
    assert (first.auc_interval, first.advantage) == (again.auc_interval, again.advantage)
    assert first.auc_interval != another.auc_interval


def test_scores_of_a_model_are_its_confidence_in_the_truth():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 3)), rng.integers(0, 2, 80)
    model = LogisticRegression().fit(X, y)
    probabilities = model.predict_proba(X)
    expected = probabilities[np.arange(80), y]
    for found in (
        membership.scores(model, X, y),
        membership.scores(LogisticRegression().fit(X, y == 1), X, y == 1),  # truth values are labels too
        membership.true_class_confidence(probabilities, y),
        membership.true_class_confidence(torch.tensor(probabilities[:, 1]), y),
    ):
        np.testing.assert_allclose(found, expected)
    with pytest.raises(AttackError, match="'a'"):
        membership.scores(LogisticRegression().fit(X, np.where(y, "a", "b")), X, y)


GOOD = np.linspace(0, 1, 20)

WARDS = pd.DataFrame({"ward": ["north", "south"] * 20, "age": np.arange(40.0)})
SICK = (WARDS["age"] % 3 == 0).astype(int)


def piped(records: pd.DataFrame = WARDS) -> Pipeline:
    return make_pipeline(ColumnTransformer([("w", OneHotEncoder(), ["ward"])]), LogisticRegression()).fit(records, SICK)


def test_scores_takes_records_as_the_model_does_text_categories_and_sparse():
    expected = membership.scores(piped(), WARDS, SICK)
    held = WARDS.astype({"ward": "category"})
    np.testing.assert_array_equal(membership.scores(piped(held), held, SICK), expected)
    sparse = csr_array(OneHotEncoder().fit_transform(WARDS[["ward"]]))
    np.testing.assert_allclose(membership.scores(LogisticRegression().fit(sparse, SICK), sparse, SICK), expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: membership.membership_attack([], GOOD), "member_scores has shape"),
        (lambda: membership.membership_attack(GOOD, [0.1] * 9), "nonmember_scores holds 9 scores"),
        (lambda: membership.membership_attack(np.r_[GOOD, np.nan], GOOD), "1 values such as nan"),
        (lambda: membership.membership_attack(GOOD, GOOD, resamples=5), "resamples = 5 .*: an interval needs as many"),
        (lambda: membership.membership_attack(GOOD, GOOD, confidence=95), "confidence = 95 .*: 0.95 is usual"),
        (lambda: membership.operating_point(GOOD, GOOD, 0), "fpr = 0"),
        *((lambda fpr=fpr: membership.operating_point(GOOD, GOOD, fpr), "fpr = ") for fpr in ("x", None, 1)),
        *((lambda c=c: membership.membership_attack(GOOD, GOOD, confidence=c), "confidence = ") for c in ("x", None)),
        *((lambda s=s: membership.membership_attack(GOOD, GOOD, seed=s), "seed = ") for s in (-1, "a", 1.5)),
        *((lambda k=k: membership.membership_attack(GOOD, GOOD, resamples=k), "resamples = ") for k in (1e3, "x", 99)),
        (lambda: membership.exact_interval(3, 2), "successes = 3 must be a whole number from 0 to 2"),
        (lambda: membership.exact_interval("3", 10), "successes = '3'"),
        (lambda: membership.exact_interval(3.7, 10), "successes = 3.7"),
        (lambda: membership.membership_attack(np.ma.array(GOOD, mask=np.arange(len(GOOD)) > 5), GOOD), "behind a mask"),
        (lambda: membership.scores(piped(), WARDS[["age"]], SICK), r"cannot score these records \(.*same columns"),
        (lambda: membership.true_class_confidence([0.1, 0.2], [0, 2]), "y holds 2"),
        (lambda: membership.true_class_confidence([0.1, 1.2], [0, 1]), "1.2"),
        (lambda: membership.true_class_confidence([0.1], [0, 1]), "1 probabilities for 2 labels"),
        (lambda: membership.true_class_confidence(["a", "b"], [0, 1]), "must hold numbers"),
        (lambda: membership.scores(LinearSVC(), GOOD, GOOD), "no predict_proba"),
        (lambda: membership.scores(LogisticRegression(), GOOD, GOOD), "fit it"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(AttackError, match=words):
        call()
