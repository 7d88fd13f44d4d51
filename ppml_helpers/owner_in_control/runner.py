"""One run of one job behind closed doors, finished even if the owner's program is killed in the middle."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.owner_in_control.audit_log import AuditLog
from ppml_helpers.owner_in_control.closed_room import ClosedRoom, Folders
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.filing import Filing
from ppml_helpers.owner_in_control.ledger import Ledger
from ppml_helpers.owner_in_control.people import silence
from ppml_helpers.owner_in_control.runs import Run, load_run
from ppml_helpers.owner_in_control.snapshot import Snapshot
from ppml_helpers.owner_in_control.syft_jobs import (
    end_processes,
    ended_as,
    other_approved,
    own_outputs,
    start,
    write_state,
)
from ppml_helpers.owner_in_control.visible import visible_name

if TYPE_CHECKING:
    from syft_job.job import JobInfo
    from syft_rds import SyftRDSClient


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
            end_processes(self._room.box)
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
