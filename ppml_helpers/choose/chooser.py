"""Which techniques are left for a table, and why the others are not: rules over the measured rows.

A rule looks at one row and one setting and gives the reason why the row falls out, or None. Nothing else decides: what
a rule says is read off the row, or measured here with the code of chapter 05 (`few_patients`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from ppml_helpers import checks, cohort
from ppml_helpers.accounting import DELTA
from ppml_helpers.choose.about import OWN
from ppml_helpers.choose.scoreboard import HELD, LEAVES, Row
from ppml_helpers.choose.techniques import A_YEAR
from ppml_helpers.errors import OutcomeError

PARTIES = ("nothing", "the rules", "a model", "updates", "records")
"""With what somebody is trusted; who is trusted with one is trusted with those before it."""

PATIENTS = (300, 1_000, 3_000, 6_829)
LOST = 0.1  # AUC: who has few patients pays more than this for a promise, or does not
SECONDS = (1.0, 10.0, 60.0, math.inf)
BYTES = (10**5, 10**7, 10**9)
PROMISES = (1.0, 3.0, 10.0, math.inf)  # epsilon of a year; infinity asks for no promise
WEIGHTS = ("usefulness", "leak", "price")

OPTIONS = MappingProxyType(
    {
        "leaves": LEAVES,
        "held": HELD,
        "hospitals": ("nothing", "the rules", "records"),
        "server": ("nothing", "the rules", "updates"),
        "researcher": ("nothing", "the rules", "a model", "records"),
        "patients": PATIENTS,
        "seconds": SECONDS,
        "bytes": BYTES,
        "times": A_YEAR,
        "promise": PROMISES,
        "weight": WEIGHTS,
    }
)
"""Knob -> what it offers."""


@dataclass(frozen=True)
class Setting:
    """What is asked for.

    Parameters
    ----------
    leaves : str
        What must leave the house: one of `LEAVES`.
    held : str
        "one table", or parts by "rows" or by "columns" at several hospitals.
    hospitals, server, researcher : str
        With what each is trusted beyond what it has anyway: one of `PARTIES`.
    patients : int
        In the training part.
    seconds, bytes : float
        At most, for one release.
    times : int
        Releases a year on the same patients.
    promise : float
        The epsilon that a patient may be promised for the year; infinity asks for none.
    weight : str
        By what the rest is ranked: one of `WEIGHTS`.
    """

    leaves: str = "a model"
    held: str = "one table"
    hospitals: str = "the rules"
    server: str = "the rules"
    researcher: str = "a model"
    patients: int = PATIENTS[-1]
    seconds: float = math.inf
    bytes: float = BYTES[-1]
    times: int = 1
    promise: float = math.inf
    weight: str = "usefulness"

    def __post_init__(self) -> None:
        """Refuse what no knob offers."""
        for name, offered in OPTIONS.items():
            value = getattr(self, name)
            if not any(value is option for option in offered):  # what a knob gives needs no closer look
                checks.choice(value, name, offered, error=OutcomeError)


class Fallen(NamedTuple):
    """A row that fell out: by which rule, in few words, and in a sentence."""

    row: Row
    rule: str
    short: str
    why: str


@dataclass(frozen=True)
class Choice:
    """What is left, the best first, and what fell out, in the order of the rules."""

    setting: Setting
    left: tuple[Row, ...]
    fallen: tuple[Fallen, ...] = field(default=())


Reason = tuple[str, str] | None  # in few words, and in a sentence


def choose(rows: Sequence[Row], setting: Setting) -> Choice:
    """Let rows fall out rule by rule, each with its reason, and rank the rest.

    Parameters
    ----------
    rows : sequence of Row
        Such as ``scoreboard.load(making.COMMITTED)``.
    setting : Setting

    Returns
    -------
    Choice
    """
    left, fallen = list(rows), []
    for name, rule in RULES.items():
        kept = []
        for row in left:
            reason = rule(row, setting)
            if reason is None:
                kept.append(row)
            else:
                fallen.append(Fallen(row, name, *reason))
        left = kept
    return Choice(setting, tuple(sorted(left, key=lambda row: _rank(row, setting.weight))), tuple(fallen))


def _rank(row: Row, weight: str) -> tuple[float, ...]:
    """Return what rows are sorted by: first what the user weighs, then the rest."""
    measures = {
        "usefulness": -(row.auc or 0.0),
        "leak": row.tpr_interval[1] if row.tpr_interval else 0.0,
        "price": math.log10(1e-3 + row.seconds) + math.log10(1 + row.bytes) / 3,
    }
    return (measures.pop(weight), *measures.values())


# The rules -------------------------------------------------------------------------------------------------------


def _measured(row: Row, setting: Setting) -> Reason:
    return ("not measured here", row.missing) if row.missing else None


def _leaves(row: Row, setting: Setting) -> Reason:
    if row.leaves == setting.leaves:
        return None
    return f"what leaves is {row.leaves}", f"What leaves with it is {row.leaves}, and {setting.leaves} is wanted."


def _held(row: Row, setting: Setting) -> Reason:
    if row.rows_or_columns == setting.held:
        return None
    needs = {"one table": "wants one table"}.get(row.rows_or_columns, f"is for parts by {row.rows_or_columns}")
    have = "there is one table" if setting.held == "one table" else f"there are parts by {setting.held}"
    return needs, f"It {needs}, and {have}."


def _trust(row: Row, setting: Setting) -> Reason:
    given = {"hospital": setting.hospitals, "server": setting.server, "researcher": setting.researcher}
    for who, wanted in row.trusts.items():
        for what in wanted:
            category = what.partition(",")[0]
            if what in OWN or PARTIES.index(category) <= PARTIES.index(given[who]):
                continue
            party = "another hospital" if who == "hospital" else f"the {who}"
            why = f"It trusts {party} with {what}; here {party} is trusted with {given[who]}."
            return f"needs trust: {who}, {category}", why
    return None


def _promise(row: Row, setting: Setting) -> Reason:
    if setting.promise == math.inf:
        return None
    if row.epsilon is None:
        return "no epsilon is promised", f"It promises a patient no epsilon (its promise: {row.promise})."
    together = row.composed[str(setting.times)]
    if together <= setting.promise * (1 + 1e-6):
        return None
    often = "One release has" if setting.times == 1 else f"{setting.times} releases a year come to"
    return f"epsilon {together:.3g} a year", f"{often} epsilon {together:.3g}, more than {setting.promise:g}."


def _again(row: Row, setting: Setting) -> Reason:
    if row.family != "anonymisation" or setting.times == 1:
        return None
    why = (
        f"{row.promise[0].upper()}{row.promise[1:]}: {setting.times} tables of the same patients have no such promise."
    )
    return "holds for one table only", why


def _few(row: Row, setting: Setting) -> Reason:
    if row.epsilon is None or row.auc is None or row.leaves != "a model":
        return None
    fact = few_patients(setting.patients, round(row.epsilon, 1))
    if fact.lost <= LOST:
        return None
    why = (
        f"With {setting.patients:,} patients a model at epsilon {fact.epsilon:g} has AUC {fact.private:.2f}, without "
        f"a promise {fact.plain:.2f} (measured with chapter 05's training)."
    )
    return f"AUC {fact.private:.2f} with so few patients", why


def _seconds(row: Row, setting: Setting) -> Reason:
    if row.seconds <= setting.seconds:
        return None
    return (
        f"takes {row.seconds:.0f} s",
        f"It took {row.seconds:.0f} s where it was measured, {setting.seconds:g} are allowed.",
    )


def _bytes(row: Row, setting: Setting) -> Reason:
    if row.bytes <= setting.bytes:
        return None
    return f"sends {sent(row.bytes)}", f"It sends {sent(row.bytes)}, {sent(setting.bytes)} are allowed."


def sent(number: float) -> str:
    """Return a number of bytes in words: two digits at least, in the unit that suits."""
    for size, unit in ((1e6, "MB"), (1e3, "KB")):
        if number >= size:
            return f"{number / size:,.0f} {unit}" if number >= 9.5 * size else f"{number / size:.1f} {unit}"
    return f"{number:.0f} bytes" if number else "nothing sent"


RULES: MappingProxyType[str, Callable[[Row, Setting], Reason]] = MappingProxyType(
    {
        "measured": _measured,
        "what leaves": _leaves,
        "who holds the data": _held,
        "who is trusted": _trust,
        "the promise": _promise,
        "another release": _again,
        "few patients": _few,
        "time": _seconds,
        "bytes": _bytes,
    }
)
"""Rule -> row and setting to a reason, or None; in the order in which they are asked."""


# Few patients ----------------------------------------------------------------------------------------------------


class Fact(NamedTuple):
    """What a promise costs with so many patients: mean AUC of five trainings with it, and without."""

    patients: int
    epsilon: float
    private: float
    plain: float

    @property
    def lost(self) -> float:
        """AUC that the promise costs."""
        return self.plain - self.private


@lru_cache(maxsize=64)
def few_patients(patients: int, epsilon: float) -> Fact:
    """Measure what epsilon costs with so many of the course's training patients, as chapter 05 does.

    Parameters
    ----------
    patients : int
        One of `PATIENTS`.
    epsilon : float

    Returns
    -------
    Fact
    """
    from ppml_helpers.private_training.engine import no_progress

    checks.choice(patients, "patients", PATIENTS, error=OutcomeError)
    bench = _bench(patients)
    private = bench.logits([epsilon], bench.seeds, no_progress)[epsilon]
    y = bench.data(bench.seeds[0])[3]
    means = [float(np.mean([roc_auc_score(y, logits) for logits in side])) for side in (private, bench.plain)]
    return Fact(patients, epsilon, *means)


@lru_cache(maxsize=len(PATIENTS))
def _bench(patients: int) -> Any:
    """Return chapter 05's bench, imported here because it loads torch."""
    from ppml_helpers.private_training import RECIPES
    from ppml_helpers.private_training.curve import Bench

    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    return Bench(split, patients, "logistic regression", RECIPES["logistic regression"], DELTA)
