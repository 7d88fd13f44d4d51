"""Score patients with SPU 0.9.5, two parties in processes of their own: a peer in an environment of its own.

SPU wants a NumPy and a JAX that this course cannot have (1 GB: ``pip install spu==0.9.5 numpy==1.26.4 jax==0.4.34``
with a Python below 3.12). Called as ``python _spu_peer.py PATIENTS.npz``, with the arrays `values` (party 1's) and
`weights` (party 0's); prints a line of JSON: seconds from the shares to the opened scores, what crossed the loopback
in that time (for both parties, with the packets' heads), and the largest error. SPU counts no rounds.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import socket
import sys
import time
from pathlib import Path
from typing import Any

from _delayed_line import alone


def main() -> None:
    """Run two parties and print what the second, who owns the patients, found."""
    alone()  # then the loopback carries nothing but what the parties say; before NumPy, which starts threads
    import numpy as np

    held = np.load(sys.argv[1])
    values, weights = held["values"].astype(np.float32), held["weights"].astype(np.float32)
    context, ports = multiprocessing.get_context("spawn"), [_free_port(), _free_port()]
    queue = context.Queue()
    parties = [context.Process(target=_party, args=(rank, ports, values, weights, queue)) for rank in (0, 1)]
    for party in parties:
        party.start()
    found = dict(queue.get(timeout=300) for _ in parties)
    for party in parties:
        party.join(20)
    scores, seconds, crossed = found[1]
    error = float(np.abs(scores - values @ weights).max())
    print(json.dumps({"seconds": seconds, "bytes": crossed / 2, "error": error}))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _party(rank: int, ports: list[int], values: Any, weights: Any, queue: Any) -> None:
    """Be one party: share what is ours, compute, and open the scores."""
    import numpy as np
    from spu import Io, Runtime, libspu
    from spu.utils import frontend

    about = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.SEMI2K, field=libspu.FieldType.FM64)
    line = libspu.link.Desc()
    for number, port in enumerate(ports):
        line.add_party(f"party{number}", f"127.0.0.1:{port}")
    link = libspu.link.create_brpc(line, rank)
    io, runtime = Io(2, about), Runtime(link, about)
    secret = libspu.Visibility.VIS_SECRET
    program, _ = frontend.compile(
        frontend.Kind.JAX, lambda x, w: x @ w, [values, weights], {}, ["x", "w"], [secret] * 2, lambda out: ["z"]
    )

    def send(share: Any) -> None:
        link.send(1 - rank, pickle.dumps((share.meta, share.share_chunks)))

    def receive() -> Any:
        share = libspu.Share()
        share.meta, share.share_chunks = pickle.loads(link.recv(1 - rank))
        return share

    def give(name: str, owner: int, array: Any) -> None:
        """Let the owner share an array: it keeps one share and sends the other."""
        if rank == owner:
            shares = io.make_shares(array, secret)
            send(shares[1 - rank])
        runtime.set_var(name, shares[rank] if rank == owner else receive())

    link.barrier()
    before, begun = _crossed(), time.perf_counter()
    give("x", 1, values)
    give("w", 0, weights)
    runtime.run(program)
    own = runtime.get_var("z")
    send(own)
    other = receive()
    scores = io.reconstruct([own, other] if rank == 0 else [other, own])
    seconds, crossed = time.perf_counter() - begun, _crossed() - before
    queue.put((rank, (np.asarray(scores), seconds, crossed)))


def _crossed() -> int:
    """Return the bytes that the loopback has carried."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return int(next(line for line in lines if line.strip().startswith("lo:")).split(":")[1].split()[0])


if __name__ == "__main__":
    main()
