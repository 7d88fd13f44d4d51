"""The explorer of chapter 00: what a promise of (epsilon, delta) means to the person behind a record."""

from __future__ import annotations

import ipywidgets as W
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import accounting, figures
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.start_here.limits import PRIOR, Promise, belief_after, promise
from ppml_helpers.words import in_100, one_in

DELTAS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
FALSE_ALARMS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5)

_FLOOR = 1e-3  # lowest share on the logarithmic axes: 0.1 %


class PromiseExplorer(Explorer):
    """Turn epsilon, delta and the attacker's share of false alarms; see the most that anyone can learn.

    Nothing is trained: these are limits that hold for every mechanism with this promise and for every attacker.
    """

    title = "What a promise of epsilon means"

    def controls(self) -> dict[str, W.Widget]:
        """Return the three knobs."""
        shares = [(f"{100 * share:g} %", share) for share in FALSE_ALARMS]
        return {
            "epsilon": log_slider("epsilon", 1.0, -2, 1, 0.1),
            "false_alarms": W.SelectionSlider(options=shares, value=0.01, description="false alarms", **LOOK),
            "delta": W.Dropdown(
                options=[(one_in(delta), delta) for delta in DELTAS],
                value=accounting.DELTA,
                description="delta",
                **LOOK,
            ),
        }

    def compute(self, progress: Progress, epsilon: float, false_alarms: float, delta: float) -> Promise:
        """Compute the limits from the exact trade-off of (epsilon, delta)."""
        return promise(epsilon, delta, false_alarms)

    def draw(self, figure: Figure, result: Promise) -> None:
        """Draw the best possible attacker, and what being named by that attacker does to a belief."""
        left, right = figure.subplots(1, 2)
        _draw_attacker(left, result)
        _draw_belief(right, result)

    def say(self, result: Promise) -> str:
        """Say the three limits in one sentence."""
        return (
            f"At epsilon {result.epsilon:.2g} and delta {one_in(result.delta)}, no guess about whether you were in "
            f"the data is right more than {in_100(result.guess)} times in 100 if both were equally likely before "
            f"(a coin: 50). An attacker who wrongly names {in_100(result.false_alarms)} in 100 of those outside names "
            f"at most {in_100(result.found)} in 100 of those inside. Whoever held it {in_100(PRIOR)} in "
            "100 likely that you were inside may, after their attack names you, hold it at most "
            f"{in_100(result.belief)} in 100 likely."
        )


def _draw_attacker(axis: Axes, result: Promise) -> None:
    """Draw the limit over the share of false alarms, the coin, and the present point."""
    figures.style(axis)
    alarms = np.geomspace(_FLOOR, 1, 200)
    limit = [accounting.membership_power(result.epsilon, result.delta, share) for share in alarms]
    axis.plot(alarms, alarms, color=figures.COLOURS["baseline"], linewidth=2)
    axis.plot(alarms, limit, "--", color=figures.COLOURS["promise"], linewidth=1.5)
    axis.plot(result.false_alarms, result.found, "o", color=figures.COLOURS["promise"], markersize=9)
    axis.text(0.97, 0.07, "grey: a coin", transform=axis.transAxes, ha="right", color="#666666", fontsize=10)
    axis.set(xscale="log", yscale="log", xlim=(_FLOOR, 1.1), ylim=(_FLOOR, 1.4))
    ticks, names = (0.001, 0.01, 0.1, 1), ("0.1 %", "1 %", "10 %", "100 %")
    axis.set_xticks(ticks, names)
    axis.set_yticks(ticks, names)
    axis.minorticks_off()
    axis.set_xlabel("named, of those outside (false alarms)", fontsize=10)
    axis.set_ylabel("named, of those inside", fontsize=10)
    axis.set_title("no attacker gets above the dashed line", fontsize=10, loc="left")


def _draw_belief(axis: Axes, result: Promise) -> None:
    """Draw the highest belief after being named against the belief before."""
    figures.style(axis)
    before = np.linspace(0, 1, 401)
    after = belief_after(before, result.found, result.false_alarms)
    axis.plot(before, before, color=figures.COLOURS["baseline"], linewidth=2)
    axis.plot(before, after, "--", color=figures.COLOURS["promise"], linewidth=1.5)
    axis.plot(PRIOR, result.belief, "o", color=figures.COLOURS["promise"], markersize=9)
    news = f"from {in_100(PRIOR)} % to {in_100(result.belief)} %"
    axis.text(0.97, 0.17, news, transform=axis.transAxes, ha="right", weight="bold", fontsize=10)
    axis.text(0.97, 0.07, "grey: learned nothing", transform=axis.transAxes, ha="right", color="#666666", fontsize=10)
    axis.set(xlim=(0, 1), ylim=(0, 1.04))
    names = ("0", "50 %", "100 %")
    axis.set_xticks((0, 0.5, 1), names)
    axis.set_yticks((0, 0.5, 1), names)
    axis.set_xlabel("belief that you were inside, before", fontsize=10)
    axis.set_ylabel("after being named, at most", fontsize=10)
    axis.set_title("what being named can do to a belief", fontsize=10, loc="left")
