"""Attribute inference against brute force, on a model that leaks by construction, and on models that do not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from ppml_helpers.attack_and_audit.attribute import attribute_inference, candidate_scores
from ppml_helpers.errors import AttackError

COLUMNS = ["a", "b", "kind: 1", "kind: 2"]
KIND = ["kind: 1", "kind: 2"]
VALUES = np.array([[0, 0], [0, 1], [1, 0]])  # as they are sorted


def people(rows: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Records of people whose kind (0, 1 or 2) goes with a and b, and whose outcome goes with a alone."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, rows))
    kind = np.digitize(a + b + rng.normal(size=rows), (-0.5, 1.0))
    table = pd.DataFrame({"a": a, "b": b, "kind: 1": kind == 1, "kind: 2": kind == 2}, dtype=float)
    table.index = [f"patient {seed}-{row}" for row in range(rows)]
    return table, pd.Series((a + rng.logistic(size=rows) > 0).astype(int), index=table.index)


MEMBERS, OTHERS, OWN = people(300, 1), people(300, 2), people(600, 3)
SHADOW_IN, SHADOW_OUT = people(300, 4), people(300, 5)


def by_heart(records, sure: float = 3.0):
    """Return a model that is sure of what happened to the records it knows, in every column; no idea otherwise."""
    X, y = records
    known = dict(zip(map(tuple, X.to_numpy()), y, strict=True))

    def log_odds(table: pd.DataFrame) -> np.ndarray:
        return np.array([{1: sure, 0: -sure, None: 0.0}[known.get(tuple(row))] for row in table.to_numpy()])

    return log_odds


def no_idea(table: pd.DataFrame) -> np.ndarray:
    return np.zeros(len(table))


def attack(model, **changed):
    given = {"members": MEMBERS, "nonmembers": OTHERS, "own": OWN, "columns": KIND}
    return attribute_inference(model, **{**given, **changed})


def codes(X: pd.DataFrame) -> np.ndarray:
    return np.array([[tuple(v) for v in VALUES].index(tuple(row)) for row in X[KIND].to_numpy()])


# ------------------------------------------------------------------------------------------------------ brute force


@pytest.fixture(scope="module")
def regression():
    """A model that uses the attribute, so that Bayes' rule has something to say."""
    return LogisticRegression(C=100).fit(*MEMBERS)


@pytest.fixture(scope="module")
def result(regression):
    return attack(regression)


def expected_posteriors(model, records):
    """The same by hand: the priors, and Bayes' rule for one record and one value at a time."""
    X, y = OWN
    imputer = LogisticRegression(max_iter=2000).fit(np.column_stack([X[["a", "b"]], y]), codes(X))
    priors = imputer.predict_proba(np.column_stack([records[0][["a", "b"]], records[1]]))
    posteriors = np.empty_like(priors)
    for row, ((a, b), happened) in enumerate(zip(records[0][["a", "b"]].to_numpy(), records[1], strict=True)):
        for number, value in enumerate(VALUES):
            death = 1 / (1 + math.exp(-(model.coef_[0] @ [a, b, *value] + model.intercept_[0])))
            posteriors[row, number] = priors[row, number] * (death if happened == 1 else 1 - death)
        posteriors[row] /= posteriors[row].sum()
    return priors, posteriors


@pytest.mark.parametrize("side", ["members", "nonmembers"])
def test_without_a_shadow_model_it_is_bayes_rule_record_by_record(regression, result, side):
    records = MEMBERS if side == "members" else OTHERS
    priors, posteriors = expected_posteriors(regression, records)
    ours, truth = getattr(result, side), codes(records[0])
    np.testing.assert_array_equal(result.values.to_numpy(), VALUES)
    np.testing.assert_array_equal(ours.truth, truth)
    np.testing.assert_array_equal(ours.imputed, priors.argmax(axis=1))
    np.testing.assert_array_equal(ours.guessed, posteriors.argmax(axis=1))
    assert ours.imputation == pytest.approx((priors.argmax(axis=1) == truth).mean())
    assert ours.attack == pytest.approx((posteriors.argmax(axis=1) == truth).mean())
    assert ours.gain == pytest.approx(ours.attack - ours.imputation)
    commonest = np.bincount(codes(OWN[0])).argmax()
    assert ours.commonest == pytest.approx((truth == commonest).mean())


