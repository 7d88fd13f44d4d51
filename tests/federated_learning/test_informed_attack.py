"""The knowing server: it replays the hospital's training, and so reads the missing patient unless there is noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppml_helpers.errors import AttackError
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.gradient_attack import relative_error
from ppml_helpers.federated_learning.informed_attack import Knowledge, trained, unknown_patient

PATIENTS, FEATURES = 150, 6


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    X = rng.uniform(-1, 1, (PATIENTS, FEATURES))
    return X, (rng.random(PATIENTS) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)


def knowledge(table: tuple, seed: int = 3, epochs: int = 2, **changed: object) -> Knowledge:
    """What the server knows of SGD on batches of 32; the last patient is missing."""
    X, y = table
    rng = task.rng_for(seed, 1, 0)
    orders = [rng.permutation(PATIENTS) for _ in range(epochs)]
    batches = [order[at : at + 32] for order in orders for at in range(0, PATIENTS, 32)]
    start = np.linspace(-0.3, 0.4, FEATURES + 1)
    return dataclasses.replace(Knowledge(start, X[:-1], y[:-1], batches, 0.5), **changed)


def update(table: tuple, epochs: int = 2, mu: float = 0.0) -> np.ndarray:
    known = knowledge(table)
    return task.train(known.start, *table, epochs, 32, 0.5, task.rng_for(3, 1, 0), mu)


def test_the_replay_clips_as_dp_sgd_does_and_clipping_alone_hides_nobody(table: tuple) -> None:
    X, y = table
    known = knowledge(table, batches=[np.arange(PATIENTS)] * 5, clipping_norm=0.4)
    rng = np.random.default_rng(0)
    really = task.train_privately(known.start, X, y, 5, 1.0, 0.4, 0.0, 0.5, rng)
    np.testing.assert_allclose(trained(known, X[-1:], y[-1])[0], really, rtol=0, atol=1e-12)
    free = trained(dataclasses.replace(known, clipping_norm=np.inf), X[-1:], y[-1])[0]
    assert np.abs(free - really).max() > 1e-2
    assert relative_error(unknown_patient(really, known), X[-1]) < 1e-6


@pytest.mark.parametrize(("epochs", "mu"), [(1, 0.0), (5, 0.0), (2, 0.3)])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_without_noise_the_patient_is_read_whatever_the_label(
    table: tuple, epochs: int, mu: float, label: float
) -> None:
    X, y = table[0], np.append(table[1][:-1], label)
    found = unknown_patient(update((X, y), epochs, mu), knowledge((X, y), epochs=epochs, proximal_mu=mu))
    assert relative_error(found, X[-1]) < 1e-8


def test_a_server_that_knows_the_wrong_seed_reads_nothing(table: tuple) -> None:
    found = unknown_patient(update(table), knowledge(table, seed=4))
    assert relative_error(found, table[0][-1]) > 0.5


def test_noise_draws_the_reading_towards_the_average(table: tuple) -> None:
    X, _ = table
    seen, rng = update(table), np.random.default_rng(5)
    average, errors = X[:-1].mean(axis=0), []
    for noise in (1e-6, 1e-3, 1.0):
        noisy = seen + rng.normal(scale=noise, size=len(seen))
        found = unknown_patient(noisy, knowledge(table, noise=noise), most_steps=3)
        errors.append(relative_error(found, X[-1]))
        assert np.abs(found).max() <= 1
    assert errors[0] < 0.01 < errors[1] < errors[2]
    np.testing.assert_allclose(found, average, atol=0.05)


def test_what_is_no_model_is_refused(table: tuple) -> None:
    for seen in (np.zeros(FEATURES), np.full(FEATURES + 1, np.nan), np.zeros((1, FEATURES + 1))):
        with pytest.raises(AttackError, match="give finite numbers, one a weight and the intercept"):
            unknown_patient(seen, knowledge(table))
