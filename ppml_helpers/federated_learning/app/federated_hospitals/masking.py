"""Secure aggregation by pairwise masks: the server learns the sum of the hospitals' vectors and nothing else of them.

The protocol of Bonawitz et al. (2017, figure 2), for a server that follows the rules and is curious:

1. **Keys.** Every hospital makes two new X25519 key pairs, one for masks and one to seal letters to the others.
2. **Shares.** Every hospital splits the secrets behind its masks among all of them (Shamir), each share sealed.
3. **Masked vector.** Every hospital adds to its vector a mask of its own and, for every other hospital, a mask that
   both of them know; one adds it and the other subtracts it, so that these vanish from the sum.
4. **Unmasking.** The server says whose vectors arrived. Of those the hospitals give it the shares of their own masks,
   of the others the shares of the key of their pairwise masks: never both, so that a vector that was only late
   stays masked.

Vectors are whole numbers modulo 2^64, so that masks are uniform and sums are exact.

A server that breaks the rules could hand out keys of its own in step 1, in the name of hospitals that are puppets, and
read the vector of the only real one. So a hospital signs its keys, if it is given an identity, and takes no others
than signed ones, if it is given the identities of all. It could also tell hospitals different things in step 4: there a
threshold above half, which `least_threshold` gives, stops it from getting both secrets of one hospital, unless
hospitals help it. Nothing here is written to withstand measuring the time it takes.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import ArrayLike, NDArray

from .task import RunError

Masked = NDArray[np.uint64]

FRACTION_BITS = 32
"""Binary places of the fixed point: a value is known to 2^-33, and a sum must stay within 2^31."""

PRIME = 2**521 - 1
"""The field of the shares: a prime with room for a secret and its SHA-256, by which a wrong share shows."""

_SECRET = 32  # bytes of a key or seed
_SHARE = 66  # bytes of a number below the prime
_NONCE = 12


class MaskingError(RunError):
    """A vector cannot be masked, or the masks not be taken off the sum."""


class PublicKeys(NamedTuple):
    """What a hospital shows everybody: two keys of 32 bytes, and 64 bytes that it signed them with, or none."""

    mask: bytes
    seal: bytes
    signature: bytes = b""


class Shares(NamedTuple):
    """One hospital's shares of another's two secrets: 66 bytes each."""

    mask_key: bytes
    own_seed: bytes


# Vectors of whole numbers ----------------------------------------------------------------------------------------


def encode(values: ArrayLike, hospitals: int = 1) -> Masked:
    """Write numbers in fixed point modulo 2^64: the nearest multiple of 2^-32, negative ones counted down from 2^64.

    Each must be smaller than 2^31 / hospitals, so that the sum of so many vectors cannot wrap around.
    """
    numbers = np.asarray(values, dtype=np.float64)
    limit = 2.0 ** (63 - FRACTION_BITS) / hospitals
    if numbers.ndim != 1 or not len(numbers):
        raise MaskingError(f"A vector to mask has shape {numbers.shape}; give a row of at least one number.")
    wrong = ~(np.abs(numbers) < limit)  # also catches NaN
    if wrong.any():
        raise MaskingError(
            f"A value to mask is too large (it is not told, for this sentence goes to the server): it must be finite "
            f"and below {limit:g}, so that the sum of {hospitals} hospitals fits: clip or scale the update first."
        )
    return np.rint(numbers * 2.0**FRACTION_BITS).astype(np.int64).view(np.uint64)


def decode(total: Masked) -> NDArray[np.float64]:
    """Read fixed point modulo 2^64 back into numbers, the upper half as negative ones."""
    return np.ascontiguousarray(total, dtype=np.uint64).view(np.int64) / 2.0**FRACTION_BITS


def keystream(key: bytes, length: int) -> Masked:
    """Stretch a key into uniform 64-bit numbers: AES-256 in counter mode over zeros.

    The counter starts at 0, so a key may be stretched once only; every key here is new for each sum.
    """
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * length))
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64)


def agree(private: bytes, public: bytes, purpose: str) -> bytes:
    """Return the 32-byte key that two hospitals share: each from its own private and the other's public key."""
    try:
        secret = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise MaskingError("A public key is not a usable X25519 key (32 bytes): start the sum anew.") from None
    return HKDF(SHA256(), _SECRET, salt=None, info=b"federated hospitals: " + purpose.encode()).derive(secret)


