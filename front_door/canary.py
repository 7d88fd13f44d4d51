"""``kit.py canary``: the course with the newest versions that its bounds allow, and where it stops being true.

A new environment is made from ``requirements.in``, every chapter is executed in it, and each cell's output is compared
with the stored one. The report says which cell is the first to differ in each notebook, and which versions differ from
the lock. No time stands in it, so that two weeks can be compared.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from front_door import licences, places, surroundings, tfe
from front_door.checks import TESTS, Stage, chapters_stage, pytest_arguments
from front_door.course_process import in_course
from front_door.environment import Recipe, ensure, python_of
from front_door.personal import anonymous, words_here
from front_door.terminal import Stop, say

LONGEST = 120  # characters of an output that the report repeats
_COMPARES_VERSIONS = "check_setup()"  # what this prints of newer versions is right to differ
_COLOUR = re.compile(r"(?:\x1b|#x1B)\[[0-9;]*m")
_INSTALLED = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"


def recipe(root: Path = places.ROOT) -> Recipe:
    """Return what the environment with the newest versions must hold: names and bounds, not the lock."""
    return replace(
        places.recipe_of(root),
        name="the newest versions",
        folder=root / ".venvs" / "newest",
        requirements=root / "requirements.in",
    )


def canary(out: str) -> int:
    """Install the newest versions, run the chapters, write the report, and return 1 if anything differs."""
    if not TESTS.is_dir():
        raise Stop("This is the learner edition: it has no outputs to compare with. They are in the full kit.")
    folder = Path(out).expanduser().resolve() if out else places.STATE / "canary"
    told: dict[str, Any] = {"python": platform.python_version(), "system": platform.system()}
    newest = recipe()
    shutil.rmtree(newest.folder, ignore_errors=True)  # pip keeps what is there, and newest it would not be
    try:
        ensure(newest)
    except Stop as stop:
        told |= {"install": _plain(str(stop).splitlines()[-1]), "packages": [], "chapters": []}
    else:
        notebooks = [path for path in places.chapters() if not tfe.needs_it(path)]
        installed = _installed(newest)
        told |= {"install": "", "packages": changed(_pinned(installed), installed)}
        told["chapters"] = _run(newest, notebooks)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "canary.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / "canary.md").write_text(markdown(told), "utf-8")
    say(f"\n{markdown(told)}\nWritten to {folder}: canary.md, canary.json.")
    return int(bool(told["install"]) or any(chapter["first"] for chapter in told["chapters"]))


# ---------------------------------------------------------------------------------------------------- versions


def _pinned(installed: dict[str, str], root: Path = places.ROOT) -> dict[str, str]:
    """Return the pins that this system should have: one with a marker may be missing here, and rightly."""
    there = set(map(licences.canonical, installed))
    pins: dict[str, str] = {}
    for file in ("requirements.lock", "requirements-optional.lock"):
        for line in (root / file).read_text("utf-8").splitlines():
            for name, version in licences.PIN.findall(line):
                if ";" not in line.partition("#")[0] or licences.canonical(name) in there:
                    pins[name] = version
    return pins


def _installed(newest: Recipe) -> dict[str, str]:
    command = [str(python_of(newest.folder)), "-I", "-c", _INSTALLED]
    return json.loads(subprocess.run(command, env=surroundings.own(), capture_output=True, check=True).stdout)


def changed(pinned: dict[str, str], installed: dict[str, str]) -> list[dict[str, str]]:
    """Return the packages whose installed version is not the pinned one, by name; "" stands for none."""
    before, now = (
        {licences.canonical(name): version for name, version in part.items()} for part in (pinned, installed)
    )
    ours = {"pip", "ppml-helpers"}
    return [
        {"name": name, "lock": before.get(name, ""), "newest": now.get(name, "")}
        for name in sorted((before.keys() | now.keys()) - ours)
        if before.get(name, "") != now.get(name, "").partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0
    ]


# ---------------------------------------------------------------------------------------------------- chapters


def _run(newest: Recipe, notebooks: Sequence[Path]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="kit-canary-") as scratch:
        report = Path(scratch) / "report.xml"
        in_course(checked(chapters_stage(list(notebooks)), report), Path(scratch), recipe=newest)
        return compared(report, notebooks)


def checked(stage: Stage, report: Path) -> list[str]:
    """Return pytest's arguments for a report that tells the whole of a difference: its first line is what is wanted."""
    return pytest_arguments(stage, report, ("-o", "verbosity_assertions=2", "--color=no"))


