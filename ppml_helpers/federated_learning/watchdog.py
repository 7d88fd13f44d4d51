"""End a deployment's processes and remove its keys when the program that started them is gone.

A kernel that is killed cannot clean up after itself. So `process_group` starts this module first, as a process and a
session of its own: it waits until its parent is gone however that came about, and does what is left to do.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import time

import psutil

from ppml_helpers.processes import alive, end_all, running

MARK = "PPML_DEPLOYMENT"  # environment variable that a deployment's processes inherit, children of children too
PATIENCE = 5.0  # seconds in which a process may end by itself
_PAUSE = 0.5  # seconds between two looks at the parent


def marked(mark: str) -> list[psutil.Process]:
    """List the living processes of one deployment."""
    return running(lambda environment: environment.get(MARK) == mark)


def end_marked(mark: str, patience: float = PATIENCE) -> list[psutil.Process]:
    """End every process of one deployment; return those that could not be ended."""
    return end_all(lambda environment: environment.get(MARK) == mark, patience)


def main(parent: int, started: float, mark: str, folder: str) -> None:
    """Wait for the end of the process `parent` that began at `started`, then clean up behind it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(parent)
        while process.create_time() == started and alive(process):
            time.sleep(_PAUSE)
    end_marked(mark)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
