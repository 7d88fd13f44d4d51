"""The parts of a `deployment` that need no Flower process.

Keys (`certificates`), command lines (`commands`), logs (`flower_log`), and processes that end (`process_group`). That
the `door` keeps a `stranger` out is among the faults.
"""

from __future__ import annotations

import datetime
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key
from handshake import visit

from ppml_helpers import certificates as core
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import certificates, commands, door, flower_log, hospitals
from ppml_helpers.federated_learning.app.federated_hospitals import masking
from ppml_helpers.federated_learning.deployment import Deployment
from ppml_helpers.federated_learning.process_group import ProcessGroup, marked
from ppml_helpers.federated_learning.run_config import complete, node_configs
from ppml_helpers.processes import alive

REPOSITORY = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="permissions and signals as on Linux and macOS")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> certificates.Keys:
    return certificates.make_keys(tmp_path_factory.mktemp("keys"), 2)


def test_the_server_is_trusted_by_who_knows_its_authority(keys: certificates.Keys, tmp_path: Path) -> None:
    visit(keys.certificate, keys.server_key, keys.authority, "127.0.0.1")
    other = certificates.make_strange_authority(tmp_path / "other.crt")
    with pytest.raises(ssl.SSLCertVerificationError):
        visit(keys.certificate, keys.server_key, other, "127.0.0.1")


def test_a_hospital_gets_a_key_pair_on_a_curve_that_flower_takes(keys: certificates.Keys) -> None:
    private = load_ssh_private_key(keys.hospitals[0].read_bytes(), password=None)
    public = load_ssh_public_key(keys.hospitals[0].with_name("hospital-0.pub").read_bytes())
    assert isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public
    assert keys.hospitals[0].read_bytes() != keys.hospitals[1].read_bytes()
    with pytest.raises(FileExistsError):  # no key is written over another
        certificates.make_hospital_key(keys.hospitals[0])


@posix
def test_keys_are_readable_by_their_owner_only(keys: certificates.Keys) -> None:
    files = list(keys.authority.parent.iterdir())
    assert len(files) == 4 + 2 * 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    private = {path.name for path in files if b"PRIVATE KEY" in path.read_bytes()}
    own = {"hospital-0", "hospital-0.tls", "hospital-1", "hospital-1.tls"}
    assert private == own | {"server.key"}, "the authority's key is never written"


@pytest.mark.parametrize(("days", "words"), [(-3, "has run out"), (3, "is still to come")])
def test_a_certificate_that_ran_out_and_a_clock_that_jumped_are_said_as_that(
    keys: certificates.Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, words: str
) -> None:
    certificates.check_time(keys.certificate)
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    clock = SimpleNamespace(now=lambda zone: then)
    elsewhen = SimpleNamespace(datetime=clock, timedelta=datetime.timedelta, UTC=datetime.UTC)
    monkeypatch.setattr(core, "datetime", elsewhen)
    made = certificates.make_keys(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        visit(made.certificate, made.server_key, made.authority, "127.0.0.1")
    assert words in flower_log.refusal(str(refused.value))
    with pytest.raises(FederationError, match=r"^This machine's clock says .* set the clock if it is wrong"):
        certificates.check_time(made.certificate)


def test_flower_reads_node_config_and_run_config_as_they_were_meant(tmp_path: Path, keys: certificates.Keys) -> None:
    from flwr.common.config import parse_config_args

    odd = 'it\'s a "folder" with =, blanks, é and 🏥'
    (tmp_path / odd).mkdir()
    about = node_configs([tmp_path / odd / f"hospital-{number}.npz" for number in range(4)])
    chosen = complete(hospitals.simulated(n=2), {"learning-rate": 1e-05, "out": f"{odd}/run.npz"})
    file = tmp_path / odd / "settings.toml"
    for values in (*about, chosen):
        file.write_bytes(commands.in_toml(values))
        hospital, run = commands.hospital(8123, 8124, *keys[:2], file), commands.run(tmp_path, file)
        for words, option in ((hospital, "--node-config"), (run, "--run-config")):
            assert parse_config_args([words[words.index(option) + 1]]) == values


@pytest.mark.parametrize(
    ("token", "flower", "words"), [("", "1.41.0", "has 0 char"), ("a" * 64, "1.42.0", "fits Flower")]
)
def test_a_door_that_would_stand_open_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, flower: str, words: str
) -> None:
    (tmp_path / "submit.token").write_text(f"{token}\n")
    monkeypatch.setattr(door, "version", lambda package: flower)
    with pytest.raises(SystemExit, match=words):
        door.main(["--submit-token", str(tmp_path / "submit.token"), "flower-superlink"])


