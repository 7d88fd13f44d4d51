"""The temporary folder of a network: never left behind, not even by a process that was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

import psutil

from ppml_helpers.errors import DatasiteError

PREFIX = "ppml-datasite-"
_LOCK = "in-use"
_MOMENT = 60.0  # seconds within which a folder without a lock is taken for one that is just being made


class NetworkFolder:
    """A new private folder, known to be in use as long as this process lives.

    Folders whose process was killed are removed when the next one is made, and jobs that still run in them are ended.

    Attributes
    ----------
    path : Path
        The folder, of mode 700, without symbolic links.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        try:
            clear_leftovers(parent)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        except OSError as error:
            raise DatasiteError(
                f"No folder can be made in {parent} ({error.strerror}): give one that exists and may be written to."
            ) from None
        self._lock = _locked(self.path)

    def remove(self) -> None:
        """End what still runs in the folder, and remove it. May be called again."""
        end_jobs(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def clear_leftovers(parent: Path) -> None:
    """Remove the folders of this user in `parent` whose process has gone, and end the jobs that run in them."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process clears the same one, or it is another user's
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid() and _left(folder):
                end_jobs(folder.resolve())
                shutil.rmtree(folder, ignore_errors=True)


def end_jobs(folder: Path) -> None:
    """End the jobs that run in a folder: a job carries the name of its owner's SyftBox in its environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.environ().get("SYFTBOX_FOLDER", "/")).is_relative_to(folder) and process.pid != os.getpid():
                process.kill()
                found.append(process)
    psutil.wait_procs(found, timeout=5)


def _locked(folder: Path) -> IO[bytes]:
    """Make the lock file of a folder. The operating system lets go of it when the process ends, however it ends."""
    import fcntl  # not on Windows, where nobody comes this far

    making = folder / f"{_LOCK}.part"
    lock = making.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    making.rename(folder / _LOCK)  # in one step: whoever finds the file finds it locked
    return lock


def _left(folder: Path) -> bool:
    import fcntl

    try:
        lock = (folder / _LOCK).open("rb")
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _MOMENT
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
