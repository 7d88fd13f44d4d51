"""The few things that the gate asks of syft's jobs; syft is imported when they are asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.owner_in_control.environment import lean_environment
from ppml_helpers.owner_in_control.people import silence
from ppml_helpers.owner_in_control.snapshot import Snapshot

if TYPE_CHECKING:
    from syft_job.job import JobInfo
    from syft_job.models import JobState
    from syft_rds import SyftRDSClient


def find_job(owner: SyftRDSClient, name: str, by: str | None) -> JobInfo:
    """Return a job in an owner's inbox, as it is now."""
    jobs = _jobs(owner)
    named = [job for job in jobs if job.name == name and by in (None, job.submitted_by)]
    if not named:
        waiting = ", ".join(sorted({job.name for job in jobs})) or "none at all"
        raise ReleaseRefused(f"There is no job {name!r} from {by or 'anybody'}, there is {waiting}: sync first?")
    senders = {job.submitted_by for job in named}
    if len(senders) > 1:
        raise ReleaseRefused(f"{len(senders)} researchers sent a job {name!r}: say whose with by=.")
    if len(named) > 1:
        raise ReleaseRefused(
            f"{by or named[0].submitted_by} sent two jobs {name!r}, in an older and a newer layout of syft's: neither "
            f"is taken, let them send one under a new name."
        )
    return named[0]


def other_approved(owner: SyftRDSClient, job: JobInfo) -> list[JobInfo]:
    """Return the other jobs that syft would run now."""
    this = (job.name, job.submitted_by)
    return [other for other in _jobs(owner) if other.status == "approved" and (other.name, other.submitted_by) != this]


def _jobs(owner: SyftRDSClient) -> list[JobInfo]:
    with silence():
        return [job for job in owner.job_client.jobs if job.datasite_owner_email == owner.email]


def own_outputs(job: JobInfo, datasite: Path, reason: str) -> None:
    """Approve a job in syft's own records, and let only the owner read its outputs."""
    from syft_perms import SyftPermContext

    if job.status == "pending":
        job.approve(reason=reason or None)
    context = SyftPermContext(datasite=datasite)
    context.open(f"{(job.job_review_path / 'outputs').relative_to(datasite).as_posix()}/").grant_read_access(
        job.datasite_owner_email
    )


def start(owner: SyftRDSClient, skipped: list[str], timeout: float) -> None:
    """Run the approved jobs but those skipped, in an environment without the owner's variables, and share nothing."""
    with lean_environment():
        try:
            owner.job_runner.process_approved_jobs(stream_output=False, timeout=timeout, skip_job_names=skipped)
        except Exception as error:  # a job can delete what syft needs to record its end
            print(f"syft stopped: {error}")
        finally:
            end_processes(owner.syftbox_folder)


def ended_as(job: JobInfo) -> str:
    """Say how a job ended: ``"done"`` or ``"failed"``, which it also is if nothing says that it is done."""
    from syft_job.models import JobStatus

    state = _state(job.job_review_path / "state.yaml")
    return "done" if state is not None and state.status == JobStatus.DONE else "failed"


def _state(path: Path) -> JobState | None:
    """Read syft's record of a job; None if a job made it unreadable."""
    from syft_job.models import JobState

    try:
        return JobState.load(path)
    except Exception:  # whatever stands there instead: no file, no YAML, no state
        return None


def end_processes(box: Path) -> None:
    """End what a job left running: syft names the SyftBox in the environment of each."""
    import psutil

    for process in psutil.process_iter():
        try:
            variables = process.environ()
            if variables.get("SYFT_IS_IN_JOB") == "true" and Path(variables.get("SYFTBOX_FOLDER", "")) == box.resolve():
                process.kill()
                process.wait(5)
        except (psutil.Error, OSError):  # somebody else's, or gone already
            continue


def withdraw(job: JobInfo, reason: str) -> None:
    """Reject a job, also one that was approved in syft, which has no way back."""
    from syft_job.models import JobState, JobStatus

    if job.status == "pending":
        job.reject(reason=reason or None)
        return
    state = JobState.load(job.job_review_path / "state.yaml")
    state.status, state.rejected_by, state.rejected_at = JobStatus.REJECTED, job.datasite_owner_email, datetime.now(UTC)
    state.review_reason = reason or None
    state.save(job.job_review_path / "state.yaml")


def write_state(box: Snapshot, path: str, done: bool, logs: bool, strays: bool) -> None:
    """Write what the researcher may know of how a job ended.

    Syft's own record takes over whatever the job wrote into it, and holds the exit code (a number from 0 to 255) and
    the time of the end.
    """
    from syft_job.models import JobState, JobStatus

    file = box.root / path
    now = None if logs and strays else _state(file)
    if strays or now is None:
        box.put_back([path])
    state = JobState.load(file)
    state.status = JobStatus.DONE if done else JobStatus.FAILED
    if logs or now is None:
        state.completed_at, state.return_code = None, 0 if done else 1
    else:
        state.completed_at, state.return_code = now.completed_at, now.return_code
    state.save(file)
