"""The explorer of private training: accuracy against epsilon, and what epsilon promises."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import ipywidgets as W
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import accounting, checks, figures
from ppml_helpers.cohort import Split
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.private_training.curve import (
    CURVE,
    SEEDS,
    EpsilonResult,
    Tables,
    cost,
    drawn,
    promise,
    without_privacy,
)
from ppml_helpers.private_training.engine import RECIPES, Recipe, Sweep
from ppml_helpers.words import in_100

SLIDER = tuple(10 ** (k / 10) for k in range(-20, 11))
"""Every epsilon that the slider can stand on."""

PATIENTS = (300, 500, 1_000, 2_000, 4_000)
CLIPPING_NORMS = (0.03, 0.1, 0.3, 1.0, 3.0)


class EpsilonExplorer(Explorer):
    """Turn epsilon, the number of patients, the model and the clipping norm; every move trains real models.

    Parameters
    ----------
    split : Split
        Training and test patients (see `cohort.split`). The test patients stay the same throughout.
    delta : float
        Of the promise.
    """

    title = "Accuracy against epsilon"

    def __init__(self, split: Split, delta: float = accounting.DELTA) -> None:
        if not isinstance(split, Split):
            raise ExplorerError(
                f"the explorer was given a {type(split).__name__}, not a Split: give it cohort.split(X, y, seed=0)."
            )
        many, mend = len(split.X_train), "give it a larger table"
        checks.whole(many, "the number of training patients", min(PATIENTS), error=ExplorerError, mend=mend)
        accounting.check_training(delta=delta)
        self._split, self._delta = split, delta
        self._data: dict[int, Callable[[int], Tables]] = {}
        self._sweeps: dict[tuple[int, Recipe], Sweep] = {}
        self._non_private: dict[tuple[int, str], float] = {}
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return the four knobs."""
        everybody = len(self._split.X_train)
        counts = [(f"{n:,}", n) for n in PATIENTS if n < everybody] + [(f"all {everybody:,}", everybody)]
        return {
            "epsilon": log_slider("epsilon", 1.0, -2, 1, 0.1),
            "patients": W.SelectionSlider(options=counts, value=everybody, description="patients", **LOOK),
            "model": W.Dropdown(options=list(RECIPES), description="model", **LOOK),
            "clipping_norm": W.SelectionSlider(options=CLIPPING_NORMS, value=0.3, description="clipping norm", **LOOK),
        }

    def compute(
        self, progress: Progress, epsilon: float, patients: int, model: str, clipping_norm: float
    ) -> EpsilonResult:
        """Train five models at this epsilon, and whatever of the curve was not yet trained."""
        recipe = dataclasses.replace(RECIPES[model], clipping_norm=clipping_norm)
        data = self._data.setdefault(patients, drawn(self._split, patients))
        sweep = self._sweeps.setdefault((patients, recipe), Sweep(recipe, data, self._delta))
        epsilons = sorted({*CURVE, epsilon})
        aucs = sweep.run([*epsilons, math.inf], SEEDS, progress)
        if (patients, model) not in self._non_private:
            self._non_private[patients, model] = without_privacy(model, data)
        return EpsilonResult(
            epsilon=epsilon,
            patients=patients,
            model=model,
            aucs=aucs,
            non_private=self._non_private[patients, model],
            promise=promise(epsilon, self._delta),
            cost=cost(recipe, epsilons, self._delta),
        )

    def forget(self) -> None:
        """Drop every remembered result and every trained model."""
        super().forget()
        self._sweeps, self._non_private = {}, {}

    def draw(self, figure: Figure, result: EpsilonResult) -> None:
        """Draw the curve with the present point, and beside it what the promise allows."""
        figure.set_layout_engine("none")
        left = figure.add_axes((0.085, 0.27, 0.51, 0.64))
        right = figure.add_axes((0.665, 0.27, 0.30, 0.64))
        _draw_curve(left, result)
        _draw_promise(right, result)
        warning = (
            f"Publishing the {len(SEEDS) * (len(result.aucs) - 1)} noisy models of this curve would cost epsilon "
            f"{result.cost:.2g} in all.\n"
            "The grey and the orange line promise nothing: they are for comparison."
        )
        figure.text(0.01, 0.015, warning, fontsize=10, va="bottom")

    def say(self, result: EpsilonResult) -> str:
        """Say what this setting costs and buys."""
        present, (guess, at_one, _) = result.present, result.promise
        return (
            f"At epsilon {result.epsilon:.2g} with {result.patients:,} patients, {result.model} reaches a test AUC of "
            f"{present.mean():.2f} ({present.min():.2f} to {present.max():.2f} over {len(present)} trainings), against "
            f"{result.non_private:.2f} without privacy and {result.control:.2f} with clipping but no noise; if both "
            "were equally likely before, nobody who sees one such model guesses whether you were in the data right "
            f"more than {in_100(guess)} times in 100, or finds more than {in_100(at_one)} % of the patients at 1 % "
            "false alarms."
        )


