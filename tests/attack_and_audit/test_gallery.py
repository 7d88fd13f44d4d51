"""The gallery of bugs: the sound training keeps every rule, each bug breaks one, and what finds it is what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from ppml_helpers import accounting, cohort
from ppml_helpers.attack_and_audit import audit, gallery
from ppml_helpers.attack_and_audit.gallery import BUGS, Training
from ppml_helpers.private_training.engine import Recipe, train

CAUGHT_BY_AUDIT = {"noise in 2 steps only", "clipped after averaging"}
BROKEN_RULES = {
    "noise for C/2": ["least noise"],
    "intercept without noise": ["least noise"],
    "noise drawn once": ["two steps' noise"],
    "clipped after averaging": ["pull of one patient"],
    "divided by the true batch": ["pull of one patient", "batch variance"],
    "scaled by its own spread": ["pull of one patient"],
    "deaths put in three times": ["pull of one patient"],
    "two releases share noise": ["correlation of two noises"],
    "the wrong neighbour": ["pull of one change"],
    "batches of one size": ["batch variance"],
    "gdp accountant, sampled": ["promise"],
}


@pytest.fixture(scope="module")
def patients() -> tuple:
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    return split.X_train, split.y_train


@pytest.mark.parametrize("training", [Training, *BUGS.values()], ids=lambda training: training.name)
def test_the_rule_that_is_broken_is_the_one_that_fails(training: type[Training]) -> None:
    broken = [finding.name.split(",")[0] for finding in gallery.findings(training) if not finding.holds]
    assert broken == BROKEN_RULES.get(training.name, [])


@pytest.mark.parametrize("name", ["sound", "noise for C/2", "noise drawn once", *sorted(CAUGHT_BY_AUDIT)])
def test_the_audit_refutes_what_it_can_see(patients: tuple, name: str) -> None:
    run = gallery.audited(BUGS.get(name, Training), *patients)
    assert run.caught == (name in CAUGHT_BY_AUDIT)
    assert run.promised == pytest.approx(1, abs=2e-3)


def test_there_are_enough_bugs_and_each_is_found_by_something_or_named() -> None:
    assert len(BUGS) >= 8
    assert set(BUGS) == {*BROKEN_RULES, *CAUGHT_BY_AUDIT}
    assert all(bug.why and bug.name == name for name, bug in BUGS.items())
    assert str(gallery.Finding("pull", 26.2, 0, 1)) == "pull: 26.2 (at most 1)"
    assert str(gallery.Finding("noise", 0.479, 0.85, np.inf)) == "noise: 0.479 (at least 0.85)"


def test_the_sound_training_is_the_engines_without_noise() -> None:
    """Two programs, one rule book: the same weights from the same rows."""
    rng = np.random.default_rng(0)
    X, y = rng.uniform(-1, 1, (200, 4)), rng.integers(0, 2, 200)
    recipe = Recipe(steps=30, learning_rate=0.5, clipping_norm=0.3)
    ours = Training(200)(X, y, recipe, [0.0], [0])
    np.testing.assert_allclose(ours.vector(), train(X, y, recipe, [0.0], [0]).vectors()[0], atol=1e-5)
    np.testing.assert_allclose(ours.decision_function(X), X @ ours.slopes + ours.intercept)


def test_noise_is_as_asked_and_new_with_every_seed_setting_and_step() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.uniform(-1, 1, (50, 3)), rng.integers(0, 2, 50)
    step = Recipe(steps=1, learning_rate=1.0, clipping_norm=1.0, momentum=0.0, averaged=0.0)
    models = [
        Training(50)(X, y, replace(step, sample_rate=rate), [sigma], [seed]).vector()
        for seed in (0, 1)
        for sigma in (1.0, 0.5)
        for rate in (1.0, 0.5)
    ]
    apart = [np.abs(one - other).min() for i, one in enumerate(models) for other in models[:i]]
    assert min(apart) > 0
    assert (Training(50)(X, y, step, [1.0], [0]).vector() == models[0]).all()


def test_two_releases_that_share_noise_give_the_noiseless_model_and_sound_ones_do_not() -> None:
    """The extrapolation: weights of two noises lie on a line that ends at no noise."""
    rng = np.random.default_rng(2)
    X, y = rng.uniform(-1, 1, (500, 3)), rng.integers(0, 2, 500)
    recipe = Recipe(steps=1, learning_rate=1.0, clipping_norm=1.0, momentum=0.0, averaged=0.0)

    def missed(program: gallery.Trainer) -> float:
        truth, strong, weak = (program(X, y, recipe, [sigma], [3]).vector() for sigma in (0.0, 40.0, 10.0))
        return float(np.linalg.norm((40 * weak - 10 * strong) / 30 - truth) / np.linalg.norm(weak - truth))

    assert missed(BUGS["two releases share noise"](500)) < 1e-9
    assert missed(Training(500)) > 0.5


def test_the_sound_training_is_not_accused_beyond_the_level_by_simulated_scores() -> None:
    """400 audits of the scores that the Gaussian mechanism at this very promise gives, mu known exactly."""
    rng, accused = np.random.default_rng(3), 0
    sigma = accounting.noise_multiplier(1.0, 1.0, gallery.FULL.steps)
    mu = np.sqrt(gallery.FULL.steps) / sigma
    for _ in range(400):
        included = rng.random(300) < 0.5
        found = audit.epsilon_lower_bound(mu * included + rng.standard_normal(300), included, accounting.DELTA)
        accused += found.epsilon_lower > 1
    assert accused <= binom.isf(0.001, 400, 0.05)


def bare(X, y, recipe, noise_multipliers, seeds, progress) -> gallery.Linear:
    """Forget the noise."""
    return Training(len(X))(X, y, recipe, [0.0], seeds)


def test_the_sound_training_is_not_accused_beyond_the_level_in_200_real_trainings() -> None:
    rng = np.random.default_rng(4)
    X, y = rng.uniform(-1, 1, (300, 4)), rng.integers(0, 2, 300)
    how = {"recipe": replace(gallery.FULL, steps=20), "epsilon": 0.3, "canaries": 60}
    runs = [audit.audit_training(X, y, seed=seed, trainer=Training(300), **how) for seed in range(200)]
    assert sum(run.caught for run in runs) <= binom.isf(0.001, 200, 0.05)
    assert all(audit.audit_training(X, y, seed=seed, trainer=bare, **how).caught for seed in range(10))
