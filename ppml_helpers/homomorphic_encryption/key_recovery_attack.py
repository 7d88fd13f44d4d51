"""The secret key of CKKS, computed from two answers that were told with all their digits.

Decrypting is one multiplication and one sum: what comes out is c0 + c1 s, with the ciphertext (c0, c1) and the secret
key s. Whoever has the ciphertext and the exact result has a linear equation for s (Li and Micciancio, EUROCRYPT 2021).
A real number tells only the sum of each slot and its complex conjugate, two unknowns an equation, so two answers are
needed. All digits must be there: with rounded numbers the equations have no small solution, and that is noticed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tenseal as ts
import tenseal.sealapi as seal

from ppml_helpers.errors import EncryptionError


class Told(NamedTuple):
    """What an attacker has of one answer."""

    answer: ts.CKKSVector  #: the ciphertext, which the server made itself
    numbers: np.ndarray  #: what it decrypts to, one a slot, all slots in use, with all digits


class StolenKey:
    """A secret key as an attacker has it: enough to read every ciphertext under it."""

    def __init__(self, prime: int, transformed: list[int]) -> None:
        self._prime, self._transformed = prime, transformed
        self.coefficients = np.array(_coefficients(transformed, prime))

    def read(self, vector: ts.CKKSVector) -> np.ndarray:
        """Decrypt a ciphertext; its numbers must be small against the first prime, as fresh ones are."""
        prime, first, second = _polynomials(vector)
        if prime != self._prime:
            raise EncryptionError("The ciphertext has another first prime than the key: read one of the same context.")
        masked = [(a + b * s) % prime for a, b, s in zip(first, second, self._transformed, strict=True)]
        ring = len(masked)
        scaled = np.array(_coefficients(masked, prime), dtype=float) / vector.ciphertext()[0].scale
        roots = np.exp(1j * np.pi / ring) ** np.arange(ring)
        values = np.fft.ifft(scaled * roots) * ring  # at all odd powers of a root of unity of order 2 x ring
        powers = [pow(3, slot, 2 * ring) for slot in range(vector.size())]  # the order of the slots
        return values[(np.array(powers) - 1) // 2].real


def recover_key(first: Told, second: Told) -> StolenKey:
    """Compute the secret key.

    Parameters
    ----------
    first, second : Told
        Two answers under one key, of as many patients as there are slots.

    Raises
    ------
    EncryptionError
        If the numbers do not give a key, because they were rounded or belong to other ciphertexts.

    Source: Li and Micciancio, "On the security of homomorphic encryption on approximate numbers", EUROCRYPT 2021.
    """
    prime, a, b, right = _equation(first)
    _, c, d, right_2 = _equation(second)
    key = []
    for w, x, y, z, r, t in zip(a, b, c, d, right, right_2, strict=True):  # w s + x s' = r, y s + z s' = t
        determinant = (w * z - x * y) % prime
        if not determinant:
            raise EncryptionError("The two answers give the same equation: take answers to two questions.")
        key.append((r * z - t * x) * pow(determinant, -1, prime) % prime)
    stolen = StolenKey(prime, key)
    if not np.isin(stolen.coefficients, (-1, 0, 1)).all():
        raise EncryptionError(
            "The numbers do not give the key: they were rounded, or are not what these answers decrypt to. Take all "
            "digits of both."
        )
    return stolen


def _equation(told: Told) -> tuple[int, list[int], list[int], list[int]]:
    """Return prime, factor of each coefficient of the key and of its mirror image, and what they add up to."""
    prime, first, second = _polynomials(told.answer)
    ciphertext = told.answer.ciphertext()[0]
    plain = seal.Plaintext()
    encoder = seal.CKKSEncoder(told.answer.context().seal_context().data)
    # A real number is half the sum of a slot and its conjugate, which stands at the mirrored place.
    encoder.encode((2 * np.asarray(told.numbers)).tolist(), ciphertext.parms_id(), ciphertext.scale, plain)
    sums = (plain.data(i) for i in range(len(first)))
    right = [(both - one - other) % prime for both, one, other in zip(sums, first, first[::-1], strict=True)]
    return prime, second, second[::-1], right


def _polynomials(vector: ts.CKKSVector) -> tuple[int, list[int], list[int]]:
    """Return the first prime, and both polynomials of a ciphertext modulo it, as SEAL keeps them (transformed)."""
    ciphertext = vector.ciphertext()[0]
    ring, primes = ciphertext.poly_modulus_degree(), ciphertext.coeff_modulus_size()
    data = vector.context().seal_context().data.get_context_data(ciphertext.parms_id())
    first, second = ([ciphertext[start + i] for i in range(ring)] for start in (0, primes * ring))
    return data.parms().coeff_modulus()[0].value(), first, second


def _coefficients(transformed: list[int], prime: int) -> list[int]:
    """Undo the number-theoretic transform: return coefficients between -prime / 2 and prime / 2."""
    ring = len(transformed)
    root = _smallest_root(ring, prime)
    bits = ring.bit_length() - 1
    ordered = [transformed[int(f"{i:0{bits}b}"[::-1], 2)] for i in range(ring)]
    shrink, back = pow(ring, -1, prime), pow(root, -1, prime)
    result = []
    for value in _transform(ordered, back * back % prime, prime):
        one = value * shrink % prime
        shrink = shrink * back % prime
        result.append(one - prime if one > prime // 2 else one)
    return result


def _smallest_root(ring: int, prime: int) -> int:
    """Return the smallest primitive root of unity of order 2 x ring, which SEAL takes."""
    powers = (pow(base, (prime - 1) // (2 * ring), prime) for base in range(2, prime))
    root = step = next(power for power in powers if pow(power, ring, prime) == prime - 1)
    smallest, square = root, root * root % prime
    for _ in range(ring):
        step = step * square % prime
        smallest = min(smallest, step)
    return smallest


def _transform(values: list[int], root: int, prime: int) -> list[int]:
    """Evaluate a polynomial at all powers of a root of unity (Cooley and Tukey)."""
    if len(values) == 1:
        return values
    square = root * root % prime
    even, odd = _transform(values[::2], square, prime), _transform(values[1::2], square, prime)
    turned, power = [], 1
    for value in odd:
        turned.append(power * value % prime)
        power = power * root % prime
    pairs = list(zip(even, turned, strict=True))
    return [(a + b) % prime for a, b in pairs] + [(a - b) % prime for a, b in pairs]
