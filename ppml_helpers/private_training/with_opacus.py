"""The plain road: DP-SGD by Opacus, for any network of PyTorch.

Yousefpour et al. (2021), "Opacus: User-friendly differential privacy library in PyTorch".
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ppml_helpers import accounting, checks
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError
from ppml_helpers.private_training.engine import Labels, Recipe, Table, checked, starting_weights


class OpacusRun(NamedTuple):
    """A model trained by Opacus, and what its accountant says."""

    model: nn.Module
    epsilon: float
    noise_multiplier: float
    sample_rate: float
    steps: int


def network(columns: int, hidden: int = 0, seed: int = 0) -> nn.Module:
    """Return logistic regression (no hidden units) or a two-layer network in plain PyTorch, started as the engine's."""
    weights = starting_weights(hidden, columns, [seed], torch.float32)
    layers = [nn.Linear(columns, hidden), nn.Linear(hidden, 1)] if hidden else [nn.Linear(columns, 1)]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, weights[0::2], weights[1::2], strict=True):
            layer.weight.copy_(weight[0].T if weight.dim() == 3 else weight)
            layer.bias.copy_(bias[0])
    return layers[0] if hidden == 0 else nn.Sequential(layers[0], nn.Tanh(), layers[1])


def train_with_opacus(
    X: Table,
    y: Labels,
    model: nn.Module,
    *,
    epsilon: float,
    epochs: int,
    batch_size: int,
    clipping_norm: float,
    learning_rate: float,
    delta: float = accounting.DELTA,
    seed: int = 0,
) -> OpacusRun:
    """Train a model by Opacus' own ``make_private_with_epsilon`` with Poisson batches.

    Parameters
    ----------
    X : DataFrame or ndarray, shape (n, d)
    y : Series or ndarray, shape (n,)
        Labels 0 and 1, both present.
    model : torch.nn.Module
        Gives log-odds, shape (n, 1); its layers must be ones that Opacus supports.
    epsilon, delta : float
        The promise to keep.
    epochs : int
        Expected number of times that a patient is used.
    batch_size : int
        Expected number of patients in a batch, at most n.
    clipping_norm, learning_rate : float
    seed : int
        Of batches and noise.

    Returns
    -------
    OpacusRun
    """
    from opacus import PrivacyEngine
    from opacus.validators import ModuleValidator

    table, labels = checked(X, y)
    checks.whole(batch_size, "batch_size", 1, len(table), error=TrainingDataError)
    checks.whole(epochs, "epochs", 1, error=PrivacyParameterError, mend="it counts rounds over the patients")
    accounting.check_target(epsilon)
    accounting.check_training(delta=delta)
    Recipe(1, learning_rate, clipping_norm)
    for name, value in (("epsilon", epsilon), ("clipping_norm", clipping_norm)):
        if math.isinf(value):
            raise PrivacyParameterError(f"{name} is {value}; private training needs a finite one: give such a number.")
    unsupported = ModuleValidator.validate(model, strict=False)
    if unsupported:
        raise PrivacyParameterError(f"Opacus cannot bound each patient's gradient in this model: {unsupported[0]}")
    batches, noise = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    data = TensorDataset(table.float(), labels.float()[:, None])
    loader = DataLoader(data, batch_size=batch_size, generator=batches)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    with warnings.catch_warnings():
        # Expected here and said in the course: the noise is not cryptographic; inputs need no gradient of their own.
        warnings.filterwarnings("ignore", "Secure RNG turned off|Full backward hook is firing|Optimal order is")
        engine = PrivacyEngine(accountant="prv")
        try:
            model, optimizer, loader = engine.make_private_with_epsilon(
                module=model,
                optimizer=optimizer,
                data_loader=loader,
                target_epsilon=epsilon,
                target_delta=delta,
                epochs=epochs,
                max_grad_norm=clipping_norm,
                poisson_sampling=True,
                noise_generator=noise,
            )
        except ValueError as error:  # its accountant works to 0.01, so that it finds no noise for a tiny epsilon
            raise PrivacyParameterError(
                f"epsilon is {epsilon:g}; Opacus finds no noise for it ({error}): ask for a larger epsilon."
            ) from error
        loss, steps = nn.BCEWithLogitsLoss(), 0
        for _ in range(epochs):
            for batch, batch_labels in loader:
                optimizer.zero_grad()
                loss(model(batch), batch_labels).backward()
                optimizer.step()
                steps += 1
        spent = float(engine.get_epsilon(delta))
    return OpacusRun(model, spent, float(optimizer.noise_multiplier), float(loader.sample_rate), steps)
