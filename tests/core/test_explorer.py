"""`explorer`: the base of every explorer, with a small one made up for the purpose."""

from __future__ import annotations

import html
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as W
import numpy as np
import pytest
from matplotlib.figure import Figure

from ppml_helpers import explorer as base
from ppml_helpers.errors import ExplorerError, KitError, PrivacyParameterError
from ppml_helpers.explorer import Explorer, Progress, log_slider, on_page


class Squares(Explorer):
    """Squares a number; `gate` holds a computation back until a test lets it go."""

    title = "Squares <of numbers>"

    def __init__(self) -> None:
        self.computed: list[int] = []
        self.ended: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        return {
            "number": W.IntSlider(2, 0, 1000),
            "colour": W.Dropdown(options=[("Red", "red"), ("Blue", "blue")]),
            "mood": W.Dropdown(options=["good", "refused", "broken", "undrawable"]),
            "scale": W.FloatLogSlider(1.0, base=10, min=-2, max=1),
            "on": W.Checkbox(True),
        }

    def compute(self, progress: Progress, **values: Any) -> tuple[int, str]:
        self.computed.append(values["number"])
        if values["mood"] == "refused":
            raise PrivacyParameterError("mood is <refused>; choose a better one.")
        if values["mood"] == "broken":
            raise ZeroDivisionError("no <b>way</b>")
        while not self.gate.wait(0.005):
            progress(0.5, "half <way>")
        progress(1.0, "done")
        self.ended.append(values["number"])
        return values["number"] ** 2, values["mood"]

    def draw(self, figure: Figure, result: tuple[int, str]) -> None:
        if result[1] == "undrawable":
            raise RuntimeError("out of paint")
        axis = figure.subplots()
        axis.plot([0, 1], [0, result[0]], color="black")

    def say(self, result: tuple[int, str]) -> str:
        return f'The square is "{result[0]}" & <positive>.'


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread, a minute at most: the machine may be busy."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited a minute in vain"
        time.sleep(0.005)


def at_rest(explorer: Explorer) -> None:
    until(lambda: explorer._worker is None)


@pytest.fixture
def squares() -> Squares:
    return Squares()


# ---------------------------------------------------------------------------------------------------- driving it


def test_set_computes_and_returns_itself(squares: Squares) -> None:
    assert squares.result == (4, "good")  # the first look computes by itself
    assert squares.set(number=7) is squares
    assert squares.result == (49, "good")
    assert squares.sentence == 'The square is "49" & <positive>.'
    squares.set(number=1000, scale=np.float32(0.5)).set(number=0, scale=0.01).set(scale=10)  # both ends of a range
    assert (squares.values["number"], squares.values["scale"]) == (0, 10)


def test_results_are_remembered_and_forgotten(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_REMEMBERED", 3)
    for number in (1, 2, 3, 1, 4, 2):
        squares.set(number=number)
    assert squares.computed == [1, 2, 3, 4, 2], "what was used last is kept, and no more than three"
    squares.forget()
    assert squares.result == (4, "good")
    squares.set(number=2)
    assert squares.computed == [1, 2, 3, 4, 2, 2]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("numbr", 3, "Squares has no knob 'numbr'; it has number, colour, mood, scale, on."),
        ("number", 1001, "number = 1001 must be a whole number from 0 to 1,000: choose one."),
        ("number", 2.5, "number = 2.5 must be a whole number"),
        ("colour", "Red", "colour = 'Red' is not on offer: choose one of 'red', 'blue'."),
        ("mood", np.array([1, 2]), "mood = array([1, 2]) is not on offer"),
        ("mood", "refused", "choose a better one"),  # by compute
        ("scale", 10.1, "scale = 10.1 must be a finite number from 0.01 to 10"),
        ("on", "perhaps", "on = 'perhaps' does not suit this knob"),
    ],
)
def test_set_refuses_what_a_widget_would_clamp(squares: Squares, name: str, value: object, sentence: str) -> None:
    before = squares.set(number=5)._png
    with pytest.raises(KitError, match=re.escape(sentence)):
        squares.set(**{name: value})
    assert squares.result == (25, "good")
    assert squares._png == before
    assert squares.values["number"] == 5
    with pytest.raises(ExplorerError, match=r"write set\(number="):
        squares.set(3)


