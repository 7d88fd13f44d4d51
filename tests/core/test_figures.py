"""`figures`: the same bytes for the same drawing, nothing left open, and an alternative text."""

from __future__ import annotations

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
    assert figures.to_png(figure) == figures.to_png(drawing()) == first
    figure.axes[0].set_title("other")
    assert figures.to_png(figure) != first
    assert first.startswith(b"\x89PNG\r\n")
    assert b"matplotlib" not in first.lower()
    width, height = (int.from_bytes(first[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (770, 385)  # 7 x 3.5 inches at 110 dots an inch


def test_panels_and_their_look() -> None:
    figure, axes = figures.new_figure(ncols=3, size=(6, 2))
    assert len(axes) == 3 == len(figure.axes)
    assert figure.get_size_inches().tolist() == [6, 2]
    for axis in axes:
        assert not axis.spines["top"].get_visible()
        assert all(tick.get_fontsize() >= 10 for tick in axis.get_xticklabels())
        assert axis.get_axisbelow() is True
    assert len({*figures.COLOURS.values(), *figures.HOSPITAL_COLOURS}) == 9  # no colour has two meanings


def test_a_picture_brings_its_alternative_text_and_leaves_no_figure_open() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    alt = 'AUC rises from 0.5 to 0.8 & "stays" <there>'
    data, metadata = DisplayFormatter().format(figures.Picture(drawing(), alt=alt))
    assert data["text/plain"] == metadata["image/png"]["alt"] == alt
    assert data["image/png"] == figures.to_png(drawing())
    assert plt.get_fignums() == before


def test_a_game_shows_every_measurement() -> None:
    figure, (axis,) = figures.new_figure()
    with_patient, without_patient = np.linspace(0, 2, 30), np.linspace(-2, 0, 20)
    figures.draw_game(axis, with_patient, without_patient, "epsilon 1")
    dots = {len(line.get_xdata()): line for line in axis.lines}
    assert dots[30].get_color() != dots[20].get_color()
    assert dots[30].get_marker() != dots[20].get_marker()  # not by colour alone
    np.testing.assert_array_equal(dots[30].get_xdata(), with_patient)
    again, (axis,) = figures.new_figure()
    figures.draw_game(axis, with_patient, without_patient, "epsilon 1")
    assert figures.to_png(again) == figures.to_png(figure)
