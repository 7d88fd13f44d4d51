"""Starting the course's Python, and ending it in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from front_door import places
from front_door.environment import Recipe, end_process, ensure


def in_course(
    arguments: list[str], scratch: Path, extra: dict[str, str] | None = None, recipe: Recipe = places.COURSE
) -> int:
    """Run an environment's Python, the course's own by default, so that it repeats itself; return its exit code.

    It shares our terminal; Ctrl-C waits until it has put its things in order.
    """
    python = ensure(recipe)
    environment = {**places.repeatable_environment(scratch), **(extra or {})}
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    environment["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"  # a letter that the terminal lacks stops nothing
    child = subprocess.Popen([str(python), *arguments], cwd=places.ROOT, env=environment)
    try:
        return child.wait()
    except KeyboardInterrupt:
        # The terminal has told the child as well; a child told by nobody is told by end_process.
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            end_process(child)
        raise
    finally:
        end_process(child)
