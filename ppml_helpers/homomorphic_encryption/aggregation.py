"""The weighted mean of the hospitals' model updates, added up by a server that can read none of them.

A hospital multiplies its update by its number of patients and encrypts the product and, in one more slot, the number
itself. So the server learns neither updates nor sizes, and the key holder learns the sum and the total alone. Adding
takes no multiplication: a small ring and the public key are enough, about 3 MB for 100,000 numbers.

Beside secure aggregation by masks (chapter 07): here no hospital needs to know the others and none is missed if it
drops out, but one key holder could read every single update if the server gave it away, and a server that lies and
hears the mean could find the key (see `statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tenseal as ts

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import parties

RING, PRIMES, SCALE_BITS = 4096, (53, 53), 40
NOISE = 2e-8  # of a slot of one hospital, measured: at most 0.5e-8
SLOTS = RING // 2
MOST_PATIENTS = 10_000  # of a hospital
MOST_HOSPITALS = 2 ** (PRIMES[0] - SCALE_BITS - 1) - 1  # each adds at most 1 to a slot; more could overflow unnoticed


class Average(NamedTuple):
    """What the key holder reads."""

    update: np.ndarray  # mean of the hospitals' updates, weighted by their patients
    patients: int  # of all hospitals together
    hospitals: int


class UpdatesHolder(parties.KeyHolder):
    """Makes the keys and reads the weighted mean.

    Parameters
    ----------
    length : int
        How many numbers an update has.
    bound : float
        Largest magnitude of a number in an update; the error of the mean is proportional to it, and is largest where
        hospitals have few patients.
    """

    purpose = "updates"

    def __init__(self, length: int, bound: float = 1.0) -> None:
        self.length = checks.whole(length, "length", 1, 10_000_000, error=EncryptionError)
        self.bound = checks.number(bound, "bound", 0, above=True, error=EncryptionError)
        context = ts.context(ts.SCHEME_TYPE.CKKS, RING, -1, list(PRIMES), n_threads=1)
        context.global_scale = 2.0**SCALE_BITS
        fingerprint = f"CKKS {RING} {'-'.join(map(str, PRIMES))} scale {SCALE_BITS}"
        super().__init__(context, fingerprint, {"length": self.length, "bound": self.bound}, public_key=True)

    def decrypt(self, message: bytes, rounded: bool = True) -> Average:
        """Read the weighted mean, rounded to what is known (see `statistics`); refused if that is too little."""
        letter = self._mailbox.open(message, "sum of updates", sender="server")
        if len(letter.parts) != -(-(self.length + 1) // SLOTS):
            raise EncryptionError(
                f"The sum does not have {self.length:,} numbers and a weight: let the server add anew."
            )
        sums = np.concatenate([parties.ciphertext(self._context, part).decrypt() for part in letter.parts])
        sums = sums[: self.length + 1]
        patients = round(sums[-1] * MOST_PATIENTS)
        if patients < 1:
            raise EncryptionError("The hospitals' weights add up to nothing: one of them did not send an update.")
        mean = self.bound * sums[:-1] * MOST_PATIENTS / patients
        error = self.bound * NOISE * math.sqrt(letter.facts["hospitals"]) * MOST_PATIENTS / patients
        largest, cause = np.abs(mean).max(), f"the bound {self.bound:g}"
        parties.check_known(largest, error, "The largest number of the mean update", cause)
        return Average(parties.known(mean, error) if rounded else mean, patients, letter.facts["hospitals"])


class UpdatesHospital(parties.Party):
    """Encrypts a hospital's update; holds the public key only; made as every `Party`, its name in the clear."""

    purpose = "updates"

    def encrypt(self, update: Any, patients: int) -> bytes:
        """Encrypt an update, and the number of patients that it was computed from: the weight of this hospital."""
        length, bound = self._facts["length"], self._facts["bound"]
        share = checks.whole(patients, "patients", 1, MOST_PATIENTS, error=EncryptionError) / MOST_PATIENTS
        values = checks.floats(update, "The update", error=EncryptionError, mend="flatten it into one array")
        if values.shape != (length,):
            raise EncryptionError(f"The update has the shape {values.shape}, asked for was ({length},): flatten it.")
        wrong = ~(np.abs(values) <= bound)  # also true for NaN
        if wrong.any():
            raise EncryptionError(
                f"The update holds {values[wrong][0]:g}, every number must be finite and at most {bound:g} in size: "
                "clip it, or let the key holder state a larger bound (an overflow would go unnoticed)."
            )
        numbers = np.append(values / bound * share, share)
        parts = [ts.ckks_vector(self._context, piece).serialize() for piece in parties.chunks(numbers, SLOTS)]
        return self._mailbox.seal("update", parts, 0)


class UpdatesServer(parties.ComputingParty):
    """Adds up updates that it cannot read."""

    purpose = "updates"

    def add(self, messages: Sequence[bytes]) -> bytes:
        """Add up the updates of one round: two at least, for the sum of one is that one."""
        letters = self._open_all(messages, "update")
        if not 2 <= len(letters) <= MOST_HOSPITALS:
            raise EncryptionError(
                f"{len(letters)} hospitals sent an update: at least 2 are needed, or the sum would show one, and at "
                f"most {MOST_HOSPITALS:,}, or it could overflow unnoticed."
            )
        needed = -(-(self._facts["length"] + 1) // SLOTS)
        odd = [letter.sender for letter in letters if len(letter.parts) != needed]
        if odd:
            raise EncryptionError(f"{odd[0]!r} sent an update of another length: let it encrypt anew.")
        received = [[parties.ciphertext(self._context, part) for part in letter.parts] for letter in letters]
        parts = [parties.total(pieces).serialize() for pieces in zip(*received, strict=True)]
        return self._seal_sum("sum of updates", parts, 0, hospitals=len(letters))
