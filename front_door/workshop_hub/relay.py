"""Let two network namespaces talk over one pair of sockets: each new connection is handed over as an open socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import Any

AT = "127.0.0.1"
MOST = 256  # connections at once: a learner who opens more gets none, and takes none from others


class Relay:
    """One end: what connects to our port comes out at the other end, and the other way round.

    Parameters
    ----------
    control
        Our half of a pair of sockets that keep messages apart (SOCK_SEQPACKET). Nothing else connects the two sides:
        no port and no file that somebody else could reach or put something else in the place of.
    listen, target
        Ports of the loopback on this side: of which connections are handed over, and to which those of the other
        side are led.
    """

    def __init__(self, control: socket.socket, listen: int, target: int) -> None:
        self._control = control
        self._listen = listen
        self._target = target
        self._open: set[asyncio.Task] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises OSError where the port is taken."""
        self._control.setblocking(False)
        self._server = await asyncio.start_server(self._outgoing, AT, self._listen)
        asyncio.get_running_loop().add_reader(self._control, self._incoming)

    def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for task in self._open:
            task.cancel()

    async def _outgoing(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST:
            writer.close()
            return
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self._control, [b"c"], [theirs.fileno()])
        except OSError:  # the other side has ended, or is behind with its work
            ours.close()
            writer.close()
            return
        finally:
            theirs.close()
        self._keep(_join(reader, writer, *await asyncio.open_connection(sock=ours)))

    def _incoming(self) -> None:
        try:
            message, handles, _, _ = socket.recv_fds(self._control, 1, 1)
        except BlockingIOError:
            return
        except OSError:
            message, handles = b"", []
        if not message:  # the other side has ended
            asyncio.get_running_loop().remove_reader(self._control)
        for handle in handles:
            handed = socket.socket(fileno=handle)
            if len(self._open) < MOST:
                self._keep(self._led(handed))
            else:
                handed.close()

    async def _led(self, handed: socket.socket) -> None:
        try:
            inner = await asyncio.open_connection(AT, self._target)
        except OSError:  # nobody listens yet: the one who asked sees a closed connection
            handed.close()
            return
        await _join(*await asyncio.open_connection(sock=handed), *inner)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    other_reader: asyncio.StreamReader,
    other_writer: asyncio.StreamWriter,
) -> None:
    """Pass on what either says until both have ended, or one is broken off."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(reader, other_writer))
            both.create_task(_pass_on(other_reader, writer))
    except* OSError:
        pass
    finally:
        writer.close()
        other_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
