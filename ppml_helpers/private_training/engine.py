"""Train with differential privacy: the plain Opacus road, and an engine that trains many models at once.

Both do the same thing, DP-SGD (Abadi et al. 2016): bound each patient's gradient to the clipping norm C, add up,
add Gaussian noise of standard deviation ``noise_multiplier * C``, step. Opacus does it for any network. The engine
does it for two models whose clipped gradients have a closed form, for all (epsilon, seed) pairs of a sweep together,
so that a learner can turn a knob and see the answer of a real training.

Notes
-----
The noise is ``torch.randn`` in floating point. That is right for teaching and for experiments, not for a release to
an adversary: floating-point noise leaks (Mironov 2012), and a seed that somebody knows is no noise at all.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ppml_helpers import accounting
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError

Progress = Callable[[float, str], None]
Table = pd.DataFrame | np.ndarray
Labels = pd.Series | np.ndarray


def _no_progress(fraction: float, what: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; everything but the noise and the seed.

    Parameters
    ----------
    steps : int
        Noisy gradient steps.
    learning_rate : float
    clipping_norm : float
        Largest length of one patient's gradient, C. Infinity does not clip (and then allows no noise).
    sample_rate : float
        Chance of a patient to be in a batch (Poisson sampling); 1 uses every patient in every step.
    momentum : float
        In [0, 1). Free of privacy cost, as is averaging: both only process noisy gradients further.
    averaged : float
        The last share of the steps whose weights are averaged into the model; 0 keeps the last weights.
    hidden : int
        Units of the one tanh layer of a two-layer network; 0 is logistic regression.
    """

    steps: int
    learning_rate: float
    clipping_norm: float
    sample_rate: float = 1.0
    momentum: float = 0.9
    averaged: float = 0.5
    hidden: int = 0

    def __post_init__(self) -> None:
        """Refuse a recipe that nobody can cook."""
        accounting.check_training(sample_rate=self.sample_rate, steps=self.steps)
        for name in ("learning_rate", "clipping_norm", "momentum", "averaged", "hidden"):
            if not isinstance(getattr(self, name), Real):
                raise PrivacyParameterError(f"{name} is {getattr(self, name)!r}, which is no number: give one.")
        rules = {
            "learning_rate": (0 < self.learning_rate < math.inf, "a finite number above 0"),
            "clipping_norm": (self.clipping_norm > 0, "a number above 0 (infinity does not clip)"),
            "momentum": (0 <= self.momentum < 1, "a number from 0 to below 1"),
            "averaged": (0 <= self.averaged <= 1, "a share from 0 to 1"),
            "hidden": (self.hidden >= 0 and self.hidden == int(self.hidden), "a whole number, 0 or more"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise PrivacyParameterError(f"{name} is {getattr(self, name)!r}; give {rule}.")


# Chosen by benchmarks/choose_recipe.py on made-up tables of this size, never on the patients: looking at the patients
# to choose would itself spend privacy budget.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "logistic regression": Recipe(steps=100, learning_rate=8.0, clipping_norm=0.3),
        "MLP": Recipe(steps=100, learning_rate=1.0, clipping_norm=0.3, sample_rate=0.2, hidden=32),
    }
)


_WORTH_A_THREAD = 5e6  # multiplications a step below which one thread is faster than two


# The engine ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Models:
    """M models trained together.

    Parameters
    ----------
    weights : tuple of torch.Tensor
        Each with the models in its first dimension.
    hidden : int
        Units of the hidden layer; 0 for logistic regression.
    """

    weights: tuple[Tensor, ...]
    hidden: int

    def logits(self, X: Table) -> np.ndarray:
        """Return each model's log-odds of label 1.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (M, n)

        Raises
        ------
        TrainingDataError
            If the features are not finite numbers, or not in the columns that the models were trained on.
        """
        table = _numbers(X, np.zeros(len(X)))[0].to(self.weights[0].dtype)
        if table.shape[1:] != self.weights[0].shape[1:2]:
            raise TrainingDataError(
                f"features have shape {tuple(table.shape)}; these models were trained on {self.weights[0].shape[1]} "
                "columns: give the same ones."
            )
        return _logits(self.weights, table).numpy()

    def vectors(self) -> np.ndarray:
        """Return each model's weights as one row: what an attacker who holds the model can read.

        Returns
        -------
        ndarray, shape (M, P)
        """
        return np.hstack([weight.reshape(len(weight), -1).numpy() for weight in self.weights])

    def auc(self, X: Table, y: Labels) -> np.ndarray:
        """Return each model's area under the ROC curve.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n, d)
        y : Series or ndarray, shape (n,)
            Labels 0 and 1, both present.

        Returns
        -------
        ndarray, shape (M,)

        Raises
        ------
        TrainingDataError
            If the features or labels cannot be predicted or scored.
        """
        labels = _checked(X, y)[1].numpy().astype(bool)
        ranks = rankdata(self.logits(X), axis=1)  # the AUC is the Mann-Whitney statistic, scaled
        positives = int(labels.sum())
        negatives = labels.size - positives
        return (ranks[:, labels].sum(axis=1) - positives * (positives + 1) / 2) / (positives * negatives)


def train(
    X: Table,
    y: Labels,
    recipe: Recipe,
    noise_multipliers: Sequence[float],
    seeds: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    progress: Progress = _no_progress,
) -> Models:
    """Train M models at once with per-patient clipping in closed form.

    Parameters
    ----------
    X : DataFrame or ndarray, shape (n, d)
        Finite features, scaled by public bounds.
    y : Series or ndarray, shape (n,)
        Labels 0 and 1, both present.
    recipe : Recipe
    noise_multipliers : sequence of float, length M
        0 clips but adds no noise: the control.
    seeds : sequence of int, length M
        Noise and starting weights of each model. Models with the same seed differ only in the size of their noise.
    dtype : torch.dtype
    progress : callable
        Called as ``progress(fraction, what)`` between steps; it may raise to end the training.

    Returns
    -------
    Models

    Raises
    ------
    TrainingDataError
        If the features or labels cannot be trained on.
    PrivacyParameterError
        If a noise multiplier is not a number from 0, or noise is asked for without clipping.

    Notes
    -----
    All models of one call see the same Poisson batches, drawn from the first seed. Each model's own guarantee holds;
    publishing several of them composes. The expected batch ``sample_rate * n`` is taken as public.
    """
    table, labels = _checked(X, y, recipe)
    scale = _noise_scales(noise_multipliers, seeds, recipe).to(dtype)
    with _threads_for(recipe, *table.shape, models=len(seeds)):
        return _train(table.to(dtype), labels.to(dtype), recipe, scale, seeds, progress)


def _train(
    table: Tensor, labels: Tensor, recipe: Recipe, scale: Tensor, seeds: Sequence[int], progress: Progress
) -> Models:
    weights = _initial(recipe.hidden, table.shape[1], seeds, table.dtype)
    shapes = [w.shape[1:] for w in weights]
    flat = torch.cat([w.flatten(1) for w in weights], dim=1)  # one row per model: one operation updates all weights
    velocity, average = torch.zeros_like(flat), torch.zeros_like(flat)
    noise = _noise(flat.shape[1], seeds, recipe.steps, scale)
    batches = torch.Generator().manual_seed(int(seeds[0]) + 1_000_003)
    expected_batch = recipe.sample_rate * len(table)
    first_averaged = min(round(recipe.steps * (1 - recipe.averaged)), recipe.steps - 1)
    everybody = batch = _patients(table, labels, recipe.hidden, recipe.clipping_norm)
    for step in range(recipe.steps):
        if recipe.sample_rate < 1:
            chosen = (torch.rand(len(table), generator=batches) < recipe.sample_rate).nonzero().squeeze(1)
            batch = tuple(part.index_select(0, chosen) for part in everybody)
        noisy = _clipped_sums(flat, shapes, batch, recipe.clipping_norm).add_(noise(step))
        velocity.mul_(recipe.momentum).add_(noisy, alpha=1 / expected_batch)
        flat.sub_(velocity, alpha=recipe.learning_rate)
        if step >= first_averaged:
            average.add_(flat, alpha=1 / (recipe.steps - first_averaged))
        progress((step + 1) / recipe.steps, f"step {step + 1} of {recipe.steps}")
    trained = average if recipe.averaged > 0 else flat
    return Models(tuple(w.contiguous() for w in _unflatten(trained, shapes)), recipe.hidden)


@contextmanager
def _threads_for(recipe: Recipe, rows: int, columns: int, models: int) -> Iterator[None]:
    """Keep small steps on one thread: handing them out costs more than it saves, above all on a busy machine."""
    before = torch.get_num_threads()
    products = recipe.sample_rate * rows * columns * models * max(1, recipe.hidden)  # multiplications of one pass
    if products < _WORTH_A_THREAD:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clipped_gradient_sums(models: Models, X: Table, y: Labels, clipping_norm: float) -> tuple[np.ndarray, ...]:
    """Return each model's sum over patients of the loss gradient clipped to length C, without noise.

    Parameters
    ----------
    models : Models
    X : DataFrame or ndarray, shape (n, d)
    y : Series or ndarray, shape (n,)
    clipping_norm : float
        C; infinity does not clip.

    Returns
    -------
    tuple of ndarray
        Shaped like ``models.weights``.

    Raises
    ------
    TrainingDataError, PrivacyParameterError
        If features, labels or clipping norm are not what `train` takes.

    Notes
    -----
    For logistic regression the gradient of one patient is ``(p - y) * (x, 1)``, so its length needs no gradient. For
    the two-layer network the squared length is the residual squared times
    ``|h|^2 + 1 + |w2 (1 - h^2)|^2 (|x|^2 + 1)``: Goodfellow (2015), "Efficient per-example gradient computations".
    """
    Recipe(1, 1.0, clipping_norm)
    table, labels = (part.to(models.weights[0].dtype) for part in _checked(X, y))
    shapes = [w.shape[1:] for w in models.weights]
    flat = torch.cat([w.flatten(1) for w in models.weights], dim=1)
    sums = _clipped_sums(flat, shapes, _patients(table, labels, models.hidden, clipping_norm), clipping_norm)
    return tuple(total.numpy() for total in _unflatten(sums, shapes))


def _initial(hidden: int, columns: int, seeds: Sequence[int], dtype: torch.dtype) -> list[Tensor]:
    """Start logistic regression at zero, the network at small random weights that depend on the seed alone."""
    many = len(seeds)
    if hidden == 0:
        return [torch.zeros(many, columns, dtype=dtype), torch.zeros(many, 1, dtype=dtype)]
    by_seed = {}
    for seed in set(seeds):
        generator = torch.Generator().manual_seed(int(seed) + 2_000_003)
        first = torch.randn(columns, hidden, generator=generator, dtype=torch.float64) / math.sqrt(columns)
        second = torch.randn(hidden, generator=generator, dtype=torch.float64) / (2 * math.sqrt(hidden))
        by_seed[seed] = first.to(dtype), second.to(dtype)
    first = torch.stack([by_seed[seed][0] for seed in seeds])
    second = torch.stack([by_seed[seed][1] for seed in seeds])
    return [first, torch.zeros(many, hidden, dtype=dtype), second, torch.zeros(many, 1, dtype=dtype)]


def _logits(weights: Sequence[Tensor], X: Tensor) -> Tensor:
    """Return log-odds, shape (M, n): models in rows keep the long dimension contiguous, five times as fast."""
    if len(weights) == 2:
        slopes, intercept = weights
        return torch.addmm(intercept, slopes, X.T)
    return _layers(weights, X)[1]


