"""One at a time, across processes: a lock that the operating system frees when its holder dies."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ppml_helpers.errors import DatasiteError


@contextlib.contextmanager
def alone(path: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock `path` for the length of the block.

    SQLite's own lock on an empty database: the same on every operating system, also between two objects of one
    process, and nothing is left locked by a process that was killed. It cannot be taken twice by the same caller.

    Raises
    ------
    DatasiteError
        If somebody else holds it for longer than `seconds`.
    """
    connection = sqlite3.connect(path, timeout=seconds, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise DatasiteError(
                f"{path.name} is held by another program for more than {seconds:g} s ({error}): wait for it or end it."
            ) from None
        yield
    finally:
        connection.close()  # an open transaction is rolled back: there is nothing in it
