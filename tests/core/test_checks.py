"""`checks` and `errors`: what means the same is taken, the rest refused in the caller's error: value, rule, mend."""

from __future__ import annotations

import decimal
import fractions
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import checks, errors
from ppml_helpers.errors import KitError


class RoomError(KitError):
    """A room's own error."""


def sentence_of(check: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(RoomError) as refusal:
        check(*args, error=RoomError, **kwargs)
    return str(refusal.value)


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), np.array(2)])
def test_a_whole_number_comes_back_as_an_int(value: Any) -> None:
    assert checks.whole(value, "k", 2, 2) == 2
    assert type(checks.whole(value, "k", 2)) is int


@pytest.mark.parametrize(
    "value",
    [1, 11, -(10**30), 10**30, 2.0, np.float64(2), "2", True, np.True_, None, math.nan, pd.NA, [2], decimal.Decimal(2)],
)
def test_what_is_no_whole_number_of_the_range_is_refused(value: Any) -> None:
    assert "must be a whole number from 2 to 10: choose one." in sentence_of(checks.whole, value, "k", 2, 10)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5), fractions.Fraction(1, 2)])
def test_a_number_comes_back_as_a_float(value: Any) -> None:
    assert checks.number(value, "epsilon", above=True, low=0) == 0.5
    assert type(checks.number(value, "epsilon")) is float
    assert type(checks.number(np.int16(3), "epsilon", 0, 3)) is float
    assert [checks.number(end, "x", 0, 1) for end in (0, 1)] == [0, 1]  # an end belongs to the range


@pytest.mark.parametrize(
    "value",
    [
        *(-0.1, 1.1, math.nan, math.inf, -math.inf, np.float64("nan"), 10**400, True, np.False_, "0.5", None, pd.NA),
        *(0.5j, np.array([0.5]), pd.Series([0.5]), decimal.Decimal("0.5")),
    ],
)
def test_what_is_no_number_of_the_range_is_refused(value: Any) -> None:
    assert "must be a finite number from 0 to 1: choose one." in sentence_of(checks.share, value, "rate")


def test_numbers_come_back_as_floats_and_what_a_mask_hides_is_missing() -> None:
    for given in ([1, 2], (1.0, 2.0), np.array([1, 2], dtype=object), pd.array([1, 2]), np.array([1.0, 2.0])):
        found = checks.floats(given, "weights")
        assert (found.dtype, found.tolist()) == (np.float64, [1.0, 2.0])
    assert not np.shares_memory(found, given), "what is changed later stays outside"
    for kind in (float, int):
        hidden = np.ma.array([1, 777], mask=[False, True], dtype=kind)
        np.testing.assert_equal(checks.floats(hidden, "weights"), [1.0, np.nan])
    for odd in ("mean", [[1], [1, 2]], [None, 1j], pd.Timestamp(0), pd.Series([1, pd.NA], dtype=object)):
        said = sentence_of(checks.floats, odd, "weights")
        assert said == "weights holds something that is no number: convert it."


def test_one_of_the_options_comes_back_in_its_plain_form() -> None:
    assert type(checks.choice(np.str_("age"), "column", ["age", "sex"])) is str
    assert type(checks.choice(np.int64(3), "k", (2, 3))) is int
    assert checks.choice(None, "k", (None, 3)) is None


@pytest.mark.parametrize("value", [4, True, 1.0, "1", None, [1], math.nan, np.array([1, 2])])
def test_what_is_no_option_is_refused(value: Any) -> None:
    assert "is not on offer: choose one of 1, 2." in sentence_of(checks.choice, value, "k", (1, 2))


def test_a_table_comes_back_as_it_is() -> None:
    table = pd.DataFrame({"age": [60], "sex": ["male"]})
    assert checks.table(table, "patients", ["sex", "age"]) is table
    assert "lacks the column ['age']" in sentence_of(checks.table, table, "patients", [["age"]])  # a list is no name


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([60], "patients is of type list, it must be a pandas DataFrame: load or make one."),
        (pd.Series([60]), "patients is of type Series, it must be a pandas DataFrame: load or make one."),
        (pd.DataFrame(), "patients lacks the column 'age': add it, or name one of those that are there (none)."),
        (pd.DataFrame({"age": []}), "patients has no rows, at least one is needed: load or make one."),
        (
            pd.DataFrame([[1, 2]], columns=["age", "age"]),
            "patients has two columns named 'age', names must be unique: rename one.",
        ),
        (
            pd.DataFrame({"sex": ["male"], 7: [1]}),
            "patients lacks the column 'age': add it, or name one of those that are there (sex, 7).",
        ),
    ],
)
def test_what_is_no_such_table_is_refused(value: Any, sentence: str) -> None:
    assert sentence_of(checks.table, value, "patients", ["age"]) == sentence


@pytest.mark.parametrize(
    ("check", "args", "kwargs", "words"),
    [
        (checks.number, ("much",), {}, "'much' must be a finite number: choose one."),
        (checks.number, (-1, 0), {}, "-1 must be a finite number of at least 0: choose one."),
        (checks.number, ("x",), {"high": 2e6}, "'x' must be a finite number of at most 2,000,000: choose one."),
        (checks.number, (0, 0), {"above": True}, "0 must be a finite number above 0: choose one."),
        (checks.number, (1.0, 0, 1), {"below": True}, "1.0 must be a finite number of at least 0 and below 1: choose"),
        (checks.number, (0, 0, 1), {"above": True}, "0 must be a finite number above 0 and of at most 1: choose one."),
        (checks.whole, (0, 1, 2_000), {}, "0 must be a whole number from 1 to 2,000: choose one."),
        (checks.whole, (np.float64(2.5), 1_000), {"mend": "why"}, "2.5 must be a whole number of at least 1,000: why."),
        (checks.share, (math.nan,), {"mend": "take 0.5"}, "nan must be a finite number from 0 to 1: take 0.5."),
        (checks.choice, ("ages", ["age", "sex"]), {}, "'ages' is not on offer: choose one of 'age', 'sex'."),
    ],
)
def test_the_sentence_names_the_value_as_it_is_typed_the_range_and_the_callers_mend(check, args, kwargs, words) -> None:
    assert sentence_of(check, args[0], "k", *args[1:], **kwargs).startswith(f"k = {words}")


def test_a_long_value_is_shown_in_one_short_line() -> None:
    for value in (pd.DataFrame({"age": range(50)}), 10**5000, "x" * 5000):
        sentence = sentence_of(checks.whole, value, "k", 2, 10)
        assert "\n" not in sentence
        assert len(sentence) < 170
    assert "a number of 16,610 bits" in sentence_of(checks.number, 10**5000, "k")


def test_without_an_error_of_its_own_a_check_raises_the_kits() -> None:
    for refused in (
        lambda: checks.whole("x", "k", 1),
        lambda: checks.number("x", "k"),
        lambda: checks.share("x", "k"),
        lambda: checks.choice("x", "k", [1]),
        lambda: checks.table("x", "k"),
    ):
        with pytest.raises(KitError):
            refused()


def test_every_error_of_the_kit_is_caught_as_one_and_as_a_value_error() -> None:
    own = [thing for thing in vars(errors).values() if isinstance(thing, type)]
    assert len(own) > 10
    assert all(issubclass(error, KitError) and issubclass(error, ValueError) and error.__doc__ for error in own)
