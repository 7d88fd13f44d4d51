"""The dial of chapter 00: its limits are those of (epsilon, delta), and it says what it shows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppml_helpers import accounting
from ppml_helpers.errors import ExplorerError
from ppml_helpers.start_here.explorer import DELTAS, FALSE_ALARMS, PRIOR, PromiseExplorer, belief_after
from ppml_helpers.words import in_100


@pytest.fixture(scope="module")
def explorer() -> PromiseExplorer:
    return PromiseExplorer()


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 10**0.5, 10.0])
@pytest.mark.parametrize("false_alarms", FALSE_ALARMS)
def test_the_odds_rise_by_no_more_than_the_cap(explorer: PromiseExplorer, epsilon: float, false_alarms: float) -> None:
    for delta in DELTAS:
        promise = explorer.compute(lambda *_: None, epsilon=epsilon, false_alarms=false_alarms, delta=delta)
        fold = promise.belief / (1 - promise.belief) / (PRIOR / (1 - PRIOR))
        assert fold == pytest.approx(promise.found / false_alarms)
        assert fold <= (math.exp(epsilon) + delta / false_alarms) * (1 + 1e-9)
        assert promise.guess >= 0.5
        assert promise.found >= false_alarms


def test_the_noisiest_release_that_keeps_the_promise_stays_below_the_line(explorer: PromiseExplorer) -> None:
    """Randomised response is the mechanism that reaches the limit: simulate the attacker on it."""
    epsilon, people = 1.0, 400_000
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    generator = np.random.default_rng(0)
    says_inside = generator.random(people) < truth  # of those inside
    wrongly = generator.random(people) >= truth  # of those outside
    promise = explorer.set(epsilon=epsilon, false_alarms=0.1, delta=1e-7).result
    thinned = 0.1 / (1 - truth)  # name only some of them, to keep to 10 % false alarms
    assert thinned * wrongly.mean() == pytest.approx(0.1, abs=0.002)
    assert thinned * says_inside.mean() == pytest.approx(promise.found, abs=0.003)
    assert (says_inside.mean() + (~wrongly).mean()) / 2 == pytest.approx(promise.guess, abs=0.003)


def test_the_sentence_at_epsilon_1(explorer: PromiseExplorer) -> None:
    sentence = explorer.set(epsilon=1.0, false_alarms=0.01, delta=1e-5).sentence
    assert "epsilon 1 and delta 1 in 100,000" in sentence
    assert "right more than 73 times in 100 if both were equally likely before (a coin: 50)" in sentence
    assert "names at most 2.7 in 100" in sentence
    assert "at most 23 in 100 likely" in sentence


def test_each_knob_changes_picture_and_sentence(explorer: PromiseExplorer) -> None:
    seen = [(explorer.set(epsilon=1.0, false_alarms=0.001, delta=1e-5).sentence, explorer.redraw())]
    for knob in ({"epsilon": 0.1}, {"false_alarms": 0.05}, {"delta": 1e-3}):
        seen.append((explorer.set(**knob).sentence, explorer.redraw()))
    sentences, pictures = zip(*seen, strict=True)
    assert len(set(sentences)) == len(set(pictures)) == 4


def test_the_picture_holds_the_line_the_coin_and_the_present_point(explorer: PromiseExplorer) -> None:
    promise = explorer.set(epsilon=1.0, false_alarms=0.01, delta=1e-5).result
    left, right = explorer._figure.axes
    coin, limit, point = left.lines
    assert limit.get_linestyle() == "--"
    assert np.all(limit.get_ydata() >= coin.get_ydata())
    assert point.get_xydata()[0] == pytest.approx([0.01, promise.found])
    assert right.lines[-1].get_xydata()[0] == pytest.approx([PRIOR, promise.belief])


def test_a_bundle_has_picture_sentence_and_widget(explorer: PromiseExplorer) -> None:
    data, metadata = explorer._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"] == metadata["image/png"]["alt"] == explorer.sentence
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize(
    "knob", [{"epsilon": 0.0}, {"epsilon": 11.0}, {"epsilon": math.nan}, {"false_alarms": 0.3}, {"delta": 0.1}]
)
def test_a_value_that_is_not_on_offer_is_refused(explorer: PromiseExplorer, knob: dict[str, float]) -> None:
    with pytest.raises(ExplorerError, match="choose one"):
        explorer.set(**knob)


def test_an_unknown_knob_is_refused(explorer: PromiseExplorer) -> None:
    with pytest.raises(ExplorerError, match="no knob 'sigma'; it has epsilon, false_alarms, delta"):
        explorer.set(sigma=1.0)


def test_belief_is_bayes() -> None:
    # 1,000 people, 100 inside: 30 of them named, and 9 of the 900 outside.
    assert belief_after(0.1, 0.3, 0.01) == pytest.approx(30 / 39)
    assert belief_after(np.array([0.0, 1.0]), 0.3, 0.01) == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.001, "0.1"), (0.0272, "2.7"), (0.5, "50"), (0.731, "73"), (0.95, "95"), (0.9933, "99.3"), (1.0, "100")],
)
def test_shares_are_said_so_that_the_gap_to_100_shows(share: float, said: str) -> None:
    assert in_100(share) == said
    assert in_100(accounting.membership_accuracy(10.0)) == "99.995"
