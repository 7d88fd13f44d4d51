"""Virtual environments that are made once, repaired when broken, and found again at once.

A *recipe* says what an environment must hold. :func:`ensure` makes it true: the first call installs, later
calls look at a stamp inside the environment and return in a few hundredths of a second. The stamp is the last thing
written, after every pin was found in the environment: an install that was interrupted at any moment, or that went
somewhere else, has none, and the next call repairs it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from front_door import surroundings
from front_door.pip_words import AGAIN, PipCounter, pip_failed, reason
from front_door.pythons import find, supported
from front_door.terminal import Progress, Stop, say

STAMP = "kit-stamp.json"
WINDOWS = os.name == "nt"
_EDITION = "each pin was looked for"  # part of the key: a stamp from before this was done is not believed

# For the environment's own Python. pip brings along what knows how to read a pin and its marker.
_ABSENT = """
import importlib.metadata, sys
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
for line in sys.stdin.read().splitlines():
    try:
        pin = Requirement(line)
        there = pin.specifier.contains(importlib.metadata.version(pin.name), prereleases=True)
    except InvalidRequirement:
        continue  # a bare address, whose name only pip learns
    except (importlib.metadata.PackageNotFoundError, TypeError):
        there = False
    if not there and (pin.marker is None or pin.marker.evaluate()):
        print(line)
"""


@dataclass(frozen=True)
class Recipe:
    """What one virtual environment must hold."""

    name: str  # what to call it in messages
    folder: Path  # the environment itself, for example .venv
    state: Path  # a folder for the set-up lock, for example .kit
    requirements: Path | tuple[str, ...]  # a requirements file, or pins ("torch==2.13.0")
    project: Path | None = None  # a project folder that is installed in editable form after them
    disk_needed: int = 0  # free bytes below which an install is not begun
    disk_roomy: int = 0  # free bytes below which it begins with the warning
    disk_warning: str = ""  # what may need that much, and how to do with less
    # A requirements file of pins that not every computer can have. Behind each stands, as a comment, what is done
    # without it. The set-up tries each once and goes on without those that it cannot install.
    optional: Path | None = None
    warm_up: Callable[[Path], None] | None = None  # done last with the environment's Python; it raises nothing
    version: str = ""  # the Python that it is made with, such as "3.10"; the one that runs us, if nothing is said
    every_pin: bool = False  # the list names every package: what a package itself asks for is not heard

    def key(self) -> str:
        """Return a hash over everything that decides what is installed, and where the project lives."""
        parts = [_EDITION, self._text(), self._optional_text()]
        if self.project is not None:
            parts += [(self.project / "pyproject.toml").read_text("utf-8"), str(self.project.resolve())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def pins(self) -> list[str]:
        """Return the requirements, one a line, without comments and options."""
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in self._text().splitlines())
        return [line for line in lines if line and not line.startswith("-")]

    def optional_pins(self) -> dict[str, str]:
        """Return the optional pins, each with what is done without it."""
        lines = (line.partition("#") for line in self._optional_text().splitlines())
        return {pin.strip(): remark.strip() for pin, _, remark in lines if pin.strip()}

    def _text(self) -> str:
        if isinstance(self.requirements, tuple):
            return "\n".join(self.requirements)
        try:
            return self.requirements.read_text("utf-8")
        except OSError as error:
            sentence = f"{self.requirements} cannot be read ({error.strerror}): it belongs to the kit, fetch it again."
            raise Stop(sentence) from None

    def _optional_text(self) -> str:
        there = self.optional is not None and self.optional.is_file()  # without the list nothing is optional
        return self.optional.read_text("utf-8", "replace") if there else ""


def python_of(folder: Path) -> Path:
    """Return the path of an environment's Python."""
    return folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python"


def ensure(recipe: Recipe) -> Path:
    """Make sure the environment holds its recipe and return its Python, or stop with the reason and the mend."""
    writable(recipe.state)
    if is_ready(recipe):
        return python_of(recipe.folder)
    try:
        with exclusive(recipe.state / "setup.lock") as lock:
            if not is_ready(recipe):  # another process may have finished it while this one waited
                _make(recipe, lock)
    except OSError as error:
        told = f"The set-up stopped at {error.filename or recipe.folder} ({error.strerror or error})"
        raise Stop(f"{told}: make room, or copy the kit to a folder of your own. {AGAIN}", code=1) from None
    return python_of(recipe.folder)


