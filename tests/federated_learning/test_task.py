"""What one hospital does with its own patients, without Flower: `task`, and the tables of `hospitals`.

And the settings of a run: the app's `settings`, and `run_config` before them.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ppml_helpers import cohort
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import commands, hospitals
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.app.federated_hospitals.settings import Settings
from ppml_helpers.federated_learning.run_config import APP, complete, defaults


def made_up(patients: int = 400, features: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (patients, features))
    y = (rng.random(patients) < 1 / (1 + np.exp(-3 * X[:, 0] + X[:, 1]))).astype(float)
    return X, y


def table(seed: int = 0, **changes: np.ndarray) -> task.Table:
    X, y = made_up(seed=seed)
    return task.Table(X[:300], y[:300], X[300:], y[300:])._replace(**changes)


def hospital(seed: int = 0, name: str = "made up", **changes: np.ndarray) -> hospitals.Hospital:
    return hospitals.Hospital(name, *table(seed, **changes))


# -------------------------------------------------------------------------------------------- the model and training


def test_gradient_is_the_slope_of_the_loss():
    X, y = made_up(50)
    weights = np.random.default_rng(1).normal(size=6)
    slope = [
        (task.evaluate(weights + step, X, y).loss - task.evaluate(weights - step, X, y).loss) / 2e-6
        for step in 1e-6 * np.eye(6)
    ]
    np.testing.assert_allclose(task.gradient(weights, X, y), slope, atol=1e-8)


def test_training_arrives_where_scikit_learn_does():
    X, y = made_up()
    ours = task.train(np.zeros(6), X, y, 2000, 400, 2.0, np.random.default_rng(0))
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours, [*theirs.coef_[0], *theirs.intercept_], atol=1e-3)


def test_training_depends_on_the_random_numbers_alone_and_leaves_the_start_alone():
    X, y = made_up()
    start = np.ones(6)
    runs = [task.train(start, X, y, 2, 32, 0.3, task.rng_for(7, 1, hospital)) for hospital in (0, 0, 1)]
    assert runs[0].tobytes() == runs[1].tobytes()
    assert not np.array_equal(runs[0], runs[2])
    assert np.array_equal(start, np.ones(6))


def test_training_gives_the_same_bits_with_one_thread_and_with_two():
    code = (
        "import numpy as np; from ppml_helpers.federated_learning.app.federated_hospitals import task;"
        "rng = np.random.default_rng(0); X = rng.normal(size=(5000, 60)); y = (X[:, 0] > 0).astype(float);"
        "print(task.train(np.zeros(61), X, y, 2, 2500, .1, rng).tobytes().hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": str(APP.parents[2])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(printed) == 1


def test_the_proximal_term_pulls_every_step_towards_the_servers_model():
    """One full-batch step from the start has no pull yet; the second one has it exactly."""
    X, y = made_up()
    start = np.full(6, 0.5)
    first = start - 0.5 * task.gradient(start, X, y)
    second = first - 0.5 * (task.gradient(first, X, y) + 0.3 * (first - start))
    found = task.train(start, X, y, 2, 400, 0.5, np.random.default_rng(0), 0.3)
    np.testing.assert_allclose(found, second, rtol=1e-12)


def test_seeds_differ_between_seed_round_hospital_and_secret():
    drawn = {
        task.rng_for(*key).integers(2**62)
        for key in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (0, 12, 0), (0, 1, 20), (0, 1, 2, "a"), (0, 1, 2, "b")]
    }
    assert len(drawn) == 7
    assert task.rng_for(0, 1, 2).integers(2**62) in drawn


# ------------------------------------------------------------------------------------------------------------ DP-SGD


def test_without_noise_and_bound_private_training_is_gradient_descent():
    X, y = made_up()
    private = task.train_privately(np.zeros(6), X, y, 3, 1.0, 1e9, 0.0, 0.5, np.random.default_rng(0))
    plain = task.train(np.zeros(6), X, y, 3, 400, 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(private, plain, rtol=1e-10)


def test_one_patient_cannot_move_the_sum_further_than_the_clipping_norm():
    X, y = made_up()
    X[0] = 1000.0  # an impossible patient, to whom an unclipped step would belong
    both = [
        task.train_privately(np.zeros(6), *part, 1, 1.0, 0.7, 0.0, 1.0, np.random.default_rng(0)) * len(part[1])
        for part in ((X, y), (X[1:], y[1:]))
    ]
    assert np.linalg.norm(both[0] - both[1]) == pytest.approx(0.7)


def test_noise_has_the_promised_deviation_and_batches_the_promised_size():
    X, y = np.zeros((1000, 3)), np.tile([0.0, 1.0], 500)
    noise, shares = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        with_noise = task.train_privately(np.zeros(4), X, y, 1, 0.2, 0.5, 2.0, 1.0, rng)
        noise.append(-with_noise[:3] * 200)  # the features are 0, so their gradient is the noise alone
        shares.append(with_noise[3] * 200)
    assert np.std(noise) == pytest.approx(1.0, rel=0.1)  # noise multiplier 2 times clipping norm 0.5
    assert np.std(shares) > np.std(noise)  # the intercept feels who was drawn as well


def test_an_empty_batch_still_gets_its_noise():
    X, y = made_up(5)
    moved = task.train_privately(np.zeros(6), X, y, 1, 1e-9, 1.0, 1.0, 1e-9, np.random.default_rng(0))
    assert np.isfinite(moved).all()
    assert (moved != 0).all()


# -------------------------------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("decimals", [0, 1, 12])  # few decimals make ties
def test_auc_and_loss_agree_with_scikit_learn(decimals):
    X, y = made_up()
    weights = np.round(np.random.default_rng(3).normal(size=6), 1)
    X = np.round(X, decimals)
    found = task.evaluate(weights, X, y)
    chances = task.probabilities(weights, X)
    assert task.auc(y, chances) == pytest.approx(roc_auc_score(y, chances), abs=1e-12)
    assert found.auc == pytest.approx(task.auc(y, chances), abs=1e-3)  # equal but for ties by rounding
    assert found.loss == pytest.approx(log_loss(y, chances), abs=1e-12)
    assert found.patients == len(y)


def test_a_huge_model_overflows_nowhere():
    X, y = made_up()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(task.evaluate(np.full(6, 1e6), X, y).loss)
        assert np.isfinite(task.gradient(np.full(6, 1e6), X, y)).all()


# ------------------------------------------------------------------------------------------------------------ tables


def masked() -> np.ndarray:
    hidden = np.ma.array(np.zeros((300, 5)))
    hidden[7, 2] = np.ma.masked
    return hidden


BAD_TABLES = {
    "no patient to train on": {"X_train": np.empty((0, 5)), "y_train": np.empty(0)},
    "all its patients to test on have the label 0": {"y_test": np.zeros(100)},
    "no finite number": {"X_train": np.full((300, 5), np.nan)},
    "other than 0 and 1": {"y_train": np.full(300, 2.0)},
    "shape": {"y_train": np.ones(299)},
    "same features": {"X_test": np.ones((100, 4))},
}


@pytest.mark.parametrize("said", BAD_TABLES)
def test_a_bad_table_is_refused_in_memory_and_in_a_file(said, tmp_path):
    changes = BAD_TABLES[said]
    with pytest.raises(FederationError, match=said):
        hospitals.check([hospital(), hospital(1, **changes)])
    np.savez(tmp_path / "bad.npz", **table(**changes)._asdict())
    with pytest.raises(task.RunError, match=said) as refused:
        task.load(tmp_path / "bad.npz")
    assert str(tmp_path) not in str(refused.value)
    with pytest.raises(FederationError, match=said):
        hospitals.read(tmp_path / "bad.npz")


@pytest.mark.parametrize("content", ["none", "empty", "part", "cut", "one array", "an object"])
def test_a_damaged_file_is_refused_without_its_path_and_nothing_in_it_is_unpickled(content, tmp_path):
    path = tmp_path / "secret-name.npz"
    np.savez(path, **table()._asdict())
    if content == "none":
        path.unlink()
    elif content in ("empty", "cut"):
        path.write_bytes(path.read_bytes()[: 5000 if content == "cut" else 0])
    elif content == "part":
        np.savez(path, X_train=np.ones((2, 2)))
    elif content == "one array":
        with path.open("wb") as file:
            np.save(file, np.ones((2, 2)))
    else:
        np.savez(path, **{**table()._asdict(), "y_train": np.array([{}], dtype=object)})
    with pytest.raises(task.RunError, match="cannot be read") as refused:
        task.load(path)
    assert "secret-name" not in str(refused.value)


# --------------------------------------------------------------------------------------------- simulated hospitals


def test_simulated_hospitals_hold_every_patient_once_and_differ_by_seed():
    patients = cohort.load_patients().head(1000)
    dealt, again, other = (hospitals.simulated(patients, 3, seed, columns=["age", "meanbp"]) for seed in (1, 1, 2))
    for one in dealt:
        assert len(one.y_test) / (len(one.y_train) + len(one.y_test)) == pytest.approx(0.25, abs=0.01)
        assert "simulated" in one.name
    assert all(np.array_equal(a.X_train, b.X_train) for a, b in zip(dealt, again, strict=True))
    assert not any(np.array_equal(a.X_train, b.X_train) for a, b in zip(dealt, other, strict=True))
    X, _ = cohort.features(patients, ["age", "meanbp"])
    pool = hospitals.pooled(dealt)
    found = np.concatenate([pool.X_train, pool.X_test])
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(X.to_numpy(), axis=0))


def test_files_hold_what_the_hospitals_hold(tmp_path):
    both = [hospital(0, "A"), hospital(1, "B")]
    paths = hospitals.write(both, tmp_path)
    assert [path.name for path in paths] == ["hospital-0.npz", "hospital-1.npz"]
    for one, path in zip(both, paths, strict=True):
        found = hospitals.read(path, one.name)
        assert found.name == one.name
        assert all(np.array_equal(getattr(found, part), getattr(one, part)) for part in task.PARTS)


def test_hospitals_without_survivors_or_of_other_kinds_are_refused():
    patients = cohort.load_patients().head(400)
    patients = patients.assign(hospdead=(patients["dzgroup"] == "Coma").astype(int))
    with pytest.raises(FederationError, match=r"Hospital . \(simulated\) cannot take part.*smaller skew"):
        hospitals.simulated(patients, n=4, skew=1.0)
    narrow = dataclasses.replace(hospital(1), X_train=np.ones((300, 4)), X_test=np.ones((100, 4)))
    for given, said in (
        ([hospital()], "at least 2"),
        (cohort.hospitals(cohort.load_patients(), 2, 0, 0.0), "sequence of Hospital"),
        ([hospital(), narrow], "4 features and the first hospital 5"),
    ):
        with pytest.raises(FederationError, match=said):
            hospitals.check(given)


# ---------------------------------------------------------------------------------------------------------- settings


def test_the_apps_defaults_are_complete_and_written_as_flower_reads_them():
    both = [hospital(), hospital(1)]
    found = complete(both, {"seed": np.int64(3), "learning-rate": 1})
    assert found == {**defaults(), "num-hospitals": 2, "num-features": 5, "seed": 3, "learning-rate": 1.0}
    assert isinstance(found["learning-rate"], float)
    assert b'strategy = "fedavg"\n' in commands.in_toml(found)
    assert b"learning-rate = 1.0\n" in commands.in_toml(found)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"num_server_rounds": 3}, "no setting 'num_server_rounds'"),
        ({"num-server-rounds": 0}, "at least 1"),
        ({"learning-rate": float("nan")}, "finite number"),
        ({"strategy": "fedsgd"}, "must be one of fedavg"),
        ({"sample-rate": 1.5}, "at most 1"),
        ({"num-hospitals": 3}, "the hospitals that were given say 2"),
        ({"strategy": "krum"}, "at least 5"),
        ({"strategy": "fedmedian", "protection": "masks"}, "masks hide"),
        (3, "must map settings to values"),
    ],
)
def test_an_impossible_setting_is_refused_in_a_sentence(config, said):
    with pytest.raises(FederationError, match=said):
        complete([hospital(), hospital(1)], config)


def test_a_missing_setting_is_refused_by_the_app_itself():
    with pytest.raises(task.RunError, match="'seed' is missing"):
        Settings.of({key: value for key, value in defaults().items() if key != "seed"})


# --------------------------------------------------------------------------------------- the folder stands by itself


def test_the_apps_folder_works_without_the_kit(tmp_path):
    code = "import sys, federated_hospitals.server_app, federated_hospitals.client_app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; sys = __import__('sys'); sys.path += {sys.path[1:]!r}; {code}"],
        env={"PYTHONPATH": str(APP), "HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "federated_hospitals.task" in done.stdout
    assert "ppml_helpers" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_flower_is_not_imported_for_the_hospitals_alone():
    code = "import sys; from ppml_helpers.federated_learning import hospitals, run_config; print('flwr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=APP.parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
