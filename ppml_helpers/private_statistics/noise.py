"""What discrete Laplace noise makes of the chapter's three queries: bands, and how often a conclusion flips.

Nothing is drawn at random: bands and flips are computed from the distribution of the noise,
P(z) = (1 - a) / (1 + a) * a^|z| with a = e^-epsilon.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import accounting
from ppml_helpers.cohort import DIAGNOSES, SUPPORT2
from ppml_helpers.errors import ExplorerError

AGES = (18, 98)
"""Public bounds in whole years (the course's, see `cohort.SUPPORT2`), not the smallest and largest age in the table."""

BAND = 0.95
"""Share of releases that a band holds at least."""

STEPS = 240
"""Most values on which the noise of one count is laid out. With fewer possible values nothing is rounded."""

_CENTRE, _REACH = sum(AGES) // 2, (AGES[1] - AGES[0]) // 2  # ages are counted from 58: one moves a sum by at most 40
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
    comparison: Comparison
    deaths: pd.DataFrame  # index: diagnosis; columns: true, low, high (patients who died in hospital)
    margin: int  # noise of one such count is at most this in 95 % of releases or more
    age: Answer  # years
    rates: tuple[Answer, Answer]  # share who died, in the two groups of the comparison
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


def answered(table: pd.DataFrame, epsilon: float, shares: dict[str, int], comparison: Comparison) -> BudgetResult:
    """Return the true answers, the bands of their noise, the risk of each answer and of all, and the flips."""
    parts = _parts(epsilon, shares)
    counted, margin = deaths(table, parts["count"])
    rates, flips = compared(table, comparison, parts["comparison"])
    age = mean_age(table["age"], parts["mean"])
    guesses = {name: accounting.membership_accuracy(part, 0.0) for name, part in (*parts.items(), ("all", epsilon))}
    return BudgetResult(epsilon, shares, len(table), comparison, counted, margin, age, rates, flips, guesses)


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


def deaths(table: pd.DataFrame, epsilon: float) -> tuple[pd.DataFrame, int]:
    """Count those who died by diagnosis; the list of diagnoses is public, so that a count of 0 is one too."""
    died = table["dzgroup"][table[SUPPORT2.label] == 1]
    true = died.value_counts().reindex(DIAGNOSES, fill_value=0)
    margin = noise_margin(epsilon)
    return pd.DataFrame({"true": true, "low": np.maximum(true - margin, 0), "high": true + margin}), margin


def mean_age(ages: pd.Series, epsilon: float) -> Answer:
    """Find the band of 58 + noisy sum of (age - 58) / noisy number, by halving on its distribution."""
    centred = np.rint(ages.clip(*AGES)).to_numpy() - _CENTRE
    total, per_unit = centred.sum(), epsilon / 2 / _REACH
    numbers, probabilities = outcomes(len(centred), epsilon / 2)
    numbers = np.maximum(numbers, 1)

    def up_to(age: float) -> float:
        return float(probabilities @ noise_cdf((age - _CENTRE) * numbers - total + 1e-6, per_unit))

    low, high = (_least(up_to, level) for level in ((1 - BAND) / 2, (1 + BAND) / 2))
    return Answer(float(_CENTRE + centred.mean()), low, high)


def _least(up_to: Callable[[float], float], level: float) -> float:
    """Return the least age, within the public bounds, up to which there is this much probability."""
    low, high = map(float, AGES)
    if up_to(low) >= level:
        return low
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if up_to(middle) >= level else (middle, high)
    return high


def compared(table: pd.DataFrame, comparison: Comparison, epsilon: float) -> tuple[tuple[Answer, Answer], float]:
    """Return the death rates of both groups with their bands, and how often a release hides their true order."""
    died, answers, rates = table[SUPPORT2.label].to_numpy() == 1, [], []
    for value, people in zip(comparison.values, comparison.people, strict=True):
        in_group = (table[comparison.column] == value).to_numpy()
        deaths, size = int((died & in_group).sum()), int(in_group.sum())
        if not size:
            raise ExplorerError(
                f"none of these {len(table):,} patients is one of the {people}: take more patients or other groups."
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
