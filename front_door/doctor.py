"""``kit.py doctor``: what is wrong with this computer or set-up, in plain words, each with the mend."""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from front_door import places, surroundings, tfe
from front_door.checks import find_chromium
from front_door.environment import absent, python_of, site_packages, whats_wrong
from front_door.lab import FIRST_PORT, free_port
from front_door.terminal import Stop, say

KEY_PACKAGES = ("numpy", "pandas", "sklearn", "matplotlib", "torch", "opacus", "dp_accounting", "ipywidgets")
KEY_PACKAGES += ("jupyterlab", "nbclient", "nbval", "pytest", "ppml_helpers")
DATA = "support2.csv"
ENOUGH_MEMORY = 2.0  # GB free for the largest chapter
ENOUGH_DISK = 1.0  # GB free once installed


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine ("ok"), worth knowing ("note") or to be mended ("mend")."""

    state: str
    text: str
    mend: str = ""

    def lines(self) -> list[str]:
        """Return what is printed of it."""
        return [f"  {self.state:<5} {self.text}", *([f"        -> {self.mend}"] if self.mend else [])]


def doctor(root: Path = places.ROOT, bundle: str = "") -> int:
    """Look at everything, print a line each, and return 1 if something needs mending.

    Parameters
    ----------
    root
        The kit's folder.
    bundle
        A zip to write for a report of a bug; none, if nothing is said.
    """
    looks: list[Callable[[Path], Finding]] = [
        python, writable, temporary, disk, memory, environment, packages, optional, tf_encrypted, data, notebooks,
        browser, port, hub,
    ]  # fmt: skip
    findings = [look(root) for look in looks]
    lines = [line for finding in findings for line in finding.lines()]
    for line in lines:
        say(line)
    bad = sum(finding.state == "mend" for finding in findings)
    say(f"{bad} to mend." if bad else "Nothing needs mending.")
    if bundle:
        from front_door import bundle as bundles

        say(f"Written: {bundles.bundle(bundle, lines, root)}. Look through it before you send it.")
    return 1 if bad else 0


def python(root: Path) -> Finding:
    """Look at the Python that runs kit.py (an unsupported one never gets here)."""
    return Finding("ok", f"Python {platform.python_version()} ({sys.executable}) on {platform.platform(terse=True)}")


def writable(root: Path) -> Finding:
    """Look whether the kit's folder can be written to."""
    for folder in (root, *filter(Path.exists, (root / ".kit", root / "notebooks"))):
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            told = f"{folder} cannot be written to ({error.strerror})"
            return Finding("mend", told, "copy the kit to a folder of your own")
    return Finding("ok", f"the kit's folder can be written to ({root})")


def temporary(root: Path) -> Finding:
    """Look whether a program may be started from the folder for temporary files, as chapter 10 does."""
    if os.name == "nt":
        return Finding("ok", f"temporary files go to {tempfile.gettempdir()}")
    with tempfile.TemporaryDirectory(prefix="kit-probe-") as folder:
        script = Path(folder) / "probe"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o700)
        try:
            subprocess.run([str(script)], check=True)
        except (OSError, subprocess.SubprocessError) as error:
            told = f"no program starts from {tempfile.gettempdir()} ({getattr(error, 'strerror', error)})"
            return Finding("mend", told, "set TMPDIR to a folder of your own, and start again")
    return Finding("ok", f"temporary files go to {tempfile.gettempdir()}")


def disk(root: Path) -> Finding:
    """Look at the free disk space: before the set-up it must hold the packages, later what the course writes."""
    recipe = places.recipe_of(root)
    installed = python_of(recipe.folder).exists()
    need = ENOUGH_DISK if installed else recipe.disk_needed / 1e9
    free = shutil.disk_usage(root).free / 1e9
    text = f"{free:.1f} GB of disk are free, {need:.0f} needed"
    if free < need:
        return Finding("mend", text, f"make room on the disk of {root}")
    if not installed and free < recipe.disk_roomy / 1e9:
        return Finding("note", f"{text} at the least, and maybe {recipe.disk_roomy / 1e9:.0f}: {recipe.disk_warning}")
    return Finding("ok", text)


def memory(root: Path) -> Finding:
    """Look at the free memory."""
    free = free_memory()
    if free is None:
        return Finding("note", "how much memory is free cannot be told on this system")
    text = f"{free:.1f} GB of memory are free, {ENOUGH_MEMORY:.0f} needed"
    return Finding("ok", text) if free >= ENOUGH_MEMORY else Finding("mend", text, "close other programs")


