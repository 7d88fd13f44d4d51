"""A release gate: what a job does on an owner's machine stays there until the owner has seen what would leave.

PySyft asks the owner for one yes, before the run. What the job prints, leaves lying about, or becomes after that yes,
reaches the researcher as well. The gate stands at three places: it screens what comes in (`ReleaseGate.sync`), it runs
one job in a scratch copy (`ReleaseGate.run`), and it lets out what was looked at (`ReleaseGate.release`).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control import offline_uv
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.outputs import OutputRule, agreed, canonical
from ppml_helpers.owner_in_control.records import AuditLog, Ledger
from ppml_helpers.owner_in_control.review import (
    Review,
    SetAside,
    check_run_script,
    contents,
    difference,
    read_job,
    screened_sync,
)
from ppml_helpers.owner_in_control.runs import Held, Receipt, Run
from ppml_helpers.owner_in_control.syft_client import end_in_syft, find_job, silence, withdraw
from ppml_helpers.plain_text import visible_name
from ppml_helpers.private_statistics.budget import Budget
from ppml_helpers.sandbox import runner

_PATIENCE = 600  # seconds to wait for another gate of the same owner
_MOST = 20  # files that a job left are named; how many more there are is said

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
    rule : OutputRule, optional
        The owner's own rule for the content of every answer.
    limits : runner.Limits, optional
        What one job may use.
    """

    def __init__(
        self,
        owner: SyftRDSClient,
        budgets: Mapping[str, float | tuple[float, float]] | None = None,
        defences: Defences | None = None,
        rule: OutputRule | None = None,
        limits: runner.Limits | None = None,
    ) -> None:
        if not getattr(owner, "has_do_role", False):
            raise DatasiteError(f"{owner!r} owns no data; a gate stands before a data owner's: give such a client.")
        for name, value, kind in (
            ("budgets", budgets, Mapping),
            ("defences", defences, Defences),
            ("rule", rule, OutputRule),
            ("limits", limits, runner.Limits),
        ):
            if not isinstance(value, kind | None):
                raise DatasiteError(f"{name} = {value!r} must be a {kind.__name__}: give one, or leave it out.")
        self.owner = owner
        self.defences = defences if defences is not None else Defences()
        self.rule, self.limits = rule, limits or runner.Limits()
        self._box = Path(owner.syftbox_folder)
        self.folder = self._box.with_name(f"{self._box.name}-gate")
        records = self.folder / "records"
        records.mkdir(parents=True, exist_ok=True)
        self.log, self._held = AuditLog(records / "audit.log"), Held(records / "held")
        self._ledger = Ledger(self.log)
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
        with self._alone():
            found = find_job(self.owner, job, by)
            review = read_job(found)
            if self.defences.run_script:
                check_run_script(review, found.job_metadata.entrypoint)
            if self.defences.sender_check and review.unlisted:
                raise ReleaseRefused(
                    f"code/{visible_name(review.unlisted[0])} in job {review.job!r} is not in its sender's own list of "
                    f"files: somebody else may have put it there; reject the job."
                )
            self.log.append("reviewed", job=review.job, by=review.by, fingerprint=review.fingerprint)
        return review

    def approve(
        self,
        review: Review,
        epsilon: float | None = None,
        delta: float = 0.0,
        reason: str = "",
        data: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
    ) -> None:
        """Say yes to the job as it was reviewed, to the data that it gets, and what its result costs.

        The epsilon is the owner's judgement of the code. No gate can see whether the code adds the noise it should.

        Parameters
        ----------
        review : Review
            What was read.
        epsilon, delta : float
            Privacy that one run spends.
        reason : str
            For the audit log, and for the researcher.
        data : iterable of str, optional
            The data sets that the job gets; default: those whose names stand in what was reviewed.
        outputs : iterable of str, optional
            The files that it may answer with; default: every ``outputs/<name>`` that stands in what was reviewed.
        """
        if not isinstance(review, Review):
            raise ReleaseRefused(f"{review!r} is no review: read what gate.review(...) returns, then approve that.")
        if self.defences.budget or epsilon is not None:
            try:
                epsilon, delta = Budget(epsilon, delta).total
            except PrivacyParameterError as error:
                raise ReleaseRefused(f"{review.job!r} is not approved: {error}") from None
        texts = (review.run_script, *review.files.values())
        with self._alone():
            self._open(review, None)
            self.log.append(
                "approved",
                job=review.job,
                by=review.by,
                epsilon=epsilon,
                delta=delta,
                reason=reason,
                data=self._data(texts, data),
                outputs=agreed(texts if outputs is None else [f"outputs/{name}" for name in outputs]),
                hashes=review.hashes,
            )

    def reject(self, job: Review | str, by: str | None = None, reason: str = "") -> None:
        """Say no; the researcher sees the reason. It costs nothing."""
        with self._alone():
            found = self._open(job, by)
            self.log.append("rejected", job=found.name, by=found.submitted_by, reason=reason)
            with silence():
                withdraw(found, reason)

    def run(self, job: Review | str, by: str | None = None, timeout: float | None = None) -> Run:
        """Run one approved job in a scratch copy, and hold what comes of it; the copy is thrown away.

        The job gets the data and the code that it was approved with, and nothing else where the system can keep it so
        (`Run.missing` names what it cannot). It is paid before it starts; one that fails gets its epsilon back.

        Parameters
        ----------
        job : Review or str
            Which, by its review or its name.
        by : str, optional
            Email of the researcher, if several have a job of that name.
        timeout : float, optional
            Seconds after which it is ended, and failed; default: those of the gate's limits.

        Returns
        -------
        Run
            What came out, for the owner to look at.

        Raises
        ------
        ReleaseRefused
            If the job is not approved, not what was reviewed, has run, or cannot be paid.
        """
        limits = self.limits if timeout is None else replace(self.limits, seconds=timeout)
        with self._alone():
            found = self._open(job, by)
            approval, code = self._approval(found)
            run, price = uuid.uuid4().hex, (approval["epsilon"], approval["delta"])
            self._ledger.begin(run, found.submitted_by, found.name, *price, charged=self.defences.budget)
            try:
                ended = self._carry_out(found, approval, code, limits)
                held = self._sorted(found, approval, ended, run)
                self._held.add(held)
                self._tell(found, held)
                self._let_out(found, held, ended)
            finally:
                self._recover()  # writes into the log how it ended
        return held

    def release(self, run: Run) -> Receipt:
        """Let the outputs of a run out, exactly as they stand in `run`, and sync."""
        with self._alone():
            held = self._held.find(run)
            found = find_job(self.owner, held.job, held.by)
            if held.status != "done":
                raise ReleaseRefused(
                    f"Job {run.job!r} has no result, it is {held.status}{held.why and f' ({held.why})'}: drop it."
                )
            if run != held:
                raise ReleaseRefused(f"The outputs of {run.job!r} changed after they were looked at: see gate.held().")
            if self.defences.budget and not self._ledger.runs()[run.id]["charged"]:
                raise ReleaseRefused(f"The run of {run.job!r} was not paid from a budget: drop it.")
            outputs = {name: text.encode() for name, text in run.outputs.items()}
            if self._leaving(outputs) != run.outputs:
                raise ReleaseRefused(f"The gate's rule has become stricter since {run.job!r} ran: drop it.")
            hashes = {name: hashlib.sha256(data).hexdigest() for name, data in outputs.items()}
            self.log.append("released", job=run.job, by=run.by, epsilon=run.epsilon, files=hashes)
            self._tell(found, held)
            for name, data in outputs.items():
                (found.job_review_path / "outputs" / name).write_bytes(data)
            with silence():
                found.share_outputs([run.by])
            self._sync()
            self._held.finish(run)
            left = self._ledger.budget(run.by).left if self.defences.budget else None
        return Receipt(run.job, run.by, hashes, run.epsilon, left, run.missing)

    def drop(self, run: Run, reason: str = "") -> None:
        """Do not release a result. It was looked at, so what it cost stays spent: to withhold it says something too."""
        with self._alone():
            held = self._held.find(run)
            self._tell(find_job(self.owner, held.job, held.by), held)
            self.log.append("dropped", job=run.job, by=run.by, reason=reason)
            self._held.finish(run)

    def held(self) -> tuple[Run, ...]:
        """Return the results that were neither released nor dropped, also those of a gate that is no more."""
        with self._alone():
            return self._held.all()

    def budget(self, researcher: str) -> Budget:
        """Return what a researcher has spent and may still spend."""
        return self._ledger.budget(researcher)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other gates of this owner, finish what a killed one left, and write down what is refused."""
        try:
            lock = FileLock(self.folder / "gate.lock", timeout=_PATIENCE).acquire()
        except Timeout:
            raise DatasiteError("Another gate of this owner is at work for too long: wait for it or end it.") from None
        with lock:
            self._recover()
            try:
                yield
            except ReleaseRefused as error:
                self.log.append("refused", why=str(error))
                raise

    def _recover(self) -> None:
        """Throw away scratch copies, and write into the log how the runs ended that have begun."""
        runner.clear(self.folder / runner.SCRATCH)
        held = {run.id: run for run in self._held.all()}
        for name, begun in self._ledger.runs().items():
            if begun["status"] is None:
                status, files = (held[name].status, sorted(held[name].outputs)) if name in held else ("interrupted", [])
                self.log.append("ended", job=begun["job"], by=begun["by"], run=name, status=status, files=files)

    def _sync(self) -> tuple[SetAside, ...]:
        return screened_sync(self.owner, self.folder / "quarantine", self.defences, self.log)

    def _open(self, job: Review | str, by: str | None) -> JobInfo:
        """Return a job that has neither run nor been rejected."""
        found = find_job(self.owner, job.job, job.by) if isinstance(job, Review) else find_job(self.owner, job, by)
        if found.status not in ("pending", "approved"):
            raise ReleaseRefused(
                f"Job {found.name!r} is {found.status}, so it is decided: a researcher who wants it again sends it "
                f"under a new name."
            )
        if (found.name, found.submitted_by) in ((run.job, run.by) for run in self._held.all()):
            raise ReleaseRefused(f"Job {found.name!r} has run, and its result is held: release or drop that first.")
        return found

    def _yes(self, job: str, by: str) -> dict[str, Any]:
        """Return the owner's yes to a job: its terms, and the hashes of what it was said to."""
        said = [line for line in self.log.entries if line["event"] in ("approved", "rejected")]
        said = [line for line in said if (line["details"]["job"], line["details"]["by"]) == (job, by)]
        if not said or said[-1]["event"] != "approved":
            raise ReleaseRefused(f"Job {job!r} was not approved at this gate: review it, then approve it.")
        return said[-1]["details"]

    def _approval(self, found: JobInfo) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the owner's yes to a job, and its files if they are still those that the yes was said to."""
        approval, code = self._yes(found.name, found.submitted_by), contents(found.job_submission_path, found.name)
        now = {path: hashlib.sha256(data).hexdigest() for path, data in code.items()}
        if self.defences.fingerprint and now != approval["hashes"]:
            raise ReleaseRefused(
                f"{difference(approval['hashes'], now)} in job {found.name!r} after it was reviewed: review it again, "
                f"or reject it."
            )
        return approval, code

    def _data(self, texts: Iterable[str], named: Iterable[str] | None) -> list[str]:
        """Return the data sets that a job shall get: those named, or those of the owner that its texts name."""
        private = self._box / self.owner.email / "private" / "syft_datasets"
        there = sorted(path.name for path in private.glob("*") if path.is_dir())
        if named is None:
            return [name for name in there if any(re.search(rf"\b{re.escape(name)}\b", text) for text in texts)]
        chosen = sorted({named} if isinstance(named, str) else set(named))
        if unknown := [name for name in chosen if name not in there]:
            raise ReleaseRefused(f"There is no data set {unknown[0]!r} here, there is {', '.join(there) or 'none'}.")
        return chosen

    def _carry_out(
        self, found: JobInfo, approval: dict[str, Any], code: dict[str, bytes], limits: runner.Limits
    ) -> runner.Ended:
        """Run a job in a scratch copy of the SyftBox with nothing in it but the job and its data."""
        inbox, email = self._below_box(found.job_submission_path), self.owner.email
        halves = (self._box / email / half / "syft_datasets" for half in ("public", "private"))
        folders = [half / name for half in halves for name in approval["data"]]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return runner.run(
            self.folder / runner.SCRATCH,
            ["bash", "run.sh"],
            {
                "bin/uv": offline_uv.launcher(sys.executable).encode(),
                **{f"{inbox}/{path}": data for path, data in code.items()},
                **{self._below_box(path): path for path in files},
                f"{inbox}/code/outputs/": b"",
            },
            cwd=inbox,
            variables={
                "SYFTBOX_FOLDER": "{job}/SyftBox",
                "SYFTBOX_EMAIL": email,
                "SYFT_IS_IN_JOB": "true",
                "PRE_SYNC": "false",
            },
            limits=limits,
            confine=self._confine(),
            readable=[offline_uv.__file__],
        )

    def _confine(self) -> str:
        return runner.confinement() if self.defences.scratch_copy else "limits"

    def _below_box(self, path: Path) -> str:
        return f"SyftBox/{path.relative_to(self._box).as_posix()}"

    def _sorted(self, found: JobInfo, approval: dict[str, Any], ended: runner.Ended, run: str) -> Run:
        """Tell the agreed outputs from everything else that a job left."""
        inbox, site = self._below_box(found.job_submission_path), f"SyftBox/{self.owner.email}/"
        names = {f"{inbox}/code/outputs/{name}": name for name in approval["outputs"]}
        outputs = {names[path]: data for path, data in ended.files.items() if path in names and data is not None}
        left = [path for path in ended.files if names.get(path) not in outputs]
        left = [visible_name(path.removeprefix(f"{inbox}/").removeprefix(site)) for path in left]
        status, why = ended.status, ended.why and f"more {ended.why} than its limit"
        leaving = {}
        try:
            leaving = self._leaving(outputs) if status == "done" else {}
        except ReleaseRefused as refused:
            status, why = "withheld", str(refused)
        return Run(
            job=found.name,
            by=found.submitted_by,
            status=status,
            why=why,
            outputs=leaving,
            logs={f"{name}.txt": text for name, text in ended.logs.items()},
            removed=(*left[:_MOST], *([f"and {len(left) - _MOST} more"] if len(left) > _MOST else [])),
            epsilon=approval["epsilon"],
            missing=runner.missing(self._confine()),
            id=run,
        )

    def _leaving(self, outputs: dict[str, bytes]) -> dict[str, str]:
        """Return outputs in the form in which they leave, or refuse them."""
        written = {name: canonical(name, data, self.rule) for name, data in outputs.items()}
        if self.rule is not None:
            self.rule.check(content for _, content in written.values())
        return {name: text for name, (text, _) in written.items()}

    def _tell(self, found: JobInfo, held: Run) -> None:
        """Let the researcher know that the job has ended, and no more."""
        reason = self._yes(held.job, held.by)["reason"]
        end_in_syft(found, self._box / self.owner.email, held.status == "done", reason)

    def _let_out(self, found: JobInfo, held: Run, ended: runner.Ended) -> None:
        """Copy to the datasite what a defence that is switched off would have kept from it."""
        inbox, out = self._below_box(found.job_submission_path), {}
        for path, data in ended.files.items():
            own = path.startswith(f"{inbox}/")
            kept = self.defences.stray_files if own else self.defences.scratch_copy
            if data is not None and not kept and path.startswith("SyftBox/") and "/code/outputs/" not in path:
                out[self._box / path.removeprefix("SyftBox/")] = data
        if not self.defences.logs:
            texts = {**held.logs, "returncode.txt": str(ended.code)}
            out |= {found.job_review_path / name: text.encode() for name, text in texts.items()}
        for target, data in out.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
