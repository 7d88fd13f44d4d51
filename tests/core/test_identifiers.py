"""`identifiers`: two ways of typing one identifier are one, what is none is named by its place and never shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ppml_helpers.errors import PseudonymError
from ppml_helpers.people.identifiers import check_key, checked, checked_text, like, new_key


def test_one_identifier_has_one_form_and_the_answer_looks_like_the_question() -> None:
    ids = pd.Series([" Zoe\u0308 ", "\ufeffZoë", "\u200b zoë \u200e", "007", "A\u200dB"], index=[3, 4, 5, 6, 7])
    found = checked(ids, "ids", PseudonymError)
    assert found == ["Zoë", "Zoë", "zoë", "007", "A\u200dB"]
    pd.testing.assert_series_equal(like(ids, found, name="p"), pd.Series(found, index=ids.index, name="p", dtype="str"))
    assert like(["a"], ["x"]).tolist() == ["x"]


ABSENT = (None, np.nan, pd.NA, pd.NaT)


@pytest.mark.parametrize(
    "value",
    [
        *ABSENT,
        *map(str, ABSENT),
        7,
        b"x",
        "  ",
        "\ud800",
        "\ufeff ",
        "A\u200bB",
        ["x"],
        {"x": 1},
        pd.Series(["x", "y"]),
    ],
)
def test_what_is_no_identifier_is_refused(value: object) -> None:
    with pytest.raises(PseudonymError, match=r"^ids\[1\] "):
        checked(["a", value], "ids", PseudonymError)
    for no_column in ("one", 7, {"a": 1}, pd.DataFrame({"a": ["x"]}), np.array([["x"]]), np.array("x")):
        with pytest.raises(PseudonymError, match=r"^ids is "):
            checked(no_column, "ids", PseudonymError)


@pytest.mark.parametrize("value", [9434765919, "\ud800Anna"])
def test_a_refusal_never_shows_the_identifier(value: object) -> None:
    with pytest.raises(PseudonymError) as refusal:
        checked_text(value, "patient", PseudonymError)
    assert "9434765919" not in str(refusal.value)
    assert "Anna" not in str(refusal.value)


PASSWORD = b"correct horse battery staple"


@pytest.mark.parametrize(
    "key",
    [
        *("text", b"short", b"\0" * 32, bytes(range(32)).hex().encode(), "Schlüssel der Klinik".encode()),
        *(PASSWORD + b"1234", PASSWORD.ljust(32, b"\0"), PASSWORD + b"!\r\n", PASSWORD.decode().encode("utf-16")),
        *("Schlüssel der Klinik".encode("latin-1"), b"\xef\xbb\xbf" + PASSWORD, b"\0\1" * 16),
    ],
)
def test_what_is_no_key_is_refused_and_never_shown(key: object) -> None:
    with pytest.raises(PseudonymError, match=r"make one with new_key\(\)") as refusal:
        check_key(key, "key", PseudonymError)
    assert "horse" not in str(refusal.value)
    for _ in range(2_000):
        assert check_key(new_key(), "key", PseudonymError, exactly=32), "no random key is taken for a password"
