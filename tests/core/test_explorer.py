"""The base of every explorer, with a small one made up for the purpose, and the epsilon explorer itself."""

from __future__ import annotations

import html
import math
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as W
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import accounting, cohort, figures
from ppml_helpers import explorer as base
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.errors import ExplorerError, PrivacyParameterError
from ppml_helpers.explorer import Explorer, Progress, log_slider, on_page
from ppml_helpers.private_training import explorer as widget
from ppml_helpers.private_training.engine import RECIPES, train
from ppml_helpers.private_training.explorer import EpsilonExplorer


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
    """Wait for another thread, 10 s at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited 10 s in vain"
        time.sleep(0.005)


def at_rest(explorer: Explorer) -> None:
    until(lambda: explorer._worker is None)


@pytest.fixture
def squares() -> Squares:
    return Squares()


# ---------------------------------------------------------------------------------------------------- driving it


def test_set_computes_and_returns_itself(squares: Squares) -> None:
    assert squares.set(number=7) is squares
    assert squares.result == (49, "good")
    assert squares.values["number"] == 7
    assert squares.sentence == 'The square is "49" & <positive>.'


def test_the_first_look_computes_by_itself(squares: Squares) -> None:
    assert squares.result == (4, "good")
    assert Squares().sentence.startswith('The square is "4"')


def test_results_are_remembered_and_forgotten(squares: Squares) -> None:
    squares.set(number=3).set(number=4).set(number=3)
    assert squares.computed == [3, 4]
    squares.forget()
    assert squares.result == (9, "good")
    squares.set(number=3)
    assert squares.computed == [3, 4, 3]


def test_memory_is_bounded(squares: Squares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_REMEMBERED", 3)
    for number in (1, 2, 3, 4, 1):
        squares.set(number=number)
    assert squares.computed == [1, 2, 3, 4, 1]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("numbr", 3, "Squares has no knob 'numbr'; it has number, colour, mood, scale, on."),
        ("number", 1001, "number = 1001 is not a whole number from 0 to 1000; choose one in that range."),
        ("number", "3", "number = '3' is not a whole number from 0 to 1000"),
        ("number", math.nan, "number = nan is not a whole number"),
        ("number", True, "number = True is not a whole number"),
        ("number", 2.5, "number = 2.5 is not a whole number"),
        ("number", None, "number = None is not a whole number"),
        ("colour", "green", "colour = 'green' is not on offer; choose one of 'red', 'blue'."),
        ("colour", "Red", "colour = 'Red' is not on offer"),
        ("mood", None, "mood = None is not on offer"),
        ("scale", 0.0, "scale = 0.0 is not a number from 0.01 to 10"),
        ("scale", 10.1, "scale = 10.1 is not a number from 0.01 to 10"),
        ("scale", [1], r"scale = [1] is not a number"),
        ("on", "perhaps", "on = 'perhaps' does not suit this knob"),
    ],
)
def test_set_refuses_what_a_widget_would_clamp(squares: Squares, name: str, value: object, sentence: str) -> None:
    before = squares.set(number=5)._png
    with pytest.raises(ExplorerError, match=re.escape(sentence)):
        squares.set(**{name: value})
    assert squares.result == (25, "good")
    assert squares._png == before
    assert squares.values["number"] == 5


def test_numpy_numbers_and_both_ends_of_a_range_are_fine(squares: Squares) -> None:
    squares.set(number=1000, scale=np.float32(0.5))
    squares.set(number=0, scale=0.01)
    assert squares.set(scale=10).values["scale"] == 10


def test_set_raises_what_compute_refuses(squares: Squares) -> None:
    with pytest.raises(PrivacyParameterError, match="choose a better one"):
        squares.set(mood="refused")


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


def test_the_same_setting_gives_the_same_bytes(squares: Squares) -> None:
    first = squares.set(number=9)._png
    assert squares.redraw() == first
    assert Squares().set(number=9)._png == first
    assert squares.set(number=10)._png != first


def test_the_page_is_escaped(squares: Squares) -> None:
    page = squares.set(number=3)._image.value
    alt = re.search(r'<img alt="([^"]*)"', page)[1]
    assert html.unescape(alt) == squares.sentence
    assert "<positive>" not in page
    assert "Squares &lt;of numbers&gt;" in squares._box.children[0].value


def test_every_knob_is_on_the_page(squares: Squares) -> None:
    shown = [getattr(child, "children", (child,))[0] for child in squares._box.children[1].children]
    assert shown == list(squares._controls.values())


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


# ---------------------------------------------------------------------------------------------------- in the browser


def turn(squares: Squares, **values: Any) -> None:
    """Move knobs as the browser does."""
    for name, value in values.items():
        squares._controls[name].value = value


def test_a_moved_knob_is_computed_in_another_thread(squares: Squares) -> None:
    turn(squares, number=6)
    at_rest(squares)
    assert squares.result == (36, "good")
    assert "36" in squares._image.value


def test_the_latest_change_wins(squares: Squares) -> None:
    for number in range(100, 200):
        turn(squares, number=number)
    at_rest(squares)
    assert squares.result == (199**2, "good")
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


def test_a_short_run_shows_no_progress_bar(squares: Squares) -> None:
    seen: list[str] = []
    squares._work.layout.observe(lambda change: seen.append(change["new"]), "visibility")
    turn(squares, number=13)
    at_rest(squares)
    assert "visible" not in seen


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


def test_stop_without_a_run_does_nothing(squares: Squares) -> None:
    squares.set(number=2)
    squares._stop.click()
    assert squares.result == (4, "good")


def test_what_compute_refuses_reaches_the_page(squares: Squares) -> None:
    before = squares.set(number=8)._image.value
    turn(squares, mood="refused")
    at_rest(squares)
    assert "This setting cannot be shown: mood is &lt;refused&gt;; choose a better one." in squares._status.value
    assert squares._image.value == before


def test_an_unexpected_failure_reaches_the_page(squares: Squares) -> None:
    before = squares.set(number=8)._image.value
    for mood, words in (("broken", "ZeroDivisionError: no &lt;b&gt;way&lt;/b&gt;"), ("undrawable", "out of paint")):
        turn(squares, mood=mood)
        at_rest(squares)
        assert "The computation failed (" in squares._status.value
        assert words in squares._status.value
        assert squares._image.value == before
    turn(squares, mood="good", number=9)
    at_rest(squares)
    assert squares.result == (81, "good")


def test_set_during_a_run_is_safe(squares: Squares) -> None:
    for number in range(20, 28):
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


# ---------------------------------------------------------------------------------------------------- epsilon


@pytest.fixture(scope="module")
def split() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


@pytest.fixture(scope="module")
def explorer(split: cohort.Split) -> EpsilonExplorer:
    return EpsilonExplorer(split)


def synthetic(rows: int, noise: float, seed: int = 0) -> cohort.Split:
    """Somebody else's table: other columns, another label share."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(-1, 1, (rows, 4)), columns=list("abcd"))
    y = pd.Series((X["a"] + noise * rng.normal(size=rows) > 0.3).astype(int), name="relapse")
    return cohort.split(X, y, seed=0)


