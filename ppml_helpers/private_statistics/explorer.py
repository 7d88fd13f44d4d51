"""The explorer of chapter 04: what sharing out one privacy budget does to three answers and to one conclusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ppml_helpers import accounting, figures
from ppml_helpers.cohort import DIAGNOSES, SUPPORT2, load_patients
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.words import in_100

SHARES = ("count", "mean", "comparison")
"""The knobs that share out the budget: deaths by diagnosis, mean age, death rates of two groups."""

LEAST, MOST = 5, 90
"""Percent of the budget that one query can get: three queries that all get something."""

PATIENTS = (300, 1_000, 3_000)
AGES = (18, 98)
"""Public bounds in whole years (the course's, see `cohort.SUPPORT2`), not the smallest and largest age in the table."""

BAND = 0.95
"""Share of releases that a band holds at least."""

STEPS = 240
"""Most values on which the noise of one count is laid out. With fewer possible values nothing is rounded."""

_CENTRE, _REACH = sum(AGES) // 2, (AGES[1] - AGES[0]) // 2  # ages are counted from 58: one moves a sum by at most 40
_LOST = 1e-7  # probability of noise so large that it is not laid out
_FEWEST = 300
_SIZE = (7.0, 5.4)  # inches
_GREY = "#555555"  # darker than the baseline's colour, for text


class Comparison(NamedTuple):
    """Two groups whose death rates are compared: a column, two of its values, short names and how to speak of them."""

    column: str
    values: tuple[str, str]
    names: tuple[str, str]
    people: tuple[str, str]


COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "COPD and CHF": Comparison(
            "dzgroup", ("COPD", "CHF"), ("COPD", "CHF"), ("patients with COPD", "patients with CHF")
        ),
        "women and men": Comparison("sex", ("female", "male"), ("women", "men"), ("women", "men")),
        "black and white": Comparison(
            "race", ("black", "white"), ("black", "white"), ("black patients", "white patients")
        ),
        "Asian and white": Comparison(
            "race", ("asian", "white"), ("Asian", "white"), ("Asian patients", "white patients")
        ),
    }
)


class Answer(NamedTuple):
    """A true value and the band that holds at least 95 % of what is released for it."""

    true: float
    low: float
    high: float


class BudgetResult(NamedTuple):
    """What one setting of the knobs gives."""

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
        return {name: self.epsilon * percent / 100 for name, percent in self.shares.items()}

    @property
    def higher(self) -> int | None:
        """Which group (0 or 1) has the higher death rate in truth; None if they are equal."""
        first, second = self.rates[0].true, self.rates[1].true
        return None if first == second else int(second > first)


