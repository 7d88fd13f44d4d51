"""The explorer of chapter 09: what it shows is what the functions give, and what cannot be is refused."""

from __future__ import annotations

import pytest
from readable import assert_readable

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import SharesExplorer
from ppml_helpers.secure_computation.explorer import PATIENTS
from ppml_helpers.secure_computation.shares import coalition


@pytest.fixture(scope="module")
def explorer() -> SharesExplorer:
    return SharesExplorer()


@pytest.mark.parametrize(("parties", "threshold", "members"), [(3, 3, 2), (7, 4, 3), (7, 4, 4), (2, 2, 2)])
def test_the_secret_falls_at_the_threshold(
    explorer: SharesExplorer, parties: int, threshold: int, members: int
) -> None:
    explorer.set(value=63, parties=parties, threshold=threshold, members=members, ring=257)
    fallen = explorer.result.coalition.falls
    assert fallen == (members >= threshold)
    assert ("read 63 each time" in explorer.sentence) == fallen
    assert (explorer.result.coalition.guesses == coalition(63, parties, threshold, 257, members).guesses).all()
    assert_readable(explorer)


def test_a_slower_line_costs_its_rounds(explorer: SharesExplorer) -> None:
    explorer.set(parties=3, threshold=3, members=2, latency=10.0)
    slow, (step, seconds) = explorer.sentence, explorer.result.lines[-1]
    assert seconds == pytest.approx(step.crossings * 0.01 + step.bytes(PATIENTS) * 8 / 1e8)
    assert f"a step of training (CrypTen) {seconds:.1f} s" in slow
    explorer.set(latency=100.0)
    assert step.crossings == 4 * step.rounds
    assert explorer.result.lines[-1][1] - seconds == pytest.approx(step.crossings * 0.09)


@pytest.mark.parametrize(("knob", "words"), [("threshold", "needed = 4 of 3"), ("members", "collude = 4 of 3")])
def test_more_than_all_are_refused(explorer: SharesExplorer, knob: str, words: str) -> None:
    with pytest.raises(ComputationError, match=words):
        explorer.set(**({"parties": 3, "threshold": 3, "members": 2} | {knob: 4}))
