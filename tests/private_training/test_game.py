"""The membership game: nobody beats the exact bound, the attacker comes close to it, and nothing is counted twice."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.special import ndtr

from ppml_helpers import accounting
from ppml_helpers.accounting import SampledGaussian
from ppml_helpers.private_training.engine import RECIPES
from ppml_helpers.private_training.game import Game, judged

SETTINGS = list(itertools.product((0.1, 1.0, 3.0, 10.0), (0.3, 2.0), (1, 3), (1, 4)))[2:]  # 30 of them


def table(rows: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, 8)).astype("float32")
    return X, (X[:, 0] + rng.normal(size=rows) > 0).astype(int)


def game(epsilon: float, norm: float, rows: int, model: str = "logistic regression") -> Game:
    recipe = dataclasses.replace(RECIPES[model], clipping_norm=norm)
    sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
    return Game(*table(), recipe, sigma, rows)


@pytest.mark.parametrize(("epsilon", "norm", "rows", "releases"), SETTINGS)
def test_no_setting_shows_more_than_its_trainings_allow(epsilon: float, norm: float, rows: int, releases: int) -> None:
    one = game(epsilon, norm, rows)
    played = one.play(200, releases)
    bound = accounting.exact_accuracy(
        [SampledGaussian(one.noise_multiplier, 1.0, one.recipe.steps * releases)], rows=rows
    )
    assert bound == pytest.approx(
        ndtr(np.sqrt(one.recipe.steps * releases) * rows / one.noise_multiplier / 2), abs=1e-3
    )
    assert played.interval[0] <= bound
    assert played.games == 200
    if bound > 0.9:  # an attacker who sees next to nothing would pass the line above, too
        assert played.share > 0.8


def test_an_attacker_finds_too_little_noise_out() -> None:
    one = game(10.0, 2.0, 1)
    bound = accounting.exact_accuracy([SampledGaussian(one.noise_multiplier, 1.0, one.recipe.steps)])
    careless = dataclasses.replace(one, noise_multiplier=one.noise_multiplier / 4, scores={True: [], False: []})
    assert careless.play(200).interval[0] > bound


def test_the_network_is_played_with_batches_of_its_own_and_the_bound_holds() -> None:
    one = game(10.0, 1.0, 5, "MLP")
    played = one.play(40)
    bound = accounting.exact_accuracy([SampledGaussian(one.noise_multiplier, one.recipe.sample_rate, 100)], rows=5)
    assert played.interval[0] <= bound
    assert played.share > 0.6


def test_more_games_train_only_what_is_missing_and_releases_are_other_models() -> None:
    one = game(3.0, 1.0, 1)
    one.play(40)
    before = {side: list(scores) for side, scores in one.scores.items()}
    assert len(set(before[True] + before[False])) == 40  # each game has noise of its own
    one.play(60)
    assert all(one.scores[side][:20] == before[side] and len(one.scores[side]) == 30 for side in before)
    one.play(20, releases=4)
    assert all(len(scores) == 40 for scores in one.scores.values())


def test_the_count_of_right_guesses_is_honest() -> None:
    rng = np.random.default_rng(1)
    blind = [judged(rng.normal(size=50), rng.normal(size=50)) for _ in range(300)]
    assert np.mean([played.share for played in blind]) == pytest.approx(0.5, abs=0.01)  # nothing read, nothing won
    assert np.mean([played.interval[0] <= 0.5 <= played.interval[1] for played in blind]) > 0.94
    sharp = [judged(rng.normal(1, 1, 50), rng.normal(-1, 1, 50)).share for _ in range(100)]
    assert np.mean(sharp) == pytest.approx(ndtr(1), abs=0.02)
