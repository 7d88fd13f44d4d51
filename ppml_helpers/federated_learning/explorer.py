"""The explorer of chapter 07: who gains by training together, what is sent, and what the server reads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import ipywidgets as W
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import chisquare

from ppml_helpers import accounting, cohort, figures
from ppml_helpers.errors import ExplorerError, KitError
from ppml_helpers.explorer import LOOK, Explorer, Progress, log_slider
from ppml_helpers.federated_learning import gradient_attack as gradients
from ppml_helpers.federated_learning import hospitals as tables
from ppml_helpers.federated_learning import in_process, masking
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.hospitals import Hospital
from ppml_helpers.federated_learning.in_process import Crossing
from ppml_helpers.federated_learning.informed_attack import Knowledge, unknown_patient
from ppml_helpers.federated_learning.results import FederatedRun
from ppml_helpers.federated_learning.settings import defaults
from ppml_helpers.words import in_100

HOSPITALS = (2, 8)  # fewest, most
SKEWS = (0.0, 0.25, 0.5, 0.75, 1.0)
LOCAL_EPOCHS = (1, 2, 5, 10)
ROUNDS = (1, 2, 5, 10, 20)
STRATEGIES = ("FedAvg", "FedProx", "FedAdam")
PROTECTIONS = ("none", "masks", "dp")

STEPS_AN_EPOCH = 10
"""Noisy steps on all of a hospital's patients that stand for one local epoch under "dp"."""

NOISY_LEARNING_RATE = 2.0
"""For steps on all patients, which are fewer than those on batches of 64 and can be larger."""

ALONE_EPOCHS = 20
"""Epochs of each hospital's own model and of the one on pooled patients; more change neither by much."""

MARKERS = "os^DPvXp"
"""One a hospital: colours repeat from the fifth on."""

_EXACT = 1e-3  # a relative error below it means that the record is known
_NOT_UNIFORM = 1e-6  # below this p-value the numbers are not taken for uniform ones
_SIZE = (7.0, 5.6)  # inches
_GREY = "#555555"


class Federation(NamedTuple):
    """What one setting of the knobs gives; AUCs are on each hospital's own test patients, by hospital."""

    hospitals: int
    skew: float
    local_epochs: int
    rounds: int
    strategy: str
    protection: str
    epsilon: float  # promised to each patient over the whole run; infinity without "dp"
    patients: tuple[int, ...]  # to train on; the last of the first hospital is fictional
    alone: tuple[float, ...]
    pooled: tuple[float, ...]
    federated: tuple[float, ...]
    margin: tuple[float, ...]  # two standard errors of federated less alone
    run: FederatedRun
    table_bytes: int  # of all training tables: what pooling would send
    true: np.ndarray  # features of the fictional patient
    read: np.ndarray  # as the server reads them
    error: float  # relative error of that reading
    guess: float  # relative error of guessing the average patient of the first hospital
    uniformity: float  # p-value that what the server got are uniform numbers; NaN without masks

    @property
    def gain(self) -> tuple[float, ...]:
        """AUC federated less alone."""
        return tuple(together - alone for together, alone in zip(self.federated, self.alone, strict=True))

    @property
    def gains(self) -> tuple[int, ...]:
        """Numbers of the hospitals that clearly gain: by more than the margin."""
        return tuple(i for i, (gain, margin) in enumerate(zip(self.gain, self.margin, strict=True)) if gain > margin)

    @property
    def loses(self) -> tuple[int, ...]:
        """Numbers of the hospitals that clearly lose."""
        return tuple(i for i, (gain, margin) in enumerate(zip(self.gain, self.margin, strict=True)) if -gain > margin)

    @property
    def is_read(self) -> bool:
        """Whether the server knows the patient's record to three digits."""
        return self.error < _EXACT


