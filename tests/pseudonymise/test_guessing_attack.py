"""The dictionary attack finds all that a list of candidates can find, and nothing that a key protects."""

from __future__ import annotations

import hashlib
import itertools
import time

import pandas as pd
import pytest

from ppml_helpers.errors import AttackError, PseudonymError
from ppml_helpers.people.identities import national_ids
from ppml_helpers.pseudonymise.guessing_attack import HASHERS, Cracked, dictionary_attack, rate, sha256
from ppml_helpers.pseudonymise.pseudonyms import Pseudonymiser, new_key, plain_hash

DATES = pd.date_range("1890-01-01", "1990-12-31").strftime("%Y-%m-%d")


def test_every_plain_hashed_birth_date_is_found() -> None:
    victims = pd.Series(DATES).sample(9105, replace=True, random_state=0)
    result = dictionary_attack(plain_hash(victims), DATES, sha256)
    assert result.recovered == 1.0
    assert plain_hash(victims).map(result.found).tolist() == victims.tolist()


def test_every_national_id_of_the_test_range_is_found() -> None:
    everyone = national_ids()
    assert len(everyone) > 900_000
    victims = [*everyone[::100], everyone[-1]]
    result = dictionary_attack(plain_hash(victims), everyone, sha256)
    assert result.recovered == 1.0
    assert result.tried == len(everyone)
    assert {sha256(text): text for text in victims} == result.found
    assert {type(text) for text in result.found.values()} == {str}


@pytest.mark.parametrize("guess", [sha256, HASHERS["HMAC"](new_key()), lambda text: sha256(text)[:32]])
def test_no_keyed_pseudonym_is_found(guess) -> None:
    result = dictionary_attack(Pseudonymiser(new_key(), "research").of(DATES), DATES, guess)
    assert result == Cracked({}, len(DATES), 0.0)


def test_with_the_key_the_keyed_ones_fall_too() -> None:
    key = new_key()
    victims = [HASHERS["HMAC"](key)(text) for text in DATES[:50]]
    assert dictionary_attack(victims, DATES, HASHERS["HMAC"](key)).recovered == 1.0
    stolen = Pseudonymiser(key, "research")
    assert dictionary_attack(stolen.of(DATES[:50]), DATES, lambda text: stolen.of([text])[0]).recovered == 1.0


@pytest.mark.parametrize("name", [name for name in HASHERS if name not in ("SHA-256", "HMAC")])
def test_a_known_salt_does_not_protect_and_a_wrong_one_finds_nothing(name: str) -> None:
    candidates = DATES[:3]
    victims = [HASHERS[name](b"public salt 1234")(text) for text in candidates]
    assert dictionary_attack(victims, candidates, HASHERS[name](b"public salt 1234")).recovered == 1.0
    assert dictionary_attack(victims, candidates, HASHERS[name](b"another salt 123")).recovered == 0.0


def test_the_hashers_are_what_they_are_called() -> None:
    salt, text = b"public salt 1234", "1950-01-01"
    assert HASHERS["SHA-256"](b"")(text) == plain_hash([text])[0]
    assert HASHERS["salted SHA-256"](salt)(text) == hashlib.sha256(salt + text.encode()).hexdigest()
    assert HASHERS["PBKDF2"](salt)(text) == hashlib.pbkdf2_hmac("sha256", text.encode(), salt, 10_000).hex()
    assert HASHERS["scrypt"](salt)(text) == hashlib.scrypt(text.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32).hex()
    key = new_key()
    assert HASHERS["HMAC"](key)(text) == Pseudonymiser(key, "dictionary").of([text])[0]
    with pytest.raises(PseudonymError, match="at least 16"):
        HASHERS["HMAC"](b"short")


def test_it_stops_when_all_are_found_and_counts_what_it_tried() -> None:
    asked = []

    def hasher(text: str) -> str:
        asked.append(text)
        return sha256(text)

    result = dictionary_attack([sha256(DATES[999]), sha256(DATES[3])], DATES, hasher)
    assert result.tried == len(asked) == 1000
    assert result.recovered == 1.0


def test_a_part_is_counted_by_rows() -> None:
    given = [sha256("a"), sha256("a"), sha256("a"), sha256("not in the list")]
    result = dictionary_attack(given, ["a", "b"], sha256)
    assert result == Cracked({sha256("a"): "a"}, 2, 0.75)


def test_progress_rises_to_one_and_slow_hashes_report_too() -> None:
    told: list[tuple[float, str]] = []
    dictionary_attack([sha256("nobody")], DATES, sha256, lambda share, what: told.append((share, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 2
    assert told[-1][1] == f"{len(DATES):,} tried, 0 of 1 found"
    slow: list[float] = []

    def slowly(text: str) -> str:
        time.sleep(0.02)
        return text

    dictionary_attack(["x"], DATES[:10], slowly, lambda share, _: slow.append(share))
    assert len(slow) >= 5


def test_a_generator_has_no_length_and_is_read_no_further_than_needed() -> None:
    told: list[float] = []
    endless = (str(number) for number in itertools.count())
    result = dictionary_attack([sha256("5"), sha256("70000")], endless, sha256, lambda share, _: told.append(share))
    assert result.tried == 70_001
    assert told[-1] == 1.0
    assert all(0 <= share <= 1 for share in told)


def test_progress_may_stop_it() -> None:
    class Stopped(Exception):
        pass

    asked = 0

    def hasher(text: str) -> str:
        nonlocal asked
        asked += 1
        return sha256(text)

    def stop(share: float, what: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        dictionary_attack([sha256("nobody")], DATES, hasher, stop)
    assert asked < len(DATES)


@pytest.mark.parametrize(
    ("given", "candidates", "hasher", "words"),
    [
        ([], ["a"], sha256, "pseudonyms is empty"),
        ("abc", ["a"], sha256, "pseudonyms is one str"),
        ([None], ["a"], sha256, r"pseudonyms\[0\] = None must be text"),
        ([1.5], ["a"], sha256, r"pseudonyms\[0\] = 1.5 must be text"),
        (["x"], [], sha256, "candidates is empty"),
        (["x"], iter(()), sha256, "candidates is empty"),
        (["x"], "abc", sha256, "candidates is one str"),
        (["x"], None, sha256, "candidates is one NoneType"),
        (["x"], [5], sha256, "failed on the candidate 5"),
        (["x"], ["a"], None, "hasher is of type NoneType, it must be callable"),
        (["x"], ["a"], lambda text: text.encode(), "returned a bytes"),
    ],
)
def test_bad_input(given, candidates, hasher, words: str) -> None:
    with pytest.raises(AttackError, match=words):
        dictionary_attack(given, candidates, hasher)


def test_the_rate_is_measured() -> None:
    def slowly(text: str) -> str:
        time.sleep(0.005)
        return text

    assert 50 < rate(slowly, 0.1) <= 200
    assert rate(sha256, 0.1) > 20 * rate(HASHERS["PBKDF2"](b"public salt 1234"), 0.1)
    for seconds in (0, -1, float("nan"), float("inf"), "1", None):
        with pytest.raises(AttackError, match="must be a number above 0"):
            rate(sha256, seconds)
    with pytest.raises(AttackError, match="must be callable"):
        rate("SHA-256")  # type: ignore[arg-type]
