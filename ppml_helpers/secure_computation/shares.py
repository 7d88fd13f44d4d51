"""Secret shares: what each party holds, what a coalition can put together, and a board for what a protocol opens.

With additive shares all parties are needed; with Shamir's any `threshold` of them suffice. Fewer than that hold numbers
that are uniform whatever the secret is.

References
----------
A. Shamir, "How to share a secret", Communications of the ACM 22(11), 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppml_helpers import checks
from ppml_helpers.errors import ComputationError

RINGS = (257, 65_537, 2_147_483_647)
"""The sizes on offer, all prime, as Shamir's shares need it: 2^8 + 1, 2^16 + 1 and 2^31 - 1."""

REPEATS = 2_000  # times that the explorer shares the same value anew

Shares = NDArray[np.int64]


def share(
    value: int, parties: int, threshold: int, ring: int, rng: np.random.Generator, repeats: int | None = None
) -> Shares:
    """Share a whole number among `parties`, so that `threshold` of them can put it together again.

    Parameters
    ----------
    value : int
        0 to ``ring - 1``.
    parties, threshold : int
        2 to 16 parties, of whom 1 to all are needed. When all are, the shares are additive: they sum to the value.
    ring : int
        All arithmetic is modulo this prime.
    rng : numpy.random.Generator
        Where the randomness comes from. It can be repeated, which makes it right for a lesson and wrong for patients:
        there the secrets module, or a library's own, must draw.
    repeats : int, optional
        Share the same value so many times.

    Returns
    -------
    numpy.ndarray
        Shape (parties,), or (repeats, parties); party i of Shamir's holds the polynomial's value at i + 1.

    Raises
    ------
    ComputationError
        For numbers outside these ranges.
    """
    parties, threshold = _checked(parties, threshold, ring)
    value = checks.whole(value, "value", 0, ring - 1, error=ComputationError, mend="choose one, or a larger ring")
    shape = (repeats or 1, threshold - 1 if threshold < parties else parties - 1)
    random = rng.integers(ring, size=shape)
    if threshold == parties:
        last = (value - random.sum(axis=1, keepdims=True)) % ring
        held = np.hstack([random, last])
    else:
        held = np.stack([_polynomial(value, random, point, ring) for point in range(1, parties + 1)], axis=1)
    return held if repeats else held[0]


def _polynomial(value: int, coefficients: Shares, point: int, ring: int) -> Shares:
    """Return the value at a point of polynomials that are `value` at 0; no step exceeds 64 bits."""
    result = np.zeros(len(coefficients), np.int64)
    for power in reversed(range(coefficients.shape[1])):
        result = (result + coefficients[:, power]) * point % ring
    return (result + value) % ring


def put_together(held: Shares, members: Sequence[int], parties: int, threshold: int, ring: int) -> Shares:
    """Return what a coalition computes from its own shares: the secret if it is large enough, else a random number.

    Parameters
    ----------
    held : numpy.ndarray
        Shares of all parties along the last axis; only those of the members are read.
    members : sequence of int
        The parties that put their shares together, from 0.
    parties, threshold, ring : int
        As in `share`.
    """
    parties, threshold = _checked(parties, threshold, ring)
    members = sorted({checks.whole(one, "a member", 0, parties - 1, error=ComputationError) for one in members})
    held = np.atleast_2d(held)
    if threshold == parties:
        return held[:, members].sum(axis=1) % ring
    total = np.zeros(len(held), np.int64)
    for one in members:
        others = [other + 1 for other in members if other != one]
        weight = 1
        for other in others:  # Lagrange's formula at 0
            weight = weight * other * pow(other - one - 1, -1, ring) % ring
        total = (total + held[:, one] * weight) % ring
    return total


def _checked(parties: Any, threshold: Any, ring: Any) -> tuple[int, int]:
    parties = checks.whole(parties, "parties", 2, 16, error=ComputationError)
    mend = "no coalition could ever put the secret together"
    threshold = checks.whole(threshold, "threshold", 1, parties, error=ComputationError, mend=mend)
    checks.choice(ring, "ring", RINGS, error=ComputationError)
    return parties, threshold


