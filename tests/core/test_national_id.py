"""`national_id`: the check digit detects every slip that it promises to detect, and the whole range passes."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ppml_helpers.errors import IdentityError
from ppml_helpers.people.national_id import check_digit, national_ids, valid_national_id


@pytest.mark.parametrize(("nine", "digit"), [("943476591", 9), ("401023213", 7), ("987654321", 0), ("999000001", 8)])
def test_known_check_digits(nine: str, digit: int) -> None:
    by_hand = 11 - sum(int(c) * w for c, w in zip(nine, range(10, 1, -1), strict=True)) % 11
    assert check_digit(nine) == digit == by_hand % 11


ids = st.integers(0, 909_090).map(lambda position: str(national_ids(position, 1)[0]))


@given(ids, st.integers(0, 9), st.integers(1, 9))
def test_any_single_wrong_digit_is_detected(number: str, place: int, shift: int) -> None:
    assert valid_national_id(number)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    assert not valid_national_id(wrong)


@given(ids, st.integers(0, 8))
def test_any_swap_of_neighbours_is_detected(number: str, place: int) -> None:
    assume(number[place] != number[place + 1])
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert not valid_national_id(swapped)


def test_the_whole_range_of_national_ids() -> None:
    every = national_ids()
    assert every.shape == (909_091,)
    assert (every[1:] > every[:-1]).all()  # none twice
    assert all(number.startswith("999") and valid_national_id(str(number)) for number in every[::1000])
    assert list(national_ids(5, 3)) == list(every[5:8])
    assert len(national_ids(909_091)) == len(national_ids(7, 0)) == 0


def test_what_is_no_national_id() -> None:
    assert valid_national_id("943 476 5919")
    assert valid_national_id("943-476-5919")
    assert valid_national_id("943\u00a0476\u202f5919"), "blanks that do not break"
    for text in ("943 476 5918", "9434 76 5919", "943476591", "94347659190", " 9434765919", "", "٩434765919"):
        assert not valid_national_id(text), text
    nine = next(f"{n:09}" for n in range(999_000_000, 999_001_000) if check_digit(f"{n:09}") is None)
    assert not any(valid_national_id(f"{nine}{digit}") for digit in range(10)), "eleven less ten is no digit"
    for text in ("12345678", "12345678x", 123456789, "١٢٣٤٥٦٧٨٩"):
        with pytest.raises(IdentityError, match="exactly nine digits: leave out"):
            check_digit(text)
    for no_text in (9434765919, pd.Series(["9434765919"] * 2)):
        with pytest.raises(IdentityError, match="lost its leading zeros") as told:
            valid_national_id(no_text)
        assert "9434765919" not in str(told.value)
    with pytest.raises(IdentityError, match="909,091 valid national ids"):
        national_ids(909_090, 2)
    with pytest.raises(IdentityError, match="first = -1"):
        national_ids(-1)
