"""A learner's folder, outside the course, and a chapter that is run there up to its first exercise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from lab import lend_environment

from ppml_helpers import course


def write_edition(folder: Path) -> Path:
    """Write the learner edition into a new folder and lend it the environment that runs the tests."""
    course.write_learner_edition(folder)
    return lend_environment(folder)


def before_the_first_exercise(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return the code cells of a notebook that stand before its first exercise."""
    first = next(at for at, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", []))
    return [cell for cell in cells[:first] if cell.cell_type == "code"]


def run_to_the_first_exercise(edition: Path, name: str, home: Path) -> None:
    """Run what stands before the first exercise with the edition's own kit.py, and see whose helpers it used."""
    path = edition / "notebooks" / name
    notebook = course.read(path)
    whose = nbformat.v4.new_code_cell("import ppml_helpers\n\nprint(ppml_helpers.__file__)", id="whose")
    notebook.cells = [*before_the_first_exercise(notebook.cells), whose]
    course.write(notebook, path)
    command = [sys.executable, str(edition / "kit.py"), "run", path.stem]
    variables = {**os.environ, "PPML_PROGRESS": str(home / "progress"), "PPML_RESULTS": str(home / "results")}
    ran = subprocess.run(command, cwd=home, env=variables, capture_output=True, text=True, timeout=3000)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    cells = course.read(path).cells
    assert [cell.execution_count for cell in cells if cell.source.strip()] == list(range(1, len(cells) + 1))
    assert cells[-1].outputs[0].text.strip() == str(edition / "ppml_helpers" / "__init__.py")
