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
    from syft_job.job import JobInfo
    from syft_rds import SyftRDSClient

    from ppml_helpers.owner_in_control.transport import LocalFolderConnection


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
    """Make the client of one person, as syft's own factories do for Google Drive."""
    demand_syft()
    from syft.sync.syftbox_manager import SyftboxManagerConfig, default_collections_folder
    from syft.sync.sync.caches.datasite_owner_cache import DataSiteOwnerEventCacheConfig
    from syft.sync.sync.caches.datasite_watcher_cache import DataSiteWatcherCacheConfig
    from syft.sync.sync.datasite_owner_syncer import DatasiteOwnerSyncerConfig
    from syft.sync.sync.datasite_watcher_syncer import DatasiteWatcherSyncerConfig
    from syft.sync.version.peer_manager import PeerManagerConfig
    from syft_datasets.config import SyftBoxConfig
    from syft_job import SyftJobConfig
    from syft_rds import SyftRDSClient, SyftRDSClientConfig
    from syft_rds.config import DATASET_COLLECTION_SPECS as specs

    from ppml_helpers.owner_in_control.transport import LocalFolderConfig

    box = machine / "SyftBox"
    who = {"email": email, "syftbox_folder": box}
    wire = {"connection_configs": [LocalFolderConfig(email=email, shared=shared, private=machine / "drive")]}
    roles = {"has_do_role": owner, "has_ds_role": not owner}
    disk = {"use_in_memory_cache": False}
    published = {"collections_folder": default_collections_folder(box, email, specs)}
    sync = SyftboxManagerConfig(
        **who,
        **roles,
        **disk,
        datasite_owner_syncer_config=DatasiteOwnerSyncerConfig(
            **who,
            **wire,
            **published,
            collection_specs=specs,
            cache_config=DataSiteOwnerEventCacheConfig(**who, **disk, **published),
        ),
        datasite_watcher_syncer_config=DatasiteWatcherSyncerConfig(
            **who,
            **wire,
            datasite_watcher_cache_config=DataSiteWatcherCacheConfig(**who, **wire, **disk, collection_specs=specs),
        ),
        peer_manager_config=PeerManagerConfig(**who, **wire, **roles, use_encryption=encryption),
    )
    job = SyftJobConfig(syftbox_folder=box, current_user_email=email, has_do_role=owner)
    with silence():
        client = SyftRDSClient.from_config(SyftRDSClientConfig(sync=sync, job=job, dataset=SyftBoxConfig(**who)))
        client.peer_manager.write_own_version()
    return client


def connection_of(client: SyftRDSClient) -> LocalFolderConnection:
    """Give the connection through which a client sends and receives."""
    return client.peer_manager.connection_router.connections[0]


@contextlib.contextmanager
def silence() -> Iterator[io.StringIO]:
    """Keep what syft prints out of the cell; the block gets it as a text."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        yield text


# Jobs


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


def _jobs(owner: SyftRDSClient) -> list[JobInfo]:
    with silence():
        return [job for job in owner.job_client.jobs if job.datasite_owner_email == owner.email]


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
