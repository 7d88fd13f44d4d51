"""Two parties of CrypTen on a line that is really slow, to hold what is computed from counted rounds against a clock.

Each party gets a network of its own (a namespace of Linux), whose only way out is a line that ends in this program.
Whatever comes in at one end is given out at the other after the latency, and no faster than the line carries: a relay
of our own, since not every kernel has a queue that delays. Nothing leaves the computer. It needs user namespaces,
``/dev/net/tun`` and the command ``ip``; on a system without them the exit code is 3, and the last line says why.

    python benchmarks/_delayed_line.py 10 2276 5   # a message is 10 ms on its way; patients; times that each runs

prints one line of JSON: for each protocol the rounds that CrypTen counts, and the seconds it took.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

REFUSED = 3  # exit code where the system has no such line
MEGABITS = 100.0
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_SET_TUN, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_LONGEST = 65_536  # bytes of a packet
_MOST = 300  # seconds


def main() -> None:
    """Run both parties on a line of the latency that was asked for, and print what the first one measured."""
    latency, patients, repeats = float(sys.argv[1]) / 1e3, int(sys.argv[2]), int(sys.argv[3])
    try:
        alone()
        with tempfile.TemporaryDirectory(prefix="line-") as folder:
            started = [_start(rank, folder, patients, repeats) for rank in (0, 1)]
            _relay([line for line, _, _ in started], latency, [process for _, process, _ in started])
            said = [os.read(pipe, _LONGEST) for _, _, pipe in started]
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no delayed line on this system: {error}")
        sys.exit(REFUSED)
    if not said[0]:
        sys.exit("The parties came to no end: run the script by hand.")
    print(said[0].decode())


def alone() -> None:
    """Move this process into a network in which there is nobody else, only a loopback."""
    user, group = os.getuid(), os.getgid()
    _unshare(_NEW_USER | _NEW_NET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _unshare(flags: int) -> None:
    """Move this process into namespaces of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")


def _start(rank: int, folder: str, patients: int, repeats: int) -> tuple[int, int, int]:
    """Move into a new network, open its line, and start a party there; return the line, the process and a pipe."""
    _unshare(_NEW_NET)
    line = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(line, _SET_TUN, struct.pack("16sH22x", b"line", _TUN_WITHOUT_HEADER))
    Path("/proc/sys/net/ipv6/conf/line/disable_ipv6").write_text("1")
    for words in (f"addr add 10.9.0.{rank + 1}/24 dev line", "link set line up"):
        subprocess.run(["ip", *words.split()], check=True)
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(_MOST)  # it ends by itself, should this program be gone
        os.close(line)
        try:
            os.write(theirs, json.dumps(_party(rank, folder, patients, repeats)).encode())
        except Exception:  # whoever called must see it
            traceback.print_exc()
        os._exit(0)
    os.close(theirs)
    return line, process, ours


def _relay(lines: list[int], latency: float, processes: list[int]) -> None:
    """Carry packets between the two lines until both parties have ended."""
    under_way: list[deque[tuple[float, bytes]]] = [deque(), deque()]  # by the line that they come from
    free = [0.0, 0.0]  # when each direction has sent what it was given before
    while processes:
        due = min((waiting[0][0] for waiting in under_way if waiting), default=time.monotonic() + 0.2)
        for line in select.select(lines, [], [], max(due - time.monotonic(), 0))[0]:
            came_from, packet = lines.index(line), os.read(line, _LONGEST)
            free[came_from] = max(free[came_from], time.monotonic()) + len(packet) * 8 / (MEGABITS * 1e6)
            under_way[came_from].append((free[came_from] + latency, packet))
        for came_from, waiting in enumerate(under_way):
            while waiting and waiting[0][0] <= time.monotonic():
                os.write(lines[1 - came_from], waiting.popleft()[1])
        if not any(under_way):
            processes = [process for process in processes if os.waitpid(process, os.WNOHANG)[0] == 0]


def _party(rank: int, folder: str, patients: int, repeats: int) -> dict[str, Any]:
    """Run each protocol as one of two parties; return its rounds and seconds."""
    import torch

    from ppml_helpers.secure_computation import load_crypten
    from ppml_helpers.secure_computation.costs import protocols

    torch.set_num_threads(1)
    os.environ.update(
        WORLD_SIZE="2",
        RANK=str(rank),
        RENDEZVOUS=f"file://{folder}/meeting",
        DISTRIBUTED_BACKEND="gloo",
        GLOO_SOCKET_IFNAME="line",
    )
    crypten = load_crypten()
    crypten.config.cfg.communicator.verbose = True  # its counters
    crypten.init()
    return {name: _timed(crypten, protocol, repeats) for name, protocol in protocols(patients).items()}


def _timed(crypten: Any, protocol: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Run a protocol a few times; return its rounds and the middle one of the times."""
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        crypten.communicator.get().barrier()
        crypten.reset_communication_stats()
        begun = time.perf_counter()
        protocol()
        seconds.append(time.perf_counter() - begun)
    rounds = crypten.communicator.get().get_communication_stats()["rounds"]
    return {"rounds": rounds, "seconds": statistics.median(seconds[1:])}


if __name__ == "__main__":
    main()
