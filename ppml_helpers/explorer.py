"""The base of every explorer: knobs -> compute -> draw -> say.

A subclass gives four things: ``controls()``, ``compute(progress, **values)``, ``draw(figure, result)`` and
``say(result)``; one with many knobs may also ``arrange`` them in groups. The base class does what all explorers
share: it keeps the page alive while something is computed, lets the latest change win, shows progress, can be
stopped, remembers results, and shows the picture with its alternative text.
"""

from __future__ import annotations

import html
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import ipywidgets as W
import numpy as np
from IPython import get_ipython
from matplotlib.figure import Figure
from traitlets import TraitError

from ppml_helpers import checks, figures
from ppml_helpers.errors import ExplorerError, KitError

Progress = Callable[[float, str], None]
"""``progress(fraction_done, what)``: call it often; it raises `Stopped` when the work is no longer wanted."""

_PATIENCE = 0.5  # seconds of work without a progress bar, and before a newer wish may end an older run
_REMEMBERED = 128  # results kept per explorer


class Stopped(Exception):
    """Raised inside `compute` when the learner pressed Stop or moved a knob again."""


class Explorer:
    """Knobs, a picture that follows them, and one sentence that says what it shows.

    Displayed as the last value of a cell it gives three forms of the same thing: the live widget, the picture (for
    places without a kernel, such as a code host's preview) and the sentence as plain text.

    Notes
    -----
    Moving a knob in the browser computes in a worker thread, so that the kernel stays free. `set` computes in the
    calling thread and returns when the picture is drawn: that is what exercises and tests use.
    """

    title = "Explorer"

    def __init__(self) -> None:
        self._controls = self.controls()
        self._results: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._result: Any = None
        self._sentence = ""
        self._png = b""
        self._figure, axes = figures.new_figure()
        self._figure.delaxes(axes[0])
        self._width = int(self._figure.get_figwidth() * self._figure.dpi)  # pixels
        self._computing = threading.RLock()  # one computation or drawing at a time
        self._wishes = threading.Lock()  # guards the three fields below
        self._wanted: dict[str, Any] | None = None
        self._worker: threading.Thread | None = None
        self._run: _Run | None = None
        self._by_hand = True  # False while `set` moves several knobs as one change
        self._build_page()

    # What a subclass gives -------------------------------------------------------------------------------------

    def controls(self) -> dict[str, W.Widget]:
        """Return the knobs, by the name of the keyword that `compute` gets."""
        raise TypeError(f"{type(self).__name__} has no controls(): an explorer names its knobs there.")

    def compute(self, progress: Progress, **values: Any) -> Any:
        """Do the real work for these knob values; call ``progress`` often."""
        raise TypeError(f"{type(self).__name__} has no compute(): an explorer does its work there.")

    def draw(self, figure: Figure, result: Any) -> None:
        """Draw a result on an emptied figure."""
        raise TypeError(f"{type(self).__name__} has no draw(): an explorer makes its picture there.")

    def say(self, result: Any) -> str:
        """Say in one plain sentence what the picture shows: it is also the alternative text."""
        raise TypeError(f"{type(self).__name__} has no say(): an explorer states its result there.")

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the knobs, by name: one row that wraps, unless a subclass groups them."""
        return W.HBox(list(knobs.values()), layout={"flex_flow": "row wrap"})

    # What learners, exercises and tests use ----------------------------------------------------------------------

    @property
    def values(self) -> dict[str, Any]:
        """The knobs as they stand."""
        return {name: control.value for name, control in self._controls.items()}

    @property
    def result(self) -> Any:
        """What `compute` returned for the picture on show (computed now if nothing was yet)."""
        if self._result is None:
            self.set()
        return self._result

    @property
    def sentence(self) -> str:
        """The sentence under the picture, which is also its alternative text."""
        if self._result is None:
            self.set()
        return self._sentence

    def set(self, *unnamed: Any, **values: Any) -> Explorer:
        """Turn knobs by name and wait for the picture; a cell can end with ``explorer.set(epsilon=1.0)``."""
        if unnamed:
            raise ExplorerError(
                f"{unnamed[0]!r} comes without the name of a knob: write set({next(iter(self._controls))}=...)."
            )
        for name, value in values.items():
            _check(type(self).__name__, self._controls, name, value)
        self._by_hand = False
        try:
            for name, value in values.items():
                self._controls[name].value = value
        except TraitError as error:
            raise ExplorerError(
                f"{name} = {value!r} does not suit this knob ({error}); choose another value."
            ) from error
        finally:
            self._by_hand = True
        with self._wishes:
            self._wanted = None
            if self._run:
                self._run.stop("another setting was asked for")
        self._show(self.values, _Run(self._say_progress))
        return self

    def forget(self) -> None:
        """Drop every remembered result, so that the next move is computed anew."""
        self._results = OrderedDict()  # a run at work keeps filling the old one

    def close(self) -> None:
        """End what is computed and give back what the page holds; an explorer that is shown again opens a new one."""
        with self._wishes:
            self._wanted = None
            if self._run:
                self._run.stop("its cell was run again")
        self.forget()
        for part in _parts(self._box):
            part.close()

    def redraw(self) -> bytes:
        """Draw the present result once more and return the PNG (the price of a picture alone)."""
        with self._computing:
            result = self.result
            self._figure.clear()
            self.draw(self._figure, result)
            return figures.to_png(self._figure)

    # The page ----------------------------------------------------------------------------------------------------

    def _build_page(self) -> None:
        """Lay out knobs, picture, sentence, and the line that shows progress."""
        for control in self._controls.values():
            control.observe(self._on_knob, "value")
        self._image = W.HTML()
        self._bar = W.FloatProgress(min=0.0, max=1.0, description="Working", layout={"width": "260px"})
        self._stop = W.Button(
            description="Stop", icon="stop", tooltip="Stop this computation", layout={"width": "90px"}
        )
        self._stop.on_click(lambda _: self._on_stop())
        self._status = W.HTML()
        self._work = W.HBox([self._bar, self._stop], layout={"display": "none"})
        knobs_on_page = {name: on_page(control) for name, control in self._controls.items()}
        self._box = W.VBox(
            [
                W.HTML(f"<b>{html.escape(self.title)}</b>"),
                self.arrange(knobs_on_page),
                W.HBox([self._work, self._status], layout={"height": "36px"}),  # its place is kept: nothing jumps
                self._image,
            ]
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the live widget, the picture and the sentence."""
        sentence = self.sentence
        if self._box.comm is None:  # closed before
            for part in _parts(self._box):
                part.open()
        _take_the_place_of_earlier_ones(self)
        data, metadata = figures.bundle(self._png, sentence, self._width)
        return {**data, **_widget_view(self._box)}, metadata

    def _on_knob(self, _: Any) -> None:
        """Note the newest wish; start a worker if none is at work."""
        if not self._by_hand:
            return
        with self._wishes:
            self._wanted = self.values
            if self._run:
                self._run.supersede()
            if self._worker is None:
                self._worker = threading.Thread(target=self._work_off, daemon=True)
                self._worker.start()

    def _on_stop(self) -> None:
        """End the present run because the learner said so."""
        with self._wishes:
            self._wanted = None
            if self._run:
                self._run.stop("you pressed Stop", by_learner=True)

    def _work_off(self) -> None:
        """Fulfil the newest wish until none is left (runs in the worker thread)."""
        while True:
            with self._wishes:
                wanted, self._wanted = self._wanted, None
                if wanted is None:
                    self._worker = self._run = None
                    return
                self._run = run = _Run(self._say_progress)
            with self._computing:  # so that what is said here cannot overtake the next picture
                try:
                    self._show(wanted, run)
                except Stopped as stopped:
                    if run.by_learner:  # otherwise a newer setting is about to be shown, or already is
                        self._say_status(f"Stopped: {stopped}. The picture still shows the setting before.")
                except KitError as refused:
                    self._say_status(f"This setting cannot be shown: {refused}")
                except BaseException as failure:  # a thread has no caller: also SystemExit must reach the page
                    self._say_status(f"The computation failed ({type(failure).__name__}: {failure}).")

    def _show(self, values: dict[str, Any], run: _Run) -> None:
        """Compute (or recall), draw, and put picture and sentence on the page."""
        with self._computing:
            run.check()
            key, results = tuple(values.items()), self._results
            try:
                result = results[key] if key in results else self.compute(run, **values)
            finally:
                self._work.layout.display = "none"
            results[key] = result
            results.move_to_end(key)
            while len(results) > _REMEMBERED:
                results.popitem(last=False)
            self._result, self._sentence = result, self.say(result)
            self._png = self.redraw()
            self._status.value = ""
            self._image.value = self._page(self._png, self._sentence)

    def _page(self, png: bytes, sentence: str) -> str:
        """Return the picture and the sentence as one piece of HTML."""
        style = f"max-width:{self._width}px;margin:4px 0;line-height:1.4"
        said = f'<p role="status" style="{style}">{html.escape(sentence)}</p>'
        return figures.to_html(png, sentence, self._width) + said

    def _say_progress(self, fraction: float, what: str) -> None:
        self._bar.value = fraction
        self._status.value = html.escape(what)
        self._work.layout.display = "flex"

    def _say_status(self, text: str) -> None:
        self._status.value = f'<span role="alert">{html.escape(text)}</span>'