def public_key(private: bytes) -> bytes:
    """Return the X25519 public key of 32 private bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


# Shamir's shares -------------------------------------------------------------------------------------------------


def split(secret: bytes, holders: Collection[int], threshold: int) -> dict[int, bytes]:
    """Split 32 bytes so that any `threshold` holders can restore them and fewer learn nothing (Shamir 1979).

    With their SHA-256 they are the value at 0 of a random polynomial of degree ``threshold - 1`` modulo a prime; holder
    i, numbered from 0, gets the polynomial's value at i + 1, a share of 66 bytes.
    """
    if len(secret) != _SECRET:
        raise MaskingError(f"A secret of {len(secret)} bytes cannot be split; give {_SECRET}.")
    if not 1 <= threshold <= len(holders):
        raise MaskingError(f"threshold is {threshold}, but must lie between 1 and the {len(holders)} holders.")
    coefficients = [
        int.from_bytes(secret + hashlib.sha256(secret).digest(), "big"),
        *(secrets.randbelow(PRIME) for _ in range(threshold - 1)),
    ]
    shares = {}
    for holder in holders:
        value = 0
        for coefficient in reversed(coefficients):  # Horner's rule
            value = (value * (holder + 1) + coefficient) % PRIME
        shares[holder] = value.to_bytes(_SHARE, "big")
    return shares


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Restore a secret from at least `threshold` shares: the polynomial's value at 0 (Lagrange)."""
    value = 0
    for holder, share in shares.items():
        above = below = 1
        for other in shares:
            if other != holder:
                above = above * (other + 1) % PRIME
                below = below * (other - holder) % PRIME
        value = (value + int.from_bytes(share, "big") * above * pow(below, -1, PRIME)) % PRIME
    number = value.to_bytes(_SHARE, "big")
    secret, digest = number[-2 * _SECRET : -_SECRET], number[-_SECRET:]
    if not shares or number[: -2 * _SECRET].strip(b"\0") or digest != hashlib.sha256(secret).digest():
        raise MaskingError(
            f"{len(shares)} shares do not fit together: one is wrong, or there are fewer than the threshold."
        )
    return secret


