"""Named, checked sets of CKKS parameters, and the limits of 128-bit security: of 2018 (SEAL's own) and of 2024.

A set is a ring size N (N / 2 slots a ciphertext), a chain of primes and a scale. Every multiplication uses up one of
the inner primes; the first prime holds what is decrypted, and the last one only serves the switching of keys. The more
bits the primes have together, the easier the scheme is to break, so their sum is capped for each ring. SEAL refuses
what is beyond the Homomorphic Encryption Security Standard (2018, table 1). Attacks have become better since, and the
limits of Bossuat, Cammarota, Chillotti et al. (2024, table 5.2) are a little lower: the kit keeps to the lower of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import tenseal as ts
import tenseal.sealapi as seal

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError

RINGS = (1024, 2048, 4096, 8192, 16384, 32768)
LIMITS_2024: Mapping[int, int] = MappingProxyType(dict(zip(RINGS, (26, 53, 106, 214, 430, 868), strict=True)))
"""Bits of all primes by ring: 128 bits against classical computers, ternary secret (Bossuat et al. 2024, table 5.2)."""

SMALLEST_PRIME, LARGEST_PRIME = 20, 60  # bits: below, SEAL finds too few primes; above, it has no arithmetic


def standard_bits(ring: int) -> int:
    """Return how many bits the standard of 2018 allows at 128-bit security, as SEAL answers: beyond it SEAL refuses."""
    known = checks.choice(ring, "ring", RINGS, error=EncryptionError)
    return seal.CoeffModulus.MaxBitCount(known, seal.SEC_LEVEL_TYPE.TC128)


def most_bits(ring: int) -> int:
    """Return how many bits all primes may have together at 128-bit security by both tables."""
    return min(standard_bits(ring), LIMITS_2024[ring])


def check_bits(ring: int, bits: int) -> None:
    """Refuse primes that together are too large for the ring."""
    allowed = most_bits(ring)
    if bits > allowed:
        raise EncryptionError(
            f"The primes have {bits} bits together, but 128-bit security allows {allowed} bits here (ring {ring}; "
            f"{standard_bits(ring)} by the standard of 2018): use fewer or smaller primes and a smaller scale, "
            "or a larger ring."
        )


@dataclass(frozen=True)
class Parameters:
    """One set of CKKS parameters, checked when it is made.

    Parameters
    ----------
    name : str
        What to call it.
    ring : int
        Ring size N, one of `RINGS`.
    primes : tuple of int
        Bits of each prime: first, one of `scale_bits` for every level, last.
    scale_bits : int
        The scale is 2 ** scale_bits: about that many bits of a number's fraction are kept.
    """

    name: str
    ring: int
    primes: tuple[int, ...]
    scale_bits: int

    def __post_init__(self) -> None:
        """Check everything that SEAL would refuse in words that name no reason, and what it would let pass."""
        _check_numbers(self)
        check_bits(self.ring, self.bits)
        _check_scale(self)

    @property
    def slots(self) -> int:
        """Patients in one ciphertext."""
        return self.ring // 2

    @property
    def depth(self) -> int:
        """Multiplications one after another that the chain allows."""
        return len(self.primes) - 2

    @property
    def bits(self) -> int:
        """Bits of all primes together."""
        return sum(self.primes)

    @property
    def largest(self) -> float:
        """Largest magnitude that a number may reach anywhere in a computation; beyond it CKKS overflows silently."""
        return 2.0 ** (self.primes[0] - self.scale_bits - 1)

    @property
    def fingerprint(self) -> str:
        """Text that tells two sets apart, whatever they are called."""
        text = f"CKKS {self.ring} {'-'.join(map(str, self.primes))} scale {self.scale_bits}"
        return f"{text} {hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def context(self) -> ts.Context:
        """Make new keys: a private context, which holds the secret key.

        With relinearisation keys, which depend on it, and without Galois keys (all rotations: hundreds of megabytes in
        a large ring, and columns need none).
        """
        try:
            context = ts.context(ts.SCHEME_TYPE.CKKS, self.ring, -1, list(self.primes), n_threads=1)
        except (ValueError, RuntimeError) as error:
            raise EncryptionError(
                f"SEAL finds no primes for {self.fingerprint} ({error}): use larger primes."
            ) from None
        context.global_scale = 2.0**self.scale_bits
        return context


def _check_numbers(parameters: Parameters) -> None:
    checks.whole(parameters.scale_bits, "scale_bits", 1, LARGEST_PRIME, error=EncryptionError)
    if len(parameters.primes) < 3:
        raise EncryptionError(
            f"{len(parameters.primes)} primes allow no multiplication: give at least 3, such as (60, 40, 60)."
        )
    for bits in parameters.primes:
        checks.whole(bits, "a prime's bits", SMALLEST_PRIME, LARGEST_PRIME, error=EncryptionError)


def _check_scale(parameters: Parameters) -> None:
    first, *inner, last = parameters.primes
    scale, allowed = parameters.scale_bits, most_bits(parameters.ring)
    if any(bits != scale for bits in inner):
        raise EncryptionError(
            f"The scale 2^{scale} does not fit inner primes of {inner} bits: every inner prime must have {scale} bits, "
            f"or numbers change their size at each level (128-bit security allows {allowed} bits here)."
        )
    if first <= scale:
        raise EncryptionError(
            f"The scale 2^{scale} is too large for the first prime of {first} bits: leave at least 1 bit for the whole "
            f"part of the numbers (128-bit security allows {allowed} bits here, {parameters.bits} are used)."
        )
    if last < first:
        raise EncryptionError(
            f"The last prime has {last} bits and the first {first}: make the last at least as large, "
            "or switching keys adds noise."
        )


def drift(context: ts.Context) -> list[float]:
    """Return q / 2^s of the inner primes, in the order in which rescaling uses them.

    Rescaling divides by a prime q near 2^s, and TenSEAL then writes down the scale 2^s as if it had divided by exactly
    that, so a number read afterwards is 2^s / q times too large. Multiplying a weight by q / 2^s beforehand mends it
    without any work on ciphertexts.
    """
    primes = context.seal_context().data.first_context_data().parms().coeff_modulus()
    return [prime.value() / context.global_scale for prime in primes[:0:-1]]


#: One weighted sum: 19 bits for whole parts.
LINEAR = Parameters("linear", 8192, (60, 40, 60), 40)
#: Three multiplications one after another, at the smallest ring that allows them well: 208 of 214 bits.
SIGMOID = Parameters("sigmoid", 8192, (50, 36, 36, 36, 50), 36)

PARAMETERS: Mapping[str, Parameters] = MappingProxyType({each.name: each for each in (LINEAR, SIGMOID)})


def named(parameters: str | Parameters) -> Parameters:
    """Return a set by its name, or the set itself."""
    if isinstance(parameters, Parameters):
        return parameters
    return PARAMETERS[checks.choice(parameters, "parameters", PARAMETERS, error=EncryptionError)]
