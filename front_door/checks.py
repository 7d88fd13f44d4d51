"""``kit.py test``: every test, stage by stage, and one line a stage at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from front_door import audit, elsewhere, hub, places, tfe
from front_door.course_process import in_course
from front_door.environment import Recipe, ensure
from front_door.terminal import Progress, Stop, say

TESTS = places.ROOT / "tests"
_LONG = ("07b", "09", "10", "07", "03b", "06", "11b", "04", "08")  # the chapters that take longest to run, in order
CELL_TIMEOUT = 300  # seconds for one cell of a chapter
NOTHING_COLLECTED = 5  # pytest's exit code
KINDS = ("passed", "failed", "errors", "skipped")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
USUAL_BROWSERS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
)


@dataclass(frozen=True)
class Stage:
    """One run of pytest: its name in the summary, its arguments and the environment that it runs in."""

    name: str
    arguments: tuple[str, ...]
    recipe: Recipe = places.COURSE


@dataclass(frozen=True)
class Result:
    """What one stage came to."""

    name: str
    code: int
    seconds: float
    counts: dict[str, int]
    note: str = ""

    def line(self) -> str:
        """Return the line of the summary."""
        if self.note:
            return f"  {'skip' if self.code == 0 else 'FAIL'}  {self.name:<34} {self.note}"
        told = ", ".join(f"{self.counts[kind]} {kind}" for kind in KINDS if self.counts.get(kind)) or "no tests"
        return f"  {'ok' if self.code == 0 else 'FAIL':<4}  {self.name:<34} {told} in {self.seconds:.1f} s"


def run_tests(arguments: list[str], only: str | None = None, quick: bool = False, everything: bool = False) -> int:
    """Set up, run the stages one after the other, and sum up.

    Parameters
    ----------
    arguments
        Passed on to pytest. With a path among them, only that is run.
    only
        "unit", "faults", "notebooks" or "browser": that stage alone.
    quick
        The part that a newcomer waits for: the house, the exercises of every chapter, two chapters.
    everything
        Chapter 09b and the attacks on the workshop's hub as well, in stages of their own, whose environments are made
        first; and the unit tests and chapters on each other Python that the kit runs on and that is found here.
    """
    if not TESTS.is_dir():
        raise Stop("This is the learner edition: it has no tests. They are in the full kit.")
    ensure(places.COURSE)
    if everything:
        tfe.tfe()
        ensure(audit.recipe())  # with it, the tests of 'kit.py audit' ask pip-audit itself
    results: list[Result] = []
    since = time.monotonic()
    try:
        if chosen := _paths_among(arguments):
            tfe.demand([places.ROOT / path.split("::")[0] for path in chosen])
            results.append(_run(Stage("selected", _with_nbval(chosen)), arguments))
        else:
            more: Iterable[Stage | Result] = () if quick or only else [_HUB_LEFT_OUT]
            if everything:
                more = chain([_hostile_stage(), _tfe_stage(), _learner_stage(), _hub_stage()], _on_other_pythons())
            for stage in chain(_quick() if quick else _stages(only), more):
                results.append(stage if isinstance(stage, Result) else _run(stage, arguments))
    finally:  # also after Ctrl-C: what was done is told
        _sum_up(results, time.monotonic() - since)
    return 1 if any(result.code for result in results) else 0


def _paths_among(arguments: list[str]) -> list[str]:
    """Return the arguments that are files or folders of the kit; the word after -k may be named like one."""
    words = [(word, word.split("::")[0]) for word in arguments if not word.startswith("-")]
    pathlike = ("/", os.sep)
    return [
        word
        for word, path in words
        if (any(mark in path for mark in pathlike) or path.endswith((".py", ".ipynb")))
        and (places.ROOT / path).exists()
    ]


def _with_nbval(paths: list[str]) -> tuple[str, ...]:
    """Return pytest's arguments for paths that the person gave (the paths themselves are passed on anyway)."""
    return _NBVAL if any(path.split("::")[0].endswith(".ipynb") for path in paths) else ()


# Tests of one file may share something, tests of two files do not: every core gets whole files, with a JupyterLab and a
# browser of its own where it needs one. A chapter is a file too: a kernel, results and temporary files of its own.
# What takes longest is handed out first (tests/conftest.py, and _LONG): xdist would go by the number of tests.
_WORKERS = f"--numprocesses={min(os.cpu_count() or 1, 4)}"
_WHOLE_FILES = ("--dist=loadfile", "--no-loadscope-reorder")
_PARALLEL = (_WORKERS, *_WHOLE_FILES)
# These wait for processes, time-outs and folders most of the time.
_WAITING = (f"--numprocesses={min(2 * (os.cpu_count() or 1), 8)}", *_WHOLE_FILES)

