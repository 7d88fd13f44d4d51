"""A folder as it was: what has changed since, and how to put it back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ppml_helpers.errors import DatasiteError


@dataclass(frozen=True)
class Snapshot:
    """A copy of all files below a folder, and their hashes.

    Links are looked at, never followed. The hashes stay in memory: whoever changes the copy is found out.
    """

    root: Path
    copy: Path
    hashes: dict[str, str]

    @classmethod
    def take(cls, root: Path, copy: Path) -> Snapshot:
        """Copy the folder; `copy` must not exist, and is complete as soon as it does."""
        part = copy.with_name(copy.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        hashes = _hashes(root)
        for path in hashes:
            (part / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, part / "files" / path, follow_symlinks=False)
        part.mkdir(parents=True, exist_ok=True)
        (part / "hashes.json").write_text(json.dumps(hashes))
        os.replace(part, copy)
        return cls(root, copy, hashes)

    @classmethod
    def load(cls, root: Path, copy: Path) -> Snapshot:
        """Return the snapshot that another process took."""
        try:
            return cls(root, copy, json.loads((copy / "hashes.json").read_text()))
        except (OSError, ValueError):
            raise DatasiteError(
                f"The gate's copy of {root.name} was damaged while a job ran: restore {root.name} from a backup of "
                f"your own, and take running.json out of the gate's folder."
            ) from None

    def changes(self) -> tuple[str, ...]:
        """Name every file that was added, changed or removed since, sorted."""
        now = _hashes(self.root)
        return tuple(sorted(path for path in {*now, *self.hashes} if now.get(path) != self.hashes.get(path)))

    def put_back(self, paths: Iterable[str]) -> None:
        """Make these files as they were."""
        for path in paths:
            target = self.root / path
            if path not in self.hashes:
                _remove(target)
                continue
            copied = self._copied(path)
            _remove(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(copied, target, follow_symlinks=False)

    def _copied(self, path: str) -> Path:
        copied = self.copy / "files" / path
        if _hash(copied) != self.hashes[path]:
            raise DatasiteError(
                f"The gate's copy of {path} was changed while a job ran: restore {path} from a backup of your own."
            )
        return copied


def copy_aside(root: Path, paths: Iterable[str], aside: Path) -> None:
    """Copy those of the files that are ordinary ones to a folder, for the owner to look at."""
    for path in paths:
        source, target = root / path, aside / path
        if source.is_file() and not source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _hashes(root: Path) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in set(folders).difference(links):
            if not os.access(Path(folder, name), os.R_OK | os.W_OK | os.X_OK):
                Path(folder, name).chmod(0o700)  # a job took the owner's rights away: what lies in it would seem gone
        for name in (*files, *links):
            path = Path(folder, name)
            found[path.relative_to(root).as_posix()] = _hash(path)
    return found


def _hash(path: Path) -> str:
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    if not path.is_file():
        return "no file"  # a pipe or a socket: opening it could wait for ever
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
