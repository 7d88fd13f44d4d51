"""What one way of training together gives: who gains by it, what is sent, and what the server reads in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import accounting, cohort
from ppml_helpers.federated_learning import gradient_attack, hospitals, in_process
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.app.federated_hospitals.masking import decode
from ppml_helpers.federated_learning.hospitals import Hospital
from ppml_helpers.federated_learning.in_process import Crossing
from ppml_helpers.federated_learning.informed_attack import Knowledge, unknown_patient
from ppml_helpers.federated_learning.masked_sums import uniformity
from ppml_helpers.federated_learning.results import FederatedRun
from ppml_helpers.federated_learning.run_config import defaults

Progress = Callable[[float, str], None]

STEPS_AN_EPOCH = 10
"""Noisy steps on all of a hospital's patients that stand for one local epoch under "dp"."""

NOISY_LEARNING_RATE = 2.0
"""For steps on all patients, which are fewer than those on batches of 64 and can be larger."""

ALONE_EPOCHS = 20
"""Epochs of each hospital's own model and of the one on pooled patients; more change neither by much."""

EXACT = 1e-3
"""A relative error below it means that the record is known."""


class Dealt(NamedTuple):
    """The hospitals of one deal, and what does not depend on how they train together."""

    skew: float
    hospitals: tuple[Hospital, ...]  # the last patient of the first is fictional
    alone: tuple[np.ndarray, ...]  # models
    pooled: np.ndarray  # model

    @property
    def fictional(self) -> np.ndarray:
        """Features of the fictional patient."""
        return self.hospitals[0].X_train[-1]


class Plan(NamedTuple):
    """How the hospitals train together."""

    local_epochs: int
    rounds: int
    strategy: str
    protection: str
    epsilon: float  # promised to each patient over the whole run; infinity without "dp"


class Federation(NamedTuple):
    """What one setting of the knobs gives; AUCs are on each hospital's own test patients, by hospital."""

    dealt: Dealt
    plan: Plan
    run: FederatedRun
    alone: tuple[float, ...]
    pooled: tuple[float, ...]
    federated: tuple[float, ...]
    margin: tuple[float, ...]  # two standard errors of federated less alone
    read: np.ndarray  # features of the fictional patient, as the server reads them
    error: float  # relative error of that reading
    guess: float  # relative error of guessing the average patient of the first hospital
    uniformity: float  # p-value that what the server got are uniform numbers; NaN without masks

    @property
    def patients(self) -> tuple[int, ...]:
        """Patients to train on, by hospital."""
        return tuple(hospital.patients for hospital in self.dealt.hospitals)

    @property
    def table_bytes(self) -> int:
        """Bytes of all training tables: what pooling would send."""
        return sum(hospital.X_train.nbytes + hospital.y_train.nbytes for hospital in self.dealt.hospitals)

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
        return self.error < EXACT


def deal(patients: pd.DataFrame, n: int, skew: float, seed: int, progress: Progress) -> Dealt:
    """Deal the patients, add the fictional one to the first hospital, and train on each table and on all of them."""
    progress(0.0, "dealing the patients")
    first, *others = hospitals.simulated(patients, n, seed, skew)
    X, y = cohort.features(gradient_attack.fictional_patient())
    X_train, y_train = np.vstack([first.X_train, X.to_numpy()]), np.append(first.y_train, y.to_numpy(float))
    everyone = (dataclasses.replace(first, X_train=X_train, y_train=y_train), *others)
    models = []
    for number, hospital in enumerate((*everyone, hospitals.pooled(everyone))):
        progress(0.05 + 0.15 * number / (n + 1), f"{hospital.name}, trained without the others")
        models.append(trained_alone(hospital, seed, number))
    return Dealt(skew, everyone, tuple(models[:-1]), models[-1])


def trained_alone(hospital: Hospital, seed: int, number: int) -> np.ndarray:
    """Train on one table, without Flower: nothing leaves the place."""
    app = defaults()
    start = np.zeros(hospital.X_train.shape[1] + 1)
    how = (ALONE_EPOCHS, app["batch-size"], app["learning-rate"], task.rng_for(seed, 1, number))
    return task.train(start, hospital.X_train, hospital.y_train, *how)


def federation(dealt: Dealt, plan: Plan, seed: int, progress: Progress) -> Federation:
    """Train together, compare, and read the first hospital's first update as the server does."""
    run, update = trained_together(dealt.hospitals, config_for(plan) | {"seed": seed}, progress)
    known = knowledge(update, dealt.hospitals[0], run.settings)
    most_steps = 12 if plan.protection == "none" else 3
    read = unknown_patient(seen(update), known, most_steps, lambda done, what: progress(0.9 + 0.1 * done, what))
    models = [(alone, dealt.pooled, run.weights) for alone in dealt.alone]
    scores = [[h.X_test @ model[:-1] for model in own] for h, own in zip(dealt.hospitals, models, strict=True)]
    rows = [(h.y_test, *three) for h, three in zip(dealt.hospitals, scores, strict=True)]
    return Federation(
        dealt=dealt,
        plan=plan,
        run=run,
        alone=tuple(task.auc(y, alone) for y, alone, _, _ in rows),
        pooled=tuple(task.auc(y, pooled) for y, _, pooled, _ in rows),
        federated=tuple(task.auc(y, together) for y, _, _, together in rows),
        margin=tuple(margin(y, together, alone) for y, alone, _, together in rows),
        read=read,
        error=gradient_attack.relative_error(read, dealt.fictional),
        guess=gradient_attack.relative_error(known.X.mean(axis=0), dealt.fictional),
        uniformity=uniformity(masked(update)) if plan.protection == "masks" else math.nan,
    )


