"""The program that runs one job where it can touch nothing but a scratch copy; `runner` starts it.

On Linux the job gets namespaces of its own: no network, no processes but its own, and as files a scratch folder in
memory with the programs to read. This program is the first process there: when it ends, the system ends all others.
A container often forbids namespaces; there Landlock takes other files and the network from the job. Elsewhere it gets
its limits and nothing more. What to do comes as JSON over the standard input, how it went goes to the standard output.
This file runs on its own: it imports nothing of the kit.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import math
import os
import platform
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil

_LIBC = ctypes.CDLL(None, use_errno=True)
_NAMESPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mounts, host name, IPC, processes, network
_USER = 0x10000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_PROGRAMS, _AGAIN, _BIND, _DEEP, _PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
_KEPT = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}  # flags of a mount that may not be taken away again
_PIVOT_ROOT = {"x86_64": 155, "ppc64le": 203, "s390x": 217}.get(platform.machine(), 41)
_KEYS = {"x86_64": 250, "ppc64le": 271, "s390x": 280}.get(platform.machine(), 219)  # keyctl
_DIE_WITH_PARENT, _NO_NEW_RIGHTS, _DROP_CAPABILITY, _ADOPT_ORPHANS = 1, 38, 24, 36  # of prctl
_MOMENT = 0.03  # seconds between two looks at what the job uses
_MOST_FILES, _DEEPEST = 2_000, 30
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def main() -> None:
    """Do what is asked, and tell how it went."""
    asked = json.load(sys.stdin)
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nobody but the owner's program ends this one
    if sys.platform == "linux":
        _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _LIBC.prctl(_ADOPT_ORPHANS, 1)
        _LIBC.syscall(_KEYS, 1, None)  # the owner's keyring is not the job's
    user, root = None, Path("/")
    if asked["confine"] == "namespaces":
        user, root = _enter_namespaces(), Path(asked["root"])
        if asked["loopback"]:
            _raise_loopback()
        first = os.fork()
        if first:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
        _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _build(root, asked)
    before = _fill(root, asked, user)
    if asked["confine"] == "namespaces":
        _enter(root)
    ended = _run(asked, user)
    json.dump({**ended, **_left(asked, before)}, sys.stdout)


def _called(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


# The place


def _enter_namespaces() -> int | None:
    """Leave the system's namespaces; return the user that the job shall be, if it shall be another one.

    The system counts no processes of root, so root's jobs run as a user of a number that nobody has.
    """
    user, group = os.getuid(), os.getgid()
    if user == 0 and _LIBC.unshare(_NAMESPACES) == 0:
        return 0x40000000 + os.getpid()
    _called(_LIBC.unshare(_NAMESPACES | _USER), "namespaces")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return None


def _raise_loopback() -> None:
    """Switch on the loopback device of the job's own network, which reaches nobody else's."""
    with socket.socket() as any_socket:
        flags = struct.pack("16sH", b"lo", 1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, flags.ljust(40, b"\0"))  # SIOCSIFFLAGS


def _mount(source: str | None, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else text.encode() for text in (source, str(target), kind)]
    _called(_LIBC.mount(*texts, ctypes.c_ulong(flags), data.encode()), f"mounting {target}")


def _build(root: Path, asked: dict[str, Any]) -> None:
    """Make a file system in memory with the programs to read and nothing else of this computer."""
    _mount(None, Path("/"), None, _DEEP | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NO_SETUID | _NO_DEVICES, f"size={asked['room']},nr_inodes=20000,mode=755")
    for path in dict.fromkeys((*_SYSTEM, *_DEVICES, *asked["readable"])):
        _show(Path(path), root / path.lstrip("/"), read_only=path not in _DEVICES)
    (root / "proc").mkdir()
    _mount("proc", root / "proc", "proc", _NO_SETUID | _NO_DEVICES | _NO_PROGRAMS)
    for name in ("tmp", "dev/shm"):
        (root / name).mkdir(exist_ok=True)  # the course itself may lie below it
        (root / name).chmod(0o1777)


def _enter(root: Path) -> None:
    os.chdir(root)
    _called(_LIBC.syscall(_PIVOT_ROOT, b".", b"."), "changing the root")
    _called(_LIBC.umount2(b".", 2), "leaving the old root")
    os.chdir("/")


def _show(source: Path, target: Path, read_only: bool) -> None:
    if not source.exists() or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and source.parent == Path("/"):
        target.symlink_to(os.readlink(source))
        return
    target.mkdir() if source.is_dir() else target.touch()
    _mount(str(source), target, None, _BIND | _DEEP)
    if read_only:
        flags = os.statvfs(source).f_flag
        kept = sum(new for old, new in _KEPT.items() if flags & old)
        _mount(None, target, None, _BIND | _AGAIN | _READ_ONLY | _NO_SETUID | _NO_DEVICES | kept)


def _fill(root: Path, asked: dict[str, Any], user: int | None) -> dict[str, str]:
    """Write what the job was given: copies of files, and texts; return the hashes by path."""
    job, hashes = root / asked["job"].lstrip("/"), {}
    for path in (*asked["copies"], *asked["texts"]):
        target = job / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if path in asked["copies"]:
            shutil.copyfile(asked["copies"][path], target)
        elif not path.endswith("/"):
            target.write_bytes(asked["texts"][path].encode("latin-1"))
        if target.is_file():
            hashes[path] = _hash(target)
    for path in (job, *job.rglob("*")):
        path.chmod(0o700)
        if user is not None:
            os.chown(path, user, user)
    return hashes


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# The run


def _run(asked: dict[str, Any], user: int | None) -> dict[str, Any]:
    """Run the job until it ends or breaks a limit, and end all that it started."""
    with _nameless() as printed, _nameless() as complained:
        job = subprocess.Popen(
            asked["command"],
            cwd=asked["cwd"],
            env=asked["environment"],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=complained,
            start_new_session=True,
            preexec_fn=lambda: _shackle(asked, user),
        )
        code, why, deadline = None, "", time.monotonic() + asked["seconds"]
        while code is None and not why:
            time.sleep(_MOMENT)
            code = _collected(job.pid)
            why = "seconds" if time.monotonic() > deadline else _too_much(asked)
        _end_all()
        code = job.returncode = -9 if code is None else code
        logs = {"stdout": printed, "stderr": complained}
        texts = {name: os.pread(log.fileno(), asked["output"], 0) for name, log in logs.items()}
    return {"code": code, "why": why, "logs": {name: text.decode(errors="replace") for name, text in texts.items()}}


def _nameless() -> IO[bytes]:
    """Open a file that the job can write to and nobody can replace, in memory if that can be: a disk may be full."""
    return open(os.memfd_create("log"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


def _shackle(asked: dict[str, Any], user: int | None) -> None:
    """In the job's process: set the limits that its children inherit, and give up every right."""
    for kind, most in (
        (resource.RLIMIT_AS, asked["memory"]),
        (resource.RLIMIT_FSIZE, asked["disk"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_NPROC, asked["processes"] + asked["started"]),
    ):
        with contextlib.suppress(ValueError, OSError):  # not every system knows each
            resource.setrlimit(kind, (most, most))
    if sys.platform == "linux":
        for capability in range(64):  # of root: it could make a device, and read any disk with it
            _LIBC.prctl(_DROP_CAPABILITY, capability)
        _LIBC.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0)
        if asked["confine"] == "landlock":
            _lock(asked)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def _lock(asked: dict[str, Any]) -> None:
    """Let this process open nothing but the scratch folder, and programs to read (Linux 5.13 and later).

    Source: the kernel's documentation, userspace-api/landlock.rst; the numbers are of linux/landlock.h.
    """
    version = _LIBC.syscall(444, None, 0, 1)
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1  # rights on files that this kernel knows
    read = 1 | 4 | 8  # run, read, list
    rules = struct.pack("QQQ", every, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]  # files, TCP, signals
    lock = _LIBC.syscall(444, rules, len(rules), 0)
    _called(lock < 0, "Landlock")
    places = {**dict.fromkeys((*_SYSTEM, "/proc", *asked["readable"]), read), asked["job"]: every}
    for path, rights in {**places, **dict.fromkeys(_DEVICES, read | 2)}.items():
        if os.path.exists(path):
            handle = os.open(path, os.O_PATH)
            rights &= every if os.path.isdir(path) else 1 | 2 | 4
            _called(_LIBC.syscall(445, lock, 1, struct.pack("=Qi", rights, handle), 0), path)
    _called(_LIBC.syscall(446, lock, 0), "Landlock")


