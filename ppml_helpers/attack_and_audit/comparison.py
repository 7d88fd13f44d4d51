"""What the explorer of chapter 06 shows: a sound program and one with a bug, audited on the same coins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers.attack_and_audit.audit import TrainingAudit, audit_sweep
from ppml_helpers.private_training.engine import RECIPES, Labels, Models, Progress, Table

STOPS = tuple(float(f"{10 ** (k / 4):.2g}") for k in range(-4, 5))
"""Every epsilon that the slider can stand on, to the two digits that it shows: 0.1 to 10, audited all together."""

BUG = 8.0
"""The bug divides the noise by this."""

_RECIPE = RECIPES["logistic regression"]

Audits = dict[tuple[float, bool], TrainingAudit]
"""The audits of one toss of the coins, by promised epsilon and by whether the bug is in."""


class AuditRun(NamedTuple):
    """What one audit found."""

    actual: float  # epsilon that the noise really added keeps, by accounting
    measured: float  # lower bound
    auc: float  # on the test patients
    scores: np.ndarray  # one a canary
    included: np.ndarray  # whether the canary was in


class Audited(NamedTuple):
    """What one setting of the knobs gives."""

    epsilon: float  # promised
    canaries: int
    patients: int
    bug: bool
    best: float  # lower bound if every guess had been right
    confidence: float  # of each bound
    shown: tuple[AuditRun, ...]  # the audits of the program that the switch chooses
    other: tuple[AuditRun, ...]  # on the same coins, the program that it does not choose
    curve: pd.DataFrame  # lower bounds at every epsilon audited so far on these coins: epsilon x run

    @property
    def measured(self) -> np.ndarray:
        """Lower bound of each run."""
        return np.array([run.measured for run in self.shown])

    @property
    def refuted(self) -> int:
        """How many runs refute the promise."""
        return int((self.measured > self.epsilon).sum())

    @property
    def auc(self) -> float:
        """Mean test AUC of the audited models."""
        return float(np.mean([run.auc for run in self.shown]))

    @property
    def other_auc(self) -> float:
        """Mean test AUC with the switch the other way round."""
        return float(np.mean([run.auc for run in self.other]))


def complete(
    audits: Audits,
    patients: tuple[Table, Labels],
    epsilon: float,
    *,
    canaries: int,
    seed: int,
    delta: float,
    progress: Progress,
) -> None:
    """Audit both programs where that was not done before: at every stop of the slider, and at this epsilon.

    What is trained together is always the same, so that no result depends on what was asked for before.
    """
    together = [STOPS] if epsilon in STOPS else [STOPS, (epsilon,)]
    missing = [epsilons for epsilons in together if (epsilons[-1], True) not in audits]
    for part, epsilons in enumerate(missing):

        def tell(fraction: float, what: str, part: int = part) -> None:
            progress((part + fraction) / len(missing), what)

        asked = [(promise, bug) for bug in (False, True) for promise in epsilons]
        settings = [(promise, BUG if bug else 1.0) for promise, bug in asked]
        found = audit_sweep(*patients, _RECIPE, settings, canaries=canaries, delta=delta, seed=seed, progress=tell)
        audits |= zip(asked, found, strict=True)


def compared(runs: Sequence[Audits], epsilon: float, bug: bool, patients: int, test: tuple[Table, Labels]) -> Audited:
    """Put the runs together: the program that the switch chooses, and beside it the other."""
    shown, other = (tuple(_run(audits[epsilon, side], test) for audits in runs) for side in (bug, not bug))
    epsilons = sorted({*STOPS, epsilon})
    bounds = [[audits[stop, bug].measured.epsilon_lower for audits in runs] for stop in epsilons]
    one = runs[0][epsilon, bug]
    return Audited(
        epsilon=epsilon,
        canaries=one.measured.canaries,
        patients=patients,
        bug=bug,
        best=one.best_possible,
        confidence=one.measured.confidence,
        shown=shown,
        other=other,
        curve=pd.DataFrame(bounds, index=pd.Index(epsilons, name="epsilon")),
    )


def _run(found: TrainingAudit, test: tuple[Table, Labels]) -> AuditRun:
    """Take out of an audit what picture and sentence show."""
    slopes, intercept = found.models.weights
    for_patients = Models((slopes[:, : found.columns], intercept), 0)  # they have 0 in the canaries' columns
    return AuditRun(
        actual=found.actual,
        measured=found.measured.epsilon_lower,
        auc=float(for_patients.auc(*test)[0]),
        scores=found.scores,
        included=found.included,
    )
