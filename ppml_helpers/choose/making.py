"""Make the scoreboard: a row a technique, each kept as soon as it is there, and made anew when its inputs changed.

As a program (``python3 -m ppml_helpers.choose.making FOLDER``) it says a line a row, and ends in order on Ctrl-C: the
next run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd

import ppml_helpers
from ppml_helpers import checks, cohort, outcome
from ppml_helpers.choose import scoreboard
from ppml_helpers.choose.about import ABOUT
from ppml_helpers.choose.ground import Ground, ground
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.choose.techniques import TECHNIQUES, measured_on
from ppml_helpers.cohort import Split
from ppml_helpers.errors import KitError, OutcomeError

COMMITTED = Path(ppml_helpers.__file__).resolve().parents[1] / "data" / "scoreboard"
"""The rows that come with the course."""

Progress = Callable[[float, str], None]

_PACKAGE = Path(ppml_helpers.__file__).parent
_OWN = ("choose/about.py", "choose/ground.py", "choose/scoreboard.py", "choose/techniques.py")
_COMMON = ("membership.py", "accounting.py", "cohort", "people")
_APART = {"explorer.py", "exercises.py", "drawing.py", "bench.py", "worksheet.py"}  # they change no figure


def own_folder() -> Path:
    """Return where rows that are made here are kept: `scoreboard` below the folder of the outcomes."""
    return Path(os.environ.get(outcome.FOLDER_VARIABLE) or outcome.DEFAULT_FOLDER) / "scoreboard"


def make(
    folder: str | Path | None = None,
    split: Split | None = None,
    techniques: Iterable[str] | None = None,
    *,
    fresh: bool = False,
    seed: int = 0,
    progress: Progress = lambda fraction, text: None,
) -> list[Row]:
    """Make the rows that are not there yet, or were made from another table or by other code.

    Parameters
    ----------
    folder : str or Path, optional
        Where rows are kept, one file each; `own_folder` by default.
    split : cohort.Split, optional
        The course's patients by default.
    techniques : iterable of str, optional
        All by default, in the order of the chapters.
    fresh : bool
        Make every row anew.
    seed : int
    progress : callable
        Called as ``progress(fraction, text)`` before each row; it may raise to stop. Rows that are there are kept.

    Returns
    -------
    list of Row
        In the order of `techniques`. A row that could not be measured says why, and is tried anew the next time.

    Raises
    ------
    OutcomeError
        If a technique is unknown, the split is unusable, or the folder cannot be written.
    """
    names = list(TECHNIQUES if techniques is None else techniques)
    for name in names:
        checks.choice(name, "technique", TECHNIQUES, error=OutcomeError)
    target = own_folder() if folder is None else Path(folder)
    progress(0.0, "reading the table")
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0) if split is None else split
    base, kept, rows = ground(split, seed), _usable(target), []
    table = _digest(base)
    for number, name in enumerate(names):
        mark = fingerprint(name, table)
        row = kept.get(name)
        if row is not None and row.fingerprint == mark and not row.missing and not fresh:
            progress((number + 1) / len(names), f"{name}: kept")
        else:
            progress(number / len(names), f"{name} ...")
            row = replace(measured_on(name, base), fingerprint=mark, made=_when())
            scoreboard.save(row, target)
        rows.append(row)
    progress(1.0, f"{len(rows)} rows are in {target}")
    return rows


def _usable(folder: Path) -> dict[str, Row]:
    """Return the rows of a folder by technique; a file that is damaged, or of an older version, is made anew."""
    kept = {}
    for file in sorted(folder.glob("*.json")):
        try:
            row = scoreboard.read(file)
        except OutcomeError:
            continue
        kept[row.technique] = row
    return kept


def _when() -> str:
    return f"{date.today().isoformat()}, {platform.system()}, {os.cpu_count()} cores"


def fingerprint(technique: str, table: str) -> str:
    """Return what a row depends on, in 16 characters: the table, the technique's code, and the pinned packages."""
    digest = hashlib.sha256(f"{technique}\n{table}\n".encode())
    for file in _code(technique):
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


def _code(technique: str) -> list[Path]:
    """Return the files that make a row, in an order that is the same everywhere."""
    places = [*_OWN, *_COMMON, *ABOUT[technique].rooms]
    files = [_PACKAGE / place for place in places]
    found = [path for file in files for path in ([file] if file.suffix else sorted(file.rglob("*.py")))]
    lock = COMMITTED.parents[1] / "requirements.lock"
    return [path for path in found if path.name not in _APART] + ([lock] if lock.exists() else [])


def _digest(base: Ground) -> str:
    """Return a hash of the table, its split and the seed."""
    digest = hashlib.sha256(json.dumps([base.seed, list(map(str, base.split.X_train.columns))]).encode())
    for part in base.split:
        digest.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
    return digest.hexdigest()


# As a program ----------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Make the rows and say how far it is, a line a row: the fraction, the seconds, the text."""
    parser = argparse.ArgumentParser(prog="scoreboard")
    parser.add_argument("folder")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args(arguments)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    began = time.monotonic()

    def say(fraction: float, text: str) -> None:
        print(f"{100 * fraction:3.0f} %  {time.monotonic() - began:4.0f} s  {text}", flush=True)

    try:
        rows = make(options.folder, fresh=options.fresh, progress=say)
    except KeyboardInterrupt:
        print("Stopped. The rows that are there are kept: start it again to go on.", flush=True)
        return 130
    except KitError as error:
        print(error, flush=True)
        return 1
    for row in rows:
        if row.missing:
            print(f"{row.technique}: {row.missing}", flush=True)
    return 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
