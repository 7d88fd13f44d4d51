"""Every chapter is stored clean; and each rule refuses a notebook made to break it."""

from __future__ import annotations

import base64
import importlib
import json
import re
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from samples import code, prose, result, stored, stream, v4

from ppml_helpers import course
from ppml_helpers.exercises import rooms

CHAPTERS = course.chapters()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_stored_clean(path: Path) -> None:
    assert course.problems(path) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_exercises_with_solutions_and_the_learner_edition_has_none(path: Path) -> None:
    notebook = course.read(path)
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    assert set(tags) <= {"exercise", "solution", "raises-exception", "nbval-skip", "nbval-ignore-output"}
    assert 3 <= tags.count("exercise") <= 5
    assert tags.count("exercise") <= tags.count("solution")
    learner = course.learner_notebook(notebook)
    assert not [cell for cell in learner.cells if "solution" in cell.metadata.get("tags", [])]
    assert not [cell for cell in learner.cells if cell.get("outputs")]


def test_every_exercise_is_asked_in_its_chapter_and_checked_beside_the_task_and_the_solution() -> None:
    asked = Counter()
    for path in CHAPTERS:
        source = "\n".join(cell.source for cell in course.read(path).cells)
        names = re.findall(r'\bcheck\("([^"]+)", ', source)
        assert [name for name in names if f"**{name} " not in source] == []
        assert {name.split(".")[0] for name in names} <= {path.stem.split("_")[0]}
        asked.update(names)
    judged = [importlib.import_module(f"ppml_helpers.{room}.exercises").EXERCISES for room in rooms()]
    assert asked == {exercise.name: 2 for exercises in judged for exercise in exercises}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_core_path_fits_one_sitting(path: Path) -> None:
    core = course.core_path(course.read(path))
    assert sum(cell.cell_type == "code" for cell in core) <= 20
    assert sum(len(cell.source.split()) for cell in core if cell.cell_type == "markdown") <= 2000


def test_deeper_sections_and_solutions_are_stored_folded_and_nothing_else(tmp_path: Path) -> None:
    cells = [
        *(prose("# Title", "title"), prose("## Deeper: proof", "proof"), code("1", name="inside", count=1)),
        *(prose("### Its lemma", "lemma"), prose("## Exercises", "back"), code("2", "solution", name="two", count=2)),
        *(prose("### Deeper: more", "more"), prose("### Core again", "core"), code("3", name="three", count=3)),
        *(prose("### Deeper: last", "last"), prose("## End", "end")),
    ]
    cells[0].metadata["jp-MarkdownHeadingCollapsed"] = True  # somebody folded it and saved
    notebook = course.read(stored(tmp_path / "x.ipynb", *cells))
    folded = {cell.id for cell in notebook.cells if cell.metadata.get("jp-MarkdownHeadingCollapsed")}
    hidden = {cell.id: cell.metadata["jupyter"] for cell in notebook.cells if "jupyter" in cell.metadata}
    assert folded == {"proof", "more", "last"}
    assert hidden == {"two": {"source_hidden": True, "outputs_hidden": True}}
    assert [cell.id for cell in course.core_path(notebook)] == ["title", "back", "two", "core", "three", "end"]


def test_there_is_a_course() -> None:
    assert [path.stem for path in CHAPTERS][:1] == ["00_start_here"]


def good(path: Path) -> Path:
    return stored(path, prose("# A title"), code("print(1)", name="print-it", count=1, outputs=[stream("1\n")]))


def test_a_clean_notebook_passes(tmp_path: Path) -> None:
    assert course.problems(good(tmp_path / "good.ipynb")) == []


def tall_png() -> str:
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 100, 5000)).decode()


def error() -> nbformat.NotebookNode:
    return v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])


