"""Hospitals and researchers on this machine, and the folder that they share.

The hospitals are simulated: every person gets syft's own client and a folder that stands for their machine. What syft
cannot know lies here and out of sight: the transport, the stand-in for `uv`, temporary folders and their end.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import pandas as pd

from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control import offline_uv
from ppml_helpers.owner_in_control.environment import BORROWED
from ppml_helpers.owner_in_control.folder import NetworkFolder
from ppml_helpers.owner_in_control.onlooker import look_at
from ppml_helpers.owner_in_control.people import connection_of, demand_syft, make_client, silence

if TYPE_CHECKING:
    from syft_datasets import Dataset
    from syft_rds import SyftRDSClient

    from ppml_helpers.owner_in_control.transport import LocalFolderConnection

_PERSON = re.compile(r"[a-z][a-z0-9-]{0,29}")
_RESERVED = ("bin", "shared")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DATASET = re.compile(r"[a-z][a-z0-9_-]{0,49}")


class Network:
    """People who reach one another through a shared folder of this machine. Use it in a ``with`` block, or `close` it.

    At the end nothing is left: no folder, no variable of the environment, no running job. If this process is killed,
    the next network clears up behind it.

    While a network is open, syft synchronises when it is told to (``client.sync()``) and never unasked, and jobs run in
    the environment of this process (`offline_uv`).

    Parameters
    ----------
    encryption : bool
        True: messages are encrypted from one person to another. Published mock data never is.
    folder : str or Path, optional
        Where the network makes its own temporary folder; default: where temporary files go.

    Attributes
    ----------
    shared : Path
        The folder that all people share.

    Raises
    ------
    DatasiteError
        On Windows, without syft, or if no folder can be made. By every method: once the network is closed.
    """

    def __init__(self, encryption: bool = False, folder: str | Path | None = None) -> None:
        if not isinstance(encryption, bool):
            raise DatasiteError(f"encryption = {encryption!r} must be True or False.")
        demand_syft()
        self.encryption = encryption
        self._people: dict[str, SyftRDSClient] = {}
        self._folder = NetworkFolder(None if folder is None else Path(folder))
        self._process = os.getpid()
        self._open = True
        atexit.register(self.close)
        self.shared = self._folder.path / "shared"
        self.shared.mkdir()
        programs = self._folder.path / "bin"
        programs.mkdir()
        launcher = programs / "uv"
        launcher.write_text(offline_uv.launcher(sys.executable), encoding="utf-8")
        launcher.chmod(0o700)
        BORROWED.begin(programs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Network({', '.join(self._people) or 'nobody yet'})" if self._open else "Network(closed)"

    @property
    def clients(self) -> dict[str, SyftRDSClient]:
        """Everybody's client by name, in the order in which they came."""
        return dict(self._people)

    def close(self) -> None:
        """End the jobs that still run, remove all folders and put the environment back. May be called again."""
        if os.getpid() != self._process:  # a child that was forked: the network is its parent's
            return
        self._open = False
        self._people.clear()  # their threads end with them
        BORROWED.end(self._folder.path / "bin")
        self._folder.remove()  # once more at exit: a client that was used after the end may have made folders anew

    def hospital(self, name: str) -> SyftRDSClient:
        """Let a hospital join: a data owner, whose address is ``<name>@hospital.example``.

        Parameters
        ----------
        name : str
            Lower-case letters, digits and hyphens.

        Returns
        -------
        syft_rds.SyftRDSClient

        Raises
        ------
        DatasiteError
            If the name is unsuitable or taken.
        """
        return self._join(name, "hospital.example", owner=True)

    def researcher(self, name: str) -> SyftRDSClient:
        """Let a researcher join: a data scientist, whose address is ``<name>@university.example``.

        Parameters
        ----------
        name : str
            Lower-case letters, digits and hyphens.

        Returns
        -------
        syft_rds.SyftRDSClient

        Raises
        ------
        DatasiteError
            If the name is unsuitable or taken.
        """
        return self._join(name, "university.example", owner=False)

    def _join(self, name: str, place: str, owner: bool) -> SyftRDSClient:
        self._demand_open()
        if not isinstance(name, str) or not _PERSON.fullmatch(name) or name in _RESERVED:
            raise DatasiteError(
                f"{name!r} cannot be a person's name: use up to 30 lower-case letters, digits and hyphens, begin with "
                f"a letter, and leave out {' and '.join(_RESERVED)}."
            )
        if name in self._people:
            raise DatasiteError(
                f"{name!r} is in this network already: choose another name, or take network.clients[{name!r}]."
            )
        machine = self._folder.path / name
        self._people[name] = make_client(f"{name}@{place}", owner, machine, self.shared, self.encryption)
        return self._people[name]

    def pair(self, *people: SyftRDSClient) -> None:
        """Make researchers and hospitals known to one another: the one asks, the other approves.

        Parameters
        ----------
        *people : syft_rds.SyftRDSClient
            At least one hospital and one researcher; without any, everybody.

        Raises
        ------
        DatasiteError
            If there is no hospital or no researcher among them.
        """
        self._demand_open()
        chosen = people or tuple(self._people.values())
        for client in chosen:
            self.machine(client)
        owners = [client for client in chosen if client.has_do_role]
        researchers = [client for client in chosen if client.has_ds_role]
        if not owners or not researchers:
            raise DatasiteError("There is no pair: give at least one hospital and one researcher.")
        with silence():
            for researcher, owner in itertools.product(researchers, owners):
                researcher.add_peer(owner.email, sync=False)
                owner.load_peers()
                owner.approve_peer_request(researcher.email)
            for researcher in researchers:
                researcher.sync()

    def write(self, person: SyftRDSClient, name: str, content: str | bytes | pd.DataFrame) -> Path:
        """Write a file on somebody's machine, outside their SyftBox.

        Parameters
        ----------
        person : syft_rds.SyftRDSClient
            Whose machine.
        name : str
            Name of the file.
        content : str, bytes or DataFrame
            A table becomes a CSV file without its index.

        Returns
        -------
        Path

        Raises
        ------
        DatasiteError
            If the name is unsuitable, or the content something else.
        """
        desk = self.machine(person) / "desk"
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise DatasiteError(f"{name!r} cannot be a file's name: use letters, digits and _ . -, such as 'count.py'.")
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(index=False, lineterminator="\n")
        if isinstance(content, str):
            content = content.encode()
        if not isinstance(content, bytes):
            raise DatasiteError(f"A {type(content).__name__} cannot be written: give a text, bytes or a DataFrame.")
        try:
            desk.mkdir(exist_ok=True)
            (desk / name).write_bytes(content)
        except OSError as error:
            raise DatasiteError(
                f"{name} cannot be written ({error.strerror}): make room, or close the network."
            ) from None
        return desk / name

    def publish(
        self, owner: SyftRDSClient, name: str, private: pd.DataFrame, mock: pd.DataFrame, summary: str = ""
    ) -> Dataset:
        """Publish a data set to all peers: the mock table for them to read, the private one for jobs alone.

        Parameters
        ----------
        owner : syft_rds.SyftRDSClient
            A hospital.
        name : str
            Lower-case letters, digits, hyphens and underscores.
        private, mock : DataFrame
            Two tables with the same columns. Syft does not look at them: a mock table that holds real rows is
            published like any other.
        summary : str
            What peers read about it.

        Returns
        -------
        syft_datasets.Dataset

        Raises
        ------
        DatasiteError
            If the name is unsuitable or taken, the person is no hospital, or the tables' columns differ.
        """
        self.machine(owner)
        if not owner.has_do_role:
            raise DatasiteError(f"{owner.email} owns no data: let a hospital publish.")
        if not isinstance(name, str) or not _DATASET.fullmatch(name):
            raise DatasiteError(
                f"{name!r} cannot be a data set's name: use up to 50 lower-case letters, digits, hyphens and "
                f"underscores, and begin with a letter."
            )
        if not isinstance(private, pd.DataFrame) or not isinstance(mock, pd.DataFrame):
            raise DatasiteError(
                f"The private data are a {type(private).__name__} and the mock data a {type(mock).__name__}: "
                f"give two DataFrames."
            )
        if list(private.columns) != list(mock.columns):
            raise DatasiteError(
                f"The private table has the columns {list(private.columns)} and the mock table {list(mock.columns)}: "
                f"give both the same, or code that was tried on the one fails on the other."
            )
        if any(dataset.name == name and dataset.owner == owner.email for dataset in owner.dataset_manager.get_all()):
            raise DatasiteError(f"{owner.email} has a data set {name!r} already: choose another name, or delete that.")
        paths = {
            f"{kind}_path": self.write(owner, f"{name}_{kind}.csv", table)
            for kind, table in (("private", private), ("mock", mock))
        }
        with silence():
            return owner.create_dataset(name=name, summary=summary, users="any", **paths)

    def machine(self, person: SyftRDSClient) -> Path:
        """Give the folder that stands for somebody's machine.

        Parameters
        ----------
        person : syft_rds.SyftRDSClient
            One of this network's people.

        Returns
        -------
        Path
            It holds `SyftBox`, `drive` (event log and archive), `desk` (what `write` wrote) and syft's caches.

        Raises
        ------
        DatasiteError
            If it is nobody of this network.
        """
        self._demand_open()
        for name, client in self._people.items():
            if client is person:
                return self._folder.path / name
        raise DatasiteError(
            f"{person!r} is nobody of this network: give a client that its hospital() or researcher() returned."
        )

    def connection(self, person: SyftRDSClient) -> LocalFolderConnection:
        """Give the connection through which somebody's client sends and receives."""
        self.machine(person)
        return connection_of(person)

    def waiting(self, owner: SyftRDSClient) -> list[Path]:
        """List the messages that lie in somebody's inbox, sender by sender, oldest first.

        Returns
        -------
        list of Path
            The name of a file's folder is the address of its sender.
        """
        connection = self.connection(owner)
        inbox = self.shared / "datasites" / owner.email / "inbox"
        senders = sorted(path.name for path in inbox.iterdir() if path.is_dir()) if inbox.is_dir() else []
        return [message for sender in senders for message in connection.waiting(sender)]

    def seen_in_shared_folder(self) -> pd.DataFrame:
        """Tell what somebody sees who may read the shared folder but is no peer, such as who runs the network drive.

        Returns
        -------
        DataFrame
            One row a file, ordered by its name: `file` (without the times and random numbers in it), `bytes`, and
            `text`, what of it can be read.
        """
        self._demand_open()
        return look_at(self.shared)

    @contextlib.contextmanager
    def short_paths(self) -> Iterator[None]:
        """Let syft print what it prints, with "…" in place of this network's own folder, whose name is random."""
        self._demand_open()
        shortened = _Shortened(sys.stdout, str(self._folder.path))
        with contextlib.redirect_stdout(shortened):
            try:
                yield
            finally:
                shortened.finish()

    def _demand_open(self) -> None:
        if not self._open:
            raise DatasiteError("This network is closed and its folders are gone: open a new one with Network().")


class _Shortened:
    """A text stream that passes whole lines on with one thing replaced."""

    def __init__(self, stream: TextIO, long: str) -> None:
        self._stream = stream
        self._long = long
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._stream.write(line.replace(self._long, "…") + "\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def finish(self) -> None:
        self._stream.write(self._rest.replace(self._long, "…"))
        self._rest = ""
