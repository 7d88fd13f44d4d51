"""Training a block of shadow models at once, with closed-form gradients.

All models of a block take their steps together, as one computation on tensors whose first dimension is the model.
`shadow.train_shadows` deals out the blocks and keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ppml_helpers.attack_and_audit.lira import Members
from ppml_helpers.private_training import engine
from ppml_helpers.private_training.engine import Models, Recipe

_SECOND_DECAY, _TINY = 0.999, 1e-8  # Adam's (Kingma and Ba 2015); its first decay is the recipe's momentum


@dataclass(frozen=True)
class Setting:
    """How the models of a block are trained.

    Attributes
    ----------
    recipe : Recipe
    noise_multiplier : float
        Standard deviation of the noise, in clipping norms; 0 adds none.
    adam : bool
        Whether to step by Adam instead of momentum.
    """

    recipe: Recipe
    noise_multiplier: float
    adam: bool


def train_block(
    table: Tensor,
    labels: Tensor,
    member: Members,
    setting: Setting,
    seeds: list[int],
    tell: Callable[[float], None],
) -> Models:
    """Train one model a row of `member`, as `private_training.train` would on that row's records."""
    recipe = setting.recipe
    weights = engine._initial(recipe.hidden, table.shape[1], seeds, table.dtype)
    shapes = [weight.shape[1:] for weight in weights]
    flat = torch.cat([weight.flatten(1) for weight in weights], dim=1)
    average = torch.zeros_like(flat)
    first_averaged = min(round(recipe.steps * (1 - recipe.averaged)), recipe.steps - 1)
    expected_batch = recipe.sample_rate * len(table) / 2
    noise = _noise(flat, setting, seeds)
    gradients = (_network_gradients if recipe.hidden else _regression_gradients)(table, labels, member, recipe, shapes)
    update = (_adam if setting.adam else _momentum)(flat, recipe)
    batches = torch.Generator().manual_seed(seeds[0] + 1_000_003)  # apart from the noise's stream
    with _one_thread():
        for step in range(recipe.steps):
            chosen = None
            if recipe.sample_rate < 1:
                chosen = (torch.rand(len(table), generator=batches) < recipe.sample_rate).nonzero().squeeze(1)
            gradient = gradients(flat, chosen)
            if noise is not None:
                gradient.add_(noise(step))
            update(gradient.div_(expected_batch), step)
            if step >= first_averaged and recipe.averaged > 0:
                average.add_(flat, alpha=1 / (recipe.steps - first_averaged))
            tell((step + 1) / recipe.steps)
    trained = average if recipe.averaged > 0 else flat
    return Models(tuple(weight.contiguous() for weight in engine._unflatten(trained, shapes)), recipe.hidden)


Gradients = Callable[[Tensor, Tensor | None], Tensor]


def _regression_gradients(
    table: Tensor, labels: Tensor, member: Members, recipe: Recipe, shapes: list[torch.Size]
) -> Gradients:
    """Return (weights, batch) -> sums of clipped gradients of logistic regression, one row a model.

    All models share one matrix product over all records. The residual of a record is a number between 0 and 1 (see
    `private_training`), so one upper limit does three things: it clips, it lets members through (1 does not limit),
    and it silences the others (0).
    """
    rows, longest = engine._patients(table, labels, 0, recipe.clipping_norm)
    limit = torch.from_numpy(member).to(table.dtype) * longest.clamp(max=1.0)

    def sums(flat: Tensor, chosen: Tensor | None) -> Tensor:
        batch = rows if chosen is None else rows.index_select(0, chosen)
        most = limit if chosen is None else limit.index_select(1, chosen)
        residual = (flat @ batch.T).sigmoid_()
        return torch.minimum(residual, most, out=residual) @ batch

    return sums


