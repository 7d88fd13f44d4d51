"""Risks of patients with Concrete ML 1.9.0, a peer of `encrypted.py` in an environment of its own.

Concrete ML wants a torch and a NumPy that this course cannot have (several GB: ``pip install concrete-ml==1.9.0`` with
a Python from 3.8 to 3.12). The weights are those that the course's scikit-learn found; Concrete ML rounds them and the
patients' values to 8 bits, compiles an integer circuit, and encrypts, scores and decrypts one patient after the other.
The first call fits, compiles and makes keys.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import sklearn.linear_model
from _frame import serve
from concrete.ml.sklearn import LogisticRegression


@functools.cache
def _compiled(path: str) -> tuple[Any, np.ndarray]:
    """Return a model with keys, and the patients."""
    with np.load(path) as given:
        known = sklearn.linear_model.LogisticRegression()
        known.coef_, known.intercept_, known.classes_ = given["weights"], given["bias"], given["classes"]
        known.n_features_in_ = known.coef_.shape[1]
        X, calibration = given["X"], given["calibration"]
    model = LogisticRegression.from_sklearn_model(known, calibration, n_bits=8)
    model.compile(calibration)
    model.fhe_circuit.keygen()
    return model, X


def score(path: str, out: str) -> None:
    """Encrypt, score and decrypt; the risks go to `out`."""
    model, X = _compiled(path)
    np.save(out, model.predict_proba(X, fhe="execute")[:, 1])


if __name__ == "__main__":
    serve(score)