def test_the_page_for_real_machines_writes_the_credentials_that_flower_reads(tmp_path: Path) -> None:
    page = (REPOSITORY / "workshop" / "real-network.md").read_text("utf-8")
    program = textwrap.dedent(re.search(r'python -c "\n(.*?)\n    " >', page, re.DOTALL)[1])
    (tmp_path / "submit.token").write_text("0123abcd\n")  # as openssl writes it
    words = [sys.executable, "-c", program.replace("federation.example.org:8000", "127.0.0.1:8000")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == commands.credentials(8000, "0123abcd")


def test_the_page_for_real_machines_writes_a_node_config_that_the_app_takes(tmp_path: Path) -> None:
    page = (REPOSITORY / "workshop" / "real-network.md").read_text("utf-8")
    program = textwrap.dedent(re.search(r'makes a pair:\n\n    python -c "\n(.*?)\n    "', page, re.DOTALL)[1])
    ran = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True) for _ in range(4)]
    pairs = [done.stdout.split()[1::2] for done in ran]
    written = textwrap.dedent(re.search(r"\n(    table = .*?)\n\n", page, re.DOTALL)[1])
    hospitals_made = []
    for number, (private, _) in enumerate(pairs):
        settings = written.replace("PRIVATE", private)
        for other, (_, public) in enumerate(pairs):
            settings = settings.replace(f"PUBLIC-{other}", public)
        found = tomllib.loads(settings)
        own, *known = map(bytes.fromhex, found.pop("identities").split())
        hospitals_made.append(masking.MaskingHospital(number, found["num-partitions"], own, known))
    keys = {one.number: one.public_keys for one in hospitals_made}
    assert [len(one.share(keys)) for one in hospitals_made] == [3] * 4
    assert found.keys() == node_configs([tmp_path])[0].keys() - {"identities", "noise-secret"} | {"protection"}


def test_the_server_demands_keys_and_tls_and_serves_this_computer_alone(keys: certificates.Keys) -> None:
    command = commands.server(8123, keys)
    rules = {"--submit-token", "--enable-supernode-auth", "--disable-runtime-dependency-installation"}
    assert rules | {"--ssl-certfile"} <= set(command)
    for words in (command, commands.hospital(1, 2, keys.authority, keys.hospitals[0], keys.token)):
        assert words[words.index("--host") + 1] == "127.0.0.1", "not the whole network"
        assert "--ssl-certfile" in words
        assert "--insecure" not in words


LOG = """
Successfully started run 7050646154000990091
\x1b[92mINFO \x1b[0m:      [ROUND 1/3]
\x1b[92mINFO \x1b[0m:      [ROUND 2/3]
\x1b[91mERROR \x1b[0m:     cannot open /home/someone/secret place/key.pem: [Errno 2] error
\x1b[92mINFO \x1b[0m:      bye
"""


PANEL = """
Loading project configuration...
╭─ Error ──────────────────────────────────────────────────────────────────────╮
│ Failed to load Flower App configuration in '/tmp/a/missing/pyproject.toml'.  │
│ File may be missing or invalid.                                              │
╰──────────────────────────────────────────────────────────────────────────────╯
"""


def test_a_run_is_followed_in_its_log_whose_last_words_tell_no_places_and_no_colours() -> None:
    assert flower_log.run_id(LOG) == "7050646154000990091"
    assert flower_log.current_round(LOG) == 2
    words = flower_log.last_words(LOG)
    assert words.startswith("ERROR :     cannot open ...")
    for frame in (PANEL, PANEL.translate(str.maketrans("│─╭╮╰╯", "|-++++"))):
        assert flower_log.last_words(frame) == (
            "Error: Failed to load Flower App configuration in '...'. File may be missing or invalid."
        )
    assert "/home" not in words
    assert "\x1b" not in words
    readers = (flower_log.run_id, flower_log.current_round, flower_log.last_words)
    assert [read("nothing yet") for read in readers] == [None, 0, ""]


