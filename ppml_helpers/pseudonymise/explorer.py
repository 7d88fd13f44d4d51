"""The explorers of chapters 02 and 02b: how long pseudonyms hold, and who comes back from the backups."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as W
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import checks, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.pseudonymise import cracking_time, erasure
from ppml_helpers.pseudonymise.cracking_time import (
    CARD,
    HASH_FUNCTIONS,
    IDENTIFIERS,
    METHODS,
    ORDINARY_CORE,
    YEAR,
    Opened,
    time_in_words,
)
from ppml_helpers.words import percent

_AXIS = (1e-3, 1e10)  # seconds
_MARKS = (
    (1e-3, "1 ms"), (1.0, "1 s"), (60.0, "1 min"), (3600.0, "1 h"), (86400.0, "1 day"), (YEAR, "1 year"),
    (100 * YEAR, "100\nyears"),
)  # fmt: skip


class PseudonymExplorer(Explorer):
    """Open the pseudonyms if that is quick, and say how long it takes an attacker if it is not.

    The attack is run on this machine. The times are those of the attacker's hardware: of cores of a stated speed, or
    of a graphics card whose speed is published.

    Parameters
    ----------
    people : DataFrame
        What `identities.identities` returned, also read back from a file: `birth_date`, `mrn` and `national_id` are
        used. Somebody without one of them has no pseudonym of it.
    core : dict of str to float, optional
        Hashes a second of one core, for "SHA-256" and "scrypt"; `measured_speed()` gives those of this machine.
    """

    title = "How long do the pseudonyms hold?"

    def __init__(self, people: pd.DataFrame, core: Mapping[str, float] = ORDINARY_CORE) -> None:
        self._people = checks.table(
            people,
            "people",
            ["birth_date", "mrn", "national_id"],
            error=ExplorerError,
            mend="give what identities.identities(patients) returns",
        )
        if not isinstance(core, Mapping) or set(core) != set(HASH_FUNCTIONS):
            raise ExplorerError(f"core must be a speed for {' and '.join(HASH_FUNCTIONS)}: measured_speed() gives it.")
        for name, speed in core.items():
            checks.number(speed, f"core[{name!r}]", 0, above=True, error=ExplorerError)
        self._attackers = cracking_time.attackers(core)
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return identifier, method and attacker."""
        return {
            "identifier": W.Dropdown(options=list(IDENTIFIERS), description="identifier", **LOOK),
            "method": W.Dropdown(options=list(METHODS), description="method", **LOOK),
            "attacker": W.SelectionSlider(options=list(self._attackers), description="attacker has", **LOOK),
        }

    def compute(self, progress: Progress, identifier: str, method: str, attacker: str) -> Opened:
        """Attack for real where that is quick, and work out the time of all methods."""
        what, way, speed = IDENTIFIERS[identifier], METHODS[method], self._attackers[attacker]
        records = int(self._people[what.column].notna().sum()) if what.column else len(self._people)
        seconds = {name: cracking_time.time_needed(each, what.size, records, speed) for name, each in METHODS.items()}
        quick = cracking_time.is_quick(what, way)
        attack = cracking_time.crack(self._people, what, way, progress) if quick else None
        return Opened(what, method, attacker, records, seconds, speed, attack)

    def draw(self, figure: Figure, result: Opened) -> None:
        """Draw the time of every method on one axis, with the marks that people think in."""
        (axis,) = figure.subplots(1, 1, squeeze=False)[0]
        figures.style(axis)
        for row, name in enumerate(METHODS):
            _draw_row(axis, len(METHODS) - 1 - row, name, result)
        axis.set(xscale="log", xlim=_AXIS, ylim=(-0.7, len(METHODS) - 0.4))
        axis.set_xticks([at for at, _ in _MARKS], [label for _, label in _MARKS])
        axis.minorticks_off()
        axis.set_yticks(range(len(METHODS)), list(METHODS)[::-1])
        axis.set_xlabel(f"time to try every possibility, at {_rate(result)}")
        axis.set_title(
            f"{_count(result.identifier.size)} {result.identifier.name}, {result.attacker}: {_how(result)}",
            fontsize=10,
            loc="right",
        )

    def say(self, result: Opened) -> str:
        """Say how long the present pseudonyms hold, and whether that was run or extrapolated."""
        what, seconds, way = result.identifier, result.seconds[result.method], METHODS[result.method]
        every = f"all {_count(what.size)} {what.name}"
        run = ""
        if result.attack is not None:
            share = f"{percent(result.attack.recovered)} of {result.records:,} pseudonyms were opened"
            key = way.name if way.hash_function else "a key of the attacker's own"
            tried = result.attack.tried  # it ends as soon as everybody is found
            some = every if tried == what.size else f"{tried:,} of {what.size:,} {what.name}"
            run = _sentence_case(f"{some} were hashed just now on this machine ({key}), and {share}. ")
        if way.hash_function is None:
            return (
                f"{run}With HMAC there is no dictionary without the key, and no number of cores can try 2^256 keys; "
                "whoever holds the key can still go back."
            )
        times = f"for each of {result.records:,} salts " if way.own_salts else ""
        if seconds is None:
            speed = f"how fast {result.attacker} computes it with these settings is not published"
            return f"{run}{_sentence_case(speed)} ({result.method})."
        return (
            f"{run}Trying {every} {times}takes {result.attacker} {time_in_words(seconds)} ({result.method}), computed "
            f"from {_rate(result)}."
        )


