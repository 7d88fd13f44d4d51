"""Messages between datasites through an ordinary folder: a memory stick, a network drive, a synchronised folder.

PySyft comes with one transport, Google Drive. This one implements the same public base class over a folder that all
people share::

    people/<email>/                          version file and public keys, for everyone
    datasites/<owner>/inbox/<peer>/          what a peer proposes to the owner (jobs)
    datasites/<owner>/outbox/<peer>/         what the owner lets that peer read (job states, released outputs)
    collections/<owner>/<prefix>_<tag>_<hash>/   published files (mock data) and the list of their readers

What is one's own (list of peers, event log, archive) lies in a second folder that nobody shares: the log holds the
outputs of jobs before their release.

Whoever may write to the shared folder can lay a file into anybody's box. So each message, to an owner and from one, is
signed with a key that never leaves its sender's machine (Ed25519), over its place, its name and its bytes; both sides
note the other's key when they become peers, and take no message without a signature that fits. (Whose key that is must
be settled then, by telephone for one: who can write to the folder could have changed it. Published files bear none.)

This module imports syft, which takes a second and does not work on Windows: `network` imports it when it is needed.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import syft_crypto_python
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import PrivateAttr
from syft.sync.connections.base_connection import ConnectionConfig, FileCollection, SyftboxPlatformConnection
from syft.sync.connections.drive.gdrive_transport import CollectionFolder
from syft.sync.events.file_change_event import FileChangeEventsMessageFileName
from syft.sync.messages.proposed_filechange import FileNameParseError, MessageFileName, ProposedFileChangesMessage
from syft.sync.version.version_info import VersionInfo

from ppml_helpers.errors import DatasiteError
from ppml_helpers.files import replacing

READERS = ".readers.json"
EVERYONE = "*"  # published for whoever is, or becomes, a peer

_MARK, _SIGNED = b"SIG1", 68  # what a signed message begins with, and how many bytes are not yet the message
_MOST = 64 * 2**20  # bytes of one message, packed and unpacked: 0.3 MB can be made to unpack to 300
_PACKED = "proposed_file_changes.json"  # the one file in syft's archives
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+ -]*")


class LocalFolderConnection(SyftboxPlatformConnection):
    """One person's access to the shared folder, and to the folder that is theirs alone.

    Syft makes it from a `LocalFolderConfig` and calls its methods, which do what their names say. An identifier of a
    file is its path.
    """

    email: str
    shared: Path
    private: Path
    _screen: Callable[[Path, bytes | None], bool] | None = PrivateAttr(default=None)

    @classmethod
    def from_config(cls, config: LocalFolderConfig) -> LocalFolderConnection:
        return cls(config=config, email=config.email, shared=config.shared, private=config.private)

    # ---------------------------------------------------------------------------------------------------- files

    def _shared(self, *names: str) -> Path:
        for name in names:
            if not _NAME.fullmatch(name):
                raise DatasiteError(
                    f"{name!r} cannot be a name in the shared folder: "
                    f"use letters, digits, spaces and _ . @ + -, and begin with a letter, a digit or _."
                )
        if not self.shared.is_dir():
            raise DatasiteError("The shared folder is gone: its network was closed, open a new one.")
        return self.shared.joinpath(*names)

    def _own(self, *names: str) -> Path:
        self._shared()
        return self.private.joinpath(*names)

    def download_file(self, file_id: str) -> bytes:
        """Read a file by its identifier; a message only if its sender signed it and it unpacks to an ordinary size."""
        path = Path(file_id)
        if not path.is_relative_to(self.shared / "datasites"):
            return _read(path)
        message = self._if_signed(path)
        if message is None:
            raise DatasiteError(
                f"The file {path.name} for {path.parent.name} bears no signature of {_sender(path)}, in whose name it "
                f"lies there: somebody else wrote it; set it aside."
            )
        return _checked(message, path)

    owner_download_raw_bytes_by_id = watcher_download_collection_file = download_file

    def delete_file_by_id(self, file_id: str) -> None:
        """Delete a file or a folder; one that is gone already is no error."""
        path = Path(file_id)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def delete_multiple_files_by_ids(self, file_ids: list[str], **_: Any) -> None:
        for file_id in file_ids:
            self.delete_file_by_id(file_id)

    def _nothing(self, *_: Any) -> None:
        """Do nothing: what people publish everybody may read, and no cache or checkpoint is kept (see the log)."""

    share_version_file_with_peer = share_encryption_bundles_folder = reset_caches = _nothing

    # ---------------------------------------------------------------------------------------------------- peers

    def add_peer(self, peer_email: str) -> None:
        """Make the folders through which two people exchange messages; the peer sees a request, and one's key."""
        _put(self._shared("people", self.email, "signing.pub"), self._signing_key().public_key().public_bytes_raw())
        for box in ("inbox", "outbox"):
            self._shared("datasites", peer_email, box, self.email).mkdir(parents=True, exist_ok=True)

    def get_peer_requests(self) -> list[str]:
        """List who asked to become a peer and has no answer yet."""
        asked, known = self._shared("datasites", self.email, "inbox"), self._get_peers_json()
        return [name for name in _folders(asked) if known.get(name, {}).get("state") not in ("accepted", "rejected")]

    def _get_peers_json(self, force_download: bool = False) -> dict[str, dict[str, Any]]:
        """Read one's list of peers. Syft calls this name on its connections."""
        return _json(self._own("peers.json"), dict, {})

    def _update_peer_state(self, peer_email: str, state: str, public_encryption_bundle: dict | None = None) -> None:
        """Note the state of a peer. Syft calls this name on its connections."""
        peers = self._get_peers_json()
        entry = peers.setdefault(peer_email, {})
        entry["state"] = state
        if public_encryption_bundle is not None:
            entry["public_encryption_bundle"] = public_encryption_bundle
        key = self._shared("people", peer_email, "signing.pub")
        if state == "accepted" and key.exists():
            entry.setdefault("signing_key", key.read_bytes().hex())  # another one later does not count
        _put(self._own("peers.json"), json.dumps(peers, indent=1).encode())

    def write_version_file(self, version_info: VersionInfo) -> None:
        _put(self._shared("people", self.email, "version.json"), version_info.to_json().encode())

    def read_peer_version_file(self, peer_email: str) -> VersionInfo | None:
        """Read which version of syft a peer uses; None if they did not say."""
        said = _json(self._shared("people", peer_email, "version.json"), dict, None)
        return None if said is None else VersionInfo.model_validate(said)

    def write_encryption_bundle(self, peer_email: str, bundle_json: str) -> None:
        """Publish one's public keys for a peer."""
        _put(self._shared("people", self.email, f"for_{peer_email}.json"), bundle_json.encode())

    def read_peer_encryption_bundle(self, peer_email: str) -> str | None:
        """Read the public keys that a peer published for this person; None if there are none."""
        keys = _json(self._shared("people", peer_email, f"for_{self.email}.json"), dict, None)
        return None if keys is None else json.dumps(keys)

    # ------------------------------------------------------------------------------------------- signed messages

    def _signing_key(self) -> Ed25519PrivateKey:
        """Read the key that one signs with; the first time it is made."""
        path = self._own("signing.key")
        if not path.exists():
            _put(path, Ed25519PrivateKey.generate().private_bytes_raw())
            path.chmod(0o600)
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())

    def _key_of(self, person: str) -> Ed25519PublicKey:
        """Give the key by which a peer's messages, or one's own, are known."""
        if person == self.email:
            return self._signing_key().public_key()
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self._get_peers_json()[person]["signing_key"]))

    def _send(self, path: Path, data: bytes) -> None:
        _put(path, _MARK + self._signing_key().sign(_what_is_signed(path, data)) + data)

    def _if_signed(self, path: Path) -> bytes | None:
        """Read a message; None if it is larger than any may be, or its sender has not signed it."""
        data = _read(path, _MOST)
        message = unsigned(data)
        with contextlib.suppress(InvalidSignature, KeyError, ValueError):
            self._key_of(_sender(path)).verify(data[len(_MARK) : _SIGNED], _what_is_signed(path, message))
            return message
        return None

    def watcher_send_raw_bytes_to_inbox(self, recipient: str, filename: str, data: bytes) -> None:
        self._send(self._shared("datasites", recipient, "inbox", self.email, filename), data)

    def waiting(self, sender_email: str) -> list[Path]:
        """List the messages of a peer that lie in one's inbox, oldest first; other files there are no messages."""
        return _dated(self._shared("datasites", self.email, "inbox", sender_email), _message_time)

    def owner_download_next_raw_proposed_message_from_inbox(self, sender_email: str) -> tuple[bytes, str] | None:
        """Read the oldest message of a peer that the peer has signed and that did not come before; None without one."""
        for path in self.waiting(sender_email):
            message = None if self._own("archive", sender_email, path.name).exists() else self._if_signed(path)
            let_in = self._screen is None or self._screen(path, message)
            if let_in and message is not None:
                return _checked(message, path), str(path)
        return None

    @contextlib.contextmanager
    def screening(self, screen: Callable[[Path, bytes | None], bool]) -> Iterator[None]:
        """Show every message, while the block runs, to `screen` before syft gets the same bytes; None: not signed."""
        self._screen = screen
        try:
            yield
        finally:
            self._screen = None

    def owner_remove_proposed_filechange_message_from_inbox(self, message: ProposedFileChangesMessage) -> None:
        """Move a message that was dealt with from the inbox to one's archive."""
        path = Path(message.platform_id)
        archive = self._own("archive", path.parent.name)
        archive.mkdir(parents=True, exist_ok=True)
        shutil.move(path, archive / path.name)

    def owner_write_raw_bytes_to_outbox(self, recipient: str, filename: str, data: bytes) -> None:
        self._send(self._shared("datasites", self.email, "outbox", recipient, filename), data)

    def watcher_get_outbox_file_metadatas(self, peer_email: str, since_timestamp: float | None) -> list[dict[str, Any]]:
        """List what an owner laid out for this person after a time, oldest first."""
        found = _dated(self._shared("datasites", peer_email, "outbox", self.email), _event_time, since_timestamp)
        return [{"file_id": str(one), "file_name": one.name, "timestamp": _event_time(one.name)} for one in found]

    def watcher_download_raw_events_from_outbox(self, peer_email: str, since_timestamp: float | None) -> list[bytes]:
        found = self.watcher_get_outbox_file_metadatas(peer_email, since_timestamp)
        return [self.download_file(entry["file_id"]) for entry in found]

    def _get_own_datasite_outbox_id(self, peer_email: str) -> str | None:
        """Give the folder of what lies out for a peer. Syft calls this name when it merges old messages."""
        box = self._shared("datasites", self.email, "outbox", peer_email)
        return str(box) if box.is_dir() else None

    def get_file_metadatas_from_folder(
        self, folder_id: str, since_timestamp: float | None = None, **_: Any
    ) -> list[dict[str, str]]:
        """List the files of a folder after a time, newest first."""
        found = _dated(Path(folder_id), _event_time, since_timestamp)
        return [{"id": str(path), "name": path.name} for path in reversed(found)]

    # --------------------------------------------------- one's own log, which holds all: checkpoints add nothing to it

    def owner_write_raw_bytes_to_syftbox(self, filename: str, data: bytes) -> str:
        return _put(self._own("events", filename), data)

    def owner_get_all_accepted_event_file_ids(self, since_timestamp: float | None = None) -> list[str]:
        return [str(path) for path in _dated(self._own("events"), _event_time, since_timestamp)]

    def download_raw_events_since_timestamp(self, since_timestamp: float | None = None) -> list[bytes]:
        return [self.download_file(path) for path in self.owner_get_all_accepted_event_file_ids(since_timestamp)]

    owner_download_all_raw_events_from_syftbox = download_raw_events_since_timestamp
    upload_raw_checkpoint = upload_raw_incremental_checkpoint = upload_raw_rolling_state = _nothing
    download_raw_latest_checkpoint = download_raw_rolling_state = _nothing
    delete_all_incremental_checkpoints = delete_rolling_state = _nothing

    def download_all_raw_incremental_checkpoints(self) -> list[bytes]:
        return []

    def get_incremental_checkpoint_count(self) -> int:
        return 0

    def get_next_incremental_sequence_number(self) -> int:
        return 1

    # ----------------------------------------------------------------------------------- collections: published files

    def _collection(self, prefix: str, tag: str, content_hash: str, owner: str) -> Path:
        name = CollectionFolder(prefix=prefix, tag=tag, content_hash=content_hash).folder_name
        return self._shared("collections", owner, name)

    def _collections(self, prefix: str, owner: str) -> Iterator[tuple[Path, CollectionFolder]]:
        base = self._shared("collections", owner)
        for name in _folders(base):
            with contextlib.suppress(ValueError):  # the folder of another kind of collection
                yield base / name, CollectionFolder.from_name(prefix, name)

    def owner_create_collection_folder(self, prefix: str, tag: str, content_hash: str, owner_email: str) -> str:
        folder = self._collection(prefix, tag, content_hash, owner_email)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def owner_upload_collection_files(self, prefix: str, tag: str, content_hash: str, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            _put(self._collection(prefix, tag, content_hash, self.email) / Path(name).name, data)

    def owner_share_collection(self, prefix: str, tag: str, content_hash: str, users: list[str]) -> None:
        """Name readers of a collection, besides those that it has."""
        folder = self._collection(prefix, tag, content_hash, self.email)
        if not folder.is_dir():
            raise DatasiteError(f"There is no collection {tag!r} with these contents to share: publish it first.")
        _put(folder / READERS, json.dumps(sorted({*_readers(folder), *users})).encode())

    def owner_tag_collection_as_any(self, prefix: str, tag: str, content_hash: str) -> None:
        """Mark a collection as one for all peers. Syft then names each of them, also those approved later."""
        self.owner_share_collection(prefix, tag, content_hash, [EVERYONE])

    def owner_list_all_collections_with_permissions(self, prefix: str) -> list[FileCollection]:
        """List one's own collections, and which of them are for all peers."""
        return [
            FileCollection(
                folder_id=str(folder),
                tag=collection.tag,
                content_hash=collection.content_hash,
                has_any_permission=EVERYONE in _readers(folder),
            )
            for folder, collection in self._collections(prefix, self.email)
        ]

    def owner_delete_collection(self, prefix: str, tag: str) -> None:
        for folder, collection in list(self._collections(prefix, self.email)):
            if collection.tag == tag:
                shutil.rmtree(folder)

    def watcher_list_collections(self, prefix: str) -> list[dict[str, str]]:
        """List the collections of others that name this person as a reader."""
        return [
            {"owner_email": owner, "tag": collection.tag, "content_hash": collection.content_hash}
            for owner in _folders(self._shared("collections"))
            if owner != self.email
            for folder, collection in self._collections(prefix, owner)
            if self.email in _readers(folder)
        ]

    def watcher_get_collection_file_metadatas(
        self, prefix: str, tag: str, content_hash: str, owner_email: str
    ) -> list[dict[str, str]]:
        folder = self._collection(prefix, tag, content_hash, owner_email)
        return [{"file_id": str(path), "file_name": path.name} for path in _files(folder)]

    def watcher_download_collection(
        self, prefix: str, tag: str, content_hash: str, owner_email: str
    ) -> dict[str, bytes]:
        found = self.watcher_get_collection_file_metadatas(prefix, tag, content_hash, owner_email)
        return {entry["file_name"]: self.download_file(entry["file_id"]) for entry in found}


class LocalFolderConfig(ConnectionConfig):
    """What syft needs to make a `LocalFolderConnection`."""

    connection_type: ClassVar[type[SyftboxPlatformConnection]] = LocalFolderConnection
    email: str
    shared: Path
    private: Path


def _put(path: Path, data: bytes) -> str:
    """Write a file in one step: whoever else uses the folder never reads half of one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as scratch:
            scratch.write_bytes(data)
    except OSError as error:
        raise DatasiteError(
            f"The file {path.name} cannot be written ({error.strerror}): give the folder room and the right to write."
        ) from None
    return str(path)


def _read(path: Path, most: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise DatasiteError(
            f"The file {path.name} cannot be read ({error.strerror}): sync again, or ask its sender."
        ) from None


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _files(folder: Path) -> list[Path]:
    """List the files of a folder by name: no hidden ones (half-written), no links (they may lead anywhere)."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in files if path.is_file() and not path.is_symlink() and path.name[0] != "."]


def _dated(folder: Path, time_of: Callable[[str], float | None], since: float | None = None) -> list[Path]:
    """List the files of a folder whose names hold a time, oldest first: those after `since` only, if it is given."""
    dated = [(time, path) for path in _files(folder) if (time := time_of(path.name)) is not None]
    return [path for time, path in sorted(dated) if math.isfinite(time) and (since is None or time > since)]


def _message_time(name: str) -> float | None:
    with contextlib.suppress(FileNameParseError):
        return MessageFileName.from_string(name).submitted_timestamp
    return None


def _event_time(name: str) -> float | None:
    with contextlib.suppress(ValueError):
        return FileChangeEventsMessageFileName.from_string(name).timestamp
    return None


def _sender(path: Path) -> str:
    owner, box, peer, _ = path.parts[-4:]
    return peer if box == "inbox" else owner


def _what_is_signed(path: Path, data: bytes) -> bytes:
    """Return a message with its place: whose datasite, which box, whose messages, its name."""
    return b"\0".join([*(part.encode() for part in path.parts[-4:]), data])


def unsigned(data: bytes) -> bytes:
    """Return a message without its signature, if it has one."""
    return data[_SIGNED:] if data.startswith(_MARK) else data


def unpacked(data: bytes) -> bytes:
    """Unpack a message as syft does, but never more than its limit of memory.

    Raises
    ------
    ValueError
        If it is no archive of syft's, or would be larger.
    """
    try:
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        archive = unpacker.decompress(data, _MOST)
        if not unpacker.eof or unpacker.unused_data:  # syft would read on in a second part
            raise ValueError("it is cut off, or larger than a message may be")
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            entry = tar.getmember(_PACKED)
            if not entry.isreg() or entry.issparse() or entry.size > len(archive):  # a hole takes no room until read
                raise ValueError("it says that it is larger than it is")
            return tar.extractfile(entry).read()
    except (zlib.error, tarfile.TarError, KeyError, EOFError) as error:
        raise ValueError(f"it cannot be unpacked ({type(error).__name__})") from None


def _checked(message: bytes, path: Path) -> bytes:
    """Refuse a message that is neither a packed one of ordinary size nor an encrypted one, whoever sent it."""
    try:
        unpacked(message)
    except ValueError:
        try:
            syft_crypto_python.parse_envelope(message)
        except Exception:  # of its own kinds
            raise _damaged(path, f"set it aside, and let {_sender(path)} send it again") from None
    return message


def _readers(folder: Path) -> list[str]:
    return _json(folder / READERS, list, [])


def _json(path: Path, kind: type, default: Any) -> Any:
    if not path.exists():
        return default
    value = None
    with contextlib.suppress(ValueError):
        value = json.loads(path.read_bytes())
    if not isinstance(value, kind):
        raise _damaged(path, "restore it from a copy, or begin with a new network")
    return value


def _damaged(path: Path, mend: str) -> DatasiteError:
    return DatasiteError(f"The file {path.name} in the folder {path.parent.name} is damaged: {mend}.")
