"""The pictures of chapters 06 and 06b."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.stats import norm

from ppml_helpers import figures
from ppml_helpers.membership import AttackResult
from ppml_helpers.words import percent

_LEAST = 1e-4  # where the axes of small shares begin
_LOOKS = (("leak", "-", "D"), ("baseline", "--", "s"), ("control", ":", "o"))
_DARK = {"baseline": "#595959", "control": "#9A6700"}  # for text on white

LABELS = ((0.0012, 0.2), (0.16, 0.07), (0.006, 0.0016))
"""Where the names of the three curves of `draw_roc` stand: strongest attack, another, control."""


def draw_roc(curves: Mapping[str, AttackResult]) -> figures.Picture:
    """Draw how many members are found against how many others are accused, on two logarithmic axes.

    Parameters
    ----------
    curves : mapping of str to AttackResult
        The strongest attack, another one, and the control, by name.

    Returns
    -------
    Picture
    """
    figure, (axis,) = figures.new_figure(size=(7, 3.3))
    for (name, curve), (colour, line, marker), place in zip(curves.items(), _LOOKS, LABELS, strict=True):
        look = {"color": figures.COLOURS[colour], "linestyle": line}
        axis.step(curve.fpr.clip(_LEAST), curve.tpr.clip(_LEAST), where="post", linewidth=2, **look)
        axis.plot(0.001, curve.at_1_in_1000.tpr, marker, color=look["color"], markersize=8, clip_on=False)
        axis.text(*place, name, color=_DARK.get(colour, look["color"]), fontsize=10)
    axis.plot([_LEAST, 1], [_LEAST, 1], color=figures.COLOURS["baseline"], linewidth=1)
    axis.axvline(0.001, color="black", linestyle=":", linewidth=0.8)
    axis.set(xscale="log", yscale="log", xlim=(_LEAST, 1), ylim=(_LEAST, 1.1))
    axis.set(xlabel="false alarms (share of the others)", ylabel="members found (share)")
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    said = "; ".join(f"{name} {percent(curve.at_1_in_1000.tpr, 1)}" for name, curve in curves.items())
    return figures.Picture(figure, f"Members found at 0.1 % false alarms: {said}.")


def draw_person(axis: Axes, scores: NDArray[np.float64], inside: NDArray[np.bool_], bar: float | None = None) -> None:
    """Draw one person's log-odds in models trained with them and without, a dot each, and the normal curves that fit.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    scores : ndarray, shape (models,)
    inside : ndarray of bool, shape (models,)
    bar : float, optional
        The threshold of an attack that asks the same of everybody.
    """
    for side, row, colour, marker in ((inside, 1, "leak", "o"), (~inside, 0, "baseline", "s")):
        dots, look = scores[side], {"color": figures.COLOURS[colour]}
        axis.plot(dots, np.full(len(dots), row), marker, markersize=4, alpha=0.7, **look)
        places = np.linspace(dots.min() - 4, dots.max() + 4, 200)
        height = norm.pdf(places, dots.mean(), max(dots.std(ddof=1), 1e-3))
        axis.plot(places, row + 0.1 + 0.6 * height / height.max(), **look)
    axis.set(xlabel="log-odds of what happened", ylim=(-0.2, 1.95))
    axis.set_yticks([0.2, 1.2], ["without", "with"])
    if bar is not None:
        axis.axvline(bar, color="black", linestyle=":")
        axis.text(bar, 1.93, "threshold ", fontsize=10, ha="right", va="top")


def draw_found(cases: Mapping[str, tuple[float, float, float]]) -> figures.Picture:
    """Draw what two attacks find, and the control, a row for each kind of model, on a logarithmic axis.

    Parameters
    ----------
    cases : mapping of str to three floats
        Shares of members found at 0.1 % false alarms: likelihood ratio, one threshold, no leak.

    Returns
    -------
    Picture
    """
    figure, (axis,) = figures.new_figure(size=(7, 3.4))
    names = ("likelihood ratio", "one threshold", "no leak")
    for which, ((colour, _, marker), name) in enumerate(zip(_LOOKS, names, strict=True)):
        shares = [max(case[which], 3e-4) for case in cases.values()]
        look = {"color": figures.COLOURS[colour], "markersize": 8, "clip_on": False, "label": name}
        axis.plot(shares, np.arange(len(cases)), marker, markerfacecolor=None if which == 0 else "white", **look)
    for row, case in enumerate(cases.values()):
        last = max(case[0], *(share for share in case if share < 1.3 * case[0]), 3e-4)  # behind all markers here
        axis.annotate(percent(case[0], 2), (last, row), (9, -4), textcoords="offset points", fontsize=10)
    axis.axvline(0.001, color="black", linestyle=":", linewidth=1)
    axis.set(xscale="log", xlim=(3e-4, 1), ylim=(len(cases) - 0.5, -0.6))
    axis.set_yticks(range(len(cases)), list(cases))
    axis.set_xticks([0.001, 0.01, 0.1, 1], ["0.1 % (chance)", "1 %", "10 %", "100 %"])
    axis.set_xlabel("members found at 0.1 % false alarms")
    figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=3)
    said = "; ".join(f"{name} {percent(case[0], 2)}" for name, case in cases.items())
    return figures.Picture(figure, f"Members found by likelihood ratio at 0.1 % false alarms: {said}.")


def draw_bands(
    lines: Mapping[str, NDArray[np.float64]], bands: list[str], chosen: int | None = None
) -> figures.Picture:
    """Draw in what share of models patients are found, by how likely their end was; logarithmic, so that little shows.

    Parameters
    ----------
    lines : mapping of str to ndarray, shape (bands,)
        Shares: found, found where little leaks, accused in error.
    bands : list of str

    Returns
    -------
    Picture
    """
    figure, (axis,) = figures.new_figure(size=(7, 3.2))
    order = (_LOOKS[0], _LOOKS[2], _LOOKS[1])
    for (name, shares), (colour, line, marker) in zip(lines.items(), order, strict=True):
        look = {"color": figures.COLOURS[colour], "linestyle": line, "marker": marker}
        axis.plot(range(len(bands)), np.maximum(shares, 2e-4), label=name, clip_on=False, **look)
    axis.set(yscale="log", ylim=(2e-4, 1.2), xlabel="how likely was what happened to the patient")
    axis.set_yticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
    axis.set_ylabel("share of the models")
    axis.set_xticks(range(len(bands)), bands)
    figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=3)
    said = "; ".join(f"{name}: {', '.join(percent(s, 1) for s in shares)}" for name, shares in lines.items())
    return figures.Picture(figure, f"From the least likely end to the likeliest, {said}.")
