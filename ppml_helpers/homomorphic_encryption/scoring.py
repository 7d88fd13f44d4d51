"""Score patients that the scoring side cannot read: a client with the keys, a server with bytes.

The client lays the cohort out as TenSEAL's batch tensor does: one ciphertext a feature, one patient a slot. A model
then is a few multiplications of whole columns, and no rotation. What is added here: messages that cannot be changed or
mixed up (`messages.Mailbox`), refusal of what could overflow, drift that is mended, and half the bytes.

The server is honest but curious here. It learns the number of patients, the names of the columns, the stated limit and
when it was asked. The client learns the scores, and with as many well chosen patients as there are weights also the
weights. A decrypted CKKS value ends in noise that depends on the secret key, and two answers with all their digits give
the key away (`key_recovery_attack`): `Client.decrypt` rounds.

Against a server that lies there is nothing here. It has the key of the tags, so it can answer with any ciphertext: a
column of the client's own, or one that decrypts to the secret key and looks like risks. If it is told the scores then,
rounded ones too, it has the key. So tell a server no score.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import tenseal as ts

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.columns import checked, encrypted_columns
from ppml_helpers.homomorphic_encryption.messages import TAG, id_of
from ppml_helpers.homomorphic_encryption.models import Linear, Sigmoid
from ppml_helpers.homomorphic_encryption.parameters import Parameters, drift, named
from ppml_helpers.homomorphic_encryption.parties import ComputingParty, KeyHolder, columns_of, parameters_of

DECIMALS = 4
"""Of a score: what is cut off is more than the noise of a fresh ciphertext."""

# A context says for all its threads whether products are rescaled, and a score turns that off and on. A fork waits too.
_ONE_AT_A_TIME = threading.Lock()
if hasattr(os, "register_at_fork"):
    _free = _ONE_AT_A_TIME.release
    os.register_at_fork(before=_ONE_AT_A_TIME.acquire, after_in_parent=_free, after_in_child=_free)

Model = Linear | Sigmoid
Vectors = Sequence[ts.CKKSVector]


class Client(KeyHolder):
    """The side that holds the patients and the secret key.

    Its public message holds relinearisation keys if the parameters allow products of ciphertexts. No Galois keys
    (nothing rotates), no public key (the server encrypts nothing), and never the secret key.

    Parameters
    ----------
    parameters : str or Parameters
        "linear" or "sigmoid", or a set of your own.
    """

    purpose = "scores"

    def __init__(self, parameters: str | Parameters = "sigmoid") -> None:
        self.parameters = named(parameters)
        relin = self.parameters.depth > 1
        super().__init__(self.parameters.context(), self.parameters.fingerprint, {}, relin=relin)
        self._asked: dict[bytes, tuple[str, int]] = {}  # id and patients of each question that has no answer yet

    def encrypt(self, cohort: pd.DataFrame, limit: float = 1.0, model: str = "") -> bytes:
        """Encrypt a cohort by columns.

        Parameters
        ----------
        cohort : DataFrame
            One column a feature, one row a patient.
        limit : float
            No value is beyond it, in either direction. `cohort.features` keeps 1. It is told to the server, which
            refuses a model that could overflow within it.
        model : str
            The `fingerprint` of the model that is asked: an honest server answers with no other.

        Returns
        -------
        bytes
            One message, however many chunks of `parameters.slots` patients it takes.
        """
        checks.number(limit, "limit", 0, self.parameters.largest, above=True, error=EncryptionError)
        table, slots = checked(cohort, limit), self.parameters.slots
        values = table.to_numpy()
        pieces = (column for start in range(0, len(values), slots) for column in values[start : start + slots].T)
        parts = encrypted_columns(self._context, pieces)
        asked = {"limit": float(limit), "model": model}
        message = self._mailbox.seal("cohort", parts, len(table), list(table.columns), **asked)
        self._asked[message[-TAG:]] = id_of(message), len(table)
        return message

    def decrypt(self, answer: bytes, question: bytes, decimals: int | None = DECIMALS) -> np.ndarray:
        """Decrypt the scores that a server returned, in the order of the cohort's rows.

        A value that overflows on the server wraps back into the range and does not show here: that is why
        `Server.score` refuses it beforehand.

        Parameters
        ----------
        answer : bytes
            From `Server.score`.
        question : bytes
            What `encrypt` returned for the patients whose scores these are. It has one answer.
        decimals : int, optional
            Scores are rounded to so many. None keeps all digits: for the key holder's own eyes, for whoever has the
            ciphertexts of two answers and all digits can compute the secret key.

        Raises
        ------
        EncryptionError
            If the answer is refused, or belongs to another question.
        """
        if decimals is not None:
            checks.whole(decimals, "decimals", 0, DECIMALS, error=EncryptionError, mend="None keeps all digits")
        asked = self._asked.get(question[-TAG:]) if isinstance(question, bytes) else None
        if asked is None:
            raise EncryptionError(
                "The question is none that this client sent and still waits for: pass what encrypt returned, once."
            )
        letter = self._mailbox.open(answer, "scores", sender="server")
        if (letter.facts.get("answers"), letter.rows) != asked:
            raise EncryptionError(
                f"The scores of {letter.rows} patients answer message {letter.facts.get('answers')}, and the question "
                f"was message {asked[0]} with {asked[1]}: they belong to other patients, ask again."
            )
        del self._asked[question[-TAG:]]
        vectors = columns_of(self._context, letter, 1, self.parameters.slots)
        scores = np.concatenate([vector.decrypt() for (vector,) in vectors])
        if not np.all(np.abs(scores) <= self.parameters.largest):
            raise EncryptionError(
                f"A score decrypts to more than {self.parameters.largest:g}, the largest number that these parameters "
                "hold: the server did not compute it from this client's cohort; ask for a new one."
            )
        return scores if decimals is None else scores.round(decimals)


class Cohort(NamedTuple):
    """Encrypted patients as a server has them."""

    id: str
    rows: int
    columns: tuple[str, ...]
    limit: float
    model: str
    chunks: list[Vectors]


class Server(ComputingParty):
    """The side that holds the model and computes on what it cannot read.

    Parameters
    ----------
    public_bytes, message_key : bytes
        From `Client.public_bytes`, and `Client.message_key`.

    Raises
    ------
    EncryptionError
        If the message is not what the client sent, or the context in it could decrypt or is weaker than 128 bits.
    """

    purpose = "scores"

    def __init__(self, public_bytes: bytes, message_key: bytes) -> None:
        super().__init__(public_bytes, message_key)
        self.parameters = parameters_of(self._context, self._mailbox.parameters)

    def receive(self, message: bytes) -> Cohort:
        """Open an encrypted cohort, to score it with more than one model; a message can be opened once."""
        letter = self._mailbox.open(message, "cohort", sender="key holder")
        chunks = list(columns_of(self._context, letter, len(letter.columns), self.parameters.slots))
        limit, model = letter.facts["limit"], letter.facts.get("model", "")
        return Cohort(letter.id, letter.rows, letter.columns, limit, model, chunks)

    def score(self, cohort: bytes | Cohort, model: Model) -> bytes:
        """Score encrypted patients.

        Parameters
        ----------
        cohort : bytes or Cohort
            From `Client.encrypt`, or what `receive` made of it.
        model : Linear or Sigmoid
            Its columns are the cohort's, in the same order.

        Returns
        -------
        bytes
            For `Client.decrypt`.

        Raises
        ------
        EncryptionError
            If the message is refused, the columns differ, the parameters allow fewer multiplications than the model
            needs, or a value could overflow.
        """
        compute = _computation(model)
        self._check_model(model)
        opened = cohort if isinstance(cohort, Cohort) else self.receive(cohort)
        if opened.model not in ("", model.fingerprint):
            raise EncryptionError(
                f"The question is for the model {opened.model}, and this one is {model.fingerprint}: score it with "
                "the model that was asked, or let the client ask for this one."
            )
        _check_columns(opened.columns, model.columns)
        self._check_reach(model, opened.limit)
        factors = drift(self._context)
        with _ONE_AT_A_TIME:
            parts = [compute(self._context, chunk, model, factors).serialize() for chunk in opened.chunks]
        return self._mailbox.seal("scores", parts, opened.rows, (model.kind,), answers=opened.id)

    def _check_model(self, model: Model) -> None:
        if model.depth > self.parameters.depth:
            raise EncryptionError(
                f"{type(model).__name__} multiplies {model.depth} times one after another, and these parameters allow "
                f"{self.parameters.depth}: use parameters with {model.depth} inner primes or more."
            )

    def _check_reach(self, model: Model, limit: float) -> None:
        reach = model.reach(limit)
        if reach > self.parameters.largest:
            raise EncryptionError(
                f"With features up to {limit:g}, a value of {type(model).__name__} can reach {reach:.3g}, beyond the "
                f"{self.parameters.largest:g} that these parameters hold, and would overflow silently: scale the "
                "features, regularise the weights, or use a larger first prime."
            )


def _check_columns(given: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if len(given) != len(expected):
        raise EncryptionError(
            f"The cohort has {len(given)} features and the model {len(expected)} weights for each unit: "
            f"send the columns {', '.join(expected[:3])} ... that the model was trained on, and no other."
        )
    place = next((i for i, pair in enumerate(zip(given, expected, strict=True)) if pair[0] != pair[1]), None)
    if place is not None:
        raise EncryptionError(
            f"Column {place + 1} of the cohort is {given[place]!r}, and the model expects {expected[place]!r} there: "
            "send the columns in the model's order."
        )


def _computation(model: Model) -> Callable[..., ts.CKKSVector]:
    for kind, compute in ((Sigmoid, _sigmoid), (Linear, _linear)):
        if isinstance(model, kind):
            return compute
    raise EncryptionError(f"The model is a {type(model).__name__}: give a Linear or Sigmoid.")


def _linear(context: ts.Context, columns: Vectors, model: Linear, _: list[float]) -> ts.CKKSVector:
    """Return the logits. Nothing is multiplied afterwards, so nothing is rescaled and no drift arises."""
    # TenSEAL adds constants at the scale of a column, not of a product, so the bias goes in before the weights.
    strongest = int(np.abs(model.weights).argmax())
    shifted = columns[strongest] + model.bias / model.weights[strongest]
    return _weighted_sum(context, [*columns[:strongest], shifted, *columns[strongest + 1 :]], model.weights)


def _sigmoid(context: ts.Context, columns: Vectors, model: Sigmoid, drift: list[float]) -> ts.CKKSVector:
    """Return c0 + c1 z + c3 z^3 as v (v^2 + b) + c0 with v = k z, so that k and b take up coefficients and drift."""
    c0, c1, c3 = model.coefficients
    k = np.cbrt(c3 * drift[1] * drift[2])
    v = _rescaled(context, _weighted_sum(context, columns, model.weights * k * drift[0])) + k * model.bias
    return v * (v * v + c1 * drift[2] / k) + c0


def _weighted_sum(context: ts.Context, columns: Vectors, weights: np.ndarray) -> ts.CKKSVector:
    """Return the sum at the square of the scale: one rescaling of the sum is cheaper than one of each product."""
    # A weight that rounds to 0 is left out: SEAL refuses a product with 0, which would show its value.
    used = np.flatnonzero(np.rint(np.abs(weights) * context.global_scale))
    if not len(used):
        raise EncryptionError("Every weight is too small for the scale of these parameters: use a larger scale.")
    context.auto_rescale = False
    try:
        total = columns[used[0]] * float(weights[used[0]])
        for i in used[1:]:
            total += columns[i] * float(weights[i])
    finally:
        context.auto_rescale = True
    return total


def _rescaled(context: ts.Context, vector: ts.CKKSVector) -> ts.CKKSVector:
    """Divide by the level's prime. TenSEAL does so only after a product: 1 / scale is encoded as the integer 1."""
    return vector * (1 / context.global_scale)
