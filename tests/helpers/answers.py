"""What the tests of every chapter's exercises share: what an answer is told, and the cells of the notebook."""

from __future__ import annotations

from nbformat import NotebookNode

from ppml_helpers import course
from ppml_helpers.exercises import check


def reply(name: str, answer: object) -> str:
    """Judge an answer without counting it as anybody's work; wrong ones give their sentence, right ones nothing."""
    verdict = check(name, answer, record=False)
    return "" if verdict.right else verdict.text


def cells(chapter: str) -> dict[str, NotebookNode]:
    """Return the cells of a stored chapter by their ids."""
    [path] = [path for path in course.chapters() if path.stem == chapter]
    return {cell.id: cell for cell in course.read(path).cells}
