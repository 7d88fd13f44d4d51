"""Faults that meet the course as a whole: hostile surroundings, a kernel that dies, a full disk, a clock that jumps."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from machine import can_have_its_own, with_its_own
from samples import code, stored

from front_door import environment, places, tfe
from ppml_helpers import certificates, outcome
from ppml_helpers.exercises import store
from ppml_helpers.owner_in_control import records

REPO = Path(__file__).resolve().parents[2]
QUICK = "02_minimise_and_pseudonymise"  # it measures how long something takes
posix = pytest.mark.skipif(os.name == "nt", reason="signals, limits and clocks as on Linux and macOS")
set_up = pytest.mark.skipif(not environment.is_ready(places.COURSE), reason="not set up: 'kit.py test' does it")


# -------------------------------------------------------------------------------------- the surroundings of a chapter

# In a kernel: a machine that is ten times slower, whose clock is set to and fro by a day.
CLOCKS = """
import itertools, sys, time
if "ipykernel_launcher" in sys.orig_argv:
    def slower(name):
        clock = getattr(time, name)
        begun = clock()
        setattr(time, name, lambda: begun + 10 * (clock() - begun))
    for name in ("monotonic", "perf_counter", "process_time"):
        slower(name)
    now, days = time.time, itertools.cycle((0, 86400, -86400))
    time.time = lambda: now() + next(days)
"""
JUMPS = "(0, 86400, -86400)"
STEADY = "10_owner_in_control"  # PySyft itself orders messages by the clock, and loses some when it jumps
# 2 GB of memory for each process; this machine alone can be reached.
LIMITS = 'ulimit -d 2000000\nif [ "$ALONE" ]; then ip link set lo up || ifconfig lo up; fi\nexec "$@"'
EXECUTE = """
import sys
from pathlib import Path
from ppml_helpers import course
path, folder, fresh = map(Path, sys.argv[1:])
notebook = course.execute(course.read(path), folder)
fresh.write_text(course.to_text(notebook), "utf-8")
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take one chapter, or all where these tests are asked for alone, as `kit.py test --all` does."""
    if "chapter" in metafunc.fixturenames:
        every = metafunc.config.getoption("keyword") == "hostile"
        paths = [path for path in places.chapters() if not tfe.needs_it(path)]
        metafunc.parametrize("chapter", [path.stem for path in paths if every or path.stem == QUICK])


@posix
@set_up
def test_a_chapter_prints_the_same_in_hostile_surroundings(chapter: str, tmp_path: Path) -> None:
    """A slow machine, a clock that jumps, another time zone, no home, no network, 2 GB, a terminal of its own."""
    (tmp_path / "sitecustomize.py").write_text(CLOCKS if chapter != STEADY else CLOCKS.replace(JUMPS, "(0,)"))
    (tmp_path / "tëmp x").mkdir()
    variables = {**places.repeatable_environment(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"}
    variables |= {"TZ": "Pacific/Auckland", "HOME": "/proc/nowhere", "FORCE_COLOR": "1", "COLUMNS": "40"}
    variables |= {"TMPDIR": str(tmp_path / "tëmp x"), "TERM": "dumb"}
    path, fresh = shutil.copy(places.NOTEBOOKS / f"{chapter}.ipynb", tmp_path), tmp_path / "fresh.ipynb"
    command = [sys.executable, "-c", EXECUTE, str(path), str(places.NOTEBOOKS), str(fresh)]
    if can_have_its_own("net"):
        command, variables["ALONE"] = with_its_own("net", LIMITS, *command), "1"
    else:
        warnings.warn("NOT TESTED: a chapter without a network (Linux, root, unshare)", stacklevel=1)
        command = ["sh", "-ec", LIMITS if sys.platform == "linux" else 'exec "$@"', "sh", *command]
    answer = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert fresh.read_text("utf-8").splitlines() == Path(path).read_text("utf-8").splitlines()


# ------------------------------------------------------------------- a kernel that dies, a disk that fills

SAVES = """
from ppml_helpers import exercises, outcome
print(exercises.check("01.1", 0.29))
try:
    print(outcome.save(outcome.Outcome("t", 0.5, None, None, 1.0, 0, "note")))
except outcome.OutcomeError as refused:
    print(refused)
