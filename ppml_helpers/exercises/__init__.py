"""Checks, hints and progress for the course's exercises.

For learners::

    check("01.2", answer)   # says right, or what is wrong; counts a right answer as done
    hint("01.2")            # the next hint
    progress_bar()          # how far you are in the course

To write a chapter's exercises, put a module ``exercises.py`` in its room that exports two names; it is found there::

    from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong

    TITLE = "Private training"
    EXERCISES = (
        Exercise(name="05.1", expects="a number above 0",
                 hints=("First hint.", "Second hint."), judge=_judge_1),
    )

where ``_judge_1(answer) -> Reply`` returns ``right("...")`` or ``wrong("...")``; ``as_number(answer)`` and
``as_choice(answer, ("yes", "no"))`` read the answer, and whatever they or the judge raise becomes
"The answer to 05.1 is a number above 0; ...". The dots (`...`) and None never reach a judge.
A room that serves two chapters gives the exercises of both, and ``TITLE = {"02": "...", "02b": "..."}``.
Import what a judge computes with (torch, accounting) inside it, so that this package stays quick to import. A room
whose exercises cannot be imported is named in a sentence where they would stand; those of the others go on.
"""

from __future__ import annotations

import html
import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import ppml_helpers
from ppml_helpers.errors import ExerciseError
from ppml_helpers.exercises import store
from ppml_helpers.exercises.frame import Exercise, Reply

__all__ = ["Bar", "Count", "Progress", "Reply", "check", "hint", "progress", "progress_bar"]


def check(name: str, answer: object, record: bool = True) -> Reply:
    """Say whether an answer is right, or what is wrong with it.

    Parameters
    ----------
    name : str
        The exercise, for example ``"01.2"``.
    answer : object
        Your answer. The dots (``...``) mean: not answered yet.
    record : bool
        Whether a right answer counts as your own work. The solution cells of the notebooks pass False:
        running them shows the verdict, but only what you answered yourself moves the progress bar.

    Returns
    -------
    Reply
        Shown by the notebook; ``reply.right`` says whether the answer is right.

    Raises
    ------
    ExerciseError
        If there is no exercise of that name. An odd answer is not an error: the reply says what is expected.
    """
    exercise = _find(name)
    reply = exercise.reply(answer)
    if not (reply.right and record):
        return reply
    saved = store.change(lambda before: replace(before, done=before.done | {exercise.name}))
    return replace(reply, remark=saved.remark)


def hint(name: str) -> Reply:
    """Give the next hint of an exercise; how many you have read is remembered.

    After the last one, says that there are no more and repeats it.

    Raises
    ------
    ExerciseError
        If there is no exercise of that name.
    """
    exercise = _find(name)
    total = len(exercise.hints)
    if total == 0:
        return Reply("hint", f"{exercise.name} has no hints.")
    read = 0

    def one_more(before: store.Saved) -> store.Saved:
        nonlocal read
        read = before.hints.get(exercise.name, 0)
        return replace(before, hints={**before.hints, exercise.name: min(read + 1, total)})

    remark = store.change(one_more).remark
    if read >= total:
        return Reply("hint", f"There are no more hints for {exercise.name}. The last was: {exercise.hints[-1]}", remark)
    return Reply("hint", f"({read + 1} of {total}) {exercise.hints[read]}", remark)


class Count(NamedTuple):
    """Exercises done and exercises in all."""

    done: int
    total: int


@dataclass(frozen=True)
class Progress:
    """How far a learner is: a `Count` for each chapter number, titles, and a remark about the file if needed."""

    chapters: dict[str, Count]
    titles: dict[str, str]
    remark: str = ""

    def __getitem__(self, chapter: str) -> Count:
        return self.chapters[chapter]

    @property
    def course(self) -> Count:
        """The whole course."""
        return Count(*(sum(column) for column in zip(*self.chapters.values(), strict=True)))