class _Dealt(NamedTuple):
    """The hospitals of one deal, and what does not depend on how they train together."""

    hospitals: tuple[Hospital, ...]
    alone: tuple[np.ndarray, ...]  # models
    pooled: np.ndarray  # model


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

    Raises
    ------
    ExplorerError
        If it is given something that is no table of patients, or a seed that is no whole number from 0.

    Notes
    -----
    The server is the attacker against whom differential privacy makes its promise: it knows everybody but one. From
    the update of the first hospital's first round, the model that it sent, the public seed and all of that hospital's
    real patients it works out the fictional one (`attacks.informed`). Under masks it receives uniform numbers in place
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
        if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
            raise ExplorerError(f"seed = {seed!r} is not a whole number of at least 0: choose one, for example 0.")
        if patients is not None and not isinstance(patients, pd.DataFrame):
            kind = type(patients).__name__
            raise ExplorerError(
                f"the patients are of type {kind}, not a table: give what cohort.load_patients returns."
            )
        self._patients, self._seed = cohort.load_patients() if patients is None else patients, int(seed)
        try:
            cohort.features(self._patients)
        except KitError as error:
            raise ExplorerError(f"these patients cannot be dealt to hospitals: {error}") from None
        self._fictional = cohort.features(gradients.fictional_patient())[0].to_numpy(np.float64)[0]
        self._deals: dict[tuple[int, float], _Dealt] = {}
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
        self,
        progress: Progress,
        hospitals: int,
        skew: float,
        local_epochs: int,
        rounds: int,
        strategy: str,
        protection: str,
        epsilon: float,
    ) -> Federation:
        """Deal the patients, train alone, pooled and together, and read the first update as the server does."""
        promised = float(f"{epsilon:.2g}") if protection == "dp" else math.inf  # what the knob shows
        dealt = self._dealt(hospitals, skew, progress)
        config = _config(local_epochs, rounds, strategy, protection, promised) | {"seed": self._seed}
        run, update = _train_together(dealt.hospitals, config, progress)
        knowledge = _knowledge(update, dealt.hospitals[0], run.settings)
        most_steps = 12 if protection == "none" else 3
        read = unknown_patient(
            _seen(update), knowledge, most_steps, lambda fraction, what: progress(0.9 + 0.1 * fraction, what)
        )
        aucs = [_aucs(dealt.hospitals, models) for models in (dealt.alone, [dealt.pooled] * hospitals)]
        return Federation(
            hospitals=hospitals,
            skew=skew,
            local_epochs=local_epochs,
            rounds=rounds,
            strategy=strategy,
            protection=protection,
            epsilon=promised,
            patients=tuple(hospital.patients for hospital in dealt.hospitals),
            alone=aucs[0],
            pooled=aucs[1],
            federated=run.auc,
            margin=tuple(
                margin(hospital.y_test, _scores(run.weights, hospital), _scores(alone, hospital))
                for hospital, alone in zip(dealt.hospitals, dealt.alone, strict=True)
            ),
            run=run,
            table_bytes=sum(hospital.X_train.nbytes + hospital.y_train.nbytes for hospital in dealt.hospitals),
            true=self._fictional,
            read=read,
            error=gradients.relative_error(read, self._fictional),
            guess=gradients.relative_error(knowledge.X.mean(axis=0), self._fictional),
            uniformity=_uniformity(update),
        )

    def forget(self) -> None:
        """Drop every remembered result and every deal."""
        super().forget()
        self._deals = {}

    def _dealt(self, hospitals: int, skew: float, progress: Progress) -> _Dealt:
        """Deal the patients, add the fictional one, and train each hospital's own model and the pooled one."""
        if (hospitals, skew) in self._deals:
            return self._deals[hospitals, skew]
        progress(0.0, "dealing the patients")
        first, *others = tables.simulated(self._patients, hospitals, self._seed, skew)
        first = dataclasses.replace(
            first, X_train=np.vstack([first.X_train, self._fictional]), y_train=np.append(first.y_train, 1.0)
        )
        everyone = (first, *others)
        models = []
        for number, hospital in enumerate((*everyone, tables.pooled(everyone))):
            progress(0.05 + 0.15 * number / (hospitals + 1), f"{hospital.name}, trained without the others")
            models.append(_trained_alone(hospital, self._seed, number))
        self._deals[hospitals, skew] = _Dealt(everyone, tuple(models[:-1]), models[-1])
        return self._deals[hospitals, skew]

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
        mixes = "with the same mix of patients" if not result.skew else f"with skew {result.skew:g}"
        how = {"none": "without protection", "masks": "under masks", "dp": f"with DP at epsilon {result.epsilon:g}"}
        means = [np.average(aucs, weights=result.patients) for aucs in (result.federated, result.alone, result.pooled)]
        return (
            f"{result.hospitals} simulated hospitals {mixes} train together by {result.strategy}, "
            f"{_count(result.rounds, 'round')} of {_count(result.local_epochs, 'local epoch')}, "
            f"{how[result.protection]}: the mean test AUC is {means[0]:.2f}, against {means[1]:.2f} alone and "
            f"{means[2]:.2f} with all patients pooled; {_in_sentence(_balance(result))}; "
            f"{_size(result.run.bytes_down)} go to the hospitals and {_size(result.run.bytes_up)} come back (their "
            f"tables: {_size(result.table_bytes)}); a fictional patient is added to A: "
            f"{_in_sentence(_verdict(result))}; {_in_sentence(_promise(result))}."
        )


