"""Mark returned notebooks: run their code in the sandbox, judge their answers in a process that they cannot touch.

    python -m ppml_helpers.exercises.collect FOLDER [--out TABLE.csv] [--no-isolation]

Each file in the folder is a learner's, or each subfolder, with any number of files. They are opened to be read, of
what they hold only the source of the code cells counts, and each is run in a scratch place of its own, with the
package and the patients to read and nothing else of the course: no solutions, no other learner's file, no network.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import re
import secrets
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ppml_helpers import course
from ppml_helpers.cohort import DATA_FOLDER
from ppml_helpers.errors import ExerciseError, KitError, SandboxError
from ppml_helpers.exercises import _chapters
from ppml_helpers.exercises.judge_process import ASKED, program
from ppml_helpers.files import replacing
from ppml_helpers.sandbox import runner

LIMITS = runner.Limits(seconds=1800, memory=4 * 2**30, disk=256 * 2**20, processes=128)
CELL_SECONDS = float(course.CELL_TIMEOUT)  # for one cell, or the judging of one answer
MOST = 20 * 2**20  # bytes of a returned file
MARKS = {"right": "right", "wrong": "not yet", "open": "open", "look": "to be looked at"}
_MOST_CELLS = 500
_ARCHIVES = (".zip", ".gz", ".tar", ".7z", ".rar")
_NAMED = re.compile(r"""["']\s*(\d\d[a-z]?)\.\d\s*["']""")
_NUMBER = re.compile(r"(\d\d[a-z]?)_")


@dataclass(frozen=True)
class Mark:
    """One row of the table."""

    learner: str
    file: str
    exercise: str
    mark: str
    sentence: str


def marks(
    folder: Path, limits: runner.Limits = LIMITS, cell_seconds: float = CELL_SECONDS, confine: str | None = None
) -> Iterator[Mark]:
    """Give a mark for each exercise of each returned notebook, or one for a file that cannot be used.

    Parameters
    ----------
    folder : Path
        The returned files. Nothing in it is written.
    limits : Limits
        What the code of one notebook may use, all its processes together.
    cell_seconds : float
        How long one cell, or the judging of one answer, may take.
    confine : str, optional
        As of `sandbox.runner.run`.

    Raises
    ------
    ExerciseError
        If nothing that could be marked is in the folder.
    """
    folder = Path(folder).resolve()
    if not (files := list(_files(folder))):
        raise ExerciseError(f"There is no notebook in {folder}: name the folder with the returned .ipynb files.")
    for path in files:
        parts = path.relative_to(folder).parts
        learner, file = (parts[0] if len(parts) > 1 else path.stem), "/".join(parts)
        try:
            cells = _read(path)
            chapter = _chapter(cells, path.name)
        except ExerciseError as error:
            yield Mark(learner, file, "", MARKS["look"], str(error))
            continue
        for exercise, verdict in _judged(chapter, cells, limits, cell_seconds, confine).items():
            yield Mark(learner, file, exercise, MARKS[verdict.mark], verdict.sentence)


def _files(folder: Path) -> Iterator[Path]:
    """Give all notebooks below a folder but the copies that Jupyter keeps, and archives, by name; follow no link."""
    for here, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names) if name.endswith((".ipynb", *_ARCHIVES)))


def _read(path: Path) -> list[str]:
    """Return the source of a returned file's code cells, or say in a sentence why that is nothing to mark."""
    try:
        cells = [cell for cell in json.loads(_bytes(path))["cells"] if cell["cell_type"] == "code"]
        kept = [cell for cell in cells if "solution" not in cell.get("metadata", {}).get("tags", [])]
        sources = ["".join(cell["source"]) for cell in kept]
    except ExerciseError:
        raise
    except OSError as error:
        raise ExerciseError(f"This file cannot be read ({error.strerror}): ask for it again.") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ExerciseError("This is no notebook that Jupyter could open: ask for it again.") from None
    if len(sources) > _MOST_CELLS:
        raise ExerciseError(f"This notebook has {len(sources):,} code cells: no chapter has a tenth of that.")
    return sources


def _bytes(path: Path) -> bytes:
    found = path.lstat()
    if path.suffix in _ARCHIVES:
        raise ExerciseError("This is an archive, and none is opened: unpack it here, or ask for the notebook itself.")
    if not stat.S_ISREG(found.st_mode):
        raise ExerciseError("This is no ordinary file but a link or the like: ask for the notebook itself.")
    if found.st_size > MOST:
        raise ExerciseError(
            f"This file has {found.st_size / 2**20:,.0f} MB, and {MOST / 2**20:.0f} are enough: ask for the notebook "
            f"with its outputs cleared."
        )
    return path.read_bytes()


def _chapter(sources: list[str], name: str) -> str:
    """Say which chapter this is: that of which most exercises are named, else that of the file's name."""
    named = Counter(match for source in sources for match in _NAMED.findall(source))
    first = _NUMBER.search(name)
    for chapter in (*(chapter for chapter, _ in named.most_common()), first[1] if first else ""):
        if chapter in _chapters():
            return chapter
    raise ExerciseError("No exercise of the course is in this notebook, and its name begins with no chapter's number.")