def test_an_explorer_must_be_complete() -> None:
    with pytest.raises(TypeError, match=r"Explorer has no controls\(\)"):
        Explorer()


# ---------------------------------------------------------------------------------------------------- the page


def test_all_three_forms_are_displayed(squares: Squares) -> None:
    data, metadata = squares._repr_mimebundle_()
    assert set(data) == {"image/png", "text/html", "text/plain", "application/vnd.jupyter.widget-view+json"}
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"] == squares.sentence == metadata["image/png"]["alt"]
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == squares._box.model_id
    page = squares._image.value
    assert html.unescape(re.search(r'<img alt="([^"]*)"', page)[1]) == squares.sentence
    assert "<positive>" not in page
    assert "Squares &lt;of numbers&gt;" in squares._box.children[0].value
    shown = [getattr(child, "children", (child,))[0] for child in squares._box.children[1].children]
    assert shown == list(squares._controls.values())


def test_the_same_setting_gives_the_same_bytes(squares: Squares) -> None:
    first = squares.set(number=9)._png
    assert squares.redraw() == first
    assert Squares().set(number=9)._png == first
    assert squares.set(number=10)._png != first


def test_a_logarithmic_slider_has_a_number_box_that_follows_and_leads() -> None:
    slider = log_slider("epsilon", 1.0, -2, 1, 0.1)
    box = on_page(slider).children[1]
    assert (box.description, box.value) == ("epsilon =", 1.0)
    slider.value = 10**-1.9
    assert box.value == 0.013
    assert slider.value == 10**-1.9  # showing two digits must not move the knob
    box.value = 0.5
    assert slider.value == 0.5
    box.value = 99  # the box itself keeps to the range
    assert slider.value == 10


@pytest.mark.parametrize(("low", "high"), [(-1, 1.5), (-1.25, 1.3), (-2, 1), (0.1, 0.3)])
def test_both_ends_of_a_logarithmic_slider_can_be_set_whatever_its_steps(low: float, high: float) -> None:
    class Echo(Squares):
        def controls(self) -> dict[str, Any]:
            return super().controls() | {"number": log_slider("number", 10.0**low, low, high, 0.4)}

    explorer = Echo()
    for end in (10**low, 10**high, float(f"{10**low:.9g}"), float(f"{10**high:.9g}")):
        assert explorer.set(number=end).values["number"] == pytest.approx(end, rel=1e-8)
    for beyond in (0.99 * 10**low, 1.01 * 10**high):
        with pytest.raises(ExplorerError, match="number = "):
            explorer.set(number=beyond)


# ---------------------------------------------------------------------------------------------------- in the browser


def turn(squares: Squares, **values: Any) -> None:
    """Move knobs as the browser does."""
    for name, value in values.items():
        squares._controls[name].value = value


