"""One masked sum with all parties in this process, and what its server sees; the protocol is the app's `masking`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chisquare

from ppml_helpers import checks
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning.app.federated_hospitals.masking import (
    Masked,
    MaskingHospital,
    decode,
    encode,
    unmasked_sum,
)

STEPS = ("keys", "shares", "vector", "unmask")
"""The four steps, in order; a hospital that is lost at a step does not do it, nor any after it."""


class MaskedSum(NamedTuple):
    """What came of one sum, and what the server saw of it.

    Attributes
    ----------
    total : ndarray of float64, shape (n,)
        The sum of the vectors of those who sent theirs.
    arrived : tuple of int
        Who they are.
    masked : dict of int to ndarray of uint64, shape (n,)
        Their vectors, as the server saw them.
    recovered : tuple of int
        Hospitals that shared their keys and sent no vector: their pairwise masks were restored from shares.
    """

    total: NDArray[np.float64]
    arrived: tuple[int, ...]
    masked: dict[int, Masked]
    recovered: tuple[int, ...]


def secure_sum(vectors: Sequence[ArrayLike], lost: Mapping[int, str] | None = None) -> MaskedSum:
    """Sum the hospitals' vectors under masks.

    Parameters
    ----------
    vectors : sequence of array_like of shape (n,)
        One a hospital, at least two, numbered in this order from 0.
    lost : mapping of int to str, optional
        Which hospitals are lost, and the first of the four `STEPS` that they do not do.

    Returns
    -------
    MaskedSum
        `total` is exactly ``decode(sum of encode(vector))`` of those who arrived.

    Raises
    ------
    FederationError
        If `lost` names a hospital or step that does not exist.
    MaskingError
        If too few hospitals stay to the end, vectors differ in length or hold values that cannot be summed.
    """
    everyone, gone = range(len(vectors)), dict(lost or {})
    for hospital, step in gone.items():
        checks.choice(hospital, "the hospital lost", everyone, error=FederationError)
        checks.choice(step, f"the step at which hospital {hospital} is lost", STEPS, error=FederationError)
    whole = [encode(vector, len(vectors)) for vector in vectors]
    hospitals = [MaskingHospital(number, len(vectors)) for number in everyone]

    def there(step: str) -> list[MaskingHospital]:
        return [h for h in hospitals if h.number not in gone or STEPS.index(gone[h.number]) > STEPS.index(step)]

    public = {h.number: h.public_keys for h in there("keys")}
    letters = {h.number: h.share(public) for h in there("shares")}
    masked = {
        h.number: h.mask(whole[h.number], {i: sent[h.number] for i, sent in letters.items() if i != h.number})
        for h in there("vector")
    }
    answers = {h.number: h.unmask(masked) for h in there("unmask")}
    total = decode(unmasked_sum(masked, public, answers, len(vectors)))
    return MaskedSum(total, tuple(masked), masked, tuple(sorted(letters.keys() - masked.keys())))


def uniformity(view: Masked) -> float:
    """Test whether a vector looks like uniformly random 64-bit numbers.

    Parameters
    ----------
    view : ndarray of uint64, shape (n,)
        What the server sees: at least 5 numbers. Its bytes are counted or, of fewer than 160 numbers, its half bytes,
        so that each value is expected five times or more.

    Returns
    -------
    float
        The p-value of Pearson's chi-square test: spread over 0 to 1 if they are uniform, about 0 if not.

    Raises
    ------
    FederationError
        If the vector is too short, or not of uint64.
    """
    numbers = np.ascontiguousarray(view)
    if numbers.dtype != np.uint64 or numbers.size < 5:
        raise FederationError(
            f"The view holds {numbers.size} numbers of type {numbers.dtype}; the test needs 5 or more of type uint64."
        )
    values, kinds = numbers.view(np.uint8).ravel(), 256
    if numbers.size < 160:
        values, kinds = np.append(values >> 4, values & 15), 16
    return float(chisquare(np.bincount(values, minlength=kinds)).pvalue)
