"""The explorer of chapter 02: how long a dictionary needs to open a table of pseudonyms."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.people import identities
from ppml_helpers.pseudonymise import pseudonyms
from ppml_helpers.pseudonymise.guessing_attack import HASHERS, SCRYPT_COST, Cracked, dictionary_attack

CORES = (1, 10, 100, 1_000, 10_000)

_BORN = ("1890-01-01", "1989-12-31")  # a hundred years in which every patient was born
_FIRST_RECORD, _LAST_RECORD = 1_000_000, 9_999_999
_AXIS = (1e-3, 1e10)  # seconds
_YEAR = 365.25 * 86400  # seconds
_MARKS = (
    (1e-3, "1 ms"), (1.0, "1 s"), (60.0, "1 min"), (3600.0, "1 h"), (86400.0, "1 day"), (_YEAR, "1 year"),
    (100 * _YEAR, "100\nyears"),
)  # fmt: skip


class Identifier(NamedTuple):
    """What was pseudonymised: how many values are possible, and how to list them if that is wise."""

    name: str
    size: int
    candidates: Callable[[], Iterable[str]] | None = None
    of: Callable[[pd.DataFrame], Iterable[str]] | None = None


class Method(NamedTuple):
    """A way to make pseudonyms.

    Attributes
    ----------
    hasher : str
        Its name in `attacks.dictionary.HASHERS`.
    run_up_to : int
        Longest list that is really tried; a longer one takes too long to wait for and is extrapolated.
    own_salts : bool
        Whether each record has a salt of its own.
    """

    hasher: str
    run_up_to: int = 0
    own_salts: bool = False


class Opened(NamedTuple):
    """What one setting of the knobs gives.

    Attributes
    ----------
    identifier : Identifier
    method : str
        One of `METHODS`.
    cores : int
    records : int
        Patients in the table.
    seconds : dict of str to (float, float) or None
        Shortest and longest time to try every possibility, by method; None where there is nothing to try.
    speed : dict of str to float
        Hashes a second, measured on one core of this machine, by hasher.
    attack : Cracked or None
        The attack that was really run, None if it would take too long.
    """

    identifier: Identifier
    method: str
    cores: int
    records: int
    seconds: dict[str, tuple[float, float] | None]
    speed: dict[str, float]
    attack: Cracked | None


def birth_dates() -> list[str]:
    """Return every day of a hundred years, 1890 to 1989, as text such as "1931-05-04"."""
    return np.arange(_BORN[0], np.datetime64(_BORN[1]) + 1, dtype="datetime64[D]").astype(str).tolist()


class _RecordNumbers:
    """Every record number ("H" and seven digits), one at a time: nine million texts need not lie in memory."""

    def __len__(self) -> int:
        return _LAST_RECORD - _FIRST_RECORD + 1

    def __iter__(self) -> Iterator[str]:
        return (f"H{number}" for number in range(_FIRST_RECORD, _LAST_RECORD + 1))


def _valid_ids() -> int:
    """Count the ten-digit ids with a right check digit: one in eleven sequences of nine digits has none."""
    sums = np.zeros(11, dtype=np.int64)
    sums[0] = 1
    for weight in range(10, 1, -1):
        sums = sum(np.roll(sums, weight * digit) for digit in range(10))
    return int(sums.sum() - sums[1])


_DAYS = len(birth_dates())
IDENTIFIERS: Mapping[str, Identifier] = MappingProxyType(
    {
        "birth date": Identifier(
            "birth dates", _DAYS, birth_dates, lambda people: people["birth_date"].dt.strftime("%Y-%m-%d")
        ),
        "birth date, sex, postcode": Identifier(
            "birth dates with sex and postcode", _DAYS * 2 * len(identities.REGIONS)
        ),
        "record number": Identifier(
            "record numbers", len(_RecordNumbers()), _RecordNumbers, lambda people: people["mrn"]
        ),
        "national id, test range": Identifier(
            "national ids of the test range",
            len(identities.national_ids()),
            lambda: identities.national_ids().tolist(),
            lambda people: people["national_id"],
        ),
        "national id, all": Identifier("national ids of ten digits", _valid_ids()),
        "random 128-bit number": Identifier("random 128-bit numbers", 2**128),
    }
)
METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "plain SHA-256": Method("SHA-256", run_up_to=10_000_000),
        "one salt, known": Method("salted SHA-256", run_up_to=10_000_000),
        "a salt per record, known": Method("salted SHA-256", own_salts=True),
        "slow hash (scrypt)": Method("scrypt"),
        "HMAC, secret key": Method("HMAC", run_up_to=1_000_000),
    }
)


class PseudonymExplorer(Explorer):
    """Measure how fast this machine hashes, open the pseudonyms if that is quick, and extrapolate if it is not.

    The speed is measured on one core, in processor time, once for each kind of hash. Because it varies a little from
    run to run, picture and sentence use its power of ten only; `result.speed` has the measured figures.

    Parameters
    ----------
    people : DataFrame
        What `identities.identities` returned: `birth_date`, `mrn` and `national_id` are used.

    Raises
    ------
    ExplorerError
        If `people` is no such table, or is empty.
    """

    title = "How long do the pseudonyms hold?"

    def __init__(self, people: pd.DataFrame) -> None:
        needed = ["birth_date", "mrn", "national_id"]
        if not isinstance(people, pd.DataFrame) or not set(needed) <= set(people.columns) or people.empty:
            raise ExplorerError(
                f"the explorer needs a table of people with {', '.join(needed)}: give it what "
                f"identities.identities(patients) returns."
            )
        self._people = people
        self._secret = pseudonyms.new_key()  # the salt that everybody knows, or the key that nobody does
        self._speed: dict[str, float] = {}
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return identifier, method and the cores of the attacker."""
        cores = [(f"{n:,}", n) for n in CORES]
        return {
            "identifier": W.Dropdown(options=list(IDENTIFIERS), description="identifier", **LOOK),
            "method": W.Dropdown(options=list(METHODS), description="method", **LOOK),
            "cores": W.SelectionSlider(options=cores, description="attacker's cores", **LOOK),
        }

    def forget(self) -> None:
        """Drop every remembered result and the measured speeds."""
        super().forget()
        self._speed = {}

    def compute(self, progress: Progress, identifier: str, method: str, cores: int) -> Opened:
        """Measure, attack for real where that is quick, and work out the time for all methods."""
        for hasher in sorted({way.hasher for way in METHODS.values()} - {"HMAC"} - set(self._speed)):
            progress(0.0, "measuring the speed of this machine")
            self._speed[hasher] = measured_speed(hasher, self._secret)
        what, way = IDENTIFIERS[identifier], METHODS[method]
        records = len(self._people)
        return Opened(
            identifier=what,
            method=method,
            cores=cores,
            records=records,
            seconds={name: self._seconds(each, what.size, cores) for name, each in METHODS.items()},
            speed=dict(self._speed),
            attack=self._attack(progress, what, way) if _quick(what, way) else None,
        )

    def _seconds(self, way: Method, size: int, cores: int) -> tuple[float, float] | None:
        """Return the shortest and the longest time for all tries; the speed is known to its power of ten."""
        if way.hasher == "HMAC":
            return None
        tries = size * (len(self._people) if way.own_salts else 1)
        slowest = 10.0 ** math.floor(math.log10(self._speed[way.hasher])) * cores
        return tries / slowest / 10, tries / slowest

    def _attack(self, progress: Progress, what: Identifier, way: Method) -> Cracked:
        """Make the pseudonyms as the hospital does, and open them as the attacker can."""
        make = HASHERS[way.hasher](self._secret)
        given = [make(text) for text in what.of(self._people)]
        # Without the key the best that an attacker of an HMAC can do is to try some other one.
        tried = HASHERS[way.hasher](pseudonyms.new_key()) if way.hasher == "HMAC" else make
        return dictionary_attack(
            given, what.candidates(), tried, progress=lambda share, said: progress(0.05 + 0.95 * share, said)
        )

    def draw(self, figure: Figure, result: Opened) -> None:
        """Draw the time of every method on one axis, with the marks that people think in."""
        (axis,) = figure.subplots(1, 1, squeeze=False)[0]
        figures.style(axis)
        for row, (name, span) in enumerate(result.seconds.items()):
            _draw_row(axis, len(METHODS) - 1 - row, span, result, present=name == result.method)
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
        what, span = result.identifier, result.seconds[result.method]
        every = f"all {_count(what.size)} {what.name}"
        run = ""
        if result.attack is not None:
            share = f"{100 * result.attack.recovered:.0f} % of {result.records:,} pseudonyms were opened"
            key = "a key of the attacker's own" if span is None else METHODS[result.method].hasher
            tried = result.attack.tried  # it ends as soon as everybody is found
            some = every if tried == what.size else f"{tried:,} of {what.size:,} {what.name}"
            run = f"{some} were hashed just now on one core of this machine ({key}), and {share}"
        if span is None:
            return (
                (f"{run[0].upper()}{run[1:]}. " if run else "")
                + "With HMAC there is no dictionary without the key, and no number of cores can try 2^256 keys; "
                "whoever holds the key can still go back."
            )
        times = f"for each of {result.records:,} salts " if METHODS[result.method].own_salts else ""
        time_needed = f"trying {every} {times}takes {_cores(result.cores)} {_between(*span)} ({result.method})"
        if run:
            return f"{run[0].upper()}{run[1:]}; {time_needed}."
        return f"{time_needed[0].upper()}{time_needed[1:]}, extrapolated from the speed measured on one core here."


