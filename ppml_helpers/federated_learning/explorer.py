"""The explorer of chapter 07: who gains by training together, what is sent, and what the server reads."""

from __future__ import annotations

import math
from typing import Any

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppml_helpers import accounting, checks, cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.federated_learning.reading import EXACT, Dealt, Federation, Plan, deal, federation
from ppml_helpers.words import counted, in_100

HOSPITALS = (2, 8)  # fewest, most
SKEWS = (0.0, 0.25, 0.5, 0.75, 1.0)
LOCAL_EPOCHS = (1, 2, 5, 10)
ROUNDS = (1, 2, 5, 10, 20)
STRATEGIES = ("FedAvg", "FedProx", "FedAdam")
PROTECTIONS = ("none", "masks", "dp")

MARKERS = "os^DPvXp"
"""One a hospital: colours repeat from the fifth on."""

_NOT_UNIFORM = 1e-6  # below this p-value the numbers are not taken for uniform ones
_SIZE = (7.0, 5.6)  # inches
_GREY = "#555555"


class FederationExplorer(Explorer):
    """Deal the patients to simulated hospitals and let them train together; every setting really trains.

    The hospitals run the unmodified Flower app of this package, in this process. One fictional patient is added to
    the training patients of the first hospital, so that the server has somebody to look for.

    Parameters
    ----------
    patients : DataFrame, optional
        A table with the columns of SUPPORT2; by default the patients of the course.
    seed : int
        Decides who is dealt to which hospital, and every shuffling; the server knows it.

    Notes
    -----
    The server is the attacker against whom differential privacy makes its promise: it knows everybody but one. From
    the update of the first hospital's first round, the model that it sent, the public seed and all of that hospital's
    real patients it works out the fictional one (`informed_attack`). Under masks it receives uniform numbers in place
    of the update and reads those in the same way. What masks do not hide is the sum of all updates: a server that
    knew the other hospitals' patients too could go on from there.

    Under "dp" the noise of these simulated hospitals comes from a secret text of theirs, so that a picture can be
    repeated; the server does not use it. A step takes all patients of a hospital (sample rate 1), for which epsilon is
    known exactly and at once; a local epoch is 10 such steps.

    Each hospital's margin is two standard errors of the difference of two AUCs on the same test patients (DeLong,
    DeLong and Clarke-Pearson 1988): what the choice of test patients alone may change. The noise of training is not in
    it.
    """

    title = "Training together"

    def __init__(self, patients: pd.DataFrame | None = None, seed: int = 0) -> None:
        patients = cohort.load_patients() if patients is None else patients
        self._patients = checks.table(patients, "patients", cohort.SUPPORT2.columns, error=ExplorerError)
        self._seed = checks.whole(seed, "seed", 0, error=ExplorerError)
        self._deals: dict[tuple[int, float], Dealt] = {}
        super().__init__()
        self._figure.set_size_inches(*_SIZE)

    # The knobs ---------------------------------------------------------------------------------------------------

    def controls(self) -> dict[str, W.Widget]:
        """Return the seven knobs."""
        protections = ("none", "masks (secure aggregation)", "DP in each hospital")
        return {
            "hospitals": W.IntSlider(min=HOSPITALS[0], max=HOSPITALS[1], value=4, description="hospitals", **LOOK),
            "skew": W.SelectionSlider(options=[(f"{s:g}", s) for s in SKEWS], value=0.5, description="skew", **LOOK),
            "local_epochs": W.SelectionSlider(options=LOCAL_EPOCHS, value=2, description="local epochs", **LOOK),
            "rounds": W.SelectionSlider(options=ROUNDS, value=10, description="rounds", **LOOK),
            "strategy": W.Dropdown(options=STRATEGIES, value="FedAvg", description="strategy", **LOOK),
            "protection": W.Dropdown(
                options=list(zip(protections, PROTECTIONS, strict=True)), value="none", description="protection", **LOOK
            ),
            "epsilon": log_slider("epsilon", 1.0, -1, 1, 0.1),
        }

    def arrange(self, knobs: dict[str, W.Widget]) -> W.Widget:
        """Lay the knobs out in a row that wraps; epsilon can be moved only where it is used."""

        def follow(_: Any) -> None:
            for part in knobs["epsilon"].children:
                part.disabled = self._controls["protection"].value != "dp"

        self._controls["protection"].observe(follow, "value")
        follow(None)
        return super().arrange(knobs)

    # The work ----------------------------------------------------------------------------------------------------

    def compute(
        self, progress: Progress, hospitals: int, skew: float, protection: str, epsilon: float, **how: Any
    ) -> Federation:
        """Deal the patients, train alone, pooled and together, and read the first update as the server does."""
        if (hospitals, skew) not in self._deals:
            self._deals[hospitals, skew] = deal(self._patients, hospitals, skew, self._seed, progress)
        promised = float(f"{epsilon:.2g}") if protection == "dp" else math.inf  # what the knob shows
        plan = Plan(protection=protection, epsilon=promised, **how)
        return federation(self._deals[hospitals, skew], plan, self._seed, progress)

    def forget(self) -> None:
        """Drop every remembered result and every deal."""
        super().forget()
        self._deals = {}

    # The picture and the words -----------------------------------------------------------------------------------

    def draw(self, figure: Figure, result: Federation) -> None:
        """Draw who gains and who loses, the record as the server reads it, the bytes, and what is promised."""
        figure.set_layout_engine("none")
        _draw_hospitals(figure.add_axes((0.125, 0.305, 0.275, 0.545)), result)
        _draw_reading(figure.add_axes((0.71, 0.575, 0.27, 0.3)), result)
        _draw_bytes(figure.add_axes((0.645, 0.305, 0.335, 0.155)), result)
        figure.text(0.012, 0.185, _balance(result), fontsize=10, va="center", weight="bold")
        figure.text(0.012, 0.14, _verdict(result), fontsize=10, va="center", weight="bold")
        note = (
            f"{_promise(result)}\n"
            "All hospitals are simulated, the patient is fictional; the server is assumed to know A's others.\n"
            "Clear (bold): beyond ± two standard errors, the chance of who is among the test patients."
        )
        figure.text(0.012, 0.012, note, fontsize=10, va="bottom", linespacing=1.25)

    def say(self, result: Federation) -> str:
        """Say who trained how, who gains and loses, what was sent, and what the server read."""
        plan, skew = result.plan, result.dealt.skew
        mixes = "with the same mix of patients" if not skew else f"with skew {skew:g}"
        how = {"none": "without protection", "masks": "under masks", "dp": f"with DP at epsilon {plan.epsilon:g}"}
        means = [np.average(aucs, weights=result.patients) for aucs in (result.federated, result.alone, result.pooled)]
        return (
            f"{len(result.alone)} simulated hospitals {mixes} train together by {plan.strategy}, "
            f"{counted(plan.rounds, 'round')} of {counted(plan.local_epochs, 'local epoch')}, "
            f"{how[plan.protection]}: the mean test AUC is {means[0]:.2f}, against {means[1]:.2f} alone and "
            f"{means[2]:.2f} with all patients pooled; {_in_sentence(_balance(result))}; "
            f"{_size(result.run.bytes_down)} go to the hospitals and {_size(result.run.bytes_up)} come back (their "
            f"tables: {_size(result.table_bytes)}); a fictional patient is added to A: "
            f"{_in_sentence(_verdict(result))}; {_in_sentence(_promise(result))}."
        )


