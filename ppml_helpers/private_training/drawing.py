"""The picture of the epsilon explorer: usefulness against what an attacker can do, and the game."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures, words
from ppml_helpers.private_training.setting import Shown, up

_TICKS = (0.001, 0.01, 0.03, 0.1, 0.5)  # above one half
_RIGHT = 0.59  # where the right half begins


def draw(figure: Figure, shown: Shown) -> None:
    """Draw the plane or the map, the game, the three numbers, and what a look at this curve would cost."""
    figure.set_layout_engine("none")
    is_map = shown.grid is not None
    left = figure.add_axes((0.1, 0.275, 0.41, 0.64 if is_map else 0.565))
    figures.style(left)
    (_draw_map if is_map else _draw_plane)(left, shown)
    _draw_game(figure.add_axes((_RIGHT, 0.66, 0.39, 0.25)), shown)
    _draw_numbers(figure.add_axes((_RIGHT, 0.13, 0.39, 0.40)), shown)
    band = f"Beads: epsilon. Band: {shown.trainings} trainings, min to max. Bar: test patients, 95 %. "
    band += "Grey, orange: no promise."
    price = (
        f"Publishing these {shown.models:,} noisy models would cost epsilon {up(shown.cost)} in all; figures and dots "
        "are outside it."
    )
    figure.text(0.01, 0.012, f"{price}" if is_map else f"{band}\n{price}", fontsize=10, va="bottom")


def _draw_plane(axis: Axes, shown: Shown) -> None:
    """Draw usefulness over the strongest attacker's right guesses, epsilon as beads."""
    curve, blue, black = shown.curve, figures.COLOURS["utility"], figures.COLOURS["promise"]
    here, there, mean = shown.allowed.exact - 0.5, shown.allowed.promise - 0.5, shown.present.mean()
    exact, promise = curve["exact"] - 0.5, curve["promise"] - 0.5
    axis.fill_between(exact, curve["low"], curve["high"], color=blue, alpha=0.2, linewidth=0)
    grey = axis.axhline(shown.non_private, color=figures.COLOURS["baseline"], linewidth=3)
    orange = axis.axhline(shown.control, color=figures.COLOURS["control"], linestyle="-.", linewidth=2)
    (solid,) = axis.plot(exact, curve["mean"], color=blue, marker="o", markersize=4, markerfacecolor="white")
    (dashed,) = axis.plot(promise, curve["mean"], "--", color=black, linewidth=1.2)
    axis.plot(there, mean, "s", color=black, markersize=6, markerfacecolor="white")
    axis.plot([here, here], shown.test_interval, color=blue, marker="_", markersize=10, linewidth=2)
    axis.plot(here, mean, "o", color=blue, markersize=10)
    axis.set(xscale="log", xlim=(3e-4, 0.62))
    axis.set_xticks(_TICKS, [f"{100 * (0.5 + tick):g}" for tick in _TICKS])
    axis.minorticks_off()
    _scale(axis, shown)
    _label_beads(axis, shown)
    axis.set_xlabel("right guesses of the strongest attacker, in 100", fontsize=10)
    names = ("this training", "the promise", "no privacy", "clipping, no noise")
    looks = {"fontsize": 10, "frameon": False, "handlelength": 1.6, "columnspacing": 1.0, "borderaxespad": 0.2}
    axis.legend([solid, dashed, grey, orange], names, ncols=2, loc="lower left", bbox_to_anchor=(-0.04, 1.0), **looks)


def _label_beads(axis: Axes, shown: Shown) -> None:
    """Write epsilon at the beads of powers of ten that are apart from each other and from what stands nearby."""
    bottom, top = axis.get_ylim()
    last = 0.0
    for epsilon, bead in shown.curve.drop(index=shown.asked.epsilon).iterrows():
        x, height = bead["exact"] - 0.5, (bead["mean"] - bottom) / (top - bottom)
        if not np.isclose(np.log10(epsilon) % 1, 0) or x < 2 * last or not 0.25 < height < 1:
            continue
        square = shown.allowed.promise - 0.5
        if height <= 0.8:
            offset, side = (7, -2), "left"
        else:  # below the bead, and away from the promise's square
            offset, side = (0, -7), "center" if not 0.5 < x / square < 2 else "left" if x > square else "right"
        place = {"textcoords": "offset points", "fontsize": 10, "ha": side, "va": "top"}
        axis.annotate(f"{epsilon:g}", (x, bead["mean"]), offset, **place)
        last = x


