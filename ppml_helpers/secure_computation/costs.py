"""What a protocol costs over a line: its rounds wait for the latency, its bytes for the bandwidth.

The rounds and bytes are counted in runs of the real protocols, on this machine and with few patients. Rounds do not
depend on how many patients there are; bytes grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ppml_helpers import checks
from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import crypten_today
from ppml_helpers.secure_computation.parties import run_parties

COLUMNS = 39
_FEW, _MORE = 64, 128  # patients in the two runs from which the bytes a patient follow


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
    """

    name: str
    rounds: int
    bytes_fixed: float
    bytes_a_patient: float

    def bytes(self, patients: int) -> float:
        """Return what one party sends for so many patients."""
        return self.bytes_fixed + self.bytes_a_patient * patients


def seconds_on_line(rounds: int, sent: float, latency: float, megabits: float = 100.0) -> float:
    """Return the seconds that a line adds to a computation.

    Parameters
    ----------
    rounds : int
        Times that a party waits for a message.
    sent : float
        Bytes that one party sends.
    latency : float
        Milliseconds that a message is on its way, in one direction.
    megabits : float
        Megabits a second that the line carries.

    Raises
    ------
    ComputationError
        For negative rounds, bytes or latency, and a line that carries nothing.
    """
    rounds = checks.whole(rounds, "rounds", 0, error=ComputationError)
    sent = checks.number(sent, "sent", 0, error=ComputationError)
    latency = checks.number(latency, "latency", 0, error=ComputationError)
    megabits = checks.number(megabits, "megabits", 0, above=True, error=ComputationError)
    return rounds * latency / 1e3 + sent * 8 / (megabits * 1e6)


@lru_cache
def counted() -> tuple[Protocol, ...]:
    """Run the protocols with made-up patients and count: a joint sum, scores, risks, and a step of training."""
    total = run_parties(_sum, [(1,)] * 3, library="mpyc")[0]
    runs = run_parties(_count, [()] * 2)[1].result
    names = ("scores (CrypTen)", "risks: scores and a sigmoid (CrypTen)", "a step of training (CrypTen)")
    return (
        Protocol("a joint sum of three (MPyC)", total.rounds, total.bytes, 0.0),
        *(_from_two_runs(name, *two) for name, two in zip(names, runs, strict=True)),
    )


def _from_two_runs(name: str, few: tuple[int, float], more: tuple[int, float]) -> Protocol:
    """Return what does not grow with the patients, and what each adds."""
    a_patient = (more[1] - few[1]) / (_MORE - _FEW)
    return Protocol(name, few[0], few[1] - a_patient * _FEW, a_patient)


async def _sum(mpc: Any, own: int) -> int:
    return int(await mpc.output(mpc.sum(mpc.input(mpc.SecInt(32)(own)))))


def _count() -> list[list[tuple[int, float]]]:
    """Count rounds and bytes of three protocols, each for two numbers of patients, as one of two parties."""
    import torch

    crypten = crypten_today.load_crypten()
    model = crypten.nn.Linear(COLUMNS, 1).encrypt()
    loss = crypten.nn.BCEWithLogitsLoss(skip_forward=True)  # nobody reads the loss

    optimizer = crypten.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def scores(patients: Any) -> Any:
        return patients.matmul(crypten.cryptensor(torch.zeros(COLUMNS), src=1))

    def step(patients: Any) -> None:
        died = crypten.cryptensor(torch.zeros(len(patients)), src=0)
        optimizer.zero_grad()
        loss(model(patients).squeeze(1), died).backward()
        optimizer.step()

    protocols = (
        lambda patients: scores(patients).get_plain_text(dst=0),
        lambda patients: scores(patients).sigmoid().get_plain_text(dst=0),
        step,
    )
    return [[_counted(protocol, patients) for patients in (_FEW, _MORE)] for protocol in protocols]


def _counted(protocol: Any, patients: int) -> tuple[int, float]:
    import torch

    crypten = crypten_today.load_crypten()
    table = crypten.cryptensor(torch.zeros(patients, COLUMNS), src=0)
    crypten.reset_communication_stats()
    protocol(table)
    stats = crypten.communicator.get().get_communication_stats()
    return int(stats["rounds"]), stats["bytes"] / 2
