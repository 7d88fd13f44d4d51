"""What an owner reads before saying yes: every file of a job, the script that starts it, and a fingerprint of both."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.owner_in_control.visible import visible, visible_name

if TYPE_CHECKING:
    from syft_job.job import JobInfo

_LINES = (  # of the run.sh that syft writes for a Python job
    r"#!/bin/bash",
    r"set -euo pipefail",
    r"export UV_SYSTEM_PYTHON=false",
    r"cd code",
    r"uv venv --python [\d.]+",
    r"source \.venv/bin/activate",
    r"(?:uv sync --python [\d.]+)?",
    r'uv pip install(?: "[^-"$`\\][^"$`\\]*")+',  # no $ and no `: the shell would run what stands there
    r"export PYTHONPATH=\.:\$\{PYTHONPATH:-\}",
)
_BESIDE = ("run.sh", "config.yaml")
_ENTRY_POINT = re.compile(r"\w[\w-]*(?:[./][\w-]+)*\.py", re.ASCII)


@dataclass(frozen=True)
class Review:
    """One job as it lay in the owner's inbox when it was read.

    Parameters
    ----------
    job, by : str
        Its name, and the email of who sent it.
    kind : str
        ``"python"`` or ``"bash"``.
    code : str
        Text of the file that a Python job starts, which syft shows as ``job.code``; nothing for a bash job.
    run_script : str
        What is really started.
    files : dict
        Text of every file below ``code/`` by path; of a file that is no text, its size and hash.
    unlisted : tuple of str
        Files that are not in the sender's own list: somebody else may have put them there.
    hashes : dict
        SHA-256 by path of everything that the job consists of.
    """

    job: str
    by: str
    kind: str
    code: str
    run_script: str
    files: dict[str, str]
    unlisted: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def fingerprint(self) -> str:
        """One hash over all files, their names and the run script."""
        return hashlib.sha256(json.dumps(self.hashes, sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        """Show the run script, then every file, with characters that hide text made visible."""
        parts = [f"{self.kind} job {self.job!r} from {self.by}", "--- run.sh", self.run_script.rstrip()]
        for path, text in self.files.items():
            note = "   (not in the sender's list of files)" if path in self.unlisted else ""
            parts += [f"--- code/{visible_name(path)}{note}", text.rstrip()]
        return "\n".join(visible(part) for part in parts)


def read_job(job: JobInfo) -> Review:
    """Read a job from the owner's disk, once: what is shown is what is hashed."""
    contents = _contents(job.job_submission_path, job.name)
    code = {path.removeprefix("code/"): data for path, data in contents.items() if path.startswith("code/")}
    beside = [path for path in contents if not path.startswith("code/") and path not in _BESIDE]
    if beside:
        raise ReleaseRefused(
            f"Job {job.name!r} has the file {visible_name(beside[0])!r} beside its code, where syft puts none: "
            f"reject the job."
        )
    files = {path: _text(data) for path, data in code.items()}
    return Review(
        job=job.name,
        by=job.submitted_by,
        kind=job.job_metadata.type,
        code=files.get(job.job_metadata.entrypoint or "", "") if job.job_metadata.type == "python" else "",
        run_script=_text(contents.get("run.sh", b"")),
        files=files,
        unlisted=tuple(path for path in code if path not in job.job_metadata.files),
        hashes={path: hashlib.sha256(data).hexdigest() for path, data in contents.items()},
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
    if "uv sync" not in review.run_script:
        expected.remove(_LINES[6])
    for line, pattern in zip(lines, expected, strict=False):
        if not re.fullmatch(pattern, line):
            raise _strange(review.job, line)
    if len(lines) != len(expected):
        raise _strange(review.job, lines[len(expected)] if len(lines) > len(expected) else "(end)")


def difference(review: dict[str, str], now: dict[str, str]) -> str:
    """Say which file changed, came or went between two sets of hashes."""
    changed = sorted(path for path in {*review, *now} if review.get(path) != now.get(path))
    what = "was changed" if changed[0] in review and changed[0] in now else "came" if changed[0] in now else "went"
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    return f"{visible_name(changed[0])} {what}{more}"


def _strange(job: str, line: str) -> ReleaseRefused:
    return ReleaseRefused(
        f"The run script of {job!r} has the line {visible(line)[:80]!r}, which is none that syft writes for a Python "
        f"job: reject it, whatever its code looks like."
    )


def _contents(folder: Path, job: str) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ReleaseRefused(f"{path.name!r} in job {job!r} is no ordinary file: reject the job.")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"<{len(data)} bytes that are no text, SHA-256 {hashlib.sha256(data).hexdigest()[:16]}>"