def test_without_a_shadow_model_nobody_is_mistaken_for_a_member(result):
    assert result.member_weight == result.nonmember_weight == 1
    np.testing.assert_array_equal(result.mistaken.guessed, result.nonmembers.guessed)
    assert result.leak == pytest.approx(result.members.gain - result.nonmembers.gain)


def test_candidates_are_asked_one_by_one_and_the_table_stays_as_it_was():
    X, y = MEMBERS
    before, candidates = X.copy(), pd.DataFrame(VALUES, columns=KIND)
    ours = candidate_scores(lambda table: table @ [1.0, 0.0, 10.0, 100.0], X, y, candidates)
    expected = (X["a"].to_numpy()[:, None] + [0, 100, 10]) * np.where(y == 1, 1, -1)[:, None]
    np.testing.assert_allclose(ours, expected)
    pd.testing.assert_frame_equal(X, before)


def test_the_gains_interval_is_that_of_a_bootstrap_over_records(result):
    ours = result.members
    change = (ours.guessed == ours.truth).astype(float) - (ours.imputed == ours.truth)
    drawn = np.random.default_rng(8).choice(change, size=(4000, len(change))).mean(axis=1)
    assert change.std() > 0
    # Both are made of whole records, and of resamples: they may differ by a record or two.
    assert ours.gain_interval == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=2.5 / len(change))


# ------------------------------------------------------------------------------------------------------ planted leak


def test_a_leak_is_found_in_members_only():
    found = attack(by_heart(MEMBERS, sure=30.0), shadow=(by_heart(SHADOW_IN, sure=30.0), SHADOW_IN, SHADOW_OUT))
    assert found.members.attack == 1
    assert found.members.gain == pytest.approx(1 - found.members.imputation)
    assert found.nonmembers.gain == 0
    assert found.leak == found.members.gain
    assert found.leak_interval.low > 0.2


def test_how_much_to_trust_a_model_is_learnt_from_the_shadow_model():
    hesitant = {"model": by_heart(MEMBERS, sure=0.1)}
    shadow = (by_heart(SHADOW_IN, sure=0.1), SHADOW_IN, SHADOW_OUT)
    learnt, bayes = attack(**hesitant, shadow=shadow), attack(**hesitant)
    assert learnt.members.attack == 1  # small differences decide, once it is known what they mean
    assert bayes.members.attack < 0.7
    assert learnt.member_weight > 50
    assert learnt.nonmember_weight == 0


def test_the_weight_is_the_one_that_makes_the_shadow_models_records_likeliest(regression):
    shadow_model = LogisticRegression(C=100).fit(*SHADOW_IN)
    found = attack(regression, shadow=(shadow_model, SHADOW_IN, SHADOW_OUT))
    for weight, records in ((found.member_weight, SHADOW_IN), (found.nonmember_weight, SHADOW_OUT)):
        priors, posteriors = expected_posteriors(shadow_model, records)
        truth = codes(records[0])

        def likelihood(w, priors=priors, ratio=posteriors / priors, truth=truth):
            chances = priors * ratio**w
            return np.log(chances[np.arange(300), truth] / chances.sum(axis=1)).mean()

        for other in np.linspace(0, 10, 101):
            assert likelihood(weight) >= likelihood(other) - 1e-9


def test_an_attacker_who_takes_everybody_for_a_member_is_misled():
    # The model is sure of its own patients, and of all others if they had kind 0: wrong about most of them.
    def overconfident(records, others):
        own_patients = by_heart(records, sure=5.0)
        ends = dict(zip(map(tuple, others[0][["a", "b"]].to_numpy()), np.where(others[1] == 1, 1, -1), strict=True))

        def log_odds(table):
            stranger = np.array([ends.get(tuple(row), 0) for row in table[["a", "b"]].to_numpy()])
            surprised = np.where(table[KIND].sum(axis=1) == 0, 0.0, -50.0)  # at what happened to a stranger
            return np.where(stranger == 0, own_patients(table), stranger * surprised)

        return log_odds

    shadow = (overconfident(SHADOW_IN, SHADOW_OUT), SHADOW_IN, SHADOW_OUT)
    found = attack(overconfident(MEMBERS, OTHERS), shadow=shadow)
    assert found.members.attack == 1
    assert found.mistaken.gain < -0.2
    assert found.nonmembers.gain == 0
    assert found.leak == found.members.gain  # what is lost by the mistake is not counted as the members' loss


# ----------------------------------------------------------------------------------------------------------- no leak


