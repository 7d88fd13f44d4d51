"""A job that asks for too much ends within its limits, with all that it started (`runner`, `confined`)."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppml_helpers import processes
from ppml_helpers.errors import SandboxError
from ppml_helpers.sandbox import runner
from ppml_helpers.sandbox.runner import Limits

MIB = 2**20
SMALL = Limits(seconds=20, memory=400 * MIB, disk=16 * MIB, processes=20, output=MIB)
FORKS = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
TOGETHER = (
    "import os, time\nfor _ in range(5):\n    os.fork() or (bytearray(120 * 2**20), time.sleep(60))\ntime.sleep(60)"
)
kept = pytest.mark.skipif(runner.confinement() == "limits", reason="this system has neither namespaces nor Landlock")
namespaces = pytest.mark.skipif(runner.confinement() != "namespaces", reason="no namespaces here")


def jobs_in(folder: Path) -> list[Any]:
    """What still runs of the jobs with a scratch folder in a folder."""
    place = str(folder.resolve())
    return processes.running(lambda variables: variables.get("PPML_SCRATCH", "").startswith(place))


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


@namespaces
@pytest.mark.parametrize(
    ("command", "seconds", "why", "said"),
    [
        (python("bytearray(10 * 2**30)"), 20, "", "MemoryError"),
        (python(TOGETHER), 20, "memory", ""),
        (python(FORKS), 0.5, "seconds", ""),
        (["bash", "-c", "for i in 1 2 3; do head -c 12000000 /dev/zero > $i; done"], 20, "", "No space left"),
        (["bash", "-c", "for i in $(seq 50000); do : > $i; done"], 20, "", "No space left"),
        (["yes"], 20, "", ""),  # prints without end
        (["bash", "-c", "trap '' INT TERM HUP; setsid sleep 600 & sleep 600"], 0.5, "seconds", ""),
    ],
    ids=["memory", "memory-together", "forks", "disk", "files", "prints", "sleeps"],
)
def test_too_much_ends_within_its_limits_and_nothing_stays(tmp_path, command, seconds, why, said):
    ended = runner.run(tmp_path, command, {}, limits=replace(SMALL, seconds=seconds))
    assert (ended.status, ended.why) == ("failed", why)
    assert said in ended.logs["stderr"]
    assert sum(len(text) for text in ended.logs.values()) <= 2 * SMALL.output
    assert sum(len(data or b"") for data in ended.files.values()) <= SMALL.output
    assert jobs_in(tmp_path) == list(tmp_path.iterdir()) == []


@namespaces
@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_a_course_below_a_folder_that_every_job_has(tmp_path, monkeypatch, place):
    with tempfile.TemporaryDirectory(dir=place) as course:
        Path(course).chmod(0o755)
        Path(course, "mark").write_text("the course")
        monkeypatch.setattr(sys, "prefix", course)
        ended = runner.run(tmp_path, ["cat", f"{course}/mark"], {}, confine="namespaces")
    assert (ended.status, ended.logs["stdout"]) == ("done", "the course"), ended.logs["stderr"]


@kept
def test_packages_that_are_links_are_read_and_their_neighbours_are_not(tmp_path, monkeypatch):
    """As uv makes them with --link-mode=symlink, or as an owner links to a package that lies beside the patients."""
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere, tempfile.TemporaryDirectory(dir="/tmp") as here:
        Path(elsewhere).chmod(0o755)
        Path(here).chmod(0o755)
        Path(elsewhere, "package.py").write_text("the package")
        Path(elsewhere, "patients.csv").write_text("the patients")
        Path(here, "package.py").symlink_to(Path(elsewhere, "package.py"))
        monkeypatch.setattr(runner.sysconfig, "get_path", lambda name: here)
        read = ["bash", "-c", f"cat {here}/package.py; cat {elsewhere}/patients.csv"]
        ended = runner.run(tmp_path, read, {}, readable=[here])
    assert ended.logs["stdout"] == "the package", ended.logs["stderr"]
    assert "patients.csv" in ended.logs["stderr"]


@pytest.mark.parametrize(
    ("script", "seconds", "why"),
    [
        ("for i in 1 2 3; do head -c 12000000 /dev/zero > $i; done; sleep 60", 20, "disk"),
        (
            "setsid sleep 600 & (env setsid sleep 600 &) & for i in $(seq 40); do sleep 600 & done; wait",
            20,
            "processes",
        ),
        ("trap '' INT TERM HUP; setsid sleep 600 & sleep 600", 0.5, "seconds"),
        ("for i in $(seq 1500); do mkdir d; cd d; done; chmod 0 .; sleep 600", 2, "seconds"),
    ],
    ids=["disk", "processes", "sleeps", "deep"],
)
def test_the_limits_hold_without_namespaces_too(tmp_path, script, seconds, why):
    limits = replace(SMALL, seconds=seconds)
    ended = runner.run(tmp_path, ["bash", "-c", script], {}, limits=limits, confine="limits")
    assert (ended.status, ended.why) == ("failed", why)
    assert jobs_in(tmp_path) == list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces and Landlock are Linux's")
def test_what_the_system_does_not_keep_from_a_job_is_measured(tmp_path, monkeypatch):
    without = runner.missing("limits")
    assert without[:2] == ("other files can be read", "other files can be written")
    assert "the network can be reached" in without
    confine = runner.confinement()
    assert "other files can be written" not in runner.missing(confine) or confine == "limits"
    if confine != "namespaces":
        return
    assert runner.missing("namespaces") == ()
    own, honest = runner.missing, runner._carried_out

    def forbidden(asked):
        if asked["confine"] == "namespaces":
            raise SandboxError("namespaces: Operation not permitted")
        return honest(asked)

    monkeypatch.setattr(runner, "_carried_out", forbidden)
    own.cache_clear()
    assert runner.confinement.__wrapped__() in ("landlock", "limits"), "as in a container that forbids them"
    own.cache_clear()


@pytest.mark.skipif(runner.confinement() != "namespaces", reason="no network of a job's own without namespaces")
def test_a_job_may_be_let_talk_to_itself_and_still_reaches_nobody(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        code = f"""
import socket
own = socket.create_server(("127.0.0.1", 0))
for name, address in (("itself", own.getsockname()), ("us", {door.getsockname()})):
    try:
        socket.create_connection(address, 60).close()
        print(name)
    except OSError:
        pass
