"""Assignments for nbgrader: what its schema asks for, no solution left once it has cleared them, the kit's words."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from ppml_helpers import course, exercises, nbgrader_edition

CHAPTERS = course.chapters()
IMPORT = "from ppml_helpers.exercises import check\n"


read, assignment = cache(course.read), cache(lambda path: nbgrader_edition.assignment(read(path)))


def graded(path: Path) -> list:
    return [cell for cell in assignment(path).cells if "nbgrader" in cell.metadata]


def cleared(source: str) -> str:
    """What nbgrader makes of an answer cell: lines between its marks go."""
    kept, inside = [], False
    for line in source.splitlines():
        if "### BEGIN SOLUTION" in line:
            assert not inside
            inside = True
        elif "### END SOLUTION" in line:
            assert inside
            inside = False
        elif not inside:
            kept.append(line)
    assert not inside
    return "\n".join(kept).strip()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_an_assignment_keeps_the_rules_of_nbgraders_schema(path: Path) -> None:
    """Source: nbgrader's documentation, "contributor guide: metadata", schema 3."""
    notebook, book, cells = read(path), assignment(path), graded(path)
    asked = [cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])]
    names = [re.search(r'check\("([^"]+)"', cell.source)[1].replace(".", "-") for cell in asked]
    ids = [cell.metadata["nbgrader"]["grade_id"] for cell in cells]
    assert ids == [f"{kind}-{name}" for name in names for kind in ("answer", "check")]
    assert all(re.fullmatch(r"[a-zA-Z0-9_\-]+", one) for one in ids)
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    for answer, check in zip(cells[::2], cells[1::2], strict=True):
        about, checked = answer.metadata["nbgrader"], check.metadata["nbgrader"]
        assert about["grade_id"].removeprefix("answer") == checked["grade_id"].removeprefix("check")
        same = {"schema_version": 3, "cell_type": "code", "task": False}
        assert {**about, **same} == about == {**same, "grade_id": answer.id, **_is(False, True, False)}
        assert {**checked, **same} == checked == {**same, "grade_id": check.id, **_is(True, False, True), "points": 1}


def _is(grade: bool, solution: bool, locked: bool) -> dict[str, bool]:
    return {"grade": grade, "solution": solution, "locked": locked}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_cleared_of_solutions_it_is_the_learner_edition_with_the_answers_open(path: Path) -> None:
    book, learner, cells = assignment(path), course.learner_notebook(read(path)), graded(path)
    assert not [cell for cell in book.cells if cell.get("outputs") or cell.get("execution_count")]
    assert not re.search(r"\]\((?!https?:|#)", "".join(cell.source for cell in book.cells if cell.cell_type != "code"))
    ours = [cell for cell in learner.cells if "exercise" in cell.metadata.get("tags", [])]
    for answer, check, exercise in zip(cells[::2], cells[1::2], ours, strict=True):
        compile(answer.source, answer.id, "exec")
        name, asked = re.search(r'check\("([^"]+)", (\w+)\)', exercise.source).groups()
        assert cleared(answer.source) == re.sub(r"\n*check\(.*", "", exercise.source).strip()
        assert f'check("{name}", {asked})' in check.source
        assert asked in _assigned(answer.source.split("### BEGIN SOLUTION")[1])
        with pytest.raises(AssertionError, match="Put your answer in place of the dots"):
            exec(IMPORT + check.source, {asked: ...})


def _assigned(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return functions | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def test_a_check_fails_with_the_sentence_of_the_kit_and_passes_with_the_solution() -> None:
    answer, check = graded(CHAPTERS[0])[2:4]
    exec(IMPORT + answer.source + "\n" + check.source, {})
    with pytest.raises(AssertionError) as raised:
        exec(IMPORT + cleared(answer.source).replace("...", '["age"]') + "\n" + check.source, {})
    assert str(raised.value) == exercises.check("00.2", ["age"]).text


def test_an_earlier_one_is_replaced_and_what_somebody_changed_stays(tmp_path: Path) -> None:
    written = nbgrader_edition.write(tmp_path / "out", ["00", "03b"])
    names = ("00_start_here", "03b_synthetic_tables")
    assert written == ["nbgrader_config.py", *(f"source/{name}/{name}.ipynb" for name in names)]
    (tmp_path / "out" / "gradebook.db").write_text("theirs")
    assert nbgrader_edition.main([str(tmp_path / "out"), "--chapters", "03b"]) == 0
    assert not (tmp_path / "out" / "source" / names[0] / f"{names[0]}.ipynb").exists()
    (tmp_path / "out" / "nbgrader_config.py").write_text("c = 1")
    assert nbgrader_edition.main([str(tmp_path / "out")]) == 2
    assert (tmp_path / "out" / "gradebook.db").read_text() == "theirs"
    assert nbgrader_edition.main([str(tmp_path / "new"), "--chapters", "77"]) == 2


@pytest.mark.skipif(
    not (shutil.which("nbgrader") and shutil.which("alembic")),
    reason="NOT TRIED WITH NBGRADER ITSELF: put an environment with nbgrader 0.9.6 and alembic on PATH",
)
def test_nbgrader_itself_gives_the_marks_and_the_sentences(tmp_path: Path) -> None:
    name, folder = "00_start_here", tmp_path / "course"
    nbgrader_edition.write(folder, ["00"])
    variables = {**os.environ, "PYTHONPATH": str(course.ROOT), "HOME": str(tmp_path)}

    def nbgrader(*words: str) -> None:
        subprocess.run(["nbgrader", *words], cwd=folder, env=variables, check=True, capture_output=True, timeout=1200)

    nbgrader("generate_assignment", name, "--create")
    released = json.loads((folder / "release" / name / f"{name}.ipynb").read_text("utf-8"))
    assert "scoma" not in next(cell["source"] for cell in released["cells"] if cell["id"] == "answer-00-2")
    cheat = {"answer-00-1": "share = 0.9", "check-00-1": "reply = None", "answer-00-2": 'keep = ["alb", "scoma"]'}
    for learner, answers in {"anna": {"answer-00-1": "share = 362 / 596"}, "ben": cheat}.items():
        for cell in released["cells"]:
            cell["source"] = answers.get(cell["id"], cell["source"])
        (folder / "submitted" / learner / name).mkdir(parents=True)
        (folder / "submitted" / learner / name / f"{name}.ipynb").write_text(json.dumps(released), "utf-8")
    for step in (("autograde", name), ("generate_feedback", name), ("export",)):
        nbgrader(*step)
    with (folder / "grades.csv").open() as stream:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(stream)} == {"anna": 1, "ben": 1}
    told = (folder / "feedback" / "ben" / name / f"{name}.html").read_text("utf-8")
    assert exercises.check("00.1", 0.9).text.split(":")[0] in told
