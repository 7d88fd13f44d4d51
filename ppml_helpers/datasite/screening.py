"""Look at the messages that wait for an owner before syft does, and set the bad ones aside.

Syft trusts the sender that a message names, and stops every later sync at the first message that it cannot read or
that is out of date. Both are a matter of one file in the shared folder.

A message that arrives between the look and the sync is not looked at. If it is damaged, the sync stops, and it is found
on the second look; if it plants a file in a job that was reviewed, the fingerprint of that job no longer fits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppml_helpers.datasite.people import connection_of, silence
from ppml_helpers.errors import DatasiteError

if TYPE_CHECKING:
    from syft.sync.messages.proposed_filechange import ProposedFileChangesMessage
    from syft_rds import SyftRDSClient


class SetAside(NamedTuple):
    """A message that was taken out of the owner's inbox: whose inbox folder it lay in, its file, and why."""

    sender: str
    file: str
    why: str


def screened_sync(
    owner: SyftRDSClient, folder: Path, senders: bool, unreadable: bool, note: Callable[[SetAside], None]
) -> tuple[SetAside, ...]:
    """Sync an owner's datasite; messages that must not come in are moved to a folder first.

    Parameters
    ----------
    owner : SyftRDSClient
        With the role of a data owner.
    folder : Path
        Where messages that are set aside are kept.
    senders : bool
        Refuse a message that names another sender than the one whose folder it lies in.
    unreadable : bool
        Set aside what cannot be read or is out of date, and go on.
    note : callable
        Told of each before it is moved.

    Raises
    ------
    DatasiteError
        If the sync fails for another reason, or `unreadable` is off and a message stops it.
    """
    aside: list[SetAside] = []

    def set_aside(path: Path, why: str) -> None:
        found = SetAside(path.parent.name, path.name, why)
        note(found)
        (folder / found.sender).mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder / found.sender / found.file)
        aside.append(found)

    with silence():
        owner.load_peers()
        while True:
            for path, why in _bad(owner, senders, unreadable):
                set_aside(path, why)
            try:
                owner.sync()
                return tuple(aside)
            except Exception as error:  # syft raises whatever the message made it stumble over
                stale = _stale(owner) if unreadable else None
                if stale is None and not (unreadable and any(_bad(owner, senders, unreadable))):
                    raise DatasiteError(
                        f"{owner.email} cannot sync ({type(error).__name__}: {_first_line(error)}): a message in the "
                        f"inbox or the shared folder is at fault; set it aside."
                    ) from error
            if stale is not None:
                set_aside(*stale)


def _bad(owner: SyftRDSClient, senders: bool, unreadable: bool) -> Iterator[tuple[Path, str]]:
    for path in _waiting(owner):
        try:
            named = _message(owner, path).sender_email
        except Exception as error:  # any damage at all: the decryption, the archive, the JSON, the fields
            if unreadable:
                yield path, f"cannot be read ({type(error).__name__})"
            continue
        if senders and named != path.parent.name:
            yield path, f"names {named} as its sender but lies in the folder of {path.parent.name}"


def _stale(owner: SyftRDSClient) -> tuple[Path, str] | None:
    """Find the message at which syft stopped: the oldest of its sender, and not applicable to the files as they are."""
    syncer = owner.sync_engine.datasite_owner_syncer
    heads: dict[str, Path] = {}
    for path in _waiting(owner):
        heads.setdefault(path.parent.name, path)
    for path in heads.values():
        for change in _message(owner, path).proposed_file_changes:
            try:
                conflict = syncer.event_cache.has_conflict(change)
            except ValueError:  # a change of a file that is not there
                conflict = True
            if conflict or _blocked(owner.syftbox_folder / owner.email, change.path_in_datasite):
                return path, f"changes {change.path_in_datasite.name}, which is not as the message expects it"
    return None


def _blocked(datasite: Path, path: Path) -> bool:
    """Tell whether a file cannot be written because a folder has its name, or a file the name of its folder."""
    target = datasite / path
    return target.is_dir() or any(folder.is_file() for folder in target.parents)


def _waiting(owner: SyftRDSClient) -> list[Path]:
    connection = connection_of(owner)
    return [path for peer in owner.peer_manager.approved_peers for path in connection.waiting(peer.email)]


def _message(owner: SyftRDSClient, path: Path) -> ProposedFileChangesMessage:
    from syft.sync.messages.proposed_filechange import ProposedFileChangesMessage

    store = owner.peer_manager.peer_store
    return ProposedFileChangesMessage.from_compressed_data(
        store.decrypt_and_verify_if_needed(path.parent.name, path.read_bytes())
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
