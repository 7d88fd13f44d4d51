"""k-anonymity from a table to a released table: our lattice against anjana, in one run.

Both start from the same table of text, with the same hierarchies, and end with a released table in memory: encoding,
search, generalisation and suppression are all timed, and ours checks its outcome again as it always does. anjana
generalises the quasi-identifier with most values until the demand is met; ours finds the node of least loss. What each
has lost is worked out by one function from the two released tables. anjana's carries a column `index` with the row
numbers of the original, which is dropped here (and would have to be before any release).

First ours alone, as rows grow tenfold from 10,000 to a million, and with eight quasi-identifiers for five: seconds of
the processor, and the peak of memory. No peer gets that far.

The rows are made up from the extract (`identities.scaled_up`) or drawn at random; no row is a patient.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from _frame import Benchmark, BenchmarkError, Comparison, Timing, Worker

from ppml_helpers import cohort
from ppml_helpers.anonymise import Hierarchy, Lattice, Released, Solution, mondrian, support2_hierarchies
from ppml_helpers.anonymise.bench import QUASI_IDENTIFIERS
from ppml_helpers.people import identities

# anjana pins numpy and pandas of another year, so it cannot live beside the kit.
PEER_REQUIREMENTS = [
    "anjana==1.2.3",
    "annotated-doc==0.0.7",
    "beartype==0.22.2",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "docutils==0.22.4",
    "markdown-it-py==4.3.0",
    "mdurl==0.1.2",
    "narwhals==2.29.0",
    "numpy==2.0.2",
    "pandas==2.3.3",
    "pillow==13.0.0",
    "pycanon==1.3.5",
    "Pygments==2.21.0",
    "pyreadstat==1.3.4",
    "python-dateutil==4.0.0",
    "pytz==2026.6",
    "reportlab==4.4.10",
    "rich==15.0.0",
    "scipy==1.15.3",
    "shellingham==1.5.4",
    "tabulate==0.8.10",
    "typer==0.23.2",
    "typing_extensions==4.15.0",
    "tzdata==2026.6",
]

QI = (*QUASI_IDENTIFIERS, "edu")  # of the chapter and its explorer, and one more, so that there is much to search
LIMIT = 0.05
BOUNDS = {8_000: 50, 100_000: 80}  # rows: how many times faster ours is to be
RUNS = {8_000: 20, 100_000: 5}  # of ours in a row, whose mean counts: one alone is too short to time on a busy machine
SIZES = (10_000, 100_000, 1_000_000)
Levels = dict[str, list[list[str]]]


def made_up(rows: int) -> tuple[pd.DataFrame, Levels]:
    """Return a table of text and the levels of its hierarchies, as both sides get them."""
    patients = cohort.load_patients()
    extract = identities.deidentified(patients, identities.identities(patients, seed=0))
    table = pd.DataFrame(identities.scaled_up(extract, rows, seed=0)[[*QI, "ca"]])
    hierarchies = support2_hierarchies(table[list(QI)])
    levels: Levels = {}
    for name, hierarchy in hierarchies.items():
        full = hierarchy.with_missing() if table[name].isna().any() else hierarchy
        levels[name] = [list(level) for level in full.levels]
        table[name] = full.generalise(table[name], 0)
    return table, levels


def ours(table: pd.DataFrame, levels: Levels, k: int) -> Released:
    """Anonymise from scratch."""
    hierarchies = {name: dict(enumerate(labels)) for name, labels in levels.items()}
    lattice = Lattice(table, QI, hierarchies)
    return lattice.apply(lattice.solve(k, LIMIT))


def loss(released: pd.DataFrame, levels: Levels, rows: int) -> float:
    """Work out the loss from a released table alone: mean penalty of a kept row, 1 for a suppressed one.

    Parameters
    ----------
    released : DataFrame
        Labels in the columns that `levels` names. A column's level is the lowest that has all its labels.
    levels : dict
        Labels of each base value at each level.
    rows : int
        Rows of the original.
    """
    penalty = 0.0
    for name, labels in levels.items():
        level = next(level for level in labels if set(released[name]) <= set(level))
        leaves = pd.Series(level).value_counts()
        penalty += released[name].map((leaves - 1) / (len(level) - 1)).astype(float).sum() / len(levels)
    return (penalty + rows - len(released)) / rows


def numbers(rows: int, columns: int) -> tuple[pd.DataFrame, dict[str, Hierarchy]]:
    """Return columns of 64 values each, drawn at random, and hierarchies of five levels."""
    rng = np.random.default_rng(0)
    names = [f"q{number}" for number in range(columns)]
    table = pd.DataFrame({name: rng.integers(0, 64, rows) for name in names})
    return table, dict.fromkeys(names, Hierarchy.bands(0, 63, (4, 16, 32)))


def searched(table: pd.DataFrame, hierarchies: dict[str, Hierarchy]) -> Solution:
    """Encode and search a table that nothing is known of yet."""
    return Lattice(table, list(table), hierarchies).solve(5, LIMIT)


def cut(table: pd.DataFrame, hierarchies: dict[str, Hierarchy]) -> Released:
    """Cut a table into boxes, and label and release it."""
    return mondrian(table, list(table), 5, hierarchies)


def growth() -> None:
    """Measure ours alone: ten times the rows twice, then eight quasi-identifiers for five."""
    with Benchmark("anonymise-growth", "Our lattice search and Mondrian, k = 5, as tables grow.") as benchmark:
        tables = {(rows, 5): numbers(rows, 5) for rows in SIZES} | {(100_000, 8): numbers(100_000, 8)}
        for call in (searched, cut):
            sizes = [*pairwise((rows, 5) for rows in SIZES), ((100_000, 5), (100_000, 8))]
            for small, large in sizes:
                result = benchmark.compare(
                    f"{call.__name__}: {large[0]:,} rows of {large[1]}, against {small[0]:,} of {small[1]}",
                    ours=lambda call=call, large=large: call(*tables[large]),
                    peer=lambda call=call, small=small: call(*tables[small]),
                    repeats=1,
                    unit="table",
                    note="64 values and 5 levels a quasi-identifier; the peer is ours at the smaller size",
                    ratio="ours/peer",
                    at_most=None if large[1] == 8 else 40,
                    warmup=0,
                )
                result.facts = {"processor_seconds": result.ours[0].cpu, "peak_megabytes": peak()}
                print("  " + ", ".join(f"{name} {value:.2f}" for name, value in result.facts.items()), flush=True)


def peak() -> float:
    """Return the most memory that this process has had, in megabytes (NaN where the system does not tell)."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Measure growth, compare at both sizes, and one move of the slider at the smaller one."""
    growth()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Worker("_anjana_peer.py") as worker,
        Benchmark("anonymise", "k-anonymity with 5 % suppression: our lattice against anjana.") as benchmark,
    ):
        for rows in (8_000,) if benchmark.quick else BOUNDS:
            table, levels = made_up(rows)
            folder = Path(scratch) / str(rows)
            folder.mkdir()
            table.to_csv(folder / "table.csv", index=False)
            (folder / "hierarchies.json").write_text(json.dumps(levels), "utf-8")
            worker.call(folder=str(folder))
            against_one_look(benchmark, table, levels)
            for k in (5, 10):
                from_scratch(benchmark, worker, folder, table, levels, k)
            if rows == 8_000:
                slider_move(benchmark, worker, folder, table, levels)


