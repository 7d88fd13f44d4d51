"""The explorers: what is promised against what one run shows (chapter 06), and what models say of you (06b)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import ipywidgets as W
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import accounting, checks, figures
from ppml_helpers.attack_and_audit import exposure
from ppml_helpers.attack_and_audit.comparison import BUG, Audited, Audits, compared, complete
from ppml_helpers.attack_and_audit.drawing import draw_person
from ppml_helpers.attack_and_audit.exposure import Attacked, Exposure
from ppml_helpers.cohort import Split, checked_split
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.words import percent

CANARIES = (100, 300, 1_000, 2_000)
RUNS = (1, 2, 3, 5)

PATIENTS = 2_000
"""So many of the training patients take part at most."""

_FEWEST = 300
_SIZE = (7.0, 4.3)  # inches
_LINEAR = 0.1  # below this, the axis of the measured epsilon is linear and reaches 0
_TOP = 16.0  # of that axis
_GREY = "#666666"  # the baseline's colour, dark enough for text


class AuditExplorer(Explorer):
    """Promise an epsilon, hide canaries in the training table, and see what the trained model gives away of them.

    Every picture is of real trainings of the logistic regression of `private_training.RECIPES`, on the first 2,000
    training patients and the canaries that a coin put in. Both programs, the sound one and the one with the bug, are
    audited on the same coins at every epsilon of the slider; what was trained is kept. Each further run has coins,
    canaries and noise of its own. `set` takes epsilons between the slider's stops too, to two digits.

    Parameters
    ----------
    split : Split
        Training and test patients (see `cohort.split`). The test patients tell the AUC.
    delta : float
        Of the promise.

    Notes
    -----
    Each bound holds at 95 % confidence on its own. Of many sound programs, or of many audits of one, up to one in
    twenty is accused wrongly.
    """

    title = "Promised against measured"

    def __init__(self, split: Split, delta: float = accounting.DELTA) -> None:
        split = checked_split(split, ExplorerError)
        many, mend = len(split.X_train), "give it a larger table"
        checks.whole(many, "the number of training patients", _FEWEST, error=ExplorerError, mend=mend)
        accounting.check_training(delta=delta)
        self._patients = split.X_train.iloc[:PATIENTS], split.y_train.iloc[:PATIENTS]
        self._test, self._delta = (split.X_test, split.y_test), delta
        self._kept: dict[tuple[int, int], Audits] = {}
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    def controls(self) -> dict[str, W.Widget]:
        """Return the three knobs and the switch."""
        counts = [(f"{m:,}", m) for m in CANARIES]
        switch = f"introduce a bug: noise {BUG:g} times too small"
        return {
            "epsilon": log_slider("epsilon", 1.0, -1, 1, 0.25),
            "canaries": W.SelectionSlider(options=counts, value=1_000, description="canaries", **LOOK),
            "runs": W.SelectionSlider(options=RUNS, value=1, description="runs", **LOOK),
            "bug": W.Checkbox(value=False, description=switch, indent=False, layout={"width": "380px"}),
        }

    def compute(self, progress: Progress, epsilon: float, canaries: int, runs: int, bug: bool) -> Audited:
        """Audit both programs, if these coins were not tossed before at this epsilon."""
        promised = float(f"{epsilon:.2g}")  # what the knob shows
        kept = [self._kept.setdefault((canaries, run), {}) for run in range(runs)]
        for run, audits in enumerate(kept):

            def tell(fraction: float, _: str, run: int = run) -> None:
                progress((run + fraction) / runs, f"run {run + 1} of {runs}, {canaries:,} canaries")

            complete(audits, self._patients, promised, canaries=canaries, seed=run, delta=self._delta, progress=tell)
        return compared(kept, promised, bug, len(self._patients[1]), self._test)

    def forget(self) -> None:
        """Drop every remembered result and every audit."""
        super().forget()
        self._kept = {}

    def draw(self, figure: Figure, result: Audited) -> None:
        """Draw promised against measured, beside it the scores of the canaries and the AUC, and below the verdict."""
        figure.set_layout_engine("none")
        _draw_bounds(figure.add_axes((0.085, 0.225, 0.485, 0.705)), result)
        _draw_scores(figure.add_axes((0.655, 0.615, 0.325, 0.315)), result)
        _draw_use(figure.add_axes((0.655, 0.225, 0.325, 0.17)), result)
        figure.text(0.012, 0.045, _verdict(result), fontsize=10, va="center", weight="bold")

    def say(self, result: Audited) -> str:
        """Say what was promised, what was shown, and what the AUC says of it (nothing)."""
        keeps = result.shown[0].actual
        worth = f"{keeps:.2g}" if keeps < 10 else f"{keeps:.0f}"
        bug = f"noise {BUG:g} times too small, worth a promise of {worth},"
        best, each = _number(result.best, result.epsilon), " each" if len(result.shown) > 1 else ""
        return (
            f"Promised epsilon {result.epsilon:g} to {result.patients:,} patients: with "
            f"{bug if result.bug else 'the noise that it takes'} and {result.canaries:,} canaries, each in by the toss "
            f"of a coin, {_bounds(result)} at {100 * result.confidence:g} % confidence{each} "
            f"({best} if every guess were right), {_refutes(result)}; "
            f"the test AUC is {result.auc:.2f}, and {result.other_auc:.2f} "
            f"{'without' if result.bug else 'with'} the bug."
        )


class ExposureExplorer(Explorer):
    """Choose a kind of model and a patient, and see what such models say of them with them in and without them.

    Every picture is of 32 real trainings, half of them with the patient, on halves of the study's 2,000 patients. The
    models of a kind are trained once and kept.
    """

    title = "What models say of one patient"

    def __init__(self) -> None:
        self._kept: dict[str, Attacked] = {}
        super().__init__()

    def controls(self) -> dict[str, W.Widget]:
        """Return the kind of model, and the patient by how likely their end was."""
        people = {chance: exposure.patient_of(chance) for chance in exposure.CHANCES}
        options = [(percent(chance), who) for chance, who in people.items()]
        return {
            "kind": W.Dropdown(options=exposure.KINDS, value=exposure.KINDS[0], description="model", **LOOK),
            "patient": W.SelectionSlider(options=options, value=people[0.06], description="how likely", **LOOK),
        }

    def compute(self, progress: Progress, kind: str, patient: int) -> Exposure:
        """Train models of this kind, if that was not done before, and look at the patient."""
        if kind not in self._kept:
            self._kept[kind] = exposure.attacked(kind, progress)
        return exposure.exposure(kind, self._kept[kind], patient)

    def forget(self) -> None:
        """Drop every remembered result and every model."""
        super().forget()
        self._kept = {}

    def draw(self, figure: Figure, result: Exposure) -> None:
        """Draw the models' log-odds with and without the patient, and beside it how often the attack is right."""
        left, right = figure.subplots(1, 2, width_ratios=(2, 1))
        figures.style(left)
        draw_person(left, result.scores, result.inside)
        end = "died in hospital" if result.died else "left hospital alive"
        left.set_title(f"a patient who {end}: {exposure.MODELS} models", fontsize=10, loc="left")
        _draw_counts(right, result)

    def say(self, result: Exposure) -> str:
        """Say who the patient is, what the models say, and how often the attack finds them."""
        end, half = "died in hospital" if result.died else "left hospital alive", exposure.MODELS // 2
        with_them, without = (result.scores[side].mean() for side in (result.inside, ~result.inside))
        return (
            f"This patient {end}, which a calm model of other patients held {percent(result.chance)} likely; "
            f"{result.kind}: mean log-odds of that {with_them:.1f} with the patient and {without:.1f} without. At "
            f"{percent(exposure.RATE)} false alarms the attack takes the patient for a member in {result.found} of "
            f"{half} models that they were in, and in {result.alarms} of {half} others; of all members it finds "
            f"{percent(result.average, 1)}."
        )


