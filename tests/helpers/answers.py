"""What the tests of every chapter's exercises share: what an answer is told, and the cells of the notebook.

It is a plugin of pytest, too: whoever runs all tests of exercises learns whether each exercise was tried with enough
right and wrong answers, and a run in which one was not fails.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from nbformat import NotebookNode

from ppml_helpers import course
from ppml_helpers.exercises import _chapters, check

FEWEST = {"right": 2, "wrong": 5}
TESTS = Path(__file__).resolve().parents[1]
FILES = {path.relative_to(TESTS.parent).as_posix() for path in TESTS.glob("*/test_*exercises.py")}
_heard: list[tuple[str, str]] = []  # exercise and verdict, since the last test of this process
_told: Counter[tuple[str, str]] = Counter()  # of all tests, in the process that reports
_ran: set[str] = set()


def reply(name: str, answer: object) -> str:
    """Judge an answer without counting it as anybody's work; wrong ones give their sentence, right ones nothing."""
    verdict = check(name, answer, record=False)
    _heard.append((name, verdict.kind))
    return "" if verdict.right else verdict.text


def cells(chapter: str) -> dict[str, NotebookNode]:
    """Return the cells of a stored chapter by their ids."""
    [path] = [path for path in course.chapters() if path.stem == chapter]
    return {cell.id: cell for cell in course.read(path).cells}


def too_few(told: Counter[tuple[str, str]]) -> list[str]:
    """Say which exercises were tried with too few right or wrong answers."""
    names = [exercise.name for _, exercises in _chapters().values() for exercise in exercises]
    return [
        f"{name}: {told[name, kind]} {kind} answers, and {fewest} are wanted"
        for name in names
        for kind, fewest in FEWEST.items()
        if told[name, kind] < fewest
    ]


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Send what a test heard to the process that reports."""
    item.user_properties.append(("answers", _heard[:]))
    _heard.clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gather what the tests heard."""
    if report.when == "teardown":
        _ran.add(report.nodeid.partition("::")[0])
        for _, heard in (one for one in report.user_properties if one[0] == "answers"):
            _told.update(map(tuple, heard))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of all tests of exercises in which one exercise was hardly tried."""
    whole = _ran >= FILES and not session.config.option.keyword and not hasattr(session.config, "workerinput")
    if whole and (found := too_few(_told)):
        print("\n" + "\n".join(found))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
