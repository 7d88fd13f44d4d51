"""Run one job in a scratch copy, within limits, and take back what it left; nothing of it can reach the owner's files.

What this system keeps from a job is not believed but tried: `missing` runs a job that attacks, and names what it got.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ppml_helpers import checks, processes
from ppml_helpers.errors import SandboxError

SCRATCH = "scratch"  # the folder, below the gate's own, in which scratch copies are made
_GRACE = 30.0  # seconds beyond a job's own, in which the program around it starts and ends
_MIB = 2**20
_CONFINED = Path(__file__).with_name("confined.py")  # a program, and of modules that Windows lacks


@dataclass(frozen=True)
class Limits:
    """What one job may use, all of its processes together; sizes in bytes."""

    seconds: float = 60.0
    memory: int = 2048 * _MIB
    disk: int = 256 * _MIB
    processes: int = 64
    output: int = 4 * _MIB  # of all that is taken back, and of each log

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            checks.number(value, name, 0, above=True, error=SandboxError)


class Ended(NamedTuple):
    """How a job ended, and what it left."""

    code: int  # its exit code, or minus the signal that ended it
    why: str  # the field of `Limits` that it broke; nothing if it ended by itself
    logs: dict[str, str]
    files: dict[str, bytes | None]  # new or changed, by path below the scratch folder; None: not taken back

    @property
    def status(self) -> str:
        """``"done"`` or ``"failed"``."""
        return "failed" if self.code or self.why else "done"


def run(
    folder: Path,
    command: Sequence[str],
    given: Mapping[str, bytes | Path],
    cwd: str = ".",
    variables: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    confine: str | None = None,
    readable: Sequence[str | Path] = (),
    loopback: bool = False,
) -> Ended:
    """Run a command in a new scratch folder that is gone afterwards.

    Parameters
    ----------
    folder : Path
        Where scratch folders are made.
    command : sequence of str
        A program and its arguments.
    given : mapping
        Files of the scratch folder, by path: their bytes, or the file to copy. A path that ends in ``/`` is a folder.
    cwd : str
        Where the command starts, below the scratch folder.
    variables : mapping, optional
        Its variables beside the path; ``{job}`` in a value stands for the scratch folder.
    limits : Limits, optional
        What it may use.
    confine : {"namespaces", "landlock", "limits"}, optional
        What keeps it from everything else; default: the first of these that this system has.
    readable : sequence of str or Path
        What it may read beside Python and the system's programs.
    loopback : bool
        Whether its own processes may talk to each other over 127.0.0.1, where it has a network of its own: with
        namespaces.
    """
    limits, confine = limits or Limits(), confine or confinement()
    given = {**given, f"{cwd}/": b"", "tmp/": b""}
    copies = {path: source for path, source in given.items() if isinstance(source, Path)}
    texts = {path: data for path, data in given.items() if path not in copies}
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(dir=folder)).resolve()
    job = "/job" if confine == "namespaces" else str(root / "job")
    asked = {
        **asdict(limits),
        "confine": confine,
        "root": str(root),
        "job": job,
        "loopback": loopback,
        "cwd": os.path.normpath(f"{job}/{cwd}"),
        "command": list(command),
        "texts": {path: data.decode("latin-1") for path, data in texts.items()},
        "copies": {path: str(source) for path, source in copies.items()},
        "room": limits.disk + sum(map(len, texts.values())) + sum(one.stat().st_size for one in copies.values()),
        "started": 0 if confine == "namespaces" else _started(),
        "readable": [sys.prefix, sys.base_prefix, *_linked(), *map(str, readable)],
        "environment": {
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own takes a GiB of addresses, which the limit counts
            "PATH": f"{job}/bin:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": job,
            "TMPDIR": f"{job}/tmp",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            **{name: value.replace("{job}", job) for name, value in (variables or {}).items()},
            "PPML_SCRATCH": str(root),
        },
    }
    try:
        found = _carried_out(asked)
    finally:
        clear(root)
    files = {path: None if text is None else text.encode("latin-1") for path, text in found["files"].items()}
    return Ended(found["code"], found["why"], found["logs"], files)


def _linked() -> list[str]:
    """Return the packages to which this environment only links, as uv makes them when asked.

    Each by itself: what else lies in a folder to which somebody has linked is not the job's to read.
    """
    there = (Path(sys.prefix), Path(sysconfig.get_path("purelib")))
    return sorted({str(entry.resolve()) for folder in there for entry in folder.iterdir() if entry.is_symlink()})


def _started() -> int:
    """Count what this user runs already: without namespaces the system counts a job's processes among them."""
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            count += process.num_threads() if process.uids().real == os.getuid() else 0
    return count


