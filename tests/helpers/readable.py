"""Whether a picture can be read: no text is small, cut off or overlapped."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from ppml_helpers.explorer import Explorer


def shown_texts(figure: Figure) -> list[tuple[Text, object]]:
    """Every text on a figure just drawn with its box in pixels; of the tick labels only those within their axis."""
    outside = set()
    for axis in figure.axes:
        for direction, (low, high) in ((axis.xaxis, sorted(axis.get_xlim())), (axis.yaxis, sorted(axis.get_ylim()))):
            on = axis.axison and direction.get_visible()
            for tick in [*direction.get_major_ticks(), *direction.get_minor_ticks()]:
                if not on or not low <= tick.get_loc() <= high:
                    outside |= {id(tick.label1), id(tick.label2)}
    texts = [text for text in figure.findobj(Text) if id(text) not in outside and text.get_visible()]
    return [(text, text.get_window_extent()) for text in texts if text.get_text().strip()]


def assert_readable(explorer: Explorer, least_texts: int = 6) -> None:
    figure = explorer._figure
    texts = shown_texts(figure)
    assert len(texts) >= least_texts
    width, height = figure.canvas.get_width_height()
    for text, box in texts:
        assert text.get_fontsize() >= 10, text.get_text()
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, f"{text.get_text()!r} runs beyond the picture"
    for (one, box), (other, box2) in itertools.combinations(texts, 2):
        apart = box.x1 <= box2.x0 + 1 or box2.x1 <= box.x0 + 1 or box.y1 <= box2.y0 + 1 or box2.y1 <= box.y0 + 1
        assert apart, f"{one.get_text()!r} and {other.get_text()!r} overlap"
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert 0.01 < (pixels < 200).any(axis=2).mean() < 0.5
