"""A release gate: what a job does on an owner's machine stays there until the owner has seen what would leave.

PySyft asks the owner for one yes, before the run. What the job prints, leaves lying about, or becomes after that yes,
reaches the researcher as well. The gate stands at three places: it screens what comes in (`ReleaseGate.sync`), it runs
one job behind closed doors (`ReleaseGate.run`), and it lets out what was looked at (`ReleaseGate.release`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppml_helpers import checks
from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control.closed_room import ClosedRoom
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.records import AuditLog, Ledger, alone
from ppml_helpers.owner_in_control.review import (
    Review,
    SetAside,
    check_run_script,
    difference,
    read_job,
    screened_sync,
)
from ppml_helpers.owner_in_control.runs import Filing, Receipt, Run, Runner
from ppml_helpers.owner_in_control.syft_client import find_job, silence, withdraw
from ppml_helpers.private_statistics.budget import Budget

if TYPE_CHECKING:
    from syft_job.job import JobInfo
    from syft_rds import SyftRDSClient


class ReleaseGate:
    """Stand between an owner's data and the researchers.

    The gate keeps its files beside the owner's SyftBox, in ``<SyftBox>-gate``: nobody else can read them there, they
    survive a restart, and several gates of one owner take turns.

    Parameters
    ----------
    owner : SyftRDSClient
        A client with the role of a data owner.
    budgets : mapping, optional
        All that each researcher may ever spend, by email: an epsilon, or a pair (epsilon, delta). A total is fixed
        once; a researcher without one is refused.
    defences : Defences
        What the gate does; all of it, unless some is switched off to see what it was good for.
    """

    def __init__(
        self,
        owner: SyftRDSClient,
        budgets: Mapping[str, float | tuple[float, float]] | None = None,
        defences: Defences | None = None,
    ) -> None:
        if not getattr(owner, "has_do_role", False):
            raise DatasiteError(f"{owner!r} owns no data; a gate stands before a data owner's: give such a client.")
        if not isinstance(budgets, Mapping | None) or not isinstance(defences, Defences | None):
            raise DatasiteError(
                f"budgets = {budgets!r} must be a dictionary of totals by email, and defences = {defences!r} "
                f"a Defences: give such, or leave them out."
            )
        self.owner = owner
        self.defences = defences if defences is not None else Defences()
        box = Path(owner.syftbox_folder)
        self.folder = box.with_name(f"{box.name}-gate")
        self._room = ClosedRoom(box, box / owner.email, self.folder)
        self._room.records.mkdir(parents=True, exist_ok=True)
        self.log = AuditLog(self._room.records / "audit.jsonl")
        self._filing = Filing(self._room.records)
        self._ledger = Ledger(self._room.records / "ledger.db")
        self._runner = Runner(owner, self._room, self._filing, self._ledger, self.log, self.defences)
        with self._alone():
            for researcher, total in (budgets or {}).items():
                pair = total if isinstance(total, tuple) and len(total) == 2 else (total, 0.0)
                self._ledger.fix_total(researcher, *pair)

    def sync(self) -> tuple[SetAside, ...]:
        """Sync the datasite in place of the client's own ``sync``, and return the messages that were not let in."""
        with self._alone():
            return self._sync()

    def review(self, job: str, by: str | None = None) -> Review:
        """Read a job: print the result, it is what would run. A job that cannot be what it seems is refused.

        Parameters
        ----------
        job : str
            Its name.
        by : str, optional
            Email of the researcher, if several have a job of that name.
        """
        with self._alone(), self._refusals():
            found = find_job(self.owner, job, by)
            review = read_job(found)
            if self.defences.run_script:
                check_run_script(review, found.job_metadata.entrypoint)
            self.log.append("reviewed", job=review.job, by=review.by, fingerprint=review.fingerprint)
        return review

    def approve(self, review: Review, epsilon: float | None = None, delta: float = 0.0, reason: str = "") -> None:
        """Say yes to the job as it was reviewed, and what its result costs.

        The epsilon is the owner's judgement of the code. No gate can see whether the code adds the noise it should.

        Parameters
        ----------
        review : Review
            What was read.
        epsilon, delta : float
            Privacy that one run spends.
        reason : str
            For the audit log, and for the researcher.
        """
        if not isinstance(review, Review):
            raise ReleaseRefused(f"{review!r} is no review: read what gate.review(...) returns, then approve that.")
        if self.defences.budget or epsilon is not None:
            try:
                epsilon, delta = Budget(epsilon, delta).total
            except PrivacyParameterError as error:
                raise ReleaseRefused(f"{review.job!r} is not approved: {error}") from None
        with self._alone():
            self._open(review, None)
            self._filing.approve(review, epsilon, delta, reason)
            self.log.append("approved", job=review.job, by=review.by, epsilon=epsilon, reason=reason)

    def reject(self, job: Review | str, by: str | None = None, reason: str = "") -> None:
        """Say no; the researcher sees the reason. It costs nothing."""
        with self._alone():
            found = self._open(job, by)
            self.log.append("rejected", job=found.name, by=found.submitted_by, reason=reason)
            self._filing.forget(found.name, found.submitted_by)
            with silence():
                withdraw(found, reason)

    def run(self, job: Review | str, by: str | None = None, timeout: float = 60.0) -> Run:
        """Run one approved job, and hold back all that comes of it.

        Do not work on the datasite by hand meanwhile: what changes during a run counts as the job's doing.

        Parameters
        ----------
        job : Review or str
            Which, by its review or its name.
        by : str, optional
            Email of the researcher, if several have a job of that name.
        timeout : float
            Seconds after which it is ended, and failed.

        Returns
        -------
        Run
            What came out, for the owner to look at. A job that failed is returned as well; it has spent nothing.

        Raises
        ------
        ReleaseRefused
            If the job is not approved, not what was reviewed, has run, cannot be paid, or wrote where it must not.
        """
        timeout = checks.number(timeout, "timeout", 0, above=True, error=DatasiteError, mend="give seconds")
        sync_waits = self.owner.sync_engine.sync_file_lock  # also that of another program
        with self._alone(), self._refusals(), sync_waits():
            found = self._open(job, by)
            return self._runner.run(found, self._approval(found), timeout)

    def release(self, run: Run) -> Receipt:
        """Let the outputs of a run out, exactly as they stand in `run`, and sync."""
        with self._alone(), self._refusals():
            held = self._filing.check(run)
            found = find_job(self.owner, held.job, held.by)
            if held.status != "done":
                raise ReleaseRefused(f"Job {run.job!r} has no result, it is {held.status}: drop it.")
            if run != held:
                raise ReleaseRefused(f"The outputs of {run.job!r} changed after they were looked at: see gate.held().")
            if self.defences.budget and not self._ledger.paid(run.id):
                raise ReleaseRefused(f"The run of {run.job!r} was not paid from a budget: drop it.")
            hashes = {name: hashlib.sha256(data).hexdigest() for name, data in run.outputs.items()}
            self.log.append("released", job=run.job, by=run.by, epsilon=run.epsilon, files=hashes)
            for name, data in run.outputs.items():
                path = found.job_review_path / "outputs" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            with silence():
                found.share_outputs([run.by])
            self._sync()
            self._filing.finish(run)
            left = self._ledger.left(run.by) if self.defences.budget else None
        return Receipt(run.job, run.by, hashes, run.epsilon, left)

    def drop(self, run: Run, reason: str = "") -> None:
        """Do not release a result. It was looked at, so what it cost stays spent: to withhold it says something too."""
        with self._alone():
            self._filing.check(run)
            self.log.append("dropped", job=run.job, by=run.by, reason=reason)
            self._filing.finish(run)

    def held(self) -> tuple[Run, ...]:
        """Return the results that were neither released nor dropped, also those of a gate that is no more."""
        with self._alone():
            return self._filing.held()

    def budget(self, researcher: str) -> Budget:
        """Return what a researcher has spent and may still spend."""
        return self._ledger.budget(researcher)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other gates of this owner, and finish what a killed one left."""
        with alone(self.folder / "gate.lock", seconds=600):
            self._runner.recover()
            yield

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Write into the log what the gate refuses."""
        try:
            yield
        except ReleaseRefused as error:
            self.log.append("refused", why=str(error))
            raise

    def _sync(self) -> tuple[SetAside, ...]:
        return screened_sync(
            self.owner,
            self.folder / "quarantine",
            senders=self.defences.sender_check,
            unreadable=self.defences.quarantine,
            note=lambda found: self.log.append("set aside", **found._asdict()),
        )

    def _open(self, job: Review | str, by: str | None) -> JobInfo:
        """Return a job that has neither run nor been rejected."""
        found = find_job(self.owner, job.job, job.by) if isinstance(job, Review) else find_job(self.owner, job, by)
        if found.status not in ("pending", "approved"):
            raise ReleaseRefused(
                f"Job {found.name!r} is {found.status}, so it is decided: a researcher who wants it again sends it "
                f"under a new name."
            )
        if self._filing.place(found.name, found.submitted_by).exists():
            raise ReleaseRefused(f"Job {found.name!r} has run, and its result is held: release or drop that first.")
        return found

    def _approval(self, found: JobInfo) -> dict[str, Any]:
        """Return the owner's yes to a job, if it is still the job that the yes was said to."""
        approval = self._filing.approval(found.name, found.submitted_by)
        now = read_job(found).hashes
        if self.defences.fingerprint and now != approval["hashes"]:
            raise ReleaseRefused(
                f"{difference(approval['hashes'], now)} in job {found.name!r} after it was reviewed: review it again, "
                f"or reject it."
            )
        return approval