def test_the_numbers_are_those_of_training_directly(explorer: EpsilonExplorer, split: cohort.Split) -> None:
    result = explorer.set(epsilon=0.4, model="logistic regression", patients=6829, clipping_norm=0.3).result
    recipe = RECIPES["logistic regression"]
    for epsilon in (0.4, 10.0, math.inf):
        sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
        models = train(split.X_train, split.y_train, recipe, [sigma] * 5, range(5))
        expected = models.auc(split.X_test, split.y_test)
        np.testing.assert_allclose(result.aucs.loc[epsilon], expected, atol=1e-4)
    plain = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    expected = roc_auc_score(split.y_test, plain.decision_function(split.X_test))
    assert result.non_private == pytest.approx(expected, abs=1e-4)
    assert result.promise[0] == accounting.membership_accuracy(0.4)
    assert result.promise[1] == accounting.membership_power(0.4, 1e-5, 0.01)
    assert result.promise[2] == accounting.membership_power(0.4, 1e-5, 0.001)


def test_the_curve_holds_the_slider_value_and_the_control(explorer: EpsilonExplorer) -> None:
    epsilon = widget.SLIDER[4]
    assert epsilon not in widget.CURVE
    aucs = explorer.set(epsilon=epsilon).result.aucs
    assert list(aucs.index) == [*sorted({*widget.CURVE, epsilon}), math.inf]
    assert list(aucs.columns) == list(widget.SEEDS)
    assert explorer.result.present.tolist() == aucs.loc[epsilon].tolist()
    assert explorer.result.control == pytest.approx(aucs.loc[math.inf].mean())


def test_the_cost_is_that_of_every_noisy_model_on_show(explorer: EpsilonExplorer) -> None:
    result = explorer.set(epsilon=widget.SLIDER[4], model="logistic regression").result
    recipe = RECIPES["logistic regression"]
    trainings = [
        SampledGaussian(
            accounting.noise_multiplier(e, recipe.sample_rate, recipe.steps), recipe.sample_rate, recipe.steps
        )
        for e in result.aucs.index.drop(math.inf)
        for _ in widget.SEEDS
    ]
    assert result.cost == pytest.approx(accounting.compose(trainings), rel=1e-9)
    assert result.cost > 10
    explorer.redraw()
    assert f"Publishing the {len(trainings)} noisy models" in explorer._figure.texts[0].get_text()


