"""The engine trains what it says: against autograd, plain PyTorch, and one model at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from ppml_helpers import accounting, cohort
from ppml_helpers.errors import PrivacyParameterError, TrainingDataError
from ppml_helpers.private_training import engine as pt
from ppml_helpers.private_training.engine import RECIPES, Models, Recipe, Sweep

FLAT = Models((torch.zeros(1, 5), torch.zeros(1, 1)), 0)
PLAIN = Recipe(steps=30, learning_rate=0.7, clipping_norm=math.inf, momentum=0.9, averaged=0)


def table(rows: int = 200, columns: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, columns))
    return X, (2 * X[:, 0] - X[:, 1] + rng.logistic(size=rows) > 0).astype(float)


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


def sums(
    weights: list[torch.Tensor], X: np.ndarray, y: np.ndarray, recipe: Recipe, member: np.ndarray | None = None
) -> torch.Tensor:
    """The engine's sums of clipped gradients, one row a model."""
    table_, labels = torch.as_tensor(X).to(weights[0].dtype), torch.as_tensor(y).to(weights[0].dtype)
    gradients = pt._gradients(table_, labels, recipe, [w.shape[1:] for w in weights], member)
    return gradients(torch.cat([w.flatten(1) for w in weights], dim=1), None)


@pytest.mark.parametrize("own", [False, True], ids=["all patients", "patients of its own"])
@pytest.mark.parametrize("hidden", [0, 7])
@pytest.mark.parametrize("norm", [0.01, 0.3, 1.0, 3.0, math.inf])
def test_clipped_gradients_against_autograd(hidden: int, norm: float, own: bool) -> None:
    X, y = table()
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 5), (3, 1)] if hidden == 0 else [(3, 5, hidden), (3, hidden), (3, hidden), (3, 1)]
    weights = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    rng = np.random.default_rng(2)
    member = np.array([rng.permutation(200) < 80 for _ in range(3)]) if own else np.ones((3, 200), bool)
    ours = sums(weights, X, y, Recipe(1, 1.0, norm, hidden=hidden), member if own else None)
    for model, rows in enumerate(member):
        theirs = clipped_by_autograd([w[model] for w in weights], X[rows], y[rows], norm)
        np.testing.assert_allclose(ours[model], torch.cat([g.flatten() for g in theirs]), atol=1e-10, rtol=0)


@pytest.mark.parametrize("hidden", [0, 7])
def test_no_patient_moves_the_sum_by_more_than_the_clipping_norm(hidden: int) -> None:
    X, y = table()
    recipe = dataclasses.replace(PLAIN, hidden=hidden, learning_rate=0.01, clipping_norm=0.2)
    weights = list(pt.train(X * 50, y, dataclasses.replace(recipe, clipping_norm=math.inf), [0.0], [0]).weights)
    whole = sums(weights, X * 50, y, recipe)
    for row in range(0, 200, 10):
        without = sums(weights, np.delete(X * 50, row, 0), np.delete(y, row), recipe)
        assert torch.linalg.vector_norm(whole - without) <= 0.2 * (1 + 1e-4)


# ---------------------------------------------------------------------------------------------------- plain training


@pytest.mark.parametrize("hidden", [0, 6])
@pytest.mark.parametrize("averaged", [0, 0.5, 1])
def test_without_noise_and_clipping_it_is_plain_training(hidden: int, averaged: float) -> None:
    X, y = table()
    recipe = dataclasses.replace(PLAIN, hidden=hidden, averaged=averaged)
    ours = pt.train(X, y, recipe, [0.0], [3], dtype=torch.float64)
    weights = [w[0].clone().requires_grad_() for w in pt.starting_weights(hidden, 5, [3], torch.float64)]
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


@pytest.mark.parametrize("hidden", [0, 5])
def test_a_model_does_not_depend_on_its_company(hidden: int) -> None:
    X, y = table()
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


@pytest.mark.parametrize("hidden", [0, 2])
def test_poisson_batches_have_the_right_sizes(monkeypatch: pytest.MonkeyPatch, hidden: int) -> None:
    sizes = []
    gradients = pt._gradients

    def spying(*given: object) -> object:
        inner = gradients(*given)
        return lambda flat, chosen: (sizes.append(len(chosen)), inner(flat, chosen))[1]

    monkeypatch.setattr(pt, "_gradients", spying)
    pt.train(*table(rows=500), Recipe(1000, 0.01, 1.0, sample_rate=0.2, hidden=hidden), [1.0], [0])
    expected, spread = 100, math.sqrt(500 * 0.2 * 0.8)
    assert np.mean(sizes) == pytest.approx(expected, abs=4 * spread / math.sqrt(1000))
    assert np.std(sizes) == pytest.approx(spread, rel=4 / math.sqrt(2000))


def test_progress_is_told_and_threads_are_given_back() -> None:
    told: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pt.train(*table(), PLAIN, [0.0], [0], progress=lambda share, _: told.append(share))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert told == pytest.approx([(k + 1) / 30 for k in range(30)])


def test_an_empty_batch_adds_noise_alone() -> None:
    X, y = table(rows=10)
    recipe = Recipe(40, 0.1, 1.0, sample_rate=0.1)  # a third of the batches is empty
    assert np.isfinite(pt.train(X, y, recipe, [1.0], [0]).logits(X)).all()


# ---------------------------------------------------------------------------------------------------- scoring


def test_auc_is_that_of_scikit_learn_with_ties() -> None:
    X, y = table()
    X = np.round(X)  # three values a column: many ties
    models = pt.train(X, y, Recipe(10, 1.0, 1.0), [0.0, 20.0, 500.0], [0, 1, 2])
    logits = models.logits(X)
    assert len(np.unique(logits[0])) < 200
    expected = [roc_auc_score(y, row) for row in logits]
    np.testing.assert_allclose(models.auc(X, y), expected, atol=1e-12)
    assert FLAT.auc(X, y)[0] == 0.5


# ---------------------------------------------------------------------------------------------------- sweeps


def sweep_of(recipe: Recipe, tables: list[tuple]) -> Sweep:
    return Sweep(recipe, lambda seed: tables[seed % len(tables)])


