"""What a choice of CKKS parameters costs: bits of the primes against the limit, error, time and bytes.

Whether a ring has room for a scale and a depth is arithmetic, and known at once. So is the error: the noise that is
left at the end is rounding, and can be simulated without a key. SEAL rounds when it encrypts and at each rescaling. A
rounding error of a ring of N numbers, read with the secret key, comes out as about N / 6 units of the scale in every
slot. Time and bytes are measured: a column of patients is really encrypted and multiplied by itself again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tenseal as ts
import tenseal.sealapi as seal

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption.parameters import RINGS, Parameters, drift, most_bits

HEADROOM = 14
"""Bits of the first and the last prime beyond the scale: numbers up to 2 ** 13 fit."""

_SCALES = (20, 46)  # smallest and largest, in bits: primes have 20 to 60
_DEPTHS = (1, 20)

_LEAST_SECONDS = 1e-5  # where the processor's clock is too coarse (on Windows), a time of 0 could not be drawn

Progress = Callable[[float, str], None]


class BitBudget(NamedTuple):
    """The bits that a setting needs, and those that are allowed."""

    ring: int
    scale_bits: int
    depth: int  # multiplications one after another
    allowed: int  # bits of all primes together at 128-bit security, as SEAL answers
    exists: bool  # whether there are enough primes of these sizes; True where there are too many bits anyway

    @property
    def primes(self) -> tuple[int, ...]:
        """Bits of each prime: the first, one of the scale for each multiplication, the last."""
        ends = self.scale_bits + HEADROOM
        return (ends, *(self.scale_bits,) * self.depth, ends)

    @property
    def used(self) -> int:
        """Bits of all primes together."""
        return sum(self.primes)

    @property
    def excess(self) -> int:
        """Bits too many; 0 if they fit."""
        return max(self.used - self.allowed, 0)

    @property
    def possible(self) -> bool:
        """Whether SEAL makes keys for this setting."""
        return not self.excess and self.exists

    @property
    def slots(self) -> int:
        """Numbers in one ciphertext."""
        return self.ring // 2

    def parameters(self) -> Parameters:
        """Return the setting as parameters to make keys with; refused if 128-bit security does not allow it."""
        return Parameters("explored", self.ring, self.primes, self.scale_bits)


def bit_budget(ring: int, scale_bits: int, depth: int) -> BitBudget:
    """Return what a ring, a scale of 2 ** scale_bits and a depth need together, and what is allowed."""
    checks.whole(scale_bits, "scale_bits", *_SCALES, error=EncryptionError)
    checks.whole(depth, "depth", *_DEPTHS, error=EncryptionError)
    one = BitBudget(ring, scale_bits, depth, most_bits(ring), exists=True)
    if not one.excess:
        try:  # each prime must be 1 modulo 2 x ring, and small ones of that kind are few
            seal.CoeffModulus.Create(ring, list(one.primes))
        except RuntimeError:
            return one._replace(exists=False)
    return one


def deepest(ring: int, scale_bits: int) -> int:
    """Return how many multiplications one after another a ring allows at a scale; 0 if none."""
    possible = (bit_budget(ring, scale_bits, depth).possible for depth in range(_DEPTHS[0], _DEPTHS[1] + 1))
    return next((depth for depth, fits in enumerate(possible) if not fits), _DEPTHS[1])


def smallest_ring(scale_bits: int, depth: int) -> int | None:
    """Return the smallest ring that allows a scale and a depth, or None."""
    return next((ring for ring in RINGS if bit_budget(ring, scale_bits, depth).possible), None)


class Packing(NamedTuple):
    """The price of one way to lay patients out in ciphertexts; without keys."""

    patients: int  # served by one request
    ciphertexts: int  # that one request sends
    seconds_to_answer: float  # processor time of both sides for one request
    bytes_to_answer: int  # sent and returned for one request

    @property
    def seconds_per_patient(self) -> float:
        """Processor time of one patient among as many as fit."""
        return self.seconds_to_answer / self.patients

    @property
    def bytes_per_patient(self) -> float:
        """Bytes of one patient among as many as fit."""
        return self.bytes_to_answer / self.patients


class Simulated(NamedTuple):
    """Errors after the last multiplication that are known without a key."""

    error: float  # typical (root mean square over the slots), from rounding
    drift: float  # typical, what the drift of the scale makes of it if it is left in


class Costs(NamedTuple):
    """What was measured for one setting, after the last multiplication."""

    error: float  # typical
    largest: float  # of all slots
    columns: Packing
    one_patient: Packing


def measure(
    chosen: BitBudget, features: np.ndarray, column: int = 0, progress: Progress = lambda fraction, what: None
) -> Costs:
    """Encrypt, compute and decrypt at one setting, and measure error, time and bytes.

    One feature of as many patients as there are slots is raised to the power of depth + 1 by multiplying it with
    itself, and so are all features of one patient. Every ciphertext is measured on its way from the client to the
    server and back, bytes included; one ciphertext a layout, the costs of all features are worked out from it.

    `features` holds values in [-1, 1], patients by features; `column` is the feature whose error is measured.
    `progress` is told before every step of SEAL, during which Python stands still.
    """
    progress(0.0, "making keys")
    context = chosen.parameters().context()
    values = features[: chosen.slots, column]
    steps = _Steps(progress, total=3 * (chosen.depth + 2))
    errors = _errors(context, values, chosen.depth, steps)  # warms up what is timed next
    by_column = _round_trip(context, values, chosen.depth, steps)
    by_patient = _round_trip(context, features[0], chosen.depth, steps)
    number = features.shape[1]
    by_columns = Packing(len(values), number, number * by_column[0], number * by_column[1])
    return Costs(_rms(errors), float(np.abs(errors).max()), by_columns, Packing(1, 1, *by_patient))


def simulate(chosen: BitBudget, values: np.ndarray) -> Simulated:
    """Say what errors to expect of `values`, multiplied by themselves, without encrypting anything.

    A rounded polynomial of N coefficients has errors of variance 1/12 in itself and, multiplied with a secret key of
    -1, 0 and 1, N/18 in each coefficient; a slot sums N of them, half of it in its real part: N/6 units of the scale.
    Encrypting rounds once, and so does each rescaling; a product takes over the errors of both factors.
    """
    unit = chosen.ring / 6 / 2.0**chosen.scale_bits
    parts = [np.ones_like(values)]  # how much of each rounding error is in the power; the first is of the encryption
    for power in range(1, chosen.depth + 1):
        parts = [part * values for part in parts]
        parts[0] = parts[0] + values**power
        parts.append(np.ones_like(values))
    primes = seal.CoeffModulus.Create(chosen.ring, list(chosen.primes))[1:-1]
    too_small = np.prod([prime.value() / 2.0**chosen.scale_bits for prime in primes])
    error = unit * float(np.sqrt(np.mean(np.square(parts).sum(axis=0))))
    return Simulated(error, _rms(values ** (chosen.depth + 1) * (1 / too_small - 1)))


class _Steps:
    """Counts steps of a known number and reports each."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, what: str) -> None:
        self._done += 1
        self._progress(0.2 + 0.8 * (self._done - 1) / self._total, what)