# --------------------------------------------------------------------------------------------------------------
# Training, and what the server sees of it
# --------------------------------------------------------------------------------------------------------------


def _config(local_epochs: int, rounds: int, strategy: str, protection: str, epsilon: float) -> dict[str, Any]:
    """Return the run config for the knobs, as far as it differs from the app's defaults."""
    config = {
        "num-server-rounds": rounds,
        "local-epochs": local_epochs,
        "strategy": strategy.lower(),
        "protection": protection,
        "evaluate-every": rounds,
    }
    if protection != "dp":
        return config
    steps = local_epochs * STEPS_AN_EPOCH
    return config | {
        "local-epochs": steps,  # with a sample rate of 1 an epoch is one step
        "sample-rate": 1.0,
        "clipping-norm": 1.0,
        "noise-multiplier": accounting.noise_multiplier(epsilon, 1.0, rounds * steps),
        "learning-rate": NOISY_LEARNING_RATE,
    }


def _trained_alone(hospital: Hospital, seed: int, number: int) -> np.ndarray:
    """Train on one table, without Flower: nothing leaves the place."""
    app = defaults()
    rng = task.rng_for(seed, 1, number)
    start = np.zeros(hospital.X_train.shape[1] + 1)
    how = (ALONE_EPOCHS, app["batch-size"], app["learning-rate"])
    return task.train(start, hospital.X_train, hospital.y_train, *how, rng)


def _train_together(
    hospitals: Sequence[Hospital], config: dict[str, Any], progress: Progress
) -> tuple[FederatedRun, Crossing]:
    """Return the run, and what the first hospital sent in the first round."""
    updates: list[Crossing] = []
    rounds = config["num-server-rounds"]

    def listen(crossing: Crossing) -> None:
        progress(0.2 + 0.7 * (crossing.round - 1) / rounds, f"round {crossing.round} of {rounds}")
        if (crossing.round, crossing.hospital) == (1, 0) and crossing.kind.startswith("train"):
            updates.append(crossing)

    run = in_process.run(hospitals, config, on_message=listen)
    (update,) = updates
    return run, update


def _scores(weights: np.ndarray, hospital: Hospital) -> np.ndarray:
    return hospital.X_test @ weights[:-1]


def _aucs(hospitals: Sequence[Hospital], models: Sequence[np.ndarray]) -> tuple[float, ...]:
    return tuple(
        task.auc(hospital.y_test, _scores(weights, hospital))
        for hospital, weights in zip(hospitals, models, strict=True)
    )


def margin(y: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Return two standard errors of the difference between the AUCs of two scores of the same patients.

    Parameters
    ----------
    y : ndarray
        Labels, 0 and 1, both present more than once.
    one, other : ndarray
        Scores of the same patients by two models.

    Returns
    -------
    float

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), "Comparing the Areas under Two or More Correlated ROC Curves".
    """
    wins = [np.sign(s[y == 1][:, None] - s[y == 0][None, :]) / 2 for s in (one, other)]
    difference = wins[0] - wins[1]  # died x lived; its mean is the difference of the AUCs
    died, lived = difference.shape
    return 2 * math.sqrt(difference.mean(axis=1).var(ddof=1) / died + difference.mean(axis=0).var(ddof=1) / lived)


def _seen(update: Crossing) -> np.ndarray:
    """Return the hospital's model as it reaches the server; under masks what its numbers would mean without masks."""
    if "masked" not in update.reply.content:
        return update.reply.content["arrays"]["weights"].numpy()
    *weighted, patients = masking.decode(update.reply.content["masked"]["masked"].numpy())
    return np.array(weighted) / patients