# The picture and the words -------------------------------------------------------------------------------------------


def _draw_hospitals(axis: Axes, result: Federation) -> None:
    """Draw a row for each hospital: alone, together and pooled, and the difference with its margin."""
    figures.style(axis)
    places = np.arange(len(result.alone))[::-1]
    clear = {*result.gains, *result.loses}
    for i, place in enumerate(places):
        colour = figures.HOSPITAL_COLOURS[i % len(figures.HOSPITAL_COLOURS)]
        alone, together, pooled = result.alone[i], result.federated[i], result.pooled[i]
        look = {"marker": MARKERS[i], "markeredgecolor": "black", "markeredgewidth": 0.9, "markersize": 9}
        axis.plot([pooled, pooled], [place - 0.36, place + 0.36], color=figures.COLOURS["baseline"], linewidth=3)
        axis.plot([alone, together], [place, place], color="black", linewidth=1.2)
        axis.plot(alone, place, **look, markerfacecolor="white", zorder=3)
        axis.plot(together, place, **look, markerfacecolor=colour, zorder=4)
        text = f"{result.gain[i]:+.3f} ± {result.margin[i]:.3f}".replace("-", "\u2212")
        weight = "bold" if i in clear else "normal"
        axis.text(1.04, place, text, transform=axis.get_yaxis_transform(), fontsize=10, va="center", weight=weight)
    axis.set_yticks(places, [f"{_letter(i)} ({n:,})" for i, n in enumerate(result.patients)])
    axis.set_ylim(-0.6, len(result.alone) - 0.4)
    axis.grid(False, axis="y")
    _bound(axis, [*result.alone, *result.federated, *result.pooled])
    axis.set_xlabel("AUC on its own test patients", fontsize=10)
    axis.text(-0.41, 1.115, "simulated hospitals (patients)", transform=axis.transAxes, fontsize=10, va="bottom")
    key = "white: alone, filled: together, grey: pooled"
    axis.text(-0.41, 1.025, key, transform=axis.transAxes, fontsize=10, va="bottom", color=_GREY)
    axis.text(1.04, 1.115, "together − alone", transform=axis.transAxes, fontsize=10, va="bottom")