# The plugins that the tests use, by name: to find them out itself, pytest loads every one that is installed, and reads
# all files of their packages, each time it starts, which takes longer than many a stage.
_PLUGINS = ("--disable-plugin-autoload", "-p", "timeout", "-p", "xdist", "-p", "hypothesispytest")

_NBVAL = (
    "-p",
    "nbval",
    "-p",
    "tests.helpers.chapters",
    "--nbval",  # each in the kernel that it declares; jupyter_environment sees to it that "python3" is the course's
    f"--nbval-cell-timeout={CELL_TIMEOUT}",
    f"--nbval-sanitize-with={TESTS / 'notebooks' / 'sanitize.cfg'}",
)


def _stages(only: str | None) -> Iterator[Stage | Result]:
    """Yield the stages. Each names its files: what pytest would read and put aside, every worker would import."""
    if only in (None, "unit"):
        others = [f"--ignore-glob=*_{kind}.py" for kind in ("faults", "browser", "attacks_hub", "learner_run")]
        yield Stage("unit", (*_PARALLEL, *others, f"--ignore={TESTS / 'notebooks'}", str(TESTS)))
    if only in (None, "faults"):
        yield Stage("faults", (*_WAITING, *_files("faults")))
    if only in (None, "notebooks"):
        yield Stage("notebooks: hygiene", (_WORKERS, "--dist=worksteal", str(TESTS / "notebooks")))
        yield chapters_stage([path for path in sorted(places.NOTEBOOKS.glob("*.ipynb")) if not tfe.needs_it(path)])
    if only in (None, "browser"):
        if missing := provide_chromium():
            yield Result("browser", 0, 0.0, {}, f"the browser tests are skipped: {missing}")
        else:
            yield Stage("browser", (*_PARALLEL, *_files("browser")))


def _files(kind: str) -> list[str]:
    return [str(path) for path in sorted(TESTS.glob(f"*/test_*_{kind}.py"))]


def _quick() -> Iterator[Stage]:
    """Yield the stages of the quick run."""
    yield Stage("the house", (*_PARALLEL, str(TESTS / "core" / "test_house.py"), str(TESTS / "notebooks")))
    yield Stage("exercises", (*_PARALLEL, *map(str, sorted(TESTS.glob("*/test_exercises.py")))))
    yield chapters_stage([path for path in sorted(places.NOTEBOOKS.glob("*.ipynb")) if path.name[:2] in ("00", "05")])


def chapters_stage(paths: list[Path]) -> Stage:
    """Return the stage that executes notebooks, long ones first, and compares every cell with what is stored."""
    rank = {number: place for place, number in enumerate(_LONG)}
    ordered = sorted(paths, key=lambda path: rank.get(path.stem.partition("_")[0], len(rank)))
    return Stage("notebooks: chapters", (*_NBVAL, *_PARALLEL, *map(str, ordered)))


_HUB_LEFT_OUT = Result("the hub, attacked", 0, 0.0, {}, "left out: 'python3 kit.py test --all' as root runs it")


def _hub_stage() -> Stage | Result:
    """Return the stage in which a learner of a workshop's hub attacks another; its environment is made first."""
    if wrong := hub.why_not_here():
        return replace(_HUB_LEFT_OUT, note=f"skipped: learners cannot be kept apart here, since {wrong}")
    hub.make()
    return Stage("the hub, attacked", (str(TESTS / "front_door" / "test_attacks_hub.py"),))


def _learner_stage() -> Stage:
    """Return the stage that runs each chapter of the learner edition up to its first exercise, outside the course."""
    return Stage(
        "the learner edition", (_WORKERS, "--dist=worksteal", str(TESTS / "front_door" / "test_every_learner_run.py"))
    )


def _tfe_stage() -> Stage:
    """Return the stage of chapter 09b: its notebook, strictly, and the tests that need its environment among others."""
    notebooks = [path for path in sorted(places.NOTEBOOKS.glob("*.ipynb")) if tfe.needs_it(path)]
    return Stage(
        "TF Encrypted", (*_NBVAL, *map(str, notebooks), *map(str, sorted(TESTS.glob("*/test_tf_encrypted_*.py"))))
    )


