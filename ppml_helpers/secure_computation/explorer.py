"""The explorer of chapter 09: what a coalition makes of its shares, and what a protocol costs over a line."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets as W
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures, words
from ppml_helpers.errors import ComputationError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.secure_computation.costs import Protocol, counted, measured, seconds_on_line
from ppml_helpers.secure_computation.shares import REPEATS, RINGS, Coalition, coalition

PATIENTS = 2_276  # all test patients
_BINS = 32
_LOOKS = (("utility", "o"), ("baseline", "s"), ("control", "^"), ("leak", "D"))


@dataclass(frozen=True)
class Shown:
    """What one setting of the knobs shows."""

    coalition: Coalition
    latency: float
    lines: tuple[tuple[Protocol, float], ...]  # each protocol and its seconds at this latency


class SharesExplorer(Explorer):
    """Choose who shares what with whom, who colludes, and how slow the line is.

    Left: the value is shared 2,000 times anew, and the coalition puts its shares together each time. Right: seconds
    that a line adds, computed from rounds and bytes which were counted in runs of the real protocols; a star where the
    kit's benchmark measured one on a line that is really slow.
    """

    title = "Who must collude, and what a slow line costs"

    def controls(self) -> dict[str, W.Widget]:
        """Return the six knobs."""
        rings = [(f"{ring:,}", ring) for ring in RINGS]
        return {
            "value": W.IntSlider(63, 0, RINGS[0] - 1, description="secret value", continuous_update=False, **LOOK),
            "parties": W.IntSlider(3, 2, 8, description="parties", continuous_update=False, **LOOK),
            "threshold": W.IntSlider(3, 1, 8, description="needed", continuous_update=False, **LOOK),
            "members": W.IntSlider(2, 1, 8, description="collude", continuous_update=False, **LOOK),
            "ring": W.Dropdown(options=rings, value=RINGS[0], description="modulo", **LOOK),
            "latency": log_slider("latency, ms", 10.0, -1, 2.5, 0.1),
        }

    def compute(self, progress: Progress, latency: float, **sharing: int) -> Shown:
        """Share the value again and again, and time the counted rounds."""
        for name in ("threshold", "members"):
            if sharing[name] > sharing["parties"]:
                word = "needed" if name == "threshold" else "collude"
                raise ComputationError(
                    f"{word} = {sharing[name]} of {sharing['parties']} parties cannot be: lower it, or add parties."
                )
        progress(0.2, "sharing the value")
        seen = coalition(**sharing)
        progress(0.5, "counting rounds and bytes")
        lines = tuple(
            (protocol, seconds_on_line(protocol.crossings, protocol.bytes(PATIENTS), latency)) for protocol in counted()
        )
        return Shown(seen, latency, lines)

    def draw(self, figure: Figure, result: Shown) -> None:
        """Draw what the coalition gets, and seconds against latency."""
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        _draw_coalition(left, result.coalition)
        _draw_lines(right, result)

    def say(self, result: Shown) -> str:
        """Say whether the secret falls, and what the line costs."""
        seen = result.coalition
        needed = "all" if seen.threshold == seen.parties else str(seen.threshold)
        who = f"{seen.members} of {seen.parties} parties, where {needed} are needed,"
        if seen.falls:
            fate = f"{who} put their shares together and read {seen.value} each time"
        else:
            right = round(seen.right * REPEATS)
            fate = (
                f"{who} compute from their shares a number that is the secret in {right} of {REPEATS:,} repetitions "
                f"({REPEATS / seen.ring:.2g} by chance), and looks the same for another secret"
            )
        costs = words.listed(f"{protocol.name} {_time(seconds)}" for protocol, seconds in result.lines)
        return (
            f"{fate[0].upper()}{fate[1:]}. At {result.latency:.3g} ms a message and 100 Mbit/s, the line adds for "
            f"{PATIENTS:,} patients: {costs}."
        )


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"


def _draw_coalition(axis: Axes, seen: Coalition) -> None:
    """Draw what the coalition computes for this secret, and the outline of the same for another secret."""
    figures.style(axis)
    edges = np.linspace(0, seen.ring, _BINS + 1)
    colour = figures.COLOURS["leak" if seen.falls else "utility"]
    axis.hist(seen.guesses, bins=edges, color=colour, alpha=0.75)
    axis.hist(seen.others, bins=edges, histtype="step", color=figures.COLOURS["promise"], linewidth=1.2)
    axis.axvline(seen.value, color=figures.COLOURS["leak"], linestyle=":", linewidth=2)
    top = axis.get_ylim()[1] * 1.3
    axis.set(xlim=(0, seen.ring), ylim=(0, top), yticks=[])
    side = "left" if seen.value < seen.ring / 2 else "right"
    axis.text(seen.value, top * 0.98, " the secret ", ha=side, va="top", fontsize=10, color=figures.COLOURS["leak"])
    axis.set_xlabel("what the colluding parties compute", fontsize=10)
    axis.set_ylabel(f"{REPEATS:,} sharings", fontsize=10)
    said = "the secret falls" if seen.falls else "filled: this secret; outline: another"
    axis.set_title(said, fontsize=10, loc="left")


def _draw_lines(axis: Axes, result: Shown) -> None:
    """Draw the seconds of each protocol over the latency, and the present latency as dots."""
    figures.style(axis)
    latencies = np.geomspace(0.1, 300, 60)
    for (protocol, seconds), (look, marker) in zip(result.lines, _LOOKS, strict=True):
        sent = protocol.bytes(PATIENTS)
        times = [seconds_on_line(protocol.crossings, sent, latency) for latency in latencies]
        axis.plot(latencies, times, color=figures.COLOURS[look], linewidth=2)
        name = f"{protocol.name.split(' (')[0].split(':')[0]}, {words.counted(protocol.rounds, 'round')}"
        axis.plot(result.latency, seconds, marker, color=figures.COLOURS[look], markersize=8, label=name)
    for one in measured():
        star = axis.plot(one.latency, one.seconds, "*", markerfacecolor="white", markeredgecolor="black", markersize=11)
    if measured():
        star[0].set_label("measured on such a line")
    handles, names = axis.get_legend_handles_labels()
    look = {"loc": "upper left", "fontsize": 10, "frameon": False, "labelspacing": 0.25, "handletextpad": 0.2}
    axis.legend(handles[::-1], names[::-1], **look)
    axis.set(xscale="log", yscale="log", xlim=(0.1, 300), ylim=(1e-4, 5e4))
    axis.set_xticks((0.1, 1, 10, 100), ("0.1", "1", "10", "100"))
    axis.set_yticks((1e-3, 1e-2, 0.1, 1, 10, 100), ("1 ms", "10 ms", "0.1 s", "1 s", "10 s", "100 s"))
    axis.minorticks_off()
    axis.set_xlabel("latency of a message, ms", fontsize=10)
    axis.set_title(f"what the line adds, {PATIENTS:,} patients", fontsize=10, loc="left")
