"""The explorer of chapter 08: what ring, scale, depth and packing cost in bits, error, time and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ppml_helpers import checks, cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.homomorphic_encryption import costs
from ppml_helpers.homomorphic_encryption.costs import BitBudget, Costs, Simulated
from ppml_helpers.homomorphic_encryption.parameters import standard_bits
from ppml_helpers.words import counted

OFFERED_RINGS = (2048, 4096, 8192, 16384)
SCALES = (20, 24, 28, 32, 36, 40, 45)  # bits
DEPTHS = (1, 10)  # fewest, most multiplications one after another
PACKINGS = ("columns", "one patient")

RUNS = ("simulate", "execute", "sweep")
"""How a setting is tried: without a key, really encrypted, or really encrypted at every scale that fits."""

FEATURE = "age"
"""The column whose powers are computed, scaled to [-1, 1] by public bounds."""

_SIZE = (7.0, 5.2)  # inches


class Encryption(NamedTuple):
    """What one setting of the knobs gives."""

    budget: BitBudget
    packing: str
    features: int  # of a patient
    simulated: Mapping[int, Simulated]  # by scale, every one that fits the ring at this depth
    executed: Mapping[int, Costs]  # by scale, those that were really encrypted

    @property
    def costs(self) -> Costs | None:
        """What was measured at the scale of the knob; None if it is not possible, or was only simulated."""
        return self.executed.get(self.budget.scale_bits)


class EncryptionExplorer(Explorer):
    """Choose CKKS parameters, see whether 128-bit security has room for them, and what they cost.

    Simulate first: the room and the error are known at once, without a key. Then execute: patients of the course are
    really encrypted, computed on and decrypted by TenSEAL, at this scale or at every scale that fits.

    Parameters
    ----------
    patients : DataFrame, optional
        A table with the columns of SUPPORT2; by default the patients of the course.

    Notes
    -----
    The work is a power: the age of as many patients as there are slots is multiplied by itself as often as the depth
    says. Nothing is added up within a ciphertext, so neither packing needs Galois keys. The sentence says of the error
    what was simulated, for what is measured differs a little from run to run; times and bytes are on the picture alone.
    """

    title = "What encrypted computing costs"

    def __init__(self, patients: pd.DataFrame | None = None) -> None:
        if patients is None:
            patients = cohort.load_patients()
        checks.table(patients, "patients", error=ExplorerError, mend="give what cohort.load_patients returns")
        X, _ = cohort.features(patients)
        self._features, self._column = X.to_numpy(np.float64), X.columns.get_loc(FEATURE)
        self._measured: dict[BitBudget, Costs] = {}
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    def controls(self) -> dict[str, W.Widget]:
        """Return ring size, scale, depth, packing, and how the setting is tried."""
        rings = [(f"{ring:,}", ring) for ring in OFFERED_RINGS]
        names = ("patients in columns", "one patient a ciphertext")
        packings = list(zip(names, PACKINGS, strict=True))
        runs = list(zip(("simulate", "execute", "execute every scale"), RUNS, strict=True))
        return {
            "ring": W.SelectionSlider(options=rings, value=8192, description="ring size", **LOOK),
            "scale": W.SelectionSlider(options=SCALES, value=36, description="scale (bits)", **LOOK),
            "depth": W.IntSlider(min=DEPTHS[0], max=DEPTHS[1], value=3, description="depth", **LOOK),
            "packing": W.Dropdown(options=packings, value="columns", description="packing", **LOOK),
            "run": W.Dropdown(options=runs, value="simulate", description="run", **LOOK),
        }

    def compute(self, progress: Progress, ring: int, scale: int, depth: int, packing: str, run: str) -> Encryption:
        """Simulate every scale that fits and, if it is wanted, execute this one or all."""
        tried = {bits: costs.bit_budget(ring, bits, depth) for bits in SCALES}
        fits = {bits: budget for bits, budget in tried.items() if budget.possible}
        simulated = {bits: costs.simulate(one, self._features[: one.slots, self._column]) for bits, one in fits.items()}
        wanted = {"simulate": [], "execute": [scale], "sweep": SCALES}[run]
        wanted = [bits for bits in wanted if bits in fits]
        for done, bits in enumerate(wanted):
            self._measure(fits[bits], lambda part, what, at=done: progress((at + part) / len(wanted), what))
        executed = {bits: self._measured[fits[bits]] for bits in wanted}
        return Encryption(tried[scale], packing, self._features.shape[1], simulated, executed)

    def _measure(self, budget: BitBudget, progress: Progress) -> None:
        """Measure a setting that was not measured yet: packing and run alone change nothing."""
        if budget not in self._measured:
            self._measured[budget] = costs.measure(budget, self._features, self._column, progress)

    def forget(self) -> None:
        """Drop every remembered result and everything measured."""
        super().forget()
        self._measured = {}

    def draw(self, figure: Figure, result: Encryption) -> None:
        """Draw the primes against the limits, the error by scale, and time and bytes or what each ring would allow."""
        figure.set_layout_engine("none")
        _draw_bits(figure.add_axes((0.02, 0.795, 0.96, 0.085)), result.budget)
        headline, mend = _verdict(result.budget)
        figure.text(0.02, 0.7, f"{headline}.", fontsize=10, va="center", weight="bold")
        figure.text(0.02, 0.655, f"{mend}." if mend else "", fontsize=10, va="center")
        if result.simulated:
            _draw_errors(figure.add_axes((0.105, 0.25, 0.345, 0.28)), result)
        else:
            figure.text(0.08, 0.4, f"No scale on offer fits this ring\nat depth {result.budget.depth}.", fontsize=10)
        if result.costs is None:
            _draw_rings(figure.add_axes((0.665, 0.25, 0.3, 0.28)), result.budget)
        elif len(result.executed) > 1:
            _draw_sweep(figure.add_axes((0.665, 0.25, 0.3, 0.28)), result)
        else:
            _draw_time(figure.add_axes((0.665, 0.455, 0.2, 0.145)), result)
            _draw_bytes(figure.add_axes((0.665, 0.25, 0.2, 0.1)), result)
        slots = min(result.budget.slots, len(self._features))
        note = (
            f"{FEATURE.capitalize()} of {slots:,} patients, scaled to \u22121 to 1, is multiplied by itself.\n"
            f"Simulated: without a key. Executed: really encrypted; time and bytes are for all {result.features}\n"
            "features, client and server on one core of this machine, without keys."
        )
        figure.text(0.02, 0.012, note, fontsize=10, va="bottom", linespacing=1.25)

    def say(self, result: Encryption) -> str:
        """Say whether the setting fits, the error that is left, and what each packing sends."""
        budget = result.budget
        times = counted(budget.depth, "multiplication") + (" one after another" if budget.depth > 1 else "")
        setting = (
            f"A ring of {budget.ring:,}, a scale of 2^{budget.scale_bits} and {times} need primes of {budget.used} "
            f"bits together, and 128-bit security allows {budget.allowed} ({standard_bits(budget.ring)} by the "
            "standard of 2018)"
        )
        if not budget.possible:
            headline, mend = _verdict(budget)
            return f"{setting}: {_in_sentence(headline)}; {_in_sentence(mend)}."
        said = [setting, _error(result, min(budget.slots, len(self._features)))]
        if len(result.executed) > 1:
            said.append(_swept(result))
        return "; ".join([*said, *([] if result.costs is None else [_packed(result)])]) + "."


def _verdict(budget: BitBudget) -> tuple[str, str]:
    """Say whether the setting is possible and, if not, what would be."""
    if budget.possible:
        return f"It fits with {counted(budget.allowed - budget.used, 'bit')} to spare", ""
    if not budget.excess:
        needed = counted(budget.depth, "prime") + f" of {budget.scale_bits} bits that suit ring {budget.ring:,}"
        return "There are too few such primes", f"SEAL needs {needed}: take a larger scale or less depth"
    deepest = costs.deepest(budget.ring, budget.scale_bits)
    here = counted(deepest, "multiplication") if deepest else "no multiplication"
    enough = costs.smallest_ring(budget.scale_bits, budget.depth)
    there = f"ring {enough:,} would do" if enough in OFFERED_RINGS else "no ring on offer would do"
    mend = f"At scale 2^{budget.scale_bits} this ring allows {here}; {there}"
    return f"{counted(budget.excess, 'bit')} too many", mend


def _error(result: Encryption, patients: int) -> str:
    """Say the error in words that are the same in every run."""
    foretold, found = result.simulated[result.budget.scale_bits], result.costs
    what = f"the {FEATURE} of {patients:,} patients, raised to the power {result.budget.depth + 1}"
    drift = f"{_power(foretold.drift)} if the drift of the scale is left in"
    if found is None:
        return f"simulated, {what}, comes back with a typical error of {_power(foretold.error)} ({drift})"
    near = foretold.error / 2 <= found.error <= foretold.error * 2
    said = "within a factor of two of" if near else "far from"
    return (
        f"executed, {what}, comes back with a typical error {said} the {_power(foretold.error)} that was simulated "
        f"({drift})"
    )


def _swept(result: Encryption) -> str:
    """Say what the scale buys."""
    low, high = min(result.simulated), max(result.simulated)
    first, last = (_power(result.simulated[bits].error) for bits in (low, high))
    return f"from scale 2^{low} to 2^{high}, the largest that fits here, the error falls from {first} to {last}"


def _packed(result: Encryption) -> str:
    """Say how many ciphertexts each packing takes: bytes and time are in proportion to them."""
    patients, ciphertexts = result.costs.columns.patients, result.costs.columns.ciphertexts
    if result.packing == "columns":
        return (
            f"in columns {counted(ciphertexts, 'ciphertext')} carry {patients:,} patients, and one patient a "
            f"ciphertext takes {patients / ciphertexts:.3g} times as many"
        )
    return (
        f"with one patient a ciphertext {result.features} of {result.budget.slots:,} slots are in use, and "
        f"{patients:,} patients take {patients / ciphertexts:.3g} times as many ciphertexts as in columns"
    )


def _in_sentence(text: str) -> str:
    """Make of a whole sentence a part of a longer one; a name keeps its capitals."""
    return text if text[:2].isupper() else text[0].lower() + text[1:]


def _power(value: float) -> str:
    """Write a small number with one digit, such as 3e-8."""
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit}e{int(exponent)}"


def _size(amount: float) -> str:
    """Write an amount of bytes with two digits."""
    unit, divisor = ("MB", 1e6) if amount >= 995_000 else ("kB", 1e3)
    return f"{_two_digits(amount / divisor)} {unit}"


def _duration(seconds: float) -> str:
    """Write a time with two digits."""
    unit, factor = ("s", 1) if seconds >= 0.995 else ("ms", 1e3)
    return f"{_two_digits(seconds * factor)} {unit}"


def _two_digits(number: float) -> str:
    return f"{float(f'{number:.2g}'):g}"


def _draw_bits(axis: Axes, budget: BitBudget) -> None:
    """Draw the primes one after another, what is beyond the limit hatched, and the limit."""
    figures.style(axis)
    reach = 1.02 * max(budget.used, budget.allowed)
    at = 0
    for place, bits in enumerate(budget.primes):
        end = place in (0, len(budget.primes) - 1)
        colour = figures.COLOURS["baseline"] if end else figures.COLOURS["utility"]
        axis.barh(0, bits, left=at, height=1, color=colour, edgecolor="white", linewidth=1.5)
        if bits / reach > 0.035:
            ink = "black" if end else "white"
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}  # or what is hatched could not be read
            look = {"fontsize": 10, "ha": "center", "va": "center", "color": ink, "bbox": box, "zorder": 5}
            axis.text(at + bits / 2, 0, str(bits), **look)
        at += bits
    if budget.excess:
        leak = figures.COLOURS["leak"]
        axis.barh(0, budget.excess, left=budget.allowed, height=1, color="none", edgecolor=leak, hatch="//", zorder=3)
    axis.plot([budget.allowed] * 2, [-0.75, 0.75], "--", color=figures.COLOURS["promise"], linewidth=2, zorder=4)
    left = budget.allowed > 0.5 * reach
    label = f"128-bit limit of ring {budget.ring:,}: {budget.allowed} bits ({standard_bits(budget.ring)} in 2018)"
    axis.text(budget.allowed, 0.85, label, fontsize=10, ha="right" if left else "left", va="bottom")
    axis.set(xlim=(0, reach), ylim=(-0.75, 0.75), yticks=[])
    axis.grid(False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    title = f"bits of the primes: one for each multiplication (blue), first and last (grey); {budget.used} together"
    axis.set_title(title, fontsize=10, loc="left", pad=20)


def _draw_rings(axis: Axes, budget: BitBudget) -> None:
    """Draw how many multiplications each ring allows at this scale, and how many are asked for."""
    figures.style(axis)
    places = np.arange(len(OFFERED_RINGS))[::-1]
    deepest = [costs.deepest(ring, budget.scale_bits) for ring in OFFERED_RINGS]
    for place, ring, depth in zip(places, OFFERED_RINGS, deepest, strict=True):
        colour = figures.COLOURS["utility"] if ring == budget.ring else figures.COLOURS["baseline"]
        axis.barh(place, depth, height=0.6, color=colour)
        axis.text(depth + 0.15, place, str(depth), fontsize=10, va="center")
    axis.axvline(budget.depth, color=figures.COLOURS["promise"], linestyle="--", linewidth=1.2)
    axis.set_yticks(places, [f"ring {ring:,}" for ring in OFFERED_RINGS])
    axis.set(xlim=(0, 1.15 * max(*deepest, budget.depth)), ylim=(-0.6, len(OFFERED_RINGS) - 0.4))
    axis.grid(False, axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_xlabel("multiplications (dashed: yours)", fontsize=10)
    axis.set_title(f"largest depth at scale 2^{budget.scale_bits}", fontsize=10, loc="left")


def _draw_errors(axis: Axes, result: Encryption) -> None:
    """Draw the simulated error at every scale that fits, what the drift would make of it, and what was executed."""
    figures.style(axis)
    scales, here = list(result.simulated), result.budget.scale_bits
    drift, error = ([getattr(one, name) for one in result.simulated.values()] for name in ("drift", "error"))
    blue = figures.COLOURS["utility"]
    axis.semilogy(scales, drift, "^:", color=figures.COLOURS["control"], markersize=6)
    axis.semilogy(scales, error, "s--", color=figures.COLOURS["promise"], markerfacecolor="white", markersize=6)
    for bits, found in result.executed.items():
        axis.vlines(bits, found.error, found.largest, color=blue, linewidth=2)
        axis.semilogy(bits, found.error, "o", color=blue, markersize=6, zorder=3)
    axis.axvline(here, color=figures.COLOURS["baseline"], linewidth=1)
    largest = [found.largest for found in result.executed.values()]
    low, high = np.floor(np.log10(min(*drift, *error))), np.ceil(np.log10(max(*drift, *error, *largest)))
    axis.set(xlim=(SCALES[0] - 1.5, SCALES[-1] + 1.5), ylim=(10.0**low, 10.0**high))
    tens = np.arange(low, high + 1, max(1, np.ceil((high - low) / 5)))
    axis.set_yticks(10.0**tens, [f"1e{ten:.0f}" for ten in tens])
    axis.minorticks_off()
    axis.set_xticks(SCALES, [str(bits) for bits in SCALES])
    axis.set_xlabel("scale (bits)", fontsize=10)
    title = "typical error: simulated (squares),\nexecuted (dots), drift left in (triangles)"
    axis.set_title(title, fontsize=10, loc="left")


def _draw_time(axis: Axes, result: Encryption) -> None:
    """Draw processor time per patient in both packings, and until a full request is answered."""
    found = result.costs
    rows = [
        ("columns: each", found.columns.seconds_per_patient, "columns"),
        (f"columns: all {found.columns.patients:,}", found.columns.seconds_to_answer, "columns"),
        ("one patient", found.one_patient.seconds_per_patient, "one patient"),
    ]
    _draw_rows(axis, [(name, value, _duration(value), packing) for name, value, packing in rows], result.packing)
    axis.set_title("processor time (log scale)", fontsize=10, loc="left")


def _draw_bytes(axis: Axes, result: Encryption) -> None:
    """Draw bytes per patient in both packings."""
    found = result.costs
    rows = [
        ("columns: each", found.columns.bytes_per_patient, "columns"),
        ("one patient", found.one_patient.bytes_per_patient, "one patient"),
    ]
    _draw_rows(axis, [(name, value, _size(value), packing) for name, value, packing in rows], result.packing)
    axis.set_title("bytes both ways (log scale)", fontsize=10, loc="left")


def _draw_sweep(axis: Axes, result: Encryption) -> None:
    """Draw processor time of a patient against the error, one dot a scale."""
    figures.style(axis)
    packing = "columns" if result.packing == "columns" else "one_patient"
    points = {
        bits: (one.error, 1e3 * getattr(one, packing).seconds_per_patient) for bits, one in result.executed.items()
    }
    for bits, point in points.items():
        inside = figures.COLOURS["utility"] if bits == result.budget.scale_bits else "white"
        axis.semilogx(*point, "o", color=figures.COLOURS["utility"], markerfacecolor=inside, markersize=7)
        axis.annotate(str(bits), point, (0, 8), textcoords="offset points", ha="center", fontsize=10)
    errors, times = zip(*points.values(), strict=True)
    low, high = np.floor(np.log10(min(errors))), np.ceil(np.log10(max(errors)))
    axis.set(xlim=(10.0**low, 10.0**high), ylim=(0, 1.5 * max(times)))
    tens = np.arange(low, high + 1, max(1, np.ceil((high - low) / 4)))
    axis.set_xticks(10.0**tens, [f"1e{ten:.0f}" for ten in tens])
    axis.minorticks_off()
    axis.set_xlabel("typical error", fontsize=10)
    title = "processor time of a patient (ms)\nat each scale (its bits at the dot)"
    axis.set_title(title, fontsize=10, loc="left")


def _draw_rows(axis: Axes, rows: list[tuple[str, float, str, str]], chosen: str) -> None:
    """Draw one dot a row on a logarithmic axis, filled where it belongs to the chosen packing."""
    figures.style(axis)
    looks = {"columns": ("o", figures.COLOURS["utility"]), "one patient": ("s", figures.COLOURS["control"])}
    places = np.arange(len(rows))[::-1]
    for place, (_, value, text, packing) in zip(places, rows, strict=True):
        marker, colour = looks[packing]
        inside = colour if packing == chosen else "white"
        axis.plot(
            value, place, marker, color=colour, markerfacecolor=inside, markeredgewidth=2, markersize=8, clip_on=False
        )
        weight = "bold" if packing == chosen else "normal"
        axis.text(1.08, place, text, transform=axis.get_yaxis_transform(), fontsize=10, va="center", weight=weight)
    values = [value for _, value, _, _ in rows]
    low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)))
    axis.set_xscale("log")
    axis.set(xlim=(10.0**low, 10.0 ** max(high, low + 1)), ylim=(-0.6, len(rows) - 0.4))
    axis.set_xticks(10.0 ** np.arange(low, high + 1), [])
    axis.minorticks_off()
    axis.set_yticks(places, [name for name, *_ in rows])
    axis.tick_params(axis="y", length=0)
