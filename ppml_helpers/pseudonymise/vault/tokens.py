"""A token vault: random tokens in the records, the table of who is who in one encrypted file.

A token is random, so nothing can be computed from it, with or without a key: whose it is stands in the vault alone.
The vault is an SQLCipher file (SQLite with every page under AES-256 and an HMAC).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from sqlcipher3 import dbapi2 as sqlcipher

from ppml_helpers.errors import VaultError
from ppml_helpers.people import identifiers
from ppml_helpers.people.identifiers import KEY_BYTES, check_key
from ppml_helpers.pseudonymise.vault import files

_CHUNK = 10_000  # values a query
_PAGE = 4096  # bytes, of SQLCipher
_TABLES = (
    "CREATE TABLE people (identifier TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE) WITHOUT ROWID",
    "CREATE TABLE access (at TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, tokens INTEGER NOT NULL)",
)


class TokenVault:
    """Hand out one random token an identifier, and say whose a token is to those who give a reason.

    Use it in a ``with`` block. A vault that does not exist yet is made. Identifiers are compared in one form
    (`identifiers`): Unicode NFC, no blanks around, nothing else changed.

    Parameters
    ----------
    path : str or Path
        The file; its folder must exist.
    key : bytes
        32 random bytes (`new_key`).
    who : str
        Who is asking, for the log of accesses. The log is as honest as the holders of the key: each can rewrite it.
    """

    def __init__(self, path: str | Path, key: bytes, who: str = "holder of the key") -> None:
        self.path = Path(path)
        check_key(key, "key", VaultError, KEY_BYTES)
        self.who = identifiers.checked_text(who, "who", VaultError)
        self._connection: sqlcipher.Connection | None = None
        new = _make_room(self.path)
        try:
            self._connection = _connect(self.path, key)
            with self._told() as connection:
                self._prepare(connection)
        except BaseException:
            self.close()
            if new:
                self.path.unlink(missing_ok=True)
            raise

    def __repr__(self) -> str:
        """Name the file and never the key."""
        return f"TokenVault({self.path.name!r}, {'closed' if self._connection is None else 'open'})"

    def __enter__(self) -> Self:
        """Return the open vault."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the vault."""
        self.close()

    def close(self) -> None:
        """Close the file; a closed vault answers nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __len__(self) -> int:
        """Return how many identifiers have a token."""
        with self._told() as connection:
            return connection.execute("SELECT count(*) FROM people").fetchone()[0]

    def token(self, ids: Iterable[str]) -> pd.Series | np.ndarray:
        """Return the token of each identifier, 128 random bits as hexadecimal text; who has none yet gets one.

        A Series keeps its index, not its name. If the vault cannot be written, no token is new.
        """
        texts = identifiers.checked(ids, "ids", VaultError)
        unique = list(dict.fromkeys(texts))
        with self._told() as connection, _transaction(connection):
            connection.executemany(
                "INSERT OR IGNORE INTO people (identifier, token) VALUES (?, ?)",
                ((text, secrets.token_hex(16)) for text in unique),
            )
            token = dict(_select(connection, "identifier, token", "identifier", unique))
        return identifiers.like(ids, [token[text] for text in texts])

    def identify(self, tokens: Iterable[str], reason: str) -> pd.Series | np.ndarray:
        """Return the identifier behind each token, and log who asked, when, why and for how many.

        Capitals in a token do not matter. If one of the tokens is not of this vault, nothing is told or logged.
        """
        reason = identifiers.checked_text(reason, "reason", VaultError)
        texts = [text.lower() for text in identifiers.checked(tokens, "tokens", VaultError)]
        with self._told() as connection, _transaction(connection):
            identifier = dict(_select(connection, "token, identifier", "token", list(dict.fromkeys(texts))))
            if unknown := [place for place, text in enumerate(texts) if text not in identifier]:
                raise VaultError(f"tokens[{unknown[0]}] is no token of {self.path.name}: look where it came from.")
            connection.execute(
                "INSERT INTO access VALUES (?, ?, ?, ?)",
                (datetime.now(UTC).isoformat(timespec="seconds"), self.who, reason, len(identifier)),
            )
        return identifiers.like(tokens, [identifier[text] for text in texts])

    def accesses(self) -> pd.DataFrame:
        """Return the log of `identify`: columns at (UTC), who, reason, tokens (how many), oldest first."""
        with self._told() as connection:
            rows = connection.execute("SELECT at, who, reason, tokens FROM access ORDER BY rowid").fetchall()
        return pd.DataFrame(rows, columns=["at", "who", "reason", "tokens"])

    def _prepare(self, connection: sqlcipher.Connection) -> None:
        """Make the tables of a new vault, and see that all of an old one is intact."""
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not names:
            with _transaction(connection):
                for table in _TABLES:
                    connection.execute(table)
        elif names != {"people", "access"}:
            raise VaultError(f"{self.path} is an SQLCipher file but no token vault: name another file.")
        elif faults := connection.execute("PRAGMA cipher_integrity_check").fetchall():
            raise VaultError(f"{self.path} is damaged ({faults[0][0]}): restore it from a backup.")

    @contextlib.contextmanager
    def _told(self) -> Iterator[sqlcipher.Connection]:
        """Give the open connection; turn what SQLCipher says into one sentence."""
        if self._connection is None:
            raise VaultError(f"{self.path.name} is closed: open it again with TokenVault(path, key).")
        try:
            yield self._connection
        except sqlcipher.Error as error:
            raise VaultError(_sentence(self.path, error)) from None


def _make_room(path: Path) -> bool:
    """Make a new, private, empty file if there is none; return whether it is new."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # SQLite would take what is shorter than a page for a new file and write over it.
        if path.is_file() and path.stat().st_size < _PAGE:
            raise VaultError(
                f"{path} is empty or cut short: restore it from a backup, or delete it to begin a new vault."
            ) from None
        return False
    except OSError as error:
        raise VaultError(
            f"{path} cannot be made ({files.reason(error)}): name a file in a folder that can be written."
        ) from None
    return True


def _connect(path: Path, key: bytes) -> sqlcipher.Connection:
    try:
        connection = sqlcipher.connect(str(path), isolation_level=None, timeout=5)
    except sqlcipher.Error as error:
        raise VaultError(_sentence(path, error)) from None
    # Otherwise SQLCipher reports a wrong key on stderr as well.
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    # The rollback journal is encrypted page by page like the file, and gone after each change; no WAL is left over.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _sentence(path: Path, error: Exception) -> str:
    if "not a database" not in str(error):
        return files.database_sentence(path, error)
    with path.open("rb") as stream:
        if stream.read(16) == b"SQLite format 3\0":
            return f"{path} is an SQLite file in plain text and no vault: name another file."
    return f"{path} does not open with this key: use the right key, or another file if this one is no vault or damaged."


@contextlib.contextmanager
def _transaction(connection: sqlcipher.Connection) -> Iterator[None]:
    """Make all changes of the block, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some failures (disk full) SQLite has rolled back by itself.
        with contextlib.suppress(sqlcipher.Error):
            connection.execute("ROLLBACK")
        raise


def _select(connection: sqlcipher.Connection, what: str, where: str, values: list[str]) -> Iterator[tuple[str, str]]:
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        yield from connection.execute(f"SELECT {what} FROM people WHERE {where} IN ({marks})", chunk)