_shown: dict[str, tuple[object, list[Explorer]]] = {}  # by cell: its latest run, and the explorers that this showed


def _take_the_place_of_earlier_ones(explorer: Explorer) -> None:
    """Close those that an earlier run of the same cell showed and nothing else shows: their page is gone."""
    cell, run = _cell_that_runs()
    if cell is None:
        return
    before, earlier = _shown.get(cell, (None, []))
    if before == run:
        earlier.append(explorer)
        return
    _shown[cell] = run, [explorer]
    kept = [each for _, those in _shown.values() for each in those]
    for each in earlier:
        if each not in kept:
            each.close()


def _cell_that_runs() -> tuple[str | None, object]:
    """Return the cell of the notebook that runs and a mark of this run; None where the page does not name its cells."""
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:  # nobody sees a page here: the latest explorer alone is kept
        return "", object()
    message = kernel.get_parent()
    return message.get("metadata", {}).get("cellId"), message.get("header", {}).get("msg_id")


def _parts(widget: W.Widget) -> Iterator[W.Widget]:
    """Yield a widget after all that it holds: children, looks, layouts."""
    for name in widget.keys:
        value = getattr(widget, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, W.Widget):
                yield from _parts(part)
    yield widget


class _Run:
    """One computation: it reports progress once it takes long, and ends when it is no longer wanted."""

    def __init__(self, report: Progress) -> None:
        self._report = report
        self._began = time.monotonic()
        self._reason = ""
        self._superseded = False
        self.by_learner = False

    def stop(self, reason: str, by_learner: bool = False) -> None:
        self._reason, self.by_learner = reason, by_learner

    def check(self) -> None:
        if self._reason:
            raise Stopped(self._reason)

    def supersede(self) -> None:
        """Allow the run to end early; a short one may finish, so that dragging shows pictures on the way."""
        self._superseded = True

    def __call__(self, fraction: float, what: str = "") -> None:
        self.check()
        if time.monotonic() - self._began < _PATIENCE:
            return
        if self._superseded:
            raise Stopped("a newer setting is being computed")
        self._report(min(max(fraction, 0.0), 1.0), what)


