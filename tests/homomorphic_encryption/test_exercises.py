"""The exercises of chapter 08: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tenseal as ts
from answers import cells, reply
from nbformat import NotebookNode

from ppml_helpers.errors import EncryptionError
from ppml_helpers.homomorphic_encryption import exercises as chapter_08
from ppml_helpers.homomorphic_encryption import keys
from ppml_helpers.homomorphic_encryption.key_recovery_attack import Told, recover_key
from ppml_helpers.homomorphic_encryption.parameters import Parameters

CHOSEN = (8192, (43, 32, 32, 32, 32, 43), 32)
FACTOR = 0.8515629768 * 0.8437504768 * 0.8203129768  # 21-bit primes of SEAL in ring 8192, over 2^21


# Scores by columns -----------------------------------------------------------------------------------------------


def products(columns: list, weights: list) -> list:
    return [column * weight for column, weight in zip(columns, weights, strict=True)]


def by_columns(columns: list, weights: list, bias: float) -> ts.CKKSVector:
    total = columns[0] * weights[0]
    for column, weight in zip(columns[1:], weights[1:], strict=True):
        total = total + column * weight
    return total + bias


def in_place(columns: list, weights: list, bias: float) -> ts.CKKSVector:
    total = columns[0] * weights[0]
    for column, weight in zip(columns[1:], weights[1:], strict=True):
        total += column * weight
    total += bias
    return total


def bias_too_early(columns: list, weights: list, bias: float) -> ts.CKKSVector:
    *first, last = columns
    return sum(products([*first, last + bias], weights))


def decrypting(columns: list, weights: list, bias: float) -> np.ndarray:
    return sum(np.array(column.decrypt()) * weight for column, weight in zip(columns, weights, strict=True)) + bias


def encrypting_the_weights(columns: list, weights: list, bias: float) -> ts.CKKSVector:
    context, size = columns[0].context(), columns[0].size()
    hidden = [ts.ckks_vector(context, [weight] * size) for weight in weights]
    return sum(products(columns, hidden)) + bias


# Contexts --------------------------------------------------------------------------------------------------------


def asks_the_kit(context: ts.Context) -> bool:
    try:
        keys.check_public(context)
    except EncryptionError:
        return True
    return False


def reads_an_age(context: ts.Context) -> bool:
    """Try it: the way of the chapter, with SEAL's own classes."""
    try:
        decryptor = context.decryptor().data
    except ValueError:
        return False
    plain = ts.sealapi.Plaintext()
    decryptor.decrypt(ts.ckks_vector(context, [61.0]).ciphertext()[0], plain)
    read = ts.sealapi.CKKSEncoder(context.seal_context().data).decode_double(plain)
    return np.isclose(read[0], 61, atol=0.01)


def rounded(told: Told) -> Told:
    return Told(told.answer, told.numbers.round(4))


RIGHT = [
    ("08.1", by_columns),
    ("08.1", in_place),
    ("08.1", lambda columns, weights, bias: sum(products(columns, np.array(weights)), np.float64(bias))),
    ("08.4", CHOSEN),
    ("08.4", [8192, [41, 33, 33, 33, 33, 41], 33]),
    ("08.4", Parameters("mine", 8192, (40, 32, 32, 32, 32, 46), 32)),
    ("08.5", ("drift", FACTOR)),
    ("08.5", ["Drift ", np.array([0.59])]),
    ("08.3", lambda view: recover_key(*view.told).read(view.ages)),
    ("08.3", lambda view: recover_key(*view.told[::-1]).read(view.ages).tolist()),
    ("08.2", asks_the_kit),
    ("08.2", reads_an_age),
]

