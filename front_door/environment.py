"""Virtual environments that are made once, repaired when broken, and found again at once.

A *recipe* says what an environment must hold. :func:`ensure` makes it true: the first call installs, later
calls look at a stamp inside the environment and return in a few hundredths of a second. The stamp is the last thing
written, so an install that was interrupted at any moment has none, and the next call repairs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from front_door.pythons import supported
from front_door.terminal import Progress, Stop, say

STAMP = "kit-stamp.json"
WINDOWS = os.name == "nt"
AGAIN = "Nothing already done is lost: run the same command again and it goes on from there."
_UNREACHABLE = re.compile(r"NewConnectionError|Name or service not known|Temporary failure|Max retries|timed out")
_NOT_FOUND = re.compile(r"No matching distribution|Could not find a version")


@dataclass(frozen=True)
class Recipe:
    """What one virtual environment must hold.

    Parameters
    ----------
    name
        What to call it in messages.
    folder
        The environment itself, for example ``.venv``.
    state
        A folder for the set-up lock, for example ``.kit``.
    requirements
        A requirements file, or a tuple of pins ("torch==2.13.0").
    project
        A project folder that is installed in editable form after the requirements, or None.
    disk_needed
        Free bytes below which an install is not begun.
    disk_roomy
        Free bytes below which an install begins with ``disk_warning``.
    disk_warning
        What may need that much, and how to do with less.
    optional
        A requirements file of pins that not every computer can have, or None. Behind each stands, as a comment, what is
        done without it. The set-up tries each once and goes on without those that it cannot install.
    warm_up
        What is done last with the environment's Python, for example filling a cache, or None. It raises nothing.
    """

    name: str
    folder: Path
    state: Path
    requirements: Path | tuple[str, ...]
    project: Path | None = None
    disk_needed: int = 0
    disk_roomy: int = 0
    disk_warning: str = ""
    optional: Path | None = None
    warm_up: Callable[[Path], None] | None = None

    def key(self) -> str:
        """Return a hash over everything that decides what is installed, and where the project lives."""
        parts = [self._requirement_text()]
        if self.optional is not None:
            parts.append(self._optional_text())
        if self.project is not None:
            parts += [(self.project / "pyproject.toml").read_text("utf-8"), str(self.project.resolve())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def lines(self) -> list[str]:
        """Return the requirements, one a line, without comments and options."""
        lines = (line.split("#")[0].strip() for line in self._requirement_text().splitlines())
        return [line for line in lines if line and not line.startswith("-")]

    def optional_pins(self) -> dict[str, str]:
        """Return the optional pins, each with what is done without it."""
        lines = (line.partition("#") for line in self._optional_text().splitlines())
        return {pin.strip(): remark.strip() for pin, _, remark in lines if pin.strip()}

    def pip_arguments(self) -> list[str]:
        """Return what pip is told to install."""
        if isinstance(self.requirements, Path):
            return ["-r", str(self.requirements)]
        return list(self.requirements)

    def _requirement_text(self) -> str:
        if not isinstance(self.requirements, Path):
            return "\n".join(self.requirements)
        try:
            return self.requirements.read_text("utf-8")
        except OSError as error:
            raise Stop(
                f"{self.requirements} cannot be read ({error.strerror}): it belongs to the kit, fetch it again."
            ) from None

    def _optional_text(self) -> str:
        try:
            return self.optional.read_text("utf-8", "replace") if self.optional is not None else ""
        except OSError:
            return ""  # then nothing is optional: no reason to stop


def python_of(folder: Path) -> Path:
    """Return the path of an environment's Python."""
    return folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python"


def ensure(recipe: Recipe) -> Path:
    """Make sure the environment holds its recipe and return its Python.

    Raises
    ------
    Stop
        With the reason and the mend when the set-up cannot be finished.
    """
    if is_ready(recipe):
        return python_of(recipe.folder)
    with exclusive(recipe.state / "setup.lock") as lock:
        if not is_ready(recipe):  # another process may have finished it while this one waited
            _make(recipe, lock)
    return python_of(recipe.folder)


def is_ready(recipe: Recipe) -> bool:
    """Say whether the environment is complete: stamp, interpreter and packages as they were left."""
    return not whats_wrong(recipe)