"""
        ended = runner.run(tmp_path, python(code), {}, loopback=True)
    assert ended.logs["stdout"].split() == ["itself"], ended.logs["stderr"]


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_where_namespaces_are_forbidden_landlock_keeps_files_and_network(tmp_path):
    try:
        missing = runner.missing("landlock")
    except SandboxError:
        pytest.skip("this kernel has no Landlock")
    assert not {"other files can be read", "other files can be written"}.intersection(missing)
    (tmp_path / "x").write_text("the owner's")
    code = "import sys, syft, tempfile\ntempfile.TemporaryFile()\nopen('new', 'w').write('1')\nopen(sys.argv[1], 'a')"
    ended = runner.run(tmp_path / "s", [sys.executable, "-c", code, str(tmp_path / "x")], {}, confine="landlock")
    assert (ended.status, list(ended.files)) == ("failed", ["new"])
    assert "Permission denied" in ended.logs["stderr"]
    assert (tmp_path / "x").read_text() == "the owner's"


RIGHTS_OF_ROOT = """
import os, resource, stat
got = []
for name, attempt in (
    ("a limit raised", lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))),
    ("a device made, and with it any disk read", lambda: (
        os.mknod("disk", stat.S_IFCHR | 0o600, os.makedev(1, 5)), open("disk", "rb").read(1))),
    ("another user's rights taken", lambda: os.setuid(1)),
    ("a file given away", lambda: os.chown(".", 1, 1)),
    ("a root of its own", lambda: os.chroot(".")),
    ("priority over all others", lambda: os.nice(-5)),
):
    try:
        attempt()
        got.append(name)
    except (OSError, ValueError):
        pass
print(*got, sep=", ")
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a job of root on Linux")
@pytest.mark.parametrize("confine", ["namespaces", "landlock", "limits"])
def test_a_job_of_root_has_no_right_that_another_user_has_not(tmp_path, confine):
    try:
        ended = runner.run(tmp_path, python(RIGHTS_OF_ROOT), {}, confine=confine)
    except SandboxError:
        pytest.skip(f"this kernel keeps nothing by {confine}")
    assert (ended.status, ended.logs["stdout"]) == ("done", "\n"), ended.logs


def test_a_job_that_cannot_be_started_has_a_sentence(tmp_path):
    with pytest.raises(SandboxError, match=r"The job could not be run \(.*No such file.*\): "):
        runner.run(tmp_path, ["no-such-program"], {}, confine="limits")
    assert list(tmp_path.iterdir()) == []


def test_data_are_copied_and_what_changed_is_told_apart(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a\n1\n")
    script = "ls -d empty && cat data/t.csv > new; rm data/t.csv; echo x >> kept; ln -s new link; : > same"
    texts = {"kept": b"y\n", "same": b""}
    ended = runner.run(tmp_path / "s", ["bash", "-c", script], {**texts, "data/t.csv": table, "empty/": b""})
    assert ended.files == {"new": b"a\n1\n", "kept": b"y\nx\n", "link": None}
    assert (table.read_text(), os.listdir(tmp_path / "s")) == ("a\n1\n", [])
