"""What a protocol costs over a line: its rounds wait for the latency, its bytes for the bandwidth.

The rounds and bytes are counted in runs of the real protocols, on this machine and with few patients. Rounds do not
depend on how many patients there are; bytes grow with them. How often a round crosses the line is another question: see
`CROSSINGS`. ``kit.py bench parties`` holds all of it against a clock, on a line that is really slow.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import ppml_helpers
from ppml_helpers import checks
from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import crypten_today
from ppml_helpers.secure_computation.parties import run_parties

COLUMNS = 39
CROSSINGS = 4
"""How often one round of CrypTen crosses the line, one crossing after the other.

On paper it is once: both parties send at the same time. CrypTen sends through gloo, where a receiver first says that it
is ready (2 crossings a message), and adds up what both hold in two such steps. Measured on a delayed line; a test holds
it there.
"""

_FEW, _MORE = 64, 128  # patients in the two runs from which the bytes a patient follow
_RESULTS = Path(ppml_helpers.__file__).parents[1] / "benchmarks" / "results" / "parties.json"


@dataclass(frozen=True)
class Protocol:
    """What one protocol sends.

    Attributes
    ----------
    name : str
        What it computes.
    rounds : int
        Times that a party waits for another.
    bytes_fixed, bytes_a_patient : float
        What one party sends at least, and for each patient.
    crossings : int
        Messages that must cross the line one after the other: all rounds, as the library sends them.
    """

    name: str
    rounds: int
    bytes_fixed: float
    bytes_a_patient: float
    crossings: int

    def bytes(self, patients: int) -> float:
        """Return what one party sends for so many patients."""
        return self.bytes_fixed + self.bytes_a_patient * patients


def seconds_on_line(crossings: int, sent: float, latency: float, megabits: float = 100.0) -> float:
    """Return the seconds that a line adds to a computation.

    Parameters
    ----------
    crossings : int
        Messages that must cross the line one after the other.
    sent : float
        Bytes that one party sends.
    latency : float
        Milliseconds that a message is on its way, in one direction.
    megabits : float
        Megabits a second that the line carries.

    Raises
    ------
    ComputationError
        For negative crossings, bytes or latency, and a line that carries nothing.
    """
    crossings = checks.whole(crossings, "crossings", 0, error=ComputationError)
    sent = checks.number(sent, "sent", 0, error=ComputationError)
    latency = checks.number(latency, "latency", 0, error=ComputationError)
    megabits = checks.number(megabits, "megabits", 0, above=True, error=ComputationError)
    return crossings * latency / 1e3 + sent * 8 / (megabits * 1e6)


@lru_cache
def counted() -> tuple[Protocol, ...]:
    """Run the protocols with made-up patients and count: a joint sum, scores, risks, and a step of training."""
    total = run_parties(_sum, [(1,)] * 3, library="mpyc")[0]
    runs = run_parties(_count, [()] * 2)[1].result
    return (
        Protocol("a joint sum of three (MPyC)", total.rounds, total.bytes, 0.0, total.rounds),
        *(_from_two_runs(name, *two) for name, two in runs.items()),
    )


@dataclass(frozen=True)
class Measured:
    """Seconds that a protocol took on a really delayed line, its arithmetic included.

    Attributes
    ----------
    name : str
        The protocol's, as in `Protocol`.
    seconds, latency : float
        What it took, and the milliseconds that a message was on its way.
    """

    name: str
    seconds: float
    latency: float


def measured(results: Path = _RESULTS) -> list[Measured]:
    """Return what the kit's benchmark measured on a delayed line; nothing where it had none, or has not run."""
    try:
        comparisons = json.loads(results.read_text("utf-8"))["comparisons"]
        line = next(one["facts"] for one in comparisons if "latency" in one["facts"])
        return [Measured(name, seconds, line["latency"]) for name, seconds in line["seconds"].items()]
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return []


def _from_two_runs(name: str, few: tuple[int, float], more: tuple[int, float]) -> Protocol:
    """Return what does not grow with the patients, and what each adds."""
    a_patient = (more[1] - few[1]) / (_MORE - _FEW)
    return Protocol(name, few[0], few[1] - a_patient * _FEW, a_patient, CROSSINGS * few[0])


async def _sum(mpc: Any, own: int) -> int:
    return int(await mpc.output(mpc.sum(mpc.input(mpc.SecInt(32)(own)))))


def protocols(patients: int) -> dict[str, Callable[[], Any]]:
    """Return CrypTen's protocols by name, to be run by both of two parties on so many made-up patients.

    The tables and models are shared here already; what a call sends is the protocol alone.
    """
    import torch

    crypten = crypten_today.load_crypten()
    table = crypten.cryptensor(torch.zeros(patients, COLUMNS), src=0)
    died = crypten.cryptensor(torch.zeros(patients), src=0)
    weights = crypten.cryptensor(torch.zeros(COLUMNS), src=1)
    model = crypten.nn.Linear(COLUMNS, 1).encrypt()
    loss = crypten.nn.BCEWithLogitsLoss(skip_forward=True)  # nobody reads the loss
    optimizer = crypten.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(table).squeeze(1), died).backward()
        optimizer.step()

    return {
        "scores (CrypTen)": lambda: table.matmul(weights).get_plain_text(dst=0),
        "risks: scores and a sigmoid (CrypTen)": lambda: table.matmul(weights).sigmoid().get_plain_text(dst=0),
        "a step of training (CrypTen)": step,
    }


def _count() -> dict[str, list[tuple[int, float]]]:
    """Count rounds and bytes of each protocol for two numbers of patients, as one of two parties."""
    few, more = (protocols(patients) for patients in (_FEW, _MORE))
    return {name: [_counted(few[name]), _counted(more[name])] for name in few}


def _counted(protocol: Callable[[], Any]) -> tuple[int, float]:
    crypten = crypten_today.load_crypten()
    crypten.reset_communication_stats()
    protocol()
    stats = crypten.communicator.get().get_communication_stats()
    return int(stats["rounds"]), stats["bytes"] / 2
