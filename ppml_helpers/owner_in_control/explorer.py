"""The explorer of chapter 10: which attacks on a hospital get patients out, and which defence stops each."""

from __future__ import annotations

import html
import textwrap
from typing import Any

import ipywidgets as W
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures
from ppml_helpers.errors import DatasiteError
from ppml_helpers.explorer import Explorer, Progress
from ppml_helpers.owner_in_control.attack_process import Attacked, outcomes
from ppml_helpers.owner_in_control.attacks import ATTACKS, Leak
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.words import listed

NAMES = Defences.NAMES
UNTESTED = tuple(field for field in NAMES if field not in {attack.stopped_by for attack in ATTACKS})

_SIZE = (7.0, 4.3)  # inches
_GREY = "#555555"


class ReleaseGateExplorer(Explorer):
    """Switch the defences of a hospital's release gate on and off, attack it six times, and see what gets through.

    The button carries the attacks out, one after the other: each sends a real job with PySyft to a simulated hospital
    with 60 real patients, plays the owner's day, and searches the researchers' disks. What an attack did against a set
    of defences is kept, so that it is carried out once; moving a switch alone shows what is known. The first picture
    is of the six attacks against PySyft without a gate.

    ``set`` takes single defences, and ``attack=True`` for the button: ``set(logs=True, attack=True)``. With no defence
    on there is no gate.

    That an attack is stopped says nothing about other attacks: `CANNOT_STOP` lists what this gate cannot stop.
    """

    title = "What leaves the hospital"

    def __init__(self) -> None:
        self._known: dict[tuple[str, Defences], Leak] = {}
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    # The knobs ---------------------------------------------------------------------------------------------------

    def controls(self) -> dict[str, W.Widget]:
        """Return a switch for each defence, and the button."""
        button = W.ToggleButton(
            value=True,  # for the first picture
            description="Carry out the six attacks",
            tooltip="Carry out the attacks whose outcome against these defences is not known yet",
            icon="play",
            layout={"width": "240px"},
        )
        switches = {}
        for field, name in NAMES.items():
            switches[field] = W.Checkbox(
                value=False, description=name, tooltip=Defences.STOPS[field], indent=False, layout={"width": "122px"}
            )
            switches[field].observe(lambda _: setattr(button, "value", False), "value")
        return {**switches, "attack": button}

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the switches, what defences and attacks do (to be opened), and the button."""
        row = {"flex_flow": "row wrap", "align_items": "center"}
        rest = W.HTML("<i>None of the six attacks tries these.</i>")
        return W.VBox(
            [
                W.HBox([knobs[attack.stopped_by] for attack in ATTACKS], layout=row),
                W.HBox([*(knobs[field] for field in UNTESTED), rest], layout=row),
                W.HTML(_explained(), layout={"max_width": f"{self._width}px"}),
                knobs["attack"],
            ]
        )

    def set(self, *unnamed: Any, **values: Any) -> ReleaseGateExplorer:
        """Choose defences, fields of `Defences`, and wait for the picture; ``attack=True`` presses the button."""
        if values:
            values["attack"] = values.pop("attack", False)  # last: a switch lets go of the button
        super().set(*unnamed, **values)
        return self

    def forget(self) -> None:
        """Drop every remembered result and every attack's outcome."""
        super().forget()
        self._known = {}

    def _on_knob(self, change: Any) -> None:
        """Note the newest wish; a button that comes up again asks for nothing."""
        if change["owner"] is not self._controls["attack"] or change["new"]:
            super()._on_knob(change)

    def _on_stop(self) -> None:
        """End the attack at work, and show what those before it did."""
        super()._on_stop()
        self._controls["attack"].value = False
        super()._on_knob(None)

    # The work ----------------------------------------------------------------------------------------------------

    def _show(self, values: dict[str, Any], run: Any) -> None:
        """Compute, draw and show; the button comes up when its work is done."""
        try:
            super()._show(values, run)
        finally:
            if values["attack"]:
                self._controls["attack"].value = False

    def compute(self, progress: Progress, attack: bool, **switches: bool) -> Attacked:
        """Carry out the attacks that are not known against these defences, if the button was pressed."""
        defences, unavailable = Defences(**switches), ""
        missing = [one.name for one in ATTACKS if (one.name, defences) not in self._known]
        if attack and missing:
            super().forget()  # pictures of what was not known
            try:
                for name, leak in outcomes(missing, defences, progress):
                    self._known[name, defences] = leak  # kept as soon as it is there
            except DatasiteError as no:
                unavailable = str(no)
        return Attacked(defences, {one.name: self._known.get((one.name, defences)) for one in ATTACKS}, unavailable)

    # The picture and the words -----------------------------------------------------------------------------------

    def draw(self, figure: Figure, result: Attacked) -> None:
        """Draw a row for each attack: how many patients it got out, or what stopped it."""
        figure.set_layout_engine("none")
        _draw_attacks(figure.add_axes((0.175, 0.29, 0.795, 0.64)), result)
        untested = listed([NAMES[field] for field in UNTESTED], "or")
        note = (
            f"Every diamond and ring is an attack carried out here with PySyft, by a real job. Hospital and\n"
            f"researchers are simulated, the private patients are real ones of SUPPORT2. None of the six tries\n"
            f"{untested}; approved code that hides patients in its answer passes the gate."
        )
        figure.text(0.012, 0.012, note, fontsize=10, va="bottom", linespacing=1.25)

    def say(self, result: Attacked) -> str:
        """Say which defences are on, what each attack got, and what stopped the others."""
        if result.unavailable:
            return result.unavailable
        with_these = _setting(result)
        if len(result.untried) == len(result.leaks):
            return f"{with_these}, none of the six attacks has been carried out yet: press the button."
        parts, six = [], f"of {len(ATTACKS)} attacks"
        if result.through:
            parts.append(f"{len(result.through)} {six} got patients out of the hospital: {_gains(result)}")
        if result.stopped:
            by = [f"{name} (by {result.stopper(name).rstrip('.')})" for name in result.stopped]
            parts.append(f"{len(by)} {six} stopped: {listed(by)}")
        parts.append(
            f"carried out with PySyft on a simulated hospital with {result.patients} real patients of SUPPORT2"
        )
        if result.untried:
            parts.append(f"not carried out yet: {listed(result.untried)}")
        return f"{with_these}, {'; '.join(parts)}."


