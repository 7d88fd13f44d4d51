"""`figures`: the same bytes for the same drawing, nothing left open, and an alternative text."""

from __future__ import annotations

import sys

import numpy as np
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure

from ppml_helpers import figures


def drawing() -> Figure:
    figure, axes = figures.new_figure(ncols=2, width_ratios=(2, 1))
    axes[0].plot([0, 1, 2], [3, 1, 2], color=figures.COLOURS["utility"], marker="o", label="AUC")
    axes[0].set(xlabel="epsilon", ylabel="AUC")
    axes[0].legend()
    axes[1].bar([0, 1], [1, 2], color=figures.COLOURS["leak"])
    return figure


def test_the_same_drawing_gives_the_same_bytes() -> None:
    figure = drawing()
    first = figures.to_png(figure)
    assert figures.to_png(figure) == first
    assert figures.to_png(drawing()) == first
    figure.axes[0].set_title("other")
    assert figures.to_png(figure) != first


def test_the_png_is_what_it_says() -> None:
    png = figures.to_png(drawing())
    assert png.startswith(b"\x89PNG\r\n")
    assert b"Software" not in png
    assert b"matplotlib" not in png.lower()
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (770, 385)  # 7 x 3.5 inches at 110 dots an inch


def test_no_figure_is_left_open() -> None:
    drawing()
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        import matplotlib.pyplot as pyplot
    before = pyplot.get_fignums()
    figures.Picture(drawing(), alt="two panels")._repr_mimebundle_()
    assert pyplot.get_fignums() == before


def test_panels_and_their_look() -> None:
    figure, axes = figures.new_figure(ncols=3, size=(6, 2))
    assert len(axes) == 3 == len(figure.axes)
    assert figure.get_size_inches().tolist() == [6, 2]
    for axis in axes:
        assert not axis.spines["top"].get_visible()
        assert not axis.spines["right"].get_visible()
        assert axis.spines["left"].get_visible()
        assert all(tick.get_fontsize() >= 10 for tick in axis.get_xticklabels())
        assert axis.get_axisbelow() is True


def test_no_colour_has_two_meanings() -> None:
    assert len({*figures.COLOURS.values(), *figures.HOSPITAL_COLOURS}) == 9


def test_a_picture_brings_its_alternative_text() -> None:
    alt = 'AUC rises from 0.5 to 0.8 & "stays" <there>'
    data, metadata = DisplayFormatter().format(figures.Picture(drawing(), alt=alt))
    assert data["text/plain"] == alt
    assert data["image/png"] == figures.to_png(drawing())
    assert metadata["image/png"]["alt"] == alt
    assert repr(figures.Picture(drawing(), alt=alt)) == alt


def test_a_game_shows_every_measurement_and_the_line_between() -> None:
    figure, (axis,) = figures.new_figure()
    with_patient, without_patient = np.linspace(0, 2, 30), np.linspace(-2, 0, 20)
    figures.draw_game(axis, with_patient, without_patient, "epsilon 1")
    dots = {len(line.get_xdata()): line for line in axis.lines}
    assert dots[30].get_color() == figures.COLOURS["leak"]
    assert dots[20].get_color() == figures.COLOURS["baseline"]
    assert dots[30].get_marker() != dots[20].get_marker()  # not by colour alone
    np.testing.assert_array_equal(dots[30].get_xdata(), with_patient)
    first = figures.to_png(figure)
    again, (axis,) = figures.new_figure()
    figures.draw_game(axis, with_patient, without_patient, "epsilon 1")
    assert figures.to_png(again) == first
