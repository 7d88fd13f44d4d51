"""Secure aggregation by pairwise masks, as the Flower app does it, and a whole sum of it in one call.

The protocol lives in the app's folder (`app/federated_hospitals/masking.py`), which must stand alone. Here are the
same parts, with refusals as the kit's own `FederationError`, and `secure_sum` to look at every step of one sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chisquare

from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning.app.federated_hospitals import masking as core
from ppml_helpers.federated_learning.app.federated_hospitals.masking import (
    FRACTION_BITS,
    PRIME,
    Masked,
    PublicKeys,
    Shares,
    decode,
    keystream,
    least_threshold,
    public_key,
)

__all__ = [
    "FRACTION_BITS",
    "PRIME",
    "STEPS",
    "Hospital",
    "Masked",
    "MaskedSum",
    "PublicKeys",
    "Shares",
    "agree",
    "combine",
    "decode",
    "encode",
    "keystream",
    "least_threshold",
    "public_key",
    "secure_sum",
    "split",
    "uniformity",
    "unmasked_sum",
]

STEPS = ("keys", "shares", "vector", "unmask")
"""The four steps, in order; a hospital that is lost at a step does not do it, nor any after it."""

P = ParamSpec("P")
R = TypeVar("R")


def _ours(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def refusing(*args: P.args, **settings: P.kwargs) -> R:
        try:
            return function(*args, **settings)
        except core.MaskingError as error:
            raise FederationError(str(error)) from None

    return refusing


agree = _ours(core.agree)
combine = _ours(core.combine)
encode = _ours(core.encode)
split = _ours(core.split)
unmasked_sum = _ours(core.unmasked_sum)


class Hospital(core.Hospital):
    __doc__ = core.Hospital.__doc__

    share = _ours(core.Hospital.share)
    mask = _ours(core.Hospital.mask)
    unmask = _ours(core.Hospital.unmask)


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
    """Sum the hospitals' vectors under masks, all parties in this process.

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
        If too few hospitals stay to the end, vectors differ in length or hold values that cannot be summed, or `lost`
        names a hospital or step that does not exist.
    """
    gone = _checked(vectors, dict(lost or {}))
    whole = [encode(vector, len(vectors)) for vector in vectors]
    hospitals = [Hospital(i, len(vectors)) for i in range(len(vectors))]

    def there(step: str) -> list[Hospital]:
        return [h for h in hospitals if gone.get(h.number, len(STEPS)) > STEPS.index(step)]

    public = {h.number: h.public_keys for h in there("keys")}
    letters = {h.number: h.share(public) for h in there("shares")}
    masked = {
        h.number: h.mask(whole[h.number], {i: sent[h.number] for i, sent in letters.items() if i != h.number})
        for h in there("vector")
    }
    answers = {h.number: h.unmask(masked) for h in there("unmask")}
    total = decode(unmasked_sum(masked, public, answers, len(vectors)))
    return MaskedSum(total, tuple(masked), masked, tuple(sorted(letters.keys() - masked.keys())))


def _checked(vectors: Sequence[ArrayLike], lost: dict[int, str]) -> dict[int, int]:
    if len(vectors) < 2:
        raise FederationError(f"There are {len(vectors)} vectors; a sum hides one among others: give two or more.")
    lengths = sorted({np.size(vector) for vector in vectors})
    if len(lengths) > 1:
        raise FederationError(f"The vectors have lengths {lengths}, but only vectors of one length have a sum.")
    for hospital, step in lost.items():
        if hospital not in range(len(vectors)) or step not in STEPS:
            raise FederationError(
                f"lost says that hospital {hospital!r} is lost at {step!r}; hospitals are 0 to {len(vectors) - 1}, "
                f"steps {', '.join(STEPS)}."
            )
    return {hospital: STEPS.index(step) for hospital, step in lost.items()}


def uniformity(view: Masked) -> float:
    """Test whether a vector looks like uniformly random 64-bit numbers, byte by byte.

    Parameters
    ----------
    view : ndarray of uint64, shape (n,)
        What the server sees; at least 160 numbers, so that each of the 256 bytes is expected five times.

    Returns
    -------
    float
        The p-value of Pearson's chi-square test over all bytes: spread over 0 to 1 if they are uniform, about 0 if not.

    Raises
    ------
    FederationError
        If the vector is too short, or not of uint64.
    """
    numbers = np.ascontiguousarray(view)
    if numbers.dtype != np.uint64 or numbers.size < 160:
        raise FederationError(
            f"The view holds {numbers.size} numbers of type {numbers.dtype}; the test needs 160 or more of type uint64."
        )
    return float(chisquare(np.bincount(numbers.view(np.uint8).ravel(), minlength=256)).pvalue)
