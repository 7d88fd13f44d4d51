"""What the kit asks of syft: its client over a shared folder, the jobs in an owner's inbox, and a little quiet.

Syft is imported when it is asked, never before: that takes a second, and there is none on Windows.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ppml_helpers import processes
from ppml_helpers.errors import DatasiteError, ReleaseRefused

if TYPE_CHECKING:
    from pydantic import BaseModel
    from syft_job.job import JobInfo
    from syft_rds import SyftRDSClient


def demand_syft() -> None:
    """Import syft, which takes about a second."""
    if sys.platform == "win32":
        raise DatasiteError(
            "PySyft 0.10 cannot be imported on Windows: open the kit in WSL, the Linux that Windows can install "
            "(`wsl --install`); all other chapters work here."
        )
    try:
        import syft_rds  # noqa: F401
    except ImportError as error:
        raise DatasiteError(
            f"PySyft cannot be imported ({error}): run `python3 kit.py doctor`, which says how to mend the set-up."
        ) from None


def make_client(email: str, owner: bool, machine: Path, shared: Path, encryption: bool) -> SyftRDSClient:
    """Make the client of one person, as syft's own factory does, but over a shared folder and in another place."""
    demand_syft()
    from syft_rds import SyftRDSClient, SyftRDSClientConfig

    from ppml_helpers.owner_in_control.transport import LocalFolderConfig

    config = SyftRDSClientConfig.for_jupyter(email, has_do_role=owner, has_ds_role=not owner, encryption=encryption)
    wires = [LocalFolderConfig(email=email, shared=shared, private=machine / "drive")]
    _move(config, config.sync.syftbox_folder, machine / "SyftBox", wires)
    with silence():
        client = SyftRDSClient.from_config(config)
        client.peer_manager.write_own_version()
    return client


def _move(config: BaseModel, old: Path, new: Path, wires: list[BaseModel]) -> None:
    """Put other connections into a configuration and those within it, and other folders in place of those below one."""
    for name, value in config:
        if hasattr(value, "model_fields_set"):
            _move(value, old, new, wires)
        elif name == "connection_configs":
            setattr(config, name, wires)
        elif isinstance(value, Path) and value.is_relative_to(old):
            setattr(config, name, new / value.relative_to(old))


@contextlib.contextmanager
def silence() -> Iterator[io.StringIO]:
    """Keep what syft prints out of the cell; the block gets it as a text."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        yield text


# Jobs


def find_job(owner: SyftRDSClient, name: str, by: str | None) -> JobInfo:
    """Return a job in an owner's inbox, as it is now."""
    with silence():
        jobs = [job for job in owner.job_client.jobs if job.datasite_owner_email == owner.email]
    named = [job for job in jobs if job.name == name and by in (None, job.submitted_by)]
    if not named:
        waiting = ", ".join(sorted({job.name for job in jobs})) or "none at all"
        raise ReleaseRefused(f"There is no job {name!r} from {by or 'anybody'}, there is {waiting}: sync first?")
    senders = {job.submitted_by for job in named}
    if len(senders) > 1:
        raise ReleaseRefused(f"{len(senders)} researchers sent a job {name!r}: say whose with by=.")
    if len(named) > 1:
        raise ReleaseRefused(
            f"{named[0].submitted_by} sent two jobs {name!r}, in an older and a newer layout of syft's: neither is "
            f"taken, let them send one under a new name."
        )
    return named[0]


def end_in_syft(job: JobInfo, datasite: Path, done: bool, reason: str) -> None:
    """Write into syft's own records how a job ended, and no more than that; only the owner may read its outputs yet."""
    from syft_job.models import JobState, JobStatus
    from syft_perms import SyftPermContext

    record, outputs = job.job_review_path / "state.yaml", job.job_review_path / "outputs"
    with silence():
        if job.status == "pending":
            job.approve(reason=reason or None)
        outputs.mkdir(parents=True, exist_ok=True)
        context = SyftPermContext(datasite=datasite)
        context.open(f"{outputs.relative_to(datasite).as_posix()}/").grant_read_access(job.datasite_owner_email)
    state = JobState.load(record)
    state.status, state.return_code = (JobStatus.DONE, 0) if done else (JobStatus.FAILED, 1)
    state.save(record)


def end_jobs(folder: Path) -> None:
    """End the jobs that run in a folder, with all that they started: syft marks the environment of each."""
    place = folder.resolve()
    processes.end_all(
        lambda variables: (
            variables.get("SYFT_IS_IN_JOB") == "true"
            and Path(variables.get("SYFTBOX_FOLDER", "/")).is_relative_to(place)
        )
    )


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