def config_for(plan: Plan) -> dict[str, Any]:
    """Return the run config of a plan, as far as it differs from the app's defaults."""
    config = {
        "num-server-rounds": plan.rounds,
        "local-epochs": plan.local_epochs,
        "strategy": plan.strategy.lower(),
        "protection": plan.protection,
        "evaluate-every": plan.rounds,
    }
    if plan.protection != "dp":
        return config
    steps = plan.local_epochs * STEPS_AN_EPOCH
    return config | {
        "local-epochs": steps,  # with a sample rate of 1 an epoch is one step
        "sample-rate": 1.0,
        "clipping-norm": 1.0,
        "noise-multiplier": accounting.noise_multiplier(plan.epsilon, 1.0, plan.rounds * steps),
        "learning-rate": NOISY_LEARNING_RATE,
    }


def trained_together(
    given: Sequence[Hospital], config: dict[str, Any], progress: Progress
) -> tuple[FederatedRun, Crossing]:
    """Return the run, and what the first hospital sent in the first round."""
    updates: list[Crossing] = []
    rounds = config["num-server-rounds"]

    def listen(crossing: Crossing) -> None:
        progress(0.2 + 0.7 * (crossing.round - 1) / rounds, f"round {crossing.round} of {rounds}")
        if (crossing.round, crossing.hospital) == (1, 0) and crossing.kind.startswith("train"):
            updates.append(crossing)

    run = in_process.run(given, config, on_message=listen)
    (update,) = updates
    return run, update


def margin(y: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Return two standard errors of the difference between the AUCs of two scores of the same patients.

    Of each label there must be two patients or more. From DeLong, DeLong and Clarke-Pearson (1988), "Comparing the
    Areas under Two or More Correlated ROC Curves".
    """
    wins = [np.sign(s[y == 1][:, None] - s[y == 0][None, :]) / 2 for s in (one, other)]
    difference = wins[0] - wins[1]  # died x lived; its mean is the difference of the AUCs
    died, lived = difference.shape
    return 2 * math.sqrt(difference.mean(axis=1).var(ddof=1) / died + difference.mean(axis=0).var(ddof=1) / lived)


class Told(NamedTuple):
    """What one hospital's replies tell the server in clear.

    Attributes
    ----------
    numbers : dict of str to float
        Every number beside the model, by kind of message and name; of several replies the last.
    patients : int or None
        Test patients, if the hospital names how many.
    deaths : tuple of int
        How many of them can have died: all numbers that every AUC of theirs allows.
    """

    numbers: dict[str, float]
    patients: int | None
    deaths: tuple[int, ...]


def told(crossings: Sequence[Crossing], hospital: int) -> Told:
    """Read from the replies of one hospital, as the server got them, all that stands there in clear.

    An AUC is a number of half pairs over (deaths x survivors): in all its digits it tells how many died.
    """
    replies = [c for c in crossings if c.hospital == hospital and not c.reply.has_error()]
    records = [(c.kind, record) for c in replies for record in c.reply.content.metric_records.values()]
    numbers = {f"{kind}: {key}": value for kind, record in records for key, value in record.items()}
    tests = [record for kind, record in records if kind.startswith("evaluate") and {"auc", "num-examples"} <= {*record}]
    size = int(tests[-1]["num-examples"]) if tests else None
    pairs = {deaths: 2 * deaths * (size - deaths) for deaths in range(1, size or 0)}
    fits = {deaths for deaths, n in pairs.items() if all(abs(n * m["auc"] - round(n * m["auc"])) < 1e-6 for m in tests)}
    return Told(numbers, size if size != 1 else None, tuple(sorted(fits)))


def masked(update: Crossing) -> np.ndarray:
    """Return what reached the server in place of an update under masks."""
    return update.reply.content["masked"]["masked"].numpy()


def seen(update: Crossing) -> np.ndarray:
    """Return the hospital's model as it reaches the server; under masks what its numbers would mean without masks."""
    if "masked" not in update.reply.content:
        return update.reply.content["arrays"]["weights"].numpy()
    *weighted, patients = decode(masked(update))
    return np.array(weighted) / patients


def knowledge(update: Crossing, hospital: Hospital, settings: dict[str, Any]) -> Knowledge:
    """Return what the server knows of the first hospital's training: all but its last patient (and its noise)."""
    patients, size = hospital.patients, settings["batch-size"]
    noise, norm, off = 0.0, math.inf, 1.0
    if settings["protection"] == "dp":
        batches, norm = [np.arange(patients)] * settings["local-epochs"], settings["clipping-norm"]
        off = patients / task.rounded_size(patients)  # by which its means are taken
        one_step = settings["learning-rate"] * settings["noise-multiplier"] * norm * off / patients
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
        learning_rate=settings["learning-rate"] * off,
        proximal_mu=settings["proximal-mu"] / off if settings["strategy"] == "fedprox" else 0.0,
        clipping_norm=norm,
        noise=noise,
    )
