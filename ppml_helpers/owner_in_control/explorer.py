"""The explorer of chapter 10: which attacks on a hospital get patients out, and which defence stops each."""

from __future__ import annotations

import contextlib
import html
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import ipywidgets as W
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures
from ppml_helpers.errors import DatasiteError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.owner_in_control.attack_process import Attacked, outcomes
from ppml_helpers.owner_in_control.attacks import ATTACKS, Leak
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.words import listed

NO_GATE, ALL_DEFENCES, OWN_CHOICE = "no gate", "all defences", "own choice"
PRESETS = (NO_GATE, ALL_DEFENCES, OWN_CHOICE)
NAMES = Defences.NAMES
UNTESTED = tuple(field for field in NAMES if field not in {attack.stopped_by for attack in ATTACKS})

_SIZE = (7.0, 4.7)  # inches
_GREY = "#555555"


class ReleaseGateExplorer(Explorer):
    """Switch the defences of a hospital's release gate on and off, attack it six times, and see what gets through.

    The button carries the attacks out, one after the other: each sends a real job with PySyft to a simulated hospital
    with 60 real patients, plays the owner's day, and searches the researchers' disks. What an attack did against a set
    of defences is kept, so that it is carried out once; moving a switch alone shows what is known. The first picture
    is of the six attacks against PySyft without a gate.

    ``set`` takes a preset, single defences and ``attack=True`` for the button, in this order:
    ``set(preset="all defences", logs=False, attack=True)``. With no defence on there is no gate.

    That an attack is stopped says nothing about other attacks: `CANNOT_STOP` lists what this gate cannot stop.
    """

    title = "What leaves the hospital"

    def __init__(self) -> None:
        self._known: dict[tuple[str, Defences], Leak] = {}
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    # The knobs ---------------------------------------------------------------------------------------------------

    def controls(self) -> dict[str, W.Widget]:
        """Return the preset, a switch for each defence, and the button."""
        preset = W.Dropdown(options=PRESETS, value=NO_GATE, description="preset", **LOOK)
        switches = {
            field: W.Checkbox(
                value=False, description=name, tooltip=Defences.STOPS[field], indent=False, layout={"width": "122px"}
            )
            for field, name in NAMES.items()
        }
        button = W.ToggleButton(
            value=True,  # for the first picture
            description="Carry out the six attacks",
            tooltip="Carry out the attacks whose outcome against these defences is not known yet",
            icon="play",
            layout={"width": "240px"},
        )
        preset.observe(lambda change: self._follow_preset(change["new"]), "value")
        for switch in switches.values():
            switch.observe(lambda _: self._follow_switches(), "value")
        return {"preset": preset, **switches, "attack": button}

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the preset, the switches, what defences and attacks do (to be opened), and the button."""
        row = {"flex_flow": "row wrap", "align_items": "center"}
        rest = W.HTML("<i>None of the six attacks tries these.</i>")
        return W.VBox(
            [
                knobs["preset"],
                W.HBox([knobs[attack.stopped_by] for attack in ATTACKS], layout=row),
                W.HBox([*(knobs[field] for field in UNTESTED), rest], layout=row),
                W.HTML(_explained(), layout={"max_width": f"{self._width}px"}),
                knobs["attack"],
            ]
        )

    def set(self, *unnamed: Any, **values: Any) -> ReleaseGateExplorer:
        """Choose defences and wait for the picture: `PRESETS`, then the fields of `Defences`, then ``attack``."""
        order = list(self._controls)
        values = {"attack": False} | values if values else {}
        super().set(*unnamed, **{name: values[name] for name in sorted(values, key=lambda name: _place(name, order))})
        return self

    def forget(self) -> None:
        """Drop every remembered result and every attack's outcome."""
        super().forget()
        self._known = {}

    def _follow_preset(self, preset: str) -> None:
        """Turn all switches as a preset says, as one change."""
        if preset == OWN_CHOICE:
            return
        with self._as_one_change():
            for field in NAMES:
                self._controls[field].value = preset == ALL_DEFENCES
            self._controls["attack"].value = False

    def _follow_switches(self) -> None:
        """Show the preset that the switches stand for, and let go of the button, as part of the same change."""
        on = [self._controls[field].value for field in NAMES]
        with self._as_one_change():
            self._controls["preset"].value = ALL_DEFENCES if all(on) else OWN_CHOICE if any(on) else NO_GATE
            self._controls["attack"].value = False

    @contextlib.contextmanager
    def _as_one_change(self) -> Iterator[None]:
        by_hand, self._by_hand = self._by_hand, False
        try:
            yield
        finally:
            self._by_hand = by_hand

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

    def compute(self, progress: Progress, preset: str, attack: bool, **switches: bool) -> Attacked:
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
        _draw_attacks(figure.add_axes((0.175, 0.33, 0.795, 0.6)), result)
        figure.text(0.012, 0.19, _verdict(result), fontsize=10, va="center", weight="bold", linespacing=1.25)
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
        parts = []
        if result.through:
            verb = "get" if len(result.through) > 1 else "gets"
            parts.append(f"{_share(result.through)} {verb} patients out of the hospital: {_gains(result)}")
        if result.stopped:
            by = [f"{name} (by {result.stopper(name).rstrip('.')})" for name in result.stopped]
            parts.append(f"{_share(result.stopped)} {'are' if len(by) > 1 else 'is'} stopped: {listed(by)}")
        parts.append(
            f"carried out with PySyft on a simulated hospital with {result.patients} real patients of SUPPORT2"
        )
        if result.untried:
            parts.append(f"not carried out yet: {listed(result.untried)}")
        return f"{with_these}, {'; '.join(parts)}."