def _draw_counts(axis: Axes, result: Exposure) -> None:
    """Draw in what share of the models the patient is taken for a member, and what is found on average."""
    figures.style(axis)
    half = exposure.MODELS // 2
    rows = (
        ("found", result.found / half, "leak", "D"),
        ("in error", result.alarms / half, "baseline", "s"),
        ("average", result.average, "leak", "o"),
    )
    for row, (_, share, colour, marker) in enumerate(rows):
        filled = figures.COLOURS[colour] if row != len(rows) - 1 else "white"
        axis.hlines(row, 0, 100 * share, color=figures.COLOURS[colour], linewidth=1)
        look = {"color": figures.COLOURS[colour], "markerfacecolor": filled, "markersize": 9}
        axis.plot(100 * share, row, marker, clip_on=False, **look)
        axis.text(100 * share + 7, row, percent(share, 1 if row == len(rows) - 1 else 0), fontsize=10, va="center")
    axis.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axis.set(xlim=(-3, 135), ylim=(len(rows) - 0.4, -0.6), xticks=(0, 50, 100), xlabel="% of the models")
    axis.set_title("taken for a member", fontsize=10, loc="left")


# The words -------------------------------------------------------------------------------------------------------


def _number(bound: float, promise: float) -> str:
    """Return a lower bound rounded down, with two decimals or as many as show that it is above the promise."""
    digits = 2
    while digits < 6 and bound > promise >= math.floor(10**digits * bound) / 10**digits:
        digits += 1
    return f"{math.floor(10**digits * bound) / 10**digits:.{digits}f}"


