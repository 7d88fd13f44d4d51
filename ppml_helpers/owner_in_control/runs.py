"""What becomes of a job: a run that waits for the owner, and the receipt of what was released."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.files import keep
from ppml_helpers.plain_text import visible
from ppml_helpers.private_statistics.budget import Cost


@dataclass(frozen=True)
class Run:
    """What a job left behind, for the owner's eyes."""

    job: str
    by: str  # email of the researcher who sent it
    status: str  # "done", "failed", or "withheld": it has an answer that may not leave
    why: str  # what limit it broke, or why its answer is withheld
    outputs: dict[str, str]  # by name, each in its only form; a release lets out exactly these
    logs: dict[str, str]  # what it printed, by name of the log
    removed: tuple[str, ...]  # whatever else it left in its scratch copy, which is gone
    epsilon: float | None  # what the owner judged that its result costs
    missing: tuple[str, ...]  # what this system did not keep from it
    id: str = field(repr=False)  # random; tells this run from any other

    def __str__(self) -> str:
        """Show everything that would leave, and name what would not."""
        lines = [f"Job {self.job!r} from {self.by}: {self.status}{self.why and f' ({self.why})'}"]
        for name, text in self.outputs.items():
            lines += [f"--- outputs/{name} ({len(text.encode())} bytes)", text.removesuffix("\n")]
        lines += [f"withheld: {name} ({len(text)} characters)" for name, text in self.logs.items() if text]
        lines += [f"removed: {name}" for name in self.removed]
        return visible("\n".join([*lines, *(f"not kept from it here: {what}" for what in self.missing)]))


@dataclass(frozen=True)
class Receipt:
    """What was released: SHA-256 by file, what it cost, and what the researcher has left (None without budgets)."""

    job: str
    by: str
    files: dict[str, str]
    epsilon: float | None
    left: Cost | None
    missing: tuple[str, ...]  # what this system did not keep from the job


class Held:
    """The runs that wait for the owner, in a file each that no job can reach."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, run: Run) -> None:
        """Keep a run for the owner."""
        keep(self._folder / f"{run.id}.json", asdict(run), "make room for the gate's records", DatasiteError)

    def all(self) -> tuple[Run, ...]:
        """Return all runs that wait, by researcher and job."""
        kept = [json.loads(path.read_text(encoding="utf-8")) for path in self._folder.glob("*.json")]
        runs = [Run(**{**run, "removed": tuple(run["removed"]), "missing": tuple(run["missing"])}) for run in kept]
        return tuple(sorted(runs, key=lambda run: (run.by, run.job)))

    def find(self, run: Run) -> Run:
        """Return a run as it is held."""
        if not isinstance(run, Run):
            raise ReleaseRefused(f"{run!r} is no run: give what gate.run(...) or gate.held() returned.")
        held = next((held for held in self.all() if held.id == run.id), None)
        if held is None:
            raise ReleaseRefused(f"This run of {run.job!r} is not held any more: it was released or dropped.")
        return held

    def finish(self, run: Run) -> None:
        """Take a run off the list of those that wait; the file is kept."""
        path = self._folder / f"{run.id}.json"
        path.replace(path.with_suffix(".finished"))
