"""The explorer of chapter 02: how long a dictionary needs to open a table of pseudonyms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import ipywidgets as W
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import checks, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.pseudonymise import cracking_time
from ppml_helpers.pseudonymise.cracking_time import HASH_FUNCTIONS, IDENTIFIERS, METHODS, YEAR, Opened, span_in_words
from ppml_helpers.words import percent

CORES = (1, 10, 100, 1_000, 10_000)

_AXIS = (1e-3, 1e10)  # seconds
_MARKS = (
    (1e-3, "1 ms"), (1.0, "1 s"), (60.0, "1 min"), (3600.0, "1 h"), (86400.0, "1 day"), (YEAR, "1 year"),
    (100 * YEAR, "100\nyears"),
)  # fmt: skip


class PseudonymExplorer(Explorer):
    """Measure how fast this machine hashes, open the pseudonyms if that is quick, and extrapolate if it is not.

    The speed is measured on one core, in processor time, once for each hash function. Because it varies a little from
    run to run, picture and sentence use its power of ten only; `result.speed` has the measured figures.

    Parameters
    ----------
    people : DataFrame
        What `identities.identities` returned: `birth_date`, `mrn` and `national_id` are used.
    speed : dict of str to float, optional
        Hashes a second measured on another core, for "SHA-256" and "scrypt"; otherwise this machine is measured.
    """

    title = "How long do the pseudonyms hold?"

    def __init__(self, people: pd.DataFrame, speed: Mapping[str, float] | None = None) -> None:
        self._people = checks.table(
            people,
            "people",
            ["birth_date", "mrn", "national_id"],
            error=ExplorerError,
            mend="give what identities.identities(patients) returns",
        )
        self._speed = {
            name: checks.number(each, f"speed[{name!r}]", 0, above=True, error=ExplorerError)
            for name, each in (speed or {}).items()
        }
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return identifier, method and the cores of the attacker."""
        cores = [(f"{n:,}", n) for n in CORES]
        return {
            "identifier": W.Dropdown(options=list(IDENTIFIERS), description="identifier", **LOOK),
            "method": W.Dropdown(options=list(METHODS), description="method", **LOOK),
            "cores": W.SelectionSlider(options=cores, description="attacker's cores", **LOOK),
        }

    def compute(self, progress: Progress, identifier: str, method: str, cores: int) -> Opened:
        """Measure, attack for real where that is quick, and work out the time for all methods."""
        for name in HASH_FUNCTIONS:
            if name not in self._speed:
                progress(0.0, "measuring the speed of this machine")
                self._speed[name] = cracking_time.measured_speed(name)
        what, way, records = IDENTIFIERS[identifier], METHODS[method], len(self._people)
        seconds = {
            name: cracking_time.time_needed(each, what.size, records, cores, self._speed)
            for name, each in METHODS.items()
        }
        attack = None
        if cracking_time.is_quick(what, way):
            attack = cracking_time.crack(
                self._people, what, way, lambda share, said: progress(0.05 + 0.95 * share, said)
            )
        return Opened(what, method, cores, records, seconds, dict(self._speed), attack)

    def draw(self, figure: Figure, result: Opened) -> None:
        """Draw the time of every method on one axis, with the marks that people think in."""
        (axis,) = figure.subplots(1, 1, squeeze=False)[0]
        figures.style(axis)
        for row, (name, span) in enumerate(result.seconds.items()):
            _draw_row(axis, len(METHODS) - 1 - row, span, present=name == result.method)
        axis.set(xscale="log", xlim=_AXIS, ylim=(-0.7, len(METHODS) - 0.4))
        axis.set_xticks([at for at, _ in _MARKS], [label for _, label in _MARKS])
        axis.minorticks_off()
        axis.set_yticks(range(len(METHODS)), list(METHODS)[::-1])
        axis.set_xlabel("time to try every possibility (bar: the measured speed, to its power of ten)")
        axis.set_title(
            f"{_count(result.identifier.size)} {result.identifier.name}, {_cores(result.cores)}: {_how(result)}",
            fontsize=10,
            loc="right",
        )

    def say(self, result: Opened) -> str:
        """Say how long the present pseudonyms hold, and whether that was run or extrapolated."""
        what, span, way = result.identifier, result.seconds[result.method], METHODS[result.method]
        every = f"all {_count(what.size)} {what.name}"
        run = ""
        if result.attack is not None:
            share = f"{percent(result.attack.recovered)} of {result.records:,} pseudonyms were opened"
            key = "a key of the attacker's own" if span is None else way.name
            tried = result.attack.tried  # it ends as soon as everybody is found
            some = every if tried == what.size else f"{tried:,} of {what.size:,} {what.name}"
            run = _sentence_case(f"{some} were hashed just now on one core of this machine ({key}), and {share}")
        if span is None:
            return (
                (f"{run}. " if run else "")
                + "With HMAC there is no dictionary without the key, and no number of cores can try 2^256 keys; "
                "whoever holds the key can still go back."
            )
        times = f"for each of {result.records:,} salts " if way.own_salts else ""
        needed = f"trying {every} {times}takes {_cores(result.cores)} {span_in_words(*span)} ({result.method})"
        if run:
            return f"{run}; {needed}."
        return f"{_sentence_case(needed)}, extrapolated from the speed measured on one core."


def _draw_row(axis: Axes, row: int, span: tuple[float, float] | None, present: bool) -> None:
    """Draw one method: its time, or an arrow and a reason where the time is off the axis."""
    colour = figures.COLOURS["leak" if present else "baseline"]
    weight = "bold" if present else "normal"
    if span is None or span[0] > _AXIS[1]:
        off = f"{span_in_words(*span)}: too many to list" if span else "no dictionary without the key ($2^{256}$ keys)"
        axis.annotate(off, (0.985, row), xycoords=("axes fraction", "data"), ha="right", va="center", weight=weight)
        axis.plot(1, row, ">", transform=axis.get_yaxis_transform(), color=colour, markersize=10, clip_on=False)
        return
    low, high = (max(end, 1.3 * _AXIS[0]) for end in span)
    axis.plot([low, high], [row, row], "-", color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt")
    look = {"color": colour, "markerfacecolor": colour if present else "white", "markersize": 9}
    axis.plot(math.sqrt(low * high), row, "<" if span[1] < _AXIS[0] else "o", **look)
    early = high < 1e5  # so that the words keep inside the axis
    axis.annotate(
        span_in_words(*span),
        (high if early else low, row),
        (10 if early else -10, 0),
        textcoords="offset points",
        ha="left" if early else "right",
        va="center",
        weight=weight,
        fontsize=10,
    )


def _how(result: Opened) -> str:
    """Say on the picture whether the present point was run or extrapolated."""
    if result.attack is not None:
        return f"run just now, {percent(result.attack.recovered)} opened"
    return "nothing to try" if result.seconds[result.method] is None else "extrapolated"


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"2^{number.bit_length() - 1}"


def _cores(number: int) -> str:
    return "1 core" if number == 1 else f"{number:,} cores"


def _sentence_case(text: str) -> str:
    return text[0].upper() + text[1:]
