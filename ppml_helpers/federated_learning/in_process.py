"""The hospitals' app in this process: the same ServerApp and ClientApp as on a network, without a network.

No sockets, no threads, no further processes: a message is handed over, answered, and handed back, one hospital after
the other. That makes a run quick, repeatable, and open to a hook that sees every message.

Flower's own simulation starts Ray. What stands in for it here, `InProcessGrid`, touches names that Flower does not
promise to keep: `TaskIdentity`, `Run`, the message id in a message's metadata, and `deflate` and `inflate`, by which
Flower turns messages into bytes and back. Flower's version is pinned, and the tests notice a change.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.exception import AppExitException
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from ppml_helpers import checks
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import hospitals as tables
from ppml_helpers.federated_learning import results
from ppml_helpers.federated_learning.app.federated_hospitals import client_app, server_app
from ppml_helpers.federated_learning.app.federated_hospitals.server_app import content_bytes
from ppml_helpers.federated_learning.app.federated_hospitals.task import RunError
from ppml_helpers.federated_learning.hospitals import Hospital
from ppml_helpers.federated_learning.results import FederatedRun, RunStopped
from ppml_helpers.federated_learning.run_config import complete, node_configs

LOST = "lost"  # a hook's answer: the reply never arrives
_FOLDER = "ppml-hospitals-"  # and the number of the process that works in it
SERVER = 0  # the server's node id; hospital i is node i + 1

_one_at_a_time = threading.RLock()  # who is speaking (`TaskIdentity`) and how loud is kept by Flower for the process


@dataclass(frozen=True)
class Crossing:
    """A message to a hospital and the hospital's reply."""

    round: int
    hospital: int
    kind: str
    message: Message
    reply: Message
    bytes_down: int
    bytes_up: int


Hook = Callable[[Crossing], Message | str | None]


def run(
    hospitals: Sequence[Hospital],
    config: Mapping[str, Any] | None = None,
    on_message: Hook | None = None,
    fail: Iterable[int] | Mapping[int, int] = (),
) -> FederatedRun:
    """Let the hospitals train together, in this process.

    Parameters
    ----------
    hospitals : sequence of Hospital
        For the time of the run each one's table lies in a file of its own in a private temporary folder.
    config : mapping, optional
        Settings that differ from the app's defaults, such as ``{"num-server-rounds": 3, "strategy": "fedprox"}``.
    on_message : callable, optional
        Called with a `Crossing` for every message, before the server gets the reply. It returns None to let the
        reply pass, another `Message` to be delivered instead, or "lost" if no reply is to arrive. What it raises ends
        the run.
    fail : iterable of int or mapping, optional
        Numbers of hospitals that are offline; as a mapping, hospital to the first round in which it is.

    Returns
    -------
    FederatedRun
        Under "dp" the simulated hospitals' noise is repeatable, which is for lessons only.

    Raises
    ------
    FederationError
        If the hospitals or settings are impossible.
    RunStopped
        A FederationError: a hospital failed or answered something unusable, or the run was interrupted. Its `kept`
        holds the model and the books of the rounds that were complete.
    """
    context = _context(SERVER, complete(hospitals, config))
    try:
        _serve(server_app.app, client_app.app, hospitals, context, on_message, fail)
    except (RunError, AppExitException) as error:
        raise RunStopped(str(error), _kept(context)) from None
    except KeyboardInterrupt:
        kept = _kept(context)
        done = f"The model of round {len(kept.rounds)} is kept." if kept else "No round was complete."
        raise RunStopped(f"The run was interrupted before its last round was complete. {done}", kept) from None
    return _kept(context)


def serve(
    server: ServerApp,
    client: ClientApp,
    hospitals: Sequence[Hospital],
    run_config: Mapping[str, Any] | None = None,
) -> Context:
    """Run any two Flower apps in this process, such as the ones of a notebook cell.

    Parameters
    ----------
    server : ServerApp
        Its messages are answered in the order of the hospitals, so that a plain strategy of Flower's is repeatable.
    client : ClientApp
        Finds its hospital's file in ``context.node_config["table"]`` (read it with `task.load`) and its number in
        ``context.node_config["partition-id"]``.
    hospitals : sequence of Hospital
        As in `run`.
    run_config : mapping, optional
        The run config of both apps, not checked.

    Returns
    -------
    Context
        The server's; what the ServerApp leaves in ``context.state`` can be read there. What it raises is passed on.
    """
    tables.check(hospitals)
    context = _context(SERVER, run_config or {})
    _serve(server, client, hospitals, context)
    return context


