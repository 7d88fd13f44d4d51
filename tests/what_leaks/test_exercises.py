"""The exercises of chapter 01: right answers as its cells compute them, and what wrong ones are told."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from answers import reply
from sklearn.ensemble import RandomForestClassifier

from ppml_helpers import cohort, membership
from ppml_helpers.exercises import check
from ppml_helpers.people import linkage
from ppml_helpers.people.identities import deidentified, identities, register
from ppml_helpers.what_leaks import exercises as chapter_01
from ppml_helpers.what_leaks.model_attack import LEAVES

grown = cache(chapter_01._attack_forest)  # each forest once for all answers that are tried on it


@pytest.fixture(autouse=True)
def forests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chapter_01, "_attack_forest", lambda leaf: grown(leaf))


@pytest.mark.parametrize("answer", [0.29, 30 / 100 - 1 / 100, np.float32(0.29), np.array([0.29]), pd.Series([0.29])])
def test_01_1_right_in_several_forms(answer: object) -> None:
    assert reply("01.1", answer) == ""


WRONG = [
    ("01.1", 29, "share of 1"),
    ("01.1", 0.30, "accuses everybody"),
    ("01.1", 0.31, "you added them"),
    ("01.1", 0.645, "starts from 0.5"),
    ("01.1", 0.01, "false alarms alone"),
    ("01.1", 30, "at most 1"),
    ("01.1", 0.5, "less the share of others"),
    ("01.2", 0.468, "changed places"),
    ("01.2", 0.5, "what guessing gives"),
    ("01.2", 0.815, "predicts death"),
    ("01.2", 0.753, "fully grown"),
    ("01.2", 53.2, "between 0 and 1"),
    ("01.2", 0.60, "1,138 others"),
    ("01.3", 1, "above the policy"),
    ("01.3", 5, "above the policy"),
    ("01.3", 20, "so does 10"),
    ("01.3", 100, "so does 50"),
    ("01.3", 7, "does not offer"),
    ("01.3", "10", "this is the text"),
    ("01.4", 0, "Labels leak too"),
    ("01.4", -0.21, "sign is turned"),
    ("01.4", 0.79, "What of the members"),
    ("01.4", 1.0, "How many others"),
    ("01.4", 0.605, "share of right guesses"),
    ("01.4", 0.41, "use forest.predict"),
    ("01.4", 20.7, "share of 1"),
    ("01.4", 0.1, "where the label is right"),
    ("01.5", 142, "21 of the names belong to somebody else"),
    ("01.5", 21, "How many rightly"),
    ("01.5", 2838, "whole years of age"),
    ("01.5", 0, "the same bands"),
    ("01.5", 311, "the same bands"),
    ("01.5", 39, "without sex"),
    ("01.5", 2, "by district"),
    ("01.5", 0.0133, "That is the share"),
    ("01.5", 1.33, "That is the share"),
    ("01.5", 1017, "guesses among several"),
    ("01.5", 0.112, "guesses among several"),
    ("01.5", 9105, "score by the truth"),
    ("01.5", "121", "this is the text"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_right_answers_as_the_chapter_computes_them_and_all_patients_left_out_are_not_its_others() -> None:
    data = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    dealt = cohort.split(data.X_test, data.y_test, seed=0, test_share=0.5)
    members, others, left_out = (data.X_train, data.y_train), (dealt.X_test, dealt.y_test), (data.X_test, data.y_test)
    careful = RandomForestClassifier(100, min_samples_leaf=20, random_state=0, n_jobs=2).fit(*members)
    result, wrong = (
        membership.membership_attack(*(membership.scores(careful, *side) for side in (members, outside)))
        for outside in (others, left_out)
    )
    for answer in (result, result.auc, round(result.auc, 2)):  # the result itself will do
        assert reply("01.2", answer) == ""
    assert "the attacker's own records" in reply("01.2", wrong)
    assert reply("01.3", np.int64(10)) == reply("01.3", 10.0) == ""
    forest = RandomForestClassifier(100, random_state=0, n_jobs=2).fit(*members)
    right, wrong = (forest.score(*members) - forest.score(*outside) for outside in (others, left_out))
    labels = [(forest.predict(X) == y).astype(float) for X, y in (members, others)]
    by_tool = membership.membership_attack(*labels)  # which measures on halves
    for answer in (right, round(right, 2), by_tool, by_tool.advantage):
        assert reply("01.4", answer) == ""
    assert "the attacker's own records" in reply("01.4", wrong)


def test_right_replies_say_what_the_attacks_really_give() -> None:
    shared, full = grown(20), grown(1)
    assert shared.confidence.auc == pytest.approx(shared.surprise.auc, abs=0.008)  # or 01.2 could tell the two apart
    assert f"nearly the same ({shared.surprise.auc:.2f})" in check("01.2", shared.confidence.auc, record=False).text
    label_only = full.right_members - full.right_others
    assert 0.1 < label_only < 0.6 * full.confidence.advantage
    said = check("01.4", label_only, record=False).text
    assert f"from {full.confidence.advantage:.2f} (confidence attack) down to {label_only:.2f}" in said


def test_01_3_the_policy_tells_the_leaf_sizes_apart_clearly() -> None:
    assert grown(10).surprise.auc + 0.01 < chapter_01._POLICY < grown(5).surprise.auc - 0.01
    assert chapter_01.EXERCISES[2].expects.endswith(": " + ", ".join(map(str, LEAVES)))


def test_01_5_as_the_chapter_computes_it_and_apart_from_every_wrong_count() -> None:
    patients = cohort.load_patients()
    people = identities(patients, seed=0)
    public, truth = register(people, seed=0)
    both = [table.assign(age=table["age"] // 10) for table in (deidentified(patients, people), public)]
    score = linkage.link(*both, ["age", "sex", "postcode"]).score(truth)
    assert reply("01.5", score) == reply("01.5", np.int64(score.n_right)) == ""  # the score itself will do
    scores = chapter_01._link_bands()
    counts = [each.n_right for each in scores.values()]
    assert "66 became 70" in reply("01.5", scores["rounded"].n_right)
    counts += [score.n_right + score.n_wrong, score.n_wrong, round(score.expected * score.n)]
    assert len({0, *counts}) == 1 + len(counts)
    said = check("01.5", scores["right"].n_right, record=False).text
    assert f"whole years named {scores['by year'].n_right:,}" in said
