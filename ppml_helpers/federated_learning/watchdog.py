"""End a deployment's processes and remove its keys when the program that started them is gone.

A kernel that is killed cannot clean up after itself. So `processes` starts this file first, as a process and a session
of its own: it needs psutil alone, waits until its parent is gone however that came about, and does what is left to do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil

MARK = "PPML_DEPLOYMENT"  # environment variable that a deployment's processes inherit, children of children too
_PAUSE = 0.5  # seconds between two looks at the parent


def marked(mark: str) -> list[psutil.Process]:
    """List the living processes that carry `mark` in the environment they were started with."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark and alive(process):
                found.append(process)
    return found


def alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; one that has ended and waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end_all(mark: str, patience: float = 5.0, limit: float = 20.0) -> list[psutil.Process]:
    """End every process that carries `mark`: first by request, after `patience` seconds by force."""
    start = time.monotonic()
    request_end(marked(mark))
    while left := marked(mark):
        waited = time.monotonic() - start
        if waited > limit:
            break
        if waited > patience:
            for process in left:  # again and again: one that ends may have started another just before
                with contextlib.suppress(psutil.Error):
                    process.kill()
        time.sleep(0.1)
    return left


def request_end(processes: list[psutil.Process]) -> None:
    """Ask processes to end; one that was stopped is woken, or it would not hear."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
            if os.name != "nt":
                process.send_signal(signal.SIGCONT)


def main(parent: int, started: float, mark: str, folder: str) -> None:
    """Wait for the end of the process `parent` that began at `started`, then clean up behind it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(parent)
        while process.create_time() == started and alive(process):
            time.sleep(_PAUSE)
    end_all(mark)
    shutil.rmtree(Path(folder), ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
