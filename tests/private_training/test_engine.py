"""The engine and the Opacus road do the same, right thing."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn

from ppml_helpers import accounting, cohort
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError
from ppml_helpers.private_training import engine as pt
from ppml_helpers.private_training.engine import RECIPES, Models, Recipe, Sweep

PLAIN = Recipe(steps=30, learning_rate=0.7, clipping_norm=math.inf, momentum=0.9, averaged=0)


def table(rows: int = 200, columns: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, columns))
    return X, (2 * X[:, 0] - X[:, 1] + rng.logistic(size=rows) > 0).astype(float)


@pytest.fixture(scope="module")
def patients() -> tuple[pd.DataFrame, pd.Series]:
    return cohort.features(cohort.load_patients())


@pytest.fixture(scope="module")
def splits(patients: tuple[pd.DataFrame, pd.Series]) -> list[cohort.Split]:
    return [cohort.split(*patients, seed=seed) for seed in range(20)]


# ---------------------------------------------------------------------------------------------------- clipping


def clipped_by_autograd(weights: list[torch.Tensor], X: np.ndarray, y: np.ndarray, norm: float) -> list[torch.Tensor]:
    """One model's sum of clipped gradients, by vmap over patients of the gradient of the loss."""

    def loss(w: list[torch.Tensor], x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        if len(w) == 4:
            x, w = torch.tanh(x @ w[0] + w[1]), w[2:]
        return nn.functional.binary_cross_entropy_with_logits(x @ w[0] + w[1][0], label)

    X, y = torch.as_tensor(X), torch.as_tensor(y)
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weights, X, y)
    lengths = torch.sqrt(sum((g.flatten(1) ** 2).sum(dim=1) for g in gradients))
    factors = torch.clamp(norm / lengths, max=1)
    return [torch.einsum("n,n...->...", factors, g) for g in gradients]


@pytest.mark.parametrize("hidden", [0, 7])
@pytest.mark.parametrize("norm", [0.01, 0.3, 1.0, 3.0, math.inf])
def test_clipped_gradients_against_autograd(hidden: int, norm: float) -> None:
    X, y = table()
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 5), (3, 1)] if hidden == 0 else [(3, 5, hidden), (3, hidden), (3, hidden), (3, 1)]
    weights = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    ours = pt.clipped_gradient_sums(Models(tuple(weights), hidden), X, y, norm)
    for model in range(3):
        theirs = clipped_by_autograd([w[model] for w in weights], X, y, norm)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a[model], b.numpy(), atol=1e-10, rtol=0)


@pytest.mark.parametrize("hidden", [0, 7])
def test_no_patient_moves_the_sum_by_more_than_the_clipping_norm(hidden: int) -> None:
    X, y = table()
    models = pt.train(X * 50, y, dataclasses.replace(PLAIN, hidden=hidden, learning_rate=0.01), [0.0], [0])
    whole = pt.clipped_gradient_sums(models, X * 50, y, 0.2)
    for row in range(0, 200, 10):
        without = pt.clipped_gradient_sums(models, np.delete(X * 50, row, 0), np.delete(y, row), 0.2)
        moved = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(whole, without, strict=True)))
        assert moved <= 0.2 * (1 + 1e-4)


# ---------------------------------------------------------------------------------------------------- plain training


@pytest.mark.parametrize("hidden", [0, 6])
@pytest.mark.parametrize("averaged", [0, 0.5, 1])
def test_without_noise_and_clipping_it_is_plain_training(hidden: int, averaged: float) -> None:
    X, y = table()
    recipe = dataclasses.replace(PLAIN, hidden=hidden, averaged=averaged)
    ours = pt.train(X, y, recipe, [0.0], [3], dtype=torch.float64)
    weights = [w[0].clone().requires_grad_() for w in pt._initial(hidden, 5, [3], torch.float64)]
    optimizer = torch.optim.SGD(weights, lr=recipe.learning_rate, momentum=recipe.momentum)
    visited, table_, labels = [], torch.as_tensor(X), torch.as_tensor(y)
    for _ in range(recipe.steps):
        optimizer.zero_grad()
        h = torch.tanh(table_ @ weights[0] + weights[1]) if hidden else table_
        nn.functional.binary_cross_entropy_with_logits(h @ weights[-2] + weights[-1], labels).backward()
        optimizer.step()
        visited.append([w.detach().clone() for w in weights])
    last = visited[-max(1, round(averaged * recipe.steps)) :]
    for number, weight in enumerate(ours.weights):
        expected = torch.stack([step[number] for step in last]).mean(dim=0)
        np.testing.assert_allclose(weight[0].numpy(), expected.numpy(), atol=1e-12)


