"""End processes, whoever started them: a process with all that it started, or all that carry a sign.

A child whose parent has ended is nobody's child any more, but it still carries the environment that it inherited. So
what must leave nothing behind gives its processes a sign there, and `running` finds them again by it. The federation of
chapter 07 and the jobs of chapter 10 end here; nothing but psutil is needed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping

import psutil

Sign = Callable[[Mapping[str, str]], bool]
"""Tells by its environment whether a process belongs to those that are meant."""

_PAUSE = 0.1  # seconds between two looks


def alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; one that has ended and waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def running(sign: Sign) -> list[psutil.Process]:
    """List the living processes, this one excepted, that were started in an environment with the sign."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # somebody else's, or gone already
            if process.pid != os.getpid() and sign(process.environ()) and alive(process):
                found.append(process)
    return found


def end_all(sign: Sign, patience: float = 0.0, limit: float = 20.0) -> list[psutil.Process]:
    """End every process that carries the sign; return those that are left after `limit` seconds.

    Each is asked first and has `patience` seconds to end by itself; without patience none is asked.
    """
    start = time.monotonic()
    if patience > 0:
        _ask(running(sign))
    while left := running(sign):
        waited = time.monotonic() - start
        if waited > limit:
            break
        if waited >= patience:
            _kill(left)  # again and again: one that ends may have started another just before
        time.sleep(_PAUSE)
    return left


def end_tree(pid: int, patience: float = 0.0) -> None:
    """End a process and all that it started: by request, after `patience` seconds by force."""
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.Error:
        return
    if patience > 0:
        _ask(tree)
        _, tree = psutil.wait_procs(tree, timeout=patience)
    _kill(tree)
    psutil.wait_procs(tree, timeout=5)


def _ask(processes: list[psutil.Process]) -> None:
    """Ask processes to end; one that was stopped is woken, or it would not hear."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
            if os.name != "nt":
                process.send_signal(signal.SIGCONT)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
