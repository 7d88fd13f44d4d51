"""The colleague of 05.5 trains as the kit does, but for the noise that models of one seed share."""

from __future__ import annotations

import numpy as np

from ppml_helpers.private_training.careless import careless_train
from ppml_helpers.private_training.engine import Recipe, train


def test_models_of_one_seed_differ_in_the_size_of_their_noise_only() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (300, 4))
    y = (X[:, 0] > 0).astype(float)
    recipe = Recipe(1, learning_rate=1.0, clipping_norm=0.3, averaged=0, momentum=0)
    own = train(X, y, recipe, [0.0], [7], divisor=250).vectors()[0]
    two, four = careless_train(X, y, recipe, [2.0, 4.0], [7, 7], 250).vectors()
    np.testing.assert_allclose(2 * two - four, own, atol=1e-6)  # one step: the extrapolation is exact
    assert np.abs(two - own).max() > 1e-3
    kept = train(X, y, recipe, [2.0, 4.0], [7, 7], divisor=250).vectors()
    assert np.abs(2 * kept[0] - kept[1] - own).max() > 1e-3