def test_a_port_that_was_taken_is_a_refusal_and_a_server_that_is_not_there_yet_is_none() -> None:
    assert "port" in flower_log.refusal("[Errno 98] address already in use")
    assert flower_log.refusal("Connection refused") is None


def test_who_is_late() -> None:
    answered, at_work, silent = "Receiving: train\nSending: train\n", "Receiving: train\n", ""
    assert flower_log.late({0: answered, 1: at_work, 2: silent}) == [1, 2]
    assert flower_log.late({0: at_work, 1: silent}) == [0, 1]
    assert flower_log.late({0: answered, 1: answered + at_work, 2: answered}) == [0, 1, 2]
    for logs in ({0: silent, 1: silent}, {0: answered, 1: answered}, {}):  # not asked yet, all there, nobody
        assert flower_log.late(logs) == []


def test_a_deployment_that_does_not_run_says_so() -> None:
    network = Deployment(hospitals.simulated(n=2))
    assert repr(network) == "Deployment(2 hospitals, 0 connected)"
    for ask in (network.run, lambda: network.knock("no key"), lambda: network.token):
        with pytest.raises(FederationError, match="does not run: start"):
            ask()
    network.stop()
    with pytest.raises(FederationError, match="at least 2"):
        Deployment(network.hospitals[:1])


SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessGroup]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = ProcessGroup()
    yield made
    made.end()


@posix
def test_a_group_works_in_a_folder_of_its_own_and_is_ended_with_its_watchdog(
    group: ProcessGroup, tmp_path: Path
) -> None:
    assert group.folder.stat().st_mode & 0o777 == 0o700
    for name in ("killed", "left"):
        group.start(name, [sys.executable, "-c", f"print('ready', flush=True); {SLEEP}"])
        end = time.monotonic() + 120
        while "ready" not in group.log(name):
            assert time.monotonic() < end
            time.sleep(0.05)
    with pytest.raises(FederationError, match="left runs already"):
        group.start("left", [])
    before = marked(group.mark)
    assert len(before) == 2
    group.kill("killed")
    group.kill("never started")
    assert not group.is_alive("killed")
    assert group.is_alive("left")
    group.end()
    assert not any(alive(process) for process in before)
    assert group._watchdog.poll() is not None
    assert list(tmp_path.iterdir()) == []


def test_processes_get_no_proxy_and_no_settings_of_flower_from_elsewhere(
    group: ProcessGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    monkeypatch.setenv("FLWR_DATABASE", "somewhere.db")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    given = group.environment()
    assert "FLWR_DATABASE" not in given
    assert given["FLWR_TELEMETRY_ENABLED"] == "0"
    assert Path(given["FLWR_HOME"]).parent == group.folder
    assert {name for name in given if name.lower().endswith("_proxy")} == {"NO_PROXY", "no_proxy"}
    assert Path(given["TMPDIR"]) == group.folder


PARENT = """
import sys, tempfile, time
from ppml_helpers.federated_learning.process_group import ProcessGroup, marked
tempfile.tempdir = sys.argv[1]
group = ProcessGroup()
group.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
print(group.mark, flush=True)
if sys.argv[2] == "wait":
    time.sleep(600)
"""


@posix
@pytest.mark.parametrize("end", ["kill", "exit", "interrupt"])
def test_nothing_is_left_however_the_program_ends(tmp_path: Path, end: str) -> None:
    words = [sys.executable, "-c", PARENT, str(tmp_path), "exit" if end == "exit" else "wait"]
    parent = subprocess.Popen(
        words, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        mark = parent.stdout.readline().strip()
        if end == "kill":
            assert len(marked(mark)) == 1
            os.killpg(parent.pid, signal.SIGKILL)  # as Jupyter ends a kernel: with its whole group
        elif end == "interrupt":
            parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=120)
        limit = time.monotonic() + 120
        while (marked(mark) or list(tmp_path.iterdir())) and time.monotonic() < limit:
            time.sleep(0.1)
        assert marked(mark) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        if parent.poll() is None:
            parent.kill()
            parent.communicate()