WRONG = [
    ("08.1", 3.0, "give the function itself"),
    ("08.1", lambda columns, weights, bias: columns[0].dot(weights) + bias, "the whole column has one weight"),
    ("08.1", lambda columns, weights, bias: sum(products(columns, weights)).sum() + bias, "add up the slots"),
    ("08.1", decrypting, "the server has no secret key"),
    ("08.1", encrypting_the_weights, "multiply by them in plain text"),
    ("08.1", lambda columns, weights, bias: products(columns, weights), "returns 3 things"),
    ("08.1", lambda columns, weights, bias: bias, "It returns a float"),
    ("08.1", lambda columns, weights, bias: sum(products(columns, weights)), "The bias is missing"),
    ("08.1", lambda columns, weights, bias: sum(p + bias for p in products(columns, weights)), "for each column"),
    ("08.1", bias_too_early, "before the last column was weighted"),
    ("08.1", lambda columns, weights, bias: by_columns(columns, weights[::-1], bias), "not in the same order"),
    ("08.1", lambda columns, weights, bias: sum(columns) + bias, "the sum of the columns"),
    ("08.1", lambda columns, weights, bias: columns[0] * weights[0] + bias, "the first column alone"),
    ("08.1", lambda columns, weights, bias: by_columns(columns[:-1], weights[:-1], bias), "last column is missing"),
    ("08.1", lambda columns, weights, bias: by_columns(columns, [2 * weights[0], *weights[1:]], bias), "in it twice"),
    ("08.1", lambda columns, weights, bias: sum(products(columns, weights)) * 0.5, "multiplies twice"),
    ("08.1", lambda columns, weights, bias: by_columns(columns, np.divide(weights, len(weights)), bias), "the mean of"),
    ("08.1", lambda columns, weights, bias: columns[0] - bias, "bias + weight times feature"),
    ("08.4", 8192, "give three things"),
    ("08.4", (8192, 32, 32), "the bits of all primes"),
    ("08.4", (8192, CHOSEN[1], 2**32), "40, not 2**40"),
    ("08.4", (8192, CHOSEN[1], 2.0**32), "the number of bits of the scale"),
    ("08.4", (8192, (60, 40, 40, 40, 40, 60), 40), "128-bit security allows 214 bits here"),
    ("08.4", (8192, (50, 36, 36, 36, 50), 36), "3 inner primes allow 3"),
    ("08.4", (16384, (60, 40, 40, 40, 40, 60), 40), "more than twice as large"),
    ("08.4", (8192, (38, 32, 32, 32, 32, 38), 32), "Numbers up to 32 fit"),
    ("08.4", (8192, (50, 26, 26, 26, 26, 50), 26), "times what is allowed"),
    ("08.4", (8192, (43, 33, 33, 33, 33, 43), 33), "214 bits here (ring 8192; 218 by the standard of 2018)"),
    ("08.4", (8192, (44, 31, 31, 31, 31, 44), 31), "times what is allowed"),
    ("08.4", (8192, (43, 32, 32, 32, 32, 43), 30), "does not fit inner primes"),
    ("08.5", "drift", "give two things"),
    ("08.5", ("noise", 1.0), "this is 'noise', and the choices are"),
    ("08.5", ("drift", "0.59"), "not a number"),
    ("08.5", ("too little scale", FACTOR), "different for each number, and goes up as often as down"),
    ("08.5", ("overflow", FACTOR), "jump anywhere"),
    ("08.5", ("too few levels", FACTOR), "Here it computed"),
    ("08.5", ("drift", 1 / FACTOR), "how much the numbers are too large"),
    ("08.5", ("drift", 0.8516), "mends one level"),
    ("08.5", ("drift", 1), "changes nothing"),
    ("08.5", ("drift", 0.25), "the factor is not"),
    ("08.3", 7, "give the function itself"),
    ("08.3", lambda view: view.ages.decrypt(), "which the service has not got"),
    ("08.3", lambda view: recover_key(*(rounded(told) for told in view.told)).read(view.ages), "pass both as they are"),
    ("08.3", lambda view: recover_key(view.told[0], view.told[0]), "the same equation"),
    ("08.3", lambda view: recover_key(*view.told).coefficients, "300 patients are in view.ages"),
    ("08.3", lambda view: 58 + 40 * recover_key(*view.told).read(view.ages), "These are years"),
    ("08.3", lambda view: np.zeros(300), "is a guess"),
    ("08.3", lambda view: np.linspace(-1, 1, 300), "First the key"),
    ("08.2", True, "give the function itself"),
    ("08.2", lambda context: context.is_private(), "It misses one after make_context_public()"),
    ("08.2", lambda context: False, "says False to every context"),
    ("08.2", lambda context: True, "says True to every context"),
    ("08.2", lambda context: context.has_public_key(), "also fears one read from bytes with all keys but"),
    ("08.2", lambda context: context.has_galois_keys(), "fears one read from bytes with all keys but"),
    ("08.2", lambda context: context.decryptor() is not None, "catch it, it is an answer"),
    ("08.2", lambda context: "yes", "True or False is wanted"),
]


