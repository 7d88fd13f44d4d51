"""Models that can be scored on encrypted patients, and their plain twins.

CKKS adds and multiplies, and nothing else, so every model here is a polynomial. `plain` computes the same polynomial
in numpy: it is what an encrypted score must equal. How far the polynomial is from the model that it stands for is
another question, and usually the larger error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ppml_helpers import checks
from ppml_helpers.errors import EncryptionError

_GRID = 2001  # points of the fit


def sigmoid_polynomial(bound: float = 5.0) -> tuple[float, float, float]:
    """Fit a polynomial of degree 3 to the sigmoid by least squares.

    The fit covers logits from -bound to bound, all weighted alike; outside, the polynomial runs away. Returned are c0,
    c1 and c3 of c0 + c1 z + c3 z^3: the sigmoid has no square term.
    """
    checks.number(bound, "bound", 1, 30, error=EncryptionError, mend="5 covers most logits")
    z = np.linspace(-bound, bound, _GRID)
    odd, *_ = np.linalg.lstsq(np.stack([z, z**3], axis=1), 1 / (1 + np.exp(-z)) - 0.5, rcond=None)
    return 0.5, float(odd[0]), float(odd[1])


class Linear:
    """The logit of a logistic regression: bias + the weighted sum of the features.

    Parameters
    ----------
    columns : sequence of str
        Names of the features, in the order of the weights.
    weights : array of shape (features,)
        One a feature; not all 0.
    bias : float
        Intercept.
    """

    depth: ClassVar[int] = 1  #: multiplications one after another
    kind: ClassVar[str] = "logit"
    coefficients: tuple[float, ...] = ()  #: of a polynomial that is applied to the logit

    def __init__(self, columns: Sequence[str], weights: Any, bias: float = 0.0) -> None:
        self.columns = _names(columns)
        self.weights = _finite(weights, "weights", (len(self.columns),))
        self.bias = float(_finite(bias, "bias", ()))
        if not self.weights.any():
            raise EncryptionError("All weights are 0: there is nothing to compute, train the model first.")

    def plain(self, X: Any) -> np.ndarray:
        """Compute the same polynomial on patients in plain text, features in the order of `columns`."""
        return np.asarray(X, dtype=float) @ self.weights + self.bias

    @property
    def fingerprint(self) -> str:
        """Name of this very model, whatever it is called: a question says with it which one is asked."""
        text = f"{type(self).__name__} {self.columns} {self.coefficients}".encode()
        return hashlib.sha256(text + np.append(self.weights, self.bias).tobytes()).hexdigest()[:32]

    def reach(self, limit: float) -> float:
        """Return the largest magnitude that any step can reach if no feature is beyond `limit`."""
        shifted = limit + abs(self.bias) / np.abs(self.weights).max()  # Server puts the bias in before the weights
        return max(self._logit_reach(limit), float(shifted))

    def _logit_reach(self, limit: float) -> float:
        return float(np.abs(self.weights).sum() * limit + abs(self.bias))


class Sigmoid(Linear):
    """The probability of a logistic regression, its sigmoid replaced by a polynomial of degree 3.

    Parameters
    ----------
    columns, weights, bias
        As for `Linear`.
    bound : float
        Logits that the polynomial is fitted to; see `sigmoid_polynomial`.
    """

    depth: ClassVar[int] = 3
    kind: ClassVar[str] = "probability"

    def __init__(self, columns: Sequence[str], weights: Any, bias: float = 0.0, bound: float = 5.0) -> None:
        super().__init__(columns, weights, bias)
        self.coefficients = sigmoid_polynomial(bound)

    def logits(self, X: Any) -> np.ndarray:
        """Return what the polynomial is applied to; shape (patients,)."""
        return super().plain(X)

    def plain(self, X: Any) -> np.ndarray:
        """Compute the same polynomial on patients in plain text: near a probability inside the bound only."""
        c0, c1, c3 = self.coefficients
        z = self.logits(X)
        return c0 + c1 * z + c3 * z**3

    def reach(self, limit: float) -> float:
        """Return the largest magnitude that any step can reach if no feature is beyond `limit`."""
        c0, c1, c3 = (abs(c) for c in self.coefficients)
        z = self._logit_reach(limit)
        shrunk = np.cbrt(c3)  # the steps as Server takes them: v = cbrt(c3) z, then v^2 + c1 / cbrt(c3), then times v
        return float(max(shrunk * z, (shrunk * z) ** 2 + c1 / shrunk, c0 + c1 * z + c3 * z**3))


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise EncryptionError(f"columns is {columns!r}: name every feature with a text.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise EncryptionError(f"Column {twice!r} is named twice: give every feature a name of its own.")
    return names


def _finite(values: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    numbers = checks.floats(values, name, error=EncryptionError, mend="give an array of floats")
    if numbers.shape != shape:
        raise EncryptionError(
            f"{name} has the shape {numbers.shape}, not {shape}: columns, weights and biases must belong together."
        )
    if not np.isfinite(numbers).all():
        raise EncryptionError(f"{name} holds a value that is not finite (NaN or infinite): train the model again.")
    return numbers
