"""The canary's report: which cell is the first to differ, and what is never taken for "prints what is stored"."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from samples import code, prose, result, stored, stream

from front_door import canary, checks, environment, places
from front_door.terminal import Stop

DIFFERS = """Notebook cell execution failed
Cell 1: Cell outputs differ

Input:
print("AUC", auc)

Traceback:
#x1B[34m mismatch 'stdout'#x1B[91m

 assert reference_output == test_output failed:

  'rows 9\\nAUC 0.81\\n' == 'rows 9\\nAUC 0.79\\n'
\x20\x20
    rows 9
  - AUC 0.79
  ?       ^^
  + AUC 0.81
  ?       ^^
"""
RAISES = f"""Cell 1: Cell execution caused an exception

Traceback:
#x1B[31mFileNotFoundError#x1B[39m: [Errno 2] No such file or directory: '{Path.home()}/x.csv'
"""
TIMED_OUT = "Cell 1: Timeout of 300 seconds exceeded while executing cell.\n\nInput:\nx\n"
MISSING = "Cell 1: Cell outputs differ\n\nTraceback:\nMissing output fields from running code: {'text/html'}\n"


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = (code(str(n), name=f"cell-{n}", count=n + 1) for n in range(3))
    first, second, third = cells
    return stored(tmp_path / "05_x.ipynb", prose("# T"), first, prose("a", "a"), second, prose("b", "b"), third)


def report(folder: Path, *cases: str, name: str = "notebooks.05_x.ipynb") -> Path:
    rows = "".join(
        f'<testcase classname="{name}" name="Cell {n}" time="1">{case}</testcase>' for n, case in enumerate(cases)
    )
    (folder / "r.xml").write_text(f"<testsuites><testsuite>{rows}</testsuite></testsuites>", "utf-8")
    return folder / "r.xml"


def failed(text: str) -> str:
    return f"<failure>{escape(text)}</failure>"


@pytest.mark.parametrize(
    ("cases", "number", "differ", "what", "lines"),
    [
        (("", failed(DIFFERS), failed(DIFFERS)), 2, 2, "Cell outputs differ", ("AUC 0.81", "AUC 0.79")),
        (("", "", failed(MISSING)), 3, 1, "Missing output fields from running code: {'text/html'}", ("", "")),
        ((failed(RAISES), "", ""), 1, 1, "Cell execution caused an exception", ("", "FileNotFoundError: ")),
        (
            ("", failed(TIMED_OUT), '<skipped type="pytest.xfail" message="timed out"/>'),
            2,
            2,
            "Timeout of 300",
            ("", ""),
        ),
        (("", "<error>no kernel named x</error>", ""), 2, 1, "no kernel named x", ("", "")),
        (("", ""), 3, 1, "it did not run", ("", "")),
        ((), 1, 3, "it did not run", ("", "")),
    ],
    ids=["differs", "missing", "raises", "time-out", "error", "cut short", "nothing"],
)
def test_the_first_cell_that_differs_is_named(
    tmp_path: Path, notebook: Path, cases: tuple, number: int, differ: int, what: str, lines: tuple[str, str]
) -> None:
    [found] = canary.compared(report(tmp_path, *cases), [notebook])
    first = found["first"]
    assert (found["chapter"], found["cells"], found["differ"]) == ("05_x", 3, differ)
    assert (first["number"], first["cell"]) == (number, f"cell-{number - 1}")
    assert first["what"].startswith(what)
    assert first["stored"] == lines[0]
    assert first["now"].startswith(lines[1])
    assert str(Path.home()) not in json.dumps(found)


@pytest.mark.parametrize("case", ["", '<skipped type="pytest.skip" message="nbval-skip"/>'])
def test_a_chapter_that_prints_what_is_stored_has_no_such_cell(tmp_path: Path, notebook: Path, case: str) -> None:
    [found] = canary.compared(report(tmp_path, case, case, case), [notebook])
    assert (found["first"], found["differ"]) == (None, 0)


@pytest.mark.parametrize(("case", "differ"), [(DIFFERS, 0), (RAISES, 1)])
def test_the_cell_that_compares_versions_with_the_lock_may_say_so(tmp_path: Path, case: str, differ: int) -> None:
    path = stored(tmp_path / "05_x.ipynb", prose("# T"), code("check_setup()", name="set-up", count=1))
    [found] = canary.compared(report(tmp_path, failed(case)), [path])
    assert found["differ"] == differ


@pytest.mark.parametrize("spoil", ["gone", "half", "another chapter's"])
def test_a_report_that_says_nothing_of_a_chapter_is_no_praise(tmp_path: Path, notebook: Path, spoil: str) -> None:
    path = report(tmp_path, "", "", "", name="notebooks.15_05_x.ipynb" if spoil.startswith("another") else "05_x.ipynb")
    if spoil == "gone":
        path.unlink()
    elif spoil == "half":
        path.write_bytes(path.read_bytes()[:-20])
    [found] = canary.compared(path, [notebook])
    assert found["differ"] == 3


def test_versions_are_compared_by_name_whatever_its_spelling_and_build() -> None:
    pinned = {"Jinja2": "3.1.6", "ruamel.yaml": "1.0", "torch": "2.13.0", "gone": "1"}
    installed = {
        "jinja2": "3.1.7",
        "ruamel_yaml": "1.0",
        "torch": "2.13.0+cpu",
        "new": "2",
        "pip": "9",
        "ppml-helpers": "0",
    }
    told = [(one["name"], one["lock"], one["newest"]) for one in canary.changed(pinned, installed)]
    assert told == [("gone", "1", ""), ("jinja2", "3.1.6", "3.1.7"), ("new", "", "2")]


def test_a_pin_of_another_system_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("numpy==1.0\nappnope==1.0 ; sys_platform == 'darwin'\n")
    (tmp_path / "requirements-optional.lock").write_text("onnx==1.0  # without it; nothing\n")
    assert canary._pinned({}, tmp_path) == {"numpy": "1.0", "onnx": "1.0"}
    assert canary._pinned({"AppNope": "2"}, tmp_path)["appnope"] == "1.0", "where it is there, it is compared"


def test_nbval_itself_is_understood(tmp_path: Path) -> None:
    """A real run: a cell whose 40 lines differ in the last, after one that is right; and a report without a time."""
    text = "".join(f"line {n}\n" for n in range(40))
    cells = [
        code("print(1)", name="right", count=1, outputs=[stream("1\n")]),
        code("for n in range(40):\n    print('line', n)", name="wrong", count=2, outputs=[stream(text[:-3] + "x|y\n")]),
        code("8", name="also-wrong", count=3, outputs=[result(3, plain="7")]),
    ]
    path = stored(tmp_path / "05_x.ipynb", *cells)
    stage = checks.Stage("x", tuple(word for word in checks.chapters_stage([path]).arguments if "loadfile" not in word))
    command = canary.checked(stage, tmp_path / "r.xml")
    subprocess.run([sys.executable, *command, "--numprocesses=0"], cwd=places.ROOT, env=os.environ, capture_output=True)
    [found] = canary.compared(tmp_path / "r.xml", [path])
    assert (found["differ"], found["first"]["cell"]) == (2, "wrong")
    assert (found["first"]["stored"], found["first"]["now"]) == ("line x|y", "line 39")
    page = canary.markdown({"python": "3.11.7", "system": "Linux", "install": "", "packages": [], "chapters": [found]})
    assert "| 05_x | wrong (code cell 2) | Cell outputs differ | line x\\|y | line 39 | 2 of 3 |" in page


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let the command find an environment that is made in no time, and write to a folder of the test's own."""
    old = tmp_path / "newest" / "old-version"
    old.mkdir(parents=True)
    recipe = environment.Recipe("the newest versions", old.parent, tmp_path / ".kit", ("tiny",))
    monkeypatch.setattr(canary, "recipe", lambda: recipe)
    monkeypatch.setattr(canary, "ensure", lambda recipe: recipe.folder.mkdir())
    monkeypatch.setattr(canary, "_installed", lambda recipe: {"torch": "2.13.0"})
    yield tmp_path / "out"
    assert not old.exists(), "pip keeps what it finds: it would not be the newest"


