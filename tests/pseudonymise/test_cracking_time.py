"""How long a dictionary needs: the lists are counted, the attack is real, the time is arithmetic on a speed."""

from __future__ import annotations

import hashlib
import hmac

import pandas as pd
import pytest

from ppml_helpers.people import identities, national_id
from ppml_helpers.pseudonymise import cracking_time
from ppml_helpers.pseudonymise.cracking_time import (
    IDENTIFIERS,
    METHODS,
    YEAR,
    birth_dates,
    crack,
    is_quick,
    measured_speed,
    span_in_words,
    time_needed,
)

SPEED = {"SHA-256": 2.5e6, "scrypt": 20.0}


# The lists ------------------------------------------------------------------------------------------------------------


def test_the_lists_are_counted_and_record_numbers_hold_every_patient(people: pd.DataFrame) -> None:
    days = birth_dates()
    assert (days[0], days[-1], len(days)) == ("1890-01-01", "1989-12-31", 100 * 365 + 24)
    assert IDENTIFIERS["birth date, sex, postcode"].size == len(days) * 2 * 600
    numbers = IDENTIFIERS["record number"].candidates()
    assert [number for number, _ in zip(numbers, range(2), strict=False)] == ["H1000000", "H1000001"]
    assert people["mrn"].str.fullmatch(r"H[1-9]\d{6}").all()


def test_the_count_of_all_national_ids_agrees_with_the_rule_on_a_sample() -> None:
    """One sequence in eleven has no check digit; the test range of the same rule has the same share."""
    size = IDENTIFIERS["national id, all"].size
    assert size == 909_090_910
    assert size / 1e9 == pytest.approx(len(identities.national_ids()) / 1e6, rel=1e-5)
    assert sum(national_id.check_digit(f"{n:09d}") is not None for n in range(1_100)) == pytest.approx(1_000, abs=9)


# The attack -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "method"), [("birth date", "one salt, known"), ("national id, test range", "plain SHA-256")]
)
def test_a_hash_without_a_key_is_opened_completely(people: pd.DataFrame, identifier: str, method: str) -> None:
    what = IDENTIFIERS[identifier]
    attack = crack(people, what, METHODS[method])
    assert attack.recovered == 1.0
    assert set(attack.found.values()) == set(what.of(people))
    assert 0 < attack.tried <= what.size


def test_an_hmac_is_opened_by_its_own_key_and_by_no_other(
    people: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, way = IDENTIFIERS["birth date"], METHODS["HMAC, secret key"]
    attack = crack(people[:50], what, way)
    assert (attack.recovered, attack.tried) == (0.0, what.size)
    monkeypatch.setattr(cracking_time, "new_key", lambda: b"stolen")
    assert crack(people[:50], what, way).recovered == 1.0


def test_the_methods_are_what_they_are_called() -> None:
    salt, text = b"public salt 1234", "1950-01-01"
    made = {way.name: way.hasher(salt)(text) for way in METHODS.values() if way.hasher}
    assert made == {
        "SHA-256": hashlib.sha256(text.encode()).hexdigest(),
        "salted SHA-256": hashlib.sha256(salt + text.encode()).hexdigest(),
        "HMAC": hmac.new(salt, text.encode(), "sha256").hexdigest(),
    }


def test_what_is_quick_is_run_and_the_rest_is_not() -> None:
    quick = {(name, method) for name, what in IDENTIFIERS.items() for method, way in METHODS.items()
             if is_quick(what, way)}  # fmt: skip
    listed = {"birth date", "record number", "national id, test range"}
    run = {(name, method) for name in listed for method in ("plain SHA-256", "one salt, known", "HMAC, secret key")}
    assert quick == run - {("record number", "HMAC, secret key")}  # nine million HMACs take too long to wait for


# The time -------------------------------------------------------------------------------------------------------------


def test_the_time_is_tries_over_speed_and_cores_and_salts_multiply_it_by_the_records() -> None:
    tries = IDENTIFIERS["national id, all"].size
    needed = {name: time_needed(way, tries, 9105, 10, SPEED) for name, way in METHODS.items()}
    low, high = needed["plain SHA-256"]
    assert (low, high) == pytest.approx((tries / 1e8, tries / 1e7))  # the speed to its power of ten, around the true
    assert low < tries / 2.5e6 / 10 < high
    assert needed["a salt per record, known"] == pytest.approx((9105 * low, 9105 * high), rel=1e-12)
    assert needed["slow hash (scrypt)"][1] == pytest.approx(tries / 10 / 10)
    assert needed["HMAC, secret key"] is None


def test_the_speeds_are_measured_and_in_order() -> None:
    assert measured_speed("SHA-256") > measured_speed("scrypt") > 0


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.01, "less than a second"),
        (0.5, 5, "at most 5 seconds"),
        (6, 60, "6 seconds to 1 minute"),
        (90, 900, "1.5 to 15 minutes"),
        (8.3e5, 8.3e6, "9.6 to 96 days"),
        (YEAR, 10 * YEAR, "1 to 10 years"),
        (3e12 * YEAR, 3e13 * YEAR, "10^12 to 10^13 years"),
    ],
)
def test_spans_of_time_in_words(low: float, high: float, words: str) -> None:
    assert span_in_words(low, high) == words
