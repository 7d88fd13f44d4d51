"""Environment variables while networks are open, and which of them a job gets to see.

Syft reads its settings from the environment and gives every job a copy of all of it. So what a network changes there is
put back when it is closed, and an owner who runs jobs in a `lean_environment` keeps the rest to themselves.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ppml_helpers.errors import DatasiteError

#: What a job needs: programs, language and clock, room for temporary files, and that nothing is synchronised unasked.
NEEDED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PRE_SYNC", "OMP_NUM_THREADS")

_SETTINGS = {"PRE_SYNC": "false"}  # else every look at `client.jobs` fetches messages first


class Borrowed:
    """What the open networks of this process changed in its environment.

    The first network to open changes it, the last to close puts it back, in whatever order they close.
    """

    def __init__(self) -> None:
        self._before: dict[str, str | None] = {}
        self._programs: list[str] = []

    def begin(self, programs: Path) -> None:
        """Put a folder of programs first on the path, and choose syft's settings."""
        if not self._programs:
            self._before = {name: os.environ.get(name) for name in (*_SETTINGS, "PATH")}
            os.environ.update(_SETTINGS)
        self._programs.append(str(programs))
        os.environ["PATH"] = os.pathsep.join([str(programs), *_path()])

    def end(self, programs: Path) -> None:
        """Take the folder off the path; the settings too, if this was the last."""
        if str(programs) not in self._programs:
            return
        self._programs.remove(str(programs))
        os.environ["PATH"] = os.pathsep.join(part for part in _path() if part != str(programs))
        if self._programs:
            return
        before, self._before = self._before, {}
        if before.pop("PATH") is None and not os.environ["PATH"]:
            del os.environ["PATH"]
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


#: The one of this process, as there is one `os.environ`.
BORROWED = Borrowed()


@contextlib.contextmanager
def lean_environment(keep: Iterable[str] = ()) -> Iterator[None]:
    """Take out of `os.environ`, while the block runs, all that a job does not need.

    Syft starts a job with a copy of its owner's whole environment, passwords and tokens included. What is not there
    cannot be copied. Only variables are taken away: the job still runs as the owner's own user, with all their files.

    Parameters
    ----------
    keep : iterable of str
        Variables that jobs may see besides `NEEDED`.

    Raises
    ------
    DatasiteError
        If `keep` is one name in place of several.
    """
    if isinstance(keep, str):
        raise DatasiteError(f"keep = {keep!r} must be several names of variables: write ({keep!r},).")
    everything = dict(os.environ)
    kept = {*NEEDED, *keep}
    try:
        for name in everything.keys() - kept:
            del os.environ[name]
        yield
    finally:
        for name, value in everything.items():
            if name not in kept:
                os.environ.setdefault(name, value)


def _path() -> list[str]:
    path = os.environ.get("PATH")
    return path.split(os.pathsep) if path else []
