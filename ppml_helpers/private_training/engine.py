"""Train with differential privacy, many models at once.

DP-SGD (Abadi et al. 2016): bound each patient's gradient to the clipping norm C, add up, add Gaussian noise of
standard deviation ``noise_multiplier * C``, step. Opacus does it for any network (see `with_opacus`). This engine does
it for two models whose clipped gradients have a closed form: all (epsilon, seed) pairs of a sweep are one computation,
so that a learner can turn a knob and see the answer of a real training. With a mask each model has patients of its own:
the shadow models of chapter 06.

Notes
-----
The noise is ``torch.randn`` in floating point. That is right for teaching and for experiments, not for a release to
an adversary: floating-point noise leaks (Mironov 2012), and a seed that somebody knows is no noise at all. Two releases
that share their noise do not compose (two of them, extrapolated, are the model without noise), so the stream of a model
depends on its seed and on all that makes it another release: the recipe and the noise multiplier. It cannot depend on
the patients: train on others with another seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from torch import Tensor

from ppml_helpers import accounting, checks
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError

Progress = Callable[[float, str], None]
Table = pd.DataFrame | np.ndarray
Labels = pd.Series | np.ndarray
Mask = NDArray[np.bool_]


def no_progress(fraction: float, what: str) -> None:
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
        refused = {"error": PrivacyParameterError}
        checks.number(self.learning_rate, "learning_rate", 0, above=True, **refused)
        if self.clipping_norm != math.inf:
            checks.number(self.clipping_norm, "clipping_norm", 0, above=True, mend="infinity does not clip", **refused)
        checks.number(self.momentum, "momentum", 0, 1, below=True, **refused)
        checks.share(self.averaged, "averaged", **refused)
        checks.whole(self.hidden, "hidden", 0, **refused)


# Chosen by benchmarks/choose_recipe.py on made-up tables of this size, never on the patients: looking at the patients
# to choose would itself spend privacy budget.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "logistic regression": Recipe(steps=100, learning_rate=0.25, clipping_norm=2.0),
        "MLP": Recipe(steps=100, learning_rate=0.0625, clipping_norm=2.0, sample_rate=0.2, hidden=32),
    }
)


_LARGEST = 1e12  # of a feature; gradients are computed in 32 bits, and their lengths from squares
_SECOND_DECAY, _TINY = 0.999, 1e-8  # Adam's (Kingma and Ba 2015); its first decay is the recipe's momentum


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
        """Return each model's log-odds of label 1, shape (M, n)."""
        table = _numbers(X, np.zeros(len(X)))[0].to(self.weights[0].dtype)
        if table.shape[1:] != self.weights[0].shape[1:2]:
            raise TrainingDataError(
                f"features have shape {tuple(table.shape)}; these models were trained on {self.weights[0].shape[1]} "
                "columns: give the same ones."
            )
        return _logits(self.weights, table).numpy()

    def risks(self, X: Table) -> np.ndarray:
        """Return each model's probability of label 1, shape (M, n)."""
        return expit(self.logits(X).astype(float))

    def apart(self) -> list[Models]:
        """Return the models one by one."""
        return [Models(tuple(w[[i]] for w in self.weights), self.hidden) for i in range(len(self.weights[0]))]

    def vectors(self) -> np.ndarray:
        """Return each model's weights as one row: what an attacker who holds the model can read."""
        return np.hstack([weight.reshape(len(weight), -1).numpy() for weight in self.weights])

    def log_loss(self, X: Table, y: Labels) -> np.ndarray:
        """Return each model's mean log loss, in nats: it rewards risks that can be taken at their word."""
        labels = checked(X, y)[1].numpy().astype(bool)
        logits = self.logits(X).astype(float)
        return np.logaddexp(0, np.where(labels, -logits, logits)).mean(axis=1)

    def auc(self, X: Table, y: Labels) -> np.ndarray:
        """Return each model's area under the ROC curve, for labels 0 and 1, both present."""
        labels = checked(X, y)[1].numpy().astype(bool)
        ranks = rankdata(self.logits(X), axis=1)  # the AUC is the Mann-Whitney statistic, scaled
        positives = int(labels.sum())
        negatives = labels.size - positives
        return (ranks[:, labels].sum(axis=1) - positives * (positives + 1) / 2) / (positives * negatives)