def test_the_network_of_the_opacus_road_starts_where_the_engine_does() -> None:
    X, _ = table()
    model = pt.network(5, hidden=4, seed=9)
    weights = pt._initial(4, 5, [9], torch.float32)
    logits = Models(tuple(weights), 4).logits(X)[0]
    np.testing.assert_allclose(model(torch.as_tensor(X).float()).detach().numpy()[:, 0], logits, atol=1e-6)


# ---------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("q", [1.0, 0.25])
def test_the_noise_has_the_stated_size(q: float) -> None:
    """One step from zero at rate 1: the models differ from the noiseless one by their noise alone."""
    X, y = table(rows=400, columns=200)
    recipe = Recipe(1, learning_rate=1.0, clipping_norm=0.5, sample_rate=q, momentum=0, averaged=0)
    seeds = [0, *range(100)]
    sigmas = [0.0] + [3.0] * 100
    slopes, intercepts = pt.train(X, y, recipe, sigmas, seeds, dtype=torch.float64).weights
    noise = torch.cat([slopes, intercepts], dim=1)
    noise = (noise[1:] - noise[0]).numpy()
    expected = 3.0 * 0.5 / (q * 400)  # noise multiplier * C / expected batch
    draws = noise.size
    assert abs(noise.mean()) < 4 * expected / math.sqrt(draws)
    assert noise.std() == pytest.approx(expected, rel=4 / math.sqrt(2 * draws))
    # No weight is spared and no two seeds share their noise.
    assert noise.std(axis=0).min() > 0.6 * expected
    assert np.abs(np.corrcoef(noise) - np.eye(100)).max() < 0.4


def test_the_noise_is_fresh_in_every_step() -> None:
    X, y = table(columns=300)
    recipe = Recipe(50, learning_rate=1e-9, clipping_norm=1.0, momentum=0, averaged=0)
    quiet, loud = (pt.train(X, y, recipe, [sigma], [0], dtype=torch.float64).weights[0] for sigma in (0.0, 100.0))
    noise = (loud - quiet).numpy() / 1e-9
    assert noise.std() == pytest.approx(math.sqrt(50) * 100 / 200, rel=0.2)


@pytest.mark.parametrize(("hidden", "rows"), [(0, 300), (5, 300)])
def test_a_model_does_not_depend_on_its_company(hidden: int, rows: int) -> None:
    X, y = table(rows)
    recipe = Recipe(20, 0.5, 0.5, hidden=hidden)
    together = pt.train(X, y, recipe, [1.0, 5.0, 0.0, 5.0], [4, 4, 9, 2], dtype=torch.float64)
    for number, (sigma, seed) in enumerate([(1.0, 4), (5.0, 4), (0.0, 9), (5.0, 2)]):
        alone = pt.train(X, y, recipe, [sigma], [seed], dtype=torch.float64)
        for a, b in zip(together.weights, alone.weights, strict=True):
            np.testing.assert_allclose(a[number].numpy(), b[0].numpy(), atol=1e-12)


