"""The same federation on a real network: a server and one process a hospital, on this machine, over TLS.

Flower calls the server's process the SuperLink and a hospital's process its SuperNode. Both are started by the command
lines of real machines (`commands`, ``workshop/real-network.md``), behind a door of our own (`door`); only the addresses
differ. The keys are made anew for every deployment and are gone with it.
"""

from __future__ import annotations

import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

from ppml_helpers import checks, words
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import certificates, commands, flower_log, results
from ppml_helpers.federated_learning.certificates import ADDRESS
from ppml_helpers.federated_learning.hospitals import Hospital, check, write
from ppml_helpers.federated_learning.process_group import ProcessGroup
from ppml_helpers.federated_learning.results import FederatedRun
from ppml_helpers.federated_learning.run_config import APP, complete, node_config

START_LIMIT = 90.0  # seconds until a process must be ready; 15 are the rule on a busy machine
REJOIN_LIMIT = 90.0  # seconds for which a hospital that was killed knocks again; Flower forgets it after 60
STOP_LIMIT = 20.0  # seconds for calling off a run
Mistake = Literal["wrong authority", "no key", "unregistered key"]
Progress = Callable[[float, str], None]

_PAUSE = 0.2  # seconds between two looks at the processes
_SERVER = "server"
_SERVER_LOST = "The server has ended. Stop this deployment and start a new one; nothing is lost at the hospitals."
_BUSY = f"{START_LIMIT:.0f} s: the machine is busy, or something forbids connections to {ADDRESS}. Close other programs"


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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
            self._start_server()
            self._register()
            for number, key in enumerate(self._keys.hospitals):
                self._launch(_name(number), number, self._keys.authority, key)
            for number in range(len(self.hospitals)):
                self._await_connection(_name(number), number)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process and remove the folder with keys, tables and logs. May be called again."""
        if self._processes is not None:
            self._processes.end()
            self._processes = None

    def start_node(self, number: int, mistake: Mistake | None = None) -> None:
        """Start a hospital again that was ended, with the key that it had.

        After a `kill` this takes about a minute: so long does the server believe that the hospital is still there.

        Parameters
        ----------
        number : int
            Which hospital, from 0.
        mistake : {"wrong authority", "no key", "unregistered key"}, optional
            Start a stranger beside the hospital that makes this mistake, to see it refused.

        Raises
        ------
        FederationError
            If the hospital runs already, or the server and the one who knocks do not accept each other.
        """
        group, number = self._group, self._checked(number)
        certificates.check_time(self._keys.certificate)
        if mistake is None:
            return self._rejoin(number)
        self._strangers += 1
        name = f"stranger-{self._strangers}"
        authority, key = self._strange_keys(mistake, group.folder / name, number)
        try:
            self._launch(name, number, authority, key)
            self._await_connection(name, number)
        finally:
            group.kill(name)

    def kill(self, who: int | Literal["server"]) -> None:
        """End a hospital, or the server, at once and without a word, as a power cut would."""
        self._group.kill(_SERVER if who == _SERVER else _name(self._checked(who)))

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
            interrupted. Its `kept` has the rounds that were complete. A hospital that did not answer in time is
            ended: `start_node` it before the next run.
        """
        group = self._group
        self._demand_everyone()
        limit = checks.number(timeout, "timeout", 0, above=True, error=FederationError, mend="give it seconds")
        name = f"run-{self._runs + 1}"
        out = group.folder / f"{name}.npz"
        chosen = complete(self.hospitals, config) | {"out": str(out)}
        self._runs += 1
        group.start(name, commands.run(APP, chosen))
        try:
            reason = self._watch(name, int(chosen["num-server-rounds"]), limit, progress)
        except KeyboardInterrupt:
            self._call_off(name)
            raise results.stopped(out, "The run was interrupted before its last round was complete.") from None
        except BaseException:
            self._call_off(name)
            raise
        if reason is None and out.exists():
            if progress is not None:
                progress(1.0, "all rounds done")
            return results.read(out)
        if reason is not None:
            self._call_off(name)
        raise results.stopped(out, reason or self._own_reason(name, out))

    def _prepare(self, folder: Path) -> None:
        self._keys = certificates.make_keys(folder, len(self.hospitals))
        self._tables = write(self.hospitals, folder)
        home = folder / "flower"
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text(commands.connection(self.port, self._keys.authority), "utf-8")
        certificates.write_secret(home / "credentials.yaml", commands.credentials(self.port, self.token).encode())

    def _start_server(self) -> None:
        group = self._group
        group.start(_SERVER, commands.server(self.port, self._keys))
        trust = ssl.create_default_context(cafile=str(self._keys.authority))
        no_proxy, https = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        opener, deadline = urllib.request.build_opener(no_proxy, https), time.monotonic() + START_LIMIT
        while True:
            try:
                with opener.open(f"https://{ADDRESS}:{self.port}/health", timeout=2):
                    return
            except OSError:
                pass
            if not group.is_alive(_SERVER):
                raise FederationError(f"The server did not start: {self._why(_SERVER)}")
            if time.monotonic() > deadline:
                certificates.check_time(self._keys.certificate)
                raise FederationError(f"The server was not ready after {_BUSY} and try again.")
            time.sleep(_PAUSE)

    def _register(self) -> None:
        public = [key.with_name(f"{key.name}.pub") for key in self._keys.hospitals]
        done = self._group.ask(commands.register(public), START_LIMIT)
        if done is None or done[0] != 0:
            why = flower_log.last_words(done[1]) if done else f"no answer within {START_LIMIT:.0f} s"
            raise FederationError(f"The server did not take the hospitals' keys: {why}")

    def _launch(self, name: str, number: int, authority: Path, key: Path | None) -> None:
        about = node_config(number, len(self.hospitals), self._tables[number])
        self._group.log_file(name).unlink(missing_ok=True)
        self._group.start(name, commands.hospital(self.port, free_port(), authority, key, about))

    def _await_connection(self, name: str, number: int) -> None:
        group, deadline, failed = self._group, time.monotonic() + START_LIMIT, ""
        while not failed and not flower_log.connected(log := group.log(name)):
            if flower_log.refusal(log) or not group.is_alive(name):
                failed = f"could not connect: {self._why(name)}"
            elif not group.is_alive(_SERVER):
                failed = f"could not connect. {_SERVER_LOST}"
            elif time.monotonic() > deadline:
                failed = f"was not connected after {_BUSY} and start it again."
            else:
                time.sleep(_PAUSE)
        if failed:
            group.kill(name)
            raise FederationError(f"{_title(number)} {failed}")

    def _why(self, name: str) -> str:
        """Say what a process's log tells of its end."""
        log = self._group.log(name)
        return flower_log.refusal(log) or flower_log.last_words(log) or "it ended without a word."

    def _rejoin(self, number: int) -> None:
        name, deadline = _name(number), time.monotonic() + REJOIN_LIMIT
        while True:
            self._launch(name, number, self._keys.authority, self._keys.hospitals[number])
            try:
                return self._await_connection(name, number)
            except FederationError:
                # After a kill the server believes a hospital connected, and refuses a second one with its key, until
                # two heartbeats have failed to come.
                if not flower_log.unknown(self._group.log(name)) or time.monotonic() > deadline:
                    raise
            time.sleep(5 * _PAUSE)

    def _strange_keys(self, mistake: Mistake, path: Path, number: int) -> tuple[Path, Path | None]:
        checks.choice(mistake, "mistake", get_args(Mistake), error=FederationError)
        if mistake == "wrong authority":
            return certificates.make_strange_authority(path), self._keys.hospitals[number]
        return self._keys.authority, None if mistake == "no key" else certificates.make_hospital_key(path)

    def _watch(self, name: str, rounds: int, limit: float, progress: Progress | None) -> str | None:
        """Wait for the end of a run; say why it has to be called off, or nothing if it ended by itself."""
        group, everyone = self._group, range(len(self.hospitals))
        before = {number: len(group.log(_name(number))) for number in everyone}
        deadline, told = time.monotonic() + limit, 0
        while group.is_alive(name):
            if not group.is_alive(_SERVER):
                return _SERVER_LOST
            if lost := self._away():
                return f"{_titles(lost)} ended during the run. {_mend(lost)}"
            if time.monotonic() > deadline:
                logs = {number: group.log(_name(number))[before[number] :] for number in everyone}
                late = flower_log.late(logs)
                for number in late:
                    group.stop(_name(number))  # it would still be at its old task when the next run begins
                who = f"{_titles(late)} did not answer" if late else "The run did not end"
                return f"{who} within {limit:g} s. {_mend(late)}"
            number = flower_log.current_round(group.log(name))
            if progress is not None and number > told:
                progress((number - 1) / rounds, f"round {number} of {rounds}")
                told = number
            time.sleep(_PAUSE)
        return None

    def _call_off(self, name: str) -> None:
        run_id = flower_log.run_id(self._group.log(name))
        self._group.kill(name)
        if run_id is not None and self._group.is_alive(_SERVER):
            self._group.ask(commands.call_off(run_id), STOP_LIMIT)

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
            raise FederationError(f"{_titles(away)} cannot take part, because it does not run. {_mend(away)}")

    def _away(self) -> list[int]:
        return [number for number in range(len(self.hospitals)) if number not in self.connected]

    @property
    def _group(self) -> ProcessGroup:
        if self._processes is None:
            raise FederationError("This deployment does not run: start() it, or use it in a with block.")
        return self._processes

    def _checked(self, number: int) -> int:
        return checks.whole(number, "hospital", 0, len(self.hospitals) - 1, error=FederationError)


def free_port() -> int:
    """Find a port of this machine that nobody uses at present."""
    with socket.socket() as one:
        one.bind((ADDRESS, 0))
        return one.getsockname()[1]


def _name(number: int) -> str:
    return f"hospital-{number}"


def _title(number: int) -> str:
    return f"Hospital {number}"


def _titles(numbers: Sequence[int]) -> str:
    return words.listed(map(_title, numbers))


def _mend(numbers: Sequence[int]) -> str:
    if not numbers:
        return "Give it more time or fewer rounds."
    return f"Start again with {words.listed(f'start_node({number})' for number in numbers)}, then run once more."
