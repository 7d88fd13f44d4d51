"""Numbers and names in words."""

from __future__ import annotations

import pytest

from ppml_helpers import words


def test_a_share_in_percent() -> None:
    assert [words.percent(0.123), words.percent(0.123, 1), words.percent(1)] == ["12 %", "12.3 %", "100 %"]


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0"), (0.0012, "0.12"), (0.5, "50"), (0.947, "95"), (0.96, "96"), (0.9996, "99.96"), (1, "100")],
)
def test_a_share_in_100_never_hides_a_gap_to_all(share: float, said: str) -> None:
    assert words.in_100(share) == said


def test_a_small_share_as_one_in_so_many() -> None:
    assert [words.one_in(0.5), words.one_in(1e-5)] == ["1 in 2", "1 in 100,000"]


def test_a_number_with_its_noun() -> None:
    said = [words.counted(number, "patient") for number in (0, 1, 1_200)]
    assert said == ["0 patients", "1 patient", "1,200 patients"]


@pytest.mark.parametrize(
    ("names", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), (iter([1, 2, 3]), "1, 2 and 3")],
)
def test_names_in_one_line(names: object, said: str) -> None:
    assert words.listed(names) == said


def test_names_with_another_word_and_a_most() -> None:
    assert words.listed("abc", "or") == "a, b or c"
    assert words.listed("abcdef", most=2) == "a, b and 4 more"
    assert words.listed("ab", most=2) == "a and b"
