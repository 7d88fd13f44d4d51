"""The explorer of chapter 11, and the button that makes the scoreboard anew: knobs, drawing and sentences."""

from __future__ import annotations

import html
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as W
from matplotlib.figure import Figure

from ppml_helpers import figures
from ppml_helpers.choose import making, scoreboard
from ppml_helpers.choose.about import ABOUT
from ppml_helpers.choose.chooser import BYTES, PATIENTS, RULES, SECONDS, WEIGHTS, Choice, Setting, choose, sent
from ppml_helpers.choose.scoreboard import HELD, LEAVES, Row
from ppml_helpers.choose.techniques import A_YEAR, TECHNIQUES
from ppml_helpers.errors import OutcomeError
from ppml_helpers.explorer import Explorer, Progress, ProgressBar
from ppml_helpers.words import counted, listed, percent

_NARROW = {"style": {"description_width": "138px"}, "layout": {"width": "278px"}}
_HELD_IN_WORDS = {"one table": "one table", "rows": "parts by rows", "columns": "parts by columns"}
_SECONDS = {seconds: f"{seconds:g} s" for seconds in SECONDS if seconds < math.inf} | {math.inf: "any time"}
_PROMISES = {1.0: "epsilon 1", 3.0: "epsilon 3", 10.0: "epsilon 10", math.inf: "none wanted"}
_BYTES = {10**5: "0.1 MB", 10**7: "10 MB", 10**9: "1 GB"}
_A_YEAR = dict(zip(A_YEAR, ("once a year", "4 times a year", "every month", "every week"), strict=True))


class ChooseExplorer(Explorer):
    """Say what is asked for; see which techniques fall out, each with its reason, and how the rest rank.

    Parameters
    ----------
    rows : sequence of Row, optional
        By default those that come with the course.
    """

    title = "Which techniques are left"

    def __init__(self, rows: Sequence[Row] | None = None) -> None:
        self._rows = in_order(scoreboard.load(making.COMMITTED) if rows is None else rows)
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return the knobs."""
        start = Setting()
        options: dict[str, tuple[str, list[tuple[str, Any]]]] = {
            "leaves": ("what leaves", [(name, name) for name in LEAVES]),
            "held": ("the data are", [(_HELD_IN_WORDS[name], name) for name in HELD]),
            "patients": ("patients", [(f"{n:,}", n) for n in PATIENTS]),
            "hospitals": ("hospitals: trusted", [(_with(name), name) for name in ("nothing", "the rules", "records")]),
            "server": ("server: trusted", [(_with(name), name) for name in ("nothing", "the rules", "updates")]),
            "researcher": (
                "researcher: trusted",
                [(_with(name), name) for name in ("nothing", "the rules", "a model", "records")],
            ),
            "promise": ("promise for a year", [(text, value) for value, text in _PROMISES.items()]),
            "times": ("how often", [(text, value) for value, text in _A_YEAR.items()]),
            "seconds": ("time", [(f"at most {text}".replace("at most any", "any"), s) for s, text in _SECONDS.items()]),
            "bytes": ("bytes", [(f"at most {_BYTES[limit]}", limit) for limit in BYTES]),
            "weight": ("what counts", [(name, name) for name in WEIGHTS]),
        }
        return {
            name: W.Dropdown(description=label, options=offered, value=getattr(start, name), **_NARROW)
            for name, (label, offered) in options.items()
        }

    def compute(self, progress: Progress, **knobs: Any) -> Choice:
        """Ask the rules; that of few patients trains models the first time."""
        progress(0.1, "asking the rules; where a promise is made to few patients, models are trained")
        return choose(self._rows, Setting(**knobs))

    def draw(self, figure: Figure, result: Choice) -> None:
        """Draw a line a technique: those that are left with their AUC, the others with the reason."""
        axis = figure.subplots()
        figures.style(axis)
        axis.grid(axis="y", visible=False)
        names = [f"{rank}. {row.technique}" for rank, row in enumerate(result.left, 1)]
        names += [each.row.technique for each in result.fallen]
        beyond = axis.get_yaxis_transform()
        for line, row in enumerate(result.left):
            if row.auc is not None:
                axis.plot(row.auc, line, "o", color=figures.COLOURS["utility"], markersize=6)
                axis.hlines(line, *(row.auc_interval or (row.auc, row.auc)), color=figures.COLOURS["utility"])
            axis.text(1.03, line, _price(row), transform=beyond, va="center", fontsize=10)
        for line, each in enumerate(result.fallen, len(result.left)):
            axis.text(1.03, line, each.short, transform=beyond, va="center", fontsize=10, color="#666666")
        axis.set_yticks(range(len(names)), names, fontsize=10)
        for label in axis.get_yticklabels()[len(result.left) :]:
            label.set_color("#666666")
        axis.axhline(len(result.left) - 0.5, color=figures.COLOURS["promise"], linestyle="--", linewidth=1)
        axis.tick_params(axis="y", length=0)
        axis.set(xlim=(0.68, 0.85), xticks=[0.7, 0.75, 0.8], ylim=(len(names) - 0.4, -0.6))
        axis.set_xlabel("AUC; below the dashed line: why not", fontsize=10)
        figure.get_layout_engine().set(rect=(0, 0, 0.995, 1))

    def say(self, result: Choice) -> str:
        """Say how many are left, which is first, and what made the others fall."""
        wanted = f"{result.setting.leaves} from {_HELD_IN_WORDS[result.setting.held]}"
        total = len(result.left) + len(result.fallen)
        by = {rule: sum(each.rule == rule for each in result.fallen) for rule in RULES}
        out = listed([f"{count} by the rule on {rule}" for rule, count in by.items() if count])
        fell = f"; {out} fell out" if out else ""
        if not result.left:
            return f"None of {counted(total, 'technique')} gives {wanted} on these terms{fell}."
        first = result.left[0]
        figures_of = "" if first.auc is None else f" (AUC {first.auc:.2f}, {percent(first.tpr_at_1_percent, 1)} found)"
        give = "gives" if len(result.left) == 1 else "give"
        left = f"{len(result.left)} of {counted(total, 'technique')} {give} {wanted} on these terms"
        return f"{left}, ranked by {result.setting.weight}: first {first.technique}{figures_of}{fell}."


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Return rows in the order of the chapters."""
    order = list(ABOUT)
    return sorted(rows, key=lambda row: order.index(row.technique) if row.technique in order else len(order))


