"""The Opacus road (`with_opacus`) keeps its promise, and does what the engine does."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from ppml_helpers import accounting, cohort
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError
from ppml_helpers.private_training.engine import Recipe, train
from ppml_helpers.private_training.with_opacus import OpacusRun, network, train_with_opacus


def table(rows: int = 200, columns: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, columns))
    return X, (2 * X[:, 0] - X[:, 1] + rng.logistic(size=rows) > 0).astype(float)


# ---------------------------------------------------------------------------------------------------- against Opacus


def opacus_logits(
    X: np.ndarray, y: np.ndarray, asked: np.ndarray, recipe: Recipe, seed: int, noise_multiplier: float
) -> np.ndarray:
    """The same recipe with Opacus' GradSampleModule and DPOptimizer: its log-odds for the rows that are asked for."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    model = GradSampleModule(network(X.shape[1], recipe.hidden, seed))
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum),
        noise_multiplier=noise_multiplier,
        max_grad_norm=recipe.clipping_norm,
        expected_batch_size=recipe.sample_rate * len(X),
        generator=torch.Generator().manual_seed(seed),
    )
    batches = torch.Generator().manual_seed(seed + 1000)
    table_, labels = torch.as_tensor(X).float(), torch.as_tensor(y).float()[:, None]
    for _ in range(recipe.steps):
        chosen = torch.rand(len(X), generator=batches) < recipe.sample_rate
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(table_[chosen]), labels[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        return model(torch.as_tensor(asked).float())[:, 0].numpy()


@pytest.mark.parametrize("hidden", [0, 16])
@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_the_engine_trains_as_well_as_opacus(hidden: int) -> None:
    """Welch's interval of the mean difference (99.9 %) over 6 seeds holds 0, and is narrow enough to mean something."""
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    X, X_test, y, y_test = (np.array(part, dtype="float64") for part in split)
    X, y = X[:1000], y[:1000]
    recipe = Recipe(40, learning_rate=1.0, clipping_norm=0.5, sample_rate=0.1, momentum=0, averaged=0, hidden=hidden)
    theirs = [roc_auc_score(y_test, opacus_logits(X, y, X_test, recipe, seed, 2.0)) for seed in range(6)]
    ours = [train(X, y, recipe, [2.0], [100 + seed]).auc(X_test, y_test)[0] for seed in range(6)]
    error = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 6)
    print(f"hidden {hidden}: engine {np.mean(ours):.4f}, Opacus {np.mean(theirs):.4f}, standard error {error:.4f}")
    assert abs(np.mean(ours) - np.mean(theirs)) < 4.4 * error
    assert error < 0.02
    assert np.mean(theirs) > 0.6


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_noiseless_steps_are_those_of_opacus() -> None:
    """Without randomness the two roads agree to Opacus' own 1e-6 in the clipping factor."""
    X, y = table()
    recipe = Recipe(5, learning_rate=0.5, clipping_norm=0.3, momentum=0.9, averaged=0, hidden=6)
    ours = train(X, y, recipe, [0.0], [2]).logits(X)[0]
    np.testing.assert_allclose(opacus_logits(X, y, X, recipe, 2, 0.0), ours, atol=1e-4)


# ---------------------------------------------------------------------------------------------------- the Opacus road

ROAD = {"epochs": 3, "batch_size": 50, "clipping_norm": 1.0, "learning_rate": 0.5}


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_opacus_road_keeps_its_promise(hidden: int, capfd: pytest.CaptureFixture[str]) -> None:
    X, y = table(rows=600)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        run = train_with_opacus(X, y, network(5, hidden), epsilon=2.0, **ROAD)
    assert isinstance(run, OpacusRun)
    assert not heard
    assert capfd.readouterr().err == ""
    assert 1.9 < run.epsilon <= 2.0
    assert run.sample_rate == pytest.approx(50 / 600)
    assert run.steps == 3 * 12
    ours = accounting.epsilon(run.noise_multiplier, run.sample_rate, run.steps)
    assert 1.9 < ours <= 2.0 * 1.01
    with torch.no_grad():
        assert roc_auc_score(y, run.model(torch.as_tensor(X).float())[:, 0]) > 0.7


