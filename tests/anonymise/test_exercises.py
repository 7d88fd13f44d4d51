"""The exercises of chapter 03: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answers import cells, reply

from ppml_helpers import cohort
from ppml_helpers.anonymise import Hierarchy, support2_hierarchies
from ppml_helpers.anonymise import exercises as chapter_03
from ppml_helpers.cohort import DIAGNOSES
from ppml_helpers.exercises import check
from ppml_helpers.people import identities

SEPSIS, CHF, COPD, CIRRHOSIS, COLON, COMA, LUNG, CANCER_MOSF = DIAGNOSES
BY_OUTCOME = {"mild": [CHF, COPD, COLON, LUNG], "middle": [SEPSIS, CIRRHOSIS], "grave": [COMA, CANCER_MOSF]}


def grouped(groups: dict[str, list[str]]) -> Hierarchy:
    return Hierarchy.groups(DIAGNOSES, groups)


def levels(*between: list[str], top: str | None = "*") -> dict[int, list[str]]:
    """A hierarchy as the dict that other packages take."""
    rows = [list(DIAGNOSES), *between] + ([] if top is None else [[top] * len(DIAGNOSES)])
    return dict(enumerate(rows))


@pytest.fixture(scope="module", autouse=True)
def remembered() -> Iterator[None]:
    """Make the tables and the two releases once for all answers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_hospital", "_neighbour", "_dementia", "_given_groups"):
            patch.setattr(chapter_03, name, cache(getattr(chapter_03, name)))
        yield


def test_right_numbers_in_several_forms() -> None:
    share, own = 3 * chapter_03._dementia(), chapter_03._neighbour().own
    right = {
        "03.1": (13, 13.0, np.int64(13), np.array([13]), Fraction(13)),
        "03.2": (share, round(share, 3), np.float32(share), pd.Series([share])),
        "03.4": (own, int(own), np.array(own), pd.Series([own])),
    }
    for name, answers in right.items():
        assert [reply(name, answer) for answer in answers] == [""] * len(answers)


@pytest.mark.parametrize(
    "answer",
    [
        grouped(BY_OUTCOME),
        grouped({"often": [CANCER_MOSF, COMA, SEPSIS, CIRRHOSIS], "seldom": [CHF, COPD, COLON, LUNG]}),
        levels(["b", "a", "a", "b", "a", "c", "a", "c"], top="anything"),
    ],
    ids=["three groups", "two groups", "a dict of levels"],
)
def test_03_3_right(answer: object) -> None:
    assert reply("03.3", answer) == ""


def test_03_3_says_what_was_gained() -> None:
    said = check("03.3", grouped(BY_OUTCOME), record=False).text
    assert "AUC 0.74 instead of 0.57" in said
    assert "loss of 0.33 instead of 0.35" in said
    assert "certain for 0 %" in said


