"""Pseudonyms: the same person the same text, nobody else's, and none without the key."""

from __future__ import annotations

import copy
import hmac
import pickle
import unicodedata

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import hmac as other_hmac
from hypothesis import example, given
from hypothesis import strategies as st

from ppml_helpers.errors import PseudonymError
from ppml_helpers.people.identifiers import MISSING
from ppml_helpers.pseudonymise.pseudonyms import LENGTH, Pseudonymiser, new_key, rotate

KEY = bytes(range(32))
texts = st.text(st.characters(exclude_categories=["Cs", "Cf"])).filter(lambda text: text.strip() not in {"", *MISSING})
keys = st.binary(min_size=16, max_size=64).map(lambda key: key + bytes(range(120, 136)))  # no text
# 36,525 days: a century of birth dates with its leap days
BIRTH_DATES = pd.date_range("1901-01-01", "2000-12-31").strftime("%Y-%m-%d")


def oracle(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 of another library."""
    state = other_hmac.HMAC(key, hashes.SHA256())
    state.update(message)
    return state.finalize()


def refused(words: str):
    return pytest.raises(PseudonymError, match=words)


# ------------------------------------------------------------------------------------------------ what it computes


def test_the_oracle_and_the_standard_library_agree_with_rfc_4231() -> None:
    key, data = bytes(range(1, 26)), b"\xcd" * 50  # test case 4
    expected = "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
    assert oracle(key, data).hex() == hmac.digest(key, data, "sha256").hex() == expected


@given(key=keys, domain=texts, identifier=texts)
@example(key=KEY, domain="Ko\u0308ln", identifier=" Jo\u0308rg Müller\n")  # an umlaut may be typed in two ways
def test_it_is_the_hmac_of_the_documented_message(key: bytes, domain: str, identifier: str) -> None:
    name, person = (unicodedata.normalize("NFC", text).strip().encode() for text in (domain, identifier))
    message = len(name).to_bytes(4, "big") + name + person
    assert Pseudonymiser(key, domain).of([identifier])[0] == oracle(key, message).hex()[:32]


def test_a_known_pseudonym_stays_what_it_is() -> None:
    # Changing it would orphan every table that was pseudonymised before.
    made = Pseudonymiser(KEY, "research").of(pd.Series(["9990000018"], index=[7], name="national_id"))
    pd.testing.assert_series_equal(made, pd.Series(["a9bf13c61886298b5632afd79ebf6d9f"], index=[7], dtype="str"))


@given(key=keys, domain=texts, ids=st.lists(texts, max_size=20))
def test_the_same_again_and_in_any_company(key: bytes, domain: str, ids: list[str]) -> None:
    together = Pseudonymiser(key, domain).of(ids)
    assert list(together) == [Pseudonymiser(key, domain).of([one])[0] for one in ids]
    assert all(len(text) == LENGTH and set(text) <= set("0123456789abcdef") for text in together)


@given(
    key=keys,
    text=st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"], exclude_characters="nN<"), min_size=3),
    cut=st.data(),
)
def test_domain_and_identifier_cannot_be_shifted_into_each_other(key: bytes, text: str, cut: st.DataObject) -> None:
    one, two = cut.draw(st.lists(st.integers(1, len(text) - 1), min_size=2, max_size=2))
    first = Pseudonymiser(key, text[:one]).of([text[one:]])[0]
    second = Pseudonymiser(key, text[:two]).of([text[two:]])[0]
    assert (first == second) == (one == two)


def test_no_two_birth_dates_share_a_pseudonym_and_another_key_or_domain_changes_all() -> None:
    assert len(BIRTH_DATES) == 36_525
    first = Pseudonymiser(KEY, "research").of(BIRTH_DATES)
    other_key = Pseudonymiser(KEY[::-1], "research").of(BIRTH_DATES)
    other_domain = Pseudonymiser(KEY, "billing").of(BIRTH_DATES)
    assert len({*first, *other_key, *other_domain}) == 3 * 36_525


# ------------------------------------------------------------------------------------------------------- rotation


def test_a_rotation_carries_a_table_over_without_an_identifier() -> None:
    ids = pd.Series([f"person {number}" for number in range(200)] * 2)
    old, new = Pseudonymiser(KEY, "d"), Pseudonymiser(new_key(), "d")
    mapping = rotate(old, new, ids)
    assert len(mapping) == 200
    assert old.of(ids).map(mapping).tolist() == new.of(ids).tolist()
    assert list(mapping) == sorted(mapping), "the order of the identifiers does not show"
    assert not any("person" in text for pair in mapping.items() for text in pair)


def test_a_rotation_to_the_same_is_refused() -> None:
    with refused("same key and domain"):
        rotate(Pseudonymiser(KEY, "d"), Pseudonymiser(KEY, " d "), ["a"])
    with refused("new is of type bytes, it must be a Pseudonymiser"):
        rotate(Pseudonymiser(KEY, "d"), KEY, ["a"])  # type: ignore[arg-type]
    assert rotate(Pseudonymiser(KEY, "d"), Pseudonymiser(KEY, "e"), []) == {}


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("key", "domain", "ids", "words"),
    [
        ("0123456789abcdef", "d", [], r"key is a str, a key must be bytes: make one with new_key\(\)"),
        (KEY, " ", [], "^domain is empty"),
        (KEY, "d", ["a", np.nan], r"ids\[1\] is missing"),
        (KEY, "d", "9990000018", r"ids is one str, .*write \[ids\]"),
    ],
)
def test_what_is_no_key_no_domain_or_no_identifier(key: object, domain: str, ids: object, words: str) -> None:
    with refused(words):
        Pseudonymiser(key, domain).of(ids)  # type: ignore[arg-type]


def test_the_key_never_shows() -> None:
    key = b"secret" + bytes(range(128, 154))
    pseudonymiser = Pseudonymiser(key, "research")
    for shown in (repr(pseudonymiser), str(pseudonymiser), f"{[pseudonymiser]}"):
        assert "research" in shown
        assert "secret" not in shown
        assert key.hex() not in shown
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with refused("cannot be pickled or copied"):
            leave(pseudonymiser)
    with refused("at least 16") as caught:
        Pseudonymiser(b"secret", "d")
    assert "secret" not in str(caught.value)
