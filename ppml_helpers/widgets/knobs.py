"""The look that all knobs share, and the number box beside a logarithmic slider."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import ipywidgets as W

LOOK = MappingProxyType({"style": {"description_width": "110px"}, "layout": {"width": "380px"}})
"""Keyword arguments that give knobs one width and their labels room."""


def log_slider(description: str, value: float, low_exponent: float, high_exponent: float, step: float) -> W.Widget:
    """Return a slider over powers of ten; the explorer puts a number box beside it.

    Parameters
    ----------
    description : str
        The visible label.
    value : float
    low_exponent, high_exponent, step : float
        The slider runs from ``10**low_exponent`` to ``10**high_exponent``.

    Returns
    -------
    ipywidgets.FloatLogSlider
    """
    return W.FloatLogSlider(
        value=value,
        base=10,
        min=low_exponent,
        max=high_exponent,
        step=step,
        description=description,
        readout=False,
        style=LOOK["style"],
        layout={"width": "232px"},
    )


def on_page(knob: W.Widget) -> W.Widget:
    """Return what stands on the page for a knob: itself, or a logarithmic slider with its number box.

    The slider of the widget library has no name that a screen reader could say, and announces the exponent in place
    of the value. The number box has a name, shows the value, and takes a typed one.

    Parameters
    ----------
    knob : ipywidgets.Widget

    Returns
    -------
    ipywidgets.Widget
    """
    if not isinstance(knob, W.FloatLogSlider):
        return knob
    box = W.BoundedFloatText(
        value=_short(knob.value),
        min=knob.base**knob.min,
        max=knob.base**knob.max,
        step=None,
        description=f"{knob.description} =",
        style={"description_width": "initial"},
        layout={"width": "142px"},
    )

    def follow(_: Any) -> None:
        box.value = _short(knob.value)

    def lead(_: Any) -> None:
        if box.value != _short(knob.value):
            knob.value = box.value

    knob.observe(follow, "value")
    box.observe(lead, "value")
    return W.HBox([knob, box], layout={"width": "382px"})


def _short(value: float) -> float:
    """Round to the two digits that pictures and sentences show."""
    return float(f"{value:.2g}")
