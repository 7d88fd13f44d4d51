"""Write ``benchmarks/README.md`` and its picture from ``benchmarks/results/``: nothing else writes them.

    .venv/bin/python benchmarks/_page.py

Nothing is measured here. Only full runs are shown: what a quick one wrote stays on the machine that made it.
"""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
PICTURE = HERE / "growth.png"
TENFOLD = re.compile(r"(\w+): ([\d,]+) rows of (\d+), against ([\d,]+) of \3$")
SIZED = re.compile(r"([\d,]+) (rows|models|hospitals|scores), (.+)$")
MOST_MEMORY = 6e9  # bytes that a whole run of the tests may hold at once
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")

HEAD = """# Benchmarks

Written by `benchmarks/_page.py` from `benchmarks/results/`. Do not edit it: run the
script after `python3 kit.py bench`.

Each line is measured side by side in one run: ours, the peer, ours, the peer. The ratio is the median of the paired
ratios, with its quartiles (below 4 pairs: from the least to the most). It is the number to compare; seconds belong to
one machine and one hour.
A line that begins with "floor" has no rival for a peer, but the least that anybody would need for this work: its ratio
is ours as a multiple of it.
"peer/ours" says how many times as long the peer takes; "ours/peer" how many times as long ours takes.
The load is the number of processes that wanted a core when the run began: above the number of cores, wall times of both
sides are stretched, and the ratio of processor times is the better guide. Where there is no peer to compare with, a
run has a table of its own, or is not on this page.
"""


def load(results: Path = HERE / "results") -> list[dict[str, Any]]:
    """Return the full runs, by name."""
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(results.glob("*.json")):
        run = {} if ".quick." in path.name else json.loads(path.read_text(encoding="utf-8"))
        if run.get("comparisons") or "table" in run:
            runs[run["benchmark"]] = run
    return [runs[name] for name in sorted(runs)]


