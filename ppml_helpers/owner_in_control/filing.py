"""What the gate keeps between one call and the next: what was approved, and results that wait for a decision."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.files import replacing
from ppml_helpers.owner_in_control.review import Review
from ppml_helpers.owner_in_control.runs import Run, load_run


class Filing:
    """Approvals and held results in folders by researcher and job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def approve(self, review: Review, epsilon: float | None, delta: float, reason: str) -> None:
        """Keep the owner's yes, and the hashes of what it was said to."""
        path = self._approval(review.job, review.by)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as scratch:
            scratch.write_text(
                json.dumps({"hashes": review.hashes, "epsilon": epsilon, "delta": delta, "reason": reason})
            )

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
        """Return the folder in which the result of a job is held."""
        return self._folder / "held" / by / job

    def held(self) -> tuple[Run, ...]:
        """Return all results that wait."""
        return tuple(load_run(path.parent) for path in sorted(self._folder.glob("held/*/*/run.json")))

    def find(self, run: str) -> Run | None:
        """Return the result of a run, if it waits."""
        return next((held for held in self.held() if held.id == run), None)

    def check(self, run: Run) -> Run:
        """Return a result as it is held."""
        if not isinstance(run, Run):
            raise ReleaseRefused(f"{run!r} is no run: give what gate.run(...) or gate.held() returned.")
        held = self.find(run.id)
        if held is None:
            raise ReleaseRefused(f"This run of {run.job!r} is not held any more: it was released or dropped.")
        return held

    def finish(self, run: Run) -> None:
        """Take a result off the list of those that wait; the files are kept."""
        finished = self._folder / "finished"
        finished.mkdir(exist_ok=True)
        os.replace(self.place(run.job, run.by), finished / run.id)
        self.forget(run.job, run.by)

    def _approval(self, job: str, by: str) -> Path:
        return self._folder / "approvals" / by / f"{job}.json"