def test_the_latest_change_wins(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PATIENCE", 600)  # however busy the machine is, the run at work counts as a short one
    for number in range(100, 200):
        turn(squares, number=number)
    at_rest(squares)
    assert squares.result == (199**2, "good")
    assert str(199**2) in squares._image.value
    squares.gate.clear()
    turn(squares, number=1)
    until(lambda: squares.computed[-1] == 1)
    for number in range(300, 400):
        turn(squares, number=number)
    squares.gate.set()
    at_rest(squares)
    assert squares.result == (399**2, "good")
    assert not set(range(300, 399)) & set(squares.computed)  # nobody waits for the settings in between


def test_a_long_run_ends_early_for_a_newer_wish(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PATIENCE", 0.02)
    squares.gate.clear()
    turn(squares, number=11)
    until(lambda: squares._work.layout.display == "flex")
    assert squares._bar.value == 0.5
    assert "half &lt;way&gt;" in squares._status.value
    turn(squares, number=12)
    until(lambda: 12 in squares.computed)
    assert 11 not in squares.ended
    squares.gate.set()
    at_rest(squares)
    assert squares.result == (144, "good")
    assert squares._work.layout.display == "none"
    assert squares._status.value == ""


def test_a_short_run_shows_no_progress_bar(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PATIENCE", 600)  # short by definition, however busy the machine is
    seen: list[str] = []
    squares._work.layout.observe(lambda change: seen.append(change["new"]), "display")
    turn(squares, number=13)
    at_rest(squares)
    assert "flex" not in seen


def test_stop_leaves_the_old_picture(squares: Squares) -> None:
    before = squares.set(number=8)._image.value
    squares.gate.clear()
    turn(squares, number=14)
    until(lambda: 14 in squares.computed)
    squares._stop.click()
    at_rest(squares)
    assert "Stopped: you pressed Stop. The picture still shows the setting before." in squares._status.value
    assert 'role="alert"' in squares._status.value
    assert squares._image.value == before
    assert squares.result == (64, "good")
    assert squares._work.layout.display == "none"
    squares.gate.set()
    turn(squares, number=15)
    at_rest(squares)
    assert squares.result == (225, "good")
    assert squares._status.value == ""


def test_what_goes_wrong_reaches_the_page(squares: Squares) -> None:
    before = squares.set(number=8)._image.value
    for mood, words in (
        ("refused", "This setting cannot be shown: mood is &lt;refused&gt;; choose a better one."),
        ("broken", "The computation failed (ZeroDivisionError: no &lt;b&gt;way&lt;/b&gt;"),
        ("undrawable", "The computation failed (RuntimeError: out of paint"),
    ):
        turn(squares, mood=mood)
        at_rest(squares)
        assert words in squares._status.value
        assert squares._image.value == before
    turn(squares, mood="good", number=9)
    at_rest(squares)
    assert squares.result == (81, "good")


def test_set_during_a_run_is_safe(squares: Squares) -> None:
    for number in range(20, 24):
        squares.gate.clear()
        turn(squares, number=number)
        until(lambda number=number: number in squares.computed)
        threading.Timer(0.02, squares.gate.set).start()
        squares.set(number=number + 500)
        assert squares.result == ((number + 500) ** 2, "good")
        at_rest(squares)
        # The run that was given up neither draws over the newer picture nor leaves a message behind.
        assert squares.result == ((number + 500) ** 2, "good")
        assert str((number + 500) ** 2) in squares._image.value
        assert squares._status.value == ""


def test_a_wish_overtaken_by_set_is_not_drawn_from_memory(squares: Squares) -> None:
    squares.set(number=5)
    with squares._computing:  # the worker takes its wish and waits for this
        turn(squares, number=2)
        turn(squares, number=5)
        until(lambda: squares._run is not None)
        squares.set(number=6)
    at_rest(squares)
    assert squares.result == (36, "good")


def test_forgetting_during_a_run_is_safe(squares: Squares) -> None:
    squares.gate.clear()
    turn(squares, number=31)
    until(lambda: 31 in squares.computed)
    squares.forget()
    squares.gate.set()
    at_rest(squares)
    assert squares.result == (961, "good")
    assert squares._status.value == ""


def alive() -> int:
    return len(W.widgets.widget._instances)


def test_a_cell_that_is_run_again_and_again_piles_up_no_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"cell": "a", "run": 0}
    monkeypatch.setattr(base, "_cell_that_runs", lambda: (place["cell"], place["run"]))
    monkeypatch.setattr(base, "_shown", {})
    shown = [Squares(), Squares()]
    [each._repr_mimebundle_() for each in shown]  # one cell may show two
    counts = []
    for place["run"] in range(1, 5):
        newest = Squares()
        view = newest._repr_mimebundle_()[0]
        counts.append(alive())
    assert len(set(counts)) == 1
    assert view[VIEW]["model_id"] == newest._box.model_id in W.widgets.widget._instances
    place["cell"] = "b"
    newest._repr_mimebundle_()  # what another cell shows too, stays open
    place["cell"], place["run"] = "a", 9
    Squares()._repr_mimebundle_()
    assert newest._box.comm is not None
    assert shown[0]._box.comm is None


def test_a_closed_explorer_is_shown_and_used_again(squares: Squares) -> None:
    squares.set(number=3).close()
    view = squares._repr_mimebundle_()[0]
    assert view[VIEW]["model_id"] == squares._box.model_id in W.widgets.widget._instances
    assert squares._controls["number"].comm is not None
    assert squares.set(number=4).result == (16, "good")


def test_an_exit_in_a_computation_does_not_end_the_explorer(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squares, "compute", lambda progress, **values: exit(3))
    squares._controls["number"].value = 7
    until(lambda: "SystemExit" in squares._status.value)
    monkeypatch.undo()
    squares._controls["number"].value = 8
    until(lambda: squares._sentence.startswith('The square is "64"'))


VIEW = "application/vnd.jupyter.widget-view+json"
