"""What comes in: messages are looked at before syft gets them, and jobs before an owner says yes.

Syft trusts the sender that a message names, and stops every later sync at the first message that it cannot read or
apply. Both are a matter of one file in the shared folder. What is looked at are the bytes that syft then gets: a
message that arrives, or is replaced, in the middle of a sync is looked at as well.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.owner_in_control import offline_uv
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.records import AuditLog
from ppml_helpers.owner_in_control.syft_client import silence
from ppml_helpers.plain_text import numbered, plain, visible, visible_name

if TYPE_CHECKING:
    from syft_job.job import JobInfo
    from syft_rds import SyftRDSClient

_LINES = (  # of the run.sh that syft writes for a Python job
    r"#!/bin/bash",
    r"set -euo pipefail",
    r"export UV_SYSTEM_PYTHON=false",
    r"cd code",
    r"uv venv --python [\d.]+",
    r"source \.venv/bin/activate",
    r'uv pip install(?: "[^-"$`\\][^"$`\\]*")+',  # no $ and no `: the shell would run what stands there
    r"export PYTHONPATH=\.:\$\{PYTHONPATH:-\}",
)
_PACKAGES = 6  # the line of these that names them
_MOST, _MOST_FILES = 200_000, 100  # bytes and files of one job
_BESIDE = ("run.sh", "config.yaml")
_ENTRY_POINT = re.compile(r"\w[\w-]*(?:[./][\w-]+)*\.py", re.ASCII)
_LONGEST_PART, _LONGEST = 255, 2000  # bytes; room is left for the folders above the datasite
# The owner's own trouble, which is no message's fault.
_OWN_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True)
class Review:
    """One job as it lay in the owner's inbox when it was read."""

    job: str
    by: str  # email of who sent it
    kind: str  # "python" or "bash"
    code: str  # of the file that a Python job starts, which syft shows as ``job.code``; nothing for a bash job
    run_script: str  # what is really started
    files: dict[str, str]  # text of every file below ``code/`` by path
    unlisted: tuple[str, ...]  # files that are not in the sender's own list: somebody else may have put them there
    hashes: dict[str, str] = field(repr=False)  # SHA-256 by path of everything that the job consists of

    @property
    def fingerprint(self) -> str:
        """One hash over all files, their names and the run script."""
        return hashlib.sha256(json.dumps(self.hashes, sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        """Show the run script, then every file, each line with its number: no text of a file passes for a heading."""
        parts = [f"{self.kind} job {visible_name(self.job)!r} from {self.by}", "--- run.sh", numbered(self.run_script)]
        for path, text in self.files.items():
            note = "   (not in the sender's list of files)" if path in self.unlisted else ""
            parts += [f"--- code/{visible_name(path)}{note}", numbered(text)]
        return "\n".join(parts)


def read_job(job: JobInfo) -> Review:
    """Read a job from the owner's disk, once: what is shown is what is hashed, and shows all that it is."""
    found = contents(job.job_submission_path, job.name)
    beside = [path for path in found if not path.startswith("code/") and path not in _BESIDE]
    if beside:
        raise ReleaseRefused(
            f"Job {job.name!r} has the file {visible_name(beside[0])!r} beside its code, where syft puts none: "
            f"reject the job."
        )
    try:
        texts = {path: plain(path, data) for path, data in found.items()}
    except ValueError as error:
        raise ReleaseRefused(f"Job {job.name!r} is not what it seems to be. In it {error}: reject the job.") from None
    files = {path.removeprefix("code/"): text for path, text in texts.items() if path.startswith("code/")}
    return Review(
        job=job.name,
        by=job.submitted_by,
        kind=job.job_metadata.type,
        code=files.get(job.job_metadata.entrypoint or "", "") if job.job_metadata.type == "python" else "",
        run_script=texts.get("run.sh", ""),
        files=files,
        unlisted=tuple(path for path in files if path not in job.job_metadata.files),
        hashes={path: hashlib.sha256(data).hexdigest() for path, data in found.items()},
    )


def check_run_script(review: Review, entry_point: str | None) -> None:
    """Refuse a job that is not started the way syft starts one.

    The script, and what kind of job it is, is written on the sender's side. What is read as the code of the job says
    nothing if something else runs.
    """
    if review.kind == "bash" and review.run_script == review.files.get("script.sh"):
        return
    if review.kind != "python":
        raise ReleaseRefused(
            f"Job {review.job!r} says that it is a {visible_name(review.kind)!r} job, and it is not made like one: "
            f"reject it."
        )
    if not entry_point or not _ENTRY_POINT.fullmatch(entry_point) or entry_point not in review.files:
        raise ReleaseRefused(
            f"Job {review.job!r} names {entry_point!r} as the file it starts, and that is no file of its code: "
            f"reject it."
        )
    expected = [*_LINES, re.escape(f"python {entry_point}")]
    lines = review.run_script.removesuffix("\n").split("\n")  # the ends of lines that the shell knows, and no others
    for line, pattern in itertools.zip_longest(lines, expected):
        if line is None or pattern is None or not re.fullmatch(pattern, line):
            shown = "(end)" if line is None else visible(line)[:80]
            raise ReleaseRefused(
                f"The run script of {review.job!r} has the line {shown!r}, which is none that syft writes for a Python "
                f"job: reject it, whatever its code looks like."
            )
    unvetted = offline_uv.missing(shlex.split(lines[_PACKAGES])[3:])
    if unvetted:
        raise ReleaseRefused(
            f"Job {review.job!r} asks for packages from elsewhere than the environment that you vetted: {unvetted[0]}."
        )


def difference(review: dict[str, str], now: dict[str, str]) -> str:
    """Say which file changed, came or went between two sets of hashes."""
    changed = sorted(path for path in {*review, *now} if review.get(path) != now.get(path))
    what = "was changed" if changed[0] in review and changed[0] in now else "came" if changed[0] in now else "went"
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    return f"{visible_name(changed[0])} {what}{more}"


def contents(folder: Path, job: str) -> dict[str, bytes]:
    """Read everything that a job consists of, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ReleaseRefused(f"{path.name!r} in job {job!r} is no ordinary file: reject the job.")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    if sum(map(len, found.values())) > _MOST or len(found) > _MOST_FILES:
        raise ReleaseRefused(
            f"Job {job!r} has more than {_MOST:,} bytes or {_MOST_FILES} files, which nobody reads: reject it."
        )
    return found


# Messages


class SetAside(NamedTuple):
    """A message that was taken out of the owner's inbox: whose inbox folder it lay in, its file, and why."""

    sender: str
    file: str
    why: str


def screened_sync(owner: SyftRDSClient, folder: Path, defences: Defences, log: AuditLog) -> tuple[SetAside, ...]:
    """Sync an owner's datasite; messages that must not come in are moved to a folder first."""
    aside: list[SetAside] = []
    given: list[Path] = []

    def set_aside(path: Path, why: str) -> None:
        found = SetAside(path.parent.name, path.name, why)
        log.append("set aside", **found._asdict())
        (folder / found.sender).mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder / found.sender / found.file)
        aside.append(found)

    def screen(path: Path, data: bytes | None) -> bool:
        why = _objection(owner, path, data, defences)
        set_aside(path, why) if why else given.append(path)
        return not why

    inbox = owner.sync_engine.datasite_owner_syncer.connection_router.connections[0]  # it has one of its own
    with silence(), inbox.screening(screen):
        while True:
            try:
                owner.sync()
                return tuple(aside)
            except Exception as error:  # syft raises whatever the message made it stumble over
                # A message stays in the inbox until it is dealt with: this is where syft stopped.
                stopped = given and given[-1].exists() and getattr(error, "errno", None) not in _OWN_TROUBLE
                if not defences.quarantine or not stopped:
                    first = (str(error).strip().splitlines() or ["no reason given"])[0]
                    raise DatasiteError(
                        f"{owner.email} cannot sync ({type(error).__name__}: {first}): a message in the "
                        f"inbox or the shared folder is at fault; set it aside."
                    ) from error
                set_aside(given[-1], f"does not fit the files as they are ({type(error).__name__})")


def _objection(owner: SyftRDSClient, path: Path, data: bytes | None, defences: Defences) -> str:
    """Say why a message is not let in; nothing if it is."""
    from syft.sync.messages.proposed_filechange import ProposedFileChangesMessage

    from ppml_helpers.owner_in_control.transport import unpacked

    sender, store = path.parent.name, owner.peer_manager.peer_store
    if data is None:
        return f"bears no signature of {sender}, or came before"
    try:
        message = ProposedFileChangesMessage.model_validate_json(
            unpacked(store.decrypt_and_verify_if_needed(sender, data))
        )
    except Exception as error:  # any damage at all: the decryption, the archive and its size, the JSON, the fields
        return f"cannot be read ({type(error).__name__})" if defences.quarantine else ""
    if defences.sender_check and message.sender_email != sender:
        return f"names {visible_name(message.sender_email)} as its sender but lies in the folder of {sender}"
    if defences.quarantine and not all(_is_name(change.path_in_datasite) for change in message.proposed_file_changes):
        return "names a file as no file can be named"
    return ""


def _is_name(path: Path) -> bool:
    """Tell whether a file can have this path: syft notes it before it fails to write, and then stumbles for ever."""
    short = len(os.fsencode(path)) < _LONGEST and all(len(os.fsencode(part)) <= _LONGEST_PART for part in path.parts)
    return short and str(path).isprintable() and not path.is_absolute() and ".." not in path.parts
