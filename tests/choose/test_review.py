"""`review` and its `questions`: nothing typed is lost, and the report says what was answered and what was not."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ppml_helpers import cohort, course
from ppml_helpers.anonymise.checklist import QUESTIONS as OF_A_RELEASE
from ppml_helpers.anonymise.checklist import Checklist
from ppml_helpers.choose.questions import LAW, PARTS, QUESTIONS, THREATS
from ppml_helpers.choose.report import Section
from ppml_helpers.choose.review import NO_ADVICE, Answer, Kept, Review, columns_needed, export_review, named, sections
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.errors import ReportError
from ppml_helpers.private_training.choice import Choice


def at(second: int, text: str = "", by: str = "A. Person") -> Answer:
    return Answer(text or f"typed at {second}", by, f"2026-11-29T08:00:{second:02}")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return Review(tmp_path / "r" / "review.json")


def test_what_is_typed_replaces_what_was_before_ones_eyes(review: Review) -> None:
    assert review.read() == {}
    typed = [None, at(1), at(2), at(3)]
    for before, new in pairwise(typed):
        review.write("purpose", new, before)
    review.write("roles", at(1, "ä 'quoted' \udc80 \u202e\n=1+1"), None)
    assert Review(review.path).read() == {
        "purpose": Kept((at(3),)),
        "roles": Kept((at(1, "ä 'quoted' \\udc80 \u202e\n=1+1"),)),
    }
    review.write("purpose", at(4, " "), at(3))  # emptied
    assert set(review.read()) == {"roles"}


def test_two_who_type_at_once_lose_nothing(review: Review) -> None:
    """Both began from the same answer; the newer stands first, whoever came first to the file."""
    review.write("purpose", at(1), None)
    mine, yours = at(3, "mine", "M"), at(2, "yours", "Y")
    review.write("purpose", mine, at(1))
    assert review.write("purpose", yours, at(1)) == Kept((mine, yours))
    later = at(5, "yours, longer", "Y")
    assert review.write("purpose", later, yours) == Kept((later, mine))
    assert review.write("purpose", at(6, "mine, longer", "M"), mine).answers[1] == later
    assert review.write("purpose", at(7, " ", "M"), at(6, "mine, longer", "M")) == Kept((later,))  # I take mine back
    review.write("purpose", at(8, "again", "M"), None)
    assert len(review.settle("purpose", at(9)).answers) == 2
    assert review.settle("purpose", later) == Kept((later,))
    assert review.read()["purpose"] == Kept((later,))


def test_times_with_and_without_a_zone_are_put_in_order(review: Review) -> None:
    for time in ("2026-11-29T09:00:00+01:00", "2026-11-29", "2026-11-29T08:30:00"):
        review.write("purpose", Answer(time, "M", time), None)
    assert [one.at for one in review.read()["purpose"].answers] == [
        "2026-11-29T08:30:00",
        "2026-11-29T09:00:00+01:00",
        "2026-11-29",
    ]


def test_a_damaged_file_and_a_wrong_answer_are_refused(review: Review) -> None:
    with pytest.raises(ReportError, match="'purposes' is not on offer"):
        review.write("purposes", at(1), None)
    for wrong, said in (((1, "", "2026-11-29"), "text = 1 must be text"), (("a", "", "today"), "at = 'today' must be")):
        with pytest.raises(ReportError, match=said):
            Answer(*wrong)
    review.write("purpose", at(1), None)
    for damage in ("", "[]", '{"purpose": [{"text": "a"}]}', '{"purpose": 3}', "[" * 100_000):
        review.path.write_text(damage)
        with pytest.raises(ReportError, match="is damaged or cannot be read"):
            review.read()
        with pytest.raises(ReportError, match="is damaged"):
            review.write("roles", at(1), None)
        assert review.path.read_text() == damage  # what can be saved by hand is there


def test_the_questions_cite_what_is_listed_and_name_chapters_that_there_are() -> None:
    cited = {law for one in QUESTIONS.values() for law in one.articles}
    assert cited | {"35(1)"} == set(LAW)
    assert list(dict.fromkeys(one.part for one in QUESTIONS.values())) == list(PARTS)
    there = {path.stem.split("_")[0] for path in course.chapters()}
    for name in THREATS:
        question = QUESTIONS[name]
        assert question.asks.startswith(name.split("_")[0].capitalize())
        chapters = re.findall(r"\b\d\db?\b", question.think_of)
        assert chapters
        assert set(chapters) <= there


def test_a_technique_is_found_by_its_whole_name() -> None:
    names = ["federated", "federated + noise", "none", "trees"]
    assert named("We take Federated + noise, and no tree.", names) == ["federated + noise"]
    assert named("federated (alone), federated + noise", names) == ["federated", "federated + noise"]
    assert named("nonesuch", names) == []


def row(name: str) -> Row:
    sees = dict.fromkeys(("patient", "hospital", "server", "researcher", "public"), "the model")
    how = {"auc_interval": "bootstrap of the test patients"}
    more = {"sees": sees, "methods": how, "trusted": ("researcher: a model",), "not_protected": "The model."}
    return Row(name, "training", "a model", auc=0.8, auc_interval=(0.7, 0.9), **more)


def test_the_report_keeps_the_order_of_the_article_and_names_every_gap() -> None:
    found = sections({})
    titles = [part.title for part in found if part.level == 2]
    assert titles[1:6] == [heading for heading, _ in PARTS.values()]
    assert NO_ADVICE in found[0].sentences
    assert found[-2].title == "What was not answered"
    assert found[-2].sentences == [one.asks for one in QUESTIONS.values()]
    order = [part.title for part in found if part.level == 3]
    assert order == [one.asks for one in QUESTIONS.values()]
    [(_, law)] = found[-1].tables
    assert dict(law["what it says, in short"]) == LAW


def test_the_report_says_who_answered_what_was_measured_and_what_was_kept(tmp_path: Path, review: Review) -> None:
    review.write("techniques", at(1, "Federated, with a contract"), None)
    review.write("purpose", at(2, "one", "M"), None)
    review.write("purpose", at(3, "two", "Y"), None)
    Choice("forest, DP-SGD", 1.5, 1e-5, 1, "At epsilon 1.5 ...").save(tmp_path)
    answers = dict.fromkeys(OF_A_RELEASE, "an answer") | {"decision": "ask first", "date": "2026-11-28"}
    Checklist("Teaching", {"k": 11, "rows": 9_000}, answers).save(tmp_path)
    rows = [row(name) for name in ("federated", "trees")]
    own = {"necessity": [Section("what singles people out", ["k is 3."])]}
    page, text = tmp_path / "r.html", tmp_path / "r.md"
    assert export_review(review, page, text, folder=tmp_path, measured=own, rows=rows) == page
    assert export_review(review, folder=tmp_path).with_suffix(".md").is_file()
    shown = MarkdownIt("commonmark").enable("table").render(text.read_text("utf-8"))
    for phrase in (
        "Answered: 2 of 34 questions, by A. Person, M and Y.",
        "Measured: what singles people out, the scoreboard, the chosen techniques, epsilon 1.5, delta 1e-05, "
        "forest, DP-SGD and release checklist Teaching.",
        "Answered twice and not decided between: &quot;For what purpose",
        "Answered 2026-11-29 08:00, by Y.",
        "Another answer, kept beside it:",
        "<h3>Measured: what singles people out</h3>",
        "<td>federated</td>",
        "At epsilon 1.5 ...",
        "<td>ask first</td>",
        "<td>researcher: a model</td>",
        "<td>bootstrap of the test patients</td>",
    ):
        assert phrase in shown, phrase
    assert (shown.count("<td>federated</td>"), shown.count("<td>trees</td>")) == (4, 1)
    with pytest.raises(ReportError, match="'risk' is not on offer"):
        sections({}, {"risk": []})
    assert sections({})[0].sentences[2].startswith("Measured: nothing")
    [part] = [part for part in sections({}, rows=rows) if part.title == "Measured: the chosen techniques"]
    assert part.sentences == ["The answer names no technique of the scoreboard."]


def test_what_each_column_adds_is_measured_on_those_who_did_not_choose() -> None:
    """One column decides the outcome, one nothing; the third is different for everybody."""
    rng = np.random.default_rng(0)
    column = cohort.Number("mm", 0, 1, 0.5, "made up")
    schema = cohort.Schema({"noise": column, "signal": column, "number": column}, "ill", "an illness")
    patients = pd.DataFrame({"noise": rng.choice([0.1, 0.9], 600), "signal": rng.choice([0.1, 0.9], 600)})
    patients["number"], patients["ill"] = np.arange(600) / 600, (patients["signal"] > 0.5).astype(int)
    found = columns_needed(patients, schema, most=2)
    (_, added), (_, alone) = found.tables
    assert dict(zip(added["which"], added["AUC"], strict=True))["signal"] == "1.00"
    assert added.index[-1] == "all 3"
    assert found.sentences == [
        "200 patients chose the columns, 400 others were used to compare them; each AUC is the mean of 5 folds."
    ]
    assert set(alone["alone"]) <= {0, 400}