# The words


def _explained() -> str:
    """Return what each defence and each attack does, to be opened on the page."""
    parts = []
    for heading, said in (
        ("The defences", {name: Defences.STOPS[field] for field, name in NAMES.items()}),
        ("The attacks", {attack.name: attack.does for attack in ATTACKS}),
    ):
        items = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(text)}</li>" for name, text in said.items())
        parts.append(f'{heading}<ul style="margin:0">{items}</ul>')
    summary = "<summary>What each defence and each attack does</summary>"
    return f'<details style="line-height:1.4">{summary}{"".join(parts)}</details>'


def _setting(result: Attacked) -> str:
    """Say which defences are on."""
    on = [name for field, name in NAMES.items() if getattr(result.defences, field)]
    if not on:
        return "Without a gate"
    return "With every defence on" if len(on) == len(NAMES) else f"With {listed(on)} on"


def _gains(result: Attacked) -> str:
    """Say how many patients each successful attack got."""
    leaks = [result.leaks[name] for name in result.through]
    if all(leak.recovered == leak.patients for leak in leaks):
        return f"{listed(result.through)}, all {result.patients}{' each' if len(leaks) > 1 else ''}"
    return listed([f"{leak.name} {leak.recovered} of {leak.patients}" for leak in leaks])


def _outcome(result: Attacked, name: str) -> str:
    """Say beside an attack's mark what came of it."""
    leak = result.leaks[name]
    if leak is None:
        return "not tried"
    if leak.leaked:
        return f"{leak.recovered} of {leak.patients}, in {listed(leak.ways)}"
    return f"0 of {leak.patients}, {textwrap.shorten('stopped by ' + result.stopper(name), 76, placeholder=' ...')}"


# The picture


def _draw_attacks(axis: Axes, result: Attacked) -> None:
    """Draw a bar and a diamond for what leaked, a ring for what was stopped, a cross for what was not tried."""
    figures.style(axis)
    most = result.patients
    for row, (name, leak) in enumerate(result.leaks.items()):
        if leak is None:
            axis.plot(0, row, "x", color=figures.COLOURS["baseline"], markersize=8, clip_on=False)
        elif leak.leaked:
            colour = figures.COLOURS["leak"]
            axis.barh(row, leak.recovered, height=0.26, color=colour, alpha=0.55, hatch="///", edgecolor="white")
            axis.plot(leak.recovered, row, "D", color=colour, markersize=9, clip_on=False)
        else:
            axis.plot(0, row, "o", color=figures.COLOURS["promise"], markersize=9, mfc="white", clip_on=False)
        look = {"color": "#000000" if leak else _GREY, "weight": "bold" if leak and leak.leaked else "normal"}
        axis.text(0.018 * most, row - 0.22, _outcome(result, name), fontsize=10, **look)
    axis.set(xlim=(0, most), ylim=(len(result.leaks) - 0.6, -0.75))
    axis.set_yticks(range(len(result.leaks)), list(result.leaks))
    axis.tick_params(axis="y", length=0, pad=8)
    axis.set_xlabel("private patients that left the hospital (diamond: got out, ring: stopped)", fontsize=10)
    tried = len(result.leaks) - len(result.untried)
    found = f"{len(result.through)} of {tried} attacks got patients out" if tried else "not attacked yet"
    on = sum(getattr(result.defences, field) for field in NAMES)
    title = f"{on} of {len(NAMES)} defences on: {found}"
    axis.set_title(title, fontsize=10, loc="left", weight="bold", x=-0.2)
