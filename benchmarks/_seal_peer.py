"""A peer of `encrypted.py`: the linear score by columns in native SEAL, through `seal-python`, in one process.

Client and server share the ciphertexts in memory here: nothing is written to bytes, sent, authenticated or checked.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import seal
from _frame import serve


@functools.cache
def _keys(ring: int, primes: str) -> tuple[Any, ...]:
    parameters = seal.EncryptionParameters(seal.scheme_type.ckks)
    parameters.set_poly_modulus_degree(ring)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(ring, [int(bits) for bits in primes.split("-")]))
    context = seal.SEALContext(parameters)
    made = seal.KeyGenerator(context)
    secret = made.secret_key()
    encryptor = seal.Encryptor(context, made.create_public_key())
    return seal.CKKSEncoder(context), encryptor, seal.Evaluator(context), seal.Decryptor(context, secret)


@functools.cache
def _given(path: str) -> tuple[np.ndarray, np.ndarray, float]:
    with np.load(path) as data:
        return data["X"], data["weights"], float(data["bias"])


def score(path: str, out: str, ring: int, primes: str, scale_bits: int) -> None:
    """Encrypt, score and decrypt one chunk of patients; the scores go to `out`."""
    encoder, encryptor, evaluator, decryptor = _keys(ring, primes)
    X, weights, bias = _given(path)
    scale = 2.0**scale_bits
    columns = [encryptor.encrypt(encoder.encode(np.ascontiguousarray(column), scale)) for column in X.T]
    total = evaluator.multiply_plain(columns[0], encoder.encode(float(weights[0]), scale))
    for column, weight in zip(columns[1:], weights[1:], strict=True):
        evaluator.add_inplace(total, evaluator.multiply_plain(column, encoder.encode(float(weight), scale)))
    total = evaluator.add_plain(total, encoder.encode(bias, scale * scale))
    np.save(out, encoder.decode(decryptor.decrypt(total))[: len(X)])


if __name__ == "__main__":
    serve(score)
