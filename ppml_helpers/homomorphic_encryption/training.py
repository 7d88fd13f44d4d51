"""Train logistic regression on patients, labels and weights that the server cannot read.

A hospital that owns the data lets somebody else do the work. It sends its patients by columns (patients in the slots),
encrypted once. In every epoch it sends the weights, encrypted, and the server answers with the gradient, encrypted,
summed over the chunks but not yet over the slots: the client adds up the slots after decryption. The client thereby
sees each slot's part of the gradient, which is fine because the patients are its own; it would not be if several
hospitals pooled theirs.

TenSEAL has no bootstrapping: a ciphertext allows a few multiplications and no more. The client therefore decrypts,
takes the step and encrypts the new weights in every epoch, as in TenSEAL's own tutorial.

The sigmoid is a polynomial of degree 3, so the gradient takes four multiplications one after the other, none of them
spent on a constant. With t = b z, where z is the patient's logit, and sigmoid(z) ~ 1/2 + c1 z - |c3| z^3::

    sigmoid(z) - y  ~  K (t (C - t^2) + (1/2 - y) / K),      C = c1 b^2 / |c3|,   K = |c3| / b^3

The factor b is folded into the weights, 1/K into the labels and K into what the client does after decryption. The same
is done with the factors q / 2^s by which TenSEAL's recorded scale drifts from the true one at each multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import tenseal as ts

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.columns import checked
from ppml_helpers.homomorphic_encryption.messages import id_of
from ppml_helpers.homomorphic_encryption.models import sigmoid_polynomial
from ppml_helpers.homomorphic_encryption.parameters import Parameters, drift
from ppml_helpers.homomorphic_encryption.parties import ComputingParty, KeyHolder, chunks, ciphertext

#: Four multiplications at 128-bit security in the ring of 8192.
TRAINING = Parameters("training", 8192, (43, 32, 32, 32, 32, 43), 32)

DECIMALS = 6  # of a gradient

_B = 0.25  # t = b z: larger gives more digits, smaller leaves more room before an overflow
_, _C1, _C3 = sigmoid_polynomial()
_C, _K = _C1 * _B**2 / abs(_C3), abs(_C3) / _B**3  # the constants of the formula at the top


def largest_term(logit: float) -> float:
    """Return the largest value that a patient with a logit up to `logit` can cause in a gradient."""
    t = _B * logit
    return t * (_C + t**2) + 0.5 / _K


@dataclass(frozen=True)
class Step:
    """The rule of the client's step: gradient descent with momentum.

    Parameters
    ----------
    rate : float
        Learning rate, above 0; features lie in [-1, 1] and the gradient is a mean over patients.
    momentum : float
        Share of the last step that is taken again, from 0 to below 1.
    penalty : float
        Strength of the L2 penalty on the weights (not the intercept), at least 0: keeps logits where the polynomial
        resembles the sigmoid.
    """

    rate: float = 3.0
    momentum: float = 0.8
    penalty: float = 0.001

    def __post_init__(self) -> None:
        """Check the numbers."""
        checks.number(self.rate, "rate", 0, 100, above=True, error=EncryptionError)
        checks.number(self.momentum, "momentum", 0, 1, below=True, error=EncryptionError)
        checks.number(self.penalty, "penalty", 0, 1, error=EncryptionError)

    def take(self, weights: np.ndarray, velocity: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the next weights and velocity; weights[0] is the intercept."""
        shrink = self.penalty * np.r_[0.0, weights[1:]]
        velocity = self.momentum * velocity - self.rate * (gradient + shrink)
        return weights + velocity, velocity


@dataclass(frozen=True)
class Trained:
    """A trained logistic regression, and the bytes of the cohort and of each epoch's weights."""

    columns: tuple[str, ...]
    intercept: float
    weights: np.ndarray
    path: np.ndarray = field(repr=False)
    bytes_up: tuple[int, ...] = ()

    def logits(self, X: Any) -> np.ndarray:
        """Return the logits of patients who have these columns, shape (patients,)."""
        table = checks.table(X, "X", self.columns, error=EncryptionError)
        return table[list(self.columns)].to_numpy(dtype=float) @ self.weights + self.intercept