"""
KILLED = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
SMALL = """
mount -t tmpfs -o size=64k none "$PLACE"
cp "$NOTEBOOK" "$PLACE/chapter.ipynb"
cat /dev/zero > "$PLACE/full" 2> /dev/null || true
code=0; "$@" || code=$?
rm "$PLACE/full"
cp -r "$PLACE/." "$AFTER"
exit $code
"""


RUN = """
import sys
from pathlib import Path
from ppml_helpers import course
try:
    course.run(Path(sys.argv[1]))
except course.CourseError as refused:
    sys.exit(f"{refused}")
"""


def run(scratch: Path, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command with progress and results below a folder that is named."""
    own = {"PPML_PROGRESS": str(scratch / "progress"), "PPML_RESULTS": str(scratch / "results")}
    variables = {**places.jupyter_environment(), "OMP_NUM_THREADS": "1", **own, **more}
    return subprocess.run(command, cwd=REPO, env=variables, capture_output=True, text=True, check=False)


@posix
@set_up
def test_a_kernel_that_is_killed_in_mid_cell_is_named_and_what_was_saved_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = stored(tmp_path / "a.ipynb", code(SAVES, name="saves"), code(KILLED, name="killed"))
    before = notebook.read_bytes()
    answer = run(tmp_path, [sys.executable, "-c", RUN, str(notebook)])
    assert answer.returncode == 1
    assert answer.stderr.startswith("cell 2 (id killed): ended its kernel (often: not enough memory)"), answer.stderr
    assert notebook.read_bytes() == before
    monkeypatch.setenv("PPML_PROGRESS", str(tmp_path / "progress"))
    assert store.read().done == {"01.1"}
    assert [row.technique for row in outcome.load(tmp_path / "results")] == ["t"]


@set_up
def test_a_full_disk_costs_one_sentence_each_and_no_file(tmp_path: Path) -> None:
    big = f"{SAVES}\nprint('x' * 100_000)"
    notebook = stored(tmp_path / "a.ipynb", code(big, name="saves"))
    small, after = tmp_path / "small", tmp_path / "after"
    small.mkdir()
    after.mkdir()
    command = with_its_own("mount", SMALL, sys.executable, "-c", RUN, str(small / "chapter.ipynb"))
    answer = run(small, command, PLACE=str(small), NOTEBOOK=str(notebook), AFTER=str(after))
    assert answer.returncode == 1
    sentence = r"\S+/chapter\.ipynb cannot be written \(No space left on device\), and what was there is whole: .*\n"
    assert re.fullmatch(sentence, answer.stderr), answer.stderr
    assert (after / "chapter.ipynb").read_bytes() == notebook.read_bytes()
    assert {path.name for path in after.rglob("*") if path.is_file()} <= {"chapter.ipynb", "progress.lock"}


# ------------------------------------------------------------------------------------- a clock that jumps


def test_nothing_measures_or_decides_by_a_clock_that_can_be_set() -> None:
    """time.time() jumps where a clock is set; how long something takes, or is waited for, is asked of another."""
    for path in (*REPO.glob("ppml_helpers/**/*.py"), *REPO.glob("front_door/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "time.time_ns")
            assert not named, f"{path}, line {getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_set_by_a_day_costs_no_certificate_and_no_line_of_a_log(
    days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificates of chapter 07b and of encrypted parties, and the owner's log of chapter 10."""
    log = records.AuditLog(tmp_path / "log")
    log.append("before")
    made = x509.load_pem_x509_certificate(certificates.Pair("one").certificate)
    then = datetime.now(UTC) + timedelta(days=days)
    assert made.not_valid_before_utc < then < made.not_valid_after_utc

    class Set(datetime):
        @classmethod
        def now(cls, tz=None):
            return then

    monkeypatch.setattr(records, "datetime", Set)
    log.append("after")
    assert log.verify().sound
    assert [line["event"] for line in log.entries] == ["before", "after"]


# ------------------------------------------------------------------------------------------------- the table


def test_the_table_of_faults_names_tests_that_are_there_and_leaves_out_none_that_was_asked_for() -> None:
    table = (REPO / "docs" / "faults.md").read_text("utf-8")
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", table)
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert all("::test_" in row for row in rows)
    lost = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (REPO / file).read_text("utf-8")]
    assert lost == []
    asked = ["killed in mid-cell", "full disk", "read-only", "a home that cannot be written", "no network", "2 GB"]
    asked += ["time zone", "clock that jumps", "ten times slower", "outside ASCII", "two JupyterLabs", "SIGTERM"]
    asked += ["during an install", "lock", "patients' table", "results store", "ports taken", "two users"]
    assert [fault for fault in asked if fault not in table] == []