def _bounds(result: Audited) -> str:
    low, high = (_number(end, result.epsilon) for end in (result.measured.min(), result.measured.max()))
    runs = len(result.shown)
    if result.measured.max() <= 0:
        return "one run shows nothing" if runs == 1 else f"{runs} runs show nothing"
    if runs == 1:
        return f"one run shows that epsilon is at least {low}"
    return f"{runs} runs bound epsilon from below by {low if low == high else f'{low} to {high}'}"


def _refutes(result: Audited) -> str:
    if result.refuted == 0:
        return "which does not refute the promise"
    if result.refuted == len(result.shown):
        return "which refutes the promise"
    return f"which refutes the promise in {result.refuted} of them"


def _verdict(result: Audited) -> str:
    """Say in one line what the audit decides about the promise."""
    promise = f"the promise of {result.epsilon:g}"
    if result.refuted == 0 and result.best <= result.epsilon:
        best = _number(result.best, result.epsilon)
        return f"{result.canaries:,} canaries cannot refute {promise}: they show {best} at best."
    if result.refuted == 0:
        return f"Not refuted: {'no run shows' if len(result.shown) > 1 else 'the run shows no'} more than {promise}."
    if len(result.shown) == 1:
        return f"Refuted: the run shows more than {promise}."
    if result.refuted == len(result.shown):
        return f"Refuted: all {result.refuted} runs show more than {promise}."
    verb = "shows" if result.refuted == 1 else "show"
    chance = f"of a sound program's, {100 * (1 - result.confidence):.0f} in 100 may"
    return f"{result.refuted} of {len(result.shown)} runs {verb} more than {promise}; {chance}."


# The picture -----------------------------------------------------------------------------------------------------