class TrainingClient(KeyHolder):
    """The hospital: owns the patients and the keys, sends ciphertexts, takes the steps.

    Parameters
    ----------
    parameters : Parameters
        At least four levels.
    step : Step, optional
    """

    purpose = "training"

    def __init__(self, parameters: Parameters = TRAINING, step: Step | None = None) -> None:
        if parameters.depth < 4:
            raise EncryptionError(
                f"The parameters {parameters.name!r} allow {parameters.depth} multiplications in a row, the gradient "
                f"takes 4: use {TRAINING.name!r}."
            )
        super().__init__(parameters.context(), parameters.fingerprint, {}, relin=True)
        self.parameters = parameters
        self.step = step or Step()
        self.columns: tuple[str, ...] = ()
        self.epoch = 0
        self._drift = drift(self._context)

    def encrypt(self, X: pd.DataFrame, y: Any) -> bytes:
        """Encrypt the cohort: one ciphertext for each column and 4,096 patients (ring 8192).

        Values lie in [-1, 1], as `cohort.features` makes them, and labels are 0 or 1. Training starts anew, with
        weights of zero.
        """
        table, labels = _checked(X, y)
        q = self._drift
        # Ones for patients and zeros for the empty slots: the latter then have the logit 0 and no gradient.
        columns = [np.ones(len(table)), *table.to_numpy().T, (0.5 - labels) / _K / (q[1] * q[2])]
        parts = [self._encrypted(piece) for column in columns for piece in chunks(column, self.parameters.slots)]
        self.columns, self.patients, self.epoch = tuple(table.columns), len(table), 0
        self._pieces = len(parts) // len(columns)
        self._weights, self._velocity = np.zeros((2, 1 + len(self.columns)))
        self._asked = ""  # id of the weights whose gradient is awaited
        return self._mailbox.seal("training cohort", parts, self.patients, self.columns)

    def encrypt_weights(self) -> bytes:
        """Encrypt the present weights, each in all slots of a ciphertext.

        Refused if a logit could become so large that the gradient overflows.
        """
        self._check_started()
        logit = np.abs(self._weights).sum()  # features lie in [-1, 1]
        if self._pieces * largest_term(logit) > self.parameters.largest:
            raise EncryptionError(
                f"After epoch {self.epoch} a logit could be as large as {logit:.1f} and overflow the encrypted "
                "gradient: lower the rate or raise the penalty."
            )
        scaled = self._weights * _B * self._drift[0]
        parts = [self._encrypted(np.full(self.parameters.slots, weight)) for weight in scaled]
        question = self._mailbox.seal("weights", parts, self.patients, self.columns)
        self._asked = id_of(question)
        return question

    def update(self, message: bytes) -> np.ndarray:
        """Decrypt the server's gradient and take a step.

        Returned is the gradient (mean over patients) of the intercept and the weights, without the penalty, rounded:
        the last digits are noise that tells of the secret key.
        """
        self._check_started()
        letter = self._mailbox.open(message, "gradient", sender="server")
        answers = letter.facts.get("answers")
        if answers != self._asked or tuple(letter.columns) != self.columns:
            raise EncryptionError(
                f"The gradient answers message {answers} and asked was message {self._asked or 'none'}, or it has "
                "other columns: send the weights and wait for their answer."
            )
        self._asked = ""
        q = self._drift
        sums = np.array([np.sum(ciphertext(self._context, part).decrypt()) for part in letter.parts])
        gradient = (sums * _K * q[1] * q[2] * q[3] / self.patients).round(DECIMALS)
        self._weights, self._velocity = self.step.take(self._weights, self._velocity, gradient)
        self.epoch += 1
        return gradient

    @property
    def weights(self) -> np.ndarray:
        """The intercept and the weights, shape (1 + features,)."""
        self._check_started()
        return self._weights.copy()

    def _check_started(self) -> None:
        if not self.columns:
            raise EncryptionError("No cohort was encrypted yet: call encrypt(X, y) first.")

    def _encrypted(self, values: np.ndarray) -> bytes:
        return ts.ckks_vector(self._context, values).serialize()


