"""The explorer of chapter 04: what sharing out one privacy budget does to three answers and to one conclusion."""

from __future__ import annotations

import math
from typing import Any

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ppml_helpers import checks, figures
from ppml_helpers.cohort import SUPPORT2, Schema, load_patients
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.private_statistics.noise import Answer, BudgetResult, Questions, answered, prepared
from ppml_helpers.words import in_100, listed

SHARES = ("count", "mean", "comparison")
"""The knobs that share out the budget: counts by name, a mean, the rates of two groups."""

LEAST, MOST = 5, 90
"""Percent of the budget that one query can get: three queries that all get something."""

PATIENTS = (300, 1_000, 3_000)
_FEWEST = 100
_WIDTH, _HEIGHT, _ROW = 7.0, 3.3, 0.17  # inches; with the knobs and the sentence it fits a screen of 768 pixels
_GREY = "#555555"  # darker than the baseline's colour, for text
_TITLE = {"fontsize": 10, "loc": "left"}


class BudgetExplorer(Explorer):
    """Share out a budget among three queries; see each answer's noise, each answer's risk, and a conclusion flip.

    The three shares always add up to 100 %: moving one rescales the other two in proportion (and moving it back
    brings them back), each in whole percent from 5 to 90. `set` does the same: with one share the others are
    rescaled, with two the third gets what is left, and three must add up to 1.

    Parameters
    ----------
    patients : DataFrame, optional
        One row a patient; by default the patients of the course. A table of your own comes with its `schema`.
    seed : int
        Which patients are drawn when fewer than all take part. The same ones are in every larger draw.
    schema : Schema
        What is publicly known: the label (0 or 1), lists of names, bounds. The bounds are not read off the table.
    count, mean : str, optional
        Which of the schema's columns of names to count by, and of which number to give the mean; the first of each
        kind by default. Two groups to compare are two names of a column.

    Raises
    ------
    ExplorerError
        If the table lacks a column or 100 patients, holds a value that the schema does not know, or the seed is no
        whole number from 0.

    Notes
    -----
    The promise is pure epsilon-differential privacy for tables that differ by one patient more or less. The noise is
    the discrete Laplace (two-sided geometric) one, ``P(z) ~ exp(-epsilon |z| / sensitivity)``; what is released is
    never below 0. The queries, and what one patient can change:

    - count: those who died, by diagnosis (those with label 1, by name). A patient is in one of the counts and changes
      it by 1 (parallel composition: one epsilon for all of them).
    - mean: of the ages in whole years, clipped to 18 to 98 (of a number within its public bounds, in round steps, see
      `noise.Grid`). The number of patients is not taken as public: half of the epsilon goes to the sum of (age - 58),
      which one patient changes by at most 40, half to the number (at least 1 after noise); the mean is 58 plus their
      ratio, clipped to 18 to 98.
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

    References
    ----------
    The nearest relative is ViP (Nanayakkara, Bater, He, Hullman and Rogers 2022, "Visualizing privacy-utility
    trade-offs in differentially private data releases"), which also shares out a budget and shows how releases spread.
    """

    title = "Sharing out a privacy budget"

    def __init__(
        self,
        patients: pd.DataFrame | None = None,
        seed: int = 0,
        schema: Schema = SUPPORT2,
        count: str | None = None,
        mean: str | None = None,
    ) -> None:
        checks.whole(seed, "seed", 0, error=ExplorerError)
        self._asked = Questions.of(schema, count, mean)
        self._table = prepared(load_patients() if patients is None else patients, self._asked, _FEWEST)
        self._order = np.random.default_rng(seed).permutation(len(self._table))
        self._memory: tuple[dict[str, int], dict[str, float]] = ({}, {})  # shares as shown, and before rounding
        super().__init__()
        self._figure.set_size_inches(_WIDTH, _HEIGHT + _ROW * max(0, len(self._asked.levels) - 8))

    def controls(self) -> dict[str, W.Widget]:
        """Return the budget, the number of patients, the three shares, and the groups to compare."""
        everybody = len(self._table)
        counts = [(f"{n:,}", n) for n in PATIENTS if n < everybody] + [(f"all {everybody:,}", everybody)]
        percents = [(f"{percent} %", percent / 100) for percent in range(LEAST, MOST + 1)]
        groups = list(self._asked.comparisons)
        usual = "women and men" if "women and men" in groups else groups[0]
        names = {"count": "counts", "mean": "mean", "comparison": "comparison"}
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
            "groups": W.Dropdown(options=groups, value=usual, description="compare", **LOOK),
        }

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the knobs in rows: how much and for how many, how it is shared, and what is compared."""
        row = {"flex_flow": "row wrap"}
        said = W.HTML("Shares of the budget, always 100 % together:", layout={"width": "380px"})
        rows = ([knobs["epsilon"], knobs["patients"]], [said, knobs["groups"]], [knobs[name] for name in SHARES])
        return W.VBox([W.HBox(some, layout=row) for some in rows])

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
        table = self._table.iloc[self._order[:patients]]
        return answered(table, epsilon, shares, self._asked.comparisons[groups], self._asked)

    def draw(self, figure: Figure, result: BudgetResult) -> None:
        """Draw the band of each answer, what each tells about one patient, and below them the conclusion."""
        figure.set_layout_engine("none")
        high = figure.get_figheight()

        def panel(left: float, bottom: float, width: float, tall: float) -> Axes:  # in inches
            return figure.add_axes((left / _WIDTH, bottom / high, width / _WIDTH, tall / high))

        rows = _ROW * max(8, len(result.asked.levels))
        _draw_counts(panel(1.72, 1.7, 1.5, rows), result)
        _draw_mean(panel(1.72, 1.06, 1.5, 0.16), result)
        _draw_risk(panel(4.95, high - 1.24, 1.75, 0.95), result)
        _draw_rates(panel(4.95, 1.06, 1.75, 0.4), result)
        truth, comma, flips = _conclusion(result).partition(", ")
        truth = truth + comma if len(truth) < 98 else _short(truth, 90)
        figure.text(0.012, 0.6 / high, truth, fontsize=10, va="bottom")
        figure.text(0.012, 0.42 / high, f"{flips}.", fontsize=10, va="bottom", weight="bold")
        note = (
            "Blue: at least 95 % of the releases of an answer. Grey line: the truth, which only the holder sees.\n"
            "So this picture is for the data holder alone: to publish it would break the promise."
        )
        figure.text(0.012, 0.04 / high, note, fontsize=10, va="bottom", linespacing=1.2)

    def say(self, result: BudgetResult) -> str:
        """Say the split, how exact each answer is, how much each gives away, and how often the conclusion flips."""
        percents, names = [f"{result.shares[name]} %" for name in SHARES], result.comparison.names
        guesses, asked = [in_100(result.guesses[name]) for name in SHARES], result.asked
        first, second = map(_range, result.rates)
        margin = f"within {result.margin:,} of the truth" if result.margin else "exactly right"
        conclusion = _conclusion(result)
        return (
            f"With epsilon {result.epsilon:.2g} for {result.patients:,} patients, shared {listed(percents)} among "
            f"{asked.noun} by {asked.by}, mean {asked.mean} and a comparison, at least 95 % of releases have a count "
            f"{margin}, a mean of {_mean(result)} {asked.role.unit} (truth {result.mean.true:.{_digits(result)}f}), "
            f"and rates of {first} ({names[0]}) and {second} ({names[1]}); whether one patient is in the data is "
            f"guessed right at most {listed(guesses)} times in 100 from one answer and "
            f"{in_100(result.guesses['all'])} from all (a coin: 50); {conclusion[0].lower()}{conclusion[1:]}."
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


def _draw_counts(axis: Axes, result: BudgetResult) -> None:
    answers = [Answer(*row) for row in result.deaths.itertuples(index=False)]
    _draw_bands(axis, answers, [_short(name) for name in result.deaths.index])
    axis.set_xlim(0, 1.25 * result.deaths["true"].max() + 1)  # by the truth alone, to compare splits by eye
    axis.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axis.set_title(_short(f"{result.asked.noun} by {result.asked.by}", 19) + f": ± {result.margin:,}", **_TITLE)


def _draw_mean(axis: Axes, result: BudgetResult) -> None:
    role = result.asked.role
    _draw_bands(axis, [result.mean], [_mean(result)])
    axis.set(xlim=(role.low, role.high))
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.set_title(f"mean {_short(result.asked.mean, 9)} ({_short(role.unit, 9)})", **_TITLE)


def _draw_rates(axis: Axes, result: BudgetResult) -> None:
    named = zip(result.comparison.names, result.rates, strict=True)
    _draw_bands(axis, list(result.rates), [f"{_short(name, 8)} {_range(rate)}" for name, rate in named])
    axis.set(xlim=(0, 1))
    axis.set_xticks((0, 0.5, 1), ("0", "50 %", "100 %"))
    axis.set_title(f"share who {_short(result.asked.verb, 14)}", **_TITLE)


def _draw_risk(axis: Axes, result: BudgetResult) -> None:
    """Draw the best guess on membership that each answer allows, and all of them, with the coin marked on each."""
    figures.style(axis)
    parts = {**result.epsilons, "all": result.epsilon}
    places = np.arange(len(parts))[::-1]
    promise = [result.guesses[name] for name in parts]
    axis.barh(places, promise, height=0.6, color="white", edgecolor="black", linestyle="--", linewidth=1.2)
    axis.barh(places, 0.5, height=0.6, color=figures.COLOURS["baseline"])
    for place, guess in zip(places, promise, strict=True):
        axis.text(0.02, place, f"{in_100(guess)} in 100", fontsize=10, va="center", weight="bold")
    labels = {"count": "counts", "mean": "mean", "comparison": "comparison", "all": "together"}
    axis.set_yticks(places, [f"{labels[name]}, ε {epsilon:.2g}" for name, epsilon in parts.items()])
    axis.set(xlim=(0, 1.02), ylim=(-0.5, len(parts) - 0.5))
    axis.set_xticks((0, 0.5, 1), ("0", "coin: 50", "100"))
    axis.grid(False, axis="y")
    axis.set_title("is one patient in the data? right at most", x=-0.6, **_TITLE)


def _conclusion(result: BudgetResult) -> str:
    """Say which group has the higher death rate, and how often a release does not show it."""
    people, rates, verb = result.comparison.people, result.rates, result.asked.verb
    if result.higher is None:
        return f"The same share of the {' and of the '.join(people)} {verb}, so that there is no conclusion to flip"
    more, less = result.higher, 1 - result.higher
    return (
        f"A larger share of the {people[more]} {verb} than of the {people[less]} "
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


def _digits(result: BudgetResult) -> int:
    """Return how many digits after the point tell the ends of the band of the mean apart."""
    width = max(result.mean.high - result.mean.low, 1e-6 * (result.asked.role.high - result.asked.role.low))
    return max(1, -math.floor(math.log10(width / 2)))


def _mean(result: BudgetResult) -> str:
    digits = _digits(result)
    return f"{result.mean.low:.{digits}f} to {result.mean.high:.{digits}f}"


def _short(text: str, most: int = 18) -> str:
    """Cut a name that does not fit the picture; the sentence says it whole."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _range(rate: Answer) -> str:
    digits = 1 if rate.high - rate.low < 0.05 else 0
    return f"{100 * rate.low:.{digits}f} to {100 * rate.high:.{digits}f} %"
