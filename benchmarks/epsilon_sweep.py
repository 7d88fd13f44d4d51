"""A whole curve of accuracy against epsilon at once, against one Opacus training after the other.

Both do the same work: 8 epsilons x 5 seeds of DP-SGD for logistic regression on the training patients, at the same
sample rate q, noise, steps T, clipping norm C and learning rate, without momentum or averaging. Opacus may use as many
threads as there are cores, the engine uses one.
Opacus runs without a DataLoader (GradSampleModule and DPOptimizer on slices of a tensor), which is many times faster
than with one. What differs: the engine trains all models together and clips in closed form, and the models of one
call share their Poisson batches. Each keeps its own promise, but sampled models that are published together need
batches of their own: `Sweep` trains those one by one, which this benchmark does not.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _frame import Benchmark, Timing
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ppml_helpers import accounting, cohort
from ppml_helpers.private_training.engine import Recipe, train
from ppml_helpers.private_training.with_opacus import network

EPSILONS = (0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
SEEDS = tuple(range(5))
COMPARISONS = {
    # name: recipe, and how many times faster the engine is to be
    "full batch, T=50": (Recipe(50, learning_rate=4.0, clipping_norm=0.3, momentum=0, averaged=0), 60),
    "q=0.1, T=200": (Recipe(200, learning_rate=1.0, clipping_norm=0.3, sample_rate=0.1, momentum=0, averaged=0), 150),
}


def opacus_training(X: Tensor, y: Tensor, recipe: Recipe, sigma: float, seed: int) -> nn.Module:
    """Train one model with Opacus, as fast as it goes.

    Parameters
    ----------
    X, y : Tensor, shapes (n, d) and (n, 1)
    recipe : Recipe
    sigma : float
        Noise multiplier.
    seed : int

    Returns
    -------
    torch.nn.Module
    """
    model = GradSampleModule(network(X.shape[1]))
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=recipe.learning_rate),
        noise_multiplier=sigma,
        max_grad_norm=recipe.clipping_norm,
        expected_batch_size=recipe.sample_rate * len(X),
        generator=torch.Generator().manual_seed(seed),
    )
    batches, loss = torch.Generator().manual_seed(1_000 + seed), nn.BCEWithLogitsLoss()
    for _ in range(recipe.steps):
        batch, labels = X, y
        if recipe.sample_rate < 1:
            chosen = (torch.rand(len(X), generator=batches) < recipe.sample_rate).nonzero().squeeze(1)
            batch, labels = X[chosen], y[chosen]
        optimizer.zero_grad()
        loss(model(batch), labels).backward()
        optimizer.step()
    return model


def _timed(training: Callable[[], Any]) -> tuple[Any, Timing]:
    """Time the training alone: scoring the models afterwards only checks that both did the same work."""
    wall, cpu = time.perf_counter(), time.process_time()
    trained = training()
    return trained, Timing(time.perf_counter() - wall, time.process_time() - cpu)


def compare(benchmark: Benchmark, name: str, recipe: Recipe, at_least: float, split: cohort.Split) -> None:
    """Time one comparison, and see that both roads reach the same mean AUC.

    Parameters
    ----------
    benchmark : Benchmark
    name : str
    recipe : Recipe
    at_least : float
        Bound on the median ratio.
    split : Split
    """
    X, X_test, y, y_test = (np.array(part, dtype="float32") for part in split)
    pairs = list(itertools.product(EPSILONS, SEEDS))
    sigmas = [accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps) for epsilon, _ in pairs]
    tensors = torch.from_numpy(X), torch.from_numpy(y)[:, None]
    aucs: dict[str, list[float]] = {"engine": [], "Opacus": []}

    def engine() -> Timing:
        models, taken = _timed(lambda: train(X, y, recipe, sigmas, [seed for _, seed in pairs]))
        aucs["engine"] = models.auc(X_test, y_test).tolist()
        return taken

    step = 10 if benchmark.quick else 1  # every tenth model: epsilons 0.1, 0.5, 2 and 5
    chosen = list(zip(pairs, sigmas, strict=True))[::step]

    def opacus() -> Timing:
        models, taken = _timed(lambda: [opacus_training(*tensors, recipe, s, seed) for (_, seed), s in chosen])
        with torch.no_grad():
            logits = [model(torch.from_numpy(X_test))[:, 0].numpy() for model in models]
        aucs["Opacus"] = [roc_auc_score(y_test, row) for row in logits]
        return Timing(taken.wall * step, taken.cpu * step)

    scaled = f"; only {len(chosen)} of Opacus' {len(pairs)} models were trained and their time multiplied by {step}"
    benchmark.compare(
        f"logistic regression, {name}",
        ours=engine,
        peer=opacus,
        repeats=2 if benchmark.quick else 7,
        unit="sweep of 40 models",
        note=f"{len(X)} patients; same q, sigma, T, C; Opacus without a DataLoader" + (scaled if step > 1 else ""),
        at_least=at_least,
    )
    ours, theirs = np.array(aucs["engine"])[::step], np.array(aucs["Opacus"])
    error = np.std(ours - theirs, ddof=1) / np.sqrt(len(ours))
    print(f"  mean AUC: engine {ours.mean():.4f}, Opacus {theirs.mean():.4f}, error of the difference {error:.4f}")
    if abs(ours.mean() - theirs.mean()) > 4 * error + 0.002:
        raise SystemExit("The engine and Opacus do not reach the same AUC: this is not the same work.")


def against_products(benchmark: Benchmark, models: int, split: cohort.Split) -> None:
    """Tell a sweep as a multiple of the two products of matrices that each of its steps cannot do without.

    Parameters
    ----------
    benchmark : Benchmark
    models : int
        How many are trained together, at one epsilon.
    split : Split
    """
    recipe = COMPARISONS["full batch, T=50"][0]
    X, y = (np.array(part, dtype="float32") for part in (split.X_train, split.y_train))
    sigmas = [accounting.noise_multiplier(1.0, recipe.sample_rate, recipe.steps)] * models
    weights = np.zeros((X.shape[1], models), dtype="float32")

    def products() -> None:
        for _ in range(recipe.steps):
            X.T @ (X @ weights)

    benchmark.floor(
        f"{models} models, full batch, T=50",
        ours=lambda: train(X, y, recipe, sigmas, list(range(models))),
        peer=products,
        repeats=2 if benchmark.quick else 7,
        unit="sweep",
        note=f"{len(X)} patients; the floor only multiplies all patients with all models, there and back, each step",
    )


def main() -> None:
    """Run both comparisons, and the floor as models grow in number."""
    warnings.filterwarnings("ignore", "Full backward hook is firing")
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    about = "A sweep of 8 epsilons x 5 seeds at once, against 40 Opacus trainings one after the other."
    with Benchmark("epsilon-sweep", about) as benchmark:
        for name, (recipe, at_least) in COMPARISONS.items():
            compare(benchmark, name, recipe, at_least, split)
        for models in (10, 40, 160):
            against_products(benchmark, models, split)


if __name__ == "__main__":
    main()
