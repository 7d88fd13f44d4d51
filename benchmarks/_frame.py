"""The common frame of the benchmarks: ours and a peer side by side, in pairs, in one run.

A benchmark is a script that reads like this::

    from _frame import Benchmark, Worker

    # Optional: pins for a peer that needs its own environment; kit.py makes .venvs/NAME from them.
    PEER_REQUIREMENTS = ["diffprivlib==0.6.6"]

    with Benchmark("epsilon-sweep", "Many DP trainings at once, against one after the other.") as benchmark:
        repeats = 3 if benchmark.quick else 20
        benchmark.compare(
            "full batch, 8 epsilons x 5 seeds",
            ours=lambda: engine.train(...),            # called without arguments; what it returns is ignored
            peer=lambda: forty_opacus_trainings(...),
            repeats=repeats,
            unit="sweep",
            note="same q, sigma, T and C; no DataLoader",
            at_least=60,                                # bound on the median of peer / ours
        )
        benchmark.floor(                                # the least that anybody would need, and ours as a multiple
            "the products of matrices alone", ours=..., peer=lambda: X @ W, repeats=repeats, unit="sweep"
        )

Run it with ``python3 kit.py bench epsilon-sweep [--quick]``. It prints a table and writes
``benchmarks/results/epsilon-sweep.json`` after every repeat, so that Ctrl-C loses nothing done.

What is measured: after ``warmup`` unrecorded calls of each, the pair (ours, peer) is timed ``repeats`` times, in turn
first ours and first peer, so that a machine that is warming up or busy burdens both. The number to trust is the
median of the paired ratios with its quartiles; absolute times belong to one machine. ``ratio="ours/peer"`` and
``at_most=3`` state a cost ("at most 3 times as long as ..."); the default ``"peer/ours"`` and ``at_least=60`` a gain.

A peer in its own environment is called through a :class:`Worker`, which times inside the other process::

    with Worker("_diffprivlib_peer.py") as worker:      # a script beside this file that ends in serve(function)
        benchmark.compare("...", ours=..., peer=lambda: worker.call(epsilon=1.0), ...)

and ``_diffprivlib_peer.py`` is ``from _frame import serve``, then ``def train(epsilon): ...``, then ``serve(train)``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "torch",
    "opacus",
    "dp-accounting",
    "flwr",
    "matplotlib",
    "ipywidgets",
    "opendp",
    "tenseal",
    "crypten",
    "mpyc",
    "syft",
    "jupyterlab",
    "nbval",
)
Ratio = Literal["peer/ours", "ours/peer"]


class BenchmarkError(ValueError):
    """A comparison was described wrongly, or a peer's process could not answer."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: on the wall, and of the processor (all threads of the process)."""

    wall: float
    cpu: float


@dataclass
class Comparison:
    """Paired timings of ours and a peer, in seconds per ``unit``."""

    name: str
    unit: str
    note: str
    ratio: Ratio
    at_least: float | None
    at_most: float | None
    ours: list[Timing] = field(default_factory=list)
    peer: list[Timing] = field(default_factory=list)
    #: The peer is no rival but the least that the work could cost: ours is told as a multiple of it.
    floor: bool = False
    #: What else was found, such as the quality of both results; a script may add to it until the benchmark is closed.
    facts: dict[str, Any] = field(default_factory=dict)

    def ratios(self, clock: Literal["wall", "cpu"] = "wall") -> list[float]:
        """Return the ratio of each pair."""
        ours = [getattr(timing, clock) for timing in self.ours]
        peer = [getattr(timing, clock) for timing in self.peer]
        over, under = (peer, ours) if self.ratio == "peer/ours" else (ours, peer)
        return [a / max(b, 1e-9) for a, b in zip(over, under, strict=True)]

    def median(self, clock: Literal["wall", "cpu"] = "wall") -> float:
        """Return the median of the paired ratios."""
        return statistics.median(self.ratios(clock))

    def quartiles(self) -> tuple[float, float]:
        """Return the lower and upper quartile of the paired ratios (their range below 4 pairs)."""
        ratios = sorted(self.ratios())
        if len(ratios) < 4:
            return ratios[0], ratios[-1]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high

    def holds(self) -> bool:
        """Say whether the median keeps the stated bound (True without one)."""
        median = self.median()
        return (self.at_least is None or median >= self.at_least) and (self.at_most is None or median <= self.at_most)

    def bound(self) -> str:
        """Return the bound in words, or an empty string."""
        words = [f"at least {self.at_least:g}" if self.at_least is not None else ""]
        words.append(f"at most {self.at_most:g}" if self.at_most is not None else "")
        return " and ".join(filter(None, words))

    def as_json(self) -> dict[str, Any]:
        """Return the comparison with its summary as plain values."""
        summary = {}
        if self.ours:
            summary = {
                "pairs": len(self.ours),
                "median_ratio": self.median(),
                "median_ratio_cpu": self.median("cpu"),
                "quartiles": self.quartiles(),
                "range": (min(self.ratios()), max(self.ratios())),
                "holds": self.holds(),
            }
        return {**asdict(self), "summary": summary}