def test_the_opacus_road_is_seeded() -> None:
    X, y = table()
    once = {**ROAD, "epochs": 1, "batch_size": 20}
    runs = [train_with_opacus(X, y, network(5, 3), epsilon=0.5, **once, seed=seed) for seed in (1, 1, 2)]
    weights = [torch.cat([p.detach().flatten() for p in run.model.parameters()]) for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("asked", [50, 120, 200, np.int64(299), 300])
def test_the_batch_that_was_asked_for_is_the_one_drawn_and_accounted(asked: int) -> None:
    X, y = table(rows=300)
    run = train_with_opacus(X, y, network(5), epsilon=1.0, **{**ROAD, "epochs": 2, "batch_size": asked})
    assert run.sample_rate == asked / 300
    assert run.steps == 2 * (300 // asked)
    assert run.epsilon == accounting.epsilon(run.noise_multiplier, run.sample_rate, run.steps) <= 1.0


@pytest.mark.parametrize("epsilon", [0.004, 300.0, 1000.0])
def test_an_extreme_epsilon_gets_its_noise_soon(epsilon: float, capfd: pytest.CaptureFixture[str]) -> None:
    run = train_with_opacus(*table(), network(5), epsilon=epsilon, **ROAD)
    assert 0.9 * epsilon < run.epsilon <= epsilon
    assert capfd.readouterr().err == ""


def test_the_same_model_goes_on_from_its_weights() -> None:
    X, y = table()
    model = network(5)
    first = train_with_opacus(X, y, model, epsilon=5.0, **ROAD).model.weight.detach().clone()
    assert not torch.equal(train_with_opacus(X, y, model, epsilon=5.0, **ROAD, seed=1).model.weight, first)


class HalfUsed(nn.Module):
    """Two layers, of which the forward pass uses one."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(5, 1), nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"epsilon": math.inf}, PrivacyParameterError, "epsilon is inf; private training needs a finite one"),
        ({"delta": 0.01}, PrivacyParameterError, "delta = 0.01 is one in 100 and there are 200 patients"),
        ({"seed": 1.5}, PrivacyParameterError, "seed = 1.5 must be a whole number"),
        ({"seed": 2**64}, PrivacyParameterError, "seed = 18446744073709551616 must be a whole number"),
        ({"model": None}, PrivacyParameterError, "model is of type NoneType, it must be a torch.nn.Module"),
        ({"model": nn.Linear(5, 2)}, PrivacyParameterError, "model gives shape (2, 2) for 2 records"),
        ({"model": nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))}, PrivacyParameterError, "model gives shape (2,)"),
        ({"model": nn.Linear(6, 1)}, PrivacyParameterError, "model does not take records of 5 columns"),
        ({"model": network(5).double()}, PrivacyParameterError, "model does not take records of 5 columns in 32"),
        ({"model": network(5).requires_grad_(False)}, PrivacyParameterError, "model has no parameter that can be"),
        ({"model": HalfUsed()}, PrivacyParameterError, "Opacus cannot bound each patient's gradient in this model ("),
        ({"epochs": 0}, PrivacyParameterError, "epochs = 0 must be a whole number of at least 1: it counts rounds"),
        ({"batch_size": 201}, TrainingDataError, "batch_size = 201 must be a whole number from 1 to 200"),
        ({"y": np.full(200, 2)}, TrainingDataError, "labels hold 2.0; they must be 0 or 1"),
        (
            {"model": nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))},
            PrivacyParameterError,
            "Opacus cannot bound each patient's gradient in this model: BatchNorm",
        ),
    ],
)
def test_the_opacus_road_refuses(change: dict, error: type[Exception], sentence: str) -> None:
    X, y = table()
    with pytest.raises(error) as refused:
        train_with_opacus(**{"X": X, "y": y, "model": network(5), "epsilon": 1.0, **ROAD, **change})
    assert str(refused.value).startswith(sentence)
