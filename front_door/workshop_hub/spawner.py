"""Starts a learner's server: in a cell of its own, or, where isolation was given up, as a plain process."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.utils import random_port
from traitlets import Dict

from front_door.workshop_hub.relay import Relay

HERE = Path(__file__).parent
NAMESPACES = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc"]


class CellSpawner(LocalProcessSpawner):
    """A server for each learner; what belongs to whom is told by `front_door.hub` in the settings."""

    settings = Dict(help="what front_door.hub has decided").tag(config=True)
    turns: ClassVar[asyncio.Semaphore | None] = None  # for all learners together

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._relay: Relay | None = None

    @property
    def _mine(self) -> dict[str, Any]:
        return self.settings["learners"][self.user.name]

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Return the variables of the server: the course's own, and none of the hub's."""
        kept = {name: value for name, value in env.items() if name.startswith(("JUPYTERHUB_", "KIT_CELL"))}
        reported = {"JUPYTERHUB_ACTIVITY_INTERVAL": str(self.settings["reported"])}
        return {**self._mine["environment"], **kept, **reported}

    def make_preexec_fn(self, name: str) -> Callable[[], None]:
        """Return what the child does before anything else; in a cell, the launcher limits its memory."""
        most = 0 if self.settings["isolated"] else 2 * self.settings["memory"]  # as in the launcher

        def private() -> None:
            os.umask(0o077)
            if most:
                resource.setrlimit(resource.RLIMIT_DATA, (most, most))

        return private

    async def start(self) -> tuple[str, int]:
        """Wait for a turn, start the server, and return where the hub reaches it once it answers.

        JupyterHub's own limit would send whoever comes too early away, with an error and the advice to try again.
        """
        CellSpawner.turns = CellSpawner.turns or asyncio.Semaphore(self.settings["at_once"])
        async with CellSpawner.turns:
            where = await self._start()
            deadline = time.monotonic() + self.http_timeout
            while not await _answers(*where):
                if await self.poll() is not None:
                    raise RuntimeError(f"the server of {self.user.name} ended by itself")
                if time.monotonic() > deadline:
                    await self.stop(now=True)
                    raise TimeoutError(f"the server of {self.user.name} did not answer in {self.http_timeout} s")
                await asyncio.sleep(0.5)
            return where

    async def _start(self) -> tuple[str, int]:
        self.port = random_port()
        self.cmd = [self.settings["python"], str(HERE / "singleuser.py")]
        self.popen_kwargs = {"cwd": self._mine["home"]}
        if not self.settings["isolated"]:
            return await super().start()
        hub_port = self.settings["hub_port"]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.cmd = [*NAMESPACES, sys.executable, "-I", str(HERE / "launcher.py"), *self.cmd]
            cell = {**self._mine["cell"], "port": self.port, "hub_port": hub_port, "control": theirs.fileno()}
            self.environment = {"KIT_CELL": json.dumps(cell)}
            self.popen_kwargs = {"pass_fds": [theirs.fileno()]}
            self._end_relay()
            self._relay = Relay(ours, listen=self.port, target=hub_port)
            await self._relay.start()
            return await super().start()

    async def _signal(self, sig: int) -> bool:
        """Tell the first process of the cell; `unshare`, which waits for it, passes nothing on."""
        if sig == signal.SIGINT:  # to which a server answers with a question
            sig = signal.SIGTERM
        if self.settings["isolated"] and sig == signal.SIGTERM:
            try:
                inside = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
                for child in inside:
                    os.kill(int(child), sig)
                return True
            except (OSError, ValueError):
                return False
        return await super()._signal(sig)

    async def stop(self, now: bool = False) -> None:
        """End the server and everything that it has started."""
        await super().stop(now)
        self._end_relay()

    def _end_relay(self) -> None:
        if self._relay is not None:
            self._relay.stop()
            self._relay = None


async def _answers(host: str, port: int) -> bool:
    """Say whether a server answers; that somebody takes the connection is not enough, for a relay always does."""
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return bool(await reader.read(1))
            finally:
                writer.close()
    except OSError:  # a time-out is one
        return False
