"""Gradient leakage: what comes back exactly, what does not, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ppml_helpers import cohort
from ppml_helpers.errors import AttackError
from ppml_helpers.federated_learning import gradient_attack as gradients
from ppml_helpers.people.fictional import Fictional


@pytest.fixture(scope="module")
def patient():
    X, y = cohort.features(gradients.fictional_patient())
    return X.to_numpy(), y.to_numpy(dtype=float)


@pytest.mark.parametrize(("change", "right"), [({}, 26), ({"age": 1.04, "temp": 0.96}, 26), ({"age": 1.06}, 25)])
def test_columns_read_to_within_five_percent_are_counted(patient, change, right):
    chart = gradients.fictional_patient()
    for name, factor in change.items():
        chart[name] = chart[name] * factor
    read = cohort.features(chart)[0].to_numpy(float)[0]
    assert gradients.columns_right(read, patient[0][0]) == right


def test_a_guesser_knows_the_common_columns_only(patient):
    assert 0 < gradients.columns_right(gradients.textbook_guess(), patient[0][0]) < 10


@pytest.fixture(scope="module")
def others():
    X, y = cohort.features(cohort.load_patients())
    return X.to_numpy(), y.to_numpy(dtype=float)


def batch(patient, others, size, seed=0):
    rows = np.random.default_rng(seed).permutation(len(others[1]))[: size - 1]
    return np.vstack([patient[0], others[0][rows]]), np.append(patient[1], others[1][rows])


def first_layer(X, y, units=256, seed=0, layer=nn.ReLU):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(X.shape[1], units), layer(), nn.Linear(units, 1)).double()
    nn.functional.binary_cross_entropy_with_logits(net(torch.tensor(X)).ravel(), torch.tensor(y)).backward()
    return net[0].weight.grad.numpy(), net[0].bias.grad.numpy()


# Networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_four_patients_come_back_from_a_relu_layer(patient, others, seed):
    X, y = batch(patient, others, 4, seed)
    found = gradients.from_relu(*first_layer(X, y, seed=seed), binary=gradients.binary_features())
    assert (gradients.closest(found, X) < 1e-5).all()
    assert len(found) <= 5  # at most one mixture that looks like a patient


def test_large_batches_hide_most_patients(patient, others):
    X, y = batch(patient, others, 64)
    found = gradients.from_relu(*first_layer(X, y))
    assert (gradients.closest(found, X) < 1e-5).sum() <= 3
    assert len(found) > 200  # what is left are mixtures


def test_sifting_by_binary_features_keeps_patients_and_drops_mixtures(patient, others):
    assert (gradients.binary_features() == np.isin(others[0], (0, 1)).all(axis=0)).all()
    X, y = batch(patient, others, 8)
    weights, biases = first_layer(X, y)
    everything = gradients.from_relu(weights, biases)
    sifted = gradients.from_relu(weights, biases, binary=gradients.binary_features())
    exact = [(gradients.closest(found, X) < 1e-5).sum() for found in (everything, sifted)]
    assert exact[0] == exact[1] >= 4
    assert len(sifted) < 12 < 50 < len(everything)


def test_tanh_units_or_noise_on_every_unit_leave_no_patient(patient, others):
    X, y = batch(patient, others, 4)
    found = gradients.from_relu(*first_layer(X, y, layer=nn.Tanh))  # never silent: mixtures only
    assert (gradients.closest(found, X) > 1e-3).all()
    rng = np.random.default_rng(0)
    noisy = [part + rng.normal(scale=0.01, size=part.shape) for part in first_layer(X, y)]
    assert (gradients.closest(gradients.from_relu(*noisy), X) > 0.1).all()


def test_units_of_the_same_patients_give_one_row_and_silent_units_none():
    weights = np.array([[1.0, 2.0], [0.5, 1.0], [0.0, 0.0], [-3.0, 3.0]])
    biases = np.array([1.0, 0.5, 0.0, -3.0])
    for order in (slice(None), slice(None, None, -1)):
        np.testing.assert_allclose(gradients.from_relu(weights[order], biases[order]), [[1.0, -1.0], [1.0, 2.0]])
    nobody = gradients.from_relu(np.zeros((3, 2)), np.zeros(3))
    assert nobody.shape == (0, 2)
    assert gradients.closest(nobody, weights[:1]) == [np.inf]


# Charts -----------------------------------------------------------------------------------------------------------


def test_the_chart_of_the_fictional_patient_comes_back_in_its_units(patient):
    table = gradients.fictional_patient()
    assert isinstance(table, Fictional)
    assert "belong to no real person" in repr(table)
    chart = gradients.in_units(patient[0][0])
    for name, role in cohort.SUPPORT2.columns.items():
        true = table[name].iloc[0]
        assert chart[name] == (true if isinstance(role, cohort.Category) else pytest.approx(true)), name


def test_the_fictional_patient_is_plausible_and_nobody_of_the_study():
    table, patients = gradients.fictional_patient(), cohort.load_patients()
    for name, role in cohort.SUPPORT2.columns.items():
        value = table[name].iloc[0]
        assert value in role.levels if isinstance(role, cohort.Category) else role.low <= value <= role.high
    same = (patients[["age", "meanbp", "crea", "hrt"]] == table[["age", "meanbp", "crea", "hrt"]].iloc[0]).all(axis=1)
    assert not same.any()


def test_charts_of_real_patients_come_back_up_to_what_features_keep(others):
    """Writing the chart back into features must give the same features: nothing that a model sees is lost."""
    patients = cohort.load_patients().head(50)
    X = others[0][:50]
    charts = pd.DataFrame([gradients.in_units(row) for row in X])
    again, _ = cohort.features(charts.assign(hospdead=patients["hospdead"].to_numpy()))
    unknown_income = patients["income"].isna().to_numpy()
    np.testing.assert_allclose(again.to_numpy()[~unknown_income], X[~unknown_income], atol=1e-9)


@pytest.mark.parametrize("size", [1e3, 1e300])
def test_a_ruined_record_still_reads_as_a_chart_within_bounds(size):
    for record in (np.full(39, size), np.full(39, -size)):
        chart = gradients.in_units(record)
        for name, role in cohort.SUPPORT2.columns.items():
            low_to_high = isinstance(role, cohort.Number) and role.low <= chart[name] <= role.high
            assert low_to_high or chart[name] in getattr(role, "levels", ()), name


# What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: gradients.from_relu(np.ones((3, 2)), np.ones(2)), "3 units and biases 2"),
        (lambda: gradients.from_relu(np.ones((3, 2)), np.ones(3), binary=[True]), "say it of each"),
        (lambda: gradients.closest([["a", "b"]], [[1.0, 2.0]]), "no number"),
        (lambda: gradients.relative_error([1.0], [0.0]), "all zeros"),
        (lambda: gradients.in_units(np.full(39, np.nan)), "must be finite"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, rule):
    with pytest.raises(AttackError, match=rule):
        call()
