"""What discrete Laplace noise makes of three queries on a table: bands, and how often a conclusion flips.

What the queries ask (`Questions`) is public: lists of names, bounds, words; it comes from a `cohort.Schema`. Nothing is
drawn at random: bands and flips are computed from the distribution of the noise,
P(z) = (1 - a) / (1 + a) * a^|z| with a = e^-epsilon.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import accounting, checks
from ppml_helpers.cohort import SUPPORT2, Category, Number, Schema
from ppml_helpers.columns import as_numbers, as_objects, is_one_of
from ppml_helpers.errors import ExplorerError

BAND = 0.95
"""Share of releases that a band holds at least."""

STEPS = 240
"""Most values on which the noise of one count is laid out. With fewer possible values nothing is rounded."""

MOST_LEVELS = 12
"""Most names that a column to count by can have: more rows do not fit a picture."""

_LEVELS_OFFERED = 6  # of a column, for comparisons: each is set against the first
_LOST = 1e-7  # probability of noise so large that it is not laid out


class Comparison(NamedTuple):
    """Two groups whose death rates are compared: a column, two of its values, short names and how to say them."""

    column: str
    values: tuple[str, str]
    names: tuple[str, str]
    spoken: str

    @property
    def people(self) -> tuple[str, str]:
        """How a sentence names the two groups."""
        first, second = map(self.spoken.format, self.names)
        return first, second


COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "COPD and CHF": Comparison("dzgroup", ("COPD", "CHF"), ("COPD", "CHF"), "patients with {}"),
        "women and men": Comparison("sex", ("female", "male"), ("women", "men"), "{}"),
        "black and white": Comparison("race", ("black", "white"), ("black", "white"), "{} patients"),
        "Asian and white": Comparison("race", ("asian", "white"), ("Asian", "white"), "{} patients"),
    }
)


class Grid(NamedTuple):
    """Where values are counted from, and in what steps: from the middle of their bounds, so that one moves a sum least.

    Ages from 18 to 98 are counted from 58 in whole years, and one of them moves a sum by at most 40 steps.
    """

    centre: float
    step: float
    reach: int

    @classmethod
    def of(cls, role: Number) -> Grid:
        """Lay a grid of 50 to 500 round steps between public bounds."""
        step = 10.0 ** math.floor(math.log10((role.high - role.low) / 50))
        centre = role.low + step * round((role.high - role.low) / 2 / step)
        return cls(centre, step, math.ceil(max(role.high - centre, centre - role.low) / step - 1e-9))


class Questions(NamedTuple):
    """The three queries on a table: columns, public lists and bounds, and how a sentence says what is counted."""

    label: str  # the column that is 1 for those who are counted
    noun: str  # "deaths"
    verb: str  # "died"
    counted: str
    levels: tuple[str, ...]
    by: str  # how a title says `counted`
    mean: str
    role: Number
    comparisons: Mapping[str, Comparison]

    @classmethod
    def of(cls, schema: Schema = SUPPORT2, counted: str | None = None, mean: str | None = None) -> Questions:
        """Ask by a schema's first column of names and about its first number, unless others are named."""
        course = schema is SUPPORT2
        counted = _named(schema, Category, counted or ("dzgroup" if course else None), "count")
        mean = _named(schema, Number, mean, "mean")
        levels = schema.columns[counted].levels
        if len(levels) > MOST_LEVELS:
            raise ExplorerError(
                f"count = {counted!r} has {len(levels)} names, and {MOST_LEVELS} fit the picture: join some of them in "
                "the table and in the Schema, or name another column."
            )
        noun = schema.outcome or f"{schema.label} = 1"
        words = ("deaths", "died") if course else (noun, f"have {noun}")
        comparisons = COMPARISONS if course else _comparisons(schema)
        by = "diagnosis" if counted == "dzgroup" and course else counted
        return cls(schema.label, *words, counted, levels, by, mean, schema.columns[mean], comparisons)


def _named(schema: Schema, kind: type, name: str | None, knob: str) -> str:
    """Return the column of a schema that plays a part: the one named, or the first of its kind."""
    offered = [column for column, role in schema.columns.items() if isinstance(role, kind) and column != schema.label]
    if not offered:
        raise ExplorerError(
            f"The Schema has no {kind.__name__}, one is needed for {knob}: add one with its public levels or bounds."
        )
    return offered[0] if name is None else checks.choice(name, knob, offered, error=ExplorerError)


_LIST = "name it so, or put it on the public list of the Schema"


def _comparisons(schema: Schema) -> dict[str, Comparison]:
    """Set the first name of each column against the others."""
    found = {}
    for column, role in schema.columns.items():
        if isinstance(role, Category):
            first, *others = role.levels[:_LEVELS_OFFERED]
            for other in others:
                spoken = f"patients with {column} = {{}}"
                found[f"{column}: {first} and {other}"] = Comparison(column, (first, other), (first, other), spoken)
    return found