def _draw_curve(axis: Axes, result: EpsilonResult) -> None:
    """Draw AUC over epsilon: band over seeds, mean, the present point, both reference lines."""
    figures.style(axis)
    curve = result.aucs.drop(index=math.inf)
    mean, blue = curve.mean(axis=1), figures.COLOURS["utility"]
    axis.fill_between(curve.index, curve.min(axis=1), curve.max(axis=1), color=blue, alpha=0.2, linewidth=0)
    axis.plot(curve.index, mean, color=blue, marker="o", markersize=4, markerfacecolor="white")
    axis.plot(result.epsilon, mean[result.epsilon], "o", color=blue, markersize=10)
    axis.axhline(result.non_private, color=figures.COLOURS["baseline"], linewidth=2)
    axis.axhline(result.control, color=figures.COLOURS["control"], linestyle="-.", linewidth=2)
    lines = [(result.non_private, "no privacy", "#666666"), (result.control, "clipping, no noise", "#8F6200")]
    (low, below, dark), (high, above, darker) = sorted(lines)
    axis.text(0.0095, high + 0.008, above, color=darker, fontsize=10, va="bottom")
    axis.text(0.0095, low - 0.01, below, color=dark, fontsize=10, va="top")
    lowest, highest = float(result.aucs.to_numpy().min()), max(float(result.aucs.to_numpy().max()), result.non_private)
    axis.set(xscale="log", xlim=(0.008, 12.5), ylabel="test AUC")
    axis.set_ylim(min(0.4, lowest - 0.02), max(0.88, highest + 0.04))  # the same for most settings, to compare by eye
    axis.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    axis.minorticks_off()
    axis.set_xlabel("epsilon (band: 5 trainings, min to max)", fontsize=10)
    axis.set_title(f"{result.model}, {result.patients:,} patients", fontsize=10, loc="left")


def _draw_promise(axis: Axes, result: EpsilonResult) -> None:
    """Draw the attacker's best possible success as bars, with plain chance marked on each."""
    figures.style(axis)
    names = ["guess right\n(chance 50 %)", "found at 1 %\nfalse alarms", "found at 0.1 %\nfalse alarms"]
    places, chances = np.arange(3)[::-1], (0.5, 0.01, 0.001)
    axis.barh(places, result.promise, height=0.34, color="white", edgecolor="black", linestyle="--", linewidth=1.2)
    axis.barh(places, chances, height=0.34, color=figures.COLOURS["baseline"])
    for place, share, name in zip(places, result.promise, names, strict=True):
        label = f"{100 * share:.2g} %" if share < 0.995 else "100 %"
        axis.text(min(share, 0.72) + 0.02, place, label, fontsize=10, va="center", weight="bold")
        axis.text(0.0, place + 0.23, name.replace("\n", " "), fontsize=10, va="bottom")
    axis.set(xlim=(0, 1), ylim=(-0.4, 2.7), yticks=[])
    axis.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axis.set_xlabel("share (grey: by chance)", fontsize=10)
    axis.set_title(f"the most that epsilon {result.epsilon:.2g} allows", fontsize=10, loc="left")