@pytest.mark.parametrize("differ", [0, 1])
def test_the_report_is_written_and_the_exit_code_says_what_it_says(
    command: Path, monkeypatch: pytest.MonkeyPatch, differ: int
) -> None:
    shown = {"cell": "c", "number": 1, "what": "w", "stored": "s", "now": "n"}
    chapter = {"chapter": "05_x", "cells": 3, "differ": differ, "first": shown if differ else None}
    monkeypatch.setattr(canary, "_run", lambda recipe, notebooks: [chapter])
    assert canary.canary(str(command)) == differ
    told = json.loads((command / "canary.json").read_text("utf-8"))
    assert told["chapters"] == [chapter]
    assert {"name": "numpy", "lock": canary._pinned({})["numpy"], "newest": ""} in told["packages"]
    assert f"{1 - differ} of 1 chapters print what is stored" in (command / "canary.md").read_text("utf-8")


def test_versions_that_cannot_be_installed_together_are_a_report_too(
    command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ensure(recipe: environment.Recipe) -> None:
        raise Stop("lines\nThe set-up stopped, since pip says 'ResolutionImpossible'", code=1)

    monkeypatch.setattr(canary, "ensure", ensure)
    assert canary.canary(str(command)) == 1
    assert "cannot be installed: The set-up stopped, since pip" in (command / "canary.md").read_text("utf-8")


def test_the_learner_edition_has_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "TESTS", tmp_path / "tests")
    monkeypatch.setattr(canary, "ensure", lambda recipe: pytest.fail("installed for nothing"))
    with pytest.raises(Stop, match="This is the learner edition"):
        canary.canary(str(tmp_path / "out"))


def test_what_is_asked_for_is_the_list_of_names_with_its_bounds_and_the_projects_own_torch() -> None:
    pins = canary.recipe().pins()
    assert {"torch==2.13.0", "pandas", "jsonschema==4.24.1"} <= set(pins)
