"""What a server that knows all patients of a hospital but one reads out of the hospital's update: the one.

The attacker of differential privacy's promise knows every patient but one. Here it is the server of a federation: it
knows the model that it sent, how the hospital trains, the public seed and all of the hospital's other patients. It
trains again with a guess in the place of the missing patient, and mends the guess until the update that it computes is
the update that it was sent (Balle, Cherubin and Hayes 2022, "Reconstructing Training Data with Informed Adversaries").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppml_helpers.errors import AttackError

Floats = NDArray[np.float64]

_STEP = 1e-4  # of a feature, to see how the update changes with it
_SPREAD = 0.5  # of patients around their average, as the server takes it where it must weigh noise
_CLOSE = 1e-10  # a guess that moves less than this is final


@dataclass(frozen=True)
class Knowledge:
    """All that the server knows about one hospital's training of a logistic regression."""

    start: Floats  # the model that it sent, the intercept last
    X: Floats  # features in [-1, 1] of the patients whom it knows
    y: Floats
    batches: Sequence[NDArray[np.int64]]  # places in the table of who was in each step; the unknown patient is last
    learning_rate: float
    proximal_mu: float = 0.0
    clipping_norm: float = np.inf  # largest length of one patient's gradient
    noise: float = 0.0  # standard deviation in each weight of the model that was sent back


def unknown_patient(
    seen: Floats,
    knowledge: Knowledge,
    most_steps: int = 12,
    progress: Callable[[float, str], None] = lambda fraction, what: None,
) -> Floats:
    """Find the record with which the training that is known gives the model that was seen."""
    seen = np.asarray(seen, dtype=np.float64)
    if seen.shape != knowledge.start.shape or not np.isfinite(seen).all():
        raise AttackError(
            f"The model seen has shape {seen.shape}, the one sent {knowledge.start.shape}; give finite numbers, "
            "one a weight and the intercept."
        )
    found = []
    for label in (0.0, 1.0):
        record = knowledge.X.mean(axis=0)
        for step in range(most_steps):
            progress((label + step / most_steps) / 2, "the server reads the update")
            moved = np.clip(record + _towards(seen, knowledge, record, label), -1, 1)
            still = np.abs(moved - record).max() < _CLOSE
            record = moved
            if still:
                break
        missed = np.linalg.norm(trained(knowledge, record[None], label)[0] - seen)
        found.append((missed, label, record))
    return min(found)[2]


def _towards(seen: Floats, knowledge: Knowledge, record: Floats, label: float) -> Floats:
    """Return the Gauss-Newton step from a guess; noise draws it towards the average of the known patients."""
    around = np.vstack([record, record + _STEP * np.eye(len(record))])
    here, *there = trained(knowledge, around, label)
    slopes = (np.array(there) - here).T / _STEP
    doubt = knowledge.noise / _SPREAD
    rows = np.vstack([slopes, doubt * np.eye(len(record))])
    return np.linalg.lstsq(rows, np.append(seen - here, doubt * (knowledge.X.mean(axis=0) - record)))[0]


def trained(knowledge: Knowledge, records: Floats, label: float) -> Floats:
    """Repeat the hospital's training once for each guess at the unknown patient, all at the same time."""
    X, known, last = _with_one(knowledge.X), knowledge, len(knowledge.X)
    guesses = _with_one(records)
    weights = np.tile(known.start, (len(guesses), 1))
    for batch in known.batches:
        others = batch[batch != last]
        rows = X if len(others) == last else X[others]
        labels = known.y if len(others) == last else known.y[others]
        lengths = np.linalg.norm(rows, axis=1)
        total = _errors(weights @ rows.T, labels, lengths, known.clipping_norm) @ rows
        if len(others) < len(batch):
            logits = np.einsum("ij,ij->i", weights, guesses)
            lengths = np.linalg.norm(guesses, axis=1)
            total += _errors(logits, label, lengths, known.clipping_norm)[:, None] * guesses
        weights = weights - known.learning_rate * (total / len(batch) + known.proximal_mu * (weights - known.start))
    return weights


def _errors(logits: Floats, labels: Floats | float, lengths: Floats, clipping_norm: float) -> Floats:
    """Return probability less label, shortened where a patient's gradient is longer than the norm."""
    errors = 0.5 * (1 + np.tanh(0.5 * logits)) - labels
    if np.isinf(clipping_norm):
        return errors
    return errors * np.minimum(1, clipping_norm / np.maximum(np.abs(errors) * lengths, 1e-300))


def _with_one(rows: Floats) -> Floats:
    return np.column_stack([rows, np.ones(len(rows))])
