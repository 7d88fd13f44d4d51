"""What the gate keeps of jobs: the owner's yes, and results that wait for the owner. No job can reach these files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.files import keep
from ppml_helpers.owner_in_control.review import Review, visible, visible_name
from ppml_helpers.private_statistics.budget import Cost


@dataclass(frozen=True)
class Run:
    """What a job left behind, for the owner's eyes."""

    job: str
    by: str  # email of the researcher who sent it
    status: str  # "done", "failed", or "withheld": it has an answer that may not leave
    why: str  # what limit it broke, or why its answer is withheld
    outputs: dict[str, bytes]  # by name, in canonical bytes; a release lets out exactly these
    logs: dict[str, str]  # what it printed, by name of the log
    removed: tuple[str, ...]  # whatever else it left in its scratch copy, which is gone
    epsilon: float | None  # what the owner judged that its result costs
    missing: tuple[str, ...]  # what this system did not keep from it
    id: str = field(repr=False)  # random; tells this run from any other

    def __str__(self) -> str:
        """Show everything that would leave, and name what would not."""
        lines = [f"Job {self.job!r} from {self.by}: {self.status}{self.why and f' ({self.why})'}"]
        for name, data in self.outputs.items():
            lines += [f"--- outputs/{name} ({len(data)} bytes)", data.decode().removesuffix("\n")]
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


class Filing:
    """Approvals and held results, in a file each by researcher and job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def approve(self, review: Review, **terms: Any) -> None:
        """Keep the owner's yes: the hashes of what it was said to, and its terms."""
        _keep(self._approval(review.job, review.by), {"hashes": review.hashes, **terms})

    def approval(self, job: str, by: str) -> dict[str, Any]:
        """Return the owner's yes."""
        try:
            return json.loads(self._approval(job, by).read_text())
        except FileNotFoundError:
            raise ReleaseRefused(f"Job {job!r} was not approved at this gate: review it, then approve it.") from None

    def forget(self, job: str, by: str) -> None:
        """Take the owner's yes back."""
        self._approval(job, by).unlink(missing_ok=True)

    def place(self, job: str, by: str) -> Path:
        """Return the file in which the result of a job is held."""
        return self._folder / "held" / by / f"{job}.json"

    def hold(self, run: Run) -> None:
        """Keep a result for the owner."""
        outputs = {name: data.decode() for name, data in run.outputs.items()}
        _keep(self.place(run.job, run.by), {**asdict(run), "outputs": outputs})

    def held(self) -> tuple[Run, ...]:
        """Return all results that wait."""
        return tuple(_run(path) for path in sorted(self._folder.glob("held/*/*.json")))

    def check(self, run: Run) -> Run:
        """Return a result as it is held."""
        if not isinstance(run, Run):
            raise ReleaseRefused(f"{run!r} is no run: give what gate.run(...) or gate.held() returned.")
        held = next((held for held in self.held() if held.id == run.id), None)
        if held is None:
            raise ReleaseRefused(f"This run of {run.job!r} is not held any more: it was released or dropped.")
        return held

    def finish(self, run: Run) -> None:
        """Take a result off the list of those that wait; the file is kept."""
        finished = self._folder / "finished"
        finished.mkdir(exist_ok=True)
        os.replace(self.place(run.job, run.by), finished / f"{run.id}.json")
        self.forget(run.job, run.by)

    def _approval(self, job: str, by: str) -> Path:
        return self._folder / "approvals" / by / f"{job}.json"


def _keep(path: Path, content: dict[str, Any]) -> None:
    keep(path, content, "make room for the gate's records", DatasiteError)


def _run(path: Path) -> Run:
    kept = json.loads(path.read_text(encoding="utf-8"))
    outputs = {name: text.encode() for name, text in kept["outputs"].items()}
    return Run(**{**kept, "outputs": outputs, "removed": tuple(kept["removed"]), "missing": tuple(kept["missing"])})


def shown(paths: Sequence[str], most: int = 20) -> tuple[str, ...]:
    """Return names of files as they can be shown, and how many more there are."""
    more = len(paths) - most
    return (*map(visible_name, paths[:most]), *([f"and {more} more"] if more > 0 else []))