def test_a_model_that_knows_nothing_adds_nothing():
    for shadow in (None, (no_idea, SHADOW_IN, SHADOW_OUT)):
        found = attack(no_idea, shadow=shadow)
        for side in (found.members, found.nonmembers, found.mistaken):
            np.testing.assert_array_equal(side.guessed, side.imputed)
            assert side.gain == 0
            assert side.gain_interval == (0, 0)
        assert found.members.imputation > found.members.commonest + 0.05  # though most of it looks like a success


def test_what_is_true_of_everybody_is_no_leak():
    # The outcome depends on the kind, which the imputer cannot know: it sees noise only.
    def table(seed, rows=1500):
        rng = np.random.default_rng(seed)
        kind = rng.integers(2, size=rows)
        X = pd.DataFrame({"kind": kind, "noise": rng.normal(size=rows)}, [f"{seed}-{i}" for i in range(rows)])
        y = (rng.random(rows) < norm.cdf((2 * kind - 1) * X["noise"])).astype(int)
        return X.astype(float), y

    members, others, own = (table(seed) for seed in (11, 12, 13))

    def truth(X):  # what a perfect statistician would publish, without a look at a single record
        chance = norm.cdf((2 * X["kind"] - 1) * X["noise"])
        return np.log(chance / (1 - chance))

    found = attribute_inference(truth, members, others, own, "kind")
    assert found.members.gain > 0.1  # logistic regression misses the interaction, the model tells it ...
    assert found.nonmembers.gain > 0.1  # ... about people who were never in the data as well
    assert found.leak_interval.low < 0 < found.leak_interval.high


def test_the_leak_is_zero_on_average_if_the_model_saw_nobody():
    model, leaks, covered = DecisionTreeClassifier(random_state=0).fit(*people(300, 7)), [], 0
    for seed in range(25):
        found = attack(model, members=people(150, 100 + seed), nonmembers=people(150, 200 + seed))
        leaks.append(found.leak)
        covered += found.leak_interval.low <= 0 <= found.leak_interval.high
    assert abs(np.mean(leaks)) < 4 * np.std(leaks) / math.sqrt(25)
    assert covered >= 20  # 24 expected; fewer than 20 with a chance below 1 %


# ---------------------------------------------------------------------------------------------------- what it takes


def test_columns_that_are_numbers_and_the_same_seed():
    def renamed(records):
        return records[0].set_axis(range(4), axis=1), records[1]

    sides = {"members": renamed(MEMBERS), "nonmembers": renamed(OTHERS), "own": renamed(OWN)}
    first, second = (attack(no_idea, **sides, columns=[2, 3], seed=seed) for seed in (0, 0))
    np.testing.assert_array_equal(first.members.truth, codes(MEMBERS[0]))
    assert first.leak_interval == second.leak_interval


# --------------------------------------------------------------------------------------------------------- bad input


HALF = MEMBERS[0].copy()
HALF.loc["patient 1-7", "kind: 1"] = 0.5
TOO_FEW = lambda table: np.zeros(len(table) - 1)  # noqa: E731


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("columns", "kind", "no column 'kind'; choose from a, b"),
        ("columns", "a", "has 600 values, but the attack guesses among 2 to 50"),
        ("members", MEMBERS[0], "members is a DataFrame; give the tuple \\(X, y\\)"),
        ("members", (MEMBERS[0][["b", "a", *KIND]], MEMBERS[1]), "columns of members are not those of own"),
        ("members", (HALF, MEMBERS[1]), "The record 'patient 1-7' of members has the value"),
        ("nonmembers", MEMBERS, "300 records are in members and in nonmembers, such as the one 'patient 1-0'"),
        ("own", (pd.concat([OWN[0], OTHERS[0].iloc[4:6]]), [*OWN[1], 0, 1]), "2 records are in nonmembers and in own"),
        ("shadow", (no_idea, SHADOW_IN, SHADOW_IN), "in the shadow model's members and in the shadow model's non"),
        ("shadow", (no_idea, SHADOW_IN), "shadow is a tuple; give the tuple \\(model, \\(X, y\\), \\(X, y\\)\\)"),
        ("model", TOO_FEW, r"shape \(299,\) for 300 records"),
        ("shadow", (TOO_FEW, SHADOW_IN, SHADOW_OUT), r"shape \(299,\) for 300 records"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(argument, value, message):
    with pytest.raises(AttackError, match=message):
        attack(**{"model": no_idea, argument: value})
