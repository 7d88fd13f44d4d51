"""What the explorer of chapter 06b shows: what models say of one patient, with and without that patient."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ppml_helpers import checks, cohort, membership
from ppml_helpers.attack_and_audit import shadow, study
from ppml_helpers.attack_and_audit.shadow import Shadows
from ppml_helpers.errors import AttackError
from ppml_helpers.private_training.engine import Progress, no_progress

KINDS = ("overfitted network", "logistic regression", "network, clipped, no noise", "network, epsilon 1")
"""The kinds of model on offer, of those in `study.CASES`."""

MODELS = 32
CHANCES = (0.04, 0.06, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97)
"""How likely the end of the patients on offer was, about."""

RATE = 0.01
"""Share of false alarms that the attack is allowed: fewer are not known well from so few models."""


class Attacked(NamedTuple):
    """Models of one kind, and what the likelihood ratio finds in them."""

    shadows: Shadows
    risk: shadow.Vulnerability


class Exposure(NamedTuple):
    """What models say of one patient.

    Attributes
    ----------
    kind : str
    chance : float
        How likely a calm model of other patients held what happened to this one.
    died : bool
    scores : ndarray, shape (models,)
        Log-odds of what happened.
    inside : ndarray of bool, shape (models,)
        Which model was trained on this patient.
    found, alarms : int
        In how many of those models, and of the others, the attack takes the patient for a member.
    average : float
        Share of all members found.
    """

    kind: str
    chance: float
    died: bool
    scores: NDArray[np.float64]
    inside: NDArray[np.bool_]
    found: int
    alarms: int
    average: float


@lru_cache(maxsize=1)
def chances() -> NDArray[np.float64]:
    """Return how likely a calm model of all *other* patients holds what happened to each of the study's pool."""
    X, y = study.pool()
    everybody, ends = cohort.features(cohort.load_patients())
    rest = np.setdiff1d(everybody.index, X.index)
    return membership.scores(LogisticRegression(max_iter=2000).fit(everybody.loc[rest], ends.loc[rest]), X, y)


def patient_of(chance: float) -> int:
    """Return the position in the pool of the patient whose end was as likely as this, or nearly."""
    checks.share(chance, "chance", error=AttackError)
    return int(abs(chances() - chance).argmin())


def attacked(kind: str, progress: Progress = no_progress) -> Attacked:
    """Train models of a kind and attack each of them with the others."""
    checks.choice(kind, "kind", KINDS, error=AttackError)
    given = study.shadows(kind, MODELS, progress=progress)
    return Attacked(given, shadow.vulnerability(shadow.leave_one_out(given), given.member, RATE))


def exposure(kind: str, models: Attacked, who: int) -> Exposure:
    """Look at one patient of the pool."""
    risk, half = models.risk, MODELS // 2
    return Exposure(
        kind,
        float(chances()[who]),
        bool(study.pool()[1].iloc[who]),
        models.shadows.scores[:, who],
        models.shadows.member[:, who],
        found=round(half * risk.found[who]),
        alarms=round(half * risk.alarms[who]),
        average=float(risk.found.mean()),
    )
