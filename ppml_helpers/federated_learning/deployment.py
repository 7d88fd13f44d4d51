"""The same federation on a real network: a server and one process a hospital, on this machine, over TLS.

Flower calls the server's process the SuperLink and a hospital's process its SuperNode. Both are started by the command
lines of real machines (`commands`, ``workshop/real-network.md``), behind a door of our own (`door`); only the addresses
differ. The keys are made anew for every deployment and are gone with it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, get_args

import httpx
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from flwr.proto.control_pb2 import RegisterNodeRequest, StopRunRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from ppml_helpers import checks, words
from ppml_helpers.certificates import ADDRESS
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import certificates, commands, flower_log, results
from ppml_helpers.federated_learning.hospitals import Hospital, check, remember, remind, write
from ppml_helpers.federated_learning.process_group import ProcessGroup
from ppml_helpers.federated_learning.results import FederatedRun
from ppml_helpers.federated_learning.run_config import APP, complete, node_configs
from ppml_helpers.files import write_secret

START_LIMIT = 90.0  # seconds until a process must be ready; 15 are the rule on a busy machine
Mistake = Literal["wrong authority", "no key", "unregistered key"]
Progress = Callable[[float, str], None]

_PAUSE = 0.2  # seconds between two looks at the processes
_SERVER = "server"
_AGAIN = "Stop this deployment and start a new one; nothing is lost at the hospitals."
_SERVER_LOST = f"The server has ended. {_AGAIN}"


class Deployment:
    """A server and its hospitals as processes of this machine, connected over TLS. Use it in a ``with`` block.

    At the end no process, port or key is left: also after an error or an interrupt, and some seconds after this
    program is killed.

    Parameters
    ----------
    hospitals : sequence of Hospital
        Each gets a table, a key pair and a process of its own.

    Attributes
    ----------
    port : int
        Where the server listens, on this machine alone; every user of the machine reaches it.

    Raises
    ------
    FederationError
        If the hospitals cannot train together, or a process is not ready after `START_LIMIT` seconds.
    """

    def __init__(self, hospitals: Sequence[Hospital]) -> None:
        check(hospitals)
        self.hospitals = tuple(hospitals)
        self.port = 0
        self._processes: ProcessGroup | None = None
        self._runs = self._strangers = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Deployment({len(self.hospitals)} hospitals, {len(self.connected)} connected)"

    @property
    def connected(self) -> tuple[int, ...]:
        """Numbers of the hospitals whose process runs; none if the server does not."""
        group = self._processes
        if group is None or not group.is_alive(_SERVER):
            return ()
        return tuple(number for number in range(len(self.hospitals)) if group.is_alive(_name(number)))

    @property
    def token(self) -> str:
        """What who submits a run must hold. Whoever has it makes the hospitals execute code: hand it to nobody."""
        return self._group and self._keys.token.read_text("ascii")

    def start(self) -> Self:
        """Make the keys, start the server, register and start every hospital. Nothing is left if that fails."""
        if self._processes is not None:
            raise FederationError("This deployment runs already: use it, or stop() it first.")
        self.port, self._processes = free_port(), ProcessGroup()
        try:
            self._prepare(self._group.folder)
            self._group.start(_SERVER, commands.server(self.port, self._keys))
            self._await(_SERVER, flower_log.SERVES, "The server did not start")
            self._register()
            for number, key in enumerate(self._keys.hospitals):
                self._launch(_name(number), number, self._keys.authority, key)
            for number in range(len(self.hospitals)):
                self._await(_name(number), flower_log.CONNECTED, f"Hospital {number} could not connect")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process and remove the folder with keys, tables and logs. May be called again."""
        if self._processes is not None:
            self._processes.end()
            self._processes = None

    def knock(self, mistake: Mistake) -> None:
        """Start somebody beside the hospitals who makes a mistake, to see them refused.

        Parameters
        ----------
        mistake : {"wrong authority", "no key", "unregistered key"}
            A hospital's own process that was told to trust another authority than the server's; or somebody who is no
            hospital, and comes without a key or with one of their own.

        Raises
        ------
        FederationError
            Which of the two refused the other, and why; also if this deployment does not run.
        """
        group = self._group
        checks.choice(mistake, "mistake", get_args(Mistake), error=FederationError)
        self._strangers += 1
        name = f"stranger-{self._strangers}"
        authority, key = self._keys.authority, None
        if mistake == "wrong authority":
            authority, key = certificates.make_strange_authority(group.folder / name), self._keys.hospitals[0]
        elif mistake == "unregistered key":
            key = certificates.make_hospital_key(group.folder / name)
        try:
            self._launch(name, 0, authority, key)
            self._await(name, flower_log.CONNECTED, "The stranger could not connect")
        finally:
            group.kill(name)

    def run(
        self, config: Mapping[str, object] | None = None, progress: Progress | None = None, timeout: float = 300.0
    ) -> FederatedRun:
        """Train once, as `in_process.run` does: the same settings give the same bits.

        Parameters
        ----------
        config : mapping, optional
            Run config of the app, such as ``{"num-server-rounds": 3, "seed": 7}``. `out` is not used: the result is
            what is returned.
        progress : callable, optional
            Called with the share that is done and a few words, such as ``(0.33, "round 2 of 3")``.
        timeout : float
            Seconds after which the run is called off.

        Returns
        -------
        FederatedRun

        Raises
        ------
        FederationError
            If a setting is wrong, a hospital is not connected or the certificates have run out, before anything is
            sent.
        RunStopped
            A FederationError: a hospital or the server was lost, answered wrongly or not in time, or the run was
            interrupted. Its `kept` has the rounds that were complete.
        """
        group, tell = self._group, progress or (lambda share, what: None)
        self._demand_everyone()
        limit = checks.number(timeout, "timeout", 0, above=True, error=FederationError, mend="give it seconds")
        name = f"run-{self._runs + 1}"
        out = group.folder / f"{name}.npz"
        chosen = complete(self.hospitals, config) | {"out": str(out)}
        self._runs += 1
        settings = write_secret(group.folder / f"{name}.toml", commands.in_toml(chosen))
        remind(self.hospitals, self._tables)  # of sums in other places since the start
        group.start(name, commands.run(APP, settings))
        try:
            reason = self._watch(name, int(chosen["num-server-rounds"]), limit, tell)
        except KeyboardInterrupt:
            reason = "The run was interrupted before its last round was complete."
        finally:
            self._call_off(name)
            remember(self.hospitals, self._tables)
        if reason is not None or not out.exists():
            raise results.stopped(out, reason or self._own_reason(name, out))
        tell(1.0, "all rounds done")
        return results.read(out)

    def _prepare(self, folder: Path) -> None:
        self._keys = certificates.make_keys(folder, len(self.hospitals))
        self._tables = write(self.hospitals, folder)
        for number, about in enumerate(node_configs(self._tables)):
            write_secret(folder / f"{_name(number)}.toml", commands.in_toml(about))
        home = folder / "flower"
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text(commands.connection(self.port, self._keys.authority), "utf-8")
        write_secret(home / "credentials.yaml", commands.credentials(self.port, self.token).encode())

    def _register(self) -> None:
        server = self._control()
        for key in self._keys.hospitals:
            public = load_ssh_public_key(key.with_name(f"{key.name}.pub").read_bytes())
            try:
                server.RegisterNode(RegisterNodeRequest(public_key=public_key_to_bytes(public)))
            except httpx.HTTPError as error:
                raise FederationError(f"The server did not take the hospitals' keys: {error}") from None

    def _control(self) -> ControlHttpClient:
        return commands.control(self.port, self.token, self._keys.authority)

    def _launch(self, name: str, number: int, authority: Path, key: Path | None) -> None:
        settings = self._group.folder / f"{_name(number)}.toml"
        self._group.start(name, commands.hospital(self.port, free_port(), authority, key, settings))

    def _await(self, name: str, ready: str, failed: str) -> None:
        """Wait until a process's log has the words of one that is ready, or say why it never will be."""
        group, deadline = self._group, time.monotonic() + START_LIMIT
        while ready not in (log := group.log(name)):
            refusal = flower_log.refusal(log)
            if refusal or not group.is_alive(name):
                why = refusal or flower_log.last_words(group.log(name)) or "it ended without a word."
                raise FederationError(f"{failed}: {why}")
            if not group.is_alive(_SERVER):
                raise FederationError(f"{failed}. {_SERVER_LOST}")
            if time.monotonic() > deadline:
                certificates.check_time(self._keys.certificate)
                raise FederationError(
                    f"{failed} within {START_LIMIT:.0f} s: the machine is busy, or something forbids connections to "
                    f"{ADDRESS}. Close other programs and try again."
                )
            time.sleep(_PAUSE)

    def _watch(self, name: str, rounds: int, limit: float, tell: Progress) -> str | None:
        """Wait for the end of a run; say why it has to be called off, or nothing if it ended by itself."""
        group, everyone = self._group, range(len(self.hospitals))
        before = {number: len(group.log(_name(number))) for number in everyone}
        deadline, told = time.monotonic() + limit, 0
        while group.is_alive(name):
            if not group.is_alive(_SERVER):
                return _SERVER_LOST
            if lost := self._away():
                return f"{_titles(lost)} ended during the run. {_AGAIN}"
            if time.monotonic() > deadline:
                logs = {number: group.log(_name(number))[before[number] :] for number in everyone}
                late = flower_log.late(logs)
                who = f"{_titles(late)} did not answer" if late else "The run did not end"
                return f"{who} within {limit:g} s. Give it more time or fewer rounds. Or: {_AGAIN}"
            number = flower_log.current_round(group.log(name))
            if number > told:
                tell((number - 1) / rounds, f"round {number} of {rounds}")
                told = number
            time.sleep(_PAUSE)
        return None

    def _call_off(self, name: str) -> None:
        run_id = flower_log.run_id(self._group.log(name))
        self._group.kill(name)
        if run_id is not None and self._group.is_alive(_SERVER):
            with contextlib.suppress(httpx.HTTPError):  # it has ended by itself
                self._control().StopRun(StopRunRequest(run_id=int(run_id)))

    def _own_reason(self, name: str, out: Path) -> str | None:
        if not self._group.is_alive(_SERVER):  # the run may notice it, and end, before the watch does
            return _SERVER_LOST
        if out.with_name(f"{out.name}.error").exists():
            return None
        why = flower_log.last_words(self._group.log(name))
        return f"The run ended without a result: {why or 'Flower does not say why.'}"

    def _demand_everyone(self) -> None:
        if not self._group.is_alive(_SERVER):
            raise FederationError(_SERVER_LOST)
        certificates.check_time(self._keys.certificate)
        if away := self._away():
            raise FederationError(f"{_titles(away)} cannot take part, because it does not run. {_AGAIN}")

    def _away(self) -> list[int]:
        return [number for number in range(len(self.hospitals)) if number not in self.connected]

    @property
    def _group(self) -> ProcessGroup:
        if self._processes is None:
            raise FederationError("This deployment does not run: start() it, or use it in a with block.")
        return self._processes


def free_port() -> int:
    """Find a port of this machine that nobody uses at present."""
    with socket.socket() as one:
        one.bind((ADDRESS, 0))
        return one.getsockname()[1]


def _name(number: int) -> str:
    return f"hospital-{number}"


def _titles(numbers: Sequence[int]) -> str:
    return words.listed(f"Hospital {number}" for number in numbers)