def least_threshold(hospitals: int) -> int:
    """Return the smallest threshold above half of the hospitals, and at least 2.

    No two groups of hospitals can then both restore something, and a sum of one, which would be that hospital's
    vector, is never unmasked.
    """
    return max(2, hospitals // 2 + 1)


def check_enough(there: int, hospitals: int, did: str) -> None:
    """Refuse to go on with a sum that could not be unmasked."""
    if there < (needed := least_threshold(hospitals)):
        raise MaskingError(
            f"Only {there} of {hospitals} hospitals {did}, but {needed} are needed to unmask a sum: "
            "nothing of this sum can be read; try again when more are there."
        )


# The two sides ---------------------------------------------------------------------------------------------------


class MaskingHospital:
    """One hospital's side of one sum. Make a new one for every sum.

    It knows by itself how many hospitals there are: the server is not asked, or it could pick a few and subtract.
    `identity` is its private Ed25519 key, `known` the public ones of all hospitals in their order, 32 bytes each: both
    come from people who trust each other, not from the server. Without them it takes any keys for a hospital's.
    """

    def __init__(self, number: int, hospitals: int, identity: bytes = b"", known: Sequence[bytes] = ()) -> None:
        self.number, self.hospitals, self.threshold = number, hospitals, least_threshold(hospitals)
        self._mask_private, self._seal_private, self._own_seed = (os.urandom(_SECRET) for _ in range(3))
        self._identity, self._known = identity, tuple(known)
        self._public: dict[int, PublicKeys] = {}
        self._shares: dict[int, Shares] = {}
        self._answered = False

    @property
    def public_keys(self) -> PublicKeys:
        """Step 1: what the server passes on to the other hospitals."""
        keys = PublicKeys(public_key(self._mask_private), public_key(self._seal_private))
        if not self._identity:
            return keys
        key = Ed25519PrivateKey.from_private_bytes(self._identity)
        return keys._replace(signature=key.sign(_signed(self.number, keys)))

    def share(self, public: Mapping[int, PublicKeys]) -> dict[int, bytes]:
        """Step 2: split the secrets, and seal each hospital's shares for its eyes only."""
        if self._public:
            raise MaskingError(f"Hospital {self.number} has given its shares for this sum: make new keys for another.")
        if strange := set(public) - set(range(self.hospitals)):
            raise MaskingError(f"There is no hospital {min(strange)} among {self.hospitals}: do not trust this server.")
        check_enough(len(public), self.hospitals, "sent keys")
        if public.get(self.number) != self.public_keys:
            raise MaskingError(f"The keys named as hospital {self.number}'s are not its own: do not trust this server.")
        self._check_signatures(public)
        self._public = dict(sorted(public.items()))
        keys = split(self._mask_private, self._public, self.threshold)
        seeds = split(self._own_seed, self._public, self.threshold)
        self._shares[self.number] = Shares(keys[self.number], seeds[self.number])
        return {i: self._seal(i, keys[i] + seeds[i]) for i in self._public if i != self.number}

    def _check_signatures(self, public: Mapping[int, PublicKeys]) -> None:
        for number, keys in public.items() if self._known else ():
            try:
                key = Ed25519PublicKey.from_public_bytes(self._known[number])
                key.verify(keys.signature, _signed(number, keys))
            except (InvalidSignature, ValueError, IndexError):
                raise MaskingError(
                    f"The keys named as hospital {number}'s are not signed by it: do not trust this server, "
                    f"and ask hospital {number} on another way."
                ) from None

    def mask(self, vector: Masked, letters: Mapping[int, bytes]) -> Masked:
        """Step 3: add the own mask, and for each hospital that sent a letter the mask shared with it.

        Who sent none takes no part from here on.
        """
        if len(self._shares) != 1:
            raise MaskingError(f"Hospital {self.number} masks one vector, after its shares: make new keys for another.")
        opened = {i: self._open(i, letter) for i, letter in sorted(letters.items()) if i != self.number}
        check_enough(len(opened) + 1, self.hospitals, "shared their secrets")
        self._shares.update(opened)
        masked = vector + keystream(self._own_seed, len(vector))
        for other in opened:
            masked += _pairwise(self._mask_private, self._public[other].mask, self.number, other, len(vector))
        return masked

    def unmask(self, arrived: Collection[int]) -> dict[int, bytes]:
        """Step 4: give the server, for each hospital, the share of the one secret that it needs.

        Of who arrived, that of the own seed; of who did not, that of the key of the pairwise masks. It answers once:
        two answers could give both secrets of a hospital.
        """
        present = set(arrived) & set(self._shares)
        check_enough(len(present), self.hospitals, "sent their vectors")
        if self._answered:
            raise MaskingError(f"Hospital {self.number} has unmasked this sum already: it answers once.")
        self._answered = True
        return {i: s.own_seed if i in present else s.mask_key for i, s in self._shares.items()}

    def _seal(self, to: int, shares: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        key = agree(self._seal_private, self._public[to].seal, "letters")
        return nonce + ChaCha20Poly1305(key).encrypt(nonce, shares, _address(self.number, to))

    def _open(self, sender: int, letter: bytes) -> Shares:
        if sender not in self._public:
            raise MaskingError(f"Hospital {sender} sent a letter but no key: start the sum anew.")
        key = agree(self._seal_private, self._public[sender].seal, "letters")
        try:
            text = ChaCha20Poly1305(key).decrypt(letter[:_NONCE], letter[_NONCE:], _address(sender, self.number))
        except (InvalidTag, ValueError):
            raise MaskingError(
                f"The letter of hospital {sender} to hospital {self.number} was changed on its way, or is another's: "
                "start the sum anew."
            ) from None
        return Shares(text[:_SHARE], text[_SHARE:])

    def dump(self) -> bytes:
        """Write down everything, secrets included, for a hospital whose process ends between two steps."""
        return json.dumps(
            {
                "number": self.number,
                "hospitals": self.hospitals,
                "secrets": [s.hex() for s in (self._mask_private, self._seal_private, self._own_seed)],
                "public": [[i, *(key.hex() for key in keys)] for i, keys in self._public.items()],
                "shares": [[i, *(share.hex() for share in shares)] for i, shares in self._shares.items()],
                "answered": self._answered,
                "identities": [key.hex() for key in (self._identity, *self._known)],
            }
        ).encode()

    @classmethod
    def load(cls, text: bytes) -> MaskingHospital:
        """Go on from what `dump` wrote."""
        kept = json.loads(text)
        identity, *known = map(bytes.fromhex, kept["identities"])
        hospital = cls(kept["number"], kept["hospitals"], identity, known)
        hospital._mask_private, hospital._seal_private, hospital._own_seed = map(bytes.fromhex, kept["secrets"])
        hospital._public = {i: PublicKeys(*map(bytes.fromhex, keys)) for i, *keys in kept["public"]}
        hospital._shares = {i: Shares(*map(bytes.fromhex, shares)) for i, *shares in kept["shares"]}
        hospital._answered = kept["answered"]
        return hospital


def unmasked_sum(
    masked: Mapping[int, Masked],
    public: Mapping[int, PublicKeys],
    answers: Mapping[int, Mapping[int, bytes]],
    hospitals: int,
) -> Masked:
    """Take the masks off the sum: the server's part of step 4."""
    check_enough(len(masked), hospitals, "sent their vectors")
    check_enough(len(answers), hospitals, "helped to unmask the sum")
    lengths = {len(vector) for vector in masked.values()}
    if len(lengths) > 1:
        raise MaskingError(f"The masked vectors have lengths {sorted(lengths)}, but models have one shape.")
    length = lengths.pop()
    total = np.zeros(length, dtype=np.uint64)
    for vector in masked.values():
        total += vector
    for about in sorted(set(masked).union(*answers.values())):
        secret = combine({holder: shares[about] for holder, shares in answers.items() if about in shares})
        if about in masked:
            total -= keystream(secret, length)
            continue
        if about not in public or public_key(secret) != public[about].mask:
            raise MaskingError(f"The shares about hospital {about} restore a key that is not its own: start anew.")
        for other in masked:  # what `about` would have added, so that the others' halves of its masks vanish
            total += _pairwise(secret, public[other].mask, about, other, length)
    return total


def _pairwise(private: bytes, public: bytes, own: int, other: int, length: int) -> Masked:
    """Return the mask of a pair, as the hospital with the lower number adds it and the other subtracts it."""
    stream = keystream(agree(private, public, "masks"), length)
    return stream if own < other else np.uint64(0) - stream


def _signed(number: int, keys: PublicKeys) -> bytes:
    return f"federated hospitals: keys of {number}: ".encode() + keys.mask + keys.seal


def _address(sender: int, to: int) -> bytes:
    return f"{sender}>{to}".encode()
