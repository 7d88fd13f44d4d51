"""Who holds which key: the one who can decrypt, and everyone who only computes or sends.

A key holder makes the keys and sends one public message. Whoever builds a :class:`Party` from that message can encrypt
(if the message holds the public key) and compute, but never decrypt. Beside it each party needs a key for its tags,
which proves that a message is genuine and travels on a way of its own: whoever carries the ciphertexts must not have
it. Everyone meets the server's session before sending to it. Scores, statistics, sums of updates and training are all
made of these two.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import tenseal as ts

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.keys import load_public, public_part
from ppml_helpers.homomorphic_encryption.messages import ONE_KEY, Letter, Mailbox, key_of, new_message_key
from ppml_helpers.homomorphic_encryption.parameters import Parameters


class _Side:
    """One side of an exchange: its end of the messages, and an encryption context."""

    purpose: ClassVar[str]  # what the keys are for: the keys of one computation are refused by the parties of another
    _mailbox: Mailbox
    _context: ts.Context

    @property
    def key_id(self) -> str:
        """Name of the key pair."""
        return self._mailbox.key_id

    def meet(self, session: str) -> Self:
        """Take part in a server's session, which is public: what was made for another is refused there and here."""
        if not isinstance(session, str) or not session:
            raise EncryptionError(f"The session is {session!r}: pass server.session.")
        self._mailbox.session = session
        return self

    def __repr__(self) -> str:
        """Name the parameters and no key."""
        return f"{type(self).__name__}({self._mailbox.parameters}, key pair {self.key_id}, keys hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the keys would go with it."""
        raise EncryptionError(f"{self!r} cannot be pickled or copied: its keys stay where they were made or received.")

    @classmethod
    def _kind(cls) -> str:
        return f"public keys for {cls.purpose}"


class KeyHolder(_Side):
    """The one party that can decrypt."""

    def __init__(self, context: ts.Context, fingerprint: str, facts: dict[str, Any], **keys: bool) -> None:
        #: To be handed to the server, and to nobody else, on another way than the messages.
        self.message_key = new_message_key()
        self._context = context
        self._mailbox = Mailbox(self.message_key, secrets.token_hex(8), fingerprint, "key holder")
        self._public = self._mailbox.seal(self._kind(), [public_part(context, **keys)], 0, **facts)

    def public_bytes(self) -> bytes:
        """Return the message from which every other party is built; it holds no secret key."""
        return self._public

    def key_for(self, name: str) -> bytes:
        """Return what a party that sends to the server needs: its own tag key, and the digest of the public message.

        To be handed to this party alone, on another way than the messages.
        """
        if name in ONE_KEY:
            raise EncryptionError(f"The name {name!r} is taken, its key is message_key: choose another.")
        return key_of(name, self.message_key) + hashlib.sha256(self._public).digest()


class Party(_Side):
    """A party that computes or sends, built from bytes only; it cannot decrypt.

    Parameters
    ----------
    public_bytes : bytes
        The key holder's public message.
    message_key : bytes
        The server's `KeyHolder.message_key`, or what `KeyHolder.key_for` returned for this party.
    name : str
        The name under which this party sends.

    Raises
    ------
    EncryptionError
        If the message is not genuine, or the context in it could decrypt or is weaker than 128 bits.
    """

    def __init__(self, public_bytes: bytes, message_key: bytes, name: str) -> None:
        self._mailbox, letter = Mailbox.answering(public_bytes, message_key, name, self._kind())
        self._context = load_public(letter.parts[0])
        self._facts = letter.facts

    def _open_all(self, messages: Sequence[bytes], kind: str) -> list[Letter]:
        """Open one message each of several senders."""
        if isinstance(messages, bytes | str) or not len(messages):
            raise EncryptionError("No message was given, at least one is needed: pass a list of messages.")
        letters = [self._mailbox.open(message, kind) for message in messages]
        senders = [letter.sender for letter in letters]
        twice = next((name for name in senders if senders.count(name) > 1), None)
        if twice is not None:
            raise EncryptionError(f"{twice!r} sent two messages, one a party may be counted: drop the older one.")
        return letters