# The words

_COUNTS = ("none", "one", "two", "three", "four", "five", "six")


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else -1  # what is not there comes first, to be refused


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


def _share(names: Sequence[str]) -> str:
    return f"{_COUNTS[len(names)]} of the six attacks" if len(names) < len(ATTACKS) else "all six attacks"


def _setting(result: Attacked) -> str:
    """Say which defences are on."""
    on = [name for field, name in NAMES.items() if getattr(result.defences, field)]
    off = [name for name in NAMES.values() if name not in on]
    if not on:
        return "Without a gate"
    if not off:
        return "With every defence on"
    if len(off) < len(on):
        return f"With every defence on but {listed(off)}"
    return f"With no defence on but {listed(on)}"


def _gains(result: Attacked) -> str:
    """Say how many patients each successful attack got."""
    leaks = [result.leaks[name] for name in result.through]
    if all(leak.recovered == leak.patients for leak in leaks):
        return f"{listed(result.through)}, all {result.patients}{' each' if len(leaks) > 1 else ''}"
    return listed([f"{leak.name} {leak.recovered} of {leak.patients}" for leak in leaks])


def _verdict(result: Attacked) -> str:
    """Say in a line or two how the attacks ended."""
    if result.unavailable:
        return textwrap.fill(result.unavailable, 84)
    if len(result.untried) == len(result.leaks):
        return "Not tried yet against these defences: press the button."
    rest = f", {_COUNTS[len(result.untried)]} not tried yet" if result.untried else ""
    if not result.through:
        stopped = _COUNTS[len(result.stopped)] if result.untried else "all six attacks"
        return f"No patient has left the hospital: {stopped} stopped{rest}."
    said = f"{_share(result.through)} got patients out of the hospital{rest}."
    return said[0].upper() + said[1:]


def _outcome(result: Attacked, name: str) -> str:
    """Say beside an attack's mark what came of it."""
    leak = result.leaks[name]
    if leak is None:
        return "not tried"
    if leak.leaked:
        return f"{leak.recovered} of {leak.patients}, in {listed(leak.ways)}" if leak.ways else "the mail is blocked"
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
            axis.plot(
                0, row, "o", color=figures.COLOURS["promise"], markersize=9, markerfacecolor="white", clip_on=False
            )
        weight, colour = ("normal", _GREY) if leak is None else ("bold" if leak.leaked else "normal", "#000000")
        axis.text(0.018 * most, row - 0.22, _outcome(result, name), fontsize=10, weight=weight, color=colour)
    axis.set(xlim=(0, most), ylim=(len(result.leaks) - 0.6, -0.75))
    axis.set_yticks(range(len(result.leaks)), list(result.leaks))
    axis.tick_params(axis="y", length=0, pad=8)
    axis.set_xlabel("private patients that left the hospital (diamond: got out, ring: stopped)", fontsize=10)
    title = textwrap.shorten(_setting(result), 84, placeholder=" ...")
    axis.set_title(title, fontsize=10, loc="left")