@pytest.fixture(scope="module", autouse=True)
def made_once() -> Iterator[None]:
    """What the judge encrypts and hands out is made once, for no answer here changes it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_encrypted_cohort", "handed_over"):
            patch.setattr(chapter_08, name, functools.cache(getattr(chapter_08, name)))
        view = chapter_08.service_view(np.random.default_rng(3).uniform(-1, 1, 300), seed=4)
        patch.setattr(chapter_08, "service_view", lambda ages, seed: view)
        yield


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


@pytest.mark.parametrize(("bits", "ends", "enough"), [(32, 43, True), (31, 44, False)])
def test_the_error_that_is_asked_for_needs_32_bits(bits: int, ends: int, enough: bool) -> None:
    """Encryption is randomised: the verdict goes by a median, which must be far enough from the line to be no luck."""
    error = chapter_08.measured_error(Parameters("tried", 8192, (ends, *[bits] * 4, ends), bits))
    assert (error < chapter_08.ERROR) is enough
    assert not 0.9 < error / chapter_08.ERROR < 1.1


# The notebook ----------------------------------------------------------------------------------------------------

Cells = dict[str, NotebookNode]


@pytest.fixture(scope="module")
def stored() -> Cells:
    return cells("08_homomorphic_encryption")


def test_the_notebook_asks_with_the_numbers_that_the_judge_knows(stored: Cells) -> None:
    source = "\n".join(cell.source for cell in stored.values())
    assert "**4 multiplications** one after another" in source
    assert f"from −{chapter_08.REACH} to {chapter_08.REACH}" in source
    assert f"up to **{chapter_08.LARGEST:.0f}**" in source
    assert f"off by **{chapter_08.ERROR:.5f}**" in source
    assert "primes=(40, 21, 21, 21, 40), scale=21" in source
    assert all(f'`"{cause}"`' in source for cause in chapter_08.CAUSES)


def test_the_notebook_prints_no_digits_of_a_ciphertext_and_no_time(stored: Cells) -> None:
    for cell in stored.values():
        printed = json.dumps(cell.get("outputs", []), default=str)
        for mark in ("e+3", "e+2", "seconds:", "CKKSVector", "0x"):
            assert mark not in printed.split('"image/png"')[0], (cell.id, mark)


def test_the_picture_of_the_costs_draws_what_the_benchmark_measured(stored: Cells) -> None:
    scope: dict[str, Any] = {"np": np}
    exec(stored["cost-picture"].source, scope)
    took = scope["took"]
    assert set(took) == {"the kit", "batch tensor", "a patient a ciphertext"}
    for what in ("linear", "sigmoid"):
        assert took["batch tensor"][what] < 1  # "below a second"
        assert 0.5 < took["the kit"][what] / took["batch tensor"][what] < 0.7  # "about 60 %"
        assert 30 < took["a patient a ciphertext"][what] < 1200  # "minutes"