def not_measured(results: Path = HERE / "results") -> list[str]:
    """Return the benchmarks that have written no full run yet."""
    scripts = [path for path in sorted(HERE.glob("*.py")) if "from _frame import" in path.read_text("utf-8")]
    names = [path.stem.replace("_", "-") for path in scripts if not path.name.startswith("_")]
    return [name for name in names if not (results / f"{name}.json").is_file()]


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
    floor = "**floor**: " if comparison.get("floor") else ""
    cpu = summary["median_ratio_cpu"]
    cells = [
        f"{floor}{comparison['name']} ({comparison['unit']}; {comparison['note']})",
        f"{seconds[0]:.3g} s",
        f"{seconds[1]:.3g} s",
        f"{summary['median_ratio']:.3g} ({low:.3g} to {high:.3g})",
        f"{cpu:.3g}" if 1e-6 < cpu < 1e6 else "not known",
        f"{comparison['ratio']}, {summary['pairs']}",
        verdict(comparison),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def pairs(comparisons: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the table of what was measured side by side."""
    head = "| what (unit; how) | ours | peer | ratio (quartiles) | of processor times | which way, pairs | bound |"
    return [head, "|---|---|---|---|---|---|---|", *(row(one) for one in comparisons if one["ours"])]


def own_table(shown: dict[str, Any]) -> list[str]:
    """Return the lines of a table of a run's own."""
    rows = [shown["head"], ["---"] * len(shown["head"]), *shown["rows"]]
    return [f"| {' | '.join(cells)} |" for cells in rows]


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
        *(own_table(run["table"]) if "table" in run else pairs(run["comparisons"])),
        *(f"\n{note}" for note in run.get("notes", ())),
        f"\nMeasured {run['begun'][:10]}, {how}; {machine['processor']}, {machine['cores']} cores, load {load} at the "
        f"beginning. {versions}.",
    ]
    return "\n".join(lines) + "\n"


@dataclass
class Panel:
    """How the seconds of one benchmark grow: lines of (size, seconds) by name, the floor's among them."""

    over: str
    lines: dict[str, dict[int, float]] = field(default_factory=dict)

    def add(self, name: str, size: str, comparison: dict[str, Any], who: str) -> None:
        """Add a point to a line: the median of one side."""
        seconds = statistics.median(side["wall"] for side in comparison[who])
        self.lines.setdefault(name, {})[int(size.replace(",", ""))] = seconds


def growth(runs: list[dict[str, Any]]) -> dict[str, Panel]:
    """Return what grew over rows, models, hospitals or scores, by benchmark: read from the comparisons' names."""
    panels: dict[str, Panel] = {}
    for run in runs:
        first = ""
        for comparison in (one for one in run["comparisons"] if one["ours"]):
            if found := TENFOLD.match(comparison["name"]):  # its peer is ours at the smaller size
                panel = panels.setdefault(run["benchmark"], Panel("rows"))
                for size, who in ((found[4], "peer"), (found[2], "ours")):
                    panel.add(f"{found[1]}, {found[3]} columns", size, comparison, who)
            elif found := SIZED.match(comparison["name"]):
                panel, first = panels.setdefault(run["benchmark"], Panel(found[2])), first or found[3]
                if found[3] == first:
                    panel.add("ours", found[1], comparison, "ours")
                panel.add(("floor: " if comparison.get("floor") else "peer: ") + found[3], found[1], comparison, "peer")
    for panel in panels.values():
        panel.lines = {name: points for name, points in panel.lines.items() if len(points) > 1}
    return {name: panel for name, panel in panels.items() if panel.lines}


def alt(panels: dict[str, Panel]) -> str:
    """Return the sentences that say what the pictures show."""
    said = []
    for benchmark, panel in panels.items():
        told = []
        for name, points in panel.lines.items():
            few, many = min(points), max(points)
            ends = f"{points[few]:.2g} s for {few:,} {panel.over}, {points[many]:.2g} s for {many:,}"
            told.append(f"{name} ({ends})")
        said.append(f"{benchmark}: {'; '.join(told)}.")
    return "Seconds against size, all axes logarithmic. " + " ".join(said)


def suite(results: Path = HERE / "results") -> str:
    """Return what a whole run of the tests took, where that was watched (`_memory.py`)."""
    path = results / "suite.json"
    if not path.exists():
        return ""
    told = json.loads(path.read_text(encoding="utf-8"))
    held, bound = told["peak_bytes"] / 1e9, MOST_MEMORY / 1e9
    lines = [
        "## The tests\n",
        f"`{told['what']}`, in an environment that was there: {told['seconds_watched'] / 60:.1f} minutes, and at most "
        f"{held:.1f} GB in all its processes together (at most {bound:.0f} GB: "
        f"{'kept' if held <= bound else '**missed**'}), of which there were {told['most_processes']} at the most. "
        f"Watched on {told['day']}, load {told['load_before']:.1f} at the beginning.",
    ]
    return "\n".join(lines) + "\n"


def judges(results: Path = HERE / "results") -> str:
    """Return what the judges of the exercises refused of mutated solutions, where that was measured."""
    path = results / "judges.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))["exercises"]
    refused, passed = (sum(one["counts"][kind] for one in found.values()) for kind in ("refused", "let through"))
    worst = sorted(found, key=lambda name: (found[name]["share"], name))[:8]
    rows = [
        f"| {name} | {found[name]['share']:.0%} | {found[name]['counts']['refused']} | "
        f"{found[name]['counts']['let through']} |"
        for name in worst
    ]
    tried = {name.partition(".")[0] for name in found}
    every = [path.name.partition("_")[0] for path in sorted((HERE.parent / "notebooks").glob("*.ipynb"))]
    untried = ", ".join(number for number in every if number not in tried)
    lines = [
        "## judges\n",
        "Solutions of the exercises, changed as a slip would change them, against their judges "
        f"(`results/judges.json` holds every change that was let through). Of {refused + passed:,} wrong answers to "
        f"{len(found)} exercises of {len(tried)} chapters **{refused / max(1, refused + passed):.1%}** are refused. "
        f"{f'Not tried yet: chapters {untried}. ' if untried else ''}The weakest:\n",
        "| exercise | refused | answers refused | let through |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def page(runs: list[dict[str, Any]]) -> str:
    """Return the page."""
    missed = []
    for run in runs:
        for comparison in (one for one in run["comparisons"] if one["ours"]):
            if "missed" in (told := verdict(comparison)):
                why = comparison["facts"].get("why", "Why is not known yet.")
                missed.append(f"- {run['benchmark']}, {comparison['name']}: {told}. {why}")
    bounds = "## Bounds that are missed\n\n" + ("\n".join(missed) or "None of those stated, in the runs below.") + "\n"
    if missing := not_measured():
        bounds += f"\nWithout a full run so far, and so not on this page: {', '.join(missing)}.\n"
    panels = growth(runs)
    picture = f"## Growth\n\n![{alt(panels)}](growth.png)\n" if panels else ""
    return "\n".join(part for part in (HEAD, bounds, picture, *map(section, runs), judges(), suite()) if part)


def draw(panels: dict[str, Panel], path: Path = PICTURE) -> None:
    """Draw a panel for each benchmark that grows."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(9, 3.1 * rows), layout="constrained")
    places = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    for axes, (benchmark, panel) in zip(places, panels.items(), strict=False):
        for (name, points), colour in zip(panel.lines.items(), COLOURS, strict=False):
            look = "--" if name.startswith("floor") else "-" if ":" not in name else "-."
            axes.loglog(*zip(*sorted(points.items()), strict=True), look, marker="o", color=colour, label=name)
        axes.set(xlabel=panel.over, ylabel="seconds", title=benchmark)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    shown = load()
    PAGE.write_text(page(shown), encoding="utf-8")
    if growth(shown):
        draw(growth(shown))
