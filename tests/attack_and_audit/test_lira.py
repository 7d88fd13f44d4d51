"""LiRA and the confidences that it compares, against plain formulas and known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from ppml_helpers.attack_and_audit import lira
from ppml_helpers.errors import AttackError


def table(rows: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, 4))
    return X, (2 * X[:, 0] + rng.logistic(size=rows) > 0).astype(int)


def shadows(models: int, records: int = 60, shift: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are normal, with another mean and spread for each record, higher by `shift` where trained on."""
    rng = np.random.default_rng(seed)
    member = rng.random((models, records)) < 0.5
    member[:2], member[2:4] = True, False
    return rng.normal(0, 3, records) + rng.normal(size=(models, records)) + shift * member, member


# --------------------------------------------------------------------------------------------------------- the ratio


def test_online_is_the_ratio_of_two_normal_densities_and_offline_the_one_sided_test():
    scores, member = shadows(20)
    target = scores[7] + 0.3
    ours = lira.online(target, scores, member, fixed_variance=False)
    behind = lira.offline(target, scores, member, fixed_variance=False)
    for record in range(scores.shape[1]):
        seen, unseen = scores[member[:, record], record], scores[~member[:, record], record]
        ratio = norm.pdf(target[record], seen.mean(), seen.std(ddof=1)) / norm.pdf(
            target[record], unseen.mean(), unseen.std(ddof=1)
        )
        assert ours[record] == pytest.approx(math.log(ratio), abs=1e-9)
        # The one-sided test's statistic: Phi of it is one less the p-value.
        assert behind[record] == pytest.approx((target[record] - unseen.mean()) / unseen.std(ddof=1), abs=1e-9)


def test_one_variance_for_all_is_pooled_around_the_records_own_means():
    scores, member = shadows(20)
    target = scores[7] + 0.3
    deviations = {True: [], False: []}
    for record in range(scores.shape[1]):
        for side in deviations:
            values = scores[member[:, record] == side, record]
            deviations[side].append((((values - values.mean()) ** 2).sum(), len(values) - 1))
    spread = {
        side: math.sqrt(sum(s for s, _ in pairs) / sum(d for _, d in pairs)) for side, pairs in deviations.items()
    }
    ours = lira.online(target, scores, member, fixed_variance=True)
    behind = lira.offline(target, scores, member, fixed_variance=True)
    for record in range(scores.shape[1]):
        seen, unseen = (scores[member[:, record] == side, record].mean() for side in (True, False))
        expected = norm.logpdf(target[record], seen, spread[True]) - norm.logpdf(target[record], unseen, spread[False])
        assert ours[record] == pytest.approx(expected, abs=1e-9)
        assert behind[record] == pytest.approx((target[record] - unseen) / spread[False], abs=1e-9)


def test_offline_uses_no_model_that_was_trained_on_the_record():
    scores, member = shadows(20)
    spoilt = np.where(member, 1e6, scores)
    for fixed in (True, False):
        before = lira.offline(scores[0], scores, member, fixed_variance=fixed)
        np.testing.assert_array_equal(lira.offline(scores[0], spoilt, member, fixed_variance=fixed), before)


@pytest.mark.parametrize(("models", "fixed"), [(62, True), (64, False)])
def test_by_default_few_shadow_models_share_a_variance(models, fixed):
    scores, member = shadows(models)
    for attack in (lira.online, lira.offline):
        default, stated = attack(scores[0], scores, member), attack(scores[0], scores, member, fixed_variance=fixed)
        np.testing.assert_array_equal(default, stated)
        assert not np.allclose(default, attack(scores[0], scores, member, fixed_variance=not fixed))


def test_with_many_shadow_models_online_reaches_the_best_possible_auc():
    # Two normals one standard deviation apart: no test is better than Phi(1 / sqrt 2), and no threshold on the
    # confidence alone comes near, because the records' own means spread three times as wide.
    scores, member = shadows(200, records=4000)
    rng = np.random.default_rng(1)
    means = np.where(~member, scores, 0).sum(axis=0) / (~member).sum(axis=0)
    inside = rng.random(4000) < 0.5
    target = means + rng.normal(size=4000) + inside
    best = norm.cdf(1 / math.sqrt(2))
    error = 4 * 0.5 / math.sqrt(4000)
    assert roc_auc_score(inside, lira.online(target, scores, member)) == pytest.approx(best, abs=error)
    assert roc_auc_score(inside, target) < best - 3 * error