def from_scratch(
    benchmark: Benchmark, worker: Worker, folder: Path, table: pd.DataFrame, levels: Levels, k: int
) -> None:
    """Compare time and loss of one anonymisation.

    Raises
    ------
    BenchmarkError
        If our loss is the higher one.
    """
    released = ours(table, levels, k)
    runs = RUNS[len(table)]
    result = benchmark.compare(
        f"{len(table):,} rows, k = {k}",
        ours=lambda: mean_of(runs, lambda: ours(table, levels, k)),
        peer=lambda: worker.call(folder=str(folder), k=k, limit=LIMIT),
        repeats=(3 if benchmark.quick else 5) if len(table) < 50_000 else 2,
        unit="anonymisation",
        note=f"{_nodes(levels):,} nodes, {LIMIT:.0%} suppression; encode, search, apply; mean of {runs} of ours",
        at_least=BOUNDS[len(table)],
        warmup=0,
    )
    worker.call(folder=str(folder), save=True)
    record(result, released, folder, levels)


def against_one_look(benchmark: Benchmark, table: pd.DataFrame, levels: Levels) -> None:
    """Tell the search as a multiple of what every answer begins with: counting the groups of the table as it is."""
    runs = RUNS[len(table)]
    benchmark.floor(
        f"{len(table):,} rows, one look at the groups",
        ours=lambda: mean_of(runs, lambda: ours(table, levels, 5)),
        peer=lambda: mean_of(runs, lambda: table.groupby(list(QI), sort=False).size().min()),
        repeats=1 if benchmark.quick else 3,
        unit="anonymisation",
        note=f"the floor only counts, by pandas, how many rows look alike; ours looks at {_nodes(levels):,} nodes",
    )


def record(result: Comparison, released: Released, folder: Path, levels: Levels) -> None:
    """Put both losses into the result.

    Raises
    ------
    BenchmarkError
        If our loss is the higher one.
    """
    theirs = pd.read_csv(folder / "anjana.csv", dtype=str, keep_default_na=False).drop(columns="index", errors="ignore")
    result.facts = {
        "loss_ours": loss(released.table, levels, released.n),
        "loss_peer": loss(theirs, levels, released.n),
        "suppressed_ours": released.suppressed,
        "suppressed_peer": released.n - len(theirs),
    }
    print(f"  loss: ours {result.facts['loss_ours']:.4f}, anjana {result.facts['loss_peer']:.4f}", flush=True)
    if result.facts["loss_ours"] > result.facts["loss_peer"] + 1e-9:
        raise BenchmarkError(f"Our loss is higher at {result.name}: {result.facts}.")


def slider_move(benchmark: Benchmark, worker: Worker, folder: Path, table: pd.DataFrame, levels: Levels) -> None:
    """Compare a move of the k slider, with everything computed beforehand that can be, with anonymising anew."""
    hierarchies = {name: dict(enumerate(labels)) for name, labels in levels.items()}
    lattice = Lattice(table, QI, hierarchies).precompute()
    stops = iter(range(3, 100))
    benchmark.compare(
        f"{len(table):,} rows, one move of k",
        ours=lambda: mean_of(20, lambda: lattice.apply(lattice.solve(next(stops), LIMIT))),
        peer=lambda: worker.call(folder=str(folder), k=5, limit=LIMIT),
        repeats=1 if benchmark.quick else 3,
        unit="slider move",
        note="after precompute, another k each time, mean of 20; the peer can only begin again",
        warmup=0,
    )


def mean_of(runs: int, call: Callable[[], object]) -> Timing:
    """Return the mean time of several calls in a row."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(runs):
        call()
    return Timing((time.perf_counter() - wall) / runs, (time.process_time() - cpu) / runs)


def _nodes(levels: Levels) -> int:
    nodes = 1
    for labels in levels.values():
        nodes *= len(labels)
    return nodes


if __name__ == "__main__":
    main()