def free_memory() -> float | None:
    """Return the free memory in GB, where the system tells it."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / 1e9
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (OSError, ValueError, AttributeError):
        return None


def environment(root: Path) -> Finding:
    """Look at the state of ``.venv`` and its stamp."""
    try:
        wrong = whats_wrong(places.recipe_of(root))
    except (Stop, OSError) as error:
        return Finding("mend", f"the set-up cannot be judged: {error}", "fetch the missing file from the kit again")
    if not wrong:
        return Finding("ok", ".venv is complete and matches requirements.lock")
    return Finding("mend", f".venv is not ready: {wrong}", "run 'python3 kit.py lab' or 'test': it sets up or repairs")


def packages(root: Path) -> Finding:
    """Import the packages that everything rests on, in the environment of the course."""
    folder = root / ".venv"
    if site_packages(folder) is None:
        return Finding("note", "packages: looked at after the set-up")
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name); print(name)"
    command = [str(python_of(folder)), "-P", "-c", code, *KEY_PACKAGES]
    try:
        answer = subprocess.run(
            command, env=surroundings.own(), capture_output=True, text=True, errors="replace", timeout=300
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("mend", f"packages: cannot be imported ({type(error).__name__})", "remove .venv; run 'lab'")
    if answer.returncode == 0:
        return Finding("ok", f"packages: all {len(KEY_PACKAGES)} that everything rests on can be imported")
    broken = KEY_PACKAGES[len(answer.stdout.split())]
    reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Finding(
        "mend",
        f"packages: {broken} cannot be imported ({reason[:150]})",
        "remove the folder .venv and run 'python3 kit.py lab': it installs again",
    )


def optional(root: Path) -> Finding:
    """Look which of the packages that not every computer can have are there."""
    recipe = places.recipe_of(root)
    pins = recipe.optional_pins()
    if site_packages(recipe.folder) is None:
        return Finding("note", "optional packages: looked at after the set-up")
    missing = absent(recipe.folder, list(pins))
    if not missing:
        return Finding("ok", f"optional packages: {', '.join(pins) or 'none are listed'}")
    told = "; ".join(f"without {pin} {pins[pin]}" for pin in missing)
    again = f"{python_of(recipe.folder)} -m pip install --no-deps --only-binary :all: {' '.join(missing)}"
    return Finding("note", f"optional packages: {told}", f"nothing needs to be done; to try once more: {again}")


def tf_encrypted(root: Path) -> Finding:
    """Look whether chapter 09b could run; nobody needs to, so that nothing here is to be mended."""
    if not tfe.recipe(root).folder.exists():
        return Finding("note", "chapter 09b (TF Encrypted) can be read; to run it", f"'{tfe.MAKE}', {tfe.SPACE} GB")
    try:
        wrong = tfe.missing(root)
    except (Stop, OSError) as error:
        return Finding("note", f"TF Encrypted cannot be judged: {error}", "fetch the missing file from the kit again")
    if wrong:
        return Finding("note", f"chapter 09b cannot run: {wrong}", f"run '{tfe.MAKE}': it sets up or repairs")
    return Finding("ok", "chapter 09b can run: the environment and the kernel of TF Encrypted are there")


def data(root: Path) -> Finding:
    """Look whether the patients' file is there and is the published one."""
    mend = "run 'git checkout data' or fetch the folder data/ from the kit again"
    file = root / "data" / f"{DATA}.gz"
    try:
        sums = dict(reversed(line.split()) for line in (root / "data" / "SHA256SUMS").read_text().splitlines())
        found = hashlib.sha256(gzip.decompress(file.read_bytes())).hexdigest()
    except FileNotFoundError as error:
        return Finding("mend", f"the data file {error.filename} is missing", mend)
    except (OSError, EOFError, zlib.error, ValueError, TypeError) as error:
        return Finding("mend", f"the data file {file} is damaged ({error})", mend)
    if found != sums.get(DATA):
        return Finding("mend", f"the data file {file} is not the published one (its SHA-256 is {found[:12]}...)", mend)
    return Finding("ok", "the patients' file is there and is the published one")


def notebooks(root: Path) -> Finding:
    """Look whether the first chapter is there."""
    if (root / places.START).is_file():
        count = len(list((root / "notebooks").glob("*.ipynb")))
        return Finding("ok", f"{count} notebooks are there, {places.START} among them")
    return Finding("mend", f"{places.START} is missing", "run 'git checkout notebooks' or fetch it from the kit again")


def browser(root: Path) -> Finding:
    """Look for the Chromium that only the browser tests need."""
    found = find_chromium()
    if found:
        return Finding("ok", f"Chromium for the browser tests: {found}")
    return Finding(
        "note", "there is no Chromium: the browser tests would be skipped; the course itself works in any browser"
    )


def hub(root: Path) -> Finding:
    """Say how many learners a workshop's hub on this machine would hold now."""
    return hub_holds(free_memory(), os.cpu_count() or 1)


def hub_holds(memory: float | None, cores: int) -> Finding:
    """Say how many learners fit into so many GB of memory and cores."""
    from front_door.hub import LEARNERS_A_CORE, MEMORY_A_LEARNER, MEMORY_OF_HUB

    if memory is None or os.name == "nt":
        return Finding("note", "a workshop's hub ('kit.py hub') is for a Linux machine that many share")
    fit = int((memory - MEMORY_OF_HUB) / MEMORY_A_LEARNER)
    learners = min(fit, cores * LEARNERS_A_CORE)
    if learners < 1:
        return Finding("note", f"{memory:.1f} GB of free memory hold no workshop's hub ('kit.py hub')")
    why = f"{MEMORY_A_LEARNER} GB each" if fit <= learners else f"{LEARNERS_A_CORE} a core"
    return Finding("ok", f"a workshop's hub ('kit.py hub') would hold about {learners} learners at once: {why}")


def port(root: Path) -> Finding:
    """Look which port JupyterLab would get."""
    try:
        free = free_port(FIRST_PORT)
    except Stop as stop:
        return Finding("mend", str(stop), "close the programs that hold them")
    taken = "" if free == FIRST_PORT else f" ({FIRST_PORT} is taken)"
    return Finding("ok", f"JupyterLab would use port {free}{taken}")
