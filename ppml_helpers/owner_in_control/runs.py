"""One run of one job behind closed doors: paid for, held for the owner, and finished whatever interrupts it."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.files import replacing
from ppml_helpers.owner_in_control.closed_room import ClosedRoom, Folders, Snapshot
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.records import AuditLog, Ledger
from ppml_helpers.owner_in_control.review import Review, visible, visible_name
from ppml_helpers.owner_in_control.syft_client import (
    end_jobs,
    ended_as,
    other_approved,
    own_outputs,
    silence,
    start,
    write_state,
)
from ppml_helpers.private_statistics.budget import Cost

if TYPE_CHECKING:
    from syft_job.job import JobInfo
    from syft_rds import SyftRDSClient


@dataclass(frozen=True)
class Run:
    """What a job left behind, for the owner's eyes."""

    job: str
    by: str  # email of the researcher who sent it
    status: str  # "done", "failed", or "refused": it wrote where it must not
    outputs: dict[str, bytes]  # by name; a release lets out exactly these, and there is none unless the job is done
    logs: dict[str, str]  # what it printed, by name of the log
    removed: tuple[str, ...]  # files that it left in its own folders beside its outputs
    outside: tuple[str, ...]  # files elsewhere that it changed
    epsilon: float | None  # what the owner judged that its result costs
    id: str = field(repr=False)  # random; tells this run from any other

    def __str__(self) -> str:
        """Show everything that would leave, and name what would not."""
        lines = [f"Job {self.job!r} from {self.by}: {self.status}"]
        for name, data in self.outputs.items():
            lines += [f"--- outputs/{name} ({len(data)} bytes)", data.decode(errors="replace").rstrip()]
        lines += [f"withheld: {name} ({len(text)} characters)" for name, text in self.logs.items() if text]
        lines += [f"removed: {name}" for name in self.removed]
        return visible("\n".join([*lines, *(f"put back: {name}" for name in self.outside)]))


@dataclass(frozen=True)
class Receipt:
    """What was released: SHA-256 by file, what it cost, and what the researcher has left (None without budgets)."""

    job: str
    by: str
    files: dict[str, str]
    epsilon: float | None
    left: Cost | None


def load_run(folder: Path) -> Run:
    """Read a run as `closed_room.ClosedRoom.hold` wrote it."""
    about = json.loads((folder / "run.json").read_text())
    done = about["status"] == "done"
    return Run(
        job=about["job"],
        by=about["by"],
        status=about["status"],
        outputs=_files(folder / "outputs") if done else {},
        logs={name: data.decode(errors="replace") for name, data in _files(folder / "logs").items()},
        removed=tuple(visible_name(path) for path in about["removed"]),
        outside=tuple(about["outside"]),
        epsilon=about["epsilon"],
        id=about["run"],
    )


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


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


class Runner:
    """The part of the gate that runs jobs; only one may be at work for an owner at a time."""

    def __init__(
        self,
        owner: SyftRDSClient,
        room: ClosedRoom,
        filing: Filing,
        ledger: Ledger,
        log: AuditLog,
        defences: Defences,
    ) -> None:
        self._owner, self._room, self._filing = owner, room, filing
        self._ledger, self._log, self._defences = ledger, log, defences

    def run(self, found: JobInfo, approval: dict[str, Any], timeout: float) -> Run:
        """Pay for a job, run it, and hold what comes of it; a run that fails has cost nothing."""
        skipped, others = self._others(found)
        run, job, by, epsilon = uuid.uuid4().hex, found.name, found.submitted_by, approval["epsilon"]
        if self._defences.budget:
            self._ledger.reserve(run, by, job, epsilon, approval["delta"])
        try:
            self._log.append("run", job=job, by=by, epsilon=epsilon)
            folders = Folders.of(found, self._room.box)
            about = {"run": run, "job": job, "by": by, "epsilon": epsilon, "folders": asdict(folders)}
            with silence():
                own_outputs(found, self._room.datasite, approval["reason"])
                self._room.close(about)
                before = self._room.snapshots()
                start(self._owner, skipped, timeout)
            return self._end(found, before, others, about)
        finally:
            self.recover()  # nothing to do unless it was interrupted

    def recover(self) -> None:
        """Finish a run that was interrupted: its result is held whole, or all is as if it had never begun."""
        about = self._room.running
        if about is not None:
            end_jobs(self._room.box)
            whole = self._filing.find(about["run"])
            if whole:
                self._clean(self._room.snapshots()[0], whole, Folders(**about["folders"]), ())
            else:
                self._room.recover()
            self._log.append("held" if whole else "interrupted", job=about["job"], by=about["by"])
        self._ledger.forget_unseen()

    def _end(
        self, found: JobInfo, before: tuple[Snapshot, Snapshot], others: tuple[Folders, ...], about: dict[str, Any]
    ) -> Run:
        """Sort what a run left behind, hold its result, and clean up."""
        box, records = before
        tampered = self._tampered(records) if self._defences.datasite_diff else ()
        folders = Folders(**about["folders"])
        left = self._room.sort(box, folders, others)
        outside = (*(_below(path) for path in left.outside), *tampered)
        status = "refused" if outside and self._defences.datasite_diff else ended_as(found)
        held = self._filing.place(about["job"], about["by"])
        self._room.hold(held, folders, left, {**about, "status": status, "outside": outside})
        run = load_run(held)
        self._log.append("ended", job=run.job, by=run.by, status=status, files=sorted(run.outputs), outside=outside)
        self._clean(box, run, folders, others)
        if status == "refused":
            raise ReleaseRefused(
                f"Job {run.job!r} changed {outside[0]}{_more(outside)}, which is outside its own folders: that was put "
                f"back, and nothing of the job is released; do not let it run again."
            )
        return run

    def _tampered(self, records: Snapshot) -> tuple[str, ...]:
        """Put the gate's own records back, and name those that a job changed."""
        changed = records.changes()
        records.put_back(changed)
        return tuple(f"the gate's {visible_name(path)}" for path in changed)

    def _clean(self, box: Snapshot, run: Run, folders: Folders, others: tuple[Folders, ...]) -> None:
        """Take out of the datasite what the defences take out, settle the cost, and open the datasite."""
        on = self._defences
        left = self._room.sort(box, folders, others)
        box.put_back(
            sorted(  # a link comes before what seems to lie in it
                [
                    *(left.logs if on.logs else ()),
                    *((*left.strays, *left.outputs) if on.stray_files else ()),
                    *(left.outside if on.datasite_diff else ()),
                ]
            )
        )
        write_state(box, f"{folders.back}/state.yaml", run.status == "done", logs=on.logs, strays=on.stray_files)
        self._ledger.settle(run.id, seen=run.status == "done")
        self._room.open(box)

    def _others(self, found: JobInfo) -> tuple[list[str], tuple[Folders, ...]]:
        """Return the names of approved jobs to skip, and the folders of those that will run along."""
        others = other_approved(self._owner, found)
        if not self._defences.one_job:
            return [], tuple(Folders.of(job, self._room.box) for job in others)
        twins = [job.submitted_by for job in others if job.name == found.name]
        if twins:
            raise ReleaseRefused(
                f"{twins[0]} has an approved job {found.name!r} too, and syft would run both: reject that one."
            )
        return [job.name for job in others], ()


def _below(path: str) -> str:
    """Leave out the name of the datasite, and show what the name of a file hides."""
    return visible_name(path.partition("/")[2] or path)


def _more(paths: tuple[str, ...]) -> str:
    return f" and {len(paths) - 1} more" if len(paths) > 1 else ""
