"""A federation over TLS, and what can happen to it: real processes of Flower, really killed, stopped and refused.

Each fault ends in one sentence of the kit's own watch (Flower notices a lost node after a minute, and says it in other
words), keeps the rounds that were complete, and leaves no process, port or key behind. The tests that share one
`deployment` run in the order in which they stand here. What takes longest, a hospital that is killed and comes back,
happens in a program with a federation of its own beside the other tests; at its end that program is killed too.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import commands, deployment, hospitals, in_process, watchdog
from ppml_helpers.federated_learning.certificates import ADDRESS
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.results import RunStopped

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = {"num-server-rounds": 2, "evaluate-every": 2, "seed": 7}

PROGRAM = """
import json, os, signal, sys
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import hospitals
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.results import RunStopped

config = json.loads(sys.argv[1])

def tell(**seen):
    print(json.dumps(seen), flush=True)

def stopped_in_round_2(act):
    try:
        network.run({"num-server-rounds": 50}, progress=lambda share, what: share and act(), timeout=900.0)
    except RunStopped as error:
        return {"said": str(error), "kept": [one.number for one in error.kept.rounds]}

with Deployment(hospitals.simulated(n=2)) as network:
    group = network._processes
    tell(mark=group.mark, folder=str(group.folder), port=network._server_port)
    tell(**stopped_in_round_2(lambda: os.kill(os.getpid(), signal.SIGINT)))  # what a notebook's stop button sends
    tell(**stopped_in_round_2(lambda: network.kill(1)), connected=network.connected)
    try:
        network.run(config)
    except FederationError as error:
        refused = str(error)
    network.start_node(1)
    tell(refused=refused, sha256=network.run(config, timeout=900.0).sha256)
    network.run({"num-server-rounds": 50}, progress=lambda share, what: tell(at=what))
"""


@pytest.fixture(scope="module")
def three() -> tuple[hospitals.Hospital, ...]:
    return hospitals.simulated(n=3)


@pytest.fixture(scope="module")
def program() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, json.dumps(CONFIG)]
    running = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    yield running
    running.kill()
    running.communicate(timeout=120)


@pytest.fixture(scope="module")
def network(three: tuple[hospitals.Hospital, ...], program: subprocess.Popen[str]) -> Iterator[Deployment]:
    running = Deployment(three)
    with running:
        mark, folder, port = running._processes.mark, running._processes.folder, running._server_port
        assert len(watchdog.marked(mark)) >= 8, "a server, three hospitals, and a helper for each"
        yield running
    assert_nothing_left(mark, folder, port)


def started_and_ended(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Note the mark and folder of every deployment from now on."""
    noted: list[tuple[str, Path]] = []
    group = deployment.ProcessGroup

    def note() -> object:
        made = group()
        noted.append((made.mark, made.folder))
        return made

    monkeypatch.setattr(deployment, "ProcessGroup", note)
    return noted


