"""The judges of chapter 09b: right answers in several forms, and a sentence for each wrong one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from answers import cells, reply

from ppml_helpers.secure_computation.tf_encrypted_exercises import OWN_CUTS, OWN_LINES

STORED = cells("09b_tf_encrypted")
GOOD_CUTS = (-3.4, -1.4, 1.4, 3.4)
GOOD_LINES = [(0.0162, 0.0), (0.2935, 0.0805), (0.5, 0.2286), (0.7065, 0.0805), (0.9838, 0.0)]


def by_order(a: int, b: int, of_a: np.ndarray, of_b: np.ndarray) -> list[float]:
    """The same as the solution, in whole numbers of Python."""
    alone = of_b[1] if (a + 1) % 3 == b else of_b[0]
    sums = [sum(map(int, column)) % 2**64 for column in zip(*of_a, alone, strict=True)]
    return [(number - 2**64 * (number >= 2**63)) / 2**16 for number in sums]


def together(wrong: Callable) -> Callable:
    """A function of the three shares, each once."""

    def collude(a: int, b: int, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        shares = {a: of_a[0], (a + 1) % 3: of_a[1], b: of_b[0], (b + 1) % 3: of_b[1]}
        return wrong(shares[0] + shares[1] + shares[2])

    return collude


def guess(x: tuple[int, ...], y: tuple[int, ...], message: int) -> int | None:
    return y[0] ^ y[1] ^ message if x[1] and not y[1] else None


@pytest.mark.parametrize("number", [1, 3])
def test_the_solution_is_right_and_the_open_answer_is_open(number: int) -> None:
    names: dict = {"np": np}
    source = STORED[f"solution-{number}"].source
    exec(source.partition("\n\n\ncheck(")[0], names)
    answer = names["collude" if number == 1 else "reads"]
    assert reply(f"09b.{number}", answer) == ""
    assert "nothing to check yet" in reply(f"09b.{number}", ...)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("09b.1", by_order),
        ("09b.1", together(lambda number: number.astype(np.int64) * 2.0**-16)),
        ("09b.2", (GOOD_CUTS, GOOD_LINES)),
        ("09b.2", [np.array(GOOD_CUTS), np.array(GOOD_LINES)]),
        ("09b.2", (GOOD_CUTS, [GOOD_LINES[0][:1], *GOOD_LINES[1:4], GOOD_LINES[4][:1]])),
        ("09b.3", guess),
        ("09b.3", lambda x, y, m: bool(sum(y) + m & 1) if (x[1], y[1]) == (1, 0) else None),
    ],
)
def test_a_right_answer_may_be_written_in_several_ways(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("09b.1", 62, "Give a function"),
        ("09b.1", together(lambda number: number.view(np.int64)), "multiples of 2^-16"),
        ("09b.1", together(lambda number: number / 2**16), "Negative values come out huge"),
        ("09b.1", together(lambda number: number.view(np.int64)[:1] / 2**16), "the shape (1,)"),
        ("09b.1", lambda a, b, p, q: (p.sum(0) + q.sum(0)).view(np.int64) / 2**16, "hold one share both"),
        ("09b.1", lambda a, b, p, q: (p.sum(0) + q[1]).view(np.int64) / 2**16, "With servers 0 and 2"),
        ("09b.1", lambda a, b, p, q: p.sum(0).view(np.int64) / 2**16, "Which three shares"),
        ("09b.1", lambda a, b, p: p, "TypeError"),
        ("09b.2", 0.02, "Give `pieces`"),
        ("09b.2", (OWN_CUTS, OWN_LINES), "the library's own pieces, off by 0.040"),
        ("09b.2", (GOOD_CUTS, OWN_LINES), "0.02 is allowed"),
        ("09b.2", (GOOD_CUTS, [line[::-1] for line in GOOD_LINES]), "the other way round"),
        ("09b.2", (GOOD_CUTS[::-1], GOOD_LINES), "must rise"),
        ("09b.2", (GOOD_CUTS[:3], GOOD_LINES), "make 4 pieces"),
        ("09b.2", ((*GOOD_CUTS, 5.0), [*GOOD_LINES, (1.0, 0.0)]), "four are allowed"),
        ("09b.2", (GOOD_CUTS, [(*line, 0.0) for line in GOOD_LINES]), "A line has two numbers"),
        ("09b.2", (GOOD_CUTS, [(np.nan, 0.0)] * 5), "finite numbers"),
        ("09b.3", 1, "Give a function"),
        ("09b.3", lambda x, y, m: y[0] ^ y[1] ^ m, "both bits fit"),
        ("09b.3", lambda x, y, m: None, "where y is certain"),
        ("09b.3", lambda x, y, m: m if x[1] and not y[1] else None, "one share of y"),
        ("09b.3", lambda x, y, m: y[0] ^ y[1] ^ m if x[1] else None, "both bits fit"),
    ],
)
def test_wrong_answers_get_their_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)
