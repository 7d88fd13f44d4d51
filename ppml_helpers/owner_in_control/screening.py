"""Look at the messages that wait for an owner before syft does, and set the bad ones aside.

Syft trusts the sender that a message names, and stops every later sync at the first message that it cannot read or
apply. Both are a matter of one file in the shared folder.

What is looked at are the bytes that syft then gets: a message that arrives, or is replaced, in the middle of a sync is
looked at as well.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control.people import silence
from ppml_helpers.owner_in_control.visible import visible_name

if TYPE_CHECKING:
    from syft_rds import SyftRDSClient

    from ppml_helpers.owner_in_control.transport import LocalFolderConnection

_LONGEST_PART, _LONGEST = 255, 2000  # bytes; room is left for the folders above the datasite
# The owner's own trouble, which is no message's fault.
_OWN_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


class SetAside(NamedTuple):
    """A message that was taken out of the owner's inbox: whose inbox folder it lay in, its file, and why."""

    sender: str
    file: str
    why: str


def screened_sync(
    owner: SyftRDSClient, folder: Path, senders: bool, unreadable: bool, note: Callable[[SetAside], None]
) -> tuple[SetAside, ...]:
    """Sync an owner's datasite; messages that must not come in are moved to a folder first."""
    aside: list[SetAside] = []
    given: list[Path] = []

    def set_aside(path: Path, why: str) -> None:
        found = SetAside(path.parent.name, path.name, why)
        note(found)
        (folder / found.sender).mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder / found.sender / found.file)
        aside.append(found)

    def screen(path: Path, data: bytes) -> bool:
        why = _objection(owner, path, data, senders, unreadable)
        if why:
            set_aside(path, why)
        else:
            given.append(path)
        return not why

    inbox: LocalFolderConnection = owner.sync_engine.datasite_owner_syncer.connection_router.connections[0]
    with silence(), inbox.screening(screen):
        while True:
            try:
                owner.sync()
                return tuple(aside)
            except Exception as error:  # syft raises whatever the message made it stumble over
                # A message stays in the inbox until it is dealt with: this is where syft stopped.
                stopped = given and given[-1].exists() and getattr(error, "errno", None) not in _OWN_TROUBLE
                if not unreadable or not stopped:
                    raise DatasiteError(
                        f"{owner.email} cannot sync ({type(error).__name__}: {_first_line(error)}): a message in the "
                        f"inbox or the shared folder is at fault; set it aside."
                    ) from error
                set_aside(given[-1], f"does not fit the files as they are ({type(error).__name__})")


def _objection(owner: SyftRDSClient, path: Path, data: bytes, senders: bool, unreadable: bool) -> str:
    """Say why a message is not let in; nothing if it is."""
    from syft.sync.messages.proposed_filechange import ProposedFileChangesMessage

    sender, store = path.parent.name, owner.peer_manager.peer_store
    try:
        clear = store.decrypt_and_verify_if_needed(sender, data)
        message = ProposedFileChangesMessage.from_compressed_data(clear)
    except Exception as error:  # any damage at all: the decryption, the archive, the JSON, the fields
        return f"cannot be read ({type(error).__name__})" if unreadable else ""
    if senders and message.sender_email != sender:
        return f"names {visible_name(message.sender_email)} as its sender but lies in the folder of {sender}"
    if unreadable and not all(_is_name(change.path_in_datasite) for change in message.proposed_file_changes):
        return "names a file as no file can be named"
    return ""


def _is_name(path: Path) -> bool:
    """Tell whether a file can have this path: syft notes it before it fails to write, and then stumbles for ever."""
    short = len(os.fsencode(path)) < _LONGEST and all(len(os.fsencode(part)) <= _LONGEST_PART for part in path.parts)
    return short and str(path).isprintable() and not path.is_absolute() and ".." not in path.parts


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
