"""Encrypted training of logistic regression: patients in the slots, against one patient a ciphertext.

The peer follows TenSEAL's tutorial on training ("Training and evaluation of logistic regression on encrypted data"):
one ciphertext a patient, a rotated dot product, the polynomial sigmoid, and the gradient added up patient by patient.
Its loop does the same for each patient; it is timed on a sample of patients and scaled to the training set. Both run
on one thread, first at the same parameters, then each at its own. (With the tutorial's own the peer's weights are badly
wrong: its primes have 21 bits. The time is right all the same.)
Ours is all that an epoch takes: client encrypts the weights, server computes on bytes, client decrypts and steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import tenseal as ts
from _frame import Benchmark, Timing

from ppml_helpers import cohort
from ppml_helpers.homomorphic_encryption import training
from ppml_helpers.homomorphic_encryption.models import sigmoid_polynomial
from ppml_helpers.homomorphic_encryption.parameters import Parameters

DEEP = Parameters("deep", 16384, (60, *[40] * 6, 60), 40)
TUTORIAL = Parameters("tutorial", 8192, (40, 21, 21, 21, 21, 21, 21, 40), 21)


def epoch(X: pd.DataFrame, y: pd.Series, parameters: Parameters) -> tuple[Callable[[], None], int]:
    """Return a call that does one epoch over all patients by columns, and the bytes of the encrypted cohort."""
    client = training.TrainingClient(parameters)
    server = training.TrainingServer(client.public_bytes(), client.message_key)
    client.meet(server.session)
    cohort_message = client.encrypt(X, y)
    server.receive(cohort_message)

    def run() -> None:
        client.update(server.gradient(client.encrypt_weights()))

    return run, len(cohort_message)


def sampled_epoch(
    X: np.ndarray, y: np.ndarray, parameters: Parameters, sample: int
) -> tuple[Callable[[], Timing], int]:
    """Return a call that does one epoch over `sample` patients, one a ciphertext, and the bytes of the whole cohort.

    The call reports the time scaled to all patients.
    """
    context = parameters.context()
    context.generate_galois_keys()
    c0, c1, c3 = sigmoid_polynomial()
    patients = [ts.ckks_vector(context, row) for row in X[:sample]]
    labels = [ts.ckks_vector(context, [float(label)]) for label in y[:sample]]

    def run() -> Timing:
        weights, bias = ts.ckks_vector(context, np.full(X.shape[1], 0.1)), ts.ckks_vector(context, [0.0])
        total, total_bias = 0, 0
        wall, cpu = time.perf_counter(), time.process_time()
        for patient, label in zip(patients, labels, strict=True):
            residual = (patient.dot(weights) + bias).polyval([c0, c1, 0.0, c3]) - label
            total, total_bias = total + patient * residual, total_bias + residual
        scale = len(X) / sample
        return Timing(scale * (time.perf_counter() - wall), scale * (time.process_time() - cpu))

    size = len(patients[0].serialize()) + len(labels[0].serialize())
    return run, len(X) * size


def in_plain_text(
    benchmark: Benchmark, one_of_ours: Callable[[], None], name: str, X: np.ndarray, y: np.ndarray
) -> None:
    """Tell an epoch as a multiple of the same epoch without encryption, in NumPy."""
    c0, c1, c3 = sigmoid_polynomial()

    def plain() -> Timing:
        wall, cpu, weights, runs = time.perf_counter(), time.process_time(), np.full(X.shape[1], 0.1), 100
        for _ in range(runs):
            logit = X @ weights
            X.T @ (c0 + c1 * logit + c3 * logit**3 - y)
        return Timing((time.perf_counter() - wall) / runs, (time.process_time() - cpu) / runs)

    benchmark.floor(
        f"{name}, in plain text",
        ours=one_of_ours,
        peer=plain,
        repeats=1 if benchmark.quick else 5,
        unit="epoch",
        note="the floor is the same epoch in NumPy, nothing encrypted; mean of 100",
        warmup=0 if benchmark.quick else 1,
    )


def main() -> None:
    """Compare."""
    X, y = cohort.features(cohort.load_patients())
    parts = cohort.split(X, y, seed=0)
    X, y = parts.X_train, parts.y_train
    about = f"One epoch of encrypted training, {len(X)} patients x {X.shape[1]} features: by columns, by patients."
    with Benchmark("encrypted-training", about) as benchmark:
        sample, repeats = (4, 1) if benchmark.quick else (12, 5)
        for ours, peer in ((DEEP, DEEP), (training.TRAINING, TUTORIAL)):
            one_of_ours, our_bytes = epoch(X, y, ours)
            one_of_theirs, their_bytes = sampled_epoch(X.to_numpy(), y.to_numpy(), peer, sample)
            result = benchmark.compare(
                f"ours {ours.name}, one patient a ciphertext {peer.name}",
                ours=one_of_ours,
                peer=one_of_theirs,
                repeats=repeats,
                unit="epoch",
                note=f"peer: only its loop, {sample} patients scaled to {len(X)}; ours: all that both sides do",
                at_least=100,
                warmup=0 if benchmark.quick else 1,
            )
            result.facts.update(our_bytes=our_bytes, peer_bytes=their_bytes, bytes_ratio=their_bytes / our_bytes)
            in_plain_text(benchmark, one_of_ours, ours.name, X.to_numpy(), y.to_numpy())
            print(f"  encrypted cohort: ours {our_bytes / 1e6:.1f} MB, peer {their_bytes / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
