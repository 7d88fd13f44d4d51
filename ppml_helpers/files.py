"""Replace a file in one step, so that nobody finds half of one; and write secrets that nobody else can read."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file, readable by its owner only, that takes the place of `path` when the block ends well.

    If the operating system refuses (disk full, no permission, no such folder) it is gone and the old file is whole.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        # A block that made the file read-only, as that which it replaces, has to do without this.
        with contextlib.suppress(PermissionError), scratch.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(scratch, path)
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def write_secret(path: Path, content: bytes) -> Path:
    """Write a new file that only its owner may read, from the first byte on; one that is there is not replaced."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    return path


def keep(target: Path, content: dict[str, Any], mend: str, error: type[Exception]) -> Path:
    """Write a small JSON file in one step, making its folder; a refusal raises `error`, which says how to `mend` it."""
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as scratch:
            scratch.write_text(text, encoding="utf-8", newline="\n")
    except OSError as refused:
        raise error(f"{target} cannot be written ({refused.strerror or refused}): {mend}.") from None
    return target


def kept(source: Path, names: Iterable[str], mend: str, error: type[Exception]) -> dict[str, Any]:
    """Read what `keep` wrote, which must hold exactly these names; anything else raises `error` with the `mend`."""
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except OSError as refused:
        raise error(f"{source} cannot be read ({refused.strerror}): {mend}.") from None
    except (ValueError, RecursionError):
        raise error(f"{source} is damaged, it holds no JSON: {mend}.") from None
    wanted = set(names)
    if not isinstance(content, dict) or set(content) != wanted:
        raise error(f"{source} is damaged, it must hold exactly {', '.join(sorted(wanted))}: {mend}.")
    return content