@dataclass(frozen=True)
class Coalition:
    """What some parties compute together from a value that was shared many times.

    Attributes
    ----------
    value, parties, threshold, ring, members : int
        The setting; `members` is how many put their shares together.
    guesses, others : numpy.ndarray
        Shape (`REPEATS`,): what the coalition computes when the secret is `value`, and when it is another one.
    """

    value: int
    parties: int
    threshold: int
    ring: int
    members: int
    guesses: Shares
    others: Shares

    @property
    def falls(self) -> bool:
        """Whether the coalition had the secret each time."""
        return bool((self.guesses == self.value).all())

    @property
    def right(self) -> float:
        """Share of the repetitions in which the coalition's number was the secret."""
        return float((self.guesses == self.value).mean())


def coalition(value: int, parties: int, threshold: int, ring: int, members: int, seed: int = 0) -> Coalition:
    """Share a value `REPEATS` times, and another one too, and see what a coalition makes of its shares."""
    rng = np.random.default_rng(seed)
    who = range(checks.whole(members, "members", 1, parties, error=ComputationError))
    found = [
        put_together(share(secret, parties, threshold, ring, rng, REPEATS), who, parties, threshold, ring)
        for secret in (value, (value + ring // 2) % ring)
    ]
    return Coalition(value, parties, threshold, ring, members, *found)


def score_by_hand(
    values: ArrayLike, weights: ArrayLike, rng: np.random.Generator
) -> tuple[NDArray[np.float64], int, int]:
    """Score patients as two parties of Beaver's protocol would, both played here: the chapter's cell, with matrices.

    Numbers are whole multiples of 2^-16 modulo 2^64, as in CrypTen, and so the product is one of 2^-32.

    Parameters
    ----------
    values : array_like, shape (patients, columns)
        What one party holds.
    weights : array_like, shape (columns,)
        What the other one holds.
    rng : numpy.random.Generator
        Draws the shares and the triple, for both: right for a lesson, wrong for patients.

    Returns
    -------
    scores : numpy.ndarray, shape (patients,)
    rounds, sent : int
        How often the parties wait for each other, and the bytes that each sends.

    References
    ----------
    D. Beaver, "Efficient multiparty protocols using circuit randomization", CRYPTO 1991.
    """

    def random(shape: tuple[int, ...]) -> NDArray[np.uint64]:
        return rng.integers(2**64, size=shape, dtype=np.uint64)

    def shared(secret: NDArray[np.uint64]) -> NDArray[np.uint64]:
        first = random(secret.shape)
        return np.stack([first, secret - first])

    x, w = (np.rint(np.asarray(one) * 2**16).astype(np.int64).astype(np.uint64) for one in (values, weights))
    a, b = random(x.shape), random(w.shape)
    (x0, x1), (w0, w1), (a0, a1), (b0, b1), (c0, c1) = map(shared, (x, w, a, b, a @ b))
    e, f = (x0 - a0) + (x1 - a1), (w0 - b0) + (w1 - b1)  # opened in one round
    z = (c0 + e @ b0 + a0 @ f + e @ f) + (c1 + e @ b1 + a1 @ f)  # opened in another
    return z.astype(np.int64) / 2**32, 2, e.nbytes + f.nbytes + z.nbytes


class Board:
    """Where a protocol opens values: everybody reads what stands here."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def open(self, shared: Shared) -> int:
        """Put the shares of a value together, for all to see."""
        value = int(sum(shared.shares) % shared.ring)
        self.opened.append(value)
        return value


@dataclass(frozen=True)
class Shared:
    """A whole number in additive shares: sums and multiples are computed on shares, nothing is seen."""

    shares: tuple[int, ...]
    ring: int = RINGS[-1]

    @classmethod
    def of(cls, value: int, parties: int, rng: np.random.Generator) -> Shared:
        """Share a number among parties."""
        held = share(value, parties, parties, RINGS[-1], rng)
        return cls(tuple(int(one) for one in held))

    def __add__(self, other: Shared | int) -> Shared:
        """Add: each party adds its shares; a public number is added by the first."""
        theirs = other.shares if isinstance(other, Shared) else (int(other), *[0] * (len(self.shares) - 1))
        return Shared(tuple((a + b) % self.ring for a, b in zip(self.shares, theirs, strict=True)), self.ring)

    __radd__ = __add__

    def __mul__(self, factor: int) -> Shared:
        """Multiply with a public number: each party its own share."""
        return Shared(tuple(one * int(factor) % self.ring for one in self.shares), self.ring)

    __rmul__ = __mul__

    def __sub__(self, other: Shared | int) -> Shared:
        """Subtract."""
        return self + other * -1
