"""What the gate writes down for good: an audit log in which every line vouches for all before it, and the budgets.

Whoever may write the file can still write a whole new one: note the `AuditLog.head` elsewhere (on paper, with a
colleague) and hand it to `AuditLog.verify`.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ppml_helpers.errors import BudgetError, DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.plain_text import visible_name
from ppml_helpers.private_statistics.budget import Budget, Cost

_SHOWN = ("epsilon", "files", "status", "sender", "file", "reason", "why")  # of the details, beside job and researcher
START = "0" * 64  # stands for the hash of the line before the first


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
    """Write events to a file, one after another, and find out later whether anybody touched them.

    A line is a hash, a space, and the event as JSON. The hash is of the hash of the line before and of the event, so a
    line that is edited, dropped, added or moved fits no more. One program writes at a time: a gate holds its lock.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, event: str, **details: Any) -> None:
        """Write one line, on the disk before this returns; what a crash left unfinished is written over."""
        lines, size = self._trusted()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = _text(number=len(lines) + 1, at=now, event=event, details=details)
        with self.path.open("ab") as stream:
            stream.truncate(size)
            stream.write(_seal(lines, text) + b" " + text + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    @property
    def entries(self) -> tuple[dict[str, Any], ...]:
        """All lines, oldest first: ``number``, ``at`` (UTC), ``event``, ``details`` and ``hash``."""
        return tuple(self._trusted()[0])

    @property
    def head(self) -> Head:
        """How far the log goes now. Kept elsewhere, it proves that nobody shortened the log or wrote it anew."""
        lines = self.entries
        return Head(len(lines), lines[-1]["hash"] if lines else START)

    def verify(self, head: Head | None = None) -> Verdict:
        """Check every line and its place, and that the log still holds the line that `head` noted."""
        lines, why, _ = self._read()
        number = len(lines) + 1
        if head and 0 < head.lines < number and lines[head.lines - 1]["hash"] != head.hash:
            number, why = head.lines, f"Line {head.lines} is not the one that was noted when it was written."
        elif head and head.lines >= number:
            why = why or f"Line {number} is missing: the log once had {head.lines}."
        return Verdict(not why, number if why else None, why or f"All {len(lines)} lines are as they were written.")

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
        for number, line in enumerate(whole, start=1):
            seal, _, text = line.partition(b" ")
            if seal != _seal(lines, text):
                return lines, f"Line {number} was edited, or a line was dropped, added or moved here.", 0
            lines.append({**json.loads(text), "hash": seal.decode()})
        return lines, "", len(data) - len(torn)


def _seal(lines: list[dict[str, Any]], text: bytes) -> bytes:
    """Return the hash that a line of this text has behind these lines."""
    before = lines[-1]["hash"] if lines else START
    return hashlib.sha256(before.encode() + text).hexdigest().encode()


def _text(**line: Any) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise DatasiteError(f"The details of {line['event']!r} are no JSON ({error}): use text or numbers.") from None


def _shown(details: dict[str, Any]) -> str:
    """Show what happened to which job, and leave out hashes and what is empty."""
    rest = {key: details[key] for key in _SHOWN if details.get(key)}
    shown = [f"{key} {', '.join(value) if isinstance(value, list | dict) else value}" for key, value in rest.items()]
    whose = f"{details['job']!r} from {details['by']}" if "job" in details else details.get("by", "")
    return visible_name("; ".join(part for part in (whose, *shown) if part))


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

    def begin(
        self, run: str, researcher: str, job: str, epsilon: float | None, delta: float = 0.0, charged: bool = True
    ) -> None:
        """Spend epsilon on a run, or refuse the run; one that is not charged is written down as well."""
        if charged:
            try:
                self.budget(researcher).spend(epsilon, delta, what=job)
            except (BudgetError, PrivacyParameterError) as error:
                raise ReleaseRefused(f"Not run for {researcher}: {error}") from None
        self._log.append("run", job=job, by=researcher, epsilon=epsilon, delta=delta, run=run, charged=charged)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return what the log says of each run, by its id; its ``status`` is None until it has ended."""
        runs: dict[str, dict[str, Any]] = {}
        for line in self._log.entries:
            if line["event"] in ("run", "ended"):
                runs.setdefault(line["details"]["run"], {"status": None}).update(line["details"])
        return runs

    def budget(self, researcher: str) -> Budget:
        """Return a researcher's budget with everything charged so far."""
        total = self._total(researcher)
        if total is None:
            raise ReleaseRefused(f"{researcher} has no privacy budget here: name a total in budgets=.")
        budget = Budget(*total)
        for run in self.runs().values():
            if run["by"] == researcher and run["charged"] and run["status"] in (None, "done", "withheld"):
                budget.spend(run["epsilon"], run["delta"], what=run["job"])
        return budget

    def _total(self, researcher: str) -> Cost | None:
        lines = [line["details"] for line in self._log.entries if line["event"] == "budget"]
        return next((Cost(one["epsilon"], one["delta"]) for one in lines if one["by"] == researcher), None)