class BudgetExplorer(Explorer):
    """Share out a budget among three queries; see each answer's noise, each answer's risk, and a conclusion flip.

    The three shares always add up to 100 %: moving one rescales the other two in proportion (and moving it back
    brings them back), each in whole percent from 5 to 90. `set` does the same: with one share the others are
    rescaled, with two the third gets what is left, and three must add up to 1.

    Parameters
    ----------
    patients : DataFrame, optional
        A table with the columns of SUPPORT2 that are asked; by default the patients of the course.
    seed : int
        Which patients are drawn when fewer than all take part. The same ones are in every larger draw.

    Raises
    ------
    ExplorerError
        If it is given something else than a table, one that lacks a column or a value that it needs, one with fewer
        than 300 patients, or a seed that is no whole number from 0.

    Notes
    -----
    The promise is pure epsilon-differential privacy for tables that differ by one patient more or less. The noise is
    the discrete Laplace (two-sided geometric) one, ``P(z) ~ exp(-epsilon |z| / sensitivity)``; what is released is
    never below 0. The queries, and what one patient can change:

    - count: those who died, by diagnosis. A patient is in one of the eight counts and changes it by 1 (parallel
      composition: one epsilon for all eight).
    - mean: of the ages in whole years, clipped to 18 to 98. The number of patients is not taken as public: half of the
      epsilon goes to the sum of (age - 58), which one patient changes by at most 40, half to the number (at least 1
      after noise); the mean is 58 plus their ratio, clipped to 18 to 98.
    - comparison: those who died and those who survived in each of two groups that share no patient; four counts, of
      which a patient changes one by 1, and from them two rates (a group that comes out empty has rate 0).

    Nothing is drawn at random: bands and flips are computed from the distribution of the noise. This is exact, but for
    noise that occurs with probability 1e-7, as long as a count has no more than 240 possible values (an epsilon of 0.14
    or more); with less epsilon neighbouring values are taken together, which moves the share of flips by less than
    0.001.

    A band holds the noise of privacy alone, not the chance by which these patients and no others were in the study.

    Bands and flips depend on the true table: they are for its holder. A split that was chosen because of them, like
    anything chosen by looking at the patients, is not covered by the promise; choose it on other patients or on
    published figures.
    """

    title = "Sharing out a privacy budget"

    def __init__(self, patients: pd.DataFrame | None = None, seed: int = 0) -> None:
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
            raise ExplorerError(f"seed = {seed!r} is not a whole number of at least 0: choose one, for example 0.")
        self._table = _needed(load_patients() if patients is None else patients)
        self._order = np.random.default_rng(seed).permutation(len(self._table))
        self._memory: tuple[dict[str, int], dict[str, float]] = ({}, {})  # shares as shown, and before rounding
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    def controls(self) -> dict[str, W.Widget]:
        """Return the budget, the number of patients, the three shares, and the groups to compare."""
        everybody = len(self._table)
        counts = [(f"{n:,}", n) for n in PATIENTS if n < everybody] + [(f"all {everybody:,}", everybody)]
        percents = [(f"{percent} %", percent / 100) for percent in range(LEAST, MOST + 1)]
        names = {"count": "deaths", "mean": "mean age", "comparison": "comparison"}
        look = {"style": {"description_width": "80px"}, "layout": {"width": "265px"}}
        start = {"count": 0.4, "mean": 0.2, "comparison": 0.4}
        shares = {
            name: W.SelectionSlider(options=percents, value=start[name], description=names[name], **look)
            for name in SHARES
        }
        some = 1_000 if everybody > 1_000 else everybody  # with all 9,105 the bands at epsilon 1 are too thin to see
        return {
            "epsilon": log_slider("epsilon", 1.0, -2, 1, 0.1),
            "patients": W.SelectionSlider(options=counts, value=some, description="patients", **LOOK),
            **shares,
            "groups": W.Dropdown(options=list(COMPARISONS), value="women and men", description="compare", **LOOK),
        }

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the knobs in rows: how much and for how many, how it is shared, and what is compared."""
        row = {"flex_flow": "row wrap"}
        return W.VBox(
            [
                W.HBox([knobs["epsilon"], knobs["patients"]], layout=row),
                W.HTML("Shares of the budget, always 100 % together:"),
                W.HBox([knobs[name] for name in SHARES], layout=row),
                knobs["groups"],
            ]
        )

    def set(self, *unnamed: Any, **values: Any) -> BudgetExplorer:
        """Turn knobs and wait for the picture; shares that are not named are worked out.

        Parameters
        ----------
        **values
            Knob values by name; a share is a whole number of percent, such as ``count=0.5``.

        Returns
        -------
        BudgetExplorer
            Itself.

        Raises
        ------
        ExplorerError
            If a knob does not exist or cannot take the value, or the shares cannot add up to 1.
        """
        named = {name: values[name] for name in SHARES if name in values}
        if named:
            completed = self._completed({name: _percent_of(name, value) for name, value in named.items()})
            values |= {name: percent / 100 for name, percent in completed.items()}
        super().set(*unnamed, **values)
        return self

    def compute(
        self,
        progress: Progress,
        epsilon: float,
        patients: int,
        count: float,
        mean: float,
        comparison: float,
        groups: str,
    ) -> BudgetResult:
        """Compute the true answers, the bands of their noise, the risk and the flips."""
        shares = {name: round(100 * share) for name, share in zip(SHARES, (count, mean, comparison), strict=True)}
        parts = {name: epsilon * percent / 100 for name, percent in shares.items()}
        table = self._table.iloc[self._order[:patients]]
        progress(0.3, "computing the bands of the noise")
        deaths, margin = _deaths(table, parts["count"])
        rates, flips = _compare(table, COMPARISONS[groups], parts["comparison"])
        return BudgetResult(
            epsilon=epsilon,
            shares=shares,
            patients=patients,
            comparison=COMPARISONS[groups],
            deaths=deaths,
            margin=margin,
            age=_mean_age(table["age"], parts["mean"]),
            rates=rates,
            flips=flips,
            guesses={
                name: accounting.membership_accuracy(part, 0.0) for name, part in (*parts.items(), ("all", epsilon))
            },
        )

    def draw(self, figure: Figure, result: BudgetResult) -> None:
        """Draw the band of each answer, beside it what it tells about one patient, and below it the conclusion."""
        figure.set_layout_engine("none")
        _draw_deaths(figure.add_axes((0.25, 0.57, 0.335, 0.365)), result)
        _draw_age(figure.add_axes((0.25, 0.43, 0.335, 0.045)), result)
        _draw_rates(figure.add_axes((0.25, 0.255, 0.335, 0.085)), result)
        _draw_risk(figure.add_axes((0.655, 0.255, 0.3, 0.635)), result)
        truth, comma, flips = _conclusion(result).partition(", ")
        figure.text(0.012, 0.155, truth + comma, fontsize=10, va="center")
        figure.text(0.012, 0.12, f"{flips}.", fontsize=10, va="center", weight="bold")
        note = (
            "Blue: at least 95 % of the releases of an answer. Grey line: the truth, which only the holder sees.\n"
            "So this picture is for the data holder alone: to publish it would break the promise."
        )
        figure.text(0.012, 0.02, note, fontsize=10, va="bottom", linespacing=1.3)

    def say(self, result: BudgetResult) -> str:
        """Say the split, how exact each answer is, how much each gives away, and how often the conclusion flips."""
        percents, others = ([f"{result.shares[name]} %" for name in SHARES], result.comparison.people)
        guesses = [in_100(result.guesses[name]) for name in SHARES]
        first, second = map(_range, result.rates)
        margin = f"within {result.margin:,} of the truth" if result.margin else "exactly right"
        conclusion = _conclusion(result)
        return (
            f"With epsilon {result.epsilon:.2g} for {result.patients:,} patients, shared {_listed(percents)} among "
            f"deaths by diagnosis, mean age and a comparison, at least 95 % of releases have a count {margin}, "
            f"the mean age at {_years(result.age)} (truth {result.age.true:.1f}), and the share who died at {first} of "
            f"the {others[0]} and at {second} of the {others[1]}; a guess about whether one patient is in the data is "
            f"right at most {_listed(guesses)} times in 100 from one answer alone and "
            f"{in_100(result.guesses['all'])} from all three (a coin: 50); {conclusion[0].lower()}{conclusion[1:]}."
        )

    # Shares that add up ------------------------------------------------------------------------------------------

    def _on_knob(self, change: Any) -> None:
        """Let the other two shares follow one that was moved by hand, then go on as every explorer does."""
        moved = next((name for name in SHARES if self._controls[name] is change["owner"]), None)
        if self._by_hand and moved:
            shares = self._completed({moved: round(100 * change["new"])})
            self._by_hand = False  # the sliders that follow must not ask the others to follow them
            try:
                for name, percent in shares.items():
                    self._controls[name].value = percent / 100
            finally:
                self._by_hand = True
        super()._on_knob(change)

    def _completed(self, named: dict[str, int]) -> dict[str, int]:
        """Return all three shares in percent: those named, and the others so that they add up to 100."""
        others = [name for name in SHARES if name not in named]
        left = 100 - sum(named.values())
        if len(others) == 2:
            return self._follow(named, others, left)
        if (not others and left) or (others and not LEAST <= left <= MOST):
            said = " + ".join(f"{name} {percent} %" for name, percent in named.items())
            rule = (
                f"{others[0]} would get {left} %, not {LEAST} to {MOST} %" if others else "together they must be 100 %"
            )
            raise ExplorerError(f"the shares {said} cannot add up: {rule}; name one share and the others follow.")
        completed = named | dict.fromkeys(others, left)
        self._memory = completed, {name: float(percent) for name, percent in completed.items()}
        return completed

    def _follow(self, named: dict[str, int], others: list[str], left: int) -> dict[str, int]:
        """Rescale two shares in proportion to what they were before rounding (if that is what is still shown)."""
        first, second = others
        shown = {name: round(100 * self._controls[name].value) for name in others}
        remembered, exact = self._memory
        weights = exact if all(remembered.get(name) == shown[name] for name in others) else shown
        part = left * weights[first] / (weights[first] + weights[second])
        rounded = min(max(round(part), LEAST), left - LEAST)
        completed = named | {first: rounded, second: left - rounded}
        self._memory = completed, {**completed, first: part, second: left - part}
        return completed


def _percent_of(name: str, share: Any) -> int:
    """Return a share in percent, and refuse one that no slider can show."""
    if not isinstance(share, Real) or isinstance(share, bool) or not LEAST <= 100 * share + 1e-9 <= MOST + 1e-6:
        raise ExplorerError(
            f"{name} = {share!r} is not a share from {LEAST / 100:g} to {MOST / 100:g} ({LEAST} to {MOST} % of the "
            "budget); choose one in that range."
        )
    percent = round(100 * share)
    if abs(100 * share - percent) > 1e-6:
        raise ExplorerError(
            f"{name} = {share!r} is not a whole number of percent: choose for example {percent / 100:g} ({percent} %)."
        )
    return percent


def _needed(patients: Any) -> pd.DataFrame:
    """Return the columns that are asked, and refuse a table that cannot answer."""
    if not isinstance(patients, pd.DataFrame):
        kind = type(patients).__name__
        raise ExplorerError(f"the patients are of type {kind}, not a table: give what cohort.load_patients returns.")
    optional = "race"  # a patient without it is in no group
    columns = ["age", SUPPORT2.label, *dict.fromkeys(comparison.column for comparison in COMPARISONS.values())]
    for name in columns:
        if name not in patients.columns or (name != optional and patients[name].isna().any()):
            wrong = "has missing values in" if name in patients.columns else "lacks"
            raise ExplorerError(f"the table {wrong} the column {name!r}: give what cohort.load_patients returns.")
    if not set(patients[SUPPORT2.label].unique()) <= {0, 1}:
        raise ExplorerError(f"the column {SUPPORT2.label!r} holds more than 0 and 1: give the table as published.")
    if not set(patients["dzgroup"].unique()) <= set(DIAGNOSES):
        raise ExplorerError("the column 'dzgroup' holds a diagnosis that is not on the public list cohort.DIAGNOSES.")
    if len(patients) < _FEWEST:
        raise ExplorerError(f"the table has {len(patients)} patients; the explorer needs {_FEWEST} or more: take more.")
    return patients[columns].reset_index(drop=True)


# --------------------------------------------------------------------------------------------------------------
# The noise: discrete Laplace, P(z) = (1 - a) / (1 + a) * a^|z| with a = e^-epsilon
# --------------------------------------------------------------------------------------------------------------


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
    """Return what a noisy count can come out as, never below 0, and how probable that is.

    Parameters
    ----------
    count : int
    epsilon : float

    Returns
    -------
    values, probabilities : arrays of equal length
        Increasing, at most 241 of them. Exact but for a probability of 1e-7 if there are no more than that; otherwise
        neighbouring values (but not 0) are taken together at their middle.
    """
    reach = noise_margin(epsilon, 1 - _LOST)
    low, high = max(0, count - reach), count + reach
    width = max(1, math.ceil((high - low) / STEPS))
    starts = np.arange(low + 1, high + 1, width)
    ends = np.minimum(starts + width - 1, high)
    up_to = noise_cdf(np.append(low, ends) - count, epsilon)
    up_to[-1] = 1.0
    return np.append(low, (starts + ends) / 2), np.diff(up_to, prepend=0.0)


# --------------------------------------------------------------------------------------------------------------
# The three queries
# --------------------------------------------------------------------------------------------------------------


class _Rate(NamedTuple):
    """The distribution of a noisy death rate: its values, increasing, and the probability of at most each."""

    values: np.ndarray
    up_to: np.ndarray

    def quantile(self, share: float) -> float:
        return float(self.values[min(np.searchsorted(self.up_to, share - 1e-12), len(self.values) - 1)])

    def above(self, other: _Rate) -> float:
        """Return the probability that this rate is larger than an independent other one."""
        place = np.searchsorted(self.values, other.values, side="right")
        at_most = np.append(0.0, self.up_to)[place]
        return float(np.diff(other.up_to, prepend=0.0) @ (1 - at_most))


def _deaths(table: pd.DataFrame, epsilon: float) -> tuple[pd.DataFrame, int]:
    """Count those who died by diagnosis; the list of diagnoses is public, so that a count of 0 is one too."""
    died = table["dzgroup"][table[SUPPORT2.label] == 1]
    true = died.value_counts().reindex(DIAGNOSES, fill_value=0)
    margin = noise_margin(epsilon)
    return pd.DataFrame({"true": true, "low": np.maximum(true - margin, 0), "high": true + margin}), margin


def _mean_age(ages: pd.Series, epsilon: float) -> Answer:
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


def _compare(table: pd.DataFrame, comparison: Comparison, epsilon: float) -> tuple[tuple[Answer, Answer], float]:
    """Return the death rates of both groups with their bands, and how often a release hides their true order."""
    died, answers, rates = table[SUPPORT2.label].to_numpy() == 1, [], []
    for value, people in zip(comparison.values, comparison.people, strict=True):
        in_group = (table[comparison.column] == value).to_numpy()
        deaths, size = int((died & in_group).sum()), int(in_group.sum())
        if not size:
            raise ExplorerError(
                f"none of these {len(table):,} patients is one of the {people}: take more patients or other groups."
            )
        rate = _noisy_rate(deaths, size - deaths, epsilon)
        rates.append(rate)
        answers.append(Answer(deaths / size, rate.quantile((1 - BAND) / 2), rate.quantile((1 + BAND) / 2)))
    first, second = answers
    if first.true == second.true:
        return (first, second), math.nan
    higher, lower = rates if first.true > second.true else rates[::-1]
    return (first, second), 1 - higher.above(lower)


def _noisy_rate(died: int, survived: int, epsilon: float) -> _Rate:
    """Lay out every pair of noisy counts; the rate of an empty group is 0."""
    (deaths, often), (survivors, as_often) = outcomes(died, epsilon), outcomes(survived, epsilon)
    rates = (deaths[:, None] / np.maximum(deaths[:, None] + survivors, 1)).ravel()
    order = np.argsort(rates, kind="stable")
    return _Rate(rates[order], np.cumsum((often[:, None] * as_often).ravel()[order]))


# --------------------------------------------------------------------------------------------------------------
# The picture and the words
# --------------------------------------------------------------------------------------------------------------


def _draw_bands(axis: Axes, answers: list[Answer], names: list[str]) -> None:
    """Draw a row for each answer: its band, and a mark at the truth."""
    figures.style(axis)
    places = np.arange(len(answers))[::-1]
    for place, answer in zip(places, answers, strict=True):
        band = answer.high - answer.low
        axis.barh(place, band, left=answer.low, height=0.5, color=figures.COLOURS["utility"], alpha=0.35)
        axis.plot([answer.low, answer.high], [place, place], "|", color=figures.COLOURS["utility"], markersize=8)
        axis.plot(answer.true, place, "|", color=_GREY, markersize=13, markeredgewidth=1.6, clip_on=False, zorder=3)
    axis.set_yticks(places, names)
    axis.set_ylim(-0.6, len(answers) - 0.4)
    axis.grid(False, axis="y")


def _draw_deaths(axis: Axes, result: BudgetResult) -> None:
    answers = [Answer(*row) for row in result.deaths.itertuples(index=False)]
    _draw_bands(axis, answers, list(result.deaths.index))
    axis.set_xlim(0, 1.25 * result.deaths["true"].max() + 1)  # by the truth alone, to compare splits by eye
    axis.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axis.set_title(f"deaths by diagnosis: each ± {result.margin:,}", fontsize=10, loc="left")


def _draw_age(axis: Axes, result: BudgetResult) -> None:
    _draw_bands(axis, [result.age], [_years(result.age)])
    axis.set(xlim=AGES, xticks=(20, 40, 60, 80))
    axis.set_title("mean age, between 18 and 98", fontsize=10, loc="left")


def _draw_rates(axis: Axes, result: BudgetResult) -> None:
    named = zip(result.comparison.names, result.rates, strict=True)
    _draw_bands(axis, list(result.rates), [f"{name} {_range(rate)}" for name, rate in named])
    axis.set(xlim=(0, 1))
    axis.set_xticks((0, 0.5, 1), ("0", "50 %", "100 %"))
    axis.set_title("comparison: share who died", fontsize=10, loc="left")


def _draw_risk(axis: Axes, result: BudgetResult) -> None:
    """Draw the best guess on membership that each answer allows, and all of them, with the coin marked on each."""
    figures.style(axis)
    parts = {**result.epsilons, "all": result.epsilon}
    names = {"count": "deaths", "mean": "mean age", "comparison": "comparison", "all": "together, the sum"}
    places = np.arange(len(parts))[::-1]
    promise = [result.guesses[name] for name in parts]
    axis.barh(places, promise, height=0.3, color="white", edgecolor="black", linestyle="--", linewidth=1.2)
    axis.barh(places, 0.5, height=0.3, color=figures.COLOURS["baseline"])
    for place, (name, epsilon), guess in zip(places, parts.items(), promise, strict=True):
        axis.text(0.0, place + 0.2, f"{names[name]}: epsilon {epsilon:.2g}", fontsize=10, va="bottom")
        axis.text(0.02, place, f"{in_100(guess)} in 100", fontsize=10, va="center", weight="bold")
    axis.set(xlim=(0, 1.02), ylim=(-0.4, len(parts) - 0.35), yticks=[])
    axis.set_xticks((0, 0.5, 1), ("0", "50 %", "100 %"))
    axis.set_xlabel("right guesses (grey: a coin)", fontsize=10)
    axis.set_title("is one patient in the data?\nright at most", fontsize=10, loc="left")


def _conclusion(result: BudgetResult) -> str:
    """Say which group has the higher death rate, and how often a release does not show it."""
    people, rates = result.comparison.people, result.rates
    if result.higher is None:
        return f"The same share of the {people[0]} and of the {people[1]} died, so that there is no conclusion to flip"
    more, less = result.higher, 1 - result.higher
    return (
        f"A larger share of the {people[more]} died than of the {people[less]} "
        f"({_apart(rates[more].true, rates[less].true)}), which flips or ties in {_of_releases(result.flips)}"
    )


def _of_releases(share: float) -> str:
    """Say how many releases flip, with the digits that are known."""
    if share < 0.001:
        return "fewer than 1 of 1,000 releases"
    return f"{100 * share:.1f} of 100 releases" if share < 0.095 else f"{100 * share:.0f} of 100 releases"


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _apart(first: float, second: float) -> str:
    """Write two different shares in percent with as few digits as tell them apart."""
    digits = next((d for d in range(1, 4) if round(100 * first, d) != round(100 * second, d)), 4)
    return f"{100 * first:.{digits}f} against {100 * second:.{digits}f} %"


def _years(age: Answer) -> str:
    digits = 2 if age.high - age.low < 0.2 else 1
    return f"{age.low:.{digits}f} to {age.high:.{digits}f} years"


def _range(rate: Answer) -> str:
    digits = 1 if rate.high - rate.low < 0.05 else 0
    return f"{100 * rate.low:.{digits}f} to {100 * rate.high:.{digits}f} %"