def _collected(job: int) -> int | None:
    """Collect what has ended; return the job's exit code once it has."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == job:
                return os.waitstatus_to_exitcode(ended[1])
    return None


def _too_much(asked: dict[str, Any]) -> str:
    """Name the limit that all processes of the job together break, if any."""
    running, memory, disk = psutil.Process().children(recursive=True), 0, 0
    for process in running:
        with contextlib.suppress(psutil.Error):
            memory += process.memory_info().rss
    if asked["confine"] != "namespaces":  # where the system itself keeps this limit
        sizes = [found.st_size for _, found in _files(Path(asked["job"]))]
        disk = sum(sizes) if len(sizes) < _MOST_FILES else math.inf
    used = {"processes": len(running) > asked["processes"], "memory": memory > asked["memory"]}
    return next((name for name, over in {**used, "disk": disk > asked["room"]}.items() if over), "")


def _end_all() -> None:
    """Kill whatever the job started, until nothing is left: the orphans have become this program's children."""
    for _ in range(2_000):
        if os.getpid() == 1:  # the first process of a namespace: all others at once, however fast they fork
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        left = psutil.Process().children(recursive=True)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        _collected(0)
        if not left:
            return
        time.sleep(0.005)


# What it left


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Give all that lies below a folder and is no folder, a bounded number; links are not followed."""
    waiting, seen = [(folder, 0)], 0
    while waiting and seen < _MOST_FILES:
        here, depth = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(here) as found:
            for entry in found:
                seen += 1
                if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
                    waiting.append((Path(entry), depth + 1))
                else:
                    yield str(Path(entry).relative_to(folder)), entry.stat(follow_symlinks=False)


def _left(asked: dict[str, Any], before: dict[str, str]) -> dict[str, Any]:
    """Read what is new or changed: regular files, as far as there is room for them; of the others the name alone."""
    job, room, files = Path(asked["job"]), asked["output"], {}
    for path, found in sorted(_files(job)):
        if {".venv", "__pycache__"}.intersection(Path(path).parts):  # which every Python job leaves
            continue
        regular, text = stat.S_ISREG(found.st_mode), None
        with contextlib.suppress(OSError):
            if regular and _hash(job / path) == before.get(path):
                continue
            if regular and found.st_size <= room:
                text = (job / path).read_bytes().decode("latin-1")
                room -= len(text)
        files[path] = text
    return {"files": files}


if __name__ == "__main__":
    main()
