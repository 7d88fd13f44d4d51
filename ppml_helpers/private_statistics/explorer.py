"""The explorer of chapter 04: what sharing out one privacy budget does to three answers and to one conclusion."""

from __future__ import annotations

from typing import Any

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ppml_helpers import checks, figures
from ppml_helpers.cohort import DIAGNOSES, SUPPORT2, load_patients
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.private_statistics.noise import AGES, COMPARISONS, Answer, BudgetResult, answered
from ppml_helpers.words import in_100, listed

SHARES = ("count", "mean", "comparison")
"""The knobs that share out the budget: deaths by diagnosis, mean age, death rates of two groups."""

LEAST, MOST = 5, 90
"""Percent of the budget that one query can get: three queries that all get something."""

PATIENTS = (300, 1_000, 3_000)
_FEWEST = 300
_SIZE = (7.0, 5.4)  # inches
_GREY = "#555555"  # darker than the baseline's colour, for text


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
        If the table lacks a column, a value or 300 patients, or the seed is no whole number from 0.

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
        checks.whole(seed, "seed", 0, error=ExplorerError)
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
        """Turn knobs and wait for the picture; shares that are not named are worked out, in whole percent."""
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
        progress(0.3, "computing the bands of the noise")
        return answered(self._table.iloc[self._order[:patients]], epsilon, shares, COMPARISONS[groups])

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
            f"With epsilon {result.epsilon:.2g} for {result.patients:,} patients, shared {listed(percents)} among "
            f"deaths by diagnosis, mean age and a comparison, at least 95 % of releases have a count {margin}, "
            f"the mean age at {_years(result.age)} (truth {result.age.true:.1f}), and the share who died at {first} of "
            f"the {others[0]} and at {second} of the {others[1]}; a guess about whether one patient is in the data is "
            f"right at most {listed(guesses)} times in 100 from one answer alone and "
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
    percent = round(100 * checks.share(share, name, error=ExplorerError))
    if abs(100 * share - percent) > 1e-6 or not LEAST <= percent <= MOST:
        near = min(max(percent, LEAST), MOST)
        raise ExplorerError(
            f"{name} = {share!r} is not a whole number of percent from {LEAST} to {MOST}: choose for example "
            f"{near / 100:g} ({near} %)."
        )
    return percent


def _needed(patients: Any) -> pd.DataFrame:
    """Return the columns that are asked, and refuse a table that cannot answer."""
    mend = "give what cohort.load_patients returns"
    columns = ["age", SUPPORT2.label, *dict.fromkeys(comparison.column for comparison in COMPARISONS.values())]
    checks.table(patients, "patients", columns, error=ExplorerError, mend=mend)
    for name in columns:
        if name != "race" and patients[name].isna().any():  # a patient without race is in no group
            raise ExplorerError(f"patients has missing values in the column {name!r}: {mend}.")
    for name, public in ((SUPPORT2.label, {0, 1}), ("dzgroup", set(DIAGNOSES))):
        odd = set(patients[name].unique()) - public
        if odd:
            raise ExplorerError(f"patients has {odd.pop()!s} in the column {name!r}, not on its public list: {mend}.")
    checks.whole(len(patients), "the number of patients", _FEWEST, error=ExplorerError, mend="take more")
    return patients[columns].reset_index(drop=True)


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
