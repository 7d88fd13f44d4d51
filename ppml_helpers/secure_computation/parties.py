"""Each hospital a process of its own: start the parties of a protocol, wait for them, and never leave one behind.

CrypTen's own launcher waits for a process before it reads what that process has to say, so a result above 64 KB never
arrives; a party that fails leaves the others waiting; and a notebook whose kernel has used several threads hangs. MPyC
expects to be started from a terminal. `run_parties` starts both from a cell.

All parties run on this machine and talk over its loopback interface. That shows what each party sends and when, not
what a network adds: `costs` computes that from the counted rounds and bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from ppml_helpers import checks, words
from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import channels, crypten_today

Library = Literal["crypten", "mpyc"]
Provider = Literal["TFP", "TTP"]

_BEYOND = 2.0**31  # times one, CrypTen's product of 64 bits is full
_GRACE = 2.0  # seconds in which a party may end by itself once all results are there
_ECHO = 0.5  # seconds in which the others may fail as well: the first failure is the cause, not the first that is read
_LOOK = 0.5  # seconds between two looks of a party at whether its parent still lives


@dataclass(frozen=True)
class Party:
    """What one party has at the end.

    Attributes
    ----------
    result : Any
        What its function returned.
    rounds : int
        How many times it had to wait for the others. MPyC sends while it computes: there it is the number of messages
        to one other party, which the rounds cannot exceed.
    bytes : int
        What it sent; in CrypTen, where two parties send each other the same, what it sent and received, halved.
    """

    result: Any
    rounds: int
    bytes: int


def run_parties(
    function: Callable[..., Any],
    party_args: Sequence[Sequence[Any]],
    *,
    library: Library = "crypten",
    provider: Provider = "TFP",
    threshold: int | None = None,
    timeout: float = 120.0,
    start: Literal["fork", "spawn"] | None = None,
) -> list[Party]:
    """Run ``function(*party_args[i])`` as party i of a protocol, each in a process of its own.

    Parameters
    ----------
    function : callable
        With CrypTen a function that all parties run, each with its own arguments. With MPyC a coroutine function,
        which gets the runtime ``mpc`` as its first argument.
    party_args : sequence of sequences
        The arguments of each party, at least two. What another party must not see belongs into its own only.
    library : {"crypten", "mpyc"}
        Whose protocol the parties speak.
    provider : {"TFP", "TTP"}
        Who makes CrypTen's random triples: the first party itself, which can then read everything, or a further
        process that everybody must trust.
    threshold : int, optional
        Of MPyC: so many parties together learn nothing; fewer than half. By default the most that there can be.
    timeout : float
        Seconds after which the parties are ended.
    start : {"fork", "spawn"}, optional
        How a process begins: by default "fork" on Linux and "spawn" elsewhere. A forked process begins with a copy of
        the notebook's whole memory; on machines of their own the parties have nothing of each other's.

    Returns
    -------
    list of Party
        In the order of ``party_args``.

    Raises
    ------
    ComputationError
        For fewer than two parties (MPyC: three), a function that cannot be handed over, a party that raised (with
        its traceback), ended, or gave no result in time; for tables that the parties share in different shapes, or that
        hold what CrypTen cannot compute with. No process is left behind in any case.
    """
    plan = _plan(function, party_args, library, provider, threshold, start)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parties-")))
        sockets = channels.prepare(folder, len(party_args)) if library == "mpyc" else [None] * len(party_args)
        stack.callback(_close, sockets)
        plan = dataclasses.replace(plan, ports=tuple(one.getsockname()[1] for one in sockets if one is not None))
        processes, ends = _start(plan, folder, party_args, sockets)
        try:
            return _collect(processes[: len(ends)], ends, checks.number(timeout, "timeout", 0, above=True))
        finally:
            _end(processes, ends)


@dataclass(frozen=True)
class _Plan:
    """What every party is told."""

    function: Any  # the function, or its bytes
    parties: int
    library: Library
    provider: Provider
    threshold: int
    start: str
    parent: int
    ports: tuple[int, ...] = ()  # of MPyC, by party


def _plan(
    function: Any, party_args: Any, library: Any, provider: Any, threshold: int | None, start: str | None
) -> _Plan:
    checks.choice(library, "library", ("crypten", "mpyc"), error=ComputationError)
    checks.choice(provider, "provider", ("TFP", "TTP"), error=ComputationError)
    if library == "crypten" and sys.platform == "win32":
        raise ComputationError("CrypTen starts no parties on Windows itself: open the course in WSL, or use MPyC.")
    start = start or ("fork" if sys.platform.startswith("linux") else "spawn")
    checks.choice(start, "start", multiprocessing.get_all_start_methods(), error=ComputationError)
    if not callable(function):
        raise ComputationError(f"function is of type {type(function).__name__}: give one that each party can call.")
    n = len(party_args) if isinstance(party_args, Sequence) and not isinstance(party_args, str) else 0
    least = 3 if library == "mpyc" else 2
    if n < least or not all(isinstance(own, Sequence) and not isinstance(own, str) for own in party_args):
        some = f"a list of at least {least} tuples of arguments, one a party"
        raise ComputationError(f"party_args = {checks.shown(party_args)} must be {some}: add the others.")
    if library == "mpyc" and not asyncio.iscoroutinefunction(function):
        raise ComputationError(f"MPyC runs a coroutine: write 'async def {function.__name__}(mpc, ...)'.")
    most = (n - 1) // 2
    threshold = most if threshold is None else checks.whole(threshold, "threshold", 1, most, error=ComputationError)
    if start == "spawn":
        function = _as_bytes(function, "the function")
    return _Plan(function, n, library, provider, threshold, start, os.getpid())


def _as_bytes(value: Any, what: str) -> bytes:
    """Return a function or an argument as bytes; one of the notebook's own cells goes by value."""
    import cloudpickle

    try:
        return cloudpickle.dumps(value)
    except Exception as error:  # an object may refuse in any way
        raise ComputationError(
            f"{what} cannot be handed to another process ({type(error).__name__}: {error}): "
            "keep open files, locks and connections out of it."
        ) from None


