"""The exercises of chapter 03: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answers import cells, reply

from ppml_helpers import cohort
from ppml_helpers.anonymise import Checklist, Hierarchy, k_anonymity, l_diversity, support2_hierarchies
from ppml_helpers.anonymise import exercises as chapter_03
from ppml_helpers.anonymise.bench import QUASI_IDENTIFIERS
from ppml_helpers.anonymise.exercises import two_days
from ppml_helpers.cohort import DIAGNOSES
from ppml_helpers.exercises import check
from ppml_helpers.people import identities

SEPSIS, CHF, COPD, CIRRHOSIS, COLON, COMA, LUNG, CANCER_MOSF = DIAGNOSES
BY_OUTCOME = {"mild": [CHF, COPD, COLON, LUNG], "middle": [SEPSIS, CIRRHOSIS], "grave": [COMA, CANCER_MOSF]}


def grouped(groups: dict[str, list[str]]) -> Hierarchy:
    return Hierarchy.groups(DIAGNOSES, groups)


GROUPS = support2_hierarchies(pd.DataFrame(columns=["dzgroup"]))["dzgroup"], grouped(BY_OUTCOME)


def levels(*between: list[str], top: str | None = "*") -> dict[int, list[str]]:
    """A hierarchy as the dict that other packages take."""
    rows = [list(DIAGNOSES), *between] + ([] if top is None else [[top] * len(DIAGNOSES)])
    return dict(enumerate(rows))


def test_right_numbers_in_several_forms() -> None:
    share = 2 * chapter_03._metastatic()
    right = {
        "03.1": (13, 13.0, np.int64(13), np.array([13]), Fraction(13)),
        "03.2": (share, round(share, 3), np.float32(share), pd.Series([share])),
    }
    for name, answers in right.items():
        assert [reply(name, answer) for answer in answers] == [""] * len(answers)


@pytest.mark.parametrize(
    "answer",
    [
        grouped(BY_OUTCOME),
        grouped({"often": [CANCER_MOSF, COMA, SEPSIS, CIRRHOSIS], "seldom": [CHF, COPD, COLON, LUNG]}),
        levels(["b", "a", "a", "b", "a", "c", "a", "c"], top="anything"),
        [list(DIAGNOSES), list("baabacac"), ["*"] * 8],
        (DIAGNOSES, tuple("baabacac"), "********"),
    ],
    ids=["three groups", "two groups", "a dict of levels", "a list of levels", "a tuple of levels"],
)
def test_03_3_right(answer: object) -> None:
    assert reply("03.3", answer) == ""


def test_03_3_says_what_was_gained() -> None:
    said = check("03.3", grouped(BY_OUTCOME), record=False).text
    assert "AUC 0.74 where the given groups have 0.72" in said
    assert "certain for 0 % of those who have it in place of 75 %" in said


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
    ("03.2", 0.61, "take 0.203 off"),
    ("03.2", 0.203, "may double"),
    ("03.2", 40.6, "not in percent"),
    ("03.2", 77, "from 0 to 1"),
    ("03.2", -0.09, "from 0 to 1"),
    ("03.2", 0.3, "2.5 times as suspect"),
    ("03.2", 0.5, "promise the bound"),
    ("03.3", BY_OUTCOME, "Hierarchy.groups(DIAGNOSES, groups)"),
    ("03.3", [BY_OUTCOME], "Hierarchy.groups(DIAGNOSES, groups)"),
    ("03.3", [list(DIAGNOSES), ["a"]], "8 base values but 1 labels"),
    ("03.3", "CHF", "is a str"),
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
        "AUC 0.74, but metastatic cancer is certain for 76 %",
    ),
    (
        "03.3",
        grouped({"a": [CHF, COMA, LUNG], "b": [COLON, SEPSIS], "c": [CANCER_MOSF, COPD, CIRRHOSIS]}),
        "AUC 0.58, and 0.65",
    ),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


def test_03_3_the_given_groups_give_metastases_away_and_it_is_no_close_call() -> None:
    given, mine = (chapter_03._optimum(chapter_03._hospital(), groups) for groups in GROUPS)
    assert "is certain for 75 %" in reply("03.3", GROUPS[0])
    assert (given.certain > 0.5, mine.certain) == (True, 0)
    assert mine.auc > chapter_03._NEEDED + 0.05


# 03.4 and 03.5 ------------------------------------------------------------------------------------------------------


def test_03_4_each_day_keeps_its_promise_and_one_row_is_new() -> None:
    monday, tuesday = two_days()
    columns = list(monday.columns[:-1])
    for day in (monday, tuesday):
        assert k_anonymity(day, columns) >= 11
        assert l_diversity(day, columns, "hospdead") >= 2
    assert len(tuesday) == len(monday) + 1


def test_03_4_the_new_row_in_several_forms_and_other_rows() -> None:
    monday, tuesday = two_days()
    more = tuesday.value_counts().sub(monday.value_counts(), fill_value=0)
    new = more[more > 0]
    row = new.reset_index().iloc[0][list(monday.columns)]
    for answer in (
        new,
        new.index,
        new.index[0],
        list(new.index[0]),
        new.reset_index(),
        row,
        dict(row),
        row.to_frame().T,
    ):
        assert reply("03.4", answer) == ""
    other = {**row, "hospdead": 1 - int(row.hospdead)}
    elsewhere = monday[monday[monday.columns[0]] != row.iloc[0]].iloc[0]
    for answer, words in (
        (tuesday[~tuesday.apply(tuple, axis=1).isin(set(monday.apply(tuple, axis=1)))], "No row is left"),
        (tuesday, "4,554 rows, and one patient came"),
        (other, "with the other outcome"),
        (elsewhere, "equally often"),
        (row.drop("hospdead"), "Give the whole row"),
        (("CHF", 0), "Give the whole row"),
        (1, "and this is a int"),
    ):
        assert words in reply("03.4", answer)


@pytest.fixture(scope="module")
def filled() -> Checklist:
    """The page of the chapter, filled as its solution fills it (the chapter's own run holds its figures to these)."""
    page = Checklist("Three columns", chapter_03._counted_again(), {})
    seen: dict[str, Any] = {"page": page, "check": lambda *_, **__: None}
    exec(cells("03_anonymise")["solution-5"].source, seen)  # a cell of our own notebook
    return seen["filled"]


def test_03_5_a_page_that_answers_and_pages_that_do_not(filled: Checklist) -> None:
    def says(**measured: Any) -> Checklist:
        return dataclasses.replace(filled, measured={**filled.measured, **measured})

    assert reply("03.5", filled) == reply("03.5", filled.answer(decision="release", name="Ada")) == ""
    for answer, words in (
        (dict(filled.answers), "Write `filled = page.answer("),
        (dataclasses.replace(filled, answers={"name": "Ada"}), "11 of 12 answers are missing: purpose"),
        (says(k=5), "k = 5 and l = 2"),
        (says(**{"columns not declared": "crea"}), "Undeclared: crea"),
        (says(k=40), "'k' is 11, and this page says 40"),
        (says(**{"AUC of the release": 0.8}), "is 0.779, and this page says 0.8."),
        (says(**{"left out most": "race asian: 9 %"}), "is nobody, and this page says race asian: 9 %"),
        (
            dataclasses.replace(filled, measured={"k": 11, "l": 2, "columns not declared": "none"}),
            "'rows' is 4553, and",
        ),
        (filled.answer(purpose="yes", recipient="yes"), "purpose and recipient have the same answer"),
        (filled.answer(why_columns="dzgroup, scoma: needed."), "does not say what hday is for"),
        (filled.answer(still_leaks="Nothing, it is anonymous."), "Every table of rows tells something"),
        (filled.answer(still_leaks="A little."), "Every table of rows tells something"),
    ):
        assert words in reply("03.5", answer)


def test_the_judges_use_the_tables_of_the_notebook() -> None:
    """The chapter makes its hierarchies and its choice before the reader's eyes; the judges take them from here."""
    table, ours = chapter_03._hospital().table, cells("03_anonymise")
    patients = cohort.load_patients()
    seen: dict[str, Any] = {"cohort": cohort, "identities": identities, "pd": pd, "table": table, "patients": patients}
    seen["later"] = chapter_03._hospital().later
    for name in ("hierarchies", "minimise", "declare"):
        exec(ours[name].source, seen)  # cells of our own notebook
    judged = support2_hierarchies(table) | {"dzgroup": GROUPS[0]}
    assert set(seen["hierarchies"]) == set(QUASI_IDENTIFIERS)
    for name, hierarchy in seen["hierarchies"].items():
        ladders = hierarchy.with_missing(), judged[name].with_missing()
        shared = pd.Series(ladders[1].values)
        assert ladders[0].height == ladders[1].height, name
        for level in range(hierarchy.height + 1):
            labels = (ladder.generalise(shared, level) for ladder in ladders)
            first, second = (pd.factorize(label)[0] for label in labels)
            assert np.array_equal(first, second), (name, level)  # the same classes, whatever they are called
    handed, _ = chapter_03._handed_out()
    assert handed.table.equals(seen["handed_out"](seen["three"], 11).table)
