"""The colleagues of exercise 06.3: programs to audit as black boxes, called like `private_training.train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ppml_helpers.private_training.engine import Labels, Models, Recipe, Table, train


def _ada(X: Table, y: Labels, recipe: Recipe, noise_multipliers: Sequence[float], *rest: Any, **named: Any) -> Models:
    """Average fewer of the last steps, which only processes noisy gradients further: sound."""
    return train(X, y, replace(recipe, averaged=0.25), noise_multipliers, *rest, **named)


def _ben(X: Table, y: Labels, recipe: Recipe, noise_multipliers: Sequence[float], *rest: Any, **named: Any) -> Models:
    """Take small steps, which costs accuracy and no privacy: sound."""
    return train(X, y, replace(recipe, learning_rate=recipe.learning_rate / 4), noise_multipliers, *rest, **named)


def _cleo(X: Table, y: Labels, recipe: Recipe, noise_multipliers: Sequence[float], *rest: Any, **named: Any) -> Models:
    """Take the standard deviation that is asked for as a variance: broken."""
    return train(X, y, recipe, [math.sqrt(noise) for noise in noise_multipliers], *rest, **named)


COLLEAGUES: Mapping[str, Callable[..., Models]] = MappingProxyType({"Ada": _ada, "Ben": _ben, "Cleo": _cleo})
