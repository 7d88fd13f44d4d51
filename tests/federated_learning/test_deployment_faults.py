"""A federation over TLS, and what can happen to it: real processes of Flower, really killed, stopped and refused.

Each fault ends in one sentence of the kit's own watch (Flower notices a lost node after a minute, and says it in other
words), keeps the rounds that were complete, and leaves no process, port or key behind. The tests that share one
`deployment` run in the order in which they stand here. What takes longest happens in a program with federations of its
own beside the other tests; at its end that program is killed too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from ppml_helpers.certificates import ADDRESS
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import commands, deployment, hospitals, in_process, stranger
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.process_group import marked
from ppml_helpers.federated_learning.results import RunStopped

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = {"num-server-rounds": 2, "evaluate-every": 2, "seed": 7}
MASKED = {"num-server-rounds": 1, "evaluate-every": 2, "seed": 7, "protection": "masks"}

PROGRAM = """
import json, os, signal, sys
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import hospitals, in_process
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

two = hospitals.simulated(n=2)
with Deployment(two) as network:
    tell(**stopped_in_round_2(lambda: os.kill(os.getpid(), signal.SIGINT)))  # what a notebook's stop button sends
    again = network.run(config, timeout=900.0).sha256
    try:  # a second sum from the same model, with one hospital more
        in_process.run([*two, hospitals.simulated(n=2, seed=1)[0]], config)
    except RunStopped as error:
        tell(second=str(error))
    tell(**stopped_in_round_2(lambda: network._processes.kill("hospital-1")), connected=network.connected, again=again)
    try:
        network.run(config)
    except FederationError as error:
        tell(refused=str(error))
with Deployment(two) as network:
    tell(mark=network._processes.mark, folder=str(network._processes.folder), port=network.port)
    network.run({"num-server-rounds": 50}, progress=lambda share, what: tell(at=what))
