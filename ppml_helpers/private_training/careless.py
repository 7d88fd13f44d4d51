"""The colleague of exercise 05.5: each of their models keeps its promise, and two of them together do not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from ppml_helpers.private_training import engine
from ppml_helpers.private_training.engine import Labels, Models, Recipe, Table, no_progress


def careless_train(
    X: Table,
    y: Labels,
    recipe: Recipe,
    noise_multipliers: Sequence[float],
    seeds: Sequence[int],
    divisor: float | None = None,
) -> Models:
    """Train as `train` does, by full batches, but draw the noise of a model from its seed alone.

    Models of one seed then differ in the size of their noise only, never in its direction.
    """
    table, labels = (part.float() for part in engine.checked(X, y, recipe))
    scale = engine._noise_scales(noise_multipliers, seeds, recipe)
    weights = engine.starting_weights(recipe.hidden, table.shape[1], seeds, torch.float32)
    noise = engine._noise(sum(w[0].numel() for w in weights), seeds, recipe.steps, scale)
    step_by = partial(engine._momentum, recipe=recipe, expected_batch=divisor or len(table))
    return engine._train(table, labels, recipe, weights, noise, torch.Generator(), None, step_by, no_progress)
