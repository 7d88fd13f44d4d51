"""A hospital or a researcher: syft's own client, made for a shared folder in place of Google Drive."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppml_helpers.errors import DatasiteError

if TYPE_CHECKING:
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