def compared(report: Path, notebooks: Sequence[Path]) -> list[dict[str, Any]]:
    """Return for each notebook how many cells it has, how many differ, and the first of them.

    Parameters
    ----------
    report
        What pytest wrote as JUnit XML, with nbval's cases. What is not in it did not run, and counts as differing.
    notebooks
        The notebooks that were asked for.
    """
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError):  # pytest did not get as far as writing one
        cases = []
    words = words_here()
    return [_chapter(path, cases, words) for path in notebooks]


def _chapter(path: Path, cases: list[ElementTree.Element], words: dict[str, str]) -> dict[str, Any]:
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    found = {case.get("name"): case for case in cases if f".{case.get('classname')}".endswith(f".{path.name}")}
    first: dict[str, Any] = {}
    differ = 0
    for number, cell in enumerate(cells):
        wrong = _wrong(found.get(f"Cell {number}"))
        if wrong and not (_COMPARES_VERSIONS in "".join(cell["source"]) and "Cell outputs differ" in wrong):
            differ += 1
            first = first or {"cell": cell["id"], "number": number + 1, **_shown(wrong, words)}
    return {"chapter": path.stem, "cells": len(cells), "differ": differ, "first": first or None}


def _wrong(case: ElementTree.Element | None) -> str:
    """Return what pytest says of a cell that failed, or did not run, and "" of one that prints what is stored."""
    if case is None:
        return "Cell 0: it did not run"
    for kind in ("failure", "error", "skipped"):
        if (told := case.find(kind)) is not None:
            wanted = kind == "skipped" and told.get("type") == "pytest.skip"  # a cell that says so in the notebook
            return "" if wanted else (told.text or told.get("message") or f"Cell 0: {kind}")
    return ""


def _shown(text: str, words: dict[str, str]) -> dict[str, str]:
    """Return what happened in a cell, and the first line of the output that differs, as stored and as it is now."""
    text = _COLOUR.sub("", text)
    what = re.search(r"^Cell \d+: (.+)$", text, re.MULTILINE)
    _, _, trace = text.partition("\nTraceback:\n")
    lines = [line for line in trace.splitlines() if line.strip()]
    shown = {"what": what[1] if what else text.strip().splitlines()[-1], "stored": "", "now": ""}
    if "exception" in shown["what"] and lines:
        shown["now"] = lines[-1]
    elif re.match(r"(?:Missing|Unexpected) output", lines[0] if lines else ""):
        shown["what"] = lines[0]
    else:
        for mark, name in (("  + ", "stored"), ("  - ", "now")):
            shown[name] = next((line[len(mark) :] for line in lines if line.startswith(mark)), "")
    return {name: _plain(value, words) for name, value in shown.items()}


def _plain(text: str, words: dict[str, str] | None = None) -> str:
    """Return a line that names no folder of this machine, no longer than is read."""
    text = anonymous(text.strip(), words_here() if words is None else words)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


# ------------------------------------------------------------------------------------------------------ report


def markdown(told: dict[str, Any]) -> str:
    """Return the report as a page."""
    head = f"# The course with the newest versions\n\nPython {told['python']} on {told['system']}.\n\n"
    if told["install"]:
        return f"{head}The newest versions cannot be installed: {told['install']}\n"
    wrong = [chapter for chapter in told["chapters"] if chapter["first"]]
    same = len(told["chapters"]) - len(wrong)
    parts = [f"{head}{same} of {len(told['chapters'])} chapters print what is stored.\n"]
    if wrong:
        rows = [_row(chapter) for chapter in wrong]
        parts.append(_table(("chapter", "first cell to differ", "what", "stored", "now", "cells that differ"), rows))
    if told["packages"]:
        parts.append(f"{len(told['packages'])} packages differ from the lock.\n")
        rows = [[one["name"], one["lock"] or "none", one["newest"] or "none"] for one in told["packages"]]
        parts.append(_table(("package", "lock", "newest"), rows))
    else:
        parts.append("Every package has the version of the lock.\n")
    return "\n".join(parts)


def _row(chapter: dict[str, Any]) -> list[str]:
    first = chapter["first"]
    cell = f"{first['cell']} (code cell {first['number']})"
    count = f"{chapter['differ']} of {chapter['cells']}"
    return [chapter["chapter"], cell, *(first[name] for name in ("what", "stored", "now")), count]


def _table(head: Sequence[str], rows: list[list[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    escaped = ([re.sub(r"([|`<\\])", r"\\\1", value) for value in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)
