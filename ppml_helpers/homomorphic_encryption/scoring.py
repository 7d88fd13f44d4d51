"""Score patients that the scoring side cannot read: a client with the keys, a server with bytes.

The client lays the cohort out by columns: one ciphertext a feature, one patient a slot. A model then is a few
multiplications of whole columns, thousands of patients at a time, and no rotation (the tutorials' layout, one patient a
ciphertext, rotates for every sum). What the two exchange is bytes, sealed by `messages.Mailbox`.

The server is honest but curious here. It learns the number of patients, the names of the columns, the stated limit and
when it was asked. It is not kept from answering wrongly. The client learns the scores, and with as many well chosen
patients as there are weights also the weights. A decrypted CKKS value carries noise that depends on the secret key:
do not publish or send back its last digits (Li and Micciancio, EUROCRYPT 2021).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import keys, messages
from ppml_helpers.homomorphic_encryption.columns import encrypted_columns
from ppml_helpers.homomorphic_encryption.messages import Letter, Mailbox
from ppml_helpers.homomorphic_encryption.models import Linear, Sigmoid, SquareNetwork
from ppml_helpers.homomorphic_encryption.parameters import Parameters, drift, named

Model = Linear | Sigmoid | SquareNetwork
Progress = Callable[[float, str], None]
Vectors = Sequence[ts.CKKSVector]


def _no_progress(fraction: float, what: str) -> None:
    """Report to nobody."""


class Client:
    """The side that holds the patients and the secret key.

    Parameters
    ----------
    parameters : str or Parameters
        A name of `parameters.PARAMETERS`, or a set of your own.
    message_key : bytes, optional
        Secret that the server shares, to authenticate messages; a new one by default (`message_key`).

    Raises
    ------
    EncryptionError
        If the parameters are unknown or the message key is no key.
    """

    def __init__(self, parameters: str | Parameters = "sigmoid", message_key: bytes | None = None) -> None:
        self.parameters = named(parameters)
        #: To be handed to the server on another way than the messages.
        self.message_key = messages.new_message_key() if message_key is None else message_key
        self._mailbox = Mailbox(self.message_key, secrets.token_hex(8), self.parameters.fingerprint, "client")
        self._context = self.parameters.context()
        self._asked: dict[int, int] = {}

    def __repr__(self) -> str:
        """Name the parameters and no key."""
        return f"Client({self.parameters.fingerprint}, key pair {self.key_id}, keys hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the secret key would go with it."""
        raise EncryptionError(f"{self!r} cannot be pickled or copied: the secret key stays where it was made.")

    @property
    def key_id(self) -> str:
        """Name of this key pair."""
        return self._mailbox.key_id

    def public_bytes(self) -> bytes:
        """Return the message that a `Server` is made from.

        It holds the parameters, and relinearisation keys if they allow products of ciphertexts. No Galois keys (nothing
        rotates), no public key (the server encrypts nothing), and never the secret key.
        """
        part = keys.public_part(self._context, relin=self.parameters.depth > 1)
        return self._mailbox.seal("keys", [part], rows=0)

    def encrypt(
        self,
        cohort: pd.DataFrame | Mapping[str, Any],
        limit: float = 1.0,
        progress: Progress = _no_progress,
    ) -> bytes:
        """Encrypt a cohort by columns.

        Parameters
        ----------
        cohort : DataFrame or mapping of str to values
            One column a feature, one value a patient.
        limit : float
            No value is beyond it, in either direction. `cohort.features` keeps 1. It is told to the server, which
            refuses a model that could overflow within it.
        progress : callable
            Called with a fraction and a few words after each column.

        Returns
        -------
        bytes
            One message, however many chunks of `parameters.slots` patients it takes.

        Raises
        ------
        EncryptionError
            If the cohort is empty, columns have unequal lengths, or a value is missing, infinite or beyond the limit.
        """
        names, values = _columns(cohort)
        _check_values(names, values, _checked_limit(limit, self.parameters))
        rows = values.shape[1]
        parts, total = [], len(names) * -(-rows // self.parameters.slots)
        columns = (column for chunk in _chunks(rows, self.parameters.slots) for column in values[:, chunk])
        for part in encrypted_columns(self._context, columns):
            parts.append(part)
            progress(len(parts) / total, f"column {len(parts)} of {total} encrypted")
        message = self._mailbox.seal("cohort", parts, rows, names, limit=float(limit))
        self._asked[self._mailbox.sent] = rows
        return message

    def decrypt(self, message: bytes) -> np.ndarray:
        """Decrypt the scores that a server returned.

        Parameters
        ----------
        message : bytes
            From `Server.score`.

        Returns
        -------
        ndarray of shape (patients,)
            In the order of the cohort's rows.

        Raises
        ------
        EncryptionError
            If the message is not what the server sent, answers no cohort of this client, or decrypts to what the
            parameters cannot hold. (A value that overflows on the server wraps back into the range and does not
            show here: that is why `Server.score` refuses it beforehand.)
        """
        letter = self._mailbox.open(message, "scores", sender="server")
        number = letter.facts.get("answers")
        if self._asked.get(number) != letter.rows:
            raise EncryptionError(
                f"The scores of {letter.rows} patients answer message {number}, which this client did not send with "
                "so many: encrypt the cohort and ask again."
            )
        vectors = _vectors(self._context, letter, 1, self.parameters.slots)
        scores = np.concatenate([vector.decrypt() for (vector,) in vectors])
        if not np.all(np.abs(scores) <= self.parameters.largest):
            raise EncryptionError(
                f"A score decrypts to more than {self.parameters.largest:g}, the largest number that these parameters "
                "hold: the server did not compute it from this client's cohort; ask for a new one."
            )
        return scores


class Cohort(NamedTuple):
    """Encrypted patients as a server has them."""

    number: int
    rows: int
    columns: tuple[str, ...]
    limit: float
    chunks: list[Vectors]


class Server:
    """The side that holds the model and computes on what it cannot read.

    Parameters
    ----------
    public_bytes : bytes
        From `Client.public_bytes`.
    message_key : bytes
        `Client.message_key`.

    Raises
    ------
    EncryptionError
        If the message is not what the client sent, or the context in it could decrypt or is weaker than 128 bits.
    """

    def __init__(self, public_bytes: bytes, message_key: bytes) -> None:
        self._mailbox = Mailbox.answering(public_bytes, message_key, "server")
        letter = self._mailbox.open(public_bytes, "keys", sender="client")
        if len(letter.parts) != 1:
            raise EncryptionError(f"The keys come in {len(letter.parts)} parts, not 1: ask the client for new ones.")
        self._context = keys.load_public(letter.parts[0])
        self.parameters = _parameters_of(self._context, self._mailbox.parameters)

    def __repr__(self) -> str:
        """Name the parameters and no key."""
        return f"Server({self.parameters.fingerprint}, key pair {self.key_id}, no secret key)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the message key would go with it."""
        raise EncryptionError(f"{self!r} cannot be pickled or copied: make one from the client's public bytes.")

    @property
    def key_id(self) -> str:
        """Name of the client's key pair."""
        return self._mailbox.key_id

    def receive(self, message: bytes) -> Cohort:
        """Open an encrypted cohort, to score it with more than one model; a message can be opened once.

        Parameters
        ----------
        message : bytes
            From `Client.encrypt`.

        Returns
        -------
        Cohort

        Raises
        ------
        EncryptionError
            If the message is not what the client sent, or was opened before.
        """
        letter = self._mailbox.open(message, "cohort", sender="client")
        chunks = list(_vectors(self._context, letter, len(letter.columns), self.parameters.slots))
        return Cohort(letter.number, letter.rows, letter.columns, letter.facts["limit"], chunks)

    def score(self, cohort: bytes | Cohort, model: Model, progress: Progress = _no_progress) -> bytes:
        """Score encrypted patients.

        Parameters
        ----------
        cohort : bytes or Cohort
            From `Client.encrypt`, or what `receive` made of it.
        model : Linear, Sigmoid or SquareNetwork
            Its columns are the cohort's, in the same order.
        progress : callable
            Called with a fraction and a few words after each chunk of patients.

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
        _check_columns(opened.columns, model.columns)
        self._check_reach(model, opened.limit)
        factors, parts = drift(self._context), []
        for done, chunk in enumerate(opened.chunks, 1):
            parts.append(compute(self._context, chunk, model, factors).serialize())
            progress(done / len(opened.chunks), f"chunk {done} of {len(opened.chunks)} scored")
        return self._mailbox.seal("scores", parts, opened.rows, (model.kind,), answers=opened.number)

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


# --------------------------------------------------------------------------------------------------------------
# The client's cohort
# --------------------------------------------------------------------------------------------------------------


def _columns(cohort: pd.DataFrame | Mapping[str, Any]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names and values, shape (features, patients)."""
    if not isinstance(cohort, pd.DataFrame | Mapping):
        raise EncryptionError(f"The cohort is a {type(cohort).__name__}: give a table, or a mapping of name to values.")
    names = tuple(cohort.keys())
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise EncryptionError(f"The columns of the cohort are {names!r}: give each a name of its own, a text.")
    try:
        columns = [np.asarray(cohort[name], dtype=float) for name in names]
    except (TypeError, ValueError):
        raise EncryptionError(
            "The cohort holds a value that is no number: pass features, as cohort.features makes."
        ) from None
    for name, column in zip(names, columns, strict=True):
        if column.shape != columns[0].shape or column.ndim != 1:
            raise EncryptionError(
                f"Column {name!r} has the shape {column.shape} and column {names[0]!r} {columns[0].shape}: "
                "all columns need one value a patient."
            )
    if not len(columns[0]):
        raise EncryptionError("The cohort is empty: give at least one patient.")
    return names, np.stack(columns)


def _checked_limit(limit: float, parameters: Parameters) -> float:
    number = isinstance(limit, int | float | np.number) and not isinstance(limit, bool)
    if not number or not 0 < limit <= parameters.largest:
        raise EncryptionError(
            f"limit = {limit!r} must be a number above 0 and at most {parameters.largest:g}, the largest that these "
            "parameters hold: cohort.features keeps within 1."
        )
    return float(limit)


def _check_values(names: Sequence[str], values: np.ndarray, limit: float) -> None:
    for wrong, rule in (
        (~np.isfinite(values), "must be finite: fill in or leave out what is missing"),
        (np.abs(values) > limit, f"is beyond the limit {limit:g}, and CKKS overflows silently: scale it or state more"),
    ):
        if wrong.any():
            column, row = np.argwhere(wrong)[0]
            # Not the value itself: it is a patient's, and errors end up in logs.
            raise EncryptionError(f"The value of column {names[column]!r} in row {row} {rule}.")


def _chunks(rows: int, slots: int) -> Iterator[slice]:
    for start in range(0, rows, slots):
        yield slice(start, min(start + slots, rows))


# --------------------------------------------------------------------------------------------------------------
# What arrives
# --------------------------------------------------------------------------------------------------------------


def _vectors(context: ts.Context, letter: Letter, columns: int, slots: int) -> Iterator[list[ts.CKKSVector]]:
    """Yield the ciphertexts of each chunk of patients."""
    chunks = list(_chunks(letter.rows, slots))
    if len(letter.parts) != columns * len(chunks):
        raise EncryptionError(
            f"The message has {len(letter.parts)} ciphertexts, and {letter.rows} patients in {columns} columns take "
            f"{columns * len(chunks)}: ask for a new one."
        )
    for number, chunk in enumerate(chunks):
        parts = letter.parts[number * columns : (number + 1) * columns]
        yield [_vector(context, part, chunk.stop - chunk.start) for part in parts]


def _vector(context: ts.Context, part: bytes, size: int) -> ts.CKKSVector:
    try:
        vector = ts.ckks_vector_from(context, part)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise EncryptionError(f"A ciphertext cannot be read ({error}): it was made with other parameters.") from None
    if vector.size() != size:
        raise EncryptionError(f"A ciphertext holds {vector.size()} patients, not {size}: ask for a new message.")
    return vector


def _parameters_of(context: ts.Context, stated: str) -> Parameters:
    """Return the parameters that a context really has, and refuse a header that states others."""
    top = context.seal_context().data.key_context_data().parms()
    primes = tuple(prime.value().bit_length() for prime in top.coeff_modulus())
    found = Parameters("received", top.poly_modulus_degree(), primes, round(np.log2(context.global_scale)))
    if found.fingerprint != stated:
        raise EncryptionError(
            f"The keys have the parameters {found.fingerprint}, and their message states {stated}: ask for new ones."
        )
    return found


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


# --------------------------------------------------------------------------------------------------------------
# The computation on ciphertexts
# --------------------------------------------------------------------------------------------------------------


def _computation(model: Model) -> Callable[..., ts.CKKSVector]:
    for kind, compute in ((Sigmoid, _sigmoid), (Linear, _linear), (SquareNetwork, _network)):
        if isinstance(model, kind):
            return compute
    raise EncryptionError(f"The model is a {type(model).__name__}: give a Linear, Sigmoid or SquareNetwork.")


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


def _network(context: ts.Context, columns: Vectors, model: SquareNetwork, drift: list[float]) -> ts.CKKSVector:
    """Return the sum of signed squares; the size of each output weight goes into its unit as a root."""
    active = model.active()
    idle = model.output_weights[~active] @ model.hidden_bias[~active] ** 2
    total: ts.CKKSVector | None = None
    for unit in np.flatnonzero(active):
        weight = model.output_weights[unit]
        root = np.sqrt(abs(weight) * drift[1])
        inner = _weighted_sum(context, columns, model.hidden_weights[:, unit] * root * drift[0])
        square = (_rescaled(context, inner) + root * model.hidden_bias[unit]).square()
        signed = square if weight > 0 else -square
        total = signed if total is None else total + signed
    return total + (model.output_bias + idle)


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