def writable(folder: Path) -> None:
    """Make a folder of the kit, or stop with one sentence when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        sentence = f"The kit cannot write to {folder} ({error.strerror}): copy the kit to a folder of your own."
        raise Stop(sentence) from None


def is_ready(recipe: Recipe) -> bool:
    """Say whether the environment is complete: stamp, interpreter and packages as they were left."""
    return not whats_wrong(recipe)


def whats_wrong(recipe: Recipe) -> str:
    """Return in plain words why the environment is not ready, or an empty string when it is."""
    if not recipe.folder.exists():
        return "it has not been made yet"
    version = interpreter_version(recipe.folder)
    if not version:
        return "its Python does not start"
    try:
        stamp = json.loads((recipe.folder / STAMP).read_text("utf-8"))
        expected, python, entries = stamp["key"], stamp["python"], set(stamp["entries"])
    except (OSError, ValueError, KeyError, TypeError):
        return "its install was not finished"
    if python != version:
        return f"it was made for Python {python} and its Python is now {version}"
    if expected != recipe.key():
        return "its list of packages, pyproject.toml or the folder has changed since it was made"
    missing = sorted(entries - _entries(recipe.folder))
    return f"{missing[0]} is missing from it" if missing else ""


def interpreter_version(folder: Path) -> str:
    """Return the version of an environment's Python ("3.11.7"), or "" when it does not start or shares its packages."""
    command = [str(python_of(folder)), "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
    try:
        alone = "include-system-site-packages = false" in (folder / "pyvenv.cfg").read_text("utf-8")
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return told if alone else ""


def site_packages(folder: Path) -> Path | None:
    """Return the environment's folder of packages, or None while it has none."""
    return next(iter(folder.glob("Lib/site-packages" if WINDOWS else "lib/python3*/site-packages")), None)


def absent(folder: Path, pins: list[str]) -> list[str]:
    """Return those of the pins that an environment does not hold in this version and ought to, by their markers."""
    command = [str(python_of(folder)), "-I", "-X", "utf8", "-c", _ABSENT]
    try:
        told = subprocess.run(command, input="\n".join(pins), capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return pins
    return told.splitlines()


def _entries(folder: Path, pattern: str = "*") -> set[str]:
    """Return the names at the top of site-packages: cheap to list, and a lost package shows."""
    site = site_packages(folder)
    return {entry.name for entry in site.glob(pattern) if entry.name != "__pycache__"} if site else set()


# --------------------------------------------------------------------------------------------- one at a time


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Hold the set-up lock; wait, saying so, while another process holds it.

    The operating system keeps the lock and frees it when its holder dies, so a lock file left behind by a killed
    process is no obstacle. pip inherits it: should kit.py be killed, the lock lasts until its pip has ended too.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        progress = Progress("Another set-up of this kit is running", every=15)
        while not _try_lock(handle):
            progress.show("waiting for it to finish")
            time.sleep(0.2)
        progress.end()
        yield handle
    finally:
        os.close(handle)  # closing frees the lock


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
    key = recipe.key()  # before anything is made: a list that cannot be read, or changes meanwhile, gets no stamp
    _check_disk(recipe)
    (recipe.folder / STAMP).unlink(missing_ok=True)
    if not _reusable(recipe.folder, recipe.version):
        _create(recipe, lock)
    _follow_a_move(recipe.folder)
    if damaged := discard_damaged(recipe.folder):
        say(f"Installing again what is incomplete in {recipe.folder.name}: {', '.join(damaged[:6])}.")
    _install(recipe, lock)
    if recipe.warm_up is not None:
        recipe.warm_up(python_of(recipe.folder))
    version, entries = interpreter_version(recipe.folder), sorted(_entries(recipe.folder))
    stamp = {"key": key, "python": version, "entries": entries}
    _write(recipe.folder / STAMP, json.dumps(stamp, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is the old or the new one, at whatever moment we are killed."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    if path.exists():
        shutil.copymode(path, fresh)
    fresh.replace(path)


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


def _reusable(folder: Path, wanted: str = "") -> bool:
    """Say whether what is there can be completed: a Python of the right version, with a pip of its own that starts."""
    version = interpreter_version(folder)
    numbers = tuple(map(int, version.split("."))) if version else ()
    fits = version.startswith(f"{wanted}.") if wanted else supported(numbers)
    if not fits:
        return False
    probe = [str(python_of(folder)), "-I", "-m", "pip", "--version"]
    variables = surroundings.without_pips_settings()  # one of a person's must not throw a good environment away
    return subprocess.run(probe, env=variables, capture_output=True, check=False).returncode == 0


def _create(recipe: Recipe, lock: int) -> None:
    if recipe.folder.exists():
        say(f"{recipe.folder.name} is not usable; making it afresh.")
        shutil.rmtree(recipe.folder)
    # Inside a virtual environment sys.executable may be the one just removed: its base lasts.
    base = base_python(recipe)
    say(f"Making {recipe.folder.name} with Python {recipe.version or sys.version.split()[0]}.")
    code, lines = _run([base, "-m", "venv", str(recipe.folder)], lock, surroundings.own())
    if code:
        told = "\n".join(lines)
        mend = "on Debian or Ubuntu install the package python3-venv; elsewhere a full Python from python.org"
        mend = mend if "ensurepip" in told or "venv" in told else "see the lines above"
        raise Stop(f"{told}\nPython could not make {recipe.folder}: {mend}, then run the same command again.", code=1)


def base_python(recipe: Recipe) -> str:
    """Return the path of the Python that makes an environment, or stop with how to get one."""
    if not recipe.version:
        return getattr(sys, "_base_executable", "") or sys.executable
    found = find(recipe.version)
    if not found:
        version = recipe.version
        raise Stop(
            f"{recipe.name} needs Python {version}, and there is none on PATH or in the folders of pyenv and uv: get "
            f"one with 'uv python install {version}' or 'pyenv install {version}', which leave your other Pythons "
            "alone, and run the same command again."
        )
    return found


def _follow_a_move(folder: Path) -> None:
    """Write where the environment is now into its commands, if it was made elsewhere: each names its Python."""
    note = folder / "pyvenv.cfg"
    made = re.search(r"^command = .* -m venv (.+)$", note.read_text("utf-8"), re.MULTILINE)
    if made is None or made[1] == str(folder):
        return
    before, now = os.fsencode(made[1]), os.fsencode(folder)
    for file in [*python_of(folder).parent.iterdir(), note]:  # the note last: until then we are not done
        if file.is_symlink() or not file.is_file():
            continue
        text = file.read_bytes()
        first, _, rest = text.partition(b"\n")
        if first.startswith(b"#!" + before):  # a first line can hold neither a blank nor a long path: the shell can
            text = b"#!/bin/sh\n'''exec' \"" + first[2:].strip() + b'" "$0" "$@"\n\' \'\'\'\n' + rest
        if before in text and now not in text:
            _write(file, text.replace(before, now))


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
        rows = list(csv.reader((info / "RECORD").read_text("utf-8").splitlines()))
        for name, _, size in rows:
            if name.endswith(".pyc"):  # compiled on the spot, and again when missing
                continue
            found = (site / name).stat().st_size
            if size and found != int(size) and not name.startswith(".."):  # a command grows when its folder moves
                return False
    except (OSError, ValueError, csv.Error):
        return False
    return bool(rows)


def _install(recipe: Recipe, lock: int) -> None:
    """Let pip install everything, and look whether it is there."""
    python, pins = python_of(recipe.folder), recipe.pins()
    variables = surroundings.for_pip(python)

    def pip(*arguments: str, show: Callable[[str], None] = lambda line: None) -> list[str] | None:
        head = [str(python), "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        code, lines = _run([*head, "--progress-bar", "off", *arguments], lock, variables, show)
        return lines if code else None

    asked = pins if isinstance(recipe.requirements, tuple) else ["-r", str(recipe.requirements)]
    asked = ["--no-deps", *asked] if recipe.every_pin else asked
    counter = PipCounter(f"Installing {recipe.name}", len(pins), lambda: len(_entries(recipe.folder, "*.dist-info")))
    failed = pip(*asked, show=counter.line)
    counter.end(failed is None)
    if failed is None and recipe.project is not None:
        # No build isolation: setuptools is pinned in the lock, so this step needs no network.
        failed = pip("--no-deps", "--no-build-isolation", "-e", str(recipe.project))
        pins.append(tomllib.loads((recipe.project / "pyproject.toml").read_text("utf-8"))["project"]["name"])
    if failed is None and (missing := absent(recipe.folder, pins)):
        failed = [f"pip says that it is done, and {recipe.folder} does not hold {', '.join(missing[:3])}"]
    if failed is not None:
        raise Stop(pip_failed(failed), code=1)
    for pin, without in recipe.optional_pins().items():
        # The lock decides about what it asks for, and nothing is built here: that takes compilers.
        failed = pip("--no-deps", "--only-binary", ":all:", pin)
        if failed is not None:
            say(f"{pin} is left out, since {reason(failed)[0]}: {without}.")


def _run(
    command: list[str], lock: int, variables: dict[str, str], show: Callable[[str], None] = lambda line: None
) -> tuple[int, list[str]]:
    """Run a child that ends with this call, show its lines as they come, return its code and the last of them."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**variables, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        pass_fds=() if WINDOWS else (lock,),
    )
    lines: deque[str] = deque(maxlen=40)
    arriving: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in child.stdout or ():
            arriving.put(line)
        arriving.put(None)

    threading.Thread(target=listen, daemon=True).start()
    try:
        while (line := _next(arriving)) is not None:
            if line:
                lines.append(line.rstrip())
            show(line.strip())
        return child.wait(), list(lines)
    finally:
        end_process(child)


def _next(arriving: queue.SimpleQueue[str | None]) -> str | None:
    """Return the next line, an empty one where half a second passed without any, or None after the last."""
    try:
        return arriving.get(timeout=0.5)
    except queue.Empty:
        return ""


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
