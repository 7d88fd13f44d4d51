"""Shadow models in batches, against the same models trained one after the other.

Both do the same work: 64 shadow models on random halves of the same 2,000 patients, from the same starting weights, by
the same steps; that the two roads end at the same models is checked. The peer is the plain PyTorch loop (``nn.Linear``,
``BCEWithLogitsLoss``, ``torch.optim``) on whole tensors: no DataLoader, no per-patient gradients, nothing but the
training timed. Ours is the whole call, with its checks, the drawing of the halves and the scores. Everything runs on
one thread.

How much is won depends on how much work a step is. A mini-batch of a hundred patients costs PyTorch mostly the calls;
those are shared by all models here. A full batch of a thousand patients is arithmetic, and a network even more so.
The "leanest loop" shows how much of the gain is the closed form: it makes as few calls as we know, and no library's
user writes it. scikit-learn solves the same problem another way and is there for information.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _frame import Benchmark, Timing
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ppml_helpers import cohort
from ppml_helpers.attack_and_audit import lira, shadow
from ppml_helpers.private_training import engine
from ppml_helpers.private_training.engine import Recipe
from ppml_helpers.private_training.with_opacus import network

RECORDS = 2_000
FULL = Recipe(steps=100, learning_rate=1.0, clipping_norm=math.inf, averaged=0)
BATCHES = dataclasses.replace(FULL, steps=200, sample_rate=0.1)
NETWORK = shadow.OVERFITTED
Trainer = Callable[[Tensor, Tensor, Recipe, int, list[Tensor] | None], list[Tensor]]


def with_autograd(X: Tensor, y: Tensor, recipe: Recipe, seed: int, batches: list[Tensor] | None) -> list[Tensor]:
    """Train one model by the plain PyTorch loop.

    Parameters
    ----------
    X, y : Tensor, shapes (n, d) and (n,)
        The model's own half.
    recipe : Recipe
        Without clipping.
    seed : int
        Of the starting weights.
    batches : list of Tensor, optional
        Rows of each step's batch; all rows by default.

    Returns
    -------
    list of Tensor
        Weights in the engine's shapes.
    """
    model = network(X.shape[1], recipe.hidden, seed)
    if recipe.hidden:
        optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    loss, expected, labels = nn.BCEWithLogitsLoss(reduction="sum"), recipe.sample_rate * len(X), y[:, None]
    for step in range(recipe.steps):
        batch, answers = (X, labels) if batches is None else (X[batches[step]], labels[batches[step]])
        optimizer.zero_grad()
        (loss(model(batch), answers) / expected).backward()
        optimizer.step()
    return [part.T.squeeze(1) if part.dim() == 2 else part for part in map(Tensor.detach, model.parameters())]


def in_closed_form(X: Tensor, y: Tensor, recipe: Recipe, seed: int, batches: list[Tensor] | None) -> list[Tensor]:
    """Train one logistic regression with as few calls as we know: two products, a sigmoid, two updates in place.

    Parameters and returned weights are those of `with_autograd`; the starting weights are zero.
    """
    rows = torch.cat([X, torch.ones_like(X[:, :1])], dim=1) * (1 - 2 * y)[:, None]
    weights, velocity = torch.zeros(rows.shape[1]), torch.zeros(rows.shape[1])
    scale = 1 / (recipe.sample_rate * len(X))
    for step in range(recipe.steps):
        batch = rows if batches is None else rows[batches[step]]
        velocity.mul_(recipe.momentum).add_(torch.mv(batch, weights).sigmoid_() @ batch, alpha=scale)
        weights.sub_(velocity, alpha=recipe.learning_rate)
    return [weights[:-1], weights[-1:]]


def compare(
    benchmark: Benchmark,
    name: str,
    trainer: Trainer,
    recipe: Recipe,
    data: tuple[np.ndarray, np.ndarray],
    n_models: int,
    at_least: float | None,
) -> None:
    """Time ours beside one trainer, and see that both end at the same models.

    Parameters
    ----------
    benchmark : Benchmark
    name : str
    trainer : callable
    recipe : Recipe
    data : tuple of ndarray
        Features and labels.
    n_models : int
    at_least : float or None
        Bound on the median ratio.
    """
    X, y = (torch.from_numpy(part.astype("float32")) for part in data)
    member, adam = shadow.memberships(n_models, len(X), seed=0), recipe.hidden > 0
    step = (8 if recipe.hidden else 4) if benchmark.quick else 1
    chosen = range(0, n_models, step)
    halves = [np.flatnonzero(member[number]) for number in chosen]
    seeds = [shadow.model_seed(0, number) for number in chosen]
    # The peer gets its batches for nothing, and its halves too: only the training is timed.
    batches = [_batches(recipe, member, number) for number in chosen]
    own = [(X[half], y[half]) for half in halves]
    last: dict[str, Any] = {}

    def ours() -> None:
        last["ours"] = shadow.train_shadows(*data, recipe, n_models, seed=0, adam=adam)

    def peer() -> Timing:
        wall, cpu = time.perf_counter(), time.process_time()
        last["peer"] = [
            trainer(*half, recipe, seed, rows) for half, seed, rows in zip(own, seeds, batches, strict=True)
        ]
        return Timing((time.perf_counter() - wall) * step, (time.process_time() - cpu) * step)

    scaled = f"; {len(chosen)} of the peer's {n_models} models trained, their time multiplied by {step}"
    result = benchmark.compare(
        name,
        ours=ours,
        peer=peer,
        repeats=2 if benchmark.quick else (3 if recipe.hidden else 5),
        unit=f"{n_models} shadow models",
        note=f"{len(X) // 2} of {len(X)} patients each; same halves, starts, steps" + (scaled if step > 1 else ""),
        at_least=at_least,
    )
    result.facts["largest difference of a score"] = gap = _largest_difference(last, X, y, list(chosen))
    print(f"  largest difference of a confidence (log-odds) between the two roads: {gap:.2g}")
    if not recipe.hidden and gap > 1e-3:
        raise SystemExit("The two roads do not end at the same models: this is not the same work.")


def _batches(recipe: Recipe, member: np.ndarray, number: int) -> list[Tensor] | None:
    """Return the rows, within the model's own half, of each step's batch: as our block draws them."""
    if recipe.sample_rate == 1:
        return None
    first = number // shadow.BLOCK_OF_REGRESSIONS * shadow.BLOCK_OF_REGRESSIONS
    stream = engine._stream("batches", recipe, 0.0, shadow.model_seed(0, first), adam=False, divisor=None)
    generator = torch.Generator().manual_seed(stream)
    own = torch.from_numpy(member[number])
    drawn = [torch.rand(len(own), generator=generator) < recipe.sample_rate for _ in range(recipe.steps)]
    return [rows[own].nonzero().squeeze(1) for rows in drawn]


def _largest_difference(last: dict[str, Any], X: Tensor, y: Tensor, chosen: list[int]) -> float:
    """Compare the confidences of both roads' models in all records."""
    weights = tuple(torch.stack(parts) for parts in zip(*last["peer"], strict=True))
    models = dataclasses.replace(last["ours"].models, weights=weights)
    theirs = lira.logit_confidence(models.logits(X.numpy()), y.numpy())
    return float(np.abs(theirs - last["ours"].scores[chosen]).max())


