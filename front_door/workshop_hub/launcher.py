"""The first process of a learner's own namespaces: shows it only what it needs, gives up root, starts the server.

`unshare` starts it as root, in namespaces of processes, mounts, network and shared memory of its own. What it does is
told in the variable KIT_CELL, as JSON. On the standard library alone, for the Python of the course.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from relay import Relay

VARIABLE = "KIT_CELL"
PROCESSES = 1024  # of one learner, threads counted
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND = 1, 2, 4, 32, 4096  # of mount(2)
_NO_NEW_PRIVILEGES, _DUMPABLE = 38, 4  # of prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Make the cell, start the server in it, and return its exit code."""
    cell = json.loads(os.environ.pop(VARIABLE))
    if cell["group"]:
        Path(cell["group"]).write_text("0")  # the one who writes
    loopback_up()
    os.umask(0o022)  # the ways to what is shown
    show_only(cell["read"], [cell["home"]], cell["hide"], cell["memory"])
    give_up_root(cell["uid"], cell["gid"], 0 if cell["group"] else cell["memory"])
    os.chdir(cell["home"])
    return asyncio.run(serve(cell, sys.argv[1:]))


def loopback_up() -> None:
    """Switch on the one network interface that a new namespace has."""
    flags, name, up = 0x8914, b"lo", 1  # SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, flags, struct.pack("16sh14x", name, up))


def show_only(read: Iterable[str], write: Iterable[str], hide: Iterable[str], size: int) -> None:
    """Cover folders with empty ones, and put back those that are to be seen.

    Parameters
    ----------
    read, write
        Folders that stay, to be read only and to be written to. One whose way is barred to a user (the home of root)
        is reached all the same.
    hide
        Folders that are covered; those of temporary files are new ones for this learner alone.
    size
        The most that such a folder holds, in bytes; it is kept in memory.
    """
    kept = [(path, os.open(path, os.O_PATH), flag) for paths, flag in ((read, _RDONLY), (write, 0)) for path in paths]
    for path in hide:
        mode = "1777" if Path(path).name in ("tmp", "shm") else "755"
        _mount("tmpfs", path, "tmpfs", _NOSUID | _NODEV, f"mode={mode},size={size}")
    for path, handle, flag in kept:
        os.makedirs(path, mode=0o755, exist_ok=True)
        _mount(f"/proc/self/fd/{handle}", path, None, _BIND)
        _mount(None, path, None, _REMOUNT | _BIND | _NOSUID | _NODEV | flag)
        os.close(handle)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    names = [text.encode() if text else None for text in (source, target, kind)]
    if _libc.mount(*names, flags, data.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def give_up_root(uid: int, gid: int, memory: int) -> None:
    """Become a learner's user for good, within limits; ``memory`` in bytes, or 0 where a control group limits it."""
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (2 * memory, 2 * memory))  # libraries reserve more than they use
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _libc.prctl(_DUMPABLE, 0, 0, 0, 0)  # the learner's other processes cannot take our sockets
    os.umask(0o077)


async def serve(cell: dict[str, Any], command: list[str]) -> int:
    """Lead the hub's connections in and ours to the hub out, until the server has ended."""
    relay = Relay(socket.socket(fileno=cell["control"]), listen=cell["hub_port"], target=cell["port"])
    await relay.start()
    with open("server.log", "w") as log:  # in the learner's home: nobody else's business, and nobody else's disk
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def reap() -> None:  # the first process is the parent of all whose own has ended
        with contextlib.suppress(ChildProcessError):
            while (gone := os.waitpid(-1, os.WNOHANG))[0]:
                if gone[0] == server.pid and not ended.done():
                    ended.set_result(os.waitstatus_to_exitcode(gone[1]))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, reap)
    for number in (signal.SIGTERM, signal.SIGINT):  # to SIGINT a server answers with a question
        loop.add_signal_handler(number, lambda: os.kill(server.pid, signal.SIGTERM))
    reap()
    return await ended & 0xFF


if __name__ == "__main__":
    sys.exit(main())