class TrainingServer(ComputingParty):
    """The server: built from bytes only, computes gradients that it cannot read."""

    purpose = "training"
    _columns: tuple[str, ...] = ()

    def receive(self, message: bytes) -> None:
        """Take the encrypted cohort."""
        letter = self._mailbox.open(message, "training cohort", sender="key holder")
        wide = len(letter.columns) + 2  # ones, features, labels
        pieces, rest = divmod(len(letter.parts), wide)
        if rest or not pieces:
            raise EncryptionError(
                f"The cohort has {len(letter.parts)} ciphertexts, which cannot be {wide} columns of equal length: "
                "let the client encrypt it anew."
            )
        loaded = [ciphertext(self._context, part) for part in letter.parts]
        *features, labels = [loaded[start : start + pieces] for start in range(0, len(loaded), pieces)]
        self._features, self._labels = features, labels
        self._columns = tuple(letter.columns)

    def gradient(self, message: bytes) -> bytes:
        """Compute the gradient at encrypted weights: the sum over the slots of one ciphertext for each weight."""
        letter = self._mailbox.open(message, "weights", sender="key holder")
        if not self._columns or tuple(letter.columns) != self._columns or len(letter.parts) != len(self._features):
            raise EncryptionError(
                f"The weights are for {len(letter.columns)} columns and the cohort has {len(self._columns)}, or their "
                "order differs: send the cohort first, and weights for the same columns."
            )
        weights = [ciphertext(self._context, part) for part in letter.parts]
        inner = _C / drift(self._context)[1]  # C on the drifted scale of t^2
        total: list[ts.CKKSVector] = []
        for piece, labels in enumerate(self._labels):
            terms = _gradient([column[piece] for column in self._features], weights, labels, inner)
            total = [one + other for one, other in zip(total, terms, strict=True)] if total else terms
        parts = [term.serialize() for term in total]
        return self._mailbox.seal("gradient", parts, letter.rows, letter.columns, answers=letter.id)


def _gradient(
    features: Sequence[ts.CKKSVector], weights: Sequence[ts.CKKSVector], labels: ts.CKKSVector, inner: float
) -> list[ts.CKKSVector]:
    """Return each slot's part of the gradient over K, for 4,096 patients at once."""
    t = features[0] * weights[0]
    for column, weight in zip(features[1:], weights[1:], strict=True):
        t += column * weight
    residual = t * (-(t * t) + inner)
    residual += labels
    # The feature stands on the left: in "residual * feature" TenSEAL would lower the feature's level in place.
    return [column * residual for column in features]


def train(X: pd.DataFrame, y: Any, epochs: int = 8, step: Step | None = None) -> Trained:
    """Train on ciphertexts: client and server in this process, exchanging bytes only.

    Parameters
    ----------
    X : DataFrame, shape (patients, features)
        Values in [-1, 1].
    y : Series or array of 0 and 1, shape (patients,)
    epochs : int
        1 to 100, each over all patients.
    step : Step, optional

    Returns
    -------
    Trained
    """
    checks.whole(epochs, "epochs", 1, 100, error=EncryptionError)
    client = TrainingClient(step=step)
    server = TrainingServer(client.public_bytes(), client.message_key)
    client.meet(server.session)
    message = client.encrypt(X, y)
    server.receive(message)
    path, up = [], [len(message)]
    for _ in range(epochs):
        question = client.encrypt_weights()
        client.update(server.gradient(question))
        path.append(client.weights)
        up.append(len(question))
    return Trained(client.columns, float(path[-1][0]), path[-1][1:], np.array(path), tuple(up))


def train_plain(
    X: pd.DataFrame,
    y: Any,
    epochs: int = 8,
    step: Step | None = None,
    sigmoid: Literal["polynomial", "exact"] = "polynomial",
) -> Trained:
    """Train in the clear, step by step as `train` does: the twin it is checked against.

    Parameters
    ----------
    X, y, epochs, step
        As for `train`.
    sigmoid : str
        "polynomial", as under encryption, or "exact".

    Returns
    -------
    Trained
    """
    checks.whole(epochs, "epochs", 1, 100, error=EncryptionError)
    checks.choice(sigmoid, "sigmoid", ("polynomial", "exact"), error=EncryptionError)
    (table, labels), step = _checked(X, y), step or Step()
    c0, c1, c3 = sigmoid_polynomial()
    features = np.c_[np.ones(len(table)), table.to_numpy()]
    weights, velocity = np.zeros((2, features.shape[1]))
    path = []
    for _ in range(epochs):
        z = features @ weights
        risk = c0 + c1 * z + c3 * z**3 if sigmoid == "polynomial" else 1 / (1 + np.exp(-z))
        weights, velocity = step.take(weights, velocity, features.T @ (risk - labels) / len(labels))
        path.append(weights)
    return Trained(tuple(table.columns), float(weights[0]), weights[1:], np.array(path))


def _checked(X: pd.DataFrame, y: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Return patients and labels that can be trained on, alike for both ways of training."""
    table = checked(X, 1.0)
    labels = pd.to_numeric(pd.Series(np.asarray(y).ravel()), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if len(labels) != len(table):
        raise EncryptionError(f"There are {len(table)} patients and {len(labels)} labels: give one label a patient.")
    odd = ~np.isin(labels, (0, 1))
    if odd.any():
        raise EncryptionError(f"y holds the label {np.asarray(y).ravel()[odd][0]!s}, labels must be 0 or 1: recode.")
    return table, labels
