"""Processes that belong together: started, read and ended as one, and never left behind."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import psutil

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import QUIET_ENVIRONMENT, watchdog
from ppml_helpers.processes import end_tree

_CALM = {
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    "OMP_NUM_THREADS": "1",  # sums in one order, so the same bits everywhere
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NO_COLOR": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",
    "NO_PROXY": "127.0.0.1,localhost",  # a hospital's web proxy has no part in what this machine says to itself
    "no_proxy": "127.0.0.1,localhost",
}


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
        command = [sys.executable, "-P", "-m", watchdog.__name__, str(me.pid), repr(me.create_time())]
        self._watchdog = _popen([*command, self.mark, str(self.folder)], subprocess.DEVNULL, dict(os.environ))

    def start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        """Start one process whose words go to the log file of that name; a dead one of the same name is replaced."""
        if self.is_alive(name):
            raise FederationError(f"{name} runs already: end it with kill() before you start it again.")
        with self.log_file(name).open("ab") as log:
            self._processes[name] = _popen(command, log, self.environment())
        return self._processes[name]

    def ask(self, command: list[str], limit: float) -> subprocess.CompletedProcess[str] | None:
        """Run a command to its end and give what it said; None if that took longer than `limit` seconds."""
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env=self.environment(),
                start_new_session=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None

    def environment(self) -> dict[str, str]:
        """Give the environment of the processes: what this one has, without settings of Flower from elsewhere."""
        mine = {key: value for key, value in os.environ.items() if not key.startswith("FLWR_")}
        path = os.pathsep.join([sysconfig.get_path("scripts"), mine.get("PATH", "")])
        home = {"FLWR_HOME": str(self.folder / "flower"), "PATH": path, watchdog.MARK: self.mark}
        return mine | QUIET_ENVIRONMENT | _CALM | home

    def is_alive(self, name: str) -> bool:
        """Tell whether the process of that name was started and still runs."""
        return name in self._processes and self._processes[name].poll() is None

    def log_file(self, name: str) -> Path:
        """Give the place of the log of a process."""
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        """Read what a process has said so far."""
        file = self.log_file(name)
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def kill(self, name: str) -> None:
        """End a process and all that it started, at once and without a word, as a power cut would."""
        self.stop(name, patience=0.0)

    def stop(self, name: str, patience: float = 3.0) -> None:
        """End a process and all that it started: by request, after `patience` seconds by force."""
        process = self._processes.get(name)
        if process is not None and process.poll() is None:  # the number of one that was collected may be another's
            end_tree(process.pid, patience)
            process.wait()

    def end(self, patience: float = watchdog.PATIENCE) -> None:
        """End every process and remove the folder. May be called again, and does the rest if it was interrupted."""
        left = watchdog.end_marked(self.mark, patience)
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


def _popen(command: list[str], output: object, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in a terminal, or a kernel that is shut down, does not reach it by chance.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
