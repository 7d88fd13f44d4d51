"""Three questions a chapter, with a sentence for each choice; no marks, nothing recorded.

For learners, in any notebook::

    from ppml_helpers.exercises.quiz import quiz
    quiz("05")              # three questions; open a choice to read what is said to it

Questions, choices and what is said stand in ``quiz.toml`` beside this file.
"""

from __future__ import annotations

import html
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ppml_helpers.errors import ExerciseError
from ppml_helpers.exercises.frame import Reply, right, wrong

__all__ = ["Question", "Quiz", "answer", "quiz"]

_FILE = Path(__file__).with_name("quiz.toml")


@dataclass(frozen=True)
class Question:
    """One question of a chapter.

    Parameters
    ----------
    chapter : str
        Its number, for example ``"02b"``.
    section : str
        The heading in the chapter's notebook where it is told.
    ask : str
        The question.
    right : {"a", "b", "c"}
        The right choice.
    a, b, c : tuple of str
        A choice, and what is said to whoever takes it.
    """

    chapter: str
    section: str
    ask: str
    right: str
    a: tuple[str, str]
    b: tuple[str, str]
    c: tuple[str, str]

    @property
    def choices(self) -> dict[str, tuple[str, str]]:
        """Each letter's choice, and what is said to it."""
        return {"a": self.a, "b": self.b, "c": self.c}

    def reply(self, choice: str) -> Reply:
        """Say whether a choice is right and why; a wrong one is sent to the section."""
        said = self.choices[choice][1]
        if choice == self.right:
            return right(said)
        return wrong(f'{said} See "{self.section}" in chapter {self.chapter}.')


@dataclass(frozen=True)
class Quiz:
    """The questions of a chapter: in a notebook each choice opens to its reply, elsewhere they are text."""

    questions: tuple[Question, ...]

    def __str__(self) -> str:
        lines = []
        for number, question in enumerate(self.questions, start=1):
            lines.append(f"{number}. {question.ask}")
            lines += [f"   {letter}) {choice}" for letter, (choice, _) in question.choices.items()]
        return "\n".join([*lines, f'Answer with answer("{self.questions[0].chapter}", 1, "a").'])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        parts = []
        for question in self.questions:
            opened = "".join(
                f"<details style='margin: 0.3em 0'><summary>{letter}) {html.escape(choice)}</summary>"
                f"{question.reply(letter)._repr_mimebundle_()['text/html']}</details>"
                for letter, (choice, _) in question.choices.items()
            )
            parts.append(f"<li><p><strong>{html.escape(question.ask)}</strong></p>{opened}</li>")
        shown = f"<p>Choose first, then open your choice.</p><ol>{''.join(parts)}</ol>"
        return {"text/plain": str(self), "text/html": shown}


def quiz(chapter: str) -> Quiz:
    """Show the three questions of a chapter.

    Parameters
    ----------
    chapter : str
        Its number in quotes, for example ``"05"`` or ``"02b"``.

    Raises
    ------
    ExerciseError
        If there is no such chapter.
    """
    found = tuple(question for question in _questions() if question.chapter == chapter)
    if not found:
        known = ", ".join(dict.fromkeys(question.chapter for question in _questions()))
        raise ExerciseError(f"There is no quiz for chapter {chapter!r}: write one of {known}, in quotes.")
    return Quiz(found)


def answer(chapter: str, number: int, choice: str) -> Reply:
    """Say whether a choice is right, and why.

    Parameters
    ----------
    chapter : str
        The chapter's number in quotes.
    number : int
        The question, from 1.
    choice : {"a", "b", "c"}
        The choice.

    Returns
    -------
    Reply
        Nothing is recorded.

    Raises
    ------
    ExerciseError
        If there is no such chapter, question or choice.
    """
    questions = quiz(chapter).questions
    numbers = range(1, len(questions) + 1)
    if isinstance(number, bool) or number not in numbers:
        raise ExerciseError(f"Chapter {chapter} has no question {number!r}: write a number from 1 to {numbers[-1]}.")
    question = questions[int(number) - 1]
    letter = choice.strip().lower() if isinstance(choice, str) else choice
    if letter not in tuple(question.choices):
        raise ExerciseError(f'The choices are "a", "b" and "c", in quotes; this is {choice!r}.')
    return question.reply(letter)


@cache
def _questions() -> tuple[Question, ...]:
    """Read all questions, in the order of the file."""
    entries = tomllib.loads(_FILE.read_text("utf-8"))["questions"]
    return tuple(Question(**entry | {letter: tuple(entry[letter]) for letter in "abc"}) for entry in entries)
