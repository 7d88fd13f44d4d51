"""The explorer of chapter 01: what makes a model give away who trained it."""

from __future__ import annotations

import ipywidgets as W
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import checks, cohort, figures, membership
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress
from ppml_helpers.what_leaks.model_attack import LEAVES, AttackedModel, attacked
from ppml_helpers.words import percent

PATIENTS = (300, 1_000, 3_000)

_FEWEST = 100
_LEFT_OUT = 200  # half of them are non-members: with fewer, 1 % false alarms would be less than one patient
_FLOOR = 1e-3  # lowest share on the logarithmic axes: 0.1 %
_SHADES = (figures.COLOURS["leak"], "#7A3600", "#F0A368", "#B8B0A8")  # one meaning, apart in grey too


class AttackExplorer(Explorer):
    """Train a model on some of the patients, attack it twice (`model_attack`), and show its use beside its leak.

    Parameters
    ----------
    split : Split
        Patients to train on, and patients left out (see `cohort.split`).
    seed : int
        Of the deal of those left out, and of the forest.
    """

    title = "What makes a model give away who trained it"

    def __init__(self, split: cohort.Split, seed: int = 0) -> None:
        self._split, self._seed = cohort.checked_split(split, ExplorerError), seed
        self._outcome = cohort.outcome_words(split)
        mend = "give a larger table, or split it with another test_share"
        for name, patients, least in (("training", split.y_train, _FEWEST), ("test", split.y_test, _LEFT_OUT)):
            checks.whole(len(patients), f"the number of {name} patients", least, error=ExplorerError, mend=mend)
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Model, least patients a leaf, and patients trained on."""
        everybody = len(self._split.y_train)
        counts = [(f"{n:,}", n) for n in PATIENTS if n < everybody] + [(f"all {everybody:,}", everybody)]
        models = [("random forest", "forest"), ("logistic regression", "logistic")]
        return {
            "model": W.Dropdown(options=models, description="model", **LOOK),
            "leaf": W.SelectionSlider(options=LEAVES, description="least per leaf", **LOOK),
            "patients": W.SelectionSlider(options=counts, value=everybody, description="patients", **LOOK),
        }

    def compute(self, progress: Progress, model: str, leaf: int, patients: int) -> AttackedModel:
        """Train the model for real and attack it."""
        return attacked(self._split, model, leaf, patients, self._seed, progress)

    def draw(self, figure: Figure, result: AttackedModel) -> None:
        """Draw both attacks on logarithmic axes, and the model's use beside them."""
        left, right = figure.subplots(1, 2, width_ratios=(2, 1))
        for axis in (left, right):
            figures.style(axis)
        draw_attacks(left, {"surprise attack": result.surprise, "confidence attack": result.confidence})
        _draw_use(right, result)

    def say(self, result: AttackedModel) -> str:
        """Say use and leak in one sentence."""
        at, plain = result.surprise.at_1_in_100, result.confidence.at_1_in_100
        return (
            f"A {result.model} trained on {result.patients:,} patients predicts {self._outcome} with AUC "
            f"{result.auc_test:.2f} for new patients ({result.auc_train:.2f} for those it was trained on); "
            f"at 1 % false alarms the surprise attack finds {_percent(at.tpr)} of the members "
            f"(95 % interval {_percent(at.tpr_interval.low)} to {_percent(at.tpr_interval.high)}, for the members "
            f"alone), the confidence attack {_percent(plain.tpr)}, and guessing would find 1 %."
        )


def draw_attacks(axis: Axes, results: dict[str, membership.AttackResult]) -> None:
    """Draw attacks on logarithmic axes with the chance line and each attack's point at 1 % false alarms.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    results : dict of str to AttackResult
        At most four, by the name to show.
    """
    looks = zip(results.items(), ("-", "--", "-.", ":"), "oDs^", _SHADES, strict=False)
    for (name, result), line, marker, colour in looks:
        at = result.at_1_in_100
        axis.step(result.fpr.clip(_FLOOR), result.tpr.clip(_FLOOR), line, where="post", color=colour)
        low, high = (max(end, _FLOOR) for end in at.tpr_interval)
        axis.plot([at.target] * 2, [low, high], color=colour, linewidth=1)
        axis.plot(
            at.target, max(at.tpr, _FLOOR), marker, color=colour, linestyle=line, label=f"{name}: {_percent(at.tpr)}"
        )
    axis.plot([_FLOOR, 1], [_FLOOR, 1], color=figures.COLOURS["baseline"], linewidth=1, label="guessing: 1 %")
    axis.axvline(0.01, color=figures.COLOURS["baseline"], linewidth=0.6, linestyle=":")
    axis.set(xscale="log", yscale="log", xlim=(_FLOOR, 1.1), ylim=(_FLOOR * 0.85, 1.1))
    axis.set(xticks=(0.001, 0.01, 0.1, 1), yticks=(0.001, 0.01, 0.1, 1))
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_ticklabels(["0.1 %", "1 %", "10 %", "100 %"])
    axis.set(xlabel="false alarms (share of non-members)", ylabel="members found (share)")
    axis.legend(title="found at 1 % false alarms", fontsize=10, title_fontsize=10, frameon=False, loc="lower right")


def _draw_use(axis: Axes, result: AttackedModel) -> None:
    """Draw how well the model predicts, for its own patients and for new ones, and the better attack's AUC."""
    use, leak = figures.COLOURS["utility"], figures.COLOURS["leak"]
    points = (
        ("trained\non", result.auc_train, "o", use, "white"),
        ("new\npatients", result.auc_test, "o", use, use),
        ("surprise\nattack", result.surprise.auc, "D", leak, leak),
    )
    for place, (_, value, marker, edge, face) in enumerate(points):
        axis.plot(place, value, marker, markersize=9, markeredgecolor=edge, markerfacecolor=face)
        axis.annotate(f"{value:.2f}", (place, value), (0, 9), textcoords="offset points", ha="center")
    axis.axhline(0.5, color=figures.COLOURS["baseline"], linewidth=1)
    axis.annotate("guessing", (-0.45, 0.5), (0, 3), textcoords="offset points", fontsize=10)
    axis.set(xlim=(-0.5, 2.5), ylim=(0.42, 1.1), yticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0), ylabel="AUC")
    axis.set_xticks(range(3), [name for name, *_ in points], fontsize=10)


def _percent(share: float) -> str:
    """Return a share in percent: below 10 with one decimal, so that 1.4 % does not read as guessing's 1 %."""
    return percent(share, digits=1 if 0 < share < 0.0995 else 0)