def _layers(weights: Sequence[Tensor], X: Tensor) -> tuple[Tensor, Tensor]:
    first, first_bias, second, second_bias = weights
    h = torch.baddbmm(first_bias[:, None, :], X.expand(len(first), *X.shape), first).tanh_()
    return h, torch.baddbmm(second_bias[:, None, :], h, second[:, :, None]).squeeze(2)


def _patients(X: Tensor, y: Tensor, hidden: int, clipping_norm: float) -> tuple[Tensor, ...]:
    """Return what clipping needs to know of each patient (first dimension), the same in every step."""
    squares = (X * X).sum(dim=1) + 1  # the 1 is the intercept's input
    if hidden:
        return X, y, squares
    # The gradient p - y times (x, 1) is sigmoid(w . r) times r, where r is (x, 1) with its sign flipped for label 1.
    rows = torch.cat([X, torch.ones_like(X[:, :1])], dim=1) * (1 - 2 * y)[:, None]
    return rows, clipping_norm / squares.sqrt()


def _clipped_sums(
    flat: Tensor, shapes: Sequence[torch.Size], patients: tuple[Tensor, ...], clipping_norm: float
) -> Tensor:
    """Add up clipped gradients, for weights in one row per model."""
    if len(shapes) == 2:
        rows, longest = patients
        residual = (flat @ rows.T).sigmoid_()
        return torch.minimum(residual, longest, out=residual) @ rows
    X, y, squares = patients
    weights = _unflatten(flat, shapes)
    h, logits = _layers(weights, X)
    residual = logits.sigmoid_().sub_(y)
    slope = (1 - h * h).mul_(weights[2][:, None, :])  # d logit / d input of the hidden unit
    ones = torch.ones(h.shape[2], 1, dtype=h.dtype)
    lengths = torch.sqrt((h * h) @ ones + 1 + ((slope * slope) @ ones) * squares[:, None]).squeeze(2)
    longest = clipping_norm / lengths
    residual = residual.clamp_(-longest, longest)
    slope.mul_(residual[:, :, None])
    sums = (
        (X.T.expand(len(h), *X.T.shape) @ slope).flatten(1),
        slope.sum(dim=1),
        (residual[:, None, :] @ h).squeeze(1),
        residual.sum(dim=1, keepdim=True),
    )
    return torch.cat(sums, dim=1)


