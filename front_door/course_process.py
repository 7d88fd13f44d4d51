"""Starting the course's Python, and ending it in order."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from front_door import places
from front_door.environment import Recipe, end_process, ensure


def in_course(
    arguments: list[str], scratch: Path, extra: dict[str, str] | None = None, recipe: Recipe = places.COURSE
) -> int:
    """Run an environment's Python, the course's own by default, so that it repeats itself; return its exit code.

    It shares our terminal; Ctrl-C waits until it has put its things in order. On Linux it is also interrupted when we
    are killed, which leaves us no time to tell it.
    """
    python = ensure(recipe)
    environment = {**places.repeatable_environment(scratch), **(extra or {})}
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    environment["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"  # a letter that the terminal lacks stops nothing
    child = subprocess.Popen(
        [str(python), *arguments], cwd=places.ROOT, env=environment, preexec_fn=told_of_our_end(signal.SIGINT)
    )
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


def told_of_our_end(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child does before it starts, so that the system sends it ``number`` when we are killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: the child of a process with threads should do little
    return lambda: prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG
