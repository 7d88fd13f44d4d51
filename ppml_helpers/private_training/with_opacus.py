"""The plain road: DP-SGD by Opacus, for any network of PyTorch.

Yousefpour et al. (2021), "Opacus: User-friendly differential privacy library in PyTorch".
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.data import TensorDataset

from ppml_helpers import accounting, checks
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError
from ppml_helpers.private_training.engine import Labels, Recipe, Table, checked, starting_weights


class OpacusRun(NamedTuple):
    """A model trained by Opacus, and what it spent by `accounting.epsilon`."""

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
    """Train a model by Opacus' own per-patient gradients, clipping and noise, with Poisson batches.

    Training the same model again goes on from its weights, and the promises of both trainings compose.

    Parameters
    ----------
    X : DataFrame or ndarray, shape (n, d)
    y : Series or ndarray, shape (n,)
        Labels 0 and 1, both present.
    model : torch.nn.Module
        Gives log-odds, shape (n, 1); its layers must be ones that Opacus supports. It is trained in place.
    epsilon, delta : float
        The promise to keep.
    epochs : int
        Expected number of times that a patient is used.
    batch_size : int
        Expected number of patients in a batch, at most n.
    clipping_norm, learning_rate : float
    seed : int
        Of batches and noise. Two models of one seed share both: give each one that is published a seed of its own.

    Returns
    -------
    OpacusRun
    """
    table, labels = checked(X, y)
    batch_size = checks.whole(batch_size, "batch_size", 1, len(table), error=TrainingDataError)
    epochs = checks.whole(epochs, "epochs", 1, error=PrivacyParameterError, mend="it counts rounds over the patients")
    seed = checks.whole(seed, "seed", 0, 2**63 - 2, error=PrivacyParameterError)
    accounting.check_target(epsilon)
    accounting.check_delta(delta, len(table))
    Recipe(1, learning_rate, clipping_norm)
    for name, value in (("epsilon", epsilon), ("clipping_norm", clipping_norm)):
        if math.isinf(value):
            raise PrivacyParameterError(f"{name} is {value}; private training needs a finite one: give such a number.")
    data = TensorDataset(table.float(), labels.float()[:, None])
    _check_network(model, data.tensors[0][:2])
    rate = batch_size / len(table)
    steps = epochs * int(1 / rate + 1e-9)
    sigma = accounting.noise_multiplier(epsilon, rate, steps, delta)
    with warnings.catch_warnings():
        # Expected here and said in the course: the noise is not cryptographic; inputs need no gradient of their own.
        warnings.filterwarnings("ignore", "Secure RNG turned off|Full backward hook is firing")
        _train(model, data, rate, steps, sigma, clipping_norm, learning_rate, seed)
    return OpacusRun(model, accounting.epsilon(sigma, rate, steps, delta), sigma, rate, steps)


def _train(
    model: nn.Module,
    data: TensorDataset,
    rate: float,
    steps: int,
    sigma: float,
    clipping_norm: float,
    learning_rate: float,
    seed: int,
) -> None:
    """Put together the parts of Opacus' PrivacyEngine, which would turn a batch of 200 of 300 into one of 150."""
    from opacus import GradSampleModule
    from opacus.data_loader import DPDataLoader
    from opacus.optimizers import DPOptimizer

    private = GradSampleModule(model)
    try:
        optimizer = DPOptimizer(
            torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=learning_rate),
            noise_multiplier=sigma,
            max_grad_norm=clipping_norm,
            expected_batch_size=rate * len(data),
            generator=torch.Generator().manual_seed(seed + 1),
        )
        loader = DPDataLoader(data, sample_rate=rate, generator=torch.Generator().manual_seed(seed))
        batches = (batch for _ in itertools.count() for batch in loader)
        loss = nn.BCEWithLogitsLoss()
        for batch, labels in itertools.islice(batches, steps):
            optimizer.zero_grad()
            loss(private(batch), labels).backward()
            optimizer.step()
    except ValueError as error:  # a layer that no record went through has no gradient to clip
        raise PrivacyParameterError(
            f"Opacus cannot bound each patient's gradient in this model ({error}): every layer must be used, or frozen."
        ) from error
    finally:
        private.remove_hooks()
        for parameter in model.parameters():
            parameter.grad = None
            for left in ("grad_sample", "summed_grad", "_forward_counter"):
                if hasattr(parameter, left):
                    delattr(parameter, left)


def _check_network(model: nn.Module, records: torch.Tensor) -> None:
    """Refuse a network that cannot be trained to the promise, before anything is searched or changed."""
    from opacus.validators import ModuleValidator

    if not isinstance(model, nn.Module):
        raise PrivacyParameterError(f"model is of type {type(model).__name__}, it must be a torch.nn.Module: give one.")
    unsupported = ModuleValidator.validate(model, strict=False)
    if unsupported:
        raise PrivacyParameterError(f"Opacus cannot bound each patient's gradient in this model: {unsupported[0]}")
    if hasattr(model, "autograd_grad_sample_hooks"):
        raise PrivacyParameterError(
            "model is at work in another private training, which holds its gradients: build a new model for this one."
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise PrivacyParameterError("model has no parameter that can be trained: unfreeze a layer.")
    try:
        with torch.no_grad():
            given = tuple(model(records).shape)
    except RuntimeError as error:
        raise PrivacyParameterError(
            f"model does not take records of {records.shape[1]} columns in 32 bits ({error}): give its first layer as "
            "many inputs, and float() it."
        ) from error
    if given != (len(records), 1):
        raise PrivacyParameterError(
            f"model gives shape {given} for {len(records)} records, it must give one log-odds each, {len(records), 1}: "
            "end it with nn.Linear(..., 1)."
        )