def prepared(patients: Any, asked: Questions, least: int) -> pd.DataFrame:
    """Return the columns that are asked as plain values, and refuse a table that cannot answer."""
    mend = "load them, or make a table of one row a patient"
    groups = dict.fromkeys(comparison.column for comparison in asked.comparisons.values())
    needed = dict.fromkeys([asked.mean, asked.label, asked.counted, *groups])
    checks.table(patients, "patients", needed, error=ExplorerError, mend=mend)
    numbers = {name: as_numbers(patients[name], text=False) for name in (asked.mean, asked.label)}
    names = {name: as_objects(patients[name]) for name in dict.fromkeys([asked.counted, *groups])}
    fill = f"convert the column, as by pandas.to_numeric, and fill gaps with a public value ({asked.role.fill:g})"
    rules = (
        (asked.mean, np.isfinite(numbers[asked.mean]), "a finite number", fill),
        (asked.label, np.isin(numbers[asked.label], (0, 1)), "0 or 1", "recode it, for example by == 'yes'"),
        (
            asked.counted,
            is_one_of(patients[asked.counted], asked.levels),
            f"one of {', '.join(map(repr, asked.levels))}",
            _LIST,
        ),
    )
    for name, fits, rule, mend in rules:
        if not fits.all():
            value = checks.shown(patients[name][~fits].iloc[0])
            raise ExplorerError(f"patients has {name} = {value}, it must be {rule}: {mend}.")
    checks.whole(len(patients), "the number of patients", least, error=ExplorerError, mend="take more")
    return pd.DataFrame({**names, **numbers})


class Answer(NamedTuple):
    """A true value and the band that holds at least 95 % of what is released for it."""

    true: float
    low: float
    high: float


class BudgetResult(NamedTuple):
    """What one budget and its shares give."""

    epsilon: float  # of all three answers together
    shares: dict[str, int]  # percent of it by query; their sum is 100
    patients: int
    asked: Questions
    comparison: Comparison
    deaths: pd.DataFrame  # index: diagnosis (or another column's names); columns: true, low, high (patients)
    margin: int  # noise of one such count is at most this in 95 % of releases or more
    mean: Answer  # in the unit of its column
    rates: tuple[Answer, Answer]  # share who died (or have another outcome), in the two groups of the comparison
    flips: float  # share of releases with the rates equal or in the wrong order; NaN if equal in truth
    guesses: dict[str, float]  # right guesses on membership at most, by query and for "all"

    @property
    def epsilons(self) -> dict[str, float]:
        """Epsilon of each query: pure differential privacy adds up, so they sum to the budget."""
        return _parts(self.epsilon, self.shares)

    @property
    def higher(self) -> int | None:
        """Which group (0 or 1) has the higher death rate in truth; None if they are equal."""
        first, second = self.rates[0].true, self.rates[1].true
        return None if first == second else int(second > first)


def noise_cdf(values: float | np.ndarray, epsilon: float) -> float | np.ndarray:
    """Return the probability that discrete Laplace noise is at most each value.

    References
    ----------
    Ghosh, Roughgarden and Sundararajan (2012), Definition 2.1 (the geometric mechanism).
    """
    whole = np.floor(values)
    # Both tails from the small side; the exponent is held at 0 where the other branch is taken.
    below = np.exp(-epsilon * np.maximum(-whole, 0)) / (1 + math.exp(-epsilon))
    above = np.exp(-epsilon * (np.maximum(whole, 0) + 1)) / (1 + math.exp(-epsilon))
    return np.where(whole < 0, below, 1 - above)


def noise_margin(epsilon: float, share: float = BAND) -> int:
    """Return the least m such that discrete Laplace noise is from -m to m with at least this probability."""
    beyond = math.log((1 - share) * (1 + math.exp(-epsilon)) / 2)  # P(|noise| > m) = 2 a^(m + 1) / (1 + a)
    return max(0, math.ceil(-beyond / epsilon - 1 - 1e-9))


def outcomes(count: int, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what a noisy count can come out as, never below 0 and increasing, and how probable each is.

    Exact but for a probability of 1e-7 if there are no more than 241 values; otherwise neighbouring ones (but not 0)
    are taken together at their middle.
    """
    reach = noise_margin(epsilon, 1 - _LOST)
    low, high = max(0, count - reach), count + reach
    width = max(1, math.ceil((high - low) / STEPS))
    starts = np.arange(low + 1, high + 1, width)
    ends = np.minimum(starts + width - 1, high)
    up_to = noise_cdf(np.append(low, ends) - count, epsilon)
    up_to[-1] = 1.0
    return np.append(low, (starts + ends) / 2), np.diff(up_to, prepend=0.0)


# The three queries ---------------------------------------------------------------------------------------------------


def answered(
    table: pd.DataFrame, epsilon: float, shares: dict[str, int], comparison: Comparison, asked: Questions
) -> BudgetResult:
    """Return the true answers, the bands of their noise, the risk of each answer and of all, and the flips."""
    parts, label = _parts(epsilon, shares), table[asked.label].to_numpy() == 1
    counted, margin = counts(table.loc[label, asked.counted], asked.levels, parts["count"])
    rates, flips = compared(table[comparison.column], label, comparison, parts["comparison"])
    mean = bounded_mean(table[asked.mean], asked.role, parts["mean"])
    guesses = {name: accounting.membership_accuracy(part, 0.0) for name, part in (*parts.items(), ("all", epsilon))}
    return BudgetResult(epsilon, shares, len(table), asked, comparison, counted, margin, mean, rates, flips, guesses)


def _parts(epsilon: float, shares: dict[str, int]) -> dict[str, float]:
    return {name: epsilon * percent / 100 for name, percent in shares.items()}


class Rate(NamedTuple):
    """The distribution of a noisy death rate: its values, increasing, and the probability of at most each."""

    values: np.ndarray
    up_to: np.ndarray

    def quantile(self, share: float) -> float:
        """Return the least rate with at least this probability of no more."""
        return float(self.values[min(np.searchsorted(self.up_to, share - 1e-12), len(self.values) - 1)])

    def above(self, other: Rate) -> float:
        """Return the probability that this rate is larger than an independent other one."""
        place = np.searchsorted(self.values, other.values, side="right")
        at_most = np.append(0.0, self.up_to)[place]
        return float(np.diff(other.up_to, prepend=0.0) @ (1 - at_most))


def counts(names: pd.Series, levels: tuple[str, ...], epsilon: float) -> tuple[pd.DataFrame, int]:
    """Count by name; the list of names is public, so that a count of 0 is one too."""
    true = names.value_counts().reindex(list(levels), fill_value=0)
    margin = noise_margin(epsilon)
    return pd.DataFrame({"true": true, "low": np.maximum(true - margin, 0), "high": true + margin}), margin


def bounded_mean(values: pd.Series, role: Number, epsilon: float) -> Answer:
    """Find the band of centre + noisy sum of what is above it / noisy number, by halving on its distribution."""
    grid = Grid.of(role)
    steps = np.rint((values.clip(role.low, role.high).to_numpy() - grid.centre) / grid.step)
    total, per_unit = steps.sum(), epsilon / 2 / grid.reach
    numbers, probabilities = outcomes(len(steps), epsilon / 2)
    numbers = np.maximum(numbers, 1)

    def up_to(mean: float) -> float:
        return float(probabilities @ noise_cdf((mean - grid.centre) / grid.step * numbers - total + 1e-6, per_unit))

    low, high = (_least(up_to, level, role) for level in ((1 - BAND) / 2, (1 + BAND) / 2))
    return Answer(float(grid.centre + grid.step * steps.mean()), low, high)


def _least(up_to: Callable[[float], float], level: float, role: Number) -> float:
    """Return the least mean, within the public bounds, up to which there is this much probability."""
    low, high = float(role.low), float(role.high)
    if up_to(low) >= level:
        return low
    for _ in range(30):  # the bounds' distance / 2**30
        middle = (low + high) / 2
        low, high = (low, middle) if up_to(middle) >= level else (middle, high)
    return high


def compared(
    column: pd.Series, died: np.ndarray, comparison: Comparison, epsilon: float
) -> tuple[tuple[Answer, Answer], float]:
    """Return the death rates of both groups with their bands, and how often a release hides their true order."""
    answers, rates = [], []
    for value, people in zip(comparison.values, comparison.people, strict=True):
        in_group = (column == value).to_numpy()
        deaths, size = int((died & in_group).sum()), int(in_group.sum())
        if not size:
            raise ExplorerError(
                f"none of these {len(column):,} patients is one of the {people}: take more patients or other groups."
            )
        rate = noisy_rate(deaths, size - deaths, epsilon)
        rates.append(rate)
        answers.append(Answer(deaths / size, rate.quantile((1 - BAND) / 2), rate.quantile((1 + BAND) / 2)))
    first, second = answers
    if first.true == second.true:
        return (first, second), math.nan
    higher, lower = rates if first.true > second.true else rates[::-1]
    return (first, second), 1 - higher.above(lower)


def noisy_rate(died: int, survived: int, epsilon: float) -> Rate:
    """Lay out every pair of noisy counts; the rate of an empty group is 0."""
    (deaths, often), (survivors, as_often) = outcomes(died, epsilon), outcomes(survived, epsilon)
    rates = (deaths[:, None] / np.maximum(deaths[:, None] + survivors, 1)).ravel()
    order = np.argsort(rates, kind="stable")
    return Rate(rates[order], np.cumsum((often[:, None] * as_often).ravel()[order]))
