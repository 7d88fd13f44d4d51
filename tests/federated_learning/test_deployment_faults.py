"""A federation over TLS, and what can happen to it: real processes of Flower, really killed, stopped and refused.

Each fault ends in one sentence of the kit's own watch (Flower notices a lost node after a minute, and says it in other
words), keeps the rounds that were complete, and leaves no process, port or key behind. The tests that share one
`deployment` run in the order in which they stand here. What takes a minute, a hospital that is killed and comes back,
happens in a federation of two beside the other tests.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import psutil
import pytest

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import commands, deployment, hospitals, in_process, watchdog
from ppml_helpers.federated_learning.certificates import ADDRESS
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.results import FederatedRun, RunStopped

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = {"num-server-rounds": 2, "evaluate-every": 2, "seed": 7}
PROGRAM = """
from ppml_helpers.federated_learning import hospitals
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.results import RunStopped
def say(*words):
    print(*words, flush=True)
with Deployment(hospitals.simulated(n=2)) as network:
    say(network._processes.mark, network._processes.folder, network._server_port)
    try:
        network.run({"num-server-rounds": 50}, progress=lambda share, what: say(what))
    except RunStopped as error:
        say(error)
    network.run({"num-server-rounds": 40}, progress=lambda share, what: say(what))
"""


@pytest.fixture(scope="module")
def four() -> tuple[hospitals.Hospital, ...]:
    return hospitals.simulated(n=4)


@pytest.fixture(scope="module")
def expected(four: tuple[hospitals.Hospital, ...]) -> FederatedRun:
    return in_process.run(four, CONFIG)


class Comeback(NamedTuple):
    """What was seen of a hospital that was killed in a round and started again."""

    stopped: RunStopped
    connected: tuple[int, ...]  # without it
    refused: str
    again: FederatedRun
    left: tuple[str, Path, int]  # mark, folder and port, by which something left behind would be found


@pytest.fixture(scope="module")
def comeback() -> Iterator[Future[Comeback]]:
    """Kill a hospital and start it again, beside the tests: Flower forgets the dead one after a minute."""
    network, story = Deployment(hospitals.simulated(n=2)), Future()

    def tell() -> None:
        try:
            with network:
                story.set_result(killed_and_back(network))
        except BaseException as error:
            story.set_exception(error)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    yield story
    network.stop()
    thread.join(timeout=120.0)


@pytest.fixture(scope="module")
def program() -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    yield running
    running.kill()
    running.communicate(timeout=120)


@pytest.fixture(scope="module")
def network(four: tuple[hospitals.Hospital, ...], comeback: Future[Comeback]) -> Iterator[Deployment]:
    running = Deployment(four)
    with running:
        mark, folder, port = running._processes.mark, running._processes.folder, running._server_port
        assert len(watchdog.marked(mark)) >= 10, "a server, four hospitals, and a helper for each"
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
    four: tuple[hospitals.Hospital, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = started_and_ended(monkeypatch)
    nobody_died = replace(four[1], y_train=np.zeros(100), X_train=np.zeros((100, 39)))
    for start in (in_process.run, lambda given: Deployment(given).start()):
        with pytest.raises(FederationError, match="Hospital 1"):
            start((four[0], nobody_died, four[2]))
    assert noted == []


def assert_nothing_left(mark: str, folder: Path, port: int, limit: float = 0.0) -> None:
    end = time.monotonic() + limit
    while (watchdog.marked(mark) or folder.exists()) and time.monotonic() < end:
        time.sleep(0.2)
    assert watchdog.marked(mark) == []
    assert not folder.exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # forgives connections that have just ended
        probe.bind((ADDRESS, port))


def during_a_run(network: Deployment, act: Callable[[], None]) -> threading.Thread:
    """Do something as soon as the next run has begun a round."""
    number = network._runs + 1

    def wait() -> None:
        end = time.monotonic() + 300.0
        while "[ROUND 1/" not in network._processes.log(f"run-{number}"):
            if time.monotonic() > end:
                return
            time.sleep(0.1)
        time.sleep(2.0)  # the message is on its way or at work
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def killed_and_back(network: Deployment) -> Comeback:
    """Kill one of two hospitals in a round, start it again, and let both train."""
    thread = during_a_run(network, lambda: network.kill(1))
    with pytest.raises(RunStopped) as stopped:
        network.run({**CONFIG, "num-server-rounds": 3, "evaluate-every": 3})
    thread.join()
    connected = network.connected
    with pytest.raises(FederationError) as refused:
        network.run(CONFIG)
    network.start_node(1)
    left = network._processes.mark, network._processes.folder, network._server_port
    return Comeback(stopped.value, connected, str(refused.value), network.run(CONFIG), left)


def test_four_hospitals_over_tls_give_the_bits_of_one_process(network: Deployment, expected: FederatedRun) -> None:
    told: list[tuple[float, str]] = []
    run = network.run(CONFIG, progress=lambda share, what: told.append((share, what)))
    assert run.sha256 == expected.sha256
    assert run.rounds == expected.rounds
    assert run.patients == expected.patients
    assert told == [(0.0, "round 1 of 2"), (0.5, "round 2 of 2"), (1.0, "all rounds done")]


@pytest.mark.usefixtures("program")  # which is at work by the time its own test comes
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


def test_a_program_is_interrupted_then_killed_and_leaves_nothing(program: subprocess.Popen[str]) -> None:
    mark, folder, port = program.stdout.readline().split()
    try:
        assert program.stdout.readline() == "round 1 of 50\n"
        program.send_signal(signal.SIGINT)  # what a notebook's stop button sends
        while (line := program.stdout.readline()).endswith(" of 50\n"):
            pass
        assert line == "The run was interrupted before its last round was complete.\n"
        assert program.stdout.readline() == "round 1 of 40\n", "the federation itself goes on"
        assert len(watchdog.marked(mark)) >= 6
        assert any(Path(folder).glob("*.npz"))
    finally:
        program.kill()
    assert_nothing_left(mark, Path(folder), int(port), limit=120.0)


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
    assert network.connected == (0, 1, 2, 3)


def test_a_hospital_that_stalls_is_named_and_ended(network: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    group = network._processes
    for helper in psutil.Process(group._processes["hospital-2"].pid).children(recursive=True):
        helper.suspend()  # the hospital says that it is there, and its app never answers
    here = threading.get_ident()
    before = {f"hospital-{number}": len(group.log(f"hospital-{number}")) for number in (0, 1, 3)}

    def clock() -> float:
        """The limit is over as soon as the others have answered, however long that takes on this machine."""
        answered = all("Sending: " in group.log(name)[length:] for name, length in before.items())
        mine = threading.get_ident() == here  # another federation is at work beside this one
        return time.monotonic() + (1000.0 if mine and answered else 0.0)

    monkeypatch.setattr(deployment, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    with pytest.raises(RunStopped) as stopped:
        network.run({"num-server-rounds": 1, "reply-timeout": 900.0}, timeout=900)
    monkeypatch.undo()
    assert str(stopped.value).startswith("Hospital 2 did not answer within 900 s. Start again with start_node(2)")
    assert network.connected == (0, 1, 3)
    network.start_node(2)
    assert network.connected == (0, 1, 2, 3)


def test_a_lost_server_ends_the_run(network: Deployment) -> None:
    thread = during_a_run(network, lambda: network.kill("server"))
    with pytest.raises(RunStopped, match=r"^The server has ended\. Stop this deployment and start a new one"):
        network.run(CONFIG)
    thread.join()
    with pytest.raises(FederationError, match=r"^The server has ended"):
        network.run(CONFIG)
    with pytest.raises(FederationError, match=r"runs already"):
        network.start()


def test_a_killed_hospital_ends_the_run_and_comes_back_with_its_key_and_the_bits(comeback: Future[Comeback]) -> None:
    seen = comeback.result(timeout=300)
    assert str(seen.stopped).startswith("Hospital 1 ended during the run. Start again with start_node(1)")
    if seen.stopped.kept is not None:  # round 1 was complete a moment before
        assert [one.number for one in seen.stopped.kept.rounds] == [1]
    assert seen.connected == (0,)
    assert seen.refused.startswith("Hospital 1 cannot take part")
    assert seen.again.sha256 == in_process.run(hospitals.simulated(n=2), CONFIG).sha256
    assert_nothing_left(*seen.left, limit=120.0)


@pytest.mark.parametrize("what", ["a server that does not start", "an interrupt"])
def test_a_start_that_fails_leaves_nothing(
    four: tuple[hospitals.Hospital, ...], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    noted = started_and_ended(monkeypatch)
    if what == "an interrupt":
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        ends = pytest.raises(KeyboardInterrupt)
    else:
        fails = [sys.executable, "-c", "raise OSError('no such file')"]
        monkeypatch.setattr(commands, "server", lambda port, keys: fails)
        ends = pytest.raises(FederationError, match=r"^The server did not start: OSError: no such file")
    with ends, Deployment(four):
        pass
    [(mark, folder)] = noted
    assert watchdog.marked(mark) == []
    assert not folder.exists()
