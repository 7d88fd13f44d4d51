"""What a process and all that it starts hold in memory together, looked at twice a second.

    .venv/bin/python benchmarks/_memory.py python3 kit.py test    # a run of its own
    .venv/bin/python benchmarks/_memory.py 12345                  # a run that is under way, by its process

writes the highest sum to ``results/suite.json``, from where the page takes it. Memory that several
processes share is divided among them (Pss), so that the sum is what the machine gives. Linux alone tells that.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

import psutil
from _frame import RESULTS, load_average

EVERY = 0.5  # seconds between two looks


class Watch:
    """The most that a process and its descendants held at once, in bytes, while the block ran.

    Parameters
    ----------
    pid
        The process at the top.
    itself
        Whether it counts, or only what it starts.
    """

    def __init__(self, pid: int, itself: bool = True) -> None:
        self.peak = 0
        self.most_processes = 0
        self._seen = {pid: psutil.Process(pid)}
        self._top, self._itself = pid, itself
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def look(self) -> None:
        """Add up what they hold now. Whoever was seen once still counts when its parent has ended."""
        everybody = {process.pid: process for process in psutil.process_iter(["ppid"])}
        self._seen = {pid: process for pid, process in self._seen.items() if everybody.get(pid) == process}
        while more := {
            pid: process
            for pid, process in everybody.items()
            if process.info["ppid"] in self._seen and pid not in self._seen
        }:
            self._seen |= more
        held = [_held(process) for pid, process in self._seen.items() if self._itself or pid != self._top]
        self.peak, self.most_processes = max(self.peak, sum(held)), max(self.most_processes, len(held))

    def _look_on(self) -> None:
        while not self._over.wait(EVERY):
            with contextlib.suppress(psutil.Error):
                self.look()

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Look no longer."""
        self._over.set()
        self._thread.join()


def _held(process: psutil.Process) -> int:
    """Return the proportional share of memory of a process, or 0 when it has ended or the system does not tell."""
    try:
        return process.memory_full_info().pss
    except (psutil.Error, OSError, AttributeError):
        return 0


def main(words: list[str]) -> int:
    """Watch a process by its number, or a command that is run here; write and print what it came to."""
    begun, before = time.time(), load_average()
    if len(words) == 1 and words[0].isdigit():
        what, top, code = " ".join(psutil.Process(int(words[0])).cmdline()[-3:]), psutil.Process(int(words[0])), 0
        with Watch(top.pid) as watch:
            psutil.wait_procs([top])
    else:
        what, child = " ".join(words), subprocess.Popen(words)
        with Watch(child.pid) as watch:
            code = child.wait()
    told = {
        "what": what,
        "peak_bytes": watch.peak,
        "most_processes": watch.most_processes,
        "seconds_watched": round(time.time() - begun),
        "day": time.strftime("%Y-%m-%d"),
        "load_before": before,
        "exit_status": code,
    }
    (RESULTS / "suite.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(json.dumps(told, indent=1))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
