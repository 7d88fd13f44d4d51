"""The explorer of chapter 03b: knobs, drawing and sentence; what it computes is `usefulness.explored`."""

from __future__ import annotations

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import accounting, checks, cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.synthetic_tables.domain import ORDER
from ppml_helpers.synthetic_tables.usefulness import Explored, explored, group, rarest
from ppml_helpers.words import in_100, percent

COLUMNS = (2, 4, 8, 12, 16, 20, 26)
ROWS = (500, 2_000, 7_000, 20_000)
_AGES = np.arange(18, 99, 10)  # edges of the bars, years
_SIZE = (7.0, 3.9)  # inches


class SyntheticExplorer(Explorer):
    """Choose a promise, columns and rows; see the synthetic patients beside the real ones, and what they leak.

    Parameters
    ----------
    train, test : DataFrame
        Patients to make tables from, and others to test and to attack with; the columns of SUPPORT2.
    seed : int
        Of noise, rows and attack.

    Notes
    -----
    Grey is the truth, which only the holder sees: the picture is for the holder alone. Every setting is a release
    of its own; whoever publishes two has spent both.
    """

    title = "Synthetic patients beside real ones"

    def __init__(self, train: pd.DataFrame, test: pd.DataFrame, seed: int = 0) -> None:
        needed = [*ORDER, cohort.SUPPORT2.label]
        for name, table in (("train", train), ("test", test)):
            checks.table(table, name, needed, error=ExplorerError, mend="give a part of cohort.load_patients()")
            checks.whole(len(table), f"the rows of {name}", 100, error=ExplorerError, mend="give more patients")
        self._train, self._test, self._seed = train[needed], test[needed], seed
        self._rarest = rarest(train)
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    def controls(self) -> dict[str, W.Widget]:
        """Return the promise, the columns kept and the rows made."""
        rows = [(f"{n:,}", n) for n in ROWS]
        return {
            "epsilon": log_slider("epsilon", 1.0, -1, 1, 0.1),
            "columns": W.SelectionSlider(options=COLUMNS, value=12, description="columns kept", **LOOK),
            "rows": W.SelectionSlider(options=rows, value=7_000, description="rows made", **LOOK),
        }

    def compute(self, progress: Progress, epsilon: float, columns: int, rows: int) -> Explored:
        """Measure, make, train and attack, for real."""
        return explored(self._train, self._test, epsilon, columns, rows, self._seed, progress)

    def draw(self, figure: Figure, result: Explored) -> None:
        """Draw one column, one pair, and the four figures below."""
        figure.set_layout_engine("none")
        self._draw_ages(figure.add_axes((0.09, 0.41, 0.3, 0.45)), result)
        self._draw_deaths(figure.add_axes((0.64, 0.41, 0.33, 0.45)), result)
        for place, (name, value, beside) in enumerate(self._figures(result)):
            across = 0.015 + 0.25 * place
            figure.text(across, 0.2, name, fontsize=10)
            figure.text(across, 0.1, value, fontsize=14, weight="bold")
            figure.text(across, 0.03, beside, fontsize=10, color="#555555")

    def say(self, result: Explored) -> str:
        """Say the promise, the use, the leak and who pays."""
        real, made = (group(table, "dzgroup", self._rarest) for table in (self._train, result.table))
        guess = accounting.membership_accuracy(result.model.epsilon, result.model.delta)
        own = len(result.model.columns)
        return (
            f"With epsilon {result.model.epsilon:.2g} for {own} columns and {len(result.table):,} rows, a model "
            f"trained on the synthetic rows reaches AUC {result.use.auc:.2f} on real patients (trained on real ones: "
            f"{result.real.auc:.2f}) with log loss {result.use.log_loss:.2f} ({result.real.log_loss:.2f}). An attack "
            f"by the nearest row has advantage {round(result.advantage, 2) + 0.0:.2f}; no attack is right more than "
            f"{in_100(guess)} times in 100. Deaths among the patients with {self._rarest}, the rarest diagnosis: "
            f"{_died(made.died)}, in truth {percent(real.died)}."
        )

    def _figures(self, result: Explored) -> list[tuple[str, str, str]]:
        """Return each of the four figures: its name, its value, and what it stands beside."""
        real, made = (group(table, "dzgroup", self._rarest).died for table in (self._train, result.table))
        most = 2 * accounting.membership_accuracy(result.model.epsilon, result.model.delta) - 1
        return [
            ("AUC on real patients", f"{result.use.auc:.3f}", f"real data {result.real.auc:.3f}"),
            ("log loss", f"{result.use.log_loss:.3f}", f"real data {result.real.log_loss:.3f}"),
            ("membership found", f"{round(result.advantage, 3) + 0.0:.3f}", f"promise: at most {most:.2f}"),
            (f"{self._rarest}: who died", _died(made), f"in truth {percent(real)}"),
        ]

    def _draw_ages(self, axis: Axes, result: Explored) -> None:
        """Draw the column age, if it is kept."""
        figures.style(axis)
        if "age" not in result.table:
            axis.text(0.5, 0.5, "age is not kept", ha="center", fontsize=10, transform=axis.transAxes)
        else:
            real, made = (np.histogram(table.age, _AGES)[0] / len(table) for table in (self._train, result.table))
            axis.bar(_AGES[:-1] + 5, 100 * real, 9, color=figures.COLOURS["baseline"])
            axis.step(_AGES, 100 * np.append(made, made[-1]), where="post", color=figures.COLOURS["utility"], lw=2)
        axis.set(xlim=(17, 99), ylim=(0, 42), xticks=(20, 40, 60, 80))
        axis.set_xlabel("age (years)", fontsize=10)
        axis.set_ylabel("patients (%)", fontsize=10)
        axis.set_title("one column: grey real,\nblue synthetic", fontsize=10, loc="left")

    def _draw_deaths(self, axis: Axes, result: Explored) -> None:
        """Draw a pair, diagnosis and death: the most frequent diagnosis on top."""
        figures.style(axis)
        names = list(self._train.dzgroup.value_counts().index)[::-1]
        sides = ((self._train, "baseline", "s", 9), (result.table, "utility", "o", 6))
        shares = [[100 * group(table, "dzgroup", name).died for name in names] for table, *_ in sides]
        axis.hlines(range(len(names)), *shares, color="#BBBBBB", linewidth=1.5)
        for (_, colour, marker, size), died in zip(sides, shares, strict=True):
            axis.plot(died, range(len(names)), marker, color=figures.COLOURS[colour], markersize=size, clip_on=False)
        axis.set(xlim=(0, 100), xticks=(0, 25, 50, 75, 100), ylim=(-0.6, len(names) - 0.4))
        axis.set_yticks(range(len(names)), names, fontsize=10)
        axis.set_xlabel("died in hospital (%)", fontsize=10)
        axis.set_title("a pair: diagnosis (rarest below), death", fontsize=10, loc="left", x=-0.45)


def _died(share: float) -> str:
    return "nobody left" if np.isnan(share) else percent(share)
