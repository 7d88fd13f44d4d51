"""Replace a file in one step: whoever reads it finds the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ppml_helpers.errors import KitError, VaultError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a scratch file in the same folder that takes the place of `path` when the block ends well.

    Parameters
    ----------
    path : Path
        The file to be; its folder must exist.

    Yields
    ------
    Path
        An empty file, readable by its owner only, that is gone if anything fails.

    Raises
    ------
    VaultError
        If the operating system refuses (disk full, no permission, no such folder); the old file is whole.
    """
    scratch = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        scratch = Path(name)
        yield scratch
        with scratch.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(scratch, path)
    except KitError:
        raise
    except OSError as error:
        raise VaultError(
            f"{path} cannot be written ({reason(error)}): free the disk or name a folder that can be written; "
            f"an older file is untouched."
        ) from None
    finally:
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)


def reason(error: BaseException) -> str:
    """Return the first line of an error, in the operating system's words where there are any."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def database_sentence(path: Path, error: Exception) -> str:
    """Say in one sentence what SQLite or SQLCipher refused to do with a file, and the mend."""
    text = reason(error)
    if "locked" in text:
        return f"{path} is in use by another program ({text}): close that and try again; nothing was changed."
    if any(word in text for word in ("full", "disk I/O", "readonly", "read-only", "unable to open")):
        return (
            f"{path} cannot be opened or written ({text}): free the disk or see to the permissions of the file and "
            f"its folder; nothing was changed."
        )
    return f"{path} is damaged ({text}): restore it from a backup."
