"""A stand-in for `uv` on a machine without internet: jobs run in the environment that their owner has vetted.

The script that syft writes for a job asks `uv` for an environment of Python 3.12 with syft and the packages that the
researcher named, which means a download of some 200 MB a job, chosen by somebody else. An owner who says yes to code
has not said yes to that. So a launcher named `uv` comes first on the path while a network is open; it starts this file:

- ``uv venv`` makes an environment that is nothing but a pointer to the Python that started the network (the version
  that was asked for is not looked at);
- ``uv pip install`` installs nothing, and refuses unless every package is there already in a version that will do;
- everything else is refused.

This file runs on its own: it imports nothing of the kit.
"""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REFUSED = 3  # exit status; the job stops there, and its status is "failed"


def launcher(python: str) -> str:
    """Give the text of a shell script that is to be called `uv`."""
    # Isolated (-I): neither the job's folder nor its variables decide which modules this file imports.
    return f'#!/bin/sh\nexec {shlex.quote(python)} -I {shlex.quote(str(Path(__file__).resolve()))} "$@"\n'


def make_environment(folder: Path, python: str) -> None:
    """Make `.venv` in a folder: what the job's script looks for after ``uv venv``."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    start = programs / "python"
    start.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n', encoding="utf-8")
    start.chmod(0o700)
    path = shlex.quote(str(programs))
    (programs / "activate").write_text(f'export PATH={path}:"$PATH"\n', encoding="utf-8")


def missing(wanted: list[str]) -> list[str]:
    """Say of each package that cannot be had here, in a sentence, why."""
    return [why for text in wanted if (why := _why_not(text))]


def _why_not(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement  # 40 ms that ``uv venv`` can do without

    try:
        package = Requirement(text)
        if package.url:
            return f"{package.name} would be fetched from an address: there is no internet here"
        found = version(package.name)
    except InvalidRequirement:
        return f"{text!r} is no requirement of a package by name: only packages that are here can be used"
    except PackageNotFoundError:
        return f"{package.name} is not in the owner's environment: ask the owner for it"
    if package.specifier.contains(found, prereleases=True):
        return ""
    return f"{text} was asked for, but the owner's environment has {found}: ask for that"


def main(arguments: list[str], python: str, folder: Path) -> int:
    """Do what a job's script asks of `uv`, or refuse; return the exit status."""
    match arguments:
        case ["venv", *_]:
            make_environment(folder, python)
            return 0
        case ["pip", "install", *wanted] if wanted and not any(text.startswith("-") for text in wanted):
            reasons = missing(wanted)
        case _:
            reasons = [f"`uv {' '.join(arguments)}` is not available: jobs run in the owner's environment as it is"]
    for reason in reasons:
        print(f"offline: {reason}", file=sys.stderr)
    return REFUSED if reasons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.executable, Path.cwd()))
