"""One setting of the epsilon explorer, and all that is computed for it: curve, game, map, and the statement."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import accounting, cohort, words
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.private_training.choice import Choice
from ppml_helpers.private_training.curve import (
    MEASURES,
    Allowed,
    Bench,
    Judge,
    Measure,
    allowed,
    cost,
    curve_of,
    extreme,
    subgroups,
)
from ppml_helpers.private_training.engine import RECIPES, Progress, Recipe, one_thread
from ppml_helpers.private_training.game import Game, Played

PATIENTS = (300, 500, 1_000, 2_000, 4_000)
MOST_TRAININGS = 400  # for the games of one move, unless that were fewer than twenty games
MAP_SEEDS = 2  # trainings behind each point of the map
_FEWEST_GAMES = 20
_NETWORK_SHARE = 0.4  # of the games are played, since a network takes far longer


class Asked(NamedTuple):
    """The knobs."""

    epsilon: float  # of one model, for a patient with one row
    patients: int
    model: str
    clipping_norm: float
    usefulness: str
    among: str
    models_a_year: int
    years: int
    rows: int  # most rows of one patient
    prior: float
    games: int
    view: str
    wished: float  # share of what a model without privacy adds to knowing nothing

    @property
    def releases(self) -> int:
        """Models published in all."""
        return self.models_a_year * self.years


class Shown(NamedTuple):
    """What one setting of the knobs gives."""

    asked: Asked
    predicts: str
    curve: pd.DataFrame  # per epsilon: mean, low, high, exact, promise
    present: pd.Series  # usefulness at the present epsilon, by training
    test_interval: tuple[float, float]  # of the present mean, 95 %, over test patients
    non_private: float  # usefulness without privacy
    control: float  # clipped, no noise
    nothing: float  # everybody told the same risk
    extreme: float  # share of risks below 1 or above 99 %
    released: SampledGaussian
    allowed: Allowed
    played: Played
    models: int  # noisy ones behind the curve or the map
    cost: float  # epsilon of publishing all of them, for a patient with one row
    grid: pd.DataFrame | None  # usefulness by epsilon (rows) and number of patients, for the map

    @property
    def measure(self) -> Measure:
        """How usefulness is measured."""
        return MEASURES[self.asked.usefulness]

    @property
    def trainings(self) -> int:
        """Models behind each mean."""
        return len(self.present)

    @property
    def wished(self) -> float:
        """The usefulness that is wished for."""
        return self.nothing + self.asked.wished * (self.non_private - self.nothing)

    def named(self, right: float) -> float:
        """Return which share of those whom an attacker names were in the data.

        The attacker draws the line where most guesses are right between equals: so many members are named, and all
        the others by mistake. Whoever names fewer is surer of those.
        """
        return accounting.odds(self.asked.prior, right, 1 - right)


class Desk:
    """All models and games of a table, trained when a setting asks for them, and kept.

    Parameters
    ----------
    split : Split
        As `cohort.checked_split` returns it.
    delta : float
    """

    def __init__(self, split: cohort.Split, delta: float) -> None:
        self.split, self.delta = split, delta
        self.predicts = cohort.outcome_words(split)
        self.groups = subgroups(split)
        self._benches: dict[tuple[int, Recipe], Bench] = {}
        self._games: dict[tuple[int, Recipe, float, int], Game] = {}
        self._judges: dict[tuple[str, str], Judge] = {}
        self._scores: dict[tuple[Judge, Bench, float], np.ndarray] = {}

    @property
    def counts(self) -> list[int]:
        """Numbers of training patients on offer, increasing."""
        everybody = len(self.split.X_train)
        return [*([n for n in PATIENTS if n < everybody] or [everybody // 2]), everybody]

    @one_thread()
    def look(self, asked: Asked, progress: Progress) -> Shown:
        """Train, attack and measure what this setting needs and is not there yet."""
        bench = self._bench(asked.patients, asked)
        judge = self._judge(asked.usefulness, asked.among)
        logits = bench.logits([*sorted({*bench.epsilons, asked.epsilon}), math.inf], bench.seeds, progress)
        scores = {epsilon: self._scored(judge, bench, epsilon, rows) for epsilon, rows in logits.items()}
        released, behind = bench.released(asked.epsilon, asked.releases), self._behind(bench, asked)
        return Shown(
            asked=asked,
            predicts=self.predicts,
            curve=curve_of(bench, scores, asked.releases, asked.rows, progress),
            present=pd.Series(scores[asked.epsilon], index=bench.seeds, name=asked.usefulness),
            test_interval=judge.interval(logits[asked.epsilon]),
            non_private=float(judge(bench.plain).mean()),
            control=float(scores[math.inf].mean()),
            nothing=judge.nothing,
            extreme=extreme(logits[asked.epsilon]),
            released=released,
            allowed=allowed(released, self.delta, asked.rows),
            played=self._play(bench, asked, progress),
            models=sum(behind.values()),
            cost=cost(bench, behind),
            grid=self._grid(asked, judge, progress) if asked.view == "map" else None,
        )

    def _behind(self, bench: Bench, asked: Asked) -> dict[float, int]:
        """Return how many models of each epsilon are on show; a patient may be among those of every size."""
        others = len(bench.seeds[:MAP_SEEDS]) * (len(self.counts) - 1) if asked.view == "map" else 0
        models = dict.fromkeys(bench.epsilons, len(bench.seeds) + others)
        return {asked.epsilon: len(bench.seeds), **models}

    def _bench(self, patients: int, asked: Asked) -> Bench:
        recipe = dataclasses.replace(RECIPES[asked.model], clipping_norm=asked.clipping_norm)
        if (patients, recipe) not in self._benches:
            self._benches[patients, recipe] = Bench(self.split, patients, asked.model, recipe, self.delta)
        return self._benches[patients, recipe]

    def _judge(self, usefulness: str, among: str) -> Judge:
        """Return who measures; its draws of the test patients are the same at every setting."""
        if (usefulness, among) not in self._judges:
            self._judges[usefulness, among] = Judge(usefulness, self.split.y_test.to_numpy(), self.groups[among])
        return self._judges[usefulness, among]

    def _scored(self, judge: Judge, bench: Bench, epsilon: float, logits: np.ndarray) -> np.ndarray:
        if (judge, bench, epsilon) not in self._scores:
            self._scores[judge, bench, epsilon] = judge(logits)
        return self._scores[judge, bench, epsilon]

    def _play(self, bench: Bench, asked: Asked, progress: Progress) -> Played:
        X, y, *_ = bench.data(bench.seeds[0])
        key = asked.patients, bench.recipe, asked.epsilon, asked.rows
        if key not in self._games:
            sigma = bench.released(asked.epsilon).noise_multiplier
            self._games[key] = Game(X, y, bench.recipe, sigma, asked.rows)
        return self._games[key].play(games_of(asked), asked.releases, progress)

    def _grid(self, asked: Asked, judge: Judge, progress: Progress) -> pd.DataFrame:
        """Return the mean usefulness by epsilon and number of patients."""
        columns = {}
        for place, patients in enumerate(self.counts):

            def tell(fraction: float, _: str, place: int = place, patients: int = patients) -> None:
                progress((place + fraction) / len(self.counts), f"the map: {patients:,} patients")

            bench = self._bench(patients, asked)
            logits = bench.logits(bench.epsilons, bench.seeds[:MAP_SEEDS], tell)
            columns[patients] = [judge(logits[epsilon]).mean() for epsilon in bench.epsilons]
        return pd.DataFrame(columns, index=pd.Index(bench.epsilons, name="epsilon"))

    def choice(self, shown: Shown) -> Choice:
        """Return the statement of a setting on show."""
        asked = shown.asked
        return Choice(
            technique=f"{asked.model}, DP-SGD",
            epsilon=shown.allowed.total,
            delta=self.delta,
            releases=asked.releases,
            statement="\n".join([*_promise(shown, self.delta), *_outside(shown), self._who_pays(shown)]),
        )

    def _who_pays(self, shown: Shown) -> str:
        """Name the subgroup that loses most usefulness against training without privacy."""
        asked, losses = shown.asked, {}
        bench = self._bench(asked.patients, asked)
        private = bench.logits([asked.epsilon], bench.seeds, lambda *_: None)[asked.epsilon]
        for name in self.groups:
            judge = self._judge(asked.usefulness, name)
            before, after = judge(bench.plain).mean(), judge(private).mean()
            losses[name] = (before - after) * (1 if shown.measure.up else -1), before, after
        worst = max(losses, key=lambda name: losses[name][0])
        _, before, after = losses[worst]
        return (
            f"Who pays: of {words.counted(len(losses), 'group')} looked at, {worst} lost most ({asked.usefulness} "
            f"{before:.2f} without privacy, {after:.2f} with it)."
        )


def games_of(asked: Asked) -> int:
    """Return how many games are played at a setting: an even number, fewer where each needs many models."""
    share = _NETWORK_SHARE if RECIPES[asked.model].hidden else 1
    affordable = int(share * max(MOST_TRAININGS, asked.games)) // asked.releases
    return max(_FEWEST_GAMES, min(int(share * asked.games), affordable) // 4 * 4)


def _promise(shown: Shown, delta: float) -> Sequence[str]:
    """State unit, neighbours, numbers, mechanism and accountant."""
    asked, training = shown.asked, shown.released
    full = training.sample_rate == 1
    accountant = (
        "the exact formula of the Gaussian mechanism (Balle and Wang 2018)"
        if full
        else "the least of privacy loss distributions and Renyi divergences (dp-accounting)"
    )
    return [
        f"Promise: epsilon {up(shown.allowed.total)} at delta {delta:g} for all releases together.",
        f"Unit: one patient with at most {words.counted(asked.rows, 'row')}. Neighbours: tables that differ by one "
        "such patient, added or removed.",
        f"Releases: {words.counted(asked.releases, 'model')} ({asked.models_a_year} a year for "
        f"{words.counted(asked.years, 'year')}), each with noise of its own, on the same patients.",
        f"Mechanism: DP-SGD, {asked.model}, {RECIPES[asked.model].steps} steps, sample rate {training.sample_rate:g}, "
        f"clipping norm {asked.clipping_norm:g}, noise multiplier {training.noise_multiplier:.4g} (one model for a "
        f"patient with one row: epsilon {asked.epsilon:.3g}).",
        f"Accountant: {accountant}.",
        f"It allows: a guess 'was in it or not' between equals is right at most {words.in_100(shown.allowed.exact)} "
        f"times in 100 against these trainings, {words.in_100(shown.allowed.promise)} against any with this promise.",
    ]


def _outside(shown: Shown) -> Sequence[str]:
    """State what the promise does not cover."""
    asked = shown.asked
    return [
        f"Measured: {shown.measure.words} {shown.present.mean():.2f} ({asked.among}; "
        f"{shown.non_private:.2f} without privacy), {words.percent(shown.extreme)} of risks beyond 1 or 99 %, "
        f"{words.counted(asked.patients, 'training patient')}.",
        "Outside the promise: the test figures here (exact statistics of real patients); the number of patients, by "
        "which sums are divided, taken as public; the scaling, which must use public bounds; every other setting that "
        "was looked at to choose this one; the floating-point noise of this teaching kit, which is not for release.",
    ]


def up(epsilon: float) -> str:
    """Return an epsilon with three digits, rounded up: a promise must not shrink by printing."""
    if epsilon == 0 or not math.isfinite(epsilon):
        return f"{epsilon:g}"
    step = 10.0 ** (math.floor(math.log10(epsilon)) - 2)
    return f"{np.ceil(epsilon / step - 1e-9) * step:.3g}"
