"""`dates`: a person's dates move together, nobody else's with them, and no pseudonym tells by how much."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ppml_helpers.errors import PseudonymError
from ppml_helpers.people.identifiers import new_key
from ppml_helpers.pseudonymise.dates import shift_dates
from ppml_helpers.pseudonymise.pseudonyms import Pseudonymiser

KEY = bytes(range(32))
STAYS = pd.DataFrame(
    {
        "id": ["Zoe\u0308", "b", " Zoë", "b"],
        "day": pd.to_datetime(["1993-12-30 13:05", "1993-01-01 00:00", "1994-01-02 00:00", None]),
    },
    index=[5, 7, 9, 11],
)


def days(key: bytes, people: list[str], most: int) -> np.ndarray:
    zero = pd.Series(pd.Timestamp("1993-06-01"), index=range(len(people)))
    return (shift_dates(zero, people, key, most) - zero).dt.days.to_numpy()


def test_what_lies_between_two_dates_of_a_person_stays() -> None:
    moved = shift_dates(STAYS["day"], STAYS["id"], KEY)
    assert moved[9] - moved[5] == STAYS["day"][9] - STAYS["day"][5], "one person, typed in two ways"
    assert moved[5] - STAYS["day"][5] != moved[7] - STAYS["day"][7]
    assert pd.isna(moved[11])
    assert (moved.name, moved.index.tolist(), moved.dtype) == ("day", [5, 7, 9, 11], "datetime64[us]")
    in_parts = [shift_dates(STAYS["day"].iloc[[row]], STAYS["id"].iloc[[row]], KEY) for row in (3, 1, 0, 2)]
    pd.testing.assert_series_equal(pd.concat(in_parts).sort_index(), moved)  # tables that are shifted apart fit


def test_every_shift_is_equally_likely_and_the_key_decides() -> None:
    people = [f"person {number}" for number in range(21_000)]
    shifts = days(KEY, people, 10)
    counts = Counter(shifts.tolist())
    assert set(counts) == set(range(-10, 11))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 45.3  # chi-squared, 20 degrees, 1 in 1,000
    assert (days(new_key(), people, 10) == shifts).mean() == pytest.approx(1 / 21, abs=0.015)


@pytest.mark.parametrize("domain", ["date shift of person ", "date shift", "of person"])
def test_a_pseudonym_under_the_same_key_does_not_tell_the_shift(domain: str) -> None:
    people = [f"person {number}" for number in range(4_000)]
    made = Pseudonymiser(KEY, domain).of(people)
    for guess in (lambda text: int(text, 16), lambda text: int(text[:8], 16)):
        told = np.array([guess(text) % 21 - 10 for text in made])
        assert (told == days(KEY, people, 10)).mean() < 0.08, "no better than chance, which is 1 / 21"


def test_dates_of_any_kind_move_by_the_clock_they_show() -> None:
    moved = shift_dates(STAYS["day"], STAYS["id"], KEY)
    zoned = STAYS["day"].dt.tz_localize("Europe/Berlin")
    for day in (STAYS["day"].astype("datetime64[ns]"), STAYS["day"].astype("timestamp[s][pyarrow]"), zoned):
        pd.testing.assert_series_equal(shift_dates(day, STAYS["id"].astype("category"), KEY), moved)
    end = pd.Series(pd.to_datetime(["9999-12-31"]))
    assert shift_dates(end, ["a"], KEY).notna().all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dates": STAYS["day"].astype(str)}, "dates must be one column of dates"),
        ({"dates": STAYS[["day"]]}, "dates must be one column of dates"),
        ({"ids": ["a"]}, "1 ids for 4 dates"),
        ({"ids": STAYS["id"].sort_values()}, "with the same index"),
        ({"ids": ["a", "b", None, "c"]}, r"ids\[2\] is missing"),
        ({"key": b"a password, not a key"}, "key is text"),
        ({"most": 0}, "most = 0"),
    ],
)
def test_what_cannot_be_shifted_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(PseudonymError, match=words):
        shift_dates(**{"dates": STAYS["day"], "ids": STAYS["id"], "key": KEY} | changed)
