"""Shares: a coalition that is too small has uniform numbers, whatever the secret; a large enough one has the secret."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation.shares import RINGS, Board, Shared, coalition, put_together, score_by_hand, share


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_coalition_that_is_large_enough_has_the_secret(data: st.DataObject) -> None:
    ring = data.draw(st.sampled_from(RINGS))
    parties = data.draw(st.integers(2, 8))
    threshold, value = data.draw(st.integers(1, parties)), data.draw(st.integers(0, ring - 1))
    held = share(value, parties, threshold, ring, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert held.shape == (parties,)
    for members in itertools.islice(itertools.combinations(range(parties), threshold), 20):
        assert put_together(held, members, parties, threshold, ring) == value


@pytest.mark.parametrize(("parties", "threshold"), [(3, 3), (5, 3), (7, 4)])
def test_a_smaller_coalition_has_uniform_numbers_for_every_secret(parties: int, threshold: int) -> None:
    rng, seen = np.random.default_rng(1), []
    for value in (0, 63):
        held = share(value, parties, threshold, RINGS[0], rng, repeats=20_000)
        for members in itertools.combinations(range(parties), threshold - 1):
            numbers = put_together(held, members, parties, threshold, RINGS[0])
            assert stats.chisquare(np.bincount(numbers, minlength=RINGS[0])).pvalue > 1e-5
        joint = held[:, 0] // 33 * 8 + held[:, 1] // 33  # two shares together are uniform on the square
        seen.append(np.bincount(joint, minlength=64))
    assert stats.chi2_contingency(np.array(seen)[:, np.sum(seen, axis=0) > 0]).pvalue > 1e-5


def test_a_coalition_falls_at_the_threshold_and_not_before() -> None:
    below, at = (coalition(63, 7, 4, RINGS[0], members) for members in (3, 4))
    assert not below.falls
    assert below.right < 0.02
    assert at.falls
    assert set(at.others) == {(63 + RINGS[0] // 2) % RINGS[0]}


def test_shared_numbers_are_added_and_multiplied_without_being_opened() -> None:
    rng, board = np.random.default_rng(0), Board()
    a, b = Shared.of(25, 3, rng), Shared.of(17, 3, rng)
    assert board.open(a + b) == 42
    assert board.open(2 * a - b + 1) == 34
    assert board.opened == [42, 34]


def test_scores_by_hand_are_right_and_what_is_sent_is_counted() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(50, 4)), rng.normal(size=4)
    scores, rounds, sent = score_by_hand(values, weights, rng)
    assert np.abs(scores - values @ weights).max() < 1e-3
    assert (rounds, sent) == (2, 8 * (50 * 4 + 4 + 50)), "x - a, w - b, and a share of each score"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parties": 1}, "parties = 1"),
        ({"threshold": 4}, "no coalition could ever"),
        ({"threshold": 0}, "threshold = 0"),
        ({"ring": 256}, "ring = 256 is not on offer"),
        ({"value": 257}, "value = 257"),
        ({"value": -1}, "value = -1"),
    ],
)
def test_what_cannot_be_shared_is_refused(change: dict, words: str) -> None:
    setting = {"value": 63, "parties": 3, "threshold": 2, "ring": 257} | change
    with pytest.raises(ComputationError, match=words):
        share(**setting, rng=np.random.default_rng(0))
