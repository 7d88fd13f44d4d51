"""Statistics over the patients of several hospitals, computed by a server that can read none of them.

Three parties. The key holder (a registry, say) makes the keys and in the end reads the totals. Hospitals encrypt their
columns with the public key. The server adds up and never decrypts. It must not hand the key holder what the hospitals
sent: the key holder could read that. There are no threshold keys here that would rule it out.

Mean and variance use CKKS (approximate numbers). Counts use BFV (exact whole numbers modulo t), which is silent when a
sum exceeds t or when it is given 1.7 for a count; both are refused here before it happens.

Neither hides how many patients a hospital has: that is in the clear in every message. And neither protects the result:
a count of 1 is a patient, whoever added it up. The last digits of a CKKS result are noise that depends on the secret
key, and who sees them beside the ciphertexts can compute that key (Li and Micciancio, EUROCRYPT 2021), so results are
rounded to what is known; `rounded=False` keeps all digits, for the key holder's eyes alone. That is for a server that
adds up. One that lies chooses what is decrypted, and each result that it hears, rounded ones too, tells it of the key.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tenseal as ts

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import parties
from ppml_helpers.homomorphic_encryption.columns import checked
from ppml_helpers.homomorphic_encryption.messages import Letter
from ppml_helpers.homomorphic_encryption.parameters import LINEAR, drift

NOISE = 5e-6  # of a sum over the slots of one ciphertext, measured: at most 1.6e-6
COUNT_RING, COUNT_PRIMES = 4096, (35, 35, 36)  # SEAL's own choice of primes has 109 bits: beyond the limit of 2024
COUNT_MODULUS = 1_032_193  # prime, and 1 modulo 2 x 4096: the common choice of 20 bits


class MomentsHolder(parties.KeyHolder):
    """Makes the keys and reads the pooled means and variances.

    Parameters
    ----------
    ranges : mapping of str to (float, float)
        For each column the smallest and the largest value that a hospital may send: public knowledge, not taken from
        the patients. Columns are scaled to [-1, 1] by it, so what is known of the variance depends on it: a range ten
        times as wide costs two digits.
    """

    purpose = "moments"

    def __init__(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        self.ranges = _checked_ranges(ranges)
        facts = {"ranges": [[name, low, high] for name, (low, high) in self.ranges.items()]}
        context = LINEAR.context()
        context.generate_galois_keys()  # to add up the slots: the only computation of this kit that needs them
        super().__init__(context, LINEAR.fingerprint, facts, relin=True, public_key=True, galois=True)

    def decrypt(self, message: bytes, rounded: bool = True) -> pd.DataFrame:
        """Read the pooled result: `patients`, `mean` and `variance` (divisor n - 1, as in pandas) of each column.

        Rounded to what is known, and refused if the stated range leaves a variance unknown by more than 1 %.
        """
        letter = self._mailbox.open(message, "moments", sender="server")
        if tuple(letter.columns) != tuple(self.ranges) or len(letter.parts) != 2 * len(self.ranges):
            raise EncryptionError(f"The answer has the columns {list(letter.columns)}, asked were {list(self.ranges)}.")
        sums = np.array([parties.ciphertext(self._context, part).decrypt()[0] for part in letter.parts]).reshape(-1, 2)
        n = letter.rows
        centre = np.array([(low + high) / 2 for low, high in self.ranges.values()])
        half = np.array([(high - low) / 2 for low, high in self.ranges.values()])
        first, second = sums[:, 0], sums[:, 1] * drift(self._context)[0]
        variance = half**2 * (second - first**2 / n) / (n - 1)
        mean = centre + half * first / n
        noise = NOISE * math.sqrt(letter.facts["hospitals"] + n / LINEAR.slots)  # pieces that were added up
        errors = half * noise / n, half**2 * 3 * noise / (n - 1)
        for name, value, error in zip(self.ranges, variance, errors[1], strict=True):
            parties.check_known(value, error, f"The variance of {name!r}", f"the range {self.ranges[name]}")
        if rounded:
            mean, variance = (
                [float(parties.known(value, error)) for value, error in zip(values, unknown, strict=True)]
                for values, unknown in zip((mean, variance), errors, strict=True)
            )
        table = {"patients": n, "mean": mean, "variance": variance}
        return pd.DataFrame(table, index=pd.Index(self.ranges, name="column"))


class MomentsHospital(parties.Party):
    """Encrypts a hospital's columns; holds the public key only; made as every `Party`, its name in the clear."""

    purpose = "moments"

    def encrypt(self, table: pd.DataFrame) -> bytes:
        """Encrypt the columns that were asked for, patients in the slots; further columns are left alone."""
        ranges = {name: (low, high) for name, low, high in self._facts["ranges"]}
        wanted = checked(table, ranges)
        parts = []
        for name, (low, high) in ranges.items():
            scaled = (wanted[name].to_numpy() - (low + high) / 2) / ((high - low) / 2)
            pieces = parties.chunks(scaled, LINEAR.slots)
            parts += [ts.ckks_vector(self._context, piece).serialize() for piece in pieces]
        return self._mailbox.seal("columns", parts, len(wanted), list(ranges))