def _with(name: str) -> str:
    return f"with {name}"


def _price(row: Row) -> str:
    """Return leak and price of a row in few words."""
    found = "" if row.tpr_at_1_percent is None else f"{percent(row.tpr_at_1_percent, 1)} found, "
    seconds = "below 1 s" if row.seconds < 1 else f"{row.seconds:.0f} s"
    return f"{found}{seconds}, {sent(row.bytes)}"


class ScoreboardMaker:
    """A button that measures every technique on this machine, one that stops, and a bar; end a cell with it.

    The work runs in a process of its own, so that the kernel stays free and a stop ends whatever runs. Rows that are
    made are kept, and the next run goes on from there.

    Parameters
    ----------
    folder : str or Path, optional
        `making.own_folder` by default.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else making.own_folder()
        self.start = W.Button(description="Make the rows", icon="play", tooltip="Rows that are up to date are kept")
        self.fresh = W.Checkbox(value=False, description="also those that are up to date", indent=False)
        self.stop = W.Button(description="Stop", icon="stop", disabled=True, tooltip="What is made is kept")
        self.bar = ProgressBar("The scoreboard")
        self._told = W.HTML()
        self._process: subprocess.Popen[str] | None = None
        self._worker: threading.Thread | None = None
        self._box = W.VBox([W.HBox([self.start, self.stop, self.fresh]), self.bar._box, self._told])
        self.start.on_click(lambda _: self.run())
        self.stop.on_click(lambda _: self.end())

    def run(self) -> None:
        """Start, unless it runs already."""
        if self._worker is not None and self._worker.is_alive():
            return
        self.start.disabled, self.stop.disabled = True, False
        self._told.value = ""
        command = [sys.executable, "-m", "ppml_helpers.choose.making", str(self.folder)]
        command += ["--fresh"] if self.fresh.value else []
        # A kernel counts threads as it likes; the rows are made with one, as everywhere.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", env=environment
        )
        self._worker = threading.Thread(target=self._follow, args=(self._process,), daemon=True)
        self._worker.start()

    def end(self) -> None:
        """Stop; what is made is kept."""
        if self._process is not None and self._process.poll() is None:
            # Not by SIGINT: a kernel ignores it while it works for a button, and what it starts inherits that.
            self._process.terminate()

    def wait(self) -> ScoreboardMaker:
        """Wait for the end (for tests and scripts)."""
        if self._worker is not None:
            self._worker.join()
        return self

    def _follow(self, process: subprocess.Popen[str]) -> None:
        """Show each line of the program as it comes, and the rows at the end."""
        last = ""
        for line in process.stdout or ():
            last = line.strip() or last
            share, _, rest = last.partition(" %")
            if share.strip().isdigit():
                self.bar(int(share) / 100, rest.strip())
        code = process.wait()
        self.start.disabled, self.stop.disabled = False, True
        try:
            rows = in_order(scoreboard.load(self.folder))
        except OutcomeError as error:
            rows, last, code = [], str(error), 1
        said = f"{len(rows)} of {len(TECHNIQUES)} rows are in {self.folder}."
        said = f"Stopped. {said}" if code in (130, -signal.SIGTERM) else said if code == 0 else f"{last} {said}"
        table = scoreboard.table(rows).to_html(border=0) if rows else ""
        self._told.value = f'<p role="status">{html.escape(said)}</p>{table}'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Give the live buttons, and for places without a kernel one line that is the same in every run."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        said = f"Buttons that make the {len(TECHNIQUES)} rows on this machine, and stop: in JupyterLab."
        return {"text/plain": said, "application/vnd.jupyter.widget-view+json": view}
