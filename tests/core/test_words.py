"""Numbers and names in words."""

from __future__ import annotations

import pytest

from ppml_helpers import words


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0"), (0.0012, "0.12"), (0.5, "50"), (0.947, "95"), (0.96, "96"), (0.9996, "99.96"), (1, "100")],
)
def test_a_share_in_100_never_hides_a_gap_to_all(share: float, said: str) -> None:
    assert words.in_100(share) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (words.percent(0.123), "12 %"),
        (words.percent(0.123, 1), "12.3 %"),
        (words.one_in(1e-5), "1 in 100,000"),
        (words.counted(0, "patient"), "0 patients"),
        (words.counted(1, "patient"), "1 patient"),
        (words.counted(1_200, "patient"), "1,200 patients"),
        (words.listed([]), ""),
        (words.listed(iter([1])), "1"),
        (words.listed("ab", most=2), "a and b"),
        (words.listed("abc", "or"), "a, b or c"),
        (words.listed("abcdef", most=2), "a, b and 4 more"),
    ],
)
def test_what_is_said(found: str, said: str) -> None:
    assert found == said