def _network_gradients(
    table: Tensor, labels: Tensor, member: Members, recipe: Recipe, shapes: list[torch.Size]
) -> Gradients:
    """Return (weights, batch) -> sums of clipped gradients of the two-layer network, one row a model.

    With full batches each model gets a copy of its own half, because work on the other half would be thrown away.
    A sample is shared by all models, and a mask picks each model's members.
    """
    X, y, squares = engine._patients(table, labels, recipe.hidden, recipe.clipping_norm)
    own = torch.stack([torch.from_numpy(np.flatnonzero(row)) for row in member])
    full = recipe.sample_rate == 1
    halves = (X[own], y[own], squares[own], None) if full else None
    mask = torch.from_numpy(member).to(table.dtype)

    def sums(flat: Tensor, chosen: Tensor | None) -> Tensor:
        weights = engine._unflatten(flat, shapes)
        if chosen is None:
            return _clipped_sums(weights, *halves, recipe.clipping_norm)
        batch = X[chosen].expand(len(flat), -1, -1), y[chosen], squares[chosen], mask.index_select(1, chosen)
        return _clipped_sums(weights, *batch, recipe.clipping_norm)

    return sums


def _clipped_sums(
    weights: list[Tensor], X: Tensor, y: Tensor, squares: Tensor, mask: Tensor | None, clipping_norm: float
) -> Tensor:
    """Add up clipped gradients over each model's records, X of shape (models, records, d).

    The formula is that of `private_training.clipped_gradient_sums`.
    """
    first, first_bias, second, second_bias = weights
    h = torch.baddbmm(first_bias[:, None, :], X, first).tanh_()
    residual = torch.baddbmm(second_bias[:, None, :], h, second[:, :, None]).squeeze(2).sigmoid_().sub_(y)
    slope = torch.addcmul(torch.ones((), dtype=h.dtype), h, h, value=-1).mul_(second[:, None, :])
    if not math.isinf(clipping_norm):
        longest = clipping_norm / torch.sqrt(_squared(h) + 1 + _squared(slope) * squares)
        residual = residual.clamp_(-longest, longest)
    if mask is not None:
        residual.mul_(mask)
    slope.mul_(residual[:, :, None])
    parts = (
        (X.transpose(1, 2) @ slope).flatten(1),
        slope.sum(dim=1),
        (residual[:, None, :] @ h).squeeze(1),
        residual.sum(dim=1, keepdim=True),
    )
    return torch.cat(parts, dim=1)


def _squared(units: Tensor) -> Tensor:
    """Return the squared length of each record's row; a matrix product is faster than a sum over a short axis."""
    return ((units * units) @ torch.ones(units.shape[2], 1, dtype=units.dtype)).squeeze(2)


def _noise(flat: Tensor, setting: Setting, seeds: list[int]) -> Callable[[int], Tensor] | None:
    if setting.noise_multiplier == 0:
        return None
    scale = engine._noise_scales([setting.noise_multiplier] * len(seeds), seeds, setting.recipe).to(flat.dtype)
    return engine._noise(flat.shape[1], seeds, setting.recipe.steps, scale)


Update = Callable[[Tensor, int], None]


def _momentum(flat: Tensor, recipe: Recipe) -> Update:
    """Return (gradient, step) -> None that steps `flat` in place, with momentum."""
    velocity = torch.zeros_like(flat)

    def update(gradient: Tensor, step: int) -> None:
        velocity.mul_(recipe.momentum).add_(gradient)
        flat.sub_(velocity, alpha=recipe.learning_rate)

    return update


def _adam(flat: Tensor, recipe: Recipe) -> Update:
    """Return (gradient, step) -> None that steps `flat` in place, by Adam."""
    mean, square = torch.zeros_like(flat), torch.zeros_like(flat)

    def update(gradient: Tensor, step: int) -> None:
        mean.mul_(recipe.momentum).add_(gradient, alpha=1 - recipe.momentum)
        square.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1 - _SECOND_DECAY)
        spread = (square / (1 - _SECOND_DECAY ** (step + 1))).sqrt_().add_(_TINY)
        flat.addcdiv_(mean, spread, value=-recipe.learning_rate / (1 - recipe.momentum ** (step + 1)))

    return update


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep to one thread: handing such small steps out costs more than it saves, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