class MomentsServer(parties.ComputingParty):
    """Adds up what it cannot read."""

    purpose = "moments"

    def pool(self, messages: Sequence[bytes]) -> bytes:
        """Add up the columns of all hospitals, and their squares: two ciphertexts a column, one total in every slot."""
        letters = self._open_all(messages, "columns")
        names = tuple(name for name, _, _ in self._facts["ranges"])
        for letter in letters:
            if tuple(letter.columns) != names or len(letter.parts) != len(names) * -(-letter.rows // LINEAR.slots):
                raise EncryptionError(
                    f"{letter.sender!r} sent other columns than {list(names)}, or columns of unequal length: let it "
                    "encrypt them anew."
                )
        rows = sum(letter.rows for letter in letters)
        if not 2 <= rows < LINEAR.largest:
            raise EncryptionError(
                f"{rows:,} patients together cannot be pooled: a variance needs 2, and from {int(LINEAR.largest):,} "
                "patients on the encrypted total could overflow unnoticed."
            )
        parts = []
        for column in range(len(names)):
            pieces = [
                parties.ciphertext(self._context, part)
                for letter in letters
                for part in _column(letter.parts, len(names), column)
            ]
            # Add the pieces first: then the rotations of one sum serve them all.
            sums = parties.total(pieces), parties.total([one * one for one in pieces])
            parts += [each.sum().serialize() for each in sums]
        return self._seal_sum("moments", parts, rows, names, hospitals=len(letters))


def _column(parts: list[bytes], columns: int, number: int) -> list[bytes]:
    pieces = len(parts) // columns
    return parts[number * pieces : (number + 1) * pieces]


def _checked_ranges(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    if not isinstance(ranges, Mapping) or not ranges:
        raise EncryptionError("No range was given: pass a mapping such as {'age': (18, 120)}.")
    found = {}
    for name, pair in ranges.items():
        try:
            low, high = (float(bound) for bound in pair)
        except (TypeError, ValueError):
            low, high = math.nan, math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise EncryptionError(f"The range of {name!r} is {pair!r}: give two finite numbers, the smaller one first.")
        found[str(name)] = (low, high)
    return found


def tally(values: Iterable[Any], levels: Sequence[Any]) -> list[int]:
    """Count how many patients have each value, in the order of the levels; another or a missing one is refused."""
    column = pd.Series(list(values), dtype=object)
    odd = column[~column.isin(list(levels))]
    if len(odd):
        raise EncryptionError(
            f"A patient has the value {odd.iloc[0]!r}, which is no level: add it or drop the patient."
        )
    return [int((column == level).sum()) for level in levels]


class CountsHolder(parties.KeyHolder):
    """Makes BFV keys and reads the pooled counts, exactly.

    Parameters
    ----------
    levels : sequence of str
        What is counted, such as the names of the diagnoses; at most 4,096.
    """

    purpose = "counts"

    def __init__(self, levels: Sequence[str]) -> None:
        self.levels = tuple(map(str, levels))
        if not 1 <= len(self.levels) <= COUNT_RING or len(set(self.levels)) < len(self.levels):
            raise EncryptionError(
                f"{len(self.levels)} levels were given: give 1 to {COUNT_RING:,} different ones, so that they fit the "
                "slots of one ciphertext."
            )
        context = ts.context(ts.SCHEME_TYPE.BFV, COUNT_RING, COUNT_MODULUS, list(COUNT_PRIMES), n_threads=1)
        fingerprint = f"BFV {COUNT_RING} t {COUNT_MODULUS}"
        super().__init__(context, fingerprint, {"levels": list(self.levels)}, public_key=True)

    def decrypt(self, message: bytes) -> pd.Series:
        """Read the pooled counts, one a level.

        Counts that exceed the patients are refused: then what a hospital sent were no counts.
        """
        letter = self._mailbox.open(message, "pooled counts", sender="server")
        counts = _counts(self._context, letter).decrypt()
        if len(counts) != len(self.levels) or min(counts) < 0 or max(counts) > letter.rows:
            raise EncryptionError(
                f"The decrypted counts do not fit {len(self.levels)} levels and {letter.rows:,} patients: a hospital "
                "did not send counts."
            )
        return pd.Series(counts, index=pd.Index(self.levels, name="level"), name="patients")


class CountsHospital(parties.Party):
    """Encrypts a hospital's counts; holds the public key only; made as every `Party`, its name in the clear."""

    purpose = "counts"

    def encrypt(self, counts: Sequence[int], patients: int) -> bytes:
        """Encrypt one count a level, in their order, each from 0 to `patients`.

        How many patients were counted is in the clear, so that the server can tell when a sum could wrap.
        """
        levels = self._facts["levels"]
        checks.whole(patients, "patients", 1, COUNT_MODULUS // 2, error=EncryptionError)
        mend = "count again (BFV would cut a fraction off without a sign)"
        given = counts if np.iterable(counts) else [counts]
        whole = [checks.whole(count, "a count", 0, patients, error=EncryptionError, mend=mend) for count in given]
        if len(whole) != len(levels):
            raise EncryptionError(f"{len(whole)} counts were given for {len(levels)} levels: give one a level.")
        return self._mailbox.seal("counts", [ts.bfv_vector(self._context, whole).serialize()], patients, levels)


class CountsServer(parties.ComputingParty):
    """Adds up counts that it cannot read."""

    purpose = "counts"

    def add(self, messages: Sequence[bytes]) -> bytes:
        """Add up the counts of all hospitals; what could wrap modulo t is refused."""
        letters = self._open_all(messages, "counts")
        levels = self._facts["levels"]
        other = [letter.sender for letter in letters if list(letter.columns) != levels]
        if other:
            raise EncryptionError(f"{other[0]!r} counted other levels, or in another order: let it count anew.")
        rows = sum(letter.rows for letter in letters)
        if rows > COUNT_MODULUS // 2:
            raise EncryptionError(
                f"The hospitals have {rows:,} patients together: a count above {COUNT_MODULUS // 2:,} would wrap "
                f"modulo t = {COUNT_MODULUS:,} without a sign; let fewer hospitals add theirs."
            )
        pooled = parties.total([_counts(self._context, letter) for letter in letters])
        return self._seal_sum("pooled counts", [pooled.serialize()], rows, levels, hospitals=len(letters))


def _counts(context: ts.Context, letter: Letter) -> ts.BFVVector:
    return parties.ciphertext(context, letter.parts[0], read=ts.bfv_vector_from)
