"""What somebody sees who may read a folder of messages but is not the one they are for."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pandas as pd

# Times, random numbers, and the hashes of collections (which hold a time themselves).
_CHANGING = re.compile(
    r"(?<=_)\d{6,}\.\d+(?=_)|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=_)[0-9a-f]{12}(?=/)"
)
_READABLE = re.compile(r"[\x20-\x7e\n\t]{8,}")  # as the program `strings` finds text in any file


def look_at(folder: Path) -> pd.DataFrame:
    """List the files of a folder and what of them can be read without any key."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    rows = [
        (_CHANGING.sub("…", path.relative_to(folder).as_posix()), path.stat().st_size, readable(path.read_bytes()))
        for path in paths
    ]
    return pd.DataFrame(rows, columns=["file", "bytes", "text"])


def readable(data: bytes) -> str:
    """Give what can be read of a file.

    Parameters
    ----------
    data : bytes
        Its contents.
    """
    from syft.sync.utils.syftbox_utils import uncompress_data

    with contextlib.suppress(Exception):  # tarfile and zlib have many ways to say that it is not compressed
        data = uncompress_data(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "\n".join(_READABLE.findall(data.decode("latin-1")))