SAMPLED = Recipe(100, 0.5, 0.5, sample_rate=0.2, hidden=3)  # its noise at epsilons 1 and 10 is in the shipped table


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The seeds of each training that is really done."""
    made: list[list[int]] = []
    train = pt.train
    monkeypatch.setattr(
        pt, "train", lambda X, y, r, sigmas, s, **k: made.append(list(s)) or train(X, y, r, sigmas, s, **k)
    )
    return made


@pytest.mark.parametrize("recipe", [Recipe(10, 0.5, 0.5), SAMPLED])
def test_a_sweep_trains_together_what_it_may_and_gives_the_same_as_one_by_one(recipe: Recipe, trained: list) -> None:
    data = (*table(), *table(seed=1))
    aucs = sweep_of(recipe, [data]).run([1.0, 10.0, math.inf], [0, 5])
    assert aucs.shape == (3, 2)
    if recipe.sample_rate == 1:
        assert trained == [[0, 0, 0, 5, 5, 5]]
    for epsilon in aucs.index:
        for seed in aucs.columns:
            sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
            alone = pt.train(*data[:2], recipe, [sigma], [seed]).auc(*data[2:])[0]
            assert aucs.loc[epsilon, seed] == pytest.approx(alone, abs=1e-3)


def test_sampled_results_do_not_depend_on_what_was_asked_before() -> None:
    data = (*table(), *table(seed=1))
    at_once = sweep_of(SAMPLED, [data]).run([1.0, 10.0], [0, 1])
    bit_by_bit = sweep_of(SAMPLED, [data])
    bit_by_bit.run([10.0], [1])
    bit_by_bit.run([10.0], [0])
    pd.testing.assert_frame_equal(bit_by_bit.run([1.0, 10.0], [0, 1]), at_once, atol=1e-3, rtol=0)


def test_tables_made_anew_for_every_seed_are_not_mixed_up() -> None:
    """The address of a table that was thrown away may come back: seeds are told apart while their tables live."""
    recipe = Recipe(10, 0.5, 0.5)

    def fresh(seed: int) -> tuple:
        return (*table(seed=seed), *table(seed=100 + seed))

    aucs = Sweep(recipe, fresh).run([math.inf], list(range(6)))
    expected = [pt.train(*fresh(s)[:2], recipe, [0.0], [s]).auc(*fresh(s)[2:])[0] for s in range(6)]
    np.testing.assert_allclose(aucs.loc[math.inf], expected, atol=1e-9)


def test_a_stopped_sweep_goes_on_where_it_was(trained: list) -> None:
    tables = [(*table(seed=s), *table(seed=9)) for s in range(4)]
    recipe, epsilons, seeds = Recipe(10, 0.5, 0.5), [1.0, 3.0], [0, 1, 2, 3]
    sweep = sweep_of(recipe, tables)

    def press_ctrl_c(fraction: float, _: str) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(epsilons, seeds, press_ctrl_c)
    assert set(sweep.aucs) == {(e, s) for e in epsilons for s in (0, 1)}
    trained.clear()
    resumed = sweep.run(epsilons, seeds)
    assert trained == [[2, 2], [3, 3]]
    pd.testing.assert_frame_equal(resumed, sweep_of(recipe, tables).run(epsilons, seeds))
    trained.clear()
    sweep.run(epsilons, seeds)
    assert trained == []


# ---------------------------------------------------------------------------------------------------- bad input


X, Y = table()
SPOILT = pd.DataFrame(X, columns=list("abcde"))
SPOILT.loc[7, "d"] = math.nan
FRAME = pd.DataFrame(X)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda: pt.train(SPOILT, Y, PLAIN, [0.0], [0]), "column 'd' holds NaN or infinity"),
        (lambda: pt.train(np.full((200, 5), "high"), Y, PLAIN, [0.0], [0]), "features and labels must be numbers"),
        (
            lambda: pt.train(SPOILT.assign(d=1e20), Y, PLAIN, [0.0], [0]),
            r"column 'd' holds 1e\+20; values beyond 1e\+12",
        ),
        (
            lambda: pt.train(FRAME.iloc[[0, 0, 0, *range(1, 200)]], Y[[0, 0, *range(200)]], PLAIN, [0.0], [0]),
            "has 3 rows",
        ),
        (lambda: pt.train(X, Y + 1, PLAIN, [0.0], [0]), r"labels hold 2\.0; they must be 0 or 1"),
        (lambda: pt.train(X, np.ones(200), PLAIN, [0.0], [0]), "labels hold a single class"),
        (lambda: pt.train(X, Y[1:], PLAIN, [0.0], [0]), r"features have shape \(200, 5\) and labels \(199,\)"),
        (lambda: pt.train(X[:20], Y[:20], Recipe(5, 1.0, 0.5, 0.01), [1.0], [0]), "20 patients are too few"),
        (lambda: pt.train(X, Y, PLAIN, [0.0] * 2, [0, 1], member=np.ones((2, 199), bool)), "equally many patients"),
        (lambda: pt.train(X, Y, PLAIN, [0.0] * 2, [0, 1], member=np.tri(2, 200, dtype=bool)), "equally many patients"),
        (lambda: FLAT.auc(X, np.ones(200)), "a single class"),
        (lambda: FLAT.logits(X[:, :3]), "trained on 5 columns"),
        (lambda: FLAT.logits(SPOILT), "column 'd' holds NaN"),
    ],
)
def test_what_cannot_be_trained_on_or_scored_is_refused(step: Callable[[], object], sentence: str) -> None:
    with pytest.raises(TrainingDataError, match=sentence):
        step()


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (lambda: pt.train(X, Y, Recipe(5, 0.5, math.inf), [1.0], [0]), "noise_multiplier 1.0 without clipping"),
        (lambda: pt.train(X, Y, PLAIN, [1.0, 2.0], [0]), r"noise multipliers have shape \(2,\) and seeds \(1,\)"),
        (lambda: pt.train(X, Y, PLAIN, 1.0, 0), "give two lists"),
        (lambda: pt.train(X, Y, Recipe(5, 0.5, 1.0), [-1.0], [0]), r"noise_multiplier = -1\.0"),
        (lambda: Recipe(0, 0.5, 1.0), "steps = 0"),
        (lambda: Recipe(5, 0.5, math.nan), "clipping_norm = nan"),
        (lambda: Recipe(5, 0.5, 1.0, sample_rate=1.5), r"sample_rate = 1\.5"),
        (lambda: Recipe(5, 0.5, 1.0, momentum=1), "momentum = 1"),
        (lambda: pt.train(X, Y, PLAIN, [0.0], [0], divisor=0), "divisor = 0 must be a finite number of at least 1"),
        (lambda: Sweep(SAMPLED, lambda seed: (X, Y, X, Y)).run([0], [0]), "epsilon = 0"),
        (lambda: Sweep(SAMPLED, lambda seed: (X, Y, X, Y), delta=2).run([1.0], [0]), "delta = 2"),
    ],
)
def test_settings_that_mean_nothing_are_refused(step: Callable[[], object], sentence: str) -> None:
    with pytest.raises(PrivacyParameterError, match=sentence):
        step()


def test_a_public_divisor_leaves_one_patient_no_other_way_in() -> None:
    """Divided by its own n, a table of one more tells so by every step; divided by a public number it does not."""
    recipe, zeros = Recipe(1, 1.0, 0.5, momentum=0, averaged=0), np.zeros(5)
    more = np.vstack([X, zeros]), np.append(Y, 1.0)  # this patient moves the intercept alone
    moved = [pt.train(*data, recipe, [0.0], [0], divisor=150).vectors()[0] for data in ((X, Y), more)]
    np.testing.assert_allclose(moved[0][:5], moved[1][:5], atol=1e-7)
    own = [pt.train(*data, recipe, [0.0], [0]).vectors()[0] for data in ((X, Y), more)]
    assert np.abs(own[0][:5] - own[1][:5]).max() > 1e-4


# ---------------------------------------------------------------------------------------------------- what must hold


def test_privacy_is_cheap_for_many_and_dear_for_few() -> None:
    recipe = RECIPES["logistic regression"]
    X, y = cohort.features(cohort.load_patients())
    splits = [cohort.split(X, y, seed=seed) for seed in range(6)]

    def plain(patients: int | None) -> float:
        fitted = [LogisticRegression(max_iter=1000).fit(s.X_train[:patients], s.y_train[:patients]) for s in splits]
        scored = zip(fitted, splits, strict=True)
        return float(np.mean([roc_auc_score(s.y_test, one.decision_function(s.X_test)) for one, s in scored]))

    def private(patients: int | None, epsilon: float) -> float:
        sigma = [accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)] * 4
        aucs = [
            pt.train(s.X_train[:patients], s.y_train[:patients], recipe, sigma, range(4)).auc(s.X_test, s.y_test)
            for s in splits
        ]
        return float(np.mean(aucs))

    everybody = plain(None)
    cost = everybody - private(None, 1.0)
    assert cost < 0.008
    assert everybody - private(None, 0.3) < 0.035
    assert plain(300) - private(300, 1.0) > 0.05 + cost


def test_the_risks_at_epsilon_1_can_be_used_as_numbers() -> None:
    """Ranking hides what clipping does to a risk: its log loss and the share of near-certain ones are held too."""
    recipe, (X_train, X_test, y_train, y_test) = RECIPES["logistic regression"], support()
    fitted = LogisticRegression(max_iter=1000).fit(X_train, y_train).predict_proba(X_test)[:, 1]
    told_all_the_same = log_loss(y_test, np.full(len(y_test), y_train.mean()))
    sigma = [accounting.noise_multiplier(1.0, recipe.sample_rate, recipe.steps)] * 20
    models = pt.train(X_train, y_train, recipe, sigma, range(20))
    reached = models.log_loss(X_test, y_test)
    assert reached[0] == pytest.approx(log_loss(y_test, models.risks(X_test)[0]), abs=1e-5)
    assert reached.mean() < log_loss(y_test, fitted) + 0.02
    assert reached.max() < 0.50 < told_all_the_same
    assert (np.abs(models.risks(X_test) - 0.5) > 0.49).mean() < 0.05


# ---------------------------------------------------------------------------------------------------- noise of its own


def support() -> cohort.Split:
    return cohort.split(*cohort.features(cohort.load_patients()), seed=0)


def without_noise(train: Callable, sigmas: Sequence[float], seeds: Sequence[int]) -> np.ndarray:
    """Extrapolate each pair of models of one seed to no noise at all: exact if they share it, worthless if not."""
    low, high = (train([sigma] * len(seeds), seeds).vectors() for sigma in sigmas)
    return (sigmas[0] * high - sigmas[1] * low) / (sigmas[0] - sigmas[1])


@pytest.mark.parametrize("sample_rate", [1.0, 0.2])
@pytest.mark.parametrize("shared", [False, True])
def test_two_releases_are_worth_their_composition_to_an_attacker(
    monkeypatch: pytest.MonkeyPatch, shared: bool, sample_rate: float
) -> None:
    """400 games; the attack wins them all where noise is shared, which is how we know that it could win."""
    if shared:
        monkeypatch.setattr(pt, "_stream", lambda purpose, recipe, sigma, seed, *rest: seed)
    X, y = table(rows=300)
    X = np.column_stack([X, np.zeros(300)])
    you = np.append(np.zeros(5), 3.0)  # a code that nobody else has
    recipe, seeds = Recipe(20, 0.01, 0.3, sample_rate, momentum=0), list(range(200))
    sigmas = [accounting.noise_multiplier(epsilon, sample_rate, 20) for epsilon in (0.03, 0.1)]
    tables = {True: (np.vstack([X, you]), np.append(y, 1.0)), False: (X, y)}
    seen = {}
    for member, data in tables.items():

        def one_by_one(noises: Sequence[float], seeds: Sequence[int], data: tuple = data) -> Models:
            models = [pt.train(*data, recipe, [s], [seed], divisor=300) for s, seed in zip(noises, seeds, strict=True)]
            return Models(tuple(map(torch.cat, zip(*(one.weights for one in models), strict=True))), 0)

        seen[member] = without_noise(one_by_one, sigmas, seeds)[:, 5]  # without you, the code has weight 0
    expected = pt.train(*tables[True], recipe, [0.0], [0], divisor=300).vectors()[0, 5]
    right = np.mean([(seen[member] > expected / 4) == member for member in tables])
    allowed = accounting.exact_accuracy([accounting.SampledGaussian(s, sample_rate, 20) for s in sigmas])
    error = 3 * math.sqrt(0.25 / 400)
    assert allowed < 0.55
    if shared:
        assert right > 0.9
    else:
        assert right <= allowed + error


def test_models_of_one_sampled_call_cost_what_their_common_batches_let_an_attacker_see() -> None:
    """16 models whose one batch you are in or not: at 1 % false alarms, more than `compose` has it, and no more than
    one training with a quarter of the noise."""
    q, sigma, many, games = 0.2, 2.0, 16, 400
    X, y = table(rows=60)
    X = np.vstack([np.column_stack([X, np.zeros(60)]), [0, 0, 0, 0, 0, 100.0]])  # a code that only you have
    recipe = Recipe(1, 1.0, 0.3, q, momentum=0, averaged=0)
    runs = (range(game * many, (game + 1) * many) for game in range(games))
    codes = [pt.train(X, np.append(y, 1.0), recipe, [sigma] * many, seeds).vectors()[:, 5].mean() for seeds in runs]
    spread = sigma * 0.3 / (q * 61) / math.sqrt(many)  # of the mean without you: its noise
    named = np.mean(np.array(codes) > 2.3263 * spread)
    together = accounting.exact_power([accounting.SampledGaussian(sigma / math.sqrt(many), q, 1)], 0.01)
    apart = accounting.exact_power([accounting.SampledGaussian(sigma, q, many)], 0.01)
    assert apart + 3 * math.sqrt(apart / games) < named <= together + 3 * math.sqrt(together / games)


@pytest.mark.parametrize("recipe", [Recipe(10, 0.5, 0.5, momentum=0), Recipe(10, 0.5, 0.5, 0.5, momentum=0)])
def test_no_two_models_of_a_sweep_share_noise_or_batches(recipe: Recipe) -> None:
    data = (*table(columns=100), *table(columns=100, seed=1))
    sweep = sweep_of(recipe, [data])
    sweep.run([1.0, 3.0], [0, 1])
    sweep.run([10.0], [0, 1])
    noiseless = pt.train(*data[:2], recipe, [0.0], [0]).vectors()[0]
    noises = np.array([model.vectors()[0] - noiseless for model in sweep.models.values()])
    alike = np.corrcoef(noises)[np.triu_indices(len(noises), 1)]
    assert np.abs(alike).max() < 0.45  # five standard deviations of what chance gives