# Training --------------------------------------------------------------------------------------------------------


def train(
    X: Table,
    y: Labels,
    recipe: Recipe,
    noise_multipliers: Sequence[float],
    seeds: Sequence[int],
    *,
    member: Mask | None = None,
    adam: bool = False,
    divisor: float | None = None,
    dtype: torch.dtype = torch.float32,
    progress: Progress = no_progress,
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
        Noise and starting weights of each model. Equal seeds give equal starting weights; the noise is equal only if
        recipe and noise multiplier are too, and then it is the same model.
    member : ndarray of bool, shape (M, n), optional
        Which model is trained on which patient, equally many each. By default every model is trained on all.
    adam : bool
        Whether to step by Adam instead of momentum. It too only processes noisy gradients further.
    divisor : float, optional
        The number of patients by which the noisy sums are divided (times the sample rate). The promise is made for
        tables that differ by one patient, so it must not depend on the table: give a published or a rounded number.
        By default it is the number of patients in the table, which is then told to whoever sees the model.
    dtype : torch.dtype
    progress : callable
        Called as ``progress(fraction, what)`` between steps; it may raise to end the training.

    Returns
    -------
    Models

    Notes
    -----
    Each model's own guarantee holds. Publishing several models of one call of full batches costs what
    `accounting.compose` says. Sampled batches are drawn once for all models of a call (each sees its own members among
    them), so that together they cost more: as much as one training with a noise multiplier of
    ``sum(sigma**-2) ** -0.5``. Train models that are published together one by one, as `Sweep` does.
    """
    table, labels = (part.to(dtype) for part in checked(X, y, recipe))
    if divisor is not None:
        checks.number(
            divisor, "divisor", 1, error=PrivacyParameterError, mend="it counts patients, about as many as given"
        )
    scale = _noise_scales(noise_multipliers, seeds, recipe).to(dtype)
    if member is not None and (member.shape != (len(seeds), len(table)) or len(set(member.sum(axis=1))) > 1):
        raise TrainingDataError(
            f"member has shape {member.shape} for {len(seeds)} models and {len(table)} patients: give a row a model, "
            "equally many patients in each."
        )
    patients = divisor or (len(table) if member is None else int(member[0].sum()))
    weights = starting_weights(recipe.hidden, table.shape[1], seeds, dtype)
    models = zip(noise_multipliers, seeds, strict=True)
    streams = [_stream("noise", recipe, *model, adam, divisor) for model in models]
    batches = _generator(_stream("batches", recipe, noise_multipliers[0], seeds[0], adam, divisor))
    step_by = partial(_adam if adam else _momentum, recipe=recipe, expected_batch=recipe.sample_rate * patients)
    with one_thread():
        noise = _noise(sum(w[0].numel() for w in weights), streams, recipe.steps, scale) if scale.any() else None
        return _train(table, labels, recipe, weights, noise, batches, member, step_by, progress)


def _train(
    table: Tensor,
    labels: Tensor,
    recipe: Recipe,
    weights: Sequence[Tensor],
    noise: Callable[[int], Tensor] | None,
    batches: torch.Generator,
    member: Mask | None,
    step_by: Callable[[Tensor], Update],
    progress: Progress,
) -> Models:
    shapes = [w.shape[1:] for w in weights]
    flat = torch.cat([w.flatten(1) for w in weights], dim=1)  # one row per model: one operation updates all weights
    average = torch.zeros_like(flat)
    gradients = _gradients(table, labels, recipe, shapes, member)
    update = step_by(flat)
    first_averaged = min(round(recipe.steps * (1 - recipe.averaged)), recipe.steps - 1)
    for step in range(recipe.steps):
        chosen = None
        if recipe.sample_rate < 1:
            chosen = (torch.rand(len(table), generator=batches) < recipe.sample_rate).nonzero().squeeze(1)
        total = gradients(flat, chosen)
        update(total if noise is None else total.add_(noise(step)), step)
        if step >= first_averaged:
            average.add_(flat, alpha=1 / (recipe.steps - first_averaged))
        progress((step + 1) / recipe.steps, f"step {step + 1} of {recipe.steps}")
    trained = average if recipe.averaged > 0 else flat
    return Models(tuple(w.contiguous() for w in _unflatten(trained, shapes)), recipe.hidden)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep all steps on one thread: two gain a fifth at most, and on a busy machine lose ten times as much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def starting_weights(hidden: int, columns: int, seeds: Sequence[int], dtype: torch.dtype) -> list[Tensor]:
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
    return _layers(weights, X.expand(len(weights[0]), *X.shape))[1]


def _layers(weights: Sequence[Tensor], X: Tensor) -> tuple[Tensor, Tensor]:
    """Return hidden units and log-odds, for records of shape (M, n, d)."""
    first, first_bias, second, second_bias = weights
    h = torch.baddbmm(first_bias[:, None, :], X, first).tanh_()
    return h, torch.baddbmm(second_bias[:, None, :], h, second[:, :, None]).squeeze(2)


# Clipped gradients -----------------------------------------------------------------------------------------------

Gradients = Callable[[Tensor, Tensor | None], Tensor]


def _gradients(X: Tensor, y: Tensor, recipe: Recipe, shapes: Sequence[torch.Size], member: Mask | None) -> Gradients:
    """Return (weights, batch) -> each model's sum of gradients clipped to length C; weights are one row per model."""
    squares = (X * X).sum(dim=1) + 1  # the 1 is the intercept's input
    mask = None if member is None else torch.from_numpy(member)
    if recipe.hidden:
        return _network_gradients(X, y, squares, recipe, shapes, mask)
    return _regression_gradients(X, y, squares, recipe.clipping_norm, mask)


def _regression_gradients(
    X: Tensor, y: Tensor, squares: Tensor, clipping_norm: float, mask: Tensor | None
) -> Gradients:
    """Return the gradients of logistic regression.

    The gradient of one patient is p - y times (x, 1), or sigmoid(w . r) times r, where r is (x, 1) with its sign
    flipped for label 1. The sigmoid is a number between 0 and 1, so one upper limit does three things: it clips, it
    lets members through (1 does not limit), and it silences the others (0). All models share the two products.
    """
    rows = torch.cat([X, torch.ones_like(X[:, :1])], dim=1) * (1 - 2 * y)[:, None]
    limit = (clipping_norm / squares.sqrt()).clamp(max=1.0)
    if mask is not None:
        limit = mask.to(X.dtype) * limit

    def sums(flat: Tensor, chosen: Tensor | None) -> Tensor:
        batch = rows if chosen is None else rows.index_select(0, chosen)
        most = limit if chosen is None else limit.index_select(-1, chosen)
        residual = (flat @ batch.T).sigmoid_()
        return torch.minimum(residual, most, out=residual) @ batch

    return sums


def _network_gradients(
    X: Tensor, y: Tensor, squares: Tensor, recipe: Recipe, shapes: Sequence[torch.Size], mask: Tensor | None
) -> Gradients:
    """Return the gradients of the two-layer network.

    With full batches each model gets a copy of its own records, because work on the others would be thrown away. A
    sample is shared by all models, and the mask picks each model's members.
    """
    if mask is not None and recipe.sample_rate == 1:
        own = torch.stack([row.nonzero().squeeze(1) for row in mask])
        X, y, squares, mask = X[own], y[own], squares[own], None

    def sums(flat: Tensor, chosen: Tensor | None) -> Tensor:
        batch = X, y, squares, mask
        if chosen is not None:
            masked = None if mask is None else mask.index_select(1, chosen)
            batch = *(part.index_select(0, chosen) for part in (X, y, squares)), masked
        return _network_sums(_unflatten(flat, shapes), *batch, recipe.clipping_norm)

    return sums


def _network_sums(
    weights: Sequence[Tensor], X: Tensor, y: Tensor, squares: Tensor, mask: Tensor | None, clipping_norm: float
) -> Tensor:
    """Add up clipped gradients over records that all models share, or over each model's own.

    The squared length of one patient's gradient is the residual squared times
    ``|h|^2 + 1 + |w2 (1 - h^2)|^2 (|x|^2 + 1)``: Goodfellow (2015), "Efficient per-example gradient computations".
    """
    X = X.expand(len(weights[0]), *X.shape[-2:])
    h, logits = _layers(weights, X)
    residual = logits.sigmoid_().sub_(y)
    squared, clips = h * h, clipping_norm < math.inf
    slope = torch.sub(torch.ones((), dtype=h.dtype), squared, out=None if clips else squared)
    slope.mul_(weights[2][:, None, :])  # now d logit / d input of the hidden unit
    if clips:
        ones = torch.ones(h.shape[2], 1, dtype=h.dtype)  # a matrix product is faster than a sum over a short axis
        lengths = torch.sqrt((squared @ ones).squeeze(2) + 1 + ((slope * slope) @ ones).squeeze(2) * squares)
        longest = clipping_norm / lengths
        residual = residual.clamp_(-longest, longest)
    if mask is not None:
        residual.mul_(mask)
    slope.mul_(residual[:, :, None])
    sums = (
        (X.transpose(1, 2) @ slope).flatten(1),
        slope.sum(dim=1),
        (residual[:, None, :] @ h).squeeze(1),
        residual.sum(dim=1, keepdim=True),
    )
    return torch.cat(sums, dim=1)


def _unflatten(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Return views of one row per model, shaped as the weights are."""
    parts = flat.split([shape.numel() for shape in shapes], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]


# Noise and steps -------------------------------------------------------------------------------------------------


def _stream(purpose: str, recipe: Recipe, noise_multiplier: float, seed: int, adam: bool, divisor: float | None) -> int:
    """Return the seed of a random stream that no model of another setting draws from."""
    told = () if divisor is None else (float(divisor),)
    numbers = [float(part) for part in astuple(recipe)]
    named = repr((purpose, int(seed), float(noise_multiplier), bool(adam), numbers, *told))
    return int.from_bytes(hashlib.blake2b(named.encode(), digest_size=8).digest(), "big") >> 1


def _generator(stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(stream)


def _noise(size: int, streams: Sequence[int], steps: int, scale: Tensor) -> Callable[[int], Tensor]:
    """Return step -> noise of the models' scales, shape (M, size)."""
    shape = steps, size
    drawn = torch.stack([torch.randn(shape, generator=_generator(one), dtype=scale.dtype) for one in streams], dim=1)
    drawn.mul_(scale[:, None])
    return lambda step: drawn[step]


Update = Callable[[Tensor, int], None]


def _momentum(flat: Tensor, recipe: Recipe, expected_batch: float) -> Update:
    """Return (sum of gradients, step) -> None that steps `flat` in place, with momentum."""
    velocity = torch.zeros_like(flat)

    def update(total: Tensor, step: int) -> None:
        velocity.mul_(recipe.momentum).add_(total, alpha=1 / expected_batch)
        flat.sub_(velocity, alpha=recipe.learning_rate)

    return update


def _adam(flat: Tensor, recipe: Recipe, expected_batch: float) -> Update:
    """Return (sum of gradients, step) -> None that steps `flat` in place, by Adam."""
    mean, square = torch.zeros_like(flat), torch.zeros_like(flat)

    def update(total: Tensor, step: int) -> None:
        gradient = total.div_(expected_batch)
        mean.mul_(recipe.momentum).add_(gradient, alpha=1 - recipe.momentum)
        square.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1 - _SECOND_DECAY)
        spread = (square / (1 - _SECOND_DECAY ** (step + 1))).sqrt_().add_(_TINY)
        flat.addcdiv_(mean, spread, value=-recipe.learning_rate / (1 - recipe.momentum ** (step + 1)))

    return update


def _noise_scales(noise_multipliers: Sequence[float], seeds: Sequence[int], recipe: Recipe) -> Tensor:
    """Return each model's standard deviation of the noise, ``noise_multiplier * C``."""
    shapes = np.shape(noise_multipliers), np.shape(seeds)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1 or shapes[0][0] == 0:
        raise PrivacyParameterError(
            f"noise multipliers have shape {shapes[0]} and seeds {shapes[1]}: give two lists, one of each per model."
        )
    for sigma, seed in zip(noise_multipliers, seeds, strict=True):
        checks.whole(seed, "a seed", 0, error=PrivacyParameterError)
        accounting.check_training(noise_multiplier=sigma)
        if sigma > 0 and math.isinf(recipe.clipping_norm):
            raise PrivacyParameterError(
                f"noise_multiplier {sigma} without clipping would be infinite noise; set a finite clipping norm."
            )
    return torch.tensor([sigma * recipe.clipping_norm if sigma > 0 else 0.0 for sigma in noise_multipliers])


# Sweeps ----------------------------------------------------------------------------------------------------------


@dataclass
class Sweep:
    """Models over epsilon and seed, trained as needed and kept: a stopped sweep goes on where it was.

    No two of them share noise or batches, so that publishing any of them costs what `accounting.compose` says.

    Parameters
    ----------
    recipe : Recipe
    data : callable
        ``data(seed)`` returns X and y to train on, X and y to test on.
    delta : float
    models, aucs : dict
        By (epsilon, seed): each trained model, and its AUC on the test patients.
    """

    recipe: Recipe
    data: Callable[[int], tuple[Table, Labels, Table, Labels]]
    delta: float = accounting.DELTA
    models: dict[tuple[float, int], Models] = field(default_factory=dict)
    aucs: dict[tuple[float, int], float] = field(default_factory=dict)

    def run(self, epsilons: Sequence[float], seeds: Sequence[int], progress: Progress = no_progress) -> pd.DataFrame:
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
            self.models.update(zip(block, models.apart(), strict=True))
            self.aucs.update(zip(block, models.auc(X_test, y_test).tolist(), strict=True))
        rows = [[self.aucs[epsilon, seed] for seed in seeds] for epsilon in epsilons]
        return pd.DataFrame(rows, index=pd.Index(epsilons, name="epsilon"), columns=pd.Index(seeds, name="seed"))

    def _sigma(self, epsilon: float) -> float:
        return accounting.noise_multiplier(epsilon, self.recipe.sample_rate, self.recipe.steps, self.delta)

    def _blocks(
        self, missing: Sequence[tuple[float, int]], tables: Mapping[int, tuple[Table, Labels, Table, Labels]]
    ) -> list[list[tuple[float, int]]]:
        """Group what is missing into blocks that fit the processor's cache; a sampled model draws its own batches."""
        if self.recipe.sample_rate < 1:
            return [[model] for model in missing]
        groups: dict[int, list[tuple[float, int]]] = {}
        for epsilon, seed in missing:
            groups.setdefault(id(tables[seed][0]), []).append((epsilon, seed))
        size = 64 if self.recipe.hidden == 0 else 10
        return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


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
    if table.size and np.abs(table).max() > _LARGEST:
        row, far = np.unravel_index(np.abs(table).argmax(), table.shape)
        name = X.columns[far] if isinstance(X, pd.DataFrame) else int(far)
        raise TrainingDataError(
            f"column {name!r} holds {table[row, far]:g}; values beyond {_LARGEST:g} do not survive their square in 32 "
            "bits: scale the column by public bounds."
        )
    return torch.from_numpy(table), torch.from_numpy(labels)


def checked(X: Table, y: Labels, recipe: Recipe | None = None) -> tuple[Tensor, Tensor]:
    """Return features and labels as tensors, or say what is wrong with them or with the batches to draw from them."""
    table, labels = _numbers(X, y)
    if recipe is not None and isinstance(X, pd.DataFrame) and X.index.has_duplicates:
        most = X.index.value_counts()
        raise TrainingDataError(
            f"patient {most.index[0]!r} has {most.iloc[0]} rows by the index, and the promise is made to one row: keep "
            f"one row a patient, or renumber the index and state accounting.epsilon(..., rows={most.iloc[0]})."
        )
    strange = sorted(set(labels.unique().tolist()) - {0.0, 1.0}, key=str)
    if strange:
        raise TrainingDataError(f"labels hold {strange[0]!r}; they must be 0 or 1: recode them.")
    if len(labels.unique()) < 2:
        raise TrainingDataError("labels hold a single class; both 0 and 1 must occur: choose other patients.")
    if recipe is not None and recipe.sample_rate * len(table) < 1:
        raise TrainingDataError(
            f"{len(table)} patients are too few for batches of {recipe.sample_rate * len(table):g}; a batch holds at "
            "least 1: raise the sample rate or add patients."
        )
    return table, labels
