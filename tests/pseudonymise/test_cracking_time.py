"""How long a dictionary needs: the lists are counted, the attack is real, the time is arithmetic on a speed."""

from __future__ import annotations

import hashlib
import hmac

import pandas as pd
import pytest

from ppml_helpers.people import identities, national_id
from ppml_helpers.pseudonymise import cracking_time
from ppml_helpers.pseudonymise.cracking_time import (
    CARD,
    HASH_FUNCTIONS,
    IDENTIFIERS,
    METHODS,
    ORDINARY_CORE,
    YEAR,
    attackers,
    birth_dates,
    crack,
    is_quick,
    measured_speed,
    texts,
    time_in_words,
    time_needed,
)

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
    assert set(attack.found.values()) == set(texts(people, what.column))
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


def test_the_time_is_tries_over_speed_and_salts_multiply_it_by_the_records() -> None:
    tries, speeds = IDENTIFIERS["national id, all"].size, attackers({"SHA-256": 2.5e6, "scrypt": 20.0})
    needed = {name: time_needed(way, tries, 9105, speeds["10 cores"]) for name, way in METHODS.items()}
    assert needed["plain SHA-256"] == needed["one salt, known"] == pytest.approx(tries / 2.5e7)
    assert needed["a salt per record, known"] == pytest.approx(9105 * tries / 2.5e7)
    assert needed["slow hash (scrypt)"] == pytest.approx(tries / 200)
    assert needed["HMAC, secret key"] is None


def test_a_graphics_card_opens_salted_ids_in_minutes_at_its_published_speed_whatever_a_core_does() -> None:
    size, salted = IDENTIFIERS["national id, all"].size, METHODS["a salt per record, known"]
    card = attackers({"SHA-256": 1.0, "scrypt": 1.0})[CARD]
    assert card is attackers()[CARD]
    assert time_needed(salted, size, 1, card) < 1
    assert time_in_words(time_needed(salted, size, 9105, card)) == "22 minutes"
    assert time_in_words(time_needed(salted, size, 9105, ORDINARY_CORE)) == "48 days"
    assert time_needed(METHODS["slow hash (scrypt)"], size, 1, card) is None  # not published


def test_the_speed_of_this_machine_can_be_measured() -> None:
    speed = measured_speed()
    assert set(speed) == set(HASH_FUNCTIONS) == set(ORDINARY_CORE)
    assert speed["SHA-256"] > speed["scrypt"] > 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.99, "less than a second"),
        (1, "1 second"),
        (90, "1.5 minutes"),
        (8.3e5, "9.6 days"),
        (10 * YEAR, "10 years"),
        (3e12 * YEAR, "10^12 years"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words
