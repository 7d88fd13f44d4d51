"""What each researcher's answers have cost, in a file that survives a restart and two gates at once."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ppml_helpers.errors import BudgetError, DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.private_statistics.budget import Budget, Cost

SECONDS = 60.0  # to wait for another program

_TABLES = (
    "CREATE TABLE IF NOT EXISTS totals (researcher TEXT PRIMARY KEY, epsilon REAL NOT NULL, delta REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, researcher TEXT NOT NULL, job TEXT NOT NULL, "
    "epsilon REAL NOT NULL, delta REAL NOT NULL, seen INTEGER NOT NULL)",
)


class Ledger:
    """Budgets by researcher; the adding up is `ppml_helpers.private_statistics.Budget`'s.

    A run is reserved before it starts, so that two runs cannot be paid with the same epsilon. When it has ended, it is
    settled: kept if its result was seen, given back if there was none.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with self._transaction() as connection:
            for table in _TABLES:
                connection.execute(table)

    def fix_total(self, researcher: str, epsilon: float, delta: float = 0.0) -> None:
        """Write down all that a researcher may ever spend."""
        total = Budget(epsilon, delta).total
        with self._transaction() as connection:
            known = _total(connection, researcher)
            if known is None:
                connection.execute("INSERT INTO totals VALUES (?, ?, ?)", (researcher, *total))
            elif known != total:
                raise DatasiteError(
                    f"{researcher} was given epsilon {known.epsilon:g} and delta {known.delta:g} in all, not "
                    f"{total.epsilon:g} and {total.delta:g}; a total is fixed before the first answer: keep to it."
                )

    def reserve(self, run: str, researcher: str, job: str, epsilon: float, delta: float) -> None:
        """Set epsilon aside for a run, or refuse the run."""
        with self._transaction() as connection:
            budget = _budget(connection, researcher)
            if budget is None:
                raise ReleaseRefused(
                    f"{researcher} has no privacy budget, and {job!r} would spend some: name a total in budgets=."
                )
            try:
                budget.spend(epsilon, delta, what=job)
            except (BudgetError, PrivacyParameterError) as error:
                raise ReleaseRefused(f"Not run for {researcher}: {error}") from None
            connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, 0)", (run, researcher, job, epsilon, delta))

    def settle(self, run: str, seen: bool) -> None:
        """Keep what a run cost (its result was seen), or give it back. Settling twice changes nothing."""
        with self._transaction() as connection:
            if seen:
                connection.execute("UPDATE runs SET seen = 1 WHERE run = ?", (run,))
            else:
                connection.execute("DELETE FROM runs WHERE run = ? AND seen = 0", (run,))

    def forget_unseen(self) -> None:
        """Give back what was reserved by runs that were killed before they had a result."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM runs WHERE seen = 0")

    def paid(self, run: str) -> bool:
        """Tell whether a run's result was paid for."""
        with self._transaction() as connection:
            return connection.execute("SELECT 1 FROM runs WHERE run = ? AND seen = 1", (run,)).fetchone() is not None

    def budget(self, researcher: str) -> Budget:
        """Return a researcher's budget with everything paid or reserved so far."""
        with self._transaction() as connection:
            budget = _budget(connection, researcher)
        if budget is None:
            raise DatasiteError(f"{researcher!r} has no privacy budget here: name a total in budgets=.")
        return budget

    def left(self, researcher: str) -> Cost:
        """Return what a researcher may still spend."""
        return self.budget(researcher).left

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that has the ledger to itself; all that is written in the block counts, or nothing."""
        connection = sqlite3.connect(self.path, timeout=SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            mend = "close the other program" if "locked" in str(error) else "restore it from a backup"
            raise DatasiteError(f"{self.path.name} cannot be used ({error}): {mend}.") from None
        finally:
            connection.close()


def _total(connection: sqlite3.Connection, researcher: str) -> Cost | None:
    row = connection.execute("SELECT epsilon, delta FROM totals WHERE researcher = ?", (researcher,)).fetchone()
    return None if row is None else Cost(*row)


def _budget(connection: sqlite3.Connection, researcher: str) -> Budget | None:
    total = _total(connection, researcher)
    if total is None:
        return None
    budget = Budget(*total)
    rows = connection.execute("SELECT epsilon, delta, job FROM runs WHERE researcher = ? ORDER BY rowid", (researcher,))
    for epsilon, delta, job in rows:
        budget.spend(epsilon, delta, what=job)
    return budget
