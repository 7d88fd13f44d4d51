"""The colleagues of exercise 06.5: programs to audit as black boxes, called like `private_training.train`."""

from __future__ import annotations

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
    return train(X, y, replace(recipe, learning_rate=1.0), noise_multipliers, *rest, **named)


def _cleo(X: Table, y: Labels, recipe: Recipe, noise_multipliers: Sequence[float], *rest: Any, **named: Any) -> Models:
    """Never clip, and add the noise of somebody who does: broken."""
    factor = 100.0  # no gradient is so long as a hundred clipping norms
    loose = replace(recipe, clipping_norm=factor * recipe.clipping_norm)
    return train(X, y, loose, [noise / factor for noise in noise_multipliers], *rest, **named)


COLLEAGUES: Mapping[str, Callable[..., Models]] = MappingProxyType({"Ada": _ada, "Ben": _ben, "Cleo": _cleo})