def _draw_bounds(axis: Axes, result: Audited) -> None:
    """Draw the measured bounds over the promise: the diagonal, what is possible, every run, the present point."""
    figures.style(axis)
    leak, curve = figures.COLOURS["leak"], result.curve.clip(0, _TOP)
    axis.set(xscale="log", xlim=(0.08, 12.5), ylim=(-0.012, _TOP))
    axis.set_yscale("symlog", linthresh=_LINEAR, linscale=0.45)
    line = np.geomspace(0.08, 12.5, 100)
    axis.fill_between(line, line, _TOP, color="#F2F2F2", linewidth=0)
    axis.plot(line, line, "--", color=figures.COLOURS["promise"], linewidth=1.5)
    axis.axhline(result.best, color=figures.COLOURS["baseline"], linewidth=1.5, linestyle=":")
    middle = curve.median(axis=1)
    if len(result.shown) > 1:
        axis.fill_between(curve.index, curve.min(axis=1), curve.max(axis=1), color=leak, alpha=0.2, linewidth=0)
    axis.plot(curve.index, middle, color=leak, marker="D", markersize=4, markerfacecolor="white", clip_on=False)
    axis.plot(
        [result.epsilon] * len(result.shown), result.measured, "_", color=leak, markersize=12, clip_on=False, zorder=4
    )
    axis.plot(result.epsilon, middle[result.epsilon], "D", color=leak, markersize=9, clip_on=False, zorder=5)
    axis.text(
        0.085,
        result.best * 1.12,
        f"every guess right: {_number(result.best, result.epsilon)}",
        color=_GREY,
        fontsize=10,
    )
    axis.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axis.set_yticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    axis.minorticks_off()
    band = "median, range of runs" if len(result.shown) > 1 else "one run"
    axis.set_xlabel(f"promised epsilon (diamonds: {band})", fontsize=10)
    axis.set_ylabel("measured: at least", fontsize=10, labelpad=2)
    axis.set_title("dashed: the promise; above it: refuted", fontsize=10, loc="left")


def _draw_scores(axis: Axes, result: Audited) -> None:
    """Draw how the scores of the canaries that were in differ from those that were out, in the first run."""
    figures.style(axis)
    run = result.shown[0]
    low, high = np.quantile(run.scores, (0.005, 0.995))
    bins = np.linspace(low, high, 25)
    sides: Sequence = ((run.included, figures.COLOURS["leak"], True), (~run.included, "#333333", False))
    for chosen, colour, filled in sides:
        axis.hist(
            run.scores[chosen].clip(low, high),
            bins=bins,
            density=True,
            color=colour,
            alpha=0.55 if filled else 1.0,
            histtype="stepfilled" if filled else "step",
            linewidth=1.3,
        )
    axis.set(yticks=[], xticks=[])
    axis.set_ylim(0, 1.3 * axis.get_ylim()[1])
    axis.grid(False)
    axis.text(0.02, 0.98, "out (line)", color="#333333", fontsize=10, va="top", transform=axis.transAxes)
    axis.text(0.98, 0.98, "in (filled)", color="#A84A00", fontsize=10, va="top", ha="right", transform=axis.transAxes)
    axis.set_xlabel("score (learnt by the model)", fontsize=10)
    axis.set_title(f"{result.canaries:,} canaries of run 1", fontsize=10, loc="left")


def _draw_use(axis: Axes, result: Audited) -> None:
    """Draw the test AUC of both programs: the chosen one filled."""
    figures.style(axis)
    rows = {result.bug: result.shown, not result.bug: result.other}
    for place, bug in enumerate((True, False)):
        aucs, filled = [run.auc for run in rows[bug]], bug == result.bug
        axis.plot(
            np.maximum(aucs, 0.45),
            [place] * len(aucs),
            "o",
            color=figures.COLOURS["utility"],
            markersize=8 if filled else 7,
            markerfacecolor=figures.COLOURS["utility"] if filled else "white",
            clip_on=False,
        )
        axis.text(0.97, place, f"{np.mean(aucs):.2f}", fontsize=10, va="center", ha="right", weight="bold")
    axis.set_yticks((0, 1), ("bug", "sound"))
    axis.set(xlim=(0.45, 0.98), ylim=(-0.6, 1.6))
    axis.set_xticks((0.5, 0.7, 0.9), ("0.5", "0.7", "0.9"))
    axis.set_xlabel("test AUC", fontsize=10)
    axis.set_title("and how well both predict", fontsize=10, loc="left")
