"""Each chapter as `kit.py test` runs it, against the same cells in one process; memory and processor time of each.

Ours is nbval in its strict mode, in a process of its own: pytest starts the chapter's kernel, sends every cell, and
compares what comes back with what is stored. The floor is the code of the same cells, one after the other, in one
process without a kernel (``_plain_run.py``); its imports count on both sides. Memory is that of the kernel and all that
it starts, looked at twice a second (``_memory.py``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from _frame import Benchmark, BenchmarkError, Timing, timed
from _memory import Watch

from ppml_helpers import course

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
sys.path.insert(0, str(REPO))
from front_door import checks, tfe  # noqa: E402

QUICK = ("00", "02b")
SLOWER = 2.0  # times as long as the plain cells that a chapter's test may take
MEMORY = 2_000  # megabytes that a kernel with its children may hold: the limit under which the course must live


def main() -> None:
    """Measure every chapter once."""
    about = "Each chapter strictly compared by nbval, against its code cells alone in one process."
    with Benchmark("course", about) as benchmark:
        broken = []
        for path in course.chapters():
            if tfe.needs_it(path):
                benchmark.note(f"{path.stem} is left out: it has a kernel of its own, on another Python.")
            elif not benchmark.quick or path.stem.partition("_")[0] in QUICK:
                try:
                    chapter(benchmark, path)
                except BenchmarkError as error:  # the others go on
                    broken.append(path.stem)
                    print(error, flush=True)
        if broken:
            raise BenchmarkError(f"Look above for what is wrong with {', '.join(broken)}.")


def chapter(benchmark: Benchmark, path: Path) -> None:
    """Run one chapter both ways, once.

    Raises
    ------
    BenchmarkError
        If its kernel holds more memory than the course may ask for.
    """
    held: list[Watch] = []
    result = benchmark.floor(
        path.stem,
        ours=lambda: by_nbval(path, held),
        peer=partial(plainly, path),
        repeats=1,
        unit="chapter",
        at_most=SLOWER,
        warmup=0,
    )
    megabytes = held[-1].peak / 1e6
    cells = sum(cell.cell_type == "code" for cell in course.read(path).cells)
    result.facts = {"peak_megabytes": megabytes, "processes": held[-1].most_processes, "code_cells": cells}
    ours, peer = result.ours[-1].cpu, result.peer[-1].cpu
    result.note = f"{cells} code cells; processor {ours:.1f} s, the floor {peer:.1f} s; memory {megabytes:.0f} MB"
    benchmark.save()
    if megabytes > MEMORY:
        raise BenchmarkError(f"{path.stem} holds {megabytes:.0f} MB, and a chapter may hold {MEMORY:,}.")


def by_nbval(path: Path, held: list[Watch]) -> Timing:
    """Compare a chapter as `kit.py test` does; keep what its kernel held."""
    command = [sys.executable, "-m", "pytest", *checks._PLUGINS, *checks._NBVAL, "-q", str(path)]
    before, begun = os.times(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as scratch, (Path(scratch) / "said").open("w+") as said:
        child = subprocess.Popen(command, cwd=REPO, env=surroundings(Path(scratch)), stdout=said, stderr=said)
        with Watch(child.pid, itself=False) as watch:
            code = child.wait()
            wall, after = time.perf_counter() - begun, os.times()
        if code:
            said.seek(0)
            raise BenchmarkError(f"{path.stem} does not pass its own test: {said.read()[-2000:]}")
    held.append(watch)
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing(wall, spent)


def plainly(path: Path) -> Timing:
    """Run a chapter's code cells in one process."""
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as scratch:
        return timed([sys.executable, str(HERE / "_plain_run.py"), str(path)], env=surroundings(Path(scratch)))


def surroundings(scratch: Path) -> dict[str, str]:
    """Return an environment in which a chapter prints the same on every run, with folders of its own."""
    folders = {"PPML_PROGRESS": "progress", "PPML_RESULTS": "results", "TMPDIR": "temporary"}
    for folder in folders.values():
        (scratch / folder).mkdir()
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        **{name: str(scratch / folder) for name, folder in folders.items()},
    }


if __name__ == "__main__":
    main()