def _widget_view(widget: W.Widget) -> dict[str, Any]:
    """Return the entry of a display bundle that makes a notebook show the live widget."""
    view = "application/vnd.jupyter.widget-view+json"
    return {view: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}


def _check(explorer: str, controls: dict[str, W.Widget], name: str, value: Any) -> None:
    """Refuse a knob that is not there and a value that it cannot take: widgets would clamp it in silence."""
    if name not in controls:
        raise ExplorerError(f"{explorer} has no knob {name!r}; it has {', '.join(controls)}.")
    control = controls[name]
    options = getattr(control, "options", None)
    if options is not None:
        allowed = [option[1] if isinstance(option, tuple) else option for option in options]
        if not any(value is choice or (np.isscalar(value) and value == choice) for choice in allowed):
            checks.choice(value, name, allowed, error=ExplorerError)
    elif hasattr(control, "min") and hasattr(control, "max"):
        ends = control.min, control.max
        if isinstance(control, W.FloatLogSlider):  # nine digits: a power of ten in floating point is often none
            low, high = (control.base**end for end in ends)
            ends = min(low, float(f"{low:.9g}")), max(high, float(f"{high:.9g}"))
        check = checks.whole if isinstance(control.value, int) else checks.number
        check(value, name, *ends, error=ExplorerError)


LOOK = MappingProxyType({"style": {"description_width": "110px"}, "layout": {"width": "380px"}})
"""Keyword arguments that give knobs one width and their labels room."""


def log_slider(description: str, value: float, low_exponent: float, high_exponent: float, step: float) -> W.Widget:
    """Return a slider over powers of ten, by their exponents; the explorer puts a number box beside it."""
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


class ProgressBar:
    """A bar to pass as ``progress``: live in a notebook, one line of text where nothing can move.

    ``display(bar := ProgressBar("Hashing"))``, then ``dictionary_attack(..., progress=bar)``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar = W.FloatProgress(min=0.0, max=1.0, description="", layout={"width": "260px"})
        self._text = W.Label(what)
        self._box = W.HBox([self._bar, self._text])

    def __call__(self, fraction: float, text: str = "") -> None:
        """Move the bar to a share of 0 to 1, and say how far the work is."""
        self._bar.value = fraction
        self._text.value = f"{self._what}: {text}" if text else self._what

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Give the live bar, and for places without a kernel one line that is the same in every run."""
        return {"text/plain": f"{self._what} (a progress bar while it runs)", **_widget_view(self._box)}