def _errors(context: ts.Context, values: np.ndarray, depth: int, step: _Steps) -> np.ndarray:
    """Return how far off every slot is after the last multiplication, the drift of the scale mended."""
    step("encrypting a column")
    power = base = ts.ckks_vector(context, values)
    for level in range(1, depth + 1):
        step(f"multiplication {level} of {depth}")
        power = power * base
    step("decrypting")
    return np.array(power.decrypt()) * np.prod(drift(context)[:depth]) - values ** (depth + 1)


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


def _round_trip(context: ts.Context, values: np.ndarray, depth: int, step: _Steps) -> tuple[float, int]:
    """Return processor time and bytes of one ciphertext from client to server and back."""
    step("sending a ciphertext")
    seconds = -time.thread_time()
    request = ts.ckks_vector(context, values).serialize()
    power = base = ts.ckks_vector_from(context, request)
    seconds += time.thread_time()
    for level in range(1, depth + 1):
        step(f"multiplication {level} of {depth}")
        seconds -= time.thread_time()
        power = power * base
        seconds += time.thread_time()
    step("returning it")
    seconds -= time.thread_time()
    answer = power.serialize()
    ts.ckks_vector_from(context, answer).decrypt()
    seconds += time.thread_time()
    return max(seconds, _LEAST_SECONDS), len(request) + len(answer)
