"""The dictionary attack finds all that a list of candidates can find, and nothing that a key protects."""

from __future__ import annotations

import base64
import hashlib
import itertools
import uuid
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from ppml_helpers.errors import AttackError
from ppml_helpers.pseudonymise import guessing_attack
from ppml_helpers.pseudonymise.cracking_time import METHODS
from ppml_helpers.pseudonymise.guessing_attack import Cracked, dictionary_attack
from ppml_helpers.pseudonymise.pseudonyms import Pseudonymiser, new_key

DATES = pd.date_range("1890-01-01", "1990-12-31").strftime("%Y-%m-%d")
keyed = METHODS["HMAC, secret key"].hasher
sha256 = METHODS["plain SHA-256"].hasher(b"")


def test_everybody_on_the_list_is_found() -> None:
    victims = [*DATES[::100], DATES[-1]]
    result = dictionary_attack([sha256(text) for text in victims], np.array(DATES, dtype="U10"), sha256)
    assert result == Cracked({sha256(text): text for text in victims}, len(DATES), 1.0)
    assert {type(text) for text in result.found.values()} == {str}


@pytest.mark.parametrize("guess", [sha256, keyed(new_key()), lambda text: sha256(text)[:32]])
def test_a_keyed_pseudonym_is_found_with_its_key_only(guess) -> None:
    hospital = Pseudonymiser(new_key(), "research")
    assert dictionary_attack(hospital.of(DATES), DATES, guess) == Cracked({}, len(DATES), 0.0)
    assert dictionary_attack(hospital.of(DATES[:50]), DATES, lambda text: hospital.of([text])[0]).recovered == 1.0


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
    assert dictionary_attack(given, ["a", "b"], sha256) == Cracked({sha256("a"): "a"}, 2, 0.75)


WRITINGS = {
    "small": bytes.hex,
    "capitals": lambda raw: raw.hex().upper(),
    "colons": lambda raw: raw.hex(":"),
    "0X": lambda raw: f"0X{raw.hex()}",
    "sha256:": lambda raw: f"sha256:{raw.hex()}",
    "a salt and $": lambda raw: f"'sha256$qa-1993${raw.hex().upper()}'",
    "sha-256-": lambda raw: f"sha-256-{base64.b64encode(raw).decode()}",
    "{SHA256}": lambda raw: f"{{SHA256}}{base64.b64encode(raw).decode()}",
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64 of addresses, bare": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    "base32": lambda raw: base64.b32encode(raw).decode().rstrip("=").lower(),
    "identifier with dashes": lambda raw: str(uuid.UUID(bytes=raw[:16])).upper(),
}
MADE = ("small", "capitals", "base64", "base64 of addresses, bare", "identifier with dashes", "sha256:")  # by a hasher


@pytest.mark.parametrize(("given", "made"), [(one, other) for one in WRITINGS for other in MADE])
def test_a_digest_is_found_however_it_is_written_and_a_keyed_one_is_not(given: str, made: str) -> None:
    short = 16 if "identifier with dashes" in (given, made) else 32

    def writing(name: str, function=hashlib.sha256):
        return lambda text: WRITINGS[name](function(text.encode()).digest()[:short])

    hold = [writing(given)(text) for text in DATES[:30]]
    result = dictionary_attack([*hold, hold[0]], iter(DATES[:40]), writing(made))
    assert result == Cracked(dict(zip(hold, DATES[:30], strict=True)), 30, 1.0)
    assert dictionary_attack(hold, DATES[:40], writing(made, hashlib.sha3_256)).recovered == 0


def test_a_digest_that_was_cut_or_sent_in_an_address_is_found() -> None:
    cut = [sha256(text)[:31].upper() for text in DATES[:30]]
    assert dictionary_attack(cut, DATES[:30], lambda text: sha256(text)[:31]).recovered == 1
    sent = [quote(WRITINGS["base64"](bytes.fromhex(sha256(text))), safe="") for text in DATES[:30]]
    assert dictionary_attack(sent, DATES[:30], sha256).recovered == 1


def test_short_texts_that_only_look_like_digests_are_taken_as_they_are() -> None:
    assert dictionary_attack(["CAFE", "cafe"], ["cafe"], str) == Cracked({"cafe": "cafe"}, 1, 0.5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which each look is 20 ms after the one before."""
    ticks = itertools.count()
    monkeypatch.setattr(guessing_attack.time, "perf_counter", lambda: 0.02 * next(ticks))


def test_progress_is_told_as_time_passes_and_rises_to_one(clock: None) -> None:
    told: list[tuple[float, str]] = []
    dictionary_attack([sha256("nobody")], DATES[:30], sha256, lambda share, what: told.append((share, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert 5 < len(shares) < 30
    assert told[-1] == (1.0, "30 tried, 0 of 1 found")


def test_a_generator_has_no_length_and_is_read_no_further_than_needed(clock: None) -> None:
    told: list[float] = []
    endless = (str(number) for number in itertools.count())
    result = dictionary_attack([sha256("5"), sha256("700")], endless, sha256, lambda share, _: told.append(share))
    assert result.tried == 701
    assert set(told[:-1]) == {0.0, 0.5}
    assert told[-1] == 1.0


def test_progress_may_stop_it_in_the_middle(clock: None) -> None:
    numbers = iter(range(1000))
    with pytest.raises(ZeroDivisionError):
        dictionary_attack([sha256("nobody")], map(str, numbers), sha256, lambda share, what: 1 / 0)
    assert next(numbers) < 100


@pytest.mark.parametrize(
    ("given", "candidates", "hasher", "words"),
    [
        ([], ["a"], sha256, "pseudonyms is empty"),
        (["x"], [], sha256, "candidates is empty"),
        (["x"], "abc", sha256, "candidates is one str"),
        (["x"], [5], sha256, "failed on the candidate 5"),
        (["x"], ["a"], None, "hasher is of type NoneType"),
        (["x"], ["a"], lambda text: text.encode(), "returned a bytes"),
    ],
)
def test_bad_input(given, candidates, hasher, words: str) -> None:
    with pytest.raises(AttackError, match=words):
        dictionary_attack(given, candidates, hasher)