def _start(
    plan: _Plan, folder: Path, party_args: Sequence[Sequence[Any]], sockets: Sequence[socket.socket | None]
) -> tuple[list[BaseProcess], list[Connection]]:
    """Start the parties, and the trusted third party behind them; return the processes and a pipe from each party."""
    context = multiprocessing.get_context(plan.start)
    third = plan.library == "crypten" and plan.provider == "TTP"
    processes, ends = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads and fork: see _begin
        for rank in range(plan.parties + third):
            ours, theirs = context.Pipe(duplex=False)
            own = tuple(party_args[rank]) if rank < plan.parties else ()
            given = _as_bytes(own, f"what party {rank} is given") if plan.start == "spawn" else own
            at = sockets[rank] if rank < plan.parties else None
            process = context.Process(target=_party, args=(plan, rank, folder, given, at, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            ends.append(ours)
    return processes, ends[: plan.parties]


def _collect(processes: Sequence[BaseProcess], ends: Sequence[Connection], timeout: float) -> list[Party]:
    """Read the results as they come; stop when a party failed or died, or when time is up."""
    found: dict[int, Party] = {}
    failures: list[tuple[float, str]] = []  # when, and in which words
    deadline = time.monotonic() + timeout
    while len(found) < len(ends):
        open_ends = {ends[rank]: rank for rank in range(len(ends)) if rank not in found}
        ready = wait(list(open_ends), timeout=max(deadline - time.monotonic(), 0))
        for end in ready:
            party, failure = _read(end, open_ends[end], processes[open_ends[end]])
            if failure:
                failures.append(failure)
                deadline = min(deadline, time.monotonic() + _ECHO)
            found[open_ends[end]] = party
        if failures and (not ready or len(found) == len(ends)):
            raise ComputationError(min(failures)[1])
        if not ready:
            waiting = words.listed(sorted(open_ends.values()))
            raise ComputationError(
                f"No result of party {waiting} within {timeout:g} seconds: the parties were ended. Give more time, or "
                "look for a party that waits for a message that nobody sends."
            )
    return [found[rank] for rank in range(len(ends))]


def _read(end: Connection, rank: int, process: BaseProcess) -> tuple[Party | None, tuple[float, str] | None]:
    """Return what a party sent; or when it failed, and in which words."""
    try:
        party, failure, at = pickle.loads(end.recv_bytes())  # from a process of our own, by a pipe
    except (EOFError, OSError):
        process.join(_GRACE)
        code = process.exitcode
        return None, (0.0, f"Party {rank} ended (exit code {code}) before it had a result; the others were ended too.")
    if failure:
        return None, (at, f"Party {rank} failed; the others were ended too. Its last words:\n{failure}")
    return party, None


def _end(processes: Sequence[BaseProcess], ends: Sequence[Connection]) -> None:
    """Let the processes end, and end those that do not."""
    for end in ends:
        end.close()
    deadline = time.monotonic() + (_GRACE if sys.exc_info()[0] is None else 0)
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
        if process.is_alive():
            process.kill()
        process.join()
        process.close()


def _close(sockets: Sequence[socket.socket | None]) -> None:
    for one in sockets:
        if one is not None:
            one.close()


# ----------------------------------------------------------------------------------------------- inside a party


def _party(plan: _Plan, rank: int, folder: Path, given: Any, at: socket.socket | None, end: Connection) -> None:
    """Be one party: run the function, and send what it returned, or why it failed."""
    _begin(plan.parent)
    party, failure = None, ""
    try:
        job = (plan.function, given)
        if plan.start == "spawn":
            if plan.library == "crypten":
                crypten_today.load_crypten()  # the function may name it
            job = pickle.loads(plan.function), pickle.loads(given)
        party = _run_mpyc(plan, rank, folder, at, *job) if at else _run_crypten(plan, rank, folder, *job)
    except BaseException:  # SystemExit too: whatever it was, the learner must see it
        failure = traceback.format_exc(limit=-3)
    at = time.monotonic()
    try:
        said = pickle.dumps((party, failure, at))
    except Exception as error:
        said = pickle.dumps((None, f"What it returned cannot be sent ({type(error).__name__}: {error}).", at))
    with contextlib.suppress(OSError):  # nobody listens any more
        end.send_bytes(said)
        end.close()
    os._exit(0)  # a forked kernel has threads and exit handlers that are not this process's own


def _begin(parent: int) -> None:
    """Make a process that may be a copy of a notebook's kernel safe to compute in."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted cell ends its parties itself
    torch.set_num_threads(1)  # a fork has none of its parent's threads: waiting for them would be for ever
    torch.seed()  # a fork has its parent's generator: CrypTen's third party draws the others' seeds from it
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the kernel's own streams belong to its threads

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _run_crypten(plan: _Plan, rank: int, folder: Path, function: Callable[..., Any], own: Sequence[Any]) -> Party:
    """Run a function as a party of CrypTen, or serve random triples as the trusted third one."""
    loopback = "lo" if sys.platform.startswith("linux") else "lo0"
    os.environ.update(
        WORLD_SIZE=str(plan.parties),
        RANK=str(rank),
        RENDEZVOUS=f"file://{folder / 'meeting'}",
        DISTRIBUTED_BACKEND="gloo",
        GLOO_SOCKET_IFNAME=loopback,
    )
    crypten = crypten_today.load_crypten()
    crypten.config.cfg.mpc.provider = plan.provider
    crypten.config.cfg.communicator.verbose = True  # its counters
    if rank == plan.parties:
        crypten.mpc.provider.TTPServer()
        return Party(None, 0, 0)
    crypten.init()
    _guard(crypten)
    crypten.reset_communication_stats()
    result = function(*own)
    counted = crypten.communicator.get().get_communication_stats()
    crypten.uninit()
    return Party(result, counted["rounds"], int(counted["bytes"]) // 2)


def _guard(crypten: Any) -> None:
    """Refuse to share what CrypTen computes wrongly without an error, or waits for without end.

    The parties tell each other the shape of each table as it is shared; this is not counted.
    """
    import torch

    shared, group = crypten.cryptensor, crypten.communicator.get().main_group

    def guarded(values: Any, *args: Any, **kwargs: Any) -> Any:
        table = torch.as_tensor(values)
        if not table.abs().le(_BEYOND).all():  # NaN is not less than anything
            raise ComputationError(
                f"A shared table holds NaN, or a value beyond {_BEYOND:,.0f}, which fixed-point numbers cannot hold: "
                "pass it through secret(...), which says where."
            )
        shapes: list[Any] = [None] * torch.distributed.get_world_size(group)
        torch.distributed.all_gather_object(shapes, tuple(table.shape), group=group)
        if len(set(shapes)) > 1:
            told = words.listed(f"{shape} at party {rank}" for rank, shape in enumerate(shapes))
            raise ComputationError(
                f"A shared table has different shapes: {told}. Link the patients first; a party that does not own the "
                "table passes zeros of its shape."
            )
        return shared(values, *args, **kwargs)

    crypten.cryptensor = guarded


def _run_mpyc(
    plan: _Plan, rank: int, folder: Path, at: socket.socket, function: Callable[..., Any], own: Sequence[Any]
) -> Party:
    """Run a coroutine as a party of MPyC, over connections on which both sides show a certificate."""
    os.chdir(folder)  # where it looks for certificates
    others = [f"-P{channels.ADDRESS}:{port}" for port in plan.ports]
    asyncio.set_event_loop(asyncio.new_event_loop())
    sys.argv = ["party"]
    import mpyc.runtime  # it reads the command line as it is imported, and forgets it

    sys.argv = ["party", "--no-log", "--no-uvloop", "--ssl", f"-T{plan.threshold}", f"-I{rank}", *others]
    mpc = mpyc.runtime.setup()
    loop, server = mpc._loop, mpc._loop.create_server
    loop.create_server = lambda factory, port, ssl: server(factory, sock=at, ssl=ssl)  # not on every network

    messages: Counter[int] = Counter()
    exchanger = mpyc.asyncoro.MessageExchanger
    send = exchanger.send

    def counted(peer: Any, label: int, payload: bytes) -> None:
        messages[peer.peer_pid] += 1
        send(peer, label, payload)

    exchanger.send = counted

    async def main() -> Party:
        await mpc.start()
        result = await function(mpc, *own)
        sent = sum(peer.protocol.nbytes_sent for peer in mpc.parties if peer.pid != rank)
        rounds = max(messages.values(), default=0)
        await mpc.shutdown()
        return Party(result, rounds, sent)

    troubles: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: troubles.extend(filter(None, [context.get("exception")])))
    try:
        return mpc.run(main())
    except RuntimeError:  # "Event loop stopped": what stopped it was said elsewhere
        if troubles:
            raise troubles[0] from None
        raise
