"""Training on ciphertexts takes the same steps as training in the clear, and refuses what would go wrong silently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ppml_helpers import cohort
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import training
from ppml_helpers.homomorphic_encryption.models import sigmoid_polynomial
from ppml_helpers.homomorphic_encryption.parameters import LINEAR, SIGMOID, Parameters


@pytest.fixture(scope="module")
def patients():
    X, y = cohort.features(cohort.load_patients())
    return cohort.split(X, y, seed=0)


@pytest.fixture(scope="module")
def few(patients):
    return patients.X_train.iloc[:50, :4], patients.y_train.iloc[:50]


@pytest.fixture(scope="module")
def keys() -> training.TrainingClient:
    """A client for all tests, for whom every cohort is a new beginning."""
    return training.TrainingClient()


def started(client, few):
    server = training.TrainingServer(client.public_bytes(), client.message_key)
    server.receive(client.meet(server.session).encrypt(*few))
    return client, server


# Equal to training in the clear -------------------------------------------------------------------------------


def test_encrypted_training_of_all_patients_equals_training_in_the_clear(patients):
    model = training.train(patients.X_train, patients.y_train, epochs=2)
    twin = training.train_plain(patients.X_train, patients.y_train, epochs=2)
    assert np.abs(model.path - twin.path).max() < 1e-5
    assert np.abs(twin.path[-1] - twin.path[0]).max() > 0.1  # the weights did move
    area, plain = (roc_auc_score(patients.y_test, each.logits(patients.X_test)) for each in (model, twin))
    assert abs(area - plain) < 0.002
    assert area > 0.70
    assert len(model.bytes_up) == 3
    assert model.bytes_up[0] < 50e6


DEEP = Parameters("deep", 16384, (60, *[40] * 6, 60), 40)


def test_a_gradient_under_parameters_of_ones_own_is_numpys_rounded(few):
    client, server = started(training.TrainingClient(DEEP), few)
    weights = np.array([0.5, -2.0, 1.5, 0.25, -1.0])
    client._weights = weights.copy()
    gradient = client.update(server.gradient(client.encrypt_weights()))
    X, y = np.c_[np.ones(50), few[0].to_numpy()], few[1].to_numpy()
    c0, c1, c3 = sigmoid_polynomial()
    z = X @ weights
    assert np.abs(gradient - X.T @ (c0 + c1 * z + c3 * z**3 - y) / 50).max() < 6e-7
    assert (gradient == gradient.round(training.DECIMALS)).all()


def test_the_polynomial_costs_more_than_the_encryption(patients):
    twin, exact = (
        training.train_plain(patients.X_train, patients.y_train, sigmoid=kind) for kind in ("polynomial", "exact")
    )
    assert 1e-3 < np.abs(twin.path - exact.path).max() < 0.5
    areas = [roc_auc_score(patients.y_test, each.logits(patients.X_test)) for each in (twin, exact)]
    assert abs(areas[0] - areas[1]) < 0.01
    assert min(areas) > 0.78


def test_the_step_is_gradient_descent_with_momentum_and_penalty():
    step = training.Step(rate=2.0, momentum=0.5, penalty=0.1)
    weights, velocity = step.take(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([3.0, 4.0]))
    assert velocity == pytest.approx([-6.0, 0.5 - 2 * 4.2])
    assert weights == pytest.approx([-5.0, 2 - 7.9])


# Who can read what --------------------------------------------------------------------------------------------


def test_the_server_cannot_encrypt_either_nor_tell_labels_by_the_size_of_their_message(keys, few):
    client, server = started(keys, few)
    with pytest.raises(ValueError, match="encrypt"):
        training.ts.ckks_vector(server._context, [1.0])  # it needs no public key, so it has none
    assert len(client.public_bytes()) < 4e6
    assert len(client.encrypt(few[0], 1 - few[1])) == pytest.approx(len(client.encrypt(*few)), rel=0.01)


# Bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, y: (X.assign(age=1.5), y), "column 'age' in row 0 is no number from -1 to 1"),
        (lambda X, y: (X, y[:-1]), "50 patients and 49 labels"),
        (lambda X, y: (X, y * 2), "label 2"),
        (lambda X, y: (X, y.astype(float).where(y == 1)), "label nan"),
    ],
)
def test_a_cohort_that_cannot_be_trained_on_is_refused_alike_by_both(keys, few, change, words):
    X, y = change(few[0].rename(columns={few[0].columns[0]: "age"}), few[1])
    for takes in (keys.encrypt, training.train_plain):
        with pytest.raises(EncryptionError, match=words):
            takes(X, y)


def test_impossible_settings_are_refused():
    for settings in ({"rate": 0}, {"momentum": 1}, {"penalty": -1}):
        with pytest.raises(EncryptionError, match=f"{next(iter(settings))} = "):
            training.Step(**settings)
    for parameters in (LINEAR, SIGMOID):
        with pytest.raises(EncryptionError, match=r"allow \d multiplications in a row, the gradient takes 4"):
            training.TrainingClient(parameters)


def test_an_overflow_is_refused_before_it_happens(keys, few):
    client, _ = started(keys, few)
    client._weights = np.array([0, 30.0, -30, 0, 0])
    with pytest.raises(EncryptionError, match=r"a logit could be as large as 60\.0 and overflow"):
        client.encrypt_weights()
    with pytest.raises(EncryptionError, match="lower the rate"):
        training.train(*few, epochs=5, step=training.Step(rate=100))


def test_the_largest_gradient_that_is_let_through_is_still_right(keys):
    client, server = started(keys, (pd.DataFrame({"one": np.ones(50)}), np.zeros(50)))
    logit = 1.0
    while training.largest_term(logit + 0.5) < training.TRAINING.largest:
        logit += 0.5
    client._weights = np.array([0.0, logit])
    gradient = client.update(server.gradient(client.encrypt_weights()))
    _, c1, c3 = sigmoid_polynomial()
    assert gradient == pytest.approx(0.5 + c1 * logit + c3 * logit**3, rel=1e-4)
    assert abs(logit) > 15  # not refused too early either


def test_messages_out_of_turn_or_in_another_column_order_are_refused(few):
    client = training.TrainingClient()
    with pytest.raises(EncryptionError, match=r"call encrypt\(X, y\) first"):
        client.encrypt_weights()
    _, server = started(client, few)
    client.columns = client.columns[::-1]
    with pytest.raises(EncryptionError, match="their order differs"):
        server.gradient(client.encrypt_weights())
    client.columns = client.columns[::-1]
    question = client.encrypt_weights()
    answer = server.gradient(question)
    with pytest.raises(EncryptionError, match="repetition"):
        server.gradient(question)
    late = server.gradient(client.encrypt_weights())  # the same epoch asked twice
    with pytest.raises(EncryptionError, match=r"The gradient answers message .* and asked was message"):
        client.update(answer)
    client.update(late)
    server.receive(client.encrypt(*few))  # a new cohort has an epoch 0, too
    delayed = server.gradient(client.encrypt_weights())
    server.receive(client.encrypt(*few))
    with pytest.raises(EncryptionError, match="asked was message none"):
        client.update(delayed)
    empty = training.TrainingServer(client.public_bytes(), client.message_key)
    client.meet(empty.session)
    with pytest.raises(EncryptionError, match="send the cohort first"):
        empty.gradient(client.encrypt_weights())


def test_patients_are_scored_by_the_names_of_their_columns(few):
    model = training.train_plain(*few, epochs=1)
    assert (model.logits(few[0].iloc[:, ::-1]) == model.logits(few[0])).all()
    with pytest.raises(EncryptionError, match="X lacks the column"):
        model.logits(few[0].iloc[:, :2])
