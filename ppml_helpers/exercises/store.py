"""The learner's progress: which exercises are done and how many hints were read, in one JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from ppml_helpers.files import replacing

FILE_NAME = "progress.json"
_WAIT = 5.0  # seconds for another notebook to finish its write


@dataclass(frozen=True)
class Saved:
    """What the file remembers, and a sentence if something about the file needs saying."""

    done: frozenset[str] = frozenset()
    hints: dict[str, int] = field(default_factory=dict)
    remark: str = ""


def folder() -> Path:
    """Where progress is kept: ``PPML_PROGRESS`` if set (read at each call), else ``.progress`` of the kit."""
    chosen = os.environ.get("PPML_PROGRESS")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[2] / ".progress"


def read() -> Saved:
    """Read the progress; a missing file is an empty one, a damaged one is set aside and said so."""
    path = folder() / FILE_NAME
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Saved()
    except OSError as error:
        return Saved(remark=f"Your progress in {path} could not be read ({error.strerror}): it counts as empty.")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Saved(remark=_set_aside(path))


def change(edit: Callable[[Saved], Saved]) -> Saved:
    """Apply `edit` to what is saved, one process at a time; a folder that refuses is a remark, not an error."""
    path = folder() / FILE_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_WAIT):
            before = read()
            after = edit(before)
            if (after.done, after.hints) != (before.done, before.hints):
                _write(path, after)
            return after
    except Timeout:
        reason = "another program holds it"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    return replace(edit(read()), remark=f"Your progress could not be saved in {path.parent} ({reason}).")


def _parse(text: str) -> Saved:
    content = json.loads(text)
    done, hints = content["done"], content["hints"]
    if not isinstance(done, list) or not all(isinstance(name, str) for name in done):
        raise ValueError("done is no list of names")
    if not all(isinstance(count, int) and count >= 0 for count in hints.values()):
        raise ValueError("hints are no counts")
    return Saved(frozenset(done), dict(hints))


def _write(path: Path, saved: Saved) -> None:
    """Write beside the file, then rename: a reader sees the old file or the new one, never half."""
    text = json.dumps({"done": sorted(saved.done), "hints": dict(sorted(saved.hints.items()))}, indent=1) + "\n"
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def _set_aside(path: Path) -> str:
    """Rename a damaged file to the first free name, so that nothing is lost."""
    number = 1
    while (aside := path.with_name(f"{FILE_NAME}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError:
        return f"Your progress file {path} is damaged and could not be set aside: it counts as empty."
    return f"Your progress file was damaged: it is set aside as {aside.name}, and counting starts afresh."
