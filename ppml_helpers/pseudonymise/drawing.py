"""The picture that both chapters end with: two shares of the patients a row, as an attacker got them."""

from __future__ import annotations

from collections.abc import Mapping

from ppml_helpers import figures
from ppml_helpers.words import percent


def draw_shares(rows: Mapping[str, tuple[float, float]], names: tuple[str, str], what: str) -> figures.Picture:
    """Draw two shares a row, as a filled diamond and an open circle.

    Parameters
    ----------
    rows : mapping of str to pair of float
        Shares from 0 to 1, by what stands beside the row.
    names : pair of str
        What the first share of each row is, and the second.
    what : str
        What is measured, for the axis and the alternative text.

    Returns
    -------
    Picture
    """
    figure, (axis,) = figures.new_figure(size=(7, 1.4 + 0.42 * len(rows)))
    red = figures.COLOURS["leak"]
    for which, (marker, face) in enumerate((("D", red), ("o", "white"))):
        for row, shares in enumerate(rows.values()):
            share, place = 100 * shares[which], row + (-0.18, 0.18)[which]
            axis.hlines(place, 0, share, color=red, linewidth=1)
            label = names[which] if row == 0 else None
            axis.plot(share, place, marker, color=red, markerfacecolor=face, markersize=7, label=label)
            axis.annotate(percent(share / 100), (share, place), (8, -4), textcoords="offset points", fontsize=10)
    axis.set(xlim=(-2, 112), ylim=(len(rows) - 0.5, -0.5), xlabel=f"{what} (%)", xticks=range(0, 101, 25))
    axis.set_yticks(range(len(rows)), list(rows))
    figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=2)
    said = "; ".join(f"{row}: {percent(first)} and {percent(second)}" for row, (first, second) in rows.items())
    return figures.Picture(figure, f"{what.capitalize()}: {names[0]}, and {names[1]}. {said}.")
