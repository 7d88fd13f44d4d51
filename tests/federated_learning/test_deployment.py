"""The parts of a deployment that need no Flower process: keys, command lines, logs, ports, and processes that end."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import (
    certificates,
    commands,
    deployment,
    flower_log,
    hospitals,
    in_process,
    watchdog,
)
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.processes import ProcessGroup

REPOSITORY = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="permissions and signals as on Linux and macOS")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> certificates.Keys:
    return certificates.make_keys(tmp_path_factory.mktemp("keys"), 2)


def handshake(keys: certificates.Keys, trusted: Path, name: str) -> None:
    """Let a client that trusts `trusted` meet the server under `name`, in memory."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(keys.certificate, keys.server_key)
    down, up = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=trusted).wrap_bio(down, up, server_hostname=name)
    server = serving.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() is not None


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_server_is_trusted_under_its_own_names(keys: certificates.Keys, name: str) -> None:
    handshake(keys, keys.authority, name)


def test_the_server_is_not_trusted_under_another_name(keys: certificates.Keys) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(keys, keys.authority, "hospital.example")


def test_another_authority_does_not_vouch_for_the_server(keys: certificates.Keys, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(keys, certificates.make_strange_authority(tmp_path / "other.crt"), "127.0.0.1")


def test_a_hospital_gets_a_key_pair_on_a_curve_that_flower_takes(keys: certificates.Keys) -> None:
    private = load_ssh_private_key(keys.hospitals[0].read_bytes(), password=None)
    public = load_ssh_public_key(keys.hospitals[0].with_name("hospital-0.pub").read_bytes())
    assert isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public
    assert keys.hospitals[0].read_bytes() != keys.hospitals[1].read_bytes()


@posix
def test_keys_are_readable_by_their_owner_only(keys: certificates.Keys) -> None:
    files = list(keys.authority.parent.iterdir())
    assert len(files) == 3 + 2 * 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    private = {path.name for path in files if b"PRIVATE KEY" in path.read_bytes()}
    assert private == {"server.key", "hospital-0", "hospital-1"}, "the authority's key is never written"


def test_a_key_is_not_written_over_another(keys: certificates.Keys) -> None:
    with pytest.raises(FileExistsError):
        certificates.make_hospital_key(keys.hospitals[0])


def test_flower_reads_the_node_config_as_it_was_meant(tmp_path: Path, keys: certificates.Keys) -> None:
    from flwr.common.config import parse_config_args

    table = tmp_path / 'it\'s a "folder" with =, blanks, é and 🏥' / "hospital-1.npz"
    about = deployment.node_config(1, 4, table)
    command = commands.hospital(8123, 8124, keys.authority, keys.hospitals[1], about)
    assert parse_config_args([command[command.index("--node-config") + 1]]) == about


def test_flower_reads_the_run_config_as_it_was_meant() -> None:
    from flwr.common.config import parse_config_args

    from ppml_helpers.federated_learning.settings import settings

    chosen = settings(hospitals.simulated(n=2), {"learning-rate": 1e-05, "out": 'it\'s a "folder" = é 🏥/run.npz'})
    assert parse_config_args([commands.in_toml(chosen)]) == chosen


def test_a_simulated_hospital_knows_the_same_deployed_and_in_process(tmp_path: Path) -> None:
    nodes = in_process._nodes([tmp_path / "a.npz", tmp_path / "b.npz"], {})
    assert deployment.node_config(1, 2, tmp_path / "b.npz") == nodes[2].node_config


def test_the_server_demands_keys_and_tls(keys: certificates.Keys) -> None:
    command = commands.server(8123, keys)
    assert {"--enable-supernode-auth", "--ssl-certfile", "--disable-runtime-dependency-installation"} <= set(command)
    assert "--insecure" not in command
    assert command[command.index("--host") + 1] == "127.0.0.1", "not the whole network"
    assert "--insecure" not in commands.hospital(1, 2, keys.authority, None, {})
    assert "--auth-supernode-private-key" not in commands.hospital(1, 2, keys.authority, None, {})


LOG = """
Successfully started run 7050646154000990091
\x1b[92mINFO \x1b[0m:      [ROUND 1/3]
\x1b[92mINFO \x1b[0m:      [ROUND 2/3]
\x1b[91mERROR \x1b[0m:     cannot open /home/someone/secret place/key.pem: [Errno 2] error
\x1b[92mINFO \x1b[0m:      bye
"""


def test_a_run_is_followed_in_its_log() -> None:
    assert flower_log.run_id(LOG) == "7050646154000990091"
    assert flower_log.run_id("nothing yet") is None
    assert flower_log.current_round(LOG) == 2
    assert flower_log.current_round("") == 0


def test_the_last_words_tell_no_places_and_no_colours() -> None:
    words = flower_log.last_words(LOG)
    assert words.startswith("ERROR :     cannot open ...")
    assert "/home" not in words
    assert "\x1b" not in words
    assert flower_log.last_words("all is well") == ""


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "does not trust the server"),
        ("Exit Code: 305\n[code: 2001] SuperNode authentication is enabled.", "without a key"),
        ("[code: 2004] Failed to activate SuperNode.", "does not know its key"),
        ("[Errno 98] address already in use", "port"),
        ("Connection refused", None),
    ],
)
def test_refusals_are_put_in_words(sign: str, words: str | None) -> None:
    found = flower_log.refusal(sign)
    assert found is None if words is None else words in found


