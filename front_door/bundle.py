"""``kit.py doctor --bundle``: one zip for a report of a bug, that says what is needed to mend it and nobody's name."""

from __future__ import annotations

import json
import locale
import os
import platform
import re
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from front_door import licences, places
from front_door.environment import STAMP, site_packages
from front_door.personal import anonymous, words_here
from front_door.terminal import Stop

ABOUT = """This was written by 'python3 kit.py doctor --bundle', for a report of a bug.

It holds what the doctor found, versions, settings by name and the last lines of the kit's own logs. Names of people and
machines, folders, addresses and secrets are replaced by words such as <user>, <home> and <address>. No notebook, no
answer, no table and no value of a setting is in it. Please look through it all the same before you send it.
"""
LOGS, LINES = 3, 60  # so many logs, and of each so many of its last lines
# Of a server's log these alone: what a program printed into it, a row of a table perhaps, has no such head.
_RECORD = re.compile(r"\[([IWEC]) [\d-]+ [\d:.]+ (\w+)\] (.*)")
_FRAME = re.compile(r'\s+File "(.+)", line (\d+), in ')
# Their values may be anything; that they are set explains many a report.
SETTINGS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET")
SETTINGS += ("PIP_USER", "PIP_PREFIX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CONFIG_FILE")
SETTINGS += ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "BROWSER")
SETTINGS += ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_DIR", "JUPYTER_PATH", "MPLBACKEND", "TMPDIR", "LC_ALL", "TZ", "DISPLAY")
SETTINGS += ("OMP_NUM_THREADS", "FORCE_COLOR", "LD_PRELOAD", "LD_LIBRARY_PATH", "WSL_DISTRO_NAME")


def bundle(target: str, findings: Sequence[str], root: Path = places.ROOT) -> Path:
    """Write the zip and return its path.

    Parameters
    ----------
    target
        The file to write. One that is there already is overwritten only if this command wrote it.
    findings
        What the doctor said, a line each.
    root
        The kit's folder.

    Raises
    ------
    Stop
        When the file belongs to somebody, or cannot be written.
    """
    path = Path(target).expanduser().resolve()
    words, chapters = words_here(root), tuple(chapter.name for chapter in places.chapters(root / "notebooks"))
    parts = {"about.txt": ABOUT, "findings.txt": "\n".join(findings), "packages.txt": _packages(root)}
    parts |= {"system.json": json.dumps(_system(root), indent=1, ensure_ascii=False)}
    for number, log in enumerate(_logs(root / ".kit" / "logs")):
        parts[f"log-{number + 1}.txt"] = log
    try:
        if path.exists() and not _is_ours(path):
            raise Stop(f"{path} is there already and was not written by this command: name another file.")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():  # ZipInfo alone: no time of day, no owner
                archive.writestr(zipfile.ZipInfo(name), anonymous(text, words, chapters) + "\n")
    except OSError as error:
        raise Stop(f"{path} cannot be written ({error.strerror or error}): name another file.") from None
    return path


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read("about.txt").decode().startswith(ABOUT.splitlines()[0])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False


def _system(root: Path) -> dict[str, Any]:
    """Return versions and settings, none of which is a name or a value that a person chose."""
    return {
        "kit": _version(root),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "release": platform.release(),
        "c library": " ".join(platform.libc_ver()),
        "cores": os.cpu_count(),
        "encodings": [sys.getfilesystemencoding(), locale.getpreferredencoding(False), sys.stdout.encoding],
        "the kit's path has a blank, or a letter beyond ASCII": [" " in str(root), not str(root).isascii()],
        "the kit is a clone": (root / ".git").exists(),
        "the kit runs as root": getattr(os, "geteuid", lambda: None)() == 0,
        "set": [name for name in SETTINGS if os.environ.get(name) or os.environ.get(name.lower())],
    }


def _version(root: Path) -> str:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown: pyproject.toml cannot be read"


def _packages(root: Path) -> str:
    """Return each package of the lock beside what ``.venv`` has. Others are counted: their names may tell something."""
    site = site_packages(root / ".venv")
    there = [info.name.removesuffix(".dist-info").rpartition("-") for info in site.glob("*.dist-info")] if site else []
    installed = {licences.canonical(name): version for name, _, version in there}
    lines = [
        f".venv: {'made' if site else 'not made'}, stamp: {'there' if (root / '.venv' / STAMP).is_file() else 'none'}"
    ]
    ours = {"pip", "ppml-helpers"}
    for file in ("requirements.lock", "requirements-optional.lock"):
        try:
            pinned = licences.pins(root / file)
        except (OSError, ValueError):
            lines.append(f"{file} cannot be read")
            continue
        ours |= set(map(licences.canonical, pinned))
        for name, version in pinned.items():
            found = installed.get(licences.canonical(name), "not there")
            lines.append(f"{name} {version}" + ("" if found.partition("+")[0] == version else f": {found}"))
    return "\n".join([*lines, f"packages that are not the kit's: {len(installed.keys() - ours)}"])


def _logs(folder: Path) -> list[str]:
    """Return the last records of the newest logs that `kit.py lab` and `explore` left, without their times."""
    try:
        logs = sorted(folder.glob("lab-*.log"), key=lambda log: log.stat().st_mtime)[-LOGS:]
        texts = [log.read_text("utf-8", errors="replace") for log in logs]
    except OSError as error:
        return [f"the logs cannot be read ({error.strerror})"]
    return ["\n".join(_records(text)[-LINES:]) for text in texts]


def _records(text: str) -> list[str]:
    kept = []
    for line in text.splitlines():
        if found := _RECORD.fullmatch(line):
            kept.append(f"[{found[1]} {found[2]}] {found[3]}")
        elif found := _FRAME.match(line):
            kept.append(f"  line {found[2]} of {found[1]}")
    return kept