def _serve(
    server: ServerApp,
    client: ClientApp,
    hospitals: Sequence[Hospital],
    context: Context,
    on_message: Hook | None = None,
    fail: Iterable[int] | Mapping[int, int] = (),
) -> None:
    if not isinstance(fail, Iterable):
        raise FederationError(f"fail = {fail!r} must list the numbers of hospitals, such as [2]: correct it.")
    offline = dict(fail) if isinstance(fail, Mapping) else dict.fromkeys(fail, 1)
    for number in offline:
        checks.whole(number, "a hospital in fail", 0, len(hospitals) - 1, error=FederationError)
    with _one_at_a_time, _private_folder() as folder, _quiet_flower():
        paths = tables.write(hospitals, folder)
        try:
            server(InProcessGrid(client, _nodes(paths, context.run_config), on_message, offline), context)
        finally:
            tables.remember(hospitals, paths)


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Make a folder for the hospitals' tables and remove it; and those of runs whose program was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        made = re.fullmatch(_FOLDER + r"(\d{1,9})-\w{8}", path.name)
        if made and not psutil.pid_exists(int(made[1])):
            shutil.rmtree(path, ignore_errors=True)
    folder = tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-")
    try:
        yield Path(folder.name)
    finally:
        try:
            folder.cleanup()
        except KeyboardInterrupt:  # pressed a second time
            folder.cleanup()
            raise


def _kept(context: Context) -> FederatedRun | None:
    if "record" not in context.state:
        return None
    return results.from_record(context.state["weights"]["weights"].numpy(), context.state["record"]["json"])


def _context(
    node: int, run_config: Mapping[str, Any], knows: Mapping[str, str | int] = MappingProxyType({})
) -> Context:
    return Context(run_id=1, node_id=node, node_config=dict(knows), state=RecordDict(), run_config=dict(run_config))


def _nodes(paths: list[Path], run_config: Mapping[str, Any]) -> dict[int, Context]:
    """Return what each hospital's node knows, by node id."""
    return {node: _context(node, run_config, knows) for node, knows in enumerate(node_configs(paths), start=1)}


class InProcessGrid(Grid):
    """Hands messages from the server to the hospitals' app and back."""

    def __init__(
        self, client: ClientApp, nodes: dict[int, Context], on_message: Hook | None, offline: dict[int, int]
    ) -> None:
        self._client, self._nodes, self._hook, self._offline = client, nodes, on_message, offline
        self._replies: dict[str, Message] = {}
        self._round = 0

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run only."""

    @property
    def run(self) -> Run:
        """The only run."""
        return Run.create_empty(run_id=1)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a new message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the hospitals' nodes."""
        return list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Let each message be answered at once, in the order of the hospitals, and return the messages' ids."""
        ids = []
        for message in sorted(messages, key=lambda message: message.metadata.dst_node_id):
            message.metadata.__dict__["_message_id"] = str(uuid.uuid4())
            for config in message.content.config_records.values():
                self._round = int(config.get("server-round", self._round))
            reply = self._carry(message)
            if reply is not None:
                self._replies[message.metadata.message_id] = reply
            ids.append(message.metadata.message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have arrived."""
        return [self._replies.pop(key) for key in message_ids if key in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send and return the replies; there is nothing to wait for, what is not there now will not come."""
        return self.pull_messages(self.push_messages(messages))

    def _carry(self, message: Message) -> Message | None:
        """Return the reply to a message, after the hook has seen both; None if it is lost."""
        node = message.metadata.dst_node_id
        reply = self._answer(through_bytes(message), node)
        if self._hook:
            crossing = Crossing(
                round=self._round,
                hospital=node - 1,
                kind=message.metadata.message_type,
                message=through_bytes(message),
                reply=reply,
                bytes_down=content_bytes(message.content),
                bytes_up=0 if reply.has_error() else content_bytes(reply.content),
            )
            answer = self._hook(crossing)
            if isinstance(answer, str) and answer == LOST:
                return None
            if answer is not None and not isinstance(answer, Message):
                raise FederationError(f"on_message returned {answer!r}: return None, a Message or {LOST!r}.")
            reply = reply if answer is None else answer
        return through_bytes(reply)

    def _answer(self, message: Message, node: int) -> Message:
        number = node - 1
        if number in self._offline and self._round >= self._offline[number]:
            return Message(Error(code=5, reason="it is offline"), reply_to=message)
        try:
            with _identity(node):
                return self._client(message, self._nodes[node])
        except Exception as error:  # whatever a hospital's app raises becomes an error message, as on a network
            return Message(Error(code=2, reason=f"its app failed: {type(error).__name__}: {error}"), reply_to=message)


def through_bytes(message: Message) -> Message:
    """Turn a message into Flower's bytes and back, so that server and hospital share no memory."""
    copied = _through_bytes(message)
    copied.metadata.__dict__["_message_id"] = message.metadata.message_id  # travels beside the bytes
    return copied


def _through_bytes(part: Any) -> Any:
    children = {key: _through_bytes(child) for key, child in (part.children or {}).items()}
    return type(part).inflate(part.deflate(), children)


@contextmanager
def _identity(node: int) -> Iterator[None]:
    """Let Flower believe for a while that this process is a node; a new message takes its sender from there."""
    before = TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id
    TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = 1, 1, node
    try:
        yield
    finally:
        TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id = before


@contextmanager
def _quiet_flower() -> Iterator[None]:
    """Keep Flower's log out of a notebook; what goes wrong is raised."""
    log = logging.getLogger("flwr")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with _identity(SERVER):
            yield
    finally:
        log.setLevel(level)
