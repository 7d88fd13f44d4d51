"""Hospitals and researchers on this machine, and the folder that they share.

The hospitals are simulated: every person gets syft's own client and a folder that stands for their machine. Nothing of
it is left behind, neither folders nor variables of the environment nor jobs, not even by a process that was killed.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd
from filelock import FileLock, Timeout

from ppml_helpers import checks
from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control import offline_uv
from ppml_helpers.owner_in_control.access import look_at
from ppml_helpers.owner_in_control.syft_client import demand_syft, end_jobs, make_client, silence

if TYPE_CHECKING:
    from syft_datasets import Dataset
    from syft_rds import SyftRDSClient

    from ppml_helpers.owner_in_control.transport import LocalFolderConnection

_PERSON = re.compile(r"(?!(?:bin|shared)$)[a-z][a-z0-9-]{0,29}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DATASET = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_PREFIX = "ppml-datasite-"


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
    """

    def __init__(self, encryption: bool = False, folder: str | Path | None = None) -> None:
        if not isinstance(encryption, bool):
            raise DatasiteError(f"encryption = {encryption!r} must be True or False.")
        demand_syft()
        self.encryption = encryption
        self._people: dict[str, SyftRDSClient] = {}
        self._folder, self._lock = _new_folder(Path(folder or tempfile.gettempdir()))
        self._process, self._open = os.getpid(), True
        atexit.register(self.close)
        self.shared, self._programs = self._folder / "shared", self._folder / "bin"
        self.shared.mkdir()
        self._programs.mkdir()
        launcher = self._programs / "uv"
        launcher.write_text(offline_uv.launcher(sys.executable), encoding="utf-8")
        launcher.chmod(0o700)
        if not os.access(launcher, os.X_OK):
            self.close()
            raise DatasiteError(
                f"programs may not run in {self._folder.parent} (mounted noexec), and jobs are programs: "
                "set TMPDIR to a folder where they may."
            )
        _borrow(str(self._programs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Network({', '.join(self._people) or 'nobody yet'})" if self._open else "Network(closed)"

    def close(self) -> None:
        """End the jobs that still run, remove all folders and put the environment back. May be called again."""
        if os.getpid() != self._process:  # a child that was forked: the network is its parent's
            return
        self._open = False
        self._people.clear()  # their threads end with them
        _give_back(str(self._programs))
        _remove(self._folder)  # once more at exit: a client that was used after the end may have made folders anew
        self._lock.release()

    def hospital(self, name: str) -> SyftRDSClient:
        """Let a hospital join: a data owner, whose address is ``<name>@hospital.example``."""
        return self._join(name, "hospital.example", owner=True)

    def researcher(self, name: str) -> SyftRDSClient:
        """Let a researcher join: a data scientist, whose address is ``<name>@university.example``."""
        return self._join(name, "university.example", owner=False)

    def _join(self, name: str, place: str, owner: bool) -> SyftRDSClient:
        self._demand_open()
        if not isinstance(name, str) or not _PERSON.fullmatch(name):
            raise DatasiteError(
                f"{name!r} cannot be a person's name: use up to 30 lower-case letters, digits and hyphens, begin with "
                f"a letter, and leave out bin and shared."
            )
        if name in self._people:
            raise DatasiteError(f"{name!r} is in this network already: choose another name.")
        machine = self._folder / name
        self._people[name] = make_client(f"{name}@{place}", owner, machine, self.shared, self.encryption)
        return self._people[name]

    def pair(self, *people: SyftRDSClient) -> None:
        """Make researchers and hospitals known to one another, or everybody: the one asks, the other approves."""
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

    def write(self, person: SyftRDSClient, name: str, content: str | pd.DataFrame) -> Path:
        """Write a file on somebody's machine, outside their SyftBox; a table as CSV, without its index."""
        path = self.machine(person) / "desk" / str(name)
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise DatasiteError(f"{name!r} cannot be a file's name: use letters, digits and _ . -, such as 'count.py'.")
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(index=False, lineterminator="\n")
        if not isinstance(content, str):
            raise DatasiteError(f"A {type(content).__name__} cannot be written: give a text or a DataFrame.")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode())
        return path

    def publish(self, owner: SyftRDSClient, name: str, private: pd.DataFrame, mock: pd.DataFrame) -> Dataset:
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
        """
        self.machine(owner)
        if not owner.has_do_role:
            raise DatasiteError(f"{owner.email} owns no data: let a hospital publish.")
        if not isinstance(name, str) or not _DATASET.fullmatch(name):
            raise DatasiteError(
                f"{name!r} cannot be a data set's name: use up to 50 lower-case letters, digits, hyphens and "
                f"underscores, and begin with a letter."
            )
        if any(dataset.name == name and dataset.owner == owner.email for dataset in owner.dataset_manager.get_all()):
            raise DatasiteError(f"{owner.email} has a data set {name!r} already: choose another name, or delete that.")
        tables = {"private": private, "mock": mock}
        for kind, table in tables.items():
            checks.table(table, kind, error=DatasiteError)
        if list(private.columns) != list(mock.columns):
            raise DatasiteError(
                f"The private table has the columns {list(private.columns)} and the mock table {list(mock.columns)}: "
                f"give both the same, or code that was tried on the one fails on the other."
            )
        paths = {f"{kind}_path": self.write(owner, f"{name}_{kind}.csv", table) for kind, table in tables.items()}
        with silence():
            return owner.create_dataset(name=name, users="any", **paths)

    def machine(self, person: SyftRDSClient) -> Path:
        """Give the folder that stands for somebody's machine.

        It holds `SyftBox`, `drive` (event log and archive), `desk` (what `write` wrote) and syft's caches.
        """
        self._demand_open()
        for name, client in self._people.items():
            if client is person:
                return self._folder / name
        raise DatasiteError(
            f"{person!r} is nobody of this network: give a client that its hospital() or researcher() returned."
        )

    def connection(self, person: SyftRDSClient) -> LocalFolderConnection:
        """Give the connection through which somebody's client sends and receives."""
        self.machine(person)
        return person.peer_manager.connection_router.connections[0]

    def seen_in_shared_folder(self) -> pd.DataFrame:
        """Tell what somebody sees who may read the shared folder but is no peer, such as who runs the network drive.

        One row a file, ordered by its name: `file` (without the times and random numbers in it), `bytes`, and `text`,
        what of it can be read.
        """
        self._demand_open()
        return look_at(self.shared)

    def _demand_open(self) -> None:
        if not self._open:
            raise DatasiteError("This network is closed and its folders are gone: open a new one with Network().")


# What a network leaves behind: nothing


def _new_folder(parent: Path) -> tuple[Path, FileLock]:
    """Make a private folder, and the lock beside it that is held as long as this process lives, however it ends."""
    try:
        clear_leftovers(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
    except OSError as error:
        raise DatasiteError(
            f"No folder can be made in {parent} ({error.strerror}): give one that exists and may be written to."
        ) from None
    lock = FileLock(f"{folder}.lock", thread_local=False)
    lock.acquire()
    folder.mkdir(mode=0o700, exist_ok=True)  # somebody who took the lock before us has cleared it away
    return folder, lock


def clear_leftovers(parent: Path) -> None:
    """Remove the networks in a folder whose process has gone, and end the jobs that run in them."""
    for file in parent.glob(f"{_PREFIX}*.lock"):
        with contextlib.suppress(OSError, Timeout), FileLock(file, timeout=0):  # it is at work, or another user's
            _remove(file.with_suffix(""))


def _remove(folder: Path) -> None:
    if not folder.is_symlink():  # nobody's network, but a stranger's pointer to it
        end_jobs(folder)
        shutil.rmtree(folder, ignore_errors=True)
    Path(f"{folder}.lock").unlink(missing_ok=True)


_OPEN: list[str] = []  # the folders of programs of this process's networks
_BEFORE: dict[str, str | None] = {}  # what the first of them found, and the last puts back


def _borrow(programs: str) -> None:
    """Put a folder of programs first on the path; and let syft fetch no messages at every look at `client.jobs`."""
    if not _OPEN:
        _BEFORE["PRE_SYNC"] = os.environ.get("PRE_SYNC")
    _OPEN.append(programs)
    os.environ.update(PRE_SYNC="false", PATH=os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]))


def _give_back(programs: str) -> None:
    if programs in _OPEN:
        _OPEN.remove(programs)
        os.environ["PATH"] = os.pathsep.join(part for part in os.get_exec_path() if part != programs)
        if not _OPEN and (before := _BEFORE.pop("PRE_SYNC")) is None:
            os.environ.pop("PRE_SYNC", None)
        elif not _OPEN:
            os.environ["PRE_SYNC"] = before