def _bound(axis: Axes, aucs: list[float]) -> None:
    """Show whole tenths around the AUCs, at least two."""
    low, high = math.floor(10 * min(aucs) - 0.15) / 10, math.ceil(10 * max(aucs) + 0.15) / 10
    low = min(low, high - 0.2)
    axis.set_xlim(low, high)
    tenths = np.arange(round(10 * low), round(10 * high) + 1)
    axis.set_xticks(tenths[:: math.ceil(len(tenths) / 4)] / 10)


def _draw_reading(axis: Axes, result: Federation) -> None:
    """Draw the fictional patient's features as they are against as the server reads them."""
    figures.style(axis)
    axis.plot([-1, 1], [-1, 1], "--", color=figures.COLOURS["baseline"], linewidth=1.2)
    axis.plot(
        result.dealt.fictional, result.read, "o", color=figures.COLOURS["leak"], markersize=5, alpha=0.7, clip_on=False
    )
    axis.set(xlim=(-1.06, 1.06), ylim=(-1.06, 1.06), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axis.set_xlabel("the record's features", fontsize=10)
    axis.set_ylabel("as read", fontsize=10, labelpad=1)
    axis.set_title("a fictional patient of A, read\nby the server from A's update", fontsize=10, loc="right")


def _draw_bytes(axis: Axes, result: Federation) -> None:
    """Draw the bytes of all messages beside the size of the tables that stay where they are."""
    figures.style(axis)
    amounts = (result.run.bytes_down, result.run.bytes_up, result.table_bytes)
    names = ("to the hospitals", "to the server", "their tables, not sent")
    colours = (figures.COLOURS["utility"], figures.COLOURS["utility"], "white")
    places = np.arange(3)[::-1]
    axis.barh(places, amounts, height=0.3, color=colours, edgecolor=[*colours[:2], _GREY], linestyle="-")
    for place, amount, name in zip(places, amounts, names, strict=True):
        axis.text(0.01 * max(amounts), place + 0.17, f"{name}: {_size(amount)}", fontsize=10, va="bottom")
    axis.set(xlim=(0, 1.02 * max(amounts)), ylim=(-0.3, 2.75), xticks=[], yticks=[])
    axis.spines["bottom"].set_visible(False)


def _letter(hospital: int) -> str:
    return "ABCDEFGH"[hospital]


def _balance(result: Federation) -> str:
    """Say who clearly gains and who clearly loses by training together."""
    gains, loses = (", ".join(map(_letter, who)) or "none" for who in (result.gains, result.loses))
    within = len(result.alone) - len(result.gains) - len(result.loses)
    return f"Clearly gain: {gains}. Clearly lose: {loses}. Within chance: {within}."


def _verdict(result: Federation) -> str:
    """Say what the server got."""
    if result.is_read:
        return f"The server reads the patient's record exactly: relative error under {EXACT:g}."
    if result.plan.protection == "masks" and result.uniformity > _NOT_UNIFORM:
        return "The server sees random numbers in place of A's update, and reads nothing in them."
    how = "no better than" if result.error > 0.95 * result.guess else "better than"
    return f"The server's relative error is {result.error:.1f}, {how} guessing A's average ({result.guess:.1f})."


def _promise(result: Federation) -> str:
    """Say what holds against every attacker."""
    if result.plan.protection == "masks":
        return "Masks hide the parts, not their sum: what all updates together give away has no limit."
    if result.plan.protection == "none":
        return "No limit is promised to any patient."
    guess = in_100(accounting.membership_accuracy(result.plan.epsilon))
    return (
        f"Epsilon {result.plan.epsilon:g}: whether a patient took part is guessed right at most {guess} times in 100."
    )


def _in_sentence(text: str) -> str:
    """Make of whole sentences parts of a longer one."""
    return "; ".join(part[0].lower() + part[1:] for part in text.removesuffix(".").split(". "))


def _size(amount: int) -> str:
    """Write an amount of bytes with two digits."""
    return f"{amount / 1e6:.1f} MB" if amount >= 995_000 else f"{float(f'{amount / 1000:.2g}'):g} kB"