class ComputingParty(Party):
    """The party that computes on what others encrypted: made as every `Party`, and sends under the name "server"."""

    def __init__(self, public_bytes: bytes, message_key: bytes) -> None:
        super().__init__(public_bytes, message_key, "server")
        self._mailbox.new_session()

    @property
    def session(self) -> str:
        """What everyone who sends to this server has to `meet`; drawn anew with each server and after each sum."""
        return self._mailbox.session

    def _seal_sum(self, *message: Any, **facts: Any) -> bytes:
        """Seal a sum and end the session: no letter and no sum of this round will do in the next."""
        sealed = self._mailbox.seal(*message, **facts)
        self._mailbox.new_session()
        return sealed


def parameters_of(context: ts.Context, stated: str) -> Parameters:
    """Return the parameters that a context really has, and refuse a header that states others."""
    top = context.seal_context().data.key_context_data().parms()
    primes = tuple(prime.value().bit_length() for prime in top.coeff_modulus())
    found = Parameters("received", top.poly_modulus_degree(), primes, round(np.log2(context.global_scale)))
    if found.fingerprint != stated:
        raise EncryptionError(
            f"The keys have the parameters {found.fingerprint}, and their message states {stated}: ask for new ones."
        )
    return found


def known(values: Any, error: float) -> np.ndarray:
    """Round to the decimal place at or above twice the error: what is cut off is noise that tells of the key."""
    return np.round(values, -math.ceil(math.log10(2 * error)))


def check_known(value: float, error: float, what: str, cause: str) -> None:
    """Refuse a result that its noise could change by more than 1 %, without showing it: it is mostly noise."""
    if not error <= 0.01 * value:
        raise EncryptionError(
            f"{what} is only known to +-{error:.1g} with {cause}, more than 1 % of it: narrow that to what can occur."
        )


def chunks(values: np.ndarray, slots: int) -> list[np.ndarray]:
    """Cut a column into pieces of `slots` values, the last filled up with zeros.

    A full piece means that every slot is known to be data or zero, so a sum over all slots is a sum over patients.
    """
    pieces = -(-len(values) // slots)
    return list(np.pad(values, (0, pieces * slots - len(values))).reshape(pieces, slots))


def ciphertext(
    context: ts.Context,
    part: bytes,
    size: int | None = None,
    read: Callable[[ts.Context, bytes], Any] = ts.ckks_vector_from,
) -> Any:
    """Return the ciphertext of an authenticated part, of so many slots; a tag says nothing about what it is."""
    try:
        vector = read(context, part)
    except (ValueError, RuntimeError, MemoryError):
        raise EncryptionError(
            "A part of an authenticated message is no ciphertext of these parameters: let its sender make it anew."
        ) from None
    if size is not None and vector.size() != size:
        raise EncryptionError(f"A ciphertext holds {vector.size()} values, not {size}: ask for a new message.")
    return vector


def total(vectors: Sequence[Any]) -> Any:
    """Add up ciphertexts."""
    added = vectors[0]
    for vector in vectors[1:]:
        added = added + vector  # never "+=": it would change the first sender's ciphertext
    return added


def columns_of(context: ts.Context, letter: Letter, columns: int, slots: int) -> Iterator[list[ts.CKKSVector]]:
    """Yield the ciphertexts of each chunk of patients, one a column."""
    sizes = [min(slots, letter.rows - start) for start in range(0, letter.rows, slots)]
    if len(letter.parts) != columns * len(sizes):
        raise EncryptionError(
            f"The message has {len(letter.parts)} ciphertexts, and {letter.rows} patients in {columns} columns take "
            f"{columns * len(sizes)}: ask for a new one."
        )
    for number, size in enumerate(sizes):
        yield [ciphertext(context, part, size) for part in letter.parts[number * columns : (number + 1) * columns]]