def clear(folder: Path) -> None:
    """End what a job left running in a scratch folder, and remove it; a folder that a job closed is opened first."""
    if folder.exists():
        processes.end_all(lambda variables: variables.get("PPML_SCRATCH", "").startswith(str(folder)))
        for command in ("chmod -R u+rwx", "rm -rf"):  # which have no trouble with folders a thousand deep
            subprocess.run([*command.split(), "--", str(folder)], capture_output=True, check=False)


def _carried_out(asked: dict[str, Any]) -> dict[str, Any]:
    """Start the program around the job, which the system ends with all that it started when this one is ended."""
    program = [sys.executable, "-I", str(_CONFINED)]
    try:
        told = subprocess.run(
            program,
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=asked["seconds"] + _GRACE,
            env={},
            start_new_session=True,  # Ctrl-C reaches the owner's program, which then ends this one
        )
        return json.loads(told.stdout)
    except subprocess.TimeoutExpired:
        last = "too slow"
    except ValueError:
        last = (told.stderr.decode(errors="replace").strip().splitlines() or ["it was ended"])[-1]
    raise SandboxError(f"The job could not be run ({last}): try again with less at work here.")


# What this system offers, tried by a job that attacks

_ATTACK = """
import mmap, os, socket, sys
outside, port, owner = sys.argv[1:]
for name, attempt in (
    ("other files can be read", lambda: open(outside).read()),
    ("other files can be written", lambda: open(outside, "w").close()),
    ("the network can be reached", lambda: socket.create_connection(("127.0.0.1", int(port)), 2).close()),
    ("datagrams can be sent", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(port)))),
    ("local services can be reached", lambda: socket.socket(socket.AF_UNIX).connect(outside + ".s")),
    ("other programs can be seen", lambda: os.kill(int(owner), 0)),
    ("memory has no limit", lambda: mmap.mmap(-1, 2**36)),
):
    try:
        attempt()
    except (OSError, ValueError):
        continue
    print(name)
"""


@functools.cache
def confinement() -> str:
    """Name what keeps a job from everything else here: on Linux namespaces or, where they are forbidden, Landlock."""
    for confine in ("namespaces", "landlock") if sys.platform == "linux" else ():
        with contextlib.suppress(SandboxError):
            missing(confine)
            return confine
    return "limits"


@functools.cache
def missing(confine: str) -> tuple[str, ...]:
    """Run a job that tries to get at the owner's files, programs and network; name what it got, a clause each."""
    tcp, unix = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    with tempfile.TemporaryDirectory() as folder, tcp as door, unix as service:
        outside = Path(folder, "outside")
        service.bind(f"{outside}.s")
        service.listen()
        outside.write_text("the owner's")
        arguments = [str(outside), str(door.getsockname()[1]), str(os.getpid())]
        command = [sys.executable, "-I", "-S", "-c", _ATTACK, *arguments]
        ended = run(Path(folder), command, {}, confine=confine, limits=Limits(seconds=300))
    if ended.status != "done":
        raise SandboxError(f"A job that tries this system's limits failed: {ended.logs['stderr'][-300:]}")
    return tuple(ended.logs["stdout"].splitlines())
