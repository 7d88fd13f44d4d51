"""What the explorer computes (`reading`): its numbers against runs made without it, and what the server reads."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict

from ppml_helpers import accounting, cohort
from ppml_helpers.federated_learning import gradient_attack, hospitals, in_process, reading
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.app.federated_hospitals.masking import encode
from ppml_helpers.federated_learning.reading import STEPS_AN_EPOCH, Dealt, Federation, Plan

START = Plan(local_epochs=2, rounds=2, strategy="FedAvg", protection="none", epsilon=math.inf)


def silent(fraction: float, what: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def four() -> Dealt:
    return reading.deal(cohort.load_patients(), 4, 0.5, 0, silent)


def found(dealt: Dealt, **turned: object) -> Federation:
    return reading.federation(dealt, START._replace(**turned), 0, silent)


def with_fictional(n: int, skew: float) -> list[hospitals.Hospital]:
    """Deal the patients by hand, and put the fictional one into the first hospital."""
    first, *others = hospitals.simulated(n=n, seed=0, skew=skew)
    X, y = cohort.features(gradient_attack.fictional_patient())
    X_train, y_train = np.vstack([first.X_train, X.to_numpy()]), np.append(first.y_train, y.to_numpy())
    return [dataclasses.replace(first, X_train=X_train, y_train=y_train), *others]


@pytest.mark.parametrize(
    ("n", "skew", "turned", "config"),
    [
        (4, 0.5, {}, {}),
        (2, 0.0, {"strategy": "FedProx"}, {"strategy": "fedprox"}),
        (8, 1.0, {"strategy": "FedAdam", "local_epochs": 1}, {"strategy": "fedadam", "local-epochs": 1}),
    ],
)
def test_a_setting_gives_what_its_own_run_gives_and_the_patient_is_read(
    n: int, skew: float, turned: dict, config: dict
) -> None:
    result = found(reading.deal(cohort.load_patients(), n, skew, 0, silent), **turned)
    given = with_fictional(n, skew)
    run = in_process.run(given, {"num-server-rounds": 2, **config})
    assert result.run.sha256 == run.sha256
    assert result.federated == pytest.approx(run.auc, abs=1e-3)  # equal but for ties by rounding
    assert result.patients == tuple(hospital.patients for hospital in given)
    assert result.table_bytes == sum(result.patients) * 40 * 8

    def alone(hospital: hospitals.Hospital, number: int) -> np.ndarray:
        rng = task.rng_for(0, 1, number)
        return task.train(np.zeros(40), hospital.X_train, hospital.y_train, 20, 64, 0.5, rng)

    everyone = alone(hospitals.pooled(given), n)
    for i, hospital in enumerate(given):
        own, all_of_them = (
            task.evaluate(model, hospital.X_test, hospital.y_test).auc for model in (alone(hospital, i), everyone)
        )
        assert (result.alone[i], result.pooled[i]) == pytest.approx((own, all_of_them))
    assert result.is_read
    assert gradient_attack.relative_error(result.read, given[0].X_train[-1]) == result.error < 1e-9
    assert result.guess > 0.5


PROTECTED = {
    "masks": {},
    "dp": {"noise-multiplier": 3.88},
    "masks+dp": {"sample-rate": 1.0, "learning-rate": 2.0},
}


@pytest.mark.parametrize("protection", ["none", *PROTECTED])
def test_no_message_tells_how_many_patients_a_hospital_has_or_how_many_died(protection: str) -> None:
    """The attack reads both exactly where nothing protects them, but for who of the two is the survivors."""
    given, crossed = hospitals.simulated(n=4, seed=0, skew=0.9), []
    config = {"protection": protection, "num-server-rounds": 2, **PROTECTED.get(protection, {})}
    run = in_process.run(given, config, on_message=crossed.append)
    secrets = {count for h in given for y in (h.y_train, h.y_test) for count in (len(y), y.sum(), len(y) - y.sum())}
    for number, hospital in enumerate(given):
        told = reading.told(crossed, number)
        if protection == "none":
            died, size = hospital.y_test.sum(), len(hospital.y_test)
            assert (told.patients, set(told.deaths)) == (size, {died, size - died})
            continue
        assert (told.patients, told.deaths) == (None, ())
        assert not secrets & set(told.numbers.values())
        assert all(len(f"{value:g}".rstrip("0").lstrip("0.")) <= 2 for value in told.numbers.values()), told.numbers
    if "masks" in protection:  # what the sums tell: all hospitals together
        assert {key.split(": ")[1] for key in told.numbers} <= {"hospital", "steps"}
        sizes = [task.rounded_size(h.patients) if "dp" in protection else h.patients for h in given]
        assert run.patients == (sum(sizes),)
        aucs = [task.evaluate(run.weights, h.X_test, h.y_test).auc for h in given]
        assert run.auc == pytest.approx([np.average(aucs, weights=[len(h.y_test) for h in given])], abs=5e-4)


def test_masks_change_nothing_but_what_the_server_sees_and_the_bytes(four: Dealt) -> None:
    plain, masked = (found(four, protection=protection) for protection in ("none", "masks"))
    np.testing.assert_allclose(masked.run.weights, plain.run.weights, atol=1e-8)
    assert masked.run.bytes_up > plain.run.bytes_up
    assert masked.error > 0.9
    assert masked.uniformity > 1e-6
    assert math.isnan(plain.uniformity)


def test_an_update_without_its_mask_is_read_and_not_taken_for_random() -> None:
    vector = encode(np.append(np.linspace(-1, 1, 40) * 1500, 1500.0), 4)
    content = RecordDict({"masked": ArrayRecord({"masked": Array(vector)})})
    crossing = SimpleNamespace(reply=SimpleNamespace(content=content))
    np.testing.assert_allclose(reading.seen(crossing), np.linspace(-1, 1, 40), atol=1e-9)
    assert reading.uniformity(reading.masked(crossing)) < 1e-12


def test_dp_keeps_its_epsilon_and_hides_the_patient(four: Dealt) -> None:
    results = {}
    for epsilon in (0.1, 1.0, 10.0):
        result = results[epsilon] = found(four, protection="dp", epsilon=epsilon, rounds=5)
        assert result.run.ledgers[0][1:] == (1.0, 5 * 2 * STEPS_AN_EPOCH)
        assert 0.99 * epsilon < accounting.epsilon(*result.run.ledgers[0]) <= epsilon
        assert result.error > 0.7 * result.guess
    assert np.mean(results[0.1].federated) < np.mean(results[10.0].federated) - 0.03
    assert results[1.0].error > 0.95 * results[1.0].guess


def test_what_hides_the_patient_under_dp_is_the_noise(four: Dealt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "noise_multiplier", lambda *_: 0.0)
    assert found(four, protection="dp", epsilon=7.0, rounds=1).error < 0.05


def test_the_margin_is_two_standard_errors_of_the_difference() -> None:
    """Against drawing the test patients anew, 2,000 times."""
    rng = np.random.default_rng(1)
    y = (rng.random(400) < 0.3).astype(float)
    one = y + rng.normal(scale=1.2, size=400)
    other = one + rng.normal(scale=0.8, size=400)
    draws = rng.integers(0, 400, (2_000, 400))
    differences = [task.auc(y[rows], one[rows]) - task.auc(y[rows], other[rows]) for rows in draws]
    assert reading.margin(y, one, other) == pytest.approx(2 * np.std(differences), rel=0.1)
    assert reading.margin(y, one, one) == 0


def test_who_gains_and_loses_is_by_the_margin() -> None:
    aucs = {"alone": (0.8,) * 4, "federated": (0.82, 0.78, 0.80, 0.805), "margin": (0.01,) * 4}
    result = Federation(**dict.fromkeys(Federation._fields) | aucs)
    assert (result.gains, result.loses) == ((0,), (1,))


@pytest.mark.parametrize(("protection", "last"), [("masks", "round 2 of 5"), ("dp", "the server reads")])
def test_progress_only_grows_and_what_it_raises_ends_the_work(four: Dealt, protection: str, last: str) -> None:
    told = []

    def stop(fraction: float, what: str) -> None:
        told.append(fraction)
        if what.startswith(last):
            raise InterruptedError("enough")

    plan = START._replace(protection=protection, rounds=5, epsilon=3.0)
    with pytest.raises(InterruptedError, match="enough"):
        reading.federation(four, plan, 0, stop)
    assert 0 <= told[0] <= told[-1] <= 1
    assert told == sorted(told)
