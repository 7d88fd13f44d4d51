"""Processes that belong together: started, read and ended as one, and never left behind.

A kernel that is killed cannot clean up after itself. So a group starts this module first, as a process and a session of
its own: the watchdog waits until its parent is gone however that came about, and does what is left to do.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import QUIET_ENVIRONMENT
from ppml_helpers.processes import alive, end_all, end_tree, running

MARK = "PPML_DEPLOYMENT"  # environment variable that a group's processes inherit, children of children too
PATIENCE = 5.0  # seconds in which a process may end by itself

_CALM = {
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    "OMP_NUM_THREADS": "1",  # sums in one order, so the same bits everywhere
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NO_COLOR": "1",
    "COLUMNS": "1000",  # no sentence is cut into lines
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",
    "NO_PROXY": "*",  # also against a proxy from the settings of the system
    "no_proxy": "*",
}
_NOT_THEIRS = ("FLWR_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")  # no proxy has a part in what a machine tells itself


class ProcessGroup:
    """A new folder of mode 700, and the processes that work in it.

    Every process carries a random mark in its environment, which its own children inherit: that is how all of them are
    found again. A watchdog ends them and removes the folder if this program is killed; `end` does so in every other
    case.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="federation-"))
        self.mark = secrets.token_hex(16)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        atexit.register(self.end)
        me = psutil.Process()
        command = [sys.executable, "-P", "-m", __name__, str(me.pid), repr(me.create_time()), self.mark]
        self._watchdog = _popen([*command, str(self.folder)], subprocess.DEVNULL, dict(os.environ))

    def start(self, name: str, command: list[str]) -> None:
        """Start one process whose words go to the log file of that name; a dead one of the same name is replaced."""
        if self.is_alive(name):
            raise FederationError(f"{name} runs already: end it with kill() before you start it again.")
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = _popen(command, log, self.environment())

    def environment(self) -> dict[str, str]:
        """Give the environment of the processes: what this one has, without proxies and others' settings of Flower."""
        mine = {key: value for key, value in os.environ.items() if not key.upper().startswith(_NOT_THEIRS)}
        path = os.pathsep.join([sysconfig.get_path("scripts"), mine.get("PATH", "")])
        own = {"FLWR_HOME": str(self.folder / "flower"), "PATH": path, MARK: self.mark}
        return mine | QUIET_ENVIRONMENT | _CALM | own | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.folder))

    def is_alive(self, name: str) -> bool:
        """Tell whether the process of that name was started and still runs."""
        return name in self._processes and self._processes[name].poll() is None

    def log(self, name: str) -> str:
        """Read what a process has said so far."""
        file = self.folder / f"{name}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def kill(self, name: str) -> None:
        """End a process and all that it started, at once and without a word, as a power cut would."""
        process = self._processes.get(name)
        if process is not None and process.poll() is None:  # the number of one that was collected may be another's
            end_tree(process.pid)
            process.wait()

    def end(self) -> None:
        """End every process and remove the folder. May be called again, and does the rest if it was interrupted."""
        left = end_marked(self.mark)
        for process in self._processes.values():
            process.poll()  # collects it
        shutil.rmtree(self.folder, ignore_errors=True)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise FederationError(
                f"These processes could not be ended: {pids}. End them by hand, or restart the machine."
            )
        self._watchdog.kill()
        self._watchdog.wait()
        atexit.unregister(self.end)


def marked(mark: str) -> list[psutil.Process]:
    """List the living processes of one group."""
    return running(lambda environment: environment.get(MARK) == mark)


def end_marked(mark: str) -> list[psutil.Process]:
    """End every process of one group; return those that could not be ended."""
    return end_all(lambda environment: environment.get(MARK) == mark, PATIENCE)


def watch(parent: int, started: float, mark: str, folder: str) -> None:
    """Wait for the end of the process `parent` that began at `started`, then clean up behind it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(parent)
        while process.create_time() == started and alive(process):
            time.sleep(0.5)
    end_marked(mark)
    shutil.rmtree(folder, ignore_errors=True)


def _popen(command: list[str], output: object, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in a terminal, or a kernel that is shut down, does not reach it by chance.
    streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, **streams, env=environment, start_new_session=True)


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