def test_a_hospital_that_cannot_take_part_is_named_before_anything_starts(
    three: tuple[hospitals.Hospital, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = started_and_ended(monkeypatch)
    nobody_died = replace(three[1], y_train=np.zeros(100), X_train=np.zeros((100, 39)))
    for start in (in_process.run, lambda given: Deployment(given).start()):
        with pytest.raises(FederationError, match="Hospital 1"):
            start((three[0], nobody_died, three[2]))
    assert noted == []


def assert_nothing_left(mark: str, folder: Path, port: int, limit: float = 0.0) -> None:
    end = time.monotonic() + limit
    while (watchdog.marked(mark) or folder.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert watchdog.marked(mark) == []
    assert not folder.exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # forgives connections that have just ended
        probe.bind((ADDRESS, port))


def test_three_hospitals_over_tls_give_the_bits_of_one_process(
    network: Deployment, three: tuple[hospitals.Hospital, ...]
) -> None:
    told: list[tuple[float, str]] = []
    run = network.run(CONFIG, progress=lambda *words: told.append(words), timeout=900.0)
    expected = in_process.run(three, CONFIG)
    assert run.sha256 == expected.sha256
    assert run.rounds == expected.rounds
    assert run.patients == expected.patients
    assert told == [(0.0, "round 1 of 2"), (0.5, "round 2 of 2"), (1.0, "all rounds done")]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("wrong authority", "it does not trust the server"),
        ("no key", "it came without a key"),
        ("unregistered key", "the server does not know its key"),
    ],
)
def test_strangers_are_refused(network: Deployment, mistake: str, words: str) -> None:
    before = network.connected
    with pytest.raises(FederationError, match=f"^Hospital 1 could not connect: {words}") as e:
        network.start_node(1, mistake=mistake)
    assert str(network._processes.folder) not in str(e.value)
    assert network.connected == before
    assert not [one for one in watchdog.marked(network._processes.mark) if any("stranger" in w for w in one.cmdline())]


def test_a_hospital_that_cannot_read_its_patients_says_so(network: Deployment) -> None:
    table = network._processes.folder / "hospital-1.npz"
    good = table.read_bytes()
    broken = dict(np.load(table))
    broken["X_train"][5, 3] = np.nan
    np.savez(table, **broken)
    with pytest.raises(RunStopped, match=r"[hH]ospital 1\b.* no finite number") as e:
        network.run({"num-server-rounds": 1})
    assert e.value.kept is None
    table.write_bytes(good)
    assert network.connected == (0, 1, 2)


def test_a_hospital_that_stalls_is_named_and_ended(network: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    group = network._processes
    for helper in psutil.Process(group._processes["hospital-2"].pid).children(recursive=True):
        helper.suspend()  # the hospital says that it is there, and its app never answers
    before = {f"hospital-{number}": len(group.log(f"hospital-{number}")) for number in (0, 1)}

    def clock() -> float:
        """The limit is over as soon as the others have answered, however long that takes on this machine."""
        answered = all("Sending: " in group.log(name)[length:] for name, length in before.items())
        return time.monotonic() + (1000.0 if answered else 0.0)

    monkeypatch.setattr(deployment, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    with pytest.raises(RunStopped) as stopped:
        network.run({"num-server-rounds": 1, "reply-timeout": 900.0}, timeout=900)
    monkeypatch.undo()
    assert str(stopped.value).startswith("Hospital 2 did not answer within 900 s. Start again with start_node(2)")
    assert network.connected == (0, 1)
    network.start_node(2)
    assert network.connected == (0, 1, 2)


def test_a_lost_server_ends_the_run(network: Deployment) -> None:
    with pytest.raises(RunStopped, match=r"^The server has ended\. Stop this deployment and start a new one"):
        network.run(CONFIG, progress=lambda share, what: network.kill("server"))
    with pytest.raises(FederationError, match=r"^The server has ended"):
        network.run(CONFIG)
    with pytest.raises(FederationError, match=r"runs already"):
        network.start()


def test_a_killed_hospital_comes_back_with_its_key_and_the_bits_and_a_killed_program_leaves_nothing(
    program: subprocess.Popen[str],
) -> None:
    federation, interrupted, lost, again, at_work = (json.loads(program.stdout.readline()) for _ in range(5))
    assert interrupted["said"] == "The run was interrupted before its last round was complete."
    assert lost["said"].startswith("Hospital 1 ended during the run. Start again with start_node(1)")
    assert interrupted["kept"][0] == lost["kept"][0] == 1
    assert lost["connected"] == [0]
    assert again["refused"].startswith("Hospital 1 cannot take part")
    assert again["sha256"] == in_process.run(hospitals.simulated(n=2), CONFIG).sha256
    assert at_work == {"at": "round 1 of 50"}
    mark, folder = federation["mark"], Path(federation["folder"])
    assert len(watchdog.marked(mark)) >= 6
    assert any(folder.glob("*.npz"))
    program.kill()
    assert_nothing_left(mark, folder, federation["port"], limit=120.0)


@pytest.mark.parametrize("what", ["a server that does not start", "an interrupt"])
def test_a_start_that_fails_leaves_nothing(
    three: tuple[hospitals.Hospital, ...], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    noted = started_and_ended(monkeypatch)
    if what == "an interrupt":
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        ends = pytest.raises(KeyboardInterrupt)
    else:
        fails = [sys.executable, "-c", "raise OSError('no such file')"]
        monkeypatch.setattr(commands, "server", lambda port, keys: fails)
        ends = pytest.raises(FederationError, match=r"^The server did not start: OSError: no such file")
    with ends, Deployment(three):
        pass
    [(mark, folder)] = noted
    assert watchdog.marked(mark) == []
    assert not folder.exists()