def test_who_is_late() -> None:
    answered, at_work, silent = "Receiving: train\nSending: train\n", "Receiving: train\n", ""
    assert flower_log.late({0: answered, 1: at_work, 2: silent}) == [1, 2]
    assert flower_log.late({0: at_work, 1: silent}) == [0, 1]
    assert flower_log.late({0: answered, 1: answered + at_work, 2: answered}) == [0, 1, 2]
    assert flower_log.late({0: silent, 1: silent}) == [], "the server has not asked yet"
    assert flower_log.late({0: answered, 1: answered}) == []
    assert flower_log.late({}) == []


@pytest.mark.parametrize("port", [0, 65536, -1, True, 80.5, "8080", None])
def test_a_port_that_is_none_is_refused(port: object) -> None:
    with pytest.raises(FederationError, match="whole number from 1 to 65535"):
        deployment.checked_port(port)


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind((certificates.ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(FederationError, match=f"Port {port} is not free"):
            deployment.checked_port(port)
    assert deployment.checked_port(port) == port


def test_free_ports_differ() -> None:
    assert len(set(deployment.free_ports(20))) == 20


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "60", None])
def test_a_limit_that_is_none_is_refused(timeout: object) -> None:
    with pytest.raises(FederationError, match=r"timeout = .* must be a number of seconds above 0"):
        deployment.checked_seconds(timeout)


def test_a_deployment_that_does_not_run_says_so() -> None:
    network = Deployment(hospitals.simulated(n=2))
    assert repr(network) == "Deployment(2 hospitals, 0 connected)"
    for ask in (network.run, lambda: network.kill(0), lambda: network.start_node(0)):
        with pytest.raises(FederationError, match="does not run: start"):
            ask()
    network.stop()


def test_one_hospital_is_no_federation() -> None:
    with pytest.raises(FederationError, match="at least 2"):
        Deployment(hospitals.simulated(n=2)[:1])


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="No private folder can be made"):
        Deployment(hospitals.simulated(n=2), folder=tmp_path / "none").start()


SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# Ignores requests, and has a child in a session of its own that nobody would find by looking for children.
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    'code = \'import os, subprocess, sys; subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\'\n'
    "subprocess.Popen([sys.executable, '-c', code], start_new_session=True).wait()\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n",
]


def wait_for(group: ProcessGroup, name: str, words: str) -> None:
    end = time.monotonic() + 30
    while words not in group.log(name):
        assert time.monotonic() < end
        time.sleep(0.05)


@posix
def test_every_process_is_ended_orphans_and_stubborn_ones_too(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path)
    try:
        assert group.folder.stat().st_mode & 0o777 == 0o700
        group.start("calm", SLEEP)
        group.start("stubborn", STUBBORN)
        wait_for(group, "stubborn", "ready")
        before = watchdog.marked(group.mark)
        assert len(before) == 3
        assert psutil.pid_exists(group._watchdog.pid)
        with pytest.raises(FederationError, match="calm runs already"):
            group.start("calm", SLEEP)
    finally:
        group.end()
    assert watchdog.marked(group.mark) == []
    assert not any(watchdog.alive(process) for process in before)
    assert group._watchdog.poll() is not None
    assert list(tmp_path.iterdir()) == []
    group.end()


@posix
def test_a_stopped_process_is_woken_to_hear_the_request(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path)
    try:
        psutil.Process(group.start("frozen", SLEEP).pid).suspend()
        start = time.monotonic()
        group.stop("frozen", patience=10)
        assert time.monotonic() - start < 5
        assert not group.is_alive("frozen")
        group.kill("never started")
    finally:
        group.end()


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path)
    try:
        assert group.ask(SLEEP, limit=0.5) is None
        assert watchdog.marked(group.mark) == []
        done = group.ask([sys.executable, "-c", "import sys; print('so'); sys.exit(3)"], limit=30)
        assert (done.returncode, done.stdout.strip()) == (3, "so")
    finally:
        group.end()


def test_processes_get_no_settings_of_flower_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_DATABASE", "somewhere.db")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    group = ProcessGroup(tmp_path)
    try:
        given = group.environment()
    finally:
        group.end()
    assert "FLWR_DATABASE" not in given
    assert given["FLWR_TELEMETRY_ENABLED"] == "0"
    assert given["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert Path(given["FLWR_HOME"]).parent == group.folder
    assert "127.0.0.1" in given["NO_PROXY"]


PARENT = """
import sys, time
from pathlib import Path
from ppml_helpers.federated_learning.processes import ProcessGroup
group = ProcessGroup(Path(sys.argv[1]))
group.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
print(group.mark, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


@posix
@pytest.mark.parametrize("end", ["kill", "exit", "interrupt"])
def test_nothing_is_left_however_the_program_ends(tmp_path: Path, end: str) -> None:
    words = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), "exit" if end == "exit" else "wait"]
    parent = subprocess.Popen(
        words, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        mark = parent.stdout.readline().strip()
        if end == "kill":
            assert len(watchdog.marked(mark)) == 1
            os.killpg(parent.pid, signal.SIGKILL)  # as Jupyter ends a kernel: with its whole group
        elif end == "interrupt":
            parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=30)
        limit = time.monotonic() + 20
        while (watchdog.marked(mark) or list(tmp_path.iterdir())) and time.monotonic() < limit:
            time.sleep(0.1)
        assert watchdog.marked(mark) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        if parent.poll() is None:
            parent.kill()
            parent.communicate()