def progress() -> Progress:
    """Count the exercises done in each chapter, from the learner's progress file.

    Examples
    --------
    ``progress()["01"]`` is ``Count(done=0, total=5)`` for a learner who has not begun chapter 01.
    """
    saved = store.read()
    chapters, titles = {}, {}
    remarks = [remark for remark in (saved.remark, *_collected()[1]) if remark]
    for number, (title, exercises) in _chapters().items():
        chapters[number] = Count(sum(exercise.name in saved.done for exercise in exercises), len(exercises))
        titles[number] = title
    return Progress(chapters, titles, " ".join(remarks))


@dataclass(frozen=True)
class Bar:
    """A learner's progress as a small bar: HTML in a notebook, text elsewhere."""

    progress: Progress

    def __str__(self) -> str:
        course = self.progress.course
        lines = [f"Your course: {course.done} of {course.total} exercises done"]
        for number, (done, total) in self.progress.chapters.items():
            lines.append(
                f"{number}  {'■' * done}{'□' * (total - done)}  {done} of {total}  {self.progress.titles[number]}"
            )
        return "\n".join([*lines, self.progress.remark] if self.progress.remark else lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        course = self.progress.course
        rows = "".join(
            f"<tr><td>{number}</td><td style='text-align: left'>{html.escape(self.progress.titles[number])}</td>"
            f"<td><progress aria-label='chapter {number}' value='{done}' max='{total}'></progress></td>"
            f"<td>{done} of {total}</td></tr>"
            for number, (done, total) in self.progress.chapters.items()
        )
        remark = f"<br><small>{html.escape(self.progress.remark)}</small>" if self.progress.remark else ""
        caption = f"<strong>Your course: {course.done} of {course.total} exercises done</strong>"
        return {"text/plain": str(self), "text/html": f"<div>{caption}<table>{rows}</table>{remark}</div>"}


def progress_bar() -> Bar:
    """Show how far you are in the course."""
    return Bar(progress())


def rooms() -> list[str]:
    """Return the names of the chapters' rooms: the folders of the package that have exercises."""
    return sorted(path.parent.name for path in Path(ppml_helpers.__file__).parent.glob("*/exercises.py"))


def _chapters() -> dict[str, tuple[str, tuple[Exercise, ...]]]:
    """Return title and exercises of each chapter that has some, in the order of the chapters."""
    return _collected()[0]


def _collected() -> tuple[dict[str, tuple[str, tuple[Exercise, ...]]], list[str]]:
    """Collect the exercises of every room, and a sentence for each room that cannot be loaded, whatever the reason."""
    found: dict[str, tuple[str, tuple[Exercise, ...]]] = {}
    broken = []
    for room in rooms():
        try:
            module = importlib.import_module(f"ppml_helpers.{room}.exercises")
            own = [(exercise.name.split(".")[0], exercise) for exercise in module.EXERCISES]
            titles = module.TITLE if isinstance(module.TITLE, dict) else {chapter: module.TITLE for chapter, _ in own}
            of = {chapter: titles[chapter] for chapter, _ in own}
        except Exception as error:
            said = " ".join(str(error).split())
            broken.append(
                f"The exercises of ppml_helpers.{room} cannot be loaded ({type(error).__name__}: {said}): mend that "
                f"room, or get an intact copy of it."
            )
            continue
        for chapter, exercise in own:
            found[chapter] = (of[chapter], (*found.get(chapter, ("", ()))[1], exercise))
    return dict(sorted(found.items())), broken


def _find(name: str) -> Exercise:
    chapters = _chapters()
    if isinstance(name, float):  # 01.1 without quotes is the number 1.1
        raise ExerciseError(f'There is no exercise {name!r}: write the name in quotes, as in "{name:04.1f}".')
    chapter = str(name).split(".")[0].strip()
    if chapter not in chapters:
        known = f"There is no exercise {name!r}: the chapters with exercises are {', '.join(chapters)}."
        raise ExerciseError(" ".join([known, *_collected()[1]]))
    exercises = {exercise.name: exercise for exercise in chapters[chapter][1]}
    if str(name).strip() not in exercises:
        raise ExerciseError(f"There is no exercise {name!r}: chapter {chapter} has {', '.join(exercises)}.")
    return exercises[str(name).strip()]
