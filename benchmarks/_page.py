"""Write ``benchmarks/README.md`` and its picture from ``benchmarks/results/``: nothing else writes them.

    .venv/bin/python benchmarks/_page.py

Nothing is measured here. A benchmark's full run is shown, or its quick one, with a word that says so, where there is
no full run.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
PICTURE = HERE / "growth.png"
GROWTH = re.compile(r"(\w+): ([\d,]+) rows of (\d+), against ([\d,]+) of \3$")

HEAD = """# Benchmarks

Written by `benchmarks/_page.py` from `benchmarks/results/`. Do not edit it: run the
script after `python3 kit.py bench`.

Each line is measured side by side in one run: ours, the peer, ours, the peer. The ratio is the median of the paired
ratios, with its quartiles. It is the number to compare; seconds belong to one machine and one hour.
"peer/ours" says how many times as long the peer takes; "ours/peer" how many times as long ours takes.
The load is the number of processes that wanted a core when the run began: above the number of cores, wall times of both
sides are stretched, and the ratio of processor times is the better guide. Results that hold no comparison with a peer
are not on this page.
"""


def load(results: Path = HERE / "results") -> list[dict[str, Any]]:
    """Return the runs to show, by name: the full run of each benchmark, or the quick one where there is no other."""
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(results.glob("*.json"), key=lambda path: (".quick." in path.name, path.name)):
        run = json.loads(path.read_text(encoding="utf-8"))
        if run.get("comparisons"):
            runs.setdefault(run["benchmark"], run)
    return [runs[name] for name in sorted(runs)]


def verdict(comparison: dict[str, Any]) -> str:
    """Return the bound of a comparison and whether its median keeps it, judged anew from the pairs."""
    low, high = comparison["at_least"], comparison["at_most"]
    if low is None and high is None:
        return "none stated"
    median = statistics.median(ratios(comparison))
    kept = (low is None or median >= low) and (high is None or median <= high)
    stated = (("at least", low), ("at most", high))
    bounds = [f"{words} {bound:g}" for words, bound in stated if bound is not None]
    return f"{', '.join(bounds)}: {'kept' if kept else '**missed**'}"


def ratios(comparison: dict[str, Any], clock: str = "wall") -> list[float]:
    """Return the paired ratios, the way round that the comparison states."""
    pairs = zip(comparison["ours"], comparison["peer"], strict=True)
    if comparison["ratio"] == "ours/peer":
        return [ours[clock] / peer[clock] for ours, peer in pairs]
    return [peer[clock] / ours[clock] for ours, peer in pairs]


def row(comparison: dict[str, Any]) -> str:
    """Return one line of a benchmark's table."""
    summary = comparison["summary"]
    low, high = summary["quartiles"]
    seconds = [statistics.median(side["wall"] for side in comparison[who]) for who in ("ours", "peer")]
    cells = [
        f"{comparison['name']} ({comparison['unit']}; {comparison['note']})",
        f"{seconds[0]:.3g} s",
        f"{seconds[1]:.3g} s",
        f"{summary['median_ratio']:.3g} ({low:.3g} to {high:.3g})",
        f"{summary['median_ratio_cpu']:.3g}",
        f"{comparison['ratio']}, {summary['pairs']}",
        verdict(comparison),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def section(run: dict[str, Any]) -> str:
    """Return the part of the page that shows one benchmark."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    how = "a quick run, with fewer repeats" if run["quick"] else "a full run"
    how += "" if run["complete"] else ", **not complete**"
    load_before = run["load_before"]
    load = "not known here" if load_before is None else f"{load_before:.1f}"
    lines = [
        f"## {run['benchmark']}\n",
        f"{run['about']}\n",
        "| what (unit; how) | ours | peer | ratio (quartiles) | of processor times | which way, pairs | bound |",
        "|---|---|---|---|---|---|---|",
        *map(row, run["comparisons"]),
        f"\nMeasured {run['begun'][:10]}, {how}; {machine['processor']}, {machine['cores']} cores, load {load} at the "
        f"beginning. {versions}.",
    ]
    return "\n".join(lines) + "\n"


def growth(runs: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return (rows, median seconds) for each kind of ``anonymise-growth``, whose peer is ours at a smaller size."""
    lines: dict[str, dict[int, float]] = {}
    for run in runs:
        for comparison in run["comparisons"] if run["benchmark"] == "anonymise-growth" else ():
            found = GROWTH.match(comparison["name"])
            if found:
                points = lines.setdefault(f"{found[1]}, {found[3]} quasi-identifiers", {})
                for size, who in ((found[4], "peer"), (found[2], "ours")):
                    points[int(size.replace(",", ""))] = statistics.median(side["wall"] for side in comparison[who])
    return {name: sorted(points.items()) for name, points in lines.items()}


def alt(lines: dict[str, list[tuple[int, float]]]) -> str:
    """Return the sentence that says what the picture shows."""
    said = []
    for name, points in lines.items():
        (few, fast), (many, slow) = points[0], points[-1]
        said.append(f"{name}: {fast:.2g} s for {few:,} rows, {slow:.2g} s for {many:,}")
    return "Seconds against rows, both axes logarithmic. " + "; ".join(said) + "."


def page(runs: list[dict[str, Any]]) -> str:
    """Return the page."""
    missed = []
    for run in runs:
        for comparison in run["comparisons"]:
            if "missed" in (told := verdict(comparison)):
                why = comparison["facts"].get("why", "Why is not known yet.")
                missed.append(f"- {run['benchmark']}, {comparison['name']}: {told}. {why}")
    bounds = "## Bounds that are missed\n\n" + ("\n".join(missed) or "None of those stated, in the runs below.") + "\n"
    lines = growth(runs)
    picture = f"## Growth over rows\n\n![{alt(lines)}](growth.png)\n" if lines else ""
    return "\n".join(part for part in (HEAD, bounds, picture, *map(section, runs)) if part)


def draw(lines: dict[str, list[tuple[int, float]]], path: Path = PICTURE) -> None:
    """Draw the growth of the anonymisation over rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for (name, points), colour in zip(lines.items(), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=False):
        axes.loglog(*zip(*points, strict=True), marker="o", color=colour, label=name)
    axes.set(xlabel="rows", ylabel="seconds")
    axes.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    shown = load()
    PAGE.write_text(page(shown), encoding="utf-8")
    if growth(shown):
        draw(growth(shown))
