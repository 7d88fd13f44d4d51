"""What came out of a run, and what was released of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from ppml_helpers.owner_in_control.visible import visible
from ppml_helpers.private_statistics.budget import Cost


@dataclass(frozen=True)
class Run:
    """What a job left behind, for the owner's eyes.

    Parameters
    ----------
    job, by : str
        Name of the job, and the email of the researcher who sent it.
    status : str
        ``"done"``, ``"failed"``, or ``"refused"``: it wrote where it must not.
    outputs : dict
        Bytes of each output file by name. A release lets out exactly these; there is none unless the job is done.
    logs : dict
        What it printed, by name of the log.
    removed : tuple of str
        Files that it left in its own folders beside its outputs.
    outside : tuple of str
        Files elsewhere that it changed.
    epsilon : float or None
        What the owner judged that its result costs.
    id : str
        Random; tells this run from any other.
    """

    job: str
    by: str
    status: str
    outputs: dict[str, bytes]
    logs: dict[str, str]
    removed: tuple[str, ...]
    outside: tuple[str, ...]
    epsilon: float | None
    id: str = field(repr=False)

    def __str__(self) -> str:
        """Show everything that would leave, and name what would not."""
        lines = [f"Job {self.job!r} from {self.by}: {self.status}"]
        for name, data in self.outputs.items():
            lines += [f"--- outputs/{name} ({len(data)} bytes)", data.decode(errors="replace").rstrip()]
        lines += [f"withheld: {name} ({len(text)} characters)" for name, text in self.logs.items() if text]
        lines += [f"removed: {name}" for name in self.removed]
        return visible("\n".join([*lines, *(f"put back: {name}" for name in self.outside)]))


@dataclass(frozen=True)
class Receipt:
    """What was released: SHA-256 by file, what it cost, and what the researcher has left (None without budgets)."""

    job: str
    by: str
    files: dict[str, str]
    epsilon: float | None
    left: Cost | None


def load_run(folder: Path) -> Run:
    """Read a run as `closed_room.ClosedRoom.hold` wrote it."""
    about = json.loads((folder / "run.json").read_text())
    done = about["status"] == "done"
    return Run(
        job=about["job"],
        by=about["by"],
        status=about["status"],
        outputs=_files(folder / "outputs") if done else {},
        logs={name: data.decode(errors="replace") for name, data in _files(folder / "logs").items()},
        removed=tuple(about["removed"]),
        outside=tuple(about["outside"]),
        epsilon=about["epsilon"],
        id=about["run"],
    )


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
