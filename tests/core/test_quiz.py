"""The quiz: three questions a chapter, one right choice each, and a sentence that helps for each other one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from ppml_helpers import course
from ppml_helpers.errors import ExerciseError
from ppml_helpers.exercises.quiz import Question, answer, quiz

CHAPTERS = {path.stem.partition("_")[0]: path for path in course.chapters()}
QUESTIONS = [(chapter, number) for chapter in CHAPTERS for number in (1, 2, 3)]
ROOT = Path(__file__).resolve().parents[2]


def question_of(chapter: str, number: int) -> Question:
    return quiz(chapter).questions[number - 1]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_three_questions_each_told_in_a_section_of_its_core_path(chapter: str) -> None:
    questions = quiz(chapter).questions
    text = "\n".join(cell.source for cell in course.read(CHAPTERS[chapter]).cells if cell.cell_type == "markdown")
    headings = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    assert len(questions) == 3
    assert [one.section for one in questions if one.section not in headings] == []
    assert [one.section for one in questions if one.section.startswith("Deeper")] == []


@pytest.mark.parametrize(("chapter", "number"), QUESTIONS)
def test_one_choice_is_right_and_each_other_is_told_why_and_where(chapter: str, number: int) -> None:
    question = question_of(chapter, number)
    replies = {letter: answer(chapter, number, letter) for letter in "abc"}
    assert [letter for letter, reply in replies.items() if reply.right] == [question.right]
    for letter, reply in replies.items():
        said = question.choices[letter][1]
        assert len(said) >= 30
        assert len(re.findall(r"[.?!](?: |$)", said)) <= 3
        assert (f'"{question.section}" in chapter {chapter}' in reply.text) is (letter != question.right)
    assert len({reply.text for reply in replies.values()}) == 3
    assert question.ask.endswith("?")


def test_who_only_guesses_finds_no_pattern() -> None:
    questions = [question_of(*one) for one in QUESTIONS]
    for letter, times in Counter(one.right for one in questions).items():
        assert len(questions) / 4 < times < len(questions) / 2, letter
    longest = [max("abc", key=lambda letter: len(one.choices[letter][0])) == one.right for one in questions]
    assert sum(longest) < len(questions) / 2, "who takes the longest choice is right too often"
    assert len({one.ask for one in questions}) == len(questions)


def test_a_notebook_shows_each_choice_closed_with_its_reply_inside() -> None:
    bundle = quiz("05")._repr_mimebundle_()
    assert bundle["text/html"].count("<details") == bundle["text/html"].count("</details>") == 9
    assert "<details open" not in bundle["text/html"]
    assert bundle["text/html"].count("<strong>Right.</strong>") == 3
    assert "Right" not in bundle["text/plain"], "the text alone does not give the answer away"
    assert 'answer("05", 1, "a")' in bundle["text/plain"]


@pytest.mark.parametrize("wrong", [("5", 1, "a"), (5, 1, "a"), ("05", 0, "a"), ("05", 4, "a"), ("05", True, "a")])
def test_what_there_is_not_is_refused_with_what_there_is(wrong: tuple) -> None:
    with pytest.raises(ExerciseError, match=r"05|from 1 to 3"):
        answer(*wrong)


@pytest.mark.parametrize("choice", ["d", "", "ab", None, 1, ["a"]])
def test_another_choice_is_refused(choice: object) -> None:
    with pytest.raises(ExerciseError, match='"a", "b" and "c"'):
        answer("05", 1, choice)


def test_a_letter_may_be_written_large() -> None:
    assert answer("05", 1, " C ") == answer("05", 1, "c")


def test_the_questions_are_installed_with_the_package() -> None:
    assert '"ppml_helpers.exercises" = ["*.toml"]' in (ROOT / "pyproject.toml").read_text("utf-8")