def _draw_row(axis: Axes, row: int, name: str, result: Opened) -> None:
    """Draw one method: its time, or an arrow and a reason where the time is off the axis or not known."""
    seconds, present = result.seconds[name], name == result.method
    colour = figures.COLOURS["leak" if present else "baseline"]
    weight = "bold" if present else "normal"
    if seconds is None or seconds > _AXIS[1]:
        off = f"{time_in_words(seconds)}: too many to list" if seconds else "no speed is published for this"
        if METHODS[name].hash_function is None:
            off = "no dictionary without the key ($2^{256}$ keys)"
        axis.annotate(off, (0.985, row), xycoords=("axes fraction", "data"), ha="right", va="center", weight=weight)
        if off[:8] != "no speed":
            axis.plot(1, row, ">", transform=axis.get_yaxis_transform(), color=colour, markersize=10, clip_on=False)
        return
    at = max(seconds, 1.3 * _AXIS[0])
    look = {"color": colour, "markerfacecolor": colour if present else "white", "markersize": 9}
    axis.plot(at, row, "<" if seconds < _AXIS[0] else "o", **look)
    early = at < 1e5  # so that the words keep inside the axis
    axis.annotate(
        time_in_words(seconds),
        (at, row),
        (10 if early else -10, 0),
        textcoords="offset points",
        ha="left" if early else "right",
        va="center",
        weight=weight,
        fontsize=10,
    )


def _rate(result: Opened) -> str:
    """Say from which speed the times come."""
    name = METHODS[result.method].hash_function
    if name not in result.speed:
        name = "SHA-256"
    if result.attacker == CARD:
        return f"{result.speed[name] / 1e9:.2g} billion {name} a second, as published"
    cores = float(result.attacker.split()[0].replace(",", ""))
    return f"{float(f'{result.speed[name] / cores:.2g}'):,.0f} {name} a second and core"


def _how(result: Opened) -> str:
    """Say on the picture whether the present point was run or computed."""
    if result.attack is not None:
        return f"run just now, {percent(result.attack.recovered)} opened"
    if METHODS[result.method].hash_function is None:
        return "nothing to try"
    return "not published" if result.seconds[result.method] is None else "computed"


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"2^{number.bit_length() - 1}"


def _sentence_case(text: str) -> str:
    return text[0].upper() + text[1:]


class ErasureExplorer(Explorer):
    """Erase the patients whose time is up, day by day, and ask who comes back from the backups that are kept.

    Parameters
    ----------
    erased : Series of datetime64
        The day on which each patient was erased.
    today : Timestamp
        When somebody takes every backup that is still kept, before the next is made.
    """

    title = "Who comes back from the backups?"

    def __init__(self, erased: pd.Series, today: pd.Timestamp) -> None:
        self._days = erasure.days_since(erased, today)
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return how patients are erased, and how many nights each kind of backup is kept."""
        nights = [(f"{kept} nights" if kept else "none kept", kept) for kept in erasure.NIGHTS]
        return {
            "erase": W.Dropdown(options=list(erasure.WAYS), description="to erase", **LOOK),
            "data_kept": W.SelectionSlider(options=nights, value=365, description="data backups", **LOOK),
            "keys_kept": W.SelectionSlider(options=nights, value=90, description="key backups", **LOOK),
        }

    def compute(self, progress: Progress, erase: str, data_kept: int, keys_kept: int) -> erasure.Returned:
        """Tell who is still in a backup, with a key."""
        return erasure.come_back(self._days, erase, data_kept, keys_kept)

    def draw(self, figure: Figure, result: erasure.Returned) -> None:
        """Draw the patients by how long ago they were erased, those who come back filled."""
        (axis,) = figure.subplots(1, 1, squeeze=False)[0]
        figures.style(axis)
        edges = range(0, int(self._days.max()) + 8, 7)
        drawn = (result.days[~result.readable], result.days[result.readable])
        _, _, (gone, back) = axis.hist(drawn, bins=edges, stacked=True, color=["white", figures.COLOURS["leak"]])
        for bar in (*gone, *back):
            bar.set(edgecolor=figures.COLOURS["baseline"], linewidth=0.6)
        for name, kept, height in (("data backups", result.data_kept, 0.93), ("key backups", result.keys_kept, 0.8)):
            if kept <= edges[-1]:
                axis.axvline(kept, color=figures.COLOURS["promise"], linestyle="--", linewidth=1)
                axis.annotate(f" {name} end", (kept, height), xycoords=("data", "axes fraction"), fontsize=10)
        axis.set(xlim=(0, edges[-1]), xlabel="days since the patient was erased", ylabel="patients, by week")
        axis.set_ylim(0, 1.35 * axis.get_ylim()[1])
        n, all_ = int(result.readable.sum()), len(result.days)
        axis.set_title(f"filled: can be read again, {n:,} of {all_:,}", fontsize=10, loc="right")

    def say(self, result: erasure.Returned) -> str:
        """Say how many come back, and until when."""
        n, all_ = int(result.readable.sum()), len(result.days)
        kept = f"data backups of {result.data_kept} nights, key backups of {result.keys_kept}"
        last = f", the last of them {int(result.days[result.readable].max())} days after the erasure" if n else ""
        return (
            f"To erase: {result.erase}. Whoever takes every backup ({kept}) reads {n:,} of {all_:,} erased patients "
            f"again ({percent(n / all_)}){last}."
        )