def test_records_that_all_shadow_models_score_alike_give_finite_scores():
    member = np.tile([[True], [False]], (3, 4))
    for attack in (lira.online, lira.offline):
        assert np.isfinite(attack(np.zeros(4), np.zeros((6, 4)), member)).all()


SCORES, MEMBER = shadows(8)
NEVER = np.zeros_like(MEMBER)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((SCORES[0][:-1], SCORES, MEMBER), "59 target scores, but shadow scores of 60"),
        ((np.where(SCORES[0] > 0, np.nan, SCORES[0]), SCORES, MEMBER), "target_scores holds .* nan"),
        ((SCORES[0], SCORES, MEMBER[:-1]), r"shadow_member has shape \(7, 60\)"),
        ((SCORES[0], SCORES, MEMBER * 0.5), "true or false"),
        ((SCORES[0], SCORES[:2], np.array([[True] * 60, [False] * 60])), "no spread"),
    ],
)
@pytest.mark.parametrize("attack", [lira.online, lira.offline])
def test_what_cannot_be_attacked_is_said_in_a_sentence(attack, given, said):
    with pytest.raises(AttackError, match=said):
        attack(*given)


def test_online_needs_models_that_saw_the_record_and_offline_does_not():
    with pytest.raises(AttackError, match="Record 0 has 0 shadow models that were trained on it"):
        lira.online(SCORES[0], SCORES, NEVER)
    assert lira.offline(SCORES[0], SCORES, NEVER).shape == (60,)
    with pytest.raises(AttackError, match="1 shadow models that were trained on it, but 2"):
        lira.online(SCORES[0], SCORES, np.arange(8)[:, None] == np.zeros(60), fixed_variance=False)


# --------------------------------------------------------------------------------------------------------- scorers


def test_a_classifier_or_a_function_of_log_odds_is_scored():
    X, y = table()
    model = LogisticRegression().fit(X, y)
    np.testing.assert_allclose(lira.scores_of(model, X, y), model.decision_function(X) * (2 * y - 1), atol=1e-9)
    np.testing.assert_allclose(lira.scores_of(lambda X: X @ [1.0, 2, 3, 4], X, y), X @ [1, 2, 3, 4] * (2 * y - 1))


def test_sure_answers_are_neither_infinite_nor_rounded_together():
    sure = lira.logit_confidence([[-800.0, 800.0, 800.0]], [0, 1, 0])
    np.testing.assert_array_equal(sure, [[800, 800, -800]])
    X, y = table()
    tree = lira.scores_of(DecisionTreeClassifier().fit(X, y), X, y)
    np.testing.assert_allclose(tree, -math.log(1e-6))
    assert lira.scores_of(DecisionTreeClassifier().fit(X, y), X, y, smallest=0.01) == pytest.approx(math.log(100))


@pytest.mark.parametrize(
    ("model", "changed", "said"),
    [
        (lambda X: np.full(len(X), np.nan), {}, "nan"),
        (lambda X: X, {}, r"shape \(200, 4\)"),
        (DecisionTreeClassifier().fit([[0.0] * 4] * 2, [1, 2]), {}, r"classes \[.*\], not \[0, 1\]"),
        (3, {}, "int has no predict_proba and cannot be called"),
        (lambda X: X[:, 0], {"y": table()[1] + 1}, "y holds 2, but labels"),
        (LogisticRegression().fit(*table()), {"smallest": 0.5}, r"smallest = 0\.5"),
    ],
)
def test_a_model_that_gives_no_scores_is_refused(model, changed, said):
    X, y = table()
    with pytest.raises(AttackError, match=said):
        lira.scores_of(model, **{"X": X, "y": y, **changed})


@pytest.mark.parametrize("attack", [lira.online, lira.offline])
def test_log_odds_that_cannot_be_squared_are_refused_and_smaller_ones_are_not(attack):
    rng = np.random.default_rng(0)
    member = np.arange(8)[:, None] % 2 == np.arange(50) % 2
    target, scores = rng.normal(size=50), rng.normal(size=(8, 50))
    for scale in (1e-9, 1e6, 1e95):
        assert np.isfinite(attack(scale * target, scale * scores, member)).all()
    with pytest.raises(AttackError, match=r"target_scores holds .* beyond 1e\+100"):
        attack(1e200 * target, scores, member)
    with pytest.raises(AttackError, match="shadow_scores holds"):
        attack(target, 1e200 * scores, member)
