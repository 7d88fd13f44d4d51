"""The explorer of chapter 10: which attacks on a hospital get patients out, and which defence stops each."""

from __future__ import annotations

import contextlib
import html
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import ipywidgets as W
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures
from ppml_helpers.errors import DatasiteError, ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.owner_in_control.attack_process import AttackProcess
from ppml_helpers.owner_in_control.attacks import ATTACKS, N_PATIENTS, Leak
from ppml_helpers.owner_in_control.defences import Defences

NO_GATE, ALL_DEFENCES, OWN_CHOICE = "no gate", "all defences", "own choice"
PRESETS = (NO_GATE, ALL_DEFENCES, OWN_CHOICE)

NAMES = {field.name: field.name.replace("_", " ") for field in fields(Defences)}
"""Field of `Defences` -> its name on the page."""

UNTESTED = tuple(field for field in NAMES if field not in {attack.stopped_by for attack in ATTACKS})
"""Defences that none of the six attacks tries."""

Attempt = Callable[[str, Defences | None], Leak]

_SIZE = (7.0, 4.7)  # inches
_GREY = "#555555"


class Attacked(NamedTuple):
    """What the six attacks do against one set of defences."""

    defences: Defences
    leaks: dict[str, Leak | None]  # by attack, in their fixed order; None: not carried out against these defences
    unavailable: str  # why no attack can be carried out on this computer; else empty

    @property
    def through(self) -> tuple[str, ...]:
        """Names of the attacks that got patients out."""
        return tuple(name for name, leak in self.leaks.items() if leak and leak.leaked)

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names of the attacks that got nothing."""
        return tuple(name for name, leak in self.leaks.items() if leak and not leak.leaked)

    @property
    def untried(self) -> tuple[str, ...]:
        """Names of the attacks that were not carried out against these defences."""
        return tuple(name for name, leak in self.leaks.items() if leak is None)

    @property
    def patients(self) -> int:
        """How many private patients the hospital has."""
        return max((leak.patients for leak in self.leaks.values() if leak), default=N_PATIENTS)

    @property
    def on(self) -> tuple[str, ...]:
        """Names of the defences that are on."""
        return tuple(name for field, name in NAMES.items() if getattr(self.defences, field))

    @property
    def table(self) -> pd.DataFrame:
        """One row for each attack that was carried out: attack, patients out, of, in, stopped by."""
        rows = [
            (name, leak.recovered, leak.patients, ", ".join(leak.ways), "" if leak.leaked else self.stopper(name))
            for name, leak in self.leaks.items()
            if leak
        ]
        return pd.DataFrame(rows, columns=["attack", "patients out", "of", "in", "stopped by"])

    def stopper(self, attack: str) -> str:
        """Say what stopped an attack: the defence made against it, or what else the gate says it refused."""
        made_against = next(known.stopped_by for known in ATTACKS if known.name == attack)
        if made_against is not None and getattr(self.defences, made_against):
            return NAMES[made_against]
        leak = self.leaks[attack]
        return " ".join(leak.refusals) if leak and leak.refusals else "nothing: it failed by itself"


class ReleaseGateExplorer(Explorer):
    """Switch the defences of a hospital's release gate on and off, attack it six times, and see what gets through.

    The button carries the attacks out, one after the other: each sends a real job with PySyft to a simulated hospital
    with 60 real patients, plays the owner's day, and searches the researchers' disks. What an attack did against a set
    of defences is kept, so that it is carried out once; moving a switch alone shows what is known. The first picture
    is of the six attacks against PySyft without a gate.

    ``set`` takes a preset, single defences and ``attack=True`` for the button, in this order:
    ``set(preset="all defences", logs=False, attack=True)``. With no defence on there is no gate.

    Parameters
    ----------
    attack : callable, optional
        ``attack(name, defences)`` carries out one attack and returns a `Leak`; by default `attacks.datasite.attack`,
        in a process of its own, so that Stop ends it at once and the notebook can go on meanwhile.

    Raises
    ------
    ExplorerError
        If `attack` cannot be called.

    Notes
    -----
    That an attack is stopped says nothing about other attacks. `datasite.defences.CANNOT_STOP` lists what this gate
    cannot stop.
    """

    title = "What leaves the hospital"

    def __init__(self, attack: Attempt | None = None) -> None:
        if attack is not None and not callable(attack):
            raise ExplorerError(
                f"attack = {attack!r} cannot be called: leave it out, or give a function of an attack's name and the "
                "defences."
            )
        self._attack = attack
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
        """Choose defences and wait for the picture.

        Parameters
        ----------
        **values
            ``preset`` (one of `PRESETS`), then the fields of `Defences`, then ``attack``, whatever their order here.

        Returns
        -------
        ReleaseGateExplorer
            Itself.

        Raises
        ------
        ExplorerError
            As `Explorer.set`.
        AttackError
            If an attack could not be carried out.
        """
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
                self._carry_out(missing, defences, progress)
            except DatasiteError as no:
                unavailable = str(no)
        return Attacked(defences, {one.name: self._known.get((one.name, defences)) for one in ATTACKS}, unavailable)

    def _carry_out(self, names: Sequence[str], defences: Defences, progress: Progress) -> None:
        """Carry out some attacks one after the other, and keep each outcome as soon as it is there."""
        gate = defences if defences != Defences.off() else None
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(AttackProcess()) if self._attack is None else None
            for number, name in enumerate(names):
                done, what = number / len(names), f"attack {number + 1} of {len(names)}: {name}"
                progress(done, what)
                if process is not None:
                    leak = process.attack(name, gate, lambda done=done, what=what: progress(done, what))
                else:
                    leak = self._attack(name, gate)
                self._known[name, defences] = leak

    # The picture and the words -----------------------------------------------------------------------------------

    def draw(self, figure: Figure, result: Attacked) -> None:
        """Draw a row for each attack: how many patients it got out, or what stopped it."""
        figure.set_layout_engine("none")
        _draw_attacks(figure.add_axes((0.175, 0.33, 0.795, 0.6)), result)
        figure.text(0.012, 0.19, _verdict(result), fontsize=10, va="center", weight="bold", linespacing=1.25)
        untested = _listed([NAMES[field] for field in UNTESTED], "or")
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
            parts.append(f"{_share(result.stopped)} {'are' if len(by) > 1 else 'is'} stopped: {_listed(by)}")
        parts.append(
            f"carried out with PySyft on a simulated hospital with {result.patients} real patients of SUPPORT2"
        )
        if result.untried:
            parts.append(f"not carried out yet: {_listed(result.untried)}")
        return f"{with_these}, {'; '.join(parts)}."


# --------------------------------------------------------------------------------------------------------------
# The words
# --------------------------------------------------------------------------------------------------------------

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


def _listed(names: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])


def _share(names: Sequence[str]) -> str:
    return f"{_COUNTS[len(names)]} of the six attacks" if len(names) < len(ATTACKS) else "all six attacks"


def _setting(result: Attacked) -> str:
    """Say which defences are on."""
    off = [name for name in NAMES.values() if name not in result.on]
    if not result.on:
        return "Without a gate"
    if not off:
        return "With every defence on"
    if len(off) < len(result.on):
        return f"With every defence on but {_listed(off)}"
    return f"With no defence on but {_listed(result.on)}"


def _gains(result: Attacked) -> str:
    """Say how many patients each successful attack got."""
    leaks = [result.leaks[name] for name in result.through]
    if all(leak.recovered == leak.patients for leak in leaks):
        return f"{_listed(result.through)}, all {result.patients}{' each' if len(leaks) > 1 else ''}"
    return _listed([f"{leak.name} {leak.recovered} of {leak.patients}" for leak in leaks])


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
        return f"{leak.recovered} of {leak.patients}, in {_listed(leak.ways)}" if leak.ways else "the mail is blocked"
    return f"0 of {leak.patients}, {textwrap.shorten('stopped by ' + result.stopper(name), 76, placeholder=' ...')}"


# --------------------------------------------------------------------------------------------------------------
# The picture
# --------------------------------------------------------------------------------------------------------------


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
