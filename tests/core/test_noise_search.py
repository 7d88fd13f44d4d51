"""`noise_search`: enough noise and not more, found soon, and a table that is what its command gives."""

from __future__ import annotations

import pytest
from dp_accounting.pld import privacy_loss_distribution
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppml_helpers import accounting, noise_search
from ppml_helpers.private_training import explorer as widget
from ppml_helpers.private_training.engine import RECIPES

MLP = RECIPES["MLP"]


@settings(max_examples=100, deadline=None)
@given(
    target=st.floats(1e-3, 100),
    rate=st.just(1.0),
    steps=st.integers(1, 1000),
    delta=st.floats(-9, -2).map(lambda exponent: 10**exponent),
)
@example(target=0.05, rate=0.1, steps=200, delta=1e-5)
@example(target=1.7, rate=0.2, steps=60, delta=1e-6)
@example(target=0.0221, rate=1.752e-4, steps=3030, delta=8.5e-9)  # a coarse grid is a fifth off here
@example(target=1e4, rate=1.0, steps=1, delta=1e-5)
def test_the_noise_is_enough_and_not_more(target: float, rate: float, steps: int, delta: float) -> None:
    noise = accounting.noise_multiplier(target, rate, steps, delta)
    assert accounting.epsilon(noise, rate, steps, delta) <= target
    assert accounting.epsilon(noise * 0.998, rate, steps, delta) > target


@pytest.mark.parametrize(("target", "rate", "steps"), [(1_000.0, 0.25, 12), (2.0, 0.083, 36), (0.004, 0.25, 12)])
def test_a_search_asks_for_few_fine_grids(
    target: float, rate: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fine grid takes up to a second, so most of the search is done on a coarse one."""
    asked = []
    composed = noise_search.composed
    monkeypatch.setattr(noise_search, "composed", lambda *what: asked.append(what) or composed(*what))
    noise_search.least_noise.__wrapped__(target, rate, steps, 1e-5)
    fine = {parts for parts, _, cells in asked if cells == 10_000}
    assert len(fine) <= 3
    assert len({parts for parts, *_ in asked}) <= 16


def test_every_entry_keeps_its_promise() -> None:
    for key, noise in noise_search.table().items():
        target, q, steps, delta = (float(number) for number in key.split())
        grid = min(1e-3, target / 1_000)
        loss = privacy_loss_distribution.from_gaussian_mechanism(
            noise, sampling_prob=q, value_discretization_interval=grid
        )
        spent = loss.self_compose(int(steps)).get_epsilon_for_delta(delta)
        # A key is rounded to 9 digits: its entry must also do for a target that is a little smaller.
        assert target * 0.995 < spent <= target * (1 - 1e-8), key


def test_the_table_is_what_its_command_gives() -> None:
    """For three entries; a few hundredths of a per cent lie within the search's own precision."""
    made = noise_search.build_table([0.1, 1.0, 10.0], MLP.sample_rate, MLP.steps, accounting.DELTA)
    assert made == pytest.approx({key: noise_search.table()[key] for key in made}, rel=3e-4)
    assert len(made) == 3


def test_the_slider_never_waits_for_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*_: float) -> float:
        raise AssertionError("searched at run time")

    monkeypatch.setattr(noise_search, "least_noise", search)
    noises = [accounting.noise_multiplier(e, MLP.sample_rate, MLP.steps) for e in widget.SLIDER]
    assert len(noises) == 31
    assert noises == sorted(noises, reverse=True)