@cache
def _asked_for(chapter: str) -> tuple[dict[str, str], str]:
    """Return what the course's own notebook gives to `check`, ``{"01.1": "advantage", ...}``, and its kernel's name."""
    found, kernel = {}, ""
    for path in course.chapters():
        if not path.name.startswith(f"{chapter}_"):
            continue
        notebook = course.read(path)
        kernel = notebook.metadata["kernelspec"]["name"]
        for cell in notebook.cells:
            for node in ast.walk(ast.parse(cell.source)) if "exercise" in cell.metadata.get("tags", []) else ():
                match node:
                    case ast.Call(func=ast.Name("check"), args=[ast.Constant(str(name)), answer]):
                        found[name] = ast.unparse(answer)
    return found, kernel


# The sandbox


class _Verdict(NamedTuple):
    mark: str
    sentence: str


def _judged(
    chapter: str, cells: list[str], limits: runner.Limits, cell_seconds: float, confine: str | None
) -> dict[str, _Verdict]:
    """Run one notebook's code in the sandbox; give mark and sentence of each exercise of its chapter."""
    exercises = _chapters()[chapter][1]
    variables, kernel = _asked_for(chapter)
    asked = {
        "seconds": cell_seconds,
        "room": ".".join(exercises[0].judge.__module__.split(".")[:2]) + ".exercises",
        "variables": {exercise.name: variables.get(exercise.name, "...") for exercise in exercises},
        "cells": cells,
    }
    found = _told(asked, limits, confine)
    if apart := {name: json.loads(told.sentence) for name, told in found.items() if told.mark == "apart"}:
        asked["variables"] = {name: asked["variables"][name] for name in apart}
        found |= _told({**asked, "cells": [], "apart": apart}, limits, confine)
    if kernel != course.KERNEL["name"]:
        for name, (mark, _) in found.items():
            if mark in ("open", "look"):
                found[name] = _Verdict("look", f"This chapter has a kernel of its own, '{kernel}': run its cell there.")
    return found


def _told(asked: dict[str, Any], limits: runner.Limits, confine: str | None) -> dict[str, _Verdict]:
    """Start the judge in the sandbox; return its verdicts, one for each exercise that it was asked for."""
    key, names = secrets.token_hex(16), list(asked["variables"])
    places = ("PPML_PROGRESS", "PPML_RESULTS", "IPYTHONDIR", "MPLCONFIGDIR")
    variables = {name: f"{{job}}/{name.lower()}" for name in places}
    with tempfile.TemporaryDirectory(prefix="kit-collect-") as place:
        ended = runner.run(
            Path(place),
            program("judge_process"),
            {ASKED: json.dumps({**asked, "key": key}).encode()},
            variables={**variables, "MPLBACKEND": "agg", "PYTHONHASHSEED": "0"},
            limits=limits,
            confine=confine,
            readable=[course.ROOT / "ppml_helpers", DATA_FOLDER],
            loopback=True,
        )
    why = f"it took more {ended.why} than a notebook may" if ended.why else "its code ended the judge"
    found = dict.fromkeys(names, _Verdict("look", f"The notebook was stopped: {why}."))
    for line in ended.logs["stdout"].splitlines():
        try:
            told, exercise, mark, sentence = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        if told == key and exercise in names:
            found[exercise] = _Verdict(mark, sentence)
    return found


# The table


def write(found: Sequence[Mark], out: Path) -> None:
    """Write the table as CSV; what a spreadsheet would take for a formula, or a terminal for a command, is disarmed."""
    with replacing(out) as scratch, scratch.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow([field.name for field in fields(Mark)])
        table.writerows([_harmless(text) for text in astuple(mark)] for mark in found)


def _harmless(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _not_kept(isolated: bool) -> str:
    """Say what this system does not keep from a notebook's code; refuse where that is the lecturer's own files."""
    if sys.platform == "win32":
        raise SandboxError("Windows offers no sandbox that the kit could use: run this on Linux, or in WSL.")
    missing = runner.missing(runner.confinement())
    if "other files can be written" in missing and isolated:
        raise SandboxError(
            "This system does not keep a notebook's code from your own files: use Linux with namespaces or Landlock, a "
            "machine with nothing on it, or say --no-isolation."
        )
    return f"What this system does not keep from a notebook's code: {', '.join(missing)}." if missing else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Mark a folder and write the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="kit.py collect", description="Mark returned notebooks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--no-isolation", action="store_true")
    options = parser.parse_args(arguments)
    folder = options.folder.expanduser().resolve()
    out = (options.out or folder.with_name(f"{folder.name}-marks.csv")).expanduser().resolve()
    try:
        if out.suffix != ".csv" or not out.parent.is_dir():
            raise ExerciseError(f"{out} cannot be the table: name a .csv file in a folder that is there.")
        if not folder.is_dir():
            raise ExerciseError(f"{folder} is no folder: name the one with the returned notebooks.")
        if said := _not_kept(isolated=not options.no_isolation):
            print(said)
        found = list(_shown(marks(folder)))
        write(found, out)
    except (KitError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    learners, right = len({mark.learner for mark in found}), sum(mark.mark == MARKS["right"] for mark in found)
    print(f"{learners} learners, {len(found)} rows, {right} right: {out}")
    return 0


def _shown(found: Iterator[Mark]) -> Iterator[Mark]:
    """Print each mark as it is made."""
    for mark in found:
        print(_harmless(f"{mark.file}  {mark.exercise or '-'}  {mark.mark}"), flush=True)
        yield mark


if __name__ == "__main__":
    raise SystemExit(main())