@pytest.mark.parametrize("recipe", [Recipe(20, 0.5, 0.5), Recipe(20, 0.5, 0.5, sample_rate=0.3, hidden=4)])
def test_the_same_seed_gives_the_same_bits(recipe: Recipe) -> None:
    X, y = table()
    first, again, other = (pt.train(X, y, recipe, [2.0, 4.0], seeds).weights for seeds in ([1, 2], [1, 2], [1, 3]))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][1], other[0][1])


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pt.train(*table(), PLAIN, [0.0], [0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_poisson_batches_have_the_right_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    clipped_sums = pt._clipped_sums

    def spy(flat: torch.Tensor, shapes: list, patients: tuple, norm: float) -> torch.Tensor:
        sizes.append(len(patients[0]))
        return clipped_sums(flat, shapes, patients, norm)

    monkeypatch.setattr(pt, "_clipped_sums", spy)
    pt.train(*table(rows=1000), Recipe(2000, 0.01, 1.0, sample_rate=0.1), [1.0], [0])
    expected, spread = 100, math.sqrt(1000 * 0.1 * 0.9)
    assert np.mean(sizes) == pytest.approx(expected, abs=4 * spread / math.sqrt(2000))
    assert np.std(sizes) == pytest.approx(spread, rel=4 / math.sqrt(4000))


def test_an_empty_batch_adds_noise_alone() -> None:
    X, y = table(rows=10)
    recipe = Recipe(40, 0.1, 1.0, sample_rate=0.1)  # a third of the batches is empty
    assert np.isfinite(pt.train(X, y, recipe, [1.0], [0]).logits(X)).all()


# ---------------------------------------------------------------------------------------------------- against Opacus


def opacus_auc(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, recipe: Recipe, seed: int
) -> float:
    """The same recipe with Opacus' GradSampleModule and DPOptimizer, at noise multiplier 4."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    model = GradSampleModule(pt.network(X.shape[1], recipe.hidden, seed))
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=recipe.learning_rate),
        noise_multiplier=4.0,
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
        return roc_auc_score(y_test, model(torch.as_tensor(X_test).float())[:, 0].numpy())


@pytest.mark.parametrize("hidden", [0, 16])
@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_the_engine_trains_as_well_as_opacus(splits: list[cohort.Split], hidden: int) -> None:
    """Welch's interval of the mean difference (99.9 %) over 8 seeds holds 0, and is narrow enough to mean something."""
    X, X_test, y, y_test = (np.array(part, dtype="float64") for part in splits[0])
    X, y = X[:2000], y[:2000]
    recipe = Recipe(40, learning_rate=1.0, clipping_norm=0.5, sample_rate=0.1, momentum=0, averaged=0, hidden=hidden)
    theirs = [opacus_auc(X, y, X_test, y_test, recipe, seed) for seed in range(8)]
    ours = [pt.train(X, y, recipe, [4.0], [100 + seed]).auc(X_test, y_test)[0] for seed in range(8)]
    error = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 8)
    print(f"hidden {hidden}: engine {np.mean(ours):.4f}, Opacus {np.mean(theirs):.4f}, standard error {error:.4f}")
    assert abs(np.mean(ours) - np.mean(theirs)) < 4.1 * error
    assert error < 0.02
    assert np.mean(theirs) > 0.6


def test_one_noiseless_step_is_opacus_step() -> None:
    """Without randomness the two roads agree to Opacus' own 1e-6 in the clipping factor."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    X, y = table()
    recipe = Recipe(5, learning_rate=0.5, clipping_norm=0.3, momentum=0.9, averaged=0, hidden=6)
    model = GradSampleModule(pt.network(5, 6, seed=2))
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9),
        noise_multiplier=0.0,
        max_grad_norm=0.3,
        expected_batch_size=200,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            optimizer.zero_grad()
            logits = model(torch.as_tensor(X).float())
            nn.functional.binary_cross_entropy_with_logits(logits, torch.as_tensor(y).float()[:, None]).backward()
            optimizer.step()
    ours = pt.train(X, y, recipe, [0.0], [2]).logits(X)[0]
    np.testing.assert_allclose(model(torch.as_tensor(X).float()).detach().numpy()[:, 0], ours, atol=1e-4)


# ---------------------------------------------------------------------------------------------------- the Opacus road

ROAD = {"epochs": 3, "batch_size": 50, "clipping_norm": 1.0, "learning_rate": 0.5}


@pytest.mark.parametrize("hidden", [0, 4])
def test_the_opacus_road_keeps_its_promise(hidden: int, capfd: pytest.CaptureFixture[str]) -> None:
    X, y = table(rows=600)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        run = pt.train_with_opacus(X, y, pt.network(5, hidden), epsilon=2.0, **ROAD)
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
    X, y = table(rows=300)
    runs = [
        pt.train_with_opacus(X, y, pt.network(5, 3), epsilon=3.0, **{**ROAD, "epochs": 1}, seed=s) for s in (1, 1, 2)
    ]
    weights = [torch.cat([p.detach().flatten() for p in run.model.parameters()]) for run in runs]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_stated_sample_rate_is_the_one_drawn() -> None:
    """With 93 batches Opacus makes 92 steps an epoch (1 / (1 / 93) is below 93 in floating point)."""
    X, y = table(rows=186)
    run = pt.train_with_opacus(X, y, pt.network(5), epsilon=5.0, **{**ROAD, "epochs": 1, "batch_size": 2})
    assert run.sample_rate == 1 / 93
    assert run.steps == 92
    # Opacus' own bookkeeping takes the rate for 1 / 92 then, and reports a little more than was spent.
    assert accounting.epsilon(run.noise_multiplier, run.sample_rate, run.steps) <= 5.0 <= run.epsilon


def test_progress_is_told() -> None:
    X, y = table()
    told: list[float] = []
    pt.train_with_opacus(X, y, pt.network(5), epsilon=5.0, **ROAD, progress=lambda share, _: told.append(share))
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    told.clear()
    pt.train(X, y, PLAIN, [0.0], [0], progress=lambda share, _: told.append(share))
    assert told == pytest.approx([(k + 1) / 30 for k in range(30)])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epsilon": 0}, "epsilon = 0 must be a finite number above 0"),
        ({"epsilon": math.nan}, "epsilon = nan must be a finite number above 0"),
        ({"epsilon": math.inf}, "epsilon is inf; private training needs a finite one"),
        ({"epsilon": 0.004}, "epsilon is 0.004; Opacus finds no noise for it"),
        ({"delta": 1.0}, "delta = 1.0 must be a finite number"),
        ({"epochs": 0}, "epochs is 0; it counts rounds"),
        ({"clipping_norm": math.inf}, "clipping_norm is inf; private training needs a finite one"),
        ({"clipping_norm": 0}, "clipping_norm is 0; give a number above 0"),
        ({"learning_rate": -1}, "learning_rate is -1; give a finite number above 0"),
        ({"momentum": 1.0}, "momentum is 1.0; give a number from 0 to below 1"),
        (
            {"model": nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))},
            "Opacus cannot bound each patient's gradient in this model: BatchNorm",
        ),
    ],
    ids=str,
)
def test_the_opacus_road_refuses_parameters(change: dict, sentence: str) -> None:
    X, y = table()
    with pytest.raises(PrivacyParameterError) as error:
        pt.train_with_opacus(X, y, **{"model": pt.network(5), "epsilon": 1.0, **ROAD, **change})
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("size", [201, 0, 2.5, True])
def test_the_opacus_road_refuses_a_batch(size: object) -> None:
    X, y = table()
    with pytest.raises(TrainingDataError, match=r"batches of \d+; a batch holds|batch_size is"):
        pt.train_with_opacus(X, y, pt.network(5), epsilon=1.0, **{**ROAD, "batch_size": size})


# ---------------------------------------------------------------------------------------------------- scoring


def test_auc_is_that_of_scikit_learn_with_ties() -> None:
    X, y = table()
    X = np.round(X)  # three values a column: many ties
    models = pt.train(X, y, Recipe(10, 1.0, 1.0), [0.0, 20.0, 500.0], [0, 1, 2])
    logits = models.logits(X)
    assert len(np.unique(logits[0])) < 200
    expected = [roc_auc_score(y, row) for row in logits]
    np.testing.assert_allclose(models.auc(X, y), expected, atol=1e-12)
    flat = Models((torch.zeros(1, 5), torch.zeros(1, 1)), 0)
    assert flat.auc(X, y)[0] == 0.5


def test_scoring_refuses_what_it_cannot_score() -> None:
    X, y = table()
    models = pt.train(X, y, PLAIN, [0.0], [0])
    with pytest.raises(TrainingDataError, match="a single class"):
        models.auc(X, np.ones(200))
    with pytest.raises(TrainingDataError, match="trained on 5 columns"):
        models.logits(X[:, :3])


# ---------------------------------------------------------------------------------------------------- sweeps


def sweep_of(recipe: Recipe, tables: list[tuple]) -> Sweep:
    return Sweep(recipe, lambda seed: tables[seed % len(tables)])


@pytest.mark.parametrize("recipe", [Recipe(10, 0.5, 0.5), Recipe(10, 0.5, 0.5, sample_rate=0.2, hidden=3)])
def test_a_sweep_is_the_same_as_training_one_by_one(recipe: Recipe) -> None:
    data = (*table(), *table(seed=1))
    aucs = sweep_of(recipe, [data]).run([1.0, 8.0, math.inf], [0, 5])
    assert aucs.shape == (3, 2)
    assert aucs.index.name == "epsilon"
    for epsilon in aucs.index:
        for seed in aucs.columns:
            sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
            alone = pt.train(*data[:2], recipe, [sigma], [seed]).auc(*data[2:])[0]
            assert aucs.loc[epsilon, seed] == pytest.approx(alone, abs=1e-3)


def test_sampled_results_do_not_depend_on_what_was_asked_before() -> None:
    recipe = Recipe(10, 0.5, 0.5, sample_rate=0.2, hidden=3)
    data = (*table(), *table(seed=1))
    at_once = sweep_of(recipe, [data]).run([1.0, 3.0], [0, 1])
    bit_by_bit = sweep_of(recipe, [data])
    bit_by_bit.run([3.0], [1])
    bit_by_bit.run([3.0], [0])
    pd.testing.assert_frame_equal(bit_by_bit.run([1.0, 3.0], [0, 1]), at_once, atol=1e-3, rtol=0)


def test_tables_made_anew_for_every_seed_are_not_mixed_up() -> None:
    """The address of a table that was thrown away may come back: seeds are told apart while their tables live."""
    recipe = Recipe(10, 0.5, 0.5)

    def fresh(seed: int) -> tuple:
        return (*table(seed=seed), *table(seed=100 + seed))

    aucs = Sweep(recipe, fresh).run([math.inf], list(range(6)))
    expected = [pt.train(*fresh(s)[:2], recipe, [0.0], [s]).auc(*fresh(s)[2:])[0] for s in range(6)]
    np.testing.assert_allclose(aucs.loc[math.inf], expected, atol=1e-9)


def test_a_stopped_sweep_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [(*table(seed=s), *table(seed=9)) for s in range(4)]
    recipe, epsilons, seeds = Recipe(10, 0.5, 0.5), [1.0, 3.0], [0, 1, 2, 3]
    sweep = sweep_of(recipe, tables)

    def press_ctrl_c(fraction: float, _: str) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(epsilons, seeds, press_ctrl_c)
    assert set(sweep.aucs) == {(e, s) for e in epsilons for s in (0, 1)}
    trained = []
    train = pt.train
    monkeypatch.setattr(
        pt, "train", lambda X, y, r, sigmas, s, **k: trained.append(s) or train(X, y, r, sigmas, s, **k)
    )
    resumed = sweep.run(epsilons, seeds)
    assert trained == [[2, 2], [3, 3]]
    pd.testing.assert_frame_equal(resumed, sweep_of(recipe, tables).run(epsilons, seeds))
    trained.clear()
    sweep.run(epsilons, seeds)
    assert trained == []


def test_seeds_with_the_same_table_are_trained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    train = pt.train
    monkeypatch.setattr(
        pt, "train", lambda X, y, r, sigmas, s, **k: trained.append(s) or train(X, y, r, sigmas, s, **k)
    )
    sweep_of(Recipe(5, 0.5, 0.5), [(*table(), *table(seed=1))]).run([1.0, 3.0], [0, 1, 2])
    assert trained == [[0, 0, 1, 1, 2, 2]]


# ---------------------------------------------------------------------------------------------------- bad input


def broken(change: str) -> tuple[object, object]:
    X, y = table()
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(5)])
    if change == "nan":
        frame.loc[7, "x3"] = np.nan
    elif change == "infinity":
        X[3, 2] = np.inf
        return X, y
    elif change == "text":
        frame["x1"] = "high"
    elif change == "labels":
        y[5] = 2
    elif change == "nan label":
        y[5] = np.nan
    elif change == "class":
        y[:] = 1
    elif change == "flat":
        return X[:, 0], y
    elif change == "column":
        return frame, y[:, None]
    elif change == "lengths":
        return frame, y[:-1]
    elif change == "nobody":
        return frame.iloc[:0], y[:0]
    return frame, y


FAULTS = {
    "nan": r"column 'x3' holds NaN or infinity; fill",
    "infinity": r"column 2 holds NaN or infinity; fill",
    "text": r"must be numbers \(could not convert string to float: 'high'\); encode text columns first",
    "labels": r"labels hold 2\.0; they must be 0 or 1",
    "nan label": r"labels hold nan; they must be 0 or 1",
    "class": r"labels hold a single class; both 0 and 1 must occur",
    "flat": r"features have shape \(200,\) and labels \(200,\); give",
    "column": r"labels \(200, 1\); give \(patients, columns\) and \(patients,\)",
    "lengths": r"labels \(199,\); give",
    "nobody": r"single class",
}


@pytest.mark.parametrize("change", FAULTS)
def test_both_roads_refuse_what_cannot_be_trained_on(change: str) -> None:
    X, y = broken(change)
    with pytest.raises(TrainingDataError, match=FAULTS[change]):
        pt.train(X, y, PLAIN, [0.0], [0])
    with pytest.raises(TrainingDataError, match=FAULTS[change]):
        pt.train_with_opacus(X, y, pt.network(5), epsilon=1.0, **ROAD)


def test_fewer_patients_than_the_batch() -> None:
    X, y = table(rows=20)
    with pytest.raises(TrainingDataError, match=r"20 patients are too few for batches of 0\.2"):
        pt.train(X, y, Recipe(5, 0.5, 0.5, sample_rate=0.01), [1.0], [0])


@pytest.mark.parametrize(
    ("sigmas", "seeds", "norm", "sentence"),
    [
        ([1.0], [0], math.inf, "noise_multiplier 1.0 without clipping"),
        ([1.0, 2.0], [0], 1.0, "there are 2 noise multipliers and 1 seeds"),
        ([], [], 1.0, "there are 0 noise multipliers"),
        ([-1.0], [0], 1.0, "noise_multiplier = -1.0"),
        ([math.nan], [0], 1.0, "noise_multiplier = nan"),
    ],
)
def test_the_engine_refuses_noise(sigmas: list, seeds: list, norm: float, sentence: str) -> None:
    with pytest.raises(PrivacyParameterError, match=sentence):
        pt.train(*table(), Recipe(5, 0.5, norm), sigmas, seeds)


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan])
def test_a_sweep_refuses_an_epsilon(epsilon: float) -> None:
    with pytest.raises(PrivacyParameterError, match="epsilon is"):
        sweep_of(Recipe(5, 0.5, 0.5), [(*table(), *table(seed=1))]).run([epsilon], [0])


@pytest.mark.parametrize(
    "change",
    [
        *({"steps": v} for v in (0, 2.5)),
        *({"sample_rate": v} for v in (0, 1.5)),
        *({"learning_rate": v} for v in (0, math.inf, math.nan)),
        *({"clipping_norm": v} for v in (0, math.nan)),
        *({"momentum": v} for v in (-0.1, 1)),
        *({"averaged": v} for v in (-0.1, 1.1)),
        *({"hidden": v} for v in (-1, 1.5)),
    ],
    ids=str,
)
def test_a_recipe_refuses(change: dict) -> None:
    (name, value), *_ = change.items()
    with pytest.raises(PrivacyParameterError, match=f"{name} is {value!r};"):
        Recipe(**{"steps": 5, "learning_rate": 0.5, "clipping_norm": 1.0, **change})


# ---------------------------------------------------------------------------------------------------- what must hold


def private_aucs(recipe: Recipe, splits: list[cohort.Split], patients: int, epsilon: float) -> np.ndarray:
    sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
    aucs = []
    for seed, s in enumerate(splits):
        models = pt.train(s.X_train[:patients], s.y_train[:patients], recipe, [sigma], [seed])
        aucs.append(models.auc(s.X_test, s.y_test)[0])
    return np.array(aucs)


def plain_aucs(splits: list[cohort.Split], patients: int) -> np.ndarray:
    aucs = []
    for s in splits:
        model = LogisticRegression(max_iter=1000).fit(s.X_train[:patients], s.y_train[:patients])
        aucs.append(roc_auc_score(s.y_test, model.decision_function(s.X_test)))
    return np.array(aucs)


def test_privacy_is_cheap_for_many_and_dear_for_few(splits: list[cohort.Split]) -> None:
    recipe = RECIPES["logistic regression"]
    everybody = len(splits[0].X_train)
    plain = plain_aucs(splits, everybody).mean()
    at_1, at_03 = (private_aucs(recipe, splits, everybody, epsilon).mean() for epsilon in (1.0, 0.3))
    print(f"all {everybody}: non-private {plain:.4f}, epsilon 1 {at_1:.4f}, epsilon 0.3 {at_03:.4f}")
    assert plain - at_1 < 0.008
    assert plain - at_03 < 0.035
    few_plain = plain_aucs(splits, 300).mean()
    few_at_1 = private_aucs(recipe, splits, 300, 1.0).mean()
    print(f"300: non-private {few_plain:.4f}, epsilon 1 {few_at_1:.4f}")
    assert few_plain - few_at_1 > 0.05 + (plain - at_1)


# ------------------------------------------------------------------------------------------- what else is refused


def test_predicting_for_nonsense_is_refused() -> None:
    X, y = table()
    models = pt.train(X, y, Recipe(2, 0.5, 1.0), [0.0], [0])
    broken = np.array(X)
    broken[3, 1] = np.nan
    with pytest.raises(TrainingDataError, match="column 1 holds NaN"):
        models.logits(broken)
    with pytest.raises(TrainingDataError, match="must be numbers"):
        models.logits(np.full(np.shape(X), "a"))
    with pytest.raises(TrainingDataError, match="labels hold 2"):
        pt.clipped_gradient_sums(models, X, np.asarray(y) + 1, 1.0)
    with pytest.raises(PrivacyParameterError, match="clipping_norm is -1"):
        pt.clipped_gradient_sums(models, X, y, -1)


@pytest.mark.parametrize("recipe", [{"learning_rate": "a"}, {"clipping_norm": None}, {"hidden": "3"}])
def test_a_recipe_of_words_is_refused(recipe: dict) -> None:
    with pytest.raises(PrivacyParameterError, match="no number"):
        Recipe(**{"steps": 5, "learning_rate": 1.0, "clipping_norm": 1.0, **recipe})


def test_noise_and_seeds_are_lists_of_numbers() -> None:
    X, y = table()
    with pytest.raises(PrivacyParameterError, match="must both be lists"):
        pt.train(X, y, Recipe(2, 0.5, 1.0), 1.0, 0)
    with pytest.raises(PrivacyParameterError, match="give whole numbers"):
        pt.train(X, y, Recipe(2, 0.5, 1.0), [1.0], ["a"])


def test_a_sweep_with_an_impossible_delta_is_refused() -> None:
    with pytest.raises(PrivacyParameterError, match="delta = 2"):
        pt.Sweep(Recipe(2, 0.5, 1.0), lambda seed: None, delta=2)
