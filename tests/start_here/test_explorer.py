"""The dial of chapter 00: its `limits` are those of (epsilon, delta), and it says what it shows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppml_helpers.start_here.explorer import DELTAS, FALSE_ALARMS, PromiseExplorer
from ppml_helpers.start_here.limits import PRIOR, belief_after, promise


@pytest.fixture(scope="module")
def explorer() -> PromiseExplorer:
    return PromiseExplorer()


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 10**0.5, 10.0])
def test_the_odds_rise_by_no_more_than_the_cap(epsilon: float) -> None:
    for false_alarms in FALSE_ALARMS:
        for delta in DELTAS:
            most = promise(epsilon, delta, false_alarms)
            fold = most.belief / (1 - most.belief) / (PRIOR / (1 - PRIOR))
            assert fold == pytest.approx(most.found / false_alarms)
            assert fold <= (math.exp(epsilon) + delta / false_alarms) * (1 + 1e-9)
            assert most.guess >= 0.5
            assert most.found >= false_alarms


def test_the_noisiest_release_that_keeps_the_promise_stays_below_the_line() -> None:
    """Randomised response is the mechanism that reaches the limit: simulate the attacker on it."""
    epsilon, people = 1.0, 400_000
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    generator = np.random.default_rng(0)
    says_inside = generator.random(people) < truth  # of those inside
    wrongly = generator.random(people) >= truth  # of those outside
    most = promise(epsilon, delta=1e-7, false_alarms=0.1)
    thinned = 0.1 / (1 - truth)  # name only some of them, to keep to 10 % false alarms
    assert thinned * wrongly.mean() == pytest.approx(0.1, abs=0.002)
    assert thinned * says_inside.mean() == pytest.approx(most.found, abs=0.003)
    assert (says_inside.mean() + (~wrongly).mean()) / 2 == pytest.approx(most.guess, abs=0.003)


def test_belief_is_bayes() -> None:
    # 1,000 people, 100 inside: 30 of them named, and 9 of the 900 outside.
    assert belief_after(0.1, 0.3, 0.01) == pytest.approx(30 / 39)
    assert belief_after(np.array([0.0, 1.0]), 0.3, 0.01) == pytest.approx([0.0, 1.0])


def test_each_knob_changes_picture_and_sentence(explorer: PromiseExplorer) -> None:
    seen = [(explorer.set(epsilon=1.0, false_alarms=0.01, delta=1e-5).sentence, explorer._png)]
    for words in ("more than 73 times in 100", "at most 2.7 in 100", "at most 23 in 100 likely"):
        assert words in explorer.sentence
    for knob in ({"epsilon": 0.1}, {"false_alarms": 0.05}, {"delta": 1e-3}):
        seen.append((explorer.set(**knob).sentence, explorer._png))
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == 4


def test_the_picture_holds_the_line_the_coin_and_the_present_point(explorer: PromiseExplorer) -> None:
    most = explorer.set(epsilon=1.0, false_alarms=0.01, delta=1e-5).result
    left, right = explorer._figure.axes
    coin, limit, point = left.lines
    assert limit.get_linestyle() == "--"
    assert np.all(limit.get_ydata() >= coin.get_ydata())
    assert point.get_xydata()[0] == pytest.approx([0.01, most.found])
    assert right.lines[-1].get_xydata()[0] == pytest.approx([PRIOR, most.belief])
