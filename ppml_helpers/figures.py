"""One look for every picture of the course: matplotlib figures without pyplot, as reproducible PNG.

Colours are those of Okabe and Ito (2008), "Color Universal Design", with one meaning each in every chapter.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = MappingProxyType(
    {
        "utility": "#0072B2",
        "leak": "#D55E00",
        "promise": "#000000",
        "control": "#E69F00",
        "baseline": "#999999",
    }
)
"""Meaning -> colour. Lines also differ in style or marker, so that nothing hangs on colour alone."""

HOSPITAL_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#F0E442")
"""Simulated hospitals, in their fixed order."""

DPI = 110
_SIZE = (7.0, 3.5)  # width and height in inches


def new_figure(
    ncols: int = 1,
    size: tuple[float, float] = _SIZE,
    width_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Make an empty figure in the course's style, of so many panels side by side; return it and its panels.

    pyplot is left out on purpose: it keeps every figure alive and shows it a second time in a notebook.
    """
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, ncols, squeeze=False, width_ratios=width_ratios)[0])
    for axis in axes:
        style(axis)
    return figure, axes


def style(axis: Axes) -> None:
    """Give one panel the course's look: text of 10 points, two spines, a faint grid behind the data."""
    axis.tick_params(labelsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(True, color="#E5E5E5", linewidth=0.6)
    axis.set_axisbelow(True)


def to_png(figure: Figure) -> bytes:
    """Render a figure; the same drawing gives the same bytes on one machine."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_html(png: bytes, alt: str, width: int) -> str:
    """Return a picture with its alternative text as one HTML element."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    text = html.escape(alt, quote=True)
    return f'<img alt="{text}" src="{source}" width="{width}" style="max-width:100%;height:auto">'


def bundle(png: bytes, alt: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a picture in every form that a notebook's readers need, the text for a terminal and strict comparison."""
    # The same PNG twice, because no one form serves all. JupyterLab prefers HTML to PNG, and its renderer of a PNG
    # output reads width and height from the metadata but no "alt" (true of 4.6; nbconvert does read it). Previews of
    # code hosts clean HTML, down to dropping pictures with a `data:` address (GitHub does in Markdown): they need PNG.
    data = {"text/html": to_html(png, alt, width), "image/png": png, "text/plain": alt}
    return data, {"image/png": {"alt": alt}}


class Picture:
    """A figure that a notebook shows together with its alternative text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What a colleague would say about the picture on the phone.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    def __repr__(self) -> str:
        """Return the alternative text."""
        return self.alt

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Offer the picture with its alternative text, see `bundle`."""
        return bundle(to_png(self.figure), self.alt, int(self.figure.get_figwidth() * self.figure.dpi))


def draw_game(axis: Axes, with_patient: Any, without_patient: Any, title: str) -> None:
    """Draw what an attacker measures on models trained with and without one patient.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    with_patient, without_patient : array_like, shape (games,)
        Measurements scaled so that without noise they are +1 and -1: the attacker guesses by the sign.
    title : str
    """
    rng = np.random.default_rng(0)  # spreads the dots upwards and downwards, nothing else
    rows = (("with", with_patient, 1, "leak", "o"), ("without", without_patient, 0, "baseline", "s"))
    for name, measured, row, colour, marker in rows:
        places = row + rng.uniform(-0.22, 0.22, len(measured))
        axis.plot(measured, places, marker, color=COLOURS[colour], markersize=3, alpha=0.6)
        axis.text(0.02, row + 0.27, name, transform=axis.get_yaxis_transform(), fontsize=10)
    axis.axvline(0, color=COLOURS["promise"], linestyle="--", linewidth=1)
    axis.set(ylim=(-0.35, 1.5), yticks=[])
    axis.set_title(title, fontsize=10, loc="left")
