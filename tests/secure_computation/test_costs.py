"""What a line adds, from rounds and bytes that were counted."""

from __future__ import annotations

import pytest

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation.costs import COLUMNS, counted, seconds_on_line


def test_a_line_waits_for_rounds_and_carries_bits() -> None:
    assert seconds_on_line(10, 0, latency=20) == pytest.approx(0.2)
    assert seconds_on_line(0, 12.5e6, latency=20, megabits=100) == pytest.approx(1)
    assert seconds_on_line(10, 12.5e6, latency=0, megabits=10) == pytest.approx(10)


def test_the_counts_are_those_of_the_protocols() -> None:
    total, scores, risks, step = counted()
    assert (total.rounds, scores.rounds) == (2, 2)
    assert scores.bytes_a_patient == COLUMNS * 8 + 4, "each masked value once, and half of the one that opens the score"
    assert scores.rounds < risks.rounds < step.rounds + 1
    assert step.bytes(200) - step.bytes(100) == 100 * step.bytes_a_patient


@pytest.mark.parametrize("bad", [{"rounds": -1}, {"rounds": 1.5}, {"sent": -1}, {"latency": -1}, {"megabits": 0}])
def test_what_no_line_is_like_is_refused(bad: dict) -> None:
    with pytest.raises(ComputationError, match=next(iter(bad))):
        seconds_on_line(**({"rounds": 1, "sent": 1, "latency": 1, "megabits": 1} | bad))
