"""The exercises of chapter 09: right answers, and what wrong ones are told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from answers import reply

from ppml_helpers.secure_computation.costs import counted, seconds_on_line


def slow(shares: np.ndarray) -> list[int]:
    totals = [sum(int(share) for share in column) % 2**32 for column in shares.T]
    return [total - 2**32 if total >= 2**31 else total for total in totals]


def total_in_one_go(shared: list, board: object) -> int:
    return board.open(sum(shared[1:], shared[0]))


def line(steps: int = 30, rounds: float = 1, scale: float = 1.0, latency: float = 20.0) -> float:
    step = counted()[-1]
    return seconds_on_line(int(steps * step.crossings * rounds), steps * step.bytes(512) * scale, latency, 10)


def test_right_answers_in_several_forms() -> None:
    assert reply("09.1", slow) == reply("09.1", lambda s: s.sum(0, dtype=np.uint32).view(np.int32)) == ""
    assert reply("09.2", 3) == reply("09.2", 3.0) == ""
    assert reply("09.3", line()) == reply("09.3", round(line(), 1)) == ""
    assert reply("09.4", total_in_one_go) == reply("09.4", lambda s, b: b.open(sum(s, 0))) == ""


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("09.1", lambda s: s.sum(axis=0, dtype=np.uint32), "take 2^32 off"),
        ("09.1", lambda s: s.sum(axis=0, dtype=np.float64), "the arithmetic is modulo 2^32"),
        ("09.1", lambda s: s[0], "came out where 63 was shared"),
        ("09.1", lambda s: (s[0] + s[1]).view(np.int32), "With 3 parties"),
        ("09.1", lambda s: s.sum(), "a number for each patient"),
        ("09.1", lambda s: s.nothing, "AttributeError"),
        ("09.1", 63, "Give a function"),
        ("09.2", 2, "Alpha's hospitals hold 3"),
        ("09.2", 4, "honest majority"),
        ("09.2", 1, "2 shares put a secret together"),
        ("09.2", 0, "whole number"),
        ("09.2", 3.5, "whole number"),
        ("09.4", lambda s, b: sum(b.open(one) for one in s), "the deaths of one hospital"),
        ("09.4", lambda s, b: sum(sum(one.shares) for one in s) % s[0].ring, "behind its back"),
        ("09.4", lambda s, b: b.open(sum(s, 0)) + b.open(s[0] - s[0]), "numbers stand on the board"),
        ("09.4", lambda s, b: b.open(s[0]), "the total is"),
        ("09.4", lambda s, b: None, "the total is"),
        ("09.4", lambda s, b: s.total, "AttributeError"),
    ],
)
def test_wrong_answers_get_their_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: line(steps=1), "That is one step"),
        (lambda: line(scale=0), "the waiting alone"),
        (lambda: line(scale=1 / 8), "eight bits"),
        (lambda: line(latency=20_000), "in milliseconds"),
        (lambda: line(rounds=0.25), "A round crosses the line 4 times"),
        (lambda: 5.0, "both for all steps"),
    ],
)
def test_wrong_times_get_their_own_sentence(answer: Callable[[], float], words: str) -> None:
    assert words in reply("09.3", answer())