def _quick(what: Identifier, way: Method) -> bool:
    """Tell whether the attack is run, or else extrapolated; by counting, so that every machine does the same."""
    return what.candidates is not None and what.size <= way.run_up_to


def measured_speed(hasher: str, salt: bytes) -> float:
    """Measure hashes a second on one core: the best of several short runs of a plain loop."""
    make, count, runs = {
        "SHA-256": (lambda text: hashlib.sha256(text).digest(), 5_000, 15),
        "salted SHA-256": (lambda text: hashlib.sha256(salt + text).digest(), 5_000, 15),
        "scrypt": (lambda text: hashlib.scrypt(text, salt=salt, n=SCRYPT_COST, r=8, p=1), 1, 3),
    }[hasher]
    # Processor time does not count waiting for a busy processor; where its clock is coarse, the wall clock has to do.
    fine = time.get_clock_info("thread_time").resolution < 1e-4
    clock = time.thread_time if fine else time.perf_counter
    texts = [b"%010d" % number for number in range(count)]
    spent = math.inf
    for _ in range(runs):
        began = clock()
        for text in texts:
            make(text)
        spent = min(spent, clock() - began)
    return count / max(spent, 1e-9)


def _draw_row(axis: Axes, row: int, span: tuple[float, float] | None, result: Opened, present: bool) -> None:
    """Draw one method: its time, or an arrow and a reason where the time is off the axis."""
    colour = figures.COLOURS["leak" if present else "baseline"]
    face = colour if present else "white"
    weight = "bold" if present else "normal"
    off = _off_axis(span, result)
    if off:
        axis.annotate(off, (0.985, row), xycoords=("axes fraction", "data"), ha="right", va="center", weight=weight)
        axis.plot(1, row, ">", transform=axis.get_yaxis_transform(), color=colour, markersize=10, clip_on=False)
        return
    low, high = (max(end, 1.3 * _AXIS[0]) for end in span)
    axis.plot([low, high], [row, row], "-", color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt")
    marker = "<" if span[1] < _AXIS[0] else "o"
    axis.plot(math.sqrt(low * high), row, marker, color=colour, markerfacecolor=face, markersize=9)
    early = high < 1e5  # so that the words keep inside the axis
    axis.annotate(
        _between(*span),
        (high if early else low, row),
        (10 if early else -10, 0),
        textcoords="offset points",
        ha="left" if early else "right",
        va="center",
        weight=weight,
        fontsize=10,
    )


def _off_axis(span: tuple[float, float] | None, result: Opened) -> str:
    """Return why a method's time is not on the axis; nothing if it is."""
    if span is None:
        return "no dictionary without the key ($2^{256}$ keys)"
    if span[0] > _AXIS[1]:
        return f"{_between(*span)}: too many to list"
    return ""


def _how(result: Opened) -> str:
    """Say on the picture whether the present point was run or extrapolated."""
    if result.attack is not None:
        return f"run just now, {100 * result.attack.recovered:.0f} % opened"
    return "nothing to try" if result.seconds[result.method] is None else "extrapolated"


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"2^{number.bit_length() - 1}"


def _cores(number: int) -> str:
    return "1 core" if number == 1 else f"{number:,} cores"


_UNITS = ((60, 1, "second"), (3600, 60, "minute"), (86400, 3600, "hour"), (_YEAR, 86400, "day"))


def _time(seconds: float) -> tuple[str, str]:
    """Return a time as a number of two digits and its unit."""
    if seconds >= 1e5 * _YEAR:
        return f"10^{math.floor(math.log10(seconds / _YEAR))}", "years"
    size, unit = next(((size, unit) for below, size, unit in _UNITS if seconds < below), (_YEAR, "year"))
    number = f"{float(f'{seconds / size:.2g}'):,g}"
    return number, unit if number == "1" else f"{unit}s"


def _between(low: float, high: float) -> str:
    """Say a span of time: "2 to 20 minutes"."""
    if high <= 1:
        return "less than a second"
    if low < 1:
        return f"at most {' '.join(_time(high))}"
    (first, unit), (second, other) = _time(low), _time(high)
    return (
        f"{first} to {second} {other}"
        if unit.rstrip("s") == other.rstrip("s")
        else f"{first} {unit} to {second} {other}"
    )