WIDGET = {course.WIDGET_VIEW: '{"model_id": "1"}', "plain": "IntSlider(value=3)"}
BAD: dict[str, tuple[list, str]] = {
    "no count": ([code("print(1)")], "no execution count"),
    "out of order": ([code("1", count=2)], "not run once each from top to bottom"),
    "run twice": ([code("1", count=1), prose("."), code("2", count=4, name="b")], "not run once each"),
    "error": ([code("1/0", count=1, outputs=[error()])], "stored error (ValueError)"),
    "stderr": ([code("x", count=1, outputs=[stream("careful\n", "stderr")])], "output on stderr (careful)"),
    "path in output": (
        [code("x", count=1, outputs=[stream("saved /home/ada/x.csv\n")])],
        "path of one machine (/home/",
    ),
    "path in result": ([code("x", count=1, outputs=[result(1, plain="'/data/kit/a.csv'")])], "path of one machine"),
    "path in table": (
        [code("x", count=1, outputs=[result(1, plain="", html="<b>/root/x</b>")])],
        "path of one machine",
    ),
    "Windows path": ([code("x", count=1, outputs=[stream("C:\\Users\\ada\n")])], "path of one machine"),
    "path in source": ([code("open('/Users/ada/x.csv')", count=1)], "its source names a path"),
    "path in prose": ([prose("See /home/ada/x.")], "its source names a path"),
    "three in a row": ([code(str(n), name=f"c{n}", count=n) for n in (1, 2, 3)], "third code cell in a row"),
    "long cell": ([code("\n".join("a = 1" for _ in range(16)), count=1)], "16 lines of code"),
    "long solution": ([code("\n".join("a = 1" for _ in range(16)), "solution", count=1)], "16 lines of code"),
    "long output": ([code("x", count=1, outputs=[stream("a\n" * 41)])], "41 lines of output"),
    "long outputs": ([code("x", count=1, outputs=[stream("a\n" * 21), result(1, plain="b\n" * 21)])], "42 lines"),
    "long table": ([code("x", count=1, outputs=[result(1, plain="", html="<tr></tr>" * 19)])], "table of 19 rows"),
    "tall picture": ([code("x", count=1, outputs=[result(1, plain="", png=tall_png())])], "picture of 5000 pixels"),
    "shell": ([code("!ls", count=1)], "the magic !ls"),
    "magic": ([code("%time 1", count=1)], "the magic %time"),
}


@pytest.mark.parametrize(("cells", "word"), BAD.values(), ids=BAD.keys())
def test_a_bad_notebook_is_refused(cells: list, word: str, tmp_path: Path) -> None:
    found = course.problems(stored(tmp_path / "bad.ipynb", *cells))
    assert any(word in problem for problem in found), found


@pytest.mark.parametrize(
    ("cells", "metadata", "word"),
    [
        ([code("w", count=1, outputs=[result(1, **WIDGET)])], {}, "stored widget id"),
        ([prose(".")], {"widgets": {"state": {}}}, "widget state"),
        ([prose(".")], {"kernelspec": {"name": "my-kernel", "display_name": "Mine"}}, "not named python3"),
    ],
    ids=["widget id", "widget state", "own kernel"],
)
def test_a_notebook_with_leftovers_is_refused(cells: list, metadata: dict, word: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.ipynb"
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata.update({"kernelspec": dict(course.KERNEL), "language_info": {"name": "python"}, **metadata})
    path.write_text(json.dumps(notebook))
    found = course.problems(path)
    assert any(word in problem for problem in found), found


def test_a_file_that_the_course_did_not_write_is_refused(tmp_path: Path) -> None:
    path = good(tmp_path / "x.ipynb")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    assert course.problems(path) == ["the file is not as 'kit.py run' writes it: run it once more"]


def fine(*cells: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return list(cells)


@pytest.mark.parametrize(
    "cells",
    [
        fine(code("1/0", "raises-exception", count=1, outputs=[error()])),
        fine(prose("Half and/or 3/4 of https://example.org/a/b/c.html, see `/lab/tree`.")),
        fine(code("%matplotlib inline", count=1)),
        fine(code("x = 7 % 3\nprint('50 %')", count=1)),
        fine(code("", name="empty"), code("1", count=1)),
        fine(code("x", count=1, outputs=[result(1, plain="", html='<img src="data:image/png;base64,/srv/ab/c.d">')])),
    ],
    ids=["expected error", "slashes in prose", "matplotlib", "percent", "empty cell", "picture in HTML"],
)
def test_what_is_allowed_passes(cells: list, tmp_path: Path) -> None:
    assert course.problems(stored(tmp_path / "fine.ipynb", *cells)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{"),
        lambda path: path.write_text('{"cells": 3}'),
        lambda path: path.write_text(path.read_text().replace('"id": "prose"', '"id": "print-it"')),
        lambda path: path.write_text(path.read_text().replace('"id": "prose",', "")),
    ],
    ids=["gone", "no JSON", "no notebook", "the same id twice", "no id"],
)
def test_an_unreadable_notebook_is_one_sentence(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    path = good(tmp_path / "x.ipynb")
    spoil(path)
    with pytest.raises(course.CourseError, match=r"x\.ipynb .*") as raised:
        course.problems(path)
    assert len(str(raised.value).splitlines()) == 1
