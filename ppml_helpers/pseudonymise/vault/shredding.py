"""Crypto-shredding: delete a 32-byte key and every copy of a record is unreadable, on whatever backup it sits.

Every patient has a data key. Records are encrypted with it (AES-256-GCM) and kept in one file, which may be copied
and backed up at will. The data keys, wrapped with a master key (RFC 3394), are kept in another file, which must not
be: who restores the keys brings the erased patient back.
"""

from __future__ import annotations

import contextlib
import operator
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from ppml_helpers.errors import VaultError
from ppml_helpers.people import identifiers
from ppml_helpers.people.identifiers import KEY_BYTES, check_key, new_key
from ppml_helpers.pseudonymise.vault.files import database_sentence, reason

_NONCE = 12  # bytes, as AES-GCM wants them
_CONTEXT = b"ppml-helpers shred store, record of patient "


class ShredStore:
    """Keep records so that one patient's can be erased, backups included.

    A ciphertext is bound to its patient (associated data), so that records cannot be swapped. An older record of
    the same patient, put back in the newer one's place, is not detected.

    Both files are SQLite and open to readers as far as the patients' labels go: let the labels be pseudonyms. What
    is deleted is overwritten in the file; a copy that a file system or disk keeps of the keys file is a backup of
    the keys like any other.

    Parameters
    ----------
    path : str or Path
        A folder, made if it does not exist; holds the files `data_file` and `keys_file`.
    master_key : bytes
        32 random bytes (`new_key`) that wrap the data keys.

    Attributes
    ----------
    data_file, keys_file : Path
        The encrypted records, and the wrapped data keys.
    """

    def __init__(self, path: str | Path, master_key: bytes) -> None:
        self._master = check_key(master_key, "master_key", VaultError, KEY_BYTES)
        folder = Path(path)
        self.data_file, self.keys_file = folder / "data.db", folder / "keys.db"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise VaultError(
                f"{folder} cannot be made ({reason(error)}): name a folder that can be made or written."
            ) from None
        missing = [file for file in (self.data_file, self.keys_file) if not file.exists()]
        if len(missing) == 2:
            self._create()
        elif missing:
            raise VaultError(
                f"{missing[0]} is missing and its companion is there: restore it from a backup, or delete both files."
            )
        with self._opened():
            pass

    def __repr__(self) -> str:
        """Name the folder and never the key."""
        return f"ShredStore({self.keys_file.parent.name!r})"

    def put_many(self, records: Mapping[str | int, bytes | str]) -> None:
        """Store records by the patient's label (7 and "7" are the same), replacing older ones: all of them, or none."""
        if not isinstance(records, Mapping):
            raise VaultError(f"records is a {type(records).__name__}, it must be a dict of records by patient.")
        ready = [(_label(patient), _content(patient, record)) for patient, record in records.items()]
        label, times = Counter(label for label, _ in ready).most_common(1)[0] if ready else ("", 0)
        if times > 1:
            raise VaultError(
                f"records holds patient {label!r} {times} times, typed in other ways: give one record each."
            )
        with self._opened() as files:
            for label, content in ready:
                key = self._data_key(files, label)
                if key is None:
                    key = new_key()
                    files.execute("INSERT INTO keys VALUES (?, ?)", (label, aes_key_wrap(self._master, key)))
                nonce = os.urandom(_NONCE)
                box = nonce + AESGCM(key).encrypt(nonce, content, _bound_to(label))
                files.execute("INSERT OR REPLACE INTO data.records VALUES (?, ?)", (label, box))

    def get(self, patient: str | int) -> bytes:
        """Return a patient's record, by their label."""
        label = _label(patient)
        with self._opened() as files:
            row = files.execute("SELECT record FROM data.records WHERE patient = ?", (label,)).fetchone()
            key = self._data_key(files, label)
        if row is None:
            raise VaultError(
                f"No record of patient {label!r}, never stored or erased: patients() lists those that can be read."
            )
        if key is None:
            raise VaultError(f"The key of patient {label!r} has been erased: nobody can read the record any more.")
        try:
            return AESGCM(key).decrypt(row[0][:_NONCE], row[0][_NONCE:], _bound_to(label))
        except (InvalidTag, TypeError, ValueError):
            raise VaultError(
                f"The record of patient {label!r} is altered, or belongs to another patient or key: restore "
                f"{self.data_file.name} from a backup."
            ) from None

    def erase(self, patient: str | int) -> None:
        """Delete a patient's data key for good, and the record here; copies of the record become unreadable.

        Copies of the keys file are not reached: they bring the patient back.
        """
        label = _label(patient)
        with self._opened() as files:
            if files.execute("DELETE FROM keys WHERE patient = ?", (label,)).rowcount == 0:
                raise VaultError(f"No key of patient {label!r}, never stored or erased already: see patients().")
            files.execute("DELETE FROM data.records WHERE patient = ?", (label,))

    def patients(self) -> list[str]:
        """Return the patients who have a record and a key, sorted."""
        with self._opened() as files:
            rows = files.execute("SELECT patient FROM keys JOIN data.records USING (patient) ORDER BY patient")
            return [row[0] for row in rows]

    def _create(self) -> None:
        try:
            for file in (self.keys_file, self.data_file):
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with self._opened(new=True) as files:
                files.execute("CREATE TABLE keys (patient TEXT PRIMARY KEY, wrapped BLOB NOT NULL)")
                # One wrapped key that is nobody's tells a wrong master key, also when no patient is stored.
                files.execute("CREATE TABLE master (wrapped BLOB NOT NULL)")
                files.execute("INSERT INTO master VALUES (?)", (aes_key_wrap(self._master, new_key()),))
                files.execute("CREATE TABLE data.records (patient TEXT PRIMARY KEY, record BLOB NOT NULL)")
        except BaseException as error:
            for file in (self.keys_file, self.data_file):
                file.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise VaultError(
                    f"{self.keys_file.parent} cannot be written ({reason(error)}): free the disk or name another."
                ) from None
            raise

    @contextlib.contextmanager
    def _opened(self, new: bool = False) -> Iterator[sqlite3.Connection]:
        """Open both files for one step: what the block changes is changed in both, or in none.

        They are opened for each step anew, so that a backup can be put in their place in between.
        """
        try:
            files = sqlite3.connect(f"{self.keys_file.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
            with contextlib.closing(files):
                files.execute("ATTACH ? AS data", (f"{self.data_file.absolute().as_uri()}?mode=rw",))
                for name in ("main", "data"):
                    files.execute(f"PRAGMA {name}.secure_delete = ON")
                files.execute("BEGIN")
                if not new:
                    self._check_master(files)
                yield files
                files.execute("COMMIT")
        except sqlite3.Error as error:
            raise VaultError(database_sentence(self.keys_file.parent, error)) from None

    def _check_master(self, files: sqlite3.Connection) -> None:
        rows = files.execute("SELECT wrapped FROM master").fetchall()
        if len(rows) != 1:
            raise VaultError(f"{self.keys_file} is damaged (no master check): restore it from a backup.")
        self._unwrap(rows[0][0])

    def _data_key(self, files: sqlite3.Connection, label: str) -> bytes | None:
        row = files.execute("SELECT wrapped FROM keys WHERE patient = ?", (label,)).fetchone()
        return None if row is None else self._unwrap(row[0])

    def _unwrap(self, wrapped: bytes) -> bytes:
        try:
            return aes_key_unwrap(self._master, wrapped)
        except (InvalidUnwrap, TypeError, ValueError):
            raise VaultError(
                f"{self.keys_file} does not open with this master key: use the right one, or restore the file from a "
                f"backup if it was altered."
            ) from None


def _bound_to(label: str) -> bytes:
    return _CONTEXT + label.encode()


def _label(patient: Any) -> str:
    """Return a patient's label as text."""
    if not isinstance(patient, str | bool):
        with contextlib.suppress(TypeError):
            return str(operator.index(patient))
    return identifiers.checked_text(patient, "patient", VaultError)


def _content(patient: Any, record: Any) -> bytes:
    if isinstance(record, str):
        with contextlib.suppress(UnicodeEncodeError):
            return record.encode()
    if not isinstance(record, bytes):
        raise VaultError(
            f"The record of patient {patient!r} is a {type(record).__name__}, it must be bytes or valid text: "
            f"convert it, for example with json.dumps."
        )
    return record
