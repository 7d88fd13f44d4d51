"""Pictures of the scoreboard: use against leak, and who must be trusted with what."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from ppml_helpers import figures
from ppml_helpers.choose.about import OWN, TRUSTED_WITH
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.errors import OutcomeError
from ppml_helpers.words import listed, percent

PARTIES = ("hospital", "server", "researcher")
_END = 4.0  # % of members found: a row beyond it is drawn at the edge, with its number
_FACES = dict(zip(TRUSTED_WITH, ("#D55E00", "#E69F00", "#9CC9E8", "#EEEEEE"), strict=True))


def use_and_leak(rows: Sequence[Row]) -> figures.Picture:
    """Draw a circle for each row with a model: AUC against members found, the larger the longer it took.

    Parameters
    ----------
    rows : sequence of Row

    Raises
    ------
    OutcomeError
        If no row has a model that was attacked.
    """
    shown = [row for row in rows if row.auc is not None and row.tpr_at_1_percent is not None]
    if not shown:
        raise OutcomeError("No row has a model that was attacked: there is nothing to draw; make the rows first.")
    shown.sort(key=lambda row: -row.auc)
    figure, (axis, key) = figures.new_figure(ncols=2, width_ratios=(1.05, 1))
    places = [(min(100 * row.tpr_at_1_percent, _END), row.auc) for row in shown]
    for row, (x, y) in zip(shown, places, strict=True):
        size = 25 + 60 * max(0.0, math.log10(1 + row.seconds))
        colour = figures.COLOURS["utility" if row.epsilon is not None else "leak"]
        marker = "s" if row.epsilon is not None else "o"
        axis.scatter(x, y, size, color=colour, alpha=0.45, marker=marker, edgecolors="black", linewidths=0.5)
        if 100 * row.tpr_at_1_percent > _END:
            axis.annotate(
                f"{percent(row.tpr_at_1_percent)} >", (x, y), (-12, -14), textcoords="offset points", fontsize=10
            )
    _number(axis, places)
    axis.axvline(1, color=figures.COLOURS["promise"], linestyle="--", linewidth=1)
    low = min(row.auc for row in shown)
    axis.set(xlim=(0.5, _END + 0.15), ylim=(low - 0.012, max(row.auc for row in shown) + 0.012))
    axis.set_xlabel("members found at 1 % false alarms (%)\ndashed: guessing", fontsize=10)
    axis.set_ylabel("AUC, new patients", fontsize=10)
    key.axis("off")
    lines = [f"{number:>2}  {row.technique}" for number, row in enumerate(shown, 1)]
    key.text(-0.08, 1.02, "\n".join(lines), va="top", fontsize=10, linespacing=1.07, transform=key.transAxes)
    return figures.Picture(figure, _said(shown))


def _number(axis: Axes, places: Sequence[tuple[float, float]]) -> None:
    """Write the number of each circle where no other number stands."""
    high = max(y for _, y in places) - min(y for _, y in places) + 0.024
    taken: list[tuple[float, float]] = []
    for number, (x, y) in enumerate(places, 1):
        tries = [(far * math.cos(angle), far * math.sin(angle)) for far in _RADII for angle in _ANGLES]
        spots = [(x + dx, y + dy * high / 3.2) for dx, dy in tries]
        free = [
            spot
            for spot in spots
            if all(_apart(spot, other, 0.25, high) for other in taken)
            and all(_apart(spot, other, 0.13, high) for other in places)
        ]
        spot = (free or spots)[0]
        taken.append(spot)
        axis.plot(*zip((x, y), spot, strict=True), color="#666666", linewidth=0.5)
        face = {"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"}
        axis.text(*spot, str(number), ha="center", va="center", fontsize=10, bbox=face)


_RADII = (0.18, 0.3, 0.42, 0.54)  # in % of members found
_ANGLES = [math.pi * step / 6 for step in (0, 11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6)]


def _apart(one: tuple[float, float], other: tuple[float, float], wide: float, high: float) -> bool:
    """Say whether what stands at two places can be told apart."""
    return abs(one[0] - other[0]) > wide or abs(one[1] - other[1]) > 0.06 * high


def _said(shown: Sequence[Row]) -> str:
    worst = max(shown, key=lambda row: row.tpr_at_1_percent)
    others = [row for row in shown if row is not worst]
    aucs = [row.auc for row in others]
    most = percent(max(row.tpr_at_1_percent for row in others), 1)
    slow = max(shown, key=lambda row: row.seconds).technique
    return (
        f"{len(shown)} models, use against leak. {worst.technique} gives {percent(worst.tpr_at_1_percent)} of its "
        f"members away, the others at most {most}; their AUC lies between {min(aucs):.2f} and {max(aucs):.2f}. "
        f"Squares have a promise, circles none; the largest took longest: {slow}."
    )


def who_is_trusted(rows: Sequence[Row]) -> figures.Picture:
    """Draw a line a technique and a column a party: with what it must be trusted, beyond what it has anyway.

    Parameters
    ----------
    rows : sequence of Row
    """
    shown = [row for row in rows if row.sees]
    if not shown:
        raise OutcomeError("There is no row to draw: make the rows first.")
    figure, (axis,) = figures.new_figure(size=(7, 0.5 + 0.166 * len(shown)))
    axis.grid(False)
    for line, row in enumerate(shown):
        for column, who in enumerate(PARTIES):
            wanted = [what for what in row.trusts.get(who, ()) if what not in OWN]
            word = wanted[0].partition(",")[0] if wanted else ""
            axis.barh(line, 0.96, 0.9, left=column - 0.48, color=_FACES.get(word, "white"))
            axis.text(column, line, word or "·", ha="center", va="center", fontsize=10)
    axis.set_yticks(range(len(shown)), [row.technique for row in shown], fontsize=10)
    axis.set_xticks(range(len(PARTIES)), ["other\nhospitals", "server", "researcher"], fontsize=10)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set(ylim=(len(shown) - 0.5, -0.5), xlim=(-0.5, len(PARTIES) - 0.5))
    axis.spines[["bottom", "left"]].set_visible(False)
    said = [f"{row.technique}: {_trusted(row)}" for row in shown]
    return figures.Picture(figure, f"Who must be trusted with what. {'; '.join(said)}.")


def _trusted(row: Row) -> str:
    """Return who is trusted with what, in few words."""
    entries = ((who, what) for who, every in row.trusts.items() for what in every if what not in OWN)
    return listed([f"{who} with {what.partition(',')[0]}" for who, what in entries]) or "nobody"