def test_the_sentence_says_the_numbers(explorer: EpsilonExplorer) -> None:
    result = explorer.set(epsilon=1.0).result
    assert explorer.sentence.startswith("At epsilon 1 with 6,829 patients, logistic regression reaches a test AUC of ")
    for number in (f"{result.present.mean():.2f}", f"{result.non_private:.2f} without privacy", "73 times in 100"):
        assert number in explorer.sentence
    assert "2.7 % of the patients at 1 % false alarms" in explorer.sentence


def test_the_figure_is_labelled_and_marks_the_present_point(explorer: EpsilonExplorer) -> None:
    explorer.set(epsilon=1.0)
    curve, promise = explorer._figure.axes
    assert curve.get_ylabel() == "test AUC"
    assert curve.get_xlabel().startswith("epsilon")
    assert promise.get_xlabel()
    present = [line for line in curve.lines if line.get_markersize() == 10]
    assert len(present) == 1
    assert present[0].get_xdata()[0] == 1.0
    assert present[0].get_ydata()[0] == pytest.approx(explorer.result.present.mean())
    colours = [line.get_color() for line in curve.lines]
    assert figures.COLOURS["baseline"] in colours
    assert figures.COLOURS["control"] in colours


def test_few_patients_pay_more(explorer: EpsilonExplorer) -> None:
    def price(patients: int) -> float:
        result = explorer.set(epsilon=1.0, patients=patients, model="logistic regression").result
        return result.non_private - result.present.mean()

    assert price(300) > price(6829) + 0.05


@pytest.mark.parametrize("patients", [300, 6829])
def test_forgetting_trains_anew(explorer: EpsilonExplorer, patients: int) -> None:
    before = explorer.set(epsilon=3.1, patients=patients, model="logistic regression").result
    explorer.forget()
    assert not explorer._sweeps
    after = explorer.set(epsilon=3.1).result
    assert after is not before
    pd.testing.assert_frame_equal(after.aucs, before.aucs)


def test_the_ends_of_every_range(split: cohort.Split) -> None:
    explorer = EpsilonExplorer(cohort.split(*(part[:450] for part in (split.X_train, split.y_train)), seed=0))
    everybody = len(explorer._split.X_train)
    for model in RECIPES:
        for patients in (300, everybody):
            for norm in (widget.CLIPPING_NORMS[0], widget.CLIPPING_NORMS[-1]):
                for epsilon in (0.01, 10.0):
                    explorer.set(epsilon=epsilon, model=model, patients=patients, clipping_norm=norm)
                    result = explorer.result
                    assert (result.epsilon, result.patients, result.model) == (epsilon, patients, model)
                    assert result.aucs.to_numpy().min() >= 0
                    assert result.aucs.to_numpy().max() <= 1
                    assert math.isfinite(result.cost)
                    assert 0.5 <= result.promise[0] <= 1
                    assert f"epsilon {epsilon:.2g} " in explorer.sentence


def test_the_network_learns_at_a_mild_epsilon(explorer: EpsilonExplorer) -> None:
    result = explorer.set(model="MLP", epsilon=10.0, patients=2000, clipping_norm=1.0).result
    assert result.model == "MLP"
    assert result.present.mean() > 0.7
    assert result.non_private > 0.7


def test_other_peoples_tables() -> None:
    explorer = EpsilonExplorer(synthetic(2000, noise=0.05), delta=1e-4).set(epsilon=3.0)
    assert explorer.result.non_private > 0.95
    top = explorer._figure.axes[0].get_ylim()[1]
    assert top > explorer.result.non_private  # the picture makes room
    assert explorer.result.promise[0] == accounting.membership_accuracy(3.0, 1e-4)
    assert EpsilonExplorer(synthetic(400, noise=1.0))._controls["patients"].options[-1] == ("all 300", 300)


def test_a_small_table_is_refused() -> None:
    with pytest.raises(ExplorerError, match="there are 299 training patients; the explorer needs 300 or more"):
        EpsilonExplorer(synthetic(399, noise=1.0))
    with pytest.raises(ExplorerError, match="patients = 2000 is not on offer"):
        EpsilonExplorer(synthetic(1000, noise=1.0)).set(patients=2000)


def test_something_else_than_a_split_is_refused(split: cohort.Split) -> None:
    with pytest.raises(ExplorerError, match="DataFrame, not a Split"):
        EpsilonExplorer(split.X_train)


def test_a_value_without_its_knob_is_refused(squares: Squares) -> None:
    with pytest.raises(ExplorerError, match=r"write set\(number="):
        squares.set(3)


@pytest.mark.parametrize("delta", [0, 1, -1, math.nan])
def test_an_explorer_with_an_impossible_delta_is_refused(split: cohort.Split, delta: float) -> None:
    with pytest.raises(PrivacyParameterError, match="delta is"):
        EpsilonExplorer(split, delta=delta)


def test_an_array_is_no_choice(explorer: EpsilonExplorer) -> None:
    with pytest.raises(ExplorerError, match="not on offer"):
        explorer.set(model=np.array([1, 2]))