def _uniformity(update: Crossing) -> float:
    """Test by chi-square whether the 16 values of four bits are equally frequent in what was sent under masks."""
    if "masked" not in update.reply.content:
        return math.nan
    sent = update.reply.content["masked"]["masked"].numpy().view(np.uint8)
    return float(chisquare(np.bincount(np.append(sent >> 4, sent & 15), minlength=16)).pvalue)


def _knowledge(update: Crossing, hospital: Hospital, settings: dict[str, Any]) -> Knowledge:
    """Return what the server knows of the first hospital's training: all but its last patient (and its noise)."""
    patients, size = hospital.patients, settings["batch-size"]
    noise, norm = 0.0, math.inf
    if settings["protection"] == "dp":
        batches, norm = [np.arange(patients)] * settings["local-epochs"], settings["clipping-norm"]
        one_step = settings["learning-rate"] * settings["noise-multiplier"] * norm / patients
        noise = one_step * math.sqrt(len(batches))
    else:
        rng = task.rng_for(settings["seed"], update.round, update.hospital)
        orders = [rng.permutation(patients) for _ in range(settings["local-epochs"])]
        batches = [order[at : at + size] for order in orders for at in range(0, patients, size)]
    return Knowledge(
        start=update.message.content["arrays"]["weights"].numpy(),
        X=hospital.X_train[:-1],
        y=hospital.y_train[:-1],
        batches=batches,
        learning_rate=settings["learning-rate"],
        proximal_mu=settings["proximal-mu"] if settings["strategy"] == "fedprox" else 0.0,
        clipping_norm=norm,
        noise=noise,
    )


# --------------------------------------------------------------------------------------------------------------
# The picture and the words
# --------------------------------------------------------------------------------------------------------------


def _draw_hospitals(axis: Axes, result: Federation) -> None:
    """Draw a row for each hospital: alone, together and pooled, and the difference with its margin."""
    figures.style(axis)
    places = np.arange(result.hospitals)[::-1]
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
    axis.set_ylim(-0.6, result.hospitals - 0.4)
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
    axis.plot(result.true, result.read, "o", color=figures.COLOURS["leak"], markersize=5, alpha=0.7, clip_on=False)
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
    within = result.hospitals - len(result.gains) - len(result.loses)
    return f"Clearly gain: {gains}. Clearly lose: {loses}. Within chance: {within}."


def _verdict(result: Federation) -> str:
    """Say what the server got."""
    if result.is_read:
        return f"The server reads the patient's record exactly: relative error under {_EXACT:g}."
    if result.protection == "masks" and result.uniformity > _NOT_UNIFORM:
        return "The server sees random numbers in place of A's update, and reads nothing in them."
    how = "no better than" if result.error > 0.95 * result.guess else "better than"
    return f"The server's relative error is {result.error:.1f}, {how} guessing A's average ({result.guess:.1f})."


def _promise(result: Federation) -> str:
    """Say what holds against every attacker."""
    if result.protection == "masks":
        return "Masks hide the parts, not their sum: what all updates together give away has no limit."
    if result.protection == "none":
        return "No limit is promised to any patient."
    guess = in_100(accounting.membership_accuracy(result.epsilon))
    return f"Epsilon {result.epsilon:g}: whether a patient took part is guessed right at most {guess} times in 100."


def _in_sentence(text: str) -> str:
    """Make of whole sentences parts of a longer one."""
    return "; ".join(part[0].lower() + part[1:] for part in text.removesuffix(".").split(". "))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _size(amount: int) -> str:
    """Write an amount of bytes with two digits."""
    return f"{amount / 1e6:.1f} MB" if amount >= 995_000 else f"{float(f'{amount / 1000:.2g}'):g} kB"