def whats_wrong(recipe: Recipe) -> str:
    """Return in plain words why the environment is not ready, or an empty string when it is."""
    if not recipe.folder.exists():
        return "it has not been made yet"
    version = interpreter_version(python_of(recipe.folder))
    if not version:
        return "its Python does not start"
    try:
        stamp = json.loads((recipe.folder / STAMP).read_text("utf-8"))
        expected, python, entries = stamp["key"], stamp["python"], stamp["entries"]
    except (OSError, ValueError, KeyError, TypeError):
        return "its install was not finished"
    if python != version:
        return f"it was made for Python {python} and its Python is now {version}"
    if expected != recipe.key():
        return "its list of packages, pyproject.toml or the folder has changed since it was made"
    here = _entries(recipe.folder)
    missing = sorted(set(entries) - here)
    return f"{missing[0]} is missing from it" if missing else ""


def interpreter_version(python: Path) -> str:
    """Return the version of a Python ("3.11.7"), or an empty string when it does not start."""
    code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        answer = subprocess.run(
            [str(python), "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def site_packages(folder: Path) -> Path | None:
    """Return the environment's folder of packages, or None while it has none."""
    if WINDOWS:
        found = folder / "Lib" / "site-packages"
        return found if found.is_dir() else None
    version = interpreter_version(python_of(folder))
    found = folder / "lib" / f"python{'.'.join(version.split('.')[:2])}" / "site-packages"
    return found if version and found.is_dir() else None


def holds(folder: Path, pin: str) -> bool:
    """Say whether an environment holds a package in this version ("tiny==1.0"), by what pip wrote down."""
    site = site_packages(folder)
    written = {_plain(info.name.removesuffix(".dist-info")) for info in site.glob("*.dist-info")} if site else set()
    return _plain(pin.replace("==", "-")) in written


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()  # one name may be written in several ways


def _entries(folder: Path) -> set[str]:
    """Return the names at the top of site-packages: cheap to list, and a lost package shows."""
    site = site_packages(folder)
    return {entry.name for entry in site.iterdir() if entry.name != "__pycache__"} if site else set()


# --------------------------------------------------------------------------------------------- one at a time


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Hold the set-up lock; wait, saying so, while another process holds it.

    The operating system keeps the lock and frees it when its holder dies, so a lock file left behind by a killed
    process is no obstacle. pip inherits it: should kit.py be killed, the lock lasts until its pip has ended too.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise Stop(
            f"The kit cannot write to {path.parent} ({error.strerror}): copy the kit to a folder of your own."
        ) from None
    try:
        _wait_for_lock(handle)
        yield handle
    finally:
        os.close(handle)  # closing frees the lock


def _wait_for_lock(handle: int) -> None:
    progress = None
    while not _try_lock(handle):
        if progress is None:
            progress = Progress("Another set-up of this kit is running", every=15)
        progress.show("waiting for it to finish")
        time.sleep(0.2)
    if progress is not None:
        progress.end()


def _try_lock(handle: int) -> bool:
    try:
        if WINDOWS:
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# ------------------------------------------------------------------------------------------ making, repairing


def _make(recipe: Recipe, lock: int) -> None:
    """Create or repair the environment and stamp it."""
    _check_disk(recipe)
    (recipe.folder / STAMP).unlink(missing_ok=True)
    if not _reusable(recipe.folder):
        _create(recipe, lock)
    damaged = discard_damaged(recipe.folder)
    if damaged:
        say(f"Installing again what is incomplete in {recipe.folder.name}: {', '.join(damaged[:6])}.")
    _pip_install(recipe, lock)
    if recipe.project is not None:
        _install_project(recipe, lock)
    _install_optional(recipe, lock)
    if recipe.warm_up is not None:
        recipe.warm_up(python_of(recipe.folder))
    _write_stamp(recipe)


def _check_disk(recipe: Recipe) -> None:
    if recipe.folder.exists():
        return
    recipe.folder.parent.mkdir(parents=True, exist_ok=True)  # .venvs/ of a fresh clone: a missing folder has no disk
    free = shutil.disk_usage(recipe.folder.parent).free
    if free < recipe.disk_needed:
        raise Stop(
            f"{recipe.name} needs about {recipe.disk_needed / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free "
            f"at {recipe.folder.parent}: make room and run the same command again.",
            code=1,
        )
    if free < recipe.disk_roomy:
        say(f"{free / 1e9:.1f} GB of disk are free, which may be too little: {recipe.disk_warning}.")


def _reusable(folder: Path) -> bool:
    """Say whether what is there can be completed: a supported Python of the same series, and a pip that starts."""
    version = interpreter_version(python_of(folder))
    if not version or not supported(tuple(int(part) for part in version.split("."))):
        return False
    if site_packages(folder) is None:
        return False
    probe = [str(python_of(folder)), "-m", "pip", "--version"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _create(recipe: Recipe, lock: int) -> None:
    if recipe.folder.exists():
        say(f"{recipe.folder.name} is not usable; making it afresh.")
        shutil.rmtree(recipe.folder)
    # Inside a virtual environment sys.executable may be the one just removed: its base lasts.
    base = getattr(sys, "_base_executable", "") or sys.executable
    say(f"Making {recipe.folder.name} with Python {sys.version.split()[0]}.")
    code, lines = _run([base, "-m", "venv", str(recipe.folder)], lock, lambda line: None, lambda: None)
    if code:
        text = "\n".join(lines)
        mend = "see the lines above"
        if "ensurepip" in text or "venv" in text:
            mend = "on Debian or Ubuntu install the package python3-venv; elsewhere a full Python from python.org"
        raise Stop(f"{text}\nPython could not make {recipe.folder}: {mend}, then run the same command again.", code=1)


def discard_damaged(folder: Path) -> list[str]:
    """Forget packages whose files are missing or cut short, so that pip installs them again.

    A process killed in the middle of copying leaves a package that pip takes for installed. Every installed
    package lists its files with their sizes in RECORD; the ones that do not agree lose their metadata.
    """
    site = site_packages(folder)
    if site is None:
        return []
    for leftover in site.glob("~*"):  # what pip had set aside while replacing a package
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    damaged = [info for info in sorted(site.glob("*.dist-info")) if not _complete(site, info)]
    for info in damaged:
        shutil.rmtree(info)
    return [info.name.split("-")[0] for info in damaged]


def _complete(site: Path, info: Path) -> bool:
    try:
        rows = (info / "RECORD").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    for row in rows:
        name, _, size = row.rsplit(",", 2) if row.count(",") >= 2 else (row, "", "")
        if name.endswith(".pyc"):  # compiled on the spot, and again when missing
            continue
        try:
            found = (site / name.strip('"')).stat().st_size
            if size and found != int(size):
                return False
        except (OSError, ValueError):
            return False
    return bool(rows)


def _pip_install(recipe: Recipe, lock: int) -> None:
    # Indexes, links, certificates and caches come from the person's own pip configuration: nothing here names them.
    command = _pip(recipe, "install", "--progress-bar", "off", *recipe.pip_arguments())
    counter = PipCounter(f"Installing {recipe.name}", len(recipe.lines()), recipe.folder)
    code, lines = _run(command, lock, counter.line, counter.tick)
    if code:
        counter.progress.end()
        raise Stop(pip_failed(lines), code=1)
    counter.progress.end(f"{counter.total} packages are in place")


def _install_project(recipe: Recipe, lock: int) -> None:
    # No build isolation: setuptools is pinned in the lock, so this step needs no network.
    command = _pip(recipe, "install", "--no-deps", "--no-build-isolation", "-e", str(recipe.project))
    code, lines = _run(command, lock, lambda line: None, lambda: None)
    if code:
        raise Stop(pip_failed(lines), code=1)


def _install_optional(recipe: Recipe, lock: int) -> None:
    for pin, without in recipe.optional_pins().items():
        # The lock decides about what it asks for, and nothing is built here: that takes compilers.
        command = _pip(recipe, "install", "--no-deps", "--only-binary", ":all:", pin)
        code, lines = _run(command, lock, lambda line: None, lambda: None)
        if code:
            say(f"{pin} is left out, since {_why_left_out(lines)}: {without}.")


def _why_left_out(lines: list[str]) -> str:
    text = "\n".join(lines)
    if _UNREACHABLE.search(text):
        return "pip could not reach its package index"
    if _NOT_FOUND.search(text):
        return "there is no build of it for this computer"
    return f"pip says '{(lines or ['nothing'])[-1].strip()[:120]}'"


def _pip(recipe: Recipe, *arguments: str) -> list[str]:
    return [str(python_of(recipe.folder)), "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]


def _write_stamp(recipe: Recipe) -> None:
    stamp = {
        "key": recipe.key(),
        "python": interpreter_version(python_of(recipe.folder)),
        "entries": sorted(_entries(recipe.folder)),
    }
    temporary = recipe.folder / (STAMP + ".new")
    temporary.write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")
    temporary.replace(recipe.folder / STAMP)


class PipCounter:
    """Turns what pip prints into "57 of 121 packages"."""

    def __init__(self, title: str, total: int, folder: Path) -> None:
        self.total = total
        self.progress = Progress(title)
        self._folder = folder
        self._seen: set[str] = set()
        self._state = "asking for the list of packages"
        self._site: Path | None = None
        self._before = 0
        self._to_install = 0

    def line(self, line: str) -> None:
        """Take one line of pip's output."""
        text = line.strip()
        if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)", text):
            self._seen.add(match[1].lower())
            count = min(len(self._seen), self.total)
            self._state = f"found {count} of {self.total} packages, now {match[1]}"
        elif text.startswith("Ignoring "):  # a pin for another operating system
            self.total -= 1
        elif match := re.match(r"Downloading (\S+)(?: \(([^)]+)\))?", text):
            name, size = match[1].rsplit("/", 1)[-1].split("-")[0], match[2] or "small"
            self._state = (
                f"found {min(len(self._seen), self.total)} of {self.total} packages, downloading {name} ({size})"
            )
        elif text.startswith("Installing collected packages:"):
            self._to_install = text.count(",") + 1
            self._site = site_packages(self._folder)
            self._before = self._installed()
        self.tick()

    def tick(self) -> None:
        """Show the state; called about twice a second, also while pip is silent."""
        if self._site is not None:
            done = min(self._installed() - self._before, self._to_install)
            self._state = f"installed {done} of {self._to_install} packages"
        self.progress.show(self._state)

    def _installed(self) -> int:
        return sum(1 for _ in self._site.glob("*.dist-info")) if self._site else 0


def pip_failed(lines: list[str]) -> str:
    """Return pip's last lines and, in a sentence, what to do about them."""
    text = "\n".join(lines)
    if "No space left" in text:
        mend = "the disk is full: make room"
    elif _UNREACHABLE.search(text):
        mend = "pip could not reach its package index: check the connection, or a proxy, and 'pip config list'"
    elif _NOT_FOUND.search(text):
        mend = (
            "a pinned package was not found on your package index for this computer: check the connection and "
            "'pip config list'"
        )
    elif "Permission denied" in text:
        mend = "a file could not be written: copy the kit to a folder of your own"
    else:
        mend = "read pip's lines above"
    shown = "\n".join("    " + line for line in lines[-12:])
    return f"{shown}\nThe set-up stopped: {mend}, and run the same command again. Nothing already done is lost."


def _run(command: list[str], lock: int, on_line, on_tick) -> tuple[int, list[str]]:
    """Run a child, hand over its lines as they come and return its code and last lines.

    ``on_tick`` is called when half a second passed without a line. Whatever ends this call also ends the child.
    """
    inherit = {} if WINDOWS else {"pass_fds": (lock,)}
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=dict(os.environ, PYTHONUNBUFFERED="1"),
        **inherit,
    )
    lines: deque[str] = deque(maxlen=40)
    arriving: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_forward, args=(child.stdout, arriving), daemon=True).start()
    try:
        while True:
            try:
                line = arriving.get(timeout=0.5)
            except queue.Empty:
                on_tick()
                continue
            if line is None:
                return child.wait(), list(lines)
            lines.append(line.rstrip())
            on_line(line)
    finally:
        end_process(child)


def _forward(stream, arriving: queue.Queue) -> None:
    for line in stream:
        arriving.put(line)
    arriving.put(None)


def end_process(child: subprocess.Popen, patience: float = 15.0) -> None:
    """End a child if it still runs: politely, then for certain."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