WRONG = [
    ("03.1", 12, "Rounding down"),
    ("03.1", 12.5, "whole patients"),
    ("03.1", 8, "1 / 8 = 0.125"),
    ("03.1", 0.08, "That is a risk"),
    ("03.1", 5, "a risk of 0.200"),
    ("03.1", 20, "more than it must"),
    ("03.1", 13.4, "whole number"),
    ("03.1", -13, "at least 1"),
    ("03.2", 1, "asks for nothing"),
    ("03.2", 2, "looks like an l"),
    ("03.2", 0.1248, "take 0.031 off"),
    ("03.2", 0.0312, "may double"),
    ("03.2", 9.36, "not in percent"),
    ("03.2", 40, "from 0 to 1"),
    ("03.2", -0.09, "from 0 to 1"),
    ("03.2", 0.05, "2.6 times as suspect"),
    ("03.2", 0.2, "reach 0.23"),
    ("03.2", 0.1, "promise the bound"),  # the chapter's own release at 0.1 stays at four times
    ("03.3", BY_OUTCOME, "Hierarchy.groups(DIAGNOSES, groups)"),
    ("03.3", [BY_OUTCOME], "is a list"),
    ("03.3", grouped({"one": list(DIAGNOSES)}), "One group for all"),
    ("03.3", Hierarchy.suppression(DIAGNOSES), "you have 0"),
    ("03.3", levels(list("abcdefgh")), "at most 4 groups"),
    ("03.3", levels(list("abcdaacd"), list("xyxyxxxy")), "you have 2"),
    ("03.3", levels(list("aabbaabb"), top=None), "share one label"),
    ("03.3", {0: ["CHF", "COPD"], 1: ["*", "*"]}, "lacks the diagnosis 'ARF/MOSF w/Sepsis'"),
    ("03.3", Hierarchy.suppression([*DIAGNOSES, "Flu"]), "'Flu' is no diagnosis"),
    ("03.3", levels(list("abababab"), list("aabbbbbb")), "not nested"),
    ("03.3", {**levels(list("aabbaabb")), 1: ["a"]}, "8 base values but 1 labels"),
    (
        "03.3",
        grouped({"a": [CHF, COPD], "b": [LUNG, COLON], "c": [SEPSIS, CIRRHOSIS], "d": [COMA, CANCER_MOSF]}),
        "gives the diagnosis up again (AUC 0.57)",
    ),
    (
        "03.3",
        grouped({"a": [CHF, COMA, LUNG], "b": [COLON, SEPSIS], "c": [CANCER_MOSF, COPD, CIRRHOSIS]}),
        "AUC 0.59, and 0.65",
    ),
    ("03.4", 70724, "number on the register"),
    ("03.4", 35, "cost 35 dollars"),
    ("03.4", 1e9, "cost 1e+09 dollars"),
    ("03.4", 41_700, "to the dollar"),
    ("03.4", 97_668, "age and sex. The second release"),
    ("03.4", 267_221, "district. The first release"),
    ("03.4", 12_345_6.7, "neither class"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_03_3_given_groups_fail_by_their_own_rule_and_it_is_no_close_call() -> None:
    given, hospital = chapter_03._given_groups(), chapter_03._hospital()
    assert "gives the diagnosis up again" in reply("03.3", given)
    assert chapter_03._optimum(hospital, given).auc < chapter_03._NEEDED - 0.05
    assert chapter_03._optimum(hospital, grouped(BY_OUTCOME)).auc > chapter_03._NEEDED + 0.05


def test_03_4_both_releases_are_needed_and_enough() -> None:
    """Each release alone hides the neighbour among five or more; one row has the place in both."""
    own, by_age, by_place = chapter_03._neighbour()
    assert min(len(by_age), len(by_place)) >= 5
    assert set(by_age) & set(by_place) == {own}
    for charges in (by_age, by_place):
        for answer in (charges.mean(), charges.median()):
            said = reply("03.4", answer)
            assert "all that one release alone tells" in said or "rule them out" in said  # the median may be somebody's
    assert "all that one release alone tells" in reply("03.4", by_age.mean())


def test_the_judges_use_the_hierarchies_of_the_notebook() -> None:
    """The chapter designs its hierarchies before the reader's eyes; the judges take them from the package."""
    table, ours = chapter_03._hospital().table, cells("03_anonymise")
    seen: dict[str, Any] = {"cohort": cohort, "identities": identities, "pd": pd, "table": table}
    for name in ("hierarchies", "hierarchies-groups"):
        exec(ours[name].source, seen)  # two cells of our own notebook
    judged = support2_hierarchies(table)
    assert set(seen["hierarchies"]) == set(judged) == set(chapter_03._QI)
    for name, hierarchy in judged.items():
        ladders = seen["hierarchies"][name].with_missing(), hierarchy.with_missing()
        shared = pd.Series(ladders[1].values)
        assert ladders[0].height == ladders[1].height, name
        for level in range(hierarchy.height + 1):
            labels = (ladder.generalise(shared, level) for ladder in ladders)
            first, second = (pd.factorize(label)[0] for label in labels)
            assert np.array_equal(first, second), (name, level)  # the same classes, whatever they are called
