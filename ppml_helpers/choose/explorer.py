"""The explorer of chapter 11: knobs, drawing and sentence; what it computes is in `counting`."""

from __future__ import annotations

from typing import NamedTuple

import ipywidgets as W
import pandas as pd
from matplotlib.figure import Figure

from ppml_helpers import cohort, figures
from ppml_helpers.choose.counting import alone
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.words import percent

WIDTHS = (1, 2, 5, 10, 20, 40)


class Bands(NamedTuple):
    """One setting of the knob, and the share of patients who stand alone at each setting."""

    years: int
    shares: dict[int, float]


class ChooseExplorer(Explorer):
    """Turn the width of the age bands; see how many patients stand alone.

    Parameters
    ----------
    patients : DataFrame, optional
        The patients of the course by default.
    """

    title = "Who stands alone"

    def __init__(self, patients: pd.DataFrame | None = None) -> None:
        self._patients = cohort.load_patients() if patients is None else patients
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return the one knob."""
        return {"years": W.SelectionSlider(options=WIDTHS, value=1, description="age bands", **LOOK)}

    def compute(self, progress: Progress, years: int) -> Bands:
        """Count at every width; a long computation would call `progress` as it goes."""
        return Bands(years, {width: alone(self._patients, width) for width in WIDTHS})

    def draw(self, figure: Figure, result: Bands) -> None:
        """Draw the curve, and the present width as a filled dot."""
        axis = figure.subplots()
        figures.style(axis)
        shares = [100 * share for share in result.shares.values()]
        axis.plot(WIDTHS, shares, color=figures.COLOURS["leak"], linewidth=2)
        axis.plot(result.years, 100 * result.shares[result.years], "o", color=figures.COLOURS["leak"], markersize=9)
        axis.set(xlim=(0, 42), ylim=(0, None))
        axis.set_xlabel("width of an age band (years)", fontsize=10)
        axis.set_ylabel("patients who stand alone (%)", fontsize=10)

    def say(self, result: Bands) -> str:
        """Say what the dot shows."""
        share = percent(result.shares[result.years], 1)
        return (
            f"With age bands of {result.years} years, {share} of the patients share age, sex and diagnosis with nobody."
        )