def _hostile_stage() -> Stage:
    """Return the stage that runs every chapter on a machine that is slow, cut off, small and set to another time."""
    faults = str(TESTS / "front_door" / "test_course_faults.py")
    return Stage("chapters in hostile surroundings", (_WORKERS, "--dist=worksteal", "-k", "hostile", faults))


def _on_other_pythons() -> Iterator[Stage | Result]:
    """Yield the unit tests and chapters on each other Python; one that is not there, or cannot be set up, is told."""
    for version, recipe in elsewhere.found():
        name = f"Python {version}"
        if recipe is None:
            yield Result(name, 0, 0.0, {}, f"skipped: there is no {name} on PATH or in the folders of pyenv and uv")
            continue
        try:
            ensure(recipe)
        except Stop as stop:
            yield Result(name, 1, 0.0, {}, str(stop).splitlines()[-1])
            continue
        for stage in (*_stages("unit"), *_stages("notebooks")):
            yield stage if isinstance(stage, Result) else replace(stage, name=f"{name}: {stage.name}", recipe=recipe)


def _run(stage: Stage, arguments: list[str]) -> Result:
    say(f"\n=== {stage.name}")
    since = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kit-test-") as folder:
        report = Path(folder) / "report.xml"
        command = pytest_arguments(stage, report, arguments)
        code = in_course(command, Path(folder), {"KIT_CHROMIUM": find_chromium() or ""}, stage.recipe)
        counts = _counts(report)
    if code == NOTHING_COLLECTED and arguments:  # a filter like -k may leave a stage empty
        code = 0
    return Result(stage.name, code, time.monotonic() - since, counts)


def pytest_arguments(stage: Stage, report: Path, more: Sequence[str] = ()) -> list[str]:
    """Return what the Python of a stage is started with, to write a report of its tests as JUnit XML."""
    return ["-m", "pytest", *_PLUGINS, "-q", f"--junitxml={report}", *stage.arguments, *more]


def _counts(report: Path) -> dict[str, int]:
    """Return how many tests passed, failed ... from pytest's own report."""
    try:
        suites = list(ElementTree.parse(report).iter("testsuite"))
    except (OSError, ElementTree.ParseError):  # pytest did not get as far as writing one
        return {}
    counts = {
        "failed": sum(int(suite.get("failures", 0)) for suite in suites),
        "errors": sum(int(suite.get("errors", 0)) for suite in suites),
        "skipped": sum(int(suite.get("skipped", 0)) for suite in suites),
    }
    counts["passed"] = sum(int(suite.get("tests", 0)) for suite in suites) - sum(counts.values())
    return counts


def _sum_up(results: list[Result], seconds: float) -> None:
    say("\n=== summary")
    for result in results:
        say(result.line())
    total = {kind: sum(result.counts.get(kind, 0) for result in results) for kind in KINDS}
    told = ", ".join(f"{number} {kind}" for kind, number in total.items() if number) or "no tests ran"
    say(f"===== {told} in {seconds:.2f}s =====")


# --------------------------------------------------------------------------------------------------- Chromium


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome on this computer, or None. ``KIT_CHROMIUM`` comes first."""
    wanted = [os.environ.get("KIT_CHROMIUM"), *map(shutil.which, BROWSERS), *USUAL_BROWSERS]
    return next((path for path in wanted if path and Path(path).is_file()), None)


def provide_chromium() -> str:
    """Make sure there is a Chromium, installing it where that needs nobody; return why there is none, or ""."""
    if find_chromium():
        return ""
    if not shutil.which("apt-get"):
        return "there is no Chromium or Chrome here: install one, or set KIT_CHROMIUM to its path"
    prefix = _root_prefix()
    if prefix is None:
        return "there is no Chromium here and installing it needs a password: run 'sudo apt-get install chromium'"
    progress = Progress("Installing Chromium for the browser tests")
    for step in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        code, last = _apt([*prefix, "apt-get", *step], progress)
        if code:
            progress.end()
            return f"Chromium could not be installed ({last})"
    progress.end("done")
    return "" if find_chromium() else "apt installed Chromium, but it is not on PATH: set KIT_CHROMIUM to its path"


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def _apt(command: list[str], progress: Progress) -> tuple[int, str]:
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    last = ""
    with subprocess.Popen(
        command,
        env=environment,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        for line in child.stdout or ():
            last = line.strip() or last
            progress.show(last[:70])
    return child.returncode, last[:120]