def _unflatten(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Return views of one row per model, shaped as the weights are."""
    parts = flat.split([shape.numel() for shape in shapes], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]


def _noise(size: int, seeds: Sequence[int], steps: int, scale: Tensor) -> Callable[[int], Tensor]:
    """Return step -> noise of the models' scales, shape (M, size); a model's noise depends on its own seed alone."""
    distinct = sorted(set(seeds))
    generators = [torch.Generator().manual_seed(int(seed)) for seed in distinct]
    drawn = torch.stack([torch.randn(steps, size, generator=g, dtype=scale.dtype) for g in generators], dim=1)
    row = torch.tensor([distinct.index(seed) for seed in seeds])
    column = scale[:, None]
    return lambda step: drawn[step].index_select(0, row).mul_(column)


def _noise_scales(noise_multipliers: Sequence[float], seeds: Sequence[int], recipe: Recipe) -> Tensor:
    """Return each model's standard deviation of the noise, ``noise_multiplier * C``."""
    if not all(isinstance(given, Sequence | np.ndarray | range) for given in (noise_multipliers, seeds)):
        raise PrivacyParameterError(f"noise multipliers {noise_multipliers!r} and seeds {seeds!r} must both be lists.")
    if not all(isinstance(seed, Integral) for seed in seeds):
        raise PrivacyParameterError(f"seeds are {list(seeds)!r}; give whole numbers.")
    if len(noise_multipliers) != len(seeds) or len(seeds) == 0:
        raise PrivacyParameterError(
            f"there are {len(noise_multipliers)} noise multipliers and {len(seeds)} seeds; give one of each per model."
        )
    for sigma in noise_multipliers:
        accounting.check_training(noise_multiplier=sigma)
        if sigma > 0 and math.isinf(recipe.clipping_norm):
            raise PrivacyParameterError(
                f"noise_multiplier {sigma} without clipping would be infinite noise; set a finite clipping norm."
            )
    return torch.tensor([sigma * recipe.clipping_norm if sigma > 0 else 0.0 for sigma in noise_multipliers])


# Sweeps ----------------------------------------------------------------------------------------------------------


@dataclass
class Sweep:
    """Test AUC over epsilon and seed, trained as needed and kept: a stopped sweep goes on where it was."""

    recipe: Recipe
    data: Callable[[int], tuple[Table, Labels, Table, Labels]]
    delta: float = accounting.DELTA
    aucs: dict[tuple[float, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a delta that means nothing."""
        accounting.check_training(delta=self.delta)

    def run(self, epsilons: Sequence[float], seeds: Sequence[int], progress: Progress = _no_progress) -> pd.DataFrame:
        """Train what is missing and return the test AUC of each epsilon and seed."""
        missing = [(epsilon, seed) for seed in seeds for epsilon in epsilons if (epsilon, seed) not in self.aucs]
        tables = {seed: self.data(seed) for _, seed in missing}
        blocks = self._blocks(missing, tables)
        for number, block in enumerate(blocks):
            X_train, y_train, X_test, y_test = tables[block[0][1]]
            sigmas = [self._sigma(epsilon) for epsilon, _ in block]

            def tell(fraction: float, _: str, number: int = number) -> None:
                progress((number + fraction) / len(blocks), f"{len(self.aucs)} models trained")

            models = train(X_train, y_train, self.recipe, sigmas, [seed for _, seed in block], progress=tell)
            self.aucs.update(zip(block, models.auc(X_test, y_test).tolist(), strict=True))
        rows = [[self.aucs[epsilon, seed] for seed in seeds] for epsilon in epsilons]
        return pd.DataFrame(rows, index=pd.Index(epsilons, name="epsilon"), columns=pd.Index(seeds, name="seed"))

    def _sigma(self, epsilon: float) -> float:
        return accounting.noise_multiplier(epsilon, self.recipe.sample_rate, self.recipe.steps, self.delta)

    def _blocks(
        self, missing: Sequence[tuple[float, int]], tables: Mapping[int, tuple[Table, Labels, Table, Labels]]
    ) -> list[list[tuple[float, int]]]:
        """Group what is missing into blocks that fit the processor's cache: by training table or by batches."""
        groups: dict[int, list[tuple[float, int]]] = {}
        for epsilon, seed in missing:
            together = id(tables[seed][0]) if self.recipe.sample_rate == 1 else seed
            groups.setdefault(together, []).append((epsilon, seed))
        size = 64 if self.recipe.hidden == 0 else 10
        return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


# The Opacus road -------------------------------------------------------------------------------------------------


class OpacusRun(NamedTuple):
    """A model trained by Opacus, and what its accountant says."""

    model: nn.Module
    epsilon: float
    noise_multiplier: float
    sample_rate: float
    steps: int


def network(columns: int, hidden: int = 0, seed: int = 0) -> nn.Module:
    """Return logistic regression or a two-layer network in plain PyTorch.

    Parameters
    ----------
    columns : int
        Number of features.
    hidden : int
        Units of the tanh layer; 0 is logistic regression.
    seed : int
        Of the starting weights (logistic regression starts at zero).

    Returns
    -------
    torch.nn.Module
        Gives log-odds, shape (n, 1).
    """
    weights = _initial(hidden, columns, [seed], torch.float32)
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
    momentum: float = 0.0,
    seed: int = 0,
    progress: Progress = _no_progress,
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
    clipping_norm : float
        Largest length of one patient's gradient.
    learning_rate, momentum : float
        Of plain stochastic gradient descent.
    seed : int
        Of batches and noise.
    progress : callable
        As in `train`.

    Returns
    -------
    OpacusRun

    Raises
    ------
    TrainingDataError, PrivacyParameterError
        If data or parameters cannot be trained on.

    References
    ----------
    Yousefpour et al. (2021), "Opacus: User-friendly differential privacy library in PyTorch".
    """
    from opacus import PrivacyEngine
    from opacus.validators import ModuleValidator

    recipe = Recipe(1, learning_rate, clipping_norm, momentum=momentum)
    table, labels = _checked(X, y, recipe, batch_size)
    accounting.check_target(epsilon)
    accounting.check_training(delta=delta)
    if not isinstance(epochs, Integral) or isinstance(epochs, bool) or epochs < 1:
        raise PrivacyParameterError(f"epochs is {epochs!r}; it counts rounds over the patients: give 1 or more.")
    for name, value in (("epsilon", epsilon), ("clipping_norm", clipping_norm)):
        if math.isinf(value):
            raise PrivacyParameterError(f"{name} is {value}; private training needs a finite one: give such a number.")
    unsupported = ModuleValidator.validate(model, strict=False)
    if unsupported:
        raise PrivacyParameterError(f"Opacus cannot bound each patient's gradient in this model: {unsupported[0]}")
    batches, noise = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    data = TensorDataset(table.float(), labels.float()[:, None])
    loader = DataLoader(data, batch_size=batch_size, generator=batches)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
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
        for epoch in range(epochs):
            for batch, batch_labels in loader:
                optimizer.zero_grad()
                loss(model(batch), batch_labels).backward()
                optimizer.step()
                steps += 1
            progress((epoch + 1) / epochs, f"epoch {epoch + 1} of {epochs}")
        spent = float(engine.get_epsilon(delta))
    return OpacusRun(model, spent, float(optimizer.noise_multiplier), float(loader.sample_rate), steps)


# What is refused -------------------------------------------------------------------------------------------------


def _numbers(X: Table, y: Labels) -> tuple[Tensor, Tensor]:
    """Return features and labels as tensors of finite numbers, or say what is wrong with them."""
    try:
        table, labels = np.array(X, dtype=np.float64), np.array(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TrainingDataError(f"features and labels must be numbers ({error}); encode text columns first.") from error
    if table.ndim != 2 or labels.shape != (len(table),):
        raise TrainingDataError(
            f"features have shape {table.shape} and labels {labels.shape}; give (patients, columns) and (patients,)."
        )
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table).all(axis=0)).argmax())
        name = X.columns[bad] if isinstance(X, pd.DataFrame) else bad
        raise TrainingDataError(f"column {name!r} holds NaN or infinity; fill missing values with public values first.")
    return torch.from_numpy(table), torch.from_numpy(labels)


def _checked(X: Table, y: Labels, recipe: Recipe | None = None, batch_size: int | None = None) -> tuple[Tensor, Tensor]:
    """Return features and labels as tensors, or say what is wrong with them or with the batch to draw from them."""
    table, labels = _numbers(X, y)
    strange = sorted(set(labels.unique().tolist()) - {0.0, 1.0}, key=str)
    if strange:
        raise TrainingDataError(f"labels hold {strange[0]!r}; they must be 0 or 1: recode them.")
    if len(labels.unique()) < 2:
        raise TrainingDataError("labels hold a single class; both 0 and 1 must occur: choose other patients.")
    if batch_size is not None and (not isinstance(batch_size, Integral) or isinstance(batch_size, bool)):
        raise TrainingDataError(f"batch_size is {batch_size!r}; it counts patients: give a whole number, 1 or more.")
    expected = batch_size if batch_size is not None else len(table) * (recipe.sample_rate if recipe else 1)
    if expected < 1 or expected > len(table):
        raise TrainingDataError(
            f"{len(table)} patients are too few for batches of {expected:g}; a batch holds at least 1 and at most "
            "all patients: change the batch or add patients."
        )
    return table, labels