class Benchmark:
    """One benchmark: any number of comparisons, a table, and a JSON file.

    Parameters
    ----------
    name
        As on the command line; names the file ``results/NAME.json``.
    about
        One sentence: what is compared with what.
    arguments
        Command line, for tests; ``sys.argv`` by default. ``--quick`` sets ``quick``.
    folder
        Where the JSON goes.
    """

    def __init__(self, name: str, about: str, arguments: list[str] | None = None, folder: Path = RESULTS) -> None:
        parser = argparse.ArgumentParser(prog=name, description=about)
        parser.add_argument("--quick", action="store_true", help="fewer repeats")
        self.quick: bool = parser.parse_args(arguments).quick
        self.name, self.about = name, about
        # A quick run, as in CI, must not replace the figures of a whole one.
        self.path = folder / (f"{name}.quick.json" if self.quick else f"{name}.json")
        self.comparisons: list[Comparison] = []
        self.notes: list[str] = []
        self._begun = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._load_before = load_average()
        print(f"{about}{' (quick)' if self.quick else ''}", flush=True)

    def compare(
        self,
        name: str,
        ours: Callable[[], Any],
        peer: Callable[[], Any],
        repeats: int,
        unit: str,
        note: str = "",
        *,
        ratio: Ratio = "peer/ours",
        at_least: float | None = None,
        at_most: float | None = None,
        warmup: int = 1,
        floor: bool = False,
    ) -> Comparison:
        """Time ours and the peer in pairs.

        Parameters
        ----------
        name
            What is done, for the table.
        ours, peer
            Called without arguments. A returned :class:`Timing` replaces the one taken here (see :class:`Worker`).
        repeats
            Number of pairs, at least 1.
        unit
            What one call does ("sweep", "slider move").
        note
            What a reader must know to judge the comparison.
        ratio
            Which way round: "peer/ours" is how many times faster ours is, "ours/peer" how many times dearer.
        at_least, at_most
            Bounds that the median ratio must keep; :meth:`close` tells whether all did.
        warmup
            Unrecorded calls of each beforehand (imports, caches of the allocator, JIT).
        floor
            The peer is the least that the work could cost (see :meth:`floor`).

        Returns
        -------
        Comparison
            With all timings; already in the table and the JSON file.

        Raises
        ------
        BenchmarkError
            When ``repeats`` is below 1 or ``ratio`` is unknown.
        """
        if repeats < 1:
            raise BenchmarkError(f"repeats is {repeats}: give at least 1.")
        if ratio not in ("peer/ours", "ours/peer"):
            raise BenchmarkError(f"ratio is {ratio!r}: give 'peer/ours' or 'ours/peer'.")
        result = Comparison(name, unit, note, ratio, at_least, at_most, floor=floor)
        self.comparisons.append(result)
        for _ in range(warmup):
            ours()
            peer()
        for number in range(repeats):
            if number % 2:
                second, first = _time(peer), _time(ours)
            else:
                first, second = _time(ours), _time(peer)
            result.ours.append(first)
            result.peer.append(second)
            self._write(complete=False)
            print(f"  {name}: pair {number + 1} of {repeats}, ratio {result.ratios()[-1]:.3g}", flush=True)
        return result

    def floor(
        self, name: str, ours: Callable[[], Any], peer: Callable[[], Any], repeats: int, unit: str, **options: Any
    ) -> Comparison:
        """Time ours as a multiple of a floor: what nobody could do without; ``options`` are those of `compare`."""
        return self.compare(name, ours, peer, repeats, unit, ratio="ours/peer", floor=True, **options)

    def save(self) -> None:
        """Write what there is, after a script has added facts or words to a comparison."""
        self._write(complete=False)

    def note(self, sentence: str) -> None:
        """Say on the page what a reader must know of this run, such as what was left out and why."""
        self.notes.append(sentence)
        print(f"  {sentence}", flush=True)

    def table(self) -> str:
        """Return the table of all comparisons."""
        head = ("comparison", "ours", "peer", "ratio", "median", "quartiles", "bound")
        rows = [head, *(_row(comparison) for comparison in self.comparisons if comparison.ours)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

    def close(self, complete: bool = True) -> bool:
        """Write the JSON, print the table and say whether every bound was kept."""
        self._write(complete)
        print(f"\n{self.table()}\nWritten: {_shown(self.path)}", flush=True)
        return all(comparison.holds() for comparison in self.comparisons if comparison.ours)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close; leave with code 1 when a bound was missed, 130 on Ctrl-C (what was measured is kept)."""
        held = self.close(complete=kind is None)
        if kind is KeyboardInterrupt:
            print("Stopped: the pairs measured so far are kept in the file.", flush=True)
            sys.exit(130)
        if kind is None and not held:
            sys.exit(1)

    def _write(self, complete: bool) -> None:
        content = {
            "benchmark": self.name,
            "about": self.about,
            "quick": self.quick,
            "complete": complete,
            "begun": self._begun,
            "load_before": self._load_before,
            "load_now": load_average(),
            "machine": machine(),
            "versions": versions(),
            "notes": self.notes,
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".json.new")
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        temporary.replace(self.path)


def _time(call: Callable[[], Any]) -> Timing:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = call()
    taken = Timing(time.perf_counter() - wall, time.process_time() - cpu)
    return answer if isinstance(answer, Timing) else taken


def timed(command: list[str], **options: Any) -> Timing:
    """Run a command to its end and return its time; processor time is that of all that it started and waited for.

    Raises
    ------
    BenchmarkError
        When it did not end with 0, with the end of what it printed.
    """
    return timed_and_printed(command, **options)[0]


def timed_and_printed(command: list[str], **options: Any) -> tuple[Timing, str]:
    """Do as :func:`timed`, and return what the command printed on stdout too."""
    before, wall = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, **options)
    after, wall = os.times(), time.perf_counter() - wall
    if done.returncode:
        told = (done.stdout + done.stderr)[-2000:]
        raise BenchmarkError(f"{' '.join(command[-3:])} ended with {done.returncode}: {told}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing(wall, spent), done.stdout


def _row(comparison: Comparison) -> tuple[str, ...]:
    low, high = comparison.quartiles()
    ours = statistics.median(timing.wall for timing in comparison.ours)
    peer = statistics.median(timing.wall for timing in comparison.peer)
    bound = comparison.bound()
    verdict = f"{bound}: {'kept' if comparison.holds() else 'MISSED'}" if bound else ""
    name = f"{comparison.name} ({len(comparison.ours)} pairs)"
    spread = f"{low:.3g} to {high:.3g}"
    return name, _seconds(ours), _seconds(peer), comparison.ratio, f"{comparison.median():.3g}", spread, verdict


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(RESULTS.parent.parent))
    except ValueError:
        return str(path)


def load_average() -> float | None:
    """Return the load average of the last minute, where the system tells it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def machine() -> dict[str, Any]:
    """Return what the times depend on: processor, cores, threads, system."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch = sys.modules.get("torch")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "torch_threads": torch.get_num_threads() if torch else None,
        "system": platform.platform(terse=True),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# ---------------------------------------------------------------------------------- a peer in its own environment


class Worker:
    """A peer in another process, usually in the environment that ``PEER_REQUIREMENTS`` describes.

    Parameters
    ----------
    script
        Name of a script beside this file that ends in ``serve(function)``.
    python
        Its Python; by default the one that kit.py made (``KIT_PEER_PYTHON``), else this one.
    """

    def __init__(self, script: str | Path, python: str | None = None) -> None:
        chosen = python or os.environ.get("KIT_PEER_PYTHON") or sys.executable
        path = Path(__file__).resolve().parent / script
        self._process = subprocess.Popen(
            [chosen, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=path.parent
        )

    def call(self, **arguments: Any) -> Timing:
        """Call the peer's function and return the time it took inside the other process.

        Raises
        ------
        BenchmarkError
            When the process has ended or the function failed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or "{}")
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"The peer's process does not answer ({error}): run its script by hand.") from None
        if "wall" not in answer:
            reason = answer.get("error", "its process ended")
            raise BenchmarkError(f"The peer could not be measured ({reason}): run its script by hand.")
        return Timing(answer["wall"], answer["cpu"])

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()


def serve(function: Callable[..., Any]) -> None:
    """In the peer's script: answer calls from a :class:`Worker` until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer prints must not mix with the answers
    for line in sys.stdin:
        arguments = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            function(**arguments)
            answer: dict[str, Any] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
