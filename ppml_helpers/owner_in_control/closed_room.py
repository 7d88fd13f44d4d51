"""Around a run: close the datasite, run, sort what the job left behind, open again.

While a job runs nobody may read anything in the datasite: one terminal rule at its top, which also holds if the
owner's program is killed. What the job left is sorted by comparing all files with a copy made before. Whatever goes
wrong, at any line, the next gate finds either the whole copy or the whole result, and finishes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppml_helpers.errors import DatasiteError
from ppml_helpers.files import replacing

if TYPE_CHECKING:
    from syft_job.job import JobInfo

RULES = "syft.pub.yaml"  # syft's name for a file of access rules
LOGS = ("stdout.txt", "stderr.txt", "returncode.txt")
_NOT_SENT = {".venv", "__pycache__"}  # folders that syft never sends, and that every Python job leaves
_CLOSED = "rules: []\nterminal: true\n"  # nobody but the owner, and no rule below counts


@dataclass(frozen=True)
class Folders:
    """Where a job's files lie, as paths below the SyftBox folder: what was sent, and what is sent back."""

    sent: str
    back: str

    @classmethod
    def of(cls, job: JobInfo, box: Path) -> Folders:
        """Return the folders of a job."""
        paths = (job.job_submission_path, job.job_review_path)
        return cls(*(path.relative_to(box).as_posix() for path in paths))


@dataclass(frozen=True)
class Sorted:
    """Files that were added, changed or removed while a job ran, by what they are."""

    outputs: tuple[str, ...]
    logs: tuple[str, ...]
    strays: tuple[str, ...]
    outside: tuple[str, ...]


class ClosedRoom:
    """The files of one owner around one run."""

    def __init__(self, box: Path, datasite: Path, folder: Path) -> None:
        self.box, self.datasite, self.folder = box, datasite, folder
        self.records = folder / "records"
        self._rules = (datasite / RULES).relative_to(box).as_posix()
        self._running = folder / "running.json"

    @property
    def running(self) -> dict[str, Any] | None:
        """What is known of a run that has begun and not ended; after a crash, by another process."""
        return json.loads(self._running.read_text()) if self._running.exists() else None

    def close(self, about: dict[str, Any]) -> None:
        """Copy everything, note that a run begins, and let nobody read."""
        self._forget()
        Snapshot.take(self.box, self.folder / "before" / "box")
        Snapshot.take(self.records, self.folder / "before" / "records")
        with replacing(self._running) as scratch:
            scratch.write_text(json.dumps(about))
        (self.box / self._rules).write_text(_CLOSED)

    def snapshots(self) -> tuple[Snapshot, Snapshot]:
        """Return the copies of the SyftBox and of the gate's records, as they were before the run."""
        before = self.folder / "before"
        return Snapshot.load(self.box, before / "box"), Snapshot.load(self.records, before / "records")

    def sort(self, box: Snapshot, job: Folders, others: tuple[Folders, ...] = ()) -> Sorted:
        """Sort what changed. Folders of other jobs that ran as well are nobody's business here."""
        kinds: dict[str, list[str]] = {"outputs": [], "logs": [], "strays": [], "outside": [], "": []}
        for path in box.changes():
            kinds[self._kind(path, job, others)].append(path)
        del kinds[""]
        return Sorted(**{kind: tuple(paths) for kind, paths in kinds.items()})

    def hold(self, held: Path, job: Folders, found: Sorted, about: dict[str, Any]) -> None:
        """Put the result of a run together for the owner; it is complete as soon as its folder exists."""
        part = self.folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        outputs = f"{job.back}/outputs/"
        copy_aside(self.box / outputs, (path.removeprefix(outputs) for path in found.outputs), part / "outputs")
        copy_aside(self.box / job.back, (path.removeprefix(f"{job.back}/") for path in found.logs), part / "logs")
        copy_aside(self.box, (*found.strays, *found.outside), part / "aside")
        strays = [path.removeprefix(f"{job.sent}/").removeprefix(f"{job.back}/") for path in found.strays]
        removed = [path for path in strays if not _NOT_SENT.intersection(path.split("/"))]
        (part / "run.json").write_text(json.dumps({**about, "removed": removed}))
        held.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, held)

    def open(self, box: Snapshot) -> None:
        """Let the datasite's own rules count again, and forget the copy."""
        box.put_back([self._rules])
        self._forget()

    def recover(self) -> None:
        """Make everything as it was before a run that never ended; what it left is kept in ``interrupted``."""
        about = self.running
        box, records = self.snapshots()
        changed = box.changes()
        copy_aside(self.box, changed, self.folder / "interrupted" / about["run"])
        box.put_back([path for path in changed if path != self._rules])
        records.put_back(records.changes())
        self.open(box)

    def _forget(self) -> None:
        self._running.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "before", ignore_errors=True)
        (self.folder / "before").mkdir(parents=True)

    def _kind(self, path: str, job: Folders, others: tuple[Folders, ...]) -> str:
        if path == self._rules or path == f"{job.back}/state.yaml":
            return ""  # the first is closed, the second is written anew
        if path.casefold().endswith(RULES):  # some file systems take SYFT.PUB.YAML for the same file
            return "outside"  # who may read is never a job's business, wherever it says so
        if path.startswith(f"{job.back}/outputs/"):
            return "outputs" if path.isprintable() else "strays"  # syft cannot send a name that is no text
        if path in {f"{job.back}/{name}" for name in LOGS}:
            return "logs"
        if _within(path, job):
            return "strays"
        return "" if any(_within(path, other) for other in others) else "outside"


def _within(path: str, job: Folders) -> bool:
    return path.startswith((f"{job.sent}/", f"{job.back}/"))


# A folder as it was: what has changed since, and how to put it back


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
