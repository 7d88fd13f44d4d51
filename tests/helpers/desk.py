"""A hospital's desk for the tests of the release gate: the hospital, two researchers, and the gate between them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ppml_helpers import processes
from ppml_helpers.owner_in_control import Defences, Network, ReleaseGate, silence

SECRET = "Zebedee"  # a name that no file of the researcher may ever hold
SITE = "$SYFTBOX_FOLDER/$SYFTBOX_EMAIL"
PRIVATE = f"{SITE}/private/syft_datasets/patients/patients_private.csv"
GATE = "$SYFTBOX_FOLDER/../SyftBox-gate"
INBOX = "app_data/job/inbox/rita@university.example/v1"
EVERYBODY = "rules: [{pattern: '**', access: {read: ['*'], write: [], admin: []}}]"
ANSWER = "echo 42 > code/outputs/answer.txt\n"


class Desk:
    """Send, approve, run: bash jobs, which are quick, for they import no syft."""

    def __init__(self, network: Network, total: float = 1.0) -> None:
        with silence():
            self.network = network
            self.north, self.rita = network.hospital("north"), network.researcher("rita")
            network.pair()
            private = pd.DataFrame({"name": [SECRET, "Yolanda"], "age": [51, 62]})
            network.publish(self.north, "patients", private=private, mock=private.assign(name="X", age=1))
        self.total = total
        self.site = self.north.syftbox_folder / self.north.email
        self.gate = self.open()

    @cached_property
    def eve(self) -> Any:
        """A second researcher, for those tests that need one."""
        with silence():
            eve = self.network.researcher("eve")
            self.network.pair(eve, self.north)
        return eve

    def open(self, **switches: bool) -> ReleaseGate:
        budgets = {f"{name}@university.example": self.total for name in ("rita", "eve")}
        return ReleaseGate(self.north, budgets=budgets, defences=replace(Defences(), **switches))

    def weaken(self, **switches: bool) -> Desk:
        self.gate = self.open(**switches)
        return self

    def job(self, name: str) -> Any:
        """A job as syft has it at the hospital."""
        with silence():
            return self.north.job_client.jobs[name]

    def yes_in_syft(self, name: str) -> None:
        """Approve a job past the gate."""
        with silence():
            self.north.job_client.jobs[name].approve()

    def send(self, name: str, script: str, by: Any = None) -> None:
        with silence():
            (by or self.rita).submit_bash_job(self.north.email, f"set -e\nmkdir -p code/outputs\n{script}", name)
        self.gate.sync()

    def swap(self, name: str, text: str) -> None:
        """Send another run script for a job that was sent before."""
        [script] = (self.rita.syftbox_folder / self.north.email).rglob(f"{name}/run.sh")
        script.write_text(text)
        with silence():
            self.rita.sync_engine.push_job_files(script.parent)
        self.gate.sync()

    def approved(self, name: str, script: str, by: Any = None, epsilon: float = 0.1) -> Any:
        self.send(name, script, by)
        review = self.gate.review(name, (by or self.rita).email)
        self.gate.approve(review, epsilon=epsilon)
        return review

    def run(self, name: str, script: str, epsilon: float = 0.1) -> Any:
        return self.gate.run(self.approved(name, script, epsilon=epsilon))

    def arrived(self, who: Any = None, by_hand: bool = False) -> dict[str, str]:
        """Everything of the hospital's on a researcher's disk after a sync of both, by file name.

        By hand syncs an owner who forgets the gate.
        """
        who = who or self.rita
        with silence():
            (self.north if by_hand else self.gate).sync()
            who.sync()
        files = [path for path in (who.syftbox_folder / self.north.email).rglob("*") if path.is_file()]
        return {str(path.relative_to(who.syftbox_folder)): path.read_text() for path in files}

    def leaked(self, who: Any = None, by_hand: bool = False) -> list[str]:
        """Names of the files in which the secret has arrived."""
        return sorted(Path(path).name for path, text in self.arrived(who, by_hand).items() if SECRET in text)

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.north.syftbox_folder.rglob("*") if path.is_file()}

    def told(self, name: str) -> Any:
        """A job as syft shows it to the researcher."""
        self.arrived()
        with silence():
            return self.rita.jobs[name]

    def spent(self) -> float:
        return self.gate.budget(self.rita.email).spent.epsilon


@contextmanager
def opened(folder: Path, total: float = 1.0, encryption: bool = False) -> Iterator[Desk]:
    with Network(folder=folder, encryption=encryption) as network:
        yield Desk(network, total)


def jobs_in(folder: Path) -> list[Any]:
    """What still runs of the jobs of the networks in a folder."""
    place = str(folder.resolve())
    return processes.running(
        lambda variables: any(variables.get(name, "").startswith(place) for name in ("SYFTBOX_FOLDER", "PPML_SCRATCH"))
    )


def in_a_child_that_is_killed(work: Callable[[], object]) -> int:
    """Do `work` in a copy of this program, which kills itself or is killed by the work."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(7)  # the work did not end this program
    return child


def killed(child: int) -> None:
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child ended by itself: {os.waitstatus_to_exitcode(status)}"


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