def _scale(axis: Axes, shown: Shown) -> None:
    """Show better as higher, and the line below which nobody needs a model."""
    values = [*shown.curve[["low", "high"]].to_numpy().ravel(), *shown.test_interval, shown.non_private, shown.control]
    if shown.measure.up:
        best, worst = max(values), min(*values, shown.nothing)
    else:
        best, worst = min(values), min(max(*values, shown.nothing), 1.5 * shown.nothing)  # hopeless ones run out
    axis.axhline(shown.nothing, color=figures.COLOURS["promise"], linestyle=":", linewidth=1)
    axis.text(0.55, shown.nothing, "one risk for all", fontsize=10, ha="right", va="bottom", color="#555555")
    margin = 0.06 * (best - worst)
    axis.set_ylim(worst - margin, best + margin)
    name = shown.asked.usefulness
    axis.set_ylabel(name if shown.measure.up else f"{name} (less is better)", fontsize=10)


def _draw_game(axis: Axes, shown: Shown) -> None:
    """Draw what the attacker read in each game."""
    figures.style(axis)
    played, releases = shown.played, shown.asked.releases
    each = "" if releases == 1 else f" of {words.counted(releases, 'model')}"
    figures.draw_game(axis, played.with_patient, played.without_patient, f"the game, played {played.games} times{each}")
    axis.set_xticks([])
    axis.set_xlabel("what the attacker reads (line: the guess)", fontsize=10)


def _draw_map(axis: Axes, shown: Shown) -> None:
    """Draw usefulness over patients and epsilon, with the line of what is wished."""
    grid = shown.grid
    counts, epsilons = np.array(grid.columns, dtype=float), np.array(grid.index, dtype=float)
    values = grid.to_numpy() if shown.measure.up else -grid.to_numpy()
    sign = 1 if shown.measure.up else -1
    low = max(values.min(), sign * shown.nothing)
    axis.pcolormesh(
        counts, epsilons, values, cmap="Blues", vmin=low, vmax=max(values.max(), low + 1e-6), shading="gouraud"
    )
    axis.set(xscale="log", yscale="log")
    wished = sign * shown.wished
    if values.min() < wished < values.max():
        axis.contour(counts, epsilons, values, [wished], colors=[figures.COLOURS["promise"]], linewidths=2)
    axis.plot(
        shown.asked.patients,
        shown.asked.epsilon,
        "o",
        markeredgecolor="black",
        markerfacecolor="white",
        markersize=10,
        clip_on=False,
    )
    few = [counts[0], 1_000, counts[-1]] if counts[0] < 700 and counts[-1] > 1_800 else [counts[0], counts[-1]]
    axis.set_xticks(few, [f"{int(n):,}" for n in few])
    axis.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    axis.minorticks_off()
    axis.set_xlabel("training patients", fontsize=10)
    axis.set_ylabel("epsilon of one model", fontsize=10)
    axis.set_title(f"{shown.asked.usefulness}: darker is better, line: {shown.wished:.2f}", fontsize=10, loc="left")


def _draw_numbers(axis: Axes, shown: Shown) -> None:
    """Draw the share measured, the one that this training allows, and the one that the promise allows."""
    played, limits, black = shown.played, shown.allowed, figures.COLOURS["promise"]
    low, high = (100 * end for end in played.interval)
    rows = (
        (f"measured: {100 * played.share:.0f} (95 %: {low:.0f} to {high:.0f})", played.share),
        (f"this training allows: {words.in_100(limits.exact)}", limits.exact),
        (f"the promise allows: {words.in_100(limits.promise)}", limits.promise),
    )
    axis.set(xlim=(40, 100), ylim=(-0.35, 3.45))
    axis.axis("off")
    axis.text(40, 3.0, "right in 100", fontsize=10, color="#555555")
    before = f"in it, of 100 named ({words.in_100(shown.asked.prior)})"
    axis.text(100, 3.0, before, fontsize=10, color="#555555", ha="right")
    for place, (text, share) in zip((2, 1, 0), rows, strict=True):
        axis.text(40, place + 0.28, text, fontsize=10, weight="bold" if place == 1 else "normal")
        axis.text(100, place + 0.28, words.in_100(shown.named(share)), fontsize=10, ha="right", weight="bold")
        axis.plot([50, 100], [place, place], color="#E5E5E5", linewidth=4, zorder=0)
        axis.plot([50, 50], [place - 0.12, place + 0.12], color=figures.COLOURS["baseline"], linewidth=2)
    axis.plot([low, high], [2, 2], color=figures.COLOURS["leak"], linewidth=2)
    axis.plot(100 * played.share, 2, "o", color=figures.COLOURS["leak"], markersize=8)
    axis.plot([50, 100 * limits.exact], [1, 1], color=black, linewidth=3)
    axis.plot([50, 100 * limits.promise], [0, 0], color=black, linewidth=2, linestyle="--")
