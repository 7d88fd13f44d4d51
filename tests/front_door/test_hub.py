"""The parts of a workshop's hub that need no JupyterHub; test_attacks_hub.py attacks the whole."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from packaging.requirements import Requirement

from front_door import hub, hub_system, places
from front_door.doctor import hub_holds
from front_door.hub_people import Attempts, Passwords, give_copies, write_slips
from front_door.terminal import Stop
from front_door.workshop_hub.relay import Relay


def test_passwords_are_kept_as_salted_hashes_alone(tmp_path: Path) -> None:
    passwords = Passwords.read(tmp_path / "passwords.json")
    slips = passwords.give(["learner-01", "learner-02"])
    assert all(re.fullmatch(r"([a-z2-9]{4}-){2}[a-z2-9]{4}", password) for password in slips.values())
    passwords.write(tmp_path / "passwords.json")
    kept = (tmp_path / "passwords.json").read_text()
    assert not any(password in kept for password in slips.values())
    assert (tmp_path / "passwords.json").stat().st_mode & 0o777 == 0o600
    again = Passwords.read(tmp_path / "passwords.json")
    assert again.give(["learner-01", "learner-03"]).keys() == {"learner-03"}  # nobody's is changed
    assert again.fits("learner-01", slips["learner-01"])
    for name, password in (("learner-01", slips["learner-02"]), ("learner-01", ""), ("nobody", slips["learner-01"])):
        assert not again.fits(name, password)


def test_wrong_passwords_are_counted_by_name_and_forgotten_after_a_while() -> None:
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    for second in range(Attempts.MOST):
        assert attempts.may_try("learner-01")
        now[0] = second
        attempts.failed("learner-01")
    assert not attempts.may_try("learner-01")
    assert attempts.may_try("learner-02")
    now[0] = Attempts.WINDOW - 0.5
    assert not attempts.may_try("learner-01")
    now[0] = Attempts.WINDOW
    assert attempts.may_try("learner-01")
    attempts.failed("learner-01")  # one is forgotten, one is new
    assert not attempts.may_try("learner-01")


def test_slips_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    write_slips(tmp_path, {"lecturer": "a", "learner-01": "b"}, "https://here/")
    page = write_slips(tmp_path, {"learner-02": "c"}, "https://there/?a&b")
    assert (tmp_path / "slips.txt").read_text() == "lecturer\ta\nlearner-01\tb\nlearner-02\tc\n"
    assert page.read_text().count("https://there/?a&amp;b") == 3
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_copy_is_given_once_whole_and_never_again(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        folder.mkdir()
        (folder / "kit.py").write_text("the edition")

    (tmp_path / "learners").mkdir()
    (tmp_path / "making" / "learner-01").mkdir(parents=True)  # of a start that was broken off
    assert give_copies(tmp_path, {"learner-01": None}, make) == ["learner-01"]
    work = tmp_path / "learners" / "learner-01" / "course" / "kit.py"
    work.write_text("my work")
    assert give_copies(tmp_path, dict.fromkeys(("learner-01", "learner-02")), make) == ["learner-02"]
    assert work.read_text() == "my work"
    assert give_copies(tmp_path, {"learner-01": None}, make) == []
    assert len(made) == 2
    assert work.parent.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"learners": 0}, "1 to 99 learners, not 0"),
        ({"memory": "1GB"}, "--memory is '1GB'"),
        ({"memory": "100M"}, "400M or more"),
        ({"port": 70000}, "70000 is no port"),
        ({"idle": 30}, "--idle is 30: an unused server ends after 60 seconds or more"),
        ({"certificate": "a.crt"}, "--certificate and --key"),
        ({"host": "127.0.0.1"}, "this machine alone"),
        ({"host": "localhost"}, "this machine alone"),
        ({"behind": "http://hub.example.org"}, "speaks TLS"),
        ({"behind": "https://hub.example.org", "host": "192.0.2.1"}, "does not go with it"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Stop, match=re.escape(told)):
        hub._checked(hub.Plan(**asked))


def test_without_node_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Stop, match=r"Node\.js, which is not here: install node"):
        hub._checked(hub.Plan())


def test_without_isolation_only_who_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.shutil, "which", lambda name: name)
    monkeypatch.setattr(hub_system.os, "geteuid", lambda: 1000)
    with pytest.raises(Stop, match=r"since it takes root .*--no-isolation"):
        hub._checked(hub.Plan())
    assert hub._checked(hub.Plan(isolated=False, memory="1.5G")) == 3 * 2**29


def test_two_hubs_with_one_folder_are_refused(tmp_path: Path) -> None:
    with hub._one_at_a_time(tmp_path), pytest.raises(Stop, match="running already"), hub._one_at_a_time(tmp_path):
        pass
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_the_learner_edition_has_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "ROOT", tmp_path)
    with pytest.raises(Stop, match="learner edition"):
        hub.remove(hub.Plan())


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
@pytest.mark.parametrize("host", ["192.0.2.1", "hub.example.org"])
def test_a_certificate_of_its_own_is_for_the_address_alone_and_is_kept(tmp_path: Path, host: str) -> None:
    (tmp_path / "secrets").mkdir()
    made = hub._certificate(hub.Plan(host=host, state=tmp_path))
    assert Path(made[1]).stat().st_mode & 0o777 == 0o600
    certificate = x509.load_pem_x509_certificate(Path(made[0]).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [host]
    content = Path(made[0]).read_bytes()
    assert hub._certificate(hub.Plan(host=host, state=tmp_path)) == made
    assert Path(made[0]).read_bytes() == content


@pytest.mark.parametrize(("files", "folder"), [(["cgroup.controllers"], ""), ([], "memory")])
def test_memory_is_limited_by_control_groups_of_either_version(tmp_path: Path, files: list[str], folder: str) -> None:
    for name in files:
        (tmp_path / name).write_text("cpu memory pids")
    (tmp_path / folder).mkdir(exist_ok=True)
    groups = hub_system.limit_memory("t", ["learner-01"], 2**30, tmp_path)
    one = tmp_path / folder / "kit-hub-t" / "learner-01"
    assert groups == {"learner-01": str(one / "cgroup.procs")}
    assert {path.read_text() for path in one.iterdir()} == {str(2**30)}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_the_launcher_gives_up_root_for_good_and_limits_what_has_no_control_group() -> None:
    code = (
        "import os, launcher\nlauncher.give_up_root(65534, 65534, 50_000_000)\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups(), oct(os.umask(0)))\n"
        "for use in (lambda: os.setuid(0), lambda: bytearray(200_000_000), lambda: open('/proc/self/mem')):\n"
        "    try:\n        use()\n        print('done')\n"
        "    except (OSError, MemoryError) as error:\n        print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=hub.PARTS, capture_output=True, text=True, check=True)
    users, *refused = done.stdout.splitlines()
    assert users == "(65534, 65534, 65534) (65534, 65534, 65534) [] 0o77"
    assert refused == ["PermissionError", "MemoryError", "PermissionError"]


def test_where_no_control_group_can_be_made_none_is_promised(tmp_path: Path) -> None:
    assert hub_system.limit_memory("t", ["learner-01"], 2**30, tmp_path / "nowhere") == {}


def test_a_cell_shows_the_environments_and_a_home_and_hides_the_kit(tmp_path: Path) -> None:
    home = tmp_path / "state" / "learners" / "learner-01"
    home.mkdir(parents=True)
    cell = hub._cell(home)
    hidden, read = map(Path, cell["hide"]), list(map(Path, cell["read"]))
    hidden = list(hidden)
    for path in (places.ROOT / "notebooks", places.ROOT / ".git", home.parent, tmp_path / "state" / "secrets"):
        assert any(folder in path.parents or folder == path for folder in hidden)
        assert not any(folder in path.parents or folder == path for folder in read)
    assert not any(folder in other.parents for folder in hidden for other in hidden)
    assert places.COURSE.folder in read


def test_a_learners_variables_hold_nothing_of_who_runs_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_TOKEN", "a secret")
    monkeypatch.setenv("PATH", "/a/secret/bin")
    assert "secret" not in json.dumps(hub._variables(tmp_path, "learner-01"))


def test_the_locks_are_exact_and_name_no_index() -> None:
    text = (places.ROOT / "requirements-hub.lock").read_text()
    pins = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins)
    lock = json.loads((hub.PARTS / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
    wanted = json.loads((hub.PARTS / "package.json").read_text())["dependencies"]
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}


def test_two_networks_talk_over_one_pair_of_sockets() -> None:
    """A line goes through both relays and back, in either direction; who asks where nobody listens is sent away."""

    async def all_of_it() -> list[bytes]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = echo.sockets[0].getsockname()[1]
        left, right = hub._free_port(), hub._free_port()
        relays = Relay(ours, listen=left, target=port), Relay(theirs, listen=right, target=1)
        for relay in relays:
            await relay.start()
        told = [await _ask(right, b"x" * 200_000), await _ask(left, b"to port 1, where nobody listens")]
        for relay in relays:
            relay.stop()
        echo.close()
        return told

    assert asyncio.run(all_of_it()) == [b"x" * 200_000, b""]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    writer.close()


async def _ask(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("memory", "cores", "told"),
    [(32.0, 8, "about 52 learners"), (32.0, 2, "about 16 learners"), (0.5, 8, "no workshop's hub")],
)
def test_the_doctor_says_how_many_learners_fit(memory: float, cores: int, told: str) -> None:
    assert told in hub_holds(memory, cores).text
