"""The explorer of private training: usefulness against what an attacker can do, and the membership game, live."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterable
from typing import Any

import ipywidgets as W
from matplotlib.figure import Figure

from ppml_helpers import accounting, checks, words
from ppml_helpers.cohort import Split, checked_split
from ppml_helpers.errors import ExplorerError, KitError
from ppml_helpers.explorer import Explorer, Progress, log_slider
from ppml_helpers.private_training import drawing
from ppml_helpers.private_training.choice import COLUMNS, DEPLOYED, MORE_DEPLOYED, Choice
from ppml_helpers.private_training.curve import MEASURES
from ppml_helpers.private_training.engine import RECIPES
from ppml_helpers.private_training.setting import Asked, Desk, Shown, up

SLIDER = tuple(10 ** (k / 10) for k in range(-20, 11))
"""Every epsilon that the slider can stand on."""

CLIPPING_NORMS = (0.03, 0.1, 0.3, 1.0, 3.0)
GAMES = (100, 200, 400, 1_000)
ROWS = (1, 2, 5, 10)
PRIORS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9)
WISHES = (0.5, 0.8, 0.9, 0.95)
FEWEST_PATIENTS = 50

_SIZE = (7.0, 3.6)  # inches: with the knobs above and the sentence below it fits a screen of 768 pixels


class EpsilonExplorer(Explorer):
    """Choose epsilon and all that goes with it; every move trains real models and plays the membership game.

    Parameters
    ----------
    split : Split
        Training and test patients of any table (see `cohort.split`); the test patients stay the same throughout.
    delta : float
        Of the promise for one model.

    Raises
    ------
    ExplorerError
        If the split cannot be trained on (see `cohort.checked_split`), or has fewer than 50 training patients.
    """

    title = "What epsilon costs, and what it buys"

    def __init__(self, split: Split, delta: float = accounting.DELTA) -> None:
        self._scale = ""
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            split = checked_split(split, ExplorerError)
        for warning in heard:  # features that nobody scaled: said in the sentence too, where epsilon would be blamed
            warnings.warn(str(warning.message), warning.category, stacklevel=2)
            self._scale = f" {warning.message}"
        checks.whole(
            len(split.X_train),
            "the number of training patients",
            FEWEST_PATIENTS,
            error=ExplorerError,
            mend="give it a larger table",
        )
        accounting.check_delta(delta, len(split.X_train))
        self._desk = Desk(split, delta)
        super().__init__()
        self._figure.set_size_inches(*_SIZE)
        self._box.children = (*self._box.children, self._below())

    def controls(self) -> dict[str, W.Widget]:
        """Return the knobs."""
        counts = [(f"{n:,}", n) for n in self._desk.counts[:-1]] + [
            (f"all {self._desk.counts[-1]:,}", self._desk.counts[-1])
        ]
        norm = RECIPES["logistic regression"].clipping_norm
        return {
            "epsilon": log_slider("epsilon", 1.0, -2, 1, 0.1),
            "patients": _slide("patients", counts, counts[-1][1], 380, 80),
            "model": _list("model", RECIPES, 250),
            "clipping_norm": _slide("clipping norm", sorted({*CLIPPING_NORMS, norm}), norm, 250, 90),
            "view": W.Dropdown(
                options=[("curve", "curve"), ("map of patients", "map")], description="view", **_look(250, 70)
            ),
            "usefulness": _list("usefulness", MEASURES, 250),
            "among": _list("among", self._desk.groups, 250, 60),
            "wished": _slide("wished", [(f"{100 * w:g} % kept", w) for w in WISHES], 0.9, 250, 60),
            "models_a_year": _slide("models a year", (1, 2, 4), 1, 250, 100),
            "years": _slide("years", (1, 2, 5, 10), 1, 250, 60),
            "rows": _slide("rows a patient", ROWS, 1, 250, 95),
            "prior": _slide("prior", [(f"{100 * p:g} in 100", p) for p in PRIORS], 0.5, 380, 80),
            "games": _slide("games", GAMES, 100, 380, 80),
        }

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay out the knobs: who and how, what is useful, what is published and what an attacker thought before."""
        rows = (
            ("epsilon", "patients"),
            ("model", "clipping_norm", "view"),
            ("usefulness", "among", "wished"),
            ("models_a_year", "years", "rows"),
            ("prior", "games"),
        )
        return W.VBox([W.HBox([knobs[name] for name in row], layout={"flex_flow": "row wrap"}) for row in rows])

    def compute(self, progress: Progress, **values: Any) -> Shown:
        """Train models at this epsilon, play the game, and train whatever of the curve or map is missing."""
        return self._desk.look(Asked(**values), progress)

    def forget(self) -> None:
        """Drop every remembered result, every trained model and every game."""
        super().forget()
        self._desk = Desk(self._desk.split, self._desk.delta)

    def draw(self, figure: Figure, result: Shown) -> None:
        """Draw the curve or the map, and beside it the game with its three numbers."""
        drawing.draw(figure, result)

    def say(self, result: Shown) -> str:
        """Say what this setting costs and buys."""
        asked, present, limits, played = result.asked, result.present, result.allowed, result.played
        many = "" if asked.releases == asked.rows == 1 else f" ({_in_all(asked)}: epsilon {up(limits.total)} in all)"
        sure = ""
        if asked.usefulness == "log loss":  # which hides why: few deaths are that certain
            sure = f" and {words.percent(result.extreme)} of risks beyond 1 or 99 %"
        whom = "" if asked.among == "all test patients" else f" among {asked.among}"
        return (
            f"At epsilon {asked.epsilon:.2g}{many}, {asked.model} on {asked.patients:,} patients predicts "
            f"{result.predicts}{whom} with {result.measure.words} {present.mean():.2f} ({present.min():.2f} to "
            f"{present.max():.2f} over {len(present)} trainings){sure}, against {result.non_private:.2f} without "
            f"privacy; the attacker of the most exposed patient was right in {played.right} of {played.games} games, "
            f"where this training allows {words.in_100(limits.exact)} in 100 and the promise "
            f"{words.in_100(limits.promise)}, so of 100 people like you whom an attacker at that limit names "
            f"{words.in_100(result.named(limits.exact))} were in it ({words.in_100(asked.prior)} before).{self._scale}"
        )

    # Below the picture -------------------------------------------------------------------------------------------

    def keep(self) -> Choice:
        """Keep the present setting for chapter 11; its statement is also shown below the picture, to be copied."""
        choice = self._desk.choice(self.result)
        self._statement.value = choice.statement
        self._statement.layout.display = "flex"
        choice.save()
        return choice

    def _keep_by_hand(self, _: W.Button) -> None:
        """Keep, and say on the page if the file cannot be written: a button has no caller."""
        try:
            self.keep()
        except KitError as refused:
            self._say_status(str(refused))

    def _below(self) -> W.Widget:
        """Lay out the button that keeps a choice, its statement, and what others chose."""
        button = W.Button(
            description="Keep this choice", tooltip="Write the statement, and keep it for chapter 11", icon="check"
        )
        button.layout.flex = "0 0 160px"
        button.on_click(self._keep_by_hand)
        self._statement = W.Textarea(
            description="statement",
            rows=12,
            style={"description_width": "70px"},
            layout={"width": "770px", "display": "none"},
        )
        return W.VBox([W.HBox([button, W.HTML(_deployed())]), self._statement])


