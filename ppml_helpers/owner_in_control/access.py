"""Who sees what: the rights in a datasite as syft itself decides them, and what the shared folder shows to anybody."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from ppml_helpers.errors import DatasiteError

if TYPE_CHECKING:
    from syft_rds import SyftRDSClient

# Times, random numbers, and the hashes of collections (which hold a time themselves).
_CHANGING = re.compile(
    r"(?<=_)\d{6,}\.\d+(?=_)|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=_)[0-9a-f]{12}(?=/)"
)
_READABLE = re.compile(r"[\x20-\x7e\n\t]{8,}")  # as the program `strings` finds text in any file


def access_matrix(owner: SyftRDSClient, readers: Iterable[str | SyftRDSClient], paths: Iterable[str]) -> pd.DataFrame:
    """Ask syft's permissions what each person may do with each file of a datasite.

    The rules lie in files named `syft.pub.yaml`; syft takes those of the nearest folder above a file. They decide what
    a synchronisation sends to whom, with two exceptions that hold whatever the rules say: nothing below `private/` is
    ever sent, and the mock data below `public/syft_datasets/` goes to the approved readers of its data set.

    Parameters
    ----------
    owner : syft_rds.SyftRDSClient
        Whose datasite.
    readers : iterable of str or syft_rds.SyftRDSClient
        Addresses, or the clients of those who have them.
    paths : iterable of str
        Files or folders of the datasite (they need not exist; a folder ends in "/"), such as
        "public/syft_datasets/patients/".

    Returns
    -------
    DataFrame
        One row a path, one column a reader: "admin", "write", "read" or "". Who may write may read as well.
    """
    from syft_perms import SyftPermContext

    people = [str(getattr(reader, "email", reader)) for reader in readers]
    if not people or not all("@" in person for person in people):
        raise DatasiteError(
            f"readers = {people} must be addresses such as 'rita@university.example': give at least one."
        )
    context, verdicts = SyftPermContext(datasite=owner.syftbox_folder / owner.email), {}
    for path in paths:
        if not isinstance(path, str) or not path or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise DatasiteError(f"{path!r} is no path in the datasite: give one relative to it, without '..'.")
        verdicts[path] = [_verdict(context.open(path), person) for person in people]
    table = pd.DataFrame.from_dict(verdicts, orient="index", columns=people, dtype="str")
    return table.rename_axis("path")


def _verdict(item: object, person: str) -> str:
    levels = ("admin", "write", "read")
    return next((level for level in levels if getattr(item, f"has_{level}_access")(person)), "")


def look_at(folder: Path) -> pd.DataFrame:
    """List the files of a folder and what of them can be read without any key."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    rows = [
        (_CHANGING.sub("…", path.relative_to(folder).as_posix()), path.stat().st_size, readable(path.read_bytes()))
        for path in paths
    ]
    return pd.DataFrame(rows, columns=["file", "bytes", "text"])


def readable(data: bytes) -> str:
    """Give what can be read of a file."""
    from ppml_helpers.owner_in_control.transport import unpacked, unsigned

    data = unsigned(data)
    with contextlib.suppress(ValueError):  # it is not packed
        data = unpacked(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "\n".join(_READABLE.findall(data.decode("latin-1")))