def scikit_learn(data: tuple[np.ndarray, np.ndarray], n_models: int) -> None:
    """Fit scikit-learn's logistic regression to one half after the other.

    Parameters
    ----------
    data : tuple of ndarray
    n_models : int
    """
    X, y = data
    for half in shadow.memberships(n_models, len(X), seed=0):
        LogisticRegression(max_iter=1_000).fit(X[half], y[half])


def against_products(benchmark: Benchmark, data: tuple[np.ndarray, np.ndarray], n_models: int) -> None:
    """Tell full batches as a multiple of the two products of matrices that each step cannot do without.

    Parameters
    ----------
    benchmark : Benchmark
    data : tuple of ndarray
    n_models : int
    """
    X = torch.from_numpy(data[0].astype("float32"))
    weights = torch.zeros(X.shape[1], n_models)

    def products() -> None:
        for _ in range(FULL.steps):
            X.T @ (X @ weights)

    benchmark.floor(
        f"{n_models} models, full batches",
        ours=lambda: shadow.train_shadows(*data, FULL, n_models, seed=0),
        peer=products,
        repeats=2 if benchmark.quick else 5,
        unit="shadow models",
        note=f"the floor only multiplies {len(X):,} patients with all models, there and back, {FULL.steps} times",
    )


def main() -> None:
    """Run all comparisons, and the floor as models grow in number."""
    torch.set_num_threads(1)
    X, y = cohort.features(cohort.load_patients())
    chosen = np.random.default_rng(0).permutation(len(X))[:RECORDS]
    data = X.to_numpy()[chosen], y.to_numpy()[chosen]
    with Benchmark("attack", "Shadow models in batches, against the same models one after the other.") as benchmark:
        batches, full = "logistic regression, mini-batches", "logistic regression, full batches"
        compare(benchmark, f"{batches}, PyTorch loop", with_autograd, BATCHES, data, 64, at_least=20)
        compare(benchmark, f"{full}, PyTorch loop", with_autograd, FULL, data, 64, at_least=20)
        compare(benchmark, f"{batches}, leanest loop", in_closed_form, BATCHES, data, 64, at_least=None)
        compare(benchmark, f"{full}, leanest loop", in_closed_form, FULL, data, 64, at_least=None)
        benchmark.compare(
            f"{full}, scikit-learn",
            ours=lambda: shadow.train_shadows(*data, FULL, 64, seed=0),
            peer=lambda: scikit_learn(data, 64),
            repeats=2 if benchmark.quick else 5,
            unit="64 shadow models",
            note="for information: scikit-learn solves to convergence, with an L2 penalty",
        )
        for n_models in (16, 64, 256):
            against_products(benchmark, data, n_models)
        compare(benchmark, "network by Adam, PyTorch loop", with_autograd, NETWORK, data, 16, at_least=None)


if __name__ == "__main__":
    main()