"""


@pytest.fixture(scope="module")
def three() -> tuple[hospitals.Hospital, ...]:
    return hospitals.simulated(n=3)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A federation in a surrounding as odd as those of real desks: proxies that lead nowhere, odd homes and folders."""
    odd = tmp_path_factory.mktemp("odd") / 'Tëmp "q" it\'s $HOME #1'
    odd.mkdir()
    proxies = dict.fromkeys(("http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "socks5://127.0.0.1:9")
    surrounding = os.environ | proxies | {"TMPDIR": str(odd), "HOME": "/nowhere", "FLWR_DATABASE": "/nowhere/x.db"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(MASKED)]
    with (odd.parent / "said").open("w+") as said:
        streams = {"stdout": subprocess.PIPE, "stderr": said, "text": True}
        running = subprocess.Popen(command, cwd=REPOSITORY, env=surrounding, **streams)
        yield running
        running.kill()
        running.communicate(timeout=120)
        said.seek(0)
        print(said.read())  # beside the failure of the test that was last


@pytest.fixture(scope="module")
def network(three: tuple[hospitals.Hospital, ...], program: subprocess.Popen[str]) -> Iterator[Deployment]:
    running = Deployment(three)
    with running:
        mark, folder, port = running._processes.mark, running._processes.folder, running.port
        assert len(marked(mark)) >= 8, "a server, three hospitals, and a helper for each"
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
    while (marked(mark) or folder.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert marked(mark) == []
    assert not folder.exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # forgives connections that have just ended
        probe.bind((ADDRESS, port))


def test_three_hospitals_over_tls_give_the_bits_of_one_process(
    network: Deployment, three: tuple[hospitals.Hospital, ...]
) -> None:
    told: list[tuple[float, str]] = []
    listed: list[str] = []

    def look(*words: object) -> None:
        told.append(words)
        listed.extend(word for process in marked(network._processes.mark) for word in process.cmdline())

    run = network.run(CONFIG, progress=look, timeout=900.0)
    assert "--token-file" in listed
    assert "--token" not in listed, "whoever lists the processes could answer in a hospital's name"
    expected = in_process.run(three, CONFIG)
    assert run.sha256 == expected.sha256
    assert run.rounds == expected.rounds
    assert run.patients == expected.patients
    assert told == [(0.0, "round 1 of 2"), (0.5, "round 2 of 2"), (1.0, "all rounds done")]


STRANGER = """
import json, os, pathlib, psutil, re, sys
import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from flwr.cli.build import build_fab_from_files  # before the user is changed, who may not read packages everywhere
from flwr.supercore.control import ControlHttpClient
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import stranger

port = int(sys.argv[1])
client = httpx.Client(verify=False, trust_env=False, timeout=60)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)  # nobody
try:
    said = sorted(stranger.break_in(port))
except FederationError as refused:
    said = str(refused)

found = {one.pid: one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])}  # every user may list them
lists = {pid: words for pid, words in found.items() if f"127.0.0.1:{port}" in " ".join(words)}
ports = {port} | {int(words[words.index("--port") + 1]) for words in lists.values() if "--port" in words}
head = dict(RuntimeVersionMetadata.from_local_component("flwr CLI").as_metadata())
head |= {"content-type": PROTOBUF_MEDIA_TYPE, "accept": PROTOBUF_MEDIA_TYPE}
task = AcquireTaskRequest(supported_task_types=["flwr-serverapp", "flwr-clientapp"]).SerializeToString()
open_to_all = {}
for at in sorted(ports):
    base = f"https://127.0.0.1:{at}"
    for path, methods in client.get(f"{base}/openapi.json").json()["paths"].items():
        body = task if path.endswith("acquire-task") else b""
        for method in methods:
            code = client.request(method, base + path, content=body, headers=head).status_code
            open_to_all.setdefault(code, []).append(path)

def reads(path):
    try:
        return len(pathlib.Path(path).read_bytes()) > 0
    except OSError:
        return False

files = {word for words in lists.values() for word in words if word.startswith("/") and "federation-" in word}
files |= {word.replace(".toml", ".npz") for word in files}
files |= {f"/proc/{pid}/environ" for pid in lists}
print(json.dumps({"uid": os.getuid(), "said": said, "codes": open_to_all, "ports": len(ports), "files": len(files),
                  "read": sorted(filter(reads, files))}))
"""


def test_a_stranger_on_this_machine_runs_nothing_and_fetches_nothing(
    network: Deployment, three: tuple[hospitals.Hospital, ...]
) -> None:
    """Who holds nothing but the ports, which every user of a machine can list, as another user where that is ours."""
    group = network._processes
    loot = stranger.break_in(network.port, network.token)  # the attack is a good one, in the hands of who may submit
    assert {number: patients for number, (patients, _) in loot.items()} == {n: three[n].patients for n in range(3)}
    assert all(np.array_equal(record, three[number].X_train[0]) for number, (_, record) in loot.items())
    before = [group.log(f"hospital-{number}").count("Receiving: ") for number in range(3)]
    words = [sys.executable, "-c", STRANGER, str(network.port)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, env=group.environment())
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    assert got["said"] == "The server refused the stranger's run: 401 Unauthorized."
    assert got["ports"] == 4
    assert len(got["codes"].pop("401")) > 100
    assert set(got["codes"].pop("200")) == {"/health", "/v1/control/get-login-details"}  # which says that none exist
    assert got["codes"] == {"501": ["/v1/control/get-auth-tokens"]}
    assert [group.log(f"hospital-{number}").count("Receiving: ") for number in range(3)] == before
    if got["uid"] == 0 or os.getuid() != 0:
        warnings.warn("Not tried as another user of this machine: that takes root.", stacklevel=1)
    else:
        assert got["files"] >= 10
        assert got["read"] == []


PUPPETS = """

from . import masking, secure_aggregation

_register, _ask = secure_aggregation._Sum._register, secure_aggregation._Sum._ask


def puppets(self, replies):
    others = {number: masking.MaskingHospital(number, len(replies)) for number in range(1, len(replies))}
    return _register(self, replies) | {number: other.public_keys for number, other in others.items()}


def ask(self, kind, contents):  # the others would say that these are not their keys
    return _ask(self, kind, {0: contents[0]} if kind == secure_aggregation.SHARES else contents)


secure_aggregation._Sum._register, secure_aggregation._Sum._ask = puppets, ask
"""


def test_a_server_with_puppets_reads_no_hospital_behind_masks(
    network: Deployment, three: tuple[hospitals.Hospital, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part of the app was rewritten: it names keys of hospitals that do not exist to the only one that does."""
    listed = [word for one in marked(network._processes.mark) for word in one.cmdline()]
    folder = network._processes.folder
    settings = folder / "hospital-0.toml"
    assert str(settings) in listed
    private = tomllib.loads(settings.read_text("utf-8"))["identities"].split()[0]
    assert not any(private in word for word in listed), "every user of a machine may list these"
    shutil.copytree(deployment.APP, tmp_path / "app")
    with (tmp_path / "app" / "federated_hospitals" / "server_app.py").open("a") as server:
        server.write(PUPPETS)
    monkeypatch.setattr(deployment, "APP", tmp_path / "app")
    in_process.run(three, MASKED)
    with pytest.raises(RunStopped, match=r"Hospital 0: The keys named as hospital 1's are not signed by it"):
        network.run(MASKED, timeout=900.0)
    assert {entry.name for entry in (folder / "hospital-0.npz.sums").iterdir()} == set(three[0].sums), "it was reminded"


def test_flower_as_it_is_delivered_takes_a_run_from_everybody(network: Deployment) -> None:
    """The same server without the door; told to start no program, so that nothing runs while the port is open."""
    port, group = deployment.free_port(), network._processes
    group.start("open", [*commands.server(port, network._keys, door=False), "--isolation", "process"])
    end = time.monotonic() + 120
    while "Uvicorn running" not in group.log("open") and time.monotonic() < end:
        time.sleep(0.1)
    assert stranger.submit(port) > 0
    group.kill("open")


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
    with pytest.raises(FederationError, match=f"^The stranger could not connect: {words}") as e:
        network.knock(mistake)
    assert str(network._processes.folder) not in str(e.value)
    assert network.connected == before
    assert not [one for one in marked(network._processes.mark) if any("stranger" in w for w in one.cmdline())]


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


def test_a_hospital_that_stalls_is_named(network: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    group = network._processes
    stalled = psutil.Process(group._processes["hospital-2"].pid).children(recursive=True)
    for helper in stalled:
        helper.suspend()  # the hospital says that it is there, and its app never answers
    before = {f"hospital-{number}": len(group.log(f"hospital-{number}")) for number in (0, 1)}

    def clock() -> float:
        """The limit is over as soon as the others have answered, however long that takes on this machine."""
        answered = all("Sending: " in group.log(name)[length:] for name, length in before.items())
        return time.monotonic() + (1000.0 if answered else 0.0)

    monkeypatch.setattr(deployment, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    with pytest.raises(RunStopped, match=r"^Hospital 2 did not answer within 900 s\. Give it more time"):
        network.run({"num-server-rounds": 1, "reply-timeout": 900.0}, timeout=900)
    monkeypatch.undo()
    for helper in stalled:
        with contextlib.suppress(psutil.NoSuchProcess):  # its hospital may have ended a helper that had started one app
            helper.resume()
    assert network.connected == (0, 1, 2)


def test_a_lost_server_ends_the_run(network: Deployment) -> None:
    with pytest.raises(RunStopped, match=r"^The server has ended\. Stop this deployment and start a new one"):
        network.run(CONFIG, progress=lambda share, what: network._processes.kill("server"))
    with pytest.raises(FederationError, match=r"^The server has ended"):
        network.run(CONFIG)
    with pytest.raises(FederationError, match=r"runs already"):
        network.start()


def test_interrupts_and_lost_hospitals_keep_the_rounds_and_a_killed_program_leaves_nothing(
    program: subprocess.Popen[str],
) -> None:
    told = [line for _ in range(6) if (line := program.stdout.readline())]
    assert len(told) == 6, (told, program.wait(60))
    interrupted, refused, lost, after, federation, at_work = map(json.loads, told)
    assert interrupted["said"] == "The run was interrupted before its last round was complete."
    assert lost["said"].startswith("Hospital 1 ended during the run. Stop this deployment and start a new one")
    assert interrupted["kept"][0] == lost["kept"][0] == 1
    assert lost["again"] == in_process.run(hospitals.simulated(n=2), MASKED).sha256, "the masks come off over TLS too"
    assert "has helped to unmask a sum of hospitals 0 1 from this very model" in refused["second"]
    assert lost["connected"] == [0]
    assert after["refused"].startswith("Hospital 1 cannot take part")
    assert at_work == {"at": "round 1 of 50"}
    mark, folder = federation["mark"], Path(federation["folder"])
    assert len(marked(mark)) >= 6
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
        monkeypatch.setattr(commands, "server", lambda *given: fails)
        ends = pytest.raises(FederationError, match=r"^The server did not start: OSError: no such file")
    with ends, Deployment(three):
        pass
    [(mark, folder)] = noted
    assert marked(mark) == []
    assert not folder.exists()
