"""What the gate writes down for good: an audit log in which every line vouches for all before it, and the budgets.

The log holds one JSON object a line. Each holds the hash of the line before, so a line that is edited, dropped or moved
no longer fits its neighbours. Whoever may write the file can still write a whole new one: note the `AuditLog.head`
elsewhere (on paper, with a colleague) and hand it to `AuditLog.verify`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from ppml_helpers.errors import BudgetError, DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control.review import visible_name
from ppml_helpers.private_statistics.budget import Budget, Cost

_UNSHOWN = ("job", "by", "fingerprint", "run", "charged", "delta")
SECONDS = 60.0  # to wait for another program
START = "0" * 64  # what the first line gives as the hash of the line before it


@contextlib.contextmanager
def alone(path: Path, seconds: float | None = None) -> Iterator[None]:
    """Hold a lock that the operating system frees when its holder dies."""
    try:
        lock = FileLock(path, timeout=SECONDS if seconds is None else seconds).acquire()
    except Timeout:
        raise DatasiteError(f"{path.name} is held by another program for too long: wait for it or end it.") from None
    with lock:
        yield


class Head(NamedTuple):
    """The end of a log: how many lines there are, and the hash of the last."""

    lines: int
    hash: str


class Verdict(NamedTuple):
    """What `AuditLog.verify` found."""

    sound: bool
    line: int | None
    why: str


class AuditLog:
    """Write events to a file, one after another, and find out later whether anybody touched them."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock_path = self.path.with_name(self.path.name + ".lock")

    def append(self, event: str, **details: Any) -> dict[str, Any]:
        """Write one line, on the disk before this returns; what a crash left unfinished is written over."""
        with alone(self._lock_path):
            lines, size = self._trusted()
            line = {
                "number": len(lines) + 1,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "event": event,
                "details": details,
                "previous": lines[-1]["hash"] if lines else START,
            }
            line["hash"] = hashlib.sha256(_text(line)).hexdigest()
            with self.path.open("ab") as stream:
                stream.truncate(size)
                stream.write(_text(line) + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        return line

    @property
    def entries(self) -> tuple[dict[str, Any], ...]:
        """All lines, oldest first: ``number``, ``at`` (UTC), ``event``, ``details``, ``previous``, ``hash``."""
        with alone(self._lock_path):
            return tuple(self._trusted()[0])

    @property
    def head(self) -> Head:
        """How far the log goes now. Kept elsewhere, it proves that nobody shortened the log or wrote it anew."""
        lines = self.entries
        return Head(len(lines), lines[-1]["hash"] if lines else START)

    def verify(self, head: Head | None = None) -> Verdict:
        """Check every line and its place, and that the log still holds the line that `head` noted."""
        with alone(self._lock_path):
            lines, why, _ = self._read()
        if not why and head and head.lines > len(lines):
            why = f"Line {len(lines) + 1} is missing: the log once had {head.lines}."
        elif head and head.lines and len(lines) >= head.lines and lines[head.lines - 1]["hash"] != head.hash:
            return Verdict(False, head.lines, f"Line {head.lines} is not the one that was noted when it was written.")
        if why:
            return Verdict(False, len(lines) + 1, why)
        return Verdict(True, None, f"All {len(lines)} lines are as they were written.")

    def __repr__(self) -> str:
        """Show the lines without their times."""
        rows = [f"{line['number']:>4}  {line['event']:<12} {_shown(line['details'])}" for line in self.entries]
        return "\n".join(rows) or "AuditLog: no line yet"

    def _trusted(self) -> tuple[list[dict[str, Any]], int]:
        lines, why, size = self._read()
        if why:
            raise DatasiteError(f"{self.path.name} cannot be trusted: {why} Restore it from a backup.")
        return lines, size

    def _read(self) -> tuple[list[dict[str, Any]], str, int]:
        """Return the lines up to the first bad one, what is wrong with that, and the size of all whole lines."""
        data = self.path.read_bytes() if self.path.exists() else b""
        *whole, torn = data.split(b"\n")
        lines: list[dict[str, Any]] = []
        for number, text in enumerate(whole, start=1):
            why = _objection(text, number, lines[-1]["hash"] if lines else START)
            if why:
                return lines, why, 0
            lines.append(json.loads(text))
        return lines, "", len(data) - len(torn)


def _text(line: dict[str, Any]) -> bytes:
    try:
        return json.dumps(line, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise DatasiteError(
            f"The details of {line.get('event')!r} are no JSON ({error}): use text or numbers."
        ) from None


def _objection(text: bytes, number: int, previous: str) -> str:
    """Say what is wrong with a line, if anything."""
    try:
        line = json.loads(text)
        sealed = _text(line) == text and line.pop("hash") == hashlib.sha256(_text(line)).hexdigest()
    except (ValueError, AttributeError, KeyError, TypeError, DatasiteError):
        return f"Line {number} is no line that this log wrote."
    if not sealed:
        return f"Line {number} was edited: it does not have the hash that it gives."
    if (line.get("previous"), line.get("number")) != (previous, number):
        return f"Line {number} does not follow line {number - 1}: a line was dropped, added or moved here."
    return ""


def _shown(details: dict[str, Any]) -> str:
    """Show what happened to which job, and leave out hashes and what is empty."""
    rest = {key: value for key, value in details.items() if key not in _UNSHOWN and value}
    shown = [f"{key} {', '.join(value) if isinstance(value, list | dict) else value}" for key, value in rest.items()]
    whose = f"{details['job']!r} from {details['by']}" if "job" in details else details.get("by", "")
    return visible_name("; ".join(part for part in (whose, *shown) if part))


# The budgets


class Ledger:
    """Budgets by researcher, read out of the log; the adding up is `ppml_helpers.private_statistics.Budget`'s.

    A run is charged by the line that is written before it starts. It is given back if it fails or never ends.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def fix_total(self, researcher: str, epsilon: float, delta: float = 0.0) -> None:
        """Write down all that a researcher may ever spend."""
        total = Budget(epsilon, delta).total
        known = self._total(researcher)
        if known is None:
            self._log.append("budget", by=researcher, epsilon=total.epsilon, delta=total.delta)
        elif known != total:
            raise DatasiteError(
                f"{researcher} was given epsilon {known.epsilon:g} and delta {known.delta:g} in all, not "
                f"{total.epsilon:g} and {total.delta:g}; a total is fixed before the first answer: keep to it."
            )

    def charge(self, run: str, researcher: str, job: str, epsilon: float, delta: float) -> None:
        """Spend epsilon on a run, or refuse the run."""
        if self._total(researcher) is None:
            raise ReleaseRefused(
                f"{researcher} has no privacy budget, and {job!r} would spend some: name a total in budgets=."
            )
        try:
            self.budget(researcher).spend(epsilon, delta, what=job)
        except (BudgetError, PrivacyParameterError) as error:
            raise ReleaseRefused(f"Not run for {researcher}: {error}") from None
        self._log.append("run", job=job, by=researcher, epsilon=epsilon, delta=delta, run=run, charged=True)

    def unended(self) -> list[dict[str, Any]]:
        """Return what the log says of runs that have begun and not ended."""
        runs = self._runs()
        return [details for details, status in runs.values() if status is None]

    def paid(self, run: str) -> bool:
        """Tell whether a run's result was paid for."""
        details, status = self._runs().get(run, ({}, None))
        return bool(details.get("charged")) and status in ("done", "withheld")

    def budget(self, researcher: str) -> Budget:
        """Return a researcher's budget with everything charged so far."""
        total = self._total(researcher)
        if total is None:
            raise DatasiteError(f"{researcher!r} has no privacy budget here: name a total in budgets=.")
        budget = Budget(*total)
        for details, status in self._runs().values():
            if details["by"] == researcher and details.get("charged") and status in (None, "done", "withheld"):
                budget.spend(details["epsilon"], details["delta"], what=details["job"])
        return budget

    def _total(self, researcher: str) -> Cost | None:
        lines = [line["details"] for line in self._log.entries if line["event"] == "budget"]
        return next((Cost(one["epsilon"], one["delta"]) for one in lines if one["by"] == researcher), None)

    def _runs(self) -> dict[str, tuple[dict[str, Any], str | None]]:
        """Return what was run, and how it ended, by run."""
        runs: dict[str, tuple[dict[str, Any], str | None]] = {}
        for line in self._log.entries:
            details = line["details"]
            if line["event"] == "run":
                runs[details["run"]] = (details, None)
            elif line["event"] == "ended":
                runs[details["run"]] = (runs[details["run"]][0], details["status"])
        return runs
