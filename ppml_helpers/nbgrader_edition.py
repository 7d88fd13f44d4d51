"""Write chapters as assignments for nbgrader: answer and check in cells of their own, the solution between marks.

    python -m ppml_helpers.nbgrader_edition FOLDER [--chapters 00,05]

The folder is a course of nbgrader's, with its settings and ``source/``. ``nbgrader generate_assignment NAME`` takes
the solutions out, and ``nbgrader autograde NAME`` runs what was handed in: a check that fails does so with the sentence
of the kit's judge, which nbgrader shows to the teacher and in the feedback. The kit needs no nbgrader for this.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ppml_helpers import course
from ppml_helpers.errors import CourseError

SETTINGS = f'''"""Settings of nbgrader for the course: written by 'kit.py learner --nbgrader'."""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "privacy"
c.ClearSolutions.code_stub = {{"python": "# Your answer comes in place of the dots."}}
c.Execute.timeout = {course.CELL_TIMEOUT}
c.ExecutePreprocessor.timeout = {course.CELL_TIMEOUT}
'''
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#|mailto:)[^)\s]+\)")


def assignment(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without outputs, with an answer cell and a check cell in place of each exercise and its solution.

    Links to other files of the course become plain words: an assignment's folder has none of them.
    """
    bare = course.normalise(course.without_outputs(notebook))
    solutions = {_asked(cell)[0]: cell for cell in bare.cells if "solution" in cell.metadata.get("tags", [])}
    cells = []
    for cell in bare.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            cells += _pair(cell, solutions[_asked(cell)[0]])
        elif "solution" not in tags:
            if cell.cell_type == "markdown":
                cell.source = _LINK.sub(r"\1", cell.source)
            cells.append(cell)
    bare.cells = cells
    return bare


def _asked(cell: NotebookNode) -> tuple[str, str, str]:
    """Return the name of a cell's exercise, the answer as it is given to `check`, and the cell without that call."""
    for node in ast.parse(cell.source).body:
        match node:
            case ast.Expr(ast.Call(func=ast.Name("check"), args=[ast.Constant(str(name)), answer])):
                lines = cell.source.splitlines()
                del lines[node.lineno - 1 : node.end_lineno]
                return name, ast.unparse(answer), "\n".join(lines).strip()
    raise CourseError(f'The cell {cell.id} gives no answer to check("...", ...): a cell of an exercise ends with that.')


def _pair(exercise: NotebookNode, solution: NotebookNode) -> Iterator[NotebookNode]:
    """Give the cell in which a learner answers, and the one that checks."""
    name, asked, given = _asked(exercise)
    _, found, solved = _asked(solution)
    renamed = "" if found == asked else f"\n{asked} = {found}"
    source = f"{given}\n\n### BEGIN SOLUTION\n{solved}{renamed}\n### END SOLUTION"
    yield _cell(exercise, f"answer-{name}", source, solution=True)
    # Printed, not shown: what a cell shows nbgrader takes for points.
    check = f'reply = check("{name}", {asked})\nassert reply.right, reply.text\nprint(reply)'
    yield _cell(exercise, f"check-{name}", check, grade=True, points=1)


def _cell(like: NotebookNode, name: str, source: str, **graded: Any) -> NotebookNode:
    """Make a code cell with nbgrader's metadata (schema 3)."""
    name = name.replace(".", "-")
    cell = nbformat.from_dict({**like, "id": name, "source": source, "metadata": {}})
    cell.metadata["nbgrader"] = nbformat.from_dict(
        {
            "schema_version": 3,
            "cell_type": "code",
            "grade_id": name,
            "grade": False,
            "solution": False,
            "task": False,
            "locked": "points" in graded,
            **graded,
        }
    )
    return cell


def write(out: Path, only: Sequence[str] = (), root: Path = course.ROOT) -> list[str]:
    """Write the assignments into a new folder, or that of an earlier edition in which nobody has worked.

    Parameters
    ----------
    out : Path
        Where nbgrader works: its settings and ``source/NN_name/NN_name.ipynb``.
    only : sequence of str
        Numbers of chapters, such as "05" or "02b"; without any, all.
    root : Path
        The kit.

    Returns
    -------
    list of str
        The files, relative to `out`.

    Raises
    ------
    CourseError
        If a number is no chapter's, or something in `out` would be lost.
    """
    there = course.chapters(root / "notebooks")
    left_out = course.left_out(there, only, always=())
    content = {"nbgrader_config.py": SETTINGS.encode()}
    for path in there:
        if f"notebooks/{path.name}" not in left_out:
            text = course.to_text(assignment(course.read(path)))
            content[f"source/{path.stem}/{path.name}"] = text.encode("utf-8")
    course.write_edition(content, out, root)
    return sorted(content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the assignments and return the exit status."""
    parser = argparse.ArgumentParser(prog="kit.py learner --nbgrader", description="Write assignments for nbgrader.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--chapters", default="", help="numbers, separated by commas")
    options = parser.parse_args(arguments)
    try:
        files = write(options.out, [number for number in options.chapters.replace(" ", "").split(",") if number])
    except CourseError as error:
        print(error, flush=True)
        return 2
    print(f"{len(files) - 1} assignments are in {options.out}. Go on there: nbgrader generate_assignment NAME")
    return 0


if __name__ == "__main__":
    sys.exit(main())
