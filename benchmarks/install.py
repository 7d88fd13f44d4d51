"""From an empty clone to the first explorer that moves, against the least that somebody without the kit would type.

Ours is what the README says: `git clone`, then `kit.py lab`, which makes an environment, installs every pin into it and
starts JupyterLab; then its page in a Chromium without a screen, chapter 00 run to its end, and its explorer there.
The floor of a whole road is an environment made by hand and `pip install -r requirements.lock`, from the same cache of
pip, and nothing after that; each road is gone with that cache empty and with it filled. Where packages come from is
what pip was set up for. The floor where the environment is there already is JupyterLab itself, on the same chapter in
the same browser. The seconds of each step stand in the notes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from _frame import Benchmark, Timing

os.environ.setdefault("KIT_PATIENCE", "3600")  # before `lab` reads it: a set-up may take its time
REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tests" / "helpers")]
import lab  # noqa: E402

from front_door.environment import STAMP  # noqa: E402

CHAPTER = "00_start_here.ipynb"
PORT = 8870  # of the JupyterLab without the kit
WHOLE, THERE = 2.0, 2.0  # times as long as the floor that ours may take
Steps = dict[str, float]


def main() -> None:
    """Go the last part of the road, with the environment there; then, unless in a hurry, the whole road twice."""
    about = "From an empty clone to the first explorer, against pip alone and against JupyterLab alone."
    with tempfile.TemporaryDirectory(prefix="install-") as scratch, Benchmark("install", about) as benchmark:
        there = lab.copy_course(Path(scratch) / "there")
        steps: list[Steps] = []
        result = benchmark.floor(
            "the environment is there",
            ours=lambda: by_the_kit(there, steps),
            peer=partial(by_jupyter, there),
            repeats=1 if benchmark.quick else 3,
            unit="road",
            note="kit.py lab, its page, chapter 00 run, its explorer; the floor: JupyterLab alone, the same chapter",
            at_most=THERE,
            warmup=0 if benchmark.quick else 1,
        )
        result.facts = {"steps": steps[-1]}
        benchmark.note(in_words("The environment there", steps[-1]))
        if benchmark.quick:
            benchmark.note("The set-up itself is left out of a quick run.")
            return
        ours, pips = Path(scratch) / "cache-of-ours", Path(scratch) / "cache-of-pip"
        for state in ("empty", "filled"):
            whole_road(benchmark, Path(scratch) / state, state, ours, pips)


def whole_road(benchmark: Benchmark, folder: Path, state: str, ours: Path, pips: Path) -> None:
    """Go from nothing to the explorer, once; the caches of pip are filled by doing so."""
    steps: list[Steps] = []
    folder.mkdir()
    result = benchmark.floor(
        f"from nothing, pip's cache {state}",
        ours=lambda: cloned(folder / "clone", ours, steps),
        peer=partial(pip_alone, folder / "environment", pips),
        repeats=1,
        unit="road",
        note="clone, environment, every pin, JupyterLab, its page, chapter 00 run; the floor: venv and pip alone",
        at_most=WHOLE,
        warmup=0,
    )
    result.facts = {"steps": steps[-1]}
    benchmark.note(in_words(f"pip's cache {state}", steps[-1]))


def cloned(folder: Path, cache: Path, steps: list[Steps]) -> Timing:
    """Clone the kit and start it."""
    begun, before = time.perf_counter(), os.times()
    subprocess.run(["git", "clone", "--quiet", str(REPO), str(folder)], check=True)
    cloning = time.perf_counter() - begun
    with variable("PIP_CACHE_DIR", str(cache)):
        by_the_kit(folder, steps)
    steps[-1] = {"clone": cloning, **steps[-1]}
    return _since(begun, before, steps[-1]["ended"])


def by_the_kit(course: Path, steps: list[Steps]) -> Timing:
    """Run `kit.py lab`, open what it prints, run the first chapter, and wait for its explorer."""
    begun, before, started = time.perf_counter(), os.times(), time.time()
    with tempfile.TemporaryDirectory(prefix="home-") as home, lab.lab_server(course, Path(home)) as server:
        told = time.perf_counter()
        setting_up = max(0.0, (course / ".venv" / STAMP).stat().st_mtime - started)  # the stamp is written last
        seen = _seen(server, server.address)
    steps.append({"set-up": setting_up, "JupyterLab answers": told - begun - setting_up, **seen})
    return _since(begun, before, seen["ended"])


def by_jupyter(course: Path) -> Timing:
    """Start JupyterLab without the kit on the same chapter, run it, and wait for its explorer."""
    begun, before, token = time.perf_counter(), os.times(), "without-the-kit"
    base = f"http://127.0.0.1:{PORT}"
    command = [str(course / ".venv" / "bin" / "python"), "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={PORT}", f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    child = subprocess.Popen(command, cwd=course, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(f"{base}/api"):
            time.sleep(0.05)
        server = lab.Server(f"{base}/lab/tree/notebooks/{CHAPTER}?token={token}", "", child)
        seen = _seen(server, server.address)
    finally:
        child.terminate()
        child.wait()
    return _since(begun, before, seen["ended"])


def _seen(server: lab.Server, address: str) -> Steps:
    """Open an address in a browser, run the notebook there and wait for its explorer; return what took how long."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="browser-") as home, lab.browser(Path(home)) as app:
        notebook = lab.NotebookPage(app, server, address)
        page = time.perf_counter()
        notebook.run_all()
        lab.ExplorerView(notebook).settled(quiet=0)
        ended = time.perf_counter()
        notebook.close()
    return {"page and kernel": page - begun, "chapter and explorer": ended - page, "ended": ended}


def pip_alone(folder: Path, cache: Path) -> Timing:
    """Make an environment by hand and install the lock into it."""
    begun, before = time.perf_counter(), os.times()
    subprocess.run([getattr(sys, "_base_executable", "") or sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(REPO / "requirements.lock")]
    with variable("PIP_CACHE_DIR", str(cache)):
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return _since(begun, before)


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable for what is started in the block."""
    had = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if had is None else os.environ.__setitem__(name, had)


def in_words(what: str, steps: Steps) -> str:
    """Return the steps of a road in one sentence."""
    return f"{what}: " + ", ".join(f"{name} {took:.1f} s" for name, took in steps.items() if name != "ended") + "."


def _since(begun: float, before: os.times_result, ended: float = 0.0) -> Timing:
    """Return the time since then; processor time is that of what was started and has ended."""
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing((ended or time.perf_counter()) - begun, spent)


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
        return True
    return False


if __name__ == "__main__":
    main()
