"""What the stores of this room say when the operating system or a database refuses."""

from __future__ import annotations

import os
from pathlib import Path


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