def _in_all(asked: Asked) -> str:
    models, rows = words.counted(asked.releases, "model"), words.counted(asked.rows, "row")
    return models if asked.rows == 1 else f"{models} for patients with up to {rows}"


def _look(width: int, label: int) -> dict[str, Any]:
    return {"style": {"description_width": f"{label}px"}, "layout": {"width": f"{width}px"}}


def _list(name: str, options: Any, width: int, label: int = 75) -> W.Dropdown:
    return W.Dropdown(options=list(options), description=name, **_look(width, label))


def _slide(name: str, options: Any, value: Any, width: int, label: int) -> W.SelectionSlider:
    return W.SelectionSlider(options=options, value=value, description=name, **_look(width, label))


def _deployed() -> str:
    """Return the folded table of epsilons in use."""
    rows = "".join(_row("td", (system, *cells)) for system, cells in DEPLOYED.items())
    return (
        f"<details><summary>Epsilons in use elsewhere</summary><table>{_row('th', ('system', *COLUMNS))}{rows}</table>"
        f"More: {html.escape(MORE_DEPLOYED)}. A user's day is a smaller unit than a patient.</details>"
    )


def _row(kind: str, cells: Iterable[str]) -> str:
    style = "padding:2px 8px;text-align:left;line-height:1.3"
    return f"<tr>{''.join(f'<{kind} style={style!r}>{html.escape(cell)}</{kind}>' for cell in cells)}</tr>"
